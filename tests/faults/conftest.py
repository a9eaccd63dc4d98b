"""A small exact halo, and the harness at work on it in this process, where faults can be planted."""

import copy

import pytest
from exact_halo import SCENARIO

from haloassay.engine.task import Task, run_task
from haloassay.planning.plan import make_plan
from haloassay.planning.scenario import make_scenario
from haloassay.results.results import Results
from haloassay.results.store import Store


@pytest.fixture
def values():
    """Plain values of the scenario, to be changed at will."""
    return copy.deepcopy(SCENARIO)


@pytest.fixture(scope="session")
def assay(tmp_path_factory):
    """Run a scenario as `run` does, but in this process; return its results."""

    def run(values, realizations):
        plan = make_plan(make_scenario({**values, "realizations": realizations}))
        out = tmp_path_factory.mktemp("assay") / "out"
        with Store.open(out, plan) as store:
            for realization in range(realizations):
                for cell in plan.cells:
                    task = Task(cell, realization, plan.scenario.seed, cell.methods)
                    store.checkpoint(run_task(task))
        return Results(out)

    return run
