"""Radial bins of a catalogue, and the tracer density that an observer assumes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from haloassay.errors import InputError
from haloassay.profiles import power_law_log_density, power_law_slope
from haloassay.settings import require

if TYPE_CHECKING:
    from haloassay.catalogue import Catalogue

FloatArray = NDArray[np.float64]

#: Edges of radial bins [kpc], or the whole sample as one bin.
Edges = tuple[float, ...] | Literal["none"]


@dataclass(frozen=True)
class DensitySlope:
    """Number density of the tracers: a power law whose slope changes at breaks.

    Parameters
    ----------
    slopes
        d ln rho / d ln r inside the first break, between breaks, and outside the last.
    breaks
        Radii of the breaks [kpc], ascending, one fewer than slopes.
    width
        Scale in ln r over which the slope passes from one value to the next; 0 breaks sharply.
    """

    slopes: tuple[float, ...]
    breaks: tuple[float, ...] = ()
    width: float = 0.0

    def __post_init__(self) -> None:
        require(
            len(self.slopes) == len(self.breaks) + 1,
            f"{len(self.breaks)} breaks need {len(self.breaks) + 1} slopes "
            f"(got {len(self.slopes)})",
        )
        require(
            all(0.0 < a < b for a, b in zip((0.0001, *self.breaks), self.breaks, strict=False)),
            f"breaks are positive and ascend (got {self.breaks})",
        )
        require(self.width >= 0.0, f"width is not negative (got {self.width})")
        require(
            all(slope < 0.0 for slope in self.slopes),
            f"alpha = d ln rho / d ln r is negative for a density that falls outwards"
            f" (got {', '.join(f'{slope:g}' for slope in self.slopes)})",
        )

    def slope(self, r: ArrayLike) -> FloatArray:
        """Slope d ln rho / d ln r at ``r`` [kpc]."""
        return power_law_slope(r, self.slopes, self.breaks, self.width)

    def log_density(self, r: ArrayLike) -> FloatArray:
        """Natural logarithm of the density at ``r`` [kpc], normalisation arbitrary."""
        return power_law_log_density(r, self.slopes, self.breaks, self.width)


def density_slope(alpha: float | DensitySlope) -> DensitySlope:
    """Density of a setting ``alpha``: slopes and breaks, or the one slope of a power law."""
    return alpha if isinstance(alpha, DensitySlope) else DensitySlope((float(alpha),))


@dataclass(frozen=True, eq=False)
class Bin:
    """Stars of one radial bin.

    Parameters
    ----------
    index
        Number of the bin.
    rows
        (n,) indices of its stars in the catalogue.
    r
        Median radius of its stars [kpc]; the middle of an empty bin.
    r_lo, r_hi
        Edges [kpc], r_lo <= r < r_hi.
    """

    index: int
    rows: NDArray[np.int64]
    r: float
    r_lo: float
    r_hi: float

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def where(self) -> dict[str, float]:
        """Radius, edges and number of the bin, as the keywords of an estimate."""
        return {"r": self.r, "r_lo": self.r_lo, "r_hi": self.r_hi, "bin": self.index}


def check_edges(edges: Edges) -> None:
    """Raise :class:`InputError` unless ``edges`` ascend, from 0 or more, and make a bin."""
    if edges == "none":
        return
    require(len(edges) >= 2, f'bins: give at least two edges [kpc], or "none" (got {list(edges)})')
    ascending = all(float(a) < float(b) for a, b in pairwise(edges))
    require(
        ascending and float(edges[0]) >= 0.0,
        f"bins: edges ascend from 0 kpc or more (got {list(edges)})",
    )


def check_finite(catalogue: Catalogue) -> None:
    """Raise :class:`InputError` if a position or velocity of the catalogue is not finite."""
    finite = np.isfinite(catalogue.position).all(axis=1) & np.isfinite(catalogue.velocity).all(
        axis=1
    )
    if not finite.all():
        bad = np.flatnonzero(~finite)
        raise InputError(
            f"{catalogue.origin}: {len(bad)} of {len(catalogue)} stars have a position or velocity "
            f"that is not finite (first rows: {', '.join(map(str, bad[:3]))})"
        )


def radial_bins(r: FloatArray, edges: Edges) -> tuple[Bin, ...]:
    """Bins of stars at radii ``r`` (N,) [kpc]; stars outside the edges are in no bin.

    The whole sample, ``edges = "none"``, is one bin from its innermost star to just beyond its
    outermost.
    """
    if edges == "none":
        lo, hi = (float(r.min()), float(np.nextafter(r.max(), np.inf))) if len(r) else (0.0, 0.0)
        edges = (lo, hi)
    return tuple(_fill(r, edges))


def _fill(r: FloatArray, edges: tuple[float, ...]) -> Iterator[Bin]:
    order = np.argsort(r, kind="stable")
    first = np.searchsorted(r[order], edges)
    for k, (lo, hi) in enumerate(pairwise(edges)):
        rows = np.sort(order[first[k] : first[k + 1]])
        median = float(np.median(r[rows])) if len(rows) else 0.5 * (lo + hi)
        yield Bin(k, rows, median, float(lo), float(hi))


def bootstrap(
    statistic: Callable[[NDArray[np.int64]], FloatArray],
    n_stars: int,
    n: int,
    rng: np.random.Generator,
) -> FloatArray:
    """Values (n, ...) of ``statistic`` of the row numbers of ``n`` resampled catalogues."""
    return np.array([statistic(rng.integers(n_stars, size=n_stars)) for _ in range(n)])
