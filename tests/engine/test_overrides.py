"""Settings that are changed from outside, by the paths that factors have."""

import pytest
from small_scenario import SCENARIO

from haloassay.base.errors import InputError
from haloassay.engine.progress import Silent
from haloassay.engine.runner import run
from haloassay.planning.overrides import overridden
from haloassay.planning.scenario import load_scenario


def test_a_value_goes_where_its_path_says():
    before = load_scenario("quickstart")
    settings = {
        "survey.n_stars": 500,
        "survey.footprint.b_min": 20.0,
        "mock.potential.0.m200": 1.5e12,
        "estimators.*.bins": [5.0, 30.0],
        "estimators.jeans-3d.nfw.h0": 70.0,
    }
    after = overridden(before, settings)
    assert after.survey["n_stars"] == 500
    assert after.survey["footprint"]["b_min"] == 20.0
    assert after.mock["potential"][0]["m200"] == 1.5e12
    assert [entry.spec["bins"] for entry in after.estimators] == [[5.0, 30.0]] * 3
    assert after.estimators[1].spec["nfw"]["h0"] == 70.0
    assert before.to_dict() == load_scenario("quickstart").to_dict()
    same = {"mock.potential.0.m200": 0.8e12}
    assert overridden(before, same).to_dict() == before.to_dict()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"n_stars": 5}, "set n_stars: a path starts with mock., survey."),
        ({"mock.potential.7.m200": 1e12}, "the path does not exist"),
        ({"estimators.jeans.bins": [1.0]}, "no estimator of this label"),
    ],
)
def test_a_path_that_leads_nowhere_is_refused(settings, said):
    with pytest.raises(InputError, match=said):
        overridden(load_scenario("quickstart"), settings)


def test_a_factor_of_every_cell_is_not_set_in_vain(scenario):
    assert overridden(scenario, {"survey.distance_scale": 1.2}).survey["distance_scale"] == 1.2
    full = scenario.revise(matrix={**scenario.matrix.model_dump(), "design": ["full"]})
    with pytest.raises(InputError, match="is a factor of the matrix"):
        overridden(full, {"survey.distance_scale": 1.2})


def test_run_sees_the_setting_and_refuses_a_misspelt_one(tmp_path):
    values = {**SCENARIO, "realizations": 1, "matrix": {}}
    few = {"survey.n_stars": 33}
    results = run(values, tmp_path / "few", workers=0, progress=Silent(), settings=few)
    assert results.frame("runs")["n_stars"].unique() == [33]
    with pytest.raises(InputError, match="unknown setting 'n_star'; did you mean 'n_stars'"):
        run(values, tmp_path / "none", workers=0, progress=Silent(), settings={"survey.n_star": 3})
