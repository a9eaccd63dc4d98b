"""Maps: what was estimated in cells of the sky or of the Galaxy, and directions of apexes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from haloassay.analysis.maps import CellMap
from haloassay.base.arrays import FloatArray
from haloassay.contracts import labels
from haloassay.reports.figures.look import COLUMN, Look, marked
from haloassay.reports.figures.panels import (
    Drawing,
    columns_of,
    handle,
    legend_below,
    series_handles,
    sheet,
    symbol,
    title,
    with_unit,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Points of a map of the sky, across and up.
_GRID: Final = (1200, 600)
#: Colours of a bias: red and blue of ColorBrewer, which colour-blind readers can tell apart, white where there is none.
_DIVERGING: Final = "RdBu_r"
#: Height of a scale of colours with its label [inch].
_BAR: Final = 0.45
_NO_VALUE: Final = "0.8"
#: Longitudes [deg] that a map names.
_NAMED: Final = (120, 60, 0, -60, -120)
#: Quantities that are a direction on the sky.
APEX: Final = ("apex_l", "apex_b", "apex_offset")


class _Scale(NamedTuple):
    """What colours stand for, from the lowest to the highest."""

    label: str
    unit: str
    colours: str | None
    lowest: float
    highest: float


def map_figure(
    profiles: pd.DataFrame,
    scores: pd.DataFrame,
    quantity: str,
    maps: Mapping[tuple[str, str], CellMap],
    look: Look = COLUMN,
) -> Drawing | None:
    """Mean estimate and bias of a quantity in the cells of maps: a pair of maps an estimator and cell of the run.

    Maps of the sky are Mollweide's, in Galactic coordinates, l = 0 in the middle and growing to the left. Dots mark a
    bias of more than two Monte Carlo standard errors; what has no value is grey.

    Parameters
    ----------
    profiles
        What :func:`haloassay.analysis.profiles.profiles` returns, of one radial bin.
    scores
        What :func:`haloassay.analysis.scores.score` returns, of the same.
    quantity, look
        Of which; width and style.
    maps
        What :func:`haloassay.analysis.maps.cell_maps` returns.
    """
    rows = profiles.merge(
        scores[["cell", "estimator", "quantity", "bin", "bias", "bias_mcse"]],
        on=["cell", "estimator", "quantity", "bin"],
    )
    rows = rows[rows["quantity"] == quantity]
    groups = [
        (maps[str(cell), str(estimator)], f"{estimator}", f"{cell}", mine)
        for (cell, estimator), mine in rows.groupby(["cell", "estimator"], sort=False)
        if (str(cell), str(estimator)) in maps
    ]
    if not groups:
        return None
    several = rows["cell"].nunique() > 1
    factor = labels.error_factor(quantity)
    scales = _scales(rows, quantity)
    with look.applied():
        figure, pairs = _pairs(look, [each[0] for each in groups])
        drawn: list[list[Any]] = [[], []]
        for (cells, estimator, cell, mine), pair in zip(groups, pairs, strict=True):
            number = mine["bin"].to_numpy() % cells.size
            columns = (mine["value"], factor * mine["bias"])
            for made, axes, values, scale in zip(drawn, pair, columns, scales, strict=True):
                every = np.full(cells.size, np.nan)
                every[number] = values
                made.append(_cells(axes, cells, every, scale))
            title(pair[0], f"{estimator}, {cell}" if several else estimator, _across(look, groups))
            far = np.abs(mine["bias"]) > 2.0 * mine["bias_mcse"]
            _dots(pair[1], cells, number[far.to_numpy()])
        for made, scale, below in zip(drawn, scales, zip(*pairs, strict=True), strict=True):
            _bar(figure, made[0], scale, below)
        entries = [
            handle("|bias| > 2 Monte Carlo errors", color="k", marker=".", markersize=3.0),
            handle("no value", color=_NO_VALUE, marker="s"),
        ]
        legend_below(figure, entries)
    return Drawing(figure, _map_caption(quantity, groups[0][0]))


def _scales(rows: pd.DataFrame, quantity: str) -> tuple[_Scale, _Scale]:
    """Scales of the estimates and of their bias, which reaches as far up as down."""
    unit, about = str(rows["unit"].iloc[0]), symbol(quantity)
    far = np.nanmax(np.abs(rows["bias"]), initial=0.0)
    reach = labels.error_factor(quantity) * float(far) or 1.0
    return (
        _Scale(about, unit, None, float(rows["value"].min()), float(rows["value"].max())),
        _Scale(f"bias of {about}", labels.error_unit(quantity, unit), _DIVERGING, -reach, reach),
    )


def _map_caption(quantity: str, cells: CellMap) -> str:
    where = (
        ", in Galactic coordinates: l = 0 in the middle, growing to the left"
        if cells.is_sky
        else f" of the Galaxy's {cells.kind.upper()} plane"
    )
    return (
        f"Mean estimate of {labels.plain(quantity)} and its bias in the cells of a map{where}. Dots: a bias of more"
        " than two Monte Carlo standard errors; grey: no value."
    )


def _across(look: Look, groups: Sequence[Any]) -> int:
    """Count maps side by side: one, where a column has a single pair."""
    return 1 if len(groups) == 1 and not look.is_wide else 2


def _pairs(look: Look, maps: Sequence[CellMap]) -> tuple[Figure, list[list[Axes]]]:
    """Make a figure with a pair of panels for each map."""
    columns = _across(look, maps)
    sky = [each.is_sky for each in maps]
    ratio = 0.56 if all(sky) else 1.05
    figure, panels = sheet(look, 2 * len(maps), ratio, columns, subplot_kw={"projection": None})
    for k, axes in enumerate(panels):
        if sky[k // 2]:
            place: Any = axes.get_subplotspec()
            axes.remove()
            panels[k] = figure.add_subplot(place, projection="mollweide")
            sky_frame(panels[k])
    bars = 2 if columns == 1 else 1
    figure.set_figheight(figure.get_figheight() + _BAR * bars)
    return figure, [panels[k : k + 2] for k in range(0, len(panels), 2)]


def sky_frame(axes: Axes) -> None:
    """Name the longitudes of a Mollweide map, whose horizontal axis is -l, on its equator."""
    axes.set_xticks(
        [-np.radians(lon) for lon in _NAMED],
        [f"{lon % 360}°" for lon in _NAMED],
        fontsize=5.5,
        color="0.25",
        bbox={"facecolor": "white", "alpha": 0.6, "edgecolor": "none", "pad": 0.5},
    )
    axes.set_yticks(np.radians([-60, -30, 0, 30, 60]), ["−60°", "−30°", "0°", "30°", "60°"])
    axes.tick_params(axis="y", labelsize=5.5)
    axes.grid(True, color="0.4", linewidth=0.25, alpha=0.6)


def _cells(axes: Axes, cells: CellMap, values: FloatArray, scale: _Scale) -> Any:
    """Colour the cells of a map by their values."""
    axes.set_facecolor(_NO_VALUE)
    if cells.is_sky:
        return _sky_image(axes, cells, values, scale)
    grid = np.ma.masked_invalid(values.reshape(len(cells.axis), -1).T)
    axes.set_aspect("equal")
    axes.set(xlabel="$X$ [kpc]", ylabel=f"${cells.kind[1].upper()}$ [kpc]")
    style: dict[str, Any] = {"cmap": scale.colours, "vmin": scale.lowest, "vmax": scale.highest}
    return axes.pcolormesh(cells.axis, cells.axis, grid, rasterized=True, **style)


def _sky_image(axes: Axes, cells: CellMap, values: FloatArray, scale: _Scale) -> Any:
    """Fill a Mollweide map with the value of the cell at each of its points: a mesh would take 20 times as long."""
    from matplotlib.colors import Normalize
    from matplotlib.image import BboxImage

    lon, lat = on_mollweide(*_GRID)
    inside = np.isfinite(lon)
    shown = np.full(lon.shape, np.nan)
    shown[inside] = values[cells.cell_at(lon[inside], lat[inside])]
    norm = Normalize(scale.lowest, scale.highest)
    style: dict[str, Any] = {"cmap": scale.colours, "norm": norm, "interpolation": "nearest"}
    image = BboxImage(axes.bbox, origin="lower", **style)
    image.set_data(np.ma.masked_invalid(shown))
    image.set_zorder(0.5)
    axes.add_artist(image)
    image.set_clip_path(axes.patch)
    return image


def on_mollweide(columns: int, rows: int) -> tuple[FloatArray, FloatArray]:
    """Galactic coordinates (rows, columns) [deg] of points of a Mollweide map, from below; NaN outside of it."""
    across = (2.0 * np.arange(columns) + 1.0) / columns - 1.0
    up = (2.0 * np.arange(rows)[:, None] + 1.0) / rows - 1.0
    theta = np.arcsin(up)
    lon = -180.0 * across / np.cos(theta)
    lat = np.degrees(np.arcsin((2.0 * theta + np.sin(2.0 * theta)) / np.pi))
    outside = np.abs(lon) > 180.0
    return np.where(outside, np.nan, lon), np.where(outside, np.nan, lat)


def _bar(figure: Figure, drawn: Any, scale: _Scale, above: Sequence[Axes]) -> None:
    """Put the scale of some maps below them."""
    style: dict[str, Any] = {
        "location": "bottom",
        "fraction": 0.07 / len(above),
        "pad": 0.04 / len(above),
    }
    bar = figure.colorbar(drawn, ax=list(above), aspect=30, **style)
    bar.set_label(with_unit(scale.label, labels.tex_unit(scale.unit)))
    bar.ax.tick_params(which="both", top=False, direction="out")
    bar.ax.minorticks_off()


def _dots(axes: Axes, cells: CellMap, numbers: FloatArray) -> None:
    """Mark cells in their middles."""
    style: dict[str, Any] = {"color": "k", "marker": ".", "markersize": 2.0, "linestyle": "none"}
    if cells.is_sky:
        lon, lat = cells.centres()
        turned = -((lon[numbers] + 180.0) % 360.0 - 180.0)
        axes.plot(np.radians(turned), np.radians(lat[numbers]), **style)
    else:
        i, j = np.divmod(numbers, len(cells.axis))
        axes.plot(cells.axis[i], cells.axis[j], **style)


def apex_figure(estimates: pd.DataFrame, look: Look = COLUMN) -> Drawing | None:
    """Single estimates of an apex on the sky, with the truth: a panel a cell, a colour an estimator.

    Parameters
    ----------
    estimates
        What :func:`haloassay.analysis.scores.sample` returns, of one radial bin.
    look
        Width and style.
    """
    keys = ["cell", "estimator", "realization", "bin"]
    lon, lat = (
        estimates[estimates["quantity"] == name][[*keys, "value", "truth"]] for name in APEX[:2]
    )
    rows = lon.merge(lat, on=keys, suffixes=("_l", "_b"))
    if not len(rows):
        return None
    estimators = list(dict.fromkeys(rows["estimator"]))
    groups = list(rows.groupby("cell", sort=False))
    with look.applied():
        style = {"projection": "mollweide"}
        figure, panels = sheet(look, len(groups), 0.56, subplot_kw=style)
        for axes, (cell, mine) in zip(panels, groups, strict=True):
            sky_frame(axes)
            for estimator, group in mine.groupby("estimator", sort=False):
                k = estimators.index(str(estimator))
                small = {**marked(k), "markersize": 2.5, "alpha": 0.6, "linestyle": "none"}
                axes.plot(*_on_map(group["value_l"], group["value_b"]), **small)
            truth = mine[["truth_l", "truth_b"]].drop_duplicates().dropna()
            place = _on_map(truth["truth_l"], truth["truth_b"])
            axes.plot(*place, "k+", markersize=12, markeredgewidth=0.7, zorder=1.9)
            if len(groups) > 1:
                title(axes, str(cell), columns_of(panels))
        truth_mark = handle("truth", color="k", marker="+", markersize=7)
        legend_below(figure, [*series_handles(figure, estimators, with_line=False), truth_mark])
    shown = rows["realization"].nunique()
    return Drawing(
        figure,
        f"Single estimates of the apex in Galactic coordinates, one point a realisation ({shown} of them): l = 0 in the"
        " middle, growing to the left; cross: the truth.",
    )


def _on_map(lon: pd.Series[float], lat: pd.Series[float]) -> tuple[FloatArray, FloatArray]:
    """Places on a Mollweide map of Galactic coordinates [deg]."""
    turned = -((lon.to_numpy() + 180.0) % 360.0 - 180.0)
    return np.radians(turned), np.radians(lat.to_numpy())
