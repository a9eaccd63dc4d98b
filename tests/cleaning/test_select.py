"""The step ``select``: ranges and conditions on any property, and what cannot be read."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seeds import seeded

from haloassay.base.errors import EstimationError, InputError
from haloassay.cleaning.expressions import parse
from haloassay.cleaning.integrals import AssumedPotential, integrals_of_motion
from haloassay.cleaning.orbits import Elements, orbits_in
from haloassay.cleaning.properties import PROPERTIES
from haloassay.cleaning.select import Select
from haloassay.cleaning.steps import make_clean
from haloassay.contracts.catalogue import Catalogue
from haloassay.contracts.sky import quadrant


@pytest.fixture(scope="module")
def stars():
    rng = seeded(1)
    n = 400
    return Catalogue.from_arrays(
        ra=rng.uniform(0.0, 360.0, n),
        dec=np.degrees(np.arcsin(rng.uniform(-1.0, 1.0, n))),
        distance=rng.uniform(5.0, 50.0, n),
        pmra=rng.normal(0.0, 1.0, n),
        pmdec=rng.normal(0.0, 1.0, n),
        vlos=rng.normal(0.0, 100.0, n),
        feh=rng.normal(-1.5, 0.4, n),
        distance_err=rng.uniform(0.5, 10.0, n),
        vlos_err=np.full(n, 5.0),
    )


def kept(catalogue, **keys):
    found = np.zeros(len(catalogue), dtype=bool)
    found[make_clean([{"kind": "select", **keys}]).rows(catalogue)] = True
    return found


def test_a_range_keeps_its_lowest_value_and_not_its_upper_end():
    catalogue = Catalogue.from_arrays(
        **{name: np.ones(4) for name in ("x", "y", "z", "vx", "vy", "vz")},
        feh=[-1.7, -1.5, -1.3, np.nan],
    )
    assert kept(catalogue, feh=[-1.7, -1.3]).tolist() == [True, True, False, False]
    assert kept(catalogue, where="feh < -1.4 or not feh < -1.4").tolist() == [
        True,
        True,
        True,
        False,
    ]
    assert kept(catalogue, feh=[-np.inf, np.inf]).tolist() == [True, True, True, False]


def test_properties_are_what_their_names_say(stars):
    from astropy.coordinates import SkyCoord

    sky = SkyCoord(stars["ra"], stars["dec"], unit="deg").galactic
    # the Galactic frame that the Sun of a catalogue defines is off by less than 0.1 deg
    edge = np.abs(sky.b.deg - 20.0) > 0.2
    assert np.array_equal(kept(stars, b=[20.0, 90.0])[edge], (sky.b.deg >= 20.0)[edge])
    around = (sky.l.deg > 330.0) | (sky.l.deg < 30.0)
    edge = np.abs((sky.l.deg + 180.0) % 360.0 - 180.0) - 30.0
    assert np.array_equal(
        kept(stars, l=[330.0, 30.0])[np.abs(edge) > 1.0], around[np.abs(edge) > 1.0]
    )
    assert np.array_equal(kept(stars, r=[10.0, 20.0]), (stars.r >= 10.0) & (stars.r < 20.0))
    relative = stars["distance_err"] / stars["distance"]
    assert np.array_equal(kept(stars, distance_error=[0.0, 0.4]), relative < 0.4)
    x, y, z = stars.position.T
    assert np.array_equal(kept(stars, where="hypot(x, y) > 3*abs(z)"), np.hypot(x, y) > 3 * abs(z))
    error = np.sqrt(stars.spherical_covariance[:, 1, 1])
    assert np.array_equal(kept(stars, v_theta_err=[0.0, 60.0]), error < 60.0)
    L_z = np.cross(stars.position, stars.velocity)[:, 2]
    assert np.array_equal(kept(stars, where="-500 < L_z <= 500"), (L_z > -500) & (L_z <= 500))
    energy = integrals_of_motion(stars, AssumedPotential(m200=1e12))[:, 0]
    assert np.array_equal(
        kept(stars, E=[-5e4, 0.0], potential={"m200": 1e12}), (energy >= -5e4) & (energy < 0)
    )


def test_quadrants_and_pixels_are_those_of_the_maps(stars):
    from healpy import vec2pix

    from haloassay.cleaning.integrals import seen_from_sun

    direction = seen_from_sun(stars)[0]
    for k in range(4):
        assert np.array_equal(kept(stars, quadrant=k), quadrant(direction) == k)
    assert np.array_equal(kept(stars, quadrant=[0, 3]), np.isin(quadrant(direction), [0, 3]))
    pixel = vec2pix(2, *direction.T)
    assert np.array_equal(kept(stars, pixel=[5, 6], nside=2), np.isin(pixel, [5, 6]))


def test_all_that_is_asked_for_must_hold(stars):
    both = kept(stars, feh=[-1.7, -1.3], quadrant=2, where="distance < 30")
    each = (
        kept(stars, feh=[-1.7, -1.3]) & kept(stars, quadrant=2) & kept(stars, distance=[0.0, 30.0])
    )
    assert np.array_equal(both, each)
    assert 0 < both.sum() < 0.2 * len(stars)


def test_turning_points_are_those_of_galpy():
    galpy = pytest.importorskip("galpy.potential")
    from galpy.orbit import Orbit

    assumed = AssumedPotential(m200=0.7e12, c=11.45, baryons="none")
    nfw = galpy.NFWPotential(
        conc=11.45, mvir=0.7, H=70.0, overdens=200.0, wrtcrit=True, ro=8.0, vo=220.0
    )
    galpy.turn_physical_off(nfw)
    for x, v in (((20.0, 0.0, 5.0), (30.0, 80.0, 60.0)), ((9.0, 3.0, 1.0), (150.0, -20.0, 10.0))):
        near, far = orbits_in(assumed, np.array([x]), np.array([v])).turning_points
        R, phi = np.hypot(x[0], x[1]), np.arctan2(x[1], x[0])
        v_R = (x[0] * v[0] + x[1] * v[1]) / R
        v_T = (x[0] * v[1] - x[1] * v[0]) / R
        orbit = Orbit([R / 8, v_R / 220, v_T / 220, x[2] / 8, v[2] / 220, phi])
        for ours, theirs in (
            (near, orbit.rperi(analytic=True, pot=nfw, type="spherical")),
            (far, orbit.rap(analytic=True, pot=nfw, type="spherical")),
        ):
            assert ours[0] == pytest.approx(8.0 * theirs, rel=2e-3)


def test_elements_of_an_orbit_can_be_selected(stars):
    """In the plane, towards +y at the apocentre on the +x axis: pole north, apocentre at l = 0."""
    assumed = AssumedPotential(baryons="none")
    elements = Elements.of(
        orbits_in(assumed, np.array([[20.0, 0.0, 0.0]]), np.array([[0.0, 60.0, 0.0]]))
    )
    near, far = orbits_in(
        assumed, np.array([[20.0, 0.0, 0.0]]), np.array([[0.0, 60.0, 0.0]])
    ).turning_points
    assert elements.semi_major_axis[0] == pytest.approx(0.5 * (near[0] + far[0]))
    np.testing.assert_allclose(elements.pole, [[0.0, 0.0, 1.0]], atol=1e-12)
    np.testing.assert_allclose(elements.apocentre, [[1.0, 0.0, 0.0]], atol=1e-3)
    momentum = np.cross(stars.position, stars.velocity)
    north = momentum[:, 2] > 0.0
    assert np.array_equal(kept(stars, pole_b=[0.0, 91.0]), north)
    ahead = np.degrees(np.arctan2(momentum[:, 1], momentum[:, 0])) % 360.0
    assert np.array_equal(kept(stars, pole_l=[90.0, 180.0]), (ahead >= 90.0) & (ahead < 180.0))
    size = kept(stars, semi_major_axis=[0.0, 20.0])
    assert np.array_equal(size, kept(stars, where="(pericentre + apocentre) / 2 < 20"))


def test_turning_points_of_simple_orbits():
    point = AssumedPotential(m200=1e12, c=10.0, baryons="none")
    x = np.tile([20.0, 0.0, 0.0], (4, 1))
    # at rest; circular; radial; unbound
    mass = np.gradient(point(np.array([[20.0 - 1e-3, 0, 0], [20.0 + 1e-3, 0, 0]])), 2e-3)[0]
    circular = np.sqrt(20.0 * mass)
    v = np.array([[0.0, 0.0, 0.0], [0.0, circular, 0.0], [50.0, 0.0, 0.0], [900.0, 0.0, 0.0]])
    near, far = orbits_in(point, x, v).turning_points
    assert near[[0, 2, 3]].tolist() == [0.0, 0.0, 0.0]
    assert far[0] == pytest.approx(20.0, rel=1e-6)
    assert (near[1], far[1]) == pytest.approx((20.0, 20.0), rel=1e-3)
    assert far[2] > 20.0
    assert far[3] == np.inf


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"fhe": [-2, -1]}, "clean.0: unknown property 'fhe'; did you mean 'feh'?"),
        ({"where": "fhe < -1"}, "unknown name 'fhe'; did you mean 'feh'?"),
        ({"feh": -1.3}, r"feh: expected a range \[lowest, upper end\] \[dex\] \(got -1.3\)"),
        ({"distance": [10, "far"]}, r"distance: expected a range .* \[kpc\]"),
        ({"feh": [-1, -2]}, r"feh: a range rises .* \[dex\] \(got \[-1, -2\]\)"),
        ({"b": [80, -80]}, "b: a range rises"),
        ({"quadrant": 1.5}, "quadrant: expected a whole number or a list of them"),
        ({"quadrant": [True]}, "quadrant: expected a whole number"),
        ({}, "nothing is asked for"),
        ({"where": "feh"}, "'feh' is a number: expected a condition"),
        ({"where": "feh < 1 and b"}, "'b' is a number: expected a condition"),
        ({"where": "feh < (b > 1)"}, "'b > 1' is a condition: expected a number"),
        ({"where": "feh <"}, "cannot be read"),
        ({"where": "feh < -1 & b > 3"}, "is not allowed"),
        ({"where": "sqroot(r) > 1"}, "unknown function 'sqroot'; did you mean 'sqrt'?"),
        ({"where": "hypot(x) > 1"}, "hypot takes 2"),
        ({"where": "r in (1, 2)"}, "is not allowed|use <"),
        ({"where": "'a' < 'b'"}, "is not allowed"),
        ({"where": "True"}, "is not allowed"),
        ({"nside": 3, "pixel": 1}, "nside must be a power of 2"),
        ({"ranges": {"feh": "low"}}, "feh: expected a range"),
        ({"ranges": 3}, "ranges: expected a table"),
    ],
)
def test_what_cannot_be_is_one_line(keys, message):
    with pytest.raises(InputError, match=message) as error:
        make_clean([{"kind": "select", **keys}])
    assert "\n" not in str(error.value)
    assert str(error.value).startswith("clean.0")


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true') == 0",
        "r.__class__ == 1",
        "(lambda: 1)() > 0",
        "[r for r in (1,)] > 0",
        "r[0] > 1",
        "eval('1') > 0",
        "(r := 2) > 1",
        "f'{r}' > 1",
        "9**9**9**9 > r if r > 1 else r < 1",
        "abs(*r) > 1",
        "abs(x=r) > 1",
        "(" * 300 + "r" + ")" * 300 + " > 1",
        "-" * 500 + "r > 1",
        "r > 1" + " " * 2000,
        "r > 1\x00",
        "1" * 400 + " < r",
    ],
)
def test_code_is_refused(text):
    with pytest.raises(InputError):
        parse(text, frozenset(PROPERTIES), "where")


def test_large_powers_cost_nothing(stars):
    assert kept(stars, where="9**9**9**9 > r").all()


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="r()<>=+-*/. 123abs,andornot&|[]'_", max_size=40))
def test_any_text_is_a_condition_or_refused(text):
    try:
        node = parse(text, frozenset(["r"]), "where")
    except InputError as error:
        said = str(error)
    else:
        said = ""
        with np.errstate(all="ignore"):
            assert np.asarray(node.at({"r": np.array([1.0, 2.0])})).dtype == bool
    assert "\n" not in said


def test_a_missing_column_and_an_empty_result_are_said(stars):
    with pytest.raises(InputError, match="column 'alpha_fe' is missing"):
        kept(stars, alpha_fe=[0.0, 1.0])
    with pytest.raises(
        EstimationError,
        match=r"no star is left by the step 'select' \(400 removed: not feh in \[5, 6\] dex\)",
    ):
        kept(stars, feh=[5.0, 6.0])


def test_positions_alone_are_enough_for_what_needs_no_velocity(stars):
    still = Catalogue({k: stars[k] for k in ("ra", "dec", "distance", "feh")}, stars.sun)
    assert np.array_equal(
        kept(still, quadrant=1, feh=[-2, -1]), kept(stars, quadrant=1, feh=[-2, -1])
    )
    with pytest.raises(InputError, match="column 'pmra' is missing"):
        kept(still, apocentre=[0.0, 50.0])


@pytest.mark.parametrize(
    ("keys", "needs", "blind"),
    [
        ({"quadrant": 1, "r": [1.0, 2.0]}, (), True),
        ({"distance_error": [0.0, 0.4]}, ("distance", "distance_err"), True),
        ({"where": "feh < -1"}, ("feh",), False),
        ({"eccentricity": [0.0, 0.5]}, ("velocity",), False),
    ],
)
def test_a_step_says_what_it_reads(keys, needs, blind):
    step = make_clean([{"kind": "select", **keys}]).steps[0]
    assert step.required() == needs
    assert step.blind is blind


def test_the_description_names_every_property():
    words = set(
        Select.__doc__.replace(",", " ")
        .replace(":", " ")
        .replace(";", " ")
        .replace(".", " ")
        .split()
    )
    missing = {name for name in PROPERTIES if not {name, f"{name}[kpc]"} & words}
    # Cartesian errors of Galactocentric files follow the same rule
    assert missing <= {f"{n}_err" for n in ("x", "y", "z", "vx", "vy", "vz")}
