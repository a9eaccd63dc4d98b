"""Public names, and in which part of the reference each stands."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import haloassay
from haloassay import testing

PUBLIC = {"haloassay": haloassay, "haloassay.testing": testing}


def sort_of(module: str, name: str) -> str:
    """Part of the reference in which a public name stands."""
    found = getattr(PUBLIC[module], name)
    tests: dict[str, Callable[[Any], bool]] = {
        "modules": inspect.ismodule,
        "exceptions": lambda x: inspect.isclass(x) and issubclass(x, BaseException),
        "classes": inspect.isclass,
        "functions": callable,
    }
    return next((sort for sort, test in tests.items() if test(found)), "constants")
