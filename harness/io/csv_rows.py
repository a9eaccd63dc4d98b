"""Rows of small CSV tables that people write: each with the number of its line, by the names of the head."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from haloassay.base.errors import InputError

_OPEN: Final = "a quotation mark is left open, and a row is one line"


def csv_rows(
    lines: Iterable[str], origin: str, require_columns: Callable[[list[str]], None]
) -> Iterator[tuple[int, dict[str, str]]]:
    """Read rows, without blanks about their fields; empty lines are skipped.

    A row is one line: a quotation mark that is left open would take those that follow for a part of its field.

    Parameters
    ----------
    lines
        Lines of the table, the head first.
    origin
        The file, for errors.
    require_columns
        Raises :class:`InputError` where the names of the head will not do.

    Raises
    ------
    InputError
        If there is no head, a row has another number of fields or goes on in the next line, or the text is no CSV.
    """
    reader = csv.reader(lines, strict=True)
    head: list[str] = []
    line = 0  # that of the last row
    try:
        for fields in reader:
            begun, line = line + 1, reader.line_num
            if line > begun:
                raise InputError(f"{origin}: line {begun}: is no CSV: {_OPEN}")
            told = [field.strip() for field in fields]
            if not any(told):
                continue
            if not head:
                head = told
                require_columns(head)
                continue
            if len(told) != len(head):
                raise InputError(
                    f"{origin}: line {line}: has {len(told)} fields, the head has {len(head)}"
                )
            yield line, dict(zip(head, told, strict=True))
    except csv.Error as error:
        what = _OPEN if reader.line_num > line + 1 or "end of data" in str(error) else error
        raise InputError(f"{origin}: line {line + 1}: is no CSV: {what}") from None
    if not head:
        raise InputError(f"{origin}: is no table: it is empty")
