"""An NFW halo from escape speeds, beside known baryons and the circular velocity at the Sun."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logsumexp

from haloassay.base.arrays import FloatArray
from haloassay.base.constants import G
from haloassay.base.errors import EstimationError
from haloassay.base.settings import require
from haloassay.contracts.estimate import Estimate
from haloassay.contracts.profiles import nfw_enclosed_mass, nfw_shape, virial_radius
from haloassay.estimators.fit.posterior import quadrature
from haloassay.estimators.halo.baryons import Baryons, baryons_mass, baryons_vc2
from haloassay.estimators.rows import unbounded, virial_rows

#: Points a side of the grid on which the best halo is looked for.
_GRID: Final = 60
#: Cells of the power that all bins have in common, and steps of the fit of its density.
_POWERS: Final = 60
_STEPS: Final = 40


@dataclass(frozen=True, eq=False)
class EscapeDraws:
    """An escape speed that is known by draws.

    Parameters
    ----------
    r
        Where [kpc].
    v_esc
        (n,) speeds [km/s].
    k
        (n,) power of the tail in each draw, under a flat prior; None where it is held.
    """

    r: float
    v_esc: FloatArray
    k: FloatArray | None = None


@dataclass(frozen=True)
class EscapeHalo:
    """What is assumed of the halo that stars escape from (Deason et al. 2019).

    Parameters
    ----------
    baryons
        Mass that is not the halo's and is held fixed.
    v_c
        Circular velocity at the Sun and its standard error [km/s]; ``"none"`` where it is not used.
    r_sun
        Distance of the Sun from the centre [kpc].
    limit
        Radius that an escaping star reaches, in units of r200: 2 by Deason et al., 3 by others.
    h0
        Hubble's constant [km/s/Mpc], for the critical density.
    m200_range, c200_range
        Bounds of a prior that is flat in the logarithms [Msun], [].
    """

    baryons: Baryons = "mwpotential2014"
    v_c: tuple[float, float] | Literal["none"] = (230.0, 10.0)
    r_sun: float = 8.3
    limit: float = 2.0
    h0: float = 67.8
    m200_range: tuple[float, float] = (1e11, 1e13)
    c200_range: tuple[float, float] = (1.0, 60.0)

    def __post_init__(self) -> None:
        if self.v_c != "none":
            require(min(self.v_c) > 0.0, f"v_c: speed and error are positive (got {self.v_c})")
        for name in ("r_sun", "h0"):
            require(getattr(self, name) > 0.0, f"{name}: positive (got {getattr(self, name)})")
        require(self.limit >= 1.0, f"limit: at least 1, r200 (got {self.limit:g})")
        for name in ("m200_range", "c200_range"):
            lo, hi = getattr(self, name)
            require(0.0 < lo < hi, f"{name}: bounds ascend from above 0 (got {[lo, hi]})")

    def escape_speed(self, r: ArrayLike, m200: ArrayLike, c200: ArrayLike) -> FloatArray:
        """Speed [km/s] that takes a star from ``r`` [kpc] to ``limit`` r200: root of 2 (Phi(limit r200) - Phi(r))."""
        r, m200, c200 = (np.asarray(a, dtype=float) for a in (r, m200, c200))
        r200 = virial_radius(m200, self.h0)
        r_s, end = r200 / c200, self.limit * r200
        norm = G * m200 / nfw_shape(c200)
        halo = norm * (np.log1p(r / r_s) / r - np.log1p(end / r_s) / end)
        x = np.linspace(np.log(np.min(r)), np.log(np.max(end)), 400)
        rise = G * baryons_mass(self.baryons, np.exp(x)) * np.exp(-x)  # r dPhi/dr
        steps = 0.5 * (rise[1:] + rise[:-1]) * np.diff(x)
        phi = np.concatenate([[0.0], np.cumsum(steps)])
        known = np.interp(np.log(end), x, phi) - np.interp(np.log(r), x, phi)
        return np.sqrt(np.maximum(2.0 * (halo + known), 0.0))

    def draws(
        self, speeds: Sequence[EscapeDraws], n_draws: int, rng: np.random.Generator
    ) -> FloatArray:
        """Draws (n_draws, 2) of m200 [Msun] and c200 of escape speeds at several radii.

        Each is taken for a Gaussian of its logarithm, given the power k where that is free: it is one for all of them,
        and only then do their errors have nothing in common.

        Raises
        ------
        EstimationError
            If the posterior cannot be drawn from.
        """
        r = np.array([each.r for each in speeds])
        log_k, middle, spread = _given_power(speeds)
        lo, hi = np.log(np.array([self.m200_range, self.c200_range])).T

        def log_density(points: FloatArray) -> FloatArray:
            inside = np.all((points > lo) & (points < hi), axis=1)
            m200, c200 = np.exp(np.where(inside[:, None], points, 0.5 * (lo + hi))).T
            model = np.log(self.escape_speed(r, m200[:, None], c200[:, None]))
            chi2 = np.sum(((model[:, None, :] - middle) / spread) ** 2, axis=-1)
            value = logsumexp(log_k - 0.5 * chi2, axis=1)
            if self.v_c != "none":
                halo = nfw_enclosed_mass(self.r_sun, m200, virial_radius(m200, self.h0), c200)
                square = baryons_vc2(self.baryons, self.r_sun) + G * halo / self.r_sun
                value = value - 0.5 * ((np.sqrt(square) - self.v_c[0]) / self.v_c[1]) ** 2
            return np.where(inside, value, -np.inf)

        sides = [np.linspace(a, b, _GRID + 2)[1:-1] for a, b in zip(lo, hi, strict=True)]
        grid = np.stack(np.meshgrid(*sides), axis=-1).reshape(-1, 2)
        start = grid[int(np.argmax(log_density(grid)))]
        return np.asarray(np.exp(quadrature(log_density, start, [0.05, 0.05], n_draws, rng)))

    def rows(
        self, speeds: Sequence[EscapeDraws], n_draws: int, rng: np.random.Generator
    ) -> list[Estimate]:
        """Rows m200, r200 and c200; arguments and errors of :meth:`draws`."""
        if not speeds:
            raise EstimationError("no escape speed is determined")
        m200, c200 = self.draws(speeds, n_draws, rng).T
        size = unbounded("the escape speeds", "m200", m200, self.m200_range)
        shape = unbounded("the escape speeds", "c200", c200, self.c200_range)
        return virial_rows(m200, virial_radius(m200, self.h0), c200, size, shape)


def _given_power(speeds: Sequence[EscapeDraws]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Give what is known of n escape speeds at K powers, one of which is that of all.

    Returns
    -------
    ndarray
        (K,) ln of the density of the power, of all bins together.
    ndarray
        (K, n) mean of ln v_esc given the power.
    ndarray
        (n,) its spread.
    """
    if any(each.k is None for each in speeds):
        logs = [np.log(each.v_esc) for each in speeds]
        return (
            np.zeros(1),
            np.array([[np.mean(x) for x in logs]]),
            np.array([np.std(x) for x in logs]),
        )
    powers = [np.asarray(each.k) for each in speeds]
    ends = min(k.min() for k in powers), max(k.max() for k in powers)
    edges = np.linspace(*ends, _POWERS + 1)
    at = 0.5 * (edges[1:] + edges[:-1])
    log_k, middle, spread = np.zeros(_POWERS), [], []
    for each, k in zip(speeds, powers, strict=True):
        log_v = np.log(each.v_esc)
        curve = np.polynomial.Polynomial.fit(k, log_v, 2, domain=ends)
        middle.append(curve(at))
        spread.append(np.std(log_v - curve(k)))
        log_k += _log_density(2.0 * (k - ends[0]) / (ends[1] - ends[0]) - 1.0)
    return log_k, np.array(middle).T, np.array(spread)


def _log_density(u: FloatArray) -> FloatArray:
    """Ln of the density of draws (m,) from -1 to 1, in the middles of equal cells: a Gaussian cut off at both ends.

    That with their mean and mean square, by Newton's method; where the draws are flat, it is.
    """
    x = np.linspace(-1.0, 1.0, 2 * _POWERS + 1)[1::2]
    powers = np.array([x, x * x])
    wanted, slope = np.array([np.mean(u), np.mean(u * u)]), np.zeros(2)
    for _ in range(_STEPS):
        log_p = slope @ powers
        p = np.exp(log_p - log_p.max())
        p /= p.sum()
        mean = powers @ p
        covariance = (powers * p) @ powers.T - np.outer(mean, mean)
        slope = slope + np.linalg.solve(covariance + 1e-9 * np.eye(2), wanted - mean)
    return np.asarray(slope @ powers)
