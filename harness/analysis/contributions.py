"""Contributions to an error: of one factor under its prior, of all together, and of two beyond the sum of each."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from haloassay.analysis.pairs import NOTABLE_LOSS
from haloassay.analysis.responses import NOTABLE_REACH, Response
from haloassay.analysis.significance import holm
from haloassay.base.arrays import FloatArray, IntArray
from haloassay.contracts.factors import StatedFactor

#: Resamples of a bootstrap.
_RESAMPLES: Final = 1000
#: Realisations below which a bootstrap over them says little.
FEWEST: Final = 10
#: Points a coefficient from which interactions are fitted.
_POINTS_PER_TERM: Final = 3
#: Probability that an additive response is said to have any interaction.
_ALPHA: Final = 0.05


@dataclass(frozen=True)
class Amount:
    """A number and its Monte Carlo standard error; NaN where it cannot be determined."""

    value: float = np.nan
    mcse: float = np.nan


@dataclass(frozen=True)
class Line:
    """What one factor does.

    Parameters
    ----------
    factor
        Which.
    shifts
        Of the error at its levels, in their order.
    mean, sd
        Mean and standard deviation of the shift under its prior.
    half68
        Half the width of the central 68 per cent of the shifts under its prior.
    n, n_lost
        Fewest pairs at a level, and most that were lost.
    why
        Why there is no ``sd``, or what to know of it.
    """

    factor: StatedFactor
    shifts: tuple[Amount, ...] = ()
    mean: Amount = Amount()
    sd: Amount = Amount()
    half68: float = np.nan
    n: int = 0
    n_lost: int = 0
    why: str = ""


@dataclass(frozen=True)
class Interaction:
    """What two factors do together beyond what each does alone, both one standard deviation up."""

    factors: tuple[str, str]
    effect: Amount
    p: float


@dataclass(frozen=True)
class Together:
    """What all factors do when they are drawn together.

    Parameters
    ----------
    sd, mean
        Standard deviation and mean of the shifts over the points; noise of realisations is taken out of the former.
    n
        Points.
    interactions
        Those that stand out (Holm, 5 per cent of additive responses have any).
    notes
        What cannot be said, and why.
    """

    sd: Amount = Amount()
    mean: Amount = Amount()
    n: int = 0
    interactions: tuple[Interaction, ...] = ()
    notes: tuple[str, ...] = ()


def mean_of(values: FloatArray) -> Amount:
    """Average values (n,), with its standard error."""
    if len(values) < 2:
        return Amount(float(values.mean()) if len(values) else np.nan)
    return Amount(float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values))))


def scatter_of(values: FloatArray, rng: np.random.Generator) -> Amount:
    """Compute the standard deviation of values (n,), with its bootstrap error."""
    if len(values) < 3:
        return Amount()
    drawn = values[rng.integers(len(values), size=(_RESAMPLES, len(values)))].std(axis=1, ddof=1)
    return Amount(float(values.std(ddof=1)), float(drawn.std()))


def line_of(
    factor: StatedFactor, table: FloatArray, tried: IntArray, rng: np.random.Generator
) -> tuple[Line, Response | None, FloatArray]:
    """Contribution of a factor.

    Parameters
    ----------
    factor
        Which.
    table
        (n, k) differences from the base at its k levels; NaN where one of the two has no error.
    tried
        (k,) pairs that were tried.
    rng
        Of the bootstrap.

    Returns
    -------
    line
        What it does.
    response
        How its levels' shifts become those of any value, where that is known.
    shifts
        (k,) mean shifts.
    """
    there = np.isfinite(table)
    lost = int((tried - there.sum(axis=0)).max())
    shifts = tuple(mean_of(column[ok]) for column, ok in zip(table.T, there.T, strict=True))
    line = Line(factor, shifts, n=int(there.sum(axis=0).min()), n_lost=lost)
    response = Response.of(factor)
    whole = table[there.all(axis=1)]
    empty = [level.label for level, ok in zip(factor.levels, there.T, strict=True) if not ok.any()]
    if empty:
        why = (
            f"the shift at {', '.join(empty)} cannot be determined, because no realisation has a value both there and"
            " on the base"
        )
        return replace(line, why=why), None, np.empty(0)
    if isinstance(response, str):
        return replace(line, why=response), None, np.empty(0)
    if len(whole) < FEWEST:
        why = f"{len(whole)} complete pairs: a spread needs {FEWEST}"
        return replace(line, why=why), None, np.empty(0)
    mean_shifts = whole.mean(axis=0)
    drawn = whole[rng.integers(len(whole), size=(_RESAMPLES, len(whole)))].mean(axis=1)
    mean, sd = response.spread(np.vstack([mean_shifts[None], drawn]))
    reasons = []
    if response.reach > NOTABLE_REACH:
        reasons.append(f"{response.reach:.0%} of the prior is beyond the levels: extrapolated")
    if lost > NOTABLE_LOSS * (line.n + lost):
        reasons.append(f"{lost} pairs lost")
    spread = _without_noise(sd)
    line = replace(
        line,
        mean=Amount(float(mean[0]), float(mean[1:].std())),
        sd=spread,
        # as much narrower as the standard deviation is without the noise
        half68=response.half68(mean_shifts) * spread.value / float(sd[0] or 1.0),
        why="; ".join(reasons),
    )
    return line, response, mean_shifts


def _without_noise(sd: FloatArray) -> Amount:
    """Take out of a standard deviation what the noise of its shifts adds: ``sd`` is its value, then its bootstrap.

    Noise adds to a mean square, by as much in the bootstrap as in the data.
    """
    square = 2.0 * sd[0] ** 2 - np.mean(sd[1:] ** 2)
    return Amount(float(np.sqrt(max(square, 0.0))), float(sd[1:].std()))


def quadrature(parts: Sequence[Amount]) -> Amount:
    """Add contributions in quadrature, with independent errors."""
    if not parts:
        return Amount()
    values, errors = (np.array([getattr(part, k) for part in parts]) for k in ("value", "mcse"))
    total = float(np.sqrt(np.sum(values**2)))
    if total == 0.0:
        return Amount(0.0, float(np.sqrt(np.sum(errors**2))))
    return Amount(total, float(np.sqrt(np.sum((values * errors) ** 2)) / total))


def spread_of_points(
    table: FloatArray, alone: FloatArray, known: Amount, rng: np.random.Generator
) -> Amount:
    """Compute the standard deviation under the priors of the mean response, from differences at points.

    What factors do alone has a known spread: of the points only what they add to it is taken.

    Parameters
    ----------
    table
        (points, replicates) differences.
    alone
        (points,) sums of what the factors do alone there.
    known
        Standard deviation of that sum under the priors: contributions in quadrature.
    rng
        Of the bootstrap, over points.
    """
    rows = rng.integers(len(table), size=(_RESAMPLES, len(table)))
    known = known if np.isfinite(known.value) else Amount(0.0, 0.0)
    more = _between(table) - alone.var(ddof=1)
    drawn = _between(table[rows]) - alone[rows].var(axis=1, ddof=1)
    square = known.value**2 + float(more)
    error = float(np.hypot(drawn.std(), 2.0 * known.value * known.mcse))
    sd = float(np.sqrt(max(square, 0.0)))
    # where nothing is seen, the error of a square says how much could be
    return Amount(sd, error / (2.0 * sd) if square > error else float(np.sqrt(error)))


def _between(table: FloatArray) -> FloatArray:
    """Variance between points of their mean response, of tables (..., points, replicates).

    The covariance of different replicates: their noise is independent, and drops out.
    """
    n, k = table.shape[-2:]
    centred = table - table.mean(axis=(-2, -1), keepdims=True)
    total = centred.sum(axis=-1) ** 2 - (centred**2).sum(axis=-1)
    return np.asarray(total.sum(axis=-1) / (k * (k - 1)) / (n - 1))


Responses = Mapping[str, tuple[Response, FloatArray]]


def alone(labels: Sequence[str], u: FloatArray, responses: Responses) -> FloatArray:
    """Sum of the shifts that factors alone make at some points."""
    total = np.zeros(len(u))
    for k, label in enumerate(labels):
        if label in responses:
            response, shifts = responses[label]
            total += response.at(u[:, k], shifts[None])[0]
    return total


def mean_shift(
    labels: Sequence[str], u: FloatArray, change: FloatArray, responses: Responses
) -> Amount:
    """Mean of the shifts (n,) under the priors, from points (n, d): factors' own means, and that of the rest.

    What factors do alone has a known mean; only what the points add to it is averaged over them, with its error.
    """
    rest = mean_of(change - alone(labels, u, responses))
    known = sum(float(response.spread(s[None])[0][0]) for response, s in responses.values())
    return Amount(rest.value + known, rest.mcse)


def interactions(
    labels: Sequence[str],
    u: FloatArray,
    change: FloatArray,
    responses: Responses,
) -> tuple[Interaction, ...] | str:
    """Find products of two factors that the shifts at the points have beyond the sum of each factor's own.

    Coefficients of products of normal scores, by least squares with errors that do not take the noise for equal (HC3,
    MacKinnon & White 1985), each factor's own slope and curvature fitted beside them.
    """
    from scipy.special import ndtri
    from scipy.stats import t

    missing = [label for label in labels if label not in responses]
    if missing:
        return f"interactions are not known: {', '.join(missing)} has no response of its own"
    d = len(labels)
    if d < 2:
        return ()
    pairs = list(itertools.combinations(range(d), 2))
    terms = 1 + 2 * d + len(pairs)
    if len(u) < _POINTS_PER_TERM * terms:
        return f"interactions are not known: {len(u)} points for {terms} coefficients"
    by_itself = alone(labels, u, responses)
    z = np.clip(ndtri(np.clip(u, 1e-6, 1.0 - 1e-6)), -3.0, 3.0)
    design = np.column_stack(
        [np.ones(len(u)), z, z**2 - 1.0, *(z[:, i] * z[:, j] for i, j in pairs)]
    )
    gram = np.linalg.pinv(design.T @ design)
    fitted = gram @ design.T @ (change - by_itself)
    leverage = np.einsum("ij,jk,ik->i", design, gram, design)
    rest = (change - by_itself - design @ fitted) / np.maximum(1.0 - leverage, 1e-3)
    covariance = gram @ (design.T * rest**2) @ design @ gram
    effect, error = fitted[1 + 2 * d :], np.sqrt(np.diag(covariance))[1 + 2 * d :]
    p = 2.0 * t.sf(np.abs(effect) / error, len(u) - terms)
    stands_out = holm(p, _ALPHA)
    return tuple(
        Interaction((labels[i], labels[j]), Amount(float(effect[k]), float(error[k])), float(p[k]))
        for k, (i, j) in sorted(enumerate(pairs), key=lambda item: p[item[0]])
        if stands_out[k]
    )
