"""Budgets of systematic errors: what each factor does to an estimate, and what all of them do together.

Errors e are those of the scores: estimate minus truth, as a fraction of the truth for positive scales. Shifts are mean
differences of e between a cell and the base, realisation by realisation on the same random numbers. Contributions are
standard deviations under the priors of the factors, which is what adds in quadrature; noise of the finite number of
realisations is taken out of them, and their errors are those of a bootstrap over realisations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

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
from haloassay.analysis.pairs import NOTABLE_LOSS
from haloassay.analysis.query import ResultTables, as_frame, difference, open_tables
from haloassay.analysis.responses import Response
from haloassay.base.arrays import FloatArray
from haloassay.base.errors import InputError
from haloassay.base.settings import unknown
from haloassay.contracts.factors import StatedFactor
from haloassay.contracts.quantities import Quantity

if TYPE_CHECKING:
    import pandas as pd


class BudgetTables(ResultTables, Protocol):
    """What a budget reads of a run."""

    @property
    def base_cell(self) -> str:
        """The cell that others are compared with."""

    @property
    def factors(self) -> Sequence[StatedFactor]:
        """What varies between the cells."""

    @property
    def samplings(self) -> Mapping[str, Any]:
        """Points of the cells that draw all factors, by cell."""


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
    notes: tuple[str, ...] = ()

    @property
    def systematic(self) -> Amount:
        """Contribution of all factors: measured together where that was done, else in quadrature."""
        return self.together.sd if np.isfinite(self.together.sd.value) else self.quadrature

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
    results: BudgetTables, quantity: str, r: float | None = None, estimator: str | None = None
) -> list[Budget]:
    """Budgets of a quantity, one an estimator.

    Parameters
    ----------
    results
        A run whose matrix has factors; levels of design ``one-at-a-time`` give each factor's part, design ``joint``,
        ``sobol`` or ``latin-hypercube`` what they do together.
    quantity, r, estimator
        Name; radius [kpc] of the bin, needed where there are several; all estimators by default.

    Raises
    ------
    InputError
        If the run has no base or no factors, nobody yields the quantity, or no bin is near the radius.
    """
    if quantity not in results.quantities:
        raise unknown("quantity", quantity, results.quantities, "budget")
    if not results.factors:
        raise InputError("the run has no factors: a budget needs a [matrix]")
    if results.base_cell != "base":
        raise InputError(
            "the run has no base cell, which a budget compares with: add 'one-at-a-time' to its designs"
        )
    rows, runs = _read(results, quantity)
    if not len(rows):
        raise InputError(f"no estimator of the run yields {quantity}")
    found = []
    names = list(dict.fromkeys(rows["estimator"]))
    if estimator is not None:
        if estimator not in names:
            raise unknown("estimator", estimator, names, f"budget of {quantity}")
        names = [estimator]
    for name in names:
        mine = rows[rows["estimator"] == name]
        number = _bin_at(mine[mine["cell"] == "base"], quantity, name, r)
        here = runs[runs["estimator"] == name]
        found.append(_budget(results, name, quantity, mine[mine["bin"] == number], here))
    return found


def _read(results: BudgetTables, quantity: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Errors of one quantity in all realisations, and how the runs of its estimators ended."""
    half = (
        "(hi68 - lo68) / 2 / CASE scale_of(quantity) WHEN 'fractional' THEN abs(truth) ELSE 1 END"
    )
    query = f"""
        SELECT cell, realization, estimator, bin, r, r_lo, r_hi, sound({difference("value", "truth")}) AS e,
            sound({half}) AS half
        FROM estimates WHERE quantity = $quantity ORDER BY cell, realization
    """
    with open_tables(results) as tables:
        rows = as_frame(tables.execute(query, {"quantity": quantity}))
        runs = as_frame(
            tables.sql("SELECT cell, realization, estimator, status, n_stars FROM runs")
        )
    return rows, runs


def _bin_at(rows: pd.DataFrame, quantity: str, estimator: str, r: float | None) -> int:
    """Bin of a radius: the one that holds it, or whose own radius is nearest, within half the way to the next."""
    bins = rows.groupby("bin").agg(r=("r", "median"), lo=("r_lo", "min"), hi=("r_hi", "max"))
    where = f"budget of {quantity} by {estimator}"
    if not len(bins):
        raise InputError(f"{where}: no estimate in the base cell")
    if r is None:
        if len(bins) > 1:
            listed = ", ".join(f"{x:.3g}" for x in bins["r"])
            raise InputError(f"{where}: there are several radii: choose one ({listed} kpc)")
        return int(bins.index[0])
    if not bins["r"].notna().any():
        raise InputError(f"{where}: has no radius")
    inside = bins[(bins["lo"] <= r) & (r < bins["hi"])]
    if len(inside):
        return int(inside.index[0])
    bins = bins.dropna(subset="r").sort_values("r")
    ln = np.log(bins["r"].to_numpy())
    reach = np.diff(ln).max() / 2.0 if len(ln) > 1 else np.log(1.1)
    if not r > 0.0 or not ln[0] - reach <= np.log(r) <= ln[-1] + reach:
        raise InputError(
            f"{where}: {r:g} kpc is outside its radii, {bins['r'].iloc[0]:.3g} to {bins['r'].iloc[-1]:.3g} kpc"
        )
    return int(bins.index[int(np.argmin(np.abs(ln - np.log(r))))])


def _budget(
    results: BudgetTables, estimator: str, quantity: str, rows: pd.DataFrame, runs: pd.DataFrame
) -> Budget:
    rng = np.random.default_rng(0)  # a bootstrap, the same whenever the budget is read
    base = rows[rows["cell"] == "base"].set_index("realization")
    e, half = base["e"].dropna().to_numpy(), base["half"].dropna().to_numpy()
    attempts = runs[(runs["cell"] == "base") & (runs["status"] != "no-mock")]
    errors = {str(cell): g.set_index("realization")["e"] for cell, g in rows.groupby("cell")}
    angle = results.quantities[quantity].scale == "angle"
    differences = _Differences(errors, angle)
    notes = []
    if len(e) < FEWEST:
        notes.append(f"{len(e)} realisations of the base: errors need {FEWEST}")
    if len(attempts) - len(e) > NOTABLE_LOSS * len(attempts):
        notes.append(f"{len(attempts) - len(e)} of {len(attempts)} base realisations have no value")
    lines, responses = _lines(results.factors, differences, rng)
    known = [line for line in lines if np.isfinite(line.sd.value)]
    parts = quadrature([line.sd for line in known])
    left_out = [line.factor.label for line in lines if line not in known]
    if left_out and known:
        notes.append(f"in quadrature without {', '.join(left_out)}")
    together = _together(results, differences, responses, parts, rng)
    return Budget(
        estimator=estimator,
        quantity=results.quantities[quantity],
        bin=int(rows["bin"].iloc[0]),
        r=float(base["r"].median()),
        r_lo=float(base["r_lo"].min()),
        r_hi=float(base["r_hi"].max()),
        n=len(e),
        n_attempted=len(attempts),
        n_stars=float(attempts["n_stars"].median()),
        stated=mean_of(half),
        found=scatter_of(e, rng),
        bias=mean_of(e),
        lines=tuple(sorted(lines, key=lambda line: -np.nan_to_num(line.sd.value, nan=-1.0))),
        quadrature=parts,
        together=together,
        notes=(*notes, *together.notes),
    )


class _Differences:
    """Differences of errors from the base, realisation by realisation."""

    def __init__(self, errors: Mapping[str, pd.Series[float]], angle: bool) -> None:
        self.errors, self.angle = errors, angle

    def of(self, cell: str) -> pd.Series[float]:
        """Differences of a cell by realisation; NaN where one of the two has no error."""
        import pandas as pd

        base = self.errors.get("base", pd.Series(dtype=float))
        if cell == "base":
            return base * 0.0
        both = pd.concat([self.errors.get(cell, pd.Series(dtype=float)), base], axis=1)
        change = both.iloc[:, 0] - both.iloc[:, 1]
        change = change.where(both.notna().any(axis=1))
        return change - 360.0 * (change / 360.0).round() if self.angle else change

    def at_levels(self, factor: StatedFactor) -> FloatArray:
        """Differences (n, k) of the cells of a factor's levels."""
        import pandas as pd

        columns = [self.of(level.cell) for level in factor.levels]
        return np.asarray(pd.concat(columns, axis=1), dtype=float)


def _lines(
    factors: Sequence[StatedFactor], differences: _Differences, rng: np.random.Generator
) -> tuple[list[Line], Responses]:
    """Lines of all factors, and their responses with the mean shifts, for those that have one."""
    lines: list[Line] = []
    responses: dict[str, tuple[Response, FloatArray]] = {}
    for factor in factors:
        if not all(level.cell for level in factor.levels):
            lines.append(Line(factor, why="not run alone: add the design one-at-a-time"))
            continue
        line, response, shifts = line_of(factor, differences.at_levels(factor), rng)
        lines.append(line)
        if response is not None:
            responses[factor.label] = (response, shifts)
    return lines, responses


def _together(
    results: BudgetTables,
    differences: _Differences,
    responses: Responses,
    known: Amount,
    rng: np.random.Generator,
) -> Together:
    joint = [cell for cell in results.samplings if cell not in results.unpaired]
    if not joint:
        why = "what all factors do together was not measured: add the design joint"
        return Together(notes=(why,))
    cell, sampling = joint[0], results.samplings[joint[0]]
    change = differences.of(cell).dropna()
    points = np.array([sampling.point(int(i)) for i in change.index], dtype=int)
    by_point = {p: change.to_numpy()[points == p] for p in np.unique(points)}
    u = np.array([sampling.coordinates(p * sampling.replicates) for p in by_point])
    labels = [factor.label for factor in results.factors]
    averages = np.array([group.mean() for group in by_point.values()])
    mean = mean_shift(labels, u, averages, responses)
    if sampling.replicates < 2:
        why = "one catalogue a point: the noise of realisations cannot be told from the spread (replicates = 2)"
        return Together(mean=mean, n=len(by_point), notes=(why,))
    whole = {p: group for p, group in by_point.items() if len(group) == sampling.replicates}
    if len(whole) < FEWEST:
        why = f"{len(whole)} complete points of {cell}: a spread needs {FEWEST}"
        return Together(mean=mean, n=len(whole), notes=(why,))
    lost = len(by_point) - len(whole)
    notes = (f"{lost} of {len(by_point)} points of {cell} lost",) if lost else ()
    table = np.array(list(whole.values()))
    u = u[[p in whole for p in by_point]]
    found = interactions(labels, u, table.mean(axis=1), responses)
    if isinstance(found, str):
        notes, found = (*notes, found), ()
    spread = spread_of_points(table, alone(labels, u, responses), known, rng)
    return Together(spread, mean, len(table), found, notes)
