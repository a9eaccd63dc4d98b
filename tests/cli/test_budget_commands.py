"""Budgets on the command line: what is printed and written, and what is refused in one line."""

import html

import pandas as pd
import pytest

import haloassay
from haloassay.analysis.summary import summarise
from haloassay.contracts import labels
from haloassay.engine.progress import Silent
from haloassay.reports import budget as told
from haloassay.reports.page import render
from haloassay.results.results import Results

pytestmark = pytest.mark.long

SCENARIO = """
name = "small-budget"
realizations = 12
seed = 5
[mock]
kind = "local-jeans-gaussian"
potential = { kind = "nfw", m200 = 1e12, c = 12.0 }
density = { kind = "power-law", slope = -3.5 }
beta = 0.3
[survey]
preset = "perfect"
n_stars = 100
[[estimators]]
kind = "tracer-mass"
alpha = -3.5
n_bootstrap = 20
[matrix]
design = ["one-at-a-time", "joint"]
points = 12
[[matrix.factor]]
label = "distance scale"
path = "survey.distance_scale"
prior = { kind = "normal", mean = 1.0, sd = 0.05 }
[[matrix.factor]]
label = "slope"
path = "estimators.*.alpha"
levels = [-3.2, -3.8]
prior = { kind = "normal", mean = -3.5, sd = 0.3 }
"""


@pytest.fixture(scope="module")
def scenario(tmp_path_factory):
    file = tmp_path_factory.mktemp("budget") / "budget.toml"
    file.write_text(SCENARIO)
    return file


@pytest.fixture(scope="module")
def results(scenario):
    return haloassay.run(scenario, scenario.parent / "out", workers=0, progress=Silent()).out


def test_a_budget_is_one_screen_with_labels_and_the_sentence(call, results):
    answer = call("budget", results, "--quantity", "enclosed_mass")
    assert answer.code == 0, answer.err
    table, _, legend = answer.text.partition("\nfactors\n")
    assert "  distance scale: survey.distance_scale; prior normal(1, 0.05)\n" in legend
    lines = table.splitlines()
    assert lines[0].startswith("M(< ")
    assert any(line.startswith("slope -3.2 .. -3.8 (normal)") for line in lines)
    assert any(line.startswith("all together (12 points)") for line in lines)
    assert lines[-1].startswith("=> M(< ")
    assert "survey.distance_scale" not in table
    assert len(lines) < 20


def test_a_budget_is_the_first_thing_on_the_page(results):
    data = summarise(Results(results))
    with labels.vocabulary(data.quantities):
        page = html.unescape(render(data))
    assert page.index("<h2>Budget</h2>") < page.index("<h2>Bias</h2>")
    (budget,) = haloassay.budget(results, "enclosed_mass")
    assert told.sentence(budget) in page
    assert "<dt>distance scale</dt><dd>survey.distance_scale; prior normal(1, 0.05)</dd>" in page


@pytest.mark.parametrize("fmt", ["csv", "ecsv", "latex", "markdown", "parquet"])
def test_every_format_is_written(call, results, tmp_path, fmt):
    out = tmp_path / f"budget.{fmt}"
    answer = call("budget", results, "--quantity", "enclosed_mass", "--format", fmt, "--out", out)
    assert answer.code == 0, answer.err
    if fmt == "csv":
        rows = pd.read_csv(out)
        assert set(rows["item"]) >= {"bias", "level", "factor", "quadrature", "together"}
        levels = rows[rows["item"] == "level"]
        assert list(levels[levels["label"] == "slope"]["level"].astype(float)) == [-3.2, -3.8]
    elif fmt == "latex":
        text = out.read_text()
        assert "\\toprule" in text
        assert "seed 5" in text
        assert "24 realisations of the base, 12 of each level, 12 points" in text
    else:
        assert out.stat().st_size > 300


def test_a_tornado_is_drawn_with_fonts_that_journals_take(call, results, tmp_path):
    answer = call(
        *("budget", results, "--quantity", "enclosed_mass", "--figure", tmp_path / "tornado.pdf")
    )
    assert answer.code == 0, answer.err
    assert (tmp_path / "tornado.png").stat().st_size > 5000
    assert b"/FontFile2" in (tmp_path / "tornado.pdf").read_bytes()  # TrueType, type 42


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--quantity", "enclosed_mas"], "did you mean 'enclosed_mass'"),
        (["--quantity", "beta"], "no estimator of the run yields beta"),
        (["--quantity", "enclosed_mass", "--r", "5000"], "5000 kpc is outside its radii"),
        (["--quantity", "enclosed_mass", "--r", "-1"], "a radius is above 0 kpc"),
        (["--quantity", "enclosed_mass", "--estimator", "jeans"], "unknown estimator 'jeans'"),
    ],
)
def test_what_is_not_in_the_run_is_one_line(call, results, options, words):
    answer = call("budget", results, *options)
    assert answer.code == 2
    assert words in answer.err
    assert answer.err.count("\n") == 1


def test_a_run_without_factors_or_base_has_no_budget(call, scenario, tmp_path):
    text = SCENARIO[: SCENARIO.index("[matrix]")]
    (tmp_path / "plain.toml").write_text(text)
    out = tmp_path / "plain"
    assert (
        call("run", tmp_path / "plain.toml", "--out", out, "-n", "2", "-j", "0", "--no-report").code
        == 0
    )
    answer = call("budget", out, "--quantity", "enclosed_mass")
    assert (answer.code, "no factors" in answer.err) == (2, True)


BETA = """
[[matrix.factor]]
label = "beta"
path = "mock.beta.beta"
prior = { kind = "uniform", lo = 0.0, hi = 2.0 }
"""


def test_impossible_priors_are_refused_before_anything_runs(call, tmp_path):
    text = SCENARIO.replace("beta = 0.3", 'beta = { kind = "constant", beta = 0.3 }') + BETA
    (tmp_path / "wrong.toml").write_text(text)
    answer = call("run", tmp_path / "wrong.toml", "--out", tmp_path / "out", "-j", "0")
    assert answer.code == 2
    assert "50.0% of its prior uniform(0, 2) are values that cannot be" in answer.err
    assert not (tmp_path / "out").exists()


def test_a_plan_says_how_many_realisations_a_rule_asks_for(call, scenario):
    answer = call("plan", scenario, "--until", "bias_mcse < 0.02", "--pilot", "6", "-j", "0")
    assert answer.code == 0, answer.err
    assert "realisations (+-" in answer.text
    for options, words in (
        (["--until", "bais_mcse < 1"], "did you mean 'bias_mcse'"),
        (["--until", "bias_mcse < 1", "--pilot", "1"], "3 realisations or more"),
    ):
        refused = call("plan", scenario, *options, "-j", "0")
        assert (refused.code, words in refused.err) == (2, True)
