"""Indirect inference where the answer is known: posteriors, coverage, fits that no halo has, rows that are compared."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from seeds import seeded

from haloassay.analysis import exploration
from haloassay.analysis.alignment import Target, simulated, targets
from haloassay.analysis.bundle import Bundle
from haloassay.analysis.coordinates import coordinate
from haloassay.analysis.existence import where
from haloassay.analysis.exploration import Draws, at_edge, explore, leaves
from haloassay.analysis.likeness import Fit, goodness
from haloassay.analysis.match import rows_of
from haloassay.analysis.matching import Data, Region, Simulations, liken
from haloassay.base.errors import InputError
from haloassay.contracts.measurements import Measurement
from haloassay.contracts.quantities import QUANTITIES

NAMES = ("mass", "beta")
#: Numbers that follow two settings: slopes, and scatter of one mock.
SLOPES = np.array([[2.0, 0.5, 1.0, 0.0, -1.0], [0.0, 1.0, -1.0, 2.0, 0.5]])
NOISE = 0.15


def response(u):
    return 1.0 + u @ SLOPES


def mocks(rng, n=128, noise=NOISE):
    u = rng.random((n, 2))
    y = response(u)[:, None, :] + noise * rng.standard_normal((n, 2, 5))
    return Simulations(u, y, np.zeros(n, dtype=bool))


def measured(truth, rng, noise=NOISE):
    value = response(np.atleast_2d(truth))[0] + noise * rng.standard_normal(5)
    return Data(value, np.full(5, noise))


@pytest.fixture(scope="module")
def likeness():
    rng = seeded(1230)
    return liken(mocks(rng), measured([0.5, 0.5], rng), Region.whole(2), NAMES)


@pytest.fixture
def short(monkeypatch):
    """Make chains short, for what asks of a posterior no more than where it is."""
    monkeypatch.setattr(exploration, "_MOST", exploration._STEPS)
    monkeypatch.setattr(exploration, "_SCOUTS", 512)


def test_the_posterior_of_a_linear_response_is_the_one_of_least_squares(likeness):
    drawn = explore(likeness, seeded(1231), 2000)
    precision = SLOPES @ SLOPES.T / NOISE**2
    exact = np.linalg.solve(precision, SLOPES @ (likeness.data.value - 1.0) / NOISE**2)
    sd = np.sqrt(np.diag(np.linalg.inv(precision)))
    # the emulator's mean is off by a few hundredths of the noise, its scatter by a tenth
    assert np.all(np.abs(drawn.u.mean(axis=0) - exact) < 0.6 * sd)
    assert np.all(np.abs(drawn.u.std(axis=0) / sd - 1.0) < 0.2)
    assert drawn.enough
    assert not leaves(drawn.u, likeness)


@pytest.mark.slow
def test_intervals_cover_and_fits_are_as_good_as_they_say(likeness):
    n, inside, p, pulls = 24, [], [], []
    for k in range(n):
        rng = seeded(1232, k)
        truth = 0.15 + 0.7 * rng.random(2)
        one = dataclasses.replace(likeness, data=measured(truth, rng))
        drawn = explore(one, rng, 500)
        inside.append(np.abs((drawn.u < truth).mean(axis=0) - 0.5) < 0.34)
        fit = goodness(one, drawn)
        p.append(fit.p)
        pulls.append(fit.pull)
    assert abs(np.mean(inside) - 0.68) < 4.0 * np.sqrt(0.68 * 0.32 / (2 * n))
    assert np.mean(np.array(p) < 0.01) < 0.01 + 4.0 * np.sqrt(0.01 * 0.99 / n)
    assert abs(np.mean(p) - 0.5) < 4.0 / np.sqrt(12 * n)
    # five pulls of a fit share three degrees of freedom
    assert abs(np.mean(np.square(pulls)) - 1.0) < 4.0 * np.sqrt(2.0 / (3 * n))


def test_pulls_and_degrees_of_freedom_are_those_of_least_squares():
    from scipy.stats import chi2

    rng = seeded(1240)
    likeness = liken(mocks(rng, 512), measured([0.5, 0.5], rng), Region.whole(2), NAMES)
    fit = goodness(likeness, explore(likeness, rng, 2000))
    # five numbers, two of which the settings follow
    assert abs(fit.constrained - 2.0) < 0.3
    hat = SLOPES.T @ np.linalg.solve(SLOPES @ SLOPES.T, SLOPES)
    left = np.eye(5) - hat
    residual = left @ (likeness.data.value - 1.0)
    pulls = residual / (NOISE * np.sqrt(np.diag(left)))
    # three terms of an emulator of 1024 catalogues, where half of the deviation is left
    np.testing.assert_allclose(fit.pull, pulls, atol=4.0 * np.sqrt(3.0 / 1024) / 0.5)
    exact = chi2.sf((residual**2).sum() / NOISE**2, 3)
    assert abs(fit.p - exact) < 0.15


def test_what_no_mock_can_have_is_said_with_the_number_that_says_so(likeness, short):
    value = response(np.array([[0.5, 0.5]]))[0]
    value[3] += 1.2
    one = dataclasses.replace(likeness, data=Data(value, likeness.data.error))
    fit = goodness(one, explore(one, seeded(1233), 500))
    assert fit.nothing_alike
    assert fit.named[3]
    assert fit.named.sum() < 5
    # of data without noise: with it, one of a hundred has none
    exact = Data(response(np.array([[0.5, 0.5]]))[0], likeness.data.error)
    one = dataclasses.replace(likeness, data=exact)
    alike = goodness(one, explore(one, seeded(1234), 500))
    assert not alike.nothing_alike
    assert not alike.named.any()


@pytest.mark.parametrize(
    ("pulls", "named"),
    [
        ([4.0, 0.0, -2.45, 0.0, 0.0], [0]),  # of four that are left, 0.014 is no surprise
        ([4.0, 0.0, -2.60, 0.0, 0.0], [0, 2]),
        ([0.1, 0.0, 0.5, 0.0, -0.3], []),
    ],
)
def test_of_one_halo_pulls_and_probabilities_are_those_of_a_normal_deviate(likeness, pulls, named):
    u = np.full((50, 2), 0.5)
    mean, sd, scatter = (each[0] for each in likeness.predict(u[:1]))
    spread = np.hypot(np.maximum(NOISE, scatter), sd)
    data = Data(mean + np.array(pulls) * spread, likeness.data.error)
    one = dataclasses.replace(likeness, data=data)
    drawn = Draws(u, u[0], 1.0, True)
    fit = goodness(one, drawn)
    np.testing.assert_allclose(fit.pull, pulls, atol=1e-9)
    np.testing.assert_allclose(fit.predictive, 2.0 * stats.norm.sf(np.abs(pulls)), rtol=1e-6)
    assert np.flatnonzero(fit.named).tolist() == named
    assert fit.constrained == pytest.approx(0.0, abs=1e-9)
    assert fit.p == pytest.approx(stats.chi2.sf(one.chi2(u[:1])[0], 5))
    assert fit.emulator_share == pytest.approx(np.max(sd / np.maximum(NOISE, scatter)))


def test_the_larger_of_stated_error_and_scatter_counts(likeness):
    for error, expected in ((0.01, NOISE), (0.6, 0.6)):
        one = dataclasses.replace(likeness, data=Data(likeness.data.value, np.full(5, error)))
        _, sd, scatter = one.predict(np.array([[0.5, 0.5]]))
        np.testing.assert_allclose(one.spread(0.0 * sd, scatter), expected, rtol=0.2)


def test_correlated_numbers_are_not_counted_twice():
    rng = seeded(1236)
    sims = mocks(rng, 256, noise=0.0)
    shared = rng.standard_normal((256, 2, 1))
    own = rng.standard_normal((256, 2, 5))
    sims = dataclasses.replace(sims, y=sims.y + NOISE * (0.95 * shared + 0.3 * own))
    found = liken(sims, measured([0.5, 0.5], rng), Region.whole(2), NAMES)
    off = found.correlation[~np.eye(5, dtype=bool)]
    np.testing.assert_allclose(off, 0.95**2 / (0.95**2 + 0.3**2), atol=0.05)
    # all numbers high by one deviation is one deviation, not five
    u = np.array([[0.5, 0.5]])
    mean, _sd, scatter = found.predict(u)
    high = dataclasses.replace(found, data=Data(mean[0] + scatter[0], 0.0 * mean[0] + 1e-9))
    assert high.chi2(u)[0] < 2.0


def test_the_posterior_is_the_gaussian_of_the_emulated_mean_scatter_and_correlation():
    """Where the scatter grows with a setting, its logarithm counts too."""
    from scipy.stats import multivariate_normal

    rng = seeded(1241)
    sims = mocks(rng, 256, noise=0.0)
    grown = NOISE * (0.4 + 2.0 * sims.u[:, :1, None])
    sims = dataclasses.replace(sims, y=sims.y + grown * rng.standard_normal(sims.y.shape))
    found = liken(sims, measured([0.5, 0.5], rng), Region.whole(2), NAMES)
    u = rng.random((20, 2))
    mean, sd, scatter = found.predict(u)
    spread = np.hypot(np.maximum(NOISE, scatter), sd)
    assert np.ptp(np.log(spread)) > 0.5
    exact = [
        multivariate_normal(m, found.correlation * np.outer(s, s)).logpdf(found.data.value)
        for m, s in zip(mean, spread, strict=True)
    ]
    change = found.log_density(u) - exact
    np.testing.assert_allclose(change, change[0], atol=1e-8)
    assert found.log_density(np.array([[0.5, 1.1]]))[0] == -np.inf


def test_one_mock_far_off_makes_no_correlation():
    rng = seeded(1242)
    sims = mocks(rng, 256)
    sims.y[7, 0] += 20.0 * NOISE
    found = liken(sims, measured([0.5, 0.5], rng), Region.whole(2), NAMES)
    off = found.correlation[~np.eye(5, dtype=bool)]
    # that of 512 independent pairs, and what one within the limit of four deviations adds
    assert np.all(np.abs(off) < 4.0 / np.sqrt(512) + 4.0**2 / 512)


def test_settings_without_a_mock_are_left(short):
    rng = seeded(1237)
    sims = mocks(rng, 256)
    lost = sims.u[:, 0] > 0.5
    y = np.where(lost[:, None, None], np.nan, sims.y)
    found = liken(Simulations(sims.u, y, lost), measured([0.45, 0.5], rng), Region.whole(2), NAMES)
    assert found.possible is not None
    drawn = explore(found, rng, 500)
    assert np.mean(drawn.u[:, 0] > 0.6) < 0.02


def test_far_behind_a_step_there_is_no_mock():
    rng = seeded(1243)
    x = rng.random((256, 2))
    found = where(x, x[:, 0] > 0.5, NAMES)
    assert found is not None
    behind = np.stack([np.linspace(0.7, 1.0, 40), rng.random(40)], axis=1)
    np.testing.assert_array_equal(found(behind), 1e-6)
    before = np.stack([np.linspace(0.0, 0.3, 40), rng.random(40)], axis=1)
    np.testing.assert_array_equal(found(before), found.emulator.predict(before)[0])
    assert found(before).mean() > 0.9
    # near the step, where some of the nearest were lost, the emulator says how probable it is
    beside = np.stack([np.full(40, 0.49), rng.random(40)], axis=1)
    np.testing.assert_array_equal(found(beside), found.emulator.predict(beside)[0])


def test_two_lost_mocks_do_not_say_where():
    x = seeded(1244).random((256, 2))
    assert where(x, np.arange(256) < 2, NAMES) is None


def test_a_posterior_at_an_edge_is_seen():
    draws = np.stack([np.full(100, 0.01), np.full(100, 0.5)], axis=1)
    np.testing.assert_array_equal(at_edge(draws), [[1.0, 0.0], [0.0, 0.0]])


def test_a_bundle_is_its_emulators():
    rng = seeded(1238)
    found = liken(mocks(rng), measured([0.5, 0.5], rng), Region.whole(2), NAMES)
    x = rng.random((20, 2))
    mean, sd, scatter = Bundle.of(found.emulators)(x)
    for k, emulator in enumerate(found.emulators):
        np.testing.assert_allclose(mean[:, k], emulator.predict(x)[0], rtol=1e-10)
        np.testing.assert_allclose(sd[:, k], emulator.predict(x)[1], rtol=1e-8)
        np.testing.assert_allclose(scatter[:, k], emulator.scatter(x)[0], rtol=1e-10)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 6), st.integers(0, 1000))
def test_regions_hold_the_draws_that_they_are_of(d, k):
    rng = seeded(1239, d, k)
    mixing = np.eye(d) + 0.8 * rng.random((d, d))
    draws = 0.5 + 0.01 * rng.standard_normal((50, d)) @ mixing
    region = Region.around(draws)
    assert region.holds(draws).all()
    np.testing.assert_allclose(region.at(region.local(draws)), draws, atol=1e-12)


def estimates(values, r=(10.0, 20.0, 40.0), quantity="sigma_r", estimator="ellipsoid"):
    edges = [(5.0, 15.0), (15.0, 30.0), (30.0, 60.0)]
    rows = [
        {
            "realization": k,
            "estimator": estimator,
            "quantity": quantity,
            "bin": b,
            "r": r[b],
            "r_lo": edges[b][0],
            "r_hi": edges[b][1],
            "value": v,
        }
        for k, row in enumerate(values)
        for b, v in enumerate(row)
    ]
    return pd.DataFrame(rows)


def one_target(measurement, rows):
    return targets([measurement], rows, ["ellipsoid"], QUANTITIES)


class TestRows:
    def test_a_power_law_is_interpolated_exactly_and_goes_on_beyond_the_last_radius(self):
        r = np.array([10.0, 20.0, 40.0])
        rows = estimates([150.0 * (r / 10.0) ** -0.3, 120.0 * (r / 10.0) ** -0.1])
        for at, powers in ((27.0, 2.7), (55.0, 5.5), (6.0, 0.6)):
            of = one_target(Measurement("sigma_r", 100.0, 5.0, r=at), rows)
            found = np.exp(simulated(rows, of, [0, 1])[:, 0])
            np.testing.assert_allclose(found, [150.0 * powers**-0.3, 120.0 * powers**-0.1])

    def test_a_bin_with_edges_is_taken_as_it_is(self):
        rows = estimates([[150.0, 120.0, 90.0]])
        of = one_target(Measurement("sigma_r", 1.0, 1.0, r=17.0, r_lo=15.0, r_hi=30.0), rows)
        assert np.exp(simulated(rows, of, [0])[0, 0]) == pytest.approx(120.0)

    def test_an_edge_belongs_to_the_bin_that_begins_there(self):
        rows = estimates([[150.0, 120.0, 90.0]])
        for r, number in ((5.0, 0), (14.9, 0), (15.0, 1), (30.0, 2), (59.9, 2)):
            (target,) = one_target(Measurement("sigma_r", 100.0, 5.0, r=r), rows)
            assert target.bin == number
        with pytest.raises(InputError, match="outside of the bins"):
            one_target(Measurement("sigma_r", 100.0, 5.0, r=60.0), rows)

    def test_rows_without_edges_are_found_by_the_nearest_radius(self):
        rows = estimates([[150.0, 120.0, 90.0]]).assign(r_lo=np.nan, r_hi=np.nan)
        for r, number in ((9.9, 0), (16.0, 1), (29.0, 1), (31.0, 2), (40.7, 2)):
            (target,) = one_target(Measurement("sigma_r", 100.0, 5.0, r=r), rows)
            assert target.bin == number
        for r in (9.7, 40.9):
            with pytest.raises(InputError, match="outside of the bins"):
                one_target(Measurement("sigma_r", 100.0, 5.0, r=r), rows)

    def test_the_order_of_rows_is_of_no_matter(self):
        rows = estimates([[150.0, 120.0, 90.0]])
        of = one_target(Measurement("sigma_r", 100.0, 5.0, r=27.0), rows)
        np.testing.assert_array_equal(
            simulated(rows, of, [0]), simulated(rows.iloc[[2, 0, 1]], of, [0])
        )

    def test_a_bin_without_a_value_has_none_at_its_radius(self):
        rows = estimates([[150.0, np.nan, 90.0]])
        of = one_target(Measurement("sigma_r", 1.0, 1.0, r=20.0), rows)
        assert np.isnan(simulated(rows, of, [0, 1])).all()

    @pytest.mark.parametrize(
        ("measurement", "words"),
        [
            (Measurement("sigma_r", 1.0, 1.0, r=70.0), "outside of the bins"),
            (Measurement("sigma_r", 1.0, 1.0, r=4.0), "outside of the bins"),
            (Measurement("sigma_r", 1.0, 1.0, r_lo=5.0, r_hi=14.0), "no bin from 5 to 14"),
            (Measurement("sigma_r", 1.0, 1.0), "several radii"),
            (Measurement("beta", 0.5, 0.1, r=20.0), "yields no beta"),
            (Measurement("beta", 1.0, 0.1, r=20.0), "is below 1"),
            (Measurement("sigma_r", 1.0, 1.0, "other", r=20.0), "unknown estimator 'other'"),
        ],
    )
    def test_what_cannot_be_compared_is_refused(self, measurement, words):
        with pytest.raises(InputError, match=words):
            one_target(measurement, estimates([[150.0, 120.0, 90.0]]))

    def test_two_numbers_of_one_bin_are_refused(self):
        rows = estimates([[150.0, 120.0, 90.0]])
        twice = [Measurement("sigma_r", x, 1.0, r_lo=5.0, r_hi=15.0) for x in (100.0, 110.0)]
        with pytest.raises(InputError, match="the same bin"):
            targets(twice, rows, ["ellipsoid"], QUANTITIES)


COMPARED = ("sigma_r", "beta", "mean_v_r")


def test_numbers_are_compared_where_their_errors_do_not_follow_them():
    """Those of a dispersion are a share of it, those of beta one of 1 - beta."""
    coordinates = [coordinate(QUANTITIES[name]) for name in COMPARED]
    found = Data.of(np.array([200.0, 0.6, -5.0]), np.array([10.0, 0.1, 2.0]), coordinates)
    np.testing.assert_allclose(found.value, [np.log(200.0), -np.log(0.4), -5.0])
    np.testing.assert_allclose(found.error, [0.05, 0.25, 2.0])


@given(st.floats(-3.0, 0.9), st.sampled_from(COMPARED))
def test_coordinates_rise_and_lead_back(x, name):
    of = coordinate(QUANTITIES[name])
    value = np.exp(x) if name == "sigma_r" else x
    np.testing.assert_allclose(of.back(of.of(value)), value, rtol=1e-12, atol=1e-12)
    step = 1e-6
    slope = (of.of(value + step) - of.of(value - step)) / (2.0 * step)
    np.testing.assert_allclose(of.slope(value), slope, rtol=1e-5)
    assert of.slope(value) > 0.0


@pytest.mark.parametrize(("name", "value"), [("sigma_r", 0.0), ("beta", 1.0), ("beta", 1.5)])
def test_values_that_a_quantity_cannot_have_have_no_coordinate(name, value):
    assert np.isnan(coordinate(QUANTITIES[name]).of(value))


def test_errors_beside_the_data_are_in_the_unit_of_the_quantity():
    """Mocks of beta = 0.6 and sigma_r = 120 km/s that scatter by 0.1 in their coordinates, to first order."""
    measured = {"beta": 0.5, "sigma_r": 110.0}
    of = tuple(
        Target(Measurement(name, value, 0.01), "ellipsoid", QUANTITIES[name], 0, False)
        for name, value in measured.items()
    )
    mean = np.array([-np.log(0.4), np.log(120.0)])
    one = np.ones(2)
    fit = Fit(
        *(mean, 0.0 * one, 0.02 * one, 0.1 * one, 0.0 * one, 0.1 * one, one),
        *(mean - 0.1, mean + 0.1, one, one > 0.0, 1.0, 0.0, 0.5, 0.5, 0.1),
    )
    run = mean + 0.1 * np.array([[-1.0], [1.0]])
    beta, sigma = rows_of(of, one > 0.0, ("", ""), fit, run)
    assert (beta.mean, beta.scatter) == pytest.approx((0.6, 0.04))
    assert (beta.lo, beta.hi) == pytest.approx((1.0 - 0.4 * np.exp(0.1), 1.0 - 0.4 * np.exp(-0.1)))
    assert (beta.run, beta.run_mcse) == pytest.approx((0.6, 0.04))
    assert (sigma.run, sigma.run_mcse) == pytest.approx((120.0, 12.0))
    assert sigma.scatter == pytest.approx(12.0)
    assert (beta.miss, sigma.miss) == pytest.approx((-0.1, -1.0 / 12.0))
