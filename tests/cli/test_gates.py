"""`compare`, `baseline` and `run --fail-if`, as somebody's CI calls them."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest
from refusing import refused
from seeds import shifted

import haloassay
from haloassay.engine.progress import Silent

pytestmark = pytest.mark.long

SCENARIO = """
name = "gated"
title = "A small run"
realizations = 30
seed = {seed}

[mock]
kind = "local-jeans-gaussian"
potential = {{ kind = "nfw", m200 = 1e12, c = 12.0 }}
density = {{ kind = "power-law", slope = -3.5 }}
beta = {{ kind = "constant", beta = 0.3 }}
r_range = [5.0, 100.0]

[survey]
preset = "perfect"
n_stars = 150

[[estimators]]
kind = "tracer-mass"
alpha = {alpha}
bins = [5.0, 20.0, 100.0]
n_bootstrap = 20
"""


def run(folder, alpha=-3.5, seed=21):
    scenario = folder / "gated.toml"
    scenario.write_text(SCENARIO.format(alpha=alpha, seed=shifted(seed)))
    haloassay.run(scenario, folder / "out", workers=0, progress=Silent())
    return folder / "out"


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    return run(tmp_path_factory.mktemp("old"))


@pytest.fixture(scope="module")
def steeper(tmp_path_factory):
    return run(tmp_path_factory.mktemp("new"), alpha=-3.6)


@pytest.fixture(scope="module")
def kept(old):
    file = old.parent / "baseline.json"
    haloassay.baseline(old, file)
    return file


def test_a_run_is_the_same_as_its_baseline(call, old, kept):
    answer = call("compare", kept, old)
    assert answer.code == 0, answer.err
    assert "0 moved" in answer.text
    assert "0 cannot be told" in answer.text


def test_what_moved_is_named_with_its_size_and_ends_with_1(call, kept, steeper):
    answer = call("compare", kept, steeper)
    assert answer.code == 1
    moved = answer.text.split("\nmoved\n")[1]
    assert "tracer-mass  M(< " in moved
    assert "±" in moved


def test_a_baseline_says_what_the_folder_says(old, kept, steeper):
    """Of both, all differences from a third run agree within the digits that the file keeps."""
    of_folder, of_file = (haloassay.compare(side, steeper) for side in (old, kept))
    assert len(of_folder.rows) == len(of_file.rows) > 10
    for whole, small in zip(of_folder.rows, of_file.rows, strict=True):
        assert (small.key, small.answer, small.n) == (whole.key, whole.answer, whole.n)
        assert small.difference == pytest.approx(whole.difference, abs=1e-4)
        assert small.mcse == pytest.approx(whole.mcse, abs=1e-4)


def test_a_baseline_is_text_with_the_scores_of_each_row_on_a_line(call, old, tmp_path):
    file = tmp_path / "baseline.json"
    answer = call("baseline", old, "--out", file)
    assert answer.code == 0, answer.err
    assert "rows of 30 realisations" in answer.text
    told = json.loads(file.read_text())
    scores = haloassay.table(old)
    assert [row["bias"] for row in told["rows"]] == pytest.approx(list(scores["bias"]), rel=1e-5)
    assert sum('"quantity": "enclosed_mass"' in line for line in file.read_text().split("\n")) == 2


def test_a_large_run_keeps_as_many_realisations_as_fit(old, monkeypatch):
    most = int(0.8 * len(haloassay.baseline(old)))
    monkeypatch.setattr("haloassay.results.baseline.LARGEST", most)
    text = haloassay.baseline(old)
    assert len(text) <= most
    assert 10 <= len(json.loads(text)["rows"][0]["e"]) < 30
    monkeypatch.setattr("haloassay.results.baseline.LARGEST", 1000)
    with pytest.raises(haloassay.InputError, match="fewer cells, estimators or bins"):
        haloassay.baseline(old)


def test_other_catalogues_are_compared_without_pairs(call, kept, tmp_path):
    answer = call("compare", kept, run(tmp_path, seed=22))
    assert answer.code == 0
    assert "(0 of them by realisation)" in answer.text
    assert "other catalogues than before, so not by realisation: base" in answer.text


def test_programs_and_pull_requests_are_told_the_same(call, kept, steeper):
    found = haloassay.compare(kept, steeper)
    moved = [row for row in found.rows if row.answer == "moved"]
    told = json.loads(call("compare", kept, steeper, "--format", "json").text)
    assert told["moved"]
    assert sum(row["answer"] == "moved" for row in told["rows"]) == len(moved)
    suite = ElementTree.fromstring(call("compare", kept, steeper, "--format", "junit").text)
    assert int(suite.get("tests")) == len(found.rows) == len(suite)
    assert int(suite.get("failures")) == len(suite.findall("testcase/failure")) == len(moved)
    page = call("compare", kept, steeper, "--format", "markdown").text
    assert page.startswith("**haloassay compare: moved.**")
    assert page.count("| tracer-mass |") >= len(moved)


def test_two_runs_with_nothing_in_common_are_exit_3(call, old, tmp_path):
    other = tmp_path / "gated.toml"
    text = SCENARIO.format(alpha=-3.5, seed=1).replace(
        '"tracer-mass"', '"tracer-mass"\nlabel = "b"'
    )
    other.write_text(text.replace("realizations = 30", "realizations = 2"))
    haloassay.run(other, tmp_path / "out", workers=0, progress=Silent())
    answer = call("compare", old, tmp_path / "out")
    assert answer.code == 3
    assert "have no row in common" in answer.err


def _with(**changes):
    def change(text):
        return json.dumps({**json.loads(text), **changes})

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text[: len(text) // 2], "is neither a results folder nor a baseline"),
        (lambda text: "[]", "is neither a results folder nor a baseline"),
        (lambda text: "[" * 5000, "is neither a results folder nor a baseline"),
        (
            lambda text: text.replace("tracer-mass", "tracer-mess"),
            "is damaged, or was edited by hand",
        ),
        (
            lambda text: text.replace('"r": ', '"r": NaN, "s": ', 1),
            "is neither a results folder nor",
        ),
        (_with(format=7), "is a baseline of format 7, of haloassay 0.1.0; this version reads 1"),
    ],
)
def test_a_baseline_that_is_damaged_or_of_another_format_is_one_line(
    call, kept, old, tmp_path, change, said
):
    file = tmp_path / "baseline.json"
    file.write_text(change(kept.read_text()))
    refused(call, tmp_path, "compare", file, old, words=[said])


def test_what_cannot_be_compared_is_one_line(call, old, kept, tmp_path):
    none = tmp_path / "none.json"
    for arguments, said in (
        (("compare", __file__, old), "is neither a results folder nor a baseline"),
        (("compare", none, old), "cannot be read"),
        (("compare", kept, old, "--margin", "0"), "margin: must be above 0"),
        (("compare", kept, old, "--alpha", "1"), "alpha: must be above 0"),
        (("compare", kept, old, "--out", kept), "is the old baseline itself"),
        (("baseline", old, "--out", tmp_path / "no" / "b.json"), "there is no folder"),
        (("baseline", tmp_path, "--out", none), "is not a results folder"),
    ):
        refused(call, tmp_path, *arguments, words=[said])


def test_a_run_that_may_not_be_so_ends_with_1_and_says_where(call, tmp_path):
    scenario = tmp_path / "gated.toml"
    scenario.write_text(SCENARIO.format(alpha=-3.5, seed=shifted(21)))
    again = ("run", scenario, "--out", tmp_path / "out", "-j", "0", "--no-report")
    answer = call(*again, "--fail-if", "n < 30", "--fail-if", "abs(bias) > 99")
    assert answer.code == 0, answer.err
    answer = call(*again, "--fail-if", "scatter > 0.0 for quantity=enclosed_mass")
    assert answer.code == 1
    assert "fail-if 'scatter > 0.0 for quantity=enclosed_mass': holds for 2 of 2 rows" in answer.err
    assert "the first: tracer-mass, M(< " in answer.err
    answer = call(*again, "--fail-on-verdict")
    assert answer.code == 1
    assert "verdict: tracer-mass, M(<r), cell base: " in answer.err
    refused(call, tmp_path, *again, "--fail-if", "1 > 0", words=["names no column"])


def test_an_estimator_that_gives_no_value_at_all_fails_by_its_success(call, tmp_path):
    scenario = tmp_path / "gated.toml"
    text = SCENARIO.format(alpha=-3.5, seed=1).replace("realizations = 30", "realizations = 2")
    never = '\n[[estimators]]\nkind = "velocity-ellipsoid"\nbins = [5.0, 20.0]\nmin_stars = 1000\n'
    scenario.write_text(text + never)
    command = ("run", scenario, "--out", tmp_path / "out", "-j", "0", "--no-report")
    answer = call(*command, "--fail-if", "success < 0.5")
    assert answer.code == 1
    assert "the first: velocity-ellipsoid" in answer.err
