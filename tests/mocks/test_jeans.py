"""The Jeans solution against closed forms, scipy quadrature and galpy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from haloassay.base.constants import G
from haloassay.base.errors import InputError
from haloassay.mocks.equilibria import jeans
from haloassay.mocks.equilibria.anisotropy import make_anisotropy
from haloassay.mocks.equilibria.tracers import make_density
from haloassay.mocks.gravity.potentials import make_potential

MILKY_WAY = [{"kind": "nfw", "m200": 0.8e12, "c": 15.0}, {"kind": "mwpotential2014-baryons"}]
BIRD = {"kind": "broken-power-law", "slopes": [-2.8, -4.6], "breaks": [17.0]}
BIRD_BETA = {"kind": "table", "r": [5.0, 20.0, 40.0, 80.0], "beta": [0.6, 0.75, 0.65, 0.5]}


def test_isotropic_plummer_sphere() -> None:
    """sigma^2 = G M / (6 sqrt(r^2 + a^2)) (Dejonghe 1987)."""
    spec = {"kind": "plummer", "mass": 1e12, "a": 20.0}
    r = np.geomspace(0.01, 500.0, 60)
    got = jeans.sigma_r(
        make_potential(spec), make_density({"kind": "plummer", "a": 20.0}), make_anisotropy(0.0), r
    )
    np.testing.assert_allclose(got**2, G * 1e12 / 6 / np.hypot(r, 20.0), rtol=1e-6)


def test_isotropic_hernquist_sphere() -> None:
    """Closed form of Hernquist (1990, eq. 10); outside 3 a it loses its digits by cancellation."""
    a = 20.0
    r = np.geomspace(0.01, 60.0, 60)
    x = r / a
    polynomial = 25 + 52 * x + 42 * x**2 + 12 * x**3
    bracket = 12 * x * (1 + x) ** 3 * np.log1p(1 / x) - x / (1 + x) * polynomial
    got = jeans.sigma_r(
        make_potential({"kind": "hernquist", "mass": 1e12, "a": a}),
        make_density({"kind": "hernquist", "a": a}),
        make_anisotropy(0.0),
        r,
    )
    np.testing.assert_allclose(got**2, G * 1e12 / (12 * a) * bracket, rtol=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.floats(-2.0, 0.99), st.floats(-6.0, -3.0), st.floats(0.01, 1e4))
def test_power_law_about_a_point_mass(beta: float, slope: float, r: float) -> None:
    """sigma_r^2 = G M / [r (1 - slope - 2 beta)]."""
    got = jeans.sigma_r(
        make_potential({"kind": "point-mass", "mass": 1e12}),
        make_density({"kind": "power-law", "slope": slope}),
        make_anisotropy(beta),
        np.array([r]),
    )
    assert got[0] ** 2 == pytest.approx(G * 1e12 / r / (1 - slope - 2 * beta), rel=1e-10)


@pytest.mark.parametrize("width", [0.0, 0.1])
def test_broken_density_and_tabulated_beta_against_quadrature(width: float) -> None:
    potential = make_potential(MILKY_WAY)
    density = make_density({**BIRD, "width": width})
    anisotropy = make_anisotropy(BIRD_BETA)
    points = sorted({*BIRD_BETA["r"], 17.0})

    node, weight = np.polynomial.legendre.leggauss(24)  # beta is smooth between its points

    def log_g(lo: float, hi: float) -> float:
        stops = np.log([lo, *(p for p in points if lo < p < hi), hi])
        half = 0.5 * np.diff(stops)[:, None]
        x = stops[:-1, None] + half * (1.0 + node)
        return float(2.0 * np.sum(half * weight * anisotropy.beta(np.exp(x))))

    def integrand(x: float, r: float) -> float:
        at = np.exp(x)
        rho = np.exp(float(density.log_density(at) - density.log_density(r)))
        return np.exp(log_g(r, at)) * rho * G * float(potential.enclosed_mass(at)) / at

    solution = jeans.solve(potential, density, anisotropy, 4.0, 150.0)
    for r in (4.0, 16.5, 17.3, 60.0):
        stops = [r, *(p for p in (12.0, *points, 24.0) if p > r), 300.0, 3e3, 3e5, 3e7]
        pieces = itertools.pairwise(stops)
        total = sum(
            quad(integrand, *np.log(p), args=(r,), epsrel=1e-8, epsabs=1e-6)[0] for p in pieces
        )
        assert float(solution.sigma_r(r)) == pytest.approx(np.sqrt(total), rel=1e-6)


def test_agrees_with_galpy() -> None:
    from galpy.df import jeans as galpy_jeans
    from galpy.potential import MWPotential2014

    potential = make_potential({"kind": "galpy", "name": "MWPotential2014"})
    for r in (5.0, 30.0):
        ours = jeans.sigma_r(
            potential,
            make_density({"kind": "power-law", "slope": -4.0}),
            make_anisotropy({"kind": "osipkov-merritt-profile", "r_a": 16.0}),
            np.array([r]),
        )[0]
        halo = MWPotential2014[2]  # galpy takes spherical potentials: the NFW halo of the list
        theirs = galpy_jeans.sigmar(
            halo, r / 8, dens=lambda x: x**-4.0, beta=lambda x: x**2 / (x**2 + 4.0)
        )
        mass = halo.mass(halo.a, use_physical=False) * 220.0**2 * 8.0 / G  # within the scale radius
        nfw = make_potential(
            {
                "kind": "nfw",
                "rho0": float(mass) / (np.log(2.0) - 0.5) / (4 * np.pi * (8.0 * halo.a) ** 3),
                "r_s": 8.0 * halo.a,
            }
        )
        same = jeans.sigma_r(
            nfw,
            make_density({"kind": "power-law", "slope": -4.0}),
            make_anisotropy({"kind": "osipkov-merritt-profile", "r_a": 16.0}),
            np.array([r]),
        )[0]
        assert same == pytest.approx(220.0 * theirs, rel=1e-6)
        assert ours > same  # disc and bulge add to it


def test_solution_satisfies_the_jeans_equation_between_its_nodes() -> None:
    potential, density = make_potential(MILKY_WAY), make_density({**BIRD, "width": 0.3})
    anisotropy = make_anisotropy(0.4)
    solution = jeans.solve(potential, density, anisotropy, 2.0, 200.0)
    x, h = np.log(np.geomspace(2.5, 150.0, 101)), 1e-3
    up, down = (solution.sigma_r(np.exp(x + s)) for s in (h, -h))
    slope = np.log(up / down) / h
    r, sigma2 = np.exp(x), solution.sigma_r(np.exp(x)) ** 2
    mass = -r * sigma2 / G * (density.slope(r) + slope + 2 * anisotropy.beta(r))
    np.testing.assert_allclose(mass, potential.enclosed_mass(r), rtol=2e-5)


def test_outside_the_solution_is_refused() -> None:
    solution = jeans.solve(
        make_potential(MILKY_WAY), make_density(BIRD), make_anisotropy(0.0), 5.0, 100.0
    )
    with pytest.raises(InputError, match="holds from 5 to 100 kpc"):
        solution.sigma_r([4.0, 50.0])


@pytest.mark.parametrize(
    ("r_min", "r_max"), [(0.0, 1.0), (2.0, 1.0), (1.0, np.inf), (-1.0, 1.0), (np.nan, 1.0)]
)
def test_bad_ranges_are_refused(r_min: float, r_max: float) -> None:
    with pytest.raises(InputError, match="positive and rising"):
        jeans.solve(
            make_potential(MILKY_WAY), make_density(BIRD), make_anisotropy(0.0), r_min, r_max
        )


def test_divergent_pressure_is_refused() -> None:
    with pytest.raises(InputError, match="diverges at infinity"):
        jeans.solve(
            make_potential(MILKY_WAY),
            make_density({"kind": "power-law", "slope": -0.9}),
            make_anisotropy(0.99),
            5.0,
            100.0,
        )
