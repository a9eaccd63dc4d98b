"""What both ways from line-of-sight dispersions to a halo share (Zhai et al. 2018)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np

from haloassay.base.errors import EstimationError
from haloassay.base.settings import require
from haloassay.contracts.estimate import Estimate, Estimates, Estimator
from haloassay.estimators.bins import (
    DensitySlope,
    check_alpha,
    check_beta,
    check_edges,
    check_least,
    check_radii,
    places_at,
)
from haloassay.estimators.fit.los_dispersion import ZHAI2018_BINS, Errors, LosBin, Mean, los_profile
from haloassay.estimators.halo.halo_potential import (
    HaloLikelihood,
    HaloSampler,
    ZhaiHalo,
    halo_draws,
    halo_rows,
    no_halo_rows,
)

if TYPE_CHECKING:
    from haloassay.contracts.catalogue import Catalogue

#: Rows of a profile, and the likelihood of the halo that it gives, or why it gives none.
Profiled = tuple[list[Estimate], HaloLikelihood | EstimationError]

_LINES: Final = "lines of sight, which do not turn with the stars, are those of the Sun"
#: Checks that a halo with priors, fitted to velocities along lines of sight, does not pass: by what name, and why.
EXPECTED: Final[Mapping[str, str | tuple[str, str]]] = {
    "radii": "the halo that is fitted has priors in mass and concentration",
    "rotation about the axis": _LINES,
    "rotation about the centre": _LINES,
}
ASSUMES: Final = (
    "spherical",
    "equilibrium",
    "non-rotating",
    "known density slope",
    "known baryons",
    "NFW halo",
)


@dataclass(frozen=True)
class LosHalo(Estimator):
    """Settings of both, which their docstrings describe, and the way from a profile to a halo."""

    reference: ClassVar[str] = "2018RAA....18..113Z"
    needs: ClassVar[tuple[str, ...]] = ("vlos",)
    published: ClassVar[dict[str, Any]] = {"sampler": "emcee"}

    bins: tuple[float, ...] = ZHAI2018_BINS
    alpha: float | DensitySlope = -4.0
    beta: float = 0.0
    mean: Mean = "zero"
    deconvolve: bool = False
    errors: Errors = "gaussian"
    r_out: tuple[float, ...] = ()
    min_stars: int = 10
    sampler: HaloSampler = "quadrature"
    n_draws: int = 1000
    halo: ZhaiHalo = field(default_factory=ZhaiHalo)

    def __post_init__(self) -> None:
        check_edges(self.bins)
        require(
            len(self.bins) >= 3,
            f"bins: at least two bins, three edges [kpc] (got {list(self.bins)})",
        )
        check_alpha(self.alpha)
        check_beta(self.beta)
        check_radii("r_out", self.r_out)
        check_least("min_stars", self.min_stars, 5)
        check_least("n_draws", self.n_draws, 2)

    def estimate(self, catalogue: Catalogue, rng: np.random.Generator) -> Estimates:
        """Rows of the profile, enclosed masses, and the halo; a note where no value is."""
        profile = los_profile(
            catalogue,
            self.bins,
            self.n_draws,
            rng,
            min_stars=self.min_stars,
            mean=self.mean,
            deconvolve=self.deconvolve,
            errors=self.errors,
        )
        where = [los_bin.bin.where for los_bin in profile]
        if self.r_out:
            where = places_at(self.r_out)
        rows, likelihood = self.profiled(profile)
        try:
            if isinstance(likelihood, EstimationError):
                raise likelihood
            m200, c200 = halo_draws(likelihood, self.halo, self.sampler, self.n_draws, rng)
        except EstimationError as failure:
            return Estimates(rows + no_halo_rows(where, str(failure)))
        return Estimates(rows + halo_rows(m200, c200, self.halo, where))

    @abstractmethod
    def profiled(self, profile: tuple[LosBin, ...]) -> Profiled:
        """Rows of the bins of a profile, and the likelihood of a halo, or why there is none."""
