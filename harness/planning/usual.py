"""Values that are possible and absurd: what is usual of each setting, in one table, and what is far from it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from haloassay.planning.anatomy import parts_of
from haloassay.planning.plan import Plan

#: Cells of a plan whose tables are looked at.
_CELLS: Final = 200


@dataclass(frozen=True)
class Usual:
    """What is usual of a setting.

    Parameters
    ----------
    part, setting
        Whose it is: a name of :class:`haloassay.planning.anatomy.Part`, and a name in its table.
    lo, hi
        Values beyond which it is most likely a slip; every number of a list is held against them.
    says
        What is usual, with units.
    or_none
        Whether 0, which stands for none, is no slip.
    """

    part: str
    setting: str
    lo: float
    hi: float
    says: str
    or_none: bool = False


_MASS: Final = "0.5e12 to 2e12 Msun is usual of the Milky Way"
_SLOPE: Final = "-5 to -2 is usual of halo stars"
_ESTIMATORS: Final = ("jeans-3d", "tracer-mass", "los-jeans", "los-jeans-derivative", "nfw-tracer")

#: All rules. A limit is far from what is usual: a warning is to mean that something is wrong.
USUAL: Final = (
    Usual(
        "scenario", "realizations", 10, math.inf, "below 10 nothing is judged; 40 to 400 are usual"
    ),
    Usual("scenario", "timeout", 1.0, math.inf, "tens of seconds to minutes are usual"),
    *(
        Usual(f"potentials.{kind}", name, lo, hi, says)
        for kind in ("nfw", "triaxial-nfw")
        for name, lo, hi, says in (
            ("m200", 1e10, 1e14, _MASS),
            ("c", 2.0, 60.0, "5 to 25 is usual"),
            ("h0", 50.0, 90.0, "67 to 74 km/s/Mpc is usual"),
        )
    ),
    Usual("potentials.nfw", "r_s", 1.0, 300.0, "10 to 40 kpc is usual of the Milky Way"),
    *(
        Usual(f"potentials.{kind}", "mass", 1e6, 1e15, "1e9 to 2e12 Msun is usual")
        for kind in ("hernquist", "plummer", "point-mass")
    ),
    *(
        Usual(f"potentials.{kind}", "a", 0.01, 500.0, "0.1 to 50 kpc is usual")
        for kind in ("hernquist", "plummer")
    ),
    Usual("densities.power-law", "slope", -8.0, -1.0, _SLOPE),
    Usual("densities.broken-power-law", "slopes", -8.0, 0.0, _SLOPE),
    Usual("densities.broken-power-law", "breaks", 1.0, 300.0, "15 to 30 kpc is usual"),
    Usual("densities.plummer", "a", 0.1, 300.0, "1 to 50 kpc is usual"),
    Usual("densities.hernquist", "a", 0.1, 300.0, "1 to 50 kpc is usual"),
    Usual("betas.constant", "beta", -3.0, 0.97, "0 to 0.9 is usual of halo stars"),
    Usual("betas.table", "beta", -3.0, 0.97, "0 to 0.9 is usual of halo stars"),
    Usual("mock", "r_range", 0.05, 2000.0, "about 1 to 300 kpc is usual"),
    Usual("lmc", "mass", 1e10, 2.5e11, "1e11 to 2e11 Msun is usual", or_none=True),
    Usual("lmc", "time", 0.5, 13.0, "2 to 4 Gyr is usual"),
    Usual("population", "size", 1000, math.inf, "1e5 to 1e6 stars are usual"),
    Usual("population", "time", 0.5, 13.0, "2 to 5 Gyr is usual"),
    Usual("survey", "n_stars", 20, 1e8, "500 to 100000 are usual"),
    Usual(
        "survey", "distance_error", 0.0, 0.6, "0.02 to 0.25 is usual (a fraction, or magnitudes)"
    ),
    Usual("survey", "distance_error_spread", 0.0, 2.0, "0 to 0.8 is usual"),
    Usual("survey", "distance_scale", 0.5, 2.0, "0.9 to 1.1 is usual (a factor)"),
    Usual("survey", "pm_error", 0.0, 5.0, "0.01 to 0.3 mas/yr is usual"),
    Usual("survey", "vlos_error", 0.0, 100.0, "0.5 to 20 km/s is usual"),
    Usual("survey", "vlos_offset", -100.0, 100.0, "-5 to 5 km/s is usual"),
    Usual("survey", "feh_error", 0.0, 1.0, "0.05 to 0.3 dex is usual"),
    Usual("survey", "distance_error_scale", 0.1, 10.0, "0.7 to 1.5 is usual (a factor)"),
    Usual("survey", "pm_error_scale", 0.1, 10.0, "0.9 to 1.5 is usual (a factor)"),
    Usual("survey", "vlos_error_scale", 0.1, 10.0, "0.9 to 1.5 is usual (a factor)"),
    *(Usual(f"estimators.{kind}", "alpha", -8.0, -0.5, _SLOPE) for kind in _ESTIMATORS),
    *(
        Usual(f"estimators.{kind}", "bins", 0.05, 2000.0, "edges between 5 and 150 kpc are usual")
        for kind in (
            "velocity-ellipsoid",
            "jeans-3d",
            "tracer-mass",
            "los-jeans",
            "dipole",
            "reflex-6d",
        )
    ),
)


def unusual(plan: Plan) -> list[str]:
    """Lines about values of a plan that are possible, and far from what is usual; each place and value once."""
    found = dict(_of_scenario(plan))
    for cell in plan.cells[:_CELLS]:
        methods = {method.label: method.spec for method in cell.methods}
        tables = {
            "mock": cell.mock,
            "survey": cell.survey,
            "clean": cell.clean,
            "estimators": methods,
        }
        for part in parts_of(tables):
            found |= _lines(part.name, part.path, part.table)
    return list(found)


def _of_scenario(plan: Plan) -> Iterator[tuple[str, None]]:
    yield from _lines("scenario", "", plan.scenario.to_dict()).items()


def _lines(part: str, path: str, table: Mapping[str, Any]) -> dict[str, None]:
    """Lines about one table, in order."""
    found: dict[str, None] = {}
    for rule in USUAL:
        if rule.part == part and rule.setting in table:
            off = [x for x in _numbers(table[rule.setting]) if not rule.lo <= x <= rule.hi]
            off = [x for x in off if x or not rule.or_none]
            if off:
                place = f"{path}.{rule.setting}" if path else rule.setting
                found[f"{place} = {off[0]:g}: possible, but is it meant? {rule.says}"] = None
    return found


def _numbers(value: Any) -> Iterator[float]:
    """All numbers in a value; texts and tables have none."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        for each in value:
            yield from _numbers(each)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield float(value)
