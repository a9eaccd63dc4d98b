"""Stated against true Monte Carlo errors of all scores, for Gaussian, t4 and lognormal errors.

Run with ``python benchmarks/mcse.py``; takes about two minutes on one core. Studies of n realisations each are made of
independent errors of unit scatter, with stated errors that follow the size of the error (a tenth of it, so that an
estimate that is high states a large error, as masses do) and intervals of exact coverage, and scored by haloassay. The
true Monte Carlo error is the standard deviation of a score over the studies; what is printed is the stated one over
it: root mean square, and median over the studies. ``before`` is what formulas for Gaussian errors would state (Morris,
White & Crowther 2019, table 6), root mean square. t4 has no fourth moment: the error of its scatter is made by rare
outliers, which most studies do not have and cannot know of.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from tables import Tables

from haloassay.analysis.scores import SCORES, score
from haloassay.contracts.quantities import QUANTITIES
from haloassay.contracts.schema import SCHEMAS

LOG_SCATTER = 0.5
_MEAN = math.exp(0.5 * LOG_SCATTER**2)
_SD = _MEAN * math.sqrt(math.expm1(LOG_SCATTER**2))

#: Distributions of errors of mean 0 and scatter 1.
ERRORS = {
    "Gaussian": stats.norm(),
    "t4": stats.t(4, scale=math.sqrt(0.5)),
    "lognormal": stats.lognorm(LOG_SCATTER, loc=-_MEAN / _SD, scale=1.0 / _SD),
}
SIZES = (10, 40, 100, 1000)
#: Formulas of the same errors that hold for Gaussian ones.
BEFORE = {
    "bias": lambda t: t["scatter"] / np.sqrt(t["n"]),
    "median_bias": lambda t: (
        math.sqrt(math.pi / 2.0) * t["robust_scatter"] / 0.9945 / np.sqrt(t["n"])
    ),
    "scatter": lambda t: t["scatter"] / np.sqrt(2.0 * (t["n"] - 1)),
    "robust_scatter": lambda t: 0.955 * t["robust_scatter"] / np.sqrt(t["n"]),
    "error_ratio": lambda t: t["error_ratio"] / np.sqrt(2.0 * (t["n"] - 1)),
    "coverage68": lambda t: np.sqrt(t["coverage68"] * (1.0 - t["coverage68"]) / t["n"]),
    "coverage95": lambda t: np.sqrt(t["coverage95"] * (1.0 - t["coverage95"]) / t["n"]),
    "pull_sd": lambda t: t["pull_sd"] / np.sqrt(2.0 * (t["n"] - 1)),
}


def estimates(law: Any, studies: int, n: int, bins: int, rng: np.random.Generator) -> pd.DataFrame:
    """Rows of studies (cells) of n realisations in bins, of a velocity whose truth is 0."""
    e = law.rvs((studies, bins, n), random_state=rng)
    # the interval (e + lo w, e + hi w) holds 0 where e is in (-hi w, -lo w): central quantiles of e for w = 1
    ends = {level: law.ppf([0.5 - 0.005 * level, 0.5 + 0.005 * level]) for level in (68, 95)}
    width = 1.0 + 0.1 * e / np.maximum(1.0, np.abs(e) / 3.0)
    inside = {level: (e >= lo) & (e <= hi) for level, (lo, hi) in ends.items()}
    frame = {"value": e}
    for level, (lo, hi) in ends.items():
        half = 0.5 * (hi - lo) * width
        # at least up to the truth where it is to be inside, at most short of it where not
        reach = np.where(
            inside[level], np.maximum(half, np.abs(e)), np.minimum(half, 0.999 * np.abs(e))
        )
        frame |= {f"lo{level}": e - reach, f"hi{level}": e + reach}
    cell, bin_, realization = (index.ravel() for index in np.indices(e.shape))
    named = np.char.add("study ", np.arange(studies).astype(str))
    table = pd.DataFrame({name: values.ravel() for name, values in frame.items()})
    return table.assign(
        **{"cell": named[cell], "cell_key": "", "estimator": "method", "estimator_key": ""},
        **{"realization": realization, "quantity": "mean_v_r", "bin": bin_, "unit": "km/s"},
        **{
            "r": 20.0,
            "r_lo": np.nan,
            "r_hi": np.nan,
            "truth": 0.0,
            "rank": -1,
            "n_draws": 0,
            "note": "",
        },
    )[SCHEMAS["estimates"].names]


def scored(frame: pd.DataFrame) -> pd.DataFrame:
    """Scores of rows whose runs all gave a value."""
    runs = frame[
        ["cell", "cell_key", "estimator", "estimator_key", "realization"]
    ].drop_duplicates()
    runs = runs.assign(status="ok", error_type="", message="", seconds=0.0, n_stars=1, overlap=0.0)
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / name for name in ("estimates.parquet", "runs.parquet")]
        for file, table in zip(files, (frame, runs), strict=True):
            table.to_parquet(file, index=False)
        cells = pd.DataFrame({"cell": frame["cell"].unique()})
        return score(Tables([files[0]], [files[1]], cells, QUANTITIES))


def main() -> None:
    """Print a table a distribution."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000, help="Realisations of each size.")
    given = parser.parse_args()
    names = [s.name for s in SCORES if s.name != "success"]
    for law_name, law in ERRORS.items():
        print(f"\n{law_name}: stated / true, rms (median) [before]")
        print(f"{'':16}" + "".join(f"{f'n = {n}':>24}" for n in SIZES))
        tables = {}
        for k, n in enumerate(SIZES):
            rng = np.random.default_rng([10, k])
            tables[n] = scored(estimates(law, given.rows // n, n, 1, rng))
        for name in names:
            line = f"{name:16}"
            for table in tables.values():
                true = table[name].std()
                stated = table[f"{name}_mcse"]
                rms, middle = math.sqrt(np.mean(stated**2)) / true, stated.median() / true
                before = BEFORE.get(name)
                was = f"[{math.sqrt(np.mean(before(table) ** 2)) / true:.2f}]" if before else ""
                line += f"{f'{rms:.2f} ({middle:.2f}) {was:6}':>24}"
            print(line, flush=True)


if __name__ == "__main__":
    main()
