"""Whether two runs say the same: what moved, what is shown to be the same, and what cannot be told.

Where both have the same catalogues, errors are compared realisation by realisation, so that what is common to both
leaves the comparison: a wrong constant shows although it is far smaller than the Monte Carlo error of either side. A
difference has *moved* where it is no chance (Holm's method over all that is compared); it is *the same* where two
one-sided tests show that it is smaller than a margin; else it *cannot be told*, and it is said how many realisations
would.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import numpy as np

from haloassay.analysis.measures import MEASURES, Measure
from haloassay.analysis.query import ResultTables, as_frame, errors_of, open_tables
from haloassay.analysis.significance import holm, reach, times_seen, times_within
from haloassay.base.arrays import FloatArray, IntArray
from haloassay.base.defaults import ALPHA, MARGIN
from haloassay.base.settings import require
from haloassay.contracts.quantities import Quantity

if TYPE_CHECKING:
    import pandas as pd

Answer = Literal["same", "moved", "cannot tell"]
#: Differences that count for nothing, whatever their error, in units of the margin: rounding.
_ROUNDING: Final = 0.01
#: What is asked for at least, in units of what there is.
LEAST_STEP: Final = 1.1
#: Realisations below which the error of a difference is itself unknown.
FEWEST: Final = 10


class Key(NamedTuple):
    """What is compared with its like."""

    cell: str
    estimator: str
    quantity: str
    bin: int


@dataclass(frozen=True)
class Sample:
    """All realisations of one (cell, estimator, quantity, bin) that had a mock.

    Parameters
    ----------
    r, unit
        Median radius [kpc], NaN where there is none; unit of the values.
    realization
        (n,) numbers.
    e, half
        (n,) errors, and half widths of the 68 per cent intervals on their scale; NaN where there is no value, or no
        interval.
    in68, in95
        (n,) 1 where the interval holds the truth, 0 where it does not, NaN where there is none.
    """

    r: float
    unit: str
    realization: IntArray
    e: FloatArray
    half: FloatArray
    in68: FloatArray
    in95: FloatArray

    def at(self, rows: IntArray) -> Sample:
        """Only these rows."""
        values = (part[rows] for part in (self.e, self.half, self.in68, self.in95))
        return Sample(self.r, self.unit, self.realization[rows], *values)


@dataclass(frozen=True)
class Side:
    """One of two runs that are compared.

    Parameters
    ----------
    name
        Folder or file.
    catalogues
        What the catalogues of each cell are made of, a key: equal keys are equal catalogues.
    samples
        What was found.
    seconds
        Median duration of an estimator in a cell.
    quantities
        What the results speak of.
    """

    name: str
    catalogues: Mapping[str, str]
    samples: Mapping[Key, Sample]
    seconds: Mapping[tuple[str, str], float]
    quantities: Mapping[str, Quantity]


@dataclass(frozen=True)
class Compared:
    """One score on both sides.

    Parameters
    ----------
    key, r, unit
        Of what.
    measure
        Which score.
    old, new
        Its values.
    difference, mcse
        New less old, of scatters and error ratios in the logarithm, with its Monte Carlo error.
    margin
        Differences below this do not matter.
    n
        Realisations, pairs where it is ``paired``; else the smaller number of the two sides.
    paired
        Whether catalogues are the same.
    p
        Probability of a difference as large where there is none.
    answer
        What is to be said.
    wanted
        Realisations of each side that would tell, where it cannot be told.
    """

    key: Key
    r: float
    unit: str
    measure: Measure
    old: float
    new: float
    difference: float
    mcse: float
    margin: float
    n: int
    paired: bool
    p: float
    answer: Answer
    wanted: int | None = None


@dataclass(frozen=True)
class Comparison:
    """All that two runs have in common, and what only one of them has.

    Parameters
    ----------
    old, new
        Names of the sides.
    rows
        Scores on both sides.
    gone, added
        Rows that only the old, or the new side has.
    unpaired
        Cells whose catalogues are not the same on both sides.
    seconds
        Median durations on both sides, by cell and estimator.
    quantities
        What is spoken of.
    margin, alpha
        As they were asked for.
    """

    old: str
    new: str
    rows: tuple[Compared, ...]
    gone: tuple[Key, ...]
    added: tuple[Key, ...]
    unpaired: tuple[str, ...]
    seconds: Mapping[tuple[str, str], tuple[float, float]]
    quantities: Mapping[str, Quantity]
    margin: float
    alpha: float

    def of(self, answer: Answer) -> list[Compared]:
        """Rows with an answer, the least probable by chance first, then the largest."""
        listed = (row for row in self.rows if row.answer == answer)
        return sorted(listed, key=lambda row: (row.p, -abs(row.difference) / (row.margin or 1.0)))

    @property
    def has_moved(self) -> bool:
        """Whether any score moved, or a row is gone."""
        return bool(self.gone) or any(row.answer == "moved" for row in self.rows)


def samples_of(results: ResultTables, estimates: bool = False) -> dict[Key, Sample]:
    """Read the realisations of all rows of a run; with ``estimates``, these in place of their errors."""
    e = "sound(value) AS e" if estimates else "e"
    query = f"""
        WITH errors AS ({errors_of()}), attempts AS (
            SELECT DISTINCT cell, estimator, realization FROM runs WHERE status <> 'no-mock'
        ), rows AS (SELECT DISTINCT cell, estimator, quantity, bin FROM errors)
        SELECT cell, estimator, quantity, bin, realization, r, unit, {e}, half, in68, in95
        FROM attempts JOIN rows USING (cell, estimator)
            LEFT JOIN errors USING (cell, estimator, quantity, bin, realization)
        ORDER BY cell, estimator, quantity, bin, realization
    """
    with open_tables(results) as tables:
        rows = as_frame(tables.sql(query))
    groups: Any = rows.groupby(list(Key._fields), sort=False)
    return {Key._make(key): _sample(group) for key, group in groups}


def _sample(group: pd.DataFrame) -> Sample:
    columns = [group[name].to_numpy(dtype=float) for name in ("e", "half", "in68", "in95")]
    units = group["unit"].dropna()
    r = group["r"][np.isfinite(group["r"])]
    return Sample(
        float(r.median()) if len(r) else math.nan,
        str(units.iloc[0]) if len(units) else "",
        group["realization"].to_numpy(dtype=np.int64),
        *columns,
    )


def compare(old: Side, new: Side, margin: float = MARGIN, alpha: float = ALPHA) -> Comparison:
    """Compare all scores that two runs have in common.

    Parameters
    ----------
    old, new
        The two.
    margin
        Below which a difference does not matter: of a bias in units of the old scatter, of a scatter or an error ratio
        as a share, of coverage and success half of it.
    alpha
        Probability that anything is said to have moved where nothing has.

    Raises
    ------
    InputError
        If the margin or the rate is not in (0, 1).
    """
    for name, value in {"margin": margin, "alpha": alpha}.items():
        require(0.0 < value < 1.0, f"compare: {name}: must be above 0 and below 1 (got {value:g})")
    paired = {
        cell for cell, made in old.catalogues.items() if new.catalogues.get(cell, "") == made != ""
    }
    quantities = {**old.quantities, **new.quantities}
    angles = {name for name, quantity in quantities.items() if quantity.scale == "angle"}
    found = [
        row
        for key, before in old.samples.items()
        if key in new.samples
        for row in _compared(
            *(key, before, new.samples[key]), key.cell in paired, key.quantity in angles, margin
        )
    ]
    moved = holm(np.array([row.p for row in found]), alpha)
    judged = (
        _judged(row, bool(far), alpha / len(found)) for row, far in zip(found, moved, strict=True)
    )
    both = [key for key in old.seconds if key in new.seconds]
    return Comparison(
        old.name,
        new.name,
        tuple(judged),
        tuple(key for key in old.samples if key not in new.samples),
        tuple(key for key in new.samples if key not in old.samples),
        tuple(cell for cell in old.catalogues if cell in new.catalogues and cell not in paired),
        {key: (old.seconds[key], new.seconds[key]) for key in both},
        quantities,
        margin,
        alpha,
    )


def _compared(
    key: Key, old: Sample, new: Sample, paired: bool, is_angle: bool, margin: float
) -> Iterator[Compared]:
    """Scores of one row, not yet judged."""
    if paired:
        both = in_common(old, new, is_angle)
        paired = len(both[0].realization) > 0
        old, new = both if paired else (old, new)
    alike = paired and _are_alike(old, new, margin)
    for measure in MEASURES:
        found = measure.moved(old, new, paired)
        if found is not None:
            if alike:
                found = found._replace(difference=0.0, mcse=0.0, p=1.0)
            allowed = measure.margin(margin, found)
            yield Compared(
                *(key, new.r, new.unit, measure, found.old, found.new),
                *(found.difference, found.mcse, allowed, found.n, paired, found.p),
                answer="cannot tell",
            )


def in_common(old: Sample, new: Sample, is_angle: bool) -> tuple[Sample, Sample]:
    """Realisations that two rows have in common, in one order; angles the short way round."""
    common = np.intersect1d(
        old.realization, new.realization, assume_unique=True, return_indices=True
    )
    old, new = old.at(common[1]), new.at(common[2])
    if is_angle:
        new = replace(new, e=old.e + (new.e - old.e + 180.0) % 360.0 - 180.0)
    return old, new


def _are_alike(old: Sample, new: Sample, margin: float) -> bool:
    """Whether all realisations say the same, but for rounding."""
    rounding = _ROUNDING * margin * (float(np.nanstd(old.e)) if np.isfinite(old.e).any() else 0.0)
    return all(
        np.allclose(before, after, rtol=0.0, atol=rounding, equal_nan=True)
        for before, after in ((old.e, new.e), (old.half, new.half))
    )


def _judged(row: Compared, is_far: bool, alpha: float) -> Compared:
    """Say which of the three it is; ``alpha`` is that of one row."""
    size, rounding = abs(row.difference), _ROUNDING * row.margin
    if max(size, row.mcse) <= rounding:
        return replace(row, answer="same")
    if row.n < FEWEST or not math.isfinite(row.mcse):
        return replace(row, wanted=FEWEST)
    if is_far and size > rounding:
        return replace(row, answer="moved")
    if size + float(reach(row.mcse, row.n)) < row.margin:
        return replace(row, answer="same")
    within = float(times_within(row.margin - size, row.mcse, row.n))
    seen = float(times_seen(size, row.mcse, alpha))
    wanted = math.ceil(row.n * max(min(within, seen), LEAST_STEP))
    return replace(row, wanted=wanted)
