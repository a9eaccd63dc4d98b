"""Potentials that are objects of other libraries: found by where their class is from, and converted by name."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from haloassay.base import kinds
from haloassay.base.errors import InputError

#: How potentials of other libraries are converted, by the name of their package; gala's become galpy's first.
_CONVERSIONS: Final = {
    "galpy": "haloassay.mocks.backends.galpy.conversion:from_galpy",
    "agama": "haloassay.mocks.backends.agama.conversion:from_agama",
    "gala": "",
}

#: Kinds of mocks that move in the spherical average of their potential, without any of the keys below, and the
#: distribution that does not.
_SPHERICAL: Final = ("equilibrium", "local-jeans-gaussian", "agama")
_ORBITS: Final = "schwarzschild"
_FOLLOWED: Final = ("shape", "lmc", "population", "debris")
#: Keys that decide on these.
_CHOOSING: Final = ("kind", "distribution", "populations")


def is_foreign(spec: Any) -> bool:
    """Whether this is a potential of another library, or a list that begins with one."""
    return _library(spec) is not None


def _library(spec: Any) -> str | None:
    first = spec[0] if isinstance(spec, list | tuple) and spec else spec
    homes = {cls.__module__.partition(".")[0] for cls in type(first).__mro__}
    return next((name for name in _CONVERSIONS if name in homes), None)


def converted(spec: Any, where: str) -> Any:
    """Convert such an object to the potential of a mock.

    Raises
    ------
    InputError
        If it cannot be converted; ``where`` names the place.
    """
    library = _library(spec)
    assert library is not None
    try:
        if library == "gala":
            spec, library = _galpy_of_gala(spec), "galpy"
        return kinds.load(_CONVERSIONS[library])(spec)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def _galpy_of_gala(spec: Any) -> Any:
    """Potential of galpy that gala makes of its own."""
    try:
        return spec.as_interop("galpy")
    except Exception as error:  # gala and galpy refuse in many ways
        reason = " ".join(str(error).split()) or type(error).__name__
        name = type(spec).__name__
        raise InputError(f"gala makes no potential of galpy of its {name}: {reason}") from None


def plain_mock(mock: Mapping[str, Any], varied: Sequence[str] = ()) -> Mapping[str, Any]:
    """Table of a mock as a scenario has it: an object that stands for its potential becomes kinds and settings.

    What has no closed form here becomes its spherical average, a ``mass-table``.

    Parameters
    ----------
    mock
        The table.
    varied
        Factors of the scenario, as dotted paths, that change it.

    Raises
    ------
    InputError
        If the object cannot be converted, or the mock follows stars in the field, which a table of masses lost.
    """
    spec = mock.get("potential")
    if not (is_foreign(spec) or hasattr(spec, "to_plain")):
        return mock
    potential: Any = converted(spec, "mock.potential") if is_foreign(spec) else spec
    lost = [
        c for c in potential.components if hasattr(c, "field_parts") and not kinds.name_of(type(c))
    ]
    if lost and not _is_spherical(mock, varied):
        raise InputError(
            f"mock.potential: a scenario cannot hold the field of {lost[0].label}, which this mock follows: give"
            ' kinds, such as { kind = "galpy", name = "module:object" }'
        )
    # numbers as a file has them, so that equal scenarios are equal
    return {**mock, "potential": json.loads(json.dumps(potential.to_plain(), default=float))}


def _is_spherical(mock: Mapping[str, Any], varied: Sequence[str]) -> bool:
    """Tell whether stars move in the spherical average; a factor that may change that counts as if it did."""
    if {path.split(".")[1] for path in varied} & {*_FOLLOWED, *_CHOOSING}:
        return False
    parts = mock.get("populations")
    parts = parts if isinstance(parts, list | tuple) else ()
    tables = [mock, *(part for part in parts if isinstance(part, Mapping))]
    followed = any(key in table for table in tables for key in _FOLLOWED)
    drawn = [table["distribution"] for table in tables if "distribution" in table]
    followed |= any(isinstance(d, Mapping) and d.get("kind") == _ORBITS for d in drawn)
    return mock.get("kind") in _SPHERICAL and not followed
