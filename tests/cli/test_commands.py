"""What `run`, `table` and `report` do and print is what their help says, and what the functions do."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from printed import read_table

import haloassay
from haloassay.results.results import Results

SCORES = [
    "cell",
    "estimator",
    "quantity",
    "r",
    "unit",
    "n",
    "n_failed",
    "bias",
    "bias_mcse",
    "median_bias",
    "scatter",
    "scatter_mcse",
    "rmse",
    "rmse_mcse",
    "error_ratio",
    "coverage68",
    "coverage68_mcse",
    "coverage95",
    "coverage95_mcse",
    "pull_mean",
    "pull_sd",
    "survey.distance_scale",
]
HEAVY = [
    "numpy",
    "scipy",
    "pandas",
    "astropy",
    "matplotlib",
    "numba",
    "duckdb",
    "pyarrow",
    "pydantic",
    "galpy",
    "rich",
]


def test_importing_and_helping_load_nothing_heavy():
    script = (
        "import sys, haloassay\n"
        "from haloassay.face.cli import main\n"
        "sys.argv = ['haloassay', '--help']\n"
        "main()\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout.decode().splitlines()[-1] == "[]"


def test_version_and_help(call):
    assert call("--version").text == f"haloassay, version {haloassay.__version__}\n"
    assert call("--help").text == call("-h").text == call().text
    for command in re.findall(r"^  (\w+)  ", call("--help").text.split("Commands:")[1], re.M):
        answer = call(command, "--help")
        assert (answer.code, answer.err) == (0, "")
        assert "Usage: " in answer.text


def test_every_command_is_a_function(call):
    commands = call("--help").text.split("Commands:")[1]
    names = re.findall(r"^  (\w+)  ", commands, re.M)
    assert sorted(names) == [
        "baseline",
        "budget",
        "challenge",
        "check",
        "claims",
        "compare",
        "completion",
        "describe",
        "failures",
        "figure",
        "init",
        "league",
        "list",
        "match",
        "measure",
        "merge",
        "mock",
        "plan",
        "predict",
        "rank",
        "report",
        "run",
        "status",
        "table",
        "train",
    ]
    of_shells = {"completion"}
    assert all(callable(getattr(haloassay, name)) for name in set(names) - of_shells)


def test_run_prints_the_bias_table(finished):
    _, run = finished
    assert run.code == 0, run.err
    assert "A small run" in run.text
    assert "estimator runs: 48 ok" in run.text.splitlines()  # 2 cells x 12 x 2 estimators
    assert "24/24 tasks" in run.err
    assert "Traceback" not in run.err


def test_run_again_finds_everything_done_and_reports(finished, small, call, monkeypatch):
    folder, _ = finished
    before = {p: p.stat().st_mtime_ns for p in (folder / "estimates").iterdir()}
    written = f"page of {folder}", haloassay.table(folder)
    monkeypatch.setattr("haloassay.face.api.write_report", lambda *_, **__: written)
    answer = call("run", small, "--out", folder)
    assert answer.code == 0
    assert "estimator runs: 48 ok\n" in answer.text
    assert answer.text.endswith(f"\nreport: page of {folder}\n")
    assert {p: p.stat().st_mtime_ns for p in (folder / "estimates").iterdir()} == before


def test_run_refuses_a_used_folder_on_request(finished, small, call):
    folder, _ = finished
    answer = call("run", small, "--out", folder, "--refuse")
    assert answer.code == 2
    assert "holds results already" in answer.refusal


def test_dry_run_writes_nothing(small, call, tmp_path):
    answer = call("run", small, "--out", tmp_path / "out", "--dry-run", "-n", "5")
    assert answer.code == 0
    assert "2 cells x 5 realisations = 10 tasks" in answer.err
    assert list(tmp_path.iterdir()) == []


def test_run_with_nothing_to_compare_is_exit_3(small, call, tmp_path):
    text = small.read_text()
    text = text.replace(
        'kind = "velocity-ellipsoid"\nbins = [5.0, 20.0, 100.0]', 'kind = "fingerprint:Broken"'
    )
    path = tmp_path / "broken.toml"
    path.write_text(text.replace('kind = "fingerprint:Fingerprint"', 'kind = "fingerprint:Silent"'))
    out = tmp_path / "out"
    answer = call("run", path, "--out", out, "-n", "1", "-j", "0", "--no-report")
    assert answer.code == 3
    assert "estimator runs: 4 failed" in answer.text
    assert answer.err.splitlines()[-1].startswith(f"haloassay: {out}: no estimate stands beside")
    for command in ("table", "report"):
        assert call(command, out).code == 3


@pytest.mark.long
def test_interrupted_run_keeps_its_work_and_goes_on(small, environment, tmp_path, call):
    out = tmp_path / "out"
    command = [
        sys.executable,
        "-m",
        "haloassay",
        "run",
        small,
        "--out",
        out,
        "-j",
        "1",
        "-n",
        "4000",
    ]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as run:
        deadline = time.monotonic() + 60.0
        while time.monotonic() < deadline and not list(out.glob("runs/*.parquet")):
            time.sleep(0.05)
        run.send_signal(signal.SIGINT)
        printed, said = run.communicate(timeout=60)
    assert run.returncode == 130
    assert (
        said.decode().splitlines()[-1]
        == "haloassay: interrupted; finished work is kept, run again to go on"
    )
    assert b"Traceback" not in said + printed
    assert Results(out).counts()["ok"] >= 1
    assert call("table", out, "--format", "csv").code == 0


def test_interrupt_anywhere_is_exit_130(call, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("haloassay.face.vocabulary.entries", interrupt)
    answer = call("list", "mocks")
    assert answer.code == 130
    assert answer.err.strip() == "haloassay: interrupted"


# ---------------------------------------------------------------------------------------------- table, report


@pytest.mark.parametrize("fmt", ["csv", "ecsv", "parquet"])
def test_table_keeps_every_digit(finished, call, tmp_path, fmt):
    folder, _ = finished
    answer = call("table", folder, "--format", fmt)
    assert answer.code == 0
    assert answer.err == ""
    table = read_table(answer.out, fmt)
    assert set(SCORES) <= set(table.columns)
    assert len(table) == 2 * (20 + 1)
    expected = haloassay.table(folder)
    for name in ("bias", "scatter_mcse", "coverage68", "survey.distance_scale"):
        np.testing.assert_array_equal(table[name].astype(float), expected[name].astype(float))
    out = tmp_path / f"scores.{fmt}"
    assert call("table", folder, "--format", fmt, "--out", out).out == b""
    assert out.read_bytes() == answer.out


def test_table_for_people(finished, call):
    folder, run = finished
    latex = call("table", folder, "--format", "latex").text
    assert latex.count(r" \\") == 43
    assert r"\toprule" in latex
    lines = call("table", folder, "--format", "markdown").text.splitlines()
    markdown = [line for line in lines if line.startswith("|")]
    assert len(markdown) == 44
    assert lines[:44] == markdown  # what the marks mean stands below the table
    assert {line.replace("\\|", "").count("|") for line in markdown} == {markdown[1].count("|")}
    terminal = call("table", folder).text
    assert terminal == run.text


def test_terminal_table_is_not_for_files(finished, call, tmp_path):
    answer = call("table", finished[0], "--out", tmp_path / "t.txt")
    assert answer.code == 2
    assert "--format" in answer.refusal


def test_report_writes_and_opens_the_page(small, call, tmp_path, monkeypatch):
    path, folder = tmp_path / "one.toml", tmp_path / "out"
    other = '[[estimators]]\nkind = "velocity-ellipsoid"\nbins = [5.0, 20.0, 100.0]\n'
    one = '[[estimators]]\nkind = "tracer-mass"\nalpha = -3.5\n'
    path.write_text(small.read_text().replace(other, one))
    call("run", path, "--out", folder, "-n", "2", "-j", "0", "--no-report")
    page = folder / "report" / "index.html"
    assert not page.exists()
    answer = call("report", folder)
    assert (answer.code, answer.text) == (0, f"{page}\n")
    assert "A small run" in page.read_text()
    shown = []
    monkeypatch.setattr("webbrowser.open", lambda url: shown.append(url) or len(shown) == 1)
    assert call("report", folder, "--open").text == f"{page}\n"
    assert shown == [page.as_uri()]
    answer = call("report", folder, "--open")
    assert answer.code == 0
    assert "no browser found" in answer.err
