"""Stellar halos that were built by mergers: stars of satellites that fell into a growing host, as test particles."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar, Final

import numpy as np

from haloassay.base.arrays import FloatArray, IntArray
from haloassay.base.cache import LATER, Arrays, cached, plain_content
from haloassay.base.constants import G
from haloassay.base.errors import InputError
from haloassay.base.settings import build, require
from haloassay.contracts.profiles import nfw_shape
from haloassay.mocks.chemistry import Abundance
from haloassay.mocks.equilibria.stored_population import StoredMock, StoredPopulation
from haloassay.mocks.gravity.fields import Field, field_of
from haloassay.mocks.gravity.integration import TOLERANCE, Orbits, integrate
from haloassay.mocks.gravity.potentials import CompositePotential, make_potential
from haloassay.mocks.history.growth import GrowingHost
from haloassay.mocks.history.infall import MergerHistory, Satellite, Satellites, drawn, given
from haloassay.mocks.history.sinking import Losses, losses
from haloassay.mocks.history.tagging import bound_mass, tagged
from haloassay.mocks.knowledge import Undetermined
from haloassay.mocks.lmc.dipole_truth import DipoleTruth
from haloassay.mocks.lmc.kinds import RIGID
from haloassay.mocks.lmc.trajectory import LMC, rewind
from haloassay.mocks.mock import Mock
from haloassay.mocks.moment_map import MomentMap
from haloassay.mocks.moments import population_moments
from haloassay.mocks.stars import Origin, Stars
from haloassay.mocks.truth import Truth
from haloassay.mocks.watch import Watch

#: Numbers of the stars of one satellite: those of the next one start here.
_NUMBERS: Final = 10_000_000
#: Stars that tell how many end between the ends of the range, and the least share; how many more are followed.
_TRIAL: Final = 2000
_LEAST: Final = 0.02
_MARGIN: Final = 1.15
#: Longest time [Gyr] over which the LMC is felt: before, host and LMC were others.
LONGEST: Final = 6.0
#: Spread of [Fe/H] within a satellite [dex] (choice, between those of Sculptor and Fornax).
_FEH_SPREAD: Final = 0.4


@dataclass(frozen=True, eq=False)
class Accretion:
    """Settings of an accreted halo.

    Parameters
    ----------
    history
        How satellites are drawn.
    most_bound
        Part of the dark particles of a satellite that are its stars, the most bound ones (Cooper et al. 2010).
    size
        Stars that are stored, all between the ends of the range and of the same mass: of as many as it takes, shared
        out by the satellites' stellar masses.
    r_range
        Radii [kpc] between which there are stars; the truth is stated there.
    alpha_fe
        Distribution of [alpha/Fe], of all satellites alike; none leaves it out of the catalogue.
    """

    history: MergerHistory = field(default_factory=MergerHistory)
    most_bound: float = 0.01
    size: int = 20_000
    r_range: tuple[float, float] = (5.0, 150.0)
    alpha_fe: Abundance | None = field(default=None, metadata=LATER)

    def __post_init__(self) -> None:
        require(
            0.0 < self.most_bound <= 0.5,
            f"most_bound must be in (0, 0.5] (got {self.most_bound:g})",
        )
        require(
            1000 <= self.size <= _NUMBERS,
            f"size must be 1000 to {_NUMBERS} stars (got {self.size})",
        )
        lo, hi = self.r_range
        require(1.0 <= lo < hi <= 500.0, f"r_range must rise from 1 to 500 kpc (got {[lo, hi]})")


@dataclass(frozen=True, eq=False)
class AccretedHalo(Accretion, StoredMock):
    """A stellar halo of the debris of satellites.

    The host grows as its history says; each satellite is slowed by dynamical friction and loses stars at its
    pericentres, outside its tidal radius; they are followed from there to now as test particles, without the pull of
    any satellite but, where it is asked for, the LMC's. What is still bound to a satellite is not part of the halo. Nor
    are stars that were born in the host.

    Parameters
    ----------
    potential
        Of today: one dark component of kind ``nfw`` by ``m200`` and ``c``, which grows, and others, which rest. All
        count by their spherical averages.
    satellites
        The user's in place of drawn ones; each a table.
    lmc
        A rigid LMC, which pulls stars and the host over its last ``time``, and no other satellite.
    """

    kind: ClassVar[str] = "accreted"
    version: ClassVar[int] = 1
    size_setting: ClassVar[str] = "mock.size"

    potential: CompositePotential = field(kw_only=True)
    satellites: tuple[Satellite, ...] = field(default=(), kw_only=True)
    lmc: LMC | None = field(default=None, kw_only=True)
    #: Whether it is the halo of one realisation, of which there is one each.
    one_of_many: bool = field(default=False, kw_only=True, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.host
        if self.lmc is not None:
            require(
                self.lmc.time <= LONGEST,
                f"lmc.time: an accreted halo feels the LMC for at most {LONGEST:g} Gyr (got {self.lmc.time:g})",
            )

    @cached_property
    def host(self) -> GrowingHost:
        """The host that grows."""
        return GrowingHost.of(self.potential, self.history.omega_m)

    @property
    def origins(self) -> tuple[Origin, ...]:
        """One: stars that were accreted."""
        return (Origin("accreted"),)

    @property
    def abundances(self) -> Mapping[str, bool | None]:
        """Stars have [Fe/H], and [alpha/Fe] where its distribution is given."""
        return {"feh": True, "alpha_fe": self.alpha_fe is not None}

    @property
    def number(self) -> int | None:
        """Stars that are stored."""
        return self.size

    @property
    def takes_long(self) -> bool:
        """Not before a run, where each realisation makes its own."""
        return not self.differs

    @property
    def differs(self) -> bool:
        """Whether each realisation has a halo of its own."""
        return self.history.seed is None

    def realized(self, seed: int) -> Mock:
        """Halo of one realisation."""
        if not self.differs:
            return self
        return replace(self, history=replace(self.history, seed=seed), one_of_many=True)

    @property
    def mass(self) -> CompositePotential:
        """The potential of today."""
        return self.potential

    @cached_property
    def _infall(self) -> tuple[Satellites, np.random.Generator]:
        """Satellites at infall, and what draws their stars."""
        orbits, stars = np.random.default_rng(self.history.seed or 0).spawn(2)
        if self.satellites:
            return given(self.host, self.satellites, self.history, orbits), stars
        return drawn(self.host, self.history, orbits), stars

    def make_population(self, progress: Watch | None = None) -> StoredPopulation:
        """Follow all stars, or find them in the cache."""
        return StoredPopulation.from_arrays(self._stored(progress))

    def _stored(self, progress: Watch | None = None) -> Arrays:
        """Arrays of the population, and what it comes from."""
        seeded = replace(self, history=replace(self.history, seed=self.history.seed or 0))

        def make() -> Arrays:
            stars, structures = self._followed(progress)
            facts = json.dumps(asdict(structures)).encode()
            return {
                **StoredPopulation(stars).to_arrays(),
                "facts": np.frombuffer(facts, dtype=np.uint8),
            }

        return cached(plain_content(seeded), make)

    def _followed(self, progress: Watch | None) -> tuple[Stars, Structures]:
        """So many stars between the ends of the range, and what they come from."""
        infall, rng = self._infall
        trial, chosen = rng.spawn(2)
        stripping = self._stripping(infall)
        lo, hi = self.r_range
        require(bool(stripping.mass.sum() > 0.0), "no satellite has lost a star until now")
        found = len(self._debris(stripping, _TRIAL, trial, None))
        require(
            found >= _LEAST * _TRIAL,
            f"only {found} of {_TRIAL} stars that were stripped are between {lo:g} and {hi:g} kpc (allowed: at"
            f" least {100.0 * _LEAST:g} per cent): widen r_range, or change satellites",
        )
        followed = int(np.ceil(_MARGIN * self.size * _TRIAL / found))
        stars = self._debris(stripping, followed, rng, progress)
        mass = float(stripping.mass.sum()) * len(stars) / followed
        structures = Structures.of(stars, len(infall), mass)
        if len(stars) > self.size:
            which = np.sort(chosen.choice(len(stars), self.size, replace=False))
            stars = stars.select(which)
        return stars, structures

    def _stripping(self, infall: Satellites) -> Stripping:
        """Follow the satellites, and find what each loses."""
        shape = nfw_shape(infall.concentration)
        scale, r_s = infall.mass / shape, infall.radius / infall.concentration
        places = (infall.time, infall.position, infall.velocity)
        gone = losses(self.host.sphere, *places, (scale, r_s, infall.radius))
        tightest = np.full(len(infall), np.inf)
        np.minimum.at(tightest, gone.satellite, gone.tide / r_s[gone.satellite])
        tagged_mass = self.most_bound * shape
        kept = np.minimum(bound_mass(np.maximum(tightest, 1e-12)), tagged_mass)
        kept[tightest == 0.0] = 0.0
        lost = infall.stellar_mass * (1.0 - kept / tagged_mass)
        return Stripping(infall, gone, scale, r_s, kept, tagged_mass, lost)

    def _debris(
        self, stripping: Stripping, n: int, rng: np.random.Generator, progress: Watch | None
    ) -> Stars:
        """Those of ``n`` stripped stars that are between the ends of the range now, numbered by satellite."""
        counts = _shares(stripping.mass, n)
        which = np.repeat(np.arange(len(counts)), counts)
        feh = stripping.infall.feh[which] + _FEH_SPREAD * rng.standard_normal(n)
        start, position, velocity = stripping.released(which, rng)
        now = self._to_now(position, velocity, start, progress)
        r = np.linalg.norm(now.position, axis=1)
        inside = (r >= self.r_range[0]) & (r < self.r_range[1]) & ~now.stuck
        first = np.concatenate([[0], np.cumsum(counts)[:-1]])
        number = which * _NUMBERS + np.arange(n) - first[which]
        alpha_fe = np.full(n, np.nan)
        if self.alpha_fe is not None:
            alpha_fe = self.alpha_fe.of(r, rng.standard_normal(n))
        chemistry = feh[inside], alpha_fe[inside]
        return Stars.of(
            now.position[inside], now.velocity[inside], *chemistry, number=number[inside]
        )

    @cached_property
    def perturbed(self) -> Field:
        """Field of the host that grows and of the LMC, about the host's centre, since the LMC is followed.

        Raises
        ------
        InputError
            If the LMC cannot have come to this host in that time.
        """
        assert self.lmc is not None
        host = self.host.expansion(-self.lmc.time)
        bodies = rewind(self.lmc, self.potential, field_of([], [host])).bodies
        return field_of([], [host, *bodies])

    def _to_now(
        self, position: FloatArray, velocity: FloatArray, start: FloatArray, progress: Watch | None
    ) -> Orbits:
        """Follow stars from where they are released, alone with the host and then with the LMC too."""
        sphere = self.host.sphere
        if self.lmc is None or not self.lmc.moves:
            return sphere.follow(position, velocity, start, 0.0, progress=progress)
        met = -self.lmc.time
        early = np.flatnonzero(start < met)
        before = sphere.follow(position[early], velocity[early], start[early], met)
        position[early], velocity[early] = before.position, before.velocity
        begin = np.maximum(start, met)
        now = integrate(self.perturbed, position, velocity, begin, 0.0, TOLERANCE, progress)
        now.stuck[early] |= before.stuck
        return now

    @cached_property
    def truth(self) -> Truth:
        """Masses of today's potential; moments measured in the stars, in shells and over the sky."""
        stars = self.population.stars
        tracers = population_moments(stars, self.r_range)
        moving = self.lmc is not None and self.lmc.moves
        return Truth(
            self.potential,
            tracers,
            velocity_field=DipoleTruth.of(stars, tracers.r_range) if moving else Undetermined(),
            local=MomentMap.of_population(stars, tracers.r_range),
            others=self.lmc.own_mass if self.lmc else {},
        )

    @cached_property
    def structures(self) -> Structures:
        """What the stars between the ends of the range come from."""
        return Structures(**json.loads(self._stored()["facts"].tobytes()))

    def check(self) -> None:
        """Draw the satellites, and follow the LMC."""
        _ = self._infall
        if self.lmc is not None:
            _ = self.perturbed

    def prepare(self, progress: Watch | None = None) -> Mapping[str, Any]:
        """Make the halo now, or find it in the cache; returns what it is made of."""
        facts = super().prepare(progress)
        _ = self.truth
        own = {"one_of_many": True} if self.one_of_many or self.differs else {}
        return {**facts, "accreted": {**asdict(self.structures), **own}}


@dataclass(frozen=True)
class Structures:
    """Satellites behind a halo.

    Parameters
    ----------
    fell_in
        Satellites in all.
    contribute
        Those with a star in the range.
    effective
        (sum w)^2 / sum w^2 of the numbers w of stars that each has there: as many satellites of equal shares.
    largest
        Share of the stars that is of one satellite.
    stellar_mass
        Of all stars in the range [Msun].
    """

    fell_in: int
    contribute: int
    effective: float
    largest: float
    stellar_mass: float

    @classmethod
    def of(cls, stars: Stars, fell_in: int, mass: float) -> Structures:
        """Count the satellites behind stars of a mass [Msun]."""
        weights = np.bincount(satellite_of(stars)).astype(float)
        weights = weights[weights > 0.0]
        total = weights.sum()
        effective, largest = total**2 / np.sum(weights**2), weights.max() / total
        return cls(fell_in, len(weights), float(effective), float(largest), mass)


@dataclass(frozen=True, eq=False)
class Stripping:
    """What satellites lose.

    Parameters
    ----------
    infall
        The satellites.
    gone
        Where and when.
    scale, r_s
        (N,) mass scales [Msun] and scale radii [kpc].
    kept, tagged_mass
        (N,) masses, in mass scales, of the stars' dark particles that stay bound, and of all of them.
    mass
        (N,) stellar masses [Msun] that are lost.
    """

    infall: Satellites
    gone: Losses
    scale: FloatArray
    r_s: FloatArray
    kept: FloatArray
    tagged_mass: FloatArray
    mass: FloatArray

    def released(
        self, which: IntArray, rng: np.random.Generator
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Find times [Gyr], positions [kpc] and velocities [km/s] at which stars of satellites ``which`` (n,) leave."""
        gone = self.gone
        stars = tagged(self.kept[which], self.tagged_mass[which], rng)
        first = np.searchsorted(gone.satellite, np.arange(len(self.infall) + 1))
        event = np.zeros(len(which), dtype=np.int64)
        farthest = stars.farthest * self.r_s[which]
        for k in range(len(self.infall)):
            own = np.flatnonzero(which == k)
            if not len(own):
                continue
            tides = gone.tide[first[k] : first[k + 1]]
            # tides shrink: the first that a star is outside of, the last for those at its edge
            inside = np.searchsorted(-tides, -farthest[own], side="left")
            event[own] = first[k] + np.minimum(inside, len(tides) - 1)
        speed = np.sqrt(G * self.scale / self.r_s)[which, None]
        return (
            gone.time[event],
            stars.position * self.r_s[which, None] + gone.position[event],
            stars.velocity * speed + gone.velocity[event],
        )


def satellite_of(stars: Stars) -> IntArray:
    """(N,) numbers of the satellites that stars are from, in the order of their infall, or of the user's table."""
    return np.asarray(stars.number // _NUMBERS)


def _shares(weights: FloatArray, number: int) -> IntArray:
    """Share a number out by weights, in whole numbers whose sum it is; largest remainders are rounded up."""
    exact = weights / weights.sum() * number
    counts = np.floor(exact).astype(np.int64)
    missing = number - int(counts.sum())
    counts[np.argsort(counts - exact, kind="stable")[:missing]] += 1
    return counts


def make_accreted(spec: Mapping[str, Any], where: str) -> AccretedHalo:
    """Mock of a table with the settings of :class:`AccretedHalo`.

    Raises
    ------
    InputError
        If a setting is unknown, missing or out of range, or no halo can grow to this potential.
    """
    rest = {key: value for key, value in spec.items() if key != "kind"}
    lmc = _rigid_lmc(rest.pop("lmc", None), f"{where}.lmc")
    if "potential" not in rest:
        raise InputError(f"{where}: key 'potential' is missing")
    potential = make_potential(rest.pop("potential"), f"{where}.potential")
    listed = rest.pop("satellites", [])
    if not isinstance(listed, list) or not all(isinstance(each, Mapping) for each in listed):
        raise InputError(f"{where}.satellites: expected a list of tables (got {listed!r})")
    table = tuple(build(Satellite, s, f"{where}.satellites.{k}") for k, s in enumerate(listed))
    settings = build(Accretion, rest, where)
    try:
        made = AccretedHalo(**vars(settings), potential=potential, satellites=table, lmc=lmc)
        if table or lmc:
            made.check()
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    return made


def _rigid_lmc(table: Any, where: str) -> LMC | None:
    """LMC of a table; expansions have a host of their own, which does not grow."""
    if table is None:
        return None
    if not isinstance(table, Mapping):
        raise InputError(f"{where}: expected a table (got {table!r})")
    kind = table.get("kind", RIGID)
    if kind != RIGID:
        raise InputError(
            f"{where}.kind: the LMC of an accreted halo is {RIGID!r} (got {kind!r}): its host grows as 'history' says"
        )
    return build(LMC, {key: value for key, value in table.items() if key != "kind"}, where)
