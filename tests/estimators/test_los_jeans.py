from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from seeds import seeded

from haloassay.base.constants import G
from haloassay.base.errors import InputError
from haloassay.contracts.catalogue import Catalogue
from haloassay.contracts.frames import SUNS, heliocentric_to_galactocentric
from haloassay.contracts.profiles import virial_radius
from haloassay.estimators import make_estimator
from haloassay.estimators.bins import DensitySlope
from haloassay.estimators.fit.los_dispersion import ZHAI2018_BINS, sightlines
from haloassay.estimators.halo.baryons import SphericalBaryons, baryons_mass
from haloassay.estimators.halo.halo_potential import ZhaiHalo
from haloassay.estimators.halo.jeans import JeansIntegral
from haloassay.mocks import make_mock
from haloassay.mocks.surveys.survey import Survey

KINDS = ("los-jeans", "los-jeans-derivative")
SUN = SUNS["zhai2018"]
M200, C200 = 1.08e12, 18.5
RUNS = 16
MOCK = {
    "kind": "equilibrium",
    "potential": [
        {"kind": "nfw", "m200": M200, "c": C200, "h0": 70.0},
        {"kind": "zhai2018-baryons"},
    ],
    "density": {"kind": "power-law", "slope": -4.0},
    "beta": {"kind": "constant", "beta": 0.0},
    "r_range": [3.0, 300.0],
}


@pytest.fixture(scope="module")
def mock():
    halo = make_mock(MOCK)
    halo.prepare()
    return halo


def observe(mock, k, n=9627, **survey):
    eyes = Survey(**{"n_stars": n, "sun": SUN, "r_min": 5.0, "r_max": 120.0, **survey})
    return eyes.observe(mock, *seeded(18, k).spawn(2)).catalogue


@pytest.fixture(scope="module")
def sample(mock):
    """Function of the number of stars: one heliocentric catalogue, made once."""
    made = {}

    def of(n):
        if n not in made:
            made[n] = observe(mock, 0, n)
        return made[n]

    return of


def values(rows, quantity="enclosed_mass"):
    return np.array([row.value for row in rows.of(quantity)])


# --- the Jeans integral -----------------------------------------------------------------------


def test_baryons_are_those_of_the_potential():
    b, step = SphericalBaryons(), 1e-5
    for r in (0.5, 5.0, 50.0):

        def phi(x):
            disc = -b.disc_mass * (1.0 - np.exp(-x / b.disc_scale)) / x
            return G * (disc - b.bulge_mass / (x + b.bulge_scale))

        slope = (phi(r * (1 + step)) - phi(r * (1 - step))) / (2.0 * step * r)
        np.testing.assert_allclose(b.mass(r), r * r * slope / G, rtol=1e-8)
    np.testing.assert_allclose(b.mass(8.0), baryons_mass("zhai2018", 8.0), rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("name", "table"),
    [("none", {"disc_mass": 0.0, "bulge_mass": 0.0}), ("zhai2018", {})],
)
def test_baryons_are_named_as_other_estimators_name_them(kind, name, table, sample):
    """By a name, the estimates of the table that says the same; ``mwpotential2014`` has its own masses."""
    named, told = (
        make_estimator({"kind": kind, "halo": {"baryons": baryons}, "n_draws": 20})
        for baryons in (name, table)
    )
    first, second = (method.estimate(sample(2000), seeded(3)) for method in (named, told))
    assert values(first) == pytest.approx(values(second), rel=1e-9)
    other = make_estimator({"kind": kind, "halo": {"baryons": "mwpotential2014"}}).halo
    dark = other.enclosed_mass(20.0, 1e12, 10.0) - baryons_mass("mwpotential2014", 20.0)
    assert dark == pytest.approx(
        named.halo.enclosed_mass(20.0, 1e12, 10.0) - baryons_mass(name, 20.0)
    )


@pytest.mark.parametrize(
    ("density", "beta"),
    [
        (DensitySlope((-4.0,)), 0.0),
        (DensitySlope((-1.7, -3.1, -4.6), (12.0, 28.0)), 0.0),
        (DensitySlope((-2.8, -4.6), (17.0,), 0.05), 0.3),
        (DensitySlope((-3.5,)), -1.0),
    ],
    ids=["zhai", "broken", "smooth-break", "tangential"],
)
@pytest.mark.parametrize(("m200", "c200"), [(M200, C200), (1.0e11, 1.2), (8e12, 70.0)])
def test_integral_agrees_with_adaptive_quadrature_in_radius(density, beta, m200, c200):
    r = np.array([5.0, 11.3, 27.0, 110.0])
    halo = ZhaiHalo()
    found = JeansIntegral.of(r, density, beta, halo).variance(np.array([m200]), np.array([c200]))[0]

    def force(y, at):
        s = at * np.exp(y)
        contrast = density.log_density(s) - density.log_density(at) + 2.0 * beta * y
        return float(np.exp(contrast) * G * halo.enclosed_mass(s, m200, c200) / s)

    for k, at in enumerate(r):
        inner = [np.log(b / at) for b in density.breaks if b > at]
        exact = quad(force, 0.0, 25.0, (at,), points=inner or None, epsrel=1e-10, limit=500)[0]
        np.testing.assert_allclose(found[k], exact, rtol=1e-6)


def test_integral_is_the_dispersion_of_the_equilibrium(mock):
    # the mock solves for its moments with distribution functions, not with this integral
    r = np.geomspace(5.0, 120.0, 12)
    integral = JeansIntegral.of(r, DensitySlope((-4.0,)), 0.0, ZhaiHalo())
    sigma = np.sqrt(integral.variance(np.array([M200]), np.array([C200]))[0])
    np.testing.assert_allclose(sigma, mock.truth.profile("sigma_r", r), rtol=5e-4)


def test_average_within_bins_is_the_average_of_the_variances():
    radii = np.array([[10.0, 12.0, 14.0], [40.0, 48.0, 58.0]])
    slope, m, c = DensitySlope((-4.0,)), np.array([M200]), np.array([C200])
    averaged = JeansIntegral.of(radii, slope, 0.0, ZhaiHalo()).variance(m, c)[0]
    each = JeansIntegral.of(radii.ravel(), slope, 0.0, ZhaiHalo()).variance(m, c)[0]
    np.testing.assert_allclose(averaged, each.reshape(2, 3).mean(axis=1), rtol=1e-7)


# --- the methods on their own model -----------------------------------------------------------


@pytest.fixture(scope="module")
def many(mock):
    """Function of settings: rows of a method on RUNS catalogues of 9627 stars, measured once."""
    catalogues = [observe(mock, k) for k in range(RUNS)]
    found = {}

    def of(kind, **settings):
        key = kind, *settings.items()
        if key not in found:
            method = make_estimator({"kind": kind, "r_out": [20.0, 100.0], **settings})
            found[key] = [method.estimate(stars, seeded(k)) for k, stars in enumerate(catalogues)]
        return found[key]

    return of


def errors_and_coverage(results, quantity, truth, index=0):
    rows = [rows.of(quantity)[index] for rows in results]
    error = np.array([row.value for row in rows]) / truth - 1.0
    inside = [
        np.mean([row.lo68 <= truth <= row.hi68 for row in rows]),
        np.mean([row.lo95 <= truth <= row.hi95 for row in rows]),
    ]
    return error, inside


@pytest.mark.slow
@pytest.mark.parametrize("quantity", ["m200", "c200", "r200"])
def test_integrated_method_is_unbiased_with_true_intervals(many, quantity):
    truth = {"m200": M200, "c200": C200, "r200": float(virial_radius(M200, 70.0))}[quantity]
    exact = {"likelihood": "variance", "errors": "sandwich", "within_bins": "average"}
    error, inside = errors_and_coverage(many("los-jeans", **exact), quantity, truth)
    assert abs(error.mean()) < 4.0 * error.std(ddof=1) / np.sqrt(RUNS)
    for coverage, nominal in zip(inside, (0.68, 0.95), strict=True):
        assert abs(coverage - nominal) < 4.0 * np.sqrt(nominal * (1.0 - nominal) / RUNS)


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("index", [0, 1])
def test_enclosed_mass_as_published(many, kind, index, mock):
    truth = float(mock.truth.profile("enclosed_mass", [20.0, 100.0][index]))
    error, inside = errors_and_coverage(many(kind), "enclosed_mass", truth, index)
    # chi^2 of dispersions whose stated errors grow with them, medians, a parabola: 2 per cent
    assert abs(error.mean()) < 4.0 * error.std(ddof=1) / np.sqrt(RUNS) + 0.02
    assert inside[0] > 0.68 - 4.0 * np.sqrt(0.68 * 0.32 / RUNS) - 0.05
    assert inside[1] > 0.95 - 4.0 * np.sqrt(0.95 * 0.05 / RUNS) - 0.03


def test_dispersions_are_those_of_the_stars(many, mock):
    edges = np.array(ZHAI2018_BINS)
    rows = [rows.of("sigma_los") for rows in many("los-jeans")]
    for k in range(len(edges) - 1):
        # isotropic: sigma_los is sigma_r in any direction
        truth = mock.truth.value("sigma_r", r_lo=edges[k], r_hi=edges[k + 1])
        error = np.array([row[k].value for row in rows]) / truth - 1.0
        assert abs(error.mean()) < 4.0 * error.std(ddof=1) / np.sqrt(RUNS) + 1e-3


def test_points_of_the_circular_velocity(many, mock):
    rows = [rows.of("v_c") for rows in many("los-jeans-derivative")]
    for k in range(12):
        error = np.array([row[k].value / mock.truth.profile("v_c", row[k].r) - 1.0 for row in rows])
        # lines at the ends and wide bins: 2 per cent
        assert abs(error.mean()) < 4.0 * error.std(ddof=1) / np.sqrt(RUNS) + 0.02


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["los-jeans", "los-jeans-derivative"])
def test_quadrature_and_emcee_agree(sample, kind):
    def draws(sampler):
        estimator = make_estimator({"kind": kind, "sampler": sampler, "n_draws": 4000})
        rows = estimator.estimate(sample(9627), seeded(9))
        return [np.log(rows.of(q)[0].draws) for q in ("m200", "c200")]

    for grid, chain in zip(draws("quadrature"), draws("emcee"), strict=True):
        mcse = grid.std() * np.sqrt(1.0 / 4000 + 1.0 / 1000)  # 1000: what a chain is worth at least
        assert abs(grid.mean() - chain.mean()) < 4.0 * mcse
        assert abs(grid.std() - chain.std()) < 4.0 * mcse / np.sqrt(2.0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_chain_that_does_not_mix_gives_no_halo(sample, kind):
    spec = {
        "kind": kind,
        "sampler": "emcee",
        "halo": {"emcee": {"walkers": 8, "steps": 30, "burn": 10}},
    }
    rows = make_estimator(spec).estimate(sample(9627), seeded(24))
    for quantity in ("enclosed_mass", "m200", "r200", "c200"):
        assert "autocorrelation" in rows.of(quantity)[0].note
    assert np.isfinite(rows.rows[0].value)  # dispersions, or circular velocities, have no chain


@pytest.mark.parametrize("likelihood", ["v_c", "v_c2"])
def test_assumed_anisotropy_lowers_the_mass(sample, likelihood):
    # v_c^2 is sigma_r^2 (4.3 - 2 beta), about
    def mass(beta):
        spec = {"kind": "los-jeans-derivative", "beta": beta, "likelihood": likelihood}
        spec["r_out"] = [30.0]
        return values(make_estimator(spec).estimate(sample(9627), seeded(10)))[0]

    assert abs(mass(0.3) / mass(0.0) - (4.3 - 0.6) / 4.3) < 0.05


def test_a_true_anisotropy_biases_unless_it_is_assumed():
    # beta 0.6, seen from far away as sigma_los ~ sigma_r only there: r from 40 kpc
    spec = {**MOCK, "beta": {"kind": "constant", "beta": 0.6}}
    halo = make_mock(spec)
    truth = float(halo.truth.profile("enclosed_mass", 60.0))
    stars = observe(halo, 1, n=20000, r_min=40.0)
    bins = [40.0, 50.0, 60.0, 80.0, 120.0]

    def error(beta):
        estimator = make_estimator(
            {"kind": "los-jeans", "bins": bins, "beta": beta, "r_out": [60.0]}
        )
        return values(estimator.estimate(stars, seeded(11)))[0] / truth - 1.0

    assert error(0.0) > 0.2
    assert abs(error(0.6)) < 0.07


# --- invariants -------------------------------------------------------------------------------


def galactocentric(n=1500, seed=12):
    """Isotropic power-law sample with sigma that of the best-fitting Galaxy, roughly."""
    rng = seeded(seed)
    r = 5.0 / (1.0 - rng.random(n) * (1.0 - 5.0 / 120.0))
    toward = rng.standard_normal((n, 3))
    x = r[:, None] * toward / np.linalg.norm(toward, axis=1)[:, None]
    v = 125.0 * (r[:, None] / 10.0) ** -0.12 * rng.standard_normal((n, 3))
    return x, v


def as_catalogue(x, v):
    return Catalogue.from_arrays(
        **dict(zip(("x", "y", "z"), x.T, strict=True)),
        **dict(zip(("vx", "vy", "vz"), v.T, strict=True)),
        sun=SUN,
    )


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=2, deadline=None)
@given(k=st.floats(0.6, 1.6))
def test_velocities_scale_the_mass_by_their_square(kind, k):
    x, v = galactocentric()

    def mass(factor):
        # without baryons, and m200 and its prior free of a scale: only the velocities set one
        bounds = {"m200_range": [1e6, 1e16], "c200_range": [1e-3, 1e4], "prior": "log"}
        halo = {**bounds, "baryons": {"disc_mass": 0.0, "bulge_mass": 0.0}}
        estimator = make_estimator({"kind": kind, "halo": halo, "n_draws": 4000})
        rows = estimator.estimate(as_catalogue(x, factor * v), seeded(13))
        return values(rows)[2:9], [0.5 * (r.hi68 - r.lo68) for r in rows.of("enclosed_mass")[2:9]]

    (scaled, width), (plain, _) = mass(k), mass(1.0)
    # M(<r) at the data is fixed by v^2; draws differ, and m200 is not a scaled copy at fixed h0
    np.testing.assert_allclose(scaled, k**2 * plain, atol=0.2 * np.max(width))


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=2, deadline=None)
@given(angle=st.floats(0.1, 6.2), seed=st.integers(0, 99))
def test_order_and_a_rotation_with_the_sun_change_nothing(kind, angle, seed):
    x, v = galactocentric()
    order = seeded(seed).permutation(len(x))
    estimator = make_estimator({"kind": kind})
    base = estimator.estimate(as_catalogue(x, v), seeded(14))
    shuffled = estimator.estimate(as_catalogue(x[order], v[order]), seeded(14))
    np.testing.assert_allclose(values(shuffled), values(base), rtol=1e-6)
    # mirror in y and turn about the axis through the Sun and the centre, which stand still
    c, s = np.cos(angle), np.sin(angle)
    turn = np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])
    turned = estimator.estimate(as_catalogue(x @ turn.T, v @ turn.T), seeded(14))
    np.testing.assert_allclose(values(turned), values(base), rtol=1e-6)


# --- bad input --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("bins", [5.0, 120.0], "two bins"),
        ("bins", [5.0, 4.0, 120.0], "ascend"),
        ("beta", 1.0, "below 1"),
        ("r_out", [0.0], "positive"),
        ("min_stars", 2, "at least 5"),
        ("halo", {"h0": -70.0}, "h0"),
        ("halo", {"baryons": {"disc_mass": -1.0}}, "disc_mass"),
        ("halo", {"baryons": "some"}, "baryons: expected .*'none'"),
        ("halo", {"m200_range": [1e12, 1e11]}, "m200_range"),
        ("likelihood", "chi2", "likelihood"),
    ],
)
def test_refused_settings(kind, setting, value, words):
    with pytest.raises(InputError, match=words):
        make_estimator({"kind": kind, setting: value})


def test_density_that_falls_too_slowly_is_refused(sample):
    with pytest.raises(InputError, match="fall faster"):
        make_estimator({"kind": "los-jeans", "alpha": -1.0, "beta": 0.9}).estimate(
            sample(9627), seeded(15)
        )


@pytest.mark.parametrize("kind", KINDS)
def test_missing_and_unusable_columns(kind, sample):
    estimator = make_estimator({"kind": kind})
    columns = {k: np.array(v) for k, v in sample(9627).columns.items()}
    del columns["vlos"]
    with pytest.raises(InputError, match="'vlos' is missing"):
        estimator.estimate(Catalogue(columns, SUN), seeded(16))
    columns = {k: np.array(v) for k, v in sample(9627).columns.items()}
    columns["vlos"][[3, 8]] = np.nan
    with pytest.raises(InputError, match=r"2 of 9627 .*first rows: 3, 8"):
        estimator.estimate(Catalogue(columns, SUN), seeded(16))


@pytest.mark.parametrize("kind", KINDS)
def test_proper_motions_are_not_needed_and_not_read(kind, sample):
    stars = sample(9627)
    bare = Catalogue({k: stars[k] for k in ("ra", "dec", "distance", "vlos")}, SUN)
    # planted fault: a proper motion that leaks into the line of sight
    noisy = {**stars.columns, "pmra": stars["pmra"] + 50.0}
    for other in (bare, Catalogue(noisy, SUN)):
        rows = make_estimator({"kind": kind}).estimate(other, seeded(17))
        base = make_estimator({"kind": kind}).estimate(stars, seeded(17))
        np.testing.assert_array_equal(values(rows), values(base))


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_bin_and_too_few_stars_are_noted(kind, sample):
    stars = sample(9627)
    keep = (sightlines(stars).r < 22.0) | (sightlines(stars).r > 26.0)
    rows = make_estimator({"kind": kind}).estimate(stars.select(keep), seeded(18))
    per_bin = rows.of("sigma_los" if kind == "los-jeans" else "v_c")
    assert [bool(row.note) for row in per_bin] == [k == 5 for k in range(12)]
    assert "too few stars: 0" in per_bin[5].note
    assert np.all(np.isfinite(values(rows)))
    assert rows.of("m200")[0].note == ""
    few = make_estimator({"kind": kind}).estimate(stars.select(np.arange(7)), seeded(18))
    assert all(row.note for row in few)
    assert "bins or more" in few.of("m200")[0].note


@pytest.mark.parametrize("kind", KINDS)
def test_one_hemisphere_suffices(kind, mock, sample):
    stars = sample(9627)
    x, _ = heliocentric_to_galactocentric(
        *(stars[n] for n in ("ra", "dec", "distance", "pmra", "pmdec", "vlos")), sun=SUN
    )
    north = make_estimator({"kind": kind, "r_out": [30.0]}).estimate(
        stars.select(x[:, 2] > 0.0), seeded(19)
    )
    row = north.of("enclosed_mass")[0]
    truth = float(mock.truth.profile("enclosed_mass", 30.0))
    assert abs(row.value - truth) < 4.0 * 0.5 * (row.hi68 - row.lo68)


@pytest.mark.parametrize("kind", KINDS)
def test_velocity_errors_beyond_the_dispersion_leave_nothing(kind, sample):
    stars = sample(9627)
    columns = {**stars.columns, "vlos_err": np.full(9627, 400.0)}
    rows = make_estimator({"kind": kind, "deconvolve": True}).estimate(
        Catalogue(columns, SUN), seeded(20)
    )
    assert all(row.note for row in rows)
    assert "velocity errors" in rows.rows[0].note


def test_halo_that_the_data_do_not_bound_is_said(mock):
    stars = observe(mock, 3, n=60, r_max=9.0)
    spec = {"kind": "los-jeans", "bins": [5.0, 6.0, 7.0, 9.0], "halo": {"m200_range": [1e9, 1e11]}}
    rows = make_estimator(spec).estimate(stars, seeded(21))
    assert "do not bound" in rows.of("m200")[0].note
    for row in rows.of("enclosed_mass"):
        assert np.isfinite(row.value) or "do not bound" in row.note


def test_rows_without_a_real_v_c_are_noted():
    # a dispersion that rises steeply outwards: V_c^2 < 0
    x, v = galactocentric()
    r = np.linalg.norm(x, axis=1)
    rising = v * (r / 10.0)[:, None] ** 3.0
    rows = make_estimator({"kind": "los-jeans-derivative"}).estimate(
        as_catalogue(x, rising), seeded(22)
    )
    assert any("negative V_c^2" in row.note for row in rows.of("v_c"))
    assert all(np.isfinite(row.value) or row.note for row in rows)


def test_mean_velocity_of_zero_counts_a_drift_as_dispersion():
    x, v = galactocentric(4000)
    drift = (
        x / np.linalg.norm(x, axis=1)[:, None] * 80.0
    )  # expanding: outwards along every sight line

    def sigma(mean):
        rows = make_estimator({"kind": "los-jeans", "mean": mean}).estimate(
            as_catalogue(x, v + drift), seeded(23)
        )
        return values(rows, "sigma_los")

    plain = make_estimator({"kind": "los-jeans"}).estimate(as_catalogue(x, v), seeded(23))
    far = slice(6, 12)
    # sqrt(1 + (80 / 115)^2) = 1.22 along radial sight lines; a dispersion is good to 7 per cent, the mean of six to 3
    ratio = sigma("zero")[far] / values(plain, "sigma_los")[far]
    assert 1.1 < ratio.mean() < 1.34
    np.testing.assert_allclose(sigma("free")[far], values(plain, "sigma_los")[far], rtol=0.06)
