"""Halos that were built: orbits in a growing sphere, satellites, and the halo of each realisation."""

import numpy as np
import pytest
from scipy.integrate import dblquad, quad

from haloassay.base.constants import G
from haloassay.base.errors import InputError, UsedUpError
from haloassay.contracts.orbits import Orbits
from haloassay.contracts.profiles import nfw_shape
from haloassay.engine.task import history_seed, observe
from haloassay.mocks import make_mock
from haloassay.mocks.gravity.fields import field_of, make_field
from haloassay.mocks.gravity.growing import GrowingSphere
from haloassay.mocks.gravity.integration import integrate
from haloassay.mocks.gravity.potentials import NFW, make_potential
from haloassay.mocks.history.accreted import Structures, satellite_of
from haloassay.mocks.history.growth import GrowingHost
from haloassay.mocks.history.infall import MergerHistory, at_infall, drawn, merger_rate
from haloassay.mocks.history.sinking import drag, losses
from haloassay.mocks.history.tagging import tagged
from haloassay.mocks.lmc.trajectory import LMC, Friction, rewind
from haloassay.mocks.stars import Stars
from haloassay.mocks.surveys.survey import make_survey
from haloassay.planning.expansion import cells
from haloassay.planning.scenario import make_scenario

HALO = {"kind": "nfw", "m200": 1e12, "c": 12.0}
WITH_BARYONS = [HALO, {"kind": "mwpotential2014-baryons"}]
TIMES = np.linspace(-12.0, 0.0, 241)
TABLE = [
    {"time": 9.0, "mass": 5e10, "circularity": 0.4, "r_circ": 0.8},
    {"time": 6.0, "mass": 2e10, "position": [0, 120, 0], "velocity": [60, -100, 0]},
]


def accreted(**settings):
    return make_mock({"kind": "accreted", "potential": HALO, "size": 1000, **settings})


def sphere(growth, others=()):
    """NFW sphere of fixed scale radius, whose mass is multiplied by ``growth`` of the times."""
    mass, r_s = NFW(m200=1e12, c=12.0).scales
    rest = make_potential(list(others)).enclosed_mass if others else np.zeros_like
    return GrowingSphere(TIMES, mass * growth(TIMES), np.full(len(TIMES), r_s), rest)


def some_stars(n=40):
    rng = np.random.default_rng(4)
    toward = rng.standard_normal((n, 3))
    toward /= np.linalg.norm(toward, axis=1)[:, None]
    return toward * rng.uniform(8.0, 60.0, (n, 1)), 90.0 * rng.standard_normal((n, 3))


def test_a_sphere_that_does_not_grow_conserves_energy_and_moves_stars_as_the_static_field_does():
    potential = make_potential(WITH_BARYONS)
    still = sphere(np.ones_like, WITH_BARYONS[1:])
    x, v = some_stars()
    now = still.follow(x, v, -4.0, 0.0, tolerance=1e-8)

    def energy(x, v):
        return 0.5 * np.sum(v**2, axis=1) + potential.potential(np.linalg.norm(x, axis=1))

    np.testing.assert_allclose(energy(now.position, now.velocity), energy(x, v), rtol=1e-6)
    field = make_field(potential, monopole=True)
    other = integrate(field, x, v, -4.0, 0.0, 1e-10)
    assert np.median(np.linalg.norm(now.position - other.position, axis=1)) < 1e-3
    coarse = still.follow(x, v, -4.0, 0.0)
    np.testing.assert_allclose(energy(coarse.position, coarse.velocity), energy(x, v), rtol=2e-3)


def radial_action(mass_factor, x, v):
    """Radial actions in an NFW halo whose mass is multiplied, by quadrature."""
    mass, r_s = NFW(m200=1e12, c=12.0).scales
    halo = NFW(rho0=mass_factor * mass / (4.0 * np.pi * r_s**3), r_s=r_s)
    ends = np.array(Orbits(x, v, halo.potential, (1e-3, 1e4, 4000)).turning_points)
    momentum = np.linalg.norm(np.cross(x, v), axis=1)
    r0 = np.linalg.norm(x, axis=1)
    energy = 0.5 * np.sum(v**2, axis=1) + halo.potential(r0)
    nodes, weights = np.polynomial.legendre.leggauss(200)
    middle, half = ends.mean(axis=0), 0.5 * np.ptp(ends, axis=0)
    angle = 0.5 * np.pi * (nodes + 1.0)
    r = middle[:, None] - half[:, None] * np.cos(angle)
    square = 2.0 * (energy[:, None] - halo.potential(r)) - (momentum[:, None] / r) ** 2
    speed = np.sqrt(np.maximum(square, 0.0))
    return (speed * half[:, None] * np.sin(angle)) @ weights * 0.5


def test_slow_growth_keeps_angular_momentum_exactly_and_the_radial_action_nearly():
    x, v = some_stars()
    now = sphere(lambda t: 2.0 + t / 12.0).follow(x, v, -12.0, 0.0, tolerance=1e-6)
    np.testing.assert_allclose(
        np.cross(now.position, now.velocity), np.cross(x, v), rtol=1e-9, atol=1e-6
    )
    before, after = radial_action(1.0, x, v), radial_action(2.0, now.position, now.velocity)
    assert np.median(np.abs(after / before - 1.0)) < 0.03
    assert np.median(np.linalg.norm(now.position, axis=1)) < np.median(np.linalg.norm(x, axis=1))


def test_a_sphere_is_followed_forth_and_back_and_at_known_times_only():
    growing = sphere(lambda t: 2.0 + t / 12.0)
    x, v = some_stars(6)
    there = growing.follow(x, v, -3.0, 0.0, tolerance=1e-10)
    back = growing.follow(there.position, there.velocity, 0.0, -3.0, tolerance=1e-10)
    np.testing.assert_allclose(back.position, x, atol=1e-4)
    with pytest.raises(InputError, match="leave those that the sphere is known for"):
        growing.follow(x, v, -13.0, 0.0)


def test_the_host_grows_as_stated_to_the_potential_of_today():
    potential = make_potential(WITH_BARYONS)
    host = GrowingHost.of(potential, 0.3)
    # Om = 0.3, H0 = 67.8: 0.9641 / H0
    assert host.age == pytest.approx(0.9641 * 977.8 / 67.8, rel=1e-3)
    age_at_one = quad(lambda a: 1.0 / (a * np.sqrt(0.3 / a**3 + 0.7)), 0.5, 1.0)[0]
    time = -age_at_one * 977.792 / 67.8
    assert host.redshift(time) == pytest.approx(1.0, rel=1e-4)
    assert host.mass(time) == pytest.approx(1e12 * np.exp(-2.0 * 4.1 / 12.0), rel=1e-3)
    assert host.concentration(time) == pytest.approx(6.0, rel=1e-3)
    assert host.concentration(-12.4) == pytest.approx(4.1)
    r = np.array([0.3, 2.0, 20.0, 300.0])
    for t in (0.0, -6.37):
        felt, stated = host.sphere.enclosed_mass(r, t), host.potential_at(t).enclosed_mass(r)
        np.testing.assert_allclose(felt, stated, rtol=1e-6)
    np.testing.assert_allclose(host.potential_at(0.0).enclosed_mass(r), potential.enclosed_mass(r))


def test_friction_is_that_of_the_lmc():
    halo = NFW(m200=1e12, c=12.0)
    lmc = LMC(mass=5e10)
    arrays = sphere(np.ones_like).arrays
    friction = Friction.of(lmc, halo)
    for r, speed in ((40.0, 300.0), (90.0, 150.0), (200.0, 100.0)):
        theirs = -friction(np.array([r, 0.0, 0.0]), np.array([0.0, speed, 0.0]))[1] / speed
        ours = drag(r, speed, 0.0, G * lmc.mass, lmc.profile.r_s, arrays)
        assert ours == pytest.approx(theirs, rel=0.05)


@pytest.mark.long
def test_satellites_lose_stars_at_their_pericentre_and_heavy_ones_sink():
    still, halo = sphere(np.ones_like), make_potential(HALO)
    x, v = np.array([[150.0, 0.0, 0.0]]), np.array([[0.0, 60.0, 0.0]])
    pericentre = float(Orbits(x, v, halo.potential, (1e-3, 1e4, 4000)).turning_points[0][0])
    start = np.array([-10.0])

    def lost(mass, r_s):
        scales = np.array([mass / nfw_shape(10.0)]), np.array([r_s]), np.array([10.0 * r_s])
        return losses(still, start, x, v, scales)

    light, heavy = lost(1e6, 0.2), lost(1e11, 6.0)
    assert np.linalg.norm(light.position[0]) == pytest.approx(pericentre, rel=0.02)
    assert len(light.tide) == 1  # a static host, no friction: all pericentres are alike
    # King (1962): m(<r_t) / r_t^3 in units of Omega^2 - d^2 Phi / dr^2
    r, speed = np.linalg.norm(light.position[0]), np.linalg.norm(light.velocity[0])
    inside = 1e6 / nfw_shape(10.0) * nfw_shape(light.tide[0] / 0.2)
    step = 0.01 * r
    curve = float(np.diff(halo.potential(np.array([r - step, r, r + step])), 2)[0]) / step**2
    assert G * inside / light.tide[0] ** 3 == pytest.approx((speed / r) ** 2 - curve, rel=0.01)
    radii = np.linalg.norm(heavy.position, axis=1)
    assert len(radii) > 2
    assert radii[-1] < 0.7 * radii[0]
    assert np.all(np.diff(heavy.tide) < 0.0)


def test_tagged_stars_are_an_nfw_halo_at_rest_and_the_most_bound_of_it():
    rng = np.random.default_rng(2)
    n = 60_000
    stars = tagged(np.zeros(n), np.full(n, nfw_shape(5e3)), rng)
    r = np.linalg.norm(stars.position, axis=1)
    for lo, hi in ((0.1, 0.3), (0.3, 1.0), (1.0, 3.0)):
        there = (r > lo) & (r < hi)
        wanted = (nfw_shape(hi) - nfw_shape(lo)) / nfw_shape(5e3)
        assert there.mean() == pytest.approx(wanted, abs=4.0 * np.sqrt(wanted / n) + 0.03 * wanted)
    there = (r > 0.3) & (r < 3.0)
    # the isotropic Jeans equation, rho sigma^2 = int rho m / r^2 dr
    at = np.geomspace(0.3, 3.0, 30)
    density = 1.0 / (at * (1.0 + at) ** 2)
    gain = [quad(lambda s: nfw_shape(s) / (s**3 * (1.0 + s) ** 2), x, np.inf)[0] for x in at]
    square = np.interp(r[there], at, np.array(gain) / density)
    found = np.mean(np.sum(stars.velocity[there] ** 2, axis=1) / (3.0 * square))
    assert found == pytest.approx(1.0, abs=4.0 * np.sqrt(2.0 / (3.0 * there.sum())) + 0.01)
    tight = tagged(np.zeros(2000), np.full(2000, 0.01 * nfw_shape(10.0)), rng)
    assert np.all(np.linalg.norm(tight.position, axis=1) <= tight.farthest)
    assert np.max(tight.farthest) < 0.5


def test_as_many_satellites_fall_in_as_the_merger_rate_says():
    host, history = GrowingHost.of(make_potential(HALO), 0.3), MergerHistory(smallest=3e9)
    z0, z1 = (float(host.redshift(t)) for t in (-1.0, -12.5))

    def rate(ln_ratio, z):
        mass = 1e12 * np.exp(-2.0 * host.formation * z)
        return float(merger_rate(np.exp(ln_ratio), mass, z)) * np.exp(ln_ratio)

    def least(z):
        mass = 1e12 * np.exp(-2.0 * host.formation * z)
        return np.log(min(3e9 / mass, 0.3))

    expected = dblquad(rate, z0, z1, least, np.log(0.3), epsrel=1e-3)[0]
    numbers = [len(drawn(host, history, np.random.default_rng(k))) for k in range(40)]
    assert np.mean(numbers) == pytest.approx(expected, abs=4.0 * np.sqrt(expected / 40) + 0.01)


def test_an_orbit_at_infall_has_the_stated_energy_and_circularity():
    potential = make_potential(WITH_BARYONS)
    for circular, circularity in ((0.7, 0.3), (1.0, 0.8), (0.6, 1.0)):
        r, v_r, v_t = at_infall(potential, 200.0, circular, circularity)
        r_c = circular * 200.0
        speed = float(potential.circular_velocity(r_c))
        assert r * v_t == pytest.approx(circularity * r_c * speed, rel=1e-6)
        energy = 0.5 * (v_r**2 + v_t**2) + float(potential.potential(r))
        assert energy == pytest.approx(0.5 * speed**2 + float(potential.potential(r_c)), rel=1e-5)
        assert v_r <= 0.0
        assert r <= 200.0


def test_one_seed_is_one_halo_and_another_seed_another():
    first, again, other = (accreted(history={"seed": s}).population.stars for s in (5, 5, 6))
    np.testing.assert_array_equal(first.position, again.position)
    assert not np.array_equal(first.position, other.position)
    assert len(first) == 1000


def scenario(**mock):
    return make_scenario(
        {
            "name": "accreted-halos",
            "realizations": 2,
            "seed": 8,
            "mock": {"kind": "accreted", "potential": HALO, "size": 1000, **mock},
            "survey": {"preset": "perfect", "n_stars": 300},
            "estimators": [{"kind": "velocity-ellipsoid", "bins": [10.0, 100.0]}],
        },
        "here",
    )


def test_each_realisation_has_a_halo_of_its_own_whatever_came_before():
    cell = cells(scenario())[0]
    seen = {k: observe(cell, 8, k) for k in (1, 0)}
    anew = observe(cell, 8, 1)
    assert seen[0][0].truth.value("beta", 30.0) != seen[1][0].truth.value("beta", 30.0)
    np.testing.assert_array_equal(
        seen[1][1].catalogue.columns["ra"], anew[1].catalogue.columns["ra"]
    )
    alone = accreted(history={"seed": history_seed(8, 1)}).population.stars
    np.testing.assert_array_equal(seen[1][0].population.stars.position, alone.position)
    assert seen[0][1].overlap is None


def test_a_stated_seed_is_the_same_halo_in_every_realisation():
    cell = cells(scenario(history={"seed": 3}))[0]
    (one, seen), (two, seen_again) = (observe(cell, 8, k) for k in (0, 1))
    assert one.population is two.population
    assert set(seen.catalogue.columns["ra"]) != set(seen_again.catalogue.columns["ra"])
    assert seen.overlap == pytest.approx(0.3, abs=0.05)


@pytest.mark.long
def test_the_number_of_workers_does_not_matter(tmp_path):
    import haloassay

    tables = []
    for workers in (0, 2):
        out = tmp_path / str(workers)
        found = haloassay.run(scenario(), out=out, workers=workers).frame("estimates")
        columns = ["realization", "quantity", "bin", "value", "truth"]
        tables.append(found.sort_values(columns[:3])[columns].reset_index(drop=True))
    assert tables[0].equals(tables[1])
    assert tables[0]["truth"].nunique() > len(tables[0]) // 4


def test_the_truth_of_masses_is_that_of_the_potential_and_moments_are_those_of_the_stars():
    mock = accreted(satellites=TABLE, history={"seed": 1}, size=4000)
    potential = make_potential(HALO)
    for r in (10.0, 50.0):
        mass = mock.truth.value("enclosed_mass", r)
        assert mass == pytest.approx(float(potential.enclosed_mass(r)), rel=1e-12)
    assert mock.truth.m200 == pytest.approx(1e12)
    stars = mock.population.stars
    there = (stars.r > 20.0) & (stars.r < 60.0)
    v_r = np.sum(stars.position * stars.velocity, axis=1)[there] / stars.r[there]
    found = mock.truth.value("sigma_r", 35.0, 20.0, 60.0)
    assert found == pytest.approx(np.std(v_r), rel=0.1)
    assert np.isnan(mock.truth.value("mu_dipole", 35.0))


def test_stars_come_from_the_satellites_of_the_table():
    masses = [{**TABLE[0], "stellar_mass": 3e8}, {**TABLE[1], "stellar_mass": 1e8}]
    mock = accreted(satellites=masses, history={"seed": 1})
    assert set(satellite_of(mock.population.stars)) <= {0, 1}
    facts = mock.prepare()["accreted"]
    assert facts["fell_in"] == 2
    assert 1.0 <= facts["effective"] <= 2.0


def test_the_effective_number_of_structures_is_that_of_their_weights():
    which = np.repeat([0, 3, 4], [60, 30, 10])
    stars = Stars.of(np.ones((100, 3)), np.ones((100, 3)), number=which * 10_000_000)
    found = Structures.of(stars, 7, 2e8)
    assert found.contribute == 3
    assert found.effective == pytest.approx(100.0**2 / (60.0**2 + 30.0**2 + 10.0**2))
    assert found.largest == pytest.approx(0.6)
    assert (found.fell_in, found.stellar_mass) == (7, 2e8)


@pytest.mark.long
def test_with_the_lmc_stars_feel_the_host_as_it_grows_and_the_lmc():
    mock = accreted(satellites=TABLE, history={"seed": 1}, lmc={"time": 1.8})
    host, lmc = mock.host, mock.lmc
    path = rewind(lmc, mock.potential, field_of([], [host.expansion(-1.8)]))
    x, _ = some_stars()
    for t in (-1.8, -0.9, 0.0):
        r = np.linalg.norm(x, axis=1)
        where = np.array([np.interp(t, path.time, column) for column in path.position.T])
        expected = -G * (host.sphere.enclosed_mass(r, t) / r**3)[:, None] * x
        for offset, sign in ((x - where, 1.0), (-where[None], -1.0)):
            d = np.linalg.norm(offset, axis=1)
            pull = -G * (lmc.profile.enclosed_mass(d) / d**3)[:, None] * offset
            expected = expected + sign * pull
        found = mock.perturbed.acceleration(x, t)
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1.0)
    # it comes through the lighter host of then, not through that of today
    today = rewind(lmc, mock.potential)
    assert np.linalg.norm(path.position[0]) > np.linalg.norm(today.position[0]) + 2.0


def test_a_light_lmc_changes_nothing_and_a_heavy_one_is_seen():
    alone, light, heavy = (
        accreted(satellites=TABLE, history={"seed": 1}, **settings)
        for settings in ({}, {"lmc": {"mass": 1e4, "time": 1.8}}, {"lmc": {"time": 1.8}})
    )
    stars = alone.population.stars
    off = np.linalg.norm(light.population.stars.position - stars.position, axis=1)
    assert np.median(off) < 0.02
    own = light.population.stars.number
    np.testing.assert_array_equal(own, stars.number)
    moved = heavy.population.stars
    both, k, j = np.intersect1d(moved.number, stars.number, return_indices=True)
    assert len(both) > 500
    outer = stars.r[j] > 40.0
    off = np.linalg.norm(moved.position[k] - stars.position[j], axis=1)[outer]
    assert np.median(off) > 5.0
    # the centre has gained some 60 km/s, down to where the LMC was: outer stars seem to rise
    rises = [s.velocity[s.r > 60.0, 2].mean() for s in (moved, stars)]
    assert 10.0 < rises[0] - rises[1] < 80.0
    assert np.isfinite(heavy.truth.value("mu_dipole", 60.0, 40.0, 100.0))
    assert heavy.truth.others["lmc"](50.0) > 1e10
    assert not alone.truth.others


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"satellites": [{"time": 9.0}]}, r"satellites\.0: setting 'mass' is missing"),
        ({"satellites": [{"time": 13.5, "mass": 1e10}]}, r"time must be in \(0, 12.5\]"),
        ({"satellites": [{"time": 9.0, "mass": 9e11}]}, "more than 0.5 of the host's mass then"),
        (
            {"satellites": [{"time": 9.0, "mass": 1e10, "position": [0, 0, 90]}]},
            "position and velocity must be given together",
        ),
        ({"satellites": [{"time": 9.0, "mass": 1e10, "circularity": 1.2}]}, "circularity must be"),
        (
            {
                "satellites": [
                    {"time": 9.0, "mass": 1e10, "position": [0, 0, 90], "velocity": [900, 0, 0]}
                ]
            },
            "satellites.0: is not bound",
        ),
        ({"satellites": {"time": 9.0}}, "expected a list of tables"),
        ({"lmc": 3}, "lmc: expected a table"),
        ({"lmc": {"kind": "expansions"}}, "lmc.kind: the LMC of an accreted halo is 'rigid'"),
        ({"lmc": {"mas": 1e11}}, "unknown setting 'mas'"),
        ({"lmc": {"time": 7.0}}, "at most 6 Gyr"),
        ({"lmc": {"time": 0.5}}, "never was outside the Milky Way's virial radius"),
        ({"potential": {"kind": "hernquist", "mass": 1e12, "a": 20.0}}, "needs one dark component"),
        ({"r_range": [50.0, 20.0]}, "r_range must rise"),
        ({"history": {"smallest": 1.0}}, "smallest must be"),
        ({"sizes": 3}, "unknown setting 'sizes'; did you mean 'size'"),
    ],
)
def test_what_cannot_be_is_refused(settings, message):
    with pytest.raises(InputError, match=message) as error:
        accreted(**settings)
    assert "\n" not in str(error.value)


def test_a_sample_larger_than_the_population_is_refused():
    mock = accreted(history={"seed": 1})
    with pytest.raises(InputError, match="the mock has 1000"):
        make_survey({"preset": "perfect", "n_stars": 1001}).require_stars(mock.number)
    draw = mock.sampler(np.random.default_rng(0))
    assert len(draw(2000)) == 1000
    with pytest.raises(UsedUpError, match=r"set mock\.size higher"):
        draw(1)


@pytest.mark.parametrize(
    ("start", "tolerance", "word"),
    [
        ([[10.0, 0.0]], 1e-6, r"\(N, 3\)"),
        ([[np.nan, 0.0, 0.0]], 1e-6, "no finite place"),
        ([[10.0, 0.0, 0.0]], 1.0, "tolerance"),
    ],
)
def test_a_growing_sphere_refuses_what_any_field_refuses(start, tolerance, word):
    with pytest.raises(InputError, match=word):
        sphere(lambda _: 1.0).follow(start, np.zeros_like(start), -1.0, 0.0, tolerance)


def test_debris_and_abundances_go_with_each_of_the_halos():
    in_situ = {"kind": "in-situ", "fraction": 0.3, "rotation": -1.0}
    chemistry = {"mean": 0.2, "sigma": 0.05}
    both = accreted(alpha_fe=chemistry, debris=[in_situ])
    assert both.differs
    assert [origin.name for origin in both.origins] == ["accreted", "in-situ"]
    halos = [both.realized(seed) for seed in (1, 2)]
    drawn = [halo.sample(400, np.random.default_rng(3)) for halo in halos]
    alone = accreted(alpha_fe=chemistry).realized(1).population.stars
    for stars, same in zip(drawn, (True, False), strict=True):
        own = stars.origin == 0
        # 4 sigma of a share of 0.3
        assert np.mean(~own) == pytest.approx(0.3, abs=4.0 * np.sqrt(0.21 / 400))
        assert np.isin(stars.position[own, 0], alone.position[:, 0]).all() == same
        assert stars.alpha_fe[own].mean() == pytest.approx(0.2, abs=4.0 * 0.05 / np.sqrt(own.sum()))
        assert stars.alpha_fe[~own].mean() == pytest.approx(0.35, abs=4.0 * 0.05 / np.sqrt(90))
    # the mass of the halo is what it was, and the tracers are of both
    assert halos[0].truth.potential.enclosed_mass(30.0) == accreted().mass.enclosed_mass(30.0)
    assert not accreted().abundances["alpha_fe"]
    assert both.abundances["alpha_fe"]


def test_debris_of_a_built_halo_may_not_have_its_name():
    with pytest.raises(InputError, match="the name 'accreted' is that of a population"):
        accreted(debris=[{"kind": "gse", "name": "accreted", "fraction": 0.1}])
