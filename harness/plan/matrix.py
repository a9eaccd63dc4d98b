"""The matrix of a scenario: cells, each a mock, a survey and estimators with all their settings."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from haloassay.base.cache import content_key, plain_content
from haloassay.base.errors import InputError
from haloassay.base.settings import unknown
from haloassay.contracts.quantities import QUANTITIES, Quantity, known_quantities
from haloassay.plan.scenario import Scenario

Spec = dict[str, Any]
_ABSENT: Final = object()
#: Cells that a scenario may have.
MOST_CELLS: Final = 100_000


@dataclass(frozen=True)
class Method:
    """An estimator in a cell.

    Parameters
    ----------
    label, spec
        What to call it, and the table that builds it.
    made
        All that it is: kind, version, settings with defaults.
    key
        Content key of that.
    """

    label: str
    spec: Spec
    made: Any
    key: str


@dataclass(frozen=True)
class Cell:
    """One setting of all factors.

    Parameters
    ----------
    label
        The factors that were set, as in ``"survey.n_stars=500"``; ``"base"`` for the scenario as
        written, in a design around it.
    factors
        Level of every factor of the matrix in this cell, by path.
    mock, survey, clean
        Tables that build the components.
    methods
        The estimators.
    made
        All that mock, survey and cleaning are: kinds, versions, settings with defaults, digests of files.
    key
        Content key of that and of the seed.
    """

    label: str
    factors: Spec
    mock: Spec
    survey: Spec
    clean: list[Spec]
    methods: tuple[Method, ...]
    made: Spec
    key: str

    @property
    def content(self) -> tuple[str, ...]:
        """Keys of all that determines the cell's results."""
        return (self.key, *(method.key for method in self.methods))


def cells(scenario: Scenario) -> tuple[Cell, ...]:
    """All cells of a scenario, each built once so that every setting is known to be usable.

    Raises
    ------
    InputError
        If a component of a cell does not accept its settings, a factor's path leads nowhere, or
        there are more than :data:`MOST_CELLS`.
    """
    _require_countable(scenario)
    spec = {
        "mock": scenario.mock,
        "survey": scenario.survey,
        "clean": scenario.clean,
        "estimators": {entry.label: entry.spec for entry in scenario.estimators},
    }
    components = _Components()
    base = _build(scenario, spec, {}, "base", scenario.origin, components)
    resolved = components.contents(spec, scenario.origin)
    factors = scenario.matrix.factors
    paths = {path: _split(path, spec, scenario.origin) for path in factors}
    levels = {path: _look_up(paths[path], spec, resolved) for path in factors}
    base = dataclasses.replace(base, factors=levels)
    around_base = scenario.matrix.design == "one-at-a-time" or not factors
    found = {base.label: base} if around_base else {}
    for changes in _combinations(scenario):
        touched = {paths[path][0] for path in changes}
        changed = {k: copy.deepcopy(table) if k in touched else table for k, table in spec.items()}
        for path, level in changes.items():
            _assign(changed, resolved, paths[path], level, f"{scenario.origin}: factor {path!r}")
        label = ", ".join(f"{path}={_short(level)}" for path, level in changes.items())
        where = f"{scenario.origin}: cell {label!r}"
        cell = _build(scenario, changed, {**levels, **changes}, label, where, components)
        if around_base and cell.content == base.content:
            cell = dataclasses.replace(cell, label="base")
        found.setdefault(cell.label, cell)
    return tuple(found.values())


def _combinations(scenario: Scenario) -> Iterator[Spec]:
    """Levels that change, cell by cell."""
    factors = scenario.matrix.factors
    if scenario.matrix.design == "one-at-a-time":
        for path, levels in factors.items():
            for level in levels:
                yield {path: level}
    elif factors:
        for combination in itertools.product(*factors.values()):
            yield dict(zip(factors, combination, strict=True))


def _require_countable(scenario: Scenario) -> None:
    """Count the cells before any is built: a product of levels soon takes days to write down."""
    factors = scenario.matrix.factors
    sizes = [len(levels) for levels in factors.values()]
    full = scenario.matrix.design == "full"
    n = math.prod(sizes) if full else 1 + sum(sizes)
    if n > MOST_CELLS:
        how = " x ".join(map(str, sizes)) if full else " + ".join(map(str, [1, *sizes]))
        raise InputError(
            f"{scenario.origin}: matrix: {how} levels make {n} cells (allowed: {MOST_CELLS})"
        )


def _build(
    scenario: Scenario, spec: Spec, factors: Spec, label: str, where: str, components: _Components
) -> Cell:
    """Cell of plain tables."""
    made = components.contents(spec, where)
    estimators = made.pop("estimators")
    methods = tuple(
        Method(name, table, estimators[name], content_key([name, table["kind"], estimators[name]]))
        for name, table in spec["estimators"].items()
    )
    key = content_key([*made.values(), scenario.seed])
    return Cell(label, factors, spec["mock"], spec["survey"], spec["clean"], methods, made, key)


class _Components:
    """Contents of components; equal tables, which most cells share, are built only once."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], Any] = {}

    def contents(self, spec: Spec, where: str) -> Spec:
        """List the settings of all components of a cell, with defaults filled in."""
        from haloassay.cleaning.steps import make_step
        from haloassay.estimators import make_estimator
        from haloassay.mocks import make_mock
        from haloassay.mocks.surveys.survey import make_survey

        return {
            "mock": self._of(make_mock, spec["mock"], f"{where}: mock"),
            "survey": self._of(make_survey, spec["survey"], f"{where}: survey"),
            "clean": [
                self._of(make_step, step, f"{where}: clean[{k}]")
                for k, step in enumerate(spec["clean"])
            ],
            "estimators": {
                name: self._of(make_estimator, table, f"{where}: estimators.{name}")
                for name, table in spec["estimators"].items()
            },
        }

    def _of(self, make: Callable[[Any, str], Any], spec: Any, where: str) -> Any:
        try:
            key = (make.__name__, json.dumps(spec))
        except TypeError:  # something that is not plain, such as a Python function
            return _contents(make, spec, where)
        if key not in self._known:
            self._known[key] = _contents(make, spec, where)
        return self._known[key]


def _contents(make: Callable[[Any, str], Any], spec: Any, where: str) -> Any:
    """Build a component; return its settings with defaults, or the table where it hides them."""
    try:
        component = make(spec, where)
    except InputError:
        raise
    except Exception as error:  # a third party's class may refuse its settings in its own way
        raise InputError(f"{where}: {type(error).__name__}: {error}") from error
    if not dataclasses.is_dataclass(component):
        return spec
    try:
        return plain_content(component)
    except TypeError:
        return spec


def _split(path: str, spec: Spec, origin: str) -> tuple[str, ...]:
    """Keys of a factor's path; an estimator's label may itself contain dots."""
    where = f"{origin}: matrix.factors.{path}"
    head, _, rest = path.partition(".")
    if head not in spec or not rest:
        raise InputError(
            f"{where}: a path starts with mock., survey., clean. or estimators.<label>."
        )
    if head != "estimators":
        return (head, *rest.split("."))
    labels = [label for label in spec["estimators"] if rest.startswith(f"{label}.")]
    if not labels:
        known = ", ".join(spec["estimators"])
        raise InputError(
            f"{where}: no estimator of this label (labels: {known}), or no setting after it"
        )
    label = max(labels, key=len)
    return (head, label, *rest[len(label) + 1 :].split("."))


def _step(table: Any, key: str) -> Any:
    """Entry of a table or list, or ``_ABSENT``."""
    if isinstance(table, Mapping):
        return table.get(key, _ABSENT)
    if isinstance(table, list) and key.isdecimal() and int(key) < len(table):
        return table[int(key)]
    return _ABSENT


def _look_up(path: tuple[str, ...], *tables: Any) -> Any:
    """Value at a path in the first table that has it; None where no table does."""
    for table in tables:
        for key in path:
            table = _step(table, key)
        if table is not _ABSENT:
            return table
    return None


def _assign(spec: Spec, resolved: Spec, path: tuple[str, ...], level: Any, where: str) -> None:
    """Set the value at a path; tables on the way that are left to defaults are filled in."""
    table: Any = spec
    for depth, key in enumerate(path[:-1], start=1):
        below = _step(table, key)
        if below is _ABSENT and isinstance(table, dict):
            default = _look_up(path[:depth], resolved)
            below = table[key] = copy.deepcopy(default) if isinstance(default, dict) else {}
        table = below
    key = path[-1]
    if isinstance(table, dict):
        table[key] = copy.deepcopy(level)
    elif _step(table, key) is not _ABSENT:
        table[int(key)] = copy.deepcopy(level)
    else:
        raise InputError(
            f"{where}: the path does not exist: {'.'.join(path[:-1])!r} has no {key!r}"
        )


def _short(level: Any) -> str:
    """Level as it stands in a label."""
    if isinstance(level, float) and abs(level) >= 1e6:  # masses
        return f"{level:.12g}"
    return level if isinstance(level, str) else json.dumps(level, separators=(",", ":"))


@dataclass(frozen=True)
class Plan:
    """All that is to be run.

    Parameters
    ----------
    scenario, cells
        A scenario and its cells.
    quantities
        Those that its estimators yield and haloassay itself does not know.
    facts
        What is worth knowing of the mocks, by cell.
    """

    scenario: Scenario
    cells: tuple[Cell, ...]
    quantities: tuple[Quantity, ...] = ()
    facts: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        """Count the tasks: cells times realisations."""
        return len(self.cells) * self.scenario.realizations


def make_plan(scenario: Scenario) -> Plan:
    """Expand and check a scenario.

    Raises
    ------
    InputError
        As in :func:`cells`, or if an estimator yields a quantity that nobody has described.
    """
    return Plan(scenario, cells(scenario), _own_quantities(scenario))


def _own_quantities(scenario: Scenario) -> tuple[Quantity, ...]:
    """Quantities of the estimators that are not of this package."""
    from haloassay.estimators import estimator_class

    own: dict[str, Quantity] = {}
    for entry in scenario.estimators:
        where = f"{scenario.origin}: estimators.{entry.label}"
        cls = estimator_class(entry.kind, where)
        if not cls.quantities and set(cls.yields) <= set(QUANTITIES):
            continue
        try:
            known = known_quantities((*own.values(), *cls.quantities))
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
        for name in cls.yields:
            if name not in known:
                raise unknown("quantity", name, known, f"{where}: yields")
        mine = {*cls.yields, *(quantity.name for quantity in cls.quantities)} - set(QUANTITIES)
        own |= {name: known[name] for name in known if name in mine}
    return tuple(own.values())
