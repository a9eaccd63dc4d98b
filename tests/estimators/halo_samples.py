from __future__ import annotations

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.contracts.catalogue import Catalogue
from haloassay.contracts.frames import spherical_basis


def power_law_radii(
    n: int, slope: float, r_lo: float, r_hi: float, rng: np.random.Generator
) -> FloatArray:
    """Radii of a density r^slope between r_lo and r_hi."""
    p = slope + 3.0
    u = rng.random(n)
    if p == 0.0:
        return r_lo * (r_hi / r_lo) ** u
    return (r_lo**p + u * (r_hi**p - r_lo**p)) ** (1.0 / p)


def scaled_velocities(stars: Catalogue, factors: tuple[float, ...] | FloatArray) -> Catalogue:
    """The same places, and velocities of components times ``factors`` (r, theta, phi)."""
    basis = spherical_basis(stars.position)
    velocity = np.einsum("nk,nki->ni", stars.spherical_velocity * factors, basis)
    moving = {f"v{axis}": velocity[:, k] for k, axis in enumerate("xyz")}
    return Catalogue({**stars.columns, **moving})
