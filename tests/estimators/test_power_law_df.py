from __future__ import annotations

import numpy as np
import pytest
from error_draws import error_draws
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t as student
from seeds import seeded

from haloassay.base.constants import G
from haloassay.base.errors import InputError
from haloassay.contracts.catalogue import Catalogue
from haloassay.contracts.frames import spherical_basis
from haloassay.estimators import make_estimator
from haloassay.estimators.fit import few_candidates
from haloassay.estimators.fit.power_law import exponent
from haloassay.estimators.power_law_df import Tracers

R0, V0 = 20.0, 200.0  # v_c = V0 at R0 [kpc]


def own_model(n, rng, gamma=4.0, g=0.5, beta=0.5, edges=(10.0, 100.0)):
    """Stars of the distribution function itself: speeds and directions are Beta distributed."""
    p = 3.0 - gamma
    r = (edges[0] ** p + rng.random(n) * (edges[1] ** p - edges[0] ** p)) ** (1.0 / p)
    psi = V0**2 / g * (r / R0) ** -g
    v = np.sqrt(2.0 * psi * rng.beta(1.5 - beta, exponent(gamma, g, beta) + 1.0, n))
    cos2 = rng.beta(0.5, 1.0 - beta, n)
    angle = 2.0 * np.pi * rng.random(n)
    across = v * np.sqrt(1.0 - cos2)
    sign = rng.choice([-1.0, 1.0], n)
    spherical = np.stack(
        [sign * v * np.sqrt(cos2), across * np.cos(angle), across * np.sin(angle)], axis=1
    )
    toward = rng.standard_normal((n, 3))
    toward /= np.linalg.norm(toward, axis=1)[:, None]
    velocity = np.einsum("nk,nki->ni", spherical, spherical_basis(toward))
    return catalogue_of(r[:, None] * toward, velocity)


def catalogue_of(x, v, **more):
    columns = np.hstack([x, v]).T
    return Catalogue.from_arrays(
        **dict(zip(("x", "y", "z", "vx", "vy", "vz"), columns, strict=True)), **more
    )


def true_mass(r, g=0.5):
    return V0**2 * (np.asarray(r) / R0) ** -g * np.asarray(r) / G


def rows_of(catalogue, seed=0, **spec):
    estimator = make_estimator({"kind": "power-law-df", "alpha": -4.0, **spec})
    return estimator.estimate(catalogue, seeded(seed))


def one_star(r, v_r, v_t, pivot=1.0):
    grid = np.atleast_2d(0.5 * (np.square(v_r) + np.square(v_t)))
    flat = np.full_like(grid, np.log(r / pivot))
    across = np.broadcast_to(np.log(v_t), grid.shape)
    return Tracers(flat, grid, across, np.zeros_like(grid), pivot, (r, r))


@pytest.mark.parametrize(
    ("gamma", "g", "beta"),
    [(3.5, 0.3, 0.8), (4.5, 0.9, -0.5), (2.5, 1.0, 0.0)],
)
def test_f_integrates_to_the_density_and_has_its_dispersions(gamma, g, beta):
    r, v_c = 3.0, 1.7
    point = np.array([[2.0 * np.log(v_c) - g * 0.0, g, beta]])
    psi = v_c**2 / g * r**-g
    top = np.sqrt(2.0 * psi)

    # u = v / top and the angle from the tangential plane to a power, which takes the cusps of
    # (1 - u^2)^n and of v_t^(-2 beta) to the ends of a Gauss-Legendre product rule
    x, w = np.polynomial.legendre.leggauss(60)
    s, w = 0.5 * (x + 1.0), 0.5 * w
    k = 6.0
    u, du = 1.0 - s**k, k * s ** (k - 1.0) * w
    eta, deta = 0.5 * np.pi * s**k, 0.5 * np.pi * k * s ** (k - 1.0) * w
    v_r, v_t = (top * np.outer(u, part(eta)) for part in (np.cos, np.sin))
    each = [
        one_star(r, a, b).log_likelihood(point, gamma)[0]
        for a, b in zip(v_r.flat, v_t.flat, strict=True)
    ]
    f = np.exp(each).reshape(v_r.shape)
    volume = 4.0 * np.pi * top * (top * u[:, None]) ** 2 * np.sin(eta) * np.outer(du, deta)

    def moment(weight):
        return float(np.sum(f * volume * weight(v_r, v_t)))

    assert abs(moment(lambda v_r, v_t: 1.0) - 1.0) < 1e-3
    radial = moment(lambda v_r, v_t: v_r**2)
    across = moment(lambda v_r, v_t: v_t**2)
    assert abs(1.0 - 0.5 * across / radial - beta) < 3e-3
    # Jeans: v_c^2 = (gamma + g - 2 beta) sigma_r^2
    np.testing.assert_allclose((gamma + g - 2.0 * beta) * radial, v_c**2 * r**-g, rtol=3e-3)


@pytest.mark.slow
def test_bias_and_coverage_on_its_own_model():
    radii, runs = (15.0, 30.0, 80.0), 90
    off, covered = [], []
    for k in range(runs):
        catalogue = own_model(300, seeded(1, k))
        rows = rows_of(catalogue, seed=k, r_out=list(radii), n_draws=500)
        truths = [*true_mass(radii), 0.5]
        off.append(
            [row.value - t for row, t in zip(rows, truths, strict=True)]
            / np.array([*true_mass(radii), 1])
        )
        covered.append([row.lo68 < t < row.hi68 for row, t in zip(rows, truths, strict=True)])
    mcse = np.std(off, axis=0, ddof=1) / np.sqrt(runs)
    assert np.all(np.abs(np.mean(off, axis=0)) < 4.0 * mcse)
    assert np.all(np.abs(np.mean(covered, axis=0) - 0.68) < 4.0 * np.sqrt(0.68 * 0.32 / runs))


@pytest.mark.slow
def test_samplers_and_fixed_parameters_agree():
    catalogue = own_model(400, seeded(2))
    spec = {"r_out": [30.0], "beta": 0.5}
    fast = rows_of(catalogue, **spec)
    slow = rows_of(catalogue, sampler="quadrature", **spec)
    chain = {"walkers": 20, "steps": 1200, "burn": 300}
    emcee = rows_of(catalogue, sampler="emcee", emcee=chain, **spec)
    width = 0.5 * (slow.rows[0].hi68 - slow.rows[0].lo68)
    for other in (fast, emcee):
        assert len(other) == 1  # beta is given: no row
        # medians of 1000 draws, of both, and a chain with 30 independent ones a walker
        assert abs(other.rows[0].value - slow.rows[0].value) < 4.0 * 1.25 * width * 0.06
    given = rows_of(catalogue, g=0.5, **spec).rows[0]
    assert abs(given.value - true_mass(30.0)) < 4.0 * 0.5 * (given.hi68 - given.lo68)
    assert given.hi68 - given.lo68 < 1.05 * (fast.rows[0].hi68 - fast.rows[0].lo68)


def test_a_wrong_alpha_is_caught():
    # the check of coverage can fail: half a slope is many errors
    catalogue = own_model(3000, seeded(3))
    right, wrong = (rows_of(catalogue, alpha=a, r_out=[30.0]).rows[0] for a in (-4.0, -4.5))
    assert abs(right.value - true_mass(30.0)) < 4.0 * 0.5 * (right.hi68 - right.lo68)
    assert abs(wrong.value - true_mass(30.0)) > 4.0 * 0.5 * (wrong.hi68 - wrong.lo68)


@pytest.mark.slow
def test_measurement_errors_are_convolved():
    radius, runs = 30.0, 10
    off = {"ignored": [], "convolved": []}
    for k in range(runs):
        rng = seeded(4, k)
        clean = own_model(300, rng, edges=(10.0, 60.0))
        v = clean.velocity + 60.0 * rng.standard_normal((300, 3))
        errors = {f"v{axis}_err": np.full(300, 60.0) for axis in "xyz"}
        noisy = catalogue_of(clean.position, v, **errors)
        for model, found in off.items():
            spec = {"errors": model, "n_samples": 30, "n_draws": 200, "g": 0.5}
            row = rows_of(noisy, seed=k, r_out=[radius], **spec).rows[0]
            found.append(row.value / true_mass(radius) - 1.0)
    mcse = np.std(off["convolved"], ddof=1) / np.sqrt(runs)
    # a standard error of ten numbers is itself uncertain: as improbable as four of a known one
    limit = student.isf(3.2e-5, runs - 1) * mcse
    assert abs(np.mean(off["convolved"])) < limit
    assert np.mean(off["ignored"]) > limit


def noisy_stars(error):
    """300 stars whose velocities have an error along each axis [km/s]."""
    rng = seeded(21)
    clean = own_model(300, rng, edges=(10.0, 60.0))
    v = clean.velocity + error * rng.standard_normal((300, 3))
    return catalogue_of(
        clean.position, v, **{f"v{axis}_err": np.full(300, error) for axis in "xyz"}
    )


@pytest.mark.parametrize(
    ("error", "n_samples", "few"), [(20.0, 50, False), (200.0, 50, True), (100.0, 400, False)]
)
def test_too_few_candidates_are_said(error, n_samples, few):
    rows = rows_of(noisy_stars(error), errors="convolved", n_samples=n_samples, n_draws=200)
    assert {row.quantity for row in rows} == {"enclosed_mass", "beta"}
    for row in rows:
        assert ("more (n_samples)" in row.note) == few
        assert np.isnan(row.value) == few


@pytest.mark.slow
def test_what_few_candidates_move_is_less_than_what_the_guard_says(monkeypatch):
    """Of 50 candidates, by those of 800, whose own shift is a fifth of theirs."""
    said, stars = [], noisy_stars(100.0)
    guard = few_candidates.too_few
    monkeypatch.setattr(few_candidates, "too_few", lambda off, n: guard(said.append(off) or 0.0, n))
    spec = {"errors": "convolved", "n_draws": 400, "r_out": [30.0]}
    many = rows_of(stars, seed=99, n_samples=800, **spec).rows[0]
    said.clear()
    few = [rows_of(stars, seed=k, n_samples=50, **spec).rows[0].value for k in range(8)]
    shift = np.sqrt(np.mean(np.square(np.array(few) - many.value))) / (
        0.5 * (many.hi68 - many.lo68)
    )
    assert shift < np.sqrt(np.mean(np.square(said))) < 4.0 * shift


@pytest.mark.parametrize("errors", [0.0, 30.0])
def test_nearly_radial_orbits(errors):
    """f diverges at L = 0: neither errors nor the least tangential velocity may take stars from there."""
    rng = seeded(8)
    clean = own_model(3000, rng, beta=0.9)
    v = clean.velocity + errors * rng.standard_normal((3000, 3))
    columns = {f"v{axis}_err": np.full(3000, errors) for axis in "xyz"} if errors else {}
    stars = catalogue_of(clean.position, v, **columns)
    mass, beta = rows_of(stars, r_out=[30.0], errors="convolved" if errors else "ignored").rows
    assert abs(beta.value - 0.9) < 4.0 * 0.5 * (beta.hi68 - beta.lo68)
    assert abs(mass.value - true_mass(30.0)) < 4.0 * 0.5 * (mass.hi68 - mass.lo68)


def test_stars_with_errors_against_brute_force():
    """Beside outliers the likelihood has to be that of a velocity, and not a number times it."""
    n, batches, point = 4000, 50, np.array([[2.0 * np.log(200.0), 0.5, 0.3]])
    stars = own_model(6, seeded(9), edges=(20.0, 40.0))
    errors = {f"v{axis}_err": np.full(6, 40.0) for axis in "xyz"}
    stars = catalogue_of(stars.position, stars.velocity, **errors)
    spec = {"kind": "power-law-df", "alpha": -4.0, "errors": "convolved", "n_samples": 4096}
    seen = [make_estimator(spec)._with_errors(stars, seeded(10, k)) for k in range(10)]
    pivot, edges = seen[0].pivot, seen[0].edges
    of_batches = []
    for k in range(batches):
        x, v, _ = error_draws(stars, n, seeded(11, k))
        log_r = np.log(np.linalg.norm(x, axis=2).T / pivot)
        half, across = 0.5 * np.sum(v**2, axis=2).T, np.log(np.hypot(v[..., 1], v[..., 2])).T
        weight = np.full(log_r.shape, -np.log(n))
        drawn = Tracers(log_r, half, across, weight, pivot, edges)
        of_batches.append(one_by_one(drawn, point))
    (wanted, error), (found, noise) = (
        mean_and_error(each) for each in (of_batches, [one_by_one(one, point) for one in seen])
    )
    assert np.all(np.hypot(error, noise) < 0.01)
    assert np.all(np.abs(found - wanted) < 5.0 * np.hypot(error, noise))  # Student's t of 9


def mean_and_error(values):
    """Mean over rows and its standard error."""
    return np.mean(values, axis=0), np.std(values, axis=0, ddof=1) / np.sqrt(len(values))


def one_by_one(tracers, point):
    """Log likelihood of each star."""
    columns = (tracers.log_r, tracers.half_square, tracers.log_across, tracers.log_weight)
    rows = zip(*columns, strict=True)
    return np.array(
        [
            Tracers(*(c[None] for c in row), tracers.pivot, tracers.edges).log_likelihood(
                point, 4.0
            )[0]
            for row in rows
        ]
    )


def test_draws_from_the_errors_of_heliocentric_stars():
    n = 5
    rng = seeded(5)
    columns = {
        "ra": rng.uniform(0, 360, n), "dec": rng.uniform(-60, 60, n), "distance": np.full(n, 20.0),
        "pmra": rng.normal(0, 1, n), "pmdec": rng.normal(0, 1, n), "vlos": rng.normal(0, 100, n),
        "distance_err": np.full(n, 0.2), "pmra_err": np.full(n, 0.1), "pmdec_err": np.full(n, 0.2),
        "vlos_err": np.full(n, 7.0), "pm_corr": np.full(n, 0.6),
    }  # fmt: skip
    stars = Catalogue.from_arrays(**columns)
    x, v, weight = error_draws(stars, 8000, rng)
    for i in range(n):
        sample, wanted = np.cov(v[:, i].T), stars.spherical_covariance[i]
        scale = np.sqrt(np.outer(np.diag(wanted), np.diag(wanted)))
        assert np.all(np.abs(sample - wanted) < 4.0 * np.sqrt(2.0 / 8000.0) * scale)
    heliocentric = np.linalg.norm(x - stars.sun.position, axis=-1)
    np.testing.assert_allclose(weight, 4.0 * np.log(heliocentric), rtol=1e-6)


@pytest.mark.parametrize("frame", ["cartesian", "spherical"])
def test_a_mean_field_is_taken_off_what_has_errors(frame):
    """Candidates of stars that a mean field moves are those of the stars before it, once that is known."""
    clean = own_model(300, seeded(6))
    errors = {f"v{axis}_err": np.full(300, 20.0) for axis in "xyz"}
    field = np.tile([-10.0, 25.0, 40.0], (300, 1))
    added = (
        field
        if frame == "cartesian"
        else np.einsum("nk,nki->ni", field, spherical_basis(clean.position))
    )
    table = {"r": [10.0], "velocity": [field[0].tolist()], "frame": frame}
    spec = {"kind": "power-law-df", "alpha": -4.0, "errors": "convolved"}
    before = catalogue_of(clean.position, clean.velocity, **errors)
    after = catalogue_of(clean.position, clean.velocity + added, **errors)
    wanted = make_estimator(spec)._with_errors(before, seeded(1))
    found = make_estimator({**spec, "mean_field": table})._with_errors(after, seeded(1))
    np.testing.assert_allclose(found.half_square, wanted.half_square, rtol=1e-9)
    np.testing.assert_allclose(found.log_weight, wanted.log_weight, atol=1e-9)


@pytest.mark.parametrize("frame", ["cartesian", "spherical"])
def test_a_mean_field_is_taken_off(frame):
    clean = own_model(500, seeded(6))
    table = {"r": [10.0, 50.0], "velocity": [[0.0, 0.0, 0.0], [-10.0, 25.0, 40.0]], "frame": frame}
    field = make_estimator({"kind": "power-law-df", "alpha": -4.0, "mean_field": table}).mean_field
    moving = clean.spherical_velocity + field.at(clean.position)
    # by hand at 50 kpc and beyond
    far = clean.r >= 50.0
    added = np.einsum(
        "nk,nki->ni", moving - clean.spherical_velocity, spherical_basis(clean.position)
    )
    if frame == "cartesian":
        np.testing.assert_allclose(
            added[far], np.tile([-10.0, 25.0, 40.0], (far.sum(), 1)), atol=1e-9
        )
    velocity = np.einsum("nk,nki->ni", moving, spherical_basis(clean.position))
    shifted = catalogue_of(clean.position, velocity)
    before = rows_of(clean, r_out=[50.0]).rows[0]
    after = rows_of(shifted, r_out=[50.0], mean_field=table).rows[0]
    np.testing.assert_allclose(after.value, before.value, rtol=1e-4)
    left = rows_of(shifted, r_out=[50.0]).rows[0]
    assert left.value != pytest.approx(before.value, rel=1e-4)


def test_one_unbound_star_and_what_takes_its_floor_away():
    clean = own_model(500, seeded(7))
    x = np.vstack([clean.position, [[0.0, 60.0, 0.0]]])
    v = np.vstack([clean.velocity, [[700.0, 0.0, 0.0]]])
    with_fast = catalogue_of(x, v)
    spec = {"r_out": [30.0]}
    before = rows_of(clean, **spec).rows[0]
    raised = rows_of(with_fast, **spec).rows[0]
    robust = rows_of(with_fast, outlier_fraction=0.003, **spec).rows[0]
    cut = rows_of(with_fast, v_max=650.0, **spec).rows[0]
    assert raised.value > before.hi95
    assert abs(robust.value - before.value) < 0.5 * (before.hi68 - before.lo68)
    np.testing.assert_allclose(cut.value, before.value, rtol=1e-2)


@given(st.floats(0.2, 5.0), st.tuples(*[st.floats(0.0, 6.0)] * 3), st.randoms())
@settings(max_examples=20, deadline=None)
def test_likelihood_scales_turns_and_permutes(k, angles, random):
    from scipy.spatial.transform import Rotation

    from haloassay.estimators.power_law_df import PowerLawDF

    stars = own_model(60, seeded(8))
    turn = Rotation.from_euler("zxz", angles).as_matrix()
    order = list(range(60))
    random.shuffle(order)
    changed = catalogue_of(stars.position[order] @ turn.T, k * stars.velocity[order] @ turn.T)
    estimator = PowerLawDF(alpha=-4.0, v_max=1e5)
    rng = seeded(0)
    point = np.array([[2.0 * np.log(300.0), 0.4, 0.3]])
    before = estimator._tracers(stars, rng).log_likelihood(point, 4.0)[0]
    point[0, 0] += 2.0 * np.log(k)
    after = estimator._tracers(changed, rng).log_likelihood(point, 4.0)[0]
    np.testing.assert_allclose(after + 3.0 * 60 * np.log(k), before, rtol=1e-9)


def test_what_cannot_be_determined_is_said():
    stars = own_model(100, seeded(9))
    for row in rows_of(stars.select(np.arange(19))):
        assert "too few stars: 19, at least 20" in row.note
    for row in rows_of(stars, r_range=[200.0, 300.0]):
        assert "too few stars: 0" in row.note
    fast = catalogue_of(stars.position, 20.0 * stars.velocity)
    assert "binds every star" in rows_of(fast, v_max=1e5, g=0.9).rows[0].note


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"alpha": 3.0}, "alpha: negative"),
        ({"beta": 1.0}, "beta: below 1"),
        ({"g": 1.2}, "g: above 0, at most 1"),
        ({"g_range": [0.5, 0.1]}, "g_range: bounds ascend"),
        ({"r_range": [50.0, 10.0]}, "r_range: radii ascend"),
        ({"outlier_fraction": 0.7}, "outlier_fraction"),
        ({"mean_field": {"r": [10.0], "velocity": []}}, "one velocity a radius"),
        ({"mean_field": {"r": [10.0, 5.0], "velocity": [[0, 0, 0]] * 2}}, "radii ascend"),
        ({"errors": "guessed"}, "errors"),
    ],
)
def test_bad_settings(spec, message):
    with pytest.raises(InputError, match=message):
        make_estimator({"kind": "power-law-df", "alpha": -4.0, **spec})
