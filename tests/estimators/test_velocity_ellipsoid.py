from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from seeds import seeded

from haloassay.base.errors import EstimationError, InputError
from haloassay.contracts.catalogue import Catalogue
from haloassay.estimators import make_estimator
from haloassay.estimators.fit.ellipsoid import anisotropy, fit_ellipsoid
from haloassay.estimators.velocity_ellipsoid import VelocityEllipsoid

MEAN = np.array([5.0, -10.0, 20.0])
ROOT = np.array([[140.0, 0.0, 0.0], [20.0, 80.0, 0.0], [-10.0, 15.0, 90.0]])
SIGMA = ROOT @ ROOT.T


def sample(n, rng, errors=(7.0, 40.0, 40.0), scatter=ROOT):
    """Velocities (n, 3) and their unequal, correlated error covariances (n, 3, 3)."""
    lower = np.array([[1.0, 0.0, 0.0], [0.3, 1.0, 0.0], [0.0, 0.4, 1.0]])
    roots = rng.uniform(0.3, 1.7, n)[:, None, None] * np.asarray(errors)[:, None] * lower
    v = MEAN + rng.standard_normal((n, 3)) @ scatter.T
    noise = np.einsum("nij,nj->ni", roots, rng.standard_normal((n, 3)))
    return v + noise, roots @ np.swapaxes(roots, 1, 2)


def test_without_errors_it_is_the_sample_mean_and_covariance():
    v, S = sample(40, seeded(1), errors=(0.0, 0.0, 0.0))
    fit = fit_ellipsoid(v, S, "fisher")
    np.testing.assert_allclose(fit.mean, v.mean(axis=0), rtol=1e-10)
    np.testing.assert_allclose(fit.covariance, np.cov(v.T, bias=True), rtol=1e-10)
    np.testing.assert_allclose(fit.sigma_error, fit.sigma / np.sqrt(80.0), rtol=1e-10)


def test_agrees_with_a_direct_optimisation_of_the_likelihood():
    v, S = sample(60, seeded(2), errors=(30.0, 80.0, 80.0))
    fit = fit_ellipsoid(v, S)
    where = np.tril_indices(3)

    def minus_log_likelihood(p):
        root = np.zeros((3, 3))
        root[where] = p[3:]
        total = root @ root.T + S
        d = v - p[:3]
        chi2 = np.einsum("ni,ni->", d, np.linalg.solve(total, d[..., None])[..., 0])
        return 0.5 * (chi2 + np.sum(np.linalg.slogdet(total)[1]))

    start = np.concatenate([MEAN, ROOT[where]])
    found = minimize(minus_log_likelihood, start, method="BFGS", options={"gtol": 1e-5})
    mine = np.concatenate([fit.mean, np.linalg.cholesky(fit.covariance)[where]])
    assert minus_log_likelihood(mine) <= found.fun + 1e-6
    root = np.zeros((3, 3))
    root[where] = found.x[3:]
    np.testing.assert_allclose(fit.mean, found.x[:3], atol=0.02)
    np.testing.assert_allclose(np.sqrt(np.diag(root @ root.T)), fit.sigma, atol=0.02)


def draws_of_many(n_stars, n_samples, errors, seed, model):
    truth = np.concatenate([MEAN, np.sqrt(np.diag(SIGMA)), [anisotropy(np.sqrt(np.diag(SIGMA)))]])
    rows = []
    for k in range(n_samples):
        rng = seeded(seed, k)
        fit = fit_ellipsoid(*sample(n_stars, rng, errors), model)
        mean, sigma = fit.draws(1000, rng)
        rows.append(np.column_stack([mean, sigma, anisotropy(sigma)]))
    return truth, np.array(rows)


@pytest.mark.parametrize(
    ("n_stars", "errors", "model"),
    [
        (12, (0.0, 0.0, 0.0), "fisher"),
        (300, (7.0, 40.0, 40.0), "fisher"),
        (300, (7.0, 40.0, 40.0), "sandwich"),
    ],
    ids=str,
)
def test_median_and_intervals_over_many_samples(n_stars, errors, model):
    truth, draws = draws_of_many(n_stars, 200, errors, 3, model)
    below = (draws < truth).mean(axis=1)
    for nominal, lo, hi in ((0.68, 0.16, 0.84), (0.95, 0.025, 0.975)):
        coverage = ((below > lo) & (below < hi)).mean(axis=0)
        mcse = np.sqrt(nominal * (1.0 - nominal) / 200)
        np.testing.assert_array_less(np.abs(coverage - nominal), 4.0 * mcse)
    # medians of means and dispersions stand on either side of the truth equally often
    on_one_side = (np.median(draws, axis=1) < truth).mean(axis=0)
    np.testing.assert_array_less(np.abs(on_one_side - 0.5), 4.0 * np.sqrt(0.25 / 200))


def test_estimate_is_unbiased_and_needs_the_errors():
    with_errors, without = [], []
    for k in range(200):
        v, S = sample(300, seeded(4, k), errors=(7.0, 40.0, 40.0))
        with_errors.append(fit_ellipsoid(v, S).variance * 300 / 299)
        without.append(fit_ellipsoid(v, np.zeros_like(S)).variance * 300 / 299)
    truth = np.diag(SIGMA)

    def pulls(values):
        values = np.array(values)
        return (values.mean(axis=0) - truth) / (values.std(axis=0, ddof=1) / np.sqrt(200))

    assert np.all(np.abs(pulls(with_errors)) < 4.0)
    assert np.all(pulls(without)[1:] > 10.0)


def test_fisher_errors_are_those_of_repeated_samples():
    fits = [
        fit_ellipsoid(*sample(300, seeded(5, k), (10.0, 60.0, 60.0)), "fisher") for k in range(300)
    ]
    scatter = np.std([fit.sigma for fit in fits], axis=0, ddof=1)
    stated = np.mean([fit.sigma_error for fit in fits], axis=0)
    assert np.all(np.abs(scatter / stated - 1.0) < 4.0 / np.sqrt(2 * 299))
    poisson = np.mean([fit.sigma for fit in fits], axis=0) / np.sqrt(600.0)
    assert np.all(stated[1:] > 1.2 * poisson[1:])  # the published errors do not know S


def heavy_tailed(n, rng, errors=(7.0, 40.0, 40.0)):
    """Velocities of kurtosis 7 (normal times the root of a gamma variate), skew in v_r, and S."""
    v, S = sample(n, rng, errors, scatter=np.zeros((3, 3)))
    squared = rng.gamma(0.75, 1.0 / 0.75, n)  # kurtosis 3 (1 + 1 / 0.75)
    v = v + np.sqrt(squared)[:, None] * (rng.standard_normal((n, 3)) @ ROOT.T)
    v[:, 0] += 150.0 * (rng.exponential(size=n) - 1.0)
    return v, S


def test_without_errors_the_sandwich_is_that_of_the_fourth_moments():
    v, _ = heavy_tailed(500, seeded(11))
    n, S = len(v), np.zeros((len(v), 3, 3))
    fit = fit_ellipsoid(v, S)
    d = v - v.mean(axis=0)
    influence = np.hstack([d, (d**2 - np.mean(d**2, axis=0)) * np.sqrt((n + 1.0) / (n - 2.0))])
    np.testing.assert_allclose(fit.error_covariance, influence.T @ influence / n**2, rtol=1e-7)


@pytest.mark.slow
def test_sandwich_errors_are_those_of_repeated_samples_that_are_not_gaussian():
    values, stated, gaussian = [], [], []
    for k in range(300):
        rng = seeded(12, k)
        v, S = heavy_tailed(600, rng)
        fit = fit_ellipsoid(v, S)
        values.append(np.concatenate([fit.mean, fit.variance]))
        stated.append(fit.error_covariance)
        gaussian.append(fit_ellipsoid(v, S, "fisher").error_covariance)
    values, stated, gaussian = np.array(values), np.mean(stated, axis=0), np.mean(gaussian, axis=0)
    scatter = np.cov(values.T)
    deviation = np.sqrt(np.diag(scatter))
    # the scatter of a sample variance of 300 values, themselves nearly Gaussian
    ratio = np.diag(scatter) / np.diag(stated) - 1.0
    assert np.all(np.abs(ratio) < 4.0 * np.sqrt(2.0 / 299.0))
    noise = 4.0 / np.sqrt(299.0)
    correlations = [
        c / np.outer(np.sqrt(np.diag(c)), np.sqrt(np.diag(c))) for c in (scatter, stated)
    ]
    assert np.all(np.abs(correlations[0] - correlations[1]) < noise)
    assert np.all(deviation[3:] > 1.3 * np.sqrt(np.diag(gaussian))[3:])
    assert correlations[1][0, 3] > noise  # the skew radial velocities


def test_draws_have_the_covariance_of_the_errors():
    fit = fit_ellipsoid(*heavy_tailed(20000, seeded(14)))
    mean, sigma = fit.draws(20000, seeded(15))
    drawn, stated = np.cov(np.hstack([mean, sigma**2]).T), fit.error_covariance
    deviation = np.sqrt(np.diag(stated))
    np.testing.assert_allclose(np.sqrt(np.diag(drawn)), deviation, rtol=4.0 / np.sqrt(2 * 20000))
    difference = (drawn - stated) / np.outer(deviation, deviation)
    assert np.all(np.abs(difference) < 4.0 * np.sqrt(2.0 / 20000))
    assert stated[4, 5] / (deviation[4] * deviation[5]) > 0.1  # tails shared by the axes


@pytest.mark.slow
def test_intervals_of_beta_hold_what_they_say_for_velocities_that_are_not_gaussian():
    # the three variances in closed form: those of ROOT, and of the skew part in v_r
    variance = np.diag(SIGMA + np.diag([150.0**2, 0.0, 0.0]))
    truth = anisotropy(np.sqrt(variance))
    inside, runs = {"sandwich": [], "fisher": []}, 150
    for k in range(runs):
        v, S = heavy_tailed(600, seeded(13, k))
        for model, hits in inside.items():
            _, sigma = fit_ellipsoid(v, S, model).draws(500, seeded(k))
            lo, hi = np.percentile(anisotropy(sigma), [16.0, 84.0])
            hits.append(lo < truth < hi)
    mcse = np.sqrt(0.68 * 0.32 / runs)
    assert abs(np.mean(inside["sandwich"]) - 0.68) < 4.0 * mcse
    assert np.mean(inside["fisher"]) < 0.68 - 4.0 * mcse


def test_errors_larger_than_the_dispersion_leave_it_undetermined():
    rng = seeded(6)
    small = np.diag([140.0, 5.0, 90.0])
    v, S = sample(60, rng, errors=(5.0, 100.0, 5.0), scatter=small)
    fit = fit_ellipsoid(v, S)
    assert fit.hidden.tolist() == [False, True, False]
    assert "sigma_theta" in fit.note()
    mean, sigma = fit.draws(200, rng)
    assert np.isfinite(mean).all()
    assert np.isfinite(sigma).all()


def test_stars_in_a_plane_of_velocity_have_no_ellipsoid():
    v = seeded(7).standard_normal((30, 3))
    v[:, 2] = v[:, 0] + v[:, 1]
    with pytest.raises(EstimationError, match="no scatter"):
        fit_ellipsoid(v, np.zeros((30, 3, 3)))


def rows_of(catalogue, **spec):
    estimator = make_estimator({"kind": "velocity-ellipsoid", **spec})
    return estimator.estimate(catalogue, seeded(0))


@pytest.fixture
def halo(gaussian_catalogue):
    rng = seeded(8)
    return gaussian_catalogue(rng.uniform(5.0, 20.0, 400), np.array([[140.0, 80.0, 90.0]]), rng)


@pytest.mark.parametrize("errors", ["sandwich", "fisher", "poisson", "bootstrap"])
def test_all_error_recipes_agree_without_measurement_errors(halo, errors):
    rows = rows_of(halo, errors=errors, n_draws=400)
    assert [row.quantity for row in rows] == list(VelocityEllipsoid.yields)
    sigma_r = rows.of("sigma_r")[0]
    assert abs(sigma_r.value - 140.0) < 4.0 * 140.0 / np.sqrt(800.0)
    width = 0.5 * (sigma_r.hi68 - sigma_r.lo68)
    # 68 per cent points of 400 draws scatter by 6 per cent; the bootstrap knows the kurtosis
    assert abs(width / (140.0 / np.sqrt(800.0)) - 1.0) < 0.25


def test_bins_without_enough_stars_say_so(halo):
    rows = rows_of(halo, bins=[0, 5, 10, 20, 40])
    notes = [row.note for row in rows.of("beta")]
    assert ["too few stars: 0" in note for note in notes] == [True, False, False, True]
    assert all(np.isfinite([row.r, row.r_lo, row.r_hi]).all() for row in rows)
    inner = rows.of("sigma_r")[1]
    assert (inner.r_lo, inner.r_hi) == (5.0, 10.0)
    assert inner.r == np.median(halo.r[(halo.r >= 5.0) & (halo.r < 10.0)])


def test_one_star_is_undetermined(halo):
    rows = rows_of(halo.select(np.array([0])))
    assert all(row.note.startswith("too few stars: 1") for row in rows)


def test_velocity_that_is_not_finite_is_named(halo):
    columns = {name: values.copy() for name, values in halo.columns.items()}
    columns["vx"][3] = np.nan
    with pytest.raises(InputError, match=r"1 of 400 stars .*first rows: 3"):
        rows_of(Catalogue(columns))


@given(st.floats(0.1, 10.0), st.randoms(use_true_random=False))
@settings(max_examples=15, deadline=None)
def test_scaled_and_shuffled_velocities(k, random):
    v, S = sample(50, seeded(9), errors=(20.0, 60.0, 60.0))
    order = list(range(50))
    random.shuffle(order)
    plain, changed = fit_ellipsoid(v, S), fit_ellipsoid(k * v[order], k * k * S[order])
    np.testing.assert_allclose(changed.mean, k * plain.mean, rtol=1e-6, atol=1e-5)
    np.testing.assert_allclose(changed.sigma, k * plain.sigma, rtol=1e-6)
    np.testing.assert_allclose(changed.beta, plain.beta, rtol=1e-5, atol=1e-6)
