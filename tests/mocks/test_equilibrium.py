"""Equilibria by orbit superposition, against a Jeans solution and orbits integrated elsewhere."""

import functools

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import cumulative_simpson
from seeds import lots, seeded

from haloassay.analysis.significance import bias_p_values
from haloassay.base.constants import GYR_PER_KPC_KMS, G
from haloassay.base.errors import EquilibriumError
from haloassay.contracts.profiles import nfw_shape
from haloassay.mocks.equilibria import orbits
from haloassay.mocks.equilibria.anisotropy import make_anisotropy
from haloassay.mocks.equilibria.equilibrium import OrbitSuperposition
from haloassay.mocks.equilibria.tracers import make_density
from haloassay.mocks.gravity.potentials import make_potential
from haloassay.mocks.stars import Stars, orient

MILKY_WAY = make_potential(
    [{"kind": "nfw", "m200": 0.8e12, "c": 15.0}, {"kind": "mwpotential2014-baryons"}]
)
BIRD = {"kind": "broken-power-law", "slopes": [-2.8, -4.6], "breaks": [17.0]}
PROFILES = {
    "isotropic": {"kind": "constant", "beta": 0.0},
    "radial": {"kind": "constant", "beta": 0.95},
    "tangential": {"kind": "constant", "beta": -0.5},
    "osipkov-merritt": {"kind": "osipkov-merritt-profile", "r_a": 20.0},
    "bird": {"kind": "table", "r": [5.0, 20.0, 40.0, 80.0], "beta": [0.6, 0.75, 0.65, 0.5]},
    "falling": {"kind": "table", "r": [5.0, 100.0], "beta": [0.5, -0.5]},
}
SHELLS = np.geomspace(4.0, 130.0, 13)


def jeans_pressure(potential, density, anisotropy):
    """ln r and sigma_r^2, by Simpson's rule inward from 1e6 kpc: none of the sampler's code."""
    y = np.linspace(-np.log(1e6), -np.log(0.5), 20_001)
    r = np.exp(-y)
    factor = density.log_density(r) - 2.0 * cumulative_simpson(anisotropy.beta(r), x=y, initial=0.0)
    factor -= np.interp(-np.log(30.0), y, factor)
    force = np.exp(factor) * G * potential.enclosed_mass(r) / r
    return -y[::-1], (cumulative_simpson(force, x=y, initial=0.0) / np.exp(factor))[::-1]


def solve(density=BIRD, beta="bird", r_min=1.0, r_max=300.0, potential=MILKY_WAY):
    beta = PROFILES.get(beta, beta) if isinstance(beta, str) else beta
    return OrbitSuperposition.solve(
        potential, make_density(density), make_anisotropy(beta), r_min, r_max
    )


@functools.cache
def solved_with(beta):
    """Solution for the Milky Way's halo with one of the profiles: solved once."""
    return solve(beta=beta)


def shell_deviations(r, values):
    """Means of zero-mean ``values`` in the shells, in units of their Monte Carlo errors."""
    shell = np.digitize(r, SHELLS) - 1
    parts = [values[shell == k] for k in range(len(SHELLS) - 1)]
    return np.array([p.mean() / (p.std() / np.sqrt(len(p))) for p in parts])


@pytest.mark.parametrize(
    "beta",
    [
        pytest.param(beta, marks=[pytest.mark.slow] if beta == "falling" else [])
        for beta in PROFILES
    ],
)
def test_moments_of_stars_are_those_of_the_jeans_equation(beta):
    density, anisotropy = make_density(BIRD), make_anisotropy(PROFILES[beta])
    r, v_r, v_t = solved_with(beta).sample(*lots(60_000, seeded(11)))
    ln_r, pressure = jeans_pressure(MILKY_WAY, density, anisotropy)
    radial = v_r**2 - np.interp(np.log(r), ln_r, pressure)
    balance = v_t**2 - 2.0 * (1.0 - anisotropy.beta(r)) * v_r**2
    for z in (shell_deviations(r, radial), shell_deviations(r, balance)):
        assert np.sum(z**2) < stats.chi2.isf(6e-5 / len(PROFILES), 12)
    assert abs(v_r.mean()) < 4.0 * v_r.std() / np.sqrt(len(r))


def test_radii_follow_the_density():
    r, _, _ = solved_with("bird").sample(*lots(60_000, seeded(5)))
    grid = np.geomspace(1.0, 300.0, 20_001)
    shells = np.exp(make_density(BIRD).log_density(grid) + 3.0 * np.log(grid))
    cdf = cumulative_simpson(shells, x=np.log(grid), initial=0.0)
    u = np.sort(np.interp(np.log(r), np.log(grid), cdf / cdf[-1]))
    distance = np.max(np.abs(u - (np.arange(len(u)) + 0.5) / len(u)))
    assert distance < 1.95 / np.sqrt(len(u))  # Kolmogorov-Smirnov, one in a thousand


@pytest.mark.slow
def test_moments_do_not_change_along_orbits_that_galpy_integrates():
    from galpy.orbit import Orbit
    from galpy.potential import NFWPotential

    ro, vo = 8.0, 220.0
    halo = make_potential({"kind": "nfw", "m200": 0.8e12, "c": 15.0})
    r_s = halo.virial().r200 / 15.0
    amplitude = G * 0.8e12 / nfw_shape(15.0) / (ro * vo**2)
    solved = solve(r_min=1.0, r_max=300.0, potential=halo)
    of = lots(1500, seeded(17))
    stars = Stars.of(*orient(*solved.sample(*of), *of))
    energy = 0.5 * np.sum(stars.velocity**2, axis=1) + halo.potential(stars.r)
    stars = stars.select(energy > halo.potential(4.0))  # the others never come to be counted
    (x, y, z), (vx, vy, vz) = stars.position.T / ro, stars.velocity.T / vo
    R = np.hypot(x, y)
    orbits_ = Orbit(
        np.stack([R, (x * vx + y * vy) / R, (x * vy - y * vx) / R, z, vz, np.arctan2(y, x)], axis=1)
    )
    t = np.array([0.0, 3.0 / (GYR_PER_KPC_KMS * ro / vo)])  # 3 Gyr
    orbits_.integrate(
        t, NFWPotential(amp=amplitude, a=r_s / ro), method="dop853_c", progressbar=False
    )
    r = orbits_.r(t[-1]) * ro
    v_r = orbits_.vr(t[-1]) * vo
    inside = (r > 4.0) & (r < 100.0)
    sigma = np.interp(np.log(r[inside]), np.log(solved.radius), solved.sigma_r)
    excess = (v_r[inside] / sigma) ** 2 - 1.0
    assert abs(excess.mean()) < 4.0 * excess.std() / np.sqrt(inside.sum())


def test_the_truth_is_what_the_weights_give():
    solved = solved_with("radial")
    r, v_r, v_t = solved.sample(*lots(150_000, seeded(23)))
    shell = np.digitize(r, solved.edges) - 1
    for first in (20, 50, 80, 105):
        part = slice(first, first + 5)
        stars = (shell >= first) & (shell < first + 5)
        for moment, v in ((solved.radial, v_r), (solved.tangential, v_t)):
            truth = moment[part].sum() / solved.mass[part].sum()
            # squares of radial orbits are skewed: a mean of them is not Gaussian
            off = v[stars] ** 2 - truth
            p = bias_p_values(off.mean(), off.std(), stats.skew(off), stars.sum())
            assert p > 2.0 * stats.norm.sf(4.0)


def test_solution_survives_a_round_trip_through_arrays():
    solved = solved_with("bird")
    again = OrbitSuperposition.from_arrays(solved.to_arrays())
    first, second = (s.sample(*lots(1000, seeded(1))) for s in (solved, again))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("density", "beta", "place"),
    [
        # a core holds no radial orbits: beta may not exceed half the slope (An & Evans 2006)
        ({"kind": "plummer", "a": 15.0}, {"kind": "constant", "beta": 0.5}, r"misses at 1\.\d+ to"),
        (
            {"kind": "power-law", "slope": -1.5},
            {"kind": "constant", "beta": 0.9},
            "half the density slope",
        ),
        # no orbits can make a hole in front of a dense shell
        (
            {
                "kind": "table",
                "r": [1.0, 10.0, 11.0, 12.0, 13.0, 300.0],
                "rho": [1e-3, 1e-3, 1.0, 1.0, 1e-4, 1e-8],
            },
            {"kind": "constant", "beta": 0.8},
            "times the density",
        ),
    ],
)
def test_what_no_equilibrium_has_is_refused_in_one_line(density, beta, place):
    with pytest.raises(EquilibriumError, match=place) as refusal:
        solve(density, beta, r_max=30.0)
    assert "\n" not in str(refusal.value)


def test_turning_points_and_integrals_agree_with_the_potential():
    table = orbits.PotentialTable.tabulate(MILKY_WAY, 1e-4, 1e4)
    r_m, w = np.array([3.0, 20.0, 150.0]), np.array([0.1, 0.5, 0.9])
    l2 = orbits.angular_momentum_squared(table, r_m, w)
    for i in range(3):
        for j in range(3):
            peri, apo = r_m[i] * w[j], r_m[i] * (2.0 - w[j])
            energies = [MILKY_WAY.potential(r) + 0.5 * l2[i, j] / r**2 for r in (peri, apo)]
            assert energies[0] == pytest.approx(energies[1], rel=1e-9)


def test_a_library_is_made_once_a_potential():
    edges, grid = np.geomspace(2.0, 8.0, 5), orbits.OrbitGrid.spanning(1.0, 10.0, 0.5, 4)
    light, heavy = (make_potential({"kind": "nfw", "m200": m, "c": 12.0}) for m in (1e12, 4e12))

    def library(potential):
        table = orbits.PotentialTable.tabulate(potential, 1e-4, 50.0)
        return orbits.orbit_library(table, grid, edges, 3)

    first = library(light)
    assert library(light) is first
    # of four times the mass, at the same concentration: stars are faster
    assert np.all(library(heavy).radial.sum(axis=1) > 1.5 * first.radial.sum(axis=1))
    with pytest.raises(ValueError, match="read-only"):
        first.fraction[0] = 0.0
