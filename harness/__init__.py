"""haloassay: mocks of known truth, surveys, estimators, and honest error bars on the bias.

Every command is a function of the same name: ``run``, ``report``, ``table``, ``mock``, ``measure``, ``list``,
``describe``. They are imported when first used, so that ``import haloassay`` costs nothing.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "run": "api",
    "report": "api",
    "table": "api",
    "mock": "api",
    "measure": "api",
    "list": "api",
    "describe": "api",
    "Catalogue": "catalogue",
    "HaloassayError": "errors",
    "InputError": "errors",
    "EquilibriumError": "errors",
    "EstimationError": "errors",
    "Estimate": "estimate",
    "Estimates": "estimate",
    "Estimator": "estimate",
    "Results": "store",
    "Sun": "frames",
    "read_catalogue": "tables",
    "write_catalogue": "tables",
}

__all__ = [*_PUBLIC, "__version__"]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(f"haloassay.{_PUBLIC[name]}"), name)
    raise AttributeError(f"module 'haloassay' has no attribute {name!r}")
