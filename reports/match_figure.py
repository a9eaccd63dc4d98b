"""Figure of a match: each measured profile beside mocks of the best settings, in the width of a column."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from haloassay.analysis.match import Match, Row
from haloassay.contracts import labels
from haloassay.reports.figures import COLOURS, STYLE, escaped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Width of a column of a journal, and height of a panel [inch].
_WIDTH: Final = 3.5
_PANEL: Final = 1.9


def match_figure(match: Match) -> Figure:
    """Draw measured numbers with their errors, and simulated ones: a panel a quantity of an estimator.

    The band is 68 per cent of the simulated mean over the posterior, the light band adds the scatter of one mock, the
    line is at the best settings, crosses are the mocks that were run there. Circles mark numbers that no halo of the
    family has.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    panels: dict[tuple[str, str], list[Row]] = {}
    for row in match.rows:
        panels.setdefault((row.target.estimator, row.target.quantity.name), []).append(row)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(_WIDTH, 0.5 + _PANEL * len(panels)), layout="constrained")
        all_axes = figure.subplots(len(panels), squeeze=False)[:, 0]
        for axes, ((estimator, _quantity), rows) in zip(all_axes, panels.items(), strict=True):
            _panel(axes, sorted(rows, key=lambda row: row.target.measured.middle))
            known = rows[0].target.quantity
            unit = f" [{labels.tex_unit(known.unit)}]" if known.unit else ""
            axes.set_ylabel(f"{known.label}{unit}")
            axes.set_title(escaped(estimator), loc="left")
            if known.scale == "fractional":
                axes.set_yscale("log" if _decades(rows) > 1.0 else "linear")
        all_axes[-1].set_xlabel(r"$r$ [kpc]")
        handles, names = all_axes[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=2, fontsize=7.0)
    return figure


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
    axes.fill_between(x, lo - scatter, hi + scatter, color=COLOURS[0], alpha=0.12, linewidth=0.0)
    axes.fill_between(x, lo, hi, color=COLOURS[0], alpha=0.4, linewidth=0.0, label="mocks, 68 %")
    axes.plot(x, mean, color=COLOURS[0], linewidth=1.2, label="best settings")
    axes.errorbar(x, run, mcse, fmt="x", color=COLOURS[0], markersize=4.0, label="mocks run there")
    axes.errorbar(x, value, error, fmt="o", color="0.1", markersize=3.5, label="measured")
    named = np.array([row.named for row in rows])
    if named.any():
        axes.plot(
            x[named],
            value[named],
            "o",
            markersize=9.0,
            fillstyle="none",
            color=COLOURS[1],
            label="no halo has this",
        )
