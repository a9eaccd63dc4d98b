"""Scores of estimators: queries by DuckDB straight over the Parquet tables of a run, out of core.

Every score is an aggregate over the realisations of one (cell, estimator, quantity, bin) and stands
next to its Monte Carlo standard error (MCSE), the error that comes from the finite number of
realisations (Morris, White & Crowther 2019, Statistics in Medicine 38, 2074, table 6).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Final, Literal

from haloassay.analysis.query import KEYS, ResultTables, arrange, as_frame, difference, open_tables
from haloassay.contracts.estimate import INTERVALS

if TYPE_CHECKING:
    import pandas as pd


_Z = NormalDist().inv_cdf(INTERVALS[2] / 100.0)  # 84 per cent, in sigma
_TAIL = INTERVALS[1] / 100.0
#: Sampling error of (q84 - q16) / 2 of n Gaussian errors, in units of itself / sqrt(n).
ROBUST_MCSE: Final = math.sqrt(_TAIL * (1.0 - 2.0 * _TAIL) / 2.0) / (NormalDist().pdf(_Z) * _Z)
#: Sampling error of the median of n Gaussian errors, in units of (q84 - q16) / 2 / sqrt(n).
MEDIAN_MCSE: Final = math.sqrt(math.pi / 2.0) / _Z

_QUANTILES = f"quantile_cont(e, [{_TAIL}, 0.5, {1.0 - _TAIL}])"
_ROBUST = f"(({_QUANTILES})[3] - ({_QUANTILES})[1]) / 2"
_RATIO = "avg(half) / nullif(stddev_samp(e), 0)"


#: How a score is written: in the unit of errors, as a pure number, or as a fraction of realisations.
Form = Literal["error", "ratio", "coverage"]


@dataclass(frozen=True)
class Score:
    """A score: all that tables, figures and pages need to know of it.

    Parameters
    ----------
    name
        Its column; that of its Monte Carlo standard error is ``name_mcse``.
    value, mcse
        SQL of both. It aggregates over one group of realisations, whose columns are ``e`` (error), ``half``
        (half width of the 68 per cent interval on the scale of ``e``), ``pull`` = e / half, ``in68``
        and ``in95`` (1 where the interval contains the truth, else 0); NULL where a realisation has none.
    form
        How it is written.
    title
        What it is called in a table for readers; empty where only machines read it.
    definition
        What it is, in words.
    """

    name: str
    value: str
    mcse: str
    form: Form
    title: str
    definition: str


#: All scores, in the order of their columns.
SCORES: Final = (
    Score(
        "bias",
        "avg(e)",
        "stddev_samp(e) / sqrt(count(e))",
        "error",
        "bias",
        "Mean of the errors e. Monte Carlo error: scatter / sqrt(n).",
    ),
    Score(
        "median_bias",
        f"({_QUANTILES})[2]",
        f"CASE WHEN count(e) > 1 THEN {MEDIAN_MCSE} * {_ROBUST} / sqrt(count(e)) END",
        "error",
        "median bias",
        "Median of the errors. Monte Carlo error: that of Gaussian errors, sqrt(pi / 2n) times the "
        "robust sigma.",
    ),
    Score(
        "scatter",
        "stddev_samp(e)",
        "stddev_samp(e) / sqrt(2 * (count(e) - 1))",
        "error",
        "scatter",
        "Standard deviation of the errors, n - 1 in the denominator. "
        "Monte Carlo error: scatter / sqrt(2(n - 1)).",
    ),
    Score(
        "robust_scatter",
        f"CASE WHEN count(e) > 1 THEN {_ROBUST} END",
        f"CASE WHEN count(e) > 1 THEN {ROBUST_MCSE} * {_ROBUST} / sqrt(count(e)) END",
        "error",
        "",
        "Half the distance between the 16 and 84 per cent quantiles of the errors: outliers do not "
        "move it. "
        "Monte Carlo error: that of Gaussian errors.",
    ),
    Score(
        "rmse",
        "sqrt(avg(e * e))",
        "stddev_samp(e * e) / sqrt(count(e)) / (2 * sqrt(nullif(avg(e * e), 0)))",
        "error",
        "rmse",
        "Root of the mean squared error. Monte Carlo error: by the delta method from that of the "
        "MSE, sqrt(sum (e^2 - MSE)^2 / n(n - 1)) / (2 RMSE).",
    ),
    Score(
        "error_ratio",
        _RATIO,
        f"{_RATIO} * sqrt(var_samp(half) / count(half) / nullif(avg(half) * avg(half), 0)"
        " + 1.0 / (2 * (count(e) - 1)))",
        "ratio",
        "error ratio",
        "Mean half width of the stated 68 per cent interval over the scatter: below 1 the stated "
        "errors are too small. Monte Carlo error: by the delta method, mean half width and scatter "
        "taken as independent.",
    ),
    Score(
        "coverage68",
        "avg(in68)",
        "CASE WHEN count(in68) > 1 THEN sqrt(avg(in68) * (1 - avg(in68)) / count(in68)) END",
        "coverage",
        "cover 68",
        "Fraction C of the stated 68 per cent intervals that contain the truth. "
        "Monte Carlo error: sqrt(C (1 - C) / n).",
    ),
    Score(
        "coverage95",
        "avg(in95)",
        "CASE WHEN count(in95) > 1 THEN sqrt(avg(in95) * (1 - avg(in95)) / count(in95)) END",
        "coverage",
        "cover 95",
        "Fraction of the stated 95 per cent intervals that contain the truth.",
    ),
    Score(
        "pull_mean",
        "avg(pull)",
        "stddev_samp(pull) / sqrt(count(pull))",
        "ratio",
        "pull mean",
        "Mean of (estimate - truth) / half width of the 68 per cent interval; 0 where the method "
        "is unbiased.",
    ),
    Score(
        "pull_sd",
        "stddev_samp(pull)",
        "stddev_samp(pull) / sqrt(2 * (count(pull) - 1))",
        "ratio",
        "pull sd",
        "Standard deviation of those pulls; 1 where the stated errors are right.",
    ),
)

#: Columns after the cell and its factors.
COLUMNS: Final = (
    *("estimator", "quantity", "r", "unit", "n", "n_failed"),
    *(column for score in SCORES for column in (score.name, f"{score.name}_mcse")),
    *("bin", "r_lo", "r_hi", "n_attempted"),
)

#: Rows that one query aggregates: medians keep their values in memory, about 60 bytes a row.
BATCH_ROWS: Final = 10_000_000


def score(results: ResultTables) -> pd.DataFrame:
    """Scores of a run: one row a (cell, estimator, quantity, bin).

    Errors are fractional for positive scales, absolute otherwise, angles wrapped to +-180 degrees, of directions their
    distance on the sky, whose bias is the mean offset
    (see :mod:`haloassay.contracts.quantities`). A
    realisation counts in ``n`` if its value and truth are finite; ``n_failed`` are the attempted
    runs that gave no value: failed, timed out, lost, or undetermined with a note; what had no mock was not attempted.
    A score that
    ``n`` realisations do not determine (a scatter of fewer than two, anything of none) is NaN,
    which tables print as a dash. An estimator that never gave a value in a cell still has its rows
    there, with ``n = 0``.

    Returns
    -------
    pandas.DataFrame
        Columns ``cell``, one a matrix factor, :data:`COLUMNS`; ``r`` [kpc] is the
        median over realisations, ``r_lo`` and ``r_hi`` the outermost bin edges. Rows in the order
        of cells, estimators, quantities and bins.
    """
    with open_tables(results) as tables:
        attempts = tables.sql(
            "SELECT cell, estimator, "
            "count(DISTINCT realization) FILTER (status <> 'no-mock') AS n_attempted "
            "FROM runs GROUP BY ALL"
        ).df()
        scores = _scores(tables)
    return arrange(_complete(scores, attempts), results.cells, COLUMNS)


def outcomes(results: ResultTables) -> pd.DataFrame:
    """How runs ended: estimator, status, error_type, n, cells, first message, median seconds."""
    query = """
        SELECT * FROM (SELECT estimator, status, coalesce(error_type, '') AS error_type,
            count(*) AS n, count(DISTINCT cell) AS cells,
            coalesce(arg_min(message, (realization, cell)), '') AS message,
            median(seconds) AS seconds
        FROM runs GROUP BY ALL) ORDER BY status = 'ok' DESC, n DESC, estimator, status, error_type
    """
    with open_tables(results) as tables:
        return as_frame(tables.sql(query))


def undetermined(results: ResultTables) -> pd.DataFrame:
    """Why estimators that ran gave no value: estimator, quantity, note, n, cells."""
    query = """
        SELECT estimator, quantity, note, count(*) AS n, count(DISTINCT cell) AS cells
        FROM estimates WHERE coalesce(note, '') <> '' AND NOT coalesce(isfinite(value), false)
        GROUP BY ALL ORDER BY n DESC, estimator, quantity, note
    """
    with open_tables(results) as tables:
        return as_frame(tables.sql(query))


def coverage_curve(results: ResultTables, steps: int = 40) -> pd.DataFrame:
    """Fraction of realisations whose central credible interval of each level contains the truth.

    The truth of rank k among L draws stands at the posterior quantile u = (k + 1/2) / (L + 1); the
    central interval of level p contains it where abs(2u - 1) <= p (Talts et al. 2018).

    Returns
    -------
    pandas.DataFrame
        Columns cell, estimator, quantity, bin, n (realisations), level, coverage; levels k /
        ``steps``. Empty where no estimator gave draws.
    """
    import numpy as np
    import pandas as pd

    keys = ", ".join(KEYS)
    # abs(2u - 1) <= p in whole numbers: rounding would take one end of an interval for inside, and not the other
    inside = "abs(2 * rank - n_draws) * {steps} <= {k} * (n_draws + 1)"
    columns = ", ".join(
        f"avg(({inside.format(steps=steps, k=k)})::INT) AS level{k}" for k in range(steps + 1)
    )
    query = f"""
        SELECT {keys}, count(*) AS n, {columns}
        FROM estimates WHERE n_draws > 0 AND rank >= 0
        GROUP BY {keys} ORDER BY {keys}
    """
    with open_tables(results) as tables:
        wide = as_frame(tables.sql(query))
    names = [f"level{k}" for k in range(steps + 1)]
    long = wide[[*KEYS, "n"]].loc[wide.index.repeat(steps + 1)]
    levels = np.tile(np.arange(steps + 1) / steps, len(wide))
    coverage = wide[names].to_numpy(dtype=float).ravel()
    return pd.DataFrame(long).assign(level=levels, coverage=coverage).reset_index(drop=True)


def sample(results: ResultTables, realizations: int = 200) -> pd.DataFrame:
    """Estimate rows with a value of the first realisations: enough to draw a cloud."""
    query = """
        SELECT cell, estimator, realization, quantity, bin, r, unit, value, truth FROM estimates
        WHERE isfinite(value) AND realization IN
            (SELECT DISTINCT realization FROM estimates ORDER BY realization LIMIT $limit)
        ORDER BY cell, estimator, quantity, bin, realization
    """
    with open_tables(results) as tables:
        frame: pd.DataFrame = tables.execute(query, {"limit": realizations}).df()
    return frame


def _errors(rows: str) -> str:
    """Write the query of the columns that :class:`Score` aggregates."""
    # radii of caps are no half widths of an interval about the value
    scale = "CASE scale_of(quantity) WHEN 'fractional' THEN abs(truth) WHEN 'angle' THEN 1 WHEN 'absolute' THEN 1 END"
    # an angle's truth is taken on the turn of the circle next to the estimate and its interval
    near = "CASE scale_of(quantity) WHEN 'angle' THEN value - e ELSE truth END"
    inside = (
        "CASE WHEN e IS NOT NULL AND isfinite({lo}) AND isfinite({hi})"
        " THEN ({near} BETWEEN {lo} AND {hi})::INT END"
    )
    return f"""
        SELECT *, sound(e / nullif(half, 0)) AS pull,
            {inside.format(near=near, lo="lo68", hi="hi68")} AS in68,
            {inside.format(near=near, lo="lo95", hi="hi95")} AS in95
        FROM (
            SELECT *, CASE WHEN e IS NOT NULL THEN sound((hi68 - lo68) / 2 / ({scale})) END AS half
            FROM (SELECT *, sound({difference("value", "truth")}) AS e FROM {rows})
        )"""


def _scores(tables: Any) -> pd.DataFrame:
    """Scores of all groups that have rows, without the counts of runs."""
    import pandas as pd

    aggregates = ",\n".join(f"{s.value} AS {s.name}, {s.mcse} AS {s.name}_mcse" for s in SCORES)
    parts = []
    for batch in _batches(tables):
        tables.register("batch", batch)
        query = f"""
            SELECT cell, estimator, quantity, bin, min(unit) AS unit,
                median(r) FILTER (isfinite(r)) AS r,
                min(r_lo) FILTER (isfinite(r_lo)) AS r_lo,
                max(r_hi) FILTER (isfinite(r_hi)) AS r_hi,
                count(e) AS n, count(sound(value)) AS n_valued, {aggregates}
            FROM ({_errors("(SELECT * FROM estimates SEMI JOIN batch USING (cell, estimator))")})
            GROUP BY cell, estimator, quantity, bin
        """
        parts.append(as_frame(tables.sql(query)))
        tables.unregister("batch")
    return pd.concat(parts, ignore_index=True)


def _batches(tables: Any) -> list[pd.DataFrame]:
    """Tables of (cell, estimator) that together hold all rows, about :data:`BATCH_ROWS` each."""
    sizes = as_frame(
        tables.sql(
            "SELECT cell, estimator, count(*) AS n FROM estimates "
            "GROUP BY ALL ORDER BY cell, estimator"
        )
    )
    number = (sizes["n"].cumsum() - 1) // BATCH_ROWS
    return [part for _, part in sizes.groupby(number)] or [sizes]


def _complete(scores: pd.DataFrame, attempts: pd.DataFrame) -> pd.DataFrame:
    """Add counts of runs, and rows for what an estimator gave elsewhere but never in a cell."""
    import pandas as pd

    yields = scores.groupby(["estimator", "quantity", "bin"], as_index=False).agg(
        r=("r", "median"), r_lo=("r_lo", "min"), r_hi=("r_hi", "max"), unit=("unit", "first")
    )
    wanted = attempts.merge(yields, on="estimator", how="left")
    wanted = wanted.assign(bin=wanted["bin"].fillna(0), quantity=wanted["quantity"].fillna(""))
    index = pd.MultiIndex.from_frame(scores[list(KEYS)])
    missing = wanted[~pd.MultiIndex.from_frame(wanted[list(KEYS)]).isin(index)]
    if len(missing):
        rows = missing.drop(columns="n_attempted").assign(n=0, n_valued=0)
        scores = (
            pd.concat([scores, rows], ignore_index=True)
            if len(scores)
            else rows.reindex(columns=scores.columns)
        )
    scores = scores.merge(attempts, on=["cell", "estimator"], how="left")
    attempted = scores["n_attempted"].fillna(scores["n_valued"])
    scores["n_failed"] = (attempted - scores["n_valued"]).clip(lower=0)
    scores["n_attempted"] = attempted
    scores["unit"] = scores["unit"].fillna("")
    return scores
