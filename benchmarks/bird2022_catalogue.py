"""All steps of Bird et al. (2022) on one catalogue: the fast path beside the published recipe.

10762 stars between 5 and 125 kpc, density of their K giants, sigma_r = 187 exp(-r / 68 kpc), beta
0.7. Prints seconds of each path after a first run that compiles, then medians and 68 per cent half
widths of both with masses drawn 20000 times, so that the samplers differ and not the noise.
"""

from __future__ import annotations

import time

import numpy as np

from haloassay.catalogue import Catalogue
from haloassay.estimate import Estimates
from haloassay.estimators import make_estimator
from haloassay.frames import spherical_basis
from haloassay.profiles import power_law_log_density

BINS = [5, 15, 25, 35, 45, 55, 65, 125]
ALPHA = {"slopes": [-2.8, -4.6], "breaks": [17.0]}
N_STARS = 10762


def catalogue(rng: np.random.Generator) -> Catalogue:
    grid = np.geomspace(5.0, 125.0, 4000)
    mass = np.exp(power_law_log_density(grid, (-2.8, -4.6), (17.0,), 0.0)) * grid**3
    cdf = np.cumsum(mass) - mass[0]
    r = np.exp(np.interp(rng.random(N_STARS), cdf / cdf[-1], np.log(grid)))
    toward = rng.standard_normal((N_STARS, 3))
    toward /= np.linalg.norm(toward, axis=1)[:, None]
    sigma = 187.0 * np.exp(-r / 68.0)[:, None] * np.sqrt([1.0, 0.3, 0.3])
    v = np.einsum("nk,nki->ni", sigma * rng.standard_normal((N_STARS, 3)), spherical_basis(toward))
    v += 10.0 * rng.standard_normal(v.shape)
    x, y, z = (r[:, None] * toward).T
    errors = dict.fromkeys(("vx_err", "vy_err", "vz_err"), np.full(N_STARS, 10.0))
    return Catalogue.from_arrays(x=x, y=y, z=z, vx=v[:, 0], vy=v[:, 1], vz=v[:, 2], **errors)


def all_steps(stars: Catalogue, sampler: str, n_draws: int = 1000) -> tuple[float, Estimates]:
    """Seconds, and rows, of ellipsoids, sigma_r fit, Jeans equation, tracer mass and both halos."""
    common = {"bins": BINS, "alpha": ALPHA, "sampler": sampler}
    jeans = make_estimator({"kind": "jeans-3d", "n_draws": n_draws, **common})
    tracers = make_estimator({"kind": "tracer-mass", "nfw": {}, **common})
    ellipsoids = make_estimator({"kind": "velocity-ellipsoid", "bins": BINS})
    fresh = Catalogue(dict(stars.columns))
    begin = time.perf_counter()
    rows = [
        row
        for method in (ellipsoids, jeans, tracers)
        for row in method.estimate(fresh, np.random.default_rng(2022))
    ]
    return time.perf_counter() - begin, Estimates(rows)


def main() -> None:
    stars = catalogue(np.random.default_rng(1))
    all_steps(stars, "quadrature")
    fast, _ = all_steps(stars, "quadrature")
    slow, _ = all_steps(stars, "emcee")
    _, quick = all_steps(stars, "quadrature", 20000)
    _, published = all_steps(stars, "emcee", 20000)
    print(f"{N_STARS} stars, {len(BINS) - 1} bins: quadrature {fast:.3f} s, emcee {slow:.2f} s")
    print(f"{'quantity':>14} {'r':>7} {'quadrature':>25} {'emcee':>25}")
    for a, b in zip(quick, published, strict=True):
        if a.quantity in ("enclosed_mass", "m200", "r200", "c200"):
            cells = [
                row.note or f"{row.value:.5g} +- {0.5 * (row.hi68 - row.lo68):.3g}"
                for row in (a, b)
            ]
            print(f"{a.quantity:>14} {a.r:7.1f} {cells[0]:>25} {cells[1]:>25}")


if __name__ == "__main__":
    main()
