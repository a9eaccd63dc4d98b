"""Posteriors: adaptive quadrature, importance sampling, and the ensemble sampler of the papers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike

from haloassay.base.arrays import FloatArray
from haloassay.base.errors import EstimationError
from haloassay.base.settings import require
from haloassay.estimators.fit.importance import WIDER, importance_sample, resampled_rows
from haloassay.estimators.fit.laplace import Derivatives, LogDensity, UniformPrior, laplace

Sampler = Literal["quadrature", "emcee"]

#: How :func:`explore` draws from a posterior: methods of which each is tried where the one before it
#: cannot be trusted, one alone, or what is best for the number of parameters.
Method = Literal["quadrature", "importance", "emcee"]
Exploration = Literal["auto"] | Method | tuple[Method, ...]

#: Autocorrelation times that a chain must be long, after what is thrown away: the scatter of its
#: walkers' means is then at most 0.7 of the posterior's width; it is all of it where none ever moves.
MIN_TIMES: Final = 2.0
#: Steps kept below which an autocorrelation time cannot be found: of fewer, a drifting chain looks like one that mixes.
_SHORTEST: Final = 50

#: Points a side of the grid that finds the posterior, and of those that draw from it, by dimension.
_SCOUT: Final = {1: 65, 2: 25, 3: 15}
_GRIDS: Final = {1: (257, 4097), 2: (65, 129, 257, 513, 1025), 3: (33, 65, 129)}


@dataclass(frozen=True)
class EmceeRun:
    """Length of a run of emcee's ensemble sampler (Foreman-Mackey et al. 2013).

    Parameters
    ----------
    walkers
        Number of walkers.
    steps
        Steps of each walker, those that are thrown away included.
    burn
        Steps thrown away at the start.
    """

    walkers: int
    steps: int
    burn: int

    def __post_init__(self) -> None:
        require(self.walkers >= 8, f"walkers: at least 8 (got {self.walkers})")
        require(
            0 <= self.burn < self.steps, f"burn: fewer than steps, {self.steps} (got {self.burn})"
        )


def quadrature(
    log_density: LogDensity,
    start: ArrayLike,
    scale: ArrayLike,
    n_draws: int,
    rng: np.random.Generator,
) -> FloatArray:
    """Independent draws from a density of 1 to 3 parameters, by a grid that fits itself to it.

    A coarse grid moves, turns and stretches until it covers the density in coordinates in which it
    has unit covariance. A finer grid gives each cell a weight, the largest of its own and its
    neighbours'; points drawn from it, uniform inside a cell, are kept by their density over that
    weight. So edges of a prior and what is finer than a cell are drawn as they are; the grid is
    refined until enough points are kept that no draw occurs twice.

    Parameters
    ----------
    log_density
        Log density of (m, d) points, (m,); it may be unnormalised, and is -inf where the prior
        excludes.
    start
        (d,) point of finite density.
    scale
        (d,) rough widths of the density; factors of thousands off are fine.
    n_draws
        Number of draws.
    rng
        Source of randomness.

    Returns
    -------
    ndarray
        (n_draws, d) draws.

    Raises
    ------
    EstimationError
        If the density is not finite at ``start``, does not fall off, or is too rough for the finest
        grid.
    """
    frame = _cover(log_density, np.array(start, float), np.diag(np.array(scale, float)))
    for n in _GRIDS[len(frame[0])]:
        points, weights = _candidates(log_density, frame, n, 4 * n_draws, rng)
        if weights.max() * n_draws < 1.0 and np.sum(weights**2) * len(weights) < 2.5:
            return points[resampled_rows(weights, n_draws, rng)]
    raise EstimationError("the posterior is too rough to be drawn from on a grid")


def _candidates(
    log_density: LogDensity,
    frame: tuple[FloatArray, FloatArray, float],
    n: int,
    n_candidates: int,
    rng: np.random.Generator,
) -> tuple[FloatArray, FloatArray]:
    """Points (n_candidates, d) from the cells of a grid of n^d, and weights that sum to one."""
    centre, axes, half = frame
    d = len(centre)
    u, cell = _midpoints(d, n, half)
    proposal = _weights(log_density(centre + u @ axes.T)).reshape((n,) * d)
    for axis in range(d):
        padded = np.pad(proposal, [(1, 1) if k == axis else (0, 0) for k in range(d)])
        windows = np.lib.stride_tricks.sliding_window_view(padded, 3, axis=axis)
        proposal = windows.max(axis=-1)
    cumulated = np.cumsum(proposal)
    chosen = np.searchsorted(cumulated, rng.random(n_candidates) * cumulated[-1], side="right")
    points = centre + (u[chosen] + cell * (rng.random((n_candidates, d)) - 0.5)) @ axes.T
    density = log_density(points)
    return points, _weights(density - np.log(proposal.ravel()[chosen]))


def _midpoints(d: int, n: int, half: float) -> tuple[FloatArray, float]:
    """(n^d, d) midpoints of the cells of a grid over [-half, half]^d, and the width of a cell."""
    cell = 2.0 * half / n
    line = (np.arange(n) - 0.5 * (n - 1)) * cell
    return np.stack(np.meshgrid(*[line] * d, indexing="ij"), axis=-1).reshape(-1, d), cell


def _weights(log_density: FloatArray) -> FloatArray:
    """Weights of equal cells, summing to one."""
    top = np.max(log_density)
    if not np.isfinite(top):
        raise EstimationError(
            "the posterior has no point of finite density where it was looked for"
        )
    weights = np.exp(log_density - top)
    return np.asarray(weights / weights.sum())


def _moments(u: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean (d,) and covariance (d, d) of weighted points."""
    mean = weights @ u
    centred = u - mean
    return mean, (centred * weights[:, None]).T @ centred


def _cover(
    log_density: LogDensity, centre: FloatArray, axes: FloatArray
) -> tuple[FloatArray, FloatArray, float]:
    """Centre, axes (columns) and half width of a grid that covers the whitened density."""
    d, half = len(centre), 6.0
    for _ in range(200):
        u, cell = _midpoints(d, _SCOUT[d], half)
        lp = log_density(centre + u @ axes.T)
        weights = _weights(lp)
        rim = np.abs(u).max(axis=1) > half - cell
        top = int(np.argmax(weights))
        if rim[top]:  # uphill is outside: follow, in longer strides
            centre, axes = centre + axes @ u[top], 1.5 * axes
            continue
        mean, cov = _moments(u, weights)
        spread = np.linalg.eigvalsh(cov)
        settled = spread[0] > 0.6 and spread[-1] < 1.6 and np.all(np.abs(mean) < 0.5)
        leak = weights[rim].sum()
        if settled and leak < 1e-6:
            return centre, axes, half
        if settled:
            half *= 1.25
            if half > 50.0:
                break
            continue
        # where one cell holds all weight its own width is all that is known of the spread
        centre = centre + axes @ mean
        axes = axes @ np.linalg.cholesky(cov + cell**2 / 12.0 * np.eye(d))
    raise EstimationError(
        "the posterior does not fall off: the data and the prior do not bound the parameters"
    )


def cell_draws(
    edges: FloatArray, weights: FloatArray, n_draws: int, rng: np.random.Generator
) -> FloatArray:
    """Independent draws (n_draws,) of one parameter from cells of a grid, uniform inside a cell.

    Parameters
    ----------
    edges
        (n + 1,) edges of the cells, rising.
    weights
        (n,) weights of the cells.
    n_draws
        Number of draws.
    rng
        Source of randomness.
    """
    cumulated = np.concatenate([[0.0], np.cumsum(weights)])
    return np.interp(rng.random(n_draws) * cumulated[-1], cumulated, edges)


def emcee_chain(
    log_density: LogDensity,
    start: ArrayLike,
    scale: ArrayLike,
    run: EmceeRun,
    rng: np.random.Generator,
) -> FloatArray:
    """Chain (steps - burn, walkers, d) of emcee's ensemble sampler, reproducible from ``rng``.

    Walkers start in a Gaussian ball of width ``scale`` about ``start``, inside the prior.

    Raises
    ------
    EstimationError
        If no such ball has points of finite density, or a walker runs off to infinity.
    """
    import emcee

    start, scale = np.asarray(start, float), np.asarray(scale, float)
    walkers = start + scale * rng.standard_normal((run.walkers, len(start)))
    for _ in range(100):
        outside = ~np.isfinite(log_density(walkers))
        if not outside.any():
            break
        scale = 0.9 * scale
        walkers[outside] = start + scale * rng.standard_normal((int(outside.sum()), len(start)))
    else:
        raise EstimationError(
            "the posterior has no point of finite density where it was looked for"
        )
    sampler = emcee.EnsembleSampler(run.walkers, len(start), log_density, vectorize=True)
    legacy = np.random.RandomState(rng.integers(2**32, dtype=np.uint32))  # what emcee runs on
    try:
        with np.errstate(over="ignore"):
            sampler.run_mcmc(emcee.State(walkers, random_state=legacy.get_state()), run.steps)
    except ValueError as error:  # a walker or its density is not a number
        raise EstimationError(f"the chain broke off: {error}") from None
    return np.asarray(sampler.get_chain(discard=run.burn))


@dataclass(frozen=True, eq=False)
class Posterior:
    """Draws from a posterior, and how far they can be trusted.

    Parameters
    ----------
    draws
        (n, d) draws.
    method
        How they were drawn.
    k_hat
        Pareto shape of the importance weights, below 0.7; NaN for the other methods.
    effective
        Number of effectively independent draws.
    note
        What a reader should know: why another method was not trusted, the autocorrelation time.
    """

    draws: FloatArray
    method: Method
    k_hat: float
    effective: float
    note: str = ""


def explore(
    log_density: LogDensity,
    start: ArrayLike,
    scale: ArrayLike,
    n_draws: int,
    rng: np.random.Generator,
    *,
    sampler: Exploration = "auto",
    emcee: EmceeRun | None = None,
    bounds: tuple[ArrayLike, ArrayLike] | None = None,
    derivatives: Derivatives | None = None,
    parts: int = 1,
    wider: float = WIDER,
) -> Posterior:
    """Draws from a density of any number of parameters.

    Importance sampling draws from Student's t about the maximum, weighs by the density
    (:func:`~haloassay.estimators.fit.importance.importance_sample`) and resamples; where k_hat says that
    the weights cannot be trusted, the next method has its turn.

    Parameters
    ----------
    log_density
        Log density of (m, d) points, (m,); it may be unnormalised, and is -inf where the prior
        excludes.
    start
        (d,) point of finite density.
    scale
        (d,) rough widths of the density.
    n_draws, rng
        Number of draws, and source of randomness.
    sampler
        One method alone, or several in the order in which they are tried. ``"auto"``: quadrature up
        to three parameters; with more, importance sampling, then emcee.
    emcee
        Length of emcee's run; with none given, 2500 steps of 8 walkers a parameter after 1500 thrown
        away.
    bounds
        Lower and upper edges, (d,) each, of a uniform prior that ``log_density`` then need not hold.
        Importance sampling then runs in ln((x - lo) / (hi - x)): no edges.
    derivatives
        Value, gradient and Hessian of ``log_density`` at a point (d,), where they are known.
    parts
        Student t's of a proposal of importance sampling: more than one where the density is bent, where it goes on
        until four times as many draws are effective.
    wider
        By how much these are wider than the draws that they are fitted to.

    Raises
    ------
    EstimationError
        If the density is not finite at ``start`` or does not fall off, or if the last method cannot
        be trusted either: a chain where it is too short for its autocorrelation time.
    """
    start, scale = np.asarray(start, dtype=float), np.asarray(scale, dtype=float)
    inside = _within(log_density, bounds)
    if sampler == "auto":
        sampler = "quadrature" if len(start) <= 3 else ("importance", "emcee")
    *first, last = (sampler,) if isinstance(sampler, str) else sampler

    def draw(method: Method, why: str) -> Posterior:
        if method == "importance":
            return _by_importance(
                log_density, start, scale, n_draws, rng, bounds, derivatives, (parts, wider)
            )
        if method == "emcee":
            return _by_emcee(inside, start, scale, n_draws, rng, emcee, why)
        draws = quadrature(inside, start, scale, n_draws, rng)
        return Posterior(draws, "quadrature", np.nan, float(n_draws), why)

    why = ""
    for method in first:
        try:
            return draw(method, why)
        except EstimationError as failure:
            why = str(failure)
    return draw(last, why)


def _within(log_density: LogDensity, bounds: tuple[ArrayLike, ArrayLike] | None) -> LogDensity:
    """Log density with a uniform prior: -inf outside, where it is not computed."""
    if bounds is None:
        return log_density
    prior = UniformPrior.of(bounds)

    def bounded(points: FloatArray) -> FloatArray:
        values = np.full(len(points), -np.inf)
        inside = prior.inside(points)
        if inside.any():
            values[inside] = log_density(points[inside])
        return values

    return bounded


def _by_importance(
    log_density: LogDensity,
    start: FloatArray,
    scale: FloatArray,
    n_draws: int,
    rng: np.random.Generator,
    bounds: tuple[ArrayLike, ArrayLike] | None,
    derivatives: Derivatives | None,
    mixture: tuple[int, float],
) -> Posterior:
    """Posterior of importance sampling, where it can be trusted."""
    prior = None if bounds is None else UniformPrior.of(bounds)
    target = log_density
    if prior is not None:
        target, start, scale, derivatives = prior.target(log_density, start, scale, derivatives)
    proposal = laplace(target, start, scale, derivatives)
    parts, wider = mixture
    goal = (0.5 if parts == 1 else 2.0) * n_draws
    n = max(1000, 2 * n_draws)
    weighted = importance_sample(target, proposal, n, rng, goal, parts, wider=wider)
    if not weighted.trusted:
        raise EstimationError(weighted.verdict)
    draws = weighted.resampled(n_draws, rng)
    draws = draws if prior is None else prior.bound(draws)
    effective = min(weighted.effective, float(n_draws))
    return Posterior(draws, "importance", weighted.k_hat, effective)


def _by_emcee(
    log_density: LogDensity,
    start: FloatArray,
    scale: FloatArray,
    n_draws: int,
    rng: np.random.Generator,
    run: EmceeRun | None,
    why: str,
) -> Posterior:
    """Posterior of a chain that is long enough for its autocorrelation time."""
    if run is None:
        run = EmceeRun(max(32, 8 * len(start)), 4000, 1500)
    chain = emcee_chain(log_density, start, scale, run, rng)
    time = autocorrelation_time(chain)
    if len(chain) < max(MIN_TIMES * time, _SHORTEST):
        reason = f"{why}, and the" if why else "the"
        known = f"autocorrelation time {time:.0f}"
        if len(chain) < _SHORTEST:
            known = f"too few to know their autocorrelation time: {_SHORTEST} at least"
        raise EstimationError(f"{reason} chain does not mix: {len(chain)} steps kept, {known}")
    flat = chain.reshape(-1, chain.shape[-1])
    draws = flat[rng.choice(len(flat), size=n_draws, replace=len(flat) < n_draws)]
    note = f"{why + ': ' if why else ''}emcee, autocorrelation time {time:.0f} steps"
    return Posterior(draws, "emcee", np.nan, min(float(n_draws), len(flat) / time), note)


def autocorrelation_time(chain: FloatArray) -> float:
    """Longest autocorrelation time [steps] of the parameters of a chain (steps, walkers, d).

    The greater of emcee's, which averages the autocorrelation within walkers, and of what the
    scatter of the walkers' means says, which also knows walkers that never meet.
    """
    import emcee

    spread = chain.std(axis=(0, 1))
    if not np.all(spread > 0.0):
        return np.inf
    # of a walker that never moves it is no number
    with np.errstate(divide="ignore", invalid="ignore"):
        within = np.max(emcee.autocorr.integrated_time(chain, tol=0, quiet=True))
    between = len(chain) * np.max((chain.mean(axis=0).std(axis=0) / spread) ** 2)
    return float(max(within, between)) if np.isfinite(within) else np.inf
