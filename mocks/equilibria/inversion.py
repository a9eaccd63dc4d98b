"""The separable distribution function of a density: Eddington's, Osipkov's and Merritt's, and Cuddeford's.

With psi = -Phi and Q = psi - v^2 / 2 - L^2 / (2 r_a^2), f = L^(-2 b) f_0(Q) has beta = (b r_a^2 + r^2) / (r_a^2 +
r^2) and

    g(psi) = rho r^(2 b) (1 + r^2 / r_a^2)^(1 - b) = C int_0^psi f_0(Q) (psi - Q)^(1/2 - b) dQ, C > 0

(Cuddeford 1991, 1991MNRAS.253..414C, eq. 15 to 21): f_0 is the fractional derivative of g of order 3/2 - b, but for a
factor. Of r_a = inf it has constant anisotropy, of b = 0 too it is that of Eddington (1916).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gamma
from typing import Final

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.constants import G
from haloassay.base.errors import EquilibriumError
from haloassay.mocks.equilibria.orbits import OrbitGrid, PotentialTable, SphericalPotential
from haloassay.mocks.equilibria.tracers import Density

#: Step in ln r of the density's table; f_0 is worked out at every few of its nodes.
_STEP: Final = 0.005
_EVERY: Final = 4
#: Outer end of the table, in units of the outermost shell: what is farther adds nothing.
_FAR: Final = 1e4
#: Part of the integral of absolute values within which a negative value is rounding.
_ROUNDING: Final = 1e-3
#: What stands for zero where a logarithm is taken.
_NOTHING: Final = 1e-300
#: Orbits a cell in each direction, and nodes of their periods.
_SUB_ORBITS: Final = 4
_NODES: Final = 32


@dataclass(frozen=True, eq=False)
class SeparableFunction:
    """F = L^(-2 b) f_0(Q), not normalised.

    Parameters
    ----------
    b, r_a
        Anisotropy in the centre, and anisotropy radius [kpc].
    q
        (K,) rising values of Q [(km/s)^2].
    log_f
        (K,) ln f_0 there.
    """

    b: float
    r_a: float
    q: FloatArray
    log_f: FloatArray

    @classmethod
    def invert(
        cls,
        potential: SphericalPotential,
        density: Density,
        b: float,
        r_a: float,
        r_range: tuple[float, float],
        innermost: float,
    ) -> SeparableFunction:
        """Invert ``density`` in ``potential``.

        Parameters
        ----------
        potential, density
            Both to radii far beyond ``r_range``.
        b, r_a
            Anisotropy in the centre, below 1, and anisotropy radius [kpc], which may be infinite.
        r_range
            Radii [kpc] between which stars are wanted: the function of orbits that come there must not be negative.
        innermost
            Radius [kpc] of the most bound circular orbit that is asked for.

        Raises
        ------
        EquilibriumError
            If the function is negative, with the place; or if all orbits are radial.
        """
        if b >= 1.0:
            raise EquilibriumError("beta = 1 has radial orbits alone: no separable function")
        n = int(np.log(_FAR * r_range[1] / innermost) / _STEP) + 2
        ln_r = np.log(innermost) + _STEP * np.arange(n)
        order = 1.5 - b
        whole = int(np.floor(order)) + 1
        psi, derivative = _derivative(potential, density, b, r_a, ln_r, whole)
        value, scale = _fractional(psi, derivative, order - whole + 1)
        q = psi[::_EVERY]
        r = np.exp(ln_r[::_EVERY])
        negative = (value < -_ROUNDING * scale) & (r >= r_range[0]) & (r <= r_range[1])
        if negative.any():
            where = r[negative]
            raise EquilibriumError(
                "the separable distribution function of this density and beta is negative at the energies"
                f" Q = -Phi(r), r = {where.min():.3g} to {where.max():.3g} kpc; distribution = {{ kind ="
                " 'power-law' } may have one that is not"
            )
        log_f = np.log(np.maximum(value, _NOTHING))
        return cls(b, r_a, q[::-1].copy(), log_f[::-1].copy())

    def log_value(self, energy: FloatArray, l2: FloatArray) -> FloatArray:
        """Ln f of orbits with specific ``energy`` [(km/s)^2] and squared angular momentum ``l2`` [(kpc km/s)^2]."""
        q = -energy - 0.5 * l2 / self.r_a**2
        ln_q = np.log(np.maximum(q, 1e-3 * self.q[0]))
        log_f = np.interp(ln_q, np.log(self.q), self.log_f, left=-np.inf)
        return np.asarray(log_f - self.b * np.log(l2), dtype=float)


def _derivative(
    potential: SphericalPotential,
    density: Density,
    b: float,
    r_a: float,
    ln_r: FloatArray,
    order: int,
) -> tuple[FloatArray, FloatArray]:
    """Psi and a derivative of g, d^k g / d psi^k = g u_k, at radii; u_k, by recursion, is as smooth as the slope."""
    from scipy.interpolate import CubicSpline

    r = np.exp(ln_r)
    x = (r / r_a) ** 2
    log_g = density.log_density(r) + 2.0 * b * ln_r + (1.0 - b) * np.log1p(x)
    slope = density.slope(r) + 2.0 * b + 2.0 * (1.0 - b) * x / (1.0 + x)
    pull = G * potential.enclosed_mass(r) / r  # -d psi / d ln r
    u = np.ones(len(r))
    for _ in range(order):
        u = -(u * slope + CubicSpline(ln_r, u)(ln_r, 1)) / pull
    return -potential.potential(r), np.exp(log_g - log_g.max()) * u


def _fractional(
    psi: FloatArray, derivative: FloatArray, power: float
) -> tuple[FloatArray, FloatArray]:
    """int_0^Q D(psi) (Q - psi)^-power dpsi at every few of the falling nodes ``psi``, and that of abs(D).

    D is linear between nodes, and falls to zero from the last one to psi = 0; the kernel is integrated exactly.
    """
    psi, derivative = np.append(psi, 0.0), np.append(derivative, 0.0)
    places = range(0, len(psi) - 1, _EVERY)
    value, scale = np.empty(len(places)), np.empty(len(places))
    norm = gamma(1.0 - power)
    for i, k in enumerate(places):
        y = psi[k] - psi[k:]
        zeroth = np.diff(y ** (1.0 - power)) / (1.0 - power)
        first = np.diff(y ** (2.0 - power)) / (2.0 - power)
        to_outer = (first - y[:-1] * zeroth) / np.diff(y)
        weight = np.zeros(len(y))
        weight[1:] += to_outer
        weight[:-1] += zeroth - to_outer
        value[i] = weight @ derivative[k:] / norm
        scale[i] = weight @ np.abs(derivative[k:]) / norm
    return value, scale


def cell_shares(function: SeparableFunction, table: PotentialTable, grid: OrbitGrid) -> FloatArray:
    """(n_cells,) stars of a distribution function on the orbits of each cell, but for a factor.

    N = 8 pi^2 int f T_r dE d(L^2 / 2) with the radial period T_r. With p and a the turning points, and A the
    effective force there, dE d(L^2 / 2) = p^2 a^2 (-A_p A_a) / (a^2 - p^2) dp da. Nodes in w are even in w^(2 - 2 b),
    where f L dL is.
    """
    sub = (np.arange(_SUB_ORBITS) + 0.5) / _SUB_ORBITS
    rise = 2.0 - 2.0 * function.b
    ends = grid.w**rise
    w = (ends[:-1, None] + np.diff(ends)[:, None] * sub).ravel() ** (1.0 / rise)
    stretch = np.repeat(np.diff(ends), _SUB_ORBITS) * w ** (1.0 - rise)
    r_m = np.exp((grid.ln_r[:-1, None] + np.diff(grid.ln_r)[:, None] * sub).ravel())
    phi = _interpolated(table)
    r_m, w = r_m[:, None], w[None, :]
    p, a = r_m * w, r_m * (2.0 - w)
    phi_p, phi_a = phi(np.log(p)), phi(np.log(a))
    l2 = 2.0 * (phi_a - phi_p) * p**2 * a**2 / (a**2 - p**2)
    energy = phi_a + 0.5 * l2 / a**2
    inward = phi(np.log(p), 1) / p - l2 / p**3
    outward = phi(np.log(a), 1) / a - l2 / a**3
    jacobian = p**2 * a**2 * np.maximum(-inward * outward, 0.0) / (a**2 - p**2) * r_m**2
    period = np.zeros(l2.shape)
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    for theta, weight in zip(0.5 * np.pi * (nodes + 1.0), weights, strict=True):
        r = r_m * (1.0 - (1.0 - w) * np.cos(theta))
        v2 = 2.0 * (energy - phi(np.log(r))) - l2 / r**2
        floor = 1e-9 * l2 / r**2
        period += weight * r_m * (1.0 - w) * np.sin(theta) / np.sqrt(np.maximum(v2, floor))
    log_f = function.log_value(energy, l2)
    number = np.exp(log_f - log_f.max()) * period * jacobian * stretch
    cells = number.reshape(len(grid.ln_r) - 1, _SUB_ORBITS, len(grid.w) - 1, _SUB_ORBITS)
    return np.asarray(cells.sum(axis=(1, 3)).ravel(), dtype=float)


def _interpolated(table: PotentialTable):  # type: ignore[no-untyped-def]
    """Spline of the potential in ln r, as the orbits' kernels have it."""
    from scipy.interpolate import CubicHermiteSpline

    ln_r = table.ln_r0 + table.step * np.arange(len(table.phi))
    return CubicHermiteSpline(ln_r, table.phi, table.slope)
