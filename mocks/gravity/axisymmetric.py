"""galpy's axisymmetric potentials in three dimensions: spheres, discs in closed form, and one table.

The table holds the potential of everything else on a grid of ln r and w = asinh(|cos theta| / thin) /
asinh(1 / thin), which is fine near the plane, with the derivatives that a bicubic needs.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from haloassay.cache import cached
from haloassay.constants import G
from haloassay.errors import InputError
from haloassay.mocks.gravity.field_kernels import LN_R0, N_CELLS, STEP
from haloassay.mocks.gravity.galpy_potential import named_potential

FloatArray = NDArray[np.float64]

#: Nodes of the table in ln r and w, and the scale of |cos theta| below which w is linear.
N_R: Final = 2 * N_CELLS
N_W: Final = 96
THIN: Final = 0.01

#: Raised when the same table comes out differently, so that old ones on disk are not used.
_TABLE_VERSION = 1


class AxisymmetricParts(NamedTuple):
    """What a galpy potential is made of.

    Parameters
    ----------
    spherical
        Functions of radius [kpc]: mass [Msun] within it.
    discs
        G M [kpc (km/s)^2], a and b [kpc] of Miyamoto-Nagai discs.
    table
        (N_R + 1, N_W + 1, 4) potential [(km/s)^2] of the rest, its derivatives by node in ln r, in
        w, and in both; None where nothing is left.
    """

    spherical: tuple[Callable[[FloatArray], FloatArray], ...]
    discs: tuple[tuple[float, float, float], ...]
    table: FloatArray | None


def galpy_parts(name: str) -> AxisymmetricParts:
    """Take a potential that galpy knows by ``name`` apart.

    Raises
    ------
    InputError
        If a part of it is not axisymmetric.
    """
    from galpy.potential import MiyamotoNagaiPotential
    from galpy.util.conversion import get_physical

    potential = named_potential(name)
    units = get_physical(potential)
    ro, vo = units["ro"], units["vo"]
    spherical, discs, rest = [], [], []
    for member in potential if isinstance(potential, Iterable) else [potential]:
        if member.isNonAxi:
            raise InputError(
                f"galpy potential {name!r} is not axisymmetric: only its monopole is known here"
            )
        if isinstance(member, MiyamotoNagaiPotential):
            discs.append((member._amp * vo**2 * ro, member._a * ro, member._b * ro))
        elif _is_spherical(member):
            spherical.append(_mass(member, ro, vo))
        else:
            rest.append(member)
    table = None
    if rest:
        import galpy

        content = ["galpy-table", _TABLE_VERSION, galpy.__version__, name, N_R, N_W, THIN]
        table = cached(content, lambda: {"table": _tabulate(rest, ro, vo)})["table"]
    return AxisymmetricParts(tuple(spherical), tuple(discs), table)


def _mass(member: Any, ro: float, vo: float) -> Callable[[FloatArray], FloatArray]:
    """Mass [Msun] within radii [kpc] of a spherical potential, from its force in the plane."""

    def enclosed_mass(r: FloatArray) -> FloatArray:
        x = np.asarray(r, dtype=float) / ro
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # galpy's expansions warn of their own far limits
            pull = np.array([-member.Rforce(R, 0.0, use_physical=False) for R in x])
        return np.asarray(pull * x**2 * ro * vo**2 / G, dtype=float)

    return enclosed_mass


def _is_spherical(member: Any) -> bool:
    """Whether the potential is the same in all directions, at several radii."""
    r, sine = np.geomspace(0.01, 10.0, 4), np.array([0.05, 0.5, 0.95])
    R, z = np.outer(r, sine), np.outer(r, np.sqrt(1.0 - sine**2))
    values = _potential(member, R.ravel(), z.ravel()).reshape(R.shape)
    return bool(np.all(np.ptp(values, axis=1) < 1e-11 * np.abs(values[:, 0])))


def _potential(member: Any, R: FloatArray, z: FloatArray) -> FloatArray:
    """Potential in galpy's internal units; its C code is a hundred times faster for expansions."""
    from galpy.potential import DiskSCFPotential, SCFPotential

    if isinstance(member, DiskSCFPotential | SCFPotential):
        # by name: in galpy.potential the module is hidden behind a class
        compiled = importlib.import_module("galpy.potential.interpRZPotential")
        values, failed = compiled.eval_potential_c(member, R, z)
        if not failed:
            return np.asarray(values, dtype=float)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # galpy's expansions warn of their own far limits
        return np.array([member(a, b, use_physical=False) for a, b in zip(R, z, strict=True)])


def _tabulate(members: list[Any], ro: float, vo: float) -> FloatArray:
    from scipy.interpolate import CubicSpline

    r = np.exp(LN_R0 + N_CELLS * STEP / N_R * np.arange(N_R + 1))
    cosine = np.minimum(THIN * np.sinh(np.arcsinh(1.0 / THIN) * np.arange(N_W + 1) / N_W), 1.0)
    R, z = np.outer(r, np.sqrt(1.0 - cosine**2)) / ro, np.outer(r, cosine) / ro
    parts = [_potential(member, R.ravel(), z.ravel()) for member in members]
    phi = np.sum(parts, axis=0).reshape(R.shape) * vo**2
    if not np.all(np.isfinite(phi)):
        raise InputError("a galpy potential is not finite between 1e-3 and 1e4 kpc")
    i, j = np.arange(N_R + 1), np.arange(N_W + 1)
    # symmetric about the plane, where w = 0
    ends: Any = ((1, np.zeros(N_R + 1)), "not-a-knot")
    by_x = CubicSpline(i, phi, axis=0)(i, 1)
    by_w = CubicSpline(j, phi, axis=1, bc_type=ends)(j, 1)
    by_both = CubicSpline(j, by_x, axis=1, bc_type=ends)(j, 1)
    return np.stack([phi, by_x, by_w, by_both], axis=2)
