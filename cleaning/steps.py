"""Steps of cleaning: what is taken out of a catalogue before an estimator sees it, and how many stars."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from haloassay.base import kinds
from haloassay.base.arrays import BoolArray, IntArray
from haloassay.base.errors import EstimationError, InputError
from haloassay.contracts.catalogue import Catalogue


class Clean(ABC):
    """A step of cleaning: a frozen dataclass whose fields are its settings."""

    #: Name under which scenarios call the step.
    kind: ClassVar[str]
    #: Raised when equal settings leave other stars.
    version: ClassVar[int] = 1

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
            If a position or velocity is not finite.
        EstimationError
            If no star is left.
        """
        catalogue.check_finite()
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
    step: Clean = kinds.make("cleans", spec, where)
    return step


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
