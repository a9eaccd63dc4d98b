"""Ctrl-C and SIGTERM: held back until what is finished has been kept."""

from __future__ import annotations

import contextlib
import signal
import threading
import types
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

#: Signals that wait until the workers are stopped.
_HELD: Final = 2


@dataclass
class Interrupt:
    """Whether a run was asked to end: true when called, once a signal has come."""

    signals: list[int] = field(default_factory=list)

    def __call__(self) -> bool:
        """Tell whether there was a signal."""
        return bool(self.signals)

    def error(self) -> KeyboardInterrupt:
        """Make what ends the run; its only argument is ``"SIGTERM"`` if that came first."""
        terminated = self.signals[:1] == [signal.SIGTERM]
        return KeyboardInterrupt("SIGTERM") if terminated else KeyboardInterrupt()

    def heed(self) -> None:
        """Raise :meth:`error` if there was a signal: for places where nothing is half done."""
        if self.signals:
            raise self.error()


@contextlib.contextmanager
def deferred_interrupt() -> Iterator[Interrupt]:
    """Hold back Ctrl-C and SIGTERM: what is given tells whether there was one.

    A second one, as of an impatient user while workers are stopped, is held back too; from the
    third on they raise ``KeyboardInterrupt`` at once. Outside the main thread, where signals do not
    arrive, nothing is ever told.
    """
    interrupt = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return

    def note(number: int, frame: types.FrameType | None) -> None:
        interrupt.signals.append(number)
        if len(interrupt.signals) > _HELD:
            raise interrupt.error()

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interrupt
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
