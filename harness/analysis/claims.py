"""Whether mocks say what was published: shown to be within its limits, shown to be outside, or neither.

What is outside is so at a rate of false alarms of all claims that are judged together (Holm's method); what is within
is shown by one-sided tests, one a limit, of :data:`haloassay.analysis.significance.SHOWN` each; else it cannot be told,
and it is said how many realisations would.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from haloassay.analysis.compare import FEWEST, LEAST_STEP
from haloassay.analysis.significance import MOST, holm, reach, times_seen, times_within
from haloassay.analysis.statistic import Found
from haloassay.base.defaults import ALPHA
from haloassay.base.settings import require

Verdict = Literal["reproduced", "differs", "cannot be told", "cannot be tested here"]


@dataclass(frozen=True)
class Limits:
    """Between what a number counts as the published one; either end may be open."""

    lo: float = -math.inf
    hi: float = math.inf

    def room(self, value: float) -> float:
        """How far inside a number is, negative outside."""
        return min(value - self.lo, self.hi - value)


@dataclass(frozen=True)
class Judgement:
    """What is to be said of a claim.

    Parameters
    ----------
    verdict
        Which of the four.
    found
        What mocks say; None where it cannot be tested.
    p
        Probability of a number as far outside where the true one is at the limit; NaN where there is none.
    wanted
        Realisations that would tell, where it cannot be told; None where no number may.
    why
        What there is to add.
    """

    verdict: Verdict
    found: Found | None = None
    p: float = math.nan
    wanted: int | None = None
    why: str = ""


def judge(
    found: Sequence[Found | str], limits: Sequence[Limits], alpha: float = ALPHA
) -> list[Judgement]:
    """Judge claims together.

    Parameters
    ----------
    found
        What mocks say of each, or why nothing can be.
    limits
        Those of each.
    alpha
        Probability that any of them is said to differ where none does.

    Raises
    ------
    InputError
        If the rate is not in (0, 1).
    """
    require_rate(alpha)
    p = np.array([_p_value(x, ends) for x, ends in zip(found, limits, strict=True)])
    known = np.isfinite(p)
    outside = np.zeros(len(p), dtype=bool)
    outside[known] = holm(p[known], alpha)
    level = alpha / max(int(known.sum()), 1)
    return [
        _judged(x, ends, float(each), bool(far), level)
        for x, ends, each, far in zip(found, limits, p, outside, strict=True)
    ]


def require_rate(alpha: float) -> None:
    """Raise :class:`InputError` unless a rate of false alarms is one."""
    require(0.0 < alpha < 1.0, f"claims: alpha: must be above 0 and below 1 (got {alpha:g})")


def _p_value(found: Found | str, limits: Limits) -> float:
    """Probability of a number as far outside its nearer limit; NaN where it cannot be judged."""
    from scipy.special import stdtr

    if isinstance(found, str) or found.n < FEWEST or not math.isfinite(found.mcse):
        return math.nan
    room = limits.room(found.value)
    if found.error == 0.0:
        return 0.0 if room < 0.0 else 1.0
    return float(stdtr(found.n - 1, min(room / found.error, 1e6)))


def _judged(found: Found | str, limits: Limits, p: float, is_far: bool, alpha: float) -> Judgement:
    """Say which of the four it is; ``alpha`` is that of one claim."""
    if isinstance(found, str):
        return Judgement("cannot be tested here", why=found)
    tried = found.n + found.n_lost
    if not found.n:
        return Judgement(
            "cannot be tested here", why=f"none of {tried} realisations has a value beside a truth"
        )
    lost = f"{found.n} of {tried} realisations have a value" if found.is_lossy else ""
    if found.common > found.mcse:
        lost = "; ".join(filter(None, [lost, "± is mostly that of stars that all have in common"]))
    if math.isnan(p):
        return Judgement("cannot be told", found, p, FEWEST, lost)
    if is_far:
        return Judgement("differs", found, p, why=lost)
    room = limits.room(found.value)
    if room > float(reach(found.error, found.n)):
        return Judgement("reproduced", found, p, why=lost)
    within = float(times_within(room, found.error, found.n))
    seen = float(times_seen(-room, found.error, 2.0 * alpha))  # on one side
    wanted = found.n * _times(found, max(min(within, seen), LEAST_STEP))
    return Judgement("cannot be told", found, p, math.ceil(wanted) if wanted < MOST else None, lost)


def _times(found: Found, times: float) -> float:
    """How many times as many realisations make a square error so many times smaller, where a part of it is common."""
    own = found.error**2 / times - found.common**2
    return found.mcse**2 / own if own > 0.0 else math.inf
