"""Unusable input of any kind: one line that says what, where and what is allowed; exit 2; nothing written."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_up_stars import table_of, write_csv
from refusing import refused
from seeds import seeded

import haloassay

GALACTOCENTRIC = "x,y,z,vx,vy,vz"
HELIOCENTRIC = "ra,dec,distance,pmra,pmdec,vlos"
KIND = ("--estimator", "velocity-ellipsoid")


# ---------------------------------------------------------------------------------------------- usage

USAGE = {
    "unknown command": (["frog"], ["No such command 'frog'", "haloassay --help"]),
    "unknown option": (["run", "quickstart", "--frog"], ["--frog", "haloassay run --help"]),
    "no catalogue": (["measure"], ["CATALOGUE"]),
    "no estimator": (["measure", "STARS"], ["--estimator"]),
    "no folder": (["run", "quickstart"], ["--out"]),
    "two scenarios": (["run", "a", "b", "--out", "OUT"], ["extra argument"]),
    "realizations no number": (["run", "quickstart", "--out", "OUT", "-n", "many"], ["many"]),
    "level without a name": (["run", "zhai2018", "--out", "OUT", "--only", "3"], ["FACTOR=LEVEL"]),
    "level of no factor": (
        ["run", "league", "--out", "OUT", "--only", "star=300"],
        ["unknown factor 'star'", "did you mean 'stars'"],
    ),
    "table format": (["table", "OUT", "--format", "xls"], ["xls", "ecsv"]),
    "measure format": (["measure", "STARS", *KIND, "--format", "xml"], ["xml", "json"]),
    "list of nothing": (["list"], ["estimators"]),
    "list of frogs": (["list", "frogs"], ["frogs", "estimators"]),
    "describe frog": (["describe", "frog"], ["unknown name 'frog'", "haloassay list", "scenarios"]),
    "describe nearly": (["describe", "quikstart"], ["did you mean 'quickstart'"]),
}

SETTINGS = {
    "unknown estimator": (["--estimator", "jeans3d"], ["jeans3d", "did you mean 'jeans-3d'"]),
    "module not there": (["--estimator", "nope:Class"], ["cannot be imported", "nope"]),
    "class not there": (["--estimator", "fingerprint:Nope"], ["cannot be imported", "Nope"]),
    "not an estimator": (["--estimator", "os:path"], ["not a subclass"]),
    "unknown setting": ([*KIND, "--set", "edges=[1,2]"], ["edges", "bins"]),
    "kind as a setting": ([*KIND, "--set", "kind=jeans-3d"], ["--estimator"]),
    "seed as a setting": ([*KIND, "--set", "seed=3"], ["unknown setting 'seed'"]),
    "missing setting": (["--estimator", "tracer-mass"], ["'alpha' is missing"]),
    "fraction for a whole number": ([*KIND, "--set", "min_stars=12.5"], ["min_stars", "12.5"]),
    "text for a number": ([*KIND, "--set", "n_draws=many"], ["n_draws", "many"]),
    "too small": ([*KIND, "--set", "min_stars=1"], ["min_stars: at least 5 (got 1)"]),
    "too large for any machine": ([*KIND, "--set", "n_draws=1000000000000"], ["memory"]),
    "bins in disorder": ([*KIND, "--set", "bins=[20,10]"], ["bins", "[20.0, 10.0]"]),
    "bins without an edge": ([*KIND, "--set", "bins=[]"], ["bins", "two edges"]),
    "nan bin": ([*KIND, "--set", "bins=[1,nan]"], ["bins", "nan"]),
    "date as bins": ([*KIND, "--set", "bins=1979-05-27"], ["bins", "not a plain value"]),
    "no equals sign": ([*KIND, "--set", "min_stars"], ["expected KEY=VALUE"]),
    "no key": ([*KIND, "--set", "=3"], ["expected KEY=VALUE"]),
    "value and table": (
        [*KIND, "--set", "bins=[1,5]", "--set", "bins.x=3"],
        ["'bins' has a value already"],
    ),
    "nested unknown": (
        ["--estimator", "tracer-mass", "--set", "alpha.slope=3"],
        ["alpha", "slope"],
    ),
    "negative seed": ([*KIND, "--seed", "-1"], ["seed", "-1"]),
    "unknown sun": ([*KIND, "--sun", "mars"], ["mars", "bird2022"]),
    "unknown defect": ([*KIND, "--drop", "frogs"], ["frogs", "duplicates"]),
    "too few names": ([*KIND, "--columns", "x,y"], ["2 names for 6 columns"]),
    "unknown name": ([*KIND, "--columns", "X=x"], ["'X'"]),
    "name of no column": ([*KIND, "--columns", "x=dist"], ["'dist'", "has: x, y"]),
    "unit of no column": ([*KIND, "--unit", "dist=pc"], ["'dist'"]),
    "unknown unit": ([*KIND, "--unit", "x=parsnip"], ["parsnip", "kpc"]),
    "wrong unit": ([*KIND, "--unit", "x=km/s"], ["km/s", "kpc"]),
    "zero as a unit": ([*KIND, "--unit", "vx=0"], ["vx", "not zero"]),
    "output is a folder": ([*KIND, "--out", "FOLDER"], ["is a folder"]),
    "output in no folder": ([*KIND, "--out", "FOLDER/no/m.csv"], ["there is no folder"]),
    "output in a file": ([*KIND, "--out", "STARS/m.csv"], ["there is no folder"]),
}


def fill(arguments, stars, folder):
    names = {"STARS": str(stars), "OUT": str(folder / "out"), "FOLDER": str(folder)}
    return [
        names.get(word.split("/")[0], word.split("/")[0]) + word[len(word.split("/")[0]) :]
        for word in arguments
    ]


@pytest.mark.parametrize("case", USAGE)
def test_usage(call, stars, tmp_path, case):
    arguments, words = USAGE[case]
    refused(call, tmp_path, *fill(arguments, stars, tmp_path), words=words)


@pytest.mark.parametrize("case", SETTINGS)
def test_settings_of_measure(call, stars, tmp_path, case):
    arguments, words = SETTINGS[case]
    command = fill(["measure", "STARS", *arguments], stars, tmp_path)
    refused(call, tmp_path, *command, words=words)


# ---------------------------------------------------------------------------------------------- catalogues


def with_value(row, column, value):
    def edit(table):
        table[row, column] = value
        return table

    return edit


def repeated(table):
    table[7] = table[2]
    return table


def sky(edit=None, errors=""):
    """Heliocentric table, and the header that names it; extra columns of ones for ``errors``."""
    rng = seeded(5)
    n = 40
    low, high = [0, -80, 1, -3, -3, -300], [360, 80, 40, 3, 3, 300]
    table = rng.uniform(low, high, (n, 6))
    if errors:
        table = np.concatenate([table, np.full((n, len(errors.split(","))), 0.1)], axis=1)
    header = ",".join(filter(None, [HELIOCENTRIC, errors]))
    return (edit(table) if edit else table), header


CATALOGUES = {
    "nan": (table_of(40), GALACTOCENTRIC, with_value(3, 1, np.nan), ["y is NaN", "(4)"]),
    "infinity": (table_of(40), GALACTOCENTRIC, with_value(0, 5, -np.inf), ["vz is NaN or inf"]),
    "duplicate": (table_of(40), GALACTOCENTRIC, repeated, ["repeats an earlier row", "(8)"]),
    "absurd velocity": (table_of(40), GALACTOCENTRIC, with_value(5, 4, 9e3), ["1500 km/s", "(6)"]),
    "overflowing velocity": (table_of(40), GALACTOCENTRIC, with_value(5, 4, 1e200), ["1500 km/s"]),
    "overflowing position": (table_of(40), GALACTOCENTRIC, with_value(5, 0, 1e300), ["radius"]),
    "zeros for positions": (
        table_of(40),
        GALACTOCENTRIC,
        lambda table: table * [0, 0, 0, 1, 1, 1],
        ["radius is zero", "in 40 rows"],
    ),
    "no rows": (table_of(40), GALACTOCENTRIC, lambda table: table[:0], ["no rows"]),
    "truth": (table_of(40), "x,y,z,vx,vy,true_vz", None, ["true_vz", "holds a truth"]),
    "missing column": (table_of(40), "x,y,z,vx,vy,V", None, ["missing column vz"]),
    "negative distance": (*sky(), with_value(1, 2, -4.0), ["distance is zero or negative", "(2)"]),
    "zero distance": (*sky(), with_value(1, 2, 0.0), ["distance is zero or negative"]),
    "declination": (*sky(), with_value(1, 1, 91.0), ["dec is outside"]),
    "negative error": (*sky(errors="vlos_err"), with_value(9, 6, -1.0), ["vlos_err is negative"]),
    "one error of two": (*sky(errors="pmra_err"), None, ["'pmdec_err' is missing"]),
    "singular covariance": (
        *sky(errors="pmra_err,pmdec_err,pm_corr"),
        with_value(4, 8, 1.0),
        ["pm_corr is not between -1 and 1", "(5)"],
    ),
    "transverse velocity of thousands of km/s": (
        *sky(),
        with_value(2, 3, 800.0),
        ["total Galactocentric speed"],
    ),
}


@pytest.mark.parametrize("case", CATALOGUES)
def test_catalogue(call, tmp_path, case):
    table, header, change, words = CATALOGUES[case]
    path = write_csv(tmp_path / "stars.csv", change(table.copy()) if change else table, header)
    line = refused(call, tmp_path, "measure", path, *KIND, words=words)
    assert str(path) in line


def test_unit_that_a_file_does_not_know(call, tmp_path):
    path = tmp_path / "stars.ecsv"
    haloassay.write_catalogue(haloassay.Catalogue.from_arrays(**named(table_of(20))), path)
    path.write_text(path.read_text().replace("unit: kpc", "unit: parsnip", 1))
    refused(call, tmp_path, "measure", path, *KIND, words=["parsnip", "column x"])


def named(table):
    return dict(zip(GALACTOCENTRIC.split(","), table.T, strict=True))


SUFFIXES = ["fits", "fits.gz", "ecsv", "csv", "parquet", "hdf5", "txt"]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("content", ["empty", "garbage", "truncated", "another format"])
def test_files_that_are_not_what_they_say(call, tmp_path, suffix, content):
    path = tmp_path / f"stars.{suffix}"
    haloassay.write_catalogue(haloassay.Catalogue.from_arrays(**named(table_of(500))), path)
    data = path.read_bytes()
    if content == "truncated" and suffix in ("csv", "txt"):
        data = data[: data.rindex(b"\n", 0, len(data) // 2) + 30]  # in the middle of a row
    path.write_bytes(
        {
            "empty": b"",
            "garbage": seeded(1).bytes(3000),
            "truncated": data if len(data) < len(path.read_bytes()) else data[: len(data) // 2],
            "another format": b"%PDF-1.4 is a text\nof two lines",
        }[content]
    )
    line = refused(call, tmp_path, "measure", path, *KIND, words=[str(path)])
    assert len(line) < 400


def test_places_that_are_not_files(call, tmp_path):
    (tmp_path / "folder.csv").mkdir()
    for source, word in (
        (tmp_path / "folder.csv", "is a folder"),
        (tmp_path / "absent.csv", "no such file"),
        (tmp_path, "unknown format"),
        (tmp_path / "stars.xlsx", "unknown format"),
        ("galpy:nope", "galpy:mw-globular-clusters"),
        ("", "unknown format"),
        ("a\0b.csv", "zero byte"),
        (f"{'x' * 5000}.csv", "too long"),
    ):
        refused(call, tmp_path, "measure", source, *KIND, words=[word])


def test_not_utf8(call, tmp_path):
    path = tmp_path / "latin.csv"
    path.write_bytes("x,y,z,vx,vy,vz,é\n1,2,3,4,5,6,7\n".encode("latin-1"))
    refused(call, tmp_path, "measure", path, *KIND, words=["utf-8"])


# ---------------------------------------------------------------------------------------------- scenarios

SCENARIOS = {
    "not TOML": ("name = ", ["not valid TOML"]),
    "unknown key": ("nmae = 'x'\n{}", ["'nmae'", "did you mean 'name'"]),
    "unknown mock": ("equilibrium", ["local-jeans-gaussian", "equilibirum"]),
    "negative mass": ("m200 = -1e12", ["m200", "-1"]),
    "unknown potential": ("nwf", ["'nwf'", "did you mean 'nfw'"]),
    "unknown survey": ("prefect", ["prefect", "perfect"]),
    "zero stars": ("n_stars = 0", ["n_stars must be at least 1"]),
    "zero realizations": ("realizations = 0", ["realizations", "0"]),
    "empty bins": ("bins = []", ["bins", "two edges"]),
    "factor that leads nowhere": ("survey.distance_scael", ["distance_scael", "distance_scale"]),
    "two of one name": ("velocity-ellipsoid", ["appears 2 times"]),
    "beta of nobody": ("beta = 1.5", ["beta", "1.5"]),
}

CHANGES = {
    "unknown mock": ("local-jeans-gaussian", "equilibirum"),
    "negative mass": ("m200 = 1e12", "m200 = -1e12"),
    "unknown potential": ('"nfw"', '"nwf"'),
    "unknown survey": ('"perfect"', '"prefect"'),
    "zero stars": ("n_stars = 150", "n_stars = 0"),
    "zero realizations": ("realizations = 12", "realizations = 0"),
    "empty bins": ("bins = [5.0, 20.0, 100.0]", "bins = []"),
    "factor that leads nowhere": ("distance_scale", "distance_scael"),
    "two of one name": ('label = "fingerprint"', 'label = "velocity-ellipsoid"'),
    "beta of nobody": ("beta = 0.3", "beta = 1.5"),
}


@pytest.mark.parametrize("case", SCENARIOS)
def test_scenario(call, small, tmp_path, case):
    text, words = SCENARIOS[case]
    base = small.read_text()
    if case in CHANGES:
        assert CHANGES[case][0] in base
        text = base.replace(*CHANGES[case])
    path = tmp_path / "scenario.toml"
    path.write_text(text.replace("{}", base))
    command = ("run", path, "--out", tmp_path / "out")
    assert str(path) in refused(call, tmp_path, *command, words=words)


def test_places_that_are_no_scenarios(call, stars, tmp_path):
    (tmp_path / "latin.toml").write_bytes("name = 'é'".encode("latin-1"))
    out = tmp_path / "out"
    for scenario, word in (
        (tmp_path, "is a folder"),
        (stars, "not valid TOML"),
        (tmp_path / "latin.toml", "not UTF-8"),
        ("quickstat", "did you mean 'quickstart'"),
        (tmp_path / "absent.toml", "no such file"),
    ):
        refused(call, tmp_path, "run", scenario, "--out", out, words=[word])
        refused(call, tmp_path, "mock", scenario, "--out", tmp_path / "m.csv", words=[word])
        refused(call, tmp_path, "run", scenario, "--out", out, "--dry-run", words=[word])


NUMBERS = {
    "no realizations": ["-n", "0"],
    "less than none": ["-n", "-5"],
    "negative workers": ["-j", "-1"],
    "no time": ["--timeout", "0"],
    "negative time": ["--timeout", "-3"],
    "time that is no number": ["--timeout", "nan"],
    "endless time": ["--timeout", "inf"],
    "negative seed": ["--seed", "-1"],
}


@pytest.mark.parametrize("case", NUMBERS)
def test_numbers_of_run(call, small, tmp_path, case):
    refused(call, tmp_path, "run", small, "--out", tmp_path / "out", *NUMBERS[case])


def test_folders_that_are_not_for_results(call, small, stars, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for out, word in (
        (tmp_path, "neither empty nor a results folder"),
        (tmp_path / "file", "is a file"),
        (tmp_path / "file" / "out", "annot be written"),
    ):
        for mode in ("--resume", "--restart", "--refuse"):
            refused(call, tmp_path, "run", small, "--out", out, mode, words=[word])
    for folder in (tmp_path, tmp_path / "absent", stars):
        refused(call, tmp_path, "table", folder, words=["not a results folder"])
        refused(call, tmp_path, "report", folder, words=["not a results folder"])


def test_results_of_another_scenario(call, small, finished, tmp_path):
    other = tmp_path / "other.toml"
    other.write_text(small.read_text().replace("m200 = 1e12", "m200 = 2e12"))
    folder, _ = finished
    words = ["another scenario", "mock.potential.m200"]
    refused(call, folder, "run", other, "--out", folder, words=words)


def test_no_parquet_on_a_terminal(call, finished, tmp_path, monkeypatch):
    folder, _ = finished
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    refused(call, tmp_path, "table", folder, "--format", "parquet", words=["--out"])
    monkeypatch.undo()
    assert call("table", folder, "--format", "parquet").out.startswith(b"PAR1")


# ---------------------------------------------------------------------------------------------- anything

WORDS = st.one_of(
    st.sampled_from(
        [
            *("run", "mock", "measure", "table", "report", "list", "describe"),
            *("--out", "--set", "--columns", "--unit", "--estimator", "--drop", "--format", "-n"),
            *("STARS", "velocity-ellipsoid", "tracer-mass", "alpha=-3", "bins=[1,2]", "x=x", "csv"),
            *("nan", "0", "-1", "1e999", "--", "-", "=", "..", "estimators", "nfw", "/"),
        ]
    ),
    st.text(max_size=12),
)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(words=st.lists(WORDS, max_size=7))
def test_no_words_make_it_break(call, stars, tmp_path, words):
    """Whatever is typed ends in an exit code of the list and never in a traceback."""
    here = Path.cwd()
    os.chdir(tmp_path)
    try:
        answer = call(*(str(stars) if word == "STARS" else word for word in words))
    finally:
        os.chdir(here)
    assert answer.code in (0, 2, 3)
    assert "Traceback" not in answer.err
    if answer.code == 2:
        assert answer.err.startswith("haloassay: ")
        assert answer.err.count("\n") == 1
