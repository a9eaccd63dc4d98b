"""What `measure` prints is what the function of the same name returns."""

from __future__ import annotations

import io
import json

import numpy as np
import pandas as pd
import pytest
from made_up_stars import table_of, write_csv
from printed import read_table

import haloassay
from haloassay.base.errors import InputError
from haloassay.io.tables import read_catalogue


def test_measure_formats_agree(stars, call, tmp_path):
    command = ("measure", stars, "--estimator", "velocity-ellipsoid")
    expected = haloassay.measure(stars, "velocity-ellipsoid").to_frame()
    table = read_table(call(*command, "--format", "csv").out, "csv")
    np.testing.assert_array_equal(table["value"], expected["value"])
    rows = json.loads(call(*command, "--format", "json").out)
    found = np.array([row["value"] for row in rows], dtype=float)  # null: without a value
    np.testing.assert_allclose(found, expected["value"], rtol=1e-12)
    lines = call(*command).text.splitlines()
    assert [line.split()[0] for line in lines] == list(expected["quantity"])
    assert call(*command, "--format", "csv", "--out", tmp_path / "m.csv").out == b""
    assert (tmp_path / "m.csv").read_bytes() == call(*command, "--format", "csv").out


def test_measure_settings(stars, call):
    options = {
        "alpha.slopes": "[-2.5, -4.0]",
        "alpha.breaks": "[20.0]",
        "beta": "0.2",
        "subtract_mean": "false",
        "at": "outermost",
        "data": '"r-v"',
        "n_bootstrap": "20",
    }
    flags = [word for key, value in options.items() for word in ("--set", f"{key}={value}")]
    answer = call("measure", stars, "--estimator", "tracer-mass", *flags, "--format", "json")
    assert answer.code == 0
    (row,) = json.loads(answer.out)
    expected = haloassay.measure(
        stars,
        "tracer-mass",
        alpha={"slopes": [-2.5, -4.0], "breaks": [20.0]},
        beta=0.2,
        subtract_mean=False,
        at="outermost",
        data="r-v",
        n_bootstrap=20,
    )
    assert row["value"] == pytest.approx(expected.rows[0].value, rel=1e-12)
    assert row["r"] == pytest.approx(read_catalogue(stars).r.max())


def test_measure_draws_errors_where_asked(call, tmp_path):
    blurred = np.hstack([table_of(60), np.full((60, 3), 4.0)])
    file = write_csv(tmp_path / "b.csv", blurred, "x,y,z,vx,vy,vz,x_err,y_err,z_err")
    command = ("measure", file, "--estimator", "velocity-ellipsoid", "--format", "csv")
    plain, linear, drawn = (
        read_table(call(*command, *words).out, "csv")["value"]
        for words in ((), ("--propagation", "linear"), ("--propagation", "monte-carlo"))
    )
    np.testing.assert_array_equal(plain, linear)
    expected = haloassay.measure(file, "velocity-ellipsoid", propagation="monte-carlo")
    np.testing.assert_array_equal(drawn, expected.to_frame()["value"])
    assert np.all(drawn != linear)
    with pytest.raises(InputError, match="unknown propagation 'draws'"):
        haloassay.measure(file, "velocity-ellipsoid", propagation="draws")


def test_measure_names_units_and_drops(stars, call, tmp_path):
    lines = stars.read_text().splitlines()[1:]
    plain = tmp_path / "plain.csv"
    in_pc = ([float(value) for value in line.split(",")] for line in lines)
    rows = [f"7,{v[0] * 1e3!r},{','.join(map(repr, v[1:]))}" for v in in_pc]
    plain.write_text("\n".join([*rows, rows[3], "7,nan,1,2,3,4,5"]) + "\n")
    answer = call(
        *("measure", plain, "--estimator", "velocity-ellipsoid", "--format", "csv"),
        *("--columns", "-,x,y,z,vx,vy,vz", "--unit", "x=pc", "--drop", "nan,duplicates"),
    )
    assert answer.code == 0
    assert answer.err.splitlines() == [
        f"{plain}: 1 rows dropped: nan",
        f"{plain}: 1 rows dropped: duplicates",
        f"{plain}: the Sun at x = -8.122, z = 0.0208 kpc, moving by (12.9, 245.6, 7.78) km/s "
        "(li2026, the default)",
        f"{plain}: 60 stars",
    ]
    found = pd.read_csv(io.BytesIO(answer.out))
    expected = haloassay.measure(stars, "velocity-ellipsoid").to_frame()
    np.testing.assert_allclose(found["value"], expected["value"], rtol=1e-9)


def test_measure_renamed_columns(stars, call, tmp_path):
    path = tmp_path / "renamed.csv"
    path.write_text(stars.read_text().replace("x,y,z,vx,vy,vz", "X,y,z,U,vy,vz"))
    command = ("--estimator", "velocity-ellipsoid", "--format", "csv")
    answer = call("measure", path, *command, "--columns", "x=X,vx=U")
    assert answer.out == call("measure", stars, *command).out


def test_measure_globular_clusters_as_in_the_readme(call):
    answer = call(
        "measure", "galpy:mw-globular-clusters", "--estimator", "tracer-mass", "--set", "alpha=-3.5"
    )
    assert answer.code == 0
    assert answer.text.startswith("enclosed_mass")
    assert "Msun" in answer.text
    assert "rows dropped: nan" in answer.err


def test_measure_says_why_there_is_no_value(call, stars, tmp_path):
    one = tmp_path / "one.csv"
    one.write_text("\n".join(stars.read_text().splitlines()[:2]) + "\n")
    answer = call("measure", one, "--estimator", "velocity-ellipsoid")
    assert answer.code == 3
    assert answer.text.count("cannot be determined: too few stars: 1, at least 10") == 10
    sun, *rest = answer.err.splitlines()
    assert sun.startswith(f"{one}: the Sun at x = -8.122, z = 0.0208 kpc, moving by ")
    assert rest[0] == f"{one}: 1 star"
    assert rest[1].startswith(f"haloassay: {one}: determines no quantity")


@pytest.mark.parametrize("name", ["Broken", "Silent"])
def test_measure_with_an_estimator_that_breaks(call, stars, name):
    answer = call("measure", stars, "--estimator", f"fingerprint:{name}")
    assert answer.code == 2
    reason = {"Broken": "ZeroDivisionError: by design", "Silent": "no rows"}[name]
    assert reason in answer.refusal
