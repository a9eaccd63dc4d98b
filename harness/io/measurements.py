"""Tables of measurements: what ``haloassay measure --format csv`` writes, or a small table out of a paper."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from haloassay.base.errors import InputError
from haloassay.base.settings import unknown
from haloassay.contracts.measurements import Measurement
from haloassay.contracts.quantities import Quantity, known_quantities

#: Columns that are read; others, such as those of 95 per cent, are not.
COLUMNS: Final = (
    *(
        "estimator",
        "quantity",
        "r",
        "r_lo",
        "r_hi",
        "value",
        "error",
        "lo68",
        "hi68",
        "unit",
        "note",
    ),
)
_NUMBERS: Final = ("r", "r_lo", "r_hi", "value", "error", "lo68", "hi68")
#: Lines of a table that are read.
_MOST: Final = 10_000


def read_measurements(path: str | Path) -> tuple[Measurement, ...]:
    """Read measurements: CSV with columns ``quantity``, ``value``, and ``error`` or ``lo68`` and ``hi68``.

    Columns ``estimator`` (a label of the scenario), ``r``, or ``r_lo`` and ``r_hi`` [kpc], and ``unit`` may stand
    beside them. Lines that begin with # are comments; rows with a note in place of a value are left out.

    Raises
    ------
    InputError
        If the file cannot be read, a quantity is unknown or in another unit, a number is none, an error is not above
        0, a row comes twice, or nothing is left; the message names file and line.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not text (UTF-8)") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    lines = [
        (k, x) for k, x in enumerate(text.splitlines(), 1) if x.strip() and x.lstrip()[0] != "#"
    ]
    if not lines or len(lines) > _MOST:
        raise InputError(f"{path}: holds {len(lines)} lines of a table (allowed: 2 to {_MOST})")
    head = [name.strip() for name in next(csv.reader([lines[0][1]]))]
    _require_columns(head, str(path))
    known = known_quantities()
    found: dict[tuple[object, ...], Measurement] = {}
    for number, line in lines[1:]:
        where = f"{path}: line {number}"
        fields = [field.strip() for field in next(csv.reader([line]))]
        if len(fields) != len(head):
            raise InputError(f"{where}: has {len(fields)} fields, the head has {len(head)}")
        row = _measurement(dict(zip(head, fields, strict=True)), known, where)
        if row is None:
            continue
        place = (row.estimator, row.quantity, str(row.r), str(row.r_lo), str(row.r_hi))
        if place in found:
            raise InputError(f"{where}: {row} stands twice")
        found[place] = row
    if not found:
        raise InputError(f"{path}: has no row with a value")
    return tuple(found.values())


def _require_columns(head: list[str], where: str) -> None:
    lacks = [name for name in ("quantity", "value") if name not in head]
    if "error" not in head and not {"lo68", "hi68"} <= set(head):
        lacks.append("error (or lo68 and hi68)")
    if lacks:
        raise InputError(f"{where}: has no column {', '.join(lacks)} (it has {', '.join(head)})")
    if len(set(head)) < len(head):
        raise InputError(f"{where}: a column stands twice: {', '.join(head)}")


def _measurement(
    row: Mapping[str, str], known: Mapping[str, Quantity], where: str
) -> Measurement | None:
    """Read a row; None of one that says why it has no value."""
    numbers = {name: _number(row.get(name, ""), name, where) for name in _NUMBERS}
    name = row["quantity"]
    if name not in known:
        raise unknown("quantity", name, known, where)
    quantity, value = known[name], numbers["value"]
    if math.isnan(value):
        if row.get("note"):
            return None
        raise InputError(f"{where}: {name} has no value")
    if quantity.scale in ("angle", "separation"):
        raise InputError(f"{where}: {name} is a direction, which cannot be matched yet")
    if (unit := row.get("unit", "")) and unit != quantity.unit:
        raise InputError(f"{where}: {name} is in {quantity.unit or 'no unit'} (got {unit!r})")
    if quantity.scale == "fractional" and not value > 0.0:
        raise InputError(f"{where}: {name} is above 0 (got {value:g})")
    error = numbers["error"]
    if math.isnan(error):
        lo, hi = numbers["lo68"], numbers["hi68"]
        error = 0.5 * (hi - lo)
    if not (math.isfinite(error) and error > 0.0):
        raise InputError(f"{where}: {name}: the error is not above 0 (got {error:g})")
    lo, hi = numbers["r_lo"], numbers["r_hi"]
    if math.isfinite(lo) != math.isfinite(hi) or lo >= hi or numbers["r"] <= 0.0:
        raise InputError(f"{where}: {name}: radii are above 0, and r_lo below r_hi")
    label = row.get("estimator", "")
    return Measurement(name, value, error, label, numbers["r"], lo, hi)


def _number(text: str, name: str, where: str) -> float:
    if not text:
        return math.nan
    try:
        value = float(text)
    except ValueError:
        raise InputError(f"{where}: {name} is no number (got {text!r})") from None
    if math.isinf(value):
        raise InputError(f"{where}: {name} is infinite")
    return value
