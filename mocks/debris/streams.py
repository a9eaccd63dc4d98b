"""Tidal streams by particle spray, and orbits of stars that left a satellite."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from haloassay.constants import GYR_PER_KPC_KMS, G
from haloassay.mocks.chemistry import Abundance
from haloassay.mocks.debris.debris import SatelliteDebris
from haloassay.mocks.gravity.potentials import CompositePotential
from haloassay.settings import require

FloatArray = NDArray[np.float64]

#: Scales of galpy's internal units here: kpc, km/s and the time that follows from them [Gyr].
_RO: Final = 8.0
_VO: Final = 220.0
_TIME: Final = _RO / _VO * GYR_PER_KPC_KMS

#: Radii [kpc] of the table of the force; potential and force are good to 1e-7 between them.
_TABLE: Final = (1e-3, 1e4, 1001)


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

    Stars leave near the two Lagrange points with the offsets of galpy's particle spray (Bovy 2015)
    and move as test particles since; the remnant is not part of it. The potential is spherical and
    does not move, so a Sagittarius in it precesses and wraps unlike the real one.

    Parameters
    ----------
    progenitor
        A table, or ``"sagittarius"``.
    model
        Offsets of Fardal et al. (2015), or of Chen et al. (2025), which need the pull of the
        satellite itself and take six times as long.
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

    def prepare(self, potential: CompositePotential, r_range: tuple[float, float]) -> None:
        """Spray the stream; see :meth:`population`.

        Raises
        ------
        InputError
            If the progenitor is not bound, or its orbit is nowhere between the radii of the mock.
        """
        peri, apo = turning_points(potential, *self._start(), self.origin.name)
        require(
            peri <= r_range[1] and apo >= r_range[0],
            f"debris {self.origin.name!r}: its progenitor dissolves between {peri:.3g} and {apo:.3g}"
            f" kpc, outside the radii of the mock ({r_range[0]:g} to {r_range[1]:g} kpc)",
        )
        super().prepare(potential, r_range)

    def follow(self, potential: CompositePotential, seed: int) -> tuple[FloatArray, FloatArray]:
        """Present positions [kpc] and velocities [km/s] (size, 3) of the stars that left."""
        from galpy.df import chen24spraydf, fardal15spraydf
        from galpy.orbit import Orbit
        from galpy.potential import PlummerPotential

        turning_points(potential, *self._start(), self.origin.name)  # an unbound one has no stream
        satellite = self.satellite
        mass = satellite.mass * G / (_RO * _VO**2)
        pull = PlummerPotential(mass, b=satellite.radius / _RO) if self.model == "chen24" else None
        spray = (chen24spraydf if self.model == "chen24" else fardal15spraydf)(
            mass,
            progenitor=Orbit(_to_galpy(*(x[None] for x in self._start()))[0]),
            pot=galpy_sphere(potential),
            tdisrupt=satellite.age / _TIME,
            tail="both",
            progpot=pull,
        )
        with _numpy_seed(seed):
            start, ago = spray.sample(self.size, return_orbit=False, returndt=True, integrate=False)
        return _integrate(np.asarray(start).T, np.asarray(ago), spray._pot)

    def _start(self) -> tuple[FloatArray, FloatArray]:
        return np.array(self.satellite.position), np.array(self.satellite.velocity)


class TurningPoints(NamedTuple):
    """Least and greatest radius [kpc] of an orbit."""

    pericentre: float
    apocentre: float


def turning_points(
    potential: CompositePotential, position: FloatArray, velocity: FloatArray, name: str
) -> TurningPoints:
    """Find the turning points of the orbit at ``position`` (3,) [kpc] and ``velocity`` (3,) [km/s], to 1 per cent.

    Raises
    ------
    InputError
        If the orbit is not bound within 1e4 kpc; ``name`` says whose it is.
    """
    at = float(np.linalg.norm(position))
    speed_squared = float(velocity @ velocity)
    energy = 0.5 * speed_squared + float(potential.potential(at))
    require(
        energy < float(potential.potential(_TABLE[1])),
        f"debris {name!r}: its progenitor is not bound: {np.sqrt(speed_squared):.0f} km/s at"
        f" {at:.3g} kpc, where the escape speed is"
        f" {np.sqrt(-2.0 * float(potential.potential(at))):.0f} km/s",
    )
    r = np.append(np.geomspace(_TABLE[0], _TABLE[1], 2000), at)
    l2 = float(np.sum(np.cross(position, velocity) ** 2))
    visited = r[2.0 * (energy - potential.potential(r)) * r * r >= l2 * (1.0 - 1e-12)]
    return TurningPoints(float(visited.min()), float(visited.max()))


def galpy_sphere(potential: CompositePotential) -> Any:
    """Spherical average of ``potential`` as galpy's compiled integrators take it.

    A spline of the force at 1001 radii from 1e-3 to 1e4 kpc, in internal units of 8 kpc and 220 km/s
    without physical output.
    """
    from galpy.potential import interpSphericalPotential

    r = np.geomspace(*_TABLE)
    force = -G * potential.enclosed_mass(r) / (r * r) * _RO / _VO**2
    # galpy asks for the force at the nodes one by one
    at_node = dict(zip((r / _RO).tolist(), force.tolist(), strict=True))
    return interpSphericalPotential(
        rforce=lambda x: at_node[float(x)],
        rgrid=r / _RO,
        Phi0=float(potential.potential(r[0])) / _VO**2,
    )


def evolve(
    position: FloatArray, velocity: FloatArray, age: FloatArray, potential: CompositePotential
) -> tuple[FloatArray, FloatArray]:
    """Positions [kpc] and velocities [km/s] (N, 3) of stars a time ``age`` (N,) [Gyr] later."""
    return _integrate(_to_galpy(position, velocity), age / _TIME, galpy_sphere(potential))


def _integrate(start: FloatArray, ago: FloatArray, pot: Any) -> tuple[FloatArray, FloatArray]:
    """Present places of stars that were at ``start`` (N, 6) some time ``ago`` (N,), in galpy's units."""
    from galpy.orbit import Orbit

    orbits = Orbit(start)
    orbits.integrate(
        np.stack([-ago, np.zeros(len(ago))], axis=1), pot, method="dop853_c", progressbar=False
    )
    R, v_R, v_T, z, v_z, phi = orbits.orbit[:, -1, :].T
    cos, sin = np.cos(phi), np.sin(phi)
    position = np.stack([R * cos, R * sin, z], axis=1)
    velocity = np.stack([v_R * cos - v_T * sin, v_R * sin + v_T * cos, v_z], axis=1)
    return _RO * position, _VO * velocity


def _to_galpy(position: FloatArray, velocity: FloatArray) -> FloatArray:
    """(N, 6) cylindrical R, v_R, v_T, z, v_z, phi in galpy's internal units."""
    x, y, z = position.T / _RO
    v_x, v_y, v_z = velocity.T / _VO
    phi = np.arctan2(y, x)
    cos, sin = np.cos(phi), np.sin(phi)
    return np.stack(
        [np.hypot(x, y), v_x * cos + v_y * sin, v_y * cos - v_x * sin, z, v_z, phi], axis=1
    )


@contextmanager
def _numpy_seed(seed: int) -> Iterator[None]:
    """Give galpy's particle spray, which draws from numpy's global generator, numbers of its own."""
    state = np.random.get_state()  # noqa: NPY002
    np.random.seed(seed)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002
