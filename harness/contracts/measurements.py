"""What was measured on the sky, or is printed in a paper: a quantity at a radius, with its error."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Measurement:
    """One measured number.

    Parameters
    ----------
    quantity
        Name of a quantity.
    value, error
        In the unit of the quantity; the error is one standard deviation, above 0.
    estimator
        Label of the estimator that measured it; empty where that is not said.
    r, r_lo, r_hi
        Radius and edges of the bin [kpc]; NaN where there is none.
    """

    quantity: str
    value: float
    error: float
    estimator: str = ""
    r: float = math.nan
    r_lo: float = math.nan
    r_hi: float = math.nan

    @property
    def has_edges(self) -> bool:
        """Whether it is of a bin whose edges are known."""
        return math.isfinite(self.r_lo) and math.isfinite(self.r_hi)

    @property
    def middle(self) -> float:
        """Radius that it belongs to: the stated one, else the middle of its bin in the logarithm [kpc]."""
        if math.isfinite(self.r) or not self.has_edges:
            return self.r
        return math.sqrt(max(self.r_lo, 0.1 * self.r_hi) * self.r_hi)

    def __str__(self) -> str:
        if not math.isfinite(self.middle):
            return self.quantity
        return f"{self.quantity} at {self.middle:.4g} kpc"
