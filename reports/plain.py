"""Small tables of text, a list of rows whose first is the head: for terminals, Markdown and LaTeX."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from haloassay.base.text import printable
from haloassay.reports import escapes

Rows = Sequence[Sequence[str]]

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


def aligned(table: Rows) -> list[str]:
    """Lines of a table whose first column stands at the left, all others at the right."""
    widths = [max(len(row[k]) for row in table) for k in range(len(table[0]))]
    lines = []
    for row in table:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append(printable("  ".join(cells).rstrip()))
    return lines


def markdown(table: Rows) -> str:
    """Write a table in Markdown."""
    rule = ["---", *["---:"] * (len(table[0]) - 1)]
    body = ["| " + " | ".join(escapes.markdown(cell) for cell in row) + " |" for row in table]
    return "\n".join([body[0], f"| {' | '.join(rule)} |", *body[1:]])


def latex(table: Rows, caption: str) -> str:
    """Write a table of a paper: booktabs and a caption."""
    body = [escapes.latex_row([tex(cell) for cell in row]) for row in table]
    lines = [
        r"% needs \usepackage{booktabs}",
        r"\begin{table}",
        rf"\caption{{{tex(caption)}}}",
        rf"\begin{{tabular}}{{l{'r' * (len(table[0]) - 1)}}}",
        r"\toprule",
        body[0],
        r"\midrule",
        *body[1:],
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def tex(text: str) -> str:
    """Text that LaTeX prints as it is, with the letters that it has no key for."""
    text = escapes.latex(text)
    for letter, command in _TEX.items():
        text = text.replace(letter, command)
    return text.replace("+-", r"$\pm$")
