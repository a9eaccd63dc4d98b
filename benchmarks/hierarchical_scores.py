"""Whether the likelihood of hierarchical-df is that of its stars: gradients at the truth of many mocks, and ratios.

Run with ``python benchmarks/hierarchical_scores.py [--stars 300] [--realizations 400]``. Of each mock of the kind's own
model, with errors, the likelihood is expanded at the truth. Printed are, over all mocks, the gradient by each parameter
where the others are at their best, in units of its error by the curvature: mean 0 and scatter 1 if all is right;
and -2 ln of the likelihood of the truth over the greatest, which has a chi-square distribution of 4 degrees of freedom.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from haloassay.estimators import make_estimator

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "estimators"))
from hierarchical_samples import EDGES, seen
from test_power_law_df import R0, V0

NAMES = ("ln v_c^2", "g", "beta", "alpha")
CANDIDATES, DRAWS = 256, 64
#: Of a chi-square of 4 degrees of freedom, what one in twenty is above.
FEW = 9.488


def derivatives(log_density, at, step):
    """Give gradient (4,) and Hessian (4, 4) by differences."""
    d = np.diag(step)
    slopes = [np.subtract(*log_density(np.stack([at + e, at - e]))) for e in d]
    hessian = [
        [
            np.array([1, -1, -1, 1])
            @ log_density(np.stack([at + a + b, at + a - b, at - a + b, at - a - b]))
            for b in d
        ]
        for a in d
    ]
    return np.array(slopes) / (2.0 * step), np.array(hessian) / (4.0 * np.outer(step, step))


def of_mock(n, k):
    """Gradient at the truth, minus the Hessian, and -2 ln of the ratio of likelihoods."""
    estimator = make_estimator({"kind": "hierarchical-df", "r_range": list(EDGES)})
    fit = estimator._fit(seen(n, np.random.default_rng([11, k])), np.random.default_rng(k))
    truth = np.array([2.0 * np.log(V0) - 0.5 * np.log(fit.pivot / R0), 0.5, 0.5, -4.0])
    about, _ = fit.about(truth, CANDIDATES, (n, DRAWS))
    log_density = fit.log_density(about, truth, fit.log_shares())
    gradient, hessian = derivatives(log_density, truth, 0.1 / np.sqrt(np.diag(about.information)))
    top, _ = fit.top(log_density, truth)
    here, best = log_density(np.stack([truth, top]))
    return gradient, -hessian, 2.0 * (best - here)


def main() -> None:
    """Print means and scatter."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stars", type=int, default=300)
    parser.add_argument("--realizations", type=int, default=400)
    options = parser.parse_args()
    n = options.realizations
    found = [of_mock(options.stars, k) for k in range(n)]
    gradients, curvature, ratios = (np.array(each) for each in zip(*found, strict=True))
    covariance = np.linalg.inv(curvature.mean(axis=0))
    units = gradients @ covariance / np.sqrt(np.diag(covariance))
    for name, each in zip(NAMES, units.T, strict=True):
        mean, scatter = each.mean(), each.std(ddof=1)
        print(
            f"{name}: {mean:.3f} +- {scatter / np.sqrt(n):.3f}, scatter {scatter:.3f} +- {scatter / np.sqrt(2 * n):.3f}"
        )
    above = np.mean(ratios > FEW)
    print(f"-2 ln ratio: {ratios.mean():.2f} +- {ratios.std(ddof=1) / np.sqrt(n):.2f} (4 expected)")
    print(f"above {FEW}: {above:.3f} +- {np.sqrt(above * (1.0 - above) / n):.3f} (0.05 expected)")


if __name__ == "__main__":
    main()
