"""The selection function of a survey as its observer states it, for methods that measure densities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from haloassay.base.arrays import BoolArray, FloatArray
from haloassay.base.errors import EstimationError
from haloassay.base.settings import require
from haloassay.mocks.surveys.places import passing
from haloassay.mocks.surveys.selection import cuts_of_place

if TYPE_CHECKING:
    from haloassay.contracts.catalogue import Catalogue
    from haloassay.contracts.frames import Sun
    from haloassay.contracts.selection import Luminosities
    from haloassay.mocks.surveys.survey import Survey


@dataclass(frozen=True)
class StatedSelection:
    """A :class:`haloassay.contracts.selection.Selection` of footprint, completeness, luminosities, limits and cuts.

    Parameters
    ----------
    survey
        Its settings that the observer knows: :attr:`haloassay.mocks.surveys.survey.Survey.stated`.
    sun
        Where the observer is.
    scale
        Factor that distances are off by, and luminosities with them where these come from the same distances: what is
        seen at a distance is then what is there at that distance over the factor, of which the observer need not know.

    Raises
    ------
    InputError
        If the survey cuts on the errors of velocities: how many stars that leaves out at a place is not known.
    """

    survey: Survey
    sun: Sun
    scale: float = 1.0

    def __post_init__(self) -> None:
        require(
            not self.survey.limits_errors,
            "error_max: how many stars a cut on velocity errors leaves out at a place is not known",
        )

    @classmethod
    def of(cls, survey: Survey, sun: Sun | None = None) -> StatedSelection:
        """Take the selection of a survey, with the observer where the survey says, or elsewhere."""
        return cls(survey.stated, survey.sun if sun is None else sun, survey.distance_scale)

    @property
    def r_range(self) -> tuple[float, float]:
        """Limits of the observed Galactocentric radius [kpc]."""
        return self.survey.r_min, self.survey.r_max

    def reach(
        self, direction: FloatArray, distance: FloatArray, luminosities: Luminosities
    ) -> FloatArray:
        """(N,) probabilities that stars in ``direction`` (N, 3) at ``distance`` (N,) [kpc] are observed."""
        icrs = direction @ self.sun.rotation()
        true = distance / (self.scale if luminosities == "of-distances" else 1.0)
        chance = passing(self.survey, icrs, true)
        if self.survey.template is not None:
            chance = chance * self.survey.template.chance(icrs, true, self.survey)
        return chance

    def inside(self, direction: FloatArray, distance: FloatArray) -> BoolArray:
        """(N,) whether cuts on observed distance, height and radius keep stars observed there."""
        kept = np.ones(len(distance), dtype=bool)
        for _, mask in cuts_of_place(self.survey, self.sun, direction, distance):
            kept &= mask
        return kept

    def comparable(self, catalogue: Catalogue) -> BoolArray:
        """(N,) which stars were selected in the same way at every height: those that pass ``feh_max``.

        Raises
        ------
        EstimationError
            If the survey cuts on [Fe/H], and the catalogue has none.
        """
        if np.isposinf(self.survey.feh_max):
            return np.ones(len(catalogue), dtype=bool)
        if "feh" not in catalogue:
            raise EstimationError("the survey cuts on [Fe/H] (feh_max), and the stars have none")
        return np.asarray(catalogue["feh"] <= self.survey.feh_max)
