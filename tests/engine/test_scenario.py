import copy
import re
import tomllib
from collections import Counter

import pytest
from packaged import NAMES

from haloassay import scenarios
from haloassay.base.errors import InputError
from haloassay.planning import expansion as cells_module
from haloassay.planning.expansion import cells
from haloassay.planning.plan import make_plan
from haloassay.planning.scenario import Matrix, load_scenario, make_scenario
from haloassay.planning.writing import to_toml

TOML = """
name = "small"
realizations = 2
seed = 1
[mock]
kind = "local-jeans-gaussian"
potential = [{ kind = "nfw", m200 = 1e12, c = 12 }]
density = { kind = "power-law", slope = -3.5 }
beta = { kind = "constant", beta = 0.3 }
[survey]
preset = "perfect"
n_stars = 60
[[estimators]]
kind = "plugins:Good"
label = "good"
[matrix]
factors."survey.distance_scale" = [0.9, 1.0]
"""


def write(tmp_path, text):
    path = tmp_path / "s.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def message(call, *args):
    with pytest.raises(InputError) as caught:
        call(*args)
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("seed = 1", "sed = 1", ["unknown key 'sed'", "did you mean 'seed'", "realizations"]),
        ("[matrix]", "[matrix]\ndesing = 'full'", ["matrix", "unknown key 'desing'", "design"]),
        ("[matrix]", "[matrix]\ndesign = 'half'", ["matrix.design", "one-at-a-time", "'half'"]),
        ("seed = 1", "seed = 'x'", ["seed", "integer", "'x'"]),
        ("seed = 1", "seed = -1", ["seed", "greater than or equal to 0", "-1"]),
        ("seed = 1", "seed = true", ["seed", "integer", "True"]),
        ("seed = 1", "timeout = 0", ["timeout", "greater than 0"]),
        ("seed = 1", "timeout = inf", ["timeout", "finite"]),
        ("realizations = 2", "realizations = 0", ["realizations", "greater than or equal to 1"]),
        ("realizations = 2", "realizations = 2.5", ["realizations", "integer", "2.5"]),
        ('name = "small"', "", ["key 'name' is missing"]),
        ('name = "small"', 'name = ""', ["name", "at least 1 character"]),
        ("[survey]", "[survey]\nz_min = nan", ["survey.z_min", "nan is not a value"]),
        ("[survey]", "[survey]\nz_min = 2020-01-01", ["survey.z_min", "date"]),
        ("[0.9, 1.0]", "[0.9, 0.9]", ["survey.distance_scale", "twice"]),
        ("[0.9, 1.0]", "[]", ["survey.distance_scale", "no levels"]),
        ("[0.9, 1.0]", "0.9", ["survey.distance_scale", "list", "0.9"]),
        (
            "[matrix]",
            "[[estimators]]\nkind='plugins:Bad'\nlabel='good'\n[matrix]",
            ["'good'", "2 times"],
        ),
        ("[matrix]", "[[estimators]]\nlabel='x'\n[matrix]", ["estimators.1", "'kind' is missing"]),
        ("seed = 1", "seed = 1\nseed = 2", ["not valid TOML", "line 5"]),
        ("seed = 1", "seed = ", ["not valid TOML", "line 4"]),
    ],
)
def test_an_unusable_file_is_one_line_that_names_file_key_and_what_is_allowed(
    tmp_path, old, new, expected
):
    assert old in TOML
    path = write(tmp_path, TOML.replace(old, new))
    text = message(load_scenario, path)
    for part in [str(path), *expected]:
        assert part in text


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("plugins:Good", "jeans-4d", ["estimators.good", "unknown estimator", "'jeans-3d'"]),
        ("plugins:Good", "plugins:Nobody", ["estimators.good", "plugins:Nobody"]),
        ('label = "good"', 'label = "good"\nscal = 2.0', ["estimators.good", "'scal'", "'scale'"]),
        ('label = "good"', 'label = "good"\nscale = -2.0', ["estimators.good", "must be positive"]),
        ('label = "good"', 'label = "good"\nscale = "x"', ["estimators.good.scale", "number"]),
        ("plugins:Good", "plugins:Grumpy", None),
        ('"plugins:Good"', '"plugins:Grumpy"\nlevel = -1.0', ["estimators.good", "below zero"]),
        ("m200 = 1e12", "m200 = -1e12", ["mock.potential", "m200"]),
        ('"nfw"', '"nwf"', ["mock.potential", "'nwf'", "'nfw'"]),
        ("n_stars", "n_star", ["survey", "'n_star'", "'n_stars'"]),
        ('"perfect"', '"perfekt"', ["survey", "'perfekt'", "'perfect'"]),
        (
            '"survey.distance_scale"',
            '"survey.distance_scal"',
            ["distance_scal", "'distance_scale'"],
        ),
        (
            '"survey.distance_scale"',
            '"sruvey.distance_scale"',
            ["sruvey.distance_scale", "survey."],
        ),
        (
            '"survey.distance_scale"',
            '"mock.potential.3.m200"',
            ["mock.potential.3.m200", "not exist"],
        ),
        ('"survey.distance_scale"', '"estimators.god.scale"', ["estimators.god.scale", "good"]),
        ('"survey.distance_scale"', '"estimators.good"', ["estimators.good", "no setting"]),
        ("[0.9, 1.0]", "[1.0, -1.0]", ["cell 'survey.distance_scale=-1.0'", "distance_scale"]),
        ("[0.9, 1.0]", "[1.0, 'x']", ["cell 'survey.distance_scale=x'", "distance_scale"]),
    ],
)
def test_a_component_refuses_bad_settings_of_any_cell_before_the_run(tmp_path, old, new, expected):
    assert old in TOML
    path = write(tmp_path, TOML.replace(old, new))
    if expected is None:
        assert len(cells(load_scenario(path))) == 2
        return
    text = message(lambda: cells(load_scenario(path)))
    for part in [str(path), *expected]:
        assert part in text


@pytest.mark.parametrize(
    ("bins", "expected"), [([], "bins"), ([5.0], "bins"), ([5.0, 25.0, 15.0], "bins")]
)
def test_bins_that_are_empty_or_out_of_order_are_refused(values, bins, expected):
    values["estimators"] = [{"kind": "velocity-ellipsoid", "bins": bins}]
    assert expected in message(cells, make_scenario(values))


def test_files_that_are_no_files(tmp_path):
    assert "is a folder" in message(load_scenario, tmp_path)
    assert "not UTF-8" in message(load_scenario, write(tmp_path, b'name = "\xff"'))
    absent = message(load_scenario, tmp_path / "absent.toml")
    assert "no such file" in absent
    assert "absent.toml" in absent


def test_unquoted_paths_mean_the_same_as_quoted_ones(tmp_path):
    quoted = load_scenario(write(tmp_path, TOML))
    bare = TOML.replace('"survey.distance_scale"', "survey.distance_scale")
    assert load_scenario(write(tmp_path, bare)).matrix == quoted.matrix


def test_a_scenario_survives_its_own_dictionary(scenario):
    assert make_scenario(scenario.to_dict()) == scenario


def labels(values, design, factors):
    values["matrix"] = {"design": design, "factors": factors}
    return [cell.label for cell in cells(make_scenario(values))]


def test_one_at_a_time_is_the_base_and_each_factor_alone(values):
    factors = {"survey.distance_scale": [0.9, 1.0, 1.1], "mock.beta.beta": [0.3, 0.5]}
    assert labels(values, "one-at-a-time", factors) == [
        "base",
        "survey.distance_scale=0.9",
        "survey.distance_scale=1.1",
        "mock.beta.beta=0.5",
    ]


def test_full_is_the_product_and_every_cell_names_its_levels(values):
    factors = {"survey.distance_scale": [0.9, 1.0], "mock.potential.m200": [1e12, 2e12]}
    assert labels(values, "full", factors) == [
        "survey.distance_scale=0.9, mock.potential.m200=1e+12",
        "survey.distance_scale=0.9, mock.potential.m200=2e+12",
        "survey.distance_scale=1.0, mock.potential.m200=1e+12",
        "survey.distance_scale=1.0, mock.potential.m200=2e+12",
    ]


def test_factors_of_estimators_and_levels_that_are_lists(values):
    before = copy.deepcopy(values)
    values["matrix"] = {"factors": {"estimators.good.grid": [[1.0, 2.0], [3.0]]}}
    base, other = cells(make_scenario(values))
    assert base.factors == {"estimators.good.grid": [1.0, 2.0]}  # a default, not in the file
    assert (other.label, other.factors) == (
        "estimators.good.grid=[3.0]",
        {"estimators.good.grid": [3.0]},
    )
    assert other.key == base.key  # mock and survey are the same
    assert other.methods[0].key != base.methods[0].key
    assert before["estimators"] == values["estimators"]  # nothing is changed in place


def test_a_label_with_dots_is_a_label(values):
    values["estimators"][0]["label"] = "v1.2"
    assert labels(values, "full", {"estimators.v1.2.scale": [2.0]}) == ["estimators.v1.2.scale=2.0"]


def test_a_factor_is_of_the_estimator_with_the_longest_label(values):
    values["estimators"] = [
        {"kind": "plugins:Good", "label": label} for label in ("v1", "v1.more", "v")
    ]
    values["matrix"] = {"factors": {"estimators.v1.more.scale": [2.0]}}
    base, changed = cells(make_scenario(values))
    differ = [a.label for a, b in zip(base.methods, changed.methods, strict=True) if a != b]
    assert differ == ["v1.more"]


def test_a_factor_leaves_the_rest_of_a_presets_table_as_it_is(values):
    """The footprint of a preset is not that of its class: changing one bound keeps the others."""
    values["survey"] = {"preset": "lamost-kgiants", "n_stars": 60}
    values["matrix"] = {"factors": {"survey.footprint.b_min": [10.0]}}
    base, changed = cells(make_scenario(values))
    assert base.made["survey"]["footprint"]["b_min"] == 0.0
    assert base.made["survey"]["footprint"]["dec_max"] == 60.0
    assert changed.made["survey"]["footprint"] == {
        **base.made["survey"]["footprint"],
        "b_min": 10.0,
    }


def test_keys_depend_on_content_and_on_nothing_else(values):
    def keys(**changes):
        (cell,) = make_plan(make_scenario({**values, "matrix": {}, **changes})).cells
        return cell.content

    explicit = {"preset": "perfect", "n_stars": 60, "distance_scale": 1.0}
    assert keys() == keys(realizations=9, name="other", survey=explicit)
    assert keys() != keys(seed=values["seed"] + 1)
    assert keys() != keys(survey={"preset": "perfect", "n_stars": 61})
    scaled = [{"kind": "plugins:Good", "label": "good", "scale": 2.0}]
    assert keys()[0] == keys(estimators=scaled)[0]
    assert keys()[1] != keys(estimators=scaled)[1]


@pytest.mark.parametrize("name", NAMES)
def test_every_packaged_scenario_is_usable(name):
    scenario = load_scenario(name)
    assert scenario.name == name
    assert scenario.description
    assert cells(scenario)


@pytest.mark.parametrize(
    ("design", "shown"),
    [("full", "400 x 400 levels make 160000 cells"), ("one-at-a-time", "1 + 99999 + 400 levels")],
)
def test_too_many_cells_are_counted_and_not_built(scenario, design, shown, monkeypatch):
    sizes = (400, 400) if design == "full" else (99999, 400)
    factors = dict(zip(("survey.a", "mock.b"), (list(range(n)) for n in sizes), strict=True))
    huge = scenario.model_copy(update={"matrix": Matrix(design=design, factors=factors)})
    monkeypatch.setattr(cells_module, "_Builder", None)
    text = message(make_plan, huge)
    assert shown in text
    assert "allowed: 100000" in text


def test_equal_components_of_many_cells_are_built_once(values, monkeypatch):
    built = []
    original = cells_module._contents
    monkeypatch.setattr(
        cells_module,
        "_contents",
        lambda *args: (built.append(args[0].__name__), original(*args))[1],
    )
    values["matrix"] = {
        "design": "full",
        "factors": {
            "survey.distance_scale": [(100 + i) / 100 for i in range(40)],
            "mock.beta.beta": [i / 100 for i in range(30)],
        },
    }
    cells = make_plan(make_scenario(values)).cells
    assert len({cell.key for cell in cells}) == len(cells) == 1200
    # and those of the scenario as written, whose texts are others
    assert Counter(built) == {"make_mock": 31, "make_survey": 41, "make_estimator": 1}
    (alone,) = make_plan(
        make_scenario(
            {
                **values,
                "matrix": {
                    "design": "full",
                    "factors": {"survey.distance_scale": [1.39], "mock.beta.beta": [0.29]},
                },
            }
        )
    ).cells
    assert alone == cells[-1]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("0.1", {"overall": 0.1}),
        ("{ enclosed_mass = 0.1, beta.mr = 0.2 }", {"enclosed_mass": 0.1, "beta.mr": 0.2}),
    ],
)
def test_tolerance_is_one_number_or_one_a_quantity(tmp_path, given, kept):
    path = tmp_path / "tolerant.toml"
    text = scenarios.path("quickstart").read_text("utf-8")
    path.write_text(f"tolerance = {given}\n{text}")
    scenario = load_scenario(path)
    assert scenario.tolerance == kept
    assert make_scenario(tomllib.loads(to_toml(scenario))).tolerance == kept
    plain = load_scenario("quickstart")
    assert plain.tolerance == {}
    assert [c.content for c in make_plan(scenario).cells] == [
        c.content for c in make_plan(plain).cells
    ]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ('"5 %"', "tolerance.overall: input should be a valid number"),
        ("-0.1", "tolerance.overall: is finite and 0 or more"),
        ("inf", "tolerance.overall: is finite and 0 or more"),
        ("{ bta = 0.1 }", "tolerance: unknown quantity 'bta'; did you mean 'beta'?"),
    ],
)
def test_a_tolerance_that_is_none_is_refused(tmp_path, given, message):
    path = tmp_path / "tolerant.toml"
    text = scenarios.path("quickstart").read_text("utf-8")
    path.write_text(f"tolerance = {given}\n{text}")
    with pytest.raises(InputError, match=re.escape(message)):
        make_plan(load_scenario(path))
