"""Radial bins of a catalogue, and the tracer density that an observer assumes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike

from haloassay.base.arrays import BoolArray, FloatArray, IntArray
from haloassay.base.errors import EstimationError
from haloassay.base.settings import require
from haloassay.contracts.estimate import Estimate, Estimates
from haloassay.contracts.profiles import power_law_log_density, power_law_slope
from haloassay.estimators.gathering import Known, gathered
from haloassay.estimators.rows import in_order

if TYPE_CHECKING:
    from haloassay.contracts.catalogue import Catalogue

#: Edges of radial bins [kpc], or the whole sample as one bin.
Edges = tuple[float, ...] | Literal["none"]

#: Slopes and anisotropies far beyond these lose all digits.
_STEEPEST: Final = -100.0
_LEAST_BETA: Final = -1000.0
#: Share of the stars that may stand where the selection sees none: rounding, and tails of errors.
_STRANGE: Final = 0.01
#: Stars at an end of a sample that may be strays, at most, and the fewest of which one may be.
_STRAYS: Final = 5
_ONE_OF: Final = 30
#: Probability of the gap behind strays, from the width of so many next stars; how much wider than others it is; and the
#: power of r in which stars are even at the inner end, minus that at the outer.
_CHANCE: Final = 1e-8
_NEXT: Final = 10
_WIDER: Final = 3.0
_EVEN: Final = 2.0


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
        require(
            min(self.slopes) >= _STEEPEST,
            f"alpha: slopes from {_STEEPEST:g} (got {min(self.slopes):g})",
        )

    def slope(self, r: ArrayLike) -> FloatArray:
        """Slope d ln rho / d ln r at ``r`` [kpc]."""
        return power_law_slope(r, self.slopes, self.breaks, self.width)

    def log_density(self, r: ArrayLike) -> FloatArray:
        """Natural logarithm of the density at ``r`` [kpc], normalisation arbitrary."""
        return power_law_log_density(r, self.slopes, self.breaks, self.width)


def log_power(
    x: FloatArray, slopes: Sequence[Any] | FloatArray, breaks: FloatArray, width: float
) -> FloatArray:
    """Ln rho at ln r ``x`` of a broken power law, as of :func:`~haloassay.contracts.profiles.power_law_log_density`.

    Slopes and ln breaks are numbers, or columns (m, 1) of many densities. It is most of what a fit does: without
    logaddexp it takes two fifths of the time, and mocks keep their last digits.
    """
    total = slopes[0] * x
    for before, after, at in zip(slopes[:-1], slopes[1:], breaks, strict=True):
        away = x - at
        ramp = np.maximum(away, 0.0)
        if width > 0.0:
            ramp += width * np.log1p(np.exp(-np.abs(away) / width))
        total += (after - before) * ramp
    return np.asarray(total)


class ShellDensity(Protocol):
    """A density of tracers, averaged over spherical shells."""

    def slope(self, r: ArrayLike) -> FloatArray:
        """Slope d ln rho / d ln r at ``r`` [kpc]."""

    def log_density(self, r: ArrayLike) -> FloatArray:
        """Natural logarithm of the density at ``r`` [kpc], normalisation arbitrary."""


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
    rows: IntArray
    r: float
    r_lo: float
    r_hi: float

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def where(self) -> dict[str, float]:
        """Radius, edges and number of the bin, as the keywords of an estimate."""
        return {"r": self.r, "r_lo": self.r_lo, "r_hi": self.r_hi, "bin": self.index}


def check_alpha(alpha: float | DensitySlope) -> None:
    """Raise :class:`InputError` unless ``alpha`` is a slope that a density can have."""
    density_slope(alpha)


def check_beta(beta: float) -> None:
    """Raise :class:`InputError` unless ``beta`` is an anisotropy below 1 that numbers can be computed with."""
    require(beta < 1.0, f"beta: below 1 (got {beta})")
    require(beta >= _LEAST_BETA, f"beta: from {_LEAST_BETA:g} (got {beta:g})")


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


def check_range(r_range: tuple[float, ...]) -> None:
    """Raise :class:`InputError` unless ``r_range`` [kpc] is empty or two ascending radii."""
    if r_range:
        require(len(r_range) == 2, f"r_range: two radii (got {list(r_range)})")
        lo, hi = r_range
        require(0.0 < lo < hi, f"r_range: radii ascend from above 0 (got {[lo, hi]})")


def check_radii(name: str, radii: tuple[float, ...]) -> None:
    """Raise :class:`InputError` unless the radii [kpc] of the setting ``name`` are positive."""
    require(all(r > 0.0 for r in radii), f"{name}: positive radii [kpc] (got {list(radii)})")


def check_least(name: str, value: float, least: float) -> None:
    """Raise :class:`InputError` unless the setting ``name`` is ``least`` or more."""
    require(value >= least, f"{name}: at least {least} (got {value})")


def check_number(n: int, least: int) -> None:
    """Raise :class:`EstimationError` if ``n`` stars are fewer than the ``least`` number needed."""
    if n < least:
        raise EstimationError(f"too few stars: {n}, at least {least} are needed")


def check_selected(chosen: BoolArray) -> None:
    """Raise :class:`EstimationError` if more than a few stars are where their selection function has none.

    Parameters
    ----------
    chosen
        (N,) whether it has any at one at least of the distances that a star may have.
    """
    strange = int(np.count_nonzero(~chosen))
    if strange > max(_STRANGE * len(chosen), 1.0):
        raise EstimationError(
            f"{strange} of {len(chosen)} stars are where the selection function of the survey has none"
        )


def check_resolved(square: FloatArray, noise: FloatArray) -> None:
    """Raise :class:`EstimationError` if squared velocities are their errors for the most part.

    Methods that leave the errors in the velocities call it.

    Parameters
    ----------
    square, noise
        (N, k) squares of the components, and variances of their errors [(km/s)^2].
    """
    if not np.mean(noise) <= 0.5 * np.mean(square):
        raise EstimationError("the velocity errors are larger than the dispersion, and stay in it")


def check_ends(r: FloatArray, setting: str = "r_range") -> None:
    """Raise :class:`EstimationError` if the sample does not end at its innermost and outermost star.

    Methods call it that take the sample for complete between those two: with a single stray star they normalise over
    radii where nothing was observed. Up to five stars at an end, and one in 30, are strays if the gap behind them
    has a probability below 1e-8 (:func:`gap_chances`).

    Parameters
    ----------
    r
        (n,) radii of the stars [kpc], in any order.
    setting
        What states the ends.
    """
    ordered = np.sort(r)
    for inner, inward in ((True, ordered), (False, ordered[::-1])):
        for k in np.flatnonzero(gap_chances(r, inner) < _CHANCE)[:1]:
            strays = _strays(inner, k + 1, float(inward[k]), float(inward[k + 1]))
            raise EstimationError(f"{strays}: the sample does not end there: state {setting}")


def gap_chances(r: FloatArray, inner: bool) -> FloatArray:
    """Probabilities (m,) of the gaps behind the m innermost, or outermost, of stars at ``r`` (n,) [kpc].

    By the width w of the next ten stars it is (w / (w + gap))^10, were stars spread evenly in r^2 at the inner end
    (density r^-1) and in r^-2 at the outer (r^-5): of steeper tails the next ten are as wide, and no gap is improbable.
    It is 1 where the gap is not three times as wide as all others in the next quarter of the sample, lest a clump be
    taken for the end.
    """
    n = len(r)
    m = min(_STRAYS, max(1, n // _ONE_OF), max(0, n - _NEXT - 1))
    chances = np.ones(m)
    if m == 0:
        return chances
    inward = np.sort(r) if inner else np.sort(r)[::-1]
    inward = inward[: m + 1 + max(_NEXT, n // 4)]
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):  # radii of 0
        gaps = np.abs(np.diff((inward / inward[m]) ** (_EVEN if inner else -_EVEN)))
    for k in range(m):
        after = gaps[k + 1 :]
        width = np.sum(after[:_NEXT])
        if gaps[k] > _WIDER * after.max():
            chances[k] = (width / (width + gaps[k])) ** _NEXT
    return chances


def _strays(inner: bool, n: int, last: float, others: float) -> str:
    """Say which ``n`` stars at an end, up to a radius [kpc], are strays, and where the others begin [kpc]."""
    name, along, rest = "innermost", f"out to {last:.3g} kpc", f"from {others:.3g} kpc on"
    if not inner:
        name, along, rest = "outermost", f"from {last:.3g} kpc on", f"out to {others:.3g} kpc"
    who = f"{name} star, at {last:.3g} kpc, is" if n == 1 else f"{n} {name} stars, {along}, are"
    return f"the {who} far from all others, {rest}"


def rows_within(r: FloatArray, r_range: tuple[float, ...], min_stars: int) -> IntArray:
    """Row numbers of stars at ``r`` (N,) [kpc] within ``r_range``, or of all where it is empty.

    Raises
    ------
    EstimationError
        If there are fewer than ``min_stars``.
    """
    lo, hi = r_range or (0.0, np.inf)
    rows = np.flatnonzero((r >= lo) & (r < hi) & (r > 0.0))
    check_number(len(rows), min_stars)
    return rows


def radial_bins(r: FloatArray, edges: Edges) -> tuple[Bin, ...]:
    """Bins of stars at radii ``r`` (N,) [kpc]; stars outside the edges are in no bin.

    The whole sample, ``edges = "none"``, is one bin from its innermost star to just beyond its
    outermost.
    """
    if edges == "none":
        lo, hi = (float(r.min()), float(np.nextafter(r.max(), np.inf))) if len(r) else (0.0, 0.0)
        edges = (lo, hi)
    return tuple(_fill(r, edges))


def by_bins(
    catalogue: Catalogue,
    edges: Edges,
    yields: tuple[str, ...],
    rows_of: Callable[..., Iterable[Estimate]],
    *known: Known,
) -> Estimates:
    """Estimates of the rows of every radial bin of a catalogue, quantity by quantity.

    Parameters
    ----------
    catalogue
        The stars.
    edges
        Of the bins.
    yields
        Quantities in their order.
    rows_of
        Rows of a bin; it is called with the bin and what is known of its stars.
    known
        What that is, as for :func:`~haloassay.estimators.gathering.gathered`.

    Raises
    ------
    InputError
        If a position or velocity of the catalogue is not finite.
    """
    catalogue.check_finite()
    bins = radial_bins(catalogue.r, edges)
    stars = gathered(catalogue, [bin_.rows for bin_ in bins], *known)
    pairs = zip(bins, stars, strict=True)
    return in_order((row for bin_, arrays in pairs for row in rows_of(bin_, *arrays)), yields)


def places_at(radii: tuple[float, ...]) -> list[dict[str, float]]:
    """Radius [kpc] and number of each place, as the keywords of an estimate."""
    return [{"r": float(r), "bin": k} for k, r in enumerate(radii)]


def _fill(r: FloatArray, edges: tuple[float, ...]) -> Iterator[Bin]:
    order = np.argsort(r, kind="stable")
    first = np.searchsorted(r[order], edges)
    for k, (lo, hi) in enumerate(pairwise(edges)):
        rows = np.sort(order[first[k] : first[k + 1]])
        median = float(np.median(r[rows])) if len(rows) else 0.5 * (lo + hi)
        yield Bin(k, rows, median, float(lo), float(hi))


def bootstrap(
    statistic: Callable[[IntArray], FloatArray],
    n_stars: int,
    n: int,
    rng: np.random.Generator,
) -> FloatArray:
    """Values (n, ...) of ``statistic`` of the row numbers of ``n`` resampled catalogues."""
    return np.array([statistic(rows) for rows in resampled_catalogues(n_stars, n, rng)])


def resampled_catalogues(n_stars: int, n: int, rng: np.random.Generator) -> Iterator[IntArray]:
    """Row numbers (n_stars,) of each of ``n`` bootstrap catalogues, drawn with replacement.

    Each has deviates of its own, and the k-th star drawn is at the same share of the rows however many there are: a
    catalogue with a few stars more is resampled in the same way.
    """
    for own in rng.spawn(n):
        yield (n_stars * own.random(n_stars)).astype(np.int64)
