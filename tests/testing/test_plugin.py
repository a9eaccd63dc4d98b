"""The plug-in of pytest, as a session of somebody else's sees it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

import haloassay
from haloassay.testing import parametrize
from haloassay.testing.check import Finding
from haloassay.testing.rates import ALPHA, SESSION, Session

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.long


@pytest.fixture(scope="module", autouse=True)
def loaded():
    """What a session within this one is the first to load is unloaded after it, and numpy cannot be loaded twice."""
    haloassay.mock("quickstart", 1)


FIXTURES = """
import numpy as np
import pytest

def test_halo(halo, mock_catalogue, observed_catalogue):
    assert len(mock_catalogue.catalogue) == len(observed_catalogue.catalogue) == 500
    np.testing.assert_array_equal(mock_catalogue.stars.position, observed_catalogue.stars.position)
    assert halo.truth.to_dict([20.0])["m200"] == pytest.approx(1e12)

@pytest.mark.haloassay(scenario="bird2022-bhb", n=50, realization=3)
class TestMarked:
    def test_scenario(self, observed_catalogue, mock_catalogue, halo):
        assert len(observed_catalogue.catalogue) == len(mock_catalogue.catalogue) == 50
        other = halo.observed(50, 2).catalogue
        assert not np.array_equal(other["distance"], observed_catalogue.catalogue["distance"])
"""


def test_fixtures_give_halos_and_stars(pytester):
    pytester.makepyfile(FIXTURES)
    pytester.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(passed=2)


def test_a_test_that_fails_says_how_its_catalogue_is_made(pytester):
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.haloassay(n=20)
        def test_one(observed_catalogue):
            assert False

        @pytest.mark.haloassay(scenario="quickstart", n=20)
        def test_two(observed_catalogue):
            assert False

        @pytest.mark.haloassay(200)
        def test_three(halo):
            pass

        @pytest.mark.haloassay(stars=200)
        def test_four(halo):
            pass
        """
    )
    before = replace(SESSION)
    result = pytester.runpytest_inprocess("--haloassay-seed", "7")
    assert before == SESSION
    result.assert_outcomes(failed=2, errors=2)
    text = result.stdout.str()
    for line in (
        "haloassay: seed 7",
        "mark haloassay: takes scenario, n, realization by name (got 200)",
        "mark haloassay: takes scenario, n, realization by name (got stars)",
        'kind = "equilibrium"',
        "haloassay mock scenario.toml --out stars.ecsv -n 20 --seed 7 --realization 0",
        "haloassay mock quickstart --out stars.ecsv -n 20 --seed 7 --realization 0",
    ):
        assert line in text


CHECKS = """
from dataclasses import dataclass
from typing import ClassVar

import faults
import spread
from haloassay.testing import parametrize_with_checks

@dataclass(frozen=True)
class Modest(spread.Spread):
    expected: ClassVar[dict] = {"order of stars": "takes the first"}

    def velocities(self, catalogue):
        return catalogue.spherical_velocity[: len(catalogue) // 2]

@dataclass(frozen=True)
class Homeless(spread.Spread):
    ideal: ClassVar[dict] = {}

@parametrize_with_checks(
    [spread.Spread, (spread.Spread, {"n_bootstrap": 100}), Modest, Homeless, faults.Global],
    level="quick", only=["order of stars", "success", "global generators"],
)
def test_estimators(check):
    check()
"""


def test_checks_are_items_of_their_own(pytester):
    pytester.makepyfile(CHECKS)
    result = pytester.runpytest_inprocess("-rsxf")
    result.assert_outcomes(passed=12, xfailed=1, skipped=1, failed=1)
    text = result.stdout.str()
    assert "takes the first" in text
    assert "not applicable: states no halo" in text
    assert "test_estimators[Global-global generators]" in text
    assert "again: check_estimator(Global, None, only=['global generators']" in text


def test_a_check_has_the_rate_of_its_session(monkeypatch):
    given = []

    def finding(subject, name):
        given.append((subject.alpha, subject.seed))
        return Finding(name, "", "passed", "", 0.0, "")

    monkeypatch.setattr(parametrize, "finding_of", finding)
    monkeypatch.setattr(parametrize, "SESSION", Session(seed=3, tests=20))
    (param,) = parametrize.parametrize_with_checks(["tracer-mass"], only=["bias"]).args[1]
    param.values[0]()
    assert given == [(pytest.approx(ALPHA / 40), 3)]


def test_the_rate_of_a_session_is_shared_by_its_tests(pytester):
    pytester.makepyfile(
        """
        import pytest
        from haloassay.testing.rates import ALPHA, SESSION

        @pytest.mark.parametrize("k", range(5))
        def test_one(k):
            assert SESSION.tests == 5
            assert [SESSION.rate() for _ in range(2)] == pytest.approx([ALPHA / 10, ALPHA / 30])
        """
    )
    pytester.runpytest_subprocess("-p", "no:randomly").assert_outcomes(passed=5)


def test_a_session_that_does_not_ask_for_it_imports_nothing(pytester):
    heavy = ("numpy", "scipy", "astropy", "hypothesis.strategies", "haloassay.engine")
    pytester.makepyfile(
        f"""
        import sys

        def test_nothing():
            assert "haloassay.testing.plugin" in sys.modules
            assert not [name for name in {heavy} if name in sys.modules]
        """
    )
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:hypothesispytest", str(pytester.path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 passed" in run.stdout, run.stdout
