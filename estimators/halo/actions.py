"""Actions of stars in a spherical potential, and moments of distribution functions of them.

The radial action of an energy and an angular momentum is looked up in a table that is made anew for each
potential: J_r = (L_c - L) q(r_c, L / L_c), with r_c and L_c those of the circle of the same energy. q is between
1/2 (harmonic) and 1 (Kepler) and changes slowly: a cubic in ln r_c and a polynomial in L / L_c are good to 1e-4.
"""

from __future__ import annotations

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
_POINTS: Final = 20
_ANGLES: Final = (np.arange(_POINTS) + 0.5) * np.pi / _POINTS
_COS, _SIN = np.cos(_ANGLES), np.sin(_ANGLES)
#: A turning point is found to this share of its radius: the action is then good to the square of it.
_CLOSE: Final = 1e-6


def _flat_curve() -> tuple[FloatArray, FloatArray]:
    """Ln(r / r_c) of the peri- and apocentres of :data:`_XI` where v_c is constant: near to those of any halo."""
    with np.errstate(divide="ignore"):
        middle = np.maximum(np.log(_XI), -40.0)
    found = []
    for beyond in (-50.0, 1.0):
        inside, outside = middle, np.full(len(_XI), beyond)
        for _ in range(60):
            trial = 0.5 * (inside + outside)
            allowed = 0.5 - trial - 0.5 * (_XI * np.exp(-trial)) ** 2 > 0.0
            inside, outside = np.where(allowed, trial, inside), np.where(allowed, outside, trial)
        found.append(0.5 * (inside + outside))
    return found[0], found[1]


_INNER, _OUTER = _flat_curve()


def _directions(n: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Cosines and sines of angles from the radial direction to the tangential plane, and weights: 2 in all."""
    at, weight = np.polynomial.legendre.leggauss(n)
    angle = 0.25 * np.pi * (at + 1.0)
    return np.cos(angle), np.sin(angle), 0.5 * np.pi * np.sin(angle) * weight


#: Points and weights of integrals over speeds, in units of that of escape, and over directions.
_AT, _WEIGHT = np.polynomial.legendre.leggauss(16)
_FAST: Final = 0.5 * (_AT + 1.0), 0.5 * _WEIGHT
_TOWARD: Final = _directions(8)


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
    q = _shapes(start, step, phi, vc2, rise, first, n, _XI, _INNER, _OUTER, _COS, _SIN)
    slope = vc2 + 0.5 * rise
    powers = np.ascontiguousarray(q @ _TO_POWERS.T)
    return start, step, phi, vc2, energy, slope, log_lc, first, powers


@numba.njit(cache=True, error_model="numpy")
def _phi_at(x: float, start: float, step: float, phi: FloatArray, vc2: FloatArray) -> float:
    """Potential at ln r: cubics, whose slopes are v_c^2."""
    place = (x - start) / step
    j = min(max(int(place), 0), len(phi) - 2)
    t = min(max(place - j, 0.0), 1.0)
    s = 1.0 - t
    ends = phi[j] * s * s * (1.0 + 2.0 * t) + phi[j + 1] * t * t * (1.0 + 2.0 * s)
    return float(ends + step * s * t * (vc2[j] * s - vc2[j + 1] * t))


@numba.njit(cache=True, error_model="numpy")
def _turning(
    inside: float, outside: float, guess: float, energy: float, half_l2: float,
    start: float, step: float, phi: FloatArray, vc2: FloatArray,
) -> float:  # fmt: skip
    """Ln r between two, where E - Phi - L^2 / 2 r^2 changes its sign: positive at ``inside``."""
    x = guess
    for _ in range(60):
        barrier = half_l2 * np.exp(-2.0 * x)
        f = energy - _phi_at(x, start, step, phi, vc2) - barrier
        if f > 0.0:
            inside = x
        else:
            outside = x
        # Newton's step, with v_c^2 of the nearest node as slope: halved between both ends where it leaves them
        j = min(max(int((x - start) / step + 0.5), 0), len(vc2) - 1)
        slope = 2.0 * barrier - vc2[j]
        new = x - f / slope if slope != 0.0 else inside
        if not min(inside, outside) < new < max(inside, outside):
            new = 0.5 * (inside + outside)
        if abs(new - x) < _CLOSE:
            return float(new)
        x = new
    return float(x)


@numba.njit(cache=True, error_model="numpy")
def _shapes(
    start: float, step: float, phi: FloatArray, vc2: FloatArray, rise: FloatArray,
    first: int, n: int, xi: FloatArray, inner: FloatArray, outer: FloatArray,
    cos: FloatArray, sin: FloatArray,
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
                r_p = np.exp(_turning(x, low, x + inner[k], energy, half_l2, start, step, phi, vc2))
            r_a = np.exp(_turning(x, high, x + outer[k], energy, half_l2, start, step, phi, vc2))
            middle, half = 0.5 * (r_a + r_p), 0.5 * (r_a - r_p)
            whole = 0.0
            for m in range(len(cos)):
                r = middle - half * cos[m]
                w = energy - _phi_at(np.log(r), start, step, phi, vc2) - half_l2 / (r * r)
                whole += np.sqrt(max(w, 0.0)) * sin[m]
            q[i, k] = whole * np.sqrt(2.0) * half / len(cos) / (momentum * (1.0 - xi[k]))
        q[i, -1] = 1.0 / np.sqrt(2.0 + rise[j] / vc2[j])
    return q


@numba.njit(cache=True, error_model="numpy")
def _circle(energy: float, table: Table, shape: FloatArray) -> float:
    """L_c [kpc km/s] of an energy, infinite where not bound; ``shape`` (6,) becomes q in powers of L / L_c."""
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
    place = (lo + across - first) / _STRIDE
    i = min(max(int(place), 1), len(q) - 3)
    f = place - i
    w0 = -f * (f - 1.0) * (f - 2.0) / 6.0
    w1 = (f + 1.0) * (f - 1.0) * (f - 2.0) / 2.0
    w2 = -(f + 1.0) * f * (f - 2.0) / 2.0
    w3 = (f + 1.0) * f * (f - 1.0) / 6.0
    for k in range(q.shape[1]):
        shape[k] = w0 * q[i - 1, k] + w1 * q[i, k] + w2 * q[i + 1, k] + w3 * q[i + 2, k]
    return float(np.exp(v * log_lc[lo] + u * log_lc[hi] - bend))


@numba.njit(cache=True, error_model="numpy")
def _radial(circle: float, momentum: float, shape: FloatArray) -> float:
    """J_r of an angular momentum among those of the energy that :func:`_circle` has looked up."""
    if circle == np.inf:
        return np.inf
    xi = min(momentum / circle, 1.0)
    q = 0.0
    for k in range(len(shape) - 1, -1, -1):
        q = q * xi + shape[k]
    return float(circle * (1.0 - xi) * q)


@numba.njit(cache=True, error_model="numpy")
def radial_action(energy: float, momentum: float, table: Table) -> float:
    """J_r [kpc km/s] of an energy [(km/s)^2] and an angular momentum [kpc km/s]; infinite where not bound."""
    shape = np.empty(table[8].shape[1])
    return _radial(_circle(energy, table, shape), momentum, shape)


@numba.njit(cache=True, error_model="numpy")
def log_df(j_r: float, momentum: float, df: FloatArray) -> float:
    """Ln f of actions; ``df`` is (slope_in, slope_out, j0, coef_in, coef_out, steepness)."""
    if j_r == np.inf:
        return -np.inf
    slope_in, slope_out, j0, c_in, c_out, steepness = df
    h = max(c_in * j_r + 0.5 * (3.0 - c_in) * momentum, 1e-9 * j0) / j0
    g = (c_out * j_r + 0.5 * (3.0 - c_out) * momentum) / j0
    if steepness == 1.0:
        return float(slope_in * np.log(1.0 + 1.0 / h) - slope_out * np.log(1.0 + g))
    inner = np.log1p(h**-steepness) * slope_in / steepness
    return float(inner - np.log1p(g**steepness) * slope_out / steepness)


@numba.njit(cache=True, error_model="numpy")
def log_df_of(
    r: FloatArray, half_square: FloatArray, momentum: FloatArray, table: Table, df: FloatArray
) -> FloatArray:
    """Ln f (n,) of stars at ln r, with v^2 / 2 and angular momentum (n,) each."""
    start, step, phi, vc2 = table[0], table[1], table[2], table[3]
    shape = np.empty(table[8].shape[1])
    out = np.empty(len(r))
    for i in range(len(r)):
        energy = _phi_at(r[i], start, step, phi, vc2) + half_square[i]
        j_r = _radial(_circle(energy, table, shape), momentum[i], shape)
        out[i] = log_df(j_r, momentum[i], df)
    return out


def moments(r: FloatArray, table: Table, df: FloatArray) -> FloatArray:
    """Density (n, 3) at ln r (n,), and the same times <v_r^2> and <v_t^2>: integrals of f over all bound velocities."""
    return _moments(r, table, df, *_FAST, *_TOWARD)


@numba.njit(cache=True, error_model="numpy")
def _moments(
    r: FloatArray, table: Table, df: FloatArray, fast: FloatArray, of_speed: FloatArray,
    cos: FloatArray, sin: FloatArray, of_direction: FloatArray,
) -> FloatArray:  # fmt: skip
    start, step, phi, vc2 = table[0], table[1], table[2], table[3]
    shape = np.empty(table[8].shape[1])
    out = np.zeros((len(r), 3))
    for i in range(len(r)):
        here = _phi_at(r[i], start, step, phi, vc2)
        escape = np.sqrt(-2.0 * here)
        for m in range(len(fast)):
            v = fast[m] * escape
            circle = _circle(here + 0.5 * v * v, table, shape)
            volume = 2.0 * np.pi * v * v * escape * of_speed[m]
            for k in range(len(cos)):
                across = v * sin[k]
                momentum = np.exp(r[i]) * across
                f = np.exp(log_df(_radial(circle, momentum, shape), momentum, df))
                f *= volume * of_direction[k]
                out[i, 0] += f
                out[i, 1] += f * (v * cos[k]) ** 2
                out[i, 2] += f * across * across
    return out
