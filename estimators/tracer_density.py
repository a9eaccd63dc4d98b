"""The density of the tracers: a broken power law under the selection function of the survey."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.errors import EstimationError
from haloassay.contracts.catalogue import SELECTION
from haloassay.contracts.estimate import Estimate, Estimates, Estimator
from haloassay.estimators.bins import (
    DensitySlope,
    check_alpha,
    check_least,
    check_radii,
    density_slope,
    places_at,
)
from haloassay.estimators.fit.density import DensityFit, fit_density
from haloassay.estimators.rows import drawn_row, undetermined_rows

if TYPE_CHECKING:
    from haloassay.contracts.catalogue import Catalogue


@dataclass(frozen=True)
class TracerDensity(Estimator):
    """Slopes, break and flattening of the tracers' density, from where the stars are.

    A (broken) power law of m^2 = x^2 + y^2 + z^2 / q^2, with free slopes and breaks, is fitted to the observed places
    of the stars, given that the survey's footprint, completeness, limits of magnitude and cuts let them pass
    (:mod:`haloassay.estimators.fit.density`); log-normal errors of distances are taken out. The same fit is that of
    ``fit_density`` of other estimators.

    Stars that the survey's cut on [Fe/H] keeps at some heights only are left out, so [Fe/H] must not depend on place.
    Wrong where the distance errors are not those stated, or the density is another one.

    Parameters
    ----------
    alpha
        Slopes and breaks from where the fit starts; it has as many breaks, of the same width.
    radii
        Where the slope of the density, averaged over shells, is told [kpc].
    fit_density
        What is fitted.
    n_draws
        Draws of the posterior.
    """

    name: ClassVar[str] = "tracer-density"
    reference: ClassVar[str] = "2015ApJ...809..144X"
    needs: ClassVar[tuple[str, ...]] = (SELECTION,)
    uses: ClassVar[tuple[str, ...]] = ("feh",)
    assumes: ClassVar[tuple[str, ...]] = (
        "broken power law",
        "axisymmetric",
        "known selection function",
        "[Fe/H] the same everywhere",
    )
    yields: ClassVar[tuple[str, ...]] = ("alpha", "r_break", "axis_ratio")

    alpha: float | DensitySlope = field(
        default_factory=lambda: DensitySlope((-3.0, -4.5), (20.0,), 0.1)
    )
    radii: tuple[float, ...] = (10.0, 50.0)
    fit_density: DensityFit = field(default_factory=DensityFit)
    n_draws: int = 1000

    def __post_init__(self) -> None:
        check_alpha(self.alpha)
        check_radii("radii", self.radii)
        check_least("n_draws", self.n_draws, 2)

    def estimate(self, catalogue: Catalogue, rng: np.random.Generator) -> Estimates:
        """Rows alpha at each radius, r_break of each break, and axis_ratio where it is free; a note where none is."""
        catalogue.check_finite()
        form = density_slope(self.alpha)
        places = places_at(self.radii)
        breaks: list[dict[str, Any]] = [{"bin": k} for k in range(len(form.breaks))]
        try:
            found = fit_density(catalogue, form, self.fit_density, self.n_draws, rng)
        except EstimationError as error:
            note = str(error)
            return Estimates(
                undetermined_rows(("alpha",), note, places)
                + (undetermined_rows(("r_break",), note, breaks) if breaks else [])
                + undetermined_rows(("axis_ratio",), note)
            )
        slopes = found.slopes(self.radii, self.n_draws)
        rows = [_row("alpha", at, place) for at, place in zip(slopes.T, places, strict=True)]
        n = len(form.slopes)
        rows += [
            _row("r_break", at, where)
            for at, where in zip(found.draws[:, n:-1].T, breaks, strict=True)
        ]
        assumed = "" if self.fit_density.axis_ratio == "free" else "it is assumed, not fitted"
        return Estimates([*rows, drawn_row("axis_ratio", found.draws[:, -1], assumed)])


def _row(quantity: str, draws: FloatArray, where: Mapping[str, Any]) -> Estimate:
    return Estimate.from_draws(quantity, draws, **where)
