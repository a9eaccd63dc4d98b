"""What a survey hands over is what a file may hold: mocks of every preset are read again, with equal estimates."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from seeds import shifted

import haloassay
from haloassay.base import kinds
from haloassay.base.errors import InputError
from haloassay.face.cli import main
from haloassay.io.defects import SPEED_LIMIT
from haloassay.io.tables import write_catalogue

MOCK = {
    "kind": "equilibrium",
    "potential": {"kind": "nfw", "m200": 0.8e12, "c": 15.0},
    "density": {"kind": "power-law", "slope": -3.5},
    "beta": {"kind": "constant", "beta": 0.4},
    "feh": {"mean": -1.6, "sigma": 0.3},
    "alpha_fe": {"mean": 0.2, "sigma": 0.1},
}


def scenario(survey, estimator="velocity-ellipsoid"):
    return {
        "name": "files",
        "realizations": 1,
        "seed": shifted(0),
        "mock": MOCK,
        "survey": survey,
        "estimators": [{"kind": estimator}],
    }


@pytest.mark.parametrize("preset", kinds.names("surveys"))
def test_a_mock_of_every_preset_is_read_again(preset, tmp_path):
    """all-sky gave stars of up to thousands of km/s, which only a run took; gaia-rrlyrae could not be read at all."""
    n = 3000 if preset == "all-sky" else 500  # few are as fast
    given = scenario({"preset": preset, "n_stars": n})
    made = haloassay.mock(given)
    path = tmp_path / "stars.parquet"
    write_catalogue(made.catalogue, path)
    read = haloassay.read_catalogue(path)
    dropped = made.catalogue.dropped.get("unphysical", 0)
    assert len(read) == len(made.stars) == n - dropped
    assert (dropped > 0) == (preset == "all-sky")
    assert not read.dropped
    assert set(read.columns) == set(made.catalogue.columns)
    if "vlos" not in read:
        return
    assert np.linalg.norm(read.velocity, axis=1).max() < SPEED_LIMIT
    results = haloassay.run(given, out=tmp_path / "out", workers=0)
    run = results.frame("estimates").set_index("quantity")["value"]
    measured = haloassay.measure(read, "velocity-ellipsoid", seed=shifted(0))
    assert {row.quantity: row.value for row in measured} == pytest.approx(run.to_dict(), rel=1e-9)


def test_without_line_of_sight_velocities_both_say_what_is_needed(tmp_path, monkeypatch, capsys):
    given = scenario({"preset": "gaia-rrlyrae", "n_stars": 100})
    write_catalogue(haloassay.mock(given).catalogue, tmp_path / "stars.csv")
    words = "velocity-ellipsoid: needs line-of-sight velocities (vlos), which "
    with pytest.raises(InputError) as refused:
        haloassay.run(given, out=tmp_path / "out", workers=0)
    assert words in str(refused.value)
    monkeypatch.chdir(tmp_path)
    command = ["haloassay", "measure", "stars.csv", "--estimator", "velocity-ellipsoid"]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as stop:
        main()
    told = capsys.readouterr().err
    assert stop.value.code == 2
    assert told.count("\n") == 1
    assert f"stars.csv: {words}this catalogue does not have" in told


def test_blunders_beyond_any_speed_are_left_out_as_from_a_file(tmp_path):
    """Errors of measurement of up to 5200 km/s: the others, with their true stars, are what is handed over."""
    given = scenario({"n_stars": 2000})
    given["mock"] = MOCK | {"debris": [{"kind": "blunders", "fraction": 0.1, "v_max": 3000.0}]}
    made = haloassay.mock(given)
    n = made.catalogue.dropped["unphysical"]
    assert len(made.catalogue) == len(made.stars) == 2000 - n
    # of velocities even in the cube, a sphere of 1500 km/s holds pi / 48
    expected = 200.0 * (1.0 - np.pi / 48.0)
    assert abs(n - expected) < 4.0 * np.sqrt(expected)
    assert np.linalg.norm(made.stars.velocity, axis=1).max() < SPEED_LIMIT + 1.0
    write_catalogue(made.catalogue, tmp_path / "stars.fits")
    assert len(haloassay.read_catalogue(tmp_path / "stars.fits")) == 2000 - n


def test_a_star_that_is_there_twice_is_refused_by_run_as_in_a_file(tmp_path):
    """Two particles at one place with one velocity: in a file they repeat a row."""
    rng = np.random.default_rng(1)
    stars = rng.normal(0.0, 30.0, (500, 6))
    stars[7] = stars[3]
    names = ("x", "y", "z", "vx", "vy", "vz")
    np.savetxt(tmp_path / "s.csv", stars, delimiter=",", header=",".join(names), comments="")
    given = scenario({"n_stars": "all"}) | {
        "mock": {
            "kind": "snapshot",
            "file": str(tmp_path / "s.csv"),
            "units": {"length": "kpc", "velocity": "km/s"},
            "tables": [{"position": list(names[:3]), "velocity": list(names[3:])}],
            "centre": {"position": [0.0, 0.0, 0.0], "velocity": [0.0, 0.0, 0.0]},
            "potential": MOCK["potential"],
        }
    }
    with pytest.raises(InputError, match="repeats an earlier row in 1 row"):
        haloassay.mock(given)
    results = haloassay.run(given, out=tmp_path / "out", workers=0)
    assert "repeats an earlier row" in results.frame("runs")["message"].iloc[0]
