from __future__ import annotations

import numpy as np
import pytest
from halo_samples import power_law_radii
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.interpolate import CubicSpline
from seeds import seeded

from haloassay.base.constants import G
from haloassay.base.errors import InputError
from haloassay.contracts.catalogue import Catalogue
from haloassay.contracts.profiles import nfw_shape, virial_mass
from haloassay.estimators import make_estimator
from haloassay.estimators.bins import DensitySlope
from haloassay.estimators.halo.baryons import baryons_mass
from haloassay.estimators.halo.boundary import log_variance
from haloassay.estimators.halo.jeans import jeans_tables
from haloassay.estimators.halo.tracer_averages import Bounded, KnownShape
from haloassay.estimators.nfw_tracer import NFWTracer, concentration
from haloassay.mocks import make_mock
from haloassay.mocks.surveys.survey import make_survey

ALPHA, BETA, R_S, M_S, EDGES = -3.3, 0.4, 15.0, 5e11, (5.0, 80.0)


def mass(r, baryons="none"):
    return M_S * nfw_shape(np.asarray(r) / R_S) + baryons_mass(baryons, r)


def sigma_r(r, baryons="none"):
    """Radial dispersion at one radius [kpc] by adaptive quadrature."""

    def integrand(x):
        s = r * np.exp(x)
        return np.exp(x * (ALPHA + 2.0 * BETA - 1.0)) * G * float(mass(s, baryons)) / r

    return np.sqrt(quad(integrand, 0.0, 60.0, limit=200, epsrel=1e-7)[0])


@pytest.fixture(scope="module", params=["none", "mwpotential2014"])
def halo(request):
    grid = np.geomspace(*EDGES, 25)
    log_sigma = CubicSpline(np.log(grid), np.log([sigma_r(r, request.param) for r in grid]))

    def draw(n, rng, make):
        r = power_law_radii(n, ALPHA, *EDGES, rng)
        radial = np.exp(log_sigma(np.log(r)))
        ratio = np.array([1.0, np.sqrt(1.0 - BETA), np.sqrt(1.0 - BETA)])
        return make(r, radial[:, None] * ratio, rng)

    return draw, request.param


def rows_of(catalogue, seed=0, **spec):
    spec = {"kind": "nfw-tracer", "alpha": ALPHA, "r_range": list(EDGES), **spec}
    return make_estimator(spec).estimate(catalogue, seeded(seed))


def test_jeans_tables_against_quadrature():
    x = np.log(np.geomspace(*EDGES, 200))
    for baryons in ("none", "zhai2018"):
        table = jeans_tables(x, DensitySlope((ALPHA,)), [0.0, BETA], np.array([3.0, R_S]), baryons)[
            1
        ]
        variance = G * M_S * table[:, 1] + table[:, 2]
        for k in (0, 77, 199):
            np.testing.assert_allclose(
                np.sqrt(variance[k]), sigma_r(np.exp(x[k]), baryons), rtol=1e-4
            )


def test_tables_know_a_break_of_the_density():
    density = DensitySlope((-2.8, -4.6), (17.0,))
    x = np.log(np.geomspace(5.0, 12.0, 50))  # the break is outside the sample
    found = jeans_tables(x, density, [0.0], np.array([R_S]), "none")[0, 0, 0]

    def integrand(t):
        s = 5.0 * np.exp(t)
        return np.exp(density.log_density(s) - density.log_density(5.0)) * nfw_shape(s / R_S) / s

    wanted = (
        quad(integrand, 0.0, np.log(17.0 / 5.0))[0] + quad(integrand, np.log(17.0 / 5.0), 30.0)[0]
    )
    np.testing.assert_allclose(found, wanted, rtol=1e-4)


def test_tracer_norm_is_that_of_a_known_shape(gaussian_catalogue, halo):
    draw, _ = halo
    catalogue = draw(2000, seeded(1), gaussian_catalogue)
    shape = KnownShape(r_s=R_S)
    v_r = catalogue.spherical_velocity[:, 0]
    known = Bounded(
        catalogue.r, v_r, False, BETA, DensitySlope((ALPHA,)), shape, EDGES, np.array([30.0])
    )
    sample = NFWTracer(
        alpha=ALPHA, beta=BETA, r_range=EDGES, r_s_range=(R_S / 4.0, R_S * 4.0), n_shapes=5
    )._sample(catalogue)
    rows = seeded(2).integers(2000, size=2000)
    design, at_edges = (np.vander(np.log(r) - 3.0, 3, increasing=True) for r in (sample.r, EDGES))
    measured = np.exp(at_edges @ log_variance(design[rows], v_r[rows] ** 2))
    # as if there were no halo beyond what was measured at the edges, whose term is then that of the measured
    given_there = np.column_stack([np.zeros((2, 5)), measured])
    norm = sample.tracer_norm(rows, v_r[rows] ** 2, BETA, given_there)[2]
    np.testing.assert_allclose(norm / G * nfw_shape(30.0 / R_S), known(rows)[0], rtol=1e-6)


def test_a_break_of_the_density_leaves_no_bias():
    """Dispersions at the edges that a parabola through all stars gives are 10 per cent off there, and M(<10 kpc) 5."""
    density = {"slopes": [-2.8, -4.6], "breaks": [20.0]}
    mock = make_mock(
        {
            "kind": "local-jeans-gaussian",
            "potential": {"kind": "nfw", "m200": 1e12, "c": 12.0},
            "density": {"kind": "broken-power-law", **density},
            "beta": {"kind": "constant", "beta": 0.5},
        }
    )
    survey = make_survey({"n_stars": 6000, "r_min": EDGES[0], "r_max": EDGES[1]})
    truth = float(mock.potential.enclosed_mass(10.0))
    off = []
    for k in range(12):
        catalogue = survey.observe(mock, seeded(12, k), seeded(13, k)).catalogue
        rows = rows_of(catalogue, alpha=density, r_out=[10.0], n_bootstrap=2)
        off.append(rows.of("enclosed_mass")[0].value / truth - 1.0)
    error = np.std(off, ddof=1) / np.sqrt(len(off))
    assert error < 0.01
    assert abs(np.mean(off)) < 4.0 * error


def test_edges_far_beyond_the_stars_are_no_trouble(halo, gaussian_catalogue):
    """There is next to nothing at them, by the Jeans equation, whatever a curve through the stars comes to."""
    draw, baryons = halo
    catalogue = draw(2000, seeded(14), gaussian_catalogue)
    near, far = (
        rows_of(catalogue, r_range=[EDGES[0], outer], r_out=[20.0], baryons=baryons).rows[0].value
        for outer in (EDGES[1], 1e6)
    )
    assert far == pytest.approx(near, rel=0.2)
    assert rows_of(catalogue, r_range=[EDGES[0], 1e9], r_out=[20.0]).rows[0].value < 2.0 * near


#: What has nothing to do with baryons.
ALONE = pytest.mark.parametrize("halo", ["none"], indirect=True)

#: Each kind of baryons, and each normalisation; what the tracer mean makes of baryons is in the virial numbers.
BOTH = pytest.mark.parametrize(
    ("halo", "normalisation"),
    [("none", "tracer"), ("mwpotential2014", "likelihood")],
    indirect=["halo"],
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("halo", "normalisation"),
    [("none", "tracer"), ("mwpotential2014", "likelihood")],
    indirect=["halo"],
)
def test_bias_and_coverage(halo, gaussian_catalogue, normalisation):
    draw, baryons = halo
    runs, radii = 40, (10.0, 25.0, 60.0)
    off, covered = [], []
    for k in range(runs):
        catalogue = draw(300, seeded(3, k), gaussian_catalogue)
        spec = {"baryons": baryons, "normalisation": normalisation, "n_bootstrap": 60}
        rows = rows_of(catalogue, seed=k, r_out=list(radii), **spec).of("enclosed_mass")
        truth = mass(radii, baryons)
        off.append([row.value / t - 1.0 for row, t in zip(rows, truth, strict=True)])
        covered.append([row.lo68 < t < row.hi68 for row, t in zip(rows, truth, strict=True)])
    scatter = np.std(off, axis=0, ddof=1)
    # a ratio's own bias is of the order of the square of its scatter
    assert np.all(np.abs(np.mean(off, axis=0)) < 4.0 * scatter / np.sqrt(runs) + scatter**2)
    share = np.mean(covered, axis=0)
    assert np.all(np.abs(share - 0.68) < 4.0 * np.sqrt(0.68 * 0.32 / runs))


def test_virial_numbers(halo, gaussian_catalogue):
    draw, baryons = halo
    catalogue = draw(10000, seeded(4), gaussian_catalogue)
    rows = rows_of(catalogue, baryons=baryons, n_bootstrap=50, n_shapes=15)
    c200 = float(concentration(M_S / R_S**3, 67.8))
    m200 = M_S * float(nfw_shape(c200))
    np.testing.assert_allclose(m200, virial_mass(c200 * R_S, 67.8), rtol=1e-5)
    for quantity, truth in (("m200", m200), ("r200", c200 * R_S), ("c200", c200)):
        (row,) = rows.of(quantity)
        # 50 bootstraps know the error to a tenth
        assert abs(row.value - truth) < 4.0 * 1.4 * 0.5 * (row.hi68 - row.lo68)
        assert row.hi68 - row.lo68 < 0.5 * truth


@ALONE
def test_a_wrong_density_is_caught(halo, gaussian_catalogue):
    draw, baryons = halo
    catalogue = draw(15000, seeded(5), gaussian_catalogue)
    spec = {"beta": BETA, "r_out": [25.0], "n_bootstrap": 50, "n_shapes": 15, "baryons": baryons}
    right = rows_of(catalogue, **spec).rows[0]
    wrong = rows_of(catalogue, **{**spec, "alpha": ALPHA - 0.4}).rows[0]
    error = 0.5 * (right.hi68 - right.lo68)
    assert abs(right.value - mass(25.0, baryons)) < 4.0 * 1.4 * error
    assert abs(wrong.value - mass(25.0, baryons)) > 4.0 * 1.4 * error


@BOTH
def test_measurement_errors_are_taken_off(halo, gaussian_catalogue, normalisation):
    draw, baryons = halo
    off, raw = [], []
    runs = 12
    for k in range(runs):
        rng = seeded(6, k)
        clean = draw(1500, rng, gaussian_catalogue)
        columns = dict(clean.columns)
        for axis in "xyz":
            columns[f"v{axis}"] = columns[f"v{axis}"] + 50.0 * rng.standard_normal(1500)
        errors = {f"v{axis}_err": np.full(1500, 50.0) for axis in "xyz"}
        spec = {"baryons": baryons, "n_bootstrap": 2, "r_out": [25.0], "beta": BETA, "n_shapes": 15}
        spec["normalisation"] = normalisation
        # what is left in is far larger than its scatter
        for found, more in ((off, errors), (raw, {}))[: 2 if k < 4 else 1]:
            row = rows_of(Catalogue({**columns, **more}), **spec).rows[0]
            found.append(row.value / mass(25.0, baryons) - 1.0)
    mcse = np.std(off, ddof=1) / np.sqrt(runs)
    assert abs(np.mean(off)) < 4.0 * mcse + 0.003
    assert np.mean(raw) > 4.0 * mcse + 0.003


@ALONE
def test_selection_in_radius_touches_only_the_tracer_mean(halo, gaussian_catalogue):
    draw, baryons = halo
    off = {"likelihood": [], "tracer": []}
    for k in range(12):
        rng = seeded(7, k)
        catalogue = draw(6000, rng, gaussian_catalogue)
        seen = catalogue.select(rng.random(6000) < 5.0 / catalogue.r)
        for normalisation, found in off.items():
            spec = {"baryons": baryons, "r_out": [25.0], "n_bootstrap": 2, "beta": BETA}
            row = rows_of(seen, normalisation=normalisation, **spec).rows[0]
            found.append(row.value / mass(25.0, baryons) - 1.0)
    mcse = np.std(off["likelihood"], ddof=1) / np.sqrt(12)
    assert abs(np.mean(off["likelihood"])) < 4.0 * mcse
    apart = np.array(off["tracer"]) - np.array(off["likelihood"])
    assert abs(apart.mean()) > 4.0 * np.std(apart, ddof=1) / np.sqrt(12)


@given(st.floats(0.2, 5.0), st.floats(0.0, 6.0), st.randoms())
@settings(max_examples=4, deadline=None)
def test_units_and_rotation(k, angle, random):
    rng = seeded(8)
    toward = rng.standard_normal((200, 3))
    toward /= np.linalg.norm(toward, axis=1)[:, None]
    x = toward * power_law_radii(200, ALPHA, *EDGES, rng)[:, None]
    v = 100.0 * rng.standard_normal((200, 3))
    c, s = np.cos(angle), np.sin(angle)
    turn = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])

    def found(x, v, order):
        columns = np.hstack([x, v])[order].T
        names = ("x", "y", "z", "vx", "vy", "vz")
        stars = Catalogue.from_arrays(**dict(zip(names, columns, strict=True)))
        return rows_of(stars, r_out=[25.0], n_bootstrap=20, n_shapes=9).rows[0]

    order = list(range(200))
    before, after = found(x, v, order), found(x @ turn.T, k * v @ turn.T, order)
    for name in ("value", "lo68", "hi68"):
        np.testing.assert_allclose(getattr(after, name), k * k * getattr(before, name), rtol=1e-6)
    random.shuffle(order)
    np.testing.assert_allclose(found(x, v, order).value, before.value, rtol=1e-6)


def test_what_cannot_be_determined_is_said(gaussian_catalogue):
    rng = seeded(9)
    r = power_law_radii(300, ALPHA, *EDGES, rng)
    stars = gaussian_catalogue(r, np.tile([100.0, 80.0, 80.0], (300, 1)), rng)
    for row in rows_of(stars.select(np.arange(29))):
        assert "too few stars: 29, at least 30" in row.note
    slow = gaussian_catalogue(r, np.tile([10.0, 8.0, 8.0], (300, 1)), rng)
    assert "its mass is not positive" in rows_of(slow, baryons="mwpotential2014").rows[0].note
    assert "falls too slowly" in rows_of(stars, alpha=-0.5, beta=0.5).rows[0].note
    noisy = Catalogue({**stars.columns, **{f"v{a}_err": np.full(300, 3000.0) for a in "xyz"}})
    assert "errors are too large to resolve sigma_r" in rows_of(noisy).rows[0].note
    narrow = rows_of(stars, r_s_range=[0.1, 0.2])
    assert not narrow.of("enclosed_mass")[0].note
    assert "do not bound r_s" in narrow.of("m200")[0].note


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"beta": 1.0}, "beta: below 1"),
        ({"r_s_range": [20.0, 5.0]}, "r_s_range: radii ascend"),
        ({"r_range": [5.0, 10.0, 20.0]}, "r_range: two radii"),
        ({"n_shapes": 2}, "n_shapes"),
        ({"r_out": [0.0]}, "r_out: positive"),
        ({"baryons": "some"}, "baryons"),
    ],
)
def test_bad_settings(spec, message):
    with pytest.raises(InputError, match=message):
        make_estimator({"kind": "nfw-tracer", "alpha": ALPHA, **spec})
