"""Distances freed from their errors before a method reads them: draws of a posterior over each star's distance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from haloassay.base.arrays import FloatArray, IntArray
from haloassay.base.errors import EstimationError
from haloassay.base.settings import require
from haloassay.contracts.estimate import Estimate, Estimates, Estimator
from haloassay.estimators.bins import (
    DensitySlope,
    check_alpha,
    check_least,
    check_selected,
    density_slope,
)

if TYPE_CHECKING:
    from haloassay.contracts.catalogue import Catalogue

#: Nodes of a posterior, how many errors they reach to both sides of the stated distance, and by which factor at most:
#: a distance known to no better is found by density and velocities, and needs nodes where these have their weight.
_NODES: Final = 33
_WIDTH: Final = 4.0
_FARTHEST: Final = 100.0
#: Fewest stars that a model of velocities is made of, stars a shell, and shells at most.
_FEWEST: Final = 50
#: Most stars: all nodes of all stars are in memory, 2 kB a star.
_MOST: Final = 10**6
_IN_SHELL: Final = 60
_SHELLS: Final = 10
#: Rounds of expectation and maximisation; a relative change of all variances below this ends them.
_ROUNDS: Final = 100
_SETTLED: Final = 1e-4
#: Least share of a shell's second moments that dispersions keep.
_LEAST: Final = 1e-3


@dataclass(frozen=True)
class RadiusDeconvolution:
    """Distances drawn from their posteriors, in place of those that are stated.

    p(d) proportional to N(ln d_stated; ln d, sigma^2) d^2 rho(r) S(d) N(v(d); m(r), V(r) + E) d^2: the stated error, a
    density that is assumed, the reach of the survey where the catalogue knows its selection, and velocities that the
    proper motions and v_los of the star mean at d. Mean and dispersions of (v_r, v_theta, v_phi) in shells of r are
    found by expectation and maximisation together with the distances of all stars. The method then reads ``draws``
    catalogues whose distances are exact, and its draws of all of them are one posterior (Rubin 1987).

    Stated distances must be measurements with log-normal errors of the stated size about the truth; those that are
    posteriors under a prior (Bailer-Jones et al. 2021) carry that prior twice. It does not help against zero points.
    The errors do not know that dispersions of the shells have errors themselves, nor that ``alpha`` is assumed.

    Parameters
    ----------
    alpha
        d ln rho / d ln r of the tracers, assumed: one number, or slopes and breaks.
    draws
        Catalogues that are read.
    """

    alpha: float | DensitySlope
    draws: int = 20

    def __post_init__(self) -> None:
        check_alpha(self.alpha)
        check_least("draws", self.draws, 2)
        require(self.draws <= 1000, f"draws: at most 1000 (got {self.draws})")

    def pooled(
        self, method: Estimator, catalogue: Catalogue, rng: np.random.Generator
    ) -> Estimates:
        """Rows of a method whose draws are those of all catalogues.

        Raises
        ------
        EstimationError
            If the catalogue has no distances with errors, too few or too many stars, or velocities that are none; or
            if more than a few stars are where its selection function has none.
        """
        if not catalogue.heliocentric or "distance_err" not in catalogue:
            raise EstimationError("distances: a deconvolution needs distance and distance_err")
        if len(catalogue) < _FEWEST:
            raise EstimationError(f"distances: a deconvolution needs {_FEWEST} stars or more")
        if len(catalogue) > _MOST:
            raise EstimationError(f"distances: a deconvolution takes up to {_MOST} stars")
        catalogue.check_finite()
        with np.errstate(over="ignore", invalid="ignore"):
            sample = _Nodes.of(catalogue, density_slope(self.alpha))
            weights = sample.weights()
        if not np.all(np.isfinite(weights)):
            raise EstimationError("distances: a velocity or an error is too large to be one")
        rows = []
        for _ in range(self.draws):
            rows.append(tuple(method.estimate(sample.drawn(weights, rng), rng)))
        return _pooled(rows)


def _pooled(rows: Sequence[tuple[Estimate, ...]]) -> Estimates:
    """One row of each quantity and bin; a note where more than half have one."""
    found: dict[tuple[str, int], list[Estimate]] = {}
    for row in (row for each in rows for row in each):
        found.setdefault((row.quantity, row.bin), []).append(row)
    pooled = []
    for (quantity, number), same in found.items():
        known = [row for row in same if not row.note and row.draws is not None]
        places = {
            name: float(np.median([getattr(row, name) for row in known or same]))
            for name in ("r", "r_lo", "r_hi")
        }
        if 2 * len(known) < len(rows):
            notes = [row.note for row in same if row.note] or ["too few catalogues determine it"]
            pooled.append(Estimate.undetermined(quantity, notes[0], bin=number, **places))
            continue
        draws = np.concatenate([row.draws for row in known if row.draws is not None])
        pooled.append(Estimate.from_draws(quantity, draws, bin=number, **places))
    return Estimates(pooled)


@dataclass(frozen=True, eq=False)
class _Nodes:
    """Stars at nodes of distance: what is there, (N, K) or (N, K, 3).

    Parameters
    ----------
    catalogue
        The stars.
    log_d
        Logarithm of distance [kpc].
    log_prior
        Logarithm of everything but the velocities.
    x
        ln r.
    velocity, noise
        (v_r, v_theta, v_phi) [km/s] at that distance, and variances of their errors but for that of distance.
    """

    catalogue: Catalogue
    log_d: FloatArray
    log_prior: FloatArray
    x: FloatArray
    velocity: FloatArray
    noise: FloatArray

    @classmethod
    def of(cls, catalogue: Catalogue, density: DensitySlope) -> _Nodes:
        sigma = catalogue["distance_err"] / catalogue["distance"]
        exact = sigma == 0.0
        reach = np.minimum(_WIDTH, np.log(_FARTHEST) / np.where(exact, 1.0, sigma))
        t = reach[:, None] * np.linspace(-1.0, 1.0, _NODES)
        log_d = np.log(catalogue["distance"])[:, None] + sigma[:, None] * t
        log_prior = -0.5 * t**2 + 5.0 * log_d  # d ln d, d^2 of volume, d^2 of proper motions
        x = np.empty_like(log_d)
        velocity = np.empty((*log_d.shape, 3))
        noise = np.empty_like(velocity)
        chosen = np.full(len(catalogue), catalogue.selection is None)
        for k in range(_NODES):
            there = _at(catalogue, np.exp(log_d[:, k]))
            x[:, k] = np.log(there.r)
            velocity[:, k] = there.spherical_velocity
            noise[:, k] = np.einsum("njj->nj", there.spherical_covariance)
            log_prior[:, k] += density.log_density(there.r)
            if catalogue.selection is not None:
                away = there.position - catalogue.sun.position
                distance = np.linalg.norm(away, axis=1)
                chance = catalogue.selection.reach(away / distance[:, None], distance, "true")
                chosen |= chance > 0.0
                # the few that pass below were seen, whatever the selection says of all of their distances
                log_prior[:, k] += np.log(np.maximum(chance, 1e-12))
        check_selected(chosen)
        return cls(catalogue, log_d, log_prior, x, velocity, noise)

    def weights(self) -> FloatArray:
        """(N, K) posterior of each star, with dispersions that maximise the likelihood of all."""
        n = len(self.x)
        middle = self.x[:, _NODES // 2]
        shells = int(np.clip(n // _IN_SHELL, 1, _SHELLS))
        edges = np.quantile(middle, np.linspace(0.0, 1.0, shells + 1))[1:-1]
        # where many stars have one radius, what is between two quantiles may be empty, and is part of the next
        held = np.unique(np.searchsorted(edges, middle))
        edges, shells = edges[held[:-1]], len(held)
        shell = np.searchsorted(edges, self.x)
        centres = np.array(
            [np.median(middle[np.searchsorted(edges, middle) == k]) for k in range(shells)]
        )
        velocity = self.velocity[:, _NODES // 2]
        mean = np.zeros((shells, 3))
        least = _LEAST * np.mean(velocity**2, axis=0)
        variance = np.tile(np.mean(velocity**2, axis=0), (shells, 1))
        weights = np.empty_like(self.x)
        for _ in range(_ROUNDS):
            weights = self._expected(centres, mean, variance)
            mean, again = self._maximised(weights, shell, mean, variance)
            again = np.maximum(again, least)
            settled = bool(np.all(np.abs(again - variance) <= _SETTLED * variance))
            variance = again
            if settled:
                break
        return weights

    def _expected(self, centres: FloatArray, mean: FloatArray, variance: FloatArray) -> FloatArray:
        log_p = self.log_prior.copy()
        for j in range(3):
            m = np.interp(self.x, centres, mean[:, j])
            v = np.exp(np.interp(self.x, centres, np.log(variance[:, j]))) + self.noise[..., j]
            log_p -= 0.5 * ((self.velocity[..., j] - m) ** 2 / v + np.log(v))
        p = np.exp(log_p - log_p.max(axis=1, keepdims=True))
        return np.asarray(p / p.sum(axis=1, keepdims=True))

    def _maximised(
        self, weights: FloatArray, shell: IntArray, mean: FloatArray, variance: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Means and variances (shells, 3) of the true velocities, given those before."""
        shells, flat = len(mean), shell.ravel()
        total = np.bincount(flat, weights.ravel(), shells)
        total = np.maximum(total, np.finfo(float).tiny)
        first, second = np.empty_like(mean), np.empty_like(variance)
        for j in range(3):
            m, v = mean[shell, j], variance[shell, j]
            gain = v / (v + self.noise[..., j])
            true = m + gain * (self.velocity[..., j] - m)
            first[:, j] = np.bincount(flat, (weights * true).ravel(), shells) / total
            spread = (true - first[shell, j]) ** 2 + v * (1.0 - gain)
            second[:, j] = np.bincount(flat, (weights * spread).ravel(), shells) / total
        return first, second

    def drawn(self, weights: FloatArray, rng: np.random.Generator) -> Catalogue:
        """Catalogue whose distances are drawn, and exact."""
        n = len(weights)
        below = np.cumsum(weights, axis=1)
        node = np.minimum(np.sum(below < rng.random(n)[:, None], axis=1), _NODES - 1)
        step = self.log_d[:, 1] - self.log_d[:, 0]
        log_d = self.log_d[np.arange(n), node] + step * (rng.random(n) - 0.5)
        return _at(self.catalogue, np.exp(log_d))


def _at(catalogue: Catalogue, distance: FloatArray) -> Catalogue:
    """Catalogue of the stars at other distances, which have no errors."""
    columns = {**catalogue.columns, "distance": distance, "distance_err": np.zeros(len(distance))}
    return replace(catalogue, columns=columns, drawn_covariance=None)
