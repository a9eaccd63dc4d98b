"""Mocks of kind ``agama``: one population of a distribution function or Schwarzschild model, or several together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final, TypeVar, cast

import numpy as np

from haloassay.base.errors import InputError, UsedUpError
from haloassay.base.settings import build, require, unknown
from haloassay.mocks.backends.agama.distributions import (
    DISTRIBUTIONS,
    AgamaSampling,
    DoublePowerLaw,
    QuasiSpherical,
    Schwarzschild,
)
from haloassay.mocks.backends.agama.library import library, require_solver
from haloassay.mocks.backends.agama.mock import AgamaMock
from haloassay.mocks.backends.agama.schwarzschild import (
    SchwarzschildMock,
)
from haloassay.mocks.equilibria.anisotropy import (
    Constant,
    FunctionAnisotropy,
    OsipkovMerrittProfile,
    make_anisotropy,
)
from haloassay.mocks.equilibria.tracers import make_density
from haloassay.mocks.gravity.fields import make_field
from haloassay.mocks.gravity.potentials import CompositePotential, make_potential
from haloassay.mocks.mock import Mock
from haloassay.mocks.moment_map import MomentMap
from haloassay.mocks.moments import Moments, mixed_moments
from haloassay.mocks.populations import population_entries, require_distinct, shares
from haloassay.mocks.stars import Origin, Stars, shared
from haloassay.mocks.truth import Truth
from haloassay.mocks.watch import Watch

Member = AgamaMock | SchwarzschildMock
T = TypeVar("T")

#: Settings that all populations of a mock share, and those that each may have of its own.
_OF_ALL: Final = ("r_range", "tolerance")
_OF_EACH: Final = (
    *("distribution", "density", "beta"),
    *(name for name in AgamaSampling.__dataclass_fields__ if name not in _OF_ALL),
)
#: Stars that the map of a mixture is made of at most, enough for the finest one, and their seed.
_MOST_MAPPED: Final = 500_000
_SEED: Final = 1


@dataclass(frozen=True, eq=False)
class AgamaHalo(Mock):
    """Several populations in one potential, each of a distribution function or Schwarzschild model of its own.

    ``populations`` lists them: an entry has a ``name``, a ``fraction``, and what differs from the mock's own
    ``distribution``, ``density``, ``beta``, ``feh`` and ``alpha_fe``. A Schwarzschild model moves in the potential
    itself: distribution functions stand beside it where that is spherical.

    Parameters
    ----------
    members
        A mock of each population, all of one potential and range.
    fractions
        Share of the stars within the range that each has, of sum 1.
    """

    members: tuple[Member, ...]
    fractions: tuple[float, ...]

    @property
    def origins(self) -> tuple[Origin, ...]:
        """Names of the populations, in the order of :attr:`Stars.origin`."""
        return tuple(Origin(member.sampling.name) for member in self.members)

    @property
    def abundances(self) -> Mapping[str, bool | None]:
        """Which of ``feh`` and ``alpha_fe`` the stars have."""
        return shared([member.abundances for member in self.members])

    @property
    def number(self) -> int | None:
        """About as many stars as come before the first stored population is used up; None where none is stored."""
        pairs = zip(self.members, self.fractions, strict=True)
        limits = [m.number / share for m, share in pairs if m.number is not None]
        return int(min(limits)) if limits else None

    @cached_property
    def truth(self) -> Truth:
        """What is true of each population, and of all stars together.

        With a Schwarzschild model among them, moments over the sky are measured in stars of all at their shares.
        """
        truths = self._each(lambda member: member.truth)
        parts = {
            member.sampling.name: _share(member, truth.tracers, fraction)
            for member, truth, fraction in zip(self.members, truths, self.fractions, strict=True)
        }
        tracers = mixed_moments(list(parts.values()))
        sky = None
        if self._stored:
            stars = self.sample(min(self._most, _MOST_MAPPED), np.random.default_rng(_SEED))
            sky = MomentMap.of_population(stars, tracers.r_range)
        tests = {name: test for truth in truths for name, test in truth.stationarity.items()}
        sources = {
            name: replace(truth.everyone, moments=parts[name])
            for name, truth in zip(parts, truths, strict=True)
        }
        return Truth(
            self.members[0].potential,
            tracers,
            parts,
            local=sky,
            stationarity=tests,
            sources=sources,
        )

    def check(self) -> None:
        """Check each population."""
        self._each(lambda member: member.check())

    def prepare(self, progress: Watch | None = None) -> Mapping[str, Any]:
        """Make all populations now, or find them in the cache.

        Returns the number of stars that a realisation can have and how stationary populations are, where some
        are stored.

        Raises
        ------
        EquilibriumError
            If agama finds no model of a population, which the message names.
        """
        told = [facts for facts in self._each(lambda member: member.prepare(progress)) if facts]
        _ = self.truth  # too few stars to state one are told now
        if not told:
            return {}
        return {
            "population": self._most,
            "phases": max(facts["phases"] for facts in told),
            "drift": {name: test for facts in told for name, test in facts["drift"].items()},
        }

    def sampler(self, rng: np.random.Generator) -> Callable[[int], Stars]:
        """Source of stars in random order; of stored populations, none twice in one realisation.

        Where one runs out, a call returns the stars before the first that would be missing; the next one raises
        UsedUpError.
        """
        sources = self._each(lambda member: member.sampler(rng))
        left = dict(self._stored)
        used_up: int | None = None

        def draw(n: int) -> Stars:
            nonlocal used_up
            which = rng.choice(len(sources), n if used_up is None else 0, p=self.fractions)
            for k, rest in left.items():
                missing = np.flatnonzero(which == k)[rest:]
                if len(missing):
                    which, used_up = which[: missing[0]], k
            if used_up is not None and len(which) == 0 < n:
                raise UsedUpError(self._complaint(used_up))
            parts = [Stars.of(np.empty((0, 3)), np.empty((0, 3)))]
            for k, source in enumerate(sources):
                count = int(np.count_nonzero(which == k))
                if count:
                    parts.append(source(count).from_source(k))
                if k in left:
                    left[k] -= count
            order = np.argsort(which, kind="stable")
            return Stars.concatenate(parts).select(np.argsort(order))

        return draw

    @cached_property
    def _stored(self) -> dict[int, int]:
        """Stars that there are of each stored population, by origin."""
        sizes = self._each(
            lambda member: member.population.size if isinstance(member, SchwarzschildMock) else None
        )
        return {k: size for k, size in enumerate(sizes) if size is not None}

    @property
    def _most(self) -> int:
        """Stars of all populations together when the first stored one is used up."""
        return int(min(size / self.fractions[k] for k, size in self._stored.items()))

    def _complaint(self, k: int) -> str:
        return (
            f"population {self.members[k].sampling.name!r}: its {self._stored[k]} stored stars are used up: one"
            " realisation asks for more (set size in its distribution higher, or observe fewer stars)"
        )

    def _each(self, what: Callable[[Member], T]) -> list[T]:
        """Collect what all populations give; an error names the one that it is of."""
        given = []
        for member in self.members:
            try:
                given.append(what(member))
            except InputError as error:
                raise type(error)(f"population {member.sampling.name!r}: {error}") from None
        return given


def _share(member: Member, moments: Moments, fraction: float) -> Moments:
    """Moments of a population whose density counts all its stars as ``fraction``."""
    counted = member.population.size if isinstance(member, SchwarzschildMock) else 1.0
    return replace(moments, density=lambda r: moments.density(r) * (fraction / counted))


def make_agama_mock(spec: Mapping[str, Any], where: str) -> Member | AgamaHalo:
    """Mock of a table with keys kind, potential, those of :class:`AgamaSampling`, and of a distribution.

    With a list ``populations``, of that of each of its entries, whose keys are filled up by those of the table.

    Raises
    ------
    InputError
        If agama is not installed, or lacks the solver of a Schwarzschild model, a setting is unknown, missing or out of
        range, or fractions do not sum to one.
    """
    rest = {key: value for key, value in spec.items() if key != "kind"}
    require("potential" in rest, f"{where}: key 'potential' is missing")
    _require_known(rest, ("kind", "potential", "populations", *_OF_ALL, *_OF_EACH), where)
    potential = make_potential(rest.pop("potential"), f"{where}.potential")
    common = build(AgamaSampling, {key: rest.pop(key) for key in _OF_ALL if key in rest}, where)
    entries = population_entries(rest, where)
    tables = [_filled_up(rest, entry, place) for entry, place in entries]
    for key in ("density", "beta"):
        used = key not in rest or any(key in table for table in tables)
        require(used, f"{where}: double-power-law distributions take no {key!r}")
    members = [
        _make_member(potential, table, common, place)
        for table, (_, place) in zip(tables, entries, strict=True)
    ]
    require_distinct([member.sampling.name for member in members], where)
    fractions = shares([member.sampling.fraction for member in members], where)
    _require_one_field(members, where)
    try:
        library()
        if any(isinstance(member, SchwarzschildMock) for member in members):
            require_solver()
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    return members[0] if len(members) == 1 else AgamaHalo(tuple(members), tuple(fractions))


def _require_known(table: Mapping[str, Any], allowed: Sequence[str], where: str) -> None:
    for key in table:
        if key not in allowed:
            raise unknown("setting", key, allowed, where)


def _filled_up(rest: Mapping[str, Any], entry: Mapping[str, Any], place: str) -> dict[str, Any]:
    """Table of a population: its entry, and the mock's own keys for what that leaves out."""
    _require_known(entry, _OF_EACH, place)
    table = {**rest, **entry}
    own = table.get("distribution")
    if isinstance(own, Mapping) and own.get("kind") == "double-power-law":
        # density and beta of the mock are for its other populations; those of the entry itself are refused later
        return {k: v for k, v in table.items() if k in entry or k not in ("density", "beta")}
    return table


def _require_one_field(members: Sequence[Member], where: str) -> None:
    """Refuse stars that move in the potential beside stars that move in its spherical average."""
    if len({type(member) for member in members}) > 1:
        require(
            make_field(members[0].potential).spherical,
            f"{where}.populations: schwarzschild distributions move in the potential itself, the others in its"
            " spherical average: beside each other they need a spherical potential",
        )


def _make_member(
    potential: CompositePotential, table: Mapping[str, Any], common: AgamaSampling, place: str
) -> Member:
    """Mock of the table of a population, which shares the range and tolerance of ``common``."""
    own = {key: value for key, value in table.items() if key in AgamaSampling.__dataclass_fields__}
    sampling = replace(
        build(AgamaSampling, own, place), r_range=common.r_range, tolerance=common.tolerance
    )
    distribution = table.get("distribution", {"kind": "quasi-spherical"})
    where = f"{place}.distribution"
    if not isinstance(distribution, Mapping) or "kind" not in distribution:
        raise InputError(
            f"{where}: expected a table with a key 'kind' (allowed: {', '.join(DISTRIBUTIONS)})"
        )
    kind = distribution["kind"]
    if kind not in DISTRIBUTIONS:
        raise unknown("distribution", kind, DISTRIBUTIONS, where)
    settings = {key: value for key, value in distribution.items() if key != "kind"}
    if kind == "double-power-law":
        for key in ("density", "beta"):
            require(key not in table, f"{place}: a double-power-law distribution takes no {key!r}")
        return AgamaMock(potential, build(DoublePowerLaw, settings, where), sampling)
    for key in ("density",) if kind == "schwarzschild" else ("density", "beta"):
        require(key in table, f"{place}: key {key!r} is missing")
    density = make_density(table["density"], f"{place}.density")
    beta = make_anisotropy(table["beta"], f"{place}.beta") if "beta" in table else None
    if kind == "schwarzschild":
        orbits = build(Schwarzschild, settings, where)
        return SchwarzschildMock(potential, density, beta, orbits, sampling)
    _require_known(settings, ("kind",), where)
    function = cast("FunctionAnisotropy", beta).function
    require(
        isinstance(function, Constant | OsipkovMerrittProfile),
        f"{place}.beta: agama's distribution functions have a constant or an osipkov-merritt-profile beta;"
        " distribution = { kind = 'schwarzschild' } and kind = 'equilibrium' have any",
    )
    wanted = QuasiSpherical(density, cast("Constant | OsipkovMerrittProfile", function))
    return AgamaMock(potential, wanted, sampling)
