"""Budgets as tables for terminals, papers and machines, and as the sentence that a paper prints."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from haloassay.analysis.budget import Budget
from haloassay.analysis.contributions import Amount, Line
from haloassay.base.text import printable
from haloassay.contracts import labels
from haloassay.reports import escapes

if TYPE_CHECKING:
    import pandas as pd

#: Columns of the table for machines; errors of positive scales are fractions.
COLUMNS: Final = (
    *("estimator", "quantity", "r", "bin", "unit", "item", "label", "level", "shift", "shift_mcse"),
    *("sd", "sd_mcse", "half68", "share", "n", "n_lost", "note"),
)
#: Columns for readers, without the unit of errors.
_HEADS: Final = ("", "shift", "1 σ", "68 %", "share")


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
    """Name a quantity with its radius: ``M(< 50 kpc)``, ``σ_r at 19 kpc``."""
    plain = labels.plain(budget.quantity.name)
    if not math.isfinite(budget.r):
        return plain
    if plain.endswith("(<r)"):
        return plain.replace("(<r)", f"(< {budget.r:.3g} kpc)")
    return f"{plain} at {budget.r:.3g} kpc"


def unit_of(budget: Budget) -> str:
    """Name the unit in which a budget's errors are shown."""
    return labels.error_unit(budget.quantity.name, budget.quantity.unit)


def heads(budget: Budget) -> list[str]:
    """Columns for readers, with the unit of errors."""
    unit = unit_of(budget)
    with_unit = [f"{head} [{unit}]" if unit else head for head in _HEADS[1:4]]
    return ["", *with_unit, _HEADS[4]]


def rows(budget: Budget) -> list[list[str]]:
    """Rows for readers, the largest contribution first."""
    factor = labels.error_factor(budget.quantity.name)

    def text(amount: Amount) -> str:
        return labels.with_error(amount.value, amount.mcse, factor)

    def share(amount: Amount) -> str:
        part = budget.share(amount.value)
        return f"{part:.2f}" if math.isfinite(part) else ""

    stated = f"{budget.stated.value * factor:.2g}" if math.isfinite(budget.stated.value) else ""
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
    return f"{value:.2g}" if math.isfinite(value) else ""


def _line_label(line: Line) -> str:
    levels = [level.label for level in line.factor.levels]
    shown = levels[0] if len(levels) == 1 else f"{levels[0]} .. {levels[-1]}"
    prior = line.factor.prior
    return f"{line.factor.label} {shown}" + (f" ({prior.kind})" if prior is not None else "")


def _ends(line: Line, factor: float) -> str:
    """Write the shifts at the first and last level, with the larger error of the two."""
    if not line.shifts:
        return labels.DASH
    ends = [line.shifts[0], line.shifts[-1]]
    if len(line.shifts) == 1:
        return labels.with_error(ends[0].value, ends[0].mcse, factor)
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
    how = "" if math.isfinite(budget.together.sd.value) else ", in quadrature"
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
        f" errors are given. {sentence(budget)}."
    )


def latex(budget: Budget, told: Mapping[str, Any]) -> str:
    """Table of a paper: booktabs, units, caption."""
    body = [escapes.latex_row([_tex(cell) for cell in row]) for row in rows(budget)]
    lines = [
        r"% needs \usepackage{booktabs}",
        r"\begin{table}",
        rf"\caption{{{_tex(caption(budget, told))}}}",
        r"\begin{tabular}{lrrrr}",
        r"\toprule",
        escapes.latex_row([_tex(head) for head in heads(budget)]),
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


#: What a table for readers has and LaTeX has no letter for.
_TEX: Final = {
    "±": r"$\pm$",
    "×": r"$\times$",
    "σ": r"$\sigma$",
    "β": r"$\beta$",
    "–": "--",
    "₂₀₀": r"$_{200}$",
    "⟨": r"$\langle$",
    "⟩": r"$\rangle$",
}


def _tex(text: str) -> str:
    text = escapes.latex(text)
    for letter, command in _TEX.items():
        text = text.replace(letter, command)
    return text.replace("+-", r"$\pm$")


def markdown(budget: Budget) -> str:
    """Table in Markdown, with title, notes and sentence."""
    table = [heads(budget), ["---", "---:", "---:", "---:", "---:"], *rows(budget)]
    body = ["| " + " | ".join(escapes.markdown(cell) for cell in row) + " |" for row in table]
    body[1] = "| " + " | ".join(table[1]) + " |"
    told = [f"- {escapes.markdown(note)}" for note in notes(budget)]
    parts = [f"**{escapes.markdown(title(budget))}**", "\n".join(body)]
    parts += ["\n".join(told)] if told else []
    return "\n\n".join([*parts, escapes.markdown(sentence(budget))]) + "\n"


def text(budget: Budget) -> str:
    """Table of plain text, aligned, with title, notes and sentence."""
    table = [heads(budget), *rows(budget)]
    widths = [max(len(row[k]) for row in table) for k in range(len(table[0]))]
    lines = [printable(title(budget))]
    for row in table:
        cells = [
            row[0].ljust(widths[0]),
            *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True)),
        ]
        lines.append(printable("  ".join(cells).rstrip()))
    lines += [f"  {printable(note)}" for note in notes(budget)]
    return "\n".join([*lines, f"=> {printable(sentence(budget))}"]) + "\n"
