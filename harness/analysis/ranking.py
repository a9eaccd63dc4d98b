"""Which estimator is best, and how sure that is: a paired bootstrap over realisations.

All estimators see the same catalogues, so every resample takes the same realisations for all of them: what is common
to their errors leaves the comparison. A score is of the realisations in which an estimator has a value; failures are
counted beside it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import numpy as np

from haloassay.analysis.contributions import Amount
from haloassay.analysis.realizations import FactorTables, bin_among, bins_of, cell_of, read
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
    here = Answers(rows[rows["cell"] == cell], runs[runs["cell"] == cell])
    parts, notes = parts_of(here, known, r, [cell], by)
    if not parts:
        raise InputError(f"rank of {quantity} in {cell!r}: {'; '.join(notes) or 'no estimator'}")
    sampling = results.samplings.get(cell)
    if sampling is None:
        places = places_of(parts, by)
    else:  # catalogues of one point, or of points with the same random numbers, are drawn together
        places = places_of(parts, by, lambda i: sampling.draw(i) // sampling.replicates)
    return Ranking(results.quantities[quantity], cell, by, places, tuple(notes))


@dataclass(frozen=True, eq=False)
class Part:
    """What one estimator has in some cells.

    Parameters
    ----------
    r
        Median radius [kpc] of its bin.
    realizations
        (n,) those that were tried anywhere.
    terms
        (n, c, k) numbers of each realisation and cell whose means a score is made of; NaN where there is no value.
    attempted
        Catalogues that were tried.
    """

    r: float
    realizations: IntArray
    terms: FloatArray
    attempted: int

    @property
    def n(self) -> int:
        """Catalogues with a value that counts."""
        return int(np.isfinite(self.terms[..., 0]).sum())


class Answers:
    """Errors of one quantity by estimator and cell, and what was tried.

    Parameters
    ----------
    rows, runs
        Of :func:`haloassay.analysis.realizations.read`.
    """

    def __init__(self, rows: pd.DataFrame, runs: pd.DataFrame) -> None:
        there = runs[runs["status"] != "no-mock"].sort_values("realization")
        self._tried = {
            key: group.to_numpy(dtype=np.int64)
            for key, group in there.groupby(["estimator", "cell"])["realization"]
        }
        self._rows = dict(iter(rows.groupby(["estimator", "cell"])))
        every = bins_of(rows, ["estimator", "cell", "bin"]).reset_index(["estimator", "cell"])
        self._bins = dict(iter(every.groupby(["estimator", "cell"])[["r", "lo", "hi"]]))
        self._found: dict[Any, pd.DataFrame | str] = {}

    def at(self, estimator: str, r: float | None, cell: str) -> pd.DataFrame | str | None:
        """Rows of an estimator at a radius, one each realisation that was tried; or why there are none.

        None where the estimator was not asked.

        Raises
        ------
        InputError
            If there is no radius, and the estimator has several bins.
        """
        tried = self._tried.get((estimator, cell))
        if tried is None:
            return None
        mine = self._rows.get((estimator, cell))
        if mine is None or not mine["e"].notna().any():
            return f"no value in {len(tried)} realisations"
        if (estimator, r, cell) not in self._found:
            self._found[estimator, r, cell] = self._at(estimator, r, cell)
        return self._found[estimator, r, cell]

    def _at(self, estimator: str, r: float | None, cell: str) -> pd.DataFrame | str:
        try:
            number = bin_among(self._bins[estimator, cell], r, estimator)
        except InputError as error:
            if r is None:
                raise
            return str(error).removeprefix(f"{estimator}: ")
        mine = self._rows[estimator, cell]
        here = mine[mine["bin"] == number].set_index("realization")
        return here.reindex(self._tried[estimator, cell])


def parts_of(
    answers: Answers, estimators: Sequence[str], r: float | None, cells: Sequence[str], by: By
) -> tuple[dict[str, Part], list[str]]:
    """Gather what estimators have at a radius in cells, and say why others have nothing to be ranked by.

    A place needs :data:`FEWEST` values, and in each of several cells those of half of what was tried.

    Raises
    ------
    InputError
        If there is no radius, and an estimator has several bins.
    """
    parts: dict[str, Part] = {}
    notes: list[str] = []
    for name in estimators:
        found = [answers.at(name, r, cell) for cell in cells]
        if all(each is None for each in found):
            continue  # not applicable in any of them
        each_terms = [
            None if each is None else _terms_or_why(each, by, len(cells)) for each in found
        ]
        lost = [
            each or "not applicable" for each in each_terms if each is None or isinstance(each, str)
        ]
        if lost:
            where = "" if len(cells) == 1 else f"in {len(lost)} of {len(cells)} cells: "
            notes.append(f"{name}: {where}{lost[0]}")
            continue
        part = _joined(found, each_terms)
        if part.n < FEWEST:
            notes.append(f"{name}: {part.n} values: a rank needs {FEWEST}")
        else:
            parts[name] = part
    return parts, notes


def _terms_or_why(rows: pd.DataFrame | str, by: By, n_cells: int) -> FloatArray | str:
    """Terms (n, k) of one cell, or why these are too few."""
    if isinstance(rows, str):
        return rows
    terms = _terms(rows, by)
    n = int(np.isfinite(terms[:, 0]).sum())
    if not n:
        return "states no intervals"
    if n_cells > 1 and 2 * n < len(terms):
        return f"{n} of {len(terms)} values: a place among several cells needs half"
    return terms


def _joined(frames: Sequence[Any], terms: Sequence[Any]) -> Part:
    """One estimator in several cells, of its rows and terms in each."""
    every = np.unique(np.concatenate([rows.index.to_numpy() for rows in frames]))
    all_terms = np.full((len(every), len(frames), terms[0].shape[-1]), np.nan)
    for c, (rows, mine) in enumerate(zip(frames, terms, strict=True)):
        all_terms[np.searchsorted(every, rows.index.to_numpy()), c] = mine
    radius = float(np.median([rows["r"].median() for rows in frames]))
    return Part(radius, every, all_terms, sum(map(len, frames)))


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
    """Scores of means (..., c, k), over the cells on average: smaller is better."""
    if by == "rmse":
        return np.asarray(np.sqrt(means[..., 0].mean(axis=-1)))
    if by == "bias":
        return np.asarray(np.abs(means[..., 0]).mean(axis=-1))
    if by == "coverage":
        return np.asarray(np.abs(means - np.array([*_LEVELS.values()])).mean(axis=(-2, -1)))
    return np.asarray(means.mean(axis=(-2, -1)))


def places_of(
    parts: Mapping[str, Part], by: By, group: Callable[[int], int] = int
) -> tuple[Place, ...]:
    """Find the places of estimators, the best first; realisations of one ``group`` are drawn together."""
    names = list(parts)
    means = [np.nanmean(part.terms, axis=0) for part in parts.values()]
    scores = np.array([_score(each, by) for each in means])
    drawn = _resampled([*parts.values()], by, group)
    order = np.argsort(scores, kind="stable")
    lowest = drawn == drawn.min(axis=1, keepdims=True)
    best = (lowest / lowest.sum(axis=1, keepdims=True)).mean(axis=0)
    ahead = [_better(drawn[:, a], drawn[:, b]) for a, b in itertools.pairwise(order)]
    places: list[Place] = []
    for position, k in enumerate(order):
        part = parts[names[k]]
        follows = position > 0 and ahead[position - 1] < TIED
        leads = position < len(ahead) and ahead[position] < TIED
        places.append(
            Place(
                names[k],
                part.r,
                places[-1].rank if follows else position + 1,
                Amount(float(scores[k]), float(drawn[:, k].std())),
                float(best[k]),
                ahead[position] if position < len(ahead) else np.nan,
                follows or leads,
                part.n,
                part.attempted,
                _detail(means[k].mean(axis=0), by),
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


def _resampled(parts: Sequence[Part], by: By, group: Callable[[int], int]) -> FloatArray:
    """Scores (resamples, estimators) of realisations drawn again, the same for all estimators and cells."""
    rng = np.random.default_rng(0)  # the same whenever the ranking is read
    numbers = [np.array([group(int(i)) for i in part.realizations]) for part in parts]
    every = np.unique(np.concatenate(numbers))
    shape = parts[0].terms.shape[1:]
    sums, known = np.zeros((2, len(every), len(parts), *shape))
    for column, (number, part) in enumerate(zip(numbers, parts, strict=True)):
        rows = np.searchsorted(every, number)
        np.add.at(sums[:, column], rows, np.nan_to_num(part.terms))
        np.add.at(known[:, column], rows, np.isfinite(part.terms).astype(float))
    flat, there = sums.reshape(len(every), -1), known.reshape(len(every), -1)
    scores = np.empty((_RESAMPLES, len(parts)))
    step = max(1, _HELD // max(len(every), flat.shape[1]))
    for start in range(0, _RESAMPLES, step):
        size = min(step, _RESAMPLES - start)
        rows = rng.integers(len(every), size=(size, len(every)))
        rows += len(every) * np.arange(size)[:, None]
        counts = np.bincount(rows.ravel(), minlength=size * len(every)).reshape(size, -1)
        weights = counts.astype(float)
        with np.errstate(invalid="ignore"):
            means = (weights @ flat) / (weights @ there)
        scores[start : start + size] = _score(means.reshape(size, len(parts), *shape), by)
    # a resample without any value of some estimator says nothing
    return scores[np.isfinite(scores).all(axis=1)]
