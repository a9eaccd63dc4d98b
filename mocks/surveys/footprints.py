"""Footprints: which part of the sky a survey sees."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass, field
from itertools import starmap
from pathlib import Path
from typing import Literal

import numpy as np

from haloassay.base.arrays import BoolArray, FloatArray
from haloassay.base.cache import LATER
from haloassay.base.errors import InputError
from haloassay.base.settings import require
from haloassay.contracts.frames import ICRS_TO_GALACTIC, sky_basis

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
    map_frame: Literal["file", "icrs", "galactic"] = field(default="file", metadata=LATER)
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
        if self.map:
            digest = _digest(self.map)
            require(
                self.map_digest in ("", digest),
                f"map_digest: {self.map_digest} is not that of {self.map} ({digest}): the file is another one",
            )
            object.__setattr__(self, "map_digest", digest)
            _pixels(self.map, digest, self.map_frame)
        else:
            require(self.map_digest == "", "map_digest: there is no map")

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
            import healpy

            pixels, turn = _pixels(self.map, self.map_digest, self.map_frame)
            nside = healpy.npix2nside(len(pixels))
            inside &= pixels[healpy.vec2pix(nside, *(direction @ turn.T).T)] > self.map_min
        return inside


def _digest(name: str) -> str:
    """Hash of the content of a file.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    path = Path(name)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else f"no such file (relative to {Path.cwd()})"
        raise InputError(f"map: {path}: {what}")
    try:
        return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
    except OSError as error:
        raise InputError(f"map: {path}: {error.strerror}") from None


@functools.lru_cache(maxsize=4)
def _pixels(name: str, digest: str, frame: str) -> tuple[FloatArray, FloatArray]:
    """Values of a map in ring order, -inf where it has none, and (3, 3) rotation from ICRS to its axes."""
    import healpy

    try:
        values, head = healpy.read_map(name, h=True, dtype=np.float64)
    except Exception as error:  # whatever astropy and healpy make of a file
        said = str(error).splitlines() or [type(error).__name__]
        raise InputError(f"map: {name}: not a healpix map: {said[0]}") from None
    if frame == "file":
        stated = str(dict(head).get("COORDSYS", "")).strip().upper()[:1]
        frame = {"C": "icrs", "G": "galactic"}.get(stated, "")
        require(
            bool(frame),
            f"map: {name}: its COORDSYS says {stated or 'nothing'!r}: say map_frame, icrs or galactic",
        )
    known = np.isfinite(values) & (values != healpy.UNSEEN)
    require(bool(known.any()), f"map: {name}: no pixel has a value")
    return np.where(known, values, -np.inf), np.eye(3) if frame == "icrs" else ICRS_TO_GALACTIC


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
