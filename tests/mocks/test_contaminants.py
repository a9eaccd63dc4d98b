"""Contaminants: discs that rotate with the Sun, stars that escape, velocities that are wrong."""

from __future__ import annotations

import numpy as np
import pytest
from debris_samples import AROUND, CLUSTER, POTENTIAL, components, drawn, one
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from seeds import seeded

from haloassay.base.constants import G
from haloassay.base.errors import InputError
from haloassay.contracts.frames import Sun, galactocentric_to_heliocentric, spherical_velocity
from haloassay.mocks import make_mock
from haloassay.mocks.debris.bound import EDGE
from haloassay.mocks.debris.surroundings import Surroundings

FloatArray = NDArray[np.float64]


def test_discs_rotate_with_the_sun() -> None:
    """Prograde is v_phi < 0: the sense of the Sun itself, which stands at x < 0 and moves to +y."""
    sun = Sun()
    v_phi_sun = spherical_velocity(sun.position[None], sun.velocity[None])[0, 2]
    for kind in ("thick-disc", "monoceros"):
        mean = components(drawn(kind, 2000))[:, 2].mean()
        assert np.sign(mean) == np.sign(v_phi_sun) == -1.0


def test_thick_disc_lags_and_lags_more_where_it_is_hotter() -> None:
    lags = []
    for factor in (0.5, 1.0):
        sigma = [60.0 * factor, 45.0 * factor, 40.0 * factor]
        stars = drawn("thick-disc", 20_000, sigma=sigma)
        R = np.hypot(*stars.position[:, :2].T)
        near = (R > 7.0) & (R < 9.0)
        v_phi = components(stars)[near, 2]
        lags.append(float(np.mean(POTENTIAL.circular_velocity(R[near]))) + v_phi.mean())
    assert 0.0 < lags[0] < lags[1]
    assert 30.0 < lags[1] < 70.0
    # to lowest order the asymmetric drift goes as sigma^2 (Binney & Tremaine 2008, eq. 4.228)
    assert lags[1] / lags[0] == pytest.approx(4.0, rel=0.2)


def test_thick_disc_is_a_double_exponential() -> None:
    disc = one("thick-disc")
    stars = disc.sampler(Surroundings(POTENTIAL, (1e-6, 1e4)), seeded(1))(100_000)
    R, z = np.hypot(*stars.position[:, :2].T), stars.position[:, 2]
    noise = 4.0 / np.sqrt(len(stars))
    assert R.mean() == pytest.approx(2.0 * 2.0, rel=noise / np.sqrt(2.0))
    assert R.var() == pytest.approx(2.0 * 2.0**2, rel=0.04)
    assert np.abs(z).mean() == pytest.approx(0.9, rel=noise)
    assert abs(np.mean(z > 0.0) - 0.5) < noise
    assert abs(np.corrcoef(R, np.abs(z))[0, 1]) < noise
    azimuth = stars.position[:, :2] / R[:, None]
    assert np.all(np.abs(azimuth.mean(axis=0)) < noise)


@settings(max_examples=25, deadline=None)
@given(st.floats(0.1, 30.0), st.floats(1.05, 10.0), st.floats(0.2, 3.0), st.integers(0, 1000))
def test_discs_stay_between_any_two_spheres(
    lo: float, ratio: float, height: float, seed: int
) -> None:
    r_range = (lo, lo * ratio)
    disc = one("thick-disc", scale_height=height)
    stars = disc.sampler(Surroundings(POTENTIAL, r_range), seeded(seed))(200)
    assert stars.r.min() >= lo * (1.0 - 1e-3)
    assert stars.r.max() <= lo * ratio * (1.0 + 1e-3)


def test_thick_disc_between_spheres_is_the_part_of_the_whole_that_lies_there() -> None:
    def heights(r_range: tuple[float, float], n: int) -> FloatArray:
        stars = one("thick-disc").sampler(Surroundings(POTENTIAL, r_range), seeded(8))(n)
        within = (stars.r > 5.0) & (stars.r < 7.0)
        return np.stack([np.abs(stars.position[within, 2]), stars.r[within]])

    from scipy.stats import ks_2samp

    whole, part = heights((1e-6, 1e4), 30_000), heights((5.0, 7.0), 8_000)
    for ours, theirs in zip(part, whole, strict=True):
        assert ks_2samp(ours, theirs).pvalue > 1e-4


def test_monoceros_is_a_ring_that_rotates() -> None:
    stars = drawn("monoceros", 20_000)
    R = np.hypot(*stars.position[:, :2].T)
    assert R.min() >= 15.0
    assert R.max() <= 25.0
    assert np.abs(stars.position[:, 2]).max() <= 5.0
    assert R.mean() == pytest.approx(20.0, abs=4.0 * 2.9 / np.sqrt(20_000))
    v_phi = components(stars)[:, 2]
    assert v_phi.mean() == pytest.approx(-220.0, abs=4.0 * 30.0 / np.sqrt(20_000))


@pytest.mark.parametrize("direction", ["isotropic", "outward"])
def test_unbound_stars_are_unbound(direction: str) -> None:
    """The escape speed by the work against the enclosed mass, which the potential is not asked for."""
    stars = drawn("unbound", 300, speed=[1.0, 1.2], direction=direction)
    speed = np.linalg.norm(stars.velocity, axis=1)
    escape = np.sqrt(2.0 * work_to_escape(stars.r))
    assert np.all(speed >= escape * (1.0 - 1e-6))
    assert np.all(speed <= escape * (1.2 + 1e-6))
    v_r = components(stars)[:, 0]
    if direction == "outward":
        np.testing.assert_allclose(v_r, speed)
    else:
        assert abs(np.mean(v_r / speed)) < 4.0 / np.sqrt(3.0 * 300)


def work_to_escape(r: FloatArray) -> FloatArray:
    """int_r^inf G M / x^2 dx [(km/s)^2], by the trapezoidal rule in ln x."""
    x = np.geomspace(1.0, 1e9, 20_001)
    steps = G * POTENTIAL.enclosed_mass(x) / x
    gain = np.concatenate([[0.0], np.cumsum(0.5 * (steps[1:] + steps[:-1]) * np.diff(np.log(x)))])
    return np.interp(np.log(r), np.log(x), gain[-1] - gain)


def test_blunders_are_even_in_velocity() -> None:
    from scipy.stats import kstest

    stars = drawn("blunders", 4000, v_max=800.0)
    for component in stars.velocity.T:
        assert kstest(component, "uniform", (-800.0, 1600.0)).pvalue > 1e-4


def test_satellites_are_plummer_spheres_where_the_sky_has_them() -> None:
    near = {**CLUSTER, "r_half": 0.02, "sigma": 5.0, "weight": 3.0}
    far = {**CLUSTER, "ra": 30.0, "distance": 40.0, "pmra": 0.1, "pmdec": -0.1, "vlos": 60.0}
    far |= {"r_half": 0.3, "sigma": 9.0}
    stars = drawn("satellites", 20_000, objects=[near, far])
    seen = galactocentric_to_heliocentric(stars.position, stars.velocity, Sun())
    first = np.abs(seen["ra"] - near["ra"]) < 5.0
    assert first.mean() == pytest.approx(0.75, abs=4.0 * np.sqrt(0.1875 / len(stars)))
    for each, mine in ((near, first), (far, ~first)):
        n = int(mine.sum())
        size = each["r_half"] / each["distance"]
        for name, scatter in (
            ("ra", np.degrees(2.0 * size)),
            ("dec", np.degrees(2.0 * size)),
            ("distance", 2.0 * each["r_half"]),
            ("vlos", each["sigma"]),
            ("pmra", each["sigma"] / (4.74 * each["distance"])),
        ):
            assert np.median(seen[name][mine]) == pytest.approx(
                each[name], abs=4.0 * 1.25 * scatter / np.sqrt(n) + 1e-3 * abs(each[name])
            )
        centre = np.mean(stars.position[mine], axis=0)
        offset = np.linalg.norm(stars.position[mine] - centre, axis=1) / each["r_half"]
        # a Plummer sphere that ends at five half-mass radii has (1 - share beyond) / 2 within a little less
        assert offset.max() < 1.02 * EDGE
        assert np.median(offset) == pytest.approx(0.97, abs=0.03)
        assert stars.velocity[mine].std(axis=0) == pytest.approx(
            np.full(3, each["sigma"]), rel=4.0 / np.sqrt(2 * n)
        )


def test_satellites_outside_of_the_mock_are_refused() -> None:
    with pytest.raises(InputError, match=r"objects\.0 reaches from"):
        one("satellites", objects=[{**CLUSTER, "distance": 3000.0}]).check(AROUND)
    with pytest.raises(InputError, match="sigma is positive"):
        one("satellites", objects=[{**CLUSTER, "sigma": 0.0}])


def test_stars_born_in_situ_are_in_the_equilibrium_that_a_mock_of_them_has() -> None:
    around = Surroundings(POTENTIAL, (5.0, 120.0))
    debris = one("in-situ", beta=0.3, rotation=-0.5)
    stars = debris.sampler(around, seeded(5))(40_000)
    halo = make_mock(
        {
            "kind": "equilibrium",
            "potential": [
                {"kind": "nfw", "m200": 0.8e12, "c": 15.0},
                {"kind": "mwpotential2014-baryons"},
            ],
            "density": {"kind": "broken-power-law", "slopes": [-3.0, -5.0], "breaks": [20.0]},
            "beta": 0.3,
            "r_range": [5.0, 120.0],
        }
    )
    for lo, hi in ((6.0, 7.0), (12.0, 14.0), (25.0, 30.0)):
        own = (stars.r > lo) & (stars.r < hi)
        v = components(stars)[own]
        wanted = halo.truth.tracers.second(stars.r[own]).mean(axis=0)
        assert np.mean(v**2, axis=0) == pytest.approx(wanted, rel=4.0 * np.sqrt(2.0 / own.sum()))
    prograde = np.mean(components(stars)[:, 2] < 0.0)
    assert prograde == pytest.approx(0.75, abs=4.0 * 0.5 / np.sqrt(len(stars)))
    inside = np.mean(stars.r < 20.0)
    mass = halo.sample(40_000, seeded(6)).r
    assert inside == pytest.approx(np.mean(mass < 20.0), abs=4.0 * 0.7 / np.sqrt(len(stars)))


@pytest.mark.parametrize("wrong", [{"beta": 1.5}, {"rotation": 2.0}, {"density": {"slopes": [-3]}}])
def test_stars_born_in_situ_that_cannot_be_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        one("in-situ", **wrong)
