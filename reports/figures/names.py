"""What a figure compares: which cells, and what they are called; which bins are none of radius."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from haloassay.analysis.maps import MAPPED, CellMap
from haloassay.contracts.factors import StatedFactor

#: Cells that one figure can tell apart; of a run with more, the base is drawn.
MOST_CELLS: Final = 6


@dataclass(frozen=True)
class CellNames:
    """What to call some cells.

    Parameters
    ----------
    title
        What they differ in: the label of a factor, or "cell"; empty where there is one cell only.
    labels
        What each is called, in the order of the run.
    """

    title: str
    labels: dict[str, str]

    @property
    def cells(self) -> list[str]:
        """Cells, in the order of the run."""
        return list(self.labels)


def cell_names(cells: Iterable[str], factors: Sequence[StatedFactor] = ()) -> CellNames:
    """Call cells that are levels of one factor by the labels of the levels, and others as the run does.

    Parameters
    ----------
    cells
        What is shown.
    factors
        What varies in the run.
    """
    shown = list(dict.fromkeys(cells))
    if len(shown) < 2:
        return CellNames("", {cell: cell for cell in shown})
    for factor in factors:
        levels = {level.cell: level.label for level in factor.levels if level.cell}
        known = {"base": _base_label(factor.base), **levels}
        if set(shown) <= set(known):
            ranked = sorted(shown, key=lambda cell: _place(factor, cell))
            return CellNames(factor.label, {cell: known[cell] for cell in ranked})
    return CellNames("cell", {cell: cell for cell in shown})


def _place(factor: StatedFactor, cell: str) -> float:
    """Where a cell stands among levels that are numbers; others stay in the order of the run."""
    positions = factor.positions
    if (
        positions is None
        or isinstance(factor.base, bool)
        or not isinstance(factor.base, int | float)
    ):
        return 0.0
    of = {level.cell: x for level, x in zip(factor.levels, positions, strict=True)}
    return float(of.get(cell, factor.base))


def _base_label(value: Any) -> str:
    """Label of a value that is no level of its factor; tables of settings are no labels."""
    is_plain = isinstance(value, str | int | float) and not isinstance(value, bool)
    return f"{value:g} (base)" if is_plain and not isinstance(value, str) else "base"


def compared_cells(cells: Collection[str], base: str, sampled: Collection[str] = ()) -> list[str]:
    """Cells that one figure shows: those of fixed levels, or the base, where they are too many."""
    fixed = [cell for cell in cells if cell not in sampled]
    return fixed if 0 < len(fixed) <= MOST_CELLS else [base]


def scattered(maps: Mapping[tuple[str, str], CellMap], quantity: str) -> set[str]:
    """Estimators whose bins of a quantity are cells of a map, which no line joins."""
    return {estimator for _, estimator in maps} if quantity in MAPPED else set()
