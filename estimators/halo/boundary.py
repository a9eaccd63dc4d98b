"""The boundary term of a mean over tracers that is cut in radius.

The Jeans equation times r^4 / mu, integrated by parts between the edges of a sample, leaves
[r^4 rho sigma_r^2 / mu] / int rho r^2 dr beside the mean over the stars.
"""

from __future__ import annotations

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.errors import EstimationError
from haloassay.estimators.bins import ShellDensity


def edge_share(density: ShellDensity, edges: FloatArray) -> FloatArray:
    """(2,) r^4 rho / int rho r^2 dr [kpc] at the edges (2,) [kpc] of a sample, the inner above zero."""
    x = np.linspace(np.log(edges[0]), np.log(edges[1]), 4001)
    top = density.log_density(edges[0])
    inside = np.exp(density.log_density(np.exp(x)) - top + 3.0 * x)
    norm = np.sum(0.5 * (inside[1:] + inside[:-1])) * (x[1] - x[0])
    return np.asarray(edges**4 * np.exp(density.log_density(edges) - top) / norm)


def log_variance(design: FloatArray, square: FloatArray) -> FloatArray:
    """Most likely coefficients (p,) of ln sigma^2 = design @ coefficients, Gaussian velocities.

    Parameters
    ----------
    design
        (n, p) regressors, the first of them 1.
    square
        (n,) squared velocities about the mean.

    Raises
    ------
    EstimationError
        If the stars do not determine the coefficients.
    """
    coefficients = np.zeros(design.shape[1])
    coefficients[0] = np.log(max(square.mean(), 1e-300))
    information = (
        design.T @ design
    )  # Fisher scoring: the information does not depend on the coefficients
    for _ in range(100):
        score = design.T @ (square * np.exp(-design @ coefficients) - 1.0)
        try:
            step = np.linalg.solve(information, score)
        except np.linalg.LinAlgError:
            break
        step /= max(1.0, float(np.abs(step).max()))
        coefficients = coefficients + step
        if np.abs(step).max() < 1e-8:
            return coefficients
    raise EstimationError("the dispersion at the edges of the sample is not determined")
