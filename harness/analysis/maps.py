"""Where on the sky, or in the Galaxy, the cells of a map are whose numbers stand in estimates as bins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from haloassay.base.arrays import FloatArray, IntArray
from haloassay.contracts.sky import direction, quadrant

#: Kind of the estimators that make maps, and the quantities whose bins are cells of one.
_KIND: Final = "sky-map"
MAPPED: Final = ("sigma_r", "beta", "mean_v_r")


@dataclass(frozen=True)
class CellMap:
    """Cells of a map as :class:`haloassay.estimators.sky_map.SkyMap` numbers them.

    Parameters
    ----------
    kind
        ``healpix`` or ``quadrants`` of the sky, ``xy`` or ``xz`` of the Galaxy.
    nside
        Of the healpix map.
    extent, step
        Of the grid [kpc].
    """

    kind: str
    nside: int
    extent: float
    step: float

    @property
    def is_sky(self) -> bool:
        """Whether cells are parts of the sky."""
        return self.kind in ("healpix", "quadrants")

    @property
    def axis(self) -> FloatArray:
        """Grid points [kpc] along an axis, as :func:`haloassay.estimators.cells.grid_cells` makes them."""
        return np.arange(-self.extent, self.extent + 0.5 * self.step, self.step)

    @property
    def size(self) -> int:
        """Number of cells; bins go on from there in the next radial bin."""
        if self.kind == "healpix":
            return 12 * self.nside**2
        return 4 if self.kind == "quadrants" else len(self.axis) ** 2

    def cell_at(self, lon: FloatArray, lat: FloatArray) -> IntArray:
        """Numbers of the cells of the sky at Galactic coordinates [deg]."""
        toward = direction(lon, lat).reshape(-1, 3)
        if self.kind == "quadrants":
            return quadrant(toward).reshape(np.shape(lon))
        import healpy

        return np.asarray(healpy.vec2pix(self.nside, *toward.T), np.int64).reshape(np.shape(lon))

    def centres(self) -> tuple[FloatArray, FloatArray]:
        """Galactic longitude and latitude [deg] of the middles of the cells of the sky."""
        if self.kind == "quadrants":
            return np.array([270.0, 90.0, 90.0, 270.0]), np.array([45.0, 45.0, -45.0, -45.0])
        import healpy

        return healpy.pix2ang(self.nside, np.arange(self.size), lonlat=True)

    def outlines(self) -> list[list[list[float]]]:
        """Corners of each cell: Galactic longitude and latitude [deg], clockwise on the sky, or of a grid kpc."""
        if self.kind == "quadrants":
            return [
                [
                    [x0, y0],
                    [x0, y1],
                    [x0 + 90.0, y1],
                    [x0 + 180.0, y1],
                    [x0 + 180.0, y0],
                    [x0 + 90.0, y0],
                ]
                for x0, (y0, y1) in zip(
                    (180.0, 0.0, 0.0, 180.0), ((0.0, 90.0),) * 2 + ((-90.0, 0.0),) * 2, strict=True
                )
            ]
        if self.kind == "healpix":
            import healpy

            corners = healpy.boundaries(self.nside, np.arange(self.size), step=2)
            l, b = healpy.vec2ang(np.moveaxis(corners, 1, 2).reshape(-1, 3), lonlat=True)  # noqa: E741
            rings = np.stack([l, b], axis=-1).reshape(self.size, -1, 2)[:, ::-1]
            return [_around_pole(ring.tolist()) for ring in rings]
        half = 0.5 * self.step
        return [[[x - half, y - half], [x + half, y + half]] for x in self.axis for y in self.axis]


def _around_pole(ring: list[list[float]]) -> list[list[float]]:
    """Corners with that at a pole, which has no longitude, at those of the corners before and behind it."""
    at = next((k for k, (_, b) in enumerate(ring) if abs(b) > 90.0 - 1e-6), None)
    if at is None:
        return ring
    pole = ring[at][1]
    before, behind = ring[at - 1][0], ring[(at + 1) % len(ring)][0]
    return [*ring[:at], [before, pole], [behind, pole], *ring[at + 1 :]]


def cell_maps(description: Mapping[str, Any]) -> dict[tuple[str, str], CellMap]:
    """Look the maps of a run's estimators up, by cell and estimator.

    Parameters
    ----------
    description
        Content of ``run.json``. It tells the settings of its first cells only; another cell has the map of the same
        estimator in one of these.
    """
    kinds = {e["estimator"]: e["kind"] for e in description.get("estimators", ())}
    makers = [name for name, kind in kinds.items() if kind == _KIND]
    cells = description.get("cells", ())
    found: dict[tuple[str, str], CellMap] = {}
    for name in makers:
        first: CellMap | None = None
        for cell in cells:
            told = cell.get("made_of", {}).get("estimators", {}).get(name)
            own = first if told is None else _map_of(told)
            first = first or own
            if own is not None:
                found[str(cell["cell"]), name] = own
    return found


def _map_of(settings: Mapping[str, Any]) -> CellMap:
    size = (float(settings[name]) for name in ("extent", "step"))
    return CellMap(str(settings["map"]), int(settings["nside"]), *size)
