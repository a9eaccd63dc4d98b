"""Stated errors of jeans-3d over the scatter, with independent and with refitted gradients, where the method is exact.

Run with ``python benchmarks/jeans_gradient.py [--realizations 300]``: the halo of ``haloassay check jeans-3d``, 8000
stars in seven bins.
"""

from __future__ import annotations

import argparse
import tempfile

import haloassay
from haloassay.contracts import labels
from haloassay.testing.ideal import IDEAL
from haloassay.testing.subject import check_scenario


def main() -> None:
    """Run both on the same stars, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--realizations", type=int, default=300)
    asked = parser.parse_args()
    known = IDEAL["jeans-3d"]
    spec = {"kind": "jeans-3d", **known["settings"]}
    ways = [
        {**spec, "gradient": gradient, "label": gradient}
        for gradient in ("independent", "refitted")
    ]
    scenario = check_scenario(known["mock"], known["survey"], spec, seed=1, estimators=ways)
    with tempfile.TemporaryDirectory() as folder:
        scores = haloassay.run(scenario, folder, asked.realizations).table()
    scores = scores[scores["quantity"] == "enclosed_mass"]
    print("| gradient | r [kpc] | bias [%] | stated over scatter | in 68 % | in 95 % |")
    print("|---|---|---|---|---|---|")
    for _, row in scores.iterrows():
        bias = labels.with_error(row["bias"], row["bias_mcse"], 100.0)
        ratio = labels.with_error(row["error_ratio"], row["error_ratio_mcse"])
        held = f"{row['coverage68']:.2f} | {row['coverage95']:.2f}"
        print(f"| {row['estimator']} | {row['r']:.1f} | {bias} | {ratio} | {held} |")


if __name__ == "__main__":
    main()
