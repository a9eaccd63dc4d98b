"""Coordinate frames: ICRS, Galactic and Galactocentric, Cartesian and spherical.

Galactocentric Cartesian axes are those of astropy: right-handed, the Sun at x < 0, z to the north
Galactic pole. Spherical components are ordered (r, theta, phi) everywhere: v_r outward, v_theta
towards the north pole (latitude direction), v_phi right-handed about z, so that prograde disc
rotation has v_phi < 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.constants import KMS_PER_MASYR_KPC
from haloassay.base.settings import require

#: Rotation from ICRS to Galactic Cartesian axes as astropy composes it (Reid & Brunthaler 2004,
#: FK5 to ICRS).
ICRS_TO_GALACTIC: Final = np.array(
    [
        [-0.05487565771259163, -0.8734370519556159, -0.48383507361671546],
        [0.4941094371927268, -0.4448297212232952, 0.7469821839866676],
        [-0.8676661375596576, -0.19807633727300053, 0.4559838136873016],
    ]
)

#: ICRS direction of the Galactic centre and roll of astropy's Galactocentric frame [deg].
_CENTRE: Final = (266.4051, -28.936175)
_ROLL: Final = 58.5986320306


@dataclass(frozen=True)
class Sun:
    """Position [kpc] and velocity [km/s] of the Sun in Galactocentric Cartesian axes.

    The default is that of Li et al. (2026): R = 8.122 kpc, z = 20.8 pc, (12.9, 245.6, 7.78) km/s.

    Parameters
    ----------
    x, z
        Position [kpc], x < 0 and y = 0: the Sun is on the negative x axis, above the plane where z > 0.
    vx, vy, vz
        Velocity [km/s]; vy has the motion of the circular orbit in it.
    """

    x: float = -8.122
    z: float = 0.0208
    vx: float = 12.9
    vy: float = 245.6
    vz: float = 7.78

    def __post_init__(self) -> None:
        require(self.x < 0.0, f"the Sun stands at x < 0 (got x = {self.x})")
        require(abs(self.z) < abs(self.x), f"the Sun stands near the plane (got z = {self.z})")

    @property
    def position(self) -> FloatArray:
        """(3,) position [kpc]."""
        return np.array([self.x, 0.0, self.z])

    @property
    def velocity(self) -> FloatArray:
        """(3,) velocity [km/s]."""
        return np.array([self.vx, self.vy, self.vz])

    def rotation(self) -> FloatArray:
        """(3, 3) rotation from ICRS to Galactocentric axes, tilted by the height of the Sun."""
        ra, dec = np.radians(_CENTRE)
        to_centre = _rotation(-dec, 1) @ _rotation(ra, 2)
        tilt = np.arcsin(self.z / np.hypot(self.x, self.z))
        return _rotation(-tilt, 1) @ _rotation(np.radians(_ROLL), 0) @ to_centre


#: The Sun of each paper (science reference, section 1).
SUNS: Final = {
    "li2026": Sun(),
    "bird2022": Sun(-8.3, 0.029, 11.1, 232.2, 7.3),
    "zhai2018": Sun(-8.0, 0.0, 10.0, 225.25, 7.17),
}


def _rotation(angle: float, axis: int) -> FloatArray:
    """(3, 3) rotation of the axes by ``angle`` [rad] about ``axis``."""
    c, s = np.cos(angle), np.sin(angle)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.eye(3)
    matrix[i, i] = matrix[j, j] = c
    matrix[i, j], matrix[j, i] = s, -s
    return matrix


def sky_basis(lon: FloatArray, lat: FloatArray) -> FloatArray:
    """(N, 3, 3) unit vectors (outward, east, north) as rows, at longitude and latitude [deg]."""
    lon, lat = np.radians(lon), np.radians(lat)
    cl, sl, cb, sb = np.cos(lon), np.sin(lon), np.cos(lat), np.sin(lat)
    zero = np.zeros_like(cl)
    rows = [[cb * cl, cb * sl, sb], [-sl, cl, zero], [-sb * cl, -sb * sl, cb]]
    return np.moveaxis(np.array(rows), -1, 0)


def spherical_basis(position: FloatArray) -> FloatArray:
    """(N, 3, 3) unit vectors (r, theta, phi) as rows, at Cartesian ``position`` (N, 3)."""
    lon = np.degrees(np.arctan2(position[:, 1], position[:, 0]))
    lat = np.degrees(np.arctan2(position[:, 2], np.hypot(position[:, 0], position[:, 1])))
    return sky_basis(lon, lat)[:, [0, 2, 1]]


def galactic_to_icrs(lon: FloatArray, lat: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """ICRS direction of a Galactic one, and the rotation of its tangential components.

    Parameters
    ----------
    lon, lat
        (N,) Galactic longitude and latitude [deg].

    Returns
    -------
    ra, dec
        (N,) right ascension and declination [deg].
    turn
        (N, 2, 2) rotation from (pm_l, pm_b) to (pmra, pmdec), where pm_l contains cos b and pmra
        cos dec.
    """
    galactic = sky_basis(lon, lat) @ ICRS_TO_GALACTIC
    ra, dec = _direction(galactic[:, 0])
    return ra, dec, np.einsum("nki,nji->nkj", sky_basis(ra, dec)[:, 1:], galactic[:, 1:])


def _direction(vector: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Longitude in [0, 360) and latitude [deg] of (N, 3) vectors."""
    x, y, z = vector.T
    lon = np.degrees(np.arctan2(y, x)) % 360.0
    # the remainder of a tiny negative angle rounds to 360
    return np.where(lon < 360.0, lon, 0.0), np.degrees(np.arctan2(z, np.hypot(x, y)))


def heliocentric_to_galactocentric(
    ra: FloatArray,
    dec: FloatArray,
    distance: FloatArray,
    pmra: FloatArray,
    pmdec: FloatArray,
    vlos: FloatArray,
    sun: Sun,
) -> tuple[FloatArray, FloatArray]:
    """Galactocentric positions (N, 3) [kpc] and velocities (N, 3) [km/s].

    Parameters are (N,) arrays: ICRS right ascension and declination [deg], heliocentric distance
    [kpc], proper motions mu_alpha* and mu_delta [mas/yr], and line-of-sight velocity [km/s].
    """
    lon, lat = np.radians(ra), np.radians(dec)
    cl, sl, cb, sb = np.cos(lon), np.sin(lon), np.cos(lat), np.sin(lat)
    east = KMS_PER_MASYR_KPC * distance * pmra
    north = KMS_PER_MASYR_KPC * distance * pmdec
    outward = vlos * cb - north * sb  # away from the Earth's axis
    position = np.stack([distance * cb * cl, distance * cb * sl, distance * sb], axis=1)
    velocity = np.stack(
        [outward * cl - east * sl, outward * sl + east * cl, vlos * sb + north * cb], axis=1
    )
    rotation = sun.rotation()
    return position @ rotation.T + sun.position, velocity @ rotation.T + sun.velocity


def galactocentric_to_heliocentric(
    position: FloatArray, velocity: FloatArray, sun: Sun
) -> dict[str, FloatArray]:
    """Columns ra, dec, distance, pmra, pmdec, vlos: heliocentric_to_galactocentric undone."""
    rotation = sun.rotation()
    x = (position - sun.position) @ rotation
    v = (velocity - sun.velocity) @ rotation
    distance = np.linalg.norm(x, axis=1)
    ra, dec = _direction(x)
    sky = np.einsum("nki,ni->nk", sky_basis(ra, dec), v)
    scale = KMS_PER_MASYR_KPC * distance
    return {
        "ra": ra,
        "dec": dec,
        "distance": distance,
        "pmra": sky[:, 1] / scale,
        "pmdec": sky[:, 2] / scale,
        "vlos": sky[:, 0],
    }


def spherical_velocity(position: FloatArray, velocity: FloatArray) -> FloatArray:
    """(N, 3) velocity components (v_r, v_theta, v_phi) [km/s] at Cartesian ``position`` (N, 3).

    On the z axis, where longitude is undefined, it is taken as zero: the limit along +x.
    """
    x, y, z = position.T
    vx, vy, vz = velocity.T
    lon, lat = np.arctan2(y, x), np.arctan2(z, np.hypot(x, y))
    cl, sl, cb, sb = np.cos(lon), np.sin(lon), np.cos(lat), np.sin(lat)
    v_R = cl * vx + sl * vy
    return np.stack([cb * v_R + sb * vz, cb * vz - sb * v_R, cl * vy - sl * vx], axis=1)
