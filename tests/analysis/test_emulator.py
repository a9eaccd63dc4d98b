"""Emulators of responses that are known: what they predict, how well they say they know it, what they refuse."""

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from seeds import seeded

from haloassay.analysis import emulator
from haloassay.analysis.emulator import Emulator, fit
from haloassay.analysis.surface import basis, terms
from haloassay.base.errors import InputError

NAMES = ("scale", "slope", "lmc", "beta")


def polynomial(x):
    return 2.0 + x[:, 0] - 3.0 * (x[:, 1] - 0.5) ** 2 + 2.0 * x[:, 0] * x[:, 2]


def smooth(x):
    return np.exp(x[:, 0]) * (x[:, 1] - 0.3) + 0.3 / (1.0 + np.exp(-10.0 * (x[:, 2] - 0.6)))


def probability(x):
    return 1.0 / (1.0 + np.exp(-(2.0 - 3.0 * x[:, 0] + 2.0 * x[:, 1] * x[:, 2])))


def drawn(n, rng, function=polynomial, noise=0.3, replicates=1):
    x = rng.random((n, 4))
    return x, function(x)[:, None] + noise * rng.standard_normal((n, replicates))


def chances(n, rng, replicates=1):
    x = rng.random((n, 4))
    return x, (rng.random((n, replicates)) < probability(x)[:, None]).astype(float)


def test_the_basis_is_orthonormal_over_the_cube():
    nodes, weights = np.polynomial.legendre.leggauss(12)
    grid = np.stack(np.meshgrid(*[0.5 + 0.5 * nodes] * 2, indexing="ij"), axis=-1).reshape(-1, 2)
    functions = basis(grid, terms(2))
    gram = functions.T @ (np.outer(weights, weights).ravel()[:, None] / 4.0 * functions)
    np.testing.assert_allclose(gram, np.eye(len(gram)), atol=1e-10)


@pytest.mark.parametrize("factors", [1, 2, 5, 15])
def test_terms_treat_all_factors_alike_and_are_few(factors):
    degrees = terms(factors)
    assert len(degrees) <= 300
    assert not degrees[0].any()
    assert len(np.unique(degrees, axis=0)) == len(degrees)
    assert {tuple(row) for row in degrees} == {tuple(row[::-1]) for row in degrees}


def test_a_polynomial_without_noise_is_found_exactly():
    rng = seeded(1211)
    x, y = drawn(200, rng, noise=0.0)
    found = fit(x, y, NAMES)
    where = rng.random((100, 4))
    np.testing.assert_allclose(found.predict(where)[0], polynomial(where), atol=1e-3)
    assert found.q2 > 0.999
    assert not found.refused


@pytest.mark.parametrize("replicates", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_polynomial_with_noise_is_found_within_what_is_stated(replicates):
    means, squares = [], []
    for k in range(8):
        rng = seeded(1212, replicates, k)
        found = fit(*drawn(200, rng, replicates=replicates), NAMES)
        where = rng.random((100, 4))
        mean, sd = found.predict(where)
        distances = (mean - polynomial(where)) / sd
        means.append(distances.mean())
        squares.append(np.mean(distances**2))
        assert found.q2 > 0.9
    # over the points of each of eight fits the mean of squares is one, of errors none
    for of_fits, exact in ((squares, 1.0), (means, 0.0)):
        error = np.std(of_fits, ddof=1) / np.sqrt(8)
        # the error is that of eight, too: as improbable as 4 sigma
        assert abs(np.mean(of_fits) - exact) < stats.t.isf(stats.norm.sf(4.0), 7) * error


@pytest.mark.long
def test_more_points_and_replicates_make_it_better():
    errors = []
    for n, replicates in ((60, 1), (240, 1), (480, 2)):
        of_n = []
        for k in range(8):
            rng = seeded(1213, n, k)
            found = fit(*drawn(n, rng, smooth, 0.3, replicates), NAMES)
            where = rng.random((500, 4))
            of_n.append(np.mean((found.predict(where)[0] - smooth(where)) ** 2))
        errors.append(np.sqrt(np.mean(of_n)))
    # half where responses are four times as many, but for what eight fits scatter by
    assert errors[0] > 1.2 * errors[1] > 1.2**2 * errors[2]
    # two dozen coefficients of 480 points in pairs
    assert errors[2] < 0.3 * np.sqrt(24.0 / (2 * 480))


def test_pure_noise_has_no_structure():
    for k in range(4):
        rng = seeded(1214, k)
        x, y = drawn(300, rng, lambda x: 0.0 * x[:, 0], 1.0, 2)
        found = fit(x, y, NAMES)
        mean, sd = found.predict(rng.random((500, 4)))
        assert np.isnan(found.q2)
        assert not found.refused
        # a plane of five coefficients alone would have this
        assert np.sqrt(np.mean(mean**2)) < 2.0 * np.sqrt(5.0 / 600)
        assert np.mean(sd) < 0.25
        assert found.error_most < 0.5


def test_structure_that_no_surface_follows_is_refused():
    rng = seeded(1215)
    x = rng.random((300, 4))
    y = np.sin(1460.0 * x.sum(axis=1))[:, None] + 0.1 * rng.standard_normal((300, 2))
    found = fit(x, y, NAMES)
    assert found.refused.startswith("the mean response varies, and the surface predicts ")
    assert found.error > 0.6
    with pytest.raises(InputError, match="no prediction: the mean response varies"):
        found.predict(x)


@pytest.mark.parametrize(("points", "why"), [(39, "fewer than 40"), (0, "0 points")])
def test_too_few_points_are_refused(points, why):
    x, y = drawn(50, seeded(1216))
    y[points:] = np.nan
    found = fit(x, y, NAMES)
    assert why in found.refused
    assert (found.n, found.n_lost) == (points, 50 - points)
    with pytest.raises(InputError, match="points with a response"):
        found.curve("beta", [0.5])


@pytest.mark.parametrize("link", ["identity", "logit"])
def test_predictions_far_outside_are_refused(link):
    x, y = chances(100, seeded(1217))
    found = fit(x, y, NAMES, link)
    at = np.full((2, 4), 0.5)
    at[1, 2] = 1.04
    found.predict(at)
    at[1, 2] = -0.2
    with pytest.raises(InputError, match=r"lmc is 0\.2 of its range outside"):
        found.predict(at)
    at[1, 2] = np.nan
    with pytest.raises(InputError, match="lmc"):
        found.predict(at)


@pytest.mark.parametrize("link", ["identity", "logit"])
def test_plain_data_are_read_as_they_were(link):
    rng = seeded(1218)
    x, y = chances(300, rng, 2)
    found = fit(x, y, NAMES, link)
    read = Emulator.from_data(json.loads(json.dumps(found.to_data(), allow_nan=False)))
    where = rng.random((50, 4))
    np.testing.assert_array_equal(read.predict(where), found.predict(where))
    np.testing.assert_array_equal(read.scatter(where), found.scatter(where))
    np.testing.assert_array_equal(read.curve("slope", [0.1, 0.9]), found.curve("slope", [0.1, 0.9]))
    assert (read.names, read.n, read.error, read.refused) == (NAMES, 300, found.error, "")
    assert read.q2 == found.q2 or (np.isnan(read.q2) and np.isnan(found.q2))


def test_a_prediction_needs_numpy_only():
    code = "import sys, haloassay.analysis.emulator; print({'scipy', 'pandas'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


@settings(max_examples=2)
@given(
    scale=st.floats(1e-3, 1e3),
    shift=st.floats(-100.0, 100.0),
    order=st.permutations(range(4)),
)
def test_units_and_the_order_of_factors_change_nothing(scale, shift, order):
    x, y = drawn(100, np.random.default_rng(3), replicates=2)
    one = fit(x, y, NAMES)
    two = fit(x[:, order], scale * y + shift, [NAMES[i] for i in order])
    where = np.random.default_rng(4).random((50, 4))
    (mean, sd), (other, other_sd) = one.predict(where), two.predict(where[:, order])
    # optima are found to a tolerance
    np.testing.assert_allclose((other - shift) / scale, mean, atol=0.05 * sd.mean())
    np.testing.assert_allclose(other_sd / scale, sd, rtol=0.05)
    assert two.error_in_noise == pytest.approx(one.error_in_noise, abs=0.02)


def test_noise_that_depends_on_a_factor_is_found_and_weighs():
    rng = seeded(1219)
    x = rng.random((800, 4))
    size = 0.2 * np.exp(3.0 * (x[:, 3] - 0.5))
    y = polynomial(x)[:, None] + size[:, None] * rng.standard_normal((800, 2))
    found = fit(x, y, NAMES)
    where = rng.random((200, 4))
    stated = found.scatter(where)[0] / (0.2 * np.exp(3.0 * (where[:, 3] - 0.5)))
    # nine coefficients of the logarithm of a variance, each known within pi / sqrt(2 * 800)
    assert np.sqrt(np.mean(np.log(stated) ** 2)) < 2.0 * 0.5 * np.sqrt(9.0 / 1600) * np.pi
    # with weights alike it would be 0.37 sqrt(15 / 1600) = 0.035, by inverse variances 0.11 sqrt(15 / 1600)
    assert np.sqrt(np.mean((found.predict(where)[0] - polynomial(where)) ** 2)) < 0.02


def test_lack_of_fit_that_replicates_show_is_part_of_what_is_stated():
    rng = seeded(1220)

    def rough(x):
        return polynomial(x) + 0.3 * np.sin(1460.0 * x.sum(axis=1))

    found = fit(*drawn(400, rng, rough, 0.1, 2), NAMES)
    where = rng.random((400, 4))
    mean, sd = found.predict(where)
    assert found.lack == pytest.approx(0.3 / np.sqrt(2.0), rel=0.2)
    assert np.mean(((mean - rough(where)) / sd) ** 2) == pytest.approx(1.0, abs=0.3)
    scatter, error = found.scatter(where)
    assert np.all(np.abs(scatter - 0.1) < 4.0 * error)
    assert np.all(error < 0.03)


@pytest.mark.long
def test_errors_at_points_left_out_are_those_at_new_points():
    left_out, new, most = [], [], []
    for k in range(8):
        rng = seeded(1221, k)
        found = fit(*drawn(100, rng, smooth, 0.1, 2), NAMES)
        where = rng.random((500, 4))
        left_out.append(found.error**2)
        new.append(np.mean((found.predict(where)[0] - smooth(where)) ** 2))
        most.append(found.error_most**2)
    # the squares are known within their scatter over fits
    error = np.std(left_out, ddof=1) / np.sqrt(8)
    assert abs(np.mean(left_out) - np.mean(new)) < 4.0 * np.hypot(error, np.std(new) / np.sqrt(8))
    assert np.mean(np.array(most) > new) > 0.6


@pytest.mark.long
@pytest.mark.parametrize("replicates", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_probabilities_are_found_and_stay_within_their_bounds(replicates):
    squares, stated = [], []
    n, fits = 300, 12
    for k in range(fits):
        rng = seeded(1222, replicates, k)
        found = fit(*chances(n, rng, replicates), NAMES, "logit")
        where = rng.random((300, 4))
        mean, sd = found.predict(where)
        squares.append(np.mean((mean - probability(where)) ** 2))
        stated.append(np.mean(sd**2))
    error = np.std(squares, ddof=1) / np.sqrt(fits)
    # fifteen coefficients, and the variance of a response is a fifth
    assert np.mean(squares) < 0.2 * 15.0 / (n * replicates) + 4.0 * error
    # stated variances are 0.83 of these squares (40 fits), whose mean is known to 0.13
    assert abs(np.mean(stated) / np.mean(squares) - 0.83) < 4.0 * 0.13
    corners = np.array([[1.05, -0.05, -0.05, 0.5], [-0.05, 1.05, 1.05, 0.5]])
    mean, sd = found.predict(corners)
    assert np.all((mean > 0.0) & (mean < 1.0) & (sd < 0.5))


@pytest.mark.parametrize("all_of_them", [0.0, 1.0])
def test_intervals_that_always_or_never_cover(all_of_them):
    x = seeded(1223).random((200, 4))
    found = fit(x, np.full(200, all_of_them), NAMES, "logit")
    mean, sd = found.predict(x)
    assert np.all(np.abs(mean - all_of_them) < 0.02)
    assert np.all(sd < 0.03)
    assert not found.refused


def test_a_constant_response_is_predicted():
    x = seeded(1224).random((60, 4))
    found = fit(x, np.full(60, 3.3), NAMES)
    mean, sd = found.predict(x)
    np.testing.assert_allclose(mean, 3.3)
    assert not sd.any()
    assert not found.refused


def test_curves_are_means_over_the_other_factors():
    rng = seeded(1225)
    found = fit(*drawn(500, rng), NAMES)
    at = np.array([0.0, 0.3, 1.0])
    mean, sd = found.curve("scale", at)
    # E over the others: 2 + x - 3 / 12 + x
    assert np.all(np.abs(mean - (1.75 + 2.0 * at)) < 4.0 * sd)
    where = rng.random((20_000, 4))
    where[:, 0] = 0.3
    direct = found.predict(where)[0]
    assert abs(direct.mean() - mean[1]) < 4.0 * direct.std() / np.sqrt(20_000) + 0.02 * sd[1]


def test_curves_of_probabilities_are_means_over_the_other_factors():
    rng = seeded(1226)
    found = fit(*chances(500, rng, 2), NAMES, "logit")
    mean, sd = found.curve("scale", [0.2, 0.8])
    where = rng.random((20_000, 4))
    for at, value, error in zip((0.2, 0.8), mean, sd, strict=True):
        where[:, 0] = at
        assert abs(value - probability(where).mean()) < 4.0 * error
        assert abs(value - found.predict(where)[0].mean()) < 0.003


def test_rows_of_unequal_replicates_count_by_their_number():
    rng = seeded(1227)
    x, y = drawn(300, rng, replicates=3)
    y[:100, 1:] = np.nan
    y[100:150, 2] = np.nan
    y[299] = np.nan
    found = fit(x, y, NAMES)
    assert (found.n, found.n_lost) == (299, 1)
    where = rng.random((300, 4))
    mean, sd = found.predict(where)
    assert np.mean(((mean - polynomial(where)) / sd) ** 2) < 3.0


@pytest.mark.parametrize(
    ("x", "y", "link", "why"),
    [
        (np.full((50, 4), 1.5), np.zeros(50), "identity", "outside the unit cube"),
        (np.full((50, 3), 0.5), np.zeros(50), "identity", "4 factors"),
        (np.full((50, 4), 0.5), np.zeros(49), "identity", "responses"),
        (np.full((50, 4), 0.5), np.full(50, 0.5), "logit", "0 or 1"),
    ],
)
def test_bad_input_is_told(x, y, link, why):
    with pytest.raises(ValueError, match=why):
        emulator.fit(x, y, NAMES, link)
