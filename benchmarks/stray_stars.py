"""What stray stars at the ends of a sample cost, whether they are refused, and that samples without any are not.

Run with ``python benchmarks/stray_stars.py alarms REALIZATIONS``, or ``python benchmarks/stray_stars.py strays 1000``.

``alarms`` prints, of every cell of the scenario ``league``, the least probability of a gap at either end over its
realisations: a sample with one below 1e-8 has no value. ``strays`` adds stars to samples of so many stars from 20 to 60
kpc and prints by how many of its errors M(<30 kpc) moves if nobody looks at the ends, in two samples, and how many
of a hundred samples are refused.
"""

from __future__ import annotations

import argparse
from unittest import mock

import numpy as np
from calibration_cases import G, of_actions, own_model, power_law_radii, roulette_mass
from roulette_samples import catalogue_of

from haloassay.base.errors import EstimationError
from haloassay.contracts.catalogue import Catalogue
from haloassay.engine.task import observe
from haloassay.estimators import bins, make_estimator
from haloassay.planning.plan import make_plan
from haloassay.planning.scenario import load_scenario

EDGES = (20.0, 60.0)
STRAYS = (
    (1.0,), (5.0,), (10.0,), (14.0,), (17.0,), (19.0,), (1.0, 2.0), (1.0, 2.0, 4.0),
    (62.0,), (70.0,), (80.0,), (150.0,), (400.0,), (400.0, 200.0), (400.0, 200.0, 150.0),
)  # fmt: skip
AT = {"r_out": [30.0], "n_draws": 300}
METHODS = {
    "hierarchical-df": AT,
    "action-df": AT,
    "orbital-roulette": AT,
    "spline-jeans": {"alpha": "measured", "r": [30.0], "n_draws": 300},
    "nfw-tracer": {"alpha": -3.5, "beta": 0.3, "r_out": [30.0]},
    "tracer-mass": {"alpha": -3.5, "beta": 0.3, "shape": {"r_s": 17.0}, "r_out": [30.0]},
}


def with_strays(stars: Catalogue, radii: tuple[float, ...], rng: np.random.Generator) -> Catalogue:
    """Add stars at these radii [kpc] that are not faster than others there."""
    r = np.array(radii)
    v = np.sqrt(G * roulette_mass(r) / r)[:, None] * [0.6, 0.5, 0.5]
    v = v * rng.standard_normal((len(r), 3))
    more = catalogue_of(r, v[:, 0], np.hypot(v[:, 1], v[:, 2]), rng).columns
    return Catalogue.from_arrays(**{k: np.append(stars.columns[k], more[k]) for k in more})


def mass(kind: str, stars: Catalogue) -> tuple[float, float]:
    """Find mass and error, nan where there is none, whatever the ends."""
    estimator = make_estimator({"kind": kind, **METHODS[kind]})
    with mock.patch.object(bins, "gap_chances", return_value=np.ones(0)):
        row = estimator.estimate(stars, np.random.default_rng(0)).of("enclosed_mass")[0]
    return row.value, 0.5 * (row.hi68 - row.lo68)


def refused(n: int, radii: tuple[float, ...], runs: int = 100) -> int:
    """Count samples with these strays that are refused."""
    found = 0
    for k in range(runs):
        r = power_law_radii(n, -3.5, *EDGES, np.random.default_rng([79, k]))
        try:
            bins.check_ends(np.append(r, radii))
        except EstimationError:
            found += 1
    return found


def strays(n: int) -> None:
    """Print the cost of strays, and how many are refused."""
    print("| strays [kpc] | refused [%] |", " | ".join(METHODS), "|")
    drawn = {}
    for kind in METHODS:
        for k in range(2):
            rng = np.random.default_rng([77, k])
            draw = own_model if kind == "hierarchical-df" else of_actions
            stars = draw(n, rng, edges=EDGES)
            drawn[kind, k] = stars, *mass(kind, stars)
    for radii in STRAYS:
        moved = []
        for kind in METHODS:
            pair = []
            for k in range(2):
                stars, value, error = drawn[kind, k]
                more = with_strays(stars, radii, np.random.default_rng([78, k]))
                off = (mass(kind, more)[0] - value) / error
                pair.append(f"{off:+.1f}" if np.isfinite(off) else "none")
            moved.append(", ".join(pair))
        where = ", ".join(f"{r:g}" for r in radii)
        print(f"| {where} | {refused(n, radii)} |", " | ".join(moved), "|", flush=True)


def alarms(runs: int) -> None:
    """Print the least probability of a gap in every cell of the league."""
    scenario = load_scenario("league")
    for cell in make_plan(scenario).cells:
        least = np.ones(2)
        for k in range(runs):
            _, seen = observe(cell.at(k), scenario.seed, cell.draw(k))
            here = [bins.gap_chances(seen.catalogue.r, inner).min() for inner in (True, False)]
            least = np.minimum(least, here)
        print(f"{cell.label}: inner {least[0]:.1e}, outer {least[1]:.1e}", flush=True)


def main() -> None:
    """Measure one of the two."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=("alarms", "strays"))
    parser.add_argument("number", type=int)
    asked = parser.parse_args()
    (alarms if asked.what == "alarms" else strays)(asked.number)


if __name__ == "__main__":
    main()
