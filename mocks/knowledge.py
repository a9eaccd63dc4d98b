"""What a truth asks of the halo: its mass, its mean velocities, and moments that vary over the sky."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from haloassay.base.arrays import FloatArray

if TYPE_CHECKING:
    from haloassay.mocks.gravity.potentials import Virial
    from haloassay.mocks.stars import Stars


class Mass(Protocol):
    """Gravitating mass: a potential, or the particles of a simulation."""

    def enclosed_mass(self, r: ArrayLike) -> FloatArray:
        """Mass [Msun] within ``r`` [kpc]."""

    def circular_velocity(self, r: ArrayLike) -> FloatArray:
        """Speed [km/s] of circular orbits at ``r`` [kpc]."""

    def virial(self) -> Virial:
        """Virial mass, radius and concentration of the dark halo."""

    def to_plain(self) -> Any:
        """Plain values that say what it is."""


class VelocityField(Protocol):
    """A mean velocity field that varies over the sky."""

    def value(self, quantity: str, r: FloatArray) -> float:
        """Value of a quantity of :data:`haloassay.mocks.truth.FIELD`, averaged over stars at the radii ``r`` [kpc]."""


class LocalMoments(Protocol):
    """Moments that vary over the sky."""

    def raw(self, position: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(N, 3) mean and mean square of (v_r, v_theta, v_phi) at positions (N, 3) [kpc]."""

    def variation(self, position: FloatArray) -> tuple[FloatArray, FloatArray]:
        """How moments at positions differ from those of the shell: a :data:`haloassay.mocks.selected.Variation`."""

    def alone(self, stars: Stars) -> LocalMoments:
        """Moments of other stars, in the same cells."""

    def with_more(self, stars: Stars, weight: float) -> LocalMoments:
        """Moments of these and of other stars together, each of which counts ``weight`` times."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""


class Undetermined:
    """A velocity field that is not known."""

    def value(self, quantity: str, r: FloatArray) -> float:
        """NaN."""
        return np.nan
