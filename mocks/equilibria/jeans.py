"""Radial velocity dispersion of a spherical equilibrium by the Jeans equation, for any anisotropy.

With g = exp(2 int beta dr / r) the solution that vanishes at infinity is (Binney & Tremaine 2008,
section 4.8.1)

    rho sigma_r^2 (r) = 1 / g(r) int_r^inf g rho G M / r'^2 dr'.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
from numpy.typing import ArrayLike

from haloassay.base.arrays import FloatArray
from haloassay.base.constants import G
from haloassay.base.errors import InputError
from haloassay.mocks.equilibria.anisotropy import Anisotropy
from haloassay.mocks.stars import RadialDensity

if TYPE_CHECKING:
    from scipy.interpolate import CubicHermiteSpline


#: Cells a decade of radius, Gauss-Legendre nodes a cell, decades outside the outermost radius.
CELLS_PER_DECADE: Final = 48
NODES: Final = 5
OUTER_DECADES: Final = 4.0


class Massive(Protocol):
    """Anything with an enclosed mass."""

    def enclosed_mass(self, r: ArrayLike) -> FloatArray:
        """Mass [Msun] within ``r`` [kpc]."""


@dataclass(frozen=True, eq=False)
class JeansSolution:
    """Tabulated solution of the Jeans equation between ``r_min`` and ``r_max``.

    Between the nodes ln g and ln (g rho sigma_r^2) are cubics that keep their exact derivatives,
    2 beta and -G M / (r sigma_r^2); both are smoother than sigma_r, which bends where the density
    breaks.
    """

    density: RadialDensity
    r_min: float
    r_max: float
    log_r: FloatArray
    log_g: FloatArray
    log_pressure: FloatArray
    derivatives: tuple[FloatArray, FloatArray]

    @cached_property
    def _splines(self) -> tuple[CubicHermiteSpline, CubicHermiteSpline]:
        from scipy.interpolate import CubicHermiteSpline

        g = CubicHermiteSpline(self.log_r, self.log_g, self.derivatives[0])
        return g, CubicHermiteSpline(self.log_r, self.log_pressure, self.derivatives[1])

    def log_pressure_at(self, r: ArrayLike) -> FloatArray:
        """Natural logarithm of rho sigma_r^2 at ``r`` [kpc], rho as the density normalises it.

        Raises
        ------
        InputError
            If a radius lies outside the solution.
        """
        r = np.asarray(r, dtype=float)
        slack = 1e-12
        if np.any(~((r >= self.r_min * (1 - slack)) & (r <= self.r_max * (1 + slack)))):
            raise InputError(
                f"the Jeans solution holds from {self.r_min:g} to {self.r_max:g} kpc"
                f" (got {np.min(r):g} to {np.max(r):g})"
            )
        g, pressure = self._splines
        x = np.log(r)
        return np.asarray(pressure(x) - g(x), dtype=float)

    def sigma_r(self, r: ArrayLike) -> FloatArray:
        """Radial velocity dispersion [km/s] at ``r`` [kpc]; InputError outside the solution."""
        return np.exp(0.5 * (self.log_pressure_at(r) - self.density.log_density(r)))


def solve(
    potential: Massive, density: RadialDensity, anisotropy: Anisotropy, r_min: float, r_max: float
) -> JeansSolution:
    """Solve the Jeans equation from ``r_min`` to ``r_max`` [kpc].

    The integral runs to 1e4 ``r_max``, and to infinity with the local power law of the integrand.
    Cell edges stand on the ``knots`` of density and anisotropy where they have any, so that breaks
    cost no accuracy. sigma_r is good to 1e-6 (tests/mocks/test_jeans.py).

    Raises
    ------
    InputError
        If the radii are not positive and rising, or the pressure integral diverges at infinity.
    """
    if not 0.0 < r_min < r_max < np.inf:
        raise InputError(f"r_min and r_max must be positive and rising (got {r_min:g}, {r_max:g})")
    edges = _edges((density, anisotropy), r_min, r_max)
    step = np.diff(edges)
    t, weights = np.polynomial.legendre.leggauss(NODES)
    t, weights = 0.5 * (t + 1.0), 0.5 * weights
    x = edges[:-1, None] + step[:, None] * t
    r = np.exp(x)
    beta = anisotropy.beta(r)
    growth = 2.0 * step * (beta @ weights)
    log_g = np.concatenate([[0.0], np.cumsum(growth)])
    log_g_nodes = log_g[:-1, None] + 2.0 * step[:, None] * (beta @ _primitives(t).T)
    log_pull = np.log(G * potential.enclosed_mass(r)) - x
    integrand = log_g_nodes + density.log_density(r) + log_pull
    cells = np.log(step) + _log_sum(integrand + np.log(weights))
    tail = _log_tail(x[-1], integrand[-1], edges[-1])
    log_pressure = np.logaddexp.accumulate(np.append(cells, tail)[::-1])[::-1]
    at = np.exp(edges)
    log_force = np.log(G * potential.enclosed_mass(at)) - edges
    rate = -np.exp(log_g + density.log_density(at) + log_force - log_pressure)
    inside = edges <= np.log(r_max) + 1e-12
    derivatives = (2.0 * anisotropy.beta(at)[inside], rate[inside])
    return JeansSolution(
        density, r_min, r_max, edges[inside], log_g[inside], log_pressure[inside], derivatives
    )


def sigma_r(
    potential: Massive, density: RadialDensity, anisotropy: Anisotropy, r: ArrayLike
) -> FloatArray:
    """Radial velocity dispersion [km/s] at radii ``r`` [kpc]; see :func:`solve`."""
    r = np.asarray(r, dtype=float)
    r_min, r_max = float(np.min(r)), float(np.max(r))
    return solve(potential, density, anisotropy, r_min, max(r_max, 1.01 * r_min)).sigma_r(r)


def _edges(profiles: tuple[Any, ...], r_min: float, r_max: float) -> FloatArray:
    """Cell edges in ln r: equal steps through ``r_min`` and ``r_max``, and the profiles' knots."""
    low, high = np.log(r_min), np.log(r_max)
    top = high + OUTER_DECADES * np.log(10.0)
    per_efold = CELLS_PER_DECADE / np.log(10.0)
    inner = np.linspace(low, high, max(2, round((high - low) * per_efold) + 1))
    outer = np.linspace(high, top, round((top - high) * per_efold) + 1)[1:]
    knots = np.log([k for p in profiles for k in getattr(p, "knots", ())])
    edges = np.concatenate([inner, outer, knots[(knots > low) & (knots < top)]])
    edges.sort()
    distinct = np.concatenate([[True], np.diff(edges) > 1e-9])
    return np.asarray(edges[distinct], dtype=float)


def _primitives(t: FloatArray) -> FloatArray:
    """Matrix from values at nodes ``t`` of [0, 1] to their polynomial's integral from 0 to each."""
    powers = np.arange(len(t))
    vandermonde = t[:, None] ** powers
    integrals = t[:, None] ** (powers + 1) / (powers + 1)
    return np.asarray(integrals @ np.linalg.inv(vandermonde), dtype=float)


def _log_sum(values: FloatArray) -> FloatArray:
    """Log of the sum of exponentials over the last axis."""
    peak = np.max(values, axis=-1)
    return np.asarray(peak + np.log(np.sum(np.exp(values - peak[..., None]), axis=-1)))


def _log_tail(x: FloatArray, log_integrand: FloatArray, edge: float) -> float:
    """Log of the integral from ``edge`` to infinity of a power law through the last cell."""
    slope = float((log_integrand[-1] - log_integrand[0]) / (x[-1] - x[0]))
    if not slope < 0.0:
        raise InputError(
            "the pressure integral diverges at infinity: d ln(g rho G M / r) / d ln r is"
            f" {slope:g} at {np.exp(edge):g} kpc; density must fall faster there, or beta be lower"
        )
    return float(log_integrand[-1] + slope * (edge - x[-1]) - np.log(-slope))
