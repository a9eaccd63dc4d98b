"""Where the catalogues that a network was trained on are, so that others are told from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.errors import EstimationError

#: Parts by the number of stars at most, and the catalogues of each, in those a number of a summary needs.
_PARTS: Final = 6
_OF_EACH: Final = 50
#: Margins of what a network was trained on: shares of radii, of numbers of stars, and of the range of a number.
MARGIN: Final = 0.02
_NUMBERS: Final = 0.05
_RANGE: Final = 0.1

#: How a note begins where it is not.
OUTSIDE: Final = "outside of what the network was trained on"


@dataclass(frozen=True, eq=False)
class Cloud:
    """What a network has seen of catalogues: whoever is not in there is not judged by it.

    Moments of few stars scatter, and among many catalogues of few stars some are like none of many. What is usual
    is therefore told by the number of stars, in K parts.

    Parameters
    ----------
    n_stars, radii
        Least and most stars; smallest and largest radius [kpc].
    mean, scale
        (n,) of the summaries, by which the network takes them.
    edges
        (K - 1,) numbers of stars between parts.
    lo, hi
        (K, n) ends of summaries.
    middle
        (K, n) their means.
    whiten
        (K, n, n) matrices that make what is off the middle uncorrelated and of scatter 1.
    farthest
        (K,) largest distances of any from the middle after that.
    """

    n_stars: tuple[float, float]
    radii: tuple[float, float]
    mean: FloatArray
    scale: FloatArray
    edges: FloatArray
    lo: FloatArray
    hi: FloatArray
    middle: FloatArray
    whiten: FloatArray
    farthest: FloatArray

    @classmethod
    def of(cls, summaries: FloatArray, n_stars: FloatArray, radii: FloatArray) -> Cloud:
        """Cloud of summaries (m, n) of catalogues of ``n_stars`` (m,), radii (m, 2) their ends [kpc]."""
        number = int(np.clip(len(summaries) // (_OF_EACH * summaries.shape[1]), 1, _PARTS))
        cuts = np.linspace(0.0, 1.0, number + 1)[1:-1]
        # numbers that there are, so that no part is empty
        edges = np.unique(np.quantile(n_stars, cuts, method="higher"))
        edges = edges[edges > n_stars.min()]
        part = np.searchsorted(edges, n_stars, side="right")
        each = [_usual(summaries[part == k]) for k in range(len(edges) + 1)]
        lo, hi, middle, whiten, farthest = (np.array(a) for a in zip(*each, strict=True))
        ends = (float(n_stars.min()), float(n_stars.max()))
        within = (float(radii[:, 0].min()), float(radii[:, 1].max()))
        mean, scale = summaries.mean(axis=0), _scale(summaries)
        return cls(ends, within, mean, scale, edges, lo, hi, middle, whiten, farthest)

    def standardised(self, summary: FloatArray) -> FloatArray:
        """Summaries (..., n) as the network takes them."""
        return np.asarray((summary - self.mean) / self.scale)

    def require_stars(self, r: FloatArray) -> None:
        """Raise :class:`EstimationError` unless as many stars were trained on as are at ``r`` [kpc], and there."""
        n, (few, many) = len(r), self.n_stars
        if not few * (1.0 - _NUMBERS) <= n <= many * (1.0 + _NUMBERS):
            raise EstimationError(f"{OUTSIDE}: {n} stars, there {few:g} to {many:g}")
        (lo, hi), (near, far) = (float(r.min()), float(r.max())), self.radii
        if lo < near * (1.0 - MARGIN) or hi > far * (1.0 + MARGIN):
            raise EstimationError(
                f"{OUTSIDE}: stars from {lo:.3g} to {hi:.3g} kpc, there from {near:.3g} to {far:.3g}"
            )

    def require_like(self, summary: FloatArray, n_stars: float, names: tuple[str, ...]) -> None:
        """Raise :class:`EstimationError` where a summary (n,) is far from all of about as many stars."""
        k = int(np.searchsorted(self.edges, n_stars, side="right"))
        lo, hi = self.lo[k], self.hi[k]
        beyond = np.maximum(lo - summary, summary - hi) / (_RANGE * np.maximum(hi - lo, 0.1))
        worst = int(np.argmax(beyond))
        if beyond[worst] > 1.0:
            raise EstimationError(
                f"{OUTSIDE}: {names[worst]} is {summary[worst]:.3g}, there"
                f" {lo[worst]:.3g} to {hi[worst]:.3g}"
            )
        away = float(np.linalg.norm(self.whiten[k] @ (summary - self.middle[k])))
        if away > (1.0 + _RANGE) * self.farthest[k]:
            raise EstimationError(
                f"{OUTSIDE}: its moments together are {away:.3g} scatters from their middle, there"
                f" {self.farthest[k]:.3g} at most"
            )


def _usual(
    summaries: FloatArray,
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, float]:
    """Find ends, middle, whitening and farthest of summaries (m, n)."""
    middle, scale = summaries.mean(axis=0), _scale(summaries)
    x = (summaries - middle) / scale
    values, vectors = np.linalg.eigh(x.T @ x / len(x) + 1e-3 * np.eye(x.shape[1]))
    whiten = (vectors / np.sqrt(values)).T / scale
    farthest = float(np.linalg.norm((summaries - middle) @ whiten.T, axis=1).max())
    return summaries.min(axis=0), summaries.max(axis=0), middle, whiten, farthest


def _scale(summaries: FloatArray) -> FloatArray:
    """Scatter (n,) of summaries, 1 where there is none."""
    scatter = summaries.std(axis=0)
    return np.where(scatter > 1e-6, scatter, 1.0)
