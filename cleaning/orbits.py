"""Orbits of stars in an assumed Milky Way, and the elements that members of a stream share."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.contracts.orbits import Orbits

if TYPE_CHECKING:
    from haloassay.cleaning.integrals import AssumedPotential

#: Radii [kpc] between which turning points are sought, and points of the table of the potential between them.
_RADII: Final = (1e-4, 1e6, 6000)


def orbits_in(potential: AssumedPotential, position: FloatArray, velocity: FloatArray) -> Orbits:
    """Orbits of stars in a Milky Way.

    The disc is averaged over the sphere: in a flattened potential no radius is turned at for good. An apocentre is
    infinite where a star is not bound, or goes beyond 1e6 kpc; a pericentre within 1e-4 kpc is called 0.

    Parameters
    ----------
    potential
        Milky Way.
    position, velocity
        (N, 3) Galactocentric [kpc, km/s].
    """
    if potential.baryons == "mwpotential2014":
        potential = dataclasses.replace(potential, baryons="mwpotential2014-spherical")
    along = np.array([1.0, 0.0, 0.0])
    return Orbits(position, velocity, lambda r: potential(r[:, None] * along), _RADII)


@dataclasses.dataclass(frozen=True, eq=False)
class Elements:
    """Shape, size and orientation of orbits (Bird et al. 2020, section 2, after Xue et al.).

    Parameters
    ----------
    eccentricity
        (N,) (apocentre - pericentre) / (apocentre + pericentre), 1 where a star is not bound.
    semi_major_axis
        (N,) half the sum of both [kpc], infinite where a star is not bound.
    pole
        (N, 3) unit vectors along the angular momentum.
    apocentre
        (N, 3) unit vectors to the apocentre that is nearest in time; NaN where a star is not bound.
    """

    eccentricity: FloatArray
    semi_major_axis: FloatArray
    pole: FloatArray
    apocentre: FloatArray

    @classmethod
    def of(cls, orbits: Orbits) -> Elements:
        """Elements of orbits."""
        near, far = orbits.turning_points
        bound = np.isfinite(far)
        finite = np.where(bound, far, 1.0)
        length = np.linalg.norm(orbits.momentum, axis=1, keepdims=True)
        return cls(
            np.where(bound, (finite - near) / (finite + near), 1.0),
            0.5 * (near + far),
            orbits.momentum / np.maximum(length, 1e-300),
            orbits.apocentre_direction(),
        )
