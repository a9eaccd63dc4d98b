"""What estimators print goes to a file of the run, limited in size, and never to our standard output."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from haloassay.base.errors import InputError

#: Name of the file in a results folder, and the bytes that it may have.
LOG: Final = "log.txt"
LIMIT: Final = 1_000_000
_FULL: Final = b"\n[the rest of what was printed is left out]\n"


@dataclass
class Log:
    """File for what is printed; the main process keeps it small while workers write into it."""

    path: Path
    full: bool = False

    @classmethod
    def open(cls, path: Path) -> Log:
        """Make the file, or go on with the one that is there; a link in its place is replaced.

        Raises
        ------
        InputError
            If it cannot be written.
        """
        try:
            if path.is_symlink():
                path.unlink()
            os.close(_opened(path))
        except OSError as error:
            raise InputError(f"{path}: cannot be written: {error.strerror or error}") from None
        return cls(path)

    def append(self, text: str) -> None:
        """Add what was printed on another machine, as far as there is room."""
        with contextlib.suppress(OSError):
            if text and not self.full:
                handle = _opened(self.path)
                with os.fdopen(handle, "ab") as file:
                    file.write(text.encode("utf-8", "replace"))
        self.trim()

    def trim(self) -> None:
        """Cut the file where it is longer than the limit."""
        with contextlib.suppress(OSError):
            if not self.path.is_symlink() and self.path.stat().st_size > LIMIT + len(_FULL):
                self.full = True
                os.truncate(self.path, LIMIT)
                handle = _opened(self.path)
                os.write(handle, _FULL)
                os.close(handle)

    def close(self) -> None:
        """Cut the file, or take it away where nothing was printed."""
        self.trim()
        with contextlib.suppress(OSError):
            if self.path.stat().st_size == 0:
                self.path.unlink()


def _opened(path: Path) -> int:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    handle = os.open(path, flags, 0o666)
    if not os.path.isfile(path):
        os.close(handle)
        raise OSError(errno.EINVAL, "is no file")
    return handle


class _Redirection:
    """Descriptors 1 and 2 of this process, as they are led into a file."""

    def __init__(self, handle: int) -> None:
        self.handle = handle
        self.lead()

    def lead(self) -> None:
        """Lead both into the file, whatever was done to them."""
        for descriptor in (1, 2):
            os.dup2(self.handle, descriptor)
        sys.stdout, sys.stderr = (self._stream(s, k) for k, s in ((1, sys.stdout), (2, sys.stderr)))

    @staticmethod
    def _stream(stream: Any, descriptor: int) -> Any:
        with contextlib.suppress(Exception):
            if stream.fileno() == descriptor and not stream.closed:
                stream.reconfigure(line_buffering=True, errors="backslashreplace")
                return stream
        return open(descriptor, "w", buffering=1, errors="backslashreplace", closefd=False)

    def has_grown(self) -> bool:
        """Tell whether this process has written since this was asked last; others share the file, not its offset."""
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        with contextlib.suppress(Exception):
            ctypes.CDLL(None).fflush(None)  # what code in C still holds
        written = os.lseek(self.handle, 0, os.SEEK_CUR) > 0
        os.lseek(self.handle, 0, os.SEEK_SET)
        return written


_redirection: _Redirection | None = None


def redirect(path: Path) -> None:
    """Lead all that this process prints from now on, and the processes that it starts, to the end of a file, once."""
    global _redirection
    if _redirection is not None:
        return
    with contextlib.suppress(OSError):  # the folder may be gone; then prints are as they were
        _redirection = _Redirection(_opened(path))


def has_printed() -> bool:
    """Tell whether something was printed since this was asked last; always no where prints are not redirected."""
    if _redirection is None:
        return False
    written = _redirection.has_grown()
    _redirection.lead()
    return written


def take(path: Path) -> str:
    """Take what is in a file that prints go to, up to the limit, and leave it empty."""
    try:
        with open(path, "rb") as file:
            text = file.read(LIMIT + 1)
        if text:
            os.truncate(path, 0)
    except OSError:
        return ""
    return text.decode("utf-8", "replace")
