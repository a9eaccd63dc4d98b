"""A budget attached to a measurement: the systematic error in the sum, and the bias removed.

An estimate of a positive scale is truth x (1 + b + d), with the bias b and a systematic error d of standard deviation
s: ln estimate is off by ln(1 + b), with a standard deviation of s / (1 + b), so errors add in quadrature as logarithms.
On other scales they add as they are.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from haloassay.analysis.budget import Budget
from haloassay.analysis.contributions import Amount
from haloassay.base.errors import HaloassayWarning, InputError
from haloassay.contracts.measurements import Measurement
from haloassay.contracts.quantities import Quantity
from haloassay.io.measurements import read_measurements


@dataclass(frozen=True)
class Interval:
    """A value with the ends of its 68 per cent interval; NaN where it is not determined."""

    value: float = np.nan
    lo: float = np.nan
    hi: float = np.nan


@dataclass(frozen=True)
class Attached:
    """A measured value with its budget.

    Parameters
    ----------
    measured
        The value as stated.
    systematic
        Standard deviation of all systematic errors at its radius, and ``offset`` the bias, on the scale of errors.
    total
        The value with the systematic error in the sum: what no correction gives.
    corrected
        The value with the bias removed; the error of the bias is in the sum, too.
    why
        Why something is not determined, or "".
    """

    measured: Measurement
    systematic: Amount
    offset: Amount
    total: Interval
    corrected: Interval
    why: str = ""


def attach(profile: Sequence[Budget], measurement: Path) -> list[Attached]:
    """Attach budgets to a measurement.

    Parameters
    ----------
    profile
        Budgets of one estimator and quantity at all of its radii (:func:`haloassay.analysis.budget.profile`).
    measurement
        File; see :func:`haloassay.io.measurements.read_measurements`.

    Raises
    ------
    InputError
        If a row cannot be meant, is of the wrong unit, or outside of the radii of the budget; if rows are of other
        estimators only, or some name theirs and others do not.

    Warns
    -----
    HaloassayWarning
        If all rows were measured by one other estimator.
    """
    quantity = profile[0].quantity
    if quantity.scale == "separation":
        raise InputError(f"--apply: {quantity.name} is a distance from the truth: it has no bias")
    rows = read_measurements(measurement, {quantity.name: quantity}, only=quantity.name)
    labels = list(dict.fromkeys(row.estimator for row in rows))
    if len(labels) > 1 and "" in labels:
        raise InputError(
            f"{measurement}: some rows of {quantity.name} say which estimator measured them, others do not"
        )
    if len(labels) > 1:
        rows = tuple(row for row in rows if row.estimator == profile[0].estimator)
        if not rows:
            raise InputError(
                f"{measurement}: {quantity.name} is there of {', '.join(labels)}, and not of {profile[0].estimator},"
                " whose budget it is"
            )
    elif labels[0] not in ("", profile[0].estimator):
        warnings.warn(
            f"{measurement}: {quantity.name} was measured by {labels[0]}, and the budget is that of"
            f" {profile[0].estimator}",
            HaloassayWarning,
            stacklevel=2,
        )
    return [_attached(profile, row, f"{measurement}: line {row.line}") for row in rows]


def _attached(profile: Sequence[Budget], row: Measurement, where: str) -> Attached:
    systematic, offset = _at(profile, row.middle, where)
    quantity = profile[0].quantity
    why = []
    if not np.isfinite(row.value):
        why.append(row.note or "not determined")
    elif not np.isfinite(row.interval[0]):
        why.append("states no interval")
    if not np.isfinite(systematic.value):
        why.append("the systematic error is not known there")
    if not np.isfinite(offset.value):
        why.append("the bias is not known there")
    if quantity.scale == "fractional" and offset.value <= -1.0:
        raise InputError(f"{where}: a bias of {offset.value:.0%} leaves nothing to correct")
    if quantity.scale == "fractional" and row.interval[0] <= 0.0:
        raise InputError(f"{where}: the error {row.error:g} is not below the value {row.value:g}")
    total = _summed(quantity, row, systematic, offset, correct=False)
    corrected = _summed(quantity, row, systematic, offset, correct=True)
    return Attached(row, systematic, offset, total, corrected, "; ".join(why))


def _at(profile: Sequence[Budget], r: float, where: str) -> tuple[Amount, Amount]:
    """Systematic error and bias at a radius: between the radii of two bins linear in ln r."""
    radii = np.array([budget.r for budget in profile])
    if not np.isfinite(radii).any():
        if np.isfinite(r):
            raise InputError(f"{where}: {profile[0].quantity.name} has no radius in the budget")
        return profile[0].systematic, profile[0].offset
    if not np.isfinite(r):
        raise InputError(f"{where}: has no radius, and the budget depends on it")
    known = [budget for budget in profile if np.isfinite(budget.r)]
    lowest = np.nanmin([known[0].r, known[0].r_lo])
    highest = np.nanmax([known[-1].r, known[-1].r_hi])
    if not lowest <= r <= highest:
        raise InputError(
            f"{where}: {r:g} kpc is outside of the budget, {lowest:.3g} to {highest:.3g} kpc"
        )
    ln = np.log([budget.r for budget in known])

    def between(amounts: Sequence[Amount]) -> Amount:
        value, mcse = (
            float(np.interp(np.log(r), ln, [getattr(amount, k) for amount in amounts]))
            for k in ("value", "mcse")
        )
        return Amount(value, mcse)

    return between([b.systematic for b in known]), between([b.offset for b in known])


def _summed(
    quantity: Quantity, row: Measurement, systematic: Amount, offset: Amount, correct: bool
) -> Interval:
    """Value with all errors in the sum, and with the bias removed where that is wanted."""
    lo68, hi68 = row.interval
    bias, of_bias = (offset.value, np.nan_to_num(offset.mcse)) if correct else (0.0, 0.0)
    if quantity.scale == "fractional":
        # errors are fractions of the truth: of the estimate they are smaller by 1 + bias
        scale = 1.0 + np.nan_to_num(offset.value)
        value = row.value / (1.0 + bias)
        more = np.hypot(systematic.value, of_bias) / scale
        below, above = np.log(row.value / lo68), np.log(hi68 / row.value)
        return Interval(
            value,
            float(value * np.exp(-np.hypot(below, more))),
            float(value * np.exp(np.hypot(above, more))),
        )
    value = row.value - bias
    more = np.hypot(systematic.value, of_bias)
    below, above = row.value - lo68, hi68 - row.value
    return Interval(
        value, float(value - np.hypot(below, more)), float(value + np.hypot(above, more))
    )
