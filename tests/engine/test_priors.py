"""Priors of factors: the same distributions as scipy.stats has, and what cannot be is refused."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from scipy import stats

from haloassay.base.errors import InputError
from haloassay.contracts.priors import make_prior

U = (np.arange(2000) + 0.5) / 2000


SCIPY = [
    ({"kind": "normal", "mean": 1.0, "sd": 0.03}, stats.norm(1.0, 0.03)),
    (
        {"kind": "normal", "mean": 1.0, "sd": 0.5, "lo": 0.0, "hi": 1.5},
        stats.truncnorm(-2.0, 1.0, 1.0, 0.5),
    ),
    ({"kind": "normal", "mean": 0.0, "sd": 2.0, "lo": 12.0}, stats.truncnorm(6, np.inf, 0, 2)),
    ({"kind": "uniform", "lo": -2.0, "hi": 3.0}, stats.uniform(-2.0, 5.0)),
    ({"kind": "loguniform", "lo": 0.1, "hi": 30.0}, stats.loguniform(0.1, 30.0)),
    (
        {"kind": "table", "values": [0.0, 1.0, 4.0], "density": [0.0, 3.0, 0.0]},
        stats.triang(0.25, 0.0, 4.0),
    ),
    (
        {"kind": "table", "values": [1.0, 2.0, 3.0], "density": [5.0, 5.0, 5.0]},
        stats.uniform(1.0, 2.0),
    ),
]


@pytest.mark.parametrize(("spec", "theirs"), SCIPY)
def test_quantiles_are_those_of_scipy(spec, theirs):
    assert make_prior(spec, "here").quantile(U) == pytest.approx(theirs.ppf(U), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(("spec", "theirs"), SCIPY)
def test_shares_are_those_of_scipy_and_undo_quantiles(spec, theirs):
    prior = make_prior(spec, "here")
    values = theirs.ppf(U)
    assert prior.share(values) == pytest.approx(theirs.cdf(values), abs=1e-9)
    assert prior.share(prior.quantile(U)) == pytest.approx(U, abs=1e-9)
    beyond = np.array([values[0] - 1e3, values[-1] + 1e3])
    assert prior.share(beyond) == pytest.approx([0.0, 1.0], abs=1e-12)


@given(
    density=st.lists(st.floats(0.1, 5.0), min_size=2, max_size=6),
    u=st.floats(0.0, 1.0),
)
@settings(max_examples=50)
def test_shares_undo_quantiles_of_any_table(density, u):
    spec = {"kind": "table", "values": np.cumsum(density).tolist(), "density": density}
    prior = make_prior(spec, "here")
    assert prior.share(prior.quantile(np.array([u]))) == pytest.approx([u], abs=1e-9)


def test_a_level_stands_at_the_middle_of_its_share():
    prior = make_prior({"kind": "discrete", "weights": [1.0, 0.0, 3.0]}, "here")
    assert prior.share(np.array([0.0, 1.0, 2.0])) == pytest.approx([0.125, 0.25, 0.625])
    assert prior.quantile(prior.share(np.array([0.0, 2.0]))) == pytest.approx([0.0, 2.0])
    prior = make_prior({"kind": "discrete", "weights": [0.0, 1.0, 0.0]}, "here")
    assert prior.quantile(np.array([0.0, 1.0])) == pytest.approx([1.0, 1.0])


@given(
    weights=st.lists(st.floats(0.0, 5.0), min_size=1, max_size=6).filter(lambda w: sum(w) > 0.01)
)
@settings(max_examples=50)
def test_levels_come_as_often_as_their_weights_say(weights):
    n = 20_000
    prior = make_prior({"kind": "discrete", "weights": weights}, "here")
    chosen = prior.quantile((np.arange(n) + 0.5) / n).astype(int)
    shares = np.bincount(chosen, minlength=len(weights)) / n
    assert shares == pytest.approx(np.array(weights) / sum(weights), abs=1.5 / n)
    assert prior.quantile(np.array([1.0]))[0] < len(weights)  # the last with a weight


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({}, "names no 'kind'"),
        ({"kind": "norml"}, "did you mean 'normal'"),
        ({"kind": "normal", "mean": 1.0, "sd": -0.1}, "sd must be > 0"),
        ({"kind": "normal", "mean": 1.0, "sd": 0.1, "lo": 2.0, "hi": 1.0}, "lo must be below hi"),
        ({"kind": "normal", "mean": 0.0, "sd": 1.0, "lo": 60.0}, "leave nothing"),
        ({"kind": "normal", "mean": 1.0}, "'sd' is missing"),
        ({"kind": "uniform", "lo": 1.0, "hi": 1.0}, "lo must be below hi"),
        ({"kind": "loguniform", "lo": 0.0, "hi": 1.0}, "0 < lo < hi"),
        ({"kind": "discrete", "weights": [0.0, 0.0]}, "must not all be 0"),
        ({"kind": "discrete", "weights": [1.0], "values": [1, 2]}, "as many weights as values"),
        ({"kind": "table", "values": [0.0, 0.0], "density": [1.0, 1.0]}, "must increase"),
        ({"kind": "table", "values": [0.0, 1.0], "density": [0.0, -1.0]}, "must be >= 0"),
    ],
)
def test_a_prior_that_cannot_be_is_refused(spec, words):
    with pytest.raises(InputError, match=words) as caught:
        make_prior(spec, "scenario: factor 'x': prior")
    assert str(caught.value).startswith("scenario: factor 'x': prior")
