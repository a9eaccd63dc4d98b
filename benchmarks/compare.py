"""What ``haloassay compare`` says of differences of known size: power, false alarms, and two runs of real estimators.

Run with ``python benchmarks/compare.py power [--repeats 400]`` for the first table of ``docs/howto/gates.md``, which is
of drawn errors, and with ``python benchmarks/compare.py runs`` for the second: 1 per cent in G, and other random
numbers of a bootstrap, on the same and on other catalogues.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import collections
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from unittest import mock

import numpy as np

import haloassay
from haloassay.analysis.compare import Key, Sample, Side
from haloassay.analysis.compare import compare as compared
from haloassay.base.constants import G
from haloassay.contracts.quantities import QUANTITIES
from haloassay.engine.progress import Silent
from haloassay.estimators import tracer_mass

REALIZATIONS = 100
SCATTER = 0.1
#: Correlation of the errors of both sides, where they have the same catalogues: a little of them is the method's own.
COMMON = 0.99
SHIFTS = (0.0, 0.5, 1.0, 2.0, 5.0)  # in Monte Carlo errors of one side
ROWS = 10
ANSWERS: Final = ("moved", "cannot tell", "same")
HALO = {
    "kind": "local-jeans-gaussian",
    "potential": {"kind": "nfw", "m200": 1e12, "c": 12.0},
    "density": {"kind": "power-law", "slope": -3.5},
    "beta": {"kind": "constant", "beta": 0.3},
    "r_range": [5.0, 60.0],
}


def side(name: str, e: np.ndarray, catalogues: str) -> Side:
    """Make a side of rows of errors (rows, n), all of whose intervals are right."""
    n = e.shape[1]
    half = np.full(n, SCATTER)
    samples = {
        Key("base", "method", "enclosed_mass", k): Sample(
            10.0 + k,
            "Msun",
            np.arange(n),
            row,
            half,
            (np.abs(row) < SCATTER).astype(float),
            (np.abs(row) < 1.96 * SCATTER).astype(float),
        )
        for k, row in enumerate(e)
    }
    return Side(name, {"base": catalogues}, samples, {}, QUANTITIES)


def power(repeats: int) -> Iterator[str]:
    """Say how often the bias of the first of ten rows, which alone is shifted, gets each answer."""
    yield "| shift of one of 10 rows [MCSE] | catalogues | moved | cannot be told | the same | any other moved |"
    yield "|---|---|---|---|---|---|"
    rng = np.random.default_rng(20261129)
    for paired in (True, False):
        for shift in SHIFTS:
            found: collections.Counter[str] = collections.Counter()
            others = 0
            for _ in range(repeats):
                old = SCATTER * rng.standard_normal((ROWS, REALIZATIONS))
                own = SCATTER * rng.standard_normal((ROWS, REALIZATIONS))
                new = COMMON * old + np.sqrt(1.0 - COMMON**2) * own if paired else own
                new[0] += shift * SCATTER / np.sqrt(REALIZATIONS)
                sides = (side("old", old, "a"), side("new", new, "a" if paired else "b"))
                answers = compared(*sides).rows
                found[next(r.answer for r in answers if r.measure.name == "bias")] += 1
                others += any(
                    r.answer == "moved" for r in answers if r.key.bin or r.measure.name != "bias"
                )
            shares = " | ".join(f"{found[answer] / repeats:.3f}" for answer in ANSWERS)
            same = "the same" if paired else "others"
            yield f"| {shift:g} | {same} | {shares} | {others / repeats:.3f} |"


def run(out: Path, name: str, n_bootstrap: int = 200, seed: int = 1) -> Path:
    """Run tracer-mass on 100 mocks of 1000 stars, in this process."""
    method = {"kind": "tracer-mass", "bins": [5.0, 10.0, 20.0, 60.0], "alpha": -3.5}
    scenario = {
        "name": "compared",
        "realizations": REALIZATIONS,
        "seed": seed,
        "mock": HALO,
        "survey": {"preset": "perfect", "n_stars": 1000},
        "estimators": [{**method, "n_bootstrap": n_bootstrap}],
    }
    return haloassay.run(scenario, out / name, workers=0, progress=Silent()).out


def runs() -> Iterator[str]:
    """Compare two runs of an estimator that differ by something known."""
    yield "| change | catalogues | moved | cannot be told | the same |"
    yield "|---|---|---|---|---|"
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        before = run(out, "before")
        jitter = run(out, "jitter", n_bootstrap=201)
        elsewhere = run(out, "elsewhere", seed=2)
        with mock.patch.object(tracer_mass, "G", 1.01 * G):
            heavy, far = run(out, "heavy"), run(out, "far", seed=2)
        for change, where, after in (
            ("other random numbers of the bootstrap", "the same", jitter),
            ("G larger by 1 per cent", "the same", heavy),
            ("none", "others", elsewhere),
            ("G larger by 1 per cent", "others", far),
        ):
            found = haloassay.compare(before, after)
            counts = " | ".join(str(len(found.of(answer))) for answer in ANSWERS)
            yield f"| {change} | {where} | {counts} |"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=("power", "runs"))
    parser.add_argument("--repeats", type=int, default=400)
    asked = parser.parse_args()
    for line in power(asked.repeats) if asked.what == "power" else runs():
        print(line, flush=True)
