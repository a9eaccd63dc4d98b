"""From plain values (TOML, command line) to frozen dataclasses, with errors that name the place."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import importlib
import json
import tomllib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from haloassay.errors import InputError

T = TypeVar("T")


def unknown(what: str, name: object, allowed: Iterable[str], where: str) -> InputError:
    """Error for a name that is not among the allowed ones, with the nearest of them as a guess."""
    names = sorted(allowed)
    guess = difflib.get_close_matches(str(name), names, n=1)
    hint = f"; did you mean {guess[0]!r}?" if guess else ""
    return InputError(f"{where}: unknown {what} {name!r}{hint} (allowed: {', '.join(names)})")


@functools.cache
def _validators(cls: type) -> dict[str, Callable[[str], Any]]:
    from pydantic import TypeAdapter

    hints = _type_hints(cls)
    return {
        f.name: functools.partial(TypeAdapter(hints[f.name]).validate_json, strict=True)
        for f in dataclasses.fields(cls)
        if f.init
    }


def _type_hints(cls: type) -> dict[str, Any]:
    import typing

    return typing.get_type_hints(cls)


def build(cls: type[T], spec: Mapping[str, Any], where: str) -> T:
    """Make an instance of the dataclass ``cls`` from plain values.

    Parameters
    ----------
    cls
        A dataclass; its type hints say what each setting may be, its ``__post_init__`` checks ranges.
    spec
        Setting names and plain values (numbers, strings, booleans, lists, tables).
    where
        What to call this place in an error, e.g. ``"mock.density"``.

    Raises
    ------
    InputError
        If a name is unknown or missing, or a value has the wrong type or range.
    """
    from pydantic import ValidationError

    fields = {f.name: f for f in dataclasses.fields(cls) if f.init}  # type: ignore[arg-type]
    for name in spec:
        if name not in fields:
            raise unknown("setting", name, fields, where)
    for name, f in fields.items():
        required = f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        if required and name not in spec:
            raise InputError(f"{where}: setting {name!r} is missing")
    values = {}
    for name, value in spec.items():
        try:
            values[name] = _validators(cls)[name](json.dumps(value))
        except ValidationError as error:
            first = error.errors()[0]
            path = ".".join([where, name, *(str(p) for p in first["loc"] if isinstance(p, int))])
            raise InputError(f"{path}: {first['msg']} (got {value!r})") from None
        except TypeError:
            raise InputError(f"{where}.{name}: {value!r} is not a plain value") from None
    try:
        return cls(**values)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def choose(kinds: Mapping[str, str], spec: Any, where: str, what: str) -> Any:
    """Make the component that ``spec["kind"]`` names, from a table of ``kind -> "module:Class"``."""
    if not isinstance(spec, Mapping):
        raise InputError(f"{where}: expected a table with a key 'kind' (got {spec!r})")
    if "kind" not in spec:
        raise InputError(f"{where}: key 'kind' is missing (allowed: {', '.join(sorted(kinds))})")
    kind = spec["kind"]
    if kind not in kinds:
        raise unknown(what, kind, kinds, where)
    settings = {key: value for key, value in spec.items() if key != "kind"}
    return build(load(kinds[kind]), settings, where)


def load(target: str) -> Any:
    """Import ``"module:name"``."""
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)


def parse_value(text: str) -> Any:
    """Value of a ``key=value`` option: TOML where it is TOML, else the string itself."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def require(condition: bool, message: str) -> None:
    """Raise :class:`InputError` with ``message`` unless ``condition`` holds; for ``__post_init__``."""
    if not condition:
        raise InputError(message)
