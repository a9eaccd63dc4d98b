from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from halo_samples import power_law_radii
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import cumulative_trapezoid
from seeds import seeded

from haloassay.base.constants import G
from haloassay.base.errors import InputError
from haloassay.contracts.catalogue import Catalogue
from haloassay.contracts.profiles import nfw_shape
from haloassay.estimators import make_estimator
from haloassay.estimators.halo.tracer_averages import Bounded, KnownShape

CASES = ["r-vr", "r-v", "r-vlos", "r-vt", "R-vlos", "R-pm"]


def masses(catalogue, seed=0, **spec):
    estimator = make_estimator({"kind": "tracer-mass", "subtract_mean": False, **spec})
    return estimator.estimate(catalogue, seeded(seed)).of("enclosed_mass")


@pytest.mark.parametrize("data", CASES)
@pytest.mark.parametrize(
    ("a", "gamma", "beta"), [(0.5, 3.5, 0.4), (0.0, 3.0, 0.0), (-0.3, 4.5, 0.8), (1.0, 2.6, -0.5)]
)
def test_every_data_case_on_a_scale_free_halo(data, a, gamma, beta, scale_free, scale_free_mass):
    # R is an average over all radii: its directions must not be cut, so spheres are complete shells
    catalogue = scale_free(20000, seeded(1), a=a, gamma=gamma, beta=beta)
    row = masses(catalogue, data=data, a=a, alpha=-gamma, beta=beta)[0]
    error = 0.5 * (row.hi68 - row.lo68)
    truth = scale_free_mass(row.r, a=a)
    # 100 bootstraps know the error to 7 per cent
    assert abs(row.value - truth) < 4.0 * 1.3 * error
    assert error < 0.05 * truth


@pytest.mark.parametrize("data", CASES)
def test_a_wrong_beta_or_slope_is_caught(data, scale_free, scale_free_mass):
    # the check above can fail: 10 per cent in mass is many of its errors
    catalogue = scale_free(20000, seeded(2))
    right = masses(catalogue, data=data, alpha=-3.5, beta=0.3)[0]
    wrong = masses(catalogue, data=data, alpha=-3.9, beta=0.3)[0]
    assert abs(wrong.value - scale_free_mass(right.r)) > 4.0 * 1.3 * 0.5 * (right.hi68 - right.lo68)


@pytest.mark.slow
def test_bootstrap_errors_are_those_of_repeated_samples(scale_free, scale_free_mass):
    values, errors, covered = [], [], []
    for k in range(150):
        catalogue = scale_free(200, seeded(3, k))
        row = masses(catalogue, seed=k, alpha=-3.5, beta=0.3, n_bootstrap=200)[0]
        truth = scale_free_mass(row.r)
        values.append(row.value / truth)
        errors.append(0.5 * (row.hi68 - row.lo68) / truth)
        covered.append(row.lo68 < truth < row.hi68)
    scatter = np.std(values, ddof=1)
    assert abs(np.mean(values) - 1.0) < 4.0 * scatter / np.sqrt(150)
    assert abs(np.mean(errors) / scatter - 1.0) < 4.0 * (1.0 / np.sqrt(300) + 0.02)
    assert abs(np.mean(covered) - 0.68) < 4.0 * np.sqrt(0.68 * 0.32 / 150)


def test_beta_is_measured_where_asked(scale_free, scale_free_mass):
    catalogue = scale_free(40000, seeded(4))
    row = masses(catalogue, alpha=-3.5)[0]
    error = 0.5 * (row.hi68 - row.lo68)
    # sigma(beta) = (1 - beta) sqrt(3 / n), and M falls with 2 beta over a + gamma - 2 beta
    beta_error = 2.0 * 0.7 * np.sqrt(3.0 / 40000) / (0.5 + 3.5 - 0.6) * row.value
    assert abs(row.value - scale_free_mass(row.r)) < 4.0 * 1.3 * np.hypot(error, beta_error)


def test_mean_is_subtracted_from_radial_velocities_only(scale_free):
    catalogue = scale_free(2000, seeded(5))
    moving = dict(catalogue.columns)
    outward = catalogue.position / catalogue.r[:, None]
    for k, axis in enumerate("xyz"):
        moving[f"v{axis}"] = moving[f"v{axis}"] + 60.0 * outward[:, k]
    moving = Catalogue(moving)
    for data in ("r-vr", "r-v"):
        spec = {"alpha": -3.5, "beta": 0.3, "data": data, "subtract_mean": True}
        still, shifted = masses(catalogue, **spec)[0], masses(moving, **spec)[0]
        np.testing.assert_allclose(shifted.value, still.value, rtol=1e-10)
        spec["subtract_mean"] = False
        assert masses(moving, **spec)[0].value > 1.05 * masses(catalogue, **spec)[0].value


@pytest.mark.parametrize("axis", "xyz")
def test_line_of_sight_is_the_axis_asked_for(axis, scale_free):
    catalogue = scale_free(500, seeded(6))
    turned = Catalogue(
        {
            prefix + name: catalogue[prefix + source]
            for prefix in ("", "v")
            for name, source in zip("xyz", np.roll(list("xyz"), 1), strict=True)
        }
    )
    new = "xyz"[("xyz".index(axis) + 1) % 3]
    for data in ("r-vlos", "R-vlos", "R-pm"):
        before = masses(catalogue, alpha=-3.5, beta=0.3, data=data, line_of_sight=axis)[0]
        after = masses(turned, alpha=-3.5, beta=0.3, data=data, line_of_sight=new)[0]
        np.testing.assert_allclose(before.value, after.value, rtol=1e-12)


def test_radius_of_the_mass(scale_free, scale_free_mass):
    catalogue = scale_free(5000, seeded(7))
    median, outermost = (
        masses(catalogue, alpha=-3.5, beta=0.3, at=at)[0] for at in ("median", "outermost")
    )
    assert median.r == np.median(catalogue.r)
    assert outermost.r == catalogue.r.max()
    ratio = scale_free_mass(outermost.r) / scale_free_mass(median.r)
    np.testing.assert_allclose(outermost.value / median.value, ratio, rtol=1e-10)


# invariants


def rebuilt(position, velocity):
    columns = dict(zip(("x", "y", "z"), position.T, strict=True))
    return Catalogue.from_arrays(
        **columns, **dict(zip(("vx", "vy", "vz"), velocity.T, strict=True))
    )


@given(st.floats(0.2, 5.0), st.sampled_from(CASES), st.sampled_from(["measured", 0.3]))
@settings(max_examples=10, deadline=None)
def test_units_of_velocity_and_radius(k, data, beta):
    rng = seeded(8)
    position, velocity = 30.0 * rng.standard_normal((60, 3)), 100.0 * rng.standard_normal((60, 3))
    plain = masses(rebuilt(position, velocity), alpha=-3.5, data=data, beta=beta)[0].value
    faster = masses(rebuilt(position, k * velocity), alpha=-3.5, data=data, beta=beta)[0].value
    wider = masses(rebuilt(k * position, velocity), alpha=-3.5, data=data, beta=beta)[0].value
    np.testing.assert_allclose(faster, k * k * plain, rtol=1e-7)
    np.testing.assert_allclose(wider, k * plain, rtol=1e-7)


@given(
    st.sampled_from(["r-vr", "r-v", "r-vt"]),
    st.tuples(*[st.floats(0.0, 6.0)] * 3),
    st.sampled_from(["measured", 0.3]),
    st.randoms(use_true_random=False),
)
@settings(max_examples=10, deadline=None)
def test_rotation_and_order_leave_the_mass_alone(data, angles, beta, random):
    from scipy.spatial.transform import Rotation

    rng = seeded(9)
    position, velocity = 30.0 * rng.standard_normal((60, 3)), 100.0 * rng.standard_normal((60, 3))
    if beta == "measured":  # dispersions about the mean rotation: only about its axis
        angles = (angles[0], 0.0, 0.0)
    turn = Rotation.from_euler("zxz", angles).as_matrix()
    order = list(range(60))
    random.shuffle(order)
    spec = {"alpha": -3.5, "data": data, "beta": beta, "subtract_mean": True}
    before = masses(rebuilt(position, velocity), **spec)[0]
    after = masses(rebuilt(position[order] @ turn.T, velocity[order] @ turn.T), **spec)[0]
    np.testing.assert_allclose(after.value, before.value, rtol=1e-7)
    assert before.lo95 <= before.lo68 <= before.value <= before.hi68 <= before.hi95


# known shape

R_S, M_V = 15.0, 4e11


def nfw_sample(n, rng, edges, alpha=-3.0, beta=0.4):
    """Radii and sigma_r of tracers r^alpha in an NFW halo M = M_V m(r / R_S), cut at the edges."""
    grid = np.geomspace(edges[0], 1e5, 20000)
    # d(r^(2 beta) rho sigma^2)/dr = -r^(2 beta) rho G M / r^2
    source = grid ** (2.0 * beta + alpha - 2.0) * G * M_V * nfw_shape(grid / R_S)
    inward = cumulative_trapezoid((source * grid)[::-1], -np.log(grid[::-1]), initial=0.0)[::-1]
    r = power_law_radii(n, alpha, *edges, rng)
    variance = np.exp(np.interp(np.log(r), np.log(grid[:-1]), np.log(np.abs(inward[:-1]))))
    variance /= r ** (2.0 * beta + alpha)
    return r, np.sqrt(variance)


@pytest.mark.parametrize("edges", [(5.0, 50.0), (20.0, 40.0)])
def test_known_shape_with_and_without_its_boundary_term(edges, gaussian_catalogue):
    alpha, beta = -3.0, 0.4
    rng = seeded(10)
    r, sigma_r = nfw_sample(30000, rng, edges, alpha, beta)
    ratio = np.array([1.0, np.sqrt(1.0 - beta), np.sqrt(1.0 - beta)])
    catalogue = gaussian_catalogue(r, sigma_r[:, None] * ratio, rng)
    spec = {"alpha": alpha, "beta": beta, "shape": {"r_s": R_S}, "bins": list(edges)}
    row = masses(catalogue, **spec)[0]
    truth = M_V * nfw_shape(row.r / R_S)
    error = 0.5 * (row.hi68 - row.lo68)
    assert abs(row.value - truth) < 4.0 * 1.3 * error
    assert error < 0.05 * truth
    # what the boundary is worth: the mean alone
    mean = Bounded(
        r, sigma_r, False, beta, make_density(alpha), KnownShape(r_s=R_S), edges, np.array([row.r])
    )
    without = np.mean(sigma_r**2 * mean._lever) / G * nfw_shape(row.r / R_S)
    assert 0.2 < without / truth < 0.97


def make_density(alpha):
    from haloassay.estimators.bins import density_slope

    return density_slope(alpha)


def test_known_shape_at_any_radius(gaussian_catalogue):
    rng = seeded(11)
    r, sigma_r = nfw_sample(5000, rng, (5.0, 80.0))
    catalogue = gaussian_catalogue(r, sigma_r[:, None] * [1.0, 0.775, 0.775], rng)
    rows = masses(catalogue, alpha=-3.0, beta=0.4, shape={"r_s": R_S}, r_out=[10.0, 100.0])
    assert [(row.r, row.bin) for row in rows] == [(10.0, 0), (100.0, 1)]
    ratio = nfw_shape(100.0 / R_S) / nfw_shape(10.0 / R_S)
    np.testing.assert_allclose(rows[1].value / rows[0].value, ratio, rtol=1e-10)


def test_shape_with_baryons_is_the_sum_of_both():
    shape = KnownShape(r200=190.0, c=15.0, baryons="mwpotential2014")
    bare = replace(shape, baryons="none")
    from haloassay.contracts.profiles import mwpotential2014_baryons_mass, virial_mass

    r = np.array([8.0, 190.0])
    np.testing.assert_allclose(shape.mass(r) - bare.mass(r), mwpotential2014_baryons_mass(r))
    np.testing.assert_allclose(bare.mass(190.0), virial_mass(190.0, 67.8))


def test_what_cannot_be_determined_is_said(scale_free):
    catalogue = scale_free(300, seeded(12))
    assert "a + gamma - 2 beta is not positive" in masses(catalogue, alpha=-1.0, beta=0.9)[0].note
    rows = masses(catalogue, alpha=-3.5, bins=[1, 4, 10, 100])
    assert "too few stars: 0" in rows[0].note
    columns = {f"v{axis}_err": np.full(300, 3000.0) for axis in "xyz"}
    rng = seeded(13)
    for axis in "xyz":
        columns[f"v{axis}"] = catalogue[f"v{axis}"] + 3000.0 * rng.standard_normal(300)
    noisy = Catalogue({**catalogue.columns, **columns})
    assert "velocity errors are larger than the dispersion" in masses(noisy, alpha=-3.5)[0].note


def test_known_shape_needs_radial_velocities():
    with pytest.raises(InputError, match="shape: needs data"):
        make_estimator({"kind": "tracer-mass", "alpha": -3, "data": "r-v", "shape": {"r_s": 1.0}})
