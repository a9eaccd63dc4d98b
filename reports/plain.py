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
    "θ": r"$\theta$",
    "φ": r"$\phi$",
    "κ": r"$\kappa$",
    "χ²": r"$\chi^2$",
    "–": "--",
    "₂₀₀": r"$_{200}$",
    "⟨": r"$\langle$",
    "⟩": r"$\rangle$",
}


def aligned(table: Rows, columns: str = "") -> list[str]:
    """Lines of a table; ``columns`` as in :func:`latex`."""
    widths = [max(len(row[k]) for row in table) for k in range(len(table[0]))]
    columns = columns or _columns(table)
    lines = []
    for row in table:
        cells = [
            cell.ljust(width) if where == "l" else cell.rjust(width)
            for cell, width, where in zip(row, widths, columns, strict=True)
        ]
        lines.append(printable("  ".join(cells).rstrip()))
    return lines


def _columns(table: Rows) -> str:
    """Place of each column: the first at the left, all others at the right."""
    return "l" + "r" * (len(table[0]) - 1)


def markdown(table: Rows, columns: str = "") -> str:
    """Write a table in Markdown; ``columns`` as in :func:`latex`."""
    rule = ["---" if where == "l" else "---:" for where in columns or _columns(table)]
    body = ["| " + " | ".join(escapes.markdown(cell) for cell in row) + " |" for row in table]
    return "\n".join([body[0], f"| {' | '.join(rule)} |", *body[1:]])


def latex(table: Rows, caption: str, columns: str = "") -> str:
    """Write a table of a paper: booktabs and a caption.

    ``columns`` has a letter a column, l or r, as LaTeX has them: where none are given, l for the first, r for others.
    """
    body = [escapes.latex_row([tex(cell) for cell in row]) for row in table]
    lines = [
        r"% needs \usepackage{booktabs}",
        r"\begin{table}",
        rf"\caption{{{tex(caption)}}}",
        rf"\begin{{tabular}}{{{columns or _columns(table)}}}",
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
