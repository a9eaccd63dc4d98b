"""Distances as surveys publish them: zero points that depend on [Fe/H] and sky, and posteriors under a prior."""

from __future__ import annotations

from typing import Final

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.contracts.frames import sky_basis

#: Nodes of the posterior of a distance, within so many of its errors, and stars at a time.
_NODES: Final = 161
_WIDTH: Final = 8.0
_BLOCK: Final = 2**14
#: Quantiles of a Gaussian at -1, 0 and 1 sigma.
_QUANTILES: Final = (0.158655, 0.5, 0.841345)


def zero_points(
    direction: FloatArray,
    feh: FloatArray,
    feh_slope: float,
    feh_zero: float,
    dipole: tuple[float, float, float],
) -> FloatArray:
    """(N,) offsets of ln(distance): linear in true [Fe/H], and a dipole on the sky.

    Parameters
    ----------
    direction
        (N, 3) unit vectors from the Sun, along Galactocentric axes.
    feh
        (N,) true [Fe/H].
    feh_slope, feh_zero
        Offset for each dex above ``feh_zero``.
    dipole
        Largest offset, and Galactic longitude and latitude [deg] at which it is reached.
    """
    size, lon, lat = dipole
    offset = np.zeros(len(direction))
    if feh_slope != 0.0:
        offset += feh_slope * (feh - feh_zero)
    if size != 0.0:
        offset += size * (direction @ sky_basis(np.array([lon]), np.array([lat]))[0, 0])
    return offset


def posterior_distances(
    distance: FloatArray, sigma: FloatArray, length: float
) -> tuple[FloatArray, FloatArray]:
    """(N,) medians of the posteriors of distances, and half the width of their 68 per cent intervals over that.

    p(d) proportional to N(ln d_measured; ln d, sigma^2) d^2 exp(-d / L): a space density that falls exponentially with
    heliocentric distance (Bailer-Jones 2015, eq. 17, there for a parallax). Where the error is zero the measurement
    stands.

    Parameters
    ----------
    distance, sigma
        Measured distances [kpc], and errors of their logarithm.
    length
        L [kpc].
    """
    median, error = distance.copy(), sigma.copy()
    t = np.linspace(-_WIDTH, _WIDTH, _NODES)
    rows = np.flatnonzero(sigma > 0.0)
    for start in range(0, len(rows), _BLOCK):
        some = rows[start : start + _BLOCK]
        s = sigma[some][:, None]
        u = np.log(distance[some])[:, None] + s * t
        log_p = -0.5 * t**2 + 3.0 * u - np.exp(u) / length  # a density of ln d
        p = np.exp(log_p - log_p.max(axis=1, keepdims=True))
        below = np.cumsum(0.5 * (p[:, 1:] + p[:, :-1]), axis=1)
        below = np.concatenate([np.zeros((len(some), 1)), below], axis=1) / below[:, -1:]
        low, middle, high = (np.exp(_quantile(below, u, q)) for q in _QUANTILES)
        median[some], error[some] = middle, 0.5 * (high - low) / middle
    return median, error


def _quantile(below: FloatArray, u: FloatArray, q: float) -> FloatArray:
    """(N,) places at which cumulative shares (N, k) at nodes (N, k) reach ``q``."""
    k = np.clip(np.sum(below < q, axis=1), 1, below.shape[1] - 1)
    rows = np.arange(len(k))
    lo, hi = below[rows, k - 1], below[rows, k]
    share = (q - lo) / np.maximum(hi - lo, np.finfo(float).tiny)
    return np.asarray(u[rows, k - 1] + share * (u[rows, k] - u[rows, k - 1]))
