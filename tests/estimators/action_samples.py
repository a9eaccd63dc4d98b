"""Stars of a double-power-law distribution function of actions in an NFW halo."""

from __future__ import annotations

import numpy as np
import roulette_samples as halo

from haloassay.base.constants import G
from haloassay.estimators.halo.actions import PotentialGrid, log_df_of, moments

#: slope_in, slope_out, j0 [kpc km/s], c_in, c_out, steepness.
DF = np.array([1.5, 5.5, 3000.0, 1.4, 1.0, 1.0])
EDGES = (5.0, 60.0)
M200, C200, R200, mass, potential = halo.M200, halo.C200, halo.R200, halo.mass, halo.potential


def table():
    return PotentialGrid("none", EDGES[0]).table(halo.M_S, halo.R_S)


def true_beta(r):
    _, radial, across = moments(np.log(np.atleast_1d(r)), table(), DF).T
    return float((1.0 - 0.5 * across / radial)[0])


def escape(r):
    return np.sqrt(2.0 * G * halo.M_S * np.log1p(r / halo.R_S) / r)


def radii_and_speeds(n, rng, edges=EDGES):
    """Radii, radial and tangential velocities of stars between two radii, by rejection."""

    def candidates(m):
        r = edges[0] * (edges[1] / edges[0]) ** rng.random(m)
        top = escape(r)
        v, angle = top * rng.random(m), 0.5 * np.pi * rng.random(m)
        across = v * np.sin(angle)
        log_f = log_df_of(np.log(r), 0.5 * v * v, r * across, table(), DF)
        with np.errstate(divide="ignore"):
            weight = log_f + 3.0 * np.log(r) + np.log(top * v * across)
        return r, v * np.cos(angle), across, weight

    most = float(np.max(candidates(100_000)[3])) + 0.5
    found = []
    while sum(len(each) for each in found) < n:
        *some, weight = candidates(20 * n)
        kept = np.log(rng.random(20 * n)) < weight - most
        found.append(np.column_stack(some)[kept])
    r, v_r, v_t = np.concatenate(found)[:n].T
    return r, v_r * rng.choice([-1.0, 1.0], n), v_t


def stars(n, rng, edges=EDGES):
    """Catalogue of the distribution function itself."""
    return halo.catalogue_of(*radii_and_speeds(n, rng, edges), rng)
