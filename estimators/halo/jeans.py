"""The Jeans integral: radial velocity variance of tracers of constant anisotropy, any halo.

    sigma_r^2(r) = r^(-2 beta) / rho(r) int_r^inf s^(2 beta) rho(s) G M(<s) / s^2 ds
                 = 1 / r int_ln(r)^inf w(s) / w(r) G M(<s) dln(s),    w = rho s^(2 beta - 1)

Twice, as it is wanted: at a few radii for every halo of a posterior, to 1e-6 (:class:`JeansIntegral`),
and at all radii of a sample for a list of halos, by one sum from outside in (:func:`jeans_tables`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.constants import G
from haloassay.base.errors import InputError
from haloassay.contracts.profiles import nfw_shape, virial_radius
from haloassay.estimators.bins import DensitySlope
from haloassay.estimators.halo.baryons import Baryons, baryons_mass

if TYPE_CHECKING:
    from scipy.interpolate import CubicSpline

    from haloassay.estimators.halo.halo_potential import ZhaiHalo

#: Fall of w, as a power of 1 / s, that the integrals need at large radii.
LEAST_FALL: Final = 0.5

#: Steps of the table of the halo's part in ln r_s, and nodes of a panel of the Jeans integral.
_STEP: Final = 0.05
_NODES: Final = 16

#: Fall of ln(rho dPhi/dr r) at which the integrals are ended.
_TAIL: Final = 30.0
_FOLDS: Final = 25.0


def fall(density: DensitySlope, beta: float) -> float:
    """Power of 1 / s with which w falls at large radii; at least 0.5 for the integrals to be found."""
    return 1.0 - density.slopes[-1] - 2.0 * beta


def log_weight(log_s: FloatArray, density: DensitySlope, beta: float) -> FloatArray:
    """Ln w at ``log_s`` (...), the logarithm of radii [kpc]; its normalisation is arbitrary."""
    return density.log_density(np.exp(log_s)) + (2.0 * beta - 1.0) * log_s


@dataclass(frozen=True, eq=False)
class JeansIntegral:
    """Radial velocity variance sigma_r^2 of tracers, for any NFW halo, at radii chosen once.

    Zhai et al. (2018, eq. 7), with the factor that a constant beta brings in; the minus sign printed
    there belongs to the limits. The integral is linear in the potential: the baryons' part is a number
    a radius, the halo's is G m200 / mu(c200) times a function of r_s alone, which is tabulated.

    Parameters
    ----------
    baryons
        (k,) part of the baryons [(km/s)^2].
    halo
        Logarithm (..., k) of the halo's part over G m200 / mu(c200) [1/kpc], as a spline in ln r_s.
    model
        The halo.
    """

    baryons: FloatArray
    halo: CubicSpline
    model: ZhaiHalo

    @classmethod
    def of(
        cls, radii: FloatArray, density: DensitySlope, beta: float, model: ZhaiHalo
    ) -> JeansIntegral:
        """Integral for radii (k,), or averaged over the last axis of radii (k, q) [kpc].

        Gauss-Legendre panels in ln s, split where the density breaks; accurate to 1e-6.

        Raises
        ------
        InputError
            If the density falls so slowly that the integral does not converge.
        """
        from scipy.interpolate import CubicSpline

        radii = np.asarray(radii, dtype=float)
        s, weight = _nodes(radii.ravel(), density, beta)
        lo, hi = np.log(model.scale_range)
        knots = np.linspace(lo, hi, max(int((hi - lo) / _STEP) + 2, 8))
        halo = np.array([np.sum(weight * nfw_shape(s / r_s), axis=1) for r_s in np.exp(knots)])
        baryons = G * np.sum(weight * model.baryons_mass(s), axis=1)
        if radii.ndim == 2:
            halo = halo.reshape(len(knots), *radii.shape).mean(axis=2)
            baryons = baryons.reshape(radii.shape).mean(axis=1)
        return cls(baryons, CubicSpline(knots, np.log(halo)), model)

    def variance(self, m200: FloatArray, c200: FloatArray) -> FloatArray:
        """Sigma_r^2 (n, k) [(km/s)^2] of halos m200 (n,) [Msun], c200 (n,)."""
        scale = virial_radius(m200, self.model.h0) / c200
        norm = G * m200 / nfw_shape(c200)
        return np.asarray(self.baryons + norm[:, None] * np.exp(self.halo(np.log(scale))))


def _nodes(r: FloatArray, density: DensitySlope, beta: float) -> tuple[FloatArray, FloatArray]:
    """Nodes s (k, m) [kpc] of the integral of each radius (k,), and weights that M(<s) takes."""
    slowest = fall(density, beta)
    if slowest < LEAST_FALL:
        raise InputError(
            f"alpha: the density must fall faster than r^{0.5 - 2.0 * beta:g} at large radii for "
            f"the Jeans integral to converge (got r^{density.slopes[-1]:g})"
        )
    breaks = np.log(density.breaks)
    bend = np.array([-10.0, -4.0, -1.0, 0.0, 1.0, 4.0, 10.0]) * density.width
    bends = np.unique(np.add.outer(breaks, bend)) if len(breaks) else np.empty(0)
    end = max(np.log(r.max()), bends.max(initial=-np.inf)) + _TAIL / slowest
    x, w = np.polynomial.legendre.leggauss(_NODES)
    n_panels = int(np.ceil((end - np.log(r.min())) / 0.7))
    shared = np.linspace(0.0, 1.0, n_panels + 1)
    # every radius has as many panels; bends inside it are edges, the others make empty panels
    start = np.log(r)[:, None]
    edges = np.concatenate([start + (end - start) * shared, np.maximum(bends, start)], axis=1)
    edges = np.sort(edges, axis=1)
    half = 0.5 * np.diff(edges, axis=1)[..., None]
    log_s = (0.5 * (edges[:, 1:] + edges[:, :-1])[..., None] + half * x).reshape(len(r), -1)
    contrast = log_weight(log_s, density, beta) - log_weight(start, density, beta)
    weight = (half * w).reshape(len(r), -1) * np.exp(contrast) / r[:, None]
    return np.exp(log_s), weight


def jeans_tables(
    x: FloatArray, density: DensitySlope, beta: FloatArray, r_s: FloatArray, baryons: Baryons
) -> FloatArray:
    """Radial variance of tracers at radii exp(x) (k,), from the Jeans integral to infinity.

    Returns
    -------
    ndarray
        (b, k, m + 1), for each beta (b,): over G M_s, M(<r) = M_s mu(r / r_s), for each r_s (m,)
        [1/kpc]; then that of the baryons [(km/s)^2].
    """
    outermost = max(float(x[-1]), float(np.log(density.breaks[-1])) if density.breaks else -np.inf)
    inside = np.linspace(x[0], x[-1], 2 * (len(x) - 1) + 1)
    beyond = np.linspace(x[-1], outermost + _FOLDS / fall(density, float(np.max(beta))), 1501)[1:]
    nodes = np.concatenate([inside, beyond])
    s = np.exp(nodes)
    mu = nfw_shape(s[:, None] / r_s)
    masses = np.column_stack([mu, G * baryons_mass(baryons, s)])
    step = np.diff(nodes)[:, None]
    tables = []
    for one in beta:
        at_nodes = log_weight(nodes, density, one)
        weight = np.exp(at_nodes - at_nodes[0])
        source = weight[:, None] * masses
        pieces = 0.5 * (source[1:] + source[:-1]) * step
        outward = np.cumsum(pieces[::-1], axis=0)[::-1][: len(inside) : 2]
        tables.append(outward / (weight[: len(inside) : 2] * np.exp(x))[:, None])
    return np.array(tables)
