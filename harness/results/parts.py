"""Parts of a results folder: Parquet files that are whole or absent, and which of them count.

A part is a pair of files of one name, ``estimates/NAME.parquet`` and ``runs/NAME.parquet``, written
in this order: it exists once its runs file does. The metadata of a runs file carries size and
digest of the estimates file beside it, and the names of the parts that it replaces; readers leave
those out, so at no instant is a row missing or counted twice. A file that the system does not let
us read is not damaged: that is an :class:`InputError`, and nothing is touched.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from haloassay.base.errors import HaloassayError, InputError
from haloassay.contracts.schema import SCHEMAS, TableName

_META: Final = b"haloassay"
#: File that is locked while a run writes into the folder.
LOCK: Final = ".lock"


@dataclass(frozen=True)
class Part:
    """What the metadata of a runs file say of its part."""

    name: str
    replaces: tuple[str, ...]
    size: int
    digest: str


def write_file(path: Path, data: bytes) -> None:
    """Write a file whole or not at all: under another name, flushed to the disk, then renamed.

    Raises
    ------
    InputError
        If the disk is full or the folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _flush_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise InputError(
            f"{path}: cannot be written: {error.strerror or error}; "
            "finished work is kept, run again to go on"
        ) from None


def _flush_folder(folder: Path) -> None:
    """Make a rename last through a power cut, where the system knows such a thing."""
    if hasattr(os, "O_DIRECTORY"):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def part_file(out: Path, kind: TableName, name: str) -> Path:
    """Path of one file of a part; ``kind`` is a name of :data:`~haloassay.contracts.schema.SCHEMAS`."""
    return out / kind / f"{name}.parquet"


def encode(table: pa.Table, meta: Mapping[str, Any]) -> bytes:
    """Turn a table and what is to be said of it into the bytes of a Parquet file."""
    buffer = io.BytesIO()
    table = table.replace_schema_metadata({_META: json.dumps(meta).encode()})
    pq.write_table(table, buffer, compression="zstd", write_page_checksum=True)
    return buffer.getvalue()


def digest(data: bytes) -> str:
    """Digest of 128 bits, in hexadecimal."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


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


def read_part(out: Path, kind: TableName, name: str) -> pa.Table:
    """Read one table of a part; raises :class:`DamagedError` unless every page has its checksum.

    Columns that an earlier version did not write are null.
    """
    path = part_file(out, kind, name)
    with reading(path):
        data = pa.BufferReader(path.read_bytes())
    table: pa.Table = _parse(
        path, data, lambda buffer: pq.ParquetFile(buffer, page_checksum_verification=True).read()
    )
    for field in SCHEMAS[kind]:
        if field.name not in table.column_names:
            table = table.append_column(field, pa.nulls(len(table), field.type))
    return table.select(SCHEMAS[kind].names)


def _read_meta(path: Path) -> Part:
    """Read what a runs file says of its part."""

    def read(file: Any) -> Part:
        meta = json.loads(pq.read_schema(file).metadata[_META])
        return Part(path.stem, tuple(meta["replaces"]), meta["size"], meta["digest"])

    with open(path, "rb") as file:
        part: Part = _parse(path, file, read)
    return part


def scan(out: Path, whole: Callable[[Path, Part], bool]) -> tuple[dict[str, Part], list[str]]:
    """Parts in use, by name, and names of those that are not ``whole``.

    Raises
    ------
    InputError
        If a file cannot be read at all.
    """
    parts: dict[str, Part] = {}
    broken = []
    with reading(out):
        for path in sorted((out / "runs").glob("*.parquet")):
            try:
                part = _read_meta(path)
                if whole(out, part):
                    parts[path.stem] = part
                else:
                    broken.append(path.stem)
            except (DamagedError, FileNotFoundError):
                broken.append(path.stem)
    replaced = {name for part in parts.values() for name in part.replaces}
    live = {name: part for name, part in parts.items() if name not in replaced}
    return live, [name for name in broken if name not in replaced]


def looks_whole(out: Path, part: Part) -> bool:
    """Tell whether both files are there and as long as they were written."""
    return part_file(out, "estimates", part.name).stat().st_size == part.size


def is_whole(out: Path, part: Part) -> bool:
    """Tell whether every byte of both files is as it was written."""
    read_part(out, "runs", part.name)
    return digest(part_file(out, "estimates", part.name).read_bytes()) == part.digest


@contextlib.contextmanager
def locked(out: Path) -> Iterator[None]:
    """Keep other runs out of a folder; the lock goes with the process, however it ends."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        handle = open(out / LOCK, "wb")  # noqa: SIM115
    except OSError as error:
        raise InputError(f"{out}: cannot be written: {error.strerror}") from None
    with handle:
        try:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:  # not on Windows
            pass
        except OSError:
            raise InputError(f"{out}: another run is writing into this folder") from None
        try:
            yield
        finally:
            (out / LOCK).unlink(missing_ok=True)


def set_aside(out: Path, name: str) -> None:
    """Rename the files of a damaged part to ``*.corrupt``."""
    for kind in SCHEMAS:
        path = part_file(out, kind, name)
        with contextlib.suppress(FileNotFoundError):
            path.replace(path.with_suffix(".corrupt"))


def clean(out: Path, live: Iterable[str]) -> None:
    """Delete what a killed run left behind: half-written files, parts without runs or replaced."""
    names = set(live)
    for kind in SCHEMAS:
        stale = [p for p in (out / kind).glob("*.parquet") if p.stem not in names]
        for path in [*stale, *(out / kind).glob(".*.tmp")]:
            path.unlink(missing_ok=True)
