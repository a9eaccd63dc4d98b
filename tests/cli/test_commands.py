"""Every command does what its help says, and the function of the same name does the same."""

from __future__ import annotations

import io
import json
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from fingerprint import fingerprint
from made_up_stars import table_of, write_csv
from seeds import shifted

import haloassay
from haloassay.base.errors import InputError
from haloassay.io.tables import read_catalogue
from haloassay.results.results import Results

SCORES = [
    "cell",
    "estimator",
    "quantity",
    "r",
    "unit",
    "n",
    "n_failed",
    "bias",
    "bias_mcse",
    "median_bias",
    "scatter",
    "scatter_mcse",
    "rmse",
    "rmse_mcse",
    "error_ratio",
    "coverage68",
    "coverage68_mcse",
    "coverage95",
    "coverage95_mcse",
    "pull_mean",
    "pull_sd",
    "survey.distance_scale",
]
HEAVY = [
    "numpy",
    "scipy",
    "pandas",
    "astropy",
    "matplotlib",
    "numba",
    "duckdb",
    "pyarrow",
    "pydantic",
    "galpy",
    "rich",
]


def test_importing_and_helping_load_nothing_heavy():
    script = (
        "import sys, haloassay\n"
        "from haloassay.face.cli import main\n"
        "sys.argv = ['haloassay', '--help']\n"
        "main()\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout.decode().splitlines()[-1] == "[]"


def test_version_and_help(call):
    assert call("--version").text == f"haloassay, version {haloassay.__version__}\n"
    assert call("--help").text == call("-h").text == call().text
    for command in re.findall(r"^  (\w+)  ", call("--help").text.split("Commands:")[1], re.M):
        answer = call(command, "--help")
        assert (answer.code, answer.err) == (0, "")
        assert "Usage: " in answer.text


def test_every_command_is_a_function(call):
    commands = call("--help").text.split("Commands:")[1]
    names = re.findall(r"^  (\w+)  ", commands, re.M)
    assert sorted(names) == ["describe", "list", "measure", "mock", "report", "run", "table"]
    assert all(callable(getattr(haloassay, name)) for name in names)


def test_run_prints_the_bias_table(finished):
    _, run = finished
    assert run.code == 0, run.err
    assert "A small run" in run.text
    assert "estimator runs: 48 ok" in run.text.splitlines()  # 2 cells x 12 x 2 estimators
    assert "24/24 tasks" in run.err
    assert "Traceback" not in run.err


def test_run_again_finds_everything_done_and_reports(finished, small, call, monkeypatch):
    folder, _ = finished
    before = {p: p.stat().st_mtime_ns for p in (folder / "estimates").iterdir()}
    monkeypatch.setattr("haloassay.face.api.report", lambda out: f"page of {out}")
    answer = call("run", small, "--out", folder)
    assert answer.code == 0
    assert "estimator runs: 48 ok\n" in answer.text
    assert answer.text.endswith(f"\nreport: page of {folder}\n")
    assert {p: p.stat().st_mtime_ns for p in (folder / "estimates").iterdir()} == before


def test_run_refuses_a_used_folder_on_request(finished, small, call):
    folder, _ = finished
    answer = call("run", small, "--out", folder, "--refuse")
    assert answer.code == 2
    assert "holds results already" in answer.refusal


def test_dry_run_writes_nothing(small, call, tmp_path):
    answer = call("run", small, "--out", tmp_path / "out", "--dry-run", "-n", "5")
    assert answer.code == 0
    assert "2 cells x 5 realisations = 10 tasks" in answer.err
    assert list(tmp_path.iterdir()) == []


def test_run_with_nothing_to_compare_is_exit_3(small, call, tmp_path):
    text = small.read_text()
    text = text.replace(
        'kind = "velocity-ellipsoid"\nbins = [5.0, 20.0, 100.0]', 'kind = "fingerprint:Broken"'
    )
    path = tmp_path / "broken.toml"
    path.write_text(text.replace('kind = "fingerprint:Fingerprint"', 'kind = "fingerprint:Silent"'))
    out = tmp_path / "out"
    answer = call("run", path, "--out", out, "-n", "1", "-j", "1", "--no-report")
    assert answer.code == 3
    assert "estimator runs: 4 failed" in answer.text
    assert answer.err.splitlines()[-1].startswith(f"haloassay: {out}: no estimate stands beside")
    for command in ("table", "report"):
        assert call(command, out).code == 3


def test_interrupted_run_keeps_its_work_and_goes_on(small, environment, tmp_path, call):
    out = tmp_path / "out"
    command = [
        sys.executable,
        "-m",
        "haloassay",
        "run",
        small,
        "--out",
        out,
        "-j",
        "1",
        "-n",
        "100000",
    ]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as run:
        deadline = time.monotonic() + 60.0
        while time.monotonic() < deadline and not list(out.glob("runs/*.parquet")):
            time.sleep(0.05)
        run.send_signal(signal.SIGINT)
        printed, said = run.communicate(timeout=60)
    assert run.returncode == 130
    assert (
        said.decode().splitlines()[-1]
        == "haloassay: interrupted; finished work is kept, run again to go on"
    )
    assert b"Traceback" not in said + printed
    assert Results(out).counts()["ok"] >= 1
    assert call("table", out, "--format", "csv").code == 0


def test_interrupt_anywhere_is_exit_130(call, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("haloassay.face.vocabulary.entries", interrupt)
    answer = call("list", "mocks")
    assert answer.code == 130
    assert answer.err.strip() == "haloassay: interrupted"


# ---------------------------------------------------------------------------------------------- table, report


def exact(text):
    try:
        return float(text)
    except ValueError:
        return text


def read_table(data, fmt):
    if fmt == "csv":  # pandas' own parser may be off in the last digit
        table = pd.read_csv(io.BytesIO(data), dtype=str)
        return table.map(exact)
    if fmt == "parquet":
        return pd.read_parquet(io.BytesIO(data))
    from astropy.table import Table

    return Table.read(io.BytesIO(data), format="ascii.ecsv").to_pandas()


@pytest.mark.parametrize("fmt", ["csv", "ecsv", "parquet"])
def test_table_keeps_every_digit(finished, call, tmp_path, fmt):
    folder, _ = finished
    answer = call("table", folder, "--format", fmt)
    assert answer.code == 0
    assert answer.err == ""
    table = read_table(answer.out, fmt)
    assert set(SCORES) <= set(table.columns)
    assert len(table) == 2 * (20 + 1)
    expected = haloassay.table(folder)
    for name in ("bias", "scatter_mcse", "coverage68", "survey.distance_scale"):
        np.testing.assert_array_equal(table[name].astype(float), expected[name].astype(float))
    out = tmp_path / f"scores.{fmt}"
    assert call("table", folder, "--format", fmt, "--out", out).out == b""
    assert out.read_bytes() == answer.out


def test_table_for_people(finished, call):
    folder, run = finished
    latex = call("table", folder, "--format", "latex").text
    assert latex.count(r" \\") == 43
    assert r"\toprule" in latex
    lines = call("table", folder, "--format", "markdown").text.splitlines()
    markdown = [line for line in lines if line.startswith("|")]
    assert len(markdown) == 44
    assert lines[:44] == markdown  # what the marks mean stands below the table
    assert {line.replace("\\|", "").count("|") for line in markdown} == {markdown[1].count("|")}
    terminal = call("table", folder).text
    assert terminal == run.text


def test_terminal_table_is_not_for_files(finished, call, tmp_path):
    answer = call("table", finished[0], "--out", tmp_path / "t.txt")
    assert answer.code == 2
    assert "--format" in answer.refusal


def test_report_writes_the_page(small, call, tmp_path):
    """Of one estimator with one quantity: there are few figures to draw."""
    path, folder = tmp_path / "one.toml", tmp_path / "out"
    other = '[[estimators]]\nkind = "velocity-ellipsoid"\nbins = [5.0, 20.0, 100.0]\n'
    one = '[[estimators]]\nkind = "tracer-mass"\nalpha = -3.5\n'
    path.write_text(small.read_text().replace(other, one))
    call("run", path, "--out", folder, "-n", "2", "-j", "0", "--no-report")
    page = folder / "report" / "index.html"
    assert not page.exists()
    answer = call("report", folder)
    assert (answer.code, answer.text) == (0, f"{page}\n")
    assert "A small run" in page.read_text()


# ---------------------------------------------------------------------------------------------- mock


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


# ---------------------------------------------------------------------------------------------- measure


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


# ---------------------------------------------------------------------------------------------- list, describe

KINDS = ["mocks", "densities", "betas", "potentials", "surveys", "estimators", "scenarios"]


@pytest.mark.parametrize("what", KINDS)
def test_list_names_each_once_with_a_line(call, what):
    answer = call("list", what)
    assert answer.code == 0
    heads = [line for line in answer.text.splitlines() if not line.startswith(" ")]
    assert [head.split(": ")[0] for head in heads] == list(haloassay.list(what))
    assert all(len(head.split(": ", 1)[1]) > 10 for head in heads)


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
    assert line in call("list", what).text.splitlines()


@pytest.mark.parametrize("what", KINDS)
def test_describe_knows_all_that_list_names(call, what):
    for name in haloassay.list(what):
        answer = call("describe", name)
        assert answer.code == 0
        assert f"{name} ({what})" in answer.text
        assert len(answer.text) > 80


@pytest.mark.parametrize("name", haloassay.list("scenarios"))
def test_describe_prints_the_paragraph_of_a_scenario(call, name):
    from haloassay.plan.scenario import load_scenario

    scenario = load_scenario(name)
    text = call("describe", name).text
    assert scenario.title in text
    assert scenario.description.strip() in text
    assert scenario.reference in text


@pytest.mark.parametrize("name", haloassay.list("estimators"))
def test_describe_prints_reference_and_assumptions(call, name):
    from haloassay.estimators import estimator_class

    cls = estimator_class(name)
    text = call("describe", name).text
    assert f"Reference: {cls.reference}" in text
    assert all(word in text for word in (*cls.assumes, *cls.yields))


def test_a_broken_plugin_does_not_hide_the_others(call, monkeypatch):
    from importlib.metadata import EntryPoint

    broken = EntryPoint("third-party", "no_such_module:Class", "haloassay.estimators")
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: (broken,))
    text = call("list", "estimators").text
    assert "third-party: cannot be used: " in text
    assert "jeans-3d: " in text
