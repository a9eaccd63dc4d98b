"""An estimator that fails where it sees too few stars; runs find it as "temperamental:Picky"."""

from dataclasses import dataclass

import numpy as np

from haloassay import Estimate, Estimates, Estimator


@dataclass(frozen=True)
class Picky(Estimator):
    """Mean radial velocity with a bootstrap, of ``fewest`` stars at least."""

    name = "picky"
    reference = ""
    yields = ("mean_v_r",)
    fewest: int = 1

    def estimate(self, catalogue, rng):
        if len(catalogue) < self.fewest:
            raise ArithmeticError(f"{len(catalogue)} stars")
        v_r = catalogue.spherical_velocity[:, 0]
        draws = [np.mean(rng.choice(v_r, len(v_r))) for _ in range(40)]
        return Estimates([Estimate.from_draws("mean_v_r", draws, r=float(np.median(catalogue.r)))])
