"""The density of tracers: a broken power law, round or flattened, fitted under the selection function of a survey.

The likelihood of the observed places x_obs of stars, given that they are in the catalogue, is

    L = prod_i S(n_i) int rho(x) d^2 R(d) p(d_obs,i | d) dd / int rho(x) d^2 R(d) P(kept | x) dx,

with the footprint and completeness S of a direction, the reach R of a distance, log-normal errors of distances, and the
probability P that cuts on observed place keep a star. Both integrals are sums: over Gauss and Hermite's nodes of each
star's error, and over a grid of radius, latitude and azimuth that is made once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from numpy.typing import ArrayLike

from haloassay.base.arrays import FloatArray
from haloassay.base.errors import EstimationError
from haloassay.base.settings import require
from haloassay.contracts.selection import Luminosities
from haloassay.estimators.bins import DensitySlope, check_number, check_selected, log_power
from haloassay.estimators.fit.laplace import UniformPrior, laplace

if TYPE_CHECKING:
    from haloassay.contracts.catalogue import Catalogue
    from haloassay.contracts.frames import Sun
    from haloassay.contracts.selection import Selection

#: Bounds of the flat priors of slopes and of the axis ratio; breaks lie within the stars' radii, flat in ln r.
SLOPES: Final = (-9.0, -0.01)
AXIS_RATIOS: Final = (0.2, 2.0)
#: Nodes of a star's error, of the shells' average over latitude, and of the grid: steps of ln r, of latitude, azimuth.
_ERROR_NODES: Final = 7
_SHELL_NODES: Final = 24
_STEP: Final = 0.025
_LATITUDES: Final = 24
_AZIMUTHS: Final = 32
#: Scatter of ln(distance) beyond which the grid ends, in its units.
_TAIL: Final = 4.0
#: Relative spread of distance errors up to which they count as equal, and classes of others.
_EQUAL: Final = 0.01
_CLASSES: Final = 6
#: Fewest stars of a fit.
_FEWEST: Final = 50
_GOLDEN: Final = 0.6180339887498949


@dataclass(frozen=True)
class DensityFit:
    """Fit of the tracers' density to the catalogue itself.

    Parameters
    ----------
    axis_ratio
        Shortest axis, along Galactic z, over the others: a number, or ``"free"``. The density is a function of
        m^2 = x^2 + y^2 + z^2 / q^2; what the estimator uses is its average over spherical shells.
    luminosities
        Which luminosities carry limits of magnitude to distances: ``"of-distances"``, those that the observer's own
        distances give, so that a wrong distance scale stretches the reach as well; or ``"true"``, known apart from it.
    r_range
        Observed radii [kpc] between which stars are fitted; by default the survey's, where it has limits, else those
        of the innermost and outermost star.
    """

    axis_ratio: float | Literal["free"] = 1.0
    luminosities: Luminosities = "of-distances"
    r_range: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        lo, hi = AXIS_RATIOS
        free = self.axis_ratio == "free"
        require(
            free or lo <= float(self.axis_ratio) <= hi,
            f'axis_ratio: {lo:g} to {hi:g}, or "free" (got {self.axis_ratio})',
        )
        good = not self.r_range or (
            len(self.r_range) == 2 and 0.0 < self.r_range[0] < self.r_range[1]
        )
        require(good, f"r_range: two ascending radii above 0 (got {list(self.r_range)})")


@dataclass(frozen=True, eq=False)
class FittedDensity:
    """A fitted density, with draws of its posterior.

    Parameters
    ----------
    form
        Slopes and breaks [kpc] at the posterior's medians, in m.
    axis_ratio
        That of its shells.
    draws
        (n, 2 k + 2) slopes, breaks and axis ratio of draws.
    """

    form: DensitySlope
    axis_ratio: float
    draws: FloatArray

    def slope(self, r: ArrayLike) -> FloatArray:
        """D ln rho / d ln r of the average over shells at ``r`` [kpc]."""
        lnr, weight = self._shells(r)
        slopes = self.form.slope(np.exp(lnr))
        return np.asarray(np.sum(weight * slopes, axis=-1) / np.sum(weight, axis=-1))

    def log_density(self, r: ArrayLike) -> FloatArray:
        """Natural logarithm of the average over shells at ``r`` [kpc], arbitrarily normalised."""
        lnr, weight = self._shells(r)
        top = self.form.log_density(np.exp(lnr)).max(axis=-1)
        return np.asarray(top + np.log(np.sum(weight, axis=-1)))

    def slopes(self, r: ArrayLike, n: int) -> FloatArray:
        """(n, ...) slopes at ``r`` of draws of the posterior, in their order and over again."""
        return np.array([self.drawn(k).slope(r) for k in range(n)])

    def drawn(self, k: int) -> FittedDensity:
        """Density of the draw number ``k``, counted over again beyond the last."""
        row = self.draws[k % len(self.draws)]
        n = len(self.form.slopes)
        form = replace(self.form, slopes=tuple(row[:n]), breaks=tuple(np.sort(row[n:-1])))
        return FittedDensity(form, float(row[-1]), self.draws)

    def _shells(self, r: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Ln m and relative density at nodes of latitude, (..., nodes)."""
        nodes, weights = np.polynomial.legendre.leggauss(_SHELL_NODES)
        lnm = np.log(np.asarray(r, dtype=float))[..., None] + _stretch(
            (0.5 * (nodes + 1.0)) ** 2, self.axis_ratio
        )
        log = self.form.log_density(np.exp(lnm))
        return lnm, weights * np.exp(log - log.max(axis=-1, keepdims=True))


def fit_density(
    catalogue: Catalogue,
    form: DensitySlope,
    settings: DensityFit,
    n_draws: int,
    rng: np.random.Generator,
) -> FittedDensity:
    """Fit a density to the places of the stars of a catalogue.

    Parameters
    ----------
    catalogue
        It must have a ``selection``.
    form
        Where the fit starts, and how many breaks of which width it has.
    settings
        What is fitted.
    n_draws
        Draws of the posterior, which is taken as Gaussian in logits of the parameters within their priors.
    rng
        Source of the draws.

    Raises
    ------
    EstimationError
        If the catalogue has no selection function, or one that does not fit; or the stars do not determine the density.
    """
    likelihood = _Likelihood.of(catalogue, form, settings)
    target, start, width, _ = likelihood.prior.target(
        likelihood, likelihood.start, likelihood.scale
    )
    found = laplace(target, start, width)
    y = found.mode + rng.standard_normal((n_draws, len(found.mode))) @ found.axes.T
    draws = likelihood.whole(likelihood.prior.bound(y))
    middle = np.median(draws, axis=0)
    n = len(form.slopes)
    best = replace(form, slopes=tuple(middle[:n]), breaks=tuple(middle[n:-1]))
    return FittedDensity(best, float(middle[-1]), draws)


@dataclass(frozen=True, eq=False)
class _Likelihood:
    """Log likelihood of parameters: slopes, ln breaks, and the axis ratio where that is free.

    Parameters
    ----------
    form, settings
        As of :func:`fit_density`.
    lnr, sine
        ln r and the square of the sine of Galactocentric latitude at the nodes of the stars, (n, nodes).
    weight
        Natural logarithm of all that does not depend on the density there.
    grids
        For each class of stars: how many there are, and ln r, squared sine and weight of the cells of the grid.
    prior
        Of the parameters.
    """

    form: DensitySlope
    settings: DensityFit
    lnr: FloatArray
    sine: FloatArray
    weight: FloatArray
    grids: tuple[tuple[int, FloatArray, FloatArray, FloatArray], ...]
    prior: UniformPrior

    @classmethod
    def of(cls, catalogue: Catalogue, form: DensitySlope, settings: DensityFit) -> _Likelihood:
        selection = catalogue.selection
        if selection is None:
            raise EstimationError("the catalogue has no selection function of its survey")
        r_lo, r_hi = _limits(catalogue, selection, settings)
        kept = (catalogue.r >= r_lo) & (catalogue.r <= r_hi) & selection.comparable(catalogue)
        check_number(int(kept.sum()), _FEWEST)
        stars = catalogue.select(kept)
        if not np.ptp(stars.r) > 0.0:
            raise EstimationError("all stars are at one radius")
        from_sun = stars.position - stars.sun.position
        distance = np.linalg.norm(from_sun, axis=1)
        error = _log_errors(stars, distance)
        nodes, weights = _hermite(bool(np.any(error > 0.0)))
        along = distance[:, None] * np.exp(-error[:, None] * nodes)
        direction = from_sun / distance[:, None]
        each = np.repeat(direction, len(nodes), axis=0)
        chance = selection.reach(each, along.ravel(), settings.luminosities).reshape(along.shape)
        good = np.any(chance > 0.0, axis=1) & selection.inside(direction, distance)
        check_selected(good)
        place = stars.sun.position + direction[:, None, :] * along[..., None]
        square = np.sum(place**2, axis=-1)
        with np.errstate(divide="ignore"):
            weight = np.log(weights * chance) + 3.0 * np.log(along)
        classes = _classes(error[good])
        grids = tuple(
            (n, *_grid(selection, stars.sun, settings.luminosities, (r_lo, r_hi), sigma))
            for n, sigma in classes
        )
        inner, outer = np.log(np.percentile(stars.r, [1.0, 99.0]))
        k = len(form.breaks)
        lo = [*[SLOPES[0]] * (k + 1), *[inner] * k]
        hi = [*[SLOPES[1]] * (k + 1), *[outer] * k]
        if settings.axis_ratio == "free":
            lo, hi = [*lo, AXIS_RATIOS[0]], [*hi, AXIS_RATIOS[1]]
        parts = 0.5 * np.log(square[good]), (place[..., 2] ** 2 / square)[good], weight[good]
        return cls(form, settings, *parts, grids, UniformPrior.of((lo, hi)))

    @property
    def start(self) -> FloatArray:
        """Slopes and breaks of the form, as far as the prior has them."""
        free = [0.8] if self.settings.axis_ratio == "free" else []
        at = np.array([*self.form.slopes, *np.log(self.form.breaks), *free])
        room = 0.05 * (self.prior.hi - self.prior.lo)
        return np.clip(at, self.prior.lo + room, self.prior.hi - room)

    @property
    def scale(self) -> FloatArray:
        """Rough widths."""
        return np.full(len(self.prior.lo), 0.05)

    def whole(self, points: FloatArray) -> FloatArray:
        """(m, 2 k + 2) slopes, breaks [kpc] and axis ratio of points (m, d)."""
        n = len(self.form.slopes)
        k = len(self.form.breaks)
        if self.settings.axis_ratio == "free":
            ratio = points[:, -1:]
        else:
            ratio = np.full((len(points), 1), float(self.settings.axis_ratio))
        return np.concatenate([points[:, :n], np.exp(points[:, n : n + k]), ratio], axis=1)

    def __call__(self, points: FloatArray) -> FloatArray:
        """Log likelihood (m,) of points (m, d)."""
        return np.array([self._one(row) for row in self.whole(points)])

    def _one(self, row: FloatArray) -> float:
        n = len(self.form.slopes)
        slopes, breaks = tuple(row[:n]), np.log(row[n:-1])
        if np.any(np.diff(breaks) <= 0.0):
            return -np.inf
        width, q = self.form.width, float(row[-1])
        at_stars = self.weight + log_power(self.lnr + _stretch(self.sine, q), slopes, breaks, width)
        top = at_stars.max(axis=1)
        total = float(np.sum(top + np.log(np.sum(np.exp(at_stars - top[:, None]), axis=1))))
        for number, lnr, sine, weight in self.grids:
            log = log_power(lnr + _stretch(sine, q), slopes, breaks, width)
            highest = log.max()
            total -= number * (highest + np.log(np.sum(weight * np.exp(log - highest))))
        return total


def _stretch(sine: FloatArray, axis_ratio: float) -> FloatArray | float:
    """Ln(m / r) where the squared sine of latitude is ``sine``."""
    if axis_ratio == 1.0:
        return 0.0 * sine
    return np.asarray(0.5 * np.log1p(sine * (axis_ratio**-2 - 1.0)))


def _limits(
    catalogue: Catalogue, selection: Selection, settings: DensityFit
) -> tuple[float, float]:
    """Observed radii [kpc] between which stars are fitted."""
    check_number(len(catalogue), _FEWEST)
    lo, hi = settings.r_range or selection.r_range
    return (
        float(max(lo, selection.r_range[0]) or catalogue.r.min()),
        float(min(hi, selection.r_range[1], catalogue.r.max() if np.isinf(hi) else hi)),
    )


def _log_errors(stars: Catalogue, distance: FloatArray) -> FloatArray:
    """(N,) errors of ln(distance); zeros where none are stated, as in Galactocentric catalogues."""
    return np.minimum(stars.error("distance") / distance, 1.0)


def _classes(error: FloatArray) -> list[tuple[int, float]]:
    """Numbers of stars, and errors of ln(distance), of classes of about equal errors."""
    middle = float(np.median(error))
    if np.all(np.abs(error - middle) <= _EQUAL * middle):
        return [(len(error), middle)]
    parts = np.array_split(np.sort(error), _CLASSES)
    return [(len(part), float(np.median(part))) for part in parts if len(part)]


@lru_cache(maxsize=2)
def _hermite(blurred: bool) -> tuple[FloatArray, FloatArray]:
    """Nodes and weights of a standard normal deviate; one node where there is no error."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(_ERROR_NODES if blurred else 1)
    return nodes, weights / weights.sum()


@lru_cache(maxsize=16)
def _grid(
    selection: Selection,
    sun: Sun,
    luminosities: Luminosities,
    limits: tuple[float, float],
    error: float,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Ln r, squared sine of latitude and weight of cells; the integral is the sum of weight times density.

    Cells of radius end at the limits, where those are sharp. Nodes of latitude and azimuth differ from shell to shell,
    so that no line of sight is sampled by all of them.
    """
    beyond = _TAIL * error
    lo, hi = np.log(limits[0]), np.log(limits[1])
    n = int(np.ceil((hi - lo) / _STEP))
    step = (hi - lo) / n
    more = int(np.ceil(beyond / step * _outside(limits, sun)))
    lnr = lo + step * (np.arange(-more, n + more) + 0.5)
    shell = np.arange(len(lnr))
    u = (np.arange(_LATITUDES) + ((shell * _GOLDEN) % 1.0)[:, None]) / _LATITUDES
    turn = np.outer(shell * _LATITUDES, np.ones(_LATITUDES)) + np.arange(_LATITUDES)
    shift = (turn * _GOLDEN**2) % 1.0
    angle = 2.0 * np.pi * (np.arange(_AZIMUTHS) + shift[..., None]) / _AZIMUTHS
    radius = np.broadcast_to(np.exp(lnr)[:, None, None], angle.shape)
    flat = radius * np.sqrt(1.0 - u**2)[..., None]
    up = radius * u[..., None]
    weight = np.zeros(angle.shape[:2])
    for side in (up, -up):
        place = np.stack([flat * np.cos(angle), flat * np.sin(angle), side], axis=-1)
        chance = _kept(selection, sun, luminosities, limits, error, place.reshape(-1, 3))
        weight += chance.reshape(angle.shape).mean(axis=2)
    weight *= np.exp(3.0 * lnr)[:, None]
    full = weight > 0.0
    if not full.any():
        raise EstimationError("the selection function of the survey has no star at all")
    lnr2 = np.broadcast_to(lnr[:, None], u.shape)
    return lnr2[full], (u**2)[full], weight[full]


def _outside(limits: tuple[float, float], sun: Sun) -> float:
    """By how much more than ln(distance) ln r of a star can be off, at the inner limit most."""
    return float(1.0 + np.linalg.norm(sun.position) / limits[0])


def _kept(
    selection: Selection,
    sun: Sun,
    luminosities: Luminosities,
    limits: tuple[float, float],
    error: float,
    place: FloatArray,
) -> FloatArray:
    """(N,) probabilities that stars at true places (N, 3) [kpc] are observed, and kept by cuts on observed ones."""
    from_sun = place - sun.position
    distance = np.linalg.norm(from_sun, axis=1)
    direction = from_sun / distance[:, None]
    chance = selection.reach(direction, distance, luminosities)
    rows = np.flatnonzero(chance > 0.0)
    nodes, weights = _hermite(error > 0.0)
    if error > 0.0:  # cuts are sharp: many equal steps of probability, not a few nodes
        nodes, weights = _deviates()
    total = np.zeros(len(rows))
    to_sun = sun.position
    along = direction[rows] @ to_sun
    for node, weight in zip(nodes, weights, strict=True):
        seen = distance[rows] * np.exp(error * node)
        r = np.sqrt(np.maximum(seen**2 + 2.0 * seen * along + to_sun @ to_sun, 0.0))
        kept = (r >= limits[0]) & (r <= limits[1]) & selection.inside(direction[rows], seen)
        total += weight * kept
    chance[rows] *= total
    return chance


@lru_cache(maxsize=1)
def _deviates() -> tuple[FloatArray, FloatArray]:
    """Return standard normal deviates at the middles of equal steps of probability, and their weights."""
    from scipy.special import ndtri

    n = 24
    return np.asarray(ndtri((np.arange(n) + 0.5) / n)), np.full(n, 1.0 / n)
