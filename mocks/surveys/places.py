"""What share of the stars at a place footprint, completeness and magnitude limits of a survey let pass."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.mocks.surveys.measurement import apparent_magnitude

if TYPE_CHECKING:
    from haloassay.mocks.surveys.survey import Survey

#: Luminosities of which a share is the mean, and distances [kpc] between which it is interpolated.
_QUANTILES: Final = 2000
_DISTANCES: Final = np.geomspace(0.01, 1e4, 1400)


def passing(survey: Survey, icrs: FloatArray, distance: FloatArray) -> FloatArray:
    """(N,) probabilities that stars at ICRS unit vectors (N, 3) and true distances (N,) [kpc] pass.

    Of stars of all luminosities of the survey, and without the selection of a template.
    """
    chance = survey.completeness.of_place(icrs) * survey.footprint.contains(icrs)
    return np.asarray(chance * np.interp(distance, _DISTANCES, _share(survey)))


@functools.lru_cache(maxsize=8)
def _share(survey: Survey) -> FloatArray:
    """Share of the stars of all luminosities that magnitudes let pass, at :data:`_DISTANCES`."""
    uniform = (np.arange(_QUANTILES) + 0.5) / _QUANTILES
    absolute = survey.luminosity.absolute_magnitude(uniform)
    magnitude = apparent_magnitude(absolute, _DISTANCES[:, None])
    bright, faint = survey.magnitude_limits
    within = (magnitude >= bright) & (magnitude <= faint)
    return np.asarray(np.mean(within * survey.completeness.of_magnitude(magnitude), axis=1))
