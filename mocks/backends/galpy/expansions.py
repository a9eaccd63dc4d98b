"""galpy's expansions in basis functions, which its compiled code evaluates a hundred times faster than its Python."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.mocks.backends.galpy.members import at_places


def is_expansion(member: Any) -> bool:
    """Whether a potential is an expansion in spherical harmonics, alone or beside a disc."""
    from galpy.potential import DiskSCFPotential, SCFPotential

    return isinstance(member, DiskSCFPotential | SCFPotential)


def has_disc(member: Any) -> bool:
    """Whether a disc, which harmonics do not resolve, stands beside the expansion."""
    from galpy.potential import DiskSCFPotential

    return isinstance(member, DiskSCFPotential)


def potential_at(member: Any, R: FloatArray, z: FloatArray, phi: FloatArray) -> FloatArray:
    """(N,) potential at (N,) places in galpy's internal units, compiled where that is faster."""
    if _is_compiled(member):
        values, failed = _compiled().eval_potential_c(member, R, z)
        if not failed:
            return np.asarray(values, dtype=float)
    return at_places(member, R, z, phi)


def pull_at(
    member: Any, R: FloatArray, z: FloatArray, phi: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """(N,) forces along R and along z at (N,) places, likewise."""
    if _is_compiled(member):
        along_R, failed_R = _compiled().eval_force_c(member, R, z)
        along_z, failed_z = _compiled().eval_force_c(member, R, z, zforce=True)
        if not (failed_R or failed_z):
            return np.asarray(along_R, dtype=float), np.asarray(along_z, dtype=float)
    return at_places(member.Rforce, R, z, phi), at_places(member.zforce, R, z, phi)


def _is_compiled(member: Any) -> bool:
    """Whether the compiled code takes it: it knows no azimuth."""
    return is_expansion(member) and not member.isNonAxi


def _compiled() -> Any:
    # by name: in galpy.potential the module is hidden behind a class
    return importlib.import_module("galpy.potential.interpRZPotential")
