"""Compiled loops over stars whose true distances and velocities are integrated over.

A star is a row of a table: distance, its error, the correlation of the last two components of its motion, the three
components, their variances, and in the frame of the axes of these the velocity and the place of the observer and the
direction of the star. A point is a row too: ln psi at the pivot, g, beta, alpha, and the power of the energy.
"""

from __future__ import annotations

from typing import Final

import numba
import numpy as np

from haloassay.base.arrays import FloatArray, IntArray
from haloassay.base.constants import KMS_PER_MASYR_KPC
from haloassay.estimators.fit.likelihoods import FAST
from haloassay.estimators.fit.vectors import exp_of, log_of

#: Square of the least error that a velocity has [(km/s)^2].
_LEAST: Final = 1e-6
#: Square of the least tangential velocity: a number that has a logarithm. f diverges below any other, a tenth of it
#: below 1e-3 km/s where beta is 0.9.
_TINY: Final = 1e-280
#: Square of the widths within which tangential velocities are drawn in.
_TAU_SQUARE: Final = 4.0
#: Sets by which each dimension is ahead of the first, each time that all are used.
_STEPS: Final = (0, 1, 3, 7)
#: Parameters: ln v_c^2, g, beta, alpha.
_D: Final = 4
#: Terms that are worked on at a time.
_BLOCK: Final = 256

Triple = tuple[float, float, float]
Quadruple = tuple[float, float, float, float]


@numba.njit(cache=True, error_model="numpy")
def _candidates(
    star: FloatArray,
    z: FloatArray,
    flags: tuple[bool, bool, float, float],
    spread: FloatArray,
    out: FloatArray,
) -> None:
    """Points where a star can be, into ``out`` (P, 4): x, v^2 / 2, ln v_t, ln of the weight but for the density.

    ``z`` are normal deviates (P, 4). With Gaussian velocities of one dispersion as prior,
    those given what was observed are Gaussian, and the weight of a point is the evidence of its distance over that
    prior. f has a pole at v_t = 0: tangential velocities within y < tau widths of it are drawn in to
    tau (y / tau)^(1 + pull), or their weights had no variance.
    """
    moving, in_log, power, pull = flags
    middle, log_s2, slope = spread
    distance, error = star[:2]
    o_0, o_1, o_2, e_0, e_1, e_2 = star[12:18]
    along = o_0 * e_0 + o_1 * e_1 + o_2 * e_2
    square_origin = o_0**2 + o_1**2 + o_2**2
    log_distance, log_pull = np.log(distance), np.log1p(pull)
    for j in range(len(z)):
        z_1, z_2 = z[j, 1], z[j, 2]
        off = error * z[j, 0]
        if in_log:
            D, log_D = distance * np.exp(off), log_distance + off
        else:
            D = max(distance + off, 1e-3 * distance)
            log_D = np.log(D)
        square = max(D * D + 2.0 * D * along + square_origin, 1e-6)
        log_r = 0.5 * np.log(square)
        log_s = log_s2 - slope * (log_r - middle)
        s2 = np.exp(log_s)
        scale = KMS_PER_MASYR_KPC * D if moving else 1.0
        weight, mean, cov = _velocities(star, scale, s2)
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


@numba.njit(cache=True, error_model="numpy")
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


@numba.njit(cache=True, error_model="numpy")
def _inner(u: Triple, v: Triple, cov: Quadruple) -> float:
    """Covariance of velocities along two directions."""
    crossed = cov[3] * (u[1] * v[2] + u[2] * v[1])
    return cov[0] * u[0] * v[0] + cov[1] * u[1] * v[1] + cov[2] * u[2] * v[2] + crossed


@numba.njit(cache=True, error_model="numpy")
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


@numba.njit(cache=True, error_model="numpy")
def _take(deviates: FloatArray, star: int, out: FloatArray) -> None:
    """Deviates of a star, into ``out`` (P, 4): of its set; when all are used, of another set in each dimension.

    Sets differ by shifts of each dimension, so that any of them go together. Were whole sets taken again, the errors
    of stars that share one would add up, and hide behind no number of stars.
    """
    sets = len(deviates)
    for d in range(4):
        of = (star + _STEPS[d] * (star // sets)) % sets
        for j in range(len(out)):
            out[j, d] = deviates[of, j, d]


@numba.njit(cache=True, error_model="numpy")
def candidates(
    stars: FloatArray,
    deviates: FloatArray,
    flags: tuple[bool, bool, float, float],
    spread: FloatArray,
) -> FloatArray:
    """Points (n, P, 4) where stars (n, 18) can be; the rest as of :func:`expanded`."""
    out, z = np.empty((len(stars), deviates.shape[1], 4)), np.empty(deviates.shape[1:])
    for i in range(len(stars)):
        _take(deviates, i, z)
        _candidates(stars[i], z, flags, spread, out[i])
    return out


@numba.njit(cache=True, error_model="numpy")
def expanded(
    stars: FloatArray,
    deviates: FloatArray,
    flags: tuple[bool, bool, float, float],
    spread: FloatArray,
    point: FloatArray,
    uniforms: FloatArray,
    draws: FloatArray,
) -> tuple[int, FloatArray, FloatArray, FloatArray, FloatArray]:
    """Draw the truth of stars given a point, and find what the draws leave out.

    Parameters
    ----------
    stars
        (n, 18) table of stars.
    deviates
        (sets, P, 4) normal deviates, of sets that differ by shifts of each dimension.
    flags
        Whether proper motions were measured, whether distances err in their logarithm, the power of the
        distance in the volume, and the pull to the pole of f at v_t = 0.
    spread
        Ln of the pivot, ln of the variance of velocities of candidates there, its slope.
    point
        (5,) where.
    uniforms
        (n,) starts of the steps by which draws are chosen.
    draws
        (4, m, K) to be filled for the first m stars, which stand for all: x, v^2 / 2, ln v_t, minus ln of the density
        at the point and of K. Where K is P they are all candidates with their weights.

    Returns
    -------
    lost
        Number of stars that the point binds not.
    gradient, hessian
        (4,), (4, 4) of the log likelihood there by all P points, less those by the draws.
    missing
        (4, 4) information that is missing as the truth is not known: the scatter of gradients given what was observed.
    scores
        (n, 4) gradients of the stars by P points.
    """
    n_points, n_drawn, n_draws = deviates.shape[1], draws.shape[1], draws.shape[2]
    found, shape, slope = np.empty((n_points, 4)), np.empty((n_points, 2)), np.empty(n_points)
    gradient, hessian, missing = np.zeros(_D), np.zeros((_D, _D)), np.zeros((_D, _D))
    density, weight = np.empty(n_points), np.full(n_draws, 1.0 / n_draws)
    few, few_shape = np.empty((n_draws, 4)), np.empty((n_draws, 2))
    scores, lost, whole = np.zeros((len(stars), _D)), 0, n_draws == n_points
    part, times, z = np.empty(_D), len(stars) / n_drawn, np.empty(deviates.shape[1:])
    for i in range(len(stars)):
        _take(deviates, i, z)
        _candidates(stars[i], z, flags, spread, found)
        if whole and i < n_drawn:
            draws[:, i] = found.T
        total = _weighted(found, point, density, shape)
        if total == -np.inf:
            lost += 1
            continue
        add = (1.0, 1.0)
        _moments(found, shape, found[:, 3], point, slope, scores[i], hessian, missing, add)
        gradient += scores[i]
        if i >= n_drawn:
            continue
        if whole:
            draws[3, i] -= total
            gradient -= times * scores[i]
            _moments(found, shape, found[:, 3], point, slope, part, hessian, missing, (-times, 0.0))
            continue
        order = np.argsort(slope) if n_draws > 1 else np.arange(n_points)
        _resampled(found, shape, density, order, uniforms[i], few, few_shape)
        draws[:, i] = few.T
        take = (-times, 0.0)
        _moments(few, few_shape, weight, point, slope, part, hessian, missing, take)
        gradient -= times * part
    return lost, gradient, hessian, missing, scores


@numba.njit(cache=True, error_model="numpy")
def _weighted(
    found: FloatArray, point: FloatArray, density: FloatArray, shape: FloatArray
) -> float:
    """Turn ln of the weights of candidates into weights with the density, of sum one; ln of that sum before.

    ``density`` has ln of f but for what no star enters, ``shape`` (P, 2) ln(1 - t) and t / (1 - t), t = v^2 / 2 psi.
    """
    depth, g, beta, alpha, n = point
    top = -np.inf
    for j in range(len(found)):
        x = found[j, 0]
        log_psi = depth - g * x
        t = found[j, 1] * np.exp(-log_psi)
        if t >= 1.0:
            density[j] = -np.inf
            shape[j] = 0.0
            continue
        q = np.log1p(-t)
        shape[j, 0], shape[j, 1] = q, t / (1.0 - t)
        density[j] = alpha * x - 2.0 * beta * found[j, 2] + n * q - (1.5 - beta) * log_psi
        top = max(top, density[j] + found[j, 3])
    if top == -np.inf:
        return top
    total = 0.0
    for j in range(len(found)):
        found[j, 3] = np.exp(found[j, 3] + density[j] - top)
        total += found[j, 3]
    for j in range(len(found)):
        found[j, 3] /= total
    return top + np.log(total)


@numba.njit(cache=True, error_model="numpy")
def _resampled(
    found: FloatArray,
    shape: FloatArray,
    density: FloatArray,
    order: IntArray,
    uniform: float,
    draws: FloatArray,
    drawn_shape: FloatArray,
) -> None:
    """Systematic draws of candidates, in this order, by their weights, with minus ln of their density and number."""
    n_draws, last = len(draws), len(order) - 1
    j, passed = 0, found[order[0], 3]
    for k in range(n_draws):
        wanted = (k + uniform) / n_draws
        while passed < wanted and j < last:
            j += 1
            passed += found[order[j], 3]
        while found[order[j], 3] == 0.0:  # by rounding, beyond the last that has a weight
            j -= 1
        draws[k, :3] = found[order[j], :3]
        draws[k, 3] = -density[order[j]] - np.log(n_draws)
        drawn_shape[k] = shape[order[j]]


@numba.njit(cache=True, error_model="numpy", fastmath=FAST)
def _moments(
    points: FloatArray,
    shape: FloatArray,
    weight: FloatArray,
    at: FloatArray,
    slope: FloatArray,
    mean: FloatArray,
    hessian: FloatArray,
    missing: FloatArray,
    times: tuple[float, float],
) -> None:
    """Gradient of ln of a weighted mean of the density, into ``mean``; add the Hessian and what is missing.

    The Hessian is the mean of Hessians and the covariance of gradients (Louis 1982). ``slope`` has the gradients of
    points by beta.
    """
    depth, g, beta, alpha, n = at
    n_g, n_b, n_a = (2.0 * beta + alpha) / g**2, 1.0 - 2.0 / g, -1.0 / g
    q_1 = t_1 = p_1 = tp = b_1 = bp = bpp = 0.0
    m_0 = m_1 = m_2 = m_3 = 0.0
    c_00 = c_01 = c_02 = c_03 = c_11 = c_12 = c_13 = c_22 = c_23 = c_33 = 0.0
    for j in range(len(points)):
        w, x, q, tau = weight[j], points[j, 0], shape[j, 0], shape[j, 1]
        p = -1.0 / g - x  # derivative of ln psi by g, and of tau by ln psi
        bend = -tau * (1.0 + tau)
        q_1 += w * q
        t_1 += w * tau
        p_1 += w * p
        tp += w * tau * p
        b_1 += w * bend
        bp += w * bend * p
        bpp += w * bend * p * p
        down = n * tau - 1.5 + beta
        d_1 = n_g * q + down * p
        d_2 = n_b * q - 2.0 * points[j, 2] + depth - g * x
        d_3 = n_a * q + x
        slope[j] = d_2
        m_0 += w * down
        m_1 += w * d_1
        m_2 += w * d_2
        m_3 += w * d_3
        c_00 += w * down * down
        c_01 += w * down * d_1
        c_02 += w * down * d_2
        c_03 += w * down * d_3
        c_11 += w * d_1 * d_1
        c_12 += w * d_1 * d_2
        c_13 += w * d_1 * d_3
        c_22 += w * d_2 * d_2
        c_23 += w * d_2 * d_3
        c_33 += w * d_3 * d_3
    mean[0], mean[1], mean[2], mean[3] = m_0, m_1, m_2, m_3
    second = (
        (n * b_1, n_g * t_1 + n * bp, n_b * t_1 + 1.0, n_a * t_1),
        (
            0.0,
            -2.0 * n_g / g * q_1 + 2.0 * n_g * tp + n * bpp + m_0 / g**2,
            2.0 / g**2 * q_1 + n_b * tp + p_1,
            q_1 / g**2 + n_a * tp,
        ),
        (0.0, 0.0, 0.0, 0.0),
        (0.0, 0.0, 0.0, 0.0),
    )
    crossed = (
        (c_00, c_01, c_02, c_03),
        (0.0, c_11, c_12, c_13),
        (0.0, 0.0, c_22, c_23),
        (0.0, 0.0, 0.0, c_33),
    )
    for a in range(_D):
        for b in range(a, _D):
            scatter = crossed[a][b] - mean[a] * mean[b]
            hessian[a, b] += times[0] * (second[a][b] + scatter)
            missing[a, b] += times[1] * scatter
            hessian[b, a], missing[b, a] = hessian[a, b], missing[a, b]


@numba.njit(cache=True, error_model="numpy")
def log_means(points: FloatArray, draws: FloatArray) -> FloatArray:
    """Sum over stars (m,) of ln of the sum over draws (4, n, K) of the density at points (m, 5) over the former."""
    _, n, n_draws = draws.shape
    block = max(_BLOCK // n_draws, 1)
    x, half, across, weight = (
        draws[0].reshape(-1), draws[1].reshape(-1), draws[2].reshape(-1), draws[3].reshape(-1),
    )  # fmt: skip
    out, work = np.zeros(len(points)), np.empty((4, block * n_draws))
    for first in range(0, n, block):
        number = min(n - first, block)
        lo, size = first * n_draws, number * n_draws
        up, terms, left, spare = work[0, :size], work[1, :size], work[2, :size], work[3, :size]
        for m in range(len(points)):
            if out[m] == -np.inf:
                continue
            depth, g, beta, alpha, power = points[m]
            for j in range(size):
                up[j] = g * x[lo + j] - depth
            exp_of(up, terms, spare)
            for j in range(size):
                left[j] = 1.0 - half[lo + j] * terms[j]
            log_of(left, terms, spare)
            for j in range(size):
                of = weight[lo + j] + alpha * x[lo + j] - 2.0 * beta * across[lo + j]
                up[j] = of + power * terms[j] + (1.5 - beta) * up[j]
            out[m] += _log_sums_of(up, left, terms, spare, n_draws)
    return out


@numba.njit(cache=True, error_model="numpy")
def _log_sums_of(
    logs: FloatArray, left: FloatArray, terms: FloatArray, spare: FloatArray, n_draws: int
) -> float:
    """Sum over stars of ln of the sum over draws of exponentials, of those that are bound: ``left`` > 0."""
    exp_of(logs, terms, spare)
    total = 0.0
    for first in range(0, len(logs), n_draws):
        of_star = 0.0
        for j in range(first, first + n_draws):
            of_star += terms[j] if left[j] > 0.0 else 0.0
        total += np.log(of_star)
    return total


@numba.njit(cache=True, error_model="numpy")
def log_sums(
    along: FloatArray,
    error: FloatArray,
    near: FloatArray,
    far: FloatArray,
    rules: tuple[FloatArray, FloatArray, FloatArray, FloatArray],
    flags: tuple[bool, float],
    alphas: tuple[float, float, int],
    origin_square: float,
    middle: float,
) -> FloatArray:
    """Sum over stars (slopes,) of ln of the integral of (r / pivot)^alpha D^2 dD over all that can be observed.

    Parameters
    ----------
    along
        (n,) component of the observer's place along the line of sight [kpc].
    error
        (n,) errors of distances.
    near, far
        (n, parts) ln of the ends of the parts of the line of sight; equal where there is none.
    rules
        Nodes and weights over observed distances, in units of half a part, and over normal errors.
    flags
        Whether distances err in their logarithm, and power of D in the integral over the true distance's deviate.
    alphas
        First slope, step, and number.
    origin_square
        Square of the observer's distance [kpc^2].
    middle
        Ln of the pivot.
    """
    x, dx, z, w = rules
    in_log, power = flags
    first, step, number = alphas
    out, sums = np.zeros(number), np.empty(number)
    most = near.shape[1] * len(x) * len(z)
    terms, ratios = np.empty(most), np.empty(most)
    for i in range(len(along)):
        nodes = 0
        for part in range(near.shape[1]):
            width = 0.5 * (far[i, part] - near[i, part])
            if not width > 0.0:
                continue
            for j in range(len(x)):
                seen = np.exp(0.5 * (far[i, part] + near[i, part]) + width * x[j])
                share = width * dx[j] * (1.0 if in_log else seen)
                for k in range(len(z)):
                    D = seen * np.exp(error[i] * z[k]) if in_log else seen + error[i] * z[k]
                    D = max(D, 1e-3 * seen)
                    square = max(D * D + 2.0 * D * along[i] + origin_square, 1e-6)
                    log_x = 0.5 * np.log(square) - middle
                    terms[nodes] = share * w[k] * D**power * np.exp(first * log_x)
                    ratios[nodes] = np.exp(step * log_x)
                    nodes += 1
        _power_sums(terms[:nodes], ratios[:nodes], sums)
        out += np.log(sums)
    return out


@numba.njit(cache=True, error_model="numpy", fastmath=FAST)
def _power_sums(terms: FloatArray, ratios: FloatArray, sums: FloatArray) -> None:
    """Sum terms, terms times ratios, times their squares and so on; ``terms`` are overwritten."""
    for a in range(len(sums)):
        total = 0.0
        for j in range(len(terms)):
            total += terms[j]
            terms[j] *= ratios[j]
        sums[a] = total
