"""Enclosed mass from splines of the tracers' density and dispersions (Rehemtulla et al. 2022)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

import numpy as np
from numpy.typing import ArrayLike

from haloassay.base.arrays import FloatArray
from haloassay.base.cache import LATER
from haloassay.base.constants import G
from haloassay.base.errors import EstimationError
from haloassay.base.settings import require
from haloassay.contracts.estimate import Estimate, Estimates, Estimator
from haloassay.estimators.bins import (
    DensitySlope,
    check_alpha,
    check_ends,
    check_least,
    check_radii,
    check_range,
    density_slope,
    places_at,
    resampled_catalogues,
    rows_within,
)
from haloassay.estimators.deconvolution import RadiusDeconvolution
from haloassay.estimators.fit.laplace import LogDensity
from haloassay.estimators.fit.likelihoods import variance_terms
from haloassay.estimators.fit.posterior import EmceeRun, explore
from haloassay.estimators.fit.spline_sums import Nodes, score_products
from haloassay.estimators.fit.splines import (
    Fit,
    Likelihood,
    NaturalSpline,
    density_likelihood,
    fit,
    log_radius_density,
    log_variance_density,
    maximise,
    variance_likelihood,
)
from haloassay.estimators.gathering import error_variances, gathered, spherical_velocity
from haloassay.estimators.rows import drawn_row, undetermined_rows, velocity_row

if TYPE_CHECKING:
    from haloassay.contracts.catalogue import Catalogue

#: Quantiles of the radii between which knots are laid, and radii of results are by default.
_KNOTS_BETWEEN: Final = (0.01, 0.99)
_RESULTS_BETWEEN: Final = (0.05, 0.95)

#: Run of emcee: twice the 14 coefficients of the published splines, which is the fewest walkers that
#: emcee takes, as in their code; its passes of 500 steps, until the likelihood settles, are three here.
_RUN: Final = EmceeRun(28, 1500, 500)

#: Stars beyond which sums over them are made of weights at nodes, to nine digits: of fewer the nodes are as many.
MANY: Final = 2**17

#: Velocities that share a spline: radial and tangential.
_COMPONENTS: Final = (slice(0, 1), slice(1, 3))

#: Scatter of ln sigma^2, and of ln(1 - beta), beyond which they are not determined.
_VAGUE: Final = 1.0
_VAGUE_RATIO: Final = 1.5


@dataclass(frozen=True)
class SplineJeans(Estimator):
    """Enclosed mass, v_c and beta as continuous profiles, by the Jeans equation of unbinned fits.

    ln rho, ln sigma_r^2 and ln sigma_t^2 (a component of the tangential velocity) are natural cubic
    splines in ln r, straight beyond the outermost knots, and

        G M(<r) = -r sigma_r^2 (dln rho/dln r + dln sigma_r^2/dln r + 2 beta)

    (Rehemtulla, Valluri & Vasiliev 2022, eq. 1). Density: likelihood of the radii, normalised over
    the range of the sample. Dispersions: second moments about zero, Gaussian likelihood of each
    component with the variance of each star's own error added. The integral of the squared second
    derivative is penalised, so noise makes power laws, not wiggles; how stiffly, the evidence of
    the data says, for each of the three splines. ``"laplace"`` errors do not take
    the velocities for Gaussian: the scatter of the stars' scores is used, not the curvature alone,
    and the penalty adds what smoothing may have hidden.

    Biased where the sample is not complete in radius and ``alpha = "measured"``: surveys have a
    selection, so give ``alpha`` for them. Biased at the ends, where a spline is straight; at a
    sharp break of the density; by rotation and by mean motions, which count as dispersion; by
    distance errors, unless ``distances`` deconvolves them. Measured (60 mocks of an NFW halo with
    baryons, density -2.8 to -4.6 about 17 kpc, beta 0.6-0.75-0.5, 3000 and 10000 stars from 5 to 100
    kpc): M(<r) within 4 per cent from 10 to 60 kpc, 5 to 8 per cent high at 7 kpc, 2 to 5 low at 80;
    68 per cent intervals cover 0.69 and 0.66 of the truths over all radii, less at the ends (0.4 to
    0.5 at 7 kpc). One wrong slope, -4 throughout, costs up to 60 per cent.

    Parameters
    ----------
    alpha
        d ln rho / d ln r of the tracers: one number, a table of slopes and breaks, or
        ``"measured"`` for a sample that is complete between its innermost and outermost star, or
        over ``r_range``.
    knots
        Number of knots, at equal steps of ln r from the 1st to the 99th percentile of the radii; or
        their radii [kpc].
    r
        Radii of the results [kpc]; 8 at equal steps of ln r from the 5th to the 95th percentile
        where empty.
    r_range
        Radii [kpc] between which stars are used; all of them where empty. Of a density that is ``"measured"`` there is
        then no value where the innermost or outermost is far from all others
        (:func:`~haloassay.estimators.bins.check_ends`).
    stiffness
        Logarithm of the penalty on curvature, in units in which 0 is as much as the stars know;
        or ``"evidence"``.
    errors
        ``"laplace"``; ``"bootstrap"``, refits of resampled stars at the stiffness of the sample; or
        ``"emcee"``, a chain over the coefficients of all splines, under the penalty, as published.
    emcee
        Length of that chain.
    n_draws
        Draws behind the intervals, or resampled catalogues.
    min_stars
        Fewer stars give no value.
    distances
        Free radii and velocities from the errors of distances, by draws of each star's posterior under a density that
        is given; or ``"as-stated"``.
    """

    version: ClassVar[int] = 4
    name: ClassVar[str] = "spline-jeans"
    reference: ClassVar[str] = "2022MNRAS.511.5536R"
    expected: ClassVar[Mapping[str, str | tuple[str, str]]] = {
        "twice the stars": "how smooth the profiles are depends on the number of stars"
    }
    assumes: ClassVar[tuple[str, ...]] = (
        "spherical",
        "equilibrium",
        "non-rotating",
        "complete in radius, or known density slope",
    )
    yields: ClassVar[tuple[str, ...]] = ("enclosed_mass", "v_c", "beta")
    published: ClassVar[dict[str, Any]] = {
        "knots": [5.0, 10.0, 20.0, 40.0, 80.0],
        "stiffness": -20.0,
        "errors": "emcee",
    }

    alpha: float | DensitySlope | Literal["measured"]
    knots: int | tuple[float, ...] = 8
    r: tuple[float, ...] = ()
    r_range: tuple[float, ...] = ()
    stiffness: float | Literal["evidence"] = "evidence"
    errors: Literal["laplace", "bootstrap", "emcee"] = "laplace"
    emcee: EmceeRun = _RUN
    n_draws: int = 1000
    min_stars: int = 50
    distances: RadiusDeconvolution | Literal["as-stated"] = field(
        default="as-stated", metadata=LATER
    )

    def __post_init__(self) -> None:
        number = self.knots if isinstance(self.knots, int) else len(self.knots)
        require(3 <= number <= 50, f"knots: from 3 to 50 (got {number})")
        if not isinstance(self.knots, int):
            rising = all(0.0 < a < b for a, b in zip((1e-9, *self.knots), self.knots, strict=False))
            require(rising, f"knots: radii ascend from above 0 kpc (got {list(self.knots)})")
        if self.alpha != "measured":
            check_alpha(self.alpha)
        check_radii("r", self.r)
        check_range(self.r_range)
        check_least("n_draws", self.n_draws, 2)
        least = 4 * number
        require(
            self.min_stars >= least, f"min_stars: at least {least}, 4 a knot (got {self.min_stars})"
        )
        walkers, most = self.emcee.walkers, 2 * (3 * number - 1)
        require(
            self.errors != "emcee" or walkers >= most,
            f"emcee: walkers: at least {most}, twice the coefficients (got {walkers})",
        )

    def estimate(self, catalogue: Catalogue, rng: np.random.Generator) -> Estimates:
        """Rows enclosed_mass, v_c and beta at each radius; a note where no value is.

        Raises
        ------
        InputError
            If a position or velocity of the catalogue is not finite.
        """
        if isinstance(self.distances, RadiusDeconvolution):
            return self.distances.pooled(replace(self, distances="as-stated"), catalogue, rng)
        catalogue.check_finite()
        places = places_at(self.r)
        try:
            sample = self._sample(catalogue)
            if not places:
                lo, hi = np.quantile(sample.x, _RESULTS_BETWEEN)
                radii = np.exp(np.linspace(lo, hi, 8))
                places = places_at(tuple(radii))
            profiles = self._profiles(sample, np.array([p["r"] for p in places]), rng)
        except EstimationError as error:
            return Estimates(undetermined_rows(self.yields, str(error), places))
        rows = [
            _rows(*column, place, sample) for place, column in zip(places, profiles, strict=True)
        ]
        return Estimates(row for quantity in zip(*rows, strict=True) for row in quantity)

    def _sample(self, catalogue: Catalogue) -> Sample:
        r = catalogue.r
        rows = rows_within(r, self.r_range, self.min_stars)
        x = np.log(r[rows])
        edges = np.log(self.r_range) if self.r_range else np.array([x.min(), x.max()])
        if isinstance(self.knots, int):
            inner, outer = np.quantile(x, _KNOTS_BETWEEN)
            knots = np.linspace(inner, outer, self.knots)
        else:
            knots = np.log(self.knots)
        if not knots[-1] - knots[0] > 1e-3:
            raise EstimationError("the stars are all at one radius")
        if self.alpha == "measured" and not self.r_range:
            check_ends(r[rows])
        velocity, noise = gathered(catalogue, [rows], spherical_velocity, error_variances)[0]
        square = np.square(velocity, out=velocity)
        if not np.all(square.mean(axis=0) > 0.0):
            raise EstimationError("the velocities have no scatter")
        return Sample(x, square, noise, NaturalSpline(knots), (float(edges[0]), float(edges[1])))

    def _profiles(
        self, sample: Sample, r: FloatArray, rng: np.random.Generator
    ) -> list[tuple[FloatArray, FloatArray, FloatArray]]:
        """Draws (n_draws,) of mass, beta and ln sigma_r^2 at each radius (k,) [kpc]."""
        chosen = None if self.stiffness == "evidence" else self.stiffness
        measured = isinstance(self.alpha, str)
        fits = [fit(lk, sample.spline, first, chosen) for lk, first in sample.likelihoods(measured)]
        if self.errors == "laplace":
            draws = _laplace(fits, sample, self.n_draws, rng)
        elif self.errors == "bootstrap":
            draws = _bootstrap(fits, sample, measured, self.n_draws, rng)
        else:
            draws = _chain(fits, sample, self.emcee, self.n_draws, rng)
        x = np.log(r)
        value, slope = sample.spline.design(x), sample.spline.design(x, 1)
        radial, tangential = draws[0] @ value.T, draws[1] @ value.T
        rho = (
            draws[2] @ slope[:, 1:].T
            if isinstance(self.alpha, str)
            else density_slope(self.alpha).slope(r)
        )
        with np.errstate(over="ignore", invalid="ignore"):
            beta = 1.0 - np.exp(tangential - radial)
            mass = spline_mass(r, radial, draws[0] @ slope.T, rho, beta)
        return list(zip(mass.T, beta.T, radial.T, strict=True))


def spline_mass(
    r: ArrayLike, log_variance: ArrayLike, rise: ArrayLike, alpha: ArrayLike, beta: ArrayLike
) -> FloatArray:
    """Enclosed mass [Msun] of the spherical Jeans equation (Rehemtulla et al. 2022, eq. 1).

    Parameters
    ----------
    r
        Radii [kpc].
    log_variance
        ln of sigma_r^2 [(km/s)^2].
    rise
        d ln sigma_r^2 / d ln r.
    alpha
        d ln rho / d ln r.
    beta
        Anisotropy.
    """
    r, rise, alpha, beta = (np.asarray(a, dtype=float) for a in (r, rise, alpha, beta))
    variance = np.exp(np.asarray(log_variance, dtype=float))
    return np.asarray(-r * variance * (alpha + rise + 2.0 * beta) / G)


def _rows(
    mass: FloatArray, beta: FloatArray, radial: FloatArray, place: dict[str, float], sample: Sample
) -> list[Estimate]:
    """Rows of the three quantities at one radius."""
    x = np.log(place["r"])
    note = ""
    if not sample.x.min() <= x <= sample.x.max():
        note = "outside the radii of the stars"
    elif not np.all(np.isfinite(mass)) or np.std(radial) > _VAGUE:
        note = "the velocity errors are too large, or the stars too few, to resolve sigma_r"
    if note:
        return undetermined_rows(SplineJeans.yields, note, [place])
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.std(np.log1p(-beta))  # a beta that rounds to 1 has no logarithm
    if not ratio <= _VAGUE_RATIO:
        note = "the velocity errors are too large, or the stars too few, to resolve beta"
    return [
        Estimate.from_draws("enclosed_mass", mass, **place),
        velocity_row(G * mass / place["r"], "the enclosed mass is negative", **place),
        drawn_row("beta", beta, note, **place),
    ]


@dataclass(frozen=True, eq=False)
class Sample:
    """Stars as the splines see them.

    Parameters
    ----------
    x
        (n,) logarithms of the radii.
    square
        (n, 3) squared velocities [(km/s)^2] in r, theta, phi.
    noise
        (n, 3) variances of their errors [(km/s)^2].
    spline
        Where the knots are.
    edges
        Logarithms of the radii between which the sample is complete.
    """

    x: FloatArray
    square: FloatArray
    noise: FloatArray
    spline: NaturalSpline
    edges: tuple[float, float]

    @cached_property
    def design(self) -> FloatArray:
        """(n, k) splines at the stars."""
        return self.spline.design(self.x)

    @cached_property
    def _nodes(self) -> tuple[FloatArray, FloatArray]:
        """Splines (q, k - 1) at nodes of integrals over ln r, and ln (weight r^3) (q,)."""
        panels = np.linspace(*self.edges, 41)
        t, w = np.polynomial.legendre.leggauss(8)
        half = 0.5 * np.diff(panels)[:, None]
        x = (0.5 * (panels[1:] + panels[:-1])[:, None] + half * t).ravel()
        return self.spline.design(x)[:, 1:], np.log((half * w).ravel()) + 3.0 * x

    @property
    def many(self) -> bool:
        """Whether the stars are more than nodes that stand for all of them."""
        return len(self.x) > MANY

    @cached_property
    def _shared_out(self) -> tuple[Nodes, Nodes]:
        """Radial and tangential velocities at nodes."""
        knots = self.spline.knots
        parts = [(self.square[:, axes], self.noise[:, axes]) for axes in _COMPONENTS]
        radial, tangential = (Nodes.of(self.x, *part, knots) for part in parts)
        return radial, tangential

    def likelihoods(
        self, density: bool, counts: FloatArray | None = None
    ) -> list[tuple[Likelihood, FloatArray]]:
        """Log likelihoods of ln sigma_r^2, ln sigma_t^2 and, if asked, ln rho; a start for each.

        The density's first coefficient is held at zero, as its normalisation is not looked for. ``counts`` (n,) are how
        often each star was drawn.
        """
        nodes = self._shared_out if self.many and counts is None else None
        w = np.ones(len(self.x)) if counts is None else counts
        wanted: list[tuple[Likelihood, FloatArray]] = []
        for k, axes in enumerate(_COMPONENTS):
            square, noise = self.square[:, axes], self.noise[:, axes]
            mean = float(np.mean(square))
            rest = mean - float(np.mean(noise)) if nodes else float(np.mean(square - noise))
            start = np.full(len(self.spline.knots), np.log(max(rest, 0.05 * mean)))
            if nodes:
                wanted.append((nodes[k].likelihood(self.spline), start))
            else:
                wanted.append((variance_likelihood(self.design, square, noise, w), start))
        if density:
            start = -3.5 * (self.spline.knots - self.spline.knots[0])[1:]
            total = nodes[0].total(self.spline.design)[1:] if nodes else w @ self.design[:, 1:]
            wanted.append((density_likelihood(total, float(w.sum()), *self._nodes), start))
        return wanted

    def log_densities(self) -> list[LogDensity]:
        """Values of the log likelihoods of ln sigma_r^2, ln sigma_t^2 and ln rho."""
        parts = [
            log_variance_density(self.design, self.square[:, axes], self.noise[:, axes])
            for axes in _COMPONENTS
        ]
        total = self.design[:, 1:].sum(axis=0)
        return [*parts, log_radius_density(total, float(len(self.x)), *self._nodes)]

    def score_products(self, fits: list[Fit]) -> FloatArray:
        """Sum (p, p) of the outer products of the scores of the stars, all splines side by side."""
        if self.many:
            mean = self._mean_spline(fits[2]) if len(fits) == 3 else None
            return score_products(self.x, self.square, self.noise, self.spline, fits, mean)
        scores = self._scores(fits)
        return scores.T @ scores

    def _mean_spline(self, of: Fit) -> FloatArray:
        """(k - 1,) mean of the splines under the fitted density."""
        B, log_weight = self._nodes
        share = np.exp(B @ of.coefficients + log_weight)
        return np.asarray(share @ B / share.sum())

    def _scores(self, fits: list[Fit]) -> FloatArray:
        """(n, p) scores of each star."""
        parts = []
        for f, axes in zip(fits, _COMPONENTS, strict=False):
            variance = np.exp(self.design @ f.coefficients)[:, None]
            _, pull, _ = variance_terms(self.square[:, axes], variance, self.noise[:, axes])
            parts.append(self.design * pull.sum(axis=1)[:, None])
        if len(fits) == 3:
            parts.append(self.design[:, 1:] - self._mean_spline(fits[2]))
        return np.hstack(parts)


def _laplace(
    fits: list[Fit], sample: Sample, n_draws: int, rng: np.random.Generator
) -> list[FloatArray]:
    """Draws (n_draws, p) of each spline's coefficients, correlated as the stars' scores are.

    Covariance (H + P)^-1 (J + P) (H + P)^-1 with H the information, P the penalty, J the sum of the
    outer products of scores: for J = H it is the posterior (H + P)^-1.
    """
    from scipy.linalg import block_diag

    n = len(sample.x)
    middle = sample.score_products(fits) * (n / (n - len(sample.spline.knots)))
    middle += block_diag(*[f.penalty for f in fits])
    inverse = block_diag(*[f.inverse for f in fits])
    covariance = inverse @ middle @ inverse
    size, axes = np.linalg.eigh(0.5 * (covariance + covariance.T))
    root = axes * np.sqrt(np.maximum(size, 0.0))
    centre = np.concatenate([f.coefficients for f in fits])
    draws = centre + rng.standard_normal((n_draws, len(centre))) @ root.T
    ends = np.cumsum([len(f.coefficients) for f in fits])[:-1]
    return np.split(draws, ends, axis=1)


def _bootstrap(
    fits: list[Fit], sample: Sample, density: bool, n_draws: int, rng: np.random.Generator
) -> list[FloatArray]:
    """Coefficients (n_draws, p) of each spline, refitted to resampled stars."""
    n = len(sample.x)
    found = []
    for rows in resampled_catalogues(n, n_draws, rng):
        counts = np.bincount(rows, minlength=n).astype(float)
        again = sample.likelihoods(density, counts)
        found.append(
            [
                maximise(likelihood, f.penalty, f.coefficients)[0]
                for (likelihood, _), f in zip(again, fits, strict=True)
            ]
        )
    return [np.array(part) for part in zip(*found, strict=True)]


def _chain(
    fits: list[Fit], sample: Sample, run: EmceeRun, n_draws: int, rng: np.random.Generator
) -> list[FloatArray]:
    """Coefficients (n_draws, p) of each spline, from one chain over all of them."""
    ends = np.cumsum([len(f.coefficients) for f in fits])[:-1]
    likelihoods = sample.log_densities()[: len(fits)]

    def log_density(points: FloatArray) -> FloatArray:
        out = np.zeros(len(points))
        for likelihood, f, c in zip(likelihoods, fits, np.split(points, ends, axis=1), strict=True):
            out += likelihood(c) - 0.5 * np.einsum("mi,ij,mj->m", c, f.penalty, c)
        return out

    start = np.concatenate([f.coefficients for f in fits])
    scale = np.concatenate([np.sqrt(np.diag(f.inverse)) for f in fits])
    found = explore(log_density, start, scale, n_draws, rng, sampler="emcee", emcee=run)
    return np.split(found.draws, ends, axis=1)
