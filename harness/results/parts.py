"""Parts of a results folder: Parquet files that are whole or absent, and which of them count.

A part is a pair of files of one name, ``estimates/NAME.parquet`` and ``runs/NAME.parquet``, written
in this order: it exists once its runs file does. The name ends with the digest of the runs file; its
metadata carry the digest of the estimates file beside it, and the names of the parts that it
replaces; readers leave those out, so at no instant is a row missing or counted twice. What is not
named so is not ours: it is never read, and never deleted. A file that the system does not let us
read is not damaged: that is an :class:`InputError`, and nothing is touched.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from haloassay.base.errors import HaloassayError, InputError
from haloassay.base.files import TEMPORARY, write_bytes
from haloassay.contracts.schema import SCHEMAS, TableName

_META: Final = b"haloassay"
#: Files that are read at once.
_READERS: Final = min(8, os.cpu_count() or 1)
#: What a part is of (a task, or many), and the digest of its runs file.
_NAME: Final = re.compile(r"(?:[0-9a-f]{8}-\d{7,}|segment)-([0-9a-f]{16})")


@dataclass(frozen=True)
class Part:
    """What a runs file says of its part."""

    name: str
    replaces: tuple[str, ...]
    digest: str


def write_file(path: Path, data: bytes) -> None:
    """Write a file of a results folder whole or not at all.

    Raises
    ------
    InputError
        If the disk is full or the folder cannot be written.
    """
    try:
        write_bytes(path, data)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written: {error.strerror or error}; "
            "finished work is kept, run again to go on"
        ) from None


def part_file(out: Path, kind: TableName, name: str) -> Path:
    """Path of one file of a part; ``kind`` is a name of :data:`~haloassay.contracts.schema.SCHEMAS`."""
    return out / kind / f"{name}.parquet"


def _encode(table: pa.Table, meta: Mapping[str, Any]) -> bytes:
    """Turn a table and what is to be said of it into the bytes of a Parquet file."""
    buffer = io.BytesIO()
    table = table.replace_schema_metadata({_META: json.dumps(meta).encode()})
    pq.write_table(table, buffer, compression="zstd", write_page_checksum=True)
    return buffer.getvalue()


def write_part(
    out: Path, stem: str, tables: Mapping[TableName, pa.Table], replaces: Iterable[str] = ()
) -> str:
    """Write a part and return its name; the parts that it replaces do not count from then on."""
    estimates = _encode(tables["estimates"], {})
    runs = _encode(tables["runs"], {"replaces": [*replaces], "digest": digest(estimates)})
    name = f"{stem}-{digest(runs)[:16]}"
    write_file(part_file(out, "estimates", name), estimates)
    write_file(part_file(out, "runs", name), runs)
    return name


def is_own(path: Path) -> bool:
    """Tell whether a file of a results folder is named as a part is."""
    return _NAME.fullmatch(path.name.split(".")[0]) is not None


def digest(data: bytes) -> str:
    """Digest of 128 bits, in hexadecimal."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _file_digest(path: Path) -> str:
    state = path.stat()
    return _known_digest(path, state.st_ino, state.st_size, state.st_mtime_ns)


@functools.lru_cache(maxsize=1 << 16)
def _known_digest(path: Path, *_state: int) -> str:
    """Digest of a file, read once as long as it is the same."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


class DamagedError(HaloassayError):
    """A file is not what was written."""


@contextlib.contextmanager
def reading(place: Path) -> Iterator[None]:
    """Turn what the system has against reading files into :class:`InputError`."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{error.filename or place}: cannot be read: {error.strerror or error}"
        ) from None


def _parse(place: Path, data: Any, read: Callable[[Any], Any]) -> Any:
    """Let pyarrow read bytes or an open file; it has nothing but the content to stumble over.

    Errors of the system carry a number, those of a wrong checksum do not.
    """
    try:
        return read(data)
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise DamagedError(f"{place}: is damaged: {error}") from error


def read_part(
    out: Path, kind: TableName, name: str, columns: Sequence[str] | None = None
) -> pa.Table:
    """Read one table of a part, or some of its columns, which every version has.

    Raises
    ------
    DamagedError
        Unless every page has its checksum.
    """
    path = part_file(out, kind, name)
    with reading(path):
        data = pa.BufferReader(path.read_bytes())

    def read(buffer: Any) -> pa.Table:
        return pq.ParquetFile(buffer, page_checksum_verification=True).read(columns)

    table: pa.Table = _parse(path, data, read)
    return as_schema(kind, table) if columns is None else table


def as_schema(kind: TableName, table: pa.Table) -> pa.Table:
    """Table with the columns of today; those that an earlier version did not write are null."""
    for field in SCHEMAS[kind]:
        if field.name not in table.column_names:
            table = table.append_column(field, pa.nulls(len(table), field.type))
    return table.select(SCHEMAS[kind].names).cast(SCHEMAS[kind])


def _read_whole(out: Path, name: str, stated: str) -> Part:
    """Read what a runs file says of its part; raises :class:`DamagedError` unless every byte is as it was written."""
    path = part_file(out, "runs", name)

    def read(file: Any) -> Part:
        meta = _meta(file)
        return Part(name, tuple(meta["replaces"]), meta["digest"])

    with open(path, "rb") as file:
        part: Part = _parse(path, file, read)
    estimates = part_file(out, "estimates", name)
    if not _file_digest(path).startswith(stated) or _file_digest(estimates) != part.digest:
        raise DamagedError(f"{path}: is damaged")
    return part


def scan(out: Path) -> tuple[dict[str, Part], list[str]]:
    """Parts in use, by name, and names of those of which not every byte is as it was written.

    Raises
    ------
    InputError
        If a file cannot be read at all.
    """
    stated = {
        path.stem: named[1]
        for path in sorted((out / "runs").glob("*.parquet"))
        if (named := _NAME.fullmatch(path.stem))
    }

    def look(name: str) -> Part | None:
        try:
            return _read_whole(out, name, stated[name])
        except (DamagedError, FileNotFoundError):
            return None

    # most of it is hashing, which lets other threads run
    with reading(out), ThreadPoolExecutor(_READERS) as pool:
        found = dict(zip(stated, pool.map(look, stated), strict=True))
    parts = {name: part for name, part in found.items() if part is not None}
    broken = [name for name, part in found.items() if part is None]
    replaced = {name for part in parts.values() for name in part.replaces}
    live = {name: part for name, part in parts.items() if name not in replaced}
    return live, [name for name in broken if name not in replaced]


def listed(out: Path) -> list[Path]:
    """List the runs files of the parts in use; only what they say of themselves is read: they may be damaged."""
    replaced, found = set(), []
    with reading(out):
        for path in sorted((out / "runs").glob("*.parquet")):
            if _NAME.fullmatch(path.stem):
                with contextlib.suppress(DamagedError, FileNotFoundError), open(path, "rb") as file:
                    meta = _parse(path, file, _meta)
                    replaced.update(meta["replaces"])
                    found.append(path)
    return [path for path in found if path.stem not in replaced]


def _meta(file: Any) -> Any:
    """Read what a part says of itself."""
    return json.loads(pq.read_schema(file).metadata[_META])


def set_aside(out: Path, name: str) -> None:
    """Rename the files of a damaged part to ``*.corrupt``."""
    for kind in SCHEMAS:
        path = part_file(out, kind, name)
        with contextlib.suppress(FileNotFoundError):
            path.replace(path.with_suffix(".corrupt"))


def clean(out: Path, live: Iterable[str]) -> list[Path]:
    """Delete what a killed run left behind: half-written files, parts without runs or replaced.

    Returns
    -------
    list of pathlib.Path
        Files that are none of a run's, and were left alone.
    """
    names = set(live)
    foreign = []
    for kind in SCHEMAS:
        for path in (out / kind).glob("*.parquet"):
            if not is_own(path):
                foreign.append(path)
            elif path.stem not in names:
                path.unlink(missing_ok=True)
    for folder in (out, *(out / kind for kind in SCHEMAS)):
        for path in folder.glob(TEMPORARY):
            path.unlink(missing_ok=True)
    return foreign
