"""Factors as coordinates of a unit cube: shares of their priors, and for levels one coordinate each but the first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.errors import InputError
from haloassay.base.settings import unknown
from haloassay.contracts.factors import StatedFactor
from haloassay.contracts.priors import Discrete

if TYPE_CHECKING:
    import pandas as pd

#: How far beyond the points that were run a value may be, in their range.
REACH: Final = 0.05


@dataclass(frozen=True)
class Cube:
    """Coordinates in which an emulator has the factors of a sampled cell.

    A factor of a continuous prior has one, the share of the prior below its value. A level of a discrete prior has one,
    1 where it is chosen and 0 elsewhere, but the first level that can be chosen, which is where all others are 0.

    Parameters
    ----------
    factors
        Those that are drawn, with the priors of the run.
    """

    factors: tuple[StatedFactor, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """What the coordinates are."""
        found: list[str] = []
        for factor in self.factors:
            if isinstance(factor.prior, Discrete):
                levels = _chosen(factor.prior)[1:]
                found += (f"{factor.label}={factor.levels[k].label}" for k in levels)
            else:
                found.append(factor.label)
        return tuple(found)

    def at(self, u: FloatArray) -> FloatArray:
        """Coordinates (n, coordinates) of shares ``u`` (n, factors) of the priors."""
        columns = []
        for factor, share in zip(self.factors, u.T, strict=True):
            if isinstance(factor.prior, Discrete):
                level = factor.prior.quantile(share)
                columns += [(level == k).astype(float) for k in _chosen(factor.prior)[1:]]
            else:
                columns.append(np.asarray(share, dtype=float))
        return np.column_stack(columns) if columns else np.empty((len(u), 0))

    def find(self, name: str) -> StatedFactor:
        """Look a factor up by its label or by what it sets.

        Raises
        ------
        InputError
            If there is none of that name.
        """
        for factor in self.factors:
            if name == factor.label or name in factor.paths:
                return factor
        raise unknown("factor", name, [f.label for f in self.factors], "the run")


def _chosen(prior: Discrete) -> list[int]:
    """Levels that the prior lets happen."""
    return np.flatnonzero(prior.shares > 0.0).tolist()


def share_of(factor: StatedFactor, value: Any, run: FloatArray) -> float:
    """Share of the prior of a factor at one of its values.

    Parameters
    ----------
    factor, value
        Which; of a discrete prior a level, by its value or label.
    run
        Shares (n,) at the points that were run.

    Raises
    ------
    InputError
        If the value is none, or outside of what was run.
    """
    prior = factor.prior
    assert prior is not None
    if isinstance(prior, Discrete):
        known = {k: factor.levels[k] for k in _chosen(prior)}
        for k, level in known.items():
            if value == level.value or str(value) == level.label:
                return float(prior.share(np.array([k]))[0])
        labels = [level.label for level in known.values()]
        raise unknown("level", str(value), labels, f"factor {factor.label!r}")
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise InputError(f"factor {factor.label!r}: expected a number (got {value!r})")
    there = prior.quantile(np.array([run.min(), run.max()]))
    margin = REACH * float(there[1] - there[0])
    share = float(prior.share(np.array([float(value)]))[0])
    again = float(prior.quantile(np.array([share]))[0])
    is_held = abs(again - value) <= 1e-6 * float(there[1] - there[0])
    if not is_held or not there[0] - margin <= value <= there[1] + margin:
        raise InputError(
            f"factor {factor.label!r}: {value:g} is outside of what was run, {there[0]:.4g} to {there[1]:.4g}"
        )
    return share


def by_point(
    values: pd.Series[float], replicates: int, points: Sequence[int] | None = None
) -> tuple[FloatArray, list[int]]:
    """Arrange values of realisations by point.

    Parameters
    ----------
    values
        By realisation; NaN where there is none.
    replicates
        Of each point.
    points
        Which; all that have a realisation by default.

    Returns
    -------
    table
        (points, replicates), NaN where there is no value.
    points
        Their numbers.
    """
    number = np.asarray(values.index, dtype=int)
    of = number // replicates
    wanted = np.unique(of).tolist() if points is None else list(points)
    table = np.full((len(wanted), replicates), np.nan)
    row = {point: k for k, point in enumerate(wanted)}
    for point, replicate, value in zip(of, number % replicates, values, strict=True):
        if point in row:
            table[row[int(point)], replicate] = value
    return table, wanted
