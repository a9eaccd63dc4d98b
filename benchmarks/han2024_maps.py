"""What ``sky-map`` says of the whole map in each cell of runs of ``han2024-correlation`` and ``han2024-built``.

Run with ``python benchmarks/han2024_maps.py DIR...``; the first line names the folders. Numbers are means over
realisations, errors Monte Carlo errors of the mean; what all realisations of a cell share because they see the same
stored stars is not in them. The axis is that of accreted stars.
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


#: What the base of a scenario is called.
BASES = {"han2024-correlation": "round", "han2024-built": "built by mergers"}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folders", type=Path, nargs="+")
    folders = parser.parse_args().folders
    names = " ".join(folder.name for folder in folders)
    print(f"<!-- python benchmarks/han2024_maps.py {names} -->")
    print(f"| halo | {' | '.join(name for name, _, _ in COLUMNS)} |")
    print(f"|---|{'---:|' * len(COLUMNS)}")
    for folder in folders:
        rows_of(Results(folder))


def rows_of(results: Results) -> None:
    """Print the rows of one run, with the number of stars where it is not the paper's."""
    frame = pd.concat([pd.read_parquet(file) for file in results.estimates_files])
    scenario = results.scenario
    base = BASES[str(scenario["name"])]
    stars = scenario["survey"].get("n_stars")
    few = f", {stars} stars" if stars else ""
    for cell, rows in frame.groupby("cell"):
        said = []
        for _, estimator, quantity in COLUMNS:
            mine = (rows["estimator"] == estimator) & (rows["quantity"] == quantity)
            values = rows.loc[mine, "value"].dropna().to_numpy(dtype=float)
            error = float(np.std(values, ddof=1)) / np.sqrt(len(values))
            said.append(labels.with_error(float(np.mean(values)), error, 1.0))
        print(
            f"| {base if cell == 'base' else str(cell).removeprefix('halo=')}{few} | {' | '.join(said)} |"
        )


if __name__ == "__main__":
    main()
