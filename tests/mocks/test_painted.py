"""Painted velocity fields: what is added, and what is then true."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from seeds import seeded

from haloassay.base.errors import InputError
from haloassay.contracts.frames import spherical_velocity
from haloassay.mocks import make_mock
from haloassay.mocks.stars import Stars

HALO: dict[str, Any] = {
    "kind": "local-jeans-gaussian",
    "potential": {"kind": "nfw", "m200": 1e12, "c": 12.0},
    "density": {"kind": "power-law", "slope": -3.5},
    "beta": 0.5,
    "r_range": [10.0, 100.0],
}
N = 200_000


def painted(**field: Any) -> Any:
    return make_mock({**HALO, "painted": field})


def fit(stars: Stars) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Constant and dipole of v_r by least squares, their error, and the mean velocities."""
    velocity = spherical_velocity(stars.position, stars.velocity)
    design = np.column_stack([np.ones(len(stars)), stars.position / stars.r[:, None]])
    solution, residual, *_ = np.linalg.lstsq(design, velocity[:, 0], rcond=None)
    errors = np.sqrt(np.diag(np.linalg.inv(design.T @ design)) * residual[0] / len(stars))
    return solution, errors, velocity.mean(axis=0)


@pytest.mark.parametrize(
    "field",
    [
        {"mu_compr": -12.0, "mu_dipole": -30.0, "apex_l": 70.0, "apex_b": -40.0},
        {"v_travel": 35.0, "apex_l": -120.0, "apex_b": -60.0, "mean_v": [3.0, -8.0, 15.0]},
        {"mu_dipole": 25.0, "apex_l": 10.0, "apex_b": 20.0},
    ],
)
def test_the_truth_is_what_a_fit_over_the_sky_finds(field: dict[str, Any]) -> None:
    mock = painted(**field)
    stars = mock.sample(N, seeded(3))
    solution, errors, mean = fit(stars)
    truth = {
        name: mock.truth.value(name, 30.0) for name in ("mu_compr", "mu_dipole", "apex_l", "apex_b")
    }
    lon, lat = np.radians([truth["apex_l"], truth["apex_b"]])
    unit = np.array([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
    assert abs(solution[0] - truth["mu_compr"]) < 4 * errors[0]
    assert np.all(np.abs(solution[1:] - truth["mu_dipole"] * unit) < 4 * errors[1:])
    assert truth["mu_dipole"] <= 0.0
    sigma = 150.0 / np.sqrt(N)
    for k, name in enumerate(("mean_v_r", "mean_v_theta", "mean_v_phi")):
        assert mean[k] == pytest.approx(mock.truth.value(name, 30.0), abs=4 * sigma)


def test_translation_has_the_mean_v_theta_of_equation_7() -> None:
    mock = painted(v_travel=40.0, apex_l=30.0, apex_b=-50.0)
    predicted = mock.truth.value("mean_v_theta_predicted", 30.0)
    assert predicted == pytest.approx(0.25 * np.pi * -40.0 * np.sin(np.radians(-50.0)), rel=1e-12)
    assert mock.truth.value("mean_v_theta", 30.0) == pytest.approx(predicted, rel=1e-12)
    assert mock.truth.value("v_travel", 30.0) == pytest.approx(40.0)
    assert mock.truth.value("bulk_v_theta", 30.0) == 0.0
    north = mock.truth.value("mean_v_r_north", 30.0)
    assert north == -mock.truth.value("mean_v_r_south", 30.0)
    # the Galaxy travels south: northern stars recede
    assert north > 0.0


def test_hemispheres_of_the_stars_have_the_means_of_the_truth() -> None:
    mock = painted(mu_compr=-10.0, mu_dipole=-60.0, apex_l=20.0, apex_b=-70.0)
    stars = mock.sample(N, seeded(4))
    v_r = spherical_velocity(stars.position, stars.velocity)[:, 0]
    for name, side in (("north", stars.position[:, 2] > 0), ("south", stars.position[:, 2] < 0)):
        error = v_r[side].std() / np.sqrt(side.sum())
        assert v_r[side].mean() == pytest.approx(
            mock.truth.value(f"mean_v_r_{name}", 30.0), abs=4 * error
        )


def test_a_part_of_the_sky_has_the_mean_of_the_field_there() -> None:
    """What a map of mean velocities is compared with."""
    mock = painted(v_travel=60.0, apex_l=20.0, apex_b=-70.0, mu_compr=-10.0)
    stars = mock.sample(N, seeded(7))
    velocity = spherical_velocity(stars.position, stars.velocity)
    toward = stars.position / stars.r[:, None]
    means = []
    for axis in range(3):
        for side in (-1.0, 1.0):
            here = side * toward[:, axis] > 0.8
            for k, name in enumerate(("mean_v_r", "mean_v_theta", "mean_v_phi")):
                true = mock.truth.local_value(name, stars.select(here))
                error = velocity[here, k].std() / np.sqrt(here.sum())
                assert velocity[here, k].mean() == pytest.approx(true, abs=4.0 * error)
                means.append(true)
            sigma = mock.truth.local_value("sigma_r", stars.select(here))
            spread = velocity[here, 0].std()
            assert spread == pytest.approx(sigma, rel=4.0 / np.sqrt(2.0 * here.sum()))
    assert max(means) - min(means) > 80.0
    assert np.isnan(mock.truth.local_value("kurtosis_r", stars))


def test_dispersions_and_masses_are_those_of_the_unpainted_halo() -> None:
    bare, with_field = make_mock(HALO).truth, painted(mu_dipole=-50.0, v_travel=30.0).truth
    for name in ("sigma_r", "beta", "enclosed_mass"):
        assert with_field.value(name, 30.0) == pytest.approx(bare.value(name, 30.0), rel=1e-12)
    where = {"r_lo": 20.0, "r_hi": 40.0}
    assert with_field.value("sigma_r", **where) == pytest.approx(bare.value("sigma_r", **where))


def test_no_field_changes_nothing_and_has_no_apex() -> None:
    mock = painted()
    rng = seeded
    np.testing.assert_array_equal(
        mock.sample(100, rng(1)).velocity, make_mock(HALO).sample(100, rng(1)).velocity
    )
    assert mock.truth.value("mu_dipole", 30.0) == 0.0
    assert np.isnan(mock.truth.value("apex_l", 30.0))


@pytest.mark.parametrize(
    ("field", "complaint"),
    [
        ({"apex_b": 100.0}, "apex_b"),
        ({"v_travel": -3.0}, "v_travel"),
        ({"mu_dipole": 1e300}, "mu_dipole must be within"),
        ({"speed": 3.0}, "unknown setting 'speed'"),
        ({"mean_v": [1.0]}, "mean_v"),
    ],
)
def test_bad_fields_are_refused(field: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        painted(**field)


def test_a_field_that_is_no_table_is_refused() -> None:
    with pytest.raises(InputError, match=r"mock.painted: expected a table"):
        make_mock({**HALO, "painted": 3})
