"""Kurtosis of velocities freed from the errors of each star."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from haloassay.base.arrays import BoolArray, FloatArray
from haloassay.contracts.catalogue import spans
from haloassay.estimators.fit.ellipsoid import AXES

#: Error of ln kurtosis beyond which there is no value: a single star can make it 1.
_UNKNOWN: Final = 0.5
#: Stars below which the tails are not sampled: at 30, a kurtosis of 6 comes out a quarter too small.
_FEWEST: Final = 100


@dataclass(frozen=True, eq=False)
class KurtosisFit:
    """Kurtosis <(v - mu)^4> / <(v - mu)^2>^2 of the true velocities, 3 where they are Gaussian.

    Parameters
    ----------
    n
        Number of stars.
    value
        (3,) kurtosis of v_r, v_theta, v_phi; NaN where the fourth moment is not positive.
    error
        (3,) standard error of its logarithm, of the stars' own scatter.
    gaussian_error
        (3,) the same if the velocities were Gaussian.
    noisy
        (3,) whether the errors make up most of the observed variance.
    """

    n: int
    value: FloatArray
    error: FloatArray
    gaussian_error: FloatArray
    noisy: BoolArray

    def note(self, axis: int, error: FloatArray) -> str:
        """Why there is no kurtosis of a component, whose logarithm has an ``error``; nothing where there is one."""
        if self.n < _FEWEST:
            return f"too few stars for a kurtosis: {self.n}, at least {_FEWEST} are needed"
        if self.value[axis] > 1.0 and error[axis] < _UNKNOWN:
            return ""
        name = f"kurtosis_{AXES[axis]}"
        if self.noisy[axis]:
            return f"the velocity errors are too large to resolve {name}"
        return f"too few stars in the tails to determine {name}"


def fit_kurtosis(
    v: FloatArray, noise: FloatArray, mean: FloatArray, variance: FloatArray
) -> KurtosisFit:
    """Kurtosis of each component from moments that Gaussian errors leave unbiased.

    With d = v - mu and the variance s^2 of its error, <d^2 - s^2>, <d^3 - 3 s^2 d> and <d^4 - 6 s^2 d^2 + 3 s^4> are
    the moments of the true velocities, whatever their distribution: Hermite polynomials in place of powers. Stars are
    weighted by (sigma^2 / (sigma^2 + s^2))^4, the inverse variance of the last one where velocities are Gaussian. The
    bias of the ratio is taken out to first order in 1 / N (for Gaussian velocities, 3 (N - 1) / (N + 1) without
    that).

    Parameters
    ----------
    v, noise
        (N, 3) velocities [km/s] and variances of their errors [(km/s)^2].
    mean, variance
        (3,) mean [km/s] and true variance [(km/s)^2] of the components.
    """
    n, sigma2 = len(v), np.maximum(variance, 1e-300)

    def weighed(rows: slice) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        total = sigma2 + noise[rows]
        return v[rows] - mean, noise[rows], total, (sigma2 / total) ** 4

    (usual,) = _means(lambda rows: weighed(rows)[3:], n)

    def moments(rows: slice) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
        d, e2, _, weight = weighed(rows)
        weight = weight / usual
        square = weight * (d**2 - e2)
        fourth = weight * (d**4 - 6.0 * e2 * d**2 + 3.0 * e2**2)
        return square, fourth, weight * (d**3 - 3.0 * e2 * d), e2, weight

    with np.errstate(divide="ignore", invalid="ignore"):
        m2, m4, m3, error, _ = _means(moments, n)

        def influences(rows: slice) -> tuple[FloatArray, ...]:
            d, _, total, _ = weighed(rows)
            square, fourth, _, _, weight = moments(rows)
            of_square, of_fourth = square / m2 - weight, fourth / m4 - weight
            influence = of_fourth - 2.0 * of_square - 4.0 * (m3 / m4) * weight * d
            return of_square**2, of_square * of_fourth, influence**2, weight**2 * total**4

        spread, together, scatter, gaussian = _means(influences, n)
        value = m4 / m2**2 * (1.0 - 3.0 * (spread / n) + 2.0 * (together / n))
        gaussian = np.sqrt(24.0 * gaussian / n) / (m2**2 * value)
    known = (m2 > 0.0) & (m4 > 0.0)
    return KurtosisFit(
        n,
        np.where(known, value, np.nan),
        np.sqrt(scatter / n),
        gaussian,
        np.asarray(error > sigma2),
    )


def _means(of: Callable[[slice], tuple[FloatArray, ...]], n: int) -> list[FloatArray]:
    """Means (3,) over ``n`` stars of what ``of`` gives (m, 3) of a block of rows, added in their order."""
    totals: list[FloatArray] = []
    for rows in spans(n):
        values = of(rows)
        if totals:  # go on from what there is, in the same order
            values = tuple(np.vstack([t, x]) for t, x in zip(totals, values, strict=True))
        totals = [np.add.reduce(x, axis=0) for x in values]
    return [total / n for total in totals]
