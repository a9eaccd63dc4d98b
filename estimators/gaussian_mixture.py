"""Metal-rich and metal-poor halo: two or three Gaussians in (v_r, v_theta, v_phi, [Fe/H]) (Li 2026)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar, Final, Literal

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.cache import LATER
from haloassay.base.errors import EstimationError
from haloassay.base.settings import require
from haloassay.contracts.estimate import Estimate
from haloassay.contracts.quantities import POPULATIONS
from haloassay.estimators.bins import Bin
from haloassay.estimators.fit.components import (
    ComponentsPosterior,
    by_metallicity,
    climbed,
    components_log_likelihood,
    seeded_start,
    shares_of,
)
from haloassay.estimators.fit.laplace import UniformPrior, laplace
from haloassay.estimators.fit.mixture import (
    mixture_derivatives,
    mixture_log_likelihood,
    mixture_memberships,
    mixture_step,
)
from haloassay.estimators.fit.posterior import Posterior, explore
from haloassay.estimators.gaussian_single import (
    COMPONENT_YIELDS,
    GaussianModel,
    GaussianPrior,
    Sample,
    component_rows,
)
from haloassay.estimators.rows import undetermined_rows

COMPONENTS: Final = ("mr", "mp")

#: Three components in the order of falling mean [Fe/H], their parameters, and how many a third one adds.
_THREE: Final = ("mr", "mi", "mp")
_OF_THREE: Final = 26
_MORE_OF_THREE: Final = 9

#: Starts of three components, and steps of expectation maximisation from the best of them.
_SEEDS: Final = 16
_LONG: Final = 300

#: Where the two mean metallicities and the fraction stand among the 17 parameters.
_FEH_MR, _FEH_MP, _FRACTION = 3, 11, 16

#: Stars and steps of expectation maximisation that choose among starts, and steps from the best.
_SCOUTS, _STEPS, _MORE = 4000, 60, 100

#: Stars that a component must have, more than its parameters.
_FEWEST: Final = 9


def _yields(components: tuple[str, ...]) -> tuple[str, ...]:
    """Quantities of components."""
    return tuple(f"{quantity}.{which}" for which in components for quantity in COMPONENT_YIELDS)


@dataclass(frozen=True)
class GaussianMixture(GaussianModel):
    """Fractions, means, dispersions and anisotropies of the metal-rich and the metal-poor halo.

    The likelihood of a star is p_mr N_mr + (1 - p_mr) N_mp, each N a product of four Gaussians in
    v_r, v_theta, v_phi and [Fe/H] of variance sigma^2 + delta^2, delta the star's own error (Li et
    al. 2026, eq. 1-3, after Medina et al. 2025; 17 parameters, uniform priors). The metal-rich component is that of the
    higher mean [Fe/H], in every draw; where the data do not tell the two metallicities apart, what
    is called metal-rich changes from draw to draw, and its quantities have two values.
    :func:`memberships` says which star belongs where (eq. 4).

    Of its own model's stars (Table 2, whole sample, errors of 25 km/s and 0.1 dex;
    ``benchmarks/li2026.py``, 200 samples): with 3000 stars bias within 3 Monte Carlo errors, 68 per
    cent intervals cover 0.62 to 0.73. With 300 stars medians of the smaller dispersions and of p_mr are
    high by a quarter to a third of their error (beta.mr low by 0.006, p_mr high by 0.013), as the uniform
    priors have it: over truths drawn from the prior intervals cover what they say. Biased by what is
    not Gaussian: a third population, streams, selection in [Fe/H], which cuts a Gaussian off, and
    stars that distance errors carry from one bin into another (Appendix A).

    Parameters
    ----------
    bins
        Edges [kpc], or ``"none"`` for the whole sample.
    min_stars
        Bins with fewer stars have no value; more than 17.
    sampler
        ``"auto"``: importance sampling about the maximum, and a chain of emcee of sufficient length
        where that is not to be trusted. ``"importance"``: that alone. ``"emcee"``: as published.
    emcee
        Length of emcee's run; published: 100 walkers, 1000 steps, 400 burnt. That is 3 autocorrelation
        times, and some 300 effective draws.
    n_draws
        Draws from each posterior.
    prior
        Ranges of the parameters of each component.
    at_prior_edge
        A parameter whose posterior the prior cuts off, as where errors hide a dispersion, is
        ``"undetermined"``; published, ``"keep"``.
    min_gain
        How much a second population must raise ln L for there to be one; else nothing is determined.
        In samples of one population of 60 to 3000 stars the rise is 5 to 8, in one of a hundred 16. The
        paper has no such rule: 0. Of three components: how much the third must raise it; in samples of two
        populations of 500 to 3000 stars the rise is 5 to 11.
    components
        2, or 3: "mr", "mi" and "mp" in the order of falling mean [Fe/H], whose 26 parameters have the same
        priors and shares that are uniform on their simplex. Then there are rows of "mi" and ``p_mi`` too,
        and ``bic_gain``, by which the Bayesian information criterion of three is smaller than that of
        two: above 0 it prefers three, above 10 strongly. It has a value where the third is refused, too.
    """

    name: ClassVar[str] = "gaussian-mixture"
    assumes: ClassVar[tuple[str, ...]] = (
        "two Gaussian populations",
        "known Gaussian errors",
    )
    yields: ClassVar[tuple[str, ...]] = (*_yields(COMPONENTS), "p_mr")

    published: ClassVar[dict[str, Any]] = {
        "sampler": "emcee",
        "at_prior_edge": "keep",
        "min_gain": 0.0,
    }
    n_parameters: ClassVar[int] = 17

    min_stars: int = 50
    sampler: Literal["auto", "importance", "emcee"] = "auto"
    min_gain: float = 16.0
    components: Literal[2, 3] = field(default=2, metadata=LATER)

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.min_gain >= 0.0, f"min_gain: not negative (got {self.min_gain})")
        if self.components == 3:
            own = (*_yields(_THREE), "p_mr", "p_mi", "bic_gain")
            object.__setattr__(self, "yields", own)

    @property
    def number_of_parameters(self) -> int:
        """17 or 26."""
        return self.n_parameters if self.components == 2 else _OF_THREE

    def bin_rows(self, sample: Sample, bin_: Bin, rng: np.random.Generator) -> list[Estimate]:
        """Rows of every quantity of a bin."""
        if self.components == 2:
            return self.rows(self.draws(sample, rng), bin_)
        found = ThreeComponents.of(sample, self.prior, rng)
        criterion = 2.0 * found.gain - _MORE_OF_THREE * np.log(len(sample))
        row = Estimate("bic_gain", float(criterion), **bin_.where)  # type: ignore[arg-type]
        note = f"two populations describe the stars as well: a third raises ln L by {found.gain:.1f} only"
        if found.gain >= self.min_gain:
            try:
                return [*self.rows(self._draws_of_three(sample, found, rng), bin_), row]
            except EstimationError as error:
                note = str(error)
        return [*undetermined_rows(self.yields[:-1], note, [bin_.where]), row]

    def _draws_of_three(
        self, sample: Sample, found: ThreeComponents, rng: np.random.Generator
    ) -> FloatArray:
        """(n_draws, 26) draws of the parameters of three components."""
        target = ComponentsPosterior(sample.x, sample.e2, found.best, 3)
        run = None if self.sampler == "auto" else self.emcee
        draws = explore(
            target, found.best, target.widths, self.n_draws, rng,
            sampler=self.sampler, emcee=run, bounds=found.bounds, derivatives=target.derivatives,
        ).draws  # fmt: skip
        return by_metallicity(draws, 3)

    def draws(self, sample: Sample, rng: np.random.Generator) -> FloatArray:
        """(n_draws, 17) draws of the parameters."""
        return self.posterior(sample, rng).draws

    def posterior(self, sample: Sample, rng: np.random.Generator) -> Posterior:
        """Draws (n_draws, 17) from the posterior of a sample."""
        bounds = mixture_bounds(self.prior)
        start = mixture_start(sample, bounds, rng)
        target = MixtureLikelihood(sample, start)
        gain = float(target(start[None])[0]) - sample.best_log_likelihood(self.prior)
        if gain < self.min_gain:
            raise EstimationError(
                f"one population describes the stars as well: a second raises ln L by {gain:.1f} only"
            )
        run = None if self.sampler == "auto" else self.emcee
        found = explore(
            target, start, target.widths(start), self.n_draws, rng,
            sampler=self.sampler, emcee=run, bounds=bounds, derivatives=target.derivatives,
        )  # fmt: skip
        return replace(found, draws=ordered(found.draws))

    def rows(self, draws: FloatArray, bin_: Bin) -> list[Estimate]:
        """Rows of every quantity of a bin from the draws (n, 17) or (n, 26) of its parameters."""
        components = COMPONENTS if self.components == 2 else _THREE
        shares = shares_of(draws, len(components))
        rows = []
        for k, which in enumerate(components):
            share = shares[:, k]
            least = len(bin_) * float(np.percentile(share, 2.5))
            if least < _FEWEST:
                note = (
                    f"the {POPULATIONS[which]} component vanishes: it has {least:.1f} stars or more"
                )
                names = tuple(f"{quantity}.{which}" for quantity in COMPONENT_YIELDS)
                rows += undetermined_rows(names, note, [bin_.where])
                continue
            part = draws[:, 8 * k : 8 * k + 8]
            rows += component_rows(part, self.prior, self.at_prior_edge, bin_, f".{which}")
        told = (
            Estimate.from_draws(f"p_{which}", shares[:, k], **bin_.where)
            for k, which in enumerate(components[:-1])
        )
        return [*rows, *told]


@dataclass(frozen=True, eq=False)
class ThreeComponents:
    """Three components at the maximum of their likelihood.

    Parameters
    ----------
    best
        (26,) parameters, see :mod:`haloassay.estimators.fit.components`.
    bounds
        Lower and upper edges, (26,) each, of the parameters.
    gain
        By how much the third component raises ln L.
    """

    best: FloatArray
    bounds: tuple[FloatArray, FloatArray]
    gain: float

    @classmethod
    def of(cls, sample: Sample, prior: GaussianPrior, rng: np.random.Generator) -> ThreeComponents:
        """Look for them from many starts, and compare with the best two.

        Raises
        ------
        EstimationError
            If all stars are alike in a component of the velocity or in metallicity.
        """
        two = mixture_bounds(prior)
        start = mixture_start(sample, two, rng)
        alone = MixtureLikelihood(sample, start)
        lo, hi = prior.bounds
        bounds = np.array([*lo, *lo, *lo, 0, 0]), np.array([*hi, *hi, *hi, 1, 1])
        few = sample
        if len(sample) > _SCOUTS // 2:
            few = sample.select(np.sort(rng.choice(len(sample), _SCOUTS // 2, replace=False)))
        z = few.x / few.x.std(axis=1)[:, None]
        found = []
        for k in range(_SEEDS):
            near = z[3:] if k == 0 else z  # one start by metallicity alone
            start_of = seeded_start(few.x, near, 3, rng)
            found.append(climbed(few.x, few.e2, start_of, 3, bounds, _STEPS))
        values = components_log_likelihood(few.x, few.e2, np.array(found), 3)
        best = climbed(sample.x, sample.e2, found[int(np.argmax(values))], 3, bounds, _LONG)
        three = ComponentsPosterior(sample.x, sample.e2, best, 3)
        best = _polished(three, best, three.widths, bounds)
        pair = _polished(alone, start, alone.widths(start), two)
        gain = components_log_likelihood(sample.x, sample.e2, best[None], 3)[0]
        gain -= mixture_log_likelihood(sample.x, sample.e2, pair[None])[0]
        return cls(best, bounds, float(gain))


def _polished(
    target: ComponentsPosterior | MixtureLikelihood,
    point: FloatArray,
    scale: FloatArray,
    bounds: tuple[FloatArray, FloatArray],
) -> FloatArray:
    """Climb to the maximum near a point; the point itself where there is none inside the prior."""
    box = UniformPrior(*bounds)
    try:
        best = box.bound(laplace(*box.target(target, point, scale, target.derivatives)).mode)
    except EstimationError:
        return point
    both = target(np.array([point, best]))
    return best if both[1] > both[0] else point


@dataclass(frozen=True, eq=False)
class MixtureLikelihood:
    """Log likelihood (m,) of parameters (m, 17) in one of two equal halves of their space.

    Exchanging the components changes nothing, so the posterior has two equal halves. Which is kept
    is decided along the line on which the components differ most, in units of their uncertainty;
    in the other half the log likelihood is -inf. Metallicity alone would not do: where the two mean
    metallicities are not told apart, it cuts through the middle of the posterior. Draws are named
    by :func:`ordered` afterwards.

    Parameters
    ----------
    sample
        The stars.
    side
        (17,) parameters that are in the kept half.
    """

    sample: Sample
    side: FloatArray

    @cached_property
    def _normal(self) -> FloatArray:
        """(17,) vector across the plane between the halves."""
        variance = self.widths(self.side) ** 2
        both = variance + np.concatenate([variance[8:16], variance[:8], variance[16:]])
        return np.asarray((self.side - exchanged(self.side)) / both)

    def __call__(self, points: FloatArray) -> FloatArray:
        """Log likelihood (m,) of points (m, 17)."""
        values = np.full(len(points), -np.inf)
        kept = (points - exchanged(points)) @ self._normal > 0.0
        chosen = np.ascontiguousarray(points[kept])
        values[kept] = mixture_log_likelihood(self.sample.x, self.sample.e2, chosen)
        return values

    def derivatives(self, point: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        """Value, gradient and Hessian at one point."""
        return mixture_derivatives(self.sample.x, self.sample.e2, np.ascontiguousarray(point))

    def widths(self, point: FloatArray) -> FloatArray:
        """Rough widths (17,) of the posterior about a point."""
        n = len(self.sample)
        share = np.array([point[_FRACTION], 1.0 - point[_FRACTION]])
        each = [point[8 * k + 4 + np.arange(8) % 4] / np.sqrt(n * share[k]) for k in range(2)]
        return np.concatenate([*each, [np.sqrt(share[0] * share[1] / n)]])


def mixture_bounds(prior: GaussianPrior) -> tuple[FloatArray, FloatArray]:
    """Lower and upper edges, (17,) each, of the parameters."""
    lo, hi = prior.bounds
    return np.array([*lo, *lo, 0.0]), np.array([*hi, *hi, 1.0])


def exchanged(points: FloatArray) -> FloatArray:
    """Parameters (..., 17) with the components exchanged."""
    parts = [points[..., 8:16], points[..., :8], 1.0 - points[..., 16:]]
    return np.concatenate(parts, axis=-1)


def ordered(points: FloatArray) -> FloatArray:
    """Parameters (..., 17) with the component of the higher mean [Fe/H] first."""
    wrong = points[..., _FEH_MR] < points[..., _FEH_MP]
    return np.where(wrong[..., None], exchanged(points), points)


def memberships(x: FloatArray, e2: FloatArray, point: FloatArray) -> FloatArray:
    """Probability P_i (n,) that a star is of the metal-rich component (Li 2026, eq. 4).

    Parameters
    ----------
    x, e2
        (4, n) v_r, v_theta, v_phi [km/s] and [Fe/H] [dex], and the variances of their errors.
    point
        (17,) parameters: four means and four dispersions of the metal-rich component, the same of the
        metal-poor one, p_mr.
    """
    x, e2, point = (np.ascontiguousarray(a, dtype=float) for a in (x, e2, point))
    return mixture_memberships(x, e2, point)


def mixture_start(
    sample: Sample, bounds: tuple[FloatArray, FloatArray], rng: np.random.Generator
) -> FloatArray:
    """Parameters (17,) near the maximum of the likelihood inside the prior.

    Expectation maximisation from four ways to part the stars in two: by metallicity, by tangential
    speed, by both, and by radial speed; the best is kept.

    Raises
    ------
    EstimationError
        If all stars are alike in a component of the velocity or in metallicity.
    """
    few = sample
    if len(sample) > _SCOUTS:
        few = sample.select(np.sort(rng.choice(len(sample), _SCOUTS, replace=False)))
    spread = np.std(few.x, axis=1)
    alike = spread <= 1e-10 * np.abs(few.x).max(axis=1)  # rounding would part them
    if alike.any():
        what = ("v_r", "v_theta", "v_phi", "[Fe/H]")[int(np.argmax(alike))]
        raise EstimationError(f"all stars have the same {what}: they do not part in two")
    z = (few.x - np.median(few.x, axis=1)[:, None]) / spread[:, None]
    across, along = np.hypot(z[1], z[2]), np.abs(z[0])
    found = []
    for score in (z[3], -across, z[3] - across, along):
        rich = score > np.median(score)
        if not rich.any():  # most stars are alike in it
            rich = score == score.max()
        if rich.all():
            continue
        parts = few.x[:, rich], few.x[:, ~rich]
        halves = [np.concatenate([part.mean(axis=1), part.std(axis=1)]) for part in parts]
        found.append(_climbed(few, np.array([*halves[0], *halves[1], 0.5]), bounds, _STEPS))
    if not found:
        raise EstimationError("all stars have the same speed and [Fe/H]: they do not part in two")
    values = mixture_log_likelihood(few.x, few.e2, np.array(found))
    return ordered(_climbed(few, found[int(np.argmax(values))], bounds, _MORE))


def _climbed(
    sample: Sample, point: FloatArray, bounds: tuple[FloatArray, FloatArray], steps: int
) -> FloatArray:
    """Parameters (17,) after steps of expectation maximisation inside the prior."""
    lo, hi = bounds
    margin = 1e-3 * (hi - lo)
    for _ in range(steps):
        point = np.clip(mixture_step(sample.x, sample.e2, point), lo + margin, hi - margin)
    return point
