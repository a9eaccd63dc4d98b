"""Figure of a match: each measured profile beside mocks of the best settings, in the width of a column."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from haloassay.analysis.match import Match, Row
from haloassay.contracts import labels
from haloassay.reports.figures.look import COLUMN, Look, colour
from haloassay.reports.figures.panels import (
    Drawing,
    legend_below,
    sheet,
    symbol_of,
    title,
    with_unit,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Height of a panel over its width.
_RATIO: Final = 0.54


def match_figure(match: Match, look: Look = COLUMN) -> Drawing:
    """Draw measured numbers with their errors, and simulated ones: a panel a quantity of an estimator.

    The band is 68 per cent of the simulated mean over the posterior, the light band adds the scatter of one mock, the
    line is at the best settings, crosses are the mocks that were run there. Circles mark numbers that no halo of the
    family has.
    """
    panels: dict[tuple[str, str], list[Row]] = {}
    for row in match.rows:
        panels.setdefault((row.target.estimator, row.target.quantity.name), []).append(row)
    with look.applied():
        figure, all_axes = sheet(look, len(panels), _RATIO, 1)
        for axes, ((estimator, _quantity), rows) in zip(all_axes, panels.items(), strict=True):
            _panel(axes, sorted(rows, key=lambda row: row.target.measured.middle))
            known = rows[0].target.quantity
            axes.set_ylabel(with_unit(symbol_of(known), labels.tex_unit(known.unit)))
            title(axes, estimator)
            if known.scale == "fractional":
                axes.set_yscale("log" if _decades(rows) > 1.0 else "linear")
        all_axes[-1].set_xlabel(r"$r$ [kpc]")
        entries = {
            label: handle
            for axes in all_axes
            for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        legend_below(figure, [*entries.values()])
    return Drawing(
        figure,
        "Measured profiles and simulated ones. Band: 68 per cent of the simulated mean over the posterior; light band:"
        " with the scatter of one mock; line: at the best settings; crosses: mocks that were run there.",
    )


def _decades(rows: list[Row]) -> float:
    values = [row.target.measured.value for row in rows]
    return math.log10(max(values) / min(values))


def _panel(axes: Axes, rows: list[Row]) -> None:
    """Draw one profile; numbers without a radius stand at their place in the list."""
    at = [row.target.measured.middle for row in rows]
    x = np.array([r if math.isfinite(r) else k + 1.0 for k, r in enumerate(at)])
    value, error = (
        np.array([getattr(row.target.measured, name) for row in rows])
        for name in ("value", "error")
    )
    mean, lo, hi, scatter, run, mcse = (
        np.array([getattr(row, name) for row in rows])
        for name in ("mean", "lo", "hi", "scatter", "run", "run_mcse")
    )
    axes.fill_between(x, lo - scatter, hi + scatter, color=colour(0), alpha=0.12, linewidth=0.0)
    axes.fill_between(x, lo, hi, color=colour(0), alpha=0.4, linewidth=0.0, label="mocks, 68 %")
    axes.plot(x, mean, color=colour(0), linewidth=1.2, label="best settings")
    axes.errorbar(x, run, mcse, fmt="x", color=colour(0), markersize=4.0, label="mocks run there")
    axes.errorbar(x, value, error, fmt="o", color="0.1", markersize=3.5, label="measured")
    named = np.array([row.named for row in rows])
    if named.any():
        axes.plot(
            x[named],
            value[named],
            "o",
            markersize=9.0,
            fillstyle="none",
            color=colour(1),
            label="no halo has this",
        )
