"""Catalogues that determine next to nothing: no scatter, one place, one direction, a handful of stars."""

from __future__ import annotations

import numpy as np
from seeds import seeded

from haloassay.contracts.catalogue import Catalogue

#: Errors of an observer, so that all estimators can be asked.
_ERRORS = {"distance_err": 1.0, "pmra_err": 0.05, "pmdec_err": 0.05, "vlos_err": 5.0}


def stars(n, seed=0):
    rng = seeded(seed)
    return {
        "ra": rng.uniform(0.0, 360.0, n),
        "dec": np.degrees(np.arcsin(rng.uniform(-1.0, 1.0, n))),
        "distance": rng.uniform(10.0, 60.0, n),
        "pmra": rng.normal(0.0, 0.5, n),
        "pmdec": rng.normal(0.0, 0.5, n),
        "vlos": rng.normal(0.0, 120.0, n),
        "feh": rng.normal(-1.5, 0.3, n),
        "alpha_fe": rng.normal(0.2, 0.1, n),
    }


def _catalogue(columns, errors):
    n = len(columns["ra"])
    stated = {name: np.full(n, value) for name, value in errors.items()}
    return Catalogue.from_arrays(origin="stars", **columns, **stated)


def _galactocentric(position, velocity, n):
    parts = [np.broadcast_to(part, (n, 3)) for part in (position, velocity)]
    both = np.concatenate(parts, axis=1).T
    names = ("x", "y", "z", "vx", "vy", "vz")
    chemistry = {"feh": np.full(n, -1.5), "alpha_fe": np.full(n, 0.2)}
    return Catalogue.from_arrays(
        origin="stars", **dict(zip(names, both.copy(), strict=True)), **chemistry
    )


def track(step, n=12):
    """Equal velocities along an arc, as tracks of streams without kinematics have them."""
    along = step * np.arange(n)
    zero = np.zeros(n)
    columns = {"ra": 100.0 + along, "dec": 10.0 + 0.5 * along, "distance": 20.0 + 0.1 * along}
    return {**columns, "pmra": zero, "pmdec": zero, "vlos": zero, "feh": zero, "alpha_fe": zero}


def degenerate(n=120):
    """Name to catalogue."""
    sky = stars(n)
    one = {name: np.full(n, values[0]) for name, values in sky.items()}
    rng = seeded(1)
    direction = rng.normal(size=(n, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    velocity = rng.normal(0.0, 100.0, (n, 3))
    flat = np.array([1.0, 1.0, 0.0])
    return {
        **{f"track {step}": _catalogue(track(step), {}) for step in (0.001, 0.1, 20.0)},
        "track with errors": _catalogue(track(0.1), _ERRORS),
        "long track": _catalogue(track(0.1, n), _ERRORS),
        "one star n times": _catalogue(one, _ERRORS),
        "one star n times, exact": _catalogue(one, {}),
        "one place": _catalogue({**sky, **{k: one[k] for k in ("ra", "dec", "distance")}}, _ERRORS),
        "one direction": _catalogue({**sky, **{k: one[k] for k in ("ra", "dec")}}, _ERRORS),
        "one velocity": _catalogue({**sky, **{k: one[k] for k in ("pmra", "pmdec", "vlos")}}, {}),
        "zero proper motions": _catalogue(
            {**sky, "pmra": 0.0 * one["ra"], "pmdec": 0.0 * one["ra"]}, _ERRORS
        ),
        "zero vlos": _catalogue({**sky, "vlos": 0.0 * one["ra"]}, _ERRORS),
        "two stars": _catalogue({k: v[:2] for k, v in sky.items()}, _ERRORS),
        "one star": _catalogue({k: v[:1] for k, v in sky.items()}, _ERRORS),
        "two stars many times": _catalogue(
            {k: np.tile(v[:2], n // 2) for k, v in sky.items()}, _ERRORS
        ),
        "equal radii": _galactocentric(20.0 * direction, velocity, n),
        "equal radii at rest": _galactocentric(20.0 * direction, 0.0 * velocity, n),
        "at rest": _galactocentric(direction * rng.uniform(10.0, 60.0, (n, 1)), 0.0 * velocity, n),
        "at one place": _galactocentric(np.array([10.0, 5.0, 3.0]), velocity, n),
        "on one ray": _galactocentric(
            np.array([1.0, 0.5, 0.3]) * rng.uniform(10.0, 60.0, (n, 1)), velocity, n
        ),
        "in a plane": _galactocentric(flat * direction * 30.0, flat * velocity, n),
        "radial velocities only": _galactocentric(
            direction * 30.0, direction * rng.normal(0.0, 100.0, (n, 1)), n
        ),
        "on the z axis": _galactocentric(np.array([0.0, 0.0, 20.0]), velocity, n),
        "in the centre": _galactocentric(np.zeros(3), velocity, n),
        "enormous errors": _catalogue(sky, dict.fromkeys(_ERRORS, 1000000.0)),
    }
