"""What an estimator returned, against its contract: whatever breaks it is told, and costs that estimator only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from haloassay.base.errors import EstimationError
from haloassay.contracts.estimate import Estimate, Estimates
from haloassay.contracts.quantities import QUANTITIES, Quantity, known_quantities

if TYPE_CHECKING:
    from haloassay.contracts.estimate import Estimator

_NUMBERS: Final = ("value", "lo68", "hi68", "lo95", "hi95", "r", "r_lo", "r_hi")
_TEXTS: Final = ("quantity", "unit", "note")
#: Numbers of bins that a column of results holds.
_LARGEST_BIN: Final = 2**63 - 1


def accepted(
    estimates: Any, estimator: Estimator, n_stars: int
) -> tuple[Estimates, Mapping[str, Quantity]]:
    """Estimates as the contract wants them, each with its unit, and the quantities that they are of.

    Parameters
    ----------
    estimates
        Whatever ``estimator`` returned.
    n_stars
        Number of stars that it was given.

    Raises
    ------
    EstimationError
        If that is no Estimates, or empty; if a row is no Estimate or has a field of the wrong type, a value that is not
        finite without a note, draws or stars that are none, a quantity that the estimator does not declare in
        ``yields`` or another unit than that of the quantity; or if two rows are of the same quantity and bin.
    """
    if not isinstance(estimates, Estimates):
        raise EstimationError(
            f"the estimator returned {type(estimates).__name__}, expected Estimates"
        )
    if not len(estimates):
        raise EstimationError("the estimator returned no rows")
    for row in estimates:
        _require_sound(row, n_stars)
    known = _quantities(estimates, estimator)
    _require_once(estimates)
    return Estimates(_with_unit(row, known[row.quantity]) for row in estimates), known


def _require_sound(row: Any, n_stars: int) -> None:
    """Raise EstimationError unless a row is an Estimate whose fields have the types that they are declared with."""
    if not isinstance(row, Estimate):
        raise EstimationError(f"a row is {type(row).__name__}, expected Estimate")
    for name in _TEXTS:
        text = getattr(row, name)
        if not isinstance(text, str):
            raise EstimationError(_wrong(row, name, "a str"))
        if text != text.encode("utf-8", "replace").decode():
            raise EstimationError(f"{name} {text!r} is no text that can be written")
    number: Any = row.bin
    if isinstance(number, bool) or not isinstance(number, Integral):
        raise EstimationError(_wrong(row, "bin", "an int"))
    if not -_LARGEST_BIN <= int(number) <= _LARGEST_BIN:
        raise EstimationError(f"{row.quantity}: bin {row.bin} is no number of a bin")
    for name in _NUMBERS:
        number = getattr(row, name)
        if not isinstance(number, Real) and not (
            isinstance(number, np.ndarray) and number.ndim == 0
        ):
            raise EstimationError(_wrong(row, name, "a float"))
    if not row.note and not np.isfinite(float(row.value)):
        raise EstimationError(
            f"{row.quantity} (bin {row.bin}): the value is {row.value} without a note"
        )
    if row.draws is not None and not _is_list(row.draws, "fiu"):
        raise EstimationError(_wrong(row, "draws", "an array (n_draws,) of floats"))
    if row.stars is not None and not (
        _is_list(row.stars, "iu") and np.all((row.stars >= 0) & (row.stars < n_stars))
    ):
        raise EstimationError(_wrong(row, "stars", f"an array of rows of the {n_stars} stars"))


def _is_list(values: Any, kinds: str) -> bool:
    return isinstance(values, np.ndarray) and values.ndim == 1 and values.dtype.kind in kinds


def _wrong(row: Estimate, name: str, expected: str) -> str:
    found = getattr(row, name)
    where = f"{row.quantity} (bin {row.bin})" if name != "quantity" else "a row"
    return f"{where}: {name} is {found!r}, expected {expected}"


def _quantities(estimates: Iterable[Estimate], estimator: Estimator) -> Mapping[str, Quantity]:
    """Look up the quantities of estimates, all of which the estimator has to declare."""
    names = dict.fromkeys(row.quantity for row in estimates)
    for name in names:
        if name not in estimator.yields:
            declared = ", ".join(estimator.yields) or "nothing"
            raise EstimationError(
                f"{name!r} is no quantity that the estimator declares (yields: {declared})"
            )
    if all(name in QUANTITIES for name in names):
        return QUANTITIES
    known = known_quantities(estimator.quantities)
    for name in names:
        if name not in known:
            raise EstimationError(f"{name!r} is no quantity that haloassay or the estimator knows")
    return known


def _require_once(estimates: Iterable[Estimate]) -> None:
    """Raise EstimationError where two rows would be scored as one."""
    seen = set()
    for row in estimates:
        place = (row.quantity, int(row.bin))
        if place in seen:
            raise EstimationError(
                f"{row.quantity} (bin {row.bin}) comes twice: rows of one quantity need bins of their own"
            )
        seen.add(place)


def _with_unit(row: Estimate, quantity: Quantity) -> Estimate:
    """Return the row with the unit of its quantity."""
    if row.unit == quantity.unit:
        return row
    if row.unit:
        raise EstimationError(
            f"{row.quantity} (bin {row.bin}): the unit is {row.unit!r}, expected {quantity.unit!r}"
        )
    return replace(row, unit=quantity.unit)
