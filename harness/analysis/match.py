"""What a match found: settings, truth, agreement number by number, and whether any halo of the family looks alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from haloassay.analysis.alignment import Target
from haloassay.analysis.likeness import Fit
from haloassay.base.arrays import BoolArray, FloatArray


@dataclass(frozen=True)
class Span:
    """Median, and central intervals of 68 and 95 per cent, of a posterior.

    Parameters
    ----------
    name
        Path of a setting, or name of a quantity.
    median, lo68, hi68, lo95, hi95
        In the unit of the setting or quantity.
    r, r_lo, r_hi
        Radius and bin [kpc]; NaN where there is none.
    unit
        Unit; empty where there is none, or it is not known.
    note
        What to mind: that it gathers at an edge of its prior.
    best
        At the best settings.
    prior
        What its prior is; empty of a truth.
    """

    name: str
    median: float
    lo68: float
    hi68: float
    lo95: float
    hi95: float
    r: float = np.nan
    r_lo: float = np.nan
    r_hi: float = np.nan
    unit: str = ""
    note: str = ""
    best: float = np.nan
    prior: str = ""

    @staticmethod
    def of(name: str, draws: FloatArray, **told: object) -> Span:
        """Span of draws (n,)."""
        known = draws[np.isfinite(draws)]
        levels = (50.0, 16.0, 84.0, 2.5, 97.5)
        ends = np.percentile(known, levels) if len(known) else np.full(5, np.nan)
        return Span(name, *map(float, ends), **told)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Row:
    """One measured number beside mocks of the best settings; values and errors in its unit.

    Parameters
    ----------
    target
        What it is.
    mean
        Simulated at the best settings, by the emulator.
    lo, hi
        68 per cent of it over the posterior.
    run, run_mcse
        Mean of the mocks that were run at the best settings, and its Monte Carlo error.
    scatter
        Of one mock.
    error_is
        ``stated`` or ``scatter``: which of the two the likelihood has.
    pull, predictive, named
        See :class:`~haloassay.analysis.likeness.Fit`; NaN of a number that is not used.
    note
        Why it is not used.
    """

    target: Target
    mean: float = np.nan
    lo: float = np.nan
    hi: float = np.nan
    run: float = np.nan
    run_mcse: float = np.nan
    scatter: float = np.nan
    error_is: str = ""
    pull: float = np.nan
    predictive: float = np.nan
    named: bool = False
    note: str = ""

    @property
    def miss(self) -> float:
        """Data minus mocks: a fraction of the mocks' value for positive scales, else in the unit."""
        value = self.target.measured.value
        return value / self.mean - 1.0 if self.target.positive else value - self.mean


@dataclass(frozen=True)
class Round:
    """A round of mocks: how many points and catalogues, how many points lost, the emulators' share of the error."""

    points: int
    catalogues: int
    lost: int
    share: float
    held: int


@dataclass(frozen=True)
class Match:
    """A match.

    Parameters
    ----------
    scenario
        Name of the scenario.
    settings
        Posterior of the free settings.
    truths
        Posterior of the truth: masses of the potential, and truths of what was measured, bin by bin.
    rows
        One a measured number.
    fit
        Goodness of fit.
    rounds
        What was run.
    matched
        Values of the free settings at the best point, by path.
    draws
        Posterior draws (n,) of each free setting, by path.
    converged
        Whether the emulators' error is below the wanted share, and the posterior within what was emulated.
    notes
        What a reader should know.
    """

    scenario: str
    settings: tuple[Span, ...]
    truths: tuple[Span, ...]
    rows: tuple[Row, ...]
    fit: Fit
    rounds: tuple[Round, ...]
    matched: Mapping[str, float]
    draws: Mapping[str, FloatArray] = field(repr=False)
    converged: bool = True
    notes: tuple[str, ...] = ()


def rows_of(
    targets: tuple[Target, ...],
    used: BoolArray,
    refused: tuple[str, ...],
    fit: Fit,
    run: FloatArray,
) -> tuple[Row, ...]:
    """Rows of a match.

    Parameters
    ----------
    targets, used, refused
        Measured numbers, whether each was used, and why not.
    fit
        Of those that were used.
    run
        (n, k) simulated numbers at the best settings, in their coordinates.
    """
    rows = []
    n = np.isfinite(run).sum(axis=0)
    counted = np.where(np.isfinite(run), run, 0.0)
    mean = counted.sum(axis=0) / np.maximum(n, 1)
    square = np.where(np.isfinite(run), run - mean, 0.0) ** 2
    mcse = np.sqrt(square.sum(axis=0) / np.maximum(n - 1, 1) / np.maximum(n, 1))
    places = iter(range(int(used.sum())))
    for k, target in enumerate(targets):
        to_unit, slope = target.coordinate.back, target.coordinate.slope
        there, error = np.nan, np.nan
        if n[k] > 1:
            there = float(to_unit(mean[k]))
            error = float(mcse[k] / slope(there))
        if not used[k]:
            rows.append(Row(target, run=there, run_mcse=error, note=refused[k]))
            continue
        i = next(places)
        value = float(to_unit(fit.mean[i]))
        rows.append(
            Row(
                target,
                value,
                float(to_unit(fit.lo[i])),
                float(to_unit(fit.hi[i])),
                run=there,
                run_mcse=error,
                scatter=float(fit.scatter[i] / slope(value)),
                error_is="stated" if fit.stated[i] >= fit.scatter[i] else "scatter",
                pull=float(fit.pull[i]),
                predictive=float(fit.predictive[i]),
                named=bool(fit.named[i]),
            )
        )
    return tuple(rows)
