"""Satellites as they fell in: drawn from stated distributions, or given by the user.

Numbers, masses and times follow the mean merger rate of Fakhouri, Ma & Boylan-Kolchin (2010, 2010MNRAS.406.2267F, eq.
1) along the history of the host. At the virial radius the orbit has the energy of a circular one at 0.6 to 1 virial
radii, and a circularity of density e^1.22 (1 - e)^1.22 (Zentner et al. 2005, 2005ApJ...624..505Z), towards a random
direction. Stars go by the relation of Moster, Naab & White (2013, 2013MNRAS.428.3121M) at the time of infall, with a
scatter; concentrations by Duffy et al. (2008, 2008MNRAS.390L..64D); [Fe/H] by Kirby et al. (2013,
2013ApJ...779..102K). Numbers of the merger rate were read in a public source, the others are from memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.constants import G
from haloassay.base.errors import InputError
from haloassay.base.settings import require
from haloassay.mocks.gravity.potentials import CompositePotential
from haloassay.mocks.history.growth import EARLIEST, GrowingHost
from haloassay.mocks.history.tagging import directions

#: Of the merger rate dN / dxi / dz = A (M / 1e12)^alpha xi^beta exp((xi / xi0)^gamma) (1 + z)^eta.
_A, _ALPHA, _BETA, _GAMMA, _ETA, _XI0 = 0.0104, 0.133, -1.995, 0.263, 0.0993, 9.72e-3
#: Cells in time and in ln xi of the table that mergers are drawn from.
_CELLS: Final = (250, 120)
#: Radii of circular orbits in virial radii, and power of the circularity.
_CIRCULAR: Final = (0.6, 1.0)
_CIRCULARITY: Final = 2.22
#: Least concentration of a satellite.
_LEAST_C: Final = 2.0
#: Spread of the mean [Fe/H] of satellites of one stellar mass (Kirby et al. 2013).
_FEH_SCATTER: Final = 0.17
#: Mass in units of the host's at which a satellite is no test particle any more.
_LARGEST: Final = 0.5


@dataclass(frozen=True)
class MergerHistory:
    """How satellites are drawn.

    Parameters
    ----------
    seed
        Of the satellites, their orbits and their stars. Without one, each realisation has a halo of its own.
    smallest
        Least mass [Msun] of a satellite.
    largest
        Largest mass in units of the host's at the time: a larger one would not be a test particle (choice).
    latest
        Time [Gyr] before now after which none falls in any more (choice: stars that are not yet stripped are of no
        halo).
    scatter
        Of stellar masses about the mean of their halo's mass [dex] (choice).
    omega_m
        Matter density of a flat Universe.
    """

    seed: int | None = None
    smallest: float = 1e9
    largest: float = 0.3
    latest: float = 1.0
    scatter: float = 0.3
    omega_m: float = 0.3

    def __post_init__(self) -> None:
        require(self.seed is None or self.seed >= 0, f"seed must be >= 0 (got {self.seed})")
        require(
            1e7 <= self.smallest <= 1e11,
            f"smallest must be 1e7 to 1e11 Msun (got {self.smallest:g})",
        )
        require(
            0.0 < self.largest <= _LARGEST,
            f"largest must be in (0, {_LARGEST}] (got {self.largest:g})",
        )
        require(0.0 <= self.latest <= 12.0, f"latest must be 0 to 12 Gyr (got {self.latest:g})")
        require(0.0 <= self.scatter <= 1.0, f"scatter must be in [0, 1] dex (got {self.scatter:g})")
        require(0.1 <= self.omega_m <= 0.9, f"omega_m must be in [0.1, 0.9] (got {self.omega_m:g})")


@dataclass(frozen=True)
class Satellite:
    """One satellite of the user's, as it fell in. What is not given is drawn.

    Parameters
    ----------
    time
        Before now [Gyr].
    mass
        Virial mass [Msun].
    stellar_mass
        Mass of its stars [Msun].
    circularity
        Angular momentum in units of that of the circular orbit of its energy.
    r_circ
        Radius of that circular orbit, in virial radii of the host.
    position, velocity
        At that time [kpc], [km/s], in place of the two.
    """

    time: float
    mass: float
    stellar_mass: float | None = None
    circularity: float | None = None
    r_circ: float | None = None
    position: tuple[float, float, float] | None = None
    velocity: tuple[float, float, float] | None = None

    def __post_init__(self) -> None:
        require(
            0.0 < self.time <= -EARLIEST,
            f"time must be in (0, {-EARLIEST}] Gyr (got {self.time:g})",
        )
        require(1e6 <= self.mass < 1e13, f"mass must be 1e6 to 1e13 Msun (got {self.mass:g})")
        require(
            self.stellar_mass is None or 0.0 < self.stellar_mass < self.mass,
            f"stellar_mass must be between 0 and mass (got {self.stellar_mass})",
        )
        require(
            self.circularity is None or 0.0 <= self.circularity <= 1.0,
            f"circularity must be in [0, 1] (got {self.circularity})",
        )
        require(
            self.r_circ is None or 0.05 <= self.r_circ <= 3.0,
            f"r_circ must be in [0.05, 3] (got {self.r_circ})",
        )
        given = self.position is not None
        require(
            given == (self.velocity is not None), "position and velocity must be given together"
        )
        require(
            not given or (self.circularity is None and self.r_circ is None),
            "give either position and velocity, or circularity and r_circ",
        )


@dataclass(frozen=True, eq=False)
class Satellites:
    """Satellites at infall.

    Parameters
    ----------
    time
        (N,) times [Gyr], negative.
    mass, stellar_mass
        (N,) [Msun].
    position, velocity
        (N, 3) [kpc], [km/s].
    radius, concentration
        (N,) virial radii [kpc], and these over scale radii.
    feh
        (N,) mean [Fe/H] [dex].
    """

    time: FloatArray
    mass: FloatArray
    stellar_mass: FloatArray
    position: FloatArray
    velocity: FloatArray
    radius: FloatArray
    concentration: FloatArray
    feh: FloatArray

    def __len__(self) -> int:
        return len(self.time)


def merger_rate(ratio: FloatArray, mass: FloatArray, redshift: FloatArray) -> FloatArray:
    """Mean number of mergers of a halo of ``mass`` [Msun] a unit of mass ratio and of redshift."""
    return np.asarray(
        _A
        * (mass / 1e12) ** _ALPHA
        * ratio**_BETA
        * np.exp((ratio / _XI0) ** _GAMMA)
        * (1.0 + redshift) ** _ETA
    )


def mean_stellar_mass(mass: FloatArray, redshift: FloatArray) -> FloatArray:
    """Stellar mass [Msun] of halos of ``mass`` [Msun] (Moster, Naab & White 2013, eq. 2 and 11 to 14)."""
    late = redshift / (1.0 + redshift)
    x = mass / 10.0 ** (11.590 + 1.195 * late)
    share = 2.0 * (0.0351 - 0.0247 * late)
    return np.asarray(mass * share / (x ** -(1.376 - 0.826 * late) + x ** (0.608 + 0.329 * late)))


def drawn(host: GrowingHost, history: MergerHistory, rng: np.random.Generator) -> Satellites:
    """Draw all satellites of a halo."""
    edges = np.linspace(EARLIEST, -history.latest, _CELLS[0] + 1)
    time = 0.5 * (edges[1:] + edges[:-1])
    dz = -np.diff(host.redshift(edges))
    mass = host.mass(time)
    least = np.minimum(history.smallest / mass, history.largest)
    share = (np.arange(_CELLS[1]) + 0.5) / _CELLS[1]
    width = np.log(history.largest / least) / _CELLS[1]
    ratio = least[:, None] * np.exp(width[:, None] * _CELLS[1] * share)
    rate = merger_rate(ratio, mass[:, None], host.redshift(time)[:, None])
    expected = rate * ratio * width[:, None] * dz[:, None]
    n = int(rng.poisson(expected.sum()))
    chosen = rng.choice(expected.size, size=n, p=expected.ravel() / expected.sum())
    i, j = np.divmod(chosen, _CELLS[1])
    when = edges[i] + rng.random(n) * (edges[1] - edges[0])
    m = host.mass(when) * ratio[i, j] * np.exp((rng.random(n) - 0.5) * width[i])
    order = np.argsort(when)
    when, m = when[order], m[order]
    circular = rng.uniform(*_CIRCULAR, n)
    circularity = rng.beta(_CIRCULARITY, _CIRCULARITY, n)
    stellar = mean_stellar_mass(m, host.redshift(when))
    stellar = stellar * 10.0 ** (history.scatter * rng.standard_normal(n))
    return _complete(host, when, m, stellar, circular, circularity, rng)


def given(
    host: GrowingHost, table: Sequence[Satellite], history: MergerHistory, rng: np.random.Generator
) -> Satellites:
    """Satellites of a user's table; what it leaves out is drawn.

    Raises
    ------
    InputError
        If one is too heavy for the host, or not bound to it.
    """
    n = len(table)
    time = -np.array([each.time for each in table])
    mass = np.array([each.mass for each in table])
    heavy = np.flatnonzero(mass > _LARGEST * host.mass(time))
    if len(heavy):
        k = int(heavy[0])
        raise InputError(
            f"satellites.{k}: {mass[k]:.3g} Msun is more than {_LARGEST} of the host's mass then,"
            f" {float(host.mass(time[k])):.3g} Msun"
        )
    spread = 10.0 ** (history.scatter * rng.standard_normal(n))
    stellar = _filled(table, "stellar_mass", mean_stellar_mass(mass, host.redshift(time)) * spread)
    circular = _filled(table, "r_circ", rng.uniform(*_CIRCULAR, n))
    circularity = _filled(table, "circularity", rng.beta(_CIRCULARITY, _CIRCULARITY, n))
    made = _complete(host, time, mass, stellar, circular, circularity, rng)
    for k, each in enumerate(table):
        if each.position is not None and each.velocity is not None:
            made.position[k], made.velocity[k] = each.position, each.velocity
            r = float(np.linalg.norm(each.position))
            require(r > 0.0, f"satellites.{k}: position is the centre of the host")
            energy = 0.5 * float(np.sum(made.velocity[k] ** 2))
            energy += float(host.potential_at(-each.time).potential(r))
            require(energy < 0.0, f"satellites.{k}: is not bound to the host at that time")
    return made


def _filled(table: Sequence[Satellite], name: str, drawn: FloatArray) -> FloatArray:
    said = [getattr(each, name) for each in table]
    return np.array([d if s is None else s for s, d in zip(said, drawn, strict=True)], dtype=float)


def _complete(
    host: GrowingHost,
    time: FloatArray,
    mass: FloatArray,
    stellar: FloatArray,
    circular: FloatArray,
    circularity: FloatArray,
    rng: np.random.Generator,
) -> Satellites:
    """Find places, velocities and profiles at infall."""
    n = len(time)
    outward, other = directions(n, rng), directions(n, rng)
    across = np.cross(outward, other)
    across /= np.linalg.norm(across, axis=1)[:, None]
    redshift = host.redshift(time)
    r, v_r, v_t = (np.empty(n) for _ in range(3))
    for k in range(n):
        there = host.halo_at(float(time[k]))
        r_vir = there.scales[1] * float(host.concentration(time[k]))
        potential = CompositePotential((there, *host.others))
        r[k], v_r[k], v_t[k] = at_infall(potential, r_vir, circular[k], circularity[k])
    h = host.halo.h0 / 100.0
    concentration = 5.71 * (mass * h / 2e12) ** -0.084 * (1.0 + redshift) ** -0.47
    # of a sphere, 4 pi / 3 of the overdensity times 3 H^2 / (8 pi G)
    density = 0.5 * host.halo.overdensity * (host.hubble(time) / 1000.0) ** 2 / G
    feh = -1.69 + 0.30 * np.log10(stellar / 1e6) + _FEH_SCATTER * rng.standard_normal(n)
    return Satellites(
        time,
        mass,
        stellar,
        r[:, None] * outward,
        v_r[:, None] * outward + v_t[:, None] * across,
        np.cbrt(mass / density),
        np.maximum(concentration, _LEAST_C),
        feh,
    )


def at_infall(
    potential: CompositePotential, r_vir: float, circular: float, circularity: float
) -> tuple[float, float, float]:
    """Radius [kpc], radial and tangential velocity [km/s] of an orbit that comes in.

    It is at the virial radius, or at its apocentre where it does not come so far.
    """
    r_c = circular * r_vir
    speed = float(potential.circular_velocity(r_c))
    energy = 0.5 * speed**2 + float(potential.potential(r_c))
    momentum = circularity * r_c * speed

    def left(r: float) -> float:
        return 2.0 * (energy - float(potential.potential(r))) - (momentum / r) ** 2

    if left(r_vir) >= 0.0:
        return r_vir, -float(np.sqrt(left(r_vir))), momentum / r_vir
    lo, hi = min(r_c, r_vir), max(r_c, r_vir)
    for _ in range(60):
        middle = 0.5 * (lo + hi)
        lo, hi = (middle, hi) if left(middle) >= 0.0 else (lo, middle)
    return lo, 0.0, momentum / lo
