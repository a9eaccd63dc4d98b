"""A small scenario that runs in a fraction of a second, and where its estimators are found."""

import copy
import os
from pathlib import Path

import pytest
from made_up_results import N
from small_scenario import SCENARIO

from haloassay.engine.progress import Silent
from haloassay.engine.runner import run
from haloassay.planning.plan import make_plan
from haloassay.planning.scenario import make_scenario


@pytest.fixture
def values():
    """Plain values of the small scenario, to be changed at will."""
    return copy.deepcopy(SCENARIO)


@pytest.fixture
def scenario(values):
    """The small scenario."""
    return make_scenario(values)


@pytest.fixture
def plan(values):
    """Plan of the small scenario with a second estimator, in as many realisations as there are made-up results."""
    values["estimators"].append({"kind": "plugins:Good", "label": "other"})
    return make_plan(make_scenario({**values, "realizations": N}))


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
    return run(make_scenario(SCENARIO), out, realizations=8, workers=0, progress=Silent())
