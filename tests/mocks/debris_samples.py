"""Debris to test with, in a Milky Way, and what is measured of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from seeds import resized, seeded

from haloassay.contracts.frames import spherical_velocity
from haloassay.mocks.debris.debris import make_debris
from haloassay.mocks.debris.surroundings import Surroundings
from haloassay.mocks.gravity.potentials import CompositePotential, make_potential
from haloassay.mocks.stars import Stars

FloatArray = NDArray[np.float64]

POTENTIAL = make_potential(
    [{"kind": "nfw", "m200": 0.8e12, "c": 15.0}, {"kind": "mwpotential2014-baryons"}]
)
R_RANGE = (2.0, 250.0)
AROUND = Surroundings(POTENTIAL, R_RANGE)
HISTORY = AROUND.history
SATELLITES = ("stream", "shells", "gse")


#: A cluster that is none.
CLUSTER = {"ra": 200.0, "dec": 25.0, "distance": 15.0, "pmra": -3.0, "pmdec": -2.0, "vlos": -80.0}


def one(kind: str, fraction: float = 0.1, **spec: Any) -> Any:
    if kind in SATELLITES:
        spec = {"size": resized(1500), **spec}
    if kind == "satellites":
        spec = {"objects": [CLUSTER], **spec}
    return make_debris([{"kind": kind, "fraction": fraction, **spec}])[0]


def drawn(kind: str, n: int = 1000, seed: int = 1, **spec: Any) -> Stars:
    return one(kind, **spec).sampler(AROUND, seeded(seed))(n)


def energy(stars: Stars, potential: CompositePotential = POTENTIAL) -> FloatArray:
    return 0.5 * np.sum(stars.velocity**2, axis=1) + potential.potential(stars.r)


def angular_momentum(stars: Stars) -> FloatArray:
    return np.cross(stars.position, stars.velocity)


def components(stars: Stars) -> FloatArray:
    return spherical_velocity(stars.position, stars.velocity)
