"""Centre and axes of a simulated halo: shrinking spheres, angular momentum, inertia tensor."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from haloassay.base.arrays import BoolArray, FloatArray
from haloassay.base.errors import InputError

#: A sphere shrinks by this fraction, until this many particles or this fraction of them is left, whichever is fewer
#: (Power et al. 2003, section 2.5: M).
_SHRINK: Final = 0.025
_FEWEST: Final = 1000
_FEWEST_FRACTION: Final = 0.01
#: Particles within so many radii of a sphere are kept, should the next ones wander.
_REACH: Final = 3.0
#: Of more particles than these, the first spheres look at a part only.
_COARSE: Final = 200_000
#: Positions that differ by less than this fraction of their coordinates are one place: rounding.
_RESOLUTION: Final = 1e-13
#: Particles below which neither a centre nor axes are looked for: choice.
_LEAST: Final = 10
#: A found centre is judged by the sphere of at least so many particles, and by shells about it that are not thinner
#: than this fraction of its density: farther out a satellite may pull to one side: choice.
_JUDGED: Final = 100
_THINNEST: Final = 0.2
#: Length of the mean unit vector of a shell above which it is lopsided: satellites and sloshing discs stay below, the
#: rim of a hole has 0.2 to 0.35.
_LOPSIDED: Final = 0.1
#: Chance deviations, in sigma, that tell nothing: of a shell's mean direction, and of the number at the very centre.
_CHANCE: Final = 4.5
_CHANCE_EMPTY: Final = 3.0
#: Particles farther than so many radii are in no ellipsoid: axis ratios of 0.1 and 0.1 reach there.
_FARTHEST: Final = 5.0
#: Change of both axis ratios at which the iteration of the inertia tensor stops, and steps after which it has failed.
_CONVERGED: Final = 1e-3
_MOST_STEPS: Final = 200


class Shape(NamedTuple):
    """Axis ratios, and (3, 3) unit vectors of the long, middle and short axis as rows."""

    middle: float
    short: float
    axes: FloatArray


def wrapped(offset: FloatArray, box: ArrayLike) -> FloatArray:
    """Offsets (N, 3) [kpc] to the nearest periodic image in a ``box`` of one or three sides [kpc]; 0 has no period."""
    sides = _sides(box)
    if not np.any(sides > 0.0):
        return offset
    return offset - sides * np.round(offset / np.where(sides > 0.0, sides, np.inf))


def first_guess(position: FloatArray, mass: FloatArray, box: ArrayLike) -> FloatArray:
    """(3,) mean position [kpc]; in a periodic box the mean angle, which no halo at the boundary pulls apart."""
    sides = _sides(box)
    mean = np.asarray(np.average(position, axis=0, weights=mass), dtype=float)
    along = np.flatnonzero(sides > 0.0)
    side = sides[along]
    angle = position[:, along] * (2.0 * np.pi / side)
    sine, cosine = (np.average(f(angle), axis=0, weights=mass) for f in (np.sin, np.cos))
    mean[along] = np.arctan2(sine, cosine) * side / (2.0 * np.pi) % side
    return mean


def shrinking_spheres(
    position: FloatArray, mass: FloatArray, guess: FloatArray, radius: float, box: ArrayLike = 0.0
) -> FloatArray:
    """Find the centre of a halo as the centre of mass in ever smaller spheres (Power et al. 2003, 2003MNRAS.338...14P).

    Parameters
    ----------
    position, mass
        (N, 3) positions [kpc] and (N,) masses.
    guess
        (3,) where the first sphere is [kpc].
    radius
        Of the first sphere [kpc]; infinite for all particles.
    box
        Side of the periodic box [kpc], or (3,) sides; 0 along axes that are not periodic.

    Returns
    -------
    (3,) centre [kpc].

    Raises
    ------
    InputError
        If fewer than 10 particles with a mass are in the first sphere, or more than may be left are at one place.
    """
    offset = wrapped(position - guess, box)
    distance = np.linalg.norm(offset, axis=1)
    inside = (distance <= radius) & (mass > 0.0)
    offset, mass, distance = offset[inside], mass[inside], distance[inside]
    if len(offset) < _LEAST:
        raise InputError(
            f"centre: {len(offset)} particles within {radius:g} kpc of the guess {np.round(guess, 3).tolist()} have a "
            "mass: state another guess or radius"
        )
    fewest = _left(len(offset))
    step = 1 + len(offset) // _COARSE
    largest = float(distance.max())
    # coordinates are not finer than this, and nor is what is left of them after the guess is taken out
    resolution = _RESOLUTION * max(largest, float(np.abs(guess).max()))
    found, size = _shrunk(offset[::step], mass[::step], np.zeros(3), largest, fewest, resolution)
    if step > 1:  # with all particles, from a sphere that is sure to hold the centre
        near = np.sum((offset - found) ** 2, axis=1) <= (_REACH * size) ** 2
        found, _ = _shrunk(offset[near], mass[near], found, _REACH * size, fewest, resolution)
    return guess + found


def require_peak(
    position: FloatArray, mass: FloatArray, centre: FloatArray, box: ArrayLike = 0.0
) -> None:
    """Refuse a found centre about which particles are not gathered: it may be the rim of a hole, or the hole.

    Looked at are the sphere of the particles at which :func:`shrinking_spheres` stops, and shells of doubling radii
    about it as far as they are denser than a fifth of it. Fewer than half as many particles in its inner half as evenly
    strewn ones would put there are a hole; a shell from R to 4 R whose mean direction, weighted by mass, is longer than
    0.1 and than 4.5 sigma of chance lies to one side. A hole that is smaller than the sphere shifts the centre by less
    than the sphere's radius, and may pass.

    Parameters
    ----------
    position, mass
        (N, 3) positions [kpc] and (N,) masses.
    centre
        (3,) the centre that was found [kpc].
    box
        As of :func:`shrinking_spheres`.

    Raises
    ------
    InputError
        If the sphere is empty at its middle, or a shell lies to one side.
    """
    offset = wrapped(position - centre, box)[mass > 0.0]
    mass = mass[mass > 0.0]
    n = max(_JUDGED, _left(len(mass)))
    if len(mass) < n:
        return
    r = np.linalg.norm(offset, axis=1)
    size = float(np.partition(r, n - 1)[n - 1])
    told = f"centre: found at {np.round(centre, 3).tolist()} kpc"
    hint = "has the table a hole there, or the halo a companion? state centre.position"
    even = n / 8.0  # of evenly strewn particles in half the radius
    n_inner = int(np.count_nonzero(r < 0.5 * size))
    if n_inner < min(0.5 * even, even - _CHANCE_EMPTY * np.sqrt(even)):
        raise InputError(
            f"{told}, but {n_inner} of the {n} particles within {size:.3g} kpc are in the inner half: {hint}"
        )
    least = _THINNEST * mass[r <= size].sum() / size**3
    inner = size
    while inner > 0.0 and mass[(r > inner) & (r <= 2.0 * inner)].sum() > 7.0 * inner**3 * least:
        shell = (r > inner) & (r <= 4.0 * inner)
        weight = mass[shell]
        mean = float(np.linalg.norm(weight / r[shell] @ offset[shell]) / weight.sum())
        chance = float(np.sqrt(np.sum(weight**2)) / weight.sum())
        if mean > max(_LOPSIDED, _CHANCE * chance):
            raise InputError(
                f"{told}, but the shell from {inner:.3g} to {4.0 * inner:.3g} kpc about it lies to one side (mean "
                f"direction {mean:.2f} long): {hint}"
            )
        inner *= 2.0


def _left(n: int) -> int:
    """Particles of ``n`` at which spheres shrink no further."""
    return max(_LEAST, min(_FEWEST, int(_FEWEST_FRACTION * n)))


def _sides(box: ArrayLike) -> FloatArray:
    return np.broadcast_to(np.asarray(box, dtype=float), 3)


def _shrunk(
    offset: FloatArray,
    mass: FloatArray,
    centre: FloatArray,
    radius: float,
    fewest: int,
    resolution: float,
) -> tuple[FloatArray, float]:
    """Centre and radius [kpc] of the first sphere that holds no more than ``fewest`` particles."""
    inside = np.sum((offset - centre) ** 2, axis=1) <= radius**2
    while (n := np.count_nonzero(inside)) > fewest:
        within = offset[inside]
        # no sphere would ever part them
        if np.ptp(within, axis=0).max() <= resolution:
            raise InputError(
                f"centre: {n} particles are at one place: were their positions filled in?"
            )
        centre = mass[inside] @ within / mass[inside].sum()
        radius *= 1.0 - _SHRINK
        squared = np.sum((offset - centre) ** 2, axis=1)
        near = squared <= (_REACH * radius) ** 2
        offset, mass, inside = offset[near], mass[near], squared[near] <= radius**2
    return centre, radius


def mean_velocity(
    offset: FloatArray, velocity: FloatArray, mass: FloatArray, radius: float
) -> FloatArray:
    """(3,) mass-weighted mean velocity [km/s] of particles within ``radius`` [kpc] of the centre.

    Raises
    ------
    InputError
        If fewer than 10 particles are there.
    """
    inside = (np.linalg.norm(offset, axis=1) <= radius) & (mass > 0.0)
    _require_enough(inside, radius, "the velocity of the centre", "centre.velocity_radius")
    return np.asarray(np.average(velocity[inside], axis=0, weights=mass[inside]), dtype=float)


def disc_axes(
    offset: FloatArray, velocity: FloatArray, mass: FloatArray, radius: float
) -> FloatArray:
    """(3, 3) rotation to axes in which the disc lies in the plane and turns as the Milky Way does.

    The angular momentum within ``radius`` [kpc] points to the south: prograde rotation has v_phi < 0.

    Raises
    ------
    InputError
        If fewer than 10 particles are there, or they do not turn.
    """
    inside = (np.linalg.norm(offset, axis=1) <= radius) & (mass > 0.0)
    _require_enough(inside, radius, "the angular momentum", "orientation.radius")
    moment = mass[inside, None] * np.cross(offset[inside], velocity[inside])
    total = moment.sum(axis=0)
    size = float(np.linalg.norm(total))
    if not size > 0.0:
        raise InputError(f"orientation: no angular momentum within {radius:g} kpc")
    south = total / size
    return _with_north(-south)


def principal_shape(offset: FloatArray, mass: FloatArray, radius: float) -> Shape:
    """Axis ratios and axes of the reduced inertia tensor sum m x x^T / d^2 (Dubinski & Carlberg 1991).

    d is the ellipsoidal radius with the ratios found before; particles within the ellipsoid of the volume of a sphere
    of ``radius`` [kpc] count.

    Raises
    ------
    InputError
        If fewer than 10 particles are there, or the ratios do not settle.
    """
    near = (np.sum(offset**2, axis=1) <= (_FARTHEST * radius) ** 2) & (mass > 0.0)
    offset, mass = offset[near], mass[near]
    ratios, axes = np.ones(3), np.eye(3)
    for _ in range(_MOST_STEPS):
        along = offset @ axes.T
        scale = ratios / np.cbrt(np.prod(ratios))
        squared = np.sum((along / scale) ** 2, axis=1)
        inside = (squared <= radius**2) & (squared > 0.0)
        _require_enough(inside, radius, "the inertia tensor", "orientation.radius")
        weight = mass[inside] / squared[inside]
        tensor = np.einsum("n,ni,nj->ij", weight, offset[inside], offset[inside])
        values, vectors = np.linalg.eigh(tensor)
        found = np.sqrt(np.maximum(values[::-1], 0.0) / values[-1])
        axes = vectors[:, ::-1].T
        if np.max(np.abs(found - ratios)) < _CONVERGED:
            axes[2] *= np.sign(np.linalg.det(axes))
            return Shape(float(found[1]), float(found[2]), axes)
        ratios = np.maximum(found, 1e-3)
    raise InputError(f"orientation: the axis ratios within {radius:g} kpc do not settle")


def _with_north(north: FloatArray) -> FloatArray:
    """(3, 3) rotation whose third axis is ``north``; the first is as near to x as can be."""
    nearest = np.eye(3)[np.argmin(np.abs(north))]
    x = nearest - (nearest @ north) * north
    x /= np.linalg.norm(x)
    return np.array([x, np.cross(north, x), north])


def _require_enough(inside: BoolArray, radius: float, what: str, setting: str) -> None:
    n = int(np.count_nonzero(inside))
    if n < _LEAST:
        raise InputError(
            f"{setting}: {n} particles within {radius:g} kpc have a mass, too few for {what}"
        )
