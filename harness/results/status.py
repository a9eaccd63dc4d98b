"""How far a run has come: what is done, running, stopped or lost, in a folder and in its shards."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, get_args

from haloassay.base.errors import InputError
from haloassay.planning.scenario import Spec
from haloassay.planning.shard import Shard, shard_folders
from haloassay.results.description import read_description
from haloassay.results.due import dealt
from haloassay.results.lock import holder_of, named
from haloassay.results.outcome import Status
from haloassay.results.parts import listed
from haloassay.results.results import Results
from haloassay.results.stock import IS_FINAL

_ALL: Final = get_args(Status)
#: Shards that are named one by one.
_NAMED: Final = 10


@dataclass(frozen=True)
class Progress:
    """Of one folder.

    Parameters
    ----------
    name
        What it is of: the shard, or ``"all"``.
    due, done
        Catalogues that are to be made and read, and that are.
    statuses
        How runs of estimators ended, with how many of them.
    holder
        Who is writing into it; None where nobody is.
    last
        When the last result came, in seconds of the epoch; None where there is none.
    """

    name: str
    due: int
    done: int
    statuses: dict[str, int] = field(default_factory=dict)
    holder: dict[str, Any] | None = None
    last: float | None = None

    @property
    def state(self) -> str:
        """One of done, running, stopped, waiting."""
        if self.done >= self.due:
            return "done"
        if self.holder is not None:
            return "running"
        return "waiting" if self.last is None else "stopped"


@dataclass(frozen=True)
class RunStatus:
    """Of a run, and of its shards.

    Parameters
    ----------
    out
        Its folder.
    parts
        The folder itself, where it holds results, and each of its shards; those that have not begun, too.
    """

    out: Path
    parts: tuple[Progress, ...]

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        shards = [part for part in self.parts if part.name != "all"]
        for part in self.parts:
            if part.name == "all":
                yield f"{self.out}: {_told(part)}"
        if not shards:
            return
        due, done = sum(part.due for part in shards), sum(part.done for part in shards)
        yield f"{self.out}: {len(shards)} shards, {done} of {due} catalogues done"
        for state in ("done", "running", "stopped", "waiting"):
            of_state = [part for part in shards if part.state == state]
            if not of_state:
                continue
            names = [part.name for part in of_state]
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            yield f"  {len(names)} {state}: {', '.join(names[:_NAMED])}{more}"
        again = sum(part.statuses.get(s, 0) for part in shards for s in ("timeout", "lost"))
        if again:
            yield f"  {again} estimator runs timed out or were lost: the next run of their shards tries them again"


def _told(part: Progress) -> str:
    holder = f"running{named(part.holder)}" if part.holder is not None else part.state
    words = [f"{part.done} of {part.due} catalogues done", holder]
    ended = ", ".join(f"{n} {status}" for status, n in sorted(part.statuses.items()))
    words += [f"estimator runs: {ended}"] if ended else []
    if part.last is not None:
        words.append(f"last result {_ago(time.time() - part.last)} ago")
    return "; ".join(words)


def _ago(seconds: float) -> str:
    for size, unit in ((86400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 2.0 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0.0):.0f} s"


def status(out: str | Path) -> RunStatus:
    """Say how far a run has come; nothing is changed, and no file of results is read whole.

    Parameters
    ----------
    out
        Folder of the results, or of shards.

    Raises
    ------
    InputError
        If it holds neither.
    """
    place = Path(out)
    shards = shard_folders(place)
    own = read_description(place)
    told = {shard: read_description(path) for shard, path in shards.items()}
    known = next((each for each in (own, *told.values()) if each is not None), None)
    if known is None:
        raise InputError(f"{place}: holds neither results nor shards of a run")
    parts = []
    if own is not None:
        parts.append(_progress("all", place, own, int(dealt(own, 1)[0])))
    for of in dict.fromkeys(shard.of for shard in shards):
        due = dealt(known, of)
        for number in range(1, of + 1):
            shard = Shard(number, of)
            description = told.get(shard)
            if description is None:
                parts.append(Progress(str(shard), int(due[number - 1]), 0))
            else:
                path = shards[shard]
                parts.append(_progress(str(shard), path, description, int(due[number - 1])))
    return RunStatus(place, tuple(parts))


def _progress(name: str, out: Path, description: Spec, due: int) -> Progress:
    files = listed(out)
    results = Results(out, description)
    results.trust([path.stem for path in files])
    counts = ", ".join(f"count(*) FILTER (status = '{status}') AS \"{status}\"" for status in _ALL)
    sums = ", ".join(f'coalesce(sum("{status}"), 0)::BIGINT AS "{status}"' for status in _ALL)
    (told,) = results.query(
        f"SELECT count(*) FILTER (whole) AS done, {sums} FROM (SELECT cell, realization,"
        f" bool_and({IS_FINAL}) AS whole, {counts} FROM own_runs GROUP BY cell, realization)"
    ).to_dict("records")
    statuses = {status: int(told[status]) for status in _ALL if told[status] > 0}
    last = max((path.stat().st_mtime for path in files), default=None)
    return Progress(name, due, int(told["done"]), statuses, holder_of(out), last)
