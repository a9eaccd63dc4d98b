"""Measurements with their budget, as tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from haloassay.analysis.attachment import Attached, Interval
from haloassay.analysis.budget import Budget
from haloassay.base.text import printable
from haloassay.contracts import labels
from haloassay.reports import escapes, plain

if TYPE_CHECKING:
    import pandas as pd

#: Columns of the table for machines; ``systematic`` and ``bias`` of positive scales are fractions.
COLUMNS: Final = (
    *("estimator", "quantity", "r", "unit", "value", "lo68", "hi68", "systematic"),
    *("systematic_mcse", "total_lo68", "total_hi68", "bias", "bias_mcse"),
    *("corrected", "corrected_lo68", "corrected_hi68", "note"),
)


def frame(profile: Sequence[Budget], attached: Sequence[Attached], correct: bool) -> pd.DataFrame:
    """Table for machines: columns :data:`COLUMNS`, corrected ones where they are wanted, one row a measured value."""
    import pandas as pd

    found = [
        (
            *(profile[0].estimator, profile[0].quantity.name, each.measured.middle),
            *(profile[0].quantity.unit, each.measured.value, *each.measured.interval),
            *(each.systematic.value, each.systematic.mcse),
            *(each.total.lo, each.total.hi, each.offset.value, each.offset.mcse),
            *(each.corrected.value, each.corrected.lo, each.corrected.hi, each.why),
        )
        for each in attached
    ]
    table = pd.DataFrame(found, columns=list(COLUMNS))
    return table if correct else table.drop(columns=[c for c in COLUMNS if "corrected" in c])


def title(profile: Sequence[Budget]) -> str:
    """Say what is measured, and whose budget it has."""
    quantity = profile[0].quantity
    unit = f" [{quantity.unit}]" if quantity.unit else ""
    return f"{labels.plain(quantity.name)}{unit} with the budget of {profile[0].estimator}"


def rows(profile: Sequence[Budget], attached: Sequence[Attached], correct: bool) -> list[list[str]]:
    """Head and rows for readers."""
    name = profile[0].quantity.name
    unit, factor = labels.error_unit(name, profile[0].quantity.unit), labels.error_factor(name)
    of = f" [{unit}]" if unit else ""
    found = [["", "as stated", f"systematic{of}", "with systematic"]]
    found[0] += [f"bias{of}", "corrected"] if correct else []
    for each in attached:
        stated = Interval(each.measured.value, *each.measured.interval)
        systematic = labels.with_error(each.systematic.value, each.systematic.mcse, factor)
        row = [
            labels.at_radius(name, each.measured.middle),
            span(stated),
            systematic,
            span(each.total),
        ]
        if correct:
            bias = labels.with_error(each.offset.value, each.offset.mcse, factor)
            row += [bias, span(each.corrected)]
        found.append(row)
    return found


def span(interval: Interval) -> str:
    """Write ``3.21e+11 (2.9e+11 to 3.5e+11)``: a value and the ends of its interval."""
    if not math.isfinite(interval.value):
        return labels.DASH
    if not math.isfinite(interval.lo):
        return f"{interval.value:.4g}"
    return f"{interval.value:.4g} ({interval.lo:.4g} to {interval.hi:.4g})"


def notes(profile: Sequence[Budget], attached: Sequence[Attached], correct: bool) -> list[str]:
    """List what a reader must know beside the table."""
    found = [
        f"{labels.at_radius(profile[0].quantity.name, a.measured.middle)}: {a.why}"
        for a in attached
        if a.why
    ]
    if correct:
        found.append(
            "corrected: the bias on the base and the mean shift under the priors removed, their error in the sum;"
            " with systematic: what no correction gives"
        )
    for budget in profile:
        found += [
            f"{labels.at_radius(budget.quantity.name, budget.r)}: {note}" for note in budget.notes
        ]
    return list(dict.fromkeys(found))


def text(profile: Sequence[Budget], attached: Sequence[Attached], correct: bool) -> str:
    """Table of plain text with title and notes."""
    lines = [printable(title(profile)), *plain.aligned(rows(profile, attached, correct))]
    lines += [f"  {printable(note)}" for note in notes(profile, attached, correct)]
    return "\n".join(lines) + "\n"


def markdown(profile: Sequence[Budget], attached: Sequence[Attached], correct: bool) -> str:
    """Table in Markdown with title and notes."""
    told = "\n".join(f"- {escapes.markdown(note)}" for note in notes(profile, attached, correct))
    table = plain.markdown(rows(profile, attached, correct))
    parts = [f"**{escapes.markdown(title(profile))}**", table, told]
    return "\n\n".join(filter(None, parts)) + "\n"


def latex(profile: Sequence[Budget], attached: Sequence[Attached], correct: bool) -> str:
    """Table of a paper."""
    caption = ". ".join([title(profile), *notes(profile, attached, correct)])
    return plain.latex(rows(profile, attached, correct), f"{caption}.")
