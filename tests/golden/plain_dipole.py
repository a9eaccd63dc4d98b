"""An estimator of few lines that no optimiser blurs, and that may fail; runs find it as "plain_dipole:PlainDipole"."""

from dataclasses import dataclass

import numpy as np

from haloassay import Estimate, Estimates, Estimator


@dataclass(frozen=True)
class PlainDipole(Estimator):
    """v_r = mu_compr + d n by least squares, with a bootstrap; of ``fewest`` stars at least."""

    name = "plain-dipole"
    reference = ""
    yields = ("mu_compr", "mu_dipole", "apex_l", "apex_b")
    fewest: int = 5

    def estimate(self, catalogue, rng):
        n = len(catalogue)
        if n < self.fewest:
            raise ArithmeticError(f"{n} stars")
        x = np.column_stack([np.ones(n), catalogue.position / catalogue.r[:, None]])
        v_r = catalogue.spherical_velocity[:, 0]
        picks = rng.integers(n, size=(40, n))
        fits = np.array([np.linalg.lstsq(x[k], v_r[k], rcond=None)[0] for k in picks])
        compression, d = fits[:, 0], -fits[:, 1:]  # stars come from the apex: mu_dipole < 0
        speed = np.linalg.norm(d, axis=1)
        apex = (np.arctan2(d[:, 1], d[:, 0]), np.arcsin(d[:, 2] / speed))
        draws = (compression, -speed, *np.degrees(apex))
        r = float(np.median(catalogue.r))
        return Estimates(
            Estimate.from_draws(name, values, r=r)
            for name, values in zip(self.yields, draws, strict=True)
        )
