"""Stars of a double-power-law distribution function of actions in an NFW halo."""

from __future__ import annotations

import numpy as np
import roulette_samples as halo

from haloassay.base.constants import G
from haloassay.estimators.halo.actions import PotentialGrid, draw_stars, moments

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
    return draw_stars(n, edges, table(), DF, escape, rng)


def stars(n, rng, edges=EDGES):
    """Catalogue of the distribution function itself."""
    return halo.catalogue_of(*radii_and_speeds(n, rng, edges), rng)
