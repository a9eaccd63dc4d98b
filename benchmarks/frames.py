"""Errors of 64 000 stars: astropy by Monte Carlo, numpy and numba by Jacobian, side by side.

Run with ``python benchmarks/frames.py``; one thread. astropy is timed on a subset and scaled.
"""

import time

import astropy.coordinates as coord
import astropy.units as u
import numpy as np

from haloassay.contracts import frames
from haloassay.contracts.catalogue import Catalogue
from haloassay.contracts.columns import HELIOCENTRIC
from haloassay.contracts.propagation import monte_carlo_covariance, spherical_covariance

N_STARS, N_DRAWS, N_ASTROPY = 64_000, 1000, 640


def make_catalogue(n, rng):
    return Catalogue.from_arrays(
        ra=rng.uniform(0.0, 360.0, n),
        dec=np.degrees(np.arcsin(rng.uniform(-1.0, 1.0, n))),
        distance=(distance := rng.uniform(10.0, 100.0, n)),
        pmra=rng.normal(0.0, 0.5, n),
        pmdec=rng.normal(0.0, 0.5, n),
        vlos=rng.normal(0.0, 150.0, n),
        distance_err=0.02 * distance,
        pmra_err=rng.uniform(0.02, 0.1, n),
        pmdec_err=rng.uniform(0.02, 0.1, n),
        vlos_err=rng.uniform(1.0, 7.0, n),
        pm_corr=rng.uniform(-0.7, 0.7, n),
    )


def astropy_monte_carlo(catalogue, rng):
    """Covariance (N, 3, 3) of 1000 draws a star, transformed by astropy in one vectorised call."""
    sun, c = catalogue.sun, catalogue
    shape = (len(c), N_DRAWS)
    east = rng.normal(size=shape)
    rho = c.pm_corr[:, None]
    north = rho * east + np.sqrt(1.0 - rho**2) * rng.normal(size=shape)
    drawn = {name: np.repeat(c[name][:, None], N_DRAWS, axis=1) for name in HELIOCENTRIC}
    drawn["distance"] += c.error("distance")[:, None] * rng.normal(size=shape)
    drawn["pmra"] += c.error("pmra")[:, None] * east
    drawn["pmdec"] += c.error("pmdec")[:, None] * north
    drawn["vlos"] += c.error("vlos")[:, None] * rng.normal(size=shape)
    frame = coord.Galactocentric(
        galcen_coord=coord.ICRS(ra=266.4051 * u.deg, dec=-28.936175 * u.deg),
        galcen_distance=np.hypot(sun.x, sun.z) * u.kpc,
        z_sun=sun.z * u.kpc,
        galcen_v_sun=coord.CartesianDifferential(sun.velocity * u.km / u.s),
    )
    icrs = coord.ICRS(
        ra=drawn["ra"] * u.deg,
        dec=drawn["dec"] * u.deg,
        distance=drawn["distance"] * u.kpc,
        pm_ra_cosdec=drawn["pmra"] * u.mas / u.yr,
        pm_dec=drawn["pmdec"] * u.mas / u.yr,
        radial_velocity=drawn["vlos"] * u.km / u.s,
    )
    there = icrs.transform_to(frame)
    x = np.moveaxis(there.cartesian.xyz.to_value("kpc"), 0, -1).reshape(-1, 3)
    v = np.moveaxis(there.velocity.d_xyz.to_value("km/s"), 0, -1).reshape(-1, 3)
    v = frames.spherical_velocity(x, v).reshape(*shape, 3)
    v = v - v.mean(axis=1, keepdims=True)
    return np.einsum("nki,nkj->nij", v, v) / (N_DRAWS - 1)


def numpy_jacobian(catalogue):
    """J C J^T by central differences of the public frames: no compiler."""
    c, n = catalogue, len(catalogue)
    jacobian, covariance = np.zeros((n, 3, 4)), np.zeros((n, 4, 4))
    for i, name in enumerate(HELIOCENTRIC[2:]):
        step = 1e-5
        high, low = (
            Catalogue({**c.columns, name: c[name] + s}, c.sun).spherical_velocity
            for s in (step, -step)
        )
        jacobian[:, :, i] = (high - low) / (2.0 * step)
        covariance[:, i, i] = c.error(name) ** 2
    covariance[:, 1, 2] = covariance[:, 2, 1] = c.pm_corr * c.error("pmra") * c.error("pmdec")
    return jacobian @ covariance @ np.swapaxes(jacobian, 1, 2)


def best_of(repeats, function):
    """Least wall-clock seconds of ``repeats`` calls, and the last result."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = function()
        seconds.append(time.perf_counter() - start)
    return min(seconds), result


def main():
    rng = np.random.default_rng(1)
    catalogue = make_catalogue(N_STARS, rng)
    subset = catalogue.select(np.arange(N_ASTROPY))
    spherical_covariance(subset)
    monte_carlo_covariance(subset, rng, 2)  # compiled or loaded, not timed

    seconds, theirs = best_of(2, lambda: astropy_monte_carlo(subset, rng))
    seconds *= N_STARS / N_ASTROPY
    rows = [(f"astropy, {N_DRAWS} draws (timed on {N_ASTROPY} stars, scaled)", seconds, theirs)]
    rows.append(
        (f"numba, {N_DRAWS} draws", *best_of(1, lambda: monte_carlo_covariance(catalogue, rng)))
    )
    rows.append(("numpy, numerical Jacobian", *best_of(3, lambda: numpy_jacobian(catalogue))))
    rows.append(("numba, analytic Jacobian", *best_of(10, lambda: spherical_covariance(catalogue))))

    reference = np.sqrt(np.einsum("nii->ni", rows[-1][2][:N_ASTROPY]))
    print(f"covariance of (v_r, v_theta, v_phi) of {N_STARS} stars, one thread")
    print(f"{'way':58s} {'seconds':>9s} {'faster by':>9s}  median sigma / analytic")
    for name, taken, covariance in rows:
        ratio = np.sqrt(np.einsum("nii->ni", covariance[:N_ASTROPY])) / reference
        print(f"{name:58s} {taken:9.4f} {seconds / taken:8.0f}x  {np.median(ratio):.4f}")


if __name__ == "__main__":
    main()
