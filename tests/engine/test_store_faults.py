"""The store in trouble: crashes at every file operation, damage, full disks, readers and writers at once."""

import errno
import io
import os
from pathlib import Path

import duckdb
import pandas as pd
import pytest
from made_up_results import (
    N,
    as_written,
    assert_complete,
    assert_each_once,
    description,
    fill,
    result,
    tree,
)

from haloassay.base.errors import InputError
from haloassay.planning.plan import make_plan
from haloassay.planning.scenario import make_scenario
from haloassay.results import store as store_module
from haloassay.results.results import Results
from haloassay.results.store import Store


class Crash(BaseException):
    """Stands for kill -9: nothing after it is executed but ``with`` blocks."""


@pytest.mark.long
@pytest.mark.parametrize(
    ("segment", "first"), [(2, 1), pytest.param(500, 2 * N, marks=pytest.mark.slow)]
)
def test_a_crash_at_any_operation_loses_nothing_and_doubles_nothing(
    tmp_path, plan, monkeypatch, segment, first
):
    """Every rename and every deletion in turn is where the run ends.

    Of large segments only the end is another: all parts are joined in one there.
    """
    monkeypatch.setattr(store_module, "SEGMENT", segment)
    replace, unlink = os.replace, Path.unlink
    left = [10**9]

    def step():
        left[0] -= 1
        if left[0] < 0:
            raise Crash

    monkeypatch.setattr(os, "replace", lambda *a: (step(), replace(*a)))
    monkeypatch.setattr(Path, "unlink", lambda *a, **k: (step(), unlink(*a, **k)))
    for point in range(first, 200):
        out = tmp_path / str(point)
        out.mkdir()
        left[0] = point
        try:
            fill(out, plan)
        except Crash:
            pass
        else:
            break
        left[0] = 10**9
        if (out / "run.json").exists():
            runs, estimates = as_written(out)
            assert not runs[["estimator", "realization"]].duplicated().any()
            assert len(estimates) == len(runs)
        fill(out, plan)
        assert_each_once(*as_written(out))
    assert_complete(out)
    assert point > 4 * N  # each task is two renames, and two deletions once it is joined


@pytest.mark.parametrize("kind", ["estimates", "runs"])
@pytest.mark.parametrize("damage", ["truncate", "flip", "remove"])
def test_a_damaged_part_is_said_set_aside_and_run_again(tmp_path, plan, kind, damage, monkeypatch):
    monkeypatch.setattr(store_module, "SEGMENT", 10**9)
    with Store.open(tmp_path, plan) as store:
        for realization in range(N):
            store.checkpoint(result(plan, realization))
    victim = sorted((tmp_path / kind).glob("*.parquet"))[2]
    data = bytearray(victim.read_bytes())
    if damage == "truncate":
        victim.write_bytes(data[: len(data) // 2])
    elif damage == "flip":
        data[len(data) // 8] ^= 0xFF
        victim.write_bytes(data)
    else:
        victim.unlink()
    lines = []
    fill(tmp_path, plan, lines.append)
    assert_complete(tmp_path)
    if (kind, damage) != ("runs", "remove"):  # a part without runs never was
        assert len(lines) == 1
        assert victim.stem in lines[0]
        assert "damaged" in lines[0]
        assert list(tmp_path.glob("*/*.corrupt"))


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_a_full_disk_is_one_line_and_the_rest_is_kept(tmp_path, plan, monkeypatch, code):
    fsync, left = os.fsync, [12]

    def full(handle):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(code, os.strerror(code))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match=os.strerror(code)) as caught:
        fill(tmp_path, plan)
    assert "\n" not in str(caught.value)
    kept = len(Results(tmp_path).frame("runs"))
    assert 0 < kept < 2 * N
    assert not list(tmp_path.rglob("*.tmp"))
    monkeypatch.setattr(os, "fsync", fsync)
    fill(tmp_path, plan)
    assert_complete(tmp_path)


def test_two_runs_do_not_share_a_folder(tmp_path, plan):
    with (
        Store.open(tmp_path, plan),
        pytest.raises(InputError, match="another run"),
        Store.open(tmp_path, plan),
    ):
        pass


def test_readers_hold_on_while_parts_are_joined(tmp_path, plan, monkeypatch):
    """What was listed is there still after one compaction, and is listed anew after two."""
    monkeypatch.setattr(store_module, "SEGMENT", 2)
    with Store.open(tmp_path, plan) as store:
        store.checkpoint(result(plan, 0))
        reader = Results(tmp_path)
        files = reader.estimates_files
        store.checkpoint(result(plan, 1))
        assert all(path.exists() for path in files)
        assert len(Results(tmp_path).frame("runs")) == 4
        store.checkpoint(result(plan, 2))
        store.checkpoint(result(plan, 3))
        assert not any(path.exists() for path in files)
        assert len(reader.frame("estimates")) == 2 * N
    assert_complete(tmp_path)


def test_a_part_that_goes_between_listing_and_reading_is_looked_for_again(tmp_path, plan):
    with Store.open(tmp_path, plan) as store:
        for realization in range(N):
            store.checkpoint(result(plan, realization))
        reader, calls = Results(tmp_path), []

        def read():
            files = reader.runs_files
            if not calls:
                store.compact()
            calls.append(files)
            return pd.concat(pd.read_parquet(path) for path in files)

        assert len(reader.steadily(read)) == 2 * N
    assert [len(files) for files in calls] == [N, 1]


@pytest.mark.parametrize(
    "error",
    [
        duckdb.IOException("Cannot open file\n: Permission denied"),
        duckdb.InvalidInputException("cannot encode file\n: Permission denied"),
        PermissionError("Cannot open file\n: Permission denied"),
    ],
)
def test_what_cannot_be_read_is_one_line(tmp_path, plan, error):
    fill(tmp_path, plan)
    reader = Results(tmp_path)

    def refuse():
        raise error

    with pytest.raises(InputError, match=r"cannot be read: .*file : Permission denied") as caught:
        reader.steadily(refuse)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["estimates", "runs"])
def test_an_unreadable_file_is_not_a_damaged_one(tmp_path, plan, kind, monkeypatch):
    fill(tmp_path, plan)
    before = tree(tmp_path)
    (victim,) = (tmp_path / kind).glob("*.parquet")
    original = io.open

    def forbid(file, *args, **kwargs):
        if not isinstance(file, int) and Path(file) == victim:
            raise PermissionError(errno.EACCES, "Permission denied", str(file))
        return original(file, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(io, "open", forbid)  # pathlib's
        patch.setattr("builtins.open", forbid)
        with pytest.raises(InputError, match=r"cannot be read: Permission denied") as caught:
            Store.open(tmp_path, plan).__enter__()
    assert victim.name in str(caught.value)
    assert tree(tmp_path) == before


@pytest.mark.parametrize("lose", [Path.unlink, lambda path: path.write_text("{")])
def test_run_json_lost_in_mid_run_is_written_again(tmp_path, plan, lose):
    with Store.open(tmp_path, plan) as store:
        lose(tmp_path / "run.json")
        store.checkpoint(result(plan, 0))
        assert len(Results(tmp_path).frame("runs")) == 2
        lose(tmp_path / "run.json")
    assert description(tmp_path)["scenario"]["realizations"] == N
    fill(tmp_path, plan)
    assert_complete(tmp_path)


@pytest.mark.parametrize("lose", [Path.unlink, lambda path: path.write_text("{")])
def test_a_folder_that_lost_run_json_is_taken_over_by_its_own_scenario_only(
    tmp_path, plan, values, lose
):
    fill(tmp_path, plan)
    lose(tmp_path / "run.json")
    before = tree(tmp_path)
    other = make_plan(make_scenario({**values, "seed": values["seed"] + 1}))
    with pytest.raises(InputError, match=r"run\.json is lost, and its results .* another scenario"):
        Store.open(tmp_path, other).__enter__()
    with pytest.raises(InputError, match="holds results already"):
        Store.open(tmp_path, plan, "refuse").__enter__()
    assert tree(tmp_path) == before
    lines = []
    fewer = make_plan(plan.scenario.revise(realizations=2))
    with Store.open(tmp_path, fewer, "resume", lines.append) as store:
        assert store.missing(plan.cells[0], 0) == ()
    assert len(lines) == 1
    assert "run.json was lost" in lines[0]
    assert description(tmp_path)["scenario"]["realizations"] == N
    assert description(tmp_path)["also_versions"] == [{"haloassay": "unknown"}]
    assert_complete(tmp_path)
