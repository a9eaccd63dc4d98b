"""Comparisons of two runs: differences and errors against numpy and scipy, false alarms, and the three answers."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from seeds import seeded

from haloassay.analysis.compare import Key, Sample, Side, compare
from haloassay.analysis.measures import MEASURES
from haloassay.contracts.quantities import QUANTITIES

BY_NAME = {measure.name: measure for measure in MEASURES}
KEY = Key("base", "jeans-3d", "enclosed_mass", 0)


@pytest.fixture
def rng():
    return seeded(20270)


def sample(e, half=0.1, level=(1.0, 1.96)):
    """Realisations with these errors and stated half widths."""
    e = np.asarray(e, dtype=float)
    half = np.broadcast_to(half, e.shape).astype(float)
    inside = [np.where(np.isfinite(e), np.abs(e) <= z * half, np.nan) for z in level]
    return Sample(
        20.0, "Msun", np.arange(len(e)), e, np.where(np.isfinite(e), half, np.nan), *inside
    )


def side(*samples, catalogues="made of this"):
    """One run of these rows."""
    listed = {KEY._replace(bin=number): each for number, each in enumerate(samples)}
    return Side("run", {"base": catalogues}, listed, {("base", "jeans-3d"): 1.0}, QUANTITIES)


def row_of(comparison, measure="bias"):
    (found,) = (row for row in comparison.rows if row.measure.name == measure)
    return found


def jackknife(of, *columns):
    """Pseudo-values by leaving out each one in turn."""
    n = len(columns[0])
    whole = of(*columns)
    without = np.array([of(*(np.delete(c, i) for c in columns)) for i in range(n)])
    return n * whole - (n - 1) * without


SCORES = {
    "bias": lambda e, half: e.mean(),
    "scatter": lambda e, half: np.log(e.std(ddof=1)),
    "error_ratio": lambda e, half: np.log(half.mean() / e.std(ddof=1)),
}


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize("paired", [True, False])
def test_differences_and_their_errors_are_those_of_a_jackknife_by_hand(rng, name, paired):
    e = rng.lognormal(0.0, 0.5, 40)
    f, half = 1.1 * e + 0.02 * rng.standard_normal(40), rng.uniform(0.5, 0.7, (2, 40))
    found = BY_NAME[name].moved(sample(e, half[0]), sample(f, half[1]), paired)
    before, after = (jackknife(SCORES[name], *part) for part in ((e, half[0]), (f, half[1])))
    assert found.difference == pytest.approx(SCORES[name](f, half[1]) - SCORES[name](e, half[0]))
    if paired:
        expected = np.std(after - before, ddof=1) / math.sqrt(40)
    else:
        expected = math.hypot(*(np.std(x, ddof=1) / math.sqrt(40) for x in (before, after)))
        test = stats.ttest_ind(after, before, equal_var=False)
        assert found.p == pytest.approx(test.pvalue, rel=1e-6) or name != "bias"
    assert found.mcse == pytest.approx(expected, rel=1e-9)


def test_shares_of_the_same_catalogues_are_judged_by_those_that_changed(rng):
    e = rng.standard_normal(200)
    narrow = BY_NAME["coverage68"].moved(sample(e, 1.0), sample(e, 0.8), paired=True)
    lost = int(((np.abs(e) > 0.8) & (np.abs(e) <= 1.0)).sum())
    assert narrow.difference == pytest.approx(-lost / 200)
    assert narrow.p == pytest.approx(stats.binomtest(0, lost).pvalue)
    assert narrow.mcse == pytest.approx(math.sqrt(lost - lost**2 / 200) / 200)


def test_shares_of_other_catalogues_are_judged_with_the_errors_of_both(rng):
    before, after = sample(rng.standard_normal(300), 1.0), sample(rng.standard_normal(200), 0.6)
    found = BY_NAME["coverage68"].moved(before, after, paired=False)
    table = [[int(s.in68.sum()), int((1 - s.in68).sum())] for s in (before, after)]
    assert found.p == pytest.approx(stats.chi2_contingency(table).pvalue)


def test_a_wrong_constant_shows_although_it_is_within_the_noise_of_either_side(rng):
    """1 per cent in G, with a scatter of 20 per cent and 40 realisations."""
    ratio = rng.lognormal(0.0, 0.2, 40)
    found = row_of(compare(side(sample(ratio - 1.0)), side(sample(1.01 * ratio - 1.0))))
    assert (found.answer, found.paired) == ("moved", True)
    assert found.difference == pytest.approx(0.01 * ratio.mean())
    apart = compare(side(sample(ratio - 1.0)), side(sample(1.01 * ratio - 1.0), catalogues="other"))
    assert row_of(apart).answer == "cannot tell"
    assert apart.unpaired == ("base",)


def test_another_seed_of_a_bootstrap_is_the_same(rng):
    e = 0.2 * rng.standard_normal(100)
    jitter = 0.02 * rng.standard_normal(100)
    found = compare(side(sample(e, 0.2)), side(sample(e + jitter, 0.2)))
    assert row_of(found).answer == "same"
    assert not found.has_moved


def test_numbers_that_differ_by_rounding_are_the_same_however_few_they_are(rng):
    e = 0.2 * rng.standard_normal(5)
    found = compare(side(sample(e)), side(sample(e * (1.0 + 1e-6))))
    assert {row.answer for row in found.rows} == {"same"}
    far = compare(side(sample(e)), side(sample(e + 1.0)))
    assert row_of(far).answer == "cannot tell"
    assert row_of(far).wanted == 10


@pytest.mark.long
def test_false_alarms_come_at_the_stated_rate_and_what_is_the_same_is_so(rng):
    """Of 120 comparisons of five rows each, at a rate of 0.2 that anything of one has moved."""
    alarms, close = 0, 0
    for _ in range(120):
        e = rng.lognormal(0.0, 0.4, (5, 40))
        paired = rng.uniform() < 0.5
        f = 0.8 * e + 0.2 * rng.lognormal(0.0, 0.4, (5, 40))  # the same mean
        shifted = e[0] + 0.1 * e[0].std(ddof=1) + 0.3 * (rng.standard_normal(40))
        f = f if paired else rng.lognormal(0.0, 0.4, (5, 40))
        other = "made of this" if paired else "other"
        found = compare(side(*map(sample, e)), side(*map(sample, f), catalogues=other), alpha=0.2)
        biases = [row for row in found.rows if row.measure.name == "bias"]
        alarms += any(row.answer == "moved" for row in biases)
        at_margin = compare(side(sample(e[0])), side(sample(shifted)))
        close += row_of(at_margin).answer == "same"
    assert alarms / 120 < 0.2 + 4.0 * math.sqrt(0.2 * 0.8 / 120)
    assert close / 120 < 0.05 + 4.0 * math.sqrt(0.05 * 0.95 / 120)


def test_as_many_realisations_as_are_asked_for_tell(rng):
    e = rng.standard_normal(40)
    jitter = rng.standard_normal(40)
    jitter -= jitter.mean()
    found = row_of(compare(side(sample(e)), side(sample(e + 0.5 * jitter))))
    assert found.answer == "cannot tell"
    n = found.wanted
    assert n > 40
    noise = rng.standard_normal((2, n))
    again = row_of(
        compare(side(sample(noise[0])), side(sample(noise[0] + 0.5 * (noise[1] - noise[1].mean()))))
    )
    assert again.answer == "same"


def test_failures_are_compared_and_pairs_are_of_values_on_both_sides(rng):
    e = rng.standard_normal(60)
    holes = np.where(np.arange(60) < 30, np.nan, e)
    found = compare(side(sample(e)), side(sample(holes)))
    assert row_of(found, "success").answer == "moved"
    assert row_of(found).answer == "same"
    assert row_of(found).n == 30


def test_an_angle_goes_the_short_way_round():
    key = KEY._replace(quantity="apex_l")
    before = Side(
        "old", {"base": "x"}, {key: sample(np.linspace(178.0, 179.9, 20))}, {}, QUANTITIES
    )
    after = replace(before, samples={key: sample(np.linspace(-181.0 + 0.1, -179.1 + 0.1, 20))})
    assert row_of(compare(before, after)).difference == pytest.approx(1.1)


def test_rows_of_one_side_only_are_named_and_a_lost_one_counts(rng):
    e = sample(rng.standard_normal(20))
    found = compare(side(e, e), side(e))
    assert found.gone == (KEY._replace(bin=1),)
    assert found.has_moved
    found = compare(side(e), side(e, e))
    assert found.added == (KEY._replace(bin=1),)
    assert not found.has_moved


def test_what_has_no_scatter_on_one_side_has_moved(rng):
    e = rng.standard_normal(20)
    found = compare(side(sample(e)), side(sample(np.full(20, e.mean()))))
    assert row_of(found, "scatter").answer == "moved"
    assert row_of(found).answer == "cannot tell"
