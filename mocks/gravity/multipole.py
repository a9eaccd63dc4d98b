"""Potentials of bodies with three planes of symmetry, by spherical harmonics of even l and m.

Even harmonics up to l = 2 n are polynomials of degree n in the squared direction cosines to two axes,
u = (x / r)^2 and v = (z / r)^2. The potential is kept as Phi = sum_ij f_ij(ln r) u^i v^j, i + j <= n,
which takes no associated Legendre functions to evaluate, and as few terms as there are harmonics.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.constants import G
from haloassay.base.settings import require
from haloassay.mocks.gravity.field_kernels import LN_R0, N_CELLS, STEP
from haloassay.mocks.gravity.quadrature import octant

#: Gauss-Legendre nodes a cell of ln r, and cells beyond the grid on both sides, in radial integrals.
_NODES = 6
_MARGIN = 100

#: Half the highest harmonic ever used, and the root mean square of the force that may be left out.
_MAX_DEGREE = 12
_ACCURACY = 1e-6


@dataclass(frozen=True, eq=False)
class Multipoles:
    """Part of a potential that is symmetric about three planes.

    Parameters
    ----------
    rotation
        (3, 3) from the body's axes to Galactic ones; its columns are the body's axes.
    degree
        n; harmonics reach l = 2 n.
    nodes
        (N_CELLS + 1, K, 3) values of the f_ij [(km/s)^2] at the nodes of ln r, their first and
        second derivative by ln r. Terms are ordered by i, then j.
    """

    rotation: FloatArray
    degree: int
    nodes: FloatArray

    def cells(self, degree: int) -> FloatArray:
        """(N_CELLS, 6, K) quintics in each cell, with the terms of a ``degree`` not below its own."""
        nodes = np.zeros((len(self.nodes), len(_exponents(degree)), 3))
        place = {ij: k for k, ij in enumerate(_exponents(degree))}
        for k, ij in enumerate(_exponents(self.degree)):
            nodes[:, place[ij]] = self.nodes[:, k]
        return hermite_cells(nodes)


def no_multipoles() -> Multipoles:
    """Room for a monopole alone."""
    return Multipoles(np.eye(3), 0, np.zeros((N_CELLS + 1, 1, 3)))


def hermite_cells(nodes: FloatArray) -> FloatArray:
    """(n - 1, 6, K) coefficients of quintics in t = 0..1 from (n, K, 3) values and derivatives."""
    f, g, h = (nodes[:, :, d] * STEP**d for d in range(3))
    f0, g0, h0, f1, g1, h1 = f[:-1], g[:-1], h[:-1], f[1:], g[1:], h[1:]
    rise = f1 - f0
    cells = np.empty((len(nodes) - 1, 6, nodes.shape[1]))
    cells[:, 0], cells[:, 1], cells[:, 2] = f0, g0, 0.5 * h0
    cells[:, 3] = 10.0 * rise - 6.0 * g0 - 4.0 * g1 - 1.5 * h0 + 0.5 * h1
    cells[:, 4] = -15.0 * rise + 8.0 * g0 + 7.0 * g1 + 1.5 * h0 - h1
    cells[:, 5] = 6.0 * rise - 3.0 * (g0 + g1) - 0.5 * (h0 - h1)
    return cells


def monopole_nodes(enclosed_mass: Callable[[FloatArray], FloatArray]) -> FloatArray:
    """(N_CELLS + 1, 1, 3) potential of a sphere by its enclosed mass [Msun], all of it within R_MAX.

    The slope is the squared circular velocity G M / r, the potential its integral.
    """
    from scipy.interpolate import make_interp_spline

    x = LN_R0 + STEP * np.arange(N_CELLS + 1)
    v_c2 = G * np.asarray(enclosed_mass(np.exp(x)), dtype=float) / np.exp(x)
    spline = make_interp_spline(x, v_c2, k=5)
    integral = spline.antiderivative()(x)
    potential = integral - integral[-1] - v_c2[-1]
    return np.stack([potential, v_c2, spline.derivative()(x)], axis=1)[:, None, :]


def multipoles_of_density(
    density: Callable[[FloatArray, FloatArray], FloatArray], rotation: FloatArray
) -> Multipoles:
    """Multipoles, without the monopole, of a density with three planes of symmetry.

    Phi_lm = -4 pi G / (2 l + 1) [r^(-l-1) int_0^r rho_lm s^(l+2) ds + r^l int_r^inf rho_lm s^(1-l) ds]
    (Binney & Tremaine 2008, eq. 2.95), by Gauss-Legendre in ln s over a range that is wider than the
    grid on either side. The series ends where the rest adds less than 1e-6 to the force, at l = 24 at last.

    Parameters
    ----------
    density
        Density [Msun/kpc^3] at (N,) radii [kpc] in (M, 3) directions, as (N, M).
    rotation
        From the body's axes to Galactic ones.
    """
    directions, weight = octant(36)
    harmonics = _harmonics(_MAX_DEGREE)
    basis = np.stack([_harmonic(*lm, directions) for lm in harmonics])

    def project(x: FloatArray) -> FloatArray:
        return (density(np.exp(x).ravel(), directions) * weight) @ basis.T

    t, w = np.polynomial.legendre.leggauss(_NODES)
    edges: FloatArray = LN_R0 + STEP * np.arange(-_MARGIN, N_CELLS + _MARGIN + 1.0)
    ln_s = edges[:-1, None] + 0.5 * STEP * (t + 1.0)
    rho = project(ln_s).reshape(*ln_s.shape, -1)
    own = slice(_MARGIN, _MARGIN + N_CELLS + 1)
    x = edges[own]
    squared = 4.0 * np.pi * G * project(x) * np.exp(2.0 * x)[:, None]
    values = np.empty((N_CELLS + 1, len(harmonics), 3))
    for k, (ell, _) in enumerate(harmonics):
        inner = 0.5 * STEP * (rho[:, :, k] * np.exp((ell + 3) * ln_s)) @ w
        outer = 0.5 * STEP * (rho[:, :, k] * np.exp((2 - ell) * ln_s)) @ w
        inside = np.concatenate([[0.0], np.cumsum(inner)])[own] * np.exp(-(ell + 1) * x)
        outside = np.concatenate([np.cumsum(outer[::-1])[::-1], [0.0]])[own] * np.exp(ell * x)
        if ell == 0:
            v_c2 = 4.0 * np.pi * G * inside
        factor = -4.0 * np.pi * G / (2 * ell + 1)
        values[:, k, 0] = factor * (inside + outside)
        values[:, k, 1] = factor * (ell * outside - (ell + 1) * inside)
        # Poisson's equation: what the density adds at the radius itself
        values[:, k, 2] = factor * (ell**2 * outside + (ell + 1) ** 2 * inside) + squared[:, k]
    return _truncated(values, harmonics, v_c2, rotation)


def multipoles_of_potential(
    potential: Callable[[FloatArray], FloatArray], rotation: FloatArray
) -> Multipoles:
    """Multipoles, without the monopole, of a potential with three planes of symmetry.

    Projected onto spheres at the nodes of ln r, between which derivatives are those of a spline. The series
    ends as that of a density does.

    Parameters
    ----------
    potential
        Potential [(km/s)^2] at (N, 3) positions [kpc] along the body's axes.
    rotation
        From the body's axes to Galactic ones.

    Raises
    ------
    InputError
        If the potential is not finite everywhere.
    """
    from scipy.interpolate import make_interp_spline

    directions, weight = octant(36)
    harmonics = _harmonics(_MAX_DEGREE)
    basis = np.stack([_harmonic(*lm, directions) for lm in harmonics]) * weight
    x = LN_R0 + STEP * np.arange(N_CELLS + 1)
    values = np.stack([basis @ potential(r * directions) for r in np.exp(x)])
    require(bool(np.isfinite(values).all()), "a potential is not finite between 1e-3 and 1e4 kpc")
    spline: Any = make_interp_spline(x, values, k=5)
    derivatives = np.stack([spline(x, d) for d in range(3)], axis=2)
    v_c2 = derivatives[:, 0, 1]
    return _truncated(derivatives, harmonics, v_c2, rotation)


def _truncated(
    values: FloatArray, harmonics: Sequence[tuple[int, int]], v_c2: FloatArray, rotation: FloatArray
) -> Multipoles:
    """Multipoles, without the monopole, up to the least degree that is accurate enough.

    ``values`` (N_CELLS + 1, harmonics, 3) are those of the potential and its first and second derivative by ln r.
    """
    degree = _enough(values[:, :, 0], harmonics, v_c2)
    taken = [k for k, (ell, _) in enumerate(harmonics) if 0 < ell <= 2 * degree]
    monomials = _monomials_of([harmonics[k] for k in taken], degree)
    return Multipoles(rotation, degree, np.einsum("nkd,kj->njd", values[:, taken], monomials))


def _enough(values: FloatArray, harmonics: Sequence[tuple[int, int]], v_c2: FloatArray) -> int:
    """Least degree beyond which harmonics add less than the wanted accuracy to the force, anywhere."""
    orders = np.array([ell for ell, _ in harmonics])
    sizes = [
        (ell + 1) * np.sqrt(np.sum(values[:, orders == ell] ** 2, axis=1)) / v_c2
        for ell in range(2, 2 * _MAX_DEGREE + 1, 2)
    ]
    rest = [np.max(np.sum(sizes[degree:], axis=0)) for degree in range(1, _MAX_DEGREE)]
    good = [degree for degree, size in enumerate(rest, start=1) if size < _ACCURACY]
    return good[0] if good else _MAX_DEGREE


def _exponents(degree: int) -> list[tuple[int, int]]:
    """Exponents (i, j) of u and v, in the order of the kernel."""
    return [(i, j) for i in range(degree + 1) for j in range(degree + 1 - i)]


def _harmonics(degree: int) -> list[tuple[int, int]]:
    """Even (l, m), 0 <= l <= 2 degree, 0 <= m <= l."""
    return [(ell, m) for ell in range(0, 2 * degree + 1, 2) for m in range(0, ell + 1, 2)]


def _harmonic(ell: int, m: int, direction: FloatArray) -> FloatArray:
    """Real spherical harmonic in (M, 3) directions, of mean square 1 over the sphere."""
    from scipy.special import gammaln, lpmv

    norm = np.sqrt(
        (2 * ell + 1) * (2 if m else 1) * np.exp(gammaln(ell - m + 1) - gammaln(ell + m + 1))
    )
    azimuth = np.arctan2(direction[:, 1], direction[:, 0])
    return np.asarray(norm * lpmv(m, ell, direction[:, 2]) * np.cos(m * azimuth), dtype=float)


def _monomials_of(harmonics: Sequence[tuple[int, int]], degree: int) -> FloatArray:
    """(harmonics, monomials) coefficients of u^i v^j in each harmonic."""
    directions, _ = octant(2 * degree + 2)
    u, v = directions[:, 0] ** 2, directions[:, 2] ** 2
    monomials = np.stack([u**i * v**j for i, j in _exponents(degree)], axis=1)
    values = np.stack([_harmonic(*lm, directions) for lm in harmonics], axis=1)
    return np.asarray(np.linalg.lstsq(monomials, values, rcond=None)[0].T, dtype=float)
