"""Dispersion of Galactocentric line-of-sight velocities in radial bins (Zhai et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.errors import EstimationError
from haloassay.contracts import frames
from haloassay.estimators.bins import Bin, check_number, radial_bins
from haloassay.estimators.fit.likelihoods import variance_information, variance_log_likelihood
from haloassay.estimators.fit.posterior import cell_draws

if TYPE_CHECKING:
    from haloassay.contracts.catalogue import Catalogue

#: Mean of the Gaussian of a bin: held at zero, or free.
Mean = Literal["zero", "free"]

#: What is taken of the velocities for the error of their dispersion.
Errors = Literal["gaussian", "sandwich"]

#: Edges of Zhai et al. (2018, section 3.3) [kpc].
ZHAI2018_BINS: Final = (5.0, 8.0, 10.0, 14.0, 18.0, 22.0, 26.0, 30.0, 35.0, 40.0, 60.0, 80.0, 120.0)

#: Fall of the log likelihood beyond which the posterior of a dispersion is negligible, and the one
#: that bounds its 95 per cent interval.
_NEGLIGIBLE: Final = 20.0
_RESOLVED: Final = 1.92

#: Points of the grid that draws from that posterior.
_GRID: Final = 401


@dataclass(frozen=True, eq=False)
class Sightlines:
    """Stars as an observer without proper motions has them.

    Parameters
    ----------
    r
        (N,) Galactocentric radii [kpc].
    v
        (N,) velocities along the line of sight [km/s], the motion of the Sun taken off.
    error
        (N,) their errors [km/s].
    across
        (N,) squared sine of the angle between the line of sight and the radius.
    """

    r: FloatArray
    v: FloatArray
    error: FloatArray
    across: FloatArray = field(repr=False)


def sightlines(catalogue: Catalogue) -> Sightlines:
    """Radii and Galactocentric line-of-sight velocities of a catalogue.

    V_los = v_helio + V_sun . n, with n from the Sun to the star and V_sun the whole velocity of the
    Sun, that of the local standard of rest included (Zhai et al. 2018, eq. 1, where the components
    of the peculiar motion are rounded). Heliocentric catalogues need ra, dec, distance and vlos,
    not proper motions; of Galactocentric ones the velocity is projected on n.

    Raises
    ------
    InputError
        If a column is missing, or a radius, velocity or error is not finite.
    """
    n = len(catalogue)
    sun = catalogue.sun
    if catalogue.heliocentric:
        ra, dec, distance, vlos = (catalogue[name] for name in ("ra", "dec", "distance", "vlos"))
        still = np.zeros(n)
        position, velocity = frames.heliocentric_to_galactocentric(
            ra, dec, distance, still, still, still + 1.0, sun
        )
        direction = velocity - sun.velocity  # of a star that recedes at 1 km/s
        v = vlos + direction @ sun.velocity
        error = catalogue.error("vlos")
    else:
        position = catalogue.position
        from_sun = position - sun.position
        direction = from_sun / np.maximum(np.linalg.norm(from_sun, axis=1), 1e-300)[:, None]
        v = np.einsum("ni,ni->n", catalogue.velocity, direction)
        errors = np.stack([catalogue.error(name) for name in ("vx", "vy", "vz")], axis=1)
        error = np.linalg.norm(errors * direction, axis=1)
    r = np.linalg.norm(position, axis=1)
    along = np.einsum("ni,ni->n", direction, position) / np.maximum(r, 1e-300)
    good = np.isfinite(r) & np.isfinite(v) & np.isfinite(error) & (error >= 0.0)
    fault = (
        "a position, line-of-sight velocity or error of it that is not finite, or a negative error"
    )
    catalogue.check_rows(good, fault)
    return Sightlines(r, v, error, np.clip(1.0 - along**2, 0.0, 1.0))


@dataclass(frozen=True, eq=False)
class Dispersion:
    """Most likely dispersion of a Gaussian sample, and how sure it is.

    Parameters
    ----------
    sigma
        Dispersion [km/s].
    error
        Its standard error [km/s].
    freedom
        Effective degrees of freedom of the variance: the number of stars where the mean is held at
        zero and the velocities are Gaussian.
    noise
        Variance of the measurement errors [(km/s)^2]: the variance sigma^2 + noise of a sample
        without errors, of so many degrees of freedom, would be as uncertain.
    draws
        (n_draws,) of the posterior of sigma [km/s].
    """

    sigma: float
    error: float
    freedom: float
    noise: float
    draws: FloatArray = field(repr=False)


@dataclass(frozen=True, eq=False)
class LosBin:
    """Bin with its dispersion, or with a note that says why it has none."""

    bin: Bin
    radii: FloatArray = field(repr=False)
    dispersion: Dispersion | None
    note: str = ""


def los_profile(
    catalogue: Catalogue,
    edges: tuple[float, ...],
    n_draws: int,
    rng: np.random.Generator,
    *,
    min_stars: int = 10,
    mean: Mean = "zero",
    deconvolve: bool = False,
    errors: Errors = "gaussian",
) -> tuple[LosBin, ...]:
    """Dispersion of the Galactocentric line-of-sight velocities in each bin.

    Parameters
    ----------
    catalogue
        Stars.
    edges
        Edges of the bins [kpc].
    n_draws
        Draws from the posterior of each dispersion.
    rng
        Source of randomness.
    min_stars
        Bins with fewer stars have no dispersion.
    mean, deconvolve, errors
        As in :func:`fit_dispersion`; ``deconvolve`` hands over the errors of the catalogue.
    """
    stars = sightlines(catalogue)
    profile = []
    for bin_ in radial_bins(stars.r, edges):
        radii, v = stars.r[bin_.rows], stars.v[bin_.rows]
        error = stars.error[bin_.rows] if deconvolve else np.zeros(len(v))
        try:
            check_number(len(v), min_stars)
            fit = fit_dispersion(v, error, n_draws, rng, mean=mean, errors=errors)
        except EstimationError as failure:
            profile.append(LosBin(bin_, radii, None, str(failure)))
        else:
            profile.append(LosBin(bin_, radii, fit))
    return tuple(profile)


def fit_dispersion(
    v: FloatArray,
    error: FloatArray,
    n_draws: int,
    rng: np.random.Generator,
    *,
    mean: Mean = "zero",
    errors: Errors = "gaussian",
) -> Dispersion:
    """Dispersion of Gaussian velocities of known errors (Zhai et al. 2018, eq. 17).

    The prior is Jeffreys', flat in ln sigma where there are no errors, so that intervals are exact
    for a Gaussian sample of any size (the paper prints no prior). A free mean has a flat prior and
    is integrated over.

    Parameters
    ----------
    v, error
        (n,) velocities and their errors [km/s]; eq. 17 knows no errors, which are then zero.
    n_draws
        Draws from the posterior.
    rng
        Source of randomness.
    mean
        ``"zero"``, as published, or ``"free"``.
    errors
        ``"gaussian"``: the likelihood as it is. ``"sandwich"``: raised to the power that makes its
        width agree with the scatter of the stars' own scores, for velocities that are not Gaussian.

    Raises
    ------
    EstimationError
        If all velocities are equal, or the errors hide the dispersion: its 95 per cent interval
        reaches zero.
    """
    free = mean == "free"
    square = error**2
    variance = _most_likely(v, square, free)
    if variance <= 0.0:
        raise EstimationError("the velocity errors are larger than the scatter of the velocities")
    total = variance + square
    centre = float(np.average(v, weights=1.0 / total)) if free else 0.0
    information = 0.5 * np.sum(total**-2.0)
    score = 0.5 * ((v - centre) ** 2 - total) / total**2
    power = 1.0
    if errors == "sandwich":
        power = float(information / max(np.sum(score**2), 1e-300))
        power = min(power, 1.0e3)
    if square.any():
        draws = _grid_draws(v, square, free, variance, power, n_draws, rng)
    else:
        freedom = power * (len(v) - free)
        draws = np.sqrt(freedom * variance / rng.chisquare(freedom, n_draws))
    deviation = 1.0 / np.sqrt(information * power)
    freedom = power * (len(v) - free)
    equivalent = deviation * np.sqrt(0.5 * freedom)
    return Dispersion(
        float(np.sqrt(variance)),
        float(deviation / (2.0 * np.sqrt(variance))),
        freedom,
        max(float(equivalent - variance), 0.0) if square.any() else 0.0,
        draws,
    )


def _most_likely(v: FloatArray, square: FloatArray, free: bool) -> float:
    """Variance [(km/s)^2] of greatest likelihood, mean integrated over; 0 where errors explain v."""
    spread = float(np.sum((v - v.mean()) ** 2) / (len(v) - 1.0)) if free else float(np.mean(v**2))
    if not spread > 1e-20 * max(1.0, float(np.max(np.abs(v))) ** 2):
        raise EstimationError("all line-of-sight velocities are equal: no dispersion")
    if not square.any():
        return spread
    from scipy.optimize import minimize_scalar

    def minus(variance: float) -> float:
        return -float(variance_log_likelihood(np.array([variance]), v, square, free)[0])

    floor = 1e-6 * spread
    found = minimize_scalar(minus, bounds=(0.0, spread + square.max()), method="bounded")
    best = float(found.x)
    if best < floor or minus(0.0 + floor) - minus(best) < _RESOLVED:
        raise EstimationError("the velocity errors are too large to resolve sigma_los")
    return best


def _grid_draws(
    v: FloatArray,
    square: FloatArray,
    free: bool,
    variance: float,
    power: float,
    n_draws: int,
    rng: np.random.Generator,
) -> FloatArray:
    """(n_draws,) dispersions from the posterior under Jeffreys' prior, by a grid in sigma."""
    sigma = np.sqrt(variance)
    top = variance_log_likelihood(np.array([variance]), v, square, free)[0]
    steps = sigma * 1.15 ** np.arange(-25.0, 26.0)
    held = np.flatnonzero(
        power * (variance_log_likelihood(steps**2, v, square, free) - top) > -_NEGLIGIBLE
    )
    lo = steps[held[0] - 1] if held[0] > 0 else 0.0
    hi = steps[min(held[-1] + 1, len(steps) - 1)]
    for _ in range(2):  # the second grid closes in
        grid = np.linspace(lo, hi, _GRID)
        log_p = power * (variance_log_likelihood(grid**2, v, square, free) - top)
        held = np.flatnonzero(log_p > -_NEGLIGIBLE)
        lo, hi = grid[max(held[0] - 1, 0)], grid[min(held[-1] + 1, _GRID - 1)]
    # root of the information about sigma: 1 / sigma without errors
    prior = grid * np.sqrt(variance_information(grid**2, square))
    density = np.exp(log_p) * prior
    return cell_draws(grid, 0.5 * (density[1:] + density[:-1]), n_draws, rng)
