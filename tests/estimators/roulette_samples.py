"""Stars at random phases of their orbits in an NFW halo, by tables of each orbit."""

from __future__ import annotations

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.constants import G
from haloassay.contracts.catalogue import Catalogue
from haloassay.contracts.frames import spherical_basis
from haloassay.contracts.profiles import nfw_shape, virial_radius

M200, C200, H0 = 1e12, 12.0, 67.8
R200 = float(virial_radius(M200, H0))
R_S = R200 / C200
M_S = M200 / float(nfw_shape(C200))
EDGES = (5.0, 60.0)


def mass(r):
    return M_S * nfw_shape(np.asarray(r) / R_S)


def potential(r):
    return -G * M_S * np.log1p(r / R_S) / r


def radial_square(r, energy, momentum):
    """v_r^2 of an energy and an angular momentum."""
    return 2.0 * (energy - potential(r)) - (momentum / r) ** 2


def turning(inner, outer, energy, momentum):
    """Radius between two, in one of which v_r^2 is positive and in the other negative."""
    for _ in range(70):
        middle = np.sqrt(inner * outer)
        allowed = radial_square(middle, energy, momentum) > 0.0
        inner, outer = np.where(allowed, middle, inner), np.where(allowed, outer, middle)
    return inner


def orbits(n, rng):
    """Energies and angular momenta of bound stars on all sorts of orbits, and a radius on each."""
    r = 3.0 * 40.0 ** rng.random(2 * n)
    v = np.sqrt(G * mass(r) / r)[:, None] * [0.75, 0.5, 0.5] * rng.standard_normal((2 * n, 3))
    energy = 0.5 * np.sum(v**2, axis=1) + potential(r)
    bound = np.flatnonzero(energy < potential(400.0))[:n]
    return energy[bound], r[bound] * np.hypot(v[bound, 1], v[bound, 2]), r[bound]


def stars(n, rng) -> Catalogue:
    """Stars between :data:`EDGES`, anywhere on their orbits."""
    found: list[FloatArray] = []
    while sum(len(each) for each in found) < n:
        energy, momentum, r = orbits(2000, rng)
        inner = turning(r, np.full_like(r, 1e-4), energy, momentum)
        outer = turning(r, np.full_like(r, 2e3), energy, momentum)
        # r = middle - half cos(a): dr / v_r is smooth in a
        a = np.linspace(0.0, np.pi, 401)
        middle, half = 0.5 * (inner + outer), 0.5 * (outer - inner)
        at = middle[:, None] - half[:, None] * np.cos(a[:-1] + 0.5 * (a[1] - a[0]))
        square = radial_square(at, energy[:, None], momentum[:, None])
        rate = (
            half[:, None] * np.sin(a[:-1] + 0.5 * (a[1] - a[0])) / np.sqrt(np.maximum(square, 1e-9))
        )
        time = np.concatenate([np.zeros((len(r), 1)), np.cumsum(rate, axis=1)], axis=1)
        wanted = rng.random(len(r)) * time[:, -1]
        angle = np.array([np.interp(w, t, a) for w, t in zip(wanted, time, strict=True)])
        now = middle - half * np.cos(angle)
        radial = np.sqrt(np.maximum(radial_square(now, energy, momentum), 0.0))
        seen = (now > EDGES[0]) & (now < EDGES[1])
        found.append(np.column_stack([now, radial, momentum / now])[seen])
    r, radial, across = np.concatenate(found)[:n].T
    return catalogue_of(r, radial * rng.choice([-1.0, 1.0], n), across, rng)


def catalogue_of(r, radial, across, rng) -> Catalogue:
    """Catalogue of radii and velocities, turned at random."""
    toward = rng.standard_normal((len(r), 3))
    toward /= np.linalg.norm(toward, axis=1)[:, None]
    angle = rng.uniform(0.0, 2.0 * np.pi, len(r))
    spherical = np.column_stack([radial, across * np.cos(angle), across * np.sin(angle)])
    velocity = np.einsum("nk,nki->ni", spherical, spherical_basis(toward))
    columns = np.hstack([r[:, None] * toward, velocity]).T
    return Catalogue.from_arrays(
        **dict(zip(("x", "y", "z", "vx", "vy", "vz"), columns, strict=True))
    )
