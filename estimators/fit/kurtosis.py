"""Kurtosis of velocities freed from the errors of each star."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from haloassay.base.arrays import BoolArray, FloatArray
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
    n, d = len(v), v - mean
    sigma2 = np.maximum(variance, 1e-300)
    total = sigma2 + noise
    weight = (sigma2 / total) ** 4
    weight = weight / weight.mean(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        square = weight * (d**2 - noise)
        fourth = weight * (d**4 - 6.0 * noise * d**2 + 3.0 * noise**2)
        m2, m4 = square.mean(axis=0), fourth.mean(axis=0)
        m3 = np.mean(weight * (d**3 - 3.0 * noise * d), axis=0)
        of_square, of_fourth = square / m2 - weight, fourth / m4 - weight
        spread = np.mean(of_square**2, axis=0) / n
        together = np.mean(of_square * of_fourth, axis=0) / n
        value = m4 / m2**2 * (1.0 - 3.0 * spread + 2.0 * together)
        influence = of_fourth - 2.0 * of_square - 4.0 * (m3 / m4) * weight * d
        gaussian = np.sqrt(24.0 * np.mean(weight**2 * total**4, axis=0) / n) / (m2**2 * value)
    known = (m2 > 0.0) & (m4 > 0.0)
    return KurtosisFit(
        n,
        np.where(known, value, np.nan),
        np.sqrt(np.mean(influence**2, axis=0) / n),
        gaussian,
        np.asarray(np.mean(noise, axis=0) > sigma2),
    )
