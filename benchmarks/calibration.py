"""Bias, coverage and calibration of every estimator on stars of its own model, in one table.

Run with ``python benchmarks/calibration.py OUT [--estimators NAME ... | --cases NAME ...]
[--stars N ...] [--realizations 400] [-j 2]``. Realisations are kept in OUT as result tables and not computed again, so
the whole can be run in pieces; the table is that of all that OUT holds. ``--table`` prints it alone, ``--rows``
every quantity and bin. The stars are what each method takes them for: velocities
Gaussian with the moments that it assumes, or drawn from its distribution function, so nothing but the
method can be off. Some samplers are those of ``tests/estimators``.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import multiprocessing
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from calibration_cases import WHY, cases, kind_of
from tables import Tables

from haloassay.analysis import calibrate, scores
from haloassay.analysis.query import open_tables
from haloassay.base import kinds
from haloassay.base.errors import EstimationError
from haloassay.base.seeds import stream
from haloassay.contracts import labels
from haloassay.contracts.estimate import Estimate
from haloassay.contracts.quantities import QUANTITIES
from haloassay.contracts.schema import SCHEMAS
from haloassay.estimators import make_estimator

STARS = (300, 3000, 30000)
SEED = 2022
#: Realisations of one file.
CHUNK = 25
# ------------------------------------------------------------------------------------------- running


@dataclass(frozen=True)
class Piece:
    """Some realisations of one case with one number of stars."""

    out: Path
    case: str
    stars: int
    first: int
    last: int

    @property
    def name(self) -> str:
        """Of its files."""
        case = self.case.replace(", ", "+").replace(" ", "_")
        return f"{case}-{self.stars}-{self.first}-{self.last}.parquet"

    @property
    def done(self) -> bool:
        """Whether its files are there."""
        return (self.out / "runs" / self.name).exists()


def run_piece(piece: Piece) -> Piece:
    """Run the realisations of a piece and write their tables; that of the runs last."""
    case = cases()[piece.case]
    method = make_estimator({"kind": kind_of(case.name), **case.spec})
    rows: dict[str, list[dict[str, Any]]] = {"estimates": [], "runs": []}
    cell = f"{piece.stars} stars"
    for k in range(piece.first, piece.last):
        keys = {"cell": cell, "estimator": case.name, "realization": k}
        keys |= {"cell_key": cell, "estimator_key": case.name}
        catalogue = case.draw(piece.stars, stream(SEED, f"{kind_of(case.name)}:{piece.stars}", k))
        start = time.process_time()
        run: dict[str, Any] = {"status": "ok", "n_stars": len(catalogue)}
        try:
            found = method.estimate(catalogue, stream(SEED, f"estimator:{case.name}", k))
            rows["estimates"] += [{**keys, **fields(row, case.truth(row))} for row in found]
        except EstimationError as error:
            run |= {"status": "failed", "error_type": "EstimationError", "message": str(error)}
        rows["runs"].append({**keys, **run, "seconds": time.process_time() - start})
    for kind, schema in SCHEMAS.items():
        path = piece.out / kind / piece.name
        pq.write_table(pa.Table.from_pylist(rows[kind], schema=schema), path.with_suffix(".tmp"))
        path.with_suffix(".tmp").rename(path)
    return piece


def fields(row: Estimate, truth: float) -> dict[str, Any]:
    """Columns of an estimate beside its truth, and the rank of that; none is null."""
    found = {
        **{"quantity": row.quantity, "bin": row.bin, "unit": row.unit, "note": row.note},
        "rank": row.rank(truth),
        "n_draws": 0 if row.draws is None else len(row.draws),
        "truth": truth,
    }
    for name in ("r", "r_lo", "r_hi", "value", "lo68", "hi68", "lo95", "hi95"):
        found[name] = float(getattr(row, name))
    return {k: None if isinstance(v, float) and np.isnan(v) else v for k, v in found.items()}


def run(out: Path, names: Sequence[str], stars: Sequence[int], n: int, workers: int) -> None:
    for kind in SCHEMAS:
        (out / kind).mkdir(parents=True, exist_ok=True)
    pieces = [
        Piece(out, case, size, first, min(first + CHUNK, n))
        for first in range(0, n, CHUNK)
        for size in stars
        for case in cases()
        if case in names
    ]
    pieces = [piece for piece in pieces if not piece.done]
    with multiprocessing.Pool(workers) as pool:
        for k, piece in enumerate(pool.imap_unordered(run_piece, pieces)):
            print(f"{k + 1} of {len(pieces)}: {piece.name}", file=sys.stderr, flush=True)


# ----------------------------------------------------------------------------------------- the table


def tables_of(out: Path) -> Tables:
    """List what OUT holds, as scores read it."""
    runs = sorted((out / "runs").glob("*.parquet"))
    sizes = sorted({int(path.name.split("-")[-3]) for path in runs})
    cells = pd.DataFrame({"cell": [f"{n} stars" for n in sizes], "stars": sizes})
    return Tables([out / "estimates" / path.name for path in runs], runs, cells, QUANTITIES)


def scored(tables: Tables) -> pd.DataFrame:
    """Scores and calibration of every quantity and bin that has a truth."""
    keys = ["cell", "estimator", "quantity", "bin"]
    ranks = calibrate.calibrate(tables)[[*keys, "n_draws", "p_value", "inside", "shape"]]
    rows = scores.score(tables).merge(ranks, on=keys, how="left")
    rows = rows[rows["n"] >= np.maximum(10, rows["n_attempted"] // 2)].copy()
    rows["bias_z"] = rows["bias"] / rows["bias_mcse"]
    for level in (68, 95):
        nominal = np.sqrt(level * (100.0 - level) / rows["n"]) / 100.0
        rows[f"z{level}"] = (rows[f"coverage{level}"] - level / 100.0) / nominal
    return rows


def print_summary(rows: pd.DataFrame, seconds: pd.Series) -> None:
    """Print a line per case and number of stars; of many rows, the worst by its number of errors.

    ``seconds`` is the median processor time of an estimate, by case and number of stars.
    """
    heads = ["method", "stars (n)", "rows", "bias: worst, and beyond 3 errors"]
    heads += ["68 %: mean, worst", "95 %", "ranks inside", "seconds"]
    print("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
    for name in cases():
        for (stars, cell), group in rows[rows["estimator"] == name].groupby(["stars", "cell"]):
            bias = group.loc[group["bias_z"].abs().idxmax()]
            beyond = int((group["bias_z"].abs() > 3.0).sum())
            columns = [
                *(method(name), f"{stars} ({group['n'].max()})", str(len(group))),
                f"{label(bias)} {size(bias)} ({bias['bias_z']:+.1f}); {beyond}",
                *(coverage(group, level) for level in (68, 95)),
                f"{int(group['inside'].sum())} of {len(group)}",
                f"{seconds[name, cell]:.2g}",
            ]
            print("| " + " | ".join(columns) + " |")
    print("\nWhere a method misses:")
    for name, why in WHY.items():
        print(f"- {name}: {why}")


def label(row: pd.Series) -> str:
    where = f" at {row['r']:.3g} kpc" if np.isfinite(row["r"]) else f" {row['bin']}"
    return labels.plain(row["quantity"]) + (where if row["bin"] else "")


def size(row: pd.Series) -> str:
    return labels.error_text(row["bias"], row["bias_mcse"], row["quantity"], row["unit"])


def coverage(group: pd.DataFrame, level: int) -> str:
    """Mean over rows; the worst row with its distance from nominal in Monte Carlo errors."""
    worst = group.loc[group[f"z{level}"].abs().idxmax()]
    mean = group[f"coverage{level}"].mean()
    return f"{mean:.2f}, {worst[f'coverage{level}']:.2f} ({worst[f'z{level}']:+.1f})"


def method(name: str) -> str:
    """Name of a case: its estimator, and what is other than by default."""
    kind, comma, changed = name.partition(",")
    return f"`{kind}`{comma}{changed}"


def print_rows(rows: pd.DataFrame) -> None:
    """All quantities and bins."""
    for row in rows.to_dict("records"):
        print(
            f"{row['estimator']:28}{row['stars']:>6} {label(row):26}{size(row):>22}{row['bias_z']:+6.1f}"
            f"{row['scatter'] * labels.error_factor(row['quantity']):9.3g}"
            f"{row['coverage68']:6.2f}{row['z68']:+5.1f}{row['coverage95']:6.2f}{row['z95']:+5.1f}"
            f"  p {row['p_value']:.1e} {row['shape']}"
        )


def main() -> None:
    """Run what is missing, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--estimators", nargs="+", default=kinds.names("estimators"))
    parser.add_argument("--cases", nargs="+", help="in place of all cases of the estimators")
    parser.add_argument("--stars", nargs="+", type=int, default=STARS)
    parser.add_argument("--realizations", type=int, default=400)
    parser.add_argument("-j", type=int, default=2)
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--rows", action="store_true")
    options = parser.parse_args()
    if not options.table:
        names = options.cases or [c for c in cases() if kind_of(c) in options.estimators]
        if unknown := set(names) - set(cases()):
            parser.error(f"no case {', '.join(sorted(unknown))}")
        run(options.out, names, options.stars, options.realizations, options.j)
    tables = tables_of(options.out)
    rows = scored(tables)
    if options.rows:
        print_rows(rows)
    with open_tables(tables) as opened:
        runs = opened.sql("SELECT estimator, cell, median(seconds) AS s FROM runs GROUP BY ALL")
        seconds = runs.df().set_index(["estimator", "cell"])["s"]
    print_summary(rows, seconds)


if __name__ == "__main__":
    main()
