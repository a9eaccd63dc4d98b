"""An equilibrium as a mixture of analytic distribution functions, where one fits.

With psi(r) = -Phi(r) > 0 and E = psi - v^2 / 2, every f_k ~ L^(-2 b) E^(p - 3/2 + b), p > 1/2 - b,
is non-negative and has constant anisotropy b (after Cuddeford 1991), with

    rho_k = r^(-2 b) psi^p,   rho_k sigma_r^2 = r^(-2 b) psi^(p + 1) / (p + 1),
    v^2 / (2 psi) ~ Beta(3/2 - b, p - 1/2 + b),   cos^2 eta ~ Beta(1/2, 1 - b),

v_r = v cos eta. Sums with non-negative weights are equilibria whose moments are sums. They
reach constant and gently declining anisotropy in smooth densities, not rising anisotropy or sharp
breaks: ask :meth:`Mixture.qualifies`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from haloassay.base.arrays import FloatArray
from haloassay.base.errors import InputError
from haloassay.mocks.equilibria.anisotropy import Anisotropy
from haloassay.mocks.equilibria.orbits import SphericalPotential
from haloassay.mocks.stars import RadialDensity

#: Nodes in ln r: of the fit, of the truth and of drawing.
FIT_NODES: Final = 96
TABLE_NODES: Final = 4096

#: The fit reaches this much beyond the outermost star: what moves there adds to the pressure.
BEYOND: Final = 4.0


@dataclass(frozen=True, eq=False)
class Mixture:
    """A fitted mixture.

    Parameters
    ----------
    potential
        In which it is an equilibrium.
    r_min, r_max
        Radii [kpc] between which stars are drawn and the truth is stated.
    b, p
        (K,) anisotropies and exponents of the components.
    log_weight
        (K,) ln of the components' weights, in the wanted density's normalisation.
    density_error, beta_error
        Largest miss of the wanted density (as a fraction) and anisotropy between r_min and r_max.
    """

    potential: SphericalPotential
    r_min: float
    r_max: float
    b: FloatArray
    p: FloatArray
    log_weight: FloatArray
    density_error: float
    beta_error: float

    @classmethod
    def solve(
        cls,
        potential: SphericalPotential,
        density: RadialDensity,
        anisotropy: Anisotropy,
        r_min: float,
        r_max: float,
    ) -> Mixture:
        """Fit a mixture to ``density`` and ``anisotropy`` by non-negative least squares.

        In every node the density is to be met, and the pressures of the components are to have the
        wanted beta: sum_k x_k rho_k sigma_k^2 (beta - b_k) = 0. Whether it came near is for
        :meth:`qualifies` to say.

        Raises
        ------
        InputError
            If the radii are not positive and rising, or the potential is not negative.
        """
        from scipy.optimize import nnls

        if not 0.0 < r_min < r_max < np.inf:
            raise InputError(
                f"r_min and r_max must be positive and rising (got {r_min:g}, {r_max:g})"
            )
        r = np.geomspace(r_min, BEYOND * r_max, FIT_NODES)
        psi = _depth(potential, r)
        wanted, beta = density.log_density(r), anisotropy.beta(r)
        b, p = _components(r, psi, wanted, beta)
        log_ratio = _log_densities(r, psi, b, p) - wanted[:, None]
        scale = np.max(log_ratio, axis=0)
        ratio = np.exp(log_ratio - scale)
        # of pressure, in units of rho psi / 5
        excess = ratio * (beta[:, None] - b) * 5.0 / (p + 1.0)
        target = np.concatenate([np.ones(len(r)), np.zeros(len(r))])
        weights, _ = nnls(np.concatenate([ratio, excess]), target, maxiter=20 * len(b))
        used = weights > 0.0
        log_weight = np.log(weights[used]) - scale[used]
        fitted = cls(potential, r_min, r_max, b[used], p[used], log_weight, np.nan, np.nan)
        return fitted._judged(density, anisotropy)

    def _judged(self, density: RadialDensity, anisotropy: Anisotropy) -> Mixture:
        """Fill in the misses, found on a grid four times as fine as the fit's."""
        r = np.geomspace(self.r_min, self.r_max, 4 * FIT_NODES)
        log_rho, _, beta = self.moments(r)
        return replace(
            self,
            density_error=float(np.max(np.abs(np.expm1(log_rho - density.log_density(r))))),
            beta_error=float(np.max(np.abs(beta - anisotropy.beta(r)))),
        )

    def qualifies(self, tolerance: float) -> bool:
        """Whether density (as a fraction) and anisotropy miss by no more than ``tolerance``."""
        return max(self.density_error, self.beta_error) <= tolerance

    def moments(self, r: ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Solved ln rho, radial velocity dispersion [km/s] and anisotropy at ``r`` [kpc]."""
        r = np.asarray(r, dtype=float)
        psi = _depth(self.potential, r)
        log_rho = _log_densities(r, psi, self.b, self.p) + self.log_weight
        peak = np.max(log_rho, axis=-1)
        rho = np.exp(log_rho - peak[..., None])
        pressure = rho * psi[..., None] / (self.p + 1.0)
        total, total_pressure = np.sum(rho, axis=-1), np.sum(pressure, axis=-1)
        beta = np.sum(pressure * self.b, axis=-1) / total_pressure
        return peak + np.log(total), np.sqrt(total_pressure / total), beta

    def log_density(self, r: ArrayLike) -> FloatArray:
        """Natural logarithm of the fitted rho at ``r`` [kpc]."""
        return self.moments(r)[0]

    @cached_property
    def radius(self) -> FloatArray:
        """(1024,) radii [kpc] from r_min to r_max."""
        return np.geomspace(self.r_min, self.r_max, 1024)

    @property
    def sigma_r(self) -> FloatArray:
        """(1024,) radial velocity dispersion [km/s] at :attr:`radius`."""
        return self.moments(self.radius)[1]

    @property
    def beta(self) -> FloatArray:
        """(1024,) anisotropy at :attr:`radius`."""
        return self.moments(self.radius)[2]

    @property
    def mean_v_t(self) -> FloatArray:
        """(1024,) mean size of the tangential velocity [km/s] at :attr:`radius`.

        Speed and direction of a component are independent, v^2 / (2 psi) and sin^2 eta of Beta
        distributions: the mean of a power k is Gamma(a + k) Gamma(a + b) / (Gamma(a) Gamma(a + b + k)).
        """
        return self._mean_power(1.0, 1.0 - self.b, 0.5)

    @property
    def mean_v_t3(self) -> FloatArray:
        """(1024,) mean cube of the size of the tangential velocity [(km/s)^3] at :attr:`radius`."""
        return self._mean_power(3.0, 1.0 - self.b, 0.5)

    @property
    def kurtosis_r(self) -> FloatArray:
        """(1024,) kurtosis of v_r at :attr:`radius`."""
        return self._mean_power(4.0, 0.5, 1.0 - self.b) / self.sigma_r**4

    @property
    def kurtosis_t(self) -> FloatArray:
        """(1024,) kurtosis of v_theta and of v_phi, 3/8 <v_t^4> over the squared variance, at :attr:`radius`."""
        across = self.sigma_r**2 * (1.0 - self.beta)
        return 0.375 * self._mean_power(4.0, 1.0 - self.b, 0.5) / across**2

    def _mean_power(
        self, power: float, along: FloatArray | float, across: FloatArray | float
    ) -> FloatArray:
        """Mean power of abs(v u) at :attr:`radius`, of a direction with u^2 ~ Beta(``along``, ``across``)."""
        from scipy.special import gammaln

        def mean(a: FloatArray | float, b: FloatArray | float) -> FloatArray:
            half = 0.5 * power
            logarithm = gammaln(a + half) + gammaln(a + b) - gammaln(a) - gammaln(a + b + half)
            return np.asarray(np.exp(logarithm), dtype=float)

        of_component = mean(1.5 - self.b, self.p - 0.5 + self.b) * mean(along, across)
        psi = _depth(self.potential, self.radius)
        log_rho = _log_densities(self.radius, psi, self.b, self.p) + self.log_weight
        rho = np.exp(log_rho - np.max(log_rho, axis=-1, keepdims=True))
        return np.asarray((2.0 * psi) ** (0.5 * power) * (rho @ of_component) / rho.sum(axis=-1))

    @cached_property
    def _tables(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Nodes in ln r, ln psi in them, and the cumulative mass of every component, (K, nodes)."""
        x = np.linspace(np.log(self.r_min), np.log(self.r_max), TABLE_NODES)
        psi = _depth(self.potential, np.exp(x))
        log_mass = (
            _log_densities(np.exp(x), psi, self.b, self.p) + self.log_weight + 3.0 * x[:, None]
        )
        mass = np.exp(log_mass - np.max(log_mass)).T
        cells = 0.5 * (mass[:, 1:] + mass[:, :-1])
        return x, np.log(psi), np.concatenate([np.zeros((len(mass), 1)), np.cumsum(cells, 1)], 1)

    def sample(self, n: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray, FloatArray]:
        """(n,) radii [kpc], radial and tangential velocities [km/s], exactly from the mixture.

        A component is drawn by its mass between r_min and r_max, a radius from its own density, and
        speed and direction from their Beta distributions.
        """
        x, log_psi, cumulative = self._tables
        counts = rng.multinomial(n, cumulative[:, -1] / cumulative[:, -1].sum())
        log_r, speed2, cosine2 = np.empty(n), np.empty(n), np.empty(n)
        ends = np.cumsum(counts)
        for k in np.flatnonzero(counts):
            part = slice(ends[k] - counts[k], ends[k])
            log_r[part] = np.interp(rng.random(counts[k]) * cumulative[k, -1], cumulative[k], x)
            speed2[part] = rng.beta(1.5 - self.b[k], self.p[k] - 0.5 + self.b[k], counts[k])
            cosine2[part] = rng.beta(0.5, 1.0 - self.b[k], counts[k])
        order = rng.permutation(n)  # otherwise the first stars would all be of one component
        log_r = log_r[order]
        v2 = 2.0 * np.exp(np.interp(log_r, x, log_psi)) * speed2[order]
        radial2 = v2 * cosine2[order]
        sign = np.where(rng.random(n) < 0.5, -1.0, 1.0)
        return np.exp(log_r), sign * np.sqrt(radial2), np.sqrt(v2 - radial2)


def _components(
    r: FloatArray, psi: FloatArray, log_rho: FloatArray, beta: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Grid of (b, p): b over the wanted anisotropies, p up to twice what the steepest place needs.

    A density of slope s has locally p = (s + 2 b) / (d ln psi / d ln r), large where psi is flat.
    """
    low, high = float(np.min(beta)), min(float(np.max(beta)), 0.98)
    spread = np.linspace(low, high, 7) if high - low > 1e-6 else np.array([high])
    b = np.unique(np.concatenate([spread, [low - 0.3, low - 0.05, min(high + 0.05, 0.98)]]))
    fall = np.gradient(log_rho) + 2.0 * low * np.gradient(np.log(r))
    steepest = float(np.max(fall / np.gradient(np.log(psi))))
    above = np.geomspace(0.05, 2.0 * max(steepest, 10.0), 48)
    return np.repeat(b, len(above)), (0.5 - b[:, None] + above).ravel()


def _log_densities(r: FloatArray, psi: FloatArray, b: FloatArray, p: FloatArray) -> FloatArray:
    """Natural logarithm of rho_k at each radius, (..., K)."""
    return p * np.log(psi)[..., None] - 2.0 * b * np.log(r)[..., None]


def _depth(potential: SphericalPotential, r: FloatArray) -> FloatArray:
    """Psi = -Phi [(km/s)^2]."""
    psi = -potential.potential(r)
    if not np.all(psi > 0.0):
        raise InputError("the potential must be negative everywhere and vanish at infinity")
    return psi
