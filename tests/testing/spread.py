"""A small sound estimator, of which ``faults`` makes unsound ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from haloassay.contracts.estimate import Estimate, Estimates, Estimator

#: Halo on which it is right: an average over all radii is compared with that of the stars.
IDEAL = {
    "mock": {
        "kind": "local-jeans-gaussian",
        "potential": {"kind": "nfw", "m200": 1e12, "c": 12.0},
        "density": {"kind": "power-law", "slope": -3.5},
        "beta": {"kind": "constant", "beta": 0.3},
        "r_range": [5.0, 60.0],
    },
    "survey": {"n_stars": 400},
}


@dataclass(frozen=True)
class Spread(Estimator):
    """Radial dispersion about zero and beta of all stars, errors by the bootstrap."""

    name: ClassVar[str] = "spread"
    reference: ClassVar[str] = ""
    yields: ClassVar[tuple[str, ...]] = ("sigma_r", "beta")
    ideal: ClassVar[dict] = IDEAL

    n_bootstrap: int = 200

    def estimate(self, catalogue, rng):
        if len(catalogue) < 10:
            note = "fewer than 10 stars"
            return Estimates(Estimate.undetermined(name, note) for name in self.yields)
        v = self.velocities(catalogue)
        rows = rng.integers(len(v), size=(self.n_bootstrap, len(v)))
        square = self.squares(v)
        means = square[rows].mean(axis=1)
        draws = {
            "sigma_r": np.sqrt(means[:, 0]),
            "beta": 1.0 - means[:, 1:].sum(axis=1) / (2.0 * means[:, 0]),
        }
        mean = square.mean(axis=0)
        value = {"sigma_r": np.sqrt(mean[0]), "beta": 1.0 - mean[1:].sum() / (2.0 * mean[0])}
        where = {"r": float(np.median(catalogue.r)), "r_lo": 5.0, "r_hi": 60.0}
        return Estimates(self.row(name, value[name], draws[name], where) for name in self.yields)

    def velocities(self, catalogue):
        return catalogue.spherical_velocity

    def squares(self, v):
        return v**2

    def row(self, name, value, draws, where):
        spread = draws.std()
        return Estimate(
            name,
            value,
            value - spread,
            value + spread,
            value - 1.96 * spread,
            value + 1.96 * spread,
            draws=value + draws - draws.mean(),
            **where,
        )
