from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import roulette_samples as own
from scipy.integrate import quad
from scipy.optimize import minimize
from seeds import seeded

from haloassay.base.errors import InputError
from haloassay.contracts.catalogue import Catalogue
from haloassay.contracts.profiles import virial_radius
from haloassay.estimators import make_estimator
from haloassay.estimators.fit.phases import (
    anderson_darling,
    anderson_darling_survival,
    anderson_darling_weight,
    mean_phase,
)
from haloassay.estimators.halo.baryons import baryons_mass
from haloassay.estimators.halo.radial_orbits import Orbits, RadialGrid
from haloassay.estimators.orbital_roulette import NFWModel, Stars

RADII = (8.0, 17.0, 40.0)


@pytest.fixture(scope="module")
def sample():
    return own.stars(2500, seeded(1))


def rows_of(catalogue, seed=0, **spec):
    spec = {"kind": "orbital-roulette", "r_range": list(own.EDGES), **spec}
    return make_estimator(spec).estimate(catalogue, seeded(seed))


def test_phases_and_shares_against_quadrature():
    energy, momentum, r = own.orbits(40, seeded(2))
    square = np.maximum(own.radial_square(r, energy, momentum), 0.0)
    grid = RadialGrid((2.0, 150.0), 7)
    orbits = Orbits(grid, r, np.sqrt(square), momentum / r)
    potential = grid.potential(own.mass)
    phases, shares = orbits.phases(potential), []
    edges = np.geomspace(2.0, 150.0, 8)
    for e, at_l, at in zip(energy, momentum, r, strict=True):
        lo = own.turning(at, 1e-4, e, at_l)
        hi = own.turning(at, 2e3, e, at_l)

        def time(a, b, lo=lo, hi=hi, e=e, at_l=at_l):
            a, b = max(a, lo, 2.0), min(b, hi, 150.0)
            if b <= a:
                return 0.0
            middle, half = 0.5 * (lo + hi), 0.5 * (hi - lo)

            def rate(x):
                v2 = own.radial_square(middle - half * np.cos(x), e, at_l)
                return half * np.sin(x) / np.sqrt(max(v2, 1e-12))

            ends = np.arccos(np.clip((middle - np.array([a, b])) / half, -1.0, 1.0))
            return quad(rate, *ends, limit=200, epsrel=1e-6)[0]

        whole = time(0.0, 1e4)
        shares.append([time(a, b) / whole for a, b in pairwise(edges)])
        wanted = time(0.0, at) / whole
        assert phases[len(shares) - 1] == pytest.approx(wanted, abs=2e-3)
    np.testing.assert_allclose(orbits.expected(potential), np.sum(shares, axis=0), atol=0.01)
    averages = orbits.averages(potential, np.eye(7))
    np.testing.assert_allclose(averages, shares, atol=3e-3)


def test_stars_on_circles_and_straight_lines_have_shares():
    r = np.array([10.0, 10.0, 30.0])
    v_c = float(np.sqrt(4.30091e-6 * own.mass(10.0) / 10.0))
    grid = RadialGrid((5.0, 60.0), 4)
    potential = grid.potential(own.mass)
    circle, fast, radial = 0, 1, 2
    orbits = Orbits(grid, r, np.array([0.0, 4000.0, 100.0]), np.array([v_c, 0.0, 0.0]))
    found = orbits.averages(potential, np.eye(4))
    np.testing.assert_allclose(found.sum(axis=1), 1.0)
    assert found[circle].max() > 0.99
    # a star that falls through the sample without being held is as long in a bin as it is wide
    width = np.diff(np.geomspace(5.0, 60.0, 5)) / 55.0
    np.testing.assert_allclose(found[fast], width, rtol=0.02)
    assert orbits.phases(potential)[fast] == pytest.approx(5.0 / 55.0, rel=0.02)
    assert np.all(np.isfinite(found[radial]))


def test_anderson_darling():
    def beyond(z):
        """By the characteristic function sqrt(-2 pi i t / cos(pi sqrt(1 + 8 i t) / 2)), inverted."""

        def integrand(t):
            root = np.pi * np.sqrt(1.0 + 8.0j * t) / 2.0
            # the branch of the root: that of a product of roots of its factors
            j = np.arange(1, 400)
            whole = np.exp(-0.5 * np.sum(np.log(1.0 - 2.0j * t / (j * (j + 1)))))
            value = np.sqrt(-2.0j * np.pi * t / np.cos(root))
            value = value if (value / whole).real > 0.0 else -value
            return (np.exp(-1j * t * z) * value).imag / t

        return 0.5 + quad(integrand, 1e-9, 80.0, limit=400)[0] / np.pi

    z = np.array([0.3, 1.0, 2.492, 4.0])
    np.testing.assert_allclose(anderson_darling_survival(z), [beyond(x) for x in z], atol=1e-5)
    assert anderson_darling_survival(np.array(2.492)) == pytest.approx(0.05, rel=1e-3)
    assert np.all(np.diff(anderson_darling_survival(np.linspace(0.05, 20.0, 200))) < 0.0)
    theta = seeded(3).beta(2.0, 1.5, 9)

    def integrand(x):
        return (np.mean(theta <= x) - x) ** 2 / (x * (1.0 - x))

    ends = [0.0, *np.sort(theta), 1.0]
    distance = 9.0 * sum(quad(integrand, a, b)[0] for a, b in pairwise(ends))
    assert anderson_darling(theta) == pytest.approx(distance, rel=1e-5)
    assert anderson_darling_weight(2.492) == pytest.approx(-0.5 * 1.96**2, rel=2e-3)
    assert anderson_darling_weight(50.0) == pytest.approx(anderson_darling_weight(30.0) - 20.0)


def test_mean_phase_is_a_normal_deviate():
    found = [mean_phase(seeded(4, k).random(50)) for k in range(400)]
    assert abs(np.mean(found)) < 4.0 / 20.0
    assert abs(np.var(found) - 1.0) < 4.0 * np.sqrt(2.0 / 400.0)


@pytest.mark.parametrize("statistic", ["likelihood", "mean-phase", "anderson-darling"])
def test_the_halo_of_random_phases_is_found(sample, statistic):
    for c200 in (own.C200, "fitted"):
        rows = rows_of(sample, statistic=statistic, c200=c200, r_out=list(RADII))
        for row in rows.of("enclosed_mass"):
            error = 0.5 * (row.hi68 - row.lo68)
            assert abs(row.value - own.mass(row.r)) < 4.0 * error
        found = {row.quantity: row for row in rows}
        if statistic != "likelihood" and c200 == "fitted":  # one number holds one parameter
            assert "do not bound r_s" in found["m200"].note
            continue
        m200 = found["m200"]
        assert abs(m200.value - own.M200) < 4.0 * 0.5 * (m200.hi68 - m200.lo68)
        assert (found["c200"].note == "") == (c200 == "fitted")
    pivot = rows_of(sample, statistic=statistic).rows[0]
    width = 0.5 * (pivot.hi68 - pivot.lo68) / pivot.value
    assert width < 0.08


def test_the_posterior_of_the_likelihood_is_wider_than_the_scatter(sample):
    """In the mass that is known best: by 1.5 to 2; of r_s it is about right."""
    both = [rows_of(sample, errors=errors, n_draws=4000) for errors in ("sandwich", "likelihood")]
    (narrow, wide) = (rows.rows[0].hi68 - rows.rows[0].lo68 for rows in both)
    assert 1.4 < wide / narrow < 2.4
    (narrow, wide) = (np.std(np.log(rows.of("c200")[0].draws)) for rows in both)
    assert 0.9 < wide / narrow < 1.5


@pytest.mark.slow
def test_bias_and_coverage():
    runs, off, covered = 60, [], []
    for k in range(runs):
        rows = rows_of(own.stars(400, seeded(5, k)), seed=k, r_out=list(RADII))
        truth = own.mass(RADII)
        rows = rows.of("enclosed_mass")
        off.append([row.value / t - 1.0 for row, t in zip(rows, truth, strict=True)])
        covered.append([row.lo68 < t < row.hi68 for row, t in zip(rows, truth, strict=True)])
    scatter = np.std(off, axis=0, ddof=1)
    assert np.all(np.abs(np.mean(off, axis=0)) < 4.0 * scatter / np.sqrt(runs) + scatter**2)
    share = np.mean(covered, axis=0)
    assert np.all(np.abs(share - 0.68) < 4.0 * np.sqrt(0.68 * 0.32 / runs))


def test_a_template_of_the_true_shape_is_as_good_as_the_halo(sample):
    r = np.geomspace(1.0, 200.0, 60)
    table = {"r": r.tolist(), "mass": (7.0 * own.mass(r)).tolist()}
    rows = rows_of(sample, halo=table, r_out=list(RADII))
    assert {row.quantity for row in rows} == {"enclosed_mass"}
    for row in rows:
        assert abs(row.value - own.mass(row.r)) < 4.0 * 0.5 * (row.hi68 - row.lo68)
        assert row.hi68 - row.lo68 < 0.08 * row.value
    # radii of the table that are half of what they should be, mended by the stretch
    r = np.geomspace(0.5, 500.0, 90)
    table = {"r": r.tolist(), "mass": (7.0 * own.mass(r)).tolist()}
    wrong = {"r": (0.5 * r).tolist(), "mass": table["mass"], "stretch": [0.5, 8.0]}
    for row in rows_of(sample, halo=wrong, r_out=list(RADII)):
        assert abs(row.value - own.mass(row.r)) < 4.0 * 0.5 * (row.hi68 - row.lo68)


@pytest.mark.parametrize(
    ("ends", "stretch", "told"),
    [
        ((1.0, 3.0), (1.0, 1.0), "from 1 to 3 kpc, does not reach"),
        ((1.0, 59.0), (1.0, 1.0), "from 1 to 59 kpc, does not reach"),
        ((5.1, 100.0), (1.0, 1.0), "from 5.1 to 100 kpc, does not reach"),
        ((100.0, 200.0), (1.0, 1.0), "from 100 to 200 kpc, does not reach"),
        ((4.0, 100.0), (1.0, 2.0), "from 4 to 100 kpc, stretched by 1 to 2, does not reach"),
        ((1.0, 100.0), (0.5, 1.0), "from 1 to 100 kpc, stretched by 0.5 to 1, does not reach"),
    ],
)
@pytest.mark.parametrize("r_range", [own.EDGES, ()])
def test_a_table_that_ends_among_the_stars_gives_no_value(sample, ends, stretch, told, r_range):
    r = np.geomspace(*ends, 30)
    table = {"r": r.tolist(), "mass": own.mass(r).tolist(), "stretch": list(stretch)}
    for row in rows_of(sample, halo=table, r_out=list(RADII), r_range=list(r_range)):
        assert np.isnan(row.value)
        assert f"{told} the radii between which orbits are followed, from 5" in row.note


def test_a_table_that_ends_with_the_stars_is_enough_and_tells_no_mass_beyond(sample):
    lo, hi = own.EDGES
    r = np.geomspace(lo, hi, 40)
    table = {"r": r.tolist(), "mass": own.mass(r).tolist()}
    inside, *outside = rows_of(sample, halo=table, r_out=[17.0, 4.0, 1e3])
    assert abs(inside.value - own.mass(17.0)) < 4.0 * 0.5 * (inside.hi68 - inside.lo68)
    for row, at in zip(outside, ("4", "1000"), strict=True):
        assert np.isnan(row.value)
        assert row.note == f"the table of the halo, from 5 to 60 kpc, does not reach r, {at} kpc"
    stretched = {
        "r": (0.5 * np.geomspace(lo, 4.0 * hi, 60)).tolist(),
        "mass": own.mass(np.geomspace(lo, 4.0 * hi, 60)).tolist(),
        "stretch": [0.5, 2.0],
    }
    assert not rows_of(sample, halo=stretched, r_out=[17.0]).rows[0].note


def test_baryons_are_taken_off_and_put_back(sample):
    """Four times the mass, of which a part is baryons and the rest is what the template says."""
    faster = {n: x * (2.0 if n.startswith("v") else 1.0) for n, x in sample.columns.items()}
    r = np.geomspace(4.0, 100.0, 50)
    rest = 4.0 * own.mass(r) - baryons_mass("zhai2018", r)
    spec = {"baryons": "zhai2018", "halo": {"r": r.tolist(), "mass": rest.tolist()}}
    for row in rows_of(Catalogue.from_arrays(**faster), **spec, r_out=list(RADII)):
        assert abs(row.value - 4.0 * own.mass(row.r)) < 4.0 * 0.5 * (row.hi68 - row.lo68)
        assert row.hi68 - row.lo68 < 0.08 * row.value


def test_faster_stars_are_in_a_heavier_halo(sample):
    faster = {n: x * (1.7 if n.startswith("v") else 1.0) for n, x in sample.columns.items()}
    before, after = (rows_of(c).rows[0] for c in (sample, Catalogue.from_arrays(**faster)))
    for name in ("value", "lo68", "hi95"):
        assert getattr(after, name) == pytest.approx(1.7**2 * getattr(before, name), rel=1e-6)


def test_no_draw_is_led_out_of_the_prior(sample, monkeypatch):
    """Where the scatter of the stars is far beyond that of the likelihood, as where they are not complete in radius."""
    monkeypatch.setattr(Stars, "narrowing", lambda *_: 1000.0 * np.eye(2))
    spec = {"kind": "orbital-roulette", "r_range": [5.0, 60.0], "r_out": [20.0]}
    with np.errstate(all="raise"):
        rows = make_estimator(spec).estimate(sample, seeded(3))
    mass, *virial = rows
    assert mass.lo68 < own.mass(20.0) < mass.hi68
    assert all("the phases do not bound r_s" in row.note for row in virial)


def test_what_the_public_code_finds(shared_data):
    """M = 100.44e10 Msun/h, c = 26.63 of the first 1000 stars that it shuffles; truth at a likelihood ratio of 2.79.

    Its own numbers have three digits (integrals to 1e-3, a simplex to 1e-3), as has its G.
    """
    h5py = pytest.importorskip("h5py")
    with h5py.File(shared_data / "opdf" / "mockhalo.hdf5") as file:
        x, v = (file[name][:].astype(float) for name in "xv")
    r = np.linalg.norm(x, axis=1)
    v_r = np.sum(x * v, axis=1) / r
    v_t = np.sqrt(np.maximum(np.sum(v**2, axis=1) - v_r**2, 0.0))
    edges = (float(r.min()), float(np.nextafter(r.max(), np.inf)))
    rows = np.array(shuffled(len(r), 103)[:1000])
    rows = rows[np.argsort(r[rows])]
    stars = Stars(r[rows], v_r[rows], v_t[rows], edges, 10)
    model = NFWModel(stars.pivot, (1.0, 200.0), None, 100.0)

    def minus_log_likelihood(point):
        m200, c = np.exp(point + np.log([1e12, 20.0]))
        r_s = float(virial_radius(m200, 100.0)) / c
        x = np.log(m200 * own.nfw_shape(stars.pivot / r_s) / own.nfw_shape(c))
        weight = stars.log_weight(stars.grid.potential(model.mass(x, np.log(r_s))), "likelihood")
        return -weight

    found = minimize(
        minus_log_likelihood,
        [0.1, 0.1],
        method="Nelder-Mead",
        options={"xatol": 1e-4, "initial_simplex": [[0.1, 0.1], [0.3, 0.1], [0.1, 0.3]]},
    )
    m200, c200 = np.exp(found.x) * [1e12, 20.0]
    assert -found.fun == pytest.approx(5020.369, abs=0.05)
    assert m200 == pytest.approx(100.44e10, rel=3e-3)
    assert c200 == pytest.approx(26.63, rel=3e-3)
    ratio = 2.0 * (minus_log_likelihood(np.log([1.3396, 16.16 / 20.0])) - found.fun)
    assert ratio == pytest.approx(2.79, abs=0.02)


def shuffled(n, seed):
    """Order in which the GNU Scientific Library shuffles n things, by its Mersenne twister."""
    bits = np.random.MT19937()
    bits._legacy_seeding(seed)
    order = list(range(n))
    for last in range(n - 1, 0, -1):
        scale = 0xFFFFFFFF // (last + 1)
        while (k := int(bits.random_raw()) // scale) > last:
            pass
        order[last], order[k] = order[k], order[last]
    return order


def test_what_cannot_be_determined_is_said(sample):
    for row in rows_of(sample.select(np.arange(29))):
        assert "too few stars" in row.note
    columns = sample.select(np.arange(200)).columns
    rest = {name: values * (name[0] != "v") for name, values in columns.items()}
    assert "no scatter" in rows_of(Catalogue.from_arrays(**rest)).rows[0].note
    noisy = {**columns, **{f"v{a}_err": np.full(200, 300.0) for a in "xyz"}}
    assert "velocity errors are larger" in rows_of(Catalogue.from_arrays(**noisy)).rows[0].note
    slow = {name: values * (0.02 if name[0] == "v" else 1.0) for name, values in columns.items()}
    heavy = rows_of(Catalogue.from_arrays(**slow), baryons="mwpotential2014")
    assert "ask for a mass beyond all that is tried" in heavy.rows[0].note
    narrow = rows_of(sample, r_s_range=[1.0, 5.0])
    assert not narrow.rows[0].note
    assert "do not bound r_s between 1 and 5 kpc" in narrow.of("c200")[0].note


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"statistic": "median"}, "statistic"),
        ({"n_bins": 1}, "n_bins: from 2"),
        ({"c200": -1.0}, "c200: from 0.1"),
        ({"r_s_range": [5.0, 1.0]}, "r_s_range: radii ascend"),
        ({"r_out": [-1.0]}, "r_out: positive"),
        ({"r_range": [5.0]}, "r_range: two radii"),
        ({"halo": {"r": [1.0], "mass": [1.0]}}, "halo: r and mass: as many of both"),
        ({"halo": {"r": [1.0, 2.0], "mass": [2.0, 1.0]}}, "mass: ascend"),
        ({"halo": {"r": [1.0, 2.0], "mass": [1.0, 2.0], "stretch": [2.0, 1.0]}}, "stretch"),
        ({"halo": {"r": [1.0, 2.0], "mass": [1.0, 2.0]}, "c200": 10.0}, "only of an NFW"),
    ],
)
def test_bad_settings(spec, message):
    with pytest.raises(InputError, match=message):
        make_estimator({"kind": "orbital-roulette", **spec})
