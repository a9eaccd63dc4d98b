"""A fixed number of robust moments of a catalogue's velocities in bins of radius: what a network looks at."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from haloassay.base.arrays import FloatArray, IntArray
from haloassay.base.errors import EstimationError
from haloassay.base.settings import require

if TYPE_CHECKING:
    from haloassay.contracts.catalogue import Catalogue

#: Raised when equal stars give other numbers: networks of before are then refused.
VERSION: Final = 1
#: Stars like the whole sample that are added to each bin, so that an empty one has numbers too.
_ADDED: Final = 5.0
#: Dispersions from which a velocity counts as no more than that.
_CUT: Final = 5.0
#: Least share of a variance that is left when the errors are taken out.
_LEAST: Final = 0.02
#: Percentiles of the speeds, which tell of the tail.
_SPEEDS: Final = (50.0, 90.0, 98.0)


@dataclass(frozen=True)
class MomentSummary:
    """Numbers that say how stars move at each radius.

    Of each bin: the logarithm of its share of the stars; of v_r and of v_t / sqrt(2), v_t^2 = v_theta^2 + v_phi^2,
    the logarithm of the variance, weighted by V / (V + e^2) with V that of all stars, and without the errors e; that
    of the squared mean size over the mean square, which tells of tails; and the mean square of the errors
    over the variance. Each mean has five stars more that are like the whole sample. Velocities count as five
    dispersions at most. Of all stars: ln N, mean and scatter of ln r, and ln of three percentiles of the speed.

    Parameters
    ----------
    edges
        Of the bins [kpc], ascending.
    """

    edges: tuple[float, ...]

    def __post_init__(self) -> None:
        ascending = all(0.0 < a < b for a, b in pairwise((*self.edges,)))
        require(
            len(self.edges) >= 2 and ascending,
            f"edges: two radii [kpc] or more that ascend from above 0 (got {list(self.edges)})",
        )

    @property
    def names(self) -> tuple[str, ...]:
        """What each number is, in words."""
        per_bin = (
            "ln of the share of stars", "ln of the variance of v_r", "ln of the variance of v_t",
            "size over dispersion of v_r", "size over dispersion of v_t",
            "ln of 1 + squared errors over variance of v_r",
            "ln of 1 + squared errors over variance of v_t",
        )  # fmt: skip
        whole = ("ln of the number of stars", "mean ln r", "scatter of ln r")
        speeds = (f"ln of the {p:g}th percentile of the speed" for p in _SPEEDS)
        bins = [f"between {lo:g} and {hi:g} kpc" for lo, hi in pairwise(self.edges)]
        return (*(f"{name} {where}" for name in per_bin for where in bins), *whole, *speeds)

    def of(self, catalogue: Catalogue) -> FloatArray:
        """Numbers (n,) of a catalogue, in the order of :attr:`names`.

        Raises
        ------
        EstimationError
            If the stars do not move.
        """
        noise = np.einsum("njj->nj", catalogue.spherical_covariance)
        return self.of_stars(catalogue.r, catalogue.spherical_velocity, noise)

    def of_stars(self, r: FloatArray, v: FloatArray, noise: FloatArray) -> FloatArray:
        """Numbers (n,) of radii (N,) [kpc], spherical velocities (N, 3) and squares of their errors (N, 3).

        Raises
        ------
        EstimationError
            If the stars do not move.
        """
        bins = np.clip(np.searchsorted(self.edges, r, side="right") - 1, 0, len(self.edges) - 2)
        n = len(self.edges) - 1
        count = np.bincount(bins, minlength=n).astype(float)
        across = np.sqrt(0.5 * (v[:, 1] ** 2 + v[:, 2] ** 2))
        sizes = (np.abs(v[:, 0]), across)
        noises = (noise[:, 0], 0.5 * (noise[:, 1] + noise[:, 2]))
        blocks = [_of_component(*pair, bins, n) for pair in zip(sizes, noises, strict=True)]
        share = np.log((count + 0.5) / (len(r) + 0.5 * n))
        parts = [share, *(each for pair in zip(*blocks, strict=True) for each in pair)]
        log_r = np.log(r)
        speed = np.percentile(np.linalg.norm(v, axis=1), _SPEEDS)
        parts += [[np.log(len(r)), log_r.mean(), log_r.std()], np.log(np.maximum(speed, 1e-3))]
        return np.concatenate(parts)


def _of_component(
    size: FloatArray, noise: FloatArray, bins: IntArray, n: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Logarithms (n,) of variances and of squared mean sizes over mean squares, and shares of the errors."""
    scale = float(size.mean())
    if not scale > 0.0:
        raise EstimationError("the stars do not move")
    size = np.minimum(size, _CUT * 1.25 * scale)
    square = size**2
    whole = max(float((square - noise).mean()), _LEAST * float(square.mean()))
    weight = whole / (whole + noise)

    def means(values: FloatArray, weights: FloatArray, like: float) -> FloatArray:
        total = np.bincount(bins, weights * values, minlength=n)
        number = np.bincount(bins, weights, minlength=n)
        return np.asarray((total + _ADDED * like) / (number + _ADDED))

    one = np.ones_like(size)
    variance = np.maximum(means(square - noise, weight, whole), _LEAST * whole)
    shape = means(size, one, float(size.mean())) ** 2 / means(square, one, float(square.mean()))
    errors = np.log1p(means(noise, one, float(noise.mean())) / variance)
    return np.log(variance), np.log(shape), errors
