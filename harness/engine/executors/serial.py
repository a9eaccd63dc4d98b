"""Tasks in this process, one after another: for a debugger, and for tests of what surrounds them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterable

from haloassay.engine.task import Task, run_task
from haloassay.results.outcome import TaskResult


def run_serially(
    tasks: Iterable[Task], stop: Callable[[], bool]
) -> Generator[TaskResult | None, None, None]:
    """Run tasks one after another in this process, in one thread as workers do."""
    from threadpoolctl import ThreadpoolController

    known = 0
    for task in tasks:
        if stop():
            return
        if len(sys.modules) != known:  # a new module may have brought a library with threads
            libraries, known = ThreadpoolController(), len(sys.modules)
        with libraries.limit(limits=1):
            result = run_task(task)
        yield result
        yield None
