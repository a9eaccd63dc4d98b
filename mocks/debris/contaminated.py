"""A mock with debris and contaminants mixed in, and what is then true of its halo stars."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike

from haloassay.base.arrays import FloatArray, IntArray
from haloassay.contracts.frames import spherical_velocity
from haloassay.mocks.debris.debris import Debris, contaminate
from haloassay.mocks.debris.surroundings import Surroundings
from haloassay.mocks.knowledge import Undetermined
from haloassay.mocks.mock import Mock, MockOfMock
from haloassay.mocks.moments import Moments, Profile, mixed_moments
from haloassay.mocks.selected import Source
from haloassay.mocks.stars import Origin, Stars
from haloassay.mocks.truth import Truth
from haloassay.mocks.watch import Watch

#: Shells in which the moments of debris are constant.
_SHELLS: Final = 40


@dataclass(frozen=True, eq=False)
class ContaminatedMock(MockOfMock):
    """A mock whose stars are in part debris.

    Parameters
    ----------
    mock
        What is contaminated.
    debris
        What is mixed in.
    around
        The mock's field and radii.
    """

    mock: Mock
    debris: tuple[Debris, ...]
    around: Surroundings

    @property
    def origins(self) -> tuple[Origin, ...]:
        """Origins of the mock's own stars, then those of the debris."""
        return (*self.mock.origins, *(debris.origin for debris in self.debris))

    @property
    def number(self) -> int | None:
        """As many stars as the mock has, and the debris that goes with them."""
        return None if self.mock.number is None else int(self.mock.number / self._own)

    @property
    def _own(self) -> float:
        """Share of the mock's own stars."""
        return 1.0 - sum(d.fraction for d in self.debris)

    @property
    def differs(self) -> bool:
        """As the mock does."""
        return self.mock.differs

    def realized(self, seed: int) -> Mock:
        """Mock of one realisation, with the same debris."""
        return replace(self, mock=self.mock.realized(seed)) if self.differs else self

    @cached_property
    def truth(self) -> Truth:
        """Truth of the mock; that about all tracers is of its own stars and of debris that is ``member``."""
        truth = self.mock.truth
        if not any(d.member and d.fraction > 0.0 for d in self.debris):
            return truth  # stars of origins that it does not list are no members
        number = _number(truth.tracers) / self._own
        sources: dict[str, Source | None] = dict(truth.sources)
        parts, local = [truth.tracers], truth.local
        for debris in self.debris:
            name = debris.origin.name
            sources[name] = None
            if not (debris.member and debris.fraction > 0.0):
                continue
            stars, expected = Stars.of(*debris.typical(self.around)), number * debris.fraction
            feh = debris.feh.moments
            parts.append(debris_moments(stars, self.around.r_range, expected, feh))
            if local is None:
                sources[name] = Source(parts[-1], patchy=True)
            else:
                sources[name] = Source(parts[-1], local=local.alone(stars))
                local = local.with_more(stars, expected / len(stars))
        # debris is not all over the sky, where a dipole could be told from it
        return replace(
            truth,
            tracers=mixed_moments(parts),
            velocity_field=Undetermined(),
            local=local,
            sources=sources,
        )

    def check(self) -> None:
        """Check the mock, and each debris."""
        super().check()
        for debris in self.debris:
            debris.check(self.around)

    def prepare(self, progress: Watch | None = None) -> Mapping[str, Any]:
        """Prepare the mock and all debris; a population is counted with the debris that goes with it."""
        for debris in self.debris:
            debris.check(self.around)
        facts = dict(super().prepare(progress))
        for debris in self.debris:
            if debris.fraction > 0.0:
                debris.prepare(self.around)
        if "population" in facts:
            facts["population"] = int(facts["population"] / self._own)
        facts["debris"] = {
            d.origin.name: {"fraction": d.fraction, "member": d.member} for d in self.debris
        }
        return facts

    @property
    def by_number(self) -> bool:
        """No debris promises it, though some is."""
        return False

    def sampler(self, rng: np.random.Generator) -> Callable[[int], Stars]:
        """Source of stars of the mock and of the debris."""
        first = len(self.mock.origins)
        return contaminate(
            self.mock.sampler(rng), self.debris, self.around, rng, first_origin=first
        )


def debris_moments(
    stars: Stars, r_range: tuple[float, float], number: float, feh: Profile
) -> Moments:
    """Raw moments of debris in 40 shells of equal ln r, constant in each; no density where it has no stars.

    Second moments are about zero: what varies over the sky is part of them.

    Parameters
    ----------
    stars
        Many stars of the debris.
    r_range
        Radii [kpc] of the mock.
    number
        Its stars in the mock, in the units of the density.
    feh
        Mean of [Fe/H] [dex] and of its square as functions of radius.
    """
    edges = np.geomspace(*r_range, _SHELLS + 1)
    volume = 4.0 / 3.0 * np.pi * np.diff(edges**3)
    v = spherical_velocity(stars.position, stars.velocity)

    def shell(r: ArrayLike) -> IntArray:
        found = np.searchsorted(edges, np.asarray(r, dtype=float), side="right") - 1
        return np.clip(found, 0, _SHELLS - 1)

    of_star = shell(stars.r)
    count = np.bincount(of_star, minlength=_SHELLS)
    density = number / len(stars) * count / volume

    def mean(values: FloatArray) -> FloatArray:
        sums = [np.bincount(of_star, column, minlength=_SHELLS) for column in values.T]
        return np.asarray((sums / np.maximum(count, 1)).T, dtype=float)

    first, second, third, fourth = (mean(v**k) for k in (1, 2, 3, 4))
    higher = np.stack([third, fourth], axis=-2)
    return Moments(
        lambda r: density[shell(r)],
        lambda r: first[shell(r)],
        lambda r: second[shell(r)],
        feh,
        r_range,
        lambda r: higher[shell(r)],
    )


def _number(tracers: Moments) -> float:
    """Stars within the range of a density, in its units."""
    r = np.geomspace(*tracers.r_range, 2001)
    stars = 4.0 * np.pi * r**3 * tracers.density(r)
    return float(np.sum(0.5 * (stars[1:] + stars[:-1]) * np.diff(np.log(r))))
