"""Orbits in a sphere whose mass grows: an NFW halo whose scales change with time, and what has always been there.

In a sphere an orbit stays in its plane and keeps its angular momentum, whatever the mass does. So stars are followed in
two dimensions, by the steps of :mod:`haloassay.mocks.gravity.integration`, and after each step the velocity across is
set to L / r.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

import numba
import numpy as np
from numpy.typing import ArrayLike

from haloassay.base.arrays import FloatArray
from haloassay.base.compiled import compiled
from haloassay.base.constants import GYR_PER_KPC_KMS, G
from haloassay.base.settings import require
from haloassay.mocks.gravity.integration import (
    ERROR_V,
    ERROR_X,
    MAX_STEPS,
    A,
    B,
    C,
    Orbits,
    started,
)
from haloassay.mocks.watch import Watch

#: Range [kpc] and cells in ln r of the table of static mass.
_R_MIN: Final = 1e-3
_R_MAX: Final = 1e4
_CELLS: Final = 320
_LN_R0: Final = float(np.log(_R_MIN))
_STEP: Final = float(np.log(_R_MAX / _R_MIN)) / _CELLS
#: Largest error of a step by default: some 1e-3 kpc after 8 Gyr for most halo stars.
TOLERANCE: Final = 1e-4
#: Stars that go in one batch between two calls of ``progress``.
_BATCH: Final = 4096


class SphereArrays(NamedTuple):
    """What the kernels take, times in kpc/(km/s).

    ``start`` and ``per_dt`` are of the time steps, ``scales`` (T - 1, 4, 2) cubics of G M and r_s in them, ``rest``
    (CELLS, 4) cubics of the static G M(<r) in cells of ln r.
    """

    start: float
    per_dt: float
    scales: FloatArray
    rest: FloatArray


@dataclass(frozen=True, eq=False)
class GrowingSphere:
    """An NFW halo that changes with time, and a static spherical mass about the same centre.

    Parameters
    ----------
    times
        (T,) times [Gyr], rising in equal steps, T >= 4; between them the scales are cubic splines.
    mass, r_s
        (T,) mass scales 4 pi rho0 r_s^3 [Msun] and scale radii [kpc] of the halo.
    rest
        Static mass [Msun] within radii [kpc].
    """

    times: FloatArray
    mass: FloatArray
    r_s: FloatArray
    rest: Callable[[FloatArray], FloatArray]

    @cached_property
    def arrays(self) -> SphereArrays:
        """What the kernels take."""
        from scipy.interpolate import CubicSpline

        steps = np.arange(len(self.times))
        scales = CubicSpline(steps, np.stack([G * self.mass, self.r_s], axis=1)).c[::-1]
        nodes = np.arange(_CELLS + 1)
        inside = G * np.asarray(self.rest(np.exp(_LN_R0 + _STEP * nodes)), dtype=float)
        cells = CubicSpline(nodes, inside).c[::-1]
        per_dt = (len(steps) - 1) / float(np.ptp(self.times)) * GYR_PER_KPC_KMS
        return SphereArrays(
            float(self.times[0]) / GYR_PER_KPC_KMS,
            per_dt,
            np.ascontiguousarray(scales.transpose(1, 0, 2)),
            np.ascontiguousarray(cells.T),
        )

    def enclosed_mass(self, r: ArrayLike, time: float) -> FloatArray:
        """Mass [Msun] within ``r`` (N,) [kpc] at a time [Gyr], as stars feel it."""
        r = np.atleast_1d(np.asarray(r, dtype=float))
        return _masses(r, time / GYR_PER_KPC_KMS, self.arrays) / G

    def follow(
        self,
        position: ArrayLike,
        velocity: ArrayLike,
        t_start: ArrayLike,
        t_end: ArrayLike,
        tolerance: float = TOLERANCE,
        progress: Watch | None = None,
    ) -> Orbits:
        """Follow stars from some time to another.

        Parameters
        ----------
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
            If the sphere is not known at some time, or of what :func:`.integration.started` refuses.
        """
        x, v, start, end = started(position, velocity, t_start, t_end, tolerance)
        n = len(x)
        if not n:
            return Orbits(x, v, np.empty(0, dtype=bool))
        lo, hi = float(self.times[0]), float(self.times[-1])
        first, last = min(start.min(), end.min()), max(start.max(), end.max())
        require(
            lo <= first and last <= hi,
            f"times {first:g} to {last:g} Gyr leave those that the sphere is known for, {lo:g} to {hi:g} Gyr",
        )
        axes = _planes(x, v)
        flat_x, flat_v = (np.ascontiguousarray(np.einsum("nki,ni->nk", axes, a)) for a in (x, v))
        begin, finish = start / GYR_PER_KPC_KMS, end / GYR_PER_KPC_KMS
        steps = np.empty(n, dtype=np.int64)
        for at in range(0, n, _BATCH):
            part = slice(at, at + _BATCH)
            _follow_all(
                flat_x[part],
                flat_v[part],
                begin[part],
                finish[part],
                tolerance,
                self.arrays,
                steps[part],
            )
            if progress is not None:
                progress(min(at + _BATCH, n), n)
        x, v = (np.einsum("nki,nk->ni", axes, a) for a in (flat_x, flat_v))
        return Orbits(x, v, steps < 0)


def _planes(x: FloatArray, v: FloatArray) -> FloatArray:
    """(N, 2, 3) axes of the planes of orbits, the first towards the star; any plane of a purely radial one."""
    r = np.linalg.norm(x, axis=1, keepdims=True)
    ahead = np.divide(x, r, out=np.tile([1.0, 0.0, 0.0], (len(x), 1)), where=r > 0.0)
    across = v - np.sum(v * ahead, axis=1, keepdims=True) * ahead
    size = np.linalg.norm(across, axis=1, keepdims=True)
    other = np.eye(3)[np.argmin(np.abs(ahead), axis=1)]
    other -= np.sum(other * ahead, axis=1, keepdims=True) * ahead
    across = np.where(size > 1e-9 * np.linalg.norm(v, axis=1, keepdims=True), across, other)
    return np.stack([ahead, across / np.linalg.norm(across, axis=1, keepdims=True)], axis=1)


@compiled
def nfw_within(x):  # type: ignore[no-untyped-def]
    """ln(1 + x) - x / (1 + x), without cancellation at small x."""
    if x < 1e-3:
        return x * x * (0.5 - x * (2.0 / 3.0 - x * 0.75))
    return np.log1p(x) - x / (1.0 + x)


@compiled
def gm_within(r, t, arrays):  # type: ignore[no-untyped-def]
    """G M(<r) [(km/s)^2 kpc] at a time."""
    place = (t - arrays.start) * arrays.per_dt
    i = min(max(int(place), 0), len(arrays.scales) - 1)
    s = place - i
    c = arrays.scales[i]
    gm = c[0, 0] + s * (c[1, 0] + s * (c[2, 0] + s * c[3, 0]))
    x = r / (c[0, 1] + s * (c[1, 1] + s * (c[2, 1] + s * c[3, 1])))
    inside = gm * nfw_within(x)
    cell = (np.log(max(r, 1e-300)) - _LN_R0) / _STEP
    if cell <= 0.0:  # a homogeneous core
        return inside + arrays.rest[0, 0] * (r / _R_MIN) ** 3
    j = min(int(cell), _CELLS - 1)
    u = min(cell - j, 1.0)
    b = arrays.rest[j]
    return inside + b[0] + u * (b[1] + u * (b[2] + u * b[3]))


@compiled
def _masses(r, t, arrays):  # type: ignore[no-untyped-def]
    out = np.empty(len(r))
    for n in range(len(r)):
        out[n] = gm_within(r[n], t, arrays)
    return out


@compiled
def _pull(x, y, t, arrays):  # type: ignore[no-untyped-def]
    r = np.sqrt(x * x + y * y)
    scale = -gm_within(r, t, arrays) / max(r * r * r, 1e-300)
    return scale * x, scale * y


@compiled
def _follow(x, v, t, t_end, tolerance, arrays, k):  # type: ignore[no-untyped-def]
    """Move one star, in place, from t to t_end; the number of steps, or -1 where it got stuck.

    Steps pass as those of :func:`haloassay.mocks.gravity.integration.integrate` do.
    """
    sign = 1.0 if t_end >= t else -1.0
    momentum = x[0] * v[1] - x[1] * v[0]
    k[0, 0], k[0, 1] = _pull(x[0], x[1], t, arrays)
    r = max(np.hypot(x[0], x[1]), _R_MIN)
    speed = max(np.hypot(v[0], v[1]), np.sqrt(np.hypot(k[0, 0], k[0, 1]) * r)) + 1e-12
    h = 0.05 * r / speed
    for step in range(MAX_STEPS):
        left = abs(t_end - t)
        if left <= 1e-14 * (abs(t) + abs(t_end)):
            return step
        last = h >= left
        dt = sign * (left if last else h)
        e_x, e_v = 0.0, 0.0
        for s in range(1, 9):
            p0, p1 = 0.0, 0.0
            for j in range(s):
                p0 += A[s, j] * k[j, 0]
                p1 += A[s, j] * k[j, 1]
            c = C[s] * dt
            k[9, 0] = x[0] + c * v[0] + dt * dt * p0
            k[9, 1] = x[1] + c * v[1] + dt * dt * p1
            k[s, 0], k[s, 1] = _pull(k[9, 0], k[9, 1], t + c, arrays)
        for d in range(2):
            off_x, off_v = 0.0, 0.0
            for s in range(9):
                off_x += ERROR_X[s] * k[s, d]
                off_v += ERROR_V[s] * k[s, d]
            e_x, e_v = e_x + off_x * off_x, e_v + off_v * off_v
        error = np.hypot(dt * dt * np.sqrt(e_x) / r, dt * np.sqrt(e_v) / speed) / tolerance
        if error <= 1.0:
            for d in range(2):
                gain = 0.0
                for s in range(8):
                    gain += B[s] * k[s, d]
                v[d] += dt * gain
                x[d] = k[9, d]
                k[0, d] = k[8, d]
            _restore(x, v, momentum)
            t = t_end if last else t + dt
            r = max(np.hypot(x[0], x[1]), _R_MIN)
            speed = max(np.hypot(v[0], v[1]), np.sqrt(np.hypot(k[0, 0], k[0, 1]) * r)) + 1e-12
        elif not error < np.inf:
            return -1
        h = abs(dt) * min(5.0, max(0.2, 0.9 * (error + 1e-30) ** (-1.0 / 7.0)))
    return -1


@compiled
def _restore(x, v, momentum):  # type: ignore[no-untyped-def]
    """Set the velocity across, in place, to that of the angular momentum."""
    r2 = x[0] * x[0] + x[1] * x[1]
    if r2 > 0.0:
        off = (x[0] * v[1] - x[1] * v[0] - momentum) / r2
        v[0] += off * x[1]
        v[1] -= off * x[0]


@compiled(parallel=True)
def _follow_all(position, velocity, start, end, tolerance, arrays, steps):  # type: ignore[no-untyped-def]
    for n in numba.prange(len(position)):
        k = np.empty((10, 2))
        steps[n] = _follow(position[n], velocity[n], start[n], end[n], tolerance, arrays, k)
