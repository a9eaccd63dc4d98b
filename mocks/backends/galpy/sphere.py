"""A component of a mock's potential as a potential of galpy's.

Apart from :mod:`~haloassay.mocks.backends.galpy.conversion` because a subclass needs galpy, which takes long to
import. The underscored methods are those that galpy's documentation asks of a new spherical potential.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from galpy.potential.SphericalPotential import SphericalPotential
from numpy.typing import ArrayLike

from haloassay.base.arrays import FloatArray
from haloassay.mocks.backends.galpy.members import Units
from haloassay.mocks.gravity.potentials import Component, DensityKnown

#: Step in ln r of the derivative of the mass, where a component does not know its density.
_STEP: Final = 1e-4


class ComponentPotential(SphericalPotential):  # type: ignore[misc]
    """Spherical galpy potential of a component: its forces exactly, in Python.

    Parameters
    ----------
    component
        Whose enclosed mass and potential are used.
    ro, vo
        Scales [kpc] and [km/s] of galpy's internal units.
    """

    def __init__(self, component: Component, ro: float, vo: float) -> None:
        super().__init__(amp=1.0, ro=ro, vo=vo)
        self.component = component
        self.units = Units(ro, vo)
        self.hasC = False
        self.hasC_dxdv = False
        self.hasC_dens = False

    def _revaluate(self, r: ArrayLike, t: float = 0.0) -> FloatArray:
        return self.component.potential(np.asarray(r) * self.units.ro) / self.units.vo**2

    def _rforce(self, r: ArrayLike, t: float = 0.0) -> FloatArray:
        return -self._mass_of(r) / np.asarray(r, dtype=float) ** 2

    def _r2deriv(self, r: ArrayLike, t: float = 0.0) -> FloatArray:
        r = np.asarray(r, dtype=float)
        return np.asarray(4.0 * np.pi * self._rdens(r) - 2.0 * self._mass_of(r) / r**3)

    def _rdens(self, r: ArrayLike, t: float = 0.0) -> FloatArray:
        r = np.asarray(r, dtype=float)
        if isinstance(self.component, DensityKnown):
            ro, mass = self.units.ro, self.units.mass
            return self.component.density(r * ro) * ro**3 / mass
        inner, outer = np.exp(-_STEP) * r, np.exp(_STEP) * r
        power = (self._mass_of(outer) - self._mass_of(inner)) / (2.0 * _STEP)
        return np.asarray(power / (4.0 * np.pi * r**3))

    def _mass_of(self, r: ArrayLike) -> FloatArray:
        return self.component.enclosed_mass(np.asarray(r) * self.units.ro) / self.units.mass
