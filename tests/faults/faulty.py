"""Estimators with a planted fault, and one that looks for what it must not find."""

from __future__ import annotations

import gc
import types
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from haloassay.contracts.estimate import Estimate, Estimates, Estimator
from haloassay.contracts.quantities import QUANTITIES
from haloassay.estimators.velocity_ellipsoid import VelocityEllipsoid

TRUE_M200 = 1.0e12

#: What the last Snoop found, for the test that planted it.
SEEN: list[object] = []


@dataclass(frozen=True)
class High(VelocityEllipsoid):
    """Everything that is a positive scale comes out 2 per cent high."""

    name: ClassVar[str] = "high"

    def estimate(self, catalogue, rng):
        return Estimates(_scaled(row, 1.02) for row in super().estimate(catalogue, rng))


def _scaled(row, factor):
    if QUANTITIES[row.quantity].scale != "fractional":
        return row
    values = {
        name: factor * getattr(row, name) for name in ("value", "lo68", "hi68", "lo95", "hi95")
    }
    return replace(row, draws=factor * row.draws, **values)


@dataclass(frozen=True)
class Overconfident(VelocityEllipsoid):
    """Intervals a third as wide as they should be: 60 of them find that at four sigma."""

    name: ClassVar[str] = "overconfident"

    def estimate(self, catalogue, rng):
        return Estimates(_narrowed(row) for row in super().estimate(catalogue, rng))


def _narrowed(row):
    draws = row.value + (row.draws - row.value) / 3.0
    return Estimate.from_draws(
        row.quantity, draws, r=row.r, r_lo=row.r_lo, r_hi=row.r_hi, bin=row.bin
    )


@dataclass(frozen=True)
class Clairvoyant(Estimator):
    """Returns the truth, and states errors of 5 per cent."""

    name: ClassVar[str] = "clairvoyant"
    reference: ClassVar[str] = "none"
    yields: ClassVar[tuple[str, ...]] = ("m200",)

    def estimate(self, catalogue, rng):
        m = TRUE_M200
        return Estimates([Estimate("m200", m, 0.95 * m, 1.05 * m, 0.9 * m, 1.1 * m)])


@dataclass(frozen=True)
class Snoop(Estimator):
    """Notes every object that can be reached from its catalogue."""

    name: ClassVar[str] = "snoop"
    reference: ClassVar[str] = "none"
    yields: ClassVar[tuple[str, ...]] = ("m200",)

    def estimate(self, catalogue, rng):
        SEEN[:] = reachable(catalogue)
        return Estimates([Estimate("m200", 1.0, 1.0, 1.0, 1.0, 1.0)])


def reachable(start):
    """All objects that can be reached from ``start`` without passing through code."""
    code = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType)
    found, waiting = {}, [start]
    while waiting:
        item = waiting.pop()
        if id(item) in found or isinstance(item, code):
            continue
        found[id(item)] = item
        waiting += gc.get_referents(item)
        if isinstance(item, np.ndarray):
            waiting.append(item.base)  # the collector does not know of it
    return list(found.values())
