"""Budgets of systematic errors: what each factor does to an estimate, and what all of them do together.

Errors e are those of the scores: estimate minus truth, as a fraction of the truth for positive scales. Shifts are mean
differences of e between a cell and the base, realisation by realisation on the same random numbers. Contributions are
standard deviations under the priors of the factors, which is what adds in quadrature; noise of the finite number of
realisations is taken out of them, and their errors are those of a bootstrap over realisations.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import numpy as np

from haloassay.analysis.contributions import (
    FEWEST,
    Amount,
    Line,
    Responses,
    Together,
    alone,
    interactions,
    line_of,
    mean_of,
    mean_shift,
    quadrature,
    scatter_of,
    spread_of_points,
)
from haloassay.analysis.cube import by_point
from haloassay.analysis.indices import Indices, indices_of
from haloassay.analysis.pairs import NOTABLE_LOSS
from haloassay.analysis.realizations import (
    Differences,
    FactorTables,
    attempts,
    bin_at,
    chosen,
    missing,
    read,
)
from haloassay.analysis.responses import Response
from haloassay.analysis.reweighting import reweighted, under_priors
from haloassay.base.arrays import FloatArray
from haloassay.base.errors import InputError
from haloassay.contracts.factors import StatedFactor
from haloassay.contracts.priors import Prior
from haloassay.contracts.quantities import Quantity

if TYPE_CHECKING:
    import pandas as pd


#: Share of a contribution that its error is, at which it is known no better than by a sum of others.
_UNSURE: Final = 0.5


@dataclass(frozen=True)
class Budget:
    """Budget of one estimator, quantity and bin.

    All errors are on the scale of the quantity (fractions of the truth for positive scales).

    Parameters
    ----------
    estimator, quantity, bin, r, r_lo, r_hi
        Whose: the median radius [kpc] and edges in the base cell.
    n, n_attempted, n_stars
        Realisations of the base with an error, all of them, and their median number of stars.
    stated, found
        Random error on the base: mean half width of the stated 68 per cent interval, and scatter of the errors.
    bias
        Mean error on the base.
    lines
        The factors, the largest contribution first.
    quadrature
        Root of the sum of the squares of their contributions.
    together
        What all factors do when they are drawn together, by design ``joint``, ``sobol`` or ``latin-hypercube``.
    indices
        Sobol' indices, of a run with a cell ``saltelli``; of the priors of the run, whatever others are asked for.
    notes
        What cannot be said, and why.
    """

    estimator: str
    quantity: Quantity
    bin: int
    r: float
    r_lo: float
    r_hi: float
    n: int
    n_attempted: int
    n_stars: float
    stated: Amount
    found: Amount
    bias: Amount
    lines: tuple[Line, ...]
    quadrature: Amount
    together: Together
    indices: Indices | None = None
    notes: tuple[str, ...] = ()

    @property
    def is_together(self) -> bool:
        """Whether what all factors do together is known to better than half of it, or of their quadrature sum."""
        sd = self.together.sd
        least = np.fmax(sd.value, self.quadrature.value)
        return bool(np.isfinite(sd.value) and not sd.mcse > _UNSURE * least)

    @property
    def systematic(self) -> Amount:
        """Contribution of all factors: measured together where that is known, else in quadrature."""
        return self.together.sd if self.is_together else self.quadrature

    @property
    def offset(self) -> Amount:
        """Bias of the method on the base, and the mean shift of all factors under their priors where it is known."""
        if not np.isfinite(self.together.mean.value):
            return self.bias
        mcse = float(np.hypot(self.bias.mcse, self.together.mean.mcse))
        return Amount(self.bias.value + self.together.mean.value, mcse)

    def share(self, part: float) -> float:
        """Share of a contribution in the variance of random error and all factors in quadrature."""
        total = np.nan_to_num(self.found.value) ** 2 + np.nan_to_num(self.quadrature.value) ** 2
        return float(part**2 / total) if total > 0.0 and np.isfinite(part) else np.nan


def budgets(
    results: FactorTables,
    quantity: str,
    r: float | None = None,
    estimator: str | None = None,
    priors: Mapping[str, Prior] = MappingProxyType({}),
) -> list[Budget]:
    """Budgets of a quantity, one an estimator.

    Parameters
    ----------
    results
        A run whose matrix has factors; levels of design ``one-at-a-time`` give each factor's part, design ``joint``,
        ``sobol`` or ``latin-hypercube`` what they do together.
    quantity, r, estimator
        Name; radius [kpc] of the bin, needed where there are several; all estimators by default.
    priors
        In place of those of the run, by the labels of factors: no new runs are needed.

    Raises
    ------
    InputError
        If the run has no base or no factors, nobody yields the quantity, or no bin is near the radius.
    """
    source = _read(results, quantity, priors)
    found = []
    for name in chosen(estimator, source.estimators, f"budget of {quantity}"):
        mine = source.of(name)
        number = bin_at(mine[mine["cell"] == "base"], r, f"budget of {quantity} by {name}")
        found.append(_budget(source, name, mine[mine["bin"] == number]))
    return found


def profile(
    results: FactorTables,
    quantity: str,
    estimator: str | None = None,
    priors: Mapping[str, Prior] = MappingProxyType({}),
) -> list[Budget]:
    """Budgets of a quantity by one estimator at all of its radii, which increase; see :func:`budgets`.

    Raises
    ------
    InputError
        If several estimators yield the quantity and none is chosen; and as :func:`budgets`.
    """
    source = _read(results, quantity, priors)
    names = chosen(estimator, source.estimators, f"budget of {quantity}")
    if len(names) > 1:
        raise InputError(f"several estimators yield {quantity}: choose one ({', '.join(names)})")
    return _profile(source, names[0])


def every(results: FactorTables, quantities: Iterable[str]) -> list[Budget]:
    """Budgets of what a run yields: by quantity, estimator and radius; none where no factor has a prior."""
    if results.base_cell != "base" or not any(factor.prior for factor in results.factors):
        return []
    found = []
    for quantity in quantities:
        source = _read(results, quantity, {})
        for name in source.estimators:
            found += _profile(source, name)
    return found


@dataclass(frozen=True, eq=False)
class _Source:
    """What the budgets of a quantity are made of: rows of :func:`haloassay.analysis.realizations.read`, and priors.

    ``notes`` are of the run as a whole.
    """

    results: FactorTables
    quantity: Quantity
    rows: pd.DataFrame
    runs: pd.DataFrame
    estimators: tuple[str, ...]
    priors: Mapping[str, Prior]
    notes: tuple[str, ...]

    def of(self, estimator: str) -> pd.DataFrame:
        return self.rows[self.rows["estimator"] == estimator]


def _read(results: FactorTables, quantity: str, priors: Mapping[str, Prior]) -> _Source:
    found = read(results, quantity, "budget")
    if not results.factors:
        raise InputError("the run has no factors: a budget needs a [matrix]")
    if results.base_cell != "base":
        raise InputError(
            "the run has no base cell, which a budget compares with: add 'one-at-a-time' to its designs"
        )
    notes = tuple(missing(results, found[1], results.cells["cell"]))
    return _Source(results, results.quantities[quantity], *found, priors, notes)


def _profile(source: _Source, estimator: str) -> list[Budget]:
    mine = source.of(estimator)
    bins = mine.loc[mine["cell"] == "base", "bin"].unique()
    found = [_budget(source, estimator, mine[mine["bin"] == each]) for each in bins]
    return sorted(found, key=lambda budget: budget.r)


def _budget(source: _Source, estimator: str, rows: pd.DataFrame) -> Budget:
    """Budget of one bin, whose rows these are."""
    results, runs = source.results, source.runs
    rng = np.random.default_rng(0)  # a bootstrap, the same whenever the budget is read
    base = rows[rows["cell"] == "base"].set_index("realization")
    e, half = base["e"].dropna().to_numpy(), base["half"].dropna().to_numpy()
    tried = attempts(runs, estimator, "base")
    differences = Differences(rows, source.quantity.scale == "angle")
    notes = []
    if len(e) < FEWEST:
        notes.append(f"{len(e)} realisations of the base: errors need {FEWEST}")
    if len(tried) - len(e) > NOTABLE_LOSS * len(tried):
        notes.append(f"{len(tried) - len(e)} of {len(tried)} base realisations have no value")
    factors = under_priors(results.factors, source.priors)
    mine = runs[(runs["estimator"] == estimator) & (runs["status"] != "no-mock")]
    lines, responses = _lines(factors, differences, mine, rng)
    known = [line for line in lines if np.isfinite(line.sd.value)]
    parts = quadrature([line.sd for line in known])
    left_out = [line.factor.label for line in lines if line not in known]
    if left_out and known:
        notes.append(f"in quadrature without {', '.join(left_out)}")
    together = _together(results, factors, differences, (lines, responses), parts, rng)
    indices = _indices(results, estimator, rows, runs, rng)
    if indices is not None and indices.found.reason:
        notes.append(f"Sobol' indices cannot be determined, because {indices.found.reason}")
    return Budget(
        estimator=estimator,
        quantity=source.quantity,
        bin=int(rows["bin"].iloc[0]),
        r=float(base["r"].median()),
        r_lo=float(base["r_lo"].min()),
        r_hi=float(base["r_hi"].max()),
        n=len(e),
        n_attempted=len(tried),
        n_stars=float(tried["n_stars"].median()),
        stated=mean_of(half),
        found=scatter_of(e, rng),
        bias=mean_of(e),
        lines=tuple(sorted(lines, key=lambda line: -np.nan_to_num(line.sd.value, nan=-1.0))),
        quadrature=parts,
        together=together,
        indices=indices,
        notes=(*notes, *together.notes, *source.notes),
    )


def _lines(
    factors: Sequence[StatedFactor],
    differences: Differences,
    runs: pd.DataFrame,
    rng: np.random.Generator,
) -> tuple[list[Line], Responses]:
    """Lines of all factors, and their responses with the mean shifts, for those that have one."""
    lines: list[Line] = []
    responses: dict[str, tuple[Response, FloatArray]] = {}
    for factor in factors:
        if not all(level.cell for level in factor.levels):
            lines.append(Line(factor, why="not run alone: add the design one-at-a-time"))
            continue
        line, response, shifts = line_of(factor, *differences.at_levels(factor, runs), rng)
        lines.append(line)
        if response is not None:
            responses[factor.label] = (response, shifts)
    return lines, responses


def _indices(
    results: FactorTables,
    estimator: str,
    rows: pd.DataFrame,
    runs: pd.DataFrame,
    rng: np.random.Generator,
) -> Indices | None:
    """Sobol' indices of the errors, where there is a cell for them."""
    for cell, sampling in results.samplings.items():
        if sampling.design == "saltelli":
            errors = rows[rows["cell"] == cell].set_index("realization")["e"]
            tried = attempts(runs, estimator, cell)["realization"]
            labels = tuple(factor.label for factor in results.factors)
            return indices_of(errors.reindex(tried), sampling, labels, rng)
    return None


def _together(
    results: FactorTables,
    factors: Sequence[StatedFactor],
    differences: Differences,
    alone_: tuple[Sequence[Line], Responses],
    known: Amount,
    rng: np.random.Generator,
) -> Together:
    joint = [cell for cell in results.samplings if cell not in results.unpaired]
    if not joint:
        why = "what all factors do together was not measured: add the design joint"
        return Together(notes=(why,))
    cell, sampling = joint[0], results.samplings[joint[0]]
    change = differences.of(cell).dropna()
    table, points = by_point(change, sampling.replicates)
    u = np.array([sampling.coordinates(p * sampling.replicates) for p in points])
    u = u.reshape(len(points), len(factors))
    lines, responses = alone_
    if tuple(factors) != tuple(results.factors) and len(points):
        return reweighted(results.factors, factors, u, table, responses, known, lines)
    labels = [factor.label for factor in results.factors]
    mean = mean_shift(labels, u, np.nanmean(table, axis=1), responses)
    if sampling.replicates < 2:
        why = "one catalogue a point: the noise of realisations cannot be told from the spread (replicates = 2)"
        return Together(mean=mean, n=len(points), notes=(why,))
    whole = np.isfinite(table).all(axis=1)
    if np.count_nonzero(whole) < FEWEST:
        why = f"{np.count_nonzero(whole)} complete points of {cell}: a spread needs {FEWEST}"
        return Together(mean=mean, n=int(np.count_nonzero(whole)), notes=(why,))
    lost = int(np.count_nonzero(~whole))
    notes = (f"{lost} of {len(points)} points of {cell} lost",) if lost else ()
    table, u = table[whole], u[whole]
    found = interactions(labels, u, table.mean(axis=1), responses)
    if isinstance(found, str):
        notes, found = (*notes, found), ()
    spread = spread_of_points(table, alone(labels, u, responses), known, rng)
    return Together(spread, mean, len(table), found, notes)
