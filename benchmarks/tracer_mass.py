"""What the scale-free tracer-mass estimator costs in NFW halos, on perfect data with everything else right.

    python benchmarks/tracer_mass.py [REALIZATIONS]

Tracers of r^-3.5 with beta = 0.5, both known; a = 0.5, its default; 30000 stars from 5 to 160 kpc in five bins. Printed
is the bias of M(<r) at each bin's median radius, and at its outermost star.
"""

from __future__ import annotations

import sys
import tempfile

import haloassay

HALOS = ((0.8e12, 15.0), (1e12, 10.0), (1e12, 5.0))
BINS = [5.0, 10.0, 20.0, 40.0, 80.0, 160.0]


def scenario(realizations: int) -> dict[str, object]:
    """One cell a halo."""
    halos = [[{"kind": "nfw", "m200": m200, "c": c}] for m200, c in HALOS]
    method = {"kind": "tracer-mass", "alpha": -3.5, "beta": 0.5, "bins": BINS}
    return {
        "name": "tracer-mass-in-nfw",
        "realizations": realizations,
        "seed": 3,
        "mock": {
            "kind": "equilibrium",
            "potential": halos[0],
            "density": {"kind": "power-law", "slope": -3.5},
            "beta": {"kind": "constant", "beta": 0.5},
            "r_range": [2.0, 300.0],
        },
        "survey": {"n_stars": 30_000, "r_min": BINS[0], "r_max": BINS[-1]},
        "estimators": [
            {**method, "label": "median"},
            {**method, "label": "outermost", "at": "outermost"},
        ],
        "matrix": {"factors": {"mock.potential": halos}},
    }


def main() -> None:
    """Print one line a halo and radius."""
    realizations = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    with tempfile.TemporaryDirectory() as folder:
        table = haloassay.run(scenario(realizations), out=folder).table()
    table = table[table["quantity"] == "enclosed_mass"]
    for (m200, c), cell in zip(HALOS, table["cell"].unique(), strict=True):
        for at in ("median", "outermost"):
            rows = table[(table["cell"] == cell) & (table["estimator"] == at)]
            shown = ", ".join(
                f"{100.0 * row.bias:+.1f} +- {100.0 * row.bias_mcse:.1f} at {row.r:.3g} kpc"
                for row in rows.itertuples()
            )
            print(f"m200 = {m200:.1e}, c = {c:g}, {at}: {shown} [per cent]")


if __name__ == "__main__":
    main()
