"""Mean velocity of tracers, known beforehand."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.settings import require
from haloassay.contracts.frames import spherical_basis


@dataclass(frozen=True)
class MeanField:
    """Mean velocity of the tracers as a function of radius, to be taken off before the fit.

    What the LMC does to the halo's stars, seen from the Galactic centre, is in the first place a
    mean velocity that grows outwards (Deason et al. 2021, section 3.3; Erkal et al. 2020).

    Parameters
    ----------
    r
        Radii [kpc], ascending; straight lines between them, constant beyond.
    velocity
        Mean velocity [km/s] at each: (v_x, v_y, v_z), or (v_r, v_theta, v_phi).
    frame
        Which of the two.
    """

    r: tuple[float, ...]
    velocity: tuple[tuple[float, float, float], ...]
    frame: Literal["cartesian", "spherical"] = "cartesian"

    def __post_init__(self) -> None:
        require(len(self.r) >= 1, "r: give at least one radius")
        require(
            len(self.r) == len(self.velocity),
            f"one velocity a radius (got {len(self.velocity)} for {len(self.r)})",
        )
        rising = all(a < b for a, b in pairwise((0.0, *self.r)))
        require(rising, f"r: radii ascend from above 0 kpc (got {list(self.r)})")

    def at(self, position: FloatArray) -> FloatArray:
        """Spherical components (..., 3) [km/s] of the mean at Cartesian positions (..., 3) [kpc]."""
        mean = self._mean(position)
        if self.frame == "spherical":
            return mean
        return np.asarray(np.einsum("...ki,...i->...k", _basis(position), mean))

    def cartesian_at(self, position: FloatArray) -> FloatArray:
        """Cartesian components (..., 3) [km/s] of the same."""
        mean = self._mean(position)
        if self.frame == "cartesian":
            return mean
        return np.asarray(np.einsum("...ki,...k->...i", _basis(position), mean))

    def _mean(self, position: FloatArray) -> FloatArray:
        """Components (..., 3) in the frame of the table."""
        r = np.linalg.norm(position, axis=-1)
        table = np.array(self.velocity, dtype=float)
        return np.stack([np.interp(r, self.r, column) for column in table.T], axis=-1)


def _basis(position: FloatArray) -> FloatArray:
    """Spherical unit vectors (..., 3, 3) in rows at positions (..., 3)."""
    return spherical_basis(position.reshape(-1, 3)).reshape(*position.shape, 3)
