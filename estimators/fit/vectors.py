"""Exponentials and logarithms of arrays in loops that a compiler makes vector instructions of.

Those of the C library are called one by one. These are as exact to 1e-13.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.compiled import compiled

_LOG2E: Final = 1.0 / np.log(2.0)
#: Ln 2 in two parts, the first with zeros at its end.
_LN2_HIGH: Final = 0.693147180369123816490
_LN2_LOW: Final = 1.90821492927058770002e-10
#: What rounds to a whole number, when it is added, and keeps that in its last bits.
_ROUND: Final = 1.5 * 2.0**52
#: Bits of 1, of 2^52, and of the root of 1/2.
_ONE: Final = 1023 << 52
_LARGE: Final = 1075 << 52
_ROOT_HALF: Final = int(np.array([np.sqrt(0.5)]).view(np.int64)[0])
#: What an exponent is kept between.
_MOST: Final = 700.0


@compiled(error_model="numpy")
def exp_of(x: FloatArray, out: FloatArray, spare: FloatArray) -> None:
    """Exponentials of ``x`` (n,), kept between -700 and 700, into ``out``; ``spare`` (n,) is overwritten."""
    bits = spare.view(np.int64)
    for j in range(len(x)):
        at = min(max(x[j], -_MOST), _MOST)
        moved = at * _LOG2E + _ROUND
        spare[j] = moved
        k = moved - _ROUND
        r = at - k * _LN2_HIGH - k * _LN2_LOW
        p = 1.0 / 479001600.0
        p = p * r + 1.0 / 39916800.0
        p = p * r + 1.0 / 3628800.0
        p = p * r + 1.0 / 362880.0
        p = p * r + 1.0 / 40320.0
        p = p * r + 1.0 / 5040.0
        p = p * r + 1.0 / 720.0
        p = p * r + 1.0 / 120.0
        p = p * r + 1.0 / 24.0
        p = p * r + 1.0 / 6.0
        p = p * r + 0.5
        p = p * r + 1.0
        out[j] = p * r + 1.0
    for j in range(len(x)):
        bits[j] = (bits[j] << 52) + _ONE
    for j in range(len(x)):
        out[j] *= spare[j]


@compiled(error_model="numpy")
def log_of(x: FloatArray, out: FloatArray, spare: FloatArray) -> None:
    """Logarithms of ``x`` (n,), or of 1e-300 where that is less, into ``out``; ``spare`` (n,) is overwritten."""
    bits, of = spare.view(np.int64), out.view(np.int64)
    for j in range(len(x)):
        out[j] = max(x[j], 1e-300)
    for j in range(len(x)):
        k = (of[j] - _ROOT_HALF + _ONE) >> 52
        bits[j] = k | _LARGE
        of[j] -= (k << 52) - _ONE
    for j in range(len(x)):
        k = spare[j] - (2.0**52 + 1023.0)
        s = (out[j] - 1.0) / (out[j] + 1.0)
        z = s * s
        p = 1.0 / 17.0
        p = p * z + 1.0 / 15.0
        p = p * z + 1.0 / 13.0
        p = p * z + 1.0 / 11.0
        p = p * z + 1.0 / 9.0
        p = p * z + 1.0 / 7.0
        p = p * z + 1.0 / 5.0
        p = p * z + 1.0 / 3.0
        out[j] = k * _LN2_HIGH + (2.0 * s + (2.0 * s * z * p + k * _LN2_LOW))
