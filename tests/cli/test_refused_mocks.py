"""Mocks that cannot be, and caches that cannot serve: one line, exit 2, nothing written; or a warning, and results."""

from __future__ import annotations

import subprocess
import sys

import pytest
from refusing import refused

from haloassay.base.cache import CacheWarning
from haloassay.engine import task

MOCK = {
    "format": (["--out", "m.xlsx"], ["unknown format", ".parquet"]),
    "no folder": (["--out", "no/m.csv"], ["there is no folder"]),
    "no folder for the truth": (["--out", "m.csv", "--truth", "no/t.json"], ["there is no folder"]),
    "truth is a folder": (["--out", "m.csv", "--truth", "."], ["is a folder"]),
    "one file for both": (["--out", "m.csv", "--truth", "m.csv"], ["m.csv"]),
    "no stars": (["--out", "m.csv", "-n", "0"], ["n_stars"]),
    "some stars": (["--out", "m.csv", "-n", "some"], ["'some' is not a valid integer"]),
    "all stars, without end": (["--out", "m.csv", "-n", "all"], ["n_stars = 'all'", "snapshot"]),
    "realization before the first": (["--out", "m.csv", "--realization", "-1"], ["realization"]),
    "negative seed": (["--out", "m.csv", "--seed", "-1"], ["seed"]),
}


@pytest.mark.parametrize("case", MOCK)
def test_mock(call, small, tmp_path, monkeypatch, case):
    monkeypatch.chdir(tmp_path)
    arguments, words = MOCK[case]
    refused(call, tmp_path, "mock", small, *arguments, words=words)


# ---------------------------------------------------------------------------------------------- equilibria

IMPOSSIBLE = """
name = "impossible"
realizations = 1

[mock]
kind = "equilibrium"
potential = { kind = "nfw", m200 = 1e12, c = 12.0 }
density = { kind = "plummer", a = 15.0 }
beta = { kind = "constant", beta = BETA }
r_range = [1.0, 10.0]

[survey]
n_stars = 10

[[estimators]]
kind = "velocity-ellipsoid"
"""


def test_no_equilibrium_is_found_before_anything_is_written(call, tmp_path):
    """A core cannot hold radial orbits: beta is at most half the central slope, 0 (An & Evans 2006)."""
    path = tmp_path / "impossible.toml"
    path.write_text(IMPOSSIBLE.replace("BETA", "0.5"))
    words = [str(path), "no equilibrium", "kpc"]
    refused(call, tmp_path, "run", path, "--out", tmp_path / "out", words=words)
    refused(call, tmp_path, "mock", path, "--out", tmp_path / "m.csv", words=words)


def test_all_stars_of_a_mock_without_end(call, tmp_path):
    path = tmp_path / "endless.toml"
    spec = IMPOSSIBLE.replace("BETA", "-0.5").replace("n_stars = 10", "")
    path.write_text(spec + '\n[matrix]\nfactors."survey.n_stars" = [10, "all"]\n')
    words = [str(path), "survey.n_stars=all", "only so many stars"]
    refused(call, tmp_path, "run", path, "--out", tmp_path / "out", words=words)


def test_more_stars_than_a_population_has_are_refused_before_it_is_made(call, tmp_path):
    path = tmp_path / "few.toml"
    spec = IMPOSSIBLE.replace("BETA", "-0.5").replace("n_stars = 10", "n_stars = 2001")
    path.write_text(
        spec.replace("[survey]", "population = { size = 2000, time = 1.0 }\n\n[survey]")
    )
    words = [str(path), "2001 stars are asked for", "has 2000", "size of its population"]
    refused(call, tmp_path, "run", path, "--out", tmp_path / "out", words=words)
    refused(call, tmp_path, "mock", path, "--out", tmp_path / "m.csv", words=words)


def test_no_equilibrium_in_one_cell_stops_all(call, tmp_path):
    path = tmp_path / "impossible.toml"
    matrix = '\n[matrix]\nfactors."mock.beta.beta" = [0.0, 0.5]\n'
    path.write_text(IMPOSSIBLE.replace("BETA", "-0.5") + matrix)
    words = [str(path), "mock.beta.beta=0.5", "no equilibrium"]
    refused(call, tmp_path, "run", path, "--out", tmp_path / "out", words=words)


SOLVED = IMPOSSIBLE.replace("BETA", "0.0").replace("[1.0, 10.0]", '[5.0, 50.0]\nmethod = "orbits"')


@pytest.fixture
def solved(tmp_path, monkeypatch):
    """Scenario whose mock is solved by orbits and kept in the cache, and an empty cache."""
    monkeypatch.setenv("HALOASSAY_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "solved.toml"
    path.write_text(SOLVED)
    return path


@pytest.mark.slow
def test_cache_that_is_damaged_is_made_again(call, solved, tmp_path):
    out = tmp_path / "m.csv"
    assert call("mock", solved, "--out", out).code == 0
    expected = out.read_bytes()
    (kept,) = (tmp_path / "cache").glob("*/*.npz")
    damaged = kept.read_bytes()[:-99] + bytes(99)
    kept.write_bytes(damaged)
    task._mock.cache_clear()
    with pytest.warns(CacheWarning, match="made again"):
        answer = call("mock", solved, "--out", out)
    assert (answer.code, answer.err) == (0, "")
    assert out.read_bytes() == expected
    assert kept.read_bytes() != damaged


def test_cache_that_cannot_be_written_costs_only_the_saving(call, solved, tmp_path, monkeypatch):
    assert call("mock", solved, "--out", tmp_path / "expected.csv").code == 0
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HALOASSAY_CACHE", str(tmp_path / "file" / "cache"))
    task._mock.cache_clear()
    with pytest.warns(CacheWarning, match="nothing can be kept"):
        answer = call("mock", solved, "--out", tmp_path / "m.csv")
    assert (answer.code, answer.err) == (0, "")
    assert (tmp_path / "m.csv").read_bytes() == (tmp_path / "expected.csv").read_bytes()


@pytest.mark.slow
def test_workers_do_not_say_again_what_the_main_process_has_said(solved, tmp_path, environment):
    """One line on standard error though two processes meet the fault, and none of Python's."""
    (tmp_path / "file").write_text("")
    cache = {"HALOASSAY_CACHE": str(tmp_path / "file" / "cache")}
    words = ["run", solved, "--out", tmp_path / "out", "-j", "1", "-n", "4", "--no-report"]
    run = subprocess.run(
        [sys.executable, "-m", "haloassay", *map(str, words)],
        env={**environment, **cache},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    lines = [line for line in run.stderr.splitlines() if "cache" in line]
    assert len(lines) == 1, run.stderr
    assert lines[0].startswith("haloassay: cache: nothing can be kept in")
    assert "Warning" not in run.stderr
