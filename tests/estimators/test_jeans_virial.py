from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from halo_samples import scaled_velocities
from scipy.integrate import quad
from seeds import seeded

from haloassay.base.constants import G
from haloassay.base.errors import EstimationError, InputError
from haloassay.contracts.catalogue import Catalogue
from haloassay.contracts.frames import galactocentric_to_heliocentric
from haloassay.estimators import jeans_virial, make_estimator
from haloassay.estimators.bins import DensitySlope
from haloassay.estimators.fit.density import DensityFit, fit_density
from haloassay.estimators.fit.posterior import EmceeRun
from haloassay.estimators.fit.tracer_velocities import TracerVelocities
from haloassay.estimators.halo.jeans_moments import Moments, Tracers
from haloassay.mocks.surveys.stated import StatedSelection
from haloassay.mocks.surveys.survey import make_survey

RADII = (8.0, 15.0, 30.0)
PLUMMER = {"slopes": [-0.001, -5.0], "breaks": [0.1], "width": 0.5}


def rows_of(catalogue, seed=0, **spec):
    estimator = make_estimator({"kind": "jeans-virial", "alpha": -3.5, "r": list(RADII), **spec})
    return estimator.estimate(catalogue, seeded(seed))


def model(radii, knots, density, anisotropy="constant", projected=False, whole=False):
    where = np.asarray(radii, dtype=float)[:, None], np.log(knots)
    return Moments.of(*where, Tracers.held(density), anisotropy, 2.0, projected, whole)


def test_dispersions_of_a_scale_free_halo():
    """M ~ r^0.5: sigma_r^2 = v_c^2 / (0.5 - alpha - 2 beta), exactly."""
    beta, radii = 0.4, (5.0, 12.0, 60.0)
    made = model(radii, (5.0, 60.0), DensitySlope((-3.5,)))
    point = np.array([[np.log(1e11), 0.5, 0.5, beta / (2.0 - beta)]])
    found = made.variances(made.radial(point), ("r", "t"))[0]
    mass = 1e11 * np.sqrt(np.array(radii) / 12.0)
    sigma2 = G * mass / np.array(radii) / (0.5 + 3.5 - 2.0 * beta)
    np.testing.assert_allclose(found, np.column_stack([sigma2, (1.0 - beta) * sigma2]), rtol=2e-6)


def test_projected_dispersions_of_a_plummer_sphere():
    """An isotropic Plummer sphere in its own mass: sigma_los^2 = (3 pi / 64) G M / sqrt(R^2 + a^2), on every line."""
    radii = np.array([0.3, 1.0, 2.5])
    density = DensitySlope((-1e-6, -5.0), (1.0,), 0.5)
    knots = np.geomspace(0.01, 30.0, 60)
    slopes = 3.0 / (1.0 + knots**2)
    made = model(radii, knots, density, projected=True, whole=True)
    at_pivot = 1e10 * (1.0 + 1.0) ** -1.5
    point = np.array([[np.log(at_pivot), *slopes, 0.0]])
    state = made.radial(point)
    exact = 3.0 * np.pi / 64.0 * G * 1e10 / np.sqrt(radii**2 + 1.0)
    for component in ("los", "R", "T"):
        found = made.variances(state, (component,))[0, :, 0]
        np.testing.assert_allclose(found, exact, rtol=0.01)

    def fourth(r):  # sigma^2 = G M / (6 sqrt(1 + r^2)), M = r^3 (1 + r^2)^-3/2
        s = 1.0 + r * r
        return s**-2.5 * r**2 * 5.0 * (G * 1e10) ** 2 / (6.0 * np.sqrt(s)) * r**2 * s**-1.5

    norm = quad(lambda r: r * r * (1.0 + r * r) ** -2.5, 0.0, np.inf)[0]
    expected = quad(fourth, 0.0, np.inf)[0] / norm
    np.testing.assert_allclose(made.virial(state)[0], expected, rtol=0.01)


def test_anisotropy_of_osipkov_and_merritt():
    """A change from 0 to 1 of sharpness 2 has f = 1 + r^2 / r_a^2."""
    made = model((5.0, 10.0, 20.0), (5.0, 20.0), DensitySlope((-3.5,)), "changing")
    point = np.array([[25.0, 1.0, 1.0, 0.0, 1.0 - 1e-9, np.log(10.0)]])
    x = np.log([5.0, 10.0, 20.0])
    np.testing.assert_allclose(made.beta(point, x)[0], [0.2, 0.5, 0.8], atol=1e-6)
    _, variance, _, _ = made.radial(point)

    def pressure(r):
        mass = np.exp(25.0) * r / 10.0
        return r**-3.5 * (1.0 + (r / 10.0) ** 2) * G * mass / r**2

    for r in (5.0, 20.0):
        sigma2 = quad(pressure, r, np.inf)[0] / (r**-3.5 * (1.0 + (r / 10.0) ** 2))
        assert np.exp(np.interp(np.log(r), made.x, variance[0])) == pytest.approx(sigma2, rel=1e-3)


@pytest.mark.long
def test_bias_and_coverage_where_mass_and_density_are_powers(scale_free, scale_free_mass):
    runs = 40
    truths = np.array([*scale_free_mass(RADII), *[0.5] * 3])
    value, spread, covered = [], [], []
    for k in range(runs):
        stars = scale_free(600, seeded(1, k), beta=0.5)
        rows = rows_of(stars, k, n_draws=400)
        judged = [*rows.of("enclosed_mass"), *rows.of("beta")]
        value.append([row.value for row in judged])
        spread.append([np.std(row.draws) for row in judged])
        covered.append([r.lo68 < t < r.hi68 for r, t in zip(judged, truths, strict=True)])
    off = (np.array(value) - truths) / np.mean(spread, axis=0)
    assert np.all(np.abs(off.mean(axis=0)) < 4.0 / np.sqrt(runs) + 0.1)
    assert np.all(np.abs(off.std(axis=0) - 1.0) < 4.0 / np.sqrt(2.0 * runs))
    share = np.mean(covered, axis=0)
    assert np.all(np.abs(share - 0.68) < 4.0 * np.sqrt(0.68 * 0.32 / runs))


def test_errors_of_velocities_are_taken_out(scale_free, scale_free_mass):
    rng = seeded(3)
    stars = scale_free(4000, rng, beta=0.0)
    columns = dict(stars.columns)
    for axis in "xyz":
        columns[f"v{axis}"] = columns[f"v{axis}"] + 100.0 * rng.standard_normal(len(stars))
        columns[f"v{axis}_err"] = np.full(len(stars), 100.0)
    for row, truth in zip(
        rows_of(Catalogue(columns)).of("enclosed_mass"), scale_free_mass(RADII), strict=True
    ):
        assert row.lo95 - 2.0 * (row.value - row.lo95) < truth
        assert truth < row.hi95 + 2.0 * (row.hi95 - row.value)
        assert row.hi68 - row.lo68 < 0.3 * truth


def columns_of(stars, *names):
    return Catalogue.from_arrays(**{name: stars[name] for name in names})


def seen_from_the_sun(stars):
    """Directions, distances and line-of-sight velocities, no proper motions."""
    seen = galactocentric_to_heliocentric(stars.position, stars.velocity, stars.sun)
    return Catalogue.from_arrays(**{k: seen[k] for k in ("ra", "dec", "distance", "vlos")})


def test_the_dispersion_along_a_line_of_sight_is_of_both_components(scale_free):
    """As the model has it: sigma_los^2 = sigma_r^2 (1 - beta sin^2) with the angle to the radius, of all the stars."""
    stars = scale_free(200000, seeded(21), beta=0.6, edges=(5.0, 14.0))
    seen = TracerVelocities.of(seen_from_the_sun(stars), "vlos")
    squares = seen.v[:, 0] ** 2 / (200.0**2 * (seen.r / 10.0) ** -0.5 / (0.5 + 3.5 - 1.2))
    for part in np.array_split(np.argsort(seen.across), 8):
        error = np.std(squares[part]) / np.sqrt(len(part))
        assert abs(np.mean(squares[part]) - (1.0 - 0.6 * np.mean(seen.across[part]))) < 4.0 * error
    assert np.ptp(seen.across) > 0.9


def test_line_of_sight_velocities_about_the_sun_are_enough(scale_free, scale_free_mass):
    stars = scale_free(10000, seeded(22), beta=0.5)
    spec = {"data": "vlos", "n_draws": 400}
    alone = rows_of(seen_from_the_sun(stars), **spec)
    for row, truth in zip(alone.of("enclosed_mass"), scale_free_mass(RADII), strict=True):
        assert row.lo95 < truth < row.hi95
        assert 0.02 * truth < row.hi68 - row.lo68 < 2.0 * truth
    for row, same in zip(alone, rows_of(stars, **spec), strict=True):  # which the Sun sees, too
        assert row.value == pytest.approx(same.value, rel=1e-6, nan_ok=True)


@pytest.mark.parametrize(
    ("data", "read"),
    [("los", ("vz",)), ("proper-motions", ("vx", "vy")), ("projected", "velocity")],
)
def test_what_is_not_read_need_not_be_there(scale_free, data, read):
    """Of an observer far away: neither z nor the other velocities, whatever they are."""
    stars = scale_free(600, seeded(23))
    moving = ("vx", "vy", "vz") if read == "velocity" else read
    method = make_estimator({"kind": "jeans-virial", "alpha": -3.5, "data": data})
    assert method.required() == ((read,) if isinstance(read, str) else read)
    flat = Catalogue({**columns_of(stars, "x", "y", *moving).columns, "z": np.zeros(600)})
    spec = {"data": data, "n_draws": 200}
    for row, same in zip(rows_of(flat, **spec), rows_of(stars, **spec), strict=True):
        np.testing.assert_equal(row.value, same.value)
    for name in moving:
        with pytest.raises(InputError, match=name):
            rows_of(Catalogue({k: v for k, v in flat.columns.items() if k != name}), **spec)


def cusp_mass(r):
    return 4.0 * np.pi * 6.4e7 * (np.log1p(r) - r / (1.0 + r))


@pytest.mark.parametrize(
    ("data", "virial_shape"),
    [("6d", "none"), ("6d", "first"), ("proper-motions", "none"), ("los", "first")],
)
def test_gaia_challenge_cusped_halo(shared_data, data, virial_shape):
    """1000 stars, of which every sort of data finds mass and anisotropy."""
    table = np.loadtxt(shared_data / "gaia-challenge" / "PlumCuspOm_df_1000_0.dat")
    names = ("x", "y", "z", "vx", "vy", "vz")
    stars = Catalogue.from_arrays(**dict(zip(names, table.T, strict=True)))
    spec = {"data": data, "virial_shape": virial_shape, "anisotropy": "changing"}
    rows = rows_of(stars, 1, alpha=PLUMMER, r=[0.1, 0.2, 0.4], **spec)
    r = np.array([0.1, 0.2, 0.4])
    for quantity, truths in (("enclosed_mass", cusp_mass(r)), ("beta", r**2 / (r**2 + 0.01))):
        for row, truth in zip(rows.of(quantity), truths, strict=True):
            middle, half = 0.5 * (row.lo95 + row.hi95), 0.5 * (row.hi95 - row.lo95)
            assert abs(truth - middle) < 2.0 * half, (quantity, row.r)
    assert np.ptp(rows.of("enclosed_mass")[0].draws) < 3.0 * cusp_mass(0.1)


def test_no_virial_mass_where_the_stars_do_not_reach(scale_free):
    stars = scale_free(1500, seeded(5), edges=(5.0, 60.0))
    (row,) = rows_of(stars).of("m200")
    assert "not within the radii" in row.note


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"knots": 1}, "knots: from 2 to 12"),
        ({"n_bins": 2}, "n_bins: 0, or 3 or more"),
        ({"min_stars": 20}, "min_stars: at least 100"),
        ({"data": "projected", "virial_shape": "first"}, "virial_shape: with data"),
        ({"virial_shape": "first", "alpha": -2.5}, "virial_shape: alpha below -3"),
        ({"virial_shape": "first"}, "virial_shape: alpha above -3 inside"),
        ({"virial_shape": "first", "alpha": -3.0}, "virial_shape: alpha below -3"),
        (
            {"virial_shape": "first", "alpha": {"slopes": [-3.0, -5.0], "breaks": [20.0]}},
            "virial_shape: alpha above -3 inside",
        ),
        ({"fit_density": {}, "data": "los"}, "fit_density: with data"),
        ({"emcee": {"walkers": 11, "steps": 60, "burn": 5}}, "emcee: walkers: at least 12"),
        ({"h0": 0.7}, "h0: 20 to 200"),
    ],
)
def test_settings_are_named(spec, message):
    with pytest.raises(InputError, match=message):
        make_estimator({"kind": "jeans-virial", "alpha": -3.5, **spec})


@pytest.mark.parametrize("anisotropy", ["constant", "changing"])
@pytest.mark.parametrize(
    ("factors", "note"),
    [
        ((1.0, 0.03, 0.03), "the stars do not bound beta: its posterior reaches 0.9995"),
        ((0.03, 1.0, 1.0), "the stars do not bound beta: its posterior reaches -38"),
    ],
)
def test_an_anisotropy_at_the_end_of_its_prior_leaves_no_mass(
    scale_free, factors, note, anisotropy
):
    stars = scaled_velocities(scale_free(300, seeded(1), v0=40.0), factors)
    rows = rows_of(stars, anisotropy=anisotropy)
    assert {row.note for row in rows if row.quantity in ("enclosed_mass", "v_c", "beta")} == {note}
    assert not any(np.isfinite(row.value) for row in rows)


def test_no_virial_mass_of_an_anisotropy_at_the_end_of_its_prior(scale_free):
    stars = scaled_velocities(scale_free(300, seeded(1), v0=40.0), (1.0, 0.07, 0.07))
    for quantity in ("m200", "r200"):
        (row,) = rows_of(stars).of(quantity)
        assert row.note == "the stars do not bound beta: its posterior reaches 0.9995"


def test_one_star_that_hides_the_speeds_of_all_leaves_no_mass(scale_free):
    stars = scale_free(300, seeded(1))
    factor = np.ones((300, 1))
    factor[7] = 1e4
    notes = {row.note for row in rows_of(scaled_velocities(stars, factor))}
    assert notes == {"the stars do not bound the mass: its posterior reaches the end of its prior"}


def test_virial_mass_within_the_stars(scale_free):
    """v_c^2 = v0^2 (r / 10)^-0.5 is 100 H^2 r^2 at r200."""
    stars = scale_free(3000, seeded(2), v0=40.0)
    square = 1e4 * (67.8e-3) ** 2 / 1e2
    r200 = (40.0**2 * np.sqrt(10.0) / square) ** 0.4
    mass = 40.0**2 * np.sqrt(10.0 * r200) / G
    for quantity, truth in (("m200", mass), ("r200", r200)):
        (row,) = rows_of(stars).of(quantity)
        assert abs(row.value - truth) < 4.0 * 0.5 * (row.hi68 - row.lo68), (quantity, truth)
        assert row.hi68 - row.lo68 < 0.2 * truth


def test_baryons_are_taken_off_the_virial_mass(scale_free):
    stars = scale_free(300, seeded(2), edges=(5.0, 400.0))
    (whole,), (dark,) = (rows_of(stars, baryons=b).of("m200") for b in ("none", "zhai2018"))
    assert dark.value < 0.9 * whole.value


def surveyed(scale_free, n):
    """Sample with the selection function of a survey that sees all between 5 and 100 kpc."""
    stars = scale_free(n, seeded(4), beta=0.3)
    survey = make_survey({"n_stars": n, "r_min": 5.0, "r_max": 100.0})
    return replace(stars, selection=StatedSelection.of(survey, stars.sun))


def test_a_fitted_density_is_used_with_its_error(scale_free):
    """A narrow shell knows the slope to 0.6 only: that is most of the error of the mass."""
    stars = surveyed(scale_free, 400)
    shell = DensityFit(r_range=(8.0, 14.0))
    drawn = fit_density(stars, DensitySlope((-2.0,)), shell, 4000, seeded(1)).draws[:, 0]
    fitted = rows_of(stars, alpha=-2.0, fit_density={"r_range": [8.0, 14.0]})
    held = rows_of(stars, alpha=float(np.median(drawn)))
    for one, same in zip(fitted.of("enclosed_mass"), held.of("enclosed_mass"), strict=True):
        assert one.value == pytest.approx(same.value, rel=0.2)
        assert np.std(np.log(one.draws)) > 2.0 * np.std(np.log(same.draws))


def test_a_fitted_density_without_a_virial_moment_is_told(scale_free):
    shape = {"slopes": [-2.0, -4.0], "breaks": [20.0], "width": 0.1}
    stars = surveyed(scale_free, 400)
    rows = rows_of(stars, alpha=shape, fit_density={}, virial_shape="first")
    assert all("has no virial moment" in row.note for row in rows)


def test_the_length_of_the_fallbacks_chain_is_the_users(scale_free, monkeypatch):
    asked = []

    def told(*args, emcee, **named):
        asked.append(emcee)
        raise EstimationError("enough")

    monkeypatch.setattr(jeans_virial, "explore", told)
    run = {"walkers": 12, "steps": 70, "burn": 10}
    rows_of(scale_free(300, seeded(1)), emcee=run)
    assert asked == [EmceeRun(**run)]
