"""What is true of a mock halo, callable at any radius, and averaged as an estimator averages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from haloassay.errors import InputError
from haloassay.estimate import BIN_AVERAGES, QUANTITIES
from haloassay.mocks.potentials import CompositePotential, Virial

FloatArray = NDArray[np.float64]
Profile = Callable[[ArrayLike], FloatArray]

#: Profiles of radius, by the names that estimates have.
PROFILES: Final = (
    "enclosed_mass",
    "v_c",
    "sigma_r",
    "sigma_theta",
    "sigma_phi",
    "beta",
    "mean_v_r",
    "mean_v_theta",
    "mean_v_phi",
)
_MEANS: Final = ("mean_v_r", "mean_v_theta", "mean_v_phi")

#: What a halo that is spherical and at rest has none of.
ABSENT: Final = frozenset(
    [
        "asymmetry",
        "mean_v_r_north",
        "mean_v_r_south",
        "mean_v_theta_predicted",
        "mu_compr",
        "mu_dipole",
        "v_travel",
    ]
)


@runtime_checkable
class LogDensity(Protocol):
    """Anything with ln rho."""

    def log_density(self, r: ArrayLike) -> FloatArray:
        """Natural logarithm of rho at ``r`` [kpc]."""


class Solution(Protocol):
    """Moments of a solved population, tabulated."""

    @property
    def radius(self) -> FloatArray:
        """(K,) radii [kpc], rising."""

    @property
    def sigma_r(self) -> FloatArray:
        """(K,) radial velocity dispersions [km/s]."""

    @property
    def beta(self) -> FloatArray:
        """(K,) anisotropies."""


def _zero(r: ArrayLike) -> FloatArray:
    return np.zeros(np.shape(r))


@dataclass(frozen=True, eq=False)
class Truth:
    """Truth of a spherical halo and its tracers.

    Profiles of the tracers are NaN outside ``r_range``: nothing is said of them there.

    Parameters
    ----------
    potential
        Gives enclosed mass, circular velocity, and the virial numbers of the dark halo.
    density
        rho(r), arbitrarily normalised.
    sigma_r, beta
        Radial velocity dispersion [km/s] and anisotropy, as functions of radius [kpc].
    r_range
        Radii [kpc] between which the tracers' profiles are defined.
    mean_v_r, mean_v_theta, mean_v_phi
        Mean velocities [km/s] as functions of radius; zero by default.
    """

    potential: CompositePotential
    density: Profile
    sigma_r: Profile
    beta: Profile
    r_range: tuple[float, float] = (0.0, np.inf)
    mean_v_r: Profile = _zero
    mean_v_theta: Profile = _zero
    mean_v_phi: Profile = _zero

    def __post_init__(self) -> None:
        for name in ("density", "sigma_r", "beta", *_MEANS):
            object.__setattr__(self, name, _within(getattr(self, name), self.r_range))

    @classmethod
    def of(
        cls,
        potential: CompositePotential,
        density: LogDensity,
        solution: Solution,
        r_min: float,
        r_max: float,
    ) -> Truth:
        """Truth of what was solved: cubic splines of ln sigma_r and beta against ln r.

        Parameters
        ----------
        potential
            In which it was solved.
        density
            The tracers' density; that of ``solution`` takes its place where it has one.
        solution
            Moments at radii that reach from ``r_min`` to ``r_max`` [kpc], up to half a step.
        r_min, r_max
            Range in which the truth is stated.
        """
        own = solution if isinstance(solution, LogDensity) else density
        log_sigma = _spline(solution.radius, np.log(solution.sigma_r))
        return cls(
            potential,
            lambda r: np.exp(own.log_density(r)),
            lambda r: np.exp(log_sigma(r)),
            _spline(solution.radius, solution.beta),
            (r_min, r_max),
        )

    def enclosed_mass(self, r: ArrayLike) -> FloatArray:
        """Mass [Msun] of everything within ``r`` [kpc]."""
        return self.potential.enclosed_mass(r)

    def v_c(self, r: ArrayLike) -> FloatArray:
        """Circular velocity [km/s] at ``r`` [kpc]."""
        return self.potential.circular_velocity(r)

    def sigma_theta(self, r: ArrayLike) -> FloatArray:
        """Velocity dispersion [km/s] in latitude at ``r`` [kpc]."""
        return np.asarray(self.sigma_r(r) * np.sqrt(1.0 - self.beta(r)), dtype=float)

    def sigma_phi(self, r: ArrayLike) -> FloatArray:
        """Velocity dispersion [km/s] in azimuth at ``r`` [kpc]."""
        return self.sigma_theta(r)

    @cached_property
    def virial(self) -> Virial:
        """Virial mass, radius and concentration of the dark halo."""
        return self.potential.virial()

    @property
    def m200(self) -> float:
        """Virial mass [Msun] of the dark halo."""
        return self.virial.m200

    @property
    def r200(self) -> float:
        """Virial radius [kpc] of the dark halo."""
        return self.virial.r200

    @property
    def c200(self) -> float:
        """Concentration of the dark halo."""
        return self.virial.c200

    def value(
        self,
        quantity: str,
        r: float = np.nan,
        r_lo: float = np.nan,
        r_hi: float = np.nan,
        radii: ArrayLike | None = None,
    ) -> float:
        """Return the true value that an estimate of ``quantity`` is compared with.

        Parameters
        ----------
        quantity
            Name as in :data:`haloassay.estimate.QUANTITIES`.
        r
            Radius [kpc] of a value at one radius.
        r_lo, r_hi
            Edges [kpc] of a radial bin. Dispersions, anisotropy and means are then those of all
            stars in the bin: root of the mean sigma^2, beta of the mean squares, mean of the means.
        radii
            (N,) true radii [kpc] of the surveyed stars, to average over those in the bin; without
            them, the tracers' own density is the weight.

        Returns
        -------
        float
            NaN where the truth is not defined: another quantity, no radius, a radius outside
            ``r_range``, a bin without stars, a potential without a dark halo.
        """
        if quantity in Virial._fields:
            return float(getattr(self.virial, quantity))
        if quantity in ABSENT:
            return 0.0
        if quantity not in PROFILES:
            return np.nan
        if quantity in BIN_AVERAGES and np.isfinite(r_lo) and np.isfinite(r_hi):
            return self._bin_average(quantity, *self._weighted_radii(r_lo, r_hi, radii))
        if not (np.isfinite(r) and r > 0.0):
            return np.nan
        return float(getattr(self, quantity)(r))

    def to_dict(self, r: ArrayLike) -> dict[str, Any]:
        """Plain values for a JSON file: profiles at ``r`` [kpc], virial numbers, units.

        Undefined values are null.

        Raises
        ------
        InputError
            If a radius is not positive and finite.
        """
        r = np.atleast_1d(np.asarray(r, dtype=float))
        if not np.all((r > 0.0) & np.isfinite(r)):
            raise InputError("truth: radii must be positive and finite")
        names = ("density", *PROFILES)
        lo, hi = self.r_range
        return {
            "potential": self.potential.describe(),
            "units": {"r": "kpc", "density": "arbitrary"}
            | {name: quantity.unit for name, quantity in QUANTITIES.items()},
            "r_range": [lo, hi if np.isfinite(hi) else None],
            **{name: _plain(value) for name, value in self.virial._asdict().items()},
            "r": r.tolist(),
            **{name: [_plain(v) for v in getattr(self, name)(r)] for name in names},
        }

    def _weighted_radii(
        self, r_lo: float, r_hi: float, radii: ArrayLike | None
    ) -> tuple[FloatArray, FloatArray]:
        """Radii in a bin and their weights: the given ones, or nodes weighted by r^3 rho dln r."""
        if radii is not None:
            radii = np.asarray(radii, dtype=float)
            inside = radii[(radii >= r_lo) & (radii < r_hi)]
            return inside, np.ones(len(inside))
        lo, hi = max(r_lo, self.r_range[0]), min(r_hi, self.r_range[1])
        if not 0.0 < lo < hi:
            return np.empty(0), np.empty(0)
        t, weights = np.polynomial.legendre.leggauss(128)
        r = np.sqrt(lo * hi) * np.exp(0.5 * t * np.log(hi / lo))
        return r, weights * r**3 * self.density(r)

    def _bin_average(self, quantity: str, r: FloatArray, weights: FloatArray) -> float:
        if len(r) == 0:
            return np.nan
        if quantity in _MEANS:
            return float(np.average(getattr(self, quantity)(r), weights=weights))
        if quantity == "beta":
            radial = np.average(self.sigma_r(r) ** 2, weights=weights)
            squares = self.sigma_theta(r) ** 2 + self.sigma_phi(r) ** 2
            tangential = np.average(squares, weights=weights)
            return float(1.0 - 0.5 * tangential / radial)
        return float(np.sqrt(np.average(getattr(self, quantity)(r) ** 2, weights=weights)))


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _within(profile: Profile, r_range: tuple[float, float]) -> Profile:
    """Bound a profile: NaN outside the range, whose ends may be off by rounding."""
    lo, hi = r_range[0] * (1.0 - 1e-9), r_range[1] * (1.0 + 1e-9)

    def bounded(r: ArrayLike) -> FloatArray:
        r = np.asarray(r, dtype=float)
        inside = (r >= lo) & (r <= hi)
        anywhere = max(r_range[0], 1e-6)
        return np.where(inside, profile(np.where(inside, r, anywhere)), np.nan)

    return bounded


def _spline(r: FloatArray, values: FloatArray) -> Profile:
    """Cubic spline in ln r."""
    from scipy.interpolate import CubicSpline

    spline = CubicSpline(np.log(r), values)
    return lambda radius: np.asarray(spline(np.log(radius)), dtype=float)
