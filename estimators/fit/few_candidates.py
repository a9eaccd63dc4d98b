"""Whether a likelihood that is a mean over candidates of what each star truly is has enough of them."""

from __future__ import annotations

from typing import Final

import numpy as np

from haloassay.base.arrays import FloatArray, IntArray
from haloassay.base.errors import EstimationError

#: Errors that a maximum may be off by as candidates are few.
_OFF: Final = 1.0
#: Candidates of which halves have some of both ways.
LEAST: Final = 4
#: Draws of the posterior at which likelihoods are compared.
_COMPARED: Final = 60


def halves(n_samples: int) -> tuple[IntArray, IntArray]:
    """Candidates of two halves, each of which has as many of those that are drawn in either of two ways."""
    ways = np.array_split(np.arange(n_samples), 2)
    first, second = zip(*(np.array_split(each, 2) for each in ways), strict=True)
    return np.concatenate(first), np.concatenate(second)


def compared(points: FloatArray) -> FloatArray:
    """Take some of the draws (m, p) of a posterior, at which likelihoods of halves are compared."""
    return points[:: max(len(points) // _COMPARED, 1)]


def too_few(off: float, n_samples: int) -> str:
    """Why there is no value where a maximum may be ``off`` by so many of its errors; nothing where that is little."""
    if off <= _OFF:
        return ""
    how = (
        f"{off:.1f} of its errors"
        if np.isfinite(off)
        else "any amount: hardly one of some star is bound"
    )
    return (
        f"with {n_samples} candidates of what each star truly is the maximum of the posterior may be off by {how}: give"
        " more (n_samples)"
    )


def check_candidates(
    whole: FloatArray, first: FloatArray, second: FloatArray, n_samples: int
) -> None:
    """Refuse a maximum that may be off by more than its errors, as candidates are few.

    The logarithm of a mean of few is too small, by twice as much of half of them (the jackknife: Quenouille 1956), and
    halves differ as chance has it. A function whose scatter over draws of a posterior is s moves it by s of its errors.

    Parameters
    ----------
    whole, first, second
        Log likelihoods (m,) at draws from the posterior, with all candidates and with those of each half.
    n_samples
        Candidates of a star.

    Raises
    ------
    EstimationError
        If it may be.
    """
    off = np.inf
    if np.all(np.isfinite(first) & np.isfinite(second)):
        off = float(
            np.hypot(np.std(whole - 0.5 * (first + second)), np.std(0.5 * (first - second)))
        )
    note = too_few(off, n_samples)
    if note:
        raise EstimationError(note)
