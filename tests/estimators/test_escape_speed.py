from __future__ import annotations

from dataclasses import replace

import escape_samples as own
import numpy as np
import pytest
from scipy.integrate import dblquad, quad
from scipy.stats import norm
from seeds import seeded

from haloassay.base.errors import InputError
from haloassay.contracts.catalogue import Catalogue
from haloassay.contracts.profiles import nfw_enclosed_mass, virial_radius
from haloassay.estimators import escape_speed, make_estimator
from haloassay.estimators.fit.posterior import EmceeRun
from haloassay.estimators.fit.power_means import at_power, log_power, power_table
from haloassay.estimators.fit.speed_tail import Shapes, Tail, falling, shares
from haloassay.estimators.halo.baryons import baryons_mass, baryons_vc2
from haloassay.estimators.halo.escape_halo import EscapeDraws, EscapeHalo
from haloassay.mocks import make_mock

#: As Necib & Lin (2022) have it, but for the number of components.
WIDE = {"k": "necib2022", "outliers": {}, "prior": "inverse", "slope": own.SLOPE}
KNOWN = {"k": own.K, "slope": own.SLOPE}


def rows_of(catalogue, seed=0, **spec):
    return make_estimator({"kind": "escape-speed", **spec}).estimate(catalogue, seeded(seed))


def one(speed, error, v_min=300.0, log_r=0.0):
    star = (np.array([x]) for x in (log_r, speed, error))
    return Tail(*star, np.ones(1), v_min, (0.1, 15.0))


def shapes(v_esc, k, slope=0.0, share=(1.0,), outliers=0.0, sigma=1000.0):
    """Tails of the escape speeds ``v_esc``, all else alike."""
    m = np.size(v_esc)
    fixed = (np.full(m, x) for x in (outliers, sigma))
    parts = (np.tile(np.atleast_1d(x), (m, 1)) for x in (k, share))
    return Shapes(np.atleast_1d(v_esc), np.full(m, slope), *parts, *fixed)


@pytest.mark.parametrize(("k", "error"), [(1.0, 0.0), (2.3, 25.0), (3.7, 60.0)])
def test_the_likelihood_is_a_density_of_speeds_above_the_lowest(k, error):
    """Also where the error is as large as the tail is long."""

    def density(v):
        return float(np.exp(one(v, error).log_likelihood(shapes(480.0, k))[0]))

    assert quad(density, 300.0, 480.0 + 8.0 * error, limit=200)[0] == pytest.approx(1.0, rel=1e-3)


def test_a_speed_with_an_error_against_quadrature():
    k, error, v_min, v_esc = 1.6, 30.0, 300.0, 450.0

    def joint(true, seen):
        return (v_esc - true) ** k * norm.pdf(seen, true, error)

    whole = dblquad(joint, v_min, v_esc + 8 * error, -200.0, v_esc, epsrel=1e-6)[0]
    for seen in (310.0, 440.0, 500.0):
        wanted = quad(joint, -200.0, v_esc, args=(seen,), points=[seen - 60.0, 440.0])[0] / whole
        found = one(seen, error).log_likelihood(shapes(v_esc, k))[0]
        assert found == pytest.approx(np.log(wanted), abs=1e-5)


def test_the_slope_takes_speeds_to_one_radius():
    far = one(400.0, 0.0, log_r=np.log(2.0))
    found = far.log_likelihood(shapes(600.0, 2.0, slope=0.3))
    wanted = one(400.0, 0.0).log_likelihood(shapes(600.0 * 2.0**-0.3, 2.0))
    np.testing.assert_allclose(found, wanted)


@pytest.mark.parametrize("p", [0.1, 1.8, 7.0, 16.0])
@pytest.mark.parametrize("u", [-5.5, -1.0, 2.0, 5.999, 6.001, 9.0, 60.0])
def test_means_of_powers_of_normal_deviates(p, u):
    sigma, table = 7.0, power_table(0.1, 16.0)
    found = log_power(u * sigma, sigma, p, at_power(table, 0.1, 16.0, p))
    top = 0.5 * (
        u + np.sqrt(u * u + 4.0 * p)
    )  # of the integrand, which is scaled by what it is there

    def scaled(t):
        return np.exp(p * np.log(t / top) + 0.5 * ((top - u) ** 2 - (t - u) ** 2))

    mean = quad(scaled, max(top - 12.0, 0.0), top + 12.0, points=[top], epsrel=1e-9)[0]
    wanted = p * np.log(sigma * top) - 0.5 * (top - u) ** 2 + np.log(mean / np.sqrt(2.0 * np.pi))
    assert found == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("slopes", [(0.0, 0.0), (own.SLOPE, own.SLOPE), (0.0, 0.5)])
def test_stars_that_are_summed_up_have_the_likelihood_of_all(slopes):
    """To what can be seen in a posterior, with errors of two sizes."""
    rng = seeded(9)
    stars = own.tail(20_000, rng)
    speed = np.linalg.norm(stars.spherical_velocity, axis=1)
    error = rng.choice([8.0, 22.0], len(speed))
    log_r = np.log(stars.r / np.median(stars.r))
    tail = Tail(log_r, speed, error, np.ones(len(speed)), own.V_MIN, (1.0, 2.5))
    short = tail.summed_up(slopes)
    assert len(short.speed) < 2200
    assert short.weight.sum() == pytest.approx(len(speed))
    off = [
        tail.log_likelihood(tails) - short.log_likelihood(tails)
        for k in (1.6, 2.0)
        for slope in np.clip([0.23, own.SLOPE], *slopes)
        for tails in [shapes(np.array([515.0, 535.0]), k, slope)]
    ]
    assert np.ptp(off) < 0.1


@pytest.mark.parametrize("apart", [0.0, 1e-13])
def test_stars_of_one_speed_are_summed_up_too(apart):
    speed = np.repeat([400.0, 400.0 + apart, 410.0], 200)
    n = len(speed)
    tail = Tail(np.zeros(n), speed, np.zeros(n), np.ones(n), own.V_MIN, (1.0, 2.5))
    short = tail.summed_up((0.0, 0.0))
    assert len(short.speed) < 300
    found, all_of_it = (each.log_likelihood(shapes(450.0, 2.0)) for each in (short, tail))
    assert found == pytest.approx(all_of_it, rel=1e-9)


@pytest.mark.parametrize("error", [0.0, 25.0])
def test_a_sum_of_components_and_outliers_is_a_density_too(error):
    tails = shapes(480.0, [9.0, 1.2], share=[0.7, 0.3], outliers=0.1, sigma=700.0)

    def density(v):
        return float(np.exp(one(v, error).log_likelihood(tails)[0]))

    inside = quad(density, 300.0, 480.0, limit=200)[0] + quad(density, 480.0, 700.0, limit=200)[0]
    beyond = norm.sf(700.0, scale=np.hypot(700.0, error)) / norm.sf(
        300.0, scale=np.hypot(700.0, error)
    )
    assert inside + 0.1 * beyond == pytest.approx(1.0, rel=1e-4)


@pytest.mark.parametrize(("k", "share"), [([2.0, 2.0], [0.3, 0.7]), ([7.0, 2.0], [0.0, 1.0])])
def test_components_that_are_one_have_its_likelihood(k, share):
    star = one(410.0, 20.0)
    (found,) = star.log_likelihood(shapes(480.0, k, share=share))
    assert found == pytest.approx(star.log_likelihood(shapes(480.0, 2.0))[0], abs=1e-9)


def test_components_have_powers_in_order_and_shares_that_are_uniform():
    """As those of uniform numbers that are sorted, and of gaps between them."""
    rng = seeded(11)
    k = falling(rng.random((20_000, 3)), 1.0, 5.0)
    assert np.all(np.diff(k, axis=1) <= 0.0)
    share = shares(rng.random((20_000, 2)))
    np.testing.assert_allclose(share.sum(axis=1), 1.0)
    gaps = np.diff(np.sort(rng.random((20_000, 2)), axis=1), axis=1, prepend=0.0, append=1.0)
    uniform = np.sort(1.0 + 4.0 * rng.random((20_000, 3)), axis=1)[:, ::-1]
    for found, wanted in ((k, uniform), (share, gaps)):
        error = 4.0 * np.sqrt(2.0 / 20_000)
        np.testing.assert_allclose(
            found.mean(axis=0), wanted.mean(axis=0), atol=error * wanted.std()
        )
        np.testing.assert_allclose(found.std(axis=0), wanted.std(axis=0), rtol=0.06)


def test_two_components_find_what_one_misses():
    stars = own.mixed(3000, seeded(12))
    (two,) = rows_of(stars, components=2, n_draws=500, **WIDE)
    (single,) = rows_of(stars, n_draws=500, **WIDE)
    truth = own.escape_speed(two.r)
    assert two.lo95 - 0.5 * (two.hi68 - two.lo68) < truth < two.hi95
    assert single.lo95 > truth + (single.hi68 - single.lo68)


def test_two_components_of_a_tail_of_one():
    stars = own.tail(600, seeded(13))
    spec = {"slope": own.SLOPE, "k": [1.0, 2.5], "n_draws": 500}
    (single,), (two,) = rows_of(stars, **spec), rows_of(stars, components=2, **spec)
    assert abs(two.value - single.value) < single.hi68 - single.lo68


def test_a_hypervelocity_star_is_an_outlier():
    stars = own.tail(600, seeded(14))
    (without,) = rows_of(stars, **KNOWN)
    far = {name: x.copy() for name, x in stars.columns.items()}
    for axis in "xyz":
        far[f"v{axis}"][7] *= 1000.0 / np.linalg.norm(stars.spherical_velocity[7])
    stars = Catalogue.from_arrays(**far)
    (misled,), (found,) = rows_of(stars, **KNOWN), rows_of(stars, outliers={}, **KNOWN)
    error = 0.5 * (without.hi68 - without.lo68)
    assert abs(found.value - without.value) < error
    assert not abs(misled.value - without.value) < 20.0 * error


@pytest.mark.parametrize("spec", [{}, {"outliers": "none"}])
@pytest.mark.parametrize("slope", [own.SLOPE, [0.0, 0.5]])
def test_two_components_without_outliers_or_with_a_slope(spec, slope):
    stars = own.mixed(400, seeded(16), outliers=0.0)
    (row,) = rows_of(stars, **{**WIDE, "components": 2, "n_draws": 200, "slope": slope, **spec})
    assert row.note or row.lo95 - (row.hi68 - row.lo68) < own.escape_speed(row.r) < row.hi95


def test_neither_order_nor_units_matter_to_components():
    stars = own.mixed(400, seeded(15))
    spec = {**WIDE, "components": 2, "n_draws": 300}
    (row,) = rows_of(stars, **spec)
    (turned,) = rows_of(stars.select(np.arange(400)[::-1]), **spec)
    twice = {n: x * (2.0 if n[0] == "v" else 1.0) for n, x in stars.columns.items()}
    scaled = {"v_min": 600.0, "v_esc_range": [700.0, 2400.0]}
    spec = {**spec, **scaled, "outliers": {"sigma": [1200.0, 6000.0]}}
    (double,) = rows_of(Catalogue.from_arrays(**twice), **spec)
    width = row.hi68 - row.lo68
    assert turned.value == pytest.approx(row.value, abs=0.2 * width)
    assert double.value == pytest.approx(2.0 * row.value, abs=0.4 * width)


@pytest.mark.parametrize(("n", "error"), [(150, 1.0), (5000, 2000.0)])
def test_stars_of_which_no_sum_is_shorter_are_left_as_they_are(n, error):
    tail = Tail(
        np.zeros(n), np.linspace(301.0, 500.0, n), np.full(n, error), np.ones(n), 300.0, (1.0, 2.5)
    )
    assert tail.summed_up((0.0, 0.0)) is tail


def test_stars_that_cannot_be_summed_up_are_not(monkeypatch):
    """A sum that is off is seen, and all stars are taken."""
    stars = own.tail(1500, seeded(10))
    right = rows_of(stars, **KNOWN).rows[0]
    summed = Tail.summed_up

    def off(self, slopes):
        short = summed(self, slopes)
        return replace(short, speed=short.speed - 5.0)

    monkeypatch.setattr(Tail, "summed_up", off)
    again = rows_of(stars, **KNOWN).rows[0]
    assert abs(again.value - right.value) < 0.3 * (right.hi68 - right.lo68)
    monkeypatch.setattr(escape_speed, "_MISFIT", np.inf)
    wrong = rows_of(stars, **KNOWN).rows[0]
    assert wrong.value < right.value - 0.5 * (right.hi68 - right.lo68)


@pytest.mark.parametrize("spec", [KNOWN, {"slope": [0.0, 0.5]}])
def test_the_escape_speed_of_a_tail_is_found(spec):
    stars = own.tail(3000, seeded(1))
    (row,) = rows_of(stars, **spec)
    assert abs(row.value - own.escape_speed(row.r)) < 4.0 * 0.5 * (row.hi68 - row.lo68)
    assert row.hi68 - row.lo68 < 0.06 * row.value


@pytest.mark.parametrize("error", [0.01, 3.0])
def test_errors_of_positions_alone_leave_speeds_as_they_are(error):
    """They turn the axes about the velocity, of whose variance across it they take a part of the speed."""
    columns = dict(own.tail(400, seeded(1), error=0.0).columns)
    plain, turned = (
        rows_of(
            Catalogue({**columns, **{f"{a}_err": np.full(400, e) for a in "xyz"}}), **KNOWN
        ).rows[0]
        for e in (0.0, error)
    )
    assert turned.value == plain.value


def test_errors_of_a_distance_are_across_and_along_by_its_proper_motions():
    """Speeds without what is added are those of the truth: their mean, of draws of one star's distance."""
    star = {"ra": 50.0, "dec": 30.0, "distance": 12.0, "pmra": 4.0, "pmdec": -5.0, "vlos": 300.0}
    drawn = 12.0 + 0.5 * seeded(2).standard_normal(20000)
    columns = {k: np.full(20000, v) for k, v in star.items()}
    seen = Catalogue.from_arrays(
        **{**columns, "distance": drawn, "distance_err": np.full(20000, 0.5)}
    )
    true = np.linalg.norm(Catalogue.from_arrays(**columns).velocity[0])
    speed, error = make_estimator({"kind": "escape-speed"})._speeds(seen)
    assert abs(speed.mean() - true) < 4.0 * speed.std() / np.sqrt(20000)
    assert error.mean() == pytest.approx(speed.std(), rel=0.02)


def test_bias_and_coverage_where_the_power_is_known():
    runs, off, covered = 60, [], []
    for j in range(runs):
        (row,) = rows_of(own.tail(300, seeded(2, j)), seed=j, n_draws=500, **KNOWN)
        off.append(row.value / own.escape_speed(row.r) - 1.0)
        covered.append(row.lo68 < own.escape_speed(row.r) < row.hi68)
    scatter = np.std(off, ddof=1)
    assert abs(np.mean(off)) < 4.0 * scatter / np.sqrt(runs) + scatter**2
    assert abs(np.mean(covered) - 0.68) < 4.0 * np.sqrt(0.68 * 0.32 / runs)


def test_errors_that_are_ignored_make_it_too_high():
    stars = own.tail(3000, seeded(3), error=30.0)
    (with_errors,) = rows_of(stars, **KNOWN)
    (without,) = rows_of(stars, errors="ignored", **KNOWN)
    error = 0.5 * (with_errors.hi68 - with_errors.lo68)
    assert abs(with_errors.value - own.escape_speed(with_errors.r)) < 4.0 * error
    assert without.value - own.escape_speed(without.r) > 4.0 * error


def test_the_two_priors_of_k_are_apart_by_what_they_say():
    """More stars do not tell them apart: a steeper tail ends farther out."""
    stars = own.tail(300, seeded(4))
    low, high = (rows_of(stars, slope=own.SLOPE, k=k).rows[0] for k in ("deason2019", "piffl2014"))
    named = rows_of(stars, slope=own.SLOPE, k=[1.0, 2.5]).rows[0]
    assert named.value == low.value
    assert high.lo68 > low.hi68 - 0.3 * (low.hi68 - low.lo68)
    assert high.value > low.value + 0.5 * (low.hi68 - low.lo68)


def test_bins_have_their_own_escape_speed():
    stars = own.tail(4000, seeded(5), slope=0.6)
    inner, outer = rows_of(stars, bins=[6.0, 8.0, 11.0], k=own.K, slope=0.6)
    for row in (inner, outer):
        wanted = own.V_ESC * (row.r / own.R_0) ** -0.6
        assert abs(row.value - wanted) < 4.0 * 0.5 * (row.hi68 - row.lo68)
    assert (inner.r_lo, inner.r_hi, outer.r_hi) == (6.0, 8.0, 11.0)
    assert inner.lo95 > outer.hi95


def test_the_halo_of_an_escape_speed():
    halo = EscapeHalo()
    m200, c200 = 0.9e12, 13.0
    r200 = float(virial_radius(m200, halo.h0))

    def force(r):
        mass = nfw_enclosed_mass(r, m200, r200, c200) + baryons_mass("mwpotential2014", r)
        return 4.30091e-6 * mass / r**2

    depth = quad(force, 8.3, 2.0 * r200, limit=300)[0]
    speed = float(halo.escape_speed(8.3, m200, c200))
    assert speed == pytest.approx(np.sqrt(2.0 * depth), rel=1e-3)
    mass = nfw_enclosed_mass(8.3, m200, r200, c200)
    v_c = float(np.sqrt(baryons_vc2("mwpotential2014", 8.3) + 4.30091e-6 * mass / 8.3))
    known = EscapeHalo(v_c=(v_c, 1.0))
    rng = seeded(6)
    draws = EscapeDraws(8.3, speed * np.exp(0.002 * rng.standard_normal(500)))
    drawn = known.draws([draws], 500, rng)
    np.testing.assert_allclose(np.median(drawn, axis=0), [m200, c200], rtol=0.05)


@pytest.mark.parametrize("told", [False, True])
def test_what_all_speeds_owe_to_one_power_does_not_average_out(told):
    """Five speeds that go with a power k: it stays as unknown as it is, unless each bin tells it anew."""
    halo, rng = EscapeHalo(v_c="none", c200_range=(11.999, 12.001)), seeded(17)
    rate, scatter, known = 0.05, 0.005, []
    for r in (7.0, 8.0, 9.0, 10.0, 11.0):
        k = rng.uniform(1.0, 2.5, 4000)
        if told:
            k = 1.75 + 0.1 * rng.standard_normal(4000)
        at = float(halo.escape_speed(r, 1e12, 12.0))
        noise = scatter * rng.standard_normal(4000)
        known.append(EscapeDraws(r, at * np.exp(rate * (k - 1.75) + noise), k))
    m200, _ = halo.draws(known, 4000, rng).T
    up, down = (np.log(halo.escape_speed(9.0, 1e12 * x, 12.0)) for x in (1.1, 1.0 / 1.1))
    of_k = rate * (0.1 / np.sqrt(5.0) if told else 1.5 / np.sqrt(12.0))
    wanted = np.hypot(of_k, scatter / np.sqrt(5.0)) * 2.0 * np.log(1.1) / (up - down)
    assert np.std(np.log(m200)) == pytest.approx(wanted, rel=0.08)
    assert np.mean(np.log(m200)) == pytest.approx(np.log(1e12), abs=0.1 * wanted)


def test_errors_across_the_velocity_do_not_raise_the_speed():
    rng, error = seeded(18), 60.0
    stars = own.tail(4000, rng, error=0.0)
    v = np.array([stars.columns[f"v{axis}"] for axis in "xyz"]).T
    noise = error * rng.standard_normal(v.shape)
    n = v / np.linalg.norm(v, axis=1)[:, None]
    noise -= np.sum(noise * n, axis=1)[:, None] * n
    seen = {**stars.columns, **dict(zip(("vx", "vy", "vz"), (v + noise).T, strict=True))}
    raised = np.linalg.norm(v + noise, axis=1) / np.linalg.norm(v, axis=1)
    assert raised.mean() > 1.01
    with_errors = {f"v{axis}_err": np.full(len(v), error) for axis in "xyz"}
    speed, _ = make_estimator({"kind": "escape-speed"})._speeds(
        Catalogue.from_arrays(**seen, **with_errors)
    )
    off = speed / np.linalg.norm(v, axis=1) - 1.0
    assert abs(off.mean()) < 4.0 * off.std() / np.sqrt(len(off))


@pytest.mark.long
def test_tails_of_draws_are_those_of_a_chain(monkeypatch):
    """Of 300 stars of two components, whose posterior has a second, small peak far out."""
    rng = seeded(19)
    tail = {"v_esc": 520.0, "powers": (8.0, 2.0), "shares": (0.6, 0.4), "slope": 0.0}
    stars = own.mixed(300, rng, outliers=0.1, sigma=800.0, **tail)
    spec = {**WIDE, "slope": 0.0, "v_esc_range": [400.0, 1000.0], "components": 2}
    method = make_estimator({"kind": "escape-speed", **spec})
    seen, draws = [], []
    explored = escape_speed.explore

    def spy(log_density, start, scale, *args, **kwargs):
        found = explored(log_density, start, scale, *args, **kwargs)
        seen.append((log_density, start, scale, kwargs["bounds"]))
        draws.append(found.draws[:, 0])
        return found

    monkeypatch.setattr(escape_speed, "explore", spy)
    for k in range(4):
        method.estimate(stars, seeded(20, k))
    log_density, start, scale, bounds = seen[0]
    run = EmceeRun(96, 6000, 2000)
    chain = explored(
        log_density, start, scale, 20000, seeded(21), sampler="emcee", emcee=run, bounds=bounds
    ).draws[:, 0]
    for share in (0.025, 0.16, 0.5, 0.84, 0.975):
        below = np.mean(np.concatenate(draws) < np.quantile(chain, share))
        assert below == pytest.approx(share, abs=0.01 + 0.1 * min(share, 1.0 - share))


def test_the_halo_is_fitted_where_it_is_asked_for():
    stars = own.tail(1000, seeded(7))
    assert [row.quantity for row in rows_of(stars)] == ["v_esc"]
    rows = rows_of(stars, halo={}, **KNOWN)
    assert [row.quantity for row in rows] == ["v_esc", "m200", "r200", "c200"]
    assert all(0.2 * row.value > 0.0 and not row.note for row in rows)
    # a star that has to reach farther to escape needs less of a halo
    farther = rows_of(stars, halo={"limit": 6.0}, **KNOWN)
    assert farther.of("m200")[0].value < rows.of("m200")[0].value


def test_the_truth_of_an_escape_speed():
    base = {
        "kind": "local-jeans-gaussian",
        "density": {"kind": "power-law", "slope": -3.5},
        "beta": 0.3,
        "r_range": [5.0, 60.0],
    }
    nfw = make_mock({**base, "potential": {"kind": "nfw", "m200": 1e12, "c": 12.0}}).truth
    wanted = float(EscapeHalo(baryons="none", limit=1e5).escape_speed(8.0, 1e12, 12.0))
    assert nfw.value("v_esc", r=8.0) == pytest.approx(wanted, rel=2e-3)
    endless = {
        "kind": "galpy",
        "name": "LogarithmicHaloPotential",
        "settings": {"normalize": 1.0},
    }
    assert np.isnan(make_mock({**base, "potential": endless}).truth.value("v_esc", r=8.0))


def test_what_cannot_be_determined_is_said():
    stars = own.tail(300, seeded(8), error=0.0)
    (row,) = rows_of(stars.select(np.arange(10)))
    assert row.note == "too few stars above 300 km/s: 10, at least 20 are needed"
    fast = {n: x * (1.9 if n[0] == "v" else 1.0) for n, x in stars.columns.items()}
    (row,) = rows_of(Catalogue.from_arrays(**fast), v_min=570.0, v_esc_range=[600.0, 1050.0])
    assert "do not bound v_esc: its posterior reaches 1050" in row.note
    noisy = {**stars.columns, **{f"v{a}_err": np.full(300, 2000.0) for a in "xyz"}}
    rows = rows_of(Catalogue.from_arrays(**noisy), halo={})
    # nothing is left of speeds without what such errors add to them
    assert "too few stars above 300 km/s: 0" in rows.rows[0].note
    assert {row.note for row in rows.rows[1:]} == {"no escape speed is determined"}
    along = {**stars.columns, **{f"v{a}_err": np.full(300, 80.0) for a in "xyz"}}
    two = rows_of(Catalogue.from_arrays(**along), components=2, k="necib2022", outliers={})
    assert "the errors of the speeds are as large as the tail is long" in two.rows[0].note
    beyond = rows_of(stars, slope=9.0)
    assert "no escape speed within its bounds holds all stars" in beyond.rows[0].note


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"k": "smith2007"}, "k"),
        ({"k": [3.0, 2.0]}, "k: not negative, bounds ascend"),
        ({"slope": [0.5, 0.0]}, "slope: bounds ascend"),
        ({"v_esc_range": [200.0, 600.0]}, "v_esc_range: bounds ascend from v_min"),
        ({"bins": [9.0, 7.0]}, "bins: edges ascend"),
        ({"halo": {"limit": 0.5}}, "halo: limit: at least 1"),
        ({"halo": {"v_c": [230.0, 0.0]}}, "v_c: speed and error"),
        ({"min_stars": 1}, "min_stars: at least 5"),
        ({"components": 3}, "components"),
        (
            {"components": 2, "k": "necib2022", "halo": {}, "bins": [6.0, 8.0, 11.0]},
            "halo: bins share the powers",
        ),
        ({"components": 2, "k": 1.8}, "k: bounds of a prior, of which components"),
        ({"outliers": {"share": [0.0, 1.0]}}, "outliers: share: bounds ascend, from above 0"),
        ({"outliers": {"sigma": [900.0, 600.0]}}, "outliers: sigma: bounds ascend"),
    ],
)
def test_bad_settings(spec, message):
    with pytest.raises(InputError, match=message):
        make_estimator({"kind": "escape-speed", **spec})
