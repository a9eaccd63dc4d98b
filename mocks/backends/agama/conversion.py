"""Potentials to and from agama (Vasiliev 2019, MNRAS 482, 1525).

Masses go by this package's G, which differs from agama's in the tenth digit, so that forces agree.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.constants import GYR_PER_KPC_KMS, G
from haloassay.base.errors import InputError
from haloassay.base.settings import require
from haloassay.contracts import profiles
from haloassay.mocks.backends.agama.library import library, library_with_units
from haloassay.mocks.gravity.field_parts import FieldParts, Flattened
from haloassay.mocks.gravity.mass_table import MassTable
from haloassay.mocks.gravity.potentials import (
    NFW,
    Component,
    CompositePotential,
    Hernquist,
    MWPotential2014Baryons,
    Plummer,
    PointMass,
)
from haloassay.mocks.gravity.quadrature import polar_nodes
from haloassay.mocks.gravity.shapes import AxisRatioTable, rotation_matrix
from haloassay.mocks.gravity.triaxial import TriaxialNFW

#: Grid of a spherical potential that agama has no closed form for: forces good to 1e-9.
_SPHERE: Final = {"symmetry": "s", "lmax": 0, "gridSizeR": 800, "rmin": 1e-5, "rmax": 1e5}
#: Grid of a triaxial one, and of one whose axis ratios change: forces good to 1e-8 and 1e-5.
_TRIAXIAL: Final = {"symmetry": "t", "lmax": 16, "gridSizeR": 120, "rmin": 1e-3, "rmax": 1e4}
_CHANGING: Final = _TRIAXIAL | {"lmax": 20, "gridSizeR": 240}

#: Radii [kpc] at which a guess of what a potential is is put to the test, and how well it must do.
_PROBES: Final = np.geomspace(1e-2, 1e3, 26)
_SAME: Final = 1e-10

#: Radius [kpc] beyond which the mass of what is tabulated is taken as complete: agama's flattened
#: spheroids are off by ten per cent at ten times that.
_COMPLETE: Final = 1e4

#: Times [Gyr] and places [kpc] at which a force is asked whether it changes.
_TIMES: Final = (-9.0, -0.37, 0.0, 0.11, 2.3)
_PLACES: Final = np.array([[4.0, 2.0, 1.0], [-11.0, 6.0, -7.0], [30.0, -40.0, 20.0]])


class NoCounterpartError(InputError):
    """A component that agama has only as its spherical average; ``reason`` says which."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"{reason}; monopole=True converts its spherical average")
        self.reason = reason


@dataclass(frozen=True)
class AgamaAverage(MassTable):
    """Spherical average of potentials of agama that are no spheres, whose field nothing here can follow.

    Parameters
    ----------
    names
        What agama calls them.
    """

    names: str = ""

    @property
    def label(self) -> str:
        """What to call it in an error."""
        return f"agama potential {self.names!r}"

    def field_parts(self) -> FieldParts:
        """Raise :class:`InputError`: in place of a disc, a sphere would be followed without a word."""
        raise InputError(f"{self.label}: only its spherical average is known here")


def to_agama(potential: CompositePotential, *, monopole: bool = False) -> Any:
    """Convert a mock's potential to one of agama's.

    ``nfw``, ``hernquist``, ``plummer``, ``point-mass`` and the disc of ``mwpotential2014-baryons`` are
    agama's own closed forms; other spheres are a spline whose forces are good to 1e-9, triaxial halos
    a multipole expansion. Other flattened kinds (``galpy``) have no counterpart but their monopole.

    Parameters
    ----------
    potential
        What is to be converted.
    monopole
        Whether flattened components enter by their spherical average.

    Returns
    -------
    agama.Potential
        Sum of all components, in kpc, km/s and Msun.

    Raises
    ------
    InputError
        If agama is not installed or has other units, or a component has no counterpart.
    """
    agama = library()
    parts = [_part(agama, component, monopole) for component in potential.components]
    members = [member for part in parts for member in part]
    return members[0] if len(members) == 1 else agama.Potential(*members)


def turned(pot: Any, axes: FloatArray) -> Any:
    """Potential of agama's as it is in other coordinates, along ``axes`` (3, 3: columns are Galactic vectors).

    Raises
    ------
    InputError
        If agama is not installed or has other units.
    """
    return library().Potential(potential=pot, orientation=_euler_angles(axes))


def from_agama(pot: Any, *, dark: Sequence[bool] | None = None) -> CompositePotential:
    """Potential of a mock from a potential of agama.

    In closed form: spheres of NFW, Hernquist (Dehnen with gamma = 1), Plummer and Kepler about the
    origin. All others enter together by their spherical average, tabulated to 1e-7 where it is
    smooth (:class:`~haloassay.mocks.gravity.mass_table.MassTable`), as complete at 1e4 kpc. Where one of these
    is no sphere, mocks that follow stars in the field refuse it (:class:`AgamaAverage`).

    Parameters
    ----------
    pot
        Potential made while agama's units were kpc, km/s and Msun, or a list of them.
    dark
        For each member whether it counts for the virial mass of the dark halo; by default an NFW
        sphere does, and all else (which may be a bulge) does not.

    Raises
    ------
    InputError
        If agama is not installed, has no or other units, ``pot`` is none of its potentials, changes
        with time, or has no positive mass.
    """
    agama = library_with_units()
    given = [*pot] if isinstance(pot, list | tuple) else [pot]
    strange = next((type(p).__name__ for p in given if not isinstance(p, agama.Potential)), None)
    require(strange is None, f"expected an agama potential or a list of them (got {strange})")
    members = [member for one in given for member in _flat(one)]
    require(
        dark is None or len(dark) == len(members),
        f"dark needs one value for each of {len(members)} potentials",
    )
    wanted: list[bool | None] = [None] * len(members) if dark is None else list(dark)
    for member in members:
        _require_static(member)
    components: list[Component] = []
    rest: dict[bool, list[Any]] = {False: [], True: []}
    for member, is_dark in zip(members, wanted, strict=True):
        component = _closed_form(member, is_dark)
        if component is None:
            rest[bool(is_dark)].append(member)
        else:
            components.append(component)
    for is_dark, some in rest.items():
        if some:
            components.append(_table(some, is_dark))
    return CompositePotential(tuple(components))


def _part(agama: Any, component: Component, monopole: bool) -> list[Any]:
    """Agama's potentials of one component."""
    make, unit = agama.Potential, G / agama.G
    if isinstance(component, NFW):
        mass, r_s = component.scales
        return [make(type="NFW", mass=mass * unit, scaleRadius=r_s)]
    if isinstance(component, Hernquist):
        scale = {"mass": component.mass * unit, "scaleRadius": component.a}
        return [make(type="Dehnen", gamma=1, **scale)]
    if isinstance(component, Plummer):
        return [make(type="Plummer", mass=component.mass * unit, scaleRadius=component.a)]
    if isinstance(component, PointMass):
        return [make(type="Plummer", mass=component.mass * unit, scaleRadius=0)]
    if not monopole and isinstance(component, MWPotential2014Baryons):
        mass, a, b = profiles.MWPOTENTIAL2014_DISC
        disc = {"mass": component.factor * mass * unit, "scaleRadius": a, "scaleHeight": b}

        def bulge(r: FloatArray) -> FloatArray:
            return component.factor * profiles.bulge_potential(r, *profiles.MWPOTENTIAL2014_BULGE)

        return [_sphere(agama, bulge), make(type="MiyamotoNagai", **disc)]
    if not monopole and isinstance(component, TriaxialNFW):
        return [_triaxial(agama, component, unit)]
    if not monopole and isinstance(component, AgamaAverage):
        raise NoCounterpartError(f"{component.label} is known by its spherical average alone")
    if not monopole and isinstance(component, Flattened):
        raise NoCounterpartError(f"{component.label} has no counterpart in agama")
    return [_sphere(agama, component.potential)]


def _sphere(agama: Any, potential: Callable[[FloatArray], FloatArray]) -> Any:
    """Spline of a spherical potential [(km/s)^2]."""

    def at(x: FloatArray) -> FloatArray:
        return potential(np.maximum(np.linalg.norm(x, axis=1), 1e-12))

    return agama.Potential(type="Multipole", potential=at, **_SPHERE)


def _triaxial(agama: Any, halo: TriaxialNFW, unit: float) -> Any:
    """Multipole expansion of a triaxial NFW halo, in agama's own profile where its axis ratios are numbers."""
    if isinstance(halo.axis_ratios, AxisRatioTable):

        def density(x: FloatArray) -> FloatArray:
            # agama asks at the centre too, where the density is infinite
            return halo.density_at(np.where(x == 0.0, 1e-12, x)) * unit

        upright = agama.Potential(type="Multipole", density=density, **_CHANGING)
    else:
        # rho(x^2 + (y/b)^2 + (z/c)^2)
        b, c = halo.axis_ratios
        mass, r_s = halo.scales
        spheroid = agama.Density(
            type="Spheroid",
            densityNorm=mass / (4.0 * np.pi * r_s**3) * unit,
            gamma=1,
            beta=3,
            scaleRadius=r_s / np.cbrt(b * c),
            axisRatioY=b,
            axisRatioZ=c,
        )
        upright = agama.Potential(type="Multipole", density=spheroid, **_TRIAXIAL)
    return turned(upright, rotation_matrix(halo.tilt).T) if any(halo.tilt) else upright


def _euler_angles(rotation: FloatArray) -> list[float]:
    """Angles of turns about z, new x, new z that bring the Galactic axes to the body's ``rotation`` (3, 3)."""
    sin_beta = np.hypot(rotation[2, 0], rotation[2, 1])
    beta = np.arctan2(sin_beta, rotation[2, 2])
    if sin_beta < 1e-12:
        alpha, gamma = np.arctan2(rotation[0, 1], rotation[0, 0]), 0.0
    else:
        alpha = np.arctan2(rotation[2, 0], -rotation[2, 1])
        gamma = np.arctan2(rotation[0, 2], rotation[1, 2])
    return [float(alpha), float(beta), float(gamma)]


def _flat(pot: Any) -> list[Any]:
    """Members of a sum; a potential with a modifier has a member too, but is none."""
    if not str(pot).startswith("CompositePotential"):
        return [pot]
    return [member for i in range(len(pot)) for member in _flat(pot[i])]


def _name(member: Any) -> str:
    return re.sub(r" \(symmetry.*", "", str(member))


def _require_static(member: Any) -> None:
    """Refuse a potential that rotates, grows or moves: asked at a few times and places."""
    times = (t / GYR_PER_KPC_KMS for t in _TIMES)
    forces = np.array([member.force(_PLACES, t=t) for t in times])
    require(
        bool(np.all(np.ptp(forces, axis=0) <= 1e-9 * np.abs(forces).max())),
        f"agama's {_name(member)} changes with time (it rotates, grows or moves) and cannot be converted",
    )


def _closed_form(member: Any, dark: bool | None) -> Component | None:
    """Component with the same forces, where there is one that is as dark.

    agama does not tell the parameters of a potential: they are worked out from its depth, mass and
    density, and must then give its forces everywhere.
    """
    name = _name(member)
    depth = -float(member.potential(0.0, 0.0, 0.0))
    guess: Component | None = None
    if name == "NFW" and dark is not False:
        # (r rho)^(-1/2) is proportional to r + r_s
        near, far = _PROBES[0], _PROBES[-1]
        a, b = ((r * float(member.density(r, 0.0, 0.0))) ** -0.5 for r in (near, far))
        r_s = (a * far - b * near) / (b - a)
        if r_s > 0.0:
            guess = NFW(rho0=depth / (4.0 * np.pi * G * r_s**2), r_s=r_s)
    elif name in ("Plummer", "Dehnen"):
        mass = float(member.totalMass()) * library().G / G
        if np.isfinite(depth):
            kind = Plummer if name == "Plummer" else Hernquist
            guess = kind(mass, G * mass / depth, bool(dark))
        elif not dark:
            guess = PointMass(mass)
    return guess if guess is not None and _has_forces_of(guess, member) else None


def _has_forces_of(component: Component, member: Any) -> bool:
    """Whether forces agree to rounding, at many radii in directions of no symmetry."""
    directions = _PLACES / np.linalg.norm(_PLACES, axis=1)[:, None]
    x = (_PROBES[:, None, None] * directions).reshape(-1, 3)
    r = np.linalg.norm(x, axis=1)
    pull = G * component.enclosed_mass(r) / r**2
    misses = np.linalg.norm(member.force(x) + (pull / r)[:, None] * x, axis=1)
    return bool(np.all(misses <= _SAME * pull))


def _table(members: Sequence[Any], dark: bool) -> MassTable:
    """Spherical average of the members together."""

    def mass(r: FloatArray) -> FloatArray:
        return np.asarray(sum(_monopole_mass(member, r) for member in members), dtype=float)

    try:
        table = MassTable.of(mass, dark, _COMPLETE)
    except InputError as error:
        names = ", ".join(_name(member) for member in members)
        raise InputError(f"agama's {names}: {error}") from None
    names = ", ".join(_name(member) for member in members if not _is_sphere(member))
    return AgamaAverage(table.r, table.mass, dark, names) if names else table


def _is_sphere(member: Any) -> bool:
    return "Spherical" in str(member) and "Tilted" not in str(member)


def _monopole_mass(member: Any, r: FloatArray) -> FloatArray:
    """Mass [Msun] within spheres of radius ``r`` (K,) [kpc]: r^2 <d Phi / d r> / G."""
    cosine, weight = polar_nodes()
    azimuth = 2.0 * np.pi * np.arange(32) / 32
    if _is_sphere(member):
        cosine, weight, azimuth = np.zeros(1), np.ones(1), azimuth[:1]
    elif "Axisymmetric" in str(member):
        azimuth = azimuth[:1]
    sine = np.sqrt(1.0 - cosine**2)[:, None]
    direction = np.stack(
        np.broadcast_arrays(sine * np.cos(azimuth), sine * np.sin(azimuth), cosine[:, None]),
        axis=-1,
    )
    mean = np.zeros_like(r)
    for rows, share in zip(direction, weight / len(azimuth), strict=True):
        for towards in rows:
            mean -= share * (member.force(r[:, None] * towards) @ towards)
    return np.asarray(mean * r**2 / G, dtype=float)
