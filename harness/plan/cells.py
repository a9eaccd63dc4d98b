"""Cells of a scenario, each a mock, a survey and estimators with all their settings."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from haloassay.base.cache import content_key, plain_content
from haloassay.base.errors import blamed_on
from haloassay.plan.design import combinations, require_countable
from haloassay.plan.factors import assign, look_up, short, split_path
from haloassay.plan.scenario import Scenario, Spec


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


def cells(scenario: Scenario, with_estimators: bool = True) -> tuple[Cell, ...]:
    """All cells of a scenario, each built once so that every setting is known to be usable.

    Without estimators these are not built, for one who wants catalogues only: their classes may not be here.

    Raises
    ------
    InputError
        If a component of a cell does not accept its settings, a factor's path leads nowhere, or
        there are more than :data:`~haloassay.plan.design.MOST_CELLS`.
    """
    require_countable(scenario)
    spec = {
        "mock": scenario.mock,
        "survey": scenario.survey,
        "clean": scenario.clean,
        "estimators": {entry.label: entry.spec for entry in scenario.estimators},
    }
    components = _Components(with_estimators)
    base = _build(scenario, spec, {}, "base", scenario.origin, components)
    resolved = components.contents(spec, scenario.origin)
    factors = scenario.matrix.factors
    paths = {path: split_path(path, spec, scenario.origin) for path in factors}
    levels = {path: look_up(paths[path], spec, resolved) for path in factors}
    base = dataclasses.replace(base, factors=levels)
    around_base = scenario.matrix.design == "one-at-a-time" or not factors
    found = {base.label: base} if around_base else {}
    for changes in combinations(scenario):
        touched = {paths[path][0] for path in changes}
        changed = {k: copy.deepcopy(table) if k in touched else table for k, table in spec.items()}
        for path, level in changes.items():
            assign(changed, resolved, paths[path], level, f"{scenario.origin}: factor {path!r}")
        label = ", ".join(f"{path}={short(level)}" for path, level in changes.items())
        where = f"{scenario.origin}: cell {label!r}"
        cell = _build(scenario, changed, {**levels, **changes}, label, where, components)
        if around_base and cell.content == base.content:
            cell = dataclasses.replace(cell, label="base")
        found.setdefault(cell.label, cell)
    return tuple(found.values())


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

    def __init__(self, with_estimators: bool = True) -> None:
        self._with_estimators = with_estimators
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
                if self._with_estimators
                else table
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
    with blamed_on(where):  # a third party's class may refuse its settings in its own way
        component = make(spec, where)
    if not dataclasses.is_dataclass(component):
        return spec
    try:
        return plain_content(component)
    except TypeError:
        return spec
