"""Spherical profiles shared by mocks and estimators: pure functions of radius.

Radii in kpc, masses in Msun, velocities in km/s, Hubble's constant in km/s/Mpc.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from haloassay.base.arrays import FloatArray
from haloassay.base.constants import G

#: Bulge and disc of MWPotential2014 as Bird et al. (2022, section 2.3) adopt them: power law with
#: exponential cut-off (mass [Msun], slope, cut-off radius [kpc]) and Miyamoto-Nagai disc (mass, a, b).
MWPOTENTIAL2014_BULGE: Final = (0.5e10, -1.8, 1.9)
MWPOTENTIAL2014_DISC: Final = (6.8e10, 3.0, 0.28)

#: Disc and bulge of Zhai et al. (2018, eq. 11, 12), both spherical: exponential disc (mass [Msun],
#: scale [kpc]) and Hernquist bulge (mass, scale).
ZHAI2018_DISC: Final = (6.8e10, 2.5)
ZHAI2018_BULGE: Final = (0.5e10, 0.6)


def critical_density(h0: float) -> float:
    """Critical density of the Universe 3 H^2 / (8 pi G) [Msun/kpc^3] for ``h0`` [km/s/Mpc]."""
    return 3.0 * (h0 / 1000.0) ** 2 / (8.0 * np.pi * G)


def virial_radius(mass: ArrayLike, h0: float, overdensity: float = 200.0) -> FloatArray:
    """Radius [kpc] within which ``mass`` [Msun] has ``overdensity`` times the critical density."""
    density = 4.0 * np.pi / 3.0 * overdensity * critical_density(h0)
    return np.cbrt(np.asarray(mass, dtype=float) / density)


def virial_mass(radius: ArrayLike, h0: float, overdensity: float = 200.0) -> FloatArray:
    """Mass [Msun] of ``overdensity`` times the critical density within ``radius`` [kpc] (Bird 2022, eq. 13)."""
    density = 4.0 * np.pi / 3.0 * overdensity * critical_density(h0)
    return density * np.asarray(radius, dtype=float) ** 3


def nfw_shape(x: ArrayLike) -> FloatArray:
    """NFW mass shape ln(1 + x) - x / (1 + x), x = r / r_s, without cancellation at small x."""
    x = np.asarray(x, dtype=float)
    series = x * x * (0.5 - x * (2.0 / 3.0 - x * (0.75 - 0.8 * x)))
    return np.asarray(np.where(x < 1e-3, series, np.log1p(x) - x / (1.0 + x)))


def nfw_enclosed_mass(
    r: ArrayLike, m200: ArrayLike, r200: ArrayLike, c200: ArrayLike
) -> FloatArray:
    """NFW mass [Msun] within ``r`` [kpc], normalised to ``m200`` within ``r200`` (Bird 2022, eq. 8-10)."""
    r, r200, c200 = (np.asarray(a, dtype=float) for a in (r, r200, c200))
    return np.asarray(m200) * nfw_shape(c200 * r / r200) / nfw_shape(c200)


def bulge_enclosed_mass(r: ArrayLike, mass: float, slope: float, cutoff: float) -> FloatArray:
    """Mass [Msun] of a bulge rho ~ r^slope exp(-(r/cutoff)^2) of total ``mass`` (Bird 2022, eq. 6)."""
    from scipy.special import gammainc

    x = (np.asarray(r, dtype=float) / cutoff) ** 2
    return np.asarray(mass * gammainc(0.5 * (3.0 + slope), x))


def bulge_potential(r: ArrayLike, mass: float, slope: float, cutoff: float) -> FloatArray:
    """Potential [(km/s)^2] of a bulge rho ~ r^slope exp(-(r/cutoff)^2) of total ``mass`` [Msun].

    For slope > -2 it is -G [M(<r) / r + int_r^inf 4 pi r rho dr], and both terms are incomplete
    gamma functions.
    """
    from scipy.special import gamma, gammaincc

    r = np.asarray(r, dtype=float)
    s = 1.0 + 0.5 * slope
    outside = mass / cutoff * gamma(s) / gamma(s + 0.5) * gammaincc(s, (r / cutoff) ** 2)
    inside = bulge_enclosed_mass(r, mass, slope, cutoff) / r
    return np.asarray(-G * (inside + outside), dtype=float)


@cache
def _legendre() -> tuple[FloatArray, FloatArray]:
    """Nodes and weights of the average over a sphere: to find them takes as long as to use them."""
    x, w = np.polynomial.legendre.leggauss(48)
    x.flags.writeable = w.flags.writeable = False
    return x, w


def _disc_nodes(r: FloatArray, b: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Nodes t = z / r, s = sqrt(z^2 + b^2) and weights of an average over the sphere of radius r.

    With z = b sinh u the integrand is analytic in u, so a thin disc needs no finer grid.
    """
    x, w = _legendre()
    u_max = np.arcsinh(r / b)[..., None]
    u = 0.5 * u_max * (x + 1.0)
    t = b * np.sinh(u) / r[..., None]
    return t, b * np.cosh(u), 0.5 * u_max * w * b * np.cosh(u) / r[..., None]


def disc_enclosed_mass(r: ArrayLike, mass: float, a: float, b: float) -> FloatArray:
    """Mass [Msun] of a Miyamoto-Nagai disc within the sphere of radius ``r``: its monopole r^2 <dPhi/dr> / G."""
    r = np.asarray(r, dtype=float)
    t, s, w = _disc_nodes(r, b)
    denominator = (r[..., None] ** 2 + a * a + b * b + 2.0 * a * s) ** 1.5
    rr = r[..., None]
    return mass * r**2 * np.sum(w * (rr + a * rr * t * t / s) / denominator, axis=-1)


def disc_potential(r: ArrayLike, mass: float, a: float, b: float) -> FloatArray:
    """Potential [(km/s)^2] of a Miyamoto-Nagai disc averaged over the sphere of radius ``r``."""
    r = np.asarray(r, dtype=float)
    _, s, w = _disc_nodes(r, b)
    return -G * mass * np.sum(w / np.sqrt(r[..., None] ** 2 + a * a + b * b + 2.0 * a * s), axis=-1)


def disc_circular_velocity_squared(R: ArrayLike, mass: float, a: float, b: float) -> FloatArray:
    """Circular velocity squared [(km/s)^2] in the plane of a Miyamoto-Nagai disc (1975)."""
    R = np.asarray(R, dtype=float)
    return G * mass * R**2 / (R**2 + (a + b) ** 2) ** 1.5


def mwpotential2014_baryons_mass(r: ArrayLike) -> FloatArray:
    """Mass [Msun] of MWPotential2014's bulge and disc within the sphere of radius ``r`` [kpc]."""
    return bulge_enclosed_mass(r, *MWPOTENTIAL2014_BULGE) + disc_enclosed_mass(
        r, *MWPOTENTIAL2014_DISC
    )


def mwpotential2014_baryons_vc2(R: ArrayLike) -> FloatArray:
    """Circular velocity squared [(km/s)^2] of MWPotential2014's bulge and disc in the plane, at ``R`` [kpc]."""
    R = np.asarray(R, dtype=float)
    bulge = G * bulge_enclosed_mass(R, *MWPOTENTIAL2014_BULGE) / R
    return bulge + disc_circular_velocity_squared(R, *MWPOTENTIAL2014_DISC)


def hernquist_enclosed_mass(r: ArrayLike, mass: float, a: float) -> FloatArray:
    """Mass [Msun] within ``r`` of a Hernquist (1990) sphere of total ``mass``, Phi = -G M / (r + a)."""
    r = np.asarray(r, dtype=float)
    return np.asarray(mass * (r / (r + a)) ** 2)


def hernquist_potential(r: ArrayLike, mass: float, a: float) -> FloatArray:
    """Potential [(km/s)^2] of a Hernquist (1990) sphere."""
    return np.asarray(-G * mass / (np.asarray(r, dtype=float) + a))


def round_disc_enclosed_mass(r: ArrayLike, mass: float, b: float) -> FloatArray:
    """Mass [Msun] within ``r`` of an exponential disc made round: M(<r) = M [1 - (1 + r/b) exp(-r/b)].

    That is r^2 dPhi/dr / G of Phi = -G M (1 - exp(-r / b)) / r (Zhai et al. 2018, eq. 11).
    """
    from scipy.special import gammainc

    # 1 - (1 + x) exp(-x), which cancels for small x, is an incomplete gamma function
    return np.asarray(mass * gammainc(2.0, np.asarray(r, dtype=float) / b))


def round_disc_potential(r: ArrayLike, mass: float, b: float) -> FloatArray:
    """Potential [(km/s)^2] of an exponential disc made round (Zhai et al. 2018, eq. 11)."""
    r = np.asarray(r, dtype=float)
    return np.asarray(G * mass * np.expm1(-r / b) / r)


def power_law_log_density(
    r: ArrayLike, slopes: tuple[float, ...], breaks: tuple[float, ...], width: float
) -> FloatArray:
    """Ln rho of a (broken) power law with smooth breaks.

    The slope passes from ``slopes[k]`` to ``slopes[k+1]`` as a logistic function of ln r with scale ``width``
    around ``breaks[k]``; ``width = 0`` breaks sharply.
    """
    lnr = np.log(np.asarray(r, dtype=float))
    total = slopes[0] * lnr
    for before, after, radius in zip(slopes[:-1], slopes[1:], breaks, strict=True):
        x = lnr - np.log(radius)
        ramp = width * np.logaddexp(0.0, x / width) if width > 0.0 else np.maximum(x, 0.0)
        total = total + (after - before) * ramp
    return total


def power_law_slope(
    r: ArrayLike, slopes: tuple[float, ...], breaks: tuple[float, ...], width: float
) -> FloatArray:
    """D ln rho / d ln r of :func:`power_law_log_density`."""
    lnr = np.log(np.asarray(r, dtype=float))
    total = np.full_like(lnr, slopes[0])
    for before, after, radius in zip(slopes[:-1], slopes[1:], breaks, strict=True):
        x = lnr - np.log(radius)
        step = 0.5 * (1.0 + np.tanh(0.5 * x / width)) if width > 0.0 else (x >= 0.0).astype(float)
        total = total + (after - before) * step
    return total
