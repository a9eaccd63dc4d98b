"""All quantities at once: uniform for an exact posterior, and not for one whose parts alone are right."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from seeds import seeded

from haloassay.contracts.estimate import Estimate
from haloassay.contracts.quantities import QUANTITIES
from haloassay.engine.together import Place, place_of_truth

#: Posterior of three quantities, strongly correlated.
COVARIANCE = np.array([[1.0, 0.9, 0.5], [0.9, 1.0, 0.3], [0.5, 0.3, 1.0]])
NAMES = ("beta", "mean_v_r", "mean_v_theta")
N_DRAWS = 199


def rows(draws):
    return tuple(Estimate.from_draws(name, draws[:, k]) for k, name in enumerate(NAMES))


def shares(n, rng, shrink=1.0, shift=0.0, mixed=False):
    """Places of ``n`` truths, as shares, among draws that are right but for what is named."""
    root = np.linalg.cholesky(COVARIANCE)
    found = []
    for _ in range(n):
        middle = root @ rng.standard_normal(3)
        truth = middle + root @ rng.standard_normal(3)
        draws = middle + shift + shrink * rng.standard_normal((N_DRAWS, 3)) @ root.T
        if mixed:  # each column by itself is as it was
            draws = np.stack([rng.permutation(column) for column in draws.T], axis=1)
        place = place_of_truth(rows(draws), truth, QUANTITIES, rng)
        assert (place.draws, place.rows) == (N_DRAWS, 3)
        found.append((place.rank + rng.random()) / (N_DRAWS + 1))
    return np.array(found)


def test_an_exact_posterior_is_uniform():
    assert stats.kstest(shares(1000, seeded(1)), "uniform").pvalue > 1e-4


@pytest.mark.long
@pytest.mark.parametrize(
    "fault",
    [
        {"shrink": 0.9},
        *(pytest.param(x, marks=pytest.mark.slow) for x in ({"mixed": True}, {"shift": 0.5})),
    ],
)
def test_a_wrong_one_is_found(fault):
    """Intervals 10 per cent too narrow, a lost correlation (no marginal shows it), an offset."""
    assert stats.kstest(shares(3000, seeded(2), **fault), "uniform").pvalue < 1e-3


def test_an_offset_to_one_side_is_seen_by_references_on_both():
    """Draws about a truth far off are all nearer to a reference on their side, and none to one beyond the truth."""
    rng = seeded(5)
    draws = rng.standard_normal((N_DRAWS, 3))
    truth = draws.mean(axis=0) + 2.0 * draws.std(axis=0)
    places = [place_of_truth(rows(draws), truth, QUANTITIES, rng).rank for _ in range(200)]
    # references are as far to either side: about their middle alone the truth would be at one place
    assert min(places) < 0.1 * N_DRAWS
    assert max(places) == N_DRAWS


def test_rows_without_joint_draws_take_no_part():
    rng = seeded(3)
    draws = rng.standard_normal((50, 3))
    usual = rows(draws)
    assert place_of_truth(usual[:1], [0.0], QUANTITIES, rng) == Place()
    assert place_of_truth(usual, [0.0, np.nan, np.nan], QUANTITIES, rng) == Place()
    other = (*usual, Estimate.from_draws("beta", rng.standard_normal(30), bin=1))
    assert place_of_truth(other, [0.0] * 4, QUANTITIES, rng)[1:] == (50, 3)
    still = (*usual[:2], Estimate.from_draws("mean_v_theta", np.ones(50)))
    assert place_of_truth(still, [0.0] * 3, QUANTITIES, rng)[1:] == (50, 2)


@given(scale=st.floats(1e-6, 1e6), offset=st.floats(-1e3, 1e3))
@settings(max_examples=30)
def test_units_change_nothing(scale, offset):
    draws = seeded(4).standard_normal((40, 3))
    truth = np.array([0.3, -1.0, 0.5])
    same = place_of_truth(rows(draws), truth, QUANTITIES, seeded(5))
    moved = place_of_truth(
        rows(draws * scale + offset * scale), truth * scale + offset * scale, QUANTITIES, seeded(5)
    )
    assert moved == same
