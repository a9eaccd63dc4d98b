from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy.stats import kstest, norm
from seeds import seeded

from haloassay.base.errors import EstimationError
from haloassay.estimators.fit.posterior import (
    EmceeRun,
    autocorrelation_time,
    emcee_chain,
    quadrature,
)

RUN = EmceeRun(100, 2000, 500)


def banana(points):
    """Ln density of x ~ N(0, 1), y ~ N(x^2, 0.1^2): means and widths known exactly."""
    x, y = points.T
    return -0.5 * x**2 - 0.5 * ((y - x**2) / 0.1) ** 2


def wedge(points):
    """Narrow, turned Gaussian that its prior x > 0.5, y > 0 cuts off."""
    x, y = points.T
    inside = (x > 0.5) & (y > 0.0)
    return np.where(inside, -0.5 * (x + y) ** 2 - 0.5 * ((x - y) / 0.1) ** 2, -np.inf)


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e3])
@pytest.mark.parametrize("d", [1, 2, 3])
def test_gaussian_of_any_scale_and_correlation(d, scale):
    rng = seeded(1)
    root = scale * (np.eye(d) + np.tril(np.full((d, d), 3.0), -1))
    mean = scale * np.arange(20.0, 20.0 + d)
    inverse = np.linalg.inv(root)

    def log_density(points):
        return -0.5 * np.sum(((points - mean) @ inverse.T) ** 2, axis=1)

    draws = quadrature(log_density, mean + 3.0 * scale, np.full(d, 0.01 * scale), 4000, rng)
    unit = (draws - mean) @ inverse.T
    for k in range(d):
        assert kstest(unit[:, k], norm.cdf).pvalue > 1e-4


def test_curved_density():
    draws = quadrature(banana, [0.0, 0.0], [0.1, 0.1], 20000, seeded(2))
    assert kstest(draws[:, 0], norm.cdf).pvalue > 1e-4
    assert kstest((draws[:, 1] - draws[:, 0] ** 2) / 0.1, norm.cdf).pvalue > 1e-4


def test_prior_cuts_the_draws_off():
    draws = quadrature(wedge, [2.0, 2.0], [0.1, 0.1], 5000, seeded(3))
    assert np.isfinite(wedge(draws)).all()
    assert len(draws) == 5000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("density", "start"),
    [
        # whose marginals are known, too
        pytest.param(banana, [0.0, 0.0], id="banana"),
        pytest.param(wedge, [0.8, 0.8], id="wedge"),
    ],
)
def test_quadrature_and_emcee_agree(density, start):
    import emcee

    chain = emcee_chain(density, start, [0.05, 0.05], RUN, seeded(4))
    draws = quadrature(density, start, [0.05, 0.05], 20000, seeded(5))
    for k in range(2):
        tau = emcee.autocorr.integrated_time(chain[:, :, k], quiet=True)[0]
        flat = chain[:, :, k].ravel()
        effective = flat.size / tau
        sd = draws[:, k].std()
        mcse = sd * np.sqrt(1.0 / effective + 1.0 / len(draws))
        for probability in (0.16, 0.5, 0.84):
            a, b = np.quantile(flat, probability), np.quantile(draws[:, k], probability)
            # error of a quantile: sqrt(p (1 - p) / n) over the density there, by differences
            ends = np.quantile(draws[:, k], [probability - 0.03, probability + 0.03])
            slope = np.diff(ends)[0] / 0.06
            error = slope * np.sqrt(probability * (1.0 - probability)) * mcse / sd
            assert abs(a - b) < 4.0 * error


def test_same_seed_same_draws():
    for method in (
        lambda rng: quadrature(banana, [0.0, 0.0], [0.1, 0.1], 50, rng),
        lambda rng: emcee_chain(banana, [0.0, 0.0], [0.1, 0.1], EmceeRun(20, 50, 10), rng),
    ):
        first, again, other = (method(seeded(seed)) for seed in (6, 6, 7))
        np.testing.assert_array_equal(first, again)
        assert np.abs(first - other).max() > 0.0


def test_density_that_does_not_fall_off_is_refused():
    with pytest.raises(EstimationError, match="does not fall off"):
        quadrature(lambda p: np.zeros(len(p)), [0.0, 0.0], [1.0, 1.0], 10, seeded(8))
    with pytest.raises(EstimationError, match="no point of finite density"):
        quadrature(lambda p: np.full(len(p), -np.inf), [0.0], [1.0], 10, seeded(8))


def test_a_walker_that_never_moves_has_no_autocorrelation_time():
    chain = seeded(9).standard_normal((600, 6, 2))
    assert 0.5 < autocorrelation_time(chain) < 2.0
    chain[:, 3] = 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert autocorrelation_time(chain) == np.inf
