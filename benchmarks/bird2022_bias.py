"""Where the bias of the Bird et al. (2022) methods comes from, without noise: infinitely many perfect stars.

Run with ``python benchmarks/bird2022_bias.py``. The dispersions are the truth of the scenario ``bird2022-kgiants``, so
every departure from the true M(<r) at the median radius of a bin belongs to one approximation:

- jeans, bins: dispersions averaged over the bin, true gradient;
- jeans, exponential: local dispersions, gradient of the exponential that fits the binned sigma_r;
- jeans, all: both, as published;
- tracer, scale-free: local dispersions, sigma_r^2 taken to fall as r^-0.5;
- tracer, all: the mean of r^0.5 v_r^2 and the mean beta over the bin, as published.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from haloassay.base.constants import G
from haloassay.contracts.profiles import power_law_slope
from haloassay.estimators.fit.posterior import quadrature
from haloassay.estimators.jeans_3d import exponential_log_density, gradient, jeans_mass
from haloassay.mocks import make_mock
from haloassay.planning.scenario import load_scenario

A = 0.5  # slope of the potential in the tracer mass estimator


def bin_averages(truth, lo: float, hi: float) -> dict[str, float]:
    """Median radius, mean squares and the weighted mean of r^a v_r^2 of the stars between ``lo`` and ``hi``."""
    r = np.geomspace(lo, hi, 2001)
    weight = truth.profile("density", r) * r**3
    weight /= weight.sum()
    radial, tangential = (
        truth.profile("sigma_r", r) ** 2,
        2.0 * truth.profile("sigma_theta", r) ** 2,
    )
    return {
        "r": np.interp(0.5, np.cumsum(weight), r),
        "share": np.trapezoid(truth.profile("density", r) * r**3, np.log(r)),
        "radial": weight @ radial,
        "tangential": weight @ tangential,
        "lever": weight @ (r**A * radial),
    }


def main() -> None:
    """Print the table."""
    scenario = load_scenario("bird2022-kgiants")
    truth = make_mock(scenario.mock).truth
    settings = scenario.estimators[1].spec
    alpha = settings["alpha"]
    edges = settings["bins"]
    rows = [bin_averages(truth, lo, hi) for lo, hi in pairwise(edges)]
    r, share, radial, tangential, lever = (
        np.array([row[name] for row in rows])
        for name in ("r", "share", "radial", "tangential", "lever")
    )
    slope = power_law_slope(r, tuple(alpha["slopes"]), tuple(alpha["breaks"]), alpha["width"])
    mass = truth.profile("enclosed_mass", r)

    step = 1e-4
    local = np.stack(
        [
            truth.profile("sigma_r", r),
            truth.profile("sigma_theta", r),
            truth.profile("sigma_phi", r),
        ]
    )
    rise = (
        truth.profile("sigma_r", r * (1 + step)) ** 2
        - truth.profile("sigma_r", r * (1 - step)) ** 2
    )
    true_gradient = rise / (2.0 * step * r)
    binned = np.sqrt(np.stack([radial, 0.5 * tangential, 0.5 * tangential]))
    n = scenario.survey["n_stars"] * share / share.sum()
    density = exponential_log_density(r, binned[0], binned[0] / np.sqrt(2.0 * n))
    start = np.array([180.0, 70.0])
    draws = quadrature(density, start, 0.02 * start, 20000, np.random.default_rng(1))
    s0, h = np.median(draws, axis=0)
    fitted = gradient(r, s0, h)

    local_beta = 1.0 - 0.5 * (local[1] ** 2 + local[2] ** 2) / local[0] ** 2
    binned_beta = 1.0 - 0.5 * tangential / radial
    tracer_local = r / G * (A - slope - 2.0 * local_beta) * local[0] ** 2
    tracer_all = r ** (1.0 - A) / G * (A - slope - 2.0 * binned_beta) * lever
    columns = {
        "jeans, nothing": jeans_mass(r, true_gradient, local, slope),
        "jeans, bins": jeans_mass(r, true_gradient, binned, slope),
        "jeans, exponential": jeans_mass(r, fitted, local, slope),
        "jeans, all": jeans_mass(r, fitted, binned, slope),
        "tracer, scale-free": tracer_local,
        "tracer, all": tracer_all,
    }
    print(f"sigma_r = {s0:.1f} exp(-r / {h:.1f} kpc) km/s; bias of M(<r) in per cent, no noise")
    print(f"{'r [kpc]':>8}" + "".join(f"{name:>20}" for name in columns))
    for k in range(len(r)):
        biases = "".join(f"{100 * (m[k] / mass[k] - 1):20.1f}" for m in columns.values())
        print(f"{r[k]:8.1f}{biases}")


if __name__ == "__main__":
    main()
