"""What finished results answer, as functions: what factors cost, what is between points, who is best, how many more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from haloassay.analysis.attachment import Attached
    from haloassay.analysis.budget import Budget
    from haloassay.analysis.league import Table
    from haloassay.analysis.prediction import Predicted, Predictor
    from haloassay.analysis.ranking import By, Ranking
    from haloassay.engine.pilot import Forecast
    from haloassay.planning.scenario import Scenario


def budget(
    out: str | Path,
    quantity: str,
    r: float | None = None,
    estimator: str | None = None,
    priors: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[Budget]:
    """Say what each factor of the results in ``out`` costs, and all together: one budget an estimator.

    Parameters
    ----------
    out
        Folder of the results.
    quantity, r, estimator
        What the budgets are of; the radius [kpc], where there are several; all estimators by default.
    priors
        In place of those of the run, by labels or paths of factors: ``{"kind": "normal", "mean": 1.0, "sd": 0.05}``.

    Raises
    ------
    InputError
        As :func:`haloassay.analysis.budget.budgets` says.
    """
    from haloassay.analysis.budget import budgets
    from haloassay.analysis.reweighting import make_priors
    from haloassay.results.results import Results

    results = Results(out)
    wanted = make_priors([*(priors or {}).items()], results.factors)
    return results.steadily(lambda: budgets(results, quantity, r, estimator, wanted))


def attach(
    out: str | Path,
    quantity: str,
    measurement: str | Path,
    estimator: str | None = None,
    priors: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[Attached]:
    """Attach the budgets of the results in ``out`` to a measurement, as ``haloassay budget --apply`` does.

    Parameters
    ----------
    out, quantity, priors
        As of :func:`budget`.
    measurement
        CSV file (:func:`haloassay.io.measurements.read_measurements`).
    estimator
        Whose budget; needed where several yield the quantity.

    Returns
    -------
    list
        One a measured value: as stated, with the systematic error in the sum, and with the bias removed.

    Raises
    ------
    InputError
        As :func:`haloassay.analysis.attachment.attach` and :func:`haloassay.analysis.budget.profile` say.
    """
    from haloassay.analysis import attachment
    from haloassay.analysis.budget import profile
    from haloassay.analysis.reweighting import make_priors
    from haloassay.results.results import Results

    results = Results(out)
    wanted = make_priors([*(priors or {}).items()], results.factors)
    found = results.steadily(lambda: profile(results, quantity, estimator, wanted))
    return attachment.attach(found, Path(measurement))


def predict(
    out: str | Path,
    quantity: str,
    settings: Mapping[str, Any] | None = None,
    r: float | None = None,
    estimator: str | None = None,
    cell: str | None = None,
) -> list[tuple[Predictor, tuple[Predicted, ...]]]:
    """Predict bias, scatter and coverage at values of the factors that were not run, for each estimator.

    Parameters
    ----------
    out
        Folder of results with a sampled cell.
    quantity, r, estimator
        As of :func:`budget`.
    settings
        Values of factors, by label or path; all others are as in the scenario.
    cell
        Sampled cell; the first by default.

    Raises
    ------
    InputError
        If the run has no such cell, a value is outside of what was run, or an emulator too poor.
    """
    from haloassay.analysis.prediction import settings_of
    from haloassay.results.kept import kept_predictors
    from haloassay.results.results import Results

    results = Results(out)
    chosen = settings_of([*(settings or {}).items()], results.factors)
    makers = kept_predictors(results, quantity, r, estimator, cell)
    return [(maker, maker.at(chosen)) for maker in makers]


def rank(
    out: str | Path,
    quantity: str,
    by: By = "rmse",
    r: float | None = None,
    cell: str | None = None,
) -> Ranking:
    """Rank the estimators of a quantity: see :func:`haloassay.analysis.ranking.rank`."""
    from haloassay.analysis import ranking
    from haloassay.results.results import Results

    results = Results(out)
    return results.steadily(lambda: ranking.rank(results, quantity, by, r, cell))


def league(
    out: str | Path,
    each: Sequence[str] = (),
    quantities: Sequence[str] = (),
    radii: Sequence[float] = (),
    by: By = "rmse",
) -> tuple[Table, ...]:
    """Rank all estimators of a run over all its cells: see :func:`haloassay.analysis.league.league`."""
    from haloassay.analysis import league as tables
    from haloassay.results.results import Results

    results = Results(out)
    return results.steadily(lambda: tables.league(results, each, quantities, radii, by))


def plan(
    scenario: str | Path | Mapping[str, Any] | Scenario,
    until: str,
    pilot: int = 10,
    workers: int | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Forecast:
    """Say how many realisations a rule asks for, and how long they take, from a pilot that is thrown away.

    Parameters
    ----------
    scenario, workers, settings
        As of :func:`haloassay.run`.
    until
        Rule, as of ``haloassay run --until``.
    pilot
        Realisations of the pilot, 3 or more.

    Raises
    ------
    InputError
        If the scenario is unusable, or the rule is none or about no row of the pilot.
    """
    from haloassay.engine.pilot import needed
    from haloassay.engine.progress import make_progress
    from haloassay.planning.overrides import overridden
    from haloassay.planning.scenario import as_scenario

    chosen = overridden(as_scenario(scenario), settings or {})
    return needed(chosen, until, pilot, workers, make_progress())
