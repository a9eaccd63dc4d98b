"""A triaxial, tilted dark halo whose mass within any sphere is known."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from haloassay import profiles
from haloassay.constants import G
from haloassay.mocks.gravity.multipole import Multipoles, multipoles_of_density, sphere_average
from haloassay.mocks.gravity.potentials import H0, NFW, OVERDENSITY
from haloassay.mocks.gravity.shapes import require_axis_ratios, rotation_matrix
from haloassay.settings import require

FloatArray = NDArray[np.float64]

#: Flattest density that these harmonics follow (choice).
FLATTEST: Final = 0.3


@dataclass(frozen=True)
class TriaxialNFW:
    """Navarro, Frenk & White halo whose density is constant on similar ellipsoids.

    rho = rho0 / [(s / r_s) (1 + s / r_s)^2] with s^2 = (b c / a^2)^(2/3) (x^2 + (a y / b)^2 + (a z / c)^2)
    in the body's axes: s is the radius of the sphere of equal volume, r_s = r200 / c. ``rho0`` is such that
    the sphere of radius r200 holds ``m200`` exactly.

    Parameters
    ----------
    m200
        Mass [Msun] within the sphere of radius r200.
    c
        Concentration r200 / r_s.
    axis_ratios
        b/a and c/a of the density, each in (0, 1].
    tilt
        Yaw, pitch and roll [deg] of the body, see :func:`haloassay.mocks.gravity.shapes.rotation_matrix`.
    h0
        Hubble's constant [km/s/Mpc] of the critical density.
    overdensity
        Mean density within r200 in units of the critical density.
    """

    m200: float
    c: float
    axis_ratios: tuple[float, float]
    tilt: tuple[float, float, float] = (0.0, 0.0, 0.0)
    h0: float = H0
    overdensity: float = OVERDENSITY

    dark: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name in ("m200", "c", "h0", "overdensity"):
            value = getattr(self, name)
            require(0.0 < value < 1e25, f"{name} must be positive and below 1e25 (got {value:g})")
        require_axis_ratios(*self.axis_ratios)
        flattest = min(self.axis_ratios)
        require(
            flattest >= FLATTEST,
            f"axis_ratios of a halo's density may not be below {FLATTEST:g} (got {flattest:g})",
        )

    @cached_property
    def scales(self) -> tuple[float, float]:
        """Mass scale 4 pi rho0 r_s^3 [Msun] and r_s [kpc]."""
        r200 = float(profiles.virial_radius(self.m200, self.h0, self.overdensity))
        return self.m200 / float(self._shape(self.c)), r200 / self.c

    def _stretch(self, direction: FloatArray) -> FloatArray:
        """(M,) s / r in (M, 3) directions of the body's axes."""
        b, c = self.axis_ratios
        lengths = np.array([1.0, b, c]) / np.cbrt(b * c)
        return np.asarray(np.linalg.norm(direction / lengths, axis=1), dtype=float)

    def _shape(self, x: ArrayLike) -> FloatArray:
        """Mass within the sphere r = x r_s in units of 4 pi rho0 r_s^3.

        Along each direction rho(r q) holds q^-3 times the mass of the round profile within q r.
        """
        x = np.asarray(x, dtype=float)

        def along(direction: FloatArray) -> FloatArray:
            q = self._stretch(direction)
            return profiles.nfw_shape(x[..., None] * q) / q**3

        return sphere_average(along)

    def enclosed_mass(self, r: ArrayLike) -> FloatArray:
        """Mass [Msun] within the sphere of radius ``r`` [kpc]."""
        mass, r_s = self.scales
        return mass * self._shape(np.asarray(r, dtype=float) / r_s)

    def potential(self, r: ArrayLike) -> FloatArray:
        """Potential [(km/s)^2] averaged over the sphere of radius ``r`` [kpc]."""
        mass, r_s = self.scales
        x = np.asarray(r, dtype=float) / r_s

        def along(direction: FloatArray) -> FloatArray:
            q = self._stretch(direction)
            return np.log1p(x[..., None] * q) / (x[..., None] * q**3)

        return np.asarray(-G * mass / r_s * sphere_average(along), dtype=float)

    def density(self, r: ArrayLike) -> FloatArray:
        """Density [Msun/kpc^3] averaged over the sphere of radius ``r`` [kpc]."""
        r = np.asarray(r, dtype=float)
        return sphere_average(lambda direction: self._density(r[..., None], direction))

    def multipoles(self) -> Multipoles:
        """All of its potential but the monopole."""
        return multipoles_of_density(
            lambda r, direction: self._density(r[:, None], direction),
            rotation_matrix(self.tilt),
        )

    def _density(self, r: FloatArray, direction: FloatArray) -> FloatArray:
        mass, r_s = self.scales
        return NFW(rho0=mass / (4.0 * np.pi * r_s**3), r_s=r_s).density(
            r * self._stretch(direction)
        )
