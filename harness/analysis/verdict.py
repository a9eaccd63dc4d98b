"""Scores in words: what is biased, which error bars are too small, what cannot be determined."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from haloassay.contracts import labels

if TYPE_CHECKING:
    import pandas as pd

#: A bias counts as found where it exceeds this many Monte Carlo standard errors.
SIGNIFICANT: Final = 3.0
#: One-sided probability of as many sigma, for coverages.
_TAIL: Final = 0.00135
#: Fewer realisations than these do not tell a bias from chance: their scatter is itself unknown.
ENOUGH: Final = 10


#: Share of its stars that two realisations may have in common without a word: scatters are then 2.5 per cent too small.
NOTABLE: Final = 0.05


@dataclass(frozen=True)
class Verdict:
    """What the scores of one quantity by one estimator in one cell say.

    ``fault`` is whether something speaks against the method, ``determined`` whether there were
    enough estimates to say; ``bias`` and ``intervals`` are sentences.
    """

    cell: str
    estimator: str
    quantity: str
    fault: bool
    bias: str
    intervals: str
    determined: bool = True

    @property
    def state(self) -> str:
        """``fault``, ``none`` (none found) or ``open`` (cannot be determined)."""
        if not self.determined:
            return "open"
        return "fault" if self.fault else "none"


def verdicts(scores: pd.DataFrame) -> list[Verdict]:
    """One verdict for each (cell, estimator, quantity), in the order of the table.

    Biases are judged at 3 Monte Carlo standard errors, coverages by the exact binomial probability
    of the same rarity (0.00135 on one side). By chance about one in 400 tests fails this.
    """
    groups = scores.groupby(["cell", "estimator", "quantity"], sort=False)
    return [_judge(str(c), str(e), str(q), group) for (c, e, q), group in groups]


def overlap_sentence(overlaps: pd.DataFrame) -> str:
    """Say what it means that realisations are drawn from one population, in the cell where it means most.

    Parameters
    ----------
    overlaps
        Frame of the function ``overlaps``.

    Returns
    -------
    str
        Empty where no two realisations have more than a twentieth of their stars in common.
    """
    notable = overlaps[overlaps["share"] >= NOTABLE]
    if not len(notable):
        return ""
    worst = notable.sort_values("share").iloc[-1]
    where = f"in cell {worst['cell']!r}"
    if len(notable) > 1:
        where += f" (and, no more so, in {len(notable) - 1} others)"
    share, population = (
        float(worst["share"]),
        f"the {worst['population']} stars that there are",
    )
    if share > 0.999:
        return (
            f"{where} all realisations observe the same of {population}: what scatters are the errors of"
            " measurement alone, and no +- holds the error that they share"
        )
    small, common = 100.0 * (1.0 - np.sqrt(1.0 - share)), np.sqrt(share / (1.0 - share))
    return (
        f"{where} {100.0 * share:.2g} per cent of the observed stars are the same in any two realisations, which draw"
        f" from {population}: scatters may be up to {small:.0f} per cent too small, and biases have a common"
        f" error of up to {common:.2g} scatters that is not in their +-; more stars to draw from mend both"
    )


def _judge(cell: str, estimator: str, quantity: str, group: pd.DataFrame) -> Verdict:
    enough = group[group["n"] >= ENOUGH]
    if not len(enough):
        return Verdict(cell, estimator, quantity, False, _why_not(group), "", False)
    biased, bias = _bias_sentence(quantity, enough)
    wrong, intervals = _interval_sentence(enough)
    left_out = len(group) - len(enough)
    if left_out:
        bias += f" In {_bins(left_out)} it cannot be determined: fewer than {ENOUGH} estimates."
    return Verdict(cell, estimator, quantity, biased or wrong, bias, intervals)


def _why_not(group: pd.DataFrame) -> str:
    n, attempted = int(group["n"].max()), int(group["n_attempted"].max())
    if attempted and int(group["n_failed"].min()) == attempted:
        return f"Cannot be determined, because all {attempted} attempted runs gave no value."
    if n == 0:
        return "Cannot be determined, because the mock has no truth for it."
    only = "is only one estimate" if n == 1 else f"are only {n} estimates"
    return f"Cannot be determined, because there {only} (at least {ENOUGH} are needed)."


def _bias_sentence(quantity: str, group: pd.DataFrame) -> tuple[bool, str]:
    found = group[np.abs(group["bias"]) > SIGNIFICANT * group["bias_mcse"]]
    worst = _extreme(found if len(found) else group, "bias")
    factor = labels.error_factor(quantity)
    unit = labels.error_unit(quantity, str(worst["unit"]))
    if labels.quantity_of(quantity).scale == "separation":  # its mean is above zero without a bias
        return (
            False,
            f"Off by {labels.with_error(worst['bias'], worst['bias_mcse'])} {unit} on average.",
        )
    size = f"{labels.with_error(worst['bias'], worst['bias_mcse'], factor)} {unit}".rstrip()
    where = f" at r = {worst['r']:.3g} kpc" if np.isfinite(worst["r"]) else ""
    if not len(found):
        limit = SIGNIFICANT * float(group["bias_mcse"].max()) * factor
        return False, f"No bias found; one of {limit:.2g} {unit}".rstrip() + " would have been."
    if len(group) == 1:
        return True, f"Biased by {size}{where}."
    return True, f"Biased in {len(found)} of {_bins(len(group))}, most by {size}{where}."


def _interval_sentence(group: pd.DataFrame) -> tuple[bool, str]:
    group = group[np.isfinite(group["coverage68"])]
    if not len(group):
        return False, "It states no intervals."
    for level in (68, 95):
        found = _wrong_intervals(group, level)
        if found:
            return True, found
    return False, "Its intervals cover what they state, within the Monte Carlo error."


def _wrong_intervals(group: pd.DataFrame, level: int) -> str:
    """Say what is wrong with the intervals of a level; empty where nothing was found."""
    from scipy.stats import binom

    name, nominal = f"coverage{level}", level / 100.0
    inside = np.round(group[name] * group["n"])
    narrow = group[binom.cdf(inside, group["n"], nominal) < _TAIL]
    wide = group[binom.sf(inside - 1, group["n"], nominal) < _TAIL]
    for wrong, word in ((narrow, "narrow"), (wide, "wide")):
        if len(wrong):
            worst = _extreme(wrong.assign(miss=wrong[name] - nominal), "miss")
            text = labels.coverage_text(worst[name], worst[f"{name}_mcse"], worst["n"])
            where = f" in {len(wrong)} of {_bins(len(group))}" if len(group) > 1 else ""
            return f"Its {level} per cent intervals are too {word}{where}: they cover {text}."
    return ""


def _extreme(group: pd.DataFrame, name: str) -> dict[Any, Any]:
    """Row with the largest absolute value of a column."""
    return group.to_dict("records")[int(np.argmax(np.abs(group[name])))]


def _bins(n: int) -> str:
    return f"{n} bin" + ("" if n == 1 else "s")
