"""Whether posteriors of hierarchical-df cover as they say, over halos that are drawn from its prior.

Run with ``python benchmarks/hierarchical_prior.py [--stars 300] [--realizations 200] [--case NAME ...]
[--density counts]``. Slopes and anisotropies are drawn from flat priors that the fits have too, stars from the
distribution function of each, with errors; some velocities are taken away. A posterior that is right holds the truth
as often as it says, however little the stars tell, which at one halo it need not. ``below`` is how often the truth is
below the median: 0.5 where all is right.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from pathlib import Path

import numpy as np
from over_prior import print_coverage, print_heads

from haloassay.estimators import make_estimator

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "estimators"))
from hierarchical_samples import EDGES, ERRORS, seen, without
from test_power_law_df import true_mass

#: What is missing, and the error of proper motions [mas/yr].
CASES = {
    "nothing": ((), ERRORS[1]),
    "line-of-sight velocities": (("vlos",), ERRORS[1]),
    "proper motions": (("pmra", "pmdec"), ERRORS[1]),
    "nothing, proper motions err by 0.4 mas/yr": ((), 0.4),
}
BETA, ALPHA, SLOPE = (-1.0, 0.9), (-4.6, -3.4), (0.3, 0.7)


def estimates(case: str, n: int, k: int, candidates: int, density: str):
    """Rows of one mock, and the truth of each."""
    missing, error = CASES[case]
    rng = np.random.default_rng([7, n, k])
    beta, alpha, g = (rng.uniform(*bounds) for bounds in (BETA, ALPHA, SLOPE))
    stars = seen(n, rng, (ERRORS[0], error, ERRORS[2]), gamma=-alpha, g=g, beta=beta)
    spec = {"r_range": list(EDGES), "r_out": [15.0, 30.0, 80.0], "density": density}
    spec |= {"beta_range": list(BETA), "alpha_range": list(ALPHA), "g_range": list(SLOPE)}
    method = make_estimator({"kind": "hierarchical-df", "n_samples": candidates, **spec})
    for row in method.estimate(without(stars, *missing), np.random.default_rng([8, k])):
        yield row, beta if row.quantity == "beta" else float(true_mass(row.r, g))


def main() -> None:
    """Print a row for each case and number."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stars", type=int, default=300)
    parser.add_argument("--realizations", type=int, default=200)
    parser.add_argument("--case", choices=CASES, nargs="+", default=list(CASES))
    parser.add_argument("--candidates", type=int, default=256)
    parser.add_argument("--density", choices=("counts", "conditional"), default="counts")
    options = parser.parse_args()
    how = options.candidates, options.density
    print_heads("missing", "stars", "density")
    for case in options.case:
        every = range(options.realizations)
        rows = (estimates(case, options.stars, k, *how) for k in every)
        named = case, options.stars, options.density
        print_coverage(itertools.chain.from_iterable(rows), *named)


if __name__ == "__main__":
    main()
