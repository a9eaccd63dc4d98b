"""What debris finds itself in: the field of the mock, now and in the past, and the radii of its stars."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from haloassay.base.cache import plain_content
from haloassay.mocks.gravity.history import History
from haloassay.mocks.gravity.potentials import CompositePotential
from haloassay.mocks.lmc.perturber import Perturber


@dataclass(frozen=True, eq=False)
class Surroundings:
    """The mock that debris is mixed into, as far as debris feels it.

    Parameters
    ----------
    potential
        Of the mock.
    r_range
        Radii [kpc] between which the mock has stars.
    monopole
        Whether the mock's own stars move in the spherical average of the potential, or in the true field.
    lmc
        The LMC that pulls them, where there is one.
    """

    potential: CompositePotential
    r_range: tuple[float, float]
    monopole: bool = True
    lmc: Perturber | None = None

    @cached_property
    def history(self) -> History:
        """The field until now.

        Raises
        ------
        InputError
            If the LMC's orbit is none that one can start from.
        """
        if self.lmc is None:
            return History(self.potential, (), self.monopole)
        return replace(self.lmc.history(self.potential), monopole=self.monopole)

    @property
    def content(self) -> Any:
        """Plain values that say everything about the field.

        Raises
        ------
        TypeError
            If the potential has a Python function in it, which nothing says everything about.
        """
        return [plain_content(self.potential), self.monopole, plain_content(self.lmc)]
