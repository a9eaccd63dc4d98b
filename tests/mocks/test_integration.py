"""Orbits: against closed forms, scipy, conservation laws, and themselves."""

from __future__ import annotations

import functools
import json

import numba
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from seeds import seeded

from haloassay.base.constants import GYR_PER_KPC_KMS, G
from haloassay.base.errors import InputError
from haloassay.mocks.gravity import integration
from haloassay.mocks.gravity.fields import Field, MovingBody, make_field
from haloassay.mocks.gravity.integration import integrate
from haloassay.mocks.gravity.potentials import Plummer, make_potential

NFW_SPEC = {"kind": "nfw", "m200": 0.8e12, "c": 15.0}
BARYONS = {"kind": "mwpotential2014-baryons"}
TRIAXIAL = {
    "kind": "triaxial-nfw",
    "m200": 0.8e12,
    "c": 15.0,
    "axis_ratios": [0.8, 0.6],
    "tilt": [24.0, 25.0, 0.0],
}


def field(*specs: dict[str, object]) -> Field:
    return _field(json.dumps(specs))


@functools.cache
def _field(specs: str) -> Field:
    return make_field(make_potential(json.loads(specs)))


def stars(n: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Positions between 3 and 100 kpc, with speeds that keep them bound."""
    rng = seeded(seed)
    direction = rng.normal(size=(n, 3))
    r = np.exp(rng.uniform(np.log(3.0), np.log(100.0), n))
    return direction * (r / np.linalg.norm(direction, axis=1))[:, None], rng.normal(
        0.0, 80.0, (n, 3)
    )


def reference(own: Field, x: np.ndarray, v: np.ndarray, start: float, end: float) -> np.ndarray:
    """The same orbit by scipy's DOP853."""

    def rate(t: float, y: np.ndarray) -> np.ndarray:
        return np.concatenate([y[3:], own.acceleration(y[:3], t * GYR_PER_KPC_KMS)[0]])

    span = (start / GYR_PER_KPC_KMS, end / GYR_PER_KPC_KMS)
    solved = solve_ivp(rate, span, np.concatenate([x, v]), method="DOP853", rtol=1e-12, atol=1e-11)
    return np.asarray(solved.y[:, -1])


def test_formula_meets_its_order_conditions() -> None:
    """Quadrature conditions of order 8 in velocity and position, and 6 of the embedded pair."""
    nodes = integration.C
    np.testing.assert_allclose(integration.A.sum(axis=1), nodes**2 / 2, atol=1e-14)
    position = integration.A[8]
    for k in range(8):
        assert integration.B @ nodes[:8] ** k == pytest.approx(1 / (k + 1), abs=1e-14)
    for k in range(7):
        assert position @ nodes[:8] ** k == pytest.approx(1 / ((k + 1) * (k + 2)), abs=1e-14)
    for k in range(6):
        assert integration.ERROR_V @ nodes**k == pytest.approx(0.0, abs=1e-13)
    for k in range(5):
        assert integration.ERROR_X @ nodes**k == pytest.approx(0.0, abs=1e-13)


def test_kepler_orbit_comes_back_after_its_period() -> None:
    mass, a, e = 1e11, 20.0, 0.6
    period = 2 * np.pi * np.sqrt(a**3 / (G * mass)) * GYR_PER_KPC_KMS
    x = np.array([[a * (1 - e), 0.0, 0.0]])
    v = np.array([[0.0, np.sqrt(G * mass / a * (1 + e) / (1 - e)), 0.0]])
    own = field({"kind": "point-mass", "mass": mass})
    after = integrate(own, x, v, 0.0, 3 * period, 1e-10)
    np.testing.assert_allclose(after.position, x, atol=1e-6)
    np.testing.assert_allclose(after.velocity, v, atol=1e-4)
    half = integrate(own, x, v, 0.0, period / 2, 1e-10)
    np.testing.assert_allclose(half.position, [[-a * (1 + e), 0.0, 0.0]], atol=1e-6)


def test_orbits_in_a_triaxial_halo_are_those_of_scipy() -> None:
    own = field(TRIAXIAL, BARYONS)
    x, v = stars(2)
    found = integrate(own, x, v, 0.0, 1.0, 1e-7)
    for i in range(len(x)):
        expected = reference(own, x[i], v[i], 0.0, 1.0)
        np.testing.assert_allclose(found.position[i], expected[:3], atol=2e-4)
        np.testing.assert_allclose(found.velocity[i], expected[3:], atol=2e-2)


@pytest.mark.slow
def test_orbits_beside_a_moving_body_are_those_of_scipy() -> None:
    time = np.linspace(-2.0, 0.0, 81)
    path = np.stack([20.0 * time, -40.0 - 30.0 * time, 60.0 * time], axis=1)
    pull = np.stack([40.0 * time, 100.0 * np.cos(time), 30.0 * np.sin(time)], axis=1)
    own = make_field(
        make_potential([NFW_SPEC, BARYONS]), MovingBody(time, path, pull, Plummer(1e11, 8.0))
    )
    x, v = stars(3, seed=2)
    found = integrate(own, x, v, -2.0, 0.0, 1e-7)
    for i in range(len(x)):
        expected = reference(own, x[i], v[i], -2.0, 0.0)
        np.testing.assert_allclose(found.position[i], expected[:3], atol=2e-4)
    back = integrate(own, found.position, found.velocity, 0.0, -2.0, 1e-7)
    np.testing.assert_allclose(back.position, x, atol=2e-3)


def test_energy_and_angular_momentum_are_conserved() -> None:
    x, v = stars(100)
    triaxial = field(TRIAXIAL, BARYONS)
    after = integrate(triaxial, x, v, 0.0, 5.0, 1e-7)
    assert not after.stuck.any()
    change = triaxial.energy(after.position, after.velocity) / triaxial.energy(x, v) - 1.0
    assert np.median(np.abs(change)) < 1e-8
    # a star on a nearly radial orbit may meet the centre
    assert np.sort(np.abs(change))[-4] < 1e-6
    axisymmetric = field(NFW_SPEC, BARYONS)
    after = integrate(axisymmetric, x, v, 0.0, 5.0, 1e-7)
    l_z = x[:, 0] * v[:, 1] - x[:, 1] * v[:, 0]
    l_z_after = (
        after.position[:, 0] * after.velocity[:, 1] - after.position[:, 1] * after.velocity[:, 0]
    )
    np.testing.assert_allclose(l_z_after, l_z, atol=1e-6 * np.abs(l_z).max())
    # in a triaxial field there is no such integral: the test above can fail
    after = integrate(triaxial, x, v, 0.0, 5.0)
    moved = (
        after.position[:, 0] * after.velocity[:, 1] - after.position[:, 1] * after.velocity[:, 0]
    )
    assert np.median(np.abs(moved - l_z)) > 100.0


def test_error_falls_with_the_tolerance() -> None:
    own = field(TRIAXIAL)
    x, v = stars(30)
    best = integrate(own, x, v, 0.0, 3.0, 1e-12).position
    errors = [
        np.median(np.linalg.norm(integrate(own, x, v, 0.0, 3.0, t).position - best, axis=1))
        for t in (1e-5, 1e-7, 1e-9)
    ]
    assert errors[0] < 0.01
    assert errors[1] < 1e-4
    assert errors[2] < errors[1] / 20 < errors[0] / 400


def test_result_does_not_depend_on_threads_or_company() -> None:
    own = field(TRIAXIAL)
    x, v = stars(50)
    together = integrate(own, x, v, 0.0, 1.0)
    threads = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        alone = integrate(own, x[7:9], v[7:9], 0.0, 1.0)
    finally:
        numba.set_num_threads(threads)
    np.testing.assert_array_equal(alone.position, together.position[7:9])


def test_stars_have_times_of_their_own() -> None:
    own = field(NFW_SPEC)
    x, v = stars(3)
    ends = np.array([0.0, 0.5, -1.0])
    found = integrate(own, x, v, 0.0, ends)
    np.testing.assert_array_equal(found.position[0], x[0])
    for i in (1, 2):
        np.testing.assert_array_equal(
            integrate(own, x[i], v[i], 0.0, ends[i]).position[0], found.position[i]
        )


def test_escaping_and_stuck_orbits_are_handled() -> None:
    free = integrate(field(NFW_SPEC), [[50.0, 0.0, 0.0]], [[5000.0, 0.0, 0.0]], 0.0, 10.0)
    assert not free.stuck[0]
    assert 4.5e4 < free.position[0, 0] < 5.2e4
    hopeless = integrate(
        field({"kind": "point-mass", "mass": 9e17}),
        [[0.01, 0.0, 0.0]],
        [[0.0, 2e7, 0.0]],
        0.0,
        10.0,
    )
    assert hopeless.stuck[0]
    assert np.isfinite(hopeless.position).all()


def test_progress_is_told() -> None:
    x, v = stars(5000)
    calls: list[tuple[int, int]] = []
    integrate(field(NFW_SPEC), x, v, 0.0, 0.01, progress=lambda *done: calls.append(done))
    assert calls[-1] == (5000, 5000)
    assert len(calls) > 1


def test_no_stars_are_no_trouble() -> None:
    assert len(integrate(field(NFW_SPEC), np.empty((0, 3)), np.empty((0, 3)), 0.0, 1.0).stuck) == 0


def test_bad_input_is_refused() -> None:
    own = field(NFW_SPEC)
    x, v = stars(2)
    with pytest.raises(InputError, match="no finite place"):
        integrate(own, x * np.nan, v, 0.0, 1.0)
    with pytest.raises(InputError, match=r"\(N, 3\)"):
        integrate(own, x, v[:1], 0.0, 1.0)
    with pytest.raises(InputError, match="tolerance"):
        integrate(own, x, v, 0.0, 1.0, 0.5)
