"""Likelihood of several error-convolved Gaussians in (v_r, v_theta, v_phi, [Fe/H]), mixed.

Of two :mod:`haloassay.estimators.fit.mixture` has faster code. Parameters (9 K - 1,) of K components: four means and
four dispersions of each, then K - 1 sticks u, each the share of its component in what those before it left:
p_1 = u_1, p_2 = (1 - u_1) u_2, and so on. ``x`` (4, n) holds values of stars and ``e2`` (4, n) variances of their
errors; constants such as ln 2 pi are left out.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.compiled import compiled
from haloassay.estimators.fit.likelihoods import FAST


def shares_of(points: FloatArray, k: int) -> FloatArray:
    """Shares (..., K) of the components of parameters (..., 9 K - 1)."""
    u = points[..., 8 * k :]
    left = np.cumprod(1.0 - u, axis=-1)
    one = np.ones((*u.shape[:-1], 1))
    return np.concatenate([u, one], axis=-1) * np.concatenate([one, left], axis=-1)


def joined(parts: FloatArray, shares: FloatArray) -> FloatArray:
    """Parameters (..., 9 K - 1) of components (..., K, 8) and their shares (..., K)."""
    before = np.cumsum(shares[..., :-1], axis=-1) - shares[..., :-1]
    sticks = np.clip(shares[..., :-1] / np.maximum(1.0 - before, 1e-300), 0.0, 1.0)
    return np.concatenate([parts.reshape(*parts.shape[:-2], -1), sticks], axis=-1)


def by_metallicity(points: FloatArray, k: int) -> FloatArray:
    """Parameters (m, 9 K - 1) with the components in the order of falling mean [Fe/H]."""
    parts = points[:, : 8 * k].reshape(-1, k, 8)
    order = np.argsort(-parts[:, :, 3], axis=1, kind="stable")
    shares = np.take_along_axis(shares_of(points, k), order, axis=1)
    return joined(np.take_along_axis(parts, order[:, :, None], axis=1), shares)


@compiled(fastmath=FAST, error_model="numpy")
def _log_likelihood(
    x: FloatArray, e2: FloatArray, parts: FloatArray, shares: FloatArray
) -> FloatArray:
    """(m,) log likelihoods of components (m, K, 8) with shares (m, K)."""
    m, k = shares.shape
    out = np.zeros(m)
    terms = np.empty(k)
    for p in range(m):
        total = 0.0
        for i in range(x.shape[1]):
            top = -1e300
            for c in range(k):
                chi2, product = 0.0, 1.0
                for j in range(4):
                    variance = parts[p, c, 4 + j] ** 2 + e2[j, i]
                    d = x[j, i] - parts[p, c, j]
                    chi2 += d * d / variance
                    product *= variance
                terms[c] = np.log(max(shares[p, c], 1e-300) / np.sqrt(product)) - 0.5 * chi2
                top = max(top, terms[c])
            sum_ = 0.0
            for c in range(k):
                sum_ += np.exp(terms[c] - top)
            total += top + np.log(sum_)
        out[p] = total
    return out


def components_log_likelihood(
    x: FloatArray, e2: FloatArray, points: FloatArray, k: int
) -> FloatArray:
    """Log likelihoods (m,) of parameters (m, 9 K - 1)."""
    parts = np.ascontiguousarray(points[:, : 8 * k]).reshape(-1, k, 8)
    return np.asarray(_log_likelihood(x, e2, parts, shares_of(points, k)))


def _terms(
    x: FloatArray, e2: FloatArray, point: FloatArray, k: int
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Log likelihood (n,) of each star, memberships (K, n), deviations and inverse variances (K, 4, n)."""
    parts = point[: 8 * k].reshape(k, 8)
    weight = 1.0 / (parts[:, 4:, None] ** 2 + e2)
    off = x - parts[:, :4, None]
    log_share = np.log(np.maximum(shares_of(point, k), 1e-300))
    terms = log_share[:, None] + 0.5 * np.sum(np.log(weight) - weight * off**2, axis=1)
    star = np.logaddexp.reduce(terms, axis=0)
    return star, np.exp(terms - star), off, weight


def components_memberships(x: FloatArray, e2: FloatArray, point: FloatArray, k: int) -> FloatArray:
    """Probability (K, n) that a star is of each component."""
    return _terms(x, e2, point, k)[1]


def components_step(x: FloatArray, e2: FloatArray, point: FloatArray, k: int) -> FloatArray:
    """Parameters after one step of expectation maximisation: never downhill (Bovy, Hogg & Roweis 2011)."""
    _, P, off, weight = _terms(x, e2, point, k)
    parts = point[: 8 * k].reshape(k, 8)
    gain = parts[:, 4:, None] ** 2 * weight
    total = P.sum(axis=1) + 1e-300
    shift = np.einsum("kn,kjn->kj", P, gain * off) / total[:, None]
    second = np.einsum("kn,kjn->kj", P, (gain * off) ** 2 + gain * e2) / total[:, None]
    sigma = np.sqrt(np.maximum(second - shift**2, 0.0))
    return joined(np.concatenate([parts[:, :4] + shift, sigma], axis=1), total / total.sum())


def components_derivatives(
    x: FloatArray, e2: FloatArray, point: FloatArray, k: int
) -> tuple[float, FloatArray, FloatArray]:
    """Value, gradient (d,) and Hessian (d, d) of :func:`components_log_likelihood` at one point, d = 9 K - 1.

    With P_k the memberships, l_k = ln(p_k N_k) and l of the whole: l' = sum P_k l_k',
    l'' = sum P_k (l_k'' + l_k' l_k'^T) - l' l'^T; first in ln p_k, then by the chain rule in the sticks.
    """
    star, P, off, weight = _terms(x, e2, point, k)
    sigma = point[: 8 * k].reshape(k, 8)[:, 4:, None]
    u = weight * off
    excess = u * u - weight
    slopes = np.concatenate([u, sigma * excess, np.ones_like(u[:, :1])], axis=1)  # (K, 9, n)
    bend = np.zeros((k, 9, 9))
    mean, disp = np.arange(4), 4 + np.arange(4)
    of_mean = -np.einsum("kn,kjn->kj", P, weight)
    crossed = -2.0 * np.einsum("kn,kjn->kj", P, sigma * weight * u)
    of_sigma = np.einsum("kn,kjn->kj", P, excess - 2.0 * sigma**2 * weight * (u * u + excess))
    bend[:, mean, mean], bend[:, disp, disp] = of_mean, of_sigma
    bend[:, mean, disp] = bend[:, disp, mean] = crossed
    weighted = P[:, None, :] * slopes
    bend += weighted @ slopes.transpose(0, 2, 1)
    # parameters of the components first, then the logarithms of their shares
    order = np.array(
        [9 * c + j for c in range(k) for j in range(8)] + [9 * c + 8 for c in range(k)]
    )
    flat = weighted.reshape(9 * k, -1)[order]
    hessian = -(flat @ flat.T)
    for c in range(k):
        own = np.array([*range(8 * c, 8 * c + 8), 8 * k + c])
        hessian[np.ix_(own, own)] += bend[c]
    gradient = flat.sum(axis=1)
    jacobian, second = _of_sticks(point[8 * k :])
    whole = np.zeros((9 * k, 9 * k - 1))
    whole[: 8 * k, : 8 * k] = np.eye(8 * k)
    whole[8 * k :, 8 * k :] = jacobian
    hessian = whole.T @ hessian @ whole
    inner = np.arange(8 * k, 9 * k - 1)
    hessian[inner, inner] += gradient[8 * k :] @ second
    return float(star.sum()), whole.T @ gradient, hessian


def _of_sticks(u: FloatArray) -> tuple[FloatArray, FloatArray]:
    """First and second derivatives (K, K - 1) of ln p_k in the sticks (K - 1,); mixed ones vanish."""
    k = len(u) + 1
    first, second = np.zeros((k, k - 1)), np.zeros((k, k - 1))
    for j in range(k - 1):
        first[j, j], second[j, j] = 1.0 / u[j], -1.0 / u[j] ** 2
        first[j + 1 :, j], second[j + 1 :, j] = -1.0 / (1.0 - u[j]), -1.0 / (1.0 - u[j]) ** 2
    return first, second


@dataclass(frozen=True, eq=False)
class ComponentsPosterior:
    """Log posterior (m,) of parameters (m, 9 K - 1), shares uniform on their simplex, in one of its K! equal parts.

    Exchanging components changes nothing; kept are points that are nearer to ``side``, in units of its uncertainty,
    than with any other order of theirs.

    Parameters
    ----------
    x, e2
        The stars.
    side
        (9 K - 1,) parameters that are in the kept part.
    k
        Number of components.
    """

    x: FloatArray
    e2: FloatArray
    side: FloatArray
    k: int

    @cached_property
    def widths(self) -> FloatArray:
        """Rough widths (9 K - 1,) of the posterior about ``side``."""
        n, k = self.x.shape[1], self.k
        shares = np.maximum(shares_of(self.side, k), 1.0 / n)
        sigma = self.side[: 8 * k].reshape(k, 8)[:, 4:]
        each = np.tile(sigma, (1, 2)) / np.sqrt(n * shares)[:, None]
        u = np.clip(self.side[8 * k :], 1.0 / n, 1.0 - 1.0 / n)
        return np.concatenate([each.ravel(), np.sqrt(u * (1.0 - u) / n)])

    def _nearest(self, points: FloatArray) -> FloatArray:
        """Whether (m,) points are in the kept part."""
        k = self.k
        scale = self.widths[: 8 * k].reshape(k, 8)
        both = scale[:, None] ** 2 + scale[None] ** 2  # of a component in the place of another
        target = self.side[: 8 * k].reshape(k, 8)
        parts = points[:, : 8 * k].reshape(-1, k, 8)
        apart = np.sum((parts[:, :, None] - target) ** 2 / both.max(axis=(0, 1)), axis=-1)
        places = np.arange(k)
        own = apart[:, places, places].sum(axis=1)
        others = [
            apart[:, places, list(order)].sum(axis=1)
            for order in itertools.permutations(range(k))
            if order != tuple(range(k))
        ]
        return np.asarray(own < np.min(others, axis=0))

    def _log_prior(self, points: FloatArray) -> FloatArray:
        """Log density of the sticks: ln (1 - u_j) for each component that is left after two more."""
        left = np.log(np.maximum(1.0 - points[:, 8 * self.k :], 1e-300))
        return np.asarray(left @ np.arange(self.k - 2.0, -1.0, -1.0))

    def __call__(self, points: FloatArray) -> FloatArray:
        """Log posterior (m,) of points (m, 9 K - 1)."""
        values = np.full(len(points), -np.inf)
        kept = self._nearest(points)
        chosen = points[kept]
        values[kept] = components_log_likelihood(self.x, self.e2, chosen, self.k)
        values[kept] += self._log_prior(chosen)
        return values

    def derivatives(self, point: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        """Value, gradient and Hessian at one point."""
        value, gradient, hessian = components_derivatives(self.x, self.e2, point, self.k)
        u, power = point[8 * self.k :], np.arange(self.k - 2.0, -1.0, -1.0)
        inner = np.arange(8 * self.k, 9 * self.k - 1)
        gradient[inner] -= power / (1.0 - u)
        hessian[inner, inner] -= power / (1.0 - u) ** 2
        return value + float(self._log_prior(point[None])[0]), gradient, hessian


def climbed(
    x: FloatArray,
    e2: FloatArray,
    point: FloatArray,
    k: int,
    bounds: tuple[FloatArray, FloatArray],
    steps: int,
) -> FloatArray:
    """Parameters after ``steps`` of expectation maximisation inside the prior."""
    lo, hi = bounds
    margin = 1e-3 * (hi - lo)
    for _ in range(steps):
        point = np.clip(components_step(x, e2, point, k), lo + margin, hi - margin)
    return point


def seeded_start(x: FloatArray, z: FloatArray, k: int, rng: np.random.Generator) -> FloatArray:
    """Parameters of the parts of the stars that are nearest to each of K of them, chosen at random.

    Parameters
    ----------
    x
        (4, n) values of the stars.
    z
        (d, n) coordinates in which stars are near.
    k
        Number of components.
    rng
        Source of randomness.
    """
    seeds = rng.choice(x.shape[1], k, replace=False)
    nearest = np.argmin(np.sum((z[:, None, :] - z[:, seeds, None]) ** 2, axis=0), axis=0)
    every = np.std(x, axis=1)
    parts, shares = np.empty((k, 8)), np.empty(k)
    for c in range(k):
        mine = x[:, nearest == c]
        spread = mine.std(axis=1) if mine.shape[1] > 4 else every
        parts[c] = [*mine.mean(axis=1), *np.maximum(spread, 0.02 * every)]
        shares[c] = max(mine.shape[1], 1.0)
    return joined(parts, shares / shares.sum())
