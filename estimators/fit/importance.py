"""Importance sampling: draws from proposals, their Pareto-smoothed weights, and rows by weight."""

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

#: Steps of the fit of a proposal of several parts.
_STEPS: Final = 20
#: Its parts are as much wider than those of the draws, which have not been everywhere yet.
WIDER: Final = 1.25


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


@dataclass(frozen=True, eq=False)
class Mixture:
    """Student t's of 7 degrees of freedom, each with its share.

    Parameters
    ----------
    shares
        They sum to one.
    parts
        Place and axes of each.
    """

    shares: tuple[float, ...]
    parts: tuple[Laplace, ...]

    def placed(self, u: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Draws (m, d) from those of the standard Student t."""
        if len(self.parts) == 1:
            return np.asarray(self.parts[0].mode + u @ self.parts[0].axes.T)
        of = rng.choice(len(self.parts), len(u), p=self.shares)
        modes = np.array([part.mode for part in self.parts])
        axes = np.array([part.axes for part in self.parts])
        return np.asarray(modes[of] + np.einsum("mij,mj->mi", axes[of], u))

    def terms(self, points: FloatArray) -> FloatArray:
        """Log densities (k, m) of the parts, times their shares, but for a constant."""
        pairs = zip(self.shares, self.parts, strict=True)
        return np.array([np.log(share) + part.log_student(points) for share, part in pairs])

    def log_density(self, points: FloatArray) -> FloatArray:
        """Log density (m,) of points (m, d), but for a constant."""
        from scipy.special import logsumexp

        if len(self.parts) == 1:
            return self.parts[0].log_student(points)
        return np.asarray(logsumexp(self.terms(points), axis=0))


def fitted(
    draws: WeightedDraws, parts: int, wider: float, whole: Laplace, rng: np.random.Generator
) -> Mixture:
    """Mixture of Student t's that is near to weighted draws, and wider: expectation and maximisation, some steps.

    Covariances of parts with few draws are drawn to a part of that of all. A mixture that loses a part becomes
    ``whole``.
    """
    points, weights = draws.points, draws.weights
    n, d = draws.effective, points.shape[1]
    few = 2.0 * d
    common = whole.covariance / parts
    starts = points[resampled_rows(weights, parts, rng)]
    found = Mixture((1.0 / parts,) * parts, tuple(Laplace(at, whole.axes) for at in starts))
    for _ in range(_STEPS):
        terms = found.terms(points)
        likely = np.exp(terms - terms.max(axis=0))
        likely *= weights / likely.sum(axis=0)
        shares, some = likely.sum(axis=1), []
        if n * shares.min() < 2.0:
            return Mixture((1.0,), (whole,))
        for part, weight, share in zip(found.parts, likely, shares, strict=True):
            u = np.linalg.solve(part.axes, (points - part.mode).T)
            # a draw far out counts less, as the tails of a Student t are heavy
            weight = weight * (FREEDOM + d) / (FREEDOM + np.sum(u * u, axis=0))
            mode = weight @ points / weight.sum()
            off = points - mode
            scatter = n * (weight[:, None] * off).T @ off + few * common
            axes = np.linalg.cholesky(scatter / (n * share + few))
            some.append(Laplace(mode, np.asarray(axes, dtype=float)))
        found = Mixture(tuple(shares / shares.sum()), tuple(some))
    return Mixture(
        found.shares, tuple(Laplace(part.mode, wider * part.axes) for part in found.parts)
    )


def importance_sample(
    log_density: LogDensity,
    proposal: Laplace,
    n: int,
    rng: np.random.Generator,
    goal: float = 0.0,
    parts: int = 1,
    rounds: int = 8,
    wider: float = WIDER,
) -> WeightedDraws:
    """Draws from multivariate Student t's of 7 degrees of freedom, weighted by a density.

    The weights are smoothed by a generalised Pareto distribution fitted to the largest of them
    (Vehtari et al. 2024; arviz-stats does it). Where its shape k_hat is 0.7 or more, or fewer than
    one in twenty of the draws are effective, they cannot be trusted. Then, or with fewer than
    ``goal`` effective, a proposal with the weighted mean and covariance (or of several ``parts``) joins
    the others, up to ``rounds`` in all, and all draws are weighted by the density over the mean of all
    proposals (Cornuet et al. 2012). They are returned trusted or not.

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
    parts
        Student t's of each proposal but the first, fitted to the weighted draws: more than one where the
        density is bent or cut off by edges.
    rounds
        Proposals that are tried.
    wider
        By how much several parts are wider than the draws that they are fitted to.
    """
    from scipy.special import logsumexp

    proposals = [Mixture((1.0,), (proposal,))]
    points, values = np.empty((0, len(proposal.mode))), np.empty(0)
    while True:
        u = rng.standard_normal((n, len(proposal.mode)))
        u *= np.sqrt(FREEDOM / rng.chisquare(FREEDOM, n))[:, None]
        fresh = proposals[-1].placed(u, rng)
        points, values = np.concatenate([points, fresh]), np.append(values, log_density(fresh))
        terms = [one.log_density(points) for one in proposals]
        log_q = logsumexp(terms, axis=0) if len(terms) > 1 else terms[0]
        draws = WeightedDraws(points, *smoothed(finite(values) - log_q))
        enough = draws.trusted and draws.effective >= goal
        if enough or len(proposals) == rounds:
            return draws
        last = draws.refined(proposals[-1].parts[0])
        single = Mixture((1.0,), (last,))
        proposals.append(single if parts == 1 else fitted(draws, parts, wider, last, rng))


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
