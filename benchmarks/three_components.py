"""Whether a criterion knows a third population from tails: the table of the docs.

Run ``python benchmarks/three_components.py``. The two populations of Li et al. (2026) at 20.8 to 28.7 kpc, perfect
data, 5000 stars from 18 to 32 kpc, 6 realisations, as local Gaussians and in equilibrium; and with a
third population of an eighth of the stars, isotropic, between them in [Fe/H]. Printed is by how much the Bayesian
information criterion prefers three components, least and most of the realisations, and how often a third is taken.
"""

from __future__ import annotations

import numpy as np

from haloassay.estimators import make_estimator
from haloassay.mocks import make_mock
from haloassay.mocks.surveys.survey import make_survey
from haloassay.planning.scenario import load_scenario

COMMAND = "python benchmarks/three_components.py"
N, REALIZATIONS = 5000, 6
THIRD = {
    "name": "mi",
    "fraction": 0.125,
    "beta": {"kind": "constant", "beta": 0.0},
    "feh": {"mean": -1.36, "sigma": 0.05},
}


def main() -> None:
    """Print the table."""
    scenario = load_scenario("li2026-appendix-a")
    rich, poor = scenario.mock["populations"]
    some = {**rich, "fraction": 0.5}
    populations = {"two": [rich, poor], "three": [some, THIRD, poor]}
    method = make_estimator({"kind": "gaussian-mixture", "components": 3, "bins": [20.8, 28.7]})
    print(f"<!-- {COMMAND} -->")
    print("| populations | distribution | ΔBIC | a third is taken |")
    print("|---|---|---|---|")
    for number, listed in populations.items():
        for kind, title in (("local-jeans-gaussian", "Gaussian"), ("equilibrium", "equilibrium")):
            spec = {**scenario.mock, "kind": kind, "r_range": [18.0, 32.0], "populations": listed}
            mock, survey = make_mock(spec), make_survey({"n_stars": N})
            gains, taken = [], 0
            for k in range(REALIZATIONS):
                rngs = (np.random.default_rng([which, k]) for which in (1, 2))
                rows = method.estimate(
                    survey.observe(mock, *rngs).catalogue, np.random.default_rng(k)
                )
                gains.append(rows.of("bic_gain")[0].value)
                taken += not rows.of("p_mi")[0].note
            print(
                f"| {number} | {title} | {min(gains):.0f} to {max(gains):.0f} | {taken} of {REALIZATIONS} |"
            )


if __name__ == "__main__":
    main()
