"""The league table: all scores of all estimators, by quantity and radius, over the cells of a matrix.

Cells are pooled: each counts the same, whatever else differs between them. An estimator has a place among those that
have values in all of them, so that nobody gains by failing where it is hard, and near the radius of the table
(:func:`haloassay.analysis.realizations.bin_near`), so that nobody gains by being asked where it is easy.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, get_args

import numpy as np

from haloassay.analysis.contributions import Amount
from haloassay.analysis.query import as_frame, open_tables
from haloassay.analysis.ranking import Answers, By, Place, parts_of, places_of
from haloassay.analysis.realizations import FactorTables, missing, read, require_radius
from haloassay.analysis.shares import pooled_share
from haloassay.base.errors import InputError
from haloassay.base.settings import unknown
from haloassay.contracts.quantities import Quantity

if TYPE_CHECKING:
    import pandas as pd

_SCORES: Final[tuple[By, ...]] = get_args(By)
#: Reasons that a refusal names at most.
_SAID: Final = 6


@dataclass(frozen=True)
class Standing:
    """An estimator in one table of the league.

    Parameters
    ----------
    place
        By the score that is ranked.
    scores
        Root mean square error, bias (of several cells the root of the mean square of theirs, less what chance makes
        of it), mean distance of the coverages from their levels and mean interval score, by the name of
        :func:`haloassay.analysis.ranking.rank`; a score that it has not is missing.
    coverage
        Mean coverage of the intervals of 68 and 95 per cent, with its error over realisations
        (:func:`haloassay.analysis.shares.pooled_share`); NaN where it states none.
    seconds
        Median of a catalogue over the cells' medians, of one processor; NaN where it is not known.
    """

    place: Place
    scores: Mapping[By, Amount]
    coverage: tuple[Amount, Amount]
    seconds: float


@dataclass(frozen=True)
class Table:
    """Estimators of one quantity at one radius in some cells, the best first.

    Parameters
    ----------
    quantity, r
        What, and where [kpc]; no radius where it has none.
    where
        Levels that these cells have in common, by the labels of the factors they were taken apart by.
    cells
        Their labels.
    by
        Score that ranks.
    standings, notes
        Those that have a place, and why others have none.
    beside
        What no table of the run counts: cells that draw their factors, and catalogues that are not there yet.
    """

    quantity: Quantity
    r: float | None
    where: Mapping[str, str]
    cells: tuple[str, ...]
    by: By
    standings: tuple[Standing, ...]
    notes: tuple[str, ...]
    beside: tuple[str, ...] = ()


def league(
    results: FactorTables,
    each: Sequence[str] = (),
    quantities: Sequence[str] = (),
    radii: Sequence[float] = (),
    by: By = "rmse",
) -> tuple[Table, ...]:
    """Rank all estimators of a run, quantity by quantity, over all its cells.

    Parameters
    ----------
    results
        A run.
    each
        Factors whose levels have tables of their own; over the levels of the others is pooled.
    quantities
        Which; by default all that two estimators or more yield.
    radii
        Near which [kpc]; by default the radii at which estimators state values whatever the stars are, else the medians
        of the bins of the estimator that has the most.
    by
        Score that ranks, as of :func:`haloassay.analysis.ranking.rank`.

    Raises
    ------
    InputError
        If there is no such factor, quantity, radius or score, if the run has no cell with fixed factors, if no quantity
        is yielded by two estimators, or if nobody has a place at any radius; the message says why.
    """
    if by not in _SCORES:
        raise unknown("score", by, _SCORES, "league")
    frame = results.cells
    for label in each:
        if label not in frame.columns[1:]:
            raise unknown("factor", label, frame.columns[1:], "league")
    for radius in radii:
        require_radius(radius, "league")
    drawn = frame["cell"].isin([*results.samplings])
    fixed = frame[~drawn]
    if not len(fixed):
        raise InputError(
            "league: all cells of the run draw their factors: haloassay rank is of one"
        )
    seconds = _seconds(results)
    found: list[Table] = []
    for name in dict.fromkeys(quantities or _shared(results)):
        rows, runs, known = read(results, name, "league")
        answers = Answers(rows, runs)
        beside = (*_sampled(frame["cell"][drawn]), *missing(results, runs, fixed["cell"]))
        for r in dict.fromkeys(radii or _radii(rows)):
            for where, cells in _groups(fixed, each):
                table = _table(answers, known, r, cells, by, seconds)
                if any(table):
                    of = results.quantities[name]
                    found.append(Table(of, r, where, cells, by, *table, beside))
    if not any(table.standings for table in found):
        raise InputError(f"league: nobody has a place: {_why(found)}")
    return tuple(found)


def _sampled(cells: Collection[str]) -> list[str]:
    """Say which cells are left out since they draw their factors."""
    if not len(cells):
        return []
    which = f"cell {next(iter(cells))}" if len(cells) == 1 else f"cells {', '.join(cells)}"
    return [f"without the {which}, whose catalogues each draw their factors: see haloassay rank"]


def _why(tables: Sequence[Table]) -> str:
    """Why nobody has a place in any table: what most of them say, quantity by quantity and radius by radius."""
    told: dict[str, None] = {note: None for table in tables for note in table.beside}
    for table in tables:
        at = "" if table.r is None else f" at {table.r:g} kpc"
        told |= {f"{table.quantity.name}{at}: {note}": None for note in table.notes}
    more = f"; and {len(told) - _SAID} more like these" if len(told) > _SAID else ""
    return "; ".join(list(told)[:_SAID]) + more


def _shared(results: FactorTables) -> list[str]:
    """Quantities that two estimators or more yield, in the order of the vocabulary."""
    with open_tables(results) as tables:
        many = as_frame(
            tables.sql(
                "SELECT quantity FROM scaled GROUP BY quantity HAVING count(DISTINCT estimator) > 1"
            )
        )
    found = [name for name in results.quantities if name in set(many["quantity"])]
    if not found:
        raise InputError("league: no quantity is yielded by two estimators")
    return found


def _seconds(results: FactorTables) -> dict[tuple[str, str], float]:
    """Median seconds of each estimator and cell."""
    with open_tables(results) as tables:
        medians = as_frame(
            tables.sql("SELECT estimator, cell, median(seconds) AS s FROM runs GROUP BY ALL")
        )
    keys = zip(medians["estimator"], medians["cell"], strict=True)
    return dict(zip(keys, map(float, medians["s"]), strict=True))


def _radii(rows: pd.DataFrame) -> list[float | None]:
    """Radii of a quantity: those that are asked for, whatever the stars are; None where it has none."""
    if not rows["r"].notna().any():
        return [None]
    grouped = rows.groupby(["estimator", "bin"], as_index=False)["r"]
    bins = grouped.agg(["min", "max", "median", "count"])
    stated = bins[(bins["min"] == bins["max"]) & (bins["count"] > 1)]
    if len(stated):
        return [*sorted({float(r) for r in stated["median"]})]
    most = bins["estimator"].value_counts().idxmax()
    return [*sorted(map(float, bins.loc[bins["estimator"] == most, "median"]))]


def _groups(
    cells: pd.DataFrame, each: Sequence[str]
) -> Iterator[tuple[dict[str, str], tuple[str, ...]]]:
    """Levels of the factors that are taken apart, and the cells that have them."""
    levels = [list(dict.fromkeys(cells[label])) for label in each]
    for chosen in itertools.product(*levels):
        mine = cells
        for label, level in zip(each, chosen, strict=True):
            mine = mine[mine[label] == level]
        if len(mine):
            where = {label: str(level) for label, level in zip(each, chosen, strict=True)}
            yield where, tuple(map(str, mine["cell"]))


def _table(
    answers: Answers,
    known: Sequence[str],
    r: float | None,
    cells: tuple[str, ...],
    by: By,
    seconds: Mapping[tuple[str, str], float],
) -> tuple[tuple[Standing, ...], tuple[str, ...]]:
    """Standings and notes of one table; notes alone where nobody has a place."""
    parts, notes = parts_of(answers, known, r, cells, by)
    scored: dict[By, dict[str, Place]] = {}
    for score in _SCORES:
        mine = parts if score == by else parts_of(answers, [*parts], r, cells, score)[0]
        scored[score] = {place.estimator: place for place in places_of(mine, score)} if mine else {}
    standings = []
    for name, place in scored[by].items():
        places = {score: scored[score][name] for score in _SCORES if name in scored[score]}
        medians = [seconds[name, cell] for cell in cells if (name, cell) in seconds]
        scores = {score: found.score for score, found in places.items()}
        share = (_covered(answers, name, r, cells, 68), _covered(answers, name, r, cells, 95))
        standings.append(Standing(place, scores, share, float(np.median(medians))))
    return tuple(standings), tuple(notes)


def _covered(
    answers: Answers, name: str, r: float | None, cells: tuple[str, ...], level: int
) -> Amount:
    """Mean coverage of the intervals of one level [per cent], whether others are stated or not."""
    parts, _ = parts_of(answers, [name], r, cells, "coverage", levels=(level,))
    if not parts:
        return Amount()
    return Amount(*pooled_share(parts[name].terms[..., 0], parts[name].groups))
