"""Tracer mass estimators: enclosed mass as a weighted mean of squared velocities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.cache import LATER
from haloassay.base.constants import G
from haloassay.base.errors import EstimationError
from haloassay.base.settings import require
from haloassay.contracts.catalogue import SELECTION
from haloassay.contracts.estimate import Estimate, Estimates, Estimator
from haloassay.estimators.bins import (
    Bin,
    DensitySlope,
    Edges,
    ShellDensity,
    bootstrap,
    check_alpha,
    check_beta,
    check_edges,
    check_ends,
    check_least,
    check_number,
    check_radii,
    check_resolved,
    density_slope,
    radial_bins,
    resampled_catalogues,
)
from haloassay.estimators.deconvolution import RadiusDeconvolution
from haloassay.estimators.fit.density import DensityFit, FittedDensity, fit_density
from haloassay.estimators.fit.ellipsoid import fit_ellipsoid, require_resolved
from haloassay.estimators.fit.posterior import Sampler
from haloassay.estimators.gathering import gathered, spherical_covariance, spherical_velocity
from haloassay.estimators.halo.inner_slope import Density, InnerVc
from haloassay.estimators.halo.nfw import NFWFit, nfw_rows
from haloassay.estimators.halo.tracer_averages import (
    Bounded,
    Data,
    KnownShape,
    ScaleFree,
    scale_free_constant,
)
from haloassay.estimators.rows import resampled_row, undetermined_rows

if TYPE_CHECKING:
    from haloassay.contracts.catalogue import Catalogue

LineOfSight = Literal["x", "y", "z"]


@dataclass(frozen=True)
class TracerMass(Estimator):
    """Enclosed mass from a weighted mean of squared velocities.

    Scale-free (Watkins, Evans & An 2010; An & Evans 2011; Evans, An & Deason 2011; Bird et al.
    2022, eq. 4): v_c^2 proportional to r^-a, density to r^alpha, constant beta; M(<r_out) = C <v^2
    r^a> times a factor that depends on the data. With a ``shape``, the potential is known up to its
    normalisation, and the boundary term of a sample that is cut in radius is subtracted.
    Measurement errors stay in the squared velocities.

    Biased in a pure NFW potential where scale-free. With all else right, the default a and beta =
    0.5, the mass at the median radius of a bin is off by +44, +27, +15, +6 and -1 per cent at 7, 14,
    27, 55 and 110 kpc where m200 = 0.8e12 and c = 15, by +72 to +12 where c = 5; at the outermost
    star by -3 to +6 (``benchmarks/tracer_mass.py``, +- 0.7). By a varying beta; by velocity errors
    that are not small against the dispersion.
    Where its assumptions hold, 68 per cent intervals cover 0.65 (1000 stars in six bins) and 0.67
    (5000) with beta known. A measured beta scatters with <v_r^2> and takes back part of its error,
    which the bootstrap as published, at fixed beta, does not know: 0.74 to 0.81, too wide
    (``benchmarks/interval_coverage.py``; Monte Carlo error 0.02).

    Parameters
    ----------
    alpha
        d ln rho / d ln r of the tracers that the observer assumes: one number, or a table of slopes
        and breaks; taken at the median radius of a bin.
    fit_density
        Fit of the density to the catalogue itself, under the selection function of its survey, or ``"none"``: ``alpha``
        is then what is assumed, else where the fit starts, with as many breaks. Each
        resampled catalogue has its own draw of the density.
    inner_vc
        Limits of v_c near the Sun, to which the innermost slope is moved where it is outside; or ``"none"``.
    data
        What is known of a star: r and v_r, v, v_los or v_t; or, for a distant observer along
        ``line_of_sight``, projected radius R and v_los, or R and both transverse velocities.
    a
        Slope of the potential; 0.5 stands for an NFW halo like the Milky Way's (Watkins et al.
        2010).
    beta
        Anisotropy, or ``"measured"``: that of the bin's velocity ellipsoid, freed from the errors.
    bins
        Edges [kpc], or ``"none"`` for the whole sample. With a known shape there is then no value where the innermost
        or outermost star is far from all others (:func:`~haloassay.estimators.bins.check_ends`).
    at
        Radius of the mass: ``"median"`` of the bin's stars (Bird et al.), or that of its
        ``"outermost"`` star.
    subtract_mean
        Take <v_r> of the bin from v_r, against the reflex motion caused by the LMC; touches r-vr
        and r-v.
    line_of_sight
        Cartesian axis along which a distant observer looks.
    shape
        Known shape of the potential, for r-vr; or ``"scale-free"``.
    r_out
        Radii [kpc] at which a known shape gives the mass of the whole sample, in place of ``at``.
    min_stars
        Bins with fewer stars have no value.
    n_bootstrap
        Resampled catalogues behind the intervals; r and v are resampled, beta is kept (100 in Bird
        et al.).
    nfw
        Fit of a dark halo to the masses of the bins, as in Bird et al., or ``"none"``.
    sampler
        Of that fit.
    distances
        Free radii and velocities from the errors of distances, by draws of each star's posterior under a density that
        is given; or ``"as-stated"``.
    """

    version: ClassVar[int] = 3
    name: ClassVar[str] = "tracer-mass"
    reference: ClassVar[str] = "2011MNRAS.413.1744A"
    assumes: ClassVar[tuple[str, ...]] = (
        "spherical",
        "equilibrium",
        "non-rotating",
        "constant beta",
        "known density slope",
        "known shape of the potential",
    )
    yields: ClassVar[tuple[str, ...]] = ("enclosed_mass", "m200", "r200", "c200")
    published: ClassVar[dict[str, Any]] = {"sampler": "emcee"}

    alpha: float | DensitySlope
    fit_density: DensityFit | Literal["none"] = "none"
    inner_vc: InnerVc | Literal["none"] = "none"
    data: Data = "r-vr"
    a: float = 0.5
    beta: float | Literal["measured"] = "measured"
    bins: Edges = "none"
    at: Literal["median", "outermost"] = "median"
    subtract_mean: bool = True
    line_of_sight: LineOfSight = "z"
    shape: KnownShape | Literal["scale-free"] = "scale-free"
    r_out: tuple[float, ...] = ()
    min_stars: int = 10
    n_bootstrap: int = 100
    nfw: NFWFit | Literal["none"] = "none"
    sampler: Sampler = "quadrature"
    distances: RadiusDeconvolution | Literal["as-stated"] = field(
        default="as-stated", metadata=LATER
    )

    def __post_init__(self) -> None:
        check_edges(self.bins)
        check_alpha(self.alpha)
        require(
            -1.0 < self.a <= 1.0, f"a: above -1, at most 1, which is a point mass (got {self.a})"
        )
        if self.beta != "measured":
            check_beta(self.beta)
        least = 5 if self.beta == "measured" else 2
        check_least("min_stars", self.min_stars, least)
        check_least("n_bootstrap", self.n_bootstrap, 2)
        known = self.shape != "scale-free"
        require(not known or self.data == "r-vr", f'shape: needs data = "r-vr" (got {self.data!r})')
        require(not self.r_out or known, "r_out: only with a known shape")
        require(not self.r_out or self.bins == "none", 'r_out: only with bins = "none"')
        check_radii("r_out", self.r_out)
        require(self.inner_vc == "none" or not known, 'inner_vc: only with shape = "scale-free"')
        require(self.nfw == "none" or self.bins != "none", "nfw: the fit of a halo needs bins")

    def required(self) -> tuple[str, ...]:
        """Velocities, and the selection function of the survey where the density is fitted under it."""
        return self.needs if self.fit_density == "none" else (*self.needs, SELECTION)

    def usable(self) -> tuple[str, ...]:
        """All that is required, and [Fe/H] where a density is fitted: a survey may cut on it."""
        return self.required() if self.fit_density == "none" else (*self.required(), "feh")

    def estimate(self, catalogue: Catalogue, rng: np.random.Generator) -> Estimates:
        """Rows enclosed_mass of each bin or radius, and of the halo; a note where no value is."""
        if isinstance(self.distances, RadiusDeconvolution):
            return self.distances.pooled(replace(self, distances="as-stated"), catalogue, rng)
        catalogue.check_finite()
        rows: list[Estimate] = []
        bins = radial_bins(catalogue.r, self.bins)
        betas = self._betas(catalogue, bins)
        known = (_radius, spherical_velocity, self._observed)
        stars = gathered(catalogue, [bin_.rows for bin_ in bins], *known)
        density: Density | EstimationError
        try:
            density = self._density(catalogue, bins, betas, stars, rng)
        except EstimationError as failure:
            density = failure
        for bin_, beta, arrays in zip(bins, betas, stars, strict=True):
            rows += self._bin_rows(bin_, beta, arrays, density, rng)
        if self.nfw != "none":
            found = [row for row in rows if not row.note]
            r, mass, error = (
                np.array([(row.r, row.value, 0.5 * (row.hi68 - row.lo68)) for row in found])
                .reshape(-1, 3)
                .T
            )
            rows += nfw_rows(r, mass, error, self.nfw, self.sampler, 1000, rng)
        return Estimates(rows)

    def _density(
        self,
        catalogue: Catalogue,
        bins: tuple[Bin, ...],
        betas: Sequence[float | EstimationError],
        stars: Sequence[tuple[FloatArray, ...]],
        rng: np.random.Generator,
    ) -> Density:
        """Density that is assumed or fitted, and moved to the v_c that is allowed."""
        form = density_slope(self.alpha)
        density: Density = form
        if self.fit_density != "none":
            density = fit_density(catalogue, form, self.fit_density, self.n_bootstrap, rng)
        if self.inner_vc == "none":
            return density
        full = [k for k, each in enumerate(bins) if len(each) >= self.min_stars]
        held = full[self.inner_vc.holder([bins[k] for k in full])]
        bin_, beta = bins[held], betas[held]
        if isinstance(beta, EstimationError):
            raise beta
        statistic = self._statistic(bin_, beta, stars[held], np.array([bin_.r]), density)
        square = float(G * statistic(np.arange(len(bin_)))[0] / bin_.r)
        # the mass goes as a + gamma - 2 beta, with gamma = -alpha
        gamma = -float(density.slope(bin_.r))
        return self.inner_vc.adjust(
            density, bin_.r, square, -square / (self.a + gamma - 2.0 * beta)
        )

    def _betas(self, catalogue: Catalogue, bins: tuple[Bin, ...]) -> list[float | EstimationError]:
        """Anisotropy of each bin, or why it has no value."""
        found: list[float | EstimationError] = []
        stars = gathered(
            catalogue, [bin_.rows for bin_ in bins], spherical_velocity, spherical_covariance
        )
        for bin_, (v, S) in zip(bins, stars, strict=True):
            try:
                check_number(len(bin_), self.min_stars)
                axes = slice(0, 1) if self.data == "r-vr" else slice(0, 3)
                check_resolved(v[:, axes] ** 2, np.einsum("njj->nj", S)[:, axes])
                if self.beta == "measured":
                    found.append(require_resolved(fit_ellipsoid(v, S)).beta)
                else:
                    found.append(self.beta)
            except EstimationError as error:
                found.append(error)
        return found

    def _bin_rows(
        self,
        bin_: Bin,
        beta: float | EstimationError,
        stars: tuple[FloatArray, ...],
        density: Density | EstimationError,
        rng: np.random.Generator,
    ) -> list[Estimate]:
        """Rows of a bin, of radii (n,), velocities (n, 3) and what else is observed (n, 2) of its stars."""
        radii = self.r_out or (bin_.r,)
        places = [{**bin_.where, "r": r, "bin": bin_.index + k} for k, r in enumerate(radii)]
        try:
            if isinstance(density, EstimationError):
                raise density
            if isinstance(beta, EstimationError):
                raise beta
            if self.shape != "scale-free" and self.bins == "none":
                check_ends(stars[0], "bins")
            if self.at == "outermost" and not self.r_out:
                places[0]["r"] = float(stars[0].max())
            r_out = np.array([place["r"] for place in places])
            statistic = self._statistic(bin_, beta, stars, r_out, density)
            values = statistic(np.arange(len(bin_)))
            if isinstance(density, FittedDensity):
                drawn = [
                    self._statistic(bin_, beta, stars, r_out, density.drawn(k))
                    for k in range(self.n_bootstrap)
                ]
                again = resampled_catalogues(len(bin_), self.n_bootstrap, rng)
                resampled = np.array([of(rows) for of, rows in zip(drawn, again, strict=True)])
            else:
                resampled = bootstrap(statistic, len(bin_), self.n_bootstrap, rng)
        except EstimationError as error:
            return undetermined_rows(("enclosed_mass",), str(error), places)
        return [
            resampled_row("enclosed_mass", value, draws, **place)
            for value, draws, place in zip(values, resampled.T, places, strict=True)
        ]

    def _statistic(
        self,
        bin_: Bin,
        beta: float,
        stars: tuple[FloatArray, ...],
        r_out: FloatArray,
        density: ShellDensity,
    ) -> ScaleFree | Bounded:
        """Masses within ``r_out`` as a function of row numbers of (resampled) stars of the bin."""
        r, v, (radius, rest) = stars[0], stars[1], np.ascontiguousarray(stars[2].T)
        v_r = np.ascontiguousarray(v[:, 0])
        if isinstance(self.shape, KnownShape):
            return Bounded(
                r, v_r, self.subtract_mean, beta, density, self.shape, (bin_.r_lo, bin_.r_hi), r_out
            )
        gamma = -float(density.slope(bin_.r))
        radial = v_r if self.data in ("r-vr", "r-v") else np.zeros_like(r)
        constant = scale_free_constant(self.data, self.a, gamma, beta)
        if constant <= 0.0:
            raise EstimationError(
                f"no equilibrium: a + gamma - 2 beta is not positive (a = {self.a:g}, "
                f"gamma = {gamma:.3g}, beta = {beta:.3g})"
            )
        return ScaleFree(
            radial, rest, radius**self.a, self.subtract_mean, constant * r_out ** (1.0 - self.a) / G
        )

    def _observed(self, part: Catalogue) -> FloatArray:
        """(n, 2) radius [kpc] and squared velocity beyond v_r [(km/s)^2] that the data hold."""
        r, rest = part.r, np.zeros(len(part))
        if self.data == "r-vr":
            return np.stack([r, rest], axis=1)
        axis = "xyz".index(self.line_of_sight)
        across = np.delete(np.arange(3), axis)
        if self.data in ("r-v", "r-vt"):
            rest = np.sum(part.spherical_velocity[:, 1:] ** 2, axis=1)
        elif self.data in ("r-vlos", "R-vlos"):
            rest = part.velocity[:, axis] ** 2
        else:
            rest = np.sum(part.velocity[:, across] ** 2, axis=1)
        if self.data.startswith("R"):
            r = np.hypot(*part.position[:, across].T)
        return np.stack([r, rest], axis=1)


def _radius(part: Catalogue) -> FloatArray:
    return part.r
