"""Budgets as tables for terminals, papers and machines, and as the sentence that a paper prints."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from haloassay.analysis.budget import Budget
from haloassay.analysis.contributions import Amount, Line
from haloassay.base.text import printable
from haloassay.contracts import labels
from haloassay.contracts.factors import StatedFactor
from haloassay.reports import escapes, plain

if TYPE_CHECKING:
    import pandas as pd

#: Columns of the table for machines; errors of positive scales are fractions.
COLUMNS: Final = (
    *("estimator", "quantity", "r", "bin", "unit", "item", "label", "level", "shift", "shift_mcse"),
    *("sd", "sd_mcse", "half68", "share", "n", "n_lost"),
    *(f"{which}{end}" for which in ("first", "total") for end in ("", "_error", "_lo", "_hi")),
    "note",
)
#: Columns for readers, without the unit of errors, and those of Sobol' indices.
_HEADS: Final = ("", "shift", "1 σ", "68 %", "share")
_INDICES: Final = ("first", "total")
#: Numbers from which two digits would be written as a power of ten.
_WHOLE: Final = 99.5


def frame(budgets: Sequence[Budget]) -> pd.DataFrame:
    """Table of budgets for machines: columns :data:`COLUMNS`, one row an item.

    Items are ``random-stated``, ``random-found``, ``bias``, ``level`` (one a level of a factor), ``factor``,
    ``quadrature``, ``mean-together``, ``together``, ``interaction``, ``note``.
    """
    import pandas as pd

    rows = [row for budget in budgets for row in _machine_rows(budget)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _machine_rows(budget: Budget) -> list[dict[str, Any]]:
    head = {
        "estimator": budget.estimator,
        "quantity": budget.quantity.name,
        "r": budget.r,
        "bin": budget.bin,
        "unit": budget.quantity.unit,
    }
    blank = {"label": "", "level": "", "note": "", "n": budget.n, "n_lost": 0}
    rows: list[dict[str, Any]] = []

    def add(item: str, **told: Any) -> None:
        rows.append({**head, **blank, "item": item, **told})

    add("random-stated", sd=budget.stated.value, sd_mcse=budget.stated.mcse)
    found = budget.found
    add("random-found", **_sd(found), share=budget.share(found.value))
    add("bias", **_shift(budget.bias), n_lost=budget.n_attempted - budget.n)
    for line in budget.lines:
        counts = {"label": line.factor.label, "n": line.n, "n_lost": line.n_lost}
        for level, shift in zip(line.factor.levels, line.shifts, strict=False):
            add("level", **counts, level=level.label, **_shift(shift))
        told = {**_shift(line.mean), **_sd(line.sd), "half68": line.half68, "note": line.why}
        if budget.indices is not None:
            for which, index in zip(_INDICES, budget.indices.of(line.factor.label), strict=True):
                ends = (f"{which}{end}" for end in ("", "_error", "_lo", "_hi"))
                told |= dict(zip(ends, index, strict=True))
        add("factor", **counts, **told, share=budget.share(line.sd.value))
    add("quadrature", **_sd(budget.quadrature))
    points = {"n": budget.together.n}
    add("mean-together", **_shift(budget.together.mean), **points)
    add("together", **_sd(budget.together.sd), **points)
    for pair in budget.together.interactions:
        add("interaction", label=" × ".join(pair.factors), **_shift(pair.effect), **points)
    for note in budget.notes:
        add("note", note=note)
    return rows


def _shift(amount: Amount) -> dict[str, float]:
    return {"shift": amount.value, "shift_mcse": amount.mcse}


def _sd(amount: Amount) -> dict[str, float]:
    return {"sd": amount.value, "sd_mcse": amount.mcse}


def title(budget: Budget) -> str:
    """Say what a budget is of: ``M(< 50 kpc), jeans-3d, 10762 stars``."""
    return f"{name(budget)}, {budget.estimator}, {budget.n_stars:.0f} stars"


def name(budget: Budget) -> str:
    """Name a budget's quantity with its radius."""
    return labels.at_radius(budget.quantity.name, budget.r)


def unit_of(budget: Budget) -> str:
    """Name the unit in which a budget's errors are shown."""
    return labels.error_unit(budget.quantity.name, budget.quantity.unit)


def heads(budget: Budget) -> list[str]:
    """Columns for readers, with the unit of errors."""
    unit = unit_of(budget)
    with_unit = [f"{head} [{unit}]" if unit else head for head in _HEADS[1:4]]
    return ["", *with_unit, _HEADS[4], *(_INDICES if _has_indices(budget) else ())]


def _has_indices(budget: Budget) -> bool:
    return budget.indices is not None and not budget.indices.found.reason


def rows(budget: Budget) -> list[list[str]]:
    """Rows for readers, the largest contribution first; the last columns are Sobol' indices, where there are any."""
    found = _rows(budget)
    if budget.indices is None or not _has_indices(budget):
        return found
    first = 2  # below random error and bias
    for row in found:
        row += ["", ""]
    for row, line in zip(found[first:], budget.lines, strict=False):
        row[-2:] = [
            labels.share_text(value, lo, hi)
            for value, _, lo, hi in budget.indices.of(line.factor.label)
        ]
    return found


def _rows(budget: Budget) -> list[list[str]]:
    factor = labels.error_factor(budget.quantity.name)

    def text(amount: Amount) -> str:
        return labels.with_error(amount.value, amount.mcse, factor)

    def share(amount: Amount) -> str:
        part = budget.share(amount.value)
        return f"{part:.2f}" if math.isfinite(part) else ""

    stated = _number(budget.stated.value * factor)
    random = f"random error (stated {stated or 'none'})"
    found = [
        [random, "", text(budget.found), _number(budget.found.value * factor), share(budget.found)]
    ]
    found.append(["bias of the method on the base halo", text(budget.bias), "", "", ""])
    for line in budget.lines:
        contribution = text(line.sd) if math.isfinite(line.sd.value) else labels.DASH
        half = _number(line.half68 * factor)
        found.append([_line_label(line), _ends(line, factor), contribution, half, share(line.sd)])
    found.append(["in quadrature", "", text(budget.quadrature), "", ""])
    together = budget.together
    if math.isfinite(together.mean.value):
        mean = "mean shift, all together"
        found.append([mean, text(together.mean), "", "", ""])
    if math.isfinite(together.sd.value):
        label = f"all together ({together.n} points)"
        found.append([label, "", text(together.sd), "", ""])
    for pair in together.interactions:
        label = f"not additive: {' × '.join(pair.factors)}"
        found.append([label, text(pair.effect), "", "", ""])
    return found


def _number(value: float) -> str:
    if not math.isfinite(value):
        return ""
    return f"{value:.2g}" if abs(value) < _WHOLE else f"{value:.0f}"


def _line_label(line: Line) -> str:
    levels = [level.label for level in line.factor.levels]
    shown = levels[0] if len(levels) == 1 else f"{levels[0]} .. {levels[-1]}"
    prior = line.factor.prior
    return f"{line.factor.label} {shown}" + (f" ({prior.kind})" if prior is not None else "")


def _ends(line: Line, factor: float) -> str:
    """Write the shifts at the first and last level, with the larger error of the two; a dash for one that has none."""
    if not line.shifts:
        return labels.DASH
    ends = [line.shifts[0], line.shifts[-1]]
    if len(line.shifts) == 1:
        return labels.with_error(ends[0].value, ends[0].mcse, factor)
    if not all(math.isfinite(end.value) for end in ends):
        return " .. ".join(labels.with_error(end.value, end.mcse, factor) for end in ends)
    worst = max(ends, key=lambda end: end.mcse)
    _, is_known, error = labels.with_error(worst.value, worst.mcse, factor).partition(" ± ")
    if not is_known:
        return " .. ".join(f"{end.value * factor:+.3g}" for end in ends)
    digits = labels.decimals(worst.mcse * factor)
    return " .. ".join(f"{end.value * factor:+.{digits}f}" for end in ends) + f" ± {error}"


def notes(budget: Budget) -> list[str]:
    """List what a reader must know beside the table."""
    own = [f"{line.factor.label}: {line.why}" for line in budget.lines if line.why]
    return [*own, *budget.notes]


def sentence(budget: Budget) -> str:
    """Write the sentence for a paper: the correction, the random and the systematic error.

    What the run cannot say is said in its place.
    """
    factor, unit = labels.error_factor(budget.quantity.name), unit_of(budget)
    random, systematic, offset = budget.found, budget.systematic, budget.offset
    if not math.isfinite(systematic.value):
        return f"{name(budget)}: the systematic error cannot be determined, because no factor's contribution is known"
    errors = [f"± {_number(random.value * factor)} {unit} (random)"]
    how = "" if budget.is_together else ", in quadrature"
    errors.append(f"± {_number(systematic.value * factor)} {unit} (systematic{how})")
    if not math.isfinite(offset.value):
        corrected = "value"
    elif budget.quantity.scale == "fractional":
        scale = 1.0 / (1.0 + offset.value)
        digits = max(labels.decimals(offset.mcse * scale), 2) if offset.mcse > 0.0 else 3
        corrected = f"value × {scale:.{digits}f} (bias removed)"
    else:
        shift = labels.with_error(-offset.value, offset.mcse).replace(" ± ", " +- ")
        corrected = f"value + ({shift}{f' {unit}' if unit else ''}) (bias removed)"
    return f"{name(budget)} = {corrected}, " + " ".join(" ".join(errors).split())


def legend(factors: Sequence[StatedFactor]) -> list[tuple[str, str]]:
    """Labels of factors, each with what it sets and its prior."""
    return [
        (f.label, ", ".join(f.paths) + (f"; prior {f.prior}" if f.prior is not None else ""))
        for f in factors
    ]


def overview(budgets: Sequence[Budget]) -> list[list[str]]:
    """Head and rows of budgets of one quantity, one a row: random and systematic errors, and what costs most."""
    factor, unit = labels.error_factor(budgets[0].quantity.name), unit_of(budgets[0])
    of = f" [{unit}]" if unit else ""
    heads = [f"{name}{of}" for name in ("random", "bias", "in quadrature", "all together")]
    found = [["estimator", "r [kpc]", *heads, f"largest part{of}"]]
    for budget in budgets:
        amounts = (budget.found, budget.bias, budget.quadrature, budget.together.sd)
        shown = [labels.with_error(amount.value, amount.mcse, factor) for amount in amounts]
        known = [line for line in budget.lines if math.isfinite(line.sd.value)]
        most = max(known, key=lambda line: line.sd.value, default=None)
        largest = labels.DASH
        if most is not None:
            error = labels.with_error(most.sd.value, most.sd.mcse, factor)
            largest = f"{most.factor.label}: {error}"
        r = f"{budget.r:.3g}" if math.isfinite(budget.r) else labels.DASH
        found.append([budget.estimator, r, *shown, largest])
    return found


def caption(budget: Budget, told: Mapping[str, Any]) -> str:
    """Caption of a table in a paper: what it is of, how many realisations, seed and version."""
    scenario, version = told["scenario"], told["versions"].get("haloassay", "?")
    levels = [line.n for line in budget.lines if line.n]
    each = f", {min(levels)} of each level" if levels else ""
    points = f", {budget.together.n} points of all factors together" if budget.together.n else ""
    return (
        f"Error budget of {name(budget)} by {budget.estimator} on mock catalogues of {budget.n_stars:.0f} stars"
        f" (scenario {scenario['name']}, {budget.n} realisations of the base{each}{points}, seed {scenario['seed']},"
        f" haloassay {version}). Shifts are changes of the error at the first and last level of a factor; 1 sigma is"
        " the standard deviation under its prior, 68 per cent half the width of the central interval; Monte Carlo"
        f" errors are given.{_caption_of_indices(budget)} {sentence(budget)}."
    )


def _caption_of_indices(budget: Budget) -> str:
    if budget.indices is None or not _has_indices(budget):
        return ""
    n = budget.indices.found.n
    return f" First and total: Sobol' indices of {n} rows, with intervals of 68 per cent."


def latex(budget: Budget, told: Mapping[str, Any]) -> str:
    """Table of a paper: booktabs, units, caption."""
    return plain.latex([heads(budget), *rows(budget)], caption(budget, told))


def markdown(budget: Budget) -> str:
    """Table in Markdown, with title, notes and sentence."""
    told = [f"- {escapes.markdown(note)}" for note in notes(budget)]
    parts = [f"**{escapes.markdown(title(budget))}**"]
    parts += [plain.markdown([heads(budget), *rows(budget)])]
    parts += ["\n".join(told)] if told else []
    return "\n\n".join([*parts, escapes.markdown(sentence(budget))]) + "\n"


def text(budget: Budget) -> str:
    """Table of plain text, aligned, with title, notes and sentence."""
    lines = [printable(title(budget)), *plain.aligned([heads(budget), *rows(budget)])]
    lines += [f"  {printable(note)}" for note in notes(budget)]
    return "\n".join([*lines, f"=> {printable(sentence(budget))}"]) + "\n"
