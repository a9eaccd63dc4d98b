"""Cleaning: what is taken out of a catalogue before an estimator sees it, and how many stars."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

import numpy as np
from numpy.typing import NDArray

from haloassay.catalogue import Catalogue
from haloassay.cleaning.friends import (
    four_coordinates,
    four_distance_pairs,
    groups,
    in_large_group,
    link,
    median_separation,
    smooth_separation,
)
from haloassay.cleaning.integrals import (
    AssumedPotential,
    integral_errors,
    integrals_of_motion,
    seen_from_sun,
)
from haloassay.errors import EstimationError, InputError
from haloassay.settings import choose, require

if TYPE_CHECKING:
    from haloassay.catalogue import FloatArray

Mask = NDArray[np.bool_]

#: Steps of cleaning: kind to where the class stands.
KINDS: Final[dict[str, str]] = {
    "energy-cut": "haloassay.cleaning.steps:EnergyCut",
    "height-cut": "haloassay.cleaning.steps:HeightCut",
    "sagittarius-band": "haloassay.cleaning.sagittarius:SagittariusBand",
    "sagittarius-momentum": "haloassay.cleaning.sagittarius:SagittariusMomentum",
    "gaussian-balls": "haloassay.cleaning.steps:GaussianBalls",
    "friends-of-friends": "haloassay.cleaning.steps:FriendsOfFriends",
    "four-distance": "haloassay.cleaning.steps:FourDistance",
}


class Clean(ABC):
    """A step of cleaning: a frozen dataclass whose fields are its settings."""

    #: Name under which scenarios call the step.
    kind: ClassVar[str]

    @abstractmethod
    def kept(self, catalogue: Catalogue) -> Mask:
        """Which stars (N,) stay."""

    @property
    @abstractmethod
    def reason(self) -> str:
        """Why the others go, for the counts."""

    def stay(self, catalogue: Catalogue) -> Mask:
        """Which stars (N,) stay, at least one.

        Raises
        ------
        InputError
            If a position or velocity is not finite.
        EstimationError
            If no star is left.
        """
        catalogue.check_finite()
        kept = self.kept(catalogue)
        if not kept.any():
            raise EstimationError(
                f"{catalogue.origin}: no star is left by the step {self.kind!r} "
                f"({len(kept)} removed: {self.reason})"
            )
        return kept

    def apply(self, catalogue: Catalogue) -> tuple[Catalogue, dict[str, int]]:
        """Stars that stay, in their order, and how many go for which reason; see :meth:`stay`."""
        kept = self.stay(catalogue)
        removed = int(len(kept) - kept.sum())
        counts = {f"{self.kind}: {self.reason}": removed}
        return (catalogue.select(kept) if removed else catalogue), counts


@dataclass(frozen=True)
class EnergyCut(Clean):
    """Drop stars that are not bound: E >= e_max in an assumed Milky Way.

    Bird et al. (2021, 2022) and Han et al. (2024) keep E < 0. The cut takes the observed energy, so
    distant stars with large errors of their proper motions go first, and the tangential
    dispersions of what stays are biased low: count them.

    Parameters
    ----------
    e_max
        Greatest energy [(km/s)^2], zero at infinity.
    potential
        Milky Way in which energies are taken.
    """

    kind: ClassVar[str] = "energy-cut"

    e_max: float = 0.0
    potential: AssumedPotential = field(default_factory=AssumedPotential)

    @property
    def reason(self) -> str:
        """Why stars go."""
        return f"E >= {self.e_max:g} (km/s)^2"

    def kept(self, catalogue: Catalogue) -> Mask:
        """Which stars (N,) stay."""
        return np.asarray(integrals_of_motion(catalogue, self.potential)[:, 0] < self.e_max)


@dataclass(frozen=True)
class HeightCut(Clean):
    """Drop stars near the disc: |Z| < z_min.

    Parameters
    ----------
    z_min
        Least height [kpc] above or below the plane: 5 in Zhai et al. (2018) and Han et al. (2024).
    feh_max
        Stars at most this metal-rich [dex] stay from ``z_poor`` on: Bird et al. (2021) keep
        2 < |Z| < 5 kpc where [Fe/H] < -1. ``"none"``: metallicity does not matter.
    z_poor
        Least height [kpc] of those.
    """

    kind: ClassVar[str] = "height-cut"

    z_min: float = 5.0
    feh_max: float | Literal["none"] = "none"
    z_poor: float = 2.0

    def __post_init__(self) -> None:
        require(self.z_min >= 0.0, f"z_min is not negative (got {self.z_min:g})")
        require(self.z_poor >= 0.0, f"z_poor is not negative (got {self.z_poor:g})")

    @property
    def reason(self) -> str:
        """Why stars go."""
        return f"|Z| < {self.z_min:g} kpc"

    def kept(self, catalogue: Catalogue) -> Mask:
        """Which stars (N,) stay."""
        height = np.abs(catalogue.position[:, 2])
        high = height >= self.z_min
        if self.feh_max == "none":
            return np.asarray(high)
        poor = catalogue["feh"] < self.feh_max
        return np.asarray(high | (poor & (height >= self.z_poor)))


#: What the balls are in: names of the coordinates of each space.
SPACES: Final[dict[str, tuple[str, ...]]] = {
    "position": ("x", "y", "z"),
    "integrals": ("E", "L_x", "L_y", "L_z"),
    "momentum": ("L_x", "L_y", "L_z"),
    "phase-space": ("x", "y", "z", "vx", "vy", "vz"),
}


@dataclass(frozen=True)
class Ball:
    """An ellipsoid along the axes of its space.

    Parameters
    ----------
    centre
        Coordinates of its middle.
    sigma
        Standard deviation along each axis.
    """

    centre: tuple[float, ...]
    sigma: tuple[float, ...]

    def __post_init__(self) -> None:
        require(
            len(self.centre) == len(self.sigma) and min(self.sigma, default=0.0) > 0.0,
            "a ball has a positive sigma for each coordinate of its centre",
        )


@dataclass(frozen=True)
class GaussianBalls(Clean):
    """Drop stars within some sigma of known structures.

    Parameters
    ----------
    balls
        Middle and sigma of each: kpc, km/s, kpc km/s, (km/s)^2.
    space
        Coordinates of the balls: ``"position"`` x, y, z; ``"integrals"`` E, L_x, L_y, L_z;
        ``"momentum"`` L_x, L_y, L_z; ``"phase-space"`` x, y, z, vx, vy, vz.
    n_sigma
        Radius of the cut in units of sigma.
    potential
        Milky Way in which energies are taken.
    """

    kind: ClassVar[str] = "gaussian-balls"

    balls: tuple[Ball, ...]
    space: Literal["position", "integrals", "momentum", "phase-space"] = "position"
    n_sigma: float = 3.0
    potential: AssumedPotential = field(default_factory=AssumedPotential)

    def __post_init__(self) -> None:
        axes = SPACES[self.space]
        require(len(self.balls) > 0, "balls: give at least one")
        require(self.n_sigma > 0.0, f"n_sigma is positive (got {self.n_sigma:g})")
        for k, ball in enumerate(self.balls):
            require(
                len(ball.centre) == len(axes),
                f"balls.{k}: space {self.space!r} has the coordinates {', '.join(axes)} "
                f"(got {len(ball.centre)})",
            )

    @property
    def reason(self) -> str:
        """Why stars go."""
        return f"within {self.n_sigma:g} sigma of {len(self.balls)} balls in {self.space}"

    def kept(self, catalogue: Catalogue) -> Mask:
        """Which stars (N,) stay."""
        points = self._points(catalogue)
        kept = np.ones(len(catalogue), dtype=bool)
        for ball in self.balls:
            square = np.sum(((points - np.array(ball.centre)) / np.array(ball.sigma)) ** 2, axis=1)
            kept &= square > self.n_sigma**2
        return kept

    def _points(self, catalogue: Catalogue) -> FloatArray:
        if self.space == "position":
            return catalogue.position
        if self.space == "phase-space":
            return np.concatenate([catalogue.position, catalogue.velocity], axis=1)
        points = integrals_of_motion(catalogue, self.potential)
        return points if self.space == "integrals" else points[:, 1:]


@dataclass(frozen=True)
class FriendsOfFriends(Clean):
    """Drop groups in integrals of motion: stars linked in (E, L_x, L_y, L_z).

    Substructure is what Bird et al. (2021, 2022) remove by friends of friends in these integrals,
    after Xue et al. E and L are brought to one scale by their robust spreads over the sample, that of
    L from |L| alone, so that no direction is special. Two stars are friends where they
    are closer than the linking length of both; groups of more than ``largest_kept`` friends of
    friends go (more than 10 in Zhai et al. 2018).

    The halo is far denser at low |L| and low E than elsewhere, and a fixed length that finds streams
    outside joins half of the halo inside. With ``unit = "smooth-halo"`` the length is counted in the
    separation that a smooth, isotropic halo has at the star's own E and |L|, so a smooth halo has
    the same number pi^2 / 2 length^4 of friends everywhere (0.13 at 0.4), far below the about 2 at
    which friends of friends percolate.

    Measured (``benchmarks/clean.py``) on equilibrium halos of 1000 and 10 000 stars with beta 0.5 and
    0.9: no star of the smooth halo goes. Of a phase-mixed stream of 30 and 100 stars in them 96 to
    100 per cent do, and at least 99 per cent of what goes is the stream. With 10 per cent errors of
    distance, 0.05 mas/yr and 5 km/s, 41 to 90 per cent of the stream is found, still with no star lost.
    With ``"median-separation"`` and the same length the same halos lose 10 to 36 per cent, nearly all at
    low |L|, beta comes out low by 0.04 to 0.07, and the stream stays.

    Parameters
    ----------
    linking_length
        In the chosen unit.
    unit
        ``"smooth-halo"``: see above. ``"median-separation"``: the median distance to the nearest
        neighbour, one for all. ``"errors"``: the median errors of E and of L set the scale of each.
    largest_kept
        Members of the largest group that stays.
    neighbours
        Stars over which the density of the smooth halo is averaged.
    potential
        Milky Way in which energies are taken.
    """

    kind: ClassVar[str] = "friends-of-friends"

    linking_length: float = 0.4
    unit: Literal["smooth-halo", "median-separation", "errors"] = "smooth-halo"
    largest_kept: int = 10
    neighbours: int = 20
    potential: AssumedPotential = field(default_factory=AssumedPotential)

    def __post_init__(self) -> None:
        require(
            self.linking_length > 0.0,
            f"linking_length is positive (got {self.linking_length:g})",
        )
        require(self.largest_kept >= 1, f"largest_kept: at least 1 (got {self.largest_kept})")
        require(self.neighbours >= 5, f"neighbours: at least 5 (got {self.neighbours})")

    @property
    def reason(self) -> str:
        """Why stars go."""
        return f"group of more than {self.largest_kept} in (E, L)"

    def kept(self, catalogue: Catalogue) -> Mask:
        """Which stars (N,) stay."""
        return ~in_large_group(self.group(catalogue), self.largest_kept)

    def group(self, catalogue: Catalogue) -> NDArray[np.int64]:
        """Group number (N,) of each star; a star without friends is a group of its own."""
        points = self._points(catalogue)
        n = len(points)
        if self.unit == "smooth-halo":
            length = self.linking_length * smooth_separation(points, self.neighbours)
        elif self.unit == "median-separation":
            length = np.full(n, self.linking_length * median_separation(points))
        else:
            length = np.full(n, self.linking_length)
        return groups(n, link(points, length))

    def _points(self, catalogue: Catalogue) -> FloatArray:
        """E and L (N, 4) in units of their scales."""
        points = integrals_of_motion(catalogue, self.potential)
        if self.unit == "errors":
            error = integral_errors(catalogue, self.potential)
            of_momentum = np.sqrt(np.sum(error[:, 1:] ** 2, axis=1) / 3.0)
            scale = np.array([np.median(error[:, 0]), np.median(of_momentum)])
            if not np.all(scale > 0.0):
                raise EstimationError(
                    f"{catalogue.origin}: unit 'errors' needs errors of most stars (got zeros)"
                )
        else:
            momentum = np.sqrt(np.sum(points[:, 1:] ** 2, axis=1))
            scale = np.array([_spread(points[:, 0]), _typical(momentum)])
        return points / scale[[0, 1, 1, 1]]


def _typical(momentum: FloatArray) -> float:
    """Spread of one component of a vector of Gaussian components, from lengths (N,); 1 where none is."""
    # the median of a Maxwellian is 1.538 times its scale
    return (float(np.median(momentum)) / 1.538 if len(momentum) else 0.0) or 1.0


def _spread(values: FloatArray) -> float:
    """Half the range of the central 68 per cent; 1 where there is none."""
    if len(values) == 0:
        return 1.0
    lo, hi = np.percentile(values, [16.0, 84.0])
    return float(0.5 * (hi - lo)) or 1.0


@dataclass(frozen=True)
class FourDistance(Clean):
    """Drop groups in 4-distance: sky position, distance and line-of-sight velocity.

    Needs no proper motions. The 4-distance of Starkenburg et al. (2009) with the scales of Xue et
    al. (2011): 180 deg, 100 kpc and 500 km/s count as one. Zhai et al. (2018) remove groups of more
    than 10. The density of a halo falls steeply with distance and follows the footprint, so one
    linking length finds more of the smooth halo where stars are dense: count what goes.

    Measured on smooth halos of 1000 and 10 000 stars over the whole sky: 0, 1 and 6 per cent of them go
    at lengths 0.3, 0.4 and 0.5 of the median separation; of a clump of 30 and 100 stars, 1 kpc
    and 8 km/s wide, 67 to 93 per cent go at 0.3. A stream that has mixed along its orbit is not found:
    that takes the integrals of motion.

    Parameters
    ----------
    linking_length
        Greatest 4-distance of friends, or in the unit below.
    unit
        ``"absolute"``, or ``"median-separation"``: median 4-distance to the nearest neighbour.
    largest_kept
        Members of the largest group that stays.
    error_weights
        Whether pairs with larger errors than the mean count as farther apart (Starkenburg et al.
        2009): the weights of distance and velocity times (e_i^2 + e_j^2) / (2 <e>^2), with relative
        errors of distance.
    """

    kind: ClassVar[str] = "four-distance"

    linking_length: float = 0.3
    unit: Literal["absolute", "median-separation"] = "median-separation"
    largest_kept: int = 10
    error_weights: bool = False

    def __post_init__(self) -> None:
        require(
            self.linking_length > 0.0,
            f"linking_length is positive (got {self.linking_length:g})",
        )
        require(self.largest_kept >= 1, f"largest_kept: at least 1 (got {self.largest_kept})")

    @property
    def reason(self) -> str:
        """Why stars go."""
        return f"group of more than {self.largest_kept} in 4-distance"

    def kept(self, catalogue: Catalogue) -> Mask:
        """Which stars (N,) stay."""
        return ~in_large_group(self.group(catalogue), self.largest_kept)

    def group(self, catalogue: Catalogue) -> NDArray[np.int64]:
        """Group number (N,) of each star; a star without friends is a group of its own."""
        direction, distance, velocity = seen_from_sun(catalogue)
        length = self.linking_length
        if self.unit == "median-separation":
            length *= median_separation(four_coordinates(direction, distance, velocity))
        errors = None
        if self.error_weights:
            relative = catalogue.error("distance") / np.maximum(distance, 1e-12)
            errors = (relative, catalogue.error("vlos"))
        pairs = four_distance_pairs(direction, distance, velocity, length, errors)
        return groups(len(catalogue), pairs)


@dataclass(frozen=True)
class Cleaning:
    """Steps of cleaning, one after the other.

    Parameters
    ----------
    steps
        Each sees what the one before it left.
    """

    steps: tuple[Clean, ...] = ()

    def rows(self, catalogue: Catalogue) -> NDArray[np.int64]:
        """Row numbers of the stars that stay.

        Raises
        ------
        EstimationError
            If no star is left.
        """
        rows = np.arange(len(catalogue))
        for step in self.steps:
            kept = step.stay(catalogue)
            rows, catalogue = rows[kept], catalogue.select(kept)
        return rows

    def apply(self, catalogue: Catalogue) -> Catalogue:
        """Stars that stay; ``dropped`` also counts what each step removed, where it removed any.

        Raises
        ------
        EstimationError
            If no star is left.
        """
        dropped = dict(catalogue.dropped)
        for step in self.steps:
            catalogue, counts = step.apply(catalogue)
            for reason, count in counts.items():
                if count:
                    dropped[reason] = dropped.get(reason, 0) + count
        return Catalogue(catalogue.columns, catalogue.sun, catalogue.origin, dropped)


def make_step(spec: Any, where: str) -> Clean:
    """Make a step of a table with a ``kind`` of :data:`KINDS` and its settings."""
    step: Clean = choose(KINDS, spec, where, "step of cleaning")
    return step


def make_clean(spec: Any, where: str = "clean") -> Cleaning:
    """Make the cleaning of a list of tables, each with a ``kind`` of :data:`KINDS` and its settings.

    Raises
    ------
    InputError
        If the list, a kind or a setting is unusable; ``where`` names the place.
    """
    if isinstance(spec, str | Mapping) or not isinstance(spec, Sequence):
        raise InputError(f"{where}: expected a list of tables with a key 'kind' (got {spec!r})")
    return Cleaning(tuple(make_step(step, f"{where}.{k}") for k, step in enumerate(spec)))
