"""Which table of a file is meant: the only one, the one that is asked for, or the only one that has such columns."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from haloassay.base.errors import HaloassayWarning, InputError
from haloassay.io.formats.fields import Array, Fields, Table


def chosen(
    tables: Sequence[Table], path: Path, table: str | int | None, wanted: frozenset[str] | None
) -> Fields:
    """Columns of one of the tables of ``path``.

    Parameters
    ----------
    tables
        All that there are.
    path
        The file, for messages.
    table
        Name or number of the one to take.
    wanted
        Names of columns, any of which makes a table one that may be meant; None for all tables
        together, with ``TABLE/column`` as names where there are several.

    Raises
    ------
    InputError
        If there is no such table, or several may be meant.
    """
    if not tables:
        raise InputError(f"{path}: there is no table")
    if table is not None:
        return _asked_for(tables, path, table)
    whole = _together(tables)
    if wanted is None:
        return whole
    if wanted & {name for name in whole.names if "/" in name}:
        return whole
    if len(tables) == 1:
        return tables[0].fields
    suited = [each for each in tables if wanted & set(each.fields.names)]
    if len(suited) != 1:
        which = "more than one" if suited else "none"
        raise InputError(
            f"{path}: holds {_listed(tables)}; {which} has columns of a catalogue: "
            f"choose one (--table NAME or NUMBER)"
        )
    warnings.warn(
        HaloassayWarning(
            f"{path}: read {_called(suited[0])}, the only one of its {len(tables)} tables with "
            f"columns of a catalogue"
        ),
        stacklevel=4,
    )
    return suited[0].fields


def _asked_for(tables: Sequence[Table], path: Path, table: str | int) -> Fields:
    for same in (lambda each: each.name == str(table), lambda each: str(each.number) == str(table)):
        found = [each for each in tables if same(each)]
        if len(found) == 1:
            return found[0].fields
    raise InputError(f"{path}: no table {table!r} (holds {_listed(tables)})")


def _called(table: Table) -> str:
    rows = "columns of different length" if table.rows is None else f"{table.rows} rows"
    return f"table {table.number} ({', '.join(filter(None, (table.name, rows)))})"


def _listed(tables: Sequence[Table], most: int = 12) -> str:
    more = [f"and {len(tables) - most} more"] if len(tables) > most else []
    return ", ".join([*map(_called, tables[:most]), *more])


def _together(tables: Sequence[Table]) -> Fields:
    """Columns of all tables, by the names of table and column where there are several."""
    counts = Counter(each.name for each in tables)
    places: dict[str, tuple[Fields, str]] = {}
    for each in tables:
        before = each.path
        if before is None:
            called = each.name if each.name and counts[each.name] == 1 else str(each.number)
            before = f"{called}/" if len(tables) > 1 else ""
        places |= {f"{before}{name}": (each.fields, name) for name in each.fields.names}

    def get(name: str) -> tuple[Array, str | None]:
        fields, its_name = places[name]
        return fields.get(its_name)

    def cost(name: str) -> int:
        fields, its_name = places[name]
        return fields.cost(its_name)

    first = tables[0].fields
    meta = {key: text for each in reversed(tables) for key, text in each.fields.meta.items()}
    return Fields(tuple(places), get, meta, cost, first.limit)
