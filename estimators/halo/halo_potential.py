"""Zhai et al.'s (2018) Galaxy: known baryons and an NFW halo, and the halo's posterior."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike

from haloassay.base.arrays import FloatArray
from haloassay.base.constants import G
from haloassay.base.errors import EstimationError
from haloassay.base.settings import require
from haloassay.contracts.estimate import Estimate
from haloassay.contracts.profiles import nfw_enclosed_mass, virial_radius
from haloassay.estimators.fit.posterior import EmceeRun, explore
from haloassay.estimators.halo.baryons import Baryons, SphericalBaryons, baryons_mass
from haloassay.estimators.rows import VIRIAL, unbounded, undetermined_rows, virial_rows

#: How the posterior of (m200, c200) is drawn from.
HaloSampler = Literal["quadrature", "emcee"]

#: Run of emcee; Zhai et al. print none, so a choice: its autocorrelation time is about 30 steps.
_RUN: Final = EmceeRun(100, 1500, 500)


@dataclass(frozen=True)
class ZhaiHalo:
    """The NFW halo that is looked for, and what is known beside it (Zhai et al. 2018, section 3.2).

    Parameters
    ----------
    baryons
        Disc and bulge, held fixed: a table, or the name of known ones or of ``"none"``.
    h0
        Hubble's constant [km/s/Mpc]; the halo has 200 times the critical density within r200.
    prior
        ``"flat"`` in m200 and c200, or ``"log"``, flat in their logarithms. The paper prints none.
    m200_range, c200_range
        Bounds of the prior [Msun], [].
    emcee
        Length of the run where the sampler is emcee; a choice, as the paper prints none.
    """

    baryons: SphericalBaryons | Baryons = field(default_factory=SphericalBaryons)
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
        return np.asarray(halo + self.baryons_mass(r))

    def baryons_mass(self, r: ArrayLike) -> FloatArray:
        """Mass [Msun] of the baryons within ``r`` [kpc]."""
        if isinstance(self.baryons, SphericalBaryons):
            return self.baryons.mass(r)
        return baryons_mass(self.baryons, r)

    def circular_velocity(self, r: ArrayLike, m200: ArrayLike, c200: ArrayLike) -> FloatArray:
        """Circular velocity [km/s] at ``r`` [kpc] (eq. 8)."""
        return np.sqrt(G * self.enclosed_mass(r, m200, c200) / np.asarray(r, dtype=float))

    @property
    def scale_range(self) -> tuple[float, float]:
        """Smallest and largest scale radius r_s [kpc] that the prior allows."""
        lo, hi = virial_radius(np.array(self.m200_range), self.h0)
        return float(lo / self.c200_range[1]), float(hi / self.c200_range[0])


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
    size = unbounded("the data", "m200", m200, model.m200_range)
    shape = unbounded("the data", "c200", c200, model.c200_range)
    return rows + virial_rows(m200, virial_radius(m200, model.h0), c200, size, shape)


def no_halo_rows(where: list[dict[str, float]], reason: str) -> list[Estimate]:
    """Rows of :func:`halo_rows` without values."""
    rows = undetermined_rows(("enclosed_mass",), reason, where)
    return rows + undetermined_rows(VIRIAL, reason)
