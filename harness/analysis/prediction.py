"""Predictions of bias, scatter and coverage between the points of a sampled cell, by emulators.

The bias is emulated by differences from the base, realisation by realisation on the same random numbers, to which the
bias on the base is added, wherever that leaves less noise than the errors themselves. The scatter is the noise of the
errors, coverages are emulated as probabilities (:mod:`haloassay.analysis.emulator`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from haloassay.analysis.contributions import Amount, mean_of
from haloassay.analysis.cube import Cube, by_point, share_of
from haloassay.analysis.emulator import Emulator, fit
from haloassay.base.arrays import FloatArray
from haloassay.base.errors import InputError
from haloassay.base.settings import unknown
from haloassay.contracts.factors import StatedFactor

if TYPE_CHECKING:
    import pandas as pd

    from haloassay.analysis.realizations import FactorTables

#: Designs whose cells fill the priors: predictions are between their points.
DESIGNS: Final = ("joint", "sobol", "latin-hypercube")


@dataclass(frozen=True)
class Predicted:
    """One predicted score.

    Parameters
    ----------
    score
        ``bias``, ``scatter``, ``coverage68`` or ``coverage95``.
    value
        With its standard error; NaN where it is refused.
    left_out, left_out_most
        Root mean square error of the mean at points left out, noise taken out, and what it is below with a probability
        of 0.95; NaN where there is none, as of a scatter.
    why
        Why there is none, or "".
    """

    score: str
    value: Amount = field(default_factory=Amount)
    left_out: float = np.nan
    left_out_most: float = np.nan
    why: str = ""


@dataclass(frozen=True)
class Predictor:
    """Emulators of one estimator, quantity and bin over the factors of a sampled cell.

    Parameters
    ----------
    estimator, quantity, bin, r
        Whose; the median radius [kpc] in the sampled cell.
    cell, n, n_lost
        Which points; how many of them have an error, and how many have none.
    factors, run
        What is drawn, and shares (2, factors) of the priors between which the points are.
    base
        Bias on the base that is added to predicted differences; None where errors themselves are emulated.
    bias, errors
        Emulators of differences (or errors) and of errors.
    coverages
        Emulators by level in per cent; none where no intervals are stated.
    """

    estimator: str
    quantity: str
    bin: int
    r: float
    cell: str
    n: int
    n_lost: int
    factors: tuple[StatedFactor, ...]
    run: FloatArray
    base: Amount | None
    bias: Emulator
    errors: Emulator
    coverages: Mapping[int, Emulator]

    def at(self, settings: Mapping[str, Any]) -> tuple[Predicted, ...]:
        """Predict the scores.

        Parameters
        ----------
        settings
            Values of factors, by label; all others are as in the scenario.

        Raises
        ------
        InputError
            If a value is none, a point is outside of what was run, or the emulator of the bias is too poor.
        """
        x = self.coordinates(settings)
        base = Amount(0.0, 0.0) if self.base is None else self.base
        moved = _predicted("bias", self.bias, self.bias.predict(x))
        mcse = float(np.hypot(base.mcse, moved.value.mcse))
        found = [replace(moved, value=Amount(base.value + moved.value.value, mcse))]
        if self.errors.refused:
            found.append(Predicted("scatter", why=self.errors.refused))
        else:
            scatter, error = self.errors.scatter(x)
            found.append(Predicted("scatter", Amount(float(scatter[0]), float(error[0]))))
        for level, emulator in self.coverages.items():
            score = f"coverage{level}"
            if emulator.refused:
                found.append(Predicted(score, why=emulator.refused))
            else:
                found.append(_predicted(score, emulator, emulator.predict(x)))
        return tuple(found)

    def coordinates(self, settings: Mapping[str, Any]) -> FloatArray:
        """Coordinates (1, n) in the cube of factors; see :meth:`at`."""
        shares = []
        for factor, run in zip(self.factors, self.run.T, strict=True):
            try:
                shares.append(share_of(factor, settings.get(factor.label, factor.base), run))
            except InputError as error:
                own = "" if factor.label in settings else " (as in the scenario: set it)"
                raise InputError(f"no prediction: {error}{own}") from None
        return self.cube.at(np.array([shares]))

    @property
    def cube(self) -> Cube:
        """Coordinates of the emulators."""
        return Cube(self.factors)

    def to_data(self) -> dict[str, Any]:
        """Plain numbers, strings, lists and None, for JSON."""
        return {
            **{k: getattr(self, k) for k in _PLAIN},
            "r": None if np.isnan(self.r) else self.r,
            "factors": [factor.to_dict() for factor in self.factors],
            "run": self.run.tolist(),
            "base": None if self.base is None else [self.base.value, self.base.mcse],
            "bias": self.bias.to_data(),
            "errors": self.errors.to_data(),
            "coverages": {str(k): each.to_data() for k, each in self.coverages.items()},
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Predictor:
        """Read what :meth:`to_data` gave."""
        return cls(
            **{k: data[k] for k in _PLAIN},
            r=np.nan if data["r"] is None else float(data["r"]),
            factors=tuple(map(StatedFactor.of, data["factors"])),
            run=np.array(data["run"], dtype=float),
            base=None if data["base"] is None else Amount(*data["base"]),
            bias=Emulator.from_data(data["bias"]),
            errors=Emulator.from_data(data["errors"]),
            coverages={int(k): Emulator.from_data(v) for k, v in data["coverages"].items()},
        )


def _predicted(score: str, emulator: Emulator, at: tuple[FloatArray, FloatArray]) -> Predicted:
    (mean,), (error,) = at
    value = Amount(float(mean), float(error))
    return Predicted(score, value, emulator.error, emulator.error_most)


_PLAIN: Final = ("estimator", "quantity", "bin", "cell", "n", "n_lost")


def predictors(
    results: FactorTables,
    quantity: str,
    r: float | None = None,
    estimator: str | None = None,
    cell: str | None = None,
) -> list[Predictor]:
    """Emulators of a quantity over the factors of a sampled cell, one an estimator.

    Parameters
    ----------
    results
        A run with a design of :data:`DESIGNS`.
    quantity, r, estimator
        As of :func:`haloassay.analysis.budget.budgets`.
    cell
        Which sampled cell; the first by default.

    Raises
    ------
    InputError
        If the run has no such cell or estimator, nobody yields the quantity, or no bin is near the radius.
    """
    from haloassay.analysis.realizations import attempts, bin_at, chosen, read

    cell = sampled_cell(results, cell)
    rows, runs, known = read(results, quantity, "predict")
    found = []
    for name in chosen(estimator, known, f"prediction of {quantity}"):
        mine = rows[rows["estimator"] == name]
        where = f"prediction of {quantity} by {name}"
        number = bin_at(mine[mine["cell"] == cell], r, where)
        tried = attempts(runs, name, cell)
        found.append(_predictor(results, name, quantity, cell, mine[mine["bin"] == number], tried))
    return found


def sampled_cell(results: FactorTables, cell: str | None) -> str:
    """Cell whose points fill the priors: the one that is asked for, or the first.

    Raises
    ------
    InputError
        If there is none.
    """
    known = [name for name in results.samplings if name in DESIGNS]
    if not known:
        raise InputError(
            f"the run has no sampled cell to predict from: add one of {', '.join(DESIGNS)} to its designs"
        )
    if cell is not None and cell not in known:
        raise unknown("sampled cell", cell, known, "predict")
    return cell or known[0]


def _predictor(
    results: FactorTables,
    estimator: str,
    quantity: str,
    cell: str,
    rows: pd.DataFrame,
    tried: pd.DataFrame,
) -> Predictor:
    from haloassay.analysis.realizations import Differences

    sampling = results.samplings[cell]
    differences = Differences(rows, results.quantities[quantity].scale == "angle")
    here = rows[rows["cell"] == cell].set_index("realization").reindex(tried["realization"])
    errors, points = by_point(here["e"], sampling.replicates)
    u = np.array([sampling.coordinates(p * sampling.replicates) for p in points])
    cube = Cube(tuple(results.factors))
    x = cube.at(u)
    emulated = fit(x, errors, cube.names)
    bias, base = emulated, None
    pairs, _ = by_point(differences.of(cell).dropna(), sampling.replicates, points)
    if _information(pairs) >= _information(errors):
        bias = fit(x, pairs, cube.names)
        base = mean_of(differences.errors["base"].dropna().to_numpy())
    coverages = {}
    for level in (68, 95):
        inside, _ = by_point(here[f"in{level}"].astype(float), sampling.replicates, points)
        if np.isfinite(inside).any():
            coverages[level] = fit(x, inside, cube.names, "logit")
    return Predictor(
        estimator,
        quantity,
        int(rows["bin"].iloc[0]),
        float(here["r"].median()),
        cell,
        n=emulated.n,
        n_lost=emulated.n_lost,
        factors=cube.factors,
        run=np.array([u.min(axis=0), u.max(axis=0)]),
        base=base,
        bias=bias,
        errors=emulated,
        coverages=coverages,
    )


def _information(table: FloatArray) -> float:
    """Inverse variance of the mean of responses (points, replicates), by noise where replicates show it."""
    known = np.isfinite(table)
    if not known.any():
        return 0.0
    twice = known.sum(axis=1) > 1
    if 2 * np.count_nonzero(twice) >= np.count_nonzero(known.any(axis=1)):
        variance = float(np.mean(np.nanvar(table[twice], axis=1, ddof=1)))
    else:
        variance = float(np.nanvar(table))
    return known.sum() / max(variance, np.finfo(float).tiny)


def settings_of(
    options: Sequence[tuple[str, Any]], factors: Sequence[StatedFactor]
) -> dict[str, Any]:
    """Values by label, of pairs of a label or path and a value.

    Raises
    ------
    InputError
        If a factor is unknown, or has two values.
    """
    cube, found = Cube(tuple(factors)), {}
    for name, value in options:
        label = cube.find(name).label
        if label in found:
            raise InputError(f"factor {label!r}: is set twice")
        found[label] = value
    return found
