"""ECSV: a YAML head of names, units and types in comments, and CSV below it, packed or not, whatever its suffix.

Only the head is astropy's to read: its reader of the data is slow, and does not take the ``null`` of Gaia's files.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from haloassay.base.errors import InputError
from haloassay.base.text import printable
from haloassay.io.formats.fields import Array, Fields, Table, refuse_repeated, with_masks
from haloassay.io.formats.lines import (
    BLANKS,
    columns_of,
    data_lines,
    is_comment,
    lines_of,
    survey,
)
from haloassay.io.formats.serialized import parse


def read_ecsv(path: Path, limit: int) -> list[Table]:
    """Read the table of an ECSV file."""
    seen = survey(path, limit)
    if not seen.comments or not seen.comments[0].startswith("%ECSV"):
        raise InputError(f"{path}: not readable as ECSV: the first line is not '# %ECSV 1.0'")
    head = parse(_yaml(path, limit))
    refuse_repeated(head.names, path)
    if head.delimiter not in (" ", ","):
        raise InputError(f"{path}: ECSV is separated by ' ' or ',' (got {head.delimiter!r})")
    delimiter = BLANKS if head.delimiter == " " else ","
    values = columns_of(data_lines(path, limit), delimiter, has_header=False)
    named = [str(v[0]).strip() for v in values]
    if named != list(head.names):
        raise InputError(
            f"{path}: the line above the data names {printable(', '.join(named[:9]))}, the head of "
            f"the file {printable(', '.join(head.names[:9]))}"
        )
    values = columns_of(data_lines(path, limit), delimiter, has_header=True)
    columns = dict(zip(head.names, values, strict=True))

    def get(name: str) -> tuple[Array, str | None]:
        found = columns[name]
        return (_arrays(found) if name in head.arrays else found), head.units.get(name)

    names, masked = with_masks(head.names, get, path)
    return [Table("", 1, seen.rows - 1, Fields(names, masked, head.meta))]


def _yaml(path: Path, limit: int) -> list[str]:
    """Lines of the head, whose indentation counts."""
    found = []
    for line in lines_of(path, limit):
        if not is_comment(line):
            break
        found.append(line.rstrip("\r\n").removeprefix("# "))
    return found[1:]


def _arrays(column: Array) -> Array:
    """(N, ...) values of a column whose entries are written as JSON."""
    parsed = [json.loads(entry) if isinstance(entry, str) else None for entry in column]
    return np.array(parsed, dtype=float)
