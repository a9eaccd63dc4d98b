"""Results that nothing computed, for tests of the store by itself, and what a folder of them holds."""

import json

import pandas as pd

from haloassay.contracts.schema import RESULT
from haloassay.results.outcome import Outcome, TaskResult
from haloassay.results.results import Results
from haloassay.results.store import Store

N = 4


def result(plan, realization, statuses=("ok", "ok")):
    """Made-up outcomes: the value tells where it belongs."""
    cell = plan.cells[0]
    outcomes = []
    for method, status in zip(cell.methods, statuses, strict=True):
        row = dict.fromkeys(("r", "r_lo", "r_hi", "lo68", "hi68", "lo95", "hi95", "truth"), 1.0)
        row |= {
            "quantity": "sigma_r",
            "bin": 0,
            "unit": "km/s",
            "note": "",
            "rank": 1,
            "n_draws": 3,
        }
        row["value"] = realization + 100.0 * (method.label == "other")
        rows = (row,) if status == "ok" else ()
        outcomes.append(Outcome(method, status, overlap=0.1, rows=rows))
    return TaskResult(cell, realization, tuple(outcomes))


def fill(out, plan, say=lambda line: None, statuses=("ok", "ok")):
    """Write what is missing of the first cell."""
    with Store.open(out, plan, "resume", say) as store:
        for realization in range(N):
            if store.missing(plan.cells[0], realization):
                store.checkpoint(result(plan, realization, statuses))
        store.compact()


def assert_complete(out):
    results = Results(out)
    assert_each_once(results.frame("runs"), results.frame("estimates"))


def assert_each_once(runs, estimates):
    assert runs[["estimator", "realization"]].value_counts().tolist() == [1] * (2 * N)
    assert sorted(estimates["value"]) == sorted(
        [*map(float, range(N)), *(100.0 + i for i in range(N))]
    )


def as_written(out):
    """Runs and estimates as they stand in the files: what stands twice is there twice."""
    results = Results(out)
    return [
        pd.concat([pd.DataFrame(columns=RESULT), *map(pd.read_parquet, files)])
        for files in (results.runs_files, results.estimates_files)
    ]


def tree(folder):
    """All files but the lock, which stays."""
    files = (p for p in sorted(folder.rglob("*")) if p.is_file() and p.name != ".lock")
    return {str(p): p.read_bytes() for p in files}


def description(out):
    return {k: v for k, v in json.loads((out / "run.json").read_text()).items() if k != "digest"}
