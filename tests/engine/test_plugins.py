"""Estimators of others: what they do to their process, how they end it, and how they are handed over."""

import multiprocessing
import os
import random
import runpy
import signal
import subprocess
import sys
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from others import Meddler, Spread

import haloassay
from haloassay import Catalogue, Estimate, Estimates, Estimator, HaloassayWarning, InputError
from haloassay.base import handed
from haloassay.engine import log
from haloassay.engine.isolation import isolated
from haloassay.engine.progress import Silent
from haloassay.engine.runner import run
from haloassay.results.results import Results


@dataclass(frozen=True)
class Planter(Estimator):
    """Puts numbers of its own where the catalogue keeps what it has computed."""

    name = "planter"
    reference = ""
    yields = ("sigma_r",)

    def estimate(self, catalogue, rng):
        catalogue.__dict__["spherical_velocity"] = np.ones((len(catalogue), 3))
        return Estimates([Estimate("sigma_r", 1.0, r=20.0)])


@pytest.fixture
def stars():
    rng = np.random.default_rng(4)
    columns = {n: rng.normal(0.0, 20.0, 50) for n in ("x", "y", "z")}
    return Catalogue.from_arrays(
        **columns, **{n: rng.normal(0.0, 100.0, 50) for n in ("vx", "vy", "vz")}
    )


def ran(values, out, estimators, **options):
    progress = Silent()
    results = run(values, out, estimators=estimators, progress=progress, **options)
    return results, progress.lines


def is_alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks at processes as Linux has them")
def test_what_an_estimator_prints_and_leaves_is_no_output_of_ours_and_ends_with_its_worker(
    tmp_path, values, capfd
):
    values["matrix"] = {}
    out, mark = tmp_path / "out", tmp_path / "mark"
    results, lines = ran(values, out, [Meddler(mark=str(mark)), Spread], workers=1)
    assert capfd.readouterr() == ("", "")
    assert (out / "log.txt").read_text().count("beneath") == 3
    assert [line for line in lines if line.startswith("meddler: ")] == [
        "meddler: replaced functions (numpy.mean): put back",
        "meddler: changed the working directory: put back",
        "meddler: left processes running (1): they end with the worker",
        f"meddler: printed: see {out / 'log.txt'}",
    ]
    assert results.counts() == {"ok": 6}
    assert not any(map(is_alive, map(int, mark.read_text().split())))


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks at processes as Linux has them")
def test_what_an_estimator_leaves_ends_with_a_worker_that_is_killed_or_left_alone(
    tmp_path, environment
):
    """The first worker is killed; the one that tries again hangs, and ends with the main process."""
    mark = tmp_path / "mark"
    script = (
        "import sys; from haloassay.engine.runner import run\n"
        "from small_scenario import SCENARIO; from others import Meddler\n"
        "values = {**SCENARIO, 'matrix': {}, 'timeout': 200.0}\n"
        "run(values, sys.argv[1], 1, 1, estimators=[Meddler(mark=sys.argv[2], waits=True)])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, tmp_path / "out", mark],
        env=environment,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120.0
    for told, main in ((mark, False), (mark.with_name("mark-again"), True)):
        while not told.exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        *left, worker = [int(pid) for pid in told.read_text().split()]
        assert all(map(is_alive, (*left, worker)))
        os.kill(process.pid if main else worker, signal.SIGKILL)
        while any(map(is_alive, (*left, worker))):
            assert time.monotonic() < deadline
            time.sleep(0.02)
    process.wait(timeout=120.0)


@pytest.mark.slow
def test_the_log_is_limited_and_no_link_is_followed(tmp_path, values, monkeypatch):
    monkeypatch.setattr(log, "LIMIT", 3000)
    values["matrix"] = {}
    out, aim = tmp_path / "out", tmp_path / "aim"
    aim.write_text("mine")
    ran(values, out, [Spread], workers=0)
    (out / "log.txt").symlink_to(aim)
    ran(values, out, [Spread, Meddler], workers=1)
    assert aim.read_text() == "mine"
    text = (out / "log.txt").read_text()
    assert len(text) < 3100
    assert text.endswith("[the rest of what was printed is left out]\n")


def test_functions_and_state_are_put_back_and_those_that_were_others_before_are_left(monkeypatch):
    mine = lambda *_: 5  # noqa: E731
    monkeypatch.setattr(np, "median", mine)
    before = os.getcwd(), np.geterr(), np.mean
    with isolated(1) as told:
        np.mean = np.median
        np.seterr(all="raise")
        os.chdir("/")
        os.environ["HALOASSAY_HOSTILE"] = "1"
        warnings.simplefilter("error")
    assert (os.getcwd(), np.geterr(), np.mean) == before
    assert np.median is mine
    assert "HALOASSAY_HOSTILE" not in os.environ
    assert [words.partition(" (")[0].partition(":")[0] for words in told] == [
        "replaced functions",
        "changed the working directory",
        "changed environment variables",
        "changed numpy's error state",
    ]


def test_what_one_plants_in_the_catalogue_the_next_does_not_find(tmp_path, values):
    values["matrix"] = {}
    alone, _ = ran(values, tmp_path / "alone", [Spread], workers=0)
    beside, _ = ran(values, tmp_path / "beside", [Planter, Spread], workers=0)
    rows = [
        results.frame("estimates").query("estimator == 'spread'") for results in (alone, beside)
    ]
    assert rows[0]["value"].tolist() == rows[1]["value"].tolist()


def test_global_random_numbers_repeat_and_the_user_s_own_go_on(stars):
    np.random.seed(8)  # noqa: NPY002
    expected = np.random.rand(2)  # noqa: NPY002
    np.random.seed(8)  # noqa: NPY002
    first = np.random.rand()  # noqa: NPY002
    value = haloassay.measure(stars, Spread).rows[0].value
    assert [first, np.random.rand()] == expected.tolist()  # noqa: NPY002
    np.random.seed(9)  # noqa: NPY002
    assert haloassay.measure(stars, Spread).rows[0].value == value


@pytest.mark.long
def test_classes_and_instances_are_estimators_in_workers_and_here(tmp_path, values, stars):
    values["matrix"] = {}
    given = [Spread, {"kind": Spread, "scale": 2.0, "label": "double"}, "plugins:Good"]
    results, _ = ran(values, tmp_path / "pool", given, workers=1)
    assert not (tmp_path / "pool" / "log.txt").exists()  # nothing was printed
    here, _ = ran(values, tmp_path / "here", given, workers=0)
    assert results.frame("estimates").equals(here.frame("estimates"))
    for path in tmp_path.rglob("*"):  # nothing pickled is kept
        assert path.is_dir() or b"cloudpickle" not in path.read_bytes()
    double, single = (
        haloassay.measure(stars, spec).rows[0].value for spec in (Spread(scale=2.0), Spread)
    )
    noise = 2.0 * single - double  # of the same stream
    assert 0.0 <= noise < 1.0
    assert haloassay.measure(stars, Spread, scale=2.0).rows[0].value == double


SCRIPT = """
import sys
from dataclasses import dataclass
import haloassay

FACTOR = {factor}

def half(x):
    return {half}

@dataclass(frozen=True)
class Mine(haloassay.Estimator):
    name = "mine"
    reference = ""
    yields = ("sigma_r",)

    def estimate(self, catalogue, rng):
        value = FACTOR * half(float(catalogue.spherical_velocity[:, 0].std()))
        return haloassay.Estimates([haloassay.Estimate("sigma_r", value, r=20.0)])

from small_scenario import SCENARIO
haloassay.run(SCENARIO, sys.argv[1], estimators=[Mine], workers=int(sys.argv[2]))
"""


@pytest.mark.long
def test_a_class_of_a_script_goes_to_workers_and_its_source_is_its_key(
    tmp_path, environment, monkeypatch
):
    path = tmp_path / "script.py"

    def here(name, factor="1.0", half="x / 2"):
        """Run the script as the main one, but in this process."""
        path.write_text(SCRIPT.format(factor=factor, half=half))
        monkeypatch.setattr(sys, "argv", [str(path), str(tmp_path / name), "0"])
        runpy.run_path(str(path), run_name="__main__")

    here("here")
    command = [sys.executable, path, tmp_path / "out", "1"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    frames = [Results(tmp_path / name).frame("estimates") for name in ("out", "here")]
    assert len(frames[0]) == 6
    assert frames[0].equals(frames[1])
    here("out")  # goes on: all is done
    for change in ({"factor": "3.0"}, {"half": "x / 3"}):
        with pytest.raises(InputError, match=r"holds results of another scenario.*Mine#"):
            here("out", **change)
    # results are read, and catalogues made again, without the class
    made = haloassay.mock(tmp_path / "out", cell="survey.distance_scale=0.9", realization=1)
    assert len(made.catalogue) == 60


def test_a_class_without_source_is_refused():
    space = {"Estimator": Estimator, "__name__": "__main__"}
    exec("class Typed(Estimator):\n    def estimate(self, catalogue, rng): pass", space)
    with pytest.raises(InputError, match="source of 'Typed' cannot be read"):
        handed.hand_over(space["Typed"], "estimators.0")


@pytest.mark.parametrize(
    ("given", "expected"),
    [(int, "not a subclass"), (Estimator, "has no method 'estimate'"), (7, "valid dictionary")],
)
def test_what_is_no_estimator_is_refused(tmp_path, values, given, expected):
    with pytest.raises(InputError, match=expected):
        ran(values, tmp_path / "out", [given])
    assert not (tmp_path / "out").exists()


def test_measure_survives_an_estimator_that_ends_the_program(stars):
    @dataclass(frozen=True)
    class Quitter(Spread):
        def estimate(self, catalogue, rng):
            os.chdir("/")
            sys.exit(0)

    here = os.getcwd()
    with pytest.raises(haloassay.EstimationError, match=r"it ends the program \(SystemExit: 0\)"):
        haloassay.measure(stars, Quitter)
    assert os.getcwd() == here


def test_measure_tells_what_was_changed(stars):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", HaloassayWarning)
        haloassay.measure(stars, Meddler)
    told = [str(warning.message) for warning in caught]
    assert "meddler: changed the working directory: put back" in told


def test_failures_are_told_with_traceback_and_the_command_for_the_catalogue(tmp_path, values):
    values["estimators"] = [{"kind": "plugins:Bad", "label": "bad"}, *values["estimators"]]
    values["matrix"] = {"factors": {"survey.distance_scale": [0.9]}}
    out = tmp_path / "out"
    results = run(values, out, workers=0, progress=Silent())
    text = haloassay.failures(out)
    assert "6 of 12 estimator runs" in text
    assert "3 x bad failed: ArithmeticError: first line second line" in text
    assert "Traceback" not in text
    assert 'raise ArithmeticError("first line\\nsecond line")' in haloassay.failures(out, True)
    cell = "survey.distance_scale=0.9"
    assert f"haloassay mock {out} --cell {cell} --realization 0" in text
    again = haloassay.mock(out, cell=cell, realization=2).catalogue
    runs = results.frame("runs")
    assert set(runs[runs["status"] == "ok"]["traceback"]) == {""}
    rows = results.frame("estimates").query("cell == @cell and realization == 2")
    assert rows["r"].tolist() == [float(np.median(again.r))]


def test_parts_of_before_there_were_tracebacks_are_read(tmp_path, values, monkeypatch):
    import pyarrow as pa

    from haloassay.contracts.schema import SCHEMAS
    from haloassay.results import store

    values["estimators"].append({"kind": "plugins:Bad", "label": "bad"})
    out = tmp_path / "out"
    with monkeypatch.context() as before:
        old = pa.schema([field for field in SCHEMAS["runs"] if field.name != "traceback"])
        before.setitem(SCHEMAS, "runs", old)
        before.setattr(store, "_NOT_KEPT", (*store._NOT_KEPT, "traceback"))
        run(values, out, realizations=1, workers=0, progress=Silent())
    assert "no traceback was kept" in haloassay.failures(out, True)
    run(values, out, realizations=2, workers=0, progress=Silent())
    text = haloassay.failures(out, True)
    assert "ArithmeticError" in text
    assert len(Results(out).table()) > 0


def test_what_a_library_does_between_two_estimators_is_not_told_of_the_next(monkeypatch):
    """As astropy does in a worker, where surveys are the first to import it."""
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: object())
    before = warnings.showwarning
    states = random.getstate(), np.random.get_state()  # noqa: NPY002
    with isolated(1):
        pass
    monkeypatch.setattr(warnings, "showwarning", lambda *_, **__: None)
    hooked = warnings.showwarning
    with isolated(1) as told:
        warnings.showwarning = before
    assert told == []
    assert warnings.showwarning is hooked
    random.setstate(states[0])
    np.random.set_state(states[1])  # noqa: NPY002
