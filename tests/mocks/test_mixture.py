"""The analytic mixture: an equilibrium by independent Jeans, draws against moments, honest refusal."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats
from seeds import lots, seeded

from haloassay.base.errors import InputError
from haloassay.mocks.equilibria import jeans
from haloassay.mocks.equilibria.anisotropy import Anisotropy, make_anisotropy
from haloassay.mocks.equilibria.mixture import Mixture
from haloassay.mocks.equilibria.tracers import Density, make_density
from haloassay.mocks.gravity.potentials import CompositePotential, make_potential
from haloassay.mocks.moments import solved_moments
from haloassay.mocks.stars import Stars, orient
from haloassay.mocks.truth import Truth

NFW = {"kind": "nfw", "m200": 0.8e12, "c": 15.0}
BARYONS = {"kind": "mwpotential2014-baryons"}
STEEP = {"kind": "power-law", "slope": -4.0}
BIRD = {"kind": "broken-power-law", "slopes": [-2.8, -4.6], "breaks": [17.0]}
RISING = {"kind": "table", "r": [5.0, 20.0, 40.0, 80.0], "beta": [0.6, 0.75, 0.65, 0.5]}


def falling(r: np.ndarray) -> np.ndarray:
    return 0.5 - r**2 / (r**2 + 900.0)


FITTING = {
    "isotropic": (NFW, STEEP, 0.0),
    "radial": (NFW, STEEP, 0.5),
    "very-radial": (NFW, STEEP, 0.95),
    "tangential": (NFW, {"kind": "power-law", "slope": -3.5}, -0.5),
    "baryons": ([NFW, BARYONS], STEEP, 0.5),
    "falling": (NFW, STEEP, falling),
}


def parts(case: tuple[object, ...]) -> tuple[CompositePotential, Density, Anisotropy]:
    potential, density, beta = case
    return make_potential(potential), make_density(density), make_anisotropy(beta)


@pytest.mark.parametrize("case", FITTING.values(), ids=FITTING)
def test_fits_and_solves_the_jeans_equation(case: tuple[object, ...]) -> None:
    potential, density, anisotropy = parts(case)
    mixture = Mixture.solve(potential, density, anisotropy, 1.0, 300.0)
    assert mixture.qualifies(0.005)
    r = np.geomspace(1.0, 300.0, 60)
    log_rho, sigma, beta = mixture.moments(r)
    own = make_anisotropy(lambda x: mixture.moments(x)[2])
    # of its own density and beta: an identity
    np.testing.assert_allclose(sigma, jeans.sigma_r(potential, mixture, own, r), rtol=1e-6)
    # the stated misses are maxima over a grid, so another grid may top them a little
    miss = np.max(np.abs(np.expm1(log_rho - density.log_density(r))))
    assert miss <= 1.01 * mixture.density_error
    assert np.max(np.abs(beta - anisotropy.beta(r))) <= 1.01 * mixture.beta_error
    # of the wanted ones: as near as the fit
    wanted = jeans.sigma_r(potential, density, anisotropy, r)
    np.testing.assert_allclose(sigma, wanted, rtol=0.005)


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, marks=[pytest.mark.slow] if name == "baryons" else [], id=name)
        for name, case in FITTING.items()
    ],
)
def test_draws_have_the_moments_of_an_independent_jeans_solution(case: tuple[object, ...]) -> None:
    potential, density, anisotropy = parts(case)
    mixture = Mixture.solve(potential, density, anisotropy, 4.0, 130.0)
    own = make_anisotropy(lambda x: mixture.moments(x)[2])
    solution = jeans.solve(potential, mixture, own, 4.0, 130.0)
    r, v_r, v_t = mixture.sample(*lots(160_000, seeded(11)))
    sigma = solution.sigma_r(np.clip(r, 4.0, 130.0))
    nodes = np.geomspace(4.0, 130.0, 2001)
    flattening = 1.0 - np.interp(np.log(r), np.log(nodes), own.beta(nodes))
    square = (v_r / sigma) ** 2
    # over all radii a sigma_r low by 0.8 per cent stands out
    assert abs(square.mean() - 1.0) < 4 * square.std() / np.sqrt(len(r)) < 0.016
    edges = np.geomspace(4.0, 130.0, 9)
    for lo, hi in itertools.pairwise(edges):
        shell = (r >= lo) & (r < hi)
        n = np.count_nonzero(shell)
        radial = v_r[shell] ** 2 / sigma[shell] ** 2
        tangential = v_t[shell] ** 2 / (2 * flattening[shell] * sigma[shell] ** 2)
        for value in (radial, tangential):
            assert abs(value.mean() - 1.0) < 4 * value.std() / np.sqrt(n)
        assert abs(v_r[shell].mean()) < 4 * v_r[shell].std() / np.sqrt(n)


def test_radii_follow_the_fitted_density() -> None:
    potential, density, anisotropy = parts(FITTING["radial"])
    mixture = Mixture.solve(potential, density, anisotropy, 5.0, 100.0)
    r, _, _ = mixture.sample(*lots(200_000, seeded(5)))
    assert r.min() >= 5.0 * (1 - 1e-12)
    assert r.max() <= 100.0 * (1 + 1e-12)
    # r^-4 r^2 dr: uniform in 1 / r
    uniform = (1 / 5.0 - 1 / r) / (1 / 5.0 - 1 / 100.0)
    # the fit misses the density by density_error at most, and the distribution by less
    distance = stats.kstest(uniform, "uniform").statistic
    assert distance < 2.0 / np.sqrt(len(r)) + mixture.density_error


def test_speeds_are_those_of_the_isotropic_hernquist_distribution() -> None:
    """Distribution of v / v_esc in a narrow shell against galpy's isotropic Hernquist f(E)."""
    from galpy.df import isotropicHernquistdf
    from galpy.potential import HernquistPotential

    potential = make_potential({"kind": "hernquist", "mass": 1e12, "a": 20.0})
    density = make_density({"kind": "hernquist", "a": 20.0})
    mixture = Mixture.solve(potential, density, make_anisotropy(0.0), 2.0, 200.0)
    r, v_r, v_t = mixture.sample(*lots(400_000, seeded(8)))
    df = isotropicHernquistdf(pot=HernquistPotential(amp=2.0, a=20.0 / 8.0))
    for radius in (5.0, 20.0, 80.0):
        shell = np.abs(np.log(r / radius)) < 0.02
        escape = np.sqrt(-2 * potential.potential(r[shell]))
        q = np.hypot(v_r, v_t)[shell] / escape
        grid = np.linspace(0.0, 1.0, 2001)
        psi = 1.0 / (radius / 8.0 + 2.5)  # in galpy's units, G M = 1
        energy = -psi * (1 - grid[1:-1] ** 2)
        weight = np.concatenate([[0.0], grid[1:-1] ** 2 * df.fE(energy), [0.0]])
        cumulative = np.concatenate([[0.0], np.cumsum(0.5 * (weight[1:] + weight[:-1]))])
        expected = np.interp(q, grid, cumulative / cumulative[-1])
        distance = stats.kstest(expected, "uniform").statistic
        # 2 / sqrt(n): significance 7e-4; the fit's own miss moves the distribution by less than itself
        miss = max(mixture.density_error, mixture.beta_error)
        assert distance < 2.0 / np.sqrt(len(q)) + miss


@pytest.mark.parametrize(
    "case",
    [
        ([NFW, BARYONS], BIRD, RISING),
        (NFW, BIRD, 0.5),
        (NFW, STEEP, {"kind": "osipkov-merritt-profile", "r_a": 20.0}),
    ],
    ids=["bird", "break", "osipkov-merritt"],
)
def test_says_that_it_does_not_fit(case: tuple[object, ...]) -> None:
    mixture = Mixture.solve(*parts(case), 1.0, 300.0)
    assert not mixture.qualifies(0.005)
    assert max(mixture.density_error, mixture.beta_error) > 0.02


def test_stars_are_bound_and_exchangeable() -> None:
    potential, density, anisotropy = parts(FITTING["falling"])
    mixture = Mixture.solve(potential, density, anisotropy, 5.0, 100.0)
    r, v_r, v_t = mixture.sample(*lots(100_000, seeded(2)))
    assert np.all(v_r**2 + v_t**2 <= -2 * potential.potential(r) * (1 + 1e-6))
    assert np.all(v_t >= 0.0)
    first, last = r[:50_000], r[50_000:]
    assert stats.ks_2samp(first, last).pvalue > 1e-4
    again = mixture.sample(*lots(100_000, seeded(2)))
    for one, two in zip((r, v_r, v_t), again, strict=True):
        np.testing.assert_array_equal(one, two)


def test_truth_is_what_was_solved() -> None:
    potential, density, anisotropy = parts(FITTING["baryons"])
    mixture = Mixture.solve(potential, density, anisotropy, 2.0, 200.0)
    truth = Truth(potential, solved_moments(mixture, density, (2.0, 200.0)))
    r = np.geomspace(2.0, 200.0, 37)
    log_rho, sigma, beta = mixture.moments(r)
    shape = truth.profile("density", r) / np.exp(log_rho)
    np.testing.assert_allclose(shape, shape[0], rtol=1e-12)
    np.testing.assert_allclose(truth.profile("sigma_r", r), sigma, rtol=1e-7)
    np.testing.assert_allclose(truth.profile("beta", r), beta, atol=1e-6)


def test_orientation_is_isotropic_and_keeps_the_spherical_velocities() -> None:
    rng = seeded(4)
    n = 200_000
    r, v_r, v_t = rng.uniform(1, 9, n), rng.normal(0, 100, n), rng.uniform(0, 200, n)
    stars = Stars.of(*orient(r, v_r, v_t, *lots(len(r), rng)), feh=-1.5)
    assert len(stars) == n
    np.testing.assert_allclose(stars.r, r, rtol=1e-13)
    unit = stars.position / r[:, None]
    radial = np.sum(unit * stars.velocity, axis=1)
    np.testing.assert_allclose(radial, v_r, atol=1e-10)
    across = np.linalg.norm(stars.velocity - radial[:, None] * unit, axis=1)
    np.testing.assert_allclose(across, v_t, atol=1e-9)
    # <n_i n_j> = delta_ij / 3, with variance 4/45 on and 1/15 off the diagonal
    second = unit.T @ unit / n
    noise = np.where(np.eye(3, dtype=bool), np.sqrt(4 / 45), np.sqrt(1 / 15)) / np.sqrt(n)
    assert np.all(np.abs(second - np.eye(3) / 3) < 4 * noise)
    # the tangential direction is uniform about each axis: both components equal in mean square
    axis = np.cross([0.0, 0.0, 1.0], unit)
    axis /= np.linalg.norm(axis, axis=1)[:, None]
    cos2 = (np.sum(axis * stars.velocity, axis=1) / v_t) ** 2
    assert abs(cos2.mean() - 0.5) < 4 * cos2.std() / np.sqrt(n)
    assert np.all(stars.feh == -1.5)
    half = stars.select(stars.r < 5)
    np.testing.assert_array_equal(half.position, stars.position[r < 5])


def test_bad_input_is_refused() -> None:
    potential, density, anisotropy = parts(FITTING["radial"])
    with pytest.raises(InputError, match="positive and rising"):
        Mixture.solve(potential, density, anisotropy, 10.0, 5.0)
