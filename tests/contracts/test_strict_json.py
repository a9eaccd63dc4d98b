"""Infinite numbers in JSON: within the grammar, and what they were once they are read."""

from __future__ import annotations

import json
import math

import pytest

from haloassay.base.strict_json import strict_json


def refuse(word):
    raise AssertionError(f"{word} is no JSON")


@pytest.mark.parametrize("options", [{}, {"indent": 1}, {"separators": (",", ":")}])
def test_infinite_numbers_are_json_and_come_back(options):
    told = {"limits": [15.0, math.inf, [-math.inf]], "words": "Infinity", "inf": {"x": -math.inf}}
    text = strict_json(told, **options)
    assert json.loads(text, parse_constant=refuse) == told


def test_all_else_is_as_json_has_it():
    told = {"b": [1, 0.1, None, True], "a": "é\n"}
    assert strict_json(told, sort_keys=True) == json.dumps(told, sort_keys=True)
