"""Potentials to and from galpy.

A mock knows its potential by the enclosed mass, spherically averaged. What is converted in closed
form has the same forces to rounding; everything else is its spherical average, tabulated to 1e-7, with
galpy's own objects beside it where their true field can be followed.
Masses are converted by this package's G, so that forces agree.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from haloassay.base.errors import InputError
from haloassay.base.settings import require
from haloassay.contracts import profiles
from haloassay.mocks.backends.galpy.field import symmetry_axes
from haloassay.mocks.backends.galpy.members import (
    SAME,
    Units,
    conservative_members,
    require_static,
    units_of,
    with_units,
)
from haloassay.mocks.backends.galpy.names import RO, VO, name_of
from haloassay.mocks.backends.galpy.parameters import (
    density_at,
    depth_at,
    long_axis_angle,
    miyamoto_nagai,
    plummer,
    triaxial_nfw,
)
from haloassay.mocks.backends.galpy.potential import GalpyMembers, GalpyPotential
from haloassay.mocks.gravity.field_parts import Flattened
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
from haloassay.mocks.gravity.shapes import AxisRatioTable, rotation_matrix, tilt_of
from haloassay.mocks.gravity.triaxial import FLATTEST, TriaxialNFW

#: Order of galpy's integrals over a triaxial halo.
_QUADRATURE: Final = 100


def to_galpy(potential: CompositePotential, *, monopole: bool = False) -> Any:
    """Convert a mock's potential to one of galpy's, with physical units.

    Spheres that galpy has (``nfw``, ``hernquist``, ``plummer``, ``point-mass``) become its own
    classes. Any other sphere becomes a
    :class:`~haloassay.mocks.backends.galpy.sphere.ComponentPotential`, just as exact but without galpy's
    compiled integrators. A kind that enters a mock by its spherical average only
    (``mwpotential2014-baryons``, ``galpy``, triaxial halos) is by default converted with its flattening: pass
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
        component that is galpy's, else 8 kpc and 220 km/s. Others of the same units may be added.

    Raises
    ------
    InputError
        If components that are galpy's have different units, or a flattened component has no counterpart there: a
        triaxial halo whose axis ratios change with radius, say.
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
    their spherical average, tabulated to 1e-7 where it is smooth, and keep their true field
    (:class:`~haloassay.mocks.backends.galpy.potential.GalpyMembers`) if each is mirrored at its plane or, where
    it is not axisymmetric, at three planes; those that are not are a
    :class:`~haloassay.mocks.gravity.mass_table.MassTable`, and so is everything beside them where they have no
    sound mass of their own. Where nothing has a closed form and galpy has a name for it, it is the kind
    ``galpy``. Masses that never end are taken as complete at 1e7 kpc.

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
    members = conservative_members(pot)
    require(
        dark is None or len(dark) == len(members),
        f"dark needs one value for each of {len(members)} potentials",
    )
    units = units_of(members, ro, vo, ", or pass ro [kpc] and vo [km/s]")
    for member in members:
        require_static(member)
    wanted: list[bool | None] = [None] * len(members) if dark is None else list(dark)
    closed = _closed_forms(members, units, wanted)
    if not closed and dark is None and ro is None and (name := name_of(pot)):
        return CompositePotential((GalpyPotential(name),))
    components = list(dict.fromkeys(closed.values()))
    rest = [i for i in range(len(members)) if i not in closed]
    for is_dark in (False, True):
        some = [members[i] for i in rest if bool(wanted[i]) == is_dark]
        components += _averages(some, units, is_dark)
    return CompositePotential(tuple(components))


def _common_units(potential: CompositePotential) -> Units:
    """Units of the components that are galpy's, else galpy's own."""
    found = {
        component.name: component.units
        for component in potential.components
        if isinstance(component, GalpyPotential | GalpyMembers)
    }
    require(
        len(set(found.values())) <= 1,
        "galpy potentials of different units do not add up: "
        + ", ".join(f"{name} has ro = {u.ro:g}, vo = {u.vo:g}" for name, u in found.items()),
    )
    return next(iter(found.values()), Units(RO, VO))


def _galpy_members(component: Component, units: Units, monopole: bool) -> list[Any]:
    import galpy.potential as gp

    from haloassay.mocks.backends.galpy.sphere import ComponentPotential

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
    if not monopole and isinstance(component, GalpyPotential | GalpyMembers):
        return with_units(component.members, units)
    if not monopole and isinstance(component, Flattened):
        raise InputError(
            f"{component.label} has no counterpart in galpy; monopole=True converts its spherical average"
        )
    return [ComponentPotential(component, **scales)]


def _bulge_and_disc(factor: float, units: Units) -> list[Any]:
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


def _triaxial(halo: TriaxialNFW, units: Units) -> Any:
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
    # no density tells the sign of an axis; galpy mirrors a body that stands on its head
    axes = rotation_matrix(halo.tilt)
    axes = axes * np.copysign(1.0, [1.0, axes[2, 2], axes[2, 2]])
    if axes[2, 2] < 1.0 - SAME:
        shape["zvec"] = axes[:, 2].copy()
    # the new z axis alone leaves a turn about it: where galpy has put the long axis is seen in the density
    turn = -long_axis_angle(gp.TriaxialNFWPotential(**shape), axes[:, 0], axes[:, 1])
    return gp.TriaxialNFWPotential(**shape, pa=turn)


def _from_triaxial(member: Any, units: Units) -> TriaxialNFW | None:
    """Triaxial halo with the same density, where its long axis is the first and it is not too flat."""
    from scipy.optimize import brentq

    rho0, ratios, axes = triaxial_nfw(member)
    if ratios.max() > 1.0 + SAME or ratios.min() < FLATTEST * (1.0 - SAME):
        return None
    _, b, c = np.clip(ratios, FLATTEST, 1.0).tolist()
    r_s = float(member.a) * np.cbrt(b * c)
    mass = 4.0 * np.pi * r_s**3 * rho0 * units.mass
    r_s *= units.ro
    other = TriaxialNFW(1.0, 1.0, (b, c))

    def excess(log_c: float) -> float:
        x = np.exp(log_c)
        within = mass / other.scales[0] * float(other.enclosed_mass(x * other.scales[1]))
        return float(np.log(within / profiles.virial_mass(x * r_s, H0, OVERDENSITY)))

    concentration = float(np.exp(brentq(excess, np.log(1e-2), np.log(1e4), xtol=1e-14)))
    m200 = float(profiles.virial_mass(concentration * r_s, H0, OVERDENSITY))
    return TriaxialNFW(m200, concentration, (b, c), tilt_of(axes))


def _closed_forms(
    members: Sequence[Any], units: Units, dark: Sequence[bool | None]
) -> dict[int, Component]:
    """Components with the same forces, by the places of the members that they stand for."""
    found = _bulges_with_discs(members, units, dark)
    for i, member in enumerate(members):
        component = None if i in found else _sphere(member, units, dark[i])
        if component is not None:
            found[i] = component
    return found


def _sphere(member: Any, units: Units, dark: bool | None) -> Component | None:
    """Component with the same forces as one member, where there is one that is as dark."""
    import galpy.potential as gp

    from haloassay.mocks.backends.galpy.sphere import ComponentPotential

    component: Component | None = None
    if type(member) is gp.NFWPotential:
        a = float(member.a)
        mass, r_s = depth_at(member, a) * a / np.log(2.0) * units.mass, a * units.ro
        component = NFW(rho0=mass / (4.0 * np.pi * r_s**3), r_s=r_s)
    elif type(member) is gp.HernquistPotential:
        a = float(member.a)
        component = Hernquist(2.0 * a * depth_at(member, a) * units.mass, a * units.ro, bool(dark))
    elif type(member) is gp.PlummerPotential:
        mass, a = plummer(member)
        component = Plummer(mass * units.mass, a * units.ro, bool(dark))
    elif type(member) is gp.KeplerPotential:
        component = PointMass(depth_at(member, 1.0) * units.mass)
    elif type(member) is gp.TriaxialNFWPotential:
        component = _from_triaxial(member, units)
    elif type(member) is ComponentPotential:
        component = member.component
    return component if component is None or dark in (None, component.dark) else None


def _bulges_with_discs(
    members: Sequence[Any], units: Units, dark: Sequence[bool | None]
) -> dict[int, Component]:
    """Bulge and disc among the members that are those of the kind ``mwpotential2014-baryons``."""
    import galpy.potential as gp

    bulge, disc = _bulge_and_disc(1.0, units)
    for i, one in enumerate(members):
        for j, other in enumerate(members):
            if dark[i] or dark[j] or type(one) is not gp.PowerSphericalPotentialwCutoff:
                continue
            if type(other) is gp.MiyamotoNagaiPotential:
                edge = np.array([bulge.rc, 0.0, 0.0])
                factor = density_at(one, edge) / density_at(bulge, edge)
                amp, *scales = miyamoto_nagai(disc)
                have = (one.alpha, one.rc, *miyamoto_nagai(other))
                want = (bulge.alpha, bulge.rc, factor * amp, *scales)
                if np.allclose(have, want, rtol=SAME, atol=0.0):
                    return dict.fromkeys((i, j), MWPotential2014Baryons(factor))
    return {}


def _averages(members: list[Any], units: Units, dark: bool) -> list[Component]:
    """Spherical averages of members that have no closed form, with those members whose true field can be followed."""
    if not members:
        return []
    followed = [member for member in members if symmetry_axes(member, units) is not None]
    others = [member for member in members if member not in followed]
    if not others:
        return [GalpyMembers.averaged(members, units, dark)]
    if followed:
        # what is not symmetric may be a perturbation, without a mass of its own
        with contextlib.suppress(InputError):
            rest = GalpyMembers.averaged(others, units, dark)
            return [GalpyMembers.averaged(followed, units, dark), rest.sphere]
    return [GalpyMembers.averaged(members, units, dark).sphere]
