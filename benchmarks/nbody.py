"""A small N-body run of two halos: equilibria to start from, forces by a tree, leapfrog.

Forces between particles are those of pytreegrav (Grudic & Gurvich 2021, a Barnes-Hut tree in numba; ``pip install
pytreegrav``). What is not dark of the first halo is one rigid, spherical body, which pulls all particles and is pulled
by all of them. Units: kpc, km/s, Msun, time in kpc/(km/s).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from haloassay.base.constants import GYR_PER_KPC_KMS, G

#: Step [Gyr], Plummer softening [kpc], and opening angle of the tree.
STEP = 0.005
SOFTENING = 0.7
OPENING = 0.8


@dataclass
class State:
    """Particles, and the rigid body, whose place and velocity are the last row of each table."""

    x: np.ndarray
    v: np.ndarray
    mass: np.ndarray


def draw(
    n: int,
    enclosed: Callable[[np.ndarray], np.ndarray],
    total: Callable[[np.ndarray], np.ndarray],
    edge: float,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, float]:
    """Isotropic equilibrium of n particles of one mass: positions, velocities and that mass.

    ``enclosed`` is the mass of the particles' own body within a radius, ``total`` that of all. Radii are quantiles of
    the mass, and each particle has an opposite one, at -x with -v: at the start nothing odd comes from chance.
    """
    from scipy.interpolate import CubicSpline, PchipInterpolator

    ln_r = np.linspace(np.log(1e-2), np.log(edge), 1500)
    r = np.exp(ln_r)
    mass = enclosed(r)
    rho = np.maximum(CubicSpline(ln_r, mass)(ln_r, 1), 1e-30) / (4.0 * np.pi * r**3)
    pull = CubicSpline(ln_r, G * total(r) / r)
    psi = pull.antiderivative()(ln_r[-1]) - pull.antiderivative()(ln_r) + G * total(r[-1:]) / edge
    depth = PchipInterpolator(ln_r, psi)
    # d rho / d psi as a function of psi, and Eddington's integral by psi = E (1 - u^2)
    steep = np.gradient(np.log(rho), psi)
    slope = PchipInterpolator(psi[::-1], np.log(np.maximum(rho * steep, 1e-60))[::-1])
    nodes, weights = np.polynomial.legendre.leggauss(200)
    u = 0.5 * (nodes + 1.0)
    energy = psi[::-1]
    below = np.maximum(energy[:, None] * (1.0 - u**2), psi[-1])
    g = np.sqrt(energy) * (np.exp(slope(below)) @ weights)
    f = np.maximum(np.gradient(g, energy), 0.0)
    df = PchipInterpolator(energy, f)
    half = n // 2
    inside = (np.arange(half) + rng.random(half)) / half
    at = np.exp(np.interp(inside * mass[-1], mass, ln_r))
    share = np.linspace(0.0, 1.0, 129)
    top = np.sqrt(2.0 * depth(np.log(at)))
    speed = np.empty(half)
    for part in np.array_split(np.arange(half), max(1, half // 5000)):
        v = share * top[part, None]
        weight = v**2 * df(np.clip(0.5 * (top[part, None] ** 2 - v**2), energy[0], energy[-1]))
        total_of = np.cumsum(0.5 * (weight[:, 1:] + weight[:, :-1]), axis=1)
        total_of = np.hstack([np.zeros((len(part), 1)), total_of])
        wanted = rng.random(len(part)) * total_of[:, -1]
        speed[part] = [np.interp(w, c, row) for w, c, row in zip(wanted, total_of, v, strict=True)]
    x, v = at[:, None] * directions(half, rng), speed[:, None] * directions(half, rng)
    return np.concatenate([x, -x]), np.concatenate([v, -v]), float(mass[-1] / (2 * half))


def directions(n: int, rng: np.random.Generator) -> np.ndarray:
    """(n, 3) unit vectors at random."""
    toward = rng.standard_normal((n, 3))
    return toward / np.linalg.norm(toward, axis=1)[:, None]


def by_tree(x: np.ndarray, mass: np.ndarray, softening: float) -> np.ndarray:
    """(N, 3) accelerations of particles by the tree."""
    from pytreegrav import Accel

    soft = np.full(len(x), 2.8 * softening)
    return np.asarray(
        Accel(x, mass, soft, G=G, theta=OPENING, method="tree", parallel=True), dtype=float
    )


class Rigid:
    """A rigid sphere by its enclosed mass: what it does to particles, and they to it."""

    def __init__(self, enclosed: Callable[[np.ndarray], np.ndarray]) -> None:
        self.r = np.geomspace(1e-3, 3e3, 4000)
        self.mass = enclosed(self.r)

    def pull(self, offset: np.ndarray) -> np.ndarray:
        """(N, 3) accelerations at ``offset`` from its centre, softened."""
        d2 = np.sum(offset**2, axis=1) + (0.5 * SOFTENING) ** 2
        inside = np.interp(np.sqrt(d2), self.r, self.mass)
        return -G * (inside / d2**1.5)[:, None] * offset

    def potential(self, offset: np.ndarray) -> np.ndarray:
        """(N,) potential, whose gradient is minus :meth:`pull`."""
        d = np.sqrt(np.sum(offset**2, axis=1) + (0.5 * SOFTENING) ** 2)
        step = np.diff(self.r)
        per = self.mass / self.r**2
        gain = np.concatenate([[0.0], np.cumsum(0.5 * (per[1:] + per[:-1]) * step)])
        return -G * (np.interp(d, self.r, gain[-1] - gain) + self.mass[-1] / self.r[-1])


def accelerations(state: State, body: Rigid | None) -> np.ndarray:
    """(N + 1, 3) of particles and of the rigid body."""
    a = by_tree(state.x[:-1], state.mass[:-1], SOFTENING)
    if body is None:
        return np.vstack([a, np.zeros(3)])
    pull = body.pull(state.x[:-1] - state.x[-1])
    back = -(state.mass[:-1] @ pull) / state.mass[-1]
    return np.vstack([a + pull, back])


def energy(state: State, body: Rigid | None) -> tuple[float, float]:
    """Kinetic and potential energy [Msun (km/s)^2] of all."""
    from pytreegrav import Potential

    soft = np.full(len(state.x) - 1, 2.8 * SOFTENING)
    phi = Potential(state.x[:-1], state.mass[:-1], soft, G=G, theta=0.5, method="tree")
    deep = 0.5 * float(state.mass[:-1] @ phi)
    if body is not None:
        deep += float(state.mass[:-1] @ body.potential(state.x[:-1] - state.x[-1]))
    return 0.5 * float(state.mass @ np.sum(state.v**2, axis=1)), deep


def run(
    state: State,
    body: Rigid | None,
    steps: int,
    step: float,
    watch: Callable[[int, State], bool],
) -> None:
    """Move all by leapfrog (kick, drift, kick), in place; ``watch`` sees each step, and ends it by True."""
    dt = step / GYR_PER_KPC_KMS
    a = accelerations(state, body)
    if watch(0, state):
        return
    for k in range(1, steps + 1):
        state.v += 0.5 * dt * a
        state.x += dt * state.v
        a = accelerations(state, body)
        state.v += 0.5 * dt * a
        if watch(k, state):
            return
