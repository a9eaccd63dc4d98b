"""How improbable scores are where nothing is wrong, and what would have been found.

The mean of n errors of unknown scatter and skewness is judged by Student's t with the correction for skewness of Hall
(1992, Journal of the Royal Statistical Society B 54, 221), T + g T^2 / (3 sqrt n) + g^2 T^3 / (27 n) + g / (6 sqrt n):
without it, lognormal errors (0.5 in the logarithm) give three times as many false alarms with 40 realisations.
Coverages are judged by the binomial distribution, tests that are judged together after Holm (1979, Scandinavian Journal
of Statistics 6, 65). That something is within limits is shown by one-sided tests, one a limit (Schuirmann 1987, Journal
of Pharmacokinetics and Biopharmaceutics 15, 657).
"""

from __future__ import annotations

import functools
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from haloassay.base.arrays import FloatArray, IntArray
from haloassay.contracts.estimate import INTERVALS

#: Share of n - 1 degrees of freedom that are left, the skewness being estimated too: what holds the rate of false
#: alarms at n = 10 (``benchmarks/verdict.py``).
_FREEDOM: Final = 2.0 / 3.0
#: Degrees of freedom an error of the square of a range of 68 per cent, as of chi^2: 0.54 of Gaussian errors; less holds
#: the rate of false alarms of Student's t of 5 degrees of freedom, too (``benchmarks/error_ratio.py``).
_RANGE_FREEDOM: Final = 0.5
#: Factor by which right intervals are off in the mean where errors are skewed (lognormal, 0.3 in the logarithm).
_SKEWED: Final = 1.05
#: Share of runs in which a fault is to be found for it to count as one that would have been found.
LIKELY: Final = 0.9
#: Level of each of the one-sided tests that show that something is within limits.
SHOWN: Final = 0.05
#: Realisations that are asked for at most; beyond, it is said that no number may do.
MOST: Final = 10**7
#: Errors that are rounding, whatever their own scatter.
_ROUNDING: Final = 1e-9


def bias_p_values(
    bias: ArrayLike, scatter: ArrayLike, skewness: ArrayLike, n: ArrayLike
) -> FloatArray:
    """Probabilities of means as far from zero, of ``n`` errors of this scatter and skewness and no bias."""
    from scipy.special import stdtr

    mean, sd, size = (np.asarray(x, dtype=float) for x in (bias, scatter, n))
    g = np.nan_to_num(np.asarray(skewness, dtype=float))
    with np.errstate(divide="ignore", invalid="ignore"):
        u = np.where(np.abs(mean) < _ROUNDING, 0.0, mean) / sd
    u = np.clip(np.nan_to_num(u), -1e6, 1e6)  # no scatter: 0 / 0 is no bias, all else is one
    u = u + g * u**2 / 3.0 + g**2 * u**3 / 27.0 + g / (6.0 * size)
    return np.asarray(2.0 * stdtr(_FREEDOM * (size - 1.0), -np.abs(u) * np.sqrt(size)))


def ratio_p_values(ratio: ArrayLike, n: ArrayLike) -> FloatArray:
    """Probabilities of stated over found errors as far from one, where stated errors are right.

    Parameters
    ----------
    ratio
        Mean half width of intervals of 68 per cent over half of the range of the central 68 per cent of ``n`` errors;
        a scatter seems too well known where heavy tails happen to be missed.
    n
        Number of errors.
    """
    from scipy.special import chdtr, chdtrc

    x, freedom = np.asarray(ratio, dtype=float), _RANGE_FREEDOM * np.asarray(n, dtype=float)
    away = x / np.clip(x, 1.0 / _SKEWED, _SKEWED)
    with np.errstate(divide="ignore"):
        square = freedom / away**2
    p = 2.0 * np.minimum(chdtr(freedom, square), chdtrc(freedom, square))
    return np.asarray(np.minimum(np.where(away == 1.0, 1.0, p), 1.0))


def bias_found(mcse: ArrayLike, n: ArrayLike, alpha: float) -> FloatArray:
    """Bias that would have been found at ``alpha`` in :data:`LIKELY` of all runs, for errors without skewness."""
    from scipy.special import stdtrit

    freedom = _FREEDOM * (np.asarray(n, dtype=float) - 1.0)
    return np.asarray(
        -(stdtrit(freedom, 0.5 * alpha) + stdtrit(freedom, 1.0 - LIKELY)) * np.asarray(mcse)
    )


def reach(mcse: ArrayLike, n: ArrayLike) -> FloatArray:
    """How far inside a limit a mean of ``n`` has to be to be shown to be inside, at the level :data:`SHOWN`."""
    from scipy.special import stdtrit

    return np.asarray(stdtrit(np.asarray(n, dtype=float) - 1.0, 1.0 - SHOWN) * np.asarray(mcse))


def times_within(room: ArrayLike, mcse: ArrayLike, n: ArrayLike) -> FloatArray:
    """How many times as many realisations are likely to show that a mean is inside limits.

    Parameters
    ----------
    room
        How far inside it is.
    mcse, n
        Its Monte Carlo error, which falls as 1 / sqrt(n), and the number of realisations.

    Returns
    -------
    numpy.ndarray
        Infinite where it is not inside.
    """
    from scipy.special import ndtri

    needed = reach(mcse, n) + ndtri(LIKELY) * np.asarray(mcse)
    return _square_ratio(needed, room)


def times_seen(size: ArrayLike, mcse: ArrayLike, alpha: float) -> FloatArray:
    """How many times as many realisations are likely to see something of this size, of either sign, at ``alpha``."""
    from scipy.special import ndtri

    needed = (ndtri(LIKELY) - ndtri(0.5 * alpha)) * np.asarray(mcse)
    return _square_ratio(needed, size)


def _square_ratio(needed: ArrayLike, there: ArrayLike) -> FloatArray:
    """Return (needed / there)^2, infinite where nothing is there."""
    size = np.asarray(there, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(size > 0.0, (np.asarray(needed) / size) ** 2, np.inf)


def coverage_p_values(hits: ArrayLike, n: ArrayLike, nominal: float) -> FloatArray:
    """Probabilities, twice that of the smaller tail, of ``hits`` among ``n`` intervals of a nominal level."""
    k, size = (np.asarray(x, dtype=float) for x in (hits, n))
    return np.asarray(np.minimum(2.0 * _smaller_tail(k, size, nominal), 1.0))


def _smaller_tail(k: ArrayLike, n: ArrayLike, p: float) -> FloatArray:
    """Probability of ``k`` or fewer of ``n``, or of ``k`` or more, whichever is less."""
    return np.minimum(at_most(k, n, p), at_most(np.subtract(n, k), n, 1.0 - p))


def at_most(k: ArrayLike, n: ArrayLike, p: float) -> FloatArray:
    """Probability of ``k`` or fewer hits among ``n`` at ``p`` each; ``scipy.stats`` takes ten times as long to load."""
    from scipy.special import betainc

    k, size = (np.asarray(x, dtype=float) for x in (k, n))
    inner = betainc(np.maximum(size - k, 1e-300), np.maximum(k, 0.0) + 1.0, 1.0 - p)
    return np.where(k < 0.0, 0.0, np.where(k >= size, 1.0, inner))


def holm(p_values: ArrayLike, alpha: float) -> NDArray[np.bool_]:
    """Which tests fail, so that with a probability of ``alpha`` at most any fails where nothing is wrong."""
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p)
    failed = p[order] <= alpha / (len(p) - np.arange(len(p)))
    found = np.zeros(len(p), dtype=bool)
    found[order] = np.logical_and.accumulate(failed)
    return found


@functools.lru_cache(maxsize=4096)
def narrow_power(n: int, factor: float, alpha: float, levels: tuple[int, ...] = (68, 95)) -> float:
    """Share of runs in which intervals ``factor`` times as wide as they should be are found by their coverage.

    Errors are Gaussian; ``n`` intervals of each of the ``levels`` (68, 95 or both) are judged at ``alpha`` each. Counts
    within both are those of a multinomial distribution, so that the share is exact.
    """
    from scipy.special import gammaln, xlog1py, xlogy

    accepted = [_accepted(n, level / 100.0, alpha) for level in levels]
    true = [_coverage(level, factor) for level in levels]
    lo, hi = accepted[-1]
    within = np.arange(lo, hi + 1)
    ways = gammaln(n + 1.0) - gammaln(within + 1.0) - gammaln(n - within + 1.0)
    weights = np.exp(ways + xlogy(within, true[-1]) + xlog1py(n - within, -true[-1]))
    if len(levels) > 1:
        (lo, hi), share = accepted[0], true[0] / true[1]
        weights = weights * (at_most(hi, within, share) - at_most(lo - 1, within, share))
    return float(1.0 - weights.sum())


@functools.lru_cache(maxsize=1024)
def narrow_found(n: int, alpha: float, levels: tuple[int, ...] = (68, 95)) -> float:
    """How much too narrow, as a share of their width, are intervals that :data:`LIKELY` of all runs would find."""
    lo, hi = 0.0, 1.0
    for _ in range(12):
        middle = 0.5 * (lo + hi)
        found = narrow_power(n, 1.0 - middle, alpha, levels) >= LIKELY
        lo, hi = (lo, middle) if found else (middle, hi)
    return hi


def _coverage(level: int, factor: float) -> float:
    """Coverage of intervals of a level, ``factor`` times as wide as they should be, around Gaussian estimates."""
    from scipy.special import ndtr, ndtri

    end = INTERVALS[2 if level == 68 else 3] / 100.0
    return float(2.0 * ndtr(factor * ndtri(end)) - 1.0)


def _accepted(n: int, nominal: float, alpha: float) -> tuple[int, int]:
    """Fewest and most of ``n`` intervals that may contain the truth without a fault at ``alpha``."""
    hits: IntArray = np.arange(n + 1)
    accepted = np.flatnonzero(_smaller_tail(hits, n, nominal) > 0.5 * alpha)
    return int(accepted[0]), int(accepted[-1])
