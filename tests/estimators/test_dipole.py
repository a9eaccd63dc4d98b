from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seeds import seeded

from haloassay.base.errors import EstimationError, InputError
from haloassay.contracts import frames
from haloassay.contracts.catalogue import Catalogue
from haloassay.contracts.frames import sky_basis, spherical_basis
from haloassay.contracts.sky import (
    apex,
    dipole_vector,
    direction,
    mean_v_theta,
    separation,
    wrapped,
)
from haloassay.estimators import make_estimator
from haloassay.estimators import rows as rows_module
from haloassay.estimators.dipole import dipole_channel, uniform_in_sigma
from haloassay.estimators.fit.isotropic import draw_isotropic, resample
from haloassay.estimators.fit.linear_field import LinearField

#: Li et al. (2026), Table 3, last row: mu_compr, mu_dipole, l, b, sigma_r.
OUTER = (-19.0, -44.0, -28.3, -23.8, 148.4)


def directions(n, rng, hemisphere=0):
    n = rng.standard_normal((n, 3))
    n /= np.linalg.norm(n, axis=1)[:, None]
    if hemisphere:
        n[:, 2] = hemisphere * np.abs(n[:, 2])
    return n


def catalogue_of(position, spherical, **errors):
    """Stars of given spherical velocities (N, 3)."""
    velocity = np.einsum("nk,nki->ni", spherical, spherical_basis(position))
    columns = dict(zip(("x", "y", "z"), position.T, strict=True))
    columns |= dict(zip(("vx", "vy", "vz"), velocity.T, strict=True))
    return Catalogue.from_arrays(**columns, **errors)


def painted(n, rng, field=OUTER, error=0.0, hemisphere=0):
    """Dipole painted on an isotropic Gaussian halo at 60 to 100 kpc, seen with errors of ``error``."""
    compression, mu, lon, lat, sigma = field
    toward = directions(n, rng, hemisphere)
    spherical = sigma * rng.standard_normal((n, 3))
    spherical[:, 0] += compression + toward @ dipole_vector(mu, lon, lat)
    position = rng.uniform(60.0, 100.0, n)[:, None] * toward
    delta = error * rng.uniform(0.2, 1.8, n)
    spherical += delta[:, None] * rng.standard_normal((n, 3))
    return catalogue_of(position, spherical, vx_err=delta, vy_err=delta, vz_err=delta)


def translated(n, rng, d, sigma=60.0):
    """Halo that moves as a whole with d (3,), at constant radius."""
    toward = directions(n, rng)
    spherical = spherical_basis(toward) @ d + sigma * rng.standard_normal((n, 3))
    return catalogue_of(70.0 * toward, spherical)


def rows_of(catalogue, seed=0, **spec):
    rows = make_estimator({"kind": "dipole", **spec}).estimate(catalogue, seeded(seed))
    return {row.quantity: row for row in rows}


def half(row):
    return 0.5 * (row.hi68 - row.lo68)


@pytest.mark.parametrize("strength", [0.0, 1.0, 4.0, 30.0])
def test_prior_in_polar_coordinates_against_the_prior_drawn(strength):
    rng = seeded(2)
    root = np.array([[20.0, 0.0, 0.0], [6.0, 12.0, 0.0], [-3.0, 2.0, 30.0]])
    mean = strength * np.array([5.0, -8.0, 6.0])
    n, largest = 400_000, 100.0
    # independent: points of the prior itself, weighted by the likelihood
    mu = largest * rng.random(n)
    points = mu[:, None] * directions(n, rng)
    z = np.linalg.solve(root, (points - mean).T)
    density = np.exp(-0.5 * np.sum(z**2, axis=0)) / np.prod(np.diag(root)) / (2 * np.pi) ** 1.5
    k = 40_000
    d, log_weight = draw_isotropic(np.tile(mean, (k, 1)), np.tile(root, (k, 1, 1)), largest, rng)
    weight = np.exp(log_weight)
    scatter = np.hypot(density.std() / np.sqrt(n), weight.std() / np.sqrt(k))
    if strength == 30.0:  # far outside the prior: nothing there in either
        assert np.linalg.norm(d, axis=1).max() <= largest
        return
    assert abs(weight.mean() - density.mean()) < 4.0 * scatter
    for f in (density, weight):
        assert np.sum(f) ** 2 / np.sum(f**2) > 1000.0
    for column in range(4):
        sums = []
        for value, f in ((points, density), (d, weight)):
            x = np.linalg.norm(value, axis=1) if column == 3 else value[:, column]
            share = f / f.sum()
            centre = share @ x
            sums.append((centre, np.sqrt(np.sum(share**2 * (x - centre) ** 2))))
        assert abs(sums[0][0] - sums[1][0]) < 4.0 * np.hypot(sums[0][1], sums[1][1])


# ---------------------------------------------------------------------------------------------- the linear field


def field_of(catalogue):
    v, S = catalogue.spherical_velocity, catalogue.spherical_covariance
    channel = dipole_channel(catalogue.position, v[:, 0], S[:, 0, 0])
    return channel, LinearField((channel,), (10.0, 200.0), uniform_in_sigma)


@pytest.mark.parametrize("n", [30, 3000])
def test_interpolated_sums_are_those_of_all_stars(n):
    _, field = field_of(painted(n, seeded(3), error=40.0))
    log_sigma = np.linspace(field.lo, field.hi, 50)
    exact, fast = field.exact(log_sigma), field.at(log_sigma)
    np.testing.assert_allclose(fast.log_evidence, exact.log_evidence, atol=1e-5)
    np.testing.assert_allclose(fast.mean, exact.mean, atol=1e-6)
    np.testing.assert_allclose(fast.covariance, exact.covariance, rtol=1e-6, atol=1e-9)


def test_likelihood_given_sigma_is_that_of_least_squares():
    channel, field = field_of(painted(200, seeded(4), error=40.0))
    sigma = 120.0
    root = np.sqrt(sigma**2 + channel.E[:, 0, 0])
    X, y = channel.X[:, 0] / root[:, None], channel.y[:, 0] / root
    q, misfit, *_ = np.linalg.lstsq(X, y, rcond=None)
    given_sigma = field.exact(np.log([[sigma]]))
    np.testing.assert_allclose(given_sigma.mean[0], q, rtol=1e-9)
    np.testing.assert_allclose(given_sigma.covariance[0], np.linalg.inv(X.T @ X), rtol=1e-9)
    evidence = -0.5 * misfit[0] - np.log(root).sum() - 0.5 * np.linalg.slogdet(X.T @ X)[1]
    np.testing.assert_allclose(given_sigma.log_evidence[0], evidence, rtol=1e-12)


@given(st.floats(0.3, 3.0), st.floats(0.0, 6.28), st.randoms(use_true_random=False))
@settings(max_examples=15, deadline=None)
def test_scaled_turned_and_shuffled_stars(k, angle, random):
    plain = painted(80, seeded(5))
    order = list(range(80))
    random.shuffle(order)
    c, s = np.cos(angle), np.sin(angle)
    turn = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
    turned = catalogue_of(plain.position[order] @ turn.T, k * plain.spherical_velocity[order])
    first, second = field_of(plain)[1], field_of(turned)[1]
    before = first.exact(np.log([[100.0]])).mean[0]
    after = second.exact(np.log([[k * 100.0]])).mean[0]
    np.testing.assert_allclose(after[:3], k * turn @ before[:3], atol=1e-9)
    np.testing.assert_allclose(after[3], k * before[3], atol=1e-9)
    b, a = (np.array(apex(q[:3])) for q in (before, after))
    np.testing.assert_allclose(wrapped(a[1] - b[1] - np.degrees(angle)), 0.0, atol=1e-7)


# ---------------------------------------------------------------------------------------------- recovery


def test_catalogue_turned_about_z_turns_the_apex():
    plain = painted(2000, seeded(6))
    angle = np.radians(130.0)
    c, s = np.cos(angle), np.sin(angle)
    turn = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
    turned = catalogue_of(plain.position @ turn.T, plain.spherical_velocity)
    first, second = rows_of(plain), rows_of(turned)
    noise = 4.0 * 1.2533 * np.sqrt(2.0 / 1000.0)  # of two medians of 1000 draws, in half widths
    shift = wrapped(second["apex_l"].value - first["apex_l"].value - 130.0)
    assert abs(shift) < noise * half(first["apex_l"])
    for name in set(first) - {"apex_l"}:
        assert abs(second[name].value - first[name].value) < noise * half(first[name])


@pytest.mark.slow
def test_exact_and_published_sampler_agree():
    catalogue = painted(300, seeded(7), error=30.0)
    exact = rows_of(catalogue, n_draws=4000)
    run = {"walkers": 100, "steps": 1000, "burn": 400}
    chain = rows_of(catalogue, n_draws=4000, sampler="emcee", emcee=run)
    for name, row in exact.items():
        other = chain[name]
        # the chain has about 100 x 600 / 60 independent points, the exact posterior 4000
        error = np.sqrt(1.0 / 4000.0 + 60.0 / 60_000.0)
        assert abs(wrapped(row.value - other.value)) < 4.0 * 1.2533 * error * half(row)
        assert abs(half(other) / half(row) - 1.0) < 4.0 * 1.2 * error


@pytest.mark.slow
def test_intervals_hold_what_they_say_over_the_prior():
    """Truths drawn from the prior: then every quantity, angles included, is covered as nominal."""
    n, inside68, inside95, below = 50, [], [], []
    names = ("mu_compr", "mu_dipole", "apex_l", "apex_b", "sigma_r", "mean_v_theta_predicted")
    for k in range(n):
        rng = seeded(8, k)
        # in the sampled range the stars decide on which side of the bounds sigma_r and mu_compr are
        truth = (
            rng.uniform(-60.0, 60.0),
            -rng.uniform(0.0, 100.0),
            rng.uniform(-180.0, 180.0),
            np.degrees(np.arcsin(rng.uniform(-1.0, 1.0))),
            rng.uniform(60.0, 140.0),
        )
        rows = rows_of(painted(150, rng, truth, error=30.0), seed=k, n_draws=400)
        known = [*truth, mean_v_theta(dipole_vector(*truth[1:4]))]
        hit = []
        for name, value in zip(names, known, strict=True):
            row = rows[name]
            if row.note:
                assert name == "apex_l"
                continue
            if name == "apex_l":
                value = row.value + float(wrapped(value - row.value))
            hit.append(
                (row.lo68 < value < row.hi68, row.lo95 < value < row.hi95, row.value < value)
            )
        if len(hit) == len(names):
            for kept, column in zip(
                (inside68, inside95, below), zip(*hit, strict=True), strict=True
            ):
                kept.append(column)
    assert len(below) > 0.95 * n
    for values, nominal in ((inside68, 0.68), (inside95, 0.95), (below, 0.5)):
        mcse = np.sqrt(nominal * (1.0 - nominal) / len(values))
        np.testing.assert_array_less(np.abs(np.mean(values, axis=0) - nominal), 4.0 * mcse)
        together = np.mean(values, axis=1)  # rows of one sample are not independent
        assert abs(together.mean() - nominal) < 4.0 * together.std(ddof=1) / np.sqrt(len(values))


@pytest.mark.long
def test_published_outer_halo_is_recovered_without_bias():
    found = []
    for k in range(12):
        rows = rows_of(painted(3000, seeded(9, k), error=25.0), seed=k)
        found.append(
            [rows[q].value for q in ("mu_compr", "mu_dipole", "apex_l", "apex_b", "sigma_r")]
        )
    error = np.mean(found, axis=0) - np.array(OUTER)
    mcse = np.std(found, axis=0, ddof=1) / np.sqrt(len(found))
    assert np.all(np.abs(error) < 4.0 * mcse)


# ---------------------------------------------------------------------------------------------- eq. 7


def rings(n=721):
    """Directions (m, 3) and weights that integrate over the sphere, and their latitude [rad]."""
    lat = np.radians((np.arange(n) + 0.5) * 180.0 / n - 90.0)
    lon = np.linspace(0.0, 2.0 * np.pi, 12, endpoint=False)
    b, lon = (a.ravel() for a in np.meshgrid(lat, lon, indexing="ij"))
    return sky_basis(np.degrees(lon), np.degrees(b))[:, 0], np.cos(b), b


def test_eq_7_is_exact_for_a_translation_over_the_whole_sky_and_not_over_a_footprint():
    toward, weight, lat = rings()
    d = dipole_vector(-44.0, -28.3, -23.8)
    v_theta = frames.spherical_velocity(toward, np.tile(d, (len(toward), 1)))[:, 1]
    predicted = mean_v_theta(d)
    assert predicted > 0.0
    np.testing.assert_allclose(np.average(v_theta, weights=weight), predicted, rtol=1e-5)
    seen = np.abs(lat) > np.radians(20.0)
    ratio = np.average(v_theta[seen], weights=weight[seen]) / predicted
    b = np.radians(20.0)
    cap = (0.25 * np.pi - 0.5 * b - 0.25 * np.sin(2.0 * b)) / (1.0 - np.sin(b))
    np.testing.assert_allclose(ratio * 0.25 * np.pi, cap, rtol=1e-2)
    assert abs(cap - 0.68) < 0.005  # what the docstring of Dipole says


def agrees_with_eq_7(catalogue):
    rows = rows_of(catalogue)
    predicted, measured = rows["mean_v_theta_predicted"], rows["mean_v_theta"]
    return abs(predicted.value - measured.value) < 4.0 * np.hypot(half(predicted), half(measured))


def test_measured_mean_v_theta_of_a_translation_is_the_predicted_one():
    d = dipole_vector(-40.0, 60.0, -50.0)
    assert agrees_with_eq_7(translated(4000, seeded(10), d))


def test_planted_fault_flipped_v_theta_is_caught(monkeypatch):
    stars = translated(4000, seeded(10), dipole_vector(-40.0, 60.0, -50.0))
    right = frames.spherical_velocity
    monkeypatch.setattr(
        frames, "spherical_velocity", lambda x, v: right(x, v) * np.array([1.0, -1.0, 1.0])
    )
    assert not agrees_with_eq_7(Catalogue(stars.columns))


def recovers(field, seed=11):
    rows = rows_of(painted(4000, seeded(seed), field))
    pairs = zip(("mu_compr", "mu_dipole", "apex_l", "apex_b", "sigma_r"), field, strict=True)
    return all(abs(wrapped(rows[q].value - x)) < 4.0 * half(rows[q]) for q, x in pairs)


def test_planted_fault_flipped_apex_is_caught(monkeypatch):
    assert recovers(OUTER)
    right = rows_module.apex
    monkeypatch.setattr(rows_module, "apex", lambda d: (right(d)[0], *right(-d)[1:]))
    assert not recovers(OUTER)


def test_planted_fault_covariance_of_v_theta_and_v_phi_swapped_is_caught(monkeypatch):
    """Errors of v_theta (5) and of v_phi (200 km/s): the interval of mean v_theta knows which."""
    rng = seeded(12)
    toward = directions(400, rng)
    spherical = 60.0 * rng.standard_normal((400, 3))
    stars = catalogue_of(70.0 * toward, spherical)
    S = np.tile(np.diag([5.0, 5.0, 200.0]) ** 2, (400, 1, 1))

    def width(covariance):
        catalogue = Catalogue(stars.columns)
        monkeypatch.setitem(catalogue.__dict__, "spherical_covariance", covariance)
        return half(rows_of(catalogue)["mean_v_theta"])

    expected, noise = 60.0 / np.sqrt(400.0), 4.0 * 1.2 / np.sqrt(1000.0) + 4.0 / np.sqrt(800.0)
    assert abs(width(S) / expected - 1.0) < noise
    assert abs(width(S[:, [0, 2, 1]][:, :, [0, 2, 1]]) / expected - 1.0) > noise


# ---------------------------------------------------------------------------------------------- hard cases


def test_no_dipole_leaves_the_apex_open():
    widths = []
    for k in range(12):
        rows = rows_of(painted(300, seeded(13, k), (-20.0, 0.0, 0.0, 0.0, 120.0)))
        assert rows["mu_dipole"].value > -40.0
        widths.append(360.0 if rows["apex_l"].note else rows["apex_l"].hi95 - rows["apex_l"].lo95)
    assert np.median(widths) > 150.0


def test_exactly_no_dipole_has_no_apex():
    rng = seeded(14)
    toward = directions(200, rng)
    spherical = 100.0 * rng.standard_normal((200, 3))
    both = catalogue_of(70.0 * np.vstack([toward, -toward]), np.vstack([spherical, spherical]))
    rows = rows_of(both)
    assert "cover the circle" in rows["apex_l"].note
    assert rows["apex_b"].lo68 < -20.0
    assert rows["apex_b"].hi68 > 20.0
    assert np.isfinite(rows["mu_dipole"].value)


@pytest.mark.slow
@pytest.mark.parametrize(("lat", "n"), [(-89.0, 60), (-30.0, 40)])
def test_the_cap_of_the_apex_holds_the_truth_as_often_as_it_says(lat, n):
    """At a pole too, where intervals of l and b leave it out: of the dipole in n samples, 4 sigma of binomial noise.

    Where the dipole is five of its errors, the prior of its strength does not matter.
    """
    field = (0.0, -40.0, 50.0, lat, 80.0)
    truth = direction(50.0, lat)
    away, inside, outside_b = [], [], []
    for k in range(n):
        rows = rows_of(painted(1000, seeded(21, k), field), n_draws=400)
        row = rows["apex_offset"]
        away.append(separation(truth, direction(*row.toward)))
        assert (row.value, row.lo68, row.lo95) == (0.0, 0.0, 0.0)
        inside.append((away[-1] <= row.hi68, away[-1] <= row.hi95))
        outside_b.append(not rows["apex_b"].lo68 <= lat <= rows["apex_b"].hi68)
    for share, nominal in zip(np.mean(inside, axis=0), (0.68, 0.95), strict=True):
        assert abs(share - nominal) < 4.0 * np.sqrt(nominal * (1.0 - nominal) / n)
    if lat == -89.0:
        assert np.mean(outside_b) > 0.9
    # isotropic errors of 80 sqrt(3 / n) km/s across either axis: a Rayleigh distribution of the offset
    expected = np.degrees(80.0 * np.sqrt(3.0 / 1000.0) / 40.0) * np.sqrt(0.5 * np.pi)
    assert abs(np.mean(away) / expected - 1.0) < 4.0 * 0.523 / np.sqrt(n) + 0.1


def test_all_stars_in_one_hemisphere():
    north = painted(2000, seeded(15), hemisphere=1)
    rows, whole = rows_of(north), rows_of(painted(2000, seeded(15)))
    assert rows["mean_v_r_south"].note == "too few stars: 0, at least 20 are needed"
    assert half(rows["mu_compr"]) > 1.5 * half(whole["mu_compr"])
    pairs = zip(("mu_compr", "mu_dipole", "apex_l", "apex_b", "sigma_r"), OUTER, strict=True)
    assert all(abs(wrapped(rows[q].value - x)) < 4.0 * half(rows[q]) for q, x in pairs)


def test_hemispheres_have_the_means_of_the_field():
    rows = rows_of(painted(4000, seeded(16)))
    compression, mu, _, lat, _ = OUTER
    lean = 0.5 * mu * np.sin(np.radians(lat))  # mean of sin b over a hemisphere
    for name, truth in (("north", compression + lean), ("south", compression - lean)):
        row = rows[f"mean_v_r_{name}"]
        assert abs(row.value - truth) < 4.0 * half(row)


def test_stars_in_one_direction_do_not_determine_a_dipole():
    rng = seeded(17)
    position = np.tile([30.0, 40.0, 50.0], (100, 1))
    rows = rows_of(catalogue_of(position, 100.0 * rng.standard_normal((100, 3))))
    assert "a combination of the parameters is free" in rows["mu_dipole"].note
    assert rows["mu_compr"].note
    assert np.isfinite(rows["mean_v_r_north"].value)


def test_errors_that_hide_the_dispersion_say_so():
    field = (-19.0, -44.0, -28.3, -23.8, 8.0)
    hidden = 0
    for k in range(4):
        rows = rows_of(painted(200, seeded(18, k), field, error=80.0))
        # of errors alone, one in forty seems to be a dispersion
        hidden += "errors hide it" in rows["sigma_r"].note
        assert np.isfinite(rows["mu_compr"].value)
    assert hidden >= 2


def test_dispersion_beyond_the_prior_says_so():
    field = (-19.0, -44.0, -28.3, -23.8, 400.0)
    rows = rows_of(painted(200, seeded(19), field))
    assert "upper bound, 200 km/s" in rows["sigma_r"].note


def test_velocities_beyond_the_prior_are_refused():
    rng = seeded(20)
    rows = rows_of(painted(3000, rng, (-300.0, -44.0, -28.3, -23.8, 100.0)))
    assert "fills or leaves the prior" in rows["mu_compr"].note


def test_bins_stars_and_cuts():
    catalogue = painted(300, seeded(21), error=30.0)
    rows = make_estimator({"kind": "dipole", "bins": [60, 100, 150]}).estimate(catalogue, seeded(0))
    inner, outer = rows.of("mu_compr")
    assert (inner.r_lo, inner.r_hi) == (60.0, 100.0)
    assert outer.note.startswith("too few stars: 0")
    strict = rows_of(catalogue, max_error=7.0)
    assert "too few stars" in strict["mu_compr"].note
    published = make_estimator({"kind": "dipole", "as_published": True})
    assert (published.bins, published.max_error) == ((50.0, 60.0, 80.0, 120.0), 50.0)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"bins": [60, 50]}, "edges ascend"),
        ({"min_stars": 3}, "at least 8"),
        ({"max_error": 0.0}, "max_error"),
        ({"sigma_range": [200.0, 10.0]}, "sigma_range"),
        ({"sampler": "multinest"}, "sampler"),
    ],
)
def test_bad_settings_are_named(spec, message):
    with pytest.raises(InputError, match=message):
        make_estimator({"kind": "dipole", **spec})


def test_resampling_refuses_weights_of_few_draws():
    weights = np.zeros(1000)
    weights[:3] = 1.0
    with pytest.raises(EstimationError, match="3 of 1000 draws count"):
        resample(weights, 500, seeded(0))


def test_chain_that_does_not_mix_is_refused():
    run = {"walkers": 12, "steps": 30, "burn": 0}
    rows = rows_of(painted(100, seeded(22)), sampler="emcee", emcee=run)
    assert "does not mix" in rows["mu_dipole"].note
