"""Sums over the stars, made a block at a time or from weights at nodes, are those over all of them at once."""

from __future__ import annotations

import numpy as np
import pytest
from seeds import seeded

from haloassay.base.errors import EstimationError
from haloassay.contracts.catalogue import Catalogue, spans
from haloassay.estimators import make_estimator, spline_jeans
from haloassay.estimators.cells import Cells, _roots, drawn_dispersions
from haloassay.estimators.fit import ellipsoid, kurtosis, linear_field
from haloassay.estimators.fit.spline_sums import Nodes
from haloassay.estimators.fit.splines import NaturalSpline, variance_likelihood
from haloassay.estimators.gathering import packed
from haloassay.estimators.gaussian_single import Sample

N = 5001


@pytest.fixture
def few_at_a_time(monkeypatch):
    """Blocks of a hundred stars."""
    for module in (ellipsoid, kurtosis):
        monkeypatch.setattr(module, "spans", lambda n: spans(n, 100))
    monkeypatch.setattr(linear_field, "_FEW", 100)


def velocities(seed=0):
    rng = seeded(seed)
    v = rng.standard_t(6.0, (N, 3)) * [120.0, 80.0, 90.0]
    root = rng.normal(0.0, 20.0, (N, 3, 3))
    return v, root @ np.swapaxes(root, 1, 2)


def test_kurtosis_in_blocks_has_the_same_bits(request):
    v, S = velocities()
    given = v, np.diagonal(S, axis1=1, axis2=2), v.mean(axis=0), v.var(axis=0)
    whole = kurtosis.fit_kurtosis(*given)
    request.getfixturevalue("few_at_a_time")
    found = kurtosis.fit_kurtosis(*given)
    for name in ("value", "error", "gaussian_error", "noisy"):
        np.testing.assert_array_equal(getattr(found, name), getattr(whole, name))


def test_an_ellipsoid_looked_at_in_blocks_has_the_same_bits(request):
    v, S = velocities(1)
    whole = ellipsoid.fit_ellipsoid(v, S)
    request.getfixturevalue("few_at_a_time")
    found = ellipsoid.fit_ellipsoid(v, S)
    np.testing.assert_array_equal(found.covariance, whole.covariance)
    np.testing.assert_array_equal(found.error_covariance, whole.error_covariance)


def test_sums_of_a_linear_field_whose_products_are_not_kept_have_the_same_bits(request):
    v, S = velocities(2)
    X = seeded(3).normal(size=(N, 2, 4))
    sigma = np.array([[80.0, 90.0], [120.0, 100.0]])
    both = linear_field.Channel(v[:, :2], X, S[:, :2, :2])
    one = linear_field.Channel(v[:, :1], X[:, :1], S[:, :1, :1])
    whole = linear_field.sums(both, sigma), linear_field.sums(one, sigma[:, :1])
    request.getfixturevalue("few_at_a_time")
    again = linear_field.Channel(both.y, both.X, both.E), linear_field.Channel(one.y, one.X, one.E)
    np.testing.assert_array_equal(linear_field.sums(again[0], sigma), whole[0])
    np.testing.assert_array_equal(linear_field.sums(again[1], sigma[:, :1]), whole[1])


def test_a_sample_of_rows_is_that_part_of_the_sample():
    v, _ = velocities(4)
    columns = {"x": v[:, 1], "y": v[:, 2], "z": v[:, 0] + 1.0}
    columns |= {f"v{k}": v[:, i] for i, k in enumerate("xyz")} | {"feh": v[:, 0] / 100.0}
    columns |= {"vx_err": np.full(N, 9.0), "feh_err": np.full(N, 0.1)}
    catalogue = Catalogue(columns)
    rows = np.arange(3, N, 7)
    whole = Sample.of(catalogue)
    (found,) = Sample.of_rows(catalogue, [rows])
    np.testing.assert_array_equal(found.x, whole.x[:, rows])
    np.testing.assert_array_equal(found.e2, whole.e2[:, rows])


def test_roots_may_stand_in_the_place_of_the_covariances():
    v, full = velocities(5)
    cells = Cells.of_numbers(np.arange(N) % 7, 7)
    S = packed(full)
    kept = S.copy()
    expected = drawn_dispersions(v, S, cells, 5, 0.1, seeded(6))
    np.testing.assert_array_equal(S, kept)
    found = drawn_dispersions(v, S, cells, 5, 0.1, seeded(6), in_place=True)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(S, packed(_roots(full)))


def stars(error, seed=0, n=4000):
    """Galactocentric stars from 3 to 100 kpc, with errors of their velocities from nearly none to ``error`` [km/s]."""
    rng = seeded(seed)
    r = np.exp(rng.uniform(np.log(3.0), np.log(100.0), n))
    direction = rng.normal(size=(n, 3))
    x = r[:, None] * direction / np.linalg.norm(direction, axis=1)[:, None]
    stated = error * rng.uniform(0.0, 1.0, (n, 3)) ** 2
    v = rng.normal(size=(n, 3)) * 150.0 * (r / 20.0)[:, None] ** -0.3
    v += stated * rng.normal(size=(n, 3))
    columns = dict(zip(("x", "y", "z", "vx", "vy", "vz"), [*x.T, *v.T], strict=True))
    columns |= {f"v{k}_err": stated[:, i] for i, k in enumerate("xyz")}
    return Catalogue(columns)


@pytest.mark.parametrize("error", [0.0, 1.0, 60.0, 400.0])
@pytest.mark.parametrize(
    "settings",
    [{"alpha": "measured"}, {"alpha": -3.5, "knots": [5.0, 10.0, 40.0], "stiffness": -20.0}],
)
def test_splines_fitted_at_nodes_are_those_of_the_stars_within_a_thousandth_of_their_errors(
    error, settings, monkeypatch
):
    method = make_estimator({"kind": "spline-jeans", **settings})
    catalogue = stars(error)
    expected = [*method.estimate(catalogue, seeded(1))]
    monkeypatch.setattr(spline_jeans, "MANY", 1)
    found = [*method.estimate(catalogue, seeded(1))]
    assert sum(not row.note for row in expected) > 12
    for a, b in zip(found, expected, strict=True):
        assert (a.quantity, a.note) == (b.quantity, b.note)
        if not b.note:
            width = 0.5 * (b.hi68 - b.lo68)
            for name in ("value", "lo68", "hi68", "lo95", "hi95"):
                # a search for the maximum ends where a step would gain less than 1e-8: 1.4e-4 of an error
                assert abs(getattr(a, name) - getattr(b, name)) < 5e-4 * width


def test_the_likelihood_at_nodes_its_score_and_information_are_sums_over_the_stars():
    rng = seeded(8)
    x, noise = rng.uniform(0.0, 4.0, 3000), np.exp(rng.uniform(0.0, 12.0, (3000, 2)))
    square = rng.chisquare(1, (3000, 2)) * (1e4 + noise)
    spline = NaturalSpline(np.array([0.5, 1.5, 2.0, 3.3]))
    c = np.array([9.5, 9.0, 9.2, 8.0])
    stars = variance_likelihood(spline.design(x), square, noise, np.ones(3000))(c)
    nodes = Nodes.of(x, square, noise, spline.knots).likelihood(spline)(c)
    for a, b in zip(nodes, stars, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-7 * np.abs(b).max())


def test_errors_too_large_for_their_squares_are_refused_at_nodes():
    one = np.ones((3, 1))
    with pytest.raises(EstimationError, match="too large"):
        Nodes.of(np.array([0.0, 1.0, 2.0]), one, one * 1e40, np.array([0.2, 1.0, 1.8]))
