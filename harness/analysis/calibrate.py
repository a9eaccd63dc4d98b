"""Calibration by ranks: whether posterior draws and truth could have changed places.

Where a posterior is right, the rank of the truth among L independent draws is uniform on 0 to L
(Talts et al. 2018, arXiv:1804.06788; Cook, Gelman & Rubin 2006). Here the truth of a cell is fixed
while the data vary, so that is exact for a method whose prior matches, and holds for others to the
extent that the data outweigh the prior: ranks that are off with few stars and fine with many show a
prior, those that stay off a fault.

Ranks are judged by their empirical distribution (ECDF) against a band that holds it as a whole in
95 per cent of all runs of a calibrated method (Säilynoja, Bürkner & Vehtari 2022, Statistics and
Computing 32, 32). arviz-stats has bands by simulation, without p-values or discrete ranks, and would
bring xarray with it; here their probability is computed.
"""

from __future__ import annotations

import functools
from collections.abc import Collection
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from haloassay.analysis.query import KEYS, ResultTables, among, arrange, as_frame, open_tables
from haloassay.base.arrays import FloatArray, IntArray

if TYPE_CHECKING:
    import pandas as pd


#: Equal steps of the posterior's quantile; the ECDF is judged at the ends of all but the last.
STEPS: Final = 100
#: Probability that the band holds the ECDF of a calibrated method.
LEVEL: Final = 0.95
#: How much too narrow the intervals are for which it is said how often the band would find them.
NARROW: Final = 0.1

#: What stands in place of a quantity where all of an estimate's are judged at once.
TOGETHER: Final = "all together"
#: Columns of :func:`calibrate` after the labels and factors.
COLUMNS: Final = (
    *("estimator", "quantity", "bin", "r", "n", "n_draws"),
    *("ecdf_distance", "p_value", "inside", "shape", "narrow_power"),
)
#: Least p-value that is stated.
_LEAST_P: Final = 1e-10
_GOLDEN: Final = (5.0**0.5 - 1.0) / 2.0
#: p-values that are computed for one number of realisations; between them they are interpolated.
_EXACT: Final = 100
#: Realisations of which all binomial tails are kept at hand.
_TABLED: Final = 2000


def calibrate(results: ResultTables) -> pd.DataFrame:
    """Judge the ranks of the truth among the draws: one row a (cell, estimator, quantity, bin).

    Each estimate counts whose method gave draws; a quantity without any has no row. A row of the quantity
    :data:`TOGETHER` judges all rows of an estimate at once by the distances of draws and truth from a random reference
    (TARP, Lemos et al. 2023): quantities that are right one by one may be wrong together. The draws are
    taken as independent: L draws that are worth fewer widen the ends of the ranks by about one over
    their effective number.

    Returns
    -------
    pandas.DataFrame
        Columns ``cell``, one a matrix factor, and :data:`COLUMNS`: ``n`` realisations with a rank,
        ``n_draws`` the fewest draws behind one; ``ecdf_distance``, the largest abs(ECDF - uniform);
        ``p_value``, the probability of an ECDF that strays as far, at its worst point, from a
        uniform one; ``inside``, whether it is within the 95 per cent band; ``shape``, what ails it
        where it is not: ``"too narrow"`` or ``"too wide"`` intervals, estimates ``"too high"`` or
        ``"too low"`` (of all together: ``"off"``); ``narrow_power``, the share of runs in which Gaussian
        intervals 10 per cent too narrow would have been outside.
    """
    table, counts = _ranked(results, None)
    n, below = counts.sum(axis=1), counts.cumsum(axis=1)[:, :-1]
    p_value = uniformity(n, below)
    inside = p_value > 1.0 - LEVEL
    shape = np.where(inside, "", _shapes(counts))
    # the distance to a reference is a radius: that it is off to one side has no direction
    is_off = (table["quantity"] == TOGETHER).to_numpy() & np.isin(shape, ("too high", "too low"))
    shape = np.where(is_off, "off", shape)
    distance = np.abs(below / n[:, None] - _quantiles()).max(axis=1)
    power = [narrow_power(int(size)) for size in n]
    table = table.assign(n=n, ecdf_distance=distance, p_value=p_value, inside=inside, shape=shape)
    table = table.assign(narrow_power=power)
    return arrange(table, results.cells, COLUMNS)


def rank_counts(results: ResultTables, cells: Collection[str] | None = None) -> pd.DataFrame:
    """How often the truth stood at which quantile of the draws, in :data:`STEPS` equal steps, in all cells or some.

    The truth of rank k among L draws stands between the quantiles k / (L + 1) and (k + 1) / (L + 1);
    where in between is taken from the fractional part of realisation times the golden ratio. So
    ranks of any L, equal or not, make a continuous uniform distribution if they are uniform, and
    the same result has the same table.

    Returns
    -------
    pandas.DataFrame
        Columns cell, estimator, quantity, bin, r (mean, kpc), n_draws (fewest), step, count; all
        steps 0 to 99 of a group stand together.
    """
    table, counts = _ranked(results, cells)
    long = table.loc[table.index.repeat(STEPS)].reset_index(drop=True)
    return long.assign(step=np.tile(np.arange(STEPS), len(table)), count=counts.ravel())


def _ranked(results: ResultTables, cells: Collection[str] | None) -> tuple[pd.DataFrame, IntArray]:
    """Read the groups of ranks, and how often each step of each came (groups, 100)."""
    keys = ", ".join(KEYS)
    wanted, given = among(cells)
    places = f"""
        CREATE TABLE placed AS WITH places AS (
            SELECT {keys}, realization, r, n_draws, rank FROM estimates
            UNION ALL BY NAME
            SELECT cell, estimator, '{TOGETHER}' AS quantity, 0 AS bin, realization, NULL::DOUBLE AS r,
                joint_draws AS n_draws, joint_rank AS rank FROM runs
        )
        SELECT {keys}, floor({STEPS} / (n_draws + 1.0)
                * (rank + (realization * {_GOLDEN}) % 1.0))::BIGINT AS step,
            sum(r) FILTER (isfinite(r)) AS r, count(*) FILTER (isfinite(r)) AS n_r,
            min(n_draws) AS n_draws, count(*) AS count
        FROM places WHERE n_draws > 0 AND rank >= 0 AND {wanted} GROUP BY {keys}, step
    """
    groups = f"""
        SELECT {keys}, sum(r) / nullif(sum(n_r), 0) AS r, min(n_draws) AS n_draws,
            row_number() OVER (ORDER BY {keys}) - 1 AS g FROM placed GROUP BY {keys}
    """
    with open_tables(results) as tables:
        tables.execute(places, given)
        tables.execute(f"CREATE TABLE groups AS {groups}")
        table = as_frame(tables.sql("SELECT * FROM groups ORDER BY g")).drop(columns="g")
        found = tables.execute(
            f"SELECT g, step, count FROM placed JOIN groups USING ({keys})"
        ).fetchnumpy()
    counts = np.zeros((len(table), STEPS), dtype=np.int64)
    counts[np.asarray(found["g"]), np.asarray(found["step"])] = np.asarray(found["count"])
    return table, counts


def count_matrix(ranks: pd.DataFrame) -> IntArray:
    """Arrange the counts of :func:`rank_counts`, a row a group: (groups, 100)."""
    return ranks["count"].to_numpy(dtype=np.int64).reshape(-1, STEPS)


def uniformity(n: IntArray, below: IntArray) -> FloatArray:
    """p-values (groups,) of numbers (groups, 99) below each quantile, of ``n`` (groups,) in all.

    The statistic is the least probable of the counts: twice the smaller binomial tail, at its
    smallest (Säilynoja et al. 2022, eq. 7). Its probability is computed for up to 100 values for each n
    and interpolated between them, in logarithms, where there are more.
    """
    from scipy.special import bdtr, bdtrc

    z = _quantiles()
    total = n[:, None].astype(np.int64)
    tails = np.minimum(bdtr(below.astype(float), total, z), bdtrc(below - 1.0, total, z))
    gamma = np.clip(2.0 * tails.min(axis=1, initial=0.5), 1e-300, 1.0)
    p_value = np.empty(len(n))
    for size in np.unique(n):
        rows = n == size
        p_value[rows] = _p_values(int(size), gamma[rows])
    return p_value


def simultaneous_band(n: int, level: float = LEVEL) -> tuple[FloatArray, FloatArray]:
    """Band (99,) twice that the ECDF of ``n`` uniform numbers stays within with probability ``level``.

    It stands at the quantiles 0.01, 0.02, ... 0.99 and contains its edges.
    """
    lower = _lowest(n, _critical(n, level))
    return lower / n, (n - lower[::-1]) / n


def _quantiles() -> FloatArray:
    return np.arange(1, STEPS) / STEPS


def _p_values(n: int, gamma: FloatArray) -> FloatArray:
    nodes = np.unique(gamma)
    if len(nodes) > _EXACT:
        nodes = np.geomspace(nodes[0], nodes[-1], _EXACT)
    exact = np.array([_p_value(n, float(g)) for g in nodes])
    return np.asarray(np.exp(np.interp(np.log(gamma), np.log(nodes), np.log(exact))))


@functools.lru_cache(maxsize=4096)
def _p_value(n: int, gamma: float) -> float:
    """Probability that some count of ``n`` uniform numbers is as improbable as ``gamma``.

    Rounding bounds what is returned from below, at 1e-10.
    """
    if (
        STEPS * gamma < _LEAST_P
    ):  # the sum over all counts bounds it, and quantiles this far out are not found
        return _LEAST_P
    return max(_outside(n, gamma, np.full(STEPS, 1.0 / STEPS)), _LEAST_P)


@functools.lru_cache(maxsize=256)
def narrow_power(n: int) -> float:
    """Probability that the band finds ``n`` ranks of Gaussian intervals 10 per cent too narrow.

    The posterior quantile of the truth is then below z with a probability of Phi(0.9 Phi^-1(z)).
    """
    from scipy.special import ndtr, ndtri

    below = ndtr((1.0 - NARROW) * ndtri(np.arange(STEPS + 1) / STEPS))
    return _outside(n, _critical(n, LEVEL), np.diff(below))


def _outside(n: int, gamma: float, shares: FloatArray) -> float:
    """Probability that some count of ``n`` numbers is as improbable as ``gamma`` is for uniform ones.

    ``shares`` (100,) are the probabilities of the steps. The counts of n numbers are those of a Poisson process that
    ends at n, so its steps are independent: its distribution is carried from quantile to quantile, each time cut to the
    band (the recursion of Säilynoja et al. 2022, section 2.2, in other words).
    """
    from scipy.special import gammaln, xlogy

    def poisson(k: IntArray, mean: float | FloatArray) -> FloatArray:
        return np.asarray(np.exp(xlogy(k, mean) - mean - gammaln(k + 1.0)))

    lower = _lowest(n, gamma)
    upper = n - lower[::-1]
    if np.any(lower > upper):
        return 1.0
    largest = n * float(shares.max())
    counts = np.arange(min(n, int(largest + 12.0 * np.sqrt(largest) + 30.0)) + 1)
    of_share, which = np.unique(shares, return_inverse=True)
    steps = poisson(counts, n * of_share[:, None])
    inside, first = np.ones(1), 0
    for lo, hi, step in zip(lower, upper, which, strict=False):
        moved = np.convolve(inside, steps[step])[lo - first : hi - first + 1]
        inside, first = np.pad(moved, (0, hi - lo + 1 - len(moved))), int(lo)
    last = poisson(n - np.arange(first, first + len(inside)), n * float(shares[-1]))
    return 1.0 - float(inside @ last / poisson(np.array([n]), float(n))[0])


def _lowest(n: int, gamma: float) -> IntArray:
    """Smallest counts (99,) whose lower tail exceeds gamma / 2."""
    # a hair more, so that a count whose tail is gamma / 2 itself is out whatever the rounding
    tail = 0.5 * gamma * (1.0 + 1e-9)
    if n > _TABLED:
        from scipy.stats import binom

        return np.asarray(binom.ppf(tail, n, _quantiles()), dtype=np.int64)
    return (_tails(n) < tail).sum(axis=0)


@functools.lru_cache(maxsize=16)
def _tails(n: int) -> FloatArray:
    """Lower tails (n + 1, 99) of each count of ``n`` at each quantile."""
    from scipy.special import bdtr

    return np.asarray(bdtr(np.arange(n + 1.0)[:, None], n, _quantiles()))


@functools.lru_cache(maxsize=256)
def _critical(n: int, level: float) -> float:
    """Largest gamma that is met with a probability of 1 - ``level`` at most."""
    lo, hi = np.log(1e-9), 0.0
    for _ in range(30):
        middle = 0.5 * (lo + hi)
        lo, hi = (lo, middle) if _p_value(n, float(np.exp(middle))) > 1.0 - level else (middle, hi)
    return float(np.exp(lo))


def _shapes(counts: IntArray) -> NDArray[np.str_]:
    """Name what ails ranks (groups,), by their mean or, where that strays less, by their spread about it.

    About zero, ranks that are all at one end would have the spread of intervals that are too narrow.
    """
    n = counts.sum(axis=1)
    u = (np.arange(STEPS) + 0.5) / STEPS - 0.5
    mean = counts @ u / n * np.sqrt(12.0 * n)
    variance = counts @ u**2 / n - (counts @ u / n) ** 2
    spread = (variance - 1.0 / 12.0) * np.sqrt(180.0 * n)
    shifted = np.where(mean > 0.0, "too low", "too high")
    return np.where(
        np.abs(mean) > np.abs(spread),
        shifted,
        np.where(spread > 0.0, "too narrow", "too wide"),
    )
