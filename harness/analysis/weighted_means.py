"""Weighted means of several rows, as papers combine estimates."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np

from haloassay.analysis.compare import Key, samples_of
from haloassay.analysis.scores import score
from haloassay.analysis.statistic import Against, ClaimTables, Form, Found, Row, Statistic, row_of
from haloassay.base.arrays import FloatArray
from haloassay.base.errors import InputError
from haloassay.base.settings import unknown

if TYPE_CHECKING:
    pass

#: Measure of a comparison that is of estimates in place of errors.
_ESTIMATE: Final = "estimate"


#: Realisations that a scatter without one of them needs.
_LEAST: Final = 3


@dataclass(frozen=True)
class WeightedMeanOf(Statistic):
    """A weighted mean of several rows, as papers combine estimates: weights are inverse squares of stated errors.

    Rows of one cell are of the same catalogue; those of another cell are taken from other realisations, as cells share
    random numbers and samples of different stars do not.

    Parameters
    ----------
    quantity
        Of all rows.
    of
        The rows, at least two: tables with ``estimator``, ``cell`` and ``r``.
    measure
        ``bias`` or ``scatter`` of the mean; ``stated``: its stated error, the mean of (sum of weights)^-1/2;
        ``error_ratio``: the logarithm of the stated error over the scatter.
    """

    kind: ClassVar[str] = "weighted-mean"
    of: tuple[Against, ...] = ()
    measure: str = "error_ratio"

    def __post_init__(self) -> None:
        if self.measure not in _OF_MEANS:
            raise unknown("measure", self.measure, _OF_MEANS, "statistic")
        if self.estimator or self.cell or self.r is not None:
            raise InputError("statistic: estimator, cell and r belong to each row: of = [{ ... }]")
        if len(set(self.of)) < max(len(self.of), 2):
            raise InputError("statistic: a weighted mean needs two different rows: of = [{ ... }]")

    @property
    def rows(self) -> tuple[Row, ...]:
        """All rows of the mean."""
        return tuple(each.beside(self) for each in self.of)

    def number(self, results: ClaimTables) -> Found:
        """Combine the rows, realisation by realisation."""
        table, samples = score(results), samples_of(results)
        found = [row_of(table, results, each) for each in self.rows]
        if results.quantities[self.quantity].scale not in ("fractional", "absolute"):
            raise InputError(f"statistic: {self.quantity}: directions have no weighted mean")
        cells = list(dict.fromkeys(str(row["cell"]) for row in found))
        parts = [samples[Key._make(row[name] for name in Key._fields)] for row in found]
        tried = min(len(part.e) for part in parts)
        shifts = [cells.index(str(row["cell"])) for row in found]
        e, half = (
            np.array(
                [np.roll(getattr(p, name)[:tried], k) for p, k in zip(parts, shifts, strict=True)]
            )
            for name in ("e", "half")
        )
        known = np.isfinite(e).all(axis=0) & np.all(half > 0.0, axis=0)
        weight = half[:, known] ** -2.0
        mean = np.sum(weight * e[:, known], axis=0) / weight.sum(axis=0)
        stated = weight.sum(axis=0) ** -0.5
        form: Form = "log" if self.measure == "error_ratio" else "error"
        told = (self.quantity, str(found[0]["unit"]), float(found[0]["r"]), form)
        n = int(known.sum())
        if n < _LEAST:
            return Found(*told, math.nan, math.nan, 0, tried)
        value, mcse = _jackknifed(_OF_MEANS[self.measure], mean, stated)
        return Found(*told, value, mcse, n, tried - n)


#: What is read of weighted means (n,) and their stated errors (n,).
_OF_MEANS: Final[Mapping[str, Callable[[FloatArray, FloatArray], float]]] = {
    "bias": lambda mean, _: float(mean.mean()),
    "scatter": lambda mean, _: float(mean.std(ddof=1)),
    "stated": lambda _, stated: float(stated.mean()),
    "error_ratio": lambda mean, stated: float(np.log(stated.mean() / mean.std(ddof=1))),
}


def _jackknifed(
    of: Callable[[FloatArray, FloatArray], float], mean: FloatArray, stated: FloatArray
) -> tuple[float, float]:
    """Return a number, and its error from what it is without one realisation after the other."""
    n = len(mean)
    without = np.array([of(np.delete(mean, k), np.delete(stated, k)) for k in range(n)])
    return of(mean, stated), float(np.sqrt((n - 1) / n * np.sum((without - without.mean()) ** 2)))
