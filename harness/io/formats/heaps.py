"""Texts of HDF5 files: the library that reads them goes round for ever in a damaged collection of them."""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import BinaryIO, Final

from haloassay.base.errors import InputError

#: How a collection (global heap) begins: its name, version 1 and three bytes of nothing.
_BEGINS: Final = b"GCOL\x01\0\0\0"
_SMALLEST: Final = 4096
#: Bytes of a file that is not looked through: a snapshot, whose numbers would take longer to search than to read.
_LARGE: Final = 10**9
_HEADER: Final = 16


def require_sound_heaps(source: Path | BinaryIO, where: Path) -> None:
    """Refuse a file in whose collections of text one entry leads to itself.

    Layout: HDF5 File Format Specification 3.0, III.E. The HDF5 library (2.0 and before) steps from object to object by
    their sizes; free space of size 0 is a step to the same place, from which no signal wakes it.

    Raises
    ------
    InputError
        If there is such a collection.
    """
    if not isinstance(source, Path):
        before = source.tell()
        source.seek(0)
        content = source.read()
        source.seek(before)
        _require_sound(content, where)
        return
    with source.open("rb") as file:
        if not 0 < file.seek(0, 2) < _LARGE:  # nothing can be mapped of nothing
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            _require_sound(mapped, where)


def _require_sound(content: bytes | mmap.mmap, where: Path) -> None:
    start = content.find(_BEGINS)
    while start >= 0:
        if start + _HEADER > len(content):
            return
        (size,) = struct.unpack("<Q", content[start + 8 : start + _HEADER])
        if size >= _SMALLEST and size % 8 == 0:
            _require_steps(content, start, min(size, len(content) - start), where)
        start = content.find(_BEGINS, start + 1)


def _require_steps(content: bytes | mmap.mmap, start: int, size: int, where: Path) -> None:
    at = _HEADER
    while at + _HEADER <= size:
        number, _, _, length = struct.unpack("<HHIQ", content[start + at : start + at + _HEADER])
        step = length if number == 0 else _HEADER + (length + 7) // 8 * 8
        if step == 0:
            raise InputError(f"{where}: not readable as HDF5: its texts are damaged")
        at += step
