"""Posteriors of many parameters: Laplace's approximation, judged by importance sampling."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logsumexp

from haloassay.arrays import BoolArray, FloatArray
from haloassay.errors import EstimationError

#: Natural logarithm of a density, up to a constant, of (m, d) points: (m,); -inf outside the prior.
LogDensity = Callable[[FloatArray], FloatArray]

#: Value, gradient (d,) and Hessian (d, d) of a log density at one point (d,).
Derivatives = Callable[[FloatArray], tuple[float, FloatArray, FloatArray]]

#: Degrees of freedom of the Student t proposals: tails heavier than those of any posterior of use.
_FREEDOM: Final = 7.0

#: Pareto shape of the importance weights from which they cannot be trusted (Vehtari et al. 2024).
K_MAX: Final = 0.7

#: Share of the draws that must be effective.
_ENOUGH: Final = 0.05

#: Proposals that are tried.
_ROUNDS: Final = 8

#: Step of finite differences in units of the width of the posterior.
_STEP: Final = 0.3

#: Lengths of a step uphill that are tried, in units of Newton's.
_LENGTHS: Final = 2.0 ** np.arange(1.0, -21.0, -1.0)


@dataclass(frozen=True, eq=False)
class Laplace:
    """Gaussian with the place and the curvature of the maximum of a density.

    Parameters
    ----------
    mode
        (d,) place of the maximum.
    axes
        (d, d) matrix A, the covariance is A A^T.
    """

    mode: FloatArray
    axes: FloatArray

    @property
    def covariance(self) -> FloatArray:
        """(d, d) covariance, the inverse of minus the Hessian."""
        return self.axes @ self.axes.T

    def log_student(self, points: FloatArray) -> FloatArray:
        """Log density (m,) of the Student t with this place and these axes, but for a constant."""
        u = np.linalg.solve(self.axes, (points - self.mode).T)
        d = len(self.mode)
        log_volume = np.linalg.slogdet(self.axes)[1]
        tail = np.log1p(np.sum(u * u, axis=0) / _FREEDOM)
        return np.asarray(-log_volume - 0.5 * (_FREEDOM + d) * tail)


@dataclass(frozen=True)
class UniformPrior:
    """Uniform density in a box, and coordinates y = ln((x - lo) / (hi - x)) that fill all space.

    Parameters
    ----------
    lo, hi
        (d,) edges.
    """

    lo: FloatArray
    hi: FloatArray

    @classmethod
    def of(cls, bounds: tuple[ArrayLike, ArrayLike]) -> UniformPrior:
        """Box of lower and upper edges."""
        return cls(np.asarray(bounds[0], dtype=float), np.asarray(bounds[1], dtype=float))

    def inside(self, x: FloatArray) -> BoolArray:
        """Whether points (m, d) are in the box, (m,)."""
        return np.all((x > self.lo) & (x < self.hi), axis=1)

    def free(self, x: FloatArray) -> FloatArray:
        """Coordinates y of points x (..., d); points on or beyond an edge are moved just inside."""
        u = np.clip((x - self.lo) / (self.hi - self.lo), 1e-6, 1.0 - 1e-6)
        return np.asarray(np.log(u / (1.0 - u)))

    def share(self, y: FloatArray) -> FloatArray:
        """Share u of the way from lo to hi of points y (..., d)."""
        return np.asarray(0.5 * (1.0 + np.tanh(0.5 * y)))

    def bound(self, y: FloatArray) -> FloatArray:
        """Points x of coordinates y (..., d)."""
        return np.asarray(self.lo + (self.hi - self.lo) * self.share(y))

    def log_jacobian(self, y: FloatArray) -> FloatArray:
        """Natural logarithm of the density of y (m, d) under the prior, (m,), up to a constant."""
        size = np.abs(y)
        return np.asarray(-np.sum(size + 2.0 * np.log1p(np.exp(-size)), axis=-1))

    def target(
        self,
        log_likelihood: LogDensity,
        start: FloatArray,
        scale: FloatArray,
        derivatives: Derivatives | None = None,
    ) -> tuple[LogDensity, FloatArray, FloatArray, Derivatives | None]:
        """Log density of y, with its start, scale and derivatives, from what is known of x."""
        y = self.free(start)
        u = self.share(y)
        width = scale / ((self.hi - self.lo) * u * (1.0 - u))

        def log_density(y: FloatArray) -> FloatArray:
            return log_likelihood(self.bound(y)) + self.log_jacobian(y)

        return log_density, y, width, None if derivatives is None else self._chain(derivatives)

    def _chain(self, of_x: Derivatives) -> Derivatives:
        """Turn the derivatives in x of a log likelihood into those in y, with the prior."""

        def of_y(y: FloatArray) -> tuple[float, FloatArray, FloatArray]:
            u = self.share(y)
            value, gradient, hessian = of_x(self.bound(y))
            spread = u * (1.0 - u)
            slope = (self.hi - self.lo) * spread
            bend = gradient * slope * (1.0 - 2.0 * u) - 2.0 * spread
            return (
                float(value + self.log_jacobian(y)),
                gradient * slope + 1.0 - 2.0 * u,
                hessian * np.outer(slope, slope) + np.diag(bend),
            )

        return of_y


def laplace(
    log_density: LogDensity,
    start: ArrayLike,
    scale: ArrayLike,
    derivatives: Derivatives | None = None,
) -> Laplace:
    """Laplace's approximation at the maximum uphill of a start.

    Newton's method with the absolute values of the curvatures, so that it leaves saddles, and a
    line search. Without ``derivatives``, they are differences over a third of the width that the
    last Hessian found, d^2 + d + 1 densities at once.

    Parameters
    ----------
    log_density
        Log density of (m, d) points, (m,); -inf where the prior excludes.
    start
        (d,) point of finite density.
    scale
        (d,) rough widths of the density.
    derivatives
        Value, gradient and Hessian of the same log density at a point, where they are known.

    Raises
    ------
    EstimationError
        If the density is not finite at ``start``, or its maximum is not found or lies at the edge
        of the prior.
    """
    mode, axes = np.array(start, dtype=float), np.diag(np.array(scale, dtype=float))
    if not np.isfinite(log_density(mode[None])[0]):
        raise EstimationError("the posterior has no point of finite density at its start")
    for _ in range(200):
        value, gradient, curvature, axes = _whitened(log_density, mode, axes, derivatives)
        size, turn = np.linalg.eigh(-curvature)
        peaked, settled = size[0] > 0.1, size[0] > 0.5 and size[-1] < 2.0
        size = np.clip(np.abs(size), 1e-6, 1e6)
        step = (turn.T @ gradient) / np.sqrt(size)
        axes = axes @ (turn / np.sqrt(size))
        length = float(np.linalg.norm(step))
        if settled and length < 0.01:
            return Laplace(mode + axes @ step, axes)
        step *= min(1.0, 1e3 / max(length, 1e-3))
        trials = mode + _LENGTHS[:, None] * (axes @ step)
        values = _finite(log_density(trials))
        best = int(np.argmax(values))
        if values[best] > value:
            mode = trials[best]
        elif length < 0.1 and peaked:  # as near as rounding allows
            return Laplace(mode, axes)
        elif length == 0.0:
            break
    raise EstimationError(
        "the maximum of the posterior was not found: it is flat, or greatest at the prior's edge"
    )


def _finite(values: FloatArray) -> FloatArray:
    """Values of a log density, -inf where they are not numbers."""
    return np.where(np.isnan(values), -np.inf, values)


def _whitened(
    log_density: LogDensity,
    mode: FloatArray,
    axes: FloatArray,
    derivatives: Derivatives | None,
) -> tuple[float, FloatArray, FloatArray, FloatArray]:
    """Value, gradient and Hessian along the columns of ``axes``, and the axes, shortened at need."""
    if derivatives is not None:
        value, gradient, hessian = derivatives(mode)
        if not (np.isfinite(gradient).all() and np.isfinite(hessian).all()):
            raise EstimationError("the posterior has no finite curvature on the way to its maximum")
        return value, axes.T @ gradient, axes.T @ hessian @ axes, axes
    d = len(mode)
    row, column = np.triu_indices(d, 1)
    unit = np.eye(d)
    pairs = unit[row] + unit[column]
    stencil = _STEP * np.concatenate([np.zeros((1, d)), unit, -unit, pairs, -pairs])
    for _ in range(60):
        f = _finite(log_density(mode + stencil @ axes.T))
        outside = ~np.isfinite(f)
        if not outside.any():
            break
        singles = outside[1 : 2 * d + 1].reshape(2, d).any(axis=0)
        if not singles.any():
            singles = np.any(stencil[outside] != 0.0, axis=0)
        axes = np.where(singles, 0.5, 1.0) * axes
    else:
        raise EstimationError("the posterior is greatest at the edge of the prior")
    plus, minus = f[1 : d + 1], f[d + 1 : 2 * d + 1]
    both, neither = f[2 * d + 1 :].reshape(2, -1)
    hessian = np.diag(plus + minus - 2.0 * f[0])
    mixed = both + neither - plus[row] - minus[row] - plus[column] - minus[column] + 2.0 * f[0]
    hessian[row, column] = hessian[column, row] = 0.5 * mixed
    return float(f[0]), (plus - minus) / (2.0 * _STEP), hessian / _STEP**2, axes


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
        return float(1.0 / np.sum(self.weights**2))

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
        steps = (rng.random() + np.arange(n_draws)) / n_draws
        return self.points[np.searchsorted(np.cumsum(self.weights)[:-1], steps)]

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
    proposals = [proposal]
    points, values = np.empty((0, len(proposal.mode))), np.empty(0)
    while True:
        u = rng.standard_normal((n, len(proposal.mode)))
        u *= np.sqrt(_FREEDOM / rng.chisquare(_FREEDOM, n))[:, None]
        fresh = proposals[-1].mode + u @ proposals[-1].axes.T
        points, values = np.concatenate([points, fresh]), np.append(values, log_density(fresh))
        log_q = logsumexp([one.log_student(points) for one in proposals], axis=0)
        draws = WeightedDraws(points, *smoothed(_finite(values) - log_q))
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
