"""What ``sky-map`` says of the whole map in each cell of a run of ``han2024-correlation``: means over realisations.

Run with ``python benchmarks/han2024_maps.py DIR``. Errors are Monte Carlo errors of the mean; what all realisations
share because they see the same stored stars is not in them. The axis is that of accreted stars.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from haloassay.contracts import labels
from haloassay.results.results import Results

#: Columns: what they are called, estimator, quantity.
COLUMNS = (
    ("sigma_r from [km/s]", "sky-map", "sigma_r_lowest"),
    ("to [km/s]", "sky-map", "sigma_r_highest"),
    ("A", "sky-map", "asymmetry"),
    ("with sigma_r", "sky-map", "sigma_r_accreted_correlation"),
    ("with beta", "sky-map", "beta_accreted_correlation"),
    ("axis [deg]", "accreted-stars", "axis_offset"),
)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    results = Results(parser.parse_args().folder)
    frame = pd.concat([pd.read_parquet(file) for file in results.estimates_files])
    print("<!-- python benchmarks/han2024_maps.py DIR -->")
    print(f"| halo | {' | '.join(name for name, _, _ in COLUMNS)} |")
    print(f"|---|{'---:|' * len(COLUMNS)}")
    for cell, rows in frame.groupby("cell"):
        said = []
        for _, estimator, quantity in COLUMNS:
            mine = (rows["estimator"] == estimator) & (rows["quantity"] == quantity)
            values = rows.loc[mine, "value"].dropna().to_numpy(dtype=float)
            error = float(np.std(values, ddof=1)) / np.sqrt(len(values))
            said.append(labels.with_error(float(np.mean(values)), error, 1.0))
        print(
            f"| {str(cell).removeprefix('halo=').replace('base', 'round')} | {' | '.join(said)} |"
        )


if __name__ == "__main__":
    main()
