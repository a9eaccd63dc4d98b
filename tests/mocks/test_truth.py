"""Truth: values, bin averages as estimators see them, what is not defined, plain values."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.integrate import quad

from haloassay.base.constants import G
from haloassay.base.errors import InputError
from haloassay.contracts.quantities import QUANTITIES
from haloassay.mocks.equilibria.anisotropy import make_anisotropy
from haloassay.mocks.equilibria.local_jeans import LocalJeans
from haloassay.mocks.equilibria.tracers import make_density
from haloassay.mocks.gravity.potentials import Virial, make_potential
from haloassay.mocks.moments import (
    Moments,
    at_rest,
    solved_moments,
)
from haloassay.mocks.stars import Stars
from haloassay.mocks.truth import FIELD, PROFILES, Truth


def sigma_r(r: np.ndarray) -> np.ndarray:
    return 150.0 * np.exp(-np.asarray(r) / 80.0)


def beta(r: np.ndarray) -> np.ndarray:
    return 0.8 - np.asarray(r) / 100.0


@pytest.fixture
def truth() -> Truth:
    potential = make_potential(
        [{"kind": "nfw", "m200": 0.8e12, "c": 15.0}, {"kind": "zhai2018-baryons"}]
    )
    tracers = at_rest(lambda r: np.asarray(r) ** -4.0, sigma_r, beta, (5.0, 100.0))
    return Truth(potential, tracers)


def stars_at(radii: np.ndarray) -> Stars:
    position = np.zeros((len(radii), 3))
    position[:, 1] = radii
    return Stars.of(position, np.zeros_like(position))


def test_values_at_one_radius(truth: Truth) -> None:
    mass = float(truth.potential.enclosed_mass(30.0))
    assert truth.value("enclosed_mass", 30.0) == mass
    assert truth.value("v_c", 30.0) == pytest.approx(np.sqrt(G * mass / 30.0), rel=1e-14)
    assert truth.value("sigma_r", 30.0) == pytest.approx(float(sigma_r(30.0)), rel=1e-14)
    assert truth.value("sigma_theta", 30.0) == pytest.approx(
        float(sigma_r(30.0)) * np.sqrt(0.5), rel=1e-14
    )
    assert truth.value("beta", 30.0) == pytest.approx(0.5, rel=1e-14)
    assert truth.value("mean_v_r", 30.0) == 0.0
    assert truth.value("m200") == pytest.approx(0.8e12, rel=1e-10)
    assert truth.value("r200") == truth.r200
    assert truth.value("c200") == pytest.approx(15.0, rel=1e-6)


def test_bin_averages_are_those_of_the_stars_in_the_bin(truth: Truth) -> None:
    radii = np.array([9.0, 12.0, 15.0, 19.0, 20.0, 40.0])
    inside = radii[1:4]
    where = {"r": 15.0, "r_lo": 10.0, "r_hi": 20.0, "stars": stars_at(radii)}
    mean_square = np.mean(sigma_r(inside) ** 2)
    assert truth.value("sigma_r", **where) == pytest.approx(np.sqrt(mean_square), rel=1e-14)
    tangential = np.mean(sigma_r(inside) ** 2 * (1 - beta(inside)))
    assert truth.value("sigma_phi", **where) == pytest.approx(np.sqrt(tangential), rel=1e-14)
    assert truth.value("beta", **where) == pytest.approx(1 - tangential / mean_square, rel=1e-13)
    assert truth.value("mean_v_phi", **where) == 0.0
    # a mass is not an average over stars
    assert truth.value("enclosed_mass", **where) == truth.value("enclosed_mass", 15.0)


def test_bin_averages_without_stars_are_weighted_by_the_density(truth: Truth) -> None:
    def weigh(f: object) -> float:
        return float(quad(lambda r: r**-2.0 * f(r), 10.0, 20.0, epsrel=1e-12)[0])

    squares = weigh(lambda r: sigma_r(r) ** 2)
    expected = np.sqrt(squares / weigh(lambda _: 1.0))
    assert truth.value("sigma_r", r_lo=10.0, r_hi=20.0) == pytest.approx(expected, rel=1e-10)
    tangential = weigh(lambda r: sigma_r(r) ** 2 * (1 - beta(r)))
    expected = 1 - tangential / squares
    assert truth.value("beta", r_lo=10.0, r_hi=20.0) == pytest.approx(expected, rel=1e-10)


def test_means_are_averaged_and_named(truth: Truth) -> None:
    rest = truth.tracers

    def first(r: np.ndarray) -> np.ndarray:
        v_phi = -2.0 * np.asarray(r)
        return np.stack([0.0 * v_phi, 0.0 * v_phi, v_phi], axis=-1)

    turning = Truth(truth.potential, Moments(rest.density, first, rest.second, rest.feh))
    assert turning.value("mean_v_phi", 10.0) == -20.0
    radii = np.array([10.0, 14.0])
    stars = stars_at(radii)
    assert turning.value("mean_v_phi", r_lo=5.0, r_hi=15.0, stars=stars) == -24.0


@pytest.mark.parametrize(
    ("quantity", "where"),
    [
        ("sigma_los", {"r": 30.0}),
        ("sigma_r", {}),
        ("sigma_r", {"r": 4.0}),
        ("beta", {"r": 101.0}),
        ("enclosed_mass", {}),
        ("enclosed_mass", {"r": -1.0}),
        ("sigma_r", {"r_lo": 10.0, "r_hi": 20.0, "stars": stars_at(np.array([30.0]))}),
        ("sigma_r", {"r_lo": 1.0, "r_hi": 4.0}),
    ],
)
def test_undefined_is_nan(truth: Truth, quantity: str, where: dict[str, object]) -> None:
    assert np.isnan(truth.value(quantity, **where))


def test_no_dark_halo_no_virial_mass() -> None:
    truth = Truth(
        make_potential({"kind": "point-mass", "mass": 1e12}), at_rest(np.ones_like, sigma_r, beta)
    )
    assert np.isnan(truth.value("m200"))
    assert truth.to_dict([10.0])["m200"] is None


def test_the_vocabulary_has_a_truth_where_a_spherical_halo_at_rest_has_one(truth: Truth) -> None:
    values = {name: truth.value(name, 30.0) for name in QUANTITIES}
    known = {name for name, value in values.items() if np.isfinite(value)}
    unknown = {"feh_mean", "feh_sigma", "kurtosis_r", "kurtosis_theta", "kurtosis_phi"}
    absent = {name for name in FIELD if not name.startswith("apex")} | {"asymmetry"}
    assert known == {*PROFILES, *Virial._fields, *absent, "alpha", "v_esc", "q_halo"} - unknown
    assert all(values[name] == 0.0 for name in absent)


def test_plain_values_go_through_json(truth: Truth) -> None:
    r = np.array([2.0, 10.0, 50.0])
    told = json.loads(json.dumps(truth.to_dict(r), allow_nan=False))
    assert told["r"] == r.tolist()
    for name in PROFILES:
        expected = [truth.value(name, x) for x in r]
        assert told[name] == [None if np.isnan(v) else v for v in expected]
    assert told["sigma_r"][0] is None
    assert told["m200"] == truth.m200
    assert told["units"]["sigma_r"] == "km/s"
    assert make_potential(told["potential"]) == truth.potential
    with pytest.raises(InputError, match="positive and finite"):
        truth.to_dict([0.0, 1.0])


def test_truth_of_a_solution_reproduces_its_moments() -> None:
    potential = make_potential({"kind": "nfw", "m200": 1e12, "c": 10.0})
    density = make_density({"kind": "power-law", "slope": -4.0})
    solution = LocalJeans.solve(potential, density, make_anisotropy(0.5), 5.0, 100.0)
    truth = Truth(potential, solved_moments(solution, density, (5.0, 100.0)))
    np.testing.assert_allclose(
        truth.profile("sigma_r", solution.radius), solution.sigma_r, rtol=1e-12
    )
    np.testing.assert_allclose(truth.profile("beta", solution.radius), 0.5, rtol=1e-12)
    number = quad(lambda r: 4 * np.pi * r**2 * float(truth.profile("density", r)), 5.0, 100.0)[0]
    assert number == pytest.approx(1.0, rel=1e-5)
    steepness = truth.profile("density", 20.0) / truth.profile("density", 10.0)
    assert steepness == pytest.approx(2.0**-4, rel=1e-12)
    assert np.isfinite(truth.value("sigma_r", 5.0))
    assert np.isnan(truth.value("sigma_r", 4.9))
