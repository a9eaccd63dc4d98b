"""Steps of cleaning: what is taken out of a catalogue before an estimator sees it, and how many stars."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final

import numpy as np

from haloassay.base import kinds
from haloassay.base.arrays import BoolArray, IntArray
from haloassay.base.errors import EstimationError, InputError
from haloassay.base.settings import build
from haloassay.contracts.catalogue import Catalogue

#: What does not differ between populations of one place: the sky, distances, and errors that follow from magnitudes.
EVEN: Final = frozenset(
    ("ra", "dec", "distance", "distance_err", "pmra_err", "pmdec_err", "vlos_err", "pm_corr")
)


#: What marks a step that finds structures or populations, in place of a region of space.
_MOVING: Final = frozenset(
    ("velocity", "vlos", "pmra", "pmdec", "vx", "vy", "vz", "feh", "alpha_fe")
)


class Clean(ABC):
    """A step of cleaning: a frozen dataclass whose fields are its settings."""

    #: Name under which scenarios call the step.
    kind: ClassVar[str]
    #: Raised when equal settings leave other stars.
    version: ClassVar[int] = 1
    #: What it reads beside positions: ``"velocity"``, all three components, and names of columns.
    needs: ClassVar[tuple[str, ...]] = ("velocity",)

    @classmethod
    def of_table(cls, settings: Mapping[str, Any], where: str) -> Clean:
        """Step of a table of plain settings."""
        return build(cls, settings, where)

    def required(self) -> tuple[str, ...]:
        """Name what it reads beside positions, with these settings."""
        return self.needs

    @property
    def blind(self) -> bool:
        """Whether it reads nothing that differs between populations of one place, as chemistry and velocity do."""
        return EVEN.issuperset(self.required())

    @abstractmethod
    def kept(self, catalogue: Catalogue) -> BoolArray:
        """Which stars (N,) stay."""

    @property
    @abstractmethod
    def reason(self) -> str:
        """Why the others go, for the counts."""

    def stay(self, catalogue: Catalogue) -> BoolArray:
        """Which stars (N,) stay, at least one.

        Raises
        ------
        InputError
            If a column that it reads is missing, or a position or velocity is not finite.
        EstimationError
            If no star is left.
        """
        for name in catalogue.lacks(self.required()):
            catalogue[name]  # raises: it is missing
        if "velocity" in self.required():
            catalogue.check_finite()
        good = np.asarray(np.isfinite(catalogue.position).all(axis=1))
        catalogue.check_rows(good, "a position that is not finite")
        kept = self.kept(catalogue)
        if not kept.any():
            raise EstimationError(
                f"{catalogue.origin}: no star is left by the step {self.kind!r} "
                f"({len(kept)} removed: {self.reason})"
            )
        return kept

    def apply(self, catalogue: Catalogue) -> tuple[Catalogue, dict[str, int]]:
        """Stars that stay, in their order, and how many go for which reason; see :meth:`stay`."""
        kept = self.stay(catalogue)
        removed = int(len(kept) - kept.sum())
        counts = {f"{self.kind}: {self.reason}": removed}
        return (catalogue.select(kept) if removed else catalogue), counts


@dataclass(frozen=True)
class Cleaning:
    """Steps of cleaning, one after the other.

    Parameters
    ----------
    steps
        Each sees what the one before it left.
    """

    steps: tuple[Clean, ...] = ()

    @property
    def by_place(self) -> tuple[str, ...]:
        """Kinds of the steps that take stars out by where they are alone, and so change a survey's selection."""
        return tuple(step.kind for step in self.steps if not _MOVING.intersection(step.required()))

    @property
    def blind(self) -> bool:
        """Whether no step reads what differs between populations of one place."""
        return all(step.blind for step in self.steps)

    def rows(self, catalogue: Catalogue) -> IntArray:
        """Row numbers of the stars that stay.

        Raises
        ------
        EstimationError
            If no star is left.
        """
        rows = np.arange(len(catalogue))
        for step in self.steps:
            kept = step.stay(catalogue)
            rows, catalogue = rows[kept], catalogue.select(kept)
        return rows

    def apply(self, catalogue: Catalogue) -> Catalogue:
        """Stars that stay; ``dropped`` also counts what each step removed, where it removed any.

        Raises
        ------
        EstimationError
            If no star is left.
        """
        dropped = dict(catalogue.dropped)
        for step in self.steps:
            catalogue, counts = step.apply(catalogue)
            for reason, count in counts.items():
                if count:
                    dropped[reason] = dropped.get(reason, 0) + count
        return replace(catalogue, dropped=dropped)


def make_step(spec: Any, where: str) -> Clean:
    """Make a step of a table with a ``kind`` of the family ``cleans`` and its settings."""
    cls: type[Clean] = kinds.find("cleans", kinds.kind_of("cleans", spec, where), where)
    return cls.of_table({key: value for key, value in spec.items() if key != "kind"}, where)


def make_clean(spec: Any, where: str = "clean") -> Cleaning:
    """Make the cleaning of a list of tables, each with a ``kind`` of the family ``cleans`` and its settings.

    Raises
    ------
    InputError
        If the list, a kind or a setting is unusable; ``where`` names the place.
    """
    if isinstance(spec, str | Mapping) or not isinstance(spec, Sequence):
        raise InputError(f"{where}: expected a list of tables with a key 'kind' (got {spec!r})")
    return Cleaning(tuple(make_step(step, f"{where}.{k}") for k, step in enumerate(spec)))
