"""Defects of a catalogue's rows: named in one error, or left out and counted on request."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from haloassay.base.arrays import FloatArray
from haloassay.base.constants import KMS_PER_MASYR_KPC
from haloassay.base.errors import InputError, RemediedError
from haloassay.base.settings import require, unknown
from haloassay.contracts.catalogue import Catalogue, spans
from haloassay.contracts.columns import CHEMISTRY
from haloassay.contracts.frames import Sun
from haloassay.io.sentinels import ABUNDANCE_LIMIT, stands_for_missing

Columns = Mapping[str, FloatArray]
#: What is wrong, in words, and the (N,) rows where it is.
Found = dict[str, NDArray[np.bool_]]

#: Total Galactocentric speed [km/s] above which a star is an error of measurement: thrice the
#: escape speed here.
SPEED_LIMIT: Final = 1500.0

#: Galactocentric radius [kpc] beyond which nothing belongs to the Milky Way: positions in pc, most
#: likely. A star in the very centre has no radial direction: zeros that stand for missing values.
RADIUS_LIMIT: Final = 1.0e4

#: Relative distance from a limit within which rounding may decide.
_ROUNDING: Final = 1.0e-9

#: Names of the defects in the order in which rows are examined; a row counts for the first one it
#: has.
DEFECTS: Final = (
    "nan",
    "distance",
    "longitude",
    "latitude",
    "error",
    "correlation",
    "sentinel",
    "duplicates",
    "unphysical",
)

_PAIRS: Final = ("pmra", "pmdec", "pm_l", "pm_b")
_PROPER_MOTIONS: Final = (*_PAIRS, *(f"{name}_err" for name in _PAIRS), "pm_corr")

_NAMED_ROWS: Final = 5

_DIRECTIONS: Final = ("ra", "l", "x")

#: Rows that are looked at together: what is made of them on the way stays in the caches of a processor.
_SLICE: Final = 2**14

#: Units that make a catalogue unphysical where they are taken for the canonical ones: what to ask,
#: the columns and the factor to the canonical unit.
_MISTAKEN_UNITS: Final = {
    "are distances in pc? --unit distance=pc": (("distance",), 1e-3),
    "are positions in pc? --unit position=pc": (("x", "y", "z"), 1e-3),
    "are line-of-sight velocities in m/s? --unit vlos=m/s": (("vlos",), 1e-3),
    "are velocities in m/s? --unit velocity=m/s": (("vx", "vy", "vz"), 1e-3),
    "are proper motions in uas/yr? --unit pmra=uas/yr --unit pmdec=uas/yr": (
        ("pmra", "pmdec"),
        1e-3,
    ),
    "are proper motions in uas/yr? --unit pm_l=uas/yr --unit pm_b=uas/yr": (
        ("pm_l", "pm_b"),
        1e-3,
    ),
}

#: Fraction of unphysical rows above which units are suspected, and how many rows are tried.
_SUSPICIOUS: Final = 0.9
_TRIED_ROWS: Final = 1000

#: Median distance [kpc] below which a catalogue of the Milky Way is hardly one in pc.
_FAR: Final = 300.0


def checked(
    catalogue: Catalogue, drop: str | Iterable[str] = (), speed_limit: float = SPEED_LIMIT
) -> Catalogue:
    """Catalogue without defective rows; see :func:`sift`."""

    def convert(columns: Columns) -> Catalogue:
        return Catalogue(columns, catalogue.sun, catalogue.origin)

    return sift(catalogue.columns, convert, catalogue.origin, drop, speed_limit)


def sound_rows(
    catalogue: Catalogue, drop: str | Iterable[str] = ()
) -> tuple[NDArray[np.bool_], dict[str, int]]:
    """Which rows (N,) of a catalogue :func:`sift` keeps, and how many it leaves out, by defect."""

    def convert(columns: Columns) -> Catalogue:
        return Catalogue(columns, catalogue.sun, catalogue.origin)

    columns = {**catalogue.columns}
    _, kept, dropped = sound_columns(columns, convert, catalogue.origin, drop)
    return kept, dropped


def sift(
    columns: Columns,
    convert: Callable[[Columns], Catalogue],
    origin: str,
    drop: str | Iterable[str] = (),
    speed_limit: float = SPEED_LIMIT,
    used: Collection[str] | None = None,
) -> Catalogue:
    """Examine the rows of ``columns`` and convert the sound ones to a catalogue.

    Parameters
    ----------
    columns
        Name to (N,) array in canonical units, as read.
    convert
        Makes a catalogue of the columns.
    origin
        What to call the columns in messages.
    drop
        Defects whose rows are left out and counted in ``Catalogue.dropped``: names of
        :data:`DEFECTS`, as an iterable or one comma-separated string, or ``"all"``.
    speed_limit
        Total Galactocentric speed [km/s] above which a star is ``unphysical``.
    used
        Columns that will be read; others that have a defect are left out whole. By default all are.

    Returns
    -------
    Catalogue
        With ra from 0 to 360 deg, where -180 to 0 was given.

    Raises
    ------
    InputError
        If rows have a defect that is not in ``drop`` (the message names columns, counts and the
        first rows, counted from 1), no row is left, or most distance errors exceed the distance.
    """
    columns = _without_unused(columns, used)
    columns, _, dropped = _sifted({**columns}, convert, origin, drop, speed_limit)
    clean = convert(columns)
    return Catalogue(clean.columns, clean.sun, clean.origin, dropped)


def sound_columns(
    columns: dict[str, FloatArray],
    convert: Callable[[Columns], Catalogue],
    origin: str,
    drop: str | Iterable[str] = (),
    speed_limit: float = SPEED_LIMIT,
    used: Collection[str] | None = None,
) -> tuple[tuple[str, ...], NDArray[np.bool_], dict[str, int]]:
    """Do as :func:`sift`, and keep no column: names of those that stay, which rows (N,) do, how many go, by defect.

    ``columns`` is emptied on the way: of a long table nothing is in memory twice.
    """
    n = len(next(iter(columns.values())))
    mine = dict(_without_unused(columns, used))
    columns.clear()
    left, rows, dropped = _sifted(mine, convert, origin, drop, speed_limit, keep=False)
    kept = np.zeros(n, dtype=bool)
    kept[rows - 1] = True
    return tuple(left), kept, dropped


def _sifted(
    columns: dict[str, FloatArray],
    convert: Callable[[Columns], Catalogue],
    origin: str,
    drop: str | Iterable[str],
    speed_limit: float,
    *,
    keep: bool = True,
) -> tuple[Columns, NDArray[np.int64], dict[str, int]]:
    """Columns of the rows that stay, their numbers counted from 1, and how many go, by defect.

    Columns are put in the place of those that are given, so that no more than one is there twice. Who does not
    ``keep`` them is given those of all rows that the last defect leaves in doubt.
    """
    rows = np.arange(1, len(next(iter(columns.values()))) + 1)
    if rows.size == 0:
        raise InputError(f"{origin}: there are no rows")
    names = drop_names(drop)
    _refuse_distance_errors(columns, origin)
    columns.update(wrapped(columns))
    hint = ""
    dropped: dict[str, int] = {}
    complaints: dict[str, str] = {}
    for defect, find in _finders(convert, speed_limit).items():
        found = {what: bad for what, bad in find(columns).items() if bad.any()}
        if not found:
            continue
        bad = np.logical_or.reduce(list(found.values()))
        if defect == "unphysical" and bad.mean() > _SUSPICIOUS:
            hint = f"; {_unit_hint(columns, convert, speed_limit)}"
        if defect in names or "all" in names:
            dropped[defect] = int(bad.sum())
        else:
            complaints[defect] = "; ".join(_named(what, rows[at]) for what, at in found.items())
        rows = rows[~bad]
        if not keep and defect == DEFECTS[-1]:
            break
        for name in columns:
            columns[name] = columns[name][~bad]
        if rows.size == 0:
            break
    if "sentinel" in complaints:
        hint += "; numbers that stand for missing values are NaN with --missing VALUE"
    if unread := [f"{n}=-" for n in CHEMISTRY if f"{n} is NaN" in complaints.get("nan", "")]:
        hint += f"; --columns {','.join(unread)} does without them"
    if complaints:
        listed, remedy = "; ".join(complaints.values()), ",".join(complaints)
        raise RemediedError(
            f"{origin}: {listed}",
            f" (drop = {remedy!r} leaves these rows out and counts them){hint}",
        )
    if rows.size == 0:
        counts = ", ".join(f"{name} {count}" for name, count in dropped.items())
        raise InputError(f"{origin}: no rows are left after dropping ({counts}){hint}")
    return columns, rows, dropped


def _without_unused(columns: Columns, used: Collection[str] | None) -> Columns:
    """Columns without those that nobody will read and that have a defect; an error goes with its column."""
    if used is None:
        return columns
    bad = {
        name
        for name, values in columns.items()
        if name not in used and any(_in_blocks(find, {name: values}) for find in _OF_COLUMNS)
    }
    if bad.intersection(_PROPER_MOTIONS):  # one of a pair is none
        bad.update(_PROPER_MOTIONS)
    return {k: v for k, v in columns.items() if k not in bad and k.removesuffix("_err") not in bad}


def wrapped(columns: Columns) -> dict[str, FloatArray]:
    """Longitudes of the columns, from -180 to 0 turned to 180 to 360; others outside stay as they are."""
    found = {}
    for name in ("ra", "l"):
        if name in columns and np.signbit(columns[name]).any():
            turn = np.where((columns[name] >= -180.0) & (columns[name] < 0.0), 360.0, 0.0)
            found[name] = columns[name] + turn
    return found


def _refuse_distance_errors(columns: Columns, origin: str) -> None:
    if "distance" not in columns or "distance_err" not in columns:
        return
    distance, error = columns["distance"], columns["distance_err"]
    positive = (distance > 0.0) & np.isfinite(distance) & np.isfinite(error)
    exceeding = int((positive & (error > distance)).sum())
    if 2 * exceeding > positive.sum():
        raise RemediedError(
            f"{origin}: distance_err exceeds distance in {exceeding} of {positive.sum()} rows: "
            "are the errors in another unit?",
            " --unit distance_err=pc",
        )


def _median_size(columns: Columns, names: Iterable[str]) -> float:
    return float(np.median(np.abs([columns[name] for name in names])))


def _unit_hint(columns: Columns, convert: Callable[[Columns], Catalogue], limit: float) -> str:
    """Ask for the fewest changes of units that leave few rows unphysical."""
    step = -(-len(next(iter(columns.values()))) // _TRIED_ROWS)
    some = {name: values[::step] for name, values in columns.items()}
    mistakes = {
        ask: (names, factor)
        for ask, (names, factor) in _MISTAKEN_UNITS.items()
        if all(name in some for name in names)
        and ("in pc" not in ask or _median_size(some, names) > _FAR)
    }
    for count in (1, 2):
        for asks in combinations(mistakes, count):
            scaled = dict(some)
            for names, factor in (mistakes[ask] for ask in asks):
                scaled |= {name: factor * some[name] for name in names}
            found = _unphysical(scaled, convert, limit)
            if np.logical_or.reduce(list(found.values())).mean() < 1.0 - _SUSPICIOUS:
                return " ".join(asks)
    return "are the units those of the columns? --unit COLUMN=UNIT"


def _finders(
    convert: Callable[[Columns], Catalogue], speed_limit: float
) -> dict[str, Callable[[Columns], Found]]:
    """Search of each defect, in the order of :data:`DEFECTS`."""
    require(speed_limit > 0.0, f"speed_limit: must be positive (got {speed_limit})")
    of_rows = (_not_finite, _distance, _longitude, _latitude, _error, _correlation)
    finders: tuple[Callable[[Columns], Found], ...] = (
        *(partial(_in_blocks, find) for find in of_rows),
        _sentinel,
        _duplicates,
        partial(_in_blocks, partial(_unphysical, convert=convert, limit=speed_limit)),
    )
    return dict(zip(DEFECTS, finders, strict=True))


def _in_blocks(find: Callable[[Columns], Found], columns: Columns) -> Found:
    """Search for defects of single rows, a block of rows at a time."""
    n = len(next(iter(columns.values())))
    found: dict[str, NDArray[np.bool_] | None] = {}
    for rows in spans(n, _SLICE):
        for what, bad in find({name: values[rows] for name, values in columns.items()}).items():
            mask = found.setdefault(what, None)
            if bad.any():
                if mask is None:
                    mask = found[what] = np.zeros(n, dtype=bool)
                mask[rows] = bad
    return {what: mask for what, mask in found.items() if mask is not None}


def drop_names(drop: str | Iterable[str]) -> list[str]:
    """Names in ``drop``: an iterable or one comma-separated string.

    Raises
    ------
    InputError
        If a name is neither one of :data:`DEFECTS` nor ``all``.
    """
    names = (
        [part.strip() for part in drop.split(",") if part.strip()]
        if isinstance(drop, str)
        else [*drop]
    )
    for name in names:
        if name not in (*DEFECTS, "all"):
            raise unknown("defect", name, (*DEFECTS, "all"), "drop")
    return names


def _named(what: str, rows: NDArray[np.int64]) -> str:
    """One complaint: what, in how many rows, and the first of them."""
    first = ", ".join(str(row) for row in rows[:_NAMED_ROWS])
    more = ", ..." if rows.size > _NAMED_ROWS else ""
    return f"{what} in {rows.size} row{'s' if rows.size > 1 else ''} ({first}{more})"


def _not_finite(columns: Columns) -> Found:
    return {f"{name} is NaN or infinite": ~np.isfinite(values) for name, values in columns.items()}


def _distance(columns: Columns) -> Found:
    return {
        f"{name} is zero or negative": columns[name] <= 0.0
        for name in ("distance",)
        if name in columns
    }


def _longitude(columns: Columns) -> Found:
    return {
        f"{name} is outside -180 to 360 deg": (columns[name] < 0.0) | (columns[name] > 360.0)
        for name in ("ra", "l")
        if name in columns
    }


def _latitude(columns: Columns) -> Found:
    return {
        f"{name} is outside -90 to 90 deg": np.abs(columns[name]) > 90.0
        for name in ("dec", "b")
        if name in columns
    }


def _error(columns: Columns) -> Found:
    return {
        f"{name} is negative": values < 0.0
        for name, values in columns.items()
        if name.endswith("_err")
    }


def _correlation(columns: Columns) -> Found:
    return {
        f"{name} is not between -1 and 1": np.abs(columns[name]) >= 1.0
        for name in ("pm_corr",)
        if name in columns
    }


def _sentinel(columns: Columns) -> Found:
    """Rows with numbers that can only stand for missing ones, by column and number."""
    found: Found = {}
    for name, values in columns.items():
        blocks = [stands_for_missing(name, values[rows]) for rows in spans(len(values), _SLICE)]
        if not any(block.any() for block in blocks):
            continue
        bad = np.concatenate(blocks)
        if name in CHEMISTRY:
            found[f"{name} is beyond {ABUNDANCE_LIMIT:g} dex"] = bad
            continue
        first = np.unique(values[bad])[:_NAMED_ROWS]
        found |= {f"{name} is {value:.10g}": values == value for value in first}
        found[f"{name} is another such number"] = bad & ~np.isin(values, first)
    return found


def _duplicates(columns: Columns) -> Found:
    """Rows that repeat an earlier one in every column."""
    names = list(columns)
    # of directions hardly any two agree; an error may be the same for all
    first = columns[next((name for name in _DIRECTIONS if name in columns), names[0])]
    ascending = np.sort(first)
    tied = ascending[1:][ascending[1:] == ascending[:-1]]
    # only rows that agree in one column can agree in all: few, so the exact comparison is cheap
    candidates = np.flatnonzero(_among(first, tied)) if tied.size else np.empty(0, dtype=np.int64)
    repeated = np.zeros(first.size, dtype=bool)
    if candidates.size:
        table = np.stack([columns[name][candidates] for name in names], axis=1)
        _, kept = np.unique(table, axis=0, return_index=True)
        repeated[np.delete(candidates, kept)] = True
    return {"repeats an earlier row": repeated}


def _among(values: FloatArray, ascending: FloatArray) -> NDArray[np.bool_]:
    """Which values (N,) are among some that ascend."""
    found = np.zeros(len(values), dtype=bool)
    for rows in spans(len(values)):
        here = values[rows]
        place = np.minimum(np.searchsorted(ascending, here), len(ascending) - 1)
        found[rows] = ascending[place] == here
    return found


#: Defects of single columns.
_OF_COLUMNS: Final = (_not_finite, _error, _correlation, _sentinel)


def _unphysical(columns: Columns, convert: Callable[[Columns], Catalogue], limit: float) -> Found:
    doubtful = _doubtful(columns, convert({name: v[:1] for name, v in columns.items()}).sun, limit)
    if not doubtful.any():
        return {}
    catalogue = convert({name: values[doubtful] for name, values in columns.items()})
    with np.errstate(over="ignore"):
        radius = catalogue.r
        found = {
            f"Galactocentric radius is zero or exceeds {RADIUS_LIMIT:g} kpc": (
                (radius == 0.0) | (radius > RADIUS_LIMIT)
            )
        }
        if not catalogue.lacks(("velocity",)):
            speed = np.sqrt(np.einsum("ni,ni->n", catalogue.velocity, catalogue.velocity))
            # not "above": where numbers overflow, it is neither above nor below
            found[f"total Galactocentric speed exceeds {limit:g} km/s"] = ~(speed <= limit)
    for what, bad in found.items():
        found[what] = np.zeros(len(doubtful), dtype=bool)
        found[what][doubtful] = bad
    return found


def _doubtful(columns: Columns, sun: Sun, limit: float) -> NDArray[np.bool_]:
    """Rows (N,) that may be unphysical: bounds that need no direction clear nearly all, at a fifth of the time."""
    if "distance" not in columns:
        return np.ones(len(next(iter(columns.values()))), dtype=bool)
    away, moving = np.linalg.norm(sun.position), np.linalg.norm(sun.velocity)
    distance = columns["distance"]
    with np.errstate(over="ignore", invalid="ignore"):
        doubtful = ~(np.abs(distance - away) > _ROUNDING * away)
        doubtful |= ~(distance + away < RADIUS_LIMIT)
        if "vlos" in columns:
            across = sum(columns[name] ** 2 for name in _PAIRS if name in columns)
            square = columns["vlos"] ** 2 + (KMS_PER_MASYR_KPC * distance) ** 2 * across
            doubtful |= ~(np.sqrt(square) + moving < (1.0 - _ROUNDING) * limit)
    return doubtful
