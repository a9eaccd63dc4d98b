"""Whether action-df's likelihood is that of its stars: maxima, and likelihood ratios of the truth, over many mocks.

Run with ``python benchmarks/action_df_maximum.py STARS REALIZATIONS``.

Of the right likelihood 2 ln(L(maximum) / L(truth)) is distributed as chi^2 with seven degrees of freedom where stars
are many, and its maximum scatters as the information of a star says. No prior and no draws are in this, and it takes a
tenth of the time of fits. Prints both, and how often errors from the outer products of the scores hold the truth.
"""

from __future__ import annotations

import argparse

import numpy as np
from calibration_cases import ACTION_EDGES, M200, R200, of_actions, roulette_mass
from scipy import stats

from haloassay.contracts.profiles import nfw_shape
from haloassay.estimators.action_df import ActionDF
from haloassay.estimators.halo.action_model import ActionModel
from haloassay.estimators.halo.nfw import concentration

NAMES = ("M(<8 kpc)", "M(<17 kpc)", "M(<40 kpc)", "M200", "c200")
RADII = (8.0, 17.0, 40.0)
C200 = 12.0
#: slope_in, slope_out, ln j0, c_in, c_out of the stars.
DF = (1.5, 5.5, np.log(3000.0), 1.4, 1.0)
STEPS = np.array([1e-3, 3e-3, 1e-2, 2e-2, 2e-2, 1e-2, 1e-2])
MARGIN = 0.01


def logs(x: np.ndarray, pivot: float) -> np.ndarray:
    """Compute logarithms (5,) of the masses and the concentration of a point (7,)."""
    r_s = np.exp(x[1])
    total = np.exp(x[0]) / nfw_shape(pivot / r_s)
    c200 = float(concentration(np.array([total / r_s**3]), 67.8)[0])
    masses = [total * nfw_shape(r / r_s) for r in (*RADII, c200 * r_s)]
    return np.log([*masses, c200])


def scores(model: ActionModel, x: np.ndarray) -> np.ndarray:
    """Compute derivatives (7, n) of the log likelihood of each star."""
    ends = ((model.each(x + step), model.each(x - step)) for step in np.diag(STEPS))
    return np.array([up - down for up, down in ends]) / (2.0 * STEPS[:, None])


def maximum(model: ActionModel, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the maximum (7,) uphill of a point, within the prior, and the outer products (7, 7) of the scores there."""
    lo, hi = model.prior.lo + MARGIN, model.prior.hi - MARGIN
    for _ in range(40):
        each = scores(model, x)
        outer = each @ each.T
        step = np.linalg.solve(outer, each.sum(axis=1))
        if step @ outer @ step < 4e-4:
            break
        here = model.each(x).sum()
        trials = (x + step * 0.5**k for k in range(12))
        uphill = (y for y in trials if np.all((y > lo) & (y < hi)) and model.each(y).sum() > here)
        better = next(uphill, None)
        if better is None:  # at an edge of the prior
            break
        x = better
    return x, outer


def main() -> None:
    """Run all, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stars", type=int)
    parser.add_argument("realizations", type=int)
    options = parser.parse_args()
    n, count = options.stars, options.realizations
    ratios, off, sigma = [], [], []
    for k in range(count):
        rng = np.random.default_rng([7, n, k])
        model = ActionDF(r_range=ACTION_EDGES)._model(of_actions(n, rng), rng)
        mass = float(roulette_mass(model.pivot))
        truth = np.array([np.log(mass), np.log(R200 / C200), *DF])
        found, outer = maximum(model, truth)
        ratios.append(2.0 * (model.each(found).sum() - model.each(truth).sum()))
        off.append(logs(found, model.pivot) - logs(truth, model.pivot))
        ends = [
            (logs(found + e, model.pivot) - logs(found - e, model.pivot)) / 2e-4
            for e in 1e-4 * np.eye(7)
        ]
        sigma.append(np.sqrt(np.einsum("ik,ij,jk->k", ends, np.linalg.inv(outer), ends)))
    law = stats.chi2(7)
    mean, error = np.mean(ratios), np.std(ratios) / np.sqrt(count)
    beyond = [f"{np.mean(np.array(ratios) > law.ppf(level)):.2f}" for level in (0.68, 0.95)]
    print(
        f"{count} times {n} stars, M200 {M200:g} Msun: 2 ln(L / L(truth)) {mean:.2f} +- {error:.2f} (7)"
    )
    print(f"beyond 68 and 95 per cent {beyond}, KS p {stats.kstest(ratios, law.cdf).pvalue:.3f}")
    off, sigma = np.array(off), np.array(sigma)
    for name, d, s in zip(NAMES, off.T, sigma.T, strict=True):
        print(
            f"{name:12} {d.mean():+.4f} +- {d.std() / np.sqrt(count):.4f}, scatter {d.std():.4f} +- "
            f"{d.std() / np.sqrt(2 * count):.4f}, error {np.sqrt(np.mean(s**2)):.4f}, "
            f"holds {np.mean(np.abs(d) < s):.3f} +- {np.sqrt(0.68 * 0.32 / count):.3f}"
        )


if __name__ == "__main__":
    main()
