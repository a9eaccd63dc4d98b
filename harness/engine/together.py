"""All quantities of an estimate at once: where the truth lies among the joint draws (TARP, Lemos et al. 2023)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from haloassay.contracts.estimate import Estimate
from haloassay.contracts.quantities import Quantity

#: Scales on which a difference is a difference of numbers.
_LINEAR = ("fractional", "absolute")
#: Distance of the reference from the middle of the draws, in their standard deviations.
_FAR = 2.0


class Place(NamedTuple):
    """How many of ``draws`` joint draws of ``rows`` rows are nearer to a random reference than the truth is."""

    rank: int = -1
    draws: int = 0
    rows: int = 0


def place_of_truth(
    estimates: Sequence[Estimate],
    truths: Sequence[float],
    known: Mapping[str, Quantity],
    rng: np.random.Generator,
) -> Place:
    """Place of the truth among the joint draws of all rows.

    Draws of equal number are taken for joint: the i-th of all rows are one draw. The rank of the truth's distance to a
    reference that does not know the truth is uniform on 0 to n_draws for an exact posterior, in any number of
    dimensions, and for all references only for one (Lemos et al. 2023, ICML, arXiv:2302.03026, theorem 3). Distances
    are Euclidean in units of the draws' standard deviations; the reference is Gaussian about their middle, two of
    these wide.

    Parameters
    ----------
    estimates, truths
        Rows, and the truth of each; those without draws or truth take no part.
    known
        Quantities by name.
    rng
        Of the reference.

    Returns
    -------
    Place
        With rank -1 where fewer than two rows have draws of one number.
    """
    usable = [
        (row.draws, truth)
        for row, truth in zip(estimates, truths, strict=True)
        if row.draws is not None
        and len(row.draws) > 1
        and np.isfinite(truth)
        and known[row.quantity].scale in _LINEAR
        and np.all(np.isfinite(row.draws))
    ]
    if not usable:
        return Place()
    n_draws = Counter(len(draws) for draws, _ in usable).most_common(1)[0][0]
    chosen = [(draws, truth) for draws, truth in usable if len(draws) == n_draws]
    points = np.array([draws for draws, _ in chosen], dtype=float)
    width = points.std(axis=1)
    varies = width > 1e-12 * np.abs(points).max(axis=1)
    if np.count_nonzero(varies) < 2:
        return Place()
    middle = points.mean(axis=1)
    scaled = ((points - middle[:, None]) / np.where(varies, width, 1.0)[:, None])[varies]
    truth = ((np.array([t for _, t in chosen]) - middle) / np.where(varies, width, 1.0))[varies]
    reference = _FAR * rng.standard_normal(len(truth))
    with np.errstate(over="ignore"):
        distances = np.sum((scaled - reference[:, None]) ** 2, axis=0)
        nearer = distances < np.sum((truth - reference) ** 2)
    return Place(int(np.count_nonzero(nearer)), n_draws, len(truth))
