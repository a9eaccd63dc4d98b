"""Mocks, surveys and estimators meet before anything is written: what cannot be is refused, what is missing is said."""

from __future__ import annotations

import dataclasses
import functools
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from haloassay.base import kinds
from haloassay.base.cache import can_keep
from haloassay.base.errors import InputError, blamed_on
from haloassay.cleaning.steps import make_clean
from haloassay.contracts.catalogue import SELECTION, in_words
from haloassay.contracts.quantities import QUANTITIES, Quantity
from haloassay.engine.executors.ahead import make_ahead
from haloassay.engine.executors.rehearsal import rehearse_mock
from haloassay.engine.task import history_seed
from haloassay.estimators import make_estimator
from haloassay.mocks import Mock, make_mock
from haloassay.mocks.surveys.survey import make_survey

if TYPE_CHECKING:
    from haloassay.contracts.estimate import Estimator
    from haloassay.mocks.truth import Truth
    from haloassay.planning.cells import Cell, Method
    from haloassay.planning.plan import Plan

#: Seconds between two lines about a mock that takes long.
_INTERVAL: Final = 10.0
#: Mocks from which processes of their own make them, and seconds that one of them takes then.
_FEWEST_AHEAD: Final = 3
_LONG: Final = 3.0


@dataclass(frozen=True)
class _Meeting:
    """What is known of a mock once it has been made.

    Parameters
    ----------
    number, abundances
        Those of the mock.
    facts
        What is worth knowing of it.
    silent
        Quantities that it has no truth of.
    """

    number: int | None
    abundances: Mapping[str, bool | None]
    facts: Mapping[str, Any]
    silent: frozenset[str]


def prepared(
    plan: Plan, say: Callable[[str], None] | None, workers: int = 1
) -> tuple[Plan, Sequence[str]]:
    """Make every mock once; workers find the expensive parts in the cache.

    Without anybody to tell, mocks are only checked. Those that take long are made by so many processes at once.

    Returns
    -------
    plan
        With what is worth knowing of the mocks, and without estimators in the cells whose catalogues lack what they
        need.
    notices
        What the user should know: which estimator is left out where, and what will have no truth beside it.

    Raises
    ------
    InputError
        If a mock cannot be made or observed, a step of cleaning lacks what it reads, or an estimator has what it needs
        in no cell.
    """
    wanted = _wanted(plan)
    if say is not None and workers > 1:
        _make_ahead(plan, workers, say)
    known: dict[str, _Meeting] = {}
    facts: dict[str, Mapping[str, Any]] = {}
    lacking: dict[str, dict[str, tuple[str, ...]]] = {}
    silent: dict[str, frozenset[str]] = {}
    for cell in plan.cells:
        content = json.dumps(cell.mock, sort_keys=True)
        try:
            survey = make_survey(cell.survey)
            if content not in known:
                with kinds.blamed_on_others(cell.mock):
                    mock = make_mock(cell.mock).realized(history_seed(plan.scenario.seed, 0))
                    survey.require_stars(mock.number)
                    known[content] = _meet(mock, cell.label, wanted, say)
                if say is not None and not kinds.is_foreign(cell.mock):
                    rehearse_mock(mock)
            met = known[content]
            survey.require_stars(met.number)
            survey.require_abundances(met.abundances)
        except InputError as error:
            where = f"{plan.scenario.origin}: mock of cell {cell.label!r}"
            raise InputError(f"{where}: {error}") from None
        facts[cell.label], silent[cell.label] = met.facts, met.silent
        handed_over = survey.hands_over(met.abundances)
        _require_cleanable(cell, handed_over, plan.scenario.origin)
        if make_clean(cell.clean).by_place:
            handed_over -= {SELECTION}
        lacking[cell.label] = _lacking(cell, handed_over)
    cells = tuple(_without(cell, lacking[cell.label]) for cell in plan.cells)
    left_out = list(_left_out(plan, lacking))
    plan = dataclasses.replace(plan, cells=cells, facts=facts)
    return plan, [*left_out, *_without_truth(plan, wanted, silent)]


def _make_ahead(plan: Plan, workers: int, say: Callable[[str], None]) -> None:
    """Make mocks that take long at once, where the first one shows that they do, and no cache has it."""
    found: dict[str, tuple[Cell, Mock]] = {}
    for cell in plan.cells:
        content = json.dumps(cell.mock, sort_keys=True)
        if content in found or kinds.is_foreign(cell.mock):
            continue
        try:
            mock = make_mock(cell.mock)
            if mock.takes_long:
                found[content] = cell, mock
        except InputError:  # who makes it next says where it is from
            return
    if len(found) < _FEWEST_AHEAD or not can_keep():
        return
    (cell, mock), *others = found.values()
    start = time.monotonic()
    try:
        mock.prepare(_Patience(cell.label, say))
    except InputError:
        return
    if time.monotonic() - start > _LONG:
        make_ahead([cell.mock for cell, _ in others], workers, say)


def _require_cleanable(cell: Cell, handed_over: frozenset[str], origin: str) -> None:
    """Raise :class:`InputError` where a step of cleaning reads what the catalogues of a cell lack."""
    for k, step in enumerate(make_clean(cell.clean).steps):
        missing = [name for name in step.required() if name not in handed_over]
        if missing:
            what = in_words(missing)
            raise InputError(
                f"{origin}: clean.{k} ({step.kind}): needs {what}, which the catalogues of cell {cell.label!r} lack"
            )


def _is_silent(truth: Truth, quantity: Quantity) -> bool:
    """Whether there is no truth of a quantity; one that fails is not silent, and booked where it is asked for."""
    try:
        return not truth.knows(quantity)
    except Exception:  # a third party's truth may fail in its own way
        return False


def _meet(
    mock: Mock, label: str, wanted: Mapping[str, Quantity], say: Callable[[str], None] | None
) -> _Meeting:
    if say is None:
        mock.check()
        facts: Mapping[str, Any] = {}
        silent = (q.name for q in wanted.values() if q.truth is None)
    else:
        facts = mock.prepare(_Patience(label, say))
        truth = mock.truth
        silent = (q.name for q in wanted.values() if _is_silent(truth, q))
    return _Meeting(mock.number, mock.abundances, facts, frozenset(silent))


class _Patience:
    """Says how far a mock that takes long has come, now and then."""

    def __init__(self, label: str, say: Callable[[str], None]) -> None:
        self.label, self.say = label, say
        self.last = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        if time.monotonic() - self.last > _INTERVAL:
            self.last = time.monotonic()
            self.say(f"following the stars of the mock of cell {self.label!r}: {done / total:.0%}")


@functools.lru_cache(maxsize=1024)
def _estimator(spec: str, label: str) -> Estimator:
    """Estimator of a table; most cells share theirs."""
    return make_estimator(json.loads(spec), f"estimators.{label}")


def _made(method: Method) -> Estimator:
    return _estimator(json.dumps(method.spec), method.label)


def _lacking(cell: Cell, handed_over: frozenset[str]) -> dict[str, tuple[str, ...]]:
    """Name what the catalogues of a cell lack, by the label of the estimator that needs it."""
    needs = {method.label: _required(method) for method in cell.methods}
    missing = {
        label: tuple(n for n in names if n not in handed_over) for label, names in needs.items()
    }
    return {label: names for label, names in missing.items() if names}


def _required(method: Method) -> tuple[str, ...]:
    with blamed_on(f"estimators.{method.label}: required()"):
        return tuple(map(str, _made(method).required()))


def _without(cell: Cell, lacking: Mapping[str, tuple[str, ...]]) -> Cell:
    methods = tuple(method for method in cell.methods if method.label not in lacking)
    return dataclasses.replace(cell, methods=methods)


def _left_out(plan: Plan, lacking: Mapping[str, Mapping[str, tuple[str, ...]]]) -> Iterator[str]:
    """Say which estimators are not applicable where; refuse those that are nowhere."""
    for entry in plan.scenario.estimators:
        cells = {
            cell: names[entry.label] for cell, names in lacking.items() if entry.label in names
        }
        if not cells:
            continue
        lacks = dict.fromkeys(name for names in cells.values() for name in names)
        what = in_words(lacks)
        if len(cells) == len(plan.cells):
            raise InputError(
                f"{plan.scenario.origin}: estimators.{entry.label}: needs {what}, which no catalogue of this mock and"
                " survey has"
            )
        yield f"{entry.label}: not applicable{_in_cells(list(cells), plan)}, for want of {what}"


def _wanted(plan: Plan) -> Mapping[str, Quantity]:
    """All quantities that estimators of a plan say they yield."""
    known = {**QUANTITIES, **{quantity.name: quantity for quantity in plan.quantities}}
    methods = {method.label: method for cell in plan.cells for method in cell.methods}
    return {name: known[name] for method in methods.values() for name in _made(method).yields}


def _without_truth(
    plan: Plan, wanted: Mapping[str, Quantity], silent: Mapping[str, frozenset[str]]
) -> Iterator[str]:
    """Say which quantities of which estimators no truth will stand beside."""
    found: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for cell in plan.cells:
        for method in cell.methods:
            names = tuple(n for n in _made(method).yields if n in silent[cell.label])
            found.setdefault((method.label, names), []).append(cell.label)
    for (label, names), cells in found.items():
        if names:
            where = _in_cells(cells, plan)
            yield f"{label}: the mock has no truth of {', '.join(names)}{where}: not scored"


def _in_cells(cells: Sequence[str], plan: Plan) -> str:
    """Name some cells of a plan; all of them need no name."""
    if len(cells) == len(plan.cells):
        return ""
    more = f" and {len(cells) - 1} more" if len(cells) > 1 else ""
    return f" in cell {cells[0]!r}{more}"
