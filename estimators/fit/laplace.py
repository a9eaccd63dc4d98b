"""Posteriors of many parameters: Laplace's approximation at their maximum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from haloassay.base.arrays import BoolArray, FloatArray
from haloassay.base.errors import EstimationError

#: Natural logarithm of a density, up to a constant, of (m, d) points: (m,); -inf outside the prior.
LogDensity = Callable[[FloatArray], FloatArray]

#: Value, gradient (d,) and Hessian (d, d) of a log density at one point (d,).
Derivatives = Callable[[FloatArray], tuple[float, FloatArray, FloatArray]]

#: Degrees of freedom of the Student t proposals: tails heavier than those of any posterior of use.
FREEDOM: Final = 7.0

#: Step of finite differences in units of the width of the posterior.
_STEP: Final = 0.3

#: Steps in a row that gain less than this in the log density, after which a climb is given up.
_PATIENCE: Final = 20
_LEAST_GAIN: Final = 1e-6

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
        tail = np.log1p(np.sum(u * u, axis=0) / FREEDOM)
        return np.asarray(-log_volume - 0.5 * (FREEDOM + d) * tail)


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
    stuck = 0
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
        values = finite(log_density(trials))
        best = int(np.argmax(values))
        stuck = stuck + 1 if values[best] - value < _LEAST_GAIN else 0
        if stuck == _PATIENCE:  # the way uphill ends at the edge of the prior
            break
        if values[best] > value:
            mode = trials[best]
        elif length < 0.1 and peaked:  # as near as rounding allows
            return Laplace(mode, axes)
        elif length == 0.0:
            break
    raise EstimationError(
        "the maximum of the posterior was not found: it is flat, or greatest at the prior's edge"
    )


def finite(values: FloatArray) -> FloatArray:
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
        f = finite(log_density(mode + stencil @ axes.T))
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
