"""An NFW halo from escape speeds, beside known baryons and the circular velocity at the Sun."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike

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
        self, r: FloatArray, speeds: list[FloatArray], n_draws: int, rng: np.random.Generator
    ) -> FloatArray:
        """Draws (n_draws, 2) of m200 [Msun] and c200 of escape speeds at ``r`` (n,), each known by draws.

        Each is taken for a Gaussian of its logarithm.

        Raises
        ------
        EstimationError
            If the posterior cannot be drawn from.
        """
        middle = np.array([np.mean(np.log(each)) for each in speeds])
        spread = np.array([np.std(np.log(each)) for each in speeds])
        lo, hi = np.log(np.array([self.m200_range, self.c200_range])).T

        def log_density(points: FloatArray) -> FloatArray:
            inside = np.all((points > lo) & (points < hi), axis=1)
            m200, c200 = np.exp(np.where(inside[:, None], points, 0.5 * (lo + hi))).T
            model = np.log(self.escape_speed(r, m200[:, None], c200[:, None]))
            chi2 = np.sum(((model - middle) / spread) ** 2, axis=1)
            if self.v_c != "none":
                halo = nfw_enclosed_mass(self.r_sun, m200, virial_radius(m200, self.h0), c200)
                square = baryons_vc2(self.baryons, self.r_sun) + G * halo / self.r_sun
                chi2 = chi2 + ((np.sqrt(square) - self.v_c[0]) / self.v_c[1]) ** 2
            return np.where(inside, -0.5 * chi2, -np.inf)

        sides = [np.linspace(a, b, _GRID + 2)[1:-1] for a, b in zip(lo, hi, strict=True)]
        grid = np.stack(np.meshgrid(*sides), axis=-1).reshape(-1, 2)
        start = grid[int(np.argmax(log_density(grid)))]
        return np.asarray(np.exp(quadrature(log_density, start, [0.05, 0.05], n_draws, rng)))

    def rows(
        self, r: FloatArray, speeds: list[FloatArray], n_draws: int, rng: np.random.Generator
    ) -> list[Estimate]:
        """Rows m200, r200 and c200; arguments and errors of :meth:`draws`."""
        if not speeds:
            raise EstimationError("no escape speed is determined")
        m200, c200 = self.draws(r, speeds, n_draws, rng).T
        size = unbounded("the escape speeds", "m200", m200, self.m200_range)
        shape = unbounded("the escape speeds", "c200", c200, self.c200_range)
        return virial_rows(m200, virial_radius(m200, self.h0), c200, size, shape)
