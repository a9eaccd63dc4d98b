"""Who runs the tasks of a run: this process, worker processes, or the workers of a cluster."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from haloassay.base.errors import InputError
from haloassay.engine.executors.pool import Crew, crew_ahead, run_in_pool
from haloassay.engine.executors.serial import run_serially
from haloassay.engine.log import Log
from haloassay.engine.task import Task
from haloassay.results.outcome import TaskResult

if TYPE_CHECKING:
    from haloassay.engine.executors.cluster import ClusterCrew, Place
    from haloassay.engine.progress import Progress
    from haloassay.planning.plan import Plan


@dataclass(frozen=True)
class Cluster:
    """Where a run goes that is not for this machine's processes.

    Parameters
    ----------
    place
        Its scheduler.
    allow_versions
        Whether workers of other versions may work, too.
    """

    place: Place
    allow_versions: bool = False


def cluster_of(
    scheduler: str | None, client: Any, allow_versions: bool, workers: int
) -> Cluster | None:
    """Read what a user says of a cluster; None where he says nothing.

    Raises
    ------
    InputError
        If it is none, Dask is not installed, or there is to be no process.
    """
    if scheduler is None and client is None:
        return None
    from haloassay.engine.executors.cluster import place_of

    if workers == 0:
        raise InputError("workers: 0 does all in this process, and a scheduler is given")
    return Cluster(place_of(scheduler, client), allow_versions)


@contextlib.contextmanager
def kept_open(cluster: Cluster | None, workers: int) -> Iterator[Mapping[str, Any]]:
    """Keep one connection for several runs, which take what is given: a queue is waited for once."""
    if cluster is None:
        yield {}
        return
    from haloassay.engine.executors.cluster import connected

    with connected(cluster.place, workers) as client:
        yield {"client": client, "allow_versions": cluster.allow_versions}


@contextlib.contextmanager
def crew_for(
    plan: Plan, workers: int, cluster: Cluster | None, report: Progress, ahead: bool
) -> Iterator[Crew | ClusterCrew | None]:
    """Workers for a plan, ``ahead``: before its mocks are made; None where new ones do."""
    if cluster is None:
        with crew_ahead(plan, workers if ahead else 0) as crew:
            yield crew
        return
    from haloassay.engine.executors.cluster import ClusterCrew

    there = ClusterCrew(cluster.place, plan, workers, cluster.allow_versions, report)
    try:
        if ahead:  # what cannot be used is refused before anything is written
            there.open()
        yield there
    finally:
        there.dismiss()


def available_workers() -> int:
    """Count the processors that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1


def execute(
    tasks: Iterable[Task],
    workers: int,
    timeout: float,
    stop: Callable[[], bool] = lambda: False,
    log: Log | None = None,
    crew: Crew | ClusterCrew | None = None,
) -> Generator[TaskResult | None, None, None]:
    """Run tasks in ``workers`` processes, or in this one, and yield their results as they come.

    None is yielded whenever all that have come have been yielded: a time to write them.

    Parameters
    ----------
    tasks
        Any number; only a few are taken at a time.
    workers
        Number of processes; 0 runs all tasks in this process, for a debugger, without time limit or protection.
    timeout
        Seconds that a task may take. A task that takes longer, or whose process dies, is tried once
        more with each estimator by itself, so that only the culprit is recorded as ``timeout`` or
        ``lost``.
    stop
        Asked several times a second; once true, the workers are stopped after all results that are
        there have been yielded.
    log
        File for what workers print; where there is none they print as this process does.
    crew
        Workers that are there already, in place of new ones; they are dismissed in the end.

    Raises
    ------
    HaloassayError
        If worker processes do not even start.
    """
    if workers == 0:
        return run_serially(tasks, stop)
    return run_in_pool(tasks, crew or Crew(workers, timeout), stop, log)
