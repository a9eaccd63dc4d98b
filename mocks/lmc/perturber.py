"""What comes to the Milky Way and changes its field, as far as stars, debris and the truth feel it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from numpy.typing import ArrayLike

from haloassay.base.arrays import FloatArray
from haloassay.mocks.gravity.history import History
from haloassay.mocks.gravity.potentials import CompositePotential


class Perturber(Protocol):
    """The LMC, rigid or not: where it was, and what field there is now."""

    @property
    def duration(self) -> float:
        """Time [Gyr] since which it is followed."""

    @property
    def moves(self) -> bool:
        """Whether it does anything."""

    def history(self, milky_way: CompositePotential) -> History:
        """Field of the Milky Way and of what comes, until now.

        Raises
        ------
        InputError
            If it cannot have come to the Milky Way in that time.
        """

    def milky_way_now(self, before: CompositePotential) -> CompositePotential:
        """Mass of the Milky Way as it is now, of one that was ``before`` as stars started."""

    @property
    def own_mass(self) -> dict[str, Callable[[ArrayLike], FloatArray]]:
        """Masses [Msun] of others within a radius [kpc] of the Milky Way's centre now, by name."""
