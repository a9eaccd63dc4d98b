"""Halos that are not round or not static: a spherical equilibrium, followed through the true field."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from haloassay.base.cache import Arrays, cached, plain_content
from haloassay.base.constants import GYR_PER_KPC_KMS
from haloassay.base.errors import InputError
from haloassay.base.settings import require
from haloassay.mocks.equilibria.relaxation import (
    PopulationSettings,
    other_integrator,
    relaxed_population,
)
from haloassay.mocks.equilibria.stored_population import (
    BEYOND,
    INSIDE,
    StoredMock,
    StoredPopulation,
    reach,
    stored_population,
)
from haloassay.mocks.gravity.fields import make_field
from haloassay.mocks.gravity.potentials import CompositePotential
from haloassay.mocks.gravity.shapes import Shape
from haloassay.mocks.halo import WIDEST, Halo
from haloassay.mocks.lmc.dipole_truth import DipoleTruth
from haloassay.mocks.lmc.perturber import Perturber
from haloassay.mocks.lmc.population import lmc_population
from haloassay.mocks.moment_map import MomentMap
from haloassay.mocks.moments import Moments, anisotropy, population_moments, undefined_moments
from haloassay.mocks.selected import Source, Variation
from haloassay.mocks.stars import Origin, Stars, radial_table
from haloassay.mocks.truth import Truth
from haloassay.mocks.watch import Watch

#: Largest ratio of the ends of the range that is kept.
WIDEST_KEPT = WIDEST / (INSIDE * BEYOND)
#: Stars below the inner end are followed if their energy lets them reach this part of it: potentials that are not round
#: let some go a little farther than their spherical average.
_MARGIN = 0.8
#: Stars that tell which share of those followed will be kept, and how many of them must be, or all the work is lost.
_TRIAL, _LEAST_KEPT = 20_000, 100
#: Radii at which the anisotropy is compared with the wish.
_WISHES = 8


@dataclass(frozen=True, eq=False)
class EvolvedHalo(StoredMock):
    """A halo whose stars were brought into shape, mixed in the true field, and then pulled by the LMC.

    Parameters
    ----------
    base
        The spherical halo that they start from; its ``r_range`` is the one that is kept.
    shapes
        By origin, the shape that stars start from.
    lmc
        The LMC, where there is one.
    settings
        Size of the population, time of mixing.
    """

    version: ClassVar[int] = 4

    base: Halo
    shapes: dict[int, Shape] = field(default_factory=dict)
    lmc: Perturber | None = None
    settings: PopulationSettings = field(default_factory=PopulationSettings)

    @property
    def origins(self) -> tuple[Origin, ...]:
        """Names of the populations."""
        return self.base.origins

    @property
    def number(self) -> int | None:
        """About as many stars as the population has."""
        return self.settings.size

    @cached_property
    def mass(self) -> CompositePotential:
        """The potential now, whose masses are averages over spheres."""
        before = self.base.potential
        return self.lmc.milky_way_now(before) if self.lmc else before

    @cached_property
    def wide(self) -> Halo:
        """The spherical halo over a wider range, with the same shares within the range that is kept."""
        lo, hi = self.base.sampling.r_range
        wide = reach((lo, hi))
        weights = np.array(
            [
                p.fraction * np.exp(_log_number(p.density, wide) - _log_number(p.density, (lo, hi)))
                for p in self.base.populations
            ]
        )
        shares = weights / weights.sum()
        populations = tuple(
            replace(p, fraction=float(share))
            for p, share in zip(self.base.populations, shares, strict=True)
        )
        return replace(
            self.base, populations=populations, sampling=replace(self.base.sampling, r_range=wide)
        )

    def make_population(self, progress: Watch | None = None) -> StoredPopulation:
        """Make all stars that there are, or find them in the cache."""
        if self.lmc is None:
            return self._within(self._mixed(progress))
        # one without mass too: its stars are then at the same phases of their orbits as with one
        lmc = self.lmc

        def make() -> StoredPopulation:
            # an orbit that cannot be is told before stars are followed
            _ = lmc.history(self.base.potential)
            mixed = self._mixed(progress)
            moved = lmc_population(
                mixed.stars, self.base.potential, lmc, self.settings.tolerance, progress
            )
            return StoredPopulation(moved, mixed.phases, mixed.stationarity)

        content = ["lmc", self._content, plain_content(lmc), self.settings.integrator]
        return self._within(stored_population(content, make))

    def _mixed(self, progress: Watch | None) -> StoredPopulation:
        """Stars in equilibrium in the true field, over the wide range."""
        settings = replace(self.settings, size=self._number_to_follow)
        if self.shapes or not make_field(self.base.potential).spherical:
            return relaxed_population(
                self._reaching,
                self.base.potential,
                self.shapes,
                settings,
                self._content,
                self.base.sampling.r_range,
                progress,
                [origin.name for origin in self.origins],
            )
        return stored_population(
            ["round", self._content, settings.size],
            lambda: StoredPopulation(
                self._reaching(np.random.default_rng(self.settings.seed))(settings.size)
            ),
        )

    @cached_property
    def _number_to_follow(self) -> int:
        """Stars to start with, so that about as many as were asked for end in the range that is kept."""
        lo, hi = self.base.sampling.r_range

        def count() -> Arrays:
            r = self._reaching(np.random.default_rng(self.settings.seed))(_TRIAL).r
            return {"kept": np.array(np.count_nonzero((r >= lo) & (r < hi)))}

        kept = int(cached(["trial", _TRIAL, self._content], count)["kept"])
        require(
            kept >= _LEAST_KEPT,
            f"r_range, {lo:g} to {hi:g} kpc, is too narrow: {kept} of {_TRIAL} stars that reach it are in it now"
            f" (allowed: at least {_LEAST_KEPT})",
        )
        return int(np.ceil(self.settings.size * _TRIAL / kept))

    def _reaching(self, rng: np.random.Generator) -> Callable[[int], Stars]:
        """Sampler of the wide halo without stars too bound to come out to the range that is kept.

        Most stars within the inner end never do, and would be followed for nothing.
        """
        lo = self.base.sampling.r_range[0]
        threshold = float(self.base.potential.potential(_MARGIN * lo))

        further = self.wide.sampler(rng)

        def draw(n: int) -> Stars:
            parts: list[Stars] = []
            missing = n
            while missing > 0:
                stars = further(max(2 * missing, 1000))
                energy = 0.5 * np.sum(stars.velocity**2, axis=1)
                energy += self.base.potential.potential(stars.r)
                able = np.flatnonzero((energy > threshold) | (stars.r >= lo))[:missing]
                parts.append(stars.select(able))
                missing -= len(able)
            return Stars.concatenate(parts)

        return draw

    @cached_property
    def _content(self) -> Any:
        return [self.version, *plain_content([self.wide, self.shapes, self.settings])]

    def _within(self, population: StoredPopulation) -> StoredPopulation:
        lo, hi = self.base.sampling.r_range
        stars = population.stars
        return replace(population, stars=stars.select((stars.r >= lo) & (stars.r < hi)))

    @cached_property
    def truth(self) -> Truth:
        """Masses of the potential; moments measured in the population, in shells and over the sky."""
        stars = self.population.stars
        r_range = self.base.sampling.r_range
        tracers = population_moments(stars, r_range)
        names = [origin.name for origin in self.origins]
        parts = {
            name: _moments_of_part(stars.select(stars.origin == k), r_range)
            for k, name in enumerate(names)
            if len(names) > 1
        }
        sky = MomentMap.of_population(stars, tracers.r_range)
        sources = {
            name: Source(
                parts.get(name, tracers),
                _variation(stars.select(stars.origin == k), r_range) if parts else sky.variation,
            )
            for k, name in enumerate(names)
        }
        moving = self.lmc is not None and self.lmc.moves
        return Truth(
            self.mass,
            tracers,
            parts,
            DipoleTruth.of(stars, tracers.r_range) if moving else None,
            sky,
            self.lmc.own_mass if self.lmc else {},
            {self.origins[k].name: test for k, test in self.population.stationarity.items()},
            sources,
        )

    @property
    def abundances(self) -> Mapping[str, bool | None]:
        """Which of ``feh`` and ``alpha_fe`` the stars have."""
        return self.base.abundances

    def check(self) -> None:
        """Solve the spherical equilibrium and follow the LMC: what can be refused before stars are followed."""
        other_integrator(self.base.potential, self.settings)
        self.wide.prepare()
        _ = self._number_to_follow
        if self.lmc is not None:
            self.lmc.history(self.base.potential)

    def prepare(self, progress: Watch | None = None) -> Mapping[str, Any]:
        """Make the population now, or find it in the cache; returns its size and how stationary it is."""
        facts = super().prepare(progress)
        tests = self.truth.stationarity  # too few stars to state a truth are told now
        drift = {name: test.summary() for name, test in tests.items()}
        return {
            **facts,
            "drift": drift,
            "followed": {"gyr": self.settings.time, "turns": self._turns},
            "beta_wish": self._beta_misses(),
        }

    @property
    def _turns(self) -> float:
        """Circular orbits at the outer end of the range that fit into the time of mixing."""
        r = self.base.sampling.r_range[1]
        speed = float(self.base.potential.circular_velocity(r))
        return self.settings.time / (2.0 * np.pi * r / speed * GYR_PER_KPC_KMS)

    def _beta_misses(self) -> dict[str, dict[str, float]]:
        """By population, how far beta in the true field is from that of the spherical start, and where [kpc]."""
        found = {}
        for population in self.base.populations:
            name = population.composition.name
            moments = self.truth.components.get(name, self.truth.tracers)
            r = np.geomspace(*moments.r_range, _WISHES + 2)[1:-1]
            # rotation, which turns stars round, keeps mean squares
            miss = anisotropy(moments.second(r)) - population.anisotropy.beta(r)
            if np.isfinite(miss).all():
                worst = int(np.argmax(np.abs(miss)))
                found[name] = {"miss": float(miss[worst]), "r": float(r[worst])}
        return found


def _log_number(density: Any, r_range: tuple[float, float]) -> float:
    return radial_table(density, *r_range).log_mass


def _moments_of_part(stars: Stars, r_range: tuple[float, float]) -> Moments:
    """Moments of a population among others; undefined where it has too few stars, which does not stop the rest."""
    try:
        return population_moments(stars, r_range)
    except InputError:
        return undefined_moments(r_range)


def _variation(stars: Stars, r_range: tuple[float, float]) -> Variation | None:
    """How a population varies over the sky; not known of one without stars."""
    try:
        return MomentMap.of_population(stars, r_range).variation
    except InputError:
        return None
