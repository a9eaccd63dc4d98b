"""Scores of estimators: queries by DuckDB straight over the Parquet tables of a run, out of core.

Every score is a number of the realisations of one (cell, estimator, quantity, bin) and stands next to its Monte Carlo
standard error (MCSE), the error that comes from the finite number of realisations. The scores are those of Morris,
White & Crowther (2019, Statistics in Medicine 38, 2074, table 6); their MCSE does not take errors of estimates for
Gaussian. What is made of moments has that of the jackknife, whose mean square is not below the truth whatever the
distribution (Efron & Stein 1981, Annals of Statistics 9, 586); quantiles have that of order statistics (McKean &
Schrader 1984, Communications in Statistics B 13, 751); shares have the limits of Wilson.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from haloassay.analysis.groups import Groups, in_groups, none, positive, worked
from haloassay.analysis.query import (
    KEYS,
    ResultTables,
    among,
    arrange,
    as_frame,
    errors_of,
    open_tables,
)
from haloassay.analysis.shares import share_error, wilson
from haloassay.base.arrays import FloatArray
from haloassay.contracts.estimate import INTERVALS

if TYPE_CHECKING:
    import pandas as pd


_TAIL: Final = INTERVALS[1] / 100.0
#: Success below which the realisations that have a value may not speak for all.
NOTABLE_SUCCESS: Final = 0.95

#: How a score is written: in the unit of errors, as a pure number, or as a share of realisations.
Form = Literal["error", "ratio", "share"]


@dataclass(frozen=True)
class Score:
    """A score: all that tables, figures and pages need to know of it.

    Parameters
    ----------
    name
        Its column; that of its Monte Carlo standard error is ``name_mcse``.
    value
        What it is of each group of realisations; NaN where they do not determine it.
    form
        How it is written.
    title
        What it is called in a table for readers; empty where only machines read it.
    definition
        What it is, in words.
    mcse
        Its Monte Carlo error of each group.
    """

    name: str
    value: Callable[[Groups], FloatArray]
    form: Form
    title: str
    definition: str
    mcse: Callable[[Groups], FloatArray]

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of a table: the score, then its Monte Carlo error."""
        return (self.name, f"{self.name}_mcse")

    def of(self, groups: Groups) -> dict[str, FloatArray]:
        """Compute the columns."""
        return dict(zip(self.columns, (self.value(groups), self.mcse(groups)), strict=True))


def _jackknife(without: Callable[[Groups], FloatArray]) -> Callable[[Groups], FloatArray]:
    """Monte Carlo error of a score, from the same score of all realisations of a group but one, by row."""
    return lambda groups: groups.jackknife(without(groups))


@dataclass(frozen=True)
class Share:
    """A share of realisations, with limits: all that tables, figures and pages need to know of it.

    Parameters
    ----------
    name
        Its column; ``name_mcse`` is half the distance of its limits at one sigma, ``name_lo`` and ``name_hi`` are
        those at 95 per cent (:func:`haloassay.analysis.shares.wilson`).
    hits, trials
        Columns with the numbers of realisations.
    title, definition
        As of a :class:`Score`.
    bounded
        Whether attempts without a value would have been trials too: ``name_min`` and ``name_max`` are then the share
        of all attempts if these were all misses or all hits.
    """

    name: str
    hits: str
    trials: str
    title: str
    definition: str
    bounded: bool = False
    form: Form = "share"

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of a table: the share, then what says how far it is known."""
        ends = ("mcse", "lo", "hi", *(("min", "max") if self.bounded else ()))
        return (self.name, *(f"{self.name}_{end}" for end in ends))

    def of(self, frame: pd.DataFrame) -> dict[str, Any]:
        """Compute the columns from those of the counts."""
        hits, trials = (frame[name].to_numpy(dtype=float) for name in (self.hits, self.trials))
        with np.errstate(invalid="ignore", divide="ignore"):
            values = [hits / trials, share_error(hits, trials), *wilson(hits, trials)]
            if self.bounded:
                failed = np.where(trials > 0.0, frame["n_failed"].to_numpy(dtype=float), np.nan)
                every = trials + failed
                values += [hits / every, (hits + failed) / every]
        return dict(zip(self.columns, values, strict=True))


def _robust_scatter(groups: Groups) -> FloatArray:
    half = 0.5 * (groups.quantile(1.0 - _TAIL) - groups.quantile(_TAIL))
    return np.where(groups.n("e") > 1.0, half, np.nan)


def _robust_scatter_error(groups: Groups) -> FloatArray:
    """Error of half the distance of the quantiles p and 1 - p, whose correlation is p / (1 - p) in large samples."""
    lo, hi = groups.quantile_error(_TAIL), groups.quantile_error(1.0 - _TAIL)
    return 0.5 * np.sqrt(lo**2 + hi**2 - 2.0 * _TAIL / (1.0 - _TAIL) * lo * hi)


def _rmse_without(groups: Groups) -> FloatArray:
    e, n = groups.columns["e"], groups.n("e")
    squares = groups.each(groups.sum(e**2))
    return np.sqrt(np.maximum(squares - e * e, 0.0) / positive(groups.each(n) - 1.0))


def _skewness(groups: Groups) -> FloatArray:
    n = positive(groups.n("e"))
    off = groups.off("e")
    # products: a power of 3 takes ten times as long
    second, third = groups.sum(off * off) / n, groups.sum(off * off * off) / n
    return third / positive(second) ** 1.5


#: All scores, in the order of their columns.
SCORES: Final[tuple[Score | Share, ...]] = (
    Share(
        "success",
        "n_valued",
        "n_attempted",
        "success",
        "Share of the attempts that gave a value. All other scores are of these alone: below 0.95 it is flagged, since "
        "an estimator that fails where it would have been wrong looks better than it is.",
    ),
    Score(
        "bias",
        lambda g: g.mean("e"),
        "error",
        "bias",
        "Mean of the errors e. Monte Carlo error: scatter / sqrt(n).",
        mcse=lambda g: np.sqrt(g.variance("e") / positive(g.n("e"))),
    ),
    Score(
        "median_bias",
        lambda g: g.quantile(0.5),
        "error",
        "median bias",
        "Median of the errors. Monte Carlo error: half the distance of the order statistics one binomial sigma to "
        "either side.",
        mcse=lambda g: g.quantile_error(0.5),
    ),
    Score(
        "scatter",
        lambda g: np.sqrt(g.variance("e")),
        "error",
        "scatter",
        "Standard deviation of the errors, n - 1 in the denominator. Monte Carlo error: jackknife.",
        mcse=_jackknife(lambda g: g.spread_without("e")),
    ),
    Score(
        "robust_scatter",
        _robust_scatter,
        "error",
        "",
        "Half the distance between the 16 and 84 per cent quantiles of the errors: outliers do not move it. Monte "
        "Carlo error: that of both quantiles by order statistics, with the correlation that they have in large "
        "samples.",
        mcse=_robust_scatter_error,
    ),
    Score(
        "rmse",
        lambda g: np.sqrt(g.sum(g.columns["e"] ** 2) / positive(g.n("e"))),
        "error",
        "rmse",
        "Root of the mean squared error. Monte Carlo error: jackknife.",
        mcse=_jackknife(_rmse_without),
    ),
    Score(
        "error_ratio",
        lambda g: g.mean("half") / positive(np.sqrt(g.variance("e"))),
        "ratio",
        "error ratio",
        "Mean half width of the stated 68 per cent interval over the scatter: below 1 the stated errors are too small. "
        "Monte Carlo error: jackknife.",
        mcse=_jackknife(lambda g: g.mean_without("half") / positive(g.spread_without("e"))),
    ),
    *(
        Share(
            f"coverage{level}",
            f"hits{level}",
            f"n{level}",
            f"cover {level}",
            f"Share of the stated {level} per cent intervals that contain the truth, with limits of 95 per cent after "
            "Wilson; none where no intervals are stated. Where attempts failed, min and max are the share of all "
            "attempts if the failures were all misses or all hits.",
            bounded=True,
        )
        for level in (68, 95)
    ),
    Score(
        "pull_mean",
        lambda g: g.mean("pull"),
        "ratio",
        "pull mean",
        "Mean of (estimate - truth) / half width of the 68 per cent interval; 0 where the method is unbiased.",
        mcse=lambda g: np.sqrt(g.variance("pull") / positive(g.n("pull"))),
    ),
    Score(
        "pull_sd",
        lambda g: np.sqrt(g.variance("pull")),
        "ratio",
        "pull sd",
        "Standard deviation of those pulls; 1 where the stated errors are right. Monte Carlo error: jackknife.",
        mcse=_jackknife(lambda g: g.spread_without("pull")),
    ),
)

#: Columns after the cell and its factors.
COLUMNS: Final = (
    *("estimator", "quantity", "r", "unit", "n", "n_failed"),
    *(column for score in SCORES for column in score.columns),
    *("lossy", "bin", "r_lo", "r_hi", "n_attempted", "n68", "n95", "skewness"),
)


def score(results: ResultTables) -> pd.DataFrame:
    """Scores of a run: one row a (cell, estimator, quantity, bin).

    Errors are fractional for positive scales, absolute otherwise, angles wrapped to +-180 degrees, of directions their
    distance on the sky, whose bias is the mean offset
    (see :mod:`haloassay.contracts.quantities`). A
    realisation counts in ``n`` if its value and truth are finite; ``n_failed`` are the attempted
    runs that gave no value: failed, timed out, lost, or undetermined with a note; what had no mock was not attempted.
    All scores but ``success`` are of the ``n`` alone; ``lossy`` where success is below 0.95. ``n68`` and ``n95`` count
    the values with an interval of that level: 0 for a method that states no errors. ``skewness`` is that of the errors,
    third moment over scatter cubed. A score that
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


def coverage_curve(
    results: ResultTables, steps: int = 40, cells: Collection[str] | None = None
) -> pd.DataFrame:
    """Fraction of realisations whose central credible interval of each level contains the truth, in all cells or some.

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
    wanted, given = among(cells)
    # abs(2u - 1) <= p in whole numbers: rounding would take one end of an interval for inside, and not the other
    inside = "abs(2 * rank - n_draws) * {steps} <= {k} * (n_draws + 1)"
    columns = ", ".join(
        f"avg(({inside.format(steps=steps, k=k)})::INT) AS level{k}" for k in range(steps + 1)
    )
    query = f"""
        SELECT {keys}, count(*) AS n, {columns}
        FROM estimates WHERE n_draws > 0 AND rank >= 0 AND {wanted}
        GROUP BY {keys} ORDER BY {keys}
    """
    with open_tables(results) as tables:
        wide = as_frame(tables.execute(query, given))
    names = [f"level{k}" for k in range(steps + 1)]
    long = wide[[*KEYS, "n"]].loc[wide.index.repeat(steps + 1)]
    levels = np.tile(np.arange(steps + 1) / steps, len(wide))
    coverage = wide[names].to_numpy(dtype=float).ravel()
    return pd.DataFrame(long).assign(level=levels, coverage=coverage).reset_index(drop=True)


def sample(
    results: ResultTables, realizations: int = 200, cells: Collection[str] | None = None
) -> pd.DataFrame:
    """Estimate rows with a value of the first realisations, of all cells or some: enough to draw a cloud."""
    wanted, given = among(cells)
    query = f"""
        SELECT cell, estimator, realization, quantity, bin, r, unit, value, truth FROM estimates
        WHERE isfinite(value) AND {wanted} AND realization IN
            (SELECT DISTINCT realization FROM estimates ORDER BY realization LIMIT $limit)
        ORDER BY cell, estimator, quantity, bin, realization
    """
    with open_tables(results) as tables:
        frame: pd.DataFrame = tables.execute(query, {"limit": realizations, **given}).df()
    return frame


#: What scores are made of, by row, beside its radius.
_ROWS: Final = ("e", "half", "pull", "in68", "in95")


def _scores(tables: Any) -> pd.DataFrame:
    """Scores of all groups that have rows, without the counts of runs."""
    import pandas as pd

    keys = ", ".join(KEYS)
    tables.execute(f"""
        CREATE TABLE groups AS SELECT row_number() OVER (ORDER BY {keys}) - 1 AS g, * FROM (
            SELECT {keys}, min(unit) AS unit, min(r_lo) FILTER (isfinite(r_lo)) AS r_lo,
                max(r_hi) FILTER (isfinite(r_hi)) AS r_hi, count(sound(value)) AS n_valued
            FROM estimates GROUP BY {keys}
        )
    """)
    groups = as_frame(tables.sql("SELECT * FROM groups ORDER BY g"))
    # one order of the rows of a group, whatever read them: sums are the same to the last bit
    rows = tables.sql(f"""
        SELECT g, sound(r) AS r, {", ".join(_ROWS)}
        FROM ({errors_of()}) JOIN (SELECT g, {keys} FROM groups) USING ({keys})
        ORDER BY g, realization
    """)
    tasks = (partial(_scored, part) for part in in_groups(rows))
    parts = [*worked(tasks)] or [*worked([partial(_scored, none((*_ROWS, "r")))])]
    scored = pd.DataFrame(
        {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    )
    return groups.merge(scored, on="g").drop(columns="g")


def _scored(groups: Groups) -> dict[str, Any]:
    """Compute counts and scores of some groups."""
    found = {"g": groups.number, "r": groups.median("r"), "n": groups.n("e")}
    for level in (68, 95):
        found |= {f"n{level}": groups.n(f"in{level}"), f"hits{level}": groups.total(f"in{level}")}
    for each in SCORES:
        if isinstance(each, Score):
            found |= each.of(groups)
    return {**found, "skewness": _skewness(groups)}


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
        counts = dict.fromkeys(("n", "n_valued", "n68", "hits68", "n95", "hits95"), 0)
        rows = missing.drop(columns="n_attempted").assign(**counts)
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
    shares = {k: v for s in SCORES if isinstance(s, Share) for k, v in s.of(scores).items()}
    return scores.assign(**shares, lossy=shares["success"] < NOTABLE_SUCCESS)
