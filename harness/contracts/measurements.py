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
        In the unit of the quantity; NaN of a value that was not determined, and of an error that is not stated. The
        error is one standard deviation, above 0: half of a stated interval of 68 per cent.
    estimator
        Label of the estimator that measured it; empty where that is not said.
    r, r_lo, r_hi
        Radius and edges of the bin [kpc]; NaN where there is none.
    lo68, hi68
        Stated ends of the interval of 68 per cent; NaN where there are none.
    note
        What is said of it: why it was not determined.
    line
        Of its file, from 1; 0 where there is none.
    """

    quantity: str
    value: float
    error: float = math.nan
    estimator: str = ""
    r: float = math.nan
    r_lo: float = math.nan
    r_hi: float = math.nan
    lo68: float = math.nan
    hi68: float = math.nan
    note: str = ""
    line: int = 0

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

    @property
    def interval(self) -> tuple[float, float]:
        """Ends of the interval of 68 per cent: as stated, else value -+ error."""
        if math.isfinite(self.lo68):
            return self.lo68, self.hi68
        return self.value - self.error, self.value + self.error

    def __str__(self) -> str:
        if not math.isfinite(self.middle):
            return self.quantity
        return f"{self.quantity} at {self.middle:.4g} kpc"
