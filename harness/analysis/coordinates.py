"""Coordinates in which measured and simulated numbers are compared.

There they are nearly normal, and their errors hardly depend on them: of a positive scale it is the logarithm; of a
quantity with a largest value, such as anisotropy, the logarithm of what is left to it. Of beta, whose error falls with
1 - beta, that is ln(1 - beta) = ln(sigma_t^2 / sigma_r^2) with its sign changed. With errors that follow the value,
numbers that happen to be high would weigh more than those that are low, and the posterior would be high.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from haloassay.base.arrays import FloatArray
from haloassay.contracts.quantities import Quantity


@dataclass(frozen=True)
class Coordinate:
    """A monotone, rising map of the values of a quantity.

    Parameters
    ----------
    of
        Coordinates of values of the quantity; NaN of a value that it cannot have.
    back
        Values of coordinates.
    slope
        Derivative of ``of``, by the value.
    """

    of: Callable[[ArrayLike], FloatArray]
    back: Callable[[ArrayLike], FloatArray]
    slope: Callable[[ArrayLike], FloatArray]


def coordinate(quantity: Quantity) -> Coordinate:
    """Coordinate in which a quantity is compared."""
    if quantity.scale == "fractional":
        return _LOGARITHM
    if np.isfinite(quantity.most):
        return _below(quantity.most)
    return _ITSELF


def _logarithm(x: ArrayLike) -> FloatArray:
    values = np.asarray(x, dtype=float)
    return np.asarray(np.log(np.where(values > 0.0, values, np.nan)))


def _inverse(x: ArrayLike) -> FloatArray:
    return np.asarray(1.0 / np.asarray(x, dtype=float))


def _below(most: float) -> Coordinate:
    return Coordinate(
        of=lambda x: -_logarithm(most - np.asarray(x, dtype=float)),
        back=lambda y: np.asarray(most - np.exp(-np.asarray(y, dtype=float))),
        slope=lambda x: _inverse(most - np.asarray(x, dtype=float)),
    )


def _same(x: ArrayLike) -> FloatArray:
    return np.asarray(x, dtype=float)


def _exponential(y: ArrayLike) -> FloatArray:
    return np.asarray(np.exp(np.asarray(y, dtype=float)))


_ITSELF: Final = Coordinate(
    of=_same, back=_same, slope=lambda x: np.ones_like(np.asarray(x, dtype=float))
)
_LOGARITHM: Final = Coordinate(of=_logarithm, back=_exponential, slope=_inverse)
