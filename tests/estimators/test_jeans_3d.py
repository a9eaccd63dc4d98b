from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad

from haloassay.constants import G
from haloassay.estimators import make_estimator
from haloassay.estimators.jeans_3d import exponential_log_density, gradient, jeans_mass
from haloassay.estimators.posterior import EmceeRun, emcee_chain, quadrature

BINS = [5, 8, 12, 17, 24, 35, 50]


def test_formula_on_an_isothermal_system():
    # v_c^2 = sigma_r^2 (gamma - 2 beta), constant
    r, sigma_r, gamma, beta = np.array([5.0, 50.0]), 120.0, 3.5, 0.4
    across = sigma_r * np.sqrt(1.0 - beta)
    mass = jeans_mass(r, 0.0, np.array([sigma_r, across, across])[:, None], -gamma)
    np.testing.assert_allclose(mass, sigma_r**2 * (gamma - 2.0 * beta) * r / G, rtol=1e-12)


def test_formula_on_a_hernquist_halo():
    # sigma_r from quadrature of the isotropic Jeans equation, its slope by differences
    m, a, r = 1e12, 20.0, 30.0

    def rho(x):
        return 1.0 / (x * (x + a) ** 3)

    def variance(x):
        return quad(lambda s: rho(s) * G * m / (s + a) ** 2, x, np.inf, epsrel=1e-12)[0] / rho(x)

    slope = (variance(r * 1.001) - variance(r * 0.999)) / (0.002 * r)
    sigma = np.full(3, np.sqrt(variance(r)))
    alpha = -(1.0 + 3.0 * r / (r + a))
    np.testing.assert_allclose(
        jeans_mass(r, slope, sigma, alpha), m * (r / (r + a)) ** 2, rtol=1e-5
    )


def test_gradient_is_the_derivative_of_the_exponential():
    r, s0, h = 20.0, np.array([187.0]), np.array([68.0])
    step = 1e-4
    numeric = np.diff([(s0 * np.exp(-x / h)) ** 2 for x in (r - step, r + step)], axis=0) / (
        2 * step
    )
    np.testing.assert_allclose(gradient(np.array([r]), s0, h), numeric[0], rtol=1e-7)


@pytest.fixture
def exponential(gaussian_catalogue):
    """Isotropic sample of density r^-3.5 and sigma = 180 exp(-r / 70) and its exact mass."""

    def make(n, rng):
        from halo_samples import power_law_radii

        r = power_law_radii(n, -3.5, 5.0, 50.0, rng)
        return gaussian_catalogue(r, 180.0 * np.exp(-r / 70.0)[:, None] * np.ones(3), rng)

    def mass(r):
        variance = (180.0 * np.exp(-r / 70.0)) ** 2
        return variance * r * (3.5 + 2.0 * r / 70.0) / G

    return make, mass


def test_mass_is_recovered_where_the_method_is_exact(exponential):
    make, mass = exponential
    estimator = make_estimator({"kind": "jeans-3d", "bins": BINS, "alpha": -3.5, "nfw": "none"})
    errors, inside = [], []
    for k in range(60):
        rng = np.random.default_rng([1, k])
        rows = estimator.estimate(make(3000, rng), rng).of("enclosed_mass")
        r, value, lo, hi = np.array([(w.r, w.value, w.lo68, w.hi68) for w in rows]).T
        errors.append(value / mass(r) - 1.0)
        inside.append((lo < mass(r)) & (mass(r) < hi))
    errors = np.array(errors)
    pull = errors.mean(axis=0) / (errors.std(axis=0, ddof=1) / np.sqrt(60))
    # the dispersion of a wide bin is not that at its median radius: below 2 per cent here
    allowed = 4.0 + 0.02 / (errors.std(axis=0, ddof=1) / np.sqrt(60))
    assert np.all(np.abs(pull) < allowed)
    assert np.all(np.mean(inside, axis=0) > 0.68 - 4.0 * np.sqrt(0.68 * 0.32 / 60) - 0.05)


def test_circular_velocity_is_that_of_the_mass(exponential):
    rng = np.random.default_rng(2)
    rows = make_estimator({"kind": "jeans-3d", "bins": BINS, "alpha": -3.5}).estimate(
        exponential[0](3000, rng), rng
    )
    for mass, v_c in zip(rows.of("enclosed_mass"), rows.of("v_c"), strict=True):
        assert v_c.r == mass.r
        np.testing.assert_allclose(v_c.lo68, np.sqrt(G * mass.lo68 / mass.r), rtol=1e-3)


def test_quadrature_and_emcee_agree_on_sigma_r():
    import emcee

    r = np.array([8.0, 19.0, 29.0, 39.0, 49.0, 60.0, 73.0])
    error = np.array([1.5, 2.0, 3.0, 4.5, 6.0, 8.0, 7.0])
    sigma = 187.0 * np.exp(-r / 68.0) + error * np.random.default_rng(3).standard_normal(7)
    density = exponential_log_density(r, sigma, error)
    run = EmceeRun(200, 1000, 300)
    chain = emcee_chain(density, [187.0, 68.0], [2.0, 1.0], run, np.random.default_rng(4))
    draws = quadrature(density, [150.0, 100.0], [3.0, 2.0], 20000, np.random.default_rng(5))
    for k in range(2):
        effective = (
            chain[:, :, k].size / emcee.autocorr.integrated_time(chain[:, :, k], quiet=True)[0]
        )
        sd, flat = draws[:, k].std(), chain[:, :, k].ravel()
        mcse = sd * np.sqrt(1.0 / effective + 1.0 / 20000)
        assert abs(flat.mean() - draws[:, k].mean()) < 4.0 * mcse
        assert abs(np.median(flat) - np.median(draws[:, k])) < 4.0 * 1.2533 * mcse
        assert abs(flat.std() - sd) < 4.0 * 1.5 * mcse / np.sqrt(2.0)


def test_one_usable_bin_leaves_everything_undetermined(exponential):
    rng = np.random.default_rng(6)
    estimator = make_estimator({"kind": "jeans-3d", "bins": [5, 50, 90], "alpha": -3.5})
    rows = estimator.estimate(exponential[0](500, rng), rng)
    assert len(rows) == 7
    notes = [row.note for row in rows]
    assert "gradient of sigma_r needs two bins" in notes[0]
    assert "too few stars" in notes[1]
    assert "gradient" in notes[-1]


def test_rising_dispersion_stays_within_the_prior(gaussian_catalogue):
    rng = np.random.default_rng(7)
    r = rng.uniform(5.0, 50.0, 3000)
    catalogue = gaussian_catalogue(r, (100.0 + r)[:, None] * np.ones(3), rng)
    rows = make_estimator({"kind": "jeans-3d", "bins": BINS, "alpha": -3.5}).estimate(
        catalogue, rng
    )
    assert all(np.isfinite(row.value) for row in rows.of("enclosed_mass"))


def test_intervals_know_the_velocity_errors_where_asked(gaussian_catalogue):
    rng = np.random.default_rng(8)
    r = rng.uniform(5.0, 50.0, 2000)
    catalogue = gaussian_catalogue(r, np.full((2000, 3), 100.0), rng)
    columns = {**catalogue.columns, **{f"v{a}_err": np.full(2000, 70.0) for a in "xyz"}}
    for a in "xyz":
        columns[f"v{a}"] = columns[f"v{a}"] + 70.0 * rng.standard_normal(2000)
    noisy = type(catalogue)(columns)

    def width(errors):
        spec = {"kind": "jeans-3d", "bins": BINS, "alpha": -3.5, "errors": errors, "nfw": "none"}
        rows = make_estimator(spec).estimate(noisy, np.random.default_rng(9))
        return np.array([row.hi68 - row.lo68 for row in rows.of("enclosed_mass")])

    assert np.all(width("fisher") > 1.15 * width("poisson"))
