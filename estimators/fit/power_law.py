"""Density and potential that are power laws of radius, and their distribution function (Evans et al. 1997)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from haloassay.base.arrays import FloatArray
from haloassay.base.constants import G


def power_law_mass(r: ArrayLike, log_vc2: ArrayLike, g: ArrayLike, pivot: float) -> FloatArray:
    """Mass [Msun] within ``r`` [kpc]: r v_c^2 / G, v_c^2 = exp(log_vc2) (r / pivot)^-g."""
    r = np.asarray(r, dtype=float)
    x = np.log(r / pivot)
    return np.asarray(r * np.exp(np.asarray(log_vc2) - np.asarray(g) * x) / G)


def exponent(gamma: ArrayLike, g: ArrayLike, beta: ArrayLike) -> FloatArray:
    """Power of the energy for rho ~ r^-gamma: beta (g - 2) / g + gamma / g - 3/2.

    From rho ~ r^(-2 beta) psi^p with psi ~ r^-g, p = (gamma - 2 beta) / g, and f ~ L^(-2 beta)
    E^(p - 3/2 + beta).
    """
    gamma, g, beta = (np.asarray(a, dtype=float) for a in (gamma, g, beta))
    return np.asarray(beta * (g - 2.0) / g + gamma / g - 1.5)


def log_norm(n: ArrayLike, beta: ArrayLike) -> FloatArray:
    """Ln of the integral of v_t^(-2 beta) (1 - v^2 / 2 psi)^n over bound velocities, / (2 psi)^(3/2 - beta).

    With v^2 = 2 psi u and v_t = v sin(eta) it is pi B(1/2, 1 - beta) B(3/2 - beta, n + 1): the
    integrals over eta and u are Beta functions, which is also how such velocities can be drawn.
    """
    from scipy.special import betaln

    n, beta = np.asarray(n, dtype=float), np.asarray(beta, dtype=float)
    return np.asarray(np.log(np.pi) + betaln(0.5, 1.0 - beta) + betaln(1.5 - beta, n + 1.0))
