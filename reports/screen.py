"""What a run comes to, on one screen: a line an estimator and quantity, the largest paired changes, what failed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from haloassay.analysis.verdict import GRADES
from haloassay.base.text import printable
from haloassay.contracts import labels
from haloassay.reports.consoles import console_of, text_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd
    from rich.console import Console
    from rich.text import Text

    from haloassay.analysis.condensed import Condensed
    from haloassay.analysis.verdict import Verdict

#: Lines of estimators and quantities, and of changes, that a screen has room for.
MOST: Final = 30
MOST_CHANGES: Final = 5
#: Words and colours of the grades; a reader without colours has the words.
_WORDS: Final = {"matters": "matters", "small": "small", "none": "none found", "open": "open"}
_COLOURS: Final = {"matters": "bold red", "small": "yellow", "none": "green", "open": "cyan"}
_HEADS: Final = {
    "estimator": "estimator",
    "quantity": "quantity",
    "r": "r [kpc]",
    "bias": "bias",
    "scatter": "scatter",
    "cover": "in 68 %",
    "verdict": "verdict",
    "cell": "worst cell",
}
_RIGHT: Final = ("r", "bias", "scatter", "cover", "shift")
_GAP: Final = "  "
_LEGEND: Final = (
    "matters: significant and above its tolerance; small: significant, and not above it.",
    "Each line is of the worst bin and cell; haloassay table DIR --full has all.",
)


@dataclass(frozen=True)
class _Layout:
    """Columns of a line, and which parts stand on lines of their own: the estimator above, the cell below."""

    columns: tuple[str, ...]
    above: str = ""
    below: str = ""


#: From wide to narrow; the first that fits is taken, else the last, which the terminal folds.
_LINES: Final = (
    _Layout(("estimator", "quantity", "r", "bias", "scatter", "cover", "verdict", "cell")),
    _Layout(("estimator", "quantity", "r", "bias", "scatter", "cover", "verdict"), "", "cell"),
    _Layout(("quantity", "r", "bias", "scatter", "cover", "verdict"), "estimator", "cell"),
    _Layout(("quantity", "r", "bias", "verdict"), "estimator", "cell"),
)
_CHANGES: Final = (
    _Layout(("shift", "estimator", "quantity", "cell")),
    _Layout(("shift", "estimator", "quantity"), "", "cell"),
    _Layout(("shift", "quantity"), "estimator", "cell"),
)

Row = dict[str, tuple[str, str]]  # texts and styles by column


def print_screen(
    lines: Sequence[Condensed],
    console: Console | None = None,
    *,
    title: str = "",
    changed: pd.DataFrame | None = None,
    n_pairs: int = 0,
    base_cell: str = "",
) -> None:
    """Print what a run comes to.

    Parameters
    ----------
    lines
        Of :func:`haloassay.analysis.condensed.condensed`.
    console
        Where; standard output by default. What is no terminal has no colour and no end of a line.
    title
        Of the run.
    changed, n_pairs, base_cell
        Of a run of several cells: the frame of :func:`haloassay.analysis.changes.changes`, how many there are with
        those that are not told from none, and the cell that they are changes from.
    """
    console = console or console_of()
    width = console.width if console.is_terminal else math.inf
    if title:
        _print(console, text_of(title, "bold"))
    if not lines:
        _print(console, text_of("No scores: this run holds no results."))
        return
    shown = _worst(lines)
    many = any(line.n_cells > 1 for line in lines)
    _print_rows(console, [_row(line, many) for line in shown], _without(_LINES, many), width)
    if len(shown) < len(lines):
        rest = f"and {len(lines) - len(shown)} more, none of them worse: --full has all"
        _print(console, text_of(rest))
    notes = list(_LEGEND)
    if any(line.lossy for line in lines):
        notes.append(
            f"{labels.LOSSY} success is below 0.95: scores are of the attempts with a value."
        )
    for note in notes:
        console.print(text_of(note, "dim"), soft_wrap=not console.is_terminal)
    if changed is not None:
        _print_changes(console, changed, n_pairs, base_cell, width)


def closing(counts: Mapping[str, int], reasons: Iterable[str], mind: str, page: str) -> list[str]:
    """Lines that end a screen: how estimator runs ended, why there are no values, what to mind, where the page is."""
    ended = ", ".join(f"{n} {status}" for status, n in sorted(counts.items()))
    lines = [f"estimator runs: {ended or 'none'}"]
    lines += [f"  without a value: {reason}" for reason in reasons]
    lines += [f"mind: {mind}"] if mind else []
    return lines + ([f"report: {page}"] if page else [])


def _worst(lines: Sequence[Condensed]) -> list[Condensed]:
    """Lines that there is room for, the worst of all, in their order."""
    ranked = sorted(lines, key=lambda line: (GRADES.index(line.grade), -_size(line.worst)))
    kept = {id(line) for line in ranked[:MOST]}
    return [line for line in lines if id(line) in kept]


def _size(verdict: Verdict) -> float:
    return 0.0 if math.isnan(verdict.size) else verdict.size


def _row(line: Condensed, many: bool) -> Row:
    verdict, worst, colour = line.worst, line.worst.worst, _COLOURS[line.grade]
    unit = labels.error_unit(line.quantity, worst.unit if worst else "")
    name = labels.plain(line.quantity) or "no result"
    row = {
        "estimator": (line.estimator, ""),
        "quantity": (f"{name} [{unit}]" if unit else name, ""),
        "verdict": (_verdict(line, many), colour),
        "cell": (verdict.cell if many and worst else "", ""),
    }
    if worst is None:
        return row | dict.fromkeys(("r", "bias", "scatter", "cover"), (labels.DASH, ""))
    factor = labels.error_factor(line.quantity)
    digits = labels.decimals(worst.bias_mcse * factor)
    cover = f"{worst.coverage68:.2f}" if math.isfinite(worst.coverage68) else labels.DASH
    return row | {
        "r": (f"{worst.r:.3g}" if math.isfinite(worst.r) else labels.DASH, ""),
        "bias": (labels.with_error(worst.bias, worst.bias_mcse, factor), colour),
        "scatter": (f"{worst.scatter * factor:.{digits}f}", ""),
        "cover": (cover, ""),
    }


def _verdict(line: Condensed, many: bool) -> str:
    """Grade, what has it, and in how many cells."""
    text = _WORDS[line.grade]
    if line.grade in ("matters", "small"):
        of = (line.worst.bias_grade == line.grade, line.worst.interval_grade == line.grade)
        text += {(True, True): ": both", (True, False): ": bias"}.get(of, ": intervals")
    if many:
        text += f", {line.counts[line.grade]} of {line.n_cells}"
    return f"{text} {labels.LOSSY}" if line.lossy else text


def _without(layouts: Sequence[_Layout], many: bool) -> Sequence[_Layout]:
    """Layouts without the cell where there is only one."""
    if many:
        return layouts
    return [
        _Layout(tuple(name for name in layout.columns if name != "cell"), layout.above)
        for layout in layouts
    ]


def _print_changes(
    console: Console, changed: pd.DataFrame, n_pairs: int, base_cell: str, width: float
) -> None:
    clear = len(changed)
    if not n_pairs:
        return
    _print(console, text_of(""))
    if not clear:
        none = f"No change from cell {base_cell} is beyond 3 Monte Carlo errors, of {n_pairs}."
        _print(console, text_of(none))
        return
    _print(console, text_of(f"Largest changes of the bias from cell {base_cell}", "bold"))
    rows = [_change(row) for row in changed.head(MOST_CHANGES).to_dict("records")]
    _print_rows(console, rows, _CHANGES, width, heads=False)
    rest = [f"{clear - len(rows)} more"] if clear > len(rows) else []
    rest += [f"{n_pairs - clear} within 3 Monte Carlo errors of none"] if n_pairs > clear else []
    if rest:
        _print(console, text_of(f"and {', '.join(rest)}: --paired has all", "dim"))


def _change(row: Mapping[Any, Any]) -> Row:
    quantity = str(row["quantity"])
    shift = labels.error_text(row["shift"], row["shift_mcse"], quantity, str(row["unit"]))
    return {
        "shift": (shift, "bold red" if row["size"] > 1.0 else "yellow"),
        "estimator": (str(row["estimator"]), ""),
        "quantity": (labels.at_radius(quantity, float(row["r"])), ""),
        "cell": (str(row["cell"]), ""),
    }


def _print_rows(
    console: Console,
    rows: Sequence[Row],
    layouts: Sequence[_Layout],
    width: float,
    heads: bool = True,
) -> None:
    """Print rows in the first layout that fits; no text is cut."""
    fitting = (layout for layout in layouts if _width(rows, layout, heads) <= width)
    layout = next(fitting, layouts[-1])
    widths = _widths(rows, layout, heads)
    if heads:
        head = {name: (_HEADS[name], "bold") for name in layout.columns}
        _print(console, _line(head, layout, widths))
    above = None
    for row in rows:
        if layout.above and row[layout.above][0] != above:
            above = row[layout.above][0]
            _print(console, text_of(above, "bold"))
        _print(console, _line(row, layout, widths))
        if layout.below and row[layout.below][0]:
            what = f"{_HEADS[layout.below]}: " if heads else "in "
            _print(console, text_of(f"    {what}{row[layout.below][0]}"))


def _widths(rows: Sequence[Row], layout: _Layout, heads: bool) -> dict[str, int]:
    from rich.cells import cell_len

    texts = {name: [printable(row[name][0]) for row in rows] for name in layout.columns}
    if heads:
        texts = {name: [_HEADS[name], *column] for name, column in texts.items()}
    return {name: max(map(cell_len, column)) for name, column in texts.items()}


def _width(rows: Sequence[Row], layout: _Layout, heads: bool) -> int:
    widths = _widths(rows, layout, heads).values()
    return sum(widths) + len(_GAP) * (len(widths) - 1)


def _line(row: Row, layout: _Layout, widths: Mapping[str, int]) -> Text:
    """Columns of a row side by side, without blanks at its end."""
    line = text_of("")
    for k, name in enumerate(layout.columns):
        part = text_of(*row[name])
        blank = " " * (widths[name] - part.cell_len)
        line.append(_GAP if k else "")
        if name in _RIGHT:
            line.append(blank)
        line.append_text(part)
        if name not in _RIGHT and name != layout.columns[-1]:
            line.append(blank)
    line.rstrip()
    return line


def _print(console: Console, line: Text) -> None:
    """Print a line as it is: a terminal that is narrower folds it."""
    console.print(line, soft_wrap=True)
