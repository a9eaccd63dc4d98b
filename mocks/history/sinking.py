"""Orbits of satellites in a growing host: slowed by dynamical friction, and stripped by the tide at pericentres.

Friction is Chandrasekhar's (1943), as that of the LMC (:mod:`haloassay.mocks.lmc.trajectory`): by the dark halo's
density, with an isotropic velocity dispersion and ln Lambda = sqrt(ln(d / 2 r_s)), r_s of the satellite; the dispersion
is the fit to an NFW halo of Zentner & Bullock (2003, 2003ApJ...598...49Z). At each pericentre a satellite loses
what is outside the tidal radius of King (1962, 1962AJ.....67..471K), r_t^3 = G m(<r_t) / (Omega^2 - d^2 Phi / dr^2),
and is an NFW halo within it afterwards; tidal heating is left out.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from haloassay.base.arrays import FloatArray, IntArray
from haloassay.base.compiled import compiled
from haloassay.base.constants import GYR_PER_KPC_KMS, G
from haloassay.mocks.gravity.growing import GrowingSphere, gm_within, nfw_within

#: Steps of an orbit in units of r / v, or of the time of free fall: energies hold to 1e-3.
_STEP: Final = 0.02
_MOST_STEPS: Final = 2_000_000
#: Within this radius [kpc] a satellite has sunk, and has no star left.
_SUNK: Final = 0.5
#: Losses that are kept of a satellite; one counts where the tidal radius shrinks to this part of what it was.
_LOSSES: Final = 64
_SHRINKS: Final = 0.97


class Losses(NamedTuple):
    """Where satellites lose stars, in the order of satellites and times.

    Parameters
    ----------
    satellite
        (K,) which.
    time
        (K,) when [Gyr].
    position, velocity
        (K, 3) of its centre [kpc], [km/s].
    tide
        (K,) radius [kpc] outside which all is lost; 0 where it has sunk.
    """

    satellite: IntArray
    time: FloatArray
    position: FloatArray
    velocity: FloatArray
    tide: FloatArray


def losses(
    host: GrowingSphere,
    time: FloatArray,
    position: FloatArray,
    velocity: FloatArray,
    scales: tuple[FloatArray, FloatArray, FloatArray],
) -> Losses:
    """Follow satellites from where they fell in to now.

    Parameters
    ----------
    host
        The field.
    time
        (N,) when they fell in [Gyr].
    position, velocity
        (N, 3) then [kpc], [km/s].
    scales
        (N,) mass scales 4 pi rho0 r_s^3 [Msun], scale radii and outer radii [kpc] of the satellites.
    """
    mass, r_s, edge = scales
    found = np.zeros((len(time), _LOSSES, 8))
    number = np.zeros(len(time), dtype=np.int64)
    _sink_all(
        np.array(position),
        np.array(velocity),
        time / GYR_PER_KPC_KMS,
        np.stack([G * mass, r_s, edge], axis=1),
        host.arrays,
        found,
        number,
    )
    kept = np.arange(_LOSSES) < number[:, None]
    rows = found[kept]
    return Losses(
        np.repeat(np.arange(len(time)), number),
        rows[:, 0] * GYR_PER_KPC_KMS,
        rows[:, 1:4],
        rows[:, 4:7],
        rows[:, 7],
    )


@compiled
def drag(r, speed, t, gm, r_s, arrays):  # type: ignore[no-untyped-def]
    """Deceleration over speed [km/s/kpc] of a body of G times its mass ``gm`` and scale radius ``r_s``."""
    if r <= 2.0 * r_s or speed == 0.0:
        return 0.0
    place = (t - arrays.start) * arrays.per_dt
    i = min(max(int(place), 0), len(arrays.scales) - 1)
    s = place - i
    c = arrays.scales[i]
    halo = c[0, 0] + s * (c[1, 0] + s * (c[2, 0] + s * c[3, 0]))
    scale = c[0, 1] + s * (c[1, 1] + s * (c[2, 1] + s * c[3, 1]))
    x = r / scale
    # G rho of NFW; of M(<x) / x the largest value is 0.2162
    g_rho = halo / (4.0 * np.pi * scale**3 * x * (1.0 + x) ** 2)
    fastest = np.sqrt(0.2162 * halo / scale)
    sigma = fastest * 1.4393 * x**0.354 / (1.0 + 1.1756 * x**0.725)
    X = speed / (np.sqrt(2.0) * sigma)
    slow = _erf(X) - 2.0 / np.sqrt(np.pi) * X * np.exp(-X * X)
    logarithm = np.sqrt(np.log(r / (2.0 * r_s)))
    return 4.0 * np.pi * gm * g_rho * logarithm * slow / speed**3


@compiled
def _erf(x):  # type: ignore[no-untyped-def]
    """Error function of x >= 0, to 1.2e-7 (Numerical Recipes, section 6.2: erfc as exp of a polynomial)."""
    t = 1.0 / (1.0 + 0.5 * x)
    p = -0.82215223 + t * 0.17087277
    p = 1.48851587 + t * p
    p = -1.13520398 + t * p
    p = 0.27886807 + t * p
    p = -0.18628806 + t * p
    p = 0.09678418 + t * p
    p = 0.37409196 + t * p
    p = 1.00002368 + t * p
    return 1.0 - t * np.exp(-x * x - 1.26551223 + t * p)


@compiled
def _tide(r, across, t, body, edge, arrays):  # type: ignore[no-untyped-def]
    """Tidal radius at ``r`` where the angular speed is ``across`` / r; at most ``edge``."""
    gm = gm_within(r, t, arrays)
    steep = (np.log(gm_within(1.01 * r, t, arrays)) - np.log(gm_within(r / 1.01, t, arrays))) / (
        2.0 * np.log(1.01)
    )
    pull = (across / r) ** 2 + (2.0 - steep) * gm / r**3
    lo, hi = 1e-6 * body[1], edge
    if body[0] * nfw_within(hi / body[1]) >= pull * hi**3:
        return hi
    for _ in range(60):
        middle = np.sqrt(lo * hi)
        if body[0] * nfw_within(middle / body[1]) >= pull * middle**3:
            lo = middle
        else:
            hi = middle
    return lo


@compiled
def _sink(x, v, t, body, arrays, found):  # type: ignore[no-untyped-def]
    """Follow one satellite; the number of its losses, which are rows of ``found``."""
    number, edge = 0, body[2]
    gm_body = body[0] * nfw_within(edge / body[1])
    last_edge = np.inf
    radial = x[0] * v[0] + x[1] * v[1] + x[2] * v[2]
    for _ in range(_MOST_STEPS):
        if t >= 0.0 or number == _LOSSES:
            return number
        r = np.sqrt(x[0] ** 2 + x[1] ** 2 + x[2] ** 2)
        speed = np.sqrt(v[0] ** 2 + v[1] ** 2 + v[2] ** 2)
        if r < _SUNK:
            found[number, 0], found[number, 7] = t, 0.0
            found[number, 1:4], found[number, 4:7] = x, v
            return number + 1
        gm = gm_within(r, t, arrays)
        h = min(_STEP * min(r / (speed + 1e-9), np.sqrt(r**3 / gm)), -t)
        slow = drag(r, speed, t, gm_body, body[1], arrays)
        for d in range(3):
            v[d] -= 0.5 * h * (gm * x[d] / r**3 + slow * v[d])
        for d in range(3):
            x[d] += h * v[d]
        t = t + h
        r = np.sqrt(x[0] ** 2 + x[1] ** 2 + x[2] ** 2)
        speed = np.sqrt(v[0] ** 2 + v[1] ** 2 + v[2] ** 2)
        gm = gm_within(r, t, arrays)
        slow = drag(r, speed, t, gm_body, body[1], arrays)
        for d in range(3):
            v[d] -= 0.5 * h * (gm * x[d] / r**3 + slow * v[d])
        before, radial = radial, x[0] * v[0] + x[1] * v[1] + x[2] * v[2]
        if before < 0.0 <= radial:
            speed2 = v[0] ** 2 + v[1] ** 2 + v[2] ** 2
            across = np.sqrt(max(speed2 - (radial / r) ** 2, 0.0))
            edge = _tide(r, across, t, body, edge, arrays)
            gm_body = body[0] * nfw_within(edge / body[1])
            if edge < _SHRINKS * last_edge:
                last_edge = edge
                found[number, 0], found[number, 7] = t, edge
                found[number, 1:4], found[number, 4:7] = x, v
                number += 1
    return number


@compiled
def _sink_all(position, velocity, time, bodies, arrays, found, number):  # type: ignore[no-untyped-def]
    for n in range(len(time)):
        number[n] = _sink(position[n], velocity[n], time[n], bodies[n], arrays, found[n])
