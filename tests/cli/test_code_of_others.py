"""Which commands import code that a scenario or another distribution names, and how all of it is refused."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

import haloassay
from haloassay.base.kinds import FAMILIES
from haloassay.planning.scenario import load_scenario
from haloassay.results.description import encoded

#: Says that it was imported.
MODULE = """
from pathlib import Path
(Path(__file__).parent / "imported").touch()
import os
if os.environ.get("HALOASSAY_TEST_ALLOWED"):
    from fingerprint import Fingerprint as Named
"""
SCENARIO = """
name = "theirs"
realizations = 1
[mock]
kind = "local-jeans-gaussian"
potential = {potential}
density = {density}
beta = {{ kind = "constant", beta = 0.3 }}
[survey]
preset = "{preset}"
n_stars = 300
[[clean]]
kind = "{clean}"
[[estimators]]
kind = "{estimator}"
bins = [5.0, 20.0]
[matrix]
factors."survey.vlos_error" = [1.0, 2.0]
"""
SOUND = {
    "potential": '{ kind = "nfw", m200 = 1e12, c = 12.0 }',
    "density": '{ kind = "power-law", slope = -3.5 }',
    "preset": "perfect",
    "clean": "height-cut",
    "estimator": "velocity-ellipsoid",
}
#: One whose class is not of haloassay, and one of few quantities: there is little to draw.
ESTIMATES = """
[[estimators]]
kind = "tracer-mass"
alpha = -3.5
"""
PLACES = {
    "estimator": "theirs:Named",
    "density": '{ kind = "theirs:Named" }',
    "preset": "theirs:Named",
    "clean": "theirs:Named",
    "potential": '{ kind = "theirs:Named" }',
    "potential of galpy": '{ kind = "galpy", name = "theirs:Named" }',
}


#: Optional libraries that something may try to import.
DECOYS = ("bottleneck", "numexpr", "ipywidgets", "agama")


@pytest.fixture
def theirs(tmp_path, monkeypatch):
    """Folder of somebody's module, in which the user stands."""
    (tmp_path / "theirs.py").write_text(MODULE)
    # what libraries import where they find it: no command that only reads may take it from where the user is
    for name in DECOYS:
        (tmp_path / f"{name}.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]


def scenario(folder, **named):
    file = folder / "theirs.toml"
    file.write_text(SCENARIO.format(**(SOUND | named)))
    return file


def refused(answer, folder):
    assert answer.code == 2
    assert "is code of a third party, which --no-plugins" in answer.refusal
    assert "theirs" in answer.refusal
    assert not (folder / "imported").exists()
    assert "theirs" not in sys.modules
    assert not os.environ.get("HALOASSAY_NO_PLUGINS")  # refused for this command alone


@pytest.mark.parametrize(
    ("command", "place"),
    [
        (command, place)
        for command in ("run", "dry-run", "mock")
        for place in PLACES
        if (command, place) != ("mock", "estimator")  # a mock asks no estimator
    ],
)
def test_classes_of_others_are_refused_wherever_a_scenario_names_them(call, theirs, place, command):
    file = scenario(theirs, **{place.split()[0]: PLACES[place]})
    out = theirs / "out"
    arguments = {
        "run": ["run", file, "--out", out],
        "dry-run": ["run", file, "--out", out, "--dry-run"],
        "mock": ["mock", file, "--out", theirs / "out.csv"],
    }[command]
    refused(call(*arguments, "--no-plugins"), theirs)
    assert not out.exists()
    assert not (theirs / "out.csv").exists()


def test_a_factor_that_names_a_class_is_refused(call, theirs):
    file = scenario(theirs)
    file.write_text(file.read_text() + 'factors."mock.density.kind" = ["theirs:Named"]\n')
    refused(call("run", file, "--out", theirs / "out", "--dry-run", "--no-plugins"), theirs)


def test_measure_and_describe_refuse_them_too(call, theirs, stars):
    refused(call("measure", stars, "--estimator", "theirs:Named", "--no-plugins"), theirs)
    refused(
        call(
            "measure",
            stars,
            "--estimator",
            "tracer-mass",
            "--set",
            "alpha=-3.5",
            "--clean",
            "theirs:Named",
            "--no-plugins",
        ),
        theirs,
    )
    refused(call("describe", "theirs:Named", "--no-plugins"), theirs)


def test_kinds_of_other_distributions_are_refused_and_listed_without_being_imported(
    call, theirs, monkeypatch
):
    families = (*FAMILIES, "quantities")
    offered = {
        f"haloassay.{family}": (EntryPoint("mine", "theirs:Named", f"haloassay.{family}"),)
        for family in families
    }
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group="": offered.get(group, ()))
    file = scenario(theirs, estimator="mine")
    refused(call("run", file, "--out", theirs / "o", "--no-plugins"), theirs)
    refused(call("describe", "mine", "--no-plugins"), theirs)
    for family in families:
        text = call("list", family).text
        assert re.search("^mine +theirs:Named, of another distribution", text, re.M)
        assert "mine" in haloassay.list(family)
    assert not (theirs / "imported").exists()


def test_without_the_flag_they_are_imported(call, theirs, monkeypatch):
    assert call("describe", "theirs:Named").code == 2  # it has no such class
    assert (theirs / "imported").exists()


def test_what_is_of_haloassay_runs_without_plugins(call, theirs):
    answer = call(
        "run", scenario(theirs), "--out", theirs / "out", "-j", "0", "--no-report", "--no-plugins"
    )
    assert answer.code == 0, answer.err
    assert not (theirs / "imported").exists()


@pytest.mark.long
def test_reading_results_imports_nothing_that_they_or_their_folder_name(call, theirs):
    """In a process of its own: what was imported before would hide what is imported now."""
    out = theirs / "results"
    file = scenario(theirs, estimator="fingerprint:Fingerprint")
    file.write_text(file.read_text().replace("bins = [5.0, 20.0]", ESTIMATES))
    assert call("run", file, "--out", out, "-n", "2", "-j", "0", "--no-report").code == 0
    told = json.loads((out / "run.json").read_text())
    told["scenario"]["estimators"].append({"kind": "theirs:Named", "label": "theirs"})
    told["scenario"]["mock"]["density"] = {"kind": "theirs:Named"}
    told["quantities"] = [
        *told.get("quantities", []),
        {"name": "theirs:Named", "unit": "", "scale": "absolute", "label": "theirs:Named"},
    ]
    told.pop("digest")
    (out / "run.json").write_bytes(encoded(told))  # whoever forges a folder forges its digest
    script = (
        "import sys; from haloassay.face.cli import main\n"
        "for line in sys.argv[1:]:\n"
        "    sys.argv = ['haloassay', *line.split()]\n"
        "    try: main()\n"
        "    except SystemExit as end: assert not end.code, (line, end.code)\n"
        "import haloassay; results = haloassay.Results('results')\n"
        "results.table(), results.frame('runs'), results.pairs(), repr(results), results._repr_html_()\n"
        "assert not {'theirs', 'fingerprint'} & set(sys.modules)\n"
    )
    lists = [f"list {what}" for what in ("estimators", "quantities", "scenarios", "mocks")]
    commands = ["table results", "table results --paired --format latex", "report results", *lists]
    done = subprocess.run(
        [sys.executable, "-P", "-c", script, *commands], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert not (theirs / "imported").exists()


def test_packaged_scenarios_name_no_class_of_others():
    def texts(value):
        if isinstance(value, dict):
            value = list(value.values())
        return [t for v in value for t in texts(v)] if isinstance(value, list | tuple) else [value]

    for name in haloassay.list("scenarios"):
        values = load_scenario(name).to_dict()
        parts = [values[key] for key in ("mock", "survey", "clean", "estimators", "matrix")]
        for text in texts(parts):
            assert not re.fullmatch(r"[\w.]+:\w+", str(text)), (name, text)
