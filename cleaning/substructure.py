"""Groups of stars that are taken for substructure, by friends of friends."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Final, Literal

import numpy as np

from haloassay.base.arrays import BoolArray, FloatArray, IntArray
from haloassay.base.errors import EstimationError
from haloassay.base.settings import require
from haloassay.cleaning.friends import (
    four_coordinates,
    four_distance_pairs,
    groups,
    in_large_group,
    link,
    median_separation,
    orbit_separation,
    smooth_separation,
)
from haloassay.cleaning.integrals import (
    AssumedPotential,
    integral_errors,
    integrals_of_motion,
    seen_from_sun,
)
from haloassay.cleaning.orbits import Elements, orbits_in
from haloassay.cleaning.steps import Clean
from haloassay.contracts.catalogue import Catalogue

#: Logarithm of a size that no orbit has.
_FAR_AWAY: Final = 1e3


@dataclass(frozen=True)
class FriendsOfFriends(Clean):
    """Drop groups in integrals of motion, stars linked in (E, L_x, L_y, L_z), or in elements of their orbits.

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

    Members of a stream share their orbits, too: Bird et al. (2020, section 2), after Xue et al., use eccentricity e,
    semi-major axis a, pole and direction of the apocentre. With ``space = "orbits"`` stars are linked in
    (ln a, e, pole, apocentre), the last two unit vectors: a tenth in a or e, and 6 degrees, count alike. The
    separation of a smooth halo is that of orbits without orientation. A star that is not bound has no friends.

    Parameters
    ----------
    linking_length
        In the chosen unit.
    unit
        ``"smooth-halo"``: see above. ``"median-separation"``: the median distance to the nearest
        neighbour, one for all. ``"errors"``: the median errors of E and of L set the scale of each.
    space
        ``"integrals"``, or ``"orbits"``, which has no unit of errors.
    largest_kept
        Members of the largest group that stays.
    neighbours
        Stars over which the density of the smooth halo is averaged.
    potential
        Milky Way in which energies and orbits are taken.
    """

    kind: ClassVar[str] = "friends-of-friends"

    linking_length: float = 0.4
    unit: Literal["smooth-halo", "median-separation", "errors"] = "smooth-halo"
    space: Literal["integrals", "orbits"] = "integrals"
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
        require(
            self.space == "integrals" or self.unit != "errors",
            "unit: 'errors' are those of integrals, and space is 'orbits'",
        )

    @property
    def reason(self) -> str:
        """Why stars go."""
        where = "(E, L)" if self.space == "integrals" else "orbits"
        return f"group of more than {self.largest_kept} in {where}"

    def kept(self, catalogue: Catalogue) -> BoolArray:
        """Which stars (N,) stay."""
        return ~in_large_group(self.group(catalogue), self.largest_kept)

    def group(self, catalogue: Catalogue) -> IntArray:
        """Group number (N,) of each star; a star without friends is a group of its own."""
        in_integrals = self.space == "integrals"
        points = self._points(catalogue) if in_integrals else self._orbits(catalogue)
        n = len(points)
        if self.unit == "smooth-halo":
            separation = smooth_separation if in_integrals else orbit_separation
            length = self.linking_length * separation(points, self.neighbours)
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

    def _orbits(self, catalogue: Catalogue) -> FloatArray:
        """Points (N, 8): ln a, e, pole and apocentre; of stars that are not bound, far from all others."""
        elements = Elements.of(orbits_in(self.potential, catalogue.position, catalogue.velocity))
        size = elements.semi_major_axis
        bound = np.isfinite(size) & np.isfinite(elements.apocentre).all(axis=1)
        columns = (np.log(np.where(bound, size, 1.0)), elements.eccentricity)
        points = np.column_stack([*columns, elements.pole, elements.apocentre])
        points[~bound] = 0.0
        points[~bound, 0] = _FAR_AWAY * (1.0 + np.arange(np.count_nonzero(~bound)))
        return points


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

    def kept(self, catalogue: Catalogue) -> BoolArray:
        """Which stars (N,) stay."""
        return ~in_large_group(self.group(catalogue), self.largest_kept)

    def group(self, catalogue: Catalogue) -> IntArray:
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
