"""A mock halo: a potential, tracer populations in it, and the truth about both. Composed, not subclassed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Final, Literal

import numpy as np

from haloassay.base.arrays import IntArray
from haloassay.base.cache import cached, plain_content
from haloassay.base.errors import EquilibriumError
from haloassay.base.settings import require
from haloassay.mocks.equilibria.distributions import DEFAULT
from haloassay.mocks.equilibria.equilibrium import OrbitSuperposition
from haloassay.mocks.equilibria.local_jeans import LocalJeans
from haloassay.mocks.equilibria.mixture import Mixture
from haloassay.mocks.gravity.potentials import CompositePotential
from haloassay.mocks.mock import Mock
from haloassay.mocks.moments import Moments, mixed_moments, solved_moments
from haloassay.mocks.populations import Population
from haloassay.mocks.selected import Source
from haloassay.mocks.stars import Origin, Stars, orient, shared
from haloassay.mocks.truth import Truth
from haloassay.mocks.uniforms import Uniforms, counted

#: Kinds of mock that this module makes, and a line on each.
KINDS: Final = {
    "equilibrium": "stars in collisionless equilibrium, of any density and beta(r) that one can have",
    "local-jeans-gaussian": "Gaussian velocities with Jeans dispersions; not an equilibrium, for comparison",
}

#: Largest ratio of the ends of a range of radii.
WIDEST: Final = 1e6


@dataclass(frozen=True)
class Sampling:
    """How a halo is drawn.

    Parameters
    ----------
    r_range
        Radii [kpc] between which there are stars; the truth is stated there.
    method
        ``orbits`` for orbit superposition, ``mixture`` for analytic distribution functions, ``auto`` for the mixture
        where it meets the tolerance, of populations whose ``distribution`` is of powers of L as it is, and orbits
        elsewhere.
    tolerance
        Largest miss of the wanted density (as a fraction) and anisotropy (absolute) that passes.
    """

    r_range: tuple[float, float] = (1.0, 300.0)
    method: Literal["auto", "orbits", "mixture"] = "auto"
    tolerance: float = 0.005

    def __post_init__(self) -> None:
        lo, hi = self.r_range
        require(
            0.0 < lo < hi < np.inf, f"r_range must rise from above zero (got {list(self.r_range)})"
        )
        require(
            hi / lo <= WIDEST, f"r_range may span a factor of {WIDEST:g} (got {list(self.r_range)})"
        )
        require(0.0 < self.tolerance < 1.0, f"tolerance must be in (0, 1) (got {self.tolerance})")


Solution = OrbitSuperposition | Mixture | LocalJeans


@dataclass(frozen=True, eq=False)
class Halo(Mock):
    """A spherical halo and the tracers in it; solved when first drawn from or asked for the truth.

    Parameters
    ----------
    kind
        ``equilibrium`` or ``local-jeans-gaussian``.
    potential, populations
        What is wanted.
    sampling
        How it is drawn.
    """

    version: ClassVar[int] = 3

    kind: Literal["equilibrium", "local-jeans-gaussian"]
    potential: CompositePotential
    populations: tuple[Population, ...]
    sampling: Sampling

    @property
    def origins(self) -> tuple[Origin, ...]:
        """Names of the populations, in the order of :attr:`Stars.origin`."""
        return tuple(Origin(p.composition.name) for p in self.populations)

    @property
    def mass(self) -> CompositePotential:
        """The potential."""
        return self.potential

    @cached_property
    def solutions(self) -> tuple[Solution, ...]:
        """The distributions that populations are drawn from.

        Raises
        ------
        EquilibriumError
            If no equilibrium has the wanted density and anisotropy.
        """
        return tuple(self._solve(population) for population in self.populations)

    def _solve(self, population: Population) -> Solution:
        wanted = (self.potential, population.density, population.anisotropy)
        if self.kind == "local-jeans-gaussian":
            return LocalJeans.solve(*wanted, *self.sampling.r_range)
        if self.sampling.method != "orbits" and population.distribution == DEFAULT:
            mixture = Mixture.solve(*wanted, *self.sampling.r_range)
            if mixture.qualifies(self.sampling.tolerance):
                return mixture
            if self.sampling.method == "mixture":
                raise EquilibriumError(
                    "no mixture of analytic distribution functions has this density and beta: it misses the"
                    f" density by {100 * mixture.density_error:.2g} per cent and beta by {mixture.beta_error:.2g}"
                    " (tolerance"
                    f" {self.sampling.tolerance:g}); method = 'orbits' can have any that an equilibrium can"
                )
        try:
            return self._orbits(population)
        except EquilibriumError as error:
            if len(self.populations) == 1:
                raise
            raise EquilibriumError(f"population {population.composition.name!r}: {error}") from None

    def _orbits(self, population: Population) -> OrbitSuperposition:
        def solve() -> OrbitSuperposition:
            return OrbitSuperposition.solve(
                self.potential,
                population.density,
                population.anisotropy,
                *self.sampling.r_range,
                self.sampling.tolerance,
                population.distribution,
            )

        try:
            content = plain_content(
                [
                    self.potential,
                    population.density,
                    population.anisotropy,
                    population.distribution,
                    self.sampling,
                ]
            )
        except TypeError:  # a beta that is a Python function has no content to find it by
            return solve()
        arrays = cached(["orbit-superposition", self.version, content], lambda: solve().to_arrays())
        return OrbitSuperposition.from_arrays(arrays)

    @cached_property
    def truth(self) -> Truth:
        """What is true of the stars that are drawn: the solved moments, not the wished ones."""
        parts = {
            population.composition.name: self._moments(population, solution)
            for population, solution in zip(self.populations, self.solutions, strict=True)
        }
        tracers = mixed_moments(list(parts.values()))
        sources = {name: Source(moments) for name, moments in parts.items()}
        return Truth(self.potential, tracers, parts if len(parts) > 1 else {}, sources=sources)

    def _moments(self, population: Population, solution: Solution) -> Moments:
        return solved_moments(
            solution,
            population.density,
            self.sampling.r_range,
            number=population.fraction,
            rotation=population.composition.rotation,
            feh=population.composition.feh,
        )

    @property
    def abundances(self) -> Mapping[str, bool | None]:
        """Which of ``feh`` and ``alpha_fe`` the stars have."""
        return shared([population.composition.abundances for population in self.populations])

    @property
    def by_number(self) -> bool:
        """All stars are."""
        return True

    def check(self) -> None:
        """Solve now rather than at the first draw; see :attr:`solutions` for what can go wrong."""
        _ = self.solutions

    def sampler(self, rng: np.random.Generator) -> Callable[[int], Stars]:
        """Source of independent stars: each call with a number returns that many more."""
        uniforms = Uniforms.of(rng)
        return counted(lambda number: self.stars(uniforms, number))

    def stars(self, uniforms: Uniforms, number: IntArray) -> Stars:
        """Stars of these numbers (N,); each is of a population at its fraction, independently of all others."""
        ends = np.cumsum([population.fraction for population in self.populations])
        shares = uniforms.uniform("population", number)
        origin = np.searchsorted(ends[:-1] / ends[-1], shares, side="right")
        rows = [np.flatnonzero(origin == k) for k in range(len(self.populations))]
        parts = [self._of_population(k, uniforms, number[which]) for k, which in enumerate(rows)]
        if len(parts) == 1:
            return parts[0]
        return Stars.concatenate(parts).select(np.argsort(np.concatenate(rows)))

    def _of_population(self, k: int, uniforms: Uniforms, number: IntArray) -> Stars:
        resting = self.solutions[k].sample(uniforms, number)
        position, velocity = orient(*resting, uniforms, number)
        dressed = self.populations[k].dress(position, velocity, uniforms, number)
        return Stars.of(position, *dressed, k, number)
