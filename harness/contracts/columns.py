"""Columns that a catalogue can have: names, canonical units, and which of them a method reads."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

GALACTOCENTRIC: Final = ("x", "y", "z", "vx", "vy", "vz")
HELIOCENTRIC: Final = ("ra", "dec", "distance", "pmra", "pmdec", "vlos")
#: Galactic columns; pm_l contains cos b, as pmra contains cos dec.
GALACTIC: Final = ("l", "b", "distance", "pm_l", "pm_b", "vlos")

CHEMISTRY: Final = ("feh", "alpha_fe")

_BASE_UNITS: Final = {
    **dict.fromkeys(("ra", "dec", "l", "b"), "deg"),
    **dict.fromkeys(("distance", "x", "y", "z"), "kpc"),
    **dict.fromkeys(("pmra", "pmdec", "pm_l", "pm_b"), "mas / yr"),
    **dict.fromkeys(("vlos", "vx", "vy", "vz"), "km / s"),
    **dict.fromkeys(CHEMISTRY, "dex"),
}

#: Canonical unit of every column that a reader knows; directions on the sky have no errors.
UNITS: Final = {
    **_BASE_UNITS,
    **{f"{k}_err": v for k, v in _BASE_UNITS.items() if k not in ("ra", "dec", "l", "b")},
    "pm_corr": "",
}

#: Key under which tables and files keep the Sun of their catalogue.
SUN_KEY: Final = "SUN"

_PLACES: Final = ("ra", "dec", "l", "b", "distance", "x", "y", "z")
_MOTIONS: Final = (*HELIOCENTRIC[3:], *GALACTIC[3:5], *GALACTOCENTRIC[3:])


def columns_of(names: Iterable[str]) -> frozenset[str]:
    """Columns that a method reads which names these: positions in any case, and the errors of all of them.

    ``velocity`` stands for all that move, and so does ``vlos`` where velocities are Galactocentric, and ``vx`` where
    they are heliocentric.
    """
    found = set(_PLACES)
    for name in names:
        if name == "velocity":
            found |= {*_MOTIONS, "pm_corr"}
        elif name == "vlos":
            found |= {"vlos", *GALACTOCENTRIC[3:]}
        elif name in GALACTOCENTRIC[3:]:
            found |= {name, *HELIOCENTRIC[3:], *GALACTIC[3:5], "pm_corr"}
        else:
            found.add(name)
    return frozenset(found | {f"{name}_err" for name in found})
