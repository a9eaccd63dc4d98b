"""Readers of simulation snapshots: plain tables of any format, and what every reader returns.

Positions, velocities and masses come out in kpc, km/s and Msun, physical, about whatever origin the file has.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from haloassay.base.arrays import BoolArray, FloatArray
from haloassay.base.cache import cached
from haloassay.base.errors import InputError
from haloassay.base.settings import require, unknown
from haloassay.io.formats import Fields, format_of, read_fields, readable
from haloassay.mocks.snapshots.rows import finite_values, physical, require_spread
from haloassay.mocks.snapshots.units import HABIT, INSIDE, Unit, parse_unit

Kind = Literal["gas", "dark", "stars", "black_holes"]
Selection = tuple[tuple[str, float, float], ...]

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)


@dataclass(frozen=True)
class Units:
    """Units of a snapshot whose file does not state them, such as "a kpc/h", "sqrt(a) km/s", "1e10 Msun/h".

    Parameters
    ----------
    length, velocity, mass
        Plain units times powers of the scale factor a and of h.
    """

    length: str | None = None
    velocity: str | None = None
    mass: str | None = None


@dataclass(frozen=True)
class Types:
    """Numbers of the particle types (PartType0 to PartType5) that are of each kind.

    Parameters
    ----------
    gas, dark, stars, black_holes
        All of these gravitate. Types 2 and 3 are left to be named: discs and bulges in some simulations, dark
        matter of low resolution in others.
    ignored
        Types that are no matter, such as tracer particles.
    """

    gas: tuple[int, ...] = (0,)
    dark: tuple[int, ...] = (1,)
    stars: tuple[int, ...] = (4,)
    black_holes: tuple[int, ...] = (5,)
    ignored: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        numbers = [n for name in (*KINDS, "ignored") for n in getattr(self, name)]
        twice = sorted({n for n in numbers if numbers.count(n) > 1})
        require(not twice, f"a type is named once, of one kind (more often: {twice})")
        require(all(n >= 0 for n in numbers), f"types are numbers from 0 (got {sorted(numbers)})")


@dataclass(frozen=True)
class ParticleTable:
    """Columns of a plain table (HDF5 datasets by their path, Parquet, FITS, CSV, text) that hold particles of a kind.

    Parameters
    ----------
    position, velocity
        One column of shape (N, 3), or three columns.
    kind
        ``gas``, ``dark``, ``stars`` or ``black_holes``.
    mass
        A column, or the mass of every particle; massless tracers without it.
    select
        [column, lowest, highest] of what is taken, such as ["type", 4, 4]; all must hold. A row that two tables take is
        an error.
    """

    position: str | tuple[str, str, str]
    velocity: str | tuple[str, str, str] | None = None
    kind: Kind = "stars"
    mass: str | float | None = None
    select: Selection = ()

    def __post_init__(self) -> None:
        columns = (
            self.position,
            self.velocity or (),
            self.mass if isinstance(self.mass, str) else (),
        )
        require_once("column", [name for names in columns for name in _names(names)])
        if self.mass is not None and not isinstance(self.mass, str):
            require(0.0 <= self.mass < np.inf, f"mass must not be negative (got {self.mass})")
        require_ordered(self.select)


@dataclass(frozen=True)
class Source:
    """Where particles are, and what the file does not say of them."""

    file: str
    tables: tuple[ParticleTable, ...] = ()
    types: Types = field(default_factory=Types)
    units: Units = field(default_factory=Units)
    h: float | None = None
    a: float | None = None


@dataclass(frozen=True, eq=False)
class Particles:
    """Particles of one kind.

    Parameters
    ----------
    position
        (N, 3) positions [kpc].
    velocity
        (N, 3) velocities [km/s], peculiar where the simulation is cosmological; None where not asked for.
    mass
        (N,) masses [Msun]; None where they have none.
    columns
        (N,) or (N, K) values of other datasets by name, as the file has them.
    """

    position: FloatArray
    velocity: FloatArray | None
    mass: FloatArray | None
    columns: Mapping[str, FloatArray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.position)

    def select(self, which: BoolArray) -> Particles:
        """Return some of the particles."""
        return Particles(
            self.position[which],
            None if self.velocity is None else self.velocity[which],
            None if self.mass is None else self.mass[which],
            {name: values[which] for name, values in self.columns.items()},
        )


@dataclass(frozen=True, eq=False)
class Content:
    """All that was read of a snapshot.

    Parameters
    ----------
    particles
        By kind; kinds without particles are absent.
    box
        (3,) sides of the periodic box [kpc]; 0 along axes that are not periodic.
    hubble
        Hubble's parameter [km/s/Mpc] of the expansion that velocities leave out; 0 where they leave out none.
    length
        The file's unit of length [kpc].
    """

    particles: Mapping[Kind, Particles]
    box: FloatArray = field(default_factory=lambda: np.zeros(3))
    hubble: float = 0.0
    length: float = 1.0


@dataclass(frozen=True)
class Wanted:
    """What is to be read beside positions and masses: kinds with velocities, and other datasets by kind."""

    velocity: frozenset[Kind]
    columns: Mapping[Kind, tuple[str, ...]]


def require_once(what: str, names: Sequence[str]) -> None:
    """Raise InputError where one of the names stands twice: what it names would be counted twice."""
    twice = sorted({name for name in names if names.count(name) > 1})
    require(not twice, f"each {what} is named once (more often: {', '.join(twice)})")


def require_ordered(select: Selection) -> None:
    """Raise InputError where the lowest value of a selection is above the highest."""
    for name, lowest, highest in select:
        require(lowest <= highest, f"select: {name} from {lowest:g} to {highest:g} leaves nothing")


def concatenate(parts: Sequence[Particles]) -> Particles:
    """All particles of ``parts``, at least one, in their order."""
    first = parts[0]
    if len(parts) == 1:
        return first
    velocities = [p.velocity for p in parts if p.velocity is not None]
    masses = [p.mass for p in parts if p.mass is not None]
    return Particles(
        np.concatenate([p.position for p in parts]),
        np.concatenate(velocities) if len(velocities) == len(parts) else None,
        np.concatenate(masses) if len(masses) == len(parts) else None,
        {name: np.concatenate([p.columns[name] for p in parts]) for name in first.columns},
    )


def require_file(path: Path) -> None:
    """Raise InputError unless there is such a file; paths are relative to the working directory."""
    if path.is_file():
        return
    what = "is a folder, expected a file" if path.is_dir() else "no such file"
    relative = (
        ""
        if path.is_absolute()
        else f" (paths are relative to the working directory, {Path.cwd()})"
    )
    raise InputError(f"{path}: {what}{relative}")


def digest_of(paths: Iterable[Path]) -> str:
    """Hash of the bytes of all files, in their order; remembered for files of unchanged size and times."""
    total = hashlib.blake2b(digest_size=16)
    for path in paths:
        total.update(bytes(_file_digest(path)))
    return total.hexdigest()


def _file_digest(path: Path) -> NDArray[np.uint8]:
    def read() -> dict[str, NDArray[Any]]:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).digest()
        return {"of_file": np.frombuffer(digest, dtype=np.uint8)}

    try:
        state = path.stat()
        # the second changes even where the first is set back
        times = (state.st_mtime_ns, state.st_ctime_ns)
        known = ["digest of a file", str(path.resolve()), state.st_ino, state.st_size, *times]
        return cached(known, read)["of_file"]
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None


def resolved_unit(stated: Unit | None, units: Units, dimension: str, what: str) -> Unit:
    """Find the unit of a dataset: that of the file, or that of the scenario where the file has none.

    Raises
    ------
    InputError
        If neither states it, or they differ.
    """
    told = getattr(units, dimension)
    own = None if told is None else parse_unit(told, dimension, f"units.{dimension}")
    if stated is not None and own is not None and not stated.agrees(own):
        raise InputError(
            f"units.{dimension}: {told!r} is not what the file states for {what} ({stated.written(dimension)}); "
            "leave it out"
        )
    unit = stated or own
    if unit is None:
        raise InputError(
            f"{what}: the unit is not known: state units.{dimension}, such as {INSIDE[dimension]!r}, or "
            f"{HABIT[dimension]!r} by GADGET's habit"
        )
    return unit


def read_tables(source: Source, wanted: Wanted) -> Content:
    """Read the particles of plain tables.

    Raises
    ------
    InputError
        If a column or unit is missing, damaged or out of range, or two tables take the same rows; else as in
        :func:`haloassay.io.formats.read_fields`.
    """
    path = Path(source.file)
    columns = _Columns(path, read_fields(path, None, None), source)
    parts: dict[Kind, list[Particles]] = {}
    taken = []
    for table in source.tables:
        some, rows = _read_table(columns, table, wanted)
        parts.setdefault(table.kind, []).append(some)
        taken.append(rows)
    require(any(map(len, taken)), f"{path}: there are no rows")
    _require_own_rows(source.tables, taken)
    particles = {kind: concatenate(some) for kind, some in parts.items()}
    length = columns.unit(_names(source.tables[0].position)[0], "length")
    return Content({kind: some for kind, some in particles.items() if len(some)}, length=length)


def _names(columns: str | Sequence[str]) -> tuple[str, ...]:
    return (columns,) if isinstance(columns, str) else tuple(columns)


def _require_own_rows(tables: Sequence[ParticleTable], taken: Sequence[BoolArray]) -> None:
    """Refuse two tables that take the same rows: such particles would be there twice."""
    for i, j in combinations(range(len(tables)), 2):
        if not set(_names(tables[i].position)) & set(_names(tables[j].position)):
            continue
        n = np.count_nonzero(taken[i] & taken[j])
        require(
            not n,
            f"tables.{i} ({tables[i].kind}) and tables.{j} ({tables[j].kind}) both take {n} rows, whose particles "
            "would be there twice: tell them apart by select; dark particles that stand for stars are tracers "
            'with kinds = ["dark"]',
        )


@dataclass(frozen=True, eq=False)
class _Columns:
    """Columns of a file, checked and in the units inside."""

    path: Path
    fields: Fields
    source: Source

    def _get(self, name: str) -> tuple[NDArray[Any], str | None]:
        if name not in self.fields.names:
            raise unknown("column", name, self.fields.names, str(self.path))
        return self.fields.get(name)

    def raw(self, name: str, width: int | None = 1) -> FloatArray:
        with readable(self.path, format_of(self.path)):
            return finite_values(self._get(name)[0], f"{self.path}: {name}", width)

    def unit(self, name: str, dimension: str) -> float:
        what, text = f"{self.path}: {name}", self._get(name)[1]
        stated = parse_unit(text, dimension, what) if text else None
        unit = resolved_unit(stated, self.source.units, dimension, what)
        return unit.value(self.source.a, self.source.h, what)

    def physical(self, name: str, width: int, dimension: str) -> FloatArray:
        values, unit = self.raw(name, width), self.unit(name, dimension)
        return physical(values, unit, dimension, f"{self.path}: {name}")

    def vector(self, names: str | tuple[str, str, str], dimension: str) -> FloatArray:
        if isinstance(names, str):
            return self.physical(names, 3, dimension)
        parts = [self.physical(name, 1, dimension) for name in names]
        self.require_one_length(parts, ", ".join(names))
        return np.stack(parts, axis=1)

    def mass(self, table: ParticleTable) -> FloatArray | float | None:
        """(N,) masses of particles, one for all, or none."""
        if isinstance(table.mass, str):
            return self.physical(table.mass, 1, "mass")
        if table.mass is None:
            return None
        what = f"mass of the table of {table.kind}"
        unit = resolved_unit(None, self.source.units, "mass", what)
        value = unit.value(self.source.a, self.source.h, what)
        return float(physical(np.array([table.mass]), value, "mass", what)[0])

    def require_one_length(self, columns: Iterable[FloatArray], what: str) -> None:
        lengths = sorted({len(column) for column in columns})
        require(len(lengths) == 1, f"{self.path}: {what} differ in length: {lengths}")


def _read_table(
    columns: _Columns, table: ParticleTable, wanted: Wanted
) -> tuple[Particles, BoolArray]:
    """Particles of a table, and (N,) which rows of the file they are."""
    position = columns.vector(table.position, "length")
    velocity = None
    if table.kind in wanted.velocity:
        if table.velocity is None:
            raise InputError(
                f"{columns.path}: the table of {table.kind} names no velocity, which is needed"
            )
        velocity = columns.vector(table.velocity, "velocity")
    mass = columns.mass(table)
    if isinstance(mass, float):
        mass = np.full(len(position), mass)
    others = {name: columns.raw(name, None) for name in wanted.columns.get(table.kind, ())}
    selectors = [columns.raw(name) for name, _, _ in table.select]
    arrays = (x for x in (position, velocity, mass, *others.values(), *selectors) if x is not None)
    columns.require_one_length(arrays, f"columns of {table.kind}")
    keep = np.ones(len(position), dtype=bool)
    for values, (_, lowest, highest) in zip(selectors, table.select, strict=True):
        keep &= (values >= lowest) & (values <= highest)
    particles = Particles(position, velocity, mass, others).select(keep)
    require_spread(particles.position, f"{columns.path}: {', '.join(_names(table.position))}")
    return particles, keep
