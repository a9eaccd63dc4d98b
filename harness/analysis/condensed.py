"""Verdicts of all cells in one line an estimator and quantity: how many matter, the worst cell and the best."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from haloassay.analysis.verdict import GRADES, Grade, Verdict
from haloassay.contracts import labels

#: What a grade is called in a sentence.
WORDS: Mapping[Grade, str] = {
    "matters": "matters",
    "small": "significant but small",
    "none": "none found",
    "open": "cannot be determined",
}


@dataclass(frozen=True)
class Condensed:
    """What all cells say of one quantity by one estimator.

    Parameters
    ----------
    estimator, quantity
        Whose verdicts they are.
    worst, best
        Verdicts of the worst and of the best cell, the same one where there is one cell only.
    counts
        How many cells have each grade that occurs, the worst first.
    lossy
        Whether in some cell too few attempts gave a value.
    """

    estimator: str
    quantity: str
    worst: Verdict
    best: Verdict
    counts: Mapping[Grade, int]
    lossy: bool

    @property
    def grade(self) -> Grade:
        """Grade of the worst cell; one that is open is worse than one where nothing was found."""
        return self.worst.grade

    @property
    def n_cells(self) -> int:
        """Count the cells."""
        return sum(self.counts.values())

    @property
    def text(self) -> str:
        """One line: the grade, the numbers of the worst cell and bin, and the best cell beside it."""
        head = (
            f"{self.estimator}, {labels.plain(self.quantity) or 'no result'}: {WORDS[self.grade]}"
        )
        if self.n_cells == 1:
            return f"{head}{_numbers(self.worst, ': ')}"
        head += f" in {self.counts[self.grade]} of {self.n_cells} cells"
        worst = f"; worst {self.worst.cell}{_numbers(self.worst, ': ')}"
        best = f"; best {self.best.cell}{_numbers(self.best, ': ')}"
        return head + worst + (best if self.best.cell != self.worst.cell else "")


def condensed(verdicts: Iterable[Verdict]) -> list[Condensed]:
    """One line for each (estimator, quantity), in the order in which they first appear.

    Parameters
    ----------
    verdicts
        Of :func:`haloassay.analysis.verdict.verdicts`.
    """
    groups: dict[tuple[str, str], list[Verdict]] = {}
    for verdict in verdicts:
        groups.setdefault((verdict.estimator, verdict.quantity), []).append(verdict)
    return [_condensed(*key, group) for key, group in groups.items()]


def _condensed(estimator: str, quantity: str, group: list[Verdict]) -> Condensed:
    worst = max(group, key=_badness)  # of equals the first cell
    known = [verdict for verdict in group if verdict.determined] or group
    best = min(known, key=_badness)
    found = Counter(verdict.grade for verdict in group)
    counts = {grade: found[grade] for grade in GRADES if grade in found}
    lossy = any(verdict.lossy for verdict in group)
    return Condensed(estimator, quantity, worst, best, counts, lossy)


def _badness(verdict: Verdict) -> tuple[int, int, float, float]:
    """Order of verdicts: by grade, that of the bias first, then by size in units of the tolerance, then by bias."""
    bias = abs(verdict.worst.bias) if verdict.worst is not None else 0.0
    size = 0.0 if math.isnan(verdict.size) else verdict.size
    return -GRADES.index(verdict.grade), -GRADES.index(verdict.bias_grade), size, bias


def _numbers(verdict: Verdict, before: str) -> str:
    """Numbers of the bin that decides; nothing where there is none."""
    worst = verdict.worst
    if worst is None:
        return ""
    where = f"{worst.r:.3g} kpc, " if math.isfinite(worst.r) else ""
    bias = labels.error_text(worst.bias, worst.bias_mcse, verdict.quantity, worst.unit)
    text = f"{before}{where}bias {bias}"
    if verdict.interval_grade in ("matters", "small") and math.isfinite(worst.coverage68):
        text += f", 68 per cent intervals cover {worst.coverage68:.2f}"
    return text
