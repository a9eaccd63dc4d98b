"""Compiled loops over stars whose true distances and velocities are integrated over.

Stars are those of :mod:`haloassay.estimators.fit.latent_candidates`. A point is a row: ln psi at the pivot, g, beta,
alpha, and the power of the energy.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from haloassay.base.arrays import FloatArray, IntArray
from haloassay.base.compiled import compiled
from haloassay.estimators.fit.latent_candidates import candidates_of, deviates_of
from haloassay.estimators.fit.likelihoods import FAST
from haloassay.estimators.fit.vectors import exp_of, log_of

#: Parameters: ln v_c^2, g, beta, alpha.
_D: Final = 4
#: Terms that are worked on at a time.
_BLOCK: Final = 256


@compiled(error_model="numpy")
def expanded(
    stars: FloatArray,
    deviates: FloatArray,
    flags: tuple[bool, bool, float, float],
    spread: FloatArray,
    point: FloatArray,
    uniforms: FloatArray,
    draws: FloatArray,
) -> tuple[int, FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
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
        (6,) as of :func:`haloassay.estimators.fit.latent_candidates.candidates`.
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
    noise
        (4, 4) variance that the gradient has as P points are few, were these independent.
    scores
        (n, 4) gradients of the stars by P points.
    """
    n_points, n_drawn, n_draws = deviates.shape[1], draws.shape[1], draws.shape[2]
    found, shape, slope = np.empty((n_points, 4)), np.empty((n_points, 2)), np.empty(n_points)
    gradient, hessian = np.zeros(_D), np.zeros((_D, _D))
    missing, noise = np.zeros((_D, _D)), np.zeros((_D, _D))
    density, weight = np.empty(n_points), np.full(n_draws, 1.0 / n_draws)
    few, few_shape = np.empty((n_draws, 4)), np.empty((n_draws, 2))
    scores, lost, whole = np.zeros((len(stars), _D)), 0, n_draws == n_points
    part, own, times = np.empty(_D), np.empty((_D, _D)), len(stars) / n_drawn
    z = np.empty(deviates.shape[1:])
    for i in range(len(stars)):
        deviates_of(deviates, i, z)
        candidates_of(stars[i], z, flags, spread, found)
        if whole and i < n_drawn:
            draws[:, i] = found.T
        total = _weighted(found, point, density, shape)
        if total == -np.inf:
            lost += 1
            continue
        own[:] = 0.0
        _moments(found, shape, found[:, 3], point, slope, scores[i], hessian, own, (1.0, 1.0))
        missing += own
        noise += np.sum(found[:, 3] ** 2) * own
        gradient += scores[i]
        if i >= n_drawn:
            continue
        if whole:
            draws[3, i] -= total
            gradient -= times * scores[i]
            _moments(found, shape, found[:, 3], point, slope, part, hessian, own, (-times, 0.0))
            continue
        order = np.argsort(slope) if n_draws > 1 else np.arange(n_points)
        _resampled(found, shape, density, order, uniforms[i], few, few_shape)
        draws[:, i] = few.T
        take = (-times, 0.0)
        _moments(few, few_shape, weight, point, slope, part, hessian, own, take)
        gradient -= times * part
    return lost, gradient, hessian, missing, noise, scores


@compiled(error_model="numpy")
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


@compiled(error_model="numpy")
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


@compiled(error_model="numpy", fastmath=FAST)
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


@compiled(error_model="numpy")
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


@compiled(error_model="numpy")
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


@compiled(error_model="numpy")
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


@compiled(error_model="numpy", fastmath=FAST)
def _power_sums(terms: FloatArray, ratios: FloatArray, sums: FloatArray) -> None:
    """Sum terms, terms times ratios, times their squares and so on; ``terms`` are overwritten."""
    for a in range(len(sums)):
        total = 0.0
        for j in range(len(terms)):
            total += terms[j]
            terms[j] *= ratios[j]
        sums[a] = total
