"""The Sagittarius stream: its coordinates, and cuts of its sky and of its angular momentum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np

from haloassay.base.arrays import BoolArray, FloatArray
from haloassay.base.settings import require
from haloassay.cleaning.integrals import galactic_directions
from haloassay.cleaning.steps import Clean
from haloassay.contracts.sky import lon_lat

if TYPE_CHECKING:
    from haloassay.contracts.catalogue import Catalogue

#: Euler angles [deg] about z, x, z from Galactic axes to those of the Sagittarius stream, whose z is
#: then reversed (Law & Majewski 2010).
SAGITTARIUS_ANGLES: Final = (183.75, 76.54, 194.111534)


def _sagittarius_rotation() -> FloatArray:
    """(3, 3) rotation from Galactic axes to the left-handed axes of Law & Majewski (2010)."""
    phi, theta, psi = np.radians(SAGITTARIUS_ANGLES)
    cf, sf, ct, st = np.cos(phi), np.sin(phi), np.cos(theta), np.sin(theta)
    cp, sp = np.cos(psi), np.sin(psi)
    return np.array(
        [
            [cp * cf - ct * sf * sp, cp * sf + ct * cf * sp, sp * st],
            [-sp * cf - ct * sf * cp, -sp * sf + ct * cf * cp, cp * st],
            [-st * sf, st * cf, -ct],
        ]
    )


def sagittarius_coordinates(galactic: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Longitude Lambda in [0, 360) and latitude B (N,) [deg] along the Sagittarius stream.

    The heliocentric system of Majewski et al. (2003) in the form of Law & Majewski (2010). The
    system of Belokurov et al. (2014) is its mirror: 360 deg - Lambda and -B, the same band.

    Parameters
    ----------
    galactic
        (N, 3) unit vectors in Galactic axes, towards (l, b) = (0, 0), (90, 0) and the pole.
    """
    longitude, latitude = lon_lat(np.asarray(galactic) @ _sagittarius_rotation().T)
    longitude = longitude % 360.0
    return np.where(longitude < 360.0, longitude, 0.0), latitude


@dataclass(frozen=True)
class SagittariusBand(Clean):
    """Drop the sky around the plane of the Sagittarius stream: abs(B) < width.

    The geometric cut of Li et al. (2026, section 2.3: 15 deg). It is blind to velocity, so what it
    leaves is unbiased for a spherical halo, at the cost of a quarter of the sky (sin 15 deg = 0.26).

    Parameters
    ----------
    width
        Half width [deg] in latitude B.
    """

    kind: ClassVar[str] = "sagittarius-band"
    needs: ClassVar[tuple[str, ...]] = ()

    width: float = 15.0

    def __post_init__(self) -> None:
        require(0.0 < self.width < 90.0, f"width is between 0 and 90 deg (got {self.width:g})")

    @property
    def reason(self) -> str:
        """Why stars go."""
        return f"|B| < {self.width:g} deg"

    def kept(self, catalogue: Catalogue) -> BoolArray:
        """Which stars (N,) stay."""
        _, latitude = sagittarius_coordinates(galactic_directions(catalogue)[0])
        return np.asarray(np.abs(latitude) >= self.width)


@dataclass(frozen=True)
class SagittariusMomentum(Clean):
    """Drop stars with the angular momentum of the Sagittarius stream: L_y < slope L_z + offset.

    The cut of the H3 survey (Johnson et al. 2020), which Han et al. (2024) use, in axes where
    prograde orbits have L_z < 0. It removes every star of that angular momentum, of the stream or
    not, so it cuts into the velocity distribution of the smooth halo too. The slope is that of their
    public code, whose line has -2300 kpc km/s at L_z = 0 in one version; -2500 is from memory.

    Parameters
    ----------
    slope
        Of the line.
    offset
        L_y of the line [kpc km/s] at L_z = 0.
    """

    kind: ClassVar[str] = "sagittarius-momentum"

    slope: float = -0.3
    offset: float = -2500.0

    @property
    def reason(self) -> str:
        """Why stars go."""
        return f"L_y < {self.slope:g} L_z {self.offset:+g} kpc km/s"

    def kept(self, catalogue: Catalogue) -> BoolArray:
        """Which stars (N,) stay."""
        _, L_y, L_z = np.cross(catalogue.position, catalogue.velocity).T
        return np.asarray(L_y >= self.slope * L_z + self.offset)
