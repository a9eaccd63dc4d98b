"""What a run will cost, by the catalogues that were timed."""

import pytest

from haloassay.engine import pilot
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
