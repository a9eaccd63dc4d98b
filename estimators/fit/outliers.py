"""Stars that are no members of a Gaussian field: found from scales that they do not move."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from haloassay.base.arrays import BoolArray
from haloassay.estimators.fit.linear_field import Channel

#: Median absolute deviation of a Gaussian, in sigma.
_MAD: Final = 0.6745
_MOST_STEPS: Final = 50


def within(channels: Sequence[Channel], clip: float) -> BoolArray:
    """Which stars (N,) deviate from a linear field by less than ``clip`` sigma in each of their data.

    Sigma is that of the star: the scatter of all, by the median absolute deviation, and its own error. The field is
    that of weighted least squares of the stars within, which is made again until they stay the same.

    Parameters
    ----------
    channels
        Data of the same stars, with one set of parameters.
    clip
        In sigma.
    """
    y = np.concatenate([channel.y for channel in channels], axis=1)
    X = np.concatenate([channel.X for channel in channels], axis=1)
    E = np.concatenate([np.diagonal(c.E, axis1=1, axis2=2) for c in channels], axis=1)
    kept, variance = np.ones(len(y), dtype=bool), np.ones(y.shape) + E
    for _ in range(_MOST_STEPS):
        root = 1.0 / np.sqrt(variance[kept])
        design = (X[kept] * root[:, :, None]).reshape(-1, X.shape[2])
        q = np.linalg.lstsq(design, (y[kept] * root).ravel(), rcond=None)[0]
        misfit = np.abs(y - X @ q)
        variance = (np.median(misfit[kept], axis=0) / _MAD) ** 2 + E
        before, kept = kept, np.all(misfit <= clip * np.sqrt(variance), axis=1)
        if np.array_equal(kept, before):
            break
    return kept
