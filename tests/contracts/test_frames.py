"""Frames against astropy, and the invariants of rotations."""

import astropy.coordinates as coord
import astropy.units as u
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seeds import seeded

from haloassay.base.errors import InputError
from haloassay.contracts import frames
from haloassay.contracts.columns import HELIOCENTRIC

N = 2000


@pytest.fixture(scope="module")
def stars():
    rng = seeded(1)
    return {
        "ra": rng.uniform(0.0, 360.0, N),
        "dec": np.degrees(np.arcsin(rng.uniform(-1.0, 1.0, N))),
        "distance": rng.uniform(0.1, 150.0, N),
        "pmra": rng.normal(0.0, 3.0, N),
        "pmdec": rng.normal(0.0, 3.0, N),
        "vlos": rng.normal(0.0, 150.0, N),
    }


def icrs(c):
    return coord.ICRS(
        ra=c["ra"] * u.deg,
        dec=c["dec"] * u.deg,
        distance=c["distance"] * u.kpc,
        pm_ra_cosdec=c["pmra"] * u.mas / u.yr,
        pm_dec=c["pmdec"] * u.mas / u.yr,
        radial_velocity=c["vlos"] * u.km / u.s,
    )


def galactocentric_frame(sun):
    return coord.Galactocentric(
        galcen_coord=coord.ICRS(ra=266.4051 * u.deg, dec=-28.936175 * u.deg),
        galcen_distance=np.hypot(sun.x, sun.z) * u.kpc,
        z_sun=sun.z * u.kpc,
        galcen_v_sun=coord.CartesianDifferential(sun.velocity * u.km / u.s),
    )


@pytest.mark.parametrize("name", frames.SUNS)
def test_galactocentric_phase_space_is_that_of_astropy(stars, name):
    sun = frames.SUNS[name]
    theirs = icrs(stars).transform_to(galactocentric_frame(sun))
    position, velocity = frames.heliocentric_to_galactocentric(**stars, sun=sun)
    np.testing.assert_allclose(position, theirs.cartesian.xyz.T.to_value("kpc"), atol=1e-9, rtol=0)
    np.testing.assert_allclose(
        velocity, theirs.velocity.d_xyz.T.to_value("km/s"), atol=1e-9, rtol=0
    )


@pytest.mark.parametrize("name", frames.SUNS)
def test_heliocentric_observables_are_those_of_astropy(name):
    sun = frames.SUNS[name]
    rng = seeded(2)
    position, velocity = rng.normal(0.0, 40.0, (N, 3)), rng.normal(0.0, 120.0, (N, 3))
    theirs = galactocentric_frame(sun).realize_frame(
        coord.CartesianRepresentation(
            position.T * u.kpc,
            differentials=coord.CartesianDifferential(velocity.T * u.km / u.s),
        )
    )
    theirs = theirs.transform_to(coord.ICRS())
    ours = frames.galactocentric_to_heliocentric(position, velocity, sun)
    expected = (
        theirs.ra.deg,
        theirs.dec.deg,
        theirs.distance.to_value("kpc"),
        theirs.pm_ra_cosdec.to_value("mas/yr"),
        theirs.pm_dec.to_value("mas/yr"),
        theirs.radial_velocity.to_value("km/s"),
    )
    for column, values in zip(HELIOCENTRIC, expected, strict=True):
        np.testing.assert_allclose(ours[column], values, atol=1e-9, rtol=0, err_msg=column)


def test_galactic_proper_motions_turn_as_in_astropy(stars):
    galactic = icrs(stars).transform_to(coord.Galactic())
    ra, dec, turn = frames.galactic_to_icrs(galactic.l.deg, galactic.b.deg)
    pm = np.stack([galactic.pm_l_cosb.to_value("mas/yr"), galactic.pm_b.to_value("mas/yr")], 1)
    pmra, pmdec = np.einsum("nij,nj->in", turn, pm)
    for ours, name in ((ra, "ra"), (dec, "dec"), (pmra, "pmra"), (pmdec, "pmdec")):
        np.testing.assert_allclose(ours, stars[name], atol=1e-9, rtol=0, err_msg=name)


@pytest.mark.parametrize("name", frames.SUNS)
def test_there_and_back(stars, name):
    sun = frames.SUNS[name]
    back = frames.galactocentric_to_heliocentric(
        *frames.heliocentric_to_galactocentric(**stars, sun=sun), sun
    )
    for column in HELIOCENTRIC:  # at 0.1 kpc the Sun's 8 kpc cost two digits
        np.testing.assert_allclose(back[column], stars[column], atol=1e-9, rtol=1e-12)


def test_signs_of_the_spherical_components():
    sun_like, north_like = np.array([[-8.0, 0.0, 0.0]]), np.array([[3.0, 0.0, 4.0]])
    # prograde rotation: the Sun at x < 0 moves towards +y
    v_phi = frames.spherical_velocity(sun_like, np.array([[0.0, 220.0, 0.0]]))
    np.testing.assert_allclose(v_phi, [[0.0, 0.0, -220.0]], atol=1e-12)
    v_theta = frames.spherical_velocity(sun_like, np.array([[0.0, 0.0, 10.0]]))
    np.testing.assert_allclose(v_theta, [[0.0, 10.0, 0.0]], atol=1e-12)
    v_r = frames.spherical_velocity(north_like, np.array([[30.0, 0.0, 40.0]]))
    np.testing.assert_allclose(v_r, [[50.0, 0.0, 0.0]], atol=1e-12)


def test_spherical_velocity_is_that_of_astropy(stars):
    theirs = icrs(stars).transform_to(galactocentric_frame(frames.Sun()))
    theirs = theirs.represent_as(coord.SphericalRepresentation, coord.SphericalDifferential)
    motion, r = theirs.differentials["s"], theirs.distance
    per_s = {"equivalencies": u.dimensionless_angles()}
    expected = np.stack(
        [
            motion.d_distance.to_value("km/s"),
            (r * motion.d_lat).to_value("km/s", **per_s),
            (r * np.cos(theirs.lat) * motion.d_lon).to_value("km/s", **per_s),
        ],
        axis=1,
    )
    ours = frames.spherical_velocity(
        *frames.heliocentric_to_galactocentric(**stars, sun=frames.Sun())
    )
    np.testing.assert_allclose(ours, expected, atol=1e-9, rtol=0)


@settings(max_examples=25, deadline=None)
@given(angle=st.floats(0.0, 360.0), seed=st.integers(0, 100))
def test_rotation_about_z_leaves_spherical_velocities_alone(angle, seed):
    position, velocity = seeded(seed).normal(0.0, 50.0, (2, 20, 3))
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    turn = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
    before = frames.spherical_velocity(position, velocity)
    after = frames.spherical_velocity(position @ turn.T, velocity @ turn.T)
    np.testing.assert_allclose(after, before, atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(factor=st.floats(1e-3, 1e3), seed=st.integers(0, 100))
def test_only_directions_matter_to_spherical_velocities(factor, seed):
    position, velocity = seeded(seed).normal(0.0, 50.0, (2, 20, 3))
    before = frames.spherical_velocity(position, velocity)
    np.testing.assert_allclose(
        frames.spherical_velocity(factor * position, velocity), before, atol=1e-9
    )
    np.testing.assert_allclose(
        frames.spherical_velocity(position, factor * velocity), factor * before, atol=1e-9 * factor
    )


@pytest.mark.parametrize("position", [[0.0, 0.0, 0.0], [0.0, 0.0, 9.0], [0.0, 0.0, -9.0]])
def test_axis_and_centre_keep_the_speed(position):
    velocity = np.array([[30.0, -40.0, 120.0]])
    spherical = frames.spherical_velocity(np.array([position]), velocity)
    assert np.linalg.norm(spherical) == pytest.approx(130.0, abs=1e-10)


@pytest.mark.parametrize("dec", [90.0, -90.0])
def test_celestial_poles(dec):
    sky = {"ra": 30.0, "dec": dec, "distance": 10.0, "pmra": 1.0, "pmdec": 2.0, "vlos": 3.0}
    sky = {name: np.array([value]) for name, value in sky.items()}
    theirs = icrs(sky).transform_to(galactocentric_frame(frames.Sun()))
    _, velocity = frames.heliocentric_to_galactocentric(**sky, sun=frames.Sun())
    np.testing.assert_allclose(velocity[0], theirs.velocity.d_xyz.to_value("km/s").T[0], atol=1e-9)


@pytest.mark.parametrize("settings_", [{"x": 8.0}, {"x": 0.0}, {"x": -8.0, "z": 9.0}])
def test_impossible_suns_are_refused(settings_):
    with pytest.raises(InputError, match="the Sun stands"):
        frames.Sun(**settings_)
