"""galpy's potentials in three dimensions: spheres, discs in closed form, a table, and multipoles.

What is triaxial is projected onto the harmonics that :mod:`haloassay.mocks.gravity.multipole` keeps, in the axes
that it has: Galactic ones where it is mirrored at their planes, else those of its quadrupole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.cache import cached
from haloassay.base.constants import G
from haloassay.base.errors import InputError
from haloassay.base.settings import require
from haloassay.mocks.backends.galpy.expansions import potential_at
from haloassay.mocks.backends.galpy.members import (
    VERSION,
    Units,
    accelerations,
    at_places,
    fingerprint,
)
from haloassay.mocks.backends.galpy.monopole import mass_table
from haloassay.mocks.backends.galpy.parameters import miyamoto_nagai
from haloassay.mocks.gravity.axisymmetric import N_R, N_W, THIN, axisymmetric_table
from haloassay.mocks.gravity.field_parts import FieldParts
from haloassay.mocks.gravity.fields import field_of
from haloassay.mocks.gravity.multipole import Multipoles, multipoles_of_potential
from haloassay.mocks.gravity.quadrature import sphere_nodes

#: Largest error of the force of a potential, of its own forces, at places between these radii [kpc].
ACCURACY: Final = 1e-3
_LOOKED_AT: Final = (0.1, 300.0)
_N_PLACES: Final = 100

#: Places, in units of a radius, that are looked at for symmetry, and radii [kpc].
_PLACES: Final = np.array([[0.8, 0.5, 0.3], [0.3, 0.8, 0.5], [0.5, 0.3, 0.8]])
_RADII: Final = np.array([1.0, 10.0, 100.0])
#: Difference between mirrored places, in units of that between a radius and twice that radius.
_MIRRORED: Final = 1e-6


def followed_parts(members: Sequence[Any], units: Units, label: str) -> FieldParts:
    """Parts of a field whose sum has galpy's own forces; ``label`` is what errors call it.

    Raises
    ------
    InputError
        If a member is not mirrored at its plane or at three planes, or the force is missed by more than 1e-3
        anywhere between 0.1 and 300 kpc.
    """
    try:
        parts = _parts(members, units)
    except InputError as error:
        raise InputError(f"{label}: {error}") from None
    if parts is None:
        raise InputError(
            f"{label} is not mirrored at three planes through its centre: only its monopole is known here"
        )
    rng = np.random.default_rng(1)
    direction = rng.normal(size=(_N_PLACES, 3))
    direction[::4, 2] *= 0.05  # near a disc
    r = np.geomspace(*_LOOKED_AT, _N_PLACES)
    position = direction * (r / np.linalg.norm(direction, axis=1))[:, None]
    theirs = accelerations(members, units, position)
    misses = np.linalg.norm(field_of([parts]).acceleration(position) - theirs, axis=1)
    errors = misses / np.linalg.norm(theirs, axis=1)
    worst = int(np.argmax(errors))
    require(
        bool(errors[worst] <= ACCURACY),
        f"{label} cannot be followed: its force is off by {errors[worst]:.2g} at {r[worst]:.3g} kpc"
        f" (allowed: {ACCURACY:g}); only its monopole is known here",
    )
    return parts


def _parts(members: Sequence[Any], units: Units) -> FieldParts | None:
    """Take members apart, each of which has :func:`symmetry_axes`; None where one has not."""
    from galpy.potential import MiyamotoNagaiPotential

    ro, vo = units
    spherical: list[Callable[[FloatArray], FloatArray]] = []
    discs, multipoles, rest = [], [], []
    for member in members:
        axes = symmetry_axes(member, units)
        if axes is None:
            return None
        if isinstance(member, MiyamotoNagaiPotential):
            amp, a, b = miyamoto_nagai(member)
            discs.append((amp * vo**2 * ro, a * ro, b * ro))
        elif member.isNonAxi:
            spherical.append(mass_table([member], units, False).enclosed_mass)
            multipoles.append(_multipoles(member, units, axes))
        elif _is_spherical(member):
            spherical.append(_mass(member, units))
        else:
            rest.append(member)
    table = _table(rest, units) if rest else None
    return FieldParts(tuple(spherical), tuple(discs), tuple(multipoles), table)


def symmetry_axes(member: Any, units: Units) -> FloatArray | None:
    """(3, 3) axes in columns at whose planes a potential is mirrored; None without such ones.

    An axisymmetric one is mirrored at its own plane or not at all.
    """
    if _is_mirrored(member, units, np.eye(3)):
        return np.eye(3)
    if not member.isNonAxi:
        return None
    for radius in _RADII:
        axes = _quadrupole_axes(member, units, radius)
        if _is_mirrored(member, units, axes):
            return axes
    return None


def _potential(member: Any, units: Units, position: FloatArray) -> FloatArray:
    """(N,) potential [(km/s)^2] at (N, 3) positions [kpc]."""
    x, y, z = position.T / units.ro
    return potential_at(member, np.hypot(x, y), z, np.arctan2(y, x)) * units.vo**2


def _is_mirrored(member: Any, units: Units, axes: FloatArray) -> bool:
    """Whether places on all sides of three planes are equally deep, at several radii."""
    signs = np.array([[a, b, c] for a in (1, -1) for b in (1, -1) for c in (1, -1)])
    for radius in _RADII:
        inner, outer = (
            np.array([_potential(member, units, r * (signs * place) @ axes.T) for place in _PLACES])
            for r in (radius, 2.0 * radius)
        )
        if not np.all(np.ptp(inner, axis=1) <= _MIRRORED * np.abs(outer - inner).max()):
            return False
    return True


def _quadrupole_axes(member: Any, units: Units, radius: float) -> FloatArray:
    """(3, 3) principal axes, right-handed, of the quadrupole of the potential on a sphere."""
    direction, weight = sphere_nodes(24, 48)
    values = _potential(member, units, radius * direction) * weight
    _, axes = np.linalg.eigh(3.0 * (direction.T * values) @ direction)
    return axes * np.sign(np.linalg.det(axes))


def _table(members: Sequence[Any], units: Units) -> FloatArray:
    """Table of members that are axisymmetric, from the cache where it was made before."""
    import galpy

    def potential(R: FloatArray, z: FloatArray) -> FloatArray:
        where = (R / units.ro, z / units.ro, np.zeros_like(R))
        parts = [potential_at(member, *where) for member in members]
        return np.asarray(np.sum(parts, axis=0) * units.vo**2, dtype=float)

    mark = fingerprint(members, units)
    content = ["galpy-table", VERSION, galpy.__version__, mark, N_R, N_W, THIN]
    return cached(content, lambda: {"table": axisymmetric_table(potential)})["table"]


def _multipoles(member: Any, units: Units, axes: FloatArray) -> Multipoles:
    """Multipoles of one member, from the cache where they were made before."""
    import galpy

    def project() -> dict[str, FloatArray]:
        made = multipoles_of_potential(lambda x: _potential(member, units, x @ axes.T), axes)
        return {"nodes": made.nodes, "degree": np.array(made.degree)}

    mark = fingerprint([member], units)
    content = ["galpy-multipoles", VERSION, galpy.__version__, mark]
    arrays = cached(content, project)
    return Multipoles(axes, int(arrays["degree"]), arrays["nodes"])


def _mass(member: Any, units: Units) -> Callable[[FloatArray], FloatArray]:
    """Mass [Msun] within radii [kpc] of a spherical potential, from its force in the plane."""

    def enclosed_mass(r: FloatArray) -> FloatArray:
        x = np.asarray(r, dtype=float) / units.ro
        nowhere = np.zeros_like(x)
        pull = -at_places(member.Rforce, x, nowhere, nowhere)
        return np.asarray(pull * x**2 * units.ro * units.vo**2 / G, dtype=float)

    return enclosed_mass


def _is_spherical(member: Any) -> bool:
    """Whether the potential is the same in all directions, at several radii."""
    r, sine = np.geomspace(0.01, 10.0, 4), np.array([0.05, 0.5, 0.95])
    R, z = np.outer(r, sine), np.outer(r, np.sqrt(1.0 - sine**2))
    values = potential_at(member, R.ravel(), z.ravel(), np.zeros(R.size)).reshape(R.shape)
    return bool(np.all(np.ptp(values, axis=1) < 1e-11 * np.abs(values[:, 0])))
