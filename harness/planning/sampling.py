"""Points of the designs that draw all factors from their priors, catalogue by catalogue.

A point is the same whatever the number of points, so a run grows without losing what it has.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.errors import InputError
from haloassay.base.seeds import stream

#: Points of one hypercube where a scenario does not say how many.
_HYPERCUBE = 64


@dataclass(frozen=True)
class Sampling:
    """A sampled design.

    Parameters
    ----------
    design
        Which.
    n_factors
        How many factors it draws.
    seed
        Of the scenario.
    replicates
        Catalogues of each point.
    points
        How many points, or of ``latin-hypercube`` how many a hypercube has; as many as there is room for by default.
    """

    design: str
    n_factors: int
    seed: int
    replicates: int
    points: int | None = None

    def __post_init__(self) -> None:
        binary = self.design in ("sobol", "saltelli")
        if self.points is not None and binary and self.points & (self.points - 1):
            raise InputError(
                f"matrix.points: of {self.design!r} is a power of two (got {self.points}; near it:"
                f" {2 ** math.floor(math.log2(self.points))})"
            )

    @property
    def content(self) -> tuple[Any, ...]:
        """All that determines the points, and what catalogues they have; their number does not, but of hypercubes."""
        cube = self._cube if self.design == "latin-hypercube" else None
        return (self.design, self.replicates, cube)

    @property
    def _cube(self) -> int:
        return self.points or _HYPERCUBE

    @property
    def _matrices(self) -> int:
        """Points that belong together: of an index of sensitivity A, B, and A with each column of B."""
        return self.n_factors + 2 if self.design == "saltelli" else 1

    @property
    def _block(self) -> int:
        """Points that only count together, in catalogues."""
        cube = self._cube if self.design == "latin-hypercube" else 1
        return cube * self._matrices * self.replicates

    def size(self, realizations: int) -> int:
        """Count the catalogues of a cell for which a scenario wants so many: at least one whole block."""
        if self.points is not None and self.design != "latin-hypercube":
            return self.points * self._block
        blocks = max(realizations // self._block, 1)
        if self.design in ("sobol", "saltelli"):
            blocks = 1 << int(math.log2(blocks))
        return int(blocks * self._block)

    def point(self, realization: int) -> int:
        """Point that a catalogue is of: the first of its replicates counts them."""
        return realization // self.replicates

    @property
    def is_paired(self) -> bool:
        """Whether each catalogue has random numbers of its own."""
        return self._matrices == 1

    def draw(self, realization: int) -> int:
        """Realisation whose random numbers a catalogue has: the same for all points that belong together."""
        row = realization // (self._matrices * self.replicates)
        return row * self.replicates + realization % self.replicates

    def coordinates(self, realization: int) -> FloatArray:
        """Shares (n_factors,) of the priors below the values of a catalogue's factors."""
        point, d = self.point(realization), self.n_factors
        if self.design == "joint":
            return stream(self.seed, "design:joint", point).random(d)
        if self.design == "latin-hypercube":
            cube, row = divmod(point, self._cube)
            return np.asarray(_hypercube(self.seed, d, self._cube, cube)[row])
        if self.design == "sobol":
            return np.asarray(_sobol(self.seed, d, _room(point))[point])
        row, matrix = divmod(point, self._matrices)
        both = _sobol(self.seed, 2 * d, _room(row))[row]
        a, b = both[:d], both[d:]
        if matrix < 2:
            return np.asarray(b if matrix else a)
        return np.where(np.arange(d) == matrix - 2, b, a)


def _room(index: int) -> int:
    """Next power of two above a number of points counted from 0: what a sequence is drawn in."""
    return 1 << max(index, 63).bit_length()


@functools.lru_cache(maxsize=8)
def _sobol(seed: int, d: int, n: int) -> FloatArray:
    """First ``n`` points (n, d), inside the cube, of one scrambled sequence."""
    from scipy.stats import qmc

    rng = stream(seed, f"design:sobol:{d}", 0)
    return np.clip(np.asarray(qmc.Sobol(d, scramble=True, rng=rng).random(n)), 1e-9, 1.0 - 1e-9)


@functools.lru_cache(maxsize=64)
def _hypercube(seed: int, d: int, n: int, number: int) -> FloatArray:
    from scipy.stats import qmc

    rng = stream(seed, f"design:latin-hypercube:{d}:{n}", number)
    return np.asarray(qmc.LatinHypercube(d, rng=rng).random(n))
