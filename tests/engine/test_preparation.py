"""What estimators need, surveys hand over and mocks have is compared before anything is run."""

import warnings
from concurrent.futures import Future

import pandas as pd
import pytest

from haloassay.base.cache import CacheWarning
from haloassay.base.errors import InputError
from haloassay.engine import preparation
from haloassay.engine.executors import helpers
from haloassay.engine.executors.ahead import make_ahead
from haloassay.engine.progress import Silent
from haloassay.engine.runner import run
from haloassay.mocks import make_mock
from haloassay.mocks.equilibria import relaxation
from haloassay.mocks.equilibria.relaxation import DriftWarning
from haloassay.planning.plan import make_plan
from haloassay.planning.scenario import make_scenario

pytestmark = pytest.mark.long

BINS = [1.0, 20.0, 300.0]
#: Takes orbits, a moment long.
STORED = {
    "kind": "equilibrium",
    "potential": {"kind": "nfw", "m200": 1e12, "c": 12.0},
    "density": {"kind": "power-law", "slope": -3.5},
    "beta": {"kind": "constant", "beta": 0.3},
    "r_range": [10.0, 60.0],
    "shape": {"axis_ratios": [1.0, 0.8]},
    "population": {"size": 200, "time": 0.2, "drift_time": 0.1},
}


@pytest.fixture
def stars(tmp_path):
    """Table of a mock without abundances: particles of a simulation."""
    file = tmp_path / "stars.csv"
    line = pd.Series(range(600)) / 20.0 + 5.0
    rows = {"x": line, "y": line % 3, "z": -line, "u": line, "v": -line, "w": line % 7, "m": 1e8}
    pd.DataFrame(rows).to_csv(file, index=False)
    columns = {"position": ["x", "y", "z"], "velocity": ["u", "v", "w"], "mass": "m"}
    return {
        "kind": "snapshot",
        "file": str(file),
        "tables": [{"kind": "dark", **columns}],
        "units": {"length": "kpc", "velocity": "km/s", "mass": "Msun"},
        "potential": {"kind": "nfw", "m200": 1e12, "c": 12.0},
        "centre": {"position": [0.0, 0.0, 0.0], "velocity": [0.0, 0.0, 0.0]},
        "tracers": {"kinds": ["dark"], "r_range": [2.0, 90.0]},
    }


def refusal(values, out):
    with pytest.raises(InputError) as caught:
        run(make_scenario(values), out, 1, workers=0, progress=Silent())
    assert not out.exists()
    return str(caught.value)


def test_a_survey_without_velocities_is_refused_for_a_method_that_needs_them(values, tmp_path):
    values["survey"] = {"preset": "gaia-rrlyrae", "n_stars": 60}
    assert refusal(values, tmp_path / "out") == (
        "scenario: estimators.good: needs line-of-sight velocities (vlos), which no catalogue of this mock and"
        " survey has"
    )


@pytest.mark.parametrize(
    ("setting", "level"), [("feh_max", -1.0), ("distance_feh_correlation", 0.5)]
)
def test_a_cut_on_abundances_that_the_mock_has_not_is_refused(
    values, tmp_path, stars, setting, level
):
    values["mock"] = stars
    values["survey"][setting] = level
    assert f"mock of cell 'base': survey: {setting} needs [Fe/H]" in refusal(values, tmp_path / "o")


def test_a_method_that_needs_abundances_is_refused_without_them(values, tmp_path, stars):
    values["mock"] = stars
    for entry, lacks in (
        ({"kind": "gaussian-mixture", "bins": BINS}, "[Fe/H] (feh)"),
        (
            {"kind": "sky-map", "population": "accreted", "map": "quadrants"},
            "[Fe/H] (feh), [alpha/Fe] (alpha_fe)",
        ),
    ):
        values["estimators"] = [entry]
        values["matrix"] = {}
        assert f"estimators.{entry['kind']}: needs {lacks}, which no" in refusal(
            values, tmp_path / "o"
        )


def test_populations_that_differ_in_their_abundances_are_refused(values, tmp_path):
    mock = values["mock"]
    shared = {"density": mock.pop("density"), "beta": mock.pop("beta")}
    mock["populations"] = [
        {"name": "mr", "fraction": 0.5, **shared, "alpha_fe": {"mean": 0.2, "sigma": 0.1}},
        {"name": "mp", "fraction": 0.5, **shared},
    ]
    assert "some stars have [alpha/Fe] and others have none" in refusal(values, tmp_path / "out")


def test_where_the_matrix_takes_away_what_is_needed_the_method_is_not_applicable(values, tmp_path):
    values["matrix"]["factors"] = {"survey.vlos_known": [True, False]}
    values["estimators"].append({"kind": "plugins:Sky", "label": "sky"})
    progress = Silent()
    results = run(make_scenario(values), tmp_path / "out", workers=0, progress=progress)
    assert progress.lines == [
        "good: not applicable in cell 'survey.vlos_known=false', for want of line-of-sight velocities (vlos)"
    ]
    ran = results.frame("runs").groupby(["cell", "estimator"]).size().to_dict()
    assert ran == {
        ("base", "good"): 3,
        ("base", "sky"): 3,
        ("survey.vlos_known=false", "sky"): 3,
    }
    again = run(make_scenario(values), tmp_path / "out", workers=0, progress=Silent())
    assert again.counts() == {"ok": 9}


#: Has not mixed when it is kept.
UNMIXED = {
    **STORED,
    "shape": {"axis_ratios": [0.9, 0.3]},
    "population": {"size": 1500, "time": 0.02, "drift_time": 0.5},
}


def with_stored(values, levels):
    values["mock"] = STORED
    values["survey"] = {"preset": "perfect", "n_stars": 100}
    values["matrix"] = {"factors": {"mock.shape.axis_ratios.1": levels}}
    return make_plan(make_scenario(values))


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """What is made ahead, of mocks all of which take long."""
    found = []
    monkeypatch.setenv("HALOASSAY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(preparation, "_LONG", 0.0)
    monkeypatch.setattr(preparation, "make_ahead", lambda mocks, *_: found.extend(mocks))
    return found


def test_mocks_that_take_long_are_made_at_once_each_once(values, asked):
    plan = with_stored(values, [0.7, 0.9])
    preparation.prepared(plan, lambda _: None, 2)
    # the first one shows that they do
    assert sorted(mock["shape"]["axis_ratios"][1] for mock in asked) == [0.7, 0.9]


@pytest.mark.parametrize("why", ["none takes long", "the first did not", "nothing is kept"])
def test_no_process_is_started_for_nothing(values, asked, monkeypatch, tmp_path, why):
    if why == "none takes long":
        values["matrix"] = {"factors": {"survey.distance_scale": [0.9, 1.1]}}
        plan = make_plan(make_scenario(values))
    else:
        plan = with_stored(values, [0.7, 0.9])
    if why == "the first did not":
        monkeypatch.setattr(preparation, "_LONG", 1e9)
    if why == "nothing is kept":
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("HALOASSAY_CACHE", str(tmp_path / "file" / "cache"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CacheWarning)
        preparation.prepared(plan, lambda _: None, 2)
    assert asked == []


def test_what_was_made_ahead_is_found_and_its_warnings_are_told(tmp_path, monkeypatch):
    monkeypatch.setenv("HALOASSAY_CACHE", str(tmp_path / "cache"))
    said = []
    with pytest.warns(DriftWarning, match="is not stationary") as told:
        make_ahead([STORED, UNMIXED], 1, said.append)
    assert len(told) == 1
    assert said[0] == "making 2 mocks with 1 processes"
    monkeypatch.setattr(relaxation, "relax", None)  # what makes them
    for spec in (STORED, UNMIXED):
        assert make_mock(spec).prepare()["population"] > 100


class Here:
    """Stands for a pool of processes: does in this one what it is given."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def schedule(self, function, args, timeout):
        future = Future()
        try:
            future.set_result(function(*args))
        except InputError as error:
            future.set_exception(error)
        return future

    def stop(self):
        pass

    join = stop


def test_nothing_is_made_where_one_of_them_cannot_be(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(helpers, "worker_pool", lambda n, _: asked.append(n) or Here())
    monkeypatch.setenv("HALOASSAY_CACHE", str(tmp_path / "cache"))
    flat = {**STORED, "density": {"kind": "power-law", "slope": -0.3}}  # too flat for its beta
    make_ahead([STORED, flat], 3, lambda _: None)
    assert asked == [2]  # no more processes than mocks
    monkeypatch.setattr(relaxation, "relax", None)
    with pytest.raises(TypeError):
        make_mock(STORED).prepare()
