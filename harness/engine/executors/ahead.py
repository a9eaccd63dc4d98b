"""Mocks that take long are made by several processes at once before a run, and found in the cache by all others."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Final

from haloassay.base.errors import HaloassayWarning
from haloassay.engine.executors.helpers import Helpers, helpers
from haloassay.engine.executors.pool import single_threaded
from haloassay.mocks import make_mock

#: Seconds between two lines about them.
_INTERVAL: Final = 10.0


def make_ahead(
    mocks: Sequence[Mapping[str, Any]], workers: int, say: Callable[[str], None]
) -> None:
    """Make mocks, of these settings, by so many processes; if one of them cannot be, none.

    What goes wrong is left to whoever makes the mock next, and says where it is from.

    Warns
    -----
    HaloassayWarning
        What making them warned of, each once: who finds them in the cache is not warned again.
    """
    n, started = min(workers, len(mocks)), time.monotonic()
    say(f"making {len(mocks)} mocks with {n} processes")
    with single_threaded(), helpers(n) as some:
        checks = [some.schedule(_check, dict(spec)) for spec in mocks]
        while some.undone(checks):
            pass
        if any(check.exception() is not None for check in checks):
            return
        made = [some.schedule(_make, dict(spec)) for spec in mocks]
        _watch(some, made, started, say)
    told = [warned for each in made if each.exception() is None for warned in each.result()]
    for category, message in dict.fromkeys(told):
        warnings.warn(message, category, stacklevel=2)


def _watch(
    some: Helpers, made: Sequence[Future[Any]], started: float, say: Callable[[str], None]
) -> None:
    """Wait, and say now and then how far it is."""
    told = started
    while left := some.undone(made):
        if time.monotonic() - told > _INTERVAL:
            told = time.monotonic()
            say(f"{len(made) - len(left)} of {len(made)} mocks, {told - started:.0f} s")


def _check(spec: dict[str, Any]) -> None:
    make_mock(spec).check()


def _make(spec: dict[str, Any]) -> list[tuple[type[Warning], str]]:
    """Make a mock, and list what that warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", HaloassayWarning)
        make_mock(spec).prepare()
    return [
        (each.category, str(each.message))
        for each in caught
        if issubclass(each.category, HaloassayWarning)
    ]
