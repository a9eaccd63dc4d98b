"""Debris and contaminants of a halo: their kinds, their shares of the stars, and mixing them in."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final, cast

import numpy as np
from numpy.typing import ArrayLike

from haloassay.base import kinds
from haloassay.base.arrays import FloatArray, IntArray
from haloassay.base.cache import Arrays, cached, content_key, plain_content
from haloassay.base.errors import InputError, UsedUpError
from haloassay.base.settings import require
from haloassay.mocks.chemistry import HALO_FEH, Abundance, abundances
from haloassay.mocks.debris.surroundings import Surroundings
from haloassay.mocks.gravity.history import History
from haloassay.mocks.stars import Origin, Stars, without_replacement
from haloassay.mocks.uniforms import Uniforms

Sampler = Callable[[int], Stars]
PhaseSpace = Callable[[int], tuple[FloatArray, FloatArray, IntArray]]

#: [alpha/Fe] of accreted stars (from memory, near published means).
HALO_ALPHA_FE: Final = Abundance(0.2, 0.1)

#: Stars from which the moments of debris that has no stored population are measured.
TYPICAL: Final = 100_000

#: Least share of a satellite's debris that must lie where the mock has stars, and largest share of its orbits that
#: may be lost.
LEAST_WITHIN: Final = 0.1
MOST_LOST: Final = 0.01


@dataclass(frozen=True)
class Debris(ABC):
    """Stars that are not part of the smooth halo: a frozen dataclass whose fields are its settings.

    They stand between the radii of the mock, as all its stars do.

    Parameters
    ----------
    fraction
        Share of all stars of the mock, before any survey looks at them: 0 <= fraction < 1.
    name
        What to call its stars; its kind by default.
    member
        Whether its stars count as halo stars in the truth about the tracers.
    feh, alpha_fe
        Distributions of [Fe/H] and [alpha/Fe] [dex].
    """

    kind: ClassVar[str]
    #: Raised when the same satellite leaves other stars, so that old ones on disk are not used.
    version: ClassVar[int] = 3

    fraction: float
    name: str | None = None
    member: bool = False
    feh: Abundance = HALO_FEH
    alpha_fe: Abundance = HALO_ALPHA_FE

    def __post_init__(self) -> None:
        require(0.0 <= self.fraction < 1.0, f"fraction must be in [0, 1) (got {self.fraction:g})")
        require(self.name != "", "name must not be empty")

    @property
    def origin(self) -> Origin:
        """Name of its stars, and whether they are halo members."""
        return Origin(self.name or self.kind, self.member)

    def check(self, around: Surroundings) -> None:  # noqa: B027  # most have nothing to check
        """Raise InputError where there is no such debris, as far as that can be known at once."""

    def prepare(self, around: Surroundings) -> None:
        """Do what is expensive, keep it on disk, and check that there are such stars.

        Raises
        ------
        InputError
            If there is no such debris in this field between the radii of the mock.
        """
        self.check(around)

    @abstractmethod
    def phase_space(self, around: Surroundings, rng: np.random.Generator) -> PhaseSpace:
        """Successive calls give the positions [kpc] and velocities [km/s] (n, 3) of further stars, and their numbers.

        A call may return fewer where there are no more; the next one raises InputError.
        """

    def typical(self, around: Surroundings) -> tuple[FloatArray, FloatArray]:
        """Positions [kpc] and velocities [km/s] (N, 3) of many stars, the same at each call: for the truth."""
        return self.phase_space(around, np.random.default_rng(0))(TYPICAL)[:2]

    def sampler(self, around: Surroundings, rng: np.random.Generator) -> Sampler:
        """Successive calls give further stars of one realisation, with origin 0."""
        draw, uniforms = self.phase_space(around, rng), Uniforms.of(rng)

        def sample(n: int) -> Stars:
            position, velocity, number = draw(n)
            r = np.linalg.norm(position, axis=1)
            chemistry = abundances(self.feh, self.alpha_fe, r, uniforms, number)
            return Stars.of(position, velocity, *chemistry, number=number)

        return sample


@dataclass(frozen=True)
class SatelliteDebris(Debris):
    """Debris of a satellite whose stars have been followed from where they left it to the present.

    Parameters
    ----------
    size
        Stars that are followed, once for all realisations, each of which draws its own of them,
        every star at most once.
    """

    size: int = 20_000

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            100 <= self.size <= 10_000_000, f"size must be 100 to 10000000 stars (got {self.size})"
        )

    @abstractmethod
    def follow(self, history: History, seed: int) -> tuple[FloatArray, FloatArray]:
        """Present positions [kpc] and velocities [km/s] (``size``, 3) of the satellite's stars; NaN of lost ones."""

    def _numbered(self, around: Surroundings) -> tuple[FloatArray, FloatArray, IntArray]:
        """Stars of :meth:`population`, and which of those that were followed they are: the same in another field."""
        own = [f.name for f in dataclasses.fields(self)]
        settings = [n for n in own if n not in ("fraction", "name", "member", "feh", "alpha_fe")]
        story = [self.kind, *((n, plain_content(getattr(self, n))) for n in settings)]
        # not of the other settings: the same stars start, moved
        seed = int(content_key([self.kind, self.size])[:8], 16)

        def make() -> Arrays:
            position, velocity = self.follow(around.history, seed)
            return {"position": position, "velocity": velocity}

        try:
            content = ["debris", self.version, *story, around.content]
        except TypeError:  # a potential that is a Python function has no content to find it by
            arrays = make()
        else:
            arrays = cached(content, make)
        r = np.linalg.norm(arrays["position"], axis=1)
        lo, hi = around.r_range
        within = (r >= lo) & (r <= hi)
        require(
            bool(within.sum() >= LEAST_WITHIN * self.size),
            f"debris {self.origin.name!r}: only {within.sum()} of its {self.size} stars are between"
            f" the radii of the mock, {lo:g} to {hi:g} kpc (allowed: at least"
            f" {100 * LEAST_WITHIN:g} per cent)",
        )
        return arrays["position"][within], arrays["velocity"][within], np.flatnonzero(within)

    def population(self, around: Surroundings) -> tuple[FloatArray, FloatArray]:
        """Positions [kpc] and velocities [km/s] (N, 3) of its stars between the radii of the mock.

        Raises
        ------
        InputError
            If fewer than a tenth of its stars are between these radii, or the satellite is unbound.
        """
        return self._numbered(around)[:2]

    def prepare(self, around: Surroundings) -> None:
        """Follow its stars to the present; see :meth:`population`."""
        super().prepare(around)
        self.population(around)

    def typical(self, around: Surroundings) -> tuple[FloatArray, FloatArray]:
        """All stars of :meth:`population`."""
        return self.population(around)

    def phase_space(self, around: Surroundings, rng: np.random.Generator) -> PhaseSpace:
        """Draw from the population without replacement; an error says so when it is used up."""
        position, velocity, number = self._numbered(around)
        further = without_replacement(
            number,
            rng,
            f"debris {self.origin.name!r}: all its {len(position)} stars are used up; raise its size (now {self.size})"
            " or lower its fraction",
        )

        def draw(n: int) -> tuple[FloatArray, FloatArray, IntArray]:
            try:
                which = further(n)
            except UsedUpError as error:  # the mock itself still has stars
                raise InputError(str(error)) from None
            return position[which], velocity[which], number[which]

        return draw


def present(
    history: History, position: FloatArray, velocity: FloatArray, ago: ArrayLike, name: str
) -> tuple[FloatArray, FloatArray]:
    """Positions [kpc] and velocities [km/s] (N, 3) now of stars that were somewhere a time ``ago`` [Gyr].

    Raises
    ------
    InputError
        If more than one in a hundred orbits cannot be followed; ``name`` says whose they are. Fewer are NaN.
    """
    now = history.follow(position, velocity, -np.asarray(ago, dtype=float), 0.0)
    lost = int(np.count_nonzero(now.stuck))
    require(
        lost <= MOST_LOST * len(position),
        f"debris {name!r}: the orbits of {lost} of {len(position)} stars cannot be followed to the present",
    )
    there = np.where(now.stuck, np.nan, 1.0)[:, None]
    return now.position * there, now.velocity * there


def make_debris(spec: Any, where: str = "mock.debris") -> tuple[Debris, ...]:
    """Debris of a list of tables, each with keys ``kind`` and ``fraction``.

    Raises
    ------
    InputError
        If a kind or a setting is unknown, missing or out of range, two have one name, or the
        fractions leave nothing to the halo; ``where`` names the place.
    """
    if not isinstance(spec, Sequence) or isinstance(spec, str):
        raise InputError(f"{where}: expected a list of tables with a key 'kind' (got {spec!r})")
    made = tuple(
        cast("Debris", kinds.make("debris", table, f"{where}.{i}")) for i, table in enumerate(spec)
    )
    names = [debris.origin.name for debris in made]
    for name in names:
        require(
            names.count(name) == 1,
            f"{where}: the name {name!r} appears {names.count(name)} times; give each its own 'name'",
        )
    total = sum(debris.fraction for debris in made)
    require(
        total < 1.0, f"{where}: fractions must sum to less than 1, the halo's share (got {total:g})"
    )
    return made


def contaminate(
    members: Sampler,
    debris: Sequence[Debris],
    around: Surroundings,
    rng: np.random.Generator,
    first_origin: int = 1,
) -> Sampler:
    """Sampler that mixes debris into the stars of another, at their fractions and in random order.

    Each star is debris k with probability ``debris[k].fraction``, independently of all others. Where one of the
    samplers runs out, a call returns the stars before the first that is missing; the next one raises its error.

    Parameters
    ----------
    members
        Sampler of the halo, which sets the origin of its stars itself. Where its stars have no
        [Fe/H] or no [alpha/Fe], those of the debris are left out too.
    debris
        What is mixed in.
    around
        The mock's field and radii.
    rng
        Its children, one for the mixing and one for each debris, do the drawing; it is not
        advanced itself.
    first_origin
        Origin of the stars of ``debris[0]``; the others follow.
    """
    mixing, *children = rng.spawn(1 + len(debris))
    samplers = [
        d.sampler(around, child) if d.fraction > 0.0 else None
        for d, child in zip(debris, children, strict=True)
    ]
    fractions = np.array([d.fraction for d in debris])
    # rounding must not make the halo's share negative
    shares = np.array([max(1.0 - fractions.sum(), 0.0), *fractions])
    ends = np.cumsum(shares[:-1]) / shares.sum()

    def sample(n: int) -> Stars:
        which = np.searchsorted(ends, mixing.random(n), side="right")
        counts = np.bincount(which, minlength=len(shares))
        # one star at least tells which abundances the halo has
        halo = members(max(int(counts[0]), 1))
        parts = [halo.select(slice(int(counts[0])))]
        for k, (draw, count) in enumerate(zip(samplers, counts[1:], strict=True)):
            more = draw(int(count)) if draw is not None and count > 0 else halo.select(slice(0))
            parts.append(_as_debris(more, halo, first_origin + k))
        return _in_order(which, parts)

    return sample


def _in_order(which: IntArray, parts: Sequence[Stars]) -> Stars:
    """Stars of the parts in the order of ``which`` (N,), up to the first that its part does not have."""
    end = len(which)
    for k, part in enumerate(parts):
        missing = np.flatnonzero(which == k)[len(part) :]
        end = min([end, *missing[:1]])
    kept = which[:end]
    counts = np.bincount(kept, minlength=len(parts))
    together = Stars.concatenate(
        [part.select(slice(int(count))) for part, count in zip(parts, counts, strict=True)]
    )
    return together.select(np.argsort(np.argsort(kept, kind="stable")))


def _as_debris(stars: Stars, halo: Stars, origin: int) -> Stars:
    """Stars with their origin, and without the abundances that the halo does not have."""
    nothing = np.full(len(stars), np.nan)
    bare = replace(
        stars,
        feh=nothing if np.all(np.isnan(halo.feh)) else stars.feh,
        alpha_fe=nothing if np.all(np.isnan(halo.alpha_fe)) else stars.alpha_fe,
    )
    return bare.from_source(origin)
