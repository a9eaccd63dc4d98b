"""Named random streams: draws depend on seed, axis and realisation, and on nothing else."""

from __future__ import annotations

import hashlib

import numpy as np


def stream(seed: int, axis: str, realization: int) -> np.random.Generator:
    """Make the generator of one axis in one realisation.

    Parameters
    ----------
    seed
        Seed of the scenario, >= 0.
    axis
        Name of what draws: ``"population"``, ``"survey"``, ``"estimator:<label>"``.
    realization
        Number of the realisation, >= 0.

    Notes
    -----
    The name enters through a hash, so an axis keeps its numbers when others are added, dropped or
    reordered. Cells of a scenario share the streams of equal realisations: they can be paired.
    """
    digest = hashlib.blake2b(axis.encode(), digest_size=16).digest()
    words = np.frombuffer(digest, dtype="<u4").tolist()
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(*words, realization)))
