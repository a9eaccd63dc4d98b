"""One run a results folder: a lock that goes with the process that holds it, however it ends."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from haloassay.base.errors import InputError
from haloassay.base.files import write_bytes

#: File that is locked while a run writes into the folder. It stays: whoever waits for it has it open already, and a
#: new file of this name would be another lock.
LOCK: Final = ".lock"
#: Folder that stands for the lock where the file system has none, and the file in it that says whose it is.
HELD: Final = ".lock-held"
_HOLDER: Final = "holder.json"
#: What a file system says that has no locks.
_NO_LOCKS: Final = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)
#: How often [s] the holder shows that it is alive, and after how long without it is taken for dead.
_BEAT: Final = 10.0
_DEAD: Final = 120.0


@contextlib.contextmanager
def locked(out: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Keep other runs out of a folder, which is made where there is none.

    ``say`` is told where the file system has no locks, and a folder with a heartbeat stands for one.

    Raises
    ------
    InputError
        If another run has it (host and process are named), or nothing can be written there.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        handle = os.open(out / LOCK, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise InputError(f"{out / LOCK}: is a link, which no run has made: remove it") from None
        raise InputError(f"{out}: cannot be written: {error.strerror}") from None
    with os.fdopen(handle, "r+b") as file:
        if _lock(file, out):
            _sign(file)
            yield
        else:
            with _held(out):
                say(f"{out}: its file system has no locks: the folder {HELD} keeps other runs out")
                yield


def _lock(file: Any, out: Path) -> bool:
    """Lock an open file; tell whether its file system can."""
    try:
        import fcntl
    except ImportError:  # not on Windows
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return False
        raise InputError(_refusal(out, file.read())) from None
    return True


def holder_of(out: Path) -> dict[str, Any] | None:
    """Tell who is writing into a folder: process and host, as far as they are known; None where nobody is."""
    place = out / HELD
    if place.is_dir():
        holder = _holder(_read(place / _HOLDER))
        return None if _is_dead(place, holder) else holder
    try:
        with open(out / LOCK, "rb") as file:
            import fcntl

            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError as error:
                return None if error.errno in _NO_LOCKS else _holder(file.read())
    except (OSError, ImportError):
        pass
    return None


def named(holder: Mapping[str, Any]) -> str:
    """Name who writes, in brackets, after a space; nothing where it is not known."""
    return f" ({', '.join(f'{k} {v}' for k, v in holder.items())})" if holder else ""


def _me() -> bytes:
    return json.dumps({"host": socket.gethostname(), "process": os.getpid()}).encode()


def _sign(file: Any) -> None:
    with contextlib.suppress(OSError):  # a full disk: the lock holds without a name
        file.write(_me())
        file.truncate()
        file.flush()


def _refusal(out: Path, signature: bytes) -> str:
    return f"{out}: another run{named(_holder(signature))} is writing into this folder"


def _holder(signature: bytes) -> dict[str, Any]:
    try:
        said = json.loads(signature)
        return {key: said[key] for key in ("process", "host")}
    except (ValueError, KeyError, TypeError):
        return {}


@contextlib.contextmanager
def _held(out: Path) -> Iterator[None]:
    """Hold a folder in place of a lock, for file systems that have none; its holder shows that it is alive."""
    place = out / HELD
    try:
        _take(out, place)
        write_bytes(place / _HOLDER, _me())
    except OSError as error:
        raise InputError(f"{out}: cannot be locked: {error.strerror or error}") from None
    done = threading.Event()
    beat = threading.Thread(target=_beat, args=(place / _HOLDER, done), daemon=True)
    beat.start()
    try:
        yield
    finally:
        done.set()
        beat.join()
        _release(place)


def _take(out: Path, place: Path) -> None:
    """Make the folder, which only one can; that of a run which is no more is moved out of the way before."""
    for _ in range(2):
        with contextlib.suppress(FileExistsError):
            place.mkdir()
            return
        signature = _read(place / _HOLDER)
        if not _is_dead(place, _holder(signature)):
            raise InputError(
                f"{_refusal(out, signature)}, whose file system has no locks; if that run is no more, remove {place}"
            )
        grave = out / f"{HELD}-{os.urandom(4).hex()}"
        with contextlib.suppress(FileNotFoundError):
            place.rename(grave)  # one of all that try it succeeds
            _release(grave)
    raise InputError(f"{out}: another run is writing into this folder")


def _is_dead(place: Path, holder: dict[str, Any]) -> bool:
    """Tell whether a holder is gone: its process, where that can be seen, else its heartbeat."""
    if (
        holder.get("host") == socket.gethostname() and os.name == "posix"
    ):  # elsewhere signal 0 ends it
        try:
            os.kill(int(holder["process"]), 0)
        except ProcessLookupError:
            return True
        except (OSError, TypeError, ValueError, OverflowError):
            pass
        return False
    with contextlib.suppress(FileNotFoundError):
        file = place / _HOLDER
        last = (file if file.exists() else place).stat().st_mtime
        return time.time() - last > _DEAD
    return False


def _beat(file: Path, done: threading.Event) -> None:
    while not done.wait(_BEAT):
        with contextlib.suppress(OSError):
            os.utime(file)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""


def _release(place: Path) -> None:
    with contextlib.suppress(OSError):
        (place / _HOLDER).unlink(missing_ok=True)
        place.rmdir()
