"""A potential known by a table of its enclosed mass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import ArrayLike

from haloassay.base.arrays import FloatArray
from haloassay.base.constants import G
from haloassay.base.settings import require

#: Radii [kpc] of a table that is made of a function.
_R_MIN: Final = 1e-6
_R_MAX: Final = 1e7
_POINTS_PER_DECADE: Final = 40

#: Within this radius [kpc] a function may fail to be a mass.
_CENTRE: Final = 0.1
#: Slope d ln M / d ln r that no density has: 3 is that of a constant one.
_STEEPEST: Final = 4.0
#: Beyond this radius [kpc] a function may fail to be a mass, as quadratures do far outside a body: from where it
#: falls by this much, the mass is taken as complete.
_OUTSKIRTS: Final = 1e3
_FAILS: Final = 1e-4

#: Largest step in ln r of the nodes of the potential, which keep its derivative to 1e-7.
_STEP: Final = 0.0144


@dataclass(frozen=True)
class MassTable:
    """Spherical potential of a table of enclosed masses.

    ln M is a cubic spline in ln r; inside the table's range M goes as the power of r that it has at
    the first radius, and beyond the last radius the mass is complete.

    Parameters
    ----------
    r
        Radii [kpc], rising, four or more.
    mass
        Mass [Msun] within each of them, positive; expansions may fall again by 1 per cent.
    dark
        Whether it is (part of) the dark halo.
    """

    r: tuple[float, ...]
    mass: tuple[float, ...]
    dark: bool = False

    #: Part of the mass that may be missing again further out: expansions have negative densities.
    may_fall: ClassVar[float] = 0.01

    def __post_init__(self) -> None:
        r, mass = np.array(self.r, dtype=float), np.array(self.mass, dtype=float)
        require(len(r) >= 4, f"r needs 4 radii or more (got {len(r)})")
        require(len(r) == len(mass), f"r and mass differ in length ({len(r)} and {len(mass)})")
        finite = bool(np.all(np.isfinite(r)) and np.all(np.isfinite(mass)))
        require(finite, "r and mass must be finite")
        require(bool(r[0] > 0.0 and np.all(np.diff(r) > 0.0)), "r must rise from above zero")
        require(bool(mass[0] > 0.0), f"mass must be positive (got {mass[0]:g})")
        falls = mass < (1.0 - self.may_fall) * np.maximum.accumulate(mass)
        require(not falls.any(), f"mass must not fall (it does before {r[falls.argmax()]:g} kpc)")
        between = 0.5 * np.log(r[1:] * r[:-1])
        wiggles = self._log_mass(between, 1) < -self.may_fall / np.diff(np.log(r))
        place = f"{np.exp(between[wiggles.argmax()]):g} kpc"
        require(not wiggles.any(), f"the spline through mass falls near {place}: add radii")

    @classmethod
    def of(
        cls,
        enclosed_mass: Callable[[FloatArray], FloatArray],
        dark: bool = False,
        r_max: float = _R_MAX,
        centre: float = _CENTRE,
    ) -> Self:
        """Tabulate a function of radius [kpc] at 40 radii a decade from 1e-6 kpc to ``r_max``.

        Where the mass is smooth, interpolation is good to 1e-7. The table begins further out where
        a function (an expansion that is cut off) has no positive mass, or one that rises faster
        than any density makes it, in the innermost ``centre`` kpc, and ends where it fails beyond 1000 kpc.

        Raises
        ------
        InputError
            If the mass further out is not positive, or falls.
        """
        n = round(np.log10(r_max / _R_MIN) * _POINTS_PER_DECADE) + 1
        r = np.geomspace(_R_MIN, r_max, n)
        mass = np.asarray(enclosed_mass(r), dtype=float)
        fails = ~(mass >= (1.0 - _FAILS) * np.fmax.accumulate(mass)) & (r > _OUTSKIRTS)
        n = int(fails.argmax()) if fails.any() else n
        r, mass = r[:n], mass[:n]
        positive = np.isfinite(mass) & (mass > 0.0)
        power = np.diff(np.log(np.where(positive, mass, 1.0))) / np.diff(np.log(r))
        sound = positive & (np.append(power, 0.0) < _STEEPEST)
        first = n - int(np.argmin(sound[::-1])) if not sound.all() else 0
        bad = f"{r[first - 1]:g} kpc"
        require(r[min(first, n - 1)] <= centre, f"no sound mass: not positive within {bad}")
        return cls(tuple(r[first:].tolist()), tuple(mass[first:].tolist()), dark)

    def enclosed_mass(self, r: ArrayLike) -> FloatArray:
        """Mass [Msun] within ``r`` [kpc]."""
        x, clipped = self._log_radius(r)
        inside = self._inner_power * np.minimum(x - np.log(self.r[0]), 0.0)
        return np.asarray(np.exp(self._log_mass(clipped) + inside), dtype=float)

    def potential(self, r: ArrayLike) -> FloatArray:
        """Potential [(km/s)^2] at ``r`` [kpc]."""
        x, clipped = self._log_radius(r)
        beyond = np.exp(np.maximum(x - np.log(self.r[-1]), 0.0))
        deeper = np.minimum(x - np.log(self.r[0]), 0.0)
        power = self._inner_power - 1.0
        # int_r^r0 G M / r^2 dr of M ~ r^(power + 1)
        rise = -deeper if abs(power) < 1e-9 else -np.expm1(power * deeper) / power
        edge = G * self.mass[0] / self.r[0]
        return np.asarray(self._potential(clipped) / beyond - edge * rise, dtype=float)

    def density(self, r: ArrayLike) -> FloatArray:
        """Density [Msun/kpc^3] at ``r`` [kpc], not negative; none beyond the table."""
        x, clipped = self._log_radius(r)
        power = np.where(x > np.log(self.r[-1]), 0.0, self._log_mass(clipped, 1))
        shell = 4.0 * np.pi * np.asarray(r, dtype=float) ** 3
        return np.asarray(np.maximum(power, 0.0) * self.enclosed_mass(r) / shell, dtype=float)

    def _log_radius(self, r: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Return ln r, and ln r within the table's range."""
        x = np.log(np.asarray(r, dtype=float))
        return x, np.clip(x, np.log(self.r[0]), np.log(self.r[-1]))

    @cached_property
    def _inner_power(self) -> float:
        """D ln M / d ln r at the first radius."""
        return float(self._log_mass(np.log(self.r[0]), 1))

    @cached_property
    def _log_mass(self) -> Any:
        """Spline of ln M in ln r."""
        from scipy.interpolate import CubicSpline

        return CubicSpline(np.log(self.r), np.log(self.mass))

    @cached_property
    def _potential(self) -> Any:
        """Spline of the potential in ln r, whose derivative is G M / r."""
        from scipy.interpolate import CubicHermiteSpline

        x, log_mass = np.log(self.r), self._log_mass
        nodes, weights = np.polynomial.legendre.leggauss(6)
        n_parts = int(np.ceil(np.diff(x).max() / _STEP))
        parts = np.linspace(x[:-1], x[1:], n_parts, endpoint=False, axis=1)
        fine = np.append(parts.ravel(), x[-1])
        step = np.diff(fine)
        inside = fine[:-1, None] + 0.5 * step[:, None] * (nodes + 1.0)
        gain = 0.5 * step * (G * np.exp(log_mass(inside) - inside) @ weights)
        edge = -G * self.mass[-1] / self.r[-1]
        values = edge - np.concatenate([np.cumsum(gain[::-1])[::-1], [0.0]])
        rise = G * np.exp(log_mass(fine) - fine)
        return CubicHermiteSpline(fine, values, rise)
