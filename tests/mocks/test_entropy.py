"""Weights of largest entropy: the optimum of a problem small enough to solve by other means."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from seeds import seeded

from haloassay.mocks.equilibria.entropy import maximum_entropy_weights


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_feasible_constraints_are_met_and_weights_stay_positive(seed):
    rng = seeded(seed)
    matrix = rng.normal(size=(4, 40))
    prior = rng.uniform(0.5, 2.0, 40)
    target = matrix @ rng.uniform(0.2, 3.0, 40)  # some positive weights do it
    weights = maximum_entropy_weights(matrix, target, prior)
    assert np.all(weights > 0.0)
    np.testing.assert_allclose(matrix @ weights, target, atol=1e-5)


def test_a_prior_that_meets_the_constraints_is_left_alone():
    prior = np.array([0.3, 1.0, 2.0])
    matrix = np.array([[1.0, 2.0, -1.0]])
    np.testing.assert_allclose(maximum_entropy_weights(matrix, matrix @ prior, prior), prior)


def test_the_optimum_is_that_of_a_general_minimiser():
    rng = seeded(3)
    matrix, prior = rng.normal(size=(2, 5)), rng.uniform(0.5, 2.0, 5)
    target = matrix @ rng.uniform(0.5, 2.0, 5)
    weights = maximum_entropy_weights(matrix, target, prior)
    found = minimize(
        lambda x: np.sum(x * np.log(x / prior) - x),
        prior,
        bounds=[(1e-6, None)] * 5,
        constraints={"type": "eq", "fun": lambda x: matrix @ x - target},
        options={"ftol": 1e-12, "maxiter": 500},
    )
    np.testing.assert_allclose(weights, found.x, rtol=1e-4)


def test_contradicting_constraints_end_in_a_finite_compromise():
    # the same sum cannot be 1 and 2; a soft fit lies between, and says so by its miss
    matrix = np.ones((2, 6))
    weights = maximum_entropy_weights(matrix, np.array([1.0, 2.0]), np.full(6, 0.1))
    assert np.all(np.isfinite(weights))
    assert 1.0 < weights.sum() < 2.0
