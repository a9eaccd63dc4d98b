"""Arrays on disk: what is too large to be kept in memory, in files that have no name and end with the array."""

from __future__ import annotations

import errno
import mmap
import os
import tempfile
import warnings
from collections.abc import Iterable
from typing import IO, Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

from haloassay.base.errors import HaloassayWarning

#: Zeros that are written at once where the system cannot reserve room.
_CHUNK: Final = 2**22
#: What file systems say that cannot.
_NOT_KNOWN: Final = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)


class DiskWarning(HaloassayWarning):
    """The temporary folder has no room: results are right, but what it was for is kept in memory."""


def empty_on_disk(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Array without values in a file of the temporary folder (``$TMPDIR``); in memory where there is no room for it.

    It is read and written as any other. Pages that were touched stay in memory until :func:`let_go`.
    """
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    try:
        with tempfile.TemporaryFile(prefix="haloassay-") as file:
            _reserve(file, size)
            pages = mmap.mmap(file.fileno(), size)  # keeps the file, which nobody else can open
    except (OSError, ValueError) as error:
        warnings.warn(
            f"no room for {size / 1e9:.2g} GB among temporary files ({error}): kept in memory"
            " (TMPDIR names another folder for them)",
            DiskWarning,
            stacklevel=2,
        )
        return np.empty(shape, dtype)
    return np.frombuffer(pages, dtype=dtype).reshape(shape)


def _reserve(file: IO[bytes], size: int) -> None:
    """Take the room of a file now: a page without room, once it is touched, would end the process."""
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            if error.errno not in _NOT_KNOWN:
                raise
        else:
            return
    for start in range(0, size, _CHUNK):
        file.write(bytes(min(_CHUNK, size - start)))
    file.flush()


def let_go(arrays: Iterable[NDArray[Any]]) -> None:
    """Give the memory of those that are on disk back to the system; values are read again when they are asked for."""
    if not hasattr(mmap, "MADV_DONTNEED"):
        return
    for array in arrays:
        owner: Any = array
        while isinstance(owner, np.ndarray):
            owner = owner.base
        if isinstance(owner, memoryview):
            owner = owner.obj
        if isinstance(owner, mmap.mmap):
            owner.madvise(mmap.MADV_DONTNEED)
