"""Posteriors of a double power law, in coordinates in which they are near to Gaussian."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.errors import EstimationError
from haloassay.estimators.fit.importance import importance_sample
from haloassay.estimators.fit.laplace import Derivatives, Laplace, LogDensity, UniformPrior, laplace

#: Where among the parameters are the slopes, and the logarithm of the place where they pass into each other.
_IN, _OUT, _BREAK = 2, 3, 4

#: Step [widths] by which axes are taken from one set of coordinates to the other.
_STEP: Final = 0.2

#: Parts of a proposal, proposals that are tried, and draws of each as a share of those that are wished for.
_PARTS: Final = 3
_ROUNDS: Final = 16
_SHARE: Final = 0.6
#: Effective draws that are wished for, as a share of all.
_GOAL: Final = 0.5


@dataclass(frozen=True, eq=False)
class TwoSlopes:
    """Coordinates y of the parameters x of a model with J^-a inside of a break and J^-b outside of it.

    Many a, b and breaks have the same slopes -d ln f / d ln J = a + (b - a) t, t = J^s / (J^s + J_0^s), at the actions
    that stars have. The logarithms of those at two actions take the places of a and b; ln J_0 stays, and all
    others are spread out as in :class:`~haloassay.estimators.fit.laplace.UniformPrior`.

    Parameters
    ----------
    prior
        Uniform in x; a, b and ln J_0 are x_2, x_3 and x_4, and a is not negative.
    log_actions
        Logarithms of the two actions, the lower first.
    steepness
        s.
    """

    prior: UniformPrior
    log_actions: tuple[float, float]
    steepness: float

    @property
    def _plain(self) -> list[int]:
        """Parameters that are spread out one by one."""
        return [k for k in range(len(self.prior.lo)) if k not in (_IN, _OUT, _BREAK)]

    @property
    def _others(self) -> UniformPrior:
        return UniformPrior(self.prior.lo[self._plain], self.prior.hi[self._plain])

    def _shares(self, at: FloatArray) -> FloatArray:
        """Share t (2, m) of the outer slope at the two actions, of ln J_0 (m,)."""
        away = self.steepness * (np.array(self.log_actions)[:, None] - at)
        return np.asarray(0.5 * (1.0 + np.tanh(0.5 * away)))

    def of(self, x: FloatArray) -> FloatArray:
        """Coordinates (m, d) of parameters (m, d)."""
        y = x.copy()
        y[:, self._plain] = self._others.free(x[:, self._plain])
        slopes = x[:, _IN] + (x[:, _OUT] - x[:, _IN]) * self._shares(x[:, _BREAK])
        y[:, _IN], y[:, _OUT] = np.log(slopes)
        return y

    def parameters(self, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Parameters (m, d) of coordinates (m, d), and the log density (m,) of y that the prior has there."""
        x = y.copy()
        x[:, self._plain] = self._others.bound(y[:, self._plain])
        lower, upper = self._shares(y[:, _BREAK])
        slope = np.exp(y[:, _IN])
        rise = (np.exp(y[:, _OUT]) - slope) / (upper - lower)
        x[:, _IN] = slope - lower * rise
        x[:, _OUT] = x[:, _IN] + rise
        density = self._others.log_jacobian(y[:, self._plain])
        density += y[:, _IN] + y[:, _OUT] - np.log(upper - lower)
        return x, np.where(self.prior.inside(x), density, -np.inf)

    def moved(self, found: Laplace) -> Laplace:
        """Gaussian of y from one of the coordinates of the prior."""
        steps = _STEP * found.axes.T
        ends = (self.of(self.prior.bound(found.mode + sign * steps)) for sign in (1.0, -1.0))
        axes = np.subtract(*ends).T / (2.0 * _STEP)
        return Laplace(self.of(self.prior.bound(found.mode)[None])[0], axes)


def slope_draws(
    log_likelihood: LogDensity,
    derivatives: Derivatives,
    frame: TwoSlopes,
    start: FloatArray,
    scale: FloatArray,
    n_draws: int,
    rng: np.random.Generator,
) -> FloatArray:
    """Draws (n_draws, d) of parameters from a likelihood and the uniform prior of a frame.

    The maximum is found where all parameters are spread out, so that it is never at an edge; draws are importance
    samples from mixtures of Student t's in the coordinates of the frame.

    Parameters
    ----------
    log_likelihood
        Of parameters (m, d).
    derivatives
        Its value, gradient and Hessian, or what comes near to it, at a point.
    frame
        Coordinates.
    start
        (d,) parameters within the prior.
    scale
        (d,) rough widths.
    n_draws
        Number of draws.
    rng
        Source of randomness.

    Raises
    ------
    EstimationError
        If the maximum is not found, or the weights of the draws cannot be trusted.
    """
    target = frame.prior.target(log_likelihood, start, scale, derivatives)
    top = frame.moved(laplace(*target))

    def log_density(y: FloatArray) -> FloatArray:
        with np.errstate(all="ignore"):
            x, values = frame.parameters(y)
        within = np.isfinite(values)
        if within.any():
            values[within] += log_likelihood(x[within])
        return values

    n = max(200, int(_SHARE * n_draws))
    found = importance_sample(
        log_density, top, n, rng, _GOAL * n_draws, parts=_PARTS, rounds=_ROUNDS
    )
    if not found.trusted:
        raise EstimationError(found.verdict)
    return frame.parameters(found.resampled(n_draws, rng))[0]


def outer_products(
    each: Callable[[FloatArray], FloatArray], steps: FloatArray, prior: UniformPrior
) -> Derivatives:
    """Value, gradient and, by the outer products of the scores of stars, Hessian of a sum over stars.

    Berndt, Hall, Hall & Hausman (1974): of many stars of the model that is what curvature is; elsewhere it leads
    uphill all the same, and the draws are weighted by what is true.

    Parameters
    ----------
    each
        Log likelihood (n,) of each star at a point (d,).
    steps
        (d,) steps of differences, shortened next to an edge of the prior.
    prior
        Bounds.
    """

    def derivatives(x: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        here = each(x)
        room = 0.5 * np.minimum(x - prior.lo, prior.hi - x)
        scores = np.empty((len(x), len(here)))
        for k, step in enumerate(np.minimum(steps, room)):
            move = step * np.eye(len(x))[k]
            up, down = each(x + move), each(x - move)
            # where a star is not bound on one side the other one tells
            up_ok, down_ok = np.isfinite(up).all(), np.isfinite(down).all()
            width = step * (int(up_ok) + int(down_ok))
            if width == 0.0:
                raise EstimationError(
                    "the fastest star is bound in no halo that is near to the best one"
                )
            scores[k] = ((up if up_ok else here) - (down if down_ok else here)) / width
        return float(here.sum()), scores.sum(axis=1), -scores @ scores.T

    return derivatives
