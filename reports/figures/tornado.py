"""Tornado of a budget: shifts of each factor and contributions, the largest on top."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from haloassay.analysis.budget import Budget
from haloassay.contracts import labels
from haloassay.reports import budget as words
from haloassay.reports.figures.look import COLUMN, GREY, Look, colour
from haloassay.reports.figures.panels import (
    Drawing,
    blank,
    close_up,
    legend_below,
    symbol_at,
    title,
    with_unit,
    wrapped,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from haloassay.analysis.contributions import Line

#: Height of a line of text, of the space between two rows, and of what is above and below all [inch].
_TEXT: Final = 0.115
_SPACE: Final = 0.07
_BAR: Final = 0.095
_FRAME: Final = 0.5
#: Share of the width that names may take.
_NAMES: Final = 0.4
_SD: Final = "0.15"
_TOTAL: Final = "0.55"


def tornado_figure(budget: Budget, look: Look = COLUMN) -> Drawing:
    """Draw the shifts at a factor's first and last level, and its standard deviation under the prior.

    Bars are shifts, whiskers their Monte Carlo errors, dark bars one standard deviation to either side; random error,
    quadrature and all together stand below. Below the name of a factor stand the labels of those levels.
    """
    totals = {"in quadrature": budget.quadrature, "all together": budget.together.sd}
    totals = {"random error": budget.found, **totals}
    totals = {label: amount for label, amount in totals.items() if math.isfinite(amount.value)}
    with look.applied():
        figure = blank(look, _FRAME)
        room = _NAMES * look.width
        names = [_name(figure, line, room) for line in budget.lines] + list(totals)
        heights = [_TEXT * (1 + name.count("\n")) + _SPACE for name in names]
        figure.set_figheight(_FRAME + sum(heights))
        middle = [sum(heights[:k]) + 0.5 * height for k, height in enumerate(heights)]
        axes = figure.add_subplot()
        axes.axvline(0.0, color=GREY, linewidth=0.8, zorder=1)
        factor = labels.error_factor(budget.quantity.name)
        for y, line in zip(middle, budget.lines, strict=False):
            _bars(axes, y, line, factor)
        for y, amount in zip(middle[len(budget.lines) :], totals.values(), strict=True):
            sd = amount.value * factor
            axes.barh(y, 2.0 * sd, _TEXT, -sd, color=_TOTAL)
        axes.set_yticks(middle, names)
        close_up(figure, axes.get_yticklabels())
        axes.tick_params(axis="y", which="both", length=0.0)
        axes.set_ylim(sum(heights), 0.0)
        text = symbol_at(budget.quantity.name, budget.r)
        axes.set_xlabel(with_unit(f"error of {text}", labels.tex_unit(words.unit_of(budget))))
        title(axes, budget.estimator)
        legend_below(figure, _entries(budget))
    return Drawing(
        figure,
        f"Budget of {words.name(budget)} by {budget.estimator}. Coloured bars: shift of the error at the first and the"
        " last level of a factor, whose labels stand below its name, with Monte Carlo errors; dark bars: one standard"
        " deviation to either side under the factor's prior; grey: random error, the factors in quadrature, and all"
        " together.",
    )


def _name(figure: Figure, line: Line, room: float) -> str:
    """Name of a factor, and below it its levels, of those that bars are drawn of."""
    name = wrapped(figure, line.factor.label, room, 7.0)
    ends = list(dict.fromkeys((line.factor.levels[0].label, line.factor.levels[-1].label)))
    return f"{name}\n{wrapped(figure, ' … '.join(ends), room, 7.0)}" if line.shifts else name


def _bars(axes: Axes, y: float, line: Line, factor: float) -> None:
    """Draw the shifts at the first and last level, and one standard deviation to either side."""
    first, last = line.shifts[:1], line.shifts[-1:] if len(line.shifts) > 1 else ()
    for k, shift in enumerate((first, last)):
        for end in shift:
            error = end.mcse * factor if math.isfinite(end.mcse) else None
            style: dict[str, Any] = {
                "color": colour(k),
                "alpha": 0.5,
                "error_kw": {"elinewidth": 0.8},
            }
            half = (k - 0.5) * _BAR
            axes.barh(y + half, end.value * factor, _BAR, xerr=error, **style)
    if math.isfinite(line.sd.value):
        sd = line.sd.value * factor
        axes.barh(y, 2.0 * sd, 0.3 * _BAR, -sd, color=_SD)


def _entries(budget: Budget) -> list[Any]:
    """Entries of the legend for what is drawn."""
    from matplotlib.patches import Patch

    with_prior = any(math.isfinite(line.sd.value) for line in budget.lines)
    return [
        Patch(facecolor=colour(0), alpha=0.5, label="first level"),
        Patch(facecolor=colour(1), alpha=0.5, label="last level"),
        *([Patch(color=_SD, label=r"$\pm 1\,\sigma$ of the prior")] if with_prior else []),
        Patch(color=_TOTAL, label=r"$\pm 1\,\sigma$, totals"),
    ]
