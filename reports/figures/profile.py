"""Estimates against radius, beside the truth and published numbers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from haloassay.contracts import labels
from haloassay.contracts.measurements import Measurement
from haloassay.reports.figures.look import COLUMN, Look, colour, lined, marked
from haloassay.reports.figures.names import CellNames, cell_names
from haloassay.reports.figures.panels import (
    Drawing,
    columns_of,
    handle,
    label_rows,
    legend_below,
    log_if_wide,
    method_title,
    radius_axis,
    scaled,
    series_handles,
    sheet,
    symbol,
    title,
    truth_handle,
    with_unit,
    wrapped,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

#: Marks of published tables, one after the other.
_PUBLISHED = ("s", "^", "D", "v")
_SHOWN = ("value", "value_mcse", "lo", "hi", "truth")


def profile_figure(
    profiles: pd.DataFrame,
    quantity: str | Sequence[str],
    names: CellNames | None = None,
    look: Look = COLUMN,
    scattered: Collection[str] = (),
    published: Mapping[str, Sequence[Measurement]] | None = None,
) -> Drawing | None:
    """Mean estimates of quantities against radius with the truth: a panel each and an estimator, a colour a cell.

    Marks and bars are the mean over realisations with two Monte Carlo standard errors; the band holds 68 per cent of
    the single estimates; the line is the mean truth, black where one cell is shown, else dashed in the cell's colour.

    Parameters
    ----------
    profiles
        What :func:`haloassay.analysis.profiles.profiles` returns.
    quantity
        One, whose panels have one vertical axis, or several.
    names, look, scattered
        As of :func:`haloassay.reports.figures.bias.bias_figure`.
    published
        Measurements by what to call them, in black with their intervals; those of an estimator in its panels only.
    """
    quantities = [quantity] if isinstance(quantity, str) else [*quantity]
    rows = profiles[profiles["quantity"].isin(quantities) & np.isfinite(profiles["r"])]
    if not len(rows):
        return None
    names = names or cell_names(rows["cell"])
    pairs = list(dict.fromkeys(zip(rows["quantity"], rows["estimator"], strict=True)))
    pairs.sort(key=lambda pair: quantities.index(pair[0]))
    several = len({name for name, _ in pairs}) > 1
    others = published or {}
    with look.applied():
        figure, panels = sheet(look, len(pairs), 0.62, sharex=True, sharey=not several)
        places = rows["r"]
        for axes, pair in zip(panels, pairs, strict=True):
            mine = rows[(rows["quantity"] == pair[0]) & (rows["estimator"] == pair[1])]
            beside = {
                name: [m for m in every if m.quantity == pair[0] and m.estimator in ("", pair[1])]
                for name, every in others.items()
            }
            same = mine if several else rows
            factor, unit = scaled(
                mine["unit"].iloc[0],
                [*same[["hi", "truth"]].to_numpy().ravel(), *_values(others, pair[0])],
            )
            _panel(axes, mine, factor, names, pair[1] not in scattered)
            _published(axes, beside, factor)
            label = with_unit(symbol(pair[0]), unit)
            if several:
                method_title(axes, pair[1], symbol(pair[0]), columns_of(panels))
                axes.set_ylabel(label)
                shown = factor * mine[["value", "lo", "hi", "truth"]].to_numpy()
                log_if_wide(axes.yaxis, shown, 8.0)
            else:
                title(axes, pair[1], columns_of(panels))
        radius_axis(panels, places)
        if not several:
            log_if_wide(
                panels[0].yaxis, factor * rows[["value", "lo", "hi", "truth"]].to_numpy(), 8.0
            )
            label_rows(panels, label)
        legend_below(figure, [*_handles(figure, names), *_entries(figure, others)], names.title)
    return Drawing(figure, _caption(quantities, names, others))


def _panel(axes: Axes, rows: pd.DataFrame, factor: float, names: CellNames, joined: bool) -> None:
    """Profiles of all cells of one estimator and quantity."""
    rows = rows.assign(**{name: factor * rows[name] for name in _SHOWN})
    for cell, group in rows.groupby("cell", sort=False):
        k = names.cells.index(str(cell))
        _profile(axes, group.sort_values("r"), k, len(names.cells) == 1, joined)


def _values(others: Mapping[str, Sequence[Measurement]], quantity: str) -> list[float]:
    """Upper ends of all published numbers of a quantity."""
    every = (m for each in others.values() for m in each)
    return [m.interval[1] for m in every if m.quantity == quantity]


def _published(axes: Axes, beside: Mapping[str, Sequence[Measurement]], factor: float) -> None:
    """Draw published numbers with their intervals, and the edges of their bins."""
    for k, every in enumerate(beside.values()):
        known = [m for m in every if np.isfinite([m.middle, m.value]).all()]
        if not known:
            continue
        r, value = (np.array([getattr(m, name) for m in known]) for name in ("middle", "value"))
        ends = np.array([m.interval for m in known]).T
        errors = factor * np.nan_to_num(np.abs(ends - value))
        edges = np.array([[m.r_lo, m.r_hi] if m.has_edges else [m.middle] * 2 for m in known]).T
        axes.errorbar(
            r, factor * value, errors, np.abs(edges - r), zorder=4, elinewidth=0.6, **_mark(k)
        )


def _mark(k: int) -> dict[str, Any]:
    return {
        "color": "k",
        "linestyle": "none",
        "marker": _PUBLISHED[k % len(_PUBLISHED)],
        "markerfacecolor": "white",
    }


def _handles(figure: Any, names: CellNames) -> list[Any]:
    """Entries of estimates and truth."""
    if len(names.cells) > 1:
        return [
            *series_handles(figure, [*names.labels.values()], with_line=False),
            truth_handle("truth of each", linestyle="--"),
        ]
    estimate = {"color": colour(0), "linestyle": "none", "marker": "o"}
    return [
        truth_handle("mean estimate", **{**marked(0), **estimate}),
        truth_handle(color="k"),
    ]


def _entries(figure: Any, others: Mapping[str, Sequence[Measurement]]) -> list[Any]:
    """Entries of what was published."""
    import matplotlib

    room = figure.get_figwidth() - 0.6
    size = matplotlib.rcParams["legend.fontsize"]
    return [handle(wrapped(figure, name, room, size), **_mark(k)) for k, name in enumerate(others)]


def _caption(
    quantities: Sequence[str], names: CellNames, others: Mapping[str, Sequence[Measurement]]
) -> str:
    what = ", ".join(labels.plain(name) for name in quantities)
    lines = ", dashed in the colour of its cell" if len(names.cells) > 1 else ""
    beside = f" Open black marks: {', '.join(others)}." if others else ""
    return (
        f"Estimates of {what} against radius. Marks: mean over realisations, bars: two Monte Carlo"
        " standard errors, band: 68 per cent of the single estimates; line: the truth"
        f"{lines}.{beside}"
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
