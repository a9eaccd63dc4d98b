"""What is asked of each catalogue of a blind challenge: a quantity, and where it has one a radius."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from haloassay.contracts.quantities import QUANTITIES, Quantity

#: Of which stars it is, and where, by how its truth comes: what the harness sets beside an estimate at a radius.
_OF_SHELLS: Final = (
    "of the halo's stars at the radius r, over the whole sky; where they are of several populations, each counts by its"
    " share among the stars that survey and cleaning let pass"
)
_OF_SKY: Final = "of the halo's stars at the radius r, over the whole sky"
_OF_CATALOGUE: Final = (
    "of the halo's stars over the whole sky, averaged over the radii of the stars of the catalogue"
)
#: What is said of another distribution's quantity that says nothing of itself.
_NO_WORDS: Final = "a quantity of another package, which defines it"


@dataclass(frozen=True)
class Question:
    """A number that is asked of each catalogue.

    Parameters
    ----------
    quantity
        What is asked.
    r
        Radius [kpc]; NaN of a quantity that is asked without one.
    bin
        Number of the radius within its quantity: under it rows are scored together.
    """

    quantity: Quantity
    r: float = math.nan
    bin: int = 0

    def __str__(self) -> str:
        return f"{self.quantity.name} at {self.r:g} kpc" if self.r == self.r else self.quantity.name

    def is_at(self, r: float) -> bool:
        """Tell whether a radius [kpc] as somebody wrote it is that of the question; NaN stands for none."""
        if self.r != self.r or r != r:
            return self.r != self.r and r != r
        return math.isclose(self.r, r, rel_tol=1e-6)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, with the definition in words."""
        return {
            **self.quantity.to_dict(),
            "r": self.r if self.r == self.r else None,
            "definition": self.definition,
        }

    @property
    def definition(self) -> str:
        """What is asked, in words: the quantity, and of which stars its truth is."""
        what, of = self.quantity.definition or _NO_WORDS, ""
        if self.quantity.truth == "bin":
            of = (
                _OF_SKY if "." in self.quantity.name else _OF_SHELLS
            )  # a population has its own name
        elif self.quantity.truth == "sky":
            of = _OF_SKY if self.r == self.r else _OF_CATALOGUE
        return f"{what}; {of}" if of else what


def numbered(asked: Iterable[tuple[Quantity, float]]) -> tuple[Question, ...]:
    """Questions in their order, radii of each quantity numbered as they come."""
    seen: dict[str, int] = {}
    found = []
    for quantity, r in asked:
        number = seen[quantity.name] = seen.get(quantity.name, -1) + 1
        found.append(Question(quantity, r, number))
    return tuple(found)


def questions_of(told: Iterable[Mapping[str, Any]]) -> tuple[Question, ...]:
    """Questions of plain values: see :meth:`Question.to_dict`."""
    return numbered(
        (
            QUANTITIES.get(q["name"]) or Quantity(q["name"], q["unit"], q["scale"], q["label"]),
            math.nan if q["r"] is None else float(q["r"]),
        )
        for q in told
    )
