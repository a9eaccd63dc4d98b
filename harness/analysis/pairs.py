"""Differences between cells, realisation by realisation: cells share their random numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from haloassay.analysis.query import ResultTables, arrange, difference, open_tables
from haloassay.base.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


def paired(results: ResultTables, base_cell: str) -> pd.DataFrame:
    """Differences of the estimates between each cell and ``base_cell``, realisation by realisation.

    Cells share their random numbers, so noise common to both cancels: the Monte Carlo error is that
    of the paired differences. The change is value / base value - 1 for fractional quantities, value
    - base value otherwise.

    Returns
    -------
    pandas.DataFrame
        Columns ``cell``, one a factor, ``estimator, quantity, r, unit, n, change, change_mcse,
        truth_change`` (mean change of the truth itself), ``bin, truth_change_mcse``, and
        ``error_change`` with its ``_mcse`` (mean of the change of the estimate minus that of the
        truth); one row where at least one pair has both values.

    Raises
    ------
    InputError
        If the run has no cell of that name.
    """
    known = list(results.cells["cell"])
    if base_cell not in known:
        raise InputError(
            f"base cell {base_cell!r} is not in this run (has: {', '.join(map(str, known))})"
        )
    query = f"""
        SELECT a.cell, a.estimator, a.quantity, a.bin, median(a.r) FILTER (isfinite(a.r)) AS r,
            min(a.unit) AS unit, count(change) AS n, avg(change) AS change,
            stddev_samp(change) / sqrt(count(change)) AS change_mcse,
            avg(truth_change) AS truth_change,
            stddev_samp(truth_change) / sqrt(count(truth_change)) AS truth_change_mcse,
            avg(change - truth_change) AS error_change,
            stddev_samp(change - truth_change) / sqrt(count(change - truth_change))
                AS error_change_mcse
        FROM (
            SELECT a.*, sound({difference("a.value", "b.value")}) AS change,
                sound({difference("a.truth", "b.truth")}) AS truth_change
            FROM estimates AS a JOIN estimates AS b USING (estimator, quantity, bin, realization)
            WHERE b.cell = $base AND a.cell <> $base
        ) AS a
        WHERE change IS NOT NULL
        GROUP BY ALL
    """
    columns = (
        *("estimator", "quantity", "r", "unit", "n", "change", "change_mcse", "truth_change"),
        *("bin", "truth_change_mcse", "error_change", "error_change_mcse"),
    )
    with open_tables(results) as tables:
        pairs = tables.execute(query, {"base": base_cell}).df()
    return arrange(pairs, results.cells, columns)
