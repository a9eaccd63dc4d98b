"""Maps of moments over the sky: what was planted in a part of it is found there."""

from __future__ import annotations

import numpy as np
import pytest
from seeds import seeded

from haloassay.base.errors import InputError
from haloassay.contracts.frames import spherical_basis, spherical_velocity
from haloassay.mocks.moment_map import MomentMap, octants, pixels
from haloassay.mocks.stars import Stars

EDGES = np.array([10.0, 20.0, 60.0])
N = 60_000


@pytest.fixture(scope="module")
def stars() -> Stars:
    """sigma_r 150 km/s north of the plane and 100 south of it, v_phi = -20; 50 km/s more radially far out."""
    rng = seeded(8)
    direction = rng.normal(size=(N, 3))
    direction /= np.linalg.norm(direction, axis=1)[:, None]
    r = rng.uniform(10.0, 60.0, N)
    position = r[:, None] * direction
    sigma = np.where(position[:, 2] > 0.0, 150.0, 100.0) + np.where(r > 20.0, 50.0, 0.0)
    velocity = rng.normal(size=(N, 3)) * 80.0
    velocity[:, 0] = sigma * rng.normal(size=N)
    velocity[:, 2] -= 20.0
    return Stars.of(position, np.einsum("nk,nki->ni", velocity, spherical_basis(position)))


def test_parts_of_the_sky_have_their_own_moments(stars: Stars) -> None:
    found = MomentMap.of(stars, EDGES)
    assert found.nside == 2
    assert found.pixels.number.sum() == N
    for height, sigma in ((15.0, 150.0), (-15.0, 100.0), (40.0, 200.0), (-40.0, 150.0)):
        place = np.array([[1.0, 0.5, height]])
        first, second = found.raw(place)
        shell = 0 if abs(height) < 20.0 else 1
        n = found.pixels.number[shell, pixels(place, found.nside)[0]]
        assert np.sqrt(second[0, 0] - first[0, 0] ** 2) == pytest.approx(
            sigma, rel=4 / np.sqrt(2 * n)
        )
        assert first[0, 2] == pytest.approx(-20.0, abs=4 * 80.0 / np.sqrt(n))


def test_a_small_population_has_a_coarse_map_and_empty_cells_take_the_shell(stars: Stars) -> None:
    few = MomentMap.of(stars.select(np.arange(40)), EDGES)
    assert few.nside == 1
    cells = few.pixels
    some = (cells.number >= 2).any(axis=1, keepdims=True)
    empty, pixel = np.argwhere((cells.number < 2) & some)[0]
    assert np.isfinite(cells.first[empty, pixel]).all()
    told = few.to_dict()["pixels"]
    assert told["sigma_r"][empty][pixel] is None
    assert told["n_stars"][empty][pixel] < 2


def test_more_stars_are_as_if_they_had_been_there_from_the_start(stars: Stars) -> None:
    """Each counted three times, like a sample that holds three of it."""
    some, more = stars.select(slice(50_000)), stars.select(slice(50_000, 60_000))
    together = MomentMap.of(Stars.concatenate([some, more, more, more]), EDGES)
    mixed = MomentMap.of(some, EDGES).with_more(more, 3.0)
    assert mixed.nside == together.nside
    for name in ("pixels", "octants"):
        for field in ("number", "first", "second"):
            ours, theirs = (getattr(getattr(m, name), field) for m in (mixed, together))
            np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)


def test_turning_the_sky_turns_the_map(stars: Stars) -> None:
    mirrored = Stars.of(stars.position * [1, 1, -1], stars.velocity * [1, 1, -1])
    up, down = MomentMap.of(stars, EDGES), MomentMap.of(mirrored, EDGES)
    places = np.array([[3.0, -5.0, 12.0], [20.0, 10.0, 25.0]])
    np.testing.assert_allclose(up.raw(places)[1], down.raw(places * [1, 1, -1])[1], rtol=1e-9)


def test_octants_count_the_signs() -> None:
    corners = np.array([[x, y, z] for z in (-1, 1) for y in (-1, 1) for x in (-1, 1)])
    np.testing.assert_array_equal(octants(corners), np.arange(8))


def test_octants_have_the_moments_of_their_stars(stars: Stars) -> None:
    told = MomentMap.of(stars, EDGES).to_dict()["octants"]
    v = spherical_velocity(stars.position, stars.velocity)
    for octant in (1, 6):
        members = (octants(stars.position) == octant) & (stars.r < 20.0)
        assert told["n_stars"][0][octant] == members.sum()
        assert told["sigma_r"][0][octant] == pytest.approx(v[members, 0].std(), rel=1e-9)
        assert told["mean_v_phi"][0][octant] == pytest.approx(v[members, 2].mean(), rel=1e-9)


def test_no_star_no_map(stars: Stars) -> None:
    with pytest.raises(InputError, match="no star between 100 and 200 kpc"):
        MomentMap.of(stars, [100.0, 200.0])
