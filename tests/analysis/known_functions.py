"""Functions of the unit cube whose indices are known, and their responses in a Saltelli design."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import qmc

G_A = np.array([0.0, 1.0, 4.5, 9.0, 99.0, 99.0])


@dataclass(frozen=True)
class Known:
    """A function, its variance and its indices."""

    name: str
    function: Callable[[np.ndarray], np.ndarray]
    variance: float
    first: np.ndarray
    total: np.ndarray
    pairs: np.ndarray


def ishigami(x: np.ndarray) -> np.ndarray:
    """Return sin u_1 + 7 sin^2 u_2 + 0.1 u_3^4 sin u_1, u = pi (2 x - 1)."""
    u = np.pi * (2.0 * x - 1.0)
    sine = np.sin(u[..., 0])
    return sine + 7.0 * np.sin(u[..., 1]) ** 2 + 0.1 * u[..., 2] ** 4 * sine


def g_function(x: np.ndarray) -> np.ndarray:
    """Return the product of (abs(4 x_i - 2) + a_i) / (1 + a_i)."""
    return np.prod((np.abs(4.0 * x - 2.0) + G_A) / (1.0 + G_A), axis=-1)


def known_ishigami() -> Known:
    v1, v2 = 0.5 * (1.0 + 0.1 * np.pi**4 / 5.0) ** 2, 49.0 / 8.0
    v13 = 0.01 * np.pi**8 * (1.0 / 18.0 - 1.0 / 50.0)
    v = v1 + v2 + v13
    pairs = np.zeros((3, 3))
    pairs[0, 2] = pairs[2, 0] = v13 / v
    first, total = np.array([v1, v2, 0.0]) / v, np.array([v1 + v13, v2, v13]) / v
    return Known("Ishigami", ishigami, v, first, total, pairs)


def known_g() -> Known:
    parts = 1.0 / (3.0 * (1.0 + G_A) ** 2)
    whole = np.prod(1.0 + parts)
    share = parts / (1.0 + parts)  # of whole, all terms that have a factor
    v = whole - 1.0
    return Known(
        "g", g_function, v, parts / v, share * whole / v, np.outer(share, share) * whole / v
    )


def points(
    rows: int, factors: int, rng: np.random.Generator, kind: str = "independent"
) -> np.ndarray:
    """Draw A, B and all A_B^i, (2 + factors, rows, factors), of independent rows or of Sobol' points."""
    both = rng.random((rows, 2 * factors))
    if kind == "Sobol'":
        both = qmc.Sobol(2 * factors, rng=rng).random(rows)
    a, b = both[:, :factors], both[:, factors:]
    return np.stack([a, b, *(np.where(np.arange(factors) == i, b, a) for i in range(factors))])


def responses(
    known: Known,
    rows: int,
    replicates: int,
    noise: str,
    rng: np.random.Generator,
    kind: str = "independent",
) -> np.ndarray:
    """Draw responses (2 + factors, rows, replicates).

    All matrices share the noise of a row and replicate, of the variance of the function ("equal"), of a deviation
    that grows with the first factor from half to one and a half times that of the function ("depends"), or "none".
    """
    x = points(rows, len(known.first), rng, kind)
    z = np.sqrt(known.variance) * rng.standard_normal((rows, replicates))
    size = {"none": 0.0, "equal": 1.0, "depends": 0.5 + x[..., :1]}[noise]
    return known.function(x)[..., None] + size * z
