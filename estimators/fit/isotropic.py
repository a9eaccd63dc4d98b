"""Linear fields whose first parameters are a dipole, under the prior of the papers.

That prior is uniform in abs(mu) and isotropic in the direction of the apex: flat in abs(mu), l and
sin b. Two ways lead to its posterior, by importance from the Gaussian that a
:class:`~haloassay.estimators.fit.linear_field.LinearField` gives (:func:`draw_field`), and by a chain
over the flat coordinates (:func:`polar_dipole`).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from haloassay.base.arrays import BoolArray, FloatArray, IntArray
from haloassay.base.compiled import compiled
from haloassay.base.errors import EstimationError
from haloassay.contracts.sky import dipole_vector
from haloassay.estimators.fit.importance import effective_number, resampled_rows
from haloassay.estimators.fit.linear_field import LinearField

#: Fewest effectively independent draws that may stand behind a posterior.
_FEWEST: Final = 400


def polar_dipole(polar: FloatArray, largest: float, cut: float) -> tuple[FloatArray, BoolArray]:
    """Dipoles (n, 3) [km/s], and whether they are inside the prior (n,), in its flat coordinates.

    Parameters
    ----------
    polar
        (n, 3) abs(mu) [km/s], l [rad] and sin b of the vector.
    largest
        Bound of the prior of abs(mu) [km/s].
    cut
        Middle [rad] of the turn that l runs over.
    """
    mu, lon, sin_b = polar.T
    inside = (mu >= 0.0) & (mu <= largest)
    inside &= (np.abs(lon - cut) <= np.pi) & (np.abs(sin_b) <= 1.0)
    lat = np.degrees(np.arcsin(np.clip(sin_b, -1.0, 1.0)))
    return dipole_vector(mu, np.degrees(lon), lat), inside


def polar_start(vector: FloatArray, largest: float) -> FloatArray:
    """(3,) coordinates of :func:`polar_dipole` near a vector (3,) [km/s], well inside the prior."""
    size = float(np.linalg.norm(vector))
    speed = np.clip(size, 1.0, 0.9 * largest)
    sine = np.clip(vector[2] / max(size, 1e-9), -0.95, 0.95)
    return np.array([speed, np.arctan2(vector[1], vector[0]), sine])


def resample(weights: FloatArray, n_draws: int, rng: np.random.Generator) -> IntArray:
    """(n_draws,) rows by ``weights`` (m,), in random order.

    Raises
    ------
    EstimationError
        If fewer than 400 (or ``n_draws``) draws would be effectively independent.
    """
    effective = effective_number(weights)
    if effective < min(_FEWEST, n_draws):
        raise EstimationError(
            "the stars do not determine the field: its posterior fills or leaves the prior "
            f"({effective:.0f} of {len(weights)} draws count)"
        )
    return rng.permutation(resampled_rows(weights, n_draws, rng))


def draw_field(
    field: LinearField,
    largest: float,
    others: float,
    n_draws: int,
    rng: np.random.Generator,
) -> tuple[FloatArray, FloatArray]:
    """Posterior draws of a field whose first three parameters are its dipole d.

    Parameters
    ----------
    field
        Sums of the data.
    largest
        Bound of the prior of abs(mu_dipole) [km/s], uniform and isotropic.
    others
        Bound of the uniform priors of the other parameters [km/s].
    n_draws
        Number of draws.
    rng
        Source of randomness.

    Returns
    -------
    sigma
        (n_draws, s) dispersions [km/s].
    q
        (n_draws, p) parameters [km/s].

    Raises
    ------
    EstimationError
        If the stars do not determine the field.
    """
    sigma = field.draw_sigma(4 * n_draws, rng)
    rows = np.repeat(np.arange(len(sigma)), 2)
    given = field.at(np.log(sigma))
    root, slope, left = (part[rows] for part in _conditioned(given.root))
    mean = given.mean[rows]
    d, log_weight = draw_isotropic(mean[:, :3], root, largest, rng)
    # the others given d
    rest = mean[:, 3:] + np.einsum("nji,ni->nj", slope, d - mean[:, :3])
    scatter = rng.standard_normal(rest.shape)
    rest = rest + np.einsum("nij,nj->ni", left, scatter)
    weights = np.exp(log_weight - log_weight.max()) * np.all(np.abs(rest) <= others, axis=1)
    kept = resample(weights, n_draws, rng)
    return sigma[rows[kept]], np.concatenate([d, rest], axis=1)[kept]


def _conditioned(precision: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Gaussians of d and of the others given d, from lower roots (n, p, p) of the precision of all parameters.

    Returns
    -------
    root
        (n, 3, 3) lower roots of the covariance of d.
    slope
        (n, p - 3, 3) by how much the means of the others follow d.
    left
        (n, p - 3, p - 3) lower roots of the covariance of the others given d.

    Raises
    ------
    EstimationError
        If rounding leaves no covariance.
    """
    n, p, _ = precision.shape
    root, slope, left = np.zeros((n, 3, 3)), np.empty((n, p - 3, 3)), np.zeros((n, p - 3, p - 3))
    _condition(precision, root, slope, left)
    if not (np.all(np.isfinite(root)) and np.all(np.isfinite(left))):
        raise EstimationError("the stars do not determine the field")
    return root, slope, left


@compiled(error_model="numpy")
def _condition(
    precision: FloatArray, root: FloatArray, slope: FloatArray, left: FloatArray
) -> None:
    """Fill what :func:`_conditioned` returns."""
    n, p, _ = precision.shape
    inverse, covariance = np.zeros((p, p)), np.empty((p, p))
    for row in range(n):
        lower = precision[row]
        for j in range(p):
            inverse[j, j] = 1.0 / lower[j, j]
            for i in range(j + 1, p):
                total = 0.0
                for k in range(j, i):
                    total -= lower[i, k] * inverse[k, j]
                inverse[i, j] = total / lower[i, i]
        for i in range(p):
            for j in range(p):
                total = 0.0
                for k in range(max(i, j), p):
                    total += inverse[k, i] * inverse[k, j]
                covariance[i, j] = total
        _root(covariance[:3, :3], root[row])
        for i in range(p - 3):
            along = slope[row, i]
            along[:] = covariance[3 + i, :3]
            _forward(root[row], along)
            _backward(root[row], along)
        for i in range(p - 3):
            for j in range(p - 3):
                for k in range(3):
                    covariance[3 + i, 3 + j] -= slope[row, i, k] * covariance[k, 3 + j]
        _root(covariance[3:, 3:], left[row])


@compiled(error_model="numpy")
def _root(matrix: FloatArray, lower: FloatArray) -> None:
    """Lower root of a matrix (m, m); NaN where there is none."""
    for i in range(len(matrix)):
        for j in range(i + 1):
            rest = matrix[i, j]
            for k in range(j):
                rest -= lower[i, k] * lower[j, k]
            lower[i, j] = np.sqrt(rest) if i == j else rest / lower[j, j]


@compiled(error_model="numpy")
def _forward(lower: FloatArray, x: FloatArray) -> None:
    """Solve lower y = x in place of x (m,)."""
    for i in range(len(x)):
        for k in range(i):
            x[i] -= lower[i, k] * x[k]
        x[i] /= lower[i, i]


@compiled(error_model="numpy")
def _backward(lower: FloatArray, x: FloatArray) -> None:
    """Solve lower^T y = x in place of x (m,)."""
    for i in range(len(x) - 1, -1, -1):
        for k in range(i + 1, len(x)):
            x[i] -= lower[k, i] * x[k]
        x[i] /= lower[i, i]


@compiled(error_model="numpy")
def whitened(lower: FloatArray, x: FloatArray) -> FloatArray:
    """Solutions (n, m) of lower y = x for each of (n, m, m) lower roots and vectors (n, m)."""
    y = x.copy()
    for row in range(len(x)):
        _forward(lower[row], y[row])
    return y


def draw_isotropic(
    mean: FloatArray, root: FloatArray, largest: float, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Dipoles whose likelihood is Gaussian, under the prior of the papers.

    The prior is uniform in abs(mu) up to ``largest`` and isotropic in the direction of the apex: a
    density abs(d)^-2 in Cartesian components, singular at d = 0. In polar coordinates it is flat, and
    given the direction abs(mu) is a truncated Gaussian, drawn as such. Three directions in four come
    from the Gaussian and one from the whole sphere; their importance is known in closed form, and
    bounded.

    Parameters
    ----------
    mean, root
        (n, 3) mean of the likelihood of d, one for each draw [km/s], and (n, 3, 3) lower root of its covariance.
    largest
        Bound of the prior [km/s].
    rng
        Source of randomness.

    Returns
    -------
    d
        (n, 3) draws [km/s].
    log_weight
        (n,) logarithm of their importance, relative to draws of the Gaussian under a flat prior.
    """
    n = len(mean)
    direction = rng.standard_normal((n, 3))
    gaussian = np.arange(n) % 4 > 0
    turned = mean + np.einsum("nij,nj->ni", root, direction)
    direction = np.where(gaussian[:, None], turned, direction)
    direction /= np.linalg.norm(direction, axis=1)[:, None]
    # whitened: |L^-1 (mu e - mean)|^2 = (x - t)^2 + ..., with x = mu / spread
    e, m = whitened(root, direction), whitened(root, np.ascontiguousarray(mean))
    spread = 1.0 / np.linalg.norm(e, axis=1)
    t = spread * np.einsum("ni,ni->n", e, m)
    end = largest / spread
    mass = _log_mass(t, end)
    log_norm = -1.5 * np.log(2.0 * np.pi) - np.log(np.einsum("nii->ni", root)).sum(axis=1)
    log_norm += 0.5 * (t**2 - np.einsum("ni,ni->n", m, m))
    flat = log_norm + np.log(spread) + 0.5 * np.log(2.0 * np.pi) + mass
    projected = log_norm + 3.0 * np.log(spread) + _log_moment_2(t)
    sphere = -np.log(4.0 * np.pi)
    proposal = np.logaddexp(np.log(0.75) + projected, np.log(0.25) + sphere)
    log_weight = sphere - np.log(largest) + flat - proposal
    x = _truncated(t, end, mass, rng.random(n))
    return direction * np.clip(x * spread, 0.0, largest)[:, None], log_weight


def _log_mass(t: FloatArray, end: FloatArray) -> FloatArray:
    """Logarithm of the share of a Gaussian of mean ``t`` and unit width between 0 and ``end``."""
    from scipy.special import log_ndtr

    # from the side on which both tails are small
    flip = t > 0.5 * end
    high = np.where(flip, t, end - t)
    low = np.where(flip, t - end, -t)
    log_high = log_ndtr(high)
    with np.errstate(divide="ignore"):
        gap = np.log(-np.expm1(np.minimum(log_ndtr(low) - log_high, -1e-300)))
    return np.asarray(log_high + gap)


def _truncated(t: FloatArray, end: FloatArray, mass: FloatArray, u: FloatArray) -> FloatArray:
    """Quantiles ``u`` of Gaussians of mean ``t`` and unit width between 0 and ``end``, of that :func:`_log_mass`."""
    from scipy.special import log_ndtr, ndtri_exp

    above = t < 0.0  # there is more below zero than above: from the upper tail
    with np.errstate(divide="ignore"):
        tail = log_ndtr(np.where(above, t - end, -t))
        share = np.where(above, np.log1p(-u), np.log(u)) + mass
    z = ndtri_exp(np.minimum(np.logaddexp(tail, share), 0.0))
    return np.asarray(t + np.where(above, -z, z))


def _log_moment_2(t: FloatArray) -> FloatArray:
    """Logarithm of the integral of x^2 exp(-(x - t)^2 / 2) over x > 0."""
    from scipy.special import erfcx, log_ndtr

    root = np.sqrt(2.0 * np.pi)
    positive = np.maximum(t, 0.0)
    right = np.exp(log_ndtr(positive)) * root * (1.0 + positive**2)
    right += positive * np.exp(-0.5 * positive**2)
    negative = np.clip(t, -20.0, 0.0)
    mills = np.sqrt(0.5 * np.pi) * erfcx(-negative / np.sqrt(2.0))
    left = np.log((1.0 + negative**2) * mills + negative)
    far = np.maximum(-t, 20.0)
    tail = np.log(2.0 / far**3 * (1.0 - 6.0 / far**2 + 45.0 / far**4))
    below = np.where(t < -20.0, tail, left) - 0.5 * np.minimum(t, 0.0) ** 2
    return np.asarray(np.where(t > 0.0, np.log(right), below))
