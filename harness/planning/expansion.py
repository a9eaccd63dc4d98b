"""From a scenario to its cells: every component is built once, so that what cannot be is known before anything runs."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from haloassay.base.cache import content_key, plain_content
from haloassay.base.errors import InputError, blamed_on
from haloassay.contracts.factors import StatedFactor, StatedLevel
from haloassay.planning.cells import Cell, Method, SampledCell
from haloassay.planning.design import combinations, require_countable, sampling_of
from haloassay.planning.factors import Factor, Level, changed, make_factors, require_apart
from haloassay.planning.matrix import FIXED
from haloassay.planning.scenario import Scenario, Spec

#: Values of a prior that are tried before anything is run.
_TRIED: Final = 200
#: Those that are tried first, the ends among them: all others only where one of these cannot be.
_FIRST: Final = [round(k * (_TRIED - 1) / 23) for k in range(24)]


def cells(scenario: Scenario, with_estimators: bool = True) -> tuple[Cell, ...]:
    """All cells of a scenario: see :func:`expand`."""
    return expand(scenario, with_estimators)[0]


def expand(
    scenario: Scenario, with_estimators: bool = True
) -> tuple[tuple[Cell, ...], tuple[StatedFactor, ...]]:
    """All cells and factors of a scenario, each built once so that every setting is known to be usable.

    Without estimators these are not built, for one who wants catalogues only: their classes may not be here.

    Raises
    ------
    InputError
        If a component of a cell does not accept its settings, a factor's path leads nowhere, a prior allows what
        cannot be, or there are more than :data:`~haloassay.planning.design.MOST_CELLS`.
    """
    require_countable(scenario)
    spec = tables_of(scenario)
    components = _Components(with_estimators)
    resolved = components.contents(spec, scenario.origin)
    factors = make_factors(scenario.matrix.entries, spec, resolved, scenario.origin)
    builder = _Builder(scenario, spec, resolved, factors, components)
    for factor in factors:
        if factor.prior is not None:
            builder.require_possible(factor)
    designs = scenario.matrix.designs
    around_base = not factors or "one-at-a-time" in designs or not set(designs) & set(FIXED)
    base = builder.cell({}, "base", scenario.origin)
    found = {base.label: base} if around_base else {}
    for design in designs:
        if len(designs) > 1 or design != "one-at-a-time":
            require_apart(factors, scenario.origin)
        for cell in builder.fixed(design) if design in FIXED else builder.sampled(design):
            if around_base and cell.content == base.content:
                cell = replace(cell, label="base")
            found.setdefault(cell.label, cell)
    paired = [c.sampling for c in found.values() if isinstance(c, SampledCell) and c.is_paired]
    if paired and "base" in found:
        found["base"] = replace(found["base"], beside=tuple(paired))
    stated = tuple(builder.stated(factor, found) for factor in factors)
    return tuple(_shared(found.values())), stated


def tables_of(scenario: Scenario) -> Spec:
    """Tables that build the components of a scenario; estimators by their labels."""
    return {
        "mock": scenario.mock,
        "survey": scenario.survey,
        "clean": scenario.clean,
        "estimators": {entry.label: entry.spec for entry in scenario.estimators},
    }


def resolved_tables(scenario: Scenario, with_estimators: bool = True) -> Spec:
    """Tables of a scenario with all defaults (errors of components as in :func:`expand`)."""
    return _Components(with_estimators).contents(tables_of(scenario), scenario.origin)


def _shared(found: Iterable[Cell]) -> Iterator[Cell]:
    """Leave to an earlier cell what an estimator would do again on the same catalogues with the same settings."""
    owners: dict[tuple[str, str, str], str] = {}
    for cell in found:
        shared = {}
        for method in cell.methods:
            owner = owners.setdefault((cell.key, method.label, method.key), cell.label)
            if owner != cell.label:
                shared[method.label] = owner
        yield replace(cell, shared=shared) if shared else cell


@dataclass(frozen=True)
class _Builder:
    """Makes the cells of a scenario out of its tables and levels."""

    scenario: Scenario
    spec: Spec
    resolved: Spec
    factors: tuple[Factor, ...]
    components: _Components

    @property
    def written(self) -> Spec:
        """Values of all factors in the scenario as written."""
        return {factor.label: factor.base for factor in self.factors}

    def fixed(self, design: str) -> Iterator[Cell]:
        """Cells of a design of levels."""
        for levels in combinations(design, self.factors, self.scenario.matrix):
            label = ", ".join(f"{name}={level.label}" for name, level in levels.items())
            yield self.cell(levels, label, f"{self.scenario.origin}: cell {label!r}")

    def stated(self, factor: Factor, found: Mapping[str, Cell]) -> StatedFactor:
        """State what results say of a factor, with the cells in which its levels alone are changed."""
        levels = []
        for level in factor.levels:
            label = f"{factor.label}={level.label}"
            if label not in found:  # a level that changes nothing is the base
                alone = self.cell({factor.label: level}, label, f"{self.scenario.origin}: {label}")
                same = "base" in found and alone.content == found["base"].content
                label = "base" if same else ""
            levels.append(StatedLevel(level.label, level.value, label))
        return StatedFactor(factor.label, factor.paths, tuple(levels), factor.base, factor.prior)

    def cell(self, levels: Mapping[str, Level], label: str, where: str) -> Cell:
        """Cell with some levels changed."""
        spec = changed(self.spec, self.resolved, levels, self.scenario.origin)
        made = self.components.contents(spec, where)
        estimators = made.pop("estimators")
        methods = tuple(
            Method(
                name, table, estimators[name], content_key([name, table["kind"], estimators[name]])
            )
            for name, table in spec["estimators"].items()
        )
        key = content_key([*made.values(), self.scenario.seed])
        told = {**self.written, **{name: level.value for name, level in levels.items()}}
        return Cell(label, told, spec["mock"], spec["survey"], spec["clean"], methods, made, key)

    def sampled(self, design: str) -> Iterator[Cell]:
        """Cell of a design of points."""
        origin = self.scenario.origin
        if not self.factors:
            raise InputError(f"{origin}: matrix: design {design!r} has no factor to draw")
        for factor in self.factors:
            if factor.prior is None:
                raise InputError(
                    f"{origin}: factor {factor.label!r}: has no prior, and design {design!r} draws from priors"
                )
        sampling = sampling_of(design, self.scenario, len(self.factors))
        base = self.cell({}, design, origin)
        drawn = [[list(factor.paths), plain_content(factor.prior)] for factor in self.factors]
        named = [
            [level.label, [list(s) for s in level.settings]]
            for f in self.factors
            for level in f.levels
            if f.listed
        ]
        what = [design, sampling.replicates, drawn, named]
        if design == "latin-hypercube":
            what.append(sampling.points)
        key = content_key([base.key, *what])
        methods = tuple(replace(m, key=content_key([m.key, *what])) for m in base.methods)
        parts = (base.mock, base.survey, base.clean, methods, base.made, key)
        told = {factor.label: str(factor.prior) for factor in self.factors}
        yield SampledCell(
            design, told, *parts, sampling=sampling, varied=self.factors, resolved=self.resolved
        )

    def require_possible(self, factor: Factor) -> None:
        """Refuse a prior some of whose values no component accepts, and say what share of it they are."""
        if first := self._refusals(factor, _FIRST):
            share = len(self._refusals(factor, range(_TRIED))) / _TRIED
            raise InputError(
                f"{self.scenario.origin}: factor {factor.label!r}: {share:.1%} of its prior"
                f" {factor.prior} are values that cannot be ({first[0]}); give it limits"
            )

    def _refusals(self, factor: Factor, shares: Iterable[int]) -> list[str]:
        """Say why components refuse values of a prior, at the middles of some of its equal shares."""
        found = []
        for k in shares:
            level = factor.at((k + 0.5) / _TRIED)
            where = f"{factor.label} = {level.label}"
            try:
                self.components.contents(
                    changed(self.spec, self.resolved, {factor.label: level}, where), where
                )
            except InputError as error:
                found.append(str(error))
        return found


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
