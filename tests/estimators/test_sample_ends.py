"""Samples that do not end at their innermost and outermost star: one stray, and a mass normalised over empty space."""

from __future__ import annotations

import action_samples
import hypothesis.strategies as st
import numpy as np
import pytest
import roulette_samples
from halo_samples import power_law_radii
from hypothesis import given
from seeds import seeded

from haloassay.base.errors import EstimationError
from haloassay.contracts.catalogue import Catalogue
from haloassay.estimators import make_estimator
from haloassay.estimators.bins import check_ends, gap_chances

EDGES = (20.0, 60.0)
INSIDE = "the innermost star, at 1 kpc, is far from all others, from {:.3g} kpc on"
OUTSIDE = "the outermost star, at 400 kpc, is far from all others, out to {:.3g} kpc"

#: Settings that take the sample for complete between its innermost and outermost star, and what states these.
TAKEN = {
    "hierarchical-df": ({"r_out": [30.0], "n_draws": 100}, "r_range"),
    "action-df": ({"r_out": [30.0], "n_draws": 100}, "r_range"),
    "orbital-roulette": ({"r_out": [30.0], "n_draws": 100}, "r_range"),
    "spline-jeans": ({"alpha": "measured", "r": [30.0], "n_draws": 100}, "r_range"),
    "nfw-tracer": ({"alpha": -3.5, "beta": 0.3, "r_out": [30.0], "n_bootstrap": 20}, "r_range"),
    "tracer-mass": ({"alpha": -3.5, "beta": 0.3, "shape": {"r_s": 17.0}}, "bins"),
}
#: Settings of the same whose result does not depend on where the sample ends.
FREE = {
    "hierarchical-df": {"density": "conditional"},
    "action-df": {"position": "given"},
    "spline-jeans": {"alpha": -3.5},
    "nfw-tracer": {"normalisation": "likelihood"},
    "tracer-mass": {"shape": "scale-free"},
}


@pytest.fixture(scope="module")
def sample():
    return action_samples.stars(600, seeded(1), EDGES)


def with_star(stars, r):
    """The same stars, and one more at a radius, of a usual velocity."""
    speed = np.array([80.0])
    more = roulette_samples.catalogue_of(np.array([r]), speed, 1.4 * speed, seeded(2))
    return Catalogue.from_arrays(
        **{name: np.append(stars.columns[name], more.columns[name]) for name in more.columns}
    )


def rows_of(kind, stars, **more):
    spec = {"kind": kind, **TAKEN[kind][0], **more}
    return make_estimator(spec).estimate(stars, seeded(0)).rows


@pytest.mark.parametrize("kind", TAKEN)
@pytest.mark.parametrize(("r", "note"), [(1.0, INSIDE), (400.0, OUTSIDE)], ids=["in", "out"])
def test_a_stray_star_is_no_end_of_a_sample(sample, kind, r, note):
    stars, setting = with_star(sample, r), TAKEN[kind][1]
    note = note.format(sample.r.min() if r < EDGES[0] else sample.r.max())
    for row in rows_of(kind, stars):
        assert row.note == f"{note}: the sample does not end there: state {setting}"
        assert np.isnan(row.value)
    whole, without = rows_of(kind, stars, **{setting: EDGES}), rows_of(kind, sample)
    assert whole[0].value == pytest.approx(without[0].value, rel=0.05)
    assert not whole[0].note
    assert not without[0].note


@pytest.mark.parametrize("kind", FREE)
def test_where_ends_do_not_matter_nothing_is_refused(sample, kind):
    for row in rows_of(kind, with_star(sample, 14.0), **FREE[kind]):
        assert "far from all others" not in row.note


def test_several_strays_are_counted():
    r = power_law_radii(1000, -3.5, *EDGES, seeded(3))
    for strays, start in (
        ([1.0, 2.0, 4.0], "the 3 innermost stars, out to 4 kpc, are far from all others, from "),
        ([400.0, 200.0], "the 2 outermost stars, from 200 kpc on, are far from all others, out to"),
    ):
        with pytest.raises(EstimationError, match=start):
            check_ends(np.append(r, strays))


def cored(n, rng):
    """Plummer."""
    return 20.0 / np.sqrt(rng.random(n) ** (-2.0 / 3.0) - 1.0)


def hernquist(n, rng):
    root = np.sqrt(rng.random(n))
    return 20.0 * root / (1.0 - root)


def cut(n, rng):
    return power_law_radii(n, -3.5, *EDGES, rng)


def steep(n, rng):
    return power_law_radii(n, -7.0, *EDGES, rng)


def blurred(n, rng):
    """Cut before distances err by 15 per cent."""
    return cut(n, rng) * np.exp(0.15 * rng.standard_normal(n))


def tapered(n, rng):
    """As limits of magnitude leave them: fewer and fewer beyond 30 kpc, down to none, and at both ends."""
    r = power_law_radii(40 * n, -2.5, 3.0, 200.0, rng)
    seen = np.exp(-((r / 30.0) ** 2)) * (1.0 - np.exp(-((r / 10.0) ** 4)))
    return r[rng.random(40 * n) < seen][:n]


def clumpy(n, rng):
    """A third of the stars in twelve streams, three per cent deep."""
    r = power_law_radii(n, -3.5, 5.0, 100.0, rng)
    at = power_law_radii(12, -2.0, 5.0, 100.0, rng)
    return np.where(
        rng.random(n) < 0.33, rng.choice(at, n) * np.exp(0.03 * rng.standard_normal(n)), r
    )


def tight(n, rng):
    """Sixty per cent in thirty clusters without depth."""
    r = power_law_radii(n, -3.5, 5.0, 100.0, rng)
    at = power_law_radii(30, -2.0, 5.0, 100.0, rng)
    near = rng.choice(at, n) * np.exp(5e-4 * rng.standard_normal(n))
    return np.where(rng.random(n) < 0.6, near, r)


@pytest.mark.parametrize("law", [cored, hernquist, cut, steep, blurred, tapered, clumpy, tight])
def test_smooth_and_clumpy_samples_end_where_they_end(law):
    for n in (20, 60, 300, 3000):
        for k in range(100):
            check_ends(law(n, seeded(4, n, k)))


@given(
    st.integers(0, 2**32 - 1),
    st.integers(12, 400),
    st.floats(-3.0, 3.0),
    st.sampled_from([1.0, 15.0, 90.0, 400.0]),
)
def test_gaps_have_no_scale_and_no_order(seed, n, power, stray):
    rng = np.random.default_rng(seed)
    r = np.append(power_law_radii(n, -3.5, *EDGES, rng), stray)
    for inner in (True, False):
        wanted = gap_chances(r, inner)
        found = gap_chances(10.0**power * rng.permutation(r), inner)
        np.testing.assert_allclose(found, wanted, rtol=1e-6)


@pytest.mark.parametrize(("inner", "power"), [(True, 0.5), (False, -0.5)])
def test_the_chance_of_a_gap_is_that_of_stars_spread_evenly(inner, power):
    """In r^2 at the inner end, and r^-2 at the outer."""
    even = 100.0 + np.arange(100)
    for gap in (4.0, 20.0, 52.0, 54.0, 90.0):
        r = np.append(even, 100.0 - gap) ** power
        assert gap_chances(r, inner)[0] == pytest.approx((10.0 / (10.0 + gap)) ** 10)
        if gap > 53.1:
            with pytest.raises(EstimationError):
                check_ends(r)
        else:
            check_ends(r)
    # a gap among others that are nearly as wide is none
    assert gap_chances(np.append(even[even != 110.0], 94.1) ** power, inner)[0] == 1.0


@pytest.mark.parametrize("n", [0, 1, 11, 12, 20])
def test_few_stars(n):
    check_ends(seeded(6).uniform(1.0, 2.0, n))
    check_ends(np.ones(n))


def test_radii_that_no_power_can_be_taken_of():
    r = cut(40, seeded(7))
    check_ends(np.append(np.zeros(20), r))
    check_ends(np.append(np.full(20, 1e-200), r))
    with pytest.raises(EstimationError, match="the innermost star, at 0 kpc"):
        check_ends(np.append(cut(1000, seeded(8)), 0.0))
