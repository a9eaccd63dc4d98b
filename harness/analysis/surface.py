"""Polynomials over the unit cube with priors whose widths the data choose: a regression that needs no tuning.

The response is a sum of products of orthonormal Legendre polynomials (a polynomial chaos of uniform factors) with
independent Gaussian coefficients, log variance = sum over the factors of a term of (size_i - decay_i (degree_i - 1)) +
one number for terms of two factors, one for terms of three. Sizes, decays and noise are where evidence times broad
priors is largest (MacKay 1992, Neural Computation 4, 415; a size for each factor is automatic relevance determination).
That is Gaussian process regression with a kernel of few terms: a step of the fit costs the cube of the number of terms,
whatever the number of points, and predictions need coefficients and their covariance, no points.
"""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass
from math import comb
from typing import Final

import numpy as np

from haloassay.base.arrays import FloatArray, IntArray

#: Number of terms, about: of few points and of many, where terms that are lacking would outweigh the noise.
MOST_TERMS: Final = (300, 500)
#: Highest sum of degrees, each further factor of a term counting as one more.
_HIGHEST: Final = 10
#: Largest number of factors in a term.
_TOGETHER: Final = 3
#: Prior means and standard deviations: log variance of a coefficient of first degree (of a response of variance one),
#: its decay with degree, and what terms of two and three factors have beyond the product of their factors.
_SIZE: Final = (-6.0, 3.0)
_DECAY: Final = (1.5, 0.7)
_JOINT: Final = (0.0, 2.0)
#: The same of log noise variance: without it few points are taken for exact.
_NOISE: Final = (-1.5, 2.0)
#: Variance of the constant, in that of the response.
_CONSTANT: Final = 10.0
#: Logarithm of a variance that a fit starts from at least: where all is small there is no slope to follow.
_START: Final = -3.0
#: Share of the posterior variance that terms may have together that are left out of predictions.
_NEGLIGIBLE: Final = 0.01
#: Points whose basis is held at once.
_HELD: Final = 4096


@dataclass(frozen=True)
class Surface:
    """A fitted polynomial: degrees (terms, factors), coefficients (terms,) and their covariance (terms, terms)."""

    degrees: IntArray
    coefficients: FloatArray
    covariance: FloatArray

    def __call__(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation (points,) at ``x`` (points, factors)."""
        mean, variance = np.empty(len(x)), np.empty(len(x))
        for start in range(0, len(x), _HELD):
            part = slice(start, start + _HELD)
            functions = basis(x[part], self.degrees)
            mean[part] = functions @ self.coefficients
            variance[part] = np.einsum("nk,nk->n", functions @ self.covariance, functions)
        return mean, np.sqrt(np.maximum(variance, 0.0))

    def main_effect(self, factor: int) -> Surface:
        """Mean over all other factors, exactly: the terms of this factor alone."""
        others = np.delete(self.degrees, factor, axis=1)
        own = ~others.any(axis=1)
        return Surface(self.degrees[own], self.coefficients[own], self.covariance[np.ix_(own, own)])


@dataclass(frozen=True)
class Regression:
    """A fit, before terms that do not matter are left out: values at its own points.

    Parameters
    ----------
    surface : Surface
        What it predicts with.
    noise_variance : float
        Variance of an observation of weight one.
    fitted, leverage : FloatArray
        Values (points,) at the observations, and d value / d observation.
    hyper : FloatArray
        Logarithms at the optimum, a start for the next fit of the same factors.
    """

    surface: Surface
    noise_variance: float
    fitted: FloatArray
    leverage: FloatArray
    hyper: FloatArray


def terms(factors: int, most: int = MOST_TERMS[0]) -> IntArray:
    """Degrees (terms, factors), simple ones first, alike in all factors, about ``most`` of them."""
    shapes: dict[int, list[tuple[int, ...]]] = {}
    for together in range(1, min(_TOGETHER, factors) + 1):
        for degrees in itertools.product(range(1, _HIGHEST + 1), repeat=together):
            cost = sum(degrees) + together - 1
            if cost <= _HIGHEST:
                shapes.setdefault(cost, []).append(degrees)
    rows = [np.zeros(factors, dtype=np.int64)]
    for cost in sorted(shapes):
        added = sum(comb(factors, len(degrees)) for degrees in shapes[cost])
        if cost > 1 and len(rows) + added > most:
            break
        for degrees in shapes[cost]:
            for which in itertools.combinations(range(factors), len(degrees)):
                rows.append(np.zeros(factors, dtype=np.int64))
                rows[-1][list(which)] = degrees
    return np.array(rows)


def basis(x: FloatArray, degrees: IntArray) -> FloatArray:
    """Products of Legendre polynomials (points, terms), orthonormal over the unit cube."""
    u = 2.0 * x - 1.0
    highest = max(int(degrees.max(initial=0)), 1)
    powers = np.ones((highest + 1, *x.shape))
    powers[1] = u
    for k in range(1, highest):
        powers[k + 1] = ((2 * k + 1) * u * powers[k] - k * powers[k - 1]) / (k + 1)
    powers *= np.sqrt(2.0 * np.arange(highest + 1) + 1.0)[:, None, None]
    functions = np.ones((len(x), len(degrees)))
    for i in range(x.shape[1]):
        used = degrees[:, i] > 0
        functions[:, used] *= powers[degrees[used, i], :, i].T
    return functions


def regress(
    x: FloatArray,
    y: FloatArray,
    weights: FloatArray,
    *,
    noise_variance: float | None = None,
    start: FloatArray | None = None,
    most: int | None = None,
) -> Regression:
    """Fit ``y`` (points,), of noise variance 1 / weight times one that is found unless it is given.

    Parameters
    ----------
    x : (points, factors) in the unit cube
    y : (points,) of variance about one
    weights : (points,)
    start : FloatArray, optional
        ``hyper`` of a fit of similar data.
    most : int, optional
        Number of terms; of half as many as points within :data:`MOST_TERMS` unless given.
    """
    from scipy.optimize import minimize

    few, many = MOST_TERMS
    most = min(max(len(y) // 2, few), many) if most is None else most
    problem = _Evidence.of(x, y, weights, noise_variance, most)
    found = minimize(
        problem.loss,
        problem.start() if start is None else start,
        jac=True,
        method="L-BFGS-B",
        bounds=problem.bounds(),
        options={"maxiter": 100, "ftol": 1e-7},
    )
    variance, coefficients, covariance = problem.posterior(found.x)
    functions = problem.functions
    leverage = weights / variance * np.einsum("nk,nk->n", functions @ covariance, functions)
    surface = _essential(Surface(problem.degrees, coefficients, covariance))
    return Regression(surface, variance, functions @ coefficients, leverage, found.x)


@dataclass(frozen=True)
class _Evidence:
    """Evidence of the widths of the priors: everything that does not depend on them."""

    degrees: IntArray
    functions: FloatArray
    gram: FloatArray  #: functions' W functions
    projected: FloatArray  #: functions' W y
    square: float  #: y' W y
    points: int
    design: FloatArray  #: d log variance / d hyper (terms, hyper)
    noise_variance: float | None

    @classmethod
    def of(
        cls,
        x: FloatArray,
        y: FloatArray,
        weights: FloatArray,
        noise_variance: float | None,
        most: int,
    ) -> _Evidence:
        degrees = terms(x.shape[1], most)
        functions = basis(x, degrees)
        weighted = weights[:, None] * functions
        together = (degrees > 0).sum(axis=1)
        design = np.hstack(
            [
                degrees > 0,
                np.minimum(1 - degrees, 0),
                (together == 2)[:, None],
                (together == 3)[:, None],
            ]
        ).astype(float)
        gram, projected = functions.T @ weighted, weighted.T @ y
        square = float(weights @ y**2)
        return cls(degrees, functions, gram, projected, square, len(y), design, noise_variance)

    @functools.cached_property
    def _priors(self) -> tuple[FloatArray, FloatArray]:
        d = self.degrees.shape[1]
        rows = [_SIZE] * d + [_DECAY] * d + [_JOINT] * 2 + [_NOISE]
        mean, sd = np.array(rows).T
        return mean, sd

    def start(self) -> FloatArray:
        return np.maximum(self._priors[0], _START)

    def bounds(self) -> list[tuple[float, float]]:
        d = self.degrees.shape[1]
        noise = (-20.0, 2.0) if self.noise_variance is None else (_NOISE[0], _NOISE[0])
        return [(-14.0, 3.0)] * d + [(0.1, 6.0)] * d + [(-8.0, 4.0)] * 2 + [noise]

    def _variance(self, hyper: FloatArray) -> float:
        return self.noise_variance or float(np.exp(hyper[-1]))

    def _widths(self, hyper: FloatArray) -> FloatArray:
        """Prior standard deviations of the coefficients."""
        logs = 0.5 * self.design @ hyper[:-1]
        logs[0] = 0.5 * np.log(_CONSTANT)
        return np.asarray(np.exp(logs))

    def _factor(self, widths: FloatArray, variance: float) -> tuple[FloatArray, FloatArray]:
        """Lower Cholesky factor of the precision of coefficients in units of their widths, and its inverse."""
        from scipy.linalg import cholesky
        from scipy.linalg.lapack import dtrtri

        precision = widths[:, None] * self.gram * widths / variance
        precision[np.diag_indices_from(precision)] += 1.0
        lower = cholesky(precision, lower=True, check_finite=False)
        return lower, dtrtri(lower, lower=1)[0]

    def loss(self, hyper: FloatArray) -> tuple[float, FloatArray]:
        """Minus the logarithm of evidence times prior, and its gradient."""
        variance, widths = self._variance(hyper), self._widths(hyper)
        lower, inverse = self._factor(widths, variance)
        scaled = inverse.T @ (inverse @ (widths * self.projected)) / variance
        coefficients = widths * scaled
        explained = float(coefficients @ self.projected)
        shrunk = (inverse**2).sum(axis=0)  # posterior variance / prior variance
        determinant = 2.0 * float(np.log(np.diag(lower)).sum())
        evidence = -0.5 * (
            self.points * np.log(variance) + determinant + (self.square - explained) / variance
        )
        mean, sd = self._priors
        pulls = (hyper - mean) / sd
        by_log_variance = 0.5 * (shrunk + scaled**2 - 1.0)
        by_log_variance[0] = 0.0
        residual = self.square - 2.0 * explained + coefficients @ self.gram @ coefficients
        by_noise = 0.5 * (residual / variance - self.points + len(shrunk) - shrunk.sum())
        gradient = np.append(self.design.T @ by_log_variance, by_noise) - pulls / sd
        return -evidence + 0.5 * float(pulls @ pulls), -gradient

    def posterior(self, hyper: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        """Noise variance, coefficients and their covariance."""
        variance, widths = self._variance(hyper), self._widths(hyper)
        _, inverse = self._factor(widths, variance)
        covariance = np.outer(widths, widths) * (inverse.T @ inverse)
        return variance, covariance @ self.projected / variance, covariance


def _essential(surface: Surface) -> Surface:
    """Leave out terms that hardly matter: a small part of the posterior variance all together."""
    size = surface.coefficients**2 + np.diag(surface.covariance)
    size[0] = np.inf  # the constant stays
    order = np.argsort(size)
    left_out = np.cumsum(size[order]) < _NEGLIGIBLE * np.trace(surface.covariance)
    kept = np.sort(order[~left_out])
    return Surface(
        surface.degrees[kept], surface.coefficients[kept], surface.covariance[np.ix_(kept, kept)]
    )
