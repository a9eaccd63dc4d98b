"""Common random numbers: uniform deviates that depend on a star's number and on what they decide, and on nothing else.

Two mocks that are given the same key draw the same star at the same number, moved: the k-th star of both has the same
quantile of radius, the same direction, the same share of its error. No deviate depends on how many came before it, so
a star that one of them loses takes nothing from the others.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from haloassay.base.arrays import FloatArray, IntArray
from haloassay.base.compiled import compiled

T = TypeVar("T")

_STEP = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_HALF_ULP = 2.0**-54


@compiled(inline="always")
def mixed(word):  # type: ignore[no-untyped-def]
    """64 bits that look random, one to one with ``word``: the finaliser of SplitMix64 (Steele, Lea & Flood 2014)."""
    word = (word ^ (word >> np.uint64(30))) * _FIRST
    word = (word ^ (word >> np.uint64(27))) * _SECOND
    return word ^ (word >> np.uint64(31))


@compiled(inline="always")
def state_of(key, number):  # type: ignore[no-untyped-def]
    """State of the generator of one star."""
    return mixed(key ^ mixed(np.uint64(number) * _STEP))


@compiled(inline="always")
def uniform_at(state, place):  # type: ignore[no-untyped-def]
    """Deviate in (0, 1) at a place of a star's generator: the ``place``-th number of SplitMix64 from this state."""
    word = mixed(state + np.uint64(place + 1) * _STEP)
    return np.float64(word >> np.uint64(11)) * 2.0**-53 + _HALF_ULP


@compiled
def _uniforms(key, number, k):  # type: ignore[no-untyped-def]
    out = np.empty((k, len(number)))
    for star in range(len(number)):
        state = state_of(key, number[star])
        for place in range(k):
            out[place, star] = uniform_at(state, place)
    return out


@compiled
def _normals(key, number, k):  # type: ignore[no-untyped-def]
    out = np.empty((k + 1, len(number)))
    for star in range(len(number)):
        state = state_of(key, number[star])
        for place in range(0, k, 2):
            size = np.sqrt(-2.0 * np.log(uniform_at(state, place)))
            angle = 2.0 * np.pi * uniform_at(state, place + 1)
            out[place, star] = size * np.cos(angle)
            out[place + 1, star] = size * np.sin(angle)
    return out[:k]


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
        return self.uniforms(meaning, number, 1)[0]

    def uniforms(self, meaning: str, number: IntArray, k: int) -> FloatArray:
        """(k, N) deviates in (0, 1), ``k`` of each star; the first of them are the same whatever ``k`` is."""
        return np.asarray(_uniforms(self.key_of(meaning), number, k), dtype=float)

    def normal(self, meaning: str, number: IntArray) -> FloatArray:
        """(N,) standard normal deviates of stars with these numbers (N,)."""
        return self.normals(meaning, number, 1)[0]

    def normals(self, meaning: str, number: IntArray, k: int) -> FloatArray:
        """(k, N) standard normal deviates, ``k`` of each star, two of two uniform ones (Box & Muller 1958)."""
        return np.asarray(_normals(self.key_of(meaning), number, k), dtype=float)


def counted(of: Callable[[IntArray], T]) -> Callable[[int], T]:
    """Source of further stars: each call with how many gives what ``of`` gives of their numbers, from 0 on."""
    drawn = 0

    def draw(n: int) -> T:
        nonlocal drawn
        first, drawn = drawn, drawn + n
        return of(numbers(first, n))

    return draw


def numbers(first: int, n: int) -> NDArray[np.int64]:
    """(n,) numbers of stars, from ``first``."""
    return np.arange(first, first + n, dtype=np.int64)
