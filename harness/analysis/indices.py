"""Sobol' indices of the errors of a run with a cell of the design ``saltelli``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from haloassay.analysis.sensitivity import SobolIndices, sobol_indices

if TYPE_CHECKING:
    import pandas as pd

    from haloassay.planning.sampling import Sampling

#: Probability that each interval holds its index.
LEVEL: Final = 0.68


@dataclass(frozen=True)
class Indices:
    """Indices of the factors ``labels``; see :class:`haloassay.analysis.sensitivity.SobolIndices`."""

    labels: tuple[str, ...]
    found: SobolIndices

    def of(self, label: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """First-order and total index of a factor: value, standard error and limits of each."""
        k = self.labels.index(label)
        first, total = (
            tuple(float(part[k]) for part in (each.value, each.error, each.lo, each.hi))
            for each in (self.found.first, self.found.total)
        )
        return first, total


def indices_of(
    errors: pd.Series[float],
    sampling: Sampling,
    labels: tuple[str, ...],
    rng: np.random.Generator,
) -> Indices:
    """Compute indices of errors by realisation.

    Parameters
    ----------
    errors
        Of all realisations that were tried, by their numbers; NaN where there is none. Realisations come row by row,
        in a row matrix by matrix (A, B, then A with one column of B each), of a matrix replicate by replicate.
    sampling
        Points of the cell.
    labels
        Factors, in the order of the columns of a matrix.
    rng
        Of the bootstrap.
    """
    matrices, replicates = len(labels) + 2, sampling.replicates
    number = np.asarray(errors.index, dtype=int)
    rows = int(number.max(initial=-1)) // (matrices * replicates) + 1
    table = np.full(rows * matrices * replicates, np.nan)
    table[number] = errors
    a, b, *ab = table.reshape(rows, matrices, replicates).swapaxes(0, 1)
    return Indices(labels, sobol_indices(a, b, np.array(ab), rng, LEVEL))
