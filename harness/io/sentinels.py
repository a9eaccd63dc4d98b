"""Numbers that stand for missing values, by their size or by how often one stands where none should repeat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from haloassay.base.arrays import BoolArray, FloatArray
from haloassay.contracts.columns import CHEMISTRY, UNITS

#: Abundances [dex] beyond which no star is; snapshots have the same limit.
ABUNDANCE_LIMIT: Final = 10.0

#: Sizes of the numbers that tables write for a missing value; no column of stars has one of these exactly.
_SIZES: Final = tuple(
    whole + part for whole in (999.0, 9999.0, 99999.0, 999999.0) for part in (0.0, 0.9, 0.99, 0.999)
)

#: Whole numbers next to which 32 bits have no such number: who writes one means it, as an error beyond all velocities.
_ROUND: Final = (1e3, 1e4, 1e5, 1e6)

#: An error larger than this in canonical units is a filler, as 1e20; places and motions have limits of their own.
_ENORMOUS: Final = 1e10

#: Columns in which a star can well have any such number, or a value that is repeated.
_ANY: Final = ("ra", "dec", "l", "b", "pm_corr")

_MOTIONS: Final = ("pmra", "pmdec", "pm_l", "pm_b", "vlos", "vx", "vy", "vz")

#: Different values that tell a continuous column; fewer do where nearly all of the other rows differ.
_MIN_VALUES: Final = 10
_ENOUGH_VALUES: Final = 30
_NEARLY_ALL: Final = 0.9
#: Rows that a value has to stand in more of: 2 m + 5 sqrt(m) + 1 where its neighbours stand in one row each.
_TOO_FEW: Final = 8
#: Values on either side, in order of size, by whose counts the count of one is judged.
_NEIGHBOURS: Final = 4


def stands_for_missing(name: str, values: FloatArray) -> BoolArray:
    """Which values (N,) of a column, in canonical units, can only stand for missing ones.

    An abundance, or its error, beyond 10 dex; elsewhere exactly -999, 9999, 99999.9 and the like (to the precision of
    32 bits), and an error beyond 1e10. Directions and correlations have ranges of their own.
    """
    size = np.abs(values)
    if name.removesuffix("_err") in CHEMISTRY:
        return np.asarray(size > ABUNDANCE_LIMIT)
    if name in _ANY:
        return np.zeros(len(values), dtype=bool)
    found = (size > _ENORMOUS) & name.endswith("_err")
    large = np.flatnonzero(size > 0.99 * _SIZES[0])
    if large.size:  # rarely
        like = np.isclose(size[large, None], _SIZES, rtol=1e-7, atol=0.0).any(axis=1)
        found[large] |= like & ~np.isin(size[large], _ROUND)
    return np.asarray(found)


def mentions(columns: Mapping[str, FloatArray]) -> list[str]:
    """Say what a user should know of values that repeat although the column is continuous.

    One value of a motion in all rows (of two where it is zero, of ten otherwise). Or one value of a column that stands
    in more rows than chance allows: if stars are as dense in it as about the four values on either side of it, whose
    largest count is m, a count beyond 2 m + 5 sqrt(m) + 1 comes about less often than once in 10^6 values, rounded or
    not. Columns of few different values, directions and errors are left alone.

    Parameters
    ----------
    columns
        Name to (N,) values.
    """
    found: dict[str, list[str]] = {}
    for name, values in columns.items():
        if name.endswith("_err") or name in _ANY:
            continue
        unit = f" {UNITS[name].replace(' ', '')}" if UNITS.get(name) else ""
        finite = np.isfinite(values)
        known = np.sort(values if finite.all() else values[finite])
        # a value that stands in no more rows than these is never told, and looked for more quickly so
        if len(known) > _TOO_FEW and not np.any(known[_TOO_FEW:] == known[:-_TOO_FEW]):
            continue
        different, count = np.unique(known, return_counts=True)
        least = 2 if not np.any(different) else _MIN_VALUES
        if len(different) == 1 and len(known) >= least and name in _MOTIONS:
            said = f"{different[0] + 0.0:g}{unit} in all {len(known)} rows"
            found.setdefault(said, []).append(name)
            continue
        for k in _piled(count) if _is_continuous(count) else ():
            said = f"exactly {different[k] + 0.0:.10g}{unit} in {count[k]} of {len(known)} rows"
            found.setdefault(said, []).append(name)
    end = " (if it stands for a missing value: --missing VALUE)"
    return [f"{', '.join(names)}: {said}{end}" for said, names in found.items()]


def _is_continuous(count: NDArray[np.int64]) -> bool:
    """Whether a column may be continuous whose different values have these counts (n,)."""
    n = len(count)
    others = int(count.sum() - count.max(initial=0))
    return n >= _ENOUGH_VALUES or (n >= _MIN_VALUES and n - 1 >= _NEARLY_ALL * others)


def _piled(count: NDArray[np.int64]) -> NDArray[np.int64]:
    """Places of counts (n,) that are larger than those around them make likely."""
    around = np.zeros_like(count)
    for step in range(1, _NEIGHBOURS + 1):
        around[step:] = np.maximum(around[step:], count[:-step])
        around[:-step] = np.maximum(around[:-step], count[step:])
    return np.flatnonzero(count > 2 * around + 5.0 * np.sqrt(around) + 1.0)
