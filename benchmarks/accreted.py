"""Thirty accreted halos beside published ones: profiles, beta(r), satellites that contribute, and masses.

``python benchmarks/accreted.py halos|masses|seconds [--halos N] [--seed S]``, seconds with an empty cache. Estimators
are told each halo's own density, a broken power law fitted to all of its stars, so that what scatters is what is left:
stars that are not mixed, not spherical, not of one beta. ``haloassay run accreted`` has one density for all halos.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.engine.task import history_seed
from haloassay.estimators import make_estimator
from haloassay.mocks import make_mock
from haloassay.mocks.history.accreted import AccretedHalo, satellite_of
from haloassay.mocks.surveys.survey import make_survey

POTENTIAL = [{"kind": "nfw", "m200": 1e12, "c": 12.0}, {"kind": "mwpotential2014-baryons"}]
RANGE = (10.0, 100.0)
BREAK = 35.0
BINS = [10.0, 20.0, 30.0, 45.0, 65.0, 100.0]
RADII = [20.0, 40.0, 80.0]
#: From memory, fairly sure: slopes and mass of Bullock & Johnston (2005), the effective number of Cooper et al. (2010),
#: satellites of 90 per cent of Monachesi et al. (2019), beta of Diemand et al. (2005) and Abadi et al. (2006).
PUBLISHED = {
    "inner": "-1 at < 10 kpc",
    "outer": "-3.5 at > 50 kpc",
    "beta": "rises to > 0.7",
    "effective": "1 to 5",
    "ninety": "1 to 14",
    "mass": "10",
}
SHELLS = [(10.0, 20.0), (20.0, 40.0), (40.0, 60.0), (60.0, 100.0)]


def fitted_slopes(r: FloatArray) -> list[float]:
    """Slopes within and beyond :data:`BREAK` of the density of stars at ``r`` between the ends of the range."""
    edges = np.geomspace(*RANGE, 19)
    number = np.histogram(r, edges)[0]
    x = np.log(np.sqrt(edges[1:] * edges[:-1]) / BREAK)
    density = np.log(np.maximum(number, 0.5) / np.diff(edges**3))
    terms = np.stack([np.ones_like(x), np.minimum(x, 0.0), np.maximum(x, 0.0)], axis=1)
    weights = np.sqrt(np.maximum(number, 0.5))
    found = np.linalg.lstsq(terms * weights[:, None], density * weights, rcond=None)[0]
    return [float(found[1]), float(found[2])]


def estimators(slopes: Sequence[float]) -> dict[str, Any]:
    """Return methods by name, told this density."""
    alpha = {"slopes": list(slopes), "breaks": [BREAK], "width": 0.3}
    within = {"r_range": list(RANGE), "alpha": alpha}
    return {
        "jeans-3d": {"bins": BINS, "alpha": alpha, "nfw": "none"},
        "tracer-mass": {"bins": BINS, "alpha": alpha, "nfw": "none"},
        "spline-jeans": {"r": RADII, **within, "alpha": "measured"},
        "nfw-tracer": {"r_out": RADII, "baryons": "mwpotential2014", **within},
    }


def weighed(halo: AccretedHalo, k: int, slopes: Sequence[float]) -> dict[str, list[float]]:
    """Return fractional errors of M(<r) of each method, row by row."""
    survey = make_survey(
        {"preset": "perfect", "n_stars": 4000, "r_min": RANGE[0], "r_max": RANGE[1]}
    )
    catalogue = survey.observe(halo, *np.random.default_rng([2005, k]).spawn(2)).catalogue
    found = {}
    for name, settings in estimators(slopes).items():
        estimator = make_estimator({"kind": name, **settings})
        rows = estimator.estimate(catalogue, np.random.default_rng(k))
        found[name] = [
            row.value / halo.truth.value("enclosed_mass", row.r) - 1.0
            for row in rows
            if row.quantity == "enclosed_mass"
        ]
    return found


def significant(halo: AccretedHalo) -> int:
    """Count the satellites that have 90 per cent of the stars together."""
    counts = np.sort(np.bincount(satellite_of(halo.population.stars)))[::-1]
    return int(np.searchsorted(np.cumsum(counts), 0.9 * counts.sum())) + 1


def line(what: str, values: Sequence[float], published: str = "") -> str:
    """Row of a table: median, the 16th and 84th percentile, and what is published."""
    lo, middle, hi = np.nanpercentile(values, [16, 50, 84])
    return f"| {what} | {middle:.3g} | {lo:.3g} to {hi:.3g} | {published} |"


def print_halos(halos: Sequence[AccretedHalo], slopes: Sequence[Sequence[float]]) -> None:
    """Print what the halos are like, beside published ones."""
    print("| of a halo | median | 16 to 84 % | published |\n|---|---|---|---|")
    print(line(f"slope, {RANGE[0]:g} to {BREAK:g} kpc", [s[0] for s in slopes], PUBLISHED["inner"]))
    print(line(f"slope, {BREAK:g} to {RANGE[1]:g} kpc", [s[1] for s in slopes], PUBLISHED["outer"]))
    for k, (lo, hi) in enumerate(SHELLS):
        beta = [halo.truth.value("beta", np.sqrt(lo * hi), lo, hi) for halo in halos]
        print(line(f"beta, {lo:g} to {hi:g} kpc", beta, PUBLISHED["beta"] if k == 0 else ""))
    made_of = [halo.structures for halo in halos]
    print(line("fell in", [s.fell_in for s in made_of]))
    print(line("with stars there", [s.contribute for s in made_of]))
    print(line("effective number", [s.effective for s in made_of], PUBLISHED["effective"]))
    print(line("for 90 % of the stars", list(map(significant, halos)), PUBLISHED["ninety"]))
    print(line("largest share", [s.largest for s in made_of]))
    print(line("stars [1e8 Msun]", [s.stellar_mass / 1e8 for s in made_of], PUBLISHED["mass"]))


def print_masses(errors: Sequence[dict[str, list[float]]]) -> None:
    """Print bias and scatter from halo to halo."""
    between = [f"{lo:g} to {hi:g} kpc" for lo, hi in itertools.pairwise(BINS)]
    within = [f"{r:g} kpc" for r in RADII]
    places = {
        "jeans-3d": between,
        "tracer-mass": between,
        "spline-jeans": within,
        "nfw-tracer": within,
    }
    print("| method | where | n | bias [%] | median [%] | scatter [%] | half of 16 to 84 [%] |")
    print("|---|---|---|---|---|---|---|")
    for name, there in places.items():
        for values, place in zip(100.0 * np.array([e[name] for e in errors]).T, there, strict=True):
            known = values[np.isfinite(values)]
            scatter = np.std(known, ddof=1)
            bias = f"{known.mean():+.0f} ± {scatter / np.sqrt(len(known)):.0f}"
            lo, middle, hi = np.percentile(known, [16, 50, 84])
            told = f"{len(known)} | {bias} | {middle:+.0f} | {scatter:.0f} | {0.5 * (hi - lo):.0f}"
            print(f"| {name} | {place} | {told} |")


def main() -> None:
    """Make the halos, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", choices=["halos", "masses", "seconds"])
    parser.add_argument("--halos", type=int, default=30)
    parser.add_argument("--seed", type=int, default=2005)
    asked = parser.parse_args()
    made = make_mock({"kind": "accreted", "potential": POTENTIAL})
    halos, slopes, seconds = [], [], []
    for k in range(asked.halos):
        halo = made.realized(history_seed(asked.seed, k))
        assert isinstance(halo, AccretedHalo)
        start = time.process_time()
        slopes.append(fitted_slopes(halo.population.stars.r))
        seconds.append(time.process_time() - start)
        halos.append(halo)
    if asked.table == "seconds":
        print(f"| | median | 16 to 84 per cent | |\n|---|---|---|---|\n{line('seconds', seconds)}")
    elif asked.table == "halos":
        print_halos(halos, slopes)
    else:
        print_masses([weighed(halo, k, slopes[k]) for k, halo in enumerate(halos)])


if __name__ == "__main__":
    main()
