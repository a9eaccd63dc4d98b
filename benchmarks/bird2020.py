"""Anisotropy by metallicity as Bird et al. (2020) measure it, in mocks of known truth: the table of the docs.

Run ``haloassay run bird2020-kgiants --out KG`` and ``haloassay run bird2020-bhb --out BHB``, then
``python benchmarks/bird2020.py KG BHB``. Printed is, by tracer, [Fe/H] and radius, beta of the populations that were
selected, and what was measured, with Monte Carlo errors, of the halo alone and of one with a stream.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from haloassay.results.results import Results

COMMAND = "python benchmarks/bird2020.py KG BHB"
FEH, STREAM = "clean.3.feh", "mock.debris.0.fraction"
#: Radii that the table shows [kpc]: bins whose stars have one of these within.
RADII = (8.0, 17.0, 25.0, 35.0, 50.0)
#: Realisations with a value below which a bin is left out.
FEWEST = 10


def measured(folder: Path) -> pd.DataFrame:
    """Truth and estimate of beta, mean and Monte Carlo error, by cell and bin."""
    results = Results(folder)
    rows = results.frame("estimates")
    rows = rows[(rows["quantity"] == "beta") & np.isfinite(rows["value"])]
    factors = {cell["cell"]: cell["factors"] for cell in results.description["cells"]}
    rows = rows.assign(
        feh=[tuple(factors[cell][FEH]) for cell in rows["cell"]],
        stream=[factors[cell][STREAM] for cell in rows["cell"]],
    )
    return rows.groupby(["feh", "stream", "r_lo", "r_hi"]).agg(
        truth=("truth", "mean"),
        value=("value", "mean"),
        error=("value", lambda x: x.std() / np.sqrt(len(x))),
        n=("value", "size"),
    )


def lines(tracer: str, found: pd.DataFrame) -> list[str]:
    """Rows of Markdown."""
    flat = found.reset_index()
    out = []
    for feh in sorted(flat["feh"].unique(), reverse=True):
        cells = [tracer, f"{feh[0]:g} to {feh[1]:g}"]
        for r in RADII:
            here = flat[(flat["feh"] == feh) & (flat["r_lo"] <= r) & (r < flat["r_hi"])]
            here = here[here["n"] >= FEWEST].set_index("stream")
            said = [
                f"{here.at[s, 'value']:.2f} ± {here.at[s, 'error']:.2f}" if s in here.index else "–"
                for s in (0.0, 0.1)
            ]
            cells.append(f"{here['truth'].iloc[0]:.2f}: {', '.join(said)}" if len(here) else "–")
        out.append(f"| {' | '.join(cells)} |")
    return out


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("kgiants", type=Path)
    parser.add_argument("bhb", type=Path)
    asked = parser.parse_args()
    print(f"<!-- {COMMAND} -->")
    print(f"| stars | [Fe/H] | {' | '.join(f'{r:g} kpc' for r in RADII)} |")
    print(f"|---|---|{'---|' * len(RADII)}")
    for tracer, folder in (("K giants", asked.kgiants), ("BHB stars", asked.bhb)):
        print("\n".join(lines(tracer, measured(folder))))


if __name__ == "__main__":
    main()
