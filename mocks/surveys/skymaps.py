"""Healpix maps of files: their values, their axes, and the digest of what they hold."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, Literal

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.errors import InputError
from haloassay.base.settings import require
from haloassay.contracts.frames import ICRS_TO_GALACTIC

#: Axes of a map: as its COORDSYS says (C or G), or as the user does.
MapFrame = Literal["file", "icrs", "galactic"]

_BLOCK: Final = 2**22


def file_digest(name: str, setting: str = "map") -> str:
    """Hash of the content of a file, which ``setting`` names.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    path = Path(name)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else f"no such file (relative to {Path.cwd()})"
        raise InputError(f"{setting}: {path}: {what}")
    digest = hashlib.blake2b(digest_size=16)
    try:
        with open(path, "rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    except OSError as error:
        raise InputError(f"{setting}: {path}: {error.strerror}") from None
    return digest.hexdigest()


def settled_digest(name: str, given: str) -> str:
    """Digest of a map that may be given; empty without a map.

    Raises
    ------
    InputError
        If the file is another one than the given digest is of, or cannot be read, or there is no map for it.
    """
    if not name:
        require(given == "", "map_digest: there is no map")
        return ""
    digest = file_digest(name)
    require(
        given in ("", digest),
        f"map_digest: {given} is not that of {name} ({digest}): the file is another one",
    )
    return digest


@functools.lru_cache(maxsize=4)
def pixels(name: str, digest: str, frame: MapFrame) -> tuple[FloatArray, FloatArray]:
    """Values of a map in ring order, -inf where it has none, and (3, 3) rotation from ICRS to its axes.

    ``digest`` is what the values are kept by.

    Raises
    ------
    InputError
        If the file is truncated, or holds no map, several, or one that does not say which pixel is which.
    """
    import healpy

    from haloassay.io.formats.blocks import headers

    del digest
    n_maps = _number_of_maps(headers(Path(name), "map"))
    log = logging.getLogger("healpy")
    loud = log.disabled
    log.disabled = True  # what is wrong is said in one line
    try:
        values, head = healpy.read_map(name, h=True, dtype=np.float64)
    except Exception as error:  # whatever astropy and healpy make of a file
        said = str(error).splitlines() or [type(error).__name__]
        raise InputError(f"map: {name}: not a healpix map: {said[0]}") from None
    finally:
        log.disabled = loud
    require(
        n_maps < 2,
        f"map: {name}: holds {n_maps} maps, and one is needed: write it into a file of its own",
    )
    order = str(dict(head).get("ORDERING", "")).strip()  # healpy takes other cases for RING
    require(
        order in ("RING", "NESTED"),
        f"map: {name}: its ORDERING says {order or 'nothing'!r}: write RING or NESTED into its header",
    )
    if frame == "file":
        stated = str(dict(head).get("COORDSYS", "")).strip().upper()[:1]
        require(
            stated in ("C", "G"),
            f"map: {name}: its COORDSYS says {stated or 'nothing'!r}: say map_frame, icrs or galactic",
        )
        frame = "icrs" if stated == "C" else "galactic"
    require(
        not np.isposinf(values).any(), f"map: {name}: inf is no value (a pixel without one: NaN)"
    )
    known = np.isfinite(values) & (values != healpy.UNSEEN)
    require(bool(known.any()), f"map: {name}: no pixel has a value")
    return np.where(known, values, -np.inf), np.eye(3) if frame == "icrs" else ICRS_TO_GALACTIC


def _number_of_maps(headers: Iterable[Mapping[str, str]]) -> int:
    """Columns of values in the tables of a file that are healpix maps; 0 where none says that it is one."""
    from haloassay.io.formats.blocks import number, text

    found = 0
    for cards in headers:
        if text(cards, "PIXTYPE") != "HEALPIX":
            continue
        partial = text(cards, "INDXSCHM") == "EXPLICIT" or text(cards, "OBJECT") == "PARTIAL"
        with contextlib.suppress(ValueError):  # its reader tells
            found += number(cards, "TFIELDS", 1) - partial
    return found


def values_at(name: str, digest: str, frame: MapFrame, direction: FloatArray) -> FloatArray:
    """(N,) values of a map at ICRS unit vectors ``direction`` (N, 3)."""
    import healpy

    values, turn = pixels(name, digest, frame)
    nside = healpy.npix2nside(len(values))
    return np.asarray(values[healpy.vec2pix(nside, *(direction @ turn.T).T)])
