"""True distances and velocities of stars, integrated over given what was observed and a distribution function.

The likelihood of a star at theta is its likelihood at theta0 times the mean of f(true | theta) / f(true | theta0) over
draws of p(true | observed, theta0). Near theta0 that ratio is nearly one, so that few draws do, however large the
errors are; its gradient and curvature at theta0 are those of many more points. A component that was not measured is one
whose error is large beyond all velocities.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from haloassay.base.arrays import BoolArray, FloatArray, IntArray
from haloassay.base.constants import KMS_PER_MASYR_KPC
from haloassay.base.errors import EstimationError
from haloassay.contracts.catalogue import Catalogue
from haloassay.contracts.frames import sky_basis
from haloassay.estimators.fit.latent_candidates import candidates
from haloassay.estimators.fit.latent_kernels import expanded, log_means, log_sums

if TYPE_CHECKING:
    from scipy.interpolate import CubicSpline

#: Errors of what was not measured [km/s, or mas/yr].
_UNKNOWN: Final = 1e5
#: Sets of deviates: one a star, dimensions of several beyond.
_SETS: Final = 1024
#: Nodes of an integral over observed distances, of one over errors, and slopes between which a spline goes.
_SEEN: Final = 24
_ERRORS: Final = 9
_SLOPES: Final = 49
#: Errors of the mean square without errors that tell it from nothing.
_SEEN_AT: Final = 3.0
#: Potential at the escape speed in mean squares of a component, which is the power of the energy too.
_ESCAPE: Final = 9.0
#: Anisotropy to whose pole tangential velocities are drawn in at most.
_STEEPEST: Final = 0.95
#: Widths of the posterior beyond which what draws leave out is as it is there: an expansion is of one neighbourhood.
_REACH: Final = 5.0
#: Power by which the change to that is sharp.
_SHARP: Final = 8.0

#: How a distance is measured: Gaussian in its logarithm, or in itself.
DistanceErrors = Literal["log", "linear"]


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
        (n, 3) velocities of the frame in which motions were measured [km/s]: the observer's.
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
            origin, offset = stars.sun.position, np.tile(stars.sun.velocity, (n, 1))
            distance, error = stars["distance"], stars.error("distance")
            corr = np.where(np.isfinite(stars.pm_corr), stars.pm_corr, 0.0)
            toward = axes[:, 0]
        else:
            axes, origin, offset = np.tile(np.eye(3), (n, 1, 1)), np.zeros(3), np.zeros((n, 3))
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

    def along(self, z: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """At normal deviates (D,) of distances, each (n, D): ln r, cosine of the first axis with r, ln distance."""
        off = self.error[:, None] * z
        if self.log:
            distance = self.distance[:, None] * np.exp(off)
        else:
            distance = np.maximum(self.distance[:, None] + off, 1e-3 * self.distance[:, None])
        place = self.origin + distance[..., None] * self.toward[:, None, :]
        r = np.linalg.norm(place, axis=2)
        cosine = np.abs(np.einsum("ndk,nk->nd", place, self.axes[:, 0])) / r
        return np.log(r), cosine, np.log(distance)

    def mean_square(self) -> float:
        """Mean square [(km/s)^2] of one component of true velocities, roughly.

        Raises
        ------
        EstimationError
            If no star has a velocity, or it cannot be told from that of the errors.
        """
        if not np.any(self.known):
            raise EstimationError("no star has a velocity")
        square, error = self.square
        if not square > _SEEN_AT * error:
            raise EstimationError(
                "the velocity errors are so much larger than the dispersion that it cannot be told from zero"
            )
        return square

    @property
    def square(self) -> tuple[float, float]:
        """Mean square of one component of true velocities [(km/s)^2], by those that are known, and its error."""
        scale = np.hstack([np.ones_like(self.scale), self.scale, self.scale])
        velocity = self.motion * scale + self._along_axes(self.offset)
        noise = self.variance * scale**2
        weight = self.known / (1e4 + noise) ** 2
        total = max(float(np.sum(weight)), 1e-300)
        error = np.sqrt(2.0 * np.sum((weight * noise) ** 2)) / total
        return float(np.sum(weight * (velocity**2 - noise)) / total), float(error)

    @property
    def table(self) -> FloatArray:
        """(n, 18) rows of stars as the kernels have them."""
        first = np.stack([self.distance, self.error, self.corr], axis=1)
        ends = self._along_axes(self.offset), self.axes @ self.origin
        toward = self._along_axes(self.toward)
        return np.ascontiguousarray(np.hstack([first, self.motion, self.variance, *ends, toward]))

    def _along_axes(self, vectors: FloatArray) -> FloatArray:
        """Components (n, 3) of a vector of each star."""
        return np.asarray(np.einsum("nij,nj->ni", self.axes, vectors))

    def power(self, volume: bool, motions: bool = True) -> float:
        """Power of the distance in the volume of what is true, over that of what is observed.

        Parameters
        ----------
        volume
            Whether the volume of phase space that distances stand for is counted.
        motions
            Whether that of velocities, by proper motions, is as well.
        """
        of_velocities = 2.0 if volume and motions and self.moving else 0.0
        return (1.0 if self.log else 0.0) + (2.0 if volume else 0.0) + of_velocities

    def select(self, rows: IntArray) -> Observed:
        """Take some of the stars."""
        names = ("distance", "error", "toward", "axes", "offset", "motion", "variance", "corr")
        return replace(self, **{name: getattr(self, name)[rows] for name in names})

    def log_shares(self, pivot: float, ends: tuple[float, float]) -> CubicSpline:
        """Sum over stars of ln of the integral of r^alpha over true distances, for alpha between ``ends``."""
        at = np.log(self.distance)[:, None]
        return self._log_sums((at - 1.0, at + 1.0), (np.zeros(1), np.ones(1)), pivot, ends)

    def mean_log_r(self, pivot: float, alpha: float) -> FloatArray:
        """Mean of ln(r / pivot) (n,) over true distances, of a density r^alpha: what distances alone tell of alpha."""
        x, logs = self._distances(pivot, alpha, self.power(True, motions=False))
        weight = np.exp(logs - logs.max(axis=1, keepdims=True))
        return np.asarray(np.sum(weight * x, axis=1) / np.sum(weight, axis=1))

    def log_share(self, pivot: float, alpha: float) -> FloatArray:
        """Ln of the integral (n,) of r^alpha and the volume of :meth:`candidates` over true distances."""
        return np.asarray(
            np.logaddexp.reduce(self._distances(pivot, alpha, self.power(True))[1], axis=1)
        )

    def _distances(self, pivot: float, alpha: float, power: float) -> tuple[FloatArray, FloatArray]:
        """Ln(r / pivot) and ln of the weight (n, K) of true distances at nodes."""
        z, w = np.polynomial.hermite_e.hermegauss(_ERRORS)
        log_r, _, log_distance = self.along(z)
        x = log_r - np.log(pivot)
        return x, alpha * x + power * log_distance + np.log(w / w.sum())

    def log_counts(
        self, pivot: float, ends: tuple[float, float], edges: tuple[float, float]
    ) -> CubicSpline:
        """Sum the same of all observed distances whose radius is between ``edges`` [kpc]."""
        rule = np.polynomial.legendre.leggauss(_SEEN)
        return self._log_sums(self._intervals(edges), rule, pivot, ends)

    def _log_sums(
        self,
        parts: tuple[FloatArray, FloatArray],
        rule: tuple[FloatArray, FloatArray],
        pivot: float,
        ends: tuple[float, float],
    ) -> CubicSpline:
        from scipy.interpolate import CubicSpline

        z, w = np.polynomial.hermite_e.hermegauss(_ERRORS)
        slopes = np.linspace(*ends, _SLOPES)
        found = log_sums(
            self.toward @ self.origin, self.error, *parts, (*rule, z, w / w.sum()),
            (self.log, self.power(True, motions=False)), (slopes[0], slopes[1] - slopes[0], _SLOPES),
            float(self.origin @ self.origin), float(np.log(pivot)),
        )  # fmt: skip
        return CubicSpline(slopes, found)

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
        tiny = 1e-3 * last
        near = np.stack([tiny, np.maximum(second, tiny)], axis=1)
        far = np.stack([np.maximum(first, tiny), last], axis=1)
        return np.log(near), np.log(far)

    def candidates(
        self, spread: FloatArray, n_points: int, beta: float, rng: np.random.Generator
    ) -> FloatArray:
        """Points where stars can be, (n, P, 4): ln(r / pivot), v^2 / 2, ln v_t, ln of the weight but for f.

        A mean of f with these weights is its integral over all that a star can truly be.

        Parameters
        ----------
        spread
            As of :meth:`expand`.
        n_points
            P, of each star.
        beta
            Anisotropy to whose pole tangential velocities are drawn in.
        rng
            Source of randomness.
        """
        deviates = normal_points(min(len(self.distance), _SETS), n_points, rng)
        return candidates(self.table, deviates, self._flags(beta, True), spread)

    def scattered(
        self,
        middle: float,
        v: FloatArray,
        noise: FloatArray,
        alpha: float,
        n_points: int,
        beta: float,
        rng: np.random.Generator,
    ) -> FloatArray:
        """Candidates (n, P, 4) as of :meth:`candidates` where the potential is to be found yet.

        Parameters
        ----------
        middle
            Ln of the pivot.
        v, noise
            (n, 3) velocities [km/s], and variances of their errors.
        alpha
            d ln rho / d ln r, roughly.
        n_points, beta, rng
            As of :meth:`candidates`.
        """
        wide = np.mean(v**2, axis=0)
        true = np.maximum(wide - np.mean(noise, axis=0), 1e-2 * wide)
        # wider than f, errors and all, so that weights have no tail; escape at four dispersions
        depth = np.log(_ESCAPE * true.max())
        spread = np.array([middle, np.log(2.0 * wide.max()), 0.5, alpha, depth, _ESCAPE])
        return self.candidates(spread, n_points, beta, rng)

    def less(self, mean: FloatArray) -> Observed:
        """Take a mean velocity (n, 3) [km/s] off."""
        return replace(self, offset=self.offset - mean)

    def _flags(self, beta: float, volume: bool) -> tuple[bool, bool, float, float]:
        """How the kernels take candidates."""
        beta = min(max(beta, 0.0), _STEEPEST)
        return self.moving, self.log, self.power(volume), beta / (1.0 - beta)

    def expand(
        self,
        point: FloatArray,
        spread: FloatArray,
        n_points: int,
        drawn: tuple[int, int],
        volume: bool,
        seed: int,
        alone: FloatArray | float = 0.0,
    ) -> Expansion | None:
        """Likelihood of the stars about a point; None where that binds not all of them.

        Parameters
        ----------
        point
            (5,) row of :mod:`haloassay.estimators.fit.latent_kernels`.
        spread
            Ln of the pivot, ln of the variance [(km/s)^2] there of the velocities from which candidates are taken,
            how it falls with ln r, d ln rho / d ln r; of the distribution function to which distances are to be likely,
            ln of the potential there, which falls as that does, and the power of the energy.
        n_points
            Candidates of each star, a power of two.
        drawn
            Number of the first stars that stand for all beyond the second order, and draws among the candidates of
            each, or all these.
        volume
            Whether the volume of phase space that distances stand for is counted.
        seed
            Of the candidates, which are the same at each call.
        alone
            (n,) of the gradient by alpha what distances alone tell, which is no information where they are given.
        """
        n = len(self.distance)
        if n == 0:
            return Expansion(np.empty((4, 0, 1)), 1.0, *np.zeros((1, 4)), *np.zeros((4, 4, 4)))
        rng = np.random.default_rng(seed)
        draws = np.empty((4, min(n, drawn[0]), drawn[1]))
        deviates = normal_points(min(n, _SETS), n_points, rng)
        flags = self._flags(float(point[2]), volume)
        lost, gradient, hessian, missing, noise, scores = expanded(
            self.table, deviates, flags, spread, point, rng.random(n), draws
        )
        scores[:, 3] -= alone
        about = scores - scores.mean(axis=0)
        times = n / draws.shape[1]
        alone = np.broadcast_to(alone, n)
        given = float(times * np.sum(alone[: draws.shape[1]]) - np.sum(alone))
        gradient[3] += given
        information = about.T @ about
        return (
            None
            if lost
            else Expansion(draws, times, gradient, hessian, missing, noise, information, given)
        )


@dataclass(frozen=True, eq=False)
class Expansion:
    """Ratio of the likelihood of all stars to that at a point: by draws, with two orders by many more points.

    Parameters
    ----------
    draws
        (4, m, K) ln(r / pivot), v^2 / 2, ln v_t, and minus ln of the density and of K.
    times
        How many stars each of those m stands for.
    gradient, hessian
        (4,), (4, 4) what the draws leave out.
    missing, information
        (4, 4) of all stars: what would be known besides if the truth were, and what is, by the scatter of gradients.
    noise
        (4, 4) variance of the gradient as candidates are few, were they independent.
    given
        Of the gradient by alpha, what distances alone tell of stars that stand for all, beyond those of all.
    """

    draws: FloatArray
    times: float
    gradient: FloatArray
    hessian: FloatArray
    missing: FloatArray
    noise: FloatArray
    information: FloatArray
    given: float = 0.0

    def share(self, free: BoolArray) -> float:
        """Greatest ratio of what is missing to what is known along any direction of free parameters."""
        part = np.ix_(free, free)
        try:
            root = np.linalg.inv(np.linalg.cholesky(self.information[part]))
        except np.linalg.LinAlgError:  # too few stars for as many parameters
            return np.inf
        return float(np.linalg.eigvalsh(root @ self.missing[part] @ root.T)[-1])

    def widths(self, off: FloatArray) -> FloatArray:
        """Count the widths (m,) of the likelihood that (m, 4) is off the point."""
        return np.asarray(np.sqrt(np.einsum("mi,ij,mj->m", off, self.information, off)))

    def log_ratio(self, rows: FloatArray, off: FloatArray) -> FloatArray:
        """Ln of it (m,), but for what no star enters, at rows (m, 5) that are ``off`` (m, 4) the point."""
        size, along = self.widths(off), off[:, 3]
        # without a kink, at which no maximum is found
        off = off * (1.0 + (size / _REACH) ** _SHARP)[:, None] ** (-1.0 / _SHARP)
        second = 0.5 * np.einsum("mi,ij,mj->m", off, self.hessian, off)
        by_draws = (
            self.times * log_means(np.ascontiguousarray(rows), self.draws) - self.given * along
        )
        return by_draws + off @ self.gradient + second


def normal_points(sets: int, n: int, rng: np.random.Generator) -> FloatArray:
    """Make (sets, n, 4) normal deviates: Sobol's points, each set shifted anew."""
    from scipy.special import ndtri
    from scipy.stats import qmc

    u = qmc.Sobol(4, seed=rng).random_base2(int(np.ceil(np.log2(n))))[:n]
    shifted = (u + rng.random((sets, 1, 4))) % 1.0
    return np.asarray(ndtri(np.clip(shifted, 1e-12, 1.0 - 1e-12)))
