from __future__ import annotations

import numpy as np
import pytest
from gaussian_samples import LI2026, assert_calibrated, catalogue_of, ranks, stars_of
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from seeds import seeded

from haloassay.base.errors import InputError
from haloassay.contracts.catalogue import Catalogue
from haloassay.estimators import make_estimator
from haloassay.estimators.fit.ellipsoid import anisotropy
from haloassay.estimators.fit.likelihoods import (
    gaussian_derivatives,
    gaussian_log_likelihood,
    gaussian_log_likelihoods,
)
from haloassay.estimators.fit.posterior import EmceeRun
from haloassay.estimators.gaussian_single import GaussianPrior, GaussianSingle, Sample, edge_note

POINT = LI2026[8:16]
TRUTH = {
    **dict(zip(("mean_v_r", "mean_v_theta", "mean_v_phi", "feh_mean"), POINT[:4], strict=True)),
    **dict(zip(("sigma_r", "sigma_theta", "sigma_phi", "feh_sigma"), POINT[4:], strict=True)),
    "beta": float(anisotropy(POINT[4:7])),
}


def rows_of(catalogue, seed=0, **spec):
    estimator = make_estimator({"kind": "gaussian-single", **spec})
    return estimator.estimate(catalogue, seeded(seed))


@pytest.fixture(scope="module")
def halo():
    rng = seeded(1)
    return catalogue_of(stars_of(POINT, 1003, rng, kms=40.0), rng)


@pytest.mark.parametrize("n", [1, 4, 1003])
def test_likelihood_is_that_of_scipy(n):
    rng = seeded(2)
    x, e2 = rng.normal(20.0, 50.0, n), rng.uniform(0.0, 40.0, n) ** 2
    points = np.column_stack([rng.normal(20.0, 30.0, 6), rng.uniform(10.0, 200.0, 6)])
    expected = [norm.logpdf(x, m, np.sqrt(s * s + e2)).sum() for m, s in points]
    found = gaussian_log_likelihood(x, e2, points) - 0.5 * n * np.log(2.0 * np.pi)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    value, gradient, hessian = gaussian_derivatives(x, e2, points[0])
    assert value - 0.5 * n * np.log(2.0 * np.pi) == pytest.approx(expected[0])
    steps = 1e-3 * np.eye(2)
    slope = (
        gaussian_log_likelihood(x, e2, points[0] + steps)
        - gaussian_log_likelihood(x, e2, points[0] - steps)
    ) / 2e-3
    np.testing.assert_allclose(gradient, slope, rtol=1e-5, atol=1e-9)
    bend = [
        gaussian_derivatives(x, e2, points[0] + s)[1]
        - gaussian_derivatives(x, e2, points[0] - s)[1]
        for s in steps
    ]
    np.testing.assert_allclose(hessian, np.array(bend) / 2e-3, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("error", [0.0, 30.0, 3000.0])
def test_likelihoods_of_many_points_are_those_of_the_stars(error):
    rng = seeded(3)
    e2 = (error * rng.uniform(0.1, 1.0, 1003)) ** 2
    x = rng.normal(20.0, np.sqrt(100.0**2 + e2))
    points = np.column_stack(
        [rng.normal(20.0, 9.0, 900), 100.0 * np.exp(rng.normal(0.0, 0.2, 900))]
    )
    points[:4] = [[20.0, 1e-3], [20.0, 1e5], [500.0, 100.0], [20.0, 0.0]]  # far, and no number
    found, exact = (f(x, e2, points) for f in (gaussian_log_likelihoods, gaussian_log_likelihood))
    known = np.isfinite(exact)
    assert known.sum() >= 899
    np.testing.assert_array_equal(np.isfinite(found), known)
    np.testing.assert_allclose(found[known], exact[known], rtol=1e-9, atol=1e-6)


@pytest.mark.parametrize("sampler", ["auto", "emcee"])
def test_without_feh_velocities_are_measured_alone(halo, sampler):
    """The same rows as beside [Fe/H], bit for bit where each quantity is drawn on its own, and none of [Fe/H]."""
    bare = Catalogue(
        {name: v for name, v in halo.columns.items() if not name.startswith("feh")}, halo.sun
    )
    spec = {"sampler": sampler, "emcee": {"walkers": 20, "steps": 600, "burn": 200}}
    alone, beside = (rows_of(stars, **spec) for stars in (bare, halo))
    assert "feh" not in make_estimator({"kind": "gaussian-single"}).required()
    assert [row.quantity for row in beside if not row.quantity.startswith("feh")] == [
        row.quantity for row in alone
    ]
    assert {row.quantity for row in beside} - {row.quantity for row in alone} == {
        "feh_mean",
        "feh_sigma",
    }
    for row in alone:
        other = beside.of(row.quantity)[0]
        if sampler == "auto":
            assert (row.value, row.lo68, row.hi95) == (other.value, other.lo68, other.hi95)
        else:
            assert abs(row.value - other.value) < other.hi68 - other.lo68
    few = rows_of(bare.select(slice(0, 5)))
    assert all(row.note for row in few)
    assert not few.of("feh_mean")


@pytest.mark.slow
@pytest.mark.parametrize("n", [20, 200])
def test_posterior_is_calibrated_over_its_prior(n):
    prior = GaussianPrior((-40.0, 40.0), (20.0, 90.0), (-2.0, -1.0), (0.1, 0.5))
    lo, hi = prior.bounds
    method = GaussianSingle(prior=prior, n_draws=400)
    shares = []
    for k in range(80):
        rng = seeded(3, n, k)
        truth = rng.uniform(lo, hi)
        sample = stars_of(truth, n, rng, 30.0, (0.3, 1.0, 1.2))
        shares.append(ranks(method.draws(sample, rng), truth))
    assert_calibrated(np.array(shares))


@pytest.mark.slow
def test_medians_are_unbiased_and_need_the_errors():
    with_errors, without = [], []
    runs = 50
    for k in range(runs):
        rng = seeded(4, k)
        sample = stars_of(POINT, 300, rng, 60.0, (0.3, 1.0, 1.2))
        blind = Sample(sample.x, np.zeros_like(sample.e2))
        with_errors.append(np.median(GaussianSingle().draws(sample, rng), axis=0))
        without.append(np.median(GaussianSingle().draws(blind, rng), axis=0))

    def pulls(values):
        values = np.array(values)
        return (values.mean(axis=0) - POINT) / (values.std(axis=0, ddof=1) / np.sqrt(runs))

    assert np.all(np.abs(pulls(with_errors)) < 4.0), pulls(with_errors)
    assert np.all(pulls(without)[5:] > 10.0)


def test_swapped_error_covariance_is_caught():
    """Errors of v_theta and v_phi exchanged: sigma_theta and sigma_phi leave their intervals."""
    rng = seeded(5)
    sample = stars_of(POINT, 4000, rng, kms=60.0, factors=(1.0, 0.25, 1.0))
    swapped = Sample(sample.x, sample.e2[[0, 2, 1, 3]].copy())
    right, wrong = (GaussianSingle().draws(s, rng) for s in (sample, swapped))

    def distance(draws):
        return np.abs(np.median(draws, axis=0) - POINT)[5:7] / draws.std(axis=0)[5:7]

    assert np.all(distance(right) < 4.0)
    assert np.all(distance(wrong) > 8.0)


def test_without_errors_it_is_the_sample_mean_and_deviation():
    rng = seeded(6)
    x = stars_of(POINT, 2000, rng, kms=0.0).x
    draws = GaussianSingle(n_draws=4000).draws(Sample(x, np.zeros_like(x)), rng)
    error = x.std(axis=1) / np.sqrt(2000.0)
    # the median of 4000 draws scatters by 1.25 / sqrt(4000) of the width
    assert np.all(np.abs(np.median(draws[:, :4], axis=0) - x.mean(axis=1)) < 0.1 * error)
    expected = x.std(axis=1) * (1.0 + 0.75 / 2000.0)
    assert np.all(np.abs(np.median(draws[:, 4:], axis=0) - expected) < 0.1 * error)
    np.testing.assert_allclose(draws[:, :4].std(axis=0), error, rtol=4.0 / np.sqrt(8000.0))


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"sampler": "quadrature"}, id="quadrature"),
        pytest.param(
            {"sampler": "emcee", "emcee": {"walkers": 100, "steps": 1500, "burn": 300}},
            marks=pytest.mark.slow,
            id="emcee",
        ),
    ],
)
def test_all_samplers_agree(halo, other):
    few = halo.select(np.arange(60))
    fast, slow = rows_of(few, n_draws=4000), rows_of(few, n_draws=4000, **other)
    for a, b in zip(fast, slow, strict=True):
        if a.note or b.note:  # some samples of 60 hardly resolve a dispersion
            continue
        width = 0.5 * (b.hi68 - b.lo68)
        # the chain has some 2500 independent draws; ends of intervals scatter 1.5 times as much
        # as medians, 1.25 / sqrt(n)
        for name in ("lo68", "value", "hi68"):
            assert abs(getattr(a, name) - getattr(b, name)) < 4.0 * 0.047 * width, a.quantity


@pytest.mark.slow
def test_published_chain_is_long_enough_for_eight_parameters(halo):
    assert GaussianSingle().emcee == EmceeRun(100, 1000, 400)
    rows = rows_of(halo.select(np.arange(100)), sampler="emcee", at_prior_edge="keep")
    assert all(not row.note for row in rows)


def test_rows_of_bins(halo):
    rows = rows_of(halo, bins=[0, 5, 15, 20])
    assert len(rows) == 3 * len(GaussianSingle.yields)
    assert [row.quantity for row in rows][::3] == list(GaussianSingle.yields)
    for row in rows:
        assert np.isfinite([row.r, row.r_lo, row.r_hi]).all()
        if row.bin == 1:
            assert row.unit == {"m": "km/s", "s": "km/s", "b": "", "f": "dex"}[row.quantity[0]]
            assert abs(row.value - TRUTH[row.quantity]) < 2.0 * (row.hi95 - row.lo95)
        else:
            assert row.note == "too few stars: 0, at least 10 are needed"


def test_stars_of_one_hemisphere():
    rng = seeded(7)
    rows = rows_of(catalogue_of(stars_of(POINT, 1000, rng), rng, north=True))
    for row in rows:
        assert abs(row.value - TRUTH[row.quantity]) < 2.0 * (row.hi95 - row.lo95)


def test_errors_larger_than_the_dispersion_leave_it_undetermined():
    rng = seeded(8)
    cold = POINT.copy()
    cold[6] = 12.0
    sample = stars_of(cold, 100, rng, kms=80.0)
    rows = rows_of(catalogue_of(sample, rng))
    for quantity in ("sigma_phi", "beta"):
        assert "do not resolve sigma_phi" in rows.of(quantity)[0].note
    assert not rows.of("sigma_r")[0].note
    kept = rows_of(catalogue_of(sample, rng), at_prior_edge="keep")
    assert all(row.lo95 >= 10.0 for row in kept.of("sigma_phi"))


def test_missing_metallicity_is_named(halo):
    columns = {name: values for name, values in halo.columns.items() if name != "feh"}
    with pytest.raises(InputError, match="column 'feh' is missing"):
        Sample.of(Catalogue(columns))
    for value in (np.nan, np.inf):
        columns["feh"] = np.where(np.arange(len(halo)) == 5, value, halo["feh"])
        with pytest.raises(InputError, match=r"1 of 1003 stars .* feh .* \(first rows: 5\)"):
            rows_of(Catalogue(columns))


def test_metallicity_errors_are_used_where_they_are(halo):
    columns = {name: values for name, values in halo.columns.items() if name != "feh_err"}
    with_errors, without = rows_of(halo), rows_of(Catalogue(columns))
    assert without.of("feh_sigma")[0].value > with_errors.of("feh_sigma")[0].value + 0.01


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"min_stars": 8}, "min_stars: more than 8 parameters"),
        ({"n_draws": 1}, "n_draws"),
        ({"prior": {"sigma": [-1.0, 10.0]}}, "dispersions are positive"),
        ({"prior": {"mean": [10.0, -10.0]}}, "edges ascend"),
        ({"bins": [5.0]}, "bins"),
        ({"sampler": "nuts"}, "sampler"),
    ],
)
def test_bad_settings_are_named(spec, message):
    with pytest.raises(InputError, match=message):
        make_estimator({"kind": "gaussian-single", **spec})


@given(st.floats(0.2, 5.0), st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_scaled_and_shuffled_velocities(k, seed):
    sample = stars_of(POINT, 60, seeded(9))
    order = seeded(seed).permutation(60)
    unit = np.array([k, k, k, 1.0])[:, None]
    changed = Sample((unit * sample.x)[:, order], (unit**2 * sample.e2)[:, order])
    prior = GaussianPrior((-100.0 * k, 100.0 * k), (10.0 * k, 200.0 * k))
    a = GaussianSingle(n_draws=200).draws(sample, seeded(0))
    b = GaussianSingle(n_draws=200, prior=prior).draws(changed, seeded(0))
    np.testing.assert_allclose(b, np.tile(unit[:, 0], 2) * a, rtol=1e-5, atol=1e-6)


@given(st.floats(-np.pi, np.pi))
@settings(max_examples=8, deadline=None)
def test_rotation_about_the_axis_changes_nothing(angle):
    rng = seeded(10)
    stars = catalogue_of(stars_of(POINT, 50, rng), rng)
    c, s = np.cos(angle), np.sin(angle)
    columns = dict(stars.columns)
    for x, y in (("x", "y"), ("vx", "vy")):
        columns[x] = c * stars[x] - s * stars[y]
        columns[y] = s * stars[x] + c * stars[y]
    for a, b in zip(
        rows_of(stars, at_prior_edge="keep"),
        rows_of(Catalogue(columns), at_prior_edge="keep"),
        strict=True,
    ):
        assert b.value == pytest.approx(a.value, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("edge", [-1.0, 1.0])
def test_prior_that_cuts_the_posterior_off_is_noticed(edge):
    draws = edge * seeded(11).standard_normal(1000)
    for sigmas, cut in ((0.0, True), (1.5, True), (4.0, False)):
        inside = draws[edge * draws < sigmas]
        bounds = (-50.0, sigmas) if edge > 0 else (-sigmas, 50.0)
        note = edge_note("sigma_r", inside, *bounds)
        assert bool(note) == cut
        assert note == "" or f"cuts its posterior off at {edge * sigmas:g}" in note
