"""Results that stand twice: two runs wrote into one folder at once, on a file system whose locks do not hold."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from haloassay.contracts.schema import RESULT, TableName
from haloassay.results.parts import read_part

#: What a row is one of.
_KEYS: Final[dict[TableName, list[str]]] = {
    "runs": [*RESULT],
    "estimates": [*RESULT, "quantity", "bin"],
}


def doubled(out: Path, names: Iterable[str]) -> tuple[int, list[str]]:
    """Count the results that stand in more than one part, and name these parts."""
    runs = [
        read_part(out, "runs", name).select(_KEYS["runs"]).append_column("part", [[name] * n])
        for name in names
        if (n := read_part(out, "runs", name).num_rows)
    ]
    if len(runs) < 2:
        return 0, []
    rows = pa.concat_tables(runs)
    found = rows.group_by(_KEYS["runs"]).aggregate([("part", "distinct"), ([], "count_all")])
    found = found.filter(pc.greater(found["count_all"], 1))
    parts = {name for listed in found["part_distinct"].to_pylist() for name in listed}
    return found.num_rows, sorted(parts)


def once(kind: TableName, table: pa.Table) -> pa.Table:
    """Rows of a table, each result once: one that is ``ok`` where there is one."""
    n = table.num_rows
    place: Any = pa.array(range(n), pa.int64())
    if kind == "runs":  # the others after all those that are ok
        late = pc.cast(pc.not_equal(table["status"], "ok"), pa.int64()).combine_chunks()
        place = pc.add(place, pc.multiply(late, n))
    keyed = table.select(_KEYS[kind]).append_column("place", place)
    first = keyed.group_by(_KEYS[kind]).aggregate([("place", "min")])["place_min"]
    return table.take(sorted(i % n for i in first.to_pylist())) if n else table
