"""Pilots: a few catalogues say how long a run will take, how large it will be, and how many realisations it needs."""

from __future__ import annotations

import json
import math
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np

from haloassay.analysis.rules import make_rule
from haloassay.base.errors import InputError
from haloassay.engine.executors import available_workers, execute
from haloassay.engine.progress import Progress
from haloassay.engine.runner import run
from haloassay.engine.sequential import FEWEST, MOST
from haloassay.engine.task import Task
from haloassay.mocks import make_mock
from haloassay.planning.cells import Cell, SampledCell
from haloassay.planning.plan import Plan, make_plan
from haloassay.planning.scenario import Scenario

#: Bytes of a row on disk, compressed, of the tables of estimates and of runs (measured on packaged scenarios).
_BYTES: Final = {"estimates": 55, "runs": 100}
#: Catalogues that are timed; the first also pays for the start of a process.
_TIMED: Final = 4


@dataclass(frozen=True)
class Cost:
    """What a run costs.

    Parameters
    ----------
    seconds
        Of one process, for all catalogues and their estimators.
    size
        Bytes of its rows on disk.
    """

    seconds: float
    size: float

    def by(self, workers: int) -> str:
        """Say what it takes with so many processes."""
        n = max(workers, 1)
        return f"about {_duration(self.seconds / n)} with {n} processes, {_size(self.size)} on disk"


def timed(plan: Plan) -> Cost | str:
    """Time a few catalogues of the first cell, and of one whose catalogues have mocks of their own.

    Why there is no time, if none of them came back.
    """
    seconds = size = 0.0
    sampled = [cell for cell in plan.cells if isinstance(cell, SampledCell)]
    for cells in ([cell for cell in plan.cells if cell not in sampled], sampled):
        if not cells:
            continue
        found = _catalogue(plan, cells[0])
        if isinstance(found, str):
            return found
        each, first = found
        n = sum(cell.size(plan.scenario.realizations) for cell in cells)
        seconds, size = seconds + n * each.seconds, size + n * each.size
        if cells[0] not in sampled:  # mocks that are made before the run
            seconds += first * len(_long(cells))
    return Cost(seconds, size)


def _long(cells: Sequence[Cell]) -> set[str]:
    """List mocks that take long, each once."""
    mocks = {json.dumps(cell.mock, sort_keys=True): cell.mock for cell in cells}
    return {content for content, mock in mocks.items() if make_mock(mock).takes_long}


def _catalogue(plan: Plan, cell: Cell) -> tuple[Cost, float] | str:
    """Cost of one catalogue of a cell, and seconds of the first, which makes the mock."""
    n = min(_TIMED, cell.size(plan.scenario.realizations))
    tasks = (
        Task(cell.at(i), i, plan.scenario.seed, cell.at(i).methods, cell.draw(i)) for i in range(n)
    )
    arrivals, sizes = [time.monotonic()], []
    for result in execute(tasks, 1, plan.scenario.timeout):
        if result is None:
            continue
        arrivals.append(time.monotonic())
        rows = sum(len(outcome.rows) for outcome in result.outcomes)
        sizes.append(rows * _BYTES["estimates"] + len(result.outcomes) * _BYTES["runs"])
    if not sizes:
        return "no catalogue came back"
    waits = [b - a for a, b in pairwise(arrivals)][1:] or [arrivals[-1] - arrivals[0]]
    # replicates of a point share its mock, so a mean and no median
    middle = np.mean if isinstance(cell, SampledCell) else np.median
    return Cost(float(middle(waits)), float(np.mean(sizes))), arrivals[1] - arrivals[0]


@dataclass(frozen=True)
class Forecast:
    """How many realisations a rule asks for; as text, the sentence that says so.

    Parameters
    ----------
    rule
        As it was given.
    realizations, spread
        How many, and the standard error of that, as a fraction; 0 where they are more than could be run.
    pilot
        Realisations of the pilot.
    catalogues, seconds, workers
        Of the whole run: how many, and how long they take with so many processes.
    unmet
        Row that asks for more than could be run, or "".
    """

    rule: str
    realizations: int
    spread: float
    pilot: int
    catalogues: int
    seconds: float
    workers: int
    unmet: str = ""

    def __str__(self) -> str:
        if self.unmet:
            return f"{self.rule}: not met by {10 * MOST} realisations: {self.unmet}"
        return (
            f"{self.rule}: about {self.realizations} realisations (+- {self.spread:.0%}, by a pilot of {self.pilot}),"
            f" {self.catalogues} catalogues, {_duration(self.seconds)} with {self.workers} processes"
        )


def needed(
    scenario: Scenario, until: str, pilot: int, workers: int | None, progress: Progress
) -> Forecast:
    """Say how many realisations a rule asks for, from a pilot that is thrown away, and how long they take.

    Raises
    ------
    InputError
        If the rule is none, or about no row of the pilot.
    """
    rule = make_rule(until)
    if pilot < 3:
        raise InputError(f"pilot: 3 realisations or more (got {pilot})")
    n_workers = available_workers() if workers is None else workers
    with tempfile.TemporaryDirectory(prefix="haloassay-") as folder:
        small = scenario.revise(matrix={**scenario.matrix.model_dump(), "points": None})
        start = time.monotonic()
        results = run(small, Path(folder) / "pilot", pilot, n_workers, progress=progress)
        seconds = time.monotonic() - start
        frame = rule.of(results)
    tasks = len(make_plan(small.revise(realizations=pilot)))
    steps = np.geomspace(1.0, 10.0 * MOST / pilot, 400)
    met = next(
        (float(step) for step in steps if not rule.fails(frame, float(step)).any()), math.nan
    )
    # a Monte Carlo error of k realisations is itself known to 1 / sqrt(2 (k - 1)), and n goes with its square
    spread = 2.0 / math.sqrt(2.0 * (pilot - 1))
    n_workers = max(n_workers, 1)
    if not math.isfinite(met):
        worst = frame[rule.fails(frame, float(steps[-1]))].iloc[0]
        where = ", ".join(str(worst[k]) for k in ("cell", "estimator", "quantity"))
        return Forecast(until, 0, spread, pilot, 0, math.nan, n_workers, where)
    n = max(FEWEST, math.ceil(pilot * met))
    total = len(make_plan(small.revise(realizations=n)))
    return Forecast(until, n, spread, pilot, total, seconds * total / tasks, n_workers)


def _duration(seconds: float) -> str:
    if seconds < 90.0:
        return f"{seconds:.2g} s"
    if seconds < 90.0 * 60.0:
        return f"{seconds / 60.0:.0f} min"
    return f"{seconds / 3600.0:.1f} h"


def _size(size: float) -> str:
    for unit in ("kB", "MB"):
        size /= 1000.0
        if size < 1000.0:
            return f"{size:.3g} {unit}"
    return f"{size / 1000.0:.3g} GB"
