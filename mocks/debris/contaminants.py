"""Contaminants of a halo sample: thick disc, Monoceros-like ring, unbound stars, blunders of measurement."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Final, Literal

import numpy as np

from haloassay.base.arrays import FloatArray, IntArray
from haloassay.base.settings import require
from haloassay.mocks.chemistry import HALO_FEH, Abundance
from haloassay.mocks.debris.debris import Debris, PhaseSpace
from haloassay.mocks.debris.surroundings import Surroundings
from haloassay.mocks.equilibria.tracers import PowerLaw
from haloassay.mocks.gravity.potentials import CompositePotential
from haloassay.mocks.stars import RadialTable, radial_table
from haloassay.mocks.uniforms import Uniforms, counted

#: Lengths [kpc] and speeds [km/s] that a disc may have (choice).
LENGTHS: Final = (0.01, 1000.0)
FASTEST: Final = 1000.0

#: Radius [kpc] at which the dispersions of the thick disc are stated.
R_SUN: Final = 8.1

#: Abundances of the thick disc and of Monoceros (from memory, near published means).
THICK_DISC_FEH: Final = Abundance(-0.6, 0.25)
THICK_DISC_ALPHA_FE: Final = Abundance(0.3, 0.05)
MONOCEROS_FEH: Final = Abundance(-0.9, 0.2)
MONOCEROS_ALPHA_FE: Final = Abundance(0.15, 0.05)

#: Cells of the cumulative distribution of R.
_CELLS: Final = 4096


@dataclass(frozen=True)
class RotatingDisc(Debris):
    """Stars in rotation about the z axis, rho ~ f(R) exp(-|z| / h_z), evenly in azimuth.

    Velocities are Gaussian in (v_R, v_phi, v_z) about prograde rotation (v_phi < 0): not an
    equilibrium, but what a survey takes a disc for.

    Parameters
    ----------
    scale_height
        h_z [kpc].
    """

    scale_height: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_length("scale_height", self.scale_height)

    @abstractmethod
    def radii(self, r_range: tuple[float, float]) -> tuple[float, float]:
        """Least and greatest R [kpc] where there can be stars within the spheres ``r_range`` [kpc]."""

    @property
    @abstractmethod
    def z_max(self) -> float:
        """Greatest |z| [kpc]."""

    @abstractmethod
    def surface_density(self, R: FloatArray) -> FloatArray:
        """f(R), the density in the plane, arbitrarily normalised."""

    @abstractmethod
    def rotation(self, potential: CompositePotential, R: FloatArray) -> FloatArray:
        """Mean rotation speed [km/s] at ``R`` [kpc], positive."""

    @abstractmethod
    def dispersions(self, R: FloatArray) -> FloatArray:
        """(3, N) dispersions of v_R, v_phi, v_z [km/s] at ``R`` (N,) [kpc]."""

    def check(self, around: Surroundings) -> None:
        """Check that it has stars between the radii of the mock."""
        self._cumulative(around.r_range)

    def phase_space(self, around: Surroundings, rng: np.random.Generator) -> PhaseSpace:
        """Independent stars."""
        potential, r_range = around.potential, around.r_range
        at, cumulative = self._cumulative(r_range)

        def place(uniforms: Uniforms, number: IntArray) -> tuple[FloatArray, FloatArray]:
            u = uniforms.uniforms("R, height, side, phi", number, 4)
            R = np.interp(u[0], cumulative, at)
            z = self._height(R, u[1], r_range) * np.where(u[2] < 0.5, 1.0, -1.0)
            phi = 2.0 * np.pi * u[3]
            v_R, v_phi, v_z = self.dispersions(R) * uniforms.normals("velocity", number, 3)
            v_phi = v_phi - self.rotation(potential, R)
            cos, sin = np.cos(phi), np.sin(phi)
            position = np.stack([R * cos, R * sin, z], axis=1)
            velocity = np.stack([v_R * cos - v_phi * sin, v_R * sin + v_phi * cos, v_z], axis=1)
            return position, velocity

        return endless(place, rng)

    def _cumulative(self, r_range: tuple[float, float]) -> tuple[FloatArray, FloatArray]:
        """R [kpc] and the share of the stars within it, of those between the spheres ``r_range`` [kpc]."""
        lo, hi = self.radii(r_range)
        require(
            lo < hi,
            f"debris {self.origin.name!r} has no stars between the radii of the mock,"
            f" {r_range[0]:g} to {r_range[1]:g} kpc",
        )
        edges = np.linspace(lo, hi, _CELLS + 1)
        R = 0.5 * (edges[:-1] + edges[1:])
        near, far = self._tails(R, r_range)
        # relative to the largest exponent, so that a thin disc far from the plane does not vanish
        with np.errstate(divide="ignore"):
            log_stars = np.log(R * self.surface_density(R)) + np.log(near - far)
        cumulative = np.concatenate([[0.0], np.cumsum(np.exp(log_stars - log_stars.max()))])
        return edges, cumulative / cumulative[-1]

    def _tails(self, R: FloatArray, r_range: tuple[float, float]) -> tuple[FloatArray, FloatArray]:
        """Share of a column above the least and the greatest |z| that it may have at ``R``."""
        lo, hi = r_range
        least = np.sqrt(np.maximum(lo**2 - R**2, 0.0))
        greatest = np.minimum(np.sqrt(np.maximum(hi**2 - R**2, 0.0)), self.z_max)
        near = np.exp(-least / self.scale_height)
        return near, np.minimum(np.exp(-greatest / self.scale_height), near)

    def _height(self, R: FloatArray, u: FloatArray, r_range: tuple[float, float]) -> FloatArray:
        """|z| [kpc] at the share ``u`` of the stars at ``R``."""
        near, far = self._tails(R, r_range)
        return -self.scale_height * np.log(near - u * (near - far))


@dataclass(frozen=True)
class ThickDisc(RotatingDisc):
    """The thick disc: flattened, rotating with asymmetric drift, metal-rich and rich in alpha elements.

    rho ~ exp(-R / h_R - |z| / h_z) and sigma ~ exp(-(R - 8.1 kpc) / h_sigma); the mean rotation is that
    of the Jeans equation in the plane without its tilt term (Binney & Tremaine 2008, section 4.8)::

        v_phi^2 = v_c^2 - sigma_phi^2 + sigma_R^2 (1 - R / h_R - 2 R / h_sigma)

    Scale length and height are those of Bland-Hawthorn & Gerhard (2016), dispersions and abundances near
    published ones; all from memory, h_sigma is a choice.

    Parameters
    ----------
    scale_length, scale_height
        h_R and h_z [kpc].
    sigma
        Dispersions of v_R, v_phi, v_z [km/s] at R = 8.1 kpc.
    sigma_length
        h_sigma [kpc].
    """

    kind: ClassVar[str] = "thick-disc"

    feh: Abundance = THICK_DISC_FEH
    alpha_fe: Abundance = THICK_DISC_ALPHA_FE
    scale_height: float = 0.9
    scale_length: float = 2.0
    sigma: tuple[float, float, float] = (60.0, 45.0, 40.0)
    sigma_length: float = 8.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_length("scale_length", self.scale_length)
        _require_length("sigma_length", self.sigma_length)
        _require_speeds("sigma", self.sigma)

    def radii(self, r_range: tuple[float, float]) -> tuple[float, float]:
        """Out to the sphere, or to where 1e-17 of the disc is left beyond."""
        return 0.0, min(r_range[1], max(r_range[0], 0.0) + 40.0 * self.scale_length)

    @property
    def z_max(self) -> float:
        """No limit."""
        return np.inf

    def surface_density(self, R: FloatArray) -> FloatArray:
        """Exponential."""
        return np.exp(-R / self.scale_length)

    def rotation(self, potential: CompositePotential, R: FloatArray) -> FloatArray:
        """Circular speed less the asymmetric drift."""
        sigma_R, sigma_phi, _ = self.dispersions(R)
        pressure = sigma_R**2 * (1.0 - R / self.scale_length - 2.0 * R / self.sigma_length)
        squared = potential.circular_velocity(R) ** 2 - sigma_phi**2 + pressure
        return np.sqrt(np.maximum(squared, 0.0))

    def dispersions(self, R: FloatArray) -> FloatArray:
        """Exponentially falling."""
        return np.outer(self.sigma, np.exp(-(R - R_SUN) / self.sigma_length))


@dataclass(frozen=True)
class Monoceros(RotatingDisc):
    """A ring in the outer disc that rotates as the disc does, like Monoceros.

    Evenly in R between ``ring``, below ``height``. Rotation and dispersion near the published ones,
    abundances between those of thin disc and halo: all from memory.

    Parameters
    ----------
    ring
        Least and greatest R [kpc].
    height
        Greatest |z| [kpc].
    v_rot
        Rotation speed [km/s].
    sigma
        Dispersion of each component [km/s].
    """

    kind: ClassVar[str] = "monoceros"

    feh: Abundance = MONOCEROS_FEH
    alpha_fe: Abundance = MONOCEROS_ALPHA_FE
    scale_height: float = 2.0
    ring: tuple[float, float] = (15.0, 25.0)
    height: float = 5.0
    v_rot: float = 220.0
    sigma: float = 30.0

    def __post_init__(self) -> None:
        super().__post_init__()
        lo, hi = self.ring
        require(0.0 <= lo < hi, f"ring must rise from zero or more (got {list(self.ring)})")
        _require_length("height", self.height)
        require(
            0.0 <= self.v_rot <= FASTEST,
            f"v_rot must be 0 to {FASTEST:g} km/s (got {self.v_rot:g})",
        )
        _require_speeds("sigma", (self.sigma,))

    def radii(self, r_range: tuple[float, float]) -> tuple[float, float]:
        """Those of the ring, up to the outer sphere and out of the inner one's reach."""
        least = np.sqrt(max(r_range[0] ** 2 - self.height**2, 0.0))
        return max(self.ring[0], float(least)), min(self.ring[1], r_range[1])

    @property
    def z_max(self) -> float:
        """Height of the ring."""
        return self.height

    def surface_density(self, R: FloatArray) -> FloatArray:
        """As many stars in equal steps of R."""
        return 1.0 / R

    def rotation(self, potential: CompositePotential, R: FloatArray) -> FloatArray:
        """Constant."""
        return np.full(len(R), self.v_rot)

    def dispersions(self, R: FloatArray) -> FloatArray:
        """Constant."""
        return np.full((3, len(R)), self.sigma)


@dataclass(frozen=True)
class Outliers(Debris):
    """Stars of a spherical power-law density whose velocities do not belong to it.

    Parameters
    ----------
    slope
        d ln rho / d ln r, negative.
    """

    feh: Abundance = HALO_FEH
    slope: float = -3.5

    def __post_init__(self) -> None:
        super().__post_init__()
        PowerLaw(self.slope)

    @abstractmethod
    def velocities(
        self,
        position: FloatArray,
        potential: CompositePotential,
        uniforms: Uniforms,
        number: IntArray,
    ) -> FloatArray:
        """Velocities [km/s] (N, 3) of stars at ``position`` (N, 3) [kpc]."""

    def phase_space(self, around: Surroundings, rng: np.random.Generator) -> PhaseSpace:
        """Independent stars."""
        table: RadialTable = radial_table(PowerLaw(self.slope).density(), *around.r_range)

        def place(uniforms: Uniforms, number: IntArray) -> tuple[FloatArray, FloatArray]:
            r = table.at(uniforms.uniform("radius", number))
            position = r[:, None] * directions("position", uniforms, number)
            return position, self.velocities(position, around.potential, uniforms, number)

        return endless(place, rng)


@dataclass(frozen=True)
class Unbound(Outliers):
    """Stars faster than the escape speed of the mock, such as hypervelocity stars.

    Parameters
    ----------
    speed
        Least and greatest speed, evenly between, in units of the escape speed where the star is.
    direction
        ``"isotropic"``, or ``"outward"``: straight away from the centre.
    """

    kind: ClassVar[str] = "unbound"

    speed: tuple[float, float] = (1.0, 1.5)
    direction: Literal["isotropic", "outward"] = "isotropic"

    def __post_init__(self) -> None:
        super().__post_init__()
        lo, hi = self.speed
        require(
            1.0 <= lo <= hi <= 100.0,
            f"speed must rise from 1 or more to 100 or less (got {list(self.speed)})",
        )

    def velocities(
        self,
        position: FloatArray,
        potential: CompositePotential,
        uniforms: Uniforms,
        number: IntArray,
    ) -> FloatArray:
        """Of the given speeds and direction."""
        r = np.linalg.norm(position, axis=1)
        # rounding must not leave a star bound that is to leave
        escape = np.sqrt(-2.0 * potential.potential(r)) * (1.0 + 1e-9)
        lo, hi = self.speed
        speed = escape * (lo + (hi - lo) * uniforms.uniform("speed", number))
        if self.direction == "outward":
            return (speed / r)[:, None] * position
        return speed[:, None] * directions("velocity", uniforms, number)


@dataclass(frozen=True)
class Blunders(Outliers):
    """Stars whose velocities were measured wrongly: anything goes, bound or not.

    Parameters
    ----------
    v_max
        Each Cartesian component is even between -v_max and v_max [km/s].
    """

    kind: ClassVar[str] = "blunders"

    v_max: float = 1000.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0.0 < self.v_max < 3e5, f"v_max must be in (0, 3e5) km/s (got {self.v_max:g})")

    def velocities(
        self,
        position: FloatArray,
        potential: CompositePotential,
        uniforms: Uniforms,
        number: IntArray,
    ) -> FloatArray:
        """Even in a cube."""
        return self.v_max * (2.0 * uniforms.uniforms("velocity", number, 3).T - 1.0)


def _require_length(name: str, value: float) -> None:
    lo, hi = LENGTHS
    require(lo <= value <= hi, f"{name} must be {lo:g} to {hi:g} kpc (got {value:g})")


def _require_speeds(name: str, values: tuple[float, ...]) -> None:
    require(
        all(0.0 < value <= FASTEST for value in values),
        f"{name} must be above 0 and at most {FASTEST:g} km/s (got {', '.join(f'{v:g}' for v in values)})",
    )


def directions(meaning: str, uniforms: Uniforms, number: IntArray) -> FloatArray:
    """(N, 3) unit vectors, evenly over the sphere, of the stars of these numbers (N,)."""
    vector = uniforms.normals(f"direction of {meaning}", number, 3).T
    unit: FloatArray = vector / np.linalg.norm(vector, axis=1)[:, None]
    return unit


def endless(
    place: Callable[[Uniforms, IntArray], tuple[FloatArray, FloatArray]], rng: np.random.Generator
) -> PhaseSpace:
    """Source of further stars whose positions and velocities ``place`` gives by their numbers."""
    uniforms = Uniforms.of(rng)
    return counted(lambda number: (*place(uniforms, number), number))
