"""Stars of the tail of speeds itself, (v_esc - v)^k, seen above a speed with errors."""

from __future__ import annotations

import numpy as np

from haloassay.contracts.catalogue import Catalogue

V_ESC, K, SLOPE, V_MIN = 530.0, 1.8, 0.25, 300.0
R_0, EDGES = 8.0, (6.0, 11.0)


def escape_speed(r):
    return V_ESC * (np.asarray(r) / R_0) ** -SLOPE


def tail(n, rng, error=15.0, slope=SLOPE, k=K) -> Catalogue:
    """``n`` stars whose observed speeds are above V_MIN, each in a direction of its own."""
    r = rng.uniform(*EDGES, 12 * n)
    top = V_ESC * (r / R_0) ** -slope
    lowest = V_MIN - 6.0 * error
    v = top - (top - lowest) * rng.random(len(r)) ** (1.0 / (k + 1.0))
    # of equal shares at every radius above the lowest speed: above V_MIN each has its own
    seen = _seen(v, error, rng)
    rows = np.flatnonzero(seen > V_MIN)[:n]
    assert len(rows) == n
    return _catalogue(r[rows], seen[rows], error, rng)


#: Powers of two components, shares of them among the stars above V_MIN, and outliers.
POWERS, SHARES = (4.0, 1.0), (0.6, 0.4)
OUTLIERS, SIGMA_OUT = 0.01, 1000.0


def mixed(
    n,
    rng,
    error=15.0,
    v_esc=V_ESC,
    slope=SLOPE,
    powers=POWERS,
    shares=SHARES,
    outliers=OUTLIERS,
    sigma=SIGMA_OUT,
) -> Catalogue:
    """``n`` stars of components of one escape speed and of outliers, in the same shares at every radius."""
    r = rng.uniform(*EDGES, n)
    top = v_esc * (r / R_0) ** -slope
    lowest = V_MIN - 6.0 * error
    k = rng.choice(powers, n, p=shares)
    out = rng.random(n) < outliers
    seen, left = np.zeros(n), np.arange(n)
    while len(left):
        v = top[left] - (top[left] - lowest) * rng.random(len(left)) ** (1.0 / (k[left] + 1.0))
        v = np.where(out[left], np.abs(sigma * rng.standard_normal(len(left))), v)
        seen[left] = _seen(v, error, rng)
        left = left[seen[left] <= V_MIN]
    return _catalogue(r, seen, error, rng)


def _seen(v, error, rng):
    """Speeds of which each component of the velocity has an error."""
    along, *across = error * rng.standard_normal((3, len(v)))
    return np.sqrt((v + along) ** 2 + across[0] ** 2 + across[1] ** 2)


def _catalogue(r, speed, error, rng) -> Catalogue:
    """Stars at ``r`` in directions of their own, as their velocities are."""
    toward, way = rng.standard_normal((2, len(r), 3))
    toward /= np.linalg.norm(toward, axis=1)[:, None]
    way /= np.linalg.norm(way, axis=1)[:, None]
    columns = np.hstack([r[:, None] * toward, speed[:, None] * way]).T
    errors = {f"v{axis}_err": np.full(len(r), error) for axis in "xyz"} if error else {}
    names = ("x", "y", "z", "vx", "vy", "vz")
    return Catalogue.from_arrays(**dict(zip(names, columns, strict=True)), **errors)
