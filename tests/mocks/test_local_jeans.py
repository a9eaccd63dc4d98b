"""Local Jeans Gaussians: right moments, Gaussian, and not an equilibrium."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats
from seeds import lots, seeded

from haloassay.base.errors import InputError
from haloassay.mocks.equilibria import jeans
from haloassay.mocks.equilibria.anisotropy import make_anisotropy
from haloassay.mocks.equilibria.local_jeans import LocalJeans
from haloassay.mocks.equilibria.tracers import make_density
from haloassay.mocks.gravity.potentials import make_potential
from haloassay.mocks.stars import radial_table

POTENTIAL = make_potential(
    [{"kind": "nfw", "m200": 0.8e12, "c": 15.0}, {"kind": "mwpotential2014-baryons"}]
)
BIRD = make_density({"kind": "broken-power-law", "slopes": [-2.8, -4.6], "breaks": [17.0]})
BETA = make_anisotropy(
    {"kind": "table", "r": [5.0, 20.0, 40.0, 80.0], "beta": [0.6, 0.75, 0.65, 0.5]}
)


def test_moments_and_shape_of_the_velocities() -> None:
    mock = LocalJeans.solve(POTENTIAL, BIRD, BETA, 3.0, 150.0)
    r, v_r, v_t = mock.sample(*lots(300_000, seeded(21)))
    sigma = jeans.sigma_r(POTENTIAL, BIRD, BETA, r[:2000])
    x = v_r[:2000] / sigma
    assert stats.kstest(x, "norm").pvalue > 1e-4
    overall = (v_r / np.interp(np.log(r), np.log(mock.radius), mock.sigma_r)) ** 2
    assert abs(overall.mean() - 1) < 4 * overall.std() / np.sqrt(len(r)) < 0.016
    edges = np.geomspace(3.0, 150.0, 9)
    for lo, hi in itertools.pairwise(edges):
        shell = (r >= lo) & (r < hi)
        grid = np.clip(r[shell], 3.0, 150.0)
        expected = np.interp(np.log(grid), np.log(mock.radius), mock.sigma_r)
        for value in (
            (v_r[shell] / expected) ** 2,
            v_t[shell] ** 2 / (2 * expected**2 * (1 - BETA.beta(grid))),
        ):
            assert abs(value.mean() - 1) < 4 * value.std() / np.sqrt(len(value))
    independent = jeans.sigma_r(POTENTIAL, BIRD, BETA, mock.radius[::500])
    np.testing.assert_allclose(mock.sigma_r[::500], independent, rtol=1e-6)


def test_some_stars_escape() -> None:
    """What its docstring warns of: Gaussians have no edge at the escape speed."""
    very_radial = make_anisotropy(0.9)
    mock = LocalJeans.solve(
        POTENTIAL, make_density({"kind": "power-law", "slope": -2.5}), very_radial, 3.0, 150.0
    )
    r, v_r, v_t = mock.sample(*lots(100_000, seeded(1)))
    assert np.any(v_r**2 + v_t**2 > -2 * POTENTIAL.potential(r))


@pytest.mark.parametrize("slope", [-2.0, -3.0, -4.6])
def test_radii_follow_a_power_law(slope: float) -> None:
    density = make_density({"kind": "power-law", "slope": slope})
    r = radial_table(density, 2.0, 90.0).at(seeded(6).random(200_000))
    k = slope + 3.0
    lo, hi = np.log([2.0, 90.0]) if k == 0 else np.array([2.0, 90.0]) ** k
    uniform = ((np.log(r) if k == 0 else r**k) - lo) / (hi - lo)
    assert stats.kstest(uniform, "uniform").statistic < 2.0 / np.sqrt(len(r))
    mass = np.log(45.0) if k == 0 else (hi - lo) / k
    assert radial_table(density, 2.0, 90.0).log_mass == pytest.approx(np.log(4 * np.pi * mass))


def test_bad_range_is_refused() -> None:
    with pytest.raises(InputError, match="positive and rising"):
        LocalJeans.solve(POTENTIAL, BIRD, BETA, 150.0, 3.0)
