"""Rows of small CSV tables that people write: each with the number of its line, by the names of the head."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator

from haloassay.base.errors import InputError


def csv_rows(
    lines: Iterable[str], origin: str, require_columns: Callable[[list[str]], None]
) -> Iterator[tuple[int, dict[str, str]]]:
    """Read rows, without blanks about their fields; empty lines are skipped.

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
        If there is no head, a row has another number of fields, or the text is no CSV.
    """
    reader = csv.reader(lines)
    head: list[str] = []
    try:
        for fields in reader:
            told = [field.strip() for field in fields]
            if not any(told):
                continue
            if not head:
                head = told
                require_columns(head)
                continue
            if len(told) != len(head):
                raise InputError(
                    f"{origin}: line {reader.line_num}: has {len(told)} fields, the head has {len(head)}"
                )
            yield reader.line_num, dict(zip(head, told, strict=True))
    except csv.Error as error:
        raise InputError(f"{origin}: line {reader.line_num}: is no CSV: {error}") from None
    if not head:
        raise InputError(f"{origin}: is no table: it is empty")
