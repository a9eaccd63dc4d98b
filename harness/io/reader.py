"""From the columns of a file or table to those of a catalogue: which is which, and in what unit."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.errors import InputError, RemediedError
from haloassay.base.settings import unknown
from haloassay.base.text import is_number
from haloassay.contracts import stored
from haloassay.contracts.catalogue import BLOCK
from haloassay.contracts.columns import CHEMISTRY, GALACTIC, GALACTOCENTRIC, HELIOCENTRIC, UNITS
from haloassay.io import formats
from haloassay.io.formats.memory import require as require_memory

#: Sets of six columns that a catalogue can have, in the order in which they are preferred.
FRAMES: Final = {
    "heliocentric": HELIOCENTRIC,
    "galactic": GALACTIC,
    "galactocentric": GALACTOCENTRIC,
}

#: (N, 3) datasets and the columns they hold.
GROUPS: Final = {"position": GALACTOCENTRIC[:3], "velocity": GALACTOCENTRIC[3:]}

#: More stars than these within the range of radians are no accident of the footprint.
_RADIANS_MIN_STARS: Final = 20

#: What to call a column in the file, by the name of the catalogue; or the names in their order.
ColumnSpec = str | Sequence[str] | Mapping[str, str]


@dataclass(frozen=True)
class Naming:
    """Names in their order, for a file that has none; or file names by canonical name."""

    order: tuple[str, ...] | None
    renamed: Mapping[str, str]


def naming_of(columns: ColumnSpec | None) -> Naming:
    """Parse names in their order, or by canonical name; raises :class:`InputError` where one is unknown or repeated."""
    if columns is None:
        return Naming(None, {})
    if isinstance(columns, Mapping):
        return Naming(None, _known_names(columns))
    words = columns.split(",") if isinstance(columns, str) else columns
    words = [word.strip() for word in words]
    pairs = [word.partition("=") for word in words]
    if all(equals for _, equals, _ in pairs):
        return Naming(None, _known_names({name.strip(): there.strip() for name, _, there in pairs}))
    if any(equals for _, equals, _ in pairs):
        raise InputError("columns: give names in their order, or name=file_name for each; not both")
    named = [word for word in words if word not in formats.SKIP]
    _known_names(dict.fromkeys(named))
    repeated = sorted({name for name in named if named.count(name) > 1})
    if repeated:
        raise InputError(f"columns: {', '.join(repeated)} named more than once")
    return Naming(tuple(words), {})


def wanted_of(naming: Naming) -> frozenset[str]:
    """Columns of a file any of which makes a table of it one that may be meant."""
    names = {**{name: name for names in FRAMES.values() for name in names}, **naming.renamed}
    return frozenset(names.values()) - {*formats.SKIP}


def _known_names(names: Mapping[str, Any]) -> Mapping[str, Any]:
    for name in names:
        _refuse_truth(name, "columns")
        if name not in UNITS and name not in GROUPS:
            raise unknown("column", name, (*UNITS, *GROUPS), "columns")
    return names


def _unread(frame: str, absent: Sequence[str], used: Collection[str] | None) -> bool:
    """Whether a method does without the columns of a set that are absent: motions, of proper motions both or none."""
    whole = FRAMES[frame]
    if used is None or {*whole[:3], *used}.intersection(absent):
        return False
    return whole == GALACTOCENTRIC or len({*whole[3:5]}.intersection(absent)) != 1


def _refuse_truth(name: str, where: str) -> None:
    if name.startswith("true_"):
        raise InputError(
            f"{where}: column {name!r} holds a truth, which no observer has; leave it out"
        )


@dataclass(frozen=True)
class Reader:
    """From the columns of a file to canonical ones."""

    fields: formats.Fields
    naming: Naming
    units: Mapping[str, str | float]
    origin: str
    missing: tuple[float, ...] = ()

    def columns(
        self, frame: str | None, used: Collection[str] | None = None
    ) -> tuple[dict[str, FloatArray], frozenset[str]]:
        """Columns of the frame, their errors and the chemistry, in canonical units; names of those that state none.

        Of a file that is read in blocks, only those that are ``used``; motions that are not may be absent.
        """
        places = self._places()
        for name in self.units:
            if name not in UNITS and name not in GROUPS:
                raise unknown("column", name, (*UNITS, *GROUPS), "units")
        whole = FRAMES[self._frame(frame, places, used)]
        needed = tuple(n for n in whole if n in places)
        optional = [f"{name}_err" for name in (*needed, *CHEMISTRY)] + [*CHEMISTRY]
        self._refuse_other_case({*whole, *optional, "pm_corr"} - {*CHEMISTRY}, places)
        if whole != GALACTOCENTRIC and whole[3] in needed:
            optional.append("pm_corr")
            pm_errors = [f"{name}_err" for name in whole[3:5]]
            absent = [name for name in pm_errors if name not in places]
            if len(absent) == 1:
                present = next(name for name in pm_errors if name in places)
                raise InputError(
                    f"{self.origin}: column {absent[0]!r} is missing beside {present!r}"
                )
        names = [*needed, *(name for name in optional if name in places)]
        if self.is_long(places[name] for name in names):
            names = [name for name in names if used is None or name in {*needed, *used}]
            read = self._in_blocks(names)
        else:
            self.fields.require_memory({places[name][0] for name in names}, self.origin)
            read = {name: self._column(name, *places[name]) for name in names}
        columns = {name: values for name, (values, _) in read.items()}
        lengths = {name: values.size for name, values in columns.items()}
        if len(set(lengths.values())) > 1:
            listed = ", ".join(f"{name} {length}" for name, length in lengths.items())
            raise InputError(f"{self.origin}: columns differ in length ({listed})")
        if all(read[name][1] is None for name in needed[:2]):
            self._refuse_radians(columns, *needed[:2])
        return columns, frozenset(name for name, (_, unit) in read.items() if unit is None)

    def is_long(self, places: Iterable[tuple[str, int | None]]) -> bool:
        """Whether columns are so long that they are read in blocks, and can be."""
        blocks = self.fields.blocks
        if blocks is None or blocks.rows <= BLOCK + 1:
            return False
        return all(there in blocks.names and part is None for there, part in places)

    def is_stored(self, columns: Mapping[str, FloatArray]) -> bool:
        """Whether columns that were read are so long that they stay in the file."""
        places = self._places()
        long = self.is_long(places[name] for name in columns)
        return long and len(next(iter(columns.values()))) > stored.KEPT

    def _in_blocks(self, names: Sequence[str]) -> dict[str, tuple[FloatArray, str | float | None]]:
        """As :meth:`_column` of each, filled block by block: no more than that is in memory beside them."""
        blocks = self.fields.blocks
        assert blocks is not None
        if self.fields.limit is not None:
            require_memory(8 * blocks.rows * len(names), self.fields.limit, self.origin)
        out = {name: np.empty(blocks.rows) for name in names}
        units: dict[str, str | float | None] = {}
        start = 0
        for block in self.blocks(names):
            for name, (values, unit) in block.items():
                out[name][start : start + len(values)] = values
                units[name] = unit
            start += len(values)
        return {name: (values, units[name]) for name, values in out.items()}

    def blocks(
        self, names: Iterable[str]
    ) -> Iterator[dict[str, tuple[FloatArray, str | float | None]]]:
        """Columns of a long file, in canonical units, some rows at a time; and their units."""
        blocks, places = self.fields.blocks, self._places()
        assert blocks is not None
        there = {name: places[name][0] for name in names}
        with formats.readable(Path(self.origin), "columns"):
            for block in blocks.read([*dict.fromkeys(there.values())]):
                yield {
                    name: self._in_canonical(name, place, *block[place])
                    for name, place in there.items()
                }

    def _refuse_radians(self, columns: Mapping[str, FloatArray], lon: str, lat: str) -> None:
        """Refuse directions without a unit that are all within the range of radians."""
        if lon not in ("ra", "l") or columns[lon].size <= _RADIANS_MIN_STARS:
            return
        known = np.isfinite(columns[lon]) & np.isfinite(columns[lat])
        inside = (np.abs(columns[lon]) <= 2.0 * np.pi) & (np.abs(columns[lat]) <= np.pi / 2.0)
        if known.sum() > _RADIANS_MIN_STARS and inside[known].all():
            raise RemediedError(
                f"{self.origin}: all {lon} are within 2 pi and all {lat} within pi/2: are they in radians?",
                f" --unit {lon}=rad --unit {lat}=rad (if not, --unit {lon}=deg)",
            )

    def _places(self) -> dict[str, tuple[str, int | None]]:
        """Where each canonical column is: name in the file and, of an (N, 3) dataset, which."""
        renamed = self.naming.renamed
        for name in self.fields.names:
            _refuse_truth(name, self.origin)
        for name, there in renamed.items():
            if there not in (*self.fields.names, *formats.SKIP):
                has = ", ".join(self.fields.names)
                raise InputError(f"{self.origin}: no column {there!r} for {name!r} (has: {has})")
        places: dict[str, tuple[str, int | None]] = {
            name: (name, None) for name in self.fields.names if name in UNITS
        }
        for group, members in GROUPS.items():
            if group in renamed:
                places |= {member: (renamed[group], i) for i, member in enumerate(members)}
        for name, there in renamed.items():
            error, its_error = f"{name}_err", f"{there}_err"
            if there in formats.SKIP:
                places.pop(name, None)
                if error not in renamed:
                    places.pop(error, None)
            elif name not in GROUPS:
                places[name] = (there, None)
                if error in UNITS and error not in renamed and its_error in self.fields.names:
                    places[error] = (its_error, None)
        return places

    def _frame(
        self, frame: str | None, places: Mapping[str, Any], used: Collection[str] | None
    ) -> str:
        """Which set of columns there is: a whole one, or the first of which all is there that will be read."""
        if frame is not None and frame not in FRAMES:
            raise unknown("frame", frame, FRAMES, "frame")
        candidates = FRAMES if frame is None else {frame: FRAMES[frame]}
        absent = {kind: [n for n in names if n not in places] for kind, names in candidates.items()}
        cased = {there.lower(): there for there in self.fields.names}
        # with nothing complete, the nearest set is what the user most likely meant, in whatever case
        best = min(
            absent, key=lambda kind: (sum(n not in cased for n in absent[kind]), len(absent[kind]))
        )
        if absent[best] in ([], ["vlos"]):
            return best
        enough = [kind for kind, names in absent.items() if _unread(kind, names, used)]
        if enough:
            return enough[0]
        pairs = [f"{name}={cased[name]}" for name in absent[best] if name in cased]
        hint = f"; names differ in case: columns {','.join(pairs)}" if pairs else ""
        raise InputError(
            f"{self.origin}: missing column{'s' if len(absent[best]) > 1 else ''} "
            f"{', '.join(absent[best])} for {best} {' '.join(FRAMES[best])} "
            f"(has: {', '.join(self.fields.names)}){hint}"
        )

    def _refuse_other_case(self, names: Collection[str], places: Mapping[str, Any]) -> None:
        """Refuse a column that is not read for the case of its name alone: no method would miss it."""
        taken = {there for there, _ in places.values()}
        for there in self.fields.names:
            name = there.lower()
            absent = name in names and name not in places and name not in self.naming.renamed
            if absent and there not in (name, *taken):
                raise InputError(
                    f"{self.origin}: column {there!r} differs from {name!r} in case: "
                    f"columns {name}={there} reads it, columns {name}=- does not"
                )

    def _column(
        self, name: str, there: str, part: int | None
    ) -> tuple[FloatArray, str | float | None]:
        """Values in the canonical unit, and the unit that the caller or the file states."""
        label = name if name == there else f"{name} ({there})"
        with formats.readable(Path(self.origin), f"column {there}"):
            values, stated = self.fields.get(there)
        shape = values.shape
        if part is not None:
            if len(shape) != 2 or shape[1] != 3:
                raise InputError(f"{self.origin}: column {there!r} must be (N, 3) (got {shape})")
            values = values[:, part]
        elif len(shape) != 1:
            raise InputError(f"{self.origin}: column {label} must be (N,) (got {shape})")
        return self._in_canonical(name, there, values, stated)

    def _in_canonical(
        self, name: str, there: str, values: formats.Array, stated: str | None
    ) -> tuple[FloatArray, str | float | None]:
        """Values (N,) of a column in the canonical unit, and the unit that the caller or the file states."""
        label = name if name == there else f"{name} ({there})"
        numbers = formats.as_numbers(values, f"{self.origin}: column {label}")
        for value in self.missing:
            # as exact as the column's own type, which may be of 32 bits
            numbers[np.isclose(numbers, value, rtol=1e-7, atol=0.0)] = np.nan
        quantity = name.removesuffix("_err")
        group = next((g for g, members in GROUPS.items() if quantity in members), quantity)
        unit = next((self.units[n] for n in (name, quantity, group) if n in self.units), stated)
        if unit is None:
            return numbers, None
        factor = self._factor(label, unit, UNITS[name])
        if name != quantity and name not in self.units:
            factor = abs(factor)  # a factor that mirrors a column leaves the size of its error
        with np.errstate(over="ignore", invalid="ignore"):  # what is absurd is found below
            return numbers * factor, unit

    def _factor(self, label: str, unit: str | float, canonical: str) -> float:
        """Factor from ``unit`` to the canonical unit."""
        if is_number(unit):
            factor = float(unit)
            if not np.isfinite(factor) or factor == 0.0:
                raise InputError(
                    f"units: factor for {label} must be finite and not zero (got {unit})"
                )
            return factor
        if unit == canonical:
            return 1.0
        import astropy.units as u

        try:
            given = u.Unit(unit)
        except (TypeError, ValueError):
            raise InputError(
                f"{self.origin}: unit {unit!r} of column {label} is not known; "
                f"give one that astropy knows or the factor to {canonical or 'a number'} (units)"
            ) from None
        if canonical in ("", "dex") and given in (u.dimensionless_unscaled, u.dex):
            return 1.0
        try:
            return float(given.to(u.Unit(canonical)))
        except u.UnitConversionError:
            raise InputError(
                f"{self.origin}: column {label} has unit {unit!r}, "
                f"expected one like {canonical or 'none'!r}"
            ) from None


def numbers_in(missing: float | Iterable[float]) -> tuple[float, ...]:
    """Numbers that stand for missing values; raises :class:`InputError` where one is none."""
    values = (missing,) if isinstance(missing, int | float | str) else tuple(missing)
    for value in values:
        if not is_number(value):
            raise InputError(f"missing: expected numbers (got {value!r})")
    return tuple(float(value) for value in values)
