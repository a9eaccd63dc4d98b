"""Assertions on the results of a run: unbiased, covers, equivalent, each with what it could not tell and what would.

Where chance has a part, they fail at the rate of :mod:`haloassay.testing.rates`. An assertion of which the run is too
small to find anything wrong, or to show what is asserted, fails as :class:`Undecided`, with the number of realisations
that would decide: a test that cannot fail asserts nothing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from scipy.special import ndtr

from haloassay.analysis import significance
from haloassay.analysis.compare import FEWEST
from haloassay.analysis.compare import compare as compared
from haloassay.analysis.realizations import bin_at, cell_of, chosen, read
from haloassay.base.arrays import BoolArray, FloatArray
from haloassay.base.defaults import MARGIN
from haloassay.base.errors import InputError
from haloassay.contracts import labels
from haloassay.reports import comparison
from haloassay.results.baseline import read_side
from haloassay.results.results import Results
from haloassay.testing.rates import SESSION

_MCSE: Final = re.compile(r"\s*(\d+(?:\.\d*)?)\s*mcse\s*")


class Undecided(AssertionError):  # noqa: N818 # an answer
    """What is asserted may hold, but the run is too small to tell."""


def assert_unbiased(
    results: Results | str | Path,
    quantity: str,
    r: float | None = None,
    within: float | str | None = None,
    *,
    estimator: str | None = None,
    cell: str | None = None,
) -> None:
    """Assert that the mean error is zero, or small.

    Parameters
    ----------
    results
        Results of :func:`haloassay.run`, or their folder.
    quantity, r
        Name; radius [kpc] of the bin, all bins together by default.
    within
        None: the mean error is no more than chance makes it, at the rate of :mod:`haloassay.testing.rates`.
        A number: it is shown to be smaller than this, as a fraction for positive scales, else in the unit of the
        quantity. ``"3 mcse"``: it is smaller than so many of its Monte Carlo errors; the rate is then the caller's (3
        fails in one of 370 sound rows).
    estimator, cell
        Which; all estimators, and the base or first cell, by default.

    Raises
    ------
    AssertionError
        If not. :class:`Undecided`, if it may be.
    InputError
        If the run has no such rows, or ``within`` cannot be read.
    """
    if labels.quantity_of(quantity).scale == "separation":
        raise InputError(
            f"assert_unbiased: the mean {quantity} is above zero without a bias: use assert_covers"
        )
    rows = _rows(results, quantity, r, estimator, cell)
    _require_enough(rows, "n", FEWEST)
    bias, mcse = (rows[name].to_numpy(dtype=float) for name in ("bias", "bias_mcse"))
    if isinstance(within, str):
        most = _times(within)
        _require(
            rows,
            np.abs(bias) > most * mcse,
            [f"{_bias(row)}, more than {most:g} times its error" for row in _each(rows)],
        )
    elif within is not None:
        _require_within(
            rows,
            rows["n"].to_numpy(dtype=float),
            bias,
            mcse,
            within,
            [_bias(row) for row in _each(rows)],
        )
    else:
        p = significance.bias_p_values(bias, rows["scatter"], rows["skewness"], rows["n"])
        rate = SESSION.rate()
        told = [f"{_bias(row)}, p = {x:.2g}" for row, x in zip(_each(rows), p, strict=True)]
        _require(rows, significance.holm(p, rate), told, rate)


def assert_covers(
    results: Results | str | Path,
    quantity: str,
    r: float | None = None,
    level: int = 68,
    within: float | None = None,
    *,
    estimator: str | None = None,
    cell: str | None = None,
) -> None:
    """Assert that intervals hold the truth as often as they say.

    Parameters
    ----------
    results, quantity, r, estimator, cell
        As for :func:`assert_unbiased`.
    level
        68 or 95.
    within
        None: the share of intervals that hold the truth is off by no more than chance makes it. A number: it is shown
        to be off by less than this share.

    Raises
    ------
    AssertionError
        If not. :class:`Undecided`, if it may be.
    InputError
        If the run has no such rows, or level or ``within`` is none.
    """
    if level not in (68, 95):
        raise InputError(f"assert_covers: level: must be 68 or 95 (got {level})")
    rows = _rows(results, quantity, r, estimator, cell)
    _require_enough(rows, f"n{level}", FEWEST)
    n, share = (rows[f"{name}{level}"].to_numpy(dtype=float) for name in ("n", "coverage"))
    told = [
        f"{x:.2f} of the intervals of {level} per cent hold the truth ({round(k)})"
        for k, x in zip(n, share, strict=True)
    ]
    nominal = level / 100.0
    if within is not None:
        mcse = np.sqrt(np.maximum(share * (1.0 - share), 1.0 / n) / n)
        _require_within(rows, n, share - nominal, mcse, within, told)
        return
    rate = SESSION.rate()
    # all of them misses must be no chance, else nothing could fail
    none = significance.coverage_p_values(np.zeros(len(n)), n, nominal)
    if (none > rate / len(n)).any():
        wanted = math.ceil(math.log(0.5 * rate / len(n)) / math.log1p(-nominal))
        raise Undecided(
            f"{_name(rows.iloc[int(np.argmin(n))])}: of {int(n.min())} intervals any number may hold the truth by"
            f" chance (rate {rate:.2g}): {wanted} realisations would tell the worst"
        )
    p = significance.coverage_p_values(np.round(share * n), n, nominal)
    told = [f"{text}, p = {x:.2g}" for text, x in zip(told, p, strict=True)]
    _require(rows, significance.holm(p, rate), told, rate)


def assert_equivalent(
    old: Results | str | Path, new: Results | str | Path, margin: float = MARGIN
) -> None:
    """Assert that two runs say the same, as ``haloassay compare`` finds it.

    Parameters
    ----------
    old, new
        Results, folders of results, or files that ``haloassay baseline`` has written.
    margin
        Below which a difference does not matter: :func:`haloassay.compare`.

    Raises
    ------
    AssertionError
        If a score moved or a row is gone; the message is that of the command. :class:`Undecided`, if some cannot be
        told.
    InputError
        If one of them cannot be read, they have nothing in common, or the margin is not in (0, 1).
    """
    before, after = (
        read_side(side.out if isinstance(side, Results) else side) for side in (old, new)
    )
    found = compared(before, after, margin, SESSION.rate())
    if not found.rows:
        raise InputError(f"{found.old} and {found.new} have no row in common")
    if found.has_moved:
        raise AssertionError(comparison.text(found))
    if found.of("cannot tell"):
        raise Undecided(comparison.text(found))


def _rows(
    results: Results | str | Path,
    quantity: str,
    r: float | None,
    estimator: str | None,
    cell: str | None,
) -> pd.DataFrame:
    """Scores that are asserted of, one a row."""
    results = results if isinstance(results, Results) else Results(results)
    found, _, known = read(results, quantity, "results")
    cell = cell_of(results, cell, "results")
    scores = results.table()
    scores = scores[(scores["quantity"] == quantity) & (scores["cell"] == cell)]
    parts = []
    for name in chosen(estimator, known, f"results of {quantity}"):
        part = scores[scores["estimator"] == name]
        if r is not None:
            mine = found[(found["estimator"] == name) & (found["cell"] == cell)]
            part = part[part["bin"] == bin_at(mine, r, f"{quantity} by {name}")]
        parts.append(part)
    rows = pd.concat(parts)
    if not len(rows):
        raise InputError(f"results of {quantity}: none in {cell}")
    return rows


def _each(rows: pd.DataFrame) -> Iterator[Any]:
    return (row for _, row in rows.iterrows())


def _name(row: Any) -> str:
    return f"{labels.at_radius(str(row['quantity']), float(row['r']))} of {row['estimator']}"


def _bias(row: Any) -> str:
    size = labels.error_text(row["bias"], row["bias_mcse"], str(row["quantity"]), str(row["unit"]))
    return f"bias {size} in {int(row['n'])} realisations"


def _times(within: str) -> float:
    found = _MCSE.fullmatch(within)
    if found is None:
        raise InputError(
            f"assert_unbiased: within: must be a number, or such as '3 mcse' (got {within!r})"
        )
    return float(found[1])


def _require_enough(rows: pd.DataFrame, column: str, fewest: int) -> None:
    """Refuse rows that say nothing."""
    few = rows[rows[column] < fewest]
    if len(few):
        row = few.iloc[0]
        raise Undecided(
            f"{_name(row)}: {int(row[column])} realisations with a value; {fewest} are needed at least"
        )


def _require(
    rows: pd.DataFrame, failed: BoolArray, told: list[str], rate: float | None = None
) -> None:
    """Fail where any row does, and tell of all that do."""
    if not failed.any():
        return
    lines = [
        f"{_name(row)}: {text}"
        for row, text, bad in zip(_each(rows), told, failed, strict=True)
        if bad
    ]
    chance = f"; chance makes any of {len(rows)} at a rate of {rate:.2g}" if rate else ""
    raise AssertionError("\n".join(lines) + chance)


def _require_within(
    rows: pd.DataFrame,
    n: FloatArray,
    off: FloatArray,
    mcse: FloatArray,
    within: float,
    told: list[str],
) -> None:
    """Require that what is off, of ``n`` realisations each, is shown to be less than a limit."""
    if not within > 0.0:
        raise InputError(f"within: must be above 0 (got {within:g})")
    rate = SESSION.rate()
    size = np.abs(off)
    with np.errstate(divide="ignore", invalid="ignore"):
        far = np.nan_to_num((size - within) / mcse, nan=0.0, posinf=np.inf, neginf=-np.inf)
    beyond = significance.holm(ndtr(-far), rate)
    _require(rows, beyond, [f"{text}, beyond {within:g}" for text in told], rate)
    open_ = size + significance.reach(mcse, n) > within
    if open_.any():
        wanted = n * significance.times_within(within - size, mcse, n)
        k = int(np.argmax(np.where(open_, wanted, 0.0)))
        more = (
            f"{math.ceil(wanted[k])} realisations would be likely to"
            if wanted[k] < significance.MOST
            else "no number of realisations may"
        )
        raise Undecided(
            f"{_name(rows.iloc[k])}: {told[k]}: not shown to be within {within:g}; {more} tell"
        )
