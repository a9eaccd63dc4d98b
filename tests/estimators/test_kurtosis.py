"""Kurtosis freed from measurement errors, against distributions whose kurtosis is known."""

import dataclasses
import warnings

import numpy as np
import pytest
from seeds import seeded

from haloassay.contracts.catalogue import Catalogue
from haloassay.contracts.frames import spherical_basis
from haloassay.estimators import make_estimator, velocity_ellipsoid
from haloassay.estimators.fit.ellipsoid import fit_ellipsoid
from haloassay.estimators.fit.kurtosis import fit_kurtosis

DRAWS = {
    "gaussian": (lambda rng, n: rng.standard_normal((n, 3)), 3.0),
    "laplace": (lambda rng, n: rng.laplace(size=(n, 3)) / np.sqrt(2.0), 6.0),
    "uniform": (lambda rng, n: np.sqrt(3.0) * rng.uniform(-1.0, 1.0, (n, 3)), 1.8),
}
SIGMA = np.array([120.0, 80.0, 70.0])
ERRORS = np.array([10.0, 60.0, 70.0])


def observed(draw, n, rng, errors=ERRORS):
    v = 20.0 + SIGMA * draw(rng, n)
    noise = errors * rng.uniform(0.3, 1.7, (n, 1))
    return v + noise * rng.standard_normal((n, 3)), noise**2


def fitted(v, noise):
    ellipsoid = fit_ellipsoid(v, noise[:, :, None] * np.eye(3))
    return fit_kurtosis(v, noise, ellipsoid.mean, ellipsoid.variance)


@pytest.mark.slow
@pytest.mark.parametrize("name", DRAWS)
def test_kurtosis_of_large_samples_is_that_of_the_true_velocities(name):
    draw, truth = DRAWS[name]
    fits = [fitted(*observed(draw, 20_000, seeded(3, k))) for k in range(12)]
    values = np.array([fit.value for fit in fits])
    error = values.std(axis=0, ddof=1) / np.sqrt(len(values))
    # of the bias, 1 / N of 20 000 is left
    assert np.all(np.abs(values.mean(axis=0) - truth) < 4.0 * error + 2e-3 * truth)
    assert values.std(axis=0) == pytest.approx(truth * np.mean([f.error for f in fits], 0), rel=0.6)


def test_small_gaussian_samples_are_unbiased():
    # uncorrected, 3 (n - 1) / (n + 1) is 2 per cent low at 100
    draw, truth = DRAWS["gaussian"]
    values = np.array(
        [fitted(*observed(draw, 100, seeded(4, k), 0.0 * ERRORS)).value for k in range(600)]
    ).ravel()
    assert abs(values.mean() / truth - 1.0) < 4.0 * values.std() / truth / np.sqrt(len(values))


@pytest.mark.slow
def test_intervals_of_gaussian_velocities_cover_what_they_say():
    draw, truth = DRAWS["gaussian"]
    fits = [fitted(*observed(draw, 3000, seeded(5, k))) for k in range(150)]
    inside = np.array([np.abs(np.log(fit.value / truth)) < fit.error for fit in fits])
    assert inside.mean() == pytest.approx(0.6827, abs=4.0 * np.sqrt(0.68 * 0.32 / 450) + 0.02)


def catalogue(draw, n, rng, errors):
    toward = rng.standard_normal((n, 3))
    toward /= np.linalg.norm(toward, axis=1)[:, None]
    v, _ = observed(draw, n, rng, 0.0 * ERRORS)
    cartesian = np.einsum("nk,nki->ni", v, spherical_basis(toward))
    columns = dict(zip(("vx", "vy", "vz"), cartesian.T, strict=True))
    columns |= {f"{name}_err": np.full(n, errors) for name in ("vx", "vy", "vz")}
    for name in ("vx", "vy", "vz"):
        columns[name] = columns[name] + errors * rng.standard_normal(n)
    position = dict(zip(("x", "y", "z"), 20.0 * toward.T, strict=True))
    return Catalogue.from_arrays(**position, **columns)


@pytest.mark.parametrize("errors", ["sandwich", "fisher", "poisson", "bootstrap"])
def test_velocity_ellipsoid_has_a_row_of_each_component(errors):
    stars = catalogue(DRAWS["laplace"][0], 4000, seeded(6), 20.0)
    method = make_estimator({"kind": "velocity-ellipsoid", "errors": errors, "n_draws": 100})
    rows = method.estimate(stars, seeded(7))
    for axis in ("r", "theta", "phi"):
        (row,) = rows.of(f"kurtosis_{axis}")
        assert row.value == pytest.approx(6.0, rel=0.35)
        assert row.lo95 < row.lo68 < row.value < row.hi68 < row.hi95


@pytest.mark.parametrize(
    ("n", "errors", "reason"),
    [
        (60, 5.0, "at least 100"),
        (400, 140.0, "velocity errors are too large to resolve kurtosis_theta"),
    ],
)
def test_what_cannot_be_determined_says_why(n, errors, reason):
    stars = catalogue(DRAWS["gaussian"][0], n, seeded(8), errors)
    rows = make_estimator({"kind": "velocity-ellipsoid"}).estimate(stars, seeded(9))
    (row,) = rows.of("kurtosis_theta")
    assert reason in row.note
    assert np.isnan(row.value)


def test_a_star_far_out_hides_the_kurtosis_of_a_small_sample():
    v, noise = observed(DRAWS["gaussian"][0], 120, seeded(10), 0.0 * ERRORS)
    v[0] = 3000.0
    fit = fitted(v, noise)
    assert "too few stars in the tails" in fit.note(0, fit.error)


def test_an_error_that_no_draw_can_have_makes_a_note_and_no_number(monkeypatch, scale_free):
    """Draws of a logarithm with an error of 1e4 overflow."""
    known = velocity_ellipsoid.fit_kurtosis

    def fit(*given):
        return dataclasses.replace(known(*given), error=np.array([1e4, np.inf, np.nan]))

    monkeypatch.setattr(velocity_ellipsoid, "fit_kurtosis", fit)
    stars = scale_free(400, seeded(31), edges=(5.0, 60.0))
    estimator = make_estimator({"kind": "velocity-ellipsoid", "bins": [5.0, 60.0]})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rows = estimator.estimate(stars, seeded(32))
    tails = [row for row in rows if row.quantity.startswith("kurtosis")]
    assert len(tails) == 3
    assert all(row.note and np.isnan(row.value) for row in tails)


def test_a_resampled_kurtosis_that_is_none_makes_a_note(monkeypatch, scale_free):
    known, calls = velocity_ellipsoid.fit_kurtosis, []

    def fit(*given):
        found = known(*given)
        calls.append(found)
        lost = np.array([np.nan, 1.0, 1.0]) if len(calls) == 3 else 1.0
        return dataclasses.replace(found, value=lost * found.value)

    monkeypatch.setattr(velocity_ellipsoid, "fit_kurtosis", fit)
    given = {"kind": "velocity-ellipsoid", "errors": "bootstrap", "n_draws": 10}
    rows = make_estimator(given).estimate(scale_free(400, seeded(33)), seeded(34))
    (lost,), (found,) = (rows.of(f"kurtosis_{axis}") for axis in ("r", "theta"))
    assert lost.note == "the kurtosis_r of a resampled catalogue is not finite"
    assert np.isnan(lost.value)
    assert np.isfinite(found.value)
