"""Cells of a scenario: each a mock, a survey and estimators with all their settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from haloassay.planning.factors import Factor, Level, changed
from haloassay.planning.sampling import Sampling
from haloassay.planning.scenario import Spec


@dataclass(frozen=True)
class Method:
    """An estimator in a cell.

    Parameters
    ----------
    label, spec
        What to call it, and the table that builds it.
    made
        All that it is: kind, version, settings with defaults.
    key
        Content key of that.
    """

    label: str
    spec: Spec
    made: Any
    key: str


@dataclass(frozen=True)
class Cell:
    """One setting of all factors.

    Parameters
    ----------
    label
        The factors that were set, as in ``"survey.n_stars=500"``; ``"base"`` for the scenario as
        written, in a design around it.
    factors
        Level of every factor of the matrix in this cell, by path.
    mock, survey, clean
        Tables that build the components.
    methods
        The estimators.
    made
        All that mock, survey and cleaning are: kinds, versions, settings with defaults, digests of files.
    key
        Content key of that and of the seed.
    shared
        Cells whose results are those of an estimator here, too, by its label: it is not run again.
    beside
        Designs whose every catalogue it is compared with: it has as many itself.
    """

    label: str
    factors: Spec
    mock: Spec
    survey: Spec
    clean: list[Spec]
    methods: tuple[Method, ...]
    made: Spec
    key: str
    shared: Mapping[str, str] = field(default_factory=dict)
    beside: tuple[Sampling, ...] = ()

    def at(self, realization: int) -> Cell:
        """Cell as it is in one realisation: of a fixed one, always the same."""
        del realization
        return self

    def draw(self, realization: int) -> int:
        """Realisation whose random numbers a catalogue has."""
        return realization

    @property
    def is_paired(self) -> bool:
        """Whether a realisation has the random numbers of the same one in other cells."""
        return True

    def size(self, realizations: int) -> int:
        """Count its catalogues, where a scenario wants so many a cell."""
        return max([realizations, *(sampling.size(realizations) for sampling in self.beside)])

    @property
    def is_regular(self) -> bool:
        """Whether it has as many catalogues as the scenario says."""
        return not self.beside

    @property
    def content(self) -> tuple[str, ...]:
        """Keys of all that determines the cell's results."""
        return (self.key, *(method.key for method in self.methods))


@dataclass(frozen=True)
class SampledCell(Cell):
    """Cell whose factors are drawn anew for each point; its tables are those of the scenario as written.

    Parameters
    ----------
    sampling
        Its points.
    varied
        The factors.
    resolved
        Tables of the scenario with all defaults.
    """

    sampling: Sampling = field(kw_only=True)
    varied: tuple[Factor, ...] = field(kw_only=True)
    resolved: Spec = field(kw_only=True)

    def at(self, realization: int) -> Cell:
        """Cell with the levels of one catalogue's point."""
        spec = {
            "mock": self.mock,
            "survey": self.survey,
            "clean": self.clean,
            "estimators": {method.label: method.spec for method in self.methods},
        }
        levels = self.levels(realization)
        tables = changed(spec, self.resolved, levels, self.label)
        methods = tuple(
            replace(method, spec=tables["estimators"][method.label]) for method in self.methods
        )
        told = {label: level.value for label, level in levels.items()}
        parts = (tables["mock"], tables["survey"], tables["clean"], methods)
        return Cell(self.label, told, *parts, self.made, self.key)

    def levels(self, realization: int) -> dict[str, Level]:
        """Levels of all factors in one catalogue, by their labels."""
        u = self.sampling.coordinates(realization)
        return {f.label: f.at(float(x)) for f, x in zip(self.varied, u, strict=True)}

    def draw(self, realization: int) -> int:
        """Realisation whose random numbers a catalogue has: points that belong together share them."""
        return self.sampling.draw(realization)

    @property
    def is_paired(self) -> bool:
        """Whether a realisation has the random numbers of the same one in other cells."""
        return self.sampling.is_paired

    def size(self, realizations: int) -> int:
        """Count its catalogues: whole blocks of points."""
        return self.sampling.size(realizations)

    @property
    def is_regular(self) -> bool:
        """Whether it has as many catalogues as the scenario says."""
        return False
