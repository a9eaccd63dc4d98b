"""Tracer mass estimators: enclosed mass as a weighted mean of squared velocities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike

from haloassay.base.arrays import FloatArray, IntArray
from haloassay.base.constants import G
from haloassay.base.errors import EstimationError
from haloassay.base.settings import require
from haloassay.contracts.catalogue import SELECTION
from haloassay.contracts.estimate import Estimate, Estimates, Estimator
from haloassay.contracts.profiles import nfw_enclosed_mass, nfw_shape, virial_mass
from haloassay.estimators.bins import (
    Bin,
    DensitySlope,
    Edges,
    ShellDensity,
    bootstrap,
    check_alpha,
    check_beta,
    check_edges,
    check_least,
    check_number,
    check_radii,
    check_resolved,
    density_slope,
    radial_bins,
    resampled_catalogues,
)
from haloassay.estimators.fit.density import DensityFit, FittedDensity, fit_density
from haloassay.estimators.fit.ellipsoid import fit_ellipsoid, require_resolved
from haloassay.estimators.fit.posterior import Sampler
from haloassay.estimators.gathering import gathered, spherical_covariance, spherical_velocity
from haloassay.estimators.halo.baryons import Baryons, baryons_mass
from haloassay.estimators.halo.boundary import edge_share, log_variance
from haloassay.estimators.halo.inner_slope import Density, InnerVc
from haloassay.estimators.halo.nfw import NFWFit, nfw_rows
from haloassay.estimators.rows import resampled_row, undetermined_rows

if TYPE_CHECKING:
    from haloassay.contracts.catalogue import Catalogue

Data = Literal["r-vr", "r-v", "r-vlos", "r-vt", "R-vlos", "R-pm"]
LineOfSight = Literal["x", "y", "z"]


@dataclass(frozen=True)
class KnownShape:
    """Shape of the potential's enclosed mass, of which only the normalisation is looked for.

    Parameters
    ----------
    kind
        ``"nfw"``.
    r_s
        Scale radius [kpc]; or r200 and c.
    r200, c
        Virial radius [kpc] and concentration: needed with baryons, whose share in the mass they
        fix.
    baryons
        Baryons whose mass, in proportion, is part of the shape.
    h0
        Hubble's constant [km/s/Mpc], for the mass within r200.
    """

    kind: Literal["nfw"] = "nfw"
    r_s: float | None = None
    r200: float | None = None
    c: float | None = None
    baryons: Baryons = "none"
    h0: float = 67.8

    def __post_init__(self) -> None:
        virial = self.r200 is not None and self.c is not None
        partly = self.r200 is not None or self.c is not None
        require(
            (self.r_s is not None and not partly) or (self.r_s is None and virial),
            "give either r_s, or r200 and c",
        )
        require(virial or self.baryons == "none", "baryons need r200 and c, not r_s")
        for name in ("r_s", "r200", "c", "h0"):
            value = getattr(self, name)
            require(value is None or value > 0.0, f"{name} is positive (got {value})")
            require(value is None or 1e-3 <= value <= 1e6, f"{name}: 0.001 to 1e6 (got {value})")

    def mass(self, r: ArrayLike) -> FloatArray:
        """Enclosed mass at ``r`` [kpc], normalisation arbitrary."""
        if self.r200 is None or self.c is None:
            return nfw_shape(np.asarray(r, dtype=float) / self.r_s)
        halo = nfw_enclosed_mass(r, virial_mass(self.r200, self.h0), self.r200, self.c)
        return np.asarray(halo + baryons_mass(self.baryons, r))


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
        Edges [kpc], or ``"none"`` for the whole sample.
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
    """

    version: ClassVar[int] = 2
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


def scale_free_constant(data: Data, a: float, gamma: float, beta: float) -> float:
    """M(<r_out) G r_out^(a - 1) / <v^2 r^a> for v_c^2 ~ r^-a, rho ~ r^-gamma and constant beta.

    r is the projected R for data that have no other radius. From the Jeans equation,
    v_c^2 = (gamma + a - 2 beta) sigma_r^2, and the averages of v_los^2 and R over all directions
    (Watkins et al. 2010; Evans et al. 2011; An & Evans 2011).
    """
    constant = a + gamma - 2.0 * beta
    if data == "r-vr":
        return constant
    if data == "r-v":
        return constant / (3.0 - 2.0 * beta)
    if data == "r-vlos":
        return 3.0 * constant / (3.0 - 2.0 * beta)
    if data == "r-vt":
        return constant / (2.0 * (1.0 - beta))
    from scipy.special import gamma as gamma_function

    k = np.sqrt(np.pi) * gamma_function(0.5 * a + 1.0) / (4.0 * gamma_function(0.5 * a + 2.5))
    if data == "R-vlos":
        return float(constant / (k * (a + 3.0 - beta * (a + 2.0))))
    return float(constant / (k * (2.0 * (a + 3.0) - beta * (a + 4.0))))


@dataclass(frozen=True, eq=False)
class ScaleFree:
    """Scale-free estimate of (resampled) stars: factor <((v_r - <v_r>)^2 + rest) r^a>.

    Parameters
    ----------
    v_r, rest
        (n,) radial velocity [km/s] and the square of what else is known [(km/s)^2].
    weight
        (n,) r^a.
    subtract_mean
        Whether <v_r> is taken off.
    factor
        (k,) factors [Msun / ((km/s)^2 kpc^a)].
    """

    v_r: FloatArray
    rest: FloatArray
    weight: FloatArray
    subtract_mean: bool
    factor: FloatArray

    def __call__(self, rows: IntArray) -> FloatArray:
        """Masses (k,) [Msun] of the stars ``rows``."""
        v_r = self.v_r[rows]
        if self.subtract_mean:
            v_r = v_r - v_r.mean()
        return self.factor * np.mean((v_r**2 + self.rest[rows]) * self.weight[rows])


@dataclass(frozen=True, eq=False)
class Bounded:
    """Known-shape estimate of (resampled) stars, with the boundary term of a sample cut in radius.

    The Jeans equation times r^4 / mu, integrated by parts between the edges, where M(<r) = M_v
    mu(r): G M_v = <v_r^2 (r / mu) (4 - 2 beta - dln mu/dln r)> - [r^4 rho sigma_r^2 / mu] / int rho
    r^2 dr.

    Parameters
    ----------
    r, v_r
        (n,) radii [kpc] and radial velocities [km/s].
    subtract_mean
        Whether <v_r> is taken off.
    beta
        Anisotropy.
    density
        Density of the tracers; gives their share at the edges.
    shape
        mu(r), normalisation arbitrary.
    edges
        Radii between which the sample is complete [kpc].
    r_out
        (k,) radii of the masses [kpc].
    """

    r: FloatArray
    v_r: FloatArray
    subtract_mean: bool
    beta: float
    density: ShellDensity
    shape: KnownShape
    edges: tuple[float, float]
    r_out: FloatArray

    @cached_property
    def _lever(self) -> FloatArray:
        """(n,) (r / mu) (4 - 2 beta - dln mu/dln r)."""
        from scipy.interpolate import CubicSpline

        knots = np.linspace(np.log(self.r.min()) - 0.1, np.log(self.r.max()) + 0.1, 200)
        log_mu = CubicSpline(knots, np.log(self.shape.mass(np.exp(knots))))
        x = np.log(self.r)
        return np.asarray(np.exp(x - log_mu(x)) * (4.0 - 2.0 * self.beta - log_mu(x, 1)))

    @cached_property
    def _share(self) -> FloatArray:
        """(2,) r^4 rho / mu / int rho r^2 dr at the edges."""
        lo = max(self.edges[0], 1e-3 * self.edges[1])  # a bin from the centre has no inner boundary
        edges = np.array([lo, self.edges[1]])
        return edge_share(self.density, edges) / self.shape.mass(edges)

    @cached_property
    def _design(self) -> FloatArray:
        """(n, 3) powers 0, 1, 2 of ln r, about its mean, of a smooth ln sigma_r^2."""
        return np.vander(np.log(self.r) - self._middle, 3, increasing=True)

    @cached_property
    def _middle(self) -> float:
        return float(np.mean(np.log(self.r)))

    def __call__(self, rows: IntArray) -> FloatArray:
        """Masses (k,) [Msun] of the stars ``rows``."""
        v_r = self.v_r[rows]
        square = (v_r - v_r.mean()) ** 2 if self.subtract_mean else v_r**2
        coefficients = log_variance(self._design[rows], square)
        edges = np.log(np.maximum(self.edges, 1e-3 * self.edges[1])) - self._middle
        at_edges = np.exp(np.vander(edges, 3, increasing=True) @ coefficients)
        boundary = np.diff(self._share * at_edges)[0]
        norm = (np.mean(square * self._lever[rows]) - boundary) / G
        return np.asarray(norm * self.shape.mass(self.r_out))
