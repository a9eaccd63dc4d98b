"""What somebody wrote into titles, labels, names of files and columns moves no cursor of whoever runs a command."""

from __future__ import annotations

import io
import re
import warnings

import pytest

from haloassay.base.errors import HaloassayWarning, warn_in_one_line
from haloassay.engine.progress import Bar, Lines

HOSTILE = "\x1b[2J\x07\u202e\x9b1m [bold]b[/] :bomb:"
SHOWN = r"\x1b[2J\x07\u202e\x9b1m [bold]b[/] :bomb:"
OBEYED = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@pytest.fixture(scope="module")
def hostile(small, tmp_path_factory):
    """The small scenario, with words that a terminal would obey."""
    text = small.read_text()
    toml = HOSTILE.replace("\x1b", r"\u001b").replace("\x07", r"\u0007").replace("\x9b", r"\u009b")
    text = text.replace('"A small run"', f'"{toml}"').replace('"fingerprint"', f'"{toml}"')
    file = tmp_path_factory.mktemp("hostile") / "hostile.toml"
    file.write_text(text.replace("realizations = 12", "realizations = 2"))
    return file


@pytest.mark.long
def test_a_run_prints_title_and_labels_as_they_are(call, hostile, tmp_path):
    out = tmp_path / "out"
    answer = call("run", hostile, "--out", out, "-j", "0", "--no-report")
    assert answer.code == 0, answer.err
    assert f"{SHOWN}: the mock has no truth of fingerprint: not scored" in answer.err
    assert answer.text.splitlines()[0] == SHOWN
    for arguments in ([], ["--paired"], *(["--format", f] for f in ("csv", "ecsv", "latex"))):
        told = call("table", out, *arguments)
        assert told.code == 0, told.err
        assert not OBEYED.search(told.text + told.err), arguments
    assert not OBEYED.search(answer.text + answer.err)


def test_refusals_and_measurements_name_what_there_is_without_obeying_it(call, stars, tmp_path):
    for arguments in (
        ["describe", HOSTILE],
        ["table", tmp_path / HOSTILE.replace("/", "")],
        ["measure", stars, "--estimator", "tracer-mass", "--set", f"{HOSTILE}=1"],
        ["measure", stars, "--estimator", HOSTILE],
        ["list", HOSTILE],
    ):
        answer = call(*arguments)
        assert answer.code == 2
        assert not OBEYED.search(answer.refusal)
    named = tmp_path / f"{HOSTILE.replace('/', '')}.csv"
    named.write_bytes(stars.read_bytes())
    arguments = ["--estimator", "velocity-ellipsoid", "--set", "bins=[5.0, 1000.0]"]
    answer = call("measure", named, *arguments)
    assert answer.code == 0, answer.err
    assert not OBEYED.search(answer.text + answer.err)
    assert "x1b[2J" in answer.err


def test_progress_and_warnings_are_lines_of_text(capsys, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    for kind in (Lines, Bar):
        file = Terminal()
        kind(file).say(HOSTILE)
        said = file.getvalue()
        assert SHOWN in re.sub(r"\x1b\[[\d;]*m", "", said)
        assert "\x1b[2J" not in said
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    warn_in_one_line()
    assert warnings.formatwarning(HaloassayWarning(HOSTILE), None, "", 0) == f"haloassay: {SHOWN}\n"
