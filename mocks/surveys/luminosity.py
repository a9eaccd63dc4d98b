"""Luminosities: absolute magnitudes of a tracer, in the band of the survey's magnitude limits.

A distribution maps uniform deviates to magnitudes, so that cells of a scenario that differ in the
distribution only share their deviates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from haloassay.base import kinds
from haloassay.base.arrays import FloatArray
from haloassay.base.settings import require


@dataclass(frozen=True)
class PowerLawLuminosity:
    """N(M) proportional to 10^(slope M) between two magnitudes, as on the red giant branch.

    Parameters
    ----------
    slope
        Logarithmic slope [dex/mag]; positive where faint stars are more numerous.
    m_min, m_max
        Brightest and faintest absolute magnitude. The defaults are K giants in r.
    """

    slope: float = 0.32
    m_min: float = -3.0
    m_max: float = 2.0

    def __post_init__(self) -> None:
        limits = f"(got m_min = {self.m_min}, m_max = {self.m_max})"
        finite = np.isfinite([self.m_min, self.m_max]).all()
        require(bool(finite) and self.m_min < self.m_max, f"need finite m_min < m_max {limits}")
        exponent = self.slope * (self.m_max - self.m_min)
        require(abs(exponent) < 100.0, f"slope spans more than 100 dex (got {self.slope}) {limits}")

    def absolute_magnitude(self, uniform: FloatArray) -> FloatArray:
        """(N,) magnitudes at the quantiles ``uniform`` (N,) in [0, 1)."""
        k = self.slope * np.log(10.0)
        if k == 0.0:
            return self.m_min + uniform * (self.m_max - self.m_min)
        growth = np.expm1(k * (self.m_max - self.m_min))
        magnitude: FloatArray = self.m_min + np.log1p(uniform * growth) / k
        return magnitude


@dataclass(frozen=True)
class GaussianLuminosity:
    """Gaussian magnitudes, as for a tracer that is nearly a standard candle.

    Parameters
    ----------
    mean, sigma
        Mean and scatter of the absolute magnitude [mag].
    """

    mean: float
    sigma: float

    def __post_init__(self) -> None:
        require(bool(np.isfinite(self.mean)), f"mean must be finite (got {self.mean})")
        require(0.0 <= self.sigma < np.inf, f"sigma must be finite and >= 0 (got {self.sigma})")

    def absolute_magnitude(self, uniform: FloatArray) -> FloatArray:
        """(N,) magnitudes at the quantiles ``uniform`` (N,) in [0, 1)."""
        from scipy.special import ndtri

        # a deviate of exactly 0 occurs once in 2^53; half a step keeps its magnitude finite
        return self.mean + self.sigma * np.asarray(ndtri(np.maximum(uniform, 2.0**-54)))


#: M_g of blue horizontal branch stars as a polynomial in g - r (Deason, Belokurov & Evans 2011).
BHB_POLYNOMIAL: Final = (0.434, -0.169, 2.319, 20.449, 94.517)


@dataclass(frozen=True)
class HorizontalBranchLuminosity:
    """M_g of blue horizontal branch stars by :data:`BHB_POLYNOMIAL`, uniform in colour g - r.

    Parameters
    ----------
    colour_min, colour_max
        Limits of g - r [mag], within -0.3..0 where the polynomial was fitted.
    """

    colour_min: float = -0.3
    colour_max: float = 0.0

    def __post_init__(self) -> None:
        require(
            -0.3 <= self.colour_min < self.colour_max <= 0.0,
            f"need -0.3 <= colour_min < colour_max <= 0 (got {self.colour_min}, {self.colour_max})",
        )

    def absolute_magnitude(self, uniform: FloatArray) -> FloatArray:
        """(N,) magnitudes of the colours at the quantiles ``uniform`` (N,) in [0, 1)."""
        colour = self.colour_min + uniform * (self.colour_max - self.colour_min)
        magnitude = np.polynomial.polynomial.polyval(colour, BHB_POLYNOMIAL)
        return np.asarray(magnitude, dtype=float)


Luminosity = PowerLawLuminosity | GaussianLuminosity | HorizontalBranchLuminosity


def make_luminosity(spec: Any, where: str = "survey.luminosity") -> Luminosity:
    """Make the luminosity that the table ``spec`` describes, of the family ``luminosities``."""
    luminosity: Luminosity = kinds.make("luminosities", spec, where)
    return luminosity
