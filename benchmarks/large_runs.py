"""Seconds and peak memory of what is done with a large run: planning, taking up, scoring, pairing, its page.

``python benchmarks/large_runs.py make DIR [--tasks 1e6] [--cells 1000]`` writes a results folder as a run of so many
catalogues would leave it, of four estimators with 25 rows each: 1e6 catalogues are 1e8 rows of estimates, about 8 GB.
Values are drawn; nothing is simulated. ``python benchmarks/large_runs.py time DIR [STEP ...]`` does each step in a
process of its own, on two threads, and prints its seconds and peak resident memory; ``--before FOLDER`` also those of
another version of the package, installed there with ``pip install --target``.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from haloassay.contracts.schema import SCHEMAS
from haloassay.planning.plan import Plan, make_plan
from haloassay.planning.scenario import make_scenario
from haloassay.results.description import description_of, encoded
from haloassay.results.parts import write_file, write_part
from haloassay.results.results import Results
from haloassay.results.store import Store

ROWS = 25
LABELS = ("one", "two", "three", "four")


def scenario(cells: int, realizations: int) -> dict[str, Any]:
    """Scenario of so many cells, each of another number of stars."""
    return {
        "name": "large",
        "realizations": realizations,
        "seed": 1,
        "mock": {
            "kind": "equilibrium",
            "potential": [{"kind": "nfw", "m200": 1e12, "c": 12.0}],
            "density": {"kind": "power-law", "slope": -3.5},
            "beta": {"kind": "constant", "beta": 0.5},
            "r_range": [3.0, 200.0],
        },
        "survey": {"n_stars": 100},
        "estimators": [
            {"kind": "tracer-mass", "label": name, "alpha": -3.5, "beta": 0.1 * k}
            for k, name in enumerate(LABELS)
        ],
        "matrix": {
            "design": "full",
            "factors": {"survey.n_stars": [100 + k for k in range(cells)]},
        },
    }


def planned(cells: int, realizations: int) -> Plan:
    return make_plan(make_scenario(scenario(cells, realizations), "large"))


def segments(plan: Plan, tasks_each: int = 500) -> Iterator[dict[str, pa.Table]]:
    """Tables of parts as a run joins them: realisation by realisation."""
    rng = np.random.default_rng(0)
    cells = plan.cells
    n = len(plan)
    for start in range(0, n, tasks_each):
        number = np.arange(start, min(start + tasks_each, n))
        yield {
            "estimates": _estimates(rng, cells, number),
            "runs": _runs(rng, cells, number),
        }


def _keys(cells: Any, task: np.ndarray, method: np.ndarray) -> dict[str, pa.Array]:
    cell = pa.array(task % len(cells))
    realization = pa.array(task // len(cells))
    methods = cells[0].methods

    def named(values: list[str], index: Any) -> pa.Array:
        return pa.array(values).take(pa.array(index))

    return {
        "cell": named([c.label for c in cells], cell),
        "cell_key": named([c.key for c in cells], cell),
        "estimator": named([m.label for m in methods], method),
        "estimator_key": named([m.key for m in methods], method),
        "realization": realization,
    }


def _estimates(rng: np.random.Generator, cells: Any, number: np.ndarray) -> pa.Table:
    n = len(number) * len(LABELS) * ROWS
    task = np.repeat(number, len(LABELS) * ROWS)
    method = np.tile(np.repeat(np.arange(len(LABELS)), ROWS), len(number))
    bins = np.tile(np.arange(ROWS), len(number) * len(LABELS))
    truth = 1e11 * (1.0 + bins)
    sigma = 0.1 * truth
    value = truth + sigma * rng.standard_normal(n)
    columns = {
        **_keys(cells, task, method),
        "quantity": pa.array(["enclosed_mass"] * n),
        "bin": bins,
        "r": 5.0 * (bins + 1.0) + rng.normal(0.0, 0.1, n),
        "r_lo": 5.0 * bins,
        "r_hi": 5.0 * (bins + 2.0),
        "unit": pa.array(["Msun"] * n),
        "value": value,
        "lo68": value - sigma,
        "hi68": value + sigma,
        "lo95": value - 2.0 * sigma,
        "hi95": value + 2.0 * sigma,
        "truth": truth,
        "rank": rng.integers(0, 100, n),
        "n_draws": np.full(n, 99),
        "note": pa.array([""] * n),
    }
    return pa.table(columns).select(SCHEMAS["estimates"].names).cast(SCHEMAS["estimates"])


def _runs(rng: np.random.Generator, cells: Any, number: np.ndarray) -> pa.Table:
    n = len(number) * len(LABELS)
    empty = pa.array([""] * n)
    columns = {
        **_keys(
            cells, np.repeat(number, len(LABELS)), np.tile(np.arange(len(LABELS)), len(number))
        ),
        "status": pa.array(["ok"] * n),
        **dict.fromkeys(("error_type", "message", "traceback"), empty),
        "seconds": rng.uniform(0.1, 0.2, n),
        "n_stars": np.full(n, 100),
        "overlap": pa.nulls(n, pa.float64()),
        **{k: np.full(n, -1) for k in ("joint_rank", "joint_draws", "joint_rows")},
    }
    return pa.table(columns).select(SCHEMAS["runs"].names).cast(SCHEMAS["runs"])


def make(out: Path, tasks: int, cells: int) -> None:
    plan = planned(cells, tasks // cells)
    out.mkdir(parents=True)
    for tables in segments(plan):
        write_part(out, "segment", tables)
    write_file(out / "run.json", encoded(description_of(plan)))


def _plan(out: Path) -> None:
    told = Results(out).scenario
    make_plan(make_scenario(told, "large"))


def _take_up(out: Path) -> None:
    plan = make_plan(make_scenario(Results(out).scenario, "large"))
    with Store.open(out, plan) as store:
        sum(1 for cell in plan.cells for i in range(10) if store.missing(cell, i))


def _page(out: Path) -> None:
    from haloassay.face import api

    api.write_report(out, None, figures=False)


STEPS: dict[str, Callable[[Path], Any]] = {
    "run.json": Results,
    "plan": _plan,
    "take up": _take_up,
    "score": lambda out: Results(out).table(),
    "pair": lambda out: Results(out).pairs(Results(out).description["cells"][0]["cell"]),
    "page": _page,
}


def one(out: Path, step: str) -> None:
    """Print seconds and peak memory."""
    start = time.perf_counter()
    STEPS[step](out)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(f"{seconds:.1f} | {peak:.2f} |", flush=True)


def alone(out: Path, step: str, version: str, packages: Path | None) -> None:
    """Print a row of the table, of a process of its own."""
    settings = os.environ | ({"PYTHONPATH": str(packages)} if packages else {})
    command = [sys.executable, __file__, "one", str(out), step]
    done = subprocess.run(command, env=settings, capture_output=True, text=True)
    if done.returncode and "OutOfMemory" not in done.stderr:
        raise SystemExit(done.stderr)
    told = "out of memory | |" if done.returncode else done.stdout.strip()
    print(f"| {step} | {version} | {told}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["make", "time", "one"])
    parser.add_argument("out", type=Path)
    parser.add_argument("steps", nargs="*")
    parser.add_argument("--tasks", type=float, default=1e6)
    parser.add_argument("--cells", type=int, default=1000)
    parser.add_argument("--before", type=Path)
    given = parser.parse_args()
    if given.what == "make":
        make(given.out, int(given.tasks), given.cells)
    elif given.what == "one":
        one(given.out, given.steps[0])
    else:
        print("| step | version | seconds | peak GB |\n| --- | --- | ---: | ---: |", flush=True)
        versions = [("before", given.before)] if given.before else []
        for step in given.steps or STEPS:
            for version, packages in [*versions, ("now", None)]:
                alone(given.out, step, version, packages)


if __name__ == "__main__":
    main()
