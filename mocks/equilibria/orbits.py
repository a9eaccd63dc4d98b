"""Orbits in a spherical potential: their time in radial shells, and stars drawn along them.

An orbit is named by its mean radius r_m = (r_peri + r_apo) / 2 and its roundness w = 1 - e, with
e = (r_apo - r_peri) / (r_apo + r_peri). Energy and angular momentum then follow from the potential at the two turning
points in closed form, so neither the library nor a drawn star needs a root finder.
Along the orbit r = r_m (1 - e cos theta); time goes as dr / v_r, which is regular in theta.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from haloassay.base.arrays import FloatArray, IntArray
from haloassay.base.compiled import compiled
from haloassay.base.constants import G
from haloassay.mocks.uniforms import Uniforms, state_of, uniform_at

#: Gauss-Legendre nodes in theta for the crossing of one shell, and for the parts outside all shells.
_SHELL_NODES = np.polynomial.legendre.leggauss(4)
_END_NODES = np.polynomial.legendre.leggauss(24)

#: Orbits a cell in each of its two directions, over which a library entry is averaged.
_SUB_ORBITS = 4

#: Libraries of one process that are kept, of some 70 MB each.
_LIBRARIES_KEPT = 4

#: Room above the largest rate seen among the sub-orbits of a cell.
_BOUND_MARGIN = 1.2

#: Deviates of a star that stand before those of its first try: two for the cell, one for the sign of v_r.
_FIRST_TRY = 3


class SphericalPotential(Protocol):
    """A spherical potential: mass [Msun] and potential [(km/s)^2] at radii [kpc]."""

    def enclosed_mass(self, r: ArrayLike) -> FloatArray:
        """Mass within ``r``."""

    def potential(self, r: ArrayLike) -> FloatArray:
        """Potential, zero at infinity."""


@dataclass(frozen=True, eq=False)
class PotentialTable:
    """A spherical potential on a uniform grid in ln r: values and slopes, cubic Hermite between.

    With steps of 0.01 in ln r the interpolated potential is good to 1e-11 of its own variation.
    """

    ln_r0: float
    step: float
    phi: FloatArray
    slope: FloatArray

    @classmethod
    def tabulate(cls, potential: SphericalPotential, r_lo: float, r_hi: float) -> PotentialTable:
        """Table from ``r_lo`` to ``r_hi`` [kpc]."""
        n = int(np.log(r_hi / r_lo) / 0.01) + 2
        ln_r = np.linspace(np.log(r_lo), np.log(r_hi), n)
        r = np.exp(ln_r)
        return cls(
            ln_r[0], ln_r[1] - ln_r[0], potential.potential(r), G * potential.enclosed_mass(r) / r
        )

    @property
    def arrays(self) -> tuple[float, float, FloatArray, FloatArray]:
        """What the kernels take."""
        return self.ln_r0, self.step, self.phi, self.slope


@dataclass(frozen=True, eq=False)
class OrbitGrid:
    """Cells of orbits, uniform in ln r_m and graded in w towards radial orbits.

    Parameters
    ----------
    ln_r
        (n_r + 1,) edges of ln r_m.
    w
        (n_w + 1,) edges of w, from 0 (radial) to 1 (circular).
    """

    ln_r: FloatArray
    w: FloatArray

    @classmethod
    def spanning(cls, r_lo: float, r_hi: float, step: float = 0.08, n_w: int = 30) -> OrbitGrid:
        """Grid with cells of ``step`` in ln r_m between ``r_lo`` and ``r_hi`` [kpc]."""
        n_r = int(np.ceil(np.log(r_hi / r_lo) / step))
        return cls(
            np.linspace(np.log(r_lo), np.log(r_hi), n_r + 1), np.linspace(0.0, 1.0, n_w + 1) ** 2
        )


@compiled(inline="always")
def _phi(r, ln_r0, step, phi, slope):  # type: ignore[no-untyped-def]
    t = (np.log(r) - ln_r0) / step
    i = min(max(int(t), 0), len(phi) - 2)
    t = max(t - i, 0.0)
    s = 1.0 - t
    value = s * s * (1.0 + 2.0 * t) * phi[i] + t * t * (1.0 + 2.0 * s) * phi[i + 1]
    return value + step * t * s * (s * slope[i] - t * slope[i + 1])


@compiled
def _integrals(r_m, e, ln_r0, step, phi, slope):  # type: ignore[no-untyped-def]
    """2 E and L^2 of the orbit with mean radius r_m and eccentricity e."""
    peri, apo = r_m * (1.0 - e), r_m * (1.0 + e)
    phi_peri = _phi(peri, ln_r0, step, phi, slope)
    phi_apo = _phi(apo, ln_r0, step, phi, slope)
    l2 = 2.0 * (phi_apo - phi_peri) * peri * peri * apo * apo / (apo * apo - peri * peri)
    return 2.0 * phi_apo + l2 / (apo * apo), l2


@compiled(inline="always")
def _speed_squared(r, e2, l2, ln_r0, step, phi, slope):  # type: ignore[no-untyped-def]
    """v_r^2, kept positive where rounding next to a turning point would not."""
    return max(
        e2 - 2.0 * _phi(r, ln_r0, step, phi, slope) - l2 / (r * r), 1e-12 * l2 / (r * r) + 1e-300
    )


@compiled(inline="always")
def _phase(r, r_m, e):  # type: ignore[no-untyped-def]
    """Theta at which the orbit passes r outward; 0 or pi where it never gets there."""
    return np.arccos(min(max((1.0 - r / r_m) / e, -1.0), 1.0))


@compiled
def _shell_of(r, edges):  # type: ignore[no-untyped-def]
    """Last shell that begins at r or before, as numpy's searchsorted says, which takes ten times as long to compile."""
    lo, hi = 0, len(edges)
    while lo < hi:
        middle = (lo + hi) // 2
        if edges[middle] <= r:
            lo = middle + 1
        else:
            hi = middle
    return lo - 1


@compiled
def _add_orbit(r_m, e, edges, n_in, shell_nodes, end_nodes, table, moments):  # type: ignore[no-untyped-def]
    """Add one orbit's time in each shell, and powers of its velocities weighted by it, to ``moments`` (7, n_shells).

    Returns half the orbit's period, and a bound on its time per unit of a deviate that is uniform over the window of
    theta in which the orbit is in one of the first ``n_in`` shells.
    """
    ln_r0, step, phi, slope = table
    e2, l2 = _integrals(r_m, e, ln_r0, step, phi, slope)
    peri, apo = r_m * (1.0 - e), r_m * (1.0 + e)
    n = len(edges) - 1
    first, last = _shell_of(peri, edges), _shell_of(apo, edges)
    if last >= 0 and edges[last] == apo:
        last -= 1
    half_period, peak_rate = 0.0, 0.0
    start = 0.0
    for k in range(first, last + 1):
        end = np.pi if k == last else _phase(edges[k + 1], r_m, e)
        inside = 0 <= k < n
        nodes, weights = shell_nodes if inside else end_nodes
        for j in range(len(nodes)):
            theta = start + 0.5 * (end - start) * (nodes[j] + 1.0)
            r = r_m * (1.0 - e * np.cos(theta))
            v2 = _speed_squared(r, e2, l2, ln_r0, step, phi, slope)
            rate = r_m * e * np.sin(theta) / np.sqrt(v2)
            spent = 0.5 * (end - start) * weights[j] * rate
            half_period += spent
            if inside:
                t2 = l2 / (r * r)
                t = np.sqrt(t2)
                moments[0, k] += spent
                moments[1, k] += spent * v2
                moments[2, k] += spent * t2
                moments[3, k] += spent * t
                moments[4, k] += spent * t2 * t
                moments[5, k] += spent * v2 * v2
                moments[6, k] += spent * t2 * t2
                if k < n_in:
                    peak_rate = max(peak_rate, rate)
        start = end
    return half_period, peak_rate * (_phase(edges[n_in], r_m, e) - _phase(edges[0], r_m, e))


@compiled
def _library(ln_r, w, edges, n_in, sub, shell_nodes, end_nodes, table, moments, bound):  # type: ignore[no-untyped-def]
    """Fill ``moments`` (7, n_r, n_w, n_shells) and ``bound`` (n_r, n_w), which come as zeros."""
    n_r, n_w = bound.shape
    for i in range(n_r):
        for j in range(n_w):
            cell = moments[:, i, j]
            total = 0.0
            for a in range(len(sub)):
                r_m = np.exp(ln_r[i] + (ln_r[i + 1] - ln_r[i]) * sub[a])
                for b in range(len(sub)):
                    e = 1.0 - (w[j] + (w[j + 1] - w[j]) * sub[b])
                    time, rate = _add_orbit(
                        r_m, e, edges, n_in, shell_nodes, end_nodes, table, cell
                    )
                    total += time
                    bound[i, j] = max(bound[i, j], _BOUND_MARGIN * rate)
            cell /= total


@compiled
def _angular_momenta(r_m, w, table):  # type: ignore[no-untyped-def]
    ln_r0, step, phi, slope = table
    l2 = np.zeros((len(r_m), len(w)))
    for i in range(len(r_m)):
        for j in range(len(w)):
            # a circular orbit is the limit of small e; a radial one has no angular momentum
            if w[j] > 0.0:
                l2[i, j] = _integrals(r_m[i], max(1.0 - w[j], 1e-4), ln_r0, step, phi, slope)[1]
    return l2


@compiled
def _draw(key, numbers, r_min, r_max, ln_r, w, rows, columns, bound, table):  # type: ignore[no-untyped-def]
    ln_r0, step, phi, slope = table
    n_w = len(w) - 1
    out = np.empty((3, len(numbers)))
    for star in range(len(numbers)):
        state = state_of(key, numbers[star])
        i = min(_shell_of(uniform_at(state, 0), rows) + 1, len(rows) - 1)
        j = min(_shell_of(uniform_at(state, 1), columns[i]) + 1, n_w - 1)
        place = _FIRST_TRY
        while True:
            r_m = np.exp(ln_r[i] + (ln_r[i + 1] - ln_r[i]) * uniform_at(state, place))
            e = 1.0 - (w[j] + (w[j + 1] - w[j]) * uniform_at(state, place + 1))
            start = _phase(r_min, r_m, e)
            window = _phase(r_max, r_m, e) - start
            theta = start + window * uniform_at(state, place + 2)
            r = r_m * (1.0 - e * np.cos(theta))
            e2, l2 = _integrals(r_m, e, ln_r0, step, phi, slope)
            v2 = _speed_squared(r, e2, l2, ln_r0, step, phi, slope)
            time = window * r_m * e * np.sin(theta)
            if uniform_at(state, place + 3) * bound[i, j] * np.sqrt(v2) < time:
                break
            place += 4
        sign = 1.0 if uniform_at(state, 2) < 0.5 else -1.0
        out[0, star] = r
        out[1, star] = sign * np.sqrt(v2)
        out[2, star] = np.sqrt(l2) / r
    return out


@dataclass(frozen=True, eq=False)
class OrbitLibrary:
    """What stars on the orbits of each cell add to each shell.

    Within a cell, orbits are uniform in ln r_m and w, each with stars in proportion to its period.

    Parameters
    ----------
    fraction
        (n_cells, n_shells) fraction of the stars of a cell that are in a shell.
    radial, tangential
        (n_cells, n_shells) v_r^2 and v_t^2 = v_theta^2 + v_phi^2 [(km/s)^2], averaged over all stars of the cell
        and zero for those outside the shell.
    turn, turn3
        (n_cells, n_shells) the same of v_t [km/s] and of v_t^3 [(km/s)^3].
    radial4, tangential4
        (n_cells, n_shells) the same of v_r^4 and v_t^4 [(km/s)^4].
    bound
        (n_cells,) bound on the sampling rate in the shells that are to be sampled [kpc/(km/s)].
    """

    fraction: FloatArray
    radial: FloatArray
    tangential: FloatArray
    turn: FloatArray
    turn3: FloatArray
    radial4: FloatArray
    tangential4: FloatArray
    bound: FloatArray


def orbit_library(
    table: PotentialTable, grid: OrbitGrid, edges: FloatArray, n_in: int
) -> OrbitLibrary:
    """Library of the cells of ``grid`` for shells between ``edges`` [kpc], the first ``n_in`` to be sampled.

    It depends on the potential and on radii alone: the last ones are kept, for other densities, anisotropies and
    distributions there. Its arrays are read-only.
    """
    digest = hashlib.blake2b(repr((table.ln_r0, table.step, n_in)).encode(), digest_size=16)
    for array in (table.phi, table.slope, grid.ln_r, grid.w, edges):
        digest.update(np.ascontiguousarray(array).data)
    return _library_of(_Motion(digest.digest(), table, grid, edges, n_in))


@dataclass(frozen=True)
class _Motion:
    """All that a library depends on, told apart by a digest."""

    digest: bytes
    table: PotentialTable = field(compare=False)
    grid: OrbitGrid = field(compare=False)
    edges: FloatArray = field(compare=False)
    n_in: int = field(compare=False)


@functools.lru_cache(maxsize=_LIBRARIES_KEPT)
def _library_of(motion: _Motion) -> OrbitLibrary:
    grid = motion.grid
    sub = (np.arange(_SUB_ORBITS) + 0.5) / _SUB_ORBITS
    nodes = (_SHELL_NODES, _END_NODES)
    shape = len(grid.ln_r) - 1, len(grid.w) - 1
    moments, bound = np.zeros((7, *shape, len(motion.edges) - 1)), np.zeros(shape)
    _library(
        *(grid.ln_r, grid.w, motion.edges, motion.n_in, sub, *nodes, motion.table.arrays),
        *(moments, bound),
    )
    moments.flags.writeable = bound.flags.writeable = False
    parts: FloatArray = moments.reshape(len(moments), bound.size, -1)
    fraction, radial, tangential, turn, turn3, radial4, tangential4 = parts
    return OrbitLibrary(
        fraction, radial, tangential, turn, turn3, radial4, tangential4, bound.ravel()
    )


def angular_momentum_squared(table: PotentialTable, r_m: FloatArray, w: FloatArray) -> FloatArray:
    """(n_r, n_w) L^2 [(kpc km/s)^2] of orbits with mean radii ``r_m`` [kpc] and roundness ``w``."""
    return _angular_momenta(r_m, w, table.arrays)


def draw_stars(
    table: PotentialTable,
    grid: OrbitGrid,
    share: FloatArray,
    bound: FloatArray,
    r_range: tuple[float, float],
    uniforms: Uniforms,
    number: IntArray,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Radii, radial and tangential velocities of the stars of these numbers, which are in ``r_range`` [kpc] now.

    Two deviates of a star choose its cell by the ``share`` of these stars: first the mean radius, then the roundness
    among orbits of that radius, so that neither jumps where shares change a little. Orbit and phase inside the cell
    are drawn together, exactly, by rejection: each try has deviates of its own, which no other star is kept from.
    """
    shape = (len(grid.ln_r) - 1, len(grid.w) - 1)
    columns = np.cumsum(share.reshape(shape), axis=1)
    rows = np.cumsum(columns[:, -1])
    columns /= np.where(columns[:, -1:] > 0.0, columns[:, -1:], 1.0)
    r, v_r, v_t = _draw(
        uniforms.key_of("orbit"),
        number,
        *r_range,
        grid.ln_r,
        grid.w,
        rows / rows[-1],
        columns,
        np.array(bound).reshape(shape),  # never read-only: the kernel would be compiled for both
        table.arrays,
    )
    return r, v_r, v_t
