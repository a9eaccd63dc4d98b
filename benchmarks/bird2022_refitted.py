"""What distances that are wrong by 10 per cent do where the density is measured anew with them (Bird et al. 2022).

Run ``haloassay run bird2022-refitted --out REFITTED -n 12``, then ``python benchmarks/bird2022_refitted.py REFITTED``.
Differences are from the cell with right distances, realisation by realisation. The table of the docs is printed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from haloassay.results.results import Results

COMMAND = "python benchmarks/bird2022_refitted.py REFITTED"
CELLS = {
    "distance scale=0.9": "0.9",
    "distance scale=1.1": "1.1",
    "distance scale, true luminosities=0.9": "0.9, true luminosities",
    "distance scale, true luminosities=1.1": "1.1, true luminosities",
}
#: Estimator, quantity, bin, whether the change is a ratio, and the title of a row.
ROWS = (
    ("tracer-density", "alpha", 0, False, "slope at 8 kpc"),
    ("tracer-density", "alpha", 1, False, "slope at 50 kpc"),
    ("tracer-density", "r_break", 0, False, "break [kpc]"),
    ("tracer-density", "axis_ratio", 0, False, "axis ratio"),
    ("jeans-3d", "enclosed_mass", 0, True, "M(< 10 kpc), jeans-3d [%]"),
    ("jeans-3d-v_c", "enclosed_mass", 0, True, "the same with inner_vc [%]"),
    ("jeans-3d", "enclosed_mass", 4, True, "M(< 49 kpc), jeans-3d [%]"),
    ("jeans-3d-v_c", "enclosed_mass", 4, True, "the same with inner_vc [%]"),
    ("tracer-mass", "enclosed_mass", 4, True, "M(< 49 kpc), tracer-mass [%]"),
    ("jeans-3d", "m200", 0, True, "M200, jeans-3d [%]"),
    ("jeans-3d-v_c", "m200", 0, True, "the same with inner_vc [%]"),
    ("tracer-mass", "m200", 0, True, "M200, tracer-mass [%]"),
)


def change(rows: pd.DataFrame, row: tuple[str, str, int, bool, str], cell: str) -> str:
    """Mean difference of a cell from the base, with its Monte Carlo error."""
    estimator, quantity, bin_, is_ratio, _ = row
    own = rows[(rows["estimator"] == estimator) & (rows["quantity"] == quantity)]
    own = own[own["bin"] == bin_].pivot_table(index="realization", columns="cell", values="value")
    both = own[["base", cell]].dropna()
    moved = both[cell] / both["base"] - 1.0 if is_ratio else both[cell] - both["base"]
    values = moved.to_numpy() * (100.0 if is_ratio else 1.0)
    error = values.std(ddof=1) / np.sqrt(len(values))
    digits = 1 if is_ratio else 3
    return f"{values.mean():+.{digits}f} ± {error:.{digits}f}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("results", type=Path)
    rows = Results(parser.parse_args().results).frame("estimates")
    print(f"<!-- {COMMAND} -->")
    print(
        f"| change, in {rows['realization'].nunique()} realisations | {' | '.join(CELLS.values())} |"
    )
    print(f"|{'---|' * (1 + len(CELLS))}")
    for row in ROWS:
        print(f"| {row[-1]} | {' | '.join(change(rows, row, cell) for cell in CELLS)} |")


if __name__ == "__main__":
    main()
