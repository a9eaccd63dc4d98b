"""Halo mass from line-of-sight velocity dispersions, the Jeans equation integrated (Zhai 2018)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.errors import EstimationError
from haloassay.contracts.estimate import Estimate
from haloassay.estimators.bins import density_slope
from haloassay.estimators.fit.los_dispersion import Dispersion, LosBin
from haloassay.estimators.halo.jeans import JeansIntegral
from haloassay.estimators.halo.los_halo import ASSUMES, EXPECTED, LosHalo, Profiled

#: Radii a bin that stand for its stars where the model is averaged over them.
_PER_BIN = 8


@dataclass(frozen=True)
class LosJeans(LosHalo):
    """NFW halo from the dispersion of line-of-sight velocities, without proper motions.

    The dispersion of the Galactocentric line-of-sight velocities of each bin, about a mean of zero,
    is taken for sigma_r, and compared with sigma_r^2 = (1 / rho) int_r^inf rho dPhi/dr dr of an
    isotropic tracer in a potential of spherical baryons and an NFW halo (Zhai et al. 2018, eq. 1,
    7, 10-17). Nothing is differentiated.

    Biased where the orbits are not isotropic: sigma_los is then not sigma_r, least so far out, and
    the Jeans equation has another term (``beta`` puts in that term, not the projection); by a wrong
    density slope, as v_c^2 is about -alpha sigma_r^2; by rotation and streams, which a mean of zero
    counts as dispersion; by distance errors, which carry stars outwards.

    Measured on 9627 isotropic stars from 5 to 120 kpc in the paper's best-fitting Galaxy (400
    realisations): m200 is low by 1.3 +- 0.3 per cent with a scatter of 6.2, and its 68 per cent
    intervals cover 69 +- 2. The bias is that of chi^2 with errors proportional to the measured
    dispersion, and goes with ``likelihood = "variance"`` (0.1 +- 0.3). With the selection and errors
    of LAMOST (200 realisations) m200 is high by 1.4 +- 0.6 and 3.3 +- 0.6 per cent in these two, from
    the distance errors, with a scatter of 8.

    As published: ``sampler = "emcee"`` and all other settings by default; what the paper leaves
    open (prior, length of the run, radius of a bin) is said at the setting.

    Parameters
    ----------
    bins
        Edges [kpc]; those of section 3.3 by default.
    alpha
        d ln rho / d ln r that the observer assumes, to infinity: one number (-4, eq. 3), or a table
        of slopes and breaks.
    beta
        Constant anisotropy that the observer assumes; 0 in the paper, which holds an integral to be
        possible only then.
    mean
        Of the velocities of a bin: ``"zero"``, or ``"free"``.
    deconvolve
        Take the errors of line-of-sight velocities off the dispersions; not so in the paper, where
        7 km/s add 0.2 per cent to 110 km/s.
    errors
        Of the dispersions: ``"gaussian"``, or ``"sandwich"``, from the stars' own scatter.
    likelihood
        ``"sigma"``: dispersions are Gaussian about those of the model, with their standard errors,
        as published. ``"variance"``: sample variances follow chi^2 about those of the model, which
        is exact for Gaussian velocities; the former prefers low dispersions in bins of few stars.
    within_bins
        ``"median"``: the model at the median radius of a bin's stars (the paper does not say at
        which); ``"average"``: its variance averaged over them.
    r_out
        Radii [kpc] of the enclosed masses; those of the bins where empty.
    min_stars
        Bins with fewer stars have no value and stay out of the fit.
    sampler
        Of the posterior of (m200, c200): ``"quadrature"``, or ``"emcee"`` as published.
    n_draws
        Draws from each posterior.
    halo
        Baryons, Hubble's constant, prior, and length of emcee's run.
    """

    name: ClassVar[str] = "los-jeans"
    assumes: ClassVar[tuple[str, ...]] = (*ASSUMES, "isotropic")
    expected: ClassVar[Mapping[str, str | tuple[str, str]]] = EXPECTED
    yields: ClassVar[tuple[str, ...]] = ("sigma_los", "enclosed_mass", "m200", "r200", "c200")

    likelihood: Literal["sigma", "variance"] = "sigma"
    within_bins: Literal["median", "average"] = "median"

    def profiled(self, profile: tuple[LosBin, ...]) -> Profiled:
        """Rows sigma_los of each bin, and the likelihood of a halo, or why there is none."""
        rows = [
            Estimate.undetermined("sigma_los", los_bin.note, **los_bin.bin.where)
            if los_bin.dispersion is None
            else Estimate.from_draws("sigma_los", los_bin.dispersion.draws, **los_bin.bin.where)
            for los_bin in profile
        ]
        usable = [(b, b.dispersion) for b in profile if b.dispersion is not None]
        if len(usable) < 2:
            return rows, EstimationError(
                f"an NFW halo needs the dispersions of two bins or more (got {len(usable)})"
            )
        radii = np.array([b.bin.r for b, _ in usable])
        if self.within_bins == "average":
            share = (np.arange(_PER_BIN) + 0.5) / _PER_BIN
            radii = np.array([np.quantile(b.radii, share) for b, _ in usable])
        integral = JeansIntegral.of(radii, density_slope(self.alpha), self.beta, self.halo)
        fits = [dispersion for _, dispersion in usable]
        compare = compare_sigma if self.likelihood == "sigma" else compare_variance

        def log_likelihood(m200: FloatArray, c200: FloatArray) -> FloatArray:
            return compare(integral.variance(m200, c200), fits)

        return rows, log_likelihood


def compare_sigma(variance: FloatArray, fits: list[Dispersion]) -> FloatArray:
    """Log likelihood (n,) of model variances (n, k): chi^2 of the dispersions."""
    sigma = np.array([fit.sigma for fit in fits])
    error = np.array([fit.error for fit in fits])
    return np.asarray(-0.5 * np.sum(((sigma - np.sqrt(variance)) / error) ** 2, axis=1))


def compare_variance(variance: FloatArray, fits: list[Dispersion]) -> FloatArray:
    """Log likelihood (n,) of model variances (n, k): sample variances follow chi^2 about them."""
    freedom = np.array([fit.freedom for fit in fits])
    noise = np.array([fit.noise for fit in fits])
    found = np.array([fit.sigma**2 for fit in fits]) + noise
    total = variance + noise
    return np.asarray(-0.5 * np.sum(freedom * (np.log(total) + found / total), axis=1))
