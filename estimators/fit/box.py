"""Parameters between bounds, some of which may be held: where a fit looks for its start."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from haloassay.base.arrays import BoolArray, FloatArray
from haloassay.base.errors import EstimationError


@dataclass(frozen=True, eq=False)
class Box:
    """Bounds of parameters; one whose bounds are equal is held there.

    Parameters
    ----------
    bounds
        (d, 2) lower and upper bounds.
    """

    bounds: FloatArray

    @property
    def free(self) -> BoolArray:
        """Which parameters (d,) are free."""
        return np.asarray(self.bounds[:, 1] > self.bounds[:, 0])

    @property
    def edges(self) -> tuple[FloatArray, FloatArray]:
        """Lower and upper bounds of those that are free."""
        return self.bounds[self.free, 0], self.bounds[self.free, 1]

    def full(self, points: FloatArray) -> FloatArray:
        """All parameters (m, d) of points (m, free)."""
        out = np.tile(self.bounds[:, 0], (len(points), 1))
        out[:, self.free] = points
        return out

    def start(
        self, log_density: Callable[[FloatArray], FloatArray], steps: Sequence[int], none: str
    ) -> FloatArray:
        """Free parameters of the best of a grid of as many ``steps`` (d,) within the bounds.

        Raises
        ------
        EstimationError
            Saying ``none``, if no point has a finite density.
        """
        sides = [
            np.linspace(lo, hi, n + 2)[1:-1]
            for (lo, hi), n, varied in zip(self.bounds, steps, self.free, strict=True)
            if varied
        ]
        tried = np.stack(np.meshgrid(*sides, indexing="ij"), axis=-1).reshape(-1, len(sides))
        values = log_density(tried)
        best = int(np.argmax(values))
        if not np.isfinite(values[best]):
            raise EstimationError(none)
        return np.asarray(tried[best])
