"""Centre, velocity and axes of a simulated halo, and where the Sun sees it from."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from seeds import seeded
from simulated_halo import Body, directions, hernquist_stars, nfw_body, spec_of, write_gadget

from haloassay.base.errors import InputError
from haloassay.contracts.frames import Sun, galactocentric_to_heliocentric, spherical_velocity
from haloassay.mocks import make_mock
from haloassay.mocks.snapshots import frame
from haloassay.mocks.snapshots.centre import (
    disc_axes,
    first_guess,
    mean_velocity,
    principal_shape,
    shrinking_spheres,
    wrapped,
)

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(scope="module")
def disc():
    """Stars of a thin disc in the plane z = 0 that turns counter-clockwise."""
    rng = seeded(4)
    n = 4000
    radius, angle = 3.0 * rng.gamma(2.0, 1.0, n), rng.uniform(0.0, 2.0 * np.pi, n)
    cosine, sine = np.cos(angle), np.sin(angle)
    position = np.stack([radius * cosine, radius * sine, 0.2 * rng.standard_normal(n)], axis=1)
    velocity = 200.0 * np.stack([-sine, cosine, np.zeros(n)], axis=1)
    return Body(position, velocity + 20.0 * rng.standard_normal((n, 3)), np.full(n, 1e5))


def test_spheres_shrink_onto_the_main_halo():
    """A satellite of 20 per cent draws the centre of mass away by 12 kpc, and the centre by no more than the noise."""
    rng = seeded(2)
    main = nfw_body(20_000, rng, truncation=1.0)
    satellite = nfw_body(4000, rng, m200=2e11, truncation=1.0).moved([60.0, 40.0, 0.0])
    there = np.array([900.0, 0.0, -70.0])
    position = np.concatenate([main.position, satellite.position]) + there
    mass = np.ones(len(position))
    guess = first_guess(position, mass, 0.0)
    assert np.linalg.norm(guess - there) > 10.0
    centre = shrinking_spheres(position, mass, guess, np.inf)
    # 240 particles are left, the innermost of the main halo: their mean is known to their spread
    inner = np.sort(np.linalg.norm(main.position, axis=1))[240]
    assert np.linalg.norm(centre - there) < 4.0 * inner / np.sqrt(240)


def test_a_guess_leads_to_the_smaller_halo():
    rng = seeded(3)
    main = nfw_body(8000, rng)
    other = nfw_body(2000, rng, m200=2.5e11, truncation=1.0).moved([700.0, 0.0, 0.0])
    position = np.concatenate([main.position, other.position])
    mass = np.ones(len(position))
    found = shrinking_spheres(position, mass, np.array([650.0, 20.0, 0.0]), 150.0)
    assert np.linalg.norm(found - [700.0, 0.0, 0.0]) < 3.0
    with pytest.raises(InputError, match="centre: 0 particles within 5 kpc of the guess"):
        shrinking_spheres(position, mass, np.array([5000.0, 0.0, 0.0]), 5.0)


@pytest.mark.parametrize("place", [0.0, 1.0 / 3.0, 1e-200])
def test_spheres_do_not_shrink_for_ever_about_particles_at_one_place(place):
    """Half of the positions were never filled in; without the refusal this does not end."""
    position = nfw_body(2000, seeded(3)).position + 400.0
    position[:1000] = place
    mass = np.ones(len(position))
    with pytest.raises(InputError, match="centre: 1000 particles are at one place"):
        shrinking_spheres(position, mass, position.mean(axis=0), np.inf)


def test_opposite_faces_of_a_box_are_one_place():
    """Folded about a guess, positions at 0 and at the side differ by rounding only."""
    position = nfw_body(2000, seeded(3)).position
    position[:1000] = 0.0
    position[:500, 0] = 700.3
    with pytest.raises(InputError, match="centre: 1000 particles are at one place"):
        shrinking_spheres(position, np.ones(2000), np.full(3, 123.456), np.inf, 700.3)


def test_few_particles_at_one_place_do_not_matter():
    halo = nfw_body(2000, seeded(3)).position
    position = np.concatenate([halo, np.full((8, 3), 1e-3)])
    centre = shrinking_spheres(position, np.ones(len(position)), np.zeros(3), np.inf)
    assert np.linalg.norm(centre) < 10.0


def test_particles_without_mass_say_nothing_of_the_centre_and_the_axes():
    stars = hernquist_stars(1000, seeded(3))
    nothing = np.zeros(len(stars))
    with pytest.raises(InputError, match=r"centre: 0 particles within inf kpc .* have a mass"):
        shrinking_spheres(stars.position, nothing, np.zeros(3), np.inf)
    for axes in (
        lambda: disc_axes(stars.position, stars.velocity, nothing, 50.0),
        lambda: principal_shape(stars.position, nothing, 50.0),
    ):
        with pytest.raises(InputError, match="0 particles within 50 kpc have a mass, too few"):
            axes()


def test_one_side_is_that_of_all_three():
    rng = seeded(3)
    position, mass = rng.uniform(-900.0, 900.0, (50, 3)), rng.uniform(0.5, 1.0, 50)
    for box, sides in [(700.0, [700.0, 700.0, 700.0]), (0.0, [0.0, 0.0, 0.0])]:
        assert np.array_equal(wrapped(position, box), wrapped(position, np.array(sides)))
        assert np.array_equal(
            first_guess(position, mass, box), first_guess(position, mass, np.array(sides))
        )
    folded = wrapped(position, [700.0, 0.0, 500.0])
    assert np.all(np.abs(folded) <= [350.0, 900.0, 250.0])
    assert np.array_equal(folded[:, 1], position[:, 1])


@settings(max_examples=3, deadline=None)
@given(shift=st.tuples(*3 * [st.floats(-1e3, 1e3)]), angle=st.floats(0.0, 6.0))
def test_centre_and_shape_move_and_turn_with_the_halo(shift, angle):
    rng = seeded(9)
    position = nfw_body(3000, rng).position * [1.0, 0.8, 0.5]
    mass = rng.uniform(0.5, 1.5, 3000)
    turn = Rotation.from_euler("xyz", [angle, 0.5, 0.3]).as_matrix()
    moved = position @ turn.T + shift
    centre = shrinking_spheres(position, mass, position.mean(axis=0), np.inf)
    there = shrinking_spheres(moved, mass, moved.mean(axis=0), np.inf)
    assert there == pytest.approx(turn @ centre + shift, abs=1e-6)
    still, turned = (principal_shape(x, mass, 80.0) for x in (position, position @ turn.T))
    assert turned[:2] == pytest.approx(still[:2], abs=1e-9)
    assert np.abs(np.sum(turned.axes * (still.axes @ turn.T), axis=1)) == pytest.approx(1.0)


def test_velocity_of_the_centre_is_weighted_by_mass():
    position = np.zeros((20, 3))
    velocity = np.repeat([[10.0, 0.0, 0.0], [0.0, 30.0, 0.0]], 10, axis=0)
    mass = np.repeat([1.0, 3.0], 10)
    assert mean_velocity(position, velocity, mass, 1.0) == pytest.approx([2.5, 22.5, 0.0])
    with pytest.raises(InputError, match="velocity_radius: 0 particles within 1 kpc"):
        mean_velocity(position + 5.0, velocity, mass, 1.0)


@pytest.mark.parametrize("turned", [(0.0, 0.0, 0.0), (0.4, 1.1, -2.0), (np.pi, 0.2, 0.0)])
def test_a_disc_turns_as_the_milky_way_does(disc, turned):
    """In the plane, and with v_phi < 0, however it lay in the file: an axis of the wrong sign fails here."""
    turn = Rotation.from_euler("xyz", turned).as_matrix()
    position, velocity = disc.position @ turn.T, disc.velocity @ turn.T
    axes = disc_axes(position, velocity, disc.mass, 15.0)
    assert axes @ axes.T == pytest.approx(np.eye(3), abs=1e-12)
    assert np.linalg.det(axes) == pytest.approx(1.0)
    position, velocity = position @ axes.T, velocity @ axes.T
    assert np.std(position[:, 2]) < 0.3
    v_phi = spherical_velocity(position, velocity)[:, 2]
    assert abs(v_phi.mean() + 200.0) < 4.0 * 20.0 / np.sqrt(len(disc))


def test_inertia_tensor_finds_axis_ratios_and_axes():
    """Ellipsoidal shells of b/a = 0.8, c/a = 0.6: within 4 sigma of the noise, sigma about 1 / sqrt(N) of a ratio."""
    rng = seeded(7)
    n = 40_000
    shells = directions(n, rng) * rng.uniform(1.0, 60.0, n)[:, None] * [1.0, 0.8, 0.6]
    turn = Rotation.from_euler("zyx", [0.3, -1.0, 2.0]).as_matrix()
    shape = principal_shape(shells @ turn.T, np.ones(n), 30.0)
    inside = n * 30.0 / 60.0
    assert shape[:2] == pytest.approx((0.8, 0.6), abs=4.0 / np.sqrt(inside))
    # axes a and b turn about each other by a b / (a^2 - b^2) of that, each with two others
    angle = 4.0 / np.sqrt(inside) * np.hypot(0.48 / 0.28, 0.8 / 0.36)
    assert np.abs(np.sum(shape.axes * turn.T, axis=1)) == pytest.approx(1.0, abs=angle**2 / 2.0)
    assert np.linalg.det(shape.axes) == pytest.approx(1.0)


def test_orientation_is_applied_to_positions_and_velocities(disc, tmp_path):
    rng = seeded(5)
    turn = Rotation.from_euler("xyz", [0.7, 0.9, 0.2]).as_matrix()
    bodies = {
        1: nfw_body(3000, rng),
        4: Body(disc.position @ turn.T, disc.velocity @ turn.T, disc.mass),
    }
    path = write_gadget(tmp_path / "snap.hdf5", bodies)
    spec = spec_of(path, orientation={"by": "angular-momentum"})
    del spec["viewpoint"]
    mock = make_mock(spec)
    assert mock.seen_from == "random-azimuth"
    stars = mock.sample(2000, seeded(1))
    assert np.std(stars.position[:, 2]) < 0.3
    v_phi = spherical_velocity(stars.position, stars.velocity)[:, 2]
    assert abs(v_phi.mean() + 200.0) < 2.0
    truth = mock.truth.value("mean_v_phi", 0.0, 1.0, 30.0, stars=stars)
    assert abs(truth + 200.0) < 2.0
    inertia = make_mock(spec_of(path, orientation={"by": "inertia", "kinds": ["stars"]}))
    assert np.std(inertia.stars.position[:, 2]) < 0.3


# ---------------------------------------------------------------------------------------------- viewpoints


@pytest.fixture
def halo(tmp_path):
    """A file of 3000 stars."""
    rng = seeded(11)
    bodies = {1: nfw_body(5000, rng), 4: hernquist_stars(3000, rng)}
    return write_gadget(tmp_path / "snap.hdf5", bodies)


def everything(mock, seed):
    draw = mock.sampler(seeded(seed))
    stars = draw(len(mock.stars))
    order = np.argsort(stars.r)
    return stars.position[order], stars.velocity[order]


@pytest.mark.parametrize("viewpoint", ["random", "random-azimuth", "fixed"])
def test_viewpoints_turn_the_halo_rigidly(halo, viewpoint):
    mock = make_mock(spec_of(halo, viewpoint=viewpoint))
    order = np.argsort(mock.stars.r)
    own = mock.stars.position[order], mock.stars.velocity[order]
    seen, again, other = (everything(mock, seed) for seed in (1, 1, 2))
    assert np.array_equal(seen[0], again[0])
    assert np.array_equal(seen[0], other[0]) == (viewpoint == "fixed")
    # the rotation that the positions show is that of the velocities
    turn, _ = Rotation.align_vectors(seen[0], own[0])
    assert turn.apply(own[0]) == pytest.approx(seen[0], abs=1e-9)
    assert turn.apply(own[1]) == pytest.approx(seen[1], abs=1e-9)
    if viewpoint != "random":
        assert seen[0][:, 2] == pytest.approx(own[0][:, 2])
    if viewpoint == "fixed":
        assert turn.magnitude() == pytest.approx(0.0, abs=1e-9)


def test_random_viewpoints_come_from_all_directions(halo):
    """The direction of one star: mean and mean square of n random directions, 4 sigma."""
    mock = make_mock(spec_of(halo, viewpoint="random"))
    star = mock.stars.position[np.argmax(mock.stars.r)]
    n = 200
    seen = np.array([everything(mock, seed)[0][-1] / np.linalg.norm(star) for seed in range(n)])
    assert np.all(np.abs(seen.mean(axis=0)) < 4.0 / np.sqrt(3.0 * n))
    assert np.all(np.abs((seen**2).mean(axis=0) - 1.0 / 3.0) < 4.0 * np.sqrt(4.0 / 45.0 / n))


def test_the_sun_stands_at_its_place(halo):
    """The catalogue of a survey is the turned halo seen from the Sun of the survey."""
    from haloassay.mocks.surveys.survey import make_survey

    mock = make_mock(spec_of(halo, viewpoint="random"))
    survey = make_survey({"n_stars": 500})
    rngs = (seeded(1), seeded(2))
    seen = survey.observe(mock, *rngs)
    expected = galactocentric_to_heliocentric(seen.stars.position, seen.stars.velocity, Sun())
    assert seen.catalogue["distance"] == pytest.approx(expected["distance"])
    assert seen.catalogue["vlos"] == pytest.approx(expected["vlos"])
    assert "feh" not in seen.catalogue.columns


def test_random_viewpoints_average_the_truth(disc, tmp_path):
    """Seen from everywhere, a rotating disc has no mean v_phi, and its rotation is in both tangential dispersions."""
    rng = seeded(5)
    path = write_gadget(tmp_path / "snap.hdf5", {1: nfw_body(3000, rng), 4: disc})
    truth = make_mock(spec_of(path, viewpoint="random")).truth
    assert truth.value("mean_v_phi", 0.0, 2.0, 15.0) == 0.0
    expected = np.sqrt(0.5 * (200.0**2 + 2.0 * 20.0**2))
    for name in ("sigma_theta", "sigma_phi"):
        assert truth.value(name, 0.0, 2.0, 15.0) == pytest.approx(expected, rel=0.02)


# ---------------------------------------------------------------------------------------------- draws


def test_no_particle_is_drawn_twice_and_all_are_drawn(halo):
    """A population drawn twice fails here."""
    mock = make_mock(spec_of(halo))
    n = len(mock.stars)
    draw = mock.sampler(seeded(3))
    parts = [draw(1000), draw(1000), draw(5000)]
    assert [len(part) for part in parts] == [1000, 1000, n - 2000]
    rows = np.concatenate([part.position for part in parts])
    assert len(np.unique(rows, axis=0)) == n
    with pytest.raises(InputError, match=f"all {n} tracers of .* are drawn"):
        draw(1)
    with pytest.raises(InputError, match=f"{n + 1} stars asked for, .* has {n} tracers"):
        mock.sample(n + 1, seeded(3))


def test_a_particle_drawn_twice_by_doubled_kinds_is_caught(halo, monkeypatch):
    """Without the refusal, the population is twice itself, and a survey of all sees every star two times."""
    spec = spec_of(halo, tracers={"kinds": ["stars", "stars"]})
    with pytest.raises(InputError, match=r"tracers: each kind is named once \(more often: stars\)"):
        make_mock(spec)
    monkeypatch.setattr(frame, "require_once", lambda *_: None)
    doubled = make_mock(spec).stars
    once = make_mock(spec_of(halo)).stars
    assert len(doubled) == 2 * len(np.unique(doubled.position, axis=0)) == 2 * len(once)


def test_a_survey_takes_the_whole_snapshot(halo):
    from haloassay.mocks.surveys.survey import make_survey

    mock = make_mock(spec_of(halo))
    n = len(mock.stars)
    rngs = [seeded(seed) for seed in (1, 2)]
    seen = make_survey({"n_stars": n}).observe(mock, *rngs)
    assert len(np.unique(seen.stars.position, axis=0)) == n
    with pytest.raises(InputError, match="lower n_stars"):
        make_survey({"n_stars": n + 1}).observe(mock, *rngs)


def test_all_particles_that_pass_the_cuts_are_observed_once(halo):
    """Without knowing how many: more than one batch, and the same ones as a number of them gives."""
    from haloassay.mocks.surveys.survey import make_survey

    mock = make_mock(spec_of(halo))
    n = len(mock.stars)

    def seen(**spec):
        return make_survey(spec).observe(mock, *(seeded(k) for k in (1, 2)))

    everyone = seen(n_stars="all")
    assert len(everyone.catalogue) == everyone.n_drawn == n
    assert len(np.unique(everyone.stars.position, axis=0)) == n
    numbered = seen(n_stars=n)
    assert np.array_equal(numbered.catalogue["vlos"], everyone.catalogue["vlos"])
    assert np.array_equal(numbered.stars.velocity, everyone.stars.velocity)
    far = seen(n_stars="all", r_min=30.0)
    assert np.array_equal(np.sort(far.stars.r), np.sort(mock.stars.r[mock.stars.r > 30.0]))
    with pytest.raises(InputError, match=rf"only 0 of {n} true stars pass .* r_min/r_max"):
        seen(n_stars="all", r_min=1e4)
