"""Velocity ellipsoid: one Gaussian in three dimensions, freed from the errors of each star."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from haloassay.base.arrays import FloatArray, IntArray
from haloassay.base.cache import LATER
from haloassay.base.errors import EstimationError
from haloassay.contracts.estimate import Estimate, Estimates, Estimator
from haloassay.estimators.bins import (
    Bin,
    Edges,
    bootstrap,
    by_bins,
    check_edges,
    check_least,
    check_number,
)
from haloassay.estimators.deconvolution import RadiusDeconvolution
from haloassay.estimators.fit.ellipsoid import (
    AXES,
    Ellipsoid,
    ErrorModel,
    anisotropy,
    fit_ellipsoid,
)
from haloassay.estimators.fit.kurtosis import KurtosisFit, fit_kurtosis
from haloassay.estimators.gathering import spherical_covariance, spherical_velocity
from haloassay.estimators.rows import drawn_row, undetermined_rows

if TYPE_CHECKING:
    from haloassay.contracts.catalogue import Catalogue


@dataclass(frozen=True)
class VelocityEllipsoid(Estimator):
    """Means, dispersions, anisotropy and kurtosis of the true velocities in radial bins.

    Maximises sum_i ln N(v_i | mu, Sigma + S_i) over the mean mu and the full covariance Sigma,
    where S_i is the error covariance of star i: extreme deconvolution with one component (Bovy,
    Hogg & Roweis 2011; Bird et al. 2021, 2022, section 2.1). The errors are taken as known and
    Gaussian; stars outside the edges are left out.

    Mean and Sigma are unbiased for velocities that are not Gaussian, as in equilibria of radial
    orbits (kurtosis 7 across, at beta = 0.75), but the Fisher errors are then too small. Measured
    coverage of 68 per cent intervals of sigma_theta, sigma_phi and beta in such an equilibrium:
    0.41 to 0.58 with ``"fisher"``; with ``"sandwich"`` 0.64 to 0.70 at 300 and 3000 stars, and
    0.55 to 0.64 at 30, too few to see the tails. For Gaussian velocities ``"sandwich"`` covers 0.64
    to 0.70 and ``"fisher"`` 0.65 to 0.71 at any number (``benchmarks/interval_coverage.py``; Monte Carlo
    errors 0.015 to 0.023).

    Kurtosis <(v - mu)^4> / sigma^4, 3 for Gaussian velocities (not the excess over it), is that of moments corrected
    for the Gaussian errors of each star (:func:`haloassay.estimators.fit.kurtosis.fit_kurtosis`), with the error that
    the stars' own scatter gives its logarithm; ``"fisher"`` and ``"poisson"`` have that of Gaussian velocities. It is
    undetermined below 100 stars, and where the errors hide it or single stars make it. The scatter of a fourth moment
    rests on the eighth, which tails hide from a sample: 68 per cent intervals of kurtosis_theta cover 0.47 to 0.56 at
    300 stars and 0.61 to 0.66 at 3000 in four families of equilibria (``benchmarks/tails.py``).

    Parameters
    ----------
    bins
        Edges [kpc], or ``"none"`` for the whole sample.
    min_stars
        Bins with fewer stars have no value (10 in Han et al. 2024).
    errors
        ``"sandwich"``: H^-1 J H^-1 of mean and Sigma together, H the Fisher information, J the sum
        of outer products of the scores of the stars (Huber 1967; White 1982), with a factor
        (N + 1) / (N - 2) on the scores of Sigma that makes it unbiased for Gaussian velocities. It
        needs no Gaussian velocities; H is the expected curvature of any distribution with this mean
        and covariance. ``"fisher"``: H^-1, exact for a Gaussian sample without errors, or with equal
        errors, of any size. ``"poisson"``: sigma / sqrt(2 N), as Bird et al. use it (they name
        Poisson statistics, without the formula), and sigma / sqrt(N) for means; it does not know the
        measurement errors. ``"bootstrap"``: refitted to resampled stars.
    n_draws
        Draws behind the intervals; with ``"bootstrap"``, number of resampled catalogues.
    distances
        Free radii and velocities from the errors of distances, by draws of each star's posterior under a density that
        is given; or ``"as-stated"``.
    """

    name: ClassVar[str] = "velocity-ellipsoid"
    reference: ClassVar[str] = "2011AnApS...5.1657B"
    assumes: ClassVar[tuple[str, ...]] = ("known Gaussian errors",)
    expected: ClassVar[Mapping[str, str | tuple[str, str]]] = dict.fromkeys(
        ("coverage", "ranks"),
        ("the error of a kurtosis rests on the eighth moment, which tails hide", "thorough"),
    )
    yields: ClassVar[tuple[str, ...]] = (
        *(f"mean_v_{axis}" for axis in AXES),
        *(f"sigma_{axis}" for axis in AXES),
        "beta",
        *(f"kurtosis_{axis}" for axis in AXES),
    )
    version: ClassVar[int] = 2
    published: ClassVar[dict[str, Any]] = {"errors": "poisson"}

    bins: Edges = "none"
    min_stars: int = 10
    errors: Literal["sandwich", "fisher", "poisson", "bootstrap"] = "sandwich"
    n_draws: int = 1000
    distances: RadiusDeconvolution | Literal["as-stated"] = field(
        default="as-stated", metadata=LATER
    )

    def __post_init__(self) -> None:
        check_edges(self.bins)
        check_least("min_stars", self.min_stars, 5)
        check_least("n_draws", self.n_draws, 2)

    def estimate(self, catalogue: Catalogue, rng: np.random.Generator) -> Estimates:
        """Rows of every quantity of every bin; a row says why it has no value."""
        if isinstance(self.distances, RadiusDeconvolution):
            return self.distances.pooled(replace(self, distances="as-stated"), catalogue, rng)
        (of_kurtosis,) = rng.spawn(1)
        return by_bins(
            catalogue,
            self.bins,
            self.yields,
            lambda bin_, v, S: self._bin_rows(bin_, v, S, rng, of_kurtosis),
            spherical_velocity,
            spherical_covariance,
        )

    def _bin_rows(
        self,
        bin_: Bin,
        v: FloatArray,
        S: FloatArray,
        rng: np.random.Generator,
        of_kurtosis: np.random.Generator,
    ) -> list[Estimate]:
        """Rows of one bin, of velocities (n, 3) with error covariances (n, 3, 3)."""
        try:
            check_number(len(bin_), self.min_stars)
            model: ErrorModel = "fisher" if self.errors == "fisher" else "sandwich"
            ellipsoid = fit_ellipsoid(v, S, model)
            mean, sigma, kurtosis = self._draws(ellipsoid, v, S, rng)
        except EstimationError as error:
            return undetermined_rows(self.yields, str(error), [bin_.where])
        means = [
            Estimate.from_draws(f"mean_v_{axis}", mean[:, k], **bin_.where)
            for k, axis in enumerate(AXES)
        ]
        dispersions = [
            drawn_row(f"sigma_{axis}", sigma[:, k], ellipsoid.note((k,)), **bin_.where)
            for k, axis in enumerate(AXES)
        ]
        note = ellipsoid.note()
        # hidden dispersions are drawn at zero, too
        beta = np.empty(0) if note else anisotropy(sigma)
        tails = self._kurtosis_rows(
            ellipsoid, bin_, _kurtosis(v, S, ellipsoid), kurtosis, of_kurtosis
        )
        return [*means, *dispersions, drawn_row("beta", beta, note, **bin_.where), *tails]

    def _kurtosis_rows(
        self,
        ellipsoid: Ellipsoid,
        bin_: Bin,
        fit: KurtosisFit,
        resampled: FloatArray | None,
        rng: np.random.Generator,
    ) -> list[Estimate]:
        """Rows of the kurtosis of each component: of resampled stars (n_draws, 3) where there are any."""
        error = fit.error if self.errors in ("sandwich", "bootstrap") else fit.gaussian_error
        if self.errors == "poisson":
            error = np.sqrt(24.0 / len(bin_)) / fit.value
        draws = resampled
        if draws is None:
            z = rng.standard_normal((self.n_draws, 3))
            with np.errstate(over="ignore"):  # an error so large has a note in place of draws
                draws = fit.value * np.exp(np.where(np.isfinite(error), error, 0.0) * z)
        rows = []
        for k, axis in enumerate(AXES):
            note = ellipsoid.note((k,)) or fit.note(k, error)
            if not note and not np.all(np.isfinite(draws[:, k])):
                note = f"the kurtosis_{axis} of a resampled catalogue is not finite"
            rows.append(drawn_row(f"kurtosis_{axis}", draws[:, k], note, **bin_.where))
        return rows

    def _draws(
        self, ellipsoid: Ellipsoid, v: FloatArray, S: FloatArray, rng: np.random.Generator
    ) -> tuple[FloatArray, FloatArray, FloatArray | None]:
        """Draws (n_draws, 3) of means and dispersions, and of the kurtosis of resampled stars."""
        if self.errors in ("sandwich", "fisher"):
            return *ellipsoid.draws(self.n_draws, rng), None
        if self.errors == "poisson":
            root = np.sqrt(len(v))
            unit = rng.standard_normal((2, self.n_draws, 3))
            mean = ellipsoid.mean + ellipsoid.sigma / root * unit[0]
            return mean, ellipsoid.sigma * np.exp(unit[1] / (np.sqrt(2.0) * root)), None

        def statistic(rows: IntArray) -> FloatArray:
            again = fit_ellipsoid(v[rows], S[rows])
            return np.stack([again.mean, again.sigma, _kurtosis(v[rows], S[rows], again).value])

        drawn = bootstrap(statistic, len(v), self.n_draws, rng)
        return drawn[:, 0], drawn[:, 1], drawn[:, 2]


def _kurtosis(v: FloatArray, S: FloatArray, ellipsoid: Ellipsoid) -> KurtosisFit:
    noise = np.diagonal(S, axis1=1, axis2=2)
    return fit_kurtosis(v, noise, ellipsoid.mean, ellipsoid.variance)
