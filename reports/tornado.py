"""Tornado of a budget: shifts of each factor and contributions, the largest on top, in the width of a column."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from haloassay.analysis.budget import Budget
from haloassay.contracts import labels
from haloassay.reports import budget as words
from haloassay.reports.figures import COLOURS, STYLE, escaped

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Width of a column of a journal, and height of a row [inch].
_WIDTH: Final = 3.5
_ROW: Final = 0.24


def tornado_figure(budget: Budget) -> Figure:
    """Draw the shifts at a factor's lowest and highest level, and its standard deviation under the prior.

    Bars are shifts, whiskers their Monte Carlo errors, dark bars one standard deviation to either side; random error,
    quadrature and all together stand below.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    factor = labels.error_factor(budget.quantity.name)
    totals = {"in quadrature": budget.quadrature, "all together": budget.together.sd}
    totals = {"random error": budget.found, **totals}
    totals = {label: amount for label, amount in totals.items() if math.isfinite(amount.value)}
    names = [line.factor.label for line in budget.lines] + list(totals)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(_WIDTH, 0.9 + _ROW * len(names)), layout="constrained")
        axes = figure.add_subplot()
        axes.axvline(0.0, color="0.45", linewidth=0.8, zorder=1)
        for row, line in enumerate(budget.lines):
            for shift, colour in zip((line.shifts[:1], line.shifts[-1:]), COLOURS[:2], strict=True):
                for end in shift:
                    error = end.mcse * factor if math.isfinite(end.mcse) else None
                    axes.barh(row, end.value * factor, 0.7, color=colour, alpha=0.45, xerr=error)
            if math.isfinite(line.sd.value):
                axes.barh(
                    row, 2.0 * line.sd.value * factor, 0.22, -line.sd.value * factor, color="0.15"
                )
        for row, amount in enumerate(totals.values(), start=len(budget.lines)):
            axes.barh(row, 2.0 * amount.value * factor, 0.5, -amount.value * factor, color="0.55")
        axes.set_yticks(range(len(names)), [escaped(name) for name in names])
        axes.invert_yaxis()
        unit = labels.tex_unit(words.unit_of(budget))
        axes.set_xlabel(f"error of {escaped(words.name(budget))}" + (f" [{unit}]" if unit else ""))
        axes.set_title(escaped(budget.estimator), loc="left")
    return figure
