"""Published priors of the power-law distribution function, as the public codes have them."""

from __future__ import annotations

from typing import Final, Literal

import numpy as np

from haloassay.base.arrays import FloatArray

#: Flat between bounds, or as published.
DFPriors = Literal["flat", "eadie2019", "slizewski2022", "shen2022"]

#: Of Phi0 [(100 km/s)^2 at 1 kpc] and g, as the public code of Shen et al. has them: mean, covariance.
_SHEN_MEAN: Final = (64.6317304, 0.44004421)
_SHEN_COVARIANCE: Final = ((47.6112184, 0.165061266), (0.165061266, 0.00209403334))


def log_prior(priors: DFPriors, points: FloatArray, pivot: float) -> FloatArray:
    """Ln of the prior (m,) of ln v_c^2 at the pivot, g, beta and alpha (m, 4), alpha negative.

    The papers' priors are of Phi0, the depth at 1 kpc; of ln v_c^2 = ln(g Phi0) - g ln(pivot) they are
    that density times Phi0.
    """
    if priors == "flat":
        return np.zeros(len(points))
    log_vc2, g, beta, alpha = points.T
    log_phi = log_vc2 - np.log(g) + g * np.log(pivot) - np.log(1e4)
    phi, steep = np.exp(log_phi), -alpha - 3.0
    if priors == "shen2022":
        off = np.stack([phi - _SHEN_MEAN[0], g - _SHEN_MEAN[1]])
        together = -0.5 * np.einsum("im,ij,jm->m", off, np.linalg.inv(_SHEN_COVARIANCE), off)
        alone = -0.5 * ((steep - 1.0) / 0.1) ** 2 - 0.5 * ((beta - 0.3) / 0.05) ** 2
        return np.where(steep > 0.0, together + alone + log_phi, -np.inf)
    with np.errstate(invalid="ignore", divide="ignore"):
        log_steep = np.log(steep)
    values = -0.5 * ((g - 0.5) / 0.06) ** 2 + log_phi
    if priors == "slizewski2022":
        values += 31.4 * log_phi - 0.69 * phi + 66.1 * log_steep - 133.8184 * steep
        lowest = -3.0
    else:
        values += 1.99321604 * log_steep - 2.82409927 * steep
        lowest = -0.5
    inside = (steep > 0.0) & (alpha > -10.0) & (beta > lowest) & (phi > 1.0) & (phi < 200.0)
    return np.where(inside, values, -np.inf)
