"""`init` writes scenarios that run and say what they hold; `--dry-run` shows all of one, and what looks like a slip."""

import re
import tomllib

import pytest
from packaged import NAMES

import haloassay
from haloassay.base.errors import InputError
from haloassay.planning.anatomy import meanings, settings_of, with_defaults
from haloassay.planning.expansion import cells
from haloassay.planning.plan import make_plan
from haloassay.planning.scenario import load_scenario, make_scenario
from haloassay.planning.usual import USUAL, unusual
from haloassay.planning.writing import to_toml


@pytest.mark.parametrize("name", NAMES)
def test_a_scenario_begun_from_another_has_its_cells(name, tmp_path):
    """And so has one in which all settings are written out: presets and defaults are what they were."""
    path = haloassay.init(str(tmp_path / "mine"), name)
    assert path == tmp_path / "mine.toml"
    expected = [cell.content for cell in cells(load_scenario(name))]
    assert [cell.content for cell in cells(load_scenario(path))] == expected
    assert load_scenario(path).name == "mine"
    whole = to_toml(with_defaults(load_scenario(name)))
    assert [cell.content for cell in cells(make_scenario(tomllib.loads(whole)))] == expected


def loosened(line):
    """Line of a setting that is left to its default, as one that is not."""
    found = re.match(r"# ([a-z_0-9]+ = .*)", line)
    try:
        return found[1] if found and tomllib.loads(found[1]) else line
    except tomllib.TOMLDecodeError:  # prose
        return line


def test_comments_say_what_each_setting_is_and_what_it_would_be(tmp_path):
    text = haloassay.init(str(tmp_path / "mine")).read_text()
    assert "# Mass: a table with a kind" in text
    assert "#     nfw, m200: Mass [Msun] within the virial radius." in text
    assert "# distance_error = 0.16" in text  # of the preset, not of a perfect survey
    assert "# Added to all line-of-sight velocities [km/s]" in text
    assert "m200 = 8e+11" in text
    keys = [line for line in text.splitlines() if re.match(r"[a-z_]+ = ", line)]
    above = [text.splitlines()[text.splitlines().index(key) - 1] for key in keys]
    assert sum(not line.startswith("#") for line in above) <= 2  # title and reference share one
    settings, _ = text.split("\n# What is varied")
    again = make_scenario(tomllib.loads("\n".join(map(loosened, settings.splitlines()))))
    same = load_scenario(tmp_path / "mine.toml")
    assert [cell.content for cell in cells(again)] == [cell.content for cell in cells(same)]


def test_what_populations_share_is_not_written_over_in_each():
    values = load_scenario("quickstart").to_dict()
    values["mock"] |= {"rotation": -0.2, "feh": {"mean": -1.7, "sigma": 0.3}}
    values["mock"]["populations"] = [{"name": "a", "fraction": 0.5}, {"name": "b", "rotation": 0.1}]
    scenario = make_scenario(values)
    whole = with_defaults(scenario)
    assert [cell.content for cell in cells(whole)] == [cell.content for cell in cells(scenario)]
    assert "rotation" not in whole.mock["populations"][0]


def test_init_overwrites_nothing_and_refuses_what_it_cannot_write(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answer = call("init", "mine", "--from", "zhai2018")
    assert (answer.code, answer.text) == (0, "mine.toml: haloassay run mine.toml --out mine\n")
    before = (tmp_path / "mine.toml").read_bytes()
    assert "is there already" in call("init", "mine.toml").refusal
    assert (tmp_path / "mine.toml").read_bytes() == before
    assert "there is no folder" in call("init", "nowhere/mine").refusal
    assert "did you mean 'quickstart'?" in call("init", "other", "--from", "QuickStart").refusal
    with pytest.raises(InputError, match="the name is empty"):
        haloassay.init(".toml")


def test_meanings_are_read_from_docstrings_of_the_class_and_its_parents():
    from haloassay.mocks.debris.contaminants import ThickDisc
    from haloassay.mocks.surveys.survey import Survey

    told = meanings(Survey)
    assert told["distance_min"] == told["distance_max"]
    assert told["vlos_offset"].startswith("Added to all line-of-sight velocities [km/s]")
    assert all(setting.meaning for setting in settings_of(Survey))
    assert meanings(ThickDisc)["fraction"].startswith("Share of all stars of the mock")


def absurd(**settings):
    from haloassay.planning.overrides import overridden

    return unusual(make_plan(overridden(load_scenario("quickstart"), settings)))


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("mock.potential.0.m200", 1.0, "m200 = 1: possible, but is it meant? 0.5e12 to 2e12 Msun"),
        ("survey.distance_error", 0.9, "survey.distance_error = 0.9"),
        ("survey.n_stars", 1, "survey.n_stars = 1: possible"),
        ("mock.density.slopes", [-2.8, -40.0], "mock.density.slopes = -40"),
        ("estimators.tracer-mass.bins", [5.0, 1e4], "estimators.tracer-mass.bins = 10000"),
    ],
)
def test_what_is_possible_and_absurd_is_told(path, value, said):
    (line,) = absurd(**{path: value})
    assert said in line


@pytest.mark.parametrize("name", NAMES)
def test_no_packaged_scenario_has_anything_absurd(name):
    assert unusual(make_plan(load_scenario(name))) == []


def test_levels_of_factors_are_looked_at_and_each_line_comes_once():
    scenario = load_scenario("quickstart").revise(
        realizations=3, matrix={"factors": {"survey.distance_scale": [1.0, 30.0, 40.0]}}
    )
    lines = unusual(make_plan(scenario))
    assert [line.split(":")[0] for line in lines] == [
        "realizations = 3",
        "survey.distance_scale = 30",
        "survey.distance_scale = 40",
    ]


def test_every_rule_is_of_a_setting_that_there_is():
    from haloassay.base import kinds
    from haloassay.face.parts import TABLES
    from haloassay.mocks.halo import Sampling

    for rule in USUAL:
        family, _, kind = rule.part.partition(".")
        if rule.part == "mock":
            names = {setting.name for setting in settings_of(Sampling)}
        elif kind:
            names = {setting.name for setting in settings_of(kinds.find(family, kind, "rule"))}
        else:
            cls = kinds.load(TABLES[family][1])
            names = set(getattr(cls, "model_fields", None) or cls.__dataclass_fields__)
        assert rule.setting in names, rule


def test_dry_run_prints_a_scenario_that_is_whole(small, call, tmp_path):
    answer = call(
        *("run", small, "--out", tmp_path / "out", "--dry-run"),
        *("--set", "survey.n_stars=1", "--set", "mock.beta.beta=0.5"),
    )
    assert answer.code == 0
    values = tomllib.loads(answer.text)
    assert (values["survey"]["n_stars"], values["mock"]["beta"]["beta"]) == (1, 0.5)
    assert values["survey"]["distance_scale"] == 1.0
    assert values["estimators"][0]["min_stars"] == 10
    assert "survey.n_stars = 1: possible, but is it meant?" in answer.err
    assert list(tmp_path.iterdir()) == []
    bad = call("run", small, "--out", tmp_path / "out", "--dry-run", "--set", "survey.n_stars")
    assert "--set survey.n_stars: expected PATH=VALUE" in bad.refusal


def test_mock_takes_settings_too(small, call, tmp_path):
    answer = call("mock", small, "--out", tmp_path / "stars.csv", "--set", "survey.n_stars=7")
    assert answer.text.startswith("7 stars: ")
