"""What it costs an estimator that an assumption does not hold: told, and not judged."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from haloassay.contracts import labels
from haloassay.planning.paths import assign
from haloassay.testing.check import NotApplicable, check
from haloassay.testing.statistics import run_of
from haloassay.testing.subject import Subject

#: Realisations by level.
_REALIZATIONS: Final[Mapping[str, int]] = {"quick": 10, "standard": 20, "thorough": 100}


@check(
    "violations",
    "The bias on halos that break what it assumes, one assumption at a time.",
    "thorough",
    judged=False,
)
def violations(subject: Subject) -> str:
    """Break each, and tell the bias that is largest in units of its scatter."""
    if not subject.scenario:
        raise NotApplicable("states no halo on which what it assumes holds (ideal, --scenario)")
    if not subject.violations:
        raise NotApplicable("states nothing that breaks what it assumes (violations)")
    return "; ".join(
        f"{name}: {_worst(subject, changes)}" for name, changes in subject.violations.items()
    )


def _worst(subject: Subject, changes: Mapping[str, Any]) -> str:
    asked = json.dumps([subject.spec, changed(subject.scenario, changes)])
    results = run_of(asked, _REALIZATIONS[subject.level], subject.seed, subject.folder)
    scores = results.table()
    scores = scores[(scores["n"] >= 2) & (scores["scatter"] > 0)]
    scores = scores[[labels.quantity_of(name).scale != "separation" for name in scores["quantity"]]]
    if not len(scores):
        return "no value"
    units = np.abs(np.asarray(scores["bias"]) / np.asarray(scores["scatter"]))
    row = scores.iloc[int(np.argmax(units))]
    said = labels.error_text(row["bias"], row["bias_mcse"], row["quantity"], row["unit"])
    where = labels.at_radius(str(row["quantity"]), float(row["r"]))
    return f"{where} {said}, {units.max():.2g} times its scatter"


def changed(scenario: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Change settings of a mock and a survey by their paths, as those of factors.

    Raises
    ------
    InputError
        If a path does not exist.
    """
    spec = copy.deepcopy(dict(scenario))
    for path, value in changes.items():
        assign(spec, {}, tuple(path.split(".")), value, "violations")
    return spec
