"""Files of expansions that a scenario names.

Agama's; an index in TOML of snapshots in one of three forms; or plain tables at several times in one file.
"""

from __future__ import annotations

import functools
import hashlib
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from haloassay.base.errors import InputError
from haloassay.base.settings import build, require
from haloassay.mocks.gravity.agama_files import centre_file, chosen, multipole, timestamps
from haloassay.mocks.gravity.expansion_text import (
    TIME_UNITS,
    TimeUnit,
    plain_table,
    plain_tables,
    read_lines,
    refuse,
)
from haloassay.mocks.gravity.expansions import Expansion, HarmonicTable
from haloassay.mocks.gravity.scf_files import coefficients, scf_table


@dataclass(frozen=True)
class Stamp:
    """A snapshot of an index.

    Parameters
    ----------
    time
        In the index's unit of time.
    file
        Relative to the index.
    """

    time: float
    file: str


@dataclass(frozen=True)
class Index:
    """Snapshots of an expansion: an index file in TOML.

    Parameters
    ----------
    format
        What the files of the snapshots are: ``multipole``, coefficients of agama's type Multipole; ``table``, plain
        tables, ``# r l=0,m=0 l=1,m=-1 ...`` and a radius [kpc] and its Phi_lm [(km/s)^2] a line, for harmonics of mean
        square 1, without the phase (-1)^m (l = 1: sqrt(3) times y / r, z / r, x / r); ``scf``, coefficients of the
        basis of Hernquist & Ostriker (1992), ``# S T n l m``, as gala has them.
    time_unit
        ``Gyr`` or ``kpc/(km/s)`` (0.978 Gyr).
    snapshots
        Times and files.
    r_s
        Scale radius [kpc] of the basis, of ``scf`` only.
    mass
        Mass [Msun] of S_000 = 1, of ``scf`` only.
    """

    format: Literal["multipole", "table", "scf"]
    time_unit: TimeUnit
    snapshots: tuple[Stamp, ...]
    r_s: float | None = None
    mass: float | None = None

    def __post_init__(self) -> None:
        require(len(self.snapshots) > 0, "snapshots must not be empty")
        for name in ("r_s", "mass"):
            value = getattr(self, name)
            if self.format == "scf":
                require(
                    value is not None and value > 0.0, f"{name} must be positive with format 'scf'"
                )
            else:
                require(value is None, f"{name} is of format 'scf' only")

    def table(self, path: Path) -> HarmonicTable:
        """Read a file of a snapshot."""
        if self.format == "multipole":
            return multipole(chosen(path, ""))
        try:
            if self.format == "table":
                return HarmonicTable(*plain_table(path))
            assert self.r_s is not None
            assert self.mass is not None
            return scf_table(*coefficients(path), self.r_s, self.mass)
        except InputError as error:
            # what is wrong with the numbers of a file, rather than with its text
            raise error if str(path) in str(error) else refuse(path, str(error)) from None


@dataclass(frozen=True, eq=False)
class Source:
    """What a file has.

    Parameters
    ----------
    expansion
        Its snapshots.
    files
        All that were read.
    centre
        File of the path of its centre, where it names one.
    """

    expansion: Expansion
    files: tuple[Path, ...]
    centre: Path | None = None


def read_source(name: str) -> Source:
    """Expansion of a file: ``FILE.toml``, an index, ``FILE.tables``, else ``FILE`` or ``FILE#SECTION`` of agama.

    Files that have not changed since are not read again.

    Raises
    ------
    InputError
        If a file is missing, or anything in it is not as it should be.
    """
    file, _, section = name.partition("#")
    path = Path(file)
    if path.suffix.lower() == ".toml":
        index = _index(path)
        stamps = [stamp.time * TIME_UNITS[index.time_unit] for stamp in index.snapshots]
        files = tuple(path.parent / stamp.file for stamp in index.snapshots)
        return Source(_expansion(path, tuple(stamps), files, index), (path, *files))
    if path.suffix.lower() == ".tables":
        return Source(_of_tables(path), (path,))
    found = chosen(path, section.strip())
    if found.type == "evolving":
        times, listed = timestamps(found)
        made = _expansion(path, tuple(times), tuple(listed), None)
        return Source(made, (path, *listed), centre_file(found))
    if found.type == "multipole":
        return Source(Expansion.of([0.0], [multipole(found)]), (path,))
    raise refuse(
        path,
        f"{found.title} is of type {found.type or 'none'}: expansions are of type Evolving or Multipole, anything else"
        " belongs into mock.potential",
        found.line,
    )


def _index(path: Path) -> Index:
    text = "\n".join(line.text for line in read_lines(path))
    try:
        plain: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise refuse(path, str(error)) from None
    stamps = plain.pop("snapshots", None)
    if not isinstance(stamps, list) or not all(isinstance(stamp, dict) for stamp in stamps):
        raise refuse(path, "expected a list of tables called snapshots, each with time and file")
    made = [build(Stamp, stamp, f"{path}: snapshots.{k}") for k, stamp in enumerate(stamps)]
    return build(Index, {**plain, "snapshots": [vars(stamp) for stamp in made]}, str(path))


def _expansion(
    path: Path, times: tuple[float, ...], files: tuple[Path, ...], index: Index | None
) -> Expansion:
    try:
        states = tuple((state.st_mtime_ns, state.st_size) for state in map(Path.stat, files))
    except OSError:
        states = ()  # reading says which it is
    try:
        return _read(times, tuple(each.absolute() for each in files), states, index, files)
    except InputError as error:
        raise (
            error if any(str(each) in str(error) for each in files) else refuse(path, str(error))
        ) from None


@functools.lru_cache(maxsize=8)
def _read(
    times: tuple[float, ...],
    _where: tuple[Path, ...],
    _states: tuple[tuple[int, int], ...],
    index: Index | None,
    files: tuple[Path, ...],
) -> Expansion:
    """Read all snapshots, of agama without an index; those of equal names, places and states once."""
    tables = [multipole(chosen(each, "")) if index is None else index.table(each) for each in files]
    return Expansion.of(times, tables)


def _of_tables(path: Path) -> Expansion:
    states: tuple[tuple[int, int], ...]
    try:
        state = path.stat()
        states = ((state.st_mtime_ns, state.st_size),)
    except OSError:
        states = ()  # reading says which it is
    return _read_tables(path.absolute(), states, path)


@functools.lru_cache(maxsize=8)
def _read_tables(_where: Path, _states: tuple[tuple[int, int], ...], path: Path) -> Expansion:
    """Read plain tables of one file; those of equal place and state once."""
    times, radii, phi = plain_tables(path)
    made = []
    for time, r, table in zip(times, radii, phi, strict=True):
        try:
            made.append(HarmonicTable(r, table))
        except InputError as error:
            raise refuse(path, f"at the time {time:g}: {error}") from None
    return Expansion.of(times, made)


def digest_of(files: Iterable[Path]) -> str:
    """Hash of the content of files, in their order."""
    total = hashlib.blake2b(digest_size=16)
    for path in files:
        total.update(hashlib.blake2b(path.read_bytes()).digest())
    return total.hexdigest()
