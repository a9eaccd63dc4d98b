"""Scenarios that no machine could read or run end in one line, before anything is done."""

import pickle

import pytest

from haloassay.base.errors import InputError
from haloassay.base.settings import parse_value
from haloassay.engine.runner import run
from haloassay.planning.plan import make_plan
from haloassay.planning.scenario import load_scenario, make_scenario


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"seed = {'9' * 5000}", "more than 400 digits"),
        (f"seed = {'9' * 500}", "more than 400 digits"),
        (f"x = {'[' * 3000}{']' * 3000}", "too deeply"),
        (f"x = {'{a=' * 3000}1{'}' * 3000}", "too deeply|not valid TOML"),
        (f"{'.'.join('a' * 5000)} = 1", "too deeply"),
        (f"name = '{'n' * 10_000_001}'", "longer than a scenario can be"),
    ],
)
def test_what_is_too_large_to_read(tmp_path, text, expected):
    path = tmp_path / "large.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=expected) as refusal:
        load_scenario(path)
    assert len(str(refusal.value)) < 400 + len(str(path))


@pytest.mark.parametrize("text", ["9" * 5000, "[" * 3000 + "]" * 3000])
def test_a_setting_that_is_too_large_to_read(text):
    with pytest.raises(InputError, match="no value that a setting can have"):
        parse_value(text)


def test_too_many_catalogues_are_refused_at_once(tmp_path, values):
    with pytest.raises(InputError, match=r"realizations: .*1000000 \(got 10000000000\)"):
        run(values, tmp_path / "out", realizations=10**10)
    values["matrix"]["factors"] = {"survey.distance_scale": [1.0 + k / 1e4 for k in range(200)]}
    with pytest.raises(InputError, match="201 cells of 1000000 realizations make 201000000"):
        run(values, tmp_path / "out", realizations=10**6)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"kind": "tracer-mass", "alpha": 10.0}, "alpha = .* is negative"),
        ({"kind": "jeans-3d", "bins": [5.0, 20.0], "alpha": 10.0}, "alpha = .* is negative"),
        ({"kind": "spline-jeans", "alpha": 10.0}, "alpha = .* is negative"),
        ({"kind": "nfw-tracer", "alpha": 10.0}, "alpha = .* is negative"),
        ({"kind": "los-jeans", "alpha": 10.0}, "alpha = .* is negative"),
        ({"kind": "los-jeans", "alpha": -1e308}, "slopes from -100"),
        ({"kind": "los-jeans", "beta": -1e308}, "beta: from -1000"),
        ({"kind": "tracer-mass", "alpha": -3.5, "beta": -1e308}, "beta: from -1000"),
        (
            {"kind": "tracer-mass", "alpha": -3.5, "shape": {"r200": 200.0, "c": 1e-299}},
            "c: 0.001 to 1e6",
        ),
    ],
)
def test_settings_without_a_halo_are_refused_when_the_scenario_is_read(values, entry, expected):
    values["estimators"] = [entry]
    with pytest.raises(InputError, match=expected):
        make_plan(make_scenario(values))


def test_a_mock_without_digits_is_refused_when_the_scenario_is_read(values):
    values["mock"]["beta"] = -1e308
    with pytest.raises(InputError, match="beta must be -1000 or more"):
        make_plan(make_scenario(values))
    values["mock"] |= {"beta": 0.3, "potential": {"kind": "nfw", "m200": 1e12, "c": 1e-299}}
    with pytest.raises(InputError, match="c must be a"):
        make_plan(make_scenario(values))


@pytest.mark.parametrize(
    "change",
    [
        {"realizations\n\x1b[2J": 3},
        {"matrix": {"factors": {"mock.\n\u202ebeta": [1.0]}}},
        {"mock": {"kind": "equilibrium", "a\nb": {"c\r\nd": float("nan")}}},
        {"estimators": [{"kind": "plugins:Good", "label": "x", "y\nz": 1}]},
    ],
    ids=["key", "factor", "table", "setting"],
)
def test_a_refusal_is_one_line_that_no_terminal_obeys_in_python_too(values, change):
    with pytest.raises(InputError) as refusal:
        make_plan(make_scenario({**values, **change}))
    text = str(refusal.value)
    assert text.isprintable()
    assert refusal.value.args == (text,)
    again = pickle.loads(pickle.dumps(refusal.value))
    assert (type(again), str(again)) == (InputError, text)
