"""Common random numbers: uniform deviates that depend on a star's number and on what they decide, and on nothing else.

Two mocks that are given the same key draw the same star at the same number, moved: the k-th star of both has the same
quantile of radius, the same direction, the same share of its error. No deviate depends on how many came before it, so
a star that one of them loses takes nothing from the others.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from haloassay.base.arrays import FloatArray, IntArray

_STEP = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_HALF_ULP = 2.0**-54


@numba.njit(cache=True, inline="always")
def mixed(word):  # type: ignore[no-untyped-def]
    """64 bits that look random, one to one with ``word``: the finaliser of SplitMix64 (Steele, Lea & Flood 2014)."""
    word = (word ^ (word >> np.uint64(30))) * _FIRST
    word = (word ^ (word >> np.uint64(27))) * _SECOND
    return word ^ (word >> np.uint64(31))


@numba.njit(cache=True, inline="always")
def state_of(key, number):  # type: ignore[no-untyped-def]
    """State of the generator of one star."""
    return mixed(key ^ mixed(np.uint64(number) * _STEP))


@numba.njit(cache=True, inline="always")
def uniform_at(state, place):  # type: ignore[no-untyped-def]
    """Deviate in (0, 1) at a place of a star's generator: the ``place``-th number of SplitMix64 from this state."""
    word = mixed(state + np.uint64(place + 1) * _STEP)
    return np.float64(word >> np.uint64(11)) * 2.0**-53 + _HALF_ULP


@numba.njit(cache=True)
def _uniforms(key, number):  # type: ignore[no-untyped-def]
    out = np.empty(len(number))
    for k in range(len(number)):
        out[k] = uniform_at(state_of(key, number[k]), 0)
    return out


@numba.njit(cache=True)
def _normals(key, number):  # type: ignore[no-untyped-def]
    out = np.empty(len(number))
    for k in range(len(number)):
        state = state_of(key, number[k])
        size = np.sqrt(-2.0 * np.log(uniform_at(state, 0)))
        out[k] = size * np.cos(2.0 * np.pi * uniform_at(state, 1))
    return out


@functools.cache
def _of_meaning(meaning: str) -> int:
    return int.from_bytes(hashlib.blake2b(meaning.encode(), digest_size=8).digest(), "little")


@dataclass(frozen=True)
class Uniforms:
    """Deviates of all stars of one realisation.

    Parameters
    ----------
    key
        64 bits that tell realisations apart.
    """

    key: int

    @classmethod
    def of(cls, rng: np.random.Generator) -> Uniforms:
        """Deviates of a realisation of their own, which the next number of ``rng`` tells from all others."""
        return cls(int(rng.integers(2**64, dtype=np.uint64)))

    def key_of(self, meaning: str) -> np.uint64:
        """64 bits for kernels that ask for several deviates of one meaning a star."""
        return np.uint64(self.key ^ _of_meaning(meaning))

    def uniform(self, meaning: str, number: IntArray) -> FloatArray:
        """(N,) deviates in (0, 1) of stars with these numbers (N,)."""
        return np.asarray(_uniforms(self.key_of(meaning), number), dtype=float)

    def normal(self, meaning: str, number: IntArray) -> FloatArray:
        """(N,) standard normal deviates of the same, each of two uniform ones (Box & Muller 1958)."""
        return np.asarray(_normals(self.key_of(meaning), number), dtype=float)


def numbers(first: int, n: int) -> NDArray[np.int64]:
    """(n,) numbers of stars, from ``first``."""
    return np.arange(first, first + n, dtype=np.int64)
