"""Axis ratios and tilt of stretched spheres are found again, and a round halo has none."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from seeds import seeded

from haloassay.base.errors import InputError
from haloassay.contracts.catalogue import Catalogue
from haloassay.estimators import make_estimator
from haloassay.estimators.shape import rounded

#: Axes of a stretched sphere, and the angle of its longest from the plane [deg].
AXES, TILT = (1.0, 0.85, 0.7), 25.0
TRIALS = 40


def stretched(n, rng, axes=AXES, tilt=TILT):
    """Stars of density m^-3 at 20 kpc: directions of a stretched sphere, which is turned about the y axis."""
    x = rng.standard_normal((n, 3)) * np.array(axes)
    x *= 20.0 / np.linalg.norm(x, axis=1)[:, None]
    c, s = np.cos(np.radians(tilt)), np.sin(np.radians(tilt))
    return placed(x @ np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]]))


def placed(x):
    """Catalogue of positions alone."""
    return Catalogue.from_arrays(**dict(zip("xyz", np.ascontiguousarray(x.T), strict=True)))


def true_value(row, axes=AXES, tilt=TILT):
    """Truth of a row: <a_i^2 u_i^2 / sum_j a_j^2 u_j^2> of Gaussian u is an integral over 1 / (1 + 2 a^2 t)."""
    if row.quantity == "tilt":
        return tilt
    a2 = np.square(axes)

    def eigenvalue(k):
        def integrand(t):
            return a2[k] / (1.0 + 2.0 * a2[k] * t) / np.sqrt(np.prod(1.0 + 2.0 * a2 * t))

        return quad(integrand, 0.0, np.inf, epsabs=1e-10)[0]

    k = {"b_over_a": 1, "c_over_a": 2}[row.quantity]
    return float(np.sqrt(eigenvalue(k) / eigenvalue(0)))


def rows_of(stars, seed=0, **settings):
    """Rows of one bin by quantity."""
    found = make_estimator({"kind": "shape", **settings}).estimate(stars, seeded(seed))
    return {row.quantity: row for row in found}


def test_axis_ratios_and_tilt_of_a_stretched_sphere_are_found_with_errors_that_hold():
    found = [rows_of(stretched(3000, seeded(1, k)), k, n_draws=300) for k in range(TRIALS)]
    for name in ("b_over_a", "c_over_a", "tilt"):
        rows = [each[name] for each in found]
        truth = true_value(rows[0])
        values = np.array([row.value for row in rows])
        error = values.std() / np.sqrt(TRIALS)
        assert abs(values.mean() - truth) < 4.0 * error + 0.001 * truth, name
        stated = np.mean([0.5 * (row.hi68 - row.lo68) for row in rows])
        assert stated == pytest.approx(values.std(), rel=4.0 / np.sqrt(2.0 * TRIALS)), name
        inside = np.mean([row.lo68 <= truth <= row.hi68 for row in rows])
        assert abs(inside - 0.68) < 4.0 * np.sqrt(0.68 * 0.32 / TRIALS), name


@pytest.mark.parametrize("n", [300, 3000])
def test_a_round_halo_has_no_axes(n):
    found = [rows_of(placed(seeded(2, k).standard_normal((n, 3))), k) for k in range(TRIALS)]
    notes = [each["tilt"].note for each in found]
    assert sum("not distinct" in note for note in notes) >= 0.85 * TRIALS
    c_over_a = np.array([each["c_over_a"].value for each in found])
    assert np.all(c_over_a <= 1.0)
    # chance alone makes it 1.6 / sqrt(n) too small
    assert 1.0 - c_over_a.mean() < 0.8 / np.sqrt(n)
    assert np.mean([each["c_over_a"].hi95 > 0.99 for each in found]) > 0.85


def test_a_prolate_halo_has_a_tilt_and_an_oblate_one_has_none():
    prolate = rows_of(stretched(5000, seeded(3), (1.0, 0.8, 0.8)))
    assert prolate["tilt"].lo95 < TILT < prolate["tilt"].hi95
    oblate = rows_of(stretched(5000, seeded(4), (1.0, 1.0, 0.7)))
    assert "not distinct" in oblate["tilt"].note
    assert oblate["b_over_a"].hi95 > 0.99
    truth = true_value(oblate["c_over_a"], (1.0, 1.0, 0.7))
    width = 0.25 * (oblate["c_over_a"].hi95 - oblate["c_over_a"].lo95)
    assert abs(oblate["c_over_a"].value - truth) < 4.0 * width


def test_turned_stars_have_the_same_ratios_and_turned_axes():
    stars = stretched(4000, seeded(5), tilt=0.0)
    turn, _ = np.linalg.qr(seeded(6).standard_normal((3, 3)))
    before, after = rows_of(stars), rows_of(placed(stars.position @ turn.T))
    for name in ("b_over_a", "c_over_a"):
        assert after[name].value == pytest.approx(before[name].value, rel=1e-10)
    n = stars.position / stars.r[:, None]
    major = turn @ np.linalg.eigh(n.T @ n)[1][:, 2]
    assert after["tilt"].value == pytest.approx(np.degrees(np.arcsin(abs(major[2]))), abs=1e-6)


def test_without_errors_nothing_is_taken_away():
    values, axes = rounded(np.diag([0.2, 0.5, 0.3]), np.zeros((9, 9)))
    np.testing.assert_allclose(values, [0.5, 0.3, 0.2], rtol=1e-12)
    np.testing.assert_allclose(np.abs(axes), np.eye(3)[:, [1, 2, 0]], atol=1e-12)


def test_radii_do_not_matter_and_bins_are_apart():
    near, far = stretched(2000, seeded(7)).position, seeded(8).standard_normal((2000, 3))
    far *= 40.0 / np.linalg.norm(far, axis=1)[:, None]
    estimator = make_estimator({"kind": "shape", "bins": [10.0, 30.0, 50.0]})
    found = estimator.estimate(placed(np.concatenate([near, far])), seeded(9))
    inner, outer = found.of("c_over_a")
    pulled = placed(near * seeded(10).uniform(0.6, 1.4, (2000, 1)))
    assert rows_of(pulled)["c_over_a"].value == pytest.approx(inner.value, rel=1e-10)
    assert inner.hi95 < 0.95 < outer.hi95


def test_stars_without_a_shape_say_so():
    flat = seeded(11).standard_normal((200, 3)) * [1.0, 1.0, 0.0]
    assert "plane" in rows_of(placed(flat))["c_over_a"].note
    few = rows_of(placed(seeded(12).standard_normal((30, 3))))
    assert few["tilt"].note == "too few stars: 30, at least 50 are needed"


def test_bad_stars_and_settings_are_refused():
    x = seeded(13).standard_normal((100, 3))
    x[3, 1] = np.nan
    with pytest.raises(InputError, match=r"1 of 100 stars have a position that is not finite"):
        rows_of(placed(x))
    with pytest.raises(InputError, match="min_stars: at least 20"):
        make_estimator({"kind": "shape", "min_stars": 5})
