"""Every quantity of a method on stars of its own model, with the seconds it takes, of what ``calibration.py`` has run.

Run with ``python benchmarks/own_model.py OUT KIND``, after
``python benchmarks/calibration.py OUT --estimators KIND [--stars N ...] [--realizations N]``. Realisations are
those with a value; seconds, of one processor, are the median of a realisation.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from calibration import label, method, scored, size, tables_of
from calibration_cases import cases, kind_of

from haloassay.analysis.query import open_tables
from haloassay.contracts import labels

HEADS = ("method", "stars", "realisations", "quantity", "bias", "scatter", "68 %", "95 %")
HEADS += ("ranks", "seconds")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("kind")
    options = parser.parse_args()
    tables = tables_of(options.out)
    rows = scored(tables)
    with open_tables(tables) as opened:
        runs = opened.sql("SELECT estimator, cell, median(seconds) AS s FROM runs GROUP BY ALL")
        seconds = runs.df().set_index(["estimator", "cell"])["s"]
    print("| " + " | ".join(HEADS) + " |\n|" + "---|" * len(HEADS))
    for name in (each for each in cases() if kind_of(each) == options.kind):
        mine = rows[rows["estimator"] == name].sort_values(["stars", "quantity", "bin"])
        for row in mine.to_dict("records"):
            columns = [
                *(method(name), row["stars"], row["n"], label(row), size(row)),
                f"{labels.error_factor(row['quantity']) * row['scatter']:.2g}",
                *(f"{row[f'coverage{level}']:.2f}" for level in (68, 95)),
                "inside" if row["inside"] else row["shape"],
                f"{seconds[name, row['cell']]:.2g}",
            ]
            print("| " + " | ".join(str(column) for column in columns) + " |")


if __name__ == "__main__":
    main()
