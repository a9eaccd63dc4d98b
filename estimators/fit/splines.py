"""Natural cubic splines of a density or a dispersion, fitted by penalised likelihood."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.errors import EstimationError
from haloassay.estimators.fit.laplace import LogDensity
from haloassay.estimators.fit.likelihoods import log_gaussian, variance_terms

#: Log likelihood of coefficients (p,), its score (p,) and information (p, p).
Likelihood = Callable[[FloatArray], tuple[float, FloatArray, FloatArray]]

#: Logarithms of the stiffness that the evidence chooses from, relative to the information.
_STIFFNESS: Final = np.linspace(-9.0, 12.0, 15)


@dataclass(frozen=True, eq=False)
class NaturalSpline:
    """Natural cubic splines through values at knots (k,), and straight lines beyond them."""

    knots: FloatArray

    def design(self, x: FloatArray, derivative: int = 0) -> FloatArray:
        """(n, k) values at ``x``, or first derivatives, of the splines that are 1 at one knot."""
        inside = np.clip(x, self.knots[0], self.knots[-1])
        if derivative:
            return np.asarray(self._cardinal(inside, 1))
        beyond = (x - inside)[:, None] * self._cardinal(inside, 1)
        return np.asarray(self._cardinal(inside) + beyond)

    @cached_property
    def _cardinal(self) -> Callable[..., FloatArray]:
        from scipy.interpolate import CubicSpline

        spline: Callable[..., FloatArray] = CubicSpline(
            self.knots, np.eye(len(self.knots)), bc_type="natural"
        )
        return spline

    @cached_property
    def penalty(self) -> FloatArray:
        """(k, k) integral of products of second derivatives, which are straight between knots."""
        bend = self._cardinal(self.knots, 2)
        a, b = bend[:-1], bend[1:]
        step = np.diff(self.knots)
        both = a[:, :, None] * (2.0 * a + b)[:, None, :] + b[:, :, None] * (a + 2.0 * b)[:, None, :]
        return np.einsum("i,ijk->jk", step / 6.0, both)


def variance_likelihood(
    design: FloatArray, square: FloatArray, noise: FloatArray, w: FloatArray
) -> Likelihood:
    """Gaussian velocities of mean zero, squares (n, m), with ln sigma^2 = design @ coefficients."""

    def likelihood(c: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        variance = np.exp(np.clip(design @ c, -100.0, 100.0))[:, None]
        terms = variance_terms(square, variance, noise)
        log_n, pull, known = (w * term.sum(axis=1) for term in terms)
        return float(log_n.sum()), pull @ design, (design * known[:, None]).T @ design

    return likelihood


def log_variance_density(design: FloatArray, square: FloatArray, noise: FloatArray) -> LogDensity:
    """Value of :func:`variance_likelihood` alone, of many coefficients (m, p) at once, (m,)."""

    def log_density(points: FloatArray) -> FloatArray:
        variance = np.exp(np.clip(points @ design.T, -100.0, 100.0))
        out = np.zeros(len(points))
        for axis in range(square.shape[1]):
            out += log_gaussian(square[:, axis], variance + noise[:, axis]).sum(axis=1)
        return out

    return log_density


def density_likelihood(
    total: FloatArray, n: float, B: FloatArray, log_weight: FloatArray
) -> Likelihood:
    """Radii of a density, normalised: splines at the stars summed (p,), at nodes B (q, p)."""

    def likelihood(c: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        exponent = B @ c + log_weight
        top = float(exponent.max())
        share = np.exp(exponent - top)
        norm = float(share.sum())
        share /= norm
        mean = share @ B
        information = n * ((B * share[:, None]).T @ B - np.outer(mean, mean))
        return float(total @ c) - n * (top + np.log(norm)), total - n * mean, information

    return likelihood


def log_radius_density(
    total: FloatArray, n: float, B: FloatArray, log_weight: FloatArray
) -> LogDensity:
    """Value of :func:`density_likelihood` alone, of many coefficients (m, p) at once, (m,)."""

    def log_density(points: FloatArray) -> FloatArray:
        exponent = points @ B.T + log_weight
        top = exponent.max(axis=1)
        norm = np.exp(exponent - top[:, None]).sum(axis=1)
        return np.asarray(points @ total - n * (top + np.log(norm)))

    return log_density


@dataclass(frozen=True, eq=False)
class Fit:
    """A spline of greatest penalised likelihood.

    Parameters
    ----------
    coefficients
        (p,) values at the knots.
    information
        (p, p) of the stars.
    penalty
        (p, p) of the curvature, with its strength.
    """

    coefficients: FloatArray
    information: FloatArray
    penalty: FloatArray

    @property
    def inverse(self) -> FloatArray:
        """(p, p) inverse of the sum of both."""
        both = self.information + self.penalty
        scale = np.sqrt(np.diag(both))
        inverse = np.linalg.pinv(both / np.outer(scale, scale), rcond=1e-13, hermitian=True)
        return np.asarray(inverse / np.outer(scale, scale))


def fit(
    likelihood: Likelihood, spline: NaturalSpline, start: FloatArray, stiffness: float | None
) -> Fit:
    """Spline of greatest penalised likelihood, as stiff as the evidence says where none is given.

    The penalty is a Gaussian prior of all but straight lines, over which it is flat. Its strength
    maximises the integral of likelihood and prior, which Laplace's approximation gives.

    Raises
    ------
    EstimationError
        If the likelihood has no maximum.
    """
    keep = slice(len(spline.knots) - len(start), None)
    penalty = spline.penalty[keep, keep]
    _, _, information = likelihood(start)
    unit = np.trace(information) / np.trace(penalty)
    trials = _STIFFNESS if stiffness is None else np.array([stiffness])
    best, best_evidence, c = None, -np.inf, start
    for log_strength in trials[::-1]:
        P = unit * np.exp(log_strength) * penalty
        c, value, H = maximise(likelihood, P, c)
        _, log_det = np.linalg.slogdet(H + P)
        straight = len(spline.knots) - 2
        evidence = value - 0.5 * float(c @ P @ c) + 0.5 * (straight * log_strength - log_det)
        if evidence > best_evidence:
            best, best_evidence = Fit(c, H, P), evidence
    if best is None:
        raise EstimationError("the stars do not determine a spline")
    return best


def maximise(
    likelihood: Likelihood, penalty: FloatArray, start: FloatArray
) -> tuple[FloatArray, float, FloatArray]:
    """Coefficients of greatest penalised likelihood by Newton steps, its value and information.

    Raises
    ------
    EstimationError
        If there is no maximum.
    """
    c = start
    value, score, information = likelihood(c)
    here = value - 0.5 * float(c @ penalty @ c)
    for _ in range(100):
        slope = score - penalty @ c
        try:
            step = np.linalg.solve(information + penalty, slope)
        except np.linalg.LinAlgError:
            break
        gain = float(slope @ step)
        if not np.isfinite(gain):
            break
        if gain < 1e-8:
            return c, value, information
        step /= max(1.0, float(np.abs(step).max()) / 3.0)
        for length in 0.5 ** np.arange(12):
            trial = c + length * step
            found = likelihood(trial)
            there = found[0] - 0.5 * float(trial @ penalty @ trial)
            if there >= here - 1e-12 * abs(here):
                break
        else:
            return c, value, information
        c, here, (value, score, information) = trial, there, found
    raise EstimationError(
        "the likelihood of a spline has no maximum: the errors hide the dispersion, or a stretch "
        "between knots has no star"
    )
