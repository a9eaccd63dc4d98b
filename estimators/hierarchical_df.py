"""The power-law distribution function with errors and incomplete data (Eadie et al. 2017; Slizewski et al. 2022)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

import numpy as np

from haloassay.base.arrays import BoolArray, FloatArray
from haloassay.base.constants import G
from haloassay.base.errors import EstimationError
from haloassay.base.settings import require
from haloassay.contracts.estimate import Estimate, Estimates, Estimator
from haloassay.contracts.profiles import critical_density, virial_mass
from haloassay.estimators.bins import check_least, check_number, check_radii, places_at
from haloassay.estimators.fit.df_priors import DFPriors, log_prior
from haloassay.estimators.fit.laplace import UniformPrior, laplace
from haloassay.estimators.fit.latents import DistanceErrors, Observed
from haloassay.estimators.fit.posterior import EmceeRun, explore
from haloassay.estimators.power_law_df import Tracers, exponent, log_norm, power_law_mass
from haloassay.estimators.rows import undetermined_rows

if TYPE_CHECKING:
    from haloassay.contracts.catalogue import Catalogue

#: Limits of the prior of ln v_c^2 at the pivot: 5 to 2000 km/s.
_LOG_VC2: Final = (2.0 * np.log(5.0), 2.0 * np.log(2000.0))
#: Rough widths of ln v_c^2, g, beta, alpha.
_SCALES: Final = np.array([0.1, 0.1, 0.1, 0.1])
#: Times that stars are drawn anew, and the shift of the maximum, in widths of the posterior, that ends it.
_ROUNDS: Final = 6
_SETTLED: Final = 0.3
#: Of a chain, where importance sampling cannot be trusted.
_RUN: Final = EmceeRun(32, 1500, 500)
#: Nodes of the polynomial of alpha that stands for the counts.
_DEGREE: Final = 16


@dataclass(frozen=True)
class HierarchicalDF(Estimator):
    """Power-law potential by a distribution function, true distances and velocities of all stars unknown.

    Tracers rho ~ r^alpha of constant anisotropy in Phi = -Phi0 r^-g have f ~ L^(-2 beta) E^n, the model of
    ``power-law-df`` (Evans, Hafner & de Zeeuw 1997). Here what was measured scatters about the truth by its
    Gaussian errors, and the likelihood of a star is the integral of f over all that it can truly be (Eadie,
    Springford & Harris 2017, who sample the truth of every star). A velocity that was not measured has no error
    to bind it: the model alone does. Such are columns that a catalogue has not, and entries with an error
    beyond all velocities (1e5 mas/yr).

    The integral is a mean over draws of each star's truth at the maximum of the posterior, weighted by the
    ratio of f to f there; draws and maximum are found in turn.

    Biased where v_c^2 or the density is not a power law, as ``power-law-df`` is; and, with
    ``density = "counts"``, where stars between the radii were not seen alike at all distances.

    Parameters
    ----------
    r_range
        Observed radii [kpc] between which stars are used; those of the innermost and outermost star where empty.
    alpha
        d ln rho / d ln r of the tracers, or ``"fitted"``.
    beta
        Anisotropy, or ``"fitted"``.
    g
        Slope of the potential, or ``"fitted"``; 0.5 stands for an NFW halo.
    alpha_range, beta_range, g_range
        Bounds where fitted.
    priors
        ``"flat"`` in ln v_c^2 at the geometric mean of the radii, g, beta and alpha; or those of Eadie & Juric
        (2019; globular clusters), Slizewski et al. (2022; dwarf galaxies), Shen et al. (2022; halo stars).
    density
        What distances tell: ``"counts"``, their numbers along each line of sight within ``r_range``;
        ``"conditional"``, nothing, as of a survey of unknown reach: f is that of velocities given distances;
        ``"published"``, f as it is, without the volume of phase space and with no limits of radius.
    distance_errors
        Gaussian in the logarithm of the distance, or ``"linear"`` in itself.
    r_out
        Radii of the masses [kpc]; the geometric mean of all where empty.
    h0
        Hubble's constant [km/s/Mpc] of m200 and r200, those of the power law of all mass; ``"none"`` leaves them.
    n_samples
        Draws of the truth of a star.
    n_draws
        Draws from the posterior.
    min_stars
        Fewer stars give no value.
    """

    name: ClassVar[str] = "hierarchical-df"
    reference: ClassVar[str] = "2022ApJ...924..131S"
    needs: ClassVar[tuple[str, ...]] = ()
    uses: ClassVar[tuple[str, ...]] = ("velocity",)
    assumes: ClassVar[tuple[str, ...]] = (
        "spherical",
        "equilibrium",
        "non-rotating",
        "constant beta",
        "power-law density",
        "power-law potential",
        "Gaussian errors as stated",
    )
    yields: ClassVar[tuple[str, ...]] = ("enclosed_mass", "m200", "r200", "beta")
    published: ClassVar[Mapping[str, Any]] = {
        "priors": "slizewski2022",
        "density": "published",
        "distance_errors": "linear",
        "beta_range": [-3.0, 0.999],
        "g_range": [0.01, 0.999],
        "alpha_range": [-10.0, -3.0],
    }

    r_range: tuple[float, ...] = ()
    alpha: float | Literal["fitted"] = "fitted"
    beta: float | Literal["fitted"] = "fitted"
    g: float | Literal["fitted"] = "fitted"
    alpha_range: tuple[float, float] = (-8.0, -2.0)
    beta_range: tuple[float, float] = (-2.0, 0.99)
    g_range: tuple[float, float] = (0.02, 1.0)
    priors: DFPriors = "flat"
    density: Literal["counts", "conditional", "published"] = "counts"
    distance_errors: DistanceErrors = "log"
    r_out: tuple[float, ...] = ()
    h0: float | Literal["none"] = "none"
    n_samples: int = 32
    n_draws: int = 500
    min_stars: int = 20

    def __post_init__(self) -> None:
        if self.r_range:
            require(len(self.r_range) == 2, f"r_range: two radii (got {list(self.r_range)})")
            lo, hi = self.r_range
            require(0.0 <= lo < hi, f"r_range: radii ascend from 0 kpc or more (got {[lo, hi]})")
        if self.alpha != "fitted":
            require(self.alpha < 0.0, f"alpha: negative, rho ~ r^alpha (got {self.alpha:g})")
        if self.beta != "fitted":
            require(self.beta < 1.0, f"beta: below 1 (got {self.beta:g})")
        if self.g != "fitted":
            require(0.0 < self.g <= 1.0, f"g: above 0, at most 1, a point mass (got {self.g:g})")
        lo, hi = self.alpha_range
        require(lo < hi < 0.0, f"alpha_range: bounds ascend, below 0 (got {[lo, hi]})")
        lo, hi = self.beta_range
        require(lo < hi < 1.0, f"beta_range: bounds ascend and are below 1 (got {[lo, hi]})")
        lo, hi = self.g_range
        require(0.0 < lo < hi <= 1.0, f"g_range: bounds ascend between 0 and 1 (got {[lo, hi]})")
        check_radii("r_out", self.r_out)
        if self.h0 != "none":
            require(self.h0 > 0.0, f"h0: positive (got {self.h0:g})")
        check_least("n_samples", self.n_samples, 8)
        check_least("n_draws", self.n_draws, 2)
        check_least("min_stars", self.min_stars, 5)

    def estimate(self, catalogue: Catalogue, rng: np.random.Generator) -> Estimates:
        """Rows enclosed_mass at each radius, m200 and r200 where asked for, and beta where fitted.

        Raises
        ------
        InputError
            If a position of the catalogue is not finite.
        """
        catalogue.check_rows(
            np.asarray(np.isfinite(catalogue.position).all(axis=1)), "a position that is not finite"
        )
        places = places_at(self.r_out)
        halo = () if self.h0 == "none" else ("m200", "r200")
        last = ("beta",) if self.beta == "fitted" else ()
        try:
            fit = self._fit(catalogue, rng)
            points = fit.draws(self.n_samples, self.n_draws, rng)
        except EstimationError as error:
            rows = undetermined_rows(("enclosed_mass",), str(error), places)
            return Estimates([*rows, *undetermined_rows((*halo, *last), str(error))])
        rows = []
        for place in places or places_at((fit.pivot,)):
            mass = power_law_mass(place["r"], points[:, 0], points[:, 1], fit.pivot)
            rows.append(Estimate.from_draws("enclosed_mass", mass, **place))
        if self.h0 != "none":
            r200 = virial_radius_of(points[:, 0], points[:, 1], fit.pivot, self.h0)
            rows.append(Estimate.from_draws("m200", virial_mass(r200, self.h0)))
            rows.append(Estimate.from_draws("r200", r200))
        if self.beta == "fitted":
            lo, hi = fit.edges
            rows.append(Estimate.from_draws("beta", points[:, 2], r=fit.pivot, r_lo=lo, r_hi=hi))
        return Estimates(rows)

    def _fit(self, catalogue: Catalogue, rng: np.random.Generator) -> Fit:
        """Stars within range, and what is free."""
        r = catalogue.r
        lo, hi = self.r_range or (0.0, np.inf)
        kept = (r >= lo) & (r < hi) & (r > 0.0)
        check_number(int(kept.sum()), self.min_stars)
        stars = catalogue.select(kept)
        edges = (lo, hi) if self.r_range else (float(stars.r.min()), float(stars.r.max()))
        observed = Observed.of(stars, self.distance_errors)
        if not np.any(observed.known):
            raise EstimationError("no star has a velocity")
        set_to = (self.g, self.beta, self.alpha)
        bounds = np.array([_LOG_VC2, self.g_range, self.beta_range, self.alpha_range])
        free = np.array([True, *(value == "fitted" for value in set_to)])
        whole = np.array([0.0, 0.5, 0.0, -3.5])
        for k, value in enumerate(set_to, start=1):
            whole[k] = np.clip(whole[k], *bounds[k]) if value == "fitted" else value
        pivot = float(np.exp(np.mean(np.log(stars.r))))
        seed = int(rng.integers(2**32))
        return Fit(observed, self.density, self.priors, bounds, free, whole, pivot, edges, seed)


def virial_radius_of(log_vc2: FloatArray, g: FloatArray, pivot: float, h0: float) -> FloatArray:
    """Radius [kpc] within which a power law has 200 times the critical density: v_c^2 = 4 pi / 3 200 rho_c G r^2."""
    dense = 4.0 * np.pi / 3.0 * 200.0 * critical_density(h0) * G
    return np.asarray(np.exp((log_vc2 + g * np.log(pivot) - np.log(dense)) / (2.0 + g)))


@dataclass(frozen=True, eq=False)
class Fit:
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

    def draws(self, n_samples: int, n_draws: int, rng: np.random.Generator) -> FloatArray:
        """Draws (n_draws, 4) from the posterior.

        Raises
        ------
        EstimationError
            If no potential binds the stars, or the posterior cannot be drawn from.
        """
        box = self.bounds[self.free, 0], self.bounds[self.free, 1]
        shares = self.log_shares()
        point = self.start()
        for _ in range(_ROUNDS):
            tracers, point = self.tracers(point, n_samples)

            def log_density(x: FloatArray, tracers: Tracers = tracers) -> FloatArray:
                at = self.full(x)
                values = tracers.log_likelihood(at[:, :3], -at[:, 3], placed=True)
                return values - shares(at[:, 3]) + log_prior(self.priors, at, self.pivot)

            prior = UniformPrior.of(box)
            target, start, scale, _d = prior.target(
                log_density, point[self.free], _SCALES[self.free]
            )
            top = laplace(target, start, scale)
            moved = np.linalg.norm(np.linalg.solve(top.axes, top.mode - start))
            if self.observed.exact or moved < _SETTLED:
                break
            point = self.full(prior.bound(top.mode)[None])[0]
        found = explore(
            log_density, prior.bound(top.mode), _SCALES[self.free], n_draws, rng,
            sampler=("importance", "emcee"), emcee=_RUN, bounds=box,
        )  # fmt: skip
        return self.full(found.draws)

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
        lo, hi = _LOG_VC2
        return np.array([np.clip(log_vc2, lo + 0.1, hi - 0.1), g, beta, alpha])

    def log_shares(self) -> Callable[[FloatArray], FloatArray]:
        """Ln of the normalisation by all distances, as a function of alpha (m,)."""
        if self.density == "published":  # r in kpc, not in units of the pivot
            n = len(self.observed.distance)
            return lambda alpha: -n * alpha * np.log(self.pivot)
        if not self.free[3]:
            return np.zeros_like
        lo, hi = self.bounds[3]

        def of(alpha: FloatArray) -> FloatArray:
            if self.density == "counts":
                return self.observed.log_counts(self.pivot, alpha, self.edges)
            return self.observed.log_shares(self.pivot, alpha)

        return np.polynomial.chebyshev.Chebyshev.interpolate(of, _DEGREE, domain=[lo, hi])

    def tracers(self, point: FloatArray, n_samples: int) -> tuple[Tracers, FloatArray]:
        """Draws of the truth of stars at a point, deeper where that binds them not, and the point."""
        n_samples = 1 if self.observed.exact else n_samples
        for _ in range(40):
            drawn = self._drawn(point, n_samples)
            if drawn is not None:
                return drawn, point
            point = point + np.array([0.3, 0.0, 0.0, 0.0])
            if point[0] >= _LOG_VC2[1]:
                break
        raise EstimationError("no potential between 5 and 2000 km/s binds every star")

    def _drawn(self, point: FloatArray, n_samples: int) -> Tracers | None:
        log_vc2, g, beta, alpha = point
        sigma2 = np.exp(log_vc2) / max(g - alpha - 2.0 * beta, 0.3)
        middle = np.log(self.pivot)

        def spread(log_r: FloatArray) -> FloatArray:
            return np.asarray(np.sqrt(2.0 * sigma2 * np.exp(-g * (log_r - middle))))

        def density(log_r: FloatArray, radial: FloatArray, across: FloatArray) -> FloatArray:
            return log_df(point, log_r - middle, 0.5 * (radial**2 + across**2), np.log(across))

        volume = self.density != "published"
        log_r, radial, across, found = self.observed.draws(
            n_samples, density, spread, volume, self.seed
        )
        if not found.all():
            return None
        log_r, half, log_across = log_r - middle, 0.5 * (radial**2 + across**2), np.log(across)
        weight = -log_df(point, log_r, half, log_across) - np.log(n_samples)
        return Tracers(log_r, half, log_across, weight, self.pivot, self.edges)


def log_df(
    point: FloatArray, log_r: FloatArray, half_square: FloatArray, log_across: FloatArray
) -> FloatArray:
    """Ln of r^alpha times the distribution of velocities there; -inf of the unbound.

    Parameters
    ----------
    point
        (4,) ln v_c^2 at the pivot, g, beta, alpha.
    log_r, half_square, log_across
        Ln radius over the pivot, v^2 / 2 and ln of the tangential velocity.
    """
    log_vc2, g, beta, alpha = point
    log_psi = log_vc2 - np.log(g) - g * log_r
    n = float(exponent(-alpha, g, beta))
    left = 1.0 - half_square * np.exp(-log_psi)
    with np.errstate(invalid="ignore", divide="ignore"):
        values = alpha * log_r - 2.0 * beta * log_across + n * np.log(left)
    values = values - (1.5 - beta) * (np.log(2.0) + log_psi) - log_norm(n, beta)
    return np.where(left > 0.0, values, -np.inf)
