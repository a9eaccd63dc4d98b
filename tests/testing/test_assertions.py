"""Assertions on results: what fails, what cannot be told, and the rate at which chance makes one fail."""

from __future__ import annotations

import re

import numpy as np
import pytest
import spread
from scipy import stats
from seeds import seeded, shifted

import haloassay
from haloassay.analysis import significance
from haloassay.testing import (
    Undecided,
    assert_covers,
    assert_equivalent,
    assert_unbiased,
    assertions,
    rates,
)
from haloassay.testing.rates import ALPHA, Session

pytestmark = pytest.mark.long

NUMBER = 60


@pytest.fixture(autouse=True)
def outside_of_a_session(monkeypatch):
    """The rate of this session depends on how many tests of ours are run."""
    monkeypatch.setattr(rates.SESSION, "tests", 0)


def run(out, *methods, **changes):
    survey = {"preset": "perfect", "n_stars": 300}
    listed = [{"kind": f"faults:{name}", "label": name} for name in methods]
    scenario = {
        "name": "asserted",
        "title": "of assertions",
        "realizations": NUMBER,
        "seed": shifted(5),
        "mock": spread.IDEAL["mock"],
        "survey": survey,
        "estimators": listed,
    }
    return haloassay.run({**scenario, **changes}, out, workers=0)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return run(tmp_path_factory.mktemp("asserted") / "out", "Spread", "LowByThree", "Narrow")


def test_a_sound_estimator_is_unbiased_and_covers(results):
    for quantity in ("sigma_r", "beta"):
        assert_unbiased(results, quantity, estimator="Spread")
        assert_covers(results.out, quantity, 10.0, 95, estimator="Spread")


def test_a_bias_is_named_with_its_size(results):
    with pytest.raises(AssertionError, match=r"of LowByThree: bias -\d\.\d+ ± 0\.\d+ %") as said:
        assert_unbiased(results, "sigma_r")
    assert not isinstance(said.value, Undecided)
    assert "Spread" not in str(said.value)
    assert f"rate of {ALPHA:.2g}" in str(said.value)


def test_intervals_of_half_their_width_do_not_cover(results):
    assert_covers(results, "beta", estimator="Spread")
    with pytest.raises(AssertionError, match=r"of Narrow: 0\.\d\d of the intervals of 68 per cent"):
        assert_covers(results, "beta")


def test_a_limit_is_shown_exceeded_or_left_open(results):
    row = results.table().set_index(["estimator", "quantity"]).loc[("LowByThree", "sigma_r")]
    bias, mcse = abs(row["bias"]), row["bias_mcse"]
    of = {"estimator": "LowByThree"}
    assert_unbiased(results, "sigma_r", within=bias + 2.0 * mcse, **of)
    with pytest.raises(Undecided, match="would be likely to tell") as said:
        assert_unbiased(results, "sigma_r", within=bias + mcse, **of)
    # errors fall as 1 / sqrt(n): that many leave the limit where it is told in nine of ten runs
    wanted = int(re.search(r"(\d+) realisations would be", str(said.value))[1])
    reach = stats.t.ppf(0.95, row["n"] - 1) + stats.norm.ppf(0.9)
    assert wanted == np.ceil(row["n"] * reach**2)
    with pytest.raises(Undecided, match="no number of realisations"):
        assert_unbiased(results, "sigma_r", within=bias - 0.1 * mcse, **of)
    with pytest.raises(AssertionError, match=f"beyond {bias - 5.0 * mcse:g}"):
        assert_unbiased(results, "sigma_r", within=float(f"{bias - 5.0 * mcse:g}"), **of)


def test_so_many_errors_are_a_limit_too(results):
    row = results.table().set_index(["estimator", "quantity"]).loc[("Narrow", "beta")]
    times = abs(row["bias"]) / row["bias_mcse"]
    assert_unbiased(results, "beta", within=f"{1.01 * times:.4f} mcse", estimator="Narrow")
    with pytest.raises(AssertionError, match="times its error"):
        assert_unbiased(results, "beta", within=f"{0.99 * times:.4f} mcse", estimator="Narrow")


def test_coverage_within_a_limit(results):
    row = results.table().set_index(["estimator", "quantity"]).loc[("Narrow", "sigma_r")]
    off = abs(row["coverage68"] - 0.68)
    assert_covers(results, "sigma_r", within=off + 0.15, estimator="Narrow")
    with pytest.raises(Undecided):
        assert_covers(results, "sigma_r", within=off + 0.02, estimator="Narrow")
    with pytest.raises(AssertionError, match=r"beyond 0\.01"):
        assert_covers(results, "sigma_r", within=0.01, estimator="Narrow")


def test_a_limit_of_coverage_is_of_the_intervals_and_not_of_the_values(results, monkeypatch):
    """Ten of a thousand values have intervals: what would decide is reckoned from ten."""
    table = results.table()
    row = table[(table["estimator"] == "Spread") & (table["quantity"] == "beta")]
    few = row.assign(n=1000, n68=10, coverage68=0.7)
    monkeypatch.setattr(assertions, "_rows", lambda *_: few)
    error = np.sqrt(0.21 / 10)
    reach = (stats.t.ppf(0.95, 9) + stats.norm.ppf(0.9)) * error
    with pytest.raises(Undecided, match=f"{np.ceil(10 * (reach / 0.08) ** 2):.0f} realisations"):
        assert_covers(results, "beta", within=0.1)


def test_too_few_say_nothing(tmp_path, monkeypatch):
    few = run(tmp_path / "few", "Narrow", realizations=12)
    monkeypatch.setattr(rates.SESSION, "tests", 1000)
    with pytest.raises(Undecided, match="of 12 intervals any number") as said:
        assert_covers(few, "beta")
    rate = ALPHA / 1000 / 2
    wanted = int(re.search(r"(\d+) realisations would tell", str(said.value))[1])
    assert significance.coverage_p_values(0, wanted, 0.68) <= rate
    assert significance.coverage_p_values(0, wanted - 1, 0.68) > rate
    less = run(tmp_path / "less", "Narrow", realizations=9)
    for asserted in (assert_unbiased, assert_covers):
        with pytest.raises(Undecided, match="9 realisations with a value; 10 are needed"):
            asserted(less, "beta")


def test_what_cannot_be_asserted_is_refused(results):
    for call, words in (
        (lambda: assert_unbiased(results, "mass"), "quantity"),
        (lambda: assert_unbiased(results, "apex_offset"), "assert_covers"),
        (lambda: assert_unbiased(results, "beta", estimator="Spreed"), "estimator"),
        (lambda: assert_unbiased(results, "beta", cell="other"), "cell"),
        (lambda: assert_unbiased(results, "beta", 500.0), "500 kpc is outside"),
        (lambda: assert_unbiased(results, "beta", within="3 sigma"), "within"),
        (lambda: assert_unbiased(results, "beta", within="1.2.3 mcse"), "within"),
        (lambda: assert_unbiased(results, "beta", within=-0.1), "within"),
        (lambda: assert_covers(results, "beta", level=90), "must be 68 or 95"),
        (lambda: assert_equivalent(results, results, margin=0.0), "margin"),
        (lambda: assert_equivalent(results, results.out / "nowhere.json"), "nowhere"),
    ):
        with pytest.raises(haloassay.InputError, match=words):
            call()


def test_runs_that_say_the_same_are_equivalent(results, tmp_path):
    assert_equivalent(results, results)
    low = run(tmp_path / "low", "LowByThree")
    renamed = run(
        tmp_path / "renamed",
        "Spread",
        estimators=[{"kind": "spread:Spread", "label": "LowByThree"}],
    )
    with pytest.raises(AssertionError, match="moved") as said:
        assert_equivalent(renamed, low)
    assert not isinstance(said.value, Undecided)
    elsewhere = run(tmp_path / "elsewhere", "LowByThree", seed=shifted(6))
    with pytest.raises(Undecided, match="realisations of both would tell"):
        assert_equivalent(low, elsewhere)


def test_rates_of_a_session_sum_to_its_own():
    session = Session(tests=20)
    given = []
    for _ in range(session.tests):
        session.begin()
        given += [session.rate() for _ in range(50)]
    assert 0.97 * ALPHA < sum(given) < ALPHA
    assert given[0] == pytest.approx(ALPHA / 40)
    assert Session().rate() == Session().rate() == ALPHA


def test_chance_makes_an_assertion_fail_at_its_rate(results, monkeypatch):
    """Of Gaussian errors without a bias, at a rate of one in ten: 400 tables of three rows."""
    monkeypatch.setattr("haloassay.testing.rates.ALPHA", 0.1)
    rng = seeded(77)
    table = results.table()
    table = table[table["quantity"] == "sigma_r"]
    failed, n, repeats = 0, 30, 400
    for _ in range(repeats):
        e = rng.standard_normal((len(table), n))
        hit = rng.random((len(table), n)) < 0.68
        drawn = table.assign(
            bias=e.mean(axis=1),
            bias_mcse=e.std(axis=1, ddof=1) / np.sqrt(n),
            scatter=e.std(axis=1, ddof=1),
            skewness=stats.skew(e, axis=1),
            n=n,
            n68=n,
            coverage68=hit.mean(axis=1),
        )
        monkeypatch.setattr(assertions, "_rows", lambda *_, drawn=drawn: drawn)
        for asserted in (assert_unbiased, assert_covers):
            try:
                asserted(results, "sigma_r")
            except AssertionError:
                failed += 1
    rate = failed / (2 * repeats)
    assert rate < 0.1 + 4.0 * np.sqrt(0.1 * 0.9 / (2 * repeats))
    assert rate > 0.03
