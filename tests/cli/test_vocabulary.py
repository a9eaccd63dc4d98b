"""`list` names all that there is, and `describe` knows all that it names."""

from __future__ import annotations

import pytest

import haloassay

KINDS = ["mocks", "densities", "betas", "potentials", "surveys", "estimators", "scenarios"]


@pytest.mark.parametrize("what", KINDS)
def test_list_names_each_once_with_a_line(call, what):
    answer = call("list", what)
    assert answer.code == 0
    heads = [line for line in answer.text.splitlines() if not line.startswith(" ")]
    assert [head.split(": ")[0] for head in heads] == list(haloassay.list(what))
    assert all(len(head.split(": ", 1)[1]) > 10 for head in heads)


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ("estimators", '    sampler = "quadrature"'),
        ("estimators", "    subtract_mean = true"),
        ("estimators", "    alpha (required)"),
        ("potentials", "    m200 (optional)"),
        ("mocks", "    r_range = [1.0, 300.0]"),
        ("surveys", "    distance_scale = 1.0"),
    ],
)
def test_list_shows_settings_as_a_scenario_writes_them(call, what, line):
    assert line in call("list", what).text.splitlines()


@pytest.mark.parametrize("what", KINDS)
def test_describe_knows_all_that_list_names(call, what):
    for name in haloassay.list(what):
        answer = call("describe", name)
        assert answer.code == 0
        assert f"{name} ({what})" in answer.text
        assert len(answer.text) > 80


@pytest.mark.parametrize("name", haloassay.list("scenarios"))
def test_describe_prints_the_paragraph_of_a_scenario(call, name):
    from haloassay.planning.scenario import load_scenario

    scenario = load_scenario(name)
    text = call("describe", name).text
    assert scenario.title in text
    assert scenario.description.strip() in text
    assert scenario.reference in text


@pytest.mark.parametrize("name", haloassay.list("estimators"))
def test_describe_prints_reference_and_assumptions(call, name):
    from haloassay.estimators import estimator_class

    cls = estimator_class(name)
    text = call("describe", name).text
    assert f"Reference: {cls.reference}" in text
    assert all(word in text for word in (*cls.assumes, *cls.yields))


def test_list_imports_no_plugin_and_describe_says_what_is_wrong_with_one(call, monkeypatch):
    from importlib.metadata import EntryPoint

    broken = EntryPoint("third-party", "no_such_module:Class", "haloassay.estimators")
    offered = {"haloassay.estimators": (broken,)}
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group="": offered.get(group, ()))
    text = call("list", "estimators").text
    assert "third-party: no_such_module:Class, of another distribution" in text
    assert "jeans-3d: " in text
    answer = call("describe", "third-party")
    assert answer.code == 2
    assert "'no_such_module:Class' cannot be imported" in answer.refusal
    assert call("describe", "jeans-3d").code == 0
