"""Where in a region there are mocks: a probability, emulated, that stays zero where every mock nearby was lost.

Whether settings have a mock is a step, not a slope: polynomials in its logit ring beside it and may rise again far
behind it, where nothing holds them. Neighbours cannot say where the step is, but that a point lies behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from haloassay.analysis.emulator import Emulator, fit
from haloassay.base.arrays import BoolArray, FloatArray

if TYPE_CHECKING:
    from scipy.spatial import KDTree

#: Lost mocks from which where they are lost is emulated, and least probability that is told from none.
_FEWEST_LOST: Final = 3
_LEAST: Final = 1e-6


@dataclass(frozen=True)
class Existence:
    """Probability that there is a mock of some settings. Make it by :func:`where`.

    Parameters
    ----------
    emulator
        Of the probability.
    tried
        The points that were tried.
    lost
        (n,) which of them had no mock.
    """

    emulator: Emulator
    tried: KDTree
    lost: BoolArray

    def __call__(self, x: FloatArray) -> FloatArray:
        """Probability (n,) at points ``x`` (n, d) of the unit cube, never below one in a million."""
        p = self.emulator.predict(x)[0]
        nearest = self.tried.query(x, k=np.arange(1, 2 * x.shape[1] + 2))[1]
        return np.maximum(np.where(self.lost[nearest].all(axis=1), 0.0, p), _LEAST)


def where(x: FloatArray, lost: BoolArray, names: Sequence[str]) -> Existence | None:
    """Learn from points ``x`` (n, d) of which some were ``lost`` (n,); None where too few were to tell anything."""
    from scipy.spatial import KDTree

    if lost.sum() < _FEWEST_LOST:
        return None
    emulator = fit(x, (~lost).astype(float), names, link="logit")
    return None if emulator.refused else Existence(emulator, KDTree(x), lost)
