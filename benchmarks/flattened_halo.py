"""What ``axisymmetric-jeans`` finds in halos of orbits that are not its own model, beside two spherical methods.

Run with ``python benchmarks/flattened_halo.py``. Stars of stored populations, which were followed in each potential;
the density of the tracers, slope and axis ratio, is the likeliest power law of many of them, so nothing is given.
The truth of the axis ratio is that of the dark density.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from typing import Any

import numpy as np
from scipy.optimize import minimize

from haloassay.contracts.catalogue import Catalogue
from haloassay.estimators import make_estimator
from haloassay.mocks import make_mock
from haloassay.mocks.mock import Mock
from haloassay.mocks.surveys.survey import make_survey

EDGES = (8.0, 60.0)
STARS, SAMPLES, ALL = 3000, 8, 15000
RADII = (12.0, 40.0)
TRACERS = {
    "kind": "equilibrium",
    "density": {"kind": "power-law", "slope": -3.5},
    "beta": {"kind": "constant", "beta": 0.4},
    "r_range": [4.0, 120.0],
}
STORED = {"size": 60000, "time": 4.0}
DISC = {"kind": "mwpotential2014-baryons"}
MOCKS: dict[str, tuple[dict[str, Any], str]] = {
    "round": ({"potential": {"kind": "nfw", "m200": 1e12, "c": 12.0}}, "none"),
    "flat to 0.7": (
        {
            "potential": {
                "kind": "triaxial-nfw",
                "m200": 1e12,
                "c": 12.0,
                "axis_ratios": [1.0, 0.7],
            },
            "shape": {"axis_ratios": [1.0, 0.75]},
            "population": STORED,
        },
        "none",
    ),
    "round, with a disc": (
        {
            "potential": [{"kind": "nfw", "m200": 1e12, "c": 12.0}, DISC],
            "shape": {"axis_ratios": [1.0, 0.9]},
            "population": STORED,
        },
        "mwpotential2014",
    ),
}


def sample(mock: Mock, n: int, seed: int) -> Catalogue:
    """Stars of a mock, perfectly measured."""
    survey = make_survey({"n_stars": n, "r_min": EDGES[0], "r_max": EDGES[1]})
    return survey.observe(mock, *np.random.default_rng(seed).spawn(2)).catalogue


def power_law(stars: Catalogue) -> tuple[float, float]:
    """Slope and axis ratio of the likeliest power law of m^2 = R^2 + z^2 / q^2 within the radii."""
    r, x = stars.r, stars.position[:, 2] / stars.r
    at = np.linspace(0.0, 1.0, 201)

    def loss(point: np.ndarray) -> float:
        slope, q = point[0], np.exp(point[1])
        bent = 1.0 - x**2 + (x / q) ** 2
        norm = np.mean((1.0 - at**2 + (at / q) ** 2) ** (0.5 * slope))
        lo, hi = EDGES
        shells = (hi ** (slope + 3.0) - lo ** (slope + 3.0)) / (slope + 3.0)
        return -float(np.mean(slope * (np.log(r) + 0.5 * np.log(bent))) - np.log(norm * shells))

    found = minimize(loss, [-3.3, -0.1], method="Nelder-Mead").x
    return float(found[0]), float(np.exp(found[1]))


def methods(alpha: float, q_stars: float, baryons: str) -> dict[str, dict[str, Any]]:
    """Tell the settings of what is compared."""
    flat = {"kind": "axisymmetric-jeans", "alpha": alpha, "q_stars": q_stars, "baryons": baryons}
    flat |= {"r_out": list(RADII), "q_halo": [0.3, 1.5]}
    virial = {"kind": "jeans-virial", "alpha": alpha, "r": list(RADII), "baryons": baryons}
    nfw = {"kind": "nfw-tracer", "alpha": alpha, "r_out": list(RADII), "baryons": baryons}
    return {
        "`axisymmetric-jeans`": flat,
        "the same, beta turning": {**flat, "anisotropy": "turning"},
        "the same, aligned along R and z": {**flat, "alignment": "cylindrical"},
        "the same, halo held round": {**flat, "q_halo": 1.0},
        "`jeans-virial`": virial,
        "`nfw-tracer`": {**nfw, "n_bootstrap": 50},
    }


def said(errors: list[float], stated: list[float]) -> str:
    """Mean error with its Monte Carlo error, and what was stated, in per cent."""
    if len(errors) < SAMPLES // 2:
        return "-"
    e = 100.0 * np.array(errors)
    return f"{e.mean():.1f} ± {e.std(ddof=1) / np.sqrt(len(e)):.1f} ({100.0 * np.mean(stated):.1f})"


def main() -> None:
    """Print the table."""
    columns = [f"M(<{r:g} kpc)" for r in RADII] + ["M200", "axis ratio"]
    print("| halo | tracers | method |", " | ".join(columns), "|")
    print("|---" * (3 + len(columns)) + "|")
    for name, (spec, baryons) in MOCKS.items():
        mock = make_mock({**TRACERS, **spec})
        alpha, q_stars = power_law(sample(mock, ALL, 1))
        catalogues = [sample(mock, STARS, 10 + k) for k in range(SAMPLES)]
        for label, settings in methods(alpha, q_stars, baryons).items():
            method = make_estimator(settings)
            found: dict[str, tuple[list[float], list[float]]] = {c: ([], []) for c in columns}
            for k, catalogue in enumerate(catalogues):
                for row in method.estimate(catalogue, np.random.default_rng(k)):
                    column = {"m200": "M200", "q_halo": "axis ratio"}.get(row.quantity, "")
                    if row.quantity == "enclosed_mass":
                        column = f"M(<{row.r:g} kpc)"
                    if row.note or column not in found:
                        continue
                    true = mock.truth.value(row.quantity, row.r)
                    found[column][0].append(row.value / true - 1.0)
                    found[column][1].append(0.5 * (row.hi68 - row.lo68) / true)
            cells = [said(*found[column]) for column in columns]
            print(f"| {name} | {alpha:.2f}, {q_stars:.2f} | {label} |", " | ".join(cells), "|", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
