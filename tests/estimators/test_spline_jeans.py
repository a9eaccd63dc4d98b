from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.interpolate import CubicSpline
from seeds import seeded

from haloassay.base.constants import G
from haloassay.base.errors import InputError
from haloassay.contracts.catalogue import Catalogue
from haloassay.estimators import make_estimator
from haloassay.estimators.fit.splines import NaturalSpline

RADII = (8.0, 15.0, 30.0)


def rows_of(catalogue, seed=0, **spec):
    estimator = make_estimator({"kind": "spline-jeans", "r": list(RADII), **spec})
    return estimator.estimate(catalogue, seeded(seed))


def with_errors(catalogue, errors, rng):
    """Cartesian velocities with a Gaussian error each (3,) [km/s], and the columns that say so."""
    columns = dict(catalogue.columns)
    for axis, error in zip("xyz", errors, strict=True):
        columns[f"v{axis}"] = columns[f"v{axis}"] + error * rng.standard_normal(len(catalogue))
        columns[f"v{axis}_err"] = np.full(len(catalogue), error)
    return Catalogue(columns)


@pytest.mark.long
@pytest.mark.parametrize(
    ("alpha", "errors"),
    [
        pytest.param("measured", "laplace", marks=pytest.mark.slow),
        pytest.param(-3.5, "laplace", marks=pytest.mark.slow),
        ("measured", "bootstrap"),
    ],
)
def test_bias_and_coverage_where_all_profiles_are_power_laws(
    alpha, errors, scale_free, scale_free_mass
):
    runs = 60 if errors == "laplace" else 8
    off, covered = [], []
    for k in range(runs):
        catalogue = scale_free(800, seeded(1, k), beta=0.5)
        spec = {"alpha": alpha, "errors": errors, "n_draws": 400 if errors == "laplace" else 40}
        rows = rows_of(catalogue, seed=k, **spec)
        truths = [*scale_free_mass(RADII), *np.sqrt(G * scale_free_mass(RADII) / RADII), *[0.5] * 3]
        off.append(
            [
                row.value - t if row.quantity == "beta" else row.value / t - 1.0
                for row, t in zip(rows, truths, strict=True)
            ]
        )
        covered.append([row.lo68 < t < row.hi68 for row, t in zip(rows, truths, strict=True)])
    mcse = np.std(off, axis=0, ddof=1) / np.sqrt(runs)
    assert np.all(np.abs(np.mean(off, axis=0)) < 4.0 * mcse + 0.005)  # ratios of noisy profiles
    share = np.mean(covered, axis=0)
    assert np.all(np.abs(share - 0.68) < 4.0 * np.sqrt(0.68 * 0.32 / runs) + 0.03)
    together = np.mean(covered, axis=1)  # rows of one sample are not independent
    assert abs(together.mean() - 0.68) < 4.0 * together.std(ddof=1) / np.sqrt(runs) + 0.03


@pytest.mark.long
def test_an_equilibrium_in_a_galaxy_with_baryons():
    from haloassay.mocks import make_mock

    mock = make_mock(
        {
            "kind": "equilibrium",
            "potential": [
                {"kind": "nfw", "m200": 0.8e12, "c": 15.0},
                {"kind": "mwpotential2014-baryons"},
            ],
            "density": {
                "kind": "broken-power-law",
                "slopes": [-2.8, -4.6],
                "breaks": [17.0],
                "width": 0.3,
            },
            "beta": {"kind": "table", "r": [5, 20, 40, 80], "beta": [0.6, 0.75, 0.65, 0.5]},
        }
    )
    stars = mock.sample(30000, seeded(2))
    columns = np.hstack([stars.position, stars.velocity]).T
    names = ("x", "y", "z", "vx", "vy", "vz")
    catalogue = Catalogue.from_arrays(**dict(zip(names, columns, strict=True)))
    rows = rows_of(catalogue, alpha="measured", r_range=[3.0, 150.0], knots=12)
    for row in rows.of("enclosed_mass"):
        truth = float(mock.truth.profile("enclosed_mass", row.r))
        error = 0.5 * (row.hi68 - row.lo68)
        assert error < 0.06 * truth
        assert abs(row.value - truth) < 4.0 * error
    for row in rows.of("beta"):
        assert abs(row.value - float(mock.truth.profile("beta", row.r))) < 4.0 * 0.5 * (
            row.hi68 - row.lo68
        )


def test_measurement_errors_are_taken_off(scale_free, scale_free_mass):
    off, raw = [], []
    runs = 12
    for k in range(runs):
        rng = seeded(3, k)
        noisy = with_errors(scale_free(1500, rng), (60.0, 60.0, 60.0), rng)
        bare = Catalogue({n: v for n, v in noisy.columns.items() if not n.endswith("_err")})
        truth = scale_free_mass(RADII)
        # what is left in is far larger than its scatter
        for found, catalogue in ((off, noisy), (raw, bare))[: 2 if k < 4 else 1]:
            rows = rows_of(catalogue, seed=k, alpha=-3.5).of("enclosed_mass")
            found.append([row.value / t - 1.0 for row, t in zip(rows, truth, strict=True)])
    mcse = np.std(off, axis=0, ddof=1) / np.sqrt(runs)
    assert np.all(np.abs(np.mean(off, axis=0)) < 4.0 * mcse + 0.005)
    assert np.all(np.mean(raw, axis=0) > 4.0 * mcse)


def test_a_swap_of_the_errors_of_v_theta_and_v_phi_is_caught(scale_free):
    rng = seeded(4)
    catalogue = scale_free(20000, rng, beta=0.3)
    flat = np.abs(catalogue["z"]) < 0.2 * catalogue.r
    catalogue = catalogue.select(flat)  # near the plane v_theta is v_z
    noisy = with_errors(catalogue, (0.0, 0.0, 60.0), rng)
    vertical = noisy["vz_err"]
    swapped = Catalogue(
        {**noisy.columns, "vx_err": vertical, "vy_err": vertical, "vz_err": 0.0 * vertical}
    )
    right, wrong = (rows_of(c, alpha=-3.5).of("beta")[1] for c in (noisy, swapped))
    assert abs(right.value - 0.3) < 4.0 * 0.5 * (right.hi68 - right.lo68)
    assert abs(wrong.value - 0.3) > 4.0 * 0.5 * (right.hi68 - right.lo68)


def test_an_incomplete_survey_needs_its_density_given(scale_free, scale_free_mass):
    rng = seeded(5)
    catalogue = scale_free(15000, rng)
    seen = catalogue.select(rng.random(len(catalogue)) < 5.0 / catalogue.r)  # one slope steeper
    truth = scale_free_mass(15.0)
    measured, given = (rows_of(seen, alpha=a).of("enclosed_mass")[1] for a in ("measured", -3.5))
    error = 0.5 * (given.hi68 - given.lo68)
    assert abs(given.value - truth) < 4.0 * error
    # dln rho / dln r is off by one of 3.5 + 0.5 - 0.6
    assert abs(measured.value / truth - (1.0 + 1.0 / 3.4)) < 0.1


def test_splines_against_an_independent_computation():
    knots = np.array([1.0, 1.4, 2.0, 3.1, 3.5])
    spline, values = NaturalSpline(knots), np.array([0.3, -1.0, 2.0, 0.5, 0.0])
    reference = CubicSpline(knots, values, bc_type="natural")
    x = np.linspace(1.0, 3.5, 50)
    np.testing.assert_allclose(spline.design(x) @ values, reference(x), atol=1e-12)
    np.testing.assert_allclose(spline.design(x, 1) @ values, reference(x, 1), atol=1e-12)
    bend = quad(lambda t: reference(t, 2) ** 2, 1.0, 3.5, points=knots[1:-1])[0]
    np.testing.assert_allclose(values @ spline.penalty @ values, bend, rtol=1e-8)
    beyond = spline.design(np.array([0.5, 4.0])) @ values
    np.testing.assert_allclose(beyond[0], reference(1.0) - 0.5 * reference(1.0, 1))
    np.testing.assert_allclose(beyond[1], reference(3.5) + 0.5 * reference(3.5, 1))


@given(st.floats(0.3, 4.0), st.floats(0.3, 4.0), st.floats(0.0, 6.0), st.randoms())
@settings(max_examples=5, deadline=None)
def test_units_rotation_and_order(k, stretch, angle, random):
    rng = seeded(6)
    direction = rng.standard_normal((300, 3))
    x = direction / np.linalg.norm(direction, axis=1)[:, None] * rng.uniform(5, 50, 300)[:, None]
    v = 100.0 * rng.standard_normal((300, 3))
    turn = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    order = list(range(300))
    random.shuffle(order)

    def found(x, v, r):
        names = ("x", "y", "z", "vx", "vy", "vz")
        catalogue = Catalogue.from_arrays(**dict(zip(names, np.hstack([x, v]).T, strict=True)))
        spec = {"kind": "spline-jeans", "alpha": "measured", "r": r, "n_draws": 200}
        return make_estimator(spec).estimate(catalogue, seeded(0))

    before = found(x, v, [20.0])
    after = found(stretch * x[order] @ turn.T, k * v[order] @ turn.T, [20.0 * stretch])
    assert len(before.of("enclosed_mass")) == 1
    # the same numbers up to the draws, which a change of rounding may turn
    width = (before.rows[0].hi95 - before.rows[0].lo95) * k * k * stretch
    ratio = after.rows[0].value - k * k * stretch * before.rows[0].value
    assert abs(ratio) < 0.1 * width
    assert abs(after.rows[2].value - before.rows[2].value) < 0.1 * (
        before.rows[2].hi95 - before.rows[2].lo95
    )


def test_stiffness_holds_splines_straight_or_lets_them_go(scale_free):
    catalogue = scale_free(3000, seeded(7))
    spread = []
    for stiffness in (12.0, "evidence", -9.0):
        row = rows_of(catalogue, alpha=-3.5, stiffness=stiffness).of("enclosed_mass")[2]
        spread.append(row.hi68 - row.lo68)
    assert spread[0] <= 1.05 * spread[1] < spread[2]


def test_what_cannot_be_determined_is_said(scale_free):
    catalogue = scale_free(300, seeded(8))
    for row in rows_of(catalogue.select(np.arange(49)), alpha=-3.5):
        assert "too few stars: 49, at least 50" in row.note
    # of errors alone, one sample in thirty seems to have a dispersion
    hidden = [with_errors(catalogue, (3000.0,) * 3, seeded(9, k)) for k in range(5)]
    notes = [[row.note for row in rows_of(each, alpha=-3.5)] for each in hidden]
    assert sum(all("errors" in note for note in listed) for listed in notes) >= 3
    outside = rows_of(catalogue, alpha=-3.5, r=[1.0, 20.0]).of("enclosed_mass")
    assert outside[0].note == "outside the radii of the stars"
    assert not outside[1].note
    alike = Catalogue(
        {**catalogue.columns, "x": np.full(300, 9.0), "y": np.zeros(300), "z": np.zeros(300)}
    )
    assert "all at one radius" in rows_of(alike, alpha=-3.5).rows[0].note
    still = Catalogue({**catalogue.columns, **{f"v{a}": np.zeros(300) for a in "xyz"}})
    assert "no scatter" in rows_of(still, alpha=-3.5).rows[0].note


@pytest.mark.slow
def test_the_published_chain_agrees_with_laplace(scale_free):
    catalogue = scale_free(600, seeded(11), beta=0.5)
    spec = {"alpha": "measured", "knots": [6.0, 20.0, 60.0], "n_draws": 2000, "stiffness": -20.0}
    run = {"walkers": 20, "steps": 1300, "burn": 400}
    fast, slow = rows_of(catalogue, **spec), rows_of(catalogue, errors="emcee", emcee=run, **spec)
    for a, b in zip(fast, slow, strict=True):
        widths = [0.5 * (row.hi68 - row.lo68) for row in (a, b)]
        # 20 x 900 steps, autocorrelation time about 60: 300 draws; laplace is Gaussian, to a fifth
        assert abs(a.value - b.value) < (4.0 * 1.25 / np.sqrt(300.0) + 0.2) * widths[1]
        assert abs(widths[0] / widths[1] - 1.0) < 4.0 * 1.2 / np.sqrt(300.0) + 0.1


def test_values_alone_are_those_of_the_likelihoods(scale_free):
    estimator = make_estimator({"kind": "spline-jeans", "alpha": "measured"})
    sample = estimator._sample(scale_free(80, seeded(12)))
    values = sample.log_densities()
    for (likelihood, start), alone in zip(sample.likelihoods(density=True), values, strict=True):
        points = start + 0.1 * seeded(13).standard_normal((4, len(start)))
        np.testing.assert_allclose(alone(points), [likelihood(c)[0] for c in points], rtol=1e-12)


def test_a_chain_that_does_not_mix_is_refused(scale_free):
    run = {"walkers": 50, "steps": 20, "burn": 5}
    rows = rows_of(scale_free(400, seeded(14)), alpha=-3.5, errors="emcee", emcee=run)
    assert all("chain does not mix" in row.note for row in rows)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"alpha": -4, "errors": "emcee"}, "walkers: at least 46, twice the coefficients"),
        ({}, "setting 'alpha' is missing"),
        ({"alpha": "guessed"}, "alpha"),
        ({"alpha": -4, "knots": 2}, "knots: from 3 to 50"),
        ({"alpha": -4, "knots": [5.0, 3.0, 9.0]}, "knots: radii ascend"),
        ({"alpha": -4, "r_range": [5.0]}, "r_range: two radii"),
        ({"alpha": -4, "r": [-5.0]}, r"r: positive radii \[kpc\]"),
        ({"alpha": -4, "min_stars": 10}, "min_stars: at least 32"),
    ],
)
def test_bad_settings(spec, message):
    with pytest.raises(InputError, match=message):
        make_estimator({"kind": "spline-jeans", **spec})


def test_a_beta_that_rounds_to_one_is_vague_and_no_warning(scale_free):
    """Where the errors leave nothing of the tangential dispersion, some draws have none."""
    for k in range(30):
        rng = seeded(12, k)
        noisy = with_errors(scale_free(300, rng), (3000.0, 600.0, 600.0), rng)
        for row in rows_of(noisy, alpha=-3.5).of("beta"):
            assert row.note or row.value < 1.0
