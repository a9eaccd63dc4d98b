"""How often the apex of a dipole is where the estimators say: intervals of b, and the cap on the sky.

    python benchmarks/apex_caps.py [REALIZATIONS]

An isotropic halo that travels at 40 km/s towards an apex at several latitudes, 1000 perfect stars at 50 to 120 kpc.
"""

from __future__ import annotations

import sys
import tempfile

import haloassay

LATITUDES = [-88.0, -60.0, -24.0]


def scenario(realizations: int) -> dict[str, object]:
    """One cell a latitude."""
    return {
        "name": "apex-caps",
        "realizations": realizations,
        "mock": {
            "kind": "equilibrium",
            "potential": {"kind": "nfw", "m200": 0.8e12, "c": 15.0},
            "density": {"kind": "power-law", "slope": -4.5},
            "beta": {"kind": "constant", "beta": 0.0},
            "r_range": [20.0, 300.0],
            "painted": {"v_travel": 40.0, "apex_l": 30.0, "apex_b": LATITUDES[0]},
        },
        "survey": {"n_stars": 1000, "r_min": 50.0, "r_max": 120.0},
        "estimators": [{"kind": "dipole"}, {"kind": "reflex-6d"}],
        "matrix": {"factors": {"mock.painted.apex_b": LATITUDES}},
    }


def main() -> None:
    """Print one line a latitude and estimator."""
    realizations = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    with tempfile.TemporaryDirectory() as folder:
        table = haloassay.run(scenario(realizations), out=folder).table()
    for cell, lat in zip(table["cell"].unique(), LATITUDES, strict=True):
        for estimator in ("dipole", "reflex-6d"):
            rows = table[(table["cell"] == cell) & (table["estimator"] == estimator)]
            by_name = rows.set_index("quantity")
            told = (
                f"{name} {by_name.loc[name, 'coverage68']:.2f} {by_name.loc[name, 'coverage95']:.2f}"
                for name in ("apex_l", "apex_b", "apex_offset")
            )
            offset = by_name.loc["apex_offset", "bias"]
            print(
                f"b = {lat:g} deg, {estimator:9s}: in 68 and 95 per cent: {', '.join(told)};"
                f" mean offset {offset:.1f} deg"
            )


if __name__ == "__main__":
    main()
