"""A score of a run as a small table for the docs: a row a bin, a column a cell.

Run with ``python benchmarks/papers.py DIR --quantity Q --estimator LABEL [--score bias]``. Biases of positive scales
are in per cent, with their Monte Carlo errors; a bin with fewer than 10 values is left out.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from haloassay.contracts import labels
from haloassay.results.results import Results

FEWEST = 10


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--quantity", required=True)
    parser.add_argument("--estimator", required=True)
    parser.add_argument("--score", default="bias")
    asked = parser.parse_args()
    scores = Results(asked.folder).table()
    scores = scores[scores["quantity"] == asked.quantity]
    scores = scores[(scores["estimator"] == asked.estimator) & (scores["n"] >= FEWEST)]
    factor = labels.error_factor(asked.quantity) if asked.score != "error_ratio" else 1.0
    cells = list(dict.fromkeys(scores["cell"]))
    command = (
        f"python benchmarks/papers.py DIR --quantity {asked.quantity} --estimator {asked.estimator}"
    )
    print(f"<!-- {command} -->")
    print(f"| r [kpc] | {' | '.join(cell.rpartition('.')[2] for cell in cells)} |")
    print(f"|---|{'---|' * len(cells)}")
    for _, rows in scores.groupby("bin"):
        said = []
        for cell in cells:
            here = rows[rows["cell"] == cell]
            value, error = (here[f"{asked.score}{end}"].to_list() for end in ("", "_mcse"))
            said.append(labels.with_error(value[0], error[0], factor) if value else "–")
        print(f"| {rows['r'].mean():.3g} | {' | '.join(said)} |")


if __name__ == "__main__":
    main()
