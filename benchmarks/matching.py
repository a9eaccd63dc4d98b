"""Closure of `haloassay match`: how often mocks of known truth, drawn from the priors, have it covered.

    python benchmarks/matching.py --repeats 200            # one round, whose mocks all repeats share
    python benchmarks/matching.py --repeats 20 --whole     # everything, each repeat with its own rounds

Each repeat has settings of its own (m200, c, beta of a local-jeans-gaussian mock) and one catalogue of 300 stars, whose
velocity ellipsoid in four bins, with the errors that it states, is the measurement.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from pathlib import Path

import numpy as np

from haloassay.analysis.alignment import simulated, targets
from haloassay.analysis.exploration import explore
from haloassay.analysis.likeness import goodness
from haloassay.analysis.matching import Data, Region, Simulations, liken
from haloassay.contracts.measurements import Measurement
from haloassay.contracts.quantities import QUANTITIES
from haloassay.engine.matching import match
from haloassay.engine.progress import Silent
from haloassay.engine.runner import run
from haloassay.mocks.gravity.potentials import make_potential
from haloassay.planning.free import designed, free_factors, parse_free
from haloassay.planning.scenario import make_scenario

FREE = ("mock.potential.m200", "mock.potential.c", "mock.beta.beta")
#: Levels of intervals that are counted.
LEVELS = (0.68, 0.95)
RADII = (7.0, 28.0)


def scenario(seed: int, n_stars: int):
    return make_scenario(
        {
            "name": "closure",
            "seed": seed,
            "mock": {
                "kind": "local-jeans-gaussian",
                "potential": {"kind": "nfw", "m200": 1e12, "c": 12.0},
                "density": {"kind": "power-law", "slope": -3.5},
                "beta": {"kind": "constant", "beta": 0.3},
            },
            "survey": {"preset": "perfect", "n_stars": n_stars},
            "estimators": [{"kind": "velocity-ellipsoid", "bins": [5.0, 10.0, 20.0, 40.0, 80.0]}],
        }
    )


def simulations(base, factors, points, replicates, folder):
    """Make mocks that fill the priors: settings, and rows of their catalogues."""
    plan = designed(base, factors, points, replicates, ["velocity-ellipsoid"])
    results = run(plan, folder, workers=0, progress=Silent())
    sampling = results.samplings["sobol"]
    n = points * replicates
    u = np.array([sampling.coordinates(i) for i in range(0, n, replicates)])
    rows = results.frame("estimates")
    return u, rows[rows["cell"] == "sobol"]


def measurements(rows):
    """Measurements of one catalogue: dispersions and anisotropy with the stated errors."""
    kept = rows[rows["quantity"].isin(["sigma_r", "beta"]) & np.isfinite(rows["value"])]
    # where no star of a bin moves sideways beta is at its end, of which a match knows nothing
    kept = kept[(kept["quantity"] != "beta") | (kept["value"] < 1.0)]
    return [
        Measurement(
            *(row.quantity, row.value, 0.5 * (row.hi68 - row.lo68), "", row.r, row.r_lo, row.r_hi)
        )
        for row in kept.itertuples()
    ]


def emulated(u, told, points):
    """Emulate all numbers that a catalogue may have, once for all repeats."""
    some = told[told["realization"] == told["realization"].min()]
    kept = some[some["quantity"].isin(["sigma_r", "beta"])]
    wanted = [
        Measurement(row.quantity, 0.5, 1.0, "", row.r, row.r_lo, row.r_hi)
        for row in kept.itertuples()
    ]
    of = targets(wanted, some, ["velocity-ellipsoid"], QUANTITIES)
    y = simulated(told, of, range(2 * points)).reshape(points, 2, -1)
    data = Data(np.zeros(len(of)), np.ones(len(of)))
    lost = np.zeros(points, dtype=bool)
    return liken(Simulations(u, y, lost), data, Region.whole(len(FREE)), FREE), of


def beside(likeness, of, measured):
    """Set one catalogue's numbers beside the emulators; those that it lacks are not used."""
    known = {(m.quantity, m.r_lo): m for m in measured}
    found = [known.get((t.quantity.name, t.measured.r_lo)) for t in of]
    has = np.array([m is not None for m in found])
    value, error = (
        np.array([getattr(m, name) if m else 0.5 for m in found]) for name in ("value", "error")
    )
    data = Data.of(value, error, [t.coordinate for t in of])
    kept = has[likeness.used]
    correlation = likeness.correlation[np.ix_(kept, kept)]
    used = likeness.used & has
    return dataclasses.replace(likeness, data=data, used=used, correlation=correlation)


def truths(settings):
    """Put masses within RADII beside settings (n, 3): what coverage is counted of."""
    found = []
    for m200, c, beta in settings:
        halo = make_potential({"kind": "nfw", "m200": float(m200), "c": float(c)})
        found.append([m200, c, beta, *halo.enclosed_mass(np.array(RADII))])
    return np.array(found)


def values(factors, u):
    """Find settings (n, 3) at points of the cube of the priors."""
    columns = zip(factors, np.atleast_2d(u).T, strict=True)
    return np.stack([factor.prior.quantile(x) for factor, x in columns], axis=1)


def report(ranks, p):
    """Print coverage by name, and how often no halo was said to look alike."""
    names = ["m200", "c", "beta", *(f"M(<{r:g} kpc)" for r in RADII)]
    n = len(ranks)
    for k, name in enumerate(names):
        inside = [np.mean(np.abs(ranks[:, k] - 0.5) < 0.5 * level) for level in LEVELS]
        told = "  ".join(
            f"{share:.3f} +- {np.sqrt(level * (1 - level) / n):.3f} in {level:.0%}"
            for share, level in zip(inside, LEVELS, strict=True)
        )
        mean, sd = ranks[:, k].mean(), np.sqrt(1.0 / 12.0 / n)
        print(f"{name:<14}{told}   mean rank {mean:.3f} +- {sd:.3f}")
    print(f"no halo alike (p < 0.01): {np.mean(p < 0.01):.3f} of {n}; median p {np.median(p):.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--stars", type=int, default=300)
    parser.add_argument("--points", type=int, default=128)
    parser.add_argument("--whole", action="store_true")
    given = parser.parse_args()
    start = time.process_time()
    base = scenario(1, given.stars)
    factors = free_factors(base, parse_free(FREE))
    n = 1 << (given.repeats - 1).bit_length()
    ranks, p = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        where, rows = simulations(scenario(2, given.stars), factors, n, 1, folder / "data")
        rows = dict(iter(rows.groupby("realization")))
        if not given.whole:
            u, told = simulations(base, factors, given.points, 2, folder / "mocks")
            likeness, of = emulated(u, told, given.points)
        for k in range(given.repeats):
            measured = measurements(rows[k])
            truth = truths(values(factors, where[k]))[0]
            if given.whole:
                out = folder / f"match-{k}"
                found = match(base, measured, out, FREE, workers=0, progress=Silent())
                draws = truths(np.array([found.draws[path][:400] for path in FREE]).T)
                p.append(found.fit.p)
            else:
                one = beside(likeness, of, measured)
                drawn = explore(one, np.random.default_rng(k), 400)
                p.append(goodness(one, drawn).p)
                draws = truths(values(factors, drawn.u))
            ranks.append((draws < truth).mean(axis=0))
    report(np.array(ranks), np.array(p))
    print(f"{time.process_time() - start:.0f} s of processor")


if __name__ == "__main__":
    main()
