"""Differences of scores between two sets of realisations, with their Monte Carlo errors and what chance would make.

Means and spreads are compared by the jackknife: of pairs where both sets have the same catalogues, else of each side.
Shares of realisations are compared by those that are in one and not in the other (McNemar 1947, Psychometrika 12, 153).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike

from haloassay.analysis.shares import share_error
from haloassay.analysis.significance import at_most, bias_p_values
from haloassay.base.arrays import FloatArray


class Drawn(Protocol):
    """Realisations of one row; see :class:`haloassay.analysis.compare.Sample`."""

    @property
    def e(self) -> Any:
        """(n,) errors."""

    @property
    def half(self) -> Any:
        """(n,) half widths of the 68 per cent intervals."""

    @property
    def in68(self) -> Any:
        """(n,) whether those hold the truth."""

    @property
    def in95(self) -> Any:
        """(n,) whether those of 95 per cent do."""


class Moved(NamedTuple):
    """Difference of a score.

    Parameters
    ----------
    old, new
        The score on both sides.
    difference, mcse
        New less old, of ratios in the logarithm, and its Monte Carlo error.
    p
        Probability of one as large by chance.
    n
        Pairs, or the smaller number of realisations.
    scatter
        Scatter of the old errors.
    """

    old: float
    new: float
    difference: float
    mcse: float = 0.0
    p: float = 1.0
    n: int = 0
    scatter: float = 0.0


@dataclass(frozen=True)
class Measure:
    """A score that is compared.

    Parameters
    ----------
    name, title
        As in tables of scores, and for readers.
    scale
        ``error``: on the scale of errors; ``ratio``: compared in the logarithm; ``share``: of realisations.
    columns
        What it reads of the realisations.
    of
        The score, of the means (k, ...) of these columns and the standard deviation (...) of the first.
    """

    name: str
    title: str
    scale: Literal["error", "ratio", "share"]
    columns: tuple[str, ...]
    of: Callable[[FloatArray, FloatArray], FloatArray] = lambda means, _: means[0]

    def margin(self, margin: float, found: Moved) -> float:
        """Difference below which it does not matter: :func:`haloassay.analysis.compare.compare`."""
        if self.scale == "error":
            return margin * found.scatter
        return margin if self.scale == "ratio" else 0.5 * margin

    def moved(self, old: Drawn, new: Drawn, paired: bool) -> Moved | None:
        """Compare both sides; None where one of them has no such score."""
        sides = [np.array([_column(side, name) for name in self.columns]) for side in (old, new)]
        known = [np.isfinite(part).all(axis=0) for part in sides]
        if paired:
            known = [known[0] & known[1]] * 2
        before, after = (part[:, there] for part, there in zip(sides, known, strict=True))
        n = min(before.shape[1], after.shape[1])
        if n < (3 if self.scale == "ratio" else 1):
            return None
        judge = self._shares if self.scale == "share" else self._values
        scatter = float(np.std(before[0], ddof=1)) if n > 1 else 0.0
        return judge(before, after, paired)._replace(n=n, scatter=scatter)

    def _values(self, old: FloatArray, new: FloatArray, paired: bool) -> Moved:
        with np.errstate(divide="ignore", invalid="ignore"):
            (before, pseudo_before), (after, pseudo_after) = (
                self._jackknife(x) for x in (old, new)
            )
            difference = self._on_scale(after) - self._on_scale(before)
        found = Moved(before, after, float(difference))
        if not math.isfinite(difference):  # no scatter at all on one side, or on both
            return found._replace(difference=0.0) if before == after else found._replace(p=0.0)
        if paired:
            each = pseudo_after - pseudo_before
            n, sd = len(each), float(np.std(each, ddof=1)) if len(each) > 1 else 0.0
            p = float(bias_p_values(difference, sd, _skewness(each), n)) if n > 1 else 1.0
            return found._replace(mcse=sd / math.sqrt(n), p=p)
        parts = (pseudo_before, pseudo_after)
        squares = [float(np.var(x, ddof=1)) / len(x) if len(x) > 1 else math.nan for x in parts]
        p = _welch(float(difference), squares, [len(x) for x in parts])
        return found._replace(mcse=math.sqrt(sum(squares)), p=p)

    def _on_scale(self, x: ArrayLike) -> FloatArray:
        return np.asarray(np.log(x) if self.scale == "ratio" else x)

    def _jackknife(self, part: FloatArray) -> tuple[float, FloatArray]:
        """Score, and pseudo-values (n,), whose scatter is the error of the score on its scale times sqrt(n)."""
        n = part.shape[1]
        mean = part.mean(axis=1, keepdims=True)
        apart = part - mean
        square = float((apart[0] ** 2).sum())
        whole = self.of(mean[:, 0], np.sqrt(square / max(n - 1, 1)))
        if n < 2:
            return float(whole), np.full(n, np.nan)
        # of all but one: what it is apart from the mean leaves sums and squares
        means = mean - apart / (n - 1)
        squares = np.maximum(square - n / (n - 1) * apart[0] ** 2, 0.0)
        without = self.of(means, np.sqrt(squares / max(n - 2, 1)))
        return float(whole), np.asarray(
            n * self._on_scale(whole) - (n - 1) * self._on_scale(without)
        )

    def _shares(self, old: FloatArray, new: FloatArray, paired: bool) -> Moved:
        hits, trials = ([int(f(x)) for x in (old, new)] for f in (np.sum, np.size))
        before, after = (k / n for k, n in zip(hits, trials, strict=True))
        found = Moved(before, after, after - before)
        if not paired:
            errors = share_error(hits, trials)
            return found._replace(mcse=math.hypot(*errors), p=_two_shares(hits, trials))
        gained, lost = int((new > old).sum()), int((new < old).sum())
        changed, n = gained + lost, trials[0]
        p = min(1.0, 2.0 * float(at_most(min(gained, lost), changed, 0.5))) if changed else 1.0
        spread = max(changed - (gained - lost) ** 2 / n, 1.0)  # none of a few is not none of all
        return found._replace(mcse=math.sqrt(spread) / n, p=p)


def _column(side: Drawn, name: str) -> FloatArray:
    if name == "valued":
        return np.isfinite(side.e).astype(float)
    return np.asarray(getattr(side, name), dtype=float)


def _skewness(x: FloatArray) -> float:
    sd = float(np.std(x))
    return float(np.mean((x - x.mean()) ** 3)) / sd**3 if sd > 0.0 else 0.0


def _welch(difference: float, squares: list[float], n: list[int]) -> float:
    """Probability of a difference of two means as large by chance (Welch 1947, Biometrika 34, 28)."""
    from scipy.special import stdtr

    variance = sum(squares)
    if not math.isfinite(variance):
        return 1.0
    if variance == 0.0:
        return 0.0 if difference else 1.0
    freedom = variance**2 / sum(s**2 / (k - 1) for s, k in zip(squares, n, strict=True))
    return float(2.0 * stdtr(freedom, -abs(difference) / math.sqrt(variance)))


def _two_shares(hits: list[int], trials: list[int]) -> float:
    """Probability of a difference of two shares as large by chance, with Yates's correction."""
    from scipy.special import ndtr

    p, each = sum(hits) / sum(trials), sum(1.0 / n for n in trials)
    if p in (0.0, 1.0):
        return 1.0
    far = abs(hits[0] / trials[0] - hits[1] / trials[1]) - 0.5 * each
    return float(2.0 * ndtr(-max(far, 0.0) / math.sqrt(p * (1.0 - p) * each)))


#: Scores that are compared.
MEASURES: Final = (
    Measure("bias", "bias", "error", ("e",)),
    Measure("scatter", "scatter", "ratio", ("e",), lambda _, sd: sd),
    Measure("error_ratio", "error ratio", "ratio", ("e", "half"), lambda means, sd: means[1] / sd),
    Measure("coverage68", "cover 68", "share", ("in68",)),
    Measure("coverage95", "cover 95", "share", ("in95",)),
    Measure("success", "success", "share", ("valued",)),
)
