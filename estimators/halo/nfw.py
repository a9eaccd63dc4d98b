"""NFW halo fitted to enclosed masses without the baryons (Bird et al. 2022, section 2.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike

from haloassay.base.arrays import FloatArray
from haloassay.base.constants import G
from haloassay.base.errors import EstimationError
from haloassay.base.settings import require
from haloassay.contracts.estimate import Estimate
from haloassay.contracts.profiles import (
    critical_density,
    nfw_enclosed_mass,
    nfw_shape,
    virial_mass,
)
from haloassay.estimators.fit.laplace import LogDensity
from haloassay.estimators.fit.posterior import EmceeRun, Sampler, explore, quadrature
from haloassay.estimators.halo.baryons import Baryons, baryons_mass, baryons_vc2
from haloassay.estimators.rows import VIRIAL, unbounded, undetermined_rows, virial_rows

#: Bounds of the flat priors; a posterior that gets there is said to be unbounded.
R200_MAX: Final = 1000.0
C200_MAX: Final = 200.0

#: Concentrations between which virial numbers are looked for.
_C_RANGE: Final = (1e-2, 1e4)

#: Run of emcee as published.
_PUBLISHED: Final = EmceeRun(500, 400, 250)


@dataclass(frozen=True)
class NFWFit:
    """What is assumed in the fit of an NFW halo to enclosed masses.

    Parameters
    ----------
    baryons
        Mass that is not the halo's: bulge and disc of MWPotential2014, the spherical ones of Zhai
        et al. 2018, or none.
    vc_range
        Prior: circular velocity at the Sun, baryons and halo, between these bounds [km/s];
        ``"none"`` without.
    r_sun
        Distance of the Sun from the centre [kpc].
    h0
        Hubble's constant [km/s/Mpc], for the critical density.
    emcee
        Length of the run where the sampler is emcee; Bird et al.: 500 walkers, 400 steps, 250
        burnt.
    """

    baryons: Baryons = "mwpotential2014"
    vc_range: tuple[float, float] | Literal["none"] = (200.0, 250.0)
    r_sun: float = 8.3
    h0: float = 67.8
    emcee: EmceeRun = _PUBLISHED

    def __post_init__(self) -> None:
        if self.vc_range != "none":
            lo, hi = self.vc_range
            require(
                0.0 <= float(lo) < float(hi), f"vc_range: bounds ascend from 0 (got {[lo, hi]})"
            )
        require(self.r_sun > 0.0, f"r_sun: positive (got {self.r_sun})")
        require(self.h0 > 0.0, f"h0: positive (got {self.h0})")


def nfw_log_density(
    r: FloatArray, mass: FloatArray, error: FloatArray, settings: NFWFit
) -> LogDensity:
    """Log posterior of (r200 [kpc], c200): chi^2 of dark masses under flat priors.

    Parameters
    ----------
    r, mass, error
        (n,) radii [kpc], enclosed masses of everything and their standard errors [Msun].
    settings
        Baryons and priors.
    """
    dark = mass - baryons_mass(settings.baryons, r)
    at_sun = baryons_vc2(settings.baryons, settings.r_sun)

    def log_density(points: FloatArray) -> FloatArray:
        r200, c = points[:, 0], points[:, 1]
        inside = (r200 > 0.0) & (r200 < R200_MAX) & (c > 0.0) & (c < C200_MAX)
        r200, c = np.where(inside, r200, 100.0), np.where(inside, c, 10.0)
        m200 = virial_mass(r200, settings.h0)
        if settings.vc_range != "none":
            halo = nfw_enclosed_mass(settings.r_sun, m200, r200, c)
            v_c = np.sqrt(at_sun + G * halo / settings.r_sun)
            inside &= (v_c > settings.vc_range[0]) & (v_c < settings.vc_range[1])
        model = nfw_enclosed_mass(r, m200[:, None], r200[:, None], c[:, None])
        chi2 = np.sum(((dark - model) / error) ** 2, axis=1)
        return np.where(inside, -0.5 * chi2, -np.inf)

    return log_density


def nfw_draws(
    r: FloatArray,
    mass: FloatArray,
    error: FloatArray,
    settings: NFWFit,
    sampler: Sampler,
    n_draws: int,
    rng: np.random.Generator,
) -> FloatArray:
    """Draws (n_draws, 2) of (r200 [kpc], c200) for masses (n,) [Msun] at radii ``r`` (n,) [kpc].

    Raises
    ------
    EstimationError
        If the masses and the prior do not determine a halo; the message says why.
    """
    if len(r) < 2:
        raise EstimationError(
            f"an NFW halo needs enclosed masses at two radii or more (got {len(r)})"
        )
    if np.all(mass <= baryons_mass(settings.baryons, r)):
        raise EstimationError("all enclosed masses are below the mass of the baryons")
    log_density = nfw_log_density(r, mass, error, settings)
    start = _start(log_density, settings)
    if sampler == "emcee":
        way = log_density, start, 0.01 * start, n_draws, rng
        return explore(*way, sampler="emcee", emcee=settings.emcee).draws

    def in_logarithms(points: FloatArray) -> FloatArray:
        # the Jacobian: the prior is flat in r200 and c, not in their logarithms
        return np.asarray(log_density(np.exp(np.clip(points, -50.0, 50.0))) + points.sum(axis=1))

    return np.asarray(np.exp(quadrature(in_logarithms, np.log(start), [0.02, 0.02], n_draws, rng)))


def _start(log_density: LogDensity, settings: NFWFit) -> FloatArray:
    """Best (r200, c200) of a coarse grid, inside the prior."""
    r200, c = np.meshgrid(
        np.geomspace(10.0, 0.99 * R200_MAX, 80), np.geomspace(0.05, 0.99 * C200_MAX, 80)
    )
    points = np.column_stack([r200.ravel(), c.ravel()])
    values = log_density(points)
    best = int(np.argmax(values))
    if not np.isfinite(values[best]):
        raise EstimationError(
            f"no halo, with the baryons, has v_c at the Sun within {settings.vc_range} km/s"
        )
    return np.asarray(points[best])


def nfw_rows(
    r: FloatArray,
    mass: FloatArray,
    error: FloatArray,
    settings: NFWFit,
    sampler: Sampler,
    n_draws: int,
    rng: np.random.Generator,
) -> list[Estimate]:
    """Rows m200, r200, c200 of the dark halo, or why not; arguments of :func:`nfw_draws`."""
    try:
        draws = nfw_draws(r, mass, error, settings, sampler, n_draws, rng)
    except EstimationError as error_:
        return undetermined_rows(VIRIAL, str(error_))
    r200, c = draws.T
    size = unbounded("the masses", "r200", r200, (0.0, R200_MAX))
    shape = unbounded("the masses", "c200", c, (0.0, C200_MAX))
    return virial_rows(virial_mass(r200, settings.h0), r200, c, size, shape)


def concentration(density: ArrayLike, h0: float, overdensity: float = 200.0) -> FloatArray:
    """Concentration of halos M(<r) = M_s mu(r / r_s) of ``density`` M_s / r_s^3 [Msun/kpc^3].

    Solves M_s mu(c) = (4 pi / 3) overdensity rho_crit (c r_s)^3; NaN where there is no solution.
    """
    c = np.geomspace(*_C_RANGE, 4001)
    log_ratio = np.log(nfw_shape(c)) - 3.0 * np.log(c)  # falls with c
    wanted = 4.0 * np.pi / 3.0 * overdensity * critical_density(h0)
    x = np.log(wanted / np.asarray(density, dtype=float))
    found = np.interp(-x, -log_ratio, np.log(c), left=np.nan, right=np.nan)
    return np.exp(found)
