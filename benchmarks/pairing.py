"""What pairing saves: correlation of the errors of two cells that see the same stars, moved.

Run with ``python benchmarks/pairing.py [REALISATIONS] [STARS]`` (40 and 2000 by default; a few minutes). One base and a
cell for each change of mock and survey; for every estimator the median over its quantities and bins of the
correlation of errors, the least of them, and the Monte Carlo error of the mean difference with pairs over that
without (two independent runs of as many realisations). Then what no random numbers can exceed: the share of stars that
a bin of fixed radii has in both cells, where every star stays at its quantile of radius.
"""

from __future__ import annotations

import itertools
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

import haloassay
from haloassay.mocks.equilibria.tracers import make_density
from haloassay.mocks.stars import radial_table

SCENARIO = {
    "name": "pairing",
    "seed": 5,
    "mock": {
        "kind": "equilibrium",
        "potential": {"kind": "nfw", "m200": 1e12, "c": 12.0},
        "density": {"kind": "broken-power-law", "slopes": [-2.5, -4.0], "breaks": [20.0]},
        "beta": 0.5,
        "r_range": [5.0, 120.0],
    },
    "survey": {"preset": "perfect", "distance_error": 0.16, "pm_error": 0.02, "vlos_error": 5.0},
    "estimators": [
        {"kind": "velocity-ellipsoid", "bins": [5.0, 15.0, 30.0, 60.0]},
        {"kind": "tracer-mass", "alpha": -3.5, "bins": [10.0, 20.0, 40.0, 80.0]},
        {"kind": "spline-jeans", "alpha": -3.2, "r": [10.0, 20.0, 40.0]},
    ],
    "matrix": {
        "factors": {
            "mock.beta": [0.45, 0.55],
            "mock.density.breaks": [[18.0], [22.0]],
            "mock.density.slopes": [[-2.25, -4.0], [-2.5, -4.4]],
            "mock.potential.c": [10.8, 13.2],
            "mock.potential.m200": [0.9e12, 1.1e12],
            "survey.distance_scale": [0.9, 1.1],
            "survey.distance_error": [0.2],
        }
    },
}


def pairs(realizations: int, stars: int) -> pd.DataFrame:
    """Paired differences of all cells with the base."""
    scenario = {
        **SCENARIO,
        "realizations": realizations,
        "survey": {**SCENARIO["survey"], "n_stars": stars},
    }
    with tempfile.TemporaryDirectory() as folder:
        return haloassay.run(scenario, Path(folder) / "out").pairs("base")


def in_common() -> pd.DataFrame:
    """Stars that the ellipsoid's bins have in the base and in a cell, over the root of the product of all they have."""
    mock, bins = SCENARIO["mock"], SCENARIO["estimators"][0]["bins"]
    factors = SCENARIO["matrix"]["factors"]

    def below(scale: float = 1.0, **change: object) -> np.ndarray:
        table = radial_table(make_density({**mock["density"], **change}), *mock["r_range"])
        return np.interp(np.log(np.array(bins) / scale), table.log_r, table.cumulative)

    found, base = {}, below()
    for path, levels in factors.items():
        name = path.rsplit(".", 1)[-1]
        for level in levels:
            if "density" in path:
                other = below(**{name: level})
            elif name == "distance_scale":
                other = below(level)
            else:
                continue
            shared = np.minimum(base[1:], other[1:]) - np.maximum(base[:-1], other[:-1])
            found[f"{path}={level}"] = shared / np.sqrt(np.diff(base) * np.diff(other))
    columns = [f"{lo:g}-{hi:g} kpc" for lo, hi in itertools.pairwise(bins)]
    return pd.DataFrame.from_dict(found, orient="index", columns=columns)


def main() -> None:
    """Print the table."""
    realizations, stars = (int(x) for x in (*sys.argv[1:], 40, 2000)[:2])
    found = pairs(realizations, stars)
    found = found[np.isfinite(found["correlation"])]
    groups = found.groupby(["cell", "estimator"], sort=False)
    table = pd.DataFrame(
        {
            "correlation": groups["correlation"].median(),
            "least": groups["correlation"].min(),
            "error of the difference": 1.0 / np.sqrt(groups["gain"].median()),
            "realisations saved": groups["gain"].median(),
        }
    )
    print(f"{realizations} realisations of {stars} stars")
    print(table.round(3).to_string())
    print("\nstars of a bin in common")
    print(in_common().round(2).to_string())


if __name__ == "__main__":
    main()
