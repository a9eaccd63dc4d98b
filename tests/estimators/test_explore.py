from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import gamma, kstest, norm, truncnorm
from seeds import seeded

from haloassay.base.errors import EstimationError
from haloassay.estimators.fit import importance as importance_room
from haloassay.estimators.fit import laplace as laplace_room
from haloassay.estimators.fit.importance import importance_sample, smoothed
from haloassay.estimators.fit.laplace import Laplace, UniformPrior, laplace
from haloassay.estimators.fit.posterior import EmceeRun, autocorrelation_time, emcee_chain, explore

D = 5


def skewed(points):
    """Logarithms of gamma variates of shape 4: a maximum where Laplace is visibly wrong."""
    return np.sum(4.0 * points - np.exp(points), axis=1)


def skewed_derivatives(point):
    e = np.exp(point)
    return float(np.sum(4.0 * point - e)), 4.0 - e, np.diag(-e)


def banana(points):
    """X ~ N(0, 1) and y ~ N(x^2, 0.1^2), beside two more N(0, 1): too curved for a Student t."""
    x, y = points[:, 0], points[:, 1]
    rest = np.sum(points[:, 2:] ** 2, axis=1)
    return -0.5 * (x**2 + ((y - x**2) / 0.1) ** 2 + rest)


def two_peaks(points):
    """Two narrow peaks, ten widths apart along the first axis."""
    rest = np.sum(points[:, 1:] ** 2, axis=1)
    return np.logaddexp(-0.5 * (points[:, 0] + 5.0) ** 2, -0.5 * (points[:, 0] - 5.0) ** 2) - rest


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("start", [0.1, 1e3])
def test_gaussian_of_any_scale_and_correlation(scale, start):
    root = np.eye(D) + np.tril(np.full((D, D), 3.0), -1)
    mean, inverse = np.arange(20.0, 20.0 + D), np.linalg.inv(root)

    def log_density(points):
        return -0.5 * np.sum(((points - mean) @ inverse.T) ** 2, axis=1)

    found = explore(log_density, mean + start, np.full(D, scale), 2000, seeded(1))
    assert (found.method, found.effective) == ("importance", 2000.0)
    unit = (found.draws - mean) @ inverse.T
    for k in range(D):
        assert kstest(unit[:, k], norm.cdf).pvalue > 1e-4


@pytest.mark.parametrize("derivatives", [None, skewed_derivatives], ids=["differences", "exact"])
def test_importance_mends_what_laplace_gets_wrong(derivatives):
    start, scale = np.full(D, 3.0), np.full(D, 0.3)
    found = explore(skewed, start, scale, 4000, seeded(2), derivatives=derivatives)
    assert found.method == "importance"
    assert found.k_hat < 0.7
    assert 2000.0 <= found.effective <= 4000.0
    truth = gamma(4.0)
    for k in range(D):
        assert kstest(np.exp(found.draws[:, k]), truth.cdf).statistic < 2.0 / np.sqrt(2000.0)
    alone = laplace(skewed, start, scale, derivatives)
    raw = alone.mode + seeded(3).standard_normal((16_000, D)) @ alone.axes.T
    # a log-normal is 0.070 from a gamma distribution of shape 4 at the worst; draws move that by 0.5 / sqrt(n)
    assert kstest(np.exp(raw[:, 0]), truth.cdf).statistic > 0.070 - 4.0 * 0.5 / np.sqrt(16_000.0)


def test_mode_and_curvature_are_exact_enough():
    for derivatives, rtol in ((None, 0.02), (skewed_derivatives, 1e-6)):
        found = laplace(skewed, np.full(D, -2.0), np.full(D, 5.0), derivatives)
        np.testing.assert_allclose(found.mode, np.log(4.0), atol=0.01)
        np.testing.assert_allclose(found.covariance, np.eye(D) / 4.0, atol=0.03 * rtol + 0.01)


def test_a_climb_to_the_edge_of_a_prior_is_given_up_early(monkeypatch):
    def rising(points):
        calls.append(len(points))
        return np.where(points[:, 0] < 1.0, points[:, 0] - 0.5 * points[:, 1] ** 2, -np.inf)

    taken = []
    for patience in (laplace_room._PATIENCE, 200):
        monkeypatch.setattr(laplace_room, "_PATIENCE", patience)
        calls = []
        with pytest.raises(EstimationError, match="greatest at the prior's edge"):
            laplace(rising, np.zeros(2), np.ones(2))
        taken.append(len(calls))
    assert taken[0] < 0.25 * taken[1]


def test_sign_of_the_weights_is_caught(monkeypatch):
    # arviz-stats takes minus the logarithms of the weights, its predecessor took the logarithms
    log_weights = seeded(4).standard_normal(2000)
    weights, k_hat = smoothed(log_weights)
    assert weights[np.argmax(log_weights)] == weights.max()  # the largest are cut to one value
    assert np.corrcoef(log_weights, np.log(weights))[0, 1] > 0.99
    assert k_hat < 0.7

    start, scale = np.full(D, 1.0), np.full(D, 0.3)
    monkeypatch.setattr(importance_room, "smoothed", lambda log_ratios: smoothed(-log_ratios))
    with pytest.raises(EstimationError, match="k_hat"):  # even so it is not trusted
        explore(skewed, start, scale, 4000, seeded(2), sampler="importance")


def test_points_of_no_density_have_no_weight():
    weights, _ = smoothed(np.where(np.arange(1000) % 2, -np.inf, seeded(5).standard_normal(1000)))
    assert np.all(weights[1::2] == 0.0)
    assert weights.sum() == pytest.approx(1.0)
    weights, k_hat = smoothed(np.array([0.0, -np.inf, 0.0]))
    np.testing.assert_allclose(weights, [0.5, 0.0, 0.5])
    assert k_hat == np.inf


def test_proposal_that_misses_is_mended():
    far = Laplace(np.full(D, 1.5), 0.3 * np.eye(D))
    draws = importance_sample(
        lambda p: -0.5 * np.sum(p**2, axis=1), far, 2000, seeded(6), goal=1000.0
    )
    assert draws.trusted
    assert draws.effective >= 1000.0
    mean = draws.weights @ draws.points
    assert np.all(np.abs(mean) < 4.0 / np.sqrt(draws.effective))


def test_uniform_prior_cuts_off_what_is_beyond():
    lo, hi = np.zeros(D), np.full(D, 3.0)

    def log_likelihood(points):
        assert np.all((points >= lo) & (points <= hi))
        return -0.5 * np.sum((points - 0.1) ** 2, axis=1)

    truth = truncnorm(-0.1, 2.9, loc=0.1)
    bounds, run = (lo, hi), EmceeRun(30, 1000, 200)
    for sampler in ("importance", "emcee"):
        found = explore(
            log_likelihood, np.ones(D), np.ones(D), 4000, seeded(7), sampler=sampler, emcee=run,
            bounds=bounds,
        )  # fmt: skip
        for k in range(D):
            limit = 2.0 / np.sqrt(min(found.effective, 4000.0))
            assert kstest(found.draws[:, k], truth.cdf).statistic < limit


def test_derivatives_in_the_box_are_those_of_differences():
    box = UniformPrior(np.full(D, -3.0), np.full(D, 4.0))
    target, y, _, derivatives = box.target(skewed, np.full(D, 1.0), np.ones(D), skewed_derivatives)
    value, gradient, hessian = derivatives(y)
    assert value == pytest.approx(target(y[None])[0])
    steps = 1e-4 * np.eye(D)
    slope = (target(y + steps) - target(y - steps)) / 2e-4
    np.testing.assert_allclose(gradient, slope, rtol=1e-6)
    bend = [(derivatives(y + s)[1] - derivatives(y - s)[1]) / 2e-4 for s in steps]
    np.testing.assert_allclose(hessian, bend, atol=1e-6)
    np.testing.assert_allclose(box.bound(box.free(np.arange(D) - 1.5)), np.arange(D) - 1.5)


@pytest.mark.long
def test_where_weights_cannot_be_trusted_a_chain_runs():
    start, scale = np.zeros(4), np.ones(4)
    with pytest.raises(EstimationError, match="k_hat"):
        explore(banana, start, scale, 4000, seeded(8), sampler="importance")
    found = explore(banana, start, scale, 4000, seeded(8), emcee=EmceeRun(32, 2500, 500))
    assert found.method == "emcee"
    assert "k_hat" in found.note
    assert "autocorrelation time" in found.note
    assert np.isnan(found.k_hat)
    for k in (0, 2, 3):
        statistic = kstest(found.draws[:, k], norm.cdf).statistic
        assert statistic < 2.0 / np.sqrt(min(found.effective, 4000.0))


def test_chain_that_does_not_mix_is_refused():
    start, scale = np.zeros(4), np.array([5.0, 0.5, 0.5, 0.5])
    run = EmceeRun(40, 600, 100)
    with pytest.raises(EstimationError, match=r"does not mix: 500 steps .* autocorrelation time"):
        explore(two_peaks, start, scale, 100, seeded(9), sampler="emcee", emcee=run)
    chain = emcee_chain(two_peaks, start, scale, run, seeded(9))
    assert autocorrelation_time(chain) > 250.0
    assert autocorrelation_time(np.zeros((10, 8, 2))) == np.inf


def test_autocorrelation_time_of_a_known_process():
    rng = seeded(10)
    rho, chain = 0.9, np.zeros((4000, 50, 1))
    for k in range(1, 4000):
        chain[k] = rho * chain[k - 1] + rng.standard_normal((50, 1))
    truth = (1.0 + rho) / (1.0 - rho)
    # 50 walkers' means: their variance scatters by sqrt(2 / 49), a sum over five times by sqrt(20 / 10000)
    assert (
        (1.0 - 4.0 * 0.045) * truth < autocorrelation_time(chain[200:]) < truth * (1.0 + 4.0 * 0.2)
    )


@pytest.mark.parametrize("sampler", ["auto", "importance"])
def test_density_without_a_maximum_is_refused(sampler):
    with pytest.raises(EstimationError):
        explore(
            lambda p: np.sum(p, axis=1), np.zeros(D), np.ones(D), 10, seeded(11), sampler=sampler
        )
    with pytest.raises(EstimationError, match="no point of finite density"):
        explore(
            lambda p: np.full(len(p), -np.inf), np.zeros(D), np.ones(D), 10, seeded(11),
            sampler=sampler,
        )  # fmt: skip


def test_few_parameters_are_drawn_by_quadrature():
    found = explore(skewed, np.full(2, 1.0), np.full(2, 0.3), 500, seeded(12))
    assert (found.method, found.effective) == ("quadrature", 500.0)
    bounded = explore(
        lambda p: np.zeros(len(p)), [0.5], [0.1], 4000, seeded(12), bounds=([0.0], [2.0])
    )
    assert kstest(bounded.draws[:, 0] / 2.0, "uniform").pvalue > 1e-4


def test_same_seed_same_draws():
    for sampler in ("importance", "emcee"):
        run = EmceeRun(20, 400, 100)
        draws = [
            explore(
                skewed, np.full(D, 1.0), np.full(D, 0.3), 50, seeded(s), sampler=sampler, emcee=run
            ).draws
            for s in (13, 13, 14)
        ]
        np.testing.assert_array_equal(draws[0], draws[1])
        assert np.abs(draws[0] - draws[2]).max() > 0.0
