"""Classes that cannot be imported, or that end the program, in every command."""

import sys

import pytest

MODULES = {
    "raising": 'raise RuntimeError("two\\nlines")',
    "leaving": "import sys; print('noise'); sys.exit(0)",
    "wrong": "def f(:",
    "empty": "",
}
ESTIMATOR = """
import os, sys
from dataclasses import dataclass
from haloassay import Estimate, Estimates, Estimator

@dataclass(frozen=True)
class Own(Estimator):
    name = "own"
    reference = ""
    yields = ("r200",)
    needs = ()
    how: str = ""

    def estimate(self, catalogue, rng):
        print("a word of its own")
        if self.how == "quit":
            os._exit(0)
        if self.how == "exit":
            sys.exit(0)
        return Estimates([Estimate("r200", float(len(catalogue)))])
"""


@pytest.fixture
def modules(tmp_path, monkeypatch):
    for name, text in MODULES.items():
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.delitem(sys.modules, name, raising=False)
    (tmp_path / "owned.py").write_text(ESTIMATOR)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "owned", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("name", [*MODULES, "absent"])
def test_a_class_that_cannot_be_imported_is_one_line_in_every_command(
    call, modules, small, stars, name
):
    scenario = modules / "scenario.toml"
    scenario.write_text(small.read_text().replace("fingerprint:Fingerprint", f"{name}:X"))
    out = modules / "out"
    for words in (
        ("run", scenario, "--out", out),
        ("run", scenario, "--out", out, "--dry-run"),
        ("mock", scenario, "--out", modules / "out.csv"),
        ("measure", stars, "--estimator", f"{name}:X"),
        ("describe", f"{name}:X"),
    ):
        answer = call(*words)
        assert answer.code == 2, words
        assert answer.out == b""
        assert f"'{name}:X' cannot be imported: " in answer.err
        assert answer.err.replace("noise\n", "").count("\n") == 1
        assert not out.exists()


def test_measure_runs_an_estimator_of_others_where_its_end_is_not_ours(call, modules, stars):
    words = ("measure", stars, "--estimator", "owned:Own", "--format", "csv")
    answer = call(*words)
    assert answer.code == 0
    assert "a word of its own" not in answer.text
    assert answer.text.splitlines()[1].startswith("r200,")
    for how, reason in (("quit", "exit code 0"), ("exit", "SystemExit: 0")):
        answer = call(*words, "--set", f"how={how}")
        assert (answer.code, answer.out) == (2, b"")
        assert reason in answer.err.splitlines()[-1]


def test_failures_of_a_run(call, finished):
    answer = call("failures", finished[0])
    assert answer.code == 0
    assert "no failures in" in answer.text
