"""Estimators that a scenario is given as objects of Python, turned into the plain tables that scenarios are made of."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np

from haloassay.base import kinds
from haloassay.base.errors import InputError
from haloassay.base.handed import hand_over
from haloassay.contracts.estimate import Estimator


def estimator_table(entry: Any, where: str) -> Any:
    """Table of an estimator that is given as a kind, a class, an instance, or a table whose kind is a class.

    What is nothing of these is returned as it is, for others to refuse.

    Raises
    ------
    InputError
        If a class is no estimator, or its source cannot be read (:mod:`haloassay.base.handed`).
    """
    if isinstance(entry, str):
        return {"kind": entry}
    if isinstance(entry, Mapping):
        cls = entry.get("kind")
        if not isinstance(cls, type):
            return entry
        return {"label": _label(cls), **entry, "kind": _kind(cls, where)}
    if isinstance(entry, type):
        return {"kind": _kind(entry, where), "label": _label(entry)}
    if isinstance(entry, Estimator):
        cls = type(entry)
        return {"kind": _kind(cls, where), "label": _label(cls), **_settings(entry)}
    return entry


def _label(cls: type) -> str:
    name = getattr(cls, "name", None)
    return name if isinstance(name, str) and name else cls.__name__.lower()


def _kind(cls: type, where: str) -> str:
    """Name by which a class is found."""
    if not issubclass(cls, Estimator):
        raise InputError(f"{where}: {cls.__qualname__!r} is not a subclass of haloassay.Estimator")
    missing = inspect.isabstract(cls)
    if missing:
        raise InputError(f"{where}: {cls.__qualname__!r} has no method 'estimate'")
    return kinds.name_of(cls) or hand_over(cls, where)


def _settings(component: Any) -> dict[str, Any]:
    """List the settings of a dataclass as a scenario has them, but for those at their defaults."""
    if not dataclasses.is_dataclass(component):
        return {}
    found = {}
    for field in dataclasses.fields(component):
        value = getattr(component, field.name)
        if field.init and value is not None and not _is_default(field, value):
            found[field.name] = _plain(value)
    return found


def _is_default(field: dataclasses.Field[Any], value: Any) -> bool:
    if field.default is dataclasses.MISSING:
        return False
    return type(value) is type(field.default) and bool(np.all(value == field.default))


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _settings(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
