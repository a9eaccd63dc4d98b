"""How well a network for ``npe`` is calibrated on mocks that it has not learnt from, by number of stars.

Run with ``python benchmarks/npe.py [--network NAME] [--stars 300 3000 30000] [--realizations 400] [-j 2]``. Each
realisation is a halo of the prior that the network was trained on, its stars seen without errors or, with ``--errors``,
with errors of the prior too. Bias is that of the median, and half width half of the 68 per cent interval, as shares of
the truth (of beta as they are); ranks are uniform where p is not small. Over halos of the prior, a posterior that
is right has both; at one halo of it, it need not.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import functools
import multiprocessing
import time
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.stats import kstest

from haloassay.base.seeds import stream
from haloassay.base.settings import build
from haloassay.estimators.halo import trained_halo
from haloassay.mocks import make_mock
from haloassay.mocks.surveys.survey import make_survey
from haloassay.planning.training import N_STARS, Training

RADII = (10.0, 25.0, 60.0)
SEED = 2026
ERRORS = ("survey.distance_error", "survey.pm_error", "survey.vlos_error")


@functools.cache
def plan_of(network: str) -> Training:
    told = trained_halo.load(network).description
    return replace(build(Training, told["training"], "training"), without_errors=0.0)


def realization(job: tuple[str, int, int, bool]) -> dict[str, Any]:
    """Truth, median, interval and share of the draws below the truth of each quantity of one halo."""
    network, n, k, errors = job
    plan, trained = plan_of(network), trained_halo.load(network)
    values = plan.draw(stream(SEED, f"prior:{n}", k)) | {N_STARS: float(n)}
    values |= {} if errors else {path: 0.0 for path in ERRORS if path in plan.priors}
    mock, survey = plan.at(values)
    halo = make_mock(mock)
    rngs = (stream(SEED, f"{axis}:{n}", k) for axis in ("population", "survey"))
    catalogue = make_survey(survey).observe(halo, *rngs).catalogue
    start = time.process_time()
    try:
        draws = trained.draws(catalogue, 1000, stream(SEED, f"estimator:{n}", k))
    except trained_halo.EstimationError as error:
        return {"stars": n, "refused": str(error)}
    seconds = time.process_time() - start
    found = {name: (draws[name], halo.truth.value(name, RADII[1])) for name in trained.halo.priors}
    for r in RADII:
        mass = trained.halo.enclosed_mass(r, draws)
        found[f"M(<{r:g} kpc)"] = (mass, float(halo.truth.potential.enclosed_mass(r)))
    rows = {}
    for name, (posterior, true) in found.items():
        unit = 1.0 if name == "beta" else true
        lo, median, hi = np.percentile(posterior, [16.0, 50.0, 84.0])
        below = float(np.mean(posterior < true))
        rows[name] = ((median - true) / unit, 0.5 * (hi - lo) / unit, below)
    return {"stars": n, "seconds": seconds, "rows": rows}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", default="spherical-nfw")
    parser.add_argument("--stars", type=int, nargs="+", default=[300, 3000, 30000])
    parser.add_argument("--realizations", type=int, default=400)
    parser.add_argument("--errors", action="store_true")
    parser.add_argument("-j", type=int, default=2)
    options = parser.parse_args()
    heads = ("stars (n)", "quantity", "bias", "half width", "68 %", "95 %", "ranks, p", "seconds")
    print("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
    with multiprocessing.Pool(options.j) as pool:
        for n in options.stars:
            jobs = [(options.network, n, k, options.errors) for k in range(options.realizations)]
            made = pool.map(realization, jobs, chunksize=5)
            good = [each for each in made if "rows" in each]
            seconds = float(np.median([each["seconds"] for each in good]))
            for name in good[0]["rows"]:
                away, width, below = np.array([each["rows"][name] for each in good]).T
                cells = (
                    f"{n} ({len(good)})",
                    name,
                    f"{away.mean():+.3f} ± {away.std() / np.sqrt(len(away)):.3f}",
                    f"{np.median(width):.3f}",
                    f"{np.mean(np.abs(below - 0.5) < 0.34):.2f}",
                    f"{np.mean(np.abs(below - 0.5) < 0.475):.2f}",
                    f"{kstest(below, 'uniform').pvalue:.2g}",
                    f"{seconds:.2g}",
                )
                print("| " + " | ".join(cells) + " |")
            for each in made:
                if "refused" in each:
                    print(f"refused: {each['stars']} stars: {each['refused']}")


if __name__ == "__main__":
    main()
