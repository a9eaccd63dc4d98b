"""Numbers that a claim may be about: scores, mean estimates, differences, comparisons, means of rows, budget lines.

Each reads what realisations, scores, pairs, comparisons and budgets give anyway, with its Monte Carlo error; there are
no others.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np

from haloassay.analysis.budget import Budget, budgets
from haloassay.analysis.compare import Key, in_common, samples_of
from haloassay.analysis.contributions import Amount
from haloassay.analysis.measures import MEASURES
from haloassay.analysis.pairs import DIFFERENCES, paired
from haloassay.analysis.realizations import cell_of
from haloassay.analysis.scores import SCORES, score
from haloassay.analysis.statistic import (
    Against,
    ClaimTables,
    Form,
    Found,
    Row,
    Statistic,
    found_in,
    row_of,
    several,
)
from haloassay.analysis.weighted_means import WeightedMeanOf
from haloassay.base.errors import InputError
from haloassay.base.settings import build, unknown

if TYPE_CHECKING:
    pass

#: Measure of a comparison that is of estimates in place of errors.
_ESTIMATE: Final = "estimate"


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
        return found_in(row, self.score, form, int(row["n_attempted"] - row["n"]))


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
        return found_in(row, self.difference, form, int(row["n_lost"]))


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
    against: Against = field(default_factory=Against)
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
            raise several(self.quantity, [each.estimator for each in found])
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
