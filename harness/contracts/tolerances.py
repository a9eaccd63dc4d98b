"""How large an error may be before it matters: defaults by quantity, and what a scenario says of them.

Only readers of results ask: no key of a cell or an estimator, no random number and no stored row depends on a
tolerance.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from haloassay.base.errors import InputError
from haloassay.base.settings import unknown
from haloassay.contracts.quantities import FRACTION, Quantity

#: Keys of a scenario's table that are no quantities: of all biases without a unit, and of coverages.
OVERALL: Final = "overall"
COVERAGE: Final = "coverage"
_SPECIAL: Final = (OVERALL, COVERAGE)


@dataclass(frozen=True)
class Tolerances:
    """Sizes above which a bias or a coverage that is wrong matters.

    Parameters
    ----------
    stated
        What a scenario says, by quantity; ``overall`` is of all biases without a unit (fractions of the truth, and
        those of beta and the like), ``coverage`` of coverages, as a probability. A quantity of one population has that
        of its quantity, where it is not named itself.

    Raises
    ------
    InputError
        If a size is negative or not finite.
    """

    stated: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, size in self.stated.items():
            if not (math.isfinite(size) and size >= 0.0):
                raise InputError(f"tolerance.{name}: is finite and 0 or more (got {size})")

    @property
    def coverage(self) -> float:
        """Difference between the share of intervals that hold the truth and the share that they state."""
        return float(self.stated.get(COVERAGE, FRACTION))

    def bias(self, quantity: Quantity) -> float:
        """Bias in the unit of the errors: a fraction of the truth for positive scales."""
        for name in (quantity.name, quantity.name.partition(".")[0]):
            if name in self.stated:
                return float(self.stated[name])
        if OVERALL in self.stated and (quantity.scale == "fractional" or not quantity.unit):
            return float(self.stated[OVERALL])
        return quantity.tolerance

    def require_known(self, known: Iterable[str], where: str) -> None:
        """Raise :class:`InputError` for a name that is no quantity."""
        names = {*known, *_SPECIAL}
        for name in self.stated:
            if name not in names:
                raise unknown("quantity", name, names, f"{where}: tolerance")


def tolerances_of(scenario: Mapping[str, Any]) -> Tolerances:
    """Tolerances of a scenario as ``run.json`` has it; the defaults of one that was written before there were any."""
    return Tolerances(scenario.get("tolerance") or {})
