"""Precision on demand: rules, how realisations are added, and what comes of a run."""

import numpy as np
import pandas as pd
import pytest
from seeds import seeded

from haloassay.analysis.rules import make_rule
from haloassay.base.errors import InputError
from haloassay.engine.progress import Silent
from haloassay.engine.runner import run
from haloassay.engine.sequential import FEWEST, run_until


class Grown:
    """Stands for results whose errors are of as many realisations as were asked for."""

    def __init__(self, scatter, rng=None, n=0):
        self.scatter, self.rng, self.n = scatter, rng, n
        self.asked = []

    def to(self, n):
        self.asked.append(n)
        self.n = n
        return self

    def table(self):
        k = len(self.scatter)
        return pd.DataFrame(
            {
                "cell": "base",
                "estimator": [f"e{i}" for i in range(k)],
                "quantity": "m200",
                "r": np.linspace(10.0, 50.0, k),
                "r_lo": np.linspace(8.0, 48.0, k),
                "r_hi": np.linspace(12.0, 52.0, k),
                "n": self.n,
                "bias": 0.1,
                "bias_mcse": np.array(self.scatter) / np.sqrt(self.n),
            }
        )

    pairs = table


def test_realisations_are_added_until_every_row_is_known():
    results, said = Grown([0.1, 0.4]), []
    run_until(make_rule("bias_mcse < 0.02"), 10_000, 0, results.to, said.append)
    assert results.asked[0] == FEWEST
    assert 400 <= results.n <= 460  # what the errors ask for, and not a round more
    assert len(results.asked) <= 4
    assert "holds for all 2 rows" in said[-1]


def test_a_rule_on_the_number_asks_for_that_many():
    results = Grown([0.1])
    run_until(make_rule("n >= 300"), 10_000, 0, results.to, lambda line: None)
    assert results.asked[:3] == [FEWEST, 3 * FEWEST, 9 * FEWEST]
    assert 300 <= results.n < 340


def test_a_rule_is_about_the_rows_that_it_names():
    results = Grown([0.1, 0.4])
    rule = make_rule("bias_mcse < 0.02 for estimator=e0, r=10")
    run_until(rule, 10_000, 0, results.to, lambda line: None)
    assert results.n == FEWEST
    with pytest.raises(InputError, match="unknown estimator 'e7'"):
        run_until(make_rule("n > 3 for estimator=e7"), 100, 0, results.to, lambda line: None)
    with pytest.raises(InputError, match="no row of the table"):
        run_until(make_rule("n > 3 for r=500"), 100, 0, results.to, lambda line: None)


def test_it_ends_at_the_most_and_says_what_is_missing():
    results, said = Grown([5.0, 0.1]), []
    run_until(make_rule("bias_mcse < 0.02"), 200, 0, results.to, said.append)
    assert results.n == 200
    assert "does not hold for 1 of 2 rows with 200 realisations" in said[-1]
    assert "base, e0, m200" in said[-1]


def test_a_rule_that_reads_values_says_that_it_does():
    said = []
    run_until(make_rule("bias_mcse < abs(bias)"), 100, 0, Grown([0.1]).to, said.append)
    assert "reads bias itself" in said[0]
    assert make_rule("bias_mcse < 0.1 and n > 50").peeks == ()


def test_what_has_no_value_is_waited_for_and_never_taken_for_known():
    class Unknown(Grown):
        def table(self):
            return super().table().assign(bias_mcse=np.nan)

    results, said = Unknown([0.1]), []
    run_until(make_rule("bias_mcse < 0.02"), 90, 0, results.to, said.append)
    assert results.n == 90
    assert "does not hold" in said[-1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("bias_mcse", "is a number: expected a condition"),
        ("bias_msce < 1", "did you mean 'bias_mcse'"),
        ("1 < 2", "names no column"),
        ("shift_mcse < 1 and bias_mcse < 1", "two tables"),
        ("n > 3 for quantity", "expected NAME=VALUE"),
        ("n > 3 for qantity=m200", "did you mean 'quantity'"),
        ("n > 3 for r=far", "radius in kpc"),
        ("__import__('os') < 1", "unknown function"),
    ],
)
def test_what_is_no_rule_is_refused(text, words):
    with pytest.raises(InputError, match=words) as caught:
        make_rule(text)
    assert "\n" not in str(caught.value)


def stopped(rng, repeats):
    """Means (repeats,) at the stop, their stated errors and numbers, of Gaussian errors whose scatter is estimated."""
    ends = []
    for _ in range(repeats):
        e = rng.standard_normal(2000)

        class Drawn(Grown):
            def table(self, e=e):
                mcse = e[: self.n].std(ddof=1) / np.sqrt(self.n)
                return super().table().assign(bias=e[: self.n].mean(), bias_mcse=mcse)

        results = Drawn([1.0])
        run_until(make_rule("bias_mcse < 0.1"), 2000, 0, results.to, lambda line: None)
        row = results.table().iloc[0]
        ends.append((row["bias"], row["bias_mcse"], results.n))
    return np.array(ends).T


@pytest.mark.slow
def test_means_at_the_stop_are_unbiased_and_their_errors_true():
    """A rule on errors alone."""
    ends, errors, _ = stopped(seeded(11), 400)
    assert abs(np.mean(ends)) < 4.0 * np.std(ends) / np.sqrt(400)
    covered = np.mean(np.abs(ends) < errors)
    assert abs(covered - 0.683) < 4.0 * np.sqrt(0.683 * 0.317 / 400)


def test_a_run_goes_on_until_its_rule_holds(tmp_path, values):
    values["realizations"] = 2
    rule = "shift_mcse < 0.02 for quantity=sigma_r"
    results = run(values, tmp_path / "out", workers=0, progress=Silent(), until=rule, at_most=400)
    n = results.scenario["realizations"]
    assert n >= FEWEST
    assert (results.pairs()["shift_mcse"] < 0.02).all() or n == 400
    before = len(results.frame("runs"))
    again = run(values, tmp_path / "out", workers=0, progress=Silent(), until=rule, at_most=400)
    assert len(again.frame("runs")) == before
    with pytest.raises(InputError, match="30 realisations or more"):
        run(values, tmp_path / "out", workers=0, progress=Silent(), until=rule, at_most=3)
