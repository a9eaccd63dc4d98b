"""What is asked of each catalogue of a blind challenge: a quantity, and where it has one a radius."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from haloassay.contracts.quantities import QUANTITIES, Quantity

#: What quantities are, for those who have never seen the harness.
_DEFINITIONS: Final = {
    "enclosed_mass": "mass of the Galaxy, dark matter, stars and gas, within the Galactocentric radius r; that of"
    " satellites such as the LMC does not count",
    "v_c": "circular velocity, sqrt(G M(<r) / r)",
    "m200": "virial mass of the dark halo: within the radius r200 of 200 times the critical density",
    "r200": "virial radius of the dark halo: the mean density within it is 200 times the critical one",
    "c200": "concentration of the dark halo, r200 over the radius at which its density falls as r^-2",
    "beta": "1 - (sigma_theta^2 + sigma_phi^2) / (2 sigma_r^2) of the halo's stars at the radius r",
    "alpha": "slope d ln rho / d ln r of the density of the halo's stars at the radius r, averaged over the sky",
}
#: What is true of any other, by where its truth comes from.
_OF_STARS: Final = "of the halo's stars, at the radius r"


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
            "definition": _DEFINITIONS.get(
                self.quantity.name, _OF_STARS if self.r == self.r else ""
            ),
        }


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
