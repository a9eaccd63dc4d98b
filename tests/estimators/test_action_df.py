from __future__ import annotations

from dataclasses import replace

import action_samples as own
import numpy as np
import pytest
import roulette_samples as halo
from error_draws import error_draws
from hierarchical_samples import observed
from scipy.integrate import quad
from seeds import seeded

from haloassay.base.constants import G
from haloassay.base.errors import InputError
from haloassay.contracts.catalogue import Catalogue
from haloassay.estimators import make_estimator
from haloassay.estimators.action_df import ActionDF
from haloassay.estimators.fit.mean_field import MeanField
from haloassay.estimators.halo.actions import (
    PotentialGrid,
    log_df,
    log_df_of,
    moments,
    radial_actions,
)
from haloassay.estimators.halo.baryons import baryons_mass

RADII = (8.0, 17.0, 40.0)
TRUTH = [np.log(own.mass(17.0)), np.log(halo.R_S), 1.5, 5.5, np.log(3000.0), 1.4, 1.0]


@pytest.fixture(scope="module")
def sample():
    return own.stars(1500, seeded(1))


def rows_of(catalogue, seed=0, **spec):
    spec = {"kind": "action-df", "r_range": list(own.EDGES), "n_draws": 400, **spec}
    return make_estimator(spec).estimate(catalogue, seeded(seed))


def truth_of(row):
    known = {"m200": own.M200, "c200": own.C200, "r200": own.R200}
    if row.quantity == "beta":
        return own.true_beta(row.r)
    return float(own.mass(row.r)) if row.quantity == "enclosed_mass" else known[row.quantity]


def deviation(row, truth):
    return abs(row.value - truth) / (0.5 * (row.hi68 - row.lo68))


def radial_action(energy, momentum, table):
    """Of one orbit."""
    return radial_actions(np.array([energy]), np.array([[momentum]]), table)[0, 0]


def bound_stars(n, rng):
    """ln r, v^2 / 2, L of stars of all speeds up to 0.97 of that of escape."""
    r = 5.0 * 12.0 ** rng.random(n)
    v, angle = own.escape(r) * 0.97 * rng.random(n), 0.5 * np.pi * rng.random(n)
    return r, v, r * v * np.sin(angle)


def test_radial_actions_against_quadrature():
    table = own.table()
    for r, v, momentum in zip(*bound_stars(60, seeded(2)), strict=True):
        energy = float(halo.potential(r)) + 0.5 * v * v
        lo, hi = (halo.turning(r, end, energy, momentum) for end in (1e-6, 1e6))
        middle, half = 0.5 * (lo + hi), 0.5 * (hi - lo)

        def speed(a, middle=middle, half=half, energy=energy, momentum=momentum):
            square = halo.radial_square(middle - half * np.cos(a), energy, momentum)
            return half * np.sin(a) * np.sqrt(max(square, 0.0))

        wanted = quad(speed, 0.0, np.pi, limit=400)[0] / np.pi
        found = radial_action(energy, momentum, table)
        assert abs(found - wanted) < 2e-3 * (wanted + momentum)


def test_actions_with_baryons_are_those_of_their_sum():
    """By the integral over a potential that is tabulated by itself."""
    table = PotentialGrid("mwpotential2014", 5.0).table(halo.M_S, halo.R_S)
    x = np.linspace(np.log(1e-4), np.log(1e7), 50_001)
    force = G * (own.mass(np.exp(x)) + baryons_mass("mwpotential2014", np.exp(x))) / np.exp(x)
    phi = np.concatenate([[0.0], np.cumsum(0.5 * (force[1:] + force[:-1]) * np.diff(x))])
    phi -= phi[-1] + force[-1]
    for r, v_r, v_t in ((6.0, 100.0, 150.0), (20.0, 180.0, 30.0), (50.0, 50.0, 100.0)):
        energy = np.interp(np.log(r), x, phi) + 0.5 * (v_r**2 + v_t**2)
        square = np.maximum(2.0 * (energy - phi) - (r * v_t * np.exp(-x)) ** 2, 0.0)
        wanted = np.sum(np.sqrt(square) * np.exp(x)) * (x[1] - x[0]) / np.pi
        assert radial_action(energy, r * v_t, table) == pytest.approx(wanted, rel=2e-3)


def test_a_star_that_is_not_bound_has_no_density():
    assert radial_action(10.0, 1000.0, own.table()) == np.inf
    assert log_df(np.array([np.inf]), np.array([1000.0]), own.DF)[0] == -np.inf


def test_where_an_orbit_is_sought_does_not_change_its_action():
    """Nodes far off, next to which it was in another potential, and none."""
    r, v, momentum = bound_stars(50, seeded(10))
    energy, momentum = halo.potential(r) + 0.5 * v * v, momentum[:, None]
    wanted = radial_actions(energy, momentum, own.table())
    for start in (0, 150, 319, 10**6):
        near = np.full(50, start)
        for _ in range(2):
            found = radial_actions(energy, momentum, own.table(), near)
            np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("steepness", [1.0, 2.5])
def test_the_distribution_function_is_a_double_power_law(steepness):
    df = np.array([1.5, 5.5, 3000.0, 1.4, 1.0, steepness])
    j_r, momentum = 700.0, 2500.0
    h, g = (c * j_r + 0.5 * (3.0 - c) * momentum for c in (1.4, 1.0))
    inner = (1.0 + (3000.0 / h) ** steepness) ** (1.5 / steepness)
    outer = (1.0 + (g / 3000.0) ** steepness) ** (-5.5 / steepness)
    found = log_df(np.array([j_r]), np.array([momentum]), df)[0]
    assert found == pytest.approx(np.log(inner * outer))


def test_moments_solve_the_jeans_equation():
    """d(rho <v_r^2>) / dr + rho (2 <v_r^2> - <v_t^2>) / r = -rho G M / r^2: of any f of J in any potential."""
    x = np.linspace(np.log(4.0), np.log(80.0), 400)
    for baryons in ("none", "zhai2018"):
        table = PotentialGrid(baryons, 4.0).table(halo.M_S, halo.R_S)
        rho, radial, across = moments(x, table, own.DF).T
        left = np.gradient(radial, x) + 2.0 * radial - across
        mass = own.mass(np.exp(x)) + baryons_mass(baryons, np.exp(x))
        ratio = left / (-rho * G * mass / np.exp(x))
        np.testing.assert_allclose(ratio[2:-2], 1.0, atol=3e-3)


def test_drawn_stars_have_the_moments():
    edges = (10.0, 12.0)
    _, v_r, v_t = own.radii_and_speeds(20_000, seeded(3), edges)
    for found, column in ((v_r**2, 1), (v_t**2, 2)):
        inside = moments(np.log(np.array([10.0, 11.0, 12.0])), own.table(), own.DF)
        wanted = np.mean(inside[:, column] / inside[:, 0])
        error = np.std(found) / np.sqrt(len(found))
        assert abs(np.mean(found) - wanted) < 4.0 * error + 0.002 * wanted


@pytest.mark.agama
def test_actions_density_and_dispersions_are_those_of_agama():
    agama = pytest.importorskip("agama", reason="agama cannot be imported")
    agama.setUnits(length=1, velocity=1, mass=1)
    pot = agama.Potential(type="NFW", mass=halo.M_S * G / agama.G, scaleRadius=halo.R_S)
    finder = agama.ActionFinder(pot, interp=False)
    settings = {"slopeIn": 1.5, "slopeOut": 5.5, "J0": 3000.0, "steepness": 1.0}
    settings |= {"coefJrIn": 1.4, "coefJzIn": 0.8, "coefJrOut": 1.0, "coefJzOut": 1.0}
    df = agama.DistributionFunction(type="DoublePowerLaw", norm=1.0, **settings)
    r, v, momentum = bound_stars(1000, seeded(4))
    v_t = momentum / r
    zero = np.zeros_like(r)
    v_r = np.sqrt(np.maximum(v**2 - v_t**2, 0.0))
    J = finder(np.column_stack([r, zero, zero, v_r, zero, v_t]))
    energy = halo.potential(r) + 0.5 * v * v
    table = own.table()
    ours = [radial_action(*each, table) for each in zip(energy, momentum, strict=True)]
    np.testing.assert_allclose(ours, J[:, 0], atol=0.0, rtol=4e-3)
    found = log_df_of(np.log(r), 0.5 * v * v, momentum, table, own.DF) - np.log(df(J))
    assert np.ptp(found) < 0.02
    x = np.geomspace(5.0, 60.0, 6)
    at = np.column_stack([x, 0.0 * x, 0.0 * x])
    rho, square = agama.GalaxyModel(pot, df, finder).moments(at, dens=True, vel=False, vel2=True)
    mine = moments(np.log(x), table, own.DF)
    assert np.ptp(np.log(mine[:, 0] / rho)) < 1e-3
    np.testing.assert_allclose(mine[:, 1] / mine[:, 0], square[:, 0], rtol=1e-3)


@pytest.mark.agama
@pytest.mark.slow
def test_the_halo_of_stars_that_agama_draws_is_found():
    agama = pytest.importorskip("agama", reason="agama cannot be imported")
    agama.setUnits(length=1, velocity=1, mass=1)
    agama.setRandomSeed(5)
    pot = agama.Potential(type="NFW", mass=halo.M_S * G / agama.G, scaleRadius=halo.R_S)
    settings = {"slopeIn": 1.5, "slopeOut": 5.5, "J0": 3000.0, "steepness": 1.0}
    settings |= {"coefJrIn": 1.4, "coefJzIn": 0.8, "coefJrOut": 1.0, "coefJzOut": 1.0}
    df = agama.DistributionFunction(type="DoublePowerLaw", norm=1.0, **settings)
    phase = agama.GalaxyModel(pot, df).sample(4000)[0]
    r = np.linalg.norm(phase[:, :3], axis=1)
    phase = phase[(r > own.EDGES[0]) & (r < own.EDGES[1])]
    names = ("x", "y", "z", "vx", "vy", "vz")
    for row in rows_of(Catalogue.from_arrays(**dict(zip(names, phase.T, strict=True)))):
        assert deviation(row, truth_of(row) if row.quantity != "beta" else row.value) < 4.0


def test_actions_are_those_of_galpy():
    galpy = pytest.importorskip("galpy.potential")
    from galpy.actionAngle import actionAngleSpherical

    pot = galpy.NFWPotential(amp=G * halo.M_S, a=halo.R_S)
    finder = actionAngleSpherical(pot=pot)
    table = own.table()
    for r, v, momentum in zip(*bound_stars(6, seeded(6)), strict=True):
        v_t = momentum / r
        v_r = float(np.sqrt(max(v**2 - v_t**2, 0.0)))
        wanted = float(finder(r, v_r, v_t, 0.0, 0.0)[0][0])
        found = radial_action(float(halo.potential(r)) + 0.5 * v * v, momentum, table)
        assert abs(found - wanted) < 4e-3 * (wanted + momentum)


def test_the_halo_of_its_own_stars_is_found(sample):
    rows = rows_of(sample, r_out=list(RADII))
    for row in rows:
        assert deviation(row, truth_of(row)) < 4.0
    mass = rows.of("enclosed_mass")[1]
    assert mass.hi68 - mass.lo68 < 0.12 * mass.value


def test_the_likelihood_is_a_density(sample):
    """Of all stars between the edges, by their integral over radii and velocities."""
    settings = ActionDF(r_range=own.EDGES)
    one = settings._model(sample, seeded(0))
    point = np.array([TRUTH])
    table, df = one.table(point[0])
    x = np.linspace(*np.log(own.EDGES), 2001)
    whole = np.trapezoid(4.0 * np.pi * np.exp(3.0 * x) * moments(x, table, df)[:, 0], x)
    wanted = np.sum(log_df_of(*one._columns, table, df)) - len(sample) * np.log(whole)
    assert one.log_likelihood(point)[0] == pytest.approx(wanted, abs=1e-4 * len(sample))


@pytest.mark.parametrize("position", ["complete", "given"])
def test_scores_of_stars_of_the_model_have_no_mean(position):
    """At the truth, in units of the scatter of the scores: chi^2 with seven degrees of freedom of many stars."""
    stars = own.stars(20_000, seeded(11))
    one = ActionDF(r_range=own.EDGES, position=position)._model(stars, seeded(0))
    truth = np.array([np.log(own.mass(one.pivot)), *TRUTH[1:]])
    steps = np.diag([1e-3, 3e-3, 1e-2, 2e-2, 2e-2, 1e-2, 1e-2])
    scores = np.array([one.each(truth + step) - one.each(truth - step) for step in steps])
    total = scores.sum(axis=1)
    assert total @ np.linalg.solve(scores @ scores.T, total) < 31.0  # 4 sigma


@pytest.mark.slow
def test_places_that_a_survey_leaves_out_do_not_matter_where_they_are_given(sample):
    """Half of the inner stars are not seen: "complete" takes the halo for another, "given" does not."""
    big = own.stars(4000, seeded(7))
    seen = big.select(seeded(8).random(len(big)) < np.clip((big.r - 4.0) / 30.0, 0.03, 1.0))
    given = rows_of(seen, position="given", r_out=list(RADII))
    for row in given.of("enclosed_mass"):
        assert deviation(row, truth_of(row)) < 4.0
    complete = rows_of(seen, r_out=list(RADII))
    off = [deviation(row, truth_of(row)) for row in complete if row.quantity != "beta"]
    assert max(off) > 4.0


def with_errors(catalogue, error, rng):
    """Cartesian velocities with an error that is stated."""
    columns = dict(catalogue.columns)
    for axis in "xyz":
        columns[f"v{axis}"] = columns[f"v{axis}"] + error * rng.standard_normal(len(catalogue))
        columns[f"v{axis}_err"] = np.full(len(catalogue), error)
    return Catalogue.from_arrays(**columns)


@pytest.mark.long
@pytest.mark.slow
def test_errors_that_are_ignored_make_the_halo_too_heavy(sample):
    noisy = with_errors(sample, 50.0, seeded(9))
    fast = {"n_draws": 200, "r_out": [17.0], "n_samples": 20}
    (good,) = rows_of(noisy, errors="convolved", **fast).of("enclosed_mass")
    (bad,) = rows_of(noisy, **fast).of("enclosed_mass")
    assert deviation(good, own.mass(17.0)) < 4.0
    assert bad.value > own.mass(17.0)
    assert deviation(bad, own.mass(17.0)) > 4.0


@pytest.mark.parametrize("position", ["complete", "given"])
@pytest.mark.parametrize(("error", "few"), [(20.0, False), (300.0, True)])
def test_too_few_candidates_are_said(sample, position, error, few):
    stars = with_errors(sample.select(np.arange(200)), error, seeded(10))
    spec = {"errors": "convolved", "n_samples": 16, "n_draws": 100, "position": position}
    rows = rows_of(stars, **spec)
    assert len(rows.rows) == 5
    for row in rows:
        assert ("more (n_samples)" in row.note) == few


def seen_too_far(sample, off):
    """300 stars with errors; the fastest twelve are so many errors too far away besides."""
    stars = observed(sample.select(np.arange(300)), seeded(31), (0.1, 0.05, 10.0))
    fastest = np.argsort(np.linalg.norm(stars.velocity, axis=1))[-12:]
    columns = dict(stars.columns)
    columns["distance"] = stars["distance"].copy()
    columns["distance"][fastest] *= 1.0 + 0.1 * off
    columns["distance_err"] = 0.1 * columns["distance"]
    return Catalogue.from_arrays(**columns), fastest


def with_candidates(stars, n, k):
    return ActionDF(errors="convolved", n_samples=n, min_stars=20)._model(stars, seeded(k))


@pytest.mark.parametrize("off", [0.0, 2.0])
def test_stars_with_errors_against_draws_of_these(sample, off):
    stars, fastest = seen_too_far(sample, off)
    one = with_candidates(stars, 64, 0)
    few = [difference(with_candidates(stars, 256, k))[fastest] for k in range(10)]
    many = []
    for k in range(10):
        x, v, volume = error_draws(stars.select(fastest), 5000, seeded(32, k))
        rows = [np.log(np.linalg.norm(x, axis=-1)), 0.5 * np.sum(v**2, axis=-1)]
        drawn = np.stack([*rows, np.hypot(v[..., 1], v[..., 2]), volume], axis=-1)
        many.append(difference(replace(one, truth=drawn.swapaxes(0, 1))))
    off_by = np.mean(few, axis=0) - np.mean(many, axis=0)
    error = np.hypot(np.std(few, axis=0, ddof=1), np.std(many, axis=0, ddof=1)) / np.sqrt(10.0)
    assert np.all(np.abs(off_by) < 5.0 * error)  # Student's t of 9


def test_stars_that_an_error_of_distance_made_fast_have_candidates_that_are_bound(sample):
    """Few of a star's would be, were distances drawn from their errors alone."""
    stars, _ = seen_too_far(sample, 4.0)
    of_seeds = [difference(with_candidates(stars, 64, k)) for k in range(8)]
    assert np.std(of_seeds, axis=0).max() < 0.05


def difference(model):
    """Of the log likelihood of each star between a heavier halo and the true one."""
    return model.each(np.array([TRUTH[0] + 0.1, *TRUTH[1:]])) - model.each(np.array(TRUTH))


@pytest.mark.parametrize("errors", ["ignored", "convolved"])
def test_a_mean_field_is_taken_off(sample, errors):
    """Stars that all move by as much as the LMC makes them are those before it once that is known."""
    columns = dict(sample.columns)
    columns["vz"] = columns["vz"] + 60.0
    moved = Catalogue.from_arrays(**columns)
    field = MeanField((1.0, 100.0), ((0.0, 0.0, 60.0),) * 2)
    before, after, wrong = (
        ActionDF(r_range=own.EDGES, mean_field=taken, errors=errors, n_samples=8)
        ._model(stars, seeded(0))
        .log_likelihood(np.array([TRUTH]))[0]
        for stars, taken in ((sample, "none"), (moved, field), (moved, "none"))
    )
    assert after == pytest.approx(before, rel=1e-9)
    assert wrong < before - 20.0


def test_a_star_that_only_heavier_halos_bind_is_no_obstacle(sample):
    """The first trial does not bind it; the maximum is found all the same, of a halo that does."""
    columns = {name: np.array(values[:300]) for name, values in sample.columns.items()}
    r = float(np.linalg.norm([columns[axis][0] for axis in "xyz"]))
    for axis in "xyz":
        columns[f"v{axis}"][0] = 1.15 * float(own.escape(r)) * columns[axis][0] / r
    rows = rows_of(Catalogue.from_arrays(**columns), n_draws=100)
    (mass,) = rows.of("m200")
    assert mass.lo95 > own.M200


def test_beta_of_draws_that_occur_twice_is_computed_once_and_the_same(sample):
    one = ActionDF(r_range=own.EDGES)._model(sample, seeded(0))
    truth = [np.log(own.mass(one.pivot)), *TRUTH[1:]]
    points = np.array([truth, truth, [*truth[:5], 1.6, 0.9], truth])
    beta = one.anisotropy(np.array(RADII), points)
    assert beta.shape == (4, 3)
    np.testing.assert_array_equal(beta[0], beta[3])
    np.testing.assert_allclose(beta[0], [own.true_beta(r) for r in RADII], atol=1e-3)
    assert np.abs(beta[2] - beta[0]).max() > 0.01


def test_what_cannot_be_determined_is_said(sample):
    few = rows_of(sample.select(np.arange(20)))
    assert all(np.isnan(row.value) and "too few stars" in row.note for row in few)
    columns = {name: np.array(values) for name, values in sample.columns.items()}
    columns["vx"][0] = 50_000.0
    unbound = rows_of(Catalogue.from_arrays(**columns))
    assert all(np.isnan(row.value) and row.note for row in unbound)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"slope_in_range": [0.0, 3.5]}, "slope_in_range"),
        ({"slope_in_range": [-1.0, 2.0]}, "slope_in_range"),
        ({"slope_out_range": [2.0, 5.0]}, "slope_out_range"),
        ({"coef_range": [2.0, 1.0]}, "coef_range"),
        ({"r_s_range": [0.0, 1.0]}, "r_s_range"),
        ({"steepness": 0.0}, "steepness"),
        ({"n_samples": 3}, "n_samples"),
        ({"position": "unknown"}, "position"),
        ({"h0": -1.0}, "h0"),
    ],
)
def test_wrong_settings_are_one_line(spec, message):
    with pytest.raises(InputError, match=message) as caught:
        make_estimator({"kind": "action-df", **spec})
    assert "\n" not in str(caught.value)
