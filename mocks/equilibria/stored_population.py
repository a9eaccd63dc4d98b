"""Populations that are expensive to make: made once, kept on disk by content, drawn from without replacement."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from haloassay.base.cache import cached
from haloassay.mocks.equilibria.stationarity import Stationarity
from haloassay.mocks.mock import Mock
from haloassay.mocks.stars import Stars, without_replacement
from haloassay.mocks.watch import Watch

#: Stars are followed that start this much nearer to the centre, and this much farther from it, than those that are
#: kept: orbits, and the pull of an LMC, carry them across the ends of the range.
INSIDE: Final = 3.0
BEYOND: Final = 2.5
#: What scenarios call the setting that makes a population larger.
SIZE_SETTING: Final = "mock.population.size"


def reach(r_range: tuple[float, float]) -> tuple[float, float]:
    """Radii [kpc] between which stars must start that all who are in ``r_range`` later are among them."""
    lo, hi = r_range
    return lo / INSIDE, hi * BEYOND


@dataclass(frozen=True, eq=False)
class StoredPopulation:
    """Stars that were made once, for all realisations.

    Parameters
    ----------
    stars
        All of them. Realisations that draw a large part of them share stars, and are not independent.
    phases
        How many of the stars, next to each other, are one orbit at different times: stars of one orbit
        are correlated.
    stationarity
        By origin: how much its moments drift over a further time.
    """

    stars: Stars
    phases: int = 1
    stationarity: Mapping[int, Stationarity] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Number of stars."""
        return len(self.stars)

    def sampler(
        self, rng: np.random.Generator, setting: str = SIZE_SETTING
    ) -> Callable[[int], Stars]:
        """One realisation: successive calls give further stars, none of them twice.

        The last call may return fewer than asked for; the next one raises UsedUpError, which says to set ``setting``
        higher.
        """
        draw = without_replacement(
            self.stars.numbered().number,
            rng,
            f"the stored population of {self.size} stars is used up: one realisation asks for more"
            f" (set {setting} higher, or observe fewer stars)",
        )
        return lambda n: self.stars.select(draw(n))

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Everything, as arrays by name."""
        arrays = {f.name: getattr(self.stars, f.name) for f in fields(self.stars)}
        arrays["phases"] = np.array(self.phases)
        for origin, result in self.stationarity.items():
            arrays |= {f"{name}.{origin}": array for name, array in result.to_arrays().items()}
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> StoredPopulation:
        """Inverse of :meth:`to_arrays`."""
        stars = Stars(*(arrays[f.name] for f in fields(Stars)))
        results: dict[int, dict[str, NDArray[Any]]] = {}
        for key, array in arrays.items():
            name, _, origin = key.partition(".")
            if origin:
                results.setdefault(int(origin), {})[name] = array
        tests = {origin: Stationarity.from_arrays(parts) for origin, parts in results.items()}
        return cls(stars, int(arrays["phases"]), tests)


def stored_population(content: Any, make: Callable[[], StoredPopulation]) -> StoredPopulation:
    """Return what ``make`` gives for plain ``content``, from the cache where it was made before."""
    return StoredPopulation.from_arrays(cached(content, lambda: make().to_arrays()))


class StoredMock(Mock):
    """A mock whose stars are those of a stored population, made when it is first asked for."""

    size_setting: ClassVar[str] = SIZE_SETTING

    @property
    def takes_long(self) -> bool:
        """It does."""
        return True

    @abstractmethod
    def make_population(self, progress: Watch | None = None) -> StoredPopulation:
        """Make all stars that there are, or find them in the cache."""

    @cached_property
    def _kept(self) -> _Kept:
        return _Kept(self.make_population)

    @property
    def population(self) -> StoredPopulation:
        """All stars that there are."""
        return self._kept()

    def prepare(self, progress: Watch | None = None) -> Mapping[str, Any]:
        """Make the population now, or find it in the cache; returns its size."""
        population = self._kept(progress)
        return {"population": population.size, "phases": population.phases}

    def sampler(self, rng: np.random.Generator) -> Callable[[int], Stars]:
        """Source of stars of the population, none of them twice in one realisation."""
        return self.population.sampler(rng, self.size_setting)


class _Kept:
    """A population that is made once, whoever watches."""

    def __init__(self, make: Callable[[Watch | None], StoredPopulation]) -> None:
        self._make = make
        self._population: StoredPopulation | None = None

    def __call__(self, progress: Watch | None = None) -> StoredPopulation:
        if self._population is None:
            self._population = self._make(progress)
        return self._population
