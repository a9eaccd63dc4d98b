"""Actions of stars in a spherical potential, and moments of distribution functions of them.

The radial action of an energy and an angular momentum is looked up in a table that is made anew for each
potential: J_r = (L_c - L) q(r_c, L / L_c), with r_c and L_c those of the circle of the same energy. q is between
1/2 (harmonic) and 1 (Kepler) and changes slowly: a cubic in ln r_c and a polynomial in L / L_c are good to 1e-4.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from haloassay.base.arrays import FloatArray, IntArray
from haloassay.base.compiled import compiled
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
#: Weights of f, f v_r^2 / v^2 and f v_t^2 / v^2 over directions.
_PARTS: Final = np.stack([_TOWARD[2] * part for part in (1.0, _TOWARD[0] ** 2, _TOWARD[1] ** 2)], 1)


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


#: What kernels read: (ln r of the first node, step of ln r, Phi, v_c^2, E_c, dE_c/dln r, ln L_c, L_c, last node of an
#: orbit, q in powers of L / L_c). All are of the nodes.
Table = tuple[
    float, float, FloatArray, FloatArray, FloatArray, FloatArray, FloatArray, FloatArray, int,
    FloatArray,
]  # fmt: skip


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
    rise = np.empty(_NODES)
    rise[1:-1] = (vc2[2:] - vc2[:-2]) / (2.0 * step)
    rise[0], rise[-1] = (vc2[1] - vc2[0]) / step, (vc2[-1] - vc2[-2]) / step
    energy = phi + 0.5 * vc2
    log_lc = start + step * np.arange(_NODES) + 0.5 * np.log(vc2)
    first, n = rows
    q = _shapes(start, step, phi, vc2, rise, first, n, _XI, _INNER, _OUTER, _COS, _SIN)
    slope = vc2 + 0.5 * rise
    powers = _at_nodes(q @ _TO_POWERS.T, first)
    last = first + _STRIDE * (n - 1)
    return start, step, phi, vc2, energy, slope, log_lc, np.exp(log_lc), last, powers


@compiled(error_model="numpy")
def _at_nodes(q: FloatArray, first: int) -> FloatArray:
    """Values (n, 6) at all nodes of those (m, 6) at rows, by cubics; constant beyond the rows."""
    out = np.empty((_NODES, q.shape[1]))
    for j in range(_NODES):
        place = min(max((j - first) / _STRIDE, 0.0), len(q) - 1.0)
        i = min(max(int(place), 1), len(q) - 3)
        f = place - i
        w0 = -f * (f - 1.0) * (f - 2.0) / 6.0
        w1 = (f + 1.0) * (f - 1.0) * (f - 2.0) / 2.0
        w2 = -(f + 1.0) * f * (f - 2.0) / 2.0
        w3 = (f + 1.0) * f * (f - 1.0) / 6.0
        for k in range(q.shape[1]):
            out[j, k] = w0 * q[i - 1, k] + w1 * q[i, k] + w2 * q[i + 1, k] + w3 * q[i + 2, k]
    return out


@compiled(error_model="numpy")
def _phi_at(x: float, start: float, step: float, phi: FloatArray, vc2: FloatArray) -> float:
    """Potential at ln r: cubics, whose slopes are v_c^2."""
    place = (x - start) / step
    j = min(max(int(place), 0), len(phi) - 2)
    t = min(max(place - j, 0.0), 1.0)
    s = 1.0 - t
    ends = phi[j] * s * s * (1.0 + 2.0 * t) + phi[j + 1] * t * t * (1.0 + 2.0 * s)
    return float(ends + step * s * t * (vc2[j] * s - vc2[j + 1] * t))


@compiled(error_model="numpy")
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


@compiled(error_model="numpy")
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


@compiled(error_model="numpy")
def _radial(
    energy: FloatArray, momentum: FloatArray, near: IntArray, table: Table, j_r: FloatArray
) -> None:
    """Put J_r (m, k) of energies (m,) and angular momenta (m, k) into ``j_r``, infinite where not bound.

    ``near`` (m,) are nodes next to which the circles of these energies are sought, and found; where it is empty,
    each is sought next to the last.
    """
    _, step, _, _, energies, slopes, log_lc, lc, last, q = table
    n, lo = len(energies), 0
    for i in range(len(energy)):
        e = energy[i]
        if not e < energies[last]:
            j_r[i] = np.inf
            continue
        if len(near) > 0:
            lo = min(near[i], last - 1)
        while lo > 0 and energies[lo] > e:
            lo -= 1
        while energies[lo + 1] <= e:
            lo += 1
        hi = lo + 1
        if len(near) > 0:
            near[i] = lo
        width = energies[hi] - energies[lo]
        t = max((e - energies[lo]) / width, 0.0)
        s = 1.0 - t
        # ln r_c as a function of E, by cubics whose slopes are known
        u = t * t * (1.0 + 2.0 * s) + s * t * width / step * (s / slopes[lo] - t / slopes[hi])
        v = 1.0 - u
        before, after = max(lo - 1, 0), min(hi + 1, n - 1)
        rise = log_lc[hi] - log_lc[lo]
        bend = log_lc[before] + log_lc[after] - log_lc[lo] - log_lc[hi]
        rise = u * (rise - 0.25 * v * bend)
        # the exponential of what is less than a step
        growth = 1.0 + rise * (1.0 + rise / 2.0 * (1.0 + rise / 3.0 * (1.0 + rise / 4.0)))
        circle = lc[lo] * growth
        for m in range(momentum.shape[1]):
            xi = min(momentum[i, m] / circle, 1.0)
            below, above = 0.0, 0.0
            for k in range(q.shape[1] - 1, -1, -1):
                below = below * xi + q[lo, k]
                above = above * xi + q[hi, k]
            j_r[i, m] = circle * (1.0 - xi) * (v * below + u * above)


_NOWHERE: Final = np.empty(0, dtype=np.int64)


def radial_actions(
    energy: FloatArray, momentum: FloatArray, table: Table, near: IntArray | None = None
) -> FloatArray:
    """Radial actions (m, k) [kpc km/s], infinite where not bound.

    Parameters
    ----------
    energy, momentum
        Energies (m,) [(km/s)^2], and angular momenta (m, k) [kpc km/s] of each.
    table
        Of a potential.
    near
        (m,) nodes of the table, with which the next energies that are like these are found sooner; they change.
    """
    j_r = np.empty(momentum.shape)
    _radial(energy, momentum, _NOWHERE if near is None else near, table, j_r)
    return j_r


def log_df(j_r: FloatArray, momentum: FloatArray, df: FloatArray) -> FloatArray:
    """Ln f of actions; ``df`` is (slope_in, slope_out, j0, coef_in, coef_out, steepness)."""
    slope_in, slope_out, j0, c_in, c_out, steepness = df
    h = (c_in / j0) * j_r
    h += (0.5 * (3.0 - c_in) / j0) * momentum
    g = (c_out / j0) * j_r
    g += (0.5 * (3.0 - c_out) / j0) * momentum
    np.maximum(h, 1e-9, out=h)
    if steepness != 1.0:
        h, g = h**steepness, g**steepness
    np.log(1.0 + 1.0 / h, out=h)
    g += 1.0
    np.log(g, out=g)
    h *= slope_in / steepness
    g *= slope_out / steepness
    h -= g
    return h


@compiled(error_model="numpy")
def _energies(
    r: FloatArray, half_square: FloatArray, start: float, step: float, phi: FloatArray, vc2: FloatArray
) -> FloatArray:  # fmt: skip
    out = np.empty(len(r))
    for i in range(len(r)):
        out[i] = _phi_at(r[i], start, step, phi, vc2) + half_square[i]
    return out


def log_df_of(
    r: FloatArray,
    half_square: FloatArray,
    momentum: FloatArray,
    table: Table,
    df: FloatArray,
    near: IntArray | None = None,
) -> FloatArray:
    """Ln f (n,) of stars at ln r, with v^2 / 2 and L (n,) each; ``near`` as in :func:`radial_actions`."""
    energy = _energies(r, half_square, *table[:4])
    return log_df(radial_actions(energy, momentum[:, None], table, near)[:, 0], momentum, df)


def moments(r: FloatArray, table: Table, df: FloatArray) -> FloatArray:
    """Density (n, 3) at ln r (n,), and the same times <v_r^2> and <v_t^2>: integrals of f over all bound velocities."""
    at, weight = _FAST
    here = _energies(r, np.zeros(len(r)), *table[:4])[:, None]
    escape = np.sqrt(-2.0 * here)
    speed = escape * at
    square = speed * speed
    momentum = (np.exp(r)[:, None] * speed).reshape(-1, 1) * _TOWARD[1]
    energy = (here + 0.5 * square).ravel()
    f = np.exp(log_df(radial_actions(energy, momentum, table), momentum, df))
    sums = (f @ _PARTS).reshape(*speed.shape, 3)
    volume = 2.0 * np.pi * square * escape * weight
    out = np.einsum("im,imk->ik", volume, sums)
    out[:, 1:] = np.einsum("im,imk->ik", volume * square, sums[..., 1:])
    return out
