"""Files that are whole or not there: written under a name that nobody else has, then renamed."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from haloassay.base.errors import InputError

#: Names of files that are being written, or were when their writer was killed.
TEMPORARY: Final = ".haloassay-*"


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Name for a new file, which takes the place of ``path`` once the block has ended well.

    The new file is beside the old one, has its suffix, and is flushed to the disk before it is renamed. A link in the
    place of ``path`` is replaced; what it points to is not touched. Folders are made where there are none.

    Raises
    ------
    OSError
        If the disk is full or the folder cannot be written; ``path`` is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{TEMPORARY[:-1]}{secrets.token_hex(8)}{path.suffix}")
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _flush_folder(path.parent)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole or not at all; see :func:`replacing`."""
    with replacing(path) as temporary, open(temporary, "xb") as file:
        file.write(data)


def require_no_link(folder: Path) -> None:
    """Raise :class:`InputError` where a folder is a link: what is written into it would stand elsewhere."""
    if folder.is_symlink():
        raise InputError(f"{folder}: is a link, which nothing is written through: remove it")


def _flush_folder(folder: Path) -> None:
    """Make a rename last through a power cut, where the system knows such a thing."""
    if hasattr(os, "O_DIRECTORY"):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
