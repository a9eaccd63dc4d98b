"""Where the time of the main job goes: ``haloassay run quickstart``, cold, warm, and a finished one again.

Run with ``python benchmarks/main_job.py [--beside PYTHON] [--repeats 3]``. Whole commands first, in seconds on the
clock and of processors: cold (no cache of mocks, no compiled kernels, no bundled library of the page), warm, and again
with all realisations done. With ``--beside`` the same commands of another interpreter, in which another version is
installed, alternate with these. Then the parts of the work in one process, warm: imports, the mock, each catalogue,
each estimator, results written, scores, page.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

COMMAND = ("-m", "haloassay", "run", "quickstart", "--out")


def once(python: str, out: Path, caches: Path) -> tuple[float, float]:
    """Seconds on the clock and of processors of one command."""
    kept = {"HALOASSAY_CACHE": caches / "mocks", "NUMBA_CACHE_DIR": caches / "kernels"}
    settings = os.environ | {name: str(path) for name, path in kept.items()}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([python, *COMMAND, out], env=settings, check=True, capture_output=True)
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, used


def whole(pythons: dict[str, str], repeats: int) -> None:
    """Time whole commands, alternating between interpreters."""
    times: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for _ in range(repeats):
        for name, python in pythons.items():
            with tempfile.TemporaryDirectory() as scratch:
                folder = Path(scratch)
                for state, out in (("cold", "a"), ("warm", "b"), ("again", "b")):
                    times[name, state].append(once(python, folder / out, folder / "caches"))
    print(f"{'median of ' + str(repeats):16}{'':8}{'clock [s]':>11}{'processors [s]':>16}")
    for (name, state), found in times.items():
        clock, used = (statistics.median(x) for x in zip(*found, strict=True))
        print(f"{name:16}{state:8}{clock:11.1f}{used:16.1f}")


class Split:
    """Seconds of parts, in the order in which they first end."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Add the seconds of what is done inside to a part."""
        start = time.perf_counter()
        yield
        self.seconds[name] += time.perf_counter() - start


def parts() -> None:
    """Time the parts of the work in this process."""
    split = Split()
    with split.part("imports"):
        from haloassay.analysis.summary import summarise
        from haloassay.engine.runner import run
        from haloassay.engine.task import Task, observe, run_task
        from haloassay.planning.plan import make_plan
        from haloassay.planning.scenario import load_scenario
        from haloassay.reports.page import write_page
        from haloassay.results.results import Results
    plan = make_plan(load_scenario("quickstart"))
    (cell,) = plan.cells
    for method in cell.methods:  # kernels
        run_task(Task(cell, 0, plan.scenario.seed, (method,)))
    with split.part("mock, solved or from the cache"):
        observe.__globals__["_mock"].cache_clear()
        observe(cell, plan.scenario.seed, 0)
    for k in range(len(plan)):
        with split.part("catalogues"):
            observe(cell, plan.scenario.seed, k)
        for method in cell.methods:
            with split.part(method.label):
                run_task(Task(cell, k, plan.scenario.seed, (method,)))
    for method in cell.methods:  # which made its catalogue again
        split.seconds[method.label] -= split.seconds["catalogues"]
    with tempfile.TemporaryDirectory() as scratch:
        start = time.perf_counter()
        run("quickstart", scratch, workers=0)
        work = sum(split.seconds[name] for name in ("catalogues", *(m.label for m in cell.methods)))
        split.seconds["plan, results written"] = time.perf_counter() - start - work
        with split.part("scores"):
            data = summarise(Results(scratch))
        with split.part("page"):
            write_page(data, Path(scratch) / "report")
    for name, seconds in split.seconds.items():
        print(f"{name:32}{seconds:8.2f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--beside", help="another interpreter")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    pythons = {"this": sys.executable} | ({"beside": options.beside} if options.beside else {})
    whole(pythons, options.repeats)
    parts()


if __name__ == "__main__":
    main()
