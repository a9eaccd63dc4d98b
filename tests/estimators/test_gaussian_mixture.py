from __future__ import annotations

import numpy as np
import pytest
from gaussian_samples import LI2026, assert_calibrated, catalogue_of, ranks, stars_of
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, norm
from seeds import seeded

from haloassay.base.errors import EstimationError, InputError
from haloassay.contracts.catalogue import Catalogue
from haloassay.contracts.quantities import QUANTITIES
from haloassay.estimators import gaussian_mixture as room
from haloassay.estimators import make_estimator
from haloassay.estimators.fit.ellipsoid import anisotropy
from haloassay.estimators.fit.mixture import (
    mixture_derivatives,
    mixture_log_likelihood,
    mixture_step,
)
from haloassay.estimators.fit.posterior import EmceeRun
from haloassay.estimators.gaussian_mixture import (
    GaussianMixture,
    MixtureLikelihood,
    exchanged,
    memberships,
    mixture_bounds,
    mixture_start,
    ordered,
)
from haloassay.estimators.gaussian_single import GaussianPrior, Sample

FEH = (3, 11)


def rows_of(catalogue, seed=0, **spec):
    estimator = make_estimator({"kind": "gaussian-mixture", **spec})
    return estimator.estimate(catalogue, seeded(seed))


def scipy_log_densities(sample, point):
    """Ln p_k N_k (2, n) of each star, without the constant."""
    out = []
    for part, share in ((point[:8], point[16]), (point[8:16], 1.0 - point[16])):
        total = np.sqrt(part[4:, None] ** 2 + sample.e2)
        density = norm.logpdf(sample.x, part[:4, None], total) + 0.5 * np.log(2.0 * np.pi)
        out.append(np.log(share) + density.sum(axis=0))
    return np.array(out)


@pytest.mark.parametrize("n", [1, 5, 511, 513, 1030])
def test_likelihood_is_that_of_scipy(n):
    rng = seeded(1)
    sample = stars_of(LI2026, n, rng, 25.0, (0.3, 1.0, 1.2))
    points = LI2026 * (1.0 + 0.1 * rng.standard_normal((4, 17)))
    expected = [np.logaddexp(*scipy_log_densities(sample, p)).sum() for p in points]
    found = mixture_log_likelihood(sample.x, sample.e2, points)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_likelihood_of_stars_far_from_everything():
    sample = stars_of(LI2026, 20, seeded(2))
    sample.x[0, :3] = 1e6  # 7000 sigma: the exponentials themselves are all zero
    sample.e2[1, 5] = 1e12
    expected = np.logaddexp(*scipy_log_densities(sample, LI2026)).sum()
    found = mixture_log_likelihood(sample.x, sample.e2, LI2026[None])
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_derivatives_are_those_of_differences():
    sample = stars_of(LI2026, 800, seeded(3), 25.0, (0.3, 1.0, 1.2))
    steps = np.diag(1e-4 * np.abs(LI2026))
    size = np.diag(2.0 * steps)
    x, e2 = sample.x, sample.e2
    value, gradient, hessian = mixture_derivatives(x, e2, LI2026)
    assert value == pytest.approx(mixture_log_likelihood(x, e2, LI2026[None])[0], rel=1e-12)
    slope = mixture_log_likelihood(x, e2, LI2026 + steps)
    slope = (slope - mixture_log_likelihood(x, e2, LI2026 - steps)) / size
    np.testing.assert_allclose(gradient, slope, rtol=1e-4, atol=1e-3)
    bend = np.array(
        [
            mixture_derivatives(x, e2, LI2026 + s)[1] - mixture_derivatives(x, e2, LI2026 - s)[1]
            for s in steps
        ]
    )
    bend /= size[:, None]
    unit = np.sqrt(np.abs(np.outer(np.diag(hessian), np.diag(hessian))))
    np.testing.assert_allclose(hessian / unit, bend / unit, atol=1e-6)


def test_memberships_are_equation_4():
    sample = stars_of(LI2026, 500, seeded(4), 25.0, (0.3, 1.0, 1.2))
    rich, poor = scipy_log_densities(sample, LI2026)
    found = memberships(sample.x, sample.e2, LI2026)
    np.testing.assert_allclose(found, 1.0 / (1.0 + np.exp(poor - rich)), rtol=1e-9)
    np.testing.assert_allclose(memberships(sample.x, sample.e2, exchanged(LI2026)), 1.0 - found)


def test_memberships_tell_the_populations_apart():
    n = 20000
    rng = seeded(5)
    rich = stars_of(LI2026[:8], n, rng)
    poor = stars_of(LI2026[8:16], n, rng)
    point = np.array([*LI2026[:16], 0.5])
    mine, others = (memberships(s.x, s.e2, point) for s in (rich, poor))
    # with equal numbers, of all stars of P = 0.8 to 0.9, 80 to 90 per cent are metal-rich
    for lo in np.arange(0.0, 1.0, 0.1):
        a = np.sum((mine >= lo) & (mine < lo + 0.1))
        b = np.sum((others >= lo) & (others < lo + 0.1))
        inside = np.concatenate([mine, others])
        expected = inside[(inside >= lo) & (inside < lo + 0.1)].mean()
        error = np.sqrt(expected * (1.0 - expected) / (a + b))
        assert abs(a / (a + b) - expected) < 4.0 * error


def test_expectation_maximisation_climbs_to_where_the_slope_is_zero():
    sample = stars_of(LI2026, 500, seeded(6))
    point = LI2026.copy()
    last = -np.inf
    for _ in range(500):
        point = mixture_step(sample.x, sample.e2, point)
        here = mixture_log_likelihood(sample.x, sample.e2, point[None])[0]
        assert here >= last - 1e-9
        last = here
    _, gradient, hessian = mixture_derivatives(sample.x, sample.e2, point)
    assert np.linalg.norm(np.linalg.solve(hessian, gradient) / LI2026) < 1e-3
    assert memberships(sample.x, sample.e2, point).mean() == pytest.approx(point[16], abs=1e-4)


@pytest.mark.slow
def test_posterior_is_calibrated_over_its_prior():
    prior = GaussianPrior((-60.0, 60.0), (15.0, 160.0), (-2.2, -0.9), (0.1, 0.5))
    lo, hi = mixture_bounds(prior)
    lo[16], hi[16] = 0.0, 1.0
    method = GaussianMixture(prior=prior, n_draws=400)
    shares, refused = [], 0
    for k in range(48):
        rng = seeded(7, k)
        truth = ordered(rng.uniform(lo, hi))
        sample = stars_of(truth, 400, rng, 25.0, (0.3, 1.0, 1.2))
        try:
            found = method.posterior(sample, rng)
        except EstimationError:  # depends on the stars alone, so it leaves the ranks uniform
            refused += 1
            continue
        shares.append(ranks(found.draws, truth))
    assert refused < 12
    assert_calibrated(np.array(shares))


def test_li_2026_is_recovered():
    rng = seeded(8)
    sample = stars_of(LI2026, 20000, rng)
    rows = rows_of(catalogue_of(sample, rng))
    assert [row.quantity for row in rows] == list(GaussianMixture.yields)
    truth = {"p_mr": LI2026[16]}
    names = ("mean_v_r", "mean_v_theta", "mean_v_phi", "feh_mean")
    names += ("sigma_r", "sigma_theta", "sigma_phi", "feh_sigma")
    for which, part in (("mr", LI2026[:8]), ("mp", LI2026[8:16])):
        truth |= {f"{name}.{which}": value for name, value in zip(names, part, strict=True)}
        truth[f"beta.{which}"] = float(anisotropy(part[4:7]))
    for row in rows:
        assert not row.note
        assert row.unit == QUANTITIES[row.quantity].unit
        assert abs(row.value - truth[row.quantity]) < 2.0 * (row.hi68 - row.lo68), row.quantity
    beta = rows.of("beta.mr")[0]
    assert 0.5 * (beta.hi68 - beta.lo68) < 0.004


@pytest.mark.slow
def test_fast_path_and_emcee_agree():
    sample = stars_of(LI2026, 250, seeded(9))
    fast = GaussianMixture(n_draws=4000).posterior(sample, seeded(9))
    run = EmceeRun(100, 1800, 800)
    slow = GaussianMixture(n_draws=4000, sampler="emcee", emcee=run).posterior(sample, seeded(9))
    assert (fast.method, slow.method) == ("importance", "emcee")
    assert "autocorrelation time" in slow.note
    # effective numbers; an end of an interval scatters 1.25 times as much as a median
    error = 1.25 * 1.25 * np.sqrt(1.0 / fast.effective + 1.0 / slow.effective)
    a, b = (np.percentile(p.draws, [16, 50, 84], axis=0) for p in (fast, slow))
    width = 0.5 * (b[2] - b[0])
    assert np.all(np.abs(a - b) < 4.0 * error * width)
    assert fast.effective > 1000.0


#: Metallicities so near one another that the data do not say which component is the metal-richer.
ALIKE = LI2026.copy()
ALIKE[[3, 11]], ALIKE[[7, 15]], ALIKE[16] = (-1.40, -1.42), (0.35, 0.35), 0.3


def assert_named_by_metallicity(draws):
    """Every draw calls the metal-richer component metal-rich."""
    assert np.all(draws[:, FEH[0]] > draws[:, FEH[1]])


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["auto", "emcee"])
def test_label_switching_is_caught(monkeypatch, sampler):
    sample = stars_of(LI2026, 400, seeded(10))
    method = GaussianMixture(sampler=sampler, emcee=EmceeRun(40, 1000, 400))
    found = method.posterior(sample, seeded(10)).draws
    assert_named_by_metallicity(found)
    assert abs(np.median(found[:, 16]) - LI2026[16]) < 4.0 * found[:, 16].std()

    monkeypatch.setattr(room, "mixture_start", lambda *a: exchanged(mixture_start(*a)))
    again = method.posterior(sample, seeded(10)).draws  # the names do not hang on the start
    assert_named_by_metallicity(again)
    # two medians of 500 independent draws at least, of chains of 40 walkers some 3 times 40
    n = 500 if sampler == "auto" else 120
    apart = np.abs(np.median(again, axis=0) - np.median(found, axis=0))
    assert np.all(apart < 4.0 * 1.25 * np.sqrt(2.0 / n) * found.std(axis=0))

    monkeypatch.setattr(room, "ordered", lambda points: points)  # the planted fault
    planted = method.posterior(sample, seeded(10)).draws
    with pytest.raises(AssertionError):
        assert_named_by_metallicity(planted)


def test_label_switching_within_the_draws_is_caught(monkeypatch):
    sample = stars_of(ALIKE, 1500, seeded(11))
    draws = GaussianMixture().posterior(sample, seeded(11)).draws
    assert_named_by_metallicity(draws)
    # which is the metal-richer is not known, so quantities named so have two values
    cold = draws[:, 6] < 60.0
    assert 0.02 < cold.mean() < 0.98

    monkeypatch.setattr(room, "ordered", lambda points: points)  # the planted fault
    planted = GaussianMixture().posterior(sample, seeded(11)).draws
    with pytest.raises(AssertionError):
        assert_named_by_metallicity(planted)


def test_each_half_of_the_posterior_is_kept_once():
    sample = stars_of(ALIKE, 50, seeded(11))
    points = ALIKE * (1.0 + seeded(12).standard_normal((200, 17)) * 0.3)
    points[:, 16] = seeded(13).random(200)
    likelihood = MixtureLikelihood(sample, ALIKE)
    here, there = likelihood(points), likelihood(exchanged(points))
    assert np.all(np.isfinite(here) != np.isfinite(there))
    assert np.isfinite(likelihood(ALIKE[None]))


def test_order_of_the_components_in_the_input_does_not_matter():
    np.testing.assert_array_equal(ordered(exchanged(LI2026)), ordered(LI2026))
    np.testing.assert_array_equal(ordered(np.array([exchanged(LI2026), LI2026]))[0], LI2026)


@pytest.mark.parametrize(("n", "samples"), [(100, 20), (2000, 3)])
def test_one_population_is_not_split(n, samples):
    """Of a hundred such samples one may be."""
    split = 0
    for k in range(samples):
        rng = seeded(12, n, k)
        rows = rows_of(catalogue_of(stars_of(LI2026[8:16], n, rng), rng), sampler="importance")
        told = ["one population describes the stars as well" in row.note for row in rows]
        assert all(told) or not any(told)
        assert all(np.isnan(row.value) for row, one in zip(rows, told, strict=True) if one)
        split += not told[0]
    assert split <= binom.ppf(1.0 - 3e-5, samples, 0.01)


def test_without_the_rule_one_population_is_left_to_the_chain():
    rng = seeded(12)
    method = GaussianMixture(min_gain=0.0, sampler="emcee", emcee=EmceeRun(40, 60, 20))
    with pytest.raises(EstimationError, match="does not mix"):
        method.posterior(stars_of(LI2026[8:16], 60, rng), rng)


def test_component_that_vanishes_is_undetermined():
    few = LI2026.copy()
    few[16] = 0.985
    told = 0
    for k in range(4):
        rng = seeded(13, k)
        rows = rows_of(catalogue_of(stars_of(few, 600, rng), rng))
        fraction = rows.of("p_mr")[0]
        if fraction.note:  # of nine stars it may not be seen at all
            assert "one population describes the stars as well" in fraction.note
            continue
        for which, name, share in (
            ("mr", "metal-rich", fraction.lo95),
            ("mp", "metal-poor", 1.0 - fraction.hi95),
        ):
            of_it = [row for row in rows if row.quantity.endswith(f".{which}")]
            assert len(of_it) == 9
            vanishes = 600 * share < 9.0  # as many stars as it has parameters
            for row in of_it:
                assert (f"the {name} component vanishes" in row.note) == vanishes
            told += vanishes
    assert told


def test_errors_larger_than_the_dispersion_leave_it_undetermined():
    cold = LI2026.copy()
    cold[6] = 12.0
    told = []
    for k in range(8):
        rng = seeded(14, k)
        rows = rows_of(catalogue_of(stars_of(cold, 500, rng, kms=70.0), rng))
        phi, beta, radial = (rows.of(f"{q}.mr")[0].note for q in ("sigma_phi", "beta", "sigma_r"))
        told.append("do not resolve sigma_phi" in phi)
        # errors this large may hide sigma_theta too, which is then what beta names
        assert not told[-1] or "do not resolve sigma_" in beta
        assert not radial
    # by chance a variance comes out at twice its error above nothing in one of ten samples or fewer
    assert sum(told) >= binom.ppf(3e-5, len(told), 0.9)


def test_bins_without_enough_stars_say_so():
    rng = seeded(15)
    rows = rows_of(catalogue_of(stars_of(LI2026, 400, rng), rng), bins=[0, 5, 15])
    assert [bool(row.note) for row in rows.of("beta.mp")] == [True, False]
    assert "too few stars: 0" in rows.of("p_mr")[0].note
    stars = catalogue_of(stars_of(LI2026, 17, rng), rng)
    assert "too few stars: 17, at least 18" in rows_of(stars, min_stars=18).of("p_mr")[0].note


def test_stars_of_one_hemisphere():
    rng = seeded(16)
    rows = rows_of(catalogue_of(stars_of(LI2026, 2000, rng), rng, north=True))
    row = rows.of("mean_v_theta.mr")[0]
    assert abs(row.value - LI2026[1]) < 2.0 * (row.hi68 - row.lo68)


def test_missing_metallicity_is_named():
    rng = seeded(17)
    columns = dict(catalogue_of(stars_of(LI2026, 100, rng), rng).columns)
    del columns["feh"]
    with pytest.raises(InputError, match="column 'feh' is missing"):
        rows_of(Catalogue(columns))


def test_chain_that_does_not_mix_is_refused():
    rng = seeded(18)
    stars = catalogue_of(stars_of(LI2026, 200, rng), rng)
    rows = rows_of(stars, sampler="emcee", emcee={"walkers": 40, "steps": 60, "burn": 20})
    assert all("does not mix: 40 steps kept, too few" in row.note for row in rows)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"min_stars": 17}, "min_stars: more than 17 parameters"),
        ({"n_draws": 1}, "n_draws"),
        ({"emcee": {"walkers": 20, "steps": 10, "burn": 5}}, "walkers: at least 34"),
        ({"min_gain": -1.0}, "min_gain"),
    ],
)
def test_bad_settings_are_named(spec, message):
    with pytest.raises(InputError, match=message):
        make_estimator({"kind": "gaussian-mixture", **spec})


@given(st.floats(0.2, 5.0), st.integers(0, 1000))
@settings(max_examples=2, deadline=None)
def test_scaled_and_shuffled_velocities(k, seed):
    sample = stars_of(LI2026, 200, seeded(19))
    order = seeded(seed).permutation(200)
    unit = np.array([k, k, k, 1.0])[:, None]
    changed = Sample((unit * sample.x)[:, order], (unit**2 * sample.e2)[:, order])
    prior = GaussianPrior((-100.0 * k, 100.0 * k), (10.0 * k, 200.0 * k))
    a = GaussianMixture(n_draws=100).posterior(sample, seeded(0)).draws
    b = GaussianMixture(n_draws=100, prior=prior).posterior(changed, seeded(0)).draws
    scale = np.array([*np.tile(unit[:, 0], 4), 1.0])
    shift = np.abs(np.median(b / scale, axis=0) - np.median(a, axis=0)) / a.std(axis=0)
    assert np.all(shift < 1e-3)
