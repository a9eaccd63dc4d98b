"""Kernels: functions that numba compiles, kept on disk for later processes wherever there is a place for them."""

from __future__ import annotations

import contextlib
import functools
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any, Final, overload

import numba

from haloassay.base.cache import CacheWarning, cache_folder, cache_limit, claim

#: Folder within :func:`~haloassay.base.cache.cache_folder` that is the kernels' alone.
_ROOM: Final = "haloassay-kernels"
#: Held while numba looks for its place in our folder: its setting is that of the whole process.
_placing: Final = threading.Lock()


@overload
def compiled(function: Callable[..., Any], /) -> Any: ...
@overload
def compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]: ...
def compiled(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Compile a function when it is first called with arguments of some types, and keep that for later processes.

    Kept where numba does: in ``$NUMBA_CACHE_DIR``, beside the source, or in the user's cache folder of numba. Where
    none can be written, as of a package of another user in a container without a home, in a folder of their own in
    :func:`~haloassay.base.cache.cache_folder`, some MB that its limit does not count. Where that cannot be either, each
    process compiles anew, and a :class:`~haloassay.base.cache.CacheWarning` says so once.

    In all folders numba compiles again where the function's file is another; files of functions that it calls are not
    looked at.

    Parameters
    ----------
    function
        Plain Python that numba can compile.
    options
        Those of ``numba.njit``, without ``cache``.

    Raises
    ------
    InputError
        If numba has no place, and ``$HALOASSAY_CACHE_SIZE`` is no size.
    """
    if function is None:
        return functools.partial(compiled, **options)
    # numba says by a RuntimeError that it has no place; one of any other cause comes again without
    with contextlib.suppress(RuntimeError):
        return numba.njit(cache=True, **options)(function)
    if cache_limit() > 0.0:  # else nothing is to be kept
        with contextlib.suppress(OSError, RuntimeError), _places_of_our_own():
            return numba.njit(cache=True, **options)(function)
    _say_that_none_is_kept()
    return numba.njit(**options)(function)


@contextlib.contextmanager
def _places_of_our_own() -> Iterator[None]:
    """Let numba place functions that are decorated inside in our folder, and keep there what is compiled of them later.

    Raises
    ------
    OSError
        If the folder cannot be made, or is somebody else's.
    """
    folder = cache_folder() / _ROOM
    claim(folder)
    with _placing:
        others = numba.config.CACHE_DIR
        numba.config.CACHE_DIR = str(folder)
        try:
            yield
        finally:
            numba.config.CACHE_DIR = others


@functools.cache
def _say_that_none_is_kept() -> None:
    warnings.warn(
        f"cache: compiled functions can be kept neither where numba does nor in {cache_folder() / _ROOM}: every process"
        " compiles them again; NUMBA_CACHE_DIR or HALOASSAY_CACHE names another folder",
        CacheWarning,
        stacklevel=1,
    )
