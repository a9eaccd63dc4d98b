"""Mocks that take long are made by several processes at once before a run, and found in the cache by all others."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import wait
from typing import Any, Final

from haloassay.engine.executors.pool import single_threaded, worker_pool
from haloassay.mocks import make_mock

#: Seconds between two looks, and between two lines about them.
_LOOK: Final = 0.2
_INTERVAL: Final = 10.0


def make_ahead(
    mocks: Sequence[Mapping[str, Any]], workers: int, say: Callable[[str], None]
) -> None:
    """Make mocks, of these settings, by so many processes.

    What goes wrong is left to whoever makes the mock next, and says where it is from.
    """
    n, started, told = min(workers, len(mocks)), time.monotonic(), time.monotonic()
    say(f"making {len(mocks)} mocks with {n} processes")
    with single_threaded(), worker_pool(n) as pool:
        futures = [pool.schedule(_make, args=(dict(spec),)) for spec in mocks]
        try:
            while left := wait(futures, timeout=_LOOK).not_done:
                if time.monotonic() - told > _INTERVAL:
                    told = time.monotonic()
                    say(f"{len(mocks) - len(left)} of {len(mocks)} mocks, {told - started:.0f} s")
        finally:
            pool.stop()
            pool.join()


def _make(spec: dict[str, Any]) -> None:
    make_mock(spec).prepare()
