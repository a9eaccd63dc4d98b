"""Figures of a run: bias against radius, coverage against nominal, ranks, clouds of estimates.

Each function takes tables of :mod:`haloassay.analysis.scores` and returns a matplotlib figure that no global
state knows of; :func:`save` writes it as PDF and PNG, byte for byte the same for the same data.
"""

from __future__ import annotations

import contextlib
import logging
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from haloassay.base.files import replacing
from haloassay.base.text import printable
from haloassay.contracts import labels

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Colours that colour-blind readers can tell apart (Okabe & Ito 2008).
COLOURS: Final = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8a7500"),
)
_MARKERS: Final = "osD^vP*X"
#: How all figures look; fonts of PDF files are TrueType, as journals ask. STIX has the letters of a journal, and is put
#: into a file in half the time of DejaVu Sans, which has what STIX lacks.
STYLE: Final[Any] = {
    "pdf.fonttype": 42,
    "font.family": ["STIXGeneral", "DejaVu Sans"],
    "mathtext.fontset": "stix",
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "legend.frameon": False,
}
_CLOUD: Final[Any] = {
    **{"linestyle": "none", "marker": "o", "markersize": 3.0, "markeredgewidth": 0.0},
    **{"alpha": 0.35, "color": COLOURS[0]},
}
_PANEL: Final = (3.5, 2.7)
#: Legends with more cells than this would be larger than their figure.
_LEGEND_CELLS: Final = 32
_GREY: Final = "0.45"
_TITLE: Final[Any] = {"fontsize": 9.5, "fontweight": "bold"}


def bias_figure(scores: pd.DataFrame, quantity: str) -> Figure | None:
    """Bias of a quantity against radius: a panel per estimator, a colour per cell.

    Line and markers show the bias, the band one and the bars two Monte Carlo standard errors, the
    grey line at zero the truth. None where no row has a bias and a radius.
    """
    rows = scores[(scores["quantity"] == quantity) & np.isfinite(scores["bias"])]
    rows = rows[np.isfinite(rows["r"])]
    if not len(rows):
        return None
    cells = list(dict.fromkeys(scores["cell"]))
    factor = labels.error_factor(quantity)
    figure, panels = _panels(list(dict.fromkeys(rows["estimator"])), sharey=True)
    for estimator, axes in panels.items():
        axes.axhline(0.0, color=_GREY, linewidth=1.0, zorder=1)
        shown = rows[rows["estimator"] == estimator]
        for cell, group in shown.groupby("cell", sort=False):
            _bias_line(axes, group.sort_values("r"), factor, cells, str(cell))
        _radius_axis(axes, rows["r"])
    unit = labels.error_unit(quantity, rows["unit"].iloc[0])
    name = labels.quantity_of(quantity).label
    _label_rows(panels, f"bias of {name}" + (f" [{labels.tex_unit(unit)}]" if unit else ""))
    note = "bars: 2, band: 1 Monte Carlo standard error"
    _cell_legend(figure, cells, [_truth_handle("truth (no bias)")], note)
    return figure


def scalar_bias_figure(scores: pd.DataFrame) -> Figure | None:
    """Bias of quantities without a radius: a panel per quantity, a row per estimator.

    Points show the bias with two Monte Carlo standard errors, the grey line at zero the truth.
    """
    rows = scores[~np.isfinite(scores["r"]) & np.isfinite(scores["bias"])]
    if not len(rows):
        return None
    cells = list(dict.fromkeys(scores["cell"]))
    estimators = list(dict.fromkeys(rows["estimator"]))
    height = min(9.0, 1.0 + 0.22 * len(estimators) * (len(cells) + 1))
    figure, panels = _panels(list(dict.fromkeys(rows["quantity"])), height=height)
    step = 0.7 / max(len(cells), 1)
    for quantity, axes in panels.items():
        axes.axvline(0.0, color=_GREY, linewidth=1.0, zorder=1)
        factor = labels.error_factor(quantity)
        mine = rows[rows["quantity"] == quantity]
        for row in mine.to_dict("records"):
            k = cells.index(row["cell"])
            y = estimators.index(row["estimator"]) + (k - 0.5 * (len(cells) - 1)) * step
            error = _finite(2.0 * row["bias_mcse"] * factor)
            axes.errorbar(row["bias"] * factor, y, xerr=error, **_point(k, len(cells)))
        axes.set_yticks(range(len(estimators)), estimators)
        axes.set_ylim(len(estimators) - 0.4, -0.6)
        unit = labels.error_unit(quantity, mine["unit"].iloc[0])
        axes.set_xlabel("bias" + (f" [{labels.tex_unit(unit)}]" if unit else ""))
        axes.set_title(labels.quantity_of(quantity).label, loc="left")
    handles = [_truth_handle("truth (no bias)", vertical=True)]
    _cell_legend(figure, cells, handles, "bars: 2 Monte Carlo standard errors")
    return figure


def coverage_figure(scores: pd.DataFrame, curve: pd.DataFrame | None = None) -> Figure | None:
    """Coverage of the stated intervals against their nominal level: a panel per method and quantity.

    Points show the coverage at 68 and 95 per cent of each radial bin, joined by a faint line; a
    colour and marker per cell. Dashed curves, where the method gave posterior
    draws, show all levels, one a bin. The grey band is where 95 per cent of honest
    methods fall with the realisations of one bin (binomial; light for the bin with the fewest, dark
    for that with the most). Above the diagonal intervals are too wide, below it too narrow.
    """
    rows = scores[np.isfinite(scores["coverage68"])]
    if not len(rows):
        return None
    cells = list(dict.fromkeys(rows["cell"]))
    names = list(dict.fromkeys(zip(rows["estimator"], rows["quantity"], strict=True)))
    figure, panels = _panels([" ".join(name) for name in names], sharey=True, height=3.1)
    with_curve = curve is not None and len(curve) > 0
    for (estimator, quantity), axes in zip(names, panels.values(), strict=True):
        mine = rows[(rows["estimator"] == estimator) & (rows["quantity"] == quantity)]
        _binomial_band(axes, int(mine["n"].min()), int(mine["n"].max()))
        if curve is not None and with_curve:
            chosen = (curve["estimator"] == estimator) & (curve["quantity"] == quantity)
            _coverage_curves(axes, curve[chosen], cells)
        _coverage_marks(axes, mine, cells)
        method = escaped(estimator)
        axes.set_title(f"{method}: {labels.quantity_of(quantity).label}", loc="left", **_TITLE)
        axes.set(xlim=(0, 1.02), ylim=(-0.02, 1.02), xlabel="nominal level")
        axes.set_aspect("equal", adjustable="box")
    _label_rows(panels, "fraction of intervals with the truth")
    grey = {"color": _GREY, "linewidth": 1.0}
    handles = [_line(**grey, marker="o", markersize=4.0, alpha=0.6, label="one radial bin")]
    if with_curve:
        handles.append(_line(**grey, linestyle="--", label="from draws, one radial bin"))
    _cell_legend(figure, cells, handles, "band: 95 % of honest methods with n estimates a bin")
    return figure


def ecdf_figure(ranks: pd.DataFrame, estimator: str, cell: str) -> Figure | None:
    """Distribution of the truth's place among the draws, less a uniform one: a panel per quantity.

    ``ranks`` is what :func:`haloassay.analysis.calibrate.rank_counts` returns; one line a radial bin. The
    band holds the whole line of a calibrated method in 95 per cent of all runs; it is that of the
    bin with the fewest realisations (light) and with the most (dark).
    """
    from haloassay.analysis.calibrate import STEPS, simultaneous_band

    z = np.arange(STEPS + 1) / STEPS

    def draw(axes: Axes, counts: np.ndarray[Any, Any]) -> None:
        n = counts.sum(axis=1)
        for size, grey in dict.fromkeys([(int(n.min()), "0.93"), (int(n.max()), "0.86")]):
            low, high = (np.concatenate([[0.0], e, [1.0]]) for e in simultaneous_band(size))
            axes.fill_between(z, low - z, high - z, color=grey, linewidth=0.0)
        axes.axhline(0.0, color=_GREY, linewidth=1.0)
        for k, share in enumerate(counts.cumsum(axis=1) / n[:, None]):
            line = np.concatenate([[0.0], share]) - z
            axes.plot(z, line, color=_bin_colour(k, len(counts)), linewidth=1.0)

    return _rank_panels(ranks, estimator, cell, draw, "ECDF − uniform")


def rank_figure(ranks: pd.DataFrame, estimator: str, cell: str) -> Figure | None:
    """Histogram of the truth's place among the draws, over its mean: a panel per quantity.

    Lines, bins and arguments as in :func:`ecdf_figure`; the grey band holds 95 per cent of the
    single bars of a calibrated method with the fewest (light) and the most realisations (dark).
    """
    from scipy.stats import binom

    bars = 20

    def draw(axes: Axes, counts: np.ndarray[Any, Any]) -> None:
        n = counts.sum(axis=1)
        for size, grey in dict.fromkeys([(int(n.min()), "0.93"), (int(n.max()), "0.86")]):
            low, high = (float(binom.ppf(p, size, 1.0 / bars)) for p in (0.025, 0.975))
            axes.axhspan(low * bars / size, high * bars / size, color=grey, linewidth=0.0)
        axes.axhline(1.0, color=_GREY, linewidth=1.0)
        heights = counts.reshape(len(counts), bars, -1).sum(axis=2) * bars / n[:, None]
        edges = np.arange(bars + 1) / bars
        for k, height in enumerate(heights):
            axes.stairs(
                height, edges, baseline=None, color=_bin_colour(k, len(counts)), linewidth=1.0
            )

    return _rank_panels(ranks, estimator, cell, draw, "realisations / expected")


def _rank_panels(
    ranks: pd.DataFrame,
    estimator: str,
    cell: str,
    draw: Callable[[Axes, np.ndarray[Any, Any]], None],
    label: str,
) -> Figure | None:
    """Panels of the quantities of an estimator; ``draw`` is given the counts (bins, 100) of one."""
    from haloassay.analysis.calibrate import count_matrix

    rows = ranks[(ranks["estimator"] == estimator) & (ranks["cell"] == cell)]
    if not len(rows):
        return None
    figure, panels = _panels(list(dict.fromkeys(rows["quantity"])), sharey=True)
    for quantity, axes in panels.items():
        counts = count_matrix(rows[rows["quantity"] == quantity])
        draw(axes, counts)
        n = counts.sum(axis=1)
        number = f"n = {n.min()}" if n.min() == n.max() else f"n = {n.min()} to {n.max()}"
        axes.text(0.97, 0.95, number, transform=axes.transAxes, fontsize=8.0, va="top", ha="right")
        axes.set_title(labels.quantity_of(quantity).label, loc="left", **_TITLE)
        axes.set(xlim=(0, 1), xlabel="quantile of the truth")
    _label_rows(panels, label)
    return figure


def _bin_colour(k: int, n: int) -> Any:
    """Colour of bin k of n, dark inside and light outside; of the only one, blue."""
    import matplotlib

    return COLOURS[0] if n == 1 else matplotlib.colormaps["viridis"](0.9 * k / (n - 1))


def cloud_figure(estimates: pd.DataFrame, quantity: str, cell: str) -> Figure | None:
    """Single estimates of a quantity against radius in one cell: a panel per estimator.

    ``estimates`` is what :func:`haloassay.analysis.scores.sample` returns.
    """
    rows = estimates[(estimates["quantity"] == quantity) & (estimates["cell"] == cell)]
    rows = rows[np.isfinite(rows["r"])]
    if not len(rows):
        return None
    figure, panels = _panels(list(dict.fromkeys(rows["estimator"])), sharey=True)
    positive = bool((rows["value"] > 0.0).all())
    wide = positive and rows["value"].max() > 5.0 * rows["value"].min()
    for estimator, axes in panels.items():
        mine = rows[rows["estimator"] == estimator]
        axes.plot(mine["r"], mine["value"], label="estimates", rasterized=True, **_CLOUD)
        truth = mine.groupby("bin")[["r", "truth"]].median().sort_values("r").dropna()
        axes.plot(truth["r"], truth["truth"], "k-_", markersize=9, linewidth=1.3, label="truth")
        _radius_axis(axes, rows["r"])
        if wide:
            axes.set_yscale("log")
    unit = rows["unit"].iloc[0]
    name = labels.quantity_of(quantity).label
    _label_rows(panels, name + (f" [{labels.tex_unit(unit)}]" if unit else ""))
    handles = next(iter(panels.values())).get_legend_handles_labels()[0]
    _legend(figure, handles, title="")
    return figure


def halo_figure(estimates: pd.DataFrame) -> Figure | None:
    """Estimates of m200 against c200: a panel per estimator, a colour per cell."""
    keys = ["cell", "estimator", "realization"]
    m200, c200 = (
        estimates[estimates["quantity"] == name][[*keys, "value", "truth"]]
        for name in ("m200", "c200")
    )
    rows = m200.merge(c200, on=keys, suffixes=("_m", "_c"))
    if not len(rows):
        return None
    cells = list(dict.fromkeys(rows["cell"]))
    figure, panels = _panels(list(dict.fromkeys(rows["estimator"])), sharey=True)
    for estimator, axes in panels.items():
        for cell, group in rows[rows["estimator"] == estimator].groupby("cell", sort=False):
            style = {**_marker(cells.index(cell), len(cells)), "markersize": 3.5, "alpha": 0.5}
            style |= {"markeredgewidth": 0.0, "linestyle": "none", "rasterized": True}
            axes.plot(group["value_m"] / 1e12, group["value_c"], **style)
            truth = group[["truth_m", "truth_c"]].drop_duplicates().dropna()
            axes.plot(truth["truth_m"] / 1e12, truth["truth_c"], "k+", markersize=14, mew=1.8)
        axes.margins(0.12)  # a cross at the end of the cloud stays inside the frame
        for axis, end in ((axes.xaxis, "m"), (axes.yaxis, "c")):
            every = np.concatenate([rows[f"value_{end}"], rows[f"truth_{end}"].dropna()])
            _log_if_wide(axis, every)
        axes.set_xlabel(r"$M_{200}$ [$10^{12}\,\mathrm{M}_\odot$]")
    _label_rows(panels, "$c_{200}$")
    _cell_legend(
        figure, cells, [_line(color="k", marker="+", markersize=9, linestyle="", label="truth")]
    )
    return figure


def save(figure: Figure, stem: Path) -> tuple[Path, Path]:
    """Write ``stem.pdf`` and ``stem.png`` (150 dots per inch) without dates or versions inside."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_pdf import FigureCanvasPdf

    pdf, png = stem.with_name(f"{stem.name}.pdf"), stem.with_name(f"{stem.name}.png")
    with contextlib.ExitStack() as stack:
        stack.enter_context(matplotlib.rc_context(STYLE))
        stack.enter_context(warnings.catch_warnings())
        # a label in a script that the font lacks is drawn as boxes; the tables have it in letters
        warnings.filterwarnings(
            "ignore", message=r"Glyph \d+ .* missing from", category=UserWarning
        )
        stack.enter_context(_quiet_fonts())
        # not by savefig, which draws each file twice, first for a box that is not asked for
        dpi = figure.dpi
        figure.dpi = 150
        with replacing(png) as temporary:
            FigureCanvasAgg(figure).print_png(temporary, metadata={"Software": None})
        figure.dpi = dpi  # that of clouds, which the PDF has as pictures
        figure.set_layout_engine("none")  # laid out once, for both files
        nothing = dict.fromkeys(("CreationDate", "ModDate", "Creator", "Producer"))
        with replacing(pdf) as temporary:
            FigureCanvasPdf(figure).print_pdf(temporary, metadata=nothing)
    return pdf, png


@contextlib.contextmanager
def _quiet_fonts() -> Iterator[None]:
    """Keep to itself what fontTools says of the dates in STIX."""
    log = logging.getLogger("fontTools.ttLib")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)


def _panels(
    names: Sequence[str], sharey: bool = False, height: float = _PANEL[1]
) -> tuple[Figure, dict[str, Axes]]:
    """Make a figure of up to three panels a row, titled by ``names``."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(3, len(names))
    lines = math.ceil(len(names) / columns)
    size = (max(_PANEL[0] * columns, 4.8) + 0.3, height * lines + 0.2)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        grid = figure.subplots(lines, columns, squeeze=False, sharey=sharey)
        panels = dict(zip(names, grid.ravel(), strict=False))
        for axes in grid.ravel()[len(names) :]:
            axes.remove()
        for name, axes in panels.items():
            axes.set_title(escaped(name), loc="left")
            axes.grid(alpha=0.25, linewidth=0.5)
    return figure, panels


def escaped(label: str) -> str:
    """Label of a user as matplotlib draws it: no mathematics, no character without a shape."""
    return printable(label).replace("$", r"\$")


def _label_rows(panels: dict[str, Axes], label: str) -> None:
    """Label the vertical axis of the first panel of each row."""
    for k, axes in enumerate(panels.values()):
        if k % 3 == 0:
            axes.set_ylabel(label)


def _colour(k: int, n: int) -> Any:
    """Colour k of n: distinct ones for few, a perceptually uniform sequence for many."""
    if n <= len(COLOURS):
        return COLOURS[k]
    import matplotlib

    return matplotlib.colormaps["viridis"](0.95 * k / (n - 1))


def _marker(k: int, n: int) -> dict[str, Any]:
    return {"color": _colour(k, n), "marker": _MARKERS[k % len(_MARKERS)], "markersize": 5.0}


def _point(k: int, n: int) -> dict[str, Any]:
    return {**_marker(k, n), "linestyle": "none", "elinewidth": 1.2, "capsize": 2.5, "zorder": 3}


def _bias_line(axes: Axes, group: pd.DataFrame, factor: float, cells: list[str], cell: str) -> None:
    k, n = cells.index(cell), len(cells)
    r, bias = group["r"].to_numpy(), group["bias"].to_numpy() * factor
    error = np.nan_to_num(group["bias_mcse"].to_numpy() * factor)
    axes.fill_between(r, bias - error, bias + error, color=_colour(k, n), alpha=0.22, linewidth=0.0)
    axes.plot(r, bias, color=_colour(k, n), linewidth=1.2)
    axes.errorbar(r, bias, yerr=2.0 * error, **_point(k, n))


def _radius_axis(axes: Axes, r: pd.Series[float]) -> None:
    axes.set_xlabel(r"$r$ [kpc]")
    _log_if_wide(axes.xaxis, r.to_numpy(), 3.0)


def _log_if_wide(axis: Any, values: np.ndarray[Any, Any], wide: float = 4.0) -> None:
    """Take a logarithmic axis, with plain numbers at its ticks, for values over a wide range."""
    from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

    if values.min() > 0.0 and values.max() > wide * values.min():
        axis.axes.set(**{f"{axis.axis_name}scale": "log"})
        short = values.max() < 12.0 * values.min()
        subs = (1.0, 2.0, 3.0, 5.0, 7.0) if short else (1.0, 2.0, 5.0)
        axis.set_major_locator(LogLocator(subs=subs, numticks=12))
        axis.set_major_formatter(ScalarFormatter())
        axis.set_minor_formatter(NullFormatter())


def _binomial_band(axes: Axes, fewest: int, most: int) -> None:
    """Diagonal, and the central 95 per cent of binomial coverages of one bin's realisations."""
    from scipy.stats import binom

    level = np.linspace(0.0, 1.0, 201)
    for n, grey in dict.fromkeys([(fewest, "0.93"), (most, "0.86")]):
        low, high = binom.ppf(0.025, n, level) / n, binom.ppf(0.975, n, level) / n
        axes.fill_between(level, np.clip(low, 0, 1), np.clip(high, 0, 1), color=grey, linewidth=0.0)
    axes.plot([0, 1], [0, 1], color=_GREY, linewidth=1.0)
    number = f"n = {fewest}" if fewest == most else f"n = {fewest} to {most}"
    axes.text(0.03, 0.95, number, transform=axes.transAxes, fontsize=8.0, va="top", color="0.25")


def _coverage_marks(axes: Axes, rows: pd.DataFrame, cells: list[str]) -> None:
    """Draw a faint line with two marks for each cell and bin."""
    n = len(cells)
    for row in rows.to_dict("records"):
        k = cells.index(row["cell"])
        style = {**_marker(k, n), "markersize": 4.0, "markeredgewidth": 0.0}
        values = [row["coverage68"], row["coverage95"]]
        axes.plot([0.68, 0.95], values, linewidth=0.6, alpha=0.55, clip_on=False, **style)


def _coverage_curves(axes: Axes, curve: pd.DataFrame, cells: list[str]) -> None:
    for cell, group in curve.groupby("cell", sort=False):
        if cell in cells:
            colour = _colour(cells.index(str(cell)), len(cells))
            for _, line in group.groupby("bin"):
                axes.plot(line["level"], line["coverage"], "--", color=colour, linewidth=0.7)


def _finite(value: float) -> float:
    return value if math.isfinite(value) else 0.0


def _line(**style: Any) -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], **style)


def _handle(k: int, n: int, label: str) -> Any:
    return _line(**_marker(k, n), linewidth=1.2, label=label)


def _truth_handle(label: str, vertical: bool = False) -> Any:
    style = {"marker": "|", "markersize": 9, "linestyle": ""} if vertical else {}
    return _line(color=_GREY, linewidth=1.0, label=label, **style)


def _cell_legend(figure: Figure, cells: list[str], others: list[Any], note: str = "") -> None:
    """Legend of the cells, if there are several, and of ``others``, under a line of explanation."""
    n = len(cells)
    if n == 1:
        _legend(figure, others, title=note)
        return
    shown = cells if n <= _LEGEND_CELLS else [cells[0], cells[-1]]
    handles = [_handle(cells.index(c), n, escaped(c)) for c in shown]
    title = "cell" if n <= _LEGEND_CELLS else f"first and last of {n} cells, colours in between"
    _legend(figure, [*handles, *others], title=f"{note}\n{title}" if note else title)


def _legend(figure: Figure, handles: list[Any], title: str) -> None:
    """Legend below the panels, where it covers nothing."""
    longest = max((len(str(handle.get_label())) for handle in handles), default=1)
    columns = max(1, min(len(handles), int(figure.get_figwidth() * 13 / (longest + 7))))
    lines = math.ceil(len(handles) / columns) + len(title.splitlines())
    figure.set_figheight(figure.get_figheight() + 0.19 * lines)
    legend = figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=columns,
        title=title or None,
        frameon=False,
        fontsize=8.5,
        title_fontsize=8.5,
    )
    legend.get_title().set_multialignment("center")
