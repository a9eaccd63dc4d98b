"""Differences between cells, realisation by realisation: cells share their random numbers.

What is compared are errors, each against the truth of its own cell. A mean of ratios of two estimates would be high by
the scatter of the denominator, and of another size, or sign, with the two cells the other way round.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from haloassay.analysis.query import ResultTables, arrange, difference, open_tables
from haloassay.base.errors import InputError
from haloassay.base.settings import unknown

if TYPE_CHECKING:
    import pandas as pd

#: Share of pairs with one value only from which the others may not speak for all.
NOTABLE_LOSS: Final = 0.05


@dataclass(frozen=True)
class Difference:
    """A mean difference between a cell and the base: its column, the SQL of one pair, and what it is.

    The columns of a pair are ``e``, ``value`` and ``truth``, of the base with ``base_`` before them.
    """

    name: str
    pair: str
    definition: str


#: Half a turn is as far one way as the other: round() of a half goes away from zero on both sides of it.
_SHIFT: Final = """CASE scale_of(quantity)
    WHEN 'angle' THEN e - base_e - 360 * round((e - base_e) / 360) ELSE e - base_e END"""


def _log_ratio(name: str) -> str:
    positive = f"scale_of(quantity) = 'fractional' AND {name} > 0 AND base_{name} > 0"
    return f"CASE WHEN {positive} THEN ln({name}) - ln(base_{name}) END"


DIFFERENCES: Final = (
    Difference(
        "shift",
        _SHIFT,
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
        found = tables.execute(_query(), {"base": base_cell, "unpaired": [*results.unpaired]}).df()
    return arrange(found, results.cells, COLUMNS)


def _query() -> str:
    means = ",\n".join(
        # in one order, so that the two ways round are the same to the last bit
        f"avg({d.name} ORDER BY realization) AS {d.name},"
        f" stddev_samp({d.name}) / sqrt(count({d.name})) AS {d.name}_mcse"
        for d in DIFFERENCES
    )
    pairs = ", ".join(f"sound({d.pair}) AS {d.name}" for d in DIFFERENCES)
    return f"""
        WITH errors AS (
            SELECT *, sound({difference("value", "truth")}) AS e FROM estimates
        ), attempts AS (
            SELECT DISTINCT cell, estimator, realization FROM runs WHERE status <> 'no-mock'
        ), rows AS (
            SELECT DISTINCT estimator, quantity, bin FROM errors
        ), wanted AS (
            SELECT a.cell, estimator, realization, quantity, bin
            FROM attempts AS a JOIN attempts AS b USING (estimator, realization)
                JOIN rows USING (estimator)
            WHERE b.cell = $base AND a.cell <> $base AND NOT list_contains($unpaired, a.cell)
        ), joined AS (
            SELECT wanted.*, c.r, c.r_lo, c.r_hi, coalesce(c.unit, b.unit) AS unit,
                c.e, c.value, c.truth, b.e AS base_e, b.value AS base_value, b.truth AS base_truth
            FROM wanted
            LEFT JOIN errors AS c USING (cell, estimator, realization, quantity, bin)
            LEFT JOIN errors AS b ON b.cell = $base AND b.estimator = wanted.estimator
                AND b.realization = wanted.realization AND b.quantity = wanted.quantity
                AND b.bin = wanted.bin
        ), pairs AS (
            SELECT *, {pairs},
                CASE WHEN base_e IS NOT NULL THEN e END AS both_e,
                CASE WHEN e IS NOT NULL THEN base_e END AS both_base
            FROM joined
        )
        SELECT cell, estimator, quantity, bin, median(r) FILTER (isfinite(r)) AS r,
            min(r_lo) FILTER (isfinite(r_lo)) AS r_lo, max(r_hi) FILTER (isfinite(r_hi)) AS r_hi,
            coalesce(min(unit), '') AS unit, count(shift) AS n,
            count(*) FILTER ((e IS NULL) <> (base_e IS NULL)) AS n_lost,
            n_lost > {NOTABLE_LOSS} * (n + n_lost) AS lossy,
            {means},
            corr(both_e, both_base) AS correlation,
            (var_samp(both_e) + var_samp(both_base)) / nullif(var_samp(shift), 0) AS gain
        FROM pairs GROUP BY cell, estimator, quantity, bin
        HAVING n + n_lost > 0
    """
