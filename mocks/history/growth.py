"""A host that grows: its mass, concentration and field as functions of time.

The history is that of Wechsler et al. (2002, 2002ApJ...568...52W): M(z) = M0 exp(-2 a_f z), with the scale factor of
formation a_f = 4.1 / c; the concentration is 4.1 a / a_f since then, and 4.1 before (a choice: halos that grow fast
have one concentration, Zhao et al. 2003). Their virial overdensity differs from 200; what is stated of the halo today
is meant all the same. Baryons are there from the beginning.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from haloassay.base.arrays import FloatArray
from haloassay.base.constants import GYR_PER_KPC_KMS
from haloassay.base.settings import require
from haloassay.mocks.gravity.expansions import Expansion, HarmonicTable, MovingExpansion
from haloassay.mocks.gravity.growing import GrowingSphere
from haloassay.mocks.gravity.potentials import NFW, Component, CompositePotential

#: Concentration of a halo when it forms (Wechsler et al. 2002).
AT_FORMATION: Final = 4.1
#: Time [Gyr] before which nothing is followed, and step of the snapshots of the field.
EARLIEST: Final = -12.5
_STEP: Final = 0.05
#: Radii [kpc] of the field as an expansion.
_RADII: Final[FloatArray] = np.geomspace(0.02, 3000.0, 80)


@dataclass(frozen=True)
class GrowingHost:
    """An NFW halo that grew to what it is today, and what has been there all the time; now is the time 0.

    Parameters
    ----------
    halo
        Today, by ``m200`` and ``c``.
    others
        Static components, which enter by their spherical averages.
    omega_m
        Matter density in units of the critical one today, in a flat Universe with a cosmological constant.
    """

    halo: NFW
    others: tuple[Component, ...] = ()
    omega_m: float = 0.3

    @classmethod
    def of(cls, potential: CompositePotential, omega_m: float) -> GrowingHost:
        """Host whose potential today is given.

        Raises
        ------
        InputError
            If its dark mass is not one NFW halo by ``m200`` and ``c``.
        """
        dark = [c for c in potential.components if c.dark]
        require(
            len(dark) == 1 and type(dark[0]) is NFW and dark[0].m200 is not None,
            "a halo that grows needs one dark component, of kind 'nfw' by m200 and c",
        )
        halo = dark[0]
        assert isinstance(halo, NFW)
        return cls(halo, tuple(c for c in potential.components if c is not halo), omega_m)

    @property
    def formation(self) -> float:
        """Scale factor of formation."""
        assert self.halo.c is not None
        return AT_FORMATION / self.halo.c

    @property
    def _rate(self) -> float:
        """Hubble's constant [1/Gyr]."""
        return self.halo.h0 / 1000.0 / GYR_PER_KPC_KMS

    @property
    def age(self) -> float:
        """Age of the Universe [Gyr]."""
        dark_energy = 1.0 - self.omega_m
        return float(
            2.0
            / (3.0 * self._rate * np.sqrt(dark_energy))
            * np.arcsinh(np.sqrt(dark_energy / self.omega_m))
        )

    def scale_factor(self, time: ArrayLike) -> FloatArray:
        """Scale factor at times [Gyr], negative before now."""
        dark_energy = 1.0 - self.omega_m
        phase = 1.5 * self._rate * np.sqrt(dark_energy) * (self.age + np.asarray(time, dtype=float))
        return np.asarray(np.cbrt(self.omega_m / dark_energy * np.sinh(phase) ** 2))

    def redshift(self, time: ArrayLike) -> FloatArray:
        """Redshift at times [Gyr]."""
        return 1.0 / self.scale_factor(time) - 1.0

    def mass(self, time: ArrayLike) -> FloatArray:
        """Virial mass [Msun] at times [Gyr]."""
        return np.asarray(self.halo.m200 * np.exp(-2.0 * self.formation * self.redshift(time)))

    def concentration(self, time: ArrayLike) -> FloatArray:
        """Concentration at times [Gyr]."""
        return AT_FORMATION * np.maximum(self.scale_factor(time) / self.formation, 1.0)

    def hubble(self, time: ArrayLike) -> FloatArray:
        """Hubble's constant [km/s/Mpc] at times [Gyr]."""
        a = self.scale_factor(time)
        return np.asarray(self.halo.h0 * np.sqrt(self.omega_m / a**3 + 1.0 - self.omega_m))

    def halo_at(self, time: float) -> NFW:
        """Return the dark halo at a time [Gyr]."""
        return NFW(
            m200=float(self.mass(time)),
            c=float(self.concentration(time)),
            h0=float(self.hubble(time)),
            overdensity=self.halo.overdensity,
        )

    def potential_at(self, time: float) -> CompositePotential:
        """All that there is at a time [Gyr]."""
        return CompositePotential((self.halo_at(time), *self.others))

    @cached_property
    def times(self) -> FloatArray:
        """Times [Gyr] of the snapshots of the field."""
        return np.linspace(EARLIEST, 0.0, round(-EARLIEST / _STEP) + 1)

    @cached_property
    def sphere(self) -> GrowingSphere:
        """The field, known from :data:`EARLIEST` to now."""
        scales = np.array([self.halo_at(t).scales for t in self.times])
        return GrowingSphere(self.times, scales[:, 0], scales[:, 1], self.static_mass)

    def expansion(self, start: float) -> MovingExpansion:
        """Return the field since a time [Gyr] as an expansion of l = 0, beside which other bodies can move."""
        return _expansion(self, start)

    def static_mass(self, r: FloatArray) -> FloatArray:
        """Mass [Msun] of what rests within ``r`` [kpc]."""
        return np.asarray(sum((c.enclosed_mass(r) for c in self.others), np.zeros(np.shape(r))))


@functools.lru_cache(maxsize=4)
def _expansion(host: GrowingHost, start: float) -> MovingExpansion:
    """See :meth:`GrowingHost.expansion`; halos of many histories, or beside many an LMC, have one host."""
    n = max(4, round(-start / _STEP) + 1)
    times = np.linspace(start, 0.0, n)
    potentials = (host.potential_at(float(t)).potential(_RADII) for t in times)
    made = [HarmonicTable(_RADII, np.asarray(each, dtype=float)[:, None]) for each in potentials]
    rest = np.zeros((n, 3))
    return MovingExpansion(Expansion.of(times, made), times, rest, rest)
