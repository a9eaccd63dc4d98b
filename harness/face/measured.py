"""Estimates of one catalogue, as a terminal shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from haloassay.base.text import printable

if TYPE_CHECKING:
    from haloassay.contracts.estimate import Estimates


def estimates_text(estimates: Estimates) -> str:
    """Aligned lines: quantity, radius, value with 68 and 95 per cent intervals, unit, or why there is none."""
    import numpy as np

    from haloassay.contracts import labels

    lines = []
    for row in estimates:
        place = "" if row.r != row.r else f"r = {row.r:.4g} kpc"
        if row.r_lo == row.r_lo and row.r_hi == row.r_hi:
            place += f" ({row.r_lo:.4g}-{row.r_hi:.4g})"
        start = f"{row.quantity + ' ':<15}{place:<32}"
        if row.note:
            lines.append(f"{start}cannot be determined: {row.note}")
            continue
        bounds = np.array([[row.lo68, row.hi68], [row.lo95, row.hi95]])
        if labels.quantity_of(row.quantity).scale == "angle":  # told in one turn
            bounds = 180.0 - (180.0 - bounds) % 360.0
        pairs = zip((68, 95), bounds, strict=True)
        stated = [f"{level}%: {lo:.4g} to {hi:.4g}" for level, (lo, hi) in pairs if lo == lo]
        errors = "  ".join(stated or ["states no error"])
        toward = "" if row.toward is None else " from l = {:.4g}, b = {:.4g}".format(*row.toward)
        lines.append(f"{start}{row.value:>10.4g}  {errors}  {row.unit}".rstrip() + toward)
    return "".join(f"{printable(line)}\n" for line in lines)
