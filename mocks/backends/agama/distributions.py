"""Distribution functions of agama (Vasiliev 2019, MNRAS 482, 1525) as settings of a mock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike

from haloassay.base.arrays import FloatArray
from haloassay.base.settings import require
from haloassay.mocks.chemistry import HALO_FEH, Abundance
from haloassay.mocks.equilibria.anisotropy import (
    Constant,
    FunctionAnisotropy,
    OsipkovMerrittProfile,
)
from haloassay.mocks.equilibria.tracers import Density
from haloassay.mocks.gravity.shapes import require_axis_ratios
from haloassay.mocks.populations import require_label

#: Kinds of distribution function, and a line on each.
DISTRIBUTIONS: Final = {
    "quasi-spherical": "of a density, and a beta that is constant or of Osipkov, Merritt and Cuddeford",
    "double-power-law": "of actions",
    "schwarzschild": "none: an orbit library of a density, which may be triaxial, and any beta",
}

#: A density is cut off by these factors inside and outside the range, so that its mass is finite.
_INSIDE, _OUTSIDE = 8.0, 8.0


@dataclass(frozen=True)
class CutDensity:
    """A density that is shallower far inside a range and steeper far outside it.

    Parameters
    ----------
    density
        The same to 1e-4 within the range.
    r_range
        The range [kpc].
    centre
        Slope -d ln rho / d ln r that it may have in the centre.
    """

    density: Density
    r_range: tuple[float, float]
    centre: float

    def log_density(self, r: ArrayLike) -> FloatArray:
        """Natural logarithm of rho at ``r`` [kpc]."""
        inside, outside = self.r_range[0] / _INSIDE, _OUTSIDE * self.r_range[1]
        steep = -self.density.slope(np.array([inside, outside]))
        shallower, steeper = max(0.0, steep[0] - self.centre), max(0.0, 5.0 - steep[1])
        r = np.asarray(r, dtype=float)
        cut = shallower * np.log1p((inside / r) ** 4) + steeper * np.log1p((r / outside) ** 4)
        return np.asarray(self.density.log_density(r) - 0.25 * cut, dtype=float)


@dataclass(frozen=True)
class QuasiSpherical:
    """f(E, L) by inversion of a density, with beta(r) = (beta0 + (r / r_a)^2) / (1 + (r / r_a)^2).

    Parameters
    ----------
    density
        Wanted density of the tracers.
    function
        Their beta: a constant, or one of Osipkov, Merritt and Cuddeford.
    """

    density: Density
    function: Constant | OsipkovMerrittProfile

    @property
    def anisotropy(self) -> FunctionAnisotropy:
        """Wanted beta."""
        return FunctionAnisotropy(self.function)

    @property
    def beta0(self) -> float:
        """Anisotropy in the centre."""
        return float(self.function(np.zeros(1))[0])

    def cut(self, r_range: tuple[float, float]) -> CutDensity:
        """Density of finite mass; a centre shallower than 2 beta0 has no such distribution function."""
        return CutDensity(self.density, r_range, max(1.0, 2.0 * self.beta0 + 0.2))

    def distribution(self, agama: Any, pot: Any, r_range: tuple[float, float]) -> Any:
        """Agama's distribution function in ``pot`` of stars around ``r_range`` [kpc]."""
        cut = self.cut(r_range)
        middle = float(cut.log_density(np.sqrt(r_range[0] * r_range[1])))

        def density(x: FloatArray) -> FloatArray:
            r = np.maximum(np.linalg.norm(x, axis=1), 1e-12)
            return np.asarray(np.exp(cut.log_density(r) - middle), dtype=float)

        settings = {"beta0": self.beta0}
        if isinstance(self.function, OsipkovMerrittProfile):
            settings["r_a"] = self.function.r_a
        return agama.DistributionFunction(
            type="QuasiSpherical",
            potential=pot,
            density=agama.Density(density, symmetry="s"),
            **settings,
        )


#: Largest action [kpc km/s] and steepest slope that are no slip of the pen (choice).
_LARGEST_ACTION: Final = 1e7
_STEEPEST: Final = 100.0


@dataclass(frozen=True)
class DoublePowerLaw:
    """f(J) ~ [1 + (j0 / h)^s]^(slope_in / s) [1 + (g / j0)^s]^(-slope_out / s) of actions J.

    h and g are weighted sums of J_r, J_z and abs(J_phi) whose weights, below, and 3 minus them, make the
    anisotropy and flattening within and beyond j0. Actions in kpc km/s.

    Parameters
    ----------
    j0
        Action of the break.
    slope_in, slope_out
        Below 3; above 3.
    steepness
        The s of the formula: how sharp the break is.
    coef_jr_in, coef_jz_in, coef_jr_out, coef_jz_out
        Weights of J_r and J_z; those of abs(J_phi) are 3 minus both. None may be negative.
    j_cutoff, cutoff_strength
        A factor exp[-(g / j_cutoff)^cutoff_strength]; none where ``j_cutoff`` is 0.
    rot_frac
        Share of the odd part in J_phi, -1 to 1: negative is prograde.
    """

    j0: float
    slope_in: float
    slope_out: float
    steepness: float = 1.0
    coef_jr_in: float = 1.0
    coef_jz_in: float = 1.0
    coef_jr_out: float = 1.0
    coef_jz_out: float = 1.0
    j_cutoff: float = 0.0
    cutoff_strength: float = 2.0
    rot_frac: float = 0.0

    def __post_init__(self) -> None:
        for name, most in (
            ("j0", _LARGEST_ACTION),
            ("steepness", 100.0),
            ("cutoff_strength", 100.0),
        ):
            value = getattr(self, name)
            require(
                0.0 < value <= most, f"{name} must be above 0 and at most {most:g} (got {value:g})"
            )
        for name in ("slope_in", "slope_out"):
            value = getattr(self, name)
            require(
                abs(value) <= _STEEPEST, f"{name} must be within +-{_STEEPEST:g} (got {value:g})"
            )
        require(self.slope_in < 3.0, f"slope_in must be below 3 (got {self.slope_in:g})")
        require(
            self.slope_out > 3.0 or self.j_cutoff > 0.0,
            f"slope_out must be above 3 (got {self.slope_out:g}), or j_cutoff positive",
        )
        require(
            0.0 <= self.j_cutoff <= _LARGEST_ACTION,
            f"j_cutoff must be 0 to {_LARGEST_ACTION:g} (got {self.j_cutoff:g})",
        )
        require(-1.0 <= self.rot_frac <= 1.0, f"rot_frac must be in [-1, 1] (got {self.rot_frac})")
        for where in ("in", "out"):
            jr, jz = getattr(self, f"coef_jr_{where}"), getattr(self, f"coef_jz_{where}")
            require(
                min(jr, jz) >= 0.0 and jr + jz <= 3.0,
                f"coef_jr_{where} and coef_jz_{where} must not be negative, nor sum to more than 3"
                f" (got {jr:g} and {jz:g})",
            )

    def distribution(self, agama: Any, pot: Any, r_range: tuple[float, float]) -> Any:
        """Agama's distribution function; the same in any potential and range."""
        settings = {name.replace("_", ""): value for name, value in asdict(self).items()}
        return agama.DistributionFunction(type="DoublePowerLaw", mass=1.0, **settings)


@dataclass(frozen=True)
class Schwarzschild:
    """An orbit library whose weights give a density, and where wanted a beta, in shells.

    Parameters
    ----------
    axis_ratios
        b/a and c/a of the tracers' density, each in (0, 1].
    tilt
        Yaw, pitch and roll [deg] of its axes, see :func:`haloassay.mocks.gravity.shapes.rotation_matrix`; those
        of the potential, where that is not round.
    orbits
        In the library.
    periods
        Time for which an orbit is followed, in periods of the circular orbit of its energy.
    shells
        In which density and beta are constraints, from a third of ``r_range`` to 2.5 times it; a shell has 3
        cells, or 12 where the density is not round.
    size
        Stars of the population; no realisation can see more.
    drift_time
        Further time [Gyr] over which the moments are tested for drift.
    """

    axis_ratios: tuple[float, float] = (1.0, 1.0)
    tilt: tuple[float, float, float] = (0.0, 0.0, 0.0)
    orbits: int = 5000
    periods: float = 50.0
    shells: int = 20
    size: int = 100_000
    drift_time: float = 3.0

    def __post_init__(self) -> None:
        require_axis_ratios(*self.axis_ratios)
        limits = {
            "orbits": (100, 200_000),
            "periods": (10.0, 1e4),
            "shells": (4, 100),
            "size": (1000, 10_000_000),
            "drift_time": (1e-3, 100.0),
        }
        for name, (lo, hi) in limits.items():
            value = getattr(self, name)
            require(lo <= value <= hi, f"{name} must be in [{lo:g}, {hi:g}] (got {value:g})")


@dataclass(frozen=True)
class AgamaSampling:
    """Settings of a population of a mock of kind ``agama`` beside its potential and distribution function.

    Parameters
    ----------
    r_range
        Radii [kpc] between which there are stars; the truth is stated there.
    tolerance
        Largest miss of the wanted density (as a fraction) and anisotropy (absolute) that passes; agama's
        moments are good to 0.002.
    name
        What to call the population; estimates of components are compared with those called ``mr`` and ``mp``.
    feh, alpha_fe
        Distributions of [Fe/H] and [alpha/Fe]; none leaves [alpha/Fe] out of the catalogue.
    fraction
        Share of all stars. One population may be without: it has the rest.
    """

    r_range: tuple[float, float] = (1.0, 300.0)
    tolerance: float = 0.02
    name: str = "halo"
    feh: Abundance = HALO_FEH
    alpha_fe: Abundance | None = None
    # how many there are of them does not change the stars of a population: they stay in the cache
    fraction: float | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        require_label(self.name, self.fraction)
        lo, hi = self.r_range
        require(
            0.0 < lo < hi < np.inf, f"r_range must rise from above zero (got {list(self.r_range)})"
        )
        require(0.0 < self.tolerance < 1.0, f"tolerance must be in (0, 1) (got {self.tolerance})")

    @property
    def abundances(self) -> Mapping[str, bool | None]:
        """Which of ``feh`` and ``alpha_fe`` its stars have."""
        return {"feh": True, "alpha_fe": self.alpha_fe is not None}


Distribution = QuasiSpherical | DoublePowerLaw
