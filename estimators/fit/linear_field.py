"""Velocity fields that are linear in their parameters, with Gaussian scatter of unknown size.

Stars with data y_i (m,), design X_i (m, p) and error covariance E_i (m, m) are taken as

    y_i ~ N(X_i q, diag(sigma^2) + E_i).

For given dispersions sigma the likelihood of q is a Gaussian, known from sums over the stars. The
sums are smooth functions of ln sigma: they are made once, at Chebyshev nodes around the posterior,
and everything after that no longer depends on the number of stars.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, Final

import numpy as np
from numpy.polynomial import chebyshev

from haloassay.base.arrays import BoolArray, FloatArray, IntArray
from haloassay.base.compiled import compiled
from haloassay.base.errors import EstimationError
from haloassay.estimators.fit.likelihoods import log_gaussian, nodes_across
from haloassay.estimators.fit.posterior import Exploration, explore

#: Log prior density (n,) of (n, s) logarithms of the dispersions.
LogPrior = Callable[[FloatArray], FloatArray]

_FREE: Final = "the stars lie such that a combination of the parameters is free"

#: Stars whose weights at all nodes stay in a cache, and those whose products are kept.
_AT_ONCE: Final = 512
_FEW: Final = 2**15

#: Step of ln sigma between the densities of which derivatives are made: their sums have twelve digits there.
_STEP: Final = 1e-4
#: Newton's steps towards the most probable dispersions, and the step after which they are found.
_STEPS: Final = 20
_FOUND: Final = 1e-8
#: Loss of a log density that is rounding.
_SLACK: Final = 1e-6

#: Half width of the tabulated box in standard deviations of ln sigma, and its least half width.
_REACH: Final = 9.0
_LEAST: Final = 0.03


@dataclass(frozen=True, eq=False)
class Channel:
    """Data that share dispersions.

    Parameters
    ----------
    y
        (N, m) data, m = 1 or 2 [km/s].
    X
        (N, m, p) design: the mean of y is X q.
    E
        (N, m, m) error covariance [(km/s)^2].
    """

    y: FloatArray
    X: FloatArray
    E: FloatArray

    @cached_property
    def _few(self) -> FloatArray | None:
        """:meth:`products` of all stars where they are few: they are asked for again and again."""
        return self._products(slice(None)) if len(self.y) <= _FEW else None

    def products(self, rows: slice) -> FloatArray:
        """(2 m - 1, n, k (k + 1) / 2) products of the elements of Z of some stars, Z = (X, y) with k columns.

        Of the upper triangles of Z_0^T Z_0 and, with two components, Z_1^T Z_1 and Z_0^T Z_1 + Z_1^T Z_0.
        """
        return self._products(rows) if self._few is None else self._few[:, rows]

    def _products(self, rows: slice) -> FloatArray:
        both = np.concatenate([self.X[rows], self.y[rows][:, :, None]], axis=2)
        k, parts = both.shape[2], 2 * both.shape[1] - 1
        out = np.empty((parts, len(both), k * (k + 1) // 2))
        _multiply(np.ascontiguousarray(both), out)
        return out

    def log_likelihood(self, sigma: FloatArray, q: FloatArray) -> FloatArray:
        """Log likelihood (n,) of dispersions (n, m) [km/s] and parameters (n, p), star by star.

        It needs none of the sums, for samplers that move in all parameters at once.
        """
        misfit = [y - q @ X.T for y, X in zip(self.y.T, np.moveaxis(self.X, 1, 0), strict=True)]
        total = [sigma[:, k, None] ** 2 + self.E[:, k, k] for k in range(len(misfit))]
        if len(misfit) == 1:
            return np.asarray(log_gaussian(misfit[0] ** 2, total[0]).sum(axis=1))
        # of the second given the first
        slope = self.E[:, 0, 1] / total[0]
        rest = total[1] - slope * self.E[:, 0, 1]
        values = log_gaussian(misfit[0] ** 2, total[0])
        values += log_gaussian((misfit[1] - slope * misfit[0]) ** 2, rest)
        return np.asarray(values.sum(axis=1))


@dataclass(frozen=True, eq=False)
class Conditional:
    """Gaussian likelihood of q for each of n sets of dispersions.

    Parameters
    ----------
    log_evidence
        (n,) logarithm of the likelihood integrated over q with a flat prior.
    mean
        (n, p) mean [km/s].
    root
        (n, p, p) lower root of the precision matrix, root root^T.
    """

    log_evidence: FloatArray
    mean: FloatArray
    root: FloatArray

    @property
    def covariance(self) -> FloatArray:
        """(n, p, p) covariance [(km/s)^2]."""
        inverse = np.linalg.inv(self.root)
        return np.swapaxes(inverse, 1, 2) @ inverse


@compiled
def _multiply(Z: FloatArray, out: FloatArray) -> None:
    """Fill what :meth:`Channel.products` returns, of Z (n, m, k)."""
    n, m, k = Z.shape
    for star in range(n):
        at = 0
        for i in range(k):
            for j in range(i, k):
                out[0, star, at] = Z[star, 0, i] * Z[star, 0, j]
                if m == 2:
                    out[1, star, at] = Z[star, 1, i] * Z[star, 1, j]
                    out[2, star, at] = Z[star, 0, i] * Z[star, 1, j] + Z[star, 1, i] * Z[star, 0, j]
                at += 1


def sums(channel: Channel, sigma: FloatArray) -> FloatArray:
    """(K, q) sums over the stars for ``sigma`` (K, m) [km/s].

    A row holds the upper triangle of sum_i Z_i^T W_i Z_i, W_i = (diag(sigma^2) + E_i)^-1, and
    -sum_i ln det W_i. They are products of matrices, of as many stars at a time as a cache holds.
    """
    k, square = channel.X.shape[2] + 1, sigma.T[:, :, None] ** 2
    out = np.zeros((len(sigma), k * (k + 1) // 2 + 1))
    for first in range(0, len(channel.y), _AT_ONCE):
        rows = slice(first, first + _AT_ONCE)
        products, E = channel.products(rows), channel.E[rows]
        determinant = a = square[0] + E[:, 0, 0]
        weights: tuple[FloatArray | float, ...] = (1.0,)
        if len(square) == 2:
            b, c = square[1] + E[:, 1, 1], E[:, 0, 1]
            determinant = a * b - c * c
            weights = (b, a, -c)
        inverse = 1.0 / determinant
        for weight, product in zip(weights, products, strict=True):
            out[:, :-1] += (weight * inverse) @ product
        out[:, -1] += np.log(determinant).sum(axis=1)
    return out


@compiled(error_model="numpy")
def _condition(
    total: FloatArray, log_evidence: FloatArray, mean: FloatArray, root: FloatArray
) -> None:
    """Fill what :class:`Conditional` holds from the sums (n, ...); NaN where they are of no Gaussian.

    The root of the augmented matrix has the root of the precision, root^-1 X^T W y below it, and in its
    corner the square root of the misfit, which is left as a square.
    """
    n, p = mean.shape
    k = p + 1
    for row in range(n):
        lower = root[row]
        z = mean[row]
        misfit = total[row, k * (k + 1) // 2 - 1]
        log_root = 0.0
        for j in range(p):
            # of the upper triangle, row by row, the diagonal element j
            at = j * k - j * (j - 1) // 2
            pivot = total[row, at]
            for m in range(j):
                pivot -= lower[j, m] ** 2
            pivot = np.sqrt(pivot)
            lower[j, j] = pivot
            log_root += np.log(pivot)
            for i in range(j + 1, p):
                rest = total[row, at + i - j]
                for m in range(j):
                    rest -= lower[i, m] * lower[j, m]
                lower[i, j] = rest / pivot
            rest = total[row, at + p - j]
            for m in range(j):
                rest -= z[m] * lower[j, m]
            z[j] = rest / pivot
            misfit -= z[j] ** 2
        for j in range(p - 1, -1, -1):
            for i in range(j + 1, p):
                z[j] -= lower[i, j] * z[i]
            z[j] /= lower[j, j]
        log_evidence[row] = -0.5 * (misfit + total[row, -1]) - log_root


def conditional(total: FloatArray, p: int) -> Conditional:
    """Likelihood of q from the sums (n, ...) of all channels together.

    Raises
    ------
    EstimationError
        If the stars leave a combination of the parameters free.
    """
    # the least curvature in units in which every parameter alone has one
    matrix = np.empty((p + 1, p + 1))
    i, j = _upper(p + 1)
    matrix[i, j] = matrix[j, i] = total[0, :-1]
    scale = np.sqrt(np.diag(matrix)[:p])
    if not np.all(scale > 0.0):
        raise EstimationError("the stars say nothing of one of the parameters of the field")
    if np.linalg.eigvalsh(matrix[:p, :p] / np.outer(scale, scale))[0] < 1e-9:
        raise EstimationError(_FREE)
    n = len(total)
    log_evidence, mean, root = np.empty(n), np.empty((n, p)), np.zeros((n, p, p))
    _condition(np.ascontiguousarray(total), log_evidence, mean, root)
    if not np.all(np.isfinite(log_evidence)):
        raise EstimationError(_FREE)
    return Conditional(log_evidence, mean, root)


@cache
def _upper(k: int) -> tuple[IntArray, IntArray]:
    """Rows and columns of the upper triangle of (k, k)."""
    rows, columns = np.triu_indices(k)
    return rows, columns


class LinearField:
    """Posterior of the dispersions and, given them, of the linear parameters of a field.

    Parameters
    ----------
    channels
        Data; each has one or two dispersions of its own, in this order.
    bounds
        Least and greatest dispersion [km/s].
    log_prior
        Prior density of the logarithms of all dispersions, inside the bounds.

    Raises
    ------
    EstimationError
        If the stars do not determine the field.
    """

    def __init__(
        self, channels: tuple[Channel, ...], bounds: tuple[float, float], log_prior: LogPrior
    ) -> None:
        self.channels, self.log_prior = channels, log_prior
        self.p = channels[0].X.shape[2]
        self.sizes = [channel.y.shape[1] for channel in channels]
        self.bounds = np.log(bounds[0]), np.log(bounds[1])
        self.best, self.width = self._optimum()
        reach = np.maximum(_REACH * self.width, _LEAST)
        self.lo = np.maximum(self.best - reach, self.bounds[0])
        self.hi = np.minimum(self.best + reach, self.bounds[1])
        self._tables = [self._table(k) for k in range(len(channels))]

    def exact(self, log_sigma: FloatArray) -> Conditional:
        """Likelihood of q at (n, s) logarithms of the dispersions, from all stars."""
        total: FloatArray | float = 0.0
        for channel, part in zip(self.channels, self._split(np.exp(log_sigma)), strict=True):
            # points of a stencil differ in the dispersions of one channel at a time
            different, which = np.unique(part, axis=0, return_inverse=True)
            total = total + sums(channel, different)[which.reshape(-1)]
        return conditional(np.asarray(total), self.p)

    def at(self, log_sigma: FloatArray) -> Conditional:
        """:meth:`exact`, interpolated; inside the box ``lo``, ``hi`` only."""
        unit = 2.0 * (log_sigma - self.lo) / (self.hi - self.lo) - 1.0
        total = np.zeros((len(unit), self._tables[0].shape[-1]))
        for table, part in zip(self._tables, self._split(unit), strict=True):
            basis = [
                chebyshev.chebvander(u, n - 1)
                for u, n in zip(part.T, table.shape[:-1], strict=True)
            ]
            if len(basis) == 1:
                total += basis[0] @ table
            else:
                both = basis[0][:, :, None] * basis[1][:, None, :]
                total += both.reshape(len(unit), -1) @ table.reshape(-1, table.shape[-1])
        return conditional(total, self.p)

    def log_density(self, log_sigma: FloatArray) -> FloatArray:
        """(n,) log posterior density of (n, s) ln sigma, q integrated out; -inf outside the box."""
        inside = np.all((log_sigma >= self.lo) & (log_sigma <= self.hi), axis=1)
        out = np.full(len(log_sigma), -np.inf)
        for rows in np.array_split(np.flatnonzero(inside), 1 + len(log_sigma) // 8192):
            if len(rows):
                points = log_sigma[rows]
                out[rows] = self.at(points).log_evidence + self.log_prior(points)
        return out

    def draw_sigma(self, n_draws: int, rng: np.random.Generator) -> FloatArray:
        """(n_draws, s) draws of the dispersions [km/s].

        One dispersion by quadrature; more by importance sampling, or by quadrature where their
        posterior is not near enough to a Gaussian for that.
        """
        start = np.clip(self.best, self.lo + 1e-9, self.hi - 1e-9)
        way = self.log_density, start, self.width, n_draws, rng
        sampler: Exploration = ("importance", "quadrature") if len(start) > 1 else "quadrature"
        return np.exp(explore(*way, sampler=sampler).draws)

    def bounded(self, which: int) -> tuple[bool, bool]:
        """Whether the posterior of a dispersion leans on the lower and the upper bound of its prior.

        That is, whether the density there is above e^-2 of its greatest, inside 95 per cent.
        """
        low, high = self._leans[:, which]
        return bool(low), bool(high)

    @cached_property
    def _leans(self) -> BoolArray:
        """(2, s) whether the density at the lower and the upper bound is above e^-2 of its greatest."""
        points = [self.best]
        for bound in self.bounds:
            points += list(np.where(np.eye(len(self.best)) > 0.0, bound, self.best))
        top, *sides = self._log_density_exact(np.array(points))
        return np.reshape(sides, (2, -1)) > top - 2.0

    def note(self, which: int) -> str:
        """Why a dispersion has no value: its posterior leans on a bound of its prior; or nothing."""
        low, high = self.bounded(which)
        lo, hi = np.exp(self.bounds)
        if low:
            return (
                f"the dispersion is not resolved from its lower bound, {lo:g} km/s: errors hide it"
            )
        if high:
            return f"the dispersion reaches its upper bound, {hi:g} km/s: are the units right?"
        return ""

    def _split(self, values: FloatArray) -> list[FloatArray]:
        ends = np.cumsum(self.sizes)
        return [values[:, end - size : end] for end, size in zip(ends, self.sizes, strict=True)]

    def _log_density_exact(self, log_sigma: FloatArray) -> FloatArray:
        """(n,) log posterior density of (n, s) ln sigma, q integrated out, from all stars."""
        return self.exact(log_sigma).log_evidence + self.log_prior(log_sigma)

    def _optimum(self) -> tuple[FloatArray, FloatArray]:
        """Logarithms of the most probable dispersions and their standard deviations."""
        lo, hi = self.bounds
        spread = np.concatenate([_spread(channel) for channel in self.channels])
        start = np.clip(np.log(np.maximum(spread, 1e-300)), lo + 0.01, hi - 0.01)
        best = self._climb(start)
        if best is None:
            best = self._search(start)
        step = np.full(len(best), 0.5 / np.sqrt(2.0 * len(self.channels[0].y)))
        return best, self._widths(best, np.minimum(step, 0.05))

    def _climb(self, start: FloatArray) -> FloatArray | None:
        """Place of the greatest density by Newton's method; None where a step goes wrong, as between two maxima."""
        lo, hi = self.bounds
        here, before = start, -np.inf
        for _ in range(_STEPS):
            value, slope, bend = self._derivatives(here)
            if value < before - _SLACK:
                return None
            free = np.where(slope < 0.0, here > lo, here < hi)
            curvature = -bend[np.ix_(free, free)]
            if not (np.isfinite(bend).all() and np.all(np.linalg.eigvalsh(curvature) > 0.0)):
                return None
            step = np.zeros(len(here))
            step[free] = np.linalg.solve(curvature, slope[free])
            here, before = np.clip(here + step, lo, hi), value
            if np.all(np.abs(step) < _FOUND):
                return here
        return None

    def _derivatives(self, at: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        """Log density at a point (s,), its gradient (s,) and its Hessian (s, s): differences, made in one go."""
        s = len(at)
        row, column = np.triu_indices(s, 1)
        unit = np.eye(s)
        pairs = unit[row] + unit[column]
        stencil = np.concatenate([np.zeros((1, s)), unit, -unit, pairs, -pairs])
        f = self._log_density_exact(at + _STEP * stencil)
        plus, minus = f[1 : s + 1], f[s + 1 : 2 * s + 1]
        both, neither = f[2 * s + 1 :].reshape(2, -1)
        bend = np.diag(plus + minus - 2.0 * f[0])
        mixed = both + neither - (plus + minus)[row] - (plus + minus)[column] + 2.0 * f[0]
        bend[row, column] = bend[column, row] = 0.5 * mixed
        return float(f[0]), (plus - minus) / (2.0 * _STEP), bend / _STEP**2

    def _search(self, start: FloatArray) -> FloatArray:
        """Place of the greatest density, wherever the way there leads."""
        from scipy.optimize import minimize

        scale = 1.0 / len(self.channels[0].y)

        def objective(log_sigma: FloatArray) -> float:
            return -scale * float(self._log_density_exact(log_sigma[None, :])[0])

        limits = [(float(self.bounds[0]), float(self.bounds[1]))] * len(start)
        options: Any = {"ftol": 1e-13, "gtol": 1e-7}
        found = minimize(objective, start, method="L-BFGS-B", bounds=limits, options=options)
        return np.asarray(found.x)

    def _widths(self, best: FloatArray, step: FloatArray) -> FloatArray:
        """Give the standard deviation of each ln sigma by its curvature; the whole prior without one."""
        lo, hi = self.bounds
        inner = np.clip(best, lo + step, hi - step)
        shifts = np.concatenate([np.zeros((1, len(step))), np.diag(step), -np.diag(step)])
        here, *sides = self._log_density_exact(inner + shifts)
        widths = []
        for k, h in enumerate(step):
            above, below = sides[k], sides[len(step) + k]
            curvature = (2.0 * here - above - below) / h**2
            slope = abs(above - below) / (2.0 * h)
            sharp = max(curvature, slope**2 if inner[k] != best[k] else 0.0)
            widths.append(1.0 / np.sqrt(sharp) if sharp > (1.0 / (hi - lo)) ** 2 else hi - lo)
        return np.array(widths)

    def _table(self, which: int) -> FloatArray:
        """Chebyshev coefficients (n, q) or (n, n', q) of the sums of a channel over the box."""
        before = sum(self.sizes[:which])
        axes = range(before, before + self.sizes[which])
        nodes = []
        for axis in axes:
            nodes.append(nodes_across(0.5 * (self.hi[axis] - self.lo[axis])))
        grid = np.stack(np.meshgrid(*nodes, indexing="ij"), axis=-1)
        lo, hi = self.lo[list(axes)], self.hi[list(axes)]
        log_sigma = lo + 0.5 * (grid.reshape(-1, len(nodes)) + 1.0) * (hi - lo)
        values = sums(self.channels[which], np.exp(log_sigma)).reshape(*grid.shape[:-1], -1)
        for axis, x in enumerate(nodes):
            inverse = np.linalg.inv(chebyshev.chebvander(x, len(x) - 1))
            values = np.moveaxis(np.tensordot(inverse, values, axes=(1, axis)), 0, axis)
        return values


def _spread(channel: Channel) -> FloatArray:
    """(m,) rough dispersions [km/s]: of the central two thirds, the typical error taken off."""
    lo, hi = np.percentile(channel.y, [16.0, 84.0], axis=0)
    error = np.median(np.einsum("nii->ni", channel.E), axis=0)
    spread = 0.5 * (hi - lo)
    return np.asarray(np.sqrt(np.maximum(spread**2 - error, 0.01 * spread**2)))
