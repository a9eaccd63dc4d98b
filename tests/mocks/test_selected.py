"""Truth of what was selected: moments of each star's own population, at the shares that passed."""

from __future__ import annotations

import json

import numpy as np
import pytest
from seeds import seeded

import haloassay
from haloassay.contracts.catalogue import spans
from haloassay.contracts.frames import Sun
from haloassay.contracts.quantities import QUANTITIES
from haloassay.engine.task import observe
from haloassay.mocks import make_mock, selected
from haloassay.mocks.moment_map import MomentMap
from haloassay.mocks.moments import anisotropy, at_rest, kurtosis
from haloassay.mocks.selected import Source, StarMoments
from haloassay.mocks.stars import Stars
from haloassay.mocks.surveys.survey import make_survey
from haloassay.mocks.truth import Truth
from haloassay.planning.expansion import cells
from haloassay.planning.scenario import as_scenario

POPULATIONS = [
    {
        "name": "mr",
        "fraction": 0.5,
        "feh": {"mean": -1.2, "sigma": 0.25},
        "beta": {"kind": "constant", "beta": 0.8},
        "rotation": -0.6,
    },
    {
        "name": "mp",
        "fraction": 0.5,
        "feh": {"mean": -1.8, "sigma": 0.3},
        "beta": {"kind": "constant", "beta": 0.0},
        "rotation": 0.6,
    },
]
HALO = {
    "kind": "equilibrium",
    "r_range": [3.0, 100.0],
    "potential": [{"kind": "nfw", "m200": 1.0e12, "c": 10.0}],
    "density": {"kind": "power-law", "slope": -3.5},
}
MIXED = {**HALO, "populations": POPULATIONS}
BIN = {"r_lo": 10.0, "r_hi": 30.0}


@pytest.fixture(scope="module")
def mixed():
    return make_mock(MIXED)


def scenario(**changes):
    return {
        "name": "cut",
        "realizations": 2,
        "mock": MIXED,
        "survey": {"preset": "perfect", "n_stars": 4000},
        "estimators": [{"kind": "velocity-ellipsoid", "bins": [10.0, 30.0]}],
        **changes,
    }


def cut(stars):
    return stars.select(stars.feh < -1.3)


def test_a_bin_is_of_the_populations_of_its_stars(mixed):
    stars = cut(mixed.sample(20000, seeded(1)))
    inside = stars.select((stars.r >= 10.0) & (stars.r < 30.0))
    first, second = np.zeros((len(inside), 3)), np.zeros((len(inside), 3))
    for k, moments in enumerate(mixed.truth.components.values()):
        own = inside.origin == k
        first[own], second[own] = moments.first(inside.r[own]), moments.second(inside.r[own])
    mean = first.mean(axis=0)
    variance = second.mean(axis=0) - mean**2
    wanted = {
        "beta": anisotropy(variance),
        "mean_v_phi": mean[2],
        "sigma_r": np.sqrt(variance[0]),
        "sigma_phi": np.sqrt(variance[2]),
        "p_mr": np.mean(inside.origin == 0),
    }
    for name, value in wanted.items():
        assert mixed.truth.value(name, **BIN, stars=stars) == pytest.approx(value, rel=1e-12), name
    halo = mixed.truth.value("beta", **BIN)
    assert abs(wanted["beta"] - halo) > 0.15
    assert mixed.truth.value("enclosed_mass", 20.0, stars=stars) == mixed.truth.value(
        "enclosed_mass", 20.0
    )


@pytest.mark.parametrize("name", ["sigma_r", "beta", "kurtosis_r", "sigma_los", "sigma_r.mr"])
def test_the_truth_of_many_stars_is_that_of_all_at_once(mixed, monkeypatch, name):
    stars = mixed.sample(5000, seeded(2))
    whole = mixed.truth.value(name, 20.0, **BIN, stars=stars, sun=Sun())
    monkeypatch.setattr(selected, "spans", lambda n: spans(n, 700))
    monkeypatch.setattr(selected, "_KEPT", 700)
    again = stars.select(slice(None))
    blocks = mixed.truth.value(name, 20.0, **BIN, stars=again, sun=Sun())
    np.testing.assert_allclose(blocks, whole, rtol=1e-12)
    assert mixed.truth.value(name, 20.0, **BIN, stars=cut(stars), sun=Sun()) != whole


def test_moments_of_the_stars_agree_within_their_own_scatter(mixed):
    stars = cut(mixed.sample(40000, seeded(2)))
    inside = stars.select((stars.r >= 10.0) & (stars.r < 30.0))
    v = haloassay.Catalogue.from_arrays(
        **dict(zip(("x", "y", "z"), inside.position.T, strict=True)),
        **dict(zip(("vx", "vy", "vz"), inside.velocity.T, strict=True)),
    ).spherical_velocity
    for k, name in enumerate(("r", "theta", "phi")):
        square = (v[:, k] - v[:, k].mean()) ** 2
        found = mixed.truth.value(f"sigma_{name}", **BIN, stars=stars) ** 2
        error = np.std(square) / np.sqrt(len(square))
        assert abs(square.mean() - found) < 4.0 * error, name
    error = np.std(v[:, 2]) / np.sqrt(len(v))
    assert abs(v[:, 2].mean() - mixed.truth.value("mean_v_phi", **BIN, stars=stars)) < 4.0 * error


def test_a_cut_within_one_population_changes_nothing():
    mock = make_mock({**HALO, "beta": {"kind": "constant", "beta": 0.5}})
    stars = mock.sample(5000, seeded(3))
    poor, inside = cut(stars), cut(stars).r
    inside = inside[(inside >= 10.0) & (inside < 30.0)]
    square = mock.truth.tracers.second(inside).mean(axis=0)
    assert mock.truth.value("sigma_r", **BIN, stars=poor) == pytest.approx(np.sqrt(square[0]))
    assert mock.truth.value("beta", 20.0, stars=poor) == mock.truth.value("beta", 20.0)


def test_at_a_radius_shares_follow_the_density_and_the_cut():
    """Densities whose ratio goes as r^2, and a cut that keeps a fifth of one: the shares are known."""
    steep, shallow = (
        at_rest(
            lambda r, s=s: np.asarray(r) ** s,
            lambda r: 0.0 * np.asarray(r) + 100.0,
            lambda r, b=b: 0.0 * np.asarray(r) + b,
            (1.0, 100.0),
        )
        for s, b in ((-4.0, 0.8), (-2.0, 0.0))
    )
    rng = seeded(4)
    r = np.exp(rng.uniform(0.0, np.log(100.0), 200000))
    share = r**-4.0 / (r**-4.0 + r**-2.0 / 400.0)
    origin = (rng.random(len(r)) > share).astype(int)
    kept = (origin == 1) | (rng.random(len(r)) < 0.2)
    position = np.column_stack([r, 0 * r, 0 * r])
    stars = Stars.of(position, 0 * position, origin=origin).select(kept)
    scaled = at_rest(
        lambda r: np.asarray(r) ** -2.0 / 400.0,
        lambda r: 0.0 * np.asarray(r) + 100.0,
        lambda r: 0.0 * np.asarray(r),
        (1.0, 100.0),
    )
    truth = Truth(
        make_mock({**HALO, "beta": {"kind": "constant", "beta": 0.5}}).potential,
        steep,
        sources={"a": Source(steep), "b": Source(scaled), "debris": None},
    )
    at = np.array([10.0, 20.0, 40.0])
    true = at**-4.0 / (at**-4.0 + at**-2.0 / 400.0)
    true = 0.2 * true / (0.2 * true + 1.0 - true)
    found = truth.profile("beta", at, stars) / 0.8
    # beta of equal sigma_r is the mean of the betas; stars near in ln r: N^0.8 of them
    error = np.sqrt(true * (1.0 - true) / len(stars) ** 0.8)
    assert np.all(np.abs(found - true) < 4.0 * error)
    slope = truth.profile("alpha", at, stars)
    assert np.all(np.abs(slope - (-4.0 * true - 2.0 * (1.0 - true))) < 8.0 * error)
    assert np.allclose(shallow.density(at) / 400.0, scaled.density(at))


def test_shares_of_a_blind_selection_are_free_of_chance(mixed):
    stars = mixed.sample(300, seeded(5))
    moments = mixed.truth.components
    inside = stars.r[(stars.r >= 10.0) & (stars.r < 30.0)]
    expected = np.mean(moments["mr"].density(inside) / mixed.truth.tracers.density(inside))
    blind = mixed.truth.of_blind
    assert blind.value("p_mr", **BIN, stars=stars) == pytest.approx(expected, rel=1e-12)
    assert blind.value("p_mr", **BIN, stars=stars) != mixed.truth.value("p_mr", **BIN, stars=stars)


@pytest.mark.parametrize(
    ("changes", "blind"),
    [
        ({}, True),
        ({"feh_max": -1.3}, False),
        ({"error_max": [100.0, 100.0, 100.0]}, False),
        ({"z_min": 5.0, "magnitude_limits": [10.0, 18.0]}, True),
    ],
)
def test_a_survey_says_whether_it_sees_a_difference(changes, blind):
    assert make_survey({"n_stars": 10, **changes}).blind is blind


@pytest.mark.parametrize(
    "way",
    [
        {"survey": {"preset": "perfect", "n_stars": 4000, "feh_max": -1.3}},
        {"clean": [{"kind": "select", "feh": [-3.0, -1.3]}]},
    ],
)
def test_rows_stand_beside_the_truth_of_what_was_selected(way, tmp_path):
    spec = scenario(**way)
    results = haloassay.run(spec, out=tmp_path / "out", workers=0)
    rows = results.frame("estimates")
    (cell,) = cells(as_scenario(spec))
    for k, row in rows[rows.quantity == "beta"].reset_index().iterrows():
        mock, seen = observe(cell, as_scenario(spec).seed, k)
        assert row.truth == mock.truth.value("beta", row.r, row.r_lo, row.r_hi, seen.stars)
        assert abs(row.value - row.truth) < 2.0 * (row.hi68 - row.lo68)
        assert abs(mock.truth.value("beta", **BIN) - row.truth) > 0.12


def test_contaminants_do_not_enter():
    bare = {**HALO, "beta": {"kind": "constant", "beta": 0.5}}
    debris = [{"kind": "thick-disc", "fraction": 0.3}, {"kind": "unbound", "fraction": 0.1}]
    mock = make_mock({**bare, "debris": debris})
    stars = mock.sample(4000, seeded(6))
    member = np.array([origin.member for origin in mock.origins])[stars.origin]
    assert np.count_nonzero(~member) > 0
    for name in ("sigma_r", "beta", "sigma_los"):
        both = (
            mock.truth.value(name, **BIN, stars=s, sun=Sun()) for s in (stars, stars.select(member))
        )
        assert len(set(both)) == 1, name


def test_both_truths_are_in_the_file_by_name():
    made = haloassay.mock(scenario(clean=[{"kind": "select", "feh": [-3.0, -1.3]}]))
    told = json.loads(json.dumps(made.truth_at([15.0, 30.0])))
    assert set(told["truths"]) == {"halo", "selected"}
    selected = told["selected"]
    assert selected["n_stars"] == len(made.stars)
    assert np.all(np.array(selected["beta"]) < np.array(told["beta"]) - 0.12)
    assert np.allclose(np.add(selected["share.mr"], selected["share.mp"]), 1.0)
    assert np.all(np.array(selected["share.mr"]) < 0.45)
    assert np.allclose(told["alpha"], -3.5, atol=0.02)
    assert "enclosed_mass" not in selected


def test_every_local_quantity_has_a_truth_of_what_was_selected(mixed):
    stars = cut(mixed.sample(4000, seeded(7)))
    for name, quantity in QUANTITIES.items():
        if quantity.truth == "bin":
            absent = name.endswith((".mi", "p_mi"))  # a population that this mock does not have
            found = mixed.truth.value(name, **BIN, stars=stars, sun=Sun())
            assert np.isfinite(found) != absent, name


def test_where_a_population_is_too_small_to_know_all_tracers_count():
    everyone, few = (
        at_rest(
            lambda r: np.asarray(r) ** -3.0,
            lambda r, s=s: 0.0 * np.asarray(r) + s,
            lambda r: 0.0 * np.asarray(r),
            (1.0, hi),
        )
        for s, hi in ((100.0, 100.0), (50.0, 15.0))
    )
    potential = make_mock({**HALO, "beta": {"kind": "constant", "beta": 0.5}}).potential
    truth = Truth(potential, everyone, sources={"a": Source(everyone), "b": Source(few)})
    position = np.array([[12.0, 0.0, 0.0], [20.0, 0.0, 0.0]])
    stars = Stars.of(position, 0.0 * position, origin=1)
    square = (50.0**2 + 100.0**2) / 2.0
    assert truth.value("sigma_r", **BIN, stars=stars) == pytest.approx(np.sqrt(square))


def test_moments_vary_over_the_sky_as_those_of_a_large_population_do():
    """A population colder and faster in the north: the truth of a survey of the north is that of the north."""
    rng = seeded(8)
    n = 120_000
    position = rng.normal(size=(n, 3))
    position *= (rng.uniform(10.0, 30.0, n) / np.linalg.norm(position, axis=1))[:, None]
    sigma = np.where(position[:, 2] > 0.0, 80.0, 120.0)
    stars = Stars.of(position, rng.normal(size=(n, 3)) * sigma[:, None])
    tracers = at_rest(
        lambda r: np.asarray(r) ** -3.0,
        lambda r: 0.0 * np.asarray(r) + np.sqrt(np.mean(sigma**2)),
        lambda r: 0.0 * np.asarray(r),
        (10.0, 30.0),
    )
    potential = make_mock({**HALO, "beta": {"kind": "constant", "beta": 0.5}}).potential
    local = MomentMap.of(stars, [10.0, 20.0, 30.0])
    north = stars.select((position[:, 2] > 5.0) & (position[:, 2] < 25.0))
    found = Truth(potential, tracers, local=local).value("sigma_r", **BIN, stars=north)
    # pixels on the equator mix both halves: stars well within the north are in few of them
    assert found == pytest.approx(80.0, rel=0.04)
    whole = Truth(potential, tracers, local=local).value("sigma_r", **BIN, stars=stars)
    assert whole == pytest.approx(float(np.sqrt(np.mean(sigma**2))), rel=0.005)
    few = MomentMap.of(stars.select(slice(0, 3000)), [10.0, 20.0, 30.0])
    shift, factor = few.variation(position)
    assert not shift.any()
    assert (factor == 1.0).all()


def test_what_varies_over_the_sky_keeps_the_shape_of_the_shell(mixed):
    """Variances that are four times as large here, and a mean that is elsewhere: the kurtosis is that of the shell."""
    moments = mixed.truth.components["mr"]
    stars = mixed.sample(50, seeded(8))
    shift, factor = np.array([30.0, -20.0, 10.0]), np.array([4.0, 1.0, 0.25])

    def varied(position):
        return np.broadcast_to(shift, position.shape), np.broadcast_to(factor, position.shape)

    plain, there = (StarMoments.of(Source(moments, v), stars) for v in (None, varied))
    variance = there.second - there.first**2
    np.testing.assert_allclose(variance, factor * (plain.second - plain.first**2), rtol=1e-9)
    for at in (plain, there):
        np.testing.assert_allclose(
            kurtosis(at.first, at.second, at.higher),
            kurtosis(plain.first, plain.second, moments.higher(stars.r)),
            rtol=1e-8,
        )
