"""Simulation-based inference: a posterior by a network that has learnt it from mocks (Cranmer et al. 2020)."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from haloassay.base.errors import EstimationError
from haloassay.contracts.estimate import Estimates, Estimator
from haloassay.contracts.profiles import virial_radius
from haloassay.estimators.bins import check_least, check_number, check_radii, places_at
from haloassay.estimators.halo import trained_halo
from haloassay.estimators.halo.trained_halo import TrainedHalo
from haloassay.estimators.rows import VIRIAL, drawn_row, undetermined_rows, virial_rows

if TYPE_CHECKING:
    from haloassay.contracts.catalogue import Catalogue


@dataclass(frozen=True)
class NPE(Estimator):
    """Neural posterior estimation: mass, concentration and anisotropy by a network that was trained on mocks.

    ``haloassay train`` draws halos from a prior, lets a survey see each, and teaches a network the posterior of
    the halo's parameters given robust moments of the velocities in bins of radius. What is right of its mocks is
    what is assumed: an NFW halo, known baryons, the tracers and the survey that they were made with. A
    catalogue that is unlike all of these gives no value, and the reason. One that looks like them and is not made
    like them is not noticed: the answer is then that of the wrong model.

    The posterior is of moments, which hold less than the stars. Its M(<r) is that of the NFW halo with the known
    masses. No library of networks is needed here, for training one is (``pip install 'haloassay[npe]'``).

    Parameters
    ----------
    network
        Name of a packaged network, or the folder of one that was trained. Its content counts, not its name.
    r_out
        Radii of the masses [kpc]; the median radius of the stars where empty. There is no value nearer than the
        stars of the training, nor beyond the r200 of its largest halo.
    n_draws
        Draws from the posterior.
    """

    name: ClassVar[str] = "npe"
    version: ClassVar[int] = 4
    reference: ClassVar[str] = "2020PNAS..11730055C"
    assumes: ClassVar[tuple[str, ...]] = (
        "equilibrium",
        "spherical",
        "non-rotating",
        "constant beta",
        "NFW halo",
        "known baryons",
        "survey known",
    )
    yields: ClassVar[tuple[str, ...]] = ("enclosed_mass", "m200", "r200", "c200", "beta")

    network: str = field(default="spherical-nfw", compare=False)
    r_out: tuple[float, ...] = ()
    n_draws: int = 1000
    content: str = field(init=False, default="", repr=False)

    def __post_init__(self) -> None:
        check_radii("r_out", self.r_out)
        check_least("n_draws", self.n_draws, 2)
        object.__setattr__(self, "content", self._trained.digest)

    @cached_property
    def _trained(self) -> TrainedHalo:
        return trained_halo.load(self.network)

    def estimate(self, catalogue: Catalogue, rng: np.random.Generator) -> Estimates:
        """Rows enclosed_mass at each radius, m200, r200, c200 and beta; a note where no value is.

        What was held in training, concentration or anisotropy, has none.

        Raises
        ------
        InputError
            If a position or velocity of the catalogue is not finite.
        """
        catalogue.check_finite()
        places = places_at(self.r_out)
        halo = self._trained.halo
        try:
            check_number(len(catalogue), 5)
            places = places or places_at((float(np.median(catalogue.r)),))
            draws = self._trained.draws(catalogue, self.n_draws, rng)
        except EstimationError as error:
            rest = VIRIAL + (("beta",) if "beta" in halo.targets else ())
            rows = undetermined_rows(("enclosed_mass",), str(error), places)
            return Estimates([*rows, *undetermined_rows(rest, str(error))])
        rows = [
            drawn_row(
                "enclosed_mass",
                halo.enclosed_mass(place["r"], draws),
                self._trained.beyond(place["r"]),
                **place,
            )
            for place in places
        ]
        r200 = virial_radius(draws["m200"], halo.h0, halo.overdensity)
        held = {name: f"{name} is not fitted" for name in halo.known}
        rows += virial_rows(draws["m200"], r200, draws["c200"], shape=held.get("c200", ""))
        if "beta" in draws:
            lo, hi = float(catalogue.r.min()), float(np.nextafter(catalogue.r.max(), np.inf))
            where = {"r": float(np.median(catalogue.r)), "r_lo": lo, "r_hi": hi}
            rows.append(drawn_row("beta", draws["beta"], held.get("beta", ""), **where))
        return Estimates(rows)
