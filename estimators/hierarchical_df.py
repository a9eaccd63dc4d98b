"""The power-law distribution function with errors and incomplete data (Eadie et al. 2017; Slizewski et al. 2022)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

import numpy as np

from haloassay.base.arrays import BoolArray, FloatArray
from haloassay.base.constants import G
from haloassay.base.errors import EstimationError
from haloassay.base.settings import require
from haloassay.contracts.estimate import Estimates, Estimator
from haloassay.contracts.profiles import critical_density, virial_mass
from haloassay.estimators.bins import check_least, check_number, check_radii, places_at
from haloassay.estimators.fit.df_priors import DFPriors, log_prior
from haloassay.estimators.fit.laplace import LogDensity, UniformPrior, laplace
from haloassay.estimators.fit.latents import DistanceErrors, Expansion, Observed
from haloassay.estimators.fit.lines_of_sight import LinesOfSight
from haloassay.estimators.fit.posterior import EmceeRun, explore
from haloassay.estimators.power_law_df import exponent, log_norm, power_law_mass
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
#: Rough widths of ln v_c^2, g, beta, alpha.
_SCALES: Final = np.array([0.1, 0.1, 0.1, 0.1])
#: Times that the likelihood is expanded anew, of a part of the stars and of all.
_CLIMBS: Final = 3
_ROUNDS: Final = 12
#: Stars of that part, and candidates of the truth of each.
_FEW: Final = 500
_ROUGH: Final = 32
#: Stars that stand for all beyond the second order, and draws of all together; the fewest of a star: single ones have
#: heavy tails.
_PART: Final = 4096
_FEWEST: Final = 4
#: In units of (missing / known)^(3/2) / stars^(1/2), by which third orders of the mean of draws are off: draws that are
#: needed. Of all candidates, how large a part they are at most, instead of all. In units of its square: stars, then.
_CARE: Final = 10.0
_MOST: Final = 0.25
_SPARE: Final = 5.0
#: Of what is known, what is missing at least: a number that can be divided by.
_LEAST: Final = 1e-3
#: Of the way to the maximum, in widths, what third orders may shift it by; and the longest way.
_BORNE: Final = 0.03
_FARTHEST: Final = 3.0
#: Widths beyond which a maximum is gone to by half of the way.
_FAR: Final = 10.0
#: Widths from where the likelihood is expanded beyond which no draw is taken: few draws of each star make other maxima.
_DRAWN: Final = 5.0
#: Of a chain, where importance sampling cannot be trusted.
_RUN: Final = EmceeRun(24, 700, 200)


@dataclass(frozen=True)
class HierarchicalDF(Estimator):
    """Power-law potential by a distribution function, true distances and velocities of all stars unknown.

    Tracers rho ~ r^alpha of constant anisotropy in Phi = -Phi0 r^-g have f ~ L^(-2 beta) E^n, the model of
    ``power-law-df`` (Evans, Hafner & de Zeeuw 1997). Here what was measured scatters about the truth by its
    Gaussian errors, and the likelihood of a star is the integral of f over all that it can truly be (Eadie,
    Springford & Harris 2017, who sample the truth of every star). A velocity that was not measured has no error
    to bind it: the model alone does. Such is vlos where a catalogue has none, and every entry, whatever number it
    holds, whose error is beyond all velocities: 1e5 km/s or mas/yr.

    The integral is a weighted mean over candidates of each star's truth, drawn in to the pole that f has at L = 0.
    Gradient and curvature at the maximum of the posterior are those of all candidates, what is beyond is that of a
    few; of all, where much is missing. Stars with a velocity along the line of sight alone, or proper motions that err
    by more than 2.5 dispersions, are integrated over by quadrature.

    Biased where v_c^2 or the density is not a power law, as ``power-law-df`` is; and, with
    ``density = "counts"``, where stars between the radii were not seen alike at all distances.

    Parameters
    ----------
    r_range
        Observed radii [kpc] between which stars are used; those of the innermost and outermost star where empty.
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
    version: ClassVar[int] = 6
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
        check_least("n_samples", self.n_samples, _ROUGH)
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
            points = fit.draws(self.n_samples, self.n_draws, rng)
        except EstimationError as error:
            rows = undetermined_rows(("enclosed_mass",), str(error), places)
            return Estimates([*rows, *undetermined_rows(self.yields[1:], str(error))])
        size, shape = self._open(fit, points)
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

    def _open(self, fit: Fit, points: FloatArray) -> tuple[str, str]:
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
        size = shape = ""
        low, high = np.percentile(points[:, 0], [2.5, 97.5])
        edge = _EDGE * (_LOG_VC2[1] - _LOG_VC2[0])
        if low < _LOG_VC2[0] + edge or high > _LOG_VC2[1] - edge:
            size = "the stars do not bound the mass: its posterior reaches the end of its prior"
        lo, hi = self.beta_range
        if self.beta == "fitted" and np.std(points[:, 2]) > _WIDE * (hi - lo) / np.sqrt(12.0):
            shape = "the stars do not determine beta: its posterior is nearly as wide as its prior"
        return size, shape or size

    def _fit(self, catalogue: Catalogue, rng: np.random.Generator) -> Fit:
        """Stars within range, and what is free."""
        r = catalogue.r
        lo, hi = self.r_range or (0.0, np.inf)
        kept = (r >= lo) & (r < hi) & (r > 0.0)
        check_number(int(kept.sum()), self.min_stars)
        stars = catalogue.select(kept)
        edges = (lo, hi) if self.r_range else (float(stars.r.min()), float(stars.r.max()))
        if self.density == "counts" and not edges[0] < edges[1]:
            raise EstimationError("all stars have the same radius: give r_range")
        observed = Observed.of(stars, self.distance_errors)
        set_to = (self.g, self.beta, self.alpha)
        bounds = np.array([_LOG_VC2, self.g_range, self.beta_range, self.alpha_range])
        free = np.array([True, *(value == "fitted" for value in set_to)])
        whole = np.array([0.0, 0.5, 0.0, -3.5])
        for k, value in enumerate(set_to, start=1):
            whole[k] = np.clip(whole[k], *bounds[k]) if value == "fitted" else value
        pivot = float(np.exp(np.mean(np.log(stars.r))))
        seed = int(rng.integers(2**32))
        return Fit(observed, self.density, self.priors, bounds, free, whole, pivot, edges, seed)


def virial_radius_of(log_vc2: FloatArray, g: FloatArray, pivot: float, h0: float) -> FloatArray:
    """Radius [kpc] within which a power law has 200 times the critical density: v_c^2 = 4 pi / 3 200 rho_c G r^2."""
    dense = 4.0 * np.pi / 3.0 * 200.0 * critical_density(h0) * G
    return np.asarray(np.exp((log_vc2 + g * np.log(pivot) - np.log(dense)) / (2.0 + g)))


@dataclass(frozen=True, eq=False)
class Fit:
    """The posterior of ln v_c^2 at the pivot, g, beta and alpha.

    Parameters
    ----------
    observed
        The stars.
    density
        What distances tell.
    priors
        Published or flat.
    bounds
        (4, 2) edges of the priors.
    free
        (4,) which parameters are fitted.
    whole
        (4,) where the others are, and a start.
    pivot
        Radius of v_c [kpc].
    edges
        Of the observed radii [kpc].
    seed
        Of the draws of what is true.

    Stars of which the velocity along the line of sight alone is known are integrated over by quadrature, of the others
    (``rest``) by draws.
    """

    observed: Observed
    density: str
    priors: DFPriors
    bounds: FloatArray
    free: BoolArray
    whole: FloatArray
    pivot: float
    edges: tuple[float, float]
    seed: int

    @property
    def n(self) -> int:
        """Number of stars."""
        return len(self.observed.distance)

    @functools.cached_property
    def alone(self) -> BoolArray:
        """Which stars (n,) have a velocity along the line of sight alone."""
        return LinesOfSight.among(self.observed)

    @functools.cached_property
    def rest(self) -> Observed:
        """Stars of which more is known."""
        return self.observed.select(np.flatnonzero(~self.alone))

    @functools.cached_property
    def lines(self) -> LinesOfSight | None:
        """The others, if there are any."""
        rows = np.flatnonzero(self.alone)
        if not len(rows):
            return None
        volume = self.density != "published"
        return LinesOfSight.of(self.observed.select(rows), self.pivot, volume)

    def draws(self, n_samples: int, n_draws: int, rng: np.random.Generator) -> FloatArray:
        """Draws (n_draws, 4) from the posterior.

        Raises
        ------
        EstimationError
            If no potential binds the stars, or the posterior cannot be drawn from.
        """
        mixed = self.observed.select(rng.permutation(len(self.observed.distance)))
        fit = replace(self, observed=mixed)  # where the first stars stand for all
        log_density, point = fit.settled(fit.near(), n_samples)
        found = explore(
            log_density, point[self.free], _SCALES[self.free], n_draws, rng,
            sampler=("importance", "emcee"), emcee=_RUN, bounds=self.box,
        )  # fmt: skip
        return self.full(found.draws)

    def near(self) -> FloatArray:
        """Where (4,) the maximum of the posterior of the first stars is, by few candidates."""
        few = replace(self, observed=self.observed.select(np.arange(self.n)[:_FEW]))
        point, shares = few.start(), few.log_shares()
        number = 1 if few.rest.exact else _ROUGH
        for _ in range(_CLIMBS):
            about, point = few.about(point, number, (_FEW, number))
            point, moved = few.top(few.log_density(about, point, shares), point)
            if few.rest.exact or moved < 1.0:
                break
        return point

    def settled(self, point: FloatArray, n_samples: int) -> tuple[LogDensity, FloatArray]:
        """Logarithm of the posterior, expanded near its maximum (4,), and that.

        Raises
        ------
        EstimationError
            If the maximum goes on moving.
        """
        shares, rough = self.log_shares(), len(self.rest.distance) > _FEW
        for _ in range(_ROUNDS):
            about, point, reach = self.around(point, _ROUGH if rough else n_samples)
            here = point
            point, moved = self.top(self.log_density(about, here, shares), here)
            if not rough and moved < reach:
                return self.log_density(about, here, shares, _DRAWN), point
            if moved > _FAR:  # too far for what it was expanded of, there and back again
                point = 0.5 * (here + point)
            rough = False
        raise EstimationError("the maximum of the posterior was not found: it goes on moving")

    def around(self, point: FloatArray, n_samples: int) -> tuple[Expansion, FloatArray, float]:
        """Likelihood expanded at a point by enough draws, the point, and how many widths it reaches."""
        n = len(self.rest.distance)
        part = min(n, _PART)
        if self.rest.exact:
            return *self.about(point, 1, (n, 1)), np.inf
        number = min(max(_PART // n, _FEWEST), n_samples)
        about, point = self.about(point, n_samples, (part, number))
        blur = max(about.share(self.free), _LEAST) ** 1.5 / np.sqrt(n)
        needed = _CARE * blur
        if number < needed <= _MOST * n_samples:
            number = int(np.ceil(needed))
            about, point = self.about(point, n_samples, (part, number))
        elif needed > number:  # all candidates, of as many stars as have to stand for all
            n_samples = max(n_samples // 2, _ROUGH)
            part = int(np.clip(_SPARE * blur**2, part, n))
            about, point = self.about(point, n_samples, (part, n_samples))
            if part == n:  # nothing is left out
                return about, point, np.inf
            blur, number = blur / np.sqrt(part), 1
        return about, point, min(float(np.sqrt(_BORNE * number / blur)), _FARTHEST)

    def top(self, log_density: LogDensity, point: FloatArray) -> tuple[FloatArray, float]:
        """Maximum (4,) uphill of a point, and the way to there in widths of the posterior."""
        prior = UniformPrior.of(self.box)
        target, start, scale, _d = prior.target(log_density, point[self.free], _SCALES[self.free])
        top = laplace(target, start, scale)
        moved = np.linalg.norm(np.linalg.solve(top.axes, top.mode - start))
        return self.full(prior.bound(top.mode)[None])[0], float(moved)

    @property
    def box(self) -> tuple[FloatArray, FloatArray]:
        """Bounds of what is free."""
        return self.bounds[self.free, 0], self.bounds[self.free, 1]

    def full(self, points: FloatArray) -> FloatArray:
        """All parameters (m, 4) of those that are free."""
        out = np.tile(self.whole, (len(points), 1))
        out[:, self.free] = points
        return out

    def start(self) -> FloatArray:
        """Parameters (4,) from mean squares of what was measured well."""
        square = self.observed.mean_square()
        _, g, beta, alpha = self.whole
        log_vc2 = np.log(max(g - alpha - 2.0 * beta, 0.5) * max(square, 1.0))
        lo, hi = _LOG_VC2
        return np.array([np.clip(log_vc2, lo + 0.1, hi - 0.1), g, beta, alpha])

    def log_shares(self) -> Callable[[FloatArray], FloatArray]:
        """Ln of the normalisation by all distances, as a function of alpha (m,)."""
        if self.density == "published":  # r in kpc, not in units of the pivot
            return lambda alpha: -self.n * alpha * np.log(self.pivot)
        if not self.free[3]:
            return np.zeros_like
        lo, hi = self.bounds[3]
        if self.density == "counts":
            return self.observed.log_counts(self.pivot, (lo, hi), self.edges)
        return self.observed.log_shares(self.pivot, (lo, hi))

    def about(
        self, point: FloatArray, n_samples: int, drawn: tuple[int, int]
    ) -> tuple[Expansion, FloatArray]:
        """Likelihood of the stars expanded at a point, deeper where that binds them not, and the point."""
        for _ in range(40):
            found = self.expansion(point, n_samples, drawn)
            if found is not None and np.isfinite(self.of_lines(rows_of(point[None])[0])[0]):
                return found, point
            point = point + np.array([0.3, 0.0, 0.0, 0.0])
            if point[0] >= _LOG_VC2[1]:
                break
        raise EstimationError("no potential between 5 and 2000 km/s binds every star")

    def expansion(
        self, point: FloatArray, n_samples: int, drawn: tuple[int, int]
    ) -> Expansion | None:
        """Likelihood about a point; None where that binds not all stars."""
        log_vc2, g, beta, alpha = point
        spread = [np.log(self.pivot), np.log(2.0 / max(g - alpha - 2.0 * beta, 0.3)) + log_vc2, g]
        row, volume = rows_of(point[None])[0][0], self.density != "published"
        given = self.density == "conditional"
        alone = self.rest.mean_log_r(self.pivot, alpha) if given else 0.0
        return self.rest.expand(row, np.array(spread), n_samples, drawn, volume, self.seed, alone)

    def of_lines(self, rows: FloatArray) -> FloatArray:
        """Ln of the likelihood (m,) of the lines of sight, at rows (m, 5)."""
        return np.zeros(len(rows)) if self.lines is None else self.lines.log_likelihood(rows)

    def log_density(
        self,
        about: Expansion,
        point: FloatArray,
        shares: Callable[[FloatArray], FloatArray],
        within: float = np.inf,
    ) -> LogDensity:
        """Ln of the posterior of what is free, of a likelihood expanded about a point, so many widths around it."""

        def of(x: FloatArray) -> FloatArray:
            at = self.full(x)
            rows, norm, possible = rows_of(at)
            possible &= about.widths(at - point) < within
            values = np.full(len(at), -np.inf)
            if possible.any():
                off = at[possible] - point
                values[possible] = about.log_ratio(rows[possible], off) - self.n * norm[possible]
                values[possible] += self.of_lines(rows[possible])
                values[possible] += log_prior(self.priors, at[possible], self.pivot)
                values[possible] -= shares(at[possible, 3])
            return values

        return of


def rows_of(points: FloatArray) -> tuple[FloatArray, FloatArray, BoolArray]:
    """Rows (m, 5) of the kernels, ln of the integral of f over velocities at psi = 1 / 2, and where there is one."""
    log_vc2, g, beta, alpha = points.T
    n = np.asarray(exponent(-alpha, g, beta))
    possible = (n > -1.0) & (-alpha > 2.0 * beta) & (beta < 1.0)
    norm = np.full(len(points), np.inf)
    norm[possible] = log_norm(n[possible], beta[possible]) + (1.5 - beta[possible]) * np.log(2.0)
    return np.column_stack([log_vc2 - np.log(g), g, beta, alpha, n]), norm, possible
