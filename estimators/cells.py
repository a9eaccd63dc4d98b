"""Cells of a map, the stars in each, dispersions of drawn stars, and how much these vary from cell to cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from haloassay.base.arrays import FloatArray, IntArray
from haloassay.base.compiled import compiled
from haloassay.contracts.catalogue import spans
from haloassay.estimators.fit.likelihoods import variance_log_likelihood
from haloassay.estimators.fit.posterior import cell_draws
from haloassay.estimators.gathering import packed, unpacked


@dataclass(frozen=True, eq=False)
class Cells:
    """Which stars are in which cell; a star may be in several.

    Parameters
    ----------
    first
        (n + 1,) where the stars of each cell begin in ``stars``.
    stars
        (m,) row numbers.
    independent
        Numbers of cells that share no star with one another.
    """

    first: IntArray
    stars: IntArray
    independent: IntArray

    @classmethod
    def of_numbers(cls, number: IntArray, n: int) -> Cells:
        """``n`` cells of stars, each in the cell of its ``number`` (N,)."""
        stars = np.argsort(number, kind="stable")
        first = np.searchsorted(number[stars], np.arange(n + 1))
        return cls(first, stars, np.arange(n))

    def __len__(self) -> int:
        return len(self.first) - 1

    def members(self, k: int) -> IntArray:
        """Row numbers of the stars of cell ``k``."""
        return self.stars[self.first[k] : self.first[k + 1]]

    def subset(self, which: IntArray) -> Cells:
        """Return some of the cells, renumbered."""
        parts = [self.members(k) for k in which]
        first = np.concatenate([[0], np.cumsum([len(part) for part in parts])]).astype(np.int64)
        stars = np.concatenate([np.empty(0, dtype=np.int64), *parts])
        return Cells(first, stars, np.arange(len(which)))


def grid_cells(points: FloatArray, extent: float, step: float, radius: float) -> Cells:
    """Circles of ``radius`` about the points of a square grid, and the points (N, 2) inside."""
    from scipy.spatial import cKDTree

    axis = np.arange(-extent, extent + 0.5 * step, step)
    n = len(axis)
    centres = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    apart = int(np.floor(2.0 * radius / step)) + 1
    some = np.arange(0, n, apart)
    independent = (some[:, None] * n + some).ravel()
    if len(points) == 0:
        return Cells(np.zeros(n * n + 1, dtype=np.int64), np.empty(0, dtype=np.int64), independent)
    found: Any = cKDTree(points).query_ball_point(centres, radius, return_sorted=True)
    first = np.concatenate([[0], np.cumsum([len(each) for each in found])]).astype(np.int64)
    stars = np.concatenate([np.asarray(each, dtype=np.int64) for each in found])
    return Cells(first, stars, independent)


def fractions(of: FloatArray, cells: Cells) -> FloatArray:
    """Mean (cells,) of a column (N,) over the stars of each cell; NaN in an empty one."""
    total = np.concatenate([[0.0], np.cumsum(of[cells.stars])])
    size = np.diff(cells.first)
    sums = total[cells.first[1:]] - total[cells.first[:-1]]
    return np.asarray(np.where(size > 0, sums / np.maximum(size, 1), np.nan))


def log_dispersion(v: FloatArray, noise: FloatArray, cells: Cells) -> tuple[FloatArray, FloatArray]:
    """Unbiased ln sigma (cells,) freed from the errors, and its sampling error (cells,).

    sigma^2 is the sample variance less the mean variance of the errors. The sample variance of n
    stars scatters like chi^2 with 2 (n - 1) / (kappa - 1) degrees of freedom, kappa the kurtosis that
    all cells have together (3 for Gaussians), of which the mean and the variance of the logarithm
    are digamma and trigamma functions. NaN where the errors exceed the scatter.

    Parameters
    ----------
    v
        (N,) velocities [km/s].
    noise
        (N,) variances of their errors [(km/s)^2].
    cells
        Stars of each cell, two or more.
    """
    from scipy.special import digamma, polygamma

    n = np.diff(cells.first).astype(float)
    if len(n) == 0:
        return np.empty(0), np.empty(0)
    starts = cells.first[:-1]
    number = np.repeat(np.arange(len(n)), np.diff(cells.first))
    mean = np.add.reduceat(v[cells.stars], starts) / n
    off = v[cells.stars] - mean[number]
    variance = np.add.reduceat(off**2, starts) / (n - 1.0)
    error = np.add.reduceat(noise[cells.stars], starts) / n
    safe = np.where(variance > 0.0, variance, np.inf)
    # a Gaussian sample of n has <sum (x - mean)^4 / variance^2> = 3 (n - 1)^3 / (n (n + 1))
    kappa = np.sum((off**2 / safe[number]) ** 2) / np.sum((n - 1.0) ** 3 / (n * (n + 1.0)))
    freedom = 2.0 * (n - 1.0) / max(kappa - 1.0, 0.1)
    inner = variance - error
    with np.errstate(divide="ignore", invalid="ignore"):
        stretch = variance / inner
        value = 0.5 * np.log(inner)
        value -= 0.5 * stretch * (digamma(0.5 * freedom) - np.log(0.5 * freedom))
        scatter = 0.5 * stretch * np.sqrt(polygamma(1, 0.5 * freedom))
    good = (inner > 0.0) & (scatter < 1.0)
    return np.where(good, value, np.nan), np.where(good, scatter, np.nan)


def scatter_posterior(
    value: FloatArray, error: FloatArray, n_draws: int, rng: np.random.Generator
) -> FloatArray:
    """Draws of A >= 0 where value_i ~ N(mu, A^2 + error_i^2), priors of mu and A uniform.

    mu is integrated analytically; A is drawn by the inverse of its cumulative posterior on a grid.

    Parameters
    ----------
    value, error
        (n,) measured values and their errors, n >= 3.
    """
    reach = 10.0 * (np.std(value) + np.median(error)) + 1e-300
    A = reach * np.linspace(0.0, 1.0, 4001) ** 2
    log_posterior = variance_log_likelihood(A**2, value - value.mean(), error**2, True)
    density = np.exp(log_posterior - log_posterior.max())
    return cell_draws(A, 0.5 * (density[1:] + density[:-1]) * np.diff(A), n_draws, rng)


def drawn_dispersions(
    v: FloatArray,
    S: FloatArray,
    cells: Cells,
    n_draws: int,
    drop: float,
    rng: np.random.Generator,
    *,
    in_place: bool = False,
) -> FloatArray:
    """Dispersions (cells, n_draws, 3) of velocities drawn again, without some of the stars.

    Han et al. (2024, section 2). Velocities are drawn from their first-order covariance; a star in
    several cells has the same draw in all. Each cell leaves out its own stars, ``drop`` times their
    number, rounded. Variances have n - 1 in the denominator.

    Parameters
    ----------
    v
        (N, 3) velocities [km/s].
    S
        (N, 6) error covariances [(km/s)^2], :func:`~haloassay.estimators.gathering.packed`.
    cells
        Stars of each cell, two or more.
    in_place
        Whether the roots may be left in ``S`` instead of the covariances.
    """
    out = np.empty((len(cells), n_draws, 3))
    if len(cells):
        stars, root = cells.stars.copy(), S if in_place else np.empty_like(S)
        for rows in spans(len(S)):
            root[rows] = packed(_roots(unpacked(S[rows])))
        # a copy is never read-only: the kernel would be compiled for both
        own = v if v.flags.writeable and v.flags.c_contiguous else np.array(v, order="C")
        _draw_dispersions(own, root, cells.first, stars, drop, rng, out)
    return out


def _roots(S: FloatArray) -> FloatArray:
    """Lower triangular roots (N, 3, 3) of covariances that may be singular."""
    root = np.zeros_like(S)
    with np.errstate(divide="ignore", invalid="ignore"):
        for j in range(3):
            rest = S[:, j, j] - np.sum(root[:, j, :j] ** 2, axis=1)
            real = rest > 1e-12 * S[:, j, j]
            root[:, j, j] = np.sqrt(np.where(real, rest, 0.0))
            for i in range(j + 1, 3):
                below = S[:, i, j] - np.sum(root[:, i, :j] * root[:, j, :j], axis=1)
                root[:, i, j] = np.where(real, below / root[:, j, j], 0.0)
    return root


@compiled
def _draw_dispersions(
    v: FloatArray,
    root: FloatArray,
    first: IntArray,
    stars: IntArray,
    drop: float,
    rng: np.random.Generator,
    out: FloatArray,
) -> None:
    """Fill ``out`` (cells, n_draws, 3); ``stars`` is shuffled within the cells.

    Sums are taken over all stars of a cell about its own mean, and those of the stars left out,
    the first of a partial shuffle, are subtracted.
    """
    n_cells, n_draws = out.shape[0], out.shape[1]
    drawn = np.empty_like(v)
    middle = np.zeros((n_cells, 3))
    for c in range(n_cells):
        for k in range(first[c], first[c + 1]):
            for i in range(3):
                middle[c, i] += v[stars[k], i] / (first[c + 1] - first[c])
    for draw in range(n_draws):
        for i in range(v.shape[0]):
            a, b, d = rng.standard_normal(), rng.standard_normal(), rng.standard_normal()
            drawn[i, 0] = v[i, 0] + root[i, 0] * a
            drawn[i, 1] = v[i, 1] + root[i, 1] * a + root[i, 2] * b
            drawn[i, 2] = v[i, 2] + root[i, 3] * a + root[i, 4] * b + root[i, 5] * d
        for c in range(n_cells):
            n = first[c + 1] - first[c]
            left_out = int(np.floor(drop * n + 0.5))
            for k in range(left_out):
                here = first[c] + k
                other = here + int(rng.random() * (n - k))
                stars[here], stars[other] = stars[other], stars[here]
            _scatter(drawn, stars[first[c] + left_out : first[c + 1]], middle[c], out[c, draw])


@compiled
def _scatter(drawn: FloatArray, stars: IntArray, middle: FloatArray, out: FloatArray) -> None:
    """Fill ``out`` (3,) with the standard deviations of some stars, summed about ``middle``."""
    n = stars.size
    a = b = c = aa = bb = cc = 0.0
    for k in range(n):
        i = stars[k]
        x, y, z = drawn[i, 0] - middle[0], drawn[i, 1] - middle[1], drawn[i, 2] - middle[2]
        a, b, c = a + x, b + y, c + z
        aa, bb, cc = aa + x * x, bb + y * y, cc + z * z
    out[0] = np.sqrt(max(aa - a * a / n, 0.0) / (n - 1))
    out[1] = np.sqrt(max(bb - b * b / n, 0.0) / (n - 1))
    out[2] = np.sqrt(max(cc - c * c / n, 0.0) / (n - 1))
