"""What `mock` writes is what a run observes, in any format; and the function of the same name does the same."""

from __future__ import annotations

import json
import shlex

import numpy as np
import pandas as pd
import pytest
from fingerprint import fingerprint
from printed import read_table
from seeds import shifted

import haloassay
from haloassay.base.errors import InputError
from haloassay.face.failures import again
from haloassay.io.tables import read_catalogue
from haloassay.results.results import Results


@pytest.mark.parametrize(
    "suffix", ["parquet", "fits", "ecsv", "csv", "hdf5", "vot", "txt", "csv.gz"]
)
def test_mock_writes_each_format_without_loss(small, call, tmp_path, suffix):
    path = tmp_path / f"stars.{suffix}"
    answer = call("mock", small, "--out", path)
    assert (answer.code, answer.text) == (0, f"150 stars: {path}\n")
    catalogue = haloassay.mock(small).catalogue
    again = read_catalogue(path)
    for name, values in catalogue.columns.items():
        np.testing.assert_array_equal(again[name], values)
    assert again.sun == catalogue.sun


def test_mock_is_the_catalogue_that_run_measured(finished, small):
    rows = (
        Results(finished[0])
        .frame("estimates")
        .query("cell == 'base' and quantity == 'fingerprint'")
    )
    measured = rows.set_index("realization")["value"]
    assert len(measured) == 12
    for realization in (0, 1, 11):
        catalogue = haloassay.mock(small, realization=realization).catalogue
        assert fingerprint(catalogue) == measured[realization]
    assert measured.nunique() == 12


def test_the_folder_of_results_gives_their_catalogues_again(finished, call, tmp_path):
    """As `failures` writes the command, word for word."""
    runs = Results(finished[0]).frame("runs").query("cell != 'base' and realization == 3")
    words = shlex.split(again(Results(finished[0]), runs.iloc[0]))
    path = tmp_path / "again.parquet"
    answer = call(*words[1:-1], path)
    assert (answer.code, answer.text) == (0, f"150 stars: {path}\n")
    rows = Results(finished[0]).frame("estimates").query("quantity == 'fingerprint'")
    row = rows.merge(runs[["cell", "realization", "estimator"]])
    assert fingerprint(read_catalogue(path)) == row["value"].item()


def test_run_is_mock_then_measure(finished, small, call, tmp_path):
    """By files: the estimates of realisation 0 are those of `measure` on the file that `mock` writes."""
    call("mock", small, "--out", tmp_path / "m.parquet")
    options = ("--set", "bins=[5.0, 20.0, 100.0]", "--seed", str(shifted(11)), "--format", "csv")
    answer = call("measure", tmp_path / "m.parquet", "--estimator", "velocity-ellipsoid", *options)
    found = read_table(answer.out, "csv")
    rows = Results(finished[0]).frame("estimates")
    rows = rows.query("cell == 'base' and realization == 0 and estimator == 'velocity-ellipsoid'")
    keys = ["quantity", "bin"]
    merged = rows.merge(found, on=keys, suffixes=("_run", ""))
    assert len(merged) == 20
    for name in ("value", "lo68", "hi68", "lo95", "hi95", "r", "r_lo", "r_hi"):
        np.testing.assert_array_equal(merged[name], merged[f"{name}_run"])


def test_mock_seed_realization_and_number(small, call, tmp_path):
    def columns(*options):
        assert call("mock", small, "--out", tmp_path / "m.csv", *options).code == 0
        return (tmp_path / "m.csv").read_text()

    base = columns()
    assert columns() == columns("--seed", str(shifted(11))) == columns("--realization", "0") == base
    assert len({base, columns("--seed", str(shifted(12))), columns("--realization", "1")}) == 3
    fewer = columns("-n", "7").splitlines()
    head = sum(line.startswith("#") for line in fewer)
    assert fewer == base.splitlines()[: head + 8]


def test_mock_truth_file(small, call, tmp_path):
    call("mock", small, "--out", tmp_path / "m.csv", "--truth", tmp_path / "truth.json")
    truth = json.loads((tmp_path / "truth.json").read_text())
    assert truth["m200"] == pytest.approx(1e12)
    assert truth["c200"] == pytest.approx(12.0)
    assert truth["units"]["enclosed_mass"] == "Msun"
    _, stars, expected, _ = haloassay.mock(small)
    r = np.array(truth["r"])
    assert (r[0], r[-1]) == pytest.approx((stars.r.min(), stars.r.max()))
    np.testing.assert_allclose(truth["enclosed_mass"], expected.profile("enclosed_mass", r))
    np.testing.assert_allclose(truth["beta"], 0.3, atol=0.005)


def test_mock_true_stars(call, small, tmp_path):
    call("mock", small, "--out", tmp_path / "m.parquet", "--true-stars")
    catalogue = read_catalogue(tmp_path / "m.parquet")
    _, stars, _, origins = haloassay.mock(small)
    np.testing.assert_array_equal(catalogue.position, stars.position)
    np.testing.assert_array_equal(catalogue.velocity, stars.velocity)
    assert [(origin.name, origin.member) for origin in origins] == [("halo", True)]
    written = pd.read_parquet(tmp_path / "m.parquet")
    assert (written["origin"] == 0).all()
    assert (written["member"] == 1).all()


def test_mock_of_a_cell_is_the_catalogue_of_that_cell(call, small, tmp_path):
    call("mock", small, "--out", tmp_path / "m.parquet", "--cell", "survey.distance_scale=1.1")
    written = read_catalogue(tmp_path / "m.parquet")
    base = haloassay.mock(small).catalogue
    np.testing.assert_allclose(written["distance"], 1.1 * base["distance"], rtol=1e-12)
    with pytest.raises(InputError, match="unknown cell 'n=1'"):
        haloassay.mock(small, cell="n=1")
