"""Files that are whole or absent: written beside their place under a name of their own, flushed, then renamed."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from haloassay.base.errors import InputError

#: What a file that is being written is called until it is whole: this, and 16 random hexadecimal digits.
UNFINISHED: Final = ".haloassay-"

#: Files under these are no files of a disk, whatever they say that they are: renaming would replace a device.
_DEVICES: Final = ("/dev/", "/proc/")


@contextlib.contextmanager
def replacing(path: Path, suffix: str = ".tmp") -> Iterator[Path]:
    """Give the path of an empty file that takes the place of ``path`` once the block ends without an error.

    The file is made exclusively in the same folder, with an unpredictable name: nothing of that name was there, and
    nothing is written through a link. It is flushed to the disk before it is renamed, has the permissions of the file
    that it replaces, and is gone if anything fails. Where ``path`` is a link, the link itself is replaced.

    Parameters
    ----------
    path
        The file to be; it may exist.
    suffix
        How the unfinished file is to end, for writers that go by that.

    Raises
    ------
    InputError
        If the system refuses: a full disk, a folder that is missing or cannot be written, a ``path`` that is a folder.
    """
    temporary = path.parent / f"{UNFINISHED}{secrets.token_hex(8)}{suffix}"
    try:
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        yield temporary
        _copy_permissions(path, temporary)
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
        flush_folder(path.parent)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _copy_permissions(path: Path, temporary: Path) -> None:
    """Give an unfinished file the permissions of the one that it replaces, where there is one."""
    with contextlib.suppress(OSError):  # none is there, or the system knows none
        old = path.lstat()
        if stat.S_ISREG(old.st_mode):
            os.chmod(temporary, stat.S_IMODE(old.st_mode))


def write_file(path: Path, data: bytes) -> None:
    """Write a file whole or not at all: see :func:`replacing`.

    Raises
    ------
    InputError
        If the system refuses.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_named(path: Path, data: bytes) -> None:
    """Write a file that a user named: whole or not at all where it is one, straight where it is a device or a pipe.

    A link is followed, as the user's shell would.

    Raises
    ------
    InputError
        If the system refuses.
    """
    try:
        place = named_place(path)
        if place is None:
            path.write_bytes(data)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from None
    if place is not None:
        write_file(place, data)


def named_place(path: Path) -> Path | None:
    """Where the file is that a user called ``path``, links followed; None of devices, pipes and the like."""
    if path.absolute().as_posix().startswith(_DEVICES):
        return None
    if path.exists() and not path.is_file():
        return None
    return path.resolve()


def same_file(one: Path, other: Path) -> bool:
    """Tell whether two names are of one file, there or not: by any spelling, through links of either kind."""
    try:
        return os.path.samefile(one, other)
    except OSError:
        pass
    try:
        return one.resolve() == other.resolve()
    except (OSError, RuntimeError):  # links that go in a circle
        return False


def flush_folder(folder: Path) -> None:
    """Make a rename in ``folder`` last through a power cut, where the system knows such a thing."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    with contextlib.suppress(OSError):  # not every file system can
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
