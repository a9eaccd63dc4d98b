"""Results in an object store are read as those of a folder are; files that are here already are not copied again."""

import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import haloassay
from haloassay.base.errors import InputError
from haloassay.results.remote import fetched
from haloassay.results.results import Results

fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed (extra remote)")

ADDRESS = "memory://bucket/run"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HALOASSAY_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def store(undisturbed):
    """Object store in memory that holds the results of a run."""
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    for path in undisturbed.out.rglob("*"):
        if path.is_file() and path.suffix in (".json", ".parquet"):
            memory.pipe(f"bucket/run/{path.relative_to(undisturbed.out)}", path.read_bytes())
    yield memory
    memory.store.clear()


def test_results_of_an_object_store_are_those_of_the_folder(store, undisturbed):
    results = Results(ADDRESS)
    assert results.description == undisturbed.description
    pd.testing.assert_frame_equal(results.table(), undisturbed.table())
    pd.testing.assert_frame_equal(haloassay.table(ADDRESS), undisturbed.table())


def test_only_what_is_new_is_copied_and_what_is_gone_goes(store, undisturbed, monkeypatch):
    out = fetched(ADDRESS)
    copied = []
    get = type(store).get_file
    monkeypatch.setattr(
        type(store), "get_file", lambda self, a, b, **k: (copied.append(a), get(self, a, b, **k))
    )
    fetched(ADDRESS)
    assert copied == []
    (runs,) = undisturbed.runs_files
    store.rm(f"bucket/run/runs/{runs.name}")
    store.pipe(f"bucket/run/runs/more-{runs.name}", runs.read_bytes())
    fetched(ADDRESS)
    assert [Path(name).name for name in copied] == [f"more-{runs.name}"]
    assert [path.name for path in (out / "runs").iterdir()] == [f"more-{runs.name}"]


def test_what_cannot_be_read_is_named_in_one_line(store):
    with pytest.raises(InputError, match=r"memory://bucket/none: is not a results folder"):
        Results("memory://bucket/none")
    store.pipe("bucket/run/run.json", b"<html>")
    with pytest.raises(InputError, match=r"memory://bucket/run: cannot be read: JSONDecodeError"):
        Results(ADDRESS)
    with pytest.raises(InputError, match=r"magic://x: .*magic"):
        Results("magic://x")


def test_commands_take_addresses(tmp_path, undisturbed):
    """``file://`` is an address as any other."""
    shutil.copytree(undisturbed.out, tmp_path / "there")
    command = [
        sys.executable,
        "-m",
        "haloassay",
        "table",
        f"file://{tmp_path}/there",
        "--format",
        "csv",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[0].startswith("cell,")
    command[4] = "file:///nowhere"
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert (
        done.stderr == "haloassay: file:///nowhere: is not a results folder: it has no run.json\n"
    )
