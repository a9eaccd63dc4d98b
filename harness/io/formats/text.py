"""CSV and plain text: columns by a header, by a comment above the data, or by the names that the caller gives."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np

from haloassay.base.errors import InputError
from haloassay.io.formats.fields import (
    SKIP,
    Array,
    Fields,
    Table,
    refuse_repeated,
    with_masks,
)
from haloassay.io.formats.lines import (
    BLANKS,
    UNITS_KEY,
    Survey,
    columns_of,
    data_lines,
    is_numeric,
    survey,
    units_of,
)

#: What may separate the columns, in the order of preference; else whitespace.
DELIMITERS: Final = (",", ";", "\t")


def read_text(
    path: Path, names: Sequence[str] | None, transpose: bool | None, limit: int
) -> list[Table]:
    """Read a text whose columns are separated by whitespace, or else as in CSV."""
    seen = survey(path, limit)
    delimiter = _delimiter_of_text(seen.first)
    first = _words(seen.first, delimiter)
    has_header = not is_numeric(first)
    given = names is not None
    names = _named(names, first, has_header, seen, delimiter, path)
    n_rows = seen.rows - has_header
    if transpose is None:
        transpose = len(first) != len(names) and n_rows == len(names)
    found = n_rows if transpose else len(first)
    if found != len(names):
        raise InputError(
            f"{path}: {len(names)} names for {found} "
            f"{'rows' if transpose else 'columns'} ('-' skips one)"
        )
    if transpose:
        lines = islice(data_lines(path, limit), int(has_header), None)
        columns = _rows_as_columns(lines, names, delimiter)
    else:
        columns = _columns(path, names, delimiter, has_header, limit)
    return [_table(path, columns, n_rows, seen, {} if given and not has_header else None)]


def read_csv(path: Path, names: Sequence[str] | None, limit: int) -> list[Table]:
    """Read a CSV file, separated by commas, semicolons, tabs or, if by none of these, by whitespace."""
    seen = survey(path, limit)
    delimiter = _delimiter_of_csv(seen.first)
    first = _words(seen.first, delimiter)
    has_header = not is_numeric(first)
    names = _named(names, first, has_header, seen, delimiter, path)
    if len(names) != len(first):
        raise InputError(f"{path}: {len(names)} names for {len(first)} columns ('-' skips one)")
    columns = _columns(path, names, delimiter, has_header, limit)
    return [_table(path, columns, seen.rows - has_header, seen, None)]


def _named(
    names: Sequence[str] | None,
    first: list[str],
    has_header: bool,
    seen: Survey,
    delimiter: str,
    path: Path,
) -> Sequence[str]:
    """Names that are given, else those of the header or of a comment above the data."""
    if names is None:
        names = first if has_header else _commented_header(seen, delimiter, len(first))
    if names is None:
        raise InputError(f"{path}: columns have no names; give them in their order (columns)")
    refuse_repeated(names, path)
    return names


def _table(
    path: Path,
    columns: dict[str, Array],
    rows: int,
    seen: Survey,
    units: dict[str, str] | None,
) -> Table:
    meta = seen.kept()
    if units is None:
        units = units_of(meta.pop(UNITS_KEY, None), path)
    stated = units
    names, get = with_masks(
        tuple(columns), lambda name: (columns[name], stated.get(name) or None), path
    )
    return Table("", 1, rows, Fields(names, get, meta))


def _columns(
    path: Path, names: Sequence[str], delimiter: str, has_header: bool, limit: int
) -> dict[str, Array]:
    values = columns_of(data_lines(path, limit), delimiter, has_header)
    if len(values) != len(names):
        raise InputError(f"{path}: {len(names)} names for {len(values)} columns")
    return {name: v for name, v in zip(names, values, strict=True) if name not in SKIP}


def _rows_as_columns(
    lines: Iterator[str], names: Sequence[str], delimiter: str
) -> dict[str, Array]:
    rows = zip(lines, names, strict=True)
    return {
        name: np.array(_words(line, delimiter), dtype=float)
        for line, name in rows
        if name not in SKIP
    }


def _words(line: str, delimiter: str) -> list[str]:
    if delimiter == BLANKS:
        return line.split()
    words = next(csv.reader([line.strip("\r\n ")], delimiter=delimiter, skipinitialspace=True), [])
    return [word.strip() for word in words]


def _delimiter_of_csv(line: str) -> str:
    best = max(DELIMITERS, key=lambda mark: len(_words(line, mark)))
    return best if len(_words(line, best)) > 1 else BLANKS


def _delimiter_of_text(line: str) -> str:
    """Whitespace, unless a mark separates words that hold none: "1, 2" and "1,2", not "1 2,5"."""
    for mark in DELIMITERS:
        parts = [len(word.split()) for word in _words(line, mark)]
        # tabs may stand side by side to align columns
        if len(parts) > 1 and max(parts) == 1 and (mark != "\t" or min(parts) == 1):
            return mark
    return BLANKS


def _commented_header(seen: Survey, delimiter: str, width: int) -> list[str] | None:
    """Names in the last comment above the data, where there are as many as columns."""
    for comment in reversed(seen.comments):
        for mark in (delimiter, BLANKS, *DELIMITERS):
            words = _words(comment.lstrip("# \t"), mark)
            if len(words) == width and not is_numeric(words) and all(words):
                return words
    return None
