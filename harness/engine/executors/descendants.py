"""Processes that estimators start and leave: they end with the worker.

Those that stay in the worker's group are ended with it. Those that leave it, as daemons do (``setsid``), are found by a
mark in the environment that the worker was started with: it is handed down, and Linux shows it of every process of the
user, whatever the process does to it later. Only a program that is started with an environment of its own, or on
another system, can go on.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Final

#: Environment variable of workers, and of all that they start.
_MARK: Final = "HALOASSAY_WORKER"
_PROCESSES: Final = Path("/proc")
#: Times that is looked for more: one that is found may have started another just before.
_LOOKS: Final = 10


@contextlib.contextmanager
def marked() -> Iterator[str]:
    """Let a process that is started inside have a mark, which is given and is like no other."""
    if hasattr(os, "killpg"):
        from multiprocessing import resource_tracker

        resource_tracker.ensure_running()  # it serves all workers: no mark for it
    before, mark = os.environ.get(_MARK), secrets.token_hex(16)
    os.environ[_MARK] = mark
    try:
        yield mark
    finally:
        if before is None:
            del os.environ[_MARK]
        else:
            os.environ[_MARK] = before


def mark_of_this_process() -> str:
    """Mark that this process was started with; empty where it is no worker."""
    return os.environ.get(_MARK, "")


def end_marked(mark: str) -> None:
    """Kill all processes but this one that have a mark."""
    text = f"{_MARK}={mark}".encode()
    for _ in range(_LOOKS):
        found = [pid for pid in _processes() if pid != os.getpid() and text in _environment(pid)]
        if not mark or not found:
            return
        for pid in found:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)


def end_group(group: int) -> None:
    """Kill all processes of a group, if there are any."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(OSError):
            os.killpg(group, signal.SIGKILL)


def _processes() -> list[int]:
    try:
        return [int(name) for name in os.listdir(_PROCESSES) if name.isdecimal()]
    except OSError:
        return []


def _environment(pid: int) -> list[bytes]:
    """Variables that a process was started with, if it may be asked."""
    try:
        return (_PROCESSES / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return []
