"""What is compiled is kept where numba has a place, in the folder of the cache, or nowhere: it works all the same."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

#: A kernel, called; whether numba found what was compiled before, and a warning where nothing is kept.
CALL = """
import numpy as np
from haloassay.contracts import propagation
out = np.zeros((3, 3))
propagation._square(np.ones((4, 3)), out)
print(int(out.sum()), sum(propagation._square.stats.cache_hits.values()))
"""


@pytest.fixture(scope="module")
def read_only(tmp_path_factory):
    """Folder of the package in which Python and numba can keep nothing, whoever runs this."""
    source = Path(importlib.util.find_spec("haloassay").origin).parent
    folder = tmp_path_factory.mktemp("read-only")
    package = folder / "haloassay"
    shutil.copytree(source, package, ignore=shutil.ignore_patterns("__pycache__"))
    for part in [package, *(each for each in package.rglob("*") if each.is_dir())]:
        (part / "__pycache__").write_text("a file")
    return folder


def call(package, cache):
    left = ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "LOCALAPPDATA")
    environment = {name: value for name, value in os.environ.items() if name not in left}
    environment |= {"HOME": os.devnull, "PYTHONPATH": str(package), "HALOASSAY_CACHE": str(cache)}
    done = subprocess.run(
        [sys.executable, "-c", CALL],
        env=environment, cwd=package, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.split(), done.stderr


def test_where_numba_has_no_place_what_is_compiled_is_kept_in_the_cache(read_only, tmp_path):
    first, second = (call(read_only, tmp_path) for _ in range(2))
    assert first == (["36", "0"], "")
    assert second == (["36", "1"], "")
    assert not any(path.is_dir() for path in read_only.rglob("__pycache__"))


def test_where_nothing_can_be_kept_all_is_compiled_anew_and_said_once(read_only):
    out, said = call(read_only, Path(os.devnull) / "cache")
    assert out == ["36", "0"]
    assert said.count("nothing can be kept") == 1
    assert "HALOASSAY_CACHE names another folder" in said
