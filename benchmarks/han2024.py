"""Han et al. (2024): what a tilted, triaxial halo of two populations shows over the sky.

Run ``python benchmarks/han2024.py [--populations 4] [--realizations 5]``. The mock is that of the scenario ``han2024``,
made anew as several independent populations, which are kept in the cache. It prints the range of sigma_r over the sky,
in the first population without errors and as the survey's map finds it, its correlation with the fraction of accreted
stars, and the spherical Jeans mass of each Galactic quadrant over the truth. Realisations of one population share stars
and orbits, so that errors are those of the mean over populations; the scatter beside them is that of single surveys.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pandas as pd

import haloassay
from haloassay.estimators import make_estimator
from haloassay.planning.scenario import load_scenario

SCENARIO = "han2024"
QUADRANTS = ("l < 180, b > 0", "l > 180, b > 0", "l < 180, b < 0", "l > 180, b < 0")


def surveys(populations: int, realizations: int) -> Iterator[tuple[int, haloassay.MockCatalogue]]:
    """Yield the number of a population, and a catalogue of it."""
    scenario = load_scenario(SCENARIO).to_dict()
    settings = scenario["mock"]["population"]
    for p in range(populations):
        # another size is another population, of another seed
        size = settings["size"] + p * settings["phases"]
        mock = scenario["mock"] | {"population": settings | {"size": size}}
        for k in range(realizations):
            yield p, haloassay.mock(scenario | {"mock": mock}, realization=p * realizations + k)


def summary(values: list[tuple[int, float]]) -> str:
    """Mean over populations, its error, and the scatter of single surveys, of those that have a value."""
    frame = pd.DataFrame(values, columns=["population", "value"]).dropna()
    means = frame.groupby("population")["value"].mean()
    if len(means) < 2:
        return "-"
    error = means.std() / np.sqrt(len(means))
    return (
        f"{means.mean():.3g} +- {error:.2g}, scatter {frame['value'].std():.2g} (n = {len(frame)})"
    )


def quadrant(mock: haloassay.MockCatalogue) -> np.ndarray:
    """(N,) Galactic quadrant of each star as seen from the Sun, in the order of QUADRANTS."""
    x, y, z = (mock.catalogue.position - mock.catalogue.sun.position).T
    del x
    return np.where(z > 0.0, 0, 2) + np.where(y > 0.0, 0, 1)


def print_population(mock: haloassay.MockCatalogue) -> None:
    """Print the range of sigma_r over the pixels of each shell, without errors."""
    local = mock.truth.local
    variance = local.pixels.second - local.pixels.first**2
    for shell, (lo, hi) in enumerate(pairwise(local.edges)):
        sigma = np.sqrt(variance[shell, :, 0])
        print(
            f"population, {lo:.0f} to {hi:.0f} kpc: sigma_r of {len(sigma)} pixels from"
            f" {sigma.min():.0f} to {sigma.max():.0f} km/s"
        )


def main() -> None:
    """Print the map of the population, that of the surveys, and the Jeans masses."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--populations", type=int, default=4)
    parser.add_argument("--realizations", type=int, default=5)
    arguments = parser.parse_args()
    sky = make_estimator({"kind": "sky-map", "recipe": "deconvolved"})
    jeans = make_estimator(load_scenario(SCENARIO).estimators[2].spec)
    maps, masses = defaultdict(list), defaultdict(list)
    radii: dict[int, float] = {}
    for k, (p, mock) in enumerate(surveys(arguments.populations, arguments.realizations)):
        if k == 0:
            print_population(mock)
        for row in sky.estimate(mock.catalogue, np.random.default_rng(k)):
            if row.quantity not in ("sigma_r", "beta"):
                maps[row.quantity].append((p, row.value))
        of_star = quadrant(mock)
        parts = {"all": np.arange(len(of_star))}
        parts |= {name: np.flatnonzero(of_star == q) for q, name in enumerate(QUADRANTS)}
        for name, rows in parts.items():
            for row in jeans.estimate(mock.catalogue.select(rows), np.random.default_rng(k)):
                if row.quantity == "enclosed_mass":
                    truth = mock.truth.value("enclosed_mass", row.r) if not row.note else np.nan
                    masses[name, row.bin].append((p, row.value / truth))
                    radii.setdefault(row.bin, row.r)
    print("\nmap of the surveyed stars (H3: 70 to 160 km/s)")
    for name, values in maps.items():
        print(f"{name:32s} {summary(values)}")
    print("\nspherical Jeans mass over the truth, by bin of radius")
    for (name, bin_), values in masses.items():
        print(f"{name:16s} r = {radii[bin_]:5.1f} kpc  {summary(values)}")


if __name__ == "__main__":
    main()
