"""Draw the picture of the README from the results of quickstart.

Run with ``haloassay run quickstart --out quickstart && python docs/readme_picture.py quickstart``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
from _ext.drawing import COLOURS

import haloassay

PICTURE = Path(__file__).parent / "_static" / "quickstart.png"


def draw(folder: Path, picture: Path) -> None:
    """Draw bias, scatter and coverage of the enclosed mass of each estimator against radius."""
    table = haloassay.table(folder)
    table = table[table["quantity"] == "enclosed_mass"]
    fig, (top, low) = plt.subplots(
        2, 1, figsize=(6.4, 4.4), sharex=True, height_ratios=(2, 1), constrained_layout=True
    )
    for colour, (label, rows) in zip(COLOURS, table.groupby("estimator"), strict=False):
        bias, mcse, scatter = (100.0 * rows[key] for key in ("bias", "bias_mcse", "scatter"))
        top.errorbar(rows["r"], bias, mcse, fmt="o-", ms=4, color=colour, label=label)
        top.fill_between(rows["r"], bias - scatter, bias + scatter, color=colour, alpha=0.15, lw=0)
        low.plot(rows["r"], 100.0 * rows["coverage68"], "o-", ms=4, color=colour)
    top.axhline(0.0, color="black", lw=0.8)
    top.set_ylabel("bias of M(<r) [%]")
    top.legend(frameon=False)
    low.axhline(68.0, color="black", lw=0.8)
    low.set(xlabel="r [kpc]", ylabel="truth in 68 % [%]", ylim=(-5.0, 105.0))
    fig.savefig(picture, dpi=110)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="results of quickstart")
    draw(parser.parse_args().folder, PICTURE)
