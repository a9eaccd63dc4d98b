"""One run through all joints from scenario to scores, and its tables as they are pinned."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import haloassay
from haloassay.analysis.calibrate import calibrate
from haloassay.analysis.pairs import paired
from haloassay.analysis.scores import coverage_curve

BINS = [5.0, 18.0, 60.0]
DRAWS = 40
ELLIPSOID = {"kind": "velocity-ellipsoid", "bins": BINS, "n_draws": DRAWS}

#: Truths of this mock depend on where the observed stars are: in radius, as there are two populations and as the LMC
#: moves the outer halo, and on the sky.
SCENARIO: dict[str, Any] = {
    "name": "golden",
    "realizations": 2,
    "seed": 41,
    "mock": {
        "kind": "equilibrium",
        "potential": {"kind": "nfw", "m200": 1e12, "c": 12.0},
        "r_range": [5.0, 60.0],
        "populations": [
            {
                "name": "mr",
                "fraction": 0.6,
                "density": {"kind": "power-law", "slope": -3.0},
                "beta": 0.7,
                "feh": {"mean": -1.0, "sigma": 0.2},
            },
            {
                "name": "mp",
                "fraction": 0.4,
                "density": {"kind": "power-law", "slope": -4.2},
                "beta": 0.1,
                "rotation": 0.2,
                "feh": {"mean": -1.8, "sigma": 0.3},
            },
        ],
        "lmc": {"mass": 1.5e11, "time": 2.5},
        "population": {"size": 2000, "time": 0.3},
    },
    "survey": {
        "preset": "perfect",
        "sun": "bird2022",
        "n_stars": 600,
        "distance_error": 0.1,
        "pm_error": 0.05,
        "pm_correlation": 0.2,
        "vlos_error": 10.0,
        "feh_error": 0.1,
    },
    "clean": [{"kind": "height-cut", "z_min": 6.0}],
    "estimators": [
        {**ELLIPSOID, "label": "ellipsoid"},
        {**ELLIPSOID, "label": "the same"},
        {"kind": "sky-map", "map": "quadrants", "n_draws": DRAWS, "min_stars": 60},
        {"kind": "plain_dipole:PlainDipole", "label": "dipole"},
        {"kind": "tracer-mass", "bins": BINS, "alpha": -3.5, "n_bootstrap": DRAWS},
        {"kind": "los-jeans", "bins": BINS},
        {"kind": "plain_dipole:PlainDipole", "label": "picky", "fewest": 290},
    ],
    "matrix": {
        "factors": {"survey.distance_scale": [1.0, 1.15], "mock.potential.m200": [1e12, 0.8e12]}
    },
}

_ROW = ("cell", "estimator", "realization", "quantity", "bin")
_GROUP = ("cell", "estimator", "quantity", "bin")
#: What names a row of each table; all its other columns are pinned too, but for those of ``estimates`` and ``runs``.
LABELS = {
    "cells": ("cell",),
    "runs": _ROW[:3],
    "estimates": _ROW,
    "scores": _GROUP,
    "paired": _GROUP,
    "coverage curve": _GROUP,
    "calibration": _GROUP,
}
_PINNED = {
    "runs": ("status", "error_type", "n_stars", "overlap"),
    "estimates": ("r", "value", "lo68", "hi68", "truth", "rank", "n_draws"),
}


def run(out: Path) -> haloassay.Results:
    """Run the scenario in this process."""
    return haloassay.run(SCENARIO, out, workers=0)


def pins(results: haloassay.Results) -> dict[str, Any]:
    """Content keys of the cells, and all tables: a pin has ``columns`` and ``rows``, labels first."""
    runs = results.frame("runs")
    keys = runs.groupby("cell")[["cell_key", "estimator_key"]].agg(lambda x: sorted(set(x)))
    frames = {
        "cells": results.cells,
        "runs": runs,
        "estimates": results.frame("estimates"),
        "scores": results.table(),
        "paired": paired(results, "base"),
        "coverage curve": _one_row_a_group(coverage_curve(results, steps=10)),
        "calibration": calibrate(results),
    }
    content = {str(cell): [*row.cell_key, *row.estimator_key] for cell, row in keys.iterrows()}
    return {"keys": content, **{name: _plain(name, frame) for name, frame in frames.items()}}


def _one_row_a_group(curve: pd.DataFrame) -> pd.DataFrame:
    wide = curve.pivot(index=[*_GROUP, "n"], columns="level", values="coverage")
    return wide.rename(columns=lambda level: f"level {level:g}").reset_index()


def _plain(name: str, frame: pd.DataFrame) -> dict[str, Any]:
    labels = LABELS[name]
    values = _PINNED.get(name, [column for column in frame.columns if column not in labels])
    columns = [*labels, *values]
    rows = [[_value(x) for x in row] for row in frame[columns].itertuples(index=False)]
    return {"columns": columns, "rows": rows}


def _value(value: Any) -> Any:
    """Plain value: text and whole numbers as they are, others to six digits, None where there is none."""
    if isinstance(value, str) or pd.isna(value):
        return value if isinstance(value, str) else None
    if isinstance(value, bool | np.bool_):
        return bool(value)
    return int(value) if value == int(value) else float(f"{value:.6g}")


def differences(
    old: dict[str, Any], new: dict[str, Any], tolerance: float, tables: tuple[str, ...] = ()
) -> Iterator[str]:
    """Say where pins differ: table, row, column, both values.

    Numbers are the same within a relative ``tolerance``; everything else, and the order of rows, is the same or not.
    """
    for name in tables or LABELS:
        n = len(LABELS[name])
        before, after = (
            {tuple(row[:n]): row[n:] for row in pin[name]["rows"]} for pin in (old, new)
        )
        columns = [pin[name]["columns"] for pin in (old, new)]
        if columns[0] != columns[1]:
            yield f"{name}: columns {columns[0]} were pinned, found {columns[1]}"
            continue
        for row in [*before, *(row for row in after if row not in before)]:
            where = f"{name}: {', '.join(map(str, row))}"
            if row not in after or row not in before:
                yield f"{where}: the row is {'gone' if row in before else 'new'}"
                continue
            for column, a, b in zip(columns[0][n:], before[row], after[row], strict=True):
                if not _same(a, b, tolerance):
                    yield f"{where}: {column}: {a!r} was pinned, found {b!r}"
        if [*before] != [*after] and {*before} == {*after}:
            yield f"{name}: the rows are in another order"


def _same(a: Any, b: Any, tolerance: float) -> bool:
    if isinstance(a, float) or isinstance(b, float):
        numbers = isinstance(a, int | float) and isinstance(b, int | float)
        return numbers and bool(np.isclose(a, b, rtol=tolerance, atol=1e-9))
    return type(a) is type(b) and a == b
