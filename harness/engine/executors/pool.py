"""Tasks in worker processes: a time limit each, and no task can take the others down."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import types
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.context import SpawnContext, SpawnProcess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from haloassay.base.errors import HaloassayError, HaloassayWarning, warn_in_one_line
from haloassay.base.handed import packed, unpack
from haloassay.engine.executors.descendants import (
    end_group,
    end_marked,
    mark_of_this_process,
    marked,
)
from haloassay.engine.executors.jobs import Job, Jobs
from haloassay.engine.executors.rehearsal import rehearsals, rehearse
from haloassay.engine.log import Log, redirect
from haloassay.engine.task import Task, run_task
from haloassay.results.outcome import TaskResult

if TYPE_CHECKING:
    from haloassay.engine.executors.cluster import ClusterCrew
    from haloassay.planning.plan import Plan

#: Variables that keep each worker to one thread: sums keep their order on any number of workers.
_THREADS: Final = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)
#: Exit code that no process has: of a worker that ended itself with 0.
_BY_ITSELF: Final = 1000
#: Tasks handed out a worker: one to work on and one to go on with.
_IN_FLIGHT: Final = 2
#: How often an interrupt or a broken pool is looked for [s].
_LOOK: Final = 0.2
#: Pools that may break in a row before the run gives up.
_BREAKS: Final = 3


def run_in_pool(
    tasks: Iterable[Task], crew: Crew | ClusterCrew, stop: Callable[[], bool], log: Log | None
) -> Generator[TaskResult | None, None, None]:
    """Run tasks in worker processes; see :func:`haloassay.engine.executors.execute`."""
    with single_threaded():
        try:
            yield from crew.run(iter(tasks), stop, log)
        finally:
            crew.dismiss()


@contextlib.contextmanager
def crew_ahead(plan: Plan, workers: int) -> Iterator[Crew | None]:
    """Workers that start, and rehearse, while this process makes the mocks of a plan; None where none are wanted."""
    if not workers or not len(plan):
        yield None
        return
    crew = Crew(min(workers, len(plan)), plan.scenario.timeout)
    try:
        with single_threaded():
            crew.rehearse(plan)
        yield crew
    finally:
        if not crew.busy:
            crew.dismiss()


@contextlib.contextmanager
def single_threaded() -> Iterator[None]:
    """Environment in which workers are started; replacements for killed workers start in it too."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


class WorkerProcess(SpawnProcess):
    """A process that does not import the main script again and does not hear Ctrl-C.

    Tasks are plain data, so a worker needs nothing of the script: ``run`` may be called in a script
    without the ``if __name__ == "__main__"`` guard. Processes that an estimator has started and left end with it
    (:mod:`haloassay.engine.executors.descendants`).
    """

    _is_over = False
    _mark = ""

    @property
    def exitcode(self) -> int | None:
        """Exit code, :data:`_BY_ITSELF` for 0: a worker never ends well by itself, and the pool takes no note of 0."""
        code = super().exitcode
        return _BY_ITSELF if code == 0 else code

    def is_alive(self) -> bool:
        """Tell whether the worker lives; once it does not, nothing that it has left behind does."""
        alive = super().is_alive()
        if not alive and not self._is_over and self.pid is not None:
            self._is_over = True
            end_group(self.pid)
            end_marked(self._mark)
        return alive

    def start(self) -> None:
        """Start it."""
        main = sys.modules["__main__"]
        sys.modules["__main__"] = types.ModuleType("__main__")
        try:
            with blocked_interrupt(), marked() as self._mark:
                super().start()
        finally:
            sys.modules["__main__"] = main


@contextlib.contextmanager
def blocked_interrupt() -> Iterator[None]:
    """Let children started inside inherit a blocked SIGINT, from their first instruction on."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Context(SpawnContext):
    Process = WorkerProcess


def prepare_worker(classes: bytes) -> None:
    """End this worker as soon as the main process is gone, whatever an estimator is doing.

    The main process makes all mocks, and says what there is to say of them.

    Parameters
    ----------
    classes
        What :func:`haloassay.base.handed.packed` has made of classes of the main process.
    """
    with contextlib.suppress(AttributeError, OSError):  # Windows; or a group of its own already
        os.setpgid(0, 0)
    unpack(classes)
    warnings.simplefilter("ignore", HaloassayWarning)
    warn_in_one_line()
    parent, mark = multiprocessing.parent_process(), mark_of_this_process()

    def follow() -> None:
        if parent is not None:
            parent.join()
        end_marked(mark)
        if hasattr(os, "getpgrp") and os.getpgrp() == os.getpid():
            end_group(os.getpid())
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def worker_pool(
    workers: int,
    initializer: Callable[[bytes], None] = prepare_worker,
    classes: bytes | None = None,
    context: SpawnContext | None = None,
) -> Any:
    """Pool of processes of pebble's; a task that ends its process does so for itself only.

    Parameters
    ----------
    workers
        Number of processes.
    initializer
        Runs in each of them first, and takes ``classes``.
    classes
        What :func:`haloassay.base.handed.packed` has made, here by default.
    context
        Makes the processes.
    """
    from pebble import ProcessPool

    given = (packed() if classes is None else classes,)
    context = context or _Context()
    return ProcessPool(workers, initializer=initializer, initargs=given, context=context)


def logged(task: Task, log: Path | None) -> TaskResult:
    """Run a task; what is printed meanwhile goes to a file."""
    if log is not None:
        redirect(log)
    return run_task(task)


def worker_end(error: Any) -> str:
    """Say how a worker ended, of pebble's ``ProcessExpired``."""
    code = 0 if error.exitcode == _BY_ITSELF else error.exitcode
    return f"the worker process ended (exit code {code})"


def told_by(error: BaseException, timeout: float) -> tuple[Literal["timeout", "lost"], str]:
    """Status and message of a task that a pool of pebble's has no result of."""
    from pebble import ProcessExpired

    if isinstance(error, TimeoutError):
        return "timeout", f"took longer than {timeout:g} s"
    if isinstance(error, ProcessExpired):
        return "lost", worker_end(error)
    return "lost", f"{type(error).__name__}: {error}"


class Crew:
    """Worker processes and the jobs they have.

    Parameters
    ----------
    workers
        Number of processes.
    timeout
        Seconds that a task may take.
    """

    def __init__(self, workers: int, timeout: float) -> None:
        self.workers = workers
        self.timeout = timeout
        self.log: Log | None = None
        self.jobs: dict[Future[TaskResult], Job] = {}
        self.breaks = 0
        self.busy = False
        self.pool = worker_pool(workers)

    def rehearse(self, plan: Plan) -> None:
        """Let workers load and compile what the tasks of a plan will need (:mod:`.rehearsal`)."""
        for part in rehearsals(plan, self.workers):
            self.pool.schedule(rehearse, args=part, timeout=self.timeout)

    def run(
        self, tasks: Iterator[Task], stop: Callable[[], bool], log: Log | None
    ) -> Iterator[TaskResult | None]:
        """Run tasks, and yield their results as they come; what workers print goes to ``log``.

        Whoever runs tasks dismisses the workers, too.
        """
        self.log, self.busy = log, True
        jobs = Jobs(tasks)
        while not stop():
            self._fill(jobs)
            if not self.jobs:
                return
            wait(self.jobs, timeout=_LOOK, return_when=FIRST_COMPLETED)
            yield from self._collect(jobs)
            yield None
            if self.log is not None:
                self.log.trim()
            if not self.pool.active:
                self._recover(jobs)
        yield from self._collect(jobs)

    def _fill(self, jobs: Jobs) -> None:
        """Hand out jobs."""
        while len(self.jobs) < _IN_FLIGHT * self.workers:
            job = jobs.next()
            if job is None:
                return
            log = None if self.log is None else self.log.path.absolute()
            future = self.pool.schedule(logged, args=(job.task, log), timeout=self.timeout)
            self.jobs[future] = job

    def _collect(self, jobs: Jobs) -> Iterator[TaskResult]:
        """Results of the jobs that are done."""
        for future in [future for future in self.jobs if future.done()]:
            job = self.jobs.pop(future)
            error = future.exception()
            if isinstance(error, (BrokenProcessPool, RuntimeError)) and not self.pool.active:
                jobs.put_back(job)
                continue
            self.breaks = 0
            if error is None:
                result = jobs.done(job, future.result())
            else:
                result = jobs.give_up(job, *told_by(error, self.timeout))
            if result is not None:
                yield result

    def _recover(self, jobs: Jobs) -> None:
        """Start new workers for the jobs of a pool that broke, as when an idle worker is killed."""
        self.breaks += 1
        if self.breaks > _BREAKS:
            raise HaloassayError(
                "worker processes end as soon as they start; their messages are above"
            )
        for job in self.jobs.values():
            jobs.put_back(job)
        self.jobs.clear()
        self.dismiss()
        self.pool = worker_pool(self.workers)

    def dismiss(self) -> None:
        """Stop all workers, whatever they do."""
        self.pool.stop()
        self.pool.join()
