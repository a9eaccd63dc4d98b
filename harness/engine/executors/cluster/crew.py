"""Tasks on the workers of a Dask cluster, as :mod:`haloassay.engine.executors.pool` has them on this machine.

Each worker is handed a few by its address, never more than it does soon, so a million of them do not sit in the
scheduler; short ones go in groups. What a worker had that went away is handed to others.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from typing import Any, Final

from haloassay.base import cache, kinds
from haloassay.base.errors import HaloassayError, in_one_line
from haloassay.base.handed import packed
from haloassay.engine.executors.cluster import worker
from haloassay.engine.executors.cluster.link import PATIENCE, Link
from haloassay.engine.executors.cluster.places import Place, connected
from haloassay.engine.executors.cluster.roster import Flight, Member, Roster
from haloassay.engine.executors.jobs import Job, Jobs
from haloassay.engine.log import Log
from haloassay.engine.progress import Progress
from haloassay.engine.task import Task
from haloassay.planning.plan import Plan
from haloassay.results.outcome import TaskResult

#: How often an interrupt is looked for [s].
_LOOK: Final = 0.2
#: Groups handed out a thread of a worker: one to work on and one to go on with.
_IN_FLIGHT: Final = 2
#: Seconds that a group of short tasks takes, and more where threads are many: one scheduler serves all of them.
_GROUP: Final = 0.25
_GROUP_A_THREAD: Final = 0.01
#: Tasks in a group at most, and the least seconds that one is taken to need.
_MOST: Final = 200
_LEAST: Final = 1e-4
#: Workers that may go away one after another with a task before it is split, or given up.
_LOSSES: Final = 5
#: Seconds after which a group is late, and how many times longer than usual it has taken then.
_LATE: Final = 5.0
_SLOW: Final = 3.0
#: Groups that may raise one after another before the run gives up.
_ERRORS: Final = 20
#: Variables that decide which instructions compiled code uses, and whether code of others may run: those of this
#: process hold for all.
_VARIABLES: Final = (
    *("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES", "NPY_DISABLE_CPU_FEATURES", "OPENBLAS_CORETYPE"),
    *("GLIBC_TUNABLES", "HALOASSAY_NO_PLUGINS"),
)


class ClusterCrew:
    """Workers of a Dask cluster, and the jobs they have.

    Parameters
    ----------
    place
        Where the scheduler is.
    plan
        What will be run.
    workers
        How many are started, of a cluster of this machine.
    allow_versions
        Whether workers of other versions are taken, too.
    report
        Told who is there.
    """

    def __init__(
        self, place: Place, plan: Plan, workers: int, allow_versions: bool, report: Progress
    ) -> None:
        self.place, self.plan, self.workers, self.report = place, plan, workers, report
        self.busy = False
        self.roster = Roster(allow_versions, report, self._recall)
        self.jobs = Jobs(iter(()))
        self.log: Log | None = None
        self.results: deque[TaskResult] = deque()
        self.link: Link | None = None
        self.number = self.errors = 0
        self.stack = contextlib.ExitStack()
        # mocks are made from now on, and workers will need the same files
        self.names = self.stack.enter_context(cache.noting())

    def open(self) -> Link:
        """Connect, and compare versions with those of all workers that are there.

        Raises
        ------
        InputError
            If the scheduler does not answer, or a worker has other versions.
        """
        self.terms = _terms(self.plan)
        workers = max(min(self.workers, len(self.plan)), 1)
        client = self.stack.enter_context(connected(self.place, workers))
        self.link = self.roster.link = Link(client, self.roster.see)
        self.stack.callback(self.link.close)
        where = f"; dashboard {self.link.dashboard}" if self.link.dashboard else ""
        self.report.say(f"Dask: scheduler {self.link.address}{where}")
        self.roster.meet_all()
        return self.link

    def run(
        self, tasks: Iterator[Task], stop: Callable[[], bool], log: Log | None
    ) -> Iterator[TaskResult | None]:
        """Run tasks, and yield their results as they come; what workers print goes to ``log``.

        Whoever runs tasks dismisses the workers, too.

        Raises
        ------
        HaloassayError
            If the scheduler went away and did not come back, or no worker that is there may be used.
        """
        self.jobs, self.log, self.busy = Jobs(tasks), log, True
        first = self.jobs.next()
        if first is None:
            return
        self.jobs.put_back(first)
        link = self.link or self.open()
        self.roster.stock(self.names)
        while not stop():
            if self._hand_out(link):
                self._relieve(link)
                if not self.results and not self._has_flights():
                    return
            link.hear(_LOOK)
            yield from self._finished()
            yield None
            if link.is_lost:
                self._reconnect(link, stop)
            self.roster.look()
        link.hear(0.0)
        yield from self._finished()

    def dismiss(self) -> None:
        """Stop what workers do for this run, whatever it is, and let go of what was started here."""
        if self.link is not None:
            self.roster.clear()
            self.link.tell_all(worker.dismiss, self.terms.run)
        self.stack.close()
        self.link = None

    def _reconnect(self, link: Link, stop: Callable[[], bool]) -> None:
        """Hand out anew what was on its way, once there is a scheduler again."""
        self.report.warn(
            f"Dask: the scheduler at {link.address} does not answer: trying for {PATIENCE:.0f} s"
        )
        self.roster.clear()
        link.renew(stop)
        if not link.is_lost:
            self.report.say(f"Dask: connected with {link.address} again")

    def _has_flights(self) -> bool:
        return any(member.flights for member in self.roster.members.values())

    def _finished(self) -> Iterator[TaskResult]:
        while self.results:
            yield self.results.popleft()

    def _hand_out(self, link: Link) -> bool:
        """Give each worker as much as it does soon; tell whether nothing is left."""
        ready = self.roster.ready
        seconds = max(_GROUP, _GROUP_A_THREAD * sum(member.threads for member in ready))
        for depth in range(1, _IN_FLIGHT + 1):  # first one each, then one to go on with
            for member in ready:
                while len(member.flights) < depth * member.threads:
                    group = self._group(member, seconds)
                    if not group:
                        return True
                    self._submit(link, member, group)
        return False

    def _group(self, member: Member, seconds: float) -> list[Job]:
        """Jobs for a worker: as many as it does in so many seconds; one that has cost workers goes alone."""
        most = int(min(max(seconds / member.pace, 1.0), _MOST)) if member.pace else 1
        group: list[Job] = []
        while len(group) < most and (job := self.jobs.next()) is not None:
            if job.losses and group:
                self.jobs.put_back(job)
                break
            group.append(job)
            if job.losses:
                break
        return group

    def _relieve(self, link: Link) -> None:
        """Let those who have nothing to do, at the end, do what others have had for long: the first to come counts."""
        idle = [m for m in self.roster.ready if not m.flights and m.pace]
        flights = [f for m in self.roster.members.values() for f in m.flights if not f.has_twin]
        for member, flight in zip(idle, sorted(flights, key=lambda f: f.start), strict=False):
            usual = member.pace * len(flight.jobs)
            if time.monotonic() - flight.start > max(_LATE, _SLOW * usual):
                twin = self._submit(link, member, flight.jobs)
                twin.twin, flight.twin = flight, twin

    def _submit(self, link: Link, member: Member, group: list[Job]) -> Flight:
        self.number += 1
        tasks = [job.task for job in group]
        key = f"haloassay-{self.terms.run}-{self.number}"
        where = {"workers": [member.address], "allow_other_workers": False}
        future = link.client.submit(
            worker.run_group, self.terms, tasks, key=key, pure=False, **where
        )
        flight = Flight(group, member, future)
        member.flights.append(flight)
        flight.landing = link.start(_landing(future))
        flight.landing.add_done_callback(
            lambda done: link.inbox.put(functools.partial(self._land, flight, done))
        )
        return flight

    def _land(self, flight: Flight, landing: Future[Any]) -> None:
        """Hear how a group ended."""
        if flight.over:
            return
        flight.end()
        flight.member.flights.remove(flight)
        error = CancelledError() if landing.cancelled() else landing.exception()
        if error is None:
            self.errors = 0
            self._read(flight, landing.result())
        elif flight.has_twin:
            return
        elif isinstance(error, CancelledError | asyncio.CancelledError):
            self._take_back(flight.jobs)  # the scheduler went away, or forgot it
        else:
            self.errors += 1
            if self.errors > _ERRORS:
                raise HaloassayError(f"scheduler {self.place.name}: {in_one_line(error)}")
            for job in flight.jobs:
                job.losses += 1
            self._take_back(flight.jobs, in_one_line(error))

    def _read(self, flight: Flight, answer: worker.Answer) -> None:
        """Take what a worker has done."""
        member = flight.member
        if answer.refused:
            if not flight.has_twin:
                self._take_back(flight.jobs)
            self.roster.bar(member, f"cannot do it: {answer.refused}")
            return
        if flight.twin is not None and not flight.twin.over:
            flight.twin.end()
            flight.twin.member.flights.remove(flight.twin)
        self.roster.has_worked = True
        pace = max(answer.seconds / len(flight.jobs), _LEAST)
        member.pace = 0.5 * (member.pace + pace) if member.pace else pace
        if self.log is not None:
            self.log.append(answer.printed)
        for job, end in zip(flight.jobs, answer.ends, strict=True):
            if end.status:
                result = self.jobs.give_up(job, end.status, end.message)
            else:
                made = TaskResult(job.task.cell, job.task.realization, end.outcomes)
                result = self.jobs.done(job, made)
            self._keep(result)

    def _recall(self, member: Member) -> None:
        """Take back what a worker has."""
        for flight in member.flights:
            flight.end()
            if not flight.has_twin:
                self._take_back(flight.jobs, "the machine that had it went away")
        member.flights = []

    def _take_back(self, jobs: list[Job], why: str = "") -> None:
        """Hand jobs out once more, but those that have cost too many workers."""
        for job in jobs:
            if job.losses < _LOSSES:
                self.jobs.put_back(job)
            else:
                self._keep(self.jobs.give_up(job, "lost", f"{why} ({job.losses} times)"))

    def _keep(self, result: TaskResult | None) -> None:
        if result is not None:
            self.results.append(result)


async def _landing(future: Any) -> Any:
    return await future


def _terms(plan: Plan) -> worker.Terms:
    """Say what all tasks of a plan have in common."""
    methods = {method.label: method for cell in plan.cells for method in cell.methods}
    return worker.Terms(
        run=secrets.token_hex(4),
        timeout=plan.scenario.timeout,
        classes=packed(),
        variables={name: os.environ[name] for name in _VARIABLES if os.environ.get(name)},
        foreign=tuple((m.label, m.spec) for m in methods.values() if kinds.is_foreign(m.spec)),
    )
