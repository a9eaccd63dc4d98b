"""HDF5: compound datasets and groups of datasets are its tables; nothing outside of the file is followed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, Final

from haloassay.base.errors import InputError
from haloassay.contracts.catalogue import spans
from haloassay.contracts.columns import SUN_KEY
from haloassay.io.formats.fields import Array, Blocks, Fields, Table, with_masks
from haloassay.io.formats.heaps import require_sound_heaps
from haloassay.io.formats.kinds import unpacked
from haloassay.io.formats.serialized import Serialized, parse

#: What astropy calls the dataset of the metadata beside a table.
_META: Final = ".__table_column_meta__"
#: Groups within groups, and links to links, that are followed.
_DEPTH: Final = 32


@dataclass(frozen=True)
class _Column:
    """Where a column is: its dataset, and the part of it where that is compound."""

    place: str
    part: str | None
    rows: int
    n_bytes: int
    unit: str | None
    elsewhere: str | None
    is_plain: bool


@dataclass
class _Group:
    """Columns of a group or a compound, by their names in it."""

    path: str
    columns: dict[str, _Column] = field(default_factory=dict)
    meta: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_compound(self) -> bool:
        """Whether it is a compound dataset: of a group, the path is empty or ends with a slash."""
        return self.path != "" and not self.path.endswith("/")


def read_hdf5(path: Path, limit: int) -> list[Table]:
    """List the tables of an HDF5 file; columns are read when asked for."""
    import h5py

    source = unpacked(path, limit)
    require_sound_heaps(source, path)
    with h5py.File(source) as file:
        groups: list[_Group] = []
        _walk(file, "", groups, set())
        if SUN_KEY in file.attrs:
            sun = {SUN_KEY: _text(file.attrs[SUN_KEY])}
            for group in groups:
                group.meta = {**sun, **group.meta}
    tables = [group for group in groups if group.columns]
    several = sum(group.is_compound for group in tables) > 1
    return [
        _table(path, source, group, number, several, limit)
        for number, group in enumerate(tables, 1)
    ]


def _table(
    path: Path, source: Path | BinaryIO, group: _Group, number: int, several: bool, limit: int
) -> Table:
    import h5py

    columns = group.columns

    def get(name: str) -> tuple[Array, str | None]:
        column = columns[name]
        if column.elsewhere is not None:
            raise _not_followed(path, column.place, column.elsewhere)
        with h5py.File(source) as file:
            item = file[column.place]
            values = item[()] if column.part is None else item[column.part]
        return values, column.unit

    def cost(name: str) -> int:
        return columns[name].n_bytes

    def read(wanted: Sequence[str]) -> Iterator[Mapping[str, tuple[Array, str | None]]]:
        with h5py.File(source) as file:
            for span in spans(columns[wanted[0]].rows):
                found = {}
                for name in wanted:
                    item, part = file[columns[name].place], columns[name].part
                    values = item[span] if part is None else item.fields(part)[span]
                    found[name] = (values, columns[name].unit)
                yield found

    names, masked = with_masks(tuple(columns), get, path)
    lengths = {columns[name].rows for name in names if columns[name].elsewhere is None}
    rows = lengths.pop() if len(lengths) == 1 else None
    plain = frozenset(name for name in names if columns[name].is_plain)
    blocks = None
    if rows is not None and len(names) == len(columns):
        blocks = Blocks(plain, rows, read)
    before = group.path
    if group.is_compound:
        before = f"{group.path}/" if several else ""
    called = group.path.rstrip("/") or "/"
    return Table(
        called, number, rows, Fields(names, masked, group.meta, cost, limit, blocks), before
    )


def _walk(here: Any, before: str, groups: list[_Group], seen: set[int]) -> None:
    """Note the datasets of a group, and its groups, each once: groups may hold themselves."""
    import h5py

    address = h5py.h5o.get_info(here.id).addr
    if address in seen or before.count("/") > _DEPTH:
        return
    seen.add(address)
    own = _Group(before)
    groups.append(own)
    notes: dict[str, Serialized] = {}
    compounds: list[_Group] = []
    for name in here:
        place = f"{before}{name}"
        link = here.get(name, getlink=True)
        outside = _outside(here.file, here.name, link)
        if outside is not None:
            own.columns[name] = _Column(place, None, 0, 0, None, outside, False)
            continue
        soft = isinstance(link, h5py.SoftLink)
        item = here.get(name)  # None for a link to nothing
        if isinstance(item, h5py.Group) and not soft:
            _walk(item, f"{place}/", groups, seen)
        elif isinstance(item, h5py.Dataset):
            if name.endswith("__table_column_meta__"):
                notes[name.removesuffix(_META)] = parse([_text(line) for line in item[()]])
            elif item.dtype.names is None:
                own.columns[name] = _column(place, item, None)
            else:
                parts = {part: _column(place, item, part) for part in item.dtype.names}
                compounds.append(_Group(place, parts))
    for compound in compounds:
        note = notes.get(compound.path.rpartition("/")[2], notes.get("__table_column_meta__"))
        if note is not None:
            compound.meta = note.meta
            compound.columns = {
                name: replace(column, unit=column.unit or note.units.get(name))
                for name, column in compound.columns.items()
            }
    groups.extend(compounds)


def _column(place: str, item: Any, part: str | None) -> _Column:
    dtype = item.dtype if part is None else item.dtype[part]
    unit = item.attrs.get("unit", item.attrs.get("units"))
    rows = int(item.shape[0]) if item.shape else 1
    n_bytes = int(item.size or 0) * (dtype.itemsize + 8)
    there = _stored(item)
    is_plain = dtype.kind in "fiu" and len(item.shape) == 1 and not dtype.shape and there is None
    unit = None if unit is None else _text(unit)
    return _Column(place, part, rows, n_bytes, unit, there, is_plain)


def _stored(item: Any) -> str | None:
    """Name of another file that holds the values of a dataset."""
    if item.external:
        return str(item.external[0][0])
    if item.is_virtual:
        return next((s.file_name for s in item.virtual_sources() if s.file_name != "."), None)
    return None


def _outside(file: Any, here: str, link: Any, depth: int = 0) -> str | None:
    """Name of the file that a link leads to, itself or by the links on its way; None for this one."""
    import h5py

    if isinstance(link, h5py.ExternalLink):
        return str(link.filename)
    if not isinstance(link, h5py.SoftLink):
        return None
    if depth > _DEPTH:
        return "a ring of links"
    place = file if link.path.startswith("/") else file[here]
    for part in filter(None, link.path.split("/")):
        if part == ".":
            continue
        step = place.get(part, getlink=True) if isinstance(place, h5py.Group) else None
        if step is None:  # a link to nothing
            return None
        if (outside := _outside(file, place.name, step, depth + 1)) is not None:
            return outside
        place = place.get(part)
    return None


def require_within(path: Path, here: Any, name: str) -> None:
    """Refuse what a group of a file has from another file, by a link or by how it is stored, also one that is missing.

    Raises
    ------
    InputError
        Which says where it is; what the group does not have at all is no fault.
    """
    link = here.get(name, getlink=True)
    outside = _outside(here.file, here.name, link)
    if outside is None and hasattr(item := here.get(name), "is_virtual"):
        outside = _stored(item)
    if outside is not None:
        raise _not_followed(path, f"{here.name}/{name}".lstrip("/"), outside)


def _not_followed(path: Path, place: str, elsewhere: str) -> InputError:
    return InputError(
        f"{path}: {place} is kept in another file ({elsewhere}), which is not followed: copy it into this one"
    )


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
