"""Who watches work that takes long."""

from __future__ import annotations

from collections.abc import Callable

#: Called now and then with the work done and all work, in any unit.
Watch = Callable[[int, int], None]


def part_watched(watch: Watch | None, part: int, parts: int) -> Watch | None:
    """Watch of one of several equal parts of a job, told as that of the whole."""
    if watch is None:
        return None
    return lambda done, total: watch(part * total + done, parts * total)
