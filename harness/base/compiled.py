"""Functions that numba compiles, and what is compiled kept wherever there is a place for it."""

from __future__ import annotations

import functools
from typing import Any, Final

import numba

#: Folder within that of the cache, for what numba itself has no place for.
_ROOM: Final = "compiled"


def compiled(function: Any = None, /, **options: Any) -> Any:
    """Compile a function when it is first called, and keep it for other processes.

    Kept beside the source, in the user's cache folder or in ``$NUMBA_CACHE_DIR``, as numba does; where none of them can
    be written (a package that is read-only and a user without a home), in that of the arrays (``$HALOASSAY_CACHE``);
    else not at all, with a warning: each process then compiles it anew.

    Parameters
    ----------
    function
        Plain Python that numba can compile.
    options
        Of ``numba.njit``, beside ``cache``.

    Returns
    -------
    Any
        Dispatcher of numba, called as the function is.
    """
    if function is None:
        return functools.partial(compiled, **options)
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # no place; what is wrong with a function itself is said when it is called
        return _kept_elsewhere(function, options)


def _kept_elsewhere(function: Any, options: dict[str, Any]) -> Any:
    """Compile a function that numba has no place for."""
    from haloassay.base.cache import cache_folder, say

    folder, before = cache_folder() / _ROOM, numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(folder)
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:
        say(
            f"nothing can be kept in {folder}, nor where numba keeps it: each process compiles anew; HALOASSAY_CACHE"
            " names another folder"
        )
        return numba.njit(**options)(function)
    finally:
        numba.config.CACHE_DIR = before
