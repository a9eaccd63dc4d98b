"""Who runs the tasks of a run: this process, or worker processes."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable

from haloassay.engine.executors.pool import Crew, run_in_pool
from haloassay.engine.executors.serial import run_serially
from haloassay.engine.log import Log
from haloassay.engine.task import Task
from haloassay.results.outcome import TaskResult


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
    crew: Crew | None = None,
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
