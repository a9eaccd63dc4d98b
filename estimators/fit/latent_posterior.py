"""Posterior of a power-law potential where the truth of all stars is unknown: its maximum, and draws."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from haloassay.base.arrays import BoolArray, FloatArray
from haloassay.base.errors import EstimationError
from haloassay.estimators.fit.df_priors import DFPriors, log_prior
from haloassay.estimators.fit.laplace import LogDensity, UniformPrior, laplace
from haloassay.estimators.fit.latents import Expansion, Observed
from haloassay.estimators.fit.lines_of_sight import LinesOfSight
from haloassay.estimators.fit.posterior import EmceeRun, explore
from haloassay.estimators.fit.power_law import exponent, log_norm

#: Rough widths of ln v_c^2, g, beta, alpha.
_SCALES: Final = np.array([0.1, 0.1, 0.1, 0.1])
#: Times that the likelihood is expanded anew, of a part of the stars and of all.
_CLIMBS: Final = 3
_ROUNDS: Final = 12
#: Stars of that part, and candidates of the truth of each.
_FEW: Final = 500
ROUGH: Final = 32
#: Stars that stand for all beyond the second order, and draws of all together; the fewest of a star: single ones have
#: heavy tails.
_PART: Final = 4096
_FEWEST: Final = 4
#: In units of (missing / known)^(3/2) / stars^(1/2), by which third orders of the mean of draws are off: draws that are
#: needed. Of all candidates, how large a part they are at most, instead of all. In units of its square: stars, then.
_CARE: Final = 10.0
_MOST: Final = 0.25
_SPARE: Final = 5.0
#: Of what is known, what is missing at least: a number that can be divided by.
_LEAST: Final = 1e-3
#: Of the way to the maximum, in widths, what third orders may shift it by; and the longest way.
_BORNE: Final = 0.03
_FARTHEST: Final = 3.0
#: Widths beyond which a maximum is gone to by half of the way; which all candidates of all stars reach.
_FAR: Final = 10.0
#: Widths from where the likelihood is expanded beyond which no draw is taken: few draws of each star make other maxima.
_DRAWN: Final = 5.0
#: Of a chain, where importance sampling cannot be trusted.
_RUN: Final = EmceeRun(24, 700, 200)


@dataclass(frozen=True, eq=False)
class Peak:
    """The posterior about its maximum.

    Parameters
    ----------
    log_density
        Its logarithm, of what is free.
    point
        (4,) the maximum.
    noise
        (4, 4) variance of the gradient there as candidates are few.
    """

    log_density: LogDensity
    point: FloatArray
    noise: FloatArray

    def blur(self, points: FloatArray) -> float:
        """How many widths of the posterior, of draws (n, 4) from it, the maximum may be off as candidates are few."""
        square = np.trace(np.cov(points.T) @ self.noise)
        return float(np.sqrt(max(square, 0.0)))  # rounding, where nothing has an error


@dataclass(frozen=True, eq=False)
class LatentPosterior:
    """The posterior of ln v_c^2 at the pivot, g, beta and alpha.

    Parameters
    ----------
    observed
        The stars.
    density
        What distances tell.
    priors
        Published or flat.
    bounds
        (4, 2) edges of the priors.
    free
        (4,) which parameters are fitted.
    whole
        (4,) where the others are, and a start.
    pivot
        Radius of v_c [kpc].
    edges
        Of the observed radii [kpc].
    seed
        Of the draws of what is true.

    Stars of which the velocity along the line of sight alone is known are integrated over by quadrature, of the others
    (``rest``) by draws.
    """

    observed: Observed
    density: str
    priors: DFPriors
    bounds: FloatArray
    free: BoolArray
    whole: FloatArray
    pivot: float
    edges: tuple[float, float]
    seed: int

    @property
    def n(self) -> int:
        """Number of stars."""
        return len(self.observed.distance)

    @functools.cached_property
    def alone(self) -> BoolArray:
        """Which stars (n,) have a velocity along the line of sight alone."""
        return LinesOfSight.among(self.observed)

    @functools.cached_property
    def rest(self) -> Observed:
        """Stars of which more is known."""
        return self.observed.select(np.flatnonzero(~self.alone))

    @functools.cached_property
    def lines(self) -> LinesOfSight | None:
        """The others, if there are any."""
        rows = np.flatnonzero(self.alone)
        if not len(rows):
            return None
        volume = self.density != "published"
        return LinesOfSight.of(self.observed.select(rows), self.pivot, volume)

    def peak(self, n_samples: int, rng: np.random.Generator) -> Peak:
        """Where the posterior is highest.

        Raises
        ------
        EstimationError
            If no potential binds the stars, or the maximum is not found.
        """
        mixed = self.observed.select(rng.permutation(len(self.observed.distance)))
        fit = replace(self, observed=mixed)  # where the first stars stand for all
        return fit.settled(fit.near(), n_samples)

    def draws(self, peak: Peak, n_draws: int, rng: np.random.Generator) -> FloatArray:
        """Draws (n_draws, 4) from the posterior about its peak.

        Raises
        ------
        EstimationError
            If it cannot be drawn from.
        """
        found = explore(
            peak.log_density, peak.point[self.free], _SCALES[self.free], n_draws, rng,
            sampler=("importance", "emcee"), emcee=_RUN, bounds=self.box,
        )  # fmt: skip
        return self.full(found.draws)

    def near(self) -> FloatArray:
        """Where (4,) the maximum of the posterior of the first stars is, by few candidates."""
        few = replace(self, observed=self.observed.select(np.arange(self.n)[:_FEW]))
        point, shares = few.start(), few.log_shares()
        number = 1 if few.rest.exact else ROUGH
        for _ in range(_CLIMBS):
            about, point = few.about(point, number, (_FEW, number))
            point, moved = few.top(few.log_density(about, point, shares), point)
            if few.rest.exact or moved < 1.0:
                break
        return point

    def settled(self, point: FloatArray, n_samples: int) -> Peak:
        """Climb from a point (4,) to the peak.

        Raises
        ------
        EstimationError
            If the maximum goes on moving.
        """
        shares, rough = self.log_shares(), len(self.rest.distance) > _FEW
        for k in range(_ROUNDS):
            number, pure = ROUGH if rough else n_samples, k >= _ROUNDS // 2
            about, point, reach = self.around(point, number, pure)
            here = point
            point, moved = self.top(self.log_density(about, here, shares), here)
            whole = reach >= _FAR
            if not rough and moved < reach:
                within = np.inf if whole else _DRAWN
                density = self.log_density(about, here, shares, within)
                return Peak(density, point, about.noise)
            if moved > _FAR and not whole:  # too far for what it was expanded of, there and back
                point = 0.5 * (here + point)
            rough = rough and moved > _FAR
        raise EstimationError("the maximum of the posterior was not found: it goes on moving")

    def around(
        self, point: FloatArray, n_samples: int, pure: bool = False
    ) -> tuple[Expansion, FloatArray, float]:
        """Likelihood expanded at a point by enough draws, the point, and how many widths it reaches.

        ``pure`` asks for all candidates, where a few draws lead round in a circle.
        """
        n = len(self.rest.distance)
        part = min(n, _PART)
        if self.rest.exact:
            return *self.about(point, 1, (n, 1)), np.inf
        number = min(max(_PART // n, _FEWEST), n_samples)
        about, point = self.about(point, n_samples, (part, number))
        blur = max(about.share(self.free), _LEAST) ** 1.5 / np.sqrt(n)
        needed = np.inf if pure else _CARE * blur
        if number < needed <= _MOST * n_samples:
            number = int(np.ceil(needed))
            about, point = self.about(point, n_samples, (part, number))
        elif needed > number:  # all candidates, of as many stars as have to stand for all
            n_samples = max(n_samples // 2, ROUGH)
            part = int(np.clip(_SPARE * blur**2, part, n))
            about, point = self.about(point, n_samples, (part, n_samples))
            if part == n:  # nothing is left out
                return about, point, _FAR
            blur, number = blur / np.sqrt(part), 1
        return about, point, min(float(np.sqrt(_BORNE * number / blur)), _FARTHEST)

    def top(self, log_density: LogDensity, point: FloatArray) -> tuple[FloatArray, float]:
        """Maximum (4,) uphill of a point, and the way to there in widths of the posterior."""
        prior = UniformPrior.of(self.box)
        target, start, scale, _d = prior.target(log_density, point[self.free], _SCALES[self.free])
        top = laplace(target, start, scale)
        moved = np.linalg.norm(np.linalg.solve(top.axes, top.mode - start))
        return self.full(prior.bound(top.mode)[None])[0], float(moved)

    @property
    def box(self) -> tuple[FloatArray, FloatArray]:
        """Bounds of what is free."""
        return self.bounds[self.free, 0], self.bounds[self.free, 1]

    def full(self, points: FloatArray) -> FloatArray:
        """All parameters (m, 4) of those that are free."""
        out = np.tile(self.whole, (len(points), 1))
        out[:, self.free] = points
        return out

    def start(self) -> FloatArray:
        """Parameters (4,) from mean squares of what was measured well."""
        square = self.observed.mean_square()
        _, g, beta, alpha = self.whole
        log_vc2 = np.log(max(g - alpha - 2.0 * beta, 0.5) * max(square, 1.0))
        lo, hi = self.bounds[0]
        return np.array([np.clip(log_vc2, lo + 0.1, hi - 0.1), g, beta, alpha])

    def log_shares(self) -> Callable[[FloatArray], FloatArray]:
        """Ln of the normalisation by all distances, as a function of alpha (m,)."""
        if self.density == "published":  # r in kpc, not in units of the pivot
            return lambda alpha: -self.n * alpha * np.log(self.pivot)
        if not self.free[3]:
            return np.zeros_like
        lo, hi = self.bounds[3]
        if self.density == "counts":
            return self.observed.log_counts(self.pivot, (lo, hi), self.edges)
        return self.observed.log_shares(self.pivot, (lo, hi))

    def about(
        self, point: FloatArray, n_samples: int, drawn: tuple[int, int]
    ) -> tuple[Expansion, FloatArray]:
        """Likelihood of the stars expanded at a point, deeper where that binds them not, and the point."""
        for _ in range(40):
            found = self.expansion(point, n_samples, drawn)
            if found is not None and np.isfinite(self.of_lines(rows_of(point[None])[0])[0]):
                return found, point
            point = point + np.array([0.3, 0.0, 0.0, 0.0])
            if point[0] >= self.bounds[0, 1]:
                break
        raise EstimationError("no potential between 5 and 2000 km/s binds every star")

    def expansion(
        self, point: FloatArray, n_samples: int, drawn: tuple[int, int]
    ) -> Expansion | None:
        """Likelihood about a point; None where that binds not all stars."""
        log_vc2, g, beta, alpha = point
        log_s2 = np.log(2.0 / max(g - alpha - 2.0 * beta, 0.3)) + log_vc2
        row, volume = rows_of(point[None])[0][0], self.density != "published"
        spread = np.array([np.log(self.pivot), log_s2, g, alpha, row[0], row[4]])
        given = self.density == "conditional"
        alone = self.rest.mean_log_r(self.pivot, alpha) if given else 0.0
        return self.rest.expand(row, spread, n_samples, drawn, volume, self.seed, alone)

    def of_lines(self, rows: FloatArray) -> FloatArray:
        """Ln of the likelihood (m,) of the lines of sight, at rows (m, 5)."""
        return np.zeros(len(rows)) if self.lines is None else self.lines.log_likelihood(rows)

    def log_density(
        self,
        about: Expansion,
        point: FloatArray,
        shares: Callable[[FloatArray], FloatArray],
        within: float = np.inf,
    ) -> LogDensity:
        """Ln of the posterior of what is free, of a likelihood expanded about a point, so many widths around it."""

        def of(x: FloatArray) -> FloatArray:
            at = self.full(x)
            rows, norm, possible = rows_of(at)
            possible &= about.widths(at - point) < within
            values = np.full(len(at), -np.inf)
            if possible.any():
                off = at[possible] - point
                values[possible] = about.log_ratio(rows[possible], off) - self.n * norm[possible]
                values[possible] += self.of_lines(rows[possible])
                values[possible] += log_prior(self.priors, at[possible], self.pivot)
                values[possible] -= shares(at[possible, 3])
            return values

        return of


def rows_of(points: FloatArray) -> tuple[FloatArray, FloatArray, BoolArray]:
    """Rows (m, 5) of the kernels, ln of the integral of f over velocities at psi = 1 / 2, and where there is one."""
    log_vc2, g, beta, alpha = points.T
    n = np.asarray(exponent(-alpha, g, beta))
    possible = (n > -1.0) & (-alpha > 2.0 * beta) & (beta < 1.0)
    norm = np.full(len(points), np.inf)
    norm[possible] = log_norm(n[possible], beta[possible]) + (1.5 - beta[possible]) * np.log(2.0)
    return np.column_stack([log_vc2 - np.log(g), g, beta, alpha, n]), norm, possible
