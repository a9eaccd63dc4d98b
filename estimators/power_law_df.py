"""Enclosed mass from a power-law distribution function (Evans, Hesketh & Williams; Deason 2021)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Final, Literal

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.compiled import compiled
from haloassay.base.errors import EstimationError
from haloassay.base.settings import require
from haloassay.contracts.estimate import Estimate, Estimates, Estimator
from haloassay.estimators.bins import (
    check_least,
    check_number,
    check_radii,
    check_resolved,
    places_at,
)
from haloassay.estimators.fit.few_candidates import LEAST, check_candidates, compared, halves
from haloassay.estimators.fit.latents import Observed
from haloassay.estimators.fit.mean_field import MeanField
from haloassay.estimators.fit.posterior import EmceeRun, Exploration, explore
from haloassay.estimators.fit.power_law import exponent, log_norm, power_law_mass
from haloassay.estimators.rows import undetermined_rows

if TYPE_CHECKING:
    from haloassay.contracts.catalogue import Catalogue

#: Run of emcee; the papers print none, so a choice.
_RUN: Final = EmceeRun(50, 1000, 300)

#: Limits of the prior of ln v_c^2 at the pivot: 5 to 2000 km/s.
_LOG_VC2: Final = (2.0 * np.log(5.0), 2.0 * np.log(2000.0))

#: Least tangential velocity of a star without an error [km/s], above the rounding of velocities. f diverges below any:
#: it has a tenth below 1e-3 km/s where beta is 0.9.
_LEAST_ACROSS: Final = 1e-9


@dataclass(frozen=True)
class PowerLawDF(Estimator):
    """Power-law potential from all three velocity components, by a distribution function.

    Tracers rho ~ r^alpha of constant anisotropy in a potential Phi = -Phi0 (r / r0)^-g have

        f(E, L) ~ L^(-2 beta) E^(beta (g - 2) / g - alpha / g - 3/2),  E = -Phi - v^2 / 2

    (Evans, Hesketh & Williams 1997; Deason et al. 2011, 2021; the papers' alpha is minus this one).
    The likelihood of a star is f over the integral of f over all bound velocities at its place,
    which is known in closed form (:func:`~haloassay.estimators.fit.power_law.log_norm`), so neither
    selection in position nor the density's normalisation enter. Parameters are M, here as v_c^2 =
    g Phi0 (r / r0)^-g at a pivot, the geometric mean of the radii, then g, and beta unless it is
    given: M(<r) = r v_c^2(r) / G.

    Biased where v_c^2 or the density is not a power law, and not over the radii used alone: the
    energies know how the tracers go on beyond. On the oPDF mock, whose density steepens from -2.4 to
    -7, it is off by 3 to 34 per cent in narrow ranges and by a factor of two over all, with errors
    of 2 per cent (``benchmarks/mass_estimators.py``). On its own model it is unbiased and covers
    0.64 to 0.67 at 300 stars (100 mocks). A wrong alpha trades against mass. A model with no unbound
    star is at the mercy of the fastest, which alone sets a floor to the mass;
    ``outlier_fraction`` takes that floor away.

    Parameters
    ----------
    alpha
        d ln rho / d ln r of the tracers (Deason et al. 2021: about -4).
    r_range
        Radii [kpc] between which stars are used.
    beta
        Anisotropy, or ``"fitted"``.
    g
        Slope of the potential, or ``"fitted"``; 0.5 stands for an NFW halo.
    g_range, beta_range
        Flat priors where fitted.
    prior
        Of the normalisation: ``"phi0"``, flat in Phi0 at r0 = 1 kpc and g, as a grid of both is; or
        ``"log-mass"``, flat in ln v_c^2 at the pivot.
    r_out
        Radii of the masses [kpc]; the pivot where empty.
    errors
        ``"ignored"``, or ``"convolved"``: the likelihood of a star is a weighted mean over ``n_samples``
        candidates of its true distance and velocity, drawn in to the pole that f has at L = 0, each with the density
        and the volume of phase space there, as in ``hierarchical-df``.
    n_samples
        Candidates a star, the same for all parameters.
    mean_field
        Mean velocity at the observed place that is taken off first, or ``"none"``.
    v_max
        Stars faster than this [km/s] are left out; the outliers' velocities end there.
    outlier_fraction
        Fraction of stars taken to be spread evenly over velocities up to ``v_max``, not bound.
    min_stars
        Fewer stars give no value.
    sampler
        ``"importance"``: from a Student t about the maximum, weighted, and by quadrature where the
        weights cannot be trusted; ``"quadrature"``; or ``"emcee"``.
    emcee
        Length of its run.
    n_draws
        Draws from the posterior.
    """

    name: ClassVar[str] = "power-law-df"
    version: ClassVar[int] = 4
    reference: ClassVar[str] = "2021MNRAS.501.5964D"
    assumes: ClassVar[tuple[str, ...]] = (
        "spherical",
        "equilibrium",
        "non-rotating",
        "constant beta",
        "power-law density of known slope",
        "power-law potential",
    )
    yields: ClassVar[tuple[str, ...]] = ("enclosed_mass", "beta")

    alpha: float
    r_range: tuple[float, float] = (0.0, 1e4)
    beta: float | Literal["fitted"] = "fitted"
    g: float | Literal["fitted"] = "fitted"
    g_range: tuple[float, float] = (0.02, 1.0)
    beta_range: tuple[float, float] = (-2.0, 0.99)
    prior: Literal["phi0", "log-mass"] = "log-mass"
    r_out: tuple[float, ...] = ()
    errors: Literal["ignored", "convolved"] = "ignored"
    n_samples: int = 50
    mean_field: MeanField | Literal["none"] = "none"
    v_max: float = 1000.0
    outlier_fraction: float = 0.0
    min_stars: int = 20
    sampler: Literal["importance", "quadrature", "emcee"] = "importance"
    emcee: EmceeRun = _RUN
    n_draws: int = 1000

    def __post_init__(self) -> None:
        require(self.alpha < 0.0, f"alpha: negative, rho ~ r^alpha (got {self.alpha:g})")
        lo, hi = self.r_range
        require(0.0 <= lo < hi, f"r_range: radii ascend from 0 kpc or more (got {[lo, hi]})")
        if self.beta != "fitted":
            require(
                self.beta < min(1.0, -0.5 * self.alpha),
                f"beta: below 1 and -alpha / 2 (got {self.beta:g})",
            )
        if self.g != "fitted":
            require(0.0 < self.g <= 1.0, f"g: above 0, at most 1, a point mass (got {self.g:g})")
        lo, hi = self.g_range
        require(0.0 < lo < hi <= 1.0, f"g_range: bounds ascend between 0 and 1 (got {[lo, hi]})")
        lo, hi = self.beta_range
        require(lo < hi < 1.0, f"beta_range: bounds ascend and are below 1 (got {[lo, hi]})")
        check_radii("r_out", self.r_out)
        check_least("n_samples", self.n_samples, LEAST)
        require(self.v_max > 0.0, f"v_max: positive (got {self.v_max})")
        require(
            0.0 <= self.outlier_fraction < 0.5,
            f"outlier_fraction: from 0 to below 0.5 (got {self.outlier_fraction})",
        )
        check_least("min_stars", self.min_stars, 4)
        check_least("n_draws", self.n_draws, 2)

    def estimate(self, catalogue: Catalogue, rng: np.random.Generator) -> Estimates:
        """Rows enclosed_mass at each radius, and beta where fitted; a note where no value is.

        Raises
        ------
        InputError
            If a position or velocity of the catalogue is not finite.
        """
        catalogue.check_finite()
        places = places_at(self.r_out)
        try:
            tracers = self._tracers(catalogue, rng)
            points = self._draws(tracers, rng)
        except EstimationError as error:
            rows = undetermined_rows(("enclosed_mass",), str(error), places)
            if self.beta == "fitted":
                rows.append(Estimate.undetermined("beta", str(error)))
            return Estimates(rows)
        rows = []
        for place in places or places_at((tracers.pivot,)):
            mass = power_law_mass(place["r"], points[:, 0], points[:, 1], tracers.pivot)
            rows.append(Estimate.from_draws("enclosed_mass", mass, **place))
        if self.beta == "fitted":
            lo, hi = tracers.edges
            beta = Estimate.from_draws(
                "beta", points[:, 2], r=tracers.pivot, r_lo=lo, r_hi=float(np.nextafter(hi, np.inf))
            )
            rows.append(beta)
        return Estimates(rows)

    def _tracers(self, catalogue: Catalogue, rng: np.random.Generator) -> Tracers:
        """Stars within range and speed, with draws from their errors where asked for."""
        lo, hi = self.r_range
        speed = np.linalg.norm(
            self._residual(catalogue.position, catalogue.spherical_velocity), axis=1
        )
        kept = (catalogue.r >= lo) & (catalogue.r < hi) & (catalogue.r > 0.0)
        kept &= (speed > 0.0) & (speed < self.v_max)
        check_number(int(kept.sum()), self.min_stars)
        stars = catalogue.select(kept)
        if self.errors == "convolved":
            return self._with_errors(stars, rng)
        noise = np.einsum("njj->nj", stars.spherical_covariance)
        check_resolved(stars.spherical_velocity**2, noise)
        v = self._residual(stars.position, stars.spherical_velocity)
        across = np.maximum(np.hypot(v[:, 1], v[:, 2]), _LEAST_ACROSS)
        half = 0.5 * (v[:, 0] ** 2 + across**2)
        middle, edges = _middle(stars)
        log_r = (np.log(stars.r) - middle)[:, None]
        zero = np.zeros_like(log_r)
        return Tracers(
            log_r, half[:, None], np.log(across)[:, None], zero, float(np.exp(middle)), edges
        )

    def _with_errors(self, stars: Catalogue, rng: np.random.Generator) -> Tracers:
        """Place the stars where they can be, given what was observed."""
        v = self._residual(stars.position, stars.spherical_velocity)
        noise = np.einsum("njj->nj", stars.spherical_covariance)
        square = np.maximum(np.mean(v**2 - noise, axis=0), 1e-2 * np.mean(v**2))
        beta = (
            1.0 - 0.5 * (square[1] + square[2]) / square[0] if self.beta == "fitted" else self.beta
        )
        middle, edges = _middle(stars)
        seen = Observed.of(stars, "linear")
        if self.mean_field != "none":
            seen = seen.less(self.mean_field.cartesian_at(stars.position))
        found = seen.scattered(middle, v, noise, self.alpha, self.n_samples, float(beta), rng)
        weight = found[..., 3] + self.alpha * found[..., 0]
        weight -= seen.log_share(np.exp(middle), self.alpha)[:, None] + np.log(self.n_samples)
        return Tracers(
            found[..., 0], found[..., 1], found[..., 2], weight, float(np.exp(middle)), edges
        )

    def _residual(self, position: FloatArray, velocity: FloatArray) -> FloatArray:
        """Spherical velocities without their mean field."""
        if self.mean_field == "none":
            return velocity
        return velocity - self.mean_field.at(position)

    def _draws(self, tracers: Tracers, rng: np.random.Generator) -> FloatArray:
        """(n_draws, 3) draws of ln v_c^2 at the pivot, g and beta.

        Raises
        ------
        EstimationError
            If the posterior cannot be drawn from.
        """
        free = np.array([True, self.g == "fitted", self.beta == "fitted"])
        whole = np.array(
            [0.0, 0.5 if free[1] else self.g, 0.0 if free[2] else self.beta], dtype=float
        )

        def full(points: FloatArray) -> FloatArray:
            out = np.tile(whole, (len(points), 1))
            out[:, free] = points
            return out

        def log_density(points: FloatArray) -> FloatArray:
            out = full(points)
            values = self._log_likelihood(tracers, out)
            if self.prior == "phi0":  # the Jacobian of Phi0 = v_c^2 / g r^g
                values += out[:, 0] - np.log(out[:, 1]) + out[:, 1] * np.log(tracers.pivot)
            return values

        start = self._start(tracers, whole, free)
        bounds = np.array([_LOG_VC2, self.g_range, self.beta_range]).T[:, free]
        scale = np.array([0.05, 0.1, 0.05])[free]
        sampler: Exploration = self.sampler
        if sampler == "importance":
            # where a star is barely bound, or the prior cuts, weights cannot be trusted: a grid can
            sampler = ("importance", "quadrature")
        drawn = explore(
            log_density, start, scale, self.n_draws, rng,
            sampler=sampler, emcee=self.emcee, bounds=(bounds[0], bounds[1]),
        )  # fmt: skip
        points = full(drawn.draws)
        if self.errors == "convolved":
            models, some = (tracers, *tracers.halves), compared(points)
            whole, first, second = (self._log_likelihood(model, some) for model in models)
            check_candidates(whole, first, second, self.n_samples)
        return points

    def _log_likelihood(self, tracers: Tracers, points: FloatArray) -> FloatArray:
        return tracers.log_likelihood(points, -self.alpha, self.outlier_fraction, self.v_max)

    def _start(self, tracers: Tracers, whole: FloatArray, free: FloatArray) -> FloatArray:
        """Point of finite density: moments, and every star bound."""
        tangential = np.mean(np.exp(2.0 * tracers.log_across))
        radial = max(float(np.mean(2.0 * tracers.half_square) - tangential), 1e-6)
        if free[1]:
            whole[1] = np.clip(0.5, *self.g_range)
        if free[2]:
            most = min(self.beta_range[1], -0.5 * self.alpha - 1e-3)
            beta = 1.0 - 0.5 * float(tangential) / radial
            width = most - self.beta_range[0]
            whole[2] = np.clip(beta, self.beta_range[0] + 0.05 * width, most - 0.05 * width)
        v_c2 = max((whole[1] - self.alpha - 2.0 * whole[2]) * radial, 1e-6)
        if self.outlier_fraction == 0.0:
            floor = tracers.half_square * np.exp(whole[1] * tracers.log_r)
            v_c2 = max(v_c2, 1.1 * whole[1] * float(floor.min(axis=1).max()))
        lo, hi = _LOG_VC2
        if not lo < np.log(v_c2) < hi:
            raise EstimationError("no potential between 5 and 2000 km/s binds every star")
        start = np.array([np.log(v_c2), whole[1], whole[2]])
        return np.asarray(start[free])


def _middle(stars: Catalogue) -> tuple[float, tuple[float, float]]:
    """Mean ln of the radii [kpc], and the least and largest."""
    return float(np.mean(np.log(stars.r))), (float(stars.r.min()), float(stars.r.max()))


@dataclass(frozen=True, eq=False)
class Tracers:
    """Stars as the distribution function sees them, with ``k`` candidates of the truth of each.

    Parameters
    ----------
    log_r
        (n, k) ln(r / pivot).
    half_square
        (n, k) v^2 / 2 [(km/s)^2].
    log_across
        (n, k) ln of the tangential velocity [km/s].
    log_weight
        (n, k) ln of the weights of the candidates: those of all velocities at a star's place sum to one.
    pivot
        Radius [kpc] at which v_c is a parameter.
    edges
        Radii of the innermost and outermost star [kpc].
    """

    log_r: FloatArray
    half_square: FloatArray
    log_across: FloatArray
    log_weight: FloatArray
    pivot: float
    edges: tuple[float, float]

    @property
    def halves(self) -> tuple[Tracers, Tracers]:
        """The same stars, each with one half of its candidates."""
        first, second = (
            replace(
                self,
                log_r=self.log_r[:, part],
                half_square=self.half_square[:, part],
                log_across=self.log_across[:, part],
                log_weight=self.log_weight[:, part] + np.log(self.log_r.shape[1] / len(part)),
            )
            for part in halves(self.log_r.shape[1])
        )
        return first, second

    def log_likelihood(
        self, points: FloatArray, gamma: float, outliers: float = 0.0, v_max: float = np.inf
    ) -> FloatArray:
        """Log likelihood (m,) of points (m, 3): ln v_c^2 at the pivot, g, beta; rho ~ r^-gamma."""
        n = exponent(gamma, points[:, 1], points[:, 2])
        possible = (n > -1.0) & (gamma > 2.0 * points[:, 2]) & (points[:, 2] < 1.0)
        values = np.full(len(points), -np.inf)
        if not possible.any():
            return values
        kept = points[possible]
        table = np.column_stack([kept, n[possible], log_norm(n[possible], kept[:, 2])])
        spread = np.log(outliers / (4.0 * np.pi / 3.0 * v_max**3)) if outliers > 0.0 else -np.inf
        values[possible] = _log_likelihood(
            np.ascontiguousarray(table),
            np.ascontiguousarray(self.log_r),
            np.ascontiguousarray(self.half_square),
            # copies are never read-only: the kernel would be compiled for both
            np.array(self.log_across, order="C"),
            np.array(np.broadcast_to(self.log_weight, self.log_r.shape), order="C"),
            float(np.log1p(-outliers)),
            float(spread),
        )
        return values


@compiled
def _log_likelihood(
    points: FloatArray,
    log_r: FloatArray,
    half: FloatArray,
    log_across: FloatArray,
    log_weight: FloatArray,
    log_bound: float,
    log_spread: float,
) -> FloatArray:
    """Sum of ln [sum_k w_k f(v_k | r_k)], each point (ln v_c^2, g, beta, exponent, ln norm)."""
    out = np.zeros(len(points))
    k_draws = log_r.shape[1]
    terms = np.empty(k_draws + 1)
    for m in range(len(points)):
        log_vc2, g, beta, n, norm = points[m]
        depth = log_vc2 - np.log(g)  # ln psi at the pivot
        for i in range(len(log_r)):
            top = log_spread
            for k in range(k_draws):
                log_psi = depth - g * log_r[i, k]
                left = 1.0 - half[i, k] * np.exp(-log_psi)
                if left <= 0.0:
                    terms[k] = -np.inf
                    continue
                scale = (1.5 - beta) * (np.log(2.0) + log_psi) + norm
                term = log_weight[i, k] - 2.0 * beta * log_across[i, k] + n * np.log(left) - scale
                terms[k] = term + log_bound
                top = max(top, terms[k])
            if top == -np.inf:
                out[m] = -np.inf
                break
            if k_draws == 1 and log_spread == -np.inf:
                out[m] += top
                continue
            terms[k_draws] = log_spread
            total = 0.0
            for k in range(k_draws + 1):
                total += np.exp(terms[k] - top)
            out[m] += top + np.log(total)
    return out
