"""The Large Magellanic Cloud and its past orbit about the Milky Way, both rigid and both moving.

Each galaxy is accelerated as a whole by the field of the other at its centre, and the LMC is slowed
by dynamical friction. Seen from the Milky Way's centre, which is not an inertial frame,

    d^2 x / dt^2 = -grad Phi_MW(x) - G M_LMC(<x) x / x^3 + friction,

the second term being the acceleration of the frame. The two forces are equal and opposite for point
masses only: rigid bodies that overlap break Newton's third law, as they do in the published models
of this kind (Vasiliev, Belokurov & Erkal 2021, 2021MNRAS.501.2279V; Correa Magnus & Vasiliev 2022).
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike

from haloassay.base.arrays import FloatArray
from haloassay.base.constants import GYR_PER_KPC_KMS, G
from haloassay.base.errors import InputError
from haloassay.base.settings import require
from haloassay.contracts import profiles
from haloassay.mocks.gravity.fields import Field, MovingBody, make_field
from haloassay.mocks.gravity.history import History
from haloassay.mocks.gravity.potentials import H0, HEAVIEST, OVERDENSITY, CompositePotential

#: Largest mass [Msun] that is covered, and longest rewind [Gyr]: the age of the Universe.
LARGEST_MASS: Final = 2.5e11
AGE: Final = 13.8

#: Step of the table of the orbit [Gyr]; the cubic between its points is good to 1e-8 kpc.
_STEP: Final = 0.002

#: Accelerations that a rewind may ask for; 14 Gyr near the centre of the Milky Way take a few thousand.
_MOST_CALLS: Final = 50_000

#: Gauss-Legendre nodes between two entries of the table of a profile.
_NODES: Final = np.polynomial.legendre.leggauss(8)

#: Density in units of M(<r) / r^3 below which there is nothing to slow the LMC.
_VACUUM: Final = 1e-12

#: Fraction of the critical density in dark energy, which bounds what the Milky Way can hold (M).
_DARK_ENERGY: Final = 0.69


class SphericalMass(Protocol):
    """The Milky Way's mass, spherically averaged."""

    def enclosed_mass(self, r: ArrayLike) -> FloatArray:
        """Mass [Msun] within ``r`` [kpc]."""


@dataclass(frozen=True)
class TruncatedNFW:
    """NFW halo with a Gaussian truncation, rho ~ exp(-(r / r_t)^2) / [x (1 + x)^2], x = r / r_s.

    Parameters
    ----------
    mass
        Total mass [Msun].
    r_s
        Scale radius [kpc].
    truncation
        Radius of the truncation r_t in units of r_s.
    """

    mass: float
    r_s: float
    truncation: float = 10.0

    dark: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require(
            0.0 <= self.mass < HEAVIEST,
            f"mass must be from 0 to {HEAVIEST:g} (got {self.mass:g})",
        )
        require(0.0 < self.r_s < 1e6, f"r_s must be positive (got {self.r_s:g})")
        require(
            1.0 <= self.truncation <= 1e3, f"truncation must be 1 to 1000 (got {self.truncation:g})"
        )

    @property
    def extent(self) -> float:
        """Radius [kpc] beyond which there is no mass (less than 1e-20 of it)."""
        return self.r_s * float(np.exp(_truncated(self.truncation).log_x[-1]))

    def enclosed_mass(self, r: ArrayLike) -> FloatArray:
        """Mass [Msun] within ``r`` [kpc]."""
        table = _truncated(self.truncation)
        x = np.asarray(r, dtype=float) / self.r_s
        return np.asarray(self.mass * table.inside(x, 2) / table.mass[-1], dtype=float)

    def potential(self, r: ArrayLike) -> FloatArray:
        """Potential [(km/s)^2] at ``r`` [kpc]."""
        table = _truncated(self.truncation)
        x = np.asarray(r, dtype=float) / self.r_s
        depth = table.inside(x, 2) / x + table.depth[-1] - table.inside(x, 1)
        return np.asarray(-G * self.mass / (self.r_s * table.mass[-1]) * depth, dtype=float)

    def density(self, r: ArrayLike) -> FloatArray:
        """Density [Msun/kpc^3] at ``r`` [kpc]."""
        table = _truncated(self.truncation)
        x = np.asarray(r, dtype=float) / self.r_s
        shape = _integrand(x, self.truncation, 2) / x**3
        return np.asarray(
            self.mass / (4.0 * np.pi * self.r_s**3 * table.mass[-1]) * shape, dtype=float
        )

    def mass_within(self, r: ArrayLike, distance: float) -> FloatArray:
        """Mass [Msun] of this body within ``r`` [kpc] of a point at ``distance`` [kpc] from its centre.

        Of a shell of radius s the fraction [r^2 - (d - s)^2] / (4 d s) is inside, where the spheres
        cut each other.
        """
        r = np.asarray(r, dtype=float)
        lo, hi = np.abs(r - distance), r + distance
        whole = np.where(r > distance, self.enclosed_mass(np.maximum(lo, 1e-12)), 0.0)
        lo, hi = (np.clip(s, 1e-9 * self.r_s, self.extent) for s in (lo, hi))
        nodes, weights = np.polynomial.legendre.leggauss(128)
        half = 0.5 * np.log(hi / lo)
        s = np.exp(np.log(lo)[..., None] + half[..., None] * (nodes + 1.0))
        fraction = np.clip((r[..., None] ** 2 - (distance - s) ** 2) / (4.0 * distance * s), 0, 1)
        gain = 4.0 * np.pi * s**3 * self.density(s) * fraction
        return np.asarray(whole + half * (gain @ weights), dtype=float)


class _Table(NamedTuple):
    """Integrals of x^k exp(-(x/x_t)^2) / (1 + x)^2 / x from 0 to x, at edges: mass k = 2, depth k = 1."""

    truncation: float
    log_x: FloatArray
    mass: FloatArray
    depth: FloatArray

    def inside(self, x: FloatArray, power: int) -> FloatArray:
        """Integral up to ``x``: that to the edge below, and the rest by Gauss and Legendre."""
        log_x = np.clip(np.log(x), self.log_x[0], self.log_x[-1])
        cell = np.clip(np.searchsorted(self.log_x, log_x) - 1, 0, len(self.log_x) - 2)
        total = self.mass if power == 2 else self.depth
        inner = _gauss(self.log_x[cell], log_x, self.truncation, power)
        # within the innermost edge the integrand is a power law
        core = np.minimum(x / np.exp(self.log_x[0]), 1.0) ** power
        return np.where(core < 1.0, total[0] * core, total[cell] + inner)


def _integrand(x: FloatArray, truncation: float, power: int) -> FloatArray:
    """Of ln x."""
    return np.asarray(x**power * np.exp(-((x / truncation) ** 2)) / (1.0 + x) ** 2)


def _gauss(lo: FloatArray, hi: FloatArray, truncation: float, power: int) -> FloatArray:
    nodes, weights = _NODES
    half = 0.5 * (hi - lo)
    x = np.exp(lo[..., None] + half[..., None] * (nodes + 1.0))
    return np.asarray(half * (_integrand(x, truncation, power) @ weights))


@functools.lru_cache(maxsize=16)
def _truncated(truncation: float) -> _Table:
    edges = np.linspace(np.log(1e-8), np.log(7.0 * truncation), 400)
    totals = []
    for power in (2, 1):
        core = np.exp(power * edges[0]) / power
        cells = _gauss(edges[:-1], edges[1:], truncation, power)
        totals.append(core + np.concatenate([[0.0], np.cumsum(cells)]))
    return _Table(truncation, edges, totals[0], totals[1])


@dataclass(frozen=True)
class LMC:
    """The LMC as it is now, and how far its orbit is followed back.

    Rigid, as the Milky Way is; with ``kind = "expansions"`` both deform (``describe expansions``).

    Parameters
    ----------
    mass
        Total mass [Msun], up to 2.5e11; without any, nothing perturbs the halo.
    r_s
        Scale radius [kpc]; by default 8.5 (mass / 1e11)^0.6, which keeps the measured mass within 9
        kpc (Vasiliev, Belokurov & Erkal 2021; F).
    truncation
        Truncation radius in units of r_s (F).
    position, velocity
        Now, Galactocentric [kpc], [km/s] (F: Vasiliev 2023); the Cloud is at y < 0, z < 0 and rises.
    time
        Rewind [Gyr] (choice; the papers use 2 to 4).
    friction
        Whether dynamical friction slows it: Chandrasekhar's formula with the Milky Way's density and
        isotropic velocity dispersion and ln Lambda = sqrt(ln(d / 2 r_s)), which agrees with N-body
        runs (F).
    """

    mass: float = 1.5e11
    r_s: float | None = None
    truncation: float = 10.0
    position: tuple[float, float, float] = (-0.5, -40.8, -27.2)
    velocity: tuple[float, float, float] = (-64.3, -213.4, 208.5)
    time: float = 3.0
    friction: bool = True

    def __post_init__(self) -> None:
        require(
            0.0 <= self.mass <= LARGEST_MASS,
            f"mass must be 0 to {LARGEST_MASS:g} Msun (got {self.mass:g})",
        )
        require(0.0 < self.time <= AGE, f"time must be in (0, {AGE}] Gyr (got {self.time:g})")
        distance, speed = (float(np.linalg.norm(x)) for x in (self.position, self.velocity))
        require(1.0 <= distance <= 1e3, f"position must be 1 to 1000 kpc away (got {distance:g})")
        require(speed <= 2e3, f"velocity must be at most 2000 km/s (got {speed:g})")
        _ = self.profile

    @cached_property
    def profile(self) -> TruncatedNFW:
        """Its mass distribution."""
        rule = 8.5 * (self.mass / 1e11) ** 0.6
        # without mass there is no scale to ask for
        r_s = self.r_s if self.r_s is not None else (rule or 1.0)
        return TruncatedNFW(self.mass, r_s, self.truncation)

    def enclosed_mass(self, r: ArrayLike) -> FloatArray:
        """Its own mass [Msun] that is within ``r`` [kpc] of the Milky Way's centre now."""
        return self.profile.mass_within(r, float(np.linalg.norm(self.position)))

    @property
    def duration(self) -> float:
        """Time [Gyr] since which it is followed."""
        return self.time

    @property
    def moves(self) -> bool:
        """Whether it has mass."""
        return self.mass > 0.0

    @property
    def own_mass(self) -> dict[str, Callable[[ArrayLike], FloatArray]]:
        """:meth:`enclosed_mass`, by name."""
        return {"lmc": self.enclosed_mass}

    def history(self, milky_way: CompositePotential) -> History:
        """Field of a Milky Way that rests and of the LMC on its orbit, see :func:`rewind`."""
        return History(milky_way, rewind(self, milky_way).bodies)

    def milky_way_now(self, before: CompositePotential) -> CompositePotential:
        """Milky Way as it was ``before``: it is rigid."""
        return before


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Orbit of the LMC about the Milky Way's centre, and the motion of that centre.

    Parameters
    ----------
    lmc
        Whose orbit it is.
    time
        (K,) equal steps [Gyr] from ``-lmc.time`` to 0, which is now.
    position, velocity
        (K, 3) of the LMC relative to the Milky Way's centre [kpc], [km/s].
    frame_velocity
        (K, 3) velocity that the Milky Way's centre has gained since the start [km/s].
    """

    lmc: LMC
    time: FloatArray
    position: FloatArray
    velocity: FloatArray
    frame_velocity: FloatArray

    @cached_property
    def frame_acceleration(self) -> FloatArray:
        """(K, 3) acceleration of the Milky Way's centre [(km/s)^2/kpc]; stars feel the opposite."""
        return -point_pull(self.lmc.profile, self.position)

    @property
    def bodies(self) -> tuple[MovingBody, ...]:
        """The LMC as it moves through the Milky Way's frame; nothing where it has no mass."""
        if self.lmc.mass == 0.0:
            return ()
        path = (self.time, self.position, self.frame_acceleration)
        return (MovingBody(*path, self.lmc.profile),)


def point_pull(body: SphericalMass, offset: FloatArray) -> FloatArray:
    """(..., 3) acceleration [(km/s)^2/kpc] at ``offset`` (..., 3) [kpc] from a spherical body."""
    r = np.linalg.norm(offset, axis=-1, keepdims=True)
    return np.asarray(-G * body.enclosed_mass(r) * offset / r**3, dtype=float)


def rewind(lmc: LMC, milky_way: CompositePotential, changing: Field | None = None) -> Trajectory:
    """Orbit of the LMC over the last ``lmc.time``, integrated backwards from now.

    Parameters
    ----------
    lmc
        The LMC now.
    milky_way
        Now. Its field in three dimensions acts on the LMC; friction takes its spherical average.
    changing
        Field that acts on the LMC in place of it, where the Milky Way was another before.

    Raises
    ------
    InputError
        If the LMC does not come from outside the virial radius, so that stars could not have been in
        equilibrium before it came; if the rewind takes it to where the Milky Way's potential does
        not hold matter, which ends at the radius where dark energy outweighs it; or if it turns so
        often that it cannot be followed.
    """
    from scipy.integrate import solve_ivp

    field = changing or make_field(milky_way)
    drag = Friction.of(lmc, milky_way) if lmc.friction and lmc.mass > 0.0 else None
    calls = itertools.count(1)

    def slope(t: float, state: FloatArray) -> FloatArray:
        require(
            next(calls) < _MOST_CALLS,
            "the orbit of the LMC cannot be followed back: so deep in the Milky Way's potential it turns too often",
        )
        x, v = state[:3], state[3:6]
        frame = -point_pull(lmc.profile, x)
        # the last step of an integrator may end after the start by rounding
        now = max(t * GYR_PER_KPC_KMS, -lmc.time)
        acceleration = field.acceleration(x, now)[0] - frame
        if drag is not None:
            acceleration = acceleration + drag(x, v)
        return np.concatenate([v, acceleration, frame])

    span = lmc.time / GYR_PER_KPC_KMS
    start = np.concatenate([lmc.position, lmc.velocity, np.zeros(3)])
    n = int(np.ceil(lmc.time / _STEP)) + 1
    times = np.linspace(-span, 0.0, n)
    found = solve_ivp(
        slope, (0.0, -span), start, method="DOP853", t_eval=times[::-1], rtol=1e-11, atol=1e-9
    )
    if not found.success:
        raise InputError(f"the orbit of the LMC cannot be followed back: {found.message}")
    states = found.y.T[::-1]
    trajectory = Trajectory(
        lmc,
        np.linspace(-lmc.time, 0.0, n),
        states[:, :3],
        states[:, 3:6],
        states[:, 6:] - states[0, 6:],
    )
    if lmc.mass > 0.0:
        _require_infall(trajectory, milky_way)
    return trajectory


def _require_infall(trajectory: Trajectory, milky_way: CompositePotential) -> None:
    """Refuse an orbit that starts inside the virial radius or beyond the reach of the potential."""
    distance = np.linalg.norm(trajectory.position, axis=1)
    span = trajectory.lmc.time
    reach, farthest = reach_radius(milky_way), int(np.argmax(distance))
    ago = -trajectory.time[farthest]
    require(
        distance[farthest] <= reach,
        f"time: a rewind of {span:g} Gyr is longer than the potential allows: the LMC would have been"
        f" {distance[farthest]:.0f} kpc away {ago:.2g} Gyr ago, beyond the {reach:.0f} kpc within"
        " which the Milky Way's pull outweighs dark energy",
    )
    virial = halo_radius(milky_way)
    if distance[farthest] <= virial:
        raise InputError(
            f"time: the LMC never was outside the Milky Way's virial radius ({virial:.0f} kpc) in the"
            f" rewind of {span:g} Gyr (farthest: {distance[farthest]:.0f} kpc, {ago:.2g} Gyr ago);"
            " rewind longer, or take a lighter Milky Way"
        )
    require(
        distance[0] > virial,
        f"time: {span:g} Gyr ago the LMC was inside the Milky Way's virial radius ({distance[0]:.0f} of"
        f" {virial:.0f} kpc), where it would appear from nowhere; start {ago:.2g} Gyr ago, when it was"
        f" farthest ({distance[farthest]:.0f} kpc)",
    )


def halo_radius(milky_way: CompositePotential) -> float:
    """r200 [kpc] of the dark halo, of all mass where a potential does not say what is dark."""
    r200 = milky_way.virial().r200
    if np.isfinite(r200):
        return r200
    return _radius_of_density(milky_way, OVERDENSITY * profiles.critical_density(H0))


def reach_radius(milky_way: SphericalMass) -> float:
    """Radius [kpc] where the pull of the mass equals the push of dark energy, Omega H0^2 r."""
    return _radius_of_density(milky_way, 2.0 * _DARK_ENERGY * profiles.critical_density(H0))


def _radius_of_density(milky_way: SphericalMass, density: float) -> float:
    """Outermost radius [kpc] within which the mean density is ``density`` [Msun/kpc^3]."""
    r = np.geomspace(1e-2, 1e5, 2000)
    ratio = np.log(milky_way.enclosed_mass(r) / (4.0 * np.pi / 3.0 * density * r**3))
    denser = np.flatnonzero(ratio > 0.0)
    if len(denser) == 0:
        return 0.0
    last = min(int(denser[-1]), len(r) - 2)
    ends = ratio[[last + 1, last]]
    return float(np.exp(np.interp(0.0, ends, np.log(r[[last + 1, last]]))))


@dataclass(frozen=True, eq=False)
class Friction:
    """Dynamical friction on the LMC (Chandrasekhar 1943, 1943ApJ....97..255C).

    -4 pi G^2 M rho ln Lambda [erf(X) - 2 X exp(-X^2) / sqrt(pi)] v / v^3, X = v / (sqrt 2 sigma).

    Parameters
    ----------
    mass
        Of the body that is slowed [Msun].
    impact
        Smallest impact parameter [kpc] of ln Lambda = sqrt(ln(d / impact)); no friction within it.
    density, sigma
        Density [Msun/kpc^3] and isotropic dispersion [km/s] of what slows it, against ln(r / kpc).
    """

    mass: float
    impact: float
    density: Callable[[float], FloatArray]
    sigma: Callable[[float], FloatArray]

    @classmethod
    def of(cls, lmc: LMC, milky_way: SphericalMass) -> Friction:
        """Friction by the spherical average of the Milky Way, taken as in isotropic equilibrium."""
        from scipy.interpolate import CubicSpline

        log_r = np.linspace(np.log(1.0), np.log(1e5), 2400)
        r = np.exp(log_r)
        mass = milky_way.enclosed_mass(r)
        density = np.maximum(CubicSpline(log_r, mass)(log_r, 1), 0.0) / (4.0 * np.pi * r**3)
        density[density < _VACUUM * mass / r**3] = 0.0
        # Jeans: rho sigma^2 = int rho G M / r^2 dr outwards
        gain = CubicSpline(log_r, density * G * mass / r).antiderivative()(log_r)
        pressure = np.maximum(gain[-1] - gain, 0.0)
        square = np.divide(pressure, density, out=np.ones_like(r), where=density > 0.0)
        return cls(
            lmc.mass,
            2.0 * lmc.profile.r_s,
            CubicSpline(log_r, density),
            CubicSpline(log_r, np.sqrt(square)),
        )

    def __call__(self, x: FloatArray, v: FloatArray) -> FloatArray:
        """(3,) acceleration [(km/s)^2/kpc] at ``x`` (3,) [kpc], moving at ``v`` (3,) [km/s]."""
        from math import erf, exp, log, pi, sqrt

        distance, speed = float(np.linalg.norm(x)), float(np.linalg.norm(v))
        if distance <= self.impact or speed == 0.0:
            return np.zeros(3)
        at = log(distance)
        density = max(float(self.density(at)), 0.0)
        X = speed / (sqrt(2.0) * float(self.sigma(at)))
        slow = erf(X) - 2.0 / sqrt(pi) * X * exp(-X * X)
        logarithm = sqrt(log(distance / self.impact))
        return -4.0 * pi * G**2 * self.mass * density * logarithm * slow / speed**3 * v
