from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from gaussian_samples import (
    LI2026,
    THREE,
    THREE_SHARES,
    catalogue_of,
    stars_of,
    stars_of_three,
)
from scipy.special import logsumexp
from scipy.stats import norm
from seeds import seeded

from haloassay.base.cache import plain_content
from haloassay.base.errors import InputError
from haloassay.estimators import make_estimator
from haloassay.estimators.fit.components import (
    ComponentsPosterior,
    by_metallicity,
    components_log_likelihood,
    components_memberships,
    components_step,
    joined,
    shares_of,
)
from haloassay.estimators.fit.ellipsoid import anisotropy
from haloassay.estimators.fit.mixture import mixture_derivatives, mixture_log_likelihood
from haloassay.estimators.gaussian_mixture import ThreeComponents
from haloassay.estimators.gaussian_single import GaussianPrior

TRUTH = joined(THREE, THREE_SHARES)
NAMES = ("mean_v_r", "mean_v_theta", "mean_v_phi", "feh_mean")
NAMES += ("sigma_r", "sigma_theta", "sigma_phi", "feh_sigma")


def rows_of(sample, seed, **spec):
    estimator = make_estimator({"kind": "gaussian-mixture", "components": 3, **spec})
    return estimator, estimator.estimate(catalogue_of(sample, seeded(seed)), seeded(seed))


@pytest.fixture(scope="module")
def three():
    return rows_of(stars_of_three(6000, seeded(1)), 1)


def test_likelihood_is_that_of_scipy():
    sample = stars_of_three(300, seeded(2))
    points = np.clip(TRUTH * (1.0 + 0.1 * seeded(3).standard_normal((3, 26))), -np.inf, 1e9)
    for point, found in zip(
        points, components_log_likelihood(sample.x, sample.e2, points, 3), strict=True
    ):
        parts, shares = point[:24].reshape(3, 8), shares_of(point, 3)
        assert shares.sum() == pytest.approx(1.0)
        terms = [
            np.log(share)
            + norm.logpdf(sample.x, part[:4, None], np.hypot(part[4:, None], sample.e2**0.5)).sum(0)
            for part, share in zip(parts, shares, strict=True)
        ]
        expected = np.sum(logsumexp(terms, axis=0) + 2.0 * np.log(2.0 * np.pi))
        assert found == pytest.approx(expected, rel=1e-12)


def test_two_of_them_are_the_mixture_of_two():
    sample = stars_of(LI2026, 400, seeded(4))
    both = components_log_likelihood(sample.x, sample.e2, LI2026[None], 2)
    np.testing.assert_allclose(
        both, mixture_log_likelihood(sample.x, sample.e2, LI2026[None]), rtol=1e-12
    )
    found = ComponentsPosterior(sample.x, sample.e2, LI2026, 2).derivatives(LI2026)
    for mine, known in zip(
        found, mixture_derivatives(sample.x, sample.e2, LI2026), strict=True
    ):  # of two the shares are uniform in the one stick
        np.testing.assert_allclose(mine, known, rtol=1e-8, atol=1e-6)


def test_derivatives_are_those_of_differences():
    sample = stars_of_three(500, seeded(5))
    target = ComponentsPosterior(sample.x, sample.e2, TRUTH, 3)
    steps = np.diag(1e-4 * np.abs(TRUTH))
    size = np.diag(2.0 * steps)
    value, gradient, hessian = target.derivatives(TRUTH)
    assert value == pytest.approx(target(TRUTH[None])[0], rel=1e-12)
    slope = (target(TRUTH + steps) - target(TRUTH - steps)) / size
    np.testing.assert_allclose(gradient, slope, rtol=1e-4, atol=1e-3)
    bend = np.array(
        [target.derivatives(TRUTH + s)[1] - target.derivatives(TRUTH - s)[1] for s in steps]
    )
    unit = np.sqrt(np.abs(np.outer(np.diag(hessian), np.diag(hessian))))
    np.testing.assert_allclose(hessian / unit, bend / size[:, None] / unit, atol=1e-6)


def test_expectation_maximisation_climbs():
    sample = stars_of_three(400, seeded(6))
    point, last = TRUTH, -np.inf
    for _ in range(50):
        point = components_step(sample.x, sample.e2, point, 3)
        here = components_log_likelihood(sample.x, sample.e2, point[None], 3)[0]
        assert here >= last - 1e-9
        last = here
    P = components_memberships(sample.x, sample.e2, point, 3)
    np.testing.assert_allclose(P.sum(axis=0), 1.0)
    np.testing.assert_allclose(P.mean(axis=1), shares_of(point, 3), atol=0.01)


def test_one_of_the_six_equal_parts_is_kept():
    sample = stars_of_three(200, seeded(7))
    target = ComponentsPosterior(sample.x, sample.e2, TRUTH, 3)
    orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]
    points = np.array([joined(THREE[order], THREE_SHARES[order]) for order in orders])
    assert list(np.isfinite(target(points))) == [True] + 5 * [False]
    named = by_metallicity(points, 3)
    np.testing.assert_allclose(named, np.tile(named[:1], (6, 1)))
    assert np.all(np.diff(named[:, [3, 11, 19]], axis=1) < 0.0)


def test_three_known_populations_are_recovered(three):
    estimator, rows = three
    assert [row.quantity for row in rows] == list(estimator.yields)
    truth = {"p_mr": THREE_SHARES[0], "p_mi": THREE_SHARES[1]}
    for which, part in zip(("mr", "mi", "mp"), THREE, strict=True):
        truth |= {f"{name}.{which}": value for name, value in zip(NAMES, part, strict=True)}
        truth[f"beta.{which}"] = float(anisotropy(part[4:7]))
    for row in rows:
        if row.quantity in truth:
            assert not row.note
            assert abs(row.value - truth[row.quantity]) < 2.0 * (row.hi68 - row.lo68), row.quantity
    assert rows.of("bic_gain")[0].value > 100.0


def test_names_do_not_hang_on_the_order_that_is_found(monkeypatch):
    sample, order = stars_of_three(2500, seeded(9)), [2, 0, 1]
    found = ThreeComponents.of(sample, GaussianPrior(), seeded(9))
    shares = shares_of(found.best, 3)
    turned = replace(found, best=joined(found.best[:24].reshape(3, 8)[order], shares[order]))
    monkeypatch.setattr(ThreeComponents, "of", lambda *a: turned)
    _, rows = rows_of(sample, 9)
    feh = [rows.of(f"feh_mean.{which}")[0].value for which in ("mr", "mi", "mp")]
    assert feh[0] > feh[1] > feh[2]


def test_a_third_population_that_is_none_is_refused():
    _, rows = rows_of(stars_of(LI2026, 1500, seeded(8)), 8)
    assert rows.of("bic_gain")[0].value < 0.0
    assert "two populations describe the stars as well" in rows.of("beta.mi")[0].note
    assert np.isnan(rows.of("p_mr")[0].value)


def test_two_is_the_default_and_has_the_key_of_before():
    usual, two, triple = (
        make_estimator({"kind": "gaussian-mixture", **spec})
        for spec in ({}, {"components": 2}, {"components": 3})
    )
    assert "components" not in plain_content(usual)
    assert plain_content(usual) == plain_content(two) != plain_content(triple)
    assert "bic_gain" not in usual.yields


@pytest.mark.parametrize(
    ("spec", "message"),
    [({"components": 4}, "components"), ({"components": 3, "min_stars": 26}, "more than 26")],
)
def test_bad_settings_are_named(spec, message):
    with pytest.raises(InputError, match=message):
        make_estimator({"kind": "gaussian-mixture", **spec})
