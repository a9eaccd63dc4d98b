"""Panels of a figure of fixed width, and legends below them that take nothing from the panels."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from haloassay.base.text import printable
from haloassay.contracts import labels
from haloassay.reports.figures.look import GREY, Look, lined, marked

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from haloassay.contracts.quantities import Quantity

#: Panels are not narrower than this [inch].
_NARROWEST: Final = 1.6
#: Lines of a label before it is cut.
_LINES: Final = 4
#: "less than" without the spaces of a relation.
_BELOW: Final = r"(\!<\!"
_ELLIPSIS: Final = "…"
#: From line to line, over the size of the letters.
_PITCH: Final = 1.2


@dataclass(frozen=True)
class Drawing:
    """A figure, and what a caption has to say of its marks."""

    figure: Figure
    caption: str


def sheet(
    look: Look, n: int, ratio: float = 0.72, columns: int | None = None, **subplots: Any
) -> tuple[Figure, list[Axes]]:
    """Make a figure of ``n`` panels in rows of as many as there is room for.

    Parameters
    ----------
    look
        Whose width the figure has.
    n
        Number of panels.
    ratio
        Height of a panel over its width.
    columns
        Panels in a row, where that is not left to the width.
    subplots
        What ``matplotlib.figure.Figure.subplots`` takes: ``sharex``, ``sharey``, ``subplot_kw``.
    """
    columns = columns or _columns(look, n)
    lines = math.ceil(n / columns)
    figure = blank(look, lines * ratio * look.width / columns)
    grid = figure.subplots(lines, columns, squeeze=False, **subplots)
    for axes in grid.ravel()[n:]:
        axes.remove()
    for axes in grid.ravel()[max(0, n - columns) : n]:  # nothing stands below them
        axes.tick_params(labelbottom=True)
    return figure, list(grid.ravel()[:n])


def blank(look: Look, height: float) -> Figure:
    """Make a figure without panels, of a height [inch] that legends add to."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(look.width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _columns(look: Look, n: int) -> int:
    """Panels in a row: all rows as full as they can be; a few stand below each other in a column."""
    if n < 4 and not look.is_wide:
        return 1
    most = min(n, max(1, int(look.width / _NARROWEST)))
    return math.ceil(n / math.ceil(n / most))


def escaped(label: str) -> str:
    """Label of a user as matplotlib draws it: no mathematics, no character without a shape."""
    return printable(label).replace("$", r"\$")


def symbol(quantity: str) -> str:
    """Label of a quantity as matplotlib draws it."""
    return symbol_of(labels.quantity_of(quantity))


def symbol_of(quantity: Quantity) -> str:
    """Label of a quantity as matplotlib draws it; its name where somebody's label is no mathematics."""
    from matplotlib.mathtext import MathTextParser

    try:
        MathTextParser("path").parse(quantity.label)
    except ValueError:
        return escaped(quantity.name)
    return printable(quantity.label).replace("(<", _BELOW)


def with_unit(text: str, unit: str) -> str:
    """Add a unit, as matplotlib takes it, in brackets, where there is one."""
    return f"{text} [{unit}]" if unit else text


def symbol_at(quantity: str, r: float) -> str:
    """Label of a quantity with its radius [kpc], where it has one."""
    text = symbol(quantity)
    if not math.isfinite(r):
        return text
    if text.endswith(f"{_BELOW}r)$"):
        return text.replace("r)$", rf"{r:.3g}\,\mathrm{{kpc}})$")
    return f"{text}, {r:.3g} kpc"


def wrapped(figure: Figure, label: str, inches: float, size: Any = None) -> str:
    """Break a label of a user into lines that fit a width, and cut what four of them cannot hold.

    Parameters
    ----------
    figure
        Whose letters are measured.
    label
        Of anybody, not yet escaped.
    inches
        Width of a line.
    size
        Of the letters, as matplotlib takes it; that of the style by default.
    """
    fits = _fitting(figure, inches, size)
    lines = [""]
    for word in re.split(r"(?<=[ \-_/=,.])", printable(label)):
        if fits((lines[-1] + word).rstrip()):
            lines[-1] += word
            continue
        if lines[-1]:
            lines.append("")
        rest = word
        while not fits(rest.rstrip()):
            end = max(1, _longest(rest, fits))
            lines[-1], rest = rest[:end], rest[end:]
            lines.append("")
        lines[-1] = rest
    if len(lines) > _LINES:
        last = lines[_LINES - 1]
        while last and not fits(last + _ELLIPSIS):
            last = last[:-1]
        lines = [*lines[: _LINES - 1], last + _ELLIPSIS]
    return "\n".join(line.rstrip().replace("$", r"\$") for line in lines)


def close_up(figure: Figure, texts: Iterable[Any]) -> None:
    """Set the lines of texts as far apart as 1.2 times their size, whatever the font says of its lines."""
    texts = [text for text in texts if "\n" in text.get_text()]
    if not texts:
        return
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined] # Agg's
    one, two = (figure.text(0.0, 0.0, letters, linespacing=1.0) for letters in ("x", "x\nx"))
    pitch = two.get_window_extent(renderer).height - one.get_window_extent(renderer).height
    size = float(one.get_fontsize()) * figure.dpi / 72.0
    for probe in (one, two):
        probe.remove()
    for text in texts:
        text.set_linespacing(_PITCH * size / pitch)


def _fitting(figure: Figure, inches: float, size: Any) -> Callable[[str], bool]:
    """Tell whether a line is not wider than it may be."""
    import matplotlib
    from matplotlib.font_manager import FontProperties

    letters = FontProperties(size=size or matplotlib.rcParams["font.size"])
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined] # Agg's

    def fits(line: str) -> bool:
        width, _, _ = renderer.get_text_width_height_descent(line, letters, ismath=False)
        return bool(width <= inches * figure.dpi)

    return fits


def _longest(word: str, fits: Callable[[str], bool]) -> int:
    """Most letters of a word that fit, by halving."""
    low, high = 0, len(word)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(word[:middle]) else (low, middle)
    return low


def scaled(unit: str, values: Any) -> tuple[float, str]:
    """Factor by which values are shown, and the unit that they have then: masses in a power of ten."""
    largest = float(np.nanmax(np.abs(values), initial=0.0))
    if unit != "Msun" or not 0.0 < largest < math.inf:
        return 1.0, labels.tex_unit(unit)
    power = math.floor(math.log10(largest))
    return 10.0**-power, rf"$10^{{{power}}}$ {labels.tex_unit(unit)}"


def method_title(axes: Axes, method: str, about: str, columns: int) -> None:
    """Title a panel by the label of an estimator and the symbol of what it estimates."""
    import matplotlib

    figure: Any = axes.get_figure()
    room = figure.get_figwidth() / columns - 0.75
    size = matplotlib.rcParams["axes.titlesize"]
    text = axes.set_title(f"{wrapped(figure, method, room, size)}, {about}")
    close_up(figure, [text])


def title(axes: Axes, label: str, columns: int = 1) -> None:
    """Title a panel by the label of a user, within its width."""
    import matplotlib

    figure: Any = axes.get_figure()
    room = figure.get_figwidth() / columns - 0.5
    text = axes.set_title(wrapped(figure, label, room, matplotlib.rcParams["axes.titlesize"]))
    close_up(figure, [text])


def columns_of(panels: Sequence[Axes]) -> int:
    """Panels in a row of their grid."""
    return int(_place(panels[0]).get_gridspec().ncols)


def _place(axes: Axes) -> Any:
    """Place of a panel in its grid."""
    return axes.get_subplotspec()


def label_rows(panels: Sequence[Axes], label: str) -> None:
    """Label the vertical axis of the first panel of each row."""
    for axes in panels:
        if _place(axes).is_first_col():
            axes.set_ylabel(label)


def label_columns(panels: Sequence[Axes], label: str) -> None:
    """Label the horizontal axis of the last panel of each column."""
    for axes in panels[-columns_of(panels) :]:
        axes.set_xlabel(label)


def radius_axis(panels: Sequence[Axes], r: pd.Series[float]) -> None:
    """Make all horizontal axes radii, logarithmic where they span a wide range."""
    label_columns(panels, r"$r$ [kpc]")
    for axes in panels:
        log_if_wide(axes.xaxis, r.to_numpy(), 3.0)


def log_if_wide(axis: Any, values: np.ndarray[Any, Any], wide: float = 4.0) -> None:
    """Take a logarithmic axis, with plain numbers at its ticks, for values over a wide range."""
    values = values[np.isfinite(values)]
    if len(values) and values.min() > 0.0 and values.max() > wide * values.min():
        axis.axes.set(**{f"{axis.axis_name}scale": "log"})
        log_ticks(axis, values.max() < 12.0 * values.min())


def log_ticks(axis: Any, short: bool) -> None:
    """Set ticks with plain numbers to a logarithmic axis, more of them where it spans a decade only."""
    from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

    subs = (1.0, 2.0, 3.0, 5.0, 7.0) if short else (1.0, 2.0, 5.0)
    axis.set_major_locator(LogLocator(subs=subs, numticks=12))
    axis.set_major_formatter(ScalarFormatter())
    axis.set_minor_formatter(NullFormatter())


def handle(label: str, **style: Any) -> Any:
    """Entry of a legend."""
    from matplotlib.lines import Line2D

    return Line2D([], [], **{"linestyle": "none", **style, "label": label})


def series_handles(figure: Figure, names: Sequence[str], with_line: bool = True) -> list[Any]:
    """Entries of what is compared, in its colours and marks, with labels that fit the figure."""
    import matplotlib

    room = figure.get_figwidth() - 0.6
    size = matplotlib.rcParams["legend.fontsize"]
    return [
        handle(
            wrapped(figure, name, room, size), **{**marked(k), **(lined(k) if with_line else {})}
        )
        for k, name in enumerate(names)
    ]


def truth_handle(label: str = "truth", **style: Any) -> Any:
    """Entry of the truth."""
    return handle(label, **{"color": GREY, "linestyle": "-", **style})


def legend_below(figure: Figure, handles: Sequence[Any], heading: str = "") -> None:
    """Put a legend below the panels, in as many columns as fit, and make the figure as much higher."""
    if not handles:
        return
    import matplotlib

    room = figure.get_figwidth() - 0.1
    size = matplotlib.rcParams["legend.title_fontsize"]
    text = wrapped(figure, heading, room, size) if heading else None
    for columns in range(min(len(handles), 6), 0, -1):
        legend = figure.legend(
            handles=handles, loc="outside lower center", ncols=columns, title=text
        )
        close_up(figure, legend.get_texts())
        box = legend.get_window_extent(figure.canvas.get_renderer())  # type: ignore[attr-defined]
        if columns == 1 or box.width <= room * figure.dpi:
            break
        legend.remove()
    figure.set_figheight(figure.get_figheight() + box.height / figure.dpi + 0.05)
