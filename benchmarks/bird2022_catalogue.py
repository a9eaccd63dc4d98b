"""All steps of Bird et al. (2022) on one catalogue: the fast path beside the published recipe.

10762 stars between 5 and 125 kpc, density of their K giants, sigma_r = 187 exp(-r / 68 kpc), beta
0.7, velocity errors of 10 km/s. Prints the seconds of a first call, in which numba compiles (or
loads what it compiled before: set NUMBA_CACHE_DIR to an empty folder), then the seconds of each step
by quadrature and by emcee with the published walkers and steps, then medians and 68 per cent half
widths of both with 20000 draws, so that the samplers differ and not the noise of 100 or 1000 draws
(1000 for the halo of tracer-mass, whose bootstraps are the same 100 on both sides). The ellipsoids
need no sampler: their two columns are one computation. Under "same masses" both samplers fit the halo
to the masses of the first column: the masses of this catalogue are not those of an NFW halo, so the
fit above magnifies the noise of their error bars.
"""

from __future__ import annotations

import time

import numpy as np

from haloassay.contracts.catalogue import Catalogue
from haloassay.contracts.estimate import Estimate
from haloassay.contracts.frames import spherical_basis
from haloassay.contracts.profiles import power_law_log_density
from haloassay.estimators import make_estimator
from haloassay.estimators.bins import radial_bins
from haloassay.estimators.fit.ellipsoid import fit_bin
from haloassay.estimators.fit.posterior import EmceeRun, Sampler, explore
from haloassay.estimators.halo.nfw import NFWFit, nfw_rows
from haloassay.estimators.jeans_3d import exponential_draws, exponential_log_density

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


def sigma_r_profile(stars: Catalogue) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Radii, sigma_r and its Poisson errors of the bins, as jeans-3d fits them."""
    bins = radial_bins(stars.r, tuple(BINS))
    sigma = np.array([fit_bin(stars, bin_, 10).sigma[0] for bin_ in bins])
    root = np.sqrt([2.0 * len(bin_) for bin_ in bins])
    return np.array([bin_.r for bin_ in bins]), sigma, sigma / root


def sigma_r_fit(stars: Catalogue, sampler: str, n_draws: int) -> tuple[float, list[Estimate]]:
    """Seconds and rows of sigma_r = s0 exp(-r / h) alone (part of jeans-3d)."""
    profile, rng = sigma_r_profile(stars), np.random.default_rng(2022)
    begin = time.perf_counter()
    if sampler == "quadrature":
        draws = exponential_draws(*profile, n_draws, rng)
    else:
        start = np.array([187.0, 68.0])
        log_density = exponential_log_density(*profile)
        run = EmceeRun(walkers=1000, steps=1500, burn=500)
        way = log_density, start, 0.01 * start, n_draws, rng
        draws = explore(*way, sampler="emcee", emcee=run).draws
    seconds = time.perf_counter() - begin
    return seconds, [
        Estimate.from_draws(name, d) for name, d in zip(("s0", "h"), draws.T, strict=True)
    ]


def step(stars: Catalogue, kind: str, sampler: str, n_draws: int) -> tuple[float, list[Estimate]]:
    """Seconds and rows of one estimator, on a catalogue of which nothing has been derived yet."""
    settings = {
        "velocity-ellipsoid": {"errors": "poisson", "n_draws": n_draws},
        "jeans-3d": {"alpha": ALPHA, "n_draws": n_draws, "sampler": sampler},
        "tracer-mass": {"alpha": ALPHA, "nfw": {}, "sampler": sampler},
    }
    estimator = make_estimator({"kind": kind, "bins": BINS, **settings[kind]})
    fresh = Catalogue(dict(stars.columns))
    begin = time.perf_counter()
    rows = list(estimator.estimate(fresh, np.random.default_rng(2022)))
    return time.perf_counter() - begin, rows


def halo(rows: list[Estimate], sampler: Sampler) -> list[Estimate]:
    """Rows of the halo fitted to the enclosed masses among ``rows``."""
    masses = [row for row in rows if row.quantity == "enclosed_mass"]
    r, mass, lo, hi = np.array([(row.r, row.value, row.lo68, row.hi68) for row in masses]).T
    rng = np.random.default_rng(2022)
    return nfw_rows(r, mass, 0.5 * (hi - lo), NFWFit(), sampler, 20000, rng)


def compare(title: str, fast: list[Estimate], published: list[Estimate]) -> None:
    print(
        f"\n{title:>14} {'r':>6} {'quadrature':>22} {'emcee':>22} {'shift/width':>11} {'widths':>7}"
    )
    for a, b in zip(fast, published, strict=True):
        widths = [0.5 * (row.hi68 - row.lo68) for row in (a, b)]
        cells = [
            row.note or f"{row.value:.5g} +- {w:.3g}" for row, w in zip((a, b), widths, strict=True)
        ]
        place = f"{a.r:6.1f}" if np.isfinite(a.r) else " " * 6
        shift, ratio = (a.value - b.value) / widths[1], widths[0] / widths[1]
        print(f"{a.quantity:>14} {place} {cells[0]:>22} {cells[1]:>22} {shift:11.3f} {ratio:7.3f}")


def main() -> None:
    stars = catalogue(np.random.default_rng(1))
    kinds = ("velocity-ellipsoid", "jeans-3d", "tracer-mass")
    begin = time.perf_counter()
    for kind in kinds:
        step(stars, kind, "quadrature", 1000)
    print(f"{N_STARS} stars, {len(BINS) - 1} bins; first call: {time.perf_counter() - begin:.2f} s")
    totals = dict.fromkeys(("quadrature", "emcee"), 0.0)
    for kind in kinds:
        seconds = {sampler: step(stars, kind, sampler, 1000)[0] for sampler in totals}
        print(f"{kind:>20}: " + ", ".join(f"{k} {v:.3f} s" for k, v in seconds.items()))
        totals = {sampler: totals[sampler] + seconds[sampler] for sampler in totals}
    print(f"{'all':>20}: " + ", ".join(f"{k} {v:.3f} s" for k, v in totals.items()))
    fits = {sampler: sigma_r_fit(stars, sampler, 20000) for sampler in totals}
    print(f"{'sigma_r fit alone':>20}: " + ", ".join(f"{k} {v[0]:.3f} s" for k, v in fits.items()))
    compare("sigma_r fit", fits["quadrature"][1], fits["emcee"][1])
    for kind in kinds:
        both = {sampler: step(stars, kind, sampler, 20000)[1] for sampler in totals}
        compare(kind, *both.values())
        if kind != "velocity-ellipsoid":
            halos = [halo(both["quadrature"], sampler) for sampler in totals]
            compare("same masses", *halos)


if __name__ == "__main__":
    main()
