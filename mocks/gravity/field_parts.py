"""What bodies add to a gravitational field, before it is compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

from haloassay.base.arrays import FloatArray
from haloassay.mocks.gravity.expansions import Expansion
from haloassay.mocks.gravity.multipole import Multipoles


class FieldParts(NamedTuple):
    """What one component adds to a field.

    Parameters
    ----------
    spherical
        Functions of radius [kpc]: mass [Msun] within it.
    discs
        G M [kpc (km/s)^2], a and b [kpc] of Miyamoto-Nagai discs.
    multipoles
        Of triaxial bodies, without their monopoles.
    table
        Of what else is axisymmetric, see :mod:`haloassay.mocks.gravity.axisymmetric`; None without any.
    expansions
        In harmonics of any l and m, about the common centre.
    """

    spherical: tuple[Callable[[FloatArray], FloatArray], ...] = ()
    discs: tuple[tuple[float, float, float], ...] = ()
    multipoles: tuple[Multipoles, ...] = ()
    table: FloatArray | None = None
    expansions: tuple[Expansion, ...] = ()


@runtime_checkable
class Flattened(Protocol):
    """A component that has a field of its own in three dimensions; all others are spheres."""

    @property
    def label(self) -> str:
        """What to call it in an error."""

    def field_parts(self) -> FieldParts:
        """Take it apart."""
