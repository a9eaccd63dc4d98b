"""Estimators that tell what reached them, under names of quantities whose truths are known; and a run that takes them.

Runs find them as "witnesses:Witness" and so on.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from seeds import shifted

from haloassay import Estimate, Estimates, Estimator


@dataclass(frozen=True)
class Witness(Estimator):
    """``m200``: its own setting; ``r200``, ``c200``: mean distance and stated error; ``v_c``: a random number."""

    name = "witness"
    reference = ""
    yields = ("m200", "r200", "c200", "v_c")
    level: float = 1.0

    def estimate(self, catalogue, rng):
        means = (np.mean(catalogue[column]) for column in ("distance", "distance_err"))
        values = (self.level, *means, rng.random())
        pairs = zip(self.yields, values, strict=True)
        return Estimates(Estimate.from_draws(quantity, [value]) for quantity, value in pairs)


@dataclass(frozen=True)
class OtherWitness(Witness):
    """The same by another class."""

    name = "other-witness"


@dataclass(frozen=True)
class Ranked(Estimator):
    """Draws of ``mean_v_r``, which is zero in a halo at rest: of ``n_draws``, some are below and the rest above it."""

    name = "ranked"
    reference = ""
    yields = ("mean_v_r",)
    n_draws: int = 6

    def estimate(self, catalogue, rng):
        below = int(rng.integers(self.n_draws + 1))
        draws = np.where(np.arange(self.n_draws) < below, -1.0, 1.0)
        return Estimates([Estimate.from_draws("mean_v_r", draws, r=20.0)])


_LITTLE: dict[str, Any] = {
    "name": "little",
    "realizations": 2,
    "seed": shifted(5),
    "mock": {
        "kind": "local-jeans-gaussian",
        "potential": {"kind": "nfw", "m200": 1e12, "c": 12.0},
        "density": {"kind": "broken-power-law", "slopes": [-2.8, -4.6], "breaks": [17.0]},
        "beta": {"kind": "table", "r": [5.0, 20.0, 80.0], "beta": [0.7, 0.2, 0.6]},
        "r_range": [5.0, 100.0],
    },
    "survey": {
        "preset": "perfect",
        "n_stars": 400,
        "distance_error": 0.1,
        "pm_error": 0.05,
        "vlos_error": 10.0,
    },
    "estimators": [{"kind": "witnesses:Witness", "label": "witness"}],
}


def little(**changes: Any) -> dict[str, Any]:
    """Plain values of a scenario that runs in a fraction of a second, with some keys changed."""
    return copy.deepcopy({**_LITTLE, **changes})
