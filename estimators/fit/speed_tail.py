"""Tails of speeds: powers of the distance from one escape speed, convolved with errors, and a Gaussian of outliers.

With a = v_esc(r) - v and the means <.> over normal deviates z, a star above v_min has the density

    (1 - f) sum_i f_i (k_i + 1) <(a + s z)_+^k_i> / <(a_min + s z)_+^(k_i + 1)> + f N(v; S^2 + s^2)

with v_esc(r) = v_esc (r / r_b)^-slope, a_min = v_esc(r) - v_min, s the error of its speed, and the Gaussian N of
dispersion sqrt(S^2 + s^2) normalised above v_min.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from haloassay.base.arrays import BoolArray, FloatArray
from haloassay.base.compiled import compiled
from haloassay.base.settings import require
from haloassay.estimators.fit.chebyshev import Nodes
from haloassay.estimators.fit.power_means import at_power, log_power, power_table

#: Fastest stars that stay what they are, and errors below the last of them from which on others may be summed up.
_FASTEST: Final = 100
_CLEAR: Final = 2.0
#: Intervals of speed of those that are summed up, nodes in each, in the variance of errors, and in ln r.
_INTERVALS: Final = 8
_NODES: Final = 8
_NODES_ERROR: Final = 3
_NODES_RADIUS: Final = 5


@dataclass(frozen=True)
class Outliers:
    """Stars that are not bound, or whose speeds are blunders: a Gaussian about rest, cut off where the tail begins.

    Parameters
    ----------
    share
        Bounds of their share of the stars; the prior is flat in its logarithm.
    sigma
        Bounds of the dispersion [km/s]; likewise.
    """

    share: tuple[float, float] = (1e-6, 1.0)
    sigma: tuple[float, float] = (600.0, 3000.0)

    def __post_init__(self) -> None:
        lo, hi = self.share
        require(0.0 < lo < hi <= 1.0, f"share: bounds ascend, from above 0 to 1 (got {[lo, hi]})")
        lo, hi = self.sigma
        require(0.0 < lo < hi, f"sigma: bounds ascend from above 0 (got {[lo, hi]})")


def falling(u: FloatArray, lo: float, hi: float) -> FloatArray:
    """Numbers (m, K) between ``lo`` and ``hi``, each less than that before it, of ``u`` (m, K) in the unit cube.

    Where u is uniform, they are K uniform numbers in their order.
    """
    left = np.arange(u.shape[1], 0, -1)
    return np.asarray(lo + (hi - lo) * np.cumprod(u ** (1.0 / left), axis=1))


def shares(u: FloatArray) -> FloatArray:
    """Shares (m, K) that sum to one, of ``u`` (m, K - 1) in the unit cube; where u is uniform, so are they."""
    left = np.arange(u.shape[1], 0, -1)
    rest = np.cumprod((1.0 - u) ** (1.0 / left), axis=1)
    ends = np.ones((len(u), 1)), np.zeros((len(u), 1))
    return -np.diff(np.concatenate([ends[0], rest, ends[1]], axis=1), axis=1)


@dataclass(frozen=True, eq=False)
class Shapes:
    """Tails of which the likelihood is asked.

    Parameters
    ----------
    v_esc, slope
        (m,) escape speeds [km/s] at the radius r_b, and their slopes.
    k, share
        (m, K) powers of the components, and their shares of the tail, which sum to one.
    outliers, sigma
        (m,) share of outliers among the stars, and their dispersions [km/s].
    """

    v_esc: FloatArray
    slope: FloatArray
    k: FloatArray
    share: FloatArray
    outliers: FloatArray
    sigma: FloatArray


@dataclass(frozen=True, eq=False)
class Tail:
    """Stars of the tail.

    Parameters
    ----------
    log_r
        (n,) ln of their radii in units of that of v_esc.
    speed, error
        (n,) speeds and their errors [km/s].
    weight
        (n,) how often each counts.
    v_min
        Where the tail begins [km/s].
    k_range
        Least and largest power that will be asked for.
    """

    log_r: FloatArray
    speed: FloatArray
    error: FloatArray
    weight: FloatArray
    v_min: float
    k_range: tuple[float, float]

    def log_likelihood(self, shapes: Shapes) -> FloatArray:
        """Log likelihood (m,) of the stars."""
        lo, hi = self.k_range[0], self.k_range[1] + 1.0
        fields = (shapes.v_esc, shapes.slope, shapes.k, shapes.share, shapes.outliers, shapes.sigma)
        arrays = [np.ascontiguousarray(field, dtype=float) for field in fields]
        stars = (self.log_r, self.speed, self.error, self.weight)
        return _log_likelihood(*arrays, *stars, self.v_min, power_table(lo, hi), lo, hi)

    def summed_up(self, slopes: tuple[float, float]) -> Tail:
        """Tail whose likelihood is nearly this one's, of few stars.

        Of stars well below the fastest the likelihood is a smooth function of speed, radius and error. A polynomial
        through it at nodes stands for it, so that its sum over stars is one over nodes, with weights that no parameter
        changes.

        Parameters
        ----------
        slopes
            Bounds of the slopes that will be asked for.
        """
        if len(self.speed) < 3 * _FASTEST:
            return self
        slope = 0.5 * (slopes[0] + slopes[1])
        scale = np.exp(slope * self.log_r)
        speed = scale * self.speed
        slow = speed + _CLEAR * scale * self.error < np.partition(speed, -_FASTEST)[-_FASTEST]
        if slow.sum() < _FASTEST:
            return self
        nodes_radius = 1 if slopes == (0.0, 0.0) else _NODES_RADIUS
        log_r, v, error, weight = self._nodes(slow, speed, nodes_radius)
        if 2 * len(weight) > slow.sum():
            return self
        return replace(
            self,
            log_r=np.concatenate([self.log_r[~slow], log_r]),
            speed=np.concatenate([self.speed[~slow], v * np.exp(-slope * log_r)]),
            error=np.concatenate([self.error[~slow], error]),
            weight=np.concatenate([self.weight[~slow], weight]),
        )

    def _nodes(
        self, slow: BoolArray, speed: FloatArray, nodes_radius: int
    ) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Ln r, scaled speed, error and weight of nodes that stand for the stars ``slow``, of scaled ``speed``."""
        x, v, variance = self.log_r[slow], speed[slow], self.error[slow] ** 2
        radius = _between(x, nodes_radius)
        errors = _between(variance, _NODES_ERROR)
        others = np.einsum(
            "nx,ne,n->nxe", radius.weights(x), errors.weights(variance), self.weight[slow]
        )
        edges = np.linspace(v.min(), v.max(), _INTERVALS + 1)
        interval = np.clip(np.searchsorted(edges, v, side="right") - 1, 0, _INTERVALS - 1)
        found = []
        for i in range(_INTERVALS):
            rows = interval == i
            speeds = _between(edges[i : i + 2], _NODES)
            weight = np.tensordot(others[rows], speeds.weights(v[rows]), axes=(0, 0))
            # speeds last: the kernel keeps what depends on radius and error alone
            at = np.meshgrid(radius.x, speeds.x, np.sqrt(np.maximum(errors.x, 0.0)), indexing="ij")
            axes = (a.transpose(0, 2, 1).ravel() for a in at)
            found.append(np.array([*axes, weight.ravel()]))
        log_r, v, error, weight = np.concatenate(found, axis=1)
        return log_r, v, error, weight


def _between(x: FloatArray, n: int) -> Nodes:
    """Nodes between the ends of ``x``, one where all are the same."""
    lo, hi = float(x.min()), float(x.max())
    return Nodes(lo, hi, n if hi - lo > 1e-9 * max(abs(lo), abs(hi)) else 1)


@compiled(error_model="numpy")
def _log_likelihood(
    v_esc: FloatArray,
    slope: FloatArray,
    k: FloatArray,
    share: FloatArray,
    outliers: FloatArray,
    sigma: FloatArray,
    log_r: FloatArray,
    speed: FloatArray,
    error: FloatArray,
    weight: FloatArray,
    v_min: float,
    table: FloatArray,
    lo: float,
    hi: float,
) -> FloatArray:
    """Weighted sum (m,) of the ln of the density of stars."""
    n_points, n_parts = k.shape
    shape = (n_parts, table.shape[0], table.shape[1])
    here, above, norm = np.empty(shape), np.empty(shape), np.empty(n_parts)
    term, out = np.empty(n_parts), np.zeros(n_points)
    for m in range(n_points):
        for j in range(n_parts):
            here[j] = at_power(table, lo, hi, k[m, j])
            above[j] = at_power(table, lo, hi, k[m, j] + 1.0)
        of_tail, top, log_out, wide = 1.0 - outliers[m], 0.0, -np.inf, 1.0
        for i in range(len(speed)):
            if i == 0 or log_r[i] != log_r[i - 1] or error[i] != error[i - 1]:
                top = v_esc[m] * np.exp(-slope[m] * log_r[i])
                for j in range(n_parts):
                    seen = log_power(top - v_min, error[i], k[m, j] + 1.0, above[j])
                    norm[j] = np.log((k[m, j] + 1.0) * share[m, j] * of_tail) - seen
                if outliers[m] > 0.0:
                    wide = sigma[m] ** 2 + error[i] ** 2
                    seen = np.sqrt(0.5 * np.pi * wide) * math.erfc(v_min / np.sqrt(2.0 * wide))
                    log_out = np.log(outliers[m] / seen)
            out_term = log_out - 0.5 * speed[i] ** 2 / wide
            largest = out_term
            for j in range(n_parts):
                term[j] = log_power(top - speed[i], error[i], k[m, j], here[j]) + norm[j]
                largest = max(largest, term[j])
            value = largest
            if largest > -np.inf and (n_parts > 1 or outliers[m] > 0.0):
                total = np.exp(out_term - largest)
                for j in range(n_parts):
                    total += np.exp(term[j] - largest)
                value += np.log(total)
            if value == -np.inf:  # a weight may be negative
                out[m] = value
                break
            out[m] += weight[i] * value
    return out
