"""Estimates against radius, beside the truth."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np

from haloassay.contracts import labels
from haloassay.reports.figures.look import COLUMN, Look, colour, lined, marked
from haloassay.reports.figures.names import CellNames, cell_names
from haloassay.reports.figures.panels import (
    Drawing,
    columns_of,
    label_rows,
    legend_below,
    log_if_wide,
    radius_axis,
    scaled,
    series_handles,
    sheet,
    symbol,
    title,
    truth_handle,
    with_unit,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


def profile_figure(
    profiles: pd.DataFrame,
    quantity: str,
    names: CellNames | None = None,
    look: Look = COLUMN,
    scattered: Collection[str] = (),
) -> Drawing | None:
    """Mean estimates of a quantity against radius with the truth: a panel an estimator, a colour a cell.

    Marks and bars are the mean over realisations with two Monte Carlo standard errors; the band holds 68 per cent of
    the single estimates; the line is the mean truth, black where one cell is shown, else dashed in the cell's colour.

    Parameters
    ----------
    profiles
        What :func:`haloassay.analysis.profiles.profiles` returns.
    quantity, names, look, scattered
        As of :func:`haloassay.reports.figures.bias.bias_figure`.
    """
    rows = profiles[(profiles["quantity"] == quantity) & np.isfinite(profiles["r"])]
    if not len(rows):
        return None
    names = names or cell_names(rows["cell"])
    estimators = list(dict.fromkeys(rows["estimator"]))
    with look.applied():
        figure, panels = sheet(look, len(estimators), 0.62, sharex=True, sharey=True)
        factor, unit = scaled(rows["unit"].iloc[0], rows[["hi", "truth"]])
        shown = ["value", "value_mcse", "lo", "hi", "truth"]
        rows = rows.assign(**{name: factor * rows[name] for name in shown})
        for axes, estimator in zip(panels, estimators, strict=True):
            title(axes, estimator, columns_of(panels))
            mine = rows[rows["estimator"] == estimator]
            for cell, group in mine.groupby("cell", sort=False):
                k = names.cells.index(str(cell))
                joined = estimator not in scattered
                _profile(axes, group.sort_values("r"), k, len(names.cells) == 1, joined)
        radius_axis(panels, rows["r"])
        log_if_wide(panels[0].yaxis, rows[["value", "lo", "hi", "truth"]].to_numpy(), 8.0)
        label_rows(panels, with_unit(symbol(quantity), unit))
        if len(names.cells) > 1:
            handles = [
                *series_handles(figure, [*names.labels.values()], with_line=False),
                truth_handle("truth of each", linestyle="--"),
            ]
        else:
            estimate = {"color": colour(0), "linestyle": "none", "marker": "o"}
            handles = [
                truth_handle("mean estimate", **{**marked(0), **estimate}),
                truth_handle(color="k"),
            ]
        legend_below(figure, handles, names.title)
    return Drawing(
        figure,
        f"Estimates of {labels.plain(quantity)} against radius. Marks: mean over realisations, bars: two Monte Carlo"
        " standard errors, band: 68 per cent of the single estimates; line: the truth"
        + (", dashed in the colour of its cell." if len(names.cells) > 1 else "."),
    )


def _profile(axes: Axes, rows: pd.DataFrame, k: int, alone: bool, joined: bool) -> None:
    r, value = rows["r"].to_numpy(), rows["value"].to_numpy()
    truth = rows["truth"].to_numpy()
    error = 2.0 * np.nan_to_num(rows["value_mcse"].to_numpy())
    style: dict[str, Any] = (
        {"color": "k", "linestyle": "-"} if alone else {"color": colour(k), "linestyle": "--"}
    )
    if joined:
        axes.fill_between(r, rows["lo"], rows["hi"], color=colour(k), alpha=0.2, linewidth=0.0)
        axes.plot(r, truth, zorder=2, **style)
    else:
        spread = np.abs(np.stack([value - rows["lo"], rows["hi"] - value]))
        axes.errorbar(r, value, spread, fmt="none", ecolor=lined(k)["color"], alpha=0.3)
        axes.plot(r, truth, marker="_", zorder=2, **{**style, "linestyle": "none"})
    axes.errorbar(r, value, error, linestyle="none", elinewidth=0.8, zorder=3, **marked(k))
