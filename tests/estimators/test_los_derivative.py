"""Circular velocities from finite differences of dispersions (Zhai et al. 2018, eq. 9), and their covariance."""

from __future__ import annotations

import numpy as np
from seeds import seeded

from haloassay.estimators.los_jeans_derivative import differences, jeans_v_c2


def test_differences_are_exact_on_a_parabola_inside_and_a_line_at_the_ends():
    x = np.log([6.0, 8.9, 11.8, 20.0, 33.0])
    matrix = differences(x)
    np.testing.assert_allclose(matrix @ (3.0 - 0.7 * x), -0.7, rtol=1e-12)
    np.testing.assert_allclose((matrix @ x**2)[1:-1], 2.0 * x[1:-1], rtol=1e-12)
    np.testing.assert_allclose((matrix @ x**2)[[0, -1]], [x[0] + x[1], x[-1] + x[-2]], rtol=1e-12)


def test_equation_9_on_a_power_law():
    # sigma^2 ~ r^-0.4 is a straight line in logarithms: no error of differences
    r = np.array([6.0, 9.0, 12.0, 20.0, 33.0])
    sigma = 130.0 * (r / 10.0) ** -0.2
    square, _ = jeans_v_c2(r, sigma, 0.01 * sigma, np.full(5, -4.0 + 2.0 * 0.3))
    np.testing.assert_allclose(square, sigma**2 * (4.0 + 0.4 - 0.6), rtol=1e-12)


def test_covariance_of_v_c2_is_that_of_repeated_dispersions():
    rng = seeded(8)
    r = np.array([6.2, 8.9, 11.7, 15.8, 19.8])
    sigma, error = 120.0 - r, np.array([0.4, 0.6, 0.5, 0.8, 1.0])
    square, covariance = jeans_v_c2(r, sigma, error, np.full(5, -4.0))
    drawn = np.array(
        [
            jeans_v_c2(r, sigma + error * rng.standard_normal(5), error, np.full(5, -4.0))[0]
            for _ in range(4000)
        ]
    )
    deviation = np.sqrt(np.diag(covariance))
    correlation = covariance / np.outer(deviation, deviation)
    tolerance = 4.0 * np.sqrt(2.0 / 4000)
    scaled = np.cov(drawn.T) / np.outer(deviation, deviation)
    np.testing.assert_allclose(scaled, correlation, atol=tolerance)
    assert np.max(np.abs(correlation - np.eye(5))) > 0.3  # neighbours are not independent
    np.testing.assert_allclose(drawn.mean(axis=0) / square, 1.0, atol=4.0 * 0.03 / np.sqrt(4000))


def test_points_that_scatter_low_do_not_pull_a_constant_v_c2_down():
    """Errors at the measured dispersions would make the mean 2.7 +- 0.1 per cent low."""
    rng = seeded(12)
    n, runs, one = 100, 2000, np.ones(6)
    found = []
    for _ in range(runs):
        sigma = 100.0 * np.sqrt(rng.chisquare(n, 6) / n)
        square, covariance = jeans_v_c2(
            np.geomspace(6.0, 60.0, 6), sigma, sigma / np.sqrt(2.0 * n), np.full(6, -4.0)
        )
        weight = np.linalg.solve(covariance, one)
        found.append(weight @ square / weight.sum() / 4e4 - 1.0)
    # a parabola through six points still follows them a little
    assert abs(np.mean(found)) < 0.015 + 4.0 * np.std(found) / np.sqrt(runs)
