"""Tables that astropy holds in memory, and MRT, which it reads as such."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, Final

import numpy as np

from haloassay.contracts.columns import SUN_KEY
from haloassay.io.formats.fields import Array, Fields, Table, missing_as_nan
from haloassay.io.formats.lines import lines_of, survey

#: Bytes that astropy takes for a character of an MRT table: each entry is a string of its own.
_MRT_CHARACTER: Final = 16


def column_values(column: Any) -> tuple[Array, str | None]:
    """Values and unit of an array, column or quantity; masked ones are NaN, whichever way they are masked."""
    unit = getattr(column, "unit", None)
    mask = getattr(column, "mask", None)
    values = getattr(column, "unmasked", column)  # of a Masked quantity
    values = np.asarray(np.ma.getdata(getattr(values, "value", values)))
    if isinstance(mask, np.ndarray) and mask.shape == values.shape:
        values = missing_as_nan(values, mask)
    return values, None if unit is None else str(unit)


def table_fields(table: Any) -> Fields:
    """Columns of an astropy Table or QTable; masked values become NaN."""
    meta = {str(key): str(value) for key, value in table.meta.items() if str(key) == SUN_KEY}
    return Fields(tuple(table.colnames), lambda name: column_values(table[name]), meta)


def read_mrt(path: Path, limit: int) -> list[Table]:
    """Machine-readable table of the AAS journals or of CDS, with its byte-by-byte description."""
    from astropy.io import ascii as astropy_ascii

    survey(path, limit // _MRT_CHARACTER)
    lines = list(lines_of(path, limit))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a unit that is not known is named where it matters
        try:
            table = astropy_ascii.read(lines, format="mrt", guess=False)
        except Exception:  # the habits of the two differ a little
            table = astropy_ascii.read(lines, format="cds", guess=False)
    return [Table("", 1, len(table), table_fields(table))]
