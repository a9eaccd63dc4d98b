"""Seconds and peak memory of mock, survey and ``velocity-ellipsoid`` from 1e5 to 1e7 stars.

Run with ``python benchmarks/scale.py [n ...]``. Each number of stars has a process of its own, one thread, whose peak
resident memory is read after each step; the mock is solved (or read from the cache) and all code compiled before the
clock starts. Seconds are of the processor, so that other work on the machine does not count. "us/star" is the total
over the number of stars: constant where time is linear.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "1")

import argparse
import resource
import subprocess
import sys
import time

import numpy as np

from haloassay.estimators import make_estimator
from haloassay.mocks import make_mock
from haloassay.mocks.surveys.survey import make_survey

MOCK = {
    "kind": "equilibrium",
    "potential": [{"kind": "nfw", "m200": 0.8e12, "c": 15.0}, {"kind": "mwpotential2014-baryons"}],
    "density": {"kind": "broken-power-law", "slopes": [-2.1, -3.8], "breaks": [18.0]},
    "beta": {"kind": "table", "r": [5.0, 20.0, 40.0, 80.0], "beta": [0.6, 0.75, 0.65, 0.5]},
    "r_range": [2.5, 250.0],
    "alpha_fe": {"mean": 0.2, "sigma": 0.1},
}
BINS = [3.0, 9.0, 11.5, 13.7, 15.9, 18.2, 20.8, 24.2, 28.7, 35.8, 47.5, 60.0, 80.0, 160.0]
PRESETS = ("perfect", "all-sky", "desi-kgiants")


def peak() -> float:
    """Peak resident memory of this process so far [GB]."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2


def one(preset: str, n: int) -> None:
    """Print a row of the table: a whole round, of which a small one before compiled everything."""
    mock = make_mock(MOCK)
    estimator = make_estimator({"kind": "velocity-ellipsoid", "bins": BINS})
    for size in (3000, n):
        before = peak()
        start = time.process_time()
        survey = make_survey({"preset": preset, "n_stars": size})
        observation = survey.observe(mock, *np.random.default_rng(7).spawn(2))
        observed, survey_peak = time.process_time(), peak()
        rows = estimator.estimate(observation.catalogue, np.random.default_rng(8))
        end = time.process_time()
    sigma = next(row for row in rows.of("sigma_r") if row.r_lo == 20.8)
    print(
        f"{preset:14}{n:10d}{observation.n_drawn:12d}{observed - start:10.2f}{end - observed:11.2f}"
        f"{1e6 * (end - start) / n:10.2f}{before:9.2f}{survey_peak:9.2f}{peak():9.2f}"
        f"{sigma.value:10.2f} +-{0.5 * (sigma.hi68 - sigma.lo68):5.2f}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sizes", nargs="*", type=float, default=[1e5, 1e6, 1e7])
    parser.add_argument("--presets", nargs="+", default=PRESETS)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        one(given.one[0], int(given.one[1]))
        return
    print(
        f"{'':24}{'drawn':>12}{'survey s':>10}{'ellipsoid':>11}{'us/star':>10}"
        f"{'GB start':>9}{'survey':>9}{'all':>9}{'sigma_r 21-24 kpc':>20}"
    )
    for preset in given.presets:
        for n in given.sizes:
            command = [sys.executable, __file__, "--one", preset, str(int(n))]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
