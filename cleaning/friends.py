"""Friends of friends: groups of stars that are close in integrals of motion, or on the sky."""

from __future__ import annotations

from typing import Final

import numpy as np

from haloassay.base.arrays import BoolArray, FloatArray, IntArray
from haloassay.base.errors import EstimationError

#: Weights of the 4-distance (Starkenburg et al. 2009, eq. 1; Xue et al. 2011): what counts as far in
#: angle [rad], in distance [kpc] and in line-of-sight velocity [km/s]. From memory; Zhai et al. (2018)
#: name the method without its numbers.
FAR: Final = (np.pi, 100.0, 500.0)

#: Volume of the orientations of an orbit (:func:`orbit_separation`).
_ORIENTATIONS: Final = 8.0 * np.pi**2 * np.sqrt(2.0)

#: Pairs beyond which a linking length is said to be hopeless, rather than memory exhausted.
_MAX_PAIRS: Final = 50_000_000


def groups(n: int, pairs: IntArray) -> IntArray:
    """Group number (n,) of every point, of the connected components that ``pairs`` (m, 2) link."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    links = coo_matrix((np.ones(len(pairs), dtype=bool), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    return np.asarray(connected_components(links, directed=False)[1], dtype=np.int64)


def in_large_group(group: IntArray, largest_kept: int) -> BoolArray:
    """Which points (n,) are in a group of more than ``largest_kept`` members."""
    return np.asarray(np.bincount(group)[group] > largest_kept)


def link(points: FloatArray, radius: FloatArray) -> IntArray:
    """Pairs (m, 2), i < j, of points (n, d) closer than the smaller of their two radii (n,).

    Raises
    ------
    EstimationError
        If more than 5e7 pairs would be linked.
    """
    from scipy.spatial import cKDTree

    if len(points) < 2:
        return np.empty((0, 2), dtype=np.int64)
    tree = cKDTree(points)
    counts = tree.query_ball_point(points, radius, return_length=True)
    if counts.sum() > _MAX_PAIRS:
        raise EstimationError(
            f"the linking length joins {counts.mean():.0f} neighbours to each star on average: "
            "make it smaller"
        )
    found = tree.query_ball_point(points, radius)
    first = np.repeat(np.arange(len(points)), counts)
    second = np.concatenate([np.asarray(each, dtype=np.int64) for each in found])
    separation = np.sqrt(np.sum((points[first] - points[second]) ** 2, axis=1))
    mutual = (first < second) & (separation <= radius[second])
    # a pair is listed by each end that reaches the other: i < j needs i's reach, and j's is tested
    return np.stack([first[mutual], second[mutual]], axis=1)


def median_separation(points: FloatArray) -> float:
    """Median distance of the points (n, d) to their nearest neighbour."""
    from scipy.spatial import cKDTree

    if len(points) < 2:
        return 0.0
    return float(np.median(np.asarray(cKDTree(points).query(points, k=2)[0])[:, 1]))


def smooth_separation(points: FloatArray, neighbours: int) -> FloatArray:
    """Mean separation (n,) that a smooth, isotropic halo has at the E and |L| of each star.

    The density of stars in (E, |L|) comes from the distance to the k-th neighbour in that plane;
    spread over the directions of L it is n_4 = n_2 / (4 pi L^2), and the separation n_4^(-1/4).
    A stream is cold in the direction of L also, which the average over directions washes out: it
    hardly shortens its own linking length.

    Parameters
    ----------
    points
        (n, 4) scaled E and L.
    neighbours
        k: stars over which the density is averaged.
    """
    momentum = np.sqrt(np.sum(points[:, 1:] ** 2, axis=1))
    # |L| cannot be negative: reflected stars keep the density right at small |L|
    density, reach = _plane_density(points[:, 0], momentum, 0.0, neighbours)
    # below its own resolution |L| is not known better than the reach
    sphere = 4.0 * np.pi * (momentum**2 + 0.25 * reach**2)
    with np.errstate(divide="ignore"):
        return np.where(density > 0.0, (density / sphere) ** -0.25, 0.0)


def orbit_separation(points: FloatArray, neighbours: int) -> FloatArray:
    """Mean separation (n,) that a halo of orbits without orientation has at the size and shape of each star's.

    As :func:`smooth_separation`, with the density in (ln a, e) spread over all orientations. Turns of an orbit by small
    angles move its pole and its apocentre, two unit vectors at right angles, by a length whose square is that of a
    turn about either of them, and twice that of a turn about the third axis: orientations have a volume of
    8 pi^2 2^(1/2), and the separation is n_5^(-1/5).

    Parameters
    ----------
    points
        (n, 8) ln a, e, pole and apocentre of each orbit.
    neighbours
        k: stars over which the density is averaged.
    """
    density, _ = _plane_density(points[:, 0], points[:, 1], 1.0, neighbours)
    with np.errstate(divide="ignore"):
        return np.where(density > 0.0, (density / _ORIENTATIONS) ** -0.2, 0.0)


def _plane_density(
    along: FloatArray, across: FloatArray, edge: float, neighbours: int
) -> tuple[FloatArray, FloatArray]:
    """Density (n,) in a plane that ends at ``across = edge``, from the k-th neighbour, and how far that one is.

    Both are 0 where there are fewer than 3 stars.
    """
    from scipy.spatial import cKDTree

    n = len(along)
    if n < 3:
        return np.zeros(n), np.zeros(n)
    plane = np.column_stack([along, across])
    k = min(neighbours, n - 1)
    mirrored = np.concatenate([plane, np.column_stack([along, 2.0 * edge - across])])
    reach = np.asarray(cKDTree(mirrored).query(plane, k=k + 1)[0])[:, -1]
    return k / (np.pi * np.maximum(reach, 1e-300) ** 2), reach


def four_distance_pairs(
    direction: FloatArray,
    distance: FloatArray,
    velocity: FloatArray,
    linking_length: float,
    errors: tuple[FloatArray, FloatArray] | None = None,
) -> IntArray:
    """Pairs (m, 2) with 4-distance below the linking length.

    delta^2 = w_phi phi_ij^2 + w_d (d_i - d_j)^2 + w_v (v_i - v_j)^2 with the weights of
    :data:`FAR`, phi_ij the angle on the sky (Starkenburg et al. 2009, eq. 1; Xue et al. 2011).

    Parameters
    ----------
    direction
        (n, 3) unit vectors.
    distance, velocity
        (n,) heliocentric distances [kpc] and line-of-sight velocities [km/s].
    linking_length
        Greatest 4-distance of friends.
    errors
        (n,) relative errors of distance and (n,) errors of velocity: w_d and w_v of a pair are
        multiplied by (e_i^2 + e_j^2) / (2 <e>^2), so that badly measured stars need to be closer.
    """
    factors = [
        np.ones(len(distance)) if e is None else _relative(e) for e in errors or (None, None)
    ]
    least = [np.sqrt(factor.min()) if len(factor) else 1.0 for factor in factors]
    # candidates: a chord is shorter than its arc, and no pair has smaller weights than these
    points = four_coordinates(direction, least[0] * distance, least[1] * velocity)
    pairs = link(points, np.full(len(points), linking_length))
    i, j = pairs.T
    chord = np.sqrt(np.sum((direction[i] - direction[j]) ** 2, axis=1))
    square = (2.0 * np.arcsin(np.minimum(0.5 * chord, 1.0)) / FAR[0]) ** 2
    for values, factor, far in zip((distance, velocity), factors, FAR[1:], strict=True):
        square += 0.5 * (factor[i] + factor[j]) * ((values[i] - values[j]) / far) ** 2
    return pairs[square <= linking_length**2]


def four_coordinates(
    direction: FloatArray, distance: FloatArray, velocity: FloatArray
) -> FloatArray:
    """Points (n, 5) whose Euclidean distance is the 4-distance with the chord for the angle."""
    return np.column_stack([direction / FAR[0], distance / FAR[1], velocity / FAR[2]])


def _relative(error: FloatArray) -> FloatArray:
    """Squares (n,) of errors in units of the square of their mean; ones where all are zero."""
    mean = float(np.mean(error)) if len(error) else 0.0
    return (error / mean) ** 2 if mean > 0.0 else np.ones(len(error))
