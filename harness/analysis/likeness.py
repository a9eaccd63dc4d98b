"""How well a match fits, number by number and together, and whether any halo of the family looks like the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from haloassay.analysis.exploration import Draws
from haloassay.analysis.matching import Likeness
from haloassay.base.arrays import BoolArray, FloatArray

#: Probability of a worse fit below which no halo of the family looks like the data.
NOTHING_ALIKE: Final = 0.01
#: Probability, of all numbers together, below which one of them says so (Holm 1979).
_NAMED: Final = 0.05
#: Share of its variance that a residual has at least: what the settings follow altogether tells nothing.
_LEFT: Final = 0.05


@dataclass(frozen=True)
class Fit:
    """Goodness of fit; arrays are of the numbers that were used, (m,) each, in their coordinates.

    Parameters
    ----------
    mean
        Simulated at the best settings.
    residual
        Data minus that.
    stated, scatter, emulated
        Stated error, scatter of one mock, error of the emulator, at the best settings.
    spread
        What the likelihood has: the larger of the first two, and the third in quadrature.
    pull
        Residual in units of what is left of its deviation once the settings have followed the data: standard normal
        where a halo of the family is behind them.
    lo, hi
        16th and 84th percentile of the simulated mean over the posterior.
    predictive
        Two-sided posterior predictive probability of each number.
    named
        Whether this number says that no halo looks like the data.
    chi2
        Squared distance at the best settings.
    constrained
        How many numbers the settings follow.
    p
        Probability of a larger ``chi2`` of a halo of the family.
    p_predictive
        Posterior predictive probability of a larger squared distance; it forgives more (Gelman, Meng & Stern 1996,
        Statistica Sinica 6, 733).
    emulator_share
        Largest error of an emulator, in units of the other errors, over numbers, the median over the posterior.
    """

    mean: FloatArray
    residual: FloatArray
    stated: FloatArray
    scatter: FloatArray
    emulated: FloatArray
    spread: FloatArray
    pull: FloatArray
    lo: FloatArray
    hi: FloatArray
    predictive: FloatArray
    named: BoolArray
    chi2: float
    constrained: float
    p: float
    p_predictive: float
    emulator_share: float

    @property
    def nothing_alike(self) -> bool:
        """Whether no halo of the family looks like the data."""
        return self.p < NOTHING_ALIKE


def goodness(likeness: Likeness, draws: Draws) -> Fit:
    """Judge a match: its likelihood, and draws from its posterior."""
    from scipy.stats import chi2 as chi_squared
    from scipy.stats import norm

    best = draws.best[None]
    mean, emulated, scatter = (each[0] for each in likeness.predict(best))
    stated = likeness.data.error[likeness.used]
    spread = likeness.spread(emulated, scatter)
    residual = likeness.data.value[likeness.used] - mean
    means, errors, scatters = likeness.predict(draws.u)
    distances = likeness.chi2(draws.u)
    least = float(likeness.chi2(best)[0])
    m = len(mean)
    constrained = float(np.clip(np.mean(distances) - least, 0.0, min(draws.u.shape[1], m - 1)))
    followed = np.minimum(means.var(axis=0), (1.0 - _LEFT) * spread**2)
    pull = residual / np.sqrt(spread**2 - followed)
    wide = likeness.spread(errors, scatters)
    tails = norm.cdf((likeness.data.value[likeness.used] - means) / wide).mean(axis=0)
    others = np.maximum(stated, np.median(scatters, axis=0))
    lo, hi = np.percentile(means, [16.0, 84.0], axis=0)
    p = float(chi_squared.sf(least, m - constrained))
    return Fit(
        *(mean, residual, stated, scatter, emulated, spread, pull, lo, hi),
        predictive=2.0 * np.minimum(tails, 1.0 - tails),
        named=_named(pull) & (p < NOTHING_ALIKE),
        chi2=least,
        constrained=constrained,
        p=p,
        p_predictive=float(chi_squared.sf(distances, m).mean()),
        emulator_share=float((np.median(errors, axis=0) / others).max()),
    )


def _named(pull: FloatArray) -> BoolArray:
    """Tell which pulls no standard normal deviate has among so many; the largest one in any case."""
    from scipy.stats import norm

    p = 2.0 * norm.sf(np.abs(pull))
    order = np.argsort(p)
    passed = p[order] * (len(p) - np.arange(len(p))) < _NAMED
    named = np.zeros(len(p), dtype=bool)
    named[order[: int(np.argmin(passed)) if not passed.all() else len(p)]] = True
    named[order[0]] = True
    return named
