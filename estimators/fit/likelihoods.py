"""The likelihood of a Gaussian whose scatter is the stars' own and that of known errors together.

It stands here in the forms that the methods need: star by star, of one quantity, with the mean
integrated over, and with a variance that is read off tables. Those of several quantities at once are
beside it: :mod:`~haloassay.estimators.fit.mixture` (independent, two populations),
:mod:`~haloassay.estimators.fit.ellipsoid` (correlated), and
:mod:`~haloassay.estimators.fit.linear_field` (a mean that is linear in its parameters).

Everywhere ``x`` holds the values of the stars and ``e2`` the variances of their errors; constants
such as ln 2 pi are left out.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.polynomial import chebyshev

from haloassay.base.arrays import FloatArray, IntArray
from haloassay.base.compiled import compiled

#: Reordering of sums and the like, but not the flags that take infinities for impossible.
FAST = {"reassoc", "contract", "arcp", "nsz"}

#: Relative accuracy of sums over stars that are interpolated in ln sigma, and the largest number of nodes.
_ACCURACY: Final = 1e-11
_MOST_NODES: Final = 40

#: Points from which on their likelihoods are read off such sums, and how far in ln sigma they may then reach.
_MANY: Final = 200
_FARTHEST: Final = 1.0


def nodes_across(half: float) -> FloatArray:
    """Chebyshev nodes (n,) in [-1, 1] of functions of sigma^2 + e^2, over ln sigma within ``half`` of a middle."""
    # 1 / (sigma^2 + e^2) has its poles at ln sigma = ln e +- i pi / 2
    ratio = 0.5 * np.pi / half
    convergence = np.log(ratio + np.hypot(1.0, ratio))
    n = int(np.clip(np.ceil(-np.log(_ACCURACY) / convergence), 4, _MOST_NODES))
    return chebyshev.chebpts1(n)


def log_gaussian(square: FloatArray, variance: FloatArray) -> FloatArray:
    """Ln N of deviations from the mean whose squares are ``square``; the arguments are broadcast."""
    return np.asarray(-0.5 * (np.log(variance) + square / variance))


def variance_terms(
    square: FloatArray, variance: FloatArray, e2: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Ln N(x | 0, variance + e2), its slope in ln variance, and the Fisher information of that.

    Parameters
    ----------
    square, variance, e2
        Squares of the values, variances that are looked for, and those of the errors; broadcast.
    """
    total = variance + e2
    ratio, share = square / total, variance / total
    return -0.5 * (np.log(total) + ratio), 0.5 * (ratio - 1.0) * share, 0.5 * share * share


_variance_terms = compiled(variance_terms)


@compiled(fastmath=FAST, error_model="numpy")
def gaussian_log_likelihood(x: FloatArray, e2: FloatArray, points: FloatArray) -> FloatArray:
    """Sum of ln N(x_i | mean, sigma^2 + e2_i) of one quantity (Li 2026, eq. 2).

    Parameters
    ----------
    x, e2
        (n,) values and variances of their errors.
    points
        (m, 2) mean and sigma.

    Returns
    -------
    ndarray
        (m,) log likelihoods.
    """
    out = np.empty(len(points))
    full = len(x) - len(x) % 4
    for p in range(len(points)):
        mean, variance = points[p, 0], points[p, 1] ** 2
        chi2, logs = 0.0, 0.0
        for i in range(0, full, 4):
            product = 1.0
            for j in range(i, i + 4):
                total = variance + e2[j]
                d = x[j] - mean
                chi2 += d * d / total
                product *= total
            logs += np.log(product)
        for i in range(full, len(x)):
            total = variance + e2[i]
            d = x[i] - mean
            chi2 += d * d / total
            logs += np.log(total)
        out[p] = -0.5 * (chi2 + logs)
    return out


def gaussian_log_likelihoods(x: FloatArray, e2: FloatArray, points: FloatArray) -> FloatArray:
    """:func:`gaussian_log_likelihood` of few points; of many of a posterior, from sums over the stars.

    For a given sigma, it is a parabola in the mean; its coefficients are smooth functions of ln sigma, which
    Chebyshev's polynomials give to 1e-11 from a dozen nodes. So the time does not go as stars times points. Points far
    from the others are computed star by star.
    """
    positive = points[:, 1] > 0.0
    if np.count_nonzero(positive) < _MANY:
        return np.asarray(gaussian_log_likelihood(x, e2, points))
    log_sigma = np.log(np.where(positive, points[:, 1], 1.0))
    middle, mean = np.median(log_sigma[positive]), np.median(points[:, 0])
    near = positive & (np.abs(log_sigma - middle) <= _FARTHEST)
    reach = max(float(np.max(np.abs(log_sigma[near] - middle))), 1e-3)
    nodes = nodes_across(reach)
    sums = _parabolas(x, e2, mean, np.exp(2.0 * (middle + reach * nodes)))
    coefficients = np.linalg.solve(chebyshev.chebvander(nodes, len(nodes) - 1), sums)
    out = np.empty(len(points))
    basis = chebyshev.chebvander((log_sigma[near] - middle) / reach, len(nodes) - 1)
    fixed, first, second = (basis @ coefficients).T
    shift = points[near, 0] - mean
    out[near] = -0.5 * (fixed + shift * (shift * second - 2.0 * first))
    out[~near] = gaussian_log_likelihood(x, e2, points[~near])
    return out


@compiled(fastmath=FAST, error_model="numpy")
def _parabolas(x: FloatArray, e2: FloatArray, mean: float, variance: FloatArray) -> FloatArray:
    """Sum d^2 / t + ln t, d / t and 1 / t over the stars, (m, 3), with d = x - mean and t = variance (m,) + e2."""
    out = np.empty((len(variance), 3))
    for k in range(len(variance)):
        fixed, first, second = 0.0, 0.0, 0.0
        for i in range(len(x)):
            total = variance[k] + e2[i]
            weight, d = 1.0 / total, x[i] - mean
            fixed += d * d * weight + np.log(total)
            first += d * weight
            second += weight
        out[k] = fixed, first, second
    return out


@compiled
def gaussian_derivatives(
    x: FloatArray, e2: FloatArray, point: FloatArray
) -> tuple[float, FloatArray, FloatArray]:
    """Value, gradient (2,) and Hessian (2, 2) of :func:`gaussian_log_likelihood` at one point."""
    mean, sigma = point
    value, g, H = 0.0, np.zeros(2), np.zeros((2, 2))
    for i in range(len(x)):
        w = 1.0 / (sigma * sigma + e2[i])
        u = w * (x[i] - mean)
        value -= 0.5 * (u * (x[i] - mean) - np.log(w))
        excess = u * u - w
        g[0] += u
        g[1] += sigma * excess
        H[0, 0] -= w
        H[0, 1] -= 2.0 * sigma * w * u
        H[1, 1] += excess - 2.0 * sigma * sigma * w * (u * u + excess)
    H[1, 0] = H[0, 1]
    return value, g, H


@compiled
def variance_log_likelihood(
    variance: FloatArray, x: FloatArray, e2: FloatArray, free: bool
) -> FloatArray:
    """Sum (m,) of ln N(x_i | mean, variance + e2_i), the mean zero or integrated over.

    Parameters
    ----------
    variance
        (m,) variances, so large that none is zero together with an error.
    x, e2
        (n,) values and variances of their errors.
    free
        Whether the mean is integrated over, with a flat prior, instead of being zero.
    """
    out = np.empty(len(variance))
    for k in range(len(variance)):
        logs = chi2 = weight = first = 0.0
        for i in range(len(x)):
            total = variance[k] + e2[i]
            if total <= 0.0:
                total = 1e-300
            logs += np.log(total)
            chi2 += x[i] * x[i] / total
            weight += 1.0 / total
            first += x[i] / total
        out[k] = -0.5 * (logs + chi2)
        if free:
            out[k] += 0.5 * (first * first / weight - np.log(weight))
    return out


@compiled
def variance_information(variance: FloatArray, e2: FloatArray) -> FloatArray:
    """Sum (m,) of (variance + e2_i)^-2: twice the Fisher information of the variance."""
    out = np.zeros(len(variance))
    for k in range(len(variance)):
        for i in range(len(e2)):
            total = max(variance[k] + e2[i], 1e-300)
            out[k] += 1.0 / (total * total)
    return out


@compiled
def tabulated_log_likelihood(
    square: FloatArray,
    noise: FloatArray,
    cell: IntArray,
    across: FloatArray,
    table: FloatArray,
    norm: FloatArray,
    steps: int,
) -> tuple[FloatArray, FloatArray]:
    """Log likelihood (m,) of variances read off tables, at a norm (m,) or at the best one, and the norm.

    The variance of a star is norm times one column of a table, plus the table's last column, plus that
    of its error.

    Parameters
    ----------
    square, noise
        (n,) squares of the deviations from the mean, and variances of their errors.
    cell, across
        (n,) cell of the table that a star is in, and how far it is across, from 0 to 1.
    table
        (k, m + 1) variances at the nodes: per unit of norm, for each of m shapes; then what is fixed.
    norm
        (m,) norms, or where to start from.
    steps
        Most steps towards the best norm, Fisher's in its logarithm; 0 to stay.
    """
    m = len(norm)
    out, best = np.full(m, -np.inf), norm.copy()
    for j in range(m):
        if not best[j] > 0.0:
            if steps == 0:
                continue
            best[j] = square.mean() / table[len(table) // 2, j]
        for step in range(steps + 1):
            value, score, information = 0.0, 0.0, 0.0
            for i in range(len(square)):
                k, f = cell[i], across[i]
                halo = best[j] * ((1.0 - f) * table[k, j] + f * table[k + 1, j])
                fixed = (1.0 - f) * table[k, m] + f * table[k + 1, m] + noise[i]
                log_n, slope, known = _variance_terms(square[i], halo, fixed)
                value += log_n
                score += slope
                information += known
            out[j] = value
            change = min(1.0, max(-1.0, score / information))
            if step == steps or abs(change) < 1e-5:
                break
            best[j] *= np.exp(change)
    return out, best
