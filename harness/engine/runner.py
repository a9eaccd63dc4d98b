"""Run a scenario: plan it, skip what is done, execute the rest, keep every result as it comes."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from haloassay.analysis.rules import Rule, make_rule
from haloassay.base.errors import HaloassayError, InputError
from haloassay.engine.executors import (
    available_workers,
    cluster_of,
    crew_for,
    execute,
    kept_open,
)
from haloassay.engine.interrupt import deferred_interrupt
from haloassay.engine.log import LOG, Log
from haloassay.engine.progress import Progress, make_progress
from haloassay.engine.sequential import FEWEST, MOST, run_until
from haloassay.engine.task import PRINTED, Task
from haloassay.planning.cells import SampledCell
from haloassay.planning.overrides import narrowed, overridden
from haloassay.planning.plan import Plan, make_plan
from haloassay.planning.scenario import Scenario, as_scenario
from haloassay.planning.shard import Shard, require_alone
from haloassay.planning.usual import unusual
from haloassay.results.description import as_held, description_of, read_description
from haloassay.results.outcome import TaskResult
from haloassay.results.results import Results
from haloassay.results.store import Mode, Store, check_folder

if TYPE_CHECKING:
    from haloassay.engine.executors.cluster import ClusterCrew
    from haloassay.engine.executors.pool import Crew

#: Seconds between two times that results are written: what a kill at the worst time costs.
_GATHERED: Final = 0.25
#: Catalogues beyond which a run must be asked for twice.
LARGE: Final = 100_000


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
    estimators: Sequence[Any] | None = None,
    until: str | None = None,
    at_most: int = MOST,
    large: bool = False,
    settings: Mapping[str, Any] | None = None,
    only: Mapping[str, Sequence[Any]] | None = None,
    shard: str | None = None,
    scheduler: str | None = None,
    client: Any = None,
    allow_versions: bool = False,
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
    estimators
        In place of those of the scenario: kinds, tables, and classes or instances of estimators, also of a notebook or
        a script: they are sent to the workers, and results are kept by the digest of their source.
    until
        Condition on the table of scores or of paired differences for which realisations are added, such as
        ``"shift_mcse < 0.01 for quantity=m200"``: :func:`haloassay.analysis.rules.make_rule`.
    at_most
        Realisations at which it stops even so.
    large
        Whether more than 100000 catalogues are meant.
    settings
        Values in place of those of the scenario, by path, such as ``{"survey.n_stars": 500}``.
    only
        Levels of factors that are run, by their labels, such as ``{"stars": [300]}``: a part of the cells. Parts may
        follow each other in one folder, and a run of all cells finds them done.
    shard
        Part of the tasks, such as ``"3/100"``: the third of each hundred. Its results have a folder of their own in
        ``out``, so that shards know nothing of each other; :func:`haloassay.merge` joins them.
    scheduler
        Dask cluster that runs the tasks: ``"tcp://HOST:PORT"``, ``"local"``, or a queue with a file of settings, such
        as ``"slurm:jobs.toml"``.
    client
        A ``distributed.Client``, in place of ``scheduler``.
    allow_versions
        Whether its workers may have other versions than this process.

    Raises
    ------
    InputError
        If scenario or folder are unusable or the design is too large, before anything is written; or if the disk is
        full: finished work is kept then.
    KeyboardInterrupt
        After Ctrl-C, or SIGTERM (its argument is ``"SIGTERM"`` then); all finished work is kept.
    """
    revised = as_scenario(scenario).revise(
        realizations=realizations, seed=seed, timeout=timeout, estimators=estimators
    )
    revised = overridden(revised, settings or {})
    asked = narrowed(revised, only or {})
    part = None if shard is None else Shard.parse(shard)
    if part is not None and until is not None:
        raise InputError("until: is a condition on all realisations, of which a shard has a part")
    n_workers = available_workers() if workers is None else workers
    if n_workers < 0:
        raise InputError(f"workers: must not be negative (got {n_workers})")
    cluster = cluster_of(scheduler, client, allow_versions, n_workers)
    if until is not None and not dry_run:
        rule = make_rule(until)
        with kept_open(cluster, n_workers) as where:
            kept = {"only": only, **where}
            return _run_until(rule, at_most, revised, out, workers, mode, progress, large, kept)
    plan = replace(make_plan(asked), shard=part, part_of=revised if only else None)
    if mode not in ("resume", "restart", "refuse"):
        raise InputError(f"mode: unknown {mode!r} (allowed: resume, restart, refuse)")
    folder = Path(out) if part is None else part.folder(Path(out))
    if part is not None:
        require_alone(Path(out), part)
    check_folder(folder, plan, mode)
    report = progress or make_progress()
    if dry_run:
        plan, notices = _prepared(plan, None, n_workers)
        _tell(plan, notices, n_workers, report)
        return Results(folder, description_of(plan))
    if len(plan) > LARGE and not large:
        raise InputError(_too_large(plan))
    known = as_held(plan, folder) if mode == "resume" else None
    with crew_for(known or plan.dealt, n_workers, cluster, report, ahead=known is None) as crew:
        if known is not None:
            _execute(known, None, folder, n_workers, mode, report, crew)
        else:
            plan, notices = _prepared(plan, report.say, n_workers)
            _execute(plan, notices, folder, n_workers, mode, report, crew)
    return Results(folder)


def _prepared(
    plan: Plan, say: Callable[[str], None] | None, n_workers: int
) -> tuple[Plan, Sequence[str]]:
    """Make the mocks; what that takes is not loaded for a run in which nothing is left to do.

    A shard makes those of its own tasks, and checks all: what stands in ``run.json`` is the same in each.
    """
    from haloassay.engine.preparation import prepared

    if plan.shard is None:
        return prepared(plan, say, n_workers)
    whole, notices = prepared(plan, None)
    here, more = prepared(whole.dealt, say, n_workers)
    return replace(whole, facts=here.facts), [*notices, *more]


def _too_large(plan: Plan) -> str:
    return (
        f"{plan.scenario.origin}: asks for {len(plan)} catalogues, more than {LARGE}: --yes (in Python large=True) runs"
        " them, --dry-run says how long that takes"
    )


def _tell(plan: Plan, notices: Sequence[str], n_workers: int, report: Progress) -> None:
    """Say what would be run."""
    from haloassay.engine.pilot import timed

    for line in (*notices, _announce(plan)):
        report.say(line)
    cost = timed(plan)
    report.say(f"expected: {cost if isinstance(cost, str) else cost.by(n_workers)}")
    for line in unusual(plan):
        report.warn(line)
    if len(plan) > LARGE:
        report.say(_too_large(plan))


def _execute(
    plan: Plan,
    notices: Sequence[str] | None,
    folder: Path,
    n_workers: int,
    mode: Mode,
    report: Progress,
    crew: Crew | ClusterCrew | None,
) -> None:
    """Do what is missing, and keep each result as it comes.

    Without notices the plan is not prepared: the folder's is, and the same.
    """
    with Store.open(folder, plan, mode, report.warn) as store, contextlib.ExitStack() as whole:
        todo = sum(1 for _ in _tasks(plan, store))
        if todo and notices is None:
            _, notices = _prepared(plan, report.say, n_workers)
        stop = whole.enter_context(deferred_interrupt())
        for line in notices or ():
            report.warn(line)
        report.begin(len(plan), len(plan) - todo)
        with contextlib.ExitStack() as stack:
            stack.callback(report.end)
            tasks = _tasks(plan, store)
            if mode == "restart":
                (folder / LOG).unlink(missing_ok=True)
            log = Log.open(folder / LOG)
            stack.callback(log.close)
            n_workers = min(n_workers, max(todo, 1))
            results = execute(tasks, n_workers, plan.scenario.timeout, stop, log, crew)
            messages = _Messages(report.warn, log)
            for some in _together(stack.enter_context(contextlib.closing(results))):
                store.checkpoint_all(some)
                for result in some:
                    report.advance(result)
                    messages.tell(result)
        if stop():
            raise stop.error()
        store.compact()


def _together(results: Iterable[TaskResult | None]) -> Iterator[list[TaskResult]]:
    """Gather results that come within :data:`_GATHERED` of each other: where tasks are short, files would be many."""
    waiting: list[TaskResult] = []
    last, failure = -math.inf, None
    try:
        for result in results:
            if result is not None:
                waiting.append(result)
            elif waiting and time.monotonic() - last > _GATHERED:
                yield waiting
                waiting, last = [], time.monotonic()
    except HaloassayError as error:  # workers that cannot be had: what is there is kept
        failure = error
    if waiting:
        yield waiting
    if failure is not None:
        raise failure


def _run_until(
    rule: Rule,
    most: int,
    scenario: Scenario,
    out: str | Path,
    workers: int | None,
    mode: Mode,
    progress: Progress | None,
    large: bool,
    kept: Mapping[str, Any],
) -> Results:
    """Run round by round, ``kept`` says which part, and on which cluster; what a folder holds already counts."""
    if most < FEWEST:
        raise InputError(f"at_most: {FEWEST} realisations or more (got {most})")
    matrix = scenario.matrix
    if matrix.points is not None and "latin-hypercube" not in matrix.designs:
        scenario = scenario.revise(matrix={**matrix.model_dump(), "points": None})
    held = read_description(Path(out)) if mode == "resume" else None
    first = held["scenario"]["realizations"] if held is not None else 0
    modes = iter([mode])

    def add(n: int) -> Results:
        following: Mode = next(modes, "resume")
        return run(
            scenario, out, n, workers, mode=following, progress=progress, large=large, **kept
        )

    return run_until(rule, most, first, add, (progress or make_progress()).say)


def _tasks(plan: Plan, store: Store) -> Iterator[Task]:
    """List what is to be done."""
    for cell, realization in plan.tasks():
        if wanted := {method.label for method in store.missing(cell, realization)}:
            here = cell.at(realization)
            methods = tuple(method for method in here.methods if method.label in wanted)
            yield Task(here, realization, plan.scenario.seed, methods, cell.draw(realization))


class _Messages:
    """Says once a run what each estimator did to the process that it ran in."""

    def __init__(self, say: Callable[[str], None], log: Log) -> None:
        self.say, self.log = say, log
        self.told: set[tuple[str, ...]] = set()

    def tell(self, result: TaskResult) -> None:
        for outcome in result.outcomes:
            for what in outcome.touched:
                if what == PRINTED:
                    self._once(outcome.method.label, f"printed: see {self.log.path}")
                else:
                    self._once(outcome.method.label, what)
        if self.log.full:
            self._once(str(self.log.path), "is full: the rest of what was printed is left out")

    def _once(self, *words: str) -> None:
        if words not in self.told:
            self.told.add(words)
            self.say(": ".join(words))


def _announce(plan: Plan) -> str:
    n = plan.scenario.realizations
    labels = ", ".join(entry.label for entry in plan.scenario.estimators)
    regular = sum(1 for cell in plan.cells if cell.is_regular)
    parts = [f"{regular} cells x {n} realisations"] if regular else []
    for cell in plan.cells:
        if not cell.is_regular and not isinstance(cell, SampledCell):
            parts.append(f"{cell.label}: {cell.size(n)} realisations")
        elif isinstance(cell, SampledCell):
            size, replicates = cell.size(n), cell.sampling.replicates
            parts.append(f"{cell.label}: {size // replicates} points x {replicates} replicates")
    return f"{' + '.join(parts)} = {len(plan)} tasks, each with {labels}"
