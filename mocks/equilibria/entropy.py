"""Non-negative weights of largest entropy relative to a prior, under linear constraints."""

from __future__ import annotations

import numpy as np

from haloassay.base.arrays import FloatArray

#: Softness steps from a rough to a tight fit; each starts at the dual solution of the one before.
_CONTINUATION = (1e-1, 1e-2, 1e-3, 1e-4)
_MAX_NEWTON_STEPS = 60
_MAX_EXPONENT = 200.0


def maximum_entropy_weights(
    matrix: FloatArray, target: FloatArray, prior: FloatArray
) -> FloatArray:
    """Positive weights near ``prior`` that meet ``matrix @ weights = target`` as nearly as can be.

    Minimises sum x ln(x / prior) - x + |matrix x - target|^2 / (2 s^2) for a softness s that is tightened step by
    step to 1e-4. Where constraints contradict each other the tight problems have no bounded solution, and the last
    soft one that has stands: the caller sees by how much it misses. The dual problem is smooth and convex, with one
    unknown a constraint, and is solved by Newton's method with a line search. (Entropy for orbit weights goes
    back to Richstone & Tremaine 1988, 1988ApJ...327...82R.)

    Parameters
    ----------
    matrix
        (n_constraints, n_weights) what a unit weight adds to each constrained quantity, scaled so that a miss of
        one is a miss of 100 per cent.
    target
        (n_constraints,) wanted values.
    prior
        (n_weights,) positive weights to stay near.

    Returns
    -------
    weights
        (n_weights,) positive weights.
    """
    dual = np.zeros(len(target))
    weights = prior
    for softness in _CONTINUATION:
        solved = _minimise_dual(matrix, target, prior, softness, dual)
        if solved is None:
            break
        dual, weights = solved
    return weights


def _minimise_dual(
    matrix: FloatArray, target: FloatArray, prior: FloatArray, softness: float, dual: FloatArray
) -> tuple[FloatArray, FloatArray] | None:
    """Dual variables and weights at one softness, from a first guess; None where Newton's method stalls."""

    def objective(dual: FloatArray) -> tuple[float, FloatArray]:
        exponent = dual @ matrix
        if exponent.max() > _MAX_EXPONENT:
            return np.inf, prior
        weights = prior * np.exp(exponent)
        return float(weights.sum() - dual @ target + 0.5 * softness**2 * dual @ dual), weights

    value, weights = objective(dual)
    for _ in range(_MAX_NEWTON_STEPS):
        gradient = matrix @ weights - target + softness**2 * dual
        if np.max(np.abs(gradient)) < 1e-2 * softness:
            return dual, weights
        root = matrix * np.sqrt(weights)
        hessian = root @ root.T  # symmetric, which BLAS makes use of
        hessian[np.diag_indices_from(hessian)] += softness**2
        newton = np.linalg.solve(hessian, gradient)
        decrement, length = float(gradient @ newton), 1.0
        trial, trial_weights = objective(dual - newton)
        while not trial <= value - 1e-4 * length * decrement:
            length *= 0.5
            if length < 1e-6:
                return None
            trial, trial_weights = objective(dual - length * newton)
        dual, value, weights = dual - length * newton, trial, trial_weights
    return None
