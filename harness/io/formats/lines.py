"""Lines of text files: data and comments, which are lines that begin with ``#``, and columns of the data."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from haloassay.base.errors import InputError
from haloassay.base.text import is_number
from haloassay.contracts.columns import SUN_KEY
from haloassay.io.formats import memory
from haloassay.io.formats.kinds import opened

#: Comment under which the head of a text keeps the units of its columns, as JSON.
UNITS_KEY: Final = "units"

#: Whitespace of any length, as pandas knows it.
BLANKS: Final = r"\s+"

#: Bytes that an entry takes while it is read: as a number, twice.
_ENTRY: Final = 16


def lines_of(path: Path, limit: int) -> Iterator[str]:
    """Lines of a file in UTF-8, with or without a byte-order mark, packed or not.

    Raises
    ------
    InputError
        If one line takes more memory than there is.
    """
    longest = max(limit // 8, 1 << 16)
    with opened(path) as raw, io.TextIOWrapper(raw, encoding="utf-8-sig") as file:
        while line := file.readline(longest):
            if len(line) == longest and not line.endswith("\n"):
                memory.require(limit + 8 * longest, limit, f"{path}: a line")
            yield line


def is_comment(line: str) -> bool:
    """Whether a line holds no data."""
    return line.lstrip().startswith("#")


def data_lines(path: Path, limit: int) -> Iterator[str]:
    """Lines that are neither empty nor comments."""
    return (line for line in lines_of(path, limit) if line.strip() and not is_comment(line))


@dataclass(frozen=True)
class Survey:
    """What one pass over a text says of it.

    Parameters
    ----------
    comments
        Comments above the data, without their marks.
    first
        First line of data.
    rows
        Number of lines of data.
    """

    comments: tuple[str, ...]
    first: str
    rows: int

    def kept(self) -> dict[str, str]:
        """Text by name of what the head of a catalogue keeps: the Sun and the units."""
        found = {}
        for line in self.comments:
            key, colon, text = line.partition(":")
            if colon and key in (SUN_KEY, UNITS_KEY) and text.strip().startswith("{"):
                found[key] = text.strip()
        return found


def survey(path: Path, limit: int) -> Survey:
    """Look over a text once; what it takes in memory is known after it.

    Raises
    ------
    InputError
        If it has no rows, or takes more than ``limit`` bytes.
    """
    comments: list[str] = []
    first, rows, length, width = "", 0, 0, 0
    for line in lines_of(path, limit):
        length += len(line)
        if is_comment(line):
            if not rows:
                comments.append(line.strip().removeprefix("#").strip())
        elif line.strip():
            if not rows:
                first = line
                width = 1 + max(line.count(mark) for mark in ",;\t ")
            rows += 1
        memory.require(_ENTRY * rows * width + length, limit, path)
    if not rows:
        raise InputError(f"{path}: there are no rows")
    return Survey(tuple(comments), first, rows)


def units_of(text: str | None, path: Path) -> dict[str, str]:
    """Units by column, of the comment that keeps them.

    Raises
    ------
    InputError
        If it is no JSON of names and units.
    """
    try:
        units = json.loads(text or "{}")
    except (ValueError, RecursionError):
        units = None
    if not isinstance(units, dict) or not all(isinstance(u, str) for u in units.values()):
        raise InputError(f"{path}: the comment '{UNITS_KEY}: ...' does not name a unit for each")
    return units


class _Data:
    """Lines of data as a file, for a reader that would take a ``#`` inside a line for a comment."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self._rest = ""

    def __iter__(self) -> Iterator[str]:
        return self._lines

    def read(self, size: int | None = -1, /) -> str:
        wanted = size if size is not None and size >= 0 else float("inf")
        parts, length = [self._rest], len(self._rest)
        while length < wanted and (line := next(self._lines, "")):
            parts.append(line)
            length += len(line)
        text = "".join(parts)
        cut = len(text) if wanted == float("inf") else int(wanted)
        self._rest = text[cut:]
        return text[:cut]


def columns_of(lines: Iterator[str], delimiter: str, has_header: bool) -> list[Any]:
    """(N,) columns of lines of data; of numbers, or of objects where some are none."""
    import pandas as pd

    with warnings.catch_warnings():  # a row too long is an error, not a loss
        warnings.simplefilter("error", pd.errors.ParserWarning)
        # pandas deprecates asking for exact parsing where that is all it does
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", pd.errors.DtypeWarning)
        table = pd.read_csv(
            cast(Any, _Data(lines)),
            sep=delimiter,
            header=0 if has_header else None,
            skipinitialspace=True,
            index_col=False,
            float_precision="round_trip",
        )
    return [table.iloc[:, i].to_numpy() for i in range(table.shape[1])]


def is_numeric(words: Sequence[str]) -> bool:
    """Whether a line can be data: at least one word is a number."""
    return any(map(is_number, words))
