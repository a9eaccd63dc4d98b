"""Compiled potential and acceleration of an expansion in spherical harmonics that changes with time.

Phi = sum_lm Phi_lm(r, t) Y_lm, with real harmonics of any l and m whose squares have the mean 1 over the sphere:
Y_lm = P_lm(cos theta) cos(m phi), for m < 0 with sin(|m| phi). They are polynomials of the direction cosines, so that
nothing is special on the z axis. In ln r all Phi_lm are quintic between the nodes of a common grid, in time cubic
between snapshots. Within ``R_MIN`` and beyond ``R_MAX`` of the fields, Phi_lm are those of a place without mass.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.compiled import compiled

#: Cells of the grid in ln r, from the first to the last radius [kpc] of all fields.
CELLS: Final = 120
FIRST: Final = 1e-3
LAST: Final = 1e4
LN_FIRST: Final = float(np.log(FIRST))
WIDTH: Final = float(np.log(LAST / FIRST)) / CELLS

#: Highest l.
HIGHEST: Final = 24


def _recursion() -> tuple[FloatArray, FloatArray, FloatArray]:
    """Factors of P_mm and of P_lm = up (c P_(l-1)m - down P_(l-2)m) (Holmes & Featherstone 2002, eq. 11)."""
    sectoral = np.ones(HIGHEST + 1)
    for m in range(1, HIGHEST + 1):
        sectoral[m] = sectoral[m - 1] * np.sqrt(3.0 if m == 1 else (2 * m + 1) / (2 * m))
    up, down = np.zeros((2, HIGHEST + 1, HIGHEST + 1))
    for m in range(HIGHEST + 1):
        for ell in range(m + 1, HIGHEST + 1):
            up[m, ell] = np.sqrt((4 * ell**2 - 1) / (ell**2 - m**2))
            down[m, ell] = np.sqrt(((ell - 1) ** 2 - m**2) / (4 * (ell - 1) ** 2 - 1))
    return sectoral, up, down


_SECTORAL, _UP, _DOWN = _recursion()


@compiled(inline="always")
def _snapshots(t, first, last, instant):  # type: ignore[no-untyped-def]
    """Snapshots on both sides of a time, and the weights of values and rates there."""
    if first == last:
        return first, first, 1.0, 0.0, 0.0, 0.0
    lo, hi = first, last
    while hi - lo > 1:
        middle = (lo + hi) // 2
        if instant[middle] <= t:
            lo = middle
        else:
            hi = middle
    step = instant[hi] - instant[lo]
    s = min(max((t - instant[lo]) / step, 0.0), 1.0)
    s1 = 1.0 - s
    before, after = s1 * s1 * (1.0 + 2.0 * s), s * s * (1.0 + 2.0 * s1)
    return lo, hi, before, s * s1 * s1 * step, after, -s * s * s1 * step


@compiled(fastmath={"contract", "reassoc", "nsz"})
def _radial(r, t, first, last, instant, series, work):  # type: ignore[no-untyped-def]
    """All Phi_lm at a radius of the grid and a time in ``work[0]``, their slopes in ln r in ``work[1]``."""
    x = (np.log(min(max(r, FIRST), LAST)) - LN_FIRST) / WIDTH
    i = min(int(x), CELLS - 1)
    q = x - i
    q2 = q * q
    q3 = q2 * q
    # quintic Hermite weights of values, first and second derivatives at both nodes, and their slopes
    f1 = q3 * (10.0 + q * (6.0 * q - 15.0))
    g0 = q + q3 * (-6.0 + q * (8.0 - 3.0 * q))
    g1 = q3 * (-4.0 + q * (7.0 - 3.0 * q))
    h0 = 0.5 * q2 * (1.0 + q * (-3.0 + q * (3.0 - q)))
    h1 = 0.5 * q3 * (1.0 + q * (q - 2.0))
    f0 = 1.0 - f1
    df1 = 30.0 * q2 * (1.0 + q * (q - 2.0)) / WIDTH
    dg0 = (1.0 + q2 * (-18.0 + q * (32.0 - 15.0 * q))) / WIDTH
    dg1 = q2 * (-12.0 + q * (28.0 - 15.0 * q)) / WIDTH
    dh0 = q * (1.0 + q * (-4.5 + q * (6.0 - 2.5 * q))) / WIDTH
    dh1 = q2 * (1.5 + q * (2.5 * q - 4.0)) / WIDTH
    before, after, w0, d0, w1, d1 = _snapshots(t, first, last, instant)
    a, b = series[before * (CELLS + 1) + i], series[before * (CELLS + 1) + i + 1]
    c, d = series[after * (CELLS + 1) + i], series[after * (CELLS + 1) + i + 1]
    for k in range(series.shape[2]):
        v0 = w0 * a[0, k] + d0 * a[3, k] + w1 * c[0, k] + d1 * c[3, k]
        s0 = w0 * a[1, k] + d0 * a[4, k] + w1 * c[1, k] + d1 * c[4, k]
        u0 = w0 * a[2, k] + d0 * a[5, k] + w1 * c[2, k] + d1 * c[5, k]
        v1 = w0 * b[0, k] + d0 * b[3, k] + w1 * d[0, k] + d1 * d[3, k]
        s1 = w0 * b[1, k] + d0 * b[4, k] + w1 * d[1, k] + d1 * d[4, k]
        u1 = w0 * b[2, k] + d0 * b[5, k] + w1 * d[2, k] + d1 * d[5, k]
        work[0, k] = f0 * v0 + g0 * s0 + h0 * u0 + f1 * v1 + g1 * s1 + h1 * u1
        work[1, k] = df1 * (v1 - v0) + dg0 * s0 + dh0 * u0 + dg1 * s1 + dh1 * u1


@compiled
def _beyond(r, highest, work):  # type: ignore[no-untyped-def]
    """Carry Phi_lm from an end of the grid to a radius beyond it, as if no mass were there but a homogeneous core."""
    inside = r < FIRST
    ratio = r / FIRST if inside else LAST / r
    k = 0
    for m in range(highest + 1):
        for _ in range(1 if m == 0 else 2):
            for ell in range(m, highest + 1):
                if ell == 0:
                    work[0, k] += work[1, k] * (
                        -0.5 * (1.0 - ratio * ratio) if inside else 1.0 - ratio
                    )
                    work[1, k] *= ratio * ratio if inside else ratio
                else:
                    work[0, k] *= ratio ** (ell if inside else ell + 1)
                    work[1, k] = work[0, k] * (ell if inside else -ell - 1)
                k += 1


@compiled(fastmath={"contract", "reassoc", "nsz"})
def expansion(x, y, z, t, first, last, highest, instant, series, work):  # type: ignore[no-untyped-def]
    """Potential and acceleration at a place relative to the centre of an expansion, and a time.

    ``series`` (S (CELLS + 1), 6, K) has, snapshot by snapshot and node by node, Phi_lm, its first and second
    derivative by the place in a cell, and the rates at which these three change; the snapshots from ``first`` to
    ``last`` belong to this expansion, at the times ``instant``. Terms are ordered by m, cosines before sines, then by
    l. ``work`` is room for (2, K) numbers.
    """
    r = max(np.sqrt(x * x + y * y + z * z), 1e-12)
    a, b, c = x / r, y / r, z / r
    _radial(r, t, first, last, instant, series, work)
    if r < FIRST or r > LAST:
        _beyond(r, highest, work)
    value, slope, by_a, by_b, by_c = 0.0, 0.0, 0.0, 0.0, 0.0
    cosine, sine, cosine_before, sine_before = 1.0, 0.0, 0.0, 0.0
    k = 0
    for m in range(highest + 1):
        n = highest + 1 - m
        p_c, p_s, q_c, q_s, d_c, d_s = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        p, p_before, d, d_before = _SECTORAL[m], 0.0, 0.0, 0.0
        for j in range(n):
            if j > 0:
                up, down = _UP[m, m + j], _DOWN[m, m + j]
                p, p_before, d, d_before = (
                    up * (c * p - down * p_before),
                    p,
                    up * (p + c * d - down * d_before),
                    d,
                )
            p_c += p * work[0, k + j]
            q_c += p * work[1, k + j]
            d_c += d * work[0, k + j]
            if m > 0:
                p_s += p * work[0, k + n + j]
                q_s += p * work[1, k + n + j]
                d_s += d * work[0, k + n + j]
        value += p_c * cosine + p_s * sine
        slope += q_c * cosine + q_s * sine
        by_c += d_c * cosine + d_s * sine
        by_a += m * (p_c * cosine_before + p_s * sine_before)
        by_b += m * (p_s * cosine_before - p_c * sine_before)
        cosine_before, sine_before = cosine, sine
        cosine, sine = (a * cosine - b * sine, a * sine + b * cosine)
        k += n if m == 0 else 2 * n
    radial = slope - (a * by_a + b * by_b + c * by_c)
    return (
        value,
        -(a * radial + by_a) / r,
        -(b * radial + by_b) / r,
        -(c * radial + by_c) / r,
    )


@compiled
def add_expansions(x, y, z, t, source, instant, series, path, work, others):  # type: ignore[no-untyped-def]
    """Potential and acceleration of ``others`` and of all expansions, with what their frames do.

    Arrays as in :class:`haloassay.mocks.gravity.field_kernels.FieldArrays`, None without any expansion.
    """
    if source is None:
        return others
    potential, a_x, a_y, a_z = others
    for e in range(len(source)):
        own = source[e]
        d_x, d_y, d_z = x, y, z
        if own[2] >= 0.0:
            first, last = int(own[2]), int(own[3])
            place = (t - own[0]) * own[1]
            i = min(max(int(place), 0), last - first)
            s = place - i
            c = path[first + i]
            d_x = x - (c[0, 0] + s * (c[1, 0] + s * (c[2, 0] + s * c[3, 0])))
            d_y = y - (c[0, 1] + s * (c[1, 1] + s * (c[2, 1] + s * c[3, 1])))
            d_z = z - (c[0, 2] + s * (c[1, 2] + s * (c[2, 2] + s * c[3, 2])))
            a_x -= c[0, 3] + s * (c[1, 3] + s * (c[2, 3] + s * c[3, 3]))
            a_y -= c[0, 4] + s * (c[1, 4] + s * (c[2, 4] + s * c[3, 4]))
            a_z -= c[0, 5] + s * (c[1, 5] + s * (c[2, 5] + s * c[3, 5]))
        p, c_x, c_y, c_z = expansion(
            d_x,
            d_y,
            d_z,
            t,
            int(own[4]),
            int(own[5]),
            int(own[6]),
            instant,
            series,
            work,
        )
        potential, a_x, a_y, a_z = potential + p, a_x + c_x, a_y + c_y, a_z + c_z
    return potential, a_x, a_y, a_z


@compiled
def room(radial, series):  # type: ignore[no-untyped-def]
    """Functions of ln r that one body has at most: what a place needs room for, twice."""
    if series is None:
        return radial.shape[3]
    return max(radial.shape[3], series.shape[2])
