"""Pericentres and apocentres of stars in a spherical potential."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

import numpy as np

from haloassay.base.arrays import FloatArray

if TYPE_CHECKING:
    from haloassay.cleaning.integrals import AssumedPotential

#: Radii [kpc] between which turning points are sought, and points of the table of the potential between them.
_NEAREST, _FARTHEST, _POINTS = 1e-4, 1e6, 6000
#: Halvings of ln(r): from the whole range to 1e-12 of it.
_HALVINGS: Final = 45


def turning_points(
    position: FloatArray, velocity: FloatArray, potential: AssumedPotential
) -> tuple[FloatArray, FloatArray]:
    """Pericentre and apocentre (N,) [kpc]: where 2 (E - Phi) = L^2 / r^2 (Binney & Tremaine 2008, eq. 3.14).

    The disc is averaged over the sphere: in a flattened potential no radius is turned at for good. An apocentre is
    infinite where a star is not bound, or goes beyond 1e6 kpc; a pericentre within 1e-4 kpc is called 0.

    Parameters
    ----------
    position, velocity
        (N, 3) Galactocentric [kpc, km/s].
    potential
        Milky Way.
    """
    from scipy.interpolate import CubicSpline

    if potential.baryons == "mwpotential2014":
        potential = dataclasses.replace(potential, baryons="mwpotential2014-spherical")
    ln_r = np.linspace(np.log(_NEAREST), np.log(_FARTHEST), _POINTS)
    phi = CubicSpline(ln_r, potential(np.exp(ln_r)[:, None] * np.array([1.0, 0.0, 0.0])))
    ln_now = np.clip(np.log(np.linalg.norm(position, axis=1)), ln_r[0], ln_r[-1])
    energy = 0.5 * np.sum(velocity**2, axis=1) + phi(ln_now)
    momentum = np.sum(np.cross(position, velocity) ** 2, axis=1)

    def allowed(x: FloatArray) -> FloatArray:
        return np.asarray(2.0 * (energy - phi(x)) >= momentum * np.exp(-2.0 * x))

    found = []
    for end in (ln_r[0], ln_r[-1]):
        inside, outside = ln_now, np.full(len(ln_now), end)
        reached = allowed(outside)
        for _ in range(_HALVINGS):
            middle = 0.5 * (inside + outside)
            good = allowed(middle)
            inside, outside = np.where(good, middle, inside), np.where(good, outside, middle)
        found.append(np.where(reached, 0.0 if end < 0.0 else np.inf, np.exp(inside)))
    bound = energy < 0.0
    return found[0], np.where(bound, found[1], np.inf)
