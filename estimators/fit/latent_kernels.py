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

#: Square of the least error that a velocity has, and of the least tangential velocity [(km/s)^2].
_LEAST: Final = 1e-6
#: Square of the widths within which tangential velocities are drawn in.
_TAU_SQUARE: Final = 4.0
#: Parameters: ln v_c^2, g, beta, alpha.
_D: Final = 4


@numba.njit(cache=True, error_model="numpy")
def _log_density(x: float, half: float, across: float, point: FloatArray) -> float:
    """Ln of f but for what no star enters: ``x`` ln(r / pivot), ``half`` v^2 / 2, ``across`` ln v_t."""
    depth, g, beta, alpha, n = point
    log_psi = depth - g * x
    left = 1.0 - half * np.exp(-log_psi)
    if left <= 0.0:
        return -np.inf
    return alpha * x - 2.0 * beta * across + n * np.log(left) - (1.5 - beta) * log_psi


@numba.njit(cache=True, error_model="numpy")
def _slopes(
    x: float, half: float, across: float, point: FloatArray, g1: FloatArray, g2: FloatArray
) -> None:
    """Gradient (4,) and Hessian (4, 4) of :func:`_log_density` by the parameters, into ``g1`` and zeros ``g2``."""
    depth, g, beta, alpha, n = point
    log_psi = depth - g * x
    t = half * np.exp(-log_psi)
    left = 1.0 - t
    q, tau = np.log(left), t / left
    bend = -tau / left  # derivative of tau by log_psi
    p = -1.0 / g - x  # and of log_psi by g
    n_g, n_b, n_a = (2.0 * beta + alpha) / g**2, 1.0 - 2.0 / g, -1.0 / g
    n_gg, n_gb, n_ga = -2.0 * n_g / g, 2.0 / g**2, 1.0 / g**2
    down = n * tau - 1.5 + beta
    g1[0] = down
    g1[1] = n_g * q + down * p
    g1[2] = n_b * q - 2.0 * across + log_psi
    g1[3] = n_a * q + x
    g2[0, 0] = n * bend
    g2[0, 1] = n_g * tau + n * bend * p
    g2[0, 2] = n_b * tau + 1.0
    g2[0, 3] = n_a * tau
    g2[1, 1] = n_gg * q + 2.0 * n_g * tau * p + n * bend * p * p + down / g**2
    g2[1, 2] = n_gb * q + n_b * tau * p + p
    g2[1, 3] = n_ga * q + n_a * tau * p
    for k in range(1, _D):
        for j in range(k):
            g2[k, j] = g2[j, k]


@numba.njit(cache=True, error_model="numpy")
def _candidates(
    star: FloatArray,
    z: FloatArray,
    flags: tuple[bool, bool, float, float],
    spread: FloatArray,
    out: FloatArray,
) -> None:
    """Points where a star can be, into ``out`` (P, 4): x, v^2 / 2, ln v_t, ln of the weight but for the density.

    With Gaussian velocities of one dispersion as prior, those given what was observed are Gaussian, and the
    weight of a point is the evidence of its distance over that prior. f has a pole at v_t = 0: tangential velocities
    within y < tau widths of it are drawn in to tau (y / tau)^(1 + pull), or their weights had no variance.
    """
    moving, in_log, power, pull = flags
    middle, log_s2, slope = spread
    distance, error = star[:2]
    origin, toward = star[12:15], star[15:18]
    along = origin[0] * toward[0] + origin[1] * toward[1] + origin[2] * toward[2]
    square_origin = origin[0] ** 2 + origin[1] ** 2 + origin[2] ** 2
    m, turned, cov = np.empty(3), np.empty(3), np.zeros((3, 3))
    basis, root = np.empty((3, 3)), np.zeros((3, 3))
    for j in range(len(z)):
        D = distance * np.exp(error * z[j, 0]) if in_log else distance + error * z[j, 0]
        D = max(D, 1e-3 * distance)
        square = max(D * D + 2.0 * D * along + square_origin, 1e-6)
        log_r = 0.5 * np.log(square)
        log_s = log_s2 - slope * (log_r - middle)
        s2 = np.exp(log_s)
        scale = KMS_PER_MASYR_KPC * D if moving else 1.0
        weight = _velocities(star, scale, s2, m, cov)
        r = np.sqrt(square)
        for k in range(3):
            basis[2, k] = (origin[k] + D * toward[k]) / r
        _across(basis)
        _rotated(basis, cov, m, root, turned)
        # widths that the tangential velocity is away from zero
        at_0 = turned[0] / root[0, 0]
        at_1 = (turned[1] - root[1, 0] * at_0) / root[1, 1]
        y_0, y_1 = at_0 + z[j, 1], at_1 + z[j, 2]
        length2 = y_0 * y_0 + y_1 * y_1
        if pull > 0.0 and length2 < _TAU_SQUARE:
            near = np.exp(0.5 * pull * np.log(max(length2, 1e-30) / _TAU_SQUARE))
            y_0, y_1 = near * y_0, near * y_1
            weight += 2.0 * np.log(near) + np.log1p(pull)
            weight += 0.5 * (z[j, 1] ** 2 + z[j, 2] ** 2 - (y_0 - at_0) ** 2 - (y_1 - at_1) ** 2)
        t_0, t_1 = root[0, 0] * y_0, root[1, 0] * y_0 + root[1, 1] * y_1
        radial = turned[2] + root[2, 0] * (y_0 - at_0) + root[2, 1] * (y_1 - at_1)
        radial += root[2, 2] * z[j, 3]
        across2 = max(t_0 * t_0 + t_1 * t_1, _LEAST)
        half = 0.5 * (across2 + radial * radial)
        out[j, 0] = log_r - middle
        out[j, 1] = half
        out[j, 2] = 0.5 * np.log(across2)
        out[j, 3] = weight + half / s2 + 1.5 * log_s + power * np.log(D)


@numba.njit(cache=True, error_model="numpy")
def _velocities(
    star: FloatArray, scale: float, s2: float, mean: FloatArray, cov: FloatArray
) -> float:
    """Mean (3,) and covariance (3, 3) of velocities of prior variance ``s2``, given those observed; ln of the evidence.

    ``scale`` makes the last two components of the motion velocities.
    """
    corr, m_0, m_1, m_2, var_0, var_1, var_2 = star[2:9]
    line, off = max(var_0, _LEAST), m_0 + star[9]
    whole = line + s2
    a, b = max(var_1 * scale * scale, _LEAST), max(var_2 * scale * scale, _LEAST)
    c = corr * np.sqrt(a * b)
    d_a, d_b = m_1 * scale + star[10], m_2 * scale + star[11]
    det = (a + s2) * (b + s2) - c * c
    y_a, y_b = ((b + s2) * d_a - c * d_b) / det, ((a + s2) * d_b - c * d_a) / det
    mean[0], mean[1], mean[2] = s2 / whole * off, s2 * y_a, s2 * y_b
    # s2 - s2^2 (C + s2)^-1
    left, ratio = a * b - c * c, s2 / det
    cov[0, 0] = s2 * line / whole
    cov[1, 1], cov[2, 2] = ratio * (left + s2 * a), ratio * (left + s2 * b)
    cov[1, 2] = cov[2, 1] = ratio * s2 * c
    return -0.5 * (off * off / whole + d_a * y_a + d_b * y_b + np.log(whole * det))


@numba.njit(cache=True, error_model="numpy")
def _across(basis: FloatArray) -> None:
    """Fill the first two rows (3, 3) with unit vectors across the third (Duff et al. 2017)."""
    x, y, z = basis[2]
    sign = 1.0 if z >= 0.0 else -1.0
    a = -1.0 / (sign + z)
    b = x * y * a
    basis[0, 0], basis[0, 1], basis[0, 2] = 1.0 + sign * x * x * a, sign * b, -sign * x
    basis[1, 0], basis[1, 1], basis[1, 2] = b, sign + y * y * a, -y


@numba.njit(cache=True, error_model="numpy")
def _rotated(
    basis: FloatArray, cov: FloatArray, mean: FloatArray, root: FloatArray, turned: FloatArray
) -> None:
    """Cholesky root (3, 3) of a covariance, and a mean (3,), in a basis of rows."""
    for k in range(3):
        turned[k] = basis[k, 0] * mean[0] + basis[k, 1] * mean[1] + basis[k, 2] * mean[2]
        for j in range(k + 1):
            total = 0.0
            for a in range(3):
                for b in range(3):
                    total += basis[k, a] * cov[a, b] * basis[j, b]
            for a in range(j):
                total -= root[k, a] * root[j, a]
            root[k, j] = np.sqrt(max(total, 1e-3 * _LEAST)) if j == k else total / root[j, j]


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
    """Draw the truth of each star given a point, and find what the draws leave out.

    Parameters
    ----------
    stars
        (n, 18) table of stars.
    deviates
        (sets, P, 4) normal deviates; stars of one set have other signs.
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
        (n, K, 4) to be filled: x, v^2 / 2, ln v_t, minus ln of the density at the point and of K. Where K is P they are
        all candidates with their weights, and nothing is left out.

    Returns
    -------
    lost
        Number of stars that the point binds not.
    gradient, hessian
        (4,), (4, 4) of the log likelihood there by all P points, less those by the K draws.
    missing
        (4, 4) information that is missing as the truth is not known: the scatter of gradients given what was observed.
    scores
        (n, 4) gradients of the stars by P points.
    """
    n_points, n_draws = deviates.shape[1], draws.shape[1]
    z, found = np.empty((n_points, 4)), np.empty((n_points, 4))
    gradient, hessian, missing = np.zeros(_D), np.zeros((_D, _D)), np.zeros((_D, _D))
    density, weight = np.empty(n_points), np.full(n_draws, 1.0 / n_draws)
    g1, g2 = np.empty((n_points, _D)), np.zeros((_D, _D))
    scores, lost = np.zeros((len(stars), _D)), 0
    for i in range(len(stars)):
        flips = i // len(deviates)
        for k in range(4):
            sign = -1.0 if (flips >> k) & 1 else 1.0
            for j in range(n_points):
                z[j, k] = sign * deviates[i % len(deviates), j, k]
        _candidates(stars[i], z, flags, spread, found)
        if n_draws == n_points:
            draws[i] = found
        total = _weighted(found, point, density)
        if total == -np.inf:
            lost += 1
            continue
        if n_draws == n_points:
            draws[i, :, 3] -= total
        scores[i] = _moments(found, found[:, 3], point, g1, g2, gradient, hessian, missing, 1.0)
        if n_draws == n_points:
            continue
        _resampled(found, density, np.argsort(g1[:, 2]), uniforms[i], draws[i])
        _moments(draws[i], weight, point, g1, g2, gradient, hessian, missing, -1.0)
    if n_draws == n_points:
        gradient[:], hessian[:] = 0.0, 0.0
    return lost, gradient, hessian, missing, scores


@numba.njit(cache=True, error_model="numpy")
def _weighted(found: FloatArray, point: FloatArray, density: FloatArray) -> float:
    """Turn ln of the weights of candidates into weights with the density, of sum one; ln of that sum before."""
    top = -np.inf
    for j in range(len(found)):
        density[j] = _log_density(found[j, 0], found[j, 1], found[j, 2], point)
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
    found: FloatArray, density: FloatArray, order: IntArray, uniform: float, draws: FloatArray
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


@numba.njit(cache=True, error_model="numpy")
def _moments(
    points: FloatArray,
    weight: FloatArray,
    at: FloatArray,
    g1: FloatArray,
    g2: FloatArray,
    gradient: FloatArray,
    hessian: FloatArray,
    missing: FloatArray,
    sign: float,
) -> FloatArray:
    """Add the derivatives of ln of a weighted mean of the density, and what is missing; the gradient.

    The Hessian is the mean of Hessians and the covariance of gradients (Louis 1982).
    """
    mean = np.zeros(_D)
    for j in range(len(points)):
        if weight[j] == 0.0:
            g1[j] = 0.0
            continue
        _slopes(points[j, 0], points[j, 1], points[j, 2], at, g1[j], g2)
        for a in range(_D):
            mean[a] += weight[j] * g1[j, a]
            for b in range(_D):
                hessian[a, b] += sign * weight[j] * (g2[a, b] + g1[j, a] * g1[j, b])
    for a in range(_D):
        gradient[a] += sign * mean[a]
        for b in range(_D):
            hessian[a, b] -= sign * mean[a] * mean[b]
    if sign < 0.0:
        return mean
    for j in range(len(points)):
        for a in range(_D):
            for b in range(_D):
                missing[a, b] += weight[j] * (g1[j, a] - mean[a]) * (g1[j, b] - mean[b])
    return mean


@numba.njit(cache=True, error_model="numpy")
def log_means(points: FloatArray, draws: FloatArray) -> FloatArray:
    """Sum over stars (m,) of ln of the mean over draws (n, K, 4) of the density at points (m, 5) over the former."""
    out = np.zeros(len(points))
    n_draws = draws.shape[1]
    terms = np.empty(n_draws)
    for m in range(len(points)):
        for i in range(len(draws)):
            top = -np.inf
            for k in range(n_draws):
                x, half, across, weight = draws[i, k]
                terms[k] = weight + _log_density(x, half, across, points[m])
                top = max(top, terms[k])
            if n_draws == 1 or top == -np.inf:
                out[m] += top
            else:
                total = 0.0
                for k in range(n_draws):
                    total += np.exp(terms[k] - top)
                out[m] += top + np.log(total)
            if top == -np.inf:
                break
    return out


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
    for i in range(len(along)):
        sums[:] = 0.0
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
                    term = share * w[k] * D**power * np.exp(first * log_x)
                    ratio = np.exp(step * log_x)
                    for a in range(number):
                        sums[a] += term
                        term *= ratio
        out += np.log(sums)
    return out
