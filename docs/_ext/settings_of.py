"""Settings of anything that a scenario can name, as the code has them: type, unit, default, range, meaning."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from haloassay.base.errors import InputError
from haloassay.base.settings import build

#: What stands in brackets behind a quantity in a docstring.
_UNIT = re.compile(
    r"\[((?:kpc|pc|Gyr|deg|dex|mag|Msun(?:/kpc\^3)?|km/s(?:/Mpc)?|mas/yr|\(km/s\)\^2)|kpc km/s)\]"
)

#: Values that are tried, to hear what is refused.
_NUMBERS = (-1e12, -100.0, -1.0, -1e-3, 0.0, 1e-3, 0.5, 1.5, 100.0, 1e6, 1e12, 1e30)
_INTEGERS = (-1, 0, 1, 2, 3, 10, 10**6, 10**12)
_LISTS = ([], [0.0], [-1.0, 1.0], [0.0, 0.0], [2.0, 1.0], [1.0, 2.0], [1.0, 2.0, 3.0], [1e12, 2e12])


@dataclass(frozen=True)
class Setting:
    """One setting: its name, what it may be, and what it means."""

    name: str
    type: str
    unit: str
    default: str
    allowed: tuple[str, ...]
    meaning: str
    tables: tuple[type, ...] = ()


def plain(text: str) -> str:
    """Docstring as Markdown: without the roles of Sphinx, and with nothing that looks like markup."""
    text = re.sub(r":\w+:`~?(?:[\w.]*\.)?(\w+)`", r"``\1``", text)
    parts = re.split(r"(``.*?``)", text, flags=re.DOTALL)
    return "".join(
        f"`{part[2:-2]}`" if k % 2 else re.sub(r"([*<\\])", r"\\\1", part)
        for k, part in enumerate(parts)
    )


def docstring(cls: Any) -> tuple[str, dict[str, str]]:
    """Read what a class says of itself before its parameters, and of each of them; bases speak where it is silent."""
    meanings: dict[str, str] = {}
    for base in reversed(inspect.getmro(cls)):
        own = inspect.cleandoc(base.__doc__ or "") if "__doc__" in vars(base) else ""
        meanings |= dict(_parameters(own))
    text = inspect.getdoc(cls) or ""
    return re.split(r"\n\n?(?:Parameters|Raises)\n-+\n", text)[0].strip(), meanings


def _parameters(text: str) -> Iterator[tuple[str, str]]:
    found = re.search(r"(?:^|\n)Parameters\n-+\n(.*?)(?:\n\n\w+\n-+\n|$)", text, re.DOTALL)
    for names, lines in re.findall(
        r"(?m)^(\S.*)\n((?:(?:    .*)?\n?)*)", found[1] if found else ""
    ):
        for name in names.split(" : ")[0].split(","):
            yield name.strip(), inspect.cleandoc(lines)


def settings_of(cls: Any, example: Mapping[str, Any] | None = None) -> tuple[Setting, ...]:
    """All settings of a dataclass or a model of pydantic.

    Parameters
    ----------
    cls
        The class.
    example
        Settings that make one, where the defaults do not: beside them others are tried.
    """
    meanings = docstring(cls)[1]
    if issubclass(cls, BaseModel):
        return tuple(_of_model(cls, name, meanings) for name in cls.model_fields)
    hints = typing.get_type_hints(cls)
    fields = [field for field in dataclasses.fields(cls) if field.init]
    return tuple(
        _setting(
            field.name,
            hints[field.name],
            _default(field),
            meanings.get(field.name, ""),
            _refusals(cls, field.name, hints[field.name], example),
        )
        for field in fields
    )


def _of_model(cls: type[BaseModel], name: str, meanings: Mapping[str, str]) -> Setting:
    field = cls.model_fields[name]
    given = field.get_default(call_default_factory=True)
    default = "required" if given is PydanticUndefined else _shown(given)
    bounds = {"ge": "from {}", "gt": "above {}", "le": "to {}", "min_length": "at least {} long"}
    allowed = tuple(
        words.format(f"{getattr(each, key):g}")
        for each in field.metadata
        for key, words in bounds.items()
        if getattr(each, key, None) is not None
    )
    return _setting(name, field.annotation, default, meanings.get(name, ""), allowed)


def _setting(name: str, hint: Any, default: str, meaning: str, allowed: tuple[str, ...]) -> Setting:
    unit = _UNIT.search(meaning)
    tables = tuple(_tables(hint))
    return Setting(name, _type(hint), unit[1] if unit else "", default, allowed, meaning, tables)


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default is not dataclasses.MISSING:
        return _shown(field.default)
    if field.default_factory is not dataclasses.MISSING:
        return _shown(field.default_factory())
    return "required"


def _shown(value: Any) -> str:
    if isinstance(value, BaseModel):
        value = value.model_dump()
    return "none given" if value is None else toml(value)


def toml(value: Any) -> str:
    """Write a value as a scenario file has it, large numbers with an exponent."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.init}
    if isinstance(value, Mapping):
        inner = (f"{name} = {toml(item)}" for name, item in value.items() if item is not None)
        return f"{{ {', '.join(inner)} }}" if value else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(toml(item) for item in value)}]"
    if isinstance(value, float):
        return f"{value:g}".replace("e+", "e") if 1e6 <= abs(value) < 1e300 else str(value)
    return json.dumps(value)


def _branches(hint: Any) -> tuple[Any, ...]:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return tuple(b for branch in typing.get_args(hint) for b in _branches(branch))
    return (hint,)


def _tables(hint: Any) -> Iterator[type]:
    """Dataclasses and models that a value may be, or be a list of."""
    for branch in _branches(hint):
        if isinstance(branch, type) and (
            dataclasses.is_dataclass(branch) or issubclass(branch, BaseModel)
        ):
            yield branch
        elif typing.get_origin(branch) in (list, tuple):
            yield from (t for inner in typing.get_args(branch) for t in _tables(inner))


_WORDS = {bool: "true or false", int: "integer", float: "number", str: "text"}


def _type(hint: Any) -> str:
    words = dict.fromkeys(word for b in _branches(hint) if (word := _word(b)))
    return " or ".join(words)


def _word(hint: Any) -> str:
    origin, inside = typing.get_origin(hint), typing.get_args(hint)
    if hint in _WORDS:
        return _WORDS[hint]
    if hint is type(None):
        return ""
    if origin is typing.Literal:
        return " or ".join(f"`{toml(value)}`" for value in inside)
    if origin in (list, tuple):
        many = {
            "number": "numbers",
            "integer": "integers",
            "table": "tables",
            "any value": "values",
        }
        each = _type(inside[0])
        each = many.get(each, f"values, each {each}")
        if origin is tuple and Ellipsis not in inside:
            return f"{len(inside)} {each}"
        return f"list of {each}"
    return "any value" if hint is Any else "table"


def _refusals(cls: Any, name: str, hint: Any, example: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Collect what is said of values that cannot be, each once: the range, in the words that a user would read."""
    base = dict(example or {})
    try:
        build(cls, base, "x")
    except InputError:  # without an example, what is required is missing: nothing can be tried
        return ()
    said: dict[str, str] = {}
    for value in _tried(hint):
        try:
            build(cls, {**base, name: value}, "x")
        except InputError as error:
            words = _bare(str(error), name)
            if words:
                said.setdefault(re.sub(r"[\d.e+-]+", "#", words), words)
        except (ArithmeticError, ValueError):  # of arithmetic with absurd values: no rule
            continue
    if not said and not {float, int}.isdisjoint(_branches(hint)):
        return ("any finite number",)
    return tuple(said.values())[:2]


def _tried(hint: Any) -> Iterator[Any]:
    for branch in _branches(hint):
        if branch is float:
            yield from _NUMBERS
        elif branch is int:
            yield from _INTEGERS
        elif typing.get_origin(branch) is tuple:
            fixed = Ellipsis not in typing.get_args(branch)
            number = len(typing.get_args(branch)) if fixed else None
            yield from (each for each in _LISTS if number in (None, len(each)))


def _bare(message: str, name: str) -> str:
    """Refusal without the place, the name of the setting and the value: what is left is the rule; types are known."""
    words = re.sub(r"\s*\(got .*\)$", "", message.removeprefix("x").lstrip(": ."), flags=re.DOTALL)
    if "expected" in words or name not in words:
        return ""
    words = re.sub(rf"^{name}(?:\.\d+)?(?::| must be| must| is| are|(?= (?!and|=)))\s*", "", words)
    return plain(words)
