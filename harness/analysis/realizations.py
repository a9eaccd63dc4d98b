"""Errors of one quantity, realisation by realisation: what budgets, predictions and rankings are made of.

Errors e are those of the scores: estimate minus truth, as a fraction of the truth for positive scales.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from haloassay.analysis.query import (
    NEAR_TRUTH,
    SCALE,
    ResultTables,
    as_frame,
    errors_of,
    open_tables,
)
from haloassay.base.arrays import FloatArray, IntArray
from haloassay.base.errors import InputError
from haloassay.base.settings import unknown
from haloassay.contracts.factors import StatedFactor

if TYPE_CHECKING:
    import pandas as pd

#: Factor within which numbers of several estimators are at one radius. M(<r) of a halo changes by a fifth over it;
#: root mean square errors of the league, each against the truth at its own radius, by a tenth, as much as they are
#: known to.
NEAR: Final = 1.3


class FactorTables(ResultTables, Protocol):
    """Results of a run whose cells differ by factors."""

    @property
    def base_cell(self) -> str:
        """The cell that others are compared with."""

    @property
    def factors(self) -> Sequence[StatedFactor]:
        """What varies between the cells."""

    @property
    def samplings(self) -> Mapping[str, Any]:
        """Points of the cells that draw all factors, by cell."""

    @property
    def catalogues(self) -> Mapping[str, int]:
        """How many catalogues each cell has once the run is complete."""


def read(
    results: ResultTables, quantity: str, what: str
) -> tuple[pd.DataFrame, pd.DataFrame, tuple[str, ...]]:
    """Errors of one quantity in all realisations.

    Parameters
    ----------
    results, quantity
        Of which run, and of what.
    what
        What asks, at the beginning of a refusal.

    Returns
    -------
    rows
        One row a (cell, realisation, estimator, bin): ``r``, ``r_lo``, ``r_hi`` [kpc], ``e``, ``half`` (half width of
        the 68 per cent interval), its ends ``lo68``, ``hi68``, ``lo95``, ``hi95`` less the truth, all on the scale of
        ``e``, and ``in68``, ``in95``: whether the intervals hold the truth.
    runs
        How runs of estimators ended: cell, realisation, estimator, status, n_stars.
    estimators
        Those that yield the quantity anywhere.

    Raises
    ------
    InputError
        If the results do not speak of the quantity, or nobody yields it.
    """
    if quantity not in results.quantities:
        raise unknown("quantity", quantity, results.quantities, what)
    ends = ", ".join(
        f"sound(({end} - {NEAR_TRUTH}) / ({SCALE})) AS {end}"
        for end in ("lo68", "hi68", "lo95", "hi95")
    )
    query = f"""
        SELECT cell, realization, estimator, bin, r, r_lo, r_hi, e, half, in68, in95, {ends}
        FROM ({errors_of("(SELECT * FROM scaled WHERE quantity = $quantity)")})
        ORDER BY cell, estimator, bin, realization
    """
    with open_tables(results) as tables:
        rows = as_frame(tables.execute(query, {"quantity": quantity}))
        runs = as_frame(
            tables.sql("SELECT cell, realization, estimator, status, n_stars FROM runs")
        )
    if not len(rows):
        raise InputError(f"no estimator of the run yields {quantity}")
    return rows, runs, tuple(dict.fromkeys(rows["estimator"]))


def chosen(estimator: str | None, known: Sequence[str], where: str) -> Sequence[str]:
    """Estimators that are asked for: one, or all of those that are known.

    Raises
    ------
    InputError
        If it is none of them.
    """
    if estimator is None:
        return known
    if estimator not in known:
        raise unknown("estimator", estimator, known, where)
    return [estimator]


def cell_of(results: FactorTables, cell: str | None, where: str) -> str:
    """Cell that is asked for: the base, or the first, by default.

    Raises
    ------
    InputError
        If there is no such cell.
    """
    cells = [str(each) for each in results.cells["cell"]]
    cell = cell or ("base" if "base" in cells else cells[0])
    if cell not in cells:
        raise unknown("cell", cell, cells, where)
    return cell


def bin_at(rows: pd.DataFrame, r: float | None, where: str) -> int:
    """Bin of a radius: the one that holds it, or whose own radius is nearest, within half the way to the next.

    Parameters
    ----------
    rows
        Of one estimator in one cell.
    r
        Radius [kpc]; None where there is one bin only.
    where
        Beginning of a refusal.

    Raises
    ------
    InputError
        If there is no such bin, or this is no radius.
    """
    return bin_among(bins_of(rows, ["bin"]), r, where)


def bins_of(rows: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Radii of bins: columns ``r``, ``lo`` and ``hi`` [kpc], indexed ``by`` these columns."""
    return rows.groupby(by).agg(r=("r", "median"), lo=("r_lo", "min"), hi=("r_hi", "max"))


def bin_among(bins: pd.DataFrame, r: float | None, where: str) -> int:
    """Choose the bin of a radius as :func:`bin_at` does, from the radii of bins by their numbers."""
    if r is None:
        return _only(bins, where)
    bins = _with_radii(bins, r, where)
    inside = bins[(bins["lo"] <= r) & (r < bins["hi"])]
    if len(inside):
        return int(inside.index[0])
    bins = bins.sort_values("r")
    ln = np.log(bins["r"].to_numpy())
    reach = np.diff(ln).max() / 2.0 if len(ln) > 1 else np.log(1.1)
    if not ln[0] - reach <= np.log(r) <= ln[-1] + reach:
        ends = f"{bins['r'].iloc[0]:.3g} to {bins['r'].iloc[-1]:.3g} kpc"
        raise InputError(f"{where}: {r:g} kpc is outside its radii, {ends}")
    return int(bins.index[int(np.argmin(np.abs(ln - np.log(r))))])


def bin_near(bins: pd.DataFrame, r: float | None, where: str) -> int:
    """Bin that can be compared with those of others at a radius: its own is within a factor :data:`NEAR` of it.

    Of several the one that holds it, or the nearest.

    Raises
    ------
    InputError
        If there is no such bin, or this is no radius.
    """
    if r is None:
        return _only(bins, where)
    bins = _with_radii(bins, r, where)
    off = np.abs(np.log(bins["r"] / r))
    near = bins[off <= np.log(NEAR)]
    if not len(near):
        listed = ", ".join(f"{x:.3g}" for x in sorted(bins["r"]))
        raise InputError(f"{where}: states {listed} kpc, none within a factor {NEAR:g} of {r:g}")
    inside = near[(near["lo"] <= r) & (r < near["hi"])]
    return int(off[(inside if len(inside) else near).index].idxmin())


def _only(bins: pd.DataFrame, where: str) -> int:
    """Bin where no radius is asked for."""
    if len(bins) > 1:
        listed = ", ".join(f"{x:.3g}" for x in bins["r"])
        raise InputError(f"{where}: there are several radii: choose one ({listed} kpc)")
    if not len(bins):
        raise InputError(f"{where}: has no estimate there")
    return int(bins.index[0])


def _with_radii(bins: pd.DataFrame, r: float, where: str) -> pd.DataFrame:
    """Bins that have a radius, at least one."""
    require_radius(r, where)
    if not len(bins):
        raise InputError(f"{where}: has no estimate there")
    bins = bins.dropna(subset="r")
    if not len(bins):
        raise InputError(f"{where}: has no radius")
    return bins


def require_radius(r: float | None, where: str) -> None:
    """Refuse what cannot be a radius [kpc]; none is asked for where it is None.

    Raises
    ------
    InputError
        If it is not above 0, or not finite.
    """
    if r is not None and not 0.0 < r < np.inf:
        raise InputError(f"{where}: a radius is above 0 kpc and finite (got {r:g})")


def missing(results: FactorTables, runs: pd.DataFrame, cells: Iterable[str]) -> list[str]:
    """Say how many catalogues are there of those that are planned in some cells; nothing where all are."""
    cells = set(cells)
    planned = sum(results.catalogues[cell] for cell in cells)
    mine = runs.loc[runs["cell"].isin(cells), ["cell", "realization"]]
    there = len(mine.drop_duplicates())
    if there >= planned:
        return []
    return [f"the run is not complete: {there} of {planned} planned catalogues are there"]


def attempts(runs: pd.DataFrame, estimator: str, cell: str) -> pd.DataFrame:
    """Choose the runs of an estimator in a cell that had a mock, by realisation."""
    here = runs[(runs["estimator"] == estimator) & (runs["cell"] == cell)]
    return here[here["status"] != "no-mock"].sort_values("realization")


class Differences:
    """Differences of errors from the base, realisation by realisation.

    Parameters
    ----------
    rows
        Of one estimator and bin: ``cell``, ``realization``, ``e``.
    angle
        Whether errors are angles.
    """

    def __init__(self, rows: pd.DataFrame, angle: bool) -> None:
        groups = rows.groupby("cell")
        self.errors = {str(cell): g.set_index("realization")["e"] for cell, g in groups}
        self.angle = angle

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

    def at_levels(self, factor: StatedFactor, runs: pd.DataFrame) -> tuple[FloatArray, IntArray]:
        """Differences (n, k) at a factor's levels, and how many pairs (k,) were tried.

        Parameters
        ----------
        factor
            Whose levels each have a cell.
        runs
            Those of the estimator: a pair was tried where both had a mock.
        """
        import pandas as pd

        tried = {cell: set(rows["realization"]) for cell, rows in runs.groupby("cell")}
        base = tried.get("base", set())
        pairs = [len(base & tried.get(level.cell, set())) for level in factor.levels]
        columns = [self.of(level.cell) for level in factor.levels]
        return np.asarray(pd.concat(columns, axis=1), dtype=float), np.array(pairs, dtype=np.int64)
