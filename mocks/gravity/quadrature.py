"""Nodes and weights for averages over the sphere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from haloassay.base.arrays import FloatArray

#: Scale of |cos theta| above which :func:`polar_nodes` spread out: a disc as thin as a thousandth of the radius is
#: resolved.
_THIN: Final = 1e-3


def polar_nodes(n: int = 48) -> tuple[FloatArray, FloatArray]:
    """(2 n,) nodes of cos theta over both hemispheres, dense near the plane, and weights that sum to 1.

    Gauss-Legendre over u with cos theta = +-0.001 sinh u.
    """
    x, w = np.polynomial.legendre.leggauss(n)
    u_max = np.arcsinh(1.0 / _THIN)
    u = 0.5 * u_max * (x + 1.0)
    cosine, weight = _THIN * np.sinh(u), 0.25 * u_max * w * _THIN * np.cosh(u)
    return np.concatenate([-cosine, cosine]), np.concatenate([weight, weight])


def sphere_nodes(n: int, n_azimuth: int) -> tuple[FloatArray, FloatArray]:
    """(n n_azimuth, 3) directions over the sphere and weights that sum to 1, exact for l < 2 n and m < n_azimuth."""
    cosine, weight = np.polynomial.legendre.leggauss(n)
    azimuth = 2.0 * np.pi * np.arange(n_azimuth) / n_azimuth
    sine = np.sqrt(1.0 - cosine**2)
    directions = np.stack(
        [
            np.outer(sine, np.cos(azimuth)),
            np.outer(sine, np.sin(azimuth)),
            np.outer(cosine, np.ones(n_azimuth)),
        ],
        axis=-1,
    )
    return directions.reshape(-1, 3), np.repeat(weight / (2 * n_azimuth), n_azimuth)


def octant(n: int) -> tuple[FloatArray, FloatArray]:
    """Directions over one octant and weights that sum to 1, exact for even harmonics up to 2 n."""
    t, w = np.polynomial.legendre.leggauss(n)
    cosine, azimuth = 0.5 * (t + 1.0), 0.5 * np.pi * (np.arange(n) + 0.5) / n
    sine = np.sqrt(1.0 - cosine**2)
    directions = np.stack(
        [
            np.outer(sine, np.cos(azimuth)),
            np.outer(sine, np.sin(azimuth)),
            np.outer(cosine, np.ones(n)),
        ],
        axis=-1,
    )
    return directions.reshape(-1, 3), np.repeat(0.5 * w / n, n)


def sphere_average(function: Callable[[FloatArray], FloatArray], n: int = 32) -> FloatArray:
    """Mean over the sphere of a function of (M, 3) directions that is symmetric about three planes."""
    directions, weight = octant(n)
    return np.asarray(function(directions) @ weight, dtype=float)
