"""Whole runs in worker processes: independence of workers, faults, interrupts, kills."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pebble
import pytest
from seeds import shifted
from small_scenario import SCENARIO

import haloassay
from haloassay.base.errors import InputError
from haloassay.engine import runner
from haloassay.engine.progress import Silent
from haloassay.engine.runner import run
from haloassay.engine.task import Task, run_task
from haloassay.planning.plan import make_plan
from haloassay.planning.scenario import make_scenario
from haloassay.results import description
from haloassay.results import store as store_module
from haloassay.results.results import Results


def quietly(*args, **kwargs):
    return run(*args, progress=Silent(), **kwargs)


def assert_equal(results, expected):
    """Bit for bit, but for the seconds."""
    estimates = expected.frame("estimates")
    assert len(estimates) > 0
    pd.testing.assert_frame_equal(results.frame("estimates"), estimates, check_exact=True)
    runs = [r.frame("runs").drop(columns="seconds") for r in (results, expected)]
    pd.testing.assert_frame_equal(*runs)


@pytest.mark.long
def test_results_do_not_depend_on_workers_or_on_what_else_runs(tmp_path, values, undisturbed):
    """In two workers, beside others, they have the bits of a run in this process."""
    values["estimators"].insert(0, {"kind": "plugins:Good", "label": "other", "scale": 2.0})
    values["matrix"]["factors"]["survey.distance_scale"] = [1.1, 0.9]
    results = quietly(values, tmp_path / "out", realizations=8, workers=2)
    ours = results.frame("estimates").query(
        "estimator == 'good' and cell != 'survey.distance_scale=1.1'"
    )
    expected = undisturbed.frame("estimates")
    pd.testing.assert_frame_equal(ours.reset_index(drop=True), expected, check_exact=True)
    assert ours["value"].nunique() == len(ours)  # realisations differ


def test_a_finished_run_makes_no_mock_and_one_that_goes_on_does(tmp_path, values, monkeypatch):
    made = []
    real = runner._prepared
    monkeypatch.setattr(runner, "_prepared", lambda *given: made.append(1) or real(*given))
    first = quietly(values, tmp_path / "out", realizations=2, workers=0)
    told = (tmp_path / "out" / "run.json").read_bytes()
    assert len(made) == 1
    again = quietly(values, tmp_path / "out", realizations=2, workers=0)
    assert len(made) == 1
    assert (tmp_path / "out" / "run.json").read_bytes() == told
    assert_equal(again, first)
    quietly(values, tmp_path / "out", realizations=3, workers=0)
    assert len(made) == 2
    values["mock"]["potential"]["c"] = 13.0
    with pytest.raises(InputError, match="another scenario"):
        quietly(values, tmp_path / "out", realizations=3, workers=0)


def test_what_a_folder_knows_of_mocks_is_taken_where_all_is_the_same(tmp_path, values, monkeypatch):
    plan = make_plan(make_scenario(values))
    told = [
        {
            "cell": cell.label,
            "cell_key": cell.key,
            "estimator_keys": {method.label: method.key for method in cell.methods},
            "mock": {"population": 100 + k},
        }
        for k, cell in enumerate(plan.cells)
    ]

    def held(cells):
        monkeypatch.setattr(description, "read_description", lambda _: {"cells": cells})
        return description.as_held(plan, tmp_path)

    facts = {cell.label: {"population": 100 + k} for k, cell in enumerate(plan.cells)}
    assert held(told).facts == facts
    assert held(told).cells == plan.cells
    first, *others = told
    assert held(others) is None
    assert held([{**first, "cell_key": "other"}, *others]) is None
    assert held([{**first, "estimator_keys": {}}, *others]) is None
    monkeypatch.setattr(description, "read_description", lambda _: None)
    assert description.as_held(plan, tmp_path) is None


def test_cells_are_paired(tmp_path, values):
    """A factor without effect changes nothing: cells share stars, errors and streams."""
    values["matrix"] = {"factors": {"estimators.good.grid": [[3.0]]}}
    rows = quietly(values, tmp_path / "out", workers=0).frame("estimates")
    base, other = (rows[rows["cell"] == cell] for cell in rows["cell"].unique())
    columns = ["realization", "value", "lo95", "truth", "rank"]
    assert base[columns].values.tolist() == other[columns].values.tolist()


def test_every_fault_costs_its_own_estimator_only(tmp_path, values):
    hows = ("raise", "exit", "nan", "nothing", "empty", "strange", "unpicklable")
    values["estimators"] += [{"kind": "plugins:Bad", "label": how, "how": how} for how in hows]
    values |= {"realizations": 1, "matrix": {}}
    runs = quietly(values, tmp_path / "out", workers=0).frame("runs").set_index("estimator")
    assert runs.loc["good", "status"] == "ok"
    assert (runs.drop(index="good")["status"] == "failed").all()
    assert runs["message"].to_dict() == {
        "good": "",
        "raise": "first line second line",
        "exit": "3",
        "nan": "sigma_r (bin 0): the value is nan without a note",
        "nothing": "the estimator returned NoneType, expected Estimates",
        "empty": "the estimator returned no rows",
        "strange": "a row is str, expected Estimate",
        "unpicklable": "odd",
    }
    assert runs.loc["raise", "error_type"] == "ArithmeticError"
    assert (runs["n_stars"] == 60).all()


ROWS = {
    "twice": "beta (bin 1) comes twice: rows of one quantity need bins of their own",
    "unit": "sigma_r (bin 0): the unit is 'm/s', expected 'km/s'",
    "note": "sigma_r (bin 0): note is ('too', 'few'), expected a str",
    "quantity": "a row: quantity is 7, expected a str",
    "bin": "sigma_r (bin outer): bin is 'outer', expected an int",
    "half_bin": "sigma_r (bin 0.5): bin is 0.5, expected an int",
    "undeclared": "'m200' is no quantity that the estimator declares (yields: sigma_r, beta)",
    "radius": "sigma_r (bin 0): r is '20 kpc', expected a float",
    "draws": "sigma_r (bin 0): draws is [99.0, 101.0], expected an array (n_draws,) of floats",
    "stars": "sigma_r (bin 0): stars is array([60]), expected an array of rows of the 60 stars",
    "surrogate": r"note '\ud800' is no text that can be written",
    "surrogate_message": "?",
}


def test_rows_that_break_the_contract_cost_their_estimator_only(tmp_path, values):
    values["estimators"] += [{"kind": "plugins:Bad", "label": how, "how": how} for how in ROWS]
    values |= {"realizations": 1, "matrix": {}}
    results = quietly(values, tmp_path / "out", workers=0)
    runs = results.frame("runs").set_index("estimator")
    assert runs["status"].to_dict() == {"good": "ok"} | dict.fromkeys(ROWS, "failed")
    assert runs["message"].to_dict() == {"good": ""} | ROWS
    assert set(results.frame("estimates")["estimator"]) == {"good"}
    again = quietly(values, tmp_path / "out", realizations=2, workers=0)
    assert again.counts() == {"ok": 2, "failed": 2 * len(ROWS)}


@pytest.mark.parametrize("how", ["twice", "bin", "undeclared"])
def test_measure_refuses_the_same_rows(how):
    stars = haloassay.mock({**SCENARIO, "realizations": 1}).catalogue
    with pytest.raises(haloassay.EstimationError, match=re.escape(ROWS[how])):
        haloassay.measure(stars, "plugins:Bad", how=how)


class Impatient(pebble.ProcessPool):
    """Waits but a moment for a task with an estimator that hangs, and as long as it is told for any other.

    A task that hangs is tried again estimator by estimator, whether or not its first ones were done by then.
    """

    def schedule(self, function, args, timeout):
        hangs = any(method.label == "hang" for method in args[0].methods)
        moment = min(0.2, timeout) if hangs else timeout
        return super().schedule(function, args=args, timeout=moment)


@pytest.mark.long
def test_what_ends_or_hangs_a_worker_is_recorded_for_the_culprit_and_tried_again_by_the_next_run(
    tmp_path, values, monkeypatch
):
    """And what must not end a worker does not: ``exit`` and ``unpicklable`` come back with their reasons.

    One that ends itself with 0, as if all were well, is lost at once, and not when its time is over.
    """
    cured = tmp_path / "cured"
    for how in ("exit", "unpicklable", "hang", "kill", "leave"):
        entry = {"kind": "plugins:Bad", "label": how, "how": how, "unless": str(cured)}
        values["estimators"].append(entry)
    values |= {"realizations": 1, "matrix": {}}
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(pebble, "ProcessPool", Impatient)
        runs = quietly(values, out, workers=1).frame("runs").set_index("estimator")
    found = runs[["status", "error_type", "message"]].apply(tuple, axis="columns").to_dict()
    assert found == {
        "good": ("ok", "", ""),
        "exit": ("failed", "SystemExit", "3"),
        "unpicklable": ("failed", "ValueError", "odd"),
        "hang": ("timeout", "TimeoutError", "took longer than 60 s"),
        "kill": ("lost", "ProcessLost", "the worker process ended (exit code -9)"),
        "leave": ("lost", "ProcessLost", "the worker process ended (exit code 0)"),
    }
    cured.touch()
    results = quietly(values, out, workers=0)
    assert results.counts() == {"ok": 4, "failed": 2}
    assert len(results.frame("estimates")) == 4


def test_a_survey_that_finds_no_stars_fails_all_estimators_with_its_message(values):
    values["survey"] |= {"r_min": 1e5, "r_max": 2e5}
    cell = make_plan(make_scenario(values)).cells[0]
    (outcome,) = run_task(Task(cell, 0, 7, cell.methods)).outcomes
    assert (outcome.status, outcome.error_type) == ("no-mock", "InputError")
    assert "r_min/r_max" in outcome.message


def test_what_the_machine_did_is_lost_and_tried_again(tmp_path, values):
    cured = tmp_path / "cured"
    for how in ("disk", "memory"):
        entry = {"kind": "plugins:Bad", "label": how, "how": how, "unless": str(cured)}
        values["estimators"].append(entry)
    values |= {"realizations": 1, "matrix": {}}
    runs = quietly(values, tmp_path / "out", workers=0).frame("runs").set_index("estimator")
    assert runs["status"].to_dict() == {"good": "ok", "disk": "lost", "memory": "lost"}
    assert runs.loc["disk", "message"] == "[Errno 28] No space left on device"
    cured.touch()
    assert quietly(values, tmp_path / "out", workers=0).counts() == {"ok": 3}


def test_a_truth_that_fails_is_not_the_estimator_s_fault(tmp_path, values, monkeypatch):
    from haloassay.mocks.truth import Truth

    def broken(*_, **__):
        raise ArithmeticError("no truth")

    monkeypatch.setattr(Truth, "value", broken)
    values |= {"realizations": 1, "matrix": {}}
    results = quietly(values, tmp_path / "out", workers=0)
    (row,) = results.frame("runs").to_dict("records")
    assert (row["status"], row["error_type"]) == ("no-mock", "ArithmeticError")
    scores = results.table()
    assert scores["n_failed"].sum() == scores["n_attempted"].sum() == 0


def test_rank_and_truth_stand_beside_each_estimate(undisturbed):
    rows = undisturbed.frame("estimates")
    assert (rows["truth"] > 0.0).all()
    assert (rows["n_draws"] == 20).all()
    assert rows["rank"].between(0, 20).all()
    low, high = rows["value"] < 0.5 * rows["truth"], rows["value"] > 1.5 * rows["truth"]
    assert (rows.loc[low, "rank"] == 20).all()
    assert (rows.loc[high, "rank"] == 0).all()


def test_a_dry_run_checks_and_writes_nothing_and_says_what_is_too_large(
    tmp_path, values, monkeypatch
):
    monkeypatch.setattr(runner, "LARGE", 5)
    progress = Silent()
    results = run(values, tmp_path / "out", dry_run=True, progress=progress)
    unusual = [line for line in progress.lines if "is it meant?" in line]
    lines = [line for line in progress.lines if line not in unusual]
    assert unusual[0].startswith("realizations = 3: possible, but is it meant?")
    assert lines[-1].startswith("scenario: asks for 6 catalogues")
    assert lines[0] == "2 cells x 3 realisations = 6 tasks, each with good"
    assert re.fullmatch(r"expected: about \S+ s with \d+ processes, \S+ kB on disk", lines[1])
    assert not (tmp_path / "out").exists()
    assert results.cells["cell"].tolist() == ["base", "survey.distance_scale=0.9"]
    values["survey"]["n_stars"] = -1
    with pytest.raises(InputError, match="n_stars"):
        run(values, tmp_path / "out", progress=progress)
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match="workers"):
        run(SCENARIO, tmp_path / "out", workers=-1, progress=progress)


def test_a_design_that_is_too_large_must_be_asked_for_twice(tmp_path, values, monkeypatch):
    monkeypatch.setattr(runner, "LARGE", 5)
    progress = Silent()
    with pytest.raises(InputError, match="asks for 6 catalogues, more than 5: --yes"):
        run(values, tmp_path / "out", workers=0, progress=progress)
    assert not (tmp_path / "out").exists()
    results = run(values, tmp_path / "out", workers=0, progress=progress, large=True)
    assert len(results.frame("runs")) == 6


def test_a_full_disk_stops_the_run_and_the_next_one_goes_on(tmp_path, undisturbed, monkeypatch):
    fsync, left = os.fsync, [20]

    def full(handle):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device")
        fsync(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        patch.setattr(runner, "_GATHERED", -1.0)
        with pytest.raises(InputError, match="No space left on device"):
            quietly(SCENARIO, tmp_path / "out", realizations=8, workers=0)
    assert 0 < len(Results(tmp_path / "out").frame("runs")) < 16
    assert_equal(quietly(SCENARIO, tmp_path / "out", realizations=8, workers=0), undisturbed)


#: No ``if __name__ == "__main__"`` guard: a user's script need not have one.
SCRIPT = """
import sys
from haloassay.results import store
from haloassay.engine import runner
from haloassay.engine.progress import Silent
from haloassay.engine.runner import run
from small_scenario import SCENARIO
store.SEGMENT = 4
runner._GATHERED = -1.0  # a part a result
run(SCENARIO, sys.argv[1], realizations=8, workers=int(sys.argv[2]), progress=Silent())
"""


def children(pid):
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for_end(pids):
    """Assert that processes end soon."""
    deadline = time.monotonic() + 60.0
    while any(alive(pid) for pid in pids):
        assert time.monotonic() < deadline, "a worker outlives the main process"
        time.sleep(0.02)


def disturb(tmp_path, environment, number, after, workers):
    """Start a run, send it a signal at a random moment after so many parts, and see its workers end."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    out = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, script, out, str(workers)],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    rng, deadline = random.Random(shifted(after)), time.monotonic() + 120.0
    while process.poll() is None and not (
        (out / "run.json").exists() and len(list(out.glob("runs/*.parquet"))) >= after
    ):
        assert time.monotonic() < deadline
        time.sleep(0.002)
    time.sleep(rng.random() * 0.1)
    started = children(process.pid) if process.poll() is None else []
    process.send_signal(number)
    stderr = process.communicate(timeout=120.0)[1]
    wait_for_end(started)
    return out, process.returncode, stderr


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="reads /proc to find the workers")
@pytest.mark.parametrize(
    ("number", "after", "workers"),
    [
        pytest.param(signal.SIGKILL, 0, 1, id="kill"),
        pytest.param(signal.SIGKILL, 4, 1, marks=pytest.mark.slow, id="kill-later"),
        pytest.param(signal.SIGINT, 2, 1, marks=pytest.mark.slow, id="ctrl-c"),
    ],
)
def test_a_run_ended_at_any_moment_goes_on_to_the_same_results(
    tmp_path, environment, undisturbed, number, after, workers, monkeypatch
):
    out, code, stderr = disturb(tmp_path, environment, number, after, workers)
    assert code in (-number, 0), stderr  # 0: it was done before the signal came
    if number == signal.SIGINT and code:
        assert stderr.count("Traceback") <= 1  # the main process's own, no worker's
        assert stderr.rstrip().endswith("KeyboardInterrupt")
    monkeypatch.setattr(store_module, "SEGMENT", 4)
    assert_equal(quietly(SCENARIO, out, realizations=8, workers=0), undisturbed)


CATCHING = """
import sys, time
from haloassay.engine.executors import pool
from haloassay.engine.progress import Silent
from haloassay.engine.runner import run
from small_scenario import SCENARIO
dismiss = pool.Crew.dismiss
def slowly(crew):
    print("stopping", flush=True)
    time.sleep(0.5)
    dismiss(crew)
pool.Crew.dismiss = slowly
slow = {"kind": "plugins:Good", "label": "good", "seconds": 0.05}
try:
    run({**SCENARIO, "estimators": [slow]}, sys.argv[1], 500, 1, progress=Silent())
except KeyboardInterrupt as error:
    print("interrupted", error.args, flush=True)
    sys.exit(143 if error.args else 130)
"""


@pytest.mark.long
@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize(
    ("numbers", "code"),
    [
        ([signal.SIGTERM, signal.SIGINT], 143),
        pytest.param([signal.SIGINT, signal.SIGINT, signal.SIGINT], 130, marks=pytest.mark.slow),
    ],
)
def test_signals_end_a_run_as_keyboard_interrupt(tmp_path, environment, numbers, code):
    """The second comes while workers are stopped; finished work is kept, and nothing complains."""
    out = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, "-c", CATCHING, out],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120.0
    while len(list(out.glob("runs/*.parquet"))) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(numbers[0])
    assert process.stdout.readline() == "stopping\n"
    for number in numbers[1:]:
        process.send_signal(number)
        time.sleep(0.1)
    stdout, stderr = process.communicate(timeout=120.0)
    assert process.returncode == code, stderr
    assert stdout == ("interrupted ('SIGTERM',)\n" if code == 143 else "interrupted ()\n")
    if len(numbers) < 3:  # a third one does not wait for the workers
        assert stderr == ""
    assert Results(out).counts()["ok"] >= 3


def test_cleaning_takes_stars_out_before_the_estimators_read(values, tmp_path):
    values["clean"] = [{"kind": "height-cut", "z_min": 0.0}]
    values["matrix"] = {"factors": {"clean.0.z_min": [0.0, 5.0]}}
    results = run(make_scenario(values), tmp_path / "out", workers=0, progress=Silent())
    stars = results.frame("runs").groupby("cell")["n_stars"].max()
    assert stars["base"] == 60
    assert 0 < stars["clean.0.z_min=5.0"] < 60


def test_cleaning_away_every_star_is_the_scenario_s_doing_and_said(values, tmp_path):
    values["clean"] = [{"kind": "height-cut", "z_min": 1e6}]
    results = run(make_scenario(values), tmp_path / "out", workers=0, progress=Silent())
    runs = results.frame("runs")
    assert set(runs["status"]) == {"no-mock"}
    assert runs["message"].str.contains("no star is left").all()


def test_measure_with_the_label_of_a_scenario_has_the_stream_of_its_run(tmp_path, values):
    values["estimators"] = [{"kind": "plugins:Good", "label": "mine"}]
    values |= {"realizations": 1, "matrix": {}}
    (row,) = quietly(values, tmp_path / "out", workers=0).frame("estimates").to_dict("records")
    stars = haloassay.mock(values).catalogue
    seed = values["seed"]
    same = haloassay.measure(stars, values["estimators"][0], seed=seed)
    other = haloassay.measure(stars, "plugins:Good", seed=seed)
    assert (same.rows[0].value, same.rows[0].lo95) == (row["value"], row["lo95"])
    assert other.rows[0].value != row["value"]
