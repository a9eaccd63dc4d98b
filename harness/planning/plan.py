"""The plan of a run: the cells of a scenario, and what its estimators yield."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from haloassay.base.errors import InputError
from haloassay.base.settings import unknown
from haloassay.contracts.factors import StatedFactor
from haloassay.contracts.quantities import QUANTITIES, Quantity, known_quantities
from haloassay.planning.cells import Cell
from haloassay.planning.expansion import expand
from haloassay.planning.scenario import Scenario
from haloassay.planning.shard import Shard

if TYPE_CHECKING:
    from haloassay.contracts.estimate import Estimator


@dataclass(frozen=True)
class Plan:
    """All that is to be run.

    Parameters
    ----------
    scenario, cells, factors
        A scenario, its cells, and what varies between them.
    quantities
        Those that its estimators yield and haloassay itself does not know.
    facts
        What is worth knowing of the mocks, by cell.
    shard
        Part of the tasks that is to be done; all of them by default.
    part_of
        Scenario with all levels of its factors, where this one has a part of them.
    """

    scenario: Scenario
    cells: tuple[Cell, ...]
    factors: tuple[StatedFactor, ...] = ()
    quantities: tuple[Quantity, ...] = ()
    facts: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    shard: Shard | None = None
    part_of: Scenario | None = None

    def __len__(self) -> int:
        """Count the tasks: one a catalogue."""
        n = sum(cell.size(self.scenario.realizations) for cell in self.cells)
        return n if self.shard is None else len(range(self.shard.number - 1, n, self.shard.of))

    def tasks(self) -> Iterator[tuple[Cell, int]]:
        """List cells and realisations, realisation by realisation: cells stay paired in a run cut short."""
        sizes = [cell.size(self.scenario.realizations) for cell in self.cells]
        every = (
            (cell, realization)
            for realization in range(max(sizes))
            for cell, size in zip(self.cells, sizes, strict=True)
            if realization < size
        )
        if self.shard is None:
            return every
        return itertools.islice(every, self.shard.number - 1, None, self.shard.of)

    def beside(self, others: Mapping[str, Mapping[str, Any]]) -> Plan:
        """Plan with further cells of the scenario that this one is a part of.

        Parameters
        ----------
        others
            What is known of the mocks of cells, by label. Those that the whole scenario does not have are left out.
        """
        planned = {cell.label for cell in self.cells}
        if self.part_of is None or others.keys() <= planned:
            return self
        whole = make_plan(self.part_of)
        cells = tuple(c for c in whole.cells if c.label in planned or c.label in others)
        return dataclasses.replace(
            whole, cells=cells, facts={**others, **self.facts}, shard=self.shard
        )

    @property
    def dealt(self) -> Plan:
        """Plan of those cells only that have tasks."""
        if self.shard is None:
            return self
        labels = {cell.label for cell, _ in self.tasks()}
        return dataclasses.replace(self, cells=tuple(c for c in self.cells if c.label in labels))


def make_plan(scenario: Scenario) -> Plan:
    """Expand and check a scenario.

    Raises
    ------
    InputError
        As in :func:`expand`, or if an estimator yields nothing, or a quantity that nobody has described, or a
        tolerance is of no quantity.
    """
    cells, factors = expand(scenario)
    own = _own_quantities(scenario)
    known = {*QUANTITIES, *(quantity.name for quantity in own)}
    scenario.tolerances.require_known(known, scenario.origin)
    return Plan(scenario, cells, factors, own)


def _require_names(cls: type[Estimator], kind: str, where: str) -> None:
    """Refuse an estimator whose quantities are no list of names, or none at all."""
    if not cls.yields:
        raise InputError(f"{where}: {kind!r} names no quantity in its attribute 'yields'")
    for attribute in ("yields", "needs", "uses"):
        names = getattr(cls, attribute)
        if not isinstance(names, tuple | list) or not all(isinstance(n, str) for n in names):
            raise InputError(
                f"{where}: {kind!r}: {attribute} is {names!r}, expected names: (..., )"
            )
    if not isinstance(cls.quantities, tuple | list) or not all(
        isinstance(q, Quantity) for q in cls.quantities
    ):
        raise InputError(f"{where}: {kind!r}: quantities are no haloassay.Quantity, in a tuple")


def _own_quantities(scenario: Scenario) -> tuple[Quantity, ...]:
    """Quantities of the estimators that are not of this package."""
    from haloassay.estimators import estimator_class

    own: dict[str, Quantity] = {}
    for entry in scenario.estimators:
        where = f"{scenario.origin}: estimators.{entry.label}"
        cls = estimator_class(entry.kind, where)
        _require_names(cls, entry.kind, where)
        if not cls.quantities and set(cls.yields) <= set(QUANTITIES):
            continue
        try:
            known = known_quantities((*own.values(), *cls.quantities))
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
        for name in cls.yields:
            if name not in known:
                raise unknown("quantity", name, known, f"{where}: yields")
        mine = {*cls.yields, *(quantity.name for quantity in cls.quantities)} - set(QUANTITIES)
        own |= {name: known[name] for name in known if name in mine}
    return tuple(own.values())
