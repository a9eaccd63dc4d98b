"""Differences between cells, realisation by realisation: cells share their random numbers.

What is compared are errors, each against the truth of its own cell. A mean of ratios of two estimates would be high by
the scatter of the denominator, and of another size, or sign, with the two cells the other way round.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from haloassay.analysis.groups import Groups, in_groups, positive, worked
from haloassay.analysis.query import (
    KEYS,
    LARGEST,
    ResultTables,
    arrange,
    as_frame,
    difference,
    open_tables,
)
from haloassay.base.arrays import BoolArray, FloatArray, IntArray
from haloassay.base.errors import InputError
from haloassay.base.settings import unknown

if TYPE_CHECKING:
    import pandas as pd

#: Share of pairs with one value only from which the others may not speak for all.
NOTABLE_LOSS: Final = 0.05
#: What is compared of pairs.
_VALUES: Final = ("e", "value", "truth")
_Row = dict[str, FloatArray]


@dataclass(frozen=True)
class Difference:
    """A mean difference between a cell and the base: its column, what it is of a pair, and what it is in words.

    Pairs are given by the scale of the quantity, and ``e``, ``value`` and ``truth`` in the cell and in the base.
    """

    name: str
    pair: Callable[[str, _Row, _Row], FloatArray]
    definition: str


def _shift(scale: str, here: _Row, base: _Row) -> FloatArray:
    shift = here["e"] - base["e"]
    if scale != "angle":
        return shift
    turns = shift / 360.0  # half a turn is as far one way as the other
    return shift - 360.0 * np.trunc(turns + np.copysign(0.5, turns))


def _log_ratio(name: str) -> Callable[[str, _Row, _Row], FloatArray]:
    def of(scale: str, here: _Row, base: _Row) -> FloatArray:
        known = (here[name] > 0.0) & (base[name] > 0.0) & (scale == "fractional")
        return np.where(known, np.log(here[name]) - np.log(base[name]), np.nan)

    return of


DIFFERENCES: Final = (
    Difference(
        "shift",
        _shift,
        "Mean of e - e of the base, each error against its own cell's truth: what the factor does to the bias.",
    ),
    Difference(
        "log_change",
        _log_ratio("value"),
        "Mean of ln(value / value of the base), for positive scales.",
    ),
    Difference(
        "truth_log_change",
        _log_ratio("truth"),
        "Mean of ln(truth / truth of the base), for positive scales.",
    ),
)

#: Columns after the cell and its factors.
COLUMNS: Final = (
    *("estimator", "quantity", "r", "unit", "n", "n_lost", "lossy"),
    *(column for d in DIFFERENCES for column in (d.name, f"{d.name}_mcse")),
    *("correlation", "gain", "bin", "r_lo", "r_hi"),
)


def paired(results: ResultTables, base_cell: str) -> pd.DataFrame:
    """Differences between each cell and ``base_cell``, realisation by realisation.

    Cells share their random numbers, so noise common to both cancels. Swapping a cell and the base changes the sign of
    every difference, and nothing else.

    Returns
    -------
    pandas.DataFrame
        Columns ``cell``, one a factor, and :data:`COLUMNS`, one row a (cell, estimator, quantity, bin) other than
        the base's: ``n`` pairs with both errors, ``n_lost`` pairs of runs of which one only has an error, ``lossy``
        where these are more than a twentieth; each of :data:`DIFFERENCES` with its Monte Carlo standard error;
        ``correlation`` of the two errors; ``gain``, how many times as many realisations would be needed without
        pairs, (var e + var base e) / var(e - base e). What ``n`` pairs do not determine is NaN.

    Raises
    ------
    InputError
        If the run has no cell of that name.
    """
    known = [str(cell) for cell in results.cells["cell"]]
    if base_cell not in known:
        raise unknown("cell", base_cell, known, "base")
    if len(known) == 1:
        raise InputError("there is one cell only: pairs need a matrix of two or more")
    if base_cell in results.unpaired:
        raise InputError(
            f"cell {base_cell!r} has random numbers of its own: nothing is paired with it"
        )
    with open_tables(results) as tables:
        found = _found(tables, base_cell, results.unpaired)
    return arrange(found, results.cells, COLUMNS)


def _found(tables: Any, base: str, unpaired: Sequence[str]) -> pd.DataFrame:
    """Rows of all cells but the base."""
    import pandas as pd

    keys = ", ".join(KEYS)
    # rows of the base stand before those of cells that are compared with it
    tables.execute(
        f"""
        CREATE TABLE groups AS SELECT *, row_number() OVER (ORDER BY k, cell <> $base, cell) - 1 AS g FROM (
            SELECT dense_rank() OVER (ORDER BY estimator, quantity, bin) - 1 AS k, * EXCLUDE (scale),
                coalesce(scale, 'absolute')::VARCHAR AS scale
            FROM (
                SELECT {keys}, min(unit) AS unit, min(r_lo) FILTER (isfinite(r_lo)) AS r_lo,
                    max(r_hi) FILTER (isfinite(r_hi)) AS r_hi
                FROM estimates GROUP BY {keys}
            ) LEFT JOIN scales USING (quantity) WHERE NOT list_contains($unpaired, cell)
        )""",
        {"base": base, "unpaired": [*unpaired]},
    )
    groups = as_frame(tables.sql("SELECT * FROM groups ORDER BY g"))
    attempts = _attempts(tables, base, unpaired)
    rows = tables.sql(f"""
        SELECT g, realization, sound({difference("value", "truth")}) AS e, value, truth, sound(r) AS r
        FROM scaled JOIN (SELECT g, {keys} FROM groups) USING ({keys}) ORDER BY g, realization
    """)
    parts = _by_row(in_groups(rows), groups["k"].to_numpy())

    def tasks() -> Iterator[Callable[[], pd.DataFrame]]:
        for k, pieces in itertools.groupby(parts, key=operator.itemgetter(0)):
            row = groups[groups["k"].to_numpy() == k]
            if (tried := attempts.get(str(row["estimator"].iat[0]))) is not None:
                yield from _beside_base(row, (piece for _, piece in pieces), tried, base)

    found = [*worked(tasks())]
    return (
        pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=["cell", *COLUMNS])
    )


def _by_row(parts: Iterable[Groups], k: IntArray) -> Iterator[tuple[int, Groups]]:
    """Cut groups where another quantity, bin or estimator begins."""
    for part in parts:
        of = k[part.number]
        for each in np.unique(of):
            yield int(each), part.some(of == each)


@dataclass(frozen=True)
class _Attempts:
    """Realisations that an estimator was tried in: ``tried`` (cells, realisations), and ``base`` (realisations,).

    ``cells`` has the rows of ``tried``, by name.
    """

    cells: Mapping[str, int]
    tried: BoolArray
    base: BoolArray


def _attempts(tables: Any, base: str, unpaired: Sequence[str]) -> dict[str, _Attempts]:
    """Read the attempts of each estimator."""
    given = {"unpaired": [*unpaired]}
    tables.execute(
        "CREATE TABLE tried AS SELECT *, row_number() OVER (ORDER BY estimator, cell) - 1 AS a FROM ("
        "SELECT DISTINCT estimator, cell FROM runs WHERE status <> 'no-mock'"
        " AND NOT list_contains($unpaired, cell))",
        given,
    )
    known = as_frame(tables.sql("SELECT * FROM tried ORDER BY a"))
    rows = tables.sql(
        "SELECT a, realization FROM runs JOIN tried USING (estimator, cell) WHERE status <> 'no-mock'"
    ).fetchnumpy()
    realization = np.asarray(rows["realization"])
    tried = np.zeros((len(known), int(realization.max(initial=0)) + 1), dtype=bool)
    tried[np.asarray(rows["a"]), realization] = True
    found = {}
    for estimator, where in known.groupby("estimator", sort=False).indices.items():
        cells = [str(cell) for cell in known["cell"].iloc[where]]
        own = tried[where]
        of_base = own[np.array([cell == base for cell in cells])].any(axis=0)
        rows_of = {cell: k for k, cell in enumerate(cells)}
        found[str(estimator)] = _Attempts(rows_of, own, of_base)
    return found


def _beside_base(
    row: pd.DataFrame, pieces: Iterator[Groups], attempts: _Attempts, base: str
) -> Iterator[Callable[[], pd.DataFrame]]:
    """Set rows of one quantity and bin beside those of the base, in tasks.

    Parameters
    ----------
    row
        What each group is, in their order; that of the base is the first.
    pieces
        Their rows.
    attempts, base
        Where the estimator was tried, and the cell that others are compared with.
    """
    values = {name: np.full(len(attempts.base), np.nan) for name in _VALUES}
    there = np.zeros(len(attempts.base), dtype=bool)
    if row["cell"].iat[0] == base:
        piece = next(pieces)
        of_the_base = np.arange(len(piece.starts)) == 0
        first = piece.some(of_the_base)
        realization = first.columns["realization"].astype(np.intp)
        there[realization] = True
        for name, known in values.items():
            known[realization] = first.columns[name]
        pieces = itertools.chain([piece.some(~of_the_base)], pieces)
    of_base = _Base(values, there, np.isfinite(values["e"]) & attempts.base)
    lost = dict(zip(attempts.cells, attempts.tried @ of_base.has_error.astype(float), strict=True))
    lost.pop(base, None)
    told = row.set_index("g")
    for piece in pieces:
        if len(piece.starts):
            these = told.loc[piece.number]
            alone = np.array([lost.pop(cell, 0.0) for cell in these["cell"]])
            yield partial(_paired, these, piece, attempts, of_base, alone)
    yield partial(_without_rows, row, {cell: n for cell, n in lost.items() if n})


@dataclass(frozen=True)
class _Base:
    """Values of the base by realisation, where it has a row, and where it has an error of an attempt."""

    values: _Row
    there: BoolArray
    has_error: BoolArray


def _paired(
    told: pd.DataFrame, here: Groups, attempts: _Attempts, base: _Base, alone: FloatArray
) -> pd.DataFrame:
    """Differences of groups from the base; ``alone`` counts errors of the base where a cell was tried, too."""
    realization = here.columns["realization"].astype(np.intp)
    cells = here.each(np.array([attempts.cells.get(cell, -1) for cell in told["cell"]]))
    tried = attempts.base[realization] & (cells >= 0) & attempts.tried[cells, realization]
    has_error = np.isfinite(here.columns["e"]) & tried
    both = has_error & base.has_error[realization]
    n_both = here.sum(both.astype(float))
    found = told[[*KEYS, "unit", "r_lo", "r_hi"]].assign(
        r=here.median("r"),
        n=n_both,
        n_lost=here.sum(has_error.astype(float)) + alone - 2.0 * n_both,
    )
    pairs = base.there[realization] & tried
    if pairs.any():
        own = {name: here.columns[name][pairs] for name in _VALUES}
        other = {name: base.values[name][realization[pairs]] for name in _VALUES}
        scale = str(told["scale"].iat[0])
        columns = {d.name: _sound(d.pair(scale, own, other)) for d in DIFFERENCES}
        columns |= {"e": np.where(both[pairs], own["e"], np.nan)}
        columns |= {"base": np.where(both[pairs], other["e"], np.nan)}
        found = found.join(_differences(here.kept(pairs, columns)))
    return _finished(found)


def _differences(pairs: Groups) -> pd.DataFrame:
    """Means of pairs, and how alike their two errors are."""
    import pandas as pd

    found = {}
    for each in DIFFERENCES:
        found[each.name] = pairs.mean(each.name)
        error = np.sqrt(pairs.variance(each.name) / positive(pairs.n(each.name)))
        found[f"{each.name}_mcse"] = error
    e, b = pairs.off("e"), pairs.off("base")
    found["correlation"] = pairs.sum(e * b) / positive(
        np.sqrt(pairs.sum(e * e)) * np.sqrt(pairs.sum(b * b))
    )
    apart = positive(pairs.variance("shift"))
    found["gain"] = (pairs.variance("e") + pairs.variance("base")) / apart
    return pd.DataFrame(found, index=pairs.number)


def _without_rows(row: pd.DataFrame, lost: Mapping[str, float]) -> pd.DataFrame:
    """Rows of cells in which nothing was estimated where the base has errors."""
    import pandas as pd

    same = row[[*KEYS, "unit"]].iloc[[0] * len(lost)]
    cell = pd.Series([*lost], dtype=object).astype(row["cell"].dtype).array
    return _finished(same.assign(cell=cell, n=0.0, n_lost=[*lost.values()]))


def _finished(found: pd.DataFrame) -> pd.DataFrame:
    """Rows with all columns, of which something is known."""
    lossy = found["n_lost"] > NOTABLE_LOSS * (found["n"] + found["n_lost"])
    known = found.assign(unit=found["unit"].fillna(""), lossy=lossy)
    return known[known["n"] + known["n_lost"] > 0.0].reindex(columns=["cell", *COLUMNS])


def _sound(x: FloatArray) -> FloatArray:
    """Numbers that can be averaged, NaN in place of others."""
    return np.where(np.isfinite(x) & (np.abs(x) < LARGEST), x, np.nan)
