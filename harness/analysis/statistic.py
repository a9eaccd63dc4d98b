"""What a statistic of a claim is: which row of which table it reads, and what it finds."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, Protocol

from haloassay.analysis.overlap import DescribedResults, overlaps
from haloassay.analysis.pairs import NOTABLE_LOSS
from haloassay.analysis.realizations import FactorTables, bin_at, cell_of, chosen
from haloassay.base.errors import InputError
from haloassay.base.settings import unknown

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
        raise several(wanted.quantity, names)
    cell = cell_of(results, wanted.cell or None, where)
    rows = rows[(rows["estimator"] == names[0]) & (rows["cell"] == cell)]
    number = bin_at(rows, wanted.r, f"{where} by {names[0]} in {cell}")
    return rows[rows["bin"] == number].iloc[0]


def several(quantity: str, names: Any) -> InputError:
    """Ask for a choice where several estimators yield a quantity."""
    return InputError(
        f"statistic: several estimators yield {quantity}: choose one ({', '.join(names)})"
    )


def found_in(row: pd.Series[Any], name: str, form: Form, lost: int) -> Found:
    """Take a number and its Monte Carlo error from a row."""
    value, mcse = float(row[name]), float(row[f"{name}_mcse"])
    told = (str(row["quantity"]), str(row["unit"]), float(row["r"]), form)
    return Found(*told, value, mcse, int(row["n"]) if math.isfinite(value) else 0, lost)
