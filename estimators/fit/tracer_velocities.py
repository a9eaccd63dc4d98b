"""Velocities of tracers as they were observed: all of them, some components from far away, or along lines of sight."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from haloassay.base.arrays import FloatArray, IntArray
from haloassay.estimators.fit.los_dispersion import sightlines

if TYPE_CHECKING:
    from haloassay.contracts.catalogue import Catalogue

#: What is observed of velocities: all; along lines of sight from the Sun; components that an observer far away on the z
#: axis has.
Data = Literal["6d", "vlos", "los", "proper-motions", "projected"]
#: Columns that are read beside positions.
READ: Final[Mapping[Data, tuple[str, ...]]] = {
    "6d": ("velocity",),
    "vlos": ("vlos",),
    "los": ("vz",),
    "proper-motions": ("vx", "vy"),
    "projected": ("velocity",),
}
#: Those of the components along z, away from it and about it that there are.
_SEEN: Final[Mapping[Data, list[int]]] = {
    "los": [0],
    "proper-motions": [1, 2],
    "projected": [0, 1, 2],
}


@dataclass(frozen=True, eq=False)
class TracerVelocities:
    """What was observed of ``n`` tracers.

    Parameters
    ----------
    data
        What it is.
    r
        (n,) radii [kpc], from afar those in the plane of the sky.
    v
        (n, c) velocities [km/s]: r, theta, phi; along the line of sight; or those of R and T.
    error
        (n, c, c) covariances of their errors.
    across
        (n,) squared sine of the angle between the line of sight and the radius; 0 where there is none.
    """

    data: Data
    r: FloatArray
    v: FloatArray
    error: FloatArray
    across: FloatArray

    @classmethod
    def of(cls, catalogue: Catalogue, data: Data) -> TracerVelocities:
        """Read them.

        Raises
        ------
        InputError
            If a column is missing, or a position or velocity that is read is not finite.
        """
        if data == "vlos":
            seen = sightlines(catalogue)
            return cls(data, seen.r, seen.v[:, None], seen.error[:, None, None] ** 2, seen.across)
        nowhere = np.zeros(len(catalogue))
        if data == "6d":
            catalogue.check_finite()
            v, error = catalogue.spherical_velocity, catalogue.spherical_covariance
            return cls(data, catalogue.r, v, error, nowhere)
        x, y = catalogue.position[:, 0], catalogue.position[:, 1]
        v, error = _far(catalogue, data)
        return cls(data, np.hypot(x, y), v, error, nowhere)

    def select(self, rows: IntArray) -> TracerVelocities:
        """Those of rows (m,)."""
        return TracerVelocities(
            self.data, self.r[rows], self.v[rows], self.error[rows], self.across[rows]
        )

    def squares(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Squares and variances of errors (n, c) of the components, and of how many each is the mean."""
        square, noise = self.v**2, np.einsum("nii->ni", self.error)
        if self.data != "6d":
            return square, noise, np.ones(square.shape[1])
        both = [np.column_stack([a[:, 0], 0.5 * (a[:, 1] + a[:, 2])]) for a in (square, noise)]
        return both[0], both[1], np.array([1.0, 2.0])

    def powers(self) -> tuple[FloatArray, FloatArray]:
        """Second and fourth powers (n,) of speeds, or of velocities along the line of sight, freed from errors."""
        v, error = self.v, self.error
        square = np.sum(v**2, axis=1)
        trace = np.einsum("nii->n", error)
        along = np.einsum("ni,nij,nj->n", v, error, v)
        twice = np.einsum("nij,nij->n", error, error)
        fourth = square**2 - 2.0 * square * trace - 4.0 * along + trace**2 + 2.0 * twice
        return square - trace, fourth


def _far(catalogue: Catalogue, data: Data) -> tuple[FloatArray, FloatArray]:
    """Velocities (n, c) that an observer far away on the z axis has, and covariances of their errors (n, c, c)."""
    if catalogue.heliocentric or data == "projected":
        catalogue.check_finite()
        v, error = catalogue.velocity, catalogue.velocity_covariance
    else:
        v, error = np.zeros((len(catalogue), 3)), np.zeros((len(catalogue), 3, 3))
        for name in READ[data]:
            k = ("vx", "vy", "vz").index(name)
            v[:, k], error[:, k, k] = catalogue[name], catalogue.error(name) ** 2
        good = np.isfinite(np.concatenate([catalogue.position, v], axis=1)).all(axis=1)
        catalogue.check_rows(good, "a position or velocity that is not finite")
    x, y = catalogue.position[:, 0], catalogue.position[:, 1]
    R = np.maximum(np.hypot(x, y), 1e-300)
    turn = np.zeros((len(R), 3, 3))
    turn[:, 0, 2] = 1.0
    turn[:, 1, 0], turn[:, 1, 1] = x / R, y / R
    turn[:, 2, 0], turn[:, 2, 1] = -y / R, x / R
    turn = turn[:, _SEEN[data]]
    return np.einsum("nij,nj->ni", turn, v), turn @ error @ np.swapaxes(turn, 1, 2)
