"""Estimates and truths as they are, averaged over realisations: what figures of profiles and maps show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from haloassay.analysis.query import KEYS, ResultTables, as_frame, difference, open_tables
from haloassay.contracts.estimate import INTERVALS

if TYPE_CHECKING:
    import pandas as pd

#: Columns of :func:`profiles`.
COLUMNS: Final = (
    *(*KEYS, "r", "r_lo", "r_hi", "unit", "n"),
    *("value", "value_mcse", "lo", "hi", "truth"),
)


def profiles(results: ResultTables) -> pd.DataFrame:
    """Mean estimate and mean truth of each bin, over the realisations that have a value.

    Angles are averaged on the turn of the circle about the truth.

    Returns
    -------
    pandas.DataFrame
        Columns :data:`COLUMNS`, one row a (cell, estimator, quantity, bin) with a value: ``r`` [kpc] the median over
        realisations, ``r_lo`` and ``r_hi`` the outermost edges, ``n`` realisations with a value, ``value`` their mean
        with its Monte Carlo standard error, ``lo`` and ``hi`` between which 68 per cent of the single values are, and
        ``truth`` the mean truth, NaN where there is none. Rows in the order of cells, estimators, quantities and bins.
    """
    keys = ", ".join(KEYS)
    lo, hi = INTERVALS[1] / 100.0, INTERVALS[2] / 100.0
    near = f"CASE scale WHEN 'angle' THEN truth + {difference('value', 'truth')} ELSE value END"
    query = f"""
        SELECT {keys}, median(r) FILTER (isfinite(r)) AS r,
            min(r_lo) FILTER (isfinite(r_lo)) AS r_lo, max(r_hi) FILTER (isfinite(r_hi)) AS r_hi,
            min(unit) AS unit, count(v) AS n, avg(v) AS value,
            stddev_samp(v) / sqrt(count(v)) AS value_mcse,
            quantile_cont(v, {lo}) AS lo, quantile_cont(v, {hi}) AS hi, avg(t) AS truth
        FROM (SELECT *, sound(coalesce({near}, value)) AS v, sound(truth) AS t FROM scaled)
        WHERE v IS NOT NULL GROUP BY {keys} ORDER BY {keys}
    """
    with open_tables(results) as tables:
        found = as_frame(tables.sql(query))
    order = {str(cell): k for k, cell in enumerate(results.cells["cell"])}
    known = {name: k for k, name in enumerate(results.quantities)}
    found = found.assign(
        _cell=found["cell"].map(order).fillna(len(order)),
        _quantity=found["quantity"].map(known).fillna(len(known)),
    )
    found = found.sort_values(["_cell", "cell", "estimator", "_quantity", "quantity", "bin"])
    return found[[*COLUMNS]].astype(dict.fromkeys(("value_mcse", "truth", "r"), "float64"))
