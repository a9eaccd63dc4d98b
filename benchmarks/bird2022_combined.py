"""The weighted mean of four virial masses, two tracers by two methods, as Bird et al. (2022) combine them, in mocks.

Run ``haloassay run bird2022-kgiants --out KG -n 60`` and ``haloassay run bird2022-bhb --out BHB -n 60``, then
``python benchmarks/bird2022_combined.py KG BHB``. Realisation by realisation the four M200 of the cells with survey
errors are averaged with the inverse squares of their stated errors, which takes them for independent; the two methods
read the same stars. The table of the docs is printed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from haloassay.results.results import Results

COMMAND = "python benchmarks/bird2022_combined.py KG BHB"
METHODS = ("jeans-3d", "tracer-mass")


def masses(folder: Path, tracer: str) -> pd.DataFrame:
    """M200 over its truth and the stated error of that, by realisation, of both methods."""
    rows = Results(folder).frame("estimates")
    rows = rows[(rows["quantity"] == "m200") & ~rows["cell"].str.endswith("=perfect")]
    parts = {}
    for method in METHODS:
        own = rows[rows["estimator"] == method].set_index("realization")
        parts[f"{tracer}, {method}"] = pd.DataFrame(
            {
                "ratio": own["value"] / own["truth"],
                "error": 0.5 * (own["hi68"] - own["lo68"]) / own["truth"],
            }
        )
    return pd.concat(parts, axis=1)


def line(name: str, ratio: np.ndarray, error: np.ndarray, weight: str) -> str:
    """Row of Markdown: bias, scatter, stated error, coverage of one stated error."""
    n = len(ratio)
    held = np.mean(np.abs(ratio - 1.0) < error)
    bias = f"{100 * (ratio.mean() - 1.0):+.0f} ± {100 * ratio.std(ddof=1) / np.sqrt(n):.0f}"
    scatter, stated = 100 * ratio.std(ddof=1), 100 * error.mean()
    return f"| {name} | {n} | {bias} | {scatter:.0f} | {stated:.0f} | {held:.2f} | {weight} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("kgiants", type=Path)
    parser.add_argument("bhb", type=Path)
    asked = parser.parse_args()
    both = masses(asked.kgiants, "K giants").join(masses(asked.bhb, "BHB stars"), how="inner")
    both = both.dropna()
    ratio, error = (
        both.xs(part, axis=1, level=1).to_numpy(dtype=float) for part in ("ratio", "error")
    )
    names = list(both.columns.get_level_values(0).unique())
    weight = error**-2 / (error**-2).sum(axis=1, keepdims=True)
    print(f"<!-- {COMMAND} -->")
    head = "stars, method", "n", "bias [%]", "scatter [%]", "stated error [%]", "in it", "weight"
    print(f"| {' | '.join(head)} |")
    print(f"|{'---|' * len(head)}")
    for k, name in enumerate(names):
        print(line(name, ratio[:, k], error[:, k], f"{weight[:, k].mean():.2f}"))
    combined = (weight * ratio).sum(axis=1)
    print(line("weighted mean", combined, (error**-2).sum(axis=1) ** -0.5, ""))
    correlation = np.corrcoef(ratio.T)
    print(
        "| correlation of methods |  |  |  |  |  |"
        f" {correlation[0, 1]:.2f} (K giants), {correlation[2, 3]:.2f} (BHB stars) |"
    )


if __name__ == "__main__":
    main()
