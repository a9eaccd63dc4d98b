"""Scenarios as the TOML that :func:`haloassay.planning.scenario.load_scenario` reads."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from haloassay.planning.scenario import Scenario

#: Floats from which a power of ten is easier to read.
_LARGE: Final = 1e6
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")


def to_toml(scenario: Scenario, comments: Iterable[str] = ()) -> str:
    """Text of a scenario file; ``comments`` stand at its head."""
    values = scenario.to_dict()
    lines = [f"# {' '.join(line.split())}" for line in comments]
    tables = ("mock", "survey", "clean", "estimators", "matrix")
    plain = {k: v for k, v in values.items() if k not in tables and v not in ("", {})}
    lines += _lines(plain)
    for name in ("mock", "survey"):
        lines += ["", f"[{name}]", *_lines(values[name])]
    for name in ("clean", "estimators"):
        for entry in values[name]:
            lines += ["", f"[[{name}]]", *_lines(entry)]
    matrix = {k: v for k, v in values["matrix"].items() if v not in (None, [], {})}
    if matrix.get("factors") or matrix.get("factor"):
        matrix["factor"] = [
            {k: v for k, v in entry.items() if v not in (None, "", [])}
            for entry in matrix.get("factor", [])
        ]
        lines += ["", "[matrix]", *_lines({k: v for k, v in matrix.items() if v})]
    return "\n".join(lines) + "\n"


def _lines(table: Mapping[str, Any]) -> list[str]:
    return [f"{_key(k)} = {toml_value(v)}" for k, v in table.items()]


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _text(key)


def toml_value(value: Any) -> str:
    """Write a plain value on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        inside = ", ".join(f"{_key(k)} = {toml_value(v)}" for k, v in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml_value, value))}]"
    if isinstance(value, float) and abs(value) >= _LARGE and float(f"{value:g}") == value:
        return f"{value:g}"  # masses
    return repr(value)


def _text(text: str) -> str:
    """Write a basic string; JSON escapes what TOML does, but for DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
