"""Rows of estimates: from draws, from resampled stars, or without a value and with the reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.contracts.estimate import INTERVALS, Estimate, Estimates, percentiles
from haloassay.contracts.sky import apex, around_centre

#: Quantities of a halo as a whole, in the order of their rows.
VIRIAL: Final = ("m200", "r200", "c200")

#: Why there is none of them.
NO_VIRIAL: Final = "no virial radius: the halo is not as dense as 200 times the critical density"

#: Share of the range of ln r_s next to a bound, and of the draws in it from which the bound is said to be reached.
_NEXT_TO: Final = 0.05
_REACHED: Final = 0.025

#: Length of the mean of the unit vectors of longitude below which the circle is covered evenly.
_EVEN: Final = 0.1


def in_order(rows: Iterable[Estimate], yields: tuple[str, ...]) -> Estimates:
    """Estimates of rows, quantity by quantity as ``yields`` lists them, each in its own order."""
    return Estimates(sorted(rows, key=lambda row: yields.index(row.quantity)))


def drawn_row(quantity: str, draws: FloatArray, note: str = "", **where: float) -> Estimate:
    """Row of draws; without a value where a ``note`` says why there is none."""
    if note:
        return Estimate.undetermined(quantity, note, **where)
    return Estimate.from_draws(quantity, draws, **where)


def undetermined_rows(
    quantities: Iterable[str], note: str, places: Sequence[Mapping[str, Any]] = ()
) -> list[Estimate]:
    """Rows without values of each quantity at each place; at none in particular by default."""
    return [Estimate.undetermined(q, note, **p) for q in quantities for p in places or ({},)]


def resampled_row(quantity: str, value: float, draws: FloatArray, **where: float) -> Estimate:
    """Row of the sample's own ``value``, with intervals of resampled ones that contain it."""
    if not np.isfinite(value) or not np.all(np.isfinite(draws)):
        note = f"the {quantity} of a resampled catalogue is not finite"
        return Estimate.undetermined(quantity, note, **where)
    lo95, lo68, hi68, hi95 = percentiles(draws, INTERVALS)
    bounds = (min(lo68, value), max(hi68, value), min(lo95, value), max(hi95, value))
    return Estimate(quantity, float(value), *bounds, draws=draws, **where)  # type: ignore[arg-type]


def velocity_row(square: FloatArray, note: str, **where: float) -> Estimate:
    """Row of v_c from draws of its square; the ``note`` where their median is not positive."""
    negative = "" if np.median(square) > 0.0 else note
    return drawn_row("v_c", np.sqrt(np.maximum(square, 0.0)), negative, **where)


def virial_rows(
    m200: FloatArray, r200: FloatArray, c200: FloatArray, size: str = "", shape: str = ""
) -> list[Estimate]:
    """Rows m200, r200 and c200 of draws; ``size`` and ``shape`` say why there are none."""
    draws = (m200, r200, c200)
    notes = (size, size, shape)
    return [drawn_row(*row) for row in zip(VIRIAL, draws, notes, strict=True)]


def unbounded(what: str, quantity: str, draws: FloatArray, bounds: tuple[float, float]) -> str:
    """Why a parameter is undetermined: 95 per cent of its draws reach a bound; or nothing.

    Parameters
    ----------
    what
        The data, to be named in the sentence.
    quantity
        The parameter.
    draws
        Of its posterior.
    bounds
        Of its prior.
    """
    low, high = np.percentile(draws, [2.5, 97.5])
    reached = (low < 1.05 * bounds[0], high > 0.95 * bounds[1])
    for bound, there in zip(bounds, reached, strict=True):
        if there:
            return f"{what} do not bound {quantity}: its posterior reaches {bound:g}"
    return ""


def share_at_end(
    draws: FloatArray, bounds: tuple[float, float] | FloatArray, width: float
) -> float:
    """Share of draws next to one bound of their prior, the more crowded, within ``width`` of its range."""
    along = (draws - bounds[0]) / (bounds[1] - bounds[0])
    return float(max(np.mean(along < width), np.mean(along > 1.0 - width)))


def unbounded_scale(what: str, log_r_s: FloatArray, r_s_range: tuple[float, float]) -> str:
    """Why draws of ln r_s tell of no halo beyond the stars: they reach a bound of their prior; or nothing."""
    lo, hi = np.log(r_s_range)
    if share_at_end(log_r_s, (lo, hi), _NEXT_TO) > _REACHED:
        return no_scale(what, r_s_range)
    return ""


def no_scale(what: str, r_s_range: tuple[float, float]) -> str:
    """Note where ``what`` leaves the scale radius [kpc] to its prior."""
    return f"{what} do not bound r_s between {r_s_range[0]:g} and {r_s_range[1]:g} kpc"


def apex_rows(vector: FloatArray, speed: str, **where: float) -> list[Estimate]:
    """Rows of ``speed`` (``mu_dipole`` or ``v_travel``), apex_l, apex_b and apex_offset of draws (n, 3) of d.

    Intervals of the longitude are about its circular mean, and widen to the whole circle as the
    dipole vanishes; where the draws cover the circle evenly there is no longitude to speak of, and
    the row says so. Neither interval is a region on the sky: that is the cap of apex_offset.
    """
    mu, lon, lat = apex(vector)
    note = ""
    if abs(np.exp(1j * np.radians(lon)).mean()) < _EVEN:
        note = "the draws of the apex cover the circle: no dipole, or one towards a pole"
    return [
        Estimate.from_draws(speed, mu if speed == "mu_dipole" else -mu, **where),
        drawn_row("apex_l", around_centre(lon), note, **where),
        Estimate.from_draws("apex_b", lat, **where),
        Estimate.from_directions("apex_offset", -vector, **where),
    ]


def weighted_mean_row(v: FloatArray, variance: FloatArray, **where: float) -> Estimate:
    """Mean v_r [km/s] weighted by the inverse variances of the errors (Li et al. 2026, footnote to figure 8).

    Without errors all stars weigh alike. The error is that of a weighted mean, sqrt(sum w^2 (v - <v>)^2) / sum w.
    """
    weight = 1.0 / variance if np.all(variance > 0.0) else np.ones(len(v))
    weight = weight / weight.sum()
    mean = float(weight @ v)
    error = float(np.sqrt(np.sum((weight * (v - mean)) ** 2)))
    ends = (mean + x * error for x in (-1.0, 1.0, -1.96, 1.96))
    return Estimate("mean_v_r", mean, *ends, **where)  # type: ignore[arg-type]
