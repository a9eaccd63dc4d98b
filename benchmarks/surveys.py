"""What the papers say of their samples, beside the catalogues of the presets: numbers, places, errors.

Run with ``python benchmarks/surveys.py [preset ...]``. Each preset looks at an equilibrium with the density of its
paper, or, where the paper states none, with one that was measured elsewhere. "selected" is the fraction of the true
stars, between the radii of the mock, that the survey keeps.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import time
from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from haloassay.contracts.catalogue import Catalogue
from haloassay.mocks import make_mock
from haloassay.mocks.surveys.survey import Observation, make_survey

FloatArray = NDArray[np.float64]
#: What is said, what the paper has (or nothing), what the catalogue has.
Statement = tuple[str, object, object]

MILKY_WAY = [{"kind": "nfw", "m200": 0.8e12, "c": 15.0}, {"kind": "mwpotential2014-baryons"}]

#: Edges [kpc], numbers of stars and beta in the bins of Li et al. (2026, Table 1).
LI_EDGES = (3.0, 9.0, 11.5, 13.7, 15.9, 18.2, 20.8, 24.2, 28.7, 35.8, 47.5, 60.0, 80.0, 160.0)
LI_STARS = (6987, 6890, 6741, 6671, 6640, 6475, 6242, 5879, 5318, 4190, 1596, 779, 164)
LI_BETA = {
    "kind": "table",
    "r": [6.0, 10.2, 12.6, 14.8, 17.0, 19.5, 22.5, 26.4, 32.0, 41.0, 53.5, 70.0, 100.0],
    "beta": [
        0.651,
        0.768,
        0.79,
        0.788,
        0.78,
        0.775,
        0.753,
        0.723,
        0.636,
        0.502,
        0.318,
        0.316,
        0.305,
    ],
}


def mock(slopes: list[float], breaks: list[float], beta: object, potential: object = None) -> dict:
    """Table of an equilibrium whose density is a broken power law."""
    return {
        "kind": "equilibrium",
        "potential": potential or MILKY_WAY,
        "density": {"kind": "broken-power-law", "slopes": slopes, "breaks": breaks},
        "beta": beta,
        "r_range": [2.5, 250.0],
        "alpha_fe": {"mean": 0.2, "sigma": 0.1},
    }


def constant(beta: float) -> dict:
    return {"kind": "constant", "beta": beta}


ZHAI = [{"kind": "nfw", "m200": 1.08e12, "c": 18.5, "h0": 70.0}, {"kind": "zhai2018-baryons"}]
#: Xue et al. (2015): K giants of SEGUE.
XUE = ([-2.1, -3.8], [18.0])
BIRD_BETA = {"kind": "table", "r": [5.0, 20.0, 40.0, 80.0], "beta": [0.6, 0.75, 0.65, 0.5]}
MOCKS = {
    "perfect": mock(*XUE, LI_BETA),
    "lamost-kgiants": mock([-4.0, -4.0], [17.0], constant(0.0), ZHAI),
    "lamost-segue-kgiants": mock([-2.8, -4.6], [17.0], BIRD_BETA),
    "sdss-bhb": mock([-3.5, -4.7], [22.0], constant(0.55)),
    "h3-giants": mock(*XUE, LI_BETA),
    "desi-kgiants": mock(*XUE, LI_BETA),
    "gaia-rrlyrae": mock(*XUE, LI_BETA),
    "all-sky": mock(*XUE, LI_BETA),
}


def velocity_errors(catalogue: Catalogue) -> FloatArray:
    """(N, 3) errors of (v_r, v_theta, v_phi) [km/s]."""
    return np.sqrt(np.einsum("nii->ni", catalogue.spherical_covariance))


def within(catalogue: Catalogue, r: float) -> str:
    return f"{np.mean(catalogue.r < r):.3f}"


def beyond(catalogue: Catalogue, r: float) -> int:
    return int(np.count_nonzero(catalogue.r > r))


def zhai(c: Catalogue) -> Iterator[Statement]:
    yield "stars beyond 40 kpc", 486, beyond(c, 40.0)
    yield "farthest [kpc]", "120", f"{c.r.max():.0f}"


def kgiants(c: Catalogue) -> Iterator[Statement]:
    yield "within 17 kpc (the break)", "> 0.5", within(c, 17.0)
    yield "within 20 kpc", "> 0.6", within(c, 20.0)
    yield "within 25 kpc", "> 0.5", within(c, 25.0)
    yield "stars in the bin from 65 kpc", "> 10, mostly > 50", beyond(c, 65.0)
    yield "range [kpc]", "3 to 105", f"{c.r.min():.1f} to {c.r.max():.0f}"


def bhb(c: Catalogue) -> Iterator[Statement]:
    yield "within 22 kpc (the break)", "> 0.5", within(c, 22.0)
    yield "within 20 kpc", "> 0.6", within(c, 20.0)
    yield "stars in the bin from 50 kpc", "> 10", beyond(c, 50.0)
    yield "range [kpc]", "4 to 60", f"{c.r.min():.1f} to {c.r.max():.0f}"


def h3(c: Catalogue) -> Iterator[Statement]:
    errors = velocity_errors(c)
    for lo, hi in ((10.0, 20.0), (20.0, 30.0), (30.0, 40.0), (40.0, 60.0), (60.0, 90.0)):
        inside = (c.r >= lo) & (c.r < hi)
        v_r, v_theta, v_phi = np.median(errors[inside], axis=0)
        line = 4.74 * 0.1 * np.median(c.r[inside])
        yield f"v_r error, {lo:.0f} to {hi:.0f} kpc [km/s]", "2", f"{v_r:.1f}"
        yield (
            "v_theta, v_phi errors [km/s]",
            f"{line:.0f} (0.1 mas/yr)",
            f"{v_theta:.0f}, {v_phi:.0f}",
        )


def desi(c: Catalogue) -> Iterator[Statement]:
    errors = np.median(velocity_errors(c), axis=0)
    for name, paper, found in zip(("v_r", "v_theta", "v_phi"), (7, 29, 31), errors, strict=True):
        yield f"median error of {name} [km/s]", paper, f"{found:.1f}"
    yield "largest error [km/s]", "100", f"{velocity_errors(c).max():.1f}"
    yield (
        "median distance error",
        "0.12; 0.18",
        f"{np.median(c['distance_err'] / c['distance']):.3f}",
    )
    counts = np.histogram(c.r, LI_EDGES)[0]
    share = np.array(LI_STARS) / sum(LI_STARS)
    for k, (lo, hi) in enumerate(pairwise(LI_EDGES)):
        yield (
            f"share of stars, {lo:g} to {hi:g} kpc",
            f"{share[k]:.3f}",
            f"{counts[k] / len(c):.3f}",
        )


STATEMENTS: dict[str, Callable[[Catalogue], Iterator[Statement]]] = {
    "lamost-kgiants": zhai,
    "lamost-segue-kgiants": kgiants,
    "sdss-bhb": bhb,
    "h3-giants": h3,
    "desi-kgiants": desi,
}


def observe(name: str, **settings: object) -> Observation:
    survey = make_survey({"preset": name, **settings})
    return survey.observe(make_mock(MOCKS[name]), *np.random.default_rng(2026).spawn(2))


def show(name: str) -> None:
    """Print what a preset's catalogue is like, and what the paper says of it."""
    observe(name, n_stars=1)  # solves the mock
    start = time.perf_counter()
    observation = observe(name)
    seconds = time.perf_counter() - start
    c, stars = observation.catalogue, observation.stars
    print(
        f"\n{name}: {len(c)} stars, median distance {np.median(c['distance']):.1f} kpc, median true r "
        f"{np.median(stars.r):.1f} kpc, selected {len(c) / observation.n_drawn:.3f}, {seconds:.2f} s"
    )
    for what, paper, found in STATEMENTS.get(name, lambda _: iter(()))(c):
        print(f"  {what:34}{paper!s:>20}{found!s:>16}")
    if name == "desi-kgiants":
        everything = velocity_errors(observe(name, error_max=[np.inf] * 3).catalogue)
        lost = 1.0 - np.mean(np.all(everything < 100.0, axis=1))
        print(f"  {'lost by the cut on errors':34}{'0.31':>20}{lost:16.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("presets", nargs="*", choices=[*MOCKS, []], default=[])
    for name in parser.parse_args().presets or MOCKS:
        show(name)


if __name__ == "__main__":
    main()
