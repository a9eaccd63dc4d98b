"""A distribution function of actions, fitted together with the potential (Correa Magnus & Vasiliev 2022)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Final, Literal

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.constants import G
from haloassay.base.errors import EstimationError
from haloassay.base.settings import require
from haloassay.contracts.estimate import Estimate, Estimates, Estimator
from haloassay.contracts.profiles import nfw_shape
from haloassay.estimators.bins import (
    check_least,
    check_radii,
    check_range,
    check_resolved,
    places_at,
    rows_within,
)
from haloassay.estimators.fit.posterior import EmceeRun, explore
from haloassay.estimators.halo.actions import PotentialGrid, Table, log_df_of, moments
from haloassay.estimators.halo.baryons import Baryons, baryons_mass
from haloassay.estimators.halo.nfw import concentration
from haloassay.estimators.power_law_df import MeanField, error_draws
from haloassay.estimators.rows import VIRIAL, undetermined_rows, virial_rows

if TYPE_CHECKING:
    from haloassay.contracts.catalogue import Catalogue

#: Run of emcee, where importance sampling cannot be trusted.
_RUN: Final = EmceeRun(40, 1500, 500)

#: Radii at which the density of a trial is computed, and steps of the integral of what is between.
_RADII: Final = 10
_STEPS: Final = 400

#: Bounds of ln(v_c^2 / <v^2>) of the halo at the median radius.
_SPEEDS: Final = (-5.0, 4.0)

#: Share of the range of ln r_s next to a bound, and of the draws in it from which the bound is said to be reached.
_NEXT_TO: Final = 0.05
_REACHED: Final = 0.025

#: Starts of the coefficients: about isotropic; and rough widths of all parameters.
_COEFFICIENTS: Final = (1.4, 1.1)
_WIDTHS: Final = (0.1, 0.2, 0.2, 0.3, 0.2, 0.1, 0.1)


@dataclass(frozen=True)
class ActionDF(Estimator):
    """Mass and anisotropy from a double-power-law distribution function of actions, in a spherical potential.

    The distribution function (Posti et al. 2015, as agama has it)

        f(J) ~ [1 + (j0 / h)^s]^(slope_in / s) [1 + (g / j0)^s]^(-slope_out / s),
        h = c_in J_r + (3 - c_in) / 2 L,  g = c_out J_r + (3 - c_out) / 2 L

    is fitted together with an NFW halo beside known baryons. Nothing is assumed of the density of the
    tracers, nor that their anisotropy is constant: both follow. The likelihood of a star is
    f(J(x, v)) over the integral of f over all that could have been in the sample (``position``).

    Actions of a spherical potential are J_r, one quadrature, and L. The quadrature is looked up in a
    table that is made anew for each potential, good to 1e-4 of the actions in root mean square.

    Biased by what is not of this form: streams, an LMC whose mean field is not taken off, a halo that is
    not round. A model with no unbound star is at the mercy of the fastest.

    Parameters
    ----------
    position
        ``"complete"``: the sample is complete between the radii of ``r_range`` (or as complete
        everywhere), and where stars are counts. ``"given"``: velocities at the place where a star is seen,
        f / rho: right under any selection by observed position, and less tight.
    r_range
        Radii [kpc] between which stars are used; from the innermost to the outermost star where empty.
    r_out
        Radii of the masses and of beta [kpc]; the median of the stars' where empty.
    steepness
        How sharply the slopes pass into each other, s; 1 by Posti et al.
    baryons
        Mass that is not the halo's and is held fixed, made spherical.
    slope_in_range, slope_out_range
        Flat priors of the slopes.
    j0_range
        Prior of the action of the break [kpc km/s], flat in its logarithm.
    coef_range
        Flat prior of c_in and c_out, within 0 and 3.
    r_s_range
        Bounds of the scale radius of the halo [kpc], flat in its logarithm, as in that of M(<r) at the
        median radius.
    errors
        ``"ignored"``, or ``"convolved"``: f is averaged over ``n_samples`` draws of each star from its errors, the
        same for all parameters, and edges of the sample are smeared by what the radii of all stars are.
    n_samples
        Draws a star. The logarithm of a mean of few draws is too low where f changes much within the
        errors of a star: errors near to the dispersion want more.
    mean_field
        Mean velocity that is taken off first, as that of a reflex motion, or ``"none"``.
    h0
        Hubble's constant [km/s/Mpc], for the critical density.
    n_draws
        Draws behind the intervals.
    min_stars
        Fewer stars give no value.
    emcee
        Length of the run of emcee where importance sampling cannot be trusted.
    """

    name: ClassVar[str] = "action-df"
    reference: ClassVar[str] = "2022MNRAS.511.2610C"
    assumes: ClassVar[tuple[str, ...]] = (
        "spherical",
        "equilibrium",
        "non-rotating",
        "double power law of actions",
        "NFW halo",
        "known baryons",
    )
    yields: ClassVar[tuple[str, ...]] = ("enclosed_mass", "beta", "m200", "r200", "c200")

    position: Literal["complete", "given"] = "complete"
    r_range: tuple[float, ...] = ()
    r_out: tuple[float, ...] = ()
    steepness: float = 1.0
    baryons: Baryons = "none"
    slope_in_range: tuple[float, float] = (0.0, 2.95)
    slope_out_range: tuple[float, float] = (3.0, 12.0)
    j0_range: tuple[float, float] = (100.0, 1e5)
    coef_range: tuple[float, float] = (0.05, 2.95)
    r_s_range: tuple[float, float] = (1.0, 200.0)
    errors: Literal["ignored", "convolved"] = "ignored"
    n_samples: int = 50
    mean_field: MeanField | Literal["none"] = "none"
    h0: float = 67.8
    n_draws: int = 1000
    min_stars: int = 50
    emcee: EmceeRun = _RUN

    def __post_init__(self) -> None:
        check_range(self.r_range)
        check_radii("r_out", self.r_out)
        require(0.2 <= self.steepness <= 10.0, f"steepness: 0.2 to 10 (got {self.steepness:g})")
        for name, least, most in (
            ("slope_in_range", -2.0, 3.0),
            ("slope_out_range", 3.0, 30.0),
            ("j0_range", 1.0, 1e7),
            ("coef_range", 0.0, 3.0),
            ("r_s_range", 1e-2, 1e4),
        ):
            lo, hi = getattr(self, name)
            require(
                least <= lo < hi <= most,
                f"{name}: bounds ascend from {least:g} to at most {most:g} (got {[lo, hi]})",
            )
        check_least("n_samples", self.n_samples, 2)
        require(self.h0 > 0.0, f"h0: positive (got {self.h0})")
        check_least("n_draws", self.n_draws, 2)
        check_least("min_stars", self.min_stars, 20)

    def estimate(self, catalogue: Catalogue, rng: np.random.Generator) -> Estimates:
        """Rows enclosed_mass and beta at each radius, and m200, r200 and c200; a note where no value is.

        Raises
        ------
        InputError
            If a position or velocity of the catalogue is not finite.
        """
        catalogue.check_finite()
        places = places_at(self.r_out)
        try:
            model = self._model(catalogue, rng)
            points = self._draws(model, rng)
        except EstimationError as error:
            rows = undetermined_rows(("enclosed_mass", "beta"), str(error), places)
            return Estimates(rows + undetermined_rows(VIRIAL, str(error)))
        r_s = np.exp(points[:, 1])
        total = np.exp(points[:, 0]) / nfw_shape(model.pivot / r_s)
        places = places or places_at((model.pivot,))
        rows = []
        for place in places:
            mass = total * nfw_shape(place["r"] / r_s) + baryons_mass(self.baryons, place["r"])
            rows.append(Estimate.from_draws("enclosed_mass", mass, **place))
        r = np.array([place["r"] for place in places])
        beta = model.anisotropy(r, points)
        rows += [
            Estimate.from_draws("beta", b, **place) for b, place in zip(beta.T, places, strict=True)
        ]
        return Estimates(rows + self._virial(points, total, r_s))

    def _virial(self, points: FloatArray, total: FloatArray, r_s: FloatArray) -> list[Estimate]:
        """Rows m200, r200 and c200, or why there are none."""
        lo, hi = np.log(self.r_s_range)
        along = (points[:, 1] - lo) / (hi - lo)
        if max(np.mean(along < _NEXT_TO), np.mean(along > 1.0 - _NEXT_TO)) > _REACHED:
            note = f"the stars do not bound r_s between {np.exp(lo):g} and {np.exp(hi):g} kpc"
            return undetermined_rows(VIRIAL, note)
        c200 = concentration(total / r_s**3, self.h0)
        if not np.all(np.isfinite(c200)):
            note = "no virial radius: the halo is not as dense as 200 times the critical density"
            return undetermined_rows(VIRIAL, note)
        return virial_rows(total * nfw_shape(c200), c200 * r_s, c200)

    def _model(self, catalogue: Catalogue, rng: np.random.Generator) -> ActionModel:
        """Stars within range, and what their likelihood needs.

        Raises
        ------
        EstimationError
            If they are fewer than ``min_stars``, at one radius, without scatter, or mostly error.
        """
        rows = rows_within(catalogue.r, self.r_range, self.min_stars)
        stars = catalogue.select(rows)
        observed = stars.r
        if not observed.max() > 1.01 * observed.min():
            raise EstimationError("the stars are all at one radius")
        edges = self.r_range or (float(observed.min()), float(np.nextafter(observed.max(), np.inf)))
        if self.errors == "ignored":
            noise = np.einsum("njj->nj", stars.spherical_covariance)
            check_resolved(stars.spherical_velocity**2, noise)
            x, v, volume = stars.position[None], stars.spherical_velocity[None], np.zeros((1, 1))
        else:
            x, v, volume = error_draws(stars, self.n_samples, rng)
        if self.mean_field != "none":
            v = v - self.mean_field.at(x)
        if not np.mean(v**2) > 0.0:
            raise EstimationError("the velocities have no scatter")
        r = np.linalg.norm(x, axis=-1).T
        volume = np.broadcast_to(volume.T, r.shape)
        return ActionModel(
            self, np.maximum(r, 1e-2), v.transpose(1, 0, 2), volume, observed, (edges[0], edges[1])
        )

    def _draws(self, model: ActionModel, rng: np.random.Generator) -> FloatArray:
        """(n_draws, 7) draws of the parameters of :class:`ActionModel`.

        Raises
        ------
        EstimationError
            If the posterior cannot be drawn from.
        """
        lo, hi = model.bounds
        drawn = explore(
            model.log_likelihood, model.start(), np.array(_WIDTHS), self.n_draws, rng,
            sampler=("importance", "emcee"), emcee=self.emcee, bounds=(lo, hi),
        )  # fmt: skip
        return drawn.draws


@dataclass(frozen=True, eq=False)
class ActionModel:
    """Likelihood of stars, by ln M(<pivot) of the halo, ln r_s, slope_in, slope_out, ln j0, c_in and c_out.

    Parameters
    ----------
    settings
        Of the method.
    r
        (n, k) radii [kpc] of ``k`` draws from the errors of each star.
    velocity
        (n, k, 3) spherical velocities [km/s] of these.
    log_volume
        (n, k) ln of the volume of phase space of each draw.
    observed
        (n,) observed radii [kpc].
    edges
        Of observed radii [kpc].
    """

    settings: ActionDF
    r: FloatArray
    velocity: FloatArray
    log_volume: FloatArray
    observed: FloatArray
    edges: tuple[float, float]

    @cached_property
    def pivot(self) -> float:
        """Median radius [kpc]."""
        return float(np.median(self.observed))

    @cached_property
    def bounds(self) -> tuple[FloatArray, FloatArray]:
        """Lower and upper bounds (7,) of the parameters."""
        s = self.settings
        unit = np.log(self.pivot * float(np.mean(np.sum(self.velocity**2, axis=-1))) / G)
        pairs = [
            (unit + _SPEEDS[0], unit + _SPEEDS[1]),
            tuple(np.log(s.r_s_range)),
            s.slope_in_range,
            s.slope_out_range,
            tuple(np.log(s.j0_range)),
            s.coef_range,
            s.coef_range,
        ]
        lo, hi = np.array(pairs, dtype=float).T
        return lo, hi

    def start(self) -> FloatArray:
        """Point of finite density: of the order of what stars are like, and every star bound.

        Raises
        ------
        EstimationError
            If no halo within the bounds binds every star.
        """
        lo, hi = self.bounds
        middle = 0.5 * (lo + hi)
        action = np.log(np.median(self.r * np.linalg.norm(self.velocity, axis=-1)))
        wanted = np.array(
            [lo[0] - _SPEEDS[0], np.log(self.pivot), 1.5, 6.0, action, *_COEFFICIENTS]
        )
        margin = 0.05 * (hi - lo)
        point = np.clip(wanted, lo + margin, hi - margin)
        for share in (0.0, 0.25, 0.5, 0.75):
            for log_r_s in (point[1], middle[1], hi[1] - margin[1]):
                trial = point.copy()
                trial[0] += share * (hi[0] - margin[0] - trial[0])
                trial[1] = log_r_s
                if np.isfinite(self.log_likelihood(trial[None])[0]):
                    return trial
        raise EstimationError("no halo within the bounds binds every star")

    @cached_property
    def _grid(self) -> PotentialGrid:
        return PotentialGrid(self.settings.baryons, float(np.exp(self._ends[0])))

    @cached_property
    def _ends(self) -> tuple[float, float]:
        """Ln of the radii between which stars can be."""
        inner, outer = min(self.edges[0], self.r.min()), max(self.edges[1], self.r.max())
        return float(np.log(inner)), float(np.log(outer))

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
        shift = np.sort((np.log(self.observed)[:, None] - np.log(self.r)).ravel())
        if self.r.shape[1] == 1:
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
        """Ln r, v^2 / 2 and L of all draws, in a row."""
        half = 0.5 * np.sum(self.velocity**2, axis=-1)
        momentum = self.r * np.hypot(self.velocity[..., 1], self.velocity[..., 2])
        return np.log(self.r).ravel(), half.ravel(), momentum.ravel()

    @cached_property
    def _places(self) -> FloatArray:
        """Ln of the volume of positions (n, k) that an observed one stands for: half of that of phase space."""
        return np.asarray(0.5 * self.log_volume)

    def table(self, point: FloatArray) -> tuple[Table, FloatArray]:
        """Potential and distribution function of a point (7,)."""
        r_s = float(np.exp(point[1]))
        total = float(np.exp(point[0])) / float(nfw_shape(self.pivot / r_s))
        df = np.array([*point[2:4], np.exp(point[4]), *point[5:7], self.settings.steepness])
        return self._grid.table(total, r_s), df

    def log_likelihood(self, points: FloatArray) -> FloatArray:
        """Log likelihood (m,) of points (m, 7)."""
        return np.array([self._one(point) for point in points])

    def _one(self, point: FloatArray) -> float:
        table, df = self.table(point)
        log_f = log_df_of(*self._columns, table, df).reshape(self.r.shape)
        single = self.r.shape[1] == 1
        if single and not np.isfinite(log_f).all():
            return -np.inf
        nodes, x, to = self._steps
        with np.errstate(divide="ignore"):
            log_rho = to @ np.log(moments(nodes, table, df)[:, 0])
        value = log_f[:, 0] if single else _log_mean(log_f + self.log_volume)
        if self.settings.position == "complete":
            return float(np.sum(value) - len(value) * np.logaddexp.reduce(log_rho + self._seen))
        here = np.interp(self._columns[0], x, log_rho).reshape(self.r.shape)
        norm = here[:, 0] if single else _log_mean(here + self._places)
        return float(np.sum(value - norm))

    def anisotropy(self, r: FloatArray, points: FloatArray) -> FloatArray:
        """Beta (m, n) at radii (n,) [kpc] of points (m, 7)."""
        out = np.empty((len(points), len(r)))
        for k, point in enumerate(points):
            _, radial, across = moments(np.log(r), *self.table(point)).T
            out[k] = 1.0 - 0.5 * across / radial
        return out


def _log_mean(terms: FloatArray) -> FloatArray:
    """Ln of the mean of exponentials of terms (n, k) over k."""
    top = np.max(terms, axis=1)
    safe = np.where(np.isfinite(top), top, 0.0)[:, None]
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(np.mean(np.exp(terms - safe), axis=1)) + safe[:, 0])
