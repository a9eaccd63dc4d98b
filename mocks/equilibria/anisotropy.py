"""Velocity anisotropy of tracers, beta(r) = 1 - (sigma_theta^2 + sigma_phi^2) / (2 sigma_r^2).

A kind is a frozen dataclass of settings that can be called with radii [kpc];
:class:`FunctionAnisotropy` gives it, or any Python function of radius, the method ``beta(r)`` that
the rest of the library reads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
from numpy.typing import ArrayLike

from haloassay.base import kinds
from haloassay.base.arrays import FloatArray
from haloassay.base.errors import InputError
from haloassay.base.settings import require

if TYPE_CHECKING:
    from scipy.interpolate import PchipInterpolator

#: Orbits rounder than these have no digits left for a radial motion.
_LEAST_BETA: Final = -1000.0


class Anisotropy(Protocol):
    """An anisotropy profile."""

    def beta(self, r: ArrayLike) -> FloatArray:
        """Anisotropy at ``r`` [kpc]; the shape of ``r``."""


def make_anisotropy(spec: Any, where: str = "mock.beta") -> FunctionAnisotropy:
    """Anisotropy of a table with a key ``kind``, of a number, or of a Python function of radius.

    Raises
    ------
    InputError
        If the kind or a setting is unknown, missing or out of range; ``where`` names the place.
    """
    if callable(spec):
        return FunctionAnisotropy(spec)
    if isinstance(spec, int | float) and not isinstance(spec, bool):
        spec = {"kind": "constant", "beta": spec}
    return FunctionAnisotropy(kinds.make("betas", spec, where))


@dataclass(frozen=True)
class FunctionAnisotropy:
    """Anisotropy from any function of radius.

    Parameters
    ----------
    function
        Takes an array of radii [kpc], returns beta <= 1 for each (or one number for all).
    """

    function: Callable[[FloatArray], ArrayLike]

    @property
    def knots(self) -> tuple[float, ...]:
        """Radii [kpc] where the function is known not to be smooth."""
        return getattr(self.function, "knots", ())

    def beta(self, r: ArrayLike) -> FloatArray:
        """Anisotropy at ``r`` [kpc].

        Raises
        ------
        InputError
            If the function returns anything but finite values up to 1, one for each radius.
        """
        r = np.asarray(r, dtype=float)
        values = np.asarray(self.function(r), dtype=float)
        if values.shape not in (r.shape, ()):
            raise InputError(
                f"beta: the function returns shape {values.shape} for radii of shape {r.shape}"
            )
        values = np.broadcast_to(values, r.shape)
        bad = ~(values <= 1.0) | np.isinf(values)
        if np.any(bad):
            raise InputError(
                "beta must be finite and at most 1:"
                f" {values[bad].flat[0]:g} at r = {r[bad].flat[0]:g} kpc"
            )
        return values


@dataclass(frozen=True)
class Constant:
    """The same anisotropy at all radii.

    Parameters
    ----------
    beta
        At most 1; 0 is isotropic, positive radial, negative tangential.
    """

    beta: float

    def __post_init__(self) -> None:
        _require_beta("beta", self.beta)

    def __call__(self, r: FloatArray) -> FloatArray:
        """Beta at ``r``."""
        return np.full(r.shape, self.beta)


@dataclass(frozen=True)
class OsipkovMerrittProfile:
    """Profile beta(r) = (beta0 r_a^2 + r^2) / (r_a^2 + r^2), rising to 1 (Cuddeford 1991).

    With ``beta0 = 0`` it is that of Osipkov (1979) and Merritt (1985). Many distribution functions have this profile;
    theirs is ``distribution = { kind = "cuddeford" }`` of an equilibrium.

    Parameters
    ----------
    r_a
        Anisotropy radius [kpc].
    beta0
        Anisotropy in the centre, at most 1.
    """

    r_a: float
    beta0: float = 0.0

    def __post_init__(self) -> None:
        require(0.0 < self.r_a < np.inf, f"r_a must be positive and finite (got {self.r_a:g})")
        _require_beta("beta0", self.beta0)

    def __call__(self, r: FloatArray) -> FloatArray:
        """Beta at ``r``."""
        x = (r / self.r_a) ** 2
        return (self.beta0 + x) / (1.0 + x)


@dataclass(frozen=True)
class TabulatedAnisotropy:
    """Tabulated anisotropy: monotone cubics (PCHIP) in ln r, constant outside the table.

    Parameters
    ----------
    r
        (K,) radii [kpc], rising, at least 2.
    beta
        (K,) anisotropies, at most 1.
    """

    r: tuple[float, ...]
    beta: tuple[float, ...]

    def __post_init__(self) -> None:
        require(
            len(self.r) == len(self.beta) >= 2,
            "r and beta must be of one length, at least 2"
            f" (got {len(self.r)} and {len(self.beta)})",
        )
        require(
            self.r[0] > 0.0 and bool(np.all(np.diff(self.r) > 0.0)) and np.isfinite(self.r[-1]),
            f"r must be positive and rising (got {list(self.r)})",
        )
        for value in self.beta:
            _require_beta("beta", value)

    @property
    def knots(self) -> tuple[float, ...]:
        """Radii [kpc] where a derivative jumps."""
        return self.r

    @cached_property
    def _spline(self) -> PchipInterpolator:
        from scipy.interpolate import PchipInterpolator

        return PchipInterpolator(np.log(self.r), self.beta)

    def __call__(self, r: FloatArray) -> FloatArray:
        """Beta at ``r``."""
        x = np.clip(np.log(r), np.log(self.r[0]), np.log(self.r[-1]))
        return np.minimum(self._spline(x), 1.0)


def _require_beta(name: str, value: float) -> None:
    require(
        -np.inf < value <= 1.0,
        f"{name} must be at most 1 and finite (got {value:g})",
    )
    require(value >= _LEAST_BETA, f"{name} must be {_LEAST_BETA:g} or more (got {value:g})")
