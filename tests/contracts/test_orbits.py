"""Orbits in a spherical potential against Kepler's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haloassay.contracts.orbits import Orbits

GM = 4.3e6
RADII = (1e-3, 1e4, 6000)


def kepler(x, v):
    return Orbits(np.atleast_2d(x), np.atleast_2d(v), lambda r: -GM / r, RADII)


@given(
    r=st.floats(1.0, 100.0),
    share=st.floats(0.2, 1.3),
    angle=st.floats(0.3, np.pi - 0.3),
    tilt=st.floats(0.0, 6.0),
)
@settings(max_examples=100, deadline=None)
def test_the_apocentre_is_opposite_to_the_vector_of_runge_and_lenz(r, share, angle, tilt):
    turn = np.array(
        [[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]], dtype=float
    )
    speed = share * np.sqrt(GM / r)
    x = turn @ np.array([0.0, r, 0.0])
    v = speed * turn @ np.array([np.sin(angle), np.cos(angle), 0.0])
    pericentre = np.cross(v, np.cross(x, v)) / GM - x / r
    e = np.linalg.norm(pericentre)
    orbit = kepler(x, v)
    near, far = orbit.turning_points
    a = 1.0 / (2.0 / r - speed**2 / GM)
    assert (near[0], far[0]) == pytest.approx((a * (1.0 - e), a * (1.0 + e)), rel=1e-5)
    if e > 0.05:  # else there is no direction to speak of
        np.testing.assert_allclose(orbit.apocentre_direction()[0], -pericentre / e, atol=2e-4)


def test_an_orbit_without_an_apocentre_has_no_direction_to_it():
    direction = kepler([10.0, 0.0, 0.0], [0.0, 2.0 * np.sqrt(2.0 * GM / 10.0), 0.0])
    assert np.isnan(direction.apocentre_direction()).all()


def test_a_radial_orbit_has_its_apocentre_ahead():
    direction = kepler([[10.0, 0.0, 0.0]] * 2, [[100.0, 0.0, 0.0], [-100.0, 0.0, 0.0]])
    np.testing.assert_allclose(direction.apocentre_direction(), [[1.0, 0.0, 0.0]] * 2, atol=1e-9)
