"""Moments over the sky: what a large population does in every part of every shell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike

from haloassay.base.arrays import FloatArray, IntArray
from haloassay.base.errors import InputError
from haloassay.contracts.frames import spherical_velocity
from haloassay.mocks.moments import COMPONENTS, anisotropy
from haloassay.mocks.stars import Stars

#: Stars that a cell of the map should rest on: dispersions are then known within 4 per cent.
STARS_A_CELL: Final = 300
#: Finest map, of 192 pixels: that of Han et al. (2024).
_FINEST: Final = 4
#: Of the pixels over which a field is averaged: half a degree wide, as those on the border of an octant count for one.
_FINE: Final = 128
#: Shells of the map of a stored population.
_SHELLS: Final = 8


@dataclass(frozen=True, eq=False)
class CellMoments:
    """Raw moments of (v_r, v_theta, v_phi) in cells of the sky, shell by shell.

    Parameters
    ----------
    number
        (K, cells) stars; those of a mixture are what is expected, and need not be whole.
    first, second
        (K, cells, 3) mean velocity [km/s] and mean square velocity [(km/s)^2]; those of the shell in a cell without
        two stars.
    """

    number: FloatArray
    first: FloatArray
    second: FloatArray

    @classmethod
    def of(
        cls, shell: IntArray, cell: IntArray, shape: tuple[int, int], v: FloatArray
    ) -> CellMoments:
        """Moments of stars with shells (N,), cells (N,) and velocities (N, 3)."""
        n_shells, n_cells = shape
        index = shell * n_cells + cell

        def summed(weights: FloatArray | None) -> FloatArray:
            counts = np.bincount(index, weights, n_shells * n_cells)
            return np.asarray(counts, dtype=float).reshape(shape)

        number = summed(None)
        moments = []
        for power in (1, 2):
            total = np.stack([summed(v[:, k] ** power) for k in range(3)], axis=-1)
            in_shell = np.maximum(number.sum(axis=1), 1.0)[:, None, None]
            of_shell = total.sum(axis=1, keepdims=True) / in_shell
            own = total / np.maximum(number, 1.0)[:, :, None]
            moments.append(np.where(number[:, :, None] >= 2, own, of_shell))
        return cls(number, *moments)

    def mixed(self, other: CellMoments, weight: float) -> CellMoments:
        """Moments of these stars and of others in the same cells, each of which counts ``weight`` times."""
        more = weight * other.number
        total = self.number + more
        share = np.divide(more, total, out=np.zeros_like(total), where=total > 0.0)[:, :, None]
        return CellMoments(
            total,
            (1.0 - share) * self.first + share * other.first,
            (1.0 - share) * self.second + share * other.second,
        )

    def moved(self, velocity: FloatArray) -> CellMoments:
        """Moments with a mean velocity (cells, 3) added, and the variances kept."""
        first = self.first + velocity
        return CellMoments(self.number, first, self.second - self.first**2 + first**2)

    def to_dict(self) -> dict[str, Any]:
        """Plain values: a list over shells of lists over cells; null where a cell has fewer than two stars."""
        variance = self.second - self.first**2
        told: dict[str, Any] = {
            "n_stars": np.rint(self.number).astype(int).tolist(),
            "beta": self._plain(anisotropy(np.where(variance > 0.0, variance, np.nan))),
        }
        for k, component in enumerate(COMPONENTS):
            told[f"mean_v_{component}"] = self._plain(self.first[:, :, k])
            told[f"sigma_{component}"] = self._plain(np.sqrt(np.maximum(variance[:, :, k], 0.0)))
        return told

    def _plain(self, values: FloatArray) -> list[list[float | None]]:
        known = (self.number >= 2) & np.isfinite(values)
        return [
            [float(v) if k else None for v, k in zip(row, which, strict=True)]
            for row, which in zip(values, known, strict=True)
        ]


@dataclass(frozen=True, eq=False)
class MomentMap:
    """Moments in healpix pixels, and in octants, of Galactocentric shells.

    Pixels are in ring order over the Galactocentric axes: longitude 0 points from the Sun to the centre.

    Parameters
    ----------
    edges
        (K + 1,) edges [kpc] of the shells; radii beyond count to the outermost.
    nside
        Of the pixels.
    pixels
        Moments of the 12 nside^2 pixels of each shell.
    octants
        Moments of its eight octants, in the order of :func:`octants`.
    """

    edges: FloatArray
    nside: int
    pixels: CellMoments
    octants: CellMoments

    @classmethod
    def of(cls, stars: Stars, edges: ArrayLike) -> MomentMap:
        """Map of a population, as fine as its number of stars allows.

        Raises
        ------
        InputError
            If no star lies within the edges.
        """
        edges = np.asarray(edges, dtype=float)
        inside = (stars.r >= edges[0]) & (stars.r < edges[-1])
        if not inside.any():
            raise InputError(f"map: no star between {edges[0]:g} and {edges[-1]:g} kpc")
        stars = stars.select(inside)
        n_shells, nside = len(edges) - 1, _FINEST
        while nside > 1 and 12 * nside**2 * n_shells * STARS_A_CELL > len(stars):
            nside //= 2
        return cls(edges, nside, *_cells(stars, edges, nside))

    @classmethod
    def of_population(cls, stars: Stars, r_range: tuple[float, float]) -> MomentMap:
        """Map of a stored population in eight shells between two radii [kpc]."""
        return cls.of(stars, np.geomspace(*r_range, _SHELLS + 1))

    def alone(self, stars: Stars) -> MomentMap:
        """Map of other stars in the cells of this one."""
        inside = (stars.r >= self.edges[0]) & (stars.r < self.edges[-1])
        return MomentMap(
            self.edges, self.nside, *_cells(stars.select(inside), self.edges, self.nside)
        )

    def with_more(self, stars: Stars, weight: float) -> MomentMap:
        """Map of this population and of other stars, each of which counts ``weight`` times."""
        more = self.alone(stars)
        pixels = self.pixels.mixed(more.pixels, weight)
        return MomentMap(self.edges, self.nside, pixels, self.octants.mixed(more.octants, weight))

    def raw(self, position: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(N, 3) mean and mean square of (v_r, v_theta, v_phi) at positions (N, 3) [kpc]."""
        r = np.linalg.norm(position, axis=1)
        cell = (_shells(r, self.edges), pixels(position, self.nside))
        return self.pixels.first[cell], self.pixels.second[cell]

    def variation(self, position: FloatArray) -> tuple[FloatArray, FloatArray]:
        """How the pixels at positions (N, 3) [kpc] differ from their shells; not at all where they have too few stars.

        A map of pixels with fewer than :data:`STARS_A_CELL` stars each would put its own noise in the place of the sky.

        Returns
        -------
        shift
            (N, 3) mean (v_r, v_theta, v_phi) of the pixel minus that of all pixels of the shell [km/s].
        factor
            (N, 3) its variances over the mean variance in pixels of the shell.
        """
        cell = self.pixels
        if cell.number.mean() < STARS_A_CELL:
            return np.zeros((len(position), 3)), np.ones((len(position), 3))
        weight = cell.number[:, :, None] / np.maximum(cell.number.sum(axis=1), 1.0)[:, None, None]
        variance = cell.second - cell.first**2
        shift = cell.first - np.sum(weight * cell.first, axis=1, keepdims=True)
        usual = np.sum(weight * variance, axis=1, keepdims=True)
        factor = np.divide(variance, usual, out=np.ones_like(variance), where=usual > 0.0)
        r = np.linalg.norm(position, axis=1)
        where = (_shells(r, self.edges), pixels(position, self.nside))
        return shift[where], factor[where]

    def moved(self, field: Callable[[FloatArray], FloatArray]) -> MomentMap:
        """Map with the mean over each cell of a velocity field that depends on direction alone.

        Parameters
        ----------
        field
            (N, 3) Cartesian velocities [km/s] at (N, 3) positions [kpc].
        """
        import healpy

        sky = np.stack(healpy.pix2vec(_FINE, np.arange(12 * _FINE**2)), axis=1)
        v = spherical_velocity(sky, field(sky))

        def mean(cell: IntArray) -> FloatArray:
            return (
                np.stack([np.bincount(cell, c) for c in v.T], axis=1) / np.bincount(cell)[:, None]
            )

        return MomentMap(
            self.edges,
            self.nside,
            self.pixels.moved(mean(pixels(sky, self.nside))),
            self.octants.moved(mean(octants(sky))),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values of both maps, with the edges of the shells."""
        return {
            "edges": self.edges.tolist(),
            "nside": self.nside,
            "ordering": "ring, Galactocentric, longitude 0 from the Sun to the centre",
            "pixels": self.pixels.to_dict(),
            "octants": self.octants.to_dict(),
        }


def _cells(stars: Stars, edges: FloatArray, nside: int) -> tuple[CellMoments, CellMoments]:
    """Moments of stars in pixels and in octants."""
    shell, v = _shells(stars.r, edges), spherical_velocity(stars.position, stars.velocity)
    n_shells = len(edges) - 1
    return (
        CellMoments.of(shell, pixels(stars.position, nside), (n_shells, 12 * nside**2), v),
        CellMoments.of(shell, octants(stars.position), (n_shells, 8), v),
    )


def octants(position: FloatArray) -> IntArray:
    """(N,) octant 0 to 7 of positions (N, 3): 4 where z > 0, 2 where y > 0, 1 where x > 0, summed."""
    return np.asarray((position > 0.0) @ np.array([1, 2, 4]), dtype=np.int64)


def pixels(position: FloatArray, nside: int) -> IntArray:
    """(N,) healpix pixels, ring order, of the directions of positions (N, 3)."""
    import healpy

    return np.asarray(healpy.vec2pix(nside, *position.T), dtype=np.int64)


def _shells(r: FloatArray, edges: FloatArray) -> IntArray:
    """(N,) shells of radii; beyond the edges, the outermost ones."""
    return np.clip(np.searchsorted(edges, r, side="right") - 1, 0, len(edges) - 2)
