"""Classes that cannot be imported, or that end the program, in every command."""

import os
import re
import subprocess
import sys

import pytest

pytestmark = pytest.mark.long

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


#: Leaves in a way that nothing can catch: at its import, when it is made, when it is asked, when it estimates.
GONE = """
import os
from dataclasses import dataclass
from haloassay import Estimator

def mock(table, where):
    os._exit(6)

@dataclass(frozen=True)
class Gone(Estimator):
    name = "gone"
    reference = ""
    yields = ("r200",)
    needs = ()
    how: str = ""

    def __post_init__(self):
        if self.how == "made":
            os._exit(4)

    def required(self):
        if self.how == "asked":
            os._exit(5)
        return ()

    def estimate(self, catalogue, rng):
        os._exit(7)
"""
#: The first is a child that the module starts, whose end is its own; it has to be left alone.
AT_IMPORT = """
import os
if (child := os.fork()) == 0:
    os._exit(3)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
print("noise")
os._exit(0)
"""
TRIED = """
import os, sys
from importlib.metadata import EntryPoint
import importlib.metadata
import haloassay
from haloassay.contracts.quantities import known_quantities
from haloassay.face.cli import main

*command, out = sys.argv[1:]
sys.argv = ["haloassay", *command]
try:
    main()
except SystemExit as end:
    print("main:", end.code)

MOCK = {
    "kind": "local-jeans-gaussian",
    "potential": {"kind": "nfw", "m200": 1e12, "c": 12.0},
    "density": {"kind": "power-law", "slope": -3.5},
    "beta": 0.3,
}
STARS = {name: [8.0 + k, -3.0, 5.0 * k] for k, name in enumerate(("x", "y", "z", "vx", "vy", "vz"))}

def scenario(**changed):
    return {
        "name": "gone",
        "realizations": 1,
        "mock": MOCK,
        "survey": {"preset": "perfect", "n_stars": 20},
        "estimators": [{"kind": "velocity-ellipsoid"}],
        **changed,
    }

def offered():
    entry = EntryPoint("x", "at_import:X", "haloassay.quantities")
    importlib.metadata.entry_points = lambda group="": [entry] if group == entry.group else []
    return known_quantities()

galpy = {"kind": "galpy", "name": "at_import:X"}
TRIES = {
    "import": lambda: haloassay.describe("at_import:X"),
    "galpy": lambda: haloassay.mock(scenario(mock={**MOCK, "potential": galpy})),
    "made": lambda: haloassay.measure(STARS, "gone:Gone", how="made"),
    "asked": lambda: haloassay.measure(STARS, "gone:Gone", how="asked"),
    "mock": lambda: haloassay.mock(scenario(mock={**MOCK, "kind": "gone:mock"})),
    "measure": lambda: haloassay.measure(STARS, "gone:Gone"),
    "run": lambda: print(haloassay.run(
        scenario(estimators=[{"kind": "gone:Gone"}]), out, workers=0).reasons()),
    "quantities": offered,
}
for name, call in TRIES.items():
    try:
        call()
    except haloassay.HaloassayError as error:
        print(error)
print(type(os._exit).__name__)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="starts a process as POSIX does")
def test_code_that_leaves_by_os_exit_is_one_line(modules, small):
    """In a process of its own, which it would end."""
    (modules / "gone.py").write_text(GONE)
    (modules / "at_import.py").write_text(AT_IMPORT)
    scenario = modules / "scenario.toml"
    scenario.write_text(small.read_text().replace("fingerprint:Fingerprint", "at_import:X"))

    command = ("run", scenario, "--out", modules / "out")
    words = map(str, (sys.executable, "-c", TRIED, *command, modules / "results"))
    tried = subprocess.run([*words], cwd=modules, capture_output=True, text=True, timeout=120)
    assert tried.returncode == 0, tried.stderr
    assert tried.stdout.startswith("main: 2\n")
    noise, line = tried.stderr.splitlines()[:2]
    assert noise == "noise"
    assert line.endswith("'at_import:X' cannot be imported: it ends the program (SystemExit: 0)")
    codes = re.findall(r"SystemExit: (\d)", tried.stdout)
    assert codes == [*"00456770"], tried.stdout
    assert tried.stdout.endswith("\nbuiltin_function_or_method\n")  # as it was


def test_failures_of_a_run(call, finished):
    answer = call("failures", finished[0])
    assert answer.code == 0
    assert "no failures in" in answer.text
