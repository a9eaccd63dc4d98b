"""Sums over very many stars that a spline of ln sigma^2 is fitted with, from weights at a few thousand nodes.

The likelihood of a spline is a sum over the stars of functions of ln r and of the variance of the error, linear in the
squared velocity. They are smooth, so that between the knots a polynomial has them to many digits: each star is shared
out to the nodes of the polynomials once (as gridding does for a Fourier transform), and after that no fit looks at a
star again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.compiled import compiled
from haloassay.base.errors import EstimationError
from haloassay.estimators.fit.splines import Fit, Likelihood, NaturalSpline

#: Degree of the polynomials plus one, along both axes.
_NODES: Final = 8

#: Widest panel in ln r, and width of panels in the logarithm of the variance of the error.
_WIDEST: Final = 0.2
_WIDTH: Final = 1.0

#: Part of the mean squared velocity that is added to the variance of an error before its logarithm is taken: what is
#: far below a dispersion need not be told from zero.
_FLOOR: Final = 1e-4

#: Variance of an error in these units beyond which nothing is left of a velocity.
_LARGEST: Final = 1e30


@dataclass(frozen=True, eq=False)
class Nodes:
    """Stars shared out to nodes.

    Parameters
    ----------
    x
        (q,) logarithms of radii.
    noise
        (s,) variances of errors [(km/s)^2].
    count, square
        (q, s) sums of weights, and of weights times squared velocities [(km/s)^2].
    """

    x: FloatArray
    noise: FloatArray
    count: FloatArray
    square: FloatArray

    @classmethod
    def of(cls, x: FloatArray, square: FloatArray, noise: FloatArray, knots: FloatArray) -> Nodes:
        """Share out stars at ``x`` (n,) with m squared velocities (n, m) and variances of errors (n, m).

        Parameters
        ----------
        x, square, noise
            The stars.
        knots
            Where a spline is not smooth (k,).

        Raises
        ------
        EstimationError
            If errors are so large that rounding decides.
        """
        edges = _panels(float(x.min()), float(x.max()), knots)
        floor, most = _FLOOR * float(np.mean(square[:, 0])), float(noise.max())
        if not most < _LARGEST * floor:
            raise EstimationError(
                "the velocity errors are too large for their squares to be numbers"
            )
        n_across = 1 + int((np.log(floor + most) - np.log(floor)) / _WIDTH)
        moments = np.zeros((len(edges) - 1, n_across, 2, _NODES, _NODES))
        _add_moments(x, square, noise, edges, floor, moments)
        t, values = _chebyshev()
        half = 0.5 * np.diff(edges)
        at = 0.5 * (edges[1:] + edges[:-1])[:, None] + half[:, None] * t
        across = _WIDTH * (np.arange(n_across)[:, None] + 0.5 * (1.0 + t))
        weights = np.einsum("iklab,ap,bq->lipkq", moments, values, values)
        shape = (2, at.size, across.size)
        count, sums = np.ascontiguousarray(weights.reshape(shape))
        return cls(at.ravel(), floor * np.expm1(across.ravel()), count, sums)

    def likelihood(self, spline: NaturalSpline) -> Likelihood:
        """As :func:`~haloassay.estimators.fit.splines.variance_likelihood`, of all stars."""
        design = spline.design(self.x)

        def likelihood(c: FloatArray) -> tuple[float, FloatArray, FloatArray]:
            variance = np.exp(np.clip(design @ c, -100.0, 100.0))[:, None]
            total = variance + self.noise
            ratio, share = self.square / total, variance / total
            log_n = -0.5 * float(np.sum(self.count * np.log(total) + ratio))
            pull = 0.5 * np.sum((ratio - self.count) * share, axis=1)
            known = 0.5 * np.sum(self.count * share * share, axis=1)
            return log_n, pull @ design, (design * known[:, None]).T @ design

        return likelihood

    def total(self, function: Callable[[FloatArray], FloatArray]) -> FloatArray:
        """Sum (p,) over the stars of a ``function`` of ln r (q,), with values (q, p)."""
        return np.asarray(self.count.sum(axis=1) @ function(self.x))


def _panels(lo: float, hi: float, knots: FloatArray) -> FloatArray:
    """Edges of panels from ``lo`` to ``hi``: at all knots between, and no farther apart than allowed."""
    marks = np.unique([lo, *knots[(knots > lo) & (knots < hi)], hi])
    steps = [int(np.ceil(width / _WIDEST)) for width in np.diff(marks)]
    parts = [
        np.linspace(a, b, n, endpoint=False)
        for a, b, n in zip(marks, marks[1:], steps, strict=False)
    ]
    return np.concatenate([*parts, [hi]])


def _chebyshev() -> tuple[FloatArray, FloatArray]:
    """Nodes (p,) from -1 to 1, and the coefficients (p, p) of the polynomials that are 1 at one of them."""
    from numpy.polynomial import chebyshev

    t = chebyshev.chebpts1(_NODES)
    return np.asarray(t), np.asarray(np.linalg.inv(chebyshev.chebvander(t, _NODES - 1)))


@compiled(error_model="numpy")
def _add_moments(
    x: FloatArray,
    square: FloatArray,
    noise: FloatArray,
    edges: FloatArray,
    floor: float,
    moments: FloatArray,
) -> None:
    """Add to ``moments`` (panels, panels, 2, p, p) Chebyshev polynomials of each star, and those times its square."""
    p = moments.shape[3]
    along, across = np.ones(p), np.ones(p)
    for i in range(len(x)):
        k = min(max(np.searchsorted(edges, x[i], side="right") - 1, 0), len(edges) - 2)
        t = (2.0 * x[i] - edges[k] - edges[k + 1]) / (edges[k + 1] - edges[k])
        along[1] = t
        for a in range(2, p):
            along[a] = 2.0 * t * along[a - 1] - along[a - 2]
        for axis in range(square.shape[1]):
            u = np.log1p(noise[i, axis] / floor) / _WIDTH
            j = min(int(u), moments.shape[1] - 1)
            t = 2.0 * (u - j) - 1.0
            across[1] = t
            for a in range(2, p):
                across[a] = 2.0 * t * across[a - 1] - across[a - 2]
            here = moments[k, j]
            for a in range(p):
                both = along[a] * square[i, axis]
                for b in range(p):
                    here[0, a, b] += along[a] * across[b]
                    here[1, a, b] += both * across[b]


def score_products(
    x: FloatArray,
    square: FloatArray,
    noise: FloatArray,
    spline: NaturalSpline,
    fits: list[Fit],
    mean: FloatArray | None,
) -> FloatArray:
    """Sum (p, p) of the outer products of the scores of the stars, all splines side by side.

    Parameters
    ----------
    x, square, noise
        (n,) logarithms of radii, (n, 3) squared velocities and variances of errors [(km/s)^2].
    spline
        Where the knots are.
    fits
        Of ln sigma_r^2, ln sigma_t^2 and, if asked, ln rho.
    mean
        (k - 1,) mean of the splines under the fitted density; None where it is not fitted.
    """
    left, pieces = _pieces(spline)
    radial, tangential = (pieces @ f.coefficients for f in fits[:2])
    powers = np.zeros((len(left), 6, 7))
    _add_powers(x, square, noise, left, radial, tangential, powers)
    kinds = ((0, 1, 3), (1, 2, 4), (3, 4, 5))
    index = np.add.outer(np.arange(4), np.arange(4))
    products = [
        [np.einsum("iak,iab,ibl->kl", pieces, powers[:, q][:, index], pieces) for q in row]
        for row in kinds
    ]
    if mean is None:
        return np.block([row[:2] for row in products[:2]])
    # the score of a star's radius is its splines less their mean; the first coefficient is held
    sums = [np.einsum("iak,ia->k", pieces, powers[:, q, :4]) for q in (3, 4, 5)]
    n = float(powers[:, 5, 0].sum())
    for row in (0, 1):
        with_mean = products[row][2][:, 1:] - np.outer(sums[row], mean)
        products[row][2], products[2][row] = with_mean, with_mean.T
    shift = np.outer(sums[2][1:], mean)
    products[2][2] = products[2][2][1:, 1:] - shift - shift.T + n * np.outer(mean, mean)
    return np.block(products)


def _pieces(spline: NaturalSpline) -> tuple[FloatArray, FloatArray]:
    """Where each piece begins (k + 1,), and cubics (k + 1, 4, k) of the splines there; the outer ones are straight."""
    knots = spline.knots
    step = np.diff(knots)[:, None]
    value, rise = spline.design(knots), spline.design(knots, 1)
    slope = np.diff(value, axis=0) / step
    second = (3.0 * slope - 2.0 * rise[:-1] - rise[1:]) / step
    third = (rise[:-1] + rise[1:] - 2.0 * slope) / step**2
    inner = np.stack([value[:-1], rise[:-1], second, third], axis=1)
    ends = np.zeros((2, 4, len(knots)))
    ends[:, 0], ends[:, 1] = value[[0, -1]], rise[[0, -1]]
    # the innermost piece is told from its outer end
    return np.concatenate([knots[:1], knots]), np.concatenate([ends[:1], inner, ends[1:]])


@compiled(error_model="numpy")
def _add_powers(
    x: FloatArray,
    square: FloatArray,
    noise: FloatArray,
    left: FloatArray,
    radial: FloatArray,
    tangential: FloatArray,
    powers: FloatArray,
) -> None:
    """Add to ``powers`` (pieces, 6, 7) each star's products rr, rt, tt, r, t, 1 of its slopes, times powers of ln r.

    Its slopes are those of its likelihood in ln sigma_r^2 and ln sigma_t^2.
    """
    for i in range(len(x)):
        k = np.searchsorted(left[1:], x[i], side="right")
        t = x[i] - left[k]
        a, b = radial[k], tangential[k]
        variance = np.exp(a[0] + t * (a[1] + t * (a[2] + t * a[3])))
        total = variance + noise[i, 0]
        pull_r = 0.5 * (square[i, 0] / total - 1.0) * variance / total
        variance = np.exp(b[0] + t * (b[1] + t * (b[2] + t * b[3])))
        pull_t = 0.0
        for axis in (1, 2):
            total = variance + noise[i, axis]
            pull_t += 0.5 * (square[i, axis] / total - 1.0) * variance / total
        power = 1.0
        for m in range(7):
            powers[k, 0, m] += power * pull_r * pull_r
            powers[k, 1, m] += power * pull_r * pull_t
            powers[k, 2, m] += power * pull_t * pull_t
            powers[k, 3, m] += power * pull_r
            powers[k, 4, m] += power * pull_t
            powers[k, 5, m] += power
            power *= t
