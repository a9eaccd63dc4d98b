"""Whether posteriors of escape-speed cover as they say, over tails that are drawn from its prior.

Run with ``python benchmarks/escape_prior.py [--stars 300 3000] [--realizations 200]``. Escape speeds, powers, shares
and outliers are drawn from the priors of the fit, stars from the tail that they make, with errors of 15 km/s. At one
tail that the prior holds for unlikely a posterior may be far off and right all the same; over its prior it holds the
truth as often as it says. ``below`` is how often the truth is below the median: 0.5 where all is right.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from over_prior import print_coverage, print_heads

from haloassay.contracts.estimate import Estimate
from haloassay.estimators import make_estimator
from haloassay.estimators.escape_speed import K_PRIORS
from haloassay.estimators.fit.speed_tail import Outliers

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "estimators"))
from escape_samples import mixed

#: Bounds of the escape speed [km/s]; flat in its inverse.
V_ESC = (400.0, 1000.0)
COMPONENTS = {"one": 1, "two": 2}


def one(components: int, n: int, k: int) -> tuple[Estimate, float]:
    """Estimate of one tail, and its escape speed."""
    rng = np.random.default_rng([9, components, n, k])
    v_esc = 1.0 / rng.uniform(1.0 / V_ESC[1], 1.0 / V_ESC[0])
    powers = np.sort(rng.uniform(*K_PRIORS["necib2022"], components))[::-1]
    shares = rng.dirichlet(np.ones(components))
    bounds = Outliers()
    out, sigma = (np.exp(rng.uniform(*np.log(each))) for each in (bounds.share, bounds.sigma))
    tail = {"v_esc": v_esc, "powers": powers, "shares": shares, "outliers": out, "sigma": sigma}
    spec = {"k": "necib2022", "prior": "inverse", "v_esc_range": list(V_ESC), "outliers": {}}
    method = make_estimator({"kind": "escape-speed", "components": components, **spec})
    (row,) = method.estimate(mixed(n, rng, slope=0.0, **tail), np.random.default_rng([10, k]))
    return row, v_esc


def main() -> None:
    """Print a row for each number of components and of stars."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stars", type=int, nargs="+", default=[300, 3000])
    parser.add_argument("--realizations", type=int, default=200)
    options = parser.parse_args()
    print_heads("components", "stars")
    for name, components in COMPONENTS.items():
        for n in options.stars:
            made: Iterator[tuple[Estimate, float]] = (
                one(components, n, k) for k in range(options.realizations)
            )
            print_coverage(made, name, n)


if __name__ == "__main__":
    main()
