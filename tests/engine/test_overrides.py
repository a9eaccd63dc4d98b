"""Settings that are changed from outside, by the paths that factors have."""

import pytest
from small_scenario import SCENARIO

from haloassay.base.errors import InputError
from haloassay.engine.progress import Silent
from haloassay.engine.runner import run
from haloassay.planning.overrides import narrowed, overridden
from haloassay.planning.scenario import as_scenario, load_scenario


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
        ({"n_stars": 5}, "set n_stars: a path is mock or survey, or starts with mock., survey."),
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


LEVELS = [
    {"label": "cusp", "set": {"mock.beta": {"kind": "constant", "beta": 0.3}}},
    {"label": "other", "set": {"mock": {**SCENARIO["mock"], "r_range": [4.0, 90.0]}}},
]
FULL = {
    **SCENARIO,
    "realizations": 1,
    "matrix": {
        "design": "full",
        "factors": {"survey.n_stars": [30, 40]},
        "factor": [{"label": "halo", "levels": LEVELS}],
        "exclude": [{"name": "none", "where": {"halo": "cusp", "survey.n_stars": 40}}],
    },
}


def test_a_level_may_be_a_whole_mock(tmp_path):
    results = run(FULL, tmp_path / "whole", workers=0, progress=Silent())
    assert list(results.cells["cell"]) == [
        "survey.n_stars=30, halo=cusp",
        "survey.n_stars=30, halo=other",
        "survey.n_stars=40, halo=other",
    ]
    alone = {**SCENARIO, "realizations": 1, "matrix": {}, "mock": LEVELS[1]["set"]["mock"]}
    few = {"survey.n_stars": 30}
    wanted = run(alone, tmp_path / "alone", workers=0, progress=Silent(), settings=few)
    rows = results.frame("estimates").set_index("cell").loc[["survey.n_stars=30, halo=other"]]
    columns = ["value", "truth", "lo68"]
    assert rows[columns].to_numpy() == pytest.approx(wanted.frame("estimates")[columns].to_numpy())


def test_a_part_of_the_cells_is_run_and_the_rest_is_added(tmp_path):
    some = run(FULL, tmp_path, workers=0, progress=Silent(), only={"survey.n_stars": [40]})
    assert list(some.cells["cell"]) == ["survey.n_stars=40, halo=other"]
    before = some.frame("estimates")
    whole = run(FULL, tmp_path, workers=0, progress=Silent())
    after = whole.frame("estimates")
    kept = after[after["cell"] == "survey.n_stars=40, halo=other"].reset_index(drop=True)
    assert before.equals(kept[before.columns])
    seconds = whole.frame("runs").set_index(["cell", "estimator"])["seconds"]
    same = some.frame("runs").set_index(["cell", "estimator"])["seconds"]
    assert seconds.loc[same.index].equals(same)  # not run again


def test_parts_follow_each_other_in_one_folder(tmp_path):
    def part(values=FULL, **only):
        return run(values, tmp_path, workers=0, progress=Silent(), **only)

    part(only={"survey.n_stars": [40]})
    both = part(only={"halo": ["cusp"]})
    assert list(both.cells["cell"]) == [
        "survey.n_stars=30, halo=cusp",
        "survey.n_stars=40, halo=other",
    ]
    assert both.scenario["matrix"]["factors"] == {"survey.n_stars": [30, 40]}
    assert set(both.frame("runs")["cell"]) == set(both.cells["cell"])
    before = both.frame("runs").set_index(["cell", "estimator"])["seconds"]
    again = part(only={"survey.n_stars": [40]}, realizations=2)
    assert list(again.cells["cell"]) == list(both.cells["cell"])
    assert len(again.frame("runs")) == len(before) * 3 // 2
    whole = part().frame("runs")
    after = whole[whole["realization"] == 0].set_index(["cell", "estimator"])["seconds"]
    assert after.loc[before.index].equals(before)  # not run again
    others = {
        **FULL,
        "matrix": {**FULL["matrix"], "factors": {"survey.n_stars": [50]}, "exclude": []},
    }
    with pytest.raises(InputError, match="holds results of another scenario"):
        part(others, only={"halo": ["cusp"]})


@pytest.mark.parametrize("level", ["800000000000.0", "8E11", 8e11, 800_000_000_000])
def test_levels_are_the_same_numbers_however_they_are_written(level):
    factors = {"mock.potential.m200": [8e11, 1.2e12], "survey.n_stars": [30, 40]}
    exclude = [{"name": "few", "where": {"mock.potential.m200": 8e11, "survey.n_stars": 40}}]
    values = {**SCENARIO, "matrix": {"factors": factors, "exclude": exclude, "design": "full"}}
    kept = narrowed(
        as_scenario(values), {"mock.potential.m200": [level], "survey.n_stars": ["4e1"]}
    )
    assert kept.matrix.factors == {"mock.potential.m200": [8e11], "survey.n_stars": [40]}
    assert len(kept.matrix.exclude) == 1
    none = narrowed(as_scenario(values), {"mock.potential.m200": ["1.2e12"]})
    assert not none.matrix.exclude


@pytest.mark.parametrize(
    ("only", "said"),
    [
        ({"halos": ["cusp"]}, "unknown factor 'halos'; did you mean 'halo'"),
        ({"halo": ["cups"]}, "unknown level of halo 'cups'; did you mean 'cusp'"),
    ],
)
def test_levels_that_are_none_are_refused(only, said):
    with pytest.raises(InputError, match=said):
        narrowed(as_scenario(FULL), only)


def test_levels_of_a_prior_belong_together():
    priors = {"path": "mock.beta.beta", "prior": {"kind": "normal", "mean": 0.2, "sd": 0.1}}
    values = {**SCENARIO, "matrix": {"factor": [{"label": "beta", **priors}]}}
    with pytest.raises(InputError, match="only beta: has a prior"):
        narrowed(as_scenario(values), {"beta": [0.3]})
