"""Files that are whole or not there: written under a name that nobody else has, then renamed."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from haloassay.base.errors import InputError

#: Names of files that are being written, or were when their writer was killed.
TEMPORARY: Final = ".haloassay-*"

#: What is under these is no file of a disk, whatever it says that it is: a rename would replace a device.
_DEVICES: Final = ("/dev/", "/proc/")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Name for a new file, which takes the place of ``path`` once the block has ended well.

    The new file is beside the old one, has its suffix and its permissions, and is flushed to the disk before it is
    renamed. A link in the place of ``path`` is replaced; what it points to is not touched. Folders are made where there
    are none.

    Raises
    ------
    OSError
        If the disk is full or the folder cannot be written; ``path`` is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{TEMPORARY[:-1]}{os.urandom(8).hex()}{path.suffix}")
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        _copy_permissions(path, temporary)
        os.replace(temporary, path)
        _flush_folder(path.parent)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole or not at all; see :func:`replacing`."""
    with replacing(path) as temporary, open(temporary, "xb") as file:
        file.write(data)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Name to write a file to that a user called ``path``: whole or not at all (:func:`replacing`).

    Links are followed, as the user's shell would; devices and pipes are written straight. No folder is made.

    Raises
    ------
    InputError
        If the system refuses.
    """
    try:
        place = named_place(path)
        if place is None:
            yield path
            return
        if not place.parent.is_dir():
            raise InputError(f"{path}: cannot be written: there is no folder {path.parent}")
        with replacing(place) as temporary:
            yield temporary
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error


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


def require_no_link(folder: Path) -> None:
    """Raise :class:`InputError` where a folder is a link: what is written into it would stand elsewhere."""
    if folder.is_symlink():
        raise InputError(f"{folder}: is a link, which nothing is written through: remove it")


def require_folder(folder: Path) -> None:
    """Raise :class:`InputError` unless ``folder``, new or empty, can be written; it is tried, and left as it was."""
    made: list[Path] = []
    try:
        taken = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
        if not taken:
            made = [each for each in (folder, *folder.parents) if not each.exists()]
            folder.mkdir(parents=True, exist_ok=True)
            trial = folder / f"{TEMPORARY[:-1]}{os.urandom(8).hex()}"
            trial.touch(exist_ok=False)
            trial.unlink()
    except OSError as error:
        raise InputError(f"{folder}: cannot be written: {error.strerror or error}") from None
    finally:
        for each in made:
            with contextlib.suppress(OSError):
                each.rmdir()
    if taken:
        what = "is not empty" if folder.is_dir() else "is no folder"
        raise InputError(f"{folder}: {what}; name a new folder")


def _copy_permissions(path: Path, temporary: Path) -> None:
    """Give a new file the permissions of the one that it replaces, where there is one."""
    with contextlib.suppress(OSError):  # none is there, or the system knows none
        old = path.lstat()
        if stat.S_ISREG(old.st_mode):
            os.chmod(temporary, stat.S_IMODE(old.st_mode))


def _flush_folder(folder: Path) -> None:
    """Make a rename last through a power cut, where the system knows such a thing."""
    if hasattr(os, "O_DIRECTORY"):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
