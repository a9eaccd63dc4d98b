"""Measured numbers beside the rows of simulated estimates: which row is which, and its value at the measured radius."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from haloassay.analysis.coordinates import Coordinate, coordinate
from haloassay.base.arrays import FloatArray
from haloassay.base.errors import InputError
from haloassay.base.settings import unknown
from haloassay.contracts.measurements import Measurement
from haloassay.contracts.quantities import Quantity

if TYPE_CHECKING:
    import pandas as pd

#: Share of an edge by which the edges of a measured bin may differ from it.
_SAME_EDGE: Final = 1e-3
#: Share of a radius by which a measured one may lie outside of rows without bins.
_OUTSIDE: Final = 0.02


@dataclass(frozen=True)
class Target:
    """A measured number, and where simulated estimates have it.

    Parameters
    ----------
    measured
        The number.
    estimator
        Label of the estimator whose rows are compared.
    quantity
        What it is.
    bin
        Number of the row, in simulated estimates.
    at_radius
        Whether simulated values are interpolated to the measured radius, between the radii of their bins; else the row
        of the same bin is taken as it is.
    also
        Other estimators of the scenario that yield it and are not compared.
    """

    measured: Measurement
    estimator: str
    quantity: Quantity
    bin: int
    at_radius: bool
    also: tuple[str, ...] = ()

    @property
    def positive(self) -> bool:
        """Whether it is a positive scale."""
        return self.quantity.scale == "fractional"

    @property
    def coordinate(self) -> Coordinate:
        """In which it is compared."""
        return coordinate(self.quantity)


def targets(
    measured: Sequence[Measurement],
    rows: pd.DataFrame,
    labels: Sequence[str],
    quantities: Mapping[str, Quantity],
) -> tuple[Target, ...]:
    """Find the rows of each measured number.

    Parameters
    ----------
    measured
        Numbers; those without a value are left out.
    rows
        Simulated estimates of one catalogue.
    labels
        Of the scenario's estimators, in its order: the first that yields a quantity is compared, unless one is named.
    quantities
        By name.

    Raises
    ------
    InputError
        If a number has no error or is a direction, an estimator is not in the scenario, a quantity is yielded by none,
        a radius is outside of the bins, no bin has the stated edges, or two numbers are the same one.
    """
    known = [each for each in measured if np.isfinite(each.value)]
    if not known:
        raise InputError("match: nothing that was measured has a value")
    found = tuple(_target(each, rows, labels, quantities) for each in known)
    taken: dict[tuple[str, str, int, float], Measurement] = {}
    for target in found:
        radius = target.measured.r if target.at_radius else np.nan
        key = (target.estimator, target.quantity.name, target.bin, float(np.nan_to_num(radius)))
        if key in taken:
            raise InputError(f"match: {target.measured} and {taken[key]} are of the same bin")
        taken[key] = target.measured
    return found


def _target(
    measured: Measurement,
    rows: pd.DataFrame,
    labels: Sequence[str],
    quantities: Mapping[str, Quantity],
) -> Target:
    name = measured.quantity
    _require_comparable(measured, quantities[name])
    if measured.estimator and measured.estimator not in labels:
        raise unknown("estimator", measured.estimator, labels, f"match: {measured}")
    of_quantity = rows[rows["quantity"] == name]
    yielding = [label for label in labels if (of_quantity["estimator"] == label).any()]
    chosen = measured.estimator or next(iter(yielding), "")
    if chosen not in yielding:
        who = f"{chosen!r}" if chosen else "no estimator of the scenario"
        told = ", ".join(sorted(set(map(str, rows["quantity"])))) or "nothing"
        raise InputError(f"match: {measured}: {who} yields no {name} (there are {told})")
    also = tuple(label for label in yielding if label != chosen) if not measured.estimator else ()
    mine = of_quantity[of_quantity["estimator"] == chosen]
    number, at_radius = _row(measured, mine, chosen)
    return Target(measured, chosen, quantities[name], number, at_radius, also)


def _require_comparable(measured: Measurement, quantity: Quantity) -> None:
    if quantity.scale in ("angle", "separation"):
        raise InputError(f"match: {measured} is a direction, which cannot be matched yet")
    if not measured.error > 0.0:
        raise InputError(f"match: {measured}: states no error")
    if quantity.scale == "fractional" and not measured.value > 0.0:
        raise InputError(f"match: {measured}: is above 0 (got {measured.value:g})")
    if not measured.value < quantity.most:
        raise InputError(
            f"match: {measured}: is below {quantity.most:g} (got {measured.value:g}): leave it out"
        )


def _row(measured: Measurement, mine: pd.DataFrame, estimator: str) -> tuple[int, bool]:
    """Find the number of the row that a measurement is compared with, and whether at its radius."""
    bins, r = mine["bin"].to_numpy(int), mine["r"].to_numpy(float)
    lo, hi = mine["r_lo"].to_numpy(float), mine["r_hi"].to_numpy(float)
    edged = np.isfinite(lo) & np.isfinite(hi)
    if measured.has_edges and edged.any():
        same = np.isclose(lo, measured.r_lo, rtol=_SAME_EDGE, atol=1e-9)
        same &= np.isclose(hi, measured.r_hi, rtol=_SAME_EDGE, atol=1e-9)
        if not same.any():
            raise InputError(
                f"match: {measured}: {estimator} has no bin from {measured.r_lo:g} to {measured.r_hi:g} kpc"
                f" (its bins: {_bins(lo, hi, r, edged)})"
            )
        return int(bins[same][0]), False
    radius = measured.middle
    if not np.isfinite(radius):
        if len(mine) > 1:
            raise InputError(
                f"match: {measured}: {estimator} has it at several radii: say which (r)"
            )
        return int(bins[0]), False
    if not (edged | np.isfinite(r)).any():
        return int(bins[0]), False
    if edged.all():
        inside = (lo <= radius) & (radius < hi)
    else:
        near = (r.min() * (1.0 - _OUTSIDE) <= radius) & (radius <= r.max() * (1.0 + _OUTSIDE))
        inside = near & (np.abs(r - radius) == np.abs(r - radius).min())
    if not inside.any():
        raise InputError(
            f"match: {measured}: the radius is outside of the bins of {estimator}"
            f" ({_bins(lo, hi, r, edged)} kpc)"
        )
    return int(bins[inside][0]), True


def _bins(lo: FloatArray, hi: FloatArray, r: FloatArray, edged: FloatArray) -> str:
    parts = zip(lo, hi, r, edged, strict=True)
    return ", ".join(f"{a:g}-{b:g}" if e else f"{x:.4g}" for a, b, x, e in parts)


def simulated(rows: pd.DataFrame, of: Sequence[Target], realizations: Sequence[int]) -> FloatArray:
    """Values (realisations, targets) of rows of one cell, in their coordinates, or NaN."""
    place = {int(k): i for i, k in enumerate(realizations)}
    found = np.full((len(place), len(of)), np.nan)
    for (estimator, quantity), mine in rows.groupby(["estimator", "quantity"], sort=False):
        wanted = [
            (k, t)
            for k, t in enumerate(of)
            if (t.estimator, t.quantity.name) == (estimator, quantity)
        ]
        if not wanted:
            continue
        for realization, one in mine.groupby("realization", sort=False):
            if int(str(realization)) in place:
                values = one["value"].to_numpy(float)
                for k, target in wanted:
                    found[place[int(str(realization))], k] = _value(target, one, values)
    return found


def _value(target: Target, one: pd.DataFrame, values: FloatArray) -> float:
    values = target.coordinate.of(values)
    own = one["bin"].to_numpy(int) == target.bin
    if not own.any() or not np.isfinite(values[own][0]):
        return float("nan")
    if not target.at_radius:
        return float(values[own][0])
    known = np.isfinite(values)
    x, y = np.log(one["r"].to_numpy(float)[known]), values[known]
    return _interpolated(np.log(target.measured.middle), x, y)


def _interpolated(at: float, x: FloatArray, y: FloatArray) -> float:
    """Value at ``at`` on straight lines through points; beyond the last ones their line goes on."""
    order = np.argsort(x)
    x, y = x[order], y[order]
    if len(x) == 1:
        return float(y[0])
    k = int(np.clip(np.searchsorted(x, at) - 1, 0, len(x) - 2))
    return float(y[k] + (at - x[k]) * (y[k + 1] - y[k]) / (x[k + 1] - x[k]))
