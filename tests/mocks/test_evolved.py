"""Halos that are shaped, mixed, and pulled by the LMC: what is drawn, and what is then true."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from seeds import seeded, shifted

from haloassay.base.errors import InputError
from haloassay.contracts.frames import spherical_velocity
from haloassay.mocks import make_mock
from haloassay.mocks.equilibria.relaxation import DriftWarning
from haloassay.mocks.evolved import EvolvedHalo
from haloassay.mocks.moment_map import octants, pixels
from haloassay.mocks.surveys.survey import make_survey

ROUND: dict[str, Any] = {
    "kind": "equilibrium",
    "potential": {"kind": "nfw", "m200": 1e12, "c": 12.0},
    "density": {"kind": "power-law", "slope": -3.5},
    "r_range": [10.0, 100.0],
    "population": {
        "size": 6000,
        "seed": shifted(0),
        "time": 1.0,
        "drift_time": 0.5,
        "tolerance": 1e-6,
    },
}
TWO = [
    {
        "name": "accreted",
        "beta": 0.6,
        "fraction": 0.7,
        "shape": {"axis_ratios": [0.8, 0.6], "tilt": [0.0, 25.0, 0.0]},
    },
    {
        "name": "in-situ",
        "beta": 0.0,
        "density": {"kind": "power-law", "slope": -4.5},
        "rotation": -0.5,
    },
]


@pytest.fixture(scope="module")
def shaped() -> EvolvedHalo:
    mock = make_mock({**ROUND, "populations": TWO})
    assert isinstance(mock, EvolvedHalo)
    mock.prepare()
    return mock


def test_population_has_the_size_range_and_shares_that_were_asked_for(shaped: EvolvedHalo) -> None:
    stars = shaped.population.stars
    n = len(stars)
    assert n == pytest.approx(6000, rel=0.1)
    assert stars.r.min() >= 10.0
    assert stars.r.max() < 100.0
    # shape changes and mixing move some stars across the ends of the range
    assert np.mean(stars.origin == 0) == pytest.approx(0.7, abs=0.03)


def test_populations_keep_their_shape_and_their_rotation(shaped: EvolvedHalo) -> None:
    stars = shaped.population.stars
    accreted, in_situ = (stars.select(stars.origin == k) for k in (0, 1))
    spread = np.linalg.eigvalsh(np.cov((accreted.position / accreted.r[:, None]).T))
    assert spread[0] < 0.75 * spread[2]
    v_phi = spherical_velocity(in_situ.position, in_situ.velocity)[:, 2]
    assert v_phi.mean() < -20.0
    still = spherical_velocity(accreted.position, accreted.velocity)[:, 2]
    assert abs(still.mean()) < 4 * still.std() / np.sqrt(len(still))


def test_truth_is_measured_in_the_population_and_masses_are_exact(shaped: EvolvedHalo) -> None:
    truth, stars = shaped.truth, shaped.population.stars
    potential = shaped.base.potential
    assert truth.value("enclosed_mass", 30.0) == potential.enclosed_mass(30.0)
    inside = stars.select((stars.r >= 15.0) & (stars.r < 40.0))
    velocity = spherical_velocity(inside.position, inside.velocity)
    expected = truth.value("sigma_r", r_lo=15.0, r_hi=40.0, stars=stars)
    assert velocity[:, 0].std() == pytest.approx(expected, rel=4 / np.sqrt(2 * len(inside)))
    assert truth.local is not None
    assert np.isnan(truth.value("asymmetry", 30.0))
    assert np.isfinite(truth.local_value("sigma_r", inside))


def test_the_test_of_standing_still_is_told_with_the_truth(shaped: EvolvedHalo) -> None:
    """Moments of each population before and after, their noise, and the summary that run.json has."""
    told = json.loads(json.dumps(shaped.truth.to_dict([20.0])["stationarity"]))
    facts = shaped.prepare()["drift"]
    # 1 Gyr at 100 kpc in a halo of 1e12 Msun: a third of a turn, which a short mixing time is told by
    v_c = shaped.base.potential.circular_velocity(100.0)
    turns = 1.0 * v_c / (2.0 * np.pi * 100.0) * 1.0227
    assert shaped.prepare()["followed"] == {"gyr": 1.0, "turns": pytest.approx(turns, rel=1e-3)}
    assert list(told) == list(facts) == ["accreted", "in-situ"]
    for name, test in told.items():
        shells = pd.DataFrame(test.pop("shells"))
        assert test == facts[name]
        assert test["over_gyr"] == 0.5
        beta = shells[shells["quantity"] == "beta"]
        assert len(beta) > 1
        change = (beta["after"] - beta["before"]) / beta["noise"]
        np.testing.assert_allclose(change, beta["drift"])
        assert test["worst_in_sigma"] == shells["drift"].abs().max()
    assert "stationarity" not in make_mock({**ROUND, "beta": 0.3}).truth.to_dict([20.0])


def test_every_population_has_its_own_truth(shaped: EvolvedHalo) -> None:
    """Whatever its name: moments and share of the stars, as counted in the population."""
    stars = shaped.population.stars
    told = shaped.truth.to_dict([20.0])
    near = (stars.r > 18.0) & (stars.r < 22.0)
    for k, name in enumerate(("accreted", "in-situ")):
        own = stars.select(near & (stars.origin == k))
        v = spherical_velocity(own.position, own.velocity)
        noise = 4.0 / np.sqrt(2.0 * len(own))
        assert told[f"sigma_r.{name}"][0] == pytest.approx(v[:, 0].std(), rel=noise)
        share = np.mean(stars.origin[near] == k)
        error = 4.0 * np.sqrt(share * (1.0 - share) / near.sum())
        assert told[f"share.{name}"][0] == pytest.approx(share, abs=error)
    total = sum(told[f"share.{name}"][0] for name in ("accreted", "in-situ"))
    # each is interpolated by itself
    assert total == pytest.approx(1.0, abs=0.05)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::haloassay.mocks.equilibria.relaxation.DriftWarning")
def test_how_far_beta_misses_the_wish_is_told() -> None:
    """The spherical start has it, a flat shape changes it; rotation, which turns stars round, does not."""
    size = {"population": {**ROUND["population"], "size": 20_000}}
    flat = {"shape": {"axis_ratios": [1.0, 0.4]}}
    for change, least in (({}, 0.0), ({"rotation": 0.8}, 0.0), (flat, 0.1)):
        mock = make_mock({**ROUND, **size, "beta": 0.0, **change})
        wish = mock.prepare()["beta_wish"]["halo"]
        stars = mock.population.stars  # type: ignore[attr-defined]
        near = stars.select(np.abs(np.log(stars.r / wish["r"])) < 0.15)
        square = np.mean(spherical_velocity(near.position, near.velocity) ** 2, axis=0)
        found = 1.0 - (square[1] + square[2]) / (2.0 * square[0])
        # worst of eight shells of some 2000 stars
        noise = 4.0 * np.sqrt(3.0 / 2000.0)
        assert wish["miss"] == pytest.approx(found, abs=noise)
        assert least <= abs(wish["miss"]) < (0.4 if least else noise)


def test_a_population_of_few_stars_has_no_truth_and_does_not_stop_the_rest() -> None:
    few = {"name": "few", "beta": 0.0, "fraction": 0.01}
    truth = make_mock({**ROUND, "populations": [few, {"name": "rest", "beta": 0.0}]}).truth
    told = truth.to_dict([20.0])
    assert told["sigma_r.few"] == [None]
    assert told["sigma_r.rest"][0] == pytest.approx(told["sigma_r"][0], rel=0.05)


def test_a_realization_draws_no_star_twice_and_the_next_run_finds_the_population(
    shaped: EvolvedHalo,
) -> None:
    draw = shaped.sampler(seeded(1))
    stars = np.concatenate([draw(1000).position, draw(1500).position])
    assert len(np.unique(stars, axis=0)) == 2500
    again = make_mock({**ROUND, "populations": TWO})
    np.testing.assert_array_equal(again.sample(100, seeded(1)).position, stars[:100])


def test_an_lmc_without_mass_is_none_and_one_with_mass_makes_a_dipole() -> None:
    spec = {**ROUND, "beta": 0.3, "r_range": [30.0, 100.0]}
    spec["population"] = {**ROUND["population"], "tolerance": 1e-5}
    none, light = (
        make_mock({**spec, "lmc": {"mass": mass, "time": 3.0}}) for mass in (0.0, 1.5e11)
    )
    assert none.truth.value("mu_dipole", 60.0) == 0.0
    # 1.5e11 Msun: tens of km/s beyond 60 kpc, stars coming from the south
    assert light.truth.value("mu_dipole", 80.0) < -15.0
    assert light.truth.value("apex_b", 80.0) < -30.0
    assert light.truth.value("mean_v_r_north", 80.0) > light.truth.value("mean_v_r_south", 80.0)
    compressed = make_mock(
        {**spec, "lmc": {"mass": 1.5e11, "time": 3.0}, "painted": {"mu_compr": 5.0}}
    )
    assert compressed.truth.value("mu_compr", 80.0) == pytest.approx(
        light.truth.value("mu_compr", 80.0) + 5.0
    )
    assert light.truth.value("enclosed_mass", 60.0) == none.truth.value("enclosed_mass", 60.0)


@pytest.mark.parametrize(
    "survey",
    [
        {"n_stars": 1500},
        {"n_stars": 800, "z_min": 20.0},
        {"n_stars": 300, "completeness": {"minimum": 0.1, "maximum": 0.3}, "r_min": 15.0},
        {"n_stars": 300, "distance_error": 0.3, "error_max": [1e3, 60.0, 60.0], "pm_error": 0.3},
        {"n_stars": "all", "z_min": 20.0},
    ],
)
def test_the_overlap_is_the_share_of_stars_that_two_realisations_have_in_common(
    shaped: EvolvedHalo, survey: dict[str, Any]
) -> None:
    """Counted in pairs of realisations. Luck of a survey lets other stars of the same population be seen next time."""
    made, seen, expected = make_survey(survey), [], []
    for k in range(16):
        got = made.observe(shaped, *(seeded(k, j) for j in (1, 2)))
        seen.append(set(got.stars.position[:, 0].tolist()))
        expected.append(got.overlap)
    common = [len(a & b) / len(a) for a, b in itertools.combinations(seen, 2)]
    # 16 independent expectations, and pairs of which eight are independent
    error = np.hypot(np.std(common) / np.sqrt(8), np.std(expected) / np.sqrt(16))
    actual = np.mean(expected) * shaped.number / shaped.population.size
    assert actual == pytest.approx(np.mean(common), abs=4.0 * error)
    assert np.mean(common) > 0.01


def test_an_impossible_lmc_is_refused_before_any_star_is_followed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("haloassay.mocks.evolved.relaxed_population", None)
    heavy = {**ROUND, "potential": {"kind": "nfw", "m200": 4e12, "c": 12.0}, "beta": 0.3}
    mock = make_mock({**heavy, "shape": {"axis_ratios": [0.9, 0.8]}, "lmc": {"mass": 1e11}})
    with pytest.raises(InputError, match="the LMC never was outside the Milky Way's virial radius"):
        mock.prepare()


def test_a_field_painted_on_a_shaped_halo_adds_to_its_moments(shaped: EvolvedHalo) -> None:
    field = {"mu_compr": -20.0, "mean_v": [0.0, 0.0, 30.0]}
    painted = make_mock({**ROUND, "populations": TWO, "painted": field})
    truth, bare = painted.truth, shaped.truth
    assert truth.value("mean_v_phi", 30.0) == pytest.approx(bare.value("mean_v_phi", 30.0) + 30.0)
    assert truth.value("sigma_phi", 30.0) == pytest.approx(bare.value("sigma_phi", 30.0))
    assert truth.value("mu_compr", 30.0) == -20.0
    part = shaped.population.stars.select(np.arange(50))
    assert truth.local_value("mean_v_r", part) == pytest.approx(
        bare.local_value("mean_v_r", part) - 20.0
    )


def test_the_map_of_a_painted_halo_is_told_with_the_field_in_it(shaped: EvolvedHalo) -> None:
    """As it would be measured in the painted stars, octant by octant and pixel by pixel."""
    field = {
        "mu_compr": 10.0,
        "mu_dipole": -60.0,
        "apex_l": 30.0,
        "apex_b": -60.0,
        "v_travel": 40.0,
    }
    mock = make_mock({**ROUND, "populations": TWO, "painted": field})
    told = mock.truth.to_dict([20.0])["map"]
    bare_map = shaped.truth.to_dict([20.0])["map"]
    # the field varies over a cell, and counts as its mean over the cell, wherever the stars are
    toward = seeded(41).standard_normal((300_000, 3))
    field_there = spherical_velocity(toward, mock.painted.at(toward))  # type: ignore[attr-defined]
    cells = {"octants": octants(toward), "pixels": pixels(toward, told["nside"])}
    # the map averages over pixels of half a degree: one on the border of octants counts for one of them
    sine = np.abs(toward / np.linalg.norm(toward, axis=1)[:, None]).min(axis=1)
    on_border = {"octants": float(np.mean(sine < np.radians(0.25))), "pixels": 0.0}
    for name, of_direction in cells.items():
        for k, column in enumerate(("mean_v_r", "mean_v_theta", "mean_v_phi")):
            for cell in range(of_direction.max() + 1):
                inside = field_there[of_direction == cell, k]
                expected = bare_map[name][column][2][cell] + inside.mean()
                error = (4.0 / np.sqrt(len(inside)) + on_border[name]) * np.std(inside)
                assert told[name][column][2][cell] == pytest.approx(expected, abs=error)
        for ours, theirs in zip(told[name]["sigma_r"], bare_map[name]["sigma_r"], strict=True):
            assert ours == pytest.approx(theirs, rel=1e-9)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"kind": "local-jeans-gaussian"}, "need kind = 'equilibrium'"),
        ({"shape": {"axis_ratios": [1.4, 0.5]}}, "axis ratios"),
        ({"shape": {"axis_ratios": [0.8, 0.0]}}, "axis ratios"),
        ({"shape": {"axis_ratios": [0.8, 1e-300]}}, r"axis ratios may not be below 0.01"),
        ({"lmc": {"mass": -1.0}}, "mass"),
        ({"lmc": 3}, r"mock\.lmc: expected a table"),
        ({"population": {"size": 0}}, "size"),
        ({"debris": [{"kind": "thick-disk"}]}, "thick-disc"),
    ],
)
def test_what_cannot_be_evolved_is_refused(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        make_mock({**ROUND, "beta": 0.0, **change})


@pytest.mark.parametrize(
    ("r_range", "message"),
    [
        ([20.0, 20.001], r"r_range, 20 to 20.001 kpc, is too narrow: \d+ of 20000 stars"),
        (
            [1e-5, 5.0],
            r"mock\.r_range: that of a stored population may span .* \(got \[1e-05, 5.0\]\)",
        ),
    ],
)
def test_ranges_that_cannot_be_stored_are_refused(r_range: list[float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_mock({**ROUND, "beta": 0.0, "r_range": r_range}).prepare()


def test_a_population_that_drifts_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HALOASSAY_CACHE", str(tmp_path))  # it is said when it is made
    spec = {**ROUND, "name": "cigar", "beta": 0.0, "shape": {"axis_ratios": [1.0, 0.4]}}
    spec["population"] = {"size": 4000, "seed": shifted(0), "time": 0.1, "drift_time": 0.3}
    with pytest.warns(DriftWarning, match="population 'cigar' is not stationary"):
        make_mock(spec).prepare()


def test_a_population_too_small_for_a_truth_is_refused_before_anything_runs() -> None:
    few = {
        **ROUND,
        "beta": 0.0,
        "population": {"size": 50, "seed": shifted(0), "time": 0.1, "drift_time": 0.1},
    }
    with pytest.raises(InputError, match=r"shells .* have 50 stars"):
        make_mock(few).prepare()


def test_a_survey_of_more_stars_than_there_are_is_told_so(shaped: EvolvedHalo) -> None:
    draw = shaped.sampler(seeded(1))
    assert len(draw(10_000)) == shaped.population.size
    with pytest.raises(InputError, match=r"mock\.population\.size"):
        draw(1)
