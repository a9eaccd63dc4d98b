"""Stars of a satellite: the most bound particles of its dark halo, an isotropic NFW sphere.

In units of the mass 4 pi rho0 r_s^3, of r_s, and of G = 1. An energy is told by the radius x at which a star of it is
at rest, the farthest that it comes: the most bound have the least.
"""

from __future__ import annotations

import functools
from typing import Final, NamedTuple

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.contracts.profiles import nfw_shape

#: Ends of the table of farthest radii, and its points.
_FARTHEST: Final = (1e-5, 1e4)
_POINTS: Final = 600
#: Nodes of the integrals over potentials and radii, and points of the table of radii along orbits of one energy.
_NODES: Final = np.polynomial.legendre.leggauss(96)
_ALONG: Final = 48


class Tagged(NamedTuple):
    """Stars about the centre of their satellite: (N, 3) positions and velocities, (N,) farthest radii."""

    position: FloatArray
    velocity: FloatArray
    farthest: FloatArray


def _depth(x: FloatArray) -> FloatArray:
    """1 - ln(1 + x) / x, without cancellation at small x."""
    series = x * (0.5 - x * (1.0 / 3.0 - x * (0.25 - 0.2 * x)))
    return np.where(x < 1e-3, series, 1.0 - np.log1p(x) / x)


def _curvature(x: FloatArray) -> FloatArray:
    """Second derivative of the density by the potential psi = ln(1 + x) / x, at radii x."""
    m = nfw_shape(x)
    slope = (1.0 + 3.0 * x) / (4.0 * np.pi * (1.0 + x) ** 3 * m)
    falls = 3.0 / (1.0 + 3.0 * x) - 3.0 / (1.0 + x) - x / ((1.0 + x) ** 2 * m)
    return np.asarray(-slope * falls * x**2 / m)


@functools.cache
def _energies() -> tuple[FloatArray, FloatArray]:
    """Logarithms of farthest radii, and of the mass of all particles that are as bound (Eddington 1916)."""
    x = np.geomspace(*_FARTHEST, _POINTS)
    depth = _depth(x)
    psi = 1.0 - depth
    fine = np.geomspace(_FARTHEST[0] / 10.0, 1e12, 6000)
    place = np.log(_depth(fine)) - np.log(np.log1p(fine) / fine)
    nodes, weights = _NODES
    # psi' = psi - depth sinh^2 s: the root at psi is gone, and the cusp of the centre is resolved
    top = np.arcsinh(np.sqrt(psi / depth))
    s = 0.5 * top[:, None] * (nodes + 1.0)
    below = depth[:, None] * np.cosh(s) ** 2
    rest = np.maximum(1.0 - below, 1e-300)
    at = np.exp(np.interp(np.log(below) - np.log(rest), place, np.log(fine)))
    steps = 0.5 * top[:, None] * weights * 2.0 * np.sqrt(depth)[:, None] * np.cosh(s)
    df = np.sum(_curvature(at) * steps, axis=1) / (np.sqrt(8.0) * np.pi**2)
    u = 0.5 * (nodes + 1.0)
    r = x[:, None] * u
    speed = np.sqrt(2.0 * np.maximum(depth[:, None] - _depth(r), 0.0))
    volume = 16.0 * np.pi**2 * np.sum(0.5 * weights * x[:, None] * r**2 * speed, axis=1)
    # d psi = -m / x^2 dx
    per_ln_x = df * volume * nfw_shape(x) / x
    ln_x = np.log(x)
    steps_x = 0.5 * (per_ln_x[1:] + per_ln_x[:-1]) * np.diff(ln_x)
    # within the first radius the mass goes as the power that it has there
    power = np.log(per_ln_x[1] / per_ln_x[0]) / (ln_x[1] - ln_x[0])
    first = per_ln_x[0] / power
    return ln_x, np.log(first + np.concatenate([[0.0], np.cumsum(steps_x)]))


def bound_mass(farthest: FloatArray) -> FloatArray:
    """Mass of all particles that come no farther than this."""
    return np.exp(np.interp(np.log(farthest), *_energies()))


def tagged(least: FloatArray, most: FloatArray, rng: np.random.Generator) -> Tagged:
    """Stars, each drawn from the most bound particles of a halo without those that are still more bound.

    Parameters
    ----------
    least, most
        (N,) masses of the still more bound ones, and of all.
    """
    n = len(most)
    ln_x, ln_mass = _energies()
    wanted = np.log(most - (most - least) * rng.random(n))
    farthest = np.exp(np.interp(wanted, ln_mass, ln_x))
    u = np.linspace(0.0, 1.0, _ALONG + 1)
    r = farthest[:, None] * u
    depth = _depth(farthest)
    density = u**2 * np.sqrt(np.maximum(depth[:, None] - _depth(np.maximum(r, 1e-12)), 0.0))
    cumulative = np.cumsum(0.5 * (density[:, 1:] + density[:, :-1]), axis=1)
    cumulative = np.concatenate([np.zeros((n, 1)), cumulative], axis=1)
    share = rng.random(n) * cumulative[:, -1]
    cell = np.clip(np.sum(cumulative <= share[:, None], axis=1) - 1, 0, _ALONG - 1)
    rows = np.arange(n)
    gain = cumulative[rows, cell + 1] - cumulative[rows, cell]
    part = (share - cumulative[rows, cell]) / gain
    radius = farthest * (u[cell] + part * (u[cell + 1] - u[cell]))
    speed = np.sqrt(2.0 * np.maximum(depth - _depth(radius), 0.0))
    return Tagged(
        radius[:, None] * directions(n, rng), speed[:, None] * directions(n, rng), farthest
    )


def directions(n: int, rng: np.random.Generator) -> FloatArray:
    """(n, 3) unit vectors at random."""
    toward = rng.standard_normal((n, 3))
    return np.asarray(toward / np.linalg.norm(toward, axis=1)[:, None])
