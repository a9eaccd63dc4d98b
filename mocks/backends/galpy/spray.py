"""Stars that leave a satellite, by galpy's particle spray (Bovy 2015)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Literal

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.constants import G
from haloassay.mocks.backends.galpy.names import RO, VO
from haloassay.mocks.gravity.potentials import CompositePotential

#: Radii [kpc] of the table of the force; potential and force are good to 1e-7 between them.
_TABLE: Final = (1e-3, 1e4, 1001)


def sprayed(
    potential: CompositePotential,
    mass: float,
    model: Literal["fardal15", "chen24"],
    position: FloatArray,
    velocity: FloatArray,
    seed: int,
) -> tuple[FloatArray, FloatArray]:
    """Positions [kpc] and velocities [km/s] (N, 3) of stars as they leave a satellite: leading ones first.

    Parameters
    ----------
    potential
        Of whose spherical average the tidal radius is.
    mass
        Mass [Msun] of the satellite.
    model
        Offsets of Fardal et al. (2015), or of Chen et al. (2025).
    position, velocity
        (N, 3) of the satellite [kpc], [km/s] when each of the stars leaves.
    seed
        Of the offsets.
    """
    from galpy.df import chen24spraydf, fardal15spraydf
    from galpy.orbit import Orbit

    axes = _orbital_axes(position, velocity)
    x = np.einsum("nij,nj->ni", axes, position) / RO
    v = np.einsum("nij,nj->ni", axes, velocity) / VO
    half = len(x) // 2
    with _numpy_seed(seed):
        spray = (chen24spraydf if model == "chen24" else fardal15spraydf)(
            mass * G / (RO * VO**2),
            progenitor=Orbit([1.0, 0.0, 1.0, 0.0, 0.0, 0.0]),  # asked for, but its orbit is ours
            pot=_sphere(potential),
        )
        parts = [
            spray.spray_df(x[tail], v[tail], np.zeros(len(x[tail])), leading=leading)
            for tail, leading in ((slice(half), True), (slice(half, None), False))
        ]
    left = np.concatenate([np.stack(part, axis=1) for part in parts])
    back = np.einsum("nij,nki->nkj", axes, left.reshape(-1, 2, 3))
    return RO * back[:, 0], VO * back[:, 1]


def _sphere(potential: CompositePotential) -> Any:
    """Spherical average of ``potential`` as galpy's compiled integrators take it.

    A spline of the force at 1001 radii from 1e-3 to 1e4 kpc, in internal units of 8 kpc and 220 km/s
    without physical output.
    """
    from galpy.potential import interpSphericalPotential

    r = np.geomspace(*_TABLE)
    force = -G * potential.enclosed_mass(r) / (r * r) * RO / VO**2
    # galpy asks for the force at the nodes one by one
    at_node = dict(zip((r / RO).tolist(), force.tolist(), strict=True))
    return interpSphericalPotential(
        rforce=lambda x: at_node[float(x)],
        rgrid=r / RO,
        Phi0=float(potential.potential(r[0])) / VO**2,
    )


def _orbital_axes(position: FloatArray, velocity: FloatArray) -> FloatArray:
    """(N, 3, 3) axes in rows, of orbits at (N, 3): outwards, ahead in the orbital plane, and across it."""
    outward = position / np.linalg.norm(position, axis=1)[:, None]
    across = np.cross(position, velocity)
    across /= np.linalg.norm(across, axis=1)[:, None]
    return np.stack([outward, np.cross(across, outward), across], axis=1)


@contextmanager
def _numpy_seed(seed: int) -> Iterator[None]:
    """Give galpy's particle spray, which draws from numpy's global generator, numbers of its own."""
    state = np.random.get_state()  # noqa: NPY002
    np.random.seed(seed)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002
