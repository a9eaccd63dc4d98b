"""Draws from the posterior of a match by emcee's ensemble sampler (Foreman-Mackey et al. 2013), and its best point."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from haloassay.analysis.matching import Likeness
from haloassay.base.arrays import FloatArray
from haloassay.base.errors import InputError

LogDensity = Callable[[FloatArray], FloatArray]

#: Points that are looked at first, and the best of them from which the best is sought.
_SCOUTS: Final = 4096
_STARTS: Final = 3
#: Steps of the walkers at a time, the most of them, and the autocorrelation times after which there are enough.
_STEPS: Final = 400
_MOST: Final = 4000
_TIMES: Final = 40.0
#: Width of the ball in which walkers start, in the region.
_BALL: Final = 0.03
#: Share of the prior's or region's width that is its edge.
EDGE: Final = 0.02


@dataclass(frozen=True)
class Draws:
    """Draws from a posterior.

    Parameters
    ----------
    u
        (n, d) draws, in the cube of the priors.
    best
        (d,) where it is largest.
    autocorrelation
        Steps after which walkers have forgotten where they were, the largest of all settings.
    enough
        Whether the chain is many times as long.
    """

    u: FloatArray
    best: FloatArray
    autocorrelation: float
    enough: bool


def explore(
    likeness: Likeness, rng: np.random.Generator, n_draws: int = 1000, temperature: float = 1.0
) -> Draws:
    """Draw from the posterior to the power 1 / ``temperature``: wider than it where that is above 1.

    Raises
    ------
    InputError
        If no number can be used, or nothing in the region is possible.
    """
    import emcee
    from scipy.stats import qmc

    if not likeness.used.any():
        raise InputError(
            f"match: none of the measured numbers can be emulated: {likeness.emulators[0].refused}"
        )
    region = likeness.region
    d = len(region.centre)

    def log_density(x: FloatArray) -> FloatArray:
        return likeness.log_density(region.at(x)) / temperature

    scouts = np.clip(np.asarray(qmc.Sobol(d, rng=rng).random(_SCOUTS)), 1e-6, 1.0 - 1e-6)
    best = _best(log_density, scouts)
    n_walkers = max(4 * d, 24)
    walkers = _ball(log_density, best, n_walkers, rng)
    moves = [(emcee.moves.StretchMove(), 0.5), (emcee.moves.DEMove(), 0.5)]
    sampler = emcee.EnsembleSampler(n_walkers, d, log_density, vectorize=True, moves=moves)
    legacy = np.random.RandomState(rng.integers(2**32, dtype=np.uint32))  # what emcee runs on
    state = emcee.State(walkers, random_state=legacy.get_state())
    tau = np.inf
    for steps in range(_STEPS, _MOST + 1, _STEPS):
        state = sampler.run_mcmc(state, _STEPS)
        with np.errstate(divide="ignore", invalid="ignore"):  # a walker that never moves has none
            tau = float(
                np.max(sampler.get_autocorr_time(tol=0, discard=steps // 4, has_walkers=True))
            )
        if np.isfinite(tau) and 0.75 * steps > _TIMES * tau:
            break
    n = sampler.iteration
    chain = sampler.get_chain(discard=n // 4, flat=True)
    logs = sampler.get_log_prob(discard=n // 4, flat=True)
    chosen = rng.choice(len(chain), n_draws, replace=len(chain) < n_draws)
    top = chain[int(np.argmax(logs))]
    if log_density(best[None])[0] > logs.max():
        top = best
    enough = bool(np.isfinite(tau) and 0.75 * n > 0.5 * _TIMES * tau)
    return Draws(region.at(chain[chosen]), region.at(top[None])[0], tau, enough)


def _best(log_density: LogDensity, scouts: FloatArray) -> FloatArray:
    """Find where a density is largest: from the best of some points on."""
    from scipy.optimize import minimize

    logs = log_density(scouts)
    if not np.isfinite(logs).any():
        raise InputError("match: nothing of the region that is looked at is within the priors")
    starts = scouts[np.argsort(logs)[::-1][:_STARTS]]
    d = scouts.shape[1]

    def loss(x: FloatArray) -> tuple[float, FloatArray]:
        steps = 1e-4 * np.where(x > 0.5, -1.0, 1.0)
        values = log_density(np.vstack([x, x + np.diag(steps)]))
        if not np.isfinite(values[0]):
            return 1e12, np.zeros(d)
        slopes = (np.where(np.isfinite(values[1:]), values[1:], values[0]) - values[0]) / steps
        return -float(values[0]), -slopes

    found = [
        minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(0.0, 1.0)] * d).x
        for start in starts
    ]
    points = np.vstack([starts, found])
    return np.asarray(points[int(np.nanargmax(log_density(points)))])


def _ball(
    log_density: LogDensity, centre: FloatArray, n: int, rng: np.random.Generator
) -> FloatArray:
    """Points of finite density about ``centre``, within the region."""
    width = np.full(n, _BALL)
    walkers = np.empty((n, len(centre)))
    todo = np.ones(n, dtype=bool)
    for _ in range(200):
        moved = centre + width[todo, None] * rng.standard_normal((int(todo.sum()), len(centre)))
        walkers[todo] = np.abs(1.0 - np.abs(1.0 - moved))  # mirrored at the walls
        todo = ~np.isfinite(log_density(walkers))
        if not todo.any():
            return walkers
        width[todo] *= 0.9
    raise InputError("match: nothing about the best point is possible")


def at_edge(draws: FloatArray) -> FloatArray:
    """Share (d, 2) of draws (n, d) at the lower and the upper edge of the prior, each 2 per cent of it wide."""
    return np.stack([(draws < EDGE).mean(axis=0), (draws > 1.0 - EDGE).mean(axis=0)], axis=1)


def leaves(draws: FloatArray, likeness: Likeness) -> bool:
    """Whether draws gather at a wall of the region that is none of the prior: it is too small, or lies beside them."""
    x = likeness.region.local(draws)
    walls = np.concatenate([x < EDGE, x > 1.0 - EDGE], axis=1)
    off = ((draws > EDGE) & (draws < 1.0 - EDGE)).all(axis=1, keepdims=True)
    return bool(((walls & off).mean(axis=0) > 2.0 * EDGE).any())
