"""From plain values (TOML, command line) to frozen dataclasses, with errors that name the place."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import json
import math
import sys
import tomllib
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

from haloassay.base.errors import InputError, blamed_on

T = TypeVar("T")

#: Letters from which a name may be meant as a part of another.
_LEAST_PART: Final = 3


def unknown(what: str, name: object, allowed: Iterable[str], where: str) -> InputError:
    """Error for a name that is not among the allowed ones, with the nearest of them as a guess."""
    names = sorted(set(allowed))
    return InputError(
        f"{where}: unknown {what} {name!r}{guess(name, names)} (allowed: {', '.join(names)})"
    )


def guess(name: object, names: Iterable[str]) -> str:
    """Write the nearest names as the part of an error that asks for them; empty where none is near."""
    near = [repr(each) for each in nearest(str(name), names)]
    if not near:
        return ""
    *others, last = near
    return f"; did you mean {' or '.join(filter(None, [', '.join(others), last]))}?"


def nearest(name: str, names: Iterable[str]) -> list[str]:
    """Up to three names that may be meant: in other letters' case, of which this is a part, or spelt alike.

    The first of these that there are: ``NFW`` is nfw, ``desi`` a part of desi-kgiants.
    """
    known = sorted(set(names))
    folded = {each: each.casefold() for each in known}
    wanted = name.casefold().strip()
    same = [each for each in known if folded[each] == wanted]
    if same:
        return same[:1]
    if len(wanted) >= _LEAST_PART:
        parts = [each for each in known if wanted in folded[each]]
        if parts:
            return sorted(parts, key=lambda each: (not folded[each].startswith(wanted), len(each)))[
                :3
            ]
    close = difflib.get_close_matches(wanted, list(folded.values()), n=1)
    return [each for each in known if folded[each] in close][:1]


@functools.cache
def type_hints(cls: Any) -> dict[str, Any]:
    """Type hints of the settings of a dataclass."""
    hints = typing.get_type_hints(cls)
    return {f.name: hints[f.name] for f in dataclasses.fields(cls) if f.init}


@functools.cache
def _validator(cls: Any, name: str) -> Callable[[str], Any]:
    from pydantic import TypeAdapter

    return functools.partial(TypeAdapter(type_hints(cls)[name]).validate_json, strict=True)


def build(cls: type[T], spec: Mapping[str, Any], where: str) -> T:
    """Make an instance of the dataclass ``cls`` from plain values.

    A table that stands for a setting which is a dataclass itself is built in the same way. ``nan`` is
    never a value; ``inf`` is one where the default of the setting is infinite, and so is there None, the
    null of JSON, which has no infinite numbers: it stands for that default.

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
    with blamed_on(where):  # a third party's class may refuse its settings in its own way
        return _built(cls, spec, where)


def _built(cls: type[T], spec: Mapping[str, Any], where: str) -> T:
    anything: Any = cls
    fields = {f.name: f for f in dataclasses.fields(anything) if f.init}
    for name in spec:
        if name not in fields:
            raise unknown("setting", name, fields, where)
    for name, f in fields.items():
        required = f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        if required and name not in spec:
            raise InputError(f"{where}: setting {name!r} is missing")
    values = {}
    for name, value in spec.items():
        path = f"{where}.{name}"
        nested = dataclasses_in(type_hints(anything)[name])
        if isinstance(value, Mapping) and len(nested) == 1:
            values[name] = build(nested[0], value, path)
        else:
            value = _unlimited(value, fields[name].default)
            _require_numbers(value, path, _is_infinite(fields[name].default))
            values[name] = _validated(_validator(anything, name), value, path)
    try:
        return cls(**values)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def dataclasses_in(hint: Any) -> list[Any]:
    """List dataclasses that a value of this type may be: the type itself, or branches of a union."""
    branches = typing.get_args(hint) if _is_union(hint) else (hint,)
    return [branch for branch in branches if dataclasses.is_dataclass(branch)]


def _is_union(hint: Any) -> bool:
    return typing.get_origin(hint) in (typing.Union, types.UnionType)


def _is_infinite(default: Any) -> bool:
    """Whether a default is infinite, or a tuple with something infinite."""
    parts = default if isinstance(default, tuple) else (default,)
    return any(isinstance(part, float) and math.isinf(part) for part in parts)


def _unlimited(value: Any, default: Any) -> Any:
    """Value in which infinite defaults stand in place of None, one by one in a list."""
    if (
        isinstance(default, tuple)
        and isinstance(value, list | tuple)
        and len(value) == len(default)
    ):
        return [_unlimited(*both) for both in zip(value, default, strict=True)]
    return default if value is None and _is_infinite(default) else value


def _require_numbers(value: Any, path: str, infinite: bool) -> None:
    """Raise :class:`InputError` for nan, and for inf unless ``infinite``, anywhere in ``value``."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            _require_numbers(item, f"{path}.{key}", infinite)
    elif isinstance(value, list | tuple):
        for i, item in enumerate(value):
            _require_numbers(item, f"{path}.{i}", infinite)
    elif isinstance(value, int | float):
        require(
            isinstance(value, int) or not math.isnan(value), f"{path} must be a number (got nan)"
        )
        require(infinite or abs(value) <= sys.float_info.max, f"{path} must be finite")


def _validated(validate: Callable[[str], Any], value: Any, path: str) -> Any:
    """Value of the right type, or one line that says which type that is."""
    from pydantic import ValidationError

    try:
        return validate(json.dumps(value))
    except ValidationError as error:
        raise _complaint(error.errors(include_url=False), value, path) from None
    except (TypeError, ValueError):
        raise InputError(f"{path}: {value!r} is not a plain value") from None


def _complaint(errors: Sequence[Mapping[str, Any]], value: Any, path: str) -> InputError:
    """Error of the branches of a union that got furthest into the value, all that tie together."""
    places = [_place(error["loc"], value) for error in errors]
    deepest = max(places, key=len)
    tied = [error for error, place in zip(errors, places, strict=True) if place == deepest]
    where = ".".join([path, *deepest])
    wanted = dict.fromkeys(_expected(error) for error in tied)
    return InputError(f"{where}: expected {' or '.join(wanted)} (got {tied[0]['input']!r})")


def _place(loc: Iterable[str | int], value: Any) -> list[str]:
    """Keys and positions of an error's location that exist in the value; the rest names branches."""
    place = []
    for step in loc:
        if isinstance(value, Mapping):
            inside = step in value
        else:
            inside = isinstance(value, list | tuple) and step in range(len(value))
        if inside:
            value = value[step]
            place.append(str(step))
    return place


#: What a type is called in a complaint, by pydantic's type of error.
_EXPECTED: Final = {
    "bool_type": "true or false",
    "dataclass_type": "a table",
    "dict_type": "a table",
    "float_type": "a number",
    "int_type": "an integer",
    "missing": "more values",
    "string_type": "a string",
    "too_long": "fewer values",
    "tuple_type": "a list",
}


def _expected(error: Mapping[str, Any]) -> str:
    if error["type"] == "literal_error":
        return str(error["ctx"]["expected"])
    return _EXPECTED.get(error["type"], f"something else: {error['msg']}")


def parse_value(text: str) -> Any:
    """Value of a ``key=value`` option: TOML where it is TOML, else the string itself."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
    except (ValueError, RecursionError):  # a number of thousands of digits, thousands of brackets
        raise InputError(f"{text[:40]}...: is no value that a setting can have") from None


def require(condition: bool, message: str) -> None:
    """Raise :class:`InputError` with ``message`` unless ``condition`` holds; for ``__post_init__``."""
    if not condition:
        raise InputError(message)
