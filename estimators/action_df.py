"""A distribution function of actions, fitted together with the potential (Correa Magnus & Vasiliev 2022)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final, Literal

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.errors import EstimationError
from haloassay.base.settings import require
from haloassay.contracts.estimate import Estimate, Estimates, Estimator
from haloassay.contracts.profiles import nfw_shape
from haloassay.estimators.bins import (
    check_ends,
    check_least,
    check_radii,
    check_range,
    check_resolved,
    places_at,
    rows_within,
)
from haloassay.estimators.fit.few_candidates import LEAST
from haloassay.estimators.fit.latents import Observed
from haloassay.estimators.fit.mean_field import MeanField
from haloassay.estimators.halo.action_model import ActionModel
from haloassay.estimators.halo.baryons import Baryons, baryons_mass
from haloassay.estimators.halo.nfw import concentration
from haloassay.estimators.rows import (
    NO_VIRIAL,
    VIRIAL,
    unbounded_scale,
    undetermined_rows,
    virial_rows,
)

if TYPE_CHECKING:
    from haloassay.contracts.catalogue import Catalogue

#: d ln rho / d ln r by which candidates of distances are drawn, nearly.
_SLOPE: Final = -3.5
#: Draws of the place of a star from the error of its distance.
_PLACES: Final = 32


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
        Radii [kpc] between which stars are used; from the innermost to the outermost star where empty. If
        ``"complete"``, there is then no value where such a star is far from all others
        (:func:`~haloassay.estimators.bins.check_ends`).
    r_out
        Radii of the masses and of beta [kpc]; the median of the stars' where empty.
    steepness
        How sharply the slopes pass into each other, s; 1 by Posti et al. Of a density whose break is sharp, 0.2 wide in
        ln r, M200 of 3000 stars is then high by 10 per cent, and with 4 by 3.
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
        ``"ignored"``, or ``"convolved"``: f is integrated over ``n_samples`` candidates of what each star truly is,
        the same for all parameters, and edges of the sample are smeared by what the distances of all stars are.
    n_samples
        Candidates of a star. The logarithm of a mean of few is too low where f changes much within the
        errors of a star: errors near to the dispersion want more.
    mean_field
        Mean velocity that is taken off first, as that of a reflex motion, or ``"none"``.
    h0
        Hubble's constant [km/s/Mpc], for the critical density.
    n_draws
        Draws behind the intervals.
    min_stars
        Fewer stars give no value.
    """

    name: ClassVar[str] = "action-df"
    version: ClassVar[int] = 4
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
    n_samples: int = 64
    mean_field: MeanField | Literal["none"] = "none"
    h0: float = 67.8
    n_draws: int = 1000
    min_stars: int = 50

    def __post_init__(self) -> None:
        check_range(self.r_range)
        check_radii("r_out", self.r_out)
        require(0.2 <= self.steepness <= 10.0, f"steepness: 0.2 to 10 (got {self.steepness:g})")
        for name, least, most in (
            ("slope_in_range", 0.0, 3.0),
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
        check_least("n_samples", self.n_samples, LEAST)
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
            points = model.draws(self.n_draws, rng)
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
        note = unbounded_scale("the stars", points[:, 1], self.r_s_range)
        if note:
            return undetermined_rows(VIRIAL, note)
        c200 = concentration(total / r_s**3, self.h0)
        if not np.all(np.isfinite(c200)):
            return undetermined_rows(VIRIAL, NO_VIRIAL)
        return virial_rows(total * nfw_shape(c200), c200 * r_s, c200)

    def _model(self, catalogue: Catalogue, rng: np.random.Generator) -> ActionModel:
        """Stars within range, and what their likelihood needs.

        Raises
        ------
        EstimationError
            If they are fewer than ``min_stars``, at one radius, without scatter, or mostly error, or if the ends of the
            sample are strays.
        """
        rows = rows_within(catalogue.r, self.r_range, self.min_stars)
        stars = catalogue.select(rows)
        observed = stars.r
        if not observed.max() > 1.01 * observed.min():
            raise EstimationError("the stars are all at one radius")
        if self.position == "complete" and not self.r_range:
            check_ends(observed)
        edges = self.r_range or (float(observed.min()), float(np.nextafter(observed.max(), np.inf)))
        v = stars.spherical_velocity
        noise = np.einsum("njj->nj", stars.spherical_covariance)
        if self.errors == "ignored":
            check_resolved(v**2, noise)
        if self.mean_field != "none":
            v = v - self.mean_field.at(stars.position)
        if not np.mean(v**2) > 0.0:
            raise EstimationError("the velocities have no scatter")
        if self.errors == "ignored":
            log_r, across = np.log(np.maximum(observed, 1e-2)), np.hypot(v[:, 1], v[:, 2])
            truth = np.stack([log_r, 0.5 * np.sum(v**2, axis=1), across, np.zeros(len(v))], axis=-1)
            places = np.stack([log_r, np.zeros(len(v))], axis=-1)
            truth, places = truth[:, None], places[:, None]
        else:
            truth, places = self._with_errors(stars, v, noise, rng)
        ranges = (
            tuple(np.log(self.r_s_range)), self.slope_in_range, self.slope_out_range,
            tuple(np.log(self.j0_range)), self.coef_range, self.coef_range,
        )  # fmt: skip
        square = float(np.mean(np.sum(v**2, axis=1)))
        return ActionModel(
            self.position, self.baryons, self.steepness, ranges, truth, places, square, observed,
            (edges[0], edges[1]),
        )  # fmt: skip

    def _with_errors(
        self, stars: Catalogue, v: FloatArray, noise: FloatArray, rng: np.random.Generator
    ) -> tuple[FloatArray, FloatArray]:
        """Place stars where they can be: candidates of the truth, and of places alone, as the model has them."""
        from scipy.special import ndtri

        seen = Observed.of(stars, "linear")
        if self.mean_field != "none":
            seen = seen.less(self.mean_field.cartesian_at(stars.position))
        middle = float(np.mean(np.log(stars.r)))
        truth = seen.scattered(middle, v, noise, _SLOPE, self.n_samples, 0.0, rng)
        truth[..., 0] += middle
        truth[..., 2] = np.exp(truth[..., 2])
        log_r, _, log_distance = seen.along(ndtri((np.arange(_PLACES) + 0.5) / _PLACES))
        places = np.stack([log_r, seen.power(True, motions=False) * log_distance], axis=-1)
        return truth, places
