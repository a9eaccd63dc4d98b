"""Where tests take their random numbers from; HALOASSAY_TEST_SEED gives all of them others.

A test names its seed and so has the same numbers in every run. A tolerance that holds for that seed only is not found
that way: with HALOASSAY_TEST_SEED=1, 2, ... every seed of every test is another, far from all that it was.
"""

from __future__ import annotations

import os

import numpy as np

from haloassay.mocks.uniforms import Uniforms, numbers

SHIFT = int(os.environ.get("HALOASSAY_TEST_SEED", "0"))
STRIDE = 1_000_003  # tests count repetitions with seeds 0, 1, ...: their ranges must not overlap


def shifted(seed: int) -> int:
    """Return the seed to be used in place of this one: the same unless HALOASSAY_TEST_SEED is set."""
    return seed + STRIDE * SHIFT


def seeded(first: int, *more: int) -> np.random.Generator:
    """Return a generator of one seed, or of a seed and the numbers of a repetition."""
    return np.random.default_rng([shifted(first), *more])


def resized(stars: int) -> int:
    """Return a size near this one for debris: the seed of its stars is made of that."""
    return stars + SHIFT


def lots(n: int, rng: np.random.Generator) -> tuple[Uniforms, np.ndarray]:
    """Return what the first ``n`` stars of a realisation are drawn by: its deviates, and their numbers."""
    return Uniforms.of(rng), numbers(0, n)
