"""Orbits in a spherical potential."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from haloassay.base.arrays import FloatArray

#: Halvings of ln(r): from the whole range to 1e-12 of it.
_HALVINGS = 45
#: Gauss-Legendre nodes from here to the apocentre.
_NODES = 64


@dataclass(frozen=True, eq=False)
class Orbits:
    """Orbits of stars in a spherical potential that is tabulated once.

    Parameters
    ----------
    position, velocity
        (N, 3) relative to the centre [kpc, km/s].
    potential
        Phi [(km/s)^2] at radii (K,) [kpc], zero at infinity.
    radii
        Least and greatest radius [kpc] where turning points are sought, and points of the table between them.
    """

    position: FloatArray
    velocity: FloatArray
    potential: Callable[[FloatArray], FloatArray]
    radii: tuple[float, float, int]

    @cached_property
    def _table(self) -> tuple[FloatArray, Callable[[FloatArray], FloatArray]]:
        """Logarithms of the radii, and Phi at any ln r between."""
        from scipy.interpolate import CubicSpline

        least, greatest, points = self.radii
        ln_r = np.linspace(np.log(least), np.log(greatest), points)
        return ln_r, CubicSpline(ln_r, self.potential(np.exp(ln_r)))

    @cached_property
    def _ln_now(self) -> FloatArray:
        ln_r, _ = self._table
        return np.clip(np.log(np.linalg.norm(self.position, axis=1)), ln_r[0], ln_r[-1])

    @cached_property
    def energy(self) -> FloatArray:
        """(N,) E [(km/s)^2]."""
        return np.asarray(0.5 * np.sum(self.velocity**2, axis=1) + self._table[1](self._ln_now))

    @cached_property
    def momentum(self) -> FloatArray:
        """(N, 3) L [kpc km/s]."""
        return np.cross(self.position, self.velocity)

    @cached_property
    def turning_points(self) -> tuple[FloatArray, FloatArray]:
        """Pericentre and apocentre (N,) [kpc]: where 2 (E - Phi) = L^2 / r^2 (Binney & Tremaine 2008, eq. 3.14).

        A pericentre within the least radius is 0, an apocentre beyond the greatest or of a star that is not bound
        infinite.
        """
        ln_r, phi = self._table
        square = np.sum(self.momentum**2, axis=1)

        def allowed(x: FloatArray) -> FloatArray:
            return np.asarray(2.0 * (self.energy - phi(x)) >= square * np.exp(-2.0 * x))

        found = []
        for end, beyond in ((ln_r[0], 0.0), (ln_r[-1], np.inf)):
            inside, outside = self._ln_now, np.full(len(self._ln_now), end)
            reached = allowed(outside)
            for _ in range(_HALVINGS):
                middle = 0.5 * (inside + outside)
                good = allowed(middle)
                inside, outside = np.where(good, middle, inside), np.where(good, outside, middle)
            found.append(np.where(reached, beyond, np.exp(inside)))
        return found[0], np.where(self.energy < 0.0, found[1], np.inf)

    def apocentre_direction(self) -> FloatArray:
        """(N, 3) unit vectors towards the apocentre that is nearest in time; NaN where there is none.

        The angle to it along the orbit is the integral of L / (r^2 v_r) over r (Binney & Tremaine 2008, eq. 3.18),
        with r = r_m (1 - e cos theta), in which the integrand is regular.
        """
        near, far = self.turning_points
        r = np.linalg.norm(self.position, axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            r_m, e = 0.5 * (far + near), (far - near) / (far + near)
            now = np.arccos(np.clip((1.0 - r / r_m) / e, -1.0, 1.0))
            nodes, weights = np.polynomial.legendre.leggauss(_NODES)
            theta = now[:, None] + 0.5 * (np.pi - now)[:, None] * (nodes + 1.0)
            at = r_m[:, None] * (1.0 - e[:, None] * np.cos(theta))
            speed = np.linalg.norm(self.momentum, axis=1)[:, None] / at
            square = 2.0 * (self.energy[:, None] - self._table[1](np.log(at))) - speed**2
            rate = speed / at * (r_m * e)[:, None] * np.sin(theta)
            rate /= np.sqrt(np.maximum(square, 1e-12 * speed**2 + 1e-300))
            angle = 0.5 * (np.pi - now) * (rate @ weights)
            outward = self.position / r[:, None]
            forward = np.cross(self.momentum, outward)
            forward /= np.maximum(np.linalg.norm(forward, axis=1), 1e-300)[:, None]
        # an inward star has left its apocentre behind
        angle *= np.where(np.sum(self.position * self.velocity, axis=1) < 0.0, -1.0, 1.0)
        return np.asarray(np.cos(angle)[:, None] * outward + np.sin(angle)[:, None] * forward)
