"""Verdicts on claims: numbers whose answer is known, their rates, and what each statistic reads."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
import synthetic_budget
import synthetic_results as synthetic
from seeds import seeded

from haloassay.analysis.budget import budgets
from haloassay.analysis.claims import Limits, judge
from haloassay.analysis.compare import FEWEST
from haloassay.analysis.pairs import paired
from haloassay.analysis.scores import score
from haloassay.analysis.significance import LIKELY, SHOWN
from haloassay.analysis.statistic import Found
from haloassay.analysis.statistics import make_statistic
from haloassay.base.errors import InputError

INF = math.inf


def found(value, mcse, n=100, lost=0):
    return Found("enclosed_mass", "Msun", 50.0, "error", value, mcse, n, lost)


def one(value, mcse, lo, hi, n=100, alpha=0.01):
    return judge([found(value, mcse, n)], [Limits(lo, hi)], alpha)[0]


@pytest.mark.parametrize(
    ("value", "mcse", "lo", "hi", "verdict"),
    [
        (0.15, 0.01, 0.10, 0.20, "reproduced"),
        (0.12, 0.01, 0.10, 0.20, "reproduced"),  # two errors inside; the test asks for 1.66
        (0.115, 0.01, 0.10, 0.20, "cannot be told"),  # one and a half
        (0.185, 0.01, 0.10, 0.20, "cannot be told"),  # so at the other end
        (0.09, 0.01, 0.10, 0.20, "cannot be told"),
        (0.07, 0.01, 0.10, 0.20, "differs"),
        (0.23, 0.01, 0.10, 0.20, "differs"),
        (0.15, 0.10, 0.10, 0.20, "cannot be told"),
        (0.80, 0.05, 0.50, INF, "reproduced"),
        (9.00, 0.05, 0.50, INF, "reproduced"),  # an end that is open
        (0.30, 0.05, 0.50, INF, "differs"),
        (-9.0, 0.05, -INF, 0.0, "reproduced"),
        (0.3, 0.05, -INF, 0.0, "differs"),
        (0.0, 0.0, -0.1, 0.1, "reproduced"),  # the same in every realisation
        (0.2, 0.0, -0.1, 0.1, "differs"),
    ],
)
def test_a_number_of_known_error_has_the_verdict_that_it_deserves(value, mcse, lo, hi, verdict):
    assert one(value, mcse, lo, hi).verdict == verdict


def test_what_has_no_value_cannot_be_tested_and_few_realisations_cannot_tell():
    nothing = dataclasses.replace(found(math.nan, math.nan, 0), n_lost=40)
    few = found(0.5, 0.01, FEWEST - 1)
    why = "no satellites here"
    none, early, cannot = judge([nothing, few, why], [Limits(0.0, 0.1)] * 3)
    assert (none.verdict, early.verdict, cannot.verdict) == (
        "cannot be tested here",
        "cannot be told",
        "cannot be tested here",
    )
    assert "none of 40 realisations has a value" in none.why
    assert early.wanted == FEWEST
    assert cannot.why == why
    lossy = judge([found(0.05, 0.001, 80, 20)], [Limits(0.0, 0.1)])[0]
    assert lossy.verdict == "reproduced"
    assert lossy.why == "80 of 100 realisations have a value"


def test_claims_are_judged_together():
    numbers = [found(0.3, 0.1)]  # three errors outside: p = 0.0017
    assert judge(numbers, [Limits(-INF, 0.0)])[0].verdict == "differs"
    others = [found(-1.0, 0.1)] * 9
    verdicts = judge([*numbers, *others], [Limits(-INF, 0.0)] * 10)
    assert [each.verdict for each in verdicts] == ["cannot be told", *["reproduced"] * 9]


@pytest.mark.parametrize("n", [12, 100])
def test_at_its_limit_a_claim_is_rarely_reproduced_and_more_rarely_differs(n):
    rng = seeded(20261129, n)
    repeats, alpha = 4000, 0.05
    draws = rng.standard_normal((repeats, n)) + 1.0
    mcse = draws.std(axis=1, ddof=1) / math.sqrt(n)
    verdicts = [
        one(float(value), float(error), -INF, 1.0, n, alpha).verdict
        for value, error in zip(draws.mean(axis=1), mcse, strict=True)
    ]
    for verdict, rate in (("reproduced", SHOWN), ("differs", alpha)):
        share = np.mean([each == verdict for each in verdicts])
        assert abs(share - rate) < 4.0 * math.sqrt(rate * (1.0 - rate) / repeats), verdict


@pytest.mark.parametrize(("true", "verdict"), [(0.06, "reproduced"), (0.14, "differs")])
def test_the_wanted_realisations_are_likely_to_tell(true, verdict):
    """As many as are asked for give the verdict in nine of ten runs, where the number found is the true one."""
    scatter, n = 0.3, 20
    first = one(true, scatter / math.sqrt(n), -INF, 0.1, n)
    assert first.verdict == "cannot be told"
    rng = seeded(20261130)
    wanted = first.wanted
    values = true + scatter / math.sqrt(wanted) * rng.standard_normal(2000)
    told = [one(x, scatter / math.sqrt(wanted), -INF, 0.1, wanted).verdict for x in values]
    share = np.mean([each == verdict for each in told])
    assert LIKELY - 4.0 * math.sqrt(LIKELY * (1.0 - LIKELY) / 2000) < share < 0.95


def test_an_error_that_all_realisations_share_counts_and_no_number_makes_it_smaller():
    number = dataclasses.replace(found(0.04, 0.01, 100), common=0.03)
    alone, shared = judge([found(0.04, 0.01, 100), number], [Limits(0.0, 0.1)] * 2)
    assert alone.verdict == "reproduced"
    assert (shared.verdict, shared.wanted) == ("cannot be told", None)
    assert "stars that all have in common" in shared.why
    outside = dataclasses.replace(found(0.2, 0.01, 100), common=0.2)
    assert judge([outside], [Limits(0.0, 0.1)])[0].verdict == "cannot be told"
    some = judge([dataclasses.replace(number, common=0.009, mcse=0.03)], [Limits(0.0, 0.1)])[0]
    error = 0.04 / (1.6604 + 1.2816)  # of which the mean is likely to be shown to be inside
    assert some.wanted == pytest.approx(100 * 0.03**2 / (error**2 - 0.009**2), rel=1e-3)


def test_what_is_at_the_limit_is_told_by_no_number():
    judged = one(0.1 - 1e-9, 0.01, 0.0, 0.1)
    assert (judged.verdict, judged.wanted) == ("cannot be told", None)


# ---------------------------------------------------------------------------------- what is read


@pytest.fixture
def results(tmp_path):
    """Two estimators in two cells; the second is 0.15 high and of another scatter, the far cell 0.05 lower."""
    rng = seeded(20261131)
    z, own = rng.standard_normal((2, 60))
    frames = [
        synthetic.rows(rng, 60, cell, name, quantity, bin, r, truth, z=z + own, **made)
        for cell, low in (("base", 0.0), ("far", -0.05))
        for name, made in (
            ("first", {"offset": low, "sigma": 0.1}),
            ("second", {"offset": low + 0.15, "sigma": 0.2}),
        )
        for quantity, truth in (("enclosed_mass", 2e11), ("mean_v_theta", 10.0))
        for bin, r in ((0, 20.0), (1, 50.0))
    ]
    frame = pd.concat(frames)
    return synthetic.write(tmp_path, frame, synthetic.runs_of(frame))


def read(results, **settings):
    return make_statistic(settings, "statistic").read(results)


def errors(results, cell, estimator, quantity="enclosed_mass", bin=1):
    frame = pd.read_parquet(results.estimates_files[0])
    keys = {"cell": cell, "estimator": estimator, "quantity": quantity, "bin": bin}
    for name, value in keys.items():
        frame = frame[frame[name] == value]
    e = frame["value"] - frame["truth"]
    return (e / frame["truth"] if quantity == "enclosed_mass" else e).to_numpy()


ROW = {"quantity": "enclosed_mass", "estimator": "second", "cell": "far", "r": 47.0}


@pytest.mark.parametrize("name", ["bias", "scatter", "rmse", "coverage68", "error_ratio"])
def test_a_score_is_that_of_the_table(results, name):
    table = score(results).query("cell == 'far' and estimator == 'second' and bin == 1")
    row = table[table["quantity"] == "enclosed_mass"].iloc[0]
    got = read(results, kind="score", score=name, **ROW)
    assert (got.value, got.mcse, got.n, got.r) == (row[name], row[f"{name}_mcse"], 60, 50.0)
    assert got.form == ("plain" if name in ("coverage68", "error_ratio") else "error")


@pytest.mark.parametrize("name", ["shift", "log_change"])
def test_a_pair_is_that_of_the_table(results, name):
    table = paired(results, "base").query("estimator == 'second' and bin == 1")
    row = table[table["quantity"] == "enclosed_mass"].iloc[0]
    got = read(results, kind="pair", difference=name, **ROW)
    assert (got.value, got.mcse, got.n) == (row[name], row[f"{name}_mcse"], 60)


BOTH = [{"estimator": "first", "cell": "base"}, {"estimator": "second", "cell": "base"}]


@pytest.mark.parametrize("measure", ["bias", "scatter", "stated", "error_ratio"])
def test_a_weighted_mean_has_the_weights_of_stated_errors(results, measure):
    frame = pd.read_parquet(results.estimates_files[0])
    frame = frame[(frame["quantity"] == "enclosed_mass") & (frame["bin"] == 1)]
    other = [BOTH[0], {"estimator": "second", "cell": "far"}]
    for rows, roll in ((BOTH, 0), (other, 1)):
        parts = [
            frame[(frame["estimator"] == row["estimator"]) & (frame["cell"] == row["cell"])]
            for row in rows
        ]
        e = np.array([(x["value"] / x["truth"] - 1.0).to_numpy() for x in parts])
        half = np.array([(0.5 * (x["hi68"] - x["lo68"]) / x["truth"]).to_numpy() for x in parts])
        e[1], half[1] = np.roll(e[1], roll), np.roll(half[1], roll)  # of other stars
        mean = np.average(e, axis=0, weights=half**-2)
        stated = ((half**-2).sum(axis=0) ** -0.5).mean()
        wanted = {
            "bias": mean.mean(),
            "scatter": mean.std(ddof=1),
            "stated": stated,
            "error_ratio": np.log(stated / mean.std(ddof=1)),
        }
        of = [{**row, "r": 47.0} for row in rows]
        got = read(results, kind="weighted-mean", quantity="enclosed_mass", of=of, measure=measure)
        assert (got.value, got.n) == (pytest.approx(wanted[measure], rel=1e-9), 60)
        if measure == "bias":
            assert got.mcse == pytest.approx(mean.std(ddof=1) / math.sqrt(60), rel=1e-9)
        elif measure == "scatter":  # of Gaussian numbers
            assert got.mcse == pytest.approx(mean.std(ddof=1) / math.sqrt(118), rel=0.5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"of": BOTH[:1]}, "needs two different rows"),
        ({"of": [BOTH[0], BOTH[0]]}, "needs two different rows"),
        ({"of": BOTH, "measure": "rmse"}, "unknown measure 'rmse'"),
        ({"of": BOTH, "cell": "far"}, "belong to each row"),
    ],
)
def test_a_weighted_mean_of_nothing_is_refused(settings, message):
    with pytest.raises(InputError, match=message):
        make_statistic(
            {"kind": "weighted-mean", "quantity": "enclosed_mass", **settings}, "statistic"
        )


def test_a_comparison_of_estimators_is_by_realisation(results):
    got = read(results, kind="comparison", against={"estimator": "first"}, **ROW)
    e = errors(results, "far", "second") - errors(results, "far", "first")
    assert got.value == pytest.approx(e.mean(), rel=1e-12)
    assert got.mcse == pytest.approx(e.std(ddof=1) / math.sqrt(60), rel=1e-12)
    wider = read(
        results, kind="comparison", measure="scatter", against={"estimator": "first"}, **ROW
    )
    ratio = errors(results, "far", "second").std(ddof=1) / errors(results, "far", "first").std(
        ddof=1
    )
    assert (wider.value, wider.form) == (pytest.approx(math.log(ratio), rel=1e-9), "log")


def test_cells_with_other_random_numbers_are_not_compared_by_realisation(results):
    alike = read(results, kind="comparison", against={"cell": "base"}, **ROW)
    results.unpaired.append("far")
    other = read(results, kind="comparison", against={"cell": "base"}, **ROW)
    assert other.value == pytest.approx(alike.value)
    assert other.mcse > 100.0 * alike.mcse


def test_estimates_themselves_are_compared_positive_scales_in_the_logarithm(results):
    row = {**ROW, "quantity": "mean_v_theta"}
    against = {"estimator": "first", "r": 20.0}
    got = read(results, kind="comparison", measure="estimate", against=against, **row)
    far = errors(results, "far", "second", "mean_v_theta")
    first = errors(results, "far", "first", "mean_v_theta", bin=0)
    assert got.value == pytest.approx((far - first).mean(), rel=1e-9)  # the truths are equal
    got = read(results, kind="comparison", measure="estimate", against=against, **ROW)
    far, first = errors(results, "far", "second"), errors(results, "far", "first", bin=0)
    logs = np.log((1.0 + far) / (1.0 + first))
    assert (got.value, got.form) == (pytest.approx(logs.mean(), rel=1e-9), "log")
    assert got.mcse == pytest.approx(logs.std(ddof=1) / math.sqrt(60), rel=1e-9)


def test_a_mean_estimate_needs_no_truth_and_angles_have_none(results):
    frame = pd.read_parquet(results.estimates_files[0])
    values = 2e11 * (1.0 + errors(results, "far", "second"))
    values[:4] = np.nan
    mine = (frame["quantity"] == "enclosed_mass") & (frame["bin"] == 1)
    mine &= (frame["cell"] == "far") & (frame["estimator"] == "second")
    frame.loc[mine, "truth"], frame.loc[mine, "value"] = np.nan, values
    frame.to_parquet(results.estimates_files[0], index=False)
    got = read(results, kind="estimate", **ROW)
    known = values[4:]
    assert (got.form, got.unit, got.n, got.n_lost) == ("value", "Msun", 56, 4)
    assert got.value == pytest.approx(known.mean(), rel=1e-12)
    assert got.mcse == pytest.approx(known.std(ddof=1) / math.sqrt(56), rel=1e-12)
    results.quantities["enclosed_mass"] = dataclasses.replace(
        results.quantities["enclosed_mass"], scale="angle"
    )
    with pytest.raises(InputError, match="no mean"):
        read(results, kind="estimate", **ROW)


def test_stars_in_common_are_those_of_the_cells_that_are_read(results, monkeypatch):
    """A share f of the stars: of n realisations the common error is sqrt(n f / (1 - f)) Monte Carlo errors."""
    runs = pd.read_parquet(results.runs_files[0])
    runs["overlap"] = np.where(runs["cell"] == "far", 0.2, 0.0)
    runs.to_parquet(results.runs_files[0], index=False)
    stored = [{"cell": cell, "mock": {"population": 5000}} for cell in ("base", "far")]
    described = property(lambda self: {"cells": stored})
    monkeypatch.setattr(type(results), "description", described)
    far = read(results, kind="score", **ROW)
    assert far.common == pytest.approx(math.sqrt(60 * 0.2 / 0.8) * far.mcse)
    assert read(results, kind="score", **{**ROW, "cell": "base"}).common == 0.0
    both = read(results, kind="comparison", against={"cell": "far"}, **{**ROW, "cell": "base"})
    assert both.common == pytest.approx(math.sqrt(60 * 0.2 / 0.8) * both.mcse)


@pytest.mark.parametrize("factor", ["x", "quadrature", "together"])
def test_a_line_of_a_budget_is_that_of_the_command(tmp_path, factor):
    made = synthetic_budget.results(tmp_path, seeded(5))
    (budget,) = budgets(made, "m200")
    wanted = {"x": next(line.sd for line in budget.lines if line.factor.label == "x")}
    wanted |= {"quadrature": budget.quadrature, "together": budget.together.sd}
    got = read(made, kind="budget", quantity="m200", factor=factor)
    assert (got.value, got.mcse) == (wanted[factor].value, wanted[factor].mcse)
    assert got.n >= 100


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"quantity": "enclosed_mas"}, ["unknown quantity 'enclosed_mas'", "'enclosed_mass'"]),
        ({"estimator": "third"}, ["unknown estimator 'third'", "first, second"]),
        ({"estimator": ""}, ["several estimators yield enclosed_mass", "first, second"]),
        ({"cell": "near"}, ["unknown cell 'near'", "base, far"]),
        ({"r": None}, ["several radii", "20, 50 kpc"]),
        ({"r": 400.0}, ["400 kpc is outside"]),
    ],
)
def test_a_row_that_is_not_there_is_refused(results, changed, words):
    with pytest.raises(InputError) as refusal:
        read(results, kind="score", **{**ROW, **changed})
    assert all(word in str(refusal.value) for word in words), refusal.value
