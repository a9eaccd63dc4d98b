"""What is true of the stars that survey and cleaning let pass: each counts with the moments of its own origin."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Final, Protocol

import numpy as np

from haloassay.base.arrays import BoolArray, FloatArray, IntArray
from haloassay.contracts.catalogue import spans
from haloassay.mocks.moments import Moments, central_moments, higher_moments
from haloassay.mocks.stars import Stars

#: By positions (N, 3) [kpc], how moments there differ from those of the whole shell: what is added to the mean of
#: (v_r, v_theta, v_phi) [km/s], and the factors on the variances about it, (N, 3) each.
Variation = Callable[[FloatArray], tuple[FloatArray, FloatArray]]

#: Fewest stars that tell the share of an origin at a radius, and the power of their number that is taken: more stars
#: make it surer, nearer ones truer, and this is where the error falls fastest.
_FEWEST: Final = 50
_POWER: Final = 0.8
#: Stars of which moments are kept once they are made: those of more would fill the memory.
_KEPT: Final = 2**16
#: Half the step in ln r of a slope of density.
_STEP: Final = 0.01


class Local(Protocol):
    """Raw moments that vary over the sky."""

    def raw(self, position: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(N, 3) mean and mean square of (v_r, v_theta, v_phi) at positions (N, 3) [kpc]."""


@dataclass(frozen=True, eq=False)
class Source:
    """What is known of the stars of one origin.

    Parameters
    ----------
    moments
        In spherical shells.
    variation
        How they vary over the sky, where they do.
    local
        Raw moments over the sky of stars that are not spread smoothly over it, such as debris.
    patchy
        Whether its share of the stars differs over the sky, at one radius, and no map of all tracers has that.
    """

    moments: Moments
    variation: Variation | None = None
    local: Local | None = None
    patchy: bool = False


#: Sources by name, in the order of :attr:`Stars.origin`; None for stars that are no members of the halo, as those of
#: further origins are not.
Sources = Mapping[str, Source | None]


@dataclass(frozen=True, eq=False)
class StarMoments:
    """Raw moments where stars are, of the origin that each is from; a row a star.

    Parameters
    ----------
    first, second
        (N, 3) mean of the shell, and its square plus the local variances, of (v_r, v_theta, v_phi).
    mean, square
        (N, 3) local mean, and local mean square about zero.
    feh
        (N, 2) mean of [Fe/H] and of its square.
    higher
        (N, 2, 3) mean of the third and of the fourth powers, with the mean of the shell and the local variances: of
        higher moments no map knows more than that the shape of the distribution is that of the shell. NaN where there
        is no such shape, in debris.
    """

    first: FloatArray
    second: FloatArray
    mean: FloatArray
    square: FloatArray
    feh: FloatArray
    higher: FloatArray

    def all(self) -> tuple[FloatArray, ...]:
        """Return all moments, in their order."""
        return tuple(getattr(self, f.name) for f in fields(self))

    @classmethod
    def of(cls, source: Source, stars: Stars) -> StarMoments:
        """Moments of stars that are all of one source."""
        moments = source.moments
        first, variance = moments.first(stars.r), moments.variance(stars.r)
        mean = first
        if source.variation is not None:
            shift, factor = source.variation(stars.position)
            mean, variance = first + shift, variance * factor
        square = variance + mean**2
        if source.local is not None:
            mean, square = source.local.raw(stars.position)
        return cls(
            first,
            variance + first**2,
            mean,
            square,
            moments.feh(stars.r),
            _higher(source, stars.r, first, variance),
        )

    @classmethod
    def by_origin(cls, sources: Sources, stars: Stars, everyone: Source) -> StarMoments:
        """Moments of stars that are members, each of its own source.

        Where a stored population has too few stars to know its moments, those of ``everyone`` there count.
        """
        n = len(stars)
        shapes = ((3,), (3,), (3,), (3,), (2,), (2, 3))
        made = cls(*(np.full((n, *shape), np.nan) for shape in shapes))
        for k, source in enumerate(sources.values()):
            rows = np.flatnonzero(stars.origin == k)
            if source is not None and len(rows):
                part = cls.of(source, stars.select(rows))
                for whole, some in zip(made.all(), part.all(), strict=True):
                    whole[rows] = some
        unknown = np.flatnonzero(np.isnan(made.second).any(axis=1))
        if len(unknown):
            part = cls.of(everyone, stars.select(unknown))
            for whole, some in zip(made.all(), part.all(), strict=True):
                whole[unknown] = some
        return made


@dataclass(frozen=True, eq=False)
class Chosen:
    """Some stars of a catalogue, all of them members of the halo; their average moments are found once.

    Parameters
    ----------
    rows
        Their numbers in the catalogue.
    everyone
        All tracers.
    sources
        By origin, where these differ.
    """

    rows: IntArray
    everyone: Source
    sources: Sources | None
    _averages: list[StarMoments] = field(default_factory=list)
    _few: list[tuple[Stars, StarMoments]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.rows)

    def blocks(self, stars: Stars) -> Iterator[tuple[Stars, StarMoments]]:
        """Take the stars out of those of the catalogue, with their moments; of many not all at once."""
        if len(self) <= _KEPT:
            if not self._few:
                self._few.append(self._block(stars, self.rows))
            yield from self._few
            return
        for part in spans(len(self)):
            yield self._block(stars, self.rows[part])

    def _block(self, stars: Stars, rows: IntArray) -> tuple[Stars, StarMoments]:
        some = stars.select(rows)
        if self.sources is None:
            return some, StarMoments.of(self.everyone, some)
        return some, StarMoments.by_origin(self.sources, some, self.everyone)

    def averages(self, stars: Stars) -> StarMoments:
        """Average the moments: each is that of one star."""
        if not self._averages:
            parts = [
                (len(some) / len(self), StarMoments(*(np.mean(x, axis=0) for x in at.all())))
                for some, at in self.blocks(stars)
            ]
            every = zip(*(tuple(share * x for x in at.all()) for share, at in parts), strict=True)
            self._averages.append(StarMoments(*(np.sum(x, axis=0) for x in every)))
        return self._averages[0]


def _higher(source: Source, r: FloatArray, first: FloatArray, variance: FloatArray) -> FloatArray:
    """(N, 2, 3) third and fourth raw moments of the shells' shapes, with these means and variances (N, 3)."""
    raw = source.moments.higher(r)
    if source.local is not None:
        return np.full_like(raw, np.nan)
    of_shell, third, fourth = central_moments(first, source.moments.second(r), raw)
    factor = variance / of_shell
    return higher_moments(first, variance, third * factor**1.5, fourth * factor**2)


def members(sources: Sources, stars: Stars) -> BoolArray:
    """Which of the stars (N,) are members of the halo; all, where nothing is said of their origins."""
    if not sources:
        return np.ones(len(stars), dtype=bool)
    known = np.array([source is not None for source in sources.values()])
    listed = stars.origin < len(known)
    return np.asarray(listed & known[np.where(listed, stars.origin, 0)])


def shares(sources: Sources, stars: Stars, r: FloatArray) -> FloatArray:
    """(n, origins) shares that the origins have of selected stars at radii ``r`` (n,) [kpc].

    The stars nearest in ln r, N^0.8 of the N, tell how many of each origin passed for one that density alone lets
    expect there; this rate and the densities at r give the share. So it is right where the densities' ratio changes
    with radius, as long as the rate does not within reach of those stars.
    """
    made = {k: source for k, source in enumerate(sources.values()) if source is not None}
    # the share of an origin is a question of members only
    stars = stars.select(np.isin(stars.origin, list(made)))
    found = np.zeros((len(r), len(sources)))
    if not len(stars):
        return np.full_like(found, np.nan)

    def expected(radii: FloatArray) -> FloatArray:
        density = np.stack([np.nan_to_num(s.moments.density(radii)) for s in made.values()], axis=1)
        total = density.sum(axis=1, keepdims=True)
        return np.divide(density, total, out=np.zeros_like(density), where=total > 0.0)

    there, ln_r = expected(stars.r), np.log(stars.r)
    passed = stars.origin[:, None] == np.array(list(made))
    n = min(len(stars), max(_FEWEST, int(len(stars) ** _POWER)))
    for row, (x, share) in enumerate(zip(np.log(r), expected(r), strict=True)):
        near = np.argpartition(np.abs(ln_r - x), n - 1)[:n]
        hoped = there[near].sum(axis=0)
        count = passed[near].sum(axis=0)
        rate = np.divide(count, hoped, out=np.zeros(len(made)), where=hoped > 0.0)
        total = np.sum(share * rate)
        found[row, list(made)] = share * rate / total if total > 0.0 else np.nan
    return found


def mixed(values: Mapping[int, FloatArray], share: FloatArray) -> FloatArray:
    """Mean (n, ...) of values (n, ...) by origin at shares (n, origins); one without a share is left out."""
    total = np.zeros_like(next(iter(values.values())))
    for k, value in values.items():
        weight = share[:, k].reshape(-1, *(1,) * (value.ndim - 1))
        total = total + np.where(weight == 0.0, 0.0, weight * value)
    return total


def slope(moments: Moments, r: FloatArray) -> FloatArray:
    """Logarithmic slope d ln rho / d ln r at ``r`` [kpc], from densities 1 per cent away; one-sided at the ends."""
    lo, hi = moments.r_range
    inner = np.clip(r * np.exp(-_STEP), lo, None)
    outer = np.clip(r * np.exp(_STEP), None, hi)
    with np.errstate(divide="ignore", invalid="ignore"):
        rise = np.log(moments.density(outer) / moments.density(inner))
        found = rise / np.log(outer / inner)
    return np.where(np.isfinite(found), found, np.nan)
