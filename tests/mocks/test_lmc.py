"""The LMC: its profile, its orbit, what it does to tracers, and the velocity field that is then true."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.integrate import quad
from seeds import seeded

from haloassay.base.constants import GYR_PER_KPC_KMS, G
from haloassay.base.errors import InputError
from haloassay.contracts.catalogue import Catalogue
from haloassay.contracts.frames import SUNS, heliocentric_to_galactocentric, spherical_velocity
from haloassay.contracts.sky import apex, direction
from haloassay.estimators import make_estimator
from haloassay.mocks import make_mock
from haloassay.mocks.gravity.fields import make_field
from haloassay.mocks.gravity.potentials import CompositePotential, make_potential
from haloassay.mocks.lmc import trajectory as trajectories
from haloassay.mocks.lmc.dipole_truth import DipoleTruth
from haloassay.mocks.lmc.population import lmc_population
from haloassay.mocks.lmc.trajectory import LMC, Friction, Trajectory, TruncatedNFW, rewind
from haloassay.mocks.stars import Stars
from haloassay.mocks.truth import FIELD

MILKY_WAY = [{"kind": "nfw", "m200": 0.8e12, "c": 15.0}, {"kind": "mwpotential2014-baryons"}]
HALO_ALONE = [{"kind": "nfw", "m200": 0.7e12, "c": 12.0}]
#: Truncated well inside a parsec: a point mass anywhere else.
POINT = {"r_s": 1e-5, "friction": False}


@pytest.fixture(scope="module")
def milky_way() -> CompositePotential:
    return make_potential(MILKY_WAY)


@pytest.fixture(scope="module")
def trajectory(milky_way: CompositePotential) -> Trajectory:
    return rewind(LMC(), milky_way)


class TestProfile:
    body = TruncatedNFW(1.5e11, 10.8)

    def shape(self, r: float) -> float:
        x = r / 10.8
        return np.exp(-((x / 10) ** 2)) / (x * (1 + x) ** 2)

    @pytest.mark.parametrize("mass", [-1.0, 1e18, np.nan])
    def test_a_mass_that_nothing_bound_has_is_refused(self, mass: float) -> None:
        with pytest.raises(InputError, match=r"mass must be from 0 to 1e\+18"):
            TruncatedNFW(mass, 10.8)

    def test_mass_and_potential_are_the_integrals_of_the_density(self) -> None:
        def integral(power: int, lo: float, hi: float) -> float:
            edges = [lo, *[e for e in (1e-2, 1.0, 10.0, 100.0, 300.0) if lo < e < hi], hi]
            parts = [
                quad(lambda r: r**power * self.shape(r), a, b, epsrel=1e-12)[0]
                for a, b in itertools.pairwise(edges)
            ]
            return sum(parts)

        whole = integral(2, 0.0, 1000.0)
        for r in (1e-3, 0.7, 8.7, 49.0, 400.0):
            mass = 1.5e11 * integral(2, 0.0, r) / whole
            outside = 1.5e11 * integral(1, r, 1000.0) / whole
            assert float(self.body.enclosed_mass(r)) == pytest.approx(mass, rel=1e-10)
            expected = -G * (mass / r + outside)
            assert float(self.body.potential(r)) == pytest.approx(expected, rel=1e-10)

    def test_it_holds_its_mass_and_none_beyond_its_extent(self) -> None:
        assert self.body.enclosed_mass(self.body.extent) == pytest.approx(1.5e11, rel=1e-14)
        assert self.body.enclosed_mass(1e4) == self.body.enclosed_mass(1e6) == 1.5e11
        assert float(self.body.potential(1e5)) == pytest.approx(-G * 1.5e11 / 1e5, rel=1e-12)

    def test_the_rule_of_the_scale_radius_keeps_the_measured_inner_mass(self) -> None:
        # 1.7 +- 0.7 e10 Msun within 8.7 kpc (van der Marel & Kallivayalil 2014; M)
        for mass in (1e11, 1.5e11, 2.5e11):
            inner = float(LMC(mass).profile.enclosed_mass(8.7))
            assert 1.4e10 < inner < 2.0e10

    def test_mass_about_another_centre_agrees_with_the_flux_through_the_sphere(self) -> None:
        radii, distance = np.array([5.0, 30.0, 49.0, 60.0, 120.0, 900.0]), 49.0
        nodes, weights = np.polynomial.legendre.leggauss(600)
        # denser towards the LMC, whose density has a cusp
        mu, weights = 1.0 - 0.5 * (1.0 - nodes) ** 2, weights * (1.0 - nodes)
        for r in radii:
            d = np.sqrt(r**2 + distance**2 - 2 * r * distance * mu)
            outward = self.body.enclosed_mass(d) * (r - distance * mu) / d**3
            flux = 0.5 * r**2 * float(weights @ outward)
            assert float(self.body.mass_within(r, distance)) == pytest.approx(flux, rel=2e-4)

    def test_mass_about_its_own_centre(self) -> None:
        r = np.array([1.0, 20.0, 100.0])
        own = self.body.enclosed_mass(r)
        np.testing.assert_allclose(self.body.mass_within(r, 1e-7), own, rtol=1e-6)


class TestOrbit:
    def test_point_masses_follow_kepler_and_keep_their_momentum(self) -> None:
        milky_way = make_potential({"kind": "point-mass", "mass": 5e11})
        lmc = LMC(1e11, time=3.0, **POINT)
        orbit = rewind(lmc, milky_way)
        expected = kepler(
            np.array(lmc.position), np.array(lmc.velocity), G * 6e11, orbit.time[::250]
        )
        np.testing.assert_allclose(orbit.position[::250], expected, atol=1e-5)
        # velocities of both in the frame in which the Milky Way was at rest at the start
        momentum = 5e11 * orbit.frame_velocity + 1e11 * (orbit.velocity + orbit.frame_velocity)
        np.testing.assert_allclose(momentum, np.tile(momentum[0], (len(momentum), 1)), rtol=1e-7)

    def test_energy_and_angular_momentum_of_extended_bodies(self) -> None:
        # about a spherical Milky Way the frictionless relative orbit is that of a particle in the sum
        # of both potentials
        halo, lmc = make_potential(HALO_ALONE), LMC(1e11, friction=False, time=2.5)
        orbit = rewind(lmc, halo)
        r = np.linalg.norm(orbit.position, axis=1)
        energy = 0.5 * np.sum(orbit.velocity**2, axis=1)
        energy += halo.potential(r) + lmc.profile.potential(r)
        np.testing.assert_allclose(energy, energy[-1], rtol=1e-6)
        L = np.cross(orbit.position, orbit.velocity)
        np.testing.assert_allclose(L, np.tile(L[-1], (len(L), 1)), rtol=1e-6, atol=1e-3)

    def test_the_frame_gains_what_its_acceleration_gives(self, trajectory: Trajectory) -> None:
        from scipy.integrate import simpson

        seconds = trajectory.time / GYR_PER_KPC_KMS
        gained = simpson(trajectory.frame_acceleration, x=seconds, axis=0)
        np.testing.assert_allclose(trajectory.frame_velocity[-1], gained, atol=1e-3)
        np.testing.assert_array_equal(trajectory.frame_velocity[0], 0.0)

    def test_the_table_is_fine_enough(self, trajectory: Trajectory) -> None:
        v = np.gradient(trajectory.position, trajectory.time / GYR_PER_KPC_KMS, axis=0)
        np.testing.assert_allclose(v[2:-2], trajectory.velocity[2:-2], atol=0.05)

    def test_friction_agrees_with_galpy(self, milky_way: CompositePotential) -> None:
        from galpy.df.jeans import sigmar
        from galpy.potential import ChandrasekharDynamicalFrictionForce, NFWPotential

        halo, lmc = make_potential(HALO_ALONE), LMC()
        ours = Friction.of(lmc, halo)
        units = {"ro": 8.0, "vo": 220.0}
        theirs = NFWPotential(mvir=0.7, conc=12.0, H=67.8, overdens=200.0, wrtcrit=True, **units)
        theirs.turn_physical_off()
        x, v = np.array([30.0, 40.0, -60.0]), np.array([100.0, -150.0, 200.0])
        d = np.linalg.norm(x)
        force = ChandrasekharDynamicalFrictionForce(
            GMs=G * 1.5e11 / (8.0 * 220.0**2),
            const_lnLambda=np.sqrt(np.log(d / (2 * lmc.profile.r_s))),
            dens=theirs,
            sigmar=lambda r: sigmar(theirs, r, use_physical=False),
            minr=6.0,
            maxr=14.0,
            nr=41,
        )
        R, phi = np.hypot(x[0], x[1]), np.arctan2(x[1], x[0])
        v_R = (x[0] * v[0] + x[1] * v[1]) / R
        v_T = (x[0] * v[1] - x[1] * v[0]) / R
        where = {"phi": phi, "v": np.array([v_R, v_T, v[2]]) / 220.0, "use_physical": False}
        along_R = force.Rforce(R / 8.0, x[2] / 8.0, **where) * 220.0**2 / 8.0
        along_z = force.zforce(R / 8.0, x[2] / 8.0, **where) * 220.0**2 / 8.0
        got = ours(x, v)
        assert got[2] == pytest.approx(along_z, rel=2e-3)
        assert (got @ x - got[2] * x[2]) / R == pytest.approx(along_R, rel=2e-3)

    def test_friction_ends_inside_its_smallest_impact_parameter(self) -> None:
        friction = Friction.of(LMC(), make_potential(HALO_ALONE))
        assert np.all(friction(np.array([0.0, 5.0, 0.0]), np.array([100.0, 0.0, 0.0])) == 0.0)

    def test_the_cloud_comes_from_afar_and_passes_its_pericentre_now(
        self, trajectory: Trajectory
    ) -> None:
        distance = np.linalg.norm(trajectory.position, axis=1)
        assert distance[0] > 200.0
        assert 44.0 < distance.min() < 49.0
        assert -0.1 < trajectory.time[np.argmin(distance)] < 0.0

    def test_present_place_is_that_of_the_sky(self) -> None:
        # RA, Dec, distance, proper motion and velocity of agama's example
        observed = [np.array([x]) for x in (81.28, -69.78, 49.6, 1.858, 0.385, 262.2)]
        position, velocity = heliocentric_to_galactocentric(*observed, SUNS["li2026"])
        np.testing.assert_allclose(position[0], LMC().position, atol=0.5)
        np.testing.assert_allclose(velocity[0], LMC().velocity, atol=10.0)

    def test_the_milky_way_has_been_pulled_down_towards_the_past_cloud(
        self, trajectory: Trajectory
    ) -> None:
        # planted faults: the Cloud at +y, or a reflex away from it, turn this vector round
        gained = trajectory.frame_velocity[-1]
        assert gained[2] < -20.0
        assert gained[1] > 20.0
        assert gained @ (trajectory.position.mean(axis=0)) > 0.0
        assert 30.0 < np.linalg.norm(gained) < 110.0

    def test_a_massless_cloud_moves_nothing(self, milky_way: CompositePotential) -> None:
        orbit = rewind(LMC(0.0), milky_way)
        assert orbit.bodies == ()
        assert np.all(orbit.frame_velocity == 0.0)
        assert np.all(orbit.frame_acceleration == 0.0)


def kepler(x: np.ndarray, v: np.ndarray, gm: float, time: np.ndarray) -> np.ndarray:
    """(K, 3) positions of a bound Kepler orbit at times [Gyr] after it was at x, v: Lagrange's f and g."""
    from scipy.optimize import brentq

    r = np.linalg.norm(x)
    a = 1.0 / (2.0 / r - v @ v / gm)
    n = np.sqrt(gm / a**3)
    sigma = x @ v / np.sqrt(gm)

    def late(E: float, t: float) -> float:
        parts = E - (1.0 - r / a) * np.sin(E) + sigma / np.sqrt(a) * (1.0 - np.cos(E))
        return float(parts - n * t)

    out = []
    for t in time / GYR_PER_KPC_KMS:
        E = brentq(late, n * t - 4.0, n * t + 4.0, args=(t,), xtol=1e-14)
        f = 1.0 - a / r * (1.0 - np.cos(E))
        g = t - (E - np.sin(E)) / n
        out.append(f * x + g * v)
    return np.array(out)


class TestBadInput:
    @pytest.mark.parametrize(
        ("settings", "complaint"),
        [
            ({"mass": -1.0}, "mass must be 0 to 2.5e\\+11 Msun"),
            ({"mass": 3e11}, "mass must be 0 to 2.5e\\+11 Msun"),
            ({"time": 0.0}, "time must be in"),
            ({"time": 20.0}, "time must be in"),
            ({"r_s": 0.0}, "r_s must be positive"),
            ({"truncation": 0.5}, "truncation must be 1 to 1000"),
            ({"position": (0.0, 0.0, 0.0)}, "position must be 1 to 1000 kpc away"),
            ({"velocity": (3e3, 0.0, 0.0)}, "velocity must be at most"),
        ],
    )
    def test_settings(self, settings: dict[str, object], complaint: str) -> None:
        with pytest.raises(InputError, match=complaint):
            LMC(**settings)  # type: ignore[arg-type]

    def test_a_cloud_that_never_was_outside_the_virial_radius(
        self, milky_way: CompositePotential
    ) -> None:
        with pytest.raises(InputError, match=r"never was outside .* virial radius \(196 kpc\)"):
            rewind(LMC(time=0.5), milky_way)

    def test_a_cloud_that_was_inside_when_the_rewind_begins(
        self, milky_way: CompositePotential
    ) -> None:
        with pytest.raises(InputError, match=r"5 Gyr ago the LMC was inside .* start 2\.9 Gyr ago"):
            rewind(LMC(time=5.0), milky_way)

    def test_a_rewind_longer_than_the_potential_allows(self) -> None:
        tiny = make_potential({"kind": "nfw", "m200": 3e11, "c": 10.0})
        with pytest.raises(
            InputError, match="a rewind of 8 Gyr is longer than the potential allows"
        ):
            rewind(LMC(time=8.0), tiny)

    def test_an_orbit_that_turns_too_often(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(trajectories, "_MOST_CALLS", 2000)
        cluster = make_potential({"kind": "nfw", "m200": 1e16, "c": 20.0})
        with pytest.raises(InputError, match="cannot be followed back: so deep in the Milky"):
            rewind(LMC(time=10.0), cluster)


@pytest.fixture(scope="module")
def base(milky_way: CompositePotential) -> Stars:
    spec = {
        "kind": "equilibrium",
        "potential": MILKY_WAY,
        "density": {"kind": "power-law", "slope": -3.5},
        "beta": {"kind": "constant", "beta": 0.3},
        "r_range": [10.0, 600.0],
    }
    return make_mock(spec).sample(6000, seeded(5))


@pytest.fixture(scope="module")
def perturbed(base: Stars, milky_way: CompositePotential) -> Stars:
    return lmc_population(base, milky_way, LMC(), 1e-6)


class TestPopulation:
    def test_stars_move_as_in_an_inertial_frame(
        self, base: Stars, milky_way: CompositePotential, trajectory: Trajectory
    ) -> None:
        # both galaxies move and no frame is accelerated; a frame acceleration of the wrong sign, or
        # an LMC on the wrong side, is off by tens of kpc
        from scipy.integrate import solve_ivp
        from scipy.interpolate import CubicSpline

        stars = base.select(np.flatnonzero(base.r > 40.0)[:4])
        seconds = trajectory.time / GYR_PER_KPC_KMS
        centre_velocity = CubicSpline(seconds, trajectory.frame_velocity)
        centre = centre_velocity.antiderivative()
        relative = CubicSpline(seconds, trajectory.position)
        static, cloud = make_field(milky_way), trajectory.lmc.profile

        def slope(t: float, state: np.ndarray) -> np.ndarray:
            x = state[:3] - centre(t)
            to_cloud = x - relative(t)
            d = np.linalg.norm(to_cloud)
            pull = -G * cloud.enclosed_mass(d) * to_cloud / d**3
            return np.concatenate([state[3:], static.acceleration(x)[0] + pull])

        got = lmc_population(stars, milky_way, trajectory.lmc, 1e-10)
        for k in range(len(stars)):
            start = np.concatenate([stars.position[k], stars.velocity[k]])
            ends = seconds[[0, -1]]
            found = solve_ivp(slope, ends, start, method="DOP853", rtol=1e-10, atol=1e-7).y[:, -1]
            np.testing.assert_allclose(got.position[k], found[:3] - centre(0.0), atol=5e-3)
            velocity = found[3:] - centre_velocity(0.0)
            np.testing.assert_allclose(got.velocity[k], velocity, atol=0.01)

    def test_without_its_mass_the_halo_stays_as_it_is(
        self, base: Stars, milky_way: CompositePotential
    ) -> None:
        later = lmc_population(base, milky_way, LMC(0.0, time=2.0), 1e-6)
        field = DipoleTruth.of(later, (30.0, 150.0), 0.8)
        for name in ("mu_compr", "mean_v_r_north", "mean_v_r_south", "mean_v_theta_predicted"):
            part = later.r[(later.r > 40.0) & (later.r < 120.0)]
            error = 110.0 * np.sqrt(3.0 / len(part))
            assert abs(field.value(name, part)) < 4.0 * error
        for lo, hi in ((30.0, 60.0), (60.0, 120.0)):
            v = [
                spherical_velocity(s.position, s.velocity)[(s.r > lo) & (s.r < hi), 0]
                for s in (base, later)
            ]
            assert len(v[1]) == pytest.approx(len(v[0]), abs=4.0 * np.sqrt(2.0 * len(v[0])))
            noise = v[0].std() / np.sqrt(len(v[0]))
            assert v[1].std() == pytest.approx(v[0].std(), abs=4.0 * noise)

    def test_the_reflex_dipole_points_down_and_grows_outwards(self, perturbed: Stars) -> None:
        # the inner halo travels south: northern stars recede, southern ones approach. An LMC at the
        # wrong side or a frame accelerated the wrong way turns the apex to the north
        field = DipoleTruth.of(perturbed, (20.0, 200.0), 0.5)
        inner, outer = np.full(1, 30.0), np.geomspace(60.0, 120.0, 30)
        assert field.value("mu_dipole", outer) < -30.0
        assert field.value("mu_dipole", outer) < field.value("mu_dipole", inner) - 5.0
        assert -90.0 < field.value("apex_b", outer) < -30.0
        assert field.value("mean_v_r_north", outer) > field.value("mean_v_r_south", outer) + 20.0
        assert field.value("mean_v_theta_predicted", outer) > 10.0
        assert 20.0 < field.value("v_travel", outer) < 100.0

    def test_the_estimator_finds_the_truth(self, perturbed: Stars) -> None:
        v_names = ("x", "y", "z", "vx", "vy", "vz")
        columns = np.hstack([perturbed.position, perturbed.velocity]).T
        stars = Catalogue.from_arrays(**dict(zip(v_names, columns, strict=True)))
        field = DipoleTruth.of(perturbed, (20.0, 200.0), 0.5)
        rows = make_estimator({"kind": "dipole", "bins": [50.0, 120.0]}).estimate(stars, seeded(2))
        inside = perturbed.r[(perturbed.r >= 50.0) & (perturbed.r < 120.0)]
        for name in ("mu_compr", "mu_dipole", "apex_b", "mean_v_r_north", "mean_v_r_south"):
            (row,) = rows.of(name)
            # the same stars: the fits differ by their weights and by the apex's prior only
            half = 0.5 * (row.hi68 - row.lo68)
            assert row.value == pytest.approx(field.value(name, inside), abs=2.0 * half), name

    def test_the_rest_of_a_star_is_kept(self, base: Stars, milky_way: CompositePotential) -> None:
        few = Stars.of(base.position[:3], base.velocity[:3], [-1.0, -1.5, -2.0], 0.3, [0, 1, 2])
        moved = lmc_population(few, milky_way, LMC(), 1e-6)
        np.testing.assert_array_equal(moved.feh, few.feh)
        np.testing.assert_array_equal(moved.origin, few.origin)
        assert np.all(moved.position != few.position)


class TestTruth:
    def uniform(self, n: int = 40_000) -> Stars:
        """Stars at rest, in uniform directions, from 10 to 200 kpc."""
        rng = seeded(8)
        unit = rng.standard_normal((n, 3))
        unit /= np.linalg.norm(unit, axis=1)[:, None]
        position = unit * np.exp(rng.uniform(np.log(10.0), np.log(200.0), n))[:, None]
        return Stars.of(position, np.zeros((n, 3)))

    def test_a_translation_has_its_dipole_at_every_radius(self) -> None:
        stars = self.uniform()
        d = np.array([5.0, -12.0, 30.0])
        field = DipoleTruth.of(Stars.of(stars.position, stars.velocity + d), (10.0, 200.0))
        np.testing.assert_allclose(field.dipole, np.tile(d, (len(field.r), 1)), atol=1e-9)
        np.testing.assert_allclose(field.translation, field.dipole, atol=1e-9)
        np.testing.assert_allclose(field.mu_compr, 0.0, atol=1e-9)
        r = np.array([12.0, 77.0])
        assert field.value("v_travel", r) == pytest.approx(np.linalg.norm(d))
        assert field.value("mu_dipole", r) == pytest.approx(-np.linalg.norm(d))
        # eq. 7 is exact: the mean over the sphere of v_theta is pi/4 of d_z
        v_theta = spherical_velocity(stars.position, np.tile(d, (len(stars), 1)))[:, 1]
        predicted = field.value("mean_v_theta_predicted", r)
        assert v_theta.mean() == pytest.approx(
            predicted, abs=4.0 * v_theta.std() / np.sqrt(len(v_theta))
        )

    def test_a_field_that_is_linear_in_ln_r_is_recovered_exactly(self) -> None:
        stars = self.uniform()
        x, unit = np.log(stars.r), stars.position / stars.r[:, None]
        radial = -4.0 * x + unit @ np.array([1.0, -2.0, 3.0]) * x
        field = DipoleTruth.of(
            Stars.of(stars.position, radial[:, None] * unit), (10.0, 200.0), step=0.4
        )
        for r in (10.0, 31.0, 150.0):
            assert field.value("mu_compr", r) == pytest.approx(-4.0 * np.log(r), abs=1e-9)
            size = np.sqrt(14.0) * np.log(r)
            assert field.value("mu_dipole", r) == pytest.approx(-size, abs=1e-9)

    def test_averages_over_the_population_are_the_fit_to_all_of_it(self) -> None:
        stars, rng = self.uniform(), seeded(1)
        noisy = Stars.of(stars.position, rng.normal(0.0, 100.0, (len(stars), 3)))
        v_r = spherical_velocity(noisy.position, noisy.velocity)[:, 0]
        north = noisy.position[:, 2] > 0.0
        field = DipoleTruth.of(noisy, (10.0, 200.0))
        assert field.value("mean_v_r_north", stars.r[north]) == pytest.approx(v_r[north].mean())
        X = np.hstack([noisy.position / noisy.r[:, None], np.ones((len(v_r), 1))])
        whole = np.linalg.lstsq(X, v_r, rcond=None)[0]
        # directions are independent of radius, up to noise
        assert field.value("mu_compr", stars.r) == pytest.approx(whole[3], abs=0.05)

    def test_names_are_those_of_the_estimators(self) -> None:
        for d in seeded(3).normal(0.0, 30.0, (20, 3)):
            field = DipoleTruth(np.ones(1), np.zeros(1), d[None], d[None])
            names = [field.value(name, 9.0) for name in ("mu_dipole", "apex_l", "apex_b")]
            np.testing.assert_allclose(names, apex(d), rtol=1e-12)
            np.testing.assert_allclose(names[0] * direction(*names[1:]), d, atol=1e-12)
            eq7 = 0.25 * np.pi * names[0] * np.sin(np.radians(names[2]))
            assert field.value("mean_v_theta_predicted", 9.0) == pytest.approx(eq7)

    def test_every_quantity_of_the_truth_is_told(self) -> None:
        d = np.array([[0.0, 0.0, 10.0]])
        field = DipoleTruth(np.array([50.0]), np.array([-5.0]), d, d)
        told = {name: field.value(name, np.array([1.0, 300.0])) for name in FIELD}
        assert np.isfinite(told.pop("apex_l"))  # any longitude will do at a pole
        assert told == pytest.approx(
            {
                "mu_compr": -5.0,
                "mu_dipole": -10.0,
                "v_travel": 10.0,
                "apex_b": -90.0,
                "mean_v_r_north": 0.0,
                "mean_v_r_south": -10.0,
                "mean_v_theta_predicted": 2.5 * np.pi,
                "bulk_v_r": 0.0,
                "bulk_v_theta": 0.0,
                "bulk_v_phi": 0.0,
            }
        )
        with pytest.raises(InputError, match="no 'beta'"):
            field.value("beta", 10.0)

    def test_without_a_dipole_there_is_no_apex(self) -> None:
        rest = DipoleTruth(np.ones(1), np.zeros(1), np.zeros((1, 3)), np.zeros((1, 3)))
        assert np.isnan(rest.value("apex_l", 10.0))
        assert np.isnan(rest.value("apex_b", 10.0))
        assert rest.value("mu_dipole", 10.0) == 0.0

    def test_bad_tables_and_poor_populations(self) -> None:
        with pytest.raises(InputError, match="must rise"):
            DipoleTruth(np.array([2.0, 1.0]), np.zeros(2), np.zeros((2, 3)), np.zeros((2, 3)))
        with pytest.raises(InputError, match="dipole of a velocity field needs finite values"):
            DipoleTruth(np.ones(1), np.zeros(1), np.full((1, 3), np.nan), np.zeros((1, 3)))
        with pytest.raises(
            InputError, match=r"has \d\d stars between 10 and 200 kpc, at least 100"
        ):
            DipoleTruth.of(self.uniform(150), (10.0, 200.0))

    def test_nodes_are_farther_apart_where_stars_are_few(self) -> None:
        field = DipoleTruth.of(self.uniform(2000), (10.0, 200.0), step=0.2)
        assert 3 <= len(field.r) < 10
        assert (field.r[0], field.r[-1]) == (10.0, 200.0)

    def test_the_milky_ways_mass_is_its_own(self, trajectory: Trajectory) -> None:
        r = np.array([20.0, 60.0, 500.0])
        inside = trajectory.lmc.enclosed_mass(r)
        assert 0.0 < inside[0] < 0.03 * 1.5e11
        assert inside[1] > 0.4 * 1.5e11
        assert inside[2] == pytest.approx(1.5e11, rel=1e-6)
