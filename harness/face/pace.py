"""What a command that takes long says of itself: what it is at, and for how long it has been."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from haloassay.face.endings import echo

#: Seconds after which a step is told, and between lines.
_PATIENCE: Final = 5.0


@contextmanager
def told(what: str) -> Iterator[None]:
    """Say on standard error, every few seconds, what goes on; a step that ends before that is not told.

    Parameters
    ----------
    what
        The step in words, such as ``"stars.fits: reading"``.
    """
    ended, start = threading.Event(), time.monotonic()

    def say() -> None:
        while not ended.wait(_PATIENCE):
            echo(f"{what}: {time.monotonic() - start:.0f} s so far", err=True)

    thread = threading.Thread(target=say, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
