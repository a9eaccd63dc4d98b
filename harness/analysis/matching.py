"""Indirect inference: settings of mocks whose simulated measurements agree with measured ones.

Each measured number has an emulator (:mod:`haloassay.analysis.emulator`) of what mocks of some settings give for it:
its mean and its scatter from mock to mock. The likelihood of the settings is Gaussian around the mean, in the
coordinate of the quantity (:mod:`haloassay.analysis.coordinates`; Gourieroux, Monfort & Renault 1993, Journal of
Applied Econometrics 8, S85; Wood 2010, Nature 466, 1102). Its standard deviation is the stated error, or the simulated
scatter where that is larger, with the error of the emulator in quadrature; its correlations are those of the simulated
numbers. Settings are coordinates in the unit cube of their priors, so the prior is flat there.

Emulators hold in a region, a box in coordinates that the posterior chooses: where it shrinks from round to round, low
degrees suffice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from haloassay.analysis.bundle import Bundle
from haloassay.analysis.coordinates import Coordinate
from haloassay.analysis.emulator import Emulator, fit
from haloassay.analysis.existence import Existence, where
from haloassay.base.arrays import BoolArray, FloatArray

#: Half-width of a region beyond the draws that it holds, as a share.
_BEYOND: Final = 1.08
#: Least width of a region along any of its axes, in the cube of the priors.
_NARROWEST: Final = 1e-4
#: Points that are asked for at once.
_HELD: Final = 512


@dataclass(frozen=True)
class Region:
    """A box in the cube of the priors: u = centre + axes (2 x - 1), x in the unit cube.

    Parameters
    ----------
    centre
        (d,) coordinates of its middle.
    axes
        (d, d) half-axes, as columns.
    """

    centre: FloatArray
    axes: FloatArray

    @staticmethod
    def whole(d: int) -> Region:
        """Make the cube of the priors itself."""
        return Region(np.full(d, 0.5), 0.5 * np.eye(d))

    @staticmethod
    def around(u: FloatArray) -> Region:
        """Smallest box about draws ``u`` (n, d), along the axes of their covariance, a little wider."""
        d = u.shape[1]
        covariance = np.atleast_2d(np.cov(u, rowvar=False)) + _NARROWEST**2 * np.eye(d)
        # by columns of the Cholesky factor axes stay those of single settings where nothing is correlated
        lower = np.linalg.cholesky(covariance)
        white = np.linalg.solve(lower, u.T).T
        lo, hi = white.min(axis=0), white.max(axis=0)
        return Region(lower @ (0.5 * (lo + hi)), lower * (0.5 * _BEYOND * (hi - lo)))

    def local(self, u: FloatArray) -> FloatArray:
        """Coordinates x (n, d) of points ``u`` (n, d)."""
        return np.asarray(0.5 + 0.5 * np.linalg.solve(self.axes, (u - self.centre).T).T)

    def at(self, x: FloatArray) -> FloatArray:
        """Points u (n, d) of coordinates ``x`` (n, d)."""
        return np.asarray(self.centre + (2.0 * x - 1.0) @ self.axes.T)

    def holds(self, u: FloatArray) -> BoolArray:
        """Whether points (n, d) are in the box, and in the cube of the priors."""
        x = self.local(u)
        inside = ((x >= 0.0) & (x <= 1.0) & (u >= 0.0) & (u <= 1.0)).all(axis=1)
        return np.asarray(inside)


@dataclass(frozen=True)
class Simulations:
    """What mocks gave.

    Parameters
    ----------
    u
        (n, d) settings in the cube of the priors.
    y
        (n, replicates, k) simulated measurements, in their coordinates; NaN where there is none.
    lost
        (n,) whether there is no such mock.
    """

    u: FloatArray
    y: FloatArray
    lost: BoolArray

    def __add__(self, other: Simulations) -> Simulations:
        parts = zip((self.u, self.y, self.lost), (other.u, other.y, other.lost), strict=True)
        return Simulations(*(np.concatenate(pair) for pair in parts))

    def within(self, region: Region) -> Simulations:
        """Those in a region."""
        rows = region.holds(self.u)
        return Simulations(self.u[rows], self.y[rows], self.lost[rows])


@dataclass(frozen=True)
class Data:
    """What was measured, (k,) each: values and errors, in the coordinates of their quantities."""

    value: FloatArray
    error: FloatArray

    @staticmethod
    def of(value: FloatArray, error: FloatArray, coordinates: Sequence[Coordinate]) -> Data:
        """Take data of values and errors in their units; errors are carried over to first order."""
        triples = list(zip(value, error, coordinates, strict=True))
        return Data(
            np.array([float(c.of(v)) for v, _, c in triples]),
            np.array([float(e * c.slope(v)) for v, e, c in triples]),
        )


@dataclass(frozen=True)
class Likeness:
    """How well mocks of some settings agree with the data. Make it by :func:`liken`.

    Parameters
    ----------
    data
        What was measured.
    region
        Where it can be asked.
    emulators
        One a measured number.
    possible
        Probability that there is such a mock; None where all are.
    correlation
        (m, m) of the simulated numbers that are used.
    used
        (k,) whether a number is used: those whose emulator is refused are not.
    n
        Mocks that it rests on.
    """

    data: Data
    region: Region
    emulators: tuple[Emulator, ...]
    possible: Existence | None
    correlation: FloatArray
    used: BoolArray
    n: int

    def predict(self, u: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Mean of the simulated numbers, its error, and the scatter of one mock, (n, m) each, at points (n, d)."""
        x = np.clip(self.region.local(u), 0.0, 1.0)
        parts = [self._bundle(x[start : start + _HELD]) for start in range(0, len(x), _HELD)]
        mean, sd, scatter = (np.concatenate([part[k] for part in parts]) for k in range(3))
        return mean, sd, scatter

    @cached_property
    def _bundle(self) -> Bundle:
        pairs = zip(self.emulators, self.used, strict=True)
        return Bundle.of([emulator for emulator, used in pairs if used])

    @cached_property
    def _lower(self) -> FloatArray:
        return np.asarray(np.linalg.cholesky(self.correlation), dtype=float)

    def spread(self, sd: FloatArray, scatter: FloatArray) -> FloatArray:
        """Deviations (n, m) of data about the mean: the larger of stated error and scatter, with the emulator's."""
        stated = self.data.error[self.used]
        return np.asarray(np.hypot(np.maximum(stated, scatter), sd))

    def whitened(self, u: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Residuals (n, m) of the data as independent deviates, and the standard deviations (n, m)."""
        mean, sd, scatter = self.predict(u)
        spread = self.spread(sd, scatter)
        pulls = (self.data.value[self.used] - mean) / spread
        return np.asarray(np.linalg.solve(self._lower, pulls.T).T, dtype=float), spread

    def chi2(self, u: FloatArray) -> FloatArray:
        """Squared distance (n,) of the data from mocks of settings ``u`` (n, d)."""
        return np.asarray((self.whitened(u)[0] ** 2).sum(axis=1))

    def log_density(self, u: FloatArray) -> FloatArray:
        """Log posterior density (n,) in the cube of the priors, -inf outside of the region."""
        inside = self.region.holds(u)
        found = np.full(len(u), -np.inf)
        if inside.any():
            deviates, spread = self.whitened(u[inside])
            logs = -0.5 * (deviates**2).sum(axis=1) - np.log(spread).sum(axis=1)
            if self.possible is not None:
                x = np.clip(self.region.local(u[inside]), 0.0, 1.0)
                logs = logs + np.log(self.possible(x))
            found[inside] = logs
        return found


def liken(simulations: Simulations, data: Data, region: Region, names: Sequence[str]) -> Likeness:
    """Emulate the simulated numbers within a region, and set the data beside them."""
    here = simulations.within(region)
    x = np.clip(region.local(here.u), 0.0, 1.0)
    k = len(data.value)
    emulators = tuple(fit(x, here.y[:, :, i], names) for i in range(k))
    possible = where(x, here.lost, names)
    used = np.array([not emulator.refused for emulator in emulators])
    correlation = _correlation(here.y, x, emulators, used)
    return Likeness(data, region, emulators, possible, correlation, used, len(here.u))


def _correlation(
    y: FloatArray, x: FloatArray, emulators: Sequence[Emulator], used: BoolArray
) -> FloatArray:
    """Correlation (m, m) of what is left of the simulated numbers, drawn to none by as much as few mocks leave open."""
    m = int(used.sum())
    if m < 2:
        return np.eye(m)
    left = []
    for i in map(int, np.flatnonzero(used)):
        mean = emulators[i].predict(x)[0]
        left.append((y[:, :, i] - mean[:, None]) / emulators[i].scatter(x)[0][:, None])
    rows = np.stack(left, axis=-1).reshape(-1, m)
    rows = rows[np.isfinite(rows).all(axis=1)]
    # a few far tails must not make the correlation
    rows = np.clip(rows, -4.0, 4.0)
    n = len(rows)
    if n <= m:
        return np.eye(m)
    found = np.corrcoef(rows, rowvar=False)
    kept = n / (n + m + 1.0)
    return np.asarray(kept * np.nan_to_num(found) + (1.0 - kept) * np.eye(m))
