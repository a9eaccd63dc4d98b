"""Mocks of agama's that several files of tests make, and the moments of their stars beside the truth."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from seeds import resized

from haloassay.base.errors import InputError
from haloassay.contracts.frames import spherical_velocity
from haloassay.mocks import make_mock
from haloassay.mocks.backends.agama.library import require_solver

HALO = {"kind": "nfw", "m200": 0.8e12, "c": 15.0}
TRIAXIAL = {
    "kind": "triaxial-nfw",
    "m200": 1e12,
    "c": 10.0,
    "axis_ratios": [0.8, 0.7],
    "tilt": [25.0, 40.0, 10.0],
}
RANGE = [3.0, 60.0]
HERNQUIST_TRACERS = {"kind": "hernquist", "a": 12.0}


def _lacking() -> str:
    """Why Schwarzschild models cannot be solved here; nothing where they can."""
    try:
        require_solver()
    except InputError as error:
        return str(error)
    return ""


LACKING = _lacking()
needs_solver = pytest.mark.skipif(bool(LACKING), reason=LACKING)


def shells(stars, mock, edges=(4.0, 8.0, 16.0, 32.0, 50.0)):
    """Dispersions, beta and mean v_phi of each shell, with their Monte Carlo errors, beside the truth."""
    v = spherical_velocity(stars.position, stars.velocity)
    for lo, hi in pairwise(edges):
        members = stars.select((stars.r >= lo) & (stars.r < hi))
        u = v[(stars.r >= lo) & (stars.r < hi)]
        n, sigma = len(u), u.std(axis=0)
        assert n > 1000
        # of the fourth moment, which is not a Gaussian's
        errors = 0.5 * np.sqrt(((u - u.mean(axis=0)) ** 4).mean(axis=0) / sigma**4 - 1) / np.sqrt(n)
        truth = [
            mock.truth.value(f"sigma_{c}", r_lo=lo, r_hi=hi, r=np.sqrt(lo * hi), stars=members)
            for c in ("r", "theta", "phi")
        ]
        rotation = mock.truth.value(
            "mean_v_phi", r_lo=lo, r_hi=hi, r=np.sqrt(lo * hi), stars=members
        )
        yield n, sigma, errors * sigma, np.array(truth), u[:, 2].mean(), rotation


def schwarzschild(potential, beta, **distribution):
    """Mock of an orbit library, small enough for a test."""
    spec = {"kind": "schwarzschild", "size": resized(20_000), "drift_time": 1.0} | distribution
    table = {"kind": "agama", "potential": potential, "density": HERNQUIST_TRACERS}
    return make_mock(table | {"beta": beta, "r_range": RANGE, "distribution": spec})
