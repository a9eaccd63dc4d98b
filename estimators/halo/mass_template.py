"""A halo of any shape: a table of enclosed masses that is scaled in mass and stretched in radius."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from haloassay.base.arrays import FloatArray
from haloassay.base.settings import require

#: Relative distance from an end of a table that rounding makes.
_ROUNDING: Final = 1e-9


@dataclass(frozen=True)
class MassTemplate:
    """Enclosed mass as a table, straight in logarithms between its radii. Beyond them it says nothing.

    Parameters
    ----------
    r
        Radii [kpc], ascending.
    mass
        Masses within them, ascending, in any unit: how much there is of it is what is looked for.
    stretch
        Factors by which the radii may be stretched, between two bounds; equal ones hold it.
    """

    r: tuple[float, ...]
    mass: tuple[float, ...]
    stretch: tuple[float, float] = (1.0, 1.0)

    def __post_init__(self) -> None:
        require(
            len(self.r) == len(self.mass) >= 2,
            f"r and mass: as many of both, two at least (got {len(self.r)} and {len(self.mass)})",
        )
        for name in ("r", "mass"):
            values = getattr(self, name)
            require(
                values[0] > 0.0 and all(a < b for a, b in pairwise(values)),
                f"{name}: ascend from above 0 (got {list(values)})",
            )
        lo, hi = self.stretch
        require(0.0 < lo <= hi, f"stretch: bounds ascend from above 0 (got {[lo, hi]})")

    @property
    def reach(self) -> tuple[float, float]:
        """Radii [kpc] between which there is a mass however it is stretched; descending where there are none."""
        (lo, hi), r = self.stretch, self.r
        return r[0] * hi, r[-1] * lo

    def beyond(self, what: str, lo: float, hi: float) -> str:
        """Why the table has no mass of ``what``, from ``lo`` to ``hi`` [kpc]; empty where it has at every stretch."""
        near, far = self.reach
        if near * (1.0 - _ROUNDING) <= lo and hi <= far * (1.0 + _ROUNDING):
            return ""
        least, most = self.stretch
        stretched = "" if least == most == 1.0 else f", stretched by {least:g} to {most:g}"
        wanted = f"{lo:.4g} kpc" if lo == hi else f"from {lo:.4g} to {hi:.4g} kpc"
        return (
            f"the table of the halo, from {self.r[0]:.4g} to {self.r[-1]:.4g} kpc{stretched}, does not reach {what},"
            f" {wanted}"
        )

    def shape(self, r: ArrayLike) -> FloatArray:
        """Mass within ``r`` [kpc] in the unit of the table, not stretched."""
        x, y = np.log(self.r), np.log(self.mass)
        at = np.log(np.asarray(r, dtype=float))
        cell = np.clip(np.searchsorted(x, at) - 1, 0, len(x) - 2)
        slope = np.diff(y) / np.diff(x)
        return np.exp(y[cell] + slope[cell] * (at - x[cell]))
