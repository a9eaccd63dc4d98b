"""`table`: one screen, every bin on request, and rows and columns by name in every format."""

from __future__ import annotations

import io
import re

import pandas as pd
import pytest
from printed import read_table

import haloassay


@pytest.fixture(scope="module")
def scores(finished):
    return haloassay.table(finished[0])


def test_one_screen_by_default_and_every_bin_with_full(finished, call, scores):
    folder, run = finished
    text = call("table", folder).text
    assert text == run.text
    pairs = scores[["estimator", "quantity"]].drop_duplicates()
    lines = [line for line in text.splitlines() if re.match("velocity-ellipsoid|fingerprint", line)]
    assert len(lines) == len(pairs)
    assert "Largest changes of the bias from cell base" in text
    assert "survey.distance_scale=1.1" in text
    assert len(text.splitlines()) < 40
    full = call("table", folder, "--full").text
    assert "velocity-ellipsoid — survey.distance_scale=1.1" in full
    assert full.count("⟨v_φ⟩") == 4
    for bad in (("--format", "csv"), ("--paired",)):
        assert "--full" in call("table", folder, "--full", *bad).refusal


@pytest.mark.parametrize("fmt", ["csv", "ecsv", "parquet"])
def test_rows_and_columns_by_name_in_files(finished, call, scores, fmt):
    wanted = ("--quantity", "beta", "--quantity", "sigma_r", "--cell", "base")
    answer = call(
        *("table", finished[0], "--format", fmt, *wanted),
        *("--columns", "quantity,r,bias", "--columns", "survey.distance_scale"),
    )
    table = read_table(answer.out, fmt)
    expected = scores[scores["quantity"].isin(["beta", "sigma_r"]) & (scores["cell"] == "base")]
    assert list(table.columns) == ["quantity", "r", "bias", "survey.distance_scale"]
    assert list(table["quantity"]) == list(expected["quantity"])
    assert list(table["bias"].astype(float)) == list(expected["bias"])


def test_rows_by_name_for_readers(finished, call):
    wanted = ("table", finished[0], "--estimator", "velocity-ellipsoid", "--quantity", "beta")
    columns = ("--columns", "r,bias,bias_mcse,r_lo")
    markdown = call(*wanted, "--format", "markdown", *columns).text.splitlines()
    assert markdown[0].replace("\\", "") == "| r [kpc] | bias | bias mcse | r lo |"
    assert len(markdown) == 2 + 4
    latex = call(*wanted, "--format", "latex", *columns).text
    assert latex.count(r" \\") == 5
    terminal = call(*wanted, *columns).text.splitlines()
    assert len(terminal) == 1 + 2 + 4
    screen = call(*wanted).text
    assert screen.count("velocity-ellipsoid") == screen.count("β") > 0
    assert "fingerprint  " not in screen


@pytest.mark.parametrize(
    ("by", "key", "largest_first"),
    [("bias", None, False), ("-bias", None, True), ("-abs(bias)", abs, True)],
)
def test_rows_in_the_order_of_a_column(finished, call, scores, by, key, largest_first):
    text = call("table", finished[0], "--format", "csv", "--sort", by).text
    biases = pd.read_csv(io.StringIO(text))["bias"]
    known = sorted(scores["bias"].dropna(), key=key, reverse=largest_first)
    assert list(biases)[: len(known)] == known  # the rest has none
    assert biases[len(known) :].isna().all()
    shown = call("table", finished[0], "--sort", by, "--columns", "bias").text.splitlines()
    assert len(shown) == 3 + len(scores)


def test_pairs_are_chosen_alike(finished, call):
    answer = call(
        *("table", finished[0], "--paired", "--format", "csv", "--quantity", "beta"),
        *("--sort=-abs(shift)", "--columns", "r,shift"),
    )
    table = pd.read_csv(io.StringIO(answer.text))
    assert list(table.columns) == ["r", "shift"]
    assert len(table) == 2
    assert table["shift"].abs().is_monotonic_decreasing


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--quantity", "bta"), "--quantity: unknown quantity 'bta'; did you mean 'beta'?"),
        (("--estimator", "fingerprnt"), "did you mean 'fingerprint'?"),
        (("--cell", "bas"), "--cell: unknown cell 'bas'; did you mean 'base'?"),
        (("--columns", "r,baises"), "--columns: unknown column 'baises'; did you mean 'bias'?"),
        (("--sort", "scater"), "--sort: unknown column 'scater'; did you mean 'scatter'?"),
        (("--sort", "abs(cell)"), "'cell' is no column of numbers"),
    ],
)
def test_a_misspelt_name_is_refused_with_the_nearest(finished, call, arguments, said):
    answer = call("table", finished[0], *arguments)
    assert answer.code == 2
    assert said in answer.refusal
