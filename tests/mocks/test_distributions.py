"""Distribution functions of one density and anisotropy: their moments, and their tails against analytic ones."""

import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.integrate import quad
from seeds import lots, seeded
from test_equilibrium import BIRD, MILKY_WAY, jeans_pressure, shell_deviations

from haloassay.base.constants import G
from haloassay.base.errors import EquilibriumError, InputError
from haloassay.contracts.frames import spherical_velocity
from haloassay.mocks import make_mock
from haloassay.mocks.equilibria.anisotropy import make_anisotropy
from haloassay.mocks.equilibria.distributions import Gaussian, Kurtosis, make_distribution
from haloassay.mocks.equilibria.equilibrium import OrbitSuperposition
from haloassay.mocks.equilibria.mixture import Mixture
from haloassay.mocks.equilibria.tracers import make_density
from haloassay.mocks.gravity.potentials import make_potential
from haloassay.planning.expansion import cells
from haloassay.planning.scenario import load_scenario

RADIAL = {"kind": "table", "r": [5.0, 20.0, 40.0, 80.0], "beta": [0.6, 0.75, 0.65, 0.5]}
RISING = {"kind": "osipkov-merritt-profile", "r_a": 20.0}
WISH = {"kind": "kurtosis", "r": [15.0, 60.0], "tangential": [4.5, 5.0]}
FAMILIES = {
    "power-law": ({"kind": "power-law"}, RADIAL),
    "gaussian": ({"kind": "gaussian"}, RADIAL),
    "kurtosis": (WISH, RADIAL),
    "osipkov-merritt": ({"kind": "cuddeford"}, RISING),
    "constant": ({"kind": "cuddeford"}, 0.5),
    "eddington": ({"kind": "cuddeford"}, 0.0),
}


@functools.cache
def solved(family, r_range=(1.0, 300.0)):
    distribution, beta = FAMILIES[family]
    wanted = MILKY_WAY, make_density(BIRD), make_anisotropy(beta)
    return OrbitSuperposition.solve(*wanted, *r_range, distribution=make_distribution(distribution))


def orbits(potential, density, beta, distribution, r_range=(1.0, 60.0)):
    return OrbitSuperposition.solve(
        potential,
        density,
        make_anisotropy(beta),
        *r_range,
        distribution=make_distribution({"kind": distribution}),
    )


@pytest.mark.long
@pytest.mark.parametrize(
    "family",
    [
        pytest.param(
            family, marks=[pytest.mark.slow] if family in ("constant", "eddington") else []
        )
        for family in FAMILIES
    ],
)
def test_stars_have_the_moments_of_jeans_and_the_stated_kurtosis(family):
    density, anisotropy = make_density(BIRD), make_anisotropy(FAMILIES[family][1])
    solution = solved(family)
    r, v_r, v_t = solution.sample(*lots(60_000, seeded(31)))
    ln_r, pressure = jeans_pressure(MILKY_WAY, density, anisotropy)
    radial = v_r**2 - np.interp(np.log(r), ln_r, pressure)
    balance = v_t**2 - 2.0 * (1.0 - anisotropy.beta(r)) * v_r**2
    v_theta = v_t * np.cos(2.0 * np.pi * seeded(33).random(len(r)))
    ln_radius = np.log(solution.radius)
    square_r = np.interp(np.log(r), ln_radius, solution.sigma_r**2)
    square_t = square_r * (1.0 - np.interp(np.log(r), ln_radius, solution.beta))
    tails = (
        v**4 - np.interp(np.log(r), ln_radius, stated) * square**2
        for v, stated, square in (
            (v_r, solution.kurtosis_r, square_r),
            (v_theta, solution.kurtosis_t, square_t),
        )
    )
    for of_zero_mean in (radial, balance, *tails):
        z = shell_deviations(r, of_zero_mean)
        assert np.sum(z**2) < stats.chi2.isf(6e-5 / len(FAMILIES), 12)


def within(solution, lo=3.0, hi=100.0):
    return (solution.radius > lo) & (solution.radius < hi)


@pytest.mark.long
def test_osipkov_and_merritts_function_is_as_peaked_across_as_along():
    # f(Q) depends on v_r^2 + (1 + r^2 / r_a^2) v_t^2 alone, so both kurtoses are one
    solution = solved("osipkov-merritt")
    inside = within(solution)
    np.testing.assert_allclose(solution.kurtosis_t[inside], solution.kurtosis_r[inside], rtol=0.02)
    powers = OrbitSuperposition.solve(
        MILKY_WAY, make_density(BIRD), make_anisotropy(RISING), 1.0, 300.0
    )
    far = np.searchsorted(powers.radius, 80.0)
    assert powers.kurtosis_t[far] > 10.0  # the same density and beta, by powers of L


@pytest.mark.slow
@pytest.mark.parametrize("beta", [0.5, -0.5, 0.8])
def test_constant_beta_has_the_ratio_of_kurtoses_of_a_power_of_l(beta):
    # of f = L^(-2 b) f(E), sin^2 of the angle to the radius ~ Beta(1 - b, 1/2)
    solution = orbits(MILKY_WAY, make_density(BIRD), beta, "cuddeford", (1.0, 300.0))
    inside = within(solution, 2.0, 80.0)
    ratio = solution.kurtosis_t[inside] / solution.kurtosis_r[inside]
    np.testing.assert_allclose(ratio, (2.0 - beta) / (2.0 - 2.0 * beta), rtol=0.02)


class Component:
    """rho = r^(-2 b) psi^p, of which f ~ L^(-2 b) E^(p - 3/2 + b)."""

    def __init__(self, potential, b, p):
        self.potential, self.b, self.p = potential, b, p

    def log_density(self, r):
        return self.p * np.log(-self.potential.potential(r)) - 2.0 * self.b * np.log(r)

    def slope(self, r):
        fall = G * self.potential.enclosed_mass(r) / r / self.potential.potential(r)
        return self.p * fall - 2.0 * self.b


@pytest.mark.parametrize(("b", "p"), [(0.0, 5.0), (0.4, 6.0), (0.5, 5.0), (-0.6, 7.0)])
@pytest.mark.parametrize("kind", [pytest.param("plummer", marks=pytest.mark.slow), "hernquist"])
def test_kurtosis_of_an_analytic_component(kind, b, p):
    # v^2 / (2 psi) ~ Beta(3/2 - b, p - 1/2 + b); the isotropic Plummer sphere has p = 5
    potential = make_potential({"kind": kind, "mass": 1e12, "a": 15.0})
    solution = orbits(potential, Component(potential, b, p), b, "cuddeford")
    a, both = 1.5 - b, p + 1.0
    speed = (a + 1.0) * both / (a * (both + 1.0))
    radial = speed * 3.0 * (1.5 - b) / (2.5 - b)
    inside = within(solution, 2.0, 40.0)
    np.testing.assert_allclose(solution.kurtosis_r[inside], radial, rtol=0.01)
    across = radial * (2.0 - b) / (2.0 - 2.0 * b)
    np.testing.assert_allclose(solution.kurtosis_t[inside], across, rtol=0.01)
    one = np.ones(1)
    mixture = Mixture(potential, 1.0, 60.0, b * one, p * one, 0.0 * one, 0.0, 0.0)
    np.testing.assert_allclose(mixture.kurtosis_r, radial, rtol=1e-10)
    np.testing.assert_allclose(mixture.kurtosis_t, across, rtol=1e-10)


def test_kurtosis_of_the_isotropic_hernquist_sphere():
    a, mass = 15.0, 1e12
    potential = make_potential({"kind": "hernquist", "mass": mass, "a": a})
    solution = orbits(potential, make_density({"kind": "hernquist", "a": a}), 0.0, "cuddeford")

    def f(e):  # Hernquist (1990), eq. 17, e = E a / (G M)
        q2 = np.clip(e, 0.0, 1.0 - 1e-12)
        q = np.sqrt(q2)
        poly = q * np.sqrt(1 - q2) * (1 - 2 * q2) * (8 * q2**2 - 8 * q2 - 3)
        return (3.0 * np.arcsin(q) + poly) / (1 - q2) ** 2.5

    for r in (4.0, 15.0, 40.0):
        psi = 1.0 / (1.0 + r / a)

        def moment(k, psi=psi):
            return quad(lambda v: f(psi - 0.5 * v * v) * v ** (2 + k), 0.0, np.sqrt(2 * psi))[0]

        wanted = 1.8 * moment(4) * moment(0) / moment(2) ** 2
        at = np.interp(np.log(r), np.log(solution.radius), solution.kurtosis_r)
        assert at == pytest.approx(wanted, rel=0.01)


def test_gaussians_in_l_have_narrower_tails_than_powers():
    anisotropy = make_anisotropy(0.9)
    wanted = MILKY_WAY, make_density(BIRD), anisotropy, 1.0, 300.0
    powers = OrbitSuperposition.solve(*wanted)
    gaussian = OrbitSuperposition.solve(*wanted, distribution=Gaussian())
    beyond = within(powers, 20.0, 200.0)
    assert np.all(powers.kurtosis_t[beyond] > 12.0)
    assert np.all(gaussian.kurtosis_t[beyond] < 10.0)


def test_wished_kurtosis_is_met():
    solution = solved("kurtosis")
    inside = (solution.radius >= 15.0) & (solution.radius <= 60.0)
    wish = np.interp(np.log(solution.radius[inside]), np.log([15.0, 60.0]), [4.5, 5.0])
    np.testing.assert_allclose(solution.kurtosis_t[inside], wish, rtol=0.005)


def test_a_kurtosis_that_no_equilibrium_has_is_refused():
    wish = Kurtosis((15.0, 30.0), radial=1.1)
    with pytest.raises(EquilibriumError, match="of this density, beta and kurtosis: ") as refusal:
        OrbitSuperposition.solve(
            MILKY_WAY, make_density(BIRD), make_anisotropy(0.3), 8.0, 40.0, distribution=wish
        )
    assert "\n" not in str(refusal.value)


def test_a_negative_separable_function_is_refused_with_the_place():
    # Plummer's core holds no beta above zero in the centre (An & Evans 2006)
    with pytest.raises(EquilibriumError, match=r"negative at the energies Q = -Phi\(r\), r = 1"):
        orbits(
            MILKY_WAY, make_density({"kind": "plummer", "a": 15.0}), 0.4, "cuddeford", (1.0, 300.0)
        )


@given(st.floats(-3.0, 0.97))
def test_gaussian_has_the_mean_squared_momentum_of_the_power(beta):
    from haloassay.mocks.equilibria.distributions import _rates

    mean = (1.0 - beta) / (2.0 - beta)
    (k,) = _rates(np.array([mean]))
    s = np.linspace(0.0, 1.0, 20_001)
    weight = np.exp(-k * s - max(0.0, -k))
    assert np.sum(weight * s) / np.sum(weight) == pytest.approx(mean, abs=1e-3)


HALO = {
    "kind": "equilibrium",
    "potential": {"kind": "nfw", "m200": 0.8e12, "c": 15.0},
    "density": BIRD,
    "beta": 0.6,
    "r_range": [4.0, 80.0],
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"distribution": {"kind": "gauss"}}, "mock.distribution: unknown distribution 'gauss'"),
        ({"distribution": {"kind": "kurtosis", "r": [5, 9]}}, "radial or tangential must be given"),
        ({"distribution": {**WISH, "r": [9.0, 5.0]}}, "r must be positive and rising"),
        ({"distribution": {**WISH, "tangential": 1.4}}, "tangential must be above 1.5"),
        ({"distribution": {**WISH, "radial": [3, 3, 3]}}, "a number or of the length of r, 2"),
        (
            {"distribution": {"kind": "cuddeford"}, "beta": RADIAL},
            "mock.distribution: distribution cuddeford needs a beta of kind constant or osip",
        ),
        ({"distribution": {"kind": "gaussian"}, "method": "mixture"}, "a distribution needs"),
        (
            {"distribution": {"kind": "gaussian"}, "kind": "local-jeans-gaussian"},
            "a distribution needs kind = 'equilibrium'",
        ),
        # the profile does not go by the name of the function
        ({"beta": {"kind": "osipkov-merritt", "r_a": 9.0}}, "mean 'osipkov-merritt-profile'"),
    ],
)
def test_a_setting_that_cannot_be_is_told_in_one_line(changes, message):
    with pytest.raises(InputError, match=message) as refusal:
        make_mock(HALO | changes)
    assert "\n" not in str(refusal.value)


POPULATIONS = [
    {"name": "mr", "fraction": 0.5, "beta": 0.8, "distribution": {"kind": "gaussian"}},
    {"name": "mp", "fraction": 0.5, "beta": 0.2, "rotation": 0.4},
]
MOCKS = {
    "rotating": {**HALO, "rotation": 0.5},
    "cuddeford": {**HALO, "distribution": {"kind": "cuddeford"}},
    "analytic": {**HALO, "method": "mixture", "tolerance": 0.2},
    "local": {**HALO, "kind": "local-jeans-gaussian"},
    "painted": {**HALO, "painted": {"mean_v": [30.0, 0.0, -60.0]}},
    "populations": {k: v for k, v in HALO.items() if k != "beta"} | {"populations": POPULATIONS},
}


@pytest.mark.parametrize("name", MOCKS)
def test_truth_of_kurtosis_is_that_of_the_stars(name):
    mock = make_mock(MOCKS[name])
    stars = mock.sample(60_000, seeded(34))
    stars = stars.select((stars.r > 15.0) & (stars.r < 30.0))
    v = spherical_velocity(stars.position, stars.velocity)
    for k, axis in enumerate(("r", "theta", "phi")):
        d = v[:, k] - v[:, k].mean()
        found = np.mean(d**4) / np.mean(d**2) ** 2
        # of a ratio, to first order
        error = np.std(d**4 / np.mean(d**4) - 2.0 * d**2 / np.mean(d**2)) / np.sqrt(len(d))
        truth = mock.truth.value(f"kurtosis_{axis}", 20.0, 15.0, 30.0, stars)
        assert abs(found / truth - 1.0) < 4.0 * error
        assert mock.truth.to_dict([20.0])[f"kurtosis_{axis}"][0] == pytest.approx(truth, rel=0.2)


def test_populations_have_distributions_and_kurtoses_of_their_own():
    truth = make_mock(MOCKS["populations"]).truth.to_dict([20.0])
    assert truth["kurtosis_theta.mr"][0] > truth["kurtosis_theta.mp"][0] > 2.0
    same = [{**p, "distribution": {"kind": "power-law"}} for p in POPULATIONS]
    others = make_mock({**MOCKS["populations"], "populations": same}).truth.to_dict([20.0])
    assert others["kurtosis_theta.mp"] == truth["kurtosis_theta.mp"]
    assert others["kurtosis_theta.mr"][0] > 1.1 * truth["kurtosis_theta.mr"][0]


def test_a_stored_population_has_the_kurtosis_of_its_stars():
    mock = make_mock(
        {**MOCKS["cuddeford"], "population": {"size": 40_000, "time": 0.02, "drift_time": 0.02}}
    )
    spherical = make_mock(MOCKS["cuddeford"])
    for axis, rel in (("r", 0.1), ("theta", 0.25)):
        stated = spherical.truth.value(f"kurtosis_{axis}", 20.0, 15.0, 30.0)
        found = mock.truth.value(f"kurtosis_{axis}", 20.0, 15.0, 30.0)
        assert found == pytest.approx(stated, rel=rel)


def test_a_matrix_sweeps_the_distribution(tmp_path):
    path = tmp_path / "swept.toml"
    path.write_text("""
name = "swept"
title = "By family"
realizations = 2
seed = 1

[mock]
kind = "equilibrium"
potential = { kind = "nfw", m200 = 0.8e12, c = 15.0 }
density = { kind = "power-law", slope = -4.0 }
beta = 0.5
distribution = { kind = "power-law" }

[survey]
preset = "perfect"
n_stars = 100

[[estimators]]
kind = "velocity-ellipsoid"

[matrix]
factors."mock.distribution.kind" = ["power-law", "gaussian", "cuddeford"]
""")
    made = cells(load_scenario(str(path)))
    assert len(made) == 3
    assert len({cell.content[0] for cell in made}) == 3
    found = [make_mock(cell.mock).populations[0].distribution for cell in made]
    assert [type(each).__name__ for each in found] == ["PowerLaw", "Gaussian", "Cuddeford"]
