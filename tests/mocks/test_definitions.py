"""Definitions of quantities taken at their word: computed from stars as they say, they give the truth, sign and all."""

from __future__ import annotations

import numpy as np
import pytest
from seeds import shifted

import haloassay
from haloassay.contracts.frames import spherical_velocity

#: A translation towards an apex and a bulk motion, of which nothing is zero.
PAINTED = {"v_travel": 60.0, "apex_l": 40.0, "apex_b": -50.0, "mean_v": [-40.0, 15.0, -30.0]}
N = 40_000


@pytest.fixture(scope="module")
def painted():
    """Mock of a painted halo, with its true stars."""
    return haloassay.mock(
        {
            "name": "painted",
            "realizations": 1,
            "mock": {
                "kind": "local-jeans-gaussian",
                "potential": {"kind": "nfw", "m200": 1e12, "c": 12.0},
                "density": {"kind": "power-law", "slope": -3.5},
                "beta": {"kind": "constant", "beta": 0.3},
                "r_range": [5.0, 100.0],
                "painted": PAINTED,
            },
            "survey": {"n_stars": N},
            "estimators": [{"kind": "velocity-ellipsoid"}],
        },
        seed=shifted(17),
    )


def test_the_field_of_the_stars_is_that_of_the_words(painted):
    stars = painted.stars
    v = spherical_velocity(stars.position, stars.velocity)
    n = stars.position / stars.r[:, None]
    constant, *d = np.linalg.lstsq(np.column_stack([np.ones(len(n)), n]), v[:, 0], rcond=None)[0]
    size = float(np.linalg.norm(d))
    toward = -np.array(d) / size
    north = n[:, 2] > 0.0
    found = {
        "mu_compr": constant,
        "mu_dipole": -size,
        "mean_v_r_north": v[north, 0].mean(),
        "mean_v_r_south": v[~north, 0].mean(),
        "mean_v_theta_predicted": 0.25 * np.pi * -size * toward[2],
        "mean_v_phi": v[:, 2].mean(),
        "bulk_v_phi": v[:, 2].mean(),  # a translation has none
        "bulk_v_theta": v[:, 1].mean() - 0.25 * np.pi * -size * toward[2],
    }
    error = (
        4.0 * v.std(axis=0).max() * np.sqrt(3.0 / N)
    )  # of a component of d, the least certain of them
    for name, value in found.items():
        assert abs(value - painted.truth.value(name, 20.0)) < error, name
        assert abs(value) > error, name  # its sign is seen
    lon, lat = (painted.truth.value(f"apex_{x}", 20.0) for x in "lb")
    assert np.degrees(np.arctan2(toward[1], toward[0])) == pytest.approx(lon, abs=15.0)
    assert np.degrees(np.arcsin(toward[2])) == pytest.approx(lat, abs=10.0)
    assert painted.truth.value("v_travel", 20.0) == pytest.approx(size, abs=error)
