"""Sobol' indices of the mean response of a noisy simulator, from a Saltelli design with common random numbers.

Matrices A and B (rows, factors) are independent, A_B^i is A with column i of B. A run answers y = f(x, omega); in one
row and replicate all matrices share omega. Wanted are the shares of V = variance over x of m(x) = E f(x, omega): first
order V[E(m | x_i)] / V and total E[V(m | all but x_i)] / V (Saltelli et al. 2010, Computer Physics Communications 181,
259).

*Two or more replicates.* A product of two responses, each of another replicate, has the product of their means for its
mean, whatever the noise and however it depends on the factors. So each square or product below is one of different
replicates, averaged over all pairs of them, and no noise is in any index.

*One replicate.* Products are of the same omega, which then is one more factor that all matrices share. Its main effect
is the covariance of A and B; in differences of matrices it cancels. What stays is how factors change the noise: V is
V_x + V_{x omega}, a first-order index has V_{i omega} in it and a total index all interactions of i with the noise.
Noise of the same kind everywhere leaves nothing; noise that grows with a factor counts as an effect of it.

*Estimators.* Write u x v for such a product, every matrix centred on its own mean. Numerators are B x (A_B^i - A)
(first), (A - A_B^i) x (A - A_B^i) / 2 (total; Jansen 1999, Computer Physics Communications 117, 35) and (A - A_B^i) x
(A - A_B^j) (pair: the variance of all terms that have both i and j, the superset importance of Liu & Owen 2006, Journal
of the American Statistical Association 101, 712, for which no further matrix is needed); the denominator is (A - B) x
(A - B) / 2. From each go statistics of mean zero, A_B^i x A_B^i - A x A, B x B - A x A and, of replicates, A x B, times
the coefficients that leave least variance. Saltelli's, Jansen's and Janon's forms are such combinations with
coefficients of their own: with noise their errors are up to twice (Saltelli) and four times (the others) as large, and
without noise Janon's are at best a fifth smaller (``benchmarks/sensitivity.py``). Fitted coefficients leave a bias of
up to a third of the error with 256 rows, and less with more.

*Intervals* are percentiles of a bootstrap over rows, all matrices and replicates of a row together, with residuals
divided by 1 - leverage (MacKinnon & White 1985, Journal of Econometrics 29, 305), which makes up for fitted
coefficients. Rows are taken as independent: those of Sobol' points give better estimates than is stated.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from haloassay.base.arrays import FloatArray

#: Rows below which nothing is said.
FEWEST: Final = 32
#: Standard errors that the variance of the mean response must be above zero by for shares of it to be determined.
DISTINCT: Final = 3.0
#: Variation that is rounding, as a share of the largest response.
_ROUNDING: Final = 1e-9
#: Rows times bootstrap samples whose weights are held at once.
_HELD: Final = 4_000_000


@dataclass(frozen=True)
class Measured:
    """Values with their standard errors and the limits of their intervals, four arrays of one shape."""

    value: FloatArray
    error: FloatArray
    lo: FloatArray
    hi: FloatArray


@dataclass(frozen=True)
class SobolIndices:
    """Shares of the variance of the mean response, and that variance.

    Parameters
    ----------
    first, total : Measured
        First-order and total indices, (factors,).
    pairs : Measured
        Shares of all terms that have both of two factors, (factors, factors), symmetric; NaN on the diagonal.
    variance : Measured
        Variance of the mean response, in the square of its unit, scalars. Below zero by chance only.
    noise_variance : float
        Mean variance of a response at one point; with one replicate that of what all points have in common.
    n, n_lost : int
        Rows with values in all matrices and replicates, and rows without.
    reason : str
        Why shares are not determined, and NaN, or "".
    """

    first: Measured
    total: Measured
    pairs: Measured
    variance: Measured
    noise_variance: float
    n: int
    n_lost: int
    reason: str


def sobol_indices(
    a: ArrayLike,
    b: ArrayLike,
    ab: ArrayLike,
    rng: np.random.Generator,
    level: float = 0.68,
    resamples: int = 1000,
) -> SobolIndices:
    """Sobol' indices of the mean response; what one replicate leaves in them stands above.

    Parameters
    ----------
    a, b : array_like
        Responses (rows, replicates) at the points of A and B; NaN where a run failed.
    ab : array_like
        Responses (factors, rows, replicates) at A with one column of B each.
    rng : numpy.random.Generator
        Draws the rows of the bootstrap.
    level : float
        Probability that each interval holds its value.
    resamples : int
        Bootstrap samples.

    Raises
    ------
    ValueError
        If shapes do not fit each other.
    """
    responses, n_lost = _whole(a, b, ab)
    factors, n = len(responses) - 2, responses.shape[1]
    if n < FEWEST:
        why = f"{n} rows with all values, fewer than {FEWEST}"
        return _undetermined(factors, n, n_lost, _nothing(()), np.nan, why)
    largest = float(np.abs(responses).max())
    noise = _noise_variance(responses)
    rows = _Rows(responses - responses.mean(axis=1, keepdims=True))
    ones = np.ones(n)
    values, rest = _least_variance(rows.variance()[:, None], ones, rows.controls())
    spread = _bootstrap(values, rest, ones, rng, level, resamples)
    measured, variance = Measured(*spread[:, 0]), float(values[0])
    if variance <= (_ROUNDING * largest) ** 2:
        why = "the mean response does not vary"
    elif variance <= DISTINCT * float(measured.error):
        why = f"the variance of the mean response is within {DISTINCT:g} standard errors of zero"
    else:
        shares = _shares(rows, variance + rest[:, 0], rng, level, resamples)
        return SobolIndices(*shares, measured, noise, n, n_lost, "")
    return _undetermined(factors, n, n_lost, measured, noise, why)


def _whole(a: ArrayLike, b: ArrayLike, ab: ArrayLike) -> tuple[FloatArray, int]:
    """Responses (2 + factors, rows, replicates) of rows that have all of them, and how many others there are."""
    one, two, mixed = (np.asarray(x, dtype=float) for x in (a, b, ab))
    if one.ndim != 2 or one.shape != two.shape or mixed.ndim != 3 or mixed.shape[1:] != one.shape:
        shapes = f"{one.shape}, {two.shape} and {mixed.shape}"
        raise ValueError(
            f"responses of (rows, replicates) twice and (factors, rows, replicates): {shapes}"
        )
    responses = np.concatenate([one[None], two[None], mixed])
    whole = np.isfinite(responses).all(axis=(0, 2))
    return responses[:, whole], int(np.count_nonzero(~whole))


def _cross(u: FloatArray, v: FloatArray) -> FloatArray:
    """Products of different replicates, the mean over all pairs of them; of the same where there is one only."""
    replicates = u.shape[-1]
    if replicates == 1:
        return (u * v)[..., 0]
    both = u.sum(axis=-1) * v.sum(axis=-1) - (u * v).sum(axis=-1)
    return np.asarray(both / (replicates * (replicates - 1)))


def _noise_variance(responses: FloatArray) -> float:
    """Mean variance within a point; of one replicate, the covariance of A and B."""
    if responses.shape[-1] > 1:
        return float(responses.var(axis=-1, ddof=1).mean())
    return float(np.cov(responses[0, :, 0], responses[1, :, 0])[0, 1])


class _Rows:
    """Statistics (rows,) of centred responses (2 + factors, rows, replicates), whose means are covariances."""

    def __init__(self, centred: FloatArray) -> None:
        self.a, self.b, self.ab = centred[0], centred[1], centred[2:]
        n = centred.shape[1]
        self._unbiased = n / (n - 1.0)  # each matrix is centred on its own mean
        self._aa = self._product(self.a, self.a)
        self._bb = self._product(self.b, self.b)
        self._same = [self._product(mixed, mixed) for mixed in self.ab]

    def _product(self, u: FloatArray, v: FloatArray) -> FloatArray:
        return self._unbiased * _cross(u, v)

    def variance(self) -> FloatArray:
        return 0.5 * self._product(self.a - self.b, self.a - self.b)

    def first(self, i: int) -> FloatArray:
        return self._product(self.b, self.ab[i] - self.a)

    def pair(self, i: int, j: int) -> FloatArray:
        return self._product(self.a - self.ab[i], self.a - self.ab[j])

    def controls(self, i: int | None = None) -> FloatArray:
        """Statistics (rows, 2 or 3) of mean zero; of no factor in particular, of all."""
        mixed = np.mean(self._same, axis=0) if i is None else self._same[i]
        known = [mixed - self._aa, self._bb - self._aa]
        if self.a.shape[-1] > 1:  # of one replicate its mean is the noise that all share
            known.append(self._product(self.a, self.b))
        return np.stack(known, axis=1)


def _least_variance(
    numerators: FloatArray, denominator: FloatArray, controls: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Ratios of means (k,), and the residuals (rows, k), in units of numerators (rows, k), that their errors are of.

    A ratio is linear in its rows to first order; ``controls`` of mean zero take from them what they can.
    """
    n = len(denominator)
    below = float(denominator.mean())
    centred = controls - controls.mean(axis=0)
    axes = np.linalg.svd(np.column_stack([centred, denominator - below]), full_matrices=False)
    known = axes.U[:, 1e-10 * axes.S[0] < axes.S]
    leverage = 1.0 / n + (known**2).sum(axis=1)
    ratios = numerators.mean(axis=0) / below
    for _ in range(2):  # the coefficients depend on the ratio, weakly
        linear = numerators - ratios * denominator[:, None]
        slopes = np.linalg.lstsq(centred, linear - linear.mean(axis=0), rcond=None)[0]
        ratios = (numerators - controls @ slopes).mean(axis=0) / below
    residuals = numerators - ratios * denominator[:, None] - controls @ slopes
    residuals = residuals / np.maximum(1.0 - leverage, 1.0 / n)[:, None]
    return ratios, residuals - residuals.mean(axis=0)


def _shares(
    rows: _Rows, variance: FloatArray, rng: np.random.Generator, level: float, resamples: int
) -> tuple[Measured, Measured, Measured]:
    """First-order and total indices and those of pairs, all from the same bootstrap samples."""
    d = len(rows.ab)
    found = []
    for i in range(d):
        own = np.stack([rows.first(i), 0.5 * rows.pair(i, i)], axis=1)
        found.append(_least_variance(own, variance, rows.controls(i)))
    which = list(itertools.combinations(range(d), 2))
    if which:
        both = np.stack([rows.pair(i, j) for i, j in which], axis=1)
        found.append(_least_variance(both, variance, rows.controls()))
    values = np.concatenate([ratios for ratios, _ in found])
    residuals = np.hstack([rest for _, rest in found])
    spread = _bootstrap(values, residuals, variance, rng, level, resamples)
    square = np.full((4, d, d), np.nan)
    for (i, j), column in zip(which, spread[:, 2 * d :].T, strict=True):
        square[:, i, j] = square[:, j, i] = column
    return Measured(*spread[:, : 2 * d : 2]), Measured(*spread[:, 1 : 2 * d : 2]), Measured(*square)


def _bootstrap(
    values: FloatArray,
    residuals: FloatArray,
    denominator: FloatArray,
    rng: np.random.Generator,
    level: float,
    resamples: int,
) -> FloatArray:
    """Values, standard errors, lower and upper limits (4, values), rows drawn again for all values together."""
    n = len(denominator)
    summed = np.column_stack([residuals, denominator])
    drawn = np.empty((resamples, summed.shape[1]))
    step = max(1, _HELD // n)
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        rows = rng.integers(n, size=(size, n)) + n * np.arange(size)[:, None]
        weights = np.bincount(rows.ravel(), minlength=size * n).reshape(size, n)
        drawn[start : start + size] = weights.astype(float) @ summed
    samples = values + drawn[:, :-1] / drawn[:, -1:]
    limits = np.quantile(samples, [0.5 - 0.5 * level, 0.5 + 0.5 * level], axis=0)
    error = residuals.std(axis=0) / (np.sqrt(n) * denominator.mean())
    return np.stack([values, error, *limits])


def _nothing(shape: tuple[int, ...]) -> Measured:
    return Measured(*(np.full(shape, np.nan) for _ in range(4)))


def _undetermined(
    factors: int, n: int, n_lost: int, variance: Measured, noise: float, why: str
) -> SobolIndices:
    none, square = _nothing((factors,)), _nothing((factors, factors))
    return SobolIndices(none, none, square, variance, noise, n, n_lost, why)
