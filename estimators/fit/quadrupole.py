"""How a dispersion depends on direction: its quadrupole at one radius, and the axes along which it is largest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from haloassay.base.arrays import FloatArray
from haloassay.base.errors import EstimationError
from haloassay.contracts.catalogue import BLOCK, spans

#: Terms of ln sigma: three of the radius, then five of the direction.
_RADIAL: Final = 3
_TERMS: Final = _RADIAL + 5
#: Stars a term that are needed at least.
_STARS_A_TERM: Final = 10
#: Steps of the fit, and the change of ln sigma at which it has converged.
_STEPS: Final = 100
_CONVERGED: Final = 1e-8
_HIDDEN: Final = "the dispersion has no best fit: it is hidden by the errors somewhere"
#: Largest step of ln sigma.
_LARGEST: Final = 0.5


@dataclass(frozen=True, eq=False)
class Quadrupole:
    """The part of ln sigma that depends on the direction n, n^T Q n with Q symmetric and without a trace.

    Parameters
    ----------
    terms
        (5,) Q_xx, Q_yy, Q_xy, Q_xz, Q_yz.
    covariance
        (5, 5) of their errors.
    """

    terms: FloatArray
    covariance: FloatArray

    def draws(self, n: int, rng: np.random.Generator) -> FloatArray:
        """(n, 3, 3) matrices Q within the errors."""
        return matrices(rng.multivariate_normal(self.terms, self.covariance, size=n, method="eigh"))


def matrices(terms: FloatArray) -> FloatArray:
    """(n, 3, 3) matrices Q of (n, 5) terms."""
    xx, yy, xy, xz, yz = terms.T
    rows = [[xx, xy, xz], [xy, yy, yz], [xz, yz, -xx - yy]]
    return np.moveaxis(np.array(rows), -1, 0)


def axis_in_plane(Q: FloatArray, i: int, j: int) -> FloatArray:
    """Angle (n,) [deg] from axis ``i`` towards axis ``j`` at which n^T Q n (n, 3, 3) is largest in their plane.

    Between -90 and 90: an axis has two ends.
    """
    return np.degrees(0.5 * np.arctan2(2.0 * Q[:, i, j], Q[:, i, i] - Q[:, j, j]))


def folded(angle: FloatArray) -> FloatArray:
    """Angles [deg] of axes, between -90 and 90."""
    return np.asarray((angle + 90.0) % 180.0 - 90.0)


def dispersion_quadrupole(v: FloatArray, noise: FloatArray, position: FloatArray) -> Quadrupole:
    """Quadrupole of a dispersion, by maximum likelihood.

    v ~ N(mu, sigma^2 + noise), ln sigma = a + b x + c x^2 + n^T Q n with x = ln r about its mean: Q is what is left at
    one radius, so that a sample whose radii differ over the sky, as those of a footprint do, has none for it. Errors
    are those of the sandwich: the velocities need not be Gaussian.

    Parameters
    ----------
    v
        (N,) velocities [km/s].
    noise
        (N,) variances of their errors [(km/s)^2].
    position
        (N, 3) positions [kpc].

    Raises
    ------
    EstimationError
        If there are too few stars, all at one place, or with errors larger than their dispersion.
    """
    if len(v) < _STARS_A_TERM * _TERMS:
        raise EstimationError(
            f"too few stars: {len(v)}, at least {_STARS_A_TERM * _TERMS} are needed"
        )
    terms = _Features(position)
    start = float(np.var(v) - np.mean(noise))
    if not start > float(np.mean(noise)) or not terms.independent:
        raise EstimationError(
            "the errors are larger than the dispersion, or the stars are at one place"
        )
    theta = np.zeros(_TERMS)
    theta[0] = 0.5 * np.log(start)
    try:
        return _fit(v, noise, terms, theta)
    except np.linalg.LinAlgError:
        raise EstimationError(_HIDDEN) from None


def _fit(v: FloatArray, noise: FloatArray, terms: _Features, theta: FloatArray) -> Quadrupole:
    """Fit by scoring, from a start; raises EstimationError where it does not converge."""
    for _ in range(_STEPS):
        variance = np.exp(2.0 * terms.times(theta))
        total = variance + noise
        mu = float(np.sum(v / total) / np.sum(1.0 / total))
        share = np.divide(variance, total, out=variance)
        score = share * ((v - mu) ** 2 / total - 1.0)
        information = terms.products(2.0 * share**2)
        step = np.linalg.solve(information, terms.sums(score))
        step *= min(1.0, _LARGEST / float(np.max(np.abs(terms.times(step))) + 1e-300))
        theta = theta + step
        if float(np.max(np.abs(step))) < _CONVERGED:
            break
    else:
        raise EstimationError(_HIDDEN)
    bread = np.linalg.inv(information)
    covariance = bread @ terms.products(score**2) @ bread
    return Quadrupole(theta[_RADIAL:], covariance[_RADIAL:, _RADIAL:])


class _Features:
    """Terms X (N, 8) of ln sigma at positions (N, 3), of many stars never all at once."""

    def __init__(self, position: FloatArray) -> None:
        self.position = position
        self.middle = float(np.mean(np.log(np.linalg.norm(position, axis=1))))
        self._kept = self._made(position) if len(position) <= BLOCK else None

    def _blocks(self) -> Iterator[tuple[slice, FloatArray]]:
        if self._kept is not None:
            yield slice(None), self._kept
            return
        for rows in spans(len(self.position)):
            yield rows, self._made(self.position[rows])

    def _made(self, position: FloatArray) -> FloatArray:
        r = np.linalg.norm(position, axis=1)
        x, y, z = position.T / r
        depth = np.log(r) - self.middle
        radial = [np.ones(len(r)), depth, depth**2]
        return np.stack(
            [*radial, x**2 - z**2, y**2 - z**2, 2.0 * x * y, 2.0 * x * z, 2.0 * y * z], axis=1
        )

    @property
    def independent(self) -> bool:
        """Whether the stars tell the terms apart."""
        return any(np.linalg.matrix_rank(X) == _TERMS for _, X in self._blocks())

    def times(self, theta: NDArray[np.floating[Any]]) -> FloatArray:
        """(N,) X theta."""
        out = np.empty(len(self.position))
        for rows, X in self._blocks():
            out[rows] = X @ theta
        return out

    def sums(self, weight: FloatArray) -> FloatArray:
        """(8,) X^T weight."""
        return np.sum([X.T @ weight[rows] for rows, X in self._blocks()], axis=0)

    def products(self, weight: FloatArray) -> FloatArray:
        """(8, 8) X^T diag(weight) X."""
        return np.sum([(X.T * weight[rows]) @ X for rows, X in self._blocks()], axis=0)
