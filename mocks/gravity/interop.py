"""Potentials to and from galpy.

A mock knows its potential by the enclosed mass, spherically averaged. What is converted in closed
form has the same forces to rounding; everything else is its spherical average, tabulated to 1e-7.
Masses are converted by this package's G, so that forces agree.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from haloassay import profiles
from haloassay.constants import G
from haloassay.errors import InputError
from haloassay.mocks.gravity.agama_backend import from_agama, to_agama
from haloassay.mocks.gravity.galpy_potential import GalpyMonopole, monopole_mass, named_potential
from haloassay.mocks.gravity.mass_table import MassTable
from haloassay.mocks.gravity.potentials import (
    H0,
    NFW,
    OVERDENSITY,
    Component,
    CompositePotential,
    Hernquist,
    MWPotential2014Baryons,
    Plummer,
    PointMass,
)
from haloassay.mocks.gravity.shapes import AxisRatioTable, rotation_matrix
from haloassay.mocks.gravity.triaxial import FLATTEST, TriaxialNFW
from haloassay.settings import require

__all__ = ["from_agama", "from_galpy", "to_agama", "to_galpy"]

#: galpy's own scales [kpc] and [km/s], so that what is made here adds up with what is made there.
RO: Final = 8.0
VO: Final = 220.0

#: Times (in galpy's internal unit) and points (R, z, phi) at which a force is asked whether it moves.
_TIMES: Final = (-200.0, -7.3, 0.0, 1.9, 60.0)
_PLACES: Final = ((0.6, 0.1, 0.3), (1.7, -0.8, 2.0), (6.0, 2.0, 4.4))

#: Order of galpy's integrals over a triaxial halo.
_QUADRATURE: Final = 100

#: Two numbers that describe the same body differ by rounding only.
_SAME: Final = 1e-9


class _Units(NamedTuple):
    """Scales of galpy's internal units."""

    ro: float
    vo: float

    @property
    def mass(self) -> float:
        """Msun of galpy's unit of mass, by this package's G."""
        return self.vo**2 * self.ro / G


def to_galpy(potential: CompositePotential, *, monopole: bool = False) -> Any:
    """Convert a mock's potential to one of galpy's, with physical units.

    Spheres that galpy has (``nfw``, ``hernquist``, ``plummer``, ``point-mass``) become its own
    classes. Any other sphere becomes a
    :class:`~haloassay.mocks.gravity.galpy_sphere.ComponentPotential`, just as exact but without galpy's
    compiled integrators. A kind that enters a mock by its spherical average only
    (``mwpotential2014-baryons``, ``galpy``) is by default converted with its flattening: pass
    ``monopole=True`` for the field that the mock itself moves in.

    Parameters
    ----------
    potential
        What is to be converted.
    monopole
        Whether flattened components enter by their spherical average.

    Returns
    -------
    galpy.potential.CompositePotential
        Sum of galpy potentials, which can be indexed, with ``ro`` and ``vo`` set: those of a
        component of kind ``galpy``, else 8 kpc and 220 km/s. Others of the same units may be added.

    Raises
    ------
    InputError
        If components of kind ``galpy`` have different units, or the axis ratios of a triaxial halo change
        with radius, which no potential of galpy's does.
    """
    import galpy.potential as gp

    units = _common_units(potential)
    return gp.CompositePotential(
        *(
            member
            for component in potential.components
            for member in _galpy_members(component, units, monopole)
        )
    )


def from_galpy(
    pot: Any,
    *,
    ro: float | None = None,
    vo: float | None = None,
    dark: Sequence[bool] | None = None,
) -> CompositePotential:
    """Potential of a mock from a potential of galpy, or a list or sum of them.

    In closed form: ``NFWPotential``, ``HernquistPotential``, ``PlummerPotential``,
    ``KeplerPotential``, ``TriaxialNFWPotential`` (whose long axis is its first), bulge and disc of the
    kind ``mwpotential2014-baryons``, and whatever :func:`to_galpy` made. All others enter together by
    their spherical average, tabulated to 1e-7 where it is smooth
    (:class:`~haloassay.mocks.gravity.mass_table.MassTable`); where that is all there is and galpy has a name
    for it, it is the kind ``galpy``. Masses that never end are taken as complete at 1e7 kpc.

    Parameters
    ----------
    pot
        A galpy potential, a list of them, or their sum.
    ro, vo
        Scales [kpc] and [km/s] of potentials that have none.
    dark
        For each member whether it counts for the virial mass of the dark halo. galpy does not say:
        by default an NFW sphere does, and all else (which may be a bulge) does not.

    Returns
    -------
    CompositePotential
        Good for any mock. ``h0`` and ``overdensity`` of an NFW are not known to galpy, and are the
        defaults.

    Raises
    ------
    InputError
        If it is not a galpy potential in three dimensions, has no units, depends on time or on
        velocity, or has no positive mass.
    """
    members = _conservative_members(pot)
    require(
        dark is None or len(dark) == len(members),
        f"dark needs one value for each of {len(members)} potentials",
    )
    units = _units_of(members, ro, vo)
    for member in members:
        _require_static(member)
    wanted: list[bool | None] = [None] * len(members) if dark is None else list(dark)
    closed = _closed_forms(members, units, wanted)
    if not closed and dark is None and ro is None and (name := _name(pot)):
        return CompositePotential((GalpyMonopole(name),))
    components = list(dict.fromkeys(closed.values()))
    for is_dark in (False, True):
        rest = [
            member
            for i, member in enumerate(members)
            if i not in closed and bool(wanted[i]) == is_dark
        ]
        if rest:
            components.append(_table(rest, units, is_dark))
    return CompositePotential(tuple(components))


def _common_units(potential: CompositePotential) -> _Units:
    """Units of the components of kind ``galpy``, else galpy's own."""
    from galpy.util.conversion import get_physical

    found = {}
    for component in potential.components:
        if isinstance(component, GalpyMonopole):
            physical = get_physical(named_potential(component.name))
            found[component.name] = _Units(physical["ro"], physical["vo"])
    require(
        len(set(found.values())) <= 1,
        "galpy potentials of different units do not add up: "
        + ", ".join(f"{name} has ro = {u.ro:g}, vo = {u.vo:g}" for name, u in found.items()),
    )
    return next(iter(found.values()), _Units(RO, VO))


def _galpy_members(component: Component, units: _Units, monopole: bool) -> list[Any]:
    import galpy.potential as gp

    from haloassay.mocks.gravity.galpy_sphere import ComponentPotential

    scales = {"ro": units.ro, "vo": units.vo}
    if isinstance(component, NFW):
        mass, r_s = component.scales
        return [gp.NFWPotential(amp=mass / units.mass, a=r_s / units.ro, **scales)]
    if isinstance(component, Hernquist):
        # galpy's amplitude is twice the mass
        amp, a = 2.0 * component.mass / units.mass, component.a / units.ro
        return [gp.HernquistPotential(amp=amp, a=a, **scales)]
    if isinstance(component, Plummer):
        amp, b = component.mass / units.mass, component.a / units.ro
        return [gp.PlummerPotential(amp=amp, b=b, **scales)]
    if isinstance(component, PointMass):
        return [gp.KeplerPotential(amp=component.mass / units.mass, **scales)]
    if not monopole and isinstance(component, MWPotential2014Baryons):
        return _bulge_and_disc(component.factor, units)
    if not monopole and isinstance(component, TriaxialNFW):
        return [_triaxial(component, units)]
    if not monopole and isinstance(component, GalpyMonopole):
        return _with_units(_conservative_members(named_potential(component.name)), units)
    return [ComponentPotential(component, **scales)]


def _bulge_and_disc(factor: float, units: _Units) -> list[Any]:
    """Galpy's bulge and disc of the kind ``mwpotential2014-baryons``."""
    import galpy.potential as gp
    from scipy.special import gamma

    mass, slope, cutoff = profiles.MWPOTENTIAL2014_BULGE
    rc = cutoff / units.ro
    # of rho = amp r^slope exp(-(r / rc)^2) to infinity
    total = 2.0 * np.pi * rc ** (3.0 + slope) * gamma(0.5 * (3.0 + slope))
    amp = factor * mass / units.mass / total
    bulge = gp.PowerSphericalPotentialwCutoff(
        amp=amp, alpha=-slope, rc=rc, ro=units.ro, vo=units.vo
    )
    mass, a, b = profiles.MWPOTENTIAL2014_DISC
    disc = gp.MiyamotoNagaiPotential(
        amp=factor * mass / units.mass, a=a / units.ro, b=b / units.ro, ro=units.ro, vo=units.vo
    )
    return [bulge, disc]


def _triaxial(halo: TriaxialNFW, units: _Units) -> Any:
    """Galpy's triaxial NFW halo, of density rho(x^2 + (y/b)^2 + (z/c)^2) in the body's axes."""
    import galpy.potential as gp

    if isinstance(halo.axis_ratios, AxisRatioTable):
        raise InputError(
            "galpy has no triaxial halo whose axis ratios change with radius; monopole=True converts its"
            " spherical average"
        )
    mass, r_s = halo.scales
    b, c = halo.axis_ratios
    shape = {
        "amp": mass / (b * c) / units.mass,
        "a": r_s / np.cbrt(b * c) / units.ro,
        "b": b,
        "c": c,
        "glorder": _QUADRATURE,
        "ro": units.ro,
        "vo": units.vo,
    }
    axes = rotation_matrix(halo.tilt)
    about_z = axes.T
    if axes[2, 2] < 1.0 - _SAME:
        shape["zvec"] = axes[:, 2].copy()
        # what galpy makes of the new z axis alone leaves a turn about it
        about_z = about_z @ gp.TriaxialNFWPotential(**shape)._rot.T
    pa = float(np.arctan2(about_z[0, 1], about_z[0, 0]))
    return gp.TriaxialNFWPotential(**shape, pa=pa)


def _from_triaxial(member: Any, units: _Units) -> TriaxialNFW | None:
    """Triaxial halo with the same density, where its long axis is the first and it is not too flat."""
    from scipy.optimize import brentq

    b, c = float(member._b), float(member._c)
    if not FLATTEST <= min(b, c) <= max(b, c) <= 1.0:
        return None
    r_s = float(member.a) * np.cbrt(b * c)
    mass = 4.0 * np.pi * r_s**3 * float(member._amp) * units.mass
    r_s *= units.ro
    other = TriaxialNFW(1.0, 1.0, (b, c))

    def excess(log_c: float) -> float:
        x = np.exp(log_c)
        within = mass / other.scales[0] * float(other.enclosed_mass(x * other.scales[1]))
        return float(np.log(within / profiles.virial_mass(x * r_s, H0, OVERDENSITY)))

    concentration = float(np.exp(brentq(excess, np.log(1e-2), np.log(1e4), xtol=1e-14)))
    m200 = float(profiles.virial_mass(concentration * r_s, H0, OVERDENSITY))
    axes = np.eye(3) if member._aligned else np.asarray(member._rot).T
    yaw, roll = np.arctan2(axes[1, 0], axes[0, 0]), np.arctan2(axes[2, 1], axes[2, 2])
    tilt = np.degrees([yaw, -np.arcsin(np.clip(axes[2, 0], -1.0, 1.0)), roll])
    return TriaxialNFW(
        m200, concentration, (b, c), (float(tilt[0]), float(tilt[1]), float(tilt[2]))
    )


def _conservative_members(pot: Any) -> list[Any]:
    """Members of a galpy potential; InputError for all that is not a potential in three dimensions."""
    from galpy.potential import Force, Potential
    from galpy.potential.DissipativeForce import DissipativeForce

    members = list(_flat(pot))
    require(len(members) > 0, "galpy: an empty list is no potential")
    for member in members:
        name = type(member).__name__
        if isinstance(member, DissipativeForce):
            raise InputError(
                f"galpy's {name} depends on velocity: it has no potential and cannot be converted"
            )
        if isinstance(member, Force) and not isinstance(member, Potential):
            raise InputError(f"galpy's {name} has no potential and cannot be converted")
        if not isinstance(member, Potential):
            raise InputError(f"expected a galpy potential in three dimensions (got {name})")
    return members


def _flat(pot: Any) -> Iterator[Any]:
    """Members of a sum, a list, or lists in lists."""
    from galpy.potential.baseCompositePotential import baseCompositePotential

    if isinstance(pot, list | tuple | baseCompositePotential):
        for part in pot:
            yield from _flat(part)
    else:
        yield pot


def _units_of(members: Sequence[Any], ro: float | None, vo: float | None) -> _Units:
    """Units that the members have, or that are given for those that have none."""
    require((ro is None) == (vo is None), "give both ro and vo, or neither")
    for name, value in (("ro", ro), ("vo", vo)):
        require(value is None or 0.0 < value < np.inf, f"{name} must be positive (got {value})")
    found = []
    for member in members:
        if member._roSet and member._voSet:
            found.append(_Units(member._ro, member._vo))
        elif ro is not None and vo is not None:
            found.append(_Units(ro, vo))
        else:
            raise InputError(
                f"galpy's {type(member).__name__} has no units: set them by turn_physical_on(ro=, vo=),"
                " or pass ro [kpc] and vo [km/s]"
            )
    first = found[0]
    for member, units in zip(members, found, strict=True):
        require(
            bool(np.allclose(units, first, rtol=_SAME, atol=0.0)),
            f"galpy's {type(member).__name__} has ro = {units.ro:g}, vo = {units.vo:g}; the first"
            f" potential has ro = {first.ro:g}, vo = {first.vo:g}",
        )
    require(
        ro is None or vo is None or bool(np.allclose(first, (ro, vo), rtol=_SAME, atol=0.0)),
        f"the potentials have units of their own, ro = {first.ro:g} and vo = {first.vo:g}",
    )
    return first


def _with_units(members: Sequence[Any], units: _Units) -> list[Any]:
    """Copy the members, with these units."""
    copies = [copy.deepcopy(member) for member in members]
    for member in copies:
        member.turn_physical_on(ro=units.ro, vo=units.vo)
    return copies


def _require_static(member: Any) -> None:
    """Refuse a potential that rotates, grows or moves: asked at a few times and places."""
    for R, z, phi in _PLACES:
        forces = np.array(
            [
                [
                    float(force(R, z, phi=phi, t=t, use_physical=False))
                    for force in (member.Rforce, member.zforce, member.phitorque)
                ]
                for t in _TIMES
            ]
        )
        require(
            bool(np.all(np.abs(np.ptp(forces, axis=0)) <= _SAME * np.abs(forces).max())),
            f"galpy's {type(member).__name__} changes with time (it rotates, grows or moves) and"
            " cannot be converted",
        )


def _closed_forms(
    members: Sequence[Any], units: _Units, dark: Sequence[bool | None]
) -> dict[int, Component]:
    """Components with the same forces, by the places of the members that they stand for."""
    found = _bulges_with_discs(members, units, dark)
    for i, member in enumerate(members):
        component = None if i in found else _sphere(member, units, dark[i])
        if component is not None:
            found[i] = component
    return found


def _sphere(member: Any, units: _Units, dark: bool | None) -> Component | None:
    """Component with the same forces as one member, where there is one that is as dark."""
    import galpy.potential as gp

    from haloassay.mocks.gravity.galpy_sphere import ComponentPotential

    mass = float(member._amp) * units.mass
    component: Component | None = None
    if type(member) is gp.NFWPotential:
        r_s = float(member.a) * units.ro
        component = NFW(rho0=mass / (4.0 * np.pi * r_s**3), r_s=r_s)
    elif type(member) is gp.HernquistPotential:
        component = Hernquist(0.5 * mass, float(member.a) * units.ro, bool(dark))
    elif type(member) is gp.PlummerPotential:
        component = Plummer(mass, float(member._b) * units.ro, bool(dark))
    elif type(member) is gp.KeplerPotential:
        component = PointMass(mass)
    elif type(member) is gp.TriaxialNFWPotential:
        component = _from_triaxial(member, units)
    elif type(member) is ComponentPotential:
        component = member.component
    return component if component is None or dark in (None, component.dark) else None


def _bulges_with_discs(
    members: Sequence[Any], units: _Units, dark: Sequence[bool | None]
) -> dict[int, Component]:
    """Bulge and disc among the members that are those of the kind ``mwpotential2014-baryons``."""
    import galpy.potential as gp

    bulge, disc = _bulge_and_disc(1.0, units)
    for i, one in enumerate(members):
        for j, other in enumerate(members):
            if dark[i] or dark[j] or type(one) is not gp.PowerSphericalPotentialwCutoff:
                continue
            if type(other) is gp.MiyamotoNagaiPotential:
                factor = float(one._amp / bulge._amp)
                have = (one.alpha, one.rc, other._amp, other._a, other._b)
                want = (bulge.alpha, bulge.rc, factor * disc._amp, disc._a, disc._b)
                if np.allclose(have, want, rtol=_SAME, atol=0.0):
                    return dict.fromkeys((i, j), MWPotential2014Baryons(factor))
    return {}


def _name(pot: Any) -> str | None:
    """Galpy's own name of a potential."""
    import galpy.potential
    from galpy.potential import mwpotentials

    named = dict(vars(galpy.potential))
    for name in dir(mwpotentials):  # a potential that is dear to make has been made, if this is it
        named[name] = getattr(mwpotentials, f"_{name.lower()}", None)
    return next((name for name, value in named.items() if value is pot), None)


def _table(members: list[Any], units: _Units, dark: bool) -> MassTable:
    """Spherical average of the members together."""
    physical = _with_units(members, units)
    names = ", ".join(type(member).__name__ for member in members)
    try:
        return MassTable.of(lambda r: monopole_mass(physical, r), dark)
    except InputError as error:
        raise InputError(f"galpy's {names}: {error}") from None
