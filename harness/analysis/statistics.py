"""Numbers that a claim may be about: scores, mean estimates, differences, comparisons, means of rows, budget lines.

Each reads what realisations, scores, pairs, comparisons and budgets give anyway, with its Monte Carlo error; there are
no others.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, Protocol

import numpy as np

from haloassay.analysis.budget import Budget, budgets
from haloassay.analysis.compare import FEWEST, Key, in_common, samples_of
from haloassay.analysis.contributions import Amount
from haloassay.analysis.measures import MEASURES
from haloassay.analysis.overlap import DescribedResults, overlaps
from haloassay.analysis.pairs import DIFFERENCES, NOTABLE_LOSS, paired
from haloassay.analysis.realizations import FactorTables, bin_at, cell_of, chosen
from haloassay.analysis.scores import SCORES, score
from haloassay.base.arrays import FloatArray
from haloassay.base.errors import InputError
from haloassay.base.settings import build, unknown

if TYPE_CHECKING:
    import pandas as pd

#: Measure of a comparison that is of estimates in place of errors.
_ESTIMATE: Final = "estimate"

#: How a number is written: in the unit of errors, as the logarithm of a ratio, as it is, or in its quantity's unit.
Form = Literal["error", "log", "plain", "value"]


class ClaimTables(FactorTables, DescribedResults, Protocol):
    """What a statistic reads of a run."""


@dataclass(frozen=True)
class Found:
    """What mocks say.

    Parameters
    ----------
    quantity, unit, r
        Of what, the unit of its values, and the median radius [kpc], NaN where there is none.
    form
        How the number is written.
    value, mcse, n
        The number, its Monte Carlo error, and of how many realisations it is.
    n_lost
        Realisations that were tried and have none.
    common
        Error that all realisations share, at most, because they see the same stars of one stored population
        (:mod:`haloassay.analysis.overlap`): no number of realisations makes it smaller.
    """

    quantity: str
    unit: str
    r: float
    form: Form
    value: float
    mcse: float
    n: int
    n_lost: int = 0
    common: float = 0.0

    @property
    def error(self) -> float:
        """Monte Carlo error, with what all realisations share."""
        return math.hypot(self.mcse, self.common)

    @property
    def is_lossy(self) -> bool:
        """Whether the realisations with a value may not speak for all."""
        return self.n_lost > NOTABLE_LOSS * (self.n + self.n_lost)


@dataclass(frozen=True)
class Row:
    """A row of results.

    Parameters
    ----------
    quantity
        Name.
    estimator
        Label; needed where several yield the quantity.
    cell
        ``base``, or the first, by default.
    r
        Radius [kpc] of the bin; needed where there are several.
    """

    quantity: str
    estimator: str = ""
    cell: str = ""
    r: float | None = None


@dataclass(frozen=True)
class Statistic(Row, ABC):
    """A number that results give.

    Parameters
    ----------
    quantity, estimator, cell, r
        Of which row; see :class:`Row`.
    """

    kind: ClassVar[str]

    @property
    def rows(self) -> tuple[Row, ...]:
        """All rows that are read."""
        return (self,)

    def read(self, results: ClaimTables) -> Found:
        """Read the number.

        Raises
        ------
        InputError
            If the results have no such row.
        """
        found, shared = self.number(results), overlaps(results)
        cells = {cell_of(results, row.cell or None, "statistic") for row in self.rows}
        share = float(shared.loc[shared["cell"].isin(cells), "share"].max()) if len(shared) else 0.0
        if not share > 0.0:
            return found
        times = found.n * share / (1.0 - share) if share < 1.0 else math.inf
        return replace(found, common=found.mcse * math.sqrt(times))

    @abstractmethod
    def number(self, results: ClaimTables) -> Found:
        """Read the number, with its Monte Carlo error alone."""


@dataclass(frozen=True)
class ScoreOf(Statistic):
    """A score of one row of ``haloassay table``.

    Parameters
    ----------
    quantity, estimator, cell, r
        Of which row; see :class:`Row`.
    score
        Column, such as ``bias``, ``scatter``, ``rmse`` or ``coverage68``.
    """

    kind: ClassVar[str] = "score"
    score: str = "bias"

    def __post_init__(self) -> None:
        known = {each.name: each for each in SCORES}
        if self.score not in known:
            raise unknown("score", self.score, known, "statistic")

    def number(self, results: ClaimTables) -> Found:
        """Read the score."""
        row = row_of(score(results), results, self)
        forms = {each.name: each.form for each in SCORES}
        form: Form = "error" if forms[self.score] == "error" else "plain"
        return _found(row, self.score, form, int(row["n_attempted"] - row["n"]))


@dataclass(frozen=True)
class EstimateOf(Statistic):
    """The mean of the estimates of one row: what a method finds, of quantities whose truth is that it is found.

    Parameters
    ----------
    quantity, estimator, cell, r
        Of which row; see :class:`Row`. Directions and other angles have no mean.
    """

    kind: ClassVar[str] = "estimate"

    def number(self, results: ClaimTables) -> Found:
        """Average the estimates, of realisations that have one."""
        row = row_of(score(results), results, self)
        if results.quantities[self.quantity].scale == "angle":
            raise InputError(f"statistic: {self.quantity}: angles in a circle have no mean")
        sample = samples_of(results, estimates=True)[Key._make(row[name] for name in Key._fields)]
        known = sample.e[np.isfinite(sample.e)]
        n, lost = len(known), len(sample.e) - len(known)
        mean = float(np.mean(known)) if n else math.nan
        mcse = float(np.std(known, ddof=1)) / math.sqrt(n) if n > 1 else math.nan
        r, unit = float(row["r"]), str(row["unit"])
        return Found(self.quantity, unit, r, "value", mean, mcse, n, lost)


@dataclass(frozen=True)
class PairOf(Statistic):
    """A difference between a cell and another, realisation by realisation: ``haloassay table --paired``.

    Parameters
    ----------
    quantity, estimator, cell, r
        Of which row; see :class:`Row`.
    difference
        ``shift`` of the error, or ``log_change`` of the estimate, or of the truth (``truth_log_change``).
    base
        The other cell: ``base``, or the first, by default.
    """

    kind: ClassVar[str] = "pair"
    difference: str = "shift"
    base: str = ""

    def __post_init__(self) -> None:
        known = [each.name for each in DIFFERENCES]
        if self.difference not in known:
            raise unknown("difference", self.difference, known, "statistic")
        if not self.cell or self.cell == self.base:
            raise InputError("statistic: a pair needs a cell beside its base")

    @property
    def rows(self) -> tuple[Row, ...]:
        """Both rows."""
        return (self, Row(self.quantity, self.estimator, self.base, self.r))

    def number(self, results: ClaimTables) -> Found:
        """Read the difference."""
        base = cell_of(results, self.base or None, "statistic")
        row = row_of(paired(results, base), results, self)
        form: Form = "error" if self.difference == "shift" else "log"
        return _found(row, self.difference, form, int(row["n_lost"]))


@dataclass(frozen=True)
class Against:
    """The row that another is compared with; what it leaves out is that of the other.

    Parameters
    ----------
    quantity, estimator, cell, r
        As of :class:`Row`.
    """

    quantity: str = ""
    estimator: str = ""
    cell: str = ""
    r: float | None = None

    def beside(self, row: Row) -> Row:
        """Complete the row by the other."""
        return Row(
            self.quantity or row.quantity,
            self.estimator or row.estimator,
            self.cell or row.cell,
            row.r if self.r is None else self.r,
        )


@dataclass(frozen=True)
class ComparisonOf(Statistic):
    """A score of one row less that of another, such as of two estimators, as ``haloassay compare`` has it.

    Parameters
    ----------
    quantity, estimator, cell, r
        Of which row; see :class:`Row`.
    against
        The other row.
    measure
        ``bias``, ``coverage68``, ``coverage95``, ``success``: their difference; ``scatter``, ``error_ratio``: the
        logarithm of their ratio; ``estimate``: the difference of the mean estimates themselves, or, of positive scales,
        the mean logarithm of their ratio.
    """

    kind: ClassVar[str] = "comparison"
    against: Against = Against()
    measure: str = "bias"

    def __post_init__(self) -> None:
        known = [*(each.name for each in MEASURES), _ESTIMATE]
        if self.measure not in known:
            raise unknown("measure", self.measure, known, "statistic")
        if self.against == Against():
            raise InputError("statistic: a comparison needs another row: against = { ... }")

    @property
    def rows(self) -> tuple[Row, ...]:
        """Both rows."""
        return (self, self.against.beside(self))

    def number(self, results: ClaimTables) -> Found:
        """Compare, realisation by realisation where both rows have the same random numbers."""
        table = score(results)
        new, old = (row_of(table, results, each) for each in self.rows)
        scale = results.quantities[self.quantity].scale
        of_logs = self.measure == _ESTIMATE and scale == "fractional"
        samples = samples_of(results, self.measure == _ESTIMATE)
        pair = [samples[Key._make(row[name] for name in Key._fields)] for row in (old, new)]
        if of_logs:
            pair = [
                replace(each, e=np.log(np.where(each.e > 0.0, each.e, np.nan))) for each in pair
            ]
        is_paired = not {str(old["cell"]), str(new["cell"])} & set(results.unpaired)
        if is_paired:
            pair = [*in_common(pair[0], pair[1], scale == "angle")]
        name = "bias" if self.measure == _ESTIMATE else self.measure  # the mean, of either
        measure = next(each for each in MEASURES if each.name == name)
        moved = measure.moved(pair[0], pair[1], is_paired)
        forms: Mapping[str, Form] = {"error": "error", "ratio": "log", "share": "plain"}
        form: Form = "log" if of_logs else forms[measure.scale]
        told = (self.quantity, str(new["unit"]), float(new["r"]), form)
        tried = min(len(sample.e) for sample in pair)
        if moved is None:
            return Found(*told, math.nan, math.nan, 0, tried)
        return Found(*told, moved.difference, moved.mcse, moved.n, tried - moved.n)


@dataclass(frozen=True)
class ContributionOf(Statistic):
    """A line of ``haloassay budget``: a standard deviation under the priors of factors.

    Parameters
    ----------
    quantity, estimator, r
        Of which budget; see :class:`Row`.
    cell
        None: a budget is of all cells.
    factor
        Label of a factor, or all of them in ``quadrature`` or ``together``.
    """

    kind: ClassVar[str] = "budget"
    factor: str = "together"

    def __post_init__(self) -> None:
        if self.cell:
            raise InputError("statistic: a budget is of all cells: leave out cell")

    def number(self, results: ClaimTables) -> Found:
        """Read the line."""
        found = budgets(results, self.quantity, self.r, self.estimator or None)
        if len(found) > 1:
            raise _several(self.quantity, [each.estimator for each in found])
        budget = found[0]
        sd, n, lost = self._line(budget)
        told = (self.quantity, budget.quantity.unit, budget.r)
        n = n if math.isfinite(sd.value) else 0
        return Found(*told, "error", sd.value, sd.mcse, n, lost)

    def _line(self, budget: Budget) -> tuple[Amount, int, int]:
        """Contribution, of how many realisations or points it is, and how many are lost."""
        if self.factor == "together":
            return budget.together.sd, budget.together.n, 0
        if self.factor == "quadrature":
            return budget.quadrature, budget.n, budget.n_attempted - budget.n
        lines = {line.factor.label: line for line in budget.lines}
        if self.factor not in lines:
            raise unknown("factor", self.factor, [*lines, "quadrature", "together"], "statistic")
        line = lines[self.factor]
        return line.sd, line.n, line.n_lost


@dataclass(frozen=True)
class WeightedMeanOf(Statistic):
    """A weighted mean of several rows, as papers combine estimates: weights are inverse squares of stated errors.

    Rows of one cell are of the same catalogue; those of another cell are taken from other realisations, as cells share
    random numbers and samples of different stars do not.

    Parameters
    ----------
    quantity
        Of all rows.
    of
        The rows, at least two: tables with ``estimator``, ``cell`` and ``r``.
    measure
        ``bias`` or ``scatter`` of the mean; ``stated``: its stated error, the mean of (sum of weights)^-1/2;
        ``error_ratio``: the logarithm of the stated error over the scatter.
    """

    kind: ClassVar[str] = "weighted-mean"
    of: tuple[Against, ...] = ()
    measure: str = "error_ratio"

    def __post_init__(self) -> None:
        if self.measure not in _OF_MEANS:
            raise unknown("measure", self.measure, _OF_MEANS, "statistic")
        if self.estimator or self.cell or self.r is not None:
            raise InputError("statistic: estimator, cell and r belong to each row: of = [{ ... }]")
        if len(set(self.of)) < max(len(self.of), 2):
            raise InputError("statistic: a weighted mean needs two different rows: of = [{ ... }]")

    @property
    def rows(self) -> tuple[Row, ...]:
        """All rows of the mean."""
        return tuple(each.beside(self) for each in self.of)

    def number(self, results: ClaimTables) -> Found:
        """Combine the rows, realisation by realisation."""
        table, samples = score(results), samples_of(results)
        found = [row_of(table, results, each) for each in self.rows]
        if results.quantities[self.quantity].scale not in ("fractional", "absolute"):
            raise InputError(f"statistic: {self.quantity}: directions have no weighted mean")
        cells = list(dict.fromkeys(str(row["cell"]) for row in found))
        parts = [samples[Key._make(row[name] for name in Key._fields)] for row in found]
        tried = min(len(part.e) for part in parts)
        shifts = [cells.index(str(row["cell"])) for row in found]
        e, half = (
            np.array(
                [np.roll(getattr(p, name)[:tried], k) for p, k in zip(parts, shifts, strict=True)]
            )
            for name in ("e", "half")
        )
        known = np.isfinite(e).all(axis=0) & np.all(half > 0.0, axis=0)
        weight = half[:, known] ** -2.0
        mean = np.sum(weight * e[:, known], axis=0) / weight.sum(axis=0)
        stated = weight.sum(axis=0) ** -0.5
        form: Form = "log" if self.measure == "error_ratio" else "error"
        told = (self.quantity, str(found[0]["unit"]), float(found[0]["r"]), form)
        n = int(known.sum())
        if n < FEWEST:
            return Found(*told, math.nan, math.nan, 0, tried)
        value, mcse = _jackknifed(_OF_MEANS[self.measure], mean, stated)
        return Found(*told, value, mcse, n, tried - n)


#: What is read of weighted means (n,) and their stated errors (n,).
_OF_MEANS: Final[Mapping[str, Callable[[FloatArray, FloatArray], float]]] = {
    "bias": lambda mean, _: float(mean.mean()),
    "scatter": lambda mean, _: float(mean.std(ddof=1)),
    "stated": lambda _, stated: float(stated.mean()),
    "error_ratio": lambda mean, stated: float(np.log(stated.mean() / mean.std(ddof=1))),
}


def _jackknifed(
    of: Callable[[FloatArray, FloatArray], float], mean: FloatArray, stated: FloatArray
) -> tuple[float, float]:
    """Return a number, and its error from what it is without one realisation after the other."""
    n = len(mean)
    without = np.array([of(np.delete(mean, k), np.delete(stated, k)) for k in range(n)])
    return of(mean, stated), float(np.sqrt((n - 1) / n * np.sum((without - without.mean()) ** 2)))


#: All statistics, by their kind.
STATISTICS: Final[Mapping[str, type[Statistic]]] = {
    cls.kind: cls
    for cls in (ScoreOf, EstimateOf, PairOf, ComparisonOf, ContributionOf, WeightedMeanOf)
}


def make_statistic(table: Mapping[str, Any], where: str) -> Statistic:
    """Statistic of a table of plain values: its ``kind``, and its settings.

    Raises
    ------
    InputError
        If the kind or a setting is unknown, or missing.
    """
    settings = dict(table)
    kind = settings.pop("kind", None)
    if kind is None:
        raise InputError(f"{where}: key 'kind' is missing (allowed: {', '.join(STATISTICS)})")
    if kind not in STATISTICS:
        raise unknown("kind", kind, STATISTICS, where)
    return build(STATISTICS[kind], settings, where)


def row_of(table: pd.DataFrame, results: FactorTables, wanted: Row) -> pd.Series[Any]:
    """One row of a table of scores or of pairs.

    Raises
    ------
    InputError
        If there is none, or several.
    """
    where = f"statistic: {wanted.quantity}"
    if wanted.quantity not in results.quantities:
        raise unknown("quantity", wanted.quantity, results.quantities, "statistic")
    rows = table[table["quantity"] == wanted.quantity]
    if not len(rows):
        raise InputError(f"{where}: no estimator of the run yields it")
    known = tuple(dict.fromkeys(map(str, rows["estimator"])))
    names = chosen(wanted.estimator or None, known, where)
    if len(names) > 1:
        raise _several(wanted.quantity, names)
    cell = cell_of(results, wanted.cell or None, where)
    rows = rows[(rows["estimator"] == names[0]) & (rows["cell"] == cell)]
    number = bin_at(rows, wanted.r, f"{where} by {names[0]} in {cell}")
    return rows[rows["bin"] == number].iloc[0]


def _several(quantity: str, names: Any) -> InputError:
    return InputError(
        f"statistic: several estimators yield {quantity}: choose one ({', '.join(names)})"
    )


def _found(row: pd.Series[Any], name: str, form: Form, lost: int) -> Found:
    value, mcse = float(row[name]), float(row[f"{name}_mcse"])
    told = (str(row["quantity"]), str(row["unit"]), float(row["r"]), form)
    return Found(*told, value, mcse, int(row["n"]) if math.isfinite(value) else 0, lost)
