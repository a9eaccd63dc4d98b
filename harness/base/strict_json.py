"""JSON that readers other than Python's take, too: its grammar (RFC 8259) has no word for infinite numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Final

#: What stands for infinity: a number in the grammar, beyond all doubles, so that who reads doubles reads infinity.
_BEYOND: Final = "1e999"
#: Strings that stand for it until the text is written: no setting, label or path has such a name.
_MARKS: Final = {math.inf: "\0infinity", -math.inf: "\0-infinity"}


def strict_json(value: Any, **options: Any) -> str:
    """Text of plain values, infinite ones as +-1e999, which ``json.loads`` reads as what they were.

    Parameters
    ----------
    value
        Numbers, strings, lists, tables.
    options
        Of :func:`json.dumps`.
    """
    try:
        return json.dumps(value, allow_nan=False, **options)
    except ValueError:  # seldom: the walk takes longer than the text
        text = json.dumps(_marked(value), **options)
    for infinite, mark in _MARKS.items():
        text = text.replace(json.dumps(mark), _BEYOND if infinite > 0.0 else f"-{_BEYOND}")
    return text


def _marked(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _marked(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_marked(item) for item in value]
    return _MARKS.get(value, value) if isinstance(value, float) else value
