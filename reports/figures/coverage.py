"""Coverage of stated intervals against their nominal level."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from haloassay.reports.figures.look import COLUMN, GREY, Look, colour, marked
from haloassay.reports.figures.names import CellNames, cell_names
from haloassay.reports.figures.panels import (
    Drawing,
    columns_of,
    handle,
    label_columns,
    label_rows,
    legend_below,
    method_title,
    series_handles,
    sheet,
    symbol,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


def coverage_figure(
    scores: pd.DataFrame,
    curve: pd.DataFrame | None = None,
    names: CellNames | None = None,
    look: Look = COLUMN,
) -> Drawing | None:
    """Coverage of the stated intervals against their nominal level: a panel a method and quantity.

    Points show the coverage at 68 and 95 per cent of each radial bin, joined by a faint line; a colour and mark a cell.
    Dashed curves, where the method gave posterior draws, show all levels, one a bin. The grey band is where 95 per cent
    of honest methods fall with the realisations of one bin (binomial; light for the bin with the fewest, dark for that
    with the most). Above the diagonal intervals are too wide, below it too narrow.

    Parameters
    ----------
    scores, names, look
        As of :func:`haloassay.reports.figures.bias.bias_figure`.
    curve
        What :func:`haloassay.analysis.scores.coverage_curve` returns.
    """
    rows = scores[np.isfinite(scores["coverage68"])]
    if not len(rows):
        return None
    names = names or cell_names(rows["cell"])
    methods = list(dict.fromkeys(zip(rows["estimator"], rows["quantity"], strict=True)))
    with look.applied():
        figure, panels = sheet(
            look, len(methods), 1.05, _columns(look, len(methods)), sharex=True, sharey=True
        )
        with_curve = curve is not None and len(curve) > 0
        for (estimator, quantity), axes in zip(methods, panels, strict=True):
            mine = rows[(rows["estimator"] == estimator) & (rows["quantity"] == quantity)]
            _binomial_band(axes, int(mine["n"].min()), int(mine["n"].max()))
            if curve is not None and with_curve:
                chosen = (curve["estimator"] == estimator) & (curve["quantity"] == quantity)
                _curves(axes, curve[chosen], names)
            _marks(axes, mine, names)
            method_title(axes, str(estimator), symbol(quantity), columns_of(panels))
            axes.set(xlim=(0, 1.02), ylim=(-0.02, 1.02))
            axes.set(xticks=[0.0, 0.5, 1.0], yticks=[0.0, 0.5, 1.0])
            axes.set_aspect("equal", adjustable="box")
        label_columns(panels, "nominal level")
        label_rows(panels, "coverage")
        handles = series_handles(figure, [*names.labels.values()], False) if names.title else []
        grey = {"color": GREY, "linestyle": "-"}
        handles.append(handle("one bin", **grey, marker="o", alpha=0.6, markeredgewidth=0.0))
        if with_curve:
            handles.append(handle("one bin, from draws", color=GREY, linestyle="--"))
        legend_below(figure, handles, names.title)
    return Drawing(
        figure,
        "Coverage against nominal level. Marks: the stated 68 and 95 per cent intervals, joined for each radial bin"
        + (", a colour and mark per cell" if names.title else "")
        + "; dashed: all levels, from posterior draws, one a bin. Below the grey band intervals are too narrow, above"
        " it too wide; the band holds 95 per cent of honest methods with the n estimates of one bin (light: the bin"
        " with the fewest).",
    )


def _columns(look: Look, n: int) -> int:
    """Square panels side by side: two in a column, four on a page."""
    return min(n, 4 if look.is_wide else 2)


def _binomial_band(axes: Axes, fewest: int, most: int) -> None:
    """Diagonal, and the central 95 per cent of binomial coverages of one bin's realisations."""
    from scipy.stats import binom

    level = np.linspace(0.0, 1.0, 201)
    for n, grey in dict.fromkeys([(fewest, "0.93"), (most, "0.86")]):
        low, high = binom.ppf(0.025, n, level) / n, binom.ppf(0.975, n, level) / n
        axes.fill_between(level, np.clip(low, 0, 1), np.clip(high, 0, 1), color=grey, linewidth=0.0)
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8)
    number = f"$n$ = {fewest}" if fewest == most else f"$n$ = {fewest} to {most}"
    axes.text(0.04, 0.96, number, transform=axes.transAxes, fontsize=7.0, va="top", color="0.25")


def _marks(axes: Axes, rows: pd.DataFrame, names: CellNames) -> None:
    """Draw a faint line with two marks for each cell and bin."""
    for row in rows.to_dict("records"):
        style = marked(names.cells.index(str(row["cell"])))
        values = [row["coverage68"], row["coverage95"]]
        axes.plot([0.68, 0.95], values, linewidth=0.6, alpha=0.55, clip_on=False, **style)


def _curves(axes: Axes, curve: pd.DataFrame, names: CellNames) -> None:
    for cell, group in curve.groupby("cell", sort=False):
        if cell in names.labels:
            own = colour(names.cells.index(str(cell)))
            for _, line in group.groupby("bin"):
                axes.plot(line["level"], line["coverage"], "--", color=own, linewidth=0.7)
