"""What participants of a blind challenge are told of the survey: all of it true, and nothing that no observer knows."""

from __future__ import annotations

import copy

import healpy
import numpy as np
import pytest
from seeds import shifted

import haloassay

SCENARIO = {
    "name": "public",
    "realizations": 1,
    "mock": {
        "kind": "local-jeans-gaussian",
        "potential": {"kind": "nfw", "m200": 1e12, "c": 12.0},
        "density": {"kind": "power-law", "slope": -3.5},
        "beta": {"kind": "constant", "beta": 0.3},
        "r_range": [5.0, 100.0],
    },
    "survey": {"n_stars": 40},
    "estimators": [{"kind": "tracer-mass", "alpha": -3.5}],
}
WHOLE = "The survey sees the whole sky."


@pytest.fixture
def files(tmp_path):
    """Settings of files, by name."""
    sky = np.where(np.arange(48) < 40, 0.8, healpy.UNSEEN)
    healpy.write_map(tmp_path / "map.fits", sky, coord="C", dtype=np.float64)
    stars = haloassay.mock({**SCENARIO, "survey": {"preset": "lamost-kgiants", "n_stars": 400}})
    haloassay.write_catalogue(stars.catalogue, tmp_path / "own.fits")
    sky_map = {"map": str(tmp_path / "map.fits")}
    own = {"file": str(tmp_path / "own.fits"), "selection": "footprint"}
    return {"footprint": {**sky_map, "dec_min": -20.0}, "completeness": sky_map, "template": own}


def made(folder, survey, levels=None):
    """What is told, and the README."""
    scenario = copy.deepcopy(SCENARIO)
    scenario["survey"] |= survey
    if levels:
        scenario["matrix"] = {"factors": levels}
    found = haloassay.challenge(scenario, folder, seed=shifted(3), ask=["enclosed_mass@20"])
    return found.told, (found.public / "README.md").read_text()


def test_of_a_perfect_survey_the_whole_sky_is_said_to_be_seen(tmp_path):
    told, readme = made(tmp_path / "made", {})
    assert (told["survey"], told["survey_not_told"]) == ({}, [])
    assert WHOLE in readme


@pytest.mark.parametrize("name", ["footprint", "completeness", "template"])
def test_settings_of_files_are_named_and_no_other_survey_is_told(tmp_path, files, name):
    told, readme = made(tmp_path / "made", {name: files[name], "distance_error": 0.1})
    assert told["survey"] == {"distance_error": 0.1}
    assert told["survey_not_told"] == [name]
    assert WHOLE not in readme
    assert f"\n{name}.\n" in readme
    assert "digest" not in readme
    assert str(tmp_path) not in str(told) + readme
    stars = tmp_path / "made" / "public" / "halo-001.parquet"
    haloassay.measure(stars, "tracer-mass", alpha=-3.5, survey=told["survey"])


@pytest.mark.parametrize(
    "levels",
    [
        {"survey.footprint.dec_min": [-90.0, 0.0]},
        {"survey.footprint": [{"b_min": 20.0}, {"b_min": 30.0}]},
    ],
)
def test_settings_that_differ_are_named(tmp_path, levels):
    told, readme = made(tmp_path / "made", {}, levels)
    assert (told["survey"], told["survey_not_told"]) == ({}, ["footprint"])
    assert WHOLE not in readme
    assert "\nfootprint.\n" in readme


def test_what_no_observer_knows_is_not_even_named_where_it_differs(tmp_path):
    told, readme = made(tmp_path / "made", {}, {"survey.distance_scale": [1.0, 1.1]})
    assert (told["survey"], told["survey_not_told"]) == ({}, [])
    assert "distance_scale" not in readme + str(told)
