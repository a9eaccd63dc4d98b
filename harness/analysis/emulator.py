"""A response over factors in the unit cube, emulated: mean, how well it is known, and whether it is of any use.

The surface is that of :mod:`haloassay.analysis.surface`. Noise may depend on the factors: a second surface, of linear
and square terms, follows the logarithm of squared residuals, and points count by its inverse. Responses of 0 or 1 go
through a logit, fitted by penalised quasi-likelihood (Breslow & Clayton 1993, Journal of the American Statistical
Association 88, 9): weighted regressions of the working response, widths of the priors found anew in each. Their stated
errors are a tenth to a sixth too small.

Noise is taken as independent from point to point. Of common random numbers at all points, what they share moves the
whole surface and cannot be seen in one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import ArrayLike

from haloassay.analysis.surface import Surface, basis, regress
from haloassay.base.arrays import FloatArray
from haloassay.base.errors import InputError

Link = Literal["identity", "logit"]

#: Points below which nothing is fitted, and as many for each factor.
FEWEST: Final = 40
FEWEST_EACH: Final = 4
#: Share of the variance of the mean response below which an emulator is refused.
LEAST_Q2: Final = 0.5
#: Standard errors above zero of a variance that counts as there.
DISTINCT: Final = 3.0
#: One-sided limit of 95 per cent, in standard errors.
_SIGMA95: Final = 1.6448536269514722
#: How far outside the cube, in each factor, a prediction may be.
MARGIN: Final = 0.05
#: Variation that is rounding, as a share of the largest response.
_ROUNDING: Final = 1e-9
#: Mean and variance of the logarithm of a squared standard normal deviate.
_LOG_SQUARE: Final = (-1.2703628454614782, np.pi**2 / 2.0)
#: Largest and least weight of a point by its noise.
_WEIGHT: Final = 30.0
#: Steps of the fit of a probability: working response and weights, then surface.
_STEPS: Final = 8
#: Parts that points are left out in.
_FOLDS: Final = 5
#: Points of a lattice that a curve of a probability is averaged over.
_LATTICE: Final = 512


@dataclass(frozen=True)
class Emulator:
    """An emulated response. Make it by :func:`fit` or :meth:`from_data`.

    Parameters
    ----------
    names : tuple of str
        Factors, in the order of the columns of ``x``.
    link : {"identity", "logit"}
        Of what the surface is: the response, or the logit of a probability.
    surface : Surface
    noise : Surface or None
        Logarithm of the variance of one response; None of a probability.
    lack : float
        Standard deviation of what the surface cannot follow, where replicates show it; part of what is predicted.
    n, n_lost : int
        Points with and without a response.
    error : float
        Root mean square error of the mean response at points left out, noise taken out.
    error_most : float
        What that is below with a probability of 0.95: where noise is large, what was left out cannot tell more.
    error_in_noise : float
        ``error`` in units of the noise of one response.
    q2 : float
        Share of the variance of the mean response that is predicted at points left out; NaN where there is none.
    refused : str
        Why it must not be used, or "".
    """

    names: tuple[str, ...]
    link: Link
    surface: Surface
    noise: Surface | None
    lack: float
    n: int
    n_lost: int
    error: float
    error_most: float
    error_in_noise: float
    q2: float
    refused: str

    def predict(self, x: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Mean response and its standard deviation (points,), without noise, at ``x`` (points, factors).

        Raises
        ------
        InputError
            If the emulator is refused, or a point is more than :data:`MARGIN` outside the unit cube.
        """
        points = self._inside(x)
        mean, sd = self.surface(points)
        sd = np.hypot(sd, self.lack)
        return (mean, sd) if self.link == "identity" else _probability(mean, sd)

    def scatter(self, x: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Return the standard deviation (points,) of one response around its mean and its own, at ``x``."""
        points = self._inside(x)
        if self.noise is None:
            mean, error = self.predict(x)
            spread = np.sqrt(mean * (1.0 - mean))
            return spread, np.abs(1.0 - 2.0 * mean) / (2.0 * spread) * error
        log, error = self.noise(points)
        spread = np.exp(0.5 * log)
        return spread, 0.5 * spread * error

    def curve(self, name: str, at: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Mean response and its standard deviation at ``at`` of one factor, averaged over the cube of all others."""
        factor = self.names.index(name)
        grid = np.asarray(at, dtype=float)
        points = np.full((len(grid), len(self.names)), 0.5)
        points[:, factor] = grid
        points = self._inside(points)
        if self.link == "identity":
            return self.surface.main_effect(factor)(points)
        lattice = _lattice(len(self.names))
        mean, sd = np.empty(len(grid)), np.empty(len(grid))
        for k, value in enumerate(grid):
            lattice[:, factor] = value
            mean[k], sd[k] = _mean_probability(self.surface, lattice)
        return mean, sd

    def _inside(self, x: ArrayLike) -> FloatArray:
        if self.refused:
            raise InputError(f"no prediction: {self.refused}")
        points = np.asarray(x, dtype=float)
        if points.ndim != 2 or points.shape[1] != len(self.names):
            raise ValueError(
                f"points of shape {points.shape}, not (points, {len(self.names)} factors)"
            )
        outside = np.maximum(-points, points - 1.0).max(axis=0, initial=0.0)
        if not np.all(outside <= MARGIN + _ROUNDING):  # NaN, too
            worst = int(np.argmax(np.nan_to_num(outside, nan=np.inf)))
            raise InputError(
                f"no prediction: {self.names[worst]} is {outside[worst]:.3g} of its range outside of what was run"
            )
        return points

    def to_data(self) -> dict[str, Any]:
        """Plain numbers, strings, lists and None (of NaN), for JSON and the like."""
        data: dict[str, Any] = {"names": list(self.names), "link": self.link}
        data |= {"n": self.n, "n_lost": self.n_lost, "refused": self.refused}
        data |= {k: None if np.isnan(v := getattr(self, k)) else float(v) for k in _MEASURES}
        surfaces = {"surface": self.surface, "noise": self.noise}
        data |= {k: None if s is None else _surface_data(s) for k, s in surfaces.items()}
        return data

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Emulator:
        """Read what :meth:`to_data` gave."""
        noise = data["noise"]
        measures = {k: np.nan if data[k] is None else float(data[k]) for k in _MEASURES}
        return cls(
            names=tuple(data["names"]),
            link=data["link"],
            surface=_surface_of(data["surface"]),
            noise=None if noise is None else _surface_of(noise),
            n=data["n"],
            n_lost=data["n_lost"],
            refused=data["refused"],
            **measures,
        )


_MEASURES: Final = ("lack", "error", "error_most", "error_in_noise", "q2")


def fit(x: ArrayLike, y: ArrayLike, names: Sequence[str], link: Link = "identity") -> Emulator:
    """Emulate responses ``y`` at the points ``x``.

    Parameters
    ----------
    x : array_like
        Points (points, factors) in the unit cube.
    y : array_like
        Responses (points,) or (points, replicates), NaN where a run failed; 0 or 1 for the link ``"logit"``.
    names : sequence of str
        Factors.
    link : {"identity", "logit"}
        ``"logit"`` keeps the mean, a probability then, in [0, 1].

    Raises
    ------
    ValueError
        If shapes do not fit, points are outside the cube, or responses of a logit neither 0 nor 1.
    """
    data = _Data.of(x, y, names, link)
    least = max(FEWEST, FEWEST_EACH * len(names))
    if data.n < least:
        why = f"{data.n} points with a response, fewer than {least}"
        return _emulator(data, _Fitted.constant(data), why)
    largest = float(np.abs(data.mean).max())
    if link == "identity" and float(np.ptp(data.mean)) <= _ROUNDING * largest:
        return _emulator(data, _Fitted.constant(data))
    return _emulator(data, _response(data) if link == "identity" else _chance(data))


@dataclass(frozen=True)
class _Data:
    """Points with a response: mean of their replicates, how many these are, variance among them (NaN of one)."""

    x: FloatArray
    mean: FloatArray
    count: FloatArray
    within: FloatArray
    names: tuple[str, ...]
    link: Link
    n_lost: int

    @classmethod
    def of(cls, x: ArrayLike, y: ArrayLike, names: Sequence[str], link: Link) -> _Data:
        points, responses = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
        if responses.ndim == 1:
            responses = responses[:, None]
        if points.shape != (len(responses), len(names)) or responses.ndim != 2:
            raise ValueError(
                f"points {points.shape} and responses {responses.shape} of {len(names)} factors"
            )
        if not np.all((points >= 0.0) & (points <= 1.0)):
            raise ValueError("points outside the unit cube")
        found = np.isfinite(responses)
        if link == "logit" and not np.isin(responses[found], (0.0, 1.0)).all():
            raise ValueError("responses of a probability are 0 or 1")
        kept = found.any(axis=1)
        found, responses = found[kept], np.where(found, responses, 0.0)[kept]
        count = found.sum(axis=1).astype(float)
        mean = responses.sum(axis=1) / count
        squares = (np.where(found, responses - mean[:, None], 0.0) ** 2).sum(axis=1)
        within = np.where(count > 1.0, squares / np.maximum(count - 1.0, 1.0), np.nan)
        lost = int(np.count_nonzero(~kept))
        return cls(points[kept], mean, count, within, tuple(names), link, lost)

    @property
    def n(self) -> int:
        return len(self.mean)

    @property
    def replicated(self) -> bool:
        """Whether enough points have replicates for noise to be told from lack of fit."""
        return 2 * int(np.count_nonzero(self.count > 1.0)) >= self.n


def _emulator(data: _Data, fitted: _Fitted, refused: str = "") -> Emulator:
    """Put errors at points left out beside the noise; refuse what is no better than a constant."""
    measures = dict.fromkeys(_MEASURES, np.nan)
    if not refused:
        measures, refused = _left_out(data, fitted)
    return Emulator(
        data.names,
        data.link,
        fitted.surface,
        fitted.noise,
        n=data.n,
        n_lost=data.n_lost,
        refused=refused,
        **measures | {"lack": fitted.lack},
    )


def _left_out(data: _Data, fitted: _Fitted) -> tuple[dict[str, float], str]:
    """Measures of errors at points left out, and why they are too large, or ""."""
    of_mean = fitted.noise_variance / data.count
    if data.replicated:  # what replicates show needs no surface of the noise
        of_mean = np.where(data.count > 1.0, data.within, fitted.noise_variance) / data.count
    squares = (data.mean - fitted.left_out) ** 2 - of_mean
    squared, uncertain = float(squares.mean()), float(squares.std()) / np.sqrt(data.n)
    noise = float(np.sqrt(fitted.noise_variance.mean()))
    error = float(np.sqrt(max(squared, 0.0)))
    measures = {
        "error": error,
        "error_most": float(np.sqrt(max(squared + _SIGMA95 * uncertain, 0.0))),
        "error_in_noise": error / noise if noise > 0.0 else np.nan,
        "q2": np.nan,
    }
    about = (data.mean - data.mean.mean()) ** 2
    varies = float(about.sum() / (data.n - 1) - of_mean.mean())
    rounding = (_ROUNDING * float(np.abs(data.mean).max())) ** 2
    if varies <= max(DISTINCT * float(about.std()) / np.sqrt(data.n), rounding):
        return measures, ""
    measures["q2"] = 1.0 - squared / varies
    # what is below by chance may be all right
    if squared - 2.0 * uncertain <= (1.0 - LEAST_Q2) * varies:
        return measures, ""
    share = f"{100.0 * max(measures['q2'], 0.0):.0f} per cent of it at points left out"
    return measures, f"the mean response varies, and the surface predicts {share}"


@dataclass(frozen=True)
class _Fitted:
    """Surfaces, predictions (points,) of points left out, and the variance (points,) of one response."""

    surface: Surface
    noise: Surface | None
    lack: float
    left_out: FloatArray
    noise_variance: FloatArray

    @classmethod
    def constant(cls, data: _Data) -> _Fitted:
        mean = float(data.mean.mean()) if data.n else 0.0
        surface = _flat(mean, len(data.names))
        tiny = float(np.log(np.finfo(float).tiny))
        noise = _flat(tiny, len(data.names)) if data.link == "identity" else None
        return cls(surface, noise, 0.0, np.full(data.n, mean), np.zeros(data.n))


def _response(data: _Data) -> _Fitted:
    """Fit a response of any size: once, then with weights by the noise that its residuals show."""
    centre, scale = float(data.mean.mean()), float(data.mean.std())
    y = (data.mean - centre) / scale
    each = float(data.count.mean())
    weights = data.count / each
    first = regress(data.x, y, weights)
    squared = weights * ((y - first.fitted) / (1.0 - first.leverage)) ** 2
    logs = np.log(squared + 1e-3 * np.median(squared)) - _LOG_SQUARE[0]
    level = float(logs.mean())
    few = 1 + 2 * len(data.names)
    ones = np.ones(data.n)
    noise = regress(data.x, logs - level, ones, noise_variance=_LOG_SQUARE[1], most=few).surface
    logs = noise(data.x)[0]
    relative = np.exp(np.clip(logs, -np.log(_WEIGHT), np.log(_WEIGHT)))
    found = regress(data.x, y, weights / relative, start=first.hyper)
    variance, lack = found.noise_variance * each, 0.0
    if data.replicated:
        variance, lack = _pure(data, relative, scale, found.noise_variance)
    left_out = _crossed(data.x, y, weights / relative, found.hyper)
    return _Fitted(
        _scaled(found.surface, centre, scale),
        _scaled(noise, float(np.log(variance * scale**2)), 1.0),
        lack * scale,
        centre + scale * left_out,
        variance * scale**2 * relative,
    )


def _crossed(
    x: FloatArray,
    y: FloatArray,
    weights: FloatArray,
    hyper: FloatArray | None,
    noise_variance: float | None = None,
) -> FloatArray:
    """Predictions (points,) by fits to four fifths of the points, widths of the priors found anew in each.

    Widths that were found with a point know it: leaving it out at the same widths, errors are up to a fifth too small.
    """
    fold = np.arange(len(y)) % _FOLDS
    predicted = np.empty(len(y))
    for k in range(_FOLDS):
        rest, out = fold != k, fold == k
        found = regress(x[rest], y[rest], weights[rest], noise_variance=noise_variance, start=hyper)
        predicted[out] = found.surface(x[out])[0]
    return predicted


def _pure(data: _Data, relative: FloatArray, scale: float, found: float) -> tuple[float, float]:
    """Variance of one response from replicates, and the deviation that is left to the surface, both of ``scale``."""
    twice = data.count > 1.0
    freedom = data.count[twice] - 1.0
    pure = float((freedom * data.within[twice] / relative[twice]).sum() / freedom.sum()) / scale**2
    excess = found - pure / float(data.count.mean())
    error = np.sqrt(2.0 / data.n + 2.0 / freedom.sum()) * found
    return pure, float(np.sqrt(excess)) if excess > 2.0 * error else 0.0


def _chance(data: _Data) -> _Fitted:
    """Fit the logit of a probability."""
    hits, trials = data.mean * data.count, data.count.sum()
    farthest = np.log(2.0 * trials)  # no share is known nearer to 0 or 1 than half a trial
    overall = (hits.sum() + 0.5) / (trials + 1.0)
    eta = np.full(data.n, np.log(overall / (1.0 - overall)))
    hyper = None
    for _ in range(_STEPS):
        p = 1.0 / (1.0 + np.exp(-eta))
        weights = data.count * p * (1.0 - p)
        working = eta + (hits - data.count * p) / weights
        found = regress(data.x, working, weights, noise_variance=1.0, start=hyper)
        eta, hyper = np.clip(found.fitted, -farthest, farthest), found.hyper
    p = 1.0 / (1.0 + np.exp(-eta))
    noise = np.full(data.n, np.nanmean(data.within)) if data.replicated else p * (1.0 - p)
    left_out = _crossed(data.x, working, weights, hyper, noise_variance=1.0)
    left_out = 1.0 / (1.0 + np.exp(-np.clip(left_out, -farthest, farthest)))
    return _Fitted(found.surface, None, 0.0, left_out, noise)


def _probability(mean: FloatArray, sd: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean (MacKay 1992, Neural Computation 4, 720) and standard deviation of 1 / (1 + exp(-Gaussian))."""
    p = 1.0 / (1.0 + np.exp(-mean / np.sqrt(1.0 + np.pi * sd**2 / 8.0)))
    return p, _possible(p, p * (1.0 - p) * sd)


def _possible(p: FloatArray, sd: FloatArray) -> FloatArray:
    """Return deviations that are linear where they are small, and never beyond what a mean within [0, 1] allows."""
    most = np.sqrt(p * (1.0 - p))
    return np.asarray(most * np.tanh(sd / most))


def _mean_probability(surface: Surface, points: FloatArray) -> tuple[float, float]:
    """Mean over points, and its standard deviation by the gradient."""
    p, _ = _probability(*surface(points))
    gradient = (p * (1.0 - p)) @ basis(points, surface.degrees) / len(points)
    mean, sd = p.mean(), np.sqrt(gradient @ surface.covariance @ gradient)
    return float(mean), float(_possible(mean, sd))


def _lattice(factors: int) -> FloatArray:
    """Points (_LATTICE, factors) that fill the cube evenly: multiples of powers of a root of z^(d + 1) = z + 1."""
    root = 1.5
    for _ in range(64):
        root = (1.0 + root) ** (1.0 / (factors + 1.0))
    steps = root ** -np.arange(1.0, factors + 1.0)
    return np.asarray((0.5 + np.arange(_LATTICE)[:, None] * steps) % 1.0)


def _flat(value: float, factors: int) -> Surface:
    return Surface(np.zeros((1, factors), dtype=np.int64), np.array([value]), np.zeros((1, 1)))


def _scaled(surface: Surface, centre: float, scale: float) -> Surface:
    coefficients = scale * surface.coefficients
    coefficients[0] += centre  # the constant is the first term
    return Surface(surface.degrees, coefficients, scale**2 * surface.covariance)


def _surface_data(surface: Surface) -> dict[str, Any]:
    """List what a surface is of; of the covariance the lower triangle."""
    lower = surface.covariance[np.tril_indices(len(surface.coefficients))]
    return {
        "degrees": surface.degrees.tolist(),
        "coefficients": surface.coefficients.tolist(),
        "covariance": lower.tolist(),
    }


def _surface_of(data: Mapping[str, Any]) -> Surface:
    coefficients = np.array(data["coefficients"], dtype=float)
    covariance = np.zeros((len(coefficients), len(coefficients)))
    rows, columns = np.tril_indices(len(coefficients))
    covariance[rows, columns] = covariance[columns, rows] = data["covariance"]
    return Surface(np.array(data["degrees"], dtype=np.int64), coefficients, covariance)
