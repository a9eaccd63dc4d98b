"""How often two equally good estimators are told apart in a ranking, by realisations and cells.

Run with ``python benchmarks/ties.py``; takes a few minutes on one core. Errors are Gaussian, and those of one
realisation have a correlation of 0.3 between cells, as cells share their stars.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import math

import numpy as np

from haloassay.analysis.ranking import Part, places_of, tied_below

COMMON = 0.3
CASES = ((5, 1), (5, 21), (10, 1), (10, 21), (40, 1), (200, 1))


def are_told_apart(rng: np.random.Generator, n: int, cells: int) -> bool:
    """Whether one of two equals has the better rank."""
    parts = {}
    for name in "ab":
        common, own = rng.standard_normal((n, 1)), rng.standard_normal((n, cells))
        e = math.sqrt(COMMON) * common + math.sqrt(1.0 - COMMON) * own
        parts[name] = Part(20.0, np.arange(n), e[..., None] ** 2, n * cells)
    return not any(place.tied for place in places_of(parts, "rmse"))


def main() -> None:
    """Print a row a number of realisations and cells."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trials", type=int, default=2000)
    trials = parser.parse_args().trials
    print("| realisations | cells | tied below | equals told apart [%] |")
    print("|---:|---:|---:|---:|")
    for n, cells in CASES:
        rng = np.random.default_rng([n, cells])
        share = sum(are_told_apart(rng, n, cells) for _ in range(trials)) / trials
        error = math.sqrt(share * (1.0 - share) / trials)
        row = f"{tied_below(n):.4f} | {100 * share:.1f} ± {100 * error:.1f}"
        print(f"| {n} | {cells} | {row} |", flush=True)


if __name__ == "__main__":
    main()
