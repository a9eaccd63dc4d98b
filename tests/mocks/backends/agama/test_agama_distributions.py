"""Mocks drawn from agama's distribution functions, against Jeans solutions and agama's own integrals."""

from __future__ import annotations

import numpy as np
import pytest
from agama_halos import HALO, HERNQUIST_TRACERS, RANGE, shells
from seeds import seeded

from haloassay.base.errors import EquilibriumError
from haloassay.mocks import make_mock

pytest.importorskip("agama", reason="agama is not installed: its tests are left out")
pytestmark = pytest.mark.agama


@pytest.mark.parametrize(
    "beta",
    [0.0, 0.4, -0.5, {"kind": "osipkov-merritt-profile", "r_a": 25.0}],
    ids=["0", "0.4", "-0.5", "osipkov"],
)
def test_quasi_spherical_stars_have_jeans_moments(beta) -> None:
    """agama's inversion and draws against our Jeans solution, and against our own equilibrium's draws."""
    spec = {"potential": HALO, "density": HERNQUIST_TRACERS, "beta": beta, "r_range": RANGE}
    theirs = make_mock({"kind": "agama", **spec})
    ours = make_mock({"kind": "equilibrium", **spec})
    stars = theirs.sample(40_000, seeded(5))
    own = ours.sample(40_000, seeded(6))
    assert len(stars) == 40_000
    assert stars.r.min() >= RANGE[0]
    assert stars.r.max() <= RANGE[1]
    for theirs_, ours_ in zip(shells(stars, theirs), shells(own, ours), strict=True):
        n, sigma, error, truth, mean, rotation = theirs_
        np.testing.assert_array_less(np.abs(sigma - truth), 4.0 * error)
        assert abs(mean - rotation) < 4.0 * sigma[2] / np.sqrt(n)
        n_own, own_sigma, own_error, own_truth = ours_[:4]
        np.testing.assert_allclose(truth, own_truth, rtol=5e-3)
        np.testing.assert_array_less(
            np.abs(sigma - own_sigma), 4.0 * np.hypot(error, own_error) + 2e-3 * sigma
        )
        assert abs(n - n_own) < 4.0 * np.sqrt(n + n_own)


def test_functions_of_actions_have_the_moments_that_are_stated() -> None:
    """Flattened, rotating: draws against agama's integrals over the distribution function."""
    mock = make_mock(
        {
            "kind": "agama",
            "potential": HALO,
            "r_range": RANGE,
            "distribution": {
                "kind": "double-power-law",
                "j0": 3000.0,
                "slope_in": 2.0,
                "slope_out": 5.0,
                "coef_jr_in": 1.3,
                "coef_jz_in": 0.6,
                "coef_jr_out": 1.2,
                "coef_jz_out": 0.7,
                "rot_frac": -0.5,
            },
        }
    )
    stars = mock.sample(40_000, seeded(5))
    for n, sigma, error, truth, mean, rotation in shells(stars, mock):
        # a dispersion about the mean of the shell: it rotates differently at different heights
        np.testing.assert_array_less(np.abs(sigma - truth), 4.0 * error + 4e-3 * sigma)
        assert rotation < -5.0  # prograde
        assert abs(mean - rotation) < 4.0 * sigma[2] / np.sqrt(n) + 0.2
    counts, edges = np.histogram(stars.r, np.geomspace(*RANGE, 9))
    r = np.sqrt(edges[1:] * edges[:-1])
    shell = 4.0 * np.pi * r**3 * np.log(edges[1:] / edges[:-1])
    expected = mock.truth.profile("density", r) * shell * len(stars)
    np.testing.assert_allclose(counts, expected, rtol=0.06)


def test_draws_are_those_of_their_seed() -> None:
    mock = make_mock(
        {
            "kind": "agama",
            "potential": HALO,
            "density": HERNQUIST_TRACERS,
            "beta": 0.0,
            "r_range": RANGE,
        }
    )
    first, again = (mock.sample(2000, seeded(1)) for _ in range(2))
    np.testing.assert_array_equal(first.position, again.position)
    np.testing.assert_array_equal(first.feh, again.feh)
    draw = mock.sampler(seeded(1))
    np.testing.assert_array_equal(draw(2000).position, first.position)
    assert not np.any(np.isin(draw(2000).position[:, 0], first.position[:, 0]))
    assert len(draw(0)) == 0


def test_a_wish_without_a_distribution_function_is_refused() -> None:
    """A core in a cusp has none that is isotropic: agama would set the negative part to zero."""
    plummer = {"kind": "plummer", "a": 15.0}
    mock = make_mock(
        {
            "kind": "agama",
            "potential": HALO,
            "density": plummer,
            "beta": 0.0,
            "r_range": [1.0, 60.0],
        }
    )
    with pytest.raises(EquilibriumError, match=r"misses at 1 to .* kpc.*tolerance 0\.02"):
        mock.prepare()
