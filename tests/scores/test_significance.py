"""Rates of false alarms and of faults that are found, against simulation and against direct sums."""

import numpy as np
import pandas as pd
import pytest
import synthetic_results as synthetic
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, norm, skew, t
from seeds import seeded

from haloassay.analysis import significance
from haloassay.analysis.scores import score
from haloassay.analysis.verdict import ALPHA, verdicts
from haloassay.contracts.estimate import INTERVALS

STUDIES = 20_000


def errors(name, n):
    """Errors (studies, n) of mean zero."""
    z = seeded(51, n).standard_normal((STUDIES, n))
    return z if name == "Gaussian" else np.exp(0.5 * z) - np.exp(0.125)


@pytest.mark.slow
@pytest.mark.parametrize("n", [10, 40, 400])
@pytest.mark.parametrize("name", ["Gaussian", "lognormal"])
def test_biases_give_no_more_false_alarms_than_are_stated(name, n):
    e = errors(name, n)
    p = significance.bias_p_values(
        e.mean(axis=1), e.std(axis=1, ddof=1), skew(e, axis=1), np.full(STUDIES, n)
    )
    # skewness costs up to twice the rate where ten values have to tell it
    most = 2.0 if (name, n) == ("lognormal", 10) else 1.2
    for alpha in (ALPHA, ALPHA / 3):
        assert np.mean(p < alpha) < most * alpha + 4.0 * np.sqrt(alpha / STUDIES)


def test_the_old_rule_of_three_standard_errors_did_not_hold_its_rate():
    """Of seven bins with ten realisations each, one exceeded it in a tenth of all runs."""
    e = errors("Gaussian", 10)
    found = np.abs(e.mean(axis=1)) > 3.0 * e.std(axis=1, ddof=1) / np.sqrt(10)
    assert np.mean(found) > 0.01


@pytest.mark.slow
@pytest.mark.parametrize("bins", [pytest.param(1, marks=pytest.mark.slow), 7])
def test_a_verdict_holds_its_rate_with_all_its_bins(tmp_path, bins):
    cells = [f"study {k}" for k in range(250)]
    rng = seeded(52, bins)
    frame = pd.concat(
        synthetic.rows(rng, 10 * len(cells), bin=k, r=10.0 + k, n_draws=0)
        .assign(cell=np.repeat(cells, 10))
        .assign(realization=lambda rows: rows["realization"] % 10)
        for k in range(bins)
    )
    found = verdicts(score(synthetic.write(tmp_path, frame, synthetic.runs_of(frame))))
    alarms = sum(verdict.fault for verdict in found)
    assert alarms <= binom.ppf(1.0 - 3e-5, len(cells), ALPHA)


def ratio_p(e, half):
    lo, hi = np.quantile(e, [0.16, 0.84], axis=1)
    return significance.ratio_p_values(half / (0.5 * (hi - lo)), e.shape[1])


@pytest.mark.parametrize("n", [40, 400])
@pytest.mark.parametrize("name", ["Gaussian", "heavy"])
def test_right_errors_are_taken_for_wrong_no_more_often_than_is_stated(name, n):
    rng = seeded(53, n)
    size, end = (STUDIES, n), INTERVALS[2] / 100.0
    e, half = rng.standard_normal(size), norm.ppf(end)
    if name == "heavy":
        e, half = rng.standard_t(5, size), t.ppf(end, 5)
    alpha = 0.003
    assert (ratio_p(e, half) < alpha).sum() <= binom.ppf(1.0 - 3e-5, STUDIES, alpha)


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_errors_of_half_or_twice_the_scatter_are_found(factor):
    assert np.mean(ratio_p(errors("Gaussian", 400)[:200] + 5.0, factor) < 1e-6) > 0.99


def test_errors_within_a_twentieth_are_none_that_is_judged():
    assert (significance.ratio_p_values([0.96, 1.04], [10**6, 10**6]) == 1.0).all()


def test_bias_that_would_have_been_found_is_found_in_nine_of_ten_runs():
    n, alpha = 40, 0.003
    e = errors("Gaussian", n)
    bias = significance.bias_found(1.0 / np.sqrt(n), n, alpha)
    shifted = e + bias
    p = significance.bias_p_values(
        shifted.mean(axis=1),
        shifted.std(axis=1, ddof=1),
        skew(shifted, axis=1),
        np.full(STUDIES, n),
    )
    # the scatter of a run is not that of all: of the order of 1/n
    assert np.mean(p < alpha) == pytest.approx(significance.LIKELY, abs=2.0 / n)


@pytest.mark.parametrize("levels", [(68,), (68, 95)])
@pytest.mark.parametrize(("n", "factor"), [(10, 0.5), (40, 0.9), (400, 0.9)])
def test_the_share_of_runs_that_find_narrow_intervals_is_that_of_simulated_runs(n, factor, levels):
    alpha = 0.003
    e = np.abs(errors("Gaussian", n))
    found = np.zeros(STUDIES, dtype=bool)
    for level in levels:
        end = norm.ppf(INTERVALS[2 if level == 68 else 3] / 100.0)
        hits = (e < factor * end).sum(axis=1)
        found |= significance.coverage_p_values(hits, n, level / 100.0) <= alpha
    power = significance.narrow_power(n, factor, alpha, levels)
    assert abs(found.mean() - power) < 4.0 * np.sqrt(power * (1.0 - power) / STUDIES)


def test_how_narrow_intervals_must_be_for_nine_of_ten_runs_to_find_them():
    narrow = significance.narrow_found(40, ALPHA / 3)
    assert significance.narrow_power(40, 1.0 - narrow, ALPHA / 3) >= significance.LIKELY
    assert significance.narrow_power(40, 1.01 - narrow, ALPHA / 3) < significance.LIKELY


@pytest.mark.parametrize(
    ("p", "failed"),
    [
        ([0.001, 0.2, 0.004, 0.9], [True, False, False, False]),
        ([0.001, 0.2, 0.003, 0.9], [True, False, True, False]),
        ([0.003, 0.003, 0.003, 0.003], [False] * 4),
        ([0.0025, 0.0033, 0.005, 0.01], [True] * 4),
        ([0.0024, 0.0034, 0.0035, 0.0035], [True, False, False, False]),
    ],
)
def test_tests_that_are_judged_together_fail_after_holm(p, failed):
    assert significance.holm(p, 0.01).tolist() == failed


def test_a_bias_without_scatter_is_one_and_no_bias_is_none():
    p = significance.bias_p_values([0.0, 1e-14, 0.01], [0.0, 0.0, 0.0], [np.nan] * 3, [20] * 3)
    assert p[0] == p[1] == 1.0
    assert p[2] < 1e-12


def test_what_would_have_been_found_is_said_of_bias_and_intervals(tmp_path):
    frame = synthetic.rows(seeded(53), 40, n_draws=0)
    (found,) = verdicts(score(synthetic.write(tmp_path, frame, synthetic.runs_of(frame))))
    assert not found.fault
    power = significance.narrow_power(40, 0.9, ALPHA / 3)
    assert "would have been, in 9 of 10 runs." in found.bias
    told = f"10 per cent too narrow would have been found in {100 * power:.2g} per cent of runs"
    assert told in found.intervals


def test_low_success_is_said_in_the_verdict(tmp_path):
    frame = synthetic.rows(seeded(54), 24)
    runs = pd.concat([synthetic.runs_of(frame), synthetic.failed_runs(16, first=24)])
    (found,) = verdicts(score(synthetic.write(tmp_path, frame, runs)))
    assert found.lossy
    assert found.text.startswith("Success is 0.60 (.45–.74)")
    assert "if the others were all misses or all hits" in found.text.lower()
    (whole,) = verdicts(score(synthetic.write(tmp_path / "whole", frame, synthetic.runs_of(frame))))
    assert not whole.lossy
    assert not whole.success


@given(
    n=st.integers(1, 2000),
    share=st.floats(0.0, 1.0),
    nominal=st.sampled_from([0.05, 0.68, 0.95]),
)
@settings(max_examples=200)
def test_probabilities_of_coverage_are_those_of_the_binomial_distribution(n, share, nominal):
    k = round(share * n)
    exact = min(1.0, 2.0 * min(binom.cdf(k, n, nominal), binom.sf(k - 1, n, nominal)))
    found = significance.coverage_p_values([k], [n], nominal)
    np.testing.assert_allclose(found, [exact], rtol=1e-8, atol=1e-300)


@given(n=st.integers(3, 2000), bias=st.floats(-2.0, 2.0), alpha=st.floats(1e-4, 0.3))
@settings(max_examples=200)
def test_biases_are_judged_by_students_distribution(n, bias, alpha):
    """Of errors without skewness, with two thirds of the degrees of freedom."""
    freedom = 2.0 * (n - 1) / 3.0
    found = significance.bias_p_values([bias], [1.0], [0.0], [n])
    np.testing.assert_allclose(found, [2.0 * t.sf(abs(bias) * np.sqrt(n), freedom)], rtol=1e-8)
    exact = 0.3 * (t.isf(0.5 * alpha, freedom) + t.isf(0.1, freedom))
    np.testing.assert_allclose(significance.bias_found([0.3], [n], alpha), [exact], rtol=1e-8)
