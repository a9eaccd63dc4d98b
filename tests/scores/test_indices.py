"""Sobol' indices of a run whose response is known."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import synthetic_budget as known
from seeds import seeded

from haloassay.analysis.budget import budgets
from haloassay.reports import budget as words

VARIANCE = known.TOGETHER**2
FIRST = {label: sd**2 / VARIANCE for label, sd in known.SD.items()}
#: The product of x and y is all that is not additive.
BOTH = known.C**2 / 3.0 / VARIANCE
TOTAL = {**FIRST, "x": FIRST["x"] + BOTH, "y": FIRST["y"] + BOTH}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return known.results(tmp_path_factory.mktemp("indices"), seeded(31), n=100, rows=256)


@pytest.fixture(scope="module")
def found(run):
    (budget,) = budgets(run, "m200")
    return budget


def test_indices_are_their_exact_values(found):
    assert found.indices.found.n == 256
    for label in FIRST:
        for (value, error, lo, hi), exact in zip(
            found.indices.of(label), (FIRST[label], TOTAL[label]), strict=True
        ):
            assert abs(value - exact) < 4.0 * error + 0.01, label
            assert lo < hi


def test_tables_have_them_as_columns(found):
    heads, rows = words.heads(found), words.rows(found)
    assert heads[-2:] == ["first", "total"]
    assert all(len(row) == len(heads) for row in rows)
    x = next(row for row in rows if row[0].startswith("x "))
    assert float(x[-2].split()[0]) == pytest.approx(found.indices.of("x")[0][0], abs=0.006)
    assert rows[0][-2:] == ["", ""]
    frame = words.frame([found]).set_index(["item", "label"])
    assert frame.loc[("factor", "y"), "total"] == found.indices.of("y")[1][0]
    assert frame.loc[("factor", "y"), "first_hi"] == found.indices.of("y")[0][3]
    assert words.latex(found, {"scenario": {"name": "n", "seed": 1}, "versions": {}}).count(
        "lrrrrrr"
    )


def test_rows_that_lost_a_catalogue_are_left_out(run, tmp_path):
    rows = pd.read_parquet(run.estimates_files[0])
    file = tmp_path / "thin.parquet"
    rows[(rows["cell"] != "saltelli") | (rows["realization"] % 100 != 3)].to_parquet(file)
    (thin,) = budgets(dataclasses.replace(run, estimates_files=[file]), "m200")
    # a row has 5 matrices of 2 catalogues: every tenth lost one
    assert (thin.indices.found.n, thin.indices.found.n_lost) == (230, 26)


def test_why_they_cannot_be_determined_is_said(tmp_path):
    (budget,) = budgets(known.results(tmp_path, seeded(32), n=40, rows=16), "m200")
    said = "Sobol' indices cannot be determined, because 16 rows with all values, fewer than 32"
    assert said in budget.notes
    assert words.heads(budget)[-1] == "share"
    assert np.isnan(budget.indices.of("x")[0][0])
