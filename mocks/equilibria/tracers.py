"""Number densities of tracer populations: ln rho and its slope as functions of radius.

Radii in kpc; normalisations are arbitrary, because only the shape of a tracer's density enters
its kinematics. Slopes are d ln rho / d ln r, negative for a density that falls outwards.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
from numpy.typing import ArrayLike

from haloassay.base import kinds
from haloassay.base.arrays import FloatArray
from haloassay.base.settings import require
from haloassay.contracts import profiles

if TYPE_CHECKING:
    from scipy.interpolate import PchipInterpolator


class Density(Protocol):
    """A spherical tracer density."""

    def log_density(self, r: ArrayLike) -> FloatArray:
        """Natural logarithm of rho at ``r`` [kpc], arbitrarily normalised; the shape of ``r``."""

    def slope(self, r: ArrayLike) -> FloatArray:
        """Logarithmic slope d ln rho / d ln r at ``r`` [kpc]; the shape of ``r``."""


def make_density(spec: Mapping[str, Any], where: str = "mock.density") -> Density:
    """Density of a table with a key ``kind`` and that kind's settings.

    Raises
    ------
    InputError
        If the kind or a setting is unknown, missing or out of range; ``where`` names the place.
    """
    made = kinds.make("densities", spec, where)
    return made.density() if isinstance(made, PowerLaw) else cast("Density", made)


@dataclass(frozen=True)
class PowerLaw:
    """Settings of a scale-free density rho ~ r^slope, e.g. slope -4 (Zhai et al. 2018).

    Its profile is that of a broken power law without breaks: :meth:`density`.

    Parameters
    ----------
    slope
        d ln rho / d ln r, negative.
    """

    slope: float

    def __post_init__(self) -> None:
        _require_slopes("slope", self.slope)

    def density(self) -> BrokenPowerLaw:
        """Density of this slope."""
        return BrokenPowerLaw((self.slope,), ())


@dataclass(frozen=True)
class BrokenPowerLaw:
    """Power law with any number of breaks; three slopes make a triple power law.

    Parameters
    ----------
    slopes
        d ln rho / d ln r of the K + 1 pieces from inside out, negative.
    breaks
        K break radii [kpc], rising.
    width
        Scale of the breaks in ln r; 0 breaks sharply.
    """

    slopes: tuple[float, ...]
    breaks: tuple[float, ...]
    width: float = 0.1

    def __post_init__(self) -> None:
        require(
            len(self.slopes) == len(self.breaks) + 1,
            f"slopes must be one more than breaks (got {len(self.slopes)} and {len(self.breaks)})",
        )
        _require_slopes("slopes", *self.slopes)
        _require_rising("breaks", self.breaks)
        require(0.0 <= self.width < np.inf, f"width must be zero or positive (got {self.width:g})")

    @property
    def knots(self) -> tuple[float, ...]:
        """Radii [kpc] at and around the breaks, where an integrator needs a finer grid."""
        steps = np.exp(self.width * np.arange(-16, 17)) if self.width > 0.0 else np.ones(1)
        return tuple(np.outer(self.breaks, steps).ravel().tolist())

    def log_density(self, r: ArrayLike) -> FloatArray:
        """Natural logarithm of rho at ``r`` [kpc]."""
        return profiles.power_law_log_density(r, self.slopes, self.breaks, self.width)

    def slope(self, r: ArrayLike) -> FloatArray:
        """Logarithmic slope d ln rho / d ln r at ``r`` [kpc]."""
        return profiles.power_law_slope(r, self.slopes, self.breaks, self.width)


@dataclass(frozen=True)
class Einasto:
    """Einasto profile ln rho = -d_n [(r / r_eff)^(1/n) - 1] (Merritt et al. 2006, eq. 22 to 24).

    ``r_eff`` holds half of the mass, with d_n = 3 n - 1/3 + 0.0079 / n, as Xue et al. (2015) fit
    to K giants.

    Parameters
    ----------
    n
        Concentration index, at least 0.5.
    r_eff
        Half-mass radius [kpc].
    """

    n: float
    r_eff: float

    def __post_init__(self) -> None:
        require(0.5 <= self.n < np.inf, f"n must be at least 0.5 (got {self.n:g})")
        _require_positive("r_eff", self.r_eff)

    @property
    def d_n(self) -> float:
        """Coefficient that makes ``r_eff`` the half-mass radius."""
        return 3.0 * self.n - 1.0 / 3.0 + 0.0079 / self.n

    def log_density(self, r: ArrayLike) -> FloatArray:
        """Natural logarithm of rho at ``r`` [kpc]."""
        return -self.d_n * ((np.asarray(r, dtype=float) / self.r_eff) ** (1.0 / self.n) - 1.0)

    def slope(self, r: ArrayLike) -> FloatArray:
        """Logarithmic slope d ln rho / d ln r at ``r`` [kpc]."""
        return -self.d_n / self.n * (np.asarray(r, dtype=float) / self.r_eff) ** (1.0 / self.n)


@dataclass(frozen=True)
class Plummer:
    """Plummer (1911) profile rho ~ (1 + r^2 / a^2)^(-5/2).

    Parameters
    ----------
    a
        Scale radius [kpc].
    """

    a: float

    def __post_init__(self) -> None:
        _require_positive("a", self.a)

    def log_density(self, r: ArrayLike) -> FloatArray:
        """Natural logarithm of rho at ``r`` [kpc]."""
        return -2.5 * np.log1p((np.asarray(r, dtype=float) / self.a) ** 2)

    def slope(self, r: ArrayLike) -> FloatArray:
        """Logarithmic slope d ln rho / d ln r at ``r`` [kpc]."""
        return -5.0 / (1.0 + (self.a / np.asarray(r, dtype=float)) ** 2)


@dataclass(frozen=True)
class Hernquist:
    """Hernquist (1990) profile rho ~ 1 / [x (1 + x)^3], x = r / a.

    Parameters
    ----------
    a
        Scale radius [kpc].
    """

    a: float

    def __post_init__(self) -> None:
        _require_positive("a", self.a)

    def log_density(self, r: ArrayLike) -> FloatArray:
        """Natural logarithm of rho at ``r`` [kpc]."""
        return _double_power(r, self.a, 3.0)

    def slope(self, r: ArrayLike) -> FloatArray:
        """Logarithmic slope d ln rho / d ln r at ``r`` [kpc]."""
        return _double_power_slope(r, self.a, 3.0)


@dataclass(frozen=True)
class NFW:
    """Navarro, Frenk & White (1997) profile rho ~ 1 / [x (1 + x)^2], x = r / r_s.

    Parameters
    ----------
    r_s
        Scale radius [kpc].
    """

    r_s: float

    def __post_init__(self) -> None:
        _require_positive("r_s", self.r_s)

    def log_density(self, r: ArrayLike) -> FloatArray:
        """Natural logarithm of rho at ``r`` [kpc]."""
        return _double_power(r, self.r_s, 2.0)

    def slope(self, r: ArrayLike) -> FloatArray:
        """Logarithmic slope d ln rho / d ln r at ``r`` [kpc]."""
        return _double_power_slope(r, self.r_s, 2.0)


@dataclass(frozen=True)
class TabulatedDensity:
    """Tabulated density: monotone cubics in ln rho against ln r, power laws outside the table.

    Parameters
    ----------
    r
        (K,) radii [kpc], rising, at least 2.
    rho
        (K,) densities, positive, in any unit.
    """

    r: tuple[float, ...]
    rho: tuple[float, ...]

    def __post_init__(self) -> None:
        require(
            len(self.r) == len(self.rho) >= 2,
            f"r and rho must be of one length, at least 2 (got {len(self.r)} and {len(self.rho)})",
        )
        _require_rising("r", self.r)
        _require_positive("rho", *self.rho)

    @property
    def knots(self) -> tuple[float, ...]:
        """Radii [kpc] where the third derivative jumps."""
        return self.r

    @cached_property
    def _spline(self) -> PchipInterpolator:
        from scipy.interpolate import PchipInterpolator

        return PchipInterpolator(np.log(self.r), np.log(self.rho), extrapolate=False)

    @cached_property
    def _end_slopes(self) -> FloatArray:
        return np.asarray(self._spline(np.log([self.r[0], self.r[-1]]), 1), dtype=float)

    def log_density(self, r: ArrayLike) -> FloatArray:
        """Natural logarithm of rho at ``r`` [kpc]."""
        x = np.log(np.asarray(r, dtype=float))
        inside = np.clip(x, np.log(self.r[0]), np.log(self.r[-1]))
        tail = np.where(x < inside, *self._end_slopes) * (x - inside)
        return np.asarray(self._spline(inside) + tail, dtype=float)

    def slope(self, r: ArrayLike) -> FloatArray:
        """Logarithmic slope d ln rho / d ln r at ``r`` [kpc]."""
        x = np.clip(np.log(np.asarray(r, dtype=float)), np.log(self.r[0]), np.log(self.r[-1]))
        return np.asarray(self._spline(x, 1), dtype=float)


def _double_power(r: ArrayLike, scale: float, outer: float) -> FloatArray:
    """Natural logarithm of 1 / [x (1 + x)^outer], x = r / scale."""
    x = np.asarray(r, dtype=float) / scale
    return -np.log(x) - outer * np.log1p(x)


def _double_power_slope(r: ArrayLike, scale: float, outer: float) -> FloatArray:
    """Logarithmic slope of :func:`_double_power`."""
    r = np.asarray(r, dtype=float)
    return -1.0 - outer * r / (r + scale)


def _require_positive(name: str, *values: float) -> None:
    for value in values:
        require(0.0 < value < np.inf, f"{name} must be positive and finite (got {value:g})")


def _require_slopes(name: str, *values: float) -> None:
    for value in values:
        require(
            -np.inf < value < 0.0,
            f"{name} must be negative, the d ln rho / d ln r of a falling density (got {value:g})",
        )


def _require_rising(name: str, values: tuple[float, ...]) -> None:
    _require_positive(name, *values)
    require(
        all(a < b for a, b in itertools.pairwise(values)),
        f"{name} must rise (got {list(values)})",
    )
