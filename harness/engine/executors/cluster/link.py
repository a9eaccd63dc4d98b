"""The connection to a scheduler: what happens there comes into one inbox; where it is lost, it is sought again."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import queue
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, Final

from haloassay.base.errors import HaloassayError, InputError
from haloassay.engine.executors.cluster.places import client_of, closing

#: How often is asked who is there [s].
_POLL: Final = 1.0
#: Seconds until a scheduler that went away is given up, and that one try takes.
PATIENCE: Final = 90.0
_TRY: Final = 3.0
_PAUSE: Final = 0.2

#: What is done, in the thread of the run, with something that happened.
Event = Callable[[], None]


class Link:
    """A client, and an inbox of what it hears.

    Parameters
    ----------
    client
        Connected.
    see
        Told, again and again, the threads of each worker that is there, by address.
    """

    def __init__(self, client: Any, see: Callable[[dict[str, int]], None]) -> None:
        self.see = see
        self.inbox: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self.stack = contextlib.ExitStack()
        self.address: str = client.scheduler.address
        self._attach(client)

    def _attach(self, client: Any) -> None:
        self.client = client
        self.watch = self.start(self._watching(client))

    async def _watching(self, client: Any) -> None:
        with contextlib.suppress(Exception):  # the scheduler is gone: the client's status tells
            while True:
                threads = await client.nthreads(asynchronous=True)
                self.inbox.put(functools.partial(self._tell, client, dict(threads)))
                await asyncio.sleep(_POLL)

    def _tell(self, client: Any, threads: dict[str, int]) -> None:
        if client is self.client:  # what an earlier one has heard is of workers that may be gone
            self.see(threads)

    @property
    def dashboard(self) -> str:
        """Address of the dashboard; empty where there is none."""
        services = self.client.scheduler_info().get("services", {})
        return self.client.dashboard_link if "dashboard" in services else ""

    @property
    def is_lost(self) -> bool:
        """Whether the scheduler does not answer any more."""
        return self.client.status != "running" or self.watch.done()

    def start(self, coroutine: Coroutine[Any, Any, Any]) -> Future[Any]:
        """Let something go on beside this thread, where the client is."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.client.loop.asyncio_loop)

    def hear(self, seconds: float) -> bool:
        """Do what is in the inbox; wait for something if nothing is. False if nothing came."""
        try:
            event = self.inbox.get(timeout=seconds) if seconds else self.inbox.get_nowait()
        except queue.Empty:
            return False
        while True:
            event()
            try:
                event = self.inbox.get_nowait()
            except queue.Empty:
                return True

    def renew(self, stop: Callable[[], bool]) -> None:
        """Connect with the same scheduler again, or with one that has taken its place.

        Raises
        ------
        HaloassayError
            If there is none for long.
        """
        security = getattr(self.client, "security", None)
        self.watch.cancel()
        end = time.monotonic() + PATIENCE
        while not stop():
            with contextlib.suppress(InputError):
                client = client_of(self.address, _TRY, security)
                self._attach(self.stack.enter_context(closing(client)))
                return
            if time.monotonic() > end:
                raise HaloassayError(
                    f"scheduler {self.address}: is gone; finished work is kept, run again to go on"
                )
            time.sleep(_PAUSE)

    def tell_all(self, function: Callable[..., Any], *args: Any) -> None:
        """Call a function on all workers, and do not wait for long."""
        if self.is_lost:
            return
        call = self.client.run(function, *args, on_error="ignore", asynchronous=True)
        with contextlib.suppress(Exception):
            self.start(asyncio.wait_for(call, _TRY)).result(2.0 * _TRY)

    def close(self) -> None:
        """Let go of clients that were made here."""
        self.watch.cancel()
        self.stack.close()
