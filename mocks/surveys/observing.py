"""Looking at true stars: which of them pass the cuts of a survey, and what it measures of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from haloassay.base.arrays import FloatArray, IntArray
from haloassay.contracts.frames import galactocentric_to_heliocentric
from haloassay.mocks.stars import Stars
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
    """Stars that passed the cuts that need no velocity: which of a batch, and what is known of them, (N,) each."""

    rows: IntArray
    stars: Stars
    deviates: Deviates
    distance: FloatArray
    log_distance_error: FloatArray
    feh: FloatArray
    magnitude: FloatArray


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
    error = np.full(len(stars), survey.log_distance_error)
    if survey.distance_error_spread > 0.0:
        error = log_distance_errors(
            deviates.distance_error, survey.log_distance_error, survey.distance_error_spread
        )
    scatter = error * survey.distance_error_scale
    off = distance_deviates(survey, stars, deviates) if scatter.any() else np.zeros(len(stars))
    view = View(
        from_sun / true_distance[:, None],
        observed_distance(true_distance, off, scatter, survey.distance_scale),
        stars.feh + survey.feh_error * deviates.feh if survey.feh_error > 0.0 else stars.feh,
        apparent_magnitude(absolute, true_distance),
        deviates.fibre,
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
        view.magnitude[rows],
    )


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
    errors = proper_motion_errors(survey.pm_error, seen.magnitude + survey.g_offset)
    vlos, *motion, related = deviates.motion
    correlation = error_correlation(related, survey.pm_correlation)
    noise = correlated_noise(motion, survey.pm_error_scale * errors, correlation)
    columns: dict[str, FloatArray | float] = {
        "ra": true["ra"],
        "dec": true["dec"],
        "distance": seen.distance,
        "pmra": true["pmra"] + noise[:, 0],
        "pmdec": true["pmdec"] + noise[:, 1],
        "feh": seen.feh,
        "alpha_fe": stars.alpha_fe + survey.alpha_fe_error * deviates.alpha_fe,
        "distance_err": seen.log_distance_error * seen.distance,
        "pmra_err": errors[:, 0],
        "pmdec_err": errors[:, 1],
        "feh_err": survey.feh_error,
        "alpha_fe_err": survey.alpha_fe_error,
        "pm_corr": correlation,
    }
    if survey.vlos_known:
        error = survey.vlos_error
        stated = error.at(seen.magnitude) if isinstance(error, ErrorCurve) else error
        scatter = stated * survey.vlos_error_scale * vlos
        columns["vlos"] = true["vlos"] + survey.vlos_offset + scatter
        columns["vlos_err"] = stated
    return columns
