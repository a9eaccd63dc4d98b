"""Directions on the sky of the Galactic centre, and the two names of a dipole.

A field cos(theta_apex) mu has two names: (mu, apex) and (-mu, antipode) are the same vector
d = mu n(l_apex, b_apex), the velocity that the stars have on average. Mocks and estimators work
with that vector and give it its name at the end. The name is, in all of this package,

    mu_dipole <= 0,    v_travel = -mu_dipole >= 0,    d = -v_travel n(l_apex, b_apex):

the apex is where the stars come from, and the direction towards which the Galactic centre travels
through its halo. Li et al. (2026) and Bystrom et al. (2025) quote mu_dipole < 0 and an apex in the
south, Petersen & Penarrubia (2021) and Yaaqib et al. (2024) v_travel > 0 and the same apex: no
mapping is needed. :func:`antipode` maps to and from papers that quote a positive dipole, whose
apex is where the stars recede.

Longitude and latitude are those of the Galactocentric axes: l = 0 is the direction from the Sun to
the centre, l = 90 deg that of Galactic rotation, b = 90 deg north.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from haloassay.base.arrays import FloatArray, IntArray


def direction(lon: ArrayLike, lat: ArrayLike) -> FloatArray:
    """(..., 3) unit vector n(l, b) of a longitude and latitude [deg]."""
    lon, lat = np.broadcast_arrays(np.radians(lon), np.radians(lat))
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)


def lon_lat(vector: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Longitude in (-180, 180] and latitude [deg] of vectors (..., 3) of any length."""
    x, y, z = np.moveaxis(np.asarray(vector, dtype=float), -1, 0)
    lon = np.degrees(np.arctan2(y, x))
    # a y of -0.0 would give the other end of the turn
    return np.where(lon == -180.0, 180.0, lon), np.degrees(np.arctan2(z, np.hypot(x, y)))


def separation(first: FloatArray, second: FloatArray) -> FloatArray:
    """Angle [deg] between vectors (..., 3) of any length, well determined for small ones too."""
    across = np.linalg.norm(np.cross(first, second), axis=-1)
    return np.asarray(np.degrees(np.arctan2(across, np.sum(first * second, axis=-1))))


def quadrant(vector: FloatArray) -> IntArray:
    """Quadrant 0 to 3 (N,) of vectors (N, 3), the paper's first to fourth (Han et al. 2024, figure 10).

    0 for 180 < l < 360 and b >= 0, 1 for 0 <= l <= 180 and b >= 0, 2 and 3 the same for b < 0, counted clockwise.
    """
    far, north = vector[:, 1] < 0.0, vector[:, 2] >= 0.0
    return np.where(north, np.where(far, 0, 1), np.where(far, 3, 2)).astype(np.int64)


def dipole_vector(mu: ArrayLike, lon: ArrayLike, lat: ArrayLike) -> FloatArray:
    """(..., 3) velocity mu n(l, b) [km/s] of a dipole ``mu`` [km/s] with its apex at l, b [deg]."""
    return np.asarray(mu, dtype=float)[..., None] * direction(lon, lat)


def apex(vector: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Name of dipoles: mu_dipole <= 0 [km/s], l_apex in (-180, 180] and b_apex [deg].

    Parameters
    ----------
    vector
        (..., 3) mean velocity of the stars [km/s].
    """
    toward = -np.asarray(vector, dtype=float)
    speed = np.hypot(np.hypot(toward[..., 0], toward[..., 1]), toward[..., 2])
    return -speed, *lon_lat(toward)


def antipode(
    mu: ArrayLike, lon: ArrayLike, lat: ArrayLike
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Give the other name of the same dipole: -mu, l + 180 in (-180, 180], -b [deg]."""
    lon = wrapped(np.asarray(lon, dtype=float) + 180.0)
    return -np.asarray(mu, dtype=float), lon, -np.asarray(lat, dtype=float)


def mean_v_theta(dipole: FloatArray) -> FloatArray:
    """Mean v_theta (...) [km/s] over the whole sky of stars translated by (..., 3) [km/s].

    (pi / 4) mu_dipole sin b_apex (Li et al. 2026, eq. 7), which is the same for both names.
    """
    return np.asarray(0.25 * np.pi * np.asarray(dipole, dtype=float)[..., 2])


def wrapped(angle: ArrayLike) -> FloatArray:
    """Angle [deg] in (-180, 180], the one turn in which longitudes of an apex are told."""
    return np.asarray(180.0 - (180.0 - np.asarray(angle, dtype=float)) % 360.0)


def around_centre(lon: FloatArray) -> FloatArray:
    """Draws of a longitude [deg] unrolled about their circular mean, so that percentiles are sound.

    The median of the draws is in (-180, 180]; draws may lie beyond that range, up to a turn from it.
    """
    sine, cosine = np.sin(np.radians(lon)).mean(), np.cos(np.radians(lon)).mean()
    centre = np.degrees(np.arctan2(sine, cosine))
    unrolled = centre + wrapped(lon - centre)
    return np.asarray(unrolled - 360.0 * np.ceil((np.median(unrolled) - 180.0) / 360.0))
