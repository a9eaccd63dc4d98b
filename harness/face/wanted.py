"""What a user wants drawn of a run, and the rows of a table that are that."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final

from haloassay.base.errors import HaloassayWarning, InputError
from haloassay.base.settings import unknown

if TYPE_CHECKING:
    import pandas as pd

    from haloassay.contracts.measurements import Measurement
    from haloassay.reports.figures.names import CellNames
    from haloassay.results.results import Results

#: Kinds whose axis is a quantity; the others show all quantities where none is chosen.
_OF_A_QUANTITY: Final = ("bias", "cloud", "budget", "sky", "profile")
#: Kinds that compare cells by colours; the others have a panel for each.
_COMPARING: Final = ("bias", "coverage", "profile")


def warn(text: str) -> None:
    """Say what the user should know of a figure although it is drawn."""
    warnings.warn(text, HaloassayWarning, stacklevel=3)


def listed(names: str | Sequence[str]) -> tuple[str, ...]:
    """One name or several, each once."""
    return (names,) if isinstance(names, str) else tuple(dict.fromkeys(names))


@dataclass(frozen=True)
class Wanted:
    """What is to be drawn of which results.

    Parameters
    ----------
    results
        Of which run.
    kind
        Which figure.
    quantities, estimators, cells, r
        As they were asked for; empty, or None, where nothing was said.
    published
        Measurements to be drawn beside, by what to call them.

    Raises
    ------
    InputError
        If the run has no such estimator or cell, or the kind needs a quantity.
    """

    results: Results
    kind: str
    quantities: tuple[str, ...] = ()
    estimators: tuple[str, ...] = ()
    cells: tuple[str, ...] = ()
    r: float | None = None
    published: Mapping[str, Sequence[Measurement]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind in _OF_A_QUANTITY and not self.quantities:
            raise InputError(f"{self.where}: needs a quantity (--quantity)")
        known = [str(each["estimator"]) for each in self.results.description["estimators"]]
        for name in self.estimators:
            if name not in known:
                raise unknown("estimator", name, known, self.where)
        for name in self.cells:
            if name not in self._every_cell:
                raise unknown("cell", name, self._every_cell, self.where)

    @property
    def where(self) -> str:
        """Beginning of a refusal."""
        return f"figure {self.kind}"

    @property
    def quantity(self) -> str:
        """The one quantity.

        Raises
        ------
        InputError
            If there are several.
        """
        if len(self.quantities) != 1:
            raise InputError(f"{self.where}: is of one quantity (got {', '.join(self.quantities)})")
        return self.quantities[0]

    @property
    def _every_cell(self) -> list[str]:
        return [str(cell) for cell in self.results.cells["cell"]]

    @cached_property
    def names(self) -> CellNames:
        """Cells that are drawn, in the order of the run, and what to call them."""
        from haloassay.reports.figures.names import cell_names, compared_cells

        shown = [cell for cell in self._every_cell if cell in self.cells]
        base = self.results.base_cell
        if not shown and self.kind in _COMPARING:
            shown = compared_cells(self._every_cell, base, self.results.samplings)
            if len(shown) == 1 < len(self._every_cell):
                many = f"{self.where}: of {len(self._every_cell)} cells, {base} is drawn"
                warn(f"{many}; --cell chooses others")
        return cell_names(shown or [base], self.results.factors)

    def of(self, frame: pd.DataFrame, lacks: str = "has no value") -> pd.DataFrame:
        """Rows of a table that are asked for, at all radii.

        Parameters
        ----------
        frame
            With columns cell, estimator and quantity.
        lacks
            What is wrong with an estimator that has no row.

        Raises
        ------
        InputError
            If nobody yields a quantity, or an estimator has no row.
        """
        yielded = [str(name) for name in dict.fromkeys(frame["quantity"]) if name]
        if not yielded:
            raise InputError(f"{self.where}: no estimator of the run: each {lacks}")
        for name in self.quantities:
            if name not in yielded:
                raise unknown("quantity", name, yielded, self.where)
        if self.quantities:
            frame = frame[frame["quantity"].isin(list(self.quantities))]
        frame = frame[frame["cell"].isin(self.names.cells)]
        for name in self.estimators:
            if name not in set(frame["estimator"]):
                others = ", ".join(dict.fromkeys(frame["estimator"]))
                these = f" (others: {others})" if others else ""
                raise InputError(f"{self.where}: {name} {lacks}{these}")
        if self.estimators:
            frame = frame[frame["estimator"].isin(list(self.estimators))]
        return frame

    def narrowed(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Rows of a table without edges of bins, of the bins that :meth:`at_radius` finds in the scores."""
        keys = ["cell", "estimator", "quantity", "bin"]
        return frame.merge(self.at_radius(self.of(self.results.table()))[keys], on=keys)

    def at_radius(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Rows of the bin at the radius, or of the only one, of each cell, estimator and quantity.

        Estimators that have none are left out and named, unless they were asked for.

        Raises
        ------
        InputError
            If there is no such bin, or there are several and no radius was given.
        """
        import pandas as pd

        from haloassay.analysis.realizations import bin_at

        kept, refusals = [], []
        for key, rows in frame.groupby(["cell", "estimator", "quantity"], sort=False):
            try:
                number = bin_at(rows, self.r, f"{self.where}: {key[2]} by {key[1]}")
            except InputError as error:
                refusals.append(str(error))
                continue
            kept.append(rows[rows["bin"] == number])
        if not kept or (refusals and self.estimators):
            raise InputError(refusals[0] if refusals else f"{self.where}: has no estimate there")
        for refusal in dict.fromkeys(refusals):
            warn(f"{refusal}: left out")
        return pd.concat(kept)
