"""Other priors over factors that were run: what all of them do together, without new runs.

What factors do alone is known from their levels. What the points of a sampled cell have beyond the sum of that is
emulated (:mod:`haloassay.analysis.emulator`), and both are averaged over the new priors. The emulated part is a
polynomial of Gaussian coefficients c ~ N(m, S) with the covariance G of its terms under the priors, so its variance has
the mean m'Gm + tr(GS) and the error that follows from S.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from haloassay.analysis.contributions import Amount, Line, Responses, Together, alone
from haloassay.analysis.cube import Cube
from haloassay.analysis.emulator import Emulator, fit
from haloassay.analysis.responses import NOTABLE_REACH, Response
from haloassay.analysis.surface import basis
from haloassay.base.arrays import FloatArray
from haloassay.base.errors import InputError
from haloassay.contracts.factors import StatedFactor
from haloassay.contracts.priors import Discrete, Prior, make_prior

#: Points over which the new priors are averaged, a power of two.
_POINTS: Final = 4096


def make_priors(
    specs: Sequence[tuple[str, Any]], factors: Sequence[StatedFactor]
) -> dict[str, Prior]:
    """Priors by label, of pairs of a label or path and a table such as ``{kind = "normal", mean = 1.0, sd = 0.03}``.

    Raises
    ------
    InputError
        If a factor is unknown or has two priors, or a prior is none.
    """
    cube, found = Cube(tuple(factors)), dict[str, Prior]()
    for name, spec in specs:
        factor = cube.find(name)
        where = f"prior of {factor.label!r}"
        if factor.label in found:
            raise InputError(f"{where}: is given twice")
        if not isinstance(spec, Mapping):
            raise InputError(
                f"{where}: expected a table such as {{ kind = 'normal', mean = 1.0, sd = 0.03 }} (got {spec!r})"
            )
        prior = make_prior(spec, where)
        if isinstance(prior, Discrete):
            if prior.values:
                raise InputError(f"{where}: its values are the levels that were run")
            if len(prior.weights) != len(factor.levels):
                levels = ", ".join(level.label for level in factor.levels)
                raise InputError(
                    f"{where}: {len(prior.weights)} weights of {len(factor.levels)} levels ({levels})"
                )
        found[factor.label] = prior
    return found


def under_priors(
    factors: Sequence[StatedFactor], priors: Mapping[str, Prior]
) -> tuple[StatedFactor, ...]:
    """Factors with other priors, by label."""
    return tuple(replace(f, prior=priors.get(f.label, f.prior)) for f in factors)


def reweighted(
    run: Sequence[StatedFactor],
    wanted: Sequence[StatedFactor],
    u: FloatArray,
    changes: FloatArray,
    responses: Responses,
    known: Amount,
    lines: Sequence[Line],
) -> Together:
    """Average what all factors do together over other priors than those of the run.

    Parameters
    ----------
    run, wanted
        The factors with the priors of the run, and with those that are wanted.
    u
        Shares (points, factors) of the priors of the run at the points of a sampled cell.
    changes
        (points, replicates) differences of errors from the base there.
    responses
        Those of the wanted factors, with shifts at their levels, by label.
    known
        Contributions of factors under the wanted priors, in quadrature.
    lines
        The same one by one.
    """
    labels = [factor.label for factor in run]
    drawn = _drawn(run, wanted, u)
    if isinstance(drawn, str):
        return Together(n=len(u), notes=(f"together under these priors: not known: {drawn}",))
    shares, places = drawn
    cube = Cube(tuple(run))
    before = {f.label: Response.of(f) for f in run if f.label in responses}
    old = {k: (r, responses[k][1]) for k, r in before.items() if isinstance(r, Response)}
    new = {k: responses[k] for k in old}
    rest = changes - alone(labels, u, old)[:, None]
    emulator = fit(cube.at(u), rest, cube.names)
    if emulator.refused:
        why = f"together under these priors: cannot be determined, because {emulator.refused}"
        return Together(n=len(u), notes=(why,))
    sd, of_rest = _spread(emulator, cube.at(places), alone(labels, shares, new), known)
    means = [line.mean for line in lines if line.factor.label in new]
    value = of_rest.value + sum(mean.value for mean in means)
    mcse = float(np.sqrt(of_rest.mcse**2 + sum(mean.mcse**2 for mean in means)))
    note = "together under these priors: by an emulator of the points that were run"
    return Together(sd, Amount(value, mcse), emulator.n, notes=(note,))


def _drawn(
    run: Sequence[StatedFactor], wanted: Sequence[StatedFactor], u: FloatArray
) -> tuple[FloatArray, FloatArray] | str:
    """Shares (n, factors) of the wanted priors, and those of the run at the same values; or why there are none."""
    from scipy.stats import qmc

    shares = np.clip(qmc.Sobol(len(run), rng=np.random.default_rng(0)).random(_POINTS), 1e-9, 1.0)
    shares = np.minimum(shares, 1.0 - 1e-9)
    places = np.empty_like(shares)
    for k, (was, now) in enumerate(zip(run, wanted, strict=True)):
        found = _places(was, now, shares[:, k], u[:, k])
        if isinstance(found, str):
            return f"{was.label}: {found}"
        places[:, k] = found
    return shares, places


def _places(
    was: StatedFactor, now: StatedFactor, shares: FloatArray, u: FloatArray
) -> FloatArray | str:
    """Shares of the prior of the run at values of the wanted prior, or why they are not known."""
    assert was.prior is not None
    assert now.prior is not None
    if was.prior == now.prior:
        return shares
    values = now.prior.quantile(shares)
    if isinstance(was.prior, Discrete):
        if not isinstance(now.prior, Discrete):
            return "levels were run, and no values between them"
        chosen = np.unique(values).astype(int)
        missing = [now.levels[k].label for k in chosen if was.prior.shares[k] == 0.0]
        if missing:
            return f"{', '.join(missing)} was not drawn"
        return was.prior.share(values)
    if isinstance(now.prior, Discrete):
        levels = now.positions
        if levels is None:
            return "its levels are no numbers"
        values = levels[values.astype(int)]
    lowest, highest = was.prior.quantile(np.array([u.min(), u.max()]))
    beyond = float(np.mean((values < lowest) | (values > highest)))
    if beyond > NOTABLE_REACH:
        return f"{beyond:.0%} of its prior is beyond what was run, {lowest:.4g} to {highest:.4g}"
    return np.asarray(was.prior.share(np.clip(values, lowest, highest)))


def _spread(
    emulator: Emulator, x: FloatArray, by_itself: FloatArray, known: Amount
) -> tuple[Amount, Amount]:
    """Find the standard deviation of what is known alone and emulated, summed, and the mean of the latter."""
    surface = emulator.surface
    functions = basis(x, surface.degrees)
    m, s = surface.coefficients, surface.covariance
    g = np.atleast_2d(np.cov(functions.T, ddof=0))
    both = (by_itself - by_itself.mean()) @ functions / len(x)
    gs = g @ s
    more = float(2.0 * both @ m + m @ g @ m + np.trace(gs)) + emulator.lack**2
    slope = 2.0 * (both + g @ m)
    error = float(np.sqrt(max(slope @ s @ slope + 2.0 * np.trace(gs @ gs), 0.0)))
    alone_sd, alone_error = (known.value, known.mcse) if np.isfinite(known.value) else (0.0, 0.0)
    error = float(np.hypot(error, 2.0 * alone_sd * alone_error))
    square = alone_sd**2 + more
    sd = float(np.sqrt(max(square, 0.0)))
    # where nothing is seen, the error of a square says how much could be
    spread = Amount(sd, error / (2.0 * sd) if square > error else float(np.sqrt(error)))
    mean = functions.mean(axis=0)
    return spread, Amount(float(mean @ m), float(np.sqrt(max(mean @ s @ mean, 0.0))))
