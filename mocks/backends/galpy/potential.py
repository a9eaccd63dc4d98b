"""Potentials of galpy as components of a mock: their spherical average, and their members for a field."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

from numpy.typing import ArrayLike

from haloassay.base.arrays import FloatArray
from haloassay.base.errors import InputError
from haloassay.base.settings import require
from haloassay.mocks.backends.galpy.field import followed_parts
from haloassay.mocks.backends.galpy.members import (
    VERSION,
    Units,
    conservative_members,
    fingerprint,
    require_static,
    units_of,
    with_units,
)
from haloassay.mocks.backends.galpy.monopole import GalpyMass, mass_table, require_mass
from haloassay.mocks.backends.galpy.names import (
    is_class,
    named_potential,
    own_potential,
    potential_of_class,
)
from haloassay.mocks.gravity.field_parts import FieldParts


@dataclass(frozen=True)
class GalpyPotential:
    """Any potential of galpy: one that it ships, one of its classes with settings, or an object of your own.

    Spherical mocks move in its spherical average: the enclosed mass is r^2 <d Phi / d r> / G, averaged over the
    sphere, the potential its integral from infinity, with the mass complete at 1e7 kpc: models of infinite
    mass get a finite zero point. Interpolation is good to 1e-7 where the mass is smooth, to 1e-3 at a kink that a
    model has. Mocks with a shape, an LMC or a population of their own move in the potential as galpy has it,
    where it is axisymmetric or has three planes of symmetry through its centre.

    Refused are potentials that rotate, move, grow or depend on velocity, that are planar, or have no positive,
    finite mass. galpy does not say which potential is dark: ``m200`` is undefined unless ``dark`` says so, or
    an ``nfw`` stands beside it.

    Parameters
    ----------
    name
        What ``galpy.potential`` or ``galpy.potential.mwpotentials`` has by that name: a potential, such as
        ``"McMillan17"``, ``"MWPotential2014"``, ``"Cautun20"``, with its own ``ro`` and ``vo``, or a class, such
        as ``"LogarithmicHaloPotential"``. Or ``"module:object"``: a potential, or a list or sum of them, with
        units (``turn_physical_on``), in a module of your own, which may stand in the working directory.
    settings
        Of a class: numbers, lists of numbers, true or false, in galpy's internal units, by the names that its
        constructor has, such as ``{ normalize = 1.0, q = 0.8 }``. What is left out is as galpy has it.
    ro, vo
        Of a class: scales [kpc] and [km/s] of galpy's internal units; 8 and 220 by default.
    dark
        Whether all of it is (part of) the dark halo.
    """

    version: ClassVar[int] = VERSION

    name: str
    settings: dict[str, Any] | None = field(default=None, hash=False)
    ro: float | None = None
    vo: float | None = None
    dark: bool = False
    #: Digest of the forces of an object of the user's own, which its name says nothing of.
    fingerprint: str = field(init=False, default="", repr=False)

    def __post_init__(self) -> None:
        for key in ("ro", "vo"):
            value = getattr(self, key)
            require(value is None or 0.0 < value < 1e25, f"{key} must be positive (got {value})")
        own, of_class = ":" in self.name, is_class(self.name)
        members = self.members
        given = [key for key in ("settings", "ro", "vo") if getattr(self, key) is not None]
        require(
            of_class or not given,
            f"{', '.join(given)}: only with a class of galpy's, and {self.name!r} is a potential as it is",
        )
        if own or of_class:
            for member in members:
                require_static(member)
            with _named(self.label):
                require_mass(members)
        if own:
            object.__setattr__(self, "fingerprint", fingerprint(members, self.units))

    @functools.cached_property
    def members(self) -> list[Any]:
        """Galpy's objects, not copied."""
        if ":" in self.name:
            return conservative_members(own_potential(self.name))
        if is_class(self.name):
            return [potential_of_class(self.name, self.settings or {}, self.ro, self.vo)]
        return conservative_members(named_potential(self.name))

    @functools.cached_property
    def units(self) -> Units:
        """Scales of the members' internal units."""
        from galpy.util.conversion import get_physical

        if ":" in self.name:
            return units_of(self.members)
        physical = get_physical(self.members)
        return Units(physical["ro"], physical["vo"])

    def enclosed_mass(self, r: ArrayLike) -> FloatArray:
        """Mass [Msun] within ``r`` [kpc], spherically averaged."""
        return _monopole(self).enclosed_mass(r)

    def potential(self, r: ArrayLike) -> FloatArray:
        """Potential [(km/s)^2] at ``r`` [kpc], spherically averaged."""
        return _monopole(self).potential(r)

    def density(self, r: ArrayLike) -> FloatArray:
        """Density [Msun/kpc^3] at ``r`` [kpc], spherically averaged."""
        return _monopole(self).density(r)

    @property
    def label(self) -> str:
        """What to call it in an error."""
        return f"galpy potential {self.name!r}"

    def field_parts(self) -> FieldParts:
        """Parts of the field that galpy has; InputError where it cannot be followed."""
        return _field_parts(self)


@functools.lru_cache(maxsize=16)
def _monopole(component: GalpyPotential) -> GalpyMass:
    """Tabulate the monopole of a potential."""
    with _named(component.label):
        return mass_table(component.members, component.units, component.dark)


@contextlib.contextmanager
def _named(what: str) -> Iterator[None]:
    """Say what an error is about."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{what}: {error}") from None


@dataclass(frozen=True)
class GalpyMembers(GalpyMass):
    """Potentials of galpy that have no closed form here: a table of the mass, and the members for a field.

    Parameters
    ----------
    members
        galpy's objects, with units. What they are counts by their ``fingerprint`` in comparisons.
    fingerprint
        Digest of their forces.
    """

    members: tuple[Any, ...] = field(default=(), compare=False, repr=False)
    fingerprint: str = ""

    @classmethod
    def averaged(cls, members: list[Any], units: Units, dark: bool) -> GalpyMembers:
        """Members together, as copies that have these units.

        Raises
        ------
        InputError
            If they have no sound mass.
        """
        physical = with_units(members, units)
        with _named(f"galpy's {_names(physical)}"):
            table = mass_table(physical, units, dark)
        mark = fingerprint(physical, units)
        return cls(table.r, table.mass, dark, tuple(physical), mark)

    @property
    def sphere(self) -> GalpyMass:
        """The spherical average alone."""
        return GalpyMass(self.r, self.mass, self.dark)

    @property
    def units(self) -> Units:
        """Scales of the members' internal units."""
        return units_of(self.members)

    @property
    def name(self) -> str:
        """Classes of the members."""
        return _names(self.members)

    @property
    def label(self) -> str:
        """What to call it in an error."""
        return f"galpy potential {self.name!r}"

    def field_parts(self) -> FieldParts:
        """Parts of the field that galpy has; InputError where it cannot be followed."""
        return _field_parts(self)


@functools.lru_cache(maxsize=8)
def _field_parts(component: GalpyPotential | GalpyMembers) -> FieldParts:
    return followed_parts(component.members, component.units, component.label)


def _names(members: Iterable[Any]) -> str:
    return ", ".join(type(member).__name__ for member in members)
