"""Stars without observational errors, and the isotropic part of drawing them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Final, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from haloassay.base.arrays import BoolArray, FloatArray, IntArray
from haloassay.base.compiled import compiled
from haloassay.base.errors import UsedUpError
from haloassay.mocks.uniforms import Uniforms, numbers, state_of, uniform_at

OriginArray = NDArray[np.int16]

#: Numbers of the stars of one source, of several that make a mock: those of the next one start here.
_NUMBERS_A_SOURCE: Final = 2**40


@dataclass(frozen=True)
class Origin:
    """Where stars come from: the name of a population or of debris, and whether they are halo members."""

    name: str
    member: bool = True


def shared(parts: Sequence[Mapping[str, bool | None]]) -> Mapping[str, bool | None]:
    """Which abundances all parts have (true), no part has (false), or only some (none), by name."""
    found = {name: {part[name] for part in parts} for name in parts[0]}
    return {name: next(iter(said)) if len(said) == 1 else None for name, said in found.items()}


def without_replacement(
    number: IntArray, rng: np.random.Generator, used_up: str
) -> Callable[[int], IntArray]:
    """Draw rows of one realisation: successive calls give further ones, none of them twice.

    The order is that of a deviate of each star's ``number`` (N,): of two populations, stars that both have come in
    one order, whatever others come between them. The last call may give fewer than asked for; the next one raises
    UsedUpError(``used_up``).
    """
    order = np.argsort(Uniforms.of(rng).uniform("order", number), kind="stable")
    taken = 0

    def draw(n: int) -> IntArray:
        nonlocal taken
        if taken >= len(order):
            raise UsedUpError(used_up)
        which = order[taken : taken + n]
        taken += len(which)
        return which

    return draw


@runtime_checkable
class RadialDensity(Protocol):
    """Anything with ln rho as a function of radius."""

    def log_density(self, r: ArrayLike) -> FloatArray:
        """Natural logarithm of the density at ``r`` [kpc], arbitrarily normalised."""


@dataclass(frozen=True, eq=False)
class Stars:
    """True phase-space coordinates of stars, their chemistry, and where they come from.

    Parameters
    ----------
    position
        (N, 3) Galactocentric Cartesian positions [kpc].
    velocity
        (N, 3) Galactocentric Cartesian velocities [km/s].
    feh, alpha_fe
        (N,) abundances [Fe/H] and [alpha/Fe] [dex]; NaN in a mock that has none.
    origin
        (N,) index into the origins of the mock: which population or debris a star belongs to.
    number
        (N,) number of each star in its mock, the same wherever it is drawn: what is measured of it depends on that.
        -1 for stars that have none; a survey counts them as they come.
    """

    position: FloatArray
    velocity: FloatArray
    feh: FloatArray
    alpha_fe: FloatArray
    origin: OriginArray
    number: IntArray

    @classmethod
    def of(
        cls,
        position: FloatArray,
        velocity: FloatArray,
        feh: ArrayLike = np.nan,
        alpha_fe: ArrayLike = np.nan,
        origin: ArrayLike = 0,
        number: ArrayLike = -1,
    ) -> Stars:
        """Stars (N, 3), (N, 3) with one abundance or origin for all, or (N,) of them; without numbers by default."""
        n = len(position)
        return cls(
            position,
            velocity,
            np.array(np.broadcast_to(feh, n), dtype=float),
            np.array(np.broadcast_to(alpha_fe, n), dtype=float),
            np.array(np.broadcast_to(origin, n), dtype=np.int16),
            np.array(np.broadcast_to(number, n), dtype=np.int64),
        )

    @classmethod
    def concatenate(cls, parts: Sequence[Stars]) -> Stars:
        """All stars of ``parts``, at least one, in their order."""
        return cls(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)))

    def __len__(self) -> int:
        return len(self.position)

    def __repr__(self) -> str:
        ends = f", r = {self.r.min():.4g} to {self.r.max():.4g} kpc" if len(self) else ""
        return f"Stars: {len(self)} as they are{ends}"

    def select(self, which: BoolArray | IntArray | slice) -> Stars:
        """Return some of the stars, by mask, index or slice."""
        return Stars(*(getattr(self, f.name)[which] for f in fields(self)))

    def numbered(self, first: int = 0) -> Stars:
        """Count the stars from ``first`` where they have no numbers."""
        if np.all(self.number >= 0):
            return self
        return replace(self, number=numbers(first, len(self)))

    def from_source(self, k: int) -> Stars:
        """Mark the stars as those of source ``k`` of a mock, with numbers that no other source has."""
        origin = np.full(len(self), k, dtype=np.int16)
        return replace(self, origin=origin, number=self.number + k * _NUMBERS_A_SOURCE)

    @cached_property
    def r(self) -> FloatArray:
        """(N,) Galactocentric radii [kpc]."""
        return np.asarray(np.linalg.norm(self.position, axis=1), dtype=float)


@dataclass(frozen=True, eq=False)
class RadialTable:
    """Inverse cumulative distribution of the radii of a spherical density between two radii.

    The mass of every cell is exact to Gauss-Legendre accuracy; within a cell, of width
    ln(r_max / r_min) / 4096, stars are uniform in ln r.

    Parameters
    ----------
    log_r
        (K + 1,) cell edges, ln(r / kpc).
    cumulative
        (K + 1,) mass fraction within each edge, from 0 to 1.
    log_mass
        ln of int 4 pi r^2 rho dr over all cells, in the density's own normalisation.
    """

    log_r: FloatArray
    cumulative: FloatArray
    log_mass: float

    def at(self, share: FloatArray) -> FloatArray:
        """(N,) radii [kpc] within which there is this share (N,) of the stars."""
        return np.exp(np.interp(share, self.cumulative, self.log_r))


def radial_table(
    density: RadialDensity, r_min: float, r_max: float, n_cells: int = 4096
) -> RadialTable:
    """Table for drawing radii of ``density`` between ``r_min`` and ``r_max`` [kpc]."""
    edges = np.linspace(np.log(r_min), np.log(r_max), n_cells + 1)
    nodes, weights = np.polynomial.legendre.leggauss(2)
    x = 0.5 * (edges[:-1] + edges[1:])[:, None] + 0.5 * np.diff(edges)[:, None] * nodes
    log_mass = density.log_density(np.exp(x)) + 3.0 * x
    peak = float(np.max(log_mass))
    cells = 0.5 * np.diff(edges) * (np.exp(log_mass - peak) @ weights)
    cumulative = np.concatenate([[0.0], np.cumsum(cells)])
    total = float(cumulative[-1])
    return RadialTable(edges, cumulative / total, peak + np.log(4.0 * np.pi * total))


def orient(
    r: FloatArray, v_r: FloatArray, v_t: FloatArray, uniforms: Uniforms, number: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Place stars isotropically: uniform directions, and tangential velocities at uniform angles.

    Parameters
    ----------
    r, v_r, v_t
        (N,) radii [kpc], radial velocities and sizes of the tangential velocities [km/s].
    uniforms, number
        Three deviates of each star, and the numbers (N,) of the stars.

    Returns
    -------
    position, velocity
        (N, 3) Galactocentric Cartesian [kpc, km/s].
    """
    return _oriented(uniforms.key_of("direction"), number, r, v_r, v_t)


@compiled
def _oriented(key, number, r, v_r, v_t):  # type: ignore[no-untyped-def]
    n = len(r)
    position, velocity = np.empty((n, 3)), np.empty((n, 3))
    for star in range(n):
        state = state_of(key, number[star])
        sin_lat = 2.0 * uniform_at(state, 0) - 1.0
        cos_lat = np.sqrt(1.0 - sin_lat * sin_lat)
        longitude = 2.0 * np.pi * uniform_at(state, 1)
        angle = 2.0 * np.pi * uniform_at(state, 2)
        cos_lon, sin_lon = np.cos(longitude), np.sin(longitude)
        v_phi, v_lat = v_t[star] * np.cos(angle), v_t[star] * np.sin(angle)
        v_R = v_r[star] * cos_lat - v_lat * sin_lat
        position[star, 0] = r[star] * cos_lat * cos_lon
        position[star, 1] = r[star] * cos_lat * sin_lon
        position[star, 2] = r[star] * sin_lat
        velocity[star, 0] = v_R * cos_lon - v_phi * sin_lon
        velocity[star, 1] = v_R * sin_lon + v_phi * cos_lon
        velocity[star, 2] = v_r[star] * sin_lat + v_lat * cos_lat
    return position, velocity
