"""Means of powers of normal deviates, <(a + sigma z)_+^p>, from a table of what is left of them when scaled.

With sigma the mean is sigma^p m(a / sigma, p), a parabolic cylinder function of two numbers. Its logarithm is tabulated
in u = a / sigma up to u = 6 and, less p ln u, in 1 / u^2 beyond, where it is zero for sigma = 0. Each piece is a
polynomial in its place on the line and a sum of Chebyshev polynomials in ln(p + 1).
"""

from __future__ import annotations

import functools
from typing import Final

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.compiled import compiled
from haloassay.estimators.fit.chebyshev import zeros

#: Errors from the edge of the tail beyond which there is nothing, and from which on a power is nearly its own mean.
FAR: Final = 6.0

#: Pieces of the line up to u = 6, and of 1 / u^2 beyond.
_NEAR_PIECES: Final = 12
_FAR_PIECES: Final = 2
#: Degree of a piece's polynomial, and Chebyshev polynomials in ln(p + 1).
_DEGREE: Final = 7
_ORDERS: Final = 14


def _log_means(u: FloatArray, p: FloatArray) -> FloatArray:
    """Ln <(u + z)_+^p> at ``u`` (m, 1), ``p`` (1, n), by quadrature in the fourth root, which is smooth at zero."""
    x, w = np.polynomial.legendre.leggauss(160)
    top = 0.5 * (u + np.sqrt(u * u + 4.0 * p))
    lo, hi = np.maximum(top - 9.0, 0.0) ** 0.25, (top + 9.0) ** 0.25
    half = (0.5 * (hi - lo))[..., None]
    y = lo[..., None] + half * (x + 1.0)
    t = y**4
    exponent = (4.0 * p[..., None] + 3.0) * np.log(y) - 0.5 * (t - u[..., None]) ** 2
    most = exponent.max(axis=-1, keepdims=True)
    total = np.sum(4.0 * half * w * np.exp(exponent - most), axis=-1)
    return np.asarray(np.log(total / np.sqrt(2.0 * np.pi)) + most[..., 0])


@functools.lru_cache(maxsize=32)
def power_table(lo: float, hi: float) -> FloatArray:
    """Table (pieces, degree + 1, orders) of powers p from ``lo`` to ``hi``, which :func:`at_power` takes to one p."""
    x, q = zeros(_DEGREE + 1), zeros(_ORDERS)
    a, b = np.log1p(lo), np.log1p(hi)
    p = np.expm1(0.5 * (a + b) + 0.5 * (b - a) * q)[None]
    near = -FAR + 2.0 * FAR / _NEAR_PIECES * (np.arange(_NEAR_PIECES)[:, None] + 0.5 * (x + 1.0))
    far = (np.arange(_FAR_PIECES)[:, None] + 0.5 * (x + 1.0)) / (_FAR_PIECES * FAR**2)
    u = np.concatenate([near.ravel(), far.ravel() ** -0.5])[:, None]
    values = _log_means(u, p)
    values[near.size :] -= p * np.log(u[near.size :])
    values = values.reshape(-1, _DEGREE + 1, _ORDERS)
    in_place = np.linalg.inv(np.vander(x, increasing=True))
    in_power = np.linalg.inv(np.polynomial.chebyshev.chebvander(q, _ORDERS - 1)).T
    return np.ascontiguousarray(in_place @ values @ in_power)


@compiled
def at_power(table: FloatArray, lo: float, hi: float, p: float) -> FloatArray:
    """Polynomials (pieces, degree + 1) of the power ``p``, of a table from ``lo`` to ``hi``."""
    pieces, terms, orders = table.shape
    a, b = np.log1p(lo), np.log1p(hi)
    q = 2.0 * (np.log1p(p) - a) / (b - a) - 1.0
    out = np.empty((pieces, terms))
    for i in range(pieces):
        for d in range(terms):
            before, last, total = 0.0, 1.0, table[i, d, 0]
            now = q
            for j in range(1, orders):
                total += table[i, d, j] * now
                before, last = last, now
                now = 2.0 * q * last - before
            out[i, d] = total
    return out


@compiled
def log_power(a: float, sigma: float, p: float, polynomials: FloatArray) -> float:
    """Ln of <(a + sigma z)_+^p>, of the polynomials of p; -inf six errors beyond the edge."""
    if a <= -FAR * sigma:
        return -np.inf
    if a > FAR * sigma:
        log_scale = p * np.log(a)
        place = (sigma / a) ** 2 * (FAR * FAR * _FAR_PIECES)
        piece = min(int(place), _FAR_PIECES - 1)
        x = 2.0 * (place - piece) - 1.0
        piece += _NEAR_PIECES
    else:
        log_scale = p * np.log(sigma)
        place = (a / sigma + FAR) * (_NEAR_PIECES / (2.0 * FAR))
        piece = min(int(place), _NEAR_PIECES - 1)
        x = 2.0 * (place - piece) - 1.0
    total = 0.0
    for d in range(_DEGREE, -1, -1):
        total = total * x + polynomials[piece, d]
    return float(log_scale + total)
