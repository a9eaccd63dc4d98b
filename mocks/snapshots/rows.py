"""Rows of a snapshot's datasets: finite numbers of the shape that is meant, in kpc, km/s and Msun."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from haloassay.base.arrays import FloatArray
from haloassay.base.errors import InputError
from haloassay.base.settings import require
from haloassay.mocks.snapshots.units import INSIDE

#: Beyond these, a unit is wrong or a value damaged: some times the observable universe [kpc], light [km/s], and more
#: than any cluster of galaxies [Msun].
FARTHEST: Final = 1e8
FASTEST: Final = 299_792.458
_HEAVIEST: Final = 1e17
_MOST: Final = {"length": FARTHEST, "velocity": FASTEST, "mass": _HEAVIEST}
#: Particles of which not all can be at one place: fewer may be black holes that are about to merge.
_CROWD: Final = 10
#: Positions that differ by less [kpc] are one place.
_PLACE: Final = 1e-9
#: Rows that an error names.
_NAMED_ROWS: Final = 3


def finite_values(values: Any, what: str, width: int | None = None) -> FloatArray:
    """(N,) or (N, width) finite numbers of a dataset or column.

    Raises
    ------
    InputError
        If they are no numbers, of another shape, or not all finite; the message counts the rows and names the first.
    """
    try:
        array = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise InputError(f"{what}: is not numeric") from None
    if array.ndim == 0 or (
        width is not None and array.shape[1:] != (() if width == 1 else (width,))
    ):
        shape = f"(N, {width})" if width is not None and width > 1 else "(N,)"
        raise InputError(f"{what}: has the shape {array.shape}, expected {shape}")
    bad = np.flatnonzero(~np.isfinite(array).all(axis=tuple(range(1, array.ndim))))
    if len(bad):
        raise InputError(f"{what}: NaN or infinite in {_told(bad, array)}")
    return array


def physical(values: FloatArray, unit: float, dimension: str, what: str) -> FloatArray:
    """Return values in kpc, km/s or Msun.

    Parameters
    ----------
    values
        (N,) or (N, 3) as the file has them.
    unit
        Their unit in kpc, km/s or Msun.
    dimension
        ``length``, ``velocity`` or ``mass``.
    what
        What to call them in an error.

    Raises
    ------
    InputError
        If one is larger than any that can be meant, or a mass is negative.
    """
    most = _MOST[dimension]
    with np.errstate(over="ignore"):
        result = values * unit
    if result.size and not max(result.max(), -result.min()) <= most:
        bad = np.flatnonzero((np.abs(result) > most).reshape(len(result), -1).any(axis=1))
        rows = f" in {_told(bad, result)}" if len(result) > 1 else ""
        raise InputError(
            f"{what}: beyond {most:g} {INSIDE[dimension]}{rows}: are its units, h and a right?"
        )
    if dimension == "mass":
        negative = np.count_nonzero(result < 0.0)
        require(not negative, f"{what}: negative in {negative} of {len(result)} rows")
    return result


def require_spread(position: FloatArray, what: str) -> None:
    """Raise InputError where many positions (N, 3) [kpc] are all the same, as those that nobody filled in."""
    n = len(position)
    if n < _CROWD:
        return
    if np.ptp(position, axis=0).max() <= _PLACE:
        place = [float(f"{x:.6g}") for x in position[0]]
        raise InputError(
            f"{what}: all {n} positions are the same, {place} kpc: were they filled in?"
        )


def _told(bad: NDArray[np.intp], rows: FloatArray) -> str:
    """How many of the rows are bad, and which are the first."""
    first = ", ".join(str(row + 1) for row in bad[:_NAMED_ROWS])
    more = ", ..." if len(bad) > _NAMED_ROWS else ""
    return f"{len(bad)} of {len(rows)} rows ({first}{more})"
