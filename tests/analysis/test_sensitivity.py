"""Sobol' indices of noisy responses beside exact ones, and what must not move them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from known_functions import known_g, known_ishigami, points, responses
from scipy.stats import sobol_indices as scipy_indices
from seeds import seeded

from haloassay.analysis.sensitivity import FEWEST, SobolIndices, sobol_indices

KNOWN = [known_ishigami(), known_g()]
REPEATS = 60


def indices(f, seed=1, **options) -> SobolIndices:
    return sobol_indices(f[0], f[1], f[2:], seeded(seed), **options)


def values(found):
    return np.concatenate([found.first.value, found.total.value, found.pairs.value.ravel()])


def exact(known):
    pairs = np.where(np.eye(len(known.first), dtype=bool), np.nan, known.pairs)
    return np.concatenate([known.first, known.total, pairs.ravel()])


def repeated(known, rows, replicates, noise, **options):
    return [
        indices(
            responses(known, rows, replicates, noise, seeded(1201, rows, replicates, k)),
            k,
            **options,
        )
        for k in range(REPEATS)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.name)
@pytest.mark.parametrize(
    ("replicates", "noise"),
    [(1, "none"), (1, "equal"), (2, "equal"), (2, "depends"), (3, "depends")],
)
def test_means_over_repeats_are_the_exact_indices(known, replicates, noise):
    found = repeated(known, 1024, replicates, noise, resamples=2)
    rows = np.array([values(one) for one in found])
    error = rows.std(axis=0, ddof=1) / np.sqrt(REPEATS)
    known_ones = ~np.isnan(exact(known))
    pulls = (rows.mean(axis=0) - exact(known))[known_ones] / error[known_ones]
    assert np.abs(pulls).max() < 4.0
    variance = np.array([one.variance.value for one in found])
    assert abs(variance.mean() - known.variance) < 4.0 * variance.std(ddof=1) / np.sqrt(REPEATS)


def test_noise_that_depends_on_a_factor_is_in_indices_of_one_replicate_only():
    """Had squares of one and the same replicate been taken, factor 6 of the g-function would seem to matter."""
    known = known_g()
    rng = seeded(1202)
    x = points(4096, 6, rng)
    z = np.sqrt(known.variance) * rng.standard_normal((4096, 2))
    f = known.function(x)[..., None] + 2.0 * x[..., 5:] * z
    both, one = indices(f), indices(f[..., :1])
    assert abs(both.total.value[5] - known.total[5]) < 4.0 * both.total.error[5]
    # V_{x omega} = 4 V var(x_6), all of it with factor 6
    expected = (known.total[5] + 4.0 / 12.0) / (1.0 + 4.0 / 12.0)
    assert abs(one.total.value[5] - expected) < 4.0 * one.total.error[5]
    assert one.total.value[5] - known.total[5] > 10.0 * one.total.error[5]


def test_noise_of_no_common_numbers_is_in_no_index_of_two_replicates():
    known = known_ishigami()
    rng = seeded(1203)
    x = points(4096, 3, rng)
    f = known.function(x)[..., None] + 5.0 * rng.standard_normal((5, 4096, 2))
    found = indices(f)
    assert np.all(np.abs(found.first.value - known.first) < 4.0 * found.first.error)
    assert np.all(np.abs(found.total.value - known.total) < 4.0 * found.total.error)
    assert abs(found.noise_variance - 25.0) < 4.0 * 25.0 * np.sqrt(2.0 / (5 * 4096))


@pytest.mark.slow
@pytest.mark.parametrize("level", [0.68, 0.95])
@pytest.mark.parametrize(("replicates", "noise"), [(1, "none"), (2, "depends")])
def test_intervals_cover_at_their_level(level, replicates, noise):
    known = known_ishigami()
    found = repeated(known, 256, replicates, noise, level=level, resamples=300)
    inside = np.array(
        [
            [
                (one.first.lo <= known.first) & (known.first <= one.first.hi),
                (one.total.lo <= known.total) & (known.total <= one.total.hi),
            ]
            for one in found
        ]
    )
    shares = inside.reshape(REPEATS, -1).mean(
        axis=1
    )  # of one design, which its indices have in common
    assert abs(shares.mean() - level) < 4.0 * shares.std(ddof=1) / np.sqrt(REPEATS)


def test_standard_errors_are_the_scatter_of_repeats():
    found = repeated(known_g(), 512, 2, "equal", resamples=2)
    scatter = np.std([one.first.value for one in found], axis=0, ddof=1)
    stated = np.mean([one.first.error for one in found], axis=0)
    assert np.all(np.abs(stated / scatter - 1.0) < 4.0 / np.sqrt(2.0 * REPEATS))


def test_without_noise_the_indices_are_those_of_scipy_within_their_errors():
    known = known_ishigami()
    f = responses(known, 4096, 1, "none", seeded(1204))
    found = indices(f)
    plain = scipy_indices(
        func={"f_A": f[0, :, 0][None], "f_B": f[1, :, 0][None], "f_AB": f[2:, :, 0][:, None]},
        n=4096,
    )
    # scipy's scatter is larger than what is stated here, up to twice
    assert np.all(np.abs(found.first.value - plain.first_order) < 8.0 * found.first.error)
    assert np.all(np.abs(found.total.value - plain.total_order) < 8.0 * found.total.error)


@given(
    scale=st.floats(1e-6, 1e6),
    shift=st.floats(-1e3, 1e3),
    negative=st.booleans(),
    replicates=st.integers(1, 3),
)
def test_scale_and_shift_of_the_response_change_nothing(scale, shift, negative, replicates):
    f = responses(known_g(), 64, replicates, "depends", np.random.default_rng(7))
    factor = -scale if negative else scale
    one, two = indices(f, resamples=20), indices(factor * (f + shift), resamples=20)
    np.testing.assert_allclose(values(two), values(one), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(two.first.lo, one.first.lo, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(two.variance.value, factor**2 * one.variance.value, rtol=1e-5)


@given(order=st.permutations(range(6)), replicates=st.integers(1, 2))
def test_factors_in_another_order_have_the_same_indices(order, replicates):
    f = responses(known_g(), 64, replicates, "equal", np.random.default_rng(8))
    one = indices(f, resamples=20)
    two = indices(np.concatenate([f[:2], f[2:][order]]), resamples=20)
    np.testing.assert_allclose(two.first.value, one.first.value[order], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(two.total.lo, one.total.lo[order], rtol=1e-9, atol=1e-12)
    square = one.pairs.value[np.ix_(order, order)]
    np.testing.assert_allclose(two.pairs.value, square, rtol=1e-9, atol=1e-12)


def test_b_in_the_place_of_a_has_the_same_variance_and_exact_indices():
    """With B_A^i for A_B^i, the design is one as good."""
    known = known_ishigami()
    rng = seeded(1205)
    a, b = rng.random((2, 4096, 3))
    mixed = [np.where(np.arange(3) == i, a, b) for i in range(3)]
    other = known.function(np.stack([b, a, *mixed]))[..., None]
    found = indices(other)
    assert np.all(np.abs(found.first.value - known.first) < 4.0 * found.first.error)
    assert np.all(np.abs(found.total.value - known.total) < 4.0 * found.total.error)


@given(
    lost=st.sets(st.tuples(st.integers(0, 7), st.integers(0, 99), st.integers(0, 1)), max_size=60)
)
def test_rows_that_lack_a_value_count_nowhere(lost):
    f = responses(known_g(), 100, 2, "equal", np.random.default_rng(9))
    with_gaps = f.copy()
    for place in lost:
        with_gaps[place] = np.nan
    gone = sorted({row for _, row, _ in lost})
    found, kept = (
        indices(with_gaps, resamples=20),
        indices(np.delete(f, gone, axis=1), resamples=20),
    )
    assert (found.n, found.n_lost) == (100 - len(gone), len(gone))
    np.testing.assert_array_equal(values(found), values(kept))
    np.testing.assert_array_equal(found.total.hi, kept.total.hi)


@pytest.mark.parametrize("noise", ["equal", "depends"])
def test_pure_noise_has_no_shares(noise):
    said = []
    for k in range(100):
        rng = seeded(1206, k)
        x, z = points(64, 4, rng), rng.standard_normal((64, 2))
        size = np.ones_like(x[..., :1]) if noise == "equal" else 0.5 + x[..., :1]
        found = indices(5.0 + size * z, resamples=20)
        said.append(found.reason)
        assert bool(found.reason) == bool(np.isnan(found.first.value).all())
        assert np.isfinite(found.variance.value)
    # 3 standard errors, of 64 rows
    assert sum(why == "" for why in said) <= 3
    if noise == "equal":  # cancels in differences: nothing is left but rounding
        assert set(said) == {"the mean response does not vary"}


def test_too_few_rows_are_told():
    f = responses(known_g(), FEWEST - 1, 2, "equal", seeded(1207))
    found = indices(f)
    assert found.reason == f"{FEWEST - 1} rows with all values, fewer than {FEWEST}"
    assert np.isnan(found.total.value).all()
    assert found.pairs.value.shape == (6, 6)


def test_shapes_that_do_not_fit_are_refused():
    f = responses(known_g(), 64, 2, "equal", seeded(1208))
    with pytest.raises(ValueError, match="rows, replicates"):
        sobol_indices(f[0], f[1, :-1], f[2:], seeded(1))
    with pytest.raises(ValueError, match="rows, replicates"):
        sobol_indices(f[0, :, 0], f[1, :, 0], f[2:, :, 0], seeded(1))
