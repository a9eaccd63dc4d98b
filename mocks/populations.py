"""Populations of stars that share one potential: density, anisotropy, rotation, chemistry, and share of the stars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import ArrayLike

from haloassay.base.arrays import BoolArray, FloatArray, IntArray
from haloassay.base.errors import InputError
from haloassay.base.settings import build, require
from haloassay.mocks.chemistry import HALO_FEH, Abundance, abundances
from haloassay.mocks.equilibria.anisotropy import FunctionAnisotropy, make_anisotropy
from haloassay.mocks.equilibria.distributions import DEFAULT, Distribution, make_distribution
from haloassay.mocks.equilibria.tracers import Density, make_density
from haloassay.mocks.gravity.shapes import Shape
from haloassay.mocks.stars import RadialDensity, radial_table
from haloassay.mocks.uniforms import Uniforms

if TYPE_CHECKING:
    from scipy.interpolate import PchipInterpolator


#: Least share of a population at any radius: its density must have a logarithm.
_LEAST_SHARE: Final = 1e-9
#: Fractions that are to sum to one may miss by rounding.
_ROUNDING: Final = 1e-6


@dataclass(frozen=True)
class ShareTable:
    """Share of the stars that belong to a population, monotone cubic in ln r, constant outside.

    Parameters
    ----------
    r
        (K,) radii [kpc], rising, at least 2.
    share
        (K,) shares, 0 to 1.
    """

    r: tuple[float, ...]
    share: tuple[float, ...]

    def __post_init__(self) -> None:
        require(
            len(self.r) == len(self.share) >= 2,
            f"r and share must be of one length, at least 2 (got {len(self.r)} and {len(self.share)})",
        )
        rising = self.r[0] > 0.0 and bool(np.all(np.diff(self.r) > 0.0))
        require(rising, f"r must be positive and rising (got {list(self.r)})")
        inside = all(0.0 <= x <= 1.0 for x in self.share)
        require(inside, f"share must be within 0 and 1 (got {list(self.share)})")

    @cached_property
    def _spline(self) -> PchipInterpolator:
        from scipy.interpolate import PchipInterpolator

        return PchipInterpolator(np.log(self.r), self.share)

    def at(self, r: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Share and its derivative d share / d ln r at ``r`` [kpc]."""
        x = np.log(np.asarray(r, dtype=float))
        clipped = np.clip(x, np.log(self.r[0]), np.log(self.r[-1]))
        slope = np.where(x == clipped, self._spline(clipped, 1), 0.0)
        return np.asarray(self._spline(clipped), dtype=float), slope


@dataclass(frozen=True)
class ShareOfDensity:
    """A density of which a population has a share that changes with radius.

    Parameters
    ----------
    density
        Of all stars.
    tables
        Shares that are summed.
    constant, sign
        The share is ``constant`` plus ``sign`` times the sum: 0 and 1 for a population's own table, 1 and -1 for
        the rest that others leave.
    """

    density: Density
    tables: tuple[ShareTable, ...]
    constant: float = 0.0
    sign: float = 1.0

    @property
    def knots(self) -> tuple[float, ...]:
        """Radii [kpc] where a derivative jumps."""
        own = tuple(r for table in self.tables for r in table.r)
        return tuple(sorted({*getattr(self.density, "knots", ()), *own}))

    def share(self, r: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Share of the stars at ``r`` [kpc], and its derivative in ln r."""
        values, slopes = zip(*(table.at(r) for table in self.tables), strict=True)
        share = self.constant + self.sign * np.sum(values, axis=0)
        return np.maximum(share, _LEAST_SHARE), self.sign * np.sum(slopes, axis=0)

    def log_density(self, r: ArrayLike) -> FloatArray:
        """Natural logarithm of rho at ``r`` [kpc]."""
        return self.density.log_density(r) + np.log(self.share(r)[0])

    def slope(self, r: ArrayLike) -> FloatArray:
        """Logarithmic slope d ln rho / d ln r at ``r`` [kpc]."""
        share, change = self.share(r)
        return np.asarray(self.density.slope(r) + change / share, dtype=float)


@dataclass(frozen=True)
class Composition:
    """Settings of a population beside its density and anisotropy.

    Parameters
    ----------
    name
        What to call it; estimates of components are compared with populations called ``mr`` and ``mp``.
    fraction
        Share of all stars; or a table {r, share}, of the density that the populations share. One population may be
        without: it has the rest.
    rotation
        Share of stars with v_phi > 0 minus that with v_phi < 0, from -1 to 1 (negative is prograde): the v_phi of some
        stars is turned round, which keeps an equilibrium one.
    feh, alpha_fe
        Distributions of [Fe/H] and [alpha/Fe]; none leaves [alpha/Fe] out of the catalogue.
    shape
        Axis ratios and tilt that the stars start from, before they mix in the true field.
    """

    name: str = "halo"
    fraction: float | ShareTable | None = None
    rotation: float = 0.0
    feh: Abundance = HALO_FEH
    alpha_fe: Abundance | None = None
    shape: Shape | None = None

    def __post_init__(self) -> None:
        require_label(self.name, self.fraction)
        require(-1.0 <= self.rotation <= 1.0, f"rotation must be in [-1, 1] (got {self.rotation})")

    @property
    def abundances(self) -> Mapping[str, bool | None]:
        """Which of ``feh`` and ``alpha_fe`` its stars have."""
        return {"feh": True, "alpha_fe": self.alpha_fe is not None}


def require_label(name: str, fraction: object) -> None:
    """Raise :class:`InputError` for an empty name, or a number that is no share of stars."""
    require(bool(name), "name must not be empty")
    if isinstance(fraction, float | int):
        inside = 0.0 < fraction <= 1.0
        require(inside, f"fraction must be above 0 and at most 1 (got {fraction})")


@dataclass(frozen=True, eq=False)
class Population:
    """Stars of one density and anisotropy.

    Parameters
    ----------
    density, anisotropy
        What is wanted.
    composition
        Name, rotation and chemistry.
    fraction
        Share of all stars of the mock.
    distribution
        Which of all functions that have that density and anisotropy.
    """

    density: Density
    anisotropy: FunctionAnisotropy
    composition: Composition
    fraction: float
    distribution: Distribution = DEFAULT

    def dress(
        self, position: FloatArray, velocity: FloatArray, uniforms: Uniforms, number: IntArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Velocities (N, 3) that turn as the population does, [Fe/H] and [alpha/Fe] (N,), of stars that do not."""
        own, r = self.composition, np.linalg.norm(position, axis=1)
        feh, alpha_fe = abundances(own.feh, own.alpha_fe, r, uniforms, number)
        if self.composition.rotation:
            turned = uniforms.uniform("turned", number) < abs(self.composition.rotation)
            velocity = spin(position, velocity, turned, np.sign(self.composition.rotation))
        return velocity, feh, alpha_fe


def spin(position: FloatArray, velocity: FloatArray, which: BoolArray, sign: float) -> FloatArray:
    """Velocities (N, 3) with v_phi of ``which`` stars (N,) reflected, where needed, to have ``sign``."""
    x, y = position[:, 0], position[:, 1]
    R = np.hypot(x, y)
    v_phi = (x * velocity[:, 1] - y * velocity[:, 0]) / R
    change = np.where(which & (v_phi * sign < 0.0), -2.0 * v_phi, 0.0) / R
    turned = velocity.copy()
    turned[:, 0] -= y * change
    turned[:, 1] += x * change
    return turned


def population_entries(rest: dict[str, Any], where: str) -> list[tuple[Mapping[str, Any], str]]:
    """Tables of the populations of a mock, and what to call their places.

    They are the entries of its list ``populations``, which is taken out of ``rest``; without one, ``rest`` itself.

    Raises
    ------
    InputError
        If that is no list of tables that have a name.
    """
    listed = rest.pop("populations", None)
    if listed is None:
        return [(rest, where)]
    if not isinstance(listed, Sequence) or isinstance(listed, str) or not listed:
        raise InputError(f"{where}.populations: expected a list of tables (got {listed!r})")
    places = [f"{where}.populations.{k}" for k in range(len(listed))]
    for table, place in zip(listed, places, strict=True):
        if not isinstance(table, Mapping):
            raise InputError(f"{place}: expected a table (got {table!r})")
        require("name" in table, f"{place}: key 'name' is missing")
    return list(zip(listed, places, strict=True))


def require_distinct(names: Sequence[str], where: str) -> None:
    """Raise :class:`InputError` if two populations of a mock have one name."""
    require(
        len(set(names)) == len(names),
        f"{where}.populations: names must differ (got {list(names)})",
    )


def shares(fractions: Sequence[float | None], where: str) -> list[float]:
    """Shares of all stars, of sum 1, of the populations of a mock; the one without a fraction has the rest.

    Raises
    ------
    InputError
        If the fractions do not sum to one, or several populations have none.
    """
    place = f"{where}.populations"
    rest = _without_fraction(fractions, place)
    total = float(sum(w for w in fractions if w is not None))
    if not (total < 1.0 if rest and len(fractions) > 1 else abs(total - (1 - rest)) <= _ROUNDING):
        raise InputError(f"{place}: fractions must sum to {'less than ' * rest}1 (got {total:g})")
    made = [1.0 - total if w is None else float(w) for w in fractions]
    return [w / sum(made) for w in made]


def _without_fraction(fractions: Sequence[object], place: str) -> int:
    """Count the populations that have the rest, at most one."""
    rest = list(fractions).count(None)
    require(rest <= 1, f"{place}: {rest} populations have no fraction (allowed: 1)")
    return rest


def make_populations(
    spec: Mapping[str, Any], r_range: tuple[float, float], where: str
) -> tuple[Population, ...]:
    """Make what a mock's table has: its list ``populations``, whose entries the table's own keys fill up, or one.

    Raises
    ------
    InputError
        If a setting is unknown, missing or out of range, or the fractions do not sum to one.
    """
    rest = dict(spec)
    made = []
    for entry, place in population_entries(rest, where):
        table = {**rest, **entry}
        for key in ("density", "beta"):
            require(key in table, f"{place}: key {key!r} is missing")
        own = ("density", "beta", "distribution")
        others = {k: v for k, v in table.items() if k not in own}
        anisotropy = make_anisotropy(table["beta"], f"{place}.beta")
        made.append(
            (
                make_density(table["density"], f"{place}.density"),
                anisotropy,
                build(Composition, others, place),
                _distribution(table, anisotropy, place),
            )
        )
    require_distinct([composition.name for _, _, composition, _ in made], where)
    densities, fractions = _share_out(
        [each[0] for each in made], [each[2].fraction for each in made], r_range, where
    )
    return tuple(
        Population(density, anisotropy, composition, fraction, distribution)
        for density, (_, anisotropy, composition, distribution), fraction in zip(
            densities, made, fractions, strict=True
        )
    )


def _distribution(
    table: Mapping[str, Any], anisotropy: FunctionAnisotropy, place: str
) -> Distribution:
    """Distribution of a population's table, which must go with its anisotropy."""
    if "distribution" not in table:
        return DEFAULT
    where = f"{place}.distribution"
    distribution = make_distribution(table["distribution"], where)
    try:
        distribution.check(anisotropy)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    return distribution


def _share_out(
    densities: list[Density],
    wanted: list[float | ShareTable | None],
    r_range: tuple[float, float],
    where: str,
) -> tuple[list[Density], list[float]]:
    """Densities of the populations and their shares of all stars, which sum to one."""
    numbers = [w for w in wanted if not isinstance(w, ShareTable)]
    if len(numbers) == len(wanted):
        return densities, shares(numbers, where)
    place, tables = f"{where}.populations", tuple(w for w in wanted if isinstance(w, ShareTable))
    rest = _without_fraction(wanted, place)
    if any(density != densities[0] for density in densities):
        raise InputError(f"{place}: with a table as fraction, all populations share one density")
    if not all(w is None or isinstance(w, ShareTable) for w in wanted):
        raise InputError(f"{place}: fractions must be all numbers or all tables")
    everyone = ShareOfDensity(densities[0], tables)
    total_share = everyone.share(np.geomspace(*r_range, 200))[0]
    fits = np.all(total_share <= 1.0 + _ROUNDING)
    if not (fits if rest else np.allclose(total_share, 1.0, atol=_ROUNDING)):
        raise InputError(
            f"{place}: fractions must sum to {'at most ' * rest}1 at every radius (got"
            f" {total_share.min():g} to {total_share.max():g})"
        )
    parts: list[Density] = [
        ShareOfDensity(densities[0], (w,))
        if isinstance(w, ShareTable)
        else ShareOfDensity(densities[0], tables, 1.0, -1.0)
        for w in wanted
    ]
    log_numbers = np.array([_log_number(part, r_range) for part in parts])
    return parts, np.exp(log_numbers - np.logaddexp.reduce(log_numbers)).tolist()


def _log_number(density: RadialDensity, r_range: tuple[float, float]) -> float:
    return radial_table(density, *r_range).log_mass
