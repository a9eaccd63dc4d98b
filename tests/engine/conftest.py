"""A small scenario that runs in a fraction of a second, and where its estimators are found."""

import copy
import os
from pathlib import Path

import pytest
from small_scenario import SCENARIO

from haloassay.engine.progress import Silent
from haloassay.engine.runner import run
from haloassay.plan.scenario import make_scenario


@pytest.fixture
def values():
    """Plain values of the small scenario, to be changed at will."""
    return copy.deepcopy(SCENARIO)


@pytest.fixture
def scenario(values):
    """The small scenario."""
    return make_scenario(values)


@pytest.fixture
def environment():
    """Environment of a subprocess that finds the estimators of these tests."""
    here = Path(__file__).parent
    folders = [str(here), str(here.parent), os.environ.get("PYTHONPATH")]
    path = os.pathsep.join(filter(None, folders))
    return {**os.environ, "PYTHONPATH": path}


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """Results of the small scenario with 8 realisations, run in one process without disturbance."""
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    return run(make_scenario(SCENARIO), out, realizations=8, workers=1, progress=Silent())
