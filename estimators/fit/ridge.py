"""Posteriors of an amplitude and a scale that are costly to compute: from few points along their ridge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.errors import EstimationError

#: Log density of an amplitude and a scale.
Density = Callable[[float, float], float]

#: Amplitudes that are tried at first; scales along the ridge, and amplitudes across it, in widths of it.
_SCOUT: Final = 25
_ALONG: Final = 11
_ACROSS: Final = 9
_WIDTHS: Final = 5.0
#: Below its maximum a log density that is this much less is left out.
_DEEP: Final = 12.0
#: Share of draws beyond the bounds of the amplitude from which it is not bounded.
_BEYOND: Final = 0.025
#: Points a side of the grid that is drawn from.
_FINE: Final = 301


@dataclass(frozen=True, eq=False)
class Ridge:
    """Where a density is highest for each of some scales, and how wide it is there.

    Parameters
    ----------
    z
        (m,) scales.
    crest
        (m,) amplitudes.
    width
        (m,) their standard deviations.
    top
        (m,) log density on the crest.
    """

    z: FloatArray
    crest: FloatArray
    width: FloatArray
    top: FloatArray

    def at(self, z: float) -> tuple[float, float]:
        """Crest and width at a scale, by straight lines."""
        return float(np.interp(z, self.z, self.crest)), float(np.interp(z, self.z, self.width))

    @property
    def held(self) -> tuple[float, float]:
        """Scales, between neighbours in this row, beyond which nothing of the density is left."""
        profile = self.top + np.log(self.width)
        kept = np.flatnonzero(profile > profile.max() - _DEEP)
        first, last = max(kept[0] - 1, 0), min(kept[-1] + 1, len(self.z) - 1)
        return float(self.z[first]), float(self.z[last])


def ridge_draws(
    density: Density,
    sketch: Density,
    share: float,
    amplitudes: tuple[float, float],
    scales: tuple[float, float],
    n_draws: int,
    rng: np.random.Generator,
) -> FloatArray:
    """Independent draws (n_draws, 2) of amplitude and scale, under a flat prior between bounds.

    The crest is followed over all scales by the sketch, then by the density where anything is left of it; a spline
    through the log density at some points across it is drawn from.

    Parameters
    ----------
    density
        Log density; it has one maximum for each scale.
    sketch
        The same of a ``share`` of the stars: quick, and wider.
    share
        Of the stars.
    amplitudes, scales
        Bounds. Equal ones of the scales hold it fixed.
    n_draws
        Number of draws.
    rng
        Source of randomness.

    Raises
    ------
    EstimationError
        If the density is highest at a bound of the amplitudes for some scale.
    """
    tried = np.linspace(*amplitudes, _SCOUT)
    middle = 0.5 * (scales[0] + scales[1])
    values = np.array([sketch(x, middle) for x in tried])
    best = int(np.argmax(values))
    step = float(tried[1] - tried[0])
    start = Ridge(np.array(scales), np.full(2, tried[best]), np.full(2, 0.5 * step), np.zeros(2))
    found = _settled(sketch, start, scales, amplitudes)
    narrower = Ridge(found.z, found.crest, found.width * np.sqrt(share), found.top)
    found = _settled(density, narrower, found.held, amplitudes)
    return _drawn(density, found, amplitudes, n_draws, rng)


def _settled(
    density: Density, guess: Ridge, scales: tuple[float, float], amplitudes: tuple[float, float]
) -> Ridge:
    """Ridge over the scales at which anything is left of the density."""
    for _ in range(12):
        guess = _followed(density, guess, scales, amplitudes)
        held = guess.held
        if held[1] - held[0] > 0.7 * (scales[1] - scales[0]) or held[0] == held[1]:
            return guess
        scales = held
    return guess


def _followed(
    density: Density, guess: Ridge, scales: tuple[float, float], amplitudes: tuple[float, float]
) -> Ridge:
    """Ridge at equal steps, from the middle outwards, each from the crest of the one before and the guess's slope."""
    z = np.linspace(*scales, _ALONG) if scales[1] > scales[0] else np.array(scales[:1])
    middle = len(z) // 2
    points: dict[int, tuple[float, float, float]] = {}
    for k in (*range(middle, len(z)), *range(middle - 1, -1, -1)):
        x, width = guess.at(z[k])
        before = k - 1 if k > middle else k + 1
        if before in points:
            x += points[before][0] - guess.at(z[before])[0]
            width = points[before][1]
        points[k] = _crest(density, float(z[k]), x, 2.0 * width, amplitudes)
    crest, width, top = np.array([points[k] for k in range(len(z))]).T
    return Ridge(z, crest, width, top)


def _crest(
    density: Density, z: float, x: float, stride: float, bounds: tuple[float, float]
) -> tuple[float, float, float]:
    """Amplitude of the maximum at a scale, its standard deviation by a parabola, and the value there."""
    known: dict[float, float] = {}

    def at(x: float) -> float:
        if x not in known:
            known[x] = density(x, z)
        return known[x]

    before = 0.0
    for trial in range(60):
        if not bounds[0] < x < bounds[1]:
            raise EstimationError("the phases ask for a mass beyond all that is tried")
        left, here, right = at(x - stride), at(x), at(x + stride)
        if max(left, right) > here:
            way = -1.0 if left > right else 1.0
            x += way * stride
            stride *= 0.5 if way == -before else 1.5  # back again: the top is between
            before = way
            continue
        drop = here - 0.5 * (left + right)
        least, most = (0.7, 5.0) if trial < 15 else (0.1, 12.0)  # flat tops are no parabolas
        if drop < least:
            stride *= 2.0
        elif drop > most:
            stride *= max(0.3, np.sqrt(2.0 / drop))
        else:
            top = x + 0.25 * stride * (right - left) / drop
            return top, stride / np.sqrt(2.0 * drop), here
    raise EstimationError("the phases do not bound the mass")


def _drawn(
    density: Density,
    ridge: Ridge,
    bounds: tuple[float, float],
    n_draws: int,
    rng: np.random.Generator,
) -> FloatArray:
    """Draws from a spline through the log density at nodes across the ridge."""
    from scipy.interpolate import CubicSpline, PchipInterpolator, RectBivariateSpline

    reach = _WIDTHS
    for _ in range(4):
        u = np.linspace(-reach, reach, _ACROSS)
        at = np.clip(ridge.crest[:, None] + ridge.width[:, None] * u, *bounds)
        values = np.array(
            [[density(x, z) for x in row] for row, z in zip(at, ridge.z, strict=True)]
        )
        values += np.log(ridge.width)[:, None]
        if max(values[:, 0].max(), values[:, -1].max()) < values.max() - 6.0:
            break
        reach *= 1.5
    fine = np.linspace(-reach, reach, _FINE)
    single = len(ridge.z) == 1
    along = ridge.z if single else np.linspace(ridge.z[0], ridge.z[-1], _FINE)
    whole = CubicSpline(u, values[0])(fine)[None] if single else None
    log = RectBivariateSpline(ridge.z, u, values)(along, fine) if whole is None else whole
    weights = np.cumsum(np.exp(log - log.max()).ravel())
    chosen = np.searchsorted(weights, rng.random(n_draws) * weights[-1], side="right")
    row, column = np.divmod(np.minimum(chosen, weights.size - 1), _FINE)
    jitter = rng.random((2, n_draws)) - 0.5
    across = fine[column] + jitter[1] * (fine[1] - fine[0])
    if single:
        z, crest, width = along[row], ridge.crest[0], ridge.width[0]
    else:
        z = np.clip(along[row] + jitter[0] * (along[1] - along[0]), along[0], along[-1])
        crest = PchipInterpolator(ridge.z, ridge.crest)(z)
        width = np.exp(PchipInterpolator(ridge.z, np.log(ridge.width))(z))
    x = crest + width * across
    if np.mean((x <= bounds[0]) | (x >= bounds[1])) > _BEYOND:
        raise EstimationError("the phases do not bound the mass")
    return np.column_stack([np.clip(x, *bounds), z])
