"""What action-df makes of a halo that an LMC has moved, with and without its mean field taken off.

Run with ``python benchmarks/lmc_mean_field.py [--realizations N]``. Writes ``docs/measured/lmc-mean-field.md``.

Stars of the scenario ``lmc-ignored``, an equilibrium in an NFW halo of 0.8e12 Msun, c = 15, with the baryons of
MWPotential2014, with and without an LMC of 1.5e11 Msun, seen perfectly: 1000 between 30 and 120 kpc. The mean field
that is taken off is none; the translation that ``reflex-6d`` finds of the same 1000 stars in bins of radius, which
is what a user can have; and the mean Cartesian velocity of all stars of that halo. Realisations are draws from one
population, the same stars with and without an LMC.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from haloassay.base.seeds import stream
from haloassay.contracts.catalogue import Catalogue
from haloassay.contracts.sky import dipole_vector
from haloassay.estimators import make_estimator
from haloassay.mocks import make_mock
from haloassay.mocks.mock import Mock
from haloassay.mocks.surveys.survey import make_survey

PAGE = Path(__file__).parents[1] / "docs" / "measured" / "lmc-mean-field.md"
SEED = 2022
STARS = 1000
EDGES = (30.0, 50.0, 80.0, 120.0)
MIDDLES = (40.0, 60.0, 95.0)
MASSES = (50.0, 100.0)
LMCS = {"none": 0.0, "1.5e11 Msun": 1.5e11}
FIELDS = ("none", "by `reflex-6d`", "of all stars")

Field = dict[str, Any]


def halo(lmc: float) -> Mock:
    """Make the population of stars after an LMC of so many Msun."""
    baryons = {"kind": "mwpotential2014-baryons"}
    return make_mock(
        {
            "kind": "equilibrium",
            "potential": [{"kind": "nfw", "m200": 0.8e12, "c": 15.0}, baryons],
            "density": {"kind": "power-law", "slope": -4.6},
            "beta": {"kind": "table", "r": [5.0, 20.0, 40.0, 80.0], "beta": [0.6, 0.75, 0.65, 0.5]},
            "r_range": [20.0, 200.0],
            "lmc": {"mass": lmc, "time": 2.3},
            "population": {"size": 100_000, "tolerance": 1e-5},
        }
    )


def seen(mock: Mock, n: int | str, name: str, k: int) -> Catalogue:
    """Observe stars of a population, without errors."""
    spec = {"preset": "perfect", "n_stars": n, "r_min": EDGES[0], "r_max": EDGES[-1]}
    rngs = stream(SEED, name, k).spawn(2)
    return make_survey(spec).observe(mock, *rngs).catalogue


def binned(catalogue: Catalogue) -> Iterator[tuple[float, np.ndarray]]:
    """Yield median radius and rows of the stars of each bin."""
    for lo, hi in pairwise(EDGES):
        inside = np.flatnonzero((catalogue.r >= lo) & (catalogue.r < hi))
        yield float(np.median(catalogue.r[inside])), inside


def fitted(catalogue: Catalogue, k: int) -> Field:
    """Make the setting ``mean_field`` of the translation that reflex-6d finds, in bins where it finds one."""
    method = make_estimator({"kind": "reflex-6d", "bins": list(EDGES)})
    rows = method.estimate(catalogue, stream(SEED, "field", k))
    names = ("v_travel", "apex_l", "apex_b")
    speed, lon, lat = (np.array([row.value for row in rows.of(name)]) for name in names)
    # the stars move the other way than the centre travels
    velocity = dipole_vector(-speed, lon, lat)
    radii = np.array([r for r, _ in binned(catalogue)])
    known = np.isfinite(velocity).all(axis=1)
    return {"r": radii[known].tolist(), "velocity": velocity[known].tolist()}


def mean_of(catalogue: Catalogue) -> Field:
    """Make the setting ``mean_field`` of the mean Cartesian velocity of stars."""
    found = [(r, catalogue.velocity[rows].mean(axis=0).tolist()) for r, rows in binned(catalogue)]
    return {"r": [r for r, _ in found], "velocity": [v for _, v in found]}


def weighed(stars: Catalogue, field: Field | str, truth: list[float], k: int) -> np.ndarray:
    """Fit the stars: values over truth (2, 3) of M(<r) and M200, and whether 68 per cent hold it."""
    settings = {"kind": "action-df", "r_range": [EDGES[0], EDGES[-1]], "mean_field": field}
    settings |= {"r_out": list(MASSES), "baryons": "mwpotential2014"}
    rows = make_estimator(settings).estimate(stars, stream(SEED, "fit", k))
    pairs = list(zip([*rows.of("enclosed_mass"), *rows.of("m200")], truth, strict=True))
    return np.array(
        [[row.value / t for row, t in pairs], [row.lo68 <= t <= row.hi68 for row, t in pairs]]
    )


def cell(found: np.ndarray) -> str:
    """Mean error in per cent with its Monte Carlo error, scatter, and coverage, of those (n, 2) with a value."""
    ratio, holds = found[np.isfinite(found[:, 0])].T
    if len(ratio) < 2:
        return "none"
    scatter = 100.0 * ratio.std(ddof=1)
    return (
        f"{100.0 * (ratio.mean() - 1.0):+.1f} ± {scatter / np.sqrt(len(ratio)):.1f} "
        f"({scatter:.1f}; {holds.mean():.2f})"
    )


def write(
    found: dict[tuple[str, str], list[np.ndarray]], speeds: dict[tuple[str, str], list[np.ndarray]]
) -> None:
    """Write the table of what there is so far."""
    n = len(found["none", "none"])
    heads = ["LMC", "mean field taken off", "its speed, 40, 60 and 95 kpc"]
    heads += [*(f"M(<{r:g} kpc)" for r in MASSES), "M200"]
    lines = [f"<!-- python benchmarks/lmc_mean_field.py --realizations {n} -->", ""]
    lines += ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for (lmc, name), values in found.items():
        cells = [cell(each) for each in np.array(values, dtype=float).transpose(2, 0, 1)]
        if name == "none":
            speed = "-"
        else:
            median = np.median(speeds[lmc, name], axis=0)
            speed = ", ".join(f"{v:.0f}" for v in median) + " km/s"
        lines.append("| " + " | ".join([lmc, name, speed, *cells]) + " |")
    PAGE.write_text("\n".join([*lines, ""]))


def main() -> None:
    """Run all, write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--realizations", type=int, default=12)
    options = parser.parse_args()
    halos = {name: halo(mass) for name, mass in LMCS.items()}
    whole = {name: mean_of(seen(mock, "all", "all", 0)) for name, mock in halos.items()}
    found: dict[tuple[str, str], list[np.ndarray]] = {}
    speeds: dict[tuple[str, str], list[np.ndarray]] = {}
    for k in range(options.realizations):
        for lmc, mock in halos.items():
            truth = [float(mock.truth.value("enclosed_mass", r)) for r in MASSES]
            truth.append(float(mock.truth.value("m200")))
            stars = seen(mock, STARS, "stars", k)
            for name, field in zip(FIELDS, ("none", fitted(stars, k), whole[lmc]), strict=True):
                found.setdefault((lmc, name), []).append(weighed(stars, field, truth, k))
                if name != "none":
                    size = np.linalg.norm(field["velocity"], axis=1)
                    at = np.interp(MIDDLES, field["r"], size)
                    speeds.setdefault((lmc, name), []).append(at)
        if k:
            write(found, speeds)
        print(f"realisation {k + 1} of {options.realizations}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
