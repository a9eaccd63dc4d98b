"""Derived kinematics of a catalogue and the covariance of their errors."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seeds import seeded

from haloassay.base.errors import InputError
from haloassay.contracts import frames
from haloassay.contracts.catalogue import Catalogue
from haloassay.contracts.columns import GALACTOCENTRIC, HELIOCENTRIC
from haloassay.contracts.propagation import monte_carlo_covariance


def heliocentric(n, seed, scale=1.0):
    """Stars with errors of all observables, correlated; ``scale`` shrinks the errors."""
    rng = seeded(seed)
    return Catalogue.from_arrays(
        sun=frames.SUNS["bird2022"],
        ra=rng.uniform(0.0, 360.0, n),
        dec=np.degrees(np.arcsin(rng.uniform(-1.0, 1.0, n))),
        distance=rng.uniform(5.0, 80.0, n),
        pmra=rng.normal(0.0, 2.0, n),
        pmdec=rng.normal(0.0, 2.0, n),
        vlos=rng.normal(0.0, 150.0, n),
        distance_err=scale * rng.uniform(0.1, 1.0, n),
        pmra_err=scale * rng.uniform(0.02, 0.2, n),
        pmdec_err=scale * rng.uniform(0.02, 0.2, n),
        vlos_err=scale * rng.uniform(1.0, 20.0, n),
        pm_corr=rng.uniform(-0.95, 0.95, n),
    )


def galactocentric(n, seed, scale=1.0):
    rng = seeded(seed)
    columns = dict(zip(GALACTOCENTRIC[:3], rng.normal(0.0, 30.0, (3, n)), strict=True))
    columns |= dict(zip(GALACTOCENTRIC[3:], rng.normal(0.0, 150.0, (3, n)), strict=True))
    for name in GALACTOCENTRIC[:3]:
        columns[f"{name}_err"] = scale * rng.uniform(0.05, 0.5, n)
    for name in GALACTOCENTRIC[3:]:
        columns[f"{name}_err"] = scale * rng.uniform(1.0, 20.0, n)
    return Catalogue.from_arrays(**columns)


def brute_force(catalogue, of="spherical_velocity"):
    """J C J^T with J by central differences through the public frames."""
    names = HELIOCENTRIC if catalogue.heliocentric else GALACTOCENTRIC
    n = len(catalogue)
    jacobian, covariance = np.zeros((n, 3, 6)), np.zeros((n, 6, 6))
    for i, name in enumerate(names):
        step = 1e-5 * (1.0 if catalogue.heliocentric else 10.0)
        moved = [
            Catalogue({**catalogue.columns, name: catalogue[name] + s}, catalogue.sun)
            for s in (step, -step)
        ]
        jacobian[:, :, i] = (getattr(moved[0], of) - getattr(moved[1], of)) / (2 * step)
        covariance[:, i, i] = catalogue.columns.get(f"{name}_err", np.zeros(n)) ** 2
    if catalogue.heliocentric:
        covariance[:, 3, 4] = covariance[:, 4, 3] = (
            catalogue["pm_corr"] * catalogue["pmra_err"] * catalogue["pmdec_err"]
        )
    return jacobian @ covariance @ np.swapaxes(jacobian, 1, 2)


@pytest.mark.parametrize("of", ["spherical", ""])
@pytest.mark.parametrize("make", [heliocentric, galactocentric])
def test_covariance_is_that_of_a_numerical_jacobian(make, of):
    # small errors: none reaches the distance to an axis, where the turn is limited
    catalogue = make(300, 3, scale=0.01)
    expected = brute_force(catalogue, f"{of}_velocity".lstrip("_"))
    found = getattr(catalogue, f"{of or 'velocity'}_covariance")
    size = np.einsum("nii->n", expected)[:, None, None]
    # a central difference of step 1e-5 loses 1e-16 * 300 / 1e-5 and 1e-10 by curvature
    np.testing.assert_allclose(found / size, expected / size, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("make", [heliocentric, galactocentric])
def test_covariance_agrees_with_monte_carlo_where_errors_are_small(make):
    n_draws = 40_000
    catalogue = make(60, 4, scale=0.02)
    drawn = monte_carlo_covariance(catalogue, seeded(5), n_draws)
    covariance = catalogue.spherical_covariance
    variance = np.einsum("nii->ni", covariance)
    noise = np.sqrt((variance[:, :, None] * variance[:, None, :] + covariance**2) / n_draws)
    assert np.abs((drawn - covariance) / noise).max() < 5.0  # 540 numbers


def test_monte_carlo_agrees_with_plain_numpy_where_errors_are_large():
    n_draws = 40_000
    catalogue = heliocentric(8, 6)
    drawn = monte_carlo_covariance(catalogue, seeded(7), n_draws)
    rng = seeded(8)
    for i in range(len(catalogue)):
        star = {name: values[i] for name, values in catalogue.columns.items()}
        sigma = [star[f"{name}_err"] for name in ("pmra", "pmdec")]
        cross = star["pm_corr"] * sigma[0] * sigma[1]
        pm = rng.multivariate_normal(
            [star["pmra"], star["pmdec"]], [[sigma[0] ** 2, cross], [cross, sigma[1] ** 2]], n_draws
        )
        draws = Catalogue.from_arrays(
            sun=catalogue.sun,
            ra=np.full(n_draws, star["ra"]),
            dec=np.full(n_draws, star["dec"]),
            distance=rng.normal(star["distance"], star["distance_err"], n_draws),
            pmra=pm[:, 0],
            pmdec=pm[:, 1],
            vlos=rng.normal(star["vlos"], star["vlos_err"], n_draws),
        )
        v = draws.spherical_velocity - draws.spherical_velocity.mean(axis=0)
        products = v[:, :, None] * v[:, None, :]
        noise = products.std(axis=0) * np.sqrt(2.0 / n_draws)  # of either set
        assert np.abs((drawn[i] - products.mean(axis=0)) / noise).max() < 4.5


def test_monte_carlo_repeats_with_the_generator():
    catalogue = heliocentric(5, 9)
    twice = [monte_carlo_covariance(catalogue, seeded(1), 50) for _ in range(2)]
    np.testing.assert_array_equal(*twice)


def test_monte_carlo_draws_no_negative_distance():
    # 100 per cent errors: a sixth of a full Gaussian would lie behind the Sun
    columns = dict(heliocentric(1, 10).columns)
    columns |= {name: np.zeros(1) for name in ("pmra_err", "pmdec_err", "vlos_err", "pm_corr")}
    columns |= {"distance": np.ones(1), "distance_err": np.ones(1)}
    catalogue = Catalogue(columns)
    drawn = monte_carlo_covariance(catalogue, seeded(11), 20_000)
    normal = seeded(12).normal(1.0, 1.0, 60_000)
    positive = normal[normal > 0.0]
    repeated = {k: np.repeat(v, positive.size) for k, v in columns.items()}
    v = Catalogue({**repeated, "distance": positive}).spherical_velocity
    expected, spread = np.cov(v.T), (v - v.mean(axis=0)) ** 2
    noise = spread.std(axis=0) * np.sqrt(1.0 / 20_000 + 1.0 / positive.size)
    assert np.all(np.abs(np.diag(drawn[0]) - np.diag(expected)) < 4.0 * noise)


def test_a_catalogue_keeps_the_errors_that_were_drawn():
    catalogue = heliocentric(30, 13)
    drawn = catalogue.with_drawn_errors(seeded(14), 200)
    expected = monte_carlo_covariance(catalogue, seeded(14), 200)
    np.testing.assert_array_equal(drawn.spherical_covariance, expected)
    assert np.all(drawn.spherical_covariance != catalogue.spherical_covariance)
    rows = np.array([7, 3, 29])
    np.testing.assert_array_equal(drawn.select(rows).spherical_covariance, expected[rows])
    with pytest.raises(ValueError, match="read-only"):
        drawn.spherical_covariance[0] = 0.0


@pytest.mark.parametrize(
    ("columns", "n_draws", "message"),
    [({}, 1, "at least 2 draws"), ({"distance": [0.0]}, 100, "distances must be positive")],
)
def test_monte_carlo_refuses(columns, n_draws, message):
    star = {**heliocentric(1, 1).columns, **{k: np.array(v) for k, v in columns.items()}}
    with pytest.raises(InputError, match=message):
        monte_carlo_covariance(Catalogue(star), seeded(0), n_draws)


@settings(max_examples=20, deadline=None)
@given(angle=st.floats(0.0, 360.0), seed=st.integers(0, 50))
def test_rotation_about_z_leaves_covariances_alone(angle, seed):
    # equal errors in x, y and z, and in vx, vy and vz, have no direction of their own
    position, velocity = seeded(seed).normal(0.0, 50.0, (2, 20, 3))
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    turn = np.array([[c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0]])
    errors = {f"{k}_err": np.full(20, 1e-3 if k in "xyz" else 5.0) for k in GALACTOCENTRIC}

    def catalogue(x, v):
        return Catalogue(
            {**dict(zip(GALACTOCENTRIC, np.concatenate([x, v], axis=1).T, strict=True)), **errors}
        )

    before, after = catalogue(position, velocity), catalogue(position @ turn, velocity @ turn)
    np.testing.assert_allclose(after.r, before.r)
    np.testing.assert_allclose(
        after.spherical_covariance, before.spherical_covariance, rtol=1e-8, atol=1e-8
    )


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 50))
def test_permuting_rows_permutes_everything(seed):
    catalogue = heliocentric(15, seed)
    order = seeded(seed).permutation(15)
    permuted = catalogue.select(order)
    np.testing.assert_array_equal(permuted.spherical_velocity, catalogue.spherical_velocity[order])
    np.testing.assert_array_equal(
        permuted.spherical_covariance, catalogue.spherical_covariance[order]
    )


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 50), factor=st.floats(0.01, 1.0))
def test_covariance_scales_with_the_square_of_the_errors(seed, factor):
    small = heliocentric(15, seed, scale=1e-3)
    smaller = heliocentric(15, seed, scale=1e-3 * factor)
    np.testing.assert_allclose(
        smaller.spherical_covariance, factor**2 * small.spherical_covariance, rtol=1e-9, atol=1e-12
    )


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 50))
def test_covariances_are_symmetric_and_not_negative(seed):
    for make in (heliocentric, galactocentric):
        covariance = make(20, seed, scale=10.0).spherical_covariance
        np.testing.assert_array_equal(covariance, np.swapaxes(covariance, 1, 2))
        scale = np.einsum("nii->n", covariance)
        assert np.all(np.linalg.eigvalsh(covariance).min(axis=1) > -1e-12 * scale)


@pytest.mark.parametrize("position", [(0.0, 0.0, 0.0), (0.0, 0.0, 9.0), (1e-12, 0.0, -9.0)])
@pytest.mark.parametrize("error", [0.0, 0.5])
def test_covariance_on_the_axis_is_bounded_by_the_speed(position, error):
    errors = {f"{name}_err": [error] for name in "xyz"}
    star = dict(zip(GALACTOCENTRIC, [[v] for v in (*position, 30.0, -40.0, 120.0)], strict=True))
    covariance = Catalogue.from_arrays(**star, **errors).spherical_covariance
    assert np.all(np.isfinite(covariance))
    # each of three shifts turns two axes by one radian at most
    assert np.trace(covariance[0]) <= 3 * (2 * 130.0) ** 2
    assert (np.trace(covariance[0]) > 0.0) == (error > 0.0)


def test_without_errors_the_covariance_is_zero():
    star = {name: heliocentric(3, 1)[name] for name in HELIOCENTRIC}
    np.testing.assert_array_equal(Catalogue(star).spherical_covariance, np.zeros((3, 3, 3)))


def test_line_of_sight_error_alone_is_a_singular_covariance_along_the_line_of_sight():
    star = {name: heliocentric(3, 1)[name] for name in HELIOCENTRIC}
    catalogue = Catalogue({**star, "vlos_err": np.full(3, 7.0)})
    values = np.linalg.eigvalsh(catalogue.spherical_covariance)
    np.testing.assert_allclose(values, np.tile([0.0, 0.0, 49.0], (3, 1)), atol=1e-9)


def test_missing_column_is_named():
    catalogue = Catalogue.from_arrays(origin="stars.fits", x=[1.0], y=[2.0])
    with pytest.raises(InputError, match=r"stars.fits: column 'z' is missing \(has: x, y\)"):
        _ = catalogue.position


@pytest.mark.parametrize("columns", [{}, {"x": [1.0, 2.0], "y": [1.0]}, {"x": 1.0}])
def test_columns_that_are_not_of_one_length_are_refused(columns):
    with pytest.raises(InputError, match="columns must be arrays of one length"):
        Catalogue.from_arrays(**columns)


def test_reading_does_not_import_the_compiler():
    code = (
        "import sys, haloassay, haloassay.io.tables as t;"
        "t.read_catalogue('galpy:mw-globular-clusters').spherical_velocity;"
        "assert 'numba' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_estimators_cannot_change_the_catalogue_they_share():
    stars = Catalogue.from_arrays(x=[8.0], y=[1.0], z=[2.0], vx=[1.0], vy=[2.0], vz=[3.0])
    for array in (
        stars["x"],
        stars.position,
        stars.velocity,
        stars.r,
        stars.spherical_velocity,
        stars.spherical_covariance,
    ):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0.0
    with pytest.raises(TypeError):
        stars.columns["x"] = np.zeros(1)


@pytest.mark.parametrize("names", [HELIOCENTRIC, GALACTOCENTRIC])
def test_positions_are_known_without_velocities(names: tuple[str, ...]) -> None:
    rng = seeded(3)
    columns = {name: rng.uniform(10.0, 40.0, 50) for name in names}
    whole = Catalogue.from_arrays(**columns)
    columns.pop(names[-1])
    part = Catalogue.from_arrays(**columns)
    np.testing.assert_array_equal(part.position, whole.position)
    np.testing.assert_array_equal(part.r, whole.r)
    with pytest.raises(InputError, match=f"column {names[-1]!r} is missing"):
        _ = part.velocity
