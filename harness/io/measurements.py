"""Tables of measurements: what ``haloassay measure --format csv`` writes, or a small table out of a paper."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from haloassay.base.errors import InputError
from haloassay.base.settings import unknown
from haloassay.contracts.measurements import Measurement
from haloassay.contracts.quantities import Quantity, known_quantities
from haloassay.io.csv_rows import csv_rows

_MEASURED: Final = ("value", "error", "lo68", "hi68")
_PLACES: Final = ("r", "r_lo", "r_hi")
_MISSING: Final = ("", "nan", "null", "none")
#: Lines of a table that are read.
_MOST: Final = 10_000


def read_measurements(
    path: str | Path, known: Mapping[str, Quantity] | None = None, only: str = ""
) -> tuple[Measurement, ...]:
    """Read measurements in a CSV file, one a row.

    Parameters
    ----------
    path
        File with the columns ``quantity``, ``value``, and ``error`` or ``lo68`` and ``hi68``; where there are any
        ``estimator``, ``r`` or ``r_lo`` and ``r_hi`` [kpc], ``unit`` (as astropy has it; by default that of the
        quantity) and ``note``. Others are not read. Lines that begin with # are comments.
    known
        Quantities by name; those of this package and of other distributions by default.
    only
        Name of the quantity whose rows are read; all by default.

    Raises
    ------
    InputError
        If the file cannot be read, a quantity is unknown, a unit does not become its own, a number is none, a row
        cannot be meant or stands twice, or there is none; the message names file and line.
    """
    rows = list(_rows(path))
    known = known_quantities() if known is None else known
    if only and rows and all(row["quantity"] != only for _, row in rows):
        names = ", ".join(dict.fromkeys(row["quantity"] for _, row in rows))
        raise InputError(f"{path}: has no row of {only} (it has {names})")
    found: dict[tuple[object, ...], Measurement] = {}
    for line, row in rows:
        name, where = row["quantity"], f"{path}: line {line}"
        if only and name != only:
            continue
        if name not in known:
            raise unknown("quantity", name, known, where)
        measured = _measurement(row, known[name], line, where)
        key = (measured.estimator, name, *(str(getattr(measured, place)) for place in _PLACES))
        if key in found:
            raise InputError(f"{where}: {measured} stands twice")
        found[key] = measured
    if not found:
        raise InputError(f"{path}: has no rows")
    return tuple(found.values())


def _rows(path: str | Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Lines of the table with their numbers, by the names of the head."""
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not text (UTF-8)") from None
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}"
        ) from None
    if len(lines) > _MOST:
        raise InputError(f"{path}: has {len(lines)} lines (a table has at most {_MOST})")
    plain = ["" if line.lstrip().startswith("#") else line for line in lines]
    return csv_rows(plain, str(path), lambda head: _require_columns(head, str(path)))


def _require_columns(head: list[str], where: str) -> None:
    lacks = [name for name in ("quantity", "value") if name not in head]
    if "error" not in head and not {"lo68", "hi68"} <= set(head):
        lacks.append("error (or lo68 and hi68)")
    if lacks:
        raise InputError(f"{where}: has no column {', '.join(lacks)} (it has {', '.join(head)})")
    if len(set(head)) < len(head):
        raise InputError(f"{where}: a column stands twice: {', '.join(head)}")


def _measurement(row: Mapping[str, str], quantity: Quantity, line: int, where: str) -> Measurement:
    factor = _factor(row.get("unit", ""), quantity, where)
    value, error, lo, hi = (factor * _number(row.get(k, ""), k, where) for k in _MEASURED)
    r, r_lo, r_hi = (_number(row.get(name, ""), name, where) for name in _PLACES)
    _require_places(r, r_lo, r_hi, where)
    if math.isfinite(lo) != math.isfinite(hi):
        raise InputError(f"{where}: has one end of its interval only")
    if math.isfinite(lo) and math.isfinite(value) and not lo <= value <= hi:
        raise InputError(f"{where}: {value:g} is outside of its interval, {lo:g} to {hi:g}")
    if math.isnan(error):
        error = 0.5 * (hi - lo)
    if error <= 0.0:
        raise InputError(f"{where}: {quantity.name}: the error is not above 0 (got {error:g})")
    note = row.get("note", "")
    if math.isnan(value) and not note:
        raise InputError(f"{where}: {quantity.name} has no value, and no note that says why")
    label = row.get("estimator", "")
    measured = Measurement(quantity.name, value, error, label, r, r_lo, r_hi, lo, hi, note, line)
    if quantity.scale == "fractional" and min(value, lo) <= 0.0:
        raise InputError(f"{where}: {quantity.name} is a positive scale (got {min(value, lo):g})")
    return measured


def _require_places(r: float, lo: float, hi: float, where: str) -> None:
    if r <= 0.0:
        raise InputError(f"{where}: r must be > 0 (got {r:g})")
    if math.isfinite(lo) != math.isfinite(hi) or lo >= hi or lo < 0.0:
        raise InputError(f"{where}: of a bin r_lo is below r_hi (got {lo:g} and {hi:g})")


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
