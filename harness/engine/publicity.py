"""What participants of a blind challenge may know of survey and Sun: what is the same for all of its catalogues."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from haloassay.base.cache import plain_content
from haloassay.contracts.columns import UNITS

if TYPE_CHECKING:
    from haloassay.mocks.gravity.potentials import Virial
    from haloassay.mocks.surveys.survey import Observation
    from haloassay.planning.cells import Cell
    from haloassay.planning.scenario import Spec

#: Keys of plain content that are no settings, and how one ends that stands beside the name of a file.
_NO_SETTINGS: Final = ("version", "source")
_OF_FILE: Final = "digest"
#: Settings that are told elsewhere: in the list of catalogues, and as the Sun.
_TOLD_ELSEWHERE: Final = ("n_stars", "sun")


class Common:
    """Gathers, catalogue by catalogue, what all have in common; in what they differ would tell them apart."""

    def __init__(self) -> None:
        self._known: Spec | None = None
        #: Settings of the survey that an observer knows and participants are not told, by name.
        self._untold: set[str] = set()
        #: Whether two catalogues may have stars in common, as stored populations have only so many.
        self.shared_stars = False

    def add(self, cell: Cell, observation: Observation, virial: Virial | None) -> None:
        """Take one more catalogue, the cell that it is of, and where that is asked for what is virial of its halo."""
        catalogue = observation.catalogue
        self.shared_stars = self.shared_stars or bool(observation.overlap)
        survey, of_files = _stated(cell)
        if self._known is not None:
            before = self._known["survey"]
            self._untold |= {k for k in {*before, *survey} if before.get(k) != survey.get(k)}
        self._untold |= of_files
        here: Spec = {
            "sun": asdict(catalogue.sun),
            "columns": {name: UNITS[name] for name in catalogue.columns},
            "survey": survey,
            "cleaned": [str(step["kind"]) for step in cell.clean],
            "virial_density": None if virial is None else _density(virial),
        }
        self._known = here if self._known is None else _both(self._known, here)

    @property
    def told(self) -> Spec:
        """The Sun, columns with their units, the survey as its observer states it, what was taken out, what r200 is.

        Settings of the survey that are left out, in which catalogues differ or which are of files, are named.
        """
        nothing: Spec = {
            "sun": None,
            "columns": {},
            "survey": {},
            "cleaned": [],
            "virial_density": None,
        }
        known = {**nothing, **(self._known or {})}
        survey = {
            name: value for name, value in known["survey"].items() if name not in self._untold
        }
        return {
            **known,
            "survey": survey,
            "survey_not_told": sorted(self._untold),
            "shared_stars": self.shared_stars,
        }


def _both(one: Spec, other: Spec) -> Spec:
    """Keep what is the same in both; of surveys and columns, entry by entry."""
    found = {}
    for name, value in one.items():
        if name in ("survey", "columns"):
            items = value.items()
            found[name] = {k: v for k, v in items if k in other[name] and other[name][k] == v}
        elif name in other and other[name] == value:
            found[name] = value
    return found


def _density(virial: Virial) -> float:
    """Mean density [Msun/kpc^3] of the dark halo within r200, by which that is defined, in so many digits as say it."""
    return float(f"{3.0 * virial.m200 / (4.0 * math.pi * virial.r200**3):.5g}")


def _stated(cell: Cell) -> tuple[Spec, set[str]]:
    """List the settings of a survey that its observer knows, and that are not those of a perfect one.

    Those of a file are apart, by their names alone: where that is on the organiser's disk helps nobody, and the rest of
    the same table is no setting without it. Errors that a template's stand in place of are none of the survey's.
    """
    from haloassay.mocks.surveys.survey import UNSTATED, Survey, make_survey

    survey = make_survey(cell.survey)
    settings, perfect = plain_content(survey), plain_content(Survey())
    left = {*UNSTATED, *_TOLD_ELSEWHERE, *_NO_SETTINGS}
    if survey.template is not None:
        left |= survey.template.replaces
    own = {k: v for k, v in settings.items() if k not in left and v != perfect.get(k)}
    of_files = {name for name, value in own.items() if _is_of_file(value)}
    return {name: _plain(v) for name, v in own.items() if name not in of_files}, of_files


def _plain(value: Any) -> Any:
    """Leave out what is no setting; an infinite limit is None, as JSON knows it."""
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items() if k not in _NO_SETTINGS}
    if isinstance(value, float) and math.isinf(value):
        return None
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _is_of_file(value: Any) -> bool:
    if isinstance(value, Mapping):
        digests = (v for k, v in value.items() if k.endswith(_OF_FILE))
        return any(digests) or any(map(_is_of_file, value.values()))
    return isinstance(value, list) and any(map(_is_of_file, value))
