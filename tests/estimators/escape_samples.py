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
    seen = np.abs(v + error * rng.standard_normal(len(r)))
    rows = np.flatnonzero(seen > V_MIN)[:n]
    assert len(rows) == n
    toward, way = rng.standard_normal((2, n, 3))
    toward /= np.linalg.norm(toward, axis=1)[:, None]
    way /= np.linalg.norm(way, axis=1)[:, None]
    columns = np.hstack([r[rows, None] * toward, seen[rows, None] * way]).T
    errors = {f"v{axis}_err": np.full(n, error) for axis in "xyz"} if error else {}
    names = ("x", "y", "z", "vx", "vy", "vz")
    return Catalogue.from_arrays(**dict(zip(names, columns, strict=True)), **errors)
