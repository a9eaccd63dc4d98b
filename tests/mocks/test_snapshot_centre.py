"""Centres that are none: tables with a hole, particles without mass; halos that are no such thing pass."""

from __future__ import annotations

import numpy as np
import pytest
from seeds import seeded
from simulated_halo import Body, hernquist_stars, nfw_body, spec_of, write_gadget

from haloassay.base.errors import InputError
from haloassay.mocks import make_mock
from haloassay.mocks.snapshots.centre import first_guess, require_peak, shrinking_spheres

pytestmark = pytest.mark.usefixtures("own_cache")


def halo(n, hole=0.0, seed=3):
    """Dark particles of one NFW halo and stars, without those within the hole."""
    rng = seeded(seed)
    bodies = {1: nfw_body(n, rng, truncation=1.0), 4: hernquist_stars(n // 4, rng)}
    return {
        k: Body(
            body.position[far := np.linalg.norm(body.position, axis=1) >= hole],
            body.velocity[far],
            body.masses[far],
        )
        for k, body in bodies.items()
    }


def found(position, mass):
    """The centre that spheres shrink to, and what is said against it."""
    centre = shrinking_spheres(position, mass, first_guess(position, mass, 0.0), np.inf)
    try:
        require_peak(position, mass, centre)
    except InputError as error:
        return centre, str(error)
    return centre, ""


@pytest.mark.parametrize(
    "hole", [4.0, *(pytest.param(x, marks=pytest.mark.slow) for x in (10.0, 20.0)), 30.0]
)
def test_a_table_with_a_hole_has_no_centre(tmp_path, hole):
    """It was centred on the rim, 5 to 36 kpc away; with the centre stated, it is used as it is."""
    path = write_gadget(tmp_path / "hole.hdf5", halo(8000, hole))
    with pytest.raises(InputError, match=r"hole\.hdf5: centre: found at .*state centre\.position"):
        make_mock(spec_of(path, centre={"velocity": [0.0, 0.0, 0.0]})).prepare()
    mass = make_mock(spec_of(path)).truth.potential.enclosed_mass([0.99 * hole, 100.0])
    assert mass[0] == 0.0
    assert mass[1] > 0.0


@pytest.mark.parametrize("n", [300, 2000, 8000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_a_halo_without_a_hole_has_one(n):
    for seed in range(2):
        bodies = halo(n, seed=seed)
        position = np.concatenate([body.position for body in bodies.values()])
        mass = np.concatenate([body.masses for body in bodies.values()])
        centre, told = found(position, mass)
        assert not told
        # each axis scatters by 2.8 kpc at 300 particles (60 seeds), and as 1 / sqrt(n)
        assert np.linalg.norm(centre) < 15.0 * np.sqrt(300.0 / n)


@pytest.mark.parametrize(("distance", "share"), [(50.0, 0.2), (60.0, 1.0)])
def test_a_halo_with_a_companion_has_a_centre(distance, share):
    """A satellite as heavy as the LMC, and a halo of equal mass, some radii of its last sphere away."""
    rng = seeded(5)
    n = 10_000
    other = nfw_body(int(share * n), rng, m200=share * 1e12, truncation=0.3).position
    position = np.concatenate(
        [nfw_body(n, rng, truncation=1.0).position, other + np.array([distance, 0.0, 0.0])]
    )
    centre, told = found(position, np.ones(len(position)))
    assert not told
    off = min(np.linalg.norm(centre), np.linalg.norm(centre - [distance, 0.0, 0.0]))
    assert off < 15.0 * np.sqrt(300.0 / n)  # as of one halo


def test_a_core_has_a_centre_and_a_shell_has_none():
    rng = seeded(7)
    unit = rng.standard_normal((40_000, 3))
    unit /= np.linalg.norm(unit, axis=1)[:, None]
    even = unit * 50.0 * np.cbrt(rng.random(40_000))[:, None]
    require_peak(even, np.ones(40_000), np.zeros(3))
    with pytest.raises(InputError, match=r"0 of the 400 particles within .* are in the inner half"):
        require_peak(unit * rng.uniform(30.0, 60.0, 40_000)[:, None], np.ones(40_000), np.zeros(3))


def test_particles_of_no_mass_do_not_fill_a_hole():
    bodies = halo(10_000, 10.0)
    position = np.concatenate([bodies[1].position, halo(10_000)[1].position * 0.05])
    mass = np.repeat([1.0, 0.0], [len(bodies[1]), len(position) - len(bodies[1])])
    _, told = found(position, mass)
    assert "lies to one side" in told


@pytest.mark.parametrize("mass", [None, 0.0])
def test_where_no_particle_has_a_mass_the_centre_is_to_be_stated(tmp_path, mass):
    """Stars in a stated potential: they were centred as if they all weighed the same."""
    stars = hernquist_stars(2000, seeded(1))
    table = np.column_stack([stars.position, stars.velocity])
    np.savetxt(tmp_path / "stars.csv", table, delimiter=",", header="x,y,z,vx,vy,vz", comments="")
    entry = {"position": ["x", "y", "z"], "velocity": ["vx", "vy", "vz"]}
    if mass is not None:
        entry["mass"] = mass
    spec = spec_of(
        tmp_path / "stars.csv",
        units={"length": "kpc", "velocity": "km/s", "mass": "Msun"},
        tables=[entry],
        potential={"kind": "nfw", "m200": 1e12, "c": 10.0},
    )
    make_mock(spec).prepare()
    with pytest.raises(InputError, match=r"none of the 2000 .*has a mass.*state centre\.position"):
        make_mock({**spec, "centre": {}}).prepare()
