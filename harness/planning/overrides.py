"""Settings of a scenario that are changed from outside: by paths, as factors of a matrix name them."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any

from haloassay.base.errors import InputError
from haloassay.base.settings import unknown
from haloassay.planning.expansion import resolved_tables, tables_of
from haloassay.planning.matrix import varied_paths
from haloassay.planning.paths import assign, short, split_path
from haloassay.planning.scenario import Scenario, make_scenario


def overridden(
    scenario: Scenario, settings: Mapping[str, Any], with_estimators: bool = True
) -> Scenario:
    """Scenario with other values at some paths.

    Parameters
    ----------
    scenario
        To be changed.
    settings
        Values by path, such as ``survey.n_stars``, ``mock.potential.0.m200`` or ``estimators.*.bins``.
    with_estimators
        Whether estimators are built, to find settings that are left to their defaults.

    Raises
    ------
    InputError
        If a path leads nowhere, or a design combines levels of a factor there, so that no cell would have the value.
    """
    if not settings:
        return scenario
    tables = copy.deepcopy(tables_of(scenario))
    resolved = resolved_tables(scenario, with_estimators)
    matrix = scenario.matrix
    for path, value in settings.items():
        where = f"{scenario.origin}: set {path}"
        if path in varied_paths(matrix.model_dump()) and "one-at-a-time" not in matrix.designs:
            raise InputError(
                f"{where}: is a factor of the matrix, and no cell of design {', '.join(matrix.designs)!r} is without it"
            )
        for place in split_path(path, where, tables, resolved):
            assign(tables, resolved, place, value, where)
    estimators = [
        {**tables["estimators"][entry.label], "label": entry.label} for entry in scenario.estimators
    ]
    changed = {**tables, "estimators": estimators}
    return make_scenario({**scenario.to_dict(), **changed}, scenario.origin)


def narrowed(scenario: Scenario, only: Mapping[str, Sequence[Any]]) -> Scenario:
    """Scenario with some levels of its factors: a part of its cells.

    Parameters
    ----------
    scenario
        Whose matrix lists the levels.
    only
        Levels to keep, values or labels, by the labels of their factors. Factors that are not named keep all of
        theirs. Exclusions of levels that are gone go with them.

    Raises
    ------
    InputError
        If there is no such factor or level, or a prior says how likely each level is.
    """
    if not only:
        return scenario
    wanted: dict[str, list[str]] = {}
    matrix = scenario.matrix
    known = {entry.label: entry for entry in matrix.entries}
    for label, levels in only.items():
        where = f"{scenario.origin}: only"
        if label not in known:
            raise unknown("factor", label, known, where)
        if known[label].prior is not None:
            raise InputError(f"{where} {label}: has a prior, which is of all its levels")
        names = [_name(level) for level in known[label].levels]
        wanted[label] = [_among(names, short(level)) for level in levels]
        for level in wanted[label]:
            if level not in names:
                raise unknown(f"level of {label}", level, names, where)
    tables = matrix.model_dump()
    tables["factors"] = {
        path: _kept(levels, wanted.get(path)) for path, levels in matrix.factors.items()
    }
    tables["factor"] = [
        {**factor.model_dump(), "levels": _kept(factor.levels, wanted.get(factor.label))}
        for factor in matrix.factor
    ]
    tables["exclude"] = [
        each.model_dump()
        for each in matrix.exclude
        if all(
            label not in wanted or _among(wanted[label], short(level)) in wanted[label]
            for label, level in each.where.items()
        )
    ]
    return make_scenario({**scenario.to_dict(), "matrix": tables}, scenario.origin)


def _name(level: Any) -> str:
    """Level of a factor as labels of cells have it."""
    return str(level["label"]) if isinstance(level, Mapping) and "label" in level else short(level)


def _among(names: Sequence[str], level: str) -> str:
    """Name that a level has among those of a factor: numbers are the same however they are written."""
    if level in names:
        return level
    return next((name for name in names if _number(name) == _number(level)), level)


def _number(name: str) -> float:
    try:
        return float(name)
    except ValueError:
        return math.nan


def _kept(levels: Sequence[Any], wanted: Sequence[str] | None) -> list[Any]:
    return [level for level in levels if wanted is None or _name(level) in wanted]
