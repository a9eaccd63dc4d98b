"""Unmixed debris of satellites that fell in on nearly radial orbits: shells, and a Gaia-Sausage-Enceladus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.settings import require
from haloassay.contracts.frames import sky_basis
from haloassay.mocks.chemistry import Abundance
from haloassay.mocks.debris.debris import LEAST_WITHIN, SatelliteDebris, present
from haloassay.mocks.gravity.history import History
from haloassay.mocks.gravity.potentials import CompositePotential


@dataclass(frozen=True)
class RadialMerger(SatelliteDebris):
    """A satellite that came apart at one passage of its pericentre, its stars on their own since.

    Spread there by ``radius`` along each axis and by ``sigma``, stars leave with energies that differ
    by about v_peri sigma, so they drift out of phase and wrap in (r, v_r): folds in phase space,
    chevrons, whose outermost points are shells. A star on its pericentre has its fastest tangential
    velocity, so the spread of angular momentum is about v_peri times ``radius``.

    Parameters
    ----------
    pericentre, apocentre
        Of the satellite's last orbit [kpc], in the spherical average of the potential.
    longitude, latitude
        Galactocentric direction [deg] of the pericentre, counted as (x, y, z) are.
    heading
        Direction of the velocity there [deg], from that of growing longitude towards north.
    radius
        Spread of the stars along each axis [kpc].
    sigma
        Velocity dispersion along each axis [km/s].
    age
        Time since [Gyr].
    """

    member: bool = True
    pericentre: float = 2.0
    apocentre: float = 40.0
    longitude: float = 30.0
    latitude: float = 30.0
    heading: float = 60.0
    radius: float = 0.3
    sigma: float = 10.0
    age: float = 3.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            0.0 < self.pericentre < self.apocentre < 1e3,
            "pericentre and apocentre must rise, between 0 and 1000 kpc (got"
            f" {self.pericentre:g} and {self.apocentre:g})",
        )
        require(
            -90.0 <= self.latitude <= 90.0,
            f"latitude must be in [-90, 90] deg (got {self.latitude:g})",
        )
        for name in ("radius", "sigma", "age"):
            value = getattr(self, name)
            require(value > 0.0, f"{name} must be positive (got {value:g})")
        require(self.age <= 14.0, f"age must be at most 14 Gyr (got {self.age:g})")

    def follow(self, history: History, seed: int) -> tuple[FloatArray, FloatArray]:
        """Present positions [kpc] and velocities [km/s] (size, 3) of those that stay bound; NaN for the others.

        Raises
        ------
        InputError
            If hardly any star does.
        """
        rng, potential = np.random.default_rng(seed), history.potential
        outward, east, north = sky_basis(np.array([self.longitude]), np.array([self.latitude]))[0]
        angle = np.radians(self.heading)
        ahead = np.cos(angle) * east + np.sin(angle) * north
        position = self.pericentre * outward + self.radius * rng.standard_normal((self.size, 3))
        speed = pericentre_speed(potential, self.pericentre, self.apocentre)
        velocity = speed * ahead + self.sigma * rng.standard_normal((self.size, 3))
        r = np.linalg.norm(position, axis=1)
        bound = 0.5 * np.sum(velocity**2, axis=1) + potential.potential(r) < 0.0
        require(
            bool(bound.sum() >= LEAST_WITHIN * self.size),
            f"debris {self.origin.name!r}: only {bound.sum()} of its {self.size} stars are bound;"
            f" sigma ({self.sigma:g} km/s) or radius ({self.radius:g} kpc) is too large",
        )
        now = np.full((2, self.size, 3), np.nan)
        now[:, bound] = present(
            history, position[bound], velocity[bound], self.age, self.origin.name
        )
        return now[0], now[1]


def pericentre_speed(potential: CompositePotential, pericentre: float, apocentre: float) -> float:
    """Speed [km/s] at the pericentre of the orbit with these turning points [kpc].

    Energy and angular momentum at the two: v_p^2 (1 - r_p^2 / r_a^2) = 2 [Phi(r_a) - Phi(r_p)].
    """
    gain = float(potential.potential(apocentre) - potential.potential(pericentre))
    return float(np.sqrt(2.0 * gain / (1.0 - (pericentre / apocentre) ** 2)))


@dataclass(frozen=True)
class Shells(RadialMerger):
    """Shells of a dwarf galaxy on a nearly radial orbit, dissolved 3 Gyr ago.

    Numbers by default are choices: a dwarf of 10 km/s that leaves a handful of shells within 60 kpc.
    """

    kind: ClassVar[str] = "shells"


#: [Fe/H] of Gaia-Sausage-Enceladus (from memory, near published means).
GSE_FEH: Final = Abundance(-1.2, 0.3)


@dataclass(frozen=True)
class GaiaSausageEnceladus(RadialMerger):
    """Debris like that of Gaia-Sausage-Enceladus, seen before it has mixed.

    A cloud of very radial orbits with a pattern of mean v_r (chevrons) out to 40 kpc, wide in energy
    and plane. The real one fell in 8 to 10 Gyr ago; 2.5 Gyr (a choice) leave
    a pattern that a survey can see.
    """

    kind: ClassVar[str] = "gse"

    feh: Abundance = GSE_FEH
    apocentre: float = 25.0
    radius: float = 0.7
    sigma: float = 25.0
    age: float = 2.5
