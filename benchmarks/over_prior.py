"""How often intervals hold the truth, over halos that are drawn from the prior of the fit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from haloassay.contracts import labels
from haloassay.contracts.estimate import Estimate

HEADS = ("", "n", "68 %", "95 %", "below", "no value")


def print_heads(*columns: str) -> None:
    """Print the head of a table; ``columns`` are those before the quantity."""
    heads = (*columns, *HEADS)
    print("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))


def print_coverage(rows: Iterable[tuple[Estimate, float]], *columns: object) -> None:
    """Print a line for each quantity of estimates and their truths, with Monte Carlo errors of the shares."""
    found = defaultdict(list)
    for row, truth in rows:
        at = f" at {row.r:g} kpc" if row.quantity == "enclosed_mass" else ""
        inside = (row.lo68 <= truth <= row.hi68, row.lo95 <= truth <= row.hi95)
        told = (np.isfinite(row.value), *inside, truth < row.value)
        found[labels.plain(row.quantity) + at].append(told)
    for name, told in found.items():
        each = np.array(told, dtype=float)
        good = each[each[:, 0] > 0.0, 1:]
        shares = (
            f"{x:.2f} ± {np.sqrt(max(x * (1.0 - x), 0.01) / len(good)):.2f}"
            for x in good.mean(axis=0)
        )
        cells = (*columns, name, len(good), *shares, len(each) - len(good))
        print("| " + " | ".join(map(str, cells)) + " |", flush=True)
