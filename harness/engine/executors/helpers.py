"""Worker processes for work of which nothing is kept before its end: Ctrl-C stops them first, and then the work."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Final

from haloassay.base.errors import HaloassayError
from haloassay.engine.executors.pool import (
    prepare_worker,
    single_threaded,
    worker_end,
    worker_pool,
)
from haloassay.engine.interrupt import Interrupt, deferred_interrupt

#: How often an interrupt is looked for [s].
_LOOK: Final = 0.2


class Helpers:
    """Processes that do what they are given until their block ends; see :func:`helpers`.

    Parameters
    ----------
    pool
        Pool of pebble's.
    interrupt
        Tells whether there was a signal.
    """

    def __init__(self, pool: Any, interrupt: Interrupt) -> None:
        self._pool = pool
        self._interrupt = interrupt

    def schedule(
        self, function: Callable[..., Any], *args: Any, timeout: float | None = None
    ) -> Future[Any]:
        """Hand out a call, which may take ``timeout`` seconds."""
        future: Future[Any] = self._pool.schedule(function, args=args, timeout=timeout)
        return future

    def undone(self, futures: Iterable[Future[Any]]) -> list[Future[Any]]:
        """Wait a moment, and list what is not done.

        Raises
        ------
        KeyboardInterrupt
            If there was a signal.
        """
        left = wait(futures, timeout=_LOOK).not_done
        self._interrupt.heed()
        return list(left)

    def result(self, future: Future[Any]) -> Any:
        """Wait for a result; raises what its call did, and KeyboardInterrupt after a signal."""
        while self.undone([future]):
            pass
        return future.result()


@contextlib.contextmanager
def helpers(
    workers: int, initializer: Callable[[bytes], None] = prepare_worker
) -> Iterator[Helpers]:
    """Start so many processes, which are gone after the block, whatever they do.

    Signals are held back in it, so that none comes while processes are started or stopped: whoever waits by
    :class:`Helpers` ends soon after one, and the block ends with it at the latest.

    Raises
    ------
    HaloassayError
        If processes end while they have nothing to do, as where they cannot start.
    KeyboardInterrupt
        If there was a signal.
    """
    with deferred_interrupt() as interrupt:
        pool = worker_pool(workers, initializer)
        try:
            yield Helpers(pool, interrupt)
        except Exception as error:
            interrupt.heed()  # SIGTERM to all processes of a group breaks the pool, too
            if isinstance(error, (BrokenProcessPool, RuntimeError)) and not pool.active:
                raise HaloassayError(
                    "worker processes end by themselves; their messages are above"
                ) from error
            raise
        finally:
            pool.stop()
            pool.join()
        interrupt.heed()


def in_order(
    function: Callable[..., Any], calls: Iterable[tuple[Any, ...]], workers: int
) -> Generator[Any, None, None]:
    """Results of calls with these arguments, in their order, by processes of one thread each.

    Raises
    ------
    HaloassayError
        If a process ends by itself.
    KeyboardInterrupt
        If there was a signal.
    """
    from pebble import ProcessExpired

    with single_threaded(), helpers(workers) as some:
        jobs = deque(some.schedule(function, *call) for call in calls)
        while jobs:
            try:
                found = some.result(jobs.popleft())
            except ProcessExpired as end:
                raise HaloassayError(f"{worker_end(end)}; its messages are above") from None
            yield found
