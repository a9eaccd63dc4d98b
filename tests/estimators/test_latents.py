from __future__ import annotations

import itertools

import hierarchical_samples as own
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm
from seeds import seeded
from test_power_law_df import R0, V0, own_model

from haloassay.contracts.catalogue import Catalogue
from haloassay.estimators.fit.latent_posterior import LatentPosterior
from haloassay.estimators.fit.latent_posterior import rows_of as kernel_rows
from haloassay.estimators.fit.latents import Expansion, Observed
from haloassay.estimators.fit.lines_of_sight import log_j_table
from haloassay.estimators.fit.power_law import exponent, log_norm
from haloassay.estimators.power_law_df import Tracers

AT = np.array([2.0 * np.log(190.0), 0.5, 0.4, -4.0])
#: Proper motions that hardly tell anything.
POOR = (0.1, 1.0, 10.0)


def fit_of(stars, density="conditional"):
    bounds = np.array([[3.0, 15.0], [0.02, 1.0], [-2.0, 0.99], [-8.0, -2.0]])
    observed = Observed.of(stars, "log")
    free = np.ones(4, dtype=bool)
    return LatentPosterior(observed, density, "flat", bounds, free, AT.copy(), 25.0, own.EDGES, 7)


def ratio(fit, other, n_samples, n_draws=None):
    """Ln of the likelihood of all stars at ``other``, over that at AT, as the estimator has it."""
    expansion, point = fit.about(AT, n_samples, (fit.n, n_draws or n_samples))
    assert np.array_equal(point, AT)
    rows, norm, _ = kernel_rows(np.stack([AT, other]))
    values = expansion.log_ratio(rows, np.stack([AT, other]) - AT) + fit.of_lines(rows)
    return values[1] - values[0] - fit.n * (norm[1] - norm[0])


def log_df(point, log_r, half_square, log_across):
    """Ln of f, normalised over velocities to r^alpha."""
    log_vc2, g, beta, alpha = point
    log_psi = log_vc2 - np.log(g) - g * log_r
    n = float(exponent(-alpha, g, beta))
    left = np.maximum(1.0 - half_square * np.exp(-log_psi), 1e-300)
    values = alpha * log_r - 2.0 * beta * log_across + n * np.log(left)
    return values - (1.5 - beta) * (np.log(2.0) + log_psi) - log_norm(n, beta)


def brute_force(stars, points, n=60_000, seed=3):
    """The same of one star by integrating over its errors, and over velocities that were not measured, anew."""
    rng = seeded(seed)
    c = {name: float(values[0]) for name, values in stars.columns.items()}
    distance = c["distance"] * np.exp(c["distance_err"] / c["distance"] * rng.standard_normal(n))
    drawn = {"ra": np.full(n, c["ra"]), "dec": np.full(n, c["dec"]), "distance": distance}
    power = 3.0
    for name in ("pmra", "pmdec", "vlos"):
        if name in c:
            z = rng.standard_normal(n)
            if name == "pmdec" and "pm_corr" in c:
                towards = (drawn["pmra"] - c["pmra"]) / c["pmra_err"]
                z = c["pm_corr"] * towards + np.sqrt(1.0 - c["pm_corr"] ** 2) * z
            drawn[name] = c[name] + c[f"{name}_err"] * z
            power += name != "vlos"
        else:  # anything up to 1000 km/s
            wide = rng.uniform(-1000.0, 1000.0, n)
            drawn[name] = wide if name == "vlos" else wide / (4.740470463533349 * distance)
    true = Catalogue.from_arrays(**drawn)
    half = 0.5 * np.sum(true.velocity**2, axis=1)
    across = np.log(np.hypot(*true.spherical_velocity[:, 1:].T))
    values = []
    for point in points:
        with np.errstate(under="ignore"):
            values.append(
                distance**power * np.exp(log_df(point, np.log(true.r / 25.0), half, across))
            )
    a, b = values
    error = np.std(b / b.mean() - a / a.mean()) / np.sqrt(n)
    return np.log(b.mean() / a.mean()), error


def made_fast(errors, number, off):
    """300 stars, of which distances of the fastest are too large by so many errors."""
    stars = own.seen(300, seeded(23), errors)
    columns = dict(stars.columns)
    fastest = np.argsort(np.linalg.norm(stars.velocity, axis=1))[-number:]
    columns["distance"] = stars["distance"].copy()
    columns["distance"][fastest] *= np.exp(off * errors[0])
    columns["distance_err"] = errors[0] * columns["distance"]
    return Catalogue.from_arrays(**columns)


def test_of_exact_stars_the_likelihood_is_that_of_the_method_without_a_hierarchy():
    stars = own_model(30, seeded(1))
    other = AT + np.array([0.1, -0.05, 0.1, 0.0])
    v, across = stars.spherical_velocity, np.hypot(*stars.spherical_velocity[:, 1:].T)
    columns = np.log(stars.r / 25.0), 0.5 * np.sum(v**2, axis=1), np.log(across)
    plain = Tracers(*(c[:, None] for c in columns), np.zeros((30, 1)), 25.0, (1.0, 2.0))
    wanted = np.diff(plain.log_likelihood(np.stack([AT, other])[:, :3], 4.0))[0]
    # velocities that are exact are known to 1 m/s
    assert ratio(fit_of(stars), other, 1) == pytest.approx(wanted, rel=1e-3)


@pytest.mark.parametrize("missing", [(), ("pmra", "pmdec"), ("vlos",)])
@pytest.mark.parametrize("errors", [(0.05, 0.02, 5.0), (0.2, 0.3, 60.0)])
def test_a_star_against_brute_force(missing, errors):
    """Small and large errors, and what was not measured."""
    other = AT + np.array([0.1, 0.05, 0.1, -0.2])
    stars = own.without(own.seen(3, seeded(2), errors), *missing)
    for k in range(2):
        star = stars.select(np.array([k]))
        wanted, error = brute_force(star, (AT, other))
        found = ratio(fit_of(star), other, 4096)
        assert abs(found - wanted) < 4.0 * error + 0.005, (k, found, wanted, error)


def test_a_star_that_an_error_of_distance_made_fast_against_brute_force():
    """Its distances are not those that the error alone makes likely."""
    other = AT + np.array([0.1, 0.05, 0.1, -0.2])
    stars = made_fast(own.ERRORS, 1, 3.0)
    star = stars.select(np.argsort(np.linalg.norm(stars.velocity, axis=1))[-1:])
    wanted, error = brute_force(star, (AT, other), 400_000)
    assert abs(ratio(fit_of(star), other, 4096) - wanted) < 4.0 * error + 0.005


@pytest.mark.parametrize("corr", [0.9, -0.9])
def test_errors_of_proper_motions_that_go_together_against_brute_force(corr):
    other = AT + np.array([0.1, 0.05, 0.3, -0.2])
    star = own.seen(1, seeded(22), (0.05, 0.6, 10.0))
    star = Catalogue.from_arrays(**star.columns, pm_corr=np.array([corr]))
    wanted, error = brute_force(star, (AT, other))
    assert abs(ratio(fit_of(star), other, 4096) - wanted) < 4.0 * error + 0.005


@pytest.mark.parametrize(
    ("beta", "n", "at"),
    [
        (0.5, 5.0, (0.1, 0.8)),
        (0.9, 2.0, (0.02, 0.95)),
        (-1.0, 6.0, (0.3, 0.65)),
        (0.8, 60.0, (0.01, 0.9)),
    ],
)
def test_f_over_the_velocities_across_a_line_of_sight_against_quadrature(beta, n, at):
    """At (c^2, mu), about the pole of f, where the orbit is radial."""
    c2, mu = at
    p2 = c2 / mu**2 * (1.0 - mu**2) / (1.0 - c2)
    off, w = np.sqrt(p2), 1.0 / (n + 2.0)

    def along(eta):
        edge = np.sqrt(1.0 - p2 * np.sin(eta) ** 2) - off * np.cos(eta)
        end = min(edge, off + 8.0 / np.sqrt(n + 1.0))
        inside = quad(
            lambda t: max(1.0 - p2 - t * t - 2.0 * off * t * np.cos(eta), 0.0) ** n,
            0.0, end, weight="alg", wvar=(1.0 - 2.0 * beta, 0.0),
        )[0]  # fmt: skip
        return inside * (mu**2 * np.cos(eta) ** 2 + np.sin(eta) ** 2) ** -beta

    wanted = np.log(2.0 * quad(along, 0.0, np.pi)[0])
    table = log_j_table(np.array([beta]), np.array([n]), (0.6, 1.0))[0, 0]
    s, t = 2.0 * p2 * (1.0 + w) / (p2 + w) - 1.0, (mu - 0.8) / 0.2
    found = np.polynomial.chebyshev.chebval2d(s, t, table) - beta * np.log(p2 + w)
    assert found == pytest.approx(wanted, abs=0.01)


def test_radial_orbits_are_not_ruled_out_where_proper_motions_are_unknown():
    """Candidates of unknown velocities are hardly ever near L = 0: a high beta had too small a likelihood."""
    stars = own.without(own.seen(1500, seeded(21), beta=0.8), "pmra", "pmdec")
    fit = fit_of(stars)
    points = np.array([[AT[0], 0.5, beta, -4.0] for beta in (0.8, 0.2)])
    rows, norm, _ = kernel_rows(points)
    log_density = fit.of_lines(rows) - fit.n * norm
    assert log_density[0] > log_density[1]


def test_lines_of_sight_may_all_point_away_from_the_centre():
    """Of stars on an axis along which the velocity is known the cosine is 1 for all."""
    x, vx = np.linspace(15.0, 60.0, 30), np.linspace(-200.0, 200.0, 30)
    errors = {"vx_err": np.ones(30), "vy_err": np.full(30, 1e5), "vz_err": np.full(30, 1e5)}
    zero = np.zeros(30)
    stars = Catalogue.from_arrays(x=x, y=zero, z=zero, vx=vx, vy=zero, vz=zero, **errors)
    fit = fit_of(stars)
    assert fit.alone.all()
    assert np.isfinite(fit.of_lines(kernel_rows(AT[None])[0])).all()


def test_a_few_draws_err_beyond_the_second_order_only():
    """Four draws of 256 candidates: the error of the ratio falls as the cube of the step, and is small."""
    fit = fit_of(own.seen(100, seeded(12)))
    step = np.array([0.1, 0.1, 0.1, 0.2])
    off = [ratio(fit, AT + x * step, 256, 4) - ratio(fit, AT + x * step, 256) for x in (0.25, 1.0)]
    assert abs(off[1]) < 0.1
    assert abs(off[0]) < 0.1 * abs(off[1])


def test_of_no_radial_velocities_a_part_of_the_stars_stands_for_all():
    """Where much is missing a few draws of each star do not do, though they have both first orders."""
    fit = fit_of(own.without(own.seen(600, seeded(14), (0.3, 1.0, 10.0)), "vlos"))
    about, _, reach = fit.around(AT, 128)
    assert about.draws.shape == (4, 600, 64)
    assert reach == 10.0
    step = np.linalg.inv(about.information)
    other = AT + 2.0 * step[0] / np.sqrt(step[0, 0])
    wanted, few = (ratio(fit, other, 64, n) for n in (64, 8))
    rows, norm, _ = kernel_rows(np.stack([AT, other]))
    here, there = about.log_ratio(rows, np.stack([AT, other]) - AT)
    assert there - here - 600 * (norm[1] - norm[0]) == pytest.approx(wanted, rel=1e-9)
    assert abs(few - wanted) > 1.0


@pytest.mark.parametrize("density", ["counts", "conditional"])
def test_what_is_known_is_the_curvature_of_the_likelihood(density):
    """Fisher's identity at the truth. Where distances are given they tell nothing of alpha."""
    n = 3000
    fit = fit_of(own.seen(n, seeded(16)), density)
    true = np.array([2.0 * np.log(V0) - 0.5 * np.log(fit.pivot / R0), 0.5, 0.5, -4.0])
    about, point = fit.about(true, 256, (n, 4))
    assert np.array_equal(point, true)
    log_density, step = fit.log_density(about, true, fit.log_shares()), 0.02
    curved = np.empty((4, 4))
    for i, j in itertools.product(range(4), repeat=2):
        a, b = step * np.eye(4)[[i, j]]
        values = log_density(true + np.array([a + b, a - b, b - a, -a - b]))
        curved[i, j] = -(values[0] - values[1] - values[2] + values[3]) / (4.0 * step**2)
    # the ratio along any direction: 1 but for Monte Carlo errors of 0.15, by other seeds
    root = np.linalg.inv(np.linalg.cholesky(curved))
    assert np.linalg.eigvalsh(root @ about.information @ root.T) == pytest.approx(1.0, abs=0.6)


@pytest.mark.parametrize(("errors", "beta"), [(own.ERRORS, 0.5), (POOR, 0.5), (own.ERRORS, -0.5)])
def test_candidates_know_the_pole_of_zero_angular_momentum(errors, beta):
    """The gradient by 64 candidates of a star is that by 4096; without the pull it is off by many widths."""
    stars = own.seen(100, seeded(13), errors, beta=beta)
    fit, point = fit_of(stars), np.array([AT[0], 0.5, beta, -4.0])
    few, many = (fit.about(point, n, (fit.n, 2))[0] for n in (64, 4096))
    slopes = []
    for expansion in (few, many):
        step = 1e-4 * np.eye(4)[2]
        pair = np.stack([point - step, point + step])
        values = expansion.log_ratio(kernel_rows(pair)[0], pair - point)
        slopes.append((values[1] - values[0]) / 2e-4)
    width = 1.0 / np.sqrt(many.information[2, 2])
    missing_share = few.missing[2, 2] * width**2
    assert abs(slopes[0] - slopes[1]) * width < 4.0 * np.sqrt(missing_share / (0.3 * 64.0))


@pytest.mark.parametrize("beta", [-0.5, 0.5, 0.9])
def test_the_gradient_of_the_likelihood_is_zero_at_the_truth(beta):
    """Of nearly radial orbits too, of which many are slower across the radius than any error can show."""
    n = 3000
    fit = fit_of(own.seen(n, seeded(17), beta=beta), "counts")
    true = np.array([2.0 * np.log(V0) - 0.5 * np.log(fit.pivot / R0), 0.5, beta, -4.0])
    about, point = fit.about(true, 256, (n, 4))
    assert np.array_equal(point, true)
    log_density, steps = fit.log_density(about, true, fit.log_shares()), 1e-3 * np.eye(4)
    gradient = (log_density(true + steps) - log_density(true - steps)) / 2e-3
    assert np.abs(gradient / np.sqrt(np.diag(about.information))) == pytest.approx(0.0, abs=4.0)


@pytest.mark.parametrize("density", ["counts", "conditional"])
def test_a_part_of_the_stars_makes_no_maximum_far_away(density):
    """Given distances, a false one ten widths away: what distances tell of the part was that of all."""
    fit = fit_of(own.seen(8000, seeded(22)), density)  # of which the first are far from the others
    true = np.array([2.0 * np.log(V0) - 0.5 * np.log(fit.pivot / R0), 0.5, 0.5, -4.0])
    about, _ = fit.about(true, 64, (1000, 4))
    log_density = fit.log_density(about, true, fit.log_shares())
    values, vectors = np.linalg.eigh(about.information)
    weakest = vectors[:, 0] / np.sqrt(values[0])
    for widths in (-10.0, -7.0, 7.0, 10.0):
        lower = log_density(np.array([true, true + widths * weakest]))
        # -widths^2 / 2, but for a maximum that is up to four widths from the truth
        assert lower[0] - lower[1] > 0.5 * widths**2 - 4.0 * abs(widths) - 10.0
        assert lower[0] - lower[1] > 0.0


def test_what_draws_leave_out_ends_at_five_widths_without_a_kink():
    """A kink is where no maximum is found: 20 of 400 samples of 30000 stars had none."""
    none = np.empty((4, 0, 1))
    expansion = Expansion(none, 1.0, np.eye(4)[0], *np.zeros((3, 4, 4)), np.eye(4))
    size = np.linspace(0.0, 12.0, 121)
    values = expansion.log_ratio(np.zeros((121, 5)), size[:, None] * np.eye(4)[0])
    near = size <= 2.0
    assert values[near] == pytest.approx(size[near], rel=1e-4)
    assert values[-1] == pytest.approx(5.0, rel=1e-3)
    assert np.abs(np.diff(values, 2)).max() < 0.02  # of the slope, 0.1 at the kink


@pytest.mark.parametrize("off", [4.0, 7.0])
def test_stars_that_an_error_of_distance_made_fast_have_candidates_that_are_bound(off):
    """One of 30000 made masses wrong by 16 of their errors: few of its candidates were bound, if any."""
    fit = fit_of(made_fast(own.ERRORS, 10, off))
    few, many = (fit.about(AT, n, (fit.n, n)) for n in (256, 8192))
    assert np.array_equal(few[1], AT)
    steps = 1e-4 * np.eye(4)
    up, down = (kernel_rows(AT + sign * steps)[0] for sign in (1.0, -1.0))
    slopes = [
        about.log_ratio(up, steps) - about.log_ratio(down, -steps) for about, _ in (few, many)
    ]
    covariance = np.linalg.inv(many[0].information)
    blur = np.sqrt(np.trace(covariance @ few[0].noise))
    off_by = (slopes[0] - slopes[1]) / 2e-4 * np.sqrt(np.diag(covariance))
    assert off_by == pytest.approx(0.0, abs=4.0 * blur)
    assert blur < 0.5


def test_of_exact_stars_a_maximum_may_be_far_from_where_it_was_sought():
    """Nothing was drawn beyond five widths of there, as it has to be where draws stand for more; so nothing was."""
    fit = fit_of(own_model(400, seeded(41), edges=own.EDGES))
    peak = fit.settled(AT + np.array([1.0, 0.0, 0.0, 0.0]), 64)
    assert np.isfinite(peak.log_density(peak.point[None])[0])
    assert np.exp(0.5 * peak.point[0]) == pytest.approx(V0 * (25.0 / R0) ** -0.25, rel=0.1)


def test_where_few_draws_lead_round_in_a_circle_all_candidates_are_taken(monkeypatch):
    """One of 400 samples given distances, of which little is known, had no value."""
    pure_ones, original = [], LatentPosterior.around

    def around(self, point, n_samples, pure=False):
        pure_ones.append(pure)
        about, point, reach = original(self, point, n_samples, pure)
        return about, point, reach if pure else 0.0

    monkeypatch.setattr(LatentPosterior, "around", around)
    fit = fit_of(own.seen(300, seeded(43)))
    peak = fit.settled(AT, 64)
    assert pure_ones.index(True) == len(pure_ones) - 1
    assert np.isfinite(peak.log_density(peak.point[None])[0])
    about, _, reach = original(fit, AT, 64, pure=True)
    assert about.draws.shape == (4, 300, 32)
    assert reach == 10.0


def test_numbers_along_a_line_of_sight_against_quadrature():
    stars = own.seen(2, seeded(3))
    seen = Observed.of(stars, "log")
    alphas = np.array([-3.0, -5.0])
    wanted = np.zeros(2)
    for k in range(2):
        toward, s = seen.toward[k], float(seen.error[k])

        def radius(d, toward=toward):
            return float(np.linalg.norm(seen.origin + d * toward))

        def share(d, radius=radius, s=s):
            x = np.linspace(-6, 6, 4001)
            kept = [own.EDGES[0] < radius(d * np.exp(s * each)) < own.EDGES[1] for each in x[::10]]
            return float(np.sum(norm.pdf(x[::10]) * kept) * (x[10] - x[0]))

        for j, alpha in enumerate(alphas):
            grid = np.linspace(np.log(2.0), np.log(160.0), 150)
            each = [
                np.exp(3 * g) * (radius(np.exp(g)) / 25.0) ** alpha * share(np.exp(g)) for g in grid
            ]
            wanted[j] += np.log(np.sum(each) * (grid[1] - grid[0]))
    found = seen.log_counts(25.0, (-6.0, -2.0), own.EDGES)(alphas)
    np.testing.assert_allclose(found[1] - found[0], wanted[1] - wanted[0], atol=0.03)
