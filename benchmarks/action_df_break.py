"""What a break of the density that is sharper than that of the distribution function does to action-df.

    python benchmarks/action_df_break.py [REALIZATIONS]

3000 perfect stars of 5 to 100 kpc, of an isotropic f(E) in an NFW halo; breaks of their density at 20 kpc of several
widths in ln r.
"""

from __future__ import annotations

import sys
import tempfile

import haloassay

WIDTHS = [0.02, 0.1, 0.2, 0.5]
STEEPNESS = [1.0, 2.0, 4.0]


def scenario(realizations: int) -> dict[str, object]:
    """One cell a width, one estimator a steepness."""
    edges, places = [5.0, 100.0], [20.0, 40.0, 80.0]
    return {
        "name": "action-df-break",
        "realizations": realizations,
        "seed": 5,
        "mock": {
            "kind": "equilibrium",
            "potential": {"kind": "nfw", "m200": 1e12, "c": 12.0},
            "density": {
                "kind": "broken-power-law",
                "slopes": [-2.5, -4.5],
                "breaks": [20.0],
                "width": WIDTHS[0],
            },
            "beta": {"kind": "constant", "beta": 0.0},
            "distribution": {"kind": "cuddeford"},
            "r_range": [3.0, 150.0],
        },
        "survey": {"n_stars": 3000, "r_min": edges[0], "r_max": edges[1]},
        "estimators": [
            {"kind": "action-df", "label": f"s = {s:g}", "steepness": s, "r_range": edges, "r_out": places}
            for s in STEEPNESS
        ],
        "matrix": {"factors": {"mock.density.width": WIDTHS}},
    }  # fmt: skip


def main() -> None:
    """Print one line a width and steepness: biases with Monte Carlo errors, and how often 68 per cent hold."""
    realizations = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    with tempfile.TemporaryDirectory() as folder:
        table = haloassay.run(scenario(realizations), out=folder).table()
    for cell, width in zip(table["cell"].unique(), WIDTHS, strict=True):
        for steepness in STEEPNESS:
            rows = table[(table["cell"] == cell) & (table["estimator"] == f"s = {steepness:g}")]
            told = (
                f"{row.quantity} {row.r:g} {100.0 * row.bias:+.1f} +- {100.0 * row.bias_mcse:.1f} %"
                f" (held {row.coverage68:.2f})"
                for row in rows[rows["quantity"].isin(["enclosed_mass", "m200"])].itertuples()
            )
            print(f"width {width:g}, s = {steepness:g}: {', '.join(told)}")


if __name__ == "__main__":
    main()
