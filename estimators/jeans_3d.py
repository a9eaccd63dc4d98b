"""Enclosed mass from the spherical Jeans equation and all three dispersions (Bird et al. 2022)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

import numpy as np
from numpy.typing import ArrayLike

from haloassay.base.arrays import FloatArray
from haloassay.base.constants import G
from haloassay.base.errors import EstimationError
from haloassay.contracts.catalogue import SELECTION
from haloassay.contracts.estimate import Estimate, Estimates, Estimator
from haloassay.estimators.bins import (
    Bin,
    DensitySlope,
    check_alpha,
    check_edges,
    check_least,
    density_slope,
    radial_bins,
)
from haloassay.estimators.fit.density import DensityFit, FittedDensity, fit_density
from haloassay.estimators.fit.ellipsoid import Ellipsoid, ErrorModel, fit_bin
from haloassay.estimators.fit.laplace import LogDensity
from haloassay.estimators.fit.posterior import EmceeRun, Sampler, cell_draws, explore
from haloassay.estimators.halo.inner_slope import Density, InnerVc
from haloassay.estimators.halo.nfw import NFWFit, nfw_rows
from haloassay.estimators.rows import VIRIAL, undetermined_rows, velocity_row

if TYPE_CHECKING:
    from haloassay.contracts.catalogue import Catalogue

#: Upper limit of the flat prior of the scale of sigma_r(r) [kpc] (Bird 2022, section 2.1).
H_MAX: Final = 1000.0
#: Steps of Gauss and Newton from the best fit to that of a draw, which is near.
_STEPS: Final = 12

#: Run of emcee for sigma_r, and fit of the halo, as published.
_PUBLISHED: Final = EmceeRun(1000, 1500, 500)
_HALO: Final = NFWFit()


@dataclass(frozen=True)
class Jeans3D(Estimator):
    """Enclosed mass and circular velocity from binned velocity ellipsoids, then an NFW halo.

    M(<r) = -(1/G) [r^2 dsigma_r^2/dr + r ((2 + alpha) sigma_r^2 - sigma_theta^2 - sigma_phi^2)]
    (Bird et al. 2022, eq. 1). The dispersions are those of the bins (:mod:`velocity_ellipsoid`);
    the gradient is that of sigma_r = s0 exp(-r / h) fitted to them (eq. 2, 3). Each term is drawn
    from a Gaussian, independently, as published, so the covariance of gradient and dispersion is
    left out; ``gradient = "refitted"`` has it.

    Biased where sigma_r is not exponential, where it varies much inside a bin, and by a wrong
    alpha. Where none of that is so, 68 per cent intervals of M(<r), over six bins and 1000 or 5000
    stars, cover 0.64 to 0.66 with Gaussian velocities, whatever ``errors``; with tangential
    kurtosis 7 they cover 0.60 with ``"poisson"`` or ``"fisher"`` and 0.64 to 0.65 with
    ``"sandwich"`` (``benchmarks/interval_coverage.py``; Monte Carlo error 0.02).

    Parameters
    ----------
    bins
        Edges [kpc].
    alpha
        d ln rho / d ln r of the tracers that the observer assumes: one number, or a table of slopes
        and breaks.
    fit_density
        Fit of the density to the catalogue itself, under the selection function of its survey, or ``"none"``: ``alpha``
        is then what is assumed, else where the fit starts, with as many breaks. Each draw of a mass has its own draw of
        the density.
    inner_vc
        Limits of v_c near the Sun, to which the innermost slope is moved where it is outside; or ``"none"``.
    min_stars
        Bins with fewer stars have no value and stay out of the fits.
    errors
        Standard errors of the dispersions: ``"poisson"``, sigma / sqrt(2 N); ``"fisher"``, which
        knows the measurement errors; or ``"sandwich"``, which also needs no Gaussian velocities
        (:class:`~haloassay.estimators.velocity_ellipsoid.VelocityEllipsoid`). Bird et al. name
        Poisson statistics without printing the formula.
    gradient
        Draws of the gradient: ``"independent"`` of those of the dispersions, as published; or
        ``"refitted"``, of the exponential that fits each draw of them.
    sampler
        Of both fits: ``"quadrature"``, or ``"emcee"`` as published.
    emcee
        Length of emcee's run for sigma_r; Bird et al.: 1000 walkers, 1500 steps, 500 burnt.
    n_draws
        Draws of each mass (100 in Bird et al.), and of the posterior of the halo.
    nfw
        The fit of the dark halo, or ``"none"``.
    """

    name: ClassVar[str] = "jeans-3d"
    reference: ClassVar[str] = "2022MNRAS.516..731B"
    assumes: ClassVar[tuple[str, ...]] = (
        "spherical",
        "equilibrium",
        "non-rotating",
        "known density slope",
    )
    yields: ClassVar[tuple[str, ...]] = ("enclosed_mass", "v_c", "m200", "r200", "c200")
    published: ClassVar[dict[str, Any]] = {"sampler": "emcee", "n_draws": 100}

    bins: tuple[float, ...]
    alpha: float | DensitySlope
    fit_density: DensityFit | Literal["none"] = "none"
    inner_vc: InnerVc | Literal["none"] = "none"
    min_stars: int = 10
    errors: Literal["poisson", "fisher", "sandwich"] = "poisson"
    gradient: Literal["independent", "refitted"] = "independent"
    sampler: Sampler = "quadrature"
    emcee: EmceeRun = _PUBLISHED
    n_draws: int = 1000
    nfw: NFWFit | Literal["none"] = _HALO

    def __post_init__(self) -> None:
        check_edges(self.bins)
        check_alpha(self.alpha)
        check_least("min_stars", self.min_stars, 5)
        check_least("n_draws", self.n_draws, 2)

    def required(self) -> tuple[str, ...]:
        """Velocities, and the selection function of the survey where the density is fitted under it."""
        return self.needs if self.fit_density == "none" else (*self.needs, SELECTION)

    def usable(self) -> tuple[str, ...]:
        """All that is required, and [Fe/H] where a density is fitted: a survey may cut on it."""
        return self.required() if self.fit_density == "none" else (*self.required(), "feh")

    @property
    def expected(self) -> Mapping[str, str | tuple[str, str]]:  # type: ignore[override] # that of the class
        """Checks that only refitted gradients pass with many mocks."""
        if self.gradient == "refitted":
            return {}
        why = "gradient and dispersion are drawn as if independent, as published"
        return dict.fromkeys(("bias", "coverage", "ranks", "error ratio"), (why, "thorough"))

    def estimate(self, catalogue: Catalogue, rng: np.random.Generator) -> Estimates:
        """Rows enclosed_mass and v_c of each bin, and of the halo; a note where no value is."""
        catalogue.check_finite()
        profile = [
            _Point.of(catalogue, b, self.min_stars, self.errors)
            for b in radial_bins(catalogue.r, self.bins)
        ]
        usable = [point for point in profile if not point.note]
        r = np.array([point.bin.r for point in usable])
        sigma = np.array([point.sigma for point in usable]).reshape(-1, 3)
        error = np.array([point.error for point in usable]).reshape(-1, 3)
        try:
            fit = self._fit_sigma_r(r, sigma[:, 0], error[:, 0], rng)
        except EstimationError as failure:
            notes = [point.note or str(failure) for point in profile]
            return _no_estimates(profile, notes, str(failure), self.nfw != "none")
        try:
            density = self._density(catalogue, [point.bin for point in usable], sigma, fit, rng)
        except EstimationError as failure:
            return _no_estimates(
                profile, [str(failure)] * len(profile), str(failure), self.nfw != "none"
            )
        alpha = (
            density.slopes(r, self.n_draws)
            if isinstance(density, FittedDensity)
            else density.slope(r)
        )
        mass = self._mass_draws(r, sigma, error, fit, alpha, rng)
        rows = _profile_rows(profile, iter(mass.T))
        if self.nfw != "none":
            lo, value, hi = np.percentile(mass, [16.0, 50.0, 84.0], axis=0)
            half = 0.5 * (hi - lo)
            rows += nfw_rows(r, value, half, self.nfw, self.sampler, self.n_draws, rng)
        return Estimates(rows)

    def _density(
        self,
        catalogue: Catalogue,
        bins: list[Bin],
        sigma: FloatArray,
        fit: FloatArray,
        rng: np.random.Generator,
    ) -> Density:
        """Density that is assumed or fitted, moved to a v_c that is allowed; ``fit`` as of :meth:`_mass_draws`."""
        form = density_slope(self.alpha)
        density: Density = form
        if self.fit_density != "none":
            density = fit_density(catalogue, form, self.fit_density, self.n_draws, rng)
        if self.inner_vc == "none":
            return density
        k = self.inner_vc.holder(bins)
        r = bins[k].r
        steepness = gradient(np.array([r]), *np.median(fit, axis=0))
        mass = jeans_mass(r, steepness[0], sigma[k], density.slope(r))
        return self.inner_vc.adjust(density, r, float(G * mass / r), -(float(sigma[k, 0]) ** 2))

    def _fit_sigma_r(
        self, r: FloatArray, sigma: FloatArray, error: FloatArray, rng: np.random.Generator
    ) -> FloatArray:
        """(n, 2) draws of (s0 [km/s], h [kpc])."""
        if len(r) < 2:
            raise EstimationError(
                f"the gradient of sigma_r needs two bins with dispersions (got {len(r)})"
            )
        if self.sampler == "quadrature":
            return exponential_draws(r, sigma, error, 20000, rng)
        start = _start(r, sigma, error)
        log_density = exponential_log_density(r, sigma, error)
        way = log_density, start, 0.01 * start, 20000, rng
        return explore(*way, sampler="emcee", emcee=self.emcee).draws

    def _mass_draws(
        self,
        r: FloatArray,
        sigma: FloatArray,
        error: FloatArray,
        fit: FloatArray,
        alpha: FloatArray,
        rng: np.random.Generator,
    ) -> FloatArray:
        """(n_draws, n) draws of M(<r) [Msun], each term Gaussian; ``fit`` holds draws (m, 2) of s0 and h."""
        terms = sigma + error * rng.standard_normal((self.n_draws, *sigma.shape))
        if self.gradient == "refitted":
            again = refitted(r, terms[..., 0], error[:, 0], np.median(fit, axis=0))
            steepness = gradient(r, *again.T[:, :, None])
        else:
            slope = gradient(r, *fit.T[:, :, None])
            lo, middle, hi = np.percentile(slope, [16.0, 50.0, 84.0], axis=0)
            steepness = middle + 0.5 * (hi - lo) * rng.standard_normal((self.n_draws, len(r)))
        return jeans_mass(r, steepness, np.moveaxis(terms, -1, 0), alpha)


@dataclass(frozen=True, eq=False)
class _Point:
    """Dispersions of a bin, their standard errors, each (3,) [km/s]; or why there are none."""

    bin: Bin
    sigma: FloatArray
    error: FloatArray
    note: str = ""

    @classmethod
    def of(cls, catalogue: Catalogue, bin_: Bin, min_stars: int, errors: str) -> _Point:
        model: ErrorModel = "sandwich" if errors == "sandwich" else "fisher"
        try:
            ellipsoid: Ellipsoid = fit_bin(catalogue, bin_, min_stars, model)
        except EstimationError as error:
            return cls(bin_, np.empty(0), np.empty(0), str(error))
        if note := ellipsoid.note():
            return cls(bin_, np.empty(0), np.empty(0), note)
        sigma = ellipsoid.sigma
        poisson = sigma / np.sqrt(2.0 * ellipsoid.n)
        return cls(bin_, sigma, poisson if errors == "poisson" else ellipsoid.sigma_error)


def jeans_mass(r: ArrayLike, slope: ArrayLike, sigma: ArrayLike, alpha: ArrayLike) -> FloatArray:
    """Enclosed mass [Msun] of the spherical Jeans equation (Bird 2022, eq. 1).

    Parameters
    ----------
    r
        Radii [kpc].
    slope
        d sigma_r^2 / dr [(km/s)^2 / kpc].
    sigma
        Dispersions (3, ...) in r, theta, phi [km/s].
    alpha
        d ln rho / d ln r of the tracers.
    """
    r, slope, alpha = (np.asarray(a, dtype=float) for a in (r, slope, alpha))
    rr, tt, pp = np.square(np.asarray(sigma, dtype=float))
    return np.asarray(-(r * r * slope + r * ((2.0 + alpha) * rr - tt - pp)) / G)


def gradient(r: FloatArray, s0: FloatArray, h: FloatArray) -> FloatArray:
    """Gradient d sigma_r^2 / dr = -2 s0^2 / h exp(-2 r / h) [(km/s)^2 / kpc] (eq. 3)."""
    return np.asarray(-2.0 * s0**2 / h * np.exp(-2.0 * r / h))


def refitted(r: FloatArray, sigma: FloatArray, error: FloatArray, start: FloatArray) -> FloatArray:
    """(m, 2) s0 [km/s] and h [kpc] of the exponentials that fit dispersions (m, n) best, by Gauss and Newton.

    h stays within the prior of the fit: at most :data:`H_MAX`, and no less than the radius of the first bin.
    """
    log_s0, rate = np.log(start[0]) * np.ones(len(sigma)), np.ones(len(sigma)) / start[1]
    for _ in range(_STEPS):
        model = np.exp(log_s0[:, None] - rate[:, None] * r)
        by_s0, by_rate = model / error, -r * model / error
        apart = (sigma - model) / error
        a, b, c = (
            np.sum(x * y, axis=1) for x, y in ((by_s0, by_s0), (by_s0, by_rate), (by_rate, by_rate))
        )
        p, q = np.sum(by_s0 * apart, axis=1), np.sum(by_rate * apart, axis=1)
        before, rate = (
            rate,
            np.clip(rate + (a * q - b * p) / (a * c - b * b), 1.0 / H_MAX, 1.0 / r[0]),
        )
        log_s0 = log_s0 + (p - b * (rate - before)) / a
    return np.stack([np.exp(log_s0), 1.0 / rate], axis=1)


def exponential_log_density(r: FloatArray, sigma: FloatArray, error: FloatArray) -> LogDensity:
    """Log posterior of (s0, h) of s0 exp(-r / h): chi^2, flat for s0 > 0, 0 < h < 1000 kpc."""

    def log_density(points: FloatArray) -> FloatArray:
        s0, h = points[:, :1], points[:, 1:]
        inside = (s0 > 0.0) & (h > 0.0) & (h < H_MAX)
        model = np.where(inside, s0, 1.0) * np.exp(-r / np.where(inside, h, 1.0))
        chi2 = np.sum(((sigma - model) / error) ** 2, axis=1)
        return np.where(inside[:, 0], -0.5 * chi2, -np.inf)

    return log_density


def exponential_draws(
    r: FloatArray,
    sigma: FloatArray,
    error: FloatArray,
    n_draws: int,
    rng: np.random.Generator,
) -> FloatArray:
    """Independent draws (n_draws, 2) from the posterior of :func:`exponential_log_density`.

    Given h, s0 is Gaussian above zero; what is left of the posterior is a function of h alone, which
    is drawn from on a grid that closes in on it.

    Raises
    ------
    EstimationError
        If the dispersions do not bound h from below: as the prior of s0 has no limit, the posterior
        grows towards h = 0, and only a valley in between sets its peak apart.
    """
    from scipy.special import ndtr, ndtri

    log_h = np.linspace(np.log(r[0] / 300.0), np.log(H_MAX), 4097)
    for _ in range(4):
        middle = 0.5 * (log_h[1:] + log_h[:-1])
        first, precision, log_p = _given_scale(r, sigma, error, np.exp(middle))
        weight = _peak(log_p)
        held = np.flatnonzero(weight > 1e-12 * weight.max())
        grid, log_h = log_h, np.linspace(log_h[held[0]], log_h[held[-1] + 1], 4097)
    h = np.exp(cell_draws(grid, weight, n_draws, rng))
    first, precision, _ = _given_scale(r, sigma, error, h)
    below = ndtr(-first * precision)
    u = below + (1.0 - below) * rng.uniform(1e-15, 1.0 - 1e-15, n_draws)
    return np.column_stack([(first + ndtri(u) / precision) * np.exp(r[0] / h), h])


def _given_scale(
    r: FloatArray, sigma: FloatArray, error: FloatArray, h: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Mean and inverse width of sigma_r(r[0]) given scales h (m,), and log posterior of ln h."""
    from scipy.special import log_ndtr

    shape = np.exp(-(r - r[0]) / h[:, None])
    precision = np.sqrt(np.sum((shape / error) ** 2, axis=1))
    first = np.sum(shape * sigma / error**2, axis=1) / precision**2
    chi2 = np.sum(((sigma - first[:, None] * shape) / error) ** 2, axis=1)
    # the prior is flat in s0 = sigma_r(r[0]) exp(r[0] / h) and in h
    log_p = -0.5 * chi2 + r[0] / h + np.log(h / precision) + log_ndtr(first * precision)
    return first, precision, log_p


def _peak(log_p: FloatArray) -> FloatArray:
    """Weights of the cells of a posterior that belong to its peak, not to its rise towards h = 0."""
    rising = np.flatnonzero(np.diff(log_p) < 0.0)
    valley = 0
    if len(rising) and rising[0] == 0:
        upward = np.flatnonzero(np.diff(log_p) > 0.0)
        valley = int(upward[0]) if len(upward) else len(log_p) - 1
    top = float(log_p[valley:].max())
    if valley and log_p[valley] > top - np.log(1e3):
        raise EstimationError("the dispersions do not bound the scale of sigma_r(r) from below")
    weight = np.exp(log_p - top)
    weight[:valley] = 0.0
    return np.asarray(weight)


def _start(r: FloatArray, sigma: FloatArray, error: FloatArray) -> FloatArray:
    """(s0, h) of a weighted straight line through ln sigma, inside the prior."""
    slope, _ = np.polyfit(r, np.log(sigma), 1, w=sigma / error)
    h = 1.0 / np.clip(-slope, 1.0 / (0.9 * H_MAX), 1.0)
    weight = (np.exp(-r / h) / error) ** 2
    return np.array([np.average(sigma * np.exp(r / h), weights=weight), h])


def _profile_rows(profile: list[_Point], masses: Iterator[FloatArray]) -> list[Estimate]:
    """Rows enclosed_mass, then v_c, of all bins; ``masses`` yields the draws of the usable ones."""
    mass_rows, velocity_rows = [], []
    for point in profile:
        where = point.bin.where
        if point.note:
            mass_rows.append(Estimate.undetermined("enclosed_mass", point.note, **where))
            velocity_rows.append(Estimate.undetermined("v_c", point.note, **where))
            continue
        draws = next(masses)
        square = G * draws / point.bin.r
        mass_rows.append(Estimate.from_draws("enclosed_mass", draws, **where))
        velocity_rows.append(velocity_row(square, "the enclosed mass is negative", **where))
    return mass_rows + velocity_rows


def _no_estimates(profile: list[_Point], notes: list[str], reason: str, halo: bool) -> Estimates:
    """Rows without values: bins with their own notes, the halo with the reason."""
    rows = [
        Estimate.undetermined(quantity, note, **point.bin.where)
        for quantity in ("enclosed_mass", "v_c")
        for point, note in zip(profile, notes, strict=True)
    ]
    return Estimates(rows + undetermined_rows(VIRIAL if halo else (), reason))
