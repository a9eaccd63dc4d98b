"""Expensive arrays kept on disk by content: solved mocks are made once and shared by all processes."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import hashlib
import json
import os
import re
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from haloassay.base.errors import HaloassayWarning, InputError
from haloassay.base.files import TEMPORARY, replacing, write_bytes
from haloassay.base.kinds import identity
from haloassay.base.sizes import bytes_of

Arrays = dict[str, NDArray[Any]]

#: What the cache may hold by default.
DEFAULT_SIZE: Final = "5 GB"

#: Folder within :func:`cache_folder` that is the cache's alone.
_ROOM: Final = "haloassay-arrays"
#: File that says so, by which backups know a cache (https://bford.info/cachedir), and what it holds.
_TAG: Final = "CACHEDIR.TAG"
_TAG_TEXT: Final = (
    b"Signature: 8a477f597d28d172789f06886806bc55\n"
    b"# Arrays that haloassay makes again when they are gone; it removes those not used for longest.\n"
)
#: Names of files that are the cache's.
_OWN: Final = re.compile(r"[0-9a-f]{32}\.npz")

#: Array of a file that is the digest of the others and of the file's name.
_DIGEST: Final = "digest"

#: Sets in which files that are used are noted.
_notes: list[set[str]] = []

#: A temporary file this old [s] was left by a process that is no more.
_ABANDONED: Final = 24 * 3600.0


class CacheWarning(HaloassayWarning):
    """The cache could not be read or written; results are right, but cost their time again."""


def cache_folder() -> Path:
    """Folder in which the cache has its own: ``$HALOASSAY_CACHE``, else the user's cache folder of this system."""
    import platformdirs

    return Path(os.environ.get("HALOASSAY_CACHE") or platformdirs.user_cache_dir("haloassay"))


def cache_limit() -> float:
    """Bytes that the cache may hold: ``$HALOASSAY_CACHE_SIZE``, such as ``500 MB``, else 5 GB.

    Raises
    ------
    InputError
        If the variable is no size.
    """
    text = os.environ.get("HALOASSAY_CACHE_SIZE") or DEFAULT_SIZE
    size = bytes_of(text)
    if size is None:
        raise InputError(
            f"HALOASSAY_CACHE_SIZE: expected a size such as '5 GB' or '500 MB' (got {text!r})"
        )
    return size


#: Metadata of a field that came later, with a default that changes no numbers: keys of before stay good.
_LATER: Final = "later"
LATER: Final[Mapping[str, bool]] = {_LATER: True}


def plain_content(component: Any) -> Any:
    """Plain values that say everything about a component: kind, version and settings, all the way down.

    Settings that take no part in comparisons are left out, and so are those of a kind's later years
    (``field(metadata=LATER)``) while they are at their defaults: what was made before is what they make then. Names of
    classes and modules are not part of it, see :mod:`haloassay.base.kinds`.

    Raises
    ------
    TypeError
        If something in it, such as a Python function, has no plain content.
    """
    if dataclasses.is_dataclass(component) and not isinstance(component, type):
        told = (f for f in dataclasses.fields(component) if f.compare and _tells(component, f))
        settings = {f.name: plain_content(getattr(component, f.name)) for f in told}
        return {**identity(type(component)), **settings}
    if isinstance(component, list | tuple):
        return [plain_content(item) for item in component]
    if isinstance(component, Mapping):
        return {str(key): plain_content(value) for key, value in component.items()}
    if component is None or isinstance(component, bool | int | float | str):
        return component
    raise TypeError(f"{component!r} has no plain content")


def _tells(component: Any, field: dataclasses.Field[Any]) -> bool:
    """Whether a setting says something that was not so before there was the setting."""
    return _LATER not in field.metadata or getattr(component, field.name) != field.default


def content_key(content: Any) -> str:
    """Name for plain content (numbers, strings, lists, tables): equal content, equal name."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def cached(content: Any, make: Callable[[], Arrays]) -> Arrays:
    """Arrays that ``make`` returns for ``content``, from disk where they were made before.

    A file of which not every byte is as it was written is made again, and a :class:`CacheWarning` says so; a folder
    that cannot be written, or arrays that are larger than the whole cache, cost only the saving, and are said once.
    Beyond :func:`cache_limit`, files go that were not used for longest. Files of others are never touched.

    Raises
    ------
    InputError
        If ``$HALOASSAY_CACHE_SIZE`` is no size.
    ValueError
        If an array is called "digest".
    """
    limit = cache_limit()
    path = cache_folder() / _ROOM / f"{content_key(content)}.npz"
    for names in _notes:
        names.add(path.name)
    stored = _read(path)
    if stored is not None:
        return stored
    arrays = make()
    if (
        _DIGEST in arrays
    ):  # it would take the place of that of the file, which is damaged then whenever it is read
        raise ValueError(f"no array may be called {_DIGEST!r}")
    size = sum(array.nbytes for array in arrays.values())
    if size < limit:
        _write(path, arrays, limit)
    elif limit > 0.0:  # who allows nothing knows
        _say(
            f"{size / 1e9:.3g} GB are not kept, the cache may hold {limit / 1e9:.3g} (HALOASSAY_CACHE_SIZE): they are"
            " made again by every process"
        )
    return arrays


@contextlib.contextmanager
def noting() -> Iterator[set[str]]:
    """Note inside which files are read or written: what another machine needs to find what this one has found."""
    names: set[str] = set()
    _notes.append(names)
    try:
        yield names
    finally:
        _notes[:] = [each for each in _notes if each is not names]


def not_kept(names: Iterable[str]) -> tuple[str, ...]:
    """Files among some, by name, that this machine's cache does not have."""
    folder = cache_folder() / _ROOM
    return tuple(sorted(name for name in names if not (folder / name).is_file()))


def kept_bytes(name: str) -> bytes | None:
    """Content of a file; None where it is gone."""
    try:
        return (cache_folder() / _ROOM / name).read_bytes()
    except OSError:
        return None


def take_over(name: str, content: bytes) -> None:
    """Keep a file of another machine's cache; whoever reads it compares its digest.

    Raises
    ------
    OSError
        If it cannot be kept.
    InputError
        If ``$HALOASSAY_CACHE_SIZE`` is no size.
    """
    folder, limit = cache_folder() / _ROOM, cache_limit()
    if not _OWN.fullmatch(name):
        raise OSError(errno.EINVAL, f"{name!r} is no name of a file of a cache")
    if len(content) >= limit:
        raise OSError(errno.EFBIG, "HALOASSAY_CACHE_SIZE is less than it takes")
    claim(folder)
    write_bytes(folder / name, content)
    _shrink(folder, limit)


def can_keep() -> bool:
    """Whether anything can be kept: the cache may hold something, and its folder can be written."""
    folder = cache_folder() / _ROOM
    try:
        claim(folder)
    except OSError:
        return False
    return cache_limit() > 0.0 and os.access(folder, os.W_OK)


def _read(path: Path) -> Arrays | None:
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except (FileNotFoundError, NotADirectoryError):
        return None
    except Exception as error:  # a damaged archive raises whatever its bytes happen to mean
        _say(f"{path} cannot be read ({_reason(error)}): what it held is made again")
        return None
    if str(arrays.pop(_DIGEST, "")) != _digest(path.stem, arrays):
        _say(f"{path} is damaged or holds something else: what it held is made again")
        return None
    with contextlib.suppress(OSError):
        os.utime(path)  # used now
    return arrays


def _digest(name: str, arrays: Arrays) -> str:
    """Digest of a file's name and of all that it holds."""
    digest = hashlib.blake2b(name.encode(), digest_size=16)
    for key, array in sorted(arrays.items()):
        digest.update(f"{key} {array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _write(path: Path, arrays: Arrays, limit: float) -> None:
    """Keep arrays, and remove others where the cache is beyond its limit; in a folder of the cache's own only."""
    signed = {**arrays, _DIGEST: np.array(_digest(path.stem, arrays))}
    try:
        claim(path.parent)
        with replacing(path) as temporary:
            np.savez(temporary, **signed)  # type: ignore[arg-type]  # its stub counts names as flags
        _shrink(path.parent, limit)
    except OSError as error:
        _say(
            f"nothing can be kept in {path.parent} ({_reason(error)}): expensive mocks are made again by every"
            " process; HALOASSAY_CACHE names another folder"
        )


def claim(folder: Path) -> None:
    """Make the cache's own folder, with the tag that says so.

    Raises
    ------
    OSError
        If it cannot be written, or is somebody else's: it is not empty and has no tag.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tag = folder / _TAG
    if not tag.exists():
        if any(folder.iterdir()) and not tag.exists():
            raise OSError(errno.ENOTEMPTY, f"it holds files of others, and no {_TAG}")
        write_bytes(tag, _TAG_TEXT)


def _shrink(folder: Path, limit: float) -> None:
    """Remove what was not used for longest until the rest is within the limit; other processes may too."""
    with contextlib.suppress(OSError):
        now = time.time()
        kept = []
        for path in folder.iterdir():
            with contextlib.suppress(OSError):
                state = path.lstat()
                if _OWN.fullmatch(path.name):
                    kept.append((state.st_mtime, state.st_size, path))
                elif path.match(TEMPORARY) and now - state.st_mtime > _ABANDONED:
                    path.unlink()
        excess = sum(size for _, size, _ in kept) - limit
        for _, size, path in sorted(kept):
            if excess <= 0.0:
                break
            path.unlink(missing_ok=True)
            excess -= size


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _say(message: str) -> None:
    """Warn; Python's own filter lets the same words from this line pass once a process."""
    warnings.warn(f"cache: {message}", CacheWarning, stacklevel=1)
