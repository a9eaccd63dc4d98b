"""Pericentres and apocentres of stars in an assumed Milky Way."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.contracts import orbits

if TYPE_CHECKING:
    from haloassay.cleaning.integrals import AssumedPotential

#: Radii [kpc] between which turning points are sought, and points of the table of the potential between them.
_RADII: Final = (1e-4, 1e6, 6000)


def turning_points(
    position: FloatArray, velocity: FloatArray, potential: AssumedPotential
) -> tuple[FloatArray, FloatArray]:
    """Pericentre and apocentre (N,) [kpc], as :func:`haloassay.contracts.orbits.turning_points` has them.

    The disc is averaged over the sphere: in a flattened potential no radius is turned at for good. An apocentre is
    infinite where a star is not bound, or goes beyond 1e6 kpc; a pericentre within 1e-4 kpc is called 0.

    Parameters
    ----------
    position, velocity
        (N, 3) Galactocentric [kpc, km/s].
    potential
        Milky Way.
    """
    if potential.baryons == "mwpotential2014":
        potential = dataclasses.replace(potential, baryons="mwpotential2014-spherical")
    along = np.array([1.0, 0.0, 0.0])
    return orbits.turning_points(
        position, velocity, lambda r: potential(r[:, None] * along), _RADII
    )
