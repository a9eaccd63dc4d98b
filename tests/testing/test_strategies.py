"""Strategies: what they draw exists, is what it says, and shrinks to what a reader understands."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

import haloassay
from haloassay.planning.scenario import make_scenario
from haloassay.testing import strategies
from haloassay.testing.strategies import Damaged

SIMPLEST = {
    strategies.potentials: {"kind": "nfw", "m200": 1e12, "c": 12.0},
    strategies.densities: {"kind": "power-law", "slope": -3.5},
    strategies.betas: {"kind": "constant", "beta": 0.0},
    strategies.shapes: {"axis_ratios": [1.0, 1.0], "tilt": [0.0, 0.0, 0.0]},
    strategies.lmcs: {"mass": 1.5e11, "time": 2.0},
}


@pytest.mark.parametrize("strategy", SIMPLEST)
def test_parts_shrink_to_the_simplest(strategy):
    assert find(strategy(), lambda _: True) == SIMPLEST[strategy]


def test_catalogues_shrink_to_one_star_of_a_round_halo():
    found = find(strategies.catalogues(), lambda _: True)
    assert len(found.catalogue) == len(found.stars) == 1
    assert find(strategies.catalogues(5), lambda m: len(m.catalogue) > 40).stars.r.shape == (41,)


@settings(max_examples=200)
@given(strategies.scenarios())
def test_scenarios_are_read(scenario):
    assert make_scenario(scenario, "drawn").to_dict()["realizations"] <= 3


@pytest.mark.long
@settings(max_examples=15, deadline=None)
@given(
    st.one_of(strategies.equilibria(), strategies.equilibria(several=True)), st.integers(0, 2**31)
)
def test_equilibria_exist(mock, seed):
    scenario = strategies.check_scenario(mock, {"n_stars": 20}, seed=seed)
    made = haloassay.mock(scenario)
    assert len(made.stars) == 20
    assert ((made.stars.r >= 5.0) & (made.stars.r <= 60.0)).all()


@pytest.mark.slow
@settings(max_examples=1000, deadline=None)
@given(strategies.equilibria())
def test_all_equilibria_exist(mock):
    haloassay.mock(strategies.check_scenario(mock, {"n_stars": 20}))


@settings(max_examples=3, deadline=None, phases=[Phase.generate])
@given(strategies.equilibria(shape=strategies.shapes(), lmc=strategies.lmcs()))
def test_shapes_and_clouds_are_those_of_scenarios(mock):
    make_scenario(strategies.check_scenario(mock, {"n_stars": 20}), "drawn")


@settings(max_examples=50)
@given(strategies.catalogues(min_stars=2))
def test_catalogues_are_exact(made):
    np.testing.assert_allclose(made.catalogue.r, made.stars.r, rtol=1e-9)


@settings(max_examples=50)
@given(strategies.observed_catalogues(min_stars=20))
def test_observed_catalogues_have_errors(made):
    true = np.linalg.norm(
        made.stars.position - [made.catalogue.sun.x, 0, made.catalogue.sun.z], axis=1
    )
    pulls = (made.catalogue["distance"] / true - 1.0) / 0.1
    assert 0.1 < pulls.std() < 10.0
    assert np.abs(pulls).max() < 6.0


@settings(max_examples=30)
@given(st.data(), st.booleans())
def test_stars_are_the_first_of_a_realisation(data, observed):
    drawn = strategies.observed_catalogues if observed else strategies.catalogues
    made = data.draw(drawn())
    np.testing.assert_array_equal(made.stars.number, np.arange(len(made.stars)))


def test_the_command_that_is_printed_makes_the_catalogue(tmp_path):
    halo = strategies._halo(1)
    for exact in (True, False):
        file, command = halo.told(7, 2, exact).rstrip().rsplit("\n", 1)
        (tmp_path / "scenario.toml").write_text(file)
        words = command.split()
        assert words[:3] == ["haloassay", "mock", "scenario.toml"]
        options = dict(zip(words[3::2], words[4::2], strict=True))
        again = haloassay.mock(
            tmp_path / "scenario.toml",
            int(options["-n"]),
            int(options["--seed"]),
            int(options["--realization"]),
        ).catalogue
        drawn = (halo.catalogue if exact else halo.observed)(300, 2).catalogue
        for name, values in again.columns.items():
            np.testing.assert_array_equal(values, drawn[name][:7])


@settings(max_examples=100)
@given(strategies.damaged_catalogues())
def test_damaged_catalogues_are_refused(damaged):
    assert isinstance(damaged, Damaged)
    with pytest.raises(haloassay.InputError):
        haloassay.read_catalogue(damaged.columns)


def test_each_defect_is_drawn():
    drawn = set()

    @settings(max_examples=200, database=None)
    @given(strategies.damaged_catalogues())
    def note(damaged):
        drawn.add(damaged.defect)

    note()
    assert drawn == {*(defect[0] for defect in strategies._DEFECTS), "a star stands there twice"}


@settings(max_examples=200)
@given(st.sampled_from(["sigma_r", "beta"]).flatmap(strategies.estimates))
def test_estimates_keep_the_contract(estimates):
    for row in estimates:
        if row.note:
            assert np.isnan(row.value)
        elif np.isfinite(row.lo68):
            assert row.lo95 <= row.lo68 <= row.value <= row.hi68 <= row.hi95
