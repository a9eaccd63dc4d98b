"""One unit of work: one catalogue of one cell, read by its estimators. Plain data in and out."""

from __future__ import annotations

import copy
import functools
import json
import time
import traceback
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from haloassay.base.disk import let_go
from haloassay.base.errors import InputError, said_by
from haloassay.base.seeds import stream
from haloassay.contracts.catalogue import spans
from haloassay.contracts.columns import UNITS
from haloassay.contracts.quantities import Quantity
from haloassay.contracts.stored import StoredColumns
from haloassay.engine.acceptance import accepted
from haloassay.engine.isolation import fingerprint, is_touched, isolated
from haloassay.engine.log import has_printed
from haloassay.engine.together import place_of_truth
from haloassay.io.defects import sound_rows
from haloassay.planning.cells import Cell, Method
from haloassay.planning.scenario import Spec
from haloassay.results.outcome import Outcome, Status, TaskResult

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from haloassay.contracts.catalogue import Catalogue
    from haloassay.contracts.estimate import Estimate
    from haloassay.mocks import Mock
    from haloassay.mocks.surveys.survey import Observation, Survey
    from haloassay.mocks.truth import Truth

#: What the machine does to a task, whoever it hits: another try may well succeed.
_MACHINE: Final = (OSError, MemoryError)

#: Solved mocks that one process keeps at hand; cells of one realisation take turns.
_MOCKS_KEPT: Final = 16
#: The clock, whatever an estimator puts in its place.
_clock: Final = time.perf_counter
_MESSAGE_LENGTH: Final = 500
_TRACEBACK_LENGTH: Final = 8000
#: What is said of an estimator that prints.
PRINTED: Final = "printed"


@dataclass(frozen=True)
class Task:
    """A cell in one realisation, and which of its estimators are to run.

    Its random numbers are those of its realisation, or of ``draw``: points of a design that belong together share them.
    """

    cell: Cell
    realization: int
    seed: int
    methods: tuple[Method, ...]
    draw: int | None = None

    @property
    def random(self) -> int:
        """Realisation whose random numbers it has."""
        return self.realization if self.draw is None else self.draw


def run_task(task: Task) -> TaskResult:
    """Make the catalogue, let each estimator read it, and set the truth beside each estimate.

    Whatever an estimator raises or returns, it costs that estimator only. An error of mock, survey or cleaning is
    booked on the mock in all of the task's rows.
    """
    try:
        mock, observation = observe(task.cell, task.seed, task.random)
    except (Exception, SystemExit) as error:
        outcomes = tuple(_failure("no-mock", method, error) for method in task.methods)
        return TaskResult(task.cell, task.realization, outcomes)
    has_printed()  # what mock and survey have said is no estimator's
    done: list[Outcome] = []
    before = fingerprint(observation.catalogue)
    for method in task.methods:
        # a copy of the shell: what one estimator plants in it, the next does not find
        lent = replace(observation, catalogue=copy.copy(observation.catalogue))
        outcome = _run_method(method, task, mock, lent)
        if is_touched(observation.catalogue, before):
            outcome = replace(
                outcome,
                touched=(*outcome.touched, "changed the catalogue: made anew for the others"),
            )
            mock, observation = observe(task.cell, task.seed, task.random)
        done.append(outcome)
        let_go(getattr(observation.stars, each.name) for each in fields(observation.stars))
    return TaskResult(task.cell, task.realization, tuple(done))


def observe(cell: Cell, seed: int, realization: int) -> tuple[Mock, Observation]:
    """Mock of a cell, and what the survey made of one realisation of it, cleaned as the cell says."""
    spec = json.dumps(cell.mock)
    mock = mock_of(spec, history_seed(seed, realization))
    population = stream(seed, "population", realization)
    errors = stream(seed, "survey", realization)
    survey = _survey(json.dumps(cell.survey), json.dumps(cell.made.get("survey"), sort_keys=True))
    # has no name here: what is left of it by each step is not kept beside what the next one makes
    sound = _sound(survey.observe(mock, population, errors))
    if _mock(spec).differs:  # other realisations are of other stars
        sound = replace(sound, overlap=None)
    return mock, _cleaned(sound, cell.clean)


def _sound(observation: Observation) -> Observation:
    """Observation whose rows a file may have: those of absurd speed are left out, as its reader would, and counted.

    Raises
    ------
    InputError
        If rows have another defect.
    """
    _require_observable(observation.catalogue)
    kept, dropped = sound_rows(observation.catalogue, "unphysical")
    if not dropped:
        return observation
    columns = observation.catalogue.columns
    parts = {each.name: getattr(observation.stars, each.name) for each in fields(observation.stars)}
    drawn = observation.catalogue.drawn_covariance
    # without stars: of a large catalogue each array is given up before the next one is made
    empty = replace(observation.catalogue, columns={}, drawn_covariance=None, dropped=dropped)
    none = observation.stars.select(slice(0))
    observation = replace(observation, catalogue=empty, stars=none)
    if isinstance(columns, StoredColumns):
        columns = columns.subset(kept)
    else:
        columns = dict(columns)
        for name in columns:
            columns[name] = _left(columns[name], kept)
    for name in parts:
        parts[name] = _left(parts[name], kept)
    let_go(parts.values())
    drawn = None if drawn is None else drawn[kept]
    catalogue = replace(empty, columns=columns, drawn_covariance=drawn)
    return replace(observation, catalogue=catalogue, stars=replace(none, **parts))


def _left(values: NDArray[Any], kept: NDArray[np.bool_]) -> NDArray[Any]:
    """Take some rows of an array (N, ...), in its own memory where nobody else has it: the largest are among these."""
    if values.strides == (0,):  # one value that stands for all rows goes on doing so
        return np.broadcast_to(values[0], kept.sum())
    if not values.flags.writeable:
        return values[kept]
    n = 0
    for here in spans(len(values)):
        some = values[here][kept[here]]
        values[n : n + len(some)] = some
        n += len(some)
    return values[:n]


def _cleaned(observation: Observation, steps: list[Spec]) -> Observation:
    """Take stars out of the catalogue, and the same ones out of the true stars beside it."""
    if not steps:
        return observation
    from haloassay.cleaning.steps import make_clean

    cleaning = make_clean(steps)
    rows = cleaning.rows(observation.catalogue)
    catalogue = observation.catalogue.select(rows)
    if cleaning.by_place:  # the survey's selection is no longer all there is
        catalogue = replace(catalogue, selection=None)
    return replace(
        observation,
        catalogue=catalogue,
        stars=observation.stars.select(rows),
        blind=observation.blind and cleaning.blind,
    )


def _require_observable(catalogue: Catalogue) -> None:
    """Let no column pass that an observer does not have: a truth, most of all."""
    for name in catalogue.columns:
        if name not in UNITS:
            raise InputError(f"survey: column {name!r} is none that an observer has")


def missing(task: Task, status: Status, message: str) -> TaskResult:
    """Make the result of a task that never came back."""
    error_type = {"timeout": "TimeoutError", "lost": "ProcessLost"}.get(status, "")
    outcomes = tuple(Outcome(method, status, error_type, message) for method in task.methods)
    return TaskResult(task.cell, task.realization, outcomes)


@functools.lru_cache(maxsize=_MOCKS_KEPT)
def _mock(spec: str) -> Mock:
    from haloassay.mocks import make_mock

    return make_mock(json.loads(spec))


def history_seed(seed: int, realization: int) -> int:
    """Seed of the halo of a realisation, in mocks of which each has its own: cells share it."""
    return int(stream(seed, "history", realization).integers(2**32))


def mock_of(spec: str, seed: int) -> Mock:
    """Mock of a table as it is in the realisation of this seed."""
    mock = _mock(spec)
    return _realized(spec, seed) if mock.differs else mock


@functools.lru_cache(maxsize=_MOCKS_KEPT)
def _realized(spec: str, seed: int) -> Mock:
    return _mock(spec).realized(seed)


@functools.lru_cache(maxsize=_MOCKS_KEPT)
def _survey(spec: str, made: str) -> Survey:
    """Survey of a table; ``made`` tells what files hold that it names, which may change while a process lives."""
    from haloassay.mocks.surveys.survey import make_survey

    del made

    return make_survey(json.loads(spec))


def _run_method(method: Method, task: Task, mock: Mock, observation: Observation) -> Outcome:
    """Run one estimator, and keep what it does to this process from the next."""
    with isolated(global_seed(task.seed, method.label, task.random)) as touched:
        outcome = _outcome(method, task, mock, observation)
    if has_printed():
        touched.append(PRINTED)
    return replace(outcome, touched=tuple(touched))


def global_seed(seed: int, label: str, realization: int) -> int:
    """Seed of the global generators while an estimator runs: also one that draws from them repeats."""
    return int(stream(seed, f"globals:{label}", realization).integers(2**32))


def _outcome(method: Method, task: Task, mock: Mock, observation: Observation) -> Outcome:
    from haloassay.estimators import make_estimator

    start = _clock()
    seen = (len(observation.catalogue), observation.overlap)
    try:
        estimator = make_estimator(method.spec, f"estimators.{method.label}")
        rng = stream(task.seed, f"estimator:{method.label}", task.random)
        returned = estimator.estimate(observation.catalogue, rng)
        estimates, known = accepted(returned, estimator, len(observation.catalogue))
    except BaseException as error:  # even SystemExit: an estimator must not end the worker
        return _failure("failed", method, error, _clock() - start, *seen)
    seconds = _clock() - start
    try:
        rows = tuple(_row(row, known[row.quantity], mock.truth, observation) for row in estimates)
    except (Exception, SystemExit) as error:
        return _failure("no-mock", method, error, seconds, *seen)
    reference = stream(task.seed, f"reference:{method.label}", task.random)
    place = place_of_truth(tuple(estimates), [row["truth"] for row in rows], known, reference)
    joint = {f"joint_{name}": value for name, value in place._asdict().items()}
    return Outcome(method, "ok", "", "", seconds, *seen, rows, **joint)


def _failure(
    status: Status,
    method: Method,
    error: BaseException,
    seconds: float = 0.0,
    n_stars: int = 0,
    overlap: float | None = None,
) -> Outcome:
    """Say what came of it; ``status`` says whose doing it is, unless it is the machine's."""
    message = " ".join(_writable(said_by(error)).split())[:_MESSAGE_LENGTH]
    if isinstance(error, _MACHINE):
        status = "lost"
    trace = _writable("".join(traceback.format_exception(error)))
    if len(trace) > _TRACEBACK_LENGTH:
        trace = f"{trace[: _TRACEBACK_LENGTH // 4]}\n[...]\n{trace[-3 * _TRACEBACK_LENGTH // 4 :]}"
    return Outcome(
        method,
        status,
        type(error).__name__,
        message,
        seconds,
        n_stars,
        overlap,
        traceback=trace,
    )


def _writable(text: str) -> str:
    """Text without lone surrogates, which cannot be written."""
    return text.encode("utf-8", "replace").decode()


def _plain(text: str) -> str:
    """Text itself, of a class of somebody's own too: rows go to another process, which knows no such class."""
    return str.__str__(text)


def true_value(
    truth: Truth,
    observation: Observation,
    quantity: Quantity,
    where: tuple[float, float, float],
    toward: tuple[float, float] | None = None,
) -> float:
    """Truth that an estimate of ``quantity`` is compared with, at ``where`` (r, r_lo, r_hi) [kpc]; NaN of none."""
    truth = truth.of_blind if observation.blind else truth
    stars, sun = observation.stars, observation.catalogue.sun
    return float(truth.value(quantity, *where, stars, sun, toward))


def _row(estimate: Estimate, quantity: Quantity, truth_of: Truth, observation: Observation) -> Spec:
    """List the fields of an estimate, the truth there of what was selected, and its rank among the draws."""
    if estimate.stars is None:
        where = (estimate.r, estimate.r_lo, estimate.r_hi)
        truth = true_value(truth_of, observation, quantity, where, estimate.toward)
    else:
        truth_of = truth_of.of_blind if observation.blind else truth_of
        stars = observation.stars.select(estimate.stars)
        truth = float(truth_of.local_value(estimate.quantity, stars))
    fields: Spec = {
        "quantity": _plain(estimate.quantity),
        "bin": int(estimate.bin),
        "unit": _plain(estimate.unit),
        "note": _plain(estimate.note),
        "truth": truth,
        "rank": estimate.rank(truth, quantity.scale),
        "n_draws": 0 if estimate.draws is None else len(estimate.draws),
    }
    for name in ("r", "r_lo", "r_hi", "value", "lo68", "hi68", "lo95", "hi95"):
        fields[name] = float(getattr(estimate, name))
    return fields
