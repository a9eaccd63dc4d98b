"""Escape speed from the power-law tail of speeds (Leonard & Tremaine 1990), and the halo that holds it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.errors import EstimationError
from haloassay.base.settings import require
from haloassay.contracts.estimate import Estimate, Estimates, Estimator
from haloassay.estimators.bins import Bin, Edges, check_edges, check_least, radial_bins
from haloassay.estimators.fit.box import Box
from haloassay.estimators.fit.posterior import explore
from haloassay.estimators.fit.speed_tail import Outliers, Shapes, Tail, falling, shares
from haloassay.estimators.halo.escape_halo import EscapeDraws, EscapeHalo
from haloassay.estimators.rows import VIRIAL, drawn_row, unbounded, undetermined_rows

if TYPE_CHECKING:
    from haloassay.contracts.catalogue import Catalogue

#: Bounds of the prior of k, as three groups have it.
K_PRIORS: Final = {"deason2019": (1.0, 2.5), "piffl2014": (2.3, 3.7), "necib2022": (0.1, 15.0)}

#: Escape speeds, slopes and powers that are tried for a start of one component; of two or with outliers, those
#: and shares of components, the share and the dispersion of outliers, by the number of components.
_TRIED: Final = (120, 5, 5)
_TRIED_OF_MANY: Final = {1: (30, 1, 3, 3, 1), 2: (30, 1, 3, 3, 2, 2, 1)}

#: Student t's that an importance sampler draws from where there are many parameters, and by how much they are wider
#: than what they are fitted to: the posterior is bent, and has a second peak or a long tail where a component and
#: outliers stand for the same stars.
_PARTS: Final = 3
_WIDER: Final = 2.0

#: Draws at which the likelihood of stars that are summed up is compared with that of all, and what it may be off.
_PROBES: Final = 32
_MISFIT: Final = 0.1


@dataclass(frozen=True)
class EscapeSpeed(Estimator):
    """Escape speed of the halo, by the speeds of its fastest stars.

    Speeds above v_min end at the escape speed as a power of the distance from it,

        f(v) ~ (v_esc - v)^k,    v_min < v < v_esc,    v_esc(r) = v_esc (r / r_b)^-slope

    with r_b the median radius of a bin's stars (Leonard & Tremaine 1990). The likelihood is that of the speeds given
    that they are seen above v_min; with errors both are convolved with the Gaussian error of each star's speed. k and
    v_esc are degenerate, and the prior of k decides: flat between 1 and 2.5 (Deason et al. 2019, of radial
    orbits) or between 2.3 and 3.7 (Piffl et al. 2014, of simulations), where no other is given.

    Necib & Lin (2022) take no narrow prior of k, but two ``components`` of one escape speed, each with its power
    and its share of the tail, and ``outliers`` that a Gaussian of wide dispersion describes. Powers are flat within
    the bounds of k, in their order, and shares flat where they sum to one.

    Errors across the velocity raise a speed by half their variance over it, on average, which is taken off.

    With ``halo``, an NFW halo beside known baryons is fitted to the escape speeds, with one power k for all bins, and
    to the circular velocity at the Sun: a star escapes that reaches a number of virial radii.

    Biased where the tail is no power law up to v_esc: low in halos that lack stars near it, high by
    stars that are not bound and, with one component, by a tail of several.

    Parameters
    ----------
    v_min
        Speed from which stars are of the tail [km/s].
    bins
        Edges of radial bins [kpc], each with its own escape speed, or ``"none"``.
    k
        Power: a number, bounds of a flat prior, or the name of published ones (``"necib2022"``: from 0.1 to 15).
    components
        Powers that the tail is a sum of, with one escape speed.
    outliers
        Stars that are not of the tail; ``"none"`` takes all for bound.
    slope
        Of v_esc with radius: a number, or bounds of a flat prior.
    v_esc_range
        Bounds of the escape speed [km/s]; faster stars than the upper are not the halo's and are left out, unless
        ``outliers`` have their place.
    prior
        Of v_esc: ``"log"``, 1 / v_esc, ``"flat"``, or ``"inverse"``, flat in 1 / v_esc.
    errors
        Of the velocities: ``"convolved"`` or ``"ignored"``.
    halo
        The halo that is fitted; ``"none"`` leaves it.
    n_draws
        Draws behind the intervals.
    min_stars
        Fewer stars above v_min give no value.
    """

    name: ClassVar[str] = "escape-speed"
    version: ClassVar[int] = 5
    reference: ClassVar[str] = "1990ApJ...353..486L"
    assumes: ClassVar[tuple[str, ...]] = (
        "equilibrium",
        "power-law tail of speeds",
        "all stars bound",
        "known baryons",
        "NFW halo",
    )
    yields: ClassVar[tuple[str, ...]] = ("v_esc", "m200", "r200", "c200")
    published: ClassVar[Mapping[str, Any]] = {
        "v_min": 300.0,
        "k": "deason2019",
        "slope": [0.0, 0.5],
        "halo": {"limit": 2.0},
    }

    v_min: float = 300.0
    bins: Edges = "none"
    k: float | tuple[float, float] | Literal["deason2019", "piffl2014", "necib2022"] = "deason2019"
    components: Literal[1, 2] = 1
    outliers: Outliers | Literal["none"] = "none"
    slope: float | tuple[float, float] = 0.0
    v_esc_range: tuple[float, float] = (350.0, 1200.0)
    prior: Literal["log", "flat", "inverse"] = "log"
    errors: Literal["convolved", "ignored"] = "convolved"
    halo: EscapeHalo | Literal["none"] = "none"
    n_draws: int = 1000
    min_stars: int = 20

    def __post_init__(self) -> None:
        require(self.v_min >= 0.0, f"v_min: not negative (got {self.v_min:g})")
        check_edges(self.bins)
        lo, hi = self._k_bounds
        require(0.0 <= lo <= hi, f"k: not negative, bounds ascend (got {self.k})")
        several = f"k: bounds of a prior, of which components have theirs (got {self.k})"
        require(self.components == 1 or lo < hi, several)
        lo, hi = self._slope_bounds
        require(lo <= hi, f"slope: bounds ascend (got {self.slope})")
        one_bin = self.bins == "none" or len(self.bins) == 2
        require(
            self.components == 1 or self.halo == "none" or one_bin,
            "halo: bins share the powers of their tails, which is taken into account of one component only",
        )
        lo, hi = self.v_esc_range
        require(self.v_min <= lo < hi, f"v_esc_range: bounds ascend from v_min on (got {[lo, hi]})")
        check_least("n_draws", self.n_draws, 2)
        check_least("min_stars", self.min_stars, 5)

    @property
    def _is_plain(self) -> bool:
        return self.components == 1 and self.outliers == "none"

    @property
    def _k_bounds(self) -> tuple[float, float]:
        if isinstance(self.k, str):
            return K_PRIORS[self.k]
        return self.k if isinstance(self.k, tuple) else (self.k, self.k)

    @property
    def _slope_bounds(self) -> tuple[float, float]:
        return self.slope if isinstance(self.slope, tuple) else (self.slope, self.slope)

    def estimate(self, catalogue: Catalogue, rng: np.random.Generator) -> Estimates:
        """Rows v_esc of each bin and, of a halo, m200, r200 and c200; a note where no value is.

        Raises
        ------
        InputError
            If a position or velocity of the catalogue is not finite.
        """
        catalogue.check_finite()
        speed, error = self._speeds(catalogue)
        fastest = self.v_esc_range[1] if self.outliers == "none" else np.inf
        in_tail = (speed > self.v_min) & (speed < fastest)
        rows, known = [], []
        for bin_ in radial_bins(catalogue.r, self.bins):
            kept = bin_.rows[in_tail[bin_.rows]]
            row, k = self._row(bin_, catalogue.r[kept], speed[kept], error[kept], rng)
            rows.append(row)
            if row.draws is not None:
                known.append(EscapeDraws(row.r, row.draws, k))
        if isinstance(self.halo, EscapeHalo):
            try:
                rows += self.halo.rows(known, self.n_draws, rng)
            except EstimationError as failure:
                rows += undetermined_rows(VIRIAL, str(failure))
        return Estimates(rows)

    def _speeds(self, catalogue: Catalogue) -> tuple[FloatArray, FloatArray]:
        """Speeds (N,) without what errors across the velocity have added, and errors along it [km/s]."""
        v = catalogue.velocity
        speed = np.linalg.norm(v, axis=1)
        if self.errors == "ignored":
            return speed, np.zeros(len(speed))
        safe = np.maximum(speed, self.v_min or 1.0)  # slower stars are not of the tail
        covariance = catalogue.velocity_covariance
        # not below 0, as rounding leaves it where all errors are across the velocity
        along = np.maximum(np.einsum("ni,nij,nj->n", v, covariance, v), 0.0) / safe**2
        across = np.einsum("nii->n", covariance) - along
        return speed - 0.5 * across / safe, np.sqrt(along)

    def _row(
        self,
        bin_: Bin,
        r: FloatArray,
        speed: FloatArray,
        error: FloatArray,
        rng: np.random.Generator,
    ) -> tuple[Estimate, FloatArray | None]:
        """Row of the stars of a bin's tail, at their median radius, and the power of each draw where it is free."""
        if len(r) < self.min_stars:
            note = f"too few stars above {self.v_min:g} km/s: {len(r)}, at least {self.min_stars} are needed"
            return Estimate.undetermined("v_esc", note, **bin_.where), None
        where = {**bin_.where, "r": float(np.median(r))}
        if not self._is_plain and np.mean(np.square(error)) > np.var(speed):
            note = "the errors of the speeds are as large as the tail is long: one component can be fitted"
            return Estimate.undetermined("v_esc", note, **where), None
        log_r = np.log(r / where["r"])
        tail = Tail(log_r, speed, error, np.ones(len(r)), self.v_min, self._k_bounds)
        try:
            points = self._draws(tail, rng)
        except EstimationError as failure:
            return Estimate.undetermined("v_esc", str(failure), **where), None
        note = unbounded("the speeds", "v_esc", points[:, 0], self.v_esc_range)
        row = drawn_row("v_esc", points[:, 0], note, **where)
        lo, hi = self._k_bounds
        return row, points[:, 2] if self.components == 1 and lo < hi else None

    def _draws(self, tail: Tail, rng: np.random.Generator) -> FloatArray:
        """Draws (n_draws, d) of the parameters of the box.

        Raises
        ------
        EstimationError
            If no escape speed within its bounds holds all stars, or the posterior cannot be drawn from.
        """
        short = tail.summed_up(self._slope_bounds)
        points = self._sample(short, rng)
        if short is not tail:
            some = self._shapes(points[:: max(len(points) // _PROBES, 1)])
            off = tail.log_likelihood(some) - short.log_likelihood(some)
            if not np.std(off) < _MISFIT:
                points = self._sample(tail, rng)
        return points

    @property
    def _box(self) -> Box:
        """Escape speed, slope, powers and shares of components, ln of share and dispersion of outliers."""
        bounds = [self.v_esc_range, self._slope_bounds]
        bounds += (
            [self._k_bounds] if self.components == 1 else [(0.0, 1.0)] * (2 * self.components - 1)
        )
        if isinstance(self.outliers, Outliers):
            of_outliers = (self.outliers.share, self.outliers.sigma)
            bounds += [(math.log(lo), math.log(hi)) for lo, hi in of_outliers]
        return Box(np.array(bounds))

    def _shapes(self, points: FloatArray) -> Shapes:
        """Tails of points (m, d) of the box."""
        n, v_esc, slope = self.components, points[:, 0], points[:, 1]
        if n == 1:
            k, share = points[:, 2:3], np.ones((len(points), 1))
        else:
            k = falling(points[:, 2 : 2 + n], *self._k_bounds)
            share = shares(points[:, 2 + n : 1 + 2 * n])
        if self.outliers == "none":
            return Shapes(v_esc, slope, k, share, *np.zeros((2, len(points))))
        return Shapes(v_esc, slope, k, share, *np.exp(points[:, -2:].T))

    def _sample(self, tail: Tail, rng: np.random.Generator) -> FloatArray:
        """Draws (n_draws, d) of the parameters of the box, by the likelihood of ``tail``."""
        box, of_v_esc = self._box, {"flat": 0.0, "log": 1.0, "inverse": 2.0}[self.prior]

        def log_density(points: FloatArray) -> FloatArray:
            at = box.full(points)
            return tail.log_likelihood(self._shapes(at)) - of_v_esc * np.log(at[:, 0])

        plain = self._is_plain
        tried = _TRIED if plain else _TRIED_OF_MANY[self.components][: len(box.bounds)]
        start = box.start(log_density, tried, "no escape speed within its bounds holds all stars")
        scale = np.array([5.0, 0.05, *[0.2] * (len(box.bounds) - 2)])[box.free]
        found = explore(
            log_density, start, scale, self.n_draws, rng,
            sampler=("importance", "quadrature" if plain else "emcee"), bounds=box.edges,
            parts=1 if plain else _PARTS, wider=_WIDER,
        )  # fmt: skip
        return box.full(found.draws)
