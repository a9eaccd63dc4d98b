"""How much memory a table may take: known before it is asked for, so that a small file cannot fill the machine."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

from haloassay.base.errors import InputError
from haloassay.base.sizes import bytes_of, in_words

#: Fraction of the free memory that a table may take by default: its catalogue is as large again.
_FRACTION: Final = 0.5

#: Bytes taken to be free where the system does not tell.
_UNTOLD: Final = 4e9


def limit_of(size: str | float | None) -> int:
    """Bytes of a size such as ``"4GB"``, ``"500 MB"`` or a number; by default half of what is free.

    Raises
    ------
    InputError
        If it is no size above zero.
    """
    if size is None:
        return int(_FRACTION * free())
    value = bytes_of(size) if isinstance(size, str) else size
    if value is None or isinstance(value, bool) or not 1 <= value < 1e18:
        raise InputError(f"max_memory: expected a size such as 4GB or 500MB (got {size!r})")
    return int(value)


def require(n_bytes: int, limit: int, origin: object) -> None:
    """Raise InputError if ``n_bytes`` are more than ``limit``."""
    if n_bytes > limit:
        raise InputError(
            f"{origin}: takes about {in_words(n_bytes)} of memory, more than {in_words(limit)}; "
            f"--max-memory allows more (by default, half of what is free)"
        )


def free() -> float:
    """Bytes that this process can still get: of the machine, its group and its own limits."""
    return max(min(_of_machine(), _of_group(), _of_process()), 0.0)


def _of_machine() -> float:
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        return 1024.0 * int(next(s for s in lines if s.startswith("MemAvailable")).split()[1])
    for pages in ("SC_AVPHYS_PAGES", "SC_PHYS_PAGES"):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            return float(os.sysconf(pages) * os.sysconf("SC_PAGE_SIZE"))
    return _UNTOLD


def _of_group(root: Path = Path("/sys/fs/cgroup")) -> float:
    """Bytes that the control group of a container or a batch job leaves; infinite without one."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        stated = dict(s.split() for s in (root / "memory.stat").read_text().splitlines())
        return int((root / "memory.max").read_text()) - float(stated["anon"])
    return float("inf")


def _of_process() -> float:
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit != resource.RLIM_INFINITY:
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            return float(limit - pages * resource.getpagesize())
    return float("inf")
