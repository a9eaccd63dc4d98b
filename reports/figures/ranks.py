"""Ranks of the truth among posterior draws: their distribution less a uniform one, and their histogram."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from haloassay.contracts import labels
from haloassay.reports.figures.look import COLUMN, GREY, Look, shade
from haloassay.reports.figures.panels import Drawing, label_columns, method_title, sheet, symbol

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

#: Bars of a histogram.
_BARS: Final = 20
_BANDS: Final = ("0.93", "0.86")


def rank_figure(
    ranks: pd.DataFrame,
    look: Look = COLUMN,
) -> Drawing | None:
    """Distribution (ECDF) of the truth's place among the draws less a uniform one, and beside it the histogram.

    A pair of panels for each (cell, estimator, quantity), one line a radial bin. The band on the left holds the whole
    line of a calibrated method in 95 per cent of all runs, the one on the right 95 per cent of its single bars; each is
    that of the bin with the fewest realisations (light) and with the most (dark).

    Parameters
    ----------
    ranks
        What :func:`haloassay.analysis.calibrate.rank_counts` returns.
    look
        Width and style.
    """
    from haloassay.analysis.calibrate import TOGETHER, count_matrix

    groups = list(ranks.groupby(["cell", "estimator", "quantity"], sort=False))
    if not groups:
        return None
    several = ranks["cell"].nunique() > 1
    pairs = 2 if look.is_wide and len(groups) > 1 else 1
    with look.applied():
        figure, panels = sheet(look, 2 * len(groups), 0.8, 2 * pairs)
        for k, ((cell, estimator, quantity), rows) in enumerate(groups):
            left, right = panels[2 * k : 2 * k + 2]
            counts = count_matrix(rows)
            _ecdf(left, counts)
            _histogram(right, counts)
            name = f"{estimator}, {cell}" if several else str(estimator)
            about = TOGETHER if quantity == TOGETHER else symbol(str(quantity))
            method_title(left, name, about, pairs)
            for axes in (left, right):
                axes.set(xlim=(0, 1), xticks=[0.0, 0.5, 1.0])
        label_columns(panels, "quantile of the truth")
    return Drawing(figure, _caption(ranks))


def _caption(ranks: pd.DataFrame) -> str:
    listed = ", ".join(labels.plain(str(q)) for q in dict.fromkeys(ranks["quantity"]))
    return (
        f"Calibration of {listed}. Left: distribution (ECDF) of the truth's place among the posterior draws, less a"
        " uniform one; a line per radial bin, dark inside, light outside. The band holds the whole line of a calibrated"
        " method in 95 per cent of all runs. Above it on the left and below it on the right: intervals too narrow; the"
        " reverse: too wide; above it throughout: estimates too high; below it: too low. Right: the same as histograms"
        f" in {_BARS} steps; the band holds 95 per cent of single steps of a calibrated method."
    )


def _ecdf(axes: Axes, counts: np.ndarray[Any, Any]) -> None:
    from haloassay.analysis.calibrate import STEPS, simultaneous_band

    z = np.arange(STEPS + 1) / STEPS
    n = counts.sum(axis=1)
    for size, grey in _sizes(n):
        low, high = (np.concatenate([[0.0], e, [1.0]]) for e in simultaneous_band(size))
        axes.fill_between(z, low - z, high - z, color=grey, linewidth=0.0)
    axes.axhline(0.0, color=GREY, linewidth=0.8)
    for k, share in enumerate(counts.cumsum(axis=1) / n[:, None]):
        axes.plot(z, np.concatenate([[0.0], share]) - z, color=shade(k, len(counts)))
    number = f"$n$ = {n.min()}" if n.min() == n.max() else f"$n$ = {n.min()} to {n.max()}"
    place: dict[str, Any] = {
        "transform": axes.transAxes,
        "va": "top",
        "ha": "right",
        "color": "0.25",
    }
    axes.text(0.96, 0.95, number, fontsize=7.0, **place)
    axes.set_ylabel("ECDF − uniform")


def _histogram(axes: Axes, counts: np.ndarray[Any, Any]) -> None:
    from scipy.stats import binom

    n = counts.sum(axis=1)
    for size, grey in _sizes(n):
        low, high = (float(binom.ppf(p, size, 1.0 / _BARS)) for p in (0.025, 0.975))
        axes.axhspan(low * _BARS / size, high * _BARS / size, color=grey, linewidth=0.0)
    axes.axhline(1.0, color=GREY, linewidth=0.8)
    heights = counts.reshape(len(counts), _BARS, -1).sum(axis=2) * _BARS / n[:, None]
    edges = np.arange(_BARS + 1) / _BARS
    for k, height in enumerate(heights):
        axes.stairs(height, edges, baseline=None, color=shade(k, len(counts)), linewidth=0.9)
    axes.set_ylim(bottom=0.0)
    axes.set_ylabel("ranks / expected")


def _sizes(n: np.ndarray[Any, Any]) -> list[tuple[int, str]]:
    """Numbers of realisations of which bands are drawn, with their greys: the fewest, then the most."""
    return list(dict(zip((int(n.min()), int(n.max())), _BANDS, strict=True)).items())
