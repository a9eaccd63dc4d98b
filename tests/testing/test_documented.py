"""The page that takes a newcomer from an estimator to CI: its code is run as it is printed."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from haloassay.testing import check_estimator
from haloassay.testing.check import checks

pytestmark = pytest.mark.long
pytest_plugins = ["pytester"]

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "checks.md"


@pytest.fixture
def documented(tmp_path, monkeypatch):
    """Module of the page, with the halo that its third step adds."""
    code, halo, broken = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[:3]
    (tmp_path / "my_mass.py").write_text(
        code.replace("    n_bootstrap", f"{halo}{broken}    n_bootstrap", 1)
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield "my_mass:Spread"
    sys.modules.pop("my_mass", None)


def test_the_estimator_of_the_page_passes_every_check(documented):
    report = check_estimator(documented, level="quick", workers=0)
    others = {each.name: each.status for each in report.findings if each.status != "passed"}
    silent = ("drift", "mass and circular velocity")
    assert others == dict.fromkeys(silent, "not applicable")
    report = check_estimator(documented, only=["bias", "coverage", "ranks"], workers=0)
    assert report.passed, report
    report = check_estimator(documented, level="quick", only=["violations"], workers=0)
    assert report.findings[0].status == "measured"
    assert "distance errors of 30 per cent: σ_r" in report.findings[0].figure


def test_the_tests_of_the_page_pass(documented, pytester):
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    tests = "\n".join(block for block in blocks if "testing" in block or "def test_" in block)
    pytester.makepyfile(tests)
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    outcomes = result.parseoutcomes()
    assert outcomes.keys() <= {"passed", "skipped"}
    assert outcomes["passed"] > 40


def test_the_table_of_the_page_is_that_of_the_checks():
    for each in checks():
        assert f"| {each.name} | {each.sentence} | {each.level} |" in PAGE.read_text()
