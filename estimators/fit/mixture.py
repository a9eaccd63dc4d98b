"""Likelihood of two error-convolved Gaussians in (v_r, v_theta, v_phi, [Fe/H]), mixed.

Everywhere ``x`` (4, n) holds the values of the stars and ``e2`` (4, n) the variances of their errors;
constants such as ln 2 pi are left out. Parameters of one component: four means, then four dispersions;
of two: eight of the metal-rich one, eight of the metal-poor one, the fraction of the former.
"""

from __future__ import annotations

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.compiled import compiled
from haloassay.estimators.fit.likelihoods import FAST

#: Stars whose squares are worked out together, so that they stay in the fastest cache.
_BLOCK = 512


@compiled(fastmath=FAST, error_model="numpy")
def _squares(
    x: FloatArray,
    e2: FloatArray,
    lo: int,
    hi: int,
    component: FloatArray,
    weight: float,
    chi2: FloatArray,
    height: FloatArray,
) -> None:
    """Chi^2 and weight / sqrt(product of the variances) of stars lo to hi under one component."""
    m0, m1, m2, m3 = component[0], component[1], component[2], component[3]
    s0, s1, s2, s3 = component[4] ** 2, component[5] ** 2, component[6] ** 2, component[7] ** 2
    for i in range(lo, hi):
        t0, t1, t2, t3 = s0 + e2[0, i], s1 + e2[1, i], s2 + e2[2, i], s3 + e2[3, i]
        d0, d1, d2, d3 = x[0, i] - m0, x[1, i] - m1, x[2, i] - m2, x[3, i] - m3
        chi2[i - lo] = d0 * d0 / t0 + d1 * d1 / t1 + d2 * d2 / t2 + d3 * d3 / t3
        height[i - lo] = weight / np.sqrt(t0 * t1 * t2 * t3)


@compiled(fastmath=FAST, error_model="numpy")
def mixture_log_likelihood(x: FloatArray, e2: FloatArray, points: FloatArray) -> FloatArray:
    """Sum of ln [p N_MR(x_i) + (1 - p) N_MP(x_i)] (Li 2026, eq. 1-3).

    The larger of a star's two exponents is taken out, and one logarithm does for four stars: the
    rest of the sum is between the two heights 1 / sqrt(product of variances).

    Parameters
    ----------
    points
        (m, 17) parameters.

    Returns
    -------
    ndarray
        (m,) log likelihoods.
    """
    n = x.shape[1]
    out = np.empty(len(points))
    chi2_a, chi2_b = np.empty(_BLOCK), np.empty(_BLOCK)
    height_a, height_b, share = np.empty(_BLOCK), np.empty(_BLOCK), np.empty(_BLOCK)
    for p in range(len(points)):
        fraction = points[p, 16]
        chi2, logs = 0.0, 0.0
        for lo in range(0, n, _BLOCK):
            hi = min(lo + _BLOCK, n)
            m = hi - lo
            _squares(x, e2, lo, hi, points[p, :8], fraction, chi2_a, height_a)
            _squares(x, e2, lo, hi, points[p, 8:16], 1.0 - fraction, chi2_b, height_b)
            for i in range(m):
                share[i] = np.exp(-0.5 * abs(chi2_a[i] - chi2_b[i]))
            for i in range(m):
                nearer_a = chi2_a[i] < chi2_b[i]
                chi2 += chi2_a[i] if nearer_a else chi2_b[i]
                near = height_a[i] if nearer_a else height_b[i]
                far = height_b[i] if nearer_a else height_a[i]
                share[i] = near + far * share[i]
            full = m - m % 4
            for i in range(0, full, 4):
                logs += np.log(share[i] * share[i + 1] * share[i + 2] * share[i + 3])
            for i in range(full, m):
                logs += np.log(share[i])
        out[p] = logs - 0.5 * chi2
    return out


@compiled(error_model="numpy")
def _component(
    x: FloatArray, e2: FloatArray, i: int, component: FloatArray, g: FloatArray, H: FloatArray
) -> float:
    """Ln N of star i under a component, its gradient (8,), and of its Hessian what is not zero.

    Rows of ``H`` (3, 4): second derivatives mean-mean, mean-sigma, sigma-sigma of each quantity.
    """
    chi2, product = 0.0, 1.0
    for j in range(4):
        sigma = component[4 + j]
        w = 1.0 / (sigma * sigma + e2[j, i])
        d = x[j, i] - component[j]
        u = w * d
        excess = u * u - w
        chi2 += u * d
        product *= w
        g[j], g[4 + j] = u, sigma * excess
        H[0, j], H[1, j] = -w, -2.0 * sigma * w * u
        H[2, j] = excess - 2.0 * sigma * sigma * w * (u * u + excess)
    return 0.5 * (np.log(product) - chi2)


@compiled(error_model="numpy")
def mixture_derivatives(
    x: FloatArray, e2: FloatArray, point: FloatArray
) -> tuple[float, FloatArray, FloatArray]:
    """Value, gradient (17,) and Hessian (17, 17) of :func:`mixture_log_likelihood` at one point.

    With P the membership (eq. 4), l_k = ln(p_k N_k) and l of the whole: l' = sum P_k l_k',
    l'' = sum P_k (l_k'' + l_k' l_k'^T) - l' l'^T.
    """
    fraction = point[16]
    value, gradient, hessian = 0.0, np.zeros(17), np.zeros((17, 17))
    inner, outer, g = np.zeros((2, 8, 8)), np.zeros((2, 3, 4)), np.zeros(17)
    parts, second = np.empty((2, 8)), np.empty((3, 4))
    for i in range(x.shape[1]):
        la = np.log(fraction) + _component(x, e2, i, point[:8], parts[0], second)
        second_a = second.copy()
        lb = np.log(1.0 - fraction) + _component(x, e2, i, point[8:16], parts[1], second)
        top = max(la, lb)
        here = top + np.log(np.exp(la - top) + np.exp(lb - top))
        value += here
        P = (np.exp(la - here), np.exp(lb - here))
        # element by element: numba compiles the text of an error about shapes, for seconds, with every assigned slice
        for a in range(3):
            for b in range(4):
                outer[0, a, b] += P[0] * second_a[a, b]
                outer[1, a, b] += P[1] * second[a, b]
        for k in range(2):
            for a in range(8):
                g[8 * k + a] = P[k] * parts[k, a]
                for b in range(a + 1):
                    inner[k, a, b] += P[k] * parts[k, a] * parts[k, b]
        g[16] = P[0] / fraction - P[1] / (1.0 - fraction)
        # of ln p_k alone l_k'' + l_k'^2 is zero; with the other parameters l_k' l_k'^T is not
        for a in range(17):
            gradient[a] += g[a]
            for b in range(a + 1):
                hessian[a, b] -= g[a] * g[b]
        for a in range(8):
            hessian[16, a] += g[a] / fraction
            hessian[16, 8 + a] -= g[8 + a] / (1.0 - fraction)
    for k in range(2):
        for a in range(8):
            for b in range(a + 1):
                hessian[8 * k + a, 8 * k + b] += inner[k, a, b]
        for j in range(4):
            mean, sigma = 8 * k + j, 8 * k + 4 + j
            hessian[mean, mean] += outer[k, 0, j]
            hessian[sigma, mean] += outer[k, 1, j]
            hessian[sigma, sigma] += outer[k, 2, j]
    for a in range(17):
        for b in range(a):
            hessian[b, a] = hessian[a, b]
    return value, gradient, hessian


@compiled(error_model="numpy")
def mixture_memberships(x: FloatArray, e2: FloatArray, point: FloatArray) -> FloatArray:
    """Probability (n,) that a star is of the metal-rich component (Li 2026, eq. 4)."""
    out, g, H = np.empty(x.shape[1]), np.empty(8), np.empty((3, 4))
    for i in range(len(out)):
        la = np.log(point[16]) + _component(x, e2, i, point[:8], g, H)
        lb = np.log(1.0 - point[16]) + _component(x, e2, i, point[8:16], g, H)
        out[i] = 1.0 / (1.0 + np.exp(lb - la))
    return out


@compiled(error_model="numpy")
def mixture_step(x: FloatArray, e2: FloatArray, point: FloatArray) -> FloatArray:
    """Parameters (17,) after one step of expectation maximisation: never downhill.

    The true value of a star is hidden as its component is (Bovy, Hogg & Roweis 2011).
    """
    P = mixture_memberships(x, e2, point)
    out = np.empty(17)
    out[16] = P.mean()
    for k in range(2):
        for j in range(4):
            mean, variance = point[8 * k + j], point[8 * k + 4 + j] ** 2
            total, first, second = 1e-300, 0.0, 0.0
            for i in range(len(P)):
                weight = P[i] if k == 0 else 1.0 - P[i]
                gain = variance / (variance + e2[j, i])
                b = gain * (x[j, i] - mean)
                total += weight
                first += weight * b
                second += weight * (b * b + gain * e2[j, i])
            shift = first / total
            out[8 * k + j] = mean + shift
            out[8 * k + 4 + j] = np.sqrt(max(second / total - shift * shift, 0.0))
    return out
