"""Footprints: which part of the sky a survey sees."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import starmap

import numpy as np

from haloassay.base.arrays import BoolArray, FloatArray
from haloassay.base.cache import LATER
from haloassay.base.settings import require
from haloassay.contracts.frames import ICRS_TO_GALACTIC, sky_basis
from haloassay.mocks.surveys.skymaps import MapFrame, pixels, settled_digest, values_at

Box = tuple[float, float, float, float]
Disc = tuple[float, float, float]


@dataclass(frozen=True)
class Footprint:
    """Band of declination away from the Galactic plane, and optionally boxes and discs on the sky.

    Parameters
    ----------
    dec_min, dec_max
        Limits of ICRS declination [deg].
    b_min
        Smallest absolute Galactic latitude [deg].
    boxes
        Boxes (ra_min, ra_max, dec_min, dec_max) [deg]; a star must lie in one of them too.
        No box: no such limit. ``ra_min > ra_max`` stands for a box across right ascension 0.
    discs
        Discs (ra, dec, radius) [deg], as the plates of a spectrograph; a star must lie in one of
        them too. No disc: no such limit.
    map
        Healpix map in a FITS file, such as the coverage of a survey; a star must lie in one of its pixels with a value
        above ``map_min`` too. Empty: no such limit.
    map_min
        Value that pixels must be above.
    map_frame
        Axes of the map: ``"icrs"``, ``"galactic"``, or ``"file"``, as its COORDSYS says (C or G).
    map_digest
        Hash of the content of the file, which is refused if it is another one; found where it is not given.

    Raises
    ------
    InputError
        If limits are out of order or out of range, or the map cannot be read.
    """

    dec_min: float = -90.0
    dec_max: float = 90.0
    b_min: float = 0.0
    boxes: tuple[Box, ...] = ()
    discs: tuple[Disc, ...] = ()
    map: str = field(default="", compare=False)
    map_min: float = field(default=0.0, metadata=LATER)
    map_frame: MapFrame = field(default="file", metadata=LATER)
    map_digest: str = field(default="", metadata=LATER)

    def __post_init__(self) -> None:
        require(
            -90.0 <= self.dec_min < self.dec_max <= 90.0,
            f"need -90 <= dec_min < dec_max <= 90 (got {self.dec_min}, {self.dec_max})",
        )
        require(0.0 <= self.b_min < 90.0, f"need 0 <= b_min < 90 (got {self.b_min})")
        for ra_min, ra_max, dec_min, dec_max in self.boxes:
            box = f"(got {[ra_min, ra_max, dec_min, dec_max]})"
            require(
                0.0 <= ra_min <= 360.0 and 0.0 <= ra_max <= 360.0 and ra_min != ra_max,
                f"a box needs two different right ascensions within 0..360 {box}",
            )
            require(
                -90.0 <= dec_min < dec_max <= 90.0,
                f"a box needs -90 <= dec_min < dec_max <= 90 {box}",
            )
        for ra, dec, radius in self.discs:
            require(
                0.0 <= ra <= 360.0 and -90.0 <= dec <= 90.0 and 0.0 < radius <= 180.0,
                "a disc needs 0 <= ra <= 360, -90 <= dec <= 90, 0 < radius <= 180 "
                f"(got {[ra, dec, radius]})",
            )
        object.__setattr__(self, "map_digest", settled_digest(self.map, self.map_digest))
        if self.map:
            pixels(self.map, self.map_digest, self.map_frame)

    @property
    def whole_sky(self) -> bool:
        """Whether nothing is left out."""
        return self == Footprint()

    def contains(self, direction: FloatArray) -> BoolArray:
        """(N,) whether the ICRS unit vectors ``direction`` (N, 3) lie in the footprint."""
        inside = _between_declinations(direction, self.dec_min, self.dec_max)
        if self.b_min > 0.0:
            inside &= np.abs(direction @ ICRS_TO_GALACTIC[2]) >= np.sin(np.radians(self.b_min))
        if self.boxes:
            ra = np.degrees(np.arctan2(direction[:, 1], direction[:, 0])) % 360.0

            def in_box(ra_min: float, ra_max: float, dec_min: float, dec_max: float) -> BoolArray:
                width = (ra_max - ra_min) if ra_max > ra_min else (ra_max - ra_min + 360.0)
                across = (ra - ra_min) % 360.0 <= width
                return across & _between_declinations(direction, dec_min, dec_max)

            inside &= np.any(list(starmap(in_box, self.boxes)), axis=0)
        if self.discs:
            rows = np.flatnonzero(inside)
            inside[rows] = _in_discs(direction[rows], np.array(self.discs))
        if self.map:
            values = values_at(self.map, self.map_digest, self.map_frame, direction)
            inside &= values > self.map_min
        return inside


def _in_discs(direction: FloatArray, discs: FloatArray) -> BoolArray:
    """(N,) whether unit vectors lie in one of the ``discs`` (M, 3): ra, dec, radius [deg].

    The nearest centre of each radius decides: thousands of plates cost no more than a few.
    """
    from scipy.spatial import KDTree

    centres = sky_basis(discs[:, 0], discs[:, 1])[:, 0]
    inside = np.zeros(len(direction), dtype=bool)
    for radius in np.unique(discs[:, 2]):
        chord, _ = KDTree(centres[discs[:, 2] == radius]).query(direction)
        inside |= chord <= 2.0 * np.sin(np.radians(0.5 * radius))
    return inside


def _between_declinations(direction: FloatArray, dec_min: float, dec_max: float) -> BoolArray:
    """(N,) whether unit vectors lie between two declinations [deg]; the poles are inside +-90."""
    low = np.sin(np.radians(dec_min)) if dec_min > -90.0 else -np.inf
    high = np.sin(np.radians(dec_max)) if dec_max < 90.0 else np.inf
    return np.asarray((direction[:, 2] >= low) & (direction[:, 2] <= high))
