"""galpy's potentials by name: those that it ships, its classes with settings, and objects of a user's own."""

from __future__ import annotations

import functools
import importlib
import inspect
import warnings
from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np

from haloassay.base.errors import InputError, blamed_on
from haloassay.base.kinds import require_plugins
from haloassay.base.settings import require, unknown
from haloassay.mocks.backends.galpy.members import require_conservative

#: galpy's own scales [kpc] and [km/s], so that what is made here adds up with what is made there.
RO: Final = 8.0
VO: Final = 220.0


def own_potential(target: str) -> Any:
    """Import ``"module:object"``.

    Raises
    ------
    InputError
        If it cannot be imported or may not be (:func:`haloassay.base.kinds.without_plugins`), or is a class.
    """
    require_plugins(target, "name")
    module, _, name = target.partition(":")
    with blamed_on(f"name: galpy potential {target!r} cannot be imported"):
        found = getattr(importlib.import_module(module), name)
    require(not inspect.isclass(found), f"name: {target!r} is a class: name an object of it")
    return found


def is_class(name: str) -> bool:
    """Whether galpy has a class of that name."""
    import galpy.potential

    return inspect.isclass(getattr(galpy.potential, name, None))


def potential_of_class(
    name: str, settings: Mapping[str, Any], ro: float | None, vo: float | None
) -> Any:
    """Object of a class in ``galpy.potential``, of settings in galpy's internal units.

    Raises
    ------
    InputError
        If the class is none of potentials in three dimensions, or one that changes other potentials; if a
        setting is unknown or no plain number; or with what galpy says where it cannot be made of them.
    """
    import galpy.potential
    from galpy.potential.WrapperPotential import parentWrapperPotential

    cls = getattr(galpy.potential, name)
    require(
        not issubclass(cls, parentWrapperPotential),
        f"galpy's {name} changes another potential: make the object in a module of your own, and give"
        ' name = "module:object"',
    )
    require_conservative(cls)
    known = inspect.signature(cls.__init__).parameters.keys() - {"self", "ro", "vo"}
    for key in settings:
        if key not in known:
            raise unknown(f"setting of galpy's {name}", key, known, "settings")
    values = {key: _plain(value, f"settings.{key}") for key, value in settings.items()}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what galpy may fall back to, all of it as exact
            return cls(**values, ro=RO if ro is None else ro, vo=VO if vo is None else vo)
    except Exception as error:  # each class refuses settings in its own way
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(f"settings: galpy cannot make a {name} of them ({reason})") from None


def _plain(value: Any, where: str) -> Any:
    """Return a number as it is and a list of numbers as an array."""
    if isinstance(value, bool | int | float):
        return value
    try:
        array = np.array(value, dtype=float) if isinstance(value, list | tuple) else None
    except (TypeError, ValueError):
        array = None
    if array is None:
        raise InputError(f"{where}: expected a number or a list of numbers (got {value!r})")
    return array


@functools.cache
def named_potential(name: str) -> Any:
    """Potential that galpy ships by that name; InputError with the names, of classes too, that there are."""
    import galpy.potential
    from galpy.potential import mwpotentials

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some are computed when first used, and numpy warns of how
        for module in (galpy.potential, mwpotentials):
            found = getattr(module, name, None)
            if _is_potential(found):
                return found
    names = {n for n in dir(galpy.potential) if _is_potential(getattr(galpy.potential, n))}
    raise unknown("galpy potential", name, {*names, *dir(mwpotentials), *_classes()}, "name")


def name_of(pot: Any) -> str | None:
    """Galpy's own name of a potential that it ships, if this is one."""
    import galpy.potential
    from galpy.potential import mwpotentials

    for name, value in vars(galpy.potential).items():
        if value is pot:
            return name
    # asked for by name, each would be made, which takes up to a minute: those that have been are kept there
    made = {name.strip("_") for name, value in vars(mwpotentials).items() if value is pot}
    return next((name for name in dir(mwpotentials) if name.lower() in made), None)


def _classes() -> set[str]:
    """Names of classes that settings can make a potential of."""
    import galpy.potential
    from galpy.potential import Potential
    from galpy.potential.WrapperPotential import parentWrapperPotential

    return {
        name
        for name, cls in vars(galpy.potential).items()
        if inspect.isclass(cls)
        and issubclass(cls, Potential)
        and name.endswith("Potential")
        and name not in ("Potential", "CompositePotential")
        and not issubclass(cls, parentWrapperPotential)
    }


def _is_potential(candidate: Any) -> bool:
    from galpy.potential import Potential

    members = candidate if isinstance(candidate, Iterable) else [candidate]
    return isinstance(candidate, list | Potential) and all(
        isinstance(m, Potential) for m in members
    )
