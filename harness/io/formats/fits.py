"""FITS: one table an HDU, as astropy opens them; packed by gzip or not."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from haloassay.base.errors import InputError
from haloassay.contracts.catalogue import spans
from haloassay.contracts.columns import SUN_KEY
from haloassay.io.formats.blocks import require_whole
from haloassay.io.formats.fields import (
    Array,
    Blocks,
    Fields,
    Table,
    missing_as_nan,
    with_masks,
)
from haloassay.io.formats.kinds import is_packed

#: Formats of columns of one number a row.
_NUMBERS: Final = ("D", "E", "J", "I", "K", "B", "1D", "1E", "1J", "1I", "1K", "1B")


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    from astropy.io import fits

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what matters of a header is looked at
        # astropy leaves what it opened open where that cannot be read
        with (
            path.open("rb") as file,
            fits.open(file, memmap=True, disable_image_compression=True) as hdus,
        ):
            yield hdus


def read_fits(path: Path, limit: int) -> list[Table]:
    """List the tables of a FITS file; columns are read when asked for.

    Raises
    ------
    InputError
        If the file is truncated, or a header is damaged.
    """
    from astropy.io import fits

    require_whole(path)
    found, before = [], -1
    with _opened(path) as hdus:
        for number, hdu in enumerate(hdus):
            # astropy goes on from where a damaged header ends, which may be its start: it would read it for ever
            start = hdu.fileinfo()["hdrLoc"] if hasattr(hdu, "fileinfo") else before
            if start <= before:
                raise InputError(f"{path}: not readable as FITS: header {number} is damaged")
            before = start
            if isinstance(hdu, fits.BinTableHDU | fits.TableHDU) and "ZIMAGE" not in hdu.header:
                found.append(_table(path, number, hdu, limit))
    return found


def _table(path: Path, number: int, hdu: Any, limit: int) -> Table:
    from astropy.io import fits

    header = hdu.header
    if not all(isinstance(header.get(key), int) for key in ("NAXIS1", "NAXIS2")):
        raise InputError(f"{path}: not readable as FITS: table {number} does not state its size")
    width, rows = int(header["NAXIS1"]), int(header["NAXIS2"])
    whole = width * rows + int(hdu.header.get("PCOUNT", 0))
    packed = is_packed(path)
    if any(c.name is None for c in hdu.columns):
        raise InputError(f"{path}: table {number} has columns without a name")
    units = {c.name: _unit(c.unit) for c in hdu.columns if c.unit}

    @cache
    def load() -> Any:
        with _opened(path) as hdus:
            return hdus[number].data  # in memory, or mapped to it, before the file is closed

    def get(name: str) -> tuple[Array, str | None]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            values, column = np.asarray(load()[name]), load().columns[name]
            missing = _missing(values, column)
        return missing_as_nan(values, missing), units.get(name)

    def cost(_: str) -> int:
        # a packed table is unpacked as a whole, once
        return 24 * rows + (whole // len(names) if packed else 0)

    def read(wanted: Sequence[str]) -> Iterator[Mapping[str, tuple[Array, str | None]]]:
        for span in spans(rows):
            # opened for each block: as long as it is mapped, what was looked at counts as memory
            with _opened(path) as hdus:
                data = hdus[number].data[span]
                found = {}
                for name in wanted:
                    values = np.array(data[name])
                    missing = _missing(values, data.columns[name])
                    found[name] = (missing_as_nan(values, missing), units.get(name))
            yield found

    names, masked = with_masks(tuple(c.name for c in hdu.columns), get, path)
    plain = frozenset(c.name for c in hdu.columns if str(c.format) in _NUMBERS)
    whole_file = packed or len(names) < len(hdu.columns) or isinstance(hdu, fits.TableHDU)
    blocks = None if whole_file else Blocks(plain, rows, read)
    sun = hdu.header.get(SUN_KEY)
    meta = {} if sun is None else {SUN_KEY: str(sun)}
    return Table(str(hdu.name), number, rows, Fields(names, masked, meta, cost, limit, blocks))


def _missing(values: Array, column: Any) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which entries the file states to be missing: its null among integers, and empty text."""
    if values.dtype.kind in "SU":
        return values == values.dtype.type()
    if column.null is None or values.dtype.kind not in "iuf":
        return np.zeros(values.shape, dtype=bool)
    try:
        null = float(column.null) * float(column.bscale or 1.0) + float(column.bzero or 0.0)
    except (TypeError, ValueError):  # of an ASCII table, text that astropy has seen to
        return np.zeros(values.shape, dtype=bool)
    return values == null


def _unit(text: str) -> str:
    import astropy.units as u

    return str(u.Unit(text, format="fits", parse_strict="silent"))
