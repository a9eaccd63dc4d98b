"""Numbers of a page: what its map, charts and tables are drawn from, as plain content."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from haloassay.analysis.maps import MAPPED, CellMap, cell_maps
from haloassay.analysis.verdict import ENOUGH
from haloassay.base.arrays import FloatArray
from haloassay.base.text import printable
from haloassay.contracts import labels
from haloassay.reports import tables

if TYPE_CHECKING:
    import pandas as pd

    from haloassay.analysis.summary import Summary
    from haloassay.analysis.verdict import Verdict

#: Single estimates of one row that stand on a page.
_MARKS: Final = 60
#: Places of numbers: what a chart can show.
_PLACES: Final = 5
#: Scores in units of errors (per cent of positive scales), and those without a unit.
_ERRORS: Final = ("bias", "bias_mcse", "scatter", "scatter_mcse")
_SHARES: Final = (
    *(f"coverage{level}{end}" for level in (68, 95) for end in ("", "_lo", "_hi")),
    "success",
)
#: Columns of text that names say already.
_NAMED: Final = ("cell", "estimator", "quantity", "r [kpc]")


def payload(data: Summary, judged: Sequence[Verdict]) -> dict[str, Any]:
    """Everything that the scripts of a page read.

    Parameters
    ----------
    data
        What a run says.
    judged
        Its verdicts.

    Returns
    -------
    dict
        ``cells``, ``estimators``: labels; ``quantities``: name, text, units of errors and of values; ``levels``: levels
        of factors with the numbers of their cells; ``base``: number of the base cell; ``scores``: numbers by column,
        one entry a row of the table of scores, and ``text``, the same for readers; ``pairs``, ``calibration``: tables
        for readers; ``verdicts``: sentences by cell, estimator and quantity; ``maps``, ``mapped``: outlines of the
        cells of maps, and which estimator has which in which cell of the run; ``detailed``: the cells of which there
        are ``curves``, ``ranks`` (with their ``bands``) and ``marks``.
    """
    names = _Names(data)
    detailed = data.detailed
    return {
        "cells": [printable(cell) for cell in names.cells],
        "estimators": [printable(name) for name in names.estimators],
        "quantities": [_quantity(name, data) for name in names.quantities],
        "levels": _levels(data, names),
        "base": max(0, names.cells.get(data.base_cell, 0)),
        "enough": ENOUGH,
        "scores": _scores(data, judged, names),
        "text": _table(tables.compact(data.scores)),
        "pairs": None if data.pairs is None else _paired(data.pairs, names),
        "calibration": _calibration(data.calibration, names),
        "verdicts": _sentences(judged, names),
        "detailed": sorted(names.cells[cell] for cell in detailed),
        "curves": _curves(data.curve, names, detailed),
        **_ranks(data.ranks, names, detailed),
        "marks": _marks(data.cloud, names, detailed),
        **_maps(data, names),
    }


class _Names:
    """Numbers of cells, estimators and quantities, by which rows name them."""

    def __init__(self, data: Summary) -> None:
        frames = [data.scores, *([] if data.pairs is None else [data.pairs]), data.calibration]
        self.cells = _numbered(frame["cell"] for frame in frames)
        self.estimators = _numbered(frame["estimator"] for frame in frames)
        self.quantities = _numbered(frame["quantity"] for frame in frames)

    def codes(self, frame: pd.DataFrame) -> dict[str, list[int]]:
        """Columns of numbers in place of those of labels."""
        return {
            "cell": [self.cells[x] for x in frame["cell"]],
            "estimator": [self.estimators[x] for x in frame["estimator"]],
            "quantity": [self.quantities[x] for x in frame["quantity"]],
        }


def _numbered(columns: Iterable[Iterable[str]]) -> dict[str, int]:
    """Numbers of labels, in the order in which they come."""
    return {
        name: k
        for k, name in enumerate(dict.fromkeys(name for column in columns for name in column))
    }


def _quantity(name: str, data: Summary) -> dict[str, Any]:
    units = data.scores.loc[data.scores["quantity"] == name, "unit"]
    unit = str(units.iloc[0]) if len(units) else ""
    return {
        "name": printable(name),
        "text": printable(labels.plain(name)) or "no result",
        "unit": printable(labels.error_unit(name, unit)),
        "value_unit": printable(unit),
    }


def _levels(data: Summary, names: _Names) -> list[dict[str, Any]]:
    """Levels of factors, each with the cells that have it."""
    told = {
        str(cell["cell"]): cell.get("factors", {}) for cell in data.description.get("cells", ())
    }
    found = []
    for factor in data.factors:
        keys = {factor.label, *factor.paths}
        for level in factor.levels:
            having = {level.cell} | {
                cell
                for cell, settings in told.items()
                if any(settings.get(key) in (level.label, level.value) for key in keys)
            }
            cells = [names.cells[cell] for cell in names.cells if cell in having]
            if cells:
                label = printable(f"{factor.label} {level.label}")
                found.append({"label": label, "cells": cells})
    return found


def _scores(data: Summary, judged: Sequence[Verdict], names: _Names) -> dict[str, list[Any]]:
    """Numbers of the map and the charts, errors in the unit that readers see."""
    scores = data.scores
    factor = np.array([labels.error_factor(name) for name in scores["quantity"]])
    columns: dict[str, list[Any]] = {**names.codes(scores)}
    columns |= {name: [int(x) for x in scores[name]] for name in ("bin", "n")}
    columns |= {name: _numbers(scores[name]) for name in ("r", *_SHARES)}
    columns |= {name: _numbers(scores[name] * factor) for name in _ERRORS}
    columns["stated"] = _numbers(scores["error_ratio"] * scores["scatter"] * factor)
    columns["lossy"] = [int(x) for x in scores["lossy"]]
    found = {(v.cell, v.estimator, v.quantity, k) for v in judged for k in v.biased}
    rows = zip(*(scores[name] for name in ("cell", "estimator", "quantity", "bin")), strict=True)
    columns["sure"] = [int(row in found) for row in rows]
    columns["size"] = _numbers(np.abs(scores["bias"]) / _tolerances(data))
    return columns


def _tolerances(data: Summary) -> FloatArray:
    """Largest bias of each row that does not matter; NaN where any would."""
    scores = data.scores
    quantities = map(labels.quantity_of, scores["quantity"], scores["unit"])
    sizes = np.array([data.tolerances.bias(quantity) for quantity in quantities], dtype=float)
    return np.where(sizes > 0.0, sizes, np.nan)


def _numbers(values: Iterable[float]) -> list[float | None]:
    """Numbers with the places that a chart can show; None where there is none."""
    return [
        float(f"{float(x):.{_PLACES}g}") if x is not None and math.isfinite(x) else None
        for x in values
    ]


def _table(frame: pd.DataFrame, left_out: Sequence[str] = _NAMED) -> dict[str, Any]:
    """Text of a table by columns."""
    shown = [name for name in frame.columns if name not in left_out]
    return {
        "columns": shown,
        "values": [[printable(str(x)) for x in frame[name]] for name in shown],
    }


def _paired(pairs: pd.DataFrame, names: _Names) -> dict[str, Any]:
    return {**names.codes(pairs), "r": _numbers(pairs["r"]), **_table(tables.compact_pairs(pairs))}


def _calibration(calibration: pd.DataFrame, names: _Names) -> dict[str, Any]:
    told = calibration[calibration["n"] >= ENOUGH]
    text = _table(tables.compact_calibration(told))
    return {**names.codes(told), "r": _numbers(told["r"]), **text}


def _sentences(judged: Sequence[Verdict], names: _Names) -> list[list[Any]]:
    return [
        [
            names.cells[verdict.cell],
            names.estimators[verdict.estimator],
            names.quantities[verdict.quantity],
            verdict.grade,
            printable(verdict.text),
        ]
        for verdict in judged
    ]


def _told(
    frame: pd.DataFrame, names: _Names, detailed: frozenset[str]
) -> Iterable[tuple[list[int], pd.DataFrame]]:
    """Rows of each (cell, estimator, quantity, bin) that is told in detail, and its numbers."""
    keys = ["cell", "estimator", "quantity", "bin"]
    groups: Any = frame[frame["cell"].isin(detailed)].groupby(keys, sort=False)
    for (cell, estimator, quantity, bin_), group in groups:
        if quantity in names.quantities:
            numbers = [names.cells[cell], names.estimators[estimator], names.quantities[quantity]]
            yield [*numbers, int(bin_)], group


def _curves(curve: pd.DataFrame, names: _Names, detailed: frozenset[str]) -> list[list[Any]]:
    """Coverage of the levels 0, 1/40, ... 1 of each row that gave draws."""
    return [
        [*key, _numbers(group.sort_values("level")["coverage"])]
        for key, group in _told(curve, names, detailed)
    ]


def _ranks(ranks: pd.DataFrame, names: _Names, detailed: frozenset[str]) -> dict[str, Any]:
    """Count ranks by steps in each row; and the band of each number of realisations."""
    from haloassay.analysis.calibrate import simultaneous_band

    rows: list[list[Any]] = []
    for key, group in _told(ranks, names, detailed):
        counts = [int(x) for x in group.sort_values("step")["count"]]
        if sum(counts) >= ENOUGH:
            rows.append([*key, counts])
    sizes = {sum(row[-1]) for row in rows}
    bands = {str(n): [_numbers(end) for end in simultaneous_band(n)] for n in sorted(sizes)}
    return {"ranks": rows, "bands": bands}


def _marks(cloud: pd.DataFrame, names: _Names, detailed: frozenset[str]) -> list[list[Any]]:
    """Radius, estimate and truth of the first realisations of each row."""
    return [
        [*key, *(_numbers(group[name].head(_MARKS)) for name in ("r", "value", "truth"))]
        for key, group in _told(cloud, names, detailed)
    ]


def _maps(data: Summary, names: _Names) -> dict[str, Any]:
    """Outlines of each map that there is, and by which cell and estimator it is made."""
    maps: dict[CellMap, int] = {}
    made = []
    for (cell, estimator), found in cell_maps(data.description).items():
        if cell in names.cells and estimator in names.estimators:
            number = maps.setdefault(found, len(maps))
            made.append([names.cells[cell], names.estimators[estimator], number])
    told = [
        {
            "sky": found.is_sky,
            "kind": found.kind,
            "outlines": [[_numbers(corner) for corner in ring] for ring in found.outlines()],
        }
        for found in maps
    ]
    return {"maps": told, "mapped": made, "of_maps": list(MAPPED)}
