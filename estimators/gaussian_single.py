"""One Gaussian in (v_r, v_theta, v_phi, [Fe/H]), freed from the errors of each star (Li 2026)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

import numpy as np

from haloassay.base.arrays import FloatArray, IntArray
from haloassay.base.errors import EstimationError
from haloassay.base.settings import require
from haloassay.contracts.estimate import Estimate, Estimates, Estimator, percentiles
from haloassay.estimators.bins import (
    Bin,
    Edges,
    check_edges,
    check_least,
    check_number,
    radial_bins,
)
from haloassay.estimators.fit.ellipsoid import AXES, anisotropy
from haloassay.estimators.fit.laplace import UniformPrior, laplace
from haloassay.estimators.fit.likelihoods import gaussian_derivatives, gaussian_log_likelihoods
from haloassay.estimators.fit.posterior import EmceeRun, Exploration, explore
from haloassay.estimators.gathering import error_variances, gathered
from haloassay.estimators.rows import drawn_row, in_order, undetermined_rows

if TYPE_CHECKING:
    from haloassay.contracts.catalogue import Catalogue

#: Names of the eight parameters of a component, in their order.
PARAMETERS: Final = (
    *(f"mean_v_{axis}" for axis in AXES),
    "feh_mean",
    *(f"sigma_{axis}" for axis in AXES),
    "feh_sigma",
)

#: Those of velocities alone.
_KINEMATIC: Final = tuple(name for name in PARAMETERS if not name.startswith("feh"))

#: Quantities of a component, in the order of their rows.
COMPONENT_YIELDS: Final = (
    *(f"mean_v_{axis}" for axis in AXES),
    *(f"sigma_{axis}" for axis in AXES),
    "beta",
    "feh_mean",
    "feh_sigma",
)

#: Bins of Li et al. (2026), Table 1 [kpc].
LI2026_BINS: Final = (
    *(3.0, 9.0, 11.5, 13.7, 15.9, 18.2, 20.8),
    *(24.2, 28.7, 35.8, 47.5, 60.0, 80.0, 160.0),
)

#: Run of emcee as published (Li 2026, section 3.1).
LI2026_RUN: Final = EmceeRun(100, 1000, 400)

#: Share of the way from an edge of the prior to the median that counts as beside the edge.
_BESIDE: Final = 0.2

#: What becomes of a parameter whose posterior the prior cuts off.
AtEdge = Literal["undetermined", "keep"]


@dataclass(frozen=True)
class GaussianPrior:
    """Uniform prior of the parameters of a component; the defaults are those of Li et al. (2026).

    Parameters
    ----------
    mean
        Range of the mean velocities [km/s].
    sigma
        Range of the velocity dispersions [km/s].
    feh_mean
        Range of the mean metallicity [dex].
    feh_sigma
        Range of the metallicity dispersion [dex].
    """

    mean: tuple[float, float] = (-100.0, 100.0)
    sigma: tuple[float, float] = (10.0, 200.0)
    feh_mean: tuple[float, float] = (-3.0, -0.85)
    feh_sigma: tuple[float, float] = (0.05, 0.6)

    def __post_init__(self) -> None:
        for name in ("mean", "sigma", "feh_mean", "feh_sigma"):
            lo, hi = getattr(self, name)
            require(lo < hi, f"{name}: edges ascend (got {[lo, hi]})")
        for name in ("sigma", "feh_sigma"):
            require(getattr(self, name)[0] > 0.0, f"{name}: dispersions are positive")

    @property
    def bounds(self) -> tuple[FloatArray, FloatArray]:
        """Lower and upper edges, (8,) each, of the parameters of a component."""
        lo, hi = np.array([*3 * [self.mean], self.feh_mean, *3 * [self.sigma], self.feh_sigma]).T
        return lo, hi


_PRIOR: Final = GaussianPrior()


@dataclass(frozen=True)
class GaussianModel(Estimator):
    """Settings of one and of two components, which their docstrings describe, bin by bin."""

    reference: ClassVar[str] = "2025arXiv250402924M"
    needs: ClassVar[tuple[str, ...]] = ("velocity", "feh")

    #: Number of parameters.
    n_parameters: ClassVar[int]

    bins: Edges = "none"
    min_stars: int = 10
    emcee: EmceeRun = LI2026_RUN
    n_draws: int = 1000
    prior: GaussianPrior = _PRIOR
    at_prior_edge: AtEdge = "undetermined"

    def __post_init__(self) -> None:
        check_edges(self.bins)
        n = self.number_of_parameters
        require(self.min_stars > n, f"min_stars: more than {n} parameters (got {self.min_stars})")
        check_least("n_draws", self.n_draws, 2)
        walkers = self.emcee.walkers
        require(
            walkers >= 2 * n,
            f"emcee: walkers: at least {2 * n}, twice the parameters (got {walkers})",
        )

    @property
    def number_of_parameters(self) -> int:
        """Number of parameters, with these settings."""
        return self.n_parameters

    def estimate(self, catalogue: Catalogue, rng: np.random.Generator) -> Estimates:
        """Rows of every quantity of every bin; a row says why it has no value."""
        with_feh = "feh" in self.needs or "feh" in catalogue
        catalogue.check_finite()
        bins = radial_bins(catalogue.r, self.bins)
        samples = Sample.of_rows(catalogue, [bin_.rows for bin_ in bins], with_feh)
        known = [name for name in self.yields if with_feh or not name.startswith("feh")]
        rows: list[Estimate] = []
        for bin_, sample in zip(bins, samples, strict=True):
            try:
                check_number(len(bin_), self.min_stars)
                rows += self.bin_rows(sample, bin_, rng)
            except EstimationError as error:
                rows += undetermined_rows(known, str(error), [bin_.where])
        return in_order(rows, self.yields)

    def bin_rows(self, sample: Sample, bin_: Bin, rng: np.random.Generator) -> list[Estimate]:
        """Rows of every quantity of a bin, of the stars of which the sample is."""
        return self.rows(self.draws(sample, rng), bin_)

    @abstractmethod
    def draws(self, sample: Sample, rng: np.random.Generator) -> FloatArray:
        """(n_draws, n_parameters) draws of the parameters from the posterior of a sample."""

    @abstractmethod
    def rows(self, draws: FloatArray, bin_: Bin) -> list[Estimate]:
        """Rows of every quantity of a bin from the draws of its parameters."""


@dataclass(frozen=True)
class GaussianSingle(GaussianModel):
    """Means and dispersions of velocities and metallicity, from one Gaussian in radial bins.

    The likelihood of a star is the product of four one-dimensional Gaussians in v_r, v_theta, v_phi
    and [Fe/H], of variance sigma^2 + delta^2, delta the star's own error (Li et al. 2026, eq. 1, 2:
    the single-component model, 8 parameters, uniform priors). The correlations of velocities and of
    their errors are left out; :class:`~haloassay.estimators.velocity_ellipsoid.VelocityEllipsoid`
    has them. With uniform priors the posterior is a product of four, of a mean and a dispersion
    each, and is drawn as such. Without a column feh that of [Fe/H] is left out, with its rows.

    Biased where the halo is not one Gaussian in errors only: intervals of dispersions are too short
    for velocities of large kurtosis, as those of radial orbits are, while the dispersions
    themselves stay right; errors that are under- or overstated go straight into the dispersions. Uniform
    priors of dispersions favour large ones in bins of few stars: 0.75 / N of sigma.

    Parameters
    ----------
    bins
        Edges [kpc], or ``"none"`` for the whole sample.
    min_stars
        Bins with fewer stars have no value.
    sampler
        ``"auto"``: four posteriors of two parameters, by importance sampling, or by quadrature where
        that is not to be trusted. ``"quadrature"``: that alone. ``"emcee"``: as published, all
        eight parameters at once.
    emcee
        Length of emcee's run; published: 100 walkers, 1000 steps, 400 burnt.
    n_draws
        Draws from each posterior.
    prior
        Ranges of the parameters.
    at_prior_edge
        A parameter whose posterior the prior cuts off, as where errors hide a dispersion, is
        ``"undetermined"`` (:func:`edge_note`); published, ``"keep"``.
    """

    name: ClassVar[str] = "gaussian-single"
    version: ClassVar[int] = 2
    needs: ClassVar[tuple[str, ...]] = ("velocity",)
    uses: ClassVar[tuple[str, ...]] = ("feh",)
    assumes: ClassVar[tuple[str, ...]] = ("Gaussian velocities", "known Gaussian errors")
    yields: ClassVar[tuple[str, ...]] = COMPONENT_YIELDS
    published: ClassVar[dict[str, Any]] = {"sampler": "emcee", "at_prior_edge": "keep"}
    n_parameters: ClassVar[int] = 8

    sampler: Literal["auto", "quadrature", "emcee"] = "auto"

    def rows(self, draws: FloatArray, bin_: Bin) -> list[Estimate]:
        """Rows of every quantity of a bin from the draws (n, 8) or (n, 6) of its parameters."""
        return component_rows(draws, self.prior, self.at_prior_edge, bin_)

    def draws(self, sample: Sample, rng: np.random.Generator) -> FloatArray:
        """(n_draws, 8) draws of the parameters; (n_draws, 6) without [Fe/H]."""
        k = len(sample.x)
        lo, hi = (bound[[*range(k), *range(4, 4 + k)]] for bound in self.prior.bounds)
        start, scale = sample.start(lo, hi)
        if self.sampler == "emcee":
            likelihood = sample.log_likelihood
            return explore(
                likelihood, start, scale, self.n_draws, rng,
                sampler="emcee", emcee=self.emcee, bounds=(lo, hi),
            ).draws  # fmt: skip
        draws = np.empty((self.n_draws, 2 * k))
        for j in range(k):
            two = [j, k + j]
            one = _Quantity(sample.x[j], sample.e2[j])
            draws[:, two] = self._two(one, start[two], scale[two], (lo[two], hi[two]), rng)
        return draws

    def _two(
        self,
        one: _Quantity,
        start: FloatArray,
        scale: FloatArray,
        bounds: tuple[FloatArray, FloatArray],
        rng: np.random.Generator,
    ) -> FloatArray:
        """(n_draws, 2) draws of the mean and the dispersion of one quantity."""
        sampler: Exploration = "quadrature"
        if self.sampler == "auto":
            sampler = ("importance", "quadrature")
        return explore(
            one, start, scale, self.n_draws, rng,
            sampler=sampler, bounds=bounds, derivatives=one.derivatives,
        ).draws  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Quantity:
    """Log likelihood (m,) of means and dispersions (m, 2) of values (n,) with error variances."""

    x: FloatArray
    e2: FloatArray

    def __call__(self, points: FloatArray) -> FloatArray:
        return gaussian_log_likelihoods(self.x, self.e2, np.ascontiguousarray(points))

    def derivatives(self, point: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        """Value, gradient and Hessian at one point."""
        return gaussian_derivatives(self.x, self.e2, np.ascontiguousarray(point))


@dataclass(frozen=True, eq=False)
class Sample:
    """What the Gaussians are fitted to.

    Parameters
    ----------
    x
        (4, n) v_r, v_theta, v_phi [km/s] and [Fe/H] [dex]; (3, n) velocities alone.
    e2
        Variances of their errors.
    """

    x: FloatArray
    e2: FloatArray

    def __post_init__(self) -> None:
        for name in ("x", "e2"):  # the only layout that kernels are compiled for
            object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name)))

    @classmethod
    def of(cls, catalogue: Catalogue, with_feh: bool = True) -> Sample:
        """Sample of all stars of a catalogue, with or without their [Fe/H].

        Raises
        ------
        InputError
            If the catalogue has no column feh where it is wanted, or an entry that is not finite.
        """
        catalogue.check_finite()
        return cls.of_rows(catalogue, [np.arange(len(catalogue))], with_feh)[0]

    @classmethod
    def of_rows(
        cls, catalogue: Catalogue, rows: Sequence[IntArray], with_feh: bool = True
    ) -> list[Sample]:
        """Sample of each of some sets of rows, ascending, of a catalogue; errors as of :meth:`of`."""
        if with_feh:
            feh, feh_err = catalogue["feh"], catalogue.error("feh")
            good = np.isfinite(feh) & np.isfinite(feh_err) & (feh_err >= 0.0)
            catalogue.check_rows(good, "a feh or feh_err that is not finite, or a negative error")

        def known(part: Catalogue) -> FloatArray:
            x, e2 = part.spherical_velocity, error_variances(part)
            if with_feh:
                x = np.column_stack([x, part["feh"]])
                e2 = np.column_stack([e2, part.error("feh") ** 2])
            return np.stack([x, e2], axis=1)

        found = gathered(catalogue, rows, known, stars_last=True)
        return [cls(x, e2) for ((x, e2),) in found]

    def __len__(self) -> int:
        return self.x.shape[1]

    def select(self, rows: IntArray) -> Sample:
        """Sample of some of the stars."""
        return Sample(self.x[:, rows], self.e2[:, rows])

    def log_likelihood(self, points: FloatArray) -> FloatArray:
        """Log likelihood (m,) of one component with parameters (m, 8), or (m, 6) without [Fe/H]."""
        k = len(self.x)
        quantities = (_Quantity(self.x[j], self.e2[j]) for j in range(k))
        return np.sum([one(points[:, [j, k + j]]) for j, one in enumerate(quantities)], axis=0)

    def best_log_likelihood(self, prior: GaussianPrior) -> float:
        """Log likelihood of one component where the posterior is greatest."""
        lo, hi = prior.bounds
        start, scale = self.start(lo, hi)
        for j in range(4):
            two, one = [j, 4 + j], _Quantity(self.x[j], self.e2[j])
            box = UniformPrior(lo[two], hi[two])
            try:
                best = laplace(*box.target(one, start[two], scale[two], one.derivatives))
            except EstimationError:  # the moments must do
                continue
            start[two] = box.bound(best.mode)
        return float(self.log_likelihood(start[None])[0])

    def start(self, lo: FloatArray, hi: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Parameters (8,) of one component from moments, inside the prior, and their rough widths."""
        mean = np.median(self.x, axis=1)
        variance = np.var(self.x, axis=1)
        sigma = np.sqrt(np.maximum(variance - np.median(self.e2, axis=1), 0.1 * variance))
        margin = 0.01 * (hi - lo)
        start = np.clip(np.concatenate([mean, sigma]), lo + margin, hi - margin)
        width = np.sqrt(variance / len(self))
        scale = np.concatenate([width, width / np.sqrt(2.0)])
        return start, np.clip(scale, 1e-6 * (hi - lo), 0.1 * (hi - lo))


def component_rows(
    draws: FloatArray, prior: GaussianPrior, at_edge: AtEdge, bin_: Bin, suffix: str = ""
) -> list[Estimate]:
    """Rows of a component from the draws (n, 8) of its parameters; names end with ``suffix``.

    Draws (n, 6) are those of velocities alone.
    """
    drawn = PARAMETERS if draws.shape[1] == len(PARAMETERS) else _KINEMATIC
    of = dict(zip(drawn, draws.T, strict=True))
    notes = dict.fromkeys(drawn, "")
    if at_edge == "undetermined":
        for name, lo, hi in zip(PARAMETERS, *prior.bounds, strict=True):
            if name in of:
                notes[name] = edge_note(name, of[name], lo, hi)
    rows = []
    for quantity in COMPONENT_YIELDS:
        if quantity == "beta":
            note = next((notes[f"sigma_{axis}"] for axis in AXES if notes[f"sigma_{axis}"]), "")
            values = anisotropy(np.stack([of[f"sigma_{axis}"] for axis in AXES], axis=1))
        elif quantity in of:
            note, values = notes[quantity], of[quantity]
        else:
            continue
        rows.append(drawn_row(quantity + suffix, values, note, **bin_.where))
    return rows


def edge_note(name: str, draws: FloatArray, lo: float, hi: float) -> str:
    """Why a parameter is not determined: the edge of its prior cuts the posterior off; or nothing.

    It does where the density of the draws beside the edge, over a fifth of the way from the median,
    is more than exp(-2) of that in the middle: a Gaussian's, at 2 sigma.
    """
    below, median, above = percentiles(draws, [16.0, 50.0, 84.0])
    middle = 0.68 / max(above - below, 1e-300)
    for edge in (lo, hi):
        window = _BESIDE * abs(median - edge)
        if np.sum(np.abs(draws - edge) < window) > np.exp(-2.0) * middle * window * len(draws):
            return f"the data do not resolve {name}: the prior cuts its posterior off at {edge:g}"
    return ""
