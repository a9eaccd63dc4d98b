"""Appendix A of Li et al. (2026): metal-rich fraction and metal-poor anisotropy under distance errors.

Run ``haloassay run li2026-appendix-a --out A``, then ``python benchmarks/li2026_appendix.py A``. Printed is, by radius,
the truth; how it changes in the paper's test, where distance errors move stars to other bins with the share and the
beta of where they truly are (two densities: the scenario's, and the one that gives the numbers of stars of the
paper's Table 1); and how what the mixture makes of observed velocities changes, from that of stars without errors.
With 18 and 30 per cent, and Monte Carlo errors, which are below 0.002 in the paper's test.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from haloassay.base.arrays import FloatArray
from haloassay.contracts.frames import SUNS
from haloassay.mocks.equilibria.tracers import TabulatedDensity, make_density
from haloassay.mocks.stars import radial_table
from haloassay.planning.scenario import load_scenario
from haloassay.results.results import Results

COMMAND = "python benchmarks/li2026_appendix.py A"
SCENARIO = "li2026-appendix-a"
ERRORS = (0.18, 0.30)
QUANTITIES = {"p_mr": "fraction, metal-rich", "beta.mp": "beta, metal-poor"}
#: Stars in each bin, Table 1 of the paper.
NUMBERS = (6987, 6890, 6741, 6671, 6640, 6475, 6242, 5879, 5318, 4190, 1596, 779, 164)
#: Stars of the paper's test, in parts that fit into the memory.
STARS, PARTS = 1_000_000, 8


def counted_density(edges: FloatArray) -> TabulatedDensity:
    """Density whose shells hold the numbers of stars of Table 1."""
    r = np.sqrt(edges[1:] * edges[:-1])
    return TabulatedDensity(tuple(r), tuple(np.array(NUMBERS) / np.diff(edges**3)))


def carried(
    density: TabulatedDensity,
    populations: Mapping[str, FloatArray],
    edges: FloatArray,
    error: float,
) -> dict[str, FloatArray]:
    """Fraction and beta in bins of the observed radius, where stars carry those of their true radius."""
    rng = np.random.default_rng(2026)
    to_sun = SUNS["li2026"].position
    table = radial_table(density, 2.0, 400.0)
    sums = np.zeros((3, len(edges) - 1))
    for _ in range(PARTS):
        r = table.at(rng.random(STARS))
        toward = rng.standard_normal((STARS, 3))
        position = r[:, None] * toward / np.linalg.norm(toward, axis=1)[:, None]
        factor = np.maximum(1.0 + error * rng.standard_normal(STARS), 0.0)
        seen = np.linalg.norm(to_sun + factor[:, None] * (position - to_sun), axis=1)
        share = np.interp(r, populations["r"], populations["share"])
        beta = np.interp(r, populations["r"], populations["beta"])
        for k, weight in enumerate((np.ones(STARS), share, (1.0 - share) * beta)):
            sums[k] += np.histogram(seen, edges, weights=weight)[0]
    return {"p_mr": sums[1] / sums[0], "beta.mp": sums[2] / (sums[0] - sums[1])}


def measured(folder: Path) -> pd.DataFrame:
    """Truth, and mean change that distance errors make, with its Monte Carlo error, by quantity, error and bin."""
    results = Results(folder)
    factors = {cell["cell"]: cell["factors"] for cell in results.description["cells"]}
    rows = results.frame("estimates")
    rows = rows[rows["quantity"].isin(list(QUANTITIES)) & np.isfinite(rows["value"])]
    level = [factors[cell]["survey.distance_error"] for cell in rows["cell"]]
    keys = ["quantity", "r_lo", "realization"]
    rows = rows.assign(distance_error=level)[[*keys, "distance_error", "value", "truth"]]
    exact = rows[rows["distance_error"] == 0.0].set_index(keys)["value"].rename("exact")
    rows = rows.join(exact, on=keys)
    return (
        rows.assign(change=rows["value"] - rows["exact"])
        .groupby(["quantity", "distance_error", "r_lo"])
        .agg(truth=("truth", "mean"), mean=("change", "mean"), sem=("change", "sem"))
        .dropna()
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    found = measured(parser.parse_args().folder)
    scenario = load_scenario(SCENARIO)
    edges = np.array(scenario.estimators[0].spec["bins"])
    rich, poor = scenario.mock["populations"]
    known = {
        "r": np.array(rich["fraction"]["r"]),
        "share": np.array(rich["fraction"]["share"]),
        "beta": np.array(poor["beta"]["beta"]),
    }
    densities = {
        "the scenario's density": make_density(scenario.mock["density"]),
        "the numbers of Table 1": counted_density(edges),
    }
    moved = {
        (name, error): carried(density, known, edges, error)
        for name, density in densities.items()
        for error in (0.0, *ERRORS)
    }
    print(f"<!-- {COMMAND} -->")
    print(f"| | r [kpc] | truth | {' | '.join(densities)} | mixture |")
    print(f"|---|---|---|{'---|' * (len(densities) + 1)}")
    for quantity, title in QUANTITIES.items():
        for k, (lo, hi) in enumerate(itertools.pairwise(edges)):
            here = [found.loc[quantity, e, lo] for e in ERRORS if (quantity, e, lo) in found.index]
            cells = [
                ", ".join(
                    f"{moved[name, e][quantity][k] - moved[name, 0.0][quantity][k]:+.3f}"
                    for e in ERRORS
                )
                for name in densities
            ]
            mixture = ", ".join(f"{x['mean']:+.3f} ± {x['sem']:.3f}" for x in here) or "–"
            truth = f"{here[0]['truth']:.3f}" if here else "–"
            print(f"| {title} | {lo:g}–{hi:g} | {truth} | {' | '.join(cells)} | {mixture} |")


if __name__ == "__main__":
    main()
