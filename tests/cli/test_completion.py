"""The shell completes names of scenarios, kinds and results, without loading what computes."""

import os
import subprocess
import sys

import pytest


def completed(call, monkeypatch, *words, shell="bash"):
    monkeypatch.setenv("_HALOASSAY_COMPLETE", f"{shell}_complete")
    monkeypatch.setenv("COMP_WORDS", " ".join(["haloassay", *map(str, words)]))
    monkeypatch.setenv("COMP_CWORD", str(len(words)))
    answer = call()
    monkeypatch.undo()
    assert answer.code == 0
    assert answer.err == ""
    return [line.split(",", 1)[1] for line in answer.text.splitlines() if line.startswith("plain,")]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("ru",), ["run"]),
        (("run", "quick"), ["quickstart"]),
        (("mock", "li2026-d"), ["li2026-deforming", "li2026-dipole", "li2026-distance-errors"]),
        (("check", "jeans"), ["jeans-3d", "jeans-virial"]),
        (("measure", "stars.csv", "--estimator", "tracer-m"), ["tracer-mass"]),
        (("describe", "triaxial"), ["triaxial-nfw"]),
        (("describe", "lm"), ["lmc", "lmc-ignored", "lmc-tracer-mass"]),
        (("list", "est"), ["estimators"]),
        (("table", "nowhere", "--cell", ""), []),
    ],
)
def test_names_go_on_as_they_begin(call, monkeypatch, words, found):
    assert completed(call, monkeypatch, *words) == found


def test_names_of_results_are_those_of_the_folder(finished, call, monkeypatch):
    folder, _ = finished
    for option, found in {
        "--cell": ["base", "survey.distance_scale=1.1"],
        "--estimator": ["fingerprint", "velocity-ellipsoid"],
    }.items():
        assert completed(call, monkeypatch, "table", folder, option, "''") == found
    assert completed(call, monkeypatch, "rank", folder, "--quantity", "finger") == ["fingerprint"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_its_script(call, shell):
    text = call("completion", shell).text
    assert f"_HALOASSAY_COMPLETE={shell}_complete" in text
    assert "haloassay" in text


def test_completion_loads_nothing_heavy(finished):
    folder, _ = finished
    script = (
        "import sys, atexit\n"
        "heavy = ('numpy', 'pydantic', 'pandas', 'duckdb', 'astropy', 'rich')\n"
        "atexit.register(lambda: print([n for n in heavy if n in sys.modules], file=sys.stderr))\n"
        "from haloassay.face.cli import main\n"
        "sys.argv = ['haloassay']\n"
        "main()\n"
    )
    for words in (
        f"haloassay table {folder} --cell b",
        "haloassay run qui",
        "haloassay describe n",
    ):
        asked = {"_HALOASSAY_COMPLETE": "bash_complete", "COMP_WORDS": words}
        asked["COMP_CWORD"] = str(len(words.split()) - 1)
        done = subprocess.run(
            [sys.executable, "-c", script], env={**os.environ, **asked}, capture_output=True
        )
        assert done.returncode == 0
        assert done.stdout
        assert done.stderr.decode().strip() == "[]"
