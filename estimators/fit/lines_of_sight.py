"""Stars of which the velocity along the line of sight alone is known: a distribution function over all others.

At a place whose direction from the centre has the cosine mu with the line of sight, the power-law distribution
function f = v_t^(-2 beta) (1 - v^2 / 2 psi)^n integrated over both velocities across the line of sight is, with
c = u / sqrt(2 psi) for a velocity u along it,

    (2 psi)^(1 - beta) (1 - c^2)^(n + 1 - beta) J,    p^2 = (c / mu)^2 (1 - mu^2) / (1 - c^2),
    J = integral over the unit disc of (mu^2 (x - p)^2 + y^2)^(-beta) (1 - x^2 - y^2)^n.

At the pole (p, 0) the orbit is radial. Quadrature in polar coordinates about it, or about the middle where it is
outside of what weighs, converges fast whatever beta is. For each point of the parameters ln J + beta ln(p^2 + w),
w = 1 / (n + 2), is a polynomial in p^2 / (p^2 + w) and mu where p < 1, and another beyond, so that a star costs as much
as its errors have nodes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from haloassay.base.arrays import BoolArray, FloatArray
from haloassay.base.compiled import compiled
from haloassay.estimators.fit.chebyshev import zeros

if TYPE_CHECKING:
    from haloassay.estimators.fit.latents import Observed

#: Nodes of p^2 and of mu at which J is found, and of its radial and angular integrals about the pole and the middle.
_P: Final = 10
_MU: Final = 5
_ABOUT_POLE: Final = (12, 20)
_ABOUT_MIDDLE: Final = (10, 14)
#: Of p^2 (n + 1), beyond which the pole is outside of what weighs.
_AWAY: Final = 8.0
#: Nodes over errors of distances and velocities that are at most so large [ln kpc, km/s], and over others.
_DISTANCES: Final = (5, 0.15, 11)
_VELOCITIES: Final = (3, 25.0, 9)
#: Least cosine between the line of sight and the direction from the centre: below, the pole is a line.
_LEAST_COSINE: Final = 0.3
#: Interval of cosines that a polynomial is of at least: all may be 1.
_NARROWEST: Final = 1e-3
#: Errors of velocities in dispersions beyond which they are left out: they tell a tenth of what exact ones would.
_BLURRED: Final = 2.5


@dataclass(frozen=True, eq=False)
class LinesOfSight:
    """Stars at the nodes of their errors.

    Parameters
    ----------
    x
        (n, D) ln of the radius over the pivot at nodes of the distance.
    log_weight
        (n, D) ln of the weights of these, with the volume.
    mu
        (n, D) cosine between the line of sight and the direction from the centre.
    u
        (n, V) velocities along it [km/s] at nodes of their errors.
    share
        (V,) weights of these.
    """

    x: FloatArray
    log_weight: FloatArray
    mu: FloatArray
    u: FloatArray
    share: FloatArray

    @staticmethod
    def among(stars: Observed) -> BoolArray:
        """Which stars (n,) are such: proper motions tell nothing, and the radius is not seen from the side."""
        across = np.sqrt(stars.variance[:, 1:]) * stars.scale
        blurred = (across > _BLURRED * np.sqrt(max(stars.square))).all(axis=1)
        _x, cosine, _d = stars.along(np.array([-3.0, 0.0, 3.0]))
        return np.asarray(stars.known[:, 0] & blurred & (cosine.min(axis=1) >= _LEAST_COSINE))

    @classmethod
    def of(cls, stars: Observed, pivot: float, volume: bool) -> LinesOfSight:
        """Nodes of distances and velocities of stars, about a radius ``pivot`` [kpc].

        ``volume`` says whether the volume that distances stand for is counted.
        """
        relative = stars.error if stars.log else stars.error / stars.distance
        z, weight = _error_rule(_DISTANCES, float(relative.max()))
        x, mu, log_distance = stars.along(z)
        power = (1.0 if stars.log else 0.0) + (2.0 if volume else 0.0)
        if stars.moving and not volume:  # proper motions are integrated over, not velocities
            power -= 2.0
        log_weight = np.log(weight) + power * log_distance
        z, share = _error_rule(_VELOCITIES, float(np.sqrt(stars.variance[:, 0].max())))
        u = stars.motion[:, :1] + np.einsum("nj,nj->n", stars.axes[:, 0, :], stars.offset)[:, None]
        u = u + np.sqrt(stars.variance[:, :1]) * z
        return cls(x - np.log(pivot), log_weight, mu, u, share)

    def log_likelihood(self, rows: FloatArray) -> FloatArray:
        """Sum over stars (m,) of ln of f integrated over what was not measured, at rows (m, 5) of parameters.

        Parameters
        ----------
        rows
            Ln psi at the pivot, g, beta, alpha, and the power of the energy.
        """
        ends = min(float(self.mu.min()), 1.0 - _NARROWEST), 1.0
        table = log_j_table(rows[:, 2], rows[:, 4], ends)
        return np.asarray(
            _sums(rows, table, ends, self.x, self.log_weight, self.mu, self.u, self.share)
        )


def log_j_table(beta: FloatArray, n: FloatArray, ends: tuple[float, float]) -> FloatArray:
    """Chebyshev coefficients (m, 2, P, MU) of ln J + beta ln(p^2 + w), in p^2 / (p^2 + w) and mu between ``ends``.

    The first are for p < 1, the others beyond.
    """
    part, mu = _nodes(_P, 0.0, 1.0), _nodes(_MU, *ends)
    pole, middle = jacobi_rule(_ABOUT_POLE[0], -beta, n), jacobi_rule(_ABOUT_MIDDLE[0], 0.0 * n, n)
    values = _log_j(beta, n, part, mu, pole, middle)
    return np.einsum("pi,msij,dj->mspd", _transform(_P), values, _transform(_MU))


def jacobi_rule(size: int, a: FloatArray, b: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Nodes and weights (m, size) of Gauss for x^a (1 - x)^b from 0 to 1 (Golub & Welsch 1969)."""
    from scipy.special import beta

    k = np.arange(size)[:, None]
    total = 2.0 * k + a + b
    with np.errstate(invalid="ignore", divide="ignore"):
        middle = (a * a - b * b) / (total * (total + 2.0))
        middle[0] = (a - b) / (a + b + 2.0)
        k, total = k[1:], total[1:]
        side = 4.0 * k * (k + a) * (k + b) * (k + a + b) / (total**2 * (total**2 - 1.0))
        side[0] = 4.0 * (1.0 + a) * (1.0 + b) / ((2.0 + a + b) ** 2 * (3.0 + a + b))
    matrix = np.zeros((len(a), size, size))
    at = np.arange(size)
    matrix[:, at, at] = middle.T
    matrix[:, at[1:], at[:-1]] = np.sqrt(side.T)
    nodes, vectors = np.linalg.eigh(matrix)
    return 0.5 * (1.0 + nodes), vectors[:, 0] ** 2 * beta(a + 1.0, b + 1.0)[:, None]


def _error_rule(sizes: tuple[int, float, int], error: float) -> tuple[FloatArray, FloatArray]:
    """Nodes and weights over a normal deviate, more for a large error."""
    few, small, many = sizes
    z, weight = np.polynomial.hermite_e.hermegauss(few if error <= small else many)
    return z, weight / weight.sum()


def _nodes(size: int, lo: float, hi: float) -> FloatArray:
    """Zeros (size,) of a Chebyshev polynomial, moved to between ``lo`` and ``hi``."""
    return lo + 0.5 * (hi - lo) * (1.0 + zeros(size))


def _transform(size: int) -> FloatArray:
    """(size, size) values at these zeros to coefficients."""
    k = np.arange(size)
    out = 2.0 / size * np.cos(np.pi * k[:, None] * (k + 0.5) / size)
    out[0] *= 0.5
    return out


@compiled(error_model="numpy")
def _log_j(
    beta: FloatArray,
    n: FloatArray,
    parts: FloatArray,
    mu: FloatArray,
    pole: tuple[FloatArray, FloatArray],
    middle: tuple[FloatArray, FloatArray],
) -> FloatArray:
    """Values (m, 2, P, MU) of ln J + beta ln(p^2 + w): Gauss in the radius, the trapezium rule in the angle."""
    out = np.empty((len(beta), 2, len(parts), len(mu)))
    for m in range(len(beta)):
        w = 1.0 / (n[m] + 2.0)
        edge = 1.0 / (1.0 + w)
        for side in range(2):
            for i in range(len(parts)):
                part = edge * parts[i] if side == 0 else edge + (1.0 - edge) * parts[i]
                p2 = w * part / (1.0 - part)
                near = side == 0 and p2 * (n[m] + 1.0) < _AWAY
                if near:
                    _about_pole(beta[m], n[m], p2, mu, pole[0][m], pole[1][m], out[m, side, i])
                else:
                    _about_middle(beta[m], p2, mu, middle[0][m], middle[1][m], out[m, side, i])
                for j in range(len(mu)):
                    out[m, side, i, j] = np.log(out[m, side, i, j]) + beta[m] * np.log(p2 + w)
    return out


@compiled(error_model="numpy")
def _about_pole(
    beta: float,
    n: float,
    p2: float,
    mu: FloatArray,
    nodes: FloatArray,
    weights: FloatArray,
    out: FloatArray,
) -> None:
    """J in polar coordinates about the pole, into ``out`` (MU,)."""
    out[:] = 0.0
    for k in range(_ABOUT_POLE[1]):
        eta = np.pi * (k + 0.5) / _ABOUT_POLE[1]
        cos, sin2 = np.cos(eta), np.sin(eta) ** 2
        root, off = np.sqrt(1.0 - p2 * sin2), np.sqrt(p2) * cos
        near, far = root - off, root + off  # the way to the edge, and in the opposite direction
        inner = 0.0
        for q in range(len(nodes)):
            t = np.sqrt(nodes[q])
            inner += weights[q] * ((near * t + far) / (1.0 + t)) ** n
        inner *= np.pi / _ABOUT_POLE[1] * near ** (2.0 - 2.0 * beta + n)
        for j in range(len(mu)):
            out[j] += inner * (mu[j] * mu[j] * cos * cos + sin2) ** -beta


@compiled(error_model="numpy")
def _about_middle(
    beta: float,
    p2: float,
    mu: FloatArray,
    nodes: FloatArray,
    weights: FloatArray,
    out: FloatArray,
) -> None:
    """J in polar coordinates about the middle, into ``out`` (MU,)."""
    out[:] = 0.0
    for k in range(_ABOUT_MIDDLE[1]):
        eta = np.pi * (k + 0.5) / _ABOUT_MIDDLE[1]
        cos, sin2 = np.cos(eta), np.sin(eta) ** 2
        for q in range(len(nodes)):
            off = np.sqrt(p2) - np.sqrt(nodes[q]) * cos
            weight = np.pi / _ABOUT_MIDDLE[1] * weights[q]
            for j in range(len(mu)):
                out[j] += weight * (mu[j] * mu[j] * off * off + nodes[q] * sin2) ** -beta


@compiled(error_model="numpy")
def _series(table: FloatArray, s: float, t: float) -> float:
    """Chebyshev series (C, MU) at s and t from -1 to 1 (Clenshaw 1955)."""
    a, b = 0.0, 0.0
    for i in range(len(table) - 1, -1, -1):
        c, d = 0.0, 0.0
        for j in range(table.shape[1] - 1, 0, -1):
            c, d = table[i, j] + 2.0 * t * c - d, c
        inner = table[i, 0] + t * c - d
        a, b = inner + 2.0 * s * a - b, a
    return a - s * b


@compiled(error_model="numpy")
def _sums(
    rows: FloatArray,
    table: FloatArray,
    ends: tuple[float, float],
    x: FloatArray,
    log_weight: FloatArray,
    mu: FloatArray,
    u: FloatArray,
    share: FloatArray,
) -> FloatArray:
    """Sum of ln likelihoods (m,): minus infinity where a star is not bound at any node."""
    out = np.zeros(len(rows))
    for m in range(len(rows)):
        depth, g, beta, alpha, n = rows[m]
        w = 1.0 / (n + 2.0)
        edge = 1.0 / (1.0 + w)
        for i in range(len(x)):
            top, total = -np.inf, 0.0
            for d in range(x.shape[1]):
                log_psi = depth - g * x[i, d]
                twice = 2.0 * np.exp(log_psi)
                square = mu[i, d] * mu[i, d]
                t = (2.0 * mu[i, d] - ends[0] - ends[1]) / (ends[1] - ends[0])
                before = log_weight[i, d] + alpha * x[i, d] - 0.5 * log_psi
                for k in range(len(share)):
                    c2 = u[i, k] * u[i, k] / twice
                    if c2 >= 1.0:
                        continue
                    term = before + (n + 1.0 - beta) * np.log1p(-c2)
                    p2 = c2 / square * (1.0 - square) / (1.0 - c2)
                    part = p2 / (p2 + w)
                    if p2 < 1.0:
                        term += _series(table[m, 0], 2.0 * part / edge - 1.0, t)
                    else:
                        term += _series(table[m, 1], 2.0 * (part - edge) / (1.0 - edge) - 1.0, t)
                    term -= beta * np.log(p2 + w)
                    if term > top:
                        total = total * np.exp(top - term) + share[k]
                        top = term
                    else:
                        total += share[k] * np.exp(term - top)
            out[m] += top + np.log(total) if total > 0.0 else -np.inf
        out[m] += len(x) * (1.0 - beta) * np.log(2.0)
    return out
