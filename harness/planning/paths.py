"""Paths of settings: where in the tables of a cell one stands, and putting a value there."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any, Final

from haloassay.base.errors import InputError
from haloassay.planning.scenario import Spec

_ABSENT: Final = object()


#: Estimator in a path that stands for all that have the setting.
EVERY: Final = "*"
#: Parts of a scenario that a path may name whole: a table for another.
_WHOLE: Final = ("mock", "survey")


def split_path(path: str, where: str, spec: Spec, resolved: Spec) -> list[tuple[str, ...]]:
    """Keys of the settings that a path names: one, or one an estimator where it says ``estimators.*``.

    An estimator's label may itself contain dots. ``mock`` and ``survey`` alone are the whole tables.
    """
    head, _, rest = path.partition(".")
    if path in _WHOLE:
        return [(path,)]
    if head not in spec or not rest:
        raise InputError(
            f"{where}: a path is mock or survey, or starts with mock., survey., clean. or estimators.<label>."
        )
    if head != "estimators":
        return [(head, *rest.split("."))]
    if rest.startswith(f"{EVERY}."):
        keys = rest[len(EVERY) + 1 :].split(".")
        every = [(head, label, *keys) for label in spec["estimators"]]
        found = [each for each in every if _find(each, spec, resolved) is not _ABSENT]
        if not found:
            raise InputError(f"{where}: no estimator has a setting {'.'.join(keys)!r}")
        return found
    labels = [label for label in spec["estimators"] if rest.startswith(f"{label}.")]
    if not labels:
        known = ", ".join(spec["estimators"])
        raise InputError(
            f"{where}: no estimator of this label (labels: {known}), or no setting after it"
        )
    label = max(labels, key=len)
    return [(head, label, *rest[len(label) + 1 :].split("."))]


def _step(table: Any, key: str) -> Any:
    """Entry of a table or list, or ``_ABSENT``."""
    if isinstance(table, Mapping):
        return table.get(key, _ABSENT)
    if isinstance(table, list) and key.isdecimal() and int(key) < len(table):
        return table[int(key)]
    return _ABSENT


def look_up(path: tuple[str, ...], *tables: Any) -> Any:
    """Value at a path in the first table that has it; None where no table does."""
    found = _find(path, *tables)
    return None if found is _ABSENT else found


def _find(path: tuple[str, ...], *tables: Any) -> Any:
    for table in tables:
        for key in path:
            table = _step(table, key)
        if table is not _ABSENT:
            return table
    return _ABSENT


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
        return f"{level:g}" if float(f"{level:g}") == level else f"{level:.12g}"
    return level if isinstance(level, str) else json.dumps(level, separators=(",", ":"))
