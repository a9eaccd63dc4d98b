"""Densities and fields as sums of Gaussians of fixed widths (Emsellem, Monnet & Bacon 1994)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.errors import EstimationError

#: Points a width at which a density is fitted.
_POINTS: Final = 8
#: Panels in ln t, from t = exp(-12) to 1, of the integrals of a field, and nodes of each.
_PANELS: Final = 10
_NODES: Final = 10


@dataclass(frozen=True, eq=False)
class Gaussians:
    """Densities mass / ((2 pi)^(3/2) q sigma^3) exp(-(R^2 + z^2 / q^2) / (2 sigma^2)).

    Parameters
    ----------
    mass, sigma, q
        (k,) masses, widths [kpc] along R, and axis ratios.
    """

    mass: FloatArray
    sigma: FloatArray
    q: FloatArray

    @property
    def peak(self) -> FloatArray:
        """(k,) densities in the centre."""
        return np.asarray(self.mass / ((2.0 * np.pi) ** 1.5 * self.q * self.sigma**3))

    def flattened(self, q: float) -> Gaussians:
        """Return the same round Gaussians, flattened to an axis ratio at constant volume and mass."""
        return Gaussians(self.mass, self.sigma * q ** (-1.0 / 3.0), np.full_like(self.sigma, q))

    def kept(self) -> Gaussians:
        """Return those whose mass is not zero."""
        some = self.mass != 0.0
        return Gaussians(self.mass[some], self.sigma[some], self.q[some])


def widths(lo: float, hi: float, ratio: float) -> FloatArray:
    """Widths [kpc] from a fifth of ``lo`` to four times ``hi``, each about ``ratio`` times the one before.

    Between ``lo`` and ``hi`` power laws are sums of these; the Gaussians beyond take care of the ends.
    """
    first, last = 0.2 * lo, 4.0 * hi
    n = int(np.ceil(np.log(last / first) / np.log(ratio))) + 1
    return np.geomspace(first, last, n)


def expanded(
    log_density: Callable[[FloatArray], FloatArray],
    lo: float,
    hi: float,
    sigma: FloatArray,
    tolerance: float,
    what: str,
) -> FloatArray:
    """Densities (k,) in the centre of round Gaussians of widths (k,), whose sum is a density between two radii.

    Parameters
    ----------
    log_density
        Ln of the density at radii [kpc].
    lo, hi
        Radii [kpc] between which it is fitted.
    sigma
        Of :func:`widths`.
    tolerance
        Largest share by which the sum may be off.
    what
        The density, to be named in the sentence.

    Raises
    ------
    EstimationError
        If it is off by more.
    """
    from scipy.optimize import nnls

    r = np.geomspace(lo, hi, _POINTS * len(sigma))
    log_at = log_density(r)
    log_scale = log_density(sigma)  # weights are then of order 1
    with np.errstate(over="ignore"):
        design = np.exp(-0.5 * (r[:, None] / sigma) ** 2 + log_scale - log_at[:, None])
    weight, _ = nnls(design, np.ones(len(r)), maxiter=100 * len(sigma))
    off = np.abs(design @ weight - 1.0)
    worst = int(np.argmax(off))
    if not off[worst] <= tolerance:
        raise EstimationError(
            f"{what} is no sum of Gaussians to {100.0 * tolerance:g} per cent: at {r[worst]:.3g} kpc it is off by"
            f" {100.0 * off[worst]:.2g}; a break that is no edge (width = 0.2) is one"
        )
    return np.asarray(weight * np.exp(log_scale))


def field(R: FloatArray, z: FloatArray, sigma: FloatArray, q: FloatArray) -> FloatArray:
    """Pull of Gaussians of mass 1: derivatives of the potential over G along R and z, (2, n, k)."""
    edges = np.linspace(-12.0, 0.0, _PANELS + 1)
    x, w = np.polynomial.legendre.leggauss(_NODES)
    half = 0.5 * np.diff(edges)[:, None]
    log_t = (0.5 * (edges[1:] + edges[:-1])[:, None] + half * x).ravel()
    t2 = np.exp(2.0 * log_t)
    weight = (half * w).ravel() * np.exp(3.0 * log_t)
    squeeze = 1.0 - (1.0 - q[:, None] ** 2) * t2  # (k, t)
    arms = R[:, None, None] ** 2 + z[:, None, None] ** 2 / squeeze
    falls = np.exp(-0.5 * t2 * arms / sigma[:, None] ** 2) * weight
    norm = 4.0 * np.pi / ((2.0 * np.pi) ** 1.5 * sigma**3)
    along = R[:, None] * np.sum(falls / np.sqrt(squeeze), axis=-1)
    across = z[:, None] * np.sum(falls / squeeze**1.5, axis=-1)
    return norm * np.array([along, across])


def expanded_field(
    R: FloatArray,
    z: FloatArray,
    wanted: FloatArray,
    sigma: FloatArray,
    q: FloatArray,
    tolerance: float,
    what: str,
) -> Gaussians:
    """Gaussians whose field is a given one.

    Parameters
    ----------
    R, z
        (n,) places [kpc].
    wanted
        (2, n) derivatives of the potential over G along R and z [Msun/kpc^2].
    sigma, q
        (k,) widths [kpc] and axis ratios.
    tolerance
        Share of the size of the field by which its components may be off in the mean square.
    what
        To be named in the sentence.

    Raises
    ------
    EstimationError
        If it is off by more.
    """
    from scipy.optimize import nnls

    size = np.hypot(*wanted)
    scale = size.max() * (R**2 + z**2).min()  # a mass: weights are of order 1
    design = (field(R, z, sigma, q) / size[:, None]).reshape(-1, len(sigma)) * scale
    target = (wanted / size).ravel()
    weight, _ = nnls(design, target, maxiter=100 * len(sigma))
    off = float(np.sqrt(np.mean((design @ weight - target) ** 2)))
    if not off <= tolerance:
        raise EstimationError(
            f"the field of {what} is no sum of those of Gaussians: it is off by {100.0 * off:.2g} per cent"
        )
    return Gaussians(weight * scale, sigma, q).kept()
