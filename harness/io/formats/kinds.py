"""What a file is: told by its head, else by its suffix; and how a packed one is opened."""

from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path
from typing import BinaryIO, Final, cast

from haloassay.base.errors import InputError
from haloassay.io.formats import memory

#: Suffix to format; each also with ``.gz``.
FORMATS: Final = {
    ".fits": "FITS",
    ".fit": "FITS",
    ".ecsv": "ECSV",
    ".csv": "CSV",
    ".parquet": "Parquet",
    ".hdf5": "HDF5",
    ".h5": "HDF5",
    ".vot": "VOTable",
    ".votable": "VOTable",
    ".xml": "VOTable",
    ".mrt": "MRT",
    ".txt": "text",
    ".dat": "text",
}

#: How files of a format begin.
_MAGIC: Final = {
    b"SIMPLE  =": "FITS",
    b"PAR1": "Parquet",
    b"\x89HDF\r\n\x1a\n": "HDF5",
    b"# %ECSV": "ECSV",
}

_GZIP: Final = b"\x1f\x8b"
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"

#: Bytes of a file among which its head is looked for: the notes of an MRT table come before its description.
_HEAD: Final = 1 << 16
_CHUNK: Final = 1 << 20


def format_of(path: Path) -> str:
    """Name of the format of ``path``, by its suffix.

    Raises
    ------
    InputError
        If the suffix is of no format.
    """
    name = path.name.lower().removesuffix(".gz")
    for suffix, kind in FORMATS.items():
        if name.endswith(suffix):
            return kind
    raise InputError(
        f"{path}: unknown format (allowed suffixes: {', '.join(FORMATS)}, each also with .gz)"
    )


def kind_of(path: Path) -> str:
    """Name of the format of the file ``path``, by its head, else by its suffix.

    Raises
    ------
    InputError
        If neither tells.
    OSError
        If it cannot be read.
    """
    try:
        with opened(path) as file:
            head = file.read(_HEAD)
    except (EOFError, zlib.error, gzip.BadGzipFile):  # its reader says what is wrong
        return format_of(path)
    head = head.removeprefix(_BYTE_ORDER_MARK)
    for magic, kind in _MAGIC.items():
        if head.startswith(magic):
            return kind
    if head.lstrip()[:1] == b"<" and b"VOTABLE" in head:
        return "VOTable"
    if b"Byte-by-byte Description" in head:
        return "MRT"
    return format_of(path)


def is_packed(path: Path) -> bool:
    """Whether a file is packed by gzip, whatever it is called."""
    with path.open("rb") as file:
        return file.read(2) == _GZIP


def opened(path: Path) -> BinaryIO:
    """Open a file for reading, unpacked."""
    return cast(BinaryIO, gzip.open(path)) if is_packed(path) else path.open("rb")


def unpacked(path: Path, limit: int) -> Path | BinaryIO:
    """Give the file itself, or what it unpacks to, if that fits into ``limit`` bytes."""
    if not is_packed(path):
        return path
    content = io.BytesIO()
    with opened(path) as file:
        while chunk := file.read(_CHUNK):
            memory.require(content.tell() + len(chunk), limit, path)
            content.write(chunk)
    content.seek(0)
    return content
