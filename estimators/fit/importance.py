"""Importance sampling: draws from a proposal, their Pareto-smoothed weights, and rows by weight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from haloassay.base.arrays import FloatArray, IntArray
from haloassay.estimators.fit.laplace import FREEDOM, Laplace, LogDensity, finite

#: Pareto shape of the importance weights from which they cannot be trusted (Vehtari et al. 2024).
K_MAX: Final = 0.7

#: Share of the draws that must be effective.
_ENOUGH: Final = 0.05

#: Proposals that are tried.
_ROUNDS: Final = 8


def effective_number(weights: FloatArray) -> float:
    """Count the equally weighted draws that would be as good as those of ``weights`` (m,)."""
    square = float(np.sum(weights**2))
    return float(weights.sum()) ** 2 / square if square > 0.0 else 0.0


def resampled_rows(weights: FloatArray, n_draws: int, rng: np.random.Generator) -> IntArray:
    """Rows (n_draws,), rising, each as often as its weight (m,) says, to the next whole number.

    Systematic resampling: at equal steps of the sum of the weights, from a random start.
    """
    steps = (rng.random() + np.arange(n_draws)) / n_draws * weights.sum()
    return np.searchsorted(np.cumsum(weights)[:-1], steps)


@dataclass(frozen=True, eq=False)
class WeightedDraws:
    """Draws from a proposal and their Pareto-smoothed importance weights.

    Parameters
    ----------
    points
        (m, d) draws.
    weights
        (m,) weights that sum to one.
    k_hat
        Shape of the generalised Pareto distribution of the largest weights.
    """

    points: FloatArray
    weights: FloatArray
    k_hat: float

    @property
    def effective(self) -> float:
        """Number of equally weighted draws that would be as good."""
        return effective_number(self.weights)

    @property
    def trusted(self) -> bool:
        """Whether k_hat is below 0.7, and one in twenty of the draws effective."""
        return self.k_hat < K_MAX and self.effective >= _ENOUGH * len(self.weights)

    @property
    def verdict(self) -> str:
        """What there is to say of the draws, in a sentence."""
        return (
            f"importance sampling has k_hat = {self.k_hat:.2f} and {self.effective:.0f} effective "
            f"draws of {len(self.weights)}"
        )

    def resampled(self, n_draws: int, rng: np.random.Generator) -> FloatArray:
        """(n_draws, d) points, each as often as its weight says, to the next whole number."""
        return self.points[resampled_rows(self.weights, n_draws, rng)]

    def refined(self, last: Laplace) -> Laplace:
        """Proposal of the mean and covariance of these draws, drawn to the last where they are few."""
        mean = self.weights @ self.points
        d = self.points - mean
        n, few = self.effective, 2.0 * len(mean)
        covariance = (n * (self.weights * d.T) @ d + few * last.covariance) / (n + few)
        try:
            return Laplace(mean, np.asarray(np.linalg.cholesky(covariance), dtype=float))
        except np.linalg.LinAlgError:  # rounding
            return last


def importance_sample(
    log_density: LogDensity,
    proposal: Laplace,
    n: int,
    rng: np.random.Generator,
    goal: float = 0.0,
) -> WeightedDraws:
    """Draws from multivariate Student t's of 7 degrees of freedom, weighted by a density.

    The weights are smoothed by a generalised Pareto distribution fitted to the largest of them
    (Vehtari et al. 2024; arviz-stats does it). Where its shape k_hat is 0.7 or more, or fewer than
    one in twenty of the draws are effective, they cannot be trusted. Then, or with fewer than
    ``goal`` effective, a proposal with the weighted mean and covariance joins the others, up to
    seven times, and all draws are weighted by the density over the mean of all proposals (Cornuet
    et al. 2012). They are returned trusted or not.

    Parameters
    ----------
    log_density
        Log density of (m, d) points, (m,); -inf where the prior excludes.
    proposal
        Place and covariance of the first proposal.
    n
        Number of draws of each proposal, 100 or more.
    rng
        Source of randomness.
    goal
        Number of effective draws that is wished for.
    """
    from scipy.special import logsumexp

    proposals = [proposal]
    points, values = np.empty((0, len(proposal.mode))), np.empty(0)
    while True:
        u = rng.standard_normal((n, len(proposal.mode)))
        u *= np.sqrt(FREEDOM / rng.chisquare(FREEDOM, n))[:, None]
        fresh = proposals[-1].mode + u @ proposals[-1].axes.T
        points, values = np.concatenate([points, fresh]), np.append(values, log_density(fresh))
        parts = [one.log_student(points) for one in proposals]
        log_q = logsumexp(parts, axis=0) if len(parts) > 1 else parts[0]
        draws = WeightedDraws(points, *smoothed(finite(values) - log_q))
        enough = draws.trusted and draws.effective >= goal
        if enough or len(proposals) == _ROUNDS:
            return draws
        proposals.append(draws.refined(proposals[-1]))


def smoothed(log_weights: FloatArray) -> tuple[FloatArray, float]:
    """Pareto-smoothed weights (m,) that sum to one, and k_hat; -inf is no weight.

    Where the largest weights have no shape, as with fewer than 25 that are not zero, k_hat is infinite.
    """
    from arviz_stats.base import array_stats  # loads scipy.stats

    finite = np.isfinite(log_weights)
    if not finite.any():
        return np.full(len(log_weights), 1.0 / len(log_weights)), np.inf
    raw = np.exp(log_weights - np.max(log_weights[finite]), where=finite, out=0.0 * finite)
    raw /= raw.sum()
    if finite.sum() < 25:
        return raw, np.inf
    weights = np.zeros(len(log_weights))
    with np.errstate(all="ignore"):
        # takes minus the logarithms
        log_smooth, k_hat = array_stats.psislw(-log_weights[finite])
        weights[finite] = np.exp(log_smooth)
    if not (np.isfinite(k_hat) and np.isfinite(weights).all()):
        return raw, np.inf
    return weights / weights.sum(), float(k_hat)
