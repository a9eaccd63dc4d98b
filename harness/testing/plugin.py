"""pytest plug-in: halos and catalogues as fixtures, and a seed and a rate of false alarms for the whole session.

It is loaded by every session of an environment that has haloassay, so it imports nothing heavy before a test asks.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest

from haloassay.testing.rates import SESSION, Session

if TYPE_CHECKING:
    from haloassay.engine.catalogues import MockCatalogue
    from haloassay.testing.halos import Halo

_MARK: Final = "haloassay"
_OUTER: Final = pytest.StashKey[Session]()
_ARGUMENTS: Final = ("scenario", "n", "realization")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the seed."""
    parser.getgroup("haloassay").addoption(
        "--haloassay-seed",
        type=int,
        default=SESSION.seed,
        metavar="SEED",
        help=f"seed of the mocks of fixtures and checks, to hunt for what holds at one seed only [{SESSION.seed}]",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Say what the mark means, and begin a session with its seed; it may run within another."""
    config.stash[_OUTER] = replace(SESSION)
    SESSION.seed = config.getoption("haloassay_seed")
    config.addinivalue_line(
        "markers",
        f"{_MARK}(scenario=None, n=None, realization=0): halo of the fixtures halo, mock_catalogue and"
        " observed_catalogue, stars of the latter two, and which of its catalogues",
    )


def pytest_report_header() -> str | None:
    """Name a seed that is not the usual one."""
    return f"haloassay: seed {SESSION.seed}" if SESSION.seed != Session().seed else None


def pytest_collection_finish(session: pytest.Session) -> None:
    """Count the tests that share the rate of false alarms."""
    SESSION.tests = len(session.items)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Go on with the session that this one ran within, if with any."""
    outer = config.stash[_OUTER]
    SESSION.seed, SESSION.tests, SESSION.made = outer.seed, outer.tests, outer.made


def pytest_runtest_setup() -> None:
    """Let a test begin its assertions anew."""
    SESSION.begin()


@pytest.fixture(scope="session")
def haloassay_seed() -> int:
    """Seed of all mocks of the session: that of ``--haloassay-seed``."""
    return SESSION.seed


@pytest.fixture
def halo(request: pytest.FixtureRequest) -> Halo:
    """Halo of known truth, an equilibrium: that of the scenario in the mark, else a round one."""
    from haloassay.testing.halos import halo_of

    return halo_of(_marked(request).get("scenario"), SESSION.seed)


@pytest.fixture
def mock_catalogue(request: pytest.FixtureRequest, halo: Halo) -> MockCatalogue:
    """Stars of the halo as they are, all over the sky, and the truth."""
    n, realization = _asked(request)
    return halo.catalogue(realization=realization, **({} if n is None else {"n": n}))


@pytest.fixture
def observed_catalogue(request: pytest.FixtureRequest, halo: Halo) -> MockCatalogue:
    """Stars of the halo as the survey sees them, the same as they are, and the truth."""
    n, realization = _asked(request)
    request.node.add_report_section("setup", "haloassay scenario", halo.told(n, realization))
    return halo.observed(n, realization)


def _asked(request: pytest.FixtureRequest) -> tuple[int | None, int]:
    marked = _marked(request)
    return marked.get("n"), int(marked.get("realization", 0))


def _marked(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Arguments of the mark: of the test, else of its class or module."""
    mark = request.node.get_closest_marker(_MARK)
    if mark is None:
        return {}
    wrong = [repr(x) for x in mark.args] + [key for key in mark.kwargs if key not in _ARGUMENTS]
    if wrong:
        pytest.fail(f"mark {_MARK}: takes {', '.join(_ARGUMENTS)} by name (got {', '.join(wrong)})")
    return dict(mark.kwargs)
