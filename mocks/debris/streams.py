"""Tidal streams by particle spray."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, Literal, NamedTuple

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.settings import require
from haloassay.contracts.orbits import Orbits
from haloassay.mocks.backends.galpy.spray import sprayed
from haloassay.mocks.chemistry import Abundance
from haloassay.mocks.debris.debris import SatelliteDebris, present
from haloassay.mocks.debris.surroundings import Surroundings
from haloassay.mocks.gravity.history import History
from haloassay.mocks.gravity.potentials import CompositePotential, Plummer

#: Radii [kpc] between which turning points are looked for, and how many of them.
_TURNING: Final = (1e-3, 1e4, 2000)


@dataclass(frozen=True)
class Progenitor:
    """A satellite that loses stars on its orbit.

    Parameters
    ----------
    position, velocity
        Present Galactocentric Cartesian position [kpc] and velocity [km/s], the Sun at x < 0.
    mass
        Mass [Msun] that is bound to it while it loses stars; the stream is as wide as its tidal radius.
    age
        Time [Gyr] over which it has lost stars, evenly.
    radius
        Scale radius [kpc] of its Plummer profile, whose pull on the stars the model ``chen24`` follows.
    """

    position: tuple[float, float, float]
    velocity: tuple[float, float, float]
    mass: float
    age: float
    radius: float = 0.5

    def __post_init__(self) -> None:
        require(0.0 < self.mass < 1e12, f"mass must be in (0, 1e12) Msun (got {self.mass:g})")
        require(0.0 < self.age <= 14.0, f"age must be in (0, 14] Gyr (got {self.age:g})")
        require(self.radius > 0.0, f"radius must be positive (got {self.radius:g})")
        x, v = np.array(self.position), np.array(self.velocity)
        require(
            bool(np.linalg.norm(np.cross(x, v)) > 0.0),
            "the progenitor must have angular momentum: position and velocity must not be parallel",
        )


#: Progenitors by name. Sagittarius: centre, proper motion and velocity of Vasiliev & Belokurov (2020:
#: 283.83, -30.55 deg, 26.5 kpc, -2.69 and -1.36 mas/yr, 142 km/s) seen by the Sun of Li et al. (2026).
#: Its remnant of 4e8 Msun is from memory of the same paper; 3 Gyr give the last two wraps (a choice).
PROGENITORS: Final = {
    "sagittarius": Progenitor((17.4, 2.5, -6.5), (237.8, -24.9, 207.6), 4e8, 3.0, 1.0),
}

#: Abundances near those of giants in the stream of Sagittarius (a choice).
SAGITTARIUS_FEH: Final = Abundance(-0.9, 0.4)
SAGITTARIUS_ALPHA_FE: Final = Abundance(0.1, 0.1)


@dataclass(frozen=True)
class Stream(SatelliteDebris):
    """Leading and trailing tails of a satellite on its way in the potential of the mock.

    Stars leave near the two Lagrange points with the offsets of galpy's particle spray (Bovy 2015),
    whose tidal radius is that of the spherical average of the potential, and move as test particles since, in the
    field of the mock: with its shape and its LMC, where it has them. The remnant is not part of it.
    In a mock that is round, a Sagittarius precesses and wraps unlike the real one.

    Parameters
    ----------
    progenitor
        A table, or ``"sagittarius"``.
    model
        Offsets of Fardal et al. (2015), or of Chen et al. (2025), which go with the pull of the
        satellite itself.
    """

    kind: ClassVar[str] = "stream"

    feh: Abundance = SAGITTARIUS_FEH
    alpha_fe: Abundance = SAGITTARIUS_ALPHA_FE
    progenitor: Progenitor | Literal["sagittarius"] = "sagittarius"
    model: Literal["fardal15", "chen24"] = "fardal15"

    @property
    def satellite(self) -> Progenitor:
        """Progenitor that is meant."""
        if isinstance(self.progenitor, Progenitor):
            return self.progenitor
        return PROGENITORS[self.progenitor]

    def check(self, around: Surroundings) -> None:
        """Check that the progenitor is bound, and its orbit somewhere between the radii of the mock."""
        peri, apo = turning_points(around.potential, *self._now, self.origin.name)
        lo, hi = around.r_range
        require(
            peri <= hi and apo >= lo,
            f"debris {self.origin.name!r}: its progenitor dissolves between {peri:.3g} and {apo:.3g}"
            f" kpc, outside the radii of the mock ({lo:g} to {hi:g} kpc)",
        )

    def follow(self, history: History, seed: int) -> tuple[FloatArray, FloatArray]:
        """Present positions [kpc] and velocities [km/s] (size, 3) of the stars that left: leading ones first."""
        name, satellite = self.origin.name, self.satellite
        turning_points(history.potential, *self._now, name)  # an unbound one has no stream
        ago = satellite.age * np.random.default_rng(seed).random(self.size)
        x, v = (np.tile(now, (self.size, 1)) for now in self._now)
        then = history.follow(x, v, 0.0, -ago)
        require(not then.stuck.any(), f"debris {name!r}: its progenitor cannot be followed back")
        potential, mass = history.potential, satellite.mass
        position, velocity = sprayed(
            potential, mass, self.model, then.position, then.velocity, seed
        )
        if self.model == "chen24":
            body = Plummer(satellite.mass, satellite.radius)
            history = history.with_satellite(*self._now, body, satellite.age)
        return present(history, position, velocity, ago, name)

    @property
    def _now(self) -> tuple[FloatArray, FloatArray]:
        return np.array(self.satellite.position), np.array(self.satellite.velocity)


class TurningPoints(NamedTuple):
    """Least and greatest radius [kpc] of an orbit."""

    pericentre: float
    apocentre: float


def turning_points(
    potential: CompositePotential, position: FloatArray, velocity: FloatArray, name: str
) -> TurningPoints:
    """Find the turning points of the orbit at ``position`` (3,) [kpc] and ``velocity`` (3,) [km/s].

    Raises
    ------
    InputError
        If the orbit is not bound within 1e4 kpc; ``name`` says whose it is.
    """
    at = float(np.linalg.norm(position))
    speed_squared = float(velocity @ velocity)
    energy = 0.5 * speed_squared + float(potential.potential(at))
    require(
        energy < float(potential.potential(_TURNING[1])),
        f"debris {name!r}: its progenitor is not bound: {np.sqrt(speed_squared):.0f} km/s at"
        f" {at:.3g} kpc, where the escape speed is"
        f" {np.sqrt(-2.0 * float(potential.potential(at))):.0f} km/s",
    )
    orbit = Orbits(position[None], velocity[None], potential.potential, _TURNING)
    near, far = orbit.turning_points
    return TurningPoints(float(near[0]), float(far[0]))
