"""The inner slope of the tracers that a circular velocity allows: how Bird et al. (2022) choose theirs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from haloassay.base.errors import EstimationError
from haloassay.base.settings import require
from haloassay.estimators.bins import Bin, DensitySlope
from haloassay.estimators.fit.density import FittedDensity

#: Steepest inner slope that is tried.
_STEEPEST: Final = -12.0

Density = DensitySlope | FittedDensity


@dataclass(frozen=True)
class InnerVc:
    """Limits of the circular velocity that the method itself finds near the Sun.

    Where it is outside, the innermost slope of the density is moved to the nearest value that brings it to the limit
    (Bird et al. 2022, sections 4.2 and 5.3 and appendix); all draws of a fitted density are moved alike.

    Parameters
    ----------
    r
        Radius [kpc]; v_c is that of the bin that holds it, at the bin's median radius.
    limits
        Lowest and highest v_c [km/s].
    """

    r: float = 10.0
    limits: tuple[float, float] = (200.0, 250.0)

    def __post_init__(self) -> None:
        require(self.r > 0.0, f"r: above 0 (got {self.r:g})")
        lo, hi = self.limits
        require(0.0 < lo < hi, f"limits: two ascending velocities above 0 (got {[lo, hi]})")

    def holder(self, bins: list[Bin]) -> int:
        """Which of the bins holds the radius.

        Raises
        ------
        EstimationError
            If none does.
        """
        for k, each in enumerate(bins):
            if each.r_lo <= self.r < each.r_hi:
                return k
        raise EstimationError(f"inner_vc: no bin with a value holds {self.r:g} kpc")

    def adjust(self, density: Density, r: float, square: float, per_slope: float) -> Density:
        """Density whose slope at ``r`` gives a v_c within the limits.

        Parameters
        ----------
        density
            As it is.
        r
            Radius [kpc] of v_c.
        square, per_slope
            v_c^2 at ``r`` with the density as it is, and by how much it rises with the slope there [(km/s)^2].

        Raises
        ------
        EstimationError
            If no inner slope does.
        """
        wanted = float(np.clip(square, self.limits[0] ** 2, self.limits[1] ** 2))
        if wanted == square:
            return density
        target = float(density.slope(r)) + (wanted - square) / per_slope
        first = _form(density).slopes[0]

        def off(shift: float) -> float:
            return float(_moved(density, shift).slope(r)) - target

        ends = _STEEPEST - first, -1e-6 - first
        if off(ends[0]) * off(ends[1]) > 0.0:
            raise EstimationError(
                f"inner_vc: no inner slope gives v_c = {np.sqrt(wanted):g} km/s at {r:.3g} kpc"
            )
        from scipy.optimize import brentq

        return _moved(density, float(brentq(off, *ends, xtol=1e-8)))


def _form(density: Density) -> DensitySlope:
    return density.form if isinstance(density, FittedDensity) else density


def _moved(density: Density, shift: float) -> Density:
    """Density with another innermost slope."""
    form = _form(density)
    form = replace(form, slopes=(form.slopes[0] + shift, *form.slopes[1:]))
    if not isinstance(density, FittedDensity):
        return form
    draws = density.draws.copy()
    draws[:, 0] = np.minimum(draws[:, 0] + shift, -1e-6)
    return replace(density, form=form, draws=draws)
