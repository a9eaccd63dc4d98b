"""A triaxial, tilted dark halo whose mass within any sphere is known."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Final

import numpy as np
from numpy.typing import ArrayLike

from haloassay.base.arrays import FloatArray
from haloassay.base.constants import G
from haloassay.base.settings import require
from haloassay.contracts import profiles
from haloassay.mocks.gravity.ellipsoids import (
    Ellipsoids,
    make_ellipsoids,
    mean_density,
    nfw_density,
    require_falling_outward,
    stretch,
)
from haloassay.mocks.gravity.field_parts import FieldParts
from haloassay.mocks.gravity.multipole import Multipoles, multipoles_of_density
from haloassay.mocks.gravity.potentials import (
    H0,
    OVERDENSITY,
    require_concentration,
    require_positive,
)
from haloassay.mocks.gravity.shapes import AxisRatioTable, require_axis_ratios, rotation_matrix

#: Flattest density that these harmonics follow (choice).
FLATTEST: Final = 0.3


@dataclass(frozen=True)
class TriaxialNFW:
    """Navarro, Frenk & White halo that is triaxial, with axis ratios that may change with radius.

    rho = rho0 / [(s / r_s) (1 + s / r_s)^2] with s^2 = (b c / a^2)^(2/3) (x^2 + (a y / b)^2 + (a z / c)^2)
    in the body's axes, r_s = r200 / c, and ``rho0`` such that the sphere of radius r200 holds ``m200`` exactly.
    With two numbers for ``axis_ratios`` the density is constant on similar ellipsoids, and s is the radius of
    the sphere of equal volume. With a table, b/a and c/a in s at any place are those at its distance r from
    the centre: a surface of constant density has the axis ratios of the table where it has that radius, and
    is an ellipsoid where they do not change. The density must fall outward along every ray.

    Parameters
    ----------
    m200
        Mass [Msun] within the sphere of radius r200.
    c
        Concentration r200 / r_s.
    axis_ratios
        b/a and c/a of the density, each in [0.3, 1], or a table ``r`` [kpc], ``b_a``, ``c_a`` of them: linear in
        ln r, constant beyond its ends.
    tilt
        Yaw, pitch and roll [deg] of the body, see :func:`haloassay.mocks.gravity.shapes.rotation_matrix`.
    h0
        Hubble's constant [km/s/Mpc] of the critical density.
    overdensity
        Mean density within r200 in units of the critical density.
    """

    m200: float
    c: float
    axis_ratios: tuple[float, float] | AxisRatioTable
    tilt: tuple[float, float, float] = (0.0, 0.0, 0.0)
    h0: float = H0
    overdensity: float = OVERDENSITY

    dark: ClassVar[bool] = True
    label: ClassVar[str] = "a triaxial NFW halo"

    def __post_init__(self) -> None:
        for name in ("m200", "c", "h0", "overdensity"):
            require_positive(name, getattr(self, name))
        require_concentration(self.c)
        table = self.axis_ratios
        ratios: tuple[float, ...] = (
            (*table.b_a, *table.c_a) if isinstance(table, AxisRatioTable) else table
        )
        require_axis_ratios(*ratios)
        require(
            min(ratios) >= FLATTEST,
            f"axis_ratios of a halo's density may not be below {FLATTEST:g} (got {min(ratios):g})",
        )
        if isinstance(table, AxisRatioTable):
            require_falling_outward(table)

    @cached_property
    def scales(self) -> tuple[float, float]:
        """Mass scale 4 pi rho0 r_s^3 [Msun] and r_s [kpc]."""
        return self.m200 / float(self._ellipsoids.mass(self.c)), self._r_s

    def enclosed_mass(self, r: ArrayLike) -> FloatArray:
        """Mass [Msun] within the sphere of radius ``r`` [kpc]."""
        mass, r_s = self.scales
        return mass * self._ellipsoids.mass(np.asarray(r, dtype=float) / r_s)

    def potential(self, r: ArrayLike) -> FloatArray:
        """Potential [(km/s)^2] averaged over the sphere of radius ``r`` [kpc]."""
        mass, r_s = self.scales
        return G * mass / r_s * self._ellipsoids.potential(np.asarray(r, dtype=float) / r_s)

    def density(self, r: ArrayLike) -> FloatArray:
        """Density [Msun/kpc^3] averaged over the sphere of radius ``r`` [kpc]."""
        mass, r_s = self.scales
        average = mean_density(self._ellipsoids, np.asarray(r, dtype=float) / r_s)
        return mass / (4.0 * np.pi * r_s**3) * average

    def density_at(self, position: FloatArray) -> FloatArray:
        """(N,) density [Msun/kpc^3] at (N, 3) positions [kpc] along the body's axes, not at the centre."""
        mass, r_s = self.scales
        x = position / r_s
        lengths = self._ellipsoids.lengths(np.linalg.norm(x, axis=1))
        s = np.linalg.norm(x / lengths, axis=1)
        return mass / (4.0 * np.pi * r_s**3) * nfw_density(s)

    def field_parts(self) -> FieldParts:
        """Monopole of a sphere, and all else in multipoles."""
        return FieldParts(spherical=(self.enclosed_mass,), multipoles=(self.multipoles(),))

    def multipoles(self) -> Multipoles:
        """All of its potential but the monopole."""

        def density(r: FloatArray, direction: FloatArray) -> FloatArray:
            mass, r_s = self.scales
            s = r[:, None] / r_s * stretch(self._ellipsoids, r / r_s, direction)
            return mass / (4.0 * np.pi * r_s**3) * nfw_density(s)

        return multipoles_of_density(density, rotation_matrix(self.tilt))

    @cached_property
    def _r_s(self) -> float:
        """Scale radius [kpc]."""
        return float(profiles.virial_radius(self.m200, self.h0, self.overdensity)) / self.c

    @cached_property
    def _ellipsoids(self) -> Ellipsoids:
        return make_ellipsoids(self.axis_ratios, self._r_s)
