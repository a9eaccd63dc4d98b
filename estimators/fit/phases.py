"""Are phases uniform? Statistics of Beloborodov & Levin (2004) and of Han et al. (2016), as logarithms of weights."""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np

from haloassay.base.arrays import FloatArray

#: Phases nearer to 0 and 1 than this are taken for this: they have a logarithm.
_EDGE: Final = 1e-12
#: Anderson-Darling distance up to which the distribution is summed; beyond, its tail is erfc(sqrt(z)).
_TABLE: Final = 8.0


def binned_log_likelihood(counts: FloatArray, expected: FloatArray) -> float:
    """Log likelihood of the radii, ln L = sum_i n_i ln p_i over the bins (Han et al. 2016).

    Parameters
    ----------
    counts
        (n_bins,) stars in each bin.
    expected
        (n_bins,) stars that would be there, were each anywhere on its orbit at random.
    """
    there = counts > 0.0
    return float(np.sum(counts[there] * np.log(np.maximum(expected[there], 1e-300))))


def mean_phase(phases: FloatArray) -> float:
    """Mean phase in units of its scatter, (<theta> - 1/2) sqrt(12 n): a standard normal deviate of uniform phases."""
    return float((np.mean(phases) - 0.5) * np.sqrt(12.0 * len(phases)))


def anderson_darling(phases: FloatArray) -> float:
    """Distance A^2 of Anderson & Darling (1952) of phases (n,) from uniform ones."""
    theta = np.clip(np.sort(phases), _EDGE, 1.0 - _EDGE)
    n = len(theta)
    odd = 2.0 * np.arange(n) + 1.0
    return float(-n - np.mean(odd * (np.log(theta) + np.log1p(-theta[::-1]))))


def anderson_darling_weight(distance: float) -> float:
    """Log weight -s^2 / 2 of a distance A^2: s sigma have the two-sided probability of a larger one."""
    z, half_square = _weights()
    if distance > z[-1]:  # both tails fall as exp(-A^2)
        return float(z[-1] - half_square[-1] - distance)
    return -float(np.interp(distance, z, half_square))


def anderson_darling_survival(z: FloatArray) -> FloatArray:
    """Probability that A^2 of very many uniform deviates is larger than ``z`` (Anderson & Darling 1954).

    A^2 is the sum of squared normal deviates over j (j + 1), j from 1: its tail falls as erfc(sqrt(z)).
    """
    from scipy.special import erfc

    z = np.asarray(z, dtype=float)
    inner = np.clip(z, 0.02, _TABLE)[..., None, None]
    j = np.arange(12)[:, None]
    coefficient = np.cumprod(np.concatenate([[1.0], -(np.arange(1, 12) - 0.5) / np.arange(1, 12)]))
    odd = 4.0 * j + 1.0
    t, w = np.polynomial.legendre.leggauss(80)
    u = 4.0 * (t + 1.0)
    steep = odd * np.pi / np.sqrt(8.0 * inner)
    integrand = np.exp(inner / (8.0 * (1.0 + (u / steep) ** 2)) - u * u - steep**2)
    integral = np.sum(4.0 * w * integrand, axis=-1) / steep[..., 0]
    terms = coefficient * odd[:, 0] * integral
    below = np.sqrt(2.0 * np.pi) / inner[..., 0, 0] * terms.sum(axis=-1)
    tail = erfc(np.sqrt(np.maximum(z, _TABLE))) / erfc(np.sqrt(_TABLE))
    return np.asarray(np.clip(1.0 - below, 0.0, 1.0) * tail)


@cache
def _weights() -> tuple[FloatArray, FloatArray]:
    """Table of A^2, and s^2 / 2 of it."""
    from scipy.special import ndtri

    z = np.linspace(0.0, 30.0, 1501)
    half_square = 0.5 * ndtri(0.5 * anderson_darling_survival(z)) ** 2
    z.flags.writeable = half_square.flags.writeable = False
    return z, half_square
