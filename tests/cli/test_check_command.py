"""`haloassay check` as a user calls it."""

from __future__ import annotations

import json

from refusing import refused


def test_findings_come_line_by_line_and_then_their_number(call):
    answer = call("check", "velocity-ellipsoid", "--only", "rows", "--only", "speeds", "-j", "0")
    assert answer.code == 0, answer.err
    lines = answer.text.splitlines()
    assert lines[0].startswith("ok       rows: 30 rows, 30 with a value")
    assert lines[1].startswith("ok       speeds: ")
    assert lines[-1] == "velocity-ellipsoid, standard: 2 checks: 2 passed"


def test_a_failure_ends_with_1_and_says_how_to_make_it_again(call):
    chosen = ("--set", "bins=[5.0, 60.0]", "--set", "min_stars=1000")
    answer = call("check", "velocity-ellipsoid", *chosen, "--only", "rows", "-j", "0")
    assert answer.code == 1
    assert "FAILED   rows: no value from 800 stars" in answer.text
    assert "again: haloassay check velocity-ellipsoid --set 'bins=[5.0, 60.0]'" in answer.text


def test_a_file_for_programs(call, tmp_path):
    out = tmp_path / "found.json"
    chosen = ("--only", "declarations", "-j", "0", "--format", "json", "--out", out)
    assert call("check", "jeans-3d", *chosen).code == 0
    assert json.loads(out.read_text())["findings"][0]["status"] == "passed"


def test_what_cannot_be_checked_is_one_line(call, tmp_path):
    for arguments, said in (
        (("jeans",), "unknown estimator 'jeans'"),
        (("jeans-3d", "--only", "bios"), "did you mean 'bias'"),
        (("jeans-3d", "--set", "alpha=steep"), "alpha"),
        (("theirs:Named", "--no-plugins"), "which --no-plugins"),
    ):
        refused(call, tmp_path, "check", *arguments, words=[said])
