"""Compiled acceleration and potential of a field at one place and time.

All radial functions stand on one grid of ln r and are quintic between its nodes. Within ``R_MIN`` the
force is that of a homogeneous core; beyond ``R_MAX`` everything falls as if no mass were outside.
Time in kpc/(km/s).
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.compiled import compiled
from haloassay.mocks.gravity.harmonic_kernels import (
    FIRST,
    LAST,
    add_expansions,
    room,
)

#: Range [kpc] and cells of the common grid in ln r.
R_MIN: Final = FIRST
R_MAX: Final = LAST
N_CELLS: Final = 240
LN_R0: Final = float(np.log(R_MIN))
STEP: Final = float(np.log(R_MAX / R_MIN)) / N_CELLS


class FieldArrays(NamedTuple):
    """What the kernels take.

    ``rotation`` (F, 3, 3): rows are the axes of a body, F bodies. ``radial`` (F, N_CELLS, 6, K):
    quintics of the K functions of ln r that multiply u^i v^j, i + j <= ``degree``, with u and v the
    squared direction cosines to a body's first and third axis. ``discs`` (D, 3): G M, a, b. ``table``
    (n_r, n_w, 4): see :mod:`haloassay.mocks.gravity.axisymmetric`; may be empty. Of B moving bodies, ``clock``
    (B, 4) has the start of the path, the steps in a unit of time, and the first and last row of ``path``
    (T, 4, 6), which are cubics of the position and of the frame's acceleration; ``body`` (B N_CELLS, 6, 1)
    has the potentials, one below the other. Few arrays of few dimensions, because each call hands them on.
    Of E expansions, ``source`` (E, 7) has a clock like that of a body (the first row is -1 where the centre rests),
    first and last snapshot, and highest l; ``instant`` and ``series``: see
    :func:`haloassay.mocks.gravity.harmonic_kernels.expansion`. Where they are None, kernels are compiled without
    them.
    """

    rotation: FloatArray
    radial: FloatArray
    degree: int
    discs: FloatArray
    table: FloatArray
    thin: float
    clock: FloatArray
    path: FloatArray
    body: FloatArray
    source: FloatArray | None = None
    instant: FloatArray | None = None
    series: FloatArray | None = None


@compiled(inline="always")
def _cell(r):  # type: ignore[no-untyped-def]
    """Cell of a radius and the place in it, from 0 to 1."""
    x = (np.log(min(max(r, R_MIN), R_MAX)) - LN_R0) / STEP
    i = min(int(x), N_CELLS - 1)
    return i, x - i


@compiled(fastmath={"contract", "reassoc", "nsz"})
def _functions(radial, i, t, work):  # type: ignore[no-untyped-def]
    """Values of all radial functions in ``work[0]``, their slopes in ln r in ``work[1]``."""
    cell = radial[i]
    for k in range(cell.shape[1]):
        c0, c1, c2 = cell[0, k], cell[1, k], cell[2, k]
        c3, c4, c5 = cell[3, k], cell[4, k], cell[5, k]
        work[0, k] = c0 + t * (c1 + t * (c2 + t * (c3 + t * (c4 + t * c5))))
        slope = c1 + t * (2.0 * c2 + t * (3.0 * c3 + t * (4.0 * c4 + t * (5.0 * c5))))
        work[1, k] = slope / STEP


@compiled(fastmath={"contract", "reassoc", "nsz"})
def _multipoles(x, y, z, r, radial, degree, work):  # type: ignore[no-untyped-def]
    """Potential and acceleration of one body in its own axes."""
    i, t = _cell(r)
    _functions(radial, i, t, work)
    r2 = max(r, R_MIN) ** 2
    u, v = x * x / max(r * r, 1e-300), z * z / max(r * r, 1e-300)
    value, slope, by_u, by_v = 0.0, 0.0, 0.0, 0.0
    k = 0
    power, power_before = 1.0, 0.0  # u^i and u^(i-1)
    for i in range(degree + 1):
        # Horner's scheme in v, for the function, its slope, and its derivative by v
        last = k + degree - i
        p, q, p_v = work[0, last], work[1, last], 0.0
        for j in range(last - 1, k - 1, -1):
            p_v = p_v * v + p
            p = p * v + work[0, j]
            q = q * v + work[1, j]
        value += power * p
        slope += power * q
        by_v += power * p_v
        by_u += i * power_before * p
        power_before = power
        power *= u
        k = last + 1
    fading = min(1.0, R_MAX / r) if r > 0.0 else 1.0
    radial_part = slope - 2.0 * (u * by_u + v * by_v)
    scale = -fading / r2
    a_x = scale * x * (radial_part + 2.0 * by_u)
    a_y = scale * y * radial_part
    a_z = scale * z * (radial_part + 2.0 * by_v)
    return fading * value, a_x, a_y, a_z


@compiled(fastmath={"contract", "reassoc", "nsz"})
def _monopole(x, y, z, r, radial):  # type: ignore[no-untyped-def]
    """Potential and acceleration of a sphere."""
    i, t = _cell(r)
    c0, c1, c2 = radial[i, 0, 0], radial[i, 1, 0], radial[i, 2, 0]
    c3, c4, c5 = radial[i, 3, 0], radial[i, 4, 0], radial[i, 5, 0]
    value = c0 + t * (c1 + t * (c2 + t * (c3 + t * (c4 + t * c5))))
    slope = c1 + t * (2.0 * c2 + t * (3.0 * c3 + t * (4.0 * c4 + t * (5.0 * c5))))
    fading = R_MAX / r if r > R_MAX else 1.0
    scale = -fading * slope / (STEP * max(r, R_MIN) ** 2)
    return fading * value, scale * x, scale * y, scale * z


@compiled(inline="always")
def _disc(x, y, z, disc):  # type: ignore[no-untyped-def]
    """Potential and acceleration of a Miyamoto-Nagai (1975) disc."""
    gm, a, b = disc[0], disc[1], disc[2]
    s = np.sqrt(z * z + b * b)
    d2 = x * x + y * y + (a + s) ** 2
    potential = -gm / np.sqrt(d2)
    pull = potential / d2
    return potential, pull * x, pull * y, pull * z * (a + s) / s


@compiled(inline="always")
def _table(x, y, z, r, table, thin):  # type: ignore[no-untyped-def]
    """Potential and acceleration of an axisymmetric table: bicubic in ln r and w(|cos theta|)."""
    n_r, n_w = table.shape[0] - 1, table.shape[1] - 1
    place = (np.log(min(max(r, R_MIN), R_MAX)) - LN_R0) * n_r / (N_CELLS * STEP)
    i = min(int(place), n_r - 1)
    t = place - i
    s = abs(z) / r if r > 0.0 else 0.0
    w_max = np.arcsinh(1.0 / thin)
    root = np.sqrt(s * s + thin * thin)
    across = np.log((s + root) / thin) / w_max * n_w
    j = min(int(across), n_w - 1)
    q = across - j
    # cubic Hermite weights of values and slopes at both ends, and their derivatives
    t1, q1 = 1.0 - t, 1.0 - q
    f0, f1, g0, g1 = t1 * t1 * (1 + 2 * t), t * t * (1 + 2 * t1), t * t1 * t1, -t * t * t1
    df0, dg0, dg1 = -6 * t * t1, t1 * (1 - 3 * t), t * (3 * t - 2)
    h0, h1, k0, k1 = q1 * q1 * (1 + 2 * q), q * q * (1 + 2 * q1), q * q1 * q1, -q * q * q1
    dh0, dk0, dk1 = -6 * q * q1, q1 * (1 - 3 * q), q * (3 * q - 2)
    potential, by_x, by_w = 0.0, 0.0, 0.0
    for e in range(2):
        f, df, g, dg = (f0, df0, g0, dg0) if e == 0 else (f1, -df0, g1, dg1)
        n0, n1 = table[i + e, j], table[i + e, j + 1]
        # along w: the function and its slope in x
        p = h0 * n0[0] + h1 * n1[0] + k0 * n0[2] + k1 * n1[2]
        p_x = h0 * n0[1] + h1 * n1[1] + k0 * n0[3] + k1 * n1[3]
        p_w = dh0 * (n0[0] - n1[0]) + dk0 * n0[2] + dk1 * n1[2]
        p_xw = dh0 * (n0[1] - n1[1]) + dk0 * n0[3] + dk1 * n1[3]
        potential += f * p + g * p_x
        by_x += df * p + dg * p_x
        by_w += f * p_w + g * p_xw
    by_x *= n_r / (N_CELLS * STEP)
    by_s = by_w * n_w / (w_max * root)
    fading = min(1.0, R_MAX / r) if r > 0.0 else 1.0
    r2 = max(r, R_MIN) ** 2
    along = -fading * (by_x - s * by_s) / r2
    upward = -fading * by_s * (1.0 if z >= 0.0 else -1.0) / np.sqrt(r2)
    return fading * potential, along * x, along * y, along * z + upward


@compiled
def potential_and_acceleration(x, y, z, t, arrays, work):  # type: ignore[no-untyped-def]
    """Potential and the three components of the acceleration at one place and time.

    ``work`` is room for (2, K) numbers, see :func:`~haloassay.mocks.gravity.harmonic_kernels.room`. The potential
    leaves out that of the frame's acceleration.
    """
    r = np.sqrt(x * x + y * y + z * z)
    potential, a_x, a_y, a_z = 0.0, 0.0, 0.0, 0.0
    if arrays.degree == 0:
        potential, a_x, a_y, a_z = _monopole(x, y, z, r, arrays.radial[0])
    else:
        for f in range(len(arrays.radial)):
            m = arrays.rotation[f]
            b_x = m[0, 0] * x + m[0, 1] * y + m[0, 2] * z
            b_y = m[1, 0] * x + m[1, 1] * y + m[1, 2] * z
            b_z = m[2, 0] * x + m[2, 1] * y + m[2, 2] * z
            p, c_x, c_y, c_z = _multipoles(b_x, b_y, b_z, r, arrays.radial[f], arrays.degree, work)
            potential += p
            a_x += m[0, 0] * c_x + m[1, 0] * c_y + m[2, 0] * c_z
            a_y += m[0, 1] * c_x + m[1, 1] * c_y + m[2, 1] * c_z
            a_z += m[0, 2] * c_x + m[1, 2] * c_y + m[2, 2] * c_z
    for d in range(len(arrays.discs)):
        p, c_x, c_y, c_z = _disc(x, y, z, arrays.discs[d])
        potential, a_x, a_y, a_z = potential + p, a_x + c_x, a_y + c_y, a_z + c_z
    if len(arrays.table) > 0:
        p, c_x, c_y, c_z = _table(x, y, z, r, arrays.table, arrays.thin)
        potential, a_x, a_y, a_z = potential + p, a_x + c_x, a_y + c_y, a_z + c_z
    for b in range(len(arrays.clock)):
        first, last = int(arrays.clock[b, 2]), int(arrays.clock[b, 3])
        place = (t - arrays.clock[b, 0]) * arrays.clock[b, 1]
        i = min(max(int(place), 0), last - first)
        s = place - i
        c = arrays.path[first + i]
        d_x = x - (c[0, 0] + s * (c[1, 0] + s * (c[2, 0] + s * c[3, 0])))
        d_y = y - (c[0, 1] + s * (c[1, 1] + s * (c[2, 1] + s * c[3, 1])))
        d_z = z - (c[0, 2] + s * (c[1, 2] + s * (c[2, 2] + s * c[3, 2])))
        d = np.sqrt(d_x * d_x + d_y * d_y + d_z * d_z)
        p, c_x, c_y, c_z = _monopole(d_x, d_y, d_z, d, arrays.body[b * N_CELLS : (b + 1) * N_CELLS])
        potential += p
        a_x += c_x - (c[0, 3] + s * (c[1, 3] + s * (c[2, 3] + s * c[3, 3])))
        a_y += c_y - (c[0, 4] + s * (c[1, 4] + s * (c[2, 4] + s * c[3, 4])))
        a_z += c_z - (c[0, 5] + s * (c[1, 5] + s * (c[2, 5] + s * c[3, 5])))
    return add_expansions(
        x,
        y,
        z,
        t,
        arrays.source,
        arrays.instant,
        arrays.series,
        arrays.path,
        work,
        (potential, a_x, a_y, a_z),
    )


@compiled
def accelerations(position, t, arrays):  # type: ignore[no-untyped-def]
    """(N, 4) potentials and accelerations at (N, 3) positions."""
    out = np.empty((len(position), 4))
    work = np.empty((2, room(arrays.radial, arrays.series)))
    for n in range(len(position)):
        # not as a row: numba would compile the text of an error about shapes, for seconds
        out[n, 0], out[n, 1], out[n, 2], out[n, 3] = potential_and_acceleration(
            position[n, 0], position[n, 1], position[n, 2], t, arrays, work
        )
    return out
