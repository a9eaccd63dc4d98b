"""Radial dispersion of a power law of tracers in Zhai et al.'s (2018) Galaxy, and its NFW halo."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from numpy.typing import ArrayLike

from haloassay.arrays import FloatArray
from haloassay.constants import G
from haloassay.errors import EstimationError, InputError
from haloassay.estimate import Estimate
from haloassay.estimators.bins import DensitySlope
from haloassay.estimators.fit.posterior import EmceeRun, explore
from haloassay.profiles import nfw_enclosed_mass, nfw_shape, virial_radius
from haloassay.settings import require

if TYPE_CHECKING:
    from scipy.interpolate import CubicSpline

#: How the posterior of (m200, c200) is drawn from.
HaloSampler = Literal["quadrature", "emcee"]

#: Run of emcee; Zhai et al. print none, so a choice: its autocorrelation time is about 30 steps.
_RUN: Final = EmceeRun(100, 1500, 500)

#: Steps of the table of the halo's part in ln r_s, and nodes of a panel of the Jeans integral.
_STEP: Final = 0.05
_NODES: Final = 16

#: Fall of ln(rho dPhi/dr r) at which the Jeans integral is ended.
_TAIL: Final = 30.0


@dataclass(frozen=True)
class SphericalBaryons:
    """Disc and bulge of Zhai et al. (2018, eq. 11, 12), both made spherical.

    Parameters
    ----------
    disc_mass
        Mass of the disc [Msun]; Phi = -G M (1 - exp(-r / b)) / r.
    disc_scale
        Its scale b [kpc].
    bulge_mass
        Mass of the bulge [Msun]; Phi = -G M / (r + c0).
    bulge_scale
        Its scale c0 [kpc].
    """

    disc_mass: float = 6.8e10
    disc_scale: float = 2.5
    bulge_mass: float = 0.5e10
    bulge_scale: float = 0.6

    def __post_init__(self) -> None:
        for name in ("disc_mass", "bulge_mass"):
            require(getattr(self, name) >= 0.0, f"{name}: not negative (got {getattr(self, name)})")
        for name in ("disc_scale", "bulge_scale"):
            require(getattr(self, name) > 0.0, f"{name}: positive (got {getattr(self, name)})")

    def mass(self, r: ArrayLike) -> FloatArray:
        """Mass r^2 dPhi/dr / G [Msun] within ``r`` [kpc]."""
        r = np.asarray(r, dtype=float)
        x = r / self.disc_scale
        disc = self.disc_mass * (-np.expm1(-x) - x * np.exp(-x))
        return np.asarray(disc + self.bulge_mass * (r / (r + self.bulge_scale)) ** 2)


@dataclass(frozen=True)
class ZhaiHalo:
    """The NFW halo that is looked for, and what is known beside it (Zhai et al. 2018, section 3.2).

    Parameters
    ----------
    baryons
        Disc and bulge, held fixed.
    h0
        Hubble's constant [km/s/Mpc]; the halo has 200 times the critical density within r200.
    prior
        ``"flat"`` in m200 and c200, or ``"log"``, flat in their logarithms. The paper prints none.
    m200_range, c200_range
        Bounds of the prior [Msun], [].
    emcee
        Length of the run where the sampler is emcee; a choice, as the paper prints none.
    """

    baryons: SphericalBaryons = field(default_factory=SphericalBaryons)
    h0: float = 70.0
    prior: Literal["flat", "log"] = "flat"
    m200_range: tuple[float, float] = (1e9, 1e13)
    c200_range: tuple[float, float] = (0.1, 100.0)
    emcee: EmceeRun = _RUN

    def __post_init__(self) -> None:
        require(self.h0 > 0.0, f"h0: positive (got {self.h0})")
        for name in ("m200_range", "c200_range"):
            lo, hi = getattr(self, name)
            require(0.0 < lo < hi, f"{name}: bounds ascend from above 0 (got {[lo, hi]})")

    def enclosed_mass(self, r: ArrayLike, m200: ArrayLike, c200: ArrayLike) -> FloatArray:
        """Mass [Msun] of everything within ``r`` [kpc]; the arguments are broadcast."""
        halo = nfw_enclosed_mass(r, m200, virial_radius(m200, self.h0), c200)
        return np.asarray(halo + self.baryons.mass(r))

    def circular_velocity(self, r: ArrayLike, m200: ArrayLike, c200: ArrayLike) -> FloatArray:
        """Circular velocity [km/s] at ``r`` [kpc] (eq. 8)."""
        return np.sqrt(G * self.enclosed_mass(r, m200, c200) / np.asarray(r, dtype=float))

    @property
    def scale_range(self) -> tuple[float, float]:
        """Smallest and largest scale radius r_s [kpc] that the prior allows."""
        lo, hi = virial_radius(np.array(self.m200_range), self.h0)
        return float(lo / self.c200_range[1]), float(hi / self.c200_range[0])


@dataclass(frozen=True, eq=False)
class JeansIntegral:
    """Radial velocity variance sigma_r^2 of tracers, for any NFW halo, at radii chosen once.

    sigma_r^2 = r^(-2 beta) / rho int_r^inf rho s^(2 beta) dPhi/ds ds (eq. 7, with the factor that
    a constant beta brings in; the minus sign printed there belongs to the limits). The integral is
    linear in the potential: the baryons' part is a number a radius, the halo's is G m200 / mu(c200)
    times a function of r_s alone, which is tabulated.

    Parameters
    ----------
    baryons
        (k,) part of the baryons [(km/s)^2].
    halo
        Logarithm (..., k) of the halo's part over G m200 / mu(c200) [1/kpc], as a spline in ln r_s.
    model
        The halo.
    """

    baryons: FloatArray
    halo: CubicSpline
    model: ZhaiHalo

    @classmethod
    def of(
        cls, radii: FloatArray, density: DensitySlope, beta: float, model: ZhaiHalo
    ) -> JeansIntegral:
        """Integral for radii (k,), or averaged over the last axis of radii (k, q) [kpc].

        Gauss-Legendre panels in ln s, split where the density breaks; accurate to 1e-6.

        Raises
        ------
        InputError
            If the density falls so slowly that the integral does not converge.
        """
        from scipy.interpolate import CubicSpline

        radii = np.asarray(radii, dtype=float)
        s, weight = _nodes(radii.ravel(), density, beta)
        lo, hi = np.log(model.scale_range)
        knots = np.linspace(lo, hi, max(int((hi - lo) / _STEP) + 2, 8))
        halo = np.array([np.sum(weight * nfw_shape(s / r_s), axis=1) for r_s in np.exp(knots)])
        baryons = G * np.sum(weight * model.baryons.mass(s), axis=1)
        if radii.ndim == 2:
            halo = halo.reshape(len(knots), *radii.shape).mean(axis=2)
            baryons = baryons.reshape(radii.shape).mean(axis=1)
        return cls(baryons, CubicSpline(knots, np.log(halo)), model)

    def variance(self, m200: FloatArray, c200: FloatArray) -> FloatArray:
        """Sigma_r^2 (n, k) [(km/s)^2] of halos m200 (n,) [Msun], c200 (n,)."""
        scale = virial_radius(m200, self.model.h0) / c200
        norm = G * m200 / nfw_shape(c200)
        return np.asarray(self.baryons + norm[:, None] * np.exp(self.halo(np.log(scale))))


def _nodes(r: FloatArray, density: DensitySlope, beta: float) -> tuple[FloatArray, FloatArray]:
    """Nodes s (k, m) [kpc] and weights rho(s) / rho(r) (s / r)^(2 beta) ds / s^2 for radii (k,)."""
    fall = 1.0 - density.slopes[-1] - 2.0 * beta
    if fall < 0.5:
        raise InputError(
            f"alpha: the density must fall faster than r^{0.5 - 2.0 * beta:g} at large radii for "
            f"the Jeans integral to converge (got r^{density.slopes[-1]:g})"
        )
    breaks = np.log(density.breaks)
    bend = np.array([-10.0, -4.0, -1.0, 0.0, 1.0, 4.0, 10.0]) * density.width
    bends = np.unique(np.add.outer(breaks, bend)) if len(breaks) else np.empty(0)
    end = max(np.log(r.max()), bends.max(initial=-np.inf)) + _TAIL / fall
    x, w = np.polynomial.legendre.leggauss(_NODES)
    n_panels = int(np.ceil((end - np.log(r.min())) / 0.7))
    shared = np.linspace(0.0, 1.0, n_panels + 1)
    # every radius has as many panels; bends inside it are edges, the others make empty panels
    start = np.log(r)[:, None]
    edges = np.concatenate([start + (end - start) * shared, np.maximum(bends, start)], axis=1)
    edges = np.sort(edges, axis=1)
    half = 0.5 * np.diff(edges, axis=1)[..., None]
    log_s = (0.5 * (edges[:, 1:] + edges[:, :-1])[..., None] + half * x).reshape(len(r), -1)
    s = np.exp(log_s)
    contrast = density.log_density(s) - density.log_density(r)[:, None]
    weight = (half * w).reshape(len(r), -1) * np.exp(contrast + 2.0 * beta * (log_s - start)) / s
    return s, weight


#: Log likelihood (n,) of halos m200 (n,) [Msun], c200 (n,).
HaloLikelihood = Callable[[FloatArray, FloatArray], FloatArray]


def halo_draws(
    log_likelihood: HaloLikelihood,
    model: ZhaiHalo,
    sampler: HaloSampler,
    n_draws: int,
    rng: np.random.Generator,
) -> tuple[FloatArray, FloatArray]:
    """Draws (n_draws,) of m200 [Msun] and of c200 from their posterior.

    Raises
    ------
    EstimationError
        If the posterior cannot be drawn from, or a chain does not mix.
    """
    lo, hi = np.log(np.array([model.m200_range, model.c200_range])).T

    def log_density(points: FloatArray) -> FloatArray:
        inside = np.all((points > lo) & (points < hi), axis=1)
        m200, c200 = np.exp(np.where(inside[:, None], points, 0.5 * (lo + hi))).T
        out = log_likelihood(m200, c200)
        if model.prior == "flat":  # the Jacobian of the logarithms
            out = out + points.sum(axis=1)
        return np.where(inside, out, -np.inf)

    grid = np.stack(
        np.meshgrid(*(np.linspace(a, b, 62)[1:-1] for a, b in zip(lo, hi, strict=True))), axis=-1
    ).reshape(-1, 2)
    values = log_density(grid)
    start = grid[int(np.argmax(values))]
    if not np.isfinite(values.max()):
        raise EstimationError("no halo has a finite likelihood")
    found = explore(
        log_density, start, [0.05, 0.05], n_draws, rng, sampler=sampler, emcee=model.emcee
    )
    m200, c200 = np.exp(found.draws).T
    return m200, c200


def halo_rows(
    m200: FloatArray, c200: FloatArray, model: ZhaiHalo, where: list[dict[str, float]]
) -> list[Estimate]:
    """Rows enclosed_mass at each place, then m200, r200 and c200, from draws (n,).

    A halo whose posterior reaches the end of the prior is undetermined; the masses within the data
    are not.
    """
    rows = [
        Estimate.from_draws("enclosed_mass", model.enclosed_mass(w["r"], m200, c200), **w)
        for w in where
    ]
    size = _reached("m200", m200, model.m200_range)
    shape = _reached("c200", c200, model.c200_range)
    r200 = virial_radius(m200, model.h0)
    for quantity, draws, note in (
        ("m200", m200, size),
        ("r200", r200, size),
        ("c200", c200, shape),
    ):
        row = (
            Estimate.undetermined(quantity, note) if note else Estimate.from_draws(quantity, draws)
        )
        rows.append(row)
    return rows


def _reached(quantity: str, draws: FloatArray, bounds: tuple[float, float]) -> str:
    """Why a parameter is undetermined: its posterior reaches a bound of the prior; else empty."""
    low, high = np.percentile(draws, [2.5, 97.5])
    for bound, reached in zip(
        bounds, (low < 1.05 * bounds[0], high > 0.95 * bounds[1]), strict=True
    ):
        if reached:
            return f"the data do not bound {quantity}: its posterior reaches {bound:g}"
    return ""


def no_halo_rows(where: list[dict[str, float]], reason: str) -> list[Estimate]:
    """Rows of :func:`halo_rows` without values."""
    rows = [Estimate.undetermined("enclosed_mass", reason, **w) for w in where]
    return rows + [Estimate.undetermined(q, reason) for q in ("m200", "r200", "c200")]
