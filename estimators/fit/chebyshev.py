"""Chebyshev nodes of an interval, polynomials through values at them, and their derivatives."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from haloassay.base.arrays import FloatArray


def zeros(n: int) -> FloatArray:
    """Zeros (n,) of a Chebyshev polynomial, falling in (-1, 1): nodes without the ends."""
    return np.asarray(np.cos(np.pi * (np.arange(n) + 0.5) / n))


@dataclass(frozen=True, eq=False)
class Nodes:
    """Chebyshev-Lobatto nodes, the ends among them.

    Parameters
    ----------
    lo, hi
        Ends of the interval.
    n
        Number of nodes; of one, its value stands for all.
    """

    lo: float
    hi: float
    n: int

    @cached_property
    def x(self) -> FloatArray:
        """(n,) nodes, rising."""
        if self.n == 1:
            return np.array([0.5 * (self.lo + self.hi)])
        t = -np.cos(np.pi * np.arange(self.n) / (self.n - 1))
        return np.asarray(self.lo + 0.5 * (self.hi - self.lo) * (1.0 + t))

    @cached_property
    def derivative(self) -> FloatArray:
        """(n, n) matrix that takes values at the nodes to derivatives there (Trefethen 2000, chapter 6)."""
        scale = np.ones(self.n)
        scale[[0, -1]] = 2.0
        scale *= (-1.0) ** np.arange(self.n)
        apart = self.x[:, None] - self.x + np.eye(self.n)
        matrix = np.outer(scale, 1.0 / scale) / apart
        return np.asarray(matrix - np.diag(matrix.sum(axis=1)))

    @cached_property
    def _coefficients(self) -> FloatArray:
        """(n, n) matrix that takes values at the nodes to coefficients of Chebyshev polynomials."""
        order = np.arange(self.n)
        at_nodes = np.cos(order[:, None] * np.pi * (1.0 - order / (self.n - 1)))
        return np.asarray(np.linalg.inv(at_nodes.T))

    def weights(self, x: FloatArray) -> FloatArray:
        """(m, n) weights that values at the nodes have at ``x`` (m,), of which none is beyond the ends."""
        if self.n == 1:
            return np.ones((len(x), 1))
        t = np.clip(2.0 * (x - self.lo) / (self.hi - self.lo) - 1.0, -1.0, 1.0)
        polynomials = np.cos(np.arange(self.n) * np.arccos(t)[:, None])
        return np.asarray(polynomials @ self._coefficients)
