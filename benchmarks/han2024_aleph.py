"""What the cuts of the scenario ``han2024-aleph`` take out, and what that does to the map of Han et al. (2024).

Run with ``python benchmarks/han2024_aleph.py [--realizations 6]``. Shares of each population that a cut takes out
are in per cent. The map is what ``sky-map`` says, as published, with Aleph and without it; differences are by
catalogue, from the same stars without Aleph and without a cut. Errors are of the mean over catalogues.
"""

from __future__ import annotations

import argparse
from collections import defaultdict

import numpy as np

import haloassay
from haloassay.cleaning.steps import make_clean
from haloassay.contracts import labels
from haloassay.estimators import make_estimator
from haloassay.planning.scenario import load_scenario

SCENARIO = "han2024-aleph"
POPULATIONS = ("aleph", "accreted", "in-situ")
#: Quantities of the map, and what a column is called.
MAP = {
    "sigma_r_lowest": "sigma_r from [km/s]",
    "asymmetry": "A",
    "sigma_r_accreted_correlation": "with sigma_r",
    "beta_accreted_correlation": "with beta",
}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--realizations", type=int, default=6)
    asked = parser.parse_args()
    spec = load_scenario(SCENARIO).to_dict()
    (factor,) = spec.pop("matrix")["factor"]
    spec.pop("clean")
    cuts = {level["label"]: level["set"]["clean.0.where"] for level in factor["levels"]}
    sky = make_estimator({"kind": "sky-map"})
    shares, maps = defaultdict(list), defaultdict(list)
    for k in range(asked.realizations):
        mock = haloassay.mock(spec, realization=k)
        names = np.array([origin.name for origin in mock.origins])[mock.stars.origin]
        for name in POPULATIONS:
            shares["seen", name].append(np.mean(names == name))
        for cut, where in cuts.items():
            stays = np.zeros(len(names), dtype=bool)
            stays[make_clean([{"kind": "select", "where": where}]).rows(mock.catalogue)] = True
            for name in POPULATIONS:
                shares[cut, name].append(np.mean(~stays[names == name]))
            for aleph in (False, True):
                rows = np.flatnonzero(stays & (aleph | (names != "aleph")))
                found = sky.estimate(mock.catalogue.select(rows), np.random.default_rng(k))
                for quantity in MAP:
                    maps[aleph, cut, quantity].append(found.of(quantity)[0].value)
    print("<!-- python benchmarks/han2024_aleph.py -->")
    print(f"| share [%] | {' | '.join(POPULATIONS)} |\n|---|{'---:|' * len(POPULATIONS)}")
    print(f"| seen | {' | '.join(told(shares['seen', n], 100.0) for n in POPULATIONS)} |")
    for cut in list(cuts)[1:]:
        said = (told(shares[cut, name], 100.0) for name in POPULATIONS)
        print(f"| taken out: {cut} | {' | '.join(said)} |")
    print("\n<!-- python benchmarks/han2024_aleph.py -->")
    print(f"| sample | {' | '.join(MAP.values())} |\n|---|{'---:|' * len(MAP)}")
    first = next(iter(cuts))
    for aleph in (False, True):
        for cut in cuts:
            begun = not aleph and cut == first
            said = []
            for quantity in MAP:
                values = np.array(maps[aleph, cut, quantity])
                base = 0.0 if begun else np.array(maps[False, first, quantity])
                said.append(("" if begun else "change ") + told(values - base))
            print(f"| {'with' if aleph else 'no'} Aleph, cut: {cut} | {' | '.join(said)} |")


def told(values: list[float], factor: float = 1.0) -> str:
    """Mean and its error."""
    error = float(np.std(values, ddof=1)) / np.sqrt(len(values))
    return labels.with_error(float(np.mean(values)), error, factor)


if __name__ == "__main__":
    main()
