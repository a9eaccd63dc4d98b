"""What a cut of [Fe/H] does to beta, and to the truth that it is compared with.

Two populations of one density, ``mr`` (beta 0.9, [Fe/H] -1.2 +- 0.25) and ``mp`` (beta 0.2, -1.8 +- 0.3), half of the
stars each, are observed without errors. The velocity ellipsoid, which is unbiased there, is compared with both truths
of beta: that of the halo, and that of the stars that passed. Run: ``python benchmarks/selection.py`` (about a minute).
"""

from __future__ import annotations

import itertools
import sys
import tempfile
from pathlib import Path

import numpy as np

import haloassay

BINS = [10.0, 20.0, 40.0]
#: Ranges of [Fe/H] that are kept.
CUTS = ([-np.inf, np.inf], [-np.inf, -1.3], [-1.7, -1.3], [-1.3, np.inf])


def scenario(realizations: int) -> dict[str, object]:
    """Scenario whose cells are the cuts."""
    chemistry = {"mr": (-1.2, 0.25, 0.9), "mp": (-1.8, 0.3, 0.2)}
    return {
        "name": "selection",
        "realizations": realizations,
        "seed": 10,
        "mock": {
            "kind": "equilibrium",
            "r_range": [2.0, 150.0],
            "potential": [{"kind": "nfw", "m200": 1.0e12, "c": 10.0}],
            "density": {"kind": "power-law", "slope": -3.5},
            "populations": [
                {
                    "name": name,
                    "fraction": 0.5,
                    "feh": {"mean": mean, "sigma": sigma},
                    "beta": {"kind": "constant", "beta": beta},
                }
                for name, (mean, sigma, beta) in chemistry.items()
            ],
        },
        "survey": {"preset": "perfect", "n_stars": 8000},
        "clean": [{"kind": "select", "feh": CUTS[0]}],
        "estimators": [{"kind": "velocity-ellipsoid", "bins": BINS}],
        "matrix": {"factors": {"clean.0.feh": [*CUTS]}},
    }


def main(realizations: int = 20) -> None:
    """Print truths and biases of beta."""
    spec = scenario(realizations)
    with tempfile.TemporaryDirectory() as folder:
        results = haloassay.run(spec, out=Path(folder) / "selection")
        frame = results.frame("estimates")
        cells = dict.fromkeys(frame["cell"])
    halo = haloassay.mock(spec).truth
    print("[Fe/H]            bin [kpc]   truth: halo   selected   bias against: halo      selected")
    for cell in cells:
        for lo, hi in itertools.pairwise(BINS):
            rows = frame[(frame.cell == cell) & (frame.quantity == "beta") & (frame.r_lo == lo)]
            whole = halo.value("beta", r_lo=lo, r_hi=hi)
            before, after = rows.value - whole, rows.value - rows.truth
            error = [np.std(x, ddof=1) / np.sqrt(len(x)) for x in (before, after)]
            print(
                f"{cell.removeprefix('clean.0.feh='):18}{lo:4.0f}-{hi:<4.0f}{whole:14.3f}{rows.truth.mean():11.3f}"
                f"{before.mean():14.3f} +- {error[0]:.3f}{after.mean():9.3f} +- {error[1]:.3f}"
            )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
