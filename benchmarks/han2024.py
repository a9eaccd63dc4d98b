"""Han et al. (2024): what a tilted, triaxial halo of two populations shows over the sky.

Run ``python benchmarks/han2024.py [--realizations 20]``. The mock is that of the scenario ``han2024``, made once and
kept in the cache. It prints the range of sigma_r over the sky, in the population without errors and as the survey's map
finds it, its correlation with the fraction of accreted stars, and the spherical Jeans mass of each Galactic quadrant
over the truth. Errors are Monte Carlo errors of the mean over realisations.
"""

from __future__ import annotations

import argparse

import numpy as np

import haloassay
from haloassay.estimators import make_estimator
from haloassay.scenario import load_scenario

SCENARIO = "han2024"
QUADRANTS = ("l < 180, b > 0", "l > 180, b > 0", "l < 180, b < 0", "l > 180, b < 0")


def summary(values: list[float]) -> str:
    """Mean over realisations and its Monte Carlo error, of those that have a value."""
    known = np.array([v for v in values if np.isfinite(v)])
    if len(known) < 2:
        return "-"
    return f"{known.mean():.3g} +- {known.std(ddof=1) / np.sqrt(len(known)):.2g} (n = {len(known)})"


def quadrant(mock: haloassay.api.MockCatalogue) -> np.ndarray:
    """(N,) Galactic quadrant of each star as seen from the Sun, in the order of QUADRANTS."""
    x, y, z = (mock.catalogue.position - mock.catalogue.sun.position).T
    del x
    return np.where(z > 0.0, 0, 2) + np.where(y > 0.0, 0, 1)


def maps(realizations: int) -> None:
    """Print range and correlation of sigma_r over the sky."""
    sky = make_estimator({"kind": "sky-map", "recipe": "deconvolved"})
    found: dict[str, list[float]] = {}
    for k in range(realizations):
        mock = haloassay.mock(SCENARIO, realization=k)
        for row in sky.estimate(mock.catalogue, np.random.default_rng(k)):
            if row.quantity not in ("sigma_r", "beta"):
                found.setdefault(row.quantity, []).append(row.value)
        if k == 0:
            local = mock.truth.local
            assert local is not None
            variance = local.pixels.second - local.pixels.first**2
            for shell, (lo, hi) in enumerate(zip(local.edges[:-1], local.edges[1:], strict=True)):
                sigma = np.sqrt(variance[shell, :, 0])
                print(
                    f"population, {lo:.0f} to {hi:.0f} kpc: sigma_r of {len(sigma)} pixels from"
                    f" {sigma.min():.0f} to {sigma.max():.0f} km/s"
                )
    print("\nmap of the surveyed stars (H3: 70 to 160 km/s)")
    for name, values in found.items():
        print(f"{name:32s} {summary(values)}")


def masses(realizations: int) -> None:
    """Print the spherical Jeans mass over the truth, of all stars and by quadrant."""
    jeans = make_estimator(load_scenario(SCENARIO).estimators[2].spec)
    found: dict[tuple[str, int], list[float]] = {}
    radii: dict[int, float] = {}
    for k in range(realizations):
        mock = haloassay.mock(SCENARIO, realization=k)
        of_star = quadrant(mock)
        parts = {"all": np.arange(len(of_star))}
        parts |= {name: np.flatnonzero(of_star == q) for q, name in enumerate(QUADRANTS)}
        for name, rows in parts.items():
            catalogue = mock.catalogue.select(rows)
            for row in jeans.estimate(catalogue, np.random.default_rng(k)):
                if row.quantity == "enclosed_mass":
                    truth = mock.truth.value("enclosed_mass", row.r) if not row.note else np.nan
                    found.setdefault((name, row.bin), []).append(row.value / truth)
                    radii.setdefault(row.bin, row.r)
    print("\nspherical Jeans mass over the truth, by bin of radius")
    for (name, bin_), values in found.items():
        print(f"{name:16s} r = {radii[bin_]:5.1f} kpc  {summary(values)}")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--realizations", type=int, default=20)
    arguments = parser.parse_args()
    maps(arguments.realizations)
    masses(arguments.realizations)


if __name__ == "__main__":
    main()
