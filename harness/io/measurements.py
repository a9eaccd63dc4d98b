"""Measurements in tables: a quantity, where, its value and 68 per cent interval, as `measure` or a paper gives them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from haloassay.base.errors import InputError
from haloassay.contracts.quantities import Quantity

if TYPE_CHECKING:
    import pandas as pd

_NEEDED: Final = ("quantity", "value", "lo68", "hi68")
_MISSING: Final = ("", "nan", "null", "none")


@dataclass(frozen=True)
class Measured:
    """A measured value, in the unit of its quantity.

    Parameters
    ----------
    row
        Where it stands in its file, from 1.
    r
        Radius [kpc]; NaN where there is none.
    value, lo68, hi68
        Value and interval; NaN where it was not determined, or no interval is stated.
    note
        What the file says of it.
    """

    row: int
    r: float
    value: float
    lo68: float
    hi68: float
    note: str = ""


def read_measurement(path: Path, quantity: Quantity) -> list[Measured]:
    """Read the rows of one quantity in a CSV file.

    Parameters
    ----------
    path
        File with the columns ``quantity``, ``value``, ``lo68``, ``hi68``, and where there are any ``r`` [kpc], ``unit``
        (as astropy has it; by default that of the quantity) and ``note``. Others are not read.
    quantity
        Which.

    Raises
    ------
    InputError
        If the file is none, has no such rows, or a row cannot be meant.
    """
    table = _table(path)
    missing = [name for name in _NEEDED if name not in table]
    if missing:
        raise InputError(
            f"{path}: has no column {', '.join(missing)} (needed: {', '.join(_NEEDED)}; and r, unit)"
        )
    names = list(dict.fromkeys(table["quantity"]))
    if quantity.name not in names:
        raise InputError(f"{path}: has no row of {quantity.name} (it has {', '.join(names)})")
    told: list[dict[str, str]] = [
        {str(k): v for k, v in row.items()} for row in table.to_dict("records")
    ]
    rows = enumerate(told, start=1)
    found = [
        _measured(row, k, path, quantity) for k, row in rows if row["quantity"] == quantity.name
    ]
    places = [each.r for each in found if math.isfinite(each.r)]
    if len(set(places)) < len(places):
        raise InputError(f"{path}: a radius of {quantity.name} stands twice")
    return found


def _table(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        table = pd.read_csv(
            path, dtype=str, keep_default_na=False, skipinitialspace=True, index_col=False
        )
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:  # pandas' own are of this kind, and those of bytes that are no text
        raise InputError(f"{path}: is no CSV table: {error}") from None
    table = table.rename(columns=str.strip)
    if not len(table):
        raise InputError(f"{path}: has no rows")
    return table.apply(lambda column: column.fillna("").str.strip())


def _measured(told: dict[str, str], row: int, path: Path, quantity: Quantity) -> Measured:
    where = f"{path}: row {row}"
    factor = _factor(told.get("unit", ""), quantity, where)
    r = _number(told.get("r", ""), "r", where)
    value, lo, hi = (
        factor * _number(told[name], name, where) for name in ("value", "lo68", "hi68")
    )
    if r <= 0.0:
        raise InputError(f"{where}: r must be > 0 (got {r:g})")
    if math.isfinite(lo) != math.isfinite(hi):
        raise InputError(f"{where}: has one end of its interval only")
    if math.isfinite(lo) and math.isfinite(value) and not lo <= value <= hi:
        raise InputError(f"{where}: {value:g} is outside of its interval, {lo:g} to {hi:g}")
    if quantity.scale == "fractional" and min(value, lo) <= 0.0:
        raise InputError(f"{where}: {quantity.name} is a positive scale (got {min(value, lo):g})")
    return Measured(row, r, value, lo, hi, told.get("note", ""))


def _number(text: str, name: str, where: str) -> float:
    if text.lower() in _MISSING:
        return math.nan
    try:
        found = float(text)
    except ValueError:
        raise InputError(f"{where}: {name}: expected a number (got {text!r})") from None
    if math.isinf(found):
        raise InputError(f"{where}: {name} must be finite")
    return found


def _factor(unit: str, quantity: Quantity, where: str) -> float:
    """Find what a value in a unit is multiplied with."""
    if unit in ("", quantity.unit):
        return 1.0
    from astropy import units

    try:
        return float(units.Unit(unit).to(units.Unit(quantity.unit)))
    except (ValueError, TypeError, units.UnitsError):
        wanted = quantity.unit or "no unit"
        raise InputError(
            f"{where}: unit {unit!r} does not become that of {quantity.name}, {wanted}"
        ) from None
