"""Overhead of the engine and its efficiency on several processes: ``python benchmarks/engine.py``.

An estimator that burns 0.3 s of processor time is run by the engine, in one process and in two,
beside the same work in a plain loop. Wall-clock efficiency means something on an idle machine only;
the processor time that the engine takes beyond the work does so on a busy one too.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from haloassay.contracts.catalogue import Catalogue
from haloassay.contracts.estimate import Estimate, Estimates, Estimator
from haloassay.engine.progress import Silent
from haloassay.engine.runner import run
from haloassay.engine.task import Task, run_task
from haloassay.planning.plan import make_plan
from haloassay.planning.scenario import make_scenario


@dataclass(frozen=True)
class Burn(Estimator):
    """Burns ``seconds`` of processor time and returns 40 rows of 100 draws."""

    name = "burn"
    reference = ""
    seconds: float = 0.3

    def estimate(self, catalogue: Catalogue, rng: np.random.Generator) -> Estimates:
        """Return dispersions of nothing in particular."""
        end = time.process_time() + self.seconds
        while time.process_time() < end:
            sum(range(1000))
        draws = rng.normal(100.0, 1.0, (40, 100))
        return Estimates(
            Estimate.from_draws("sigma_r", d, bin=i, r=20.0) for i, d in enumerate(draws)
        )


def scenario(tasks: int, seconds: float) -> dict:
    return {
        "name": "burn",
        "realizations": tasks,
        "mock": {
            "kind": "local-jeans-gaussian",
            "potential": {"kind": "nfw", "m200": 1e12, "c": 12.0},
            "density": {"kind": "power-law", "slope": -3.5},
            "beta": {"kind": "constant", "beta": 0.3},
        },
        "survey": {"preset": "perfect", "n_stars": 100},
        "estimators": [{"kind": "engine:Burn", "label": "burn", "seconds": seconds}],
    }


def by_hand(values: dict) -> float:
    """Seconds of the tasks in a plain loop in this process, after one to warm up."""
    plan = make_plan(make_scenario(values))
    tasks = [Task(plan.cells[0], i, 0, plan.cells[0].methods) for i in range(len(plan))]
    run_task(tasks[0])
    start = time.perf_counter()
    for task in tasks:
        run_task(task)
    return time.perf_counter() - start


def processor_time() -> float:
    """Processor seconds of this process and of all children that have ended."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def by_engine(values: dict, workers: int) -> tuple[float, float]:
    """Seconds and processor seconds of a whole run: processes started, results written."""
    with tempfile.TemporaryDirectory() as folder:
        start, used = time.perf_counter(), processor_time()
        run(values, Path(folder) / "out", workers=workers, progress=Silent())
        return time.perf_counter() - start, processor_time() - used


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=0.3)
    options = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).resolve().parent))  # workers find this module by it
    values = scenario(options.tasks, options.seconds)
    short = scenario(2, 0.0)
    start = {workers: by_engine(short, workers) for workers in (1, 2)}
    plain = by_hand(values)
    print(f"load of the machine before: {os.getloadavg()[0]:.2f} on {os.cpu_count()} processors")
    print(f"plain loop, {options.tasks} tasks of {options.seconds} s: {plain:.2f} s")
    for workers in (1, 2):
        whole, used = by_engine(values, workers)
        seconds, idle = start[workers]
        work = options.tasks * options.seconds
        print(
            f"engine, {workers} process(es): {whole:.2f} s, of which start-up {seconds:.2f} s; "
            f"wall-clock efficiency {plain / workers / whole:.1%}, "
            f"without start-up {plain / workers / (whole - seconds):.1%}; "
            f"processor time beyond work and start-up {(used - idle - work) / work:.1%}"
        )


if __name__ == "__main__":
    main()
