"""Checks of estimators: a sound one passes all, and each fault is found by the check that is for it."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from typing import ClassVar
from xml.etree import ElementTree

import faults
import numpy as np
import pytest
import spread
from spread import Spread

from haloassay.base.errors import InputError
from haloassay.testing import check_estimator, robustness, statistics, words
from haloassay.testing.check import checks
from haloassay.testing.rates import ALPHA
from haloassay.testing.subject import Subject
from haloassay.testing.violations import changed

pytestmark = pytest.mark.long

#: Faults, and the check that is for each.
FOUND = {
    "Thawed": "same stream",
    "OtherUnit": "rows",
    "Undeclared": "rows",
    "Unknown": "declarations",
    "DrawsOfSomethingElse": "intervals",
    "Greedy": "needs",
    "Optimist": "empty",
    "Forgetful": "same stream",
    "Global": "global generators",
    "Own": "same stream",
    "Restless": "other streams",
    "Editor": "surroundings",
    "Wanderer": "surroundings",
    "Loud": "surroundings",
    "FirstStarsOnly": "order of stars",
    "Floor": "speeds",
    "RadiusInKm": "radii",
    "OneSided": "time",
    "Northern": "mirror",
    "Cartesian": "rotation about the centre",
    "Swapped": "bias",
    "FixedErrors": "twice the stars",
    "OtherG": "mass and circular velocity",
    "OfTheta": "components",
    "Retrograde": "drift",
    "Breaks": "few stars",
    "Fragile": "equal stars",
    "HalfSky": "one hemisphere",
    "LowByThree": "bias",
    "Narrow": "coverage",
    "Picky": "success",
    "ForgetsTheSun": "another Sun",
    "Partial": "labels",
    "BitReader": "units",
    "Deaf": "a NaN",
    "Swallows": "a NaN",
    "DividesByErrors": "errors of zero",
    "Bold": "errors above the dispersion",
    "Snoops": "after other estimators",
    "Hashed": "a fresh process",
    "HalfAsWide": "error ratio",
    "Inconsistent": "growing n",
}


@pytest.fixture(scope="module")
def sound():
    return check_estimator(Spread, workers=0)


def test_a_sound_estimator_passes_every_check(sound):
    assert sound.passed
    others = {each.name: each.status for each in sound.findings if each.status != "passed"}
    silent = ("drift", "mass and circular velocity")
    assert others == dict.fromkeys(silent, "not applicable"), words.text(sound)
    assert [finding.name for finding in sound.findings] == [c.name for c in checks("standard")]


def test_what_is_right_about_v_phi_passes():
    report = check_estimator(faults.OfPhi, level="quick", workers=0)
    assert report.passed, words.text(report)


@pytest.mark.parametrize(("fault", "name"), FOUND.items())
def test_a_fault_is_found_by_the_check_that_is_for_it(fault, name):
    report = check_estimator(getattr(faults, fault), level="quick", only=[name], workers=0)
    (finding,) = report.findings
    assert finding.status == "failed", finding
    assert not report.passed
    assert finding.repeat.startswith(f"check_estimator({fault}, None, only=['{name}']")


def test_errors_are_judged_whatever_the_bias_and_the_bias_as_it_grows():
    chosen = {"level": "quick", "workers": 0}
    (ratio,) = check_estimator(faults.LowByThree, only=["error ratio"], **chosen).findings
    assert ratio.status == "passed", ratio
    (growing,) = check_estimator(faults.Small, only=["growing n"], **chosen).findings
    assert growing.status == "passed", growing
    (bias,) = check_estimator(faults.Small, only=["bias"], **chosen).findings
    assert bias.status == "failed", bias


def test_what_breaks_an_assumption_is_measured_and_not_judged():
    (found,) = check_estimator(
        faults.Broken, level="quick", only=["violations"], workers=0
    ).findings
    assert found.status == "measured"
    assert found.repeat.startswith("check_estimator(Broken")
    far, near = found.figure.split("; ")
    assert re.fullmatch(
        r"distances too large: β at .* kpc -0\.\d+ ± 0\.\d+, .* times its scatter", far
    )
    assert near.startswith("another density: ")
    (silent,) = check_estimator(Spread, only=["violations"], workers=0).findings
    assert (silent.status, "violations" in silent.figure) == ("not applicable", True)
    elsewhere = {"mock": {}, "survey": {"n_stars": 3}, "name": "a", "title": "b", "realizations": 1}
    assert changed(elsewhere, {"survey.n_stars": 7})["survey"] == {"n_stars": 7}
    assert elsewhere["survey"] == {"n_stars": 3}


def test_what_is_measured_is_told_to_programs_too():
    report = check_estimator(faults.Broken, level="quick", only=["violations"], workers=0)
    assert report.passed
    assert words.text(report).startswith("measured violations: distances too large")
    assert json.loads(words.json_text(report))["counts"] == {"measured": 1}
    suite = ElementTree.fromstring(words.junit(report))
    assert (suite.get("failures"), suite.get("skipped")) == ("0", "0")
    assert suite.findtext("testcase/system-out").startswith("distances too large")


def test_time_and_memory_are_those_of_large_samples(monkeypatch):
    monkeypatch.setattr(robustness, "_SIZES", (1000, 10000))
    chosen = {"only": ["many stars", "cost"], "workers": 0}
    few = {"n_bootstrap": 20}
    many, cost = check_estimator(faults.Quadratic, few, **chosen).findings
    assert (many.status, cost.status) == ("failed", "measured")
    assert "time grows as n^" in many.figure
    told = r": \S+ s and \S+ MB of 1e\+03 stars, as n\^"
    assert re.fullmatch(rf"Quadratic#\w+{told}\S+; velocity-ellipsoid{told}\S+", cost.figure)
    assert check_estimator(Spread, only=["many stars"], workers=0).passed


def test_the_smallest_catalogue_that_shows_it_is_sought():
    report = check_estimator(faults.Floor, only=["speeds"], workers=0)
    assert "(so with 12 stars)" in report.findings[0].figure


def test_what_ends_its_process_or_never_ends_costs_its_own_check_only():
    report = check_estimator(faults.Leaves, only=["rows", "declarations"])
    assert [finding.status for finding in report.findings] == ["failed", "passed"]
    assert "the worker process ended" in report.findings[0].figure
    report = check_estimator(faults.Sleeps, only=["rows", "declarations"], timeout=3.0)
    assert [finding.status for finding in report.findings] == ["skipped", "passed"]
    assert report.passed


def test_failures_may_be_expected_and_must_then_come():
    report = check_estimator(faults.Candid, level="quick", only=["coverage", "bias"], workers=0)
    assert [finding.status for finding in report.findings] == ["expected", "passed"]
    assert report.passed
    report = check_estimator(faults.Modest, only=["rows"], workers=0)
    assert report.findings[0].figure.startswith("was expected to fail (has no rows), and passes")
    assert not report.passed


def test_what_only_a_higher_level_shows_may_pass_below_it():
    for level, status in (("quick", "passed"), ("standard", "passed"), ("thorough", "failed")):
        report = check_estimator(faults.Patient, level=level, only=["rows"], workers=0)
        assert [finding.status for finding in report.findings] == [status]


def test_what_is_declared_is_sought_at_a_larger_rate(monkeypatch):
    """A little too narrow, which a hundred mocks would let pass: the failure that is declared is found even so."""
    asked = []

    def heard(p, alpha):
        asked.append(alpha)
        return np.zeros(len(p), dtype=bool)

    monkeypatch.setattr(statistics.significance, "holm", heard)
    for estimator in (faults.Candid, faults.Narrow):
        check_estimator(estimator, level="quick", only=["coverage"], workers=0)
    assert asked == [0.01, ALPHA / statistics.JUDGED]


def test_below_the_level_that_shows_it_a_failure_is_none_that_is_known():
    class Early(faults.Narrow):
        expected: ClassVar[dict] = {"coverage": ("its errors are known to be small", "thorough")}

    report = check_estimator(Early, level="quick", only=["coverage"], workers=0)
    assert [finding.status for finding in report.findings] == ["failed"]


@pytest.mark.parametrize(
    ("estimator", "word"), [(faults.Misspelt, "coverage"), (faults.NoLevel, "thorough")]
)
def test_what_is_expected_is_a_check_at_a_level(estimator, word):
    report = check_estimator(estimator, only=["declarations"], workers=0)
    assert not report.passed
    assert word in report.findings[0].figure


def test_radii_that_are_defaults_are_scaled_with_the_stars():
    report = check_estimator(faults.InAShell, only=["radii"], workers=0)
    assert report.passed, report.findings[0].figure
    settings = {"r_range": [12.0, 30.0]}
    report = check_estimator(faults.InAShell, settings, only=["radii"], workers=0)
    assert report.passed, report.findings[0].figure


def test_without_a_halo_it_is_not_judged_over_mocks():
    @dataclass(frozen=True)
    class Homeless(Spread):
        ideal: ClassVar[dict] = {}

    report = check_estimator(Homeless, level="quick", only=["bias", "success"], workers=0)
    assert {finding.status for finding in report.findings} == {"not applicable"}
    scenario = {
        "name": "its-halo",
        "title": "its halo",
        "realizations": 1,
        "estimators": [{"kind": "velocity-ellipsoid", "bins": [5.0, 60.0]}],
        **spread.IDEAL,
    }
    scenario["survey"] = {"preset": "perfect", **scenario["survey"]}
    report = check_estimator(
        Homeless, scenario=scenario, level="quick", only=["success"], workers=0
    )
    assert [finding.status for finding in report.findings] == ["passed"]


def test_runs_of_mocks_leave_nothing_on_the_disk(tmp_path, monkeypatch):
    """Also of a worker, which is ended and cleans nothing up."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    report = check_estimator(Spread, level="quick", only=["success"])
    assert [finding.status for finding in report.findings] == ["passed"]
    assert not [*tmp_path.glob("haloassay-check-*")]


def test_an_estimator_that_edits_its_stars_spoils_no_other_check():
    subject = Subject({"kind": "velocity-ellipsoid", "bins": [5.0, 60.0]}, {}, "quick", 1, "")
    subject.stars(20)["x"][:] = 0.0
    assert (subject.stars(20)["x"] != 0.0).all()


def test_the_command_that_repeats_a_check_names_its_scenario_and_quotes_its_settings():
    settings = {"bins": [5.0, 60.0], "min_stars": 20}
    chosen = {"scenario": "quickstart", "only": ["declarations"], "workers": 0}
    (finding,) = check_estimator("velocity-ellipsoid", settings, **chosen).findings
    words = shlex.split(finding.repeat)
    assert words[:3] == ["haloassay", "check", "velocity-ellipsoid"]
    assert words[words.index("--scenario") + 1] == "quickstart"
    assert "min_stars=20" in words


def test_reports_for_programs_say_the_same(sound):
    told = json.loads(words.json_text(sound))
    assert told["passed"]
    assert told["counts"] == {"passed": len(sound.findings) - 2, "not applicable": 2}
    suite = ElementTree.fromstring(words.junit(sound))
    assert int(suite.get("tests")) == len(suite) == len(sound.findings)
    assert (suite.get("failures"), suite.get("skipped")) == ("0", "2")
    bad = check_estimator(faults.Loud, only=["surroundings"], workers=0)
    assert ElementTree.fromstring(words.junit(bad)).find("testcase/failure") is not None
    assert "again: check_estimator(Loud" in words.text(bad)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"estimator": "jeans"}, "unknown estimator 'jeans'"),
        ({"estimator": "no.such:Class"}, "cannot be imported"),
        ({"estimator": "jeans-3d", "settings": {"alpha": "steep"}}, "alpha"),
        ({"estimator": "jeans-3d", "only": ["bios"]}, "unknown check 'bios'; did you mean 'bias'"),
        ({"estimator": "jeans-3d", "level": "fast"}, "unknown level 'fast'"),
        ({"estimator": "jeans-3d", "scenario": "quickstrat"}, "quickstart"),
    ],
)
def test_what_cannot_be_checked_is_one_line(arguments, said):
    with pytest.raises(InputError, match=said) as caught:
        check_estimator(**arguments, workers=0)
    assert "\n" not in str(caught.value)
