"""Draws of true positions and velocities from the errors of what was observed: what candidates are compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.contracts.frames import heliocentric_to_galactocentric, spherical_velocity

if TYPE_CHECKING:
    from haloassay.contracts.catalogue import Catalogue


def error_draws(
    catalogue: Catalogue, n: int, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Draws of the true position and velocity of each star, given what was observed.

    Returns
    -------
    position, velocity, log_weight
        (n, N, 3) Cartesian [kpc] and spherical [km/s], and (n, N) ln of the volume of phase space
        that an observed volume stands for: distance^4 in heliocentric columns, as d^3x ~ D^2 dD and
        d^3v ~ D^2 d^2(pm) dv_los; constant in Cartesian ones.
    """
    unit = rng.standard_normal((n, 6, len(catalogue)))
    if not catalogue.heliocentric:
        names = ("x", "y", "z", "vx", "vy", "vz")
        drawn = np.stack(
            [catalogue[c] + catalogue.error(c) * unit[:, k] for k, c in enumerate(names)]
        )
        x, v = np.moveaxis(drawn[:3], 0, -1), np.moveaxis(drawn[3:], 0, -1)
        return x, _in_spherical(x, v), np.zeros((n, len(catalogue)))
    D = catalogue["distance"] + catalogue.error("distance") * unit[:, 0]
    positive = D > 0.0
    D = np.where(positive, D, catalogue["distance"])
    corr = catalogue.pm_corr
    second = corr * unit[:, 1] + np.sqrt(1.0 - corr**2) * unit[:, 2]
    pmra = catalogue["pmra"] + catalogue.error("pmra") * unit[:, 1]
    pmdec = catalogue["pmdec"] + catalogue.error("pmdec") * second
    vlos = catalogue["vlos"] + catalogue.error("vlos") * unit[:, 3]
    both = [
        heliocentric_to_galactocentric(
            catalogue["ra"], catalogue["dec"], D[k], pmra[k], pmdec[k], vlos[k], sun=catalogue.sun
        )
        for k in range(n)
    ]
    x, v = (np.stack(part) for part in zip(*both, strict=True))
    return x, _in_spherical(x, v), np.where(positive, 4.0 * np.log(D), -np.inf)


def _in_spherical(x: FloatArray, v: FloatArray) -> FloatArray:
    flat = spherical_velocity(x.reshape(-1, 3), v.reshape(-1, 3))
    return np.asarray(flat.reshape(x.shape))
