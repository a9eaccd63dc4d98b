"""Snapshots in the HDF5 layout of GADGET, which AREPO, GIZMO and SWIFT share.

Groups Header and PartType0 to PartType5 with datasets Coordinates, Velocities and Masses (or MassTable in the header),
in one file or several. Velocities are in units of sqrt(a) km/s by GADGET's habit: u = sqrt(a) dx/dt, so that the
peculiar velocity is sqrt(a) u (Springel 2005, 2005MNRAS.364.1105S).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from haloassay.errors import InputError
from haloassay.formats import format_of, readable
from haloassay.mocks.snapshots.formats import (
    KINDS,
    Content,
    FloatArray,
    Kind,
    Particles,
    Source,
    Wanted,
    checked,
    concatenate,
    require_masses,
    resolved_unit,
)
from haloassay.mocks.snapshots.units import number, stated_unit, system_unit
from haloassay.settings import require

#: Where attributes stand; a later group overrides.
_GROUPS: Final = ("Cosmology", "Units", "Parameters", "Header")
_DATASETS: Final = {"length": "Coordinates", "velocity": "Velocities", "mass": "Masses"}
#: Dataset of star particles that is not above zero for wind, which counts as gas (AREPO).
_FORMATION: Final = "GFM_StellarFormationTime"
#: Time and redshift that are this near to a = 1 / (1 + z) are those of a cosmological simulation.
_ROUNDING: Final = 1e-3


@dataclass(frozen=True, eq=False)
class Header:
    """What a file of a snapshot says of itself and of the simulation."""

    path: Path
    attributes: Mapping[str, Any]

    def get(self, *names: str) -> float | None:
        """Look up the number of the first attribute that is there."""
        for name in names:
            if name in self.attributes:
                return number(self.attributes[name])
        return None

    def counts(self, name: str) -> list[int]:
        """Numbers of particles by type."""
        if name not in self.attributes:
            raise InputError(
                f"{self.path}: the header has no {name}, so this is not GADGET's layout: name its datasets in tables"
            )
        return [int(n) for n in np.ravel(self.attributes[name])]

    @property
    def totals(self) -> list[int]:
        """Numbers of particles by type in all files; their upper 32 bits stand apart."""
        low, name = self.counts("NumPart_Total"), "NumPart_Total_HighWord"
        high = self.counts(name) if name in self.attributes else [0] * len(low)
        return [n + (more << 32) for n, more in zip(low, high, strict=True)]

    @property
    def n_files(self) -> int:
        """Files of the snapshot; one where this holds all particles, whatever it was cut out of."""
        n = int(self.get("NumFilesPerSnapshot", "NumFiles") or 1)
        return 1 if n == 1 or self.totals == self.counts("NumPart_ThisFile") else n

    @property
    def scale_factor(self) -> float | None:
        """Scale factor of a cosmological simulation; None of another."""
        comoving = self.get("ComovingIntegrationOn", "Cosmological run")
        if comoving == 0.0:
            return None
        a = self.get("Scale-factor")
        if a is not None:
            return a
        time, redshift = self.get("Time"), self.get("Redshift")
        if time is None or redshift is None or abs(time * (1.0 + redshift) - 1.0) > _ROUNDING:
            return None
        # at a time of 1, the redshift of 0 that other simulations write says nothing
        matter = self.get("Omega0", "Omega_Matter") or 0.0
        return time if redshift != 0.0 or matter > 0.0 or comoving else None

    @property
    def h(self) -> float | None:
        """Hubble's constant / (100 km/s/Mpc); None where it is not stated."""
        h = self.get("HubbleParam", "h")
        return h if h is not None and h > 0.0 else None

    @property
    def hubble(self) -> float:
        """Hubble's parameter [km/s/Mpc] at the time of the snapshot; 0 of a simulation that is not cosmological."""
        a, h = self.scale_factor, self.h
        if a is None:
            return 0.0
        matter = self.get("Omega0", "Omega_Matter", "Omega_m")
        vacuum = self.get("OmegaLambda", "Omega_Lambda", "Omega_lambda")
        if h is None or matter is None or vacuum is None:
            raise InputError(
                f"{self.path}: cosmological (a = {a:g}), but the header lacks HubbleParam, Omega0 or OmegaLambda: "
                "state hubble_flow [km/s/Mpc], the expansion that velocities leave out"
            )
        return float(100.0 * h * np.sqrt(matter / a**3 + (1.0 - matter - vacuum) / a**2 + vacuum))


def is_gadget(path: Path) -> bool:
    """Tell whether a file has GADGET's layout.

    Raises
    ------
    InputError
        If it is HDF5 by name and cannot be read as such.
    """
    if format_of(path) != "HDF5":
        return False
    import h5py

    with readable(path, "HDF5"), h5py.File(path) as file:
        return "Header" in file and any(name.startswith("PartType") for name in file)


def read_header(path: Path) -> Header:
    """Header of one file."""
    import h5py

    with readable(path, "HDF5"), h5py.File(path) as file:
        attributes: dict[str, Any] = {}
        for group in _GROUPS:
            if group in file:
                attributes |= dict(file[group].attrs)
        return Header(path, attributes)


def files_of(path: Path) -> list[Path]:
    """All files of the snapshot that ``path`` is a part of, which is called NAME.K.hdf5 where there are several.

    Raises
    ------
    InputError
        If one is missing, or the name has no number.
    """
    n = read_header(path).n_files
    if n == 1:
        return [path]
    found = re.fullmatch(r"(?P<stem>.*\.)\d+(?P<end>\.\w+)", path.name)
    if found is None:
        raise InputError(f"{path}: one of {n} files, but its name is not of the form NAME.0.hdf5")
    files = [path.with_name(f"{found['stem']}{k}{found['end']}") for k in range(n)]
    missing = [file for file in files if not file.is_file()]
    if missing:
        raise InputError(f"{missing[0]}: missing, one of the {n} files of this snapshot")
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
    for reader in readers:
        with readable(reader.path, "HDF5"):
            for kind, particles in reader.particles():
                parts.setdefault(kind, []).append(particles)
    if len(files) > 1:
        counts = (reader.header.counts("NumPart_ThisFile") for reader in readers)
        _require_total(header, [sum(of_type) for of_type in zip(*counts, strict=True)])
    length = max(reader.length() for reader in readers)
    return Content(
        {kind: concatenate(some) for kind, some in parts.items()},
        (header.get("BoxSize") or 0.0) * length,
        0.0 if hubble_known else header.hubble,
        length,
    )


def _agreed(name: str, own: float | None, stated: float | None, path: Path) -> float | None:
    """Value that the file or the scenario states; an error where they differ."""
    if own is not None and stated is not None and abs(own / stated - 1.0) > _ROUNDING:
        raise InputError(f"{name}: {stated:g} is not what {path} states ({own:g}); leave it out")
    return stated if own is None else own


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

        with h5py.File(self.path) as file:
            for name in file:
                if name.startswith("PartType") and "Coordinates" in file[name]:
                    return self._unit(file[name]["Coordinates"].attrs, "length", str(self.path))
        return 0.0

    def particles(self) -> Iterator[tuple[Kind, Particles]]:
        """Kind and particles of every type that has any; wind among the stars is gas."""
        import h5py

        kinds = {n: kind for kind in KINDS for n in getattr(self.source.types, kind)}
        with h5py.File(self.path) as file:
            for n, count in enumerate(self.header.counts("NumPart_ThisFile")):
                if not count or n in self.source.types.ignored:
                    continue
                if n not in kinds:
                    raise InputError(
                        f"{self.path}: PartType{n} holds {count} particles of no known kind: state types, such as "
                        f"types = {{ dark = [1, {n}] }}, or types = {{ ignored = [{n}] }} if they are no matter"
                    )
                yield from self._of_type(file, n, kinds[n], count)

    def _of_type(
        self, file: Any, n: int, kind: Kind, count: int
    ) -> Iterator[tuple[Kind, Particles]]:
        name = f"PartType{n}"
        if name not in file:
            raise InputError(
                f"{self.path}: {name} is missing, the header promises {count} particles"
            )
        group = file[name]
        position = self._physical(group, "length", 3, count)
        velocity = None
        if kind in self.wanted.velocity:
            velocity = self._physical(group, "velocity", 3, count)
        others = {
            column: self._raw(group, column, None, count)
            for column in self.wanted.columns.get(kind, ())
        }
        particles = Particles(position, velocity, self._mass(file, group, n, count), others)
        if kind != "stars" or _FORMATION not in group:
            yield kind, particles
            return
        formed = self._raw(group, _FORMATION, 1, count) > 0.0
        yield kind, particles.select(formed)
        wind = particles.select(~formed)
        yield "gas", Particles(wind.position, None, wind.mass)

    def _raw(self, group: Any, name: str, width: int | None, count: int) -> FloatArray:
        what = f"{self.path}: {group.name[1:]}/{name}"
        if name not in group:
            known = ", ".join(sorted(group))
            raise InputError(f"{what} is missing (there are: {known})")
        values = checked(group[name][()], what, width)
        if len(values) != count:
            raise InputError(f"{what} has {len(values)} rows, the header promises {count}")
        return values

    def _physical(self, group: Any, dimension: str, width: int, count: int) -> FloatArray:
        name = _DATASETS[dimension]
        values = self._raw(group, name, width, count)
        what = f"{self.path}: {group.name[1:]}/{name}"
        return values * self._unit(group[name].attrs, dimension, what)

    def _mass(self, file: Any, group: Any, n: int, count: int) -> FloatArray:
        if "Masses" in group:
            mass = self._physical(group, "mass", 1, count)
            return require_masses(mass, f"{self.path}: PartType{n}/Masses")
        table = np.ravel(self.header.attributes.get("MassTable", []))
        if n >= len(table) or not table[n] > 0.0:
            raise InputError(f"{self.path}: PartType{n} has no Masses, and MassTable none for it")
        beside = (
            file[name]["Masses"]
            for name in file
            if name.startswith("PartType") and "Masses" in file[name]
        )
        attributes: Mapping[str, Any] = next((dict(dataset.attrs) for dataset in beside), {})
        return np.full(count, table[n] * self._unit(attributes, "mass", f"{self.path}: MassTable"))

    def _unit(self, attributes: Mapping[str, Any], dimension: str, what: str) -> float:
        stated = stated_unit(attributes, dimension, what) or system_unit(
            self.header.attributes, dimension, what
        )
        unit = resolved_unit(stated, self.source.units, dimension, what)
        return unit.value(self.a, self.h, what)
