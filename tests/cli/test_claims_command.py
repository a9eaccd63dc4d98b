"""`claims`, on claims of one's own: what is refused before anything is run, and one that is tested."""

from __future__ import annotations

import json
import re
import tomllib

import click
import pytest
from printed import read_table
from refusing import refused
from seeds import shifted

import haloassay
from haloassay import scenarios
from haloassay.analysis.claims import Judgement
from haloassay.analysis.statistics import Found
from haloassay.contracts.quantities import QUANTITIES
from haloassay.engine import claims as engine
from haloassay.planning.claim import load_claim, make_claim
from haloassay.planning.families import families
from haloassay.planning.plan import make_plan
from haloassay.planning.scenario import load_scenario
from haloassay.reports import claims as words

SCENARIO = """
name = "small"
realizations = 5
seed = {seed}
survey = {{ preset = "perfect", n_stars = 100 }}

[mock]
kind = "local-jeans-gaussian"
potential = {{ kind = "nfw", m200 = 1e12, c = 12.0 }}
density = {{ kind = "power-law", slope = -3.5 }}
beta = {{ kind = "constant", beta = 0.3 }}
r_range = [5.0, 100.0]

[[estimators]]
kind = "tracer-mass"
alpha = -3.5
bins = [5.0, 20.0, 100.0]
n_bootstrap = 20

[matrix]
factors."survey.distance_scale" = [1.0, 2.0]
"""
CLAIM = {
    "paper": "2011MNRAS.413.1744A",
    "where": "eq. 1",
    "statement": "Twice the distance is about twice the mass.",
    "scenario": "small.toml",
    "margin": 0.4,
    "contradicts": "Anything else.",
    "realizations": 14,
    "quick": 11,
    "statistic": {
        "kind": "pair",
        "quantity": "enclosed_mass",
        "r": 12.0,
        "cell": "survey.distance_scale=2.0",
    },
    "published": {"value": 1.0},
}


def toml(values):
    """Text of a claim, tables in one line each."""
    from haloassay.planning.writing import toml_value

    return "\n".join(f"{key} = {toml_value(value)}" for key, value in values.items()) + "\n"


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a claim, some of whose keys are others, or left out where they are None."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.toml").write_text(SCENARIO.format(seed=shifted(3)))

    def written(name="mine", **changed):
        values = {k: v for k, v in {**CLAIM, **changed}.items() if v is not None}
        path = tmp_path / f"{name}.toml"
        path.write_text(toml(values))
        return path

    return written


def of_statistic(**changed):
    return {"statistic": {**CLAIM["statistic"], **changed}}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"marginn": 0.1}, ["unknown setting 'marginn'; did you mean 'margin'?"]),
        ({"paper": None}, ["'paper' is missing"]),
        ({"contradicts": None}, ["'contradicts' is missing"]),
        ({"margin": 0.0}, ["margin: must be above 0"]),
        ({"margin": "wide"}, ["margin", "expected a number"]),
        ({"published": {"value": 1.0, "at_least": 0.5}}, ["either value, or at_least"]),
        ({"published": {"at_least": 2.0, "at_most": 1.0}}, ["at_least must not be above at_most"]),
        ({"published": {"valu": 1.0}}, ["published", "'value'"]),
        ({"realizations": 0}, ["realizations: 1 to"]),
        ({"untestable": "why not"}, ["goes without scenario, statistic, published, margin"]),
        (of_statistic(kind="pairs"), ["unknown kind 'pairs'; did you mean 'pair'?"]),
        (of_statistic(difference="shfit"), ["unknown difference 'shfit'", "'shift'"]),
        (of_statistic(score="bias"), ["unknown setting 'score'"]),
        (of_statistic(cell="base", base="base"), ["a pair needs a cell beside its base"]),
        (of_statistic(cell="survey.distance_scale=3.0"), ["unknown cell", "=2.0"]),
        (of_statistic(estimator="tracer"), ["unknown estimator 'tracer'", "'tracer-mass'"]),
        (of_statistic(quantity="apex_l"), ["unknown quantity 'apex_l'"]),
        ({"scenario": "smal.toml"}, ["unknown scenario 'smal.toml'"]),
        ({"scenario": {"set": {}}}, ["key 'base' is missing"]),
        ({"scenario": {"base": "small.toml", "sets": {}}}, ["unknown key 'sets'", "'set'"]),
        ({"scenario": {"base": "small.toml", "realizations": 3}}, ["unknown key 'realizations'"]),
        ({"scenario": {"base": "small.toml", "set": {"surv.x": 1}}}, ["set surv.x", "survey."]),
    ],
)
def test_a_bad_claim_is_one_line_and_nothing_is_written(call, write, tmp_path, changed, said):
    path = write(**changed)
    refused(call, tmp_path, "claims", path, words=[str(path), *said])


def test_bad_words_of_the_command_are_one_line(call, write, tmp_path):
    path = write()
    refused(call, tmp_path, "claims", "zhai-bining", words=["did you mean 'zhai-binning'?"])
    refused(call, tmp_path, "claims", path, "--alpha", "2", words=["alpha"])
    refused(call, tmp_path, "claims", path, "--table", "x.md", words=["choose a format"])
    (tmp_path / "more").mkdir()
    (tmp_path / "more/mine.toml").write_text(path.read_text())
    both = "is the name of"
    refused(call, tmp_path, "claims", path, tmp_path / "more/mine.toml", words=[both])


@pytest.mark.long
def test_claims_of_a_scenario_share_its_run_and_quick_ones_are_apart(call, write, tmp_path):
    first = write()
    second = write("other", realizations=12, **of_statistic(difference="log_change"))
    answer = call("claims", first, second, "-j", "0", "--format", "json")
    assert answer.code == 0
    assert "run 1 of 1" in answer.err
    assert re.search(r"2 claims in 0:0\d:\d\d on 1 process;", answer.err.splitlines()[-1])
    mine, other = json.loads(answer.text)["claims"]
    assert (mine["n"], other["n"]) == (14, 14)
    assert mine["families"] == other["families"] == "local-jeans-gaussian"
    assert mine["folder"] == other["folder"]
    results = haloassay.Results(mine["folder"])
    (row,) = results.pairs().query("bin == 0 and quantity == 'enclosed_mass'").to_dict("records")
    assert (mine["measured"], mine["measured_mcse"]) == (row["shift"], row["shift_mcse"])
    assert other["measured"] == row["log_change"]
    again = call("claims", first, "-j", "0", "--format", "csv", "--table", tmp_path / "t.csv")
    assert (again.code, again.out) == (0, b"")
    assert "28 tasks, 28 of them done before" in again.err
    table = read_table((tmp_path / "t.csv").read_bytes(), "csv")
    assert list(table["measured"]) == [row["shift"]]
    quick = call("claims", first, "-j", "0", "--quick", "--format", "json")
    (few,) = json.loads(quick.text)["claims"]
    assert few["n"] == 11
    assert few["folder"] != mine["folder"]


def told(name, verdict, wanted=None, why=""):
    """A claim, and a verdict on it."""
    found = Found("enclosed_mass", "Msun", 50.0, "error", 0.123, 0.014, 60)
    nothing = verdict == "cannot be tested here"
    claim = make_claim(CLAIM if not nothing else _untestable(), f"{name}.toml")
    judged = Judgement(verdict, None if nothing else found, 0.5, wanted, why)
    return engine.Tested(claim, judged, QUANTITIES, None)


def _untestable():
    return {**{k: CLAIM[k] for k in ("paper", "where", "statement")}, "untestable": "no mergers"}


TOLD = [
    told("bird-distance-scale-mass-at-50", "reproduced"),
    told("b", "cannot be told", 321),
    told("c", "cannot be told"),
    told("d", "cannot be tested here", why="no mergers"),
]


def test_a_narrow_terminal_has_comments_below_and_a_pipe_beside(monkeypatch):
    wide = words.text(TOLD).splitlines()
    assert "100 ± 40 %" in wide[1]
    assert "12.3 ± 1.4 %" in wide[1]
    assert wide[2].endswith("cannot be told         321 realisations would tell")
    assert "no number of realisations may tell" in wide[3]
    assert wide[-2] == "4 claims: 1 reproduced, 2 cannot be told, 1 cannot be tested here"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "84")
    narrow = words.text(TOLD[:4]).splitlines()
    assert narrow[3] == "    321 realisations would tell"
    assert max(map(len, narrow)) <= 84


def test_a_mean_estimate_is_written_in_its_unit():
    claim = make_claim({**CLAIM, "published": {"value": 70.0}, "margin": 5.0}, "mine.toml")
    found = Found("sigma_r_lowest", "km/s", 15.0, "value", 88.4, 1.2, 40)
    row = words.rows([engine.Tested(claim, Judgement("differs", found), QUANTITIES, None)])[1]
    assert row[1:3] == ["70 ± 5 km/s", "88.4 ± 1.2 km/s"]


def test_the_families_of_all_mocks_are_counted_below_the_table():
    first, second = (
        engine.Tested(*(each.claim, each.judgement, QUANTITIES, None), families=of)
        for each, of in zip(
            TOLD, (("power-law",), ("power-law, with an LMC", "power-law")), strict=False
        )
    )
    said = "that were tried (claims): power-law (2); power-law, with an LMC (1)"
    for written in (words.text, words.markdown, words.latex):
        assert said in written([first, second])
        assert "were tried" not in written(TOLD)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("accreted", ("accreted",)),
        ("lmc-ignored", ("power-law", "power-law, with an LMC")),
        ("han2024", ("power-law, mixed out of round",)),
        ("debris", ("power-law", "power-law, with debris")),
    ],
)
def test_families_are_those_of_all_cells(name, found):
    assert families(make_plan(load_scenario(name))) == found


def test_families_that_a_matrix_sweeps_or_draws_are_all_told():
    prior = {"kind": "discrete", "weights": [0.5, 0.5], "values": ["power-law", "gaussian"]}
    swept = {"factors": {"mock.distribution.kind": ["power-law", "gaussian"]}}
    drawn = {"design": "latin-hypercube"}
    drawn["factor"] = [{"label": "tails", "paths": ["mock.distribution.kind"], "prior": prior}]
    for matrix in (swept, drawn):
        scenario = load_scenario("quickstart").revise(matrix=matrix, realizations=8)
        assert set(families(make_plan(scenario))) == {"power-law", "gaussian"}


def test_what_differs_has_its_remark_in_markdown():
    why = make_claim({**CLAIM, "remark": "Because of x|y.\n"}, "mine.toml")
    judged = Judgement("differs", told("a", "differs").judgement.found)
    text = words.markdown([engine.Tested(why, judged, QUANTITIES, None)])
    assert "| mine | 100 ± 40 % | 12.3 ± 1.4 % | differs |" in text
    assert text.endswith("**mine**: Because of x\\|y.\n")


# ------------------------------------------------------------------------------- packaged claims


@pytest.mark.parametrize("name", scenarios.claim_names())
def test_a_packaged_claim_is_whole(name):
    found = load_claim(name)
    claim = found.claim
    assert claim.statement.endswith(".")
    if claim.untestable:
        return
    assert claim.quick >= 10
    found.require_known(make_plan(found.scenario))


def test_claims_are_listed_described_and_completed(call, write, monkeypatch):
    listed = click.unstyle(call("list", "claims").text).splitlines()
    assert [line.split()[0] for line in listed] == list(scenarios.claim_names())
    text = call("describe", "zhai-binning").text
    assert tomllib.loads(text) == tomllib.loads(
        scenarios.claim_path("zhai-binning").read_text("utf-8")
    )
    assert "haloassay claims zhai-binning" in text
    assert CLAIM["statement"] in call("describe", write()).text
    assert "'marginn'" in call("describe", write(marginn=1)).refusal
    monkeypatch.setenv("_HALOASSAY_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "haloassay claims zhai-b")
    monkeypatch.setenv("COMP_CWORD", "2")
    assert "plain,zhai-beta\nplain,zhai-binning" in call().text
