"""Stars of the power-law distribution function, seen from the Sun with errors, within observed radii."""

from __future__ import annotations

import numpy as np
from test_power_law_df import own_model

from haloassay.contracts.catalogue import Catalogue
from haloassay.contracts.frames import Sun, galactocentric_to_heliocentric

EDGES = (12.0, 80.0)
#: Of ln distance, of proper motions [mas/yr], and of line-of-sight velocities [km/s].
ERRORS = (0.1, 0.05, 10.0)


def seen(n, rng, errors=ERRORS, **model) -> Catalogue:
    """``n`` stars whose observed radii are between EDGES; true ones reach beyond both."""
    for spare in (3, 6):  # shallow densities have fewer within
        stars = observed(own_model(spare * n + 100, rng, edges=(6.0, 200.0), **model), rng, errors)
        rows = np.flatnonzero((stars.r > EDGES[0]) & (stars.r < EDGES[1]))[:n]
        if len(rows) == n:
            return stars.select(rows)
    raise ValueError(f"too few stars within {EDGES}: {len(rows)} of {n}")


def observed(all_of, rng, errors) -> Catalogue:
    """Stars as the Sun sees them, with errors."""
    true = galactocentric_to_heliocentric(all_of.position, all_of.velocity, Sun())
    z = rng.standard_normal((4, len(all_of)))
    in_log, moving, along = errors
    distance = true["distance"] * np.exp(in_log * z[0])
    columns = {
        **true,
        "distance": distance,
        "pmra": true["pmra"] + moving * z[1],
        "pmdec": true["pmdec"] + moving * z[2],
        "vlos": true["vlos"] + along * z[3],
        "distance_err": in_log * distance,
        "pmra_err": np.full(len(distance), moving),
        "pmdec_err": np.full(len(distance), moving),
        "vlos_err": np.full(len(distance), along),
    }
    return Catalogue.from_arrays(**columns)


def without(stars, *names) -> Catalogue:
    """The same stars without columns of these measurements."""
    gone = {*names, *(f"{name}_err" for name in names)}
    return Catalogue.from_arrays(**{k: v for k, v in stars.columns.items() if k not in gone})
