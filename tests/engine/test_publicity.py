"""What participants of a blind challenge are told of the survey: all of it true, and nothing that no observer knows."""

from __future__ import annotations

import copy
import json
import math
from dataclasses import replace

import healpy
import numpy as np
import pytest
from seeds import shifted

import haloassay
from haloassay.mocks.surveys.survey import make_survey

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
    assert told["survey"] == ({} if name == "template" else {"distance_error": 0.1})
    assert told["survey_not_told"] == [name]
    assert ("Errors are those of stars of the" in readme) == (name == "template")
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


@pytest.mark.parametrize("left_out", [(), ("pm_corr", "feh_err")])
def test_errors_in_whose_place_a_template_stands_are_not_told(tmp_path, files, left_out):
    """They count for nothing; what the file does not state, the survey goes on to say."""
    own = haloassay.read_catalogue(files["template"]["file"]).to_table().to_pandas()
    own.drop(columns=[*left_out]).to_csv(tmp_path / "own.csv", index=False)
    replaced = {"distance_error_spread": 0.3, "pm_error": 0.5, "vlos_error": 9.0}
    optional = {"pm_correlation": 0.3, "feh_error": 0.4}
    survey = {**replaced, **optional, "r_min": 7.0, "template": str(tmp_path / "own.csv")}
    told, readme = made(tmp_path / "made", survey)
    assert told["survey"] == {"r_min": 7.0, **(optional if left_out else {})}
    assert all(f"{name} =" not in readme for name in replaced)


def _refuse(word):
    raise AssertionError(f"{word} is no JSON")


def test_a_limit_that_is_none_is_null_and_read_again(tmp_path):
    survey = {
        "completeness": {"minimum": 0.5},
        "magnitude_limits": [-math.inf, 19.0],
        "error_max": [math.inf, 300.0, math.inf],
    }
    told, readme = made(tmp_path / "made", survey)
    text = (tmp_path / "made" / "public" / "challenge.json").read_text()
    assert json.loads(text, parse_constant=_refuse) == told
    assert told["survey"]["magnitude_limits"] == [None, 19.0]
    assert told["survey"]["completeness"]["full_to"] is None
    assert "Infinity" not in readme
    assert "`null` is no\nlimit" in readme
    read = make_survey(told["survey"])
    assert read == replace(make_survey({**survey, "n_stars": 40}), n_stars=read.n_stars)
