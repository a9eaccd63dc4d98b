"""What a run will cost, by the catalogues that were timed."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from haloassay.engine import pilot
from haloassay.engine.progress import Silent
from haloassay.planning.cells import SampledCell
from haloassay.planning.plan import make_plan
from haloassay.planning.scenario import make_scenario

#: Seconds of a catalogue, and of the first one, which makes the mock; bytes of its rows.
EACH, FIRST, SIZE = {False: 2.0, True: 7.0}, 500.0, 100.0


@pytest.fixture
def timed(monkeypatch, values):
    """Cost of the small scenario with another matrix, if catalogues took so long."""

    def catalogue(plan, cell):
        return pilot.Cost(EACH[isinstance(cell, SampledCell)], SIZE), FIRST

    monkeypatch.setattr(pilot, "_catalogue", catalogue)

    def cost(takes_long=lambda mock: False, **matrix):
        values["matrix"] = matrix
        monkeypatch.setattr(pilot, "_long", lambda cells: set(filter(takes_long, betas(cells))))
        return pilot.timed(make_plan(make_scenario({**values, "realizations": 10})))

    return cost


def betas(cells):
    return {cell.mock["beta"]["beta"] for cell in cells}


BETA = {
    "label": "beta",
    "path": "mock.beta.beta",
    "levels": [0.1, 0.5],
    "prior": {"kind": "uniform", "lo": 0.0, "hi": 0.6},
}


def test_all_cells_with_levels_count(timed):
    cost = timed(factor=[BETA])
    assert (cost.seconds, cost.size) == (3 * 10 * EACH[False], 3 * 10 * SIZE)


def test_catalogues_with_mocks_of_their_own_count_as_long_as_they_take(timed):
    cost = timed(factor=[BETA], design=["one-at-a-time", "joint"], points=8)
    # the base has as many realisations as the points beside it
    levels, points = 2 * 10 + 16, 16
    assert cost.seconds == levels * EACH[False] + points * EACH[True]
    assert cost.size == (levels + points) * SIZE


def test_mocks_that_take_long_count_once_each(timed):
    cost = timed(lambda beta: beta > 0.2, factor=[BETA])
    assert cost.seconds == 3 * 10 * EACH[False] + 2 * FIRST
    cost = timed(lambda beta: True, factor=[BETA], design="joint", points=8)
    assert cost.seconds == 16 * EACH[False] + 16 * EACH[True] + FIRST


def test_what_cannot_be_timed_says_why(monkeypatch, values):
    monkeypatch.setattr(pilot, "_catalogue", lambda plan, cell: "no catalogue came back")
    assert pilot.timed(make_plan(make_scenario(values))) == "no catalogue came back"


@pytest.mark.parametrize(
    ("points", "times", "each"),
    [
        # the median of all waits but the first, which has the start of the process in it
        (None, [0.0, 50.0, 51.0, 53.0, 63.0], 2.0),
        # replicates share a mock, so the mean
        (8, [0.0, 50.0, 51.0, 58.0, 59.0], 3.0),
        (1, [0.0, 50.0, 58.0], 8.0),
    ],
)
def test_a_catalogue_takes_what_those_after_the_first_take(
    monkeypatch, values, points, times, each
):
    clock = iter(times)
    monkeypatch.setattr(pilot, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    outcome = SimpleNamespace(rows=[None] * 3)
    result = SimpleNamespace(outcomes=[outcome, outcome])
    monkeypatch.setattr(pilot, "execute", lambda tasks, *given: (result for _ in tasks))
    values["matrix"] = {"factor": [BETA]}
    if points:
        values["matrix"] |= {"design": "joint", "points": points}
    plan = make_plan(make_scenario({**values, "realizations": 10}))
    cost, first = pilot._catalogue(plan, plan.cells[-1])
    assert (cost.seconds, first) == (each, 50.0)
    assert cost.size == 6 * 55 + 2 * 100


class Piloted:
    """Results of so many realisations, whose errors scatter by 0.4."""

    def __init__(self, n):
        self.n = n

    def table(self):
        named = {"cell": "base", "estimator": "good", "quantity": "m200", "n": self.n}
        return pd.DataFrame([{**named, "bias_mcse": 0.4 / np.sqrt(self.n)}])


@pytest.mark.parametrize(("limit", "n"), [(0.02, 400), (0.2, 30), (1e-4, 0)])
def test_a_pilot_foretells_how_many_realisations_a_rule_asks_for(monkeypatch, scenario, limit, n):
    """(0.4 / 0.02)^2 of them; never fewer than the first look of a run has."""
    clock = iter([100.0, 108.0])
    monkeypatch.setattr(pilot, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    monkeypatch.setattr(pilot, "run", lambda scenario, out, k, workers, progress: Piloted(k))
    found = pilot.needed(scenario, f"bias_mcse < {limit}", 16, 1, Silent())
    # steps of a pilot's number grow by less than two per cent
    assert n <= found.realizations <= 1.02 * n
    assert bool(found.unmet) == (n == 0)
    if n:
        assert found.catalogues == 2 * found.realizations
        assert found.seconds == pytest.approx(8.0 * found.realizations / 16)
