"""Settings of a scenario that are changed from outside: by paths, as factors of a matrix name them."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from haloassay.base.errors import InputError
from haloassay.planning.expansion import resolved_tables, tables_of
from haloassay.planning.matrix import varied_paths
from haloassay.planning.paths import assign, split_path
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
