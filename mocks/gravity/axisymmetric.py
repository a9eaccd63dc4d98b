"""Tables of axisymmetric potentials.

A table holds the potential on a grid of ln r and w = asinh(|cos theta| / thin) / asinh(1 / thin), which is
fine near the plane, with the derivatives that a bicubic needs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.settings import require
from haloassay.mocks.gravity.field_kernels import LN_R0, N_CELLS, STEP

#: Nodes of the table in ln r and w, and the scale of |cos theta| below which w is linear.
N_R: Final = 2 * N_CELLS
N_W: Final = 96
THIN: Final = 0.01


def axisymmetric_table(potential: Callable[[FloatArray, FloatArray], FloatArray]) -> FloatArray:
    """(N_R + 1, N_W + 1, 4) values of a potential, its derivatives by node in ln r, in w, and in both.

    Parameters
    ----------
    potential
        Potential [(km/s)^2], the same on both sides of the plane, at (N,) R and z [kpc].

    Raises
    ------
    InputError
        If it is not finite everywhere.
    """
    from scipy.interpolate import CubicSpline

    r = np.exp(LN_R0 + N_CELLS * STEP / N_R * np.arange(N_R + 1))
    cosine = np.minimum(THIN * np.sinh(np.arcsinh(1.0 / THIN) * np.arange(N_W + 1) / N_W), 1.0)
    R, z = np.outer(r, np.sqrt(1.0 - cosine**2)), np.outer(r, cosine)
    phi = potential(R.ravel(), z.ravel()).reshape(R.shape)
    require(bool(np.isfinite(phi).all()), "a potential is not finite between 1e-3 and 1e4 kpc")
    i, j = np.arange(N_R + 1), np.arange(N_W + 1)
    # symmetric about the plane, where w = 0
    ends: Any = ((1, np.zeros(N_R + 1)), "not-a-knot")
    by_x = CubicSpline(i, phi, axis=0)(i, 1)
    by_w = CubicSpline(j, phi, axis=1, bc_type=ends)(j, 1)
    by_both = CubicSpline(j, by_x, axis=1, bc_type=ends)(j, 1)
    return np.stack([phi, by_x, by_w, by_both], axis=2)
