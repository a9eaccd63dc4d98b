"""What a blind challenge asks: questions of words such as ``enclosed_mass@10,20,50``, and those asked by default."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final

from haloassay.base.errors import InputError
from haloassay.base.settings import unknown
from haloassay.contracts.quantities import QUANTITIES, Quantity, known_quantities
from haloassay.contracts.questions import Question, numbered

#: What is asked of each catalogue where nobody says it: at radii, and without one.
AT_RADII: Final = ("enclosed_mass", "beta")
OF_HALO: Final = ("m200",)


def parse_questions(texts: Iterable[str], where: str = "--ask") -> tuple[Question, ...]:
    """Read what is asked.

    Parameters
    ----------
    texts
        ``QUANTITY@R1,R2,...`` with radii [kpc], or ``QUANTITY`` of a number of the halo.
    where
        What to call this place in an error.

    Returns
    -------
    tuple
        Quantities in the order of their first words, radii in rising order.

    Raises
    ------
    InputError
        If a quantity is unknown, has no truth to be compared with, or is asked for twice; or if a radius is none.
    """
    known = known_quantities()
    asked: dict[str, list[float]] = {}
    for text in texts:
        name, at, places = (part.strip() for part in text.partition("@"))
        if name not in known:
            raise unknown("quantity", name, known, f"{where} {text}")
        _require_askable(known[name], bool(at), f"{where} {text}")
        radii = [_radius(part, f"{where} {text}") for part in places.split(",")] if at else []
        held = asked.setdefault(name, [])
        for r in radii or [math.nan]:
            if any(Question(known[name], r).is_at(other) for other in held):
                raise InputError(f"{where} {text}: {Question(known[name], r)} is asked for twice")
            held.append(r)
    return numbered((known[name], r) for name, radii in asked.items() for r in sorted(radii))


def usual_questions(radii: Sequence[float], has_virial: bool) -> tuple[Question, ...]:
    """Ask what is asked by default: masses and anisotropies at radii [kpc], the virial mass where there is one."""
    asked = [(QUANTITIES[name], r) for name in AT_RADII for r in radii]
    if has_virial:
        asked += [(QUANTITIES[name], math.nan) for name in OF_HALO]
    return numbered(asked)


def _require_askable(quantity: Quantity, at: bool, where: str) -> None:
    if quantity.truth is None or quantity.scale == "separation":
        raise InputError(
            f"{where}: {quantity.name} has no truth that a number could be compared with"
        )
    if quantity.truth == "scalar" and at:
        raise InputError(f"{where}: {quantity.name} is a number of the halo: ask without a radius")
    if quantity.truth in ("profile", "bin") and not at:
        raise InputError(
            f"{where}: {quantity.name} is asked for at radii [kpc], as in {quantity.name}@10,20"
        )


def _radius(text: str, where: str) -> float:
    try:
        r = float(text)
    except ValueError:
        raise InputError(f"{where}: a radius is a number [kpc] (got {text.strip()!r})") from None
    if not (math.isfinite(r) and r > 0.0):
        raise InputError(f"{where}: radii are finite and above 0 (got {text.strip()})")
    return r
