"""Mass of the baryons that methods take for known beside a dark halo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from haloassay.base.arrays import FloatArray
from haloassay.base.constants import G
from haloassay.base.settings import require
from haloassay.contracts.profiles import (
    ZHAI2018_BULGE,
    ZHAI2018_DISC,
    hernquist_enclosed_mass,
    mwpotential2014_baryons_mass,
    mwpotential2014_baryons_vc2,
    round_disc_enclosed_mass,
)

#: Bulge and disc of MWPotential2014, the spherical ones of Zhai et al. (2018), or none.
Baryons = Literal["mwpotential2014", "zhai2018", "none"]


@dataclass(frozen=True)
class SphericalBaryons:
    """Disc and bulge of Zhai et al. (2018, eq. 11, 12), both made spherical.

    Parameters
    ----------
    disc_mass
        Mass of the disc [Msun]; Phi = -G M (1 - exp(-r / b)) / r.
    disc_scale
        Its scale b [kpc].
    bulge_mass
        Mass of the bulge [Msun]; Phi = -G M / (r + c0).
    bulge_scale
        Its scale c0 [kpc].
    """

    disc_mass: float = ZHAI2018_DISC[0]
    disc_scale: float = ZHAI2018_DISC[1]
    bulge_mass: float = ZHAI2018_BULGE[0]
    bulge_scale: float = ZHAI2018_BULGE[1]

    def __post_init__(self) -> None:
        for name in ("disc_mass", "bulge_mass"):
            require(getattr(self, name) >= 0.0, f"{name}: not negative (got {getattr(self, name)})")
        for name in ("disc_scale", "bulge_scale"):
            require(getattr(self, name) > 0.0, f"{name}: positive (got {getattr(self, name)})")

    def mass(self, r: ArrayLike) -> FloatArray:
        """Mass r^2 dPhi/dr / G [Msun] within ``r`` [kpc]."""
        disc = round_disc_enclosed_mass(r, self.disc_mass, self.disc_scale)
        return disc + hernquist_enclosed_mass(r, self.bulge_mass, self.bulge_scale)


def baryons_mass(kind: Baryons, r: ArrayLike) -> FloatArray:
    """Mass of the baryons [Msun] within the sphere of radius ``r`` [kpc]."""
    r = np.asarray(r, dtype=float)
    if kind == "mwpotential2014":
        return mwpotential2014_baryons_mass(r)
    if kind == "zhai2018":
        return SphericalBaryons().mass(r)
    return np.zeros_like(r)


def baryons_vc2(kind: Baryons, R: float) -> float:
    """Circular velocity squared [(km/s)^2] of the baryons in the plane at ``R`` [kpc]."""
    if kind == "mwpotential2014":
        return float(mwpotential2014_baryons_vc2(R))
    return G * float(baryons_mass(kind, R)) / R
