"""Orbits in a spherical potential."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from haloassay.base.arrays import FloatArray

#: Halvings of ln(r): from the whole range to 1e-12 of it.
_HALVINGS = 45


def turning_points(
    position: FloatArray,
    velocity: FloatArray,
    potential: Callable[[FloatArray], FloatArray],
    radii: tuple[float, float, int],
) -> tuple[FloatArray, FloatArray]:
    """Pericentre and apocentre (N,) [kpc]: where 2 (E - Phi) = L^2 / r^2 (Binney & Tremaine 2008, eq. 3.14).

    Parameters
    ----------
    position, velocity
        (N, 3) relative to the centre [kpc, km/s].
    potential
        Phi [(km/s)^2] at radii (K,) [kpc], zero at infinity.
    radii
        Least and greatest radius [kpc] where turning points are sought, and points of the table between them.

    Returns
    -------
    pericentre, apocentre
        A pericentre within the least radius is 0, an apocentre beyond the greatest or of a star that is not bound
        infinite.
    """
    from scipy.interpolate import CubicSpline

    least, greatest, points = radii
    ln_r = np.linspace(np.log(least), np.log(greatest), points)
    phi = CubicSpline(ln_r, potential(np.exp(ln_r)))
    ln_now = np.clip(np.log(np.linalg.norm(position, axis=1)), ln_r[0], ln_r[-1])
    energy = 0.5 * np.sum(velocity**2, axis=1) + phi(ln_now)
    momentum = np.sum(np.cross(position, velocity) ** 2, axis=1)

    def allowed(x: FloatArray) -> FloatArray:
        return np.asarray(2.0 * (energy - phi(x)) >= momentum * np.exp(-2.0 * x))

    found = []
    for end, beyond in ((ln_r[0], 0.0), (ln_r[-1], np.inf)):
        inside, outside = ln_now, np.full(len(ln_now), end)
        reached = allowed(outside)
        for _ in range(_HALVINGS):
            middle = 0.5 * (inside + outside)
            good = allowed(middle)
            inside, outside = np.where(good, middle, inside), np.where(good, outside, middle)
        found.append(np.where(reached, beyond, np.exp(inside)))
    return found[0], np.where(energy < 0.0, found[1], np.inf)
