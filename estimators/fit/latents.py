"""True distances and velocities of stars, drawn given what was observed and a distribution function.

With draws of p(true | observed, theta0) the likelihood of a star at theta is its likelihood at theta0 times the mean of
f(true | theta) / f(true | theta0). Near theta0 that ratio is nearly one, so that few draws do, however large the errors
are, and a component that was not measured is one whose error is large beyond all velocities.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

from haloassay.base.arrays import BoolArray, FloatArray
from haloassay.base.constants import KMS_PER_MASYR_KPC
from haloassay.contracts.catalogue import Catalogue
from haloassay.contracts.frames import sky_basis

#: Errors of what was not measured [km/s, or mas/yr], and the least that a velocity has [km/s].
_UNKNOWN: Final = 1e5
_LEAST: Final = 1e-3
#: Points among which draws are chosen, and stars that are looked at together.
_POINTS: Final = 512
_BLOCK: Final = 256
#: Nodes of an integral over observed distances, and of one over errors.
_SEEN: Final = 32
_ERRORS: Final = 9

#: How a distance is measured: Gaussian in its logarithm, or in itself.
DistanceErrors = Literal["log", "linear"]
#: Ln of a density (n, k) of stars with ln radius, radial and tangential velocity, each (n, k).
Density = Callable[[FloatArray, FloatArray, FloatArray], FloatArray]


@dataclass(frozen=True, eq=False)
class Observed:
    """What was observed: a distance along a known direction, and velocity components with errors.

    Parameters
    ----------
    origin
        (3,) where distances are counted from [kpc]: the Sun, or the Galactic centre.
    distance, error
        (n,) observed distance and its error, in ln where ``log``.
    toward
        (n, 3) directions of the stars from there.
    axes
        (n, 3, 3) rows along which velocities were measured.
    offset
        (3,) velocity of the observer [km/s].
    motion, variance
        (n, 3) components, and variances of their errors; of proper motions where ``moving``.
    corr
        (n,) correlation of the last two.
    moving
        Whether the last two are proper motions [mas/yr], which distances make velocities.
    log
        Whether the errors of distances are those of their logarithm.
    """

    origin: FloatArray
    distance: FloatArray
    error: FloatArray
    toward: FloatArray
    axes: FloatArray
    offset: FloatArray
    motion: FloatArray
    variance: FloatArray
    corr: FloatArray
    moving: bool
    log: bool

    @classmethod
    def of(cls, stars: Catalogue, errors: DistanceErrors) -> Observed:
        """Read a catalogue; columns and entries that are missing were not measured."""
        names = ("vlos", "pmra", "pmdec") if stars.heliocentric else ("vx", "vy", "vz")
        n = len(stars)
        motion, sigma = np.zeros((n, 3)), np.full((n, 3), _UNKNOWN)
        for k, name in enumerate(names):
            if name in stars.columns:
                known = np.isfinite(stars[name]) & np.isfinite(stars.error(name))
                motion[known, k] = stars[name][known]
                sigma[known, k] = stars.error(name)[known]
        if stars.heliocentric:
            axes = sky_basis(stars["ra"], stars["dec"]) @ stars.sun.rotation().T
            origin, offset = stars.sun.position, stars.sun.velocity
            distance, error = stars["distance"], stars.error("distance")
            corr = np.where(np.isfinite(stars.pm_corr), stars.pm_corr, 0.0)
            toward = axes[:, 0]
        else:
            axes, origin, offset = np.tile(np.eye(3), (n, 1, 1)), np.zeros(3), np.zeros(3)
            distance, corr = stars.r, np.zeros(n)
            toward = stars.position / distance[:, None]
            places = np.stack([stars.error(name) for name in "xyz"], axis=1)
            error = np.sqrt(np.sum((toward * places) ** 2, axis=1))
        log = errors == "log"
        error = error / distance if log else error
        return cls(
            origin, distance, error, toward, axes, offset, motion, sigma**2, corr,
            stars.heliocentric, log,
        )  # fmt: skip

    @property
    def exact(self) -> bool:
        """Whether nothing has an error."""
        return not (np.any(self.error > 0.0) or np.any(self.variance > 0.0))

    @property
    def scale(self) -> FloatArray:
        """(n, 1) what makes the last two components velocities, at the observed distances."""
        of = KMS_PER_MASYR_KPC * self.distance if self.moving else np.ones(len(self.distance))
        return np.asarray(of[:, None])

    @property
    def known(self) -> BoolArray:
        """(n, 3) which components were measured, to better than any velocity."""
        return np.asarray(self.variance < (0.1 * _UNKNOWN) ** 2)

    def mean_square(self) -> float:
        """Mean square [(km/s)^2] of one component of true velocities, roughly."""
        scale = np.hstack([np.ones_like(self.scale), self.scale, self.scale])
        velocity = self.motion * scale + self.axes @ self.offset
        noise = self.variance * scale**2
        weight = self.known / (1e4 + noise) ** 2
        return float(np.sum(weight * (velocity**2 - noise)) / np.sum(weight))

    def true_distance(self, deviate: FloatArray, seen: FloatArray | None = None) -> FloatArray:
        """Distances (n, ...) that normal deviates (n, ...) away are observed as they were, or as ``seen``."""
        shape = (-1, *[1] * (deviate.ndim - 1))
        about, error = (
            self.distance.reshape(shape) if seen is None else seen,
            self.error.reshape(shape),
        )
        if self.log:
            return np.asarray(about * np.exp(error * deviate))
        return np.maximum(about + error * deviate, 1e-3 * about)

    def log_radius(self, distance: FloatArray) -> FloatArray:
        """Ln radii [kpc] at distances (n, ...)."""
        shape = (-1, *[1] * (distance.ndim - 1))
        along = (self.toward @ self.origin).reshape(shape)
        square = distance**2 + 2.0 * distance * along + self.origin @ self.origin
        return np.asarray(0.5 * np.log(np.maximum(square, 1e-6)))

    def log_shares(self, pivot: float, alpha: FloatArray) -> FloatArray:
        """Sum over stars (m,) of ln of the integral of r^alpha (m,) over what distances can truly be."""
        z, w = _hermite()
        distance = self.true_distance(np.broadcast_to(z, (len(self.distance), len(z))))
        return self._log_sums(distance[:, None], np.log(w), pivot, alpha)

    def log_counts(self, pivot: float, alpha: FloatArray, edges: tuple[float, float]) -> FloatArray:
        """Sum the same of all observed distances whose radius is between ``edges`` [kpc]."""
        z, w = _hermite()
        x, dx = np.polynomial.legendre.leggauss(_SEEN)
        near, far = self._intervals(edges)
        half = 0.5 * (far - near)
        middle = 0.5 * (far + near)
        seen = middle[..., None] + half[..., None] * x  # (n, 2, nodes), in ln
        with np.errstate(divide="ignore"):
            weight = np.log(half[..., None] * dx)
        weight = weight if self.log else weight + seen
        flat = np.exp(seen).reshape(len(seen), -1, 1)
        nodes = self.true_distance(np.broadcast_to(z, (*flat.shape[:2], len(z))), flat)
        return self._log_sums(nodes, weight.reshape(*flat.shape[:2], 1) + np.log(w), pivot, alpha)

    def _log_sums(
        self, distance: FloatArray, log_weight: FloatArray, pivot: float, alpha: FloatArray
    ) -> FloatArray:
        log_r = self.log_radius(distance) - np.log(pivot)
        base = log_weight + (3.0 if self.log else 2.0) * np.log(distance)
        out = np.empty(len(alpha))
        for k, slope in enumerate(alpha):
            terms = base + slope * log_r
            top = terms.max(axis=(1, 2), keepdims=True)
            out[k] = np.sum(top[:, 0, 0] + np.log(np.exp(terms - top).sum(axis=(1, 2))))
        return out

    def _intervals(self, edges: tuple[float, float]) -> tuple[FloatArray, FloatArray]:
        """Ln of the ends (n, 2) of the distances in front of and behind the inner edge; equal where there are none."""
        along = self.toward @ self.origin
        square = float(self.origin @ self.origin)
        inner, outer = (along**2 - square + edge**2 for edge in edges)
        last = -along + np.sqrt(np.maximum(outer, 0.0))
        crossed = inner > 0.0
        root = np.sqrt(np.maximum(inner, 0.0))
        # where the line of sight misses the inner sphere all of it is in front
        first = np.where(crossed, np.clip(-along - root, 0.0, last), last)
        second = np.where(crossed, np.clip(-along + root, 0.0, last), last)
        tiny = 1e-4 * last
        near = np.stack([tiny, np.maximum(second, tiny)], axis=1)
        far = np.stack([np.maximum(first, tiny), last], axis=1)
        return np.log(near), np.log(far)

    def draws(
        self,
        n_draws: int,
        density: Density,
        spread: Callable[[FloatArray], FloatArray],
        volume: bool,
        seed: int,
    ) -> tuple[FloatArray, FloatArray, FloatArray, BoolArray]:
        """Draws of what is true given what was observed and a density.

        Parameters
        ----------
        n_draws
            Draws of each star, of equal weight.
        density
            Ln of the density of phase space.
        spread
            Dispersion [km/s] at ln radii, of the Gaussian velocities from which points are taken.
        volume
            Whether the volume of phase space that distances stand for is counted.
        seed
            Of the points, which are the same at each call.

        Returns
        -------
        log_r, radial, across
            (n, n_draws) ln radii [kpc], and velocities along and across the radius [km/s].
        found
            (n,) whether the density is positive anywhere that the star can be.
        """
        from scipy.special import ndtri
        from scipy.stats import qmc

        rng = np.random.default_rng(seed)
        u = qmc.Sobol(4, seed=rng).random(_POINTS)
        outs, found = [], []
        for start in range(0, len(self.distance), _BLOCK):
            part = self._part(slice(start, start + _BLOCK))
            shift = rng.random((len(part.distance), 1, 4))
            deviate = ndtri(np.clip((u + shift) % 1.0, 1e-12, 1.0 - 1e-12))
            point, log_weight = part._points(deviate, spread, volume)
            log_weight = log_weight + density(*point)
            top = log_weight.max(axis=1, keepdims=True)
            good = np.isfinite(top[:, 0])
            weight = np.exp(log_weight - np.where(np.isfinite(top), top, 0.0))
            weight[~good] = 1.0
            # points in the order of their energies, at equal steps of their weights
            order = np.argsort(point[1] ** 2 + point[2] ** 2, axis=1)
            cumulated = np.cumsum(np.take_along_axis(weight, order, axis=1), axis=1)
            steps = (np.arange(n_draws) + rng.random((len(weight), 1))) / n_draws
            chosen = np.stack(
                [np.searchsorted(c, s * c[-1]) for c, s in zip(cumulated, steps, strict=True)]
            )
            rows = np.take_along_axis(order, np.minimum(chosen, _POINTS - 1), axis=1)
            outs.append(np.stack([np.take_along_axis(each, rows, axis=1) for each in point]))
            found.append(good)
        log_r, radial, across = np.concatenate(outs, axis=1)
        return log_r, radial, across, np.concatenate(found)

    def _part(self, rows: slice) -> Observed:
        names = ("distance", "error", "toward", "axes", "motion", "variance", "corr")
        return replace(self, **{name: getattr(self, name)[rows] for name in names})

    def _points(
        self, deviate: FloatArray, spread: Callable[[FloatArray], FloatArray], volume: bool
    ) -> tuple[tuple[FloatArray, FloatArray, FloatArray], FloatArray]:
        """Points of phase space (n, k) each, and ln of their weights but for the density.

        With Gaussian velocities of one dispersion as prior, those given what was observed are Gaussian, and the
        weight of a point is the evidence of its distance over that prior.
        """
        distance = self.true_distance(deviate[..., 0])
        log_r = self.log_radius(distance)
        s2 = spread(log_r) ** 2
        scale = KMS_PER_MASYR_KPC * distance if self.moving else np.ones_like(distance)
        mean = -(self.axes @ self.offset)  # of a star at rest in the Galaxy
        line = np.maximum(self.variance[:, :1], _LEAST**2)
        off = self.motion[:, :1] - mean[:, :1]
        whole = line + s2
        first = mean[:, :1] + s2 / whole * off + np.sqrt(s2 * line / whole) * deviate[..., 1]
        log_weight = -0.5 * off**2 / whole - 0.5 * np.log(whole)
        a, b = (np.maximum(self.variance[:, k, None] * scale**2, _LEAST**2) for k in (1, 2))
        c = self.corr[:, None] * np.sqrt(a * b)
        d_a, d_b = (self.motion[:, k, None] * scale - mean[:, k, None] for k in (1, 2))
        det = (a + s2) * (b + s2) - c * c
        y_a, y_b = ((b + s2) * d_a - c * d_b) / det, ((a + s2) * d_b - c * d_a) / det
        log_weight = log_weight - 0.5 * (d_a * y_a + d_b * y_b) - 0.5 * np.log(det)
        # covariance s2 - s2^2 (C + s2)^-1
        left = a * b - c * c
        v_a, v_b, v_c = s2 * (left + s2 * a) / det, s2 * (left + s2 * b) / det, s2 * s2 * c / det
        root = np.sqrt(v_a)
        second = mean[:, 1, None] + s2 * y_a + root * deviate[..., 2]
        rest = np.sqrt(np.maximum(v_b - v_c * v_c / v_a, 0.0))
        third = mean[:, 2, None] + s2 * y_b + v_c / root * deviate[..., 2] + rest * deviate[..., 3]
        velocity = np.stack([first, second, third], axis=-1) @ self.axes + self.offset
        place = self.origin + distance[..., None] * self.toward[:, None]
        square = np.sum(velocity**2, axis=-1)
        radial = np.sum(velocity * place, axis=-1) * np.exp(-log_r)
        across = np.sqrt(np.maximum(square - radial**2, _LEAST**2))
        log_weight = log_weight + 0.5 * square / s2 + 1.5 * np.log(s2)
        power = (1.0 if self.log else 0.0) + (2.0 if volume else 0.0)
        power += 2.0 if volume and self.moving else 0.0
        return (log_r, radial, across), log_weight + power * np.log(distance)


def _hermite() -> tuple[FloatArray, FloatArray]:
    """Return normal deviates, and weights that sum to one."""
    z, w = np.polynomial.hermite_e.hermegauss(_ERRORS)
    return z, w / w.sum()
