"""Units of simulation snapshots: a plain unit times powers of the scale factor a and of h = H0 / (100 km/s/Mpc)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.errors import InputError
from haloassay.base.settings import require

#: Units inside, and what is to be stated where a file does not say (GADGET's habit).
INSIDE: Final = {"length": "kpc", "velocity": "km/s", "mass": "Msun"}
HABIT: Final = {"length": "a kpc/h", "velocity": "sqrt(a) km/s", "mass": "1e10 Msun/h"}
#: The same in CGS, in which codes state their units.
_CGS: Final = {"length": "cm", "velocity": "cm/s", "mass": "g"}

#: Names under which codes keep a dataset's unit in CGS and its powers of a and h: AREPO and GADGET-4, GADGET-3 as
#: of EAGLE, SWIFT.
_DIALECTS: Final = (
    ("to_cgs", "a_scaling", "h_scaling"),
    ("CGSConversionFactor", "aexp-scale-exponent", "h-scale-exponent"),
    (
        "Conversion factor to CGS (not including cosmological corrections)",
        "a-scale exponent",
        "h-scale exponent",
    ),
)

#: Names under which a file keeps the system of units of all that has no own, in CGS.
SYSTEM: Final = {
    "length": ("UnitLength_in_cm", "UnitLength_In_CGS"),
    "velocity": ("UnitVelocity_in_cm_per_s", "UnitVelocity_In_CGS"),
    "mass": ("UnitMass_in_g", "UnitMass_In_CGS"),
}

#: A power of a or h that stands alone: after the beginning, a blank, * or /, and before one or the end.
_COSMOLOGICAL: Final = re.compile(
    r"(?P<before>^|[\s*/])\s*(?P<name>sqrt\(a\)|a|h)(?:(?:\^|\*\*)(?P<power>[-+]?\d+(?:\.\d+)?))?(?=$|[\s*]|/(?!\d))"
)

#: What h and a can be: farther out, another quantity is meant, such as H0 in km/s/Mpc.
_RANGES: Final = {"h": (0.1, 10.0), "a": (0.01, 100.0)}
#: Expansion [km/s/Mpc] above that of any universe at the least of these a.
_FASTEST: Final = 1e5

#: Sizes of a unit in kpc, km/s or Msun: cm and g are among them, and squares of what has such a unit are numbers.
_SIZES: Final = (1e-40, 1e40)

#: Two statements of one unit may differ by this fraction: codes round the kpc and the solar mass.
_ROUNDING: Final = 1e-3


@dataclass(frozen=True)
class Unit:
    """A unit in kpc, km/s or Msun: ``factor`` times a to the power ``a`` times h to the power ``h``."""

    factor: float
    a: float = 0.0
    h: float = 0.0

    def value(self, a: float | None, h: float | None, where: str) -> float:
        """Size of the unit for a scale factor and h; None where they are not known.

        Raises
        ------
        InputError
            If one is needed and not known, or the size is beyond that of any unit.
        """
        size = np.float64(self.factor)
        for name, base, power in (("a", a, self.a), ("h", h, self.h)):
            if power == 0.0:
                continue
            if base is None:
                raise InputError(
                    f"{where}: the unit contains {name}, which the file does not state: give {name} beside units"
                )
            with np.errstate(over="ignore", under="ignore"):
                size *= np.float64(base) ** power
        lo, hi = _SIZES
        require(
            bool(lo <= size <= hi),
            f"{where}: the unit must be {lo:g} to {hi:g} kpc, km/s or Msun (got {size:g})",
        )
        return float(size)

    def agrees(self, other: Unit) -> bool:
        """Whether two units are the same but for rounded constants."""
        return (self.a, self.h) == (other.a, other.h) and bool(
            abs(self.factor / other.factor - 1.0) < _ROUNDING
        )

    def written(self, dimension: str) -> str:
        """Text of the unit of a ``length``, ``velocity`` or ``mass``, as :func:`parse_unit` reads it."""
        size = "" if abs(self.factor - 1.0) < _ROUNDING else f"{self.factor:.6g}"
        a = "sqrt(a)" if self.a == 0.5 else _power("a", self.a)
        parts = (size.replace("e+", "e"), a, INSIDE[dimension])
        h = "/h" if self.h == -1.0 else " " + _power("h", self.h)
        return (" ".join(part for part in parts if part) + h).rstrip()


def parse_unit(text: str, dimension: str, where: str) -> Unit:
    """Read the unit of a text such as ``"kpc/h"``, ``"a kpc/h"``, ``"sqrt(a) km/s"`` or ``"1e10 Msun/h"``.

    Here h is Hubble's constant, never the hour; a makes a unit comoving.

    Parameters
    ----------
    text
        The unit.
    dimension
        ``length``, ``velocity`` or ``mass``.
    where
        What to call this place in an error.

    Raises
    ------
    InputError
        If it is no such unit, or not a positive multiple of one.
    """
    from astropy import units

    powers = {"a": 0.0, "h": 0.0}

    def take(found: re.Match[str]) -> str:
        power = float(found["power"] or 1.0) * (0.5 if found["name"] == "sqrt(a)" else 1.0)
        powers["h" if found["name"] == "h" else "a"] += -power if found["before"] == "/" else power
        return " "

    rest, n = text, 1
    while n:  # neighbours share the blank between them
        rest, n = _COSMOLOGICAL.subn(take, rest)
    try:
        factor = float(units.Unit(rest.strip(" *")).to(INSIDE[dimension]))
    except (ValueError, TypeError, units.UnitsError) as error:
        raise InputError(
            f"{where}: {text!r} is not a unit of {dimension} (such as {INSIDE[dimension]!r} or {HABIT[dimension]!r})"
        ) from error
    require(0.0 < factor < np.inf, f"{where}: {text!r} is not a positive, finite unit")
    return Unit(factor, **powers)


def stated_unit(attributes: Mapping[str, Any], dimension: str, where: str) -> Unit | None:
    """Read the unit that the attributes of a dataset state, in any of the codes' dialects; None where there is none.

    A size of zero, which codes write for what has no unit, states none.

    Raises
    ------
    InputError
        If an attribute is no such unit, or two of them state different ones.
    """
    told: list[tuple[str, Unit]] = []
    for size, a, h in _DIALECTS:
        factor = _size(attributes, size, where)
        if factor is not None:
            cgs = parse_unit(_CGS[dimension], dimension, where)
            powers = (number(attributes.get(name, 0.0), f"{where}: {name}") for name in (a, h))
            told.append((size, Unit(factor * cgs.factor, *powers)))
    for name in ("unit", "units"):
        text = attributes.get(name)
        if text is not None and _decoded(text).strip():
            told.append((name, parse_unit(_decoded(text), dimension, where)))
    for name, unit in told[1:]:
        first, before = told[0]
        require(
            unit.agrees(before),
            f"{where}: its {first} says {before.written(dimension)}, its {name} {unit.written(dimension)}: "
            "which of them is meant?",
        )
    return told[0][1] if told else None


def system_unit(attributes: Mapping[str, Any], dimension: str, where: str) -> Unit | None:
    """Read the unit of a dimension in the system of units that a file states for all datasets, by GADGET's habit.

    Lengths are then comoving and in units of 1/h, masses in units of 1/h, velocities in units of sqrt(a).
    """
    for name in SYSTEM[dimension]:
        factor = _size(attributes, name, where)
        if factor is not None:
            habit = parse_unit(HABIT[dimension], dimension, where)
            cgs = parse_unit(_CGS[dimension], dimension, where)
            return Unit(factor * cgs.factor, habit.a, habit.h)
    return None


def number(value: Any, what: str) -> float:
    """Return the first number of an attribute, which codes write as scalars or arrays of one."""
    return float(numbers(value, what)[0])


def numbers(value: Any, what: str) -> FloatArray:
    """(N,) numbers of an attribute, at least one.

    Raises
    ------
    InputError
        If they are not numeric, or not all finite.
    """
    try:
        found = np.ravel(value).astype(float)
    except (TypeError, ValueError):
        raise InputError(f"{what} is not numeric (got {value!r})") from None
    require(len(found) > 0, f"{what} is empty")
    shown = found.tolist() if len(found) > 1 else found[0]
    require(bool(np.isfinite(found).all()), f"{what} must be finite (got {shown})")
    return found


def require_range(name: str, value: float | None, where: str = "") -> None:
    """Raise InputError unless ``h`` or ``a`` is one that a simulation can have; None is not known."""
    lo, hi = _RANGES[name]
    require(
        value is None or lo <= value <= hi,
        f"{where}{name} must be between {lo:g} and {hi:g} (got {value})",
    )


def require_expansion(hubble: float, what: str) -> None:
    """Raise InputError unless an expansion [km/s/Mpc] is one that a universe can have."""
    require(
        0.0 <= hubble <= _FASTEST,
        f"{what} must be between 0 and {_FASTEST:g} km/s/Mpc (got {hubble})",
    )


def _size(attributes: Mapping[str, Any], name: str, where: str) -> float | None:
    """Size of a unit in CGS; None where it is not stated."""
    if name not in attributes:
        return None
    size = number(attributes[name], f"{where}: {name}")
    require(size >= 0.0, f"{where}: {name} must not be negative (got {size})")
    return size or None


def _power(name: str, power: float) -> str:
    if power == 0.0:
        return ""
    return name if power == 1.0 else f"{name}^{power:g}"


def _decoded(text: Any) -> str:
    return text.decode() if isinstance(text, bytes) else str(text)
