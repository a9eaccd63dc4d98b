"""What a Dask worker does: it runs tasks in a process of its own, which it ends where one takes too long.

Each thread of a worker has such a process, which computes in one thread, so a task is isolated, timed and ended as it
is on one machine (:mod:`haloassay.engine.executors.pool`). Functions are found here by name, and take and give plain
data.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from multiprocessing.context import SpawnContext
from pathlib import Path
from typing import Any, Final, Literal

from haloassay.base import cache
from haloassay.base.errors import HaloassayError
from haloassay.engine.executors.cluster.likeness import instruction_sets, versions
from haloassay.engine.executors.pool import (
    WorkerProcess,
    logged,
    prepare_worker,
    single_threaded,
    told_by,
    worker_pool,
)
from haloassay.engine.log import take
from haloassay.engine.task import Task
from haloassay.planning.scenario import Spec
from haloassay.results.outcome import Outcome, TaskResult

#: Seconds after which processes that have nothing to do are ended: their run may be gone without a word.
_IDLE: Final = 120.0
#: Pools that may break in a row before the group is given back.
_BREAKS: Final = 3


@dataclass(frozen=True)
class Terms:
    """What all tasks of a run have in common.

    Parameters
    ----------
    run
        Name that no other run has.
    timeout
        Seconds that a task may take.
    classes
        What :func:`haloassay.base.handed.packed` has made.
    variables
        Of the environment of processes that compute.
    foreign
        Tables of estimators of others, by label, which must be found here.
    """

    run: str
    timeout: float
    classes: bytes
    variables: Mapping[str, str]
    foreign: tuple[tuple[str, Spec], ...]


@dataclass(frozen=True)
class End:
    """How a task ended: with outcomes, or with a status and the reason."""

    outcomes: tuple[Outcome, ...] = ()
    status: Literal["", "timeout", "lost"] = ""
    message: str = ""


@dataclass(frozen=True)
class Answer:
    """What became of a group of tasks.

    Parameters
    ----------
    ends
        One a task.
    printed
        What estimators printed.
    seconds
        That all of them took.
    refused
        Why none was begun, if so.
    """

    ends: tuple[End, ...] = ()
    printed: str = ""
    seconds: float = 0.0
    refused: str = ""


def greet(names: Sequence[str]) -> dict[str, Any]:
    """Say what computes here, where its cache is, and which files of some the cache lacks."""
    return {
        "versions": dict(versions()),
        "sets": instruction_sets(),
        "place": f"{socket.gethostname()}:{cache.cache_folder().absolute()}",
        "lacking": cache.not_kept(names),
    }


def stock(name: str, content: bytes) -> str:
    """Keep a file of another machine's cache; give the reason where that cannot be."""
    try:
        cache.take_over(name, content)
    except (OSError, HaloassayError) as error:
        return getattr(error, "strerror", None) or str(error)
    return ""


def run_group(terms: Terms, tasks: Sequence[Task]) -> Answer:
    """Run tasks one after another.

    Raises
    ------
    HaloassayError
        If no process can be started for them, or they were dismissed.
    """
    with _process_of(terms) as process:
        return process.run(tasks)


def dismiss(run: str) -> None:
    """End all processes of a run; it does not take long, as others wait for this worker."""
    with _lock:
        leaving = _processes.pop(run, [])
        _ended.append(run)
        del _ended[:-_REMEMBERED]
    for process in leaving:
        threading.Thread(target=process.end, daemon=True).start()


#: Processes of this worker that compute, by run; runs that were dismissed; both under one lock.
_processes: dict[str, list[_Process]] = {}
_ended: list[str] = []
_REMEMBERED: Final = 100
_lock: Final = threading.Lock()
#: Held while a process starts: it finds the environment and ``__main__`` of this one changed meanwhile.
_starting: Final = threading.Lock()


@contextlib.contextmanager
def _process_of(terms: Terms) -> Iterator[_Process]:
    """Process for the tasks of one thread: one that is there and has nothing to do, or a new one."""
    with _lock:
        if terms.run in _ended:
            raise HaloassayError("the run has ended")
        known = _processes.setdefault(terms.run, [])
        process = next((each for each in known if not each.busy), None)
        if process is None:
            if not any(_processes.values()):
                threading.Thread(target=_sweep, daemon=True).start()
            process = _Process(terms)
            known.append(process)
        process.busy = True
    try:
        yield process
    finally:
        with _lock:
            process.busy = False
            process.last = time.monotonic()


def _sweep() -> None:
    """End processes that have had nothing to do for long, as long as there are any."""
    while True:
        time.sleep(_IDLE / 4.0)
        with _lock:
            idle = []
            for run, known in [*_processes.items()]:
                late = [p for p in known if not p.busy and time.monotonic() - p.last > _IDLE]
                _processes[run] = [each for each in known if each not in late]
                if not _processes[run]:
                    del _processes[run]
                idle += late
            none_left = not _processes
        for process in idle:
            process.end()
        if none_left:
            return


class _TaskProcess(WorkerProcess):
    """A worker process of this Dask worker, in the environment that the run has."""

    def __init__(self, *args: Any, variables: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._variables = variables

    def start(self) -> None:
        with _starting, single_threaded(), _environment(self._variables), _allowed_children():
            super().start()


class _Context(SpawnContext):
    def __init__(self, variables: Mapping[str, str]) -> None:
        super().__init__()
        self.variables = variables

    def Process(self, *args: Any, **kwargs: Any) -> WorkerProcess:  # type: ignore[override]  # noqa: N802
        return _TaskProcess(*args, variables=self.variables, **kwargs)


@contextlib.contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _allowed_children() -> Iterator[None]:
    """Let a process that is daemonic, as workers of a nanny are, start another.

    That is forbidden lest children outlive it; ours end as soon as it is gone (:func:`prepare_worker`).
    """
    config: dict[str, Any] = getattr(multiprocessing.current_process(), "_config", {})
    before = config.get("daemon", False)
    config["daemon"] = False
    try:
        yield
    finally:
        config["daemon"] = before


def _unknown(foreign: Sequence[tuple[str, Spec]]) -> str:
    """Say which estimator of others is not found here."""
    from haloassay.estimators import make_estimator

    for label, spec in foreign:
        try:
            make_estimator(spec, f"estimators.{label}")
        except HaloassayError as error:
            return str(error)
    return ""


class _Process:
    """A process that computes, and the file that its prints go to."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.busy = self.over = self.checked = False
        self.last = 0.0
        self.folder: Path | None = None
        with contextlib.suppress(OSError):  # no room: prints go where those of the Dask worker go
            self.folder = Path(tempfile.mkdtemp(prefix="haloassay-"))
        self.pool = self._pool()

    @property
    def log(self) -> Path | None:
        return None if self.folder is None else self.folder / "printed"

    def _pool(self) -> Any:
        context = _Context(self.terms.variables)
        return worker_pool(1, prepare_worker, self.terms.classes, context)

    def run(self, tasks: Sequence[Task]) -> Answer:
        """Run tasks, each with its own time limit."""
        start = time.monotonic()
        if self.terms.foreign and not self.checked:
            if reason := self._refusal():
                return Answer(refused=reason)
            self.checked = True
        ends: list[End] = []
        breaks = 0
        while len(ends) < len(tasks):
            before = len(ends)
            self._run(tasks[before:], ends)
            breaks = 0 if len(ends) > before else breaks + 1
            if len(ends) == len(tasks):
                break
            if self.over or breaks > _BREAKS:
                raise HaloassayError("the run has ended" if self.over else "processes do not start")
            self.pool.stop()
            self.pool.join()
            self.pool = self._pool()
        printed = "" if self.log is None else take(self.log)
        return Answer(tuple(ends), printed, time.monotonic() - start)

    def _refusal(self) -> str:
        future = self.pool.schedule(
            _unknown, args=(self.terms.foreign,), timeout=self.terms.timeout
        )
        error = future.exception()
        if error is None:
            return str(future.result())
        # what hangs or ends the process does so in each task too, and is recorded there
        return ""

    def _run(self, tasks: Sequence[Task], ends: list[End]) -> None:
        """Append how tasks ended, until all have or the pool breaks, as where its process is killed while it waits."""
        futures: list[Future[TaskResult]] = [
            self.pool.schedule(logged, args=(task, self.log), timeout=self.terms.timeout)
            for task in tasks
        ]
        for future in futures:
            try:
                error = future.exception()
            except BaseException as stopped:  # cancelled with the pool
                error = stopped
            if error is None:
                ends.append(End(future.result().outcomes))
            elif not self.pool.active:
                return
            else:
                ends.append(End((), *told_by(error, self.terms.timeout)))

    def end(self) -> None:
        """End the process, whatever it does."""
        self.over = True
        self.pool.stop()
        self.pool.join()
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
