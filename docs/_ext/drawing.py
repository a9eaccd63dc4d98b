"""What the figures of tutorials and gallery share; no part of the package."""

from __future__ import annotations

import tomllib
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd

from haloassay import scenarios

#: Okabe and Ito's colours, which differ for colour-blind eyes, too; dark enough on white, light enough on black.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")


def style() -> None:
    """Grey axes on no background: to be read on a light page and on a dark one."""
    grey = "#808080"
    mpl.rcParams.update(
        {
            **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor"), grey),
            **dict.fromkeys(("xtick.color", "ytick.color"), grey),
            "figure.facecolor": "none",
            "axes.facecolor": "none",
            "savefig.facecolor": "none",
            "legend.frameon": False,
            "figure.figsize": (6.4, 3.6),
            "figure.dpi": 110,
            "figure.constrained_layout.use": True,
            "axes.prop_cycle": mpl.cycler(color=COLOURS),
        }
    )


def small(name: str, realizations: int, n_stars: int, **changes: Any) -> dict[str, Any]:
    """Read a packaged scenario, with fewer realisations and stars; ``changes`` are of its top level."""
    scenario = tomllib.loads(scenarios.path(name).read_text("utf-8"))
    survey = {**scenario["survey"], "n_stars": n_stars}
    return {**scenario, "realizations": realizations, "survey": survey, **changes}


def bias(table: pd.DataFrame, quantity: str, by: str = "estimator") -> None:
    """Bias of a quantity against radius: bars are its Monte Carlo error, bands the scatter of one estimate."""
    style()
    _, ax = plt.subplots()
    for label, rows in table[table["quantity"] == quantity].groupby(by, sort=False):
        r, middle = rows["r"], 100.0 * rows["bias"]
        (line,) = ax.plot(r, middle, "o-", ms=4, label=str(label))
        ax.errorbar(r, middle, 100.0 * rows["bias_mcse"], fmt="none", color=line.get_color())
        low, high = (middle + sign * 100.0 * rows["scatter"] for sign in (-1, 1))
        ax.fill_between(r, low, high, color=line.get_color(), alpha=0.15, lw=0)
    ax.axhline(0.0, color="#808080", lw=0.8)
    ax.set_xlabel("r [kpc]")
    ax.set_ylabel(f"bias of {quantity} [%]")
    ax.legend()


def by_cell(table: pd.DataFrame, quantity: str, unit: str) -> None:
    """Bias of a quantity that has one value, cell by cell; bars are its Monte Carlo error."""
    style()
    _, ax = plt.subplots()
    rows = table[table["quantity"] == quantity]
    cells = [*dict.fromkeys(rows["cell"])][::-1]
    for k, (label, own) in enumerate(rows.groupby("estimator", sort=False)):
        y = [cells.index(cell) - 0.15 * k for cell in own["cell"]]
        ax.errorbar(own["bias"], y, xerr=own["bias_mcse"], fmt="o", ms=4, label=str(label))
    ax.set_yticks(range(len(cells)), [cell.replace(",", ",\n") for cell in cells])
    ax.axvline(0.0, color="#808080", lw=0.8)
    ax.set_xlabel(f"bias of {quantity} [{unit}]" if unit else f"bias of {quantity}")
    ax.figure.legend(loc="outside upper center", ncols=2)
