"""Reflex motion in line-of-sight velocities and proper motions together (Yaaqib et al. 2024)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.constants import KMS_PER_MASYR_KPC
from haloassay.base.errors import EstimationError, InputError
from haloassay.base.settings import require
from haloassay.contracts.columns import GALACTOCENTRIC
from haloassay.contracts.estimate import Estimate, Estimates, Estimator
from haloassay.contracts.frames import (
    ICRS_TO_GALACTIC,
    galactocentric_to_heliocentric,
    sky_basis,
    spherical_basis,
)
from haloassay.contracts.sky import lon_lat
from haloassay.estimators.bins import (
    Bin,
    Edges,
    by_bins,
    check_edges,
    check_least,
    check_number,
)
from haloassay.estimators.fit.isotropic import draw_field, polar_dipole, polar_start
from haloassay.estimators.fit.linear_field import Channel, LinearField, LogPrior
from haloassay.estimators.fit.outliers import within
from haloassay.estimators.fit.posterior import EmceeRun, explore
from haloassay.estimators.rows import apex_rows, drawn_row, undetermined_rows

if TYPE_CHECKING:
    from haloassay.contracts.catalogue import Catalogue

#: What stands for the tangential velocity in the term of the distance errors.
DistanceTerm = Literal["solar", "observed", "none"]

_CHAIN: Final = EmceeRun(64, 4000, 1000)

_SIGMAS: Final = ("sigma_los", "sigma_l", "sigma_b")
_BULK: Final = ("bulk_v_r", "bulk_v_theta", "bulk_v_phi")


@dataclass(frozen=True)
class Reflex6D(Estimator):
    """Travel of the Galactic centre through its halo, and bulk motion of the halo, in radial bins.

    The mean velocity of the stars at x, relative to the Galactic centre, is a uniform translation
    and a bulk motion along the spherical axes,

        v(x) = -v_travel n(l_apex, b_apex) + v_r e_r + v_theta e_theta + v_phi e_phi,

    seen from the moving Sun in v_los, mu_l and mu_b (Petersen & Penarrubia 2021; Yaaqib, Petersen &
    Penarrubia 2024). v_los scatters by sigma_los and the error; (mu_l, mu_b) by sigma_l and sigma_b
    over the distance, the 2x2 covariance of the proper motions, and an error (mu delta_d / d)^2
    from the distance on each diagonal element. The three dispersions are free.

    Signs: v_travel >= 0 and the apex are theirs, equal to abs(mu_dipole) and the apex of ``dipole``.
    v_phi is theirs (prograde negative). Their v_theta is along the polar angle, positive to the
    *south*; ours is positive to the north: bulk_v_theta = -v_theta (theirs). Positions of stars
    are taken at the observed distances.

    Without distance errors 300 stars leave apex_b 1.7 +- 0.5 deg too near the plane and bulk_v_theta
    1.4 +- 0.4 km/s too high (truth -42 deg, -15 km/s; both a fifth of their error); at 3000 no row
    has a bias above twice its Monte Carlo error (400 samples), and 68 per cent intervals cover 0.66
    to 0.72. A translation has a mean v_theta and v_r of its own where the sky is covered in part; the bulk
    motion here is what is left beside it, not the mean over the stars.

    **The published term of the distance errors biases the fit.** With the observed mu in it the
    weight of a star depends on its datum: a star whose velocity happens to be the Sun's has a small
    mu and a small error, so the translation is pulled towards the motion of the Sun and the apex
    away from it. Measured in a northern footprint at 50 to 80 kpc (``benchmarks/reflex_segue.py``,
    60 samples of 500 stars; truth l = 41, b = -42 deg, v_travel = 45 km/s): distances known to 11
    per cent move the apex by (-8.3 +- 1.0, -3.8 +- 0.8) deg and v_travel by -1.7 +- 0.6 km/s, to 16
    per cent by (-19.5 +- 1.1, -7.6 +- 0.8) deg and -2.9 +- 0.7 km/s, and the tangential dispersions
    by -6 km/s. ``"solar"`` leaves no bias of any velocity above the Monte Carlo error (the
    dispersions come out 1 per cent high at 16 per cent: their own rescaling is left out). But the
    published term also silences stars of absurd proper motion: of the 253 SEGUE giants beyond 50 kpc
    four move across at more than 900 km/s, and sigma_l is 62 km/s with it and 263 without. ``clip``
    leaves such stars out of the fit (then 65 km/s, apex (47, -33) deg; published (40, -36)).

    Parameters
    ----------
    bins
        Edges [kpc], or ``"none"`` for the whole sample.
    min_stars
        Bins with fewer stars have no value.
    distance_term
        Tangential motion that a distance error rescales: ``"solar"``, that of the Sun alone, which is
        known and the larger part at a halo star; ``"observed"``, the star's own, as published;
        ``"none"``.
    clip
        Stars that deviate from the field by more than so many sigma, of the robust scatter of all and
        their own error, in v_los or across, are left out; ``"none"``, as published.
    sigma_prior
        ``"log"``: uniform in ln sigma; ``"precision"``: uniform in 1 / sigma^2, as published.
    sigma_range
        Bounds of the dispersions [km/s]; theirs: 10 to 10^4.
    v_travel_max, bulk_max
        Bounds of the uniform priors of v_travel and of the three bulk velocities [km/s]. The apex
        is isotropic.
    sampler
        ``"exact"``: given the dispersions the six velocities have a Gaussian likelihood; the
        dispersions are a quadrature. ``"emcee"``: a chain over the nine parameters (the papers
        use MultiNest); the same posterior, for comparison.
    emcee
        Length of that chain.
    n_draws
        Posterior draws behind the intervals.
    """

    name: ClassVar[str] = "reflex-6d"
    version: ClassVar[int] = 4
    reference: ClassVar[str] = "2024MNRAS.531.3524Y"
    assumes: ClassVar[tuple[str, ...]] = ("known Gaussian errors", "Gaussian velocities")
    yields: ClassVar[tuple[str, ...]] = (
        "v_travel",
        "apex_l",
        "apex_b",
        "apex_offset",
        *_BULK,
        *_SIGMAS,
    )
    published: ClassVar[dict[str, Any]] = {
        "distance_term": "observed",
        "clip": "none",
        "sigma_prior": "precision",
    }

    bins: Edges = "none"
    min_stars: int = 20
    distance_term: DistanceTerm = "solar"
    clip: float | Literal["none"] = 5.0
    sigma_prior: Literal["log", "precision"] = "log"
    sigma_range: tuple[float, float] = (10.0, 1e4)
    v_travel_max: float = 150.0
    bulk_max: float = 250.0
    sampler: Literal["exact", "emcee"] = "exact"
    emcee: EmceeRun = _CHAIN
    n_draws: int = 1000

    def __post_init__(self) -> None:
        check_edges(self.bins)
        check_least("min_stars", self.min_stars, 8)
        lo, hi = self.sigma_range
        require(0.0 < lo < hi < math.inf, f"sigma_range: bounds ascend from 0 (got {[lo, hi]})")
        require(
            self.clip == "none" or self.clip >= 3.0, f"clip: at least 3 sigma (got {self.clip})"
        )
        require(self.v_travel_max > 0.0, f"v_travel_max: positive (got {self.v_travel_max})")
        require(self.bulk_max > 0.0, f"bulk_max: positive (got {self.bulk_max})")
        check_least("n_draws", self.n_draws, 2)

    def estimate(self, catalogue: Catalogue, rng: np.random.Generator) -> Estimates:
        """Rows of every quantity of every bin; a row says why it has no value.

        Raises
        ------
        InputError
            If the catalogue is Galactocentric and has errors: the model's are heliocentric.
        """
        return by_bins(
            catalogue, self.bins, self.yields, lambda bin_: self._bin_rows(catalogue, bin_, rng)
        )

    def _bin_rows(
        self, catalogue: Catalogue, bin_: Bin, rng: np.random.Generator
    ) -> list[Estimate]:
        try:
            field, sigma, q = self._draws(catalogue, bin_, rng)
        except EstimationError as error:
            return undetermined_rows(self.yields, str(error), [bin_.where])
        return [
            *apex_rows(q[:, :3], "v_travel", **bin_.where),
            *(Estimate.from_draws(name, q[:, 3 + k], **bin_.where) for k, name in enumerate(_BULK)),
            *(
                drawn_row(name, sigma[:, k], field.note(k), **bin_.where)
                for k, name in enumerate(_SIGMAS)
            ),
        ]

    def _draws(
        self, catalogue: Catalogue, bin_: Bin, rng: np.random.Generator
    ) -> tuple[LinearField, FloatArray, FloatArray]:
        """Field of a bin, draws of the dispersions and of the six velocities.

        Raises
        ------
        EstimationError
            If the stars are too few, do not determine the field, or scatter beyond the prior.
        """
        check_number(len(bin_), self.min_stars)
        stars = catalogue.select(bin_.rows)
        channels = reflex_channels(stars, self.distance_term)
        if self.clip != "none" and not (kept := within(channels, self.clip)).all():
            check_number(int(kept.sum()), self.min_stars)
            channels = reflex_channels(stars.select(kept), self.distance_term)
        field = LinearField(channels, self.sigma_range, self._prior())
        for k, name in enumerate(_SIGMAS):
            if field.bounded(k)[1]:
                raise EstimationError(
                    f"{name} reaches its bound, {self.sigma_range[1]:g} km/s: are v_los in km/s "
                    "and proper motions in mas/yr?"
                )
        if self.sampler == "emcee":
            return field, *self._chain(channels, field, rng)
        limits = self.v_travel_max, self.bulk_max
        return field, *draw_field(field, *limits, self.n_draws, rng)

    def _prior(self) -> LogPrior:
        power = {"log": 0.0, "precision": -2.0}[self.sigma_prior]
        return lambda log_sigma: np.asarray(power * log_sigma.sum(axis=1))

    def _chain(
        self, channels: tuple[Channel, ...], field: LinearField, rng: np.random.Generator
    ) -> tuple[FloatArray, FloatArray]:
        """Draws of the dispersions and of the six velocities by the ensemble sampler."""
        given = field.exact(field.best[None, :])
        mean, spread = given.mean[0], np.sqrt(np.diag(given.covariance[0]))
        speed, lon, sine = polar_start(mean[:3], self.v_travel_max)
        bulk = np.clip(mean[3:], -0.9 * self.bulk_max, 0.9 * self.bulk_max)
        start = np.concatenate([[speed, lon, sine], bulk, field.best])
        scale = np.concatenate([[0.1 * speed, 0.1, 0.02], 0.5 * spread[3:], 0.5 * field.width])
        way = self._density(channels, lon), start, scale, self.n_draws, rng
        draws = explore(*way, sampler="emcee", emcee=self.emcee).draws
        d, _ = polar_dipole(draws[:, :3], self.v_travel_max, lon)
        return np.exp(draws[:, 6:]), np.concatenate([d, draws[:, 3:6]], axis=1)

    def _density(
        self, channels: tuple[Channel, ...], cut: float = 0.0
    ) -> Callable[[FloatArray], FloatArray]:
        """Log posterior of (speed, l, sin b, bulk velocities, ln sigma), (n, 9) to (n,).

        Direction l [rad], within half a turn of ``cut``, and b are those of the translation d.
        """
        los, sky = channels
        prior, bounds = self._prior(), np.log(self.sigma_range)

        def log_density(points: FloatArray) -> FloatArray:
            d, inside = polar_dipole(points[:, :3], self.v_travel_max, cut)
            bulk, log_sigma = points[:, 3:6], points[:, 6:]
            inside &= np.all(np.abs(bulk) <= self.bulk_max, axis=1)
            inside &= np.all((log_sigma >= bounds[0]) & (log_sigma <= bounds[1]), axis=1)
            q, sigma = np.concatenate([d, bulk], axis=1), np.exp(log_sigma)
            value = los.log_likelihood(sigma[:, :1], q) + sky.log_likelihood(sigma[:, 1:], q)
            return np.where(inside, value + prior(log_sigma), -np.inf)

        return log_density


def reflex_channels(catalogue: Catalogue, distance_term: DistanceTerm) -> tuple[Channel, Channel]:
    """Line-of-sight and tangential velocities of the stars, freed from the motion of the Sun.

    Tangential ones are along l and b, k d mu + v_sun . e [km/s]: proper motions times the observed
    distance, a constant factor of the likelihood. The six parameters are the Cartesian dipole vector
    d and the bulk velocities v_r, v_theta, v_phi.

    Parameters
    ----------
    catalogue
        Heliocentric stars, or Galactocentric ones without errors.
    distance_term
        As in :class:`Reflex6D`.

    Returns
    -------
    los, sky
        Channels of (N, 1) and (N, 2) velocities.
    """
    lines, distance, motion, covariance, vlos_err, distance_err = _observed(catalogue)
    velocity = np.stack([motion[:, 0], *(distance * motion[:, 1:].T)], axis=1)
    velocity[:, 1:] *= KMS_PER_MASYR_KPC
    sun = lines @ catalogue.sun.velocity
    bulk = lines @ np.swapaxes(spherical_basis(catalogue.position), 1, 2)
    X = np.concatenate([lines, bulk], axis=2)
    E = covariance * (KMS_PER_MASYR_KPC * distance[:, None, None]) ** 2
    if distance_term != "none":
        across = velocity[:, 1:] if distance_term == "observed" else -sun[:, 1:]
        lever = (distance_err / distance)[:, None] * across
        if distance_term == "solar":
            E = E + lever[:, :, None] * lever[:, None, :]
        else:
            E = E + lever[:, :, None] ** 2 * np.eye(2)
    y = velocity + sun
    los = Channel(y[:, :1], X[:, :1], vlos_err[:, None, None] ** 2)
    return los, Channel(y[:, 1:], X[:, 1:], E)


def _observed(
    catalogue: Catalogue,
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    """Axes (N, 3, 3), distance, (v_los, mu_l, mu_b), their 2x2 covariance, two errors.

    The axes are the unit vectors along the line of sight, l and b as rows, in Galactocentric
    components; proper motions are in mas/yr.
    """
    if catalogue.heliocentric:
        columns = {name: catalogue[name] for name in ("ra", "dec", "distance")}
        columns |= {name: catalogue[name] for name in ("pmra", "pmdec", "vlos")}
    else:
        if any(np.any(catalogue.error(name) > 0.0) for name in GALACTOCENTRIC):
            raise InputError(
                f"{catalogue.origin}: reflex-6d needs the errors of distance, proper motions and "
                "vlos, not those of Galactocentric columns"
            )
        columns = galactocentric_to_heliocentric(
            catalogue.position, catalogue.velocity, catalogue.sun
        )
    icrs = sky_basis(columns["ra"], columns["dec"])
    galactic = sky_basis(*lon_lat(icrs[:, 0] @ ICRS_TO_GALACTIC.T)) @ ICRS_TO_GALACTIC
    turn = galactic[:, 1:] @ np.swapaxes(icrs[:, 1:], 1, 2)
    pm = np.einsum("nij,jn->ni", turn, np.stack([columns["pmra"], columns["pmdec"]]))
    error = np.stack([catalogue.error("pmra"), catalogue.error("pmdec")], axis=1)
    covariance = error[:, :, None] * error[:, None, :]
    covariance[:, [0, 1], [1, 0]] *= catalogue.pm_corr[:, None]
    covariance = turn @ covariance @ np.swapaxes(turn, 1, 2)
    motion = np.concatenate([columns["vlos"][:, None], pm], axis=1)
    lines = galactic @ catalogue.sun.rotation().T
    errors = catalogue.error("vlos"), catalogue.error("distance")
    return lines, columns["distance"], motion, covariance, *errors
