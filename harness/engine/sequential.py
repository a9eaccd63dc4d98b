"""Precision on demand: realisations are added until a condition holds for the table of scores or of pairs.

Monte Carlo errors fall as 1 / sqrt(n), so the condition says how many realisations to add. A rule that reads errors and
counts alone knows nothing of the values themselves, and what is a mean stays unbiased to the order of 1 / n.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from haloassay.analysis.rules import Rule

if TYPE_CHECKING:
    from haloassay.results.results import Results

#: Realisations of the first look, and at most, where the user does not say.
FEWEST: Final = 30
MOST: Final = 10_000


def run_until(
    rule: Rule,
    most: int,
    first: int,
    add: Callable[[int], Results],
    say: Callable[[str], None],
) -> Results:
    """Add realisations until a rule holds, or there are ``most`` of them.

    Parameters
    ----------
    rule
        When to stop.
    most, first
        Realisations at most, and of the first look: :data:`FEWEST` or more.
    add
        Runs up to a number of realisations and returns all results.
    say
        Takes lines for the user.
    """
    if rule.peeks:
        say(
            f"until: the rule reads {', '.join(rule.peeks)} itself: it stops where chance is kind to it, and what it"
            " reads is biased by that"
        )
    n = min(max(first, FEWEST), most)
    while True:
        results = add(n)
        frame = rule.of(results)
        failing = rule.fails(frame)
        if not failing.any():
            say(f"until: {rule.text}: holds for all {len(frame)} rows with {n} realisations")
            return results
        if n >= most:
            worst = frame[failing].iloc[0]
            where = ", ".join(str(worst[k]) for k in ("cell", "estimator", "quantity"))
            say(
                f"until: {rule.text}: does not hold for {int(failing.sum())} of {len(frame)} rows with {n}"
                f" realisations, the most allowed; the first: {where}"
            )
            return results
        n = min(most, max(n + 1, math.ceil(n * rule.growth(frame[failing]))))
        say(f"until: {int(failing.sum())} of {len(frame)} rows need more: going on to {n}")
