"""Result tables as a run writes them, from estimates of known error, for scores and reports."""

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from haloassay.analysis.summary import summarise
from haloassay.contracts import labels
from haloassay.contracts.quantities import QUANTITIES, Quantity
from haloassay.contracts.schema import SCHEMAS
from haloassay.reports.page import render, write_page

ESTIMATE_COLUMNS = SCHEMAS["estimates"].names
RUN_COLUMNS = SCHEMAS["runs"].names
#: Of runs whose draws are not judged together.
NOT_JOINT = {"joint_rank": -1, "joint_draws": 0, "joint_rows": 0}


@dataclass
class SyntheticResults:
    """Stands for `haloassay.results.store.Results` in tests."""

    out: Path
    cells: pd.DataFrame
    scenario: dict[str, Any] = field(default_factory=lambda: {"name": "synthetic", "seed": 1})
    estimates_files: list[Path] = field(default_factory=list)
    runs_files: list[Path] = field(default_factory=list)
    quantities: dict[str, Quantity] = field(default_factory=lambda: dict(QUANTITIES))
    damage: str = ""
    unpaired: list[str] = field(default_factory=list)
    shared: list[tuple[str, str, str]] = field(default_factory=list)
    factors: tuple[Any, ...] = ()
    samplings: dict[str, Any] = field(default_factory=dict)
    catalogues: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    base_cell: str = ""

    @property
    def description(self) -> dict[str, Any]:
        return {"scenario": self.scenario, "versions": {"haloassay": "0"}, "platform": {"cpus": 2}}


def rows(
    rng: np.random.Generator,
    n: int,
    cell: str = "base",
    estimator: str = "jeans-3d",
    quantity: str = "enclosed_mass",
    bin: int = 0,
    r: float = 20.0,
    truth: float = 2e11,
    offset: float = 0.0,
    sigma: float = 0.1,
    stated: float | None = None,
    n_draws: int = 100,
    z: np.ndarray | None = None,
) -> pd.DataFrame:
    """`n` realisations with error offset + sigma z; the stated error is `stated`, else sigma."""
    scale = abs(truth) if QUANTITIES[quantity].scale == "fractional" else 1.0
    z = rng.standard_normal(n) if z is None else z
    half = scale * (sigma if stated is None else stated) * rng.uniform(0.95, 1.05, n)
    value = truth + scale * (offset + sigma * z)
    draws = value[:, None] + half[:, None] * rng.standard_normal((n, max(n_draws, 1)))
    frame = pd.DataFrame(
        {
            "realization": np.arange(n),
            "r": r,
            "r_lo": 0.8 * r,
            "r_hi": 1.2 * r,
            "value": value,
            "lo68": value - half,
            "hi68": value + half,
            "lo95": value - 1.96 * half,
            "hi95": value + 1.96 * half,
            "truth": truth,
            "rank": (draws < truth).sum(axis=1) if n_draws else -1,
        }
    )
    return frame.assign(
        cell=cell,
        cell_key=f"key-{cell}",
        estimator=estimator,
        estimator_key=f"key-{estimator}",
        quantity=quantity,
        bin=bin,
        unit=QUANTITIES[quantity].unit,
        n_draws=n_draws,
        note="",
    )[list(ESTIMATE_COLUMNS)]


def runs_of(estimates: pd.DataFrame) -> pd.DataFrame:
    """One successful run for each (cell, estimator, realisation) of the estimates."""
    keys = ["cell", "cell_key", "estimator", "estimator_key", "realization"]
    runs = estimates[keys].drop_duplicates()
    ended = {
        "status": "ok",
        "error_type": "",
        "message": "",
        "seconds": 0.1,
        "n_stars": 1000,
        "overlap": 0.0,
        "traceback": None,
        **NOT_JOINT,
    }
    return runs.assign(**ended)[list(RUN_COLUMNS)]


def failed_runs(
    n: int, cell: str = "base", estimator: str = "jeans-3d", first: int = 0, **ended: Any
) -> pd.DataFrame:
    """`n` runs that raised."""
    values = {
        "status": "failed",
        "error_type": "EstimationError",
        "message": "no stars <in> bin & more",
    }
    columns = {
        "cell_key": f"key-{cell}",
        "estimator_key": f"key-{estimator}",
        "seconds": 0.1,
        "n_stars": 0,
        "overlap": None,
        "traceback": None,
        **NOT_JOINT,
    }
    frame = pd.DataFrame({"realization": np.arange(first, first + n)})
    return frame.assign(cell=cell, estimator=estimator, **columns, **(values | ended))[
        list(RUN_COLUMNS)
    ]


def report_of(results: SyntheticResults) -> Path:
    """Write the page of results into their folder."""
    return write_page(summarise(results), results.out / "report")


def text_of(results: SyntheticResults) -> str:
    """Page of results."""
    data = summarise(results)
    with labels.vocabulary(data.quantities):
        return render(data)


def write(
    folder: Path,
    estimates: pd.DataFrame | None,
    runs: pd.DataFrame | None,
    cells: pd.DataFrame | None = None,
    parts: int = 1,
    **scenario: Any,
) -> SyntheticResults:
    """Write the tables as Parquet parts."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [] if runs is None else list(dict.fromkeys(runs["cell"]))
    results = SyntheticResults(folder, pd.DataFrame({"cell": names}) if cells is None else cells)
    results.scenario.update(scenario)
    for kind, frame, files in (
        ("estimates", estimates, results.estimates_files),
        ("runs", runs, results.runs_files),
    ):
        for part in range(parts if frame is not None else 0):
            path = folder / f"{kind}-{part}.parquet"
            frame.iloc[part::parts].to_parquet(path, index=False)
            files.append(path)
    return results
