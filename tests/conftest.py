"""What every run of tests is given: fixed seeds, an empty cache of mocks, modules and kernels compiled before."""

from __future__ import annotations

import compileall
import hashlib
import importlib.util
import os
import shutil
import tempfile
import time
from pathlib import Path

import hypothesis
import processors  # noqa: F401 # before numpy, which seeds import
import pytest
from seeds import SHIFT

#: Compiled kernels that no run has asked for in so long [s] are of sources that are no more.
_FORGOTTEN = 7 * 24 * 3600.0

_temporary: list[Path] = []


def pytest_configure(config: pytest.Config) -> None:
    """Fix Hypothesis's seed as all others are, and say where mocks and kernels are kept.

    Workers inherit both folders. Mocks are kept for one run only: what an earlier one left would hide a change of their
    numbers.
    """
    hypothesis.settings.register_profile("haloassay", deadline=None)  # a busy machine is no fault
    hypothesis.settings.load_profile("haloassay")
    if config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = SHIFT
    # there is one worker a processor
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if "HALOASSAY_CACHE" not in os.environ:
        _temporary.append(Path(tempfile.mkdtemp(prefix="haloassay-tests-")))
        os.environ["HALOASSAY_CACHE"] = str(_temporary[0])
    if "NUMBA_CACHE_DIR" not in os.environ and hasattr(config, "cache"):
        os.environ["NUMBA_CACHE_DIR"] = str(_kernels(Path(config.cache.mkdir("numba"))))
    # no run of tests sees a power cut; what is tried with a disk that is full brings its own
    os.fsync = lambda _: None
    if not hasattr(config, "workerinput"):
        # else each of a hundred processes compiles all modules, where the user wants no bytecode kept
        compileall.compile_dir(_package(), quiet=2)


def pytest_unconfigure() -> None:
    for folder in _temporary:
        shutil.rmtree(folder, ignore_errors=True)


def pytest_report_header() -> str | None:
    return f"seeds of the tests are shifted: HALOASSAY_TEST_SEED={SHIFT}" if SHIFT else None


def _package() -> str:
    (package,) = importlib.util.find_spec("haloassay").submodule_search_locations
    return package


def _kernels(place: Path) -> Path:
    """Folder for kernels compiled from exactly these sources.

    numba looks at the file of a kernel only, not at those of the kernels that it calls.
    """
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted(Path(_package()).rglob("*.py")):
        source = path.read_bytes()
        if b"numba" in source or b"base.compiled" in source or path.name == "constants.py":
            digest.update(source)
    folder = place / digest.hexdigest()
    folder.mkdir(exist_ok=True)
    os.utime(folder)
    for other in place.iterdir():
        if time.time() - other.stat().st_mtime > _FORGOTTEN:
            shutil.rmtree(other, ignore_errors=True)
    return folder


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of data made by others; a test that needs it is skipped where it is absent."""
    folder = Path(__file__).resolve().parents[1] / ".." / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("external data are absent: no folder ../shared/data beside the repository")
    return folder.resolve()
