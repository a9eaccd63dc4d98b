"""Who works: each worker is asked for its versions, and its cache is given what it lacks, before it has any task.

Mocks that take long have been made by this process. Of the workers that share a cache one is sent the files, so they
are made once and not once a worker.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from haloassay.base import cache
from haloassay.base.errors import HaloassayError, InputError, in_one_line
from haloassay.engine.executors.cluster import worker
from haloassay.engine.executors.cluster.likeness import (
    difference,
    instruction_sets,
    other_sets,
    versions,
)
from haloassay.engine.executors.cluster.link import Link
from haloassay.engine.executors.jobs import Job
from haloassay.engine.progress import Progress

#: Seconds in which workers that are there answer at the start; until it is said that there is none; between two lines
#: about who is there.
_GREETING: Final = 10.0
_LONELY: Final = 5.0
_INTERVAL: Final = 10.0
_LOOK: Final = 0.2


@dataclass
class Flight:
    """A group of jobs that a worker has, and what is to be heard of it."""

    jobs: list[Job]
    member: Member
    future: Any
    landing: Any = None
    over: bool = False
    #: When it was handed out, and the same group as another worker has it.
    start: float = field(default_factory=time.monotonic)
    twin: Flight | None = None

    @property
    def has_twin(self) -> bool:
        """Whether another worker has it, too."""
        return self.twin is not None and not self.twin.over

    def end(self) -> None:
        """Hear no more of it, whatever it does, and let the scheduler forget it at once."""
        self.over = True
        self.landing.cancel()
        with contextlib.suppress(Exception):  # its client may be closed
            self.future.release()


@dataclass
class Member:
    """A worker of the cluster.

    Parameters
    ----------
    address, threads
        Of the worker.
    state
        ``new``: has not been asked yet; ``asked``; ``stocking``: its cache is being filled; ``ready``; ``barred``.
    place
        Host and folder of its cache.
    flights
        What it has, in the order in which it takes them.
    pace
        Seconds that a task takes there; 0 while that is not known.
    """

    address: str
    threads: int
    state: str = "new"
    place: str = ""
    flights: list[Flight] = field(default_factory=list)
    pace: float = 0.0


class Roster:
    """Workers of a cluster, and who of them may work.

    Parameters
    ----------
    allow_versions
        Whether workers of other versions are taken, too.
    report
        Told who is there.
    recall
        Takes back what a worker has that is not there any more, or may not work.
    """

    def __init__(
        self, allow_versions: bool, report: Progress, recall: Callable[[Member], None]
    ) -> None:
        self.allow_versions, self.report, self.recall = allow_versions, report, recall
        self.names: Iterable[str] = ()
        self.members: dict[str, Member] = {}
        self.stocking: dict[str, list[Member]] = {}
        self.full: set[str] = set()
        self.told: set[str] = set()
        self.shown = (0, 0)
        self.last_shown = self.last_ready = time.monotonic()
        #: Whether some worker has done something: one that may not work is no reason to end the run then.
        self.has_worked = False
        self.link: Link

    @property
    def ready(self) -> list[Member]:
        """Workers that may have tasks."""
        return [member for member in self.members.values() if member.state == "ready"]

    def meet_all(self) -> None:
        """Wait until all that are there have said who they are, for some seconds.

        Raises
        ------
        InputError
            If one may not work.
        """
        end, heard = time.monotonic() + _GREETING, False
        while time.monotonic() < end:
            heard = self.link.hear(_LOOK) or heard
            if heard and all(m.state not in ("new", "asked") for m in self.members.values()):
                break
        self._show()

    def stock(self, names: Iterable[str]) -> None:
        """Let caches have these files, of mocks that have been made since workers were asked first."""
        self.names = sorted(names)
        for member in self.members.values():
            if member.state != "barred":
                member.state = "new"
        self.stocking = {}
        self.last_ready = time.monotonic()
        self._ask()

    def look(self) -> None:
        """Say who is there, now and then, and where nobody is.

        Raises
        ------
        HaloassayError
            If nobody who is there may work.
        """
        now = time.monotonic()
        if self.ready:
            self.last_ready = now
        elif self.members and all(m.state == "barred" for m in self.members.values()):
            raise HaloassayError(f"scheduler {self.link.address}: none of its workers can be used")
        elif now - self.last_ready > _LONELY:
            self.last_ready = now + _INTERVAL
            self.report.warn(
                f"Dask: no worker at {self.link.address}: waiting for one (Ctrl-C ends the run; what is done is kept)"
            )
        if now - self.last_shown > _INTERVAL or (self.members and not self.shown[0]):
            self._show()

    def _show(self) -> None:
        at_hand = [m for m in self.members.values() if m.state != "barred"]
        now = len(at_hand), sum(member.threads for member in at_hand)
        self.last_shown = time.monotonic()
        if now != self.shown:
            self.shown = now
            self.report.say(f"Dask: workers: {now[0]}, threads: {now[1]}")

    def clear(self) -> None:
        """Take back what all have, and forget them."""
        for member in self.members.values():
            self.recall(member)
        self.members, self.stocking = {}, {}
        self.last_ready = time.monotonic()

    def see(self, threads: dict[str, int]) -> None:
        """Hear who is there now."""
        for address in [address for address in self.members if address not in threads]:
            member = self.members.pop(address)
            for flight in member.flights[: member.threads]:  # what it was at; the others waited
                for job in flight.jobs:
                    job.losses += 1
            self.recall(member)
        for address, count in threads.items():
            if address not in self.members:
                self.members[address] = Member(address, max(count, 1))
        self._ask()

    def _ask(self) -> None:
        """Greet the new ones; each answers for itself, as one may hang."""
        for member in self.members.values():
            if member.state == "new":
                member.state = "asked"
                self.link.start(self._asking(self.link.client, member))

    async def _asking(self, client: Any, member: Member) -> None:
        where = {"workers": [member.address], "on_error": "return", "asynchronous": True}
        try:
            answers = await client.run(worker.greet, self.names, **where)
        except Exception as error:
            answers = {member.address: error}
        said = answers.get(member.address)
        self.link.inbox.put(functools.partial(self._meet, member, said))

    def _meet(self, member: Member, said: Any) -> None:
        """Hear what a worker says of itself, and let it work if it may."""
        if self.members.get(member.address) is not member or member.state != "asked":
            return
        if isinstance(said, Exception) and not isinstance(said, OSError | TimeoutError):
            # such as where it has no haloassay, or another one
            self.bar(member, f"cannot say what it has ({in_one_line(said)})")
        elif not isinstance(said, dict):
            member.state = "new"  # it went away, or will answer when it is asked next
        elif (other := difference(versions(), said["versions"])) and not self.allow_versions:
            self.bar(member, f"has other versions, which --allow-versions lets pass: {other}")
        else:
            if other:
                self.warn_once(f"worker {member.address} has other versions: {other}")
            if sets := other_sets(instruction_sets(), said["sets"]):
                self.warn_once(
                    f"processors have different instruction sets ({sets}): the last bits of estimates may differ;"
                    " NUMBA_CPU_NAME=generic and three more variables make them alike (docs/howto/clusters.md)"
                )
            self._take(member, said["place"], said["lacking"])

    def bar(self, member: Member, why: str) -> None:
        """Keep a worker from working.

        Raises
        ------
        InputError
            If none has worked yet.
        """
        member.state = "barred"
        line = f"worker {member.address} {why}"
        if not self.has_worked:
            raise InputError(f"scheduler {self.link.address}: {line}")
        self.warn_once(f"{line}: it is given nothing")
        self.recall(member)

    def _take(self, member: Member, place: str, lacking: tuple[str, ...]) -> None:
        """Let a worker work, once its cache has what it lacks, which one worker of each cache is given."""
        member.place = place
        if place in self.stocking:
            member.state = "stocking"
            self.stocking[place].append(member)
        elif lacking and place not in self.full:
            member.state = "stocking"
            self.stocking[place] = [member]
            self.link.start(self._filling(self.link.client, member, lacking))
        else:
            member.state = "ready"

    async def _filling(self, client: Any, member: Member, lacking: tuple[str, ...]) -> None:
        """Send files to the cache of a worker, one after another."""
        where = {"workers": [member.address], "allow_other_workers": False}
        reason: str | None = ""
        try:
            for name in lacking:
                content = cache.kept_bytes(name)
                if content is None or reason:
                    continue
                sent = await client.scatter(
                    content, workers=[member.address], hash=False, asynchronous=True
                )
                reason = await client.submit(worker.stock, name, sent, pure=False, **where)
        except (Exception, asyncio.CancelledError):
            reason = None
        self.link.inbox.put(functools.partial(self._filled, member.place, reason))

    def _filled(self, place: str, reason: str | None) -> None:
        """Let all workers of a cache work; where the one that was to fill it went away, ask them again."""
        if reason:
            self.full.add(place)
            self.warn_once(
                f"nothing can be kept in the cache {place} ({reason}): its workers make mocks themselves"
            )
        for member in self.stocking.pop(place, []):
            if member.state == "stocking":
                member.state = "new" if reason is None else "ready"
        self._ask()

    def warn_once(self, line: str) -> None:
        """Say something that the user should know of, once."""
        if line not in self.told:
            self.told.add(line)
            self.report.warn(f"Dask: {line}")
