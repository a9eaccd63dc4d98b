"""Tasks in this process, one after another: for a debugger, and for tests of what surrounds them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable

from haloassay.engine.task import Task, run_task
from haloassay.results.outcome import TaskResult


def run_serially(
    tasks: Iterable[Task], stop: Callable[[], bool]
) -> Generator[TaskResult, None, None]:
    """Run tasks one after another in this process, in one thread as workers do."""
    from threadpoolctl import threadpool_limits

    for task in tasks:
        if stop():
            return
        with threadpool_limits(1):
            result = run_task(task)
        yield result
