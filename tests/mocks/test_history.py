"""Stars on their way to the present, through a field that bodies come into."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.integrate import solve_ivp

from haloassay.base.constants import GYR_PER_KPC_KMS, G
from haloassay.base.errors import InputError
from haloassay.mocks.gravity.fields import MovingBody, make_field
from haloassay.mocks.gravity.history import History
from haloassay.mocks.gravity.integration import integrate
from haloassay.mocks.gravity.potentials import Plummer, make_potential

FloatArray = NDArray[np.float64]

HALO = make_potential({"kind": "nfw", "m200": 1e12, "c": 12.0})
TILTED = make_potential(
    {
        "kind": "triaxial-nfw",
        "m200": 1e12,
        "c": 12.0,
        "axis_ratios": [0.8, 0.6],
        "tilt": [10, 30, 0],
    }
)
X = np.array([[20.0, 5.0, -12.0], [-8.0, 30.0, 4.0], [3.0, -6.0, 45.0]])
V = np.array([[-40.0, 150.0, 60.0], [120.0, 30.0, -80.0], [90.0, 60.0, 20.0]])


def visitor(start: float, mass: float = 1e11) -> MovingBody:
    """A body that passes at 15 kpc, known since ``start`` [Gyr], and a frame that is pushed."""
    time = np.linspace(start, 0.0, 401)
    path = np.stack([15.0 + 0.0 * time, -60.0 - 110.0 * time, 20.0 * time], axis=1)
    return MovingBody(time, path, np.tile([0.0, 300.0, 0.0], (401, 1)), Plummer(mass, 8.0))


def by_scipy(star: int, start: float, arrivals: dict[float, float]) -> FloatArray:
    """Place and velocity now of a star that is at ``X``, ``V`` at ``start``; bodies by their arrival and mass."""
    field = make_field(TILTED)

    def slope(t: float, state: FloatArray) -> FloatArray:
        gyr = t * GYR_PER_KPC_KMS
        pull = field.acceleration(state[:3])[0]
        for arrival, mass in arrivals.items():
            if gyr > arrival:
                offset = state[:3] - [15.0, -60.0 - 110.0 * gyr, 20.0 * gyr]
                d2 = offset @ offset + 64.0
                pull = pull - G * mass * offset / d2**1.5 - [0.0, 300.0, 0.0]
        return np.concatenate([state[3:], pull])

    state, times = np.concatenate([X[star], V[star]]), sorted({start, *arrivals, 0.0})
    for lo, hi in itertools.pairwise(times):
        if hi <= start:
            continue
        span = (max(lo, start) / GYR_PER_KPC_KMS, hi / GYR_PER_KPC_KMS)
        state = solve_ivp(slope, span, state, method="DOP853", rtol=1e-10, atol=1e-8).y[:, -1]
    return np.asarray(state)


def test_bodies_pull_from_when_they_come() -> None:
    """A body that were there from the start, or never, would move stars by several kpc."""
    arrivals = {-0.9: 1e11, -0.4: 3e10}
    history = History(TILTED, tuple(visitor(*arrival) for arrival in arrivals.items()))
    starts = np.array([-1.5, -0.7, -0.3])
    now = history.follow(X, V, starts, 0.0, 1e-10)
    assert not now.stuck.any()
    for k, start in enumerate(starts):
        expected = by_scipy(k, float(start), arrivals)
        np.testing.assert_allclose(now.position[k], expected[:3], atol=1e-5)
        np.testing.assert_allclose(now.velocity[k], expected[3:], atol=1e-4)
    without = History(TILTED).follow(X, V, starts, 0.0)
    assert np.linalg.norm(without.position - now.position, axis=1).min() > 1.0


def test_the_way_back_is_the_way_there() -> None:
    history = History(TILTED, (visitor(-0.9), visitor(-0.4)))
    then = history.follow(X, V, 0.0, [-0.2, -0.6, -1.4], 1e-10)
    back = history.follow(then.position, then.velocity, [-0.2, -0.6, -1.4], 0.0, 1e-10)
    np.testing.assert_allclose(back.position, X, atol=1e-6)
    np.testing.assert_allclose(back.velocity, V, atol=1e-5)


def test_a_monopole_keeps_angular_momenta_and_the_true_field_does_not() -> None:
    for monopole, kept in ((True, True), (False, False)):
        now = History(TILTED, monopole=monopole).follow(X, V, -2.0, 0.0)
        before, after = np.cross(X, V), np.cross(now.position, now.velocity)
        change = np.linalg.norm(after - before, axis=1) / np.linalg.norm(before, axis=1)
        assert (change.max() < 1e-5) if kept else (change.min() > 0.05)


def test_a_satellite_pulls_from_its_own_orbit() -> None:
    body = Plummer(5e9, 1.0)
    history = History(HALO).with_satellite(X[0], V[0], body, 1.0)
    (start, _, _), (arrival, end, field) = history.epochs
    assert (start, arrival, end) == (-np.inf, -1.0, 0.0)
    for time in (-0.777, -0.2, 0.0):
        there = integrate(make_field(HALO), X[0], V[0], 0.0, time, 1e-10).position[0]
        # far inside its core the satellite itself pulls by G M x / a^3
        offset = np.array([0.0, 0.3, 0.0])
        pull = field.acceleration(there + offset, time) - make_field(HALO).acceleration(
            there + offset
        )
        expected = -G * 5e9 * offset / (0.3**2 + 1.0) ** 1.5
        np.testing.assert_allclose(pull[0], expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ((-1.0, 0.5), "later times than now"),
        (([-1.0, -0.5, -1.0], [0.0, -0.7, 0.0]), "not both"),
    ],
)
def test_times_that_cannot_be_are_refused(times: tuple[object, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        History(HALO).follow(X, V, *times)  # type: ignore[arg-type]


def test_bodies_without_a_common_time_make_no_field() -> None:
    past = MovingBody(
        np.linspace(-2.0, -1.0, 5), np.ones((5, 3)), np.zeros((5, 3)), Plummer(1e9, 1.0)
    )
    with pytest.raises(InputError, match="no time in common"):
        make_field(HALO, past, visitor(-0.5))
