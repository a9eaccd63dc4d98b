"""Second moments of velocities in bins of equal number, freed from errors, with their covariance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from haloassay.base.arrays import FloatArray, IntArray
from haloassay.base.errors import EstimationError

#: Radii a bin that stand for its stars.
_PER_BIN: Final = 4
#: Scatter of the logarithm of a moment beyond which its bin has none.
_VAGUE: Final = 0.5
#: Scatter of squares below which it is not believed: that of Gaussian velocities is 2.
_LEAST: Final = 0.4


@dataclass(frozen=True, eq=False)
class BinnedMoments:
    """Logarithms of mean squares and their covariance.

    Parameters
    ----------
    radii
        (b, q) radii of each bin [kpc].
    log_square
        (b, c) ln of the mean square of each component [(km/s)^2], its bias of first order taken off.
    precision
        (b, c, c) inverse covariance.
    across
        (b,) mean of what is given of the stars, 0 where nothing is.
    """

    radii: FloatArray
    log_square: FloatArray
    precision: FloatArray
    across: FloatArray

    def log_likelihood(self, variances: FloatArray) -> FloatArray:
        """Of model mean squares (m, b, c), (m,)."""
        away = np.log(variances) - self.log_square
        return np.asarray(-0.5 * np.einsum("mbi,bij,mbj->m", away, self.precision, away))


def bin_moments(
    r: FloatArray,
    square: FloatArray,
    noise: FloatArray,
    numbers: FloatArray,
    n_bins: int,
    across: FloatArray | None = None,
) -> BinnedMoments:
    """Moments of bins of equal number.

    How squares scatter about their mean, in its units, is taken of all bins together: errors that follow the numbers of
    a bin would prefer low ones. The part of the velocity errors is that of each bin.

    Parameters
    ----------
    r
        (n,) radii [kpc].
    square, noise
        (n, c) squares of components and variances of their errors [(km/s)^2]; of two components that are one, means.
    numbers
        (c,) components that were averaged.
    n_bins
        Number of bins.
    across
        (n,) a number of each star whose mean in bins is wanted.

    Raises
    ------
    EstimationError
        If fewer than three bins have dispersions that errors do not hide.
    """
    order = np.argsort(r, kind="stable")
    share = (np.arange(_PER_BIN) + 0.5) / _PER_BIN
    kept, log_square, precision = part_moments(
        np.array_split(order, n_bins), square, noise, numbers
    )
    radii = np.array([np.quantile(r[p], share) for p in kept])
    mean = np.zeros(len(kept)) if across is None else np.array([np.mean(across[p]) for p in kept])
    return BinnedMoments(radii, log_square, precision, mean)


def part_moments(
    parts: list[IntArray],
    square: FloatArray,
    noise: FloatArray,
    numbers: FloatArray,
    gaussian: bool = False,
) -> tuple[list[IntArray], FloatArray, FloatArray]:
    """Logarithms of mean squares of parts of the stars, and their precision.

    Parameters
    ----------
    parts
        Row numbers of each.
    square, noise, numbers
        As of :func:`bin_moments`.
    gaussian
        Whether squares scatter as those of Gaussian velocities, and not as those of the stars do.

    Returns
    -------
    kept
        Parts whose moments errors do not hide.
    log_square
        (b, c) ln of the mean square of each component [(km/s)^2], its bias of first order taken off.
    precision
        (b, c, c) inverse covariance.

    Raises
    ------
    EstimationError
        If fewer than three parts have dispersions that errors do not hide.
    """
    mean = np.array([np.mean(square[p] - noise[p], axis=0) for p in parts])
    good = np.all(mean > 0.0, axis=1)
    parts = [p for p, ok in zip(parts, good, strict=True) if ok]
    mean = mean[good]
    blur = [
        np.mean(4.0 * m * noise[p] + 2.0 * noise[p] ** 2, axis=0) / numbers / m**2
        for p, m in zip(parts, mean, strict=True)
    ]
    scatter = [
        np.cov(((square[p] - noise[p]) / m).T, ddof=1).reshape(len(m), len(m)) - np.diag(b)
        for p, m, b in zip(parts, mean, blur, strict=True)
    ]
    if not scatter:
        raise EstimationError("the velocity errors hide the dispersions")
    size, axes = np.linalg.eigh(np.mean(scatter, axis=0))
    usual = (axes * np.maximum(size, _LEAST)) @ axes.T
    if gaussian:
        usual = np.diag(2.0 / numbers)
    covariance = np.array([(usual + np.diag(b)) / len(p) for p, b in zip(parts, blur, strict=True)])
    spread = np.einsum("bii->bi", covariance)
    kept = np.all(spread < _VAGUE**2, axis=1)
    if kept.sum() < 3:
        raise EstimationError(
            "the stars are too few, or the velocity errors too large, for dispersions of three bins"
        )
    log_square = np.log(mean[kept]) + 0.5 * spread[kept]
    chosen = [p for p, ok in zip(parts, kept, strict=True) if ok]
    return chosen, log_square, np.linalg.inv(covariance[kept])


@dataclass(frozen=True, eq=False)
class VirialRatio:
    """Mean fourth power of velocities over that of the squares of their bins' dispersions, as a logarithm.

    The ratio hardly knows of the dispersions themselves, so that their likelihood and its own are two.

    Parameters
    ----------
    log_value, error
        Ln of the ratio, and its standard error.
    shares
        (b,) shares of the stars in bins.
    """

    log_value: float
    error: float
    shares: FloatArray

    def log_likelihood(self, fourth: FloatArray, totals: FloatArray) -> FloatArray:
        """Of model fourth powers (m,) and mean squares in bins (m, b), (m,)."""
        away = np.log(fourth) - np.log(totals**2 @ self.shares) - self.log_value
        return np.asarray(-0.5 * (away / self.error) ** 2)


def virial_ratio(r: FloatArray, square: FloatArray, fourth: FloatArray, n_bins: int) -> VirialRatio:
    """Ratio of all stars, in bins as of :func:`bin_moments`.

    Parameters
    ----------
    r
        (n,) radii [kpc].
    square, fourth
        (n,) second and fourth powers of speeds, freed from errors.
    n_bins
        Number of bins.

    Raises
    ------
    EstimationError
        If the fourth moment is not determined.
    """
    parts = np.array_split(np.argsort(r, kind="stable"), n_bins)
    n = len(r)
    below, influence = 0.0, np.zeros(n)
    shares = np.array([len(p) / n for p in parts])
    top = float(fourth.mean())
    for p, share in zip(parts, shares, strict=True):
        s = float(square[p].mean())
        below += share * (s**2 - float(square[p].var(ddof=1)) / len(p))
        influence[p] = 2.0 * s * (square[p] - s) + s**2
    if not (top > 0.0 and below > 0.0):
        raise EstimationError("the velocity errors hide the fourth moment")
    each = fourth / top - influence / below
    error = float(np.std(each, ddof=1) / np.sqrt(n))
    if error > _VAGUE:
        raise EstimationError("too few stars in the tails to determine the fourth moment")
    return VirialRatio(float(np.log(top / below)), error, shares)
