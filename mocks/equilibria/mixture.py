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

from haloassay.base.arrays import FloatArray, IntArray
from haloassay.base.compiled import compiled
from haloassay.base.errors import InputError
from haloassay.mocks.equilibria.anisotropy import Anisotropy
from haloassay.mocks.equilibria.orbits import SphericalPotential
from haloassay.mocks.stars import RadialDensity
from haloassay.mocks.uniforms import Uniforms, state_of, uniform_at

#: Nodes in ln r: of the fit, of the truth and of drawing.
FIT_NODES: Final = 96
TABLE_NODES: Final = 4096

#: The fit reaches this much beyond the outermost star: what moves there adds to the pressure.
BEYOND: Final = 4.0

#: Quantiles are tabulated at steps of ln(u / (1 - u)), in which tails that are powers are straight, out to this.
_TAIL: Final = 22.0
QUANTILE_STEPS: Final = np.linspace(-_TAIL, _TAIL, 1201)


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
    def _tables(self) -> _Tables:
        return _Tables.of(self)

    def sample(
        self, uniforms: Uniforms, number: IntArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """(N,) radii [kpc], radial and tangential velocities [km/s] of the stars of these numbers, from the mixture.

        A radius is drawn by the mass of all components, then one of those that are there by its share: first its
        anisotropy, then its exponent; last speed and direction by the quantiles of their Beta distributions. All
        six deviates of a star are used up one for one, and a mixture that differs a little moves it a little.
        """
        tables = self._tables
        r, v_r, v_t = _draw(
            uniforms.key_of("mixture"),
            number,
            tables.x,
            tables.log_psi,
            tables.mass,
            tables.of_b,
            tables.of_p,
            tables.first,
            tables.speed,
            tables.slant,
        )
        return r, v_r, v_t


@dataclass(frozen=True, eq=False)
class _Tables:
    """What stars are drawn by: B anisotropies, K components in order of (b, p), M cells between nodes in ln r.

    ``x``, ``log_psi`` (M + 1,) are ln r and ln psi in the nodes; ``mass`` (M + 1,) the share of all stars below them;
    ``of_b`` (M, B) the cumulative shares of the anisotropies in a cell, ``of_p`` (M, K) those of the components among
    the ones of their anisotropy, which start at ``first`` (B + 1,). ``speed`` (K, Q) holds ln(v^2 / 2 psi) and
    ``slant`` (B, Q) ln(tan^2 eta) at equal steps of ln(u / (1 - u)).
    """

    x: FloatArray
    log_psi: FloatArray
    mass: FloatArray
    of_b: FloatArray
    of_p: FloatArray
    first: IntArray
    speed: FloatArray
    slant: FloatArray

    @classmethod
    def of(cls, mixture: Mixture) -> _Tables:
        order = np.lexsort((mixture.p, mixture.b))
        b, p = mixture.b[order], mixture.p[order]
        x = np.linspace(np.log(mixture.r_min), np.log(mixture.r_max), TABLE_NODES)
        psi = _depth(mixture.potential, np.exp(x))
        log_mass = (
            _log_densities(np.exp(x), psi, b, p) + mixture.log_weight[order] + 3.0 * x[:, None]
        )
        nodes = np.exp(log_mass - np.max(log_mass))
        cells = 0.5 * (nodes[1:] + nodes[:-1])
        values, first = np.unique(b, return_index=True)
        of_b = np.add.reduceat(cells, first, axis=1)
        group = np.searchsorted(values, b)
        before = np.cumsum(cells, axis=1) - cells
        inside = before + cells - before[:, first][:, group]
        total = np.concatenate([[0.0], np.cumsum(cells.sum(axis=1))])
        return cls(
            x,
            np.log(psi),
            total / total[-1],
            np.cumsum(of_b, axis=1) / of_b.sum(axis=1, keepdims=True),
            inside / np.where(of_b > 0.0, of_b, 1.0)[:, group],
            np.append(first, len(b)),
            np.array(
                [_beta_quantiles(1.5 - bk, pk - 0.5 + bk)[0] for bk, pk in zip(b, p, strict=True)]
            ),
            np.array([_odds_quantiles(1.0 - value, 0.5) for value in values]),
        )


def _beta_quantiles(a: float, b: float) -> tuple[FloatArray, FloatArray]:
    """Ln x and ln(1 - x) of Beta(a, b) at the steps of ln(u / (1 - u)), (Q,) each."""
    from scipy.special import betaincinv

    low = QUANTILE_STEPS <= 0.0
    tail = 1.0 / (1.0 + np.exp(np.abs(QUANTILE_STEPS)))
    x, rest = np.empty(len(tail)), np.empty(len(tail))
    x[low], rest[~low] = betaincinv(a, b, tail[low]), betaincinv(b, a, tail[~low])
    x[~low], rest[low] = 1.0 - rest[~low], 1.0 - x[low]
    least = np.finfo(float).tiny
    return np.log(np.maximum(x, least)), np.log(np.maximum(rest, least))


def _odds_quantiles(a: float, b: float) -> FloatArray:
    """ln(x / (1 - x)) of Beta(a, b) at the steps of ln(u / (1 - u)), (Q,)."""
    x, rest = _beta_quantiles(a, b)
    return x - rest


@compiled(inline="always")
def _quantile(table, u):  # type: ignore[no-untyped-def]
    place = (np.log(u / (1.0 - u)) + _TAIL) / (2.0 * _TAIL) * (len(table) - 1)
    k = min(max(int(place), 0), len(table) - 2)
    part = place - k
    return table[k] * (1.0 - part) + table[k + 1] * part


@compiled
def _draw(key, numbers, x, log_psi, mass, of_b, of_p, first, speed, slant):  # type: ignore[no-untyped-def]
    out = np.empty((3, len(numbers)))
    for star in range(len(numbers)):
        state = state_of(key, numbers[star])
        u = uniform_at(state, 0)
        cell = min(np.searchsorted(mass, u, side="right") - 1, len(mass) - 2)
        part = (u - mass[cell]) / (mass[cell + 1] - mass[cell])
        b = min(np.searchsorted(of_b[cell], uniform_at(state, 1)), of_b.shape[1] - 1)
        own = of_p[cell, first[b] : first[b + 1]]
        k = first[b] + min(np.searchsorted(own, uniform_at(state, 2)), len(own) - 1)
        depth = np.exp(log_psi[cell] * (1.0 - part) + log_psi[cell + 1] * part)
        v2 = 2.0 * depth * np.exp(_quantile(speed[k], uniform_at(state, 3)))
        odds = np.exp(_quantile(slant[b], uniform_at(state, 4)))
        sign = 1.0 if uniform_at(state, 5) < 0.5 else -1.0
        out[0, star] = np.exp(x[cell] * (1.0 - part) + x[cell + 1] * part)
        out[1, star] = sign * np.sqrt(v2 / (1.0 + odds))
        out[2, star] = np.sqrt(v2 * odds / (1.0 + odds))
    return out


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
