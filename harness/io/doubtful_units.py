"""Numbers without a stated unit that would be stars in another one: what cannot be is asked about, the rest mentioned.

A catalogue may be of any stars: of the solar neighbourhood (distances from a pc on), of a dwarf galaxy or a cluster
about its own centre (radii below a kpc at some km/s), or of the stars about Sgr A* (a hundredth of a kpc at hundreds
of km/s). So no radius and no speed is wrong by itself, and what is refused is what no stars together can be.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.constants import KMS_PER_MASYR_KPC
from haloassay.base.errors import RemediedError
from haloassay.contracts.columns import GALACTOCENTRIC
from haloassay.contracts.sky import direction
from haloassay.io.defects import SPEED_LIMIT

Columns = Mapping[str, FloatArray]

_MOTIONS: Final = (("pmra", "pmdec"), ("pm_l", "pm_b"))

#: Median distance or radius [kpc], beyond all of the Local Group, that asks for its unit.
_FAR: Final = 1000.0

#: Rows that are looked at, at equal steps.
_TRIED_ROWS: Final = 10000

#: More stars than these are alike by no accident, as one that moves straight towards the Sun.
_FEW: Final = 20

#: Share of the rows that has to be below a limit of speed: a tenth may be blunders.
_NEARLY_ALL: Final = 0.9

#: Speeds [km/s] below which stars are not of whom half are beyond so many kpc from the centre: v^2 r / G is 1e6 Msun,
#: and the lightest galaxy of that size (Crater 2) has 4e6. In 1000 km/s, kpc/Myr or circular speeds all stars are.
_SLOW: Final = 2.0
_OUTSIDE: Final = 1.0

#: Radii [kpc] and speeds [km/s] that halo stars have in Mpc. v^2 r / G is 1e8 Msun within 0.02 kpc: so has the very
#: centre of the Milky Way, and no dwarf or cluster, so that it is mentioned and not refused.
_NEAR: Final = 0.2
_FAST: Final = 50.0

#: Distance [kpc] within which there is no star but the Sun.
_NO_STAR: Final = 1e-3

#: Motion across the line of sight, as a share of that along it, which is a fall straight towards the Sun: stars in Mpc
#: or arcsec/yr have a few thousandths. Those that were chosen for their passages of the Sun may come near it, at some
#: 40 km/s along the line of sight, where halo stars have 100. Beyond the limit of speed it is m/s.
_STRAIGHT: Final = 0.01
_ALONG: Final = 50.0

#: Distances [kpc] from which on Mpc would be beyond the Milky Way.
_IN_MPC: Final = 0.5

#: Speed [km/s] along or across the line of sight that stars in all directions exceed: the Sun alone moves by 18.
_STILL: Final = 1.0

#: Length of the mean of the unit vectors above which stars are in one field, which may move as the Sun does.
_ONE_FIELD: Final = 0.99


def middle(columns: Columns, unstated: Collection[str]) -> tuple[str, float]:
    """Name, ``position`` or ``distance``, and median size [kpc] of what has no stated unit; "" and zero where it has.

    Parameters
    ----------
    columns
        Name to (N,) values in canonical units.
    unstated
        Names of those whose unit nobody stated.
    """
    what, away = ("position", GALACTOCENTRIC[:3]) if "x" in columns else ("distance", ("distance",))
    if any(name not in unstated for name in away):
        return "", 0.0
    with np.errstate(over="ignore"):
        square = columns[away[0]] ** 2
        for name in away[1:]:
            square += columns[name] ** 2
    r = np.sqrt(square, out=square)
    known = np.isfinite(r)
    if not known.any():
        return "", 0.0
    return what, float(np.median(r if known.all() else r[known]))


def refuse_parsecs(origin: str, what: str, median: float, most: float) -> None:
    """Refuse places of :func:`middle` whose median is thousands of kpc, below ``most``.

    Raises
    ------
    InputError
        That asks for the unit.
    """
    if _FAR < median <= most:
        raise RemediedError(
            f"{origin}: half of the {what}s are above {median:.4g} kpc: are {what}s in pc?",
            f" --unit {what}=pc (if not, --unit {what}=kpc)",
        )


def examine(
    origin: str, columns: Columns, unstated: Collection[str], used: Collection[str] | None
) -> list[str]:
    """Say what may be in Mpc, 1000 km/s or arcsec/yr where no unit is stated.

    Parameters
    ----------
    origin
        What to call the columns.
    columns
        Name to (N,) values in canonical units.
    unstated
        Names of those whose unit nobody stated: no other is asked about.
    used
        Columns that will be read; all where it is None.

    Raises
    ------
    InputError
        That asks for the unit, where in kpc, km/s and mas/yr no stars are so.
    """
    step = -(-len(next(iter(columns.values()))) // _TRIED_ROWS) or 1
    some = {name: values[::step] for name, values in columns.items()}
    asked = {name for name in unstated if used is None or name in used}
    with np.errstate(all="ignore"):  # absurd numbers are found elsewhere
        if "x" in some:
            return _galactocentric(origin, some, asked)
        return _heliocentric(origin, some, asked)


def _galactocentric(origin: str, columns: Columns, asked: set[str]) -> list[str]:
    if any(name not in columns for name in GALACTOCENTRIC):
        return []
    place, motion = GALACTOCENTRIC[:3], GALACTOCENTRIC[3:]
    radius, speed = (
        np.sqrt(sum(columns[name] ** 2 for name in names)) for names in (place, motion)
    )
    # zeros stand for what was not measured, or for stars at rest
    known = np.isfinite(radius) & np.isfinite(speed) & (speed > 0.0)
    if not known.any():
        return []
    r, v = float(np.median(radius[known])), float(np.median(speed[known]))
    of_place, of_motion = (asked.issuperset(names) for names in (place, motion))
    if of_motion and r > _OUTSIDE and _nearly_all_below(speed[known], _SLOW):
        also, option = (", or positions in pc", " or --unit position=pc") if of_place else ("", "")
        raise RemediedError(
            f"{origin}: half of the speeds are below {v:.3g} km/s, at {r:.3g} kpc, where no stars are as slow: are"
            f" velocities in 1000 km/s or kpc/Myr{also}?",
            f" --unit velocity=1000 or --unit velocity=kpc/Myr{option} (if not, --unit velocity=km/s)",
        )
    if of_place and r < _NEAR and v > _FAST:
        return [
            f"x, y, z: half of the positions are within {r:.3g} kpc of the centre, at speeds of {v:.3g} km/s"
            " (if they are in Mpc: --unit position=Mpc; if not, --unit position=kpc)"
        ]
    return []


def _heliocentric(origin: str, columns: Columns, asked: set[str]) -> list[str]:
    distance = columns["distance"]
    known = np.isfinite(distance) & (distance > 0.0)
    away = _median(distance[known])
    if "distance" in asked and 0.0 < away < _NO_STAR:
        raise RemediedError(
            f"{origin}: half of the distances are below {away:.3g} kpc, where no star is: are distances in Mpc?",
            " --unit distance=Mpc (if not, --unit distance=kpc)",
        )
    motion = next((pair for pair in _MOTIONS if pair[0] in columns), None)
    along = np.abs(columns.get("vlos", np.zeros(len(distance))))
    _refuse_still(origin, columns, along, asked)
    if motion is None or known.sum() <= _FEW:
        return []
    across = KMS_PER_MASYR_KPC * distance * np.hypot(columns[motion[0]], columns[motion[1]])
    across = across[known & np.isfinite(across) & (across > 0.0)]
    along = along[np.isfinite(along) & (along > 0.0)]
    meant, kept = {}, []
    if "distance" in asked and away < _IN_MPC:
        meant["distances in Mpc"] = "--unit distance=Mpc"
        kept.append("--unit distance=kpc")
    if asked.issuperset(motion):
        meant["proper motions in arcsec/yr"] = " ".join(f"--unit {n}=arcsec/yr" for n in motion)
        kept += [f"--unit {n}=mas/yr" for n in motion]
    if not meant or not across.size:
        return []
    units, options = (" or ".join(words) for words in (meant, meant.values()))
    otherwise = " ".join(kept)
    told = (
        f"half of the stars move across the line of sight by less than {_median(across):.3g} km/s"
    )
    if _median(across) < _STRAIGHT * _median(along) and _ALONG < _median(along) < SPEED_LIMIT:
        raise RemediedError(
            f"{origin}: {told}, and along it by more than {_median(along):.3g}: are {units}?",
            f" {options} (if not, {otherwise})",
        )
    if not along.size and _nearly_all_below(across, _STILL):
        return [f"{', '.join(motion)}: {told} (for {units}: {options}; if not, {otherwise})"]
    return []


def _refuse_still(origin: str, columns: Columns, along: FloatArray, asked: set[str]) -> None:
    """Refuse line-of-sight velocities ``along`` (N,) without a unit of stars all over the sky that hardly move."""
    known = np.isfinite(along) & (along > 0.0)
    if "vlos" not in asked or known.sum() <= _FEW or not _nearly_all_below(along[known], _STILL):
        return
    lon, lat = ("l", "b") if "l" in columns else ("ra", "dec")
    mean = np.nanmean(direction(columns[lon], columns[lat]), axis=0)
    if np.linalg.norm(mean) < _ONE_FIELD:
        raise RemediedError(
            f"{origin}: half of the line-of-sight velocities are below {_median(along[known]):.3g} km/s, though the"
            " stars are in many directions: are they in 1000 km/s or kpc/Myr?",
            " --unit vlos=1000 or --unit vlos=kpc/Myr (if not, --unit vlos=km/s)",
        )


def _median(values: FloatArray) -> float:
    return float(np.median(values)) if values.size else 0.0


def _nearly_all_below(values: FloatArray, limit: float) -> bool:
    return float(np.mean(values < limit)) > _NEARLY_ALL
