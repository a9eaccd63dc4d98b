"""Single estimates, with the truth."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from haloassay.contracts import labels
from haloassay.reports.figures.look import COLUMN, Look, colour
from haloassay.reports.figures.panels import (
    Drawing,
    close_up,
    columns_of,
    handle,
    label_columns,
    label_rows,
    legend_below,
    log_if_wide,
    radius_axis,
    scaled,
    sheet,
    symbol,
    symbol_at,
    title,
    with_unit,
    wrapped,
)

if TYPE_CHECKING:
    import pandas as pd

_CLOUD: Final[Any] = {
    **{"linestyle": "none", "marker": "o", "markersize": 2.5, "markeredgewidth": 0.0},
    **{"alpha": 0.35, "rasterized": True},
}
#: Height of a line of a table of points, and of what is above and below it [inch].
_LINE: Final = 0.24
_FRAME: Final = 0.55
_GOLDEN: Final = (5.0**0.5 - 1.0) / 2.0


def cloud_figure(
    estimates: pd.DataFrame, quantity: str, look: Look = COLUMN, scattered: Collection[str] = ()
) -> Drawing | None:
    """Single estimates of a quantity against radius, with the truth: a panel an estimator and cell.

    Parameters
    ----------
    estimates
        What :func:`haloassay.analysis.scores.sample` returns.
    quantity, look
        Of which; width and style.
    scattered
        Estimators whose bins of this quantity are no bins of radius: truths are not joined.
    """
    rows = estimates[(estimates["quantity"] == quantity) & np.isfinite(estimates["r"])]
    if not len(rows):
        return None
    several = rows["cell"].nunique() > 1
    factor, unit = scaled(rows["unit"].iloc[0], rows[["value", "truth"]])
    rows = rows.assign(value=factor * rows["value"], truth=factor * rows["truth"])
    groups = list(rows.groupby(["estimator", "cell"], sort=False))
    with look.applied():
        figure, panels = sheet(look, len(groups), 0.62, sharex=True, sharey=True)
        for axes, ((estimator, cell), mine) in zip(panels, groups, strict=True):
            axes.plot(mine["r"], mine["value"], color=colour(0), **_CLOUD)
            truth = mine.groupby("bin")[["r", "truth"]].median().sort_values("r").dropna()
            line = "none" if estimator in scattered else "-"
            axes.plot(truth["r"], truth["truth"], "k_", linestyle=line, markersize=7)
            title(axes, f"{estimator}, {cell}" if several else str(estimator), columns_of(panels))
        radius_axis(panels, rows["r"])
        log_if_wide(panels[0].yaxis, rows[["value", "truth"]].to_numpy(), 8.0)
        label_rows(panels, with_unit(symbol(quantity), unit))
        legend_below(figure, _handles("k_-"))
    return Drawing(figure, _caption([labels.plain(quantity)], rows))


def strip_figure(
    estimates: pd.DataFrame,
    quantity: str,
    look: Look = COLUMN,
    r: float | None = None,
) -> Drawing | None:
    """Single estimates of a quantity without a radius, or at one: a line an estimator and cell.

    Parameters
    ----------
    estimates, quantity, look
        As of :func:`cloud_figure`.
    r
        Radius [kpc] of which all the rows are, where that was chosen.
    """
    rows = estimates[estimates["quantity"] == quantity]
    if not len(rows):
        return None
    factor, unit = scaled(rows["unit"].iloc[0], rows[["value", "truth"]])
    rows = rows.assign(value=factor * rows["value"], truth=factor * rows["truth"])
    groups = list(rows.groupby(["estimator", "cell"], sort=False))
    several = rows["cell"].nunique() > 1
    with look.applied():
        height = _FRAME + _LINE * len(groups)
        figure, (axes,) = sheet(look, 1, height / look.width)
        ticks = []
        for k, ((estimator, cell), mine) in enumerate(groups):
            # spread over the line by the number of the realisation, so that a point stays where it is
            lift = (mine["realization"].to_numpy() * _GOLDEN) % 1.0 - 0.5
            axes.plot(mine["value"], k + 0.5 * lift, color=colour(0), **_CLOUD)
            if np.isfinite(mine["truth"]).any():
                axes.plot([mine["truth"].median()] * 2, [k - 0.4, k + 0.4], "k-")
            name = f"{estimator}, {cell}" if several else str(estimator)
            ticks.append(wrapped(figure, name, 0.36 * look.width, 7.0))
        axes.set_yticks(range(len(groups)), ticks)
        close_up(figure, axes.get_yticklabels())
        axes.set_ylim(len(groups) - 0.4, -0.6)
        axes.tick_params(axis="y", which="both", length=0.0)
        log_if_wide(axes.xaxis, rows["value"].to_numpy(), 20.0)
        text = symbol(quantity) if r is None else symbol_at(quantity, r)
        axes.set_xlabel(with_unit(text, unit))
        legend_below(figure, _handles("k|"))
    name = labels.plain(quantity) if r is None else labels.at_radius(quantity, r)
    return Drawing(figure, _caption([name], rows))


def pair_figure(
    estimates: pd.DataFrame,
    quantities: Sequence[str] = ("m200", "c200"),
    look: Look = COLUMN,
) -> Drawing | None:
    """Single estimates of one quantity against another of the same run: a panel an estimator and cell.

    Parameters
    ----------
    estimates, look
        As of :func:`cloud_figure`; each estimator has one row of either quantity in a realisation.
    quantities
        On the horizontal and on the vertical axis.
    """
    keys = ["cell", "estimator", "realization"]
    x, y = (
        estimates[estimates["quantity"] == name][[*keys, "value", "truth", "unit"]]
        for name in quantities
    )
    rows = x.merge(y, on=keys, suffixes=("_x", "_y"))
    if not len(rows):
        return None
    units = {}
    for end in ("x", "y"):
        names = [f"value_{end}", f"truth_{end}"]
        factor, units[end] = scaled(rows[f"unit_{end}"].iloc[0], rows[names])
        rows = rows.assign(**{name: factor * rows[name] for name in names})
    groups = list(rows.groupby(["estimator", "cell"], sort=False))
    several = rows["cell"].nunique() > 1
    with look.applied():
        figure, panels = sheet(look, len(groups), 0.8, sharex=True, sharey=True)
        for axes, ((estimator, cell), mine) in zip(panels, groups, strict=True):
            axes.plot(mine["value_x"], mine["value_y"], color=colour(0), **_CLOUD)
            truth = mine[["truth_x", "truth_y"]].drop_duplicates().dropna()
            axes.plot(truth["truth_x"], truth["truth_y"], "k+", markersize=9, markeredgewidth=1.2)
            axes.margins(0.12)  # a cross at the end of the cloud stays inside the frame
            title(axes, f"{estimator}, {cell}" if several else str(estimator), columns_of(panels))
        for end, write in (("x", label_columns), ("y", label_rows)):
            every = np.concatenate([rows[f"value_{end}"], rows[f"truth_{end}"].dropna()])
            log_if_wide(getattr(panels[0], f"{end}axis"), every)
            name = quantities[0 if end == "x" else 1]
            write(panels, with_unit(symbol(name), units[end]))
        legend_below(figure, _handles("k+"))
    return Drawing(figure, _caption([labels.plain(name) for name in quantities], rows))


def _handles(truth: str) -> list[Any]:
    """Entries for the points and for the mark of the truth: colour, mark and, where there is one, line."""
    style = {**_CLOUD, "alpha": 0.7, "markersize": 3.5}
    line = truth[2:] or "none"
    mark = {"marker": truth[1], "markersize": 7, "linestyle": line}
    return [handle("estimates", color=colour(0), **style), handle("truth", color="k", **mark)]


def _caption(names: Sequence[str], rows: pd.DataFrame) -> str:
    what = " against ".join(reversed(names))
    shown = rows["realization"].nunique()
    return (
        f"Single estimates of {what}, one point a realisation ({shown} of them); black: the truth."
    )
