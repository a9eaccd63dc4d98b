"""Appendix A of Li et al. (2026): metal-rich fraction and metal-poor anisotropy under distance errors.

Run ``python benchmarks/li2026_appendix.py [--realizations 10] [--figure appendix.png]``. In bins of the observed radius
it prints the true profiles; those of stars whose population and velocity are known, so that distance errors only move
them to other bins (the paper's test); and those that the fitted mixture returns from the observed velocities (what an
observer has), for distance errors of 0, 18 and 30 per cent; each with its Monte Carlo error.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import numpy as np
import pandas as pd

import haloassay
from haloassay.contracts.frames import spherical_velocity
from haloassay.estimators import make_estimator
from haloassay.planning.scenario import load_scenario

SCENARIO = "li2026-distance-errors"
QUANTITIES = {"p_mr": "MR fraction", "beta.mp": "beta of the MP population"}


def known_membership(mock: haloassay.MockCatalogue, edges: np.ndarray) -> list[dict]:
    """Fraction and beta in bins of the observed radius, of stars whose origin and velocity are known."""
    velocity = spherical_velocity(mock.stars.position, mock.stars.velocity)
    catalogue, poor = mock.catalogue, [o.name for o in mock.origins].index("mp")
    bins = np.digitize(catalogue.r, edges)
    rows = []
    for k in range(1, len(edges)):
        inside = bins == k
        members = inside & (mock.stars.origin == poor)
        variance = velocity[members].var(axis=0)
        beta = 1.0 - 0.5 * (variance[1] + variance[2]) / variance[0]
        rows += [
            {"quantity": "p_mr", "bin": k - 1, "value": 1.0 - members.sum() / inside.sum()},
            {"quantity": "beta.mp", "bin": k - 1, "value": beta},
        ]
    return rows


def collect(realizations: int) -> pd.DataFrame:
    """Rows of every cell and realisation: how, error, quantity, bin, value."""
    scenario = load_scenario(SCENARIO)
    levels = scenario.matrix.factors["survey.distance_error"]
    mixture = make_estimator(scenario.estimators[0].spec)
    edges = np.array(mixture.bins)
    rows = []
    for error in levels:
        cell = "base" if error == 0.0 else f"survey.distance_error={error}"
        for k in range(realizations):
            mock = haloassay.mock(SCENARIO, realization=k, cell=cell)
            stated = {"error": error, "realization": k}
            rows += [{"how": "known members", **stated, **r} for r in known_membership(mock, edges)]
            estimates = mixture.estimate(mock.catalogue, np.random.default_rng(k))
            for row in estimates:
                if row.quantity in QUANTITIES and not row.note:
                    found = {"quantity": row.quantity, "bin": row.bin, "value": row.value}
                    rows.append({"how": "mixture", **stated, **found})
            if error == 0.0 and k == 0:
                for j, (lo, hi) in enumerate(itertools.pairwise(edges)):
                    for name in QUANTITIES:
                        truth = mock.truth.value(name, r_lo=lo, r_hi=hi)
                        rows.append(
                            {"how": "truth", **stated, "quantity": name, "bin": j, "value": truth}
                        )
    return pd.DataFrame(rows).assign(lo=lambda t: edges[t["bin"]], hi=lambda t: edges[t["bin"] + 1])


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Means over realisations with their Monte Carlo errors."""
    keys = ["quantity", "lo", "hi", "how", "error"]
    found = rows.groupby(keys)["value"].agg(["mean", "sem", "count"])
    return found.reset_index()


def show(table: pd.DataFrame) -> None:
    """Print one table a quantity: a row a bin, a column a case."""
    for name, title in QUANTITIES.items():
        part = table[table["quantity"] == name].assign(
            case=lambda t: (
                t["how"] + np.where(t["how"] == "truth", "", t["error"].map(" {:.0%}".format))
            ),
            text=lambda t: (
                t["mean"].map("{:.3f}".format)
                + t["sem"].map(lambda e: "" if np.isnan(e) else f" +- {e:.3f}")
            ),
        )
        print(f"\n{title}")
        wide = part.pivot(index=["lo", "hi"], columns="case", values="text")
        print(wide[sorted(wide.columns, key=lambda c: (c != "truth", c))].to_string(na_rep="-"))


def draw(table: pd.DataFrame, path: Path) -> None:
    """Figure 10 of the paper: reference, 18 and 30 per cent, for known members and for the mixture."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 2, figsize=(9, 7), sharex=True, layout="constrained")
    for row, how in zip(axes, ("known members", "mixture"), strict=True):
        for axis, (name, title) in zip(row, QUANTITIES.items(), strict=True):
            part = table[table["quantity"] == name]
            truth = part[part["how"] == "truth"]
            axis.plot(np.sqrt(truth["lo"] * truth["hi"]), truth["mean"], "k-", label="truth")
            for error, line in ((0.0, "C2-."), (0.18, "C3--"), (0.3, "C0:")):
                case = part[(part["how"] == how) & (part["error"] == error)]
                r = np.sqrt(case["lo"] * case["hi"])
                label = f"{how}, distance error {error:.0%}"
                axis.errorbar(r, case["mean"], case["sem"], fmt=line, label=label)
            axis.set(xscale="log", ylabel=title)
            axis.legend(fontsize=8)
    for axis in axes[1]:
        axis.set_xlabel("r [kpc]")
    figure.savefig(path, dpi=150)


def main() -> None:
    """Print the tables; draw the figure where one is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--realizations", type=int, default=10)
    parser.add_argument("--figure", type=Path)
    arguments = parser.parse_args()
    table = summary(collect(arguments.realizations))
    show(table)
    if arguments.figure:
        draw(table, arguments.figure)


if __name__ == "__main__":
    main()
