"""Tables of axisymmetric potentials of galpy.

A table holds the potential on a grid of ln r and w = asinh(|cos theta| / thin) / asinh(1 / thin), which is
fine near the plane, with the derivatives that a bicubic needs.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from haloassay.base.cache import cached
from haloassay.base.errors import InputError
from haloassay.mocks.gravity.field_kernels import LN_R0, N_CELLS, STEP
from haloassay.mocks.gravity.galpy_members import Units, at_places, fingerprint

FloatArray = NDArray[np.float64]

#: Nodes of the table in ln r and w, and the scale of |cos theta| below which w is linear.
N_R: Final = 2 * N_CELLS
N_W: Final = 96
THIN: Final = 0.01

#: Raised when the same table comes out differently, so that old ones on disk are not used.
_TABLE_VERSION = 2


def axisymmetric_table(members: Sequence[Any], units: Units) -> FloatArray:
    """(N_R + 1, N_W + 1, 4) potential [(km/s)^2] of the members, its derivatives by node in ln r, in w, and in both.

    Raises
    ------
    InputError
        If it is not finite everywhere.
    """
    import galpy

    mark = fingerprint(members, units)
    content = ["galpy-table", _TABLE_VERSION, galpy.__version__, mark, N_R, N_W, THIN]
    return cached(content, lambda: {"table": _tabulate(members, units)})["table"]


def potential_at(member: Any, R: FloatArray, z: FloatArray, phi: FloatArray) -> FloatArray:
    """(N,) potential in galpy's internal units; its C code is a hundred times faster for expansions."""
    from galpy.potential import DiskSCFPotential, SCFPotential

    if isinstance(member, DiskSCFPotential | SCFPotential) and not member.isNonAxi:
        # by name: in galpy.potential the module is hidden behind a class
        compiled = importlib.import_module("galpy.potential.interpRZPotential")
        values, failed = compiled.eval_potential_c(member, R, z)
        if not failed:
            return np.asarray(values, dtype=float)
    return at_places(member, R, z, phi)


def _tabulate(members: Sequence[Any], units: Units) -> FloatArray:
    from scipy.interpolate import CubicSpline

    r = np.exp(LN_R0 + N_CELLS * STEP / N_R * np.arange(N_R + 1))
    cosine = np.minimum(THIN * np.sinh(np.arcsinh(1.0 / THIN) * np.arange(N_W + 1) / N_W), 1.0)
    R, z = np.outer(r, np.sqrt(1.0 - cosine**2)) / units.ro, np.outer(r, cosine) / units.ro
    anywhere = np.zeros(R.size)
    parts = [potential_at(member, R.ravel(), z.ravel(), anywhere) for member in members]
    phi = np.sum(parts, axis=0).reshape(R.shape) * units.vo**2
    if not np.all(np.isfinite(phi)):
        raise InputError("a galpy potential is not finite between 1e-3 and 1e4 kpc")
    i, j = np.arange(N_R + 1), np.arange(N_W + 1)
    # symmetric about the plane, where w = 0
    ends: Any = ((1, np.zeros(N_R + 1)), "not-a-knot")
    by_x = CubicSpline(i, phi, axis=0)(i, 1)
    by_w = CubicSpline(j, phi, axis=1, bc_type=ends)(j, 1)
    by_both = CubicSpline(j, by_x, axis=1, bc_type=ends)(j, 1)
    return np.stack([phi, by_x, by_w, by_both], axis=2)
