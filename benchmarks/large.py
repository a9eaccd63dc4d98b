"""Seconds and peak memory of ``mock``, ``measure`` and ``run``, with estimators that are sums over stars, to 1e7 stars.

Run with ``python benchmarks/large.py [n ...]``; ``--only KIND ...`` chooses rows, ``--files FOLDER`` keeps catalogues
and takes those that are there, ``--suffix fits`` is another format, ``--run`` makes tasks of a run, which
observe and compare with the truth too, in their place, ``--before FOLDER`` measures another version of the
package beside this one at the first of the sizes, installed there with ``pip install --target``. Each row has a
process of its own, one thread, whose peak resident memory is that of reading and estimating together; all code is
compiled before the clock starts. Seconds are of the processor, so that other work on the machine does not count,
except that of caches it shares.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path
from typing import Any

BINS = [5.0, 15.0, 25.0, 35.0, 65.0]
ALPHA = {"slopes": [-2.8, -4.6], "breaks": [17.0]}

#: Rows of the table: settings of estimators, by their names here.
ESTIMATORS: dict[str, dict[str, Any]] = {
    "velocity-ellipsoid": {"kind": "velocity-ellipsoid", "bins": BINS},
    "velocity-ellipsoid, one bin": {"kind": "velocity-ellipsoid"},
    "tracer-mass": {"kind": "tracer-mass", "bins": BINS, "alpha": ALPHA},
    "gaussian-single": {"kind": "gaussian-single", "bins": BINS},
    "gaussian-mixture": {"kind": "gaussian-mixture", "bins": BINS, "min_gain": 0.0},
    "dipole": {"kind": "dipole", "bins": BINS},
    "sky-map, deconvolved": {"kind": "sky-map", "recipe": "deconvolved"},
    "sky-map, as published": {"kind": "sky-map"},
    "spline-jeans": {"kind": "spline-jeans", "alpha": "measured"},
}

#: This version of the package, by name and folder.
NOW = ("now", None)

SCENARIO = """
name = "large"
title = "A halo seen over the whole sky"
realizations = 1
seed = 1
[mock]
kind = "equilibrium"
potential = [{ kind = "nfw", m200 = 0.8e12, c = 15.0 }, { kind = "mwpotential2014-baryons" }]
density = { kind = "broken-power-law", slopes = [-2.8, -4.6], breaks = [17.0] }
beta = { kind = "table", r = [5.0, 20.0, 40.0, 80.0], beta = [0.6, 0.75, 0.65, 0.5] }
r_range = [2.5, 250.0]
alpha_fe = { mean = 0.2, sigma = 0.1 }
[survey]
preset = "all-sky"
n_stars = 3000
[[estimators]]
kind = "velocity-ellipsoid"
"""


def peak() -> float:
    """Peak resident memory of this process so far [GB]."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2


def one(path: str, small: str, name: str) -> None:
    """Print seconds of reading and of estimating, and the peak, of one estimator in this process."""
    from haloassay.estimators import make_estimator
    from haloassay.face.api import measure
    from haloassay.io.tables import read_catalogue

    spec = ESTIMATORS[name]
    measure(small, spec)
    start = time.process_time()
    catalogue = read_catalogue(path, uses=make_estimator(spec).usable())
    read, of_reading = time.process_time(), peak()
    measure(catalogue, spec)
    end = time.process_time()
    print(json.dumps([read - start, end - read, of_reading, peak()]))


def one_run(n: int, name: str) -> None:
    """Print seconds of a task of a run, the making of the stars and the truth included, and the peak."""
    import haloassay

    scenario = tomllib.loads(SCENARIO)
    scenario["estimators"] = [ESTIMATORS[name]]
    with tempfile.TemporaryDirectory() as folder:
        haloassay.run(scenario, Path(folder) / "small", workers=0)
        scenario["survey"]["n_stars"] = n
        start = time.process_time()
        haloassay.run(scenario, Path(folder) / "large", workers=0)
        print(json.dumps([time.process_time() - start, peak()]))


def alone(command: list[str], packages: str | None) -> tuple[str, float, float]:
    """Output, seconds of the processor and peak memory [GB] of a command."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    settings = os.environ | threads | ({"PYTHONPATH": packages} if packages else {})
    with subprocess.Popen(command, env=settings, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return output, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024**2


def print_runs(sizes: list[int], names: list[str]) -> None:
    """Print the table of tasks of a run."""
    print("| stars | one task: mock, survey, estimator, truth | seconds | peak [GB] |")
    print("|---|---|---|---|")
    for n in sizes:
        for name in names:
            command = [sys.executable, __file__, "--one-run", str(n), name]
            seconds, most = json.loads(alone(command, None)[0].splitlines()[-1])
            print(f"| {n:.0e} | {name} | {seconds:.0f} | {most:.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sizes", nargs="*", type=float, default=[1e6, 2e6, 1e7])
    parser.add_argument("--only", nargs="+", choices=ESTIMATORS, default=list(ESTIMATORS))
    parser.add_argument("--files", type=Path)
    parser.add_argument("--suffix", default="parquet")
    parser.add_argument("--before")
    parser.add_argument("--run", action="store_true")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--one-run", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        one(*given.one)
        return
    if given.one_run:
        one_run(int(given.one_run[0]), given.one_run[1])
        return
    print(f"<!-- python benchmarks/large.py {' '.join(sys.argv[1:])} -->\n")
    if given.run:
        print_runs([int(n) for n in given.sizes], given.only)
        return
    print("| stars | step | version | reading [s] | step [s] | peak reading [GB] | peak [GB] |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.files or Path(scratch)
        scenario, small = folder / "large.toml", folder / "small.parquet"
        scenario.write_text(SCENARIO)
        mock = [sys.executable, "-m", "haloassay", "mock", str(scenario), "-n"]
        alone([*mock, "3000", "--out", str(small)], None)
        for k, n in enumerate(map(int, given.sizes)):
            versions = [("before", given.before), NOW] if given.before and k == 0 else [NOW]
            path = folder / f"{n}.{given.suffix}"
            for version, packages in [] if path.exists() else versions:
                _, seconds, most = alone([*mock, str(n), "--out", str(path)], packages)
                print(f"| {n:.0e} | `mock` | {version} | | {seconds:.1f} | | {most:.2f} |")
            for name in given.only:
                for version, packages in versions:
                    command = [sys.executable, __file__, "--one", str(path), str(small), name]
                    read, step, first, last = json.loads(alone(command, packages)[0])
                    times = f"{read:.1f} | {step:.1f} | {first:.2f} | {last:.2f}"
                    print(f"| {n:.0e} | {name} | {version} | {times} |", flush=True)


if __name__ == "__main__":
    main()
