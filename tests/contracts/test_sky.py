from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from seeds import seeded

from haloassay.contracts.sky import (
    antipode,
    apex,
    around_centre,
    dipole_vector,
    direction,
    lon_lat,
    mean_v_theta,
    separation,
    wrapped,
)


@given(st.floats(0.5, 100.0), st.floats(-179.0, 179.0), st.floats(-89.0, 89.0))
def test_one_dipole_has_two_names_and_one_convention(speed, lon, lat):
    d = dipole_vector(-speed, lon, lat)
    np.testing.assert_allclose(apex(d), (-speed, lon, lat), atol=1e-9)
    other = antipode(-speed, lon, lat)
    assert other[0] > 0.0
    np.testing.assert_allclose(dipole_vector(*other), d, atol=1e-9)
    np.testing.assert_allclose(antipode(*other), (-speed, lon, lat), atol=1e-9)


def test_longitudes_either_side_of_180_degrees_have_a_narrow_interval():
    lon = wrapped(179.0 + 5.0 * seeded(1).standard_normal(1000))
    assert np.ptp(lon) > 300.0
    unrolled = around_centre(lon)
    assert abs(np.std(unrolled) - 5.0) < 4.0 * 5.0 / np.sqrt(2000.0)
    assert abs(wrapped(np.mean(unrolled) - 179.0)) < 4.0 * 5.0 / np.sqrt(1000.0)


@pytest.mark.parametrize("centre", [-180.0, 180.0, 179.9, 540.0])
def test_longitudes_of_an_apex_are_in_one_turn(centre):
    """The median, which is the value, from above -180 to 180, whichever end of the turn the draws are at."""
    for seed in range(20):
        unrolled = around_centre(wrapped(centre + 5.0 * seeded(seed).standard_normal(101)))
        assert -180.0 < np.median(unrolled) <= 180.0
        assert np.ptp(unrolled) < 60.0
    assert wrapped(-180.0) == wrapped(180.0) == 180.0
    assert lon_lat(np.array([-1.0, -0.0, 0.0]))[0] == 180.0


@given(
    st.floats(-180.0, 180.0), st.floats(-90.0, 90.0), st.floats(0.0, 180.0), st.floats(0.0, 360.0)
)
def test_separations_are_angles_on_the_sphere(lon, lat, away, toward):
    n, up = direction(lon, lat), direction(lon, lat + 90.0)
    a, t = np.radians([away, toward])
    across = np.cos(t) * up + np.sin(t) * np.cross(n, up)
    other = 3.0 * (np.cos(a) * n + np.sin(a) * across)
    assert separation(n, other) == pytest.approx(away, abs=1e-9)


def test_directions_are_undone_and_broadcast():
    lon, lat = np.array([-170.0, 0.0, 35.0]), 20.0
    n = direction(lon, lat)
    assert n.shape == (3, 3)
    np.testing.assert_allclose(np.linalg.norm(n, axis=1), 1.0, rtol=1e-15)
    found = lon_lat(7.0 * n)
    np.testing.assert_allclose(found[0], lon, atol=1e-12)
    np.testing.assert_allclose(found[1], lat, atol=1e-12)
    np.testing.assert_allclose(direction(90.0, 0.0), [0.0, 1.0, 0.0], atol=1e-15)


def test_eq_7_is_the_same_for_both_names():
    names = (-44.0, -28.3, -23.8)
    expected = 0.25 * np.pi * -44.0 * np.sin(np.radians(-23.8))
    for name in (names, antipode(*names)):
        np.testing.assert_allclose(mean_v_theta(dipole_vector(*name)), expected, rtol=1e-12)
