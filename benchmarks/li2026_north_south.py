"""Mean radial velocities by hemisphere and radius as Li et al. (2026) have them: the table of the docs.

Run ``haloassay run li2026-north-south --out NS``, then ``python benchmarks/li2026_north_south.py NS``. Printed are
means of north, south and all stars over the whole sky and in DESI's footprint, with Monte Carlo errors, in km/s, and
the mean of all stars that the paper prints (Table 1; its first bin begins at 47.5 and its last ends at 160 kpc).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from haloassay.results.results import Results

COMMAND = "python benchmarks/li2026_north_south.py NS"
MEANS = {
    "north": ("mean_v_r_north", "dipole"),
    "south": ("mean_v_r_south", "dipole"),
    "all": ("mean_v_r", "gaussian-single"),
}
#: The paper's mean of all stars and its error [km/s], by range of radius.
PAPER = {
    "50 to 60 kpc": "-5.4 ± 2.7",
    "60 to 80 kpc": "-8.9 ± 3.7",
    "80 to 120 kpc": "6.2 ± 9.2",
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    results = Results(parser.parse_args().folder)
    rows = results.frame("estimates")
    print(f"<!-- {COMMAND} -->")
    print("| r | sky | north | south | all | paper, all |")
    print("|---|---|---|---|---|---|")
    for radius, printed in PAPER.items():
        for survey, sky in (("perfect", "whole"), ("desi-kgiants", "DESI")):
            here = rows[rows["cell"] == f"radius={radius}, survey={survey}"]
            cells = []
            for quantity, estimator in MEANS.values():
                values = here[(here["quantity"] == quantity) & (here["estimator"] == estimator)]
                mean, error = values["value"].mean(), values["value"].sem()
                cells.append(f"{mean:.1f} ± {error:.1f}")
            paper = printed if sky == "DESI" else ""
            print(f"| {radius} | {sky} | {' | '.join(cells)} | {paper} |")


if __name__ == "__main__":
    main()
