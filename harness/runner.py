"""Run a scenario: plan it, skip what is done, execute the rest, keep every result as it comes."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from haloassay.description import describe
from haloassay.errors import InputError
from haloassay.estimators import estimator_class
from haloassay.execute import available_workers, deferred_interrupt, execute
from haloassay.matrix import Plan, make_plan
from haloassay.mocks import Mock, make_mock
from haloassay.progress import Progress, make_progress
from haloassay.quantities import QUANTITIES, Quantity
from haloassay.scenario import Scenario, as_scenario
from haloassay.store import Mode, Results, Store, check_folder
from haloassay.task import Task

#: Seconds between two lines about a mock that takes long.
_INTERVAL: Final = 10.0


def run(
    scenario: str | Path | Mapping[str, Any] | Scenario,
    out: str | Path,
    realizations: int | None = None,
    workers: int | None = None,
    seed: int | None = None,
    mode: Mode = "resume",
    timeout: float | None = None,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Results:
    """Run a scenario into a folder and return the results.

    Parameters
    ----------
    scenario
        Name of a packaged scenario, file, plain values, or a scenario.
    out
        Folder of the results.
    realizations, seed, timeout
        Take the place of those of the scenario.
    workers
        Number of processes, that of the processors by default; results do not depend on it. With 0, all is done in
        this process, where a debugger sees it.
    mode
        ``"resume"`` goes on with what the folder holds, ``"restart"`` throws that away,
        ``"refuse"`` stops if it holds anything.
    dry_run
        Check everything, say what would be run, and write nothing.
    progress
        Where to report; standard error by default.

    Raises
    ------
    InputError
        If scenario or folder are unusable, before anything is written; or if the disk is full:
        finished work is kept then.
    KeyboardInterrupt
        After Ctrl-C, or SIGTERM (its argument is ``"SIGTERM"`` then); all finished work is kept.
    """
    revised = as_scenario(scenario).revise(realizations=realizations, seed=seed, timeout=timeout)
    plan = make_plan(revised)
    n_workers = available_workers() if workers is None else workers
    if n_workers < 0:
        raise InputError(f"workers: must not be negative (got {n_workers})")
    if mode not in ("resume", "restart", "refuse"):
        raise InputError(f"mode: unknown {mode!r} (allowed: resume, restart, refuse)")
    folder = Path(out)
    check_folder(folder, plan, mode)
    report = progress or make_progress()
    plan, silent = _with_mocks(plan, None if dry_run else report.say)
    for line in _without_truth(plan, silent):
        report.say(line)
    if dry_run:
        report.say(_announce(plan))
        return Results(folder, describe(plan))
    with deferred_interrupt() as stop, Store.open(folder, plan, mode, report.say) as store:
        todo = sum(1 for _ in _tasks(plan, store))
        report.begin(len(plan), len(plan) - todo)
        with contextlib.ExitStack() as stack:
            stack.callback(report.end)
            tasks = _tasks(plan, store)
            results = execute(tasks, min(n_workers, max(todo, 1)), plan.scenario.timeout, stop)
            for result in stack.enter_context(contextlib.closing(results)):
                store.checkpoint(result)
                report.advance(result)
        if stop():
            raise stop.error()
        store.compact()
    return Results(folder)


def _with_mocks(
    plan: Plan, say: Callable[[str], None] | None
) -> tuple[Plan, Mapping[str, frozenset[str]]]:
    """Make every mock once, before anything is written; workers find the expensive parts in the cache.

    Without anybody to tell, only check them. Given back are the plan with what is worth knowing of them and, by cell,
    the quantities that its mock has no truth of.
    """
    from haloassay.mocks.surveys.survey import make_survey

    facts: dict[str, Mapping[str, Any]] = {}
    made: dict[str, tuple[int | None, Mapping[str, Any], frozenset[str]]] = {}
    wanted = _yields(plan)
    silent: dict[str, frozenset[str]] = {}
    for cell in plan.cells:
        content = json.dumps(cell.mock, sort_keys=True)
        try:
            survey = make_survey(cell.survey)
            if content not in made:
                mock = make_mock(cell.mock)
                survey.require_stars(mock.number)
                told = _prepared(mock, cell.label, say)
                known = (lambda q: q.truth is not None) if say is None else mock.truth.knows
                unknown = frozenset(q.name for q in wanted.values() if not known(q))
                made[content] = mock.number, told, unknown
            number, facts[cell.label], silent[cell.label] = made[content]
            survey.require_stars(number)
        except InputError as error:
            raise InputError(
                f"{plan.scenario.origin}: mock of cell {cell.label!r}: {error}"
            ) from None
    return dataclasses.replace(plan, facts=facts), silent


def _yields(plan: Plan) -> Mapping[str, Quantity]:
    """All quantities that estimators of a plan say they yield."""
    known = {**QUANTITIES, **{quantity.name: quantity for quantity in plan.quantities}}
    classes = [estimator_class(entry.kind) for entry in plan.scenario.estimators]
    return {name: known[name] for cls in classes for name in cls.yields}


def _without_truth(plan: Plan, silent: Mapping[str, frozenset[str]]) -> Iterator[str]:
    """Say which quantities of which estimators no truth will stand beside."""
    for entry in plan.scenario.estimators:
        missing: dict[tuple[str, ...], list[str]] = {}
        for label, unknown in silent.items():
            names = tuple(n for n in estimator_class(entry.kind).yields if n in unknown)
            missing.setdefault(names, []).append(label)
        for names, labels in missing.items():
            if names:
                where = "" if len(labels) == len(silent) else f" in cell {labels[0]!r}"
                where += f" and {len(labels) - 1} more" if where and len(labels) > 1 else ""
                yield f"{entry.label}: the mock has no truth of {', '.join(names)}{where}: not scored"


def _prepared(mock: Mock, label: str, say: Callable[[str], None] | None) -> Mapping[str, Any]:
    if say is None:
        mock.check()
        return {}
    return mock.prepare(_Patience(label, say))


class _Patience:
    """Says how far a mock that takes long has come, now and then."""

    def __init__(self, label: str, say: Callable[[str], None]) -> None:
        self.label, self.say = label, say
        self.last = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        if time.monotonic() - self.last > _INTERVAL:
            self.last = time.monotonic()
            self.say(f"following the stars of the mock of cell {self.label!r}: {done / total:.0%}")


def _tasks(plan: Plan, store: Store) -> Iterator[Task]:
    """List what is to be done, realisation by realisation: cells stay paired in a run cut short."""
    for realization in range(plan.scenario.realizations):
        for cell in plan.cells:
            methods = store.missing(cell, realization)
            if methods:
                yield Task(cell, realization, plan.scenario.seed, methods)


def _announce(plan: Plan) -> str:
    n = plan.scenario.realizations
    labels = ", ".join(entry.label for entry in plan.scenario.estimators)
    return f"{len(plan.cells)} cells x {n} realisations = {len(plan)} tasks, each with {labels}"
