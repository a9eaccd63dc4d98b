"""Which estimator is best, and how sure that is: a paired bootstrap over realisations.

All estimators see the same catalogues, so every resample takes the same realisations for all of them: what is common
to their errors leaves the comparison. A score is of the realisations in which an estimator has a value; failures are
counted beside it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, get_args

import numpy as np

from haloassay.analysis.contributions import Amount
from haloassay.analysis.realizations import FactorTables, attempts, bin_at, cell_of, read
from haloassay.base.arrays import FloatArray, IntArray
from haloassay.base.errors import InputError
from haloassay.base.settings import unknown
from haloassay.contracts.quantities import Quantity

if TYPE_CHECKING:
    import pandas as pd

By = Literal["rmse", "bias", "coverage", "interval-score"]
#: Probability that the better of two neighbours is better below which they are tied. Which is the better one is chosen
#: by the same data, so two equals are told apart in 5 per cent.
TIED: Final = 0.975
#: Realisations below which a bootstrap over them says little.
FEWEST: Final = 10
_RESAMPLES: Final = 4000
#: Numbers that a resample of all estimators holds at once.
_HELD: Final = 4_000_000
#: Levels of the intervals, as shares.
_LEVELS: Final = {68: 0.68, 95: 0.95}


@dataclass(frozen=True)
class Place:
    """Place of one estimator.

    Parameters
    ----------
    estimator, r
        Which, and the median radius [kpc] of its bin.
    rank
        From 1; those that are tied with a neighbour share the better rank.
    score
        With its bootstrap error; on the scale of errors, of coverages a share. Smaller is better.
    best
        Probability of being the best.
    next
        Probability of being better than the one that follows; NaN of the last.
    tied
        Whether it is tied with the one before it or after it.
    n, n_attempted
        Realisations with a value that counts, and all that were tried.
    detail
        What the score is made of, by name: coverages, or interval scores of the two levels.
    """

    estimator: str
    r: float
    rank: int
    score: Amount
    best: float
    next: float
    tied: bool
    n: int
    n_attempted: int
    detail: dict[str, float]


@dataclass(frozen=True)
class Ranking:
    """Estimators from the best to the worst, and those that have no place, with the reason."""

    quantity: Quantity
    cell: str
    by: By
    places: tuple[Place, ...]
    notes: tuple[str, ...]


def rank(
    results: FactorTables,
    quantity: str,
    by: By,
    r: float | None = None,
    cell: str | None = None,
) -> Ranking:
    """Rank the estimators of a quantity.

    Parameters
    ----------
    results
        A run.
    quantity, r
        Name; radius [kpc] of the bin of each estimator (:func:`haloassay.analysis.realizations.bin_at`).
    by
        ``rmse``, root of the mean square error; ``bias``, size of the mean error; ``coverage``, distance of the
        coverages of 68 and 95 per cent from these, on average; ``interval-score``, the mean of the interval scores of
        both levels, (u - l) + 2 / alpha (how far the truth is outside), alpha = 0.32 and 0.05 (Gneiting & Raftery
        2007, Journal of the American Statistical Association 102, 359, equation 43), on the scale of errors.
    cell
        Which; the base by default.

    Raises
    ------
    InputError
        If the run has no such cell, nobody yields the quantity there, or has a bin at the radius.
    """
    if by not in get_args(By):
        raise unknown("score", by, get_args(By), "rank")
    cell = cell_of(results, cell, "rank")
    rows, runs, known = read(results, quantity, "rank")
    parts, notes = {}, []
    for name in known:
        mine = rows[(rows["estimator"] == name) & (rows["cell"] == cell)]
        tried = attempts(runs, name, cell)["realization"].to_numpy(dtype=np.int64)
        where = f"rank of {quantity} by {name}"
        if not len(tried):
            continue  # not applicable in this cell
        if not mine["e"].notna().any():
            notes.append(f"{name}: no value in {len(tried)} realisations")
            continue
        try:
            number = bin_at(mine, r, where)
        except InputError as error:
            if r is None:
                raise
            notes.append(str(error).removeprefix("rank of "))
            continue
        here = mine[mine["bin"] == number].set_index("realization")
        terms = _terms(here.reindex(tried), by)
        n = int(np.isfinite(terms[:, 0]).sum())
        if not n:
            notes.append(f"{name}: states no intervals")
        elif n < FEWEST:
            notes.append(f"{name}: {n} values: a rank needs {FEWEST}")
        else:
            parts[name] = (here, tried, terms)
    if not parts:
        raise InputError(f"rank of {quantity} in {cell!r}: {'; '.join(notes) or 'no estimator'}")
    sampling = results.samplings.get(cell)
    if sampling is None:
        places = _places(parts, by)
    else:  # catalogues of one point, or of points with the same random numbers, are drawn together
        places = _places(parts, by, lambda i: sampling.draw(i) // sampling.replicates)
    return Ranking(results.quantities[quantity], cell, by, places, tuple(notes))


def _terms(rows: pd.DataFrame, by: By) -> FloatArray:
    """Numbers (n, k) of each realisation whose means a score is made of; NaN where there is no value."""
    if by == "bias":
        return rows[["e"]].to_numpy(dtype=float)
    if by == "rmse":
        return rows[["e"]].to_numpy(dtype=float) ** 2
    if by == "coverage":
        inside = rows[["in68", "in95"]].to_numpy(dtype=float)
        return np.where(np.isfinite(inside).all(axis=1, keepdims=True), inside, np.nan)
    ends = rows[["lo68", "hi68", "lo95", "hi95"]].to_numpy(dtype=float).T
    scores = [
        interval_score(ends[2 * k], ends[2 * k + 1], level)
        for k, level in enumerate(_LEVELS.values())
    ]
    both = np.column_stack(scores)
    return np.where(np.isfinite(both).all(axis=1, keepdims=True), both, np.nan)


def interval_score(lo: FloatArray, hi: FloatArray, level: float) -> FloatArray:
    """Score of intervals about a truth of 0: Gneiting & Raftery 2007, equation 43."""
    alpha = 1.0 - level
    outside = np.maximum(lo, 0.0) + np.maximum(-hi, 0.0)
    return hi - lo + 2.0 / alpha * outside


def _score(means: FloatArray, by: By) -> FloatArray:
    """Scores of means (..., k): smaller is better."""
    if by == "rmse":
        return np.sqrt(means[..., 0])
    if by == "bias":
        return np.abs(means[..., 0])
    if by == "coverage":
        return np.asarray(np.abs(means - np.array([*_LEVELS.values()])).mean(axis=-1))
    return np.asarray(means.mean(axis=-1))


def _places(
    parts: dict[str, tuple[pd.DataFrame, IntArray, FloatArray]],
    by: By,
    group: Callable[[int], int] = int,
) -> tuple[Place, ...]:
    """Find the places of estimators, of their rows, realisations that were tried, and terms."""
    names = list(parts)
    scores = np.array([_score(np.nanmean(parts[name][2], axis=0), by) for name in names])
    drawn = _resampled([(tried, terms) for _, tried, terms in parts.values()], by, group)
    order = np.argsort(scores, kind="stable")
    lowest = drawn == drawn.min(axis=1, keepdims=True)
    best = (lowest / lowest.sum(axis=1, keepdims=True)).mean(axis=0)
    ahead = [_better(drawn[:, a], drawn[:, b]) for a, b in itertools.pairwise(order)]
    places: list[Place] = []
    for position, k in enumerate(order):
        rows, tried, terms = parts[names[k]]
        follows = position > 0 and ahead[position - 1] < TIED
        leads = position < len(ahead) and ahead[position] < TIED
        known = terms[np.isfinite(terms[:, 0])]
        places.append(
            Place(
                names[k],
                float(rows["r"].median()),
                places[-1].rank if follows else position + 1,
                Amount(float(scores[k]), float(drawn[:, k].std())),
                float(best[k]),
                ahead[position] if position < len(ahead) else np.nan,
                follows or leads,
                len(known),
                len(tried),
                _detail(known.mean(axis=0), by),
            )
        )
    return tuple(places)


def _detail(means: FloatArray, by: By) -> dict[str, float]:
    if by == "bias":
        return {"bias": float(means[0])}
    if by == "rmse":
        return {}
    return {
        f"{by.removesuffix('-score')}{level}": float(x)
        for level, x in zip(_LEVELS, means, strict=True)
    }


def _better(one: FloatArray, other: FloatArray) -> float:
    """Probability that one score is below another, equal ones counting half."""
    return float(np.mean(one < other) + 0.5 * np.mean(one == other))


def _resampled(
    parts: list[tuple[IntArray, FloatArray]], by: By, group: Callable[[int], int]
) -> FloatArray:
    """Scores (resamples, estimators) of realisations drawn again, the same for all estimators."""
    rng = np.random.default_rng(0)  # the same whenever the ranking is read
    numbers = [np.array([group(int(i)) for i in tried]) for tried, _ in parts]
    every = np.unique(np.concatenate(numbers))
    k = parts[0][1].shape[1]
    sums, known = np.zeros((2, len(every), len(parts), k))
    for column, (number, (_, terms)) in enumerate(zip(numbers, parts, strict=True)):
        rows = np.searchsorted(every, number)
        np.add.at(sums[:, column], rows, np.nan_to_num(terms))
        np.add.at(known[:, column], rows, np.isfinite(terms).astype(float))
    flat, there = sums.reshape(len(every), -1), known.reshape(len(every), -1)
    drawn = np.empty((_RESAMPLES, len(parts), k))
    step = max(1, _HELD // len(every))
    for start in range(0, _RESAMPLES, step):
        size = min(step, _RESAMPLES - start)
        rows = rng.integers(len(every), size=(size, len(every)))
        rows += len(every) * np.arange(size)[:, None]
        counts = np.bincount(rows.ravel(), minlength=size * len(every)).reshape(size, -1)
        weights = counts.astype(float)
        with np.errstate(invalid="ignore"):
            means = (weights @ flat) / (weights @ there)
        drawn[start : start + size] = means.reshape(size, len(parts), k)
    # a resample without any value of some estimator says nothing
    return _score(drawn[np.isfinite(drawn).all(axis=(1, 2))], by)
