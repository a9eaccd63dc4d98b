"""Shares of realisations, and how far they are known: limits of Wilson, which none and all have too.

Of n Bernoulli trials with k hits, the limits at z sigma are all shares p that k is within z sigma of:
(k / n - p)^2 <= z^2 p (1 - p) / n (Wilson 1927, Journal of the American Statistical Association 22, 209; in binomial
trials they hold the true share nearer to their level than the exact limits do, Brown, Cai & DasGupta 2001, Statistical
Science 16, 101).
"""

from __future__ import annotations

from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from haloassay.base.arrays import FloatArray, IntArray

#: Level of the limits that stand beside a share.
LEVEL: Final = 0.95
#: The same in sigma.
_Z: Final = NormalDist().inv_cdf(0.5 + 0.5 * LEVEL)


def wilson(hits: ArrayLike, trials: ArrayLike, z: float = _Z) -> tuple[FloatArray, FloatArray]:
    """Limits of the share of ``hits`` among ``trials`` at ``z`` sigma; NaN where there are no trials."""
    k, n = (np.asarray(x, dtype=float) for x in (hits, trials))
    n = np.where(n > 0.0, n, np.nan)
    middle = (k + 0.5 * z * z) / (n + z * z)
    half = z / (n + z * z) * np.sqrt(k * (n - k) / n + 0.25 * z * z)
    return np.where(k > 0.0, middle - half, 0.0 * n), np.where(k < n, middle + half, n / n)


def share_error(hits: ArrayLike, trials: ArrayLike) -> FloatArray:
    """Half the distance between the limits at one sigma: never zero, and sqrt(p (1 - p) / n) for many trials."""
    k, n = (np.asarray(x, dtype=float) for x in (hits, trials))
    n = np.where(n > 0.0, n, np.nan)
    return np.asarray(np.sqrt(k * (n - k) / n + 0.25) / (n + 1.0))


def pooled_share(hits: FloatArray, groups: IntArray) -> tuple[float, float]:
    """Mean over cells of the share of hits in each, and its error, where trials share random numbers.

    The variance of the mean is that over groups of trials, for which the trials of a group may have anything in common.
    The error is that of :func:`share_error` with this variance in place of that of a binomial, and with as many trials
    as independent ones would have it: no fewer than the groups, which is what is taken where all cells have none or
    all and nothing tells what the trials have in common, and no more than all.

    Parameters
    ----------
    hits
        (n, c) 1 for a hit and 0 for none, of each realisation and cell; NaN where there was no trial.
    groups
        (n,) what each realisation is drawn together with.
    """
    n = np.isfinite(hits).sum(axis=0)
    shares = np.nanmean(hits, axis=0)
    off = np.nan_to_num(hits - shares) / np.sqrt(n * np.maximum(n - 1, 1))
    tried, number = np.unique(groups[np.isfinite(hits).any(axis=1)], return_inverse=True)
    together = np.bincount(number, off.mean(axis=1)[np.isfinite(hits).any(axis=1)])
    variance = float(np.sum(together**2))
    alone = float(np.mean(shares * (1.0 - shares)))
    trials = float(np.clip(alone / variance, len(tried), n.sum())) if variance else len(tried)
    error = np.sqrt(variance + 0.25 / trials**2) * trials / (trials + 1.0)
    return float(shares.mean()), float(error)
