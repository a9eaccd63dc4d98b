"""Kernels are kept where there is a place for them, made anew when their file is another, and work without."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import haloassay

FIT = """
import sys
import numpy as np
import haloassay
assert haloassay.__path__[0] == sys.argv[1], haloassay.__path__
rng = np.random.default_rng(7)
x, v = rng.normal(0.0, 10.0, (3, 300)), rng.normal(0.0, 100.0, (3, 300))
stars = dict(zip(("x", "y", "z", "vx", "vy", "vz"), (*x, *v)))
print(*(each.value for each in haloassay.measure(stars, "power-law-df", alpha=-3.5)))
"""
KERNEL = """
from haloassay.base.compiled import compiled

@compiled(error_model="numpy")
def ratio(x):
    return {factor} / x

print(ratio(0.5), ratio(0.0), sum(ratio.stats.cache_hits.values()))
"""
NOWHERE = "compiled functions can be kept neither where numba does nor in"
SOURCES = Path(haloassay.__file__).parent


@pytest.fixture
def homeless(tmp_path: Path) -> dict[str, str]:
    """Environment without a place that can be written, for root neither: all folders are below a file."""
    (tmp_path / "file").touch()
    below = tmp_path / "file" / "folder"
    names = ("HOME", "USERPROFILE", "LOCALAPPDATA", "XDG_CACHE_HOME", "HALOASSAY_CACHE")
    environment = {**os.environ, **dict.fromkeys(names, str(below)), "PYTHONPATH": str(tmp_path)}
    environment.pop("NUMBA_CACHE_DIR", None)
    return environment


def unwritable(folder: Path) -> None:
    """Let nothing be kept beside the sources: a file is in the way of each folder for it."""
    for each in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        (each / "__pycache__").touch()


def python(code: str | Path, environment: dict[str, str], *words: str) -> tuple[list[str], str]:
    """What a process prints, word by word, and its standard error."""
    script = ("-c", code) if isinstance(code, str) else (str(code),)
    done = subprocess.run(
        [sys.executable, *script, *words], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split(), done.stderr


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The package as another user installed it."""
    folder = tmp_path / "haloassay"
    shutil.copytree(SOURCES, folder, ignore=shutil.ignore_patterns("__pycache__"))
    unwritable(folder)
    return folder


@pytest.mark.long
def test_a_fit_where_nothing_can_be_kept_is_the_same_and_says_so_once(installed, homeless):
    expected, _ = python(FIT, dict(os.environ), str(SOURCES))
    found, said = python(FIT, homeless, str(installed))
    assert found == expected
    assert len(found) > 0
    assert said.count(NOWHERE) == 1


def test_every_module_with_kernels_is_imported_where_nothing_can_be_kept(installed, homeless):
    names = [
        ".".join(path.relative_to(installed.parent).with_suffix("").parts)
        for path in installed.rglob("*.py")
        if "base.compiled import" in path.read_text() or "import numba" in path.read_text()
    ]
    assert len(names) > 20
    _, said = python("\n".join(f"import {name}" for name in names), homeless)
    assert said.count(NOWHERE) == 1


def test_no_module_asks_numba_itself_for_a_kernel_that_is_kept():
    asking = [
        str(path.relative_to(SOURCES))
        for path in sorted(SOURCES.rglob("*.py"))
        if re.search(r"cache\s*=\s*True", path.read_text())
    ]
    assert asking == [str(Path("base", "compiled.py"))]


@pytest.fixture
def kernel(tmp_path: Path) -> Path:
    """A script of one kernel, beside which nothing can be kept."""
    path = tmp_path / "script" / "kernel.py"
    path.parent.mkdir()
    path.write_text(KERNEL.format(factor="1.0"))
    unwritable(path.parent)
    return path


@pytest.fixture(params=["NUMBA_CACHE_DIR", "HALOASSAY_CACHE", "both"])
def places(request, tmp_path, homeless, kernel) -> tuple[dict[str, str], Path]:
    """Environment in which kernels can be kept, and the folder in which they then are."""
    numbas, ours = tmp_path / "numba", tmp_path / "own"
    homeless["PYTHONPATH"] = ""
    if request.param != "HALOASSAY_CACHE":
        homeless["NUMBA_CACHE_DIR"] = str(numbas)
    if request.param != "NUMBA_CACHE_DIR":
        homeless["HALOASSAY_CACHE"] = str(ours)
    if request.param == "HALOASSAY_CACHE":
        return homeless, ours / "haloassay-kernels"
    return homeless, numbas


def test_kernels_are_kept_where_there_is_a_place_and_made_anew_when_their_file_is_another(
    kernel, places, tmp_path
):
    environment, folder = places
    assert python(kernel, environment) == (["2.0", "inf", "0"], "")
    assert len(list(folder.rglob("kernel.ratio*.nbc"))) == 1
    assert python(kernel, environment) == (["2.0", "inf", "1"], "")
    kernel.write_text(KERNEL.format(factor="3.0"))
    assert python(kernel, environment) == (["6.0", "inf", "0"], "")
    assert python(kernel, environment) == (["6.0", "inf", "1"], "")
    elsewhere = [path for path in tmp_path.rglob("*.nb?") if not path.is_relative_to(folder)]
    assert elsewhere == []


def test_our_folder_says_that_it_is_a_cache_and_is_not_another_s(kernel, homeless, tmp_path):
    homeless["HALOASSAY_CACHE"] = str(tmp_path / "own")
    room = tmp_path / "own" / "haloassay-kernels"
    python(kernel, homeless)
    assert (room / "CACHEDIR.TAG").is_file()
    shutil.rmtree(room)
    room.mkdir()
    (room / "mine").touch()
    found, said = python(kernel, homeless)
    assert (found, said.count(NOWHERE)) == (["2.0", "inf", "0"], 1)
    assert [path.name for path in room.iterdir()] == ["mine"]


def test_a_cache_that_may_hold_nothing_holds_no_kernels(kernel, homeless, tmp_path):
    homeless |= {"HALOASSAY_CACHE": str(tmp_path / "own"), "HALOASSAY_CACHE_SIZE": "0 MB"}
    found, said = python(kernel, homeless)
    assert (found, said.count(NOWHERE)) == (["2.0", "inf", "0"], 1)
    assert not (tmp_path / "own").exists()


def test_numba_s_own_setting_is_as_it_was(tmp_path, monkeypatch):
    import numba

    from haloassay.base.compiled import _places_of_our_own

    monkeypatch.setenv("HALOASSAY_CACHE", str(tmp_path))
    monkeypatch.setattr(numba.config, "CACHE_DIR", "of the user")
    with _places_of_our_own():
        inside = numba.config.CACHE_DIR
    assert (inside, numba.config.CACHE_DIR) == (str(tmp_path / "haloassay-kernels"), "of the user")
