"""Likelihood of stars of a double-power-law distribution function of actions in an NFW halo."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal

import numpy as np

from haloassay.base.arrays import FloatArray, IntArray
from haloassay.base.constants import G
from haloassay.base.errors import EstimationError
from haloassay.contracts.profiles import nfw_shape
from haloassay.estimators.fit.few_candidates import check_candidates, compared, halves
from haloassay.estimators.fit.laplace import UniformPrior
from haloassay.estimators.fit.slopes import TwoSlopes, outer_products, slope_draws
from haloassay.estimators.halo.actions import PotentialGrid, Table, log_df_of, moments
from haloassay.estimators.halo.baryons import Baryons

#: Radii at which the density of a trial is computed, and steps of the integral of what is between.
_RADII: Final = 10
_STEPS: Final = 400

#: Bounds of ln(v_c^2 / <v^2>) of the halo at the median radius.
_SPEEDS: Final = (-5.0, 4.0)

#: Starts of the coefficients: about isotropic; rough widths of all parameters, and steps of their differences.
_COEFFICIENTS: Final = (1.4, 1.1)
_WIDTHS: Final = np.array([0.1, 0.2, 0.2, 0.3, 0.2, 0.1, 0.1])
_DIFFERENCES: Final = np.array([1e-3, 3e-3, 1e-2, 2e-2, 2e-2, 1e-2, 1e-2])

#: Masses that are tried at first: ln of those in units of the one that the speeds of stars ask for.
_HEAVIER: Final = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)

#: Actions at which slopes are coordinates, in units of the median angular momentum of the stars.
_ACTIONS: Final = (0.5, 4.0)


@dataclass(frozen=True, eq=False)
class ActionModel:
    """Likelihood of stars, by ln M(<pivot) of the halo, ln r_s, slope_in, slope_out, ln j0, c_in and c_out.

    Parameters
    ----------
    position
        ``"complete"``: density of stars between the edges; ``"given"``: of velocities at their places.
    baryons
        Mass that is held fixed.
    steepness
        How sharply the slopes pass into each other.
    ranges
        Bounds of ln r_s, slope_in, slope_out, ln j0, c_in and c_out.
    truth
        (n, k, 4) ln r, v^2 / 2, v_t, and ln of the weight of ``k`` candidates of what each star truly is.
    places
        (n, m, 2) ln r, and ln of the weight of ``m`` draws of its place given the observed distance.
    square
        Mean square velocity [(km/s)^2].
    observed
        (n,) observed radii [kpc].
    edges
        Of observed radii [kpc].
    """

    position: Literal["complete", "given"]
    baryons: Baryons
    steepness: float
    ranges: tuple[tuple[float, float], ...]
    truth: FloatArray
    places: FloatArray
    square: float
    observed: FloatArray
    edges: tuple[float, float]

    @cached_property
    def pivot(self) -> float:
        """Median radius [kpc]."""
        return float(np.median(self.observed))

    @cached_property
    def prior(self) -> UniformPrior:
        """Bounds of the parameters."""
        unit = np.log(self.pivot * self.square / G)
        masses = (unit + _SPEEDS[0], unit + _SPEEDS[1])
        lo, hi = np.array([masses, *self.ranges], dtype=float).T
        return UniformPrior(lo, hi)

    def draws(self, n_draws: int, rng: np.random.Generator) -> FloatArray:
        """(n_draws, 7) draws of the parameters.

        Raises
        ------
        EstimationError
            If no halo binds every star, or the posterior cannot be drawn from.
        """
        middle = float(
            np.log(np.median(np.exp(self._columns[0]) * np.sqrt(2.0 * self._columns[1])))
        )
        lower, upper = (middle + float(np.log(share)) for share in _ACTIONS)
        frame = TwoSlopes(self.prior, (lower, upper), self.steepness)
        derivatives = outer_products(self.each, _DIFFERENCES, self.prior)
        points = slope_draws(
            self.log_likelihood, derivatives, frame, self.start(middle), _WIDTHS, n_draws, rng
        )
        if self.truth.shape[1] > 1:
            self._check_candidates(points)
        return points

    def _check_candidates(self, points: FloatArray) -> None:
        """Raise :class:`EstimationError` if candidates of stars are too few at draws (m, 7) from the posterior."""
        n_samples = self.truth.shape[1]
        parts = (np.arange(n_samples), *halves(n_samples))
        sums = []
        for point in compared(points):
            terms, norm = self._terms(point)
            sums.append([np.sum(_log_mean(terms[:, part]) - norm) for part in parts])
        whole, first, second = np.transpose(sums)
        check_candidates(whole, first, second, n_samples)

    def start(self, log_action: float) -> FloatArray:
        """Point of finite density: of the order of what stars with this ln r v are like, and every star bound.

        Raises
        ------
        EstimationError
            If no halo within the bounds binds every star.
        """
        lo, hi = self.prior.lo, self.prior.hi
        middle = 0.5 * (lo + hi)
        wanted = np.array(
            [lo[0] - _SPEEDS[0], np.log(self.pivot), 1.5, 6.0, log_action, *_COEFFICIENTS]
        )
        margin = 0.05 * (hi - lo)
        point = np.clip(wanted, lo + margin, hi - margin)
        # the fastest star may be bound in heavier halos only
        masses = np.minimum(point[0] + np.array(_HEAVIER), hi[0] - margin[0])
        radii = (point[1], middle[1], hi[1] - margin[1])
        trials = np.array([[mass, log_r_s, *point[2:]] for mass in masses for log_r_s in radii])
        values = self.log_likelihood(trials)
        if not np.isfinite(values.max()):
            raise EstimationError("no halo within the bounds binds every star")
        return np.asarray(trials[np.argmax(values)])

    @cached_property
    def _grid(self) -> PotentialGrid:
        return PotentialGrid(self.baryons, float(np.exp(self._ends[0])))

    @cached_property
    def _ends(self) -> tuple[float, float]:
        """Ln of the radii between which stars can be."""
        log_r = np.concatenate([self.truth[..., 0].ravel(), self.places[..., 0].ravel()])
        inner, outer = np.log(self.edges)
        return min(float(inner), float(log_r.min())), max(float(outer), float(log_r.max()))

    @cached_property
    def _steps(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Nodes (m,) of ln r, steps (k,) between, and the matrix (k, m) of polynomials from the ones to the others."""
        a, b = self._ends
        cheb = np.polynomial.chebyshev
        t = np.cos(np.pi * (np.arange(_RADII) + 0.5) / _RADII)
        fine = -1.0 + (2.0 * np.arange(_STEPS) + 1.0) / _STEPS
        to = cheb.chebvander(fine, _RADII - 1) @ np.linalg.inv(cheb.chebvander(t, _RADII - 1))
        middle, half = 0.5 * (a + b), 0.5 * (b - a)
        return middle + half * t, middle + half * fine, to

    @cached_property
    def _seen(self) -> FloatArray:
        """Ln of 4 pi r^2 dr (k,) at the steps, times the share of stars there that are observed within the edges."""
        _, x, _ = self._steps
        inner, outer = np.log(self.edges)
        shift = np.sort((np.log(self.observed)[:, None] - self.places[..., 0]).ravel())
        if self.places.shape[1] == 1:
            shift = np.zeros(1)
        # a step is a cell, of which an edge may take a part
        half = 0.5 * (x[1] - x[0])
        share = np.zeros(len(x))
        for part in (np.arange(8) - 3.5) / 4.0 * half:
            inside = [np.searchsorted(shift, end - x - part) for end in (outer, inner)]
            share += (inside[0] - inside[1]) / len(shift) / 8.0
        return np.asarray(np.log(np.maximum(share, 1e-300)) + 3.0 * x + np.log(8.0 * np.pi * half))

    @cached_property
    def _columns(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Ln r, v^2 / 2 and L of all candidates, in a row."""
        log_r, half, across = np.moveaxis(self.truth[..., :3], -1, 0).reshape(3, -1)
        return np.ascontiguousarray(log_r), half, np.exp(log_r) * across

    @cached_property
    def _near(self) -> IntArray:
        """Nodes of the table where orbits of candidates were found last; where they are sought changes no number."""
        return np.zeros(self.truth[..., 0].size, dtype=np.int64)

    @cached_property
    def _between(self) -> tuple[IntArray, FloatArray]:
        """Of places (n, m), the step below each, and what part of the way to the next it is."""
        _, x, _ = self._steps
        at = np.clip((self.places[..., 0] - x[0]) / (x[1] - x[0]), 0.0, len(x) - 1.0)
        below = np.minimum(at.astype(np.int64), len(x) - 2)
        return below, at - below

    def table(self, point: FloatArray) -> tuple[Table, FloatArray]:
        """Potential and distribution function of a point (7,)."""
        r_s = float(np.exp(point[1]))
        total = float(np.exp(point[0])) / float(nfw_shape(self.pivot / r_s))
        df = np.array([*point[2:4], np.exp(point[4]), *point[5:7], self.steepness])
        return self._grid.table(total, r_s), df

    def log_likelihood(self, points: FloatArray) -> FloatArray:
        """Log likelihood (m,) of points (m, 7)."""
        return np.array([np.sum(self.each(point)) for point in points])

    def each(self, point: FloatArray) -> FloatArray:
        """Log likelihood (n,) of each star at a point (7,); -inf of one that is not bound, where it has no errors."""
        terms, norm = self._terms(point)
        return _log_mean(terms) - norm

    def _terms(self, point: FloatArray) -> tuple[FloatArray, FloatArray | float]:
        """Ln of the likelihood of each candidate (n, k), and what it is relative to, of each star or of all."""
        table, df = self.table(point)
        log_f = log_df_of(*self._columns, table, df, self._near).reshape(self.truth.shape[:2])
        nodes, _, to = self._steps
        with np.errstate(divide="ignore"):
            log_rho = to @ np.log(moments(nodes, table, df)[:, 0])
        terms = log_f + self.truth[..., 3]
        if self.position == "complete":
            seen = log_rho + self._seen
            top = float(seen.max())
            return terms, top + float(np.log(np.sum(np.exp(seen - top))))
        below, part = self._between
        here = (1.0 - part) * log_rho[below] + part * log_rho[below + 1]
        return terms, _log_mean(here + self.places[..., 1])

    def anisotropy(self, r: FloatArray, points: FloatArray) -> FloatArray:
        """Beta (m, n) at radii (n,) [kpc] of points (m, 7)."""
        once, back = np.unique(points, axis=0, return_inverse=True)
        out = np.empty((len(once), len(r)))
        for k, point in enumerate(once):
            _, radial, across = moments(np.log(r), *self.table(point)).T
            out[k] = 1.0 - 0.5 * across / radial
        return out[back.ravel()]


def _log_mean(terms: FloatArray) -> FloatArray:
    """Ln of the mean of exponentials of terms (n, k) over k."""
    top = np.max(terms, axis=1)
    safe = np.where(np.isfinite(top), top, 0.0)[:, None]
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(np.mean(np.exp(terms - safe), axis=1)) + safe[:, 0])
