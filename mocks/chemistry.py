"""Abundances of a population: Gaussian, the same everywhere or changing with radius."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from haloassay.base.arrays import FloatArray, IntArray
from haloassay.base.settings import require
from haloassay.mocks.uniforms import Uniforms

#: Largest abundance [dex] that is no slip of the pen (choice).
_LARGEST: Final = 20.0


@dataclass(frozen=True)
class Abundance:
    """Gaussian distribution of [Fe/H] or [alpha/Fe] [dex].

    Parameters
    ----------
    mean, sigma
        One number each, or as many as ``r``: linear in ln r between the radii, constant outside.
    r
        Radii [kpc] of a distribution that changes; empty where it is the same everywhere.
    """

    mean: float | tuple[float, ...]
    sigma: float | tuple[float, ...]
    r: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for name in ("mean", "sigma"):
            value = getattr(self, name)
            if isinstance(value, tuple):
                require(
                    len(value) == len(self.r) >= 2,
                    f"{name} and r must be of one length, at least 2 (got {len(value)} and {len(self.r)})",
                )
        changes = isinstance(self.mean, tuple) or isinstance(self.sigma, tuple)
        require(
            changes or not self.r,
            "r needs mean or sigma as a list of as many values (got one number each)",
        )
        rising = all(a < b for a, b in zip((0.0, *self.r), self.r, strict=False))
        require(rising, f"r must be positive and rising (got {list(self.r)})")
        for name, least in (("mean", -_LARGEST), ("sigma", 0.0)):
            values = np.asarray(getattr(self, name))
            require(
                bool(np.all((values >= least) & (values <= _LARGEST))),
                f"{name} must be {least:g} to {_LARGEST:g} dex (got {getattr(self, name)})",
            )

    def at(self, r: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Mean and dispersion [dex] at ``r`` [kpc]; the shape of ``r`` each."""
        ln_r = np.log(np.asarray(r, dtype=float))

        def profile(value: float | tuple[float, ...]) -> FloatArray:
            if isinstance(value, tuple):
                return np.asarray(np.interp(ln_r, np.log(self.r), value), dtype=float)
            return np.full(np.shape(r), float(value))

        return profile(self.mean), profile(self.sigma)

    def moments(self, r: ArrayLike) -> FloatArray:
        """Mean and mean square at ``r`` [kpc]; shape of ``r``, and 2."""
        mean, sigma = self.at(r)
        return np.stack([mean, mean**2 + sigma**2], axis=-1)

    def of(self, r: FloatArray, deviate: FloatArray) -> FloatArray:
        """(N,) abundances [dex] of stars at radii ``r`` (N,) [kpc] with standard normal deviates (N,)."""
        mean, sigma = self.at(r)
        return mean + sigma * deviate


def abundances(
    feh: Abundance, alpha_fe: Abundance | None, r: FloatArray, uniforms: Uniforms, number: IntArray
) -> tuple[FloatArray, FloatArray]:
    """[Fe/H] and [alpha/Fe] (N,) of stars of these numbers at radii ``r`` (N,) [kpc]; NaN without a distribution."""
    drawn = feh.of(r, uniforms.normal("feh", number))
    if alpha_fe is None:
        return drawn, np.full(len(r), np.nan)
    return drawn, alpha_fe.of(r, uniforms.normal("alpha_fe", number))


#: [Fe/H] of the halo K giants, near the whole-sample values of Li et al. (2026, Table 1).
HALO_FEH = Abundance(-1.34, 0.38)
