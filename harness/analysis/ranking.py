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
from haloassay.analysis.realizations import (
    FactorTables,
    bin_near,
    bins_of,
    cell_of,
    missing,
    read,
    require_radius,
)
from haloassay.base.arrays import FloatArray, IntArray
from haloassay.base.errors import InputError
from haloassay.base.settings import unknown
from haloassay.contracts.quantities import Quantity

if TYPE_CHECKING:
    import pandas as pd

By = Literal["rmse", "bias", "coverage", "interval-score"]
#: Quantile of Student's t beyond which two neighbours are told apart. Which is the better one is chosen by the same
#: data, so two equals are told apart on both sides of it.
_APART: Final = 0.975
#: Realisations below which there is no place. All n say the same of two equals once in 2^(n - 1), and then every
#: resample of them does, whatever the threshold: with five once in 16, with four once in 8.
FEWEST: Final = 5
_RESAMPLES: Final = 4000
#: Numbers that a resample of all estimators holds at once.
_HELD: Final = 4_000_000
#: Levels of the intervals, in per cent and as shares.
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
    tied_below
        The two are tied where that is below this, see :func:`tied_below`; NaN of the last.
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
    tied_below: float
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
        Name; radius [kpc] near which each estimator has a bin (:func:`haloassay.analysis.realizations.bin_near`): those
        that have none have no place.
    by
        ``rmse``, root of the mean square error; ``bias``, size of the mean error; ``coverage``, distance of the
        coverages of 68 and 95 per cent from these, on average; ``interval-score``, the mean of the interval scores of
        both levels, (u - l) + 2 / alpha (how far the truth is outside), alpha = 0.32 and 0.05 (Gneiting & Raftery
        2007, Journal of the American Statistical Association 102, 359, equation 43), on the scale of errors. Where
        nobody states intervals of one level, both are of the other alone.
    cell
        Which; the base by default.

    Raises
    ------
    InputError
        If the run has no such cell, nobody yields the quantity there, or has a bin near the radius.
    """
    if by not in get_args(By):
        raise unknown("score", by, get_args(By), "rank")
    require_radius(r, "rank")
    cell = cell_of(results, cell, "rank")
    rows, runs, known = read(results, quantity, "rank")
    here = Answers(rows[rows["cell"] == cell], runs[runs["cell"] == cell])
    sampling = results.samplings.get(cell)
    # catalogues of one point, or of points with the same random numbers, are drawn together
    group = int if sampling is None else lambda i: sampling.draw(i) // sampling.replicates
    parts, notes = parts_of(here, known, r, [cell], by, group)
    notes += missing(results, runs, [cell])
    if not parts:
        raise InputError(f"rank of {quantity} in {cell!r}: {'; '.join(notes) or 'no estimator'}")
    places = places_of(parts, by)
    return Ranking(results.quantities[quantity], cell, by, places, tuple(notes))


def tied_below(n: int) -> float:
    """Probability that the better of two is better below which n realisations do not tell them apart.

    A bootstrap over few is narrower than the truth, by sqrt((n - 1) / n), and its spread is itself a guess, as that
    of Student's t; of many it is 0.975.
    """
    from scipy.special import ndtr, stdtrit

    return float(ndtr(stdtrit(n - 1, _APART) * np.sqrt(n / (n - 1))))


@dataclass(frozen=True, eq=False)
class Part:
    """What one estimator has in some cells.

    Parameters
    ----------
    r
        Median radius [kpc] of its bin.
    groups
        (n,) what each realisation that was tried anywhere is drawn together with; its own number where with none.
    terms
        (n, c, k) numbers of each realisation and cell whose means a score is made of; NaN where there is no value.
    attempted
        Catalogues that were tried.
    levels
        Levels of the intervals that the terms are of [per cent].
    """

    r: float
    groups: IntArray
    terms: FloatArray
    attempted: int
    levels: tuple[int, ...] = tuple(_LEVELS)

    @property
    def n(self) -> int:
        """Catalogues with a value that counts."""
        return int(np.isfinite(self.terms[..., 0]).sum())

    @property
    def n_groups(self) -> int:
        """Groups of realisations with a value that counts."""
        known = np.isfinite(self.terms[..., 0]).any(axis=1)
        return len(np.unique(self.groups[known]))

    @property
    def noise(self) -> FloatArray:
        """(c,) variance of the mean of the first term in each cell; 0 where one value does not tell it."""
        x = self.terms[..., 0]
        n = np.isfinite(x).sum(axis=0)
        square = np.nansum((x - np.nanmean(x, axis=0)) ** 2, axis=0)
        return np.asarray(square / (np.maximum(n - 1, 1) * n))


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
            number = bin_near(self._bins[estimator, cell], r, estimator)
        except InputError as error:
            if r is None:
                raise
            return str(error).removeprefix(f"{estimator}: ")
        mine = self._rows[estimator, cell]
        here = mine[mine["bin"] == number].set_index("realization")
        return here.reindex(self._tried[estimator, cell])


def parts_of(
    answers: Answers,
    estimators: Sequence[str],
    r: float | None,
    cells: Sequence[str],
    by: By,
    group: Callable[[int], int] = int,
    levels: Sequence[int] = (),
) -> tuple[dict[str, Part], list[str]]:
    """Gather what estimators have at a radius in cells, and say why others have nothing to be ranked by.

    A place needs values in :data:`FEWEST` realisations, and in each of several cells those of half of what was tried.
    Realisations of one ``group`` are drawn together. Scores of intervals are of ``levels`` [per cent], by default of
    all that anybody states.

    Raises
    ------
    InputError
        If there is no radius, and an estimator has several bins.
    """
    every = {name: [answers.at(name, r, cell) for cell in cells] for name in estimators}
    levels = tuple(levels) or _stated([rows for found in every.values() for rows in found])
    parts: dict[str, Part] = {}
    notes: list[str] = []
    for name, found in every.items():
        if all(each is None for each in found):
            continue  # not applicable in any of them
        each_terms = [
            None if each is None else _terms_or_why(each, by, levels, len(cells)) for each in found
        ]
        lost = [
            each or "not applicable" for each in each_terms if each is None or isinstance(each, str)
        ]
        if lost:
            where = "" if len(cells) == 1 else f"in {len(lost)} of {len(cells)} cells: "
            notes.append(f"{name}: {where}{lost[0]}")
            continue
        part = _joined(found, each_terms, levels, group)
        if part.n_groups < FEWEST:
            what = "realisations" if group is int else "points"
            notes.append(f"{name}: values in {part.n_groups} {what}: a place needs {FEWEST}")
        else:
            parts[name] = part
    return parts, notes


def _stated(frames: Sequence[pd.DataFrame | str | None]) -> tuple[int, ...]:
    """Levels of the intervals that anybody states; all where nobody states any."""
    tables = [rows for rows in frames if rows is not None and not isinstance(rows, str)]
    found = [level for level in _LEVELS if any(rows[f"in{level}"].notna().any() for rows in tables)]
    return tuple(found or _LEVELS)


def _terms_or_why(
    rows: pd.DataFrame | str, by: By, levels: Sequence[int], n_cells: int
) -> FloatArray | str:
    """Terms (n, k) of one cell, or why these are too few."""
    if isinstance(rows, str):
        return rows
    terms = _terms(rows, by, levels)
    n = int(np.isfinite(terms[:, 0]).sum())
    if not n:
        lacks = [k for k in levels if not rows[f"in{k}"].notna().any()]
        of = f" of {lacks[0]} per cent" if 0 < len(lacks) < len(levels) else ""
        return f"states no intervals{of}"
    if n_cells > 1 and 2 * n < len(terms):
        return f"{n} of {len(terms)} values: a place among several cells needs half"
    return terms


def _joined(
    frames: Sequence[Any],
    terms: Sequence[Any],
    levels: tuple[int, ...],
    group: Callable[[int], int],
) -> Part:
    """One estimator in several cells, of its rows and terms in each."""
    every = np.unique(np.concatenate([rows.index.to_numpy() for rows in frames]))
    all_terms = np.full((len(every), len(frames), terms[0].shape[-1]), np.nan)
    for c, (rows, mine) in enumerate(zip(frames, terms, strict=True)):
        all_terms[np.searchsorted(every, rows.index.to_numpy()), c] = mine
    radius = float(np.median([rows["r"].median() for rows in frames]))
    groups = np.array([group(int(i)) for i in every])
    return Part(radius, groups, all_terms, sum(map(len, frames)), levels)


def _terms(rows: pd.DataFrame, by: By, levels: Sequence[int]) -> FloatArray:
    """Numbers (n, k) of each realisation whose means a score is made of; NaN where there is no value."""
    if by == "bias":
        return rows[["e"]].to_numpy(dtype=float)
    if by == "rmse":
        return rows[["e"]].to_numpy(dtype=float) ** 2
    if by == "coverage":
        found = rows[[f"in{level}" for level in levels]].to_numpy(dtype=float)
    else:
        columns = [
            interval_score(rows[f"lo{k}"].to_numpy(float), rows[f"hi{k}"].to_numpy(float), level)
            for k, level in ((k, _LEVELS[k]) for k in levels)
        ]
        found = np.column_stack(columns)
    return np.where(np.isfinite(found).all(axis=1, keepdims=True), found, np.nan)


def interval_score(lo: FloatArray, hi: FloatArray, level: float) -> FloatArray:
    """Score of intervals about a truth of 0: Gneiting & Raftery 2007, equation 43."""
    alpha = 1.0 - level
    outside = np.maximum(lo, 0.0) + np.maximum(-hi, 0.0)
    return hi - lo + 2.0 / alpha * outside


def _score(
    means: FloatArray, by: By, levels: Sequence[int], noise: FloatArray | float = 0.0
) -> FloatArray:
    """Scores of means (..., c, k), over the cells on average: smaller is better.

    Means of a few errors are not 0 where there is no bias: over several cells what they are by chance, the variance
    ``noise`` (..., c), is taken off their squares.
    """
    if by == "rmse":
        return np.asarray(np.sqrt(means[..., 0].mean(axis=-1)))
    if by == "bias":
        if means.shape[-2] == 1:
            return np.asarray(np.abs(means[..., 0, 0]))
        return np.asarray(np.sqrt(np.maximum((means[..., 0] ** 2 - noise).mean(axis=-1), 0.0)))
    if by == "coverage":
        wanted = np.array([_LEVELS[k] for k in levels])
        return np.asarray(np.abs(means - wanted).mean(axis=(-2, -1)))
    return np.asarray(means.mean(axis=(-2, -1)))


def places_of(parts: Mapping[str, Part], by: By) -> tuple[Place, ...]:
    """Find the places of estimators, the best first."""
    names = list(parts)
    means = [np.nanmean(part.terms, axis=0) for part in parts.values()]
    scores = np.array(
        [
            _score(each, by, part.levels, part.noise)
            for each, part in zip(means, parts.values(), strict=True)
        ]
    )
    drawn = _resampled([*parts.values()], by)
    order = np.argsort(scores, kind="stable")
    lowest = drawn == drawn.min(axis=1, keepdims=True)
    best = (lowest / lowest.sum(axis=1, keepdims=True)).mean(axis=0)
    ahead = [_better(drawn[:, a], drawn[:, b]) for a, b in itertools.pairwise(order)]
    groups = [parts[names[k]].n_groups for k in order]
    ends = [tied_below(min(pair)) for pair in itertools.pairwise(groups)]
    ahead, ends = [*ahead, np.nan], [*ends, np.nan]
    places: list[Place] = []
    for position, k in enumerate(order):
        part = parts[names[k]]
        follows = position > 0 and ahead[position - 1] < ends[position - 1]
        leads = ahead[position] < ends[position]
        places.append(
            Place(
                names[k],
                part.r,
                places[-1].rank if follows else position + 1,
                Amount(float(scores[k]), float(drawn[:, k].std())),
                float(best[k]),
                ahead[position],
                ends[position],
                follows or leads,
                part.n,
                part.attempted,
                _detail(means[k].mean(axis=0), by, part.levels),
            )
        )
    return tuple(places)


def _detail(means: FloatArray, by: By, levels: Sequence[int]) -> dict[str, float]:
    if by == "bias":
        return {"bias": float(means[0])}
    if by == "rmse":
        return {}
    return {
        f"{by.removesuffix('-score')}{level}": float(x)
        for level, x in zip(levels, means, strict=True)
    }


def _better(one: FloatArray, other: FloatArray) -> float:
    """Probability that one score is below another, equal ones counting half."""
    return float(np.mean(one < other) + 0.5 * np.mean(one == other))


def _resampled(parts: Sequence[Part], by: By) -> FloatArray:
    """Scores (resamples, estimators) of realisations drawn again, the same for all estimators and cells."""
    rng = np.random.default_rng(0)  # the same whenever the ranking is read
    numbers = [part.groups for part in parts]
    every = np.unique(np.concatenate(numbers))
    # the mean of a resample is off by chance as the mean is, and by nearly as much again
    noise = np.array([(2.0 - 1.0 / max(part.n_groups, 1)) * part.noise for part in parts])
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
        scores[start : start + size] = _score(
            means.reshape(size, len(parts), *shape), by, parts[0].levels, noise
        )
    # a resample without any value of some estimator says nothing
    return scores[np.isfinite(scores).all(axis=1)]
