"""Actions of stars in a spherical potential, and moments of distribution functions of them.

The radial action of an energy and an angular momentum is looked up in a table that is made anew for each
potential: J_r = (L_c - L) q(r_c, L / L_c), with r_c and L_c those of the circle of the same energy. q is between
1/2 (harmonic) and 1 (Kepler) and changes slowly: a cubic in ln r_c and a polynomial in L / L_c are good to 1e-4.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numba
import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.constants import G
from haloassay.contracts.profiles import nfw_shape
from haloassay.estimators.halo.baryons import Baryons, baryons_mass

#: Nodes of the potential, at equal steps of ln r between two radii [kpc].
_NODES: Final = 321
_INNERMOST, _OUTERMOST = 1e-3, 1e6
#: Every so many of these nodes is a row of the table of actions; the last rows are orbits that far out.
_STRIDE: Final = 8
_FARTHEST: Final = 1e5
#: Values of L / L_c of the table: with both ends, where a polynomial does not swing.
_XI: Final = 0.5 * (1.0 - np.cos(np.pi * np.arange(6) / 5.0))
_TO_POWERS: Final = np.linalg.inv(np.vander(_XI, increasing=True))
#: Points of the integral of a radial action.
_POINTS: Final = 24
_ANGLES: Final = (np.arange(_POINTS) + 0.5) * np.pi / _POINTS
_COS, _SIN = np.cos(_ANGLES), np.sin(_ANGLES)
#: Points of integrals over speeds, and over directions from the radial one to the tangential plane.
_SPEEDS: Final = np.polynomial.legendre.leggauss(16)
_DIRECTIONS: Final = np.polynomial.legendre.leggauss(8)


@dataclass(frozen=True)
class PotentialGrid:
    """Grid of ln r on which potentials of an NFW halo with known baryons are tabulated.

    Parameters
    ----------
    baryons
        Made spherical, and held fixed.
    r_min
        Radius [kpc] of the innermost star.
    """

    baryons: Baryons
    r_min: float

    @cached_property
    def r(self) -> FloatArray:
        """(n,) radii [kpc]."""
        return np.geomspace(_INNERMOST, _OUTERMOST, _NODES)

    @cached_property
    def rows(self) -> tuple[int, int]:
        """First of the nodes that are rows of the table of actions, and how many rows there are."""
        x = np.log(self.r)
        # the circle of the energy of a star at rest at r is outside 0.5 r in any potential
        first = max(_STRIDE, int(np.searchsorted(x, np.log(0.4 * self.r_min))) - _STRIDE)
        last = int(np.searchsorted(x, np.log(_FARTHEST)))
        return first, (last - first) // _STRIDE + 1

    @cached_property
    def _known(self) -> tuple[FloatArray, FloatArray]:
        """Potential [(km/s)^2], zero at infinity, and v_c^2 of the baryons."""
        fine = np.geomspace(_INNERMOST, _OUTERMOST, 16 * (_NODES - 1) + 1)
        vc2 = G * baryons_mass(self.baryons, fine) / fine
        steps = 0.5 * (vc2[1:] + vc2[:-1]) * np.diff(np.log(fine))
        phi = np.concatenate([[0.0], np.cumsum(steps)])
        return (phi - phi[-1] - vc2[-1])[::16], vc2[::16]

    def table(self, total: float, r_s: float) -> Table:
        """Table of the potential and its actions.

        Parameters
        ----------
        total
            Mass scale M_s [Msun] of the halo, M(<r) = M_s mu(r / r_s).
        r_s
            Scale radius [kpc].
        """
        phi, vc2 = self._known
        r = self.r
        phi = phi - G * total * np.log1p(r / r_s) / r
        vc2 = vc2 + G * total * nfw_shape(r / r_s) / r
        return make_table(phi, vc2, self.rows)


#: What kernels read: (ln r of the first node, step of ln r, Phi, v_c^2, E_c, dE_c/dln r, ln L_c, first row, q in
#: powers of L / L_c).
Table = tuple[
    float, float, FloatArray, FloatArray, FloatArray, FloatArray, FloatArray, int, FloatArray
]


def make_table(phi: FloatArray, vc2: FloatArray, rows: tuple[int, int]) -> Table:
    """Table of a potential at the nodes of a :class:`PotentialGrid`.

    Parameters
    ----------
    phi, vc2
        (n,) potential, zero at infinity, and squared circular velocity [(km/s)^2].
    rows
        See :attr:`PotentialGrid.rows`.
    """
    start = float(np.log(_INNERMOST))
    step = float(np.log(_OUTERMOST) - start) / (_NODES - 1)
    rise = np.gradient(vc2, step)
    energy = phi + 0.5 * vc2
    log_lc = start + step * np.arange(_NODES) + 0.5 * np.log(vc2)
    first, n = rows
    q = _shapes(start, step, phi, vc2, rise, first, n, _XI, _COS, _SIN)
    slope = vc2 + 0.5 * rise
    return (
        start,
        step,
        phi,
        vc2,
        energy,
        slope,
        log_lc,
        first,
        np.ascontiguousarray(q @ _TO_POWERS.T),
    )


@numba.njit(cache=True)
def _phi_at(x: float, start: float, step: float, phi: FloatArray, vc2: FloatArray) -> float:
    """Potential at ln r: cubics, whose slopes are v_c^2."""
    place = (x - start) / step
    j = min(max(int(place), 0), len(phi) - 2)
    t = min(max(place - j, 0.0), 1.0)
    s = 1.0 - t
    ends = phi[j] * s * s * (1.0 + 2.0 * t) + phi[j + 1] * t * t * (1.0 + 2.0 * s)
    return float(ends + step * s * t * (vc2[j] * s - vc2[j + 1] * t))


@numba.njit(cache=True)
def _turning(
    inside: float, outside: float, energy: float, half_l2: float,
    start: float, step: float, phi: FloatArray, vc2: FloatArray,
) -> float:  # fmt: skip
    """Ln r between two, where E - Phi - L^2 / 2 r^2 changes its sign: positive at ``inside``."""
    lo, hi = inside, outside
    f_lo = energy - _phi_at(lo, start, step, phi, vc2) - half_l2 * np.exp(-2.0 * lo)
    f_hi = energy - _phi_at(hi, start, step, phi, vc2) - half_l2 * np.exp(-2.0 * hi)
    side = 0
    for _ in range(60):
        # false position by the rule of Illinois: the end that stays a second time counts half
        x = (lo * f_hi - hi * f_lo) / (f_hi - f_lo) if f_hi < 0.0 < f_lo else 0.5 * (lo + hi)
        f = energy - _phi_at(x, start, step, phi, vc2) - half_l2 * np.exp(-2.0 * x)
        if abs(f) < 1e-9 * abs(energy):
            return float(x)
        if f > 0.0:
            lo, f_lo = x, f
            f_hi *= 0.5 if side == 1 else 1.0
            side = 1
        else:
            hi, f_hi = x, f
            f_lo *= 0.5 if side == -1 else 1.0
            side = -1
    return float(0.5 * (lo + hi))


@numba.njit(cache=True)
def _shapes(
    start: float, step: float, phi: FloatArray, vc2: FloatArray, rise: FloatArray,
    first: int, n: int, xi: FloatArray, cos: FloatArray, sin: FloatArray,
) -> FloatArray:  # fmt: skip
    """Q = J_r / (L_c - L) (n, 6) of the rows; on circles it is Omega / kappa."""
    q = np.empty((n, len(xi)))
    low, high = start, start + step * (len(phi) - 1)
    for i in range(n):
        j = first + _STRIDE * i
        x = start + step * j
        energy = phi[j] + 0.5 * vc2[j]
        momentum = np.exp(x) * np.sqrt(vc2[j])
        for k in range(len(xi) - 1):
            half_l2 = 0.5 * (xi[k] * momentum) ** 2
            r_p = 0.0
            if k > 0:
                r_p = np.exp(_turning(x, low, energy, half_l2, start, step, phi, vc2))
            r_a = np.exp(_turning(x, high, energy, half_l2, start, step, phi, vc2))
            middle, half = 0.5 * (r_a + r_p), 0.5 * (r_a - r_p)
            whole = 0.0
            for m in range(len(cos)):
                r = middle - half * cos[m]
                w = energy - _phi_at(np.log(r), start, step, phi, vc2) - half_l2 / (r * r)
                whole += np.sqrt(max(w, 0.0)) * sin[m]
            q[i, k] = whole * np.sqrt(2.0) * half / len(cos) / (momentum * (1.0 - xi[k]))
        q[i, -1] = 1.0 / np.sqrt(2.0 + rise[j] / vc2[j])
    return q


@numba.njit(cache=True)
def radial_action(energy: float, momentum: float, table: Table) -> float:
    """J_r [kpc km/s] of an energy [(km/s)^2] and an angular momentum [kpc km/s]; infinite where not bound."""
    _, step, _, _, energies, slopes, log_lc, first, q = table
    n = len(energies)
    last = first + _STRIDE * (len(q) - 1)
    if energy >= energies[last]:
        return np.inf
    lo, hi = 0, last
    while hi - lo > 1:
        middle = (lo + hi) // 2
        if energies[middle] > energy:
            hi = middle
        else:
            lo = middle
    width = energies[hi] - energies[lo]
    t = min(max((energy - energies[lo]) / width, 0.0), 1.0)
    s = 1.0 - t
    # ln r_c as a function of E, by cubics whose slopes are known
    across = t * t * (1.0 + 2.0 * s) + s * t * width / step * (s / slopes[lo] - t / slopes[hi])
    before, after = max(lo - 1, 0), min(hi + 1, n - 1)
    u, v = across, 1.0 - across
    bend = 0.25 * u * v * (log_lc[before] + log_lc[after] - log_lc[lo] - log_lc[hi])
    circle = np.exp(v * log_lc[lo] + u * log_lc[hi] - bend)
    xi = min(momentum / circle, 1.0)
    place = (lo + across - first) / _STRIDE
    i = min(max(int(place), 1), len(q) - 3)
    f = place - i
    w0 = -f * (f - 1.0) * (f - 2.0) / 6.0
    w1 = (f + 1.0) * (f - 1.0) * (f - 2.0) / 2.0
    w2 = -(f + 1.0) * f * (f - 2.0) / 2.0
    w3 = (f + 1.0) * f * (f - 1.0) / 6.0
    shape = 0.0
    for k in range(q.shape[1] - 1, -1, -1):
        c = w0 * q[i - 1, k] + w1 * q[i, k] + w2 * q[i + 1, k] + w3 * q[i + 2, k]
        shape = shape * xi + c
    return float(circle * (1.0 - xi) * shape)


@numba.njit(cache=True)
def log_df(j_r: float, momentum: float, df: FloatArray) -> float:
    """Ln f of actions; ``df`` is (slope_in, slope_out, j0, coef_in, coef_out, steepness)."""
    slope_in, slope_out, j0, c_in, c_out, steepness = df
    if j_r == np.inf:
        return -np.inf
    h = max(c_in * j_r + 0.5 * (3.0 - c_in) * momentum, 1e-9 * j0) / j0
    g = (c_out * j_r + 0.5 * (3.0 - c_out) * momentum) / j0
    if steepness == 1.0:
        return float(slope_in * np.log1p(1.0 / h) - slope_out * np.log1p(g))
    inner = np.log1p(h**-steepness) * slope_in / steepness
    return float(inner - np.log1p(g**steepness) * slope_out / steepness)


@numba.njit(cache=True)
def log_df_of(
    r: FloatArray, half_square: FloatArray, momentum: FloatArray, table: Table, df: FloatArray
) -> FloatArray:
    """Ln f (n,) of stars at ln r, with v^2 / 2 and angular momentum (n,) each."""
    start, step, phi, vc2 = table[0], table[1], table[2], table[3]
    out = np.empty(len(r))
    for i in range(len(r)):
        energy = _phi_at(r[i], start, step, phi, vc2) + half_square[i]
        out[i] = log_df(radial_action(energy, momentum[i], table), momentum[i], df)
    return out


def moments(r: FloatArray, table: Table, df: FloatArray) -> FloatArray:
    """Density (n, 3) at ln r (n,), and the same times <v_r^2> and <v_t^2>: integrals of f over all bound velocities."""
    return _moments(r, table, df, *_SPEEDS, *_DIRECTIONS)


@numba.njit(cache=True)
def _moments(
    r: FloatArray, table: Table, df: FloatArray,
    u: FloatArray, du: FloatArray, a: FloatArray, da: FloatArray,
) -> FloatArray:  # fmt: skip
    start, step, phi, vc2 = table[0], table[1], table[2], table[3]
    out = np.zeros((len(r), 3))
    for i in range(len(r)):
        here = _phi_at(r[i], start, step, phi, vc2)
        escape = np.sqrt(-2.0 * here)
        for m in range(len(u)):
            v = 0.5 * (u[m] + 1.0) * escape
            energy = here + 0.5 * v * v
            for k in range(len(a)):
                angle = 0.25 * np.pi * (a[k] + 1.0)
                across = v * np.sin(angle)
                momentum = np.exp(r[i]) * across
                f = np.exp(log_df(radial_action(energy, momentum, table), momentum, df))
                f *= 4.0 * np.pi * v * across * 0.5 * escape * du[m] * 0.25 * np.pi * da[k]
                out[i, 0] += f
                out[i, 1] += f * (v * np.cos(angle)) ** 2
                out[i, 2] += f * across * across
    return out


def draw_stars(
    n: int,
    edges: tuple[float, float],
    table: Table,
    df: FloatArray,
    escape: Callable[[FloatArray], FloatArray],
    rng: np.random.Generator,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Stars of a distribution function between two radii, by rejection.

    Parameters
    ----------
    n
        Number of stars.
    edges
        Radii [kpc].
    table, df
        Potential and distribution function.
    escape
        Escape speed [km/s] at radii [kpc].
    rng
        Source of randomness.

    Returns
    -------
    r, v_r, v_t
        (n,) radii [kpc], radial and tangential velocities [km/s].
    """

    def candidates(m: int) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        r = edges[0] * (edges[1] / edges[0]) ** rng.random(m)
        top = escape(r)
        v, angle = top * rng.random(m), 0.5 * np.pi * rng.random(m)
        across = v * np.sin(angle)
        log_f = log_df_of(np.log(r), 0.5 * v * v, r * across, table, df)
        with np.errstate(divide="ignore"):
            weight = log_f + 3.0 * np.log(r) + np.log(top * v * across)
        return r, v * np.cos(angle), across, weight

    most = float(np.max(candidates(100_000)[3])) + 0.5
    found: list[FloatArray] = []
    while sum(len(each) for each in found) < n:
        *stars, weight = candidates(20 * n)
        kept = np.log(rng.random(20 * n)) < weight - most
        found.append(np.column_stack(stars)[kept])
    r, v_r, v_t = np.concatenate(found)[:n].T
    return r, v_r * rng.choice([-1.0, 1.0], n), v_t
