"""Orbits of many stars in a field, integrated side by side: compiled, adaptive, parallel over stars.

Runge-Kutta-Nystrom 8(6) of Dormand, El-Mikkawy & Prince (1987, IMA J. Numer. Anal. 7, 423): for
x'' = a(x, t) it takes eight accelerations a step of order 8, where a general method of that order takes twelve.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numba
import numpy as np
from numpy.typing import ArrayLike

from haloassay.base.arrays import BoolArray, FloatArray
from haloassay.base.compiled import compiled
from haloassay.base.constants import GYR_PER_KPC_KMS
from haloassay.base.settings import require
from haloassay.mocks.gravity.field_kernels import R_MIN, potential_and_acceleration
from haloassay.mocks.gravity.fields import Field
from haloassay.mocks.gravity.harmonic_kernels import room
from haloassay.mocks.watch import Watch

#: Relative error of a step that passes, by default: some 1e-5 kpc after 5 Gyr for most halo stars.
TOLERANCE: Final = 1e-6

#: Steps after which an orbit is given up.
MAX_STEPS: Final = 2_000_000

#: Stars that go in one batch between two calls of ``progress``.
_BATCH: Final = 4096

#: Nodes, and weights of the accelerations in each stage's position. The ninth stage is the step itself,
#: and the first of the next one.
C: Final = np.array([0.0, 1 / 20, 1 / 10, 3 / 10, 1 / 2, 7 / 10, 9 / 10, 1.0, 1.0])
A: Final = np.zeros((9, 8))
A[1, :1] = [1 / 800]
A[2, :2] = [1 / 600, 1 / 300]
A[3, :3] = [9 / 200, -9 / 100, 9 / 100]
A[4, :4] = [-66701 / 197352, 28325 / 32892, -2665 / 5482, 2170 / 24669]
A[5, :5] = [
    227015747 / 304251000,
    -54897451 / 30425100,
    12942349 / 10141700,
    -9499 / 304251,
    539 / 9250,
]
A[6, :6] = [
    -1131891597 / 901789000,
    41964921 / 12882700,
    -6663147 / 3220675,
    270954 / 644135,
    -108 / 5875,
    114 / 1645,
]
A[7, :7] = [
    13836959 / 3667458,
    -17731450 / 1833729,
    1063919505 / 156478208,
    -33213845 / 39119552,
    13335 / 28544,
    -705 / 14272,
    1645 / 57088,
]
A[8, :7] = [223 / 7938, 0.0, 1175 / 8064, 925 / 6048, 41 / 448, 925 / 14112, 1175 / 72576]
#: Weights of the velocity, and how those of the embedded sixth order differ in position and velocity.
B: Final = np.array(
    [223 / 7938, 0.0, 5875 / 36288, 4625 / 21168, 41 / 224, 4625 / 21168, 5875 / 36288, 223 / 7938]
)
ERROR_X: Final = np.zeros(9)
ERROR_X[:7] = A[8, :7] - [
    7987313 / 109941300,
    0.0,
    1610737 / 44674560,
    10023263 / 33505920,
    -497221 / 12409600,
    10023263 / 78180480,
    1610737 / 402071040,
]
ERROR_V: Final = np.array(
    [
        *(
            B
            - [
                7987313 / 109941300,
                0.0,
                1610737 / 40207104,
                10023263 / 23454144,
                -497221 / 6204800,
                10023263 / 23454144,
                1610737 / 40207104,
                -4251941 / 54970650,
            ]
        ),
        -3 / 20,
    ]
)


class Orbits(NamedTuple):
    """Where stars are at the end.

    Parameters
    ----------
    position, velocity
        (N, 3) [kpc], [km/s]; of a stuck star, where it got stuck.
    stuck
        (N,) whether the orbit could not be followed to the end: it needs more than two million steps.
    """

    position: FloatArray
    velocity: FloatArray
    stuck: BoolArray


@compiled(inline="always")
def _size(a):  # type: ignore[no-untyped-def]
    return np.sqrt(a[0] * a[0] + a[1] * a[1] + a[2] * a[2])


@compiled(fastmath={"contract", "reassoc", "nsz"})
def _stages(x, v, t, dt, arrays, work, k):  # type: ignore[no-untyped-def]
    """Accelerations k[1] to k[8] of one step; ``k[9]`` is left with the position at its end."""
    for s in range(1, 9):
        p0, p1, p2 = 0.0, 0.0, 0.0
        for j in range(s):
            w = A[s, j]
            p0 += w * k[j, 0]
            p1 += w * k[j, 1]
            p2 += w * k[j, 2]
        c = C[s] * dt
        k[9, 0] = x[0] + c * v[0] + dt * dt * p0
        k[9, 1] = x[1] + c * v[1] + dt * dt * p1
        k[9, 2] = x[2] + c * v[2] + dt * dt * p2
        _, k[s, 0], k[s, 1], k[s, 2] = potential_and_acceleration(
            k[9, 0], k[9, 1], k[9, 2], t + c, arrays, work
        )


@compiled
def _errors(dt, k):  # type: ignore[no-untyped-def]
    """Sizes of the differences from the embedded sixth order, in position and velocity."""
    x2, v2 = 0.0, 0.0
    for d in range(3):
        e_x, e_v = 0.0, 0.0
        for s in range(9):
            e_x += ERROR_X[s] * k[s, d]
            e_v += ERROR_V[s] * k[s, d]
        x2 += e_x * e_x
        v2 += e_v * e_v
    return dt * dt * np.sqrt(x2), abs(dt) * np.sqrt(v2)


@compiled
def _follow(x, v, t, t_end, tolerance, arrays, work, k):  # type: ignore[no-untyped-def]
    """Move one star, in place, from t to t_end; the number of steps, or -1 where it got stuck.

    A step passes where its error in position is below ``tolerance`` r, and that in velocity below
    ``tolerance`` times the larger of the speed and the circular speed.
    """
    sign = 1.0 if t_end >= t else -1.0
    _, k[0, 0], k[0, 1], k[0, 2] = potential_and_acceleration(x[0], x[1], x[2], t, arrays, work)
    r = max(_size(x), R_MIN)
    speed = max(_size(v), np.sqrt(_size(k[0]) * r)) + 1e-12
    h = 0.05 * r / speed
    for step in range(MAX_STEPS):
        left = abs(t_end - t)
        if left <= 1e-14 * (abs(t) + abs(t_end)):
            return step
        last = h >= left
        dt = sign * (left if last else h)
        _stages(x, v, t, dt, arrays, work, k)
        e_x, e_v = _errors(dt, k)
        error = np.hypot(e_x / r, e_v / speed) / tolerance
        if error <= 1.0:
            for d in range(3):
                gain = 0.0
                for s in range(8):
                    gain += B[s] * k[s, d]
                v[d] += dt * gain
                x[d] = k[9, d]
                k[0, d] = k[8, d]
            t = t_end if last else t + dt
            r = max(_size(x), R_MIN)
            speed = max(_size(v), np.sqrt(_size(k[0]) * r)) + 1e-12
        elif not error < np.inf:
            return -1
        h = abs(dt) * min(5.0, max(0.2, 0.9 * (error + 1e-30) ** (-1.0 / 7.0)))
    return -1


@compiled(parallel=True)
def _follow_all(position, velocity, start, end, tolerance, arrays, steps):  # type: ignore[no-untyped-def]
    for n in numba.prange(len(position)):
        work = np.empty((2, room(arrays.radial, arrays.series)))
        k = np.empty((10, 3))
        steps[n] = _follow(position[n], velocity[n], start[n], end[n], tolerance, arrays, work, k)


def started(
    position: ArrayLike,
    velocity: ArrayLike,
    t_start: ArrayLike,
    t_end: ArrayLike,
    tolerance: float,
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Copy positions [kpc] and velocities [km/s], (N, 3) each, and times [Gyr] of start and end, (N,) each.

    Raises
    ------
    InputError
        If something is not finite or has no three components, or the tolerance is not between 1e-14 and 1e-2.
    """
    x = np.array(position, dtype=float, ndmin=2, order="C")
    v = np.array(velocity, dtype=float, ndmin=2, order="C")
    require(x.shape == v.shape and x.shape[1:] == (3,), "positions and velocities must be (N, 3)")
    require(
        bool(np.isfinite(x).all() and np.isfinite(v).all()), "an orbit starts at no finite place"
    )
    require(1e-14 <= tolerance <= 1e-2, f"tolerance must be in [1e-14, 1e-2] (got {tolerance:g})")
    times = np.broadcast_arrays(np.asarray(t_start, float), np.asarray(t_end, float), x[:, 0])
    start, end = (np.array(t, dtype=float) for t in times[:2])
    return x, v, start, end


def integrate(
    field: Field,
    position: ArrayLike,
    velocity: ArrayLike,
    t_start: ArrayLike,
    t_end: ArrayLike,
    tolerance: float = TOLERANCE,
    progress: Watch | None = None,
) -> Orbits:
    """Follow stars through a field.

    Stars share the cores that numba may use; what comes out does not depend on their number.

    Parameters
    ----------
    field
        From :func:`haloassay.mocks.gravity.fields.make_field`.
    position, velocity
        (N, 3) at the start [kpc], [km/s].
    t_start, t_end
        Times [Gyr], for all stars or for each; backwards where the end is earlier.
    tolerance
        Largest error of a step, relative to radius and speed.
    progress
        Called now and then with the number of stars done and of all.

    Raises
    ------
    InputError
        If something is not finite or has no three components, the tolerance is not between 1e-14 and
        1e-2, or the field is not known at some time.
    """
    x, v, start, end = started(position, velocity, t_start, t_end, tolerance)
    if len(x) == 0:
        return Orbits(x, v, np.empty(0, dtype=bool))
    field.require_times(*(float(f(t)) for f in (np.min, np.max) for t in (start, end)))
    start, end = start / GYR_PER_KPC_KMS, end / GYR_PER_KPC_KMS
    steps = np.empty(len(x), dtype=np.int64)
    for lo in range(0, len(x), _BATCH):
        part = slice(lo, lo + _BATCH)
        _follow_all(x[part], v[part], start[part], end[part], tolerance, field.arrays, steps[part])
        if progress is not None:
            progress(min(lo + _BATCH, len(x)), len(x))
    return Orbits(x, v, steps < 0)
