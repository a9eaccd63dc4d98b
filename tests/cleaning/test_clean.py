from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seeds import seeded

from haloassay.base import kinds
from haloassay.base.errors import EstimationError, InputError
from haloassay.cleaning.friends import four_distance_pairs, groups, in_large_group, link
from haloassay.cleaning.integrals import (
    AssumedPotential,
    energy_and_momentum,
    integral_errors,
    integrals_of_motion,
    seen_from_sun,
)
from haloassay.cleaning.sagittarius import sagittarius_coordinates
from haloassay.cleaning.steps import make_clean
from haloassay.cleaning.substructure import FourDistance, FriendsOfFriends
from haloassay.contracts.catalogue import Catalogue
from haloassay.contracts.frames import (
    ICRS_TO_GALACTIC,
    Sun,
    galactocentric_to_heliocentric,
    sky_basis,
)
from haloassay.mocks import make_mock
from haloassay.mocks.gravity.potentials import make_potential

SPHERICAL = AssumedPotential(baryons="mwpotential2014-spherical")
NAMES = ("x", "y", "z", "vx", "vy", "vz")
SPECS = {
    "energy-cut": {"e_max": -5e4},
    "height-cut": {},
    "sagittarius-band": {},
    "sagittarius-momentum": {},
    "gaussian-balls": {"balls": [{"centre": [8, 0, 0], "sigma": [2, 2, 2]}]},
    "cross-match": {"objects": [{"ra": 180.0, "dec": 30.0, "radius": 10.0}]},
    "friends-of-friends": {"unit": "median-separation"},
    "four-distance": {"linking_length": 0.6},
    "select": {"where": "r > 10 and abs(z) > 2"},
}


def catalogue_of(x, v, **more):
    return Catalogue.from_arrays(**dict(zip(NAMES, np.hstack([x, v]).T, strict=True)), **more)


@pytest.fixture(scope="module", params=[0.5, 0.9])
def halo(request):
    """Smooth equilibrium halo: positions and velocities (5000, 3)."""
    mock = make_mock(
        {
            "kind": "equilibrium",
            "potential": [
                {"kind": "nfw", "m200": 0.8e12, "c": 15.3},
                {"kind": "mwpotential2014-baryons"},
            ],
            "density": {"kind": "broken-power-law", "slopes": [-2.8, -4.6], "breaks": [17.0]},
            "beta": {"kind": "constant", "beta": request.param},
        }
    )
    stars = mock.sample(5000, seeded(1))
    return stars.position, stars.velocity


def stream(n, rng):
    """Debris of a cold satellite, mixed along its orbit: leapfrog for up to 3 Gyr."""
    x = np.array([20.0, 10.0, 30.0]) + 0.3 * rng.standard_normal((n, 3))
    v = np.array([100.0, -80.0, 60.0]) + 8.0 * rng.standard_normal((n, 3))
    dt = (rng.uniform(0.0, 3.0, n) / 1000.0)[:, None]

    at = np.linspace(1.0, 150.0, 3000)
    force = -np.gradient(SPHERICAL(np.outer(at, [1.0, 0.0, 0.0])), at)

    def pull(x):
        r = np.linalg.norm(x, axis=1)
        return (np.interp(r, at, force) / r)[:, None] * x

    for _ in range(1000):
        v = v + 0.5 * dt * pull(x)
        x = x + dt * v
        v = v + 0.5 * dt * pull(x)
    return x, v


def test_friends_in_integrals_find_a_planted_stream_and_keep_the_smooth_halo(halo):
    x, v = halo
    step = FriendsOfFriends(potential=SPHERICAL)
    assert step.kept(catalogue_of(x, v)).mean() > 0.999
    xs, vs = stream(50, seeded(2))
    gone = ~step.kept(catalogue_of(np.vstack([x, xs]), np.vstack([v, vs])))
    assert gone[5000:].mean() >= 0.7  # completeness: 0.8 to 1
    assert gone[5000:].sum() >= 0.9 * gone.sum()  # purity
    # the stream is spread over its orbit: only integrals of motion see it
    assert np.linalg.norm(xs.std(axis=0)) > 15.0


def test_friends_in_orbits_find_a_stream_that_has_not_turned_and_keep_the_smooth_halo(halo):
    x, v = halo
    step = FriendsOfFriends(space="orbits", linking_length=0.5, potential=SPHERICAL)
    assert step.kept(catalogue_of(x, v)).mean() > 0.999
    xs, vs = stream(100, seeded(2))
    gone = ~step.kept(catalogue_of(np.vstack([x, xs]), np.vstack([v, vs])))
    assert gone[5000:].mean() >= 0.7
    assert gone[5000:].sum() >= 0.9 * gone.sum()


def test_friends_in_orbits_are_told_apart_by_pole_apocentre_size_and_shape():
    """Two streams of fifteen stars, which differ in one element only, and are one group where they do not."""
    x, v = np.array([30.0, 0.0, 0.0]), np.array([0.0, 120.0, 0.0])
    other = {
        "none": (x, v),
        "pole": (x, np.array([0.0, 0.0, 120.0])),
        "sense": (x, -v),
        "apocentre": (np.array([0.0, 30.0, 0.0]), np.array([-120.0, 0.0, 0.0])),
        "size": (3.0 * x, np.array([0.0, 105.0, 0.0])),
        "shape": (x, 0.3 * v),
    }
    step = FriendsOfFriends(
        space="orbits", unit="median-separation", linking_length=60.0, potential=SPHERICAL
    )
    rng = seeded(5)
    for element, (xs, vs) in other.items():
        places = np.concatenate([np.tile(x, (15, 1)), np.tile(xs, (15, 1))])
        speeds = np.concatenate([np.tile(v, (15, 1)), np.tile(vs, (15, 1))])
        speeds *= 1.0 + 1e-3 * rng.standard_normal((30, 1))
        group = step.group(catalogue_of(places, speeds))
        assert len(set(group)) == (1 if element == "none" else 2), element


def test_stars_that_are_not_bound_are_no_friends_in_orbits():
    rng = seeded(6)
    x = np.tile([30.0, 0.0, 0.0], (40, 1))
    v = np.array([0.0, 900.0, 0.0]) + rng.standard_normal((40, 3))
    assert FriendsOfFriends(space="orbits", potential=SPHERICAL).kept(catalogue_of(x, v)).all()


def test_errors_are_no_unit_of_orbits():
    with pytest.raises(InputError, match="unit: 'errors' are those of integrals"):
        FriendsOfFriends(space="orbits", unit="errors")


def test_one_linking_length_for_all_takes_the_heart_of_the_halo(halo):
    x, v = halo
    plain = FriendsOfFriends(unit="median-separation", potential=SPHERICAL)
    gone = ~plain.kept(catalogue_of(x, v))
    assert gone.mean() > 0.05
    momentum = np.linalg.norm(np.cross(x, v), axis=1)
    assert np.median(momentum[gone]) < 0.5 * np.median(momentum)


def test_four_distance_finds_a_clump_but_no_mixed_stream(halo):
    x, v = halo
    rng = seeded(3)
    step = FourDistance()
    alone = ~step.kept(catalogue_of(x, v))
    assert alone.mean() < 0.01  # by chance a group or two of just over ten stars of 5000
    clump = np.array([20.0, 10.0, 30.0]) + rng.standard_normal((100, 3))
    moving = np.array([100.0, -80.0, 60.0]) + 8.0 * rng.standard_normal((100, 3))
    for (xs, vs), least, most in (
        ((clump, moving), 0.5, 1.0),
        (stream(50, seeded(2)), 0.0, 0.1),
    ):
        gone = ~step.kept(catalogue_of(np.vstack([x, xs]), np.vstack([v, vs])))
        assert least <= gone[5000:].mean() <= most
        more = gone[:5000] & ~alone
        assert gone[5000:].sum() >= 9.0 * more.sum()


def turn(angles):
    a, b, c = angles
    ca, sa, cb, sb, cc, sc = np.cos(a), np.sin(a), np.cos(b), np.sin(b), np.cos(c), np.sin(c)
    return (
        np.array([[ca, -sa, 0], [sa, ca, 0], [0, 0, 1]])
        @ np.array([[1, 0, 0], [0, cb, -sb], [0, sb, cb]])
        @ np.array([[cc, -sc, 0], [sc, cc, 0], [0, 0, 1]])
    )


@given(st.tuples(*[st.floats(0.0, 6.28)] * 3), st.integers(0, 2**31))
@settings(max_examples=10, deadline=None)
def test_groups_in_integrals_do_not_turn_with_the_axes_nor_follow_the_order(angles, seed):
    rng = seeded(4)
    x, v = 20.0 * rng.standard_normal((400, 3)), 100.0 * rng.standard_normal((400, 3))
    step = FriendsOfFriends(linking_length=0.8, largest_kept=2, potential=SPHERICAL)
    plain = step.kept(catalogue_of(x, v))
    assert 0 < plain.sum() < 400
    R, order = turn(angles), seeded(seed).permutation(400)
    turned = step.kept(catalogue_of((x @ R.T)[order], (v @ R.T)[order]))
    np.testing.assert_array_equal(turned, plain[order])


def test_links_are_those_of_all_pairs():
    rng = seeded(5)
    points, radius = rng.random((200, 4)), rng.uniform(0.05, 0.3, 200)
    apart = np.linalg.norm(points[:, None] - points[None], axis=2)
    want = {(i, j) for i in range(200) for j in range(i + 1, 200)
            if apart[i, j] <= min(radius[i], radius[j])}  # fmt: skip
    assert {tuple(pair) for pair in link(points, radius).tolist()} == want
    group = groups(200, link(points, radius))
    assert all(group[i] == group[j] for i, j in want)
    size = np.bincount(group)[group]
    np.testing.assert_array_equal(in_large_group(group, 3), size > 3)


@pytest.mark.parametrize("weighted", [False, True])
def test_four_distances_are_those_of_the_definition(weighted):
    rng = seeded(6)
    n = rng.standard_normal((300, 3))
    n /= np.linalg.norm(n, axis=1)[:, None]
    d, v = rng.uniform(5.0, 80.0, 300), 120.0 * rng.standard_normal(300)
    e_d, e_v = rng.uniform(0.05, 0.2, 300), rng.uniform(1.0, 10.0, 300)
    pairs = four_distance_pairs(n, d, v, 0.1, (e_d, e_v) if weighted else None)
    angle = np.arccos(np.clip(n @ n.T, -1.0, 1.0))
    w_d = w_v = 1.0
    if weighted:
        w_d = (e_d[:, None] ** 2 + e_d**2) / (2.0 * e_d.mean() ** 2)
        w_v = (e_v[:, None] ** 2 + e_v**2) / (2.0 * e_v.mean() ** 2)
    square = (angle / np.pi) ** 2 + w_d * ((d[:, None] - d) / 100.0) ** 2
    square += w_v * ((v[:, None] - v) / 500.0) ** 2
    want = np.argwhere(np.triu(square <= 0.01, 1))
    assert {tuple(p) for p in pairs.tolist()} == {tuple(p) for p in want.tolist()}
    assert len(want) > 5


def test_sagittarius_coordinates_are_those_of_gala():
    # gala's documentation: ICRS (100.68458, 41.26917) deg
    galactic = sky_basis(np.array([100.68458]), np.array([41.26917]))[:, 0] @ ICRS_TO_GALACTIC.T
    longitude, latitude = sagittarius_coordinates(galactic)
    assert abs(longitude[0] - 179.58511053544734) < 1e-6
    assert abs(latitude[0] + 12.558450192162654) < 1e-6


def test_sagittarius_coordinates_against_the_segue_k_giants(shared_data):
    columns = np.loadtxt(shared_data / "segue-kgiants" / "KGiant_edr3_metal_sgr_20.txt").T
    galactic = sky_basis(columns[6], columns[7])[:, 0]
    # l and b have two digits; the latitude agrees as it stands, the longitude but for 0.2 deg ...
    longitude, latitude = sagittarius_coordinates(galactic)
    assert np.abs(latitude - columns[20]).max() < 0.06
    offset = (longitude - columns[19] + 180.0) % 360.0 - 180.0
    assert abs(np.median(offset) - 0.2) < 0.01
    # ... because the file was made in axes tilted by a Sun 30 pc above the plane at 8.3 kpc
    tilt = np.arcsin(0.03 / 8.3)
    c, s = np.cos(tilt), np.sin(tilt)
    tilted = galactic @ np.array([[c, 0.0, -s], [0.0, 1.0, 0.0], [s, 0.0, c]]).T
    longitude, latitude = sagittarius_coordinates(tilted)
    across = ((longitude - columns[19] + 180.0) % 360.0 - 180.0) * np.cos(np.radians(latitude))
    assert np.abs(across).max() < 0.02
    assert np.abs(latitude - columns[20]).max() < 0.02


def test_the_sagittarius_band_takes_a_quarter_of_the_sky_and_the_momentum_cut_the_stream():
    rng = seeded(7)
    sun = Sun(-8.3, 0.029)
    n = rng.standard_normal((20000, 3))
    x = 40.0 * n / np.linalg.norm(n, axis=1)[:, None] + sun.position
    catalogue = Catalogue(
        dict(zip(NAMES, np.hstack([x, np.zeros_like(x)]).T, strict=True)), sun, "sky"
    )
    cleaned = make_clean([{"kind": "sagittarius-band"}]).apply(catalogue)
    share = 1.0 - len(cleaned) / 20000
    assert abs(share - np.sin(np.radians(15.0))) < 4.0 * np.sqrt(0.26 * 0.74 / 20000)
    # the dwarf itself: 26.5 kpc at (l, b) = (5.6, -14.2) deg, moving to the north pole at 250 km/s
    dwarf = catalogue_of(
        np.array([[17.3, 2.5, -6.5]] * 2), np.array([[230.0, -10, 210], [0, 0, 9]])
    )
    assert len(make_clean([{"kind": "sagittarius-momentum"}]).apply(dwarf)) == 1
    assert sagittarius_coordinates(seen_from_sun(dwarf)[0])[1][0] == pytest.approx(0.0, abs=5.0)


def test_energies_are_those_of_the_mocks_potential_and_of_galpy():
    from galpy.potential import MiyamotoNagaiPotential

    rng = seeded(8)
    x = rng.standard_normal((50, 3)) * np.array([20.0, 20.0, 10.0])
    r = np.linalg.norm(x, axis=1)
    spec = [{"kind": "nfw", "m200": 0.7e12, "c": 11.45}, {"kind": "mwpotential2014-baryons"}]
    mock = make_potential([{**spec[0], "h0": 70.0}, spec[1]])
    np.testing.assert_allclose(SPHERICAL(x), mock.potential(r), rtol=1e-6)
    # the flattened disc instead of its monopole
    from haloassay.base.constants import G

    disc = MiyamotoNagaiPotential(amp=G * 6.8e10, a=3.0, b=0.28)
    flat = AssumedPotential()(x) - SPHERICAL(x)
    ours = np.array([disc(np.hypot(a, b), c) for a, b, c in x])
    monopole = make_potential([spec[1]]).potential(r)
    from haloassay.cleaning.integrals import bulge_potential
    from haloassay.contracts.profiles import MWPOTENTIAL2014_BULGE

    want = ours + bulge_potential(r, *MWPOTENTIAL2014_BULGE) - monopole
    np.testing.assert_allclose(flat, want, rtol=1e-4, atol=0.5)


def test_the_default_halo_is_that_of_mwpotential2014():
    from galpy.potential import MWPotential2014, evaluatePotentials

    x = np.geomspace(5.0, 150.0, 20)[:, None] * [0.6, 0.0, 0.8]
    theirs = [
        evaluatePotentials(MWPotential2014, 0.6 * r / 8.0, 0.8 * r / 8.0) for r in x[:, 0] / 0.6
    ]
    # their numbers are rounded, and v_c = 220 km/s at 8 kpc holds exactly in theirs alone
    np.testing.assert_allclose(
        np.diff(AssumedPotential()(x)), 220.0**2 * np.diff(theirs), rtol=0.01
    )


def test_errors_of_the_integrals_are_those_of_a_monte_carlo():
    rng = seeded(9)
    sky = galactocentric_to_heliocentric(
        np.array([[20.0, 5.0, 15.0]]), np.array([[80.0, -60.0, 40.0]]), Sun()
    )
    errors = {"distance_err": 0.3, "pmra_err": 0.05, "pmdec_err": 0.05, "vlos_err": 5.0}
    one = Catalogue.from_arrays(**sky, **{name: [e] for name, e in errors.items()}, pm_corr=[0.6])
    z = rng.standard_normal((20000, 4))
    z[:, 2] = 0.6 * z[:, 1] + 0.8 * z[:, 2]
    moved = {name: np.repeat(value, 20000) for name, value in sky.items()}
    for k, name in enumerate(("distance", "pmra", "pmdec", "vlos")):
        moved[name] = moved[name] + errors[f"{name}_err"] * z[:, k]
    drawn = integrals_of_motion(Catalogue.from_arrays(**moved), SPHERICAL).std(axis=0)
    np.testing.assert_allclose(integral_errors(one, SPHERICAL)[0], drawn, rtol=0.03)


def test_height_energy_and_balls_keep_what_they_say():
    x = np.array([[10.0, 0.0, 6.0], [10.0, 0.0, 3.0], [10.0, 0.0, -3.0], [0.0, 30.0, -7.0]])
    v = np.array([[0.0, 0, 0], [0, 0, 0], [0, 0, 0], [0, 900.0, 0]])
    catalogue = catalogue_of(x, v, feh=[-0.5, -1.5, -0.5, -2.0])
    rows = lambda *spec: make_clean(spec).apply(catalogue)["x"].size  # noqa: E731
    assert rows({"kind": "height-cut"}) == 2
    assert rows({"kind": "height-cut", "feh_max": -1.0}) == 3
    cleaning = make_clean([{"kind": "energy-cut"}, {"kind": "height-cut"}])
    assert cleaning.apply(catalogue).dropped == {
        "energy-cut: E >= 0 (km/s)^2": 1,
        "height-cut: |Z| < 5 kpc": 2,
    }
    energy = energy_and_momentum(x, v, AssumedPotential())[:, 0]
    ball = {"centre": [float(energy[0]), 0, 0, 0], "sigma": [1e3, 10, 10, 10]}
    assert rows({"kind": "gaussian-balls", "space": "integrals", "balls": [ball]}) == 3
    near = {"centre": [10.0, 0.0, 6.0], "sigma": [1.0, 1.0, 1.01]}
    assert rows({"kind": "gaussian-balls", "balls": [near], "n_sigma": 3.0}) == 2


@pytest.mark.parametrize("kind", kinds.names("cleans"))
def test_every_step_counts_what_goes_and_leaves_its_input_alone(kind, halo):
    x, v = (part[:1500] for part in halo)
    catalogue = catalogue_of(x, v)
    cleaned = make_clean([{"kind": kind, **SPECS[kind]}]).apply(catalogue)
    assert len(catalogue) == 1500
    assert catalogue.dropped == {}
    assert sum(cleaned.dropped.values()) == 1500 - len(cleaned) > 0
    assert all(reason.startswith(kind) for reason in cleaned.dropped)
    assert set(cleaned["x"]) <= set(x[:, 0])


@pytest.mark.parametrize("kind", kinds.names("cleans"))
def test_no_star_left_is_one_line(kind):
    x = np.array([[8.0, 0.0, 0.0]] * 11)
    nothing = {
        "energy-cut": {"e_max": -1e9},
        "sagittarius-band": {"width": 89.9},
        "sagittarius-momentum": {"offset": 1e9},
        "gaussian-balls": SPECS["gaussian-balls"],
        "cross-match": {"objects": [{"ra": 266.4, "dec": -28.9, "radius": 90.0}]},
        "friends-of-friends": {"unit": "median-separation"},
        "select": {"r": [1e3, 1e4]},
    }
    step = make_clean([{"kind": kind, **nothing.get(kind, {})}])
    for n in (11, 0):
        with pytest.raises(EstimationError, match="no star is left by the step") as caught:
            step.apply(catalogue_of(x[:n], np.zeros((n, 3))))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("energy-cut", "clean: expected a list of tables"),
        ({"kind": "energy-cut"}, "clean: expected a list of tables"),
        ([{"kind": "enrgy-cut"}], "did you mean 'energy-cut'"),
        ([{}], "clean.0: key 'kind' is missing"),
        ([{"kind": "height-cut"}, {"kind": "height-cut", "z": 3}], "clean.1: unknown setting 'z'"),
        ([{"kind": "height-cut", "z_min": -1.0}], "z_min is not negative"),
        ([{"kind": "sagittarius-band", "width": 0.0}], "width is between 0 and 90"),
        ([{"kind": "energy-cut", "potential": {"c": -1.0}}], "c is positive"),
        ([{"kind": "gaussian-balls", "balls": []}], "give at least one"),
        (
            [{"kind": "gaussian-balls", "balls": [{"centre": [1, 2], "sigma": [1, 1]}]}],
            "the coordinates x, y, z (got 2)",
        ),
        (
            [{"kind": "gaussian-balls", "balls": [{"centre": [1, 2], "sigma": [1, 0]}]}],
            "positive sigma",
        ),
        ([{"kind": "friends-of-friends", "linking_length": 0}], "linking_length is positive"),
        ([{"kind": "four-distance", "largest_kept": 0}], "largest_kept: at least 1"),
    ],
)
def test_bad_settings_are_named_in_one_line(spec, message):
    with pytest.raises(InputError) as caught:
        make_clean(spec)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_a_step_needs_is_asked_for():
    catalogue = catalogue_of(np.full((20, 3), 9.0), np.zeros((20, 3)))
    with pytest.raises(InputError, match="'feh' is missing"):
        make_clean([{"kind": "height-cut", "feh_max": -1.0}]).apply(catalogue)
    with pytest.raises(EstimationError, match="needs errors"):
        make_clean([{"kind": "friends-of-friends", "unit": "errors"}]).apply(catalogue)
    bad = catalogue_of(np.full((20, 3), np.nan), np.zeros((20, 3)))
    with pytest.raises(InputError, match="20 of 20 stars have a position or velocity"):
        make_clean([{"kind": "energy-cut"}]).apply(bad)


def test_a_hopeless_linking_length_is_refused_before_memory_runs_out():
    rng = seeded(10)
    x, v = rng.standard_normal((8000, 3)), rng.standard_normal((8000, 3))
    step = make_clean(
        [{"kind": "friends-of-friends", "unit": "median-separation", "linking_length": 1e4}]
    )
    with pytest.raises(EstimationError, match="make it smaller"):
        step.apply(catalogue_of(x, v))


def test_the_energy_cut_is_the_escape_speed():
    x = np.array([[10.0, -20.0, 15.0]] * 2)
    escape = np.sqrt(-2.0 * AssumedPotential()(x[:1])[0])
    v = escape * np.array([[0.999], [1.001]]) * np.array([0.6, 0.0, -0.8])
    kept = make_clean([{"kind": "energy-cut"}]).apply(catalogue_of(x, v))
    np.testing.assert_array_equal(kept["vx"], v[:1, 0])
