"""`list` names all that there is, and `describe` knows all that it names."""

from __future__ import annotations

import subprocess
import sys
import tomllib

import click
import pytest

import haloassay
from haloassay import scenarios
from haloassay.face.choices import LISTS
from haloassay.face.vocabulary import VOCABULARY

KINDS = [
    *("mocks", "densities", "betas", "potentials", "surveys", "estimators", "scenarios", "parts"),
    "claims",
]


def test_all_that_is_known_can_be_listed():
    assert set(LISTS) == set(VOCABULARY)


@pytest.mark.parametrize("what", KINDS)
def test_list_names_each_once_in_a_line_and_settings_on_request(call, what):
    answer = call("list", what)
    assert answer.code == 0
    heads = answer.text.splitlines()
    assert [head.split()[0] for head in heads] == list(haloassay.list(what))
    assert all(len(head.split(maxsplit=1)[1]) > 10 for head in heads)
    assert len({len(head) - len(head.split(maxsplit=1)[1]) for head in heads}) == 1  # aligned
    more = call("list", what, "--settings").text.splitlines()
    assert [line for line in more if not line.startswith(" ")] == heads


def test_a_line_fits_the_terminal_and_is_whole_in_a_pipe(call, monkeypatch):
    whole = call("list", "estimators").text.splitlines()
    assert max(map(len, whole)) > 80
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "60")
    shown = [click.unstyle(line) for line in call("list", "estimators").text.splitlines()]
    assert len(shown) == len(whole)
    assert all(len(line) <= 60 for line in shown)
    assert any(line.endswith("…") for line in shown)


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
    assert line in call("list", what, "--settings").text.splitlines()


@pytest.mark.parametrize("what", KINDS)
def test_describe_knows_all_that_list_names(call, what):
    for name in haloassay.list(what):
        answer = call("describe", name)
        assert answer.code == 0
        assert f"{name} ({what})" in answer.text
        assert len(answer.text) > 80


@pytest.mark.parametrize("name", haloassay.list("scenarios"))
def test_describe_prints_a_scenario_that_is_one_again(call, name):
    text = call("describe", name).text
    assert tomllib.loads(text) == tomllib.loads(scenarios.path(name).read_text("utf-8"))


def test_describe_prints_a_file_that_is_a_scenario_and_refuses_another(call, small, tmp_path):
    assert tomllib.loads(call("describe", small).text) == tomllib.loads(small.read_text())
    other = tmp_path / "other.toml"
    other.write_text('nme = "x"')
    assert "unknown key 'nme'; did you mean 'name'?" in call("describe", other).refusal


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("lmc", ("[mock.lmc]", "friction", "mass = 150000000000.0")),
        ("expansions", ('[mock.lmc] with kind = "expansions"', "acceleration (optional)")),
        ("expansion-index", ("format (required)", "time_unit (required)")),
        ("shape", ("axis_ratios", "tilt = [0.0, 0.0, 0.0]")),
        ("population", ("size = 200000", "time = 5.0", "drift_time")),
        ("populations", ("density (optional)", "fraction (optional)", "rotation = 0.0")),
        ("debris", ("stream, thick-disc", "fraction", "member")),
        ("painted", ("mu_dipole", "apex_b = -90.0")),
        ("potential", ("hernquist", "triaxial-nfw")),
        ("footprint", ("b_min",)),
        ("prior", ("kind = 'normal'", "loguniform")),
        ("matrix", ('design = ["one-at-a-time"]', "replicates = 2")),
        ("scenario", ("realizations = 100", "mock (required)")),
    ],
)
def test_parts_of_a_scenario_are_described(call, name, said):
    text = call("describe", name).text
    assert f"{name} (parts)" in text
    for each in said:
        assert each in text, each


@pytest.mark.parametrize(("name", "near"), [("NFW", "'nfw'"), ("sdss", "'sdss-bhb'")])
def test_describe_names_the_nearest(call, name, near):
    assert f"unknown name {name!r}; did you mean {near}?" in call("describe", name).refusal


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
    assert "no_such_module:Class, of another distribution" in text
    assert "jeans-3d  " in text
    answer = call("describe", "third-party")
    assert answer.code == 2
    assert "'no_such_module:Class' cannot be imported" in answer.refusal
    assert call("describe", "jeans-3d").code == 0


@pytest.mark.parametrize(
    "words",
    [
        "--help",
        "run --help",
        "list estimators --settings",
        "list mocks",
        "describe quickstart",
        "table FOLDER --full",
    ],
)
def test_a_reader_who_closes_the_pipe_has_read_enough(words, finished):
    told = [str(finished[0]) if word == "FOLDER" else word for word in words.split()]
    command = [sys.executable, "-m", "haloassay", *told]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        running.stdout.close()
        assert (running.stderr.read(), running.wait()) == (b"", 0)
