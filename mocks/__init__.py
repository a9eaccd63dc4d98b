"""From a known truth to an observed catalogue: potentials, tracers, anisotropy, equilibria, surveys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from haloassay.base import kinds
from haloassay.mocks.mock import Mock

__all__ = ["Mock", "make_mock"]


def make_mock(spec: Mapping[str, Any], where: str = "mock") -> Mock:
    """Mock of a table with a key ``kind``; checked at once, solved when first used.

    Raises
    ------
    InputError
        If a kind or setting is unknown, missing or out of range; ``where`` names the place.
    """
    kind = kinds.kind_of("mocks", spec, where)
    found = kinds.find("mocks", kind, where)
    if isinstance(found, type):  # a third party's, with settings and nothing else
        return cast("Mock", kinds.make("mocks", spec, where))
    mock: Mock = found(spec, where)
    return mock
