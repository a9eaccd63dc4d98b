"""Queries of result tables by DuckDB, straight over the Parquet files of a run, out of core."""

from __future__ import annotations

import atexit
import functools
import os
import secrets
import shutil
import tempfile
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, get_args

from haloassay.base.errors import HaloassayWarning
from haloassay.contracts.quantities import QUANTITIES, Quantity, Scale
from haloassay.contracts.schema import RESULT, SCHEMAS, TableName

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

#: Beyond it fourth powers overflow.
LARGEST: Final = 1e75
#: What tells one group of realisations from another.
KEYS: Final = ("cell", "estimator", "quantity", "bin")
_COUNTS: Final = (*("n", "n_lost", "n_failed", "n_attempted", "n_draws", "n68", "n95", "bin"),)
_LABELS: Final = ("estimator", "quantity", "unit", "inside", "shape", "lossy")


class ResultTables(Protocol):
    """What a score reads of a run: lists of Parquet files and the table of cells.

    ``cells`` has a column ``cell`` and one column a matrix factor.
    """

    @property
    def estimates_files(self) -> Sequence[Path | str]:
        """Parquet files of estimate rows."""

    @property
    def runs_files(self) -> Sequence[Path | str]:
        """Parquet files of one row a (cell, realisation, estimator)."""

    @property
    def cells(self) -> pd.DataFrame:
        """One row a cell."""

    @property
    def shared(self) -> Sequence[tuple[str, str, str]]:
        """Cell, estimator, and the cell whose rows are its, too: it was not run again."""

    @property
    def unpaired(self) -> Sequence[str]:
        """Cells whose realisations have other random numbers than the same ones of other cells."""

    @property
    def quantities(self) -> Mapping[str, Quantity]:
        """What the estimates are of, by name."""


@contextmanager
def open_tables(results: ResultTables) -> Iterator[Any]:
    """DuckDB connection with the views ``estimates``, ``runs``, and ``scaled``: estimates with their ``scale``.

    The scale says how errors are counted (:mod:`haloassay.contracts.quantities`). A macro ``sound(x)`` is x where it
    can be averaged, else null.
    """
    files = {"estimates": results.estimates_files, "runs": results.runs_files}
    with _connected() as tables:
        # NaN and whatever would overflow a fourth power are no numbers to average; isfinite stands
        # first, because Parquet statistics leave out NaN and DuckDB drops comparisons by them
        tables.execute(
            f"CREATE MACRO sound(x) AS CASE WHEN isfinite(x) AND abs(x) < {LARGEST} THEN x END"
        )
        _scale(tables, results.quantities)
        doubled, _ = doubles(tuple(files["runs"]))
        if doubled:
            warnings.warn(
                f"{doubled} results stand twice in this folder, because two runs wrote into it at once: each"
                " counts once",
                HaloassayWarning,
                stacklevel=2,
            )
        for name, schema in SCHEMAS.items():
            if files[name]:
                rows = _read(tables, files[name])
                rows = _once(rows, name) if doubled else rows.project("* EXCLUDE (filename)")
                rows.create_view(f"own_{name}")
            else:
                tables.from_arrow(schema.empty_table()).create(f"own_{name}")
        _share(tables, results.shared)
        tables.execute(
            "CREATE VIEW scaled AS SELECT estimates.*, coalesce(scale, 'absolute') AS scale"
            " FROM estimates LEFT JOIN scales USING (quantity)"
        )
        yield tables


#: What :func:`_connected` keeps, by process: a child that was forked has no use for its parent's.
_kept: Final[dict[int, Any]] = {}


@contextmanager
def _connected() -> Iterator[Any]:
    """DuckDB connection with an empty database of its own in memory.

    A process opens DuckDB once, which takes as long as many queries, and again after anything has gone wrong: a fatal
    error makes all connections useless.
    """
    process = os.getpid()
    if process not in _kept:
        _kept[process] = _opened()
    name = f"own_{secrets.token_hex(8)}"
    try:
        with _kept[process].cursor() as tables:
            tables.execute(f"ATTACH ':memory:' AS {name}; USE {name}")
            yield tables
            tables.execute(f"USE memory; DETACH {name}")
    except BaseException:
        _kept.pop(process, None)
        raise


def _opened() -> Any:
    """DuckDB for many connections; what its memory does not hold goes to a folder that ends with the process."""
    import duckdb

    spill = tempfile.mkdtemp(prefix="haloassay-")
    atexit.register(shutil.rmtree, spill, ignore_errors=True)
    tables = duckdb.connect()
    tables.execute("SET memory_limit = '3GB'")
    tables.execute(f"SET temp_directory = '{spill.replace(chr(39), chr(39) * 2)}'")
    with suppress(duckdb.InvalidInputException):  # a notebook without ipywidgets has no bar
        tables.execute("SET enable_progress_bar = false")
    with suppress(duckdb.CatalogException):  # versions before 1.3 keep nothing of files
        tables.execute("SET enable_external_file_cache = false")
    return tables


def _share(tables: Any, shared: Sequence[tuple[str, str, str]]) -> None:
    """Make the views of all rows: those of files, and again those that other cells share."""
    import pandas as pd

    rows = pd.DataFrame(list(shared), columns=["cell", "estimator", "owner"], dtype=str)
    tables.from_df(rows).create("sharing")
    tables.execute(
        "CREATE TABLE shared AS SELECT * FROM sharing ANTI JOIN own_runs USING (cell, estimator)"
    )
    for name in SCHEMAS:
        again = (
            f"UNION ALL SELECT own.* REPLACE (shared.cell AS cell) FROM own_{name} AS own JOIN shared"
            " ON own.cell = shared.owner AND own.estimator = shared.estimator"
        )
        tables.execute(
            f"CREATE VIEW {name} AS SELECT * FROM own_{name} {again if len(rows) else ''}"
        )


def _literal(path: Path | str) -> str:
    """Write a path so that it is a name for DuckDB and not a pattern, whatever its folders are called."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in os.path.abspath(path))


def _read(tables: Any, files: Sequence[Path | str]) -> Any:
    """Rows of Parquet files, whose folders' names are neither patterns nor columns; of which each is: ``filename``."""
    names = sorted(map(_literal, files))
    return tables.read_parquet(names, union_by_name=True, hive_partitioning=False, filename=True)


@functools.lru_cache(maxsize=32)
def doubles(runs: tuple[Path | str, ...]) -> tuple[int, tuple[Path, ...]]:
    """Count results that stand twice in these files of runs, which never change, and name the files in which."""
    if len(runs) < 2:
        return 0, ()
    keys = ", ".join(RESULT)
    with _connected() as tables:
        rows = _read(tables, runs)
        if not set(RESULT) <= set(rows.columns):
            return 0, ()
        # as many hashes as rows: none stands twice, at a tenth of the time of looking at all keys
        ((n, distinct),) = rows.aggregate(f"count(*), count(DISTINCT hash({keys}))").fetchall()
        if n == distinct:
            return 0, ()
        each = f"{keys}, count(*) AS n, list(filename) AS files"
        twice = rows.aggregate(each, keys).filter("n > 1")
        ((n, files),) = twice.aggregate("count(*), list_distinct(flatten(list(files)))").fetchall()
    return n, tuple(map(Path, files or ()))


def differing(estimates: Sequence[Path]) -> tuple[str, str, int] | None:
    """Find a result that stands twice in these files, and not with the same numbers: cell, estimator, realisation."""
    keys = ", ".join([*RESULT, "quantity", "bin"])
    numbers = [name for name in SCHEMAS["estimates"].names if name not in keys.split(", ")]
    same = " OR ".join(f"count(DISTINCT coalesce({name}::VARCHAR, '')) > 1" for name in numbers)
    with _connected() as tables:
        rows = _read(tables, estimates)
        found = rows.query("rows", f"SELECT {keys} FROM rows GROUP BY {keys} HAVING {same}")
        first = found.project("cell, estimator, realization").order("ALL").limit(1).fetchall()
    return (str(first[0][0]), str(first[0][1]), int(first[0][2])) if first else None


def once(kind: TableName, files: Sequence[Path]) -> pa.Table:
    """Rows of a table in these files, each result once: one that is ``ok`` where there is one."""
    with _connected() as tables:
        found: pa.Table = _once(_read(tables, files), kind).to_arrow_table()
    return found


def _once(rows: Any, kind: TableName) -> Any:
    keys = ", ".join([*RESULT, *(("quantity", "bin") if kind == "estimates" else ())])
    order = "status <> 'ok'" if kind == "runs" else "value"
    return rows.query(
        "rows",
        f"SELECT * EXCLUDE (filename) FROM rows"
        f" QUALIFY row_number() OVER (PARTITION BY {keys} ORDER BY {order}) = 1",
    )


def batches(relation: Any, rows: int) -> Iterator[pa.RecordBatch]:
    """Read the rows of a query so many at a time."""
    read = getattr(relation, "to_arrow_reader", None)  # versions before 1.4 call it otherwise
    yield from (read or relation.fetch_arrow_reader)(rows)


def among(cells: Collection[str] | None) -> tuple[str, dict[str, list[str]]]:
    """Write the SQL of a row being of one of these cells, or of any; with the parameters that it has."""
    if cells is None:
        return "true", {}
    return "list_contains($cells, cell)", {"cells": sorted(cells)}


def as_frame(relation: Any) -> pd.DataFrame:
    """Rows of a query as pandas has them."""
    frame: pd.DataFrame = relation.df()
    return frame


def _scale(tables: Any, quantities: Mapping[str, Quantity]) -> None:
    """Make the table of the scales on which errors of quantities are counted.

    As numbers with names they take a tenth of the time that words take, for which each row is asked several times.
    """
    import pandas as pd

    known = [(q.name, q.scale) for q in quantities.values()]
    tables.execute(f"CREATE TYPE scale AS ENUM {tuple(get_args(Scale))}")
    tables.execute("CREATE TABLE scales (quantity VARCHAR, scale scale)")
    told = tables.from_df(pd.DataFrame(known, columns=["quantity", "scale"], dtype=str))
    told.insert_into("scales")


def difference(value: str, reference: str) -> str:
    """Write the SQL of the difference of two values on the scale of a row of ``scaled``."""
    return f"""CASE scale
        WHEN 'fractional' THEN ({value} - {reference}) / nullif({reference}, 0)
        WHEN 'angle' THEN {value} - {reference} - 360 * floor(({value} - {reference} + 180) / 360)
        WHEN 'separation' THEN abs({value} - {reference})
        ELSE {value} - {reference} END"""


#: SQL of the unit of an error: radii of caps are no ends of an interval about the value, and have none.
SCALE: Final = (
    "CASE scale WHEN 'fractional' THEN abs(truth) WHEN 'angle' THEN 1 WHEN 'absolute' THEN 1 END"
)
#: SQL of the truth, of an angle on the turn of the circle next to the estimate and its interval.
NEAR_TRUTH: Final = "CASE scale WHEN 'angle' THEN value - e ELSE truth END"


def errors_of(rows: str = "scaled") -> str:
    """Write the query of rows of ``scaled`` with their errors, half widths, and whether intervals hold the truth.

    Columns are those of the rows, ``e`` (error), ``half`` (half width of the 68 per cent interval on the scale of
    ``e``), ``pull`` = e / half, ``in68`` and ``in95``.
    """
    inside = (
        "CASE WHEN e IS NOT NULL AND isfinite({lo}) AND isfinite({hi})"
        " THEN ({near} BETWEEN {lo} AND {hi})::INT END"
    )
    return f"""
        SELECT *, sound(e / nullif(half, 0)) AS pull,
            {inside.format(near=NEAR_TRUTH, lo="lo68", hi="hi68")} AS in68,
            {inside.format(near=NEAR_TRUTH, lo="lo95", hi="hi95")} AS in95
        FROM (
            SELECT *, CASE WHEN e IS NOT NULL THEN sound((hi68 - lo68) / 2 / ({SCALE})) END AS half
            FROM (SELECT *, sound({difference("value", "truth")}) AS e FROM {rows})
        )"""


def arrange(frame: pd.DataFrame, cells: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Factors beside the cell, rows in the order of matrix and vocabulary, whole counts."""
    cell_order = {cell: i for i, cell in enumerate(cells["cell"])}
    quantity_order = {name: i for i, name in enumerate(QUANTITIES)}
    frame = frame.assign(
        _cell=frame["cell"].map(cell_order).fillna(len(cell_order)),
        _quantity=frame["quantity"].map(quantity_order).fillna(len(quantity_order)),
    )
    frame = frame.sort_values(["_cell", "cell", "estimator", "_quantity", "quantity", "bin"])
    factors = [name for name in cells.columns if name != "cell"]
    frame = frame[["cell", *columns]].merge(cells.astype({"cell": str}), on="cell", how="left")
    counts = [name for name in _COUNTS if name in columns]
    numbers = [name for name in columns if name not in (*counts, *_LABELS)]
    kinds = dict.fromkeys(counts, "int64") | dict.fromkeys(numbers, "float64")
    return frame[["cell", *factors, *columns]].astype(kinds).reset_index(drop=True)
