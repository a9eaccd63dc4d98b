"""The command as a user calls it, and a scenario that runs in a second."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from made_up_stars import table_of, write_csv
from seeds import shifted

from haloassay.face.cli import main

SCENARIO = """
name = "small"
title = "A small run"
realizations = 12
seed = 11

[mock]
kind = "local-jeans-gaussian"
potential = { kind = "nfw", m200 = 1e12, c = 12.0 }
density = { kind = "power-law", slope = -3.5 }
beta = { kind = "constant", beta = 0.3 }
r_range = [5.0, 100.0]

[survey]
preset = "perfect"
n_stars = 150

[[estimators]]
kind = "velocity-ellipsoid"
bins = [5.0, 20.0, 100.0]

[[estimators]]
kind = "fingerprint:Fingerprint"
label = "fingerprint"

[matrix]
factors."survey.distance_scale" = [1.0, 1.1]
"""


@dataclass(frozen=True)
class Answer:
    """Exit code and what was printed."""

    code: int
    out: bytes
    err: str

    @property
    def text(self):
        return self.out.decode()

    @property
    def refusal(self):
        """The one line that a refusal is."""
        assert self.err.endswith("\n")
        assert self.err.count("\n") == 1, self.err
        assert self.err.startswith("haloassay: "), self.err
        assert self.out == b""
        return self.err.strip()


@pytest.fixture
def call(monkeypatch, capsysbinary):
    """Call the command's entry point in this process."""

    def invoke(*arguments):
        monkeypatch.setattr(sys, "argv", ["haloassay", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code or 0
        out, err = capsysbinary.readouterr()
        return Answer(code, out, err.decode())

    return invoke


@pytest.fixture(scope="session")
def environment():
    """Environment of a subprocess that finds the estimators of these tests."""
    path = os.pathsep.join(filter(None, [str(Path(__file__).parent), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path}


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """File of the small scenario."""
    path = tmp_path_factory.mktemp("scenario") / "small.toml"
    path.write_text(SCENARIO.replace("seed = 11", f"seed = {shifted(11)}"))
    return path


@pytest.fixture(scope="session")
def finished(small, environment, tmp_path_factory):
    """Folder of the small scenario's results, and what its run printed."""
    out = tmp_path_factory.mktemp("finished") / "out"
    run = subprocess.run(
        [sys.executable, "-m", "haloassay", "run", small, "--out", out, "-j", "0", "--no-report"],
        env=environment,
        capture_output=True,
        timeout=120,
    )
    return out, Answer(run.returncode, run.stdout, run.stderr.decode())


@pytest.fixture(scope="session")
def stars(tmp_path_factory):
    """CSV file of a catalogue that nothing is wrong with."""
    return write_csv(tmp_path_factory.mktemp("stars") / "stars.csv", table_of())
