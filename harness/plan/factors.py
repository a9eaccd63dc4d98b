"""Paths of factors: where in the tables of a cell a setting stands, and putting a level there."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any, Final

from haloassay.base.errors import InputError
from haloassay.plan.scenario import Spec

_ABSENT: Final = object()


def split_path(path: str, spec: Spec, origin: str) -> tuple[str, ...]:
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


def look_up(path: tuple[str, ...], *tables: Any) -> Any:
    """Value at a path in the first table that has it; None where no table does."""
    for table in tables:
        for key in path:
            table = _step(table, key)
        if table is not _ABSENT:
            return table
    return None


def assign(spec: Spec, resolved: Spec, path: tuple[str, ...], level: Any, where: str) -> None:
    """Set the value at a path; tables on the way that are left to defaults are filled in."""
    table: Any = spec
    for depth, key in enumerate(path[:-1], start=1):
        below = _step(table, key)
        if below is _ABSENT and isinstance(table, dict):
            default = look_up(path[:depth], resolved)
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


def short(level: Any) -> str:
    """Level as it stands in a label."""
    if isinstance(level, float) and abs(level) >= 1e6:  # masses
        return f"{level:.12g}"
    return level if isinstance(level, str) else json.dumps(level, separators=(",", ":"))
