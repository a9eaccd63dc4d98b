"""Numbers of the tests are the same on any processor. Imported before numpy."""

import importlib.metadata
import os
from pathlib import Path


def as_on_any_processor() -> None:
    """Keep numpy and BLAS from the widest vectors, before they are loaded.

    Sums are rounded otherwise where a processor has AVX-512, and whoever draws by acceptance draws other numbers then:
    pinned numbers would be those of one kind of processor.
    """
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    except OSError:
        return
    if "avx512f" in flags:
        # the names of groups of instructions changed
        new = tuple(map(int, importlib.metadata.version("numpy").split(".")[:2])) >= (2, 4)
        off = "X86_V4 AVX512_ICL AVX512_SPR" if new else "AVX512F AVX512CD AVX512_SKX AVX512_ICL"
        os.environ.setdefault("NPY_DISABLE_CPU_FEATURES", off)
    if "avx2" in flags:
        os.environ.setdefault("OPENBLAS_CORETYPE", "Haswell")


as_on_any_processor()
