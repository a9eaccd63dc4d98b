"""The power-law distribution function with errors and incomplete data (Eadie et al. 2017; Slizewski et al. 2022)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.constants import G
from haloassay.base.errors import EstimationError
from haloassay.base.settings import require
from haloassay.contracts.estimate import Estimates, Estimator
from haloassay.contracts.profiles import critical_density, virial_mass
from haloassay.estimators.bins import (
    check_ends,
    check_least,
    check_number,
    check_radii,
    places_at,
)
from haloassay.estimators.fit.df_priors import DFPriors
from haloassay.estimators.fit.few_candidates import too_few
from haloassay.estimators.fit.latent_posterior import ROUGH, LatentPosterior
from haloassay.estimators.fit.latents import DistanceErrors, Observed
from haloassay.estimators.fit.power_law import power_law_mass
from haloassay.estimators.rows import drawn_row, undetermined_rows

if TYPE_CHECKING:
    from haloassay.contracts.catalogue import Catalogue

#: Limits of the prior of ln v_c^2 at the pivot: 5 to 2000 km/s.
_LOG_VC2: Final = (2.0 * np.log(5.0), 2.0 * np.log(2000.0))
#: Of a prior's range, how near a posterior comes to its end; of its width, how wide a posterior is that tells nothing.
_EDGE: Final = 0.05
_WIDE: Final = 0.75
#: A posterior whose median is fewer of its widths from an end of the prior, and that is narrower than this part of the
#: range, is pressed against it: what the stars ask for is beyond. One that is cut off where it is widest has 1.1.
_NEAR: Final = 1.2
_NARROW: Final = 0.05
#: What points are made of; slopes of the potential that are ends of nature: a flat rotation curve, a point mass.
_NAMES: Final = ("v_c", "g", "beta", "alpha")
_FLAT_OR_POINT: Final = (0.02, 1.0)
#: Of the halo as a whole.
_HALO: Final = ("m200", "r200")


@dataclass(frozen=True)
class HierarchicalDF(Estimator):
    """Power-law potential by a distribution function, true distances and velocities of all stars unknown.

    Tracers rho ~ r^alpha of constant anisotropy in Phi = -Phi0 r^-g have f ~ L^(-2 beta) E^n, the model of
    ``power-law-df`` (Evans, Hafner & de Zeeuw 1997). Here what was measured scatters about the truth by its
    Gaussian errors, and the likelihood of a star is the integral of f over all that it can truly be (Eadie,
    Springford & Harris 2017, who sample the truth of every star). A velocity that was not measured has no error
    to bind it: the model alone does. Such is vlos where a catalogue has none, and every entry whose error is beyond
    all velocities, 1e5 km/s or mas/yr, whatever number it holds; a table is read if that is a velocity of a star: 0.

    The integral is a weighted mean over candidates of each star's truth, drawn in to the pole that f has at L = 0.
    Gradient and curvature at the maximum of the posterior are those of all candidates, what is beyond is that of a
    few; of all, where much is missing. Stars with a velocity along the line of sight alone, or proper motions that err
    by more than 2.5 dispersions, are integrated over by quadrature.

    Biased where v_c^2 or the density is not a power law, as ``power-law-df`` is; and, with
    ``density = "counts"``, where stars between the radii were not seen alike at all distances.

    Parameters
    ----------
    r_range
        Observed radii [kpc] between which stars are used; those of the innermost and outermost star where empty. As
        ``"counts"`` are taken for complete between them, there is then no value where such a star is far from all
        others (:func:`~haloassay.estimators.bins.check_ends`).
    alpha
        d ln rho / d ln r of the tracers, or ``"fitted"``.
    beta
        Anisotropy, or ``"fitted"``.
    g
        Slope of the potential, or ``"fitted"``; 0.5 stands for an NFW halo.
    alpha_range, beta_range, g_range
        Bounds where fitted.
    priors
        ``"flat"`` in ln v_c^2 at the geometric mean of the radii, g, beta and alpha; or those of Eadie & Juric
        (2019; globular clusters), Slizewski et al. (2022; dwarf galaxies), Shen et al. (2022; halo stars).
    density
        What distances tell: ``"counts"``, their numbers along each line of sight within ``r_range``;
        ``"conditional"``, nothing, as of a survey of unknown reach: f is that of velocities given distances;
        ``"published"``, f as it is, without the volume of phase space and with no limits of radius.
    distance_errors
        Gaussian in the logarithm of the distance, or ``"linear"`` in itself.
    r_out
        Radii of the masses [kpc]; the geometric mean of all where empty.
    h0
        Hubble's constant [km/s/Mpc] of m200 and r200, those of the power law of all mass; ``"none"`` leaves them.
    n_samples
        Candidates of the truth of a star, a power of two.
    n_draws
        Draws from the posterior.
    min_stars
        Fewer stars give no value.
    """

    name: ClassVar[str] = "hierarchical-df"
    version: ClassVar[int] = 8
    reference: ClassVar[str] = "2022ApJ...924..131S"
    needs: ClassVar[tuple[str, ...]] = ()
    uses: ClassVar[tuple[str, ...]] = ("velocity",)
    assumes: ClassVar[tuple[str, ...]] = (
        "spherical",
        "equilibrium",
        "non-rotating",
        "constant beta",
        "power-law density",
        "power-law potential",
        "Gaussian errors as stated",
    )
    yields: ClassVar[tuple[str, ...]] = ("enclosed_mass", "beta")
    published: ClassVar[Mapping[str, Any]] = {
        "priors": "slizewski2022",
        "density": "published",
        "distance_errors": "linear",
        "beta_range": [-3.0, 0.999],
        "g_range": [0.01, 0.999],
        "alpha_range": [-10.0, -3.0],
    }

    r_range: tuple[float, ...] = ()
    alpha: float | Literal["fitted"] = "fitted"
    beta: float | Literal["fitted"] = "fitted"
    g: float | Literal["fitted"] = "fitted"
    alpha_range: tuple[float, float] = (-8.0, -2.0)
    beta_range: tuple[float, float] = (-2.0, 0.99)
    g_range: tuple[float, float] = _FLAT_OR_POINT
    priors: DFPriors = "flat"
    density: Literal["counts", "conditional", "published"] = "counts"
    distance_errors: DistanceErrors = "log"
    r_out: tuple[float, ...] = ()
    h0: float | Literal["none"] = "none"
    n_samples: int = 256
    n_draws: int = 500
    min_stars: int = 20

    def __post_init__(self) -> None:
        if self.r_range:
            require(len(self.r_range) == 2, f"r_range: two radii (got {list(self.r_range)})")
            lo, hi = self.r_range
            require(0.0 <= lo < hi, f"r_range: radii ascend from 0 kpc or more (got {[lo, hi]})")
        if self.alpha != "fitted":
            require(self.alpha < 0.0, f"alpha: negative, rho ~ r^alpha (got {self.alpha:g})")
        if self.beta != "fitted":
            require(self.beta < 1.0, f"beta: below 1 (got {self.beta:g})")
        if self.g != "fitted":
            require(0.0 < self.g <= 1.0, f"g: above 0, at most 1, a point mass (got {self.g:g})")
        lo, hi = self.alpha_range
        require(lo < hi < 0.0, f"alpha_range: bounds ascend, below 0 (got {[lo, hi]})")
        lo, hi = self.beta_range
        require(lo < hi < 1.0, f"beta_range: bounds ascend and are below 1 (got {[lo, hi]})")
        lo, hi = self.g_range
        require(0.0 < lo < hi <= 1.0, f"g_range: bounds ascend between 0 and 1 (got {[lo, hi]})")
        check_radii("r_out", self.r_out)
        if self.h0 != "none":
            require(self.h0 > 0.0, f"h0: positive (got {self.h0:g})")
        check_least("n_samples", self.n_samples, ROUGH)
        require(
            self.n_samples & (self.n_samples - 1) == 0,
            f"n_samples: a power of two (got {self.n_samples})",
        )
        check_least("n_draws", self.n_draws, 2)
        check_least("min_stars", self.min_stars, 5)
        halo = () if self.h0 == "none" else _HALO
        last = ("beta",) if self.beta == "fitted" else ()
        object.__setattr__(self, "yields", ("enclosed_mass", *halo, *last))

    def estimate(self, catalogue: Catalogue, rng: np.random.Generator) -> Estimates:
        """Rows enclosed_mass at each radius, m200 and r200 where asked for, and beta where fitted.

        Raises
        ------
        InputError
            If a position of the catalogue is not finite.
        """
        finite = np.asarray(np.isfinite(catalogue.position).all(axis=1))
        catalogue.check_rows(finite, "a position that is not finite")
        places = places_at(self.r_out)
        try:
            fit = self._fit(catalogue, rng)
            peak = fit.peak(self.n_samples, rng)
            points = fit.draws(peak, self.n_draws, rng)
        except EstimationError as error:
            rows = undetermined_rows(("enclosed_mass",), str(error), places)
            return Estimates([*rows, *undetermined_rows(self.yields[1:], str(error))])
        size, shape = self._open(fit, points, peak.blur(points))
        rows = []
        for place in places or places_at((fit.pivot,)):
            mass = power_law_mass(place["r"], points[:, 0], points[:, 1], fit.pivot)
            rows.append(drawn_row("enclosed_mass", mass, size, **place))
        if self.h0 != "none":
            r200 = virial_radius_of(points[:, 0], points[:, 1], fit.pivot, self.h0)
            rows.append(drawn_row("m200", virial_mass(r200, self.h0), size))
            rows.append(drawn_row("r200", r200, size))
        if self.beta == "fitted":
            lo, hi = fit.edges
            rows.append(drawn_row("beta", points[:, 2], shape, r=fit.pivot, r_lo=lo, r_hi=hi))
        return Estimates(rows)

    def _open(self, fit: LatentPosterior, points: FloatArray, blur: float) -> tuple[str, str]:
        """Why draws (n, 4) determine no mass, and no anisotropy; nothing where they do."""
        for k in np.flatnonzero(fit.free):
            lo, hi = fit.bounds[k]
            width, middle = float(np.std(points[:, k])), float(np.median(points[:, k]))
            end = lo if middle - lo < hi - middle else hi
            pressed = abs(middle - end) < _NEAR * width and width < _NARROW * (hi - lo)
            if pressed and not (_NAMES[k] == "g" and end in _FLAT_OR_POINT):
                end = float(np.exp(0.5 * end)) if k == 0 else end
                note = f"the model does not fit the stars: {_NAMES[k]} is at the end of its prior, {end:.4g}"
                return note, note
        note = too_few(blur, self.n_samples)
        if note:
            return note, note
        size = shape = ""
        low, high = np.percentile(points[:, 0], [2.5, 97.5])
        edge = _EDGE * (_LOG_VC2[1] - _LOG_VC2[0])
        if low < _LOG_VC2[0] + edge or high > _LOG_VC2[1] - edge:
            size = "the stars do not bound the mass: its posterior reaches the end of its prior"
        lo, hi = self.beta_range
        if self.beta == "fitted" and np.std(points[:, 2]) > _WIDE * (hi - lo) / np.sqrt(12.0):
            shape = "the stars do not determine beta: its posterior is nearly as wide as its prior"
        return size, shape or size

    def _fit(self, catalogue: Catalogue, rng: np.random.Generator) -> LatentPosterior:
        """Stars within range, and what is free."""
        r = catalogue.r
        lo, hi = self.r_range or (0.0, np.inf)
        kept = (r >= lo) & (r < hi) & (r > 0.0)
        check_number(int(kept.sum()), self.min_stars)
        stars = catalogue.select(kept)
        edges = (lo, hi) if self.r_range else (float(stars.r.min()), float(stars.r.max()))
        if self.density == "counts" and not edges[0] < edges[1]:
            raise EstimationError("all stars have the same radius: give r_range")
        if self.density == "counts" and not self.r_range:
            check_ends(stars.r)
        observed = Observed.of(stars, self.distance_errors)
        set_to = (self.g, self.beta, self.alpha)
        bounds = np.array([_LOG_VC2, self.g_range, self.beta_range, self.alpha_range])
        free = np.array([True, *(value == "fitted" for value in set_to)])
        whole = np.array([0.0, 0.5, 0.0, -3.5])
        for k, value in enumerate(set_to, start=1):
            whole[k] = np.clip(whole[k], *bounds[k]) if value == "fitted" else value
        pivot = float(np.exp(np.mean(np.log(stars.r))))
        seed = int(rng.integers(2**32))
        return LatentPosterior(
            observed, self.density, self.priors, bounds, free, whole, pivot, edges, seed
        )


def virial_radius_of(log_vc2: FloatArray, g: FloatArray, pivot: float, h0: float) -> FloatArray:
    """Radius [kpc] within which a power law has 200 times the critical density: v_c^2 = 4 pi / 3 200 rho_c G r^2."""
    dense = 4.0 * np.pi / 3.0 * 200.0 * critical_density(h0) * G
    return np.asarray(np.exp((log_vc2 + g * np.log(pivot) - np.log(dense)) / (2.0 + g)))
