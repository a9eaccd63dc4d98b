"""What a run says while it runs: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections import Counter
from typing import Final, Protocol, TextIO

from haloassay.base.text import printable
from haloassay.results.outcome import TaskResult

LOGGER: Final = logging.getLogger("haloassay")
LOGGER.addHandler(logging.NullHandler())  # without any, warnings would be printed twice

#: Seconds between plain lines.
_INTERVAL: Final = 15.0


class Progress(Protocol):
    """What a run reports to."""

    def begin(self, total: int, done: int) -> None:
        """Hear how many tasks there are and how many of them earlier runs have done."""

    def advance(self, result: TaskResult) -> None:
        """Hear of a finished task."""

    def say(self, line: str) -> None:
        """Show a line."""

    def warn(self, line: str) -> None:
        """Show a line that the user should see even where little is shown."""

    def end(self) -> None:
        """Hear that no more comes."""


def make_progress(file: TextIO | None = None) -> Progress:
    """Progress on ``file`` (standard error): a bar where it is a terminal, else plain lines.

    Only what the user should know where the level of the logger ``haloassay`` is above INFO.
    """
    file = sys.stderr if file is None else file
    if LOGGER.level > logging.INFO:
        return Quiet(file)
    return Bar(file) if file.isatty() else Lines(file)


class Silent:
    """Says nothing but lines that the user must see, kept in ``lines``."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def begin(self, total: int, done: int) -> None:
        """Do nothing."""

    def advance(self, result: TaskResult) -> None:
        """Do nothing."""

    def say(self, line: str) -> None:
        """Keep the line."""
        self.lines.append(line)

    warn = say

    def end(self) -> None:
        """Do nothing."""


class _Tally:
    """Tasks done, statuses, rate and time left."""

    def __init__(self, total: int, done: int) -> None:
        self.total, self.done, self.new = total, done, 0
        self.statuses: Counter[str] = Counter()
        self.start = time.monotonic()

    def add(self, result: TaskResult) -> None:
        self.done += 1
        self.new += 1
        self.statuses.update(outcome.status for outcome in result.outcomes)

    @property
    def troubles(self) -> str:
        """Counts of estimator runs that were not ok: ``"2 failed, 1 timeout"``."""
        bad = sorted((status, n) for status, n in self.statuses.items() if status != "ok")
        return ", ".join(f"{n} {status}" for status, n in bad)

    def line(self) -> str:
        rate = self.new / max(time.monotonic() - self.start, 1e-9)
        left = (self.total - self.done) / rate if rate else float("inf")
        parts = [f"{self.done}/{self.total} tasks", f"{rate:.2f} a second", f"{clock(left)} left"]
        return ", ".join(parts + ([self.troubles] if self.troubles else []))


def clock(seconds: float) -> str:
    """Write a duration as hours, minutes and seconds."""
    if seconds == float("inf"):
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"


class _Told:
    """Lines that are records of the logger, and shown where its level lets them pass."""

    def __init__(self, file: TextIO) -> None:
        self.file = file

    def show(self, line: str) -> None:
        """Print the line."""
        print(line, file=self.file, flush=True)

    def say(self, line: str) -> None:
        """Tell a line."""
        self._tell(logging.INFO, line)

    def warn(self, line: str) -> None:
        """Tell a line that the user should know of."""
        self._tell(logging.WARNING, line)

    def detail(self, result: TaskResult) -> None:
        """Tell how the estimators of one catalogue ended, and in what time."""
        if LOGGER.isEnabledFor(logging.DEBUG):
            ends = (f"{o.method.label} {o.status} {o.seconds:.2f} s" for o in result.outcomes)
            where = f"cell {result.cell.label}, realisation {result.realization}"
            self._tell(logging.DEBUG, f"{where}: {', '.join(ends)}")

    def _tell(self, level: int, line: str) -> None:
        line = printable(line)
        LOGGER.log(level, "%s", line)
        taken = any(not isinstance(each, logging.NullHandler) for each in LOGGER.handlers)
        if not taken and level >= (LOGGER.level or logging.INFO):
            self.show(line)


class Quiet(_Told):
    """No progress: lines that the user should know of, and nothing else."""

    def begin(self, total: int, done: int) -> None:
        """Do nothing."""

    def advance(self, result: TaskResult) -> None:
        """Do nothing."""

    def end(self) -> None:
        """Do nothing."""


class Lines(_Told):
    """A plain line at the start, every quarter of a minute, and at the end."""

    def __init__(self, file: TextIO) -> None:
        super().__init__(file)
        self.tally = _Tally(0, 0)
        self.last = 0.0

    def begin(self, total: int, done: int) -> None:
        """Say how much there is to do."""
        self.tally = _Tally(total, done)
        self.last = time.monotonic()
        self.say(f"{total} tasks, {done} of them done before" if done else f"{total} tasks")

    def advance(self, result: TaskResult) -> None:
        """Count, and say so if the last line is long ago."""
        self.detail(result)
        self.tally.add(result)
        if time.monotonic() - self.last > _INTERVAL:
            self.last = time.monotonic()
            self.say(self.tally.line())

    def end(self) -> None:
        """Say how it ended."""
        if self.tally.new:
            self.say(self.tally.line())


class Bar(_Told):
    """A bar with the rate, the time left and the number of failures."""

    def __init__(self, file: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        super().__init__(file)
        self.tally = _Tally(0, 0)
        self.bar = RichProgress(
            TextColumn("tasks"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[troubles]}", style="red"),
            console=Console(file=file),
        )
        self.item = self.bar.add_task("tasks", total=None, rate="", troubles="")

    def begin(self, total: int, done: int) -> None:
        """Show the bar."""
        self.tally = _Tally(total, done)
        self.bar.update(self.item, total=total, completed=done)
        self.bar.start()

    def advance(self, result: TaskResult) -> None:
        """Move the bar."""
        self.detail(result)
        self.tally.add(result)
        rate = self.tally.new / max(time.monotonic() - self.tally.start, 1e-9)
        self.bar.update(
            self.item,
            completed=self.tally.done,
            rate=f"{rate:.2f} a second",
            troubles=self.tally.troubles,
        )

    def show(self, line: str) -> None:
        """Print the line above the bar."""
        self.bar.console.print(line, markup=False, emoji=False, highlight=False)

    def end(self) -> None:
        """Leave the bar as it is."""
        self.bar.stop()
