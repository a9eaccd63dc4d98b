"""A catalogue: what an observer has. Plain numpy columns inside, units stripped once at the boundary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from haloassay import frames
from haloassay.constants import KMS_PER_MASYR_KPC
from haloassay.errors import InputError

FloatArray = NDArray[np.float64]

GALACTOCENTRIC: Final = ("x", "y", "z", "vx", "vy", "vz")
HELIOCENTRIC: Final = ("ra", "dec", "distance", "pmra", "pmdec", "vlos")


@dataclass(frozen=True, eq=False)
class Catalogue:
    """Stars as observed: canonical columns, the Sun they were observed from, and derived kinematics.

    Parameters
    ----------
    columns
        Name to (N,) array. Heliocentric ra, dec [deg], distance [kpc], pmra, pmdec [mas/yr], vlos [km/s], or
        Galactocentric x, y, z [kpc], vx, vy, vz [km/s]; each may have an ``_err``; ``pm_corr``, feh, alpha_fe.
    sun
        Position and velocity of the Sun.
    origin
        What to call the catalogue in messages.
    dropped
        Why and how many rows were left out, where the user asked for that.
    """

    columns: Mapping[str, FloatArray]
    sun: frames.Sun = field(default_factory=frames.Sun)
    origin: str = "catalogue"
    dropped: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def from_arrays(
        cls, sun: frames.Sun | None = None, origin: str = "catalogue", **columns: ArrayLike
    ) -> Catalogue:
        """Catalogue of arrays in canonical units."""
        arrays = {name: np.asarray(values, dtype=float) for name, values in columns.items()}
        return cls(arrays, sun or frames.Sun(), origin)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __getitem__(self, name: str) -> FloatArray:
        if name not in self.columns:
            raise InputError(f"{self.origin}: column {name!r} is missing (has: {', '.join(self.columns)})")
        return self.columns[name]

    def __contains__(self, name: str) -> bool:
        return name in self.columns

    def select(self, which: NDArray[np.bool_] | NDArray[np.int64]) -> Catalogue:
        """Catalogue of some of the rows."""
        return Catalogue({k: v[which] for k, v in self.columns.items()}, self.sun, self.origin, self.dropped)

    @property
    def heliocentric(self) -> bool:
        """Whether the columns are heliocentric."""
        return "ra" in self.columns

    @cached_property
    def _cartesian(self) -> tuple[FloatArray, FloatArray]:
        if self.heliocentric:
            return frames.heliocentric_to_galactocentric(*(self[name] for name in HELIOCENTRIC), sun=self.sun)
        xyz = np.stack([self[name] for name in GALACTOCENTRIC[:3]], axis=1)
        return xyz, np.stack([self[name] for name in GALACTOCENTRIC[3:]], axis=1)

    @property
    def position(self) -> FloatArray:
        """(N, 3) Galactocentric Cartesian positions [kpc]."""
        return self._cartesian[0]

    @property
    def velocity(self) -> FloatArray:
        """(N, 3) Galactocentric Cartesian velocities [km/s]."""
        return self._cartesian[1]

    @cached_property
    def r(self) -> FloatArray:
        """(N,) Galactocentric radii [kpc]."""
        return np.linalg.norm(self.position, axis=1)

    @cached_property
    def spherical_velocity(self) -> FloatArray:
        """(N, 3) velocities (v_r, v_theta, v_phi) [km/s]; v_theta towards the north pole."""
        return frames.spherical_velocity(self.position, self.velocity)

    @cached_property
    def spherical_covariance(self) -> FloatArray:
        """(N, 3, 3) covariance of the errors of (v_r, v_theta, v_phi) [(km/s)^2], to first order.

        It contains the errors of line-of-sight velocity, proper motions (correlated), distance (through the
        tangential velocities and through the direction of the spherical axes), or of x..z and vx..vz.
        """
        to_spherical = frames.spherical_basis(self.position)
        if self.heliocentric:
            return self._heliocentric_covariance(to_spherical)
        turn = frames.displacement_jacobian(self.position, self.spherical_velocity) @ to_spherical
        jacobian = np.concatenate([turn, to_spherical], axis=2)
        errors = np.stack([self._error(name) for name in GALACTOCENTRIC], axis=1)
        scaled = jacobian * errors[:, None, :]
        return scaled @ np.swapaxes(scaled, 1, 2)

    def _error(self, name: str) -> FloatArray:
        """(N,) errors of a column; zeros where none are given."""
        return self.columns.get(f"{name}_err", np.zeros(len(self)))

    def _heliocentric_covariance(self, to_spherical: FloatArray) -> FloatArray:
        sky = frames.sky_basis(self["ra"], self["dec"]) @ self.sun.rotation().T
        axes = np.einsum("nki,nji->nkj", sky, to_spherical)  # outward, east, north in (r, theta, phi)
        turn = frames.displacement_jacobian(self.position, self.spherical_velocity)
        pm = np.stack([self["pmra"], self["pmdec"]], axis=1)
        by_distance = KMS_PER_MASYR_KPC * np.einsum("nk,nkj->nj", pm, axes[:, 1:]) + np.einsum(
            "nij,nj->ni", turn, axes[:, 0]
        )
        tangential = KMS_PER_MASYR_KPC * self["distance"][:, None]
        rho = self.columns.get("pm_corr", np.zeros(len(self)))[:, None]
        east = axes[:, 1] * tangential * self._error("pmra")[:, None]
        north = axes[:, 2] * tangential * self._error("pmdec")[:, None]
        roots = np.stack(  # columns of a square root: independent unit errors
            [
                axes[:, 0] * self._error("vlos")[:, None],
                by_distance * self._error("distance")[:, None],
                east + rho * north,
                np.sqrt(np.maximum(1.0 - rho**2, 0.0)) * north,
            ],
            axis=2,
        )
        return roots @ np.swapaxes(roots, 1, 2)
