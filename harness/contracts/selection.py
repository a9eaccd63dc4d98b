"""What an observer knows of how stars come into his catalogue: by sky, reach, and cuts on what he observed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from haloassay.base.arrays import BoolArray, FloatArray
    from haloassay.contracts.catalogue import Catalogue

#: Which luminosities carry limits of magnitude to distances: those that the observer's own distances give, which a
#: wrong scale of distances shifts with them, or the true ones.
Luminosities = Literal["of-distances", "true"]


class Selection(Protocol):
    """The selection function of a survey, as the observer states it.

    A star at a true place is in the catalogue with the probability :meth:`reach`, if its observed place is one that
    :meth:`inside` keeps. Directions are unit vectors from the Sun along Galactocentric axes, distances are in kpc.
    """

    def __hash__(self) -> int:
        """Return what grids that were made for a selection are kept by."""

    @property
    def r_range(self) -> tuple[float, float]:
        """Limits of the observed Galactocentric radius [kpc]; 0 and inf where there are none."""

    def reach(
        self, direction: FloatArray, distance: FloatArray, luminosities: Luminosities
    ) -> FloatArray:
        """(N,) probabilities that stars in ``direction`` (N, 3) at true ``distance`` (N,) are observed."""

    def inside(self, direction: FloatArray, distance: FloatArray) -> BoolArray:
        """(N,) whether cuts on observed distance and height keep stars observed there."""

    def comparable(self, catalogue: Catalogue) -> BoolArray:
        """(N,) which stars of a catalogue were selected in the same way at every height."""
