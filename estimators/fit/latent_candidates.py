"""Candidates of the true distances and velocities of stars, compiled.

A star is a row of a table: distance, its error, the correlation of the last two components of its motion, the three
components, their variances, and in the frame of the axes of these the velocity and the place of the observer and the
direction of the star.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.compiled import compiled
from haloassay.base.constants import KMS_PER_MASYR_KPC

#: Square of the least error that a velocity has [(km/s)^2].
_LEAST: Final = 1e-6
#: Square of the least tangential velocity: a number that has a logarithm. f diverges below any other, a tenth of it
#: below 1e-3 km/s where beta is 0.9.
_TINY: Final = 1e-280
#: Square of the widths within which tangential velocities are drawn in.
_TAU_SQUARE: Final = 4.0
#: Sets by which each dimension is ahead of the first, each time that all are used.
_STEPS: Final = (0, 1, 3, 7)
#: Errors of a distance within which velocities may move it, at whole ones; the least width, a half of these.
_FARTHEST: Final = 8
_NARROWEST: Final = 0.5
#: What they move it by, and narrow it to, where its errors alone do.
_MOVED: Final = 0.7
_NARROWED: Final = 0.7
#: Of the energy at the escape speed, what is as good as unbound.
_NEARLY: Final = 0.9

Triple = tuple[float, float, float]
Quadruple = tuple[float, float, float, float]


@compiled(error_model="numpy")
def candidates_of(
    star: FloatArray,
    z: FloatArray,
    flags: tuple[bool, bool, float, float],
    spread: FloatArray,
    out: FloatArray,
) -> None:
    """Points where a star can be, into ``out`` (P, 4): x, v^2 / 2, ln v_t, ln of the weight but for the density.

    ``z`` are normal deviates (P, 4). With Gaussian velocities of one dispersion as prior,
    those given what was observed are Gaussian, and the weight of a point is the evidence of its distance over that
    prior. Where velocities move a distance half of the candidates are drawn from its error alone, half from what
    these make of it: few of a star's would be bound where an error of the distance made it fast.

    f has a pole at v_t = 0: tangential velocities within y < tau widths of it are drawn in to
    tau (y / tau)^(1 + pull), or their weights had no variance.
    """
    moving, in_log, power, pull = flags
    middle, log_s2, slope = spread[:3]
    o_0, o_1, o_2, e_0, e_1, e_2 = star[12:18]
    log_pull, told = np.log1p(pull), _told(star, flags, spread)
    for j in range(len(z)):
        z_1, z_2 = z[j, 1], z[j, 2]
        z_0, share = _of_either(z[j, 0], told, 2 * j < len(z))
        D, log_D, square = _place(star, z_0, in_log)
        log_r = 0.5 * np.log(square)
        log_s = log_s2 - slope * (log_r - middle)
        s2 = np.exp(log_s)
        scale = KMS_PER_MASYR_KPC * D if moving else 1.0
        weight, mean, cov = _velocities(star, scale, s2)
        weight += share
        r = np.sqrt(square)
        radial = ((o_0 + D * e_0) / r, (o_1 + D * e_1) / r, (o_2 + D * e_2) / r)
        t_0, t_1, t_2, r_00, r_10, r_11, r_20, r_21, r_22 = _rotated(radial, mean, cov)
        # widths that the tangential velocity is away from zero
        at_0 = t_0 / r_00
        at_1 = (t_1 - r_10 * at_0) / r_11
        y_0, y_1 = at_0 + z_1, at_1 + z_2
        length2 = y_0 * y_0 + y_1 * y_1
        if pull > 0.0 and length2 < _TAU_SQUARE:
            log_near = 0.5 * pull * np.log(max(length2, 1e-30) / _TAU_SQUARE)
            near = np.exp(log_near)
            y_0, y_1 = near * y_0, near * y_1
            weight += 2.0 * log_near + log_pull
            weight += 0.5 * (z_1**2 + z_2**2 - (y_0 - at_0) ** 2 - (y_1 - at_1) ** 2)
        a, b = r_00 * y_0, r_10 * y_0 + r_11 * y_1
        outward = t_2 + r_20 * (y_0 - at_0) + r_21 * (y_1 - at_1) + r_22 * z[j, 3]
        across2 = max(a * a + b * b, _TINY)
        half = 0.5 * (across2 + outward * outward)
        out[j, 0] = log_r - middle
        out[j, 1] = half
        out[j, 2] = 0.5 * np.log(across2)
        out[j, 3] = weight + half / s2 + 1.5 * log_s + power * log_D


@compiled(error_model="numpy")
def _place(star: FloatArray, deviate: float, in_log: bool) -> tuple[float, float, float]:
    """Distance [kpc] at a deviate of it, its ln, and the square of the radius."""
    o_0, o_1, o_2, e_0, e_1, e_2 = star[12:18]
    off = star[1] * deviate
    if in_log:
        D, log_D = star[0] * np.exp(off), np.log(star[0]) + off
    else:
        D = max(star[0] + off, 1e-3 * star[0])
        log_D = np.log(D)
    square = D * (D + 2.0 * (o_0 * e_0 + o_1 * e_1 + o_2 * e_2)) + o_0**2 + o_1**2 + o_2**2
    return D, log_D, max(square, 1e-6)


@compiled(error_model="numpy")
def _told(
    star: FloatArray, flags: tuple[bool, bool, float, float], spread: FloatArray
) -> tuple[float, float]:
    """Mean and width of the deviate of a distance given velocities as well, as these most likely are."""
    moving, in_log, power, _ = flags
    middle, log_s2, slope, alpha, depth, n = spread
    if star[1] == 0.0:
        return 0.0, 1.0
    top, total, first, second = -np.inf, 0.0, 0.0, 0.0
    for k in range(-_FARTHEST, _FARTHEST + 1):
        z = float(k)
        D, log_D, square = _place(star, z, in_log)
        x = 0.5 * np.log(square) - middle
        scale = KMS_PER_MASYR_KPC * D if moving else 1.0
        s2 = np.exp(log_s2 - slope * x)
        weight, mean, _ = _velocities(star, scale, s2)
        half = 0.5 * (mean[0] ** 2 + mean[1] ** 2 + mean[2] ** 2)
        weight += half / s2 + n * _log_left(half * np.exp(slope * x - depth))
        weight += power * log_D + alpha * x - 0.5 * z * z
        if weight > top:
            off = np.exp(top - weight)
            total, first, second, top = total * off, first * off, second * off, weight
        part = np.exp(weight - top)
        total += part
        first += part * z
        second += part * z * z
    middle = first / total
    width = np.sqrt(max(second / total - middle * middle, _NARROWEST * _NARROWEST))
    return (0.0, 1.0) if abs(middle) < _MOVED and width > _NARROWED else (middle, width)


@compiled(error_model="numpy")
def _log_left(t: float) -> float:
    """Ln(1 - t), and as steep on from where hardly anything is left."""
    return np.log1p(-min(t, _NEARLY)) - max(t - _NEARLY, 0.0) / (1.0 - _NEARLY)


@compiled(error_model="numpy")
def _of_either(z: float, told: tuple[float, float], prior: bool) -> tuple[float, float]:
    """Deviate drawn from the prior or from what is told, and ln of the prior over the mean of both."""
    mean, width = told
    if width == 1.0 and mean == 0.0:
        return z, 0.0
    at = z if prior else mean + width * z
    off = (at - mean) / width
    ratio = np.exp(min(0.5 * (at * at - off * off), 700.0)) / width
    return at, np.log(2.0) - np.log1p(ratio)


@compiled(error_model="numpy")
def _velocities(star: FloatArray, scale: float, s2: float) -> tuple[float, Triple, Quadruple]:
    """Ln of the evidence of what was observed, and mean and covariance of velocities of prior variance ``s2`` given it.

    ``scale`` makes the last two components of the motion velocities, with which the first has no covariance.
    """
    corr, m_0, m_1, m_2, var_0, var_1, var_2, v_0, v_1, v_2 = star[2:12]
    line, off = max(var_0, _LEAST), m_0 + v_0
    whole = line + s2
    a, b = max(var_1 * scale * scale, _LEAST), max(var_2 * scale * scale, _LEAST)
    c = corr * np.sqrt(a * b)
    d_a, d_b = m_1 * scale + v_1, m_2 * scale + v_2
    det = (a + s2) * (b + s2) - c * c
    y_a, y_b = ((b + s2) * d_a - c * d_b) / det, ((a + s2) * d_b - c * d_a) / det
    mean = (s2 / whole * off, s2 * y_a, s2 * y_b)
    # s2 - s2^2 (C + s2)^-1
    left, ratio = a * b - c * c, s2 / det
    cov = (s2 * line / whole, ratio * (left + s2 * a), ratio * (left + s2 * b), ratio * s2 * c)
    evidence = -0.5 * (off * off / whole + d_a * y_a + d_b * y_b + np.log(whole * det))
    return evidence, mean, cov


@compiled(error_model="numpy")
def _inner(u: Triple, v: Triple, cov: Quadruple) -> float:
    """Covariance of velocities along two directions."""
    crossed = cov[3] * (u[1] * v[2] + u[2] * v[1])
    return cov[0] * u[0] * v[0] + cov[1] * u[1] * v[1] + cov[2] * u[2] * v[2] + crossed


@compiled(error_model="numpy")
def _rotated(radial: Triple, mean: Triple, cov: Quadruple) -> tuple[float, ...]:
    """Mean velocities along two directions across ``radial`` and along it, and the six of their Cholesky root.

    The directions are those of Duff et al. (2017).
    """
    x, y, z = radial
    sign = 1.0 if z >= 0.0 else -1.0
    a = -1.0 / (sign + z)
    b = x * y * a
    first, second = (1.0 + sign * x * x * a, sign * b, -sign * x), (b, sign + y * y * a, -y)
    least = 1e-3 * _LEAST
    r_00 = np.sqrt(max(_inner(first, first, cov), least))
    r_10 = _inner(second, first, cov) / r_00
    r_11 = np.sqrt(max(_inner(second, second, cov) - r_10 * r_10, least))
    r_20 = _inner(radial, first, cov) / r_00
    r_21 = (_inner(radial, second, cov) - r_20 * r_10) / r_11
    r_22 = np.sqrt(max(_inner(radial, radial, cov) - r_20 * r_20 - r_21 * r_21, least))
    t_0 = first[0] * mean[0] + first[1] * mean[1] + first[2] * mean[2]
    t_1 = second[0] * mean[0] + second[1] * mean[1] + second[2] * mean[2]
    t_2 = x * mean[0] + y * mean[1] + z * mean[2]
    return t_0, t_1, t_2, r_00, r_10, r_11, r_20, r_21, r_22


@compiled(error_model="numpy")
def deviates_of(deviates: FloatArray, star: int, out: FloatArray) -> None:
    """Deviates of a star, into ``out`` (P, 4): of its set; when all are used, of another set in each dimension.

    Sets differ by shifts of each dimension, so that any of them go together. Were whole sets taken again, the errors
    of stars that share one would add up, and hide behind no number of stars.
    """
    sets = len(deviates)
    for d in range(4):
        of = (star + _STEPS[d] * (star // sets)) % sets
        for j in range(len(out)):
            out[j, d] = deviates[of, j, d]


@compiled(error_model="numpy")
def candidates(
    stars: FloatArray,
    deviates: FloatArray,
    flags: tuple[bool, bool, float, float],
    spread: FloatArray,
) -> FloatArray:
    """Points (n, P, 4) where stars (n, 18) can be; the rest as of ``expanded``."""
    out, z = np.empty((len(stars), deviates.shape[1], 4)), np.empty(deviates.shape[1:])
    for i in range(len(stars)):
        deviates_of(deviates, i, z)
        candidates_of(stars[i], z, flags, spread, out[i])
    return out
