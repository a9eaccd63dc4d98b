"""Spherical (or spherically averaged) gravitational potentials whose enclosed mass is known.

Radii in kpc, masses in Msun, potentials in (km/s)^2 and zero at infinity. A component is a frozen
dataclass whose fields are its settings; d potential / d r = G M(<r) / r^2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass
from functools import cached_property
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Final,
    NamedTuple,
    Protocol,
    cast,
    runtime_checkable,
)

import numpy as np
from numpy.typing import ArrayLike

from haloassay.base import kinds
from haloassay.base.arrays import FloatArray
from haloassay.base.constants import G
from haloassay.base.errors import InputError
from haloassay.base.settings import require
from haloassay.contracts import profiles
from haloassay.mocks.gravity.foreign import converted, is_foreign

if TYPE_CHECKING:
    from haloassay.mocks.gravity.field_parts import FieldParts


#: Hubble's constant [km/s/Mpc] and overdensity of virial numbers by default (Bird et al. 2022).
H0: Final = 67.8
OVERDENSITY: Final = 200.0


#: Concentrations and scale radii [kpc] that a halo can have: within a scale radius beyond any halo its potential is so
#: deep that differences of energies are lost in rounding.
_CONCENTRATIONS: Final = (1e-2, 1e4)
_LARGEST_SCALE: Final = 1e5
#: Masses [Msun] that nothing bound has; orbits about such a mass take for ever, and are not Newton's.
HEAVIEST: Final = 1e18


class Component(Protocol):
    """One gravitating body."""

    @property
    def dark(self) -> bool:
        """Whether its mass counts for the virial mass of the dark halo."""

    def enclosed_mass(self, r: ArrayLike) -> FloatArray:
        """Mass [Msun] within ``r`` [kpc]; the shape of ``r``."""

    def potential(self, r: ArrayLike) -> FloatArray:
        """Potential [(km/s)^2] at ``r`` [kpc], zero at infinity; the shape of ``r``."""


@runtime_checkable
class DensityKnown(Protocol):
    """A component that knows its density too; every dark one does."""

    def density(self, r: ArrayLike) -> FloatArray:
        """Density [Msun/kpc^3] at ``r`` [kpc]; the shape of ``r``."""


class Virial(NamedTuple):
    """Virial mass [Msun], radius [kpc] and concentration of the dark halo; NaN without one."""

    m200: float
    r200: float
    c200: float


@dataclass(frozen=True)
class CompositePotential:
    """Sum of components about one centre.

    Parameters
    ----------
    components
        At least one.
    """

    components: tuple[Component, ...]

    def __post_init__(self) -> None:
        require(len(self.components) > 0, "a potential needs at least one component")

    def enclosed_mass(self, r: ArrayLike) -> FloatArray:
        """Mass [Msun] of all components within ``r`` [kpc]."""
        return _total([c.enclosed_mass(r) for c in self.components], r)

    def dark_mass(self, r: ArrayLike) -> FloatArray:
        """Mass [Msun] of the dark components within ``r`` [kpc]."""
        return _total([c.enclosed_mass(r) for c in self.components if c.dark], r)

    def potential(self, r: ArrayLike) -> FloatArray:
        """Potential [(km/s)^2] at ``r`` [kpc]."""
        return _total([c.potential(r) for c in self.components], r)

    def circular_velocity(self, r: ArrayLike) -> FloatArray:
        """Speed [km/s] of circular orbits at ``r`` [kpc]."""
        v_c: FloatArray = np.sqrt(G * self.enclosed_mass(r) / np.asarray(r, dtype=float))
        return v_c

    def virial(self, h0: float | None = None, overdensity: float | None = None) -> Virial:
        """Virial mass, radius and concentration of the dark halo.

        Within the virial radius the dark mass has ``overdensity`` times the critical density; the
        concentration is that radius over the one where the dark density falls as r^-2 (r_s of an
        NFW profile).

        Parameters
        ----------
        h0
            Hubble's constant [km/s/Mpc]; by default that of the first NFW component, else 67.8.
        overdensity
            In units of the critical density; by default that of the first NFW component, else 200.

        Returns
        -------
        Virial
            All NaN where no component is dark, or none is as dense as that; the concentration NaN
            where the dark density nowhere passes the slope -2.
        """
        # NFW components, triaxial ones too, say what they mean by virial
        nfw: Any = next((c for c in self.components if hasattr(c, "overdensity")), None)
        h0 = h0 or (nfw.h0 if nfw else H0)
        overdensity = overdensity or (nfw.overdensity if nfw else OVERDENSITY)
        r200 = _virial_radius(self, h0, overdensity)
        m200 = float(profiles.virial_mass(r200, h0, overdensity))
        return Virial(m200, r200, r200 / _peak_radius(self))

    def to_plain(self) -> list[dict[str, Any]]:
        """Kind and settings of every component, as plain values."""
        return [_description(component) for component in self.components]


def make_potential(spec: Any, where: str = "mock.potential") -> CompositePotential:
    """Potential of one table with a key ``kind``, or the sum of a list; in Python of other libraries' objects too.

    Parameters
    ----------
    spec
        Tables, a :class:`CompositePotential`, a potential of galpy (or a list or sum of them) or of agama, or one of
        gala's, which goes by its own conversion to galpy. Neither says what is dark
        (:func:`~haloassay.mocks.backends.galpy.conversion.from_galpy`).
    where
        What to call this place in an error.

    Raises
    ------
    InputError
        If a kind or a setting is unknown, missing or out of range, or an object cannot be converted.
    """
    if isinstance(spec, CompositePotential):
        return spec
    if is_foreign(spec):
        return cast("CompositePotential", converted(spec, where))
    if isinstance(spec, Mapping):
        return CompositePotential((_make_component(spec, where),))
    if not isinstance(spec, Sequence) or isinstance(spec, str) or not spec:
        raise InputError(
            f"{where}: expected a table with a key 'kind' or a list of them (got {spec!r})"
        )
    return CompositePotential(tuple(_make_component(s, f"{where}.{i}") for i, s in enumerate(spec)))


def _description(component: Component) -> dict[str, Any]:
    """Kind and settings; of what no scenario can name, those of the nearest kind that it belongs to."""
    cls: Any = next((c for c in type(component).__mro__ if kinds.name_of(c)), type(component))
    told = {f.name: getattr(component, f.name) for f in fields(cls) if f.init}
    plain = {k: asdict(v) if is_dataclass(v) else v for k, v in told.items()}  # type: ignore[arg-type]
    kind = kinds.name_of(cls) or f"{cls.__module__}:{cls.__name__}"
    return {"kind": kind, **{k: v for k, v in plain.items() if v is not None}}


def _make_component(spec: Any, where: str) -> Component:
    return cast("Component", kinds.make("potentials", spec, where))


def _total(parts: Sequence[FloatArray], r: ArrayLike) -> FloatArray:
    return np.asarray(np.sum([np.zeros(np.shape(r)), *parts], axis=0), dtype=float)


def _virial_radius(potential: CompositePotential, h0: float, overdensity: float) -> float:
    """Outermost radius [kpc] within which the dark mass is so dense; NaN where there is none."""
    from scipy.optimize import brentq

    def log_excess(x: float) -> float:
        r = np.exp(x)
        return float(potential.dark_mass(r) / profiles.virial_mass(r, h0, overdensity)) - 1.0

    x = np.linspace(np.log(1e-3), np.log(1e5), 400)
    ratio = potential.dark_mass(np.exp(x)) / profiles.virial_mass(np.exp(x), h0, overdensity)
    denser = np.flatnonzero(ratio >= 1.0)
    if len(denser) == 0 or denser[-1] == len(x) - 1:
        return np.nan
    return float(np.exp(brentq(log_excess, x[denser[-1]], x[denser[-1] + 1], xtol=1e-14)))


def _peak_radius(potential: CompositePotential) -> float:
    """Radius [kpc] where the slope of the dark density passes -2; NaN where there is none."""
    from scipy.optimize import brentq

    dark = [c for c in potential.components if c.dark and isinstance(c, DensityKnown)]
    if not dark:
        return np.nan

    def slope_excess(log_r: ArrayLike) -> FloatArray:
        step = 1e-4
        inner, outer = (
            np.sum([c.density(np.exp(np.asarray(log_r) + sign * step)) for c in dark], axis=0)
            for sign in (-1.0, 1.0)
        )
        there = np.minimum(inner, outer) > 0.0  # where nothing is, there is no slope
        ratio = np.divide(outer, inner, out=np.full(np.shape(inner), np.nan), where=there)
        return np.asarray(np.log(ratio) / (2.0 * step) + 2.0)

    x = np.linspace(np.log(1e-3), np.log(1e5), 400)
    falling = np.flatnonzero(np.diff(np.sign(slope_excess(x))) < 0)
    if len(falling) == 0:
        return np.nan
    ends = x[falling[0]], x[falling[0] + 1]
    return float(np.exp(brentq(lambda at: float(slope_excess(at)), *ends, xtol=1e-14)))


@dataclass(frozen=True)
class NFW:
    """Navarro, Frenk & White (1997) halo, by virial mass and concentration or by its scales.

    Give either ``m200`` and ``c``, or ``rho0`` and ``r_s``.

    Parameters
    ----------
    m200
        Mass [Msun] within the virial radius.
    c
        Concentration, virial radius over scale radius.
    rho0
        Characteristic density [Msun/kpc^3] of rho = rho0 / [x (1 + x)^2], x = r / r_s.
    r_s
        Scale radius [kpc].
    h0
        Hubble's constant [km/s/Mpc] of the critical density.
    overdensity
        Mean density within the virial radius in units of the critical density.
    """

    m200: float | None = None
    c: float | None = None
    rho0: float | None = None
    r_s: float | None = None
    h0: float = H0
    overdensity: float = OVERDENSITY

    dark: ClassVar[bool] = True

    def __post_init__(self) -> None:
        given = [n for n in ("m200", "c", "rho0", "r_s") if getattr(self, n) is not None]
        require(
            given in (["m200", "c"], ["rho0", "r_s"]),
            f"give either m200 and c, or rho0 and r_s (got {', '.join(given) or 'none of them'})",
        )
        for name in (*given, "h0", "overdensity"):
            require_positive(name, getattr(self, name))
        if self.c is not None:
            require_concentration(self.c)
        require(
            self.r_s is None or self.r_s <= _LARGEST_SCALE,
            f"r_s must be at most {_LARGEST_SCALE:g} kpc (got {self.r_s})",
        )

    @cached_property
    def scales(self) -> tuple[float, float]:
        """Mass scale 4 pi rho0 r_s^3 [Msun] and scale radius [kpc]."""
        if self.m200 is not None and self.c is not None:
            r_s = float(profiles.virial_radius(self.m200, self.h0, self.overdensity)) / self.c
            return self.m200 / float(profiles.nfw_shape(self.c)), r_s
        rho0, r_s = cast("tuple[float, float]", (self.rho0, self.r_s))
        return 4.0 * np.pi * rho0 * r_s**3, r_s

    def enclosed_mass(self, r: ArrayLike) -> FloatArray:
        """Mass [Msun] within ``r`` [kpc]."""
        mass, r_s = self.scales
        return mass * profiles.nfw_shape(np.asarray(r, dtype=float) / r_s)

    def potential(self, r: ArrayLike) -> FloatArray:
        """Potential [(km/s)^2] at ``r`` [kpc]."""
        mass, r_s = self.scales
        r = np.asarray(r, dtype=float)
        return np.asarray(-G * mass * np.log1p(r / r_s) / r, dtype=float)

    def density(self, r: ArrayLike) -> FloatArray:
        """Density [Msun/kpc^3] at ``r`` [kpc]."""
        mass, r_s = self.scales
        x = np.asarray(r, dtype=float) / r_s
        return mass / (4.0 * np.pi * r_s**3 * x * (1.0 + x) ** 2)


@dataclass(frozen=True)
class Hernquist:
    """Hernquist (1990) sphere, Phi = -G M / (r + a).

    Parameters
    ----------
    mass
        Total mass [Msun].
    a
        Scale radius [kpc].
    dark
        Whether it is (part of) the dark halo; false for a bulge.
    """

    mass: float
    a: float
    dark: bool = True

    def __post_init__(self) -> None:
        require_positive("mass", self.mass)
        require_positive("a", self.a)

    def enclosed_mass(self, r: ArrayLike) -> FloatArray:
        """Mass [Msun] within ``r`` [kpc]."""
        return profiles.hernquist_enclosed_mass(r, self.mass, self.a)

    def potential(self, r: ArrayLike) -> FloatArray:
        """Potential [(km/s)^2] at ``r`` [kpc]."""
        return profiles.hernquist_potential(r, self.mass, self.a)

    def density(self, r: ArrayLike) -> FloatArray:
        """Density [Msun/kpc^3] at ``r`` [kpc]."""
        r = np.asarray(r, dtype=float)
        return self.mass * self.a / (2.0 * np.pi * r * (r + self.a) ** 3)


@dataclass(frozen=True)
class Plummer:
    """Plummer (1911) sphere, Phi = -G M / sqrt(r^2 + a^2).

    Parameters
    ----------
    mass
        Total mass [Msun].
    a
        Scale radius [kpc].
    dark
        Whether it is (part of) the dark halo.
    """

    mass: float
    a: float
    dark: bool = True

    def __post_init__(self) -> None:
        require_positive("mass", self.mass)
        require_positive("a", self.a)

    def enclosed_mass(self, r: ArrayLike) -> FloatArray:
        """Mass [Msun] within ``r`` [kpc]."""
        r = np.asarray(r, dtype=float)
        return np.asarray(self.mass * (r / np.hypot(r, self.a)) ** 3, dtype=float)

    def potential(self, r: ArrayLike) -> FloatArray:
        """Potential [(km/s)^2] at ``r`` [kpc]."""
        distance = np.hypot(np.asarray(r, dtype=float), self.a)
        return np.asarray(-G * self.mass / distance, dtype=float)

    def density(self, r: ArrayLike) -> FloatArray:
        """Density [Msun/kpc^3] at ``r`` [kpc]."""
        x = np.asarray(r, dtype=float) / self.a
        return 3.0 * self.mass / (4.0 * np.pi * self.a**3) * (1.0 + x * x) ** -2.5


@dataclass(frozen=True)
class PointMass:
    """Kepler's potential, Phi = -G M / r; not part of the dark halo.

    Parameters
    ----------
    mass
        Mass [Msun].
    """

    mass: float

    dark: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require_positive("mass", self.mass)

    def enclosed_mass(self, r: ArrayLike) -> FloatArray:
        """Mass [Msun] within ``r`` [kpc]."""
        return np.full(np.shape(r), self.mass)

    def potential(self, r: ArrayLike) -> FloatArray:
        """Potential [(km/s)^2] at ``r`` [kpc]."""
        return -G * self.mass / np.asarray(r, dtype=float)


@dataclass(frozen=True)
class Zhai2018Baryons:
    """Spherical disc and bulge of Zhai et al. (2018).

    Phi = -G M_d (1 - exp(-r / b)) / r - G M_b / (r + c0).

    Parameters
    ----------
    disc_mass, b
        Mass [Msun] and scale length [kpc] of the disc.
    bulge_mass, c0
        Mass [Msun] and scale radius [kpc] of the bulge.
    """

    disc_mass: float = profiles.ZHAI2018_DISC[0]
    b: float = profiles.ZHAI2018_DISC[1]
    bulge_mass: float = profiles.ZHAI2018_BULGE[0]
    c0: float = profiles.ZHAI2018_BULGE[1]

    dark: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for name in ("disc_mass", "b", "bulge_mass", "c0"):
            require_positive(name, getattr(self, name))

    def enclosed_mass(self, r: ArrayLike) -> FloatArray:
        """Mass [Msun] within ``r`` [kpc]."""
        disc = profiles.round_disc_enclosed_mass(r, self.disc_mass, self.b)
        return disc + profiles.hernquist_enclosed_mass(r, self.bulge_mass, self.c0)

    def potential(self, r: ArrayLike) -> FloatArray:
        """Potential [(km/s)^2] at ``r`` [kpc]."""
        disc = profiles.round_disc_potential(r, self.disc_mass, self.b)
        return disc + profiles.hernquist_potential(r, self.bulge_mass, self.c0)


@dataclass(frozen=True)
class MWPotential2014Baryons:
    """Bulge and disc of MWPotential2014 (Bovy 2015; Bird et al. 2022, eq. 6 and 7).

    The disc enters spherical mocks by its monopole.

    Parameters
    ----------
    factor
        Scales both masses.
    """

    factor: float = 1.0

    dark: ClassVar[bool] = False
    label: ClassVar[str] = "the disc of MWPotential2014"

    def __post_init__(self) -> None:
        require_positive("factor", self.factor)

    def enclosed_mass(self, r: ArrayLike) -> FloatArray:
        """Mass [Msun] within ``r`` [kpc]."""
        return self.factor * profiles.mwpotential2014_baryons_mass(r)

    def potential(self, r: ArrayLike) -> FloatArray:
        """Potential [(km/s)^2] at ``r`` [kpc]."""
        bulge = profiles.bulge_potential(r, *profiles.MWPOTENTIAL2014_BULGE)
        return self.factor * (bulge + profiles.disc_potential(r, *profiles.MWPOTENTIAL2014_DISC))

    def field_parts(self) -> FieldParts:
        """Bulge, and disc in closed form."""
        from haloassay.mocks.gravity.field_parts import FieldParts

        mass, a, b = profiles.MWPOTENTIAL2014_DISC

        def bulge(r: FloatArray) -> FloatArray:
            return self.factor * profiles.bulge_enclosed_mass(r, *profiles.MWPOTENTIAL2014_BULGE)

        return FieldParts(spherical=(bulge,), discs=((self.factor * G * mass, a, b),))


def require_concentration(c: float) -> None:
    """Raise InputError unless ``c`` is a concentration that a halo can have."""
    lo, hi = _CONCENTRATIONS
    require(lo <= c <= hi, f"c must be a concentration from {lo:g} to {hi:g} (got {c:g})")


def require_positive(name: str, value: float) -> None:
    """Raise InputError unless ``value`` is positive, and below any mass that is bound."""
    require(
        0.0 < value < HEAVIEST, f"{name} must be positive and below {HEAVIEST:g} (got {value:g})"
    )
