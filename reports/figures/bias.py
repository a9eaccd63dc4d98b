"""Bias of a quantity against radius, or of quantities without one, with Monte Carlo errors."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from haloassay.contracts import labels
from haloassay.reports.figures.look import COLUMN, GREY, Look, colour, lined, marked
from haloassay.reports.figures.names import CellNames, cell_names
from haloassay.reports.figures.panels import (
    Drawing,
    close_up,
    columns_of,
    label_rows,
    legend_below,
    radius_axis,
    series_handles,
    sheet,
    symbol,
    symbol_at,
    title,
    truth_handle,
    with_unit,
    wrapped,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

#: Height of a line of a table of points, and of what is above and below it [inch].
_LINE: Final = 0.1
_FRAME: Final = 0.55
#: Share of the width that names of estimators may take.
_NAMES: Final = 0.36


def bias_figure(
    scores: pd.DataFrame,
    quantity: str,
    names: CellNames | None = None,
    look: Look = COLUMN,
    scattered: Collection[str] = (),
) -> Drawing | None:
    """Bias of a quantity against radius.

    One panel with a colour an estimator, of one cell; else a panel an estimator, and a colour a cell. Line and marks
    show the bias, the band one and the bars two Monte Carlo standard errors, the grey line at zero the truth.

    Parameters
    ----------
    scores
        What :func:`haloassay.analysis.scores.score` returns.
    quantity
        Of which.
    names
        What to call the cells.
    look
        Width and style.
    scattered
        Estimators whose bins of this quantity are no bins of radius: marks are not joined.

    Returns
    -------
    Drawing or None
        None where no row has a bias and a radius.
    """
    rows = scores[(scores["quantity"] == quantity) & np.isfinite(scores["bias"])]
    rows = rows[np.isfinite(rows["r"])]
    if not len(rows):
        return None
    names = names or cell_names(rows["cell"])
    estimators = list(dict.fromkeys(rows["estimator"]))
    by_cell = len(names.cells) > 1
    with look.applied():
        figure, panels = sheet(look, len(estimators) if by_cell else 1, sharex=True, sharey=True)
        for k, estimator in enumerate(estimators):
            axes = panels[k if by_cell else 0]
            if by_cell or len(estimators) == 1:
                title(axes, estimator, columns_of(panels))
            for cell, group in rows[rows["estimator"] == estimator].groupby("cell", sort=False):
                number = names.cells.index(str(cell)) if by_cell else k
                _line(axes, group.sort_values("r"), quantity, number, estimator not in scattered)
        for axes in panels:
            axes.axhline(0.0, color=GREY, linewidth=0.8, zorder=1)
        radius_axis(panels, rows["r"])
        unit = labels.error_unit(quantity, rows["unit"].iloc[0])
        label_rows(panels, with_unit(f"bias of {symbol(quantity)}", labels.tex_unit(unit)))
        compared = [*names.labels.values()] if by_cell else estimators
        joined = not set(estimators) <= set(scattered)
        handles = series_handles(figure, compared, joined) if len(compared) > 1 else []
        legend_below(figure, [*handles, truth_handle("no bias")], names.title if by_cell else "")
    return Drawing(
        figure,
        f"Bias of {labels.plain(quantity)} against radius. Line and marks: mean error; band: one, bars: two Monte Carlo"
        " standard errors. Points far beyond their bars from the grey line are biased; one in 20 misses it by chance.",
    )


def _line(axes: Axes, group: pd.DataFrame, quantity: str, k: int, joined: bool) -> None:
    factor = labels.error_factor(quantity)
    r, bias = group["r"].to_numpy(), group["bias"].to_numpy() * factor
    error = np.nan_to_num(group["bias_mcse"].to_numpy() * factor)
    if joined:
        axes.fill_between(r, bias - error, bias + error, color=colour(k), alpha=0.2, linewidth=0.0)
        axes.plot(r, bias, **lined(k))
    axes.errorbar(r, bias, yerr=2.0 * error, **_points(k))


def _points(k: int) -> dict[str, Any]:
    return {**marked(k), "linestyle": "none", "elinewidth": 0.8, "zorder": 3}


def scalar_bias_figure(
    scores: pd.DataFrame,
    quantities: Sequence[str] = (),
    names: CellNames | None = None,
    look: Look = COLUMN,
    r: float | None = None,
) -> Drawing | None:
    """Bias of quantities without a radius, or at one: a panel a quantity, a line an estimator, a colour a cell.

    Parameters
    ----------
    scores, names, look
        As of :func:`bias_figure`.
    quantities
        Of which; all that have no radius by default.
    r
        Radius [kpc] of which all the rows are, where that was chosen.
    """
    rows = scores[np.isfinite(scores["bias"]) & (scores["quantity"] != "")]
    rows = rows if r is not None else rows[~np.isfinite(rows["r"])]
    shown = [q for q in dict.fromkeys(rows["quantity"]) if not quantities or q in quantities]
    rows = rows[rows["quantity"].isin(shown)]
    if not len(rows):
        return None
    names = names or cell_names(rows["cell"])
    estimators = list(dict.fromkeys(rows["estimator"]))
    with look.applied():
        columns = len(shown) if look.is_wide and len(shown) < 4 else (3 if look.is_wide else 1)
        height = _FRAME + _LINE * len(estimators) * (len(names.cells) + 1.2)
        ratio = height / (look.width / columns)
        figure, panels = sheet(look, len(shown), ratio, columns, sharey=True)
        room = _NAMES * look.width / (columns if len(shown) == 1 else 1)
        ticks = [wrapped(figure, each, room, 7.0) for each in estimators]
        for axes, quantity in zip(panels, shown, strict=True):
            axes.axvline(0.0, color=GREY, linewidth=0.8, zorder=1)
            mine = rows[rows["quantity"] == quantity]
            _table(axes, mine, quantity, names, estimators)
            axes.set_yticks(range(len(estimators)), ticks)
            close_up(figure, axes.get_yticklabels())
            axes.set_ylim(len(estimators) - 0.4, -0.6)
            axes.tick_params(axis="y", which="both", length=0.0)
            unit = labels.error_unit(quantity, mine["unit"].iloc[0])
            text = symbol(quantity) if r is None else symbol_at(quantity, r)
            axes.set_xlabel(with_unit(f"bias of {text}", labels.tex_unit(unit)))
        several = len(names.cells) > 1
        handles = series_handles(figure, [*names.labels.values()], False) if several else []
        legend_below(figure, [*handles, truth_handle("no bias")], names.title)
    listed = ", ".join(labels.plain(q) if r is None else labels.at_radius(q, r) for q in shown)
    return Drawing(
        figure,
        f"Bias of {listed}. Bars: two Monte Carlo standard errors. Points far beyond their bars from the grey line are"
        " biased; one in 20 misses it by chance.",
    )


def _table(
    axes: Axes, rows: pd.DataFrame, quantity: str, names: CellNames, estimators: Sequence[str]
) -> None:
    """Draw one point a cell in the line of its estimator."""
    factor, n = labels.error_factor(quantity), len(names.cells)
    step = 0.75 / max(n, 1)
    for row in rows.to_dict("records"):
        k = names.cells.index(str(row["cell"]))
        y = estimators.index(row["estimator"]) + (k - 0.5 * (n - 1)) * step
        error = 2.0 * row["bias_mcse"] * factor
        axes.errorbar(
            row["bias"] * factor, y, xerr=error if math.isfinite(error) else 0.0, **_points(k)
        )
