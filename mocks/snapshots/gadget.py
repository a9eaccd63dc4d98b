"""Snapshots in the HDF5 layout of GADGET, which AREPO, GIZMO and SWIFT share.

Groups Header and PartType0 to PartType5 with datasets Coordinates, Velocities and Masses (or MassTable in the header),
in one file or several. Velocities are in units of sqrt(a) km/s by GADGET's habit: u = sqrt(a) dx/dt, so that the
peculiar velocity is sqrt(a) u (Springel 2005, 2005MNRAS.364.1105S).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.errors import InputError
from haloassay.base.settings import require
from haloassay.io.formats import format_of, readable
from haloassay.io.formats.hdf5 import require_within
from haloassay.mocks.snapshots.formats import (
    KINDS,
    Content,
    Kind,
    Particles,
    Source,
    Wanted,
    concatenate,
    digest_of,
    resolved_unit,
)
from haloassay.mocks.snapshots.header import Header, read_header
from haloassay.mocks.snapshots.rows import finite_values, physical, require_spread
from haloassay.mocks.snapshots.units import (
    SYSTEM,
    numbers,
    require_range,
    stated_unit,
    system_unit,
)

#: Attributes in which the files of one snapshot agree.
_SHARED: Final = (
    *("Time", "Redshift", "HubbleParam", "Omega0", "OmegaLambda", "BoxSize", "MassTable"),
    *(name for names in SYSTEM.values() for name in names),
)
_DATASETS: Final = {"length": "Coordinates", "velocity": "Velocities", "mass": "Masses"}
#: Dataset of star particles that is not above zero for wind, which counts as gas (AREPO).
_FORMATION: Final = "GFM_StellarFormationTime"
#: Two statements of one value differ by no more than this fraction: codes round their constants.
_ROUNDING: Final = 1e-3
#: Particles that drift before they are folded back leave the box by no more than this fraction of it.
_OUTSIDE: Final = 0.01


def is_gadget(path: Path) -> bool:
    """Tell whether a file has GADGET's layout; one of several files may have no particles.

    Raises
    ------
    InputError
        If it is HDF5 by name and cannot be read as such.
    """
    if format_of(path) != "HDF5":
        return False
    import h5py

    with readable(path, "HDF5"), h5py.File(path) as file:
        return "Header" in file and (
            "NumPart_ThisFile" in file["Header"].attrs
            or any(name.startswith("PartType") for name in file)
        )


def files_of(path: Path) -> list[Path]:
    """All files of the snapshot that ``path`` is a part of, which is called NAME.K.hdf5 where there are several.

    Raises
    ------
    InputError
        If one is missing, or the name has no number.
    """
    header = read_header(path)
    n = header.n_files
    found = re.fullmatch(r"(?P<stem>.*\.)\d+(?P<end>\.\w+)", path.name)
    if n == 1:
        # of a name without a number, the totals may be those of what it was cut out of
        if found is not None and "NumPart_Total" in header.attributes:
            _require_total(header, header.counts("NumPart_ThisFile"))
        return [path]
    if found is None:
        raise InputError(f"{path}: one of {n} files, but its name is not of the form NAME.0.hdf5")
    files = []
    for k in range(n):  # one by one: a damaged header may promise any number
        files.append(path.with_name(f"{found['stem']}{k}{found['end']}"))
        if not files[-1].is_file():
            raise InputError(f"{files[-1]}: missing, one of the {n} files of this snapshot")
    return files


def read_gadget(source: Source, wanted: Wanted, *, hubble_known: bool) -> Content:
    """Read all particles of a snapshot, from all its files.

    Parameters
    ----------
    source
        Where it is; ``h`` and ``a`` are needed only where the file does not state them.
    wanted
        What is read beside positions and masses.
    hubble_known
        Whether the caller knows the expansion, so that the file need not state it.

    Raises
    ------
    InputError
        If a file, dataset, attribute or unit is missing, damaged, or not what the scenario states.
    """
    files = files_of(Path(source.file))
    header = read_header(files[0])
    a = _agreed("a", header.scale_factor, source.a, files[0])
    h = _agreed("h", header.h, source.h, files[0])
    parts: dict[Kind, list[Particles]] = {}
    readers = [
        _Reader(path, read_header(path), source, wanted, 1.0 if a is None else a, h)
        for path in files
    ]
    if len(files) > 1:
        _require_one_snapshot([reader.header for reader in readers])
    for reader in readers:
        with readable(reader.path, "HDF5"):
            for kind, some in reader.particles():
                parts.setdefault(kind, []).append(some)
    length = max(reader.length() for reader in readers)
    box = readers[0].box(length)
    particles = {kind: concatenate(some) for kind, some in parts.items() if any(map(len, some))}
    for some in particles.values():
        _require_within(some.position, box, header)
    return Content(particles, box, 0.0 if hubble_known else header.hubble, length)


def _agreed(name: str, own: float | None, stated: float | None, path: Path) -> float | None:
    """Value that the file or the scenario states; an error where they differ, or the file's cannot be."""
    require_range(name, own, f"{path}: the header's ")
    if own is not None and stated is not None and abs(own / stated - 1.0) > _ROUNDING:
        raise InputError(f"{name}: {stated:g} is not what {path} states ({own:g}); leave it out")
    return stated if own is None else own


def _require_one_snapshot(headers: Sequence[Header]) -> None:
    """Refuse files that are not the parts of one snapshot, each of them once."""
    first = headers[0]
    counts = [header.counts("NumPart_ThisFile") for header in headers]
    if len({len(of_type) for of_type in counts}) > 1:
        raise InputError(f"{first.path}: the files of this snapshot differ in their types")
    for name in _SHARED:
        for header in headers:
            own, others = header.said(name), first.said(name)
            if repr(own) != repr(others):
                raise InputError(
                    f"{header.path}: of another snapshot than {first.path.name}: {name} is {own}, not {others}"
                )
    content: dict[str, Path] = {}
    for header, of_type in zip(headers, counts, strict=True):
        digest = digest_of([header.path])
        if any(of_type) and digest in content:
            raise InputError(
                f"{header.path}: a copy of {content[digest].name}, whose particles would be there twice"
            )
        content[digest] = header.path
    _require_total(first, [sum(of_type) for of_type in zip(*counts, strict=True)])


def _require_within(position: FloatArray, box: FloatArray, header: Header) -> None:
    """Refuse positions (N, 3) [kpc] that no periodic box of these sides can hold: they would be folded into it."""
    extent = np.ptp(position, axis=0) if len(position) else np.zeros(3)
    for axis in np.flatnonzero((box > 0.0) & (extent > (1.0 + _OUTSIDE) * box)):
        raise InputError(
            f"{header.path}: positions extend over {extent[axis]:.6g} kpc along {'xyz'[axis]}, the header's BoxSize is "
            f"{box[axis]:.6g} kpc: if nothing is periodic, name the datasets in tables"
        )


def _require_total(header: Header, counts: list[int]) -> None:
    """Compare the particles of all files with what the header promises."""
    total = header.totals
    require(
        total == counts,
        f"{header.path}: the files hold {counts} particles by type, the header says {total}",
    )


@dataclass(frozen=True, eq=False)
class _Reader:
    """One file, its datasets in the units inside."""

    path: Path
    header: Header
    source: Source
    wanted: Wanted
    a: float
    h: float | None

    def length(self) -> float:
        """Return the unit of length [kpc]; 0 in a file without particles."""
        import h5py

        with readable(self.path, "HDF5"), h5py.File(self.path) as file:
            for name in file:
                if name.startswith("PartType") and self._has(file, name, "Coordinates"):
                    return self._unit(file[name]["Coordinates"].attrs, "length", str(self.path))
        return 0.0

    def _has(self, place: Any, *names: str) -> bool:
        """Tell whether a place in the file holds a name, and that another, all in this file."""
        for name in names:
            require_within(self.path, place, name)
            if name not in place:
                return False
            place = place[name]
        return True

    def box(self, length: float) -> FloatArray:
        """(3,) sides of the periodic box [kpc]; ``length`` [kpc] is their unit where the header has none."""
        what = f"{self.path}: BoxSize of the header"
        own = system_unit(self.header.attributes, "length", what)
        unit = length if own is None else own.value(self.a, self.h, what)
        return physical(self.header.box[None], unit, "length", what)[0]

    def particles(self) -> Iterator[tuple[Kind, Particles]]:
        """Kind and particles of every type that has any; wind among the stars is gas."""
        import h5py

        kinds = {n: kind for kind in KINDS for n in getattr(self.source.types, kind)}
        with h5py.File(self.path) as file:
            for n, count in enumerate(self.header.counts("NumPart_ThisFile")):
                if not count or n in self.source.types.ignored:
                    continue
                if n not in kinds:
                    dark = sorted({*self.source.types.dark, n})
                    raise InputError(
                        f"{self.path}: PartType{n} holds {count} particles of no known kind: state types, such as "
                        f"types = {{ dark = {dark} }}, or types = {{ ignored = [{n}] }} if they are no matter"
                    )
                yield from self._of_type(file, n, kinds[n], count)

    def _of_type(
        self, file: Any, n: int, kind: Kind, count: int
    ) -> Iterator[tuple[Kind, Particles]]:
        import h5py

        name = f"PartType{n}"
        if not self._has(file, name):
            raise InputError(
                f"{self.path}: {name} is missing, the header promises {count} particles"
            )
        group = file[name]
        if isinstance(group, h5py.Dataset):
            raise InputError(f"{self.path}: {name} is a dataset, expected a group of datasets")
        position = self._physical(group, "length", 3, count)
        require_spread(position, f"{self.path}: {name}/Coordinates")
        velocity = None
        if kind in self.wanted.velocity:
            velocity = self._physical(group, "velocity", 3, count)
        others = {
            column: self._raw(group, column, None, count)
            for column in self.wanted.columns.get(kind, ())
        }
        particles = Particles(position, velocity, self._mass(file, group, n, count), others)
        if kind != "stars" or not self._has(group, _FORMATION):
            yield kind, particles
            return
        formed = self._raw(group, _FORMATION, 1, count) > 0.0
        yield kind, particles.select(formed)
        wind = particles.select(~formed)
        yield "gas", Particles(wind.position, None, wind.mass)

    def _raw(self, group: Any, name: str, width: int | None, count: int) -> FloatArray:
        what = f"{self.path}: {group.name[1:]}/{name}"
        if not self._has(group, name):
            known = ", ".join(sorted(group))
            raise InputError(f"{what} is missing (there are: {known})")
        values = finite_values(group[name][()], what, width)
        if len(values) != count:
            raise InputError(f"{what} has {len(values)} rows, the header promises {count}")
        return values

    def _physical(self, group: Any, dimension: str, width: int, count: int) -> FloatArray:
        name = _DATASETS[dimension]
        values = self._raw(group, name, width, count)
        what = f"{self.path}: {group.name[1:]}/{name}"
        return physical(values, self._unit(group[name].attrs, dimension, what), dimension, what)

    def _mass(self, file: Any, group: Any, n: int, count: int) -> FloatArray:
        """(N,) masses [Msun]: each particle's own, or the one that the header states for its type."""
        what = f"{self.path}: MassTable of the header"
        table = numbers(self.header.attributes.get("MassTable", 0.0), what)
        negative = n < len(table) and table[n] < 0.0
        require(not negative, f"{what} must not be negative (got {table.tolist()})")
        own = self._physical(group, "mass", 1, count) if self._has(group, "Masses") else None
        if n >= len(table) or table[n] == 0.0:
            if own is None:
                raise InputError(
                    f"{self.path}: PartType{n} has no Masses, and MassTable none for it"
                )
            return own
        value = float(physical(table[n : n + 1], self._table_unit(file, what), "mass", what)[0])
        if own is not None and not np.allclose(own, value, rtol=_ROUNDING, atol=0.0):
            raise InputError(
                f"{self.path}: PartType{n}/Masses are {own.min():.6g} to {own.max():.6g} Msun, MassTable of the header "
                f"says {value:.6g} Msun: which of them is meant?"
            )
        return np.full(count, value) if own is None else own

    def _table_unit(self, file: Any, what: str) -> float:
        """Find the unit of MassTable [Msun]: that of the header's system, else that of the Masses of other types."""
        stated = system_unit(self.header.attributes, "mass", what)
        if stated is None:
            beside = {
                f"{name}/Masses": stated_unit(file[name]["Masses"].attrs, "mass", what)
                for name in file
                if name.startswith("PartType") and self._has(file, name, "Masses")
            }
            known = [(name, unit) for name, unit in beside.items() if unit is not None]
            for name, unit in known[1:]:
                first, stated = known[0]
                require(
                    unit.agrees(stated),
                    f"{what}: its unit is not known: {first} is in {stated.written('mass')}, {name} in "
                    f"{unit.written('mass')}",
                )
            stated = known[0][1] if known else None
        unit = resolved_unit(stated, self.source.units, "mass", what)
        return unit.value(self.a, self.h, what)

    def _unit(self, attributes: Mapping[str, Any], dimension: str, what: str) -> float:
        stated = stated_unit(attributes, dimension, what) or system_unit(
            self.header.attributes, dimension, what
        )
        unit = resolved_unit(stated, self.source.units, dimension, what)
        return unit.value(self.a, self.h, what)
