"""Velocity ellipsoid of a bin: one Gaussian in three dimensions, freed from the errors of each star."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from haloassay.base.arrays import BoolArray, FloatArray
from haloassay.base.compiled import compiled
from haloassay.base.errors import EstimationError
from haloassay.contracts.catalogue import spans
from haloassay.estimators.bins import Bin, check_number
from haloassay.estimators.gathering import gathered, spherical_covariance, spherical_velocity

if TYPE_CHECKING:
    from haloassay.contracts.catalogue import Catalogue

#: Components of a velocity, in their order.
AXES: Final = ("r", "theta", "phi")

#: Where the elements of a symmetric matrix stand in the list rr, rt, rp, tt, tp, pp.
_SYMMETRIC: Final = np.array([[0, 1, 2], [1, 3, 4], [2, 4, 5]])

#: Where the means and the variances rr, tt, pp stand among the nine parameters.
_DIAGONAL: Final = np.array([0, 1, 2, 3, 6, 8])

#: What is taken of the distribution of velocities for the errors of mean and Sigma.
ErrorModel = Literal["sandwich", "fisher"]

#: Square of the ratio of the axes below which an ellipsoid is that of a track, and rounding decides on the errors.
_THINNEST: Final = 1e-8
_NO_SCATTER: Final = "the velocities have no scatter along some direction"
_TOO_LARGE: Final = "the velocities or their errors are too large for their squares to be numbers"

#: Probability that a variance is positive below which the errors are said to hide the dispersion.
_RESOLVED: Final = 0.975

#: Times that draws are made anew in place of those with a negative variance, which are few where the errors do not
#: hide a dispersion.
_ROUNDS: Final = 100

#: Nodes of the spline of the quantiles of chi^2, which take 0.7 microseconds each.
_NODES: Final = 101


@dataclass(frozen=True, eq=False)
class Ellipsoid:
    """Maximum-likelihood Gaussian of error-deconvolved velocities.

    Parameters
    ----------
    n
        Number of stars.
    mean
        (3,) mean velocity [km/s] in r, theta, phi.
    covariance
        (3, 3) covariance Sigma [(km/s)^2].
    error_covariance
        (6, 6) covariance of the errors of the three means and the three variances Sigma_kk.
    total
        (3,) variances sigma^2 + s^2 [(km/s)^2]: those of a Gaussian sample of this size without
        errors whose variance would be as uncertain as the Fisher information says.
    """

    n: int
    mean: FloatArray
    covariance: FloatArray
    error_covariance: FloatArray
    total: FloatArray

    @property
    def variance(self) -> FloatArray:
        """(3,) variances sigma_r^2, sigma_theta^2, sigma_phi^2 [(km/s)^2]."""
        return np.diag(self.covariance)

    @property
    def sigma(self) -> FloatArray:
        """(3,) dispersions sigma_r, sigma_theta, sigma_phi [km/s]."""
        return np.sqrt(self.variance)

    @property
    def sigma_error(self) -> FloatArray:
        """(3,) standard errors of the dispersions [km/s]."""
        error = np.sqrt(np.diag(self.error_covariance)[3:])
        return np.asarray(error / (2.0 * np.maximum(self.sigma, 1e-300)))

    @property
    def beta(self) -> float:
        """Anisotropy."""
        return float(anisotropy(self.sigma))

    @property
    def freedom(self) -> FloatArray:
        """(3,) effective degrees of freedom of the variances; n - 1 for Gaussian velocities."""
        gaussian = 2.0 * self.total**2 / self.n
        with np.errstate(divide="ignore", invalid="ignore"):
            return (self.n - 1.0) * gaussian / np.diag(self.error_covariance)[3:]

    @property
    def hidden(self) -> BoolArray:
        """(3,) whether the errors hide the dispersion: its 95 per cent interval reaches zero."""
        from scipy.special import chdtr

        noise = np.maximum(self.total - self.variance, 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            reach = np.where(noise > 1e-9 * self.total, self._unbiased / noise, np.inf)
        freedom = self.freedom
        return (chdtr(freedom, freedom * reach) < _RESOLVED) | (self.total <= 0.0)

    @property
    def _unbiased(self) -> FloatArray:
        """(3,) variances sigma^2 + s^2 about the mean that the same stars give."""
        return self.total * self.n / (self.n - 1.0)

    def note(self, which: tuple[int, ...] = (0, 1, 2)) -> str:
        """Which of the dispersions are hidden by the errors, in a sentence; nothing where none is."""
        hidden = self.hidden
        names = " and ".join(f"sigma_{AXES[k]}" for k in which if hidden[k])
        return f"the velocity errors are too large to resolve {names}" if names else ""

    def draws(self, n_draws: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        """Draws (n_draws, 3) of the means and of the dispersions [km/s].

        Drawn is the variance sigma^2 + s^2 of a sample without errors that would be as uncertain,
        from the scaled inverse chi^2 of its effective degrees of freedom, and s^2 is subtracted:
        exact for Gaussian velocities with equal errors, or none. The mean follows Student's t.
        Means and variances are correlated as their errors are. Dispersions hidden by the errors are
        drawn at zero where their variance comes out negative.

        Raises
        ------
        EstimationError
            If the stars do not determine the errors: their velocities lie along a line, say.
        """
        if not np.all(np.diag(self.error_covariance) > 0.0):
            raise EstimationError(_NO_SCATTER)
        deviation = np.sqrt(np.diag(self.error_covariance))
        correlation = self.error_covariance / np.outer(deviation, deviation)
        try:
            turn = np.linalg.cholesky(correlation + 1e-12 * np.eye(6))
        except np.linalg.LinAlgError:  # a thin track, or the same few velocities again and again
            raise EstimationError(_NO_SCATTER) from None
        freedom, unbiased, hidden = self.freedom, self._unbiased, self.hidden
        kept = [np.empty((0, 3)), np.empty((0, 3))]
        for _ in range(_ROUNDS):
            if len(kept[0]) >= n_draws:
                return kept[0][:n_draws], kept[1][:n_draws]
            z = rng.standard_normal((n_draws, 6)) @ turn.T
            stretch = freedom / chi_square(freedom, z[:, 3:])
            variance = self.variance - self.total + unbiased * stretch
            mean = self.mean + deviation[:3] * z[:, :3] * np.sqrt(stretch * self.n / (self.n - 1.0))
            good = (variance > 0.0)[:, ~hidden].all(axis=1)
            kept[0] = np.concatenate([kept[0], mean[good]])
            kept[1] = np.concatenate([kept[1], np.sqrt(np.maximum(variance[good], 0.0))])
        raise EstimationError(_NO_SCATTER)  # rounding has made numbers of it that are none


def chi_square(freedom: FloatArray, z: FloatArray) -> FloatArray:
    """Chi^2 (n, k) of ``freedom`` (k,) whose upper tail is the lower tail of Gaussian ``z`` (n, k).

    Their logarithm is a smooth function of z: more than a few are read off a spline, to 1e-6.
    """
    from scipy.interpolate import CubicSpline
    from scipy.special import chdtri, ndtr

    if len(z) <= _NODES:
        return np.asarray(chdtri(freedom, ndtr(z)))
    nodes = np.linspace(z.min(), z.max(), _NODES)
    spline = CubicSpline(nodes, np.log(chdtri(freedom, ndtr(nodes[:, None]))))
    which = np.arange(len(freedom))
    return np.asarray(np.exp(spline(z)[:, which, which]))


def anisotropy(sigma: FloatArray) -> FloatArray:
    """Anisotropy 1 - (sigma_theta^2 + sigma_phi^2) / (2 sigma_r^2) of dispersions (..., 3)."""
    square = np.square(sigma)
    return np.asarray(1.0 - (square[..., 1] + square[..., 2]) / (2.0 * square[..., 0]))


def fit_bin(
    catalogue: Catalogue, bin_: Bin, min_stars: int, errors: ErrorModel = "sandwich"
) -> Ellipsoid:
    """Ellipsoid of the stars of a bin; ``errors`` as in :func:`fit_ellipsoid`.

    Raises
    ------
    EstimationError
        If the bin has fewer than ``min_stars`` stars, or they do not determine an ellipsoid.
    """
    check_number(len(bin_), min_stars)
    v, S = gathered(catalogue, [bin_.rows], spherical_velocity, spherical_covariance)[0]
    return fit_ellipsoid(v, S, errors)


def fit_resolved(catalogue: Catalogue, bin_: Bin, min_stars: int) -> Ellipsoid:
    """Ellipsoid of the stars of a bin, for its anisotropy.

    Raises
    ------
    EstimationError
        As :func:`fit_bin` does, and if the errors hide a dispersion.
    """
    return require_resolved(fit_bin(catalogue, bin_, min_stars))


def require_resolved(ellipsoid: Ellipsoid) -> Ellipsoid:
    """Raise :class:`EstimationError` if the errors hide a dispersion; else the same ellipsoid."""
    if note := ellipsoid.note():
        raise EstimationError(f"beta is not determined: {note}")
    return ellipsoid


def fit_ellipsoid(v: FloatArray, S: FloatArray, errors: ErrorModel = "sandwich") -> Ellipsoid:
    """Maximise sum ln N(v_i | mu, Sigma + S_i) by Fisher scoring, safeguarded.

    Where no step along the score goes uphill with a positive Sigma, expectation maximisation does.

    Parameters
    ----------
    v
        (N, 3) velocities [km/s].
    S
        (N, 3, 3) error covariances [(km/s)^2]; zeros where there are no errors.
    errors
        Covariance of the errors: ``"fisher"``, which takes velocities for Gaussian, or
        ``"sandwich"``, which does not
        (:class:`~haloassay.estimators.velocity_ellipsoid.VelocityEllipsoid`).

    Raises
    ------
    EstimationError
        If neither velocities nor errors scatter along some direction: an unbounded likelihood; or if they are so large
        that rounding decides.
    """
    v, S = np.ascontiguousarray(v, dtype=float), np.ascontiguousarray(S, dtype=float)
    # one component after the other: as large as a block of stars' covariances are the copies that a median makes
    middle = np.array([np.median(x) for x in v.T])
    spread = np.array([np.median(np.abs(x - m)) for x, m in zip(v.T, middle, strict=True)]) / 0.6745
    if not np.all(spread > 0.0):
        raise EstimationError("the velocities have no scatter")
    with np.errstate(over="ignore", invalid="ignore"):
        whole = _scatter(v) + S.mean(axis=0)
    if not np.all(np.isfinite(whole)):
        raise EstimationError(_TOO_LARGE)
    total = np.linalg.eigvalsh(whole)
    if total[0] < _THINNEST * total[-1]:
        raise EstimationError(_NO_SCATTER)
    fisher = np.zeros((9, 9))
    try:
        mean, covariance, *information = _maximise(v, S, middle, np.diag(spread**2))
        fisher[:3, :3], fisher[3:, 3:] = (np.linalg.inv(each) for each in information)
    except np.linalg.LinAlgError:
        raise EstimationError(_NO_SCATTER) from None
    if not np.all(np.diag(fisher) > 0.0):
        raise EstimationError(_NO_SCATTER)
    used = fisher
    if errors == "sandwich":
        scale = np.ones(9)
        scale[3:] = np.sqrt((len(v) + 1.0) / (len(v) - 2.0))  # unbiased for Gaussian velocities
        products = _score_products(v, S, mean, covariance) * np.outer(scale, scale)
        used = fisher @ products @ fisher
    total_variance = np.sqrt(0.5 * len(v) * np.diag(fisher)[_DIAGONAL[3:]])
    used = used[np.ix_(_DIAGONAL, _DIAGONAL)]
    return Ellipsoid(len(v), mean, covariance, used, total_variance)


def _scatter(v: FloatArray) -> FloatArray:
    """Sample covariance (3, 3) of velocities (N, 3), without a copy of them."""
    mean, total = v.mean(axis=0), np.zeros((3, 3))
    for rows in spans(len(v)):
        d = v[rows] - mean
        total += d.T @ d
    return total / (len(v) - 1)


def _maximise(
    v: FloatArray, S: FloatArray, mean: FloatArray, Sigma: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Mean and Sigma of greatest likelihood from a start, and the Fisher information of both."""
    here, *known = _score(v, S, mean, Sigma)
    for _ in range(200):
        score, F_mean, F_Sigma = known
        step_mean = np.linalg.solve(F_mean, score[:3])
        step = np.linalg.solve(F_Sigma, score[3:])
        if score[:3] @ step_mean + score[3:] @ step < 1e-18:
            break
        change = step[_SYMMETRIC]
        for length in (1.0, 0.5, 0.25, 0.125, 0.0625):
            trial = mean + length * step_mean, Sigma + length * change
            there, *next_known = _score(v, S, *trial)
            if there >= here - 1e-13 * abs(here):
                break
        else:
            trial = _expect_maximise(v, S, mean, Sigma)
            there, *next_known = _score(v, S, *trial)
            if not there > here + 1e-4:  # at the edge of the positive matrices
                break
        (mean, Sigma), here, known = trial, there, next_known
    return mean, Sigma, F_mean, F_Sigma


@compiled
def _invert(Sigma: FloatArray, S: FloatArray, W: FloatArray) -> float:
    """Inverse of Sigma + S, (3, 3), into ``W``; its determinant, or -1 unless positive definite."""
    a, b, c = Sigma[0, 0] + S[0, 0], Sigma[0, 1] + S[0, 1], Sigma[0, 2] + S[0, 2]
    d, e, f = Sigma[1, 1] + S[1, 1], Sigma[1, 2] + S[1, 2], Sigma[2, 2] + S[2, 2]
    aa, bb, cc = d * f - e * e, c * e - b * f, b * e - c * d
    det = a * aa + b * bb + c * cc
    minor = a * d - b * b
    if not (a > 0.0 and minor > 0.0 and det > 1e-14 * a * d * f):
        return -1.0
    W[0, 0], W[1, 1], W[2, 2] = aa / det, (a * f - c * c) / det, minor / det
    W[0, 1] = W[1, 0] = bb / det
    W[0, 2] = W[2, 0] = cc / det
    W[1, 2] = W[2, 1] = (b * c - a * e) / det
    return float(det)


@compiled
def _star_score(d: tuple[float, float, float], W: FloatArray, g: FloatArray) -> None:
    """Score (9,) of one star, d = v - mean and W = (Sigma + S)^-1, into ``g``.

    Of the mean, u = W d; of Sigma (rr, rt, rp, tt, tp, pp), (u u^T - W) / 2, doubled off the diagonal.
    """
    row, column = (0, 0, 0, 1, 1, 2), (0, 1, 2, 1, 2, 2)
    for j in range(3):
        g[j] = W[j, 0] * d[0] + W[j, 1] * d[1] + W[j, 2] * d[2]
    for a in range(6):
        j, k = row[a], column[a]
        half = 0.5 if j == k else 1.0
        g[3 + a] = half * (g[j] * g[k] - W[j, k])


@compiled
def _score(
    v: FloatArray, S: FloatArray, mean: FloatArray, Sigma: FloatArray
) -> tuple[float, FloatArray, FloatArray, FloatArray]:
    """Sum of ln N(v_i | mean, Sigma + S_i), its score (9,), and Fisher information of mean (3, 3) and Sigma (6, 6).

    The sum is without its constant, and -inf unless all matrices are positive definite. Information W of the mean and
    tr(W E_a W E_b) / 2 of Sigma, E_a the symmetric unit matrices. One pass over the stars gives all of it: a step is
    nearly always taken, and the inverses of its likelihood are those of the next score.
    """
    row, column = (0, 0, 0, 1, 1, 2), (0, 1, 2, 1, 2, 2)
    score, F_mean, F_Sigma = np.zeros(9), np.zeros((3, 3)), np.zeros((6, 6))
    W, g = np.zeros((3, 3)), np.empty(9)
    if _invert(Sigma, np.zeros((3, 3)), W) <= 0.0:
        return -np.inf, score, F_mean, F_Sigma
    total, possible = 0.0, True
    for i in range(len(v)):
        determinant = _invert(Sigma, S[i], W)
        d = (v[i, 0] - mean[0], v[i, 1] - mean[1], v[i, 2] - mean[2])
        _star_score(d, W, g)
        if determinant > 0.0:
            total -= 0.5 * np.log(determinant)
        else:
            possible = False
        for j in range(3):
            for k in range(3):
                total -= 0.5 * d[j] * W[j, k] * d[k]
                F_mean[j, k] += W[j, k]
        for a in range(9):
            score[a] += g[a]
        for a in range(6):
            j, k = row[a], column[a]
            half = 0.5 if j == k else 1.0
            for b in range(a, 6):
                m, n = row[b], column[b]
                quarter = 0.5 * half if m == n else half
                F_Sigma[a, b] += quarter * (W[k, m] * W[n, j] + W[k, n] * W[m, j])
    for a in range(6):
        for b in range(a):
            F_Sigma[a, b] = F_Sigma[b, a]
    return total if possible else -np.inf, score, F_mean, F_Sigma


@compiled
def _score_products(
    v: FloatArray, S: FloatArray, mean: FloatArray, Sigma: FloatArray
) -> FloatArray:
    """Sum (9, 9) of the outer products of the scores of the stars."""
    products = np.zeros((9, 9))
    W, g = np.zeros((3, 3)), np.empty(9)
    for i in range(len(v)):
        _invert(Sigma, S[i], W)
        d = (v[i, 0] - mean[0], v[i, 1] - mean[1], v[i, 2] - mean[2])
        _star_score(d, W, g)
        for a in range(9):
            for b in range(a + 1):
                products[a, b] += g[a] * g[b]
    for a in range(9):
        for b in range(a):
            products[b, a] = products[a, b]
    return products


def _expect_maximise(
    v: FloatArray, S: FloatArray, mean: FloatArray, Sigma: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """One step of expectation maximisation (Bovy et al. 2011): never downhill, Sigma positive."""
    n, total, kept = len(v), np.zeros(3), np.zeros((3, 3))
    b = np.empty_like(v)
    for rows in spans(n):
        gain = Sigma @ np.linalg.inv(Sigma + S[rows])
        b[rows] = mean + np.einsum("njk,nk->nj", gain, v[rows] - mean)
        total += b[rows].sum(axis=0)
        kept += (gain @ Sigma).sum(axis=0)
    new_mean, square = total / n, np.zeros((3, 3))
    for rows in spans(n):
        square += (b[rows] - new_mean).T @ (b[rows] - new_mean)
    new_Sigma = Sigma - kept / n + square / n
    return new_mean, 0.5 * (new_Sigma + new_Sigma.T)
