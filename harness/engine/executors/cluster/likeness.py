"""What numbers depend on beside the scenario: versions, the source of this package, instruction sets."""

from __future__ import annotations

import functools
import hashlib
import platform
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

#: Distributions whose versions may change an estimate, or keep machines from talking to each other.
_PACKAGES: Final = (
    *("haloassay", "numpy", "scipy", "numba", "llvmlite", "astropy", "galpy", "emcee"),
    *("arviz-stats", "healpy", "pygaia", "agama", "distributed"),
)
#: Instruction sets by which compiled code, and the last bit of a sum, may differ.
_SETS: Final = ("fma", "avx", "avx2", "avx512f", "avx512dq", "avx512bw", "sve", "neon")
#: Differences that are named.
_NAMED: Final = 4


@functools.cache
def versions() -> Mapping[str, str]:
    """Versions of what computes here, and a digest of the source of this package: checkouts may share a version."""
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "none"
    return {**found, "source of haloassay": _source()}


def _source() -> str:
    """Digest of all modules of this package."""
    import haloassay

    digest = hashlib.blake2b(digest_size=6)
    for root in haloassay.__path__:
        for path in sorted(Path(root).rglob("*.py")):
            digest.update(path.relative_to(root).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


@functools.cache
def instruction_sets() -> tuple[str, ...]:
    """Names of the processor's kind and of the instruction sets that it has, among those that matter."""
    import llvmlite.binding

    features = llvmlite.binding.get_host_cpu_features()
    return (platform.machine(), *(name for name in _SETS if features.get(name)))


def difference(here: Mapping[str, str], there: Mapping[str, str]) -> str:
    """Name what is of another version there; empty where nothing is."""
    names = [name for name in here if there.get(name) != here[name]]
    if "haloassay" in names:  # its source is another, of course
        names = [name for name in names if name != "source of haloassay"]
    told = [f"{name} {there.get(name, 'none')}, here {here[name]}" for name in names[:_NAMED]]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return "; ".join(told) + more


def other_sets(here: Iterable[str], there: Iterable[str]) -> str:
    """Name the instruction sets that one of two machines has; empty where both have the same."""
    return ", ".join(sorted(set(here) ^ set(there)))
