"""Looking at true stars: which of them pass the cuts of a survey, and what it measures of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from haloassay.base.arrays import FloatArray, IntArray
from haloassay.contracts.frames import galactocentric_to_heliocentric
from haloassay.mocks.stars import Stars
from haloassay.mocks.surveys.distances import posterior_distances, zero_points
from haloassay.mocks.surveys.measurement import (
    FEH_BINS,
    Deviates,
    ErrorCurve,
    apparent_magnitude,
    correlated_by_feh,
    correlated_noise,
    error_correlation,
    log_distance_errors,
    observed_distance,
    proper_motion_errors,
)
from haloassay.mocks.surveys.selection import Tally, View, cuts, errors_within
from haloassay.mocks.uniforms import Uniforms, numbers

if TYPE_CHECKING:
    from haloassay.mocks.surveys.survey import Survey


@dataclass(frozen=True, eq=False)
class Seen:
    """Stars that passed the cuts that need no velocity: which of a batch, and what is known of them, (N,) each.

    ``like`` are the rows of a survey's template whose errors they have.
    """

    rows: IntArray
    stars: Stars
    deviates: Deviates
    distance: FloatArray
    log_distance_error: FloatArray
    feh: FloatArray
    feh_error: float | FloatArray
    magnitude: FloatArray
    like: IntArray | None


def seen_again(survey: Survey, stars: Stars, survey_rng: np.random.Generator) -> float:
    """Share of observed stars that another observation of the same stars would see too."""
    deviates = Deviates(Uniforms.of(survey_rng), stars.number)
    tally = Tally()
    seen = look(survey, stars, deviates, len(stars), tally)
    return len(measured(survey, seen, len(stars), tally)[0]) / len(stars)


def distance_deviates(survey: Survey, stars: Stars, deviates: Deviates) -> FloatArray:
    """(N,) errors of ln(distance) in their own units, which stars of one [Fe/H] share where the survey says so."""
    correlation = survey.distance_feh_correlation
    if correlation == 0.0:
        return deviates.distance
    shared = deviates.uniforms.normal("distance of [Fe/H]", numbers(0, len(FEH_BINS) + 1))
    return correlated_by_feh(deviates.distance, stars.feh, shared, correlation)


def look(survey: Survey, stars: Stars, deviates: Deviates, most: int, tally: Tally) -> Seen:
    """Stars of a batch that pass all cuts that need no velocity; ``most`` if these are all cuts."""
    from_sun = stars.position - survey.sun.position
    true_distance = np.sqrt(np.einsum("ni,ni->n", from_sun, from_sun))
    absolute = survey.luminosity.absolute_magnitude(deviates.luminosity)
    direction = from_sun / true_distance[:, None]
    magnitude = apparent_magnitude(absolute, true_distance)
    like = _likes(survey, direction, true_distance, magnitude, deviates)
    error = np.full(len(stars), survey.log_distance_error)
    if survey.template is not None and like is not None:
        error = survey.template.log_distance_error(like)
    elif survey.distance_error_spread > 0.0:
        error = log_distance_errors(
            deviates.distance_error, survey.log_distance_error, survey.distance_error_spread
        )
    scatter = error * survey.distance_error_scale
    off = distance_deviates(survey, stars, deviates) if scatter.any() else np.zeros(len(stars))
    observed = observed_distance(true_distance, off, scatter, survey.distance_scale)
    if survey.distance_feh_slope != 0.0 or survey.distance_dipole[0] != 0.0:
        feh_zero = (survey.distance_feh_slope, survey.distance_feh_zero)
        observed *= np.exp(zero_points(direction, stars.feh, *feh_zero, survey.distance_dipole))
    if survey.distance_prior > 0.0:
        observed, error = posterior_distances(observed, error, survey.distance_prior)
    feh_error = _error(survey, "feh_err", survey.feh_error, like)
    noisy = isinstance(feh_error, np.ndarray) or feh_error > 0.0
    view = View(
        direction,
        observed,
        stars.feh + feh_error * deviates.feh if noisy else stars.feh,
        magnitude,
        deviates.fibre,
        true_distance,
    )
    keep = np.ones(len(stars), dtype=bool)
    for name, mask in cuts(survey, view):
        tally.count(name, mask)
        keep &= mask
    rows = np.flatnonzero(keep)
    if not survey.limits_errors:
        rows = rows[:most]
    return Seen(
        rows,
        stars.select(rows),
        deviates.select(rows),
        view.distance[rows],
        error[rows],
        view.feh[rows],
        feh_error[rows] if isinstance(feh_error, np.ndarray) else feh_error,
        view.magnitude[rows],
        None if like is None else like[rows],
    )


def _likes(
    survey: Survey,
    direction: FloatArray,
    distance: FloatArray,
    magnitude: FloatArray,
    deviates: Deviates,
) -> IntArray | None:
    """(N,) rows of the template whose errors stars have; None without one."""
    if survey.template is None:
        return None
    icrs = direction @ survey.sun.rotation()
    g = magnitude + survey.g_offset
    return survey.template.neighbour(icrs, distance, g, deviates.template)


def _error(survey: Survey, name: str, plain: float, like: IntArray | None) -> FloatArray | float:
    """Stated errors of the stars: of the rows ``like`` of the template where it has them, else ``plain``."""
    if survey.template is None or like is None:
        return plain
    found = survey.template.error(name, like)
    return plain if found is None else found


def measured(
    survey: Survey, seen: Seen, most: int, tally: Tally
) -> tuple[IntArray, Stars, dict[str, FloatArray | float]]:
    """First ``most`` of the stars seen whose velocities are certain enough: which of a batch, and their columns."""
    columns = _columns(survey, seen)
    if not survey.limits_errors:
        return seen.rows, seen.stars, columns
    mask = errors_within(columns, len(seen.stars), survey.sun, survey.error_max)
    tally.count("error_max", mask)
    rows = np.flatnonzero(mask)[:most]  # of those seen
    some = {k: v[rows] if isinstance(v, np.ndarray) else v for k, v in columns.items()}
    return seen.rows[rows], seen.stars.select(rows), some


def _columns(survey: Survey, seen: Seen) -> dict[str, FloatArray | float]:
    """Columns of the stars seen, with the errors of the survey; a number where it is that of all."""
    stars, deviates = seen.stars, seen.deviates
    true = galactocentric_to_heliocentric(stars.position, stars.velocity, survey.sun)
    vlos, *motion, related = deviates.motion
    correlation = error_correlation(related, survey.pm_correlation)
    if survey.template is None or seen.like is None:
        errors = proper_motion_errors(survey.pm_error, seen.magnitude + survey.g_offset)
    else:
        stated_pm = (survey.template.error(name, seen.like) for name in ("pmra_err", "pmdec_err"))
        errors = np.stack([each for each in stated_pm if each is not None], axis=1)
        of_template = survey.template.error("pm_corr", seen.like)
        correlation = correlation if of_template is None else of_template
    alpha_fe_error = _error(survey, "alpha_fe_err", survey.alpha_fe_error, seen.like)
    noise = correlated_noise(motion, survey.pm_error_scale * errors, correlation)
    columns: dict[str, FloatArray | float] = {
        "ra": true["ra"],
        "dec": true["dec"],
        "distance": seen.distance,
        "pmra": true["pmra"] + noise[:, 0],
        "pmdec": true["pmdec"] + noise[:, 1],
        "feh": seen.feh,
        "alpha_fe": stars.alpha_fe + alpha_fe_error * deviates.alpha_fe,
        "distance_err": seen.log_distance_error * seen.distance,
        "pmra_err": errors[:, 0],
        "pmdec_err": errors[:, 1],
        "feh_err": seen.feh_error,
        "alpha_fe_err": alpha_fe_error,
        "pm_corr": correlation,
    }
    if survey.vlos_known:
        error = survey.vlos_error
        curve = error.at(seen.magnitude) if isinstance(error, ErrorCurve) else error
        known = None
        if survey.template is not None and seen.like is not None:
            known = survey.template.error("vlos_err", seen.like)
        stated = curve if known is None else known
        scatter = stated * survey.vlos_error_scale * vlos
        columns["vlos"] = true["vlos"] + survey.vlos_offset + scatter
        columns["vlos_err"] = stated
    return columns
