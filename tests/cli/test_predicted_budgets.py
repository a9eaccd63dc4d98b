"""`predict`, `rank` and `budget` with other priors or a measurement, as a user calls them."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from printed import read_table
from refusing import refused
from seeds import shifted

import haloassay
from haloassay.engine.progress import Silent

pytestmark = pytest.mark.long

SCENARIO = """
name = "priced"
title = "A small budget"
realizations = 12
seed = 12

[mock]
kind = "local-jeans-gaussian"
potential = { kind = "nfw", m200 = 1e12, c = 12.0 }
density = { kind = "power-law", slope = -3.5 }
beta = { kind = "constant", beta = 0.3 }
r_range = [5.0, 100.0]

[survey]
preset = "perfect"
n_stars = 150

[[estimators]]
kind = "tracer-mass"
alpha = -3.5
bins = [5.0, 20.0, 100.0]
n_bootstrap = 20

[[estimators]]
kind = "tracer-mass"
label = "steep"
alpha = -5.0
bins = [5.0, 20.0, 100.0]
n_bootstrap = 20

[matrix]
design = ["one-at-a-time", "sobol"]
points = 64

[[matrix.factor]]
label = "scale = 1?"
path = "survey.distance_scale"
levels = [0.9, 1.1]
prior = { kind = "normal", mean = 1.0, sd = 0.05 }

[[matrix.factor]]
label = "slope"
path = "estimators.tracer-mass.alpha"
levels = [-4.0, -3.0]
prior = { kind = "uniform", lo = -4.0, hi = -3.0 }
"""
ASK = ("--quantity", "enclosed_mass", "--r", "9")
TRACER = ("--estimator", "tracer-mass")


@pytest.fixture(scope="module")
def priced(tmp_path_factory):
    folder = tmp_path_factory.mktemp("priced")
    scenario = folder / "priced.toml"
    scenario.write_text(SCENARIO.replace("seed = 12", f"seed = {shifted(12)}"))
    return haloassay.run(scenario, folder / "out", workers=0, progress=Silent()).out


@pytest.fixture
def measured(tmp_path):
    file = tmp_path / "measured.csv"
    file.write_text("quantity,r,value,lo68,hi68,unit\nenclosed_mass,12,0.2,0.18,0.22,1e12 Msun\n")
    return file


def frame_of(answer):
    assert answer.code == 0, answer.err
    return pd.read_csv(io.BytesIO(answer.out))


def test_a_prediction_is_between_what_was_run(call, priced):
    """The mass grows with the scale cubed and the slope as it does in the paired table."""
    at = ("--set", "scale = 1?=1.1", "--set", "estimators.tracer-mass.alpha=-3.5")
    found = frame_of(call("predict", priced, *at, *ASK, *TRACER, "--format", "csv")).set_index(
        "score"
    )
    pairs = frame_of(call("table", priced, "--paired", "--format", "csv"))
    cell = pairs[(pairs["cell"] == "scale = 1?=1.1") & (pairs["estimator"] == "tracer-mass")]
    scores = frame_of(call("table", priced, "--format", "csv"))
    mine = scores[(scores["cell"] == "base") & (scores["estimator"] == "tracer-mass")]
    expected = mine["bias"].iloc[0] + cell["shift"].iloc[0]
    errors = (found.loc["bias", "error"], cell["shift_mcse"].iloc[0], mine["bias_mcse"].iloc[0])
    error = np.linalg.norm(errors)
    assert abs(found.loc["bias", "value"] - expected) < 4.0 * error
    assert error < 0.1
    again = call("predict", priced, *at, *ASK, *TRACER)
    assert again.code == 0
    assert f"{100 * found.loc['bias', 'value']:.0f}" in again.text
    assert "points of sobol" in again.text


def test_the_emulator_is_made_once_for_what_the_folder_holds(call, priced, monkeypatch):
    from haloassay.results import kept

    at = ("--set", "slope=-3.2")
    first = call("predict", priced, *at, *ASK, *TRACER)
    assert first.code == 0, first.err

    def forgotten(*_):
        raise AssertionError("made again")

    monkeypatch.setattr(kept, "predictors", forgotten)
    again = call("predict", priced, *at, *ASK, *TRACER)
    assert again.out == first.out
    other = ("--quantity", "enclosed_mass", "--r", "40", "--estimator", "tracer-mass")
    assert "made again" in call("predict", priced, *at, *other).err  # another question


def test_other_priors_make_other_lines(call, priced):
    narrow = "scale = 1?={ kind = 'normal', mean = 1.0, sd = 0.025 }"
    ask = ("budget", priced, *ASK, *TRACER, "--format", "csv")
    was, now = (frame_of(call(*ask, *more)) for more in ((), ("--prior", narrow)))
    lines = [f[f["item"] == "factor"].set_index("label") for f in (was, now)]
    ratio = lines[1].loc["scale = 1?", "sd"] / lines[0].loc["scale = 1?", "sd"]
    assert ratio == pytest.approx(0.5, abs=0.05)
    assert lines[1].loc["slope", "sd"] == lines[0].loc["slope", "sd"]
    together = [f[f["item"] == "together"]["sd"].iloc[0] for f in (was, now)]
    assert together[1] < together[0]


def test_estimators_are_ranked(call, priced):
    found = frame_of(call("rank", priced, *ASK, "--by", "interval-score", "--format", "csv"))
    # a slope of -5 makes masses of 3.5 + 2 beta - a too large by a half
    assert list(found["estimator"]) == ["tracer-mass", "steep"]
    assert found["p_best"].iloc[0] > 0.99
    assert found["n_failed"].sum() == 0
    shown = call("rank", priced, *ASK, "--by", "coverage")
    assert shown.code == 0
    assert "in 68 %" in shown.text


def test_a_league_names_the_cells_that_it_leaves_out(call, priced):
    shown = call("league", priced, "--quantity", "enclosed_mass")
    assert "5 cells" in shown.text
    assert "without the cell sobol, whose catalogues each draw their factors" in shown.text
    assert "not complete" not in shown.text
    found = frame_of(call("league", priced, "--format", "csv"))
    assert "cell sobol" in found["note"].iloc[-1]


def test_a_measurement_has_its_budget(call, priced, measured):
    ask = ("budget", priced, "--quantity", "enclosed_mass", *TRACER, "--apply", measured)
    plain = frame_of(call(*ask, "--format", "csv")).iloc[0]
    assert plain["value"] == pytest.approx(2e11)
    assert plain["total_lo68"] < plain["lo68"] < plain["hi68"] < plain["total_hi68"]
    assert "corrected" not in plain
    found = frame_of(call(*ask, "--correct", "--format", "csv")).iloc[0]
    assert found["corrected"] == pytest.approx(2e11 / (1.0 + found["bias"]))
    assert "corrected" in call(*ask, "--correct").text


def test_what_measure_writes_is_a_measurement(call, priced, tmp_path):
    stars, file = tmp_path / "stars.parquet", tmp_path / "own.csv"
    assert call("mock", priced, "--out", stars).code == 0
    tracer = ("--estimator", "tracer-mass", "--set", "alpha=-3.5", "--set", "bins=[5.0, 20.0]")
    assert call("measure", stars, *tracer, "--format", "csv", "--out", file).code == 0
    answer = call("budget", priced, "--quantity", "enclosed_mass", *TRACER, "--apply", file)
    assert answer.code == 0, answer.err
    assert "with systematic" in answer.text


REFUSALS = [
    (("predict", *ASK, "--set", "scle=1.0"), "unknown factor"),
    (("predict", *ASK, "--set", "slope"), "expected LABEL=VALUE"),
    (("predict", *ASK, "--set", "slope=-9"), "-9 is outside of what was run, -3"),
    (("predict", *ASK, "--set", "slope=steep"), "expected a number"),
    (("predict", *ASK, "--set", "slope=-3.1", "--set", "slope=-3.2"), "is set twice"),
    (("predict", *ASK, "--cell", "joint"), "unknown sampled cell 'joint'"),
    (("predict", "--quantity", "enclosed_mass"), "choose one"),
    (("predict", "--quantity", "enclosed_mass", "--r", "4000"), "outside its radii"),
    (("predict", *ASK, "--estimator", "tracer"), "did you mean 'tracer-mass'"),
    (("rank", *ASK, "--by", "luck"), "luck"),
    (("rank", *ASK, "--cell", "bas"), "did you mean 'base'"),
    (("rank", "--quantity", "m20"), "did you mean 'm200'"),
    (("rank", "--quantity", "enclosed_mass", "--r", "nan"), "rank: a radius is above 0 kpc"),
    (("league", "--r", "-5"), "league: a radius is above 0 kpc and finite (got -5)"),
    (("budget", *ASK, "--prior", "slope={ kind = 'uniform', lo = 1.0, hi = 0.0 }"), "below hi"),
    (("budget", *ASK, "--prior", "slope=3"), "expected a table"),
    (("budget", *ASK, "--prior", "slop={ kind = 'uniform' }"), "unknown factor"),
    (("budget", *ASK, "--correct"), "goes with --apply"),
    (
        ("budget", "--quantity", "enclosed_mass", *TRACER, "--apply", "nowhere.csv"),
        "cannot be read",
    ),
    (("budget", "--quantity", "enclosed_mass", "--apply", "nowhere.csv"), "several estimators"),
    (("budget", *ASK, "--apply", "nowhere.csv"), "takes the radii of the measurement"),
]


@pytest.mark.parametrize(("words", "said"), REFUSALS)
def test_what_cannot_be_is_one_line(call, priced, words, said):
    command, *options = words
    refused(call, priced, command, priced, *options, words=[said])


def test_a_measurement_of_something_else_is_one_line(call, priced, measured):
    measured.write_text(measured.read_text().replace("1e12 Msun", "km/s"))
    ask = ("budget", priced, "--quantity", "enclosed_mass", *TRACER, "--apply", measured)
    refused(call, priced, *ask, words=["unit 'km/s' does not become that of enclosed_mass, Msun"])
    measured.write_text("quantity,r,value,lo68,hi68\nenclosed_mass,900,2e11,1e11,3e11\n")
    refused(call, priced, *ask, words=["900 kpc is outside of the budget"])


def test_tables_of_all_formats(call, priced, tmp_path):
    for command in (("predict", "--set", "slope=-3.2"), ("rank",)):
        name, *more = command
        for fmt in ("csv", "ecsv", "latex", "markdown", "parquet"):
            file = tmp_path / f"{name}.{fmt}"
            answer = call(name, priced, *more, *ASK, "--format", fmt, "--out", file)
            assert answer.code == 0, (name, fmt, answer.err)
            assert file.stat().st_size > 100
        assert len(read_table((tmp_path / f"{name}.csv").read_bytes(), "csv")) > 0
        refused(
            call, tmp_path, name, priced, *more, *ASK, "--out", tmp_path / "x", words=["--format"]
        )
