"""All figures that a run's tables allow, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from haloassay.analysis.maps import MAPPED, CellMap
from haloassay.reports.figures.bias import bias_figure, scalar_bias_figure
from haloassay.reports.figures.cloud import cloud_figure, pair_figure
from haloassay.reports.figures.coverage import coverage_figure
from haloassay.reports.figures.files import file_name
from haloassay.reports.figures.look import WIDTHS, Look
from haloassay.reports.figures.names import CellNames, cell_names, compared_cells, scattered
from haloassay.reports.figures.panels import Drawing
from haloassay.reports.figures.profile import profile_figure
from haloassay.reports.figures.ranks import rank_figure
from haloassay.reports.figures.sky import APEX, apex_figure, map_figure
from haloassay.reports.figures.tornado import tornado_figure

if TYPE_CHECKING:
    import pandas as pd

    from haloassay.analysis.summary import Summary


class Planned(NamedTuple):
    """A figure that can be drawn: its name, and what draws it, or says that there is nothing to draw."""

    name: str
    make: Callable[[], Drawing | None]


def planned(
    data: Summary,
    profiles: pd.DataFrame | None = None,
    maps: Mapping[tuple[str, str], CellMap] | None = None,
) -> list[Planned]:
    """Figures that may be drawn of a run.

    Parameters
    ----------
    data
        What the run says.
    profiles, maps
        What :func:`haloassay.analysis.profiles.profiles` and :func:`haloassay.analysis.maps.cell_maps` return; without
        them there are no figures of profiles and maps.
    """
    maps = maps or {}
    page = Look(WIDTHS["aa-wide"])
    base = data.base_cell or next(iter(data.scores["cell"]), "")
    told = data.description.get("cells", ())
    drawn_anew = [str(cell["cell"]) for cell in told if "sampling" in cell]
    every = list(dict.fromkeys(data.scores["cell"]))
    names = cell_names(compared_cells(every, base, drawn_anew), data.factors)
    scores = _of(data.scores, names.cells)
    quantities = [str(q) for q in dict.fromkeys(scores["quantity"]) if q]
    return [
        *_of_quantities(data, quantities, names, base, maps),
        Planned("bias-scalars", partial(scalar_bias_figure, scores, (), names, page)),
        *_of_methods(data, names, base, page),
        Planned("halo", partial(pair_figure, _of(data.cloud, [base]))),
        *_of_profiles(profiles, scores, base, maps),
        *_of_skies(data, profiles, base, maps, page),
        *_of_budgets(data),
    ]


def _of(frame: pd.DataFrame, cells: Collection[str]) -> pd.DataFrame:
    return frame[frame["cell"].isin(list(cells))]


def _of_quantities(
    data: Summary,
    quantities: list[str],
    names: CellNames,
    base: str,
    maps: Mapping[tuple[str, str], CellMap],
) -> Iterator[Planned]:
    """Bias and clouds of each quantity."""
    scores, cloud = _of(data.scores, names.cells), _of(data.cloud, [base])
    for quantity in quantities:
        apart = scattered(maps, quantity)
        yield Planned(
            f"bias-{file_name(quantity)}",
            partial(bias_figure, scores, quantity, names, scattered=apart),
        )
        yield Planned(
            f"cloud-{file_name(quantity)}",
            partial(cloud_figure, cloud, quantity, scattered=apart),
        )


def _of_methods(data: Summary, names: CellNames, base: str, page: Look) -> Iterator[Planned]:
    """Coverage and ranks of each estimator."""
    scores, ranks = _of(data.scores, names.cells), _of(data.ranks, [base])
    for estimator in dict.fromkeys(scores["estimator"]):
        mine = scores[scores["estimator"] == estimator]
        yield Planned(
            f"coverage-{file_name(estimator)}",
            partial(coverage_figure, mine, data.curve, names, page),
        )
    for estimator in dict.fromkeys(ranks["estimator"]):
        counts = ranks[ranks["estimator"] == estimator]
        yield Planned(
            f"ranks-{file_name(estimator)}",
            partial(rank_figure, counts, page),
        )


def _of_profiles(
    profiles: pd.DataFrame | None,
    scores: pd.DataFrame,
    base: str,
    maps: Mapping[tuple[str, str], CellMap],
) -> Iterator[Planned]:
    """Profiles of all quantities that have several radii."""
    if profiles is None:
        return
    rows = _of(profiles, [base])
    for quantity in dict.fromkeys(scores["quantity"]):
        if np.isfinite(rows.loc[rows["quantity"] == quantity, "r"]).sum() > 1:
            apart = scattered(maps, str(quantity))
            yield Planned(
                f"profile-{file_name(str(quantity))}",
                partial(profile_figure, rows, str(quantity), scattered=apart),
            )


def _of_skies(
    data: Summary,
    profiles: pd.DataFrame | None,
    base: str,
    maps: Mapping[tuple[str, str], CellMap],
    page: Look,
) -> Iterator[Planned]:
    """Map each estimator and radial bin that has cells, and the apexes of each radial bin."""
    if profiles is None:
        return
    for (cell, estimator), cells in maps.items():
        if cell != base:
            continue
        mine = profiles[(profiles["cell"] == base) & (profiles["estimator"] == estimator)]
        mine = mine[mine["quantity"].isin(MAPPED)]
        shells = mine["bin"] // cells.size
        for shell in sorted(shells.unique()):
            for quantity in dict.fromkeys(mine["quantity"]):
                rows = mine[shells == shell]
                end = f"-{shell}" if shells.nunique() > 1 else ""
                yield Planned(
                    f"sky-{file_name(quantity)}-{file_name(estimator)}{end}",
                    partial(map_figure, rows, data.scores, quantity, maps, page),
                )
    cloud = _of(data.cloud, [base])
    apexes = cloud[cloud["quantity"].isin(APEX)]
    for shell in sorted(apexes["bin"].unique()):
        end = f"-{shell}" if apexes["bin"].nunique() > 1 else ""
        shown = apexes[apexes["bin"] == shell]
        yield Planned(f"sky-apex{end}", partial(apex_figure, shown))


def _of_budgets(data: Summary) -> Iterator[Planned]:
    """Tornados of all budgets; of several radii, with the number of the bin."""
    for budget in data.budgets:
        name = f"budget-{file_name(budget.quantity.name)}-{file_name(budget.estimator)}"
        yield Planned(
            f"{name}-{budget.bin}",
            partial(tornado_figure, budget),
        )
