"""Dipole and compression of the radial velocities of the outer halo (Li et al. 2026, eq. 5-7)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

import numpy as np

from haloassay.base.arrays import BoolArray, FloatArray
from haloassay.base.errors import EstimationError
from haloassay.base.settings import require
from haloassay.contracts.estimate import Estimate, Estimates, Estimator
from haloassay.contracts.sky import mean_v_theta
from haloassay.estimators.bins import (
    Bin,
    Edges,
    by_bins,
    check_edges,
    check_least,
    check_number,
)
from haloassay.estimators.fit.isotropic import draw_field, polar_dipole, polar_start
from haloassay.estimators.fit.linear_field import Channel, LinearField
from haloassay.estimators.fit.posterior import EmceeRun, explore
from haloassay.estimators.gathering import error_variances, spherical_velocity
from haloassay.estimators.rows import apex_rows, drawn_row, undetermined_rows

if TYPE_CHECKING:
    from haloassay.contracts.catalogue import Catalogue

#: Bound of the uniform priors of mu_compr and mu_dipole [km/s] (Li et al. 2026, footnote 12).
MU_MAX: Final = 100.0

#: Run of emcee for their mixture.
_PUBLISHED: Final = EmceeRun(100, 1000, 400)

_FIELD: Final = (
    *("mu_compr", "mu_dipole", "apex_l", "apex_b", "apex_offset"),
    *("sigma_r", "mean_v_theta_predicted"),
)
_MEANS: Final = ("mean_v_r_north", "mean_v_r_south", "mean_v_theta")


@dataclass(frozen=True)
class Dipole(Estimator):
    """Mean radial velocity as compression plus dipole, in radial bins.

    v_r ~ N(mu_compr + mu_dipole cos theta, sigma_r^2 + delta_i^2), theta the angle between the star
    and the apex (Li et al. 2026, eq. 5-6, after Bystrom et al. 2025), delta_i the error of v_r,
    compression mu_compr < 0. Stars are seen from the Galactic centre: a translation of the halo
    past it is a dipole in these directions. (The paper says "Galactic coordinates (l_i, b_i)"
    without an origin; read as heliocentric ones they would differ by 8 deg at 60 kpc.)

    mu_dipole is never positive here, with the apex where the stars come from, as the paper quotes
    it; (mu, apex) and (-mu, antipode) are one field (:mod:`haloassay.contracts.sky`).

    Priors as published: mu_compr and mu_dipole uniform within +-100 km/s, sigma_r uniform from 10 to
    200 km/s, the apex isotropic (the paper's "cos b in [-1, 1]" with l uniform is meant as that). An
    abs(mu_dipole) is positive by its definition: where the dipole is weaker than its error its
    median lies too high, and the intervals of the apex widen to the whole circle. As a direction the
    apex is apex_offset: its upper bounds are the radii of the caps about the mean direction that hold
    68 and 95 per cent of the posterior (``apex_l`` and ``apex_b`` by themselves are no region on the
    sky, and near a pole leave out the truth). Measured with the
    field of the paper's outermost bin (-44 km/s at b = -24 deg, sigma_r = 148 km/s): no bias of any
    row above its Monte Carlo error at 3000 stars (400 samples; mu_dipole 0.24 km/s, apex_b 0.3 deg);
    at 300 stars, where the dipole is three times its error, apex_b is too near the plane by 4.2 +-
    0.8 deg and the prediction of eq. 7 too low by 3.5 +- 0.5 km/s. Over truths drawn from the prior
    the intervals cover what they say at any strength of the dipole.

    Beside the fit stand the mean v_r of the northern (z > 0) and the southern stars, the mean v_theta
    of all, each a Gaussian freed from the errors, and the mean v_theta that eq. 7 predicts,
    (pi/4) mu_dipole sin b_apex. Eq. 7 holds for a uniform translation averaged over the whole sky
    and for nothing else: for stars at abs(b) > 20 deg the factor is 0.68 instead of pi/4 = 0.79, so
    that a footprint alone separates the two.

    Parameters
    ----------
    bins
        Edges [kpc], or ``"none"`` for the whole sample. Li et al.: 50, 60, 80, 120.
    min_stars
        Bins (and hemispheres) with fewer stars have no value.
    sigma_range
        Bounds of the prior of the dispersions [km/s].
    max_error
        Stars with a larger error of v_r [km/s] are left out. Li et al.: 50.
    sampler
        ``"exact"``: the mean is linear in mu_compr and the Cartesian dipole vector, so given sigma_r
        their likelihood is Gaussian, sigma_r is one quadrature, and the prior is brought in by
        importance. ``"emcee"``: the chain of the paper over mu_compr, mu_dipole, l, sin b, sigma_r;
        the same posterior. A chain
        that does not mix is refused.
    emcee
        Length of that chain; the paper states it for its mixture only.
    n_draws
        Posterior draws behind the intervals.
    """

    name: ClassVar[str] = "dipole"
    version: ClassVar[int] = 4
    reference: ClassVar[str] = "2025MNRAS.542..560B"
    assumes: ClassVar[tuple[str, ...]] = ("known Gaussian errors", "Gaussian velocities")
    yields: ClassVar[tuple[str, ...]] = (*_FIELD, *_MEANS)
    published: ClassVar[dict[str, Any]] = {
        "bins": [50.0, 60.0, 80.0, 120.0],
        "max_error": 50.0,
        "sampler": "emcee",
    }

    bins: Edges = "none"
    min_stars: int = 20
    max_error: float = math.inf
    sigma_range: tuple[float, float] = (10.0, 200.0)
    sampler: Literal["exact", "emcee"] = "exact"
    emcee: EmceeRun = _PUBLISHED
    n_draws: int = 1000

    def __post_init__(self) -> None:
        check_edges(self.bins)
        check_least("min_stars", self.min_stars, 8)
        require(self.max_error > 0.0, f"max_error: positive (got {self.max_error})")
        lo, hi = self.sigma_range
        require(0.0 < lo < hi < math.inf, f"sigma_range: bounds ascend from 0 (got {[lo, hi]})")
        check_least("n_draws", self.n_draws, 2)

    def estimate(self, catalogue: Catalogue, rng: np.random.Generator) -> Estimates:
        """Rows of every quantity of every bin; a row says why it has no value."""

        def rows_of(
            bin_: Bin, position: FloatArray, v: FloatArray, noise: FloatArray
        ) -> list[Estimate]:
            if math.isfinite(self.max_error):
                kept = noise[:, 0] <= self.max_error**2
                position, v, noise = position[kept], v[kept], noise[kept]
            field = self._field_rows(bin_, position, v[:, 0], noise[:, 0], rng)
            return field + self._mean_rows(bin_, position[:, 2] > 0.0, v, noise, rng)

        known = (_position, spherical_velocity, error_variances)
        return by_bins(catalogue, self.bins, self.yields, rows_of, *known)

    def _field_rows(
        self,
        bin_: Bin,
        position: FloatArray,
        v: FloatArray,
        variance: FloatArray,
        rng: np.random.Generator,
    ) -> list[Estimate]:
        """Rows of the field, of v_r (n,) and the variances of its errors."""
        try:
            check_number(len(v), self.min_stars)
            channel = dipole_channel(position, v, variance)
            field = LinearField((channel,), self.sigma_range, uniform_in_sigma)
            if self.sampler == "exact":
                sigma, q = draw_field(field, MU_MAX, MU_MAX, self.n_draws, rng)
            else:
                sigma, q = self._chain(channel, field, rng)
        except EstimationError as error:
            return undetermined_rows(_FIELD, str(error), [bin_.where])
        predicted = mean_v_theta(q[:, :3])
        return [
            Estimate.from_draws("mu_compr", q[:, 3], **bin_.where),
            *apex_rows(q[:, :3], "mu_dipole", **bin_.where),
            Estimate.from_draws("mean_v_theta_predicted", predicted, **bin_.where),
            drawn_row("sigma_r", sigma[:, 0], field.note(0), **bin_.where),
        ]

    def _chain(
        self, channel: Channel, field: LinearField, rng: np.random.Generator
    ) -> tuple[FloatArray, FloatArray]:
        """Draws of sigma_r and of (d, mu_compr) by the ensemble sampler."""
        given = field.exact(field.best[None, :])
        centre, spread = given.mean[0], np.sqrt(np.diag(given.covariance[0]))
        mu, lon, sine = polar_start(centre[:3], MU_MAX)
        lo, hi = self.sigma_range
        sigma = float(np.clip(np.exp(field.best[0]), 1.01 * lo, 0.99 * hi))
        compression = float(np.clip(centre[3], -0.9 * MU_MAX, 0.9 * MU_MAX))
        start = np.array([compression, mu, lon, sine, sigma])
        scale = np.array([spread[3], min(spread[0], 0.1 * mu), 0.05, 0.02, 0.01 * sigma])
        log_density = published_density(channel, self.sigma_range, lon)
        way = log_density, start, scale, self.n_draws, rng
        draws = explore(*way, sampler="emcee", emcee=self.emcee).draws
        d, _ = polar_dipole(draws[:, 1:4], MU_MAX, lon)
        return draws[:, 4:], np.concatenate([d, draws[:, :1]], axis=1)

    def _mean_rows(
        self,
        bin_: Bin,
        north: BoolArray,
        v: FloatArray,
        noise: FloatArray,
        rng: np.random.Generator,
    ) -> list[Estimate]:
        """Rows of the means, of velocities (n, 3) and the variances of their errors."""
        parts = [
            ("mean_v_r_north", v[north, 0], noise[north, 0]),
            ("mean_v_r_south", v[~north, 0], noise[~north, 0]),
            ("mean_v_theta", np.ascontiguousarray(v[:, 1]), noise[:, 1]),
        ]
        rows = []
        for name, of, variance in parts:
            try:
                check_number(len(of), self.min_stars)
                mean = mean_draws(of, variance, self.sigma_range, self.n_draws, rng)
                rows.append(Estimate.from_draws(name, mean, **bin_.where))
            except EstimationError as error:
                rows.append(Estimate.undetermined(name, str(error), **bin_.where))
        return rows


def _position(part: Catalogue) -> FloatArray:
    return part.position


def dipole_channel(position: FloatArray, v_r: FloatArray, variance: FloatArray) -> Channel:
    """Radial velocities (N,) as mu_compr + d . n_i; the parameters are (d_x, d_y, d_z, mu_compr).

    Parameters
    ----------
    position
        (N, 3) Galactocentric positions [kpc].
    v_r, variance
        (N,) radial velocities [km/s] and the variance of their errors.
    """
    X = np.ones((len(position), 4))
    np.divide(position, np.linalg.norm(position, axis=1)[:, None], out=X[:, :3])
    return Channel(v_r[:, None], X[:, None, :], variance[:, None, None])


def mean_draws(
    v: FloatArray,
    variance: FloatArray,
    sigma_range: tuple[float, float],
    n_draws: int,
    rng: np.random.Generator,
) -> FloatArray:
    """(n_draws,) draws of the mean of velocities ``v`` (N,) with errors of ``variance`` (N,)."""
    channel = Channel(v[:, None], np.ones((len(v), 1, 1)), variance[:, None, None])
    field = LinearField((channel,), sigma_range, uniform_in_sigma)
    given = field.at(np.log(field.draw_sigma(n_draws, rng)))
    return np.asarray(given.mean[:, 0] + rng.standard_normal(n_draws) / given.root[:, 0, 0])


def uniform_in_sigma(log_sigma: FloatArray) -> FloatArray:
    """Log density of (n, s) ln sigma where every sigma is uniform."""
    return np.asarray(log_sigma.sum(axis=1))


def published_density(
    channel: Channel, sigma_range: tuple[float, float], cut: float = np.pi
) -> Callable[[FloatArray], FloatArray]:
    """Log posterior of (mu_compr, abs(mu_dipole), l [rad], sin b, sigma_r), eq. 5-6, (n, 5) to (n,).

    The apex of these points is that of a positive dipole; l runs over the turn about ``cut`` [rad].
    """

    def log_density(points: FloatArray) -> FloatArray:
        compression, sigma = points[:, :1], points[:, 4:]
        d, inside = polar_dipole(points[:, 1:4], MU_MAX, cut)
        inside &= np.abs(compression[:, 0]) <= MU_MAX
        inside &= (sigma[:, 0] >= sigma_range[0]) & (sigma[:, 0] <= sigma_range[1])
        q = np.concatenate([d, compression], axis=1)
        return np.where(inside, channel.log_likelihood(sigma, q), -np.inf)

    return log_density
