"""-v and -q of long commands set the level of the logger, and --version --verbose says what is installed."""

import logging

import numpy as np
import pytest

import haloassay
from haloassay.base.errors import InputError

LOGGER = logging.getLogger("haloassay")


@pytest.mark.parametrize(
    ("options", "level"),
    [((), logging.NOTSET), (("-v",), logging.DEBUG), (("--quiet",), logging.WARNING)],
)
@pytest.mark.parametrize("command", ["run", "plan", "match"])
def test_the_level_is_that_of_the_option_while_the_command_runs(
    call, monkeypatch, tmp_path, command, options, level
):
    seen = []

    def stop(*_, **__):
        seen.append(LOGGER.level)
        raise InputError("far enough")

    for target in ("face.api.run", "face.answers.plan", "face.matches.match"):
        monkeypatch.setattr(f"haloassay.{target}", stop)
    needs = {
        "run": ("--out", tmp_path / "out"),
        "plan": ("--until", "bias_mcse < 1"),
        "match": ("--out", tmp_path / "out", "--to", tmp_path / "measured.csv"),
    }
    answer = call(command, "quickstart", *needs[command], *options)
    assert "far enough" in answer.refusal
    assert seen == [level]
    assert LOGGER.level == logging.NOTSET


def test_loud_and_quiet_exclude_each_other(call, tmp_path):
    answer = call("run", "quickstart", "--out", tmp_path / "out", "-v", "-q")
    assert "-v and -q exclude each other" in answer.refusal


def test_versions_of_all_that_matters(call):
    lines = call("--version", "--verbose").text.splitlines()
    assert lines[0] == f"haloassay, version {haloassay.__version__}"
    assert f"numpy {np.__version__}" in lines
    assert call("--verbose", "--version").text.splitlines() == lines
    assert sum(line.startswith(("python ", "BLAS ", "cache ", "agama ")) for line in lines) == 4
    assert "goes with --version" in call("--verbose").refusal
    assert "goes with --version" in call("--verbose", "list", "mocks").refusal
