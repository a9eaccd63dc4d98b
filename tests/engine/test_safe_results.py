"""Folders of results in rough hands: any name, flipped bits, links, files of others, two runs at once."""

import errno
import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
import warnings

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_up_results import N, assert_complete, fill, result
from seeds import seeded

from haloassay.base.errors import HaloassayWarning, InputError
from haloassay.results import lock, parts, store
from haloassay.results.results import Results
from haloassay.results.store import Store

PATTERNS = ["run?", "run[12]", "run*", "value=7", "estimator=x", "status=lost", "a'b", "[", "{1,2}"]


def test_a_name_is_no_pattern(tmp_path, plan):
    """Neither of other folders' files, nor of columns."""
    first, *more = [*PATTERNS, "run1", "run2", "runs", "a"]
    fill(tmp_path / first, plan)
    for name in more:
        shutil.copytree(tmp_path / first, tmp_path / name)
    for name in PATTERNS:
        runs = Results(tmp_path / name).table()
        assert runs["n"].tolist() == [N, N], name
        assert sorted(runs["estimator"]) == sorted(m.label for m in plan.cells[0].methods)
        assert_complete(tmp_path / name)


def victims(out):
    return [out / "run.json", *sorted(out.glob("*/*.parquet"))]


@pytest.mark.long
def test_no_flipped_bit_changes_a_table_without_a_word(tmp_path, plan):
    """It is said, or the table is as it was: wherever the bit is, in data, statistics, names or run.json."""
    fill(tmp_path, plan)
    expected = Results(tmp_path).table()
    rng = seeded(11)
    silent = 0
    for path in victims(tmp_path):
        whole = path.read_bytes()
        for bit in rng.integers(0, 8 * len(whole), 6):
            damaged = bytearray(whole)
            damaged[bit // 8] ^= 1 << bit % 8
            path.write_bytes(bytes(damaged))
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always")
                try:
                    table = Results(tmp_path).table()
                except InputError:
                    continue
            if not any(issubclass(w.category, HaloassayWarning) for w in said):
                assert table.equals(expected)
                silent += 1
        path.write_bytes(whole)
    assert silent == 0
    assert Results(tmp_path).table().equals(expected)


def test_a_damaged_part_is_named_and_left_out(tmp_path, plan):
    with Store.open(tmp_path, plan) as open_store:
        for realization in range(N):
            open_store.checkpoint(result(plan, realization))
    victim = sorted((tmp_path / "estimates").glob("*.parquet"))[1]
    victim.write_bytes(victim.read_bytes()[:-1])
    results = Results(tmp_path)
    with pytest.warns(HaloassayWarning, match=f"{victim.stem} .*damaged and left out"):
        runs = results.frame("runs")
    assert len(runs) == 2 * (N - 1)
    assert results.damaged == (victim.stem,)
    assert set(results.frame("estimates")["realization"]) == set(runs["realization"])


@pytest.mark.parametrize("lose", ["flip", "cut"])
def test_a_damaged_run_json_is_no_description(tmp_path, plan, lose):
    fill(tmp_path, plan)
    path = tmp_path / "run.json"
    text = path.read_text()
    path.write_text(text.replace('"base"', '"case"', 1) if lose == "flip" else text[:-9])
    with pytest.raises(InputError, match=r"damaged one, which the next run"):
        Results(tmp_path)
    lines = []
    fill(tmp_path, plan, lines.append)
    assert_complete(tmp_path)
    assert any("was lost" in line for line in lines)


def test_files_of_others_are_left_alone_and_not_read(tmp_path, plan):
    fill(tmp_path, plan)
    (part,) = (tmp_path / "estimates").glob("*.parquet")
    mine = [tmp_path / kind / "mine.parquet" for kind in ("estimates", "runs")]
    for path in mine:
        path.write_bytes((tmp_path / path.parent.name / part.name).read_bytes())
    lines = []
    fill(tmp_path, plan, lines.append)
    assert all(path.exists() for path in mine)
    assert sum("left alone" in line for line in lines) == 2
    assert_complete(tmp_path)
    with Store.open(tmp_path, plan, "restart"):
        pass
    assert all(path.exists() for path in mine)


def test_nothing_is_written_through_a_link(tmp_path, plan):
    """Files are replaced; a lock or a folder that is a link is refused."""
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    elsewhere.write_text("precious")
    fill(out, plan)
    (out / "run.json").unlink()
    (out / "run.json").symlink_to(elsewhere)
    fill(out, plan)
    assert elsewhere.read_text() == "precious"
    assert not (out / "run.json").is_symlink()
    (out / ".lock").unlink()
    (out / ".lock").symlink_to(elsewhere)
    with pytest.raises(InputError, match=r"\.lock: is a link"):
        fill(out, plan)
    assert elsewhere.read_text() == "precious"
    (out / ".lock").unlink()
    (out / "runs").rename(tmp_path / "moved")
    (out / "runs").symlink_to(tmp_path / "moved")
    with pytest.raises(InputError, match="runs: is a link"):
        fill(out, plan)


def doubled(out, plan):
    """Let two runs write some of the same results at once."""
    fill(out, plan)
    for realization in range(2):
        tables = store._tables(result(plan, realization))
        parts.write_part(out, f"{realization:08d}-{realization:07d}", tables)


def test_what_two_runs_wrote_counts_once(tmp_path, plan):
    doubled(tmp_path, plan)
    assert len(list((tmp_path / "runs").glob("*.parquet"))) == 3
    with pytest.warns(HaloassayWarning, match="4 results stand twice"):
        table = Results(tmp_path).table()
    assert table["n"].tolist() == [N, N]
    assert_complete(tmp_path)
    lines = []
    fill(tmp_path, plan, lines.append)
    assert any("4 results stand twice" in line for line in lines)
    assert len(list((tmp_path / "runs").glob("*.parquet"))) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_complete(tmp_path)


def test_of_two_results_that_differ_the_one_with_a_value_counts(tmp_path, plan):
    fill(tmp_path, plan)
    tables = store._tables(result(plan, 0, ("failed", "failed")))
    parts.write_part(tmp_path, f"{0:08d}-{0:07d}", tables)
    with pytest.warns(HaloassayWarning, match="2 results stand twice"):
        assert Results(tmp_path).counts() == {"ok": 2 * N}
    fill(tmp_path, plan)
    assert Results(tmp_path).counts() == {"ok": 2 * N}
    assert_complete(tmp_path)


def test_the_lock_stays_and_names_who_holds_it(tmp_path, plan):
    with (
        Store.open(tmp_path, plan),
        pytest.raises(InputError, match=rf"process {os.getpid()}, host"),
    ):
        Store.open(tmp_path, plan).__enter__()
    assert (tmp_path / ".lock").exists()


RIVAL = """
import sys
from multiprocessing import get_context
from pathlib import Path
from haloassay.base.errors import InputError
from haloassay.results.lock import locked
if sys.argv[2] == "none":
    import fcntl, errno
    def flock(*_): raise OSError(errno.ENOLCK, "No locks available")
    fcntl.flock = flock
counter = Path(sys.argv[1]) / "inside"
def contend():
    done = 0
    while done < 20:
        try:
            with locked(Path(sys.argv[1]), lambda line: None):
                counter.touch(exist_ok=False)
                counter.unlink()
                done += 1
        except InputError:
            pass
rivals = [get_context("fork").Process(target=contend) for _ in range(3)]
for rival in rivals:
    rival.start()
for rival in rivals:
    rival.join()
sys.exit(any(rival.exitcode for rival in rivals))
"""


@pytest.mark.parametrize("kind", ["flock", "none"])
def test_no_two_processes_are_ever_inside(tmp_path, kind):
    """Each of three takes the lock 20 times; a second one inside would find the first one's file."""
    command = [sys.executable, "-c", RIVAL, str(tmp_path), kind]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr


@pytest.fixture
def no_locks(monkeypatch):
    def flock(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)


def test_where_there_are_no_locks_a_folder_stands_for_one(tmp_path, plan, no_locks):
    lines = []
    with Store.open(tmp_path, plan, say=lines.append):
        assert any("has no locks" in line for line in lines)
        with pytest.raises(InputError, match=rf"process {os.getpid()}, host .*remove"):
            Store.open(tmp_path, plan).__enter__()
    assert not (tmp_path / lock.HELD).exists()
    fill(tmp_path, plan)
    assert_complete(tmp_path)


@pytest.mark.parametrize(
    ("host", "age", "goes_on"), [("here", 0.0, True), ("afar", 1000.0, True), ("afar", 0.0, False)]
)
def test_the_lock_of_a_run_that_is_no_more_is_taken(tmp_path, plan, no_locks, host, age, goes_on):
    """Here its process is looked for; elsewhere its heartbeat."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    holder = {"host": lock.socket.gethostname() if host == "here" else "afar", "process": ended.pid}
    place = tmp_path / lock.HELD
    place.mkdir()
    (place / "holder.json").write_text(json.dumps(holder))
    then = time.time() - age
    os.utime(place / "holder.json", (then, then))
    if goes_on:
        fill(tmp_path, plan)
        assert_complete(tmp_path)
        assert not place.exists()
    else:
        with pytest.raises(InputError, match=r"another run .process .*, host afar"):
            fill(tmp_path, plan)


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.binary(max_size=200)
    | st.recursive(
        st.none() | st.text() | st.floats(),
        lambda s: (
            st.lists(s)
            | st.dictionaries(
                st.sampled_from(["scenario", "cells", "estimators", "digest", "x"]), s
            )
        ),
    )
)
def test_whatever_run_json_holds_is_one_line(tmp_path, plan, content):
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    (tmp_path / "run.json").write_bytes(data)
    with pytest.raises(InputError, match="is not a results folder"):
        Results(tmp_path)
