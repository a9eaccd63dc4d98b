"""Mass and anisotropy without a form, by the Jeans equation and a virial moment (after Read & Steger 2017)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.constants import G
from haloassay.base.errors import EstimationError
from haloassay.base.settings import require
from haloassay.contracts.catalogue import SELECTION
from haloassay.contracts.estimate import Estimate, Estimates, Estimator
from haloassay.contracts.profiles import virial_mass
from haloassay.estimators.bins import (
    DensitySlope,
    check_alpha,
    check_least,
    check_number,
    check_radii,
    check_range,
    density_slope,
    places_at,
    rows_within,
)
from haloassay.estimators.fit.binned_moments import (
    BinnedMoments,
    VirialRatio,
    bin_moments,
    virial_ratio,
)
from haloassay.estimators.fit.density import DensityFit, fit_density
from haloassay.estimators.fit.posterior import EmceeRun, explore
from haloassay.estimators.fit.tracer_velocities import READ, Data, TracerVelocities
from haloassay.estimators.halo.baryons import Baryons, baryons_mass
from haloassay.estimators.halo.jeans_moments import (
    MASS_SLOPES,
    SYMMETRIC,
    Anisotropy,
    Moments,
    Tracers,
)
from haloassay.estimators.rows import (
    drawn_row,
    share_at_end,
    undetermined_rows,
    velocity_row,
)

if TYPE_CHECKING:
    from haloassay.contracts.catalogue import Catalogue

#: Velocity components that are compared, by what is observed.
_COMPONENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "6d": ("r", "t"),
    "vlos": ("r", "t"),
    "los": ("los",),
    "proper-motions": ("R", "T"),
    "projected": ("los", "R", "T"),
}
#: Quantiles of the radii between which knots are laid, and radii of results are by default.
_KNOTS_BETWEEN: Final = (0.02, 0.98)
_RESULTS_BETWEEN: Final = (0.05, 0.95)
#: Half the width of the prior of ln M at the pivot, about the mass of the mean square of speeds there.
_MASS_WIDTH: Final = 4.0
#: The prior decides where this share of draws is within so much of an end of it, in units of its width.
_AT_END: Final = 0.5
_END: Final = 0.02
#: Bounds of the standard normal deviates of a density that is fitted.
_DEVIATES: Final = 6.0
#: Run of emcee by default.
_RUN: Final = EmceeRun(80, 4000, 1500)
#: Stars of a bin, at least, and bins, at most.
_PER_BIN: Final = 30
_BINS: Final = 40


@dataclass(frozen=True)
class JeansVirial(Estimator):
    """M(<r) and beta(r) from dispersions in bins, by the integrated Jeans equation, with no halo assumed.

    d ln M / d ln r is a broken line in ln r between 0 and 3, so that the mass never falls; beta is constant, or
    changes from one value to another, each flat in beta / (2 - beta) (Read & Steger 2017). Mean squares of velocities
    in bins of equal number, freed from errors, are compared with

        sigma_r^2 = (1 / rho f) int_r^inf rho f G M / s^2 ds,    ln f = 2 int beta dln r,

    of its components where all six coordinates are known (``data = "6d"``), or projected along a line of sight. Of line
    of sight velocities alone the anisotropy is not known from dispersions: the virial moment of fourth order,
    <v_los^4> = (1/5) <(5 - 2 beta) sigma_r^2 G M / r> (Merrifield & Kent 1990), says something of it
    (``virial_shape``), for a sample that is complete to all radii.

    Biased by a wrong density; by rotation and streams, which count as dispersion; by distance errors. Beyond the
    outermost stars the mass goes on as its slope there, and the dispersions of the last bins lean on that.

    Parameters
    ----------
    alpha
        d ln rho / d ln r of the tracers: one number, or a table of slopes and breaks. A Plummer sphere is
        ``{ slopes = [-0.001, -5], breaks = [a], width = 0.5 }``.
    data
        At Galactocentric radii: ``"6d"``, sigma_r and the tangential dispersion; ``"vlos"``, velocities along the lines
        of sight from the Sun alone, no proper motions. Of an observer far away on the z axis: ``"los"``, velocities
        along it alone (vz); ``"proper-motions"``, both components across it (vx, vy); ``"projected"``, all three.
        Radii are then those in the plane of x and y, and z is not read.
    virial_shape
        Whether the fourth moment is compared too: ``"none"`` or ``"first"``; with ``"6d"`` or ``"los"``. ``alpha`` is
        then above -3 inside and below -3 outside, as the moment is one of all stars.
    fit_density
        Fit of the density under the selection function of the survey, which starts at ``alpha`` and whose uncertainty
        is that of the fit; or ``"none"``.
    anisotropy
        ``"constant"``, or ``"changing"``: beta = beta_0 + (beta_inf - beta_0) / (1 + (r_0 / r)^n).
    sharpness
        n.
    knots
        Number of slopes of the mass, at equal steps of ln r from the 2nd to the 98th percentile.
    n_bins
        Number of bins; 0 for as many as have 30 stars, at most 40.
    r
        Radii of the results [kpc]; 6 at equal steps of ln r from the 5th to the 95th percentile where empty.
    r_range
        Radii [kpc] between which stars are used; all of them where empty.
    baryons
        What is taken off the mass for m200, the dark halo's.
    h0
        Hubble's constant [km/s/Mpc], for m200.
    sampler
        Of the posterior: ``"auto"`` (importance sampling, emcee where that cannot be trusted) or ``"emcee"``.
    emcee
        Length of emcee's run.
    n_draws
        Draws of the posterior.
    min_stars
        Fewer stars give no value.
    """

    name: ClassVar[str] = "jeans-virial"
    version: ClassVar[int] = 3
    reference: ClassVar[str] = "2017MNRAS.471.4541R"
    assumes: ClassVar[tuple[str, ...]] = (
        "spherical",
        "equilibrium",
        "non-rotating",
        "known density slope",
    )
    yields: ClassVar[tuple[str, ...]] = ("enclosed_mass", "v_c", "beta", "m200", "r200")
    published: ClassVar[dict[str, Any]] = {}

    alpha: float | DensitySlope
    data: Data = "6d"
    virial_shape: Literal["none", "first"] = "none"
    fit_density: DensityFit | Literal["none"] = "none"
    anisotropy: Anisotropy = "constant"
    sharpness: float = 2.0
    knots: int = 4
    n_bins: int = 0
    r: tuple[float, ...] = ()
    r_range: tuple[float, ...] = ()
    baryons: Baryons = "none"
    h0: float = 67.8
    sampler: Literal["auto", "emcee"] = "auto"
    emcee: EmceeRun = _RUN
    n_draws: int = 1000
    min_stars: int = 100

    def __post_init__(self) -> None:
        check_alpha(self.alpha)
        require(2 <= self.knots <= 12, f"knots: from 2 to 12 (got {self.knots})")
        require(
            self.n_bins == 0 or self.n_bins >= 3, f"n_bins: 0, or 3 or more (got {self.n_bins})"
        )
        check_radii("r", self.r)
        check_range(self.r_range)
        require(0.5 <= self.sharpness <= 10.0, f"sharpness: 0.5 to 10 (got {self.sharpness:g})")
        require(20.0 <= self.h0 <= 200.0, f"h0: 20 to 200 km/s/Mpc (got {self.h0:g})")
        check_least("n_draws", self.n_draws, 2)
        check_least("min_stars", self.min_stars, 100)
        walkers, fewest = self.emcee.walkers, 2 * self._parameters
        require(
            walkers >= fewest,
            f"emcee: walkers: at least {fewest}, twice the parameters (got {walkers})",
        )
        if self.virial_shape != "none":
            slopes = density_slope(self.alpha).slopes
            require(
                self.data in ("6d", "los") and not self.r_range,
                'virial_shape: with data "6d" or "los", and no r_range, as it needs all stars',
            )
            require(
                slopes[-1] < -3.0,
                "virial_shape: alpha below -3 outside, or the moment has no end",
            )
            require(
                slopes[0] > -3.0,
                "virial_shape: alpha above -3 inside, or the moment is that of the centre alone",
            )
        if self.fit_density != "none":
            require(
                self.data in ("6d", "vlos") and self.fit_density.axis_ratio == 1.0,
                'fit_density: with data "6d" or "vlos", and axis_ratio 1',
            )

    @property
    def _parameters(self) -> int:
        """Parameters of the posterior, with those of a density that is fitted."""
        breaks = len(density_slope(self.alpha).breaks)
        density = 0 if self.fit_density == "none" else 2 * breaks + 1
        return 1 + self.knots + (1 if self.anisotropy == "constant" else 3) + density

    def required(self) -> tuple[str, ...]:
        """Tell what ``data`` has, and the selection function of the survey where the density is fitted under it."""
        read = READ[self.data]
        return read if self.fit_density == "none" else (*read, SELECTION)

    def usable(self) -> tuple[str, ...]:
        """All that is required, and [Fe/H] where a density is fitted: a survey may cut on it."""
        return self.required() if self.fit_density == "none" else (*self.required(), "feh")

    def estimate(self, catalogue: Catalogue, rng: np.random.Generator) -> Estimates:
        """Rows enclosed_mass, v_c and beta at each radius, m200 and r200; a note where no value is.

        Raises
        ------
        InputError
            If a position or velocity of the catalogue is not finite.
        """
        places = places_at(self.r)
        try:
            stars = self._stars(catalogue)
            if not places:
                lo, hi = np.quantile(np.log(stars.r), _RESULTS_BETWEEN)
                places = places_at(tuple(np.exp(np.linspace(lo, hi, 6))))
            tracers = self._tracers(catalogue, rng)
            model, points = self._posterior(stars, tracers, rng)
        except EstimationError as error:
            note = str(error)
            profiles = undetermined_rows(self.yields[:3], note, places)
            return Estimates(profiles + undetermined_rows(self.yields[3:], note))
        return Estimates(
            self._profiles(model, points, stars, places) + self._halo(model, points, stars)
        )

    def _stars(self, catalogue: Catalogue) -> TracerVelocities:
        stars = TracerVelocities.of(catalogue, self.data)
        stars = stars.select(rows_within(stars.r, self.r_range, self.min_stars))
        if not np.ptp(np.log(stars.r)) > 1e-3:
            raise EstimationError("the stars are all at one radius")
        if not np.all(np.mean(stars.v**2, axis=0) > 0.0):
            raise EstimationError("the velocities have no scatter")
        return stars

    def _tracers(self, catalogue: Catalogue, rng: np.random.Generator) -> Tracers:
        form = density_slope(self.alpha)
        if self.fit_density == "none":
            return Tracers.held(form)
        found = fit_density(catalogue, form, self.fit_density, 4000, rng).draws[:, :-1]
        k = len(form.breaks)
        if k:
            found = np.column_stack([found[:, : k + 1], np.log(found[:, k + 1 :])])
        size, turn = np.linalg.eigh(np.atleast_2d(np.cov(found.T)))
        return Tracers(found.mean(axis=0), turn * np.sqrt(np.maximum(size, 0.0)), form.width)

    def _posterior(
        self, stars: TracerVelocities, tracers: Tracers, rng: np.random.Generator
    ) -> tuple[Moments, FloatArray]:
        """Model and draws of its parameters."""
        n_bins = self.n_bins or int(np.clip(len(stars.r) // _PER_BIN, 3, _BINS))
        check_number(len(stars.r), 5 * n_bins)
        data = bin_moments(stars.r, *stars.squares(), n_bins, stars.across)
        ratio = None
        if self.virial_shape != "none":
            inside, outside = tracers.mean[0], tracers.mean[len(tracers.mean) // 2]
            if not outside < -3.0 < inside:
                raise EstimationError(
                    f"a density of slopes {inside:.3g} inside and {outside:.3g} outside has no virial moment"
                )
            ratio = virial_ratio(stars.r, *stars.powers(), n_bins)
            if len(ratio.shares) != len(data.radii):
                raise EstimationError(
                    "the velocity errors hide the dispersion of a bin, and the virial moment needs all"
                )
        inner, outer = np.quantile(np.log(stars.r), _KNOTS_BETWEEN)
        knots = np.linspace(inner, outer, self.knots)
        model = Moments.of(
            data.radii,
            knots,
            tracers,
            self.anisotropy,
            self.sharpness,
            self.data not in ("6d", "vlos"),
            ratio is not None,
        )
        speed = float(np.mean(np.exp(data.log_square)))
        lo, hi = self._bounds(model, np.log(3.0 * speed * np.exp(model.pivot) / G))
        width, far = len(lo), len(tracers.axes.T)

        def log_density(points: FloatArray) -> FloatArray:
            return self._log_density(points, model, data, ratio)

        start = 0.5 * (lo + hi)
        start[1 : 1 + self.knots] = 1.0
        start[1 + self.knots] = 0.1
        if self.anisotropy == "changing":
            start[2 + self.knots] = 0.2
        scale = np.full(width, 0.2)
        scale[width - far :] = 1.0
        sampler: Any = ("importance", "emcee") if self.sampler == "auto" else "emcee"
        found = explore(
            log_density,
            start,
            scale,
            self.n_draws,
            rng,
            sampler=sampler,
            emcee=self.emcee,
            bounds=(lo, hi),
        )
        if share_at_end(found.draws[:, 0], (lo[0], hi[0]), _END) > _AT_END:
            raise EstimationError(
                "the stars do not bound the mass: its posterior reaches the end of its prior"
            )
        return model, found.draws

    def _bounds(self, model: Moments, centre: float) -> tuple[FloatArray, FloatArray]:
        """Edges of the flat prior, and of the deviates of the density."""
        far = model.tracers.axes.shape[1]
        lo = [centre - _MASS_WIDTH] + [MASS_SLOPES[0]] * self.knots
        hi = [centre + _MASS_WIDTH] + [MASS_SLOPES[1]] * self.knots
        if self.anisotropy == "constant":
            lo, hi = [*lo, SYMMETRIC[0]], [*hi, SYMMETRIC[1]]
        else:
            inner, outer = model.knots[0], model.knots[-1]
            lo, hi = [*lo, *[SYMMETRIC[0]] * 2, inner], [*hi, *[SYMMETRIC[1]] * 2, outer]
        return np.array([*lo, *[-_DEVIATES] * far]), np.array([*hi, *[_DEVIATES] * far])

    def _log_density(
        self, points: FloatArray, model: Moments, data: BinnedMoments, ratio: VirialRatio | None
    ) -> FloatArray:
        """Log posterior (m,) but for the flat prior; -inf where the Jeans integral has no end."""
        state = model.radial(points)
        with np.errstate(invalid="ignore", divide="ignore"):
            variances = model.variances(state, _COMPONENTS[self.data])
            if self.data == "vlos":
                shares = np.column_stack([1.0 - data.across, data.across])
                variances = np.sum(variances * shares, axis=2, keepdims=True)
            total = data.log_likelihood(variances)
            if ratio is not None:
                parts = np.array([1.0, 2.0]) if self.data == "6d" else np.array([1.0])
                often = 1.0 if self.data == "6d" else 5.0
                total = total + ratio.log_likelihood(model.virial(state) / often, variances @ parts)
        total = total - 0.5 * np.sum(model.split(points)[3] ** 2, axis=1)
        return np.where(np.isfinite(total), total, -np.inf)

    def _profiles(
        self,
        model: Moments,
        points: FloatArray,
        stars: TracerVelocities,
        places: list[dict[str, float]],
    ) -> list[Estimate]:
        """Rows of mass, v_c and beta."""
        x = np.log([place["r"] for place in places])
        mass, beta = np.exp(model.log_mass(points, x)), model.beta(points, x)
        inside = (x >= np.log(stars.r.min())) & (x <= np.log(stars.r.max()))
        notes = [
            note if ok else "outside the radii of the stars"
            for ok, note in zip(inside, _unbounded(beta), strict=True)
        ]
        each = list(zip(mass.T, beta.T, notes, places, strict=True))
        rows = [drawn_row("enclosed_mass", m, note, **place) for m, _, note, place in each]
        for m, _, note, place in each:
            square = G * m / place["r"]
            rows.append(
                drawn_row("v_c", square, note, **place)
                if note
                else velocity_row(square, "", **place)
            )
        return rows + [drawn_row("beta", b, note, **place) for _, b, note, place in each]

    def _halo(self, model: Moments, points: FloatArray, stars: TracerVelocities) -> list[Estimate]:
        """Rows m200 and r200, where the stars reach as far."""
        x = np.linspace(np.log(stars.r.min()), np.log(stars.r.max()), 400)
        r = np.exp(x)
        dark = np.exp(model.log_mass(points, x)) - baryons_mass(self.baryons, r)
        above = dark > virial_mass(r, self.h0)
        last = above.shape[1] - 1 - np.argmax(above[:, ::-1], axis=1)
        known = above.any(axis=1) & (last < len(x) - 1)
        if not known.all():
            note = "r200 is not within the radii of the stars"
            return undetermined_rows(("m200", "r200"), note)
        k, m = last, np.arange(len(points))
        gap = np.log(np.maximum(dark, 1e-300) / virial_mass(r, self.h0))
        share = gap[m, k] / (gap[m, k] - gap[m, k + 1])
        r200 = np.exp(x[k] + share * (x[1] - x[0]))
        (note,) = _unbounded(model.beta(points, np.log([np.median(r200)])))
        return [
            drawn_row("m200", virial_mass(r200, self.h0), note),
            drawn_row("r200", r200, note),
        ]


def _unbounded(beta: FloatArray) -> list[str]:
    """Why there is no value at each radius: most draws (m, n) of beta are at an end of its prior, or nothing."""
    notes = []
    for draws in (beta / (2.0 - beta)).T:
        end = SYMMETRIC[1] if np.median(draws) > 0.0 else SYMMETRIC[0]
        reached = share_at_end(draws, SYMMETRIC, _END) > _AT_END
        note = f"the stars do not bound beta: its posterior reaches {2.0 * end / (1.0 + end):.4g}"
        notes.append(note if reached else "")
    return notes
